//! How fast a service may be asked: a bucket of tokens, a limit of jobs at once that adapts, a pause
//! while it is in distress. Pure.
//!
//! A [`Pace`] is one queue's. Four things hold a job back, and [`Pace::next`] is the latest of them:
//! the rate (a [`Bucket`]), the limit, a pause that the service asked for (`Retry-After`), and the
//! breaker. The limit begins at what the settings allow and never exceeds it; a sign of distress halves
//! it, once a second at most, each round of good answers adds one. After [`FAILURES`] failures in a row
//! the service is taken to be away: nothing goes for a time that doubles, then one *probe*, so that an
//! outage costs jobs no tries. When a probe comes back well, the limit begins at one and doubles each
//! round.
//!
//! Replays have a rate of their own, and at most half of the limit.

mod bucket;

pub use bucket::Bucket;

use crate::book::Tried;
use crate::job::Reason;
use crate::settings::Queue;
use base::Wall;
use std::time::Duration;

/// So many failures in a row, and the service is taken to be away.
pub const FAILURES: u32 = 5;
/// The first pause of a service that is away.
pub const PAUSE: Duration = Duration::from_secs(1);
/// The longest: nobody waits for longer after the service is back, and one try.
pub const PAUSE_MAX: Duration = Duration::from_secs(30);
/// The limit is halved at most once in this time: what comes back meanwhile tells of the same distress.
const CUT_EVERY: Duration = Duration::from_secs(1);

/// One queue's pace.
#[derive(Clone, Debug)]
pub struct Pace {
    /// The limit that the settings allow; at least 1.
    at_once: usize,
    /// The longest pause that a service may ask for.
    asked_max: Duration,
    rate: Option<Bucket>,
    replay_rate: Option<Bucket>,
    /// What is learned: from 1 to `at_once`.
    limit: f64,
    /// Below it the limit grows by one for each good answer, above it for each round of them.
    steep: f64,
    /// Those that were out when the limit was last reached: they tell whether it is too high, and who
    /// goes while there is room does not.
    testing: usize,
    running: usize,
    replays: usize,
    cut_at: Option<Wall>,
    paused_until: Wall,
    failures: u32,
    breaker: Breaker,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Breaker {
    Closed,
    /// Nothing goes before `until`; then one probe.
    Open {
        until: Wall,
        pause: Duration,
    },
    /// The probe is out.
    Probing {
        pause: Duration,
    },
}

/// What a try says of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Well,
    /// It says nothing of the service.
    None,
    Failing,
    /// Too much is asked of it.
    Distress(Option<Duration>),
}

impl Sign {
    fn of(tried: &Tried, is_first: bool) -> Self {
        match *tried {
            Tried::Answered { status: 429 | 503, retry_after } => Self::Distress(retry_after),
            Tried::Answered { status: 200..=499, .. } => Self::Well,
            Tried::Answered { status: 502 | 504, .. } => Self::Failing,
            Tried::Failed(Reason::Timeout | Reason::Unreachable) => Self::Distress(None),
            // A job that fails whenever it is tried tells of itself, not of the service: alone in its
            // queue it would have all who come later wait for a service that is well.
            Tried::Answered { .. } | Tried::Failed(Reason::BadAnswer) if is_first => Self::Failing,
            Tried::Answered { .. } | Tried::Failed(_) => Self::None,
        }
    }
}

impl Pace {
    /// By these rules.
    pub fn new(rules: &Queue) -> Self {
        let at_once = rules.at_once.max(1);
        Self {
            at_once,
            asked_max: rules.retry.pause_max,
            rate: rules.rate.map(|rate| Bucket::new(rate, at_once)),
            replay_rate: rules.replay_rate.map(|rate| Bucket::new(rate, at_once)),
            limit: at_once as f64,
            steep: 1.0,
            testing: 0,
            running: 0,
            replays: 0,
            cut_at: None,
            paused_until: Wall(0),
            failures: 0,
            breaker: Breaker::Closed,
        }
    }

    /// By new rules; what was learned is kept.
    pub fn settle(&mut self, rules: &Queue, now: Wall) {
        let was_full = self.limit >= self.at_once as f64;
        self.at_once = rules.at_once.max(1);
        self.asked_max = rules.retry.pause_max;
        let most = self.at_once as f64;
        self.limit = if was_full { most } else { self.limit.min(most) };
        let new = |rate, old: Option<Bucket>| match old {
            Some(old) => old.settled(rate, self.at_once, now),
            None => Bucket::new(rate, self.at_once),
        };
        self.rate = rules.rate.map(|rate| new(rate, self.rate));
        self.replay_rate = rules.replay_rate.map(|rate| new(rate, self.replay_rate));
    }

    /// When the next may go, `now` included; `None`: something must come back first.
    pub fn next(&self, is_replay: bool, now: Wall) -> Option<Wall> {
        let limit = self.limit();
        let until = match self.breaker {
            Breaker::Closed if self.running < limit => Wall(0),
            Breaker::Open { until, .. } if self.running < self.at_once => until,
            _ => return None,
        };
        if is_replay && self.replays >= (limit / 2).max(1) {
            return None;
        }
        let rate = self.bucket(is_replay).map_or(Wall(0), Bucket::next);
        Some(now.max(until).max(self.paused_until).max(rate))
    }

