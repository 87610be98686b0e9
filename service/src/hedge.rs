//! When a request is sent a second time because the first takes unusually long.
//!
//! One knob: the share of requests that may be added. A [`Hedge`] learns how long first bytes take and
//! waits for the percentile that just so many exceed; a budget of its own, beside the one it shares
//! with retries, holds that share whatever was learned. It also judges itself, since what a backend
//! does with a request that nobody waits for any more cannot be seen: a backend that works on it to
//! the end, near its limit, becomes slower for everybody by being asked twice. So whenever the median
//! rises above what it was without hedging, hedging rests for a few seconds; if the median then falls,
//! it was the cause, and stays off for a while, longer each time. It stays off, too, where second
//! tries do not win.
//!
//! Sources: Dean and Barroso, The Tail at Scale (CACM 2013); Finagle's `BackupRequestFilter`: delay =
//! percentile (1 - extra), at least 1 ms, fast failures are not recorded, superseded requests are, no
//! reserve. Ours: the judgement.

use crate::budget::Budget;
use crate::settings;
use base::{Moment, Share};
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};
use std::time::Duration;

mod judge;
mod latencies;
#[cfg(test)]
mod tests;

use judge::Judge;
use latencies::Window;

/// Windows that are looked at together.
const WINDOWS: usize = 6;
/// The shortest delay: below, the second request costs more than it saves.
const DELAY_MIN: u64 = 1_000_000;
/// How often the delay is computed anew, and whether it pays.
const TICK: Duration = Duration::from_millis(500);

/// Why a request is not sent twice now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotNow {
    /// Not enough is known yet of how long answers take.
    Learning,
    /// Hedging rests, to see whether the service is faster without.
    Trial,
    /// It did not pay.
    Off(Off),
    /// The share that may be added is used up.
    Extra,
    /// The budget shared with retries is used up.
    Budget,
    /// The pool has nothing to spare.
    Saturated,
    /// There is no other server to ask.
    Alone,
}

/// Why hedging is turned off for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Off {
    /// With it every other answer takes longer than without.
    Slower,
    /// Second tries hardly ever win.
    Useless,
    /// What would be waited for is longer than can be measured.
    Endless,
}

impl NotNow {
    /// The name that reaches log and metric.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Learning => "learning",
            Self::Trial => "trial",
            Self::Off(Off::Slower) => "slower",
            Self::Off(Off::Useless) => "useless",
            Self::Off(Off::Endless) => "endless",
            Self::Extra => "extra",
            Self::Budget => "budget",
            Self::Saturated => "saturated",
            Self::Alone => "alone",
        }
    }
}

/// How busy a pool is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PoolLoad {
    /// Servers that may be asked.
    pub servers: u32,
    /// Requests in flight to all of them.
    pub in_flight: u32,
    /// How many may be, if a limit is known, in force or only observed.
    pub limit: Option<u32>,
    /// Requests that wait to be let through.
    pub waiting: u32,
}

impl PoolLoad {
    /// Does somebody wait, or would hardly one more request be let through?
    pub fn is_saturated(&self) -> bool {
        let full = |limit: u32| u64::from(self.in_flight) * 10 >= u64::from(limit) * 9;
        self.waiting > 0 || self.limit.is_some_and(full)
    }
}

/// How a try ended whose time is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// With an answer that is no failure.
    Answered,
    /// It was given up for another, or its client left.
    Superseded,
}

/// Which try of a hedged request answered first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Won {
    /// The first: the second was sent in vain.
    First,
    /// The second.
    Second,
}

/// What hedging did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Second tries sent.
    pub sent: u64,
    /// Second tries that won.
    pub won: u64,
    /// How often hedging was turned off.
    pub turned_off: u64,
}

/// The hedging of one service. Shared by all threads.
#[derive(Debug)]
pub struct Hedge {
    extra: Share,
    own: Budget,
    /// What [`Hedge::delay`] answers, as a number: see [`to_number`].
    answer: AtomicU64,
    /// When the next tick is due, in nanoseconds.
    due: AtomicU64,
    windows: [Window; WINDOWS],
    current: AtomicUsize,
    judge: Mutex<Judge>,
    sent: AtomicU64,
    won: AtomicU64,
    /// Second tries that ended since the judge looked last, and of these those that won.
    ended_lately: AtomicU32,
    won_lately: AtomicU32,
}

impl Hedge {
    /// Nothing learned yet.
    pub fn new(settings: &settings::Hedge) -> Self {
        Self {
            extra: settings.extra,
            own: Budget::new(settings.extra, 0),
            answer: AtomicU64::new(to_number(Err(NotNow::Learning))),
            due: AtomicU64::new(0),
            windows: std::array::from_fn(|_| Window::new()),
            current: AtomicUsize::new(0),
            judge: Mutex::new(Judge::new(settings.extra)),
            sent: AtomicU64::new(0),
            won: AtomicU64::new(0),
            ended_lately: AtomicU32::new(0),
            won_lately: AtomicU32::new(0),
        }
    }

