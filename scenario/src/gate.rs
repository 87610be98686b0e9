//! A gate that one side of a scenario opens and the other waits at.

use base::{Deadline, Moment};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Closed at first; once open it stays open. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Watched<bool>>);

impl Gate {
    /// A closed gate.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets everybody pass, now and later.
    pub fn open(&self) {
        self.0.change(|open| *open = true);
    }

    /// Is it open now?
    pub fn is_open(&self) -> bool {
        *self.0.lock()
    }

    /// Waits until it is open; `false` when the patience ran out first.
    #[must_use]
    pub fn pass(&self) -> bool {
        self.0.wait(crate::patience(), |open| open.then_some(())).is_some()
    }
}

/// A value that others can wait upon.
#[derive(Debug, Default)]
pub(crate) struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { value: Mutex::new(value), changed: Condvar::new() }
    }

    /// The value now. A panic elsewhere does not hide it: it is what the report needs.
    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the value and wakes those who wait.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut T) -> R) -> R {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Waits until `ready` finds what it looks for; `None` when `by` passed first.
    pub(crate) fn wait<R>(
        &self,
        by: Deadline,
        mut ready: impl FnMut(&mut T) -> Option<R>,
    ) -> Option<R> {
        let mut value = self.lock();
        loop {
            if let Some(found) = ready(&mut value) {
                return Some(found);
            }
            let left = by.left(Moment::now());
            if left.is_zero() {
                return None;
            }
            let waited = self.changed.wait_timeout(value, left);
            value = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
