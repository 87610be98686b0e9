//! How much a server has in flight and what it is expected to cost to ask it.
//!
//! Written by every thread as answers come, read by every pick. Reading takes no lock and changes
//! nothing: estimates are projected to `now`, so that a server nobody asks becomes attractive again
//! by itself (one bad sample must not banish it: traefik #12306). Writing takes a lock that nobody
//! waits for: a sample that finds it taken is dropped, since these are statistics.
//!
//! The cost of asking is the latency, a peak-EWMA of τ = 10 s (Finagle's `PeakEwma`), and f² times
//! the penalty, f being the share of failures among the last answers (decayed by the same τ, with one
//! imagined good answer). Squared, as the chance that this try and another like it fail: a stray
//! failure among ten answers costs 35 ms of a penalty of 5 s and is forgotten after a turn or two,
//! where f alone costs 400 ms and keeps the server waiting for most of a minute; a server that fails
//! always costs seconds either way. (Simulated, one of ten failing 1 % keeps 84 to 94 % of its share by
//! f², 39 to 68 % by f.) Failures in a row make good answers before them count less and
//! less, so that a server of any rate that begins to fail costs seconds at its fourth failure.

use base::Moment;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// How asking a server ended, as far as balancing is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, and not with a failure.
    Good,
    /// It answered with a failure (5xx, gRPC's `RESOURCE_EXHAUSTED` or `UNAVAILABLE`), perhaps saying
    /// how long to leave it alone (Retry-After, grpc-retry-pushback-ms); or it took the request and was
    /// silent, broke off, or could not be understood.
    Failed {
        /// For how long not to ask.
        hold: Option<Duration>,
    },
    /// No connection could be made.
    Unconnected,
    /// Nobody waited for the answer any more: the client left, or another try won. What it had taken
    /// by then is still learned.
    Cancelled,
}

/// After so long an old sample counts 1/e as much as a new one.
pub(crate) const DECAY: Duration = Duration::from_secs(10);
/// No server can ask for a longer rest than this.
const HOLD_MAX: Duration = Duration::from_mins(5);
/// Good answers that still count after two failures in a row; half as many after each further one.
const GOOD_BEFORE_MAX: f32 = 4.0;
/// A published estimate is renewed before its timestamp could look like one of the future (9.7 h).
const RENEW: Duration = Duration::from_hours(1);
/// What is this old counts for nothing: exp(-30).
const FORGOTTEN: Duration = Duration::from_mins(5);

/// The load of one server.
#[derive(Debug, Default)]
pub(crate) struct Load {
    in_flight: AtomicU32,
    /// Nanoseconds (f32) and when (ticks of 16 µs): zero before the first sample.
    latency: AtomicU64,
    /// Failures and good answers (two f32), decayed to the moment of `latency`.
    answers: AtomicU64,
    /// Until when the server asked to be left alone (nanoseconds), and for how long it did.
    held_until: AtomicU64,
    held_for: AtomicU64,
    /// Failures in a row; who holds it may write the estimates.
    run: Mutex<u32>,
}

/// What asking a server is expected to cost now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    /// Nanoseconds an answer takes, failures counted in.
    pub(crate) nanos: f32,
    /// The share of failures among its last answers; all of them while it asks to be left alone.
    pub(crate) failing: f32,
    /// Requests in flight.
    pub(crate) in_flight: u32,
}

/// What the pool adds to what is known of one server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Prior {
    /// The mean latency of the pool in nanoseconds; zero if nothing is known.
    pub(crate) mean: f32,
    /// What a failure counts as, in nanoseconds.
    pub(crate) penalty: f32,
}

impl Load {
    /// One more in flight.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    /// One less, after `took`. The pool's mean is what an unknown server is taken for.
    pub(crate) fn end(&self, took: Duration, outcome: Outcome, now: Moment, mean: f32) {
        self.in_flight.fetch_sub(1, Relaxed);
        if let Outcome::Failed { hold: Some(hold) } = outcome {
            let hold = hold.min(HOLD_MAX);
            self.held_until.fetch_max((now + hold).as_nanos(), Relaxed);
            self.held_for.store(hold.as_nanos() as u64, Relaxed);
        }
        if let Ok(mut run) = self.run.try_lock() {
            let took = (took.as_nanos() as f32).max(1.0);
            self.learn(&mut run, took, outcome, now, mean);
        }
    }

    fn learn(&self, run: &mut u32, took: f32, outcome: Outcome, now: Moment, mean: f32) {
        let before = Estimate::read(self.latency.load(Relaxed), now);
        let fade = before.map_or(1.0, |estimate| estimate.fade);
        let (failures, good) = split(self.answers.load(Relaxed));
        let (mut failures, mut good) = (failures * fade, good * fade);
        let latency = match (outcome, before) {
            (Outcome::Good, Some(before)) => before.peak_or_blend(took),
            // A lower bound of what an answer takes.
            (Outcome::Cancelled, Some(before)) if took <= before.projected() => return,
            (Outcome::Cancelled, None) => took.max(mean),
            (Outcome::Good, None) | (Outcome::Cancelled, Some(_)) => took,
            // Failing fast is not being fast.
            (_, before) => took.max(before.map_or(0.0, Estimate::projected)),
        };
        match outcome {
            Outcome::Good => {
                *run = 0;
                good += 1.0;
            }
            Outcome::Failed { .. } | Outcome::Unconnected => {
                *run = run.saturating_add(1);
                failures += 1.0;
                good = good.min(good_before(*run));
            }
            Outcome::Cancelled => {}
        }
        self.answers.store(join(failures, good), Relaxed);
        self.latency.store(stamp(latency, now), Relaxed);
    }

