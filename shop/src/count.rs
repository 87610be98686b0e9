//! What a shop has done: counters for one request, and for the shop since it opened.

use serde_json::{Value, json};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Work done. Every field only grows.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    /// Requests from outside: not the shop's own calls, not `/health`, `/sins`, `/counters`.
    pub requests: AtomicU64,
    /// Calls of the shop's services by its pages and orders.
    pub calls: AtomicU64,
    /// Statements run.
    pub queries: AtomicU64,
    /// Rows read.
    pub rows: AtomicU64,
    /// Bytes of bodies sent, to outside and to ourselves.
    pub bytes: AtomicU64,
    /// Letters delivered.
    pub letters: AtomicU64,
    /// Reports computed.
    pub reports: AtomicU64,
    /// Nanoseconds in the database.
    pub database_nanos: AtomicU64,
}

impl Counts {
    pub(crate) fn add(counter: &AtomicU64, count: u64) {
        counter.fetch_add(count, Ordering::Relaxed);
    }

    /// Notes one statement.
    pub(crate) fn query(&self, rows: u64, time: Duration) {
        Self::add(&self.queries, 1);
        Self::add(&self.rows, rows);
        Self::add(&self.database_nanos, time.as_nanos() as u64);
    }

    /// Time in the database.
    pub(crate) fn database_time(&self) -> Duration {
        Duration::from_nanos(self.database_nanos.load(Ordering::Relaxed))
    }

    /// As sent by `GET /counters`.
    pub(crate) fn to_json(&self) -> Value {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        json!({
            "requests": read(&self.requests),
            "calls": read(&self.calls),
            "queries": read(&self.queries),
            "rows": read(&self.rows),
            "bytes": read(&self.bytes),
            "letters": read(&self.letters),
            "reports": read(&self.reports),
            "database_ms": self.database_time().as_millis() as u64,
        })
    }
}
