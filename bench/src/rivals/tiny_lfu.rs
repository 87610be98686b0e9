//! W-TinyLFU with a fixed window, for sizes (Einziger and others, ACM TOS 2017 and "Lightweight Robust
//! Size Aware Cache Management", 2022): a newcomer must be asked for more often than all it would push
//! out together. A window that adapts, as Caffeine's does, lies between the best and the worst of these.

use super::lru::Lru;
use super::{Rival, mix};

const ROWS: u64 = 4;
const COUNT_MAX: u8 = 15;

/// The policy.
pub struct TinyLfu {
    limit: usize,
    window_limit: usize,
    window: Lru,
    probation: Lru,
    protected: Lru,
    sketch: Sketch,
}

impl TinyLfu {
    /// Within so many bytes, of which a share is the window; about so many objects will fit.
    pub fn new(limit: usize, window: f64, objects: usize) -> Self {
        #[expect(clippy::cast_sign_loss, reason = "a share is positive")]
        let window_limit = (limit as f64 * window) as usize;
        Self {
            limit,
            window_limit,
            window: Lru::default(),
            probation: Lru::default(),
            protected: Lru::default(),
            sketch: Sketch::new(objects),
        }
    }

    fn leave_window(&mut self) {
        let main_limit = self.limit - self.window_limit;
        while self.window.bytes > self.window_limit {
            let Some((key, cost)) = self.window.pop() else { return };
            if cost <= main_limit {
                self.contest(key, cost, main_limit);
            }
        }
    }

    fn contest(&mut self, key: u64, cost: usize, main_limit: usize) {
        let mut victims = Vec::new();
        let (mine, mut theirs) = (u32::from(self.sketch.count(key)), 0);
        while self.probation.bytes + self.protected.bytes + cost > main_limit {
            let Some(victim) = self.probation.pop().or_else(|| self.protected.pop()) else { break };
            theirs += u32::from(self.sketch.count(victim.0));
            victims.push(victim);
            if theirs >= mine {
                for (key, cost) in victims {
                    self.probation.push(key, cost);
                }
                return;
            }
        }
        self.probation.push(key, cost);
    }
}

impl Rival for TinyLfu {
    fn request(&mut self, key: u64, _: u32, cost: usize) -> bool {
        self.sketch.add(key);
        if self.window.touch(key) || self.protected.touch(key) {
            return true;
        }
        if let Some(cost) = self.probation.take(key) {
            self.protected.push(key, cost);
            while self.protected.bytes > (self.limit - self.window_limit) / 5 * 4 {
                let Some((key, cost)) = self.protected.pop() else { break };
                self.probation.push(key, cost);
            }
            return true;
        }
        if cost <= self.limit {
            self.window.push(key, cost);
            self.leave_window();
        }
        false
    }
}

/// Counts of a stream's keys, about right, halved now and then (count-min with aging).
struct Sketch {
    counts: Vec<u8>,
    added: usize,
    age_at: usize,
}

impl Sketch {
    fn new(objects: usize) -> Self {
        let objects = objects.max(64);
        Self { counts: vec![0; (objects * 8).next_power_of_two()], added: 0, age_at: objects * 10 }
    }

    fn place(&self, key: u64, row: u64) -> usize {
        mix(key.wrapping_add(row << 56)) as usize & (self.counts.len() - 1)
    }

    fn count(&self, key: u64) -> u8 {
        (0..ROWS).map(|row| self.counts[self.place(key, row)]).min().unwrap_or_default()
    }

    fn add(&mut self, key: u64) {
        let count = self.count(key);
        for row in 0..ROWS {
            let place = self.place(key, row);
            if self.counts[place] == count && count < COUNT_MAX {
                self.counts[place] += 1;
            }
        }
        self.added += 1;
        if self.added >= self.age_at {
            self.added /= 2;
            self.counts.iter_mut().for_each(|count| *count /= 2);
        }
    }
}
