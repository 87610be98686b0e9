//! Keys whose answers could not be shared: their requests go forward side by side instead of waiting
//! for each other.
//!
//! A fixed table of fingerprints with an end each; a collision or an overwritten place costs one
//! request that waits for another's answer, nothing else. One place a key, not one a variant, and no
//! lock (a bounded form of what others call hit-for-miss).

use base::Wall;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Places in the table.
const PLACES: usize = 1 << 16;
/// How long a key stays shy.
const SHY_TIME: Duration = Duration::from_mins(2);
/// A mark that ends sooner than this is renewed; others are left alone, so that a hot key is not
/// written with every request.
const RENEW_TIME: Duration = Duration::from_mins(1);

/// The table.
pub struct Shy(Box<[AtomicU64]>);

impl fmt::Debug for Shy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shy")
    }
}

impl Default for Shy {
    fn default() -> Self {
        Self((0..PLACES).map(|_| AtomicU64::new(0)).collect())
    }
}

impl Shy {
    /// Where a key's mark is, and the part of the key that is kept there.
    fn place(&self, key: u128) -> (&AtomicU64, u64) {
        (&self.0[key as usize % PLACES], (key >> 96) as u64)
    }

    /// Is this key shy at `now`?
    pub fn is(&self, key: u128, now: Wall) -> bool {
        let (place, print) = self.place(key);
        let mark = place.load(Ordering::Relaxed);
        mark >> 32 == print && mark & 0xffff_ffff > now.seconds() & 0xffff_ffff
    }

    /// Its last answer could not be shared.
    pub fn mark(&self, key: u128, now: Wall) {
        if !self.is(key, now + RENEW_TIME) {
            let (place, print) = self.place(key);
            let until = (now + SHY_TIME).seconds() & 0xffff_ffff;
            place.store(print << 32 | until, Ordering::Relaxed);
        }
    }

    /// Its last answer could be shared.
    pub fn forget(&self, key: u128, now: Wall) {
        if self.is(key, now) {
            self.place(key).0.store(0, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_for_one_key_and_ends() {
        let (shy, key, now) = (Shy::default(), 7 << 96 | 3, Wall(1_800_000_000_000));
        assert!(!shy.is(key, now));
        shy.mark(key, now);
        assert!(shy.is(key, now));
        assert!(!shy.is(8 << 96 | 3, now), "another key in the same place");
        assert!(!shy.is(key, now + SHY_TIME));
        shy.mark(key, now + SHY_TIME / 2 + Duration::from_secs(1));
        assert!(shy.is(key, now + SHY_TIME), "renewed when half of its time was over");
        shy.forget(key, now + SHY_TIME);
        assert!(!shy.is(key, now + SHY_TIME));
    }
}
