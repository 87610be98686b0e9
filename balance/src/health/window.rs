//! What a server's answers of the last seconds say beside the others'.
//!
//! Threads count into atomics; [`sweep`] collects them, ten times a second. Success is counted over
//! ten seconds (Linkerd's unified failure accrual), latency in windows of about a second, by good
//! answers only: a server that fails fast must not look fast.
//!
//! A server is slow when its p90 is *surely* too high in three windows in a row. Of few answers the
//! p90 is little but chance, and where one answer in ten is slow for a reason of its own (a miss of
//! the server's cache) it is a coin's toss even of many: so the accused is given the benefit of
//! [`RANK_DOUBT`], and the others' p90 are steadied by their median.

use super::{Cause, Condition, Health};
use crate::settings::Eject;
use base::Moment;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Slots of the success window.
const SECONDS: usize = 10;
/// Fewer requests in ten seconds say nothing of success.
const SUCCESS_REQUESTS_MIN: u32 = 5;
/// A latency window lasts so long, and longer until it has enough answers,
const WINDOW: Duration = Duration::from_secs(1);
/// up to here, when it is given up.
const WINDOW_MAX: Duration = Duration::from_secs(10);
/// Fewer answers make no window.
const WINDOW_ANSWERS_MIN: u32 = 10;
/// So many slow windows in a row are too many.
const SLOW_WINDOWS: u32 = 3;
/// Whoever is slower by less is not slow: 0.7 ms beside 0.2 ms is the noise of a scheduler or one
/// more hop, no user feels it, and the others could lose as much by taking over its requests.
const SLOW_LEAST: Duration = Duration::from_millis(2);
/// How far below the 90th percentile, in hundredths of √n ranks, the accused's p90 is looked up.
/// The rank of the true p90 among n answers has a deviation of 0.3 √n; these are two and a half.
const RANK_DOUBT: u64 = 75;

/// Times below this share buckets of equal width: far below [`SLOW_LEAST`].
const UNIT_BITS: u32 = 15;
/// Buckets a power of two, as bits: 12.5 % wide at most.
const SUB_BITS: u32 = 3;
/// From 33 µs to 69 s.
const BUCKETS: usize = ((37 - UNIT_BITS - SUB_BITS) as usize) << SUB_BITS;

/// Answers since they were last collected. On cache lines of its own: the condition beside it is
/// read by every pick.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Counts {
    good: AtomicU32,
    bad: AtomicU32,
    took: [AtomicU32; BUCKETS],
}

impl Default for Counts {
    fn default() -> Self {
        let took = std::array::from_fn(|_| AtomicU32::new(0));
        Self { good: AtomicU32::new(0), bad: AtomicU32::new(0), took }
    }
}

impl Counts {
    pub(super) fn good(&self, took: Duration) {
        self.good.fetch_add(1, Ordering::Relaxed);
        self.took[bucket(took)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn bad(&self) {
        self.bad.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn clear(&self) {
        self.good.store(0, Ordering::Relaxed);
        self.bad.store(0, Ordering::Relaxed);
        self.clear_took();
    }

    fn clear_took(&self) {
        self.took.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }

    fn take(&self) -> Tally {
        Tally { good: take(&self.good), bad: take(&self.bad) }
    }

    /// The p90 of the window that closes now, and what it surely is at least.
    fn close(&self) -> Option<Figure> {
        let counts: [u32; BUCKETS] = std::array::from_fn(|at| take(&self.took[at]));
        let all: u64 = counts.iter().copied().map(u64::from).sum();
        let rank = (all * 9).div_ceil(10);
        let doubt = (all * 10_000).isqrt() * RANK_DOUBT / 10_000;
        let nth = |rank: u64| {
            let mut below = 0;
            let at = counts.iter().position(|count| {
                below += u64::from(*count);
                below >= rank
            });
            at.map(middle)
        };
        (all > 0).then_some(())?;
        Some(Figure { p90: nth(rank)?, surely: nth((all * 9 / 10).saturating_sub(doubt).max(1))? })
    }
}

/// A swap is dear beside a load, and most are zero.
fn take(count: &AtomicU32) -> u32 {
    if count.load(Ordering::Relaxed) == 0 { 0 } else { count.swap(0, Ordering::Relaxed) }
}

pub(super) fn bucket(took: Duration) -> usize {
    let units = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX) >> UNIT_BITS;
    let octave = (u64::BITS - units.leading_zeros()).saturating_sub(SUB_BITS + 1);
    let at = (u64::from(octave) << SUB_BITS) + (units >> octave);
    (at as usize).min(BUCKETS - 1)
}

/// The middle of a bucket, in nanoseconds.
pub(super) fn middle(bucket: usize) -> u64 {
    let octave = ((bucket >> SUB_BITS) as u64).saturating_sub(1);
    let units = bucket as u64 - (octave << SUB_BITS);
    ((2 * units + 1) << octave << UNIT_BITS) / 2
}

/// Nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Figure {
    p90: u64,
    surely: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    good: u32,
    bad: u32,
}

/// What was collected of one server.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// By seconds, in a ring.
    tallies: [Tally; SECONDS],
    /// The second that is now, counted from when it was last up.
    second: u64,
    since: u64,
    /// When the latency window was opened, and its answers.
    opened: u64,
    answers: u32,
    /// Of the last window, unless that had too few answers.
    p90: Option<u64>,
    slow: u32,
}

