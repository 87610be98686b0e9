//! S3-FIFO by its paper (Yang and others, SOSP 2023, algorithm 1), in bytes: a small queue of a tenth, a
//! main queue with reinsertion, and ghosts of as many bytes as the main queue.

use super::Rival;
use std::collections::{HashMap, VecDeque};

const FREQUENCY_MAX: u8 = 3;

struct Entry {
    frequency: u8,
    cost: usize,
}

/// The policy.
#[derive(Default)]
pub struct S3Fifo {
    limit: usize,
    small: VecDeque<u64>,
    small_bytes: usize,
    main: VecDeque<u64>,
    main_bytes: usize,
    entries: HashMap<u64, Entry>,
    ghosts: VecDeque<(u64, u64, usize)>,
    ghost_bytes: usize,
    ghost_times: HashMap<u64, u64>,
    clock: u64,
}

impl S3Fifo {
    /// Within so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, ..Self::default() }
    }

    fn evict(&mut self) {
        if self.small_bytes >= self.limit / 10 || self.main.is_empty() {
            self.evict_small();
        } else {
            self.evict_main();
        }
    }

    fn evict_small(&mut self) {
        while let Some(key) = self.small.pop_front() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            let cost = entry.cost;
            self.small_bytes -= cost;
            if entry.frequency > 1 {
                entry.frequency = 0;
                self.main.push_back(key);
                self.main_bytes += cost;
                if self.main_bytes > self.limit / 10 * 9 {
                    self.evict_main();
                }
            } else {
                self.entries.remove(&key);
                self.haunt(key, cost);
                return;
            }
        }
    }

    fn evict_main(&mut self) {
        while let Some(key) = self.main.pop_front() {
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if entry.frequency > 0 {
                entry.frequency -= 1;
                self.main.push_back(key);
            } else {
                self.main_bytes -= entry.cost;
                self.entries.remove(&key);
                return;
            }
        }
    }

    fn haunt(&mut self, key: u64, cost: usize) {
        self.clock += 1;
        self.ghost_times.insert(key, self.clock);
        self.ghosts.push_back((key, self.clock, cost));
        self.ghost_bytes += cost;
        while self.ghost_bytes > self.limit / 10 * 9 {
            let Some((key, time, cost)) = self.ghosts.pop_front() else { return };
            self.ghost_bytes -= cost;
            if self.ghost_times.get(&key) == Some(&time) {
                self.ghost_times.remove(&key);
            }
        }
    }
}

impl Rival for S3Fifo {
    fn request(&mut self, key: u64, _: u32, cost: usize) -> bool {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.frequency = (entry.frequency + 1).min(FREQUENCY_MAX);
            return true;
        }
        if cost > self.limit {
            return false;
        }
        while self.small_bytes + self.main_bytes + cost > self.limit {
            self.evict();
        }
        if self.ghost_times.remove(&key).is_some() {
            self.main.push_back(key);
            self.main_bytes += cost;
        } else {
            self.small.push_back(key);
            self.small_bytes += cost;
        }
        self.entries.insert(key, Entry { frequency: 0, cost });
        false
    }
}
