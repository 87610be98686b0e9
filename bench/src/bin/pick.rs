//! `pick`: what choosing a server costs, by policy and size of the pool. `bench/run pick` starts it.

use balance::settings::{Hash, HashBy, Policy, Scheme, Server, Settings, Spot};
use balance::{Outcome, Pool, Wish};
use base::{Moment, Share};
use clap::Parser;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The allocator of the gateway.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What choosing a server costs.
#[derive(Parser)]
struct Arguments {
    /// Sizes of pools.
    #[arg(long, value_delimiter = ',', default_values_t = [5, 1_000])]
    sizes: Vec<usize>,
    /// Most threads.
    #[arg(long, default_value_t = 2)]
    threads: u64,
    /// Seconds a figure.
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
}

/// Changes a figure.
const ROUNDS: u32 = 50;

fn main() {
    let arguments = Arguments::parse();
    let length = Duration::from_secs_f64(arguments.seconds);
    println!("ns a choice and thread; the view's lookup is counted, the clock's is not\n");
    println!("| policy | servers | pick | with begin and end | {} threads |", arguments.threads);
    println!("| --- | ---: | ---: | ---: | ---: |");
    for policy in policies() {
        for &size in &arguments.sizes {
            let pool = pool(policy.clone(), size);
            let pick = nanos(&pool, 1, length, false);
            let all = nanos(&pool, 1, length, true);
            let together = nanos(&pool, arguments.threads, length, true);
            println!("| {} | {size} | {pick:.0} | {all:.0} | {together:.0} |", name(&policy));
        }
    }
    println!("\n| change of one of 1,000 servers | µs |\n| --- | ---: |");
    for policy in policies() {
        let spots = spots(1_000);
        let pool = pool(policy.clone(), 1_000);
        let begun = Moment::now();
        for round in 0..ROUNDS as usize {
            pool.update(&spots[..1_000 - round % 2], begun);
        }
        let micros = Moment::now().since(begun).as_secs_f64() * 1e6 / f64::from(ROUNDS);
        println!("| {} | {micros:.0} |", name(&policy));
    }
}

fn policies() -> [Policy; 6] {
    let hash = Hash { by: HashBy::Path, bound: Share::percent(125) };
    [
        Policy::PeakEwma,
        Policy::LeastRequest,
        Policy::HotCold,
        Policy::Hash(hash),
        Policy::Random,
        Policy::RoundRobin,
    ]
}

fn name(policy: &Policy) -> &'static str {
    match policy {
        Policy::PeakEwma => "peak-EWMA",
        Policy::LeastRequest => "least request",
        Policy::HotCold => "hot-cold",
        Policy::Hash(_) => "hash",
        Policy::Random => "random",
        Policy::RoundRobin => "round robin",
    }
}

fn spots(size: usize) -> Vec<Spot> {
    let spot = |number| {
        let host = format!("10.0.{}.{}", number / 250, number % 250);
        Spot::from(Server { scheme: Scheme::Http, host, port: 80, address: None })
    };
    (0..size).map(spot).collect()
}

/// A pool whose servers have all answered.
fn pool(policy: Policy, size: usize) -> Pool {
    let settings = Settings { policy, ..Settings::standard() };
    let now = Moment::from_nanos(1_000_000_000);
    let pool = Pool::new(settings, &spots(size), None, now);
    for member in pool.view().members() {
        pool.begin(member);
        pool.end(member, now, now + Duration::from_millis(20), Outcome::Good);
    }
    pool.tick(now);
    pool
}

/// Nanoseconds of a thread for a choice, while so many choose.
fn nanos(pool: &Pool, threads: u64, length: Duration, ask: bool) -> f64 {
    let (stop, calls) = (AtomicBool::new(false), AtomicU64::new(0));
    let took = std::thread::scope(|scope| {
        for seed in 0..threads {
            let (stop, calls) = (&stop, &calls);
            scope.spawn(move || calls.fetch_add(choose(pool, seed, ask, stop), Relaxed));
        }
        let start = Moment::now();
        std::thread::sleep(length);
        stop.store(true, Relaxed);
        Moment::now().since(start)
    });
    took.as_secs_f64() * 1e9 * threads as f64 / calls.load(Relaxed) as f64
}

fn choose(pool: &Pool, seed: u64, ask: bool, stop: &AtomicBool) -> u64 {
    const BATCH: u64 = 64;
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut reader = pool.reader();
    let mut calls = 0;
    while !stop.load(Relaxed) {
        for _ in 0..BATCH {
            calls += 1;
            let now = Moment::from_nanos(1_020_000_000 + calls * 1_000);
            pool.refresh(now);
            let wish = Wish { hash: Some(rng.u64(..)), ..Wish::default() };
            let choice = black_box(reader.load().pick(wish, now, &mut rng));
            if let (true, Ok(choice)) = (ask, choice) {
                pool.begin(choice.member);
                pool.end(choice.member, now, now + Duration::from_micros(900), Outcome::Good);
            }
        }
    }
    calls
}
