//! How many requests a service can work on at once before they only wait there.
//!
//! A gradient (Netflix's Gradient2, Envoy's gradient controller) over a live baseline. [`Learning`] is
//! the arithmetic, pure over moments and samples; [`Limit`] shares it between threads: the data plane
//! reads one number, and whoever finds the arithmetic busy leaves his sample out.
//!
//! - What is compared are geometric means of first-byte latency: a mix of quick and slow requests
//!   moves them smoothly, where a median jumps from one kind to the other.
//! - `short` is the last window's, of at least [`WINDOW_TIME`] and [`WINDOW_SAMPLES`]. The limit follows
//!   `limit × clamp(tolerance × baseline / short, ½, 1) + √limit / 2`, a part of the way each window;
//!   it does not grow while less than half of it is used.
//! - The baseline learns from *easy* samples alone: of requests that came in while at most [`EASY`] of
//!   the limit was in flight, or no more than `least`. It follows them down at once, and up by a tenth a second: a service that
//!   becomes slower for good has a new baseline within half a minute.
//! - A service that stands at its limit gives no easy samples. Then the limit *dips* to [`EASY`] of
//!   itself for a moment, every few seconds. Where requests queue in the service, latency falls with
//!   the limit, and so does the baseline: a baseline that was learned under overload heals itself,
//!   by as much as `EASY` at each dip. Where it does not fall, the service has become slower, and the
//!   baseline is what it takes now, at once. This is no pinned probe (Envoy's, of three in flight, answers
//!   503): a dip is a part of the limit, a twentieth of the time at most, and whoever comes waits.
//! - Timeouts and the like are losses: a window in which a tenth is lost costs a tenth of the limit.
//!
//! The limit is always within `least..=most`, dips included.

use crate::settings;
use base::Moment;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::Duration;

/// Shortest window.
const WINDOW_TIME: Duration = Duration::from_millis(100);
/// Fewest samples of a window …
const WINDOW_SAMPLES: u32 = 50;
/// … but a window that is so old ends with [`WINDOW_SAMPLES_SCARCE`].
const WINDOW_TIME_SCARCE: Duration = Duration::from_secs(2);
/// See [`WINDOW_TIME_SCARCE`].
const WINDOW_SAMPLES_SCARCE: u32 = 10;
/// A window that is so old tells nothing.
const WINDOW_TIME_MAX: Duration = Duration::from_secs(30);
/// Latency may be so many times the baseline before it costs.
const TOLERANCE: f64 = 1.4;
/// What is never called queueing, whatever the baseline.
const SLACK: f64 = 0.001;
/// The part of the way to its aim that the limit goes each window.
const STEP: f64 = 0.3;
/// Samples are easy up to this part of the limit; dips go there. `TOLERANCE × EASY` must stay below
/// 1 - 1/(2√limit) for limits that matter: then a poisoned baseline falls from dip to dip.
const EASY: f64 = 0.5;
/// Easy samples that the baseline is moved by at a time.
const EASY_SAMPLES: u32 = 24;
/// The part of the way down that the baseline goes each time.
const DOWN: f64 = 0.3;
/// The baseline rises by this part of itself a second.
const UP: f64 = 0.1;
/// A dip that leaves so much of the latency shows that requests do not queue.
const FLAT: f64 = 0.8;
/// Pauses between dips: short while the baseline moves, longer and longer while it stands.
const PAUSE_MIN: Duration = Duration::from_millis(500);
/// See [`PAUSE_MIN`].
const PAUSE_MAX: Duration = Duration::from_secs(8);
/// A dip is at most a part of this of the time.
const DIP_SHARE: u32 = 20;
/// A dip lasts for four times what requests take, or as long as this if that is more …
const DIP_TIME_MIN: Duration = Duration::from_millis(300);
/// … and no longer than this.
const DIP_TIME_MAX: Duration = Duration::from_secs(1);
/// So many times the usual latency after the first answer, they come as they do later …
const SETTLED: f64 = 2.0;
/// … or in so many seconds.
const SETTLED_MAX: f64 = 0.5;
/// A change of the baseline that is worth another look soon.
const MOVED: f64 = 0.08;

/// The limit of a service, shared by all threads.
#[derive(Debug)]
pub struct Limit {
    current: AtomicU32,
    /// The baseline in nanoseconds; 0 while unknown.
    baseline: AtomicU64,
    learning: Mutex<Learning>,
}

impl Limit {
    /// A limit that has learned nothing.
    pub fn new(settings: &settings::Limit) -> Self {
        let learning = Learning::new(settings.start, settings.least, settings.most);
        Self {
            current: AtomicU32::new(learning.current()),
            baseline: AtomicU64::new(0),
            learning: Mutex::new(learning),
        }
    }

