use super::*;

mod world;

use world::{Figures as Measured, World, run};

/// §J: the median and the 99th percentile without hedging come from the same seeds.
fn both(world: World, seed: u64) -> (Measured, Measured) {
    (run(World { hedges: false, ..world }, seed), run(world, seed))
}

#[test]
#[ignore = "prints what the constants were tuned by"]
fn tune() {
    let seeds: u64 = std::env::var("SEEDS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    for (name, world) in [
        ("a 60 % ignores", World { load: 0.6, ..World::STALLS }),
        ("a 60 % cancels", World { load: 0.6, cancels: true, ..World::STALLS }),
        ("a 30 % ignores", World { load: 0.3, ..World::STALLS }),
        ("a 75 % ignores", World { load: 0.75, ..World::STALLS }),
        ("b 92 % +1 s ignores", World { load: 0.92, ..World::STALLS }),
        ("b 92 % +0.5 s ignores", World { load: 0.92, stall: 500, ..World::STALLS }),
        (
            "b 92 % +0.5 s long",
            World { load: 0.92, stall: 500, requests: 200_000, ..World::STALLS },
        ),
        ("b 92 % +1 s short", World { load: 0.92, requests: 30_000, ..World::STALLS }),
        ("b 92 % +1 s cancels", World { load: 0.92, cancels: true, ..World::STALLS }),
    ] {
        let mut all: Vec<_> = (0..seeds).map(|seed| both(world, seed)).collect();
        all.sort_by(|a, b| (a.1.p50 / a.0.p50).total_cmp(&(b.1.p50 / b.0.p50)));
        let mean = |of: &dyn Fn(&(Measured, Measured)) -> f64| {
            all.iter().map(of).sum::<f64>() / all.len() as f64
        };
        let most =
            |of: &dyn Fn(&(Measured, Measured)) -> f64| all.iter().map(of).fold(0.0, f64::max);
        println!(
            "{name}: p50 {:.1} -> {:.1} (most x{:.2}), p99 {:.0} -> {:.0} (most {:.0}), extra {:.2} % \
             (most {:.2} %), off {:.2} (seeds with: {}), won {:.2}, secs {:.0}",
            mean(&|m| m.0.p50),
            mean(&|m| m.1.p50),
            most(&|m| m.1.p50 / m.0.p50),
            mean(&|m| m.0.p99),
            mean(&|m| m.1.p99),
            most(&|m| m.1.p99),
            mean(&|m| m.1.extra * 100.0),
            most(&|m| m.1.extra * 100.0),
            mean(&|m| m.1.turned_off),
            all.iter().filter(|m| m.1.turned_off > 0.0).count(),
            mean(&|m| m.1.won),
            mean(&|m| m.1.seconds),
        );
    }
}
