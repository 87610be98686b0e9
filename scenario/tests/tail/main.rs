//! What the gateway promises about tails, failures and overload: each promise a fact that holds for
//! every seed, in simulated time ([`scenario::world`]).
//!
//! The figures of each, and those they are compared with:
//! `cargo test -p scenario --test tail -- --no-capture --test-threads 1`.
//! With `SEEDS=200` before it as many seeds as that.
//! A thousand seeds of each (a quarter of an hour; what matters is optimized without `--release` too):
//! `cargo test -p scenario --test tail -- --ignored thousand --no-capture`.

mod figures;
mod hedging;
mod herds;
mod members;
mod overload;
mod servers;
mod storms;

use scenario::world::{Chance, Machine, Report, Window};
use std::ops::Range;
use std::time::Duration;

/// How many seeds a statement is tested by where a thousand are too many; some take more or fewer.
const SEEDS: u64 = 40;
/// And where they are not.
const MANY: u64 = 1_000;

/// So many seconds.
const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// So many milliseconds.
const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A server of eight workers that take 20 ms, more or less.
fn machine() -> Machine {
    Machine::new(8, Chance::Lognormal { mean: ms(20), sigma: 0.5 })
}

/// The requests in a second that make a load of these machines.
fn rate(machines: &[Machine], load: f64) -> f64 {
    machines.iter().map(Machine::capacity).sum::<f64>() * load
}

/// Each second from then to then.
fn seconds(of: Range<u64>) -> impl Iterator<Item = Window> {
    of.map(|second| s(second)..s(second + 1))
}

/// The least share of any of these machines.
fn least_share(report: &Report, window: &Window, machines: usize) -> f64 {
    (0..machines).map(|m| report.share(window, m)).fold(f64::INFINITY, f64::min)
}

/// The greatest.
fn greatest_share(report: &Report, window: &Window, machines: usize) -> f64 {
    (0..machines).map(|m| report.share(window, m)).fold(0.0, f64::max)
}
