//! Whether a server is fit to be asked, by what came of asking it and by what checks found.
//!
//! [`Health`] is the state machine of one server. It says what should change ([`Verdict`]) and
//! leaves it to the pool to do so ([`Health::eject`], [`Health::died`], [`Health::back`]), because
//! only the pool knows how many are out already. Comparisons between servers are in [`sweep`].
//!
//! What must hold: a condition is read, and a good answer counted, without a lock; news older than
//! the last change counts for nothing; however many threads report at once, a server is ejected
//! once; one probe at a time finds out whether it is back. Sources: Envoy's outlier detection,
//! Linkerd's failure accrual.

mod window;
mod word;

#[cfg(test)]
mod tests;

use crate::load::Outcome;
use crate::settings::Eject;
use base::Moment;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use window::{Counts, Past};
use word::{Kind, Word};

pub(crate) use window::sweep;

/// Whether a server may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It may.
    Up,
    /// It answers badly: not asked until then, unless too many are.
    Ejected {
        /// Until when.
        until: Moment,
        /// What for.
        why: Cause,
    },
    /// It cannot be connected to: not asked until then.
    Dead {
        /// Until when.
        until: Moment,
    },
    /// Its time is over: one real request finds out whether it is back.
    Probation,
    /// Active checks fail: not asked until they do not.
    Down,
}

/// Why a server was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Too many failures in a row.
    Failures,
    /// Too few good answers.
    Success,
    /// Much slower than the others.
    Slow,
}

/// What an active check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// As many good ones in a row as are asked for.
    Healthy,
    /// As many bad ones in a row as are asked for.
    Unhealthy,
}

/// What should become of a server. Nothing changes until the pool says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    None,
    /// [`Health::eject`], if the pool can spare it.
    Eject(Cause),
    /// [`Health::died`].
    Dead,
    /// [`Health::back`].
    Back,
}

/// How often a server was put out, ever.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ejections {
    /// For [`Cause::Failures`].
    pub failures: u64,
    /// For [`Cause::Success`].
    pub success: u64,
    /// For [`Cause::Slow`].
    pub slow: u64,
    /// Because nothing answered.
    pub dead: u64,
}

impl Ejections {
    /// All of them.
    pub fn total(self) -> u64 {
        self.failures + self.success + self.slow + self.dead
    }
}

/// A probe that has not ended by then is taken for lost, and the next one may go.
const PROBE_LOST: Duration = Duration::from_secs(30);
/// A probe's verdict that the pool has not followed by then (its cap forbade it) is forgotten.
const VERDICT_LOST: Duration = Duration::from_secs(1);
/// Who was slow is back after so many probes in a row that were not. One says little: of a server
/// still five times as slow more than one in five passes, and then it has a share for the seconds
/// that it takes to be found slow again.
const QUICK_PROBES: u32 = 3;
/// A request that could not be retried elsewhere probes only if no better one came for so long.
const PROBE_PATIENCE: Duration = Duration::from_secs(1);
/// The last server of a pool is asked again after this at most: a service whose every server was
/// gone is found again within a second.
const ONLY_PAUSE_MAX: Duration = Duration::from_millis(500);
/// Doublings are counted up to here; `time_max` is reached long before.
const ROW_MAX: u32 = 32;

/// The health of one server.
///
/// `word`, `slot` and `state` are written with `state` locked, so that a change is one step; `word`
/// and `slot` are read without.
#[derive(Debug, Default)]
pub(crate) struct Health {
    /// The condition, packed: see [`Word`].
    word: AtomicU64,
    /// From when on a probe may be taken, in nanoseconds; ahead of now while one is out.
    slot: AtomicU64,
    /// Answers in a row that were not good, high half, and that were none at all, low half.
    streak: AtomicU64,
    ejections: [AtomicU64; 4],
    counts: Counts,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often in a row it was put out: the power of the backoff.
    row: u32,
    /// While it is out: requests begun before this say nothing.
    fresh: Option<Moment>,
    /// What takes longer than this is too slow to come back from [`Cause::Slow`], if known.
    limit: Option<Duration>,
    /// Probes in a row, since it was last put out, that took no longer.
    quick: u32,
    past: Past,
}

impl Health {
    /// The health of a server that is new at `now`. Unlike by default, its windows begin then.
    pub(crate) fn new(now: Moment) -> Self {
        let this = Self::default();
        this.rise(&mut this.lock(), this.word(), now);
        this
    }

    /// Whether it may be asked at `now`. One load.
    pub(crate) fn condition(&self, now: Moment) -> Condition {
        self.word().condition(now)
    }

