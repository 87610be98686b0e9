//! How much a server has in flight and what it takes to ask it.
//!
//! Written by every thread as answers come, read by every pick: atomics, no lock on reading.

use base::Moment;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// How asking a server ended, as far as balancing is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It answered, and not with a failure.
    Good,
    /// It answered with a failure (5xx, 429, gRPC's RESOURCE_EXHAUSTED or UNAVAILABLE), perhaps saying
    /// how long to leave it alone (Retry-After, grpc-retry-pushback-ms).
    Failed {
        /// For how long not to ask.
        hold: Option<Duration>,
    },
    /// No answer: not connected, timed out, broken off, unintelligible.
    Unanswered,
    /// Nobody waited for the answer any more: the client left, or another try won. What it had taken
    /// by then is still learned.
    Cancelled,
}

/// The load of one server.
#[derive(Debug, Default)]
pub(crate) struct Load {
    in_flight: AtomicU32,
    latency_nanos: AtomicU64,
}

impl Load {
    /// One more in flight.
    pub(crate) fn begin(&self) {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
    }

    /// One less, after `took`.
    pub(crate) fn end(&self, took: Duration, _outcome: Outcome, _now: Moment) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.latency_nanos.store(took.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Requests in flight now, of all threads.
    pub(crate) fn in_flight(&self) -> u32 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What an answer takes by now; `None` before the first.
    pub(crate) fn latency(&self, _now: Moment) -> Option<Duration> {
        let nanos = self.latency_nanos.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }
}
