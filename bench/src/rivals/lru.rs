//! Least recently used.

use super::Rival;
use std::collections::{BTreeMap, HashMap};

/// The plain policy, and a queue for [`super::tiny_lfu`].
#[derive(Default)]
pub struct Lru {
    limit: usize,
    pub(super) bytes: usize,
    clock: u64,
    entries: HashMap<u64, (u64, usize)>,
    order: BTreeMap<u64, u64>,
}

impl Lru {
    /// Within so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    /// Is it there? If so, it is the newest now.
    pub(super) fn touch(&mut self, key: u64) -> bool {
        let cost = self.take(key);
        if let Some(cost) = cost {
            self.push(key, cost);
        }
        cost.is_some()
    }

    pub(super) fn push(&mut self, key: u64, cost: usize) {
        self.clock += 1;
        self.entries.insert(key, (self.clock, cost));
        self.order.insert(self.clock, key);
        self.bytes += cost;
    }

    pub(super) fn take(&mut self, key: u64) -> Option<usize> {
        let (time, cost) = self.entries.remove(&key)?;
        self.order.remove(&time);
        self.bytes -= cost;
        Some(cost)
    }

    pub(super) fn pop(&mut self) -> Option<(u64, usize)> {
        let key = *self.order.first_key_value()?.1;
        Some((key, self.take(key)?))
    }
}

impl Rival for Lru {
    fn request(&mut self, key: u64, _: u32, cost: usize) -> bool {
        if self.touch(key) {
            return true;
        }
        if cost <= self.limit {
            while self.bytes + cost > self.limit {
                self.pop();
            }
            self.push(key, cost);
        }
        false
    }
}