    /// Forgets what was learned, as of a server that is back: it is taken for one like the others.
    pub(crate) fn reseed(&self, mean: f32, now: Moment) {
        let mut run = self.run.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        *run = 0;
        self.answers.store(0, Relaxed);
        self.held_until.store(0, Relaxed);
        self.latency.store(if mean > 0.0 { stamp(mean, now) } else { 0 }, Relaxed);
    }

    /// Keeps timestamps from wrapping; to be called more often than every [`RENEW`].
    pub(crate) fn renew(&self, now: Moment) {
        let Some(estimate) = Estimate::read(self.latency.load(Relaxed), now) else {
            return;
        };
        if estimate.age > RENEW.as_secs_f32()
            && let Ok(_run) = self.run.try_lock()
        {
            self.answers.store(0, Relaxed);
            let old = now.as_nanos().saturating_sub(FORGOTTEN.as_nanos() as u64);
            self.latency.store(stamp(estimate.nanos, Moment::from_nanos(old)), Relaxed);
        }
    }

    /// Requests in flight now, of all threads.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// What an answer takes by now; `None` before the first.
    pub(crate) fn latency(&self, now: Moment) -> Option<Duration> {
        let estimate = Estimate::read(self.latency.load(Relaxed), now)?;
        Some(Duration::from_secs_f64(f64::from(estimate.projected().max(1.0)) * 1e-9))
    }

    /// What an answer takes by now in nanoseconds, as the pool's mean counts it: without decay for
    /// `DECAY`, or a pool at rest would seem to get faster.
    pub(crate) fn settled(&self, now: Moment) -> Option<f32> {
        let estimate = Estimate::read(self.latency.load(Relaxed), now)?;
        (estimate.age < DECAY.as_secs_f32()).then_some(estimate.nanos)
    }

    /// What asking it is expected to cost at `now`.
    pub(crate) fn cost(&self, now: Moment, prior: Prior) -> Cost {
        let in_flight = self.in_flight();
        let estimate = Estimate::read(self.latency.load(Relaxed), now);
        let mut nanos = match estimate {
            // The first request costs nothing, so that somebody finds out; others do not follow it.
            None if in_flight == 0 => 0.0,
            None => prior.mean.max(1.0),
            // Half forgotten, it is attractive to one request, not to all of them at once: until that
            // one's answer is there it is taken for at most as fast as the others, or as it was.
            Some(estimate) if in_flight > 0 => {
                estimate.projected().max(estimate.nanos.min(prior.mean))
            }
            Some(estimate) => estimate.projected(),
        };
        let mut failing = 0.0;
        if let Some(estimate) = estimate {
            let (failures, good) = split(self.answers.load(Relaxed));
            if failures > 0.0 {
                failing = failures * estimate.fade / ((failures + good) * estimate.fade + 1.0);
                nanos += failing * failing * prior.penalty;
            }
        }
        if self.held_until.load(Relaxed) > now.as_nanos() {
            nanos = nanos.max(self.held_for.load(Relaxed) as f32);
            failing = 1.0;
        }
        Cost { nanos, failing, in_flight }
    }
}

/// How many good answers before `run` failures in a row still count.
fn good_before(run: u32) -> f32 {
    if run < 2 {
        return f32::INFINITY;
    }
    let halvings = i32::try_from(run - 2).unwrap_or(i32::MAX).min(30);
    GOOD_BEFORE_MAX * 0.5_f32.powi(halvings)
}

/// A published estimate as seen from `now`.
#[derive(Clone, Copy)]
struct Estimate {
    nanos: f32,
    /// Seconds since it was published.
    age: f32,
    /// What is left of it: exp(-age/τ).
    fade: f32,
}

impl Estimate {
    #[inline]
    fn read(word: u64, now: Moment) -> Option<Self> {
        if word == 0 {
            return None;
        }
        // Wrapping: another thread may have published a little after our `now`.
        let ticks = (tick(now).wrapping_sub(word as u32)).cast_signed().max(0);
        let age = ticks as f32 * (TICK_NANOS as f32 * 1e-9);
        let fade = (-age / DECAY.as_secs_f32()).exp();
        Some(Self { nanos: f32::from_bits((word >> 32) as u32), age, fade })
    }

    fn projected(self) -> f32 {
        self.nanos * self.fade
    }

    /// The estimate after a sample: a slower one counts at once, a faster one by and by.
    fn peak_or_blend(self, sample: f32) -> f32 {
        let projected = self.projected();
        if sample > projected { sample } else { projected + sample * (1.0 - self.fade) }
    }
}

const TICK_NANOS: u64 = 1 << 14;

fn tick(now: Moment) -> u32 {
    (now.as_nanos() / TICK_NANOS) as u32
}

fn stamp(nanos: f32, now: Moment) -> u64 {
    (u64::from(nanos.to_bits()) << 32) | u64::from(tick(now))
}

fn join(high: f32, low: f32) -> u64 {
    (u64::from(high.to_bits()) << 32) | u64::from(low.to_bits())
}

fn split(word: u64) -> (f32, f32) {
    (f32::from_bits((word >> 32) as u32), f32::from_bits(word as u32))
}
