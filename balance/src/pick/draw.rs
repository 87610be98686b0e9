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
        let all = tier.seats.len();
        let elsewhere = (tier.local < all).then_some(tier.local..all);
        choose(0..tier.local).or_else(|| elsewhere.and_then(choose))
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
        let mut spare = None;
        for _ in 0..DRAWS_MAX {
            let at = point(tier, &range, rng.f32());
            let member = &tier.seats[at].member;
            if Some(at) == other || self.tried(member) {
                continue;
            }
            // Who starts slowly passes on the rest of what it is offered.
            if !self.slow || rng.f32() < self.eased(member) {
                return Some(at);
            }
            spare = spare.or(Some(at));
        }
        spare.or_else(|| self.any(&tier.seats, range, other, rng))
    }

    /// [`crate::settings::Policy::RoundRobin`]. By weight, turns are multiples of the golden ratio on
    /// the line of weights: no schedule to keep, and each seat's turns come at even distances.
    pub(super) fn next_in_turn(&self, tier: &Tier) -> Option<usize> {
        Self::local_first(tier, |range| {
            let mut spare = None;
            for _ in 0..DRAWS_MAX {
                let turn = self.view.shared.turn.fetch_add(1, Relaxed);
                let at = if tier.even {
                    range.start + turn % range.len()
                } else {
                    point(tier, &range, share((turn as u32).wrapping_mul(GOLDEN)))
                };
                let member = &tier.seats[at].member;
                if self.tried(member) {
                    continue;
                }
                // Evenly spread as well, over the turns of one seat: bits in reverse.
                let dice = || share(((turn / range.len()) as u32).reverse_bits());
                if !self.slow || dice() < self.eased(member) {
                    return Some(at);
                }
                spare = spare.or(Some(at));
            }
            spare.or_else(|| range.clone().find(|&at| !self.tried(&tier.seats[at].member)))
        })
    }
}

/// A number as a share of all there are.
fn share(number: u32) -> f32 {
    (number >> 8) as f32 / 2.0_f32.powi(24)
}

/// The seat of a range at this share of the range's weights.
fn point(tier: &Tier, range: &Range<usize>, share: f32) -> usize {
    let base = if range.start == 0 { 0.0 } else { tier.sums[range.start - 1] };
    let line = &tier.sums[range.clone()];
    let target = base + share * (line[line.len() - 1] - base);
    let at = line.partition_point(|&sum| sum <= target);
    range.start + at.min(line.len() - 1)
}
