//! What a tier counts, for the page of metrics. Any thread may add.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A number that any thread adds to.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Takes `n` off, for gauges.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What a tier did. Every get ends in exactly one of hits, misses, junk, failures, timeouts and
/// refused.
#[derive(Debug, Default)]
pub struct Meter {
    /// Values asked for.
    pub gets: Tally,
    /// Found.
    pub hits: Tally,
    /// Not there.
    pub misses: Tally,
    /// There, but damaged, of another deployment, or nothing of ours.
    pub junk: Tally,
    /// The server said no, or went away.
    pub failures: Tally,
    /// No answer in time.
    pub timeouts: Tally,
    /// Not asked: the breaker is open, the tier is not trusted, or too many wait.
    pub refused: Tally,
    /// Values written.
    pub puts: Tally,
    /// Values that should have been written and were not.
    pub dropped: Tally,
    /// Values forgotten.
    pub forgets: Tally,
    /// Bytes of values found.
    pub bytes_read: Tally,
    /// Bytes of values written.
    pub bytes_written: Tally,
    /// Connections made.
    pub connects: Tally,
    /// Times that a breaker opened.
    pub opened: Tally,
    /// Breakers that are not closed now.
    pub open: Tally,
    /// Nanoseconds that hits and misses took together.
    pub nanos: Tally,
    /// Bytes that wait to be written now.
    pub waiting_bytes: Tally,
}

impl Meter {
    /// Notes how long a hit or a miss took.
    pub(crate) fn took(&self, time: Duration) {
        self.nanos.add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
    }

    /// How long hits and misses took on average.
    pub fn mean(&self) -> Duration {
        let count = self.hits.get() + self.misses.get();
        Duration::from_nanos(self.nanos.get().checked_div(count).unwrap_or(0))
    }
}
