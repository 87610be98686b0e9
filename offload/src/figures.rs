//! What the room counts of itself.

use crate::core::Effects;
use base::Moment;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Counters since the start; read by whoever tells of them.
#[derive(Debug, Default)]
pub struct Figures {
    /// Requests accepted.
    pub accepted: AtomicU64,
    /// Batches written.
    pub batches: AtomicU64,
    /// Records in them.
    pub records: AtomicU64,
    /// Bytes of the log.
    pub log_bytes: AtomicU64,
    dead: Mutex<Vec<(String, u64)>>,
}

impl Figures {
    /// A turn has ended.
    pub fn turned(&self, effects: &Effects, _now: Moment) {
        if effects.written > 0 {
            self.batches.fetch_add(1, Ordering::Relaxed);
            self.records.fetch_add(effects.written as u64, Ordering::Relaxed);
            self.accepted.fetch_add(effects.accepted as u64, Ordering::Relaxed);
        }
    }

    /// How many jobs of each queue are dead now.
    pub fn dead_now(&self, dead: Vec<(String, u64)>) {
        *self.dead.lock().unwrap_or_else(PoisonError::into_inner) = dead;
    }

    /// How many jobs of each queue are dead.
    pub fn dead(&self) -> Vec<(String, u64)> {
        self.dead.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
