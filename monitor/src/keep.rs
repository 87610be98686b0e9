//! Which exchanges are kept whole: what went wrong, what was slow, a few of all, and every first of
//! its kind.
//!
//! A gateway sees an exchange to its end before it has to decide, so this is tail sampling without a
//! collector. All bounds are for one route on one thread and a minute; that of firsts is for good.

use crate::facts::Facts;
use base::{Moment, Side};
use std::time::Duration;

/// Why an exchange is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// Its caller records the trace.
    Asked,
    /// It failed.
    Failed,
    /// It was slower than 99 of 100 of its route.
    Slow,
    /// It was the first with its status, cache verdict and server.
    New,
    /// By chance.
    Sample,
}

impl Why {
    /// The name on page and span.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Failed => "failed",
            Self::Slow => "slow",
            Self::New => "new",
            Self::Sample => "sample",
        }
    }
}

const MINUTE: Duration = Duration::from_mins(1);
/// Most that are kept in a minute, by why. Anybody can ask: a hundred a second is for all who do.
const ASKED_MAX: u32 = 6_000;
const FAILED_MAX: u32 = 64;
const SLOW_MAX: u32 = 64;
const NEW_MAX: usize = 128;
/// At least so far apart are those that are kept by chance: sixteen in a minute.
const SAMPLE_EVERY: Duration = Duration::from_millis(3_750);

/// What one thread has kept of a route lately.
#[derive(Debug)]
pub struct Keeper {
    minute: Moment,
    asked: u32,
    failed: u32,
    slow: u32,
    /// Kinds that were met; few, and the usual ones first.
    known: Vec<u64>,
    next_sample: Moment,
}

impl Keeper {
    /// Nothing kept yet.
    pub fn new() -> Self {
        let start = Moment::from_nanos(0);
        Self { minute: start, asked: 0, failed: 0, slow: 0, known: Vec::new(), next_sample: start }
    }

    /// Whether to keep this exchange, which ended `now`; `slow` is what 99 of 100 of its route take at
    /// most, zero while that is not known.
    pub fn keep(&mut self, facts: &Facts, slow: Duration, now: Moment) -> Option<Why> {
        if now.since(self.minute) >= MINUTE {
            (self.minute, self.asked, self.failed, self.slow) = (now, 0, 0, 0);
        }
        if facts.trace.is_sampled() && self.asked < ASKED_MAX {
            self.asked += 1;
            return Some(Why::Asked);
        }
        let failed = facts.status >= 500 || facts.fault.is_some_and(|f| f.side() != Side::Client);
        if failed && self.failed < FAILED_MAX {
            self.failed += 1;
            return Some(Why::Failed);
        }
        if !slow.is_zero() && facts.timeline.total() > slow && self.slow < SLOW_MAX {
            self.slow += 1;
            return Some(Why::Slow);
        }
        if now >= self.next_sample {
            self.next_sample = now + SAMPLE_EVERY;
            return Some(Why::Sample);
        }
        let kind = kind(facts);
        if self.known.len() == NEW_MAX || self.known.contains(&kind) {
            return None;
        }
        self.known.push(kind);
        Some(Why::New)
    }
}

impl Default for Keeper {
    fn default() -> Self {
        Self::new()
    }
}

/// Status, cache verdict, server and fault in one number.
fn kind(facts: &Facts) -> u64 {
    let cached = facts.cached.map_or(0xff, |cached| cached as u64);
    let fault = facts.fault.map_or(0xff, |fault| fault as u64);
    let server = u64::from(facts.server.unwrap_or(u32::MAX));
    u64::from(facts.status) << 48 | cached << 40 | fault << 32 | server
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::FaultKind;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn ended(status: u16, begun: Moment, took: u64) -> (Facts, Moment) {
        let mut facts = Facts { status, ..Facts::begin(begun) };
        let now = begun + Duration::from_millis(took);
        facts.timeline.enter(crate::Phase::Gateway, now);
        (facts, now)
    }

    #[test]
    fn each_reason_has_its_own_bound() {
        let mut keeper = Keeper::new();
        let slow = Duration::from_millis(100);
        let mut count = |status, took, n: u64| {
            let mut kept = Vec::new();
            for _ in 0..n {
                let (facts, now) = ended(status, at(70_000), took);
                kept.extend(keeper.keep(&facts, slow, now));
            }
            kept
        };
        assert_eq!(count(200, 5, 100), [Why::Sample, Why::New]);
        assert_eq!(count(404, 5, 100), [Why::New]);
        assert_eq!(count(503, 5, 100).iter().filter(|why| **why == Why::Failed).count(), 64);
        assert_eq!(count(200, 150, 100), [Why::Slow; 64]);
    }

    #[test]
    fn a_new_minute_keeps_anew_and_chance_comes_sixteen_times() {
        let mut keeper = Keeper::new();
        let mut samples = 0;
        for ms in (60_000..120_000).step_by(10) {
            let (facts, now) = ended(200, at(ms), 1);
            samples += usize::from(keeper.keep(&facts, Duration::ZERO, now) == Some(Why::Sample));
        }
        assert_eq!(samples, 16);
        for minute in 3..6 {
            let (mut facts, now) = ended(0, at(minute * 60_000), 1);
            facts.fault = Some(FaultKind::Unreachable);
            assert_eq!(keeper.keep(&facts, Duration::ZERO, now), Some(Why::Failed));
        }
    }

    #[test]
    fn what_a_caller_records_is_kept_a_hundred_times_a_second() {
        let mut keeper = Keeper::new();
        let mut asked = 0;
        for _ in 0..20_000 {
            let (mut facts, now) = ended(200, at(70_000), 1);
            facts.trace = crate::trace::Trace::begin(None, (1, 1), true);
            asked += u32::from(keeper.keep(&facts, Duration::ZERO, now) == Some(Why::Asked));
        }
        assert_eq!(asked, ASKED_MAX);
    }
}
