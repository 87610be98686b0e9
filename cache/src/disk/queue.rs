//! What waits to be written, in a bound of bytes.
//!
//! Values are refused when it is full. Forgetting is not: past its own bound the queue says that all
//! is to be forgotten.

use super::locked;
use base::Wall;
use std::collections::VecDeque;
use std::sync::mpsc::SyncSender;
use std::sync::{Condvar, Mutex, PoisonError};

/// Most bytes of values that wait; one larger value may wait alone.
const BYTES_MAX: usize = 32 << 20;
/// Most jobs that wait before values are refused.
const PUTS_MAX: usize = 65_536;
/// Most jobs that wait before everything is forgotten.
const JOBS_MAX: usize = 2 * PUTS_MAX;
/// Most bytes that are taken off at once.
const BATCH_BYTES: usize = 1 << 20;

/// One thing to do.
pub(super) enum Job {
    Put { key: u128, value: Vec<u8>, expiry: Wall },
    Forget(u128),
    ForgetAll,
    Settle(SyncSender<()>),
}

/// Jobs in their order.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    ready: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    bytes: usize,
    closed: bool,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { waiting: Mutex::default(), ready: Condvar::new() }
    }

    /// Adds a value; says whether there was room.
    pub(super) fn push_put(&self, key: u128, value: Vec<u8>, expiry: Wall) -> bool {
        let mut waiting = locked(&self.waiting);
        let full = waiting.bytes > 0 && waiting.bytes + value.len() > BYTES_MAX;
        if full || waiting.closed || waiting.jobs.len() >= PUTS_MAX {
            return false;
        }
        waiting.bytes += value.len();
        waiting.jobs.push_back(Job::Put { key, value, expiry });
        drop(waiting);
        self.ready.notify_one();
        true
    }

    /// Adds a key to forget.
    pub(super) fn push_forget(&self, key: u128) {
        let mut waiting = locked(&self.waiting);
        if waiting.jobs.len() < JOBS_MAX {
            waiting.jobs.push_back(Job::Forget(key));
        } else {
            waiting.jobs.clear();
            waiting.bytes = 0;
            waiting.jobs.push_back(Job::ForgetAll);
        }
        drop(waiting);
        self.ready.notify_one();
    }

    /// Adds a job that has no weight.
    pub(super) fn push(&self, job: Job) {
        let mut waiting = locked(&self.waiting);
        if !waiting.closed {
            waiting.jobs.push_back(job);
        }
        drop(waiting);
        self.ready.notify_one();
    }

    /// Nothing comes any more.
    pub(super) fn close(&self) {
        locked(&self.waiting).closed = true;
        self.ready.notify_one();
    }

    /// Is it half full?
    #[cfg(test)]
    pub(super) fn waits_long(&self) -> bool {
        let waiting = locked(&self.waiting);
        waiting.bytes > BYTES_MAX / 2 || waiting.jobs.len() > PUTS_MAX / 2
    }

    /// Nobody takes any more: what waits is let go.
    pub(super) fn end(&self) {
        let mut waiting = locked(&self.waiting);
        waiting.closed = true;
        waiting.jobs.clear();
    }

    /// Some jobs, in order; waits for one if told to. `None` when none is left and none will come.
    pub(super) fn take(&self, wait: bool) -> Option<Vec<Job>> {
        let mut waiting = locked(&self.waiting);
        while wait && waiting.jobs.is_empty() && !waiting.closed {
            waiting = self.ready.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.jobs.is_empty() && waiting.closed {
            return None;
        }
        let mut bytes = 0;
        let mut batch = Vec::new();
        while bytes < BATCH_BYTES
            && let Some(job) = waiting.jobs.pop_front()
        {
            if let Job::Put { value, .. } = &job {
                bytes += value.len();
                waiting.bytes -= value.len();
            }
            batch.push(job);
        }
        Some(batch)
    }
}
