//! How pools behave over minutes: servers with queues, requests at random, in simulated time.
//!
//! The model is the one of the note on gateway features (section J): Poisson arrivals, `workers`
//! requests served at once by each server and the others waiting, lognormal times.

use balance::settings::{Policy, Scheme, Server, Settings, Spot};
use balance::{Outcome, Pool, Wish};
use base::{Moment, Share};
use fastrand::Rng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

/// One server of the world.
#[derive(Clone)]
struct Model {
    mean_ms: f64,
    /// From when on (seconds) it takes how many times as long.
    factor: fn(f64) -> f64,
    /// It fails at once with this chance, by time.
    failing: fn(f64) -> f64,
    weight: u32,
}

fn model() -> Model {
    Model { mean_ms: 20.0, factor: |_| 1.0, failing: |_| 0.0, weight: 1 }
}

struct World {
    settings: Settings,
    models: Vec<Model>,
    workers: usize,
    /// Arrivals a second.
    rate: f64,
    seconds: f64,
    /// Whoever begins earlier is not counted.
    warm: f64,
    seed: u64,
}

#[derive(Clone, Copy)]
struct Job {
    server: usize,
    begun: f64,
    fails: bool,
}

/// What came of it.
struct Report {
    /// By server.
    counts: Vec<u64>,
    failed: u64,
    /// Milliseconds, sorted.
    took: Vec<f64>,
    /// By second and server.
    seconds: Vec<Vec<u64>>,
}

impl Report {
    fn share(&self, server: usize) -> f64 {
        self.counts[server] as f64 / self.all()
    }

    fn all(&self) -> f64 {
        self.counts.iter().sum::<u64>() as f64
    }

    fn errors(&self) -> f64 {
        self.failed as f64 / self.all()
    }

    fn quantile(&self, q: f64) -> f64 {
        self.took[((self.took.len() - 1) as f64 * q).round() as usize]
    }

    /// The share of a server from one second to another.
    fn share_in(&self, server: usize, seconds: std::ops::Range<usize>) -> f64 {
        let of = |second: &Vec<u64>| (second[server], second.iter().sum::<u64>());
        let counts = self.seconds[seconds].iter().map(of);
        let (own, all) = counts.fold((0, 0), |(own, all), (o, a)| (own + o, all + a));
        own as f64 / all as f64
    }
}

fn settings(policy: Policy) -> Settings {
    let mut settings = Settings { policy, ..Settings::standard() };
    // What the policy does by itself.
    settings.eject.failures = 0;
    settings.eject.success = Share::percent(0);
    settings.eject.slow = Share::percent(0);
    settings
}

fn spot(number: usize, weight: u32) -> Spot {
    let host = format!("10.0.0.{number}");
    let server = Server { scheme: Scheme::Http, host, port: 80, address: None };
    Spot { weight, ..Spot::from(server) }
}

fn normal(rng: &mut Rng) -> f64 {
    (-2.0 * (1.0 - rng.f64()).ln()).sqrt() * (std::f64::consts::TAU * rng.f64()).cos()
}

fn lognormal(mean: f64, rng: &mut Rng) -> f64 {
    const SIGMA: f64 = 0.5;
    mean * (SIGMA * normal(rng) - SIGMA * SIGMA / 2.0).exp()
}

fn moment(seconds: f64) -> Moment {
    Moment::from_nanos((seconds * 1e9) as u64)
}

fn run(world: &World) -> Report {
    let mut rng = Rng::with_seed(world.seed);
    let spots: Vec<_> =
        world.models.iter().enumerate().map(|(n, model)| spot(n, model.weight)).collect();
    let pool = Pool::new(world.settings.clone(), &spots, None, moment(0.0));
    let n = spots.len();
    let first = pool.view().members()[0].id.0;
    let mut queues = vec![VecDeque::new(); n];
    let mut busy = vec![0_usize; n];
    let mut ends: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut jobs: Vec<Job> = Vec::new();
    let mut report = Report {
        counts: vec![0; n],
        failed: 0,
        took: Vec::new(),
        seconds: vec![vec![0; n]; world.seconds as usize + 1],
    };
    let (mut arrival, mut tick) = (0.0, 0.0);
    while arrival < world.seconds {
        let end = ends.peek().map_or(f64::INFINITY, |Reverse((at, _))| *at as f64 / 1e9);
        if tick <= end.min(arrival) {
            pool.tick(moment(tick));
            tick += 0.1;
            continue;
        }
        let start = |job: usize, jobs: &[Job], now: f64, rng: &mut Rng| {
            let model: &Model = &world.models[jobs[job].server];
            let took = if jobs[job].fails {
                0.001
            } else {
                lognormal(model.mean_ms, rng) * (model.factor)(now) / 1e3
            };
            Reverse((((now + took) * 1e9) as u64, job))
        };
        if end <= arrival {
            let Reverse((_, number)) = ends.pop().unwrap();
            let job = jobs[number];
            let view = pool.view();
            let member = view.members().iter().find(|m| m.id.0 == first + job.server as u32);
            let outcome =
                if job.fails { Outcome::Failed { hold: None } } else { Outcome::Good };
            pool.end(member.unwrap(), moment(job.begun), moment(end), outcome);
            if let Some(next) = queues[job.server].pop_front() {
                ends.push(start(next, &jobs, end, &mut rng));
            } else {
                busy[job.server] -= 1;
            }
            if job.begun >= world.warm {
                report.failed += u64::from(job.fails);
                report.took.push((end - job.begun) * 1e3);
            }
            continue;
        }
        let now = arrival;
        arrival += -(1.0 - rng.f64()).ln() / world.rate;
        pool.refresh(moment(now));
        let view = pool.view();
        let Ok(choice) = view.pick(Wish::default(), moment(now), &mut rng) else { continue };
        pool.begin(choice.member);
        let server = (choice.member.id.0 - first) as usize;
        report.seconds[now as usize][server] += 1;
        report.counts[server] += u64::from(now >= world.warm);
        let fails = rng.f64() < (world.models[server].failing)(now);
        jobs.push(Job { server, begun: now, fails });
        if busy[server] < world.workers {
            busy[server] += 1;
            ends.push(start(jobs.len() - 1, &jobs, now, &mut rng));
        } else {
            queues[server].push_back(jobs.len() - 1);
        }
    }
    report.took.sort_by(f64::total_cmp);
    report
}