impl Past {
    pub(super) fn new(now: Moment) -> Self {
        Self { since: now.as_nanos(), opened: now.as_nanos(), ..Self::default() }
    }

    /// Counts what came since the last sweep as of this second.
    fn add(&mut self, tally: Tally, now: Moment) {
        let second = now.since(Moment::from_nanos(self.since)).as_secs();
        let gone = second.saturating_sub(self.second).min(SECONDS as u64);
        for step in 0..gone {
            self.tallies[((second - step) % SECONDS as u64) as usize] = Tally::default();
        }
        self.second = self.second.max(second);
        let here = &mut self.tallies[(self.second % SECONDS as u64) as usize];
        here.good = here.good.saturating_add(tally.good);
        here.bad = here.bad.saturating_add(tally.bad);
        self.answers = self.answers.saturating_add(tally.good);
    }

    fn has_few_good(&self, rules: &Eject) -> bool {
        let sum = |of: fn(&Tally) -> u32| self.tallies.iter().map(of).fold(0, u32::saturating_add);
        let (good, bad) = (sum(|tally| tally.good), sum(|tally| tally.bad));
        let all = u64::from(good) + u64::from(bad);
        all >= SUCCESS_REQUESTS_MIN.into()
            && u64::from(good) * 10_000 < all * u64::from(rules.success.0)
    }

    /// Closes the latency window, if it is time.
    fn close(&mut self, counts: &Counts, now: Moment) -> Option<Figure> {
        let age = now.since(Moment::from_nanos(self.opened));
        if age < WINDOW || (self.answers < WINDOW_ANSWERS_MIN && age < WINDOW_MAX) {
            return None;
        }
        let figure = if self.answers < WINDOW_ANSWERS_MIN {
            self.slow = 0;
            counts.clear_took();
            None
        } else {
            counts.close()
        };
        self.opened = now.as_nanos();
        self.answers = 0;
        self.p90 = figure.map(|figure| figure.p90);
        figure
    }

    /// Counts the window that was just closed; answers whether it is slow for too long.
    fn judge(&mut self, slow: bool) -> bool {
        self.slow = if slow { self.slow.saturating_add(1) } else { 0 };
        self.slow >= SLOW_WINDOWS
    }
}

/// Collects what was counted of the servers of one pool, and answers which should be ejected. To be
/// called ten times a second. An ejection that the pool's cap forbids is asked for again.
pub(crate) fn sweep(members: &[&Health], now: Moment, rules: &Eject) -> Vec<(usize, Cause)> {
    let mut out = Vec::new();
    let mut known = Vec::with_capacity(members.len());
    let mut closed = Vec::new();
    for (at, member) in members.iter().enumerate() {
        if member.condition(now) != Condition::Up {
            continue;
        }
        let past = &mut member.lock().past;
        past.add(member.counts.take(), now);
        let figure = past.close(&member.counts, now);
        known.extend(past.p90);
        if past.has_few_good(rules) {
            out.push((at, Cause::Success));
        } else if let Some(figure) = figure {
            closed.push((at, figure));
        }
    }
    if closed.is_empty() || rules.slow.0 == 0 {
        return out;
    }
    known.sort_unstable();
    for (at, figure) in closed {
        let others = median_beside(&known, figure.p90);
        let slow = others.is_some_and(|others| is_slow(figure.surely, others, rules));
        if members[at].lock().past.judge(slow) {
            out.push((at, Cause::Slow));
        }
    }
    let limit = median(known.len(), |nth| known[nth]).map(|others| return_limit(others, rules));
    for member in members.iter().filter(|member| member.condition(now) != Condition::Up) {
        member.lock().limit = limit;
    }
    out
}

fn is_slow(surely: u64, others: u64, rules: &Eject) -> bool {
    let least = others.saturating_add(SLOW_LEAST.as_nanos() as u64);
    surely >= least && surely.saturating_mul(10_000) > others.saturating_mul(rules.slow.0.into())
}

/// Who was slow is back with an answer that is nearer, by ratio, to the others' p90 than to what
/// got it ejected. Of a server still five times as slow (log-normal, σ 0.5) one in five answers is,
/// of one like the others 99 in a hundred; `QUICK_PROBES` of them have to be.
fn return_limit(others: u64, rules: &Eject) -> Duration {
    let others = Duration::from_nanos(others);
    others.mul_f64(rules.slow.factor().sqrt()).max(others + SLOW_LEAST)
}

/// The median of those beside one of the sorted values; `None` of fewer than two.
fn median_beside(sorted: &[u64], own: u64) -> Option<u64> {
    let at = sorted.partition_point(|value| *value < own);
    median(sorted.len().saturating_sub(1), |nth| sorted[nth + usize::from(nth >= at)])
}

fn median(length: usize, nth: impl Fn(usize) -> u64) -> Option<u64> {
    (length >= 2).then(|| u64::midpoint(nth((length - 1) / 2), nth(length / 2)))
}
