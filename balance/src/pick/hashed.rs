//! The server a hash belongs to, unless that one has too much already.
//!
//! Where the hash's own server is unfit, tried or too busy, the hash is hashed again and jumps to
//! another place (Chen et al., arXiv 1908.08762): unlike a walk to the next, jumps do not pile the
//! load of a hot server on its neighbours. The same hash jumps the same way each time.

use super::Ask;
use crate::settings::Hash;
use crate::view::Tier;
use crate::view::spill::WHOLE;
use fastrand::Rng;
use std::sync::atomic::Ordering::Relaxed;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// After so many jumps nearly everybody is busy or unfit.
const JUMPS_MAX: u64 = 16;
/// So much may be in flight anywhere: at little load the mean says nothing of who is busy, and the six
/// requests of one page should find the same server.
const ROOM_LEAST: f32 = 8.0;
const TIER_SEED: u64 = 1 << 32;
const SLOW_SEED: u64 = 2 << 32;

impl Ask<'_> {
    /// [`crate::settings::Policy::Hash`].
    pub(super) fn hashed(
        &self,
        tier: &Tier,
        rule: &Hash,
        hash: u64,
        rng: &mut Rng,
    ) -> Option<usize> {
        let hashed = tier.hashed.as_ref()?;
        let total = tier.sums.last().copied()?;
        let in_flight = self.view.shared.in_flight.load(Relaxed) as f32;
        // What a weight of one may have in flight.
        let bound = rule.bound.factor() as f32 * in_flight / total;
        (0..JUMPS_MAX)
            .filter_map(|jump| {
                let at = if jump == 0 { hash } else { rehash(hash, jump) };
                hashed.seats.get(hashed.table.get(at)?).copied().flatten()
            })
            .map(|seat| seat as usize)
            .find(|&seat| {
                let chosen = &tier.seats[seat];
                let room = (bound * chosen.weight).max(ROOM_LEAST);
                !self.tried(&chosen.member)
                    && chosen.member.in_flight() as f32 <= room
                    && self.is_given(&chosen.member, hash)
            })
            .or_else(|| self.somebody(tier, rng))
    }

    /// Of a server that starts slowly, the same hashes each time, and more of them by and by.
    fn is_given(&self, member: &crate::member::Member, hash: u64) -> bool {
        !self.slow || {
            let share = (rehash(hash, SLOW_SEED) >> 40) as f32 / 2.0_f32.powi(24);
            share < self.eased(member)
        }
    }
}

/// Where in [`WHOLE`] a hash falls: its priority is always the same.
pub(super) fn point(hash: u64) -> u32 {
    (rehash(hash, TIER_SEED) % u64::from(WHOLE)) as u32
}

fn rehash(hash: u64, seed: u64) -> u64 {
    xxh3_64_with_seed(&hash.to_le_bytes(), seed)
}