    /// A request ended at `now`, its first byte having `took` so long; `in_flight` were in flight
    /// when it was let in, itself included; `lost`: it ended in a timeout or an answer that tells of
    /// overload. Never waits.
    pub fn sample(&self, now: Moment, took: Duration, in_flight: u32, lost: bool) {
        let mut learning = match self.learning.try_lock() {
            Ok(learning) => learning,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        learning.sample(now, took, in_flight, lost);
        let current = learning.current();
        let baseline = learning.baseline().map_or(0, |baseline| baseline.as_nanos() as u64);
        if self.current.load(Ordering::Relaxed) != current {
            self.current.store(current, Ordering::SeqCst);
        }
        self.baseline.store(baseline, Ordering::Relaxed);
    }

    /// How many may be in flight; at least 1.
    pub fn current(&self) -> u32 {
        self.current.load(Ordering::SeqCst)
    }

    /// What first bytes take when nothing queues, if that is known.
    pub fn baseline(&self) -> Option<Duration> {
        let nanos = self.baseline.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }

    /// The same limit under other settings: what was learned is kept within the new bounds.
    #[must_use]
    pub fn settled(&self, settings: &settings::Limit) -> Self {
        let before = self.learning.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut learning = before.clone();
        drop(before);
        learning.bound(settings.least, settings.most);
        let baseline = AtomicU64::new(self.baseline.load(Ordering::Relaxed));
        Self {
            current: AtomicU32::new(learning.current()),
            baseline,
            learning: Mutex::new(learning),
        }
    }
}

/// Latencies of some requests.
#[derive(Clone, Debug, Default)]
struct Tally {
    /// Sum of the logarithms of seconds.
    logs: f64,
    answered: u32,
    lost: u32,
}

impl Tally {
    fn add(&mut self, took: Duration) {
        self.logs += took.as_secs_f64().max(1e-6).ln();
        self.answered += 1;
    }

    /// The geometric mean in seconds.
    fn mean(&self) -> f64 {
        (self.logs / f64::from(self.answered.max(1))).exp()
    }
}

/// What is learned of a service's limit.
#[derive(Clone, Debug)]
pub struct Learning {
    least: f64,
    most: f64,
    limit: f64,
    /// In seconds.
    baseline: Option<f64>,
    /// The last window's latency.
    short: f64,
    /// When the baseline was last moved.
    moved: Moment,
    window: Tally,
    window_begun: Option<Moment>,
    /// The most that were in flight in the window, and the sum for a mean.
    used_max: u32,
    used_sum: f64,
    easy: Tally,
    /// Until when the dip goes at most, if there is one, and when it began.
    dip: Option<(Moment, Moment)>,
    /// When the next dip may begin.
    next_dip: Moment,
    pause: Duration,
    /// When the first sample came.
    born: Option<Moment>,
}

impl Learning {
    /// Nothing is known.
    pub fn new(start: u32, least: u32, most: u32) -> Self {
        let mut learning = Self {
            least: 1.0,
            most: f64::from(u32::MAX),
            limit: f64::from(start),
            baseline: None,
            short: 0.0,
            moved: Moment::from_nanos(0),
            window: Tally::default(),
            window_begun: None,
            used_max: 0,
            used_sum: 0.0,
            easy: Tally::default(),
            dip: None,
            next_dip: Moment::from_nanos(0),
            pause: PAUSE_MIN,
            born: None,
        };
        learning.bound(least, most);
        learning
    }

    fn bound(&mut self, least: u32, most: u32) {
        self.least = f64::from(least.max(1));
        self.most = f64::from(most).max(self.least);
        self.limit = self.limit.clamp(self.least, self.most);
    }

    /// How many may be in flight.
    #[expect(clippy::cast_sign_loss, reason = "a limit is at least 1")]
    pub fn current(&self) -> u32 {
        let limit = if self.dip.is_some() { self.easy_limit() } else { self.limit };
        limit.round() as u32
    }

    /// Up to so many in flight a sample is easy.
    fn easy_limit(&self) -> f64 {
        (self.limit * EASY).max(self.least)
    }

    /// What first bytes take when nothing queues.
    pub fn baseline(&self) -> Option<Duration> {
        self.baseline.map(Duration::from_secs_f64)
    }

