//! Whether a server is worth asking: after failures in a row it is left alone for a while.
//!
//! [`Breaker`] is a pure state machine over moments. [`Fuse`] shares one between threads: the data
//! plane reads one number of it and never waits.

use base::Moment;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Failures in a row that open it.
pub const FAILURES_MAX: u32 = 5;
/// How long it stays open at first; doubles with each failed probe.
pub const REST_MIN: Duration = Duration::from_millis(250);
/// Longest rest.
pub const REST_MAX: Duration = Duration::from_secs(1);
/// A probe that has not ended after this is given up: whoever asked is gone.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// Where a breaker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All may ask.
    Closed,
    /// Nobody may ask.
    Open,
    /// One asks for all.
    Probing,
}

/// The state machine.
#[derive(Clone, Copy, Debug)]
pub struct Breaker {
    state: State,
    failures: u32,
    rest: Duration,
    /// End of the rest, or of the patience with a probe.
    until: Moment,
}

impl Default for Breaker {
    fn default() -> Self {
        let until = Moment::from_nanos(0);
        Self { state: State::Closed, failures: 0, rest: REST_MIN, until }
    }
}

impl Breaker {
    /// May somebody ask now? A yes in any state but closed is a probe, and is followed by
    /// [`Breaker::ended`].
    pub fn ask(&mut self, now: Moment) -> bool {
        if self.state == State::Closed {
            return true;
        }
        if now < self.until {
            return false;
        }
        self.state = State::Probing;
        self.until = now + PROBE_TIME;
        true
    }

    /// Notes how an answer came out. Returns the state when it changed.
    pub fn ended(&mut self, good: bool, now: Moment) -> Option<State> {
        let before = self.state;
        match (good, before) {
            // Late answers to what was asked before it opened prove the server alive as well.
            (true, _) => *self = Self::default(),
            (false, State::Closed) => {
                self.failures += 1;
                if self.failures >= FAILURES_MAX {
                    self.open(now);
                }
            }
            (false, State::Probing) => {
                self.rest = self.rest.saturating_mul(2).min(REST_MAX);
                self.open(now);
            }
            (false, State::Open) => {}
        }
        (self.state != before).then_some(self.state)
    }

    fn open(&mut self, now: Moment) {
        self.state = State::Open;
        self.failures = 0;
        self.until = now + self.rest;
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }
}

/// A breaker for several threads.
#[derive(Debug, Default)]
pub struct Fuse {
    breaker: Mutex<Breaker>,
    /// Nanoseconds of the moment until which nobody may ask; 0 while closed.
    until: AtomicU64,
}

impl Fuse {
    /// Is it surely open? One load, for those who must not wait.
    pub fn is_shut(&self, now: Moment) -> bool {
        now.as_nanos() < self.until.load(Ordering::Relaxed)
    }

    /// [`Breaker::ask`].
    pub fn ask(&self, now: Moment) -> bool {
        self.with(|breaker| breaker.ask(now))
    }

    /// [`Breaker::ended`].
    pub fn ended(&self, good: bool, now: Moment) -> Option<State> {
        self.with(|breaker| breaker.ended(good, now))
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner).state
    }

    fn with<R>(&self, change: impl FnOnce(&mut Breaker) -> R) -> R {
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut breaker);
        let until = match breaker.state {
            State::Closed => 0,
            State::Open | State::Probing => breaker.until.as_nanos(),
        };
        self.until.store(until, Ordering::Relaxed);
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps: at a millisecond, `?` asks, `+` is a good end, `-` a bad one; then what is expected.
    fn check(steps: &[(u64, char, bool, State)]) {
        let mut breaker = Breaker::default();
        for (n, &(ms, step, yes, state)) in steps.iter().enumerate() {
            let now = Moment::from_nanos(ms * 1_000_000);
            let said = match step {
                '?' => breaker.ask(now),
                '+' => breaker.ended(true, now).is_some(),
                _ => breaker.ended(false, now).is_some(),
            };
            assert_eq!((said, breaker.state()), (yes, state), "step {n} of {steps:?}");
        }
    }

    use State::{Closed, Open, Probing};

    const BROKEN: [(u64, char, bool, State); 5] = [
        (0, '-', false, Closed),
        (0, '-', false, Closed),
        (0, '-', false, Closed),
        (0, '-', false, Closed),
        (0, '-', true, Open),
    ];

    #[test]
    fn failures_in_a_row_open_it_and_others_do_not() {
        check(&BROKEN);
        let mut steps = BROKEN[..4].to_vec();
        steps.push((1, '+', false, Closed));
        steps.extend_from_slice(&BROKEN[..4]);
        steps.push((1, '?', true, Closed));
        check(&steps);
    }

    #[test]
    fn one_probe_after_the_rest_decides() {
        let mut steps = BROKEN.to_vec();
        steps.extend([(249, '?', false, Open), (250, '?', true, Probing)]);
        steps.extend([(251, '?', false, Probing), (260, '+', true, Closed)]);
        steps.push((260, '?', true, Closed));
        check(&steps);
    }

    #[test]
    fn rests_grow_and_end_at_a_bound() {
        let mut steps = BROKEN.to_vec();
        let mut now = 250;
        for rest in [500, 1_000, 1_000, 1_000] {
            steps.extend([(now, '?', true, Probing), (now, '-', true, Open)]);
            steps.push((now + rest - 1, '?', false, Open));
            now += rest;
        }
        check(&steps);
    }

    #[test]
    fn a_lost_probe_is_followed_by_another() {
        let mut steps = BROKEN.to_vec();
        steps.extend([(250, '?', true, Probing), (2_249, '?', false, Probing)]);
        steps.push((2_250, '?', true, Probing));
        check(&steps);
    }

    #[test]
    fn a_late_good_answer_closes_it() {
        let mut steps = BROKEN.to_vec();
        steps.extend([(3, '-', false, Open), (4, '+', true, Closed)]);
        check(&steps);
    }
}