    /// A request that took `took` has ended. Counts it, and answers what should change.
    ///
    /// Of failures in a row the n-th, 2n-th and so on ask for an ejection: one thread each, and
    /// again if the pool's cap forbade the first. While the server is out, only requests begun in
    /// its probation count, a probe first of all; those that a panicking pool sent it earlier do
    /// not. A probe must begin no earlier than the `now` of its [`Health::try_probe`].
    pub(crate) fn ended(
        &self,
        outcome: Outcome,
        took: Duration,
        now: Moment,
        rules: &Eject,
    ) -> Verdict {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let begun = Moment::from_nanos(now.as_nanos().saturating_sub(nanos));
        let word = self.word();
        if word.down || begun < word.time {
            return Verdict::None;
        }
        if word.kind != Kind::Up {
            return self.probed(outcome, took, begun, now, rules);
        }
        match outcome {
            Outcome::Good => {
                if self.streak.load(Ordering::Relaxed) != 0 {
                    self.streak.store(0, Ordering::Relaxed);
                }
                self.counts.good(took);
                Verdict::None
            }
            Outcome::Failed { .. } => self.failed(false, rules),
            Outcome::Unconnected => self.failed(true, rules),
            Outcome::Cancelled => Verdict::None,
        }
    }

    fn failed(&self, unconnected: bool, rules: &Eject) -> Verdict {
        self.counts.bad();
        let next = |streak: u64| {
            let (bad, mute) = ((streak >> 32) as u32, streak as u32);
            let mute = if unconnected { mute.saturating_add(1) } else { 0 };
            (u64::from(bad.saturating_add(1)) << 32) | u64::from(mute)
        };
        let update = self
            .streak
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |streak| Some(next(streak)));
        let streak = next(update.unwrap_or_else(|streak| streak));
        let (bad, mute) = ((streak >> 32) as u32, streak as u32);
        if rules.failures == 0 {
            Verdict::None
        } else if mute > 0 && mute.is_multiple_of(rules.failures) {
            Verdict::Dead
        } else if bad.is_multiple_of(rules.failures) {
            Verdict::Eject(Cause::Failures)
        } else {
            Verdict::None
        }
    }

    /// A request has ended that was begun after the time of a server that is out.
    fn probed(
        &self,
        outcome: Outcome,
        took: Duration,
        begun: Moment,
        now: Moment,
        rules: &Eject,
    ) -> Verdict {
        let mut state = self.lock();
        let word = self.word();
        let kept = match word.kind {
            Kind::Up => return Verdict::None,
            _ if Some(begun) < state.fresh || begun < word.time || word.down => {
                return Verdict::None;
            }
            Kind::Ejected(cause) => Verdict::Eject(cause),
            Kind::Dead => Verdict::Dead,
        };
        let was_slow = word.kind == Kind::Ejected(Cause::Slow) && rules.slow.0 > 0;
        let limit = state.limit.filter(|_| was_slow);
        let slow = limit.is_some_and(|limit| took > limit);
        if limit.is_some() && outcome == Outcome::Good && !slow {
            state.quick += 1;
            if state.quick < QUICK_PROBES {
                // The next one may go.
                state.fresh = Some(now);
                self.slot.store(now.as_nanos(), Ordering::Relaxed);
                return Verdict::None;
            }
        }
        let verdict = match outcome {
            Outcome::Cancelled => {
                self.slot.fetch_min(now.as_nanos(), Ordering::Relaxed);
                return Verdict::None;
            }
            Outcome::Good if !slow => Verdict::Back,
            // It does answer.
            Outcome::Failed { .. } if word.kind == Kind::Dead => Verdict::Eject(Cause::Failures),
            Outcome::Good | Outcome::Failed { .. } | Outcome::Unconnected => kept,
        };
        // The slot stays taken until the pool has acted, and whatever ends meanwhile is too late.
        state.fresh = Some(now);
        self.slot.store((now + VERDICT_LOST).as_nanos(), Ordering::Relaxed);
        verdict
    }

    /// Takes the probe: true for one caller at a time, and only in probation. `may_probe` says that
    /// the request could be retried elsewhere; one that could not gets the probe when it was free
    /// for a second. The probe is over when the request has [`ended`](Health::ended).
    pub(crate) fn try_probe(&self, now: Moment, may_probe: bool) -> bool {
        let patience = if may_probe { Duration::ZERO } else { PROBE_PATIENCE };
        let free = || {
            let slot = Moment::from_nanos(self.slot.load(Ordering::Relaxed));
            self.condition(now) == Condition::Probation && now >= slot + patience
        };
        if !free() {
            return false;
        }
        let mut state = self.lock();
        if !free() {
            return false;
        }
        state.fresh = Some(now);
        self.slot.store((now + PROBE_LOST).as_nanos(), Ordering::Relaxed);
        true
    }

    /// Puts the server out for `cause`, and answers until when. `jitter` is random, 0 to 1, and
    /// makes the pause 1 to 1.5 times as long.
    ///
    /// Changes nothing if it is out already, or was back after `now`.
    pub(crate) fn eject(&self, cause: Cause, now: Moment, rules: &Eject, jitter: f64) -> Moment {
        self.put_out(Kind::Ejected(cause), now, rules, |pause| stretched(pause, jitter))
    }

    /// As [`Health::eject`], because nothing answers. With `only` nobody else of the pool is alive,
    /// and the pause is short.
    pub(crate) fn died(&self, now: Moment, rules: &Eject, jitter: f64, only: bool) -> Moment {
        let most = if only { ONLY_PAUSE_MAX } else { Duration::MAX };
        self.put_out(Kind::Dead, now, rules, |pause| shortened(pause, most, jitter))
    }

    /// Nobody of the pool is alive any more: if it is dead, its pause is cut short. For those that
    /// died before the last one did.
    pub(crate) fn hurry(&self, now: Moment, jitter: f64) {
        let mut state = self.lock();
        let word = self.word();
        let soon = now + shortened(ONLY_PAUSE_MAX, ONLY_PAUSE_MAX, jitter);
        if word.kind == Kind::Dead && word.time > soon {
            self.set_out(&mut state, Word { time: soon, ..word });
        }
    }

    /// The probe found it well.
    pub(crate) fn back(&self, now: Moment) {
        let mut state = self.lock();
        let word = self.word();
        if word.kind != Kind::Up && now >= word.time {
            self.rise(&mut state, word, now);
        }
    }

    /// Active checks have made up their mind: done at once, no cap holds for them. Healthy brings
    /// back whoever was put out, except for [`Cause::Slow`]: checks are no measure of that. Answers
    /// whether the condition may have changed.
    pub(crate) fn checked(&self, found: Checked, now: Moment) -> bool {
        let mut state = self.lock();
        let word = self.word();
        let up = Word { down: false, ..word };
        match (found, word.kind) {
            (Checked::Unhealthy, _) => {
                self.word.store(Word { down: true, ..word }.pack(), Ordering::Release);
                !word.down
            }
            (Checked::Healthy, Kind::Up) if !word.down => false,
            (Checked::Healthy, Kind::Ejected(Cause::Slow)) => {
                // Nothing counted while it was down, not even a probe.
                if word.down {
                    let free = now.max(word.time);
                    state.fresh = Some(free);
                    self.slot.store(free.as_nanos(), Ordering::Relaxed);
                    self.word.store(up.pack(), Ordering::Release);
                }
                word.down
            }
            (Checked::Healthy, _) => {
                self.rise(&mut state, up, now);
                true
            }
        }
    }

    /// How often it was put out.
    pub(crate) fn ejections(&self) -> Ejections {
        let [failures, success, slow, dead] =
            std::array::from_fn(|cause| self.ejections[cause].load(Ordering::Relaxed));
        Ejections { failures, success, slow, dead }
    }

    fn put_out(
        &self,
        kind: Kind,
        now: Moment,
        rules: &Eject,
        pause: impl FnOnce(Duration) -> Duration,
    ) -> Moment {
        let mut state = self.lock();
        let word = self.word();
        if now < word.time {
            return if word.kind == Kind::Up { now } else { word.time };
        }
        if word.kind == Kind::Up {
            let steps = now.since(word.time).as_nanos() / rules.time_max.as_nanos().max(1);
            state.row = state.row.saturating_sub(u32::try_from(steps).unwrap_or(u32::MAX));
        }
        // No further than the longest pause: a server that flaps has no more to be forgotten.
        if state.row == 0 || doubled(rules, state.row) < rules.time_max {
            state.row = (state.row + 1).min(ROW_MAX);
        }
        let until = now + pause(doubled(rules, state.row));
        self.ejections[kind.ordinal()].fetch_add(1, Ordering::Relaxed);
        self.set_out(&mut state, Word { kind, time: until, ..word })
    }

    fn set_out(&self, state: &mut State, word: Word) -> Moment {
        let word = Word::unpack(word.pack());
        state.fresh = Some(word.time);
        state.quick = 0;
        self.slot.store(word.time.as_nanos(), Ordering::Relaxed);
        self.word.store(word.pack(), Ordering::Release);
        word.time
    }

    /// Up from `now` on, with nothing held against it but how often it was out.
    fn rise(&self, state: &mut State, word: Word, now: Moment) {
        self.streak.store(0, Ordering::Relaxed);
        self.counts.clear();
        state.past = Past::new(now);
        state.limit = None;
        self.word.store(Word { kind: Kind::Up, time: now, ..word }.pack(), Ordering::Release);
    }

    fn word(&self) -> Word {
        Word::unpack(self.word.load(Ordering::Acquire))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The pause of the `row`-th time in a row, counted from one.
fn doubled(rules: &Eject, row: u32) -> Duration {
    rules.time.saturating_mul(1 << (row - 1).min(31)).min(rules.time_max)
}

fn stretched(pause: Duration, jitter: f64) -> Duration {
    pause.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 2.0)
}

/// As [`stretched`], and `most` with the longest jitter: gateways must not come all at once.
fn shortened(pause: Duration, most: Duration, jitter: f64) -> Duration {
    stretched(pause.min(most / 3 * 2), jitter)
}
