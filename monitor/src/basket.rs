//! Things that one thread puts and another takes away, without ever making the first wait.

use crate::count::Count;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

/// A basket with room for so many things. Whoever puts into one that is full, or being emptied at
/// that moment, loses what he had, and that is counted.
#[derive(Debug)]
pub struct Basket<T> {
    things: Mutex<Vec<T>>,
    max: usize,
    /// How many were in it when it was emptied last.
    usual: AtomicUsize,
    /// How many were lost.
    pub lost: Count,
}

impl<T> Basket<T> {
    /// An empty one with room for `max`.
    pub const fn new(max: usize) -> Self {
        Self { things: Mutex::new(Vec::new()), max, usual: AtomicUsize::new(0), lost: Count::new() }
    }

    /// Puts one thing in. Only the owning thread may: it counts what is lost.
    pub fn put(&self, thing: T) {
        let mut things = match self.things.try_lock() {
            Ok(things) => things,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return self.lost.add(1),
        };
        if things.len() >= self.max {
            return self.lost.add(1);
        }
        things.push(thing);
    }

    /// Takes all that is in it.
    pub fn take(&self) -> Vec<T> {
        // Made before the lock is taken: whoever puts meanwhile would lose what he has.
        let empty = Vec::with_capacity(self.usual.load(Ordering::Relaxed));
        let mut things = self.things.lock().unwrap_or_else(PoisonError::into_inner);
        let full = std::mem::replace(&mut *things, empty);
        drop(things);
        self.usual.store(full.len(), Ordering::Relaxed);
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        let basket = Basket::new(2);
        (0..5).for_each(|thing| basket.put(thing));
        assert_eq!((basket.take(), basket.lost.get()), (vec![0, 1], 3));
        basket.put(9);
        assert_eq!(basket.take(), [9]);
        assert!(basket.take().is_empty());
    }
}
