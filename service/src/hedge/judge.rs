//! Whether hedging pays: what one thread decides twice a second from what all have recorded.
//!
//! The measure is the *usual time*: the geometric mean of all but the slowest answers. Queues show in
//! it at once, stalls that hedging is there for do not, and unlike a median it does not jump where a
//! service has fast and slow requests in equal parts. Each comes with its standard error; a change is
//! one that is larger than chance.

use super::latencies::{Sum, Window};
use super::{NotNow, Off, WINDOWS};
use base::{Moment, Share};
use std::time::Duration;

/// Before this much time is over, answers slower than that were not seen.
const LEARN_TIME: Duration = Duration::from_secs(2);
/// Slow answers that make a percentile: with 20, the share beyond it is right to about a fifth, and
/// the budget holds the rest. Finagle and others ask for 1,000 answers; at 5 % these are 400.
const TAIL_MIN: u64 = 20;
const LEARN_MIN: u64 = 200;
const LEARN_MAX: u64 = 1_000;
/// How long one window is open, where enough is recorded in it …
const WINDOW: Duration = Duration::from_secs(5);
/// … and where not: a service asked a few times a second still has a percentile, of some minutes.
const WINDOW_MAX: Duration = Duration::from_mins(1);
/// Answers that make a usual time.
const SLICE_MIN: u64 = 200;
/// What of a rise above the usual time without hedging is no matter, as a logarithm: 30 % …
const RISE: f64 = 0.26;
/// … and when the rest, summed over slices, calls for a trial: at once if the time has doubled, the
/// second time if it is two thirds longer.
const RISEN: f64 = 0.5;
/// Logarithm of the fall in a trial that convicts: the time before it was 15 % longer.
const FALL: f64 = 0.14;
/// A trial that does not convict raises the usual time without hedging to what it found, by 50 % at
/// most: queues may not have been empty yet.
const RAISE_MAX: f64 = 0.4;
/// Slices of a trial, behind the first, that acquit; one can convict. With 6 of them, 1 seed of 1,000
/// at 92 % load was acquitted while its queues drained, and became 2.9 times as slow.
const TRIAL_SLICES: u32 = 10;
/// Standard errors that are more than chance.
const ERRORS: f64 = 3.0;
/// How long it stays off the first time, and at most.
const OFF_TIME: Duration = Duration::from_secs(30);
const OFF_TIME_MAX: Duration = Duration::from_mins(8);
/// Second tries after which it is known whether they win …
const ENDED_MIN: u32 = 100;
/// … and how many do at least, in a hundred: one costs a request, and saves less than a stall.
const WON_MIN: u32 = 5;

#[derive(Debug)]
pub(super) struct Judge {
    extra: Share,
    phase: Phase,
    since: Moment,
    /// All windows together.
    whole: Sum,
    /// What was recorded since the last usual time.
    slice: Sum,
    /// What of the current window is in `slice`, or was.
    counted: Vec<u32>,
    opened: Option<Moment>,
    delay: Option<Duration>,
    /// The usual time without hedging.
    base: Option<Usual>,
    /// Slices to leave out: they hold answers from before a change.
    settle: u32,
    /// By how much the usual time has lately been above what is no matter, slice after slice.
    risen: f64,
    /// How often in a row it was turned off.
    times: u32,
    turned_off: u64,
    ended: u32,
    won: u32,
}

#[derive(Debug)]
enum Phase {
    Learning,
    On,
    /// Off for some slices: the usual time before it, and how many there were.
    Trial(Usual, u32),
    Off(Moment, Off),
}

/// A usual time: the mean of logarithms, and the variance of that mean.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Usual {
    log: f64,
    variance: f64,
}

impl Judge {
    pub(super) fn new(extra: Share) -> Self {
        Self {
            extra,
            phase: Phase::Learning,
            since: Moment::from_nanos(0),
            whole: Sum::new(),
            slice: Sum::new(),
            counted: vec![0; super::latencies::BUCKETS],
            opened: None,
            delay: None,
            base: None,
            settle: 0,
            risen: 0.0,
            times: 0,
            turned_off: 0,
            ended: 0,
            won: 0,
        }
    }

    /// So many second tries ended, of which so many won.
    pub(super) fn count(&mut self, ended: u32, won: u32) {
        self.ended += ended;
        self.won += won;
    }

    pub(super) fn turned_off(&self) -> u64 {
        self.turned_off
    }

    pub(super) fn answer(&self) -> Result<Duration, NotNow> {
        match (&self.phase, self.delay) {
            (Phase::Learning, _) => Err(NotNow::Learning),
            (Phase::Trial(..), _) => Err(NotNow::Trial),
            (Phase::Off(_, why), _) => Err(NotNow::Off(*why)),
            (Phase::On, Some(delay)) => Ok(delay),
            (Phase::On, None) => Err(NotNow::Off(Off::Endless)),
        }
    }

