//! What balancing promises about tails, failures and overload, each in simulated time over many seeds.

use scenario::world::{Chance, Clients, Machine, Mood, World};
use std::time::Duration;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn lognormal() -> Chance {
    Chance::Lognormal { mean: Duration::from_millis(20), sigma: 0.5 }
}

#[test]
fn smoke() {
    let mut machines = vec![Machine::new(8, lognormal()); 10];
    machines[0] = machines[0].clone().but(s(0)..s(100), Mood::Slow(5.0));
    let world = World::new(machines, Clients::steady(2_400.0), s(25));
    let started = base::Moment::now();
    let report = world.run(1);
    let window = s(3)..s(25);
    println!(
        "{:?} p50 {} p99 {} p99.9 {} share {}",
        base::Moment::now() - started,
        report.latency(&window, 50.0),
        report.latency(&window, 99.0),
        report.latency(&window, 99.9),
        report.share(&window, 0)
    );
}
