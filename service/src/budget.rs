//! How many requests may be sent more often than clients sent them (Finagle's `RetryBudget`).
//!
//! Each request of the last ten seconds is worth a share of an extra one; beside that a reserve is
//! free every second, so that a quiet service can try again at all. Whoever pays from a [`Budget`]
//! cannot make a failing service's load grow by more than its share, however much fails. What must
//! hold at every withdrawal: of the last [`SECONDS`] calendar seconds, extras paid by the share are
//! at most that share of the requests, and those of each second paid by the reserve at most the
//! reserve.
//!
//! Source: `finagle-core/.../service/RetryBudget.scala` (deposits live for 10 s, a withdrawal costs
//! 1/share deposits) and tower's `TpsBudget`, without its rounding of 1/share to a whole number.

use base::{Moment, Share};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

#[cfg(test)]
mod tests;

/// For how many seconds, this one included, a request counts.
pub const SECONDS: u64 = 10;
/// Slots of the ring: a power of two, so that a slot is reused only long after it stopped to count.
const SLOTS: usize = 16;
/// A slot's lower bits are its requests, those above the second in which it was begun.
const COUNT_BITS: u32 = 40;
const COUNT: u64 = (1 << COUNT_BITS) - 1;
/// A whole, in units of [`Share`].
const WHOLE: u64 = 10_000;

/// Extra requests that the requests of the last ten seconds pay for. Shared by all threads.
#[derive(Debug)]
pub struct Budget {
    share: Share,
    reserve: u32,
    requests: Ring,
    drawn: Mutex<Drawn>,
}

/// Requests by the second in which they came.
#[derive(Debug, Default)]
struct Ring([AtomicU64; SLOTS]);

/// Extras by the second in which they went. Never more than a share of the requests come here to
/// stay, so a lock does no harm.
#[derive(Debug, Default)]
struct Drawn {
    /// The latest second seen.
    second: u64,
    /// Paid by the share, at the place of their second.
    by_share: [u64; SECONDS as usize],
    /// Paid by the reserve, in the latest second.
    by_reserve: u32,
}

impl Budget {
    /// Nothing deposited yet: `share` of the requests of ten seconds, and `reserve` a second whatever
    /// comes.
    pub fn new(share: Share, reserve: u32) -> Self {
        Self { share, reserve, requests: Ring::default(), drawn: Mutex::default() }
    }

    /// One request came. One atomic add, but for the first in a second.
    pub fn deposit(&self, now: Moment) {
        self.requests.add(second_of(now));
    }

    /// May one extra request be sent? If so, it is paid for.
    #[must_use]
    pub fn withdraw(&self, now: Moment) -> bool {
        let mut drawn = self.drawn();
        let second = drawn.advance(second_of(now));
        let spent: u64 = drawn.by_share.iter().sum();
        if (spent + 1) * WHOLE <= self.requests.sum(second) * u64::from(self.share.0) {
            drawn.by_share[(second % SECONDS) as usize] += 1;
            return true;
        }
        if drawn.by_reserve < self.reserve {
            drawn.by_reserve += 1;
            return true;
        }
        false
    }

    /// What was withdrawn a moment ago was not sent after all.
    pub fn restore(&self, now: Moment) {
        let mut drawn = self.drawn();
        let second = drawn.advance(second_of(now));
        let paid = &mut drawn.by_share[(second % SECONDS) as usize];
        if *paid > 0 {
            *paid -= 1;
        } else {
            drawn.by_reserve = drawn.by_reserve.saturating_sub(1);
        }
    }

    /// How many extra requests could be sent now; for people, so not to the last one.
    pub fn balance(&self, now: Moment) -> f64 {
        let mut drawn = self.drawn();
        let second = drawn.advance(second_of(now));
        let spent: u64 = drawn.by_share.iter().sum();
        let earned = self.requests.sum(second) as f64 * self.share.factor();
        let reserve = f64::from(self.reserve.saturating_sub(drawn.by_reserve));
        (earned - spent as f64).max(0.0) + reserve
    }

    fn drawn(&self) -> MutexGuard<'_, Drawn> {
        // Nothing panics while it is held; if it did, counts would still be counts.
        self.drawn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ring {
    fn add(&self, second: u64) {
        let slot = &self.0[(second % SLOTS as u64) as usize];
        let mut seen = slot.load(Ordering::Relaxed);
        while !is_of(seen, second) {
            // The first of this second takes the slot over. Who loses looks again.
            let begun = (second << COUNT_BITS) | 1;
            let took = slot.compare_exchange(seen, begun, Ordering::Relaxed, Ordering::Relaxed);
            match took {
                Ok(_) => return,
                Err(now) => seen = now,
            }
        }
        // Were the thread held up for 16 s right here, a request would count in the wrong second.
        slot.fetch_add(1, Ordering::Relaxed);
    }

    /// Those of this second and the nine before.
    fn sum(&self, second: u64) -> u64 {
        let live = second.saturating_sub(SECONDS - 1)..=second;
        live.map(|second| {
            let slot = self.0[(second % SLOTS as u64) as usize].load(Ordering::Relaxed);
            if is_of(slot, second) { slot & COUNT } else { 0 }
        })
        .sum()
    }
}

impl Drawn {
    /// Forgets what is too old. Threads may be a little behind each other: time does not go back.
    fn advance(&mut self, to: u64) -> u64 {
        if to > self.second {
            self.by_reserve = 0;
            for second in self.second + 1..=to.min(self.second + SECONDS) {
                self.by_share[(second % SECONDS) as usize] = 0;
            }
            self.second = to;
        }
        self.second
    }
}

/// Was this slot begun in that second? 24 bits of it are kept: 194 days.
fn is_of(slot: u64, second: u64) -> bool {
    slot >> COUNT_BITS == second & (u64::MAX >> COUNT_BITS)
}

fn second_of(now: Moment) -> u64 {
    now.as_nanos() / 1_000_000_000
}