    /// Looks at what was recorded; answers which window is to be recorded in from now on, if another.
    pub(super) fn look(
        &mut self,
        now: Moment,
        windows: &[Window; WINDOWS],
        current: usize,
    ) -> Option<usize> {
        let opened = *self.opened.get_or_insert_with(|| {
            self.since = now;
            now
        });
        let mut in_window = 0;
        for (bucket, count) in windows[current].counts().enumerate() {
            let before = std::mem::replace(&mut self.counted[bucket], count);
            self.slice.add(bucket, count.wrapping_sub(before));
            in_window += u64::from(count);
        }
        self.whole.clear();
        for window in windows {
            window.counts().enumerate().for_each(|(bucket, n)| self.whole.add(bucket, n));
        }
        self.delay = self.whole.exceeded_by(u64::from(self.extra.0), 10_000);
        self.step(now);
        let open = now.since(opened);
        // All but the one just begun suffice.
        let full = in_window >= self.learn_min().div_ceil(WINDOWS as u64 - 1);
        if open < WINDOW || (!full && open < WINDOW_MAX) {
            return None;
        }
        let next = (current + 1) % WINDOWS;
        windows[next].clear();
        self.counted.fill(0);
        self.opened = Some(now);
        Some(next)
    }

    fn step(&mut self, now: Moment) {
        if let Phase::Off(until, _) = self.phase
            && now >= until
        {
            self.enter(now, Phase::On);
        }
        if let Phase::Learning = self.phase {
            let learned = self.whole.total() >= self.learn_min();
            if !learned || now.since(self.since) < LEARN_TIME {
                return;
            }
            self.enter(now, Phase::On);
        }
        self.judge_wins(now);
        if self.slice.total() < SLICE_MIN {
            return;
        }
        let usual = Usual::of(&self.slice, self.extra);
        self.slice.clear();
        if self.settle > 0 {
            self.settle -= 1;
            return;
        }
        self.judge(now, usual);
    }

    fn judge(&mut self, now: Moment, usual: Usual) {
        match &mut self.phase {
            Phase::Learning => {}
            // What it takes without hedging is learned for when hedging is tried again.
            Phase::Off(..) => self.base = Some(self.base.map_or(usual, |base| base.towards(usual))),
            Phase::Trial(before, slices) => {
                *slices += 1;
                let convicted = before.above(&usual, FALL) > 0.0;
                if !convicted && *slices < TRIAL_SLICES {
                    return;
                }
                let raised = |base: Usual| usual.at_most(base.log + RAISE_MAX);
                self.base = Some(self.base.map_or(usual, raised));
                if convicted {
                    self.turn_off(now, Off::Slower);
                } else {
                    self.enter(now, Phase::On);
                }
            }
            Phase::On => {
                let base = *self.base.get_or_insert(usual);
                if usual.log < base.log {
                    self.base = Some(base.towards(usual));
                }
                self.risen = (self.risen + usual.above(&base, RISE)).max(0.0);
                if self.risen > RISEN {
                    self.enter(now, Phase::Trial(usual, 0));
                } else if self.times > 0 && now.since(self.since) >= off_time(self.times) {
                    // It has been good for as long as it was off: forgotten.
                    self.times -= 1;
                    self.since = now;
                }
            }
        }
    }

    fn judge_wins(&mut self, now: Moment) {
        if self.ended < ENDED_MIN {
            return;
        }
        let useless = u64::from(self.won) * 100 < u64::from(self.ended) * u64::from(WON_MIN);
        (self.ended, self.won) = (0, 0);
        if useless && matches!(self.phase, Phase::On) {
            self.turn_off(now, Off::Useless);
        }
    }

    fn turn_off(&mut self, now: Moment, why: Off) {
        self.times += 1;
        self.turned_off += 1;
        self.enter(now, Phase::Off(now + off_time(self.times), why));
    }

    fn enter(&mut self, now: Moment, phase: Phase) {
        // From learning to hedging, what was recorded is of the time without.
        self.settle = u32::from(!matches!(self.phase, Phase::Learning));
        self.phase = phase;
        self.since = now;
        self.risen = 0.0;
    }

    /// How many answers make a percentile.
    fn learn_min(&self) -> u64 {
        let tail = TAIL_MIN * 10_000 / u64::from(self.extra.0.max(1));
        tail.clamp(LEARN_MIN, LEARN_MAX)
    }
}

/// How long it stays off when it has been turned off so many times in a row.
fn off_time(times: u32) -> Duration {
    let factor = 1_u32.checked_shl(times.saturating_sub(1)).unwrap_or(u32::MAX);
    OFF_TIME.saturating_mul(factor).min(OFF_TIME_MAX)
}

impl Usual {
    fn of(slice: &Sum, extra: Share) -> Self {
        let (n, log, square) = slice.logs(u64::from(extra.0), 10_000);
        let log = log / n;
        Self { log, variance: (square / n - log * log).max(0.0) / n }
    }

    /// A fifth of the way to another.
    fn towards(self, other: Self) -> Self {
        let mix = |from: f64, to: f64| from * 0.8 + to * 0.2;
        Self { log: mix(self.log, other.log), variance: mix(self.variance, other.variance) }
    }

    fn at_most(self, log: f64) -> Self {
        Self { log: self.log.min(log), ..self }
    }

    /// How far this is above the other by more than `by` and by more than chance.
    fn above(&self, other: &Self, by: f64) -> f64 {
        let chance = ERRORS * (self.variance + other.variance).sqrt();
        self.log - other.log - by.max(chance)
    }
}
