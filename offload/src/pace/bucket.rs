//! So many in a time, as a bucket of tokens: the generic cell rate algorithm, in nanoseconds since
//! 1970.
//!
//! In any span of time of length `w`, at most `w / per * count + burst` are let through, never more.
//! The burst is what a tenth of a second gives, at most what may run at once, at least one: so ten
//! seconds hold at most 1 % more than the rate says, and a service is asked evenly.

use crate::settings;
use base::Wall;
use std::time::Duration;

const NANOS_IN_MS: u64 = 1_000_000;
const BURST_TIME: Duration = Duration::from_millis(100);

/// The arithmetic of one rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// What each costs, rounded up.
    each: u64,
    /// How far ahead of time `full_at` may lie when one is taken.
    slack: u64,
    /// When the bucket is full again.
    full_at: u64,
}

impl Bucket {
    /// A full one. `at_once` may run at once.
    pub fn new(rate: settings::Pace, at_once: usize) -> Self {
        let per = nanos(rate.per).max(1);
        let each = per.div_ceil(u64::from(rate.count.max(1)));
        let burst = (nanos(BURST_TIME) / each).min(at_once as u64).max(1);
        Self { each, slack: each.saturating_mul(burst - 1), full_at: 0 }
    }

    /// By another rate; the tokens that are missing stay missing.
    #[must_use]
    pub fn settled(self, rate: settings::Pace, at_once: usize, now: Wall) -> Self {
        let new = Self::new(rate, at_once);
        let now = now.0.saturating_mul(NANOS_IN_MS);
        let missing = self.full_at.saturating_sub(now).div_ceil(self.each);
        Self { full_at: now.saturating_add(missing.saturating_mul(new.each)), ..new }
    }

    /// When the next may be taken.
    pub fn next(&self) -> Wall {
        Wall(self.full_at.saturating_sub(self.slack).div_ceil(NANOS_IN_MS))
    }

    /// How many may be taken at the same moment when it is full.
    pub fn burst(&self) -> u64 {
        self.slack / self.each + 1
    }

    /// Takes one.
    pub fn take(&mut self, now: Wall) {
        let now = now.0.saturating_mul(NANOS_IN_MS);
        self.full_at = self.full_at.max(now).saturating_add(self.each);
    }

    /// Gives one back that was taken and not used.
    pub fn untake(&mut self) {
        self.full_at = self.full_at.saturating_sub(self.each);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
