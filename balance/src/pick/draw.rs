//! Who is drawn: at random, by weight or in turn, leaving out who was tried.

use super::Ask;
use crate::view::{Seat, Tier};
use fastrand::Rng;
use std::ops::Range;
use std::sync::atomic::Ordering::Relaxed;

/// So often chance may miss before seats are gone through one by one.
const DRAWS_MAX: usize = 8;
/// The golden ratio's fraction of 2^32: multiples of it are spread as evenly as can be.
const GOLDEN: u32 = 0x9E37_79B9;

impl Ask<'_> {
    /// Any seat of a range that was not tried, other than one.
    pub(super) fn any(
        &self,
        seats: &[Seat],
        range: Range<usize>,
        other: Option<usize>,
        rng: &mut Rng,
    ) -> Option<usize> {
        let fits = |at: &usize| Some(*at) != other && !self.tried(&seats[*at].member);
        match range.len() {
            0 => return None,
            1 => return Some(range.start).filter(fits),
            // A choice less for chance, and the usual size of small pools.
            2 if self.wish.tried.is_empty() && other.is_some() => {
                return range.clone().find(fits);
            }
            _ => {}
        }
        for _ in 0..DRAWS_MAX {
            let at = rng.usize(range.clone());
            if fits(&at) {
                return Some(at);
            }
        }
        let start = rng.usize(range.clone());
        (start..range.end).chain(range.start..start).find(fits)
    }

    /// Seats of our zone, and the others where there is nobody left in it.
    pub(super) fn local_first(
        tier: &Tier,
        mut choose: impl FnMut(Range<usize>) -> Option<usize>,
    ) -> Option<usize> {
        choose(0..tier.local).or_else(|| {
            if tier.local < tier.seats.len() { choose(tier.local..tier.seats.len()) } else { None }
        })
    }

    /// [`crate::settings::Policy::Random`].
    pub(super) fn by_weight(&self, tier: &Tier, rng: &mut Rng) -> Option<usize> {
        Self::local_first(tier, |range| self.weighed(tier, range, None, rng))
    }

    /// A seat of a range by weight, slow start included, that was not tried, other than one.
    pub(super) fn weighed(
        &self,
        tier: &Tier,
        range: Range<usize>,
        other: Option<usize>,
        rng: &mut Rng,
    ) -> Option<usize> {
        if tier.even && !self.slow {
            return self.any(&tier.seats, range, other, rng);
        }
        if range.is_empty() {
            return None;
        }
        for _ in 0..DRAWS_MAX {
            let at = point(tier, &range, rng.f32());
            let member = &tier.seats[at].member;
            // Who starts slowly passes on the rest of what it is offered.
            let passes = self.slow && rng.f32() >= self.eased(member);
            if !passes && Some(at) != other && !self.tried(member) {
                return Some(at);
            }
        }
        self.any(&tier.seats, range, other, rng)
    }

    /// [`crate::settings::Policy::RoundRobin`]. By weight, turns are multiples of the golden ratio on
    /// the line of weights: no schedule to keep, and each seat's turns come at even distances.
    pub(super) fn next_in_turn(&self, tier: &Tier) -> Option<usize> {
        Self::local_first(tier, |range| {
            for _ in 0..DRAWS_MAX {
                let turn = self.view.shared.turn.fetch_add(1, Relaxed);
                let golden = (turn as u32).wrapping_mul(GOLDEN);
                let at = if tier.even {
                    range.start + turn % range.len()
                } else {
                    point(tier, &range, golden as f32 / 2.0_f32.powi(32))
                };
                let member = &tier.seats[at].member;
                // Another even sequence, whatever the seat: its bits are the turn's in reverse.
                let dice =
                    || (turn as u32 / range.len() as u32).reverse_bits() as f32 / 2.0_f32.powi(32);
                let passes = self.slow && dice() >= self.eased(member);
                if !passes && !self.tried(member) {
                    return Some(at);
                }
            }
            range.clone().find(|&at| !self.tried(&tier.seats[at].member))
        })
    }
}

/// The seat of a range at this share of the range's weights.
fn point(tier: &Tier, range: &Range<usize>, share: f32) -> usize {
    let base = if range.start == 0 { 0.0 } else { tier.sums[range.start - 1] };
    let line = &tier.sums[range.clone()];
    let target = base + share * (line[line.len() - 1] - base);
    let at = line.partition_point(|&sum| sum <= target);
    range.start + at.min(line.len() - 1)
}