/// Ten servers of eight workers at 60 %, as in the note.
fn ten(policy: Policy, odd: Model, seed: u64) -> World {
    let mut models = vec![model(); 10];
    models[0] = odd;
    World {
        settings: settings(policy),
        models,
        workers: 8,
        rate: 0.6 * 80.0 / 0.020,
        seconds: 25.0,
        warm: 2.5,
        seed,
    }
}

#[test]
fn figures() {
    for policy in [Policy::PeakEwma, Policy::LeastRequest, Policy::HotCold, Policy::RoundRobin] {
        let slow = Model { factor: |_| 5.0, ..model() };
        let failing = Model { failing: |_| 1.0, ..model() };
        let uniform = run(&ten(policy.clone(), model(), 1));
        let slow = run(&ten(policy.clone(), slow, 1));
        let failing = run(&ten(policy.clone(), failing, 1));
        let p = |r: &Report| {
            format!("{:.1}/{:.1}/{:.1}", r.quantile(0.5), r.quantile(0.99), r.quantile(0.999))
        };
        eprintln!(
            "{policy:?}: uniform {} min share {:.3}; slow {} share {:.4}; failing errors {:.4}",
            p(&uniform),
            (0..10).map(|s| uniform.share(s)).fold(1.0, f64::min) * 10.0,
            p(&slow),
            slow.share(0),
            failing.errors()
        );
    }
    for rate in [0.5, 2.0, 5.0, 20.0, 100.0, 500.0, 1000.0] {
        let mut least = Vec::new();
        for seed in 0..10 {
            let world = World {
                settings: settings(Policy::PeakEwma),
                models: vec![model(); 5],
                workers: 8,
                rate,
                seconds: (20_000.0 / rate).min(4000.0),
                warm: 0.0,
                seed,
            };
            let report = run(&world);
            least.push((0..5).map(|s| report.share(s)).fold(1.0, f64::min) * 5.0);
        }
        eprintln!("uniform five at {rate}/s: least share of fair {least:.2?}");
    }
    // Fails from second 10 to 40.
    let break_down = Model { failing: |t| f64::from(u8::from(t > 10.0 && t < 40.0)), ..model() };
    let mut world = ten(Policy::PeakEwma, break_down, 1);
    (world.seconds, world.warm) = (100.0, 0.0);
    let r = run(&world);
    for s in [9, 10, 11, 12, 20, 30, 39, 40, 45, 50, 55, 60, 65, 70, 75, 80, 90] {
        eprintln!("breaks 10..40: second {s}: {:?} of {}", r.seconds[s][0], r.seconds[s].iter().sum::<u64>());
    }
    let slow = Model { factor: |t| if t < 30.0 { 5.0 } else { 1.0 }, ..model() };
    for rate in [20.0, 200.0, 2400.0] {
        let mut world = ten(Policy::PeakEwma, slow.clone(), 1);
        (world.seconds, world.warm, world.rate) = (80.0, 0.0, rate);
        let r = run(&world);
        let at = [10, 20, 30, 35, 40, 45, 50, 55, 60, 70].map(|s| (r.share_in(0, s..s + 5) * 1000.0).round() / 100.0);
        eprintln!("slow until 30 at {rate}: {at:?}");
    }
    // Stray failures.
    for (p, name) in [(0.001, "0.1%"), (0.01, "1%"), (0.1, "10%")] {
        let odd: Model = Model { failing: match name { "0.1%" => |_| 0.001, "1%" => |_| 0.01, _ => |_| 0.1 }, ..model() };
        for rate in [10.0, 100.0, 2400.0] {
            let mut world = ten(Policy::PeakEwma, odd.clone(), 1);
            (world.seconds, world.warm, world.rate) = ((50_000.0_f64 / rate).min(2000.0), 0.0, rate);
            let r = run(&world);
            eprintln!("fails {p} at {rate}/s: share {:.3} of fair", r.share(0) * 10.0);
        }
    }
}