    /// As [`Limit::sample`].
    pub fn sample(&mut self, now: Moment, took: Duration, in_flight: u32, lost: bool) {
        let begun = *self.window_begun.get_or_insert(now);
        self.used_max = self.used_max.max(in_flight);
        self.used_sum += f64::from(in_flight);
        if lost {
            self.window.lost += 1;
        } else {
            self.window.add(took);
            let is_easy = f64::from(in_flight) <= self.easy_limit().round();
            if self.baseline.is_none() || is_easy {
                self.easy.add(took);
            }
        }
        self.born.get_or_insert(now);
        self.learn_baseline(now);
        let samples = self.window.answered + self.window.lost;
        let age = now.since(begun);
        if (age >= WINDOW_TIME && samples >= WINDOW_SAMPLES)
            || (age >= WINDOW_TIME_SCARCE && samples >= WINDOW_SAMPLES_SCARCE)
        {
            self.end_window(now, samples);
        } else if age >= WINDOW_TIME_MAX {
            self.begin_window();
        }
    }

    fn begin_window(&mut self) {
        self.window = Tally::default();
        self.window_begun = None;
        self.used_max = 0;
        self.used_sum = 0.0;
    }

    /// Whoever answers first is the quickest of those asked: of a service that is asked by many from
    /// the first moment on, the first answers say too little of how long one takes.
    fn is_settling(&self, now: Moment) -> bool {
        let age = self.born.map_or(Duration::ZERO, |born| now.since(born));
        let usual = (SETTLED * self.easy.mean()).min(SETTLED_MAX);
        self.baseline.is_none() && (age < WINDOW_TIME || age.as_secs_f64() < usual)
    }

    /// Moves the baseline when there are easy samples enough, and ends the dip that was for them.
    fn learn_baseline(&mut self, now: Moment) {
        let late = self.dip.is_some_and(|(_, until)| now >= until);
        if self.easy.answered >= EASY_SAMPLES && !self.is_settling(now) {
            let easy = self.easy.mean();
            self.easy = Tally::default();
            let elapsed = now.since(self.moved).as_secs_f64().clamp(0.0, 2.5);
            self.moved = now;
            // Half as many in flight and as slow as before: it is the service, and not its queue.
            let is_flat = self.dip.is_some() && easy >= FLAT * self.short;
            let moved = match self.baseline {
                None => easy,
                Some(_) if is_flat => easy,
                Some(known) if easy < known => known + (easy - known) * DOWN,
                Some(known) => easy.min(known * (1.0 + UP * elapsed)),
            };
            let known = self.baseline.replace(moved).unwrap_or(moved);
            let moves = (easy / known - 1.0).abs() > 3.0 * MOVED || easy < known * (1.0 - MOVED);
            self.pause = if moves { PAUSE_MIN } else { (self.pause * 2).min(PAUSE_MAX) };
            self.end_dip(now);
            self.next_dip = self.next_dip.max(now + self.pause);
        } else if late {
            self.end_dip(now);
            self.next_dip = self.next_dip.max(now + self.pause);
        }
    }

    fn end_dip(&mut self, now: Moment) {
        if let Some((begun, _)) = self.dip.take() {
            self.next_dip = now + now.since(begun) * DIP_SHARE;
            self.begin_window();
        }
    }

    fn end_window(&mut self, now: Moment, samples: u32) {
        let window = std::mem::take(&mut self.window);
        let (used_max, used) = (f64::from(self.used_max), self.used_sum / f64::from(samples));
        self.begin_window();
        if self.dip.is_some() {
            return;
        }
        let lost = f64::from(window.lost) / f64::from(samples);
        if lost > 0.0 {
            self.limit *= 1.0 - 0.1 * (lost * 10.0).min(1.0);
        }
        if let Some(baseline) = self.baseline.filter(|_| window.answered > 0) {
            self.short = window.mean();
            let gradient = (TOLERANCE * baseline + SLACK) / self.short;
            let aim = if used > self.limit {
                // Not in force: what is in flight now is what brought this latency about (Little).
                used * gradient.min(1.0)
            } else {
                self.limit * gradient.clamp(0.5, 1.0)
            };
            let aim = aim.max(self.limit / 2.0) + self.limit.sqrt() / 2.0;
            if aim < self.limit || used_max >= self.limit / 2.0 && lost == 0.0 {
                self.limit += (aim - self.limit) * STEP;
            }
        }
        self.limit = self.limit.clamp(self.least, self.most);
        let is_full = used >= self.limit * 0.8 && self.limit > self.least;
        if now >= self.next_dip && is_full && self.baseline.is_some() {
            let time = Duration::from_secs_f64(4.0 * self.short);
            self.easy = Tally::default();
            self.dip = Some((now, now + time.clamp(DIP_TIME_MIN, DIP_TIME_MAX)));
        }
    }
}

#[cfg(test)]
mod tests;
