//! What the room counts of itself.

use crate::book::Tried;
use crate::core::{Accepted, Effects};
use base::{Moment, Wall};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Upper bounds of what is counted of durations, in microseconds: from the sync of a disk to the wait of
/// a job whose service is away for a day.
pub const BOUNDS_MICROS: [u64; 23] = [
    100,
    250,
    500,
    1_000,
    2_500,
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    30_000_000,
    60_000_000,
    300_000_000,
    900_000_000,
    3_600_000_000,
    21_600_000_000,
    86_400_000_000,
];

/// How long things took.
#[derive(Clone, Debug, Default)]
pub struct Times {
    /// How many took at most as long as each of [`BOUNDS_MICROS`], and longer than the one before; the
    /// last: longer than all.
    pub counts: [u64; BOUNDS_MICROS.len() + 1],
    /// Their sum.
    pub sum: Duration,
}

impl Times {
    fn note(&mut self, time: Duration) {
        let micros = u64::try_from(time.as_nanos().div_ceil(1_000)).unwrap_or(u64::MAX);
        self.counts[BOUNDS_MICROS.partition_point(|&bound| bound < micros)] += 1;
        self.sum = self.sum.saturating_add(time);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

/// What was counted of the tries of one queue.
#[derive(Clone, Debug, Default)]
pub struct Tries {
    /// By what came of them: the class of the status, or why there was none.
    pub outcomes: BTreeMap<&'static str, u64>,
    /// How long they took.
    pub took: Times,
    /// How long jobs waited from when they were due to their first try.
    pub waited: Times,
}

/// What the log's thread has counted.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// Requests turned away, by why.
    pub refused: BTreeMap<&'static str, u64>,
    /// From when a request was asked for to when it was durable.
    pub accept: Times,
    /// Appending a batch: writing it and waiting for the disk.
    pub append: Times,
}

/// Counters since the start; read by whoever tells of them.
#[derive(Debug, Default)]
pub struct Figures {
    /// Requests accepted.
    pub accepted: AtomicU64,
    /// Requests that had been accepted before, under the same name.
    pub same: AtomicU64,
    /// Batches written.
    pub batches: AtomicU64,
    /// Records in them.
    pub records: AtomicU64,
    /// Bytes of the log.
    pub log_bytes: AtomicU64,
    counts: Mutex<Counts>,
    tries: Mutex<BTreeMap<String, Tries>>,
    dead: Mutex<Vec<(String, u64)>>,
}

/// Most queues of which tries are counted: names of queues that were in the settings once stay in the
/// log, and a broker may bring others'.
const QUEUES_MAX: usize = 1_000;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Figures {
    /// A turn has ended, `now`.
    pub fn turned(&self, effects: &Effects, now: Moment) {
        if effects.written > 0 {
            self.batches.fetch_add(1, Ordering::Relaxed);
            self.records.fetch_add(effects.written as u64, Ordering::Relaxed);
            self.accepted.fetch_add(effects.accepted as u64, Ordering::Relaxed);
        }
        if effects.written == 0 && effects.answered().next().is_none() {
            return;
        }
        let mut counts = lock(&self.counts);
        if let Some(took) = effects.appended {
            counts.append.note(took);
        }
        for asked in &effects.asked {
            counts.accept.note(now.since(*asked));
        }
        for answer in effects.answered() {
            match answer {
                Accepted::Yes(_) => {}
                Accepted::Same(_) => {
                    self.same.fetch_add(1, Ordering::Relaxed);
                }
                refused => *counts.refused.entry(why(refused)).or_default() += 1,
            }
        }
    }

    /// A request was turned away before the log's thread was asked.
    pub fn turned_away(&self, answer: &Accepted) {
        *lock(&self.counts).refused.entry(why(answer)).or_default() += 1;
    }

    /// One try of a job has ended, which took so long. `waited`: from when it was due, of first tries.
    pub fn tried(&self, queue: &str, tried: &Tried, took: Duration, waited: Option<Duration>) {
        let mut all = lock(&self.tries);
        if !all.contains_key(queue) {
            if all.len() >= QUEUES_MAX {
                return;
            }
            all.insert(queue.to_owned(), Tries::default());
        }
        let Some(tries) = all.get_mut(queue) else { return };
        *tries.outcomes.entry(outcome(tried)).or_default() += 1;
        tries.took.note(took);
        if let Some(waited) = waited {
            tries.waited.note(waited);
        }
    }

    /// What the log's thread has counted.
    pub fn counts(&self) -> Counts {
        lock(&self.counts).clone()
    }

    /// What was counted of the tries of each queue.
    pub fn tries(&self) -> BTreeMap<String, Tries> {
        lock(&self.tries).clone()
    }

    /// How many jobs of each queue are dead now.
    pub fn dead_now(&self, dead: Vec<(String, u64)>) {
        *lock(&self.dead) = dead;
    }

    /// How many jobs of each queue are dead.
    pub fn dead(&self) -> Vec<(String, u64)> {
        lock(&self.dead).clone()
    }
}

/// How long a job has waited for its first try at `now`.
pub fn waited(due: Wall, accepted: Wall, now: Wall) -> Duration {
    now.since(due.max(accepted))
}

/// Why a request was turned away, in a word.
fn why(answer: &Accepted) -> &'static str {
    match answer {
        Accepted::Yes(_) | Accepted::Same(_) => "none",
        Accepted::Mismatch => "mismatch",
        Accepted::Full(what, _) => what.name(),
        Accepted::DiskFull => "disk_full",
        Accepted::Broken(_) => "closed",
    }
}

/// What came of a try, in a word.
fn outcome(tried: &Tried) -> &'static str {
    match tried {
        Tried::Answered { status, .. } => match status {
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        },
        Tried::Failed(reason) => reason.name(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Reason;

    #[test]
    fn durations_fall_between_their_bounds() {
        let mut times = Times::default();
        for (micros, at) in [(0, 0), (100, 0), (101, 1), (86_400_000_000, 22), (u64::MAX / 2, 23)] {
            let before = times.counts[at];
            times.note(Duration::from_micros(micros));
            assert_eq!(times.counts[at], before + 1, "{micros}");
        }
        assert_eq!(times.count(), 5);
    }

    #[test]
    fn tries_are_counted_by_what_came_of_them() {
        let figures = Figures::default();
        let answered = |status| Tried::Answered { status, retry_after: None };
        let ms = Duration::from_millis(7);
        figures.tried("mail", &answered(204), ms, Some(ms));
        figures.tried("mail", &answered(503), ms, None);
        figures.tried("mail", &Tried::Failed(Reason::Timeout), ms, None);
        let tries = &figures.tries()["mail"];
        let all: Vec<_> = tries.outcomes.iter().map(|(name, n)| (*name, *n)).collect();
        assert_eq!(all, [("2xx", 1), ("5xx", 1), ("timeout", 1)]);
        assert_eq!((tries.took.count(), tries.waited.count()), (3, 1));
        for n in 0..QUEUES_MAX {
            figures.tried(&n.to_string(), &answered(200), ms, None);
        }
        assert_eq!(figures.tries().len(), QUEUES_MAX);
        assert_eq!(waited(Wall(0), Wall(5), Wall(9)), Duration::from_millis(4));
        assert_eq!(waited(Wall(8), Wall(5), Wall(9)), Duration::from_millis(1));
    }
}