    /// One goes, as [`Pace::next`] allowed; is it a probe?
    pub fn take(&mut self, is_replay: bool, now: Wall) -> bool {
        if let Some(rate) = self.bucket_mut(is_replay) {
            rate.take(now);
        }
        self.enter(is_replay);
        if let Breaker::Open { pause, .. } = self.breaker {
            self.breaker = Breaker::Probing { pause };
            return true;
        }
        false
    }

    /// One runs that nobody asked about: it ran before.
    pub fn enter(&mut self, is_replay: bool) {
        self.running += 1;
        self.replays += usize::from(is_replay);
        if self.running >= self.limit() {
            self.testing = self.running;
        }
    }

    /// One that ran is over; what it says is told to [`Pace::tell`] before.
    pub fn leave(&mut self, is_replay: bool) {
        self.running = self.running.saturating_sub(1);
        self.replays = self.replays.saturating_sub(usize::from(is_replay));
    }

    /// One that was taken did not go; [`Pace::leave`] follows.
    pub fn untake(&mut self, is_replay: bool, is_probe: bool, now: Wall) {
        if let Some(rate) = self.bucket_mut(is_replay) {
            rate.untake();
        }
        self.probe_without_news(is_probe, now);
    }

    /// A probe ended without a word about the service: another may go.
    pub fn probe_without_news(&mut self, is_probe: bool, now: Wall) {
        if let (true, Breaker::Probing { pause }) = (is_probe, self.breaker) {
            self.breaker = Breaker::Open { until: now, pause };
        }
    }

    /// What came of one. `is_first`: the job was not tried before.
    pub fn tell(&mut self, tried: &Tried, is_first: bool, is_probe: bool, now: Wall) {
        let sign = Sign::of(tried, is_first);
        match sign {
            Sign::Well => self.well(is_probe),
            Sign::None => {}
            Sign::Failing => self.failures = self.failures.saturating_add(1),
            Sign::Distress(asked) => {
                self.failures = self.failures.saturating_add(1);
                self.cut(now);
                let asked = asked.unwrap_or_default().min(self.asked_max);
                self.paused_until = self.paused_until.max(now + asked);
            }
        }
        match self.breaker {
            Breaker::Closed if self.failures >= FAILURES => {
                self.breaker = Breaker::Open { until: now + PAUSE, pause: PAUSE };
            }
            Breaker::Probing { .. } if is_probe && sign == Sign::None => {
                self.probe_without_news(true, now);
            }
            Breaker::Probing { pause } if is_probe => {
                let pause = (pause * 2).min(PAUSE_MAX);
                self.breaker = Breaker::Open { until: now + pause, pause };
            }
            _ => {}
        }
    }

    fn well(&mut self, is_probe: bool) {
        match self.breaker {
            Breaker::Probing { .. } if is_probe => {
                self.breaker = Breaker::Closed;
                self.failures = 0;
                self.limit = 1.0;
                self.steep = self.at_once as f64;
            }
            // Who left before the service went says nothing of whether it is back.
            Breaker::Probing { .. } | Breaker::Open { .. } => return,
            Breaker::Closed => self.failures = 0,
        }
        if self.testing > 0 {
            self.testing -= 1;
            let step = if self.limit < self.steep { 1.0 } else { 1.0 / self.limit };
            self.limit = (self.limit + step).min(self.at_once as f64);
        }
    }

    fn cut(&mut self, now: Wall) {
        if self.cut_at.is_none_or(|at| now.since(at) >= CUT_EVERY) {
            self.cut_at = Some(now);
            self.limit = (self.limit / 2.0).max(1.0);
            self.steep = self.limit;
        }
    }

    fn bucket_mut(&mut self, is_replay: bool) -> Option<&mut Bucket> {
        let own = if is_replay { self.replay_rate.as_mut() } else { None };
        own.or(self.rate.as_mut())
    }

    fn bucket(&self, is_replay: bool) -> Option<&Bucket> {
        let own = if is_replay { self.replay_rate.as_ref() } else { None };
        own.or(self.rate.as_ref())
    }

    /// How many may run at once, as learned.
    pub fn limit(&self) -> usize {
        // At least 1, at most `at_once`: no sign, no overflow.
        #[expect(clippy::cast_sign_loss, reason = "it is positive")]
        let limit = self.limit as usize;
        limit
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.running
    }

    /// Is the service taken to be away?
    pub fn is_away(&self) -> bool {
        self.breaker != Breaker::Closed
    }

    /// Nothing goes before, if that lies ahead.
    pub fn paused_until(&self, now: Wall) -> Option<Wall> {
        let until = match self.breaker {
            Breaker::Open { until, .. } => until.max(self.paused_until),
            _ => self.paused_until,
        };
        (until > now).then_some(until)
    }
}

#[cfg(test)]
mod tests;