    /// One try took so long to its first byte. Tries that failed are not told: failing fast is not
    /// being fast.
    pub fn record(&self, took: Duration, seen: Seen) {
        // That it was given up sooner than any is hedged says nothing of how long it would have taken.
        let delay = self.answer.load(Ordering::Relaxed).max(DELAY_MIN);
        if seen == Seen::Superseded && took.as_nanos() < u128::from(delay) {
            return;
        }
        self.windows[self.current.load(Ordering::Relaxed)].record(took);
    }

    /// After which time without an answer the request that is sent now may be sent again, or why it
    /// may not. Asked once for each request that could be; each that has a delay adds its share to what
    /// may be sent.
    ///
    /// # Errors
    /// [`NotNow::Learning`], [`NotNow::Trial`], [`NotNow::Off`].
    pub fn delay(&self, now: Moment) -> Result<Duration, NotNow> {
        self.tick(now);
        let delay = from_number(self.answer.load(Ordering::Relaxed));
        // Nothing is saved up while it is off: hedging does not begin with a burst.
        if delay.is_ok() {
            self.own.deposit(now);
        }
        delay
    }

    /// The delay has passed without an answer: may a second try be sent? If so it is paid for, here
    /// and from the budget `common` with retries.
    ///
    /// # Errors
    /// Why not.
    pub fn fire(&self, now: Moment, load: PoolLoad, common: &Budget) -> Result<(), NotNow> {
        // It may have been turned off since.
        from_number(self.answer.load(Ordering::Relaxed))?;
        if load.servers < 2 {
            return Err(NotNow::Alone);
        }
        if load.is_saturated() {
            return Err(NotNow::Saturated);
        }
        if !self.own.withdraw(now) {
            return Err(NotNow::Extra);
        }
        if !common.withdraw(now) {
            self.own.restore(now);
            return Err(NotNow::Budget);
        }
        self.sent.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    /// A request that was sent twice was answered: by which try. How much sooner than without could only
    /// be known by waiting for the other.
    pub fn ended(&self, won: Won) {
        self.ended_lately.fetch_add(1, Ordering::Relaxed);
        if won == Won::Second {
            self.won_lately.fetch_add(1, Ordering::Relaxed);
            self.won.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What it did so far.
    pub fn figures(&self) -> Figures {
        let judge = self.judge.lock().unwrap_or_else(PoisonError::into_inner);
        Figures {
            sent: self.sent.load(Ordering::Relaxed),
            won: self.won.load(Ordering::Relaxed),
            turned_off: judge.turned_off(),
        }
    }

    /// The delay in force, or why there is none: for metrics.
    ///
    /// # Errors
    /// As [`Hedge::delay`].
    pub fn state(&self) -> Result<Duration, NotNow> {
        from_number(self.answer.load(Ordering::Relaxed))
    }

    /// Twice a second one thread looks at what all have recorded.
    fn tick(&self, now: Moment) {
        if now.as_nanos() < self.due.load(Ordering::Relaxed) {
            return;
        }
        let mut judge = match self.judge.try_lock() {
            Ok(judge) => judge,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        if now.as_nanos() < self.due.load(Ordering::Relaxed) {
            return;
        }
        self.due.store((now + TICK).as_nanos(), Ordering::Relaxed);
        let ended = self.ended_lately.swap(0, Ordering::Relaxed);
        let won = self.won_lately.swap(0, Ordering::Relaxed);
        judge.count(ended, won.min(ended));
        let current = self.current.load(Ordering::Relaxed);
        let turn = judge.look(now, &self.windows, current);
        if let Some(next) = turn {
            self.current.store(next, Ordering::Relaxed);
        }
        self.answer.store(to_number(judge.answer()), Ordering::Relaxed);
    }

    /// The share that may be added.
    pub fn extra(&self) -> Share {
        self.extra
    }
}

/// A delay as nanoseconds, of which there are [`DELAY_MIN`] at least; a reason as a smaller number.
fn to_number(answer: Result<Duration, NotNow>) -> u64 {
    match answer {
        Ok(delay) => u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX).max(DELAY_MIN),
        Err(NotNow::Trial) => 1,
        Err(NotNow::Off(Off::Slower)) => 2,
        Err(NotNow::Off(Off::Useless)) => 3,
        Err(NotNow::Off(Off::Endless)) => 4,
        Err(_) => 0,
    }
}

fn from_number(number: u64) -> Result<Duration, NotNow> {
    Err(match number {
        0 => NotNow::Learning,
        1 => NotNow::Trial,
        2 => NotNow::Off(Off::Slower),
        3 => NotNow::Off(Off::Useless),
        4 => NotNow::Off(Off::Endless),
        nanos => return Ok(Duration::from_nanos(nanos)),
    })
}
