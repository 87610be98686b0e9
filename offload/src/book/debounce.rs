//! Of the jobs with one debounce the newest is delivered.
//!
//! The newest is known by queue and key, whether it waits or is out. An older one that waits ends when
//! a newer comes; one that is out goes on, and ends if it would wait again.

use super::Book;
use super::slots::{ENDING, Stage, mix};
use crate::job::{Reason, State};

impl Book {
    /// A new job with a debounce takes the place of the one that waits.
    pub(super) fn debounce(&mut self, at: u32) {
        let Some(old) = self.newest_like(at) else { return self.set_newest(at) };
        if self.slots[old].id > self.slots[at].id {
            return;
        }
        self.undebounce(old);
        self.set_newest(at);
        if self.slots[old].stage == Stage::Waiting && !self.slots[old].has(ENDING) {
            self.end(old, State::Cancelled, Reason::Replaced);
        }
    }

    /// Has a newer one its place? If nobody has it, it is its own.
    pub(super) fn is_replaced(&mut self, at: u32) -> bool {
        if let Some(newest) = self.newest_like(at) {
            return self.slots[newest].id > self.slots[at].id;
        }
        self.set_newest(at);
        false
    }

    fn debounce_of(&self, at: u32) -> Option<(u16, u64)> {
        let debounce = self.extras_of(at)?.debounce;
        (debounce != 0).then(|| (self.slots[at].queue, debounce))
    }

    fn newest_like(&self, at: u32) -> Option<u32> {
        let key = self.debounce_of(at)?;
        self.debounces.find(hash(key), |&other| self.debounce_of(other) == Some(key)).copied()
    }

    fn set_newest(&mut self, at: u32) {
        if let Some(key) = self.debounce_of(at) {
            let (slots, extras) = (&self.slots, &self.extras);
            self.debounces.insert_unique(hash(key), at, |&other| {
                let slot = &slots[other];
                hash((slot.queue, extras[slot.extra].debounce))
            });
        }
    }

    pub(super) fn undebounce(&mut self, at: u32) {
        if let Some(key) = self.debounce_of(at)
            && let Ok(entry) = self.debounces.find_entry(hash(key), |&other| other == at)
        {
            entry.remove();
        }
    }
}
fn hash((queue, debounce): (u16, u64)) -> u64 {
    mix(debounce ^ u64::from(queue) << 48)
}
