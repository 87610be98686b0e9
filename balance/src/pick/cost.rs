//! The better of two chosen at random: by expected time, by requests in flight, by heat.
//!
//! Two choices keep threads that see the same figures from running to the same server, and are nearly
//! as good as looking at all (Mitzenmacher). The two are distinct, or in a pool of two the busier would
//! have a quarter of the requests.

use super::Ask;
use crate::load::Cost;
use crate::view::Tier;
use fastrand::Rng;
use std::cmp::Ordering;

/// Latencies within this factor are the same as far as weights are concerned.
const ALIKE: f32 = 2.0;
/// A server that fails more than this counts as busier than it is where latency does not count.
const FAILING: f32 = 0.05;
/// As if it had so many times as many in flight when it always fails.
const FAILING_LOAD: f32 = 100.0;

/// A candidate.
#[derive(Clone, Copy)]
struct Candidate {
    seat: usize,
    cost: Cost,
    /// Slow start included.
    weight: f32,
}

impl Ask<'_> {
    /// [`crate::settings::Policy::PeakEwma`]. With zones, two of ours and one of elsewhere, which
    /// must be cheaper by [`crate::settings::Settings::zone_cost`]: what the way there takes
    /// is part of what was measured already.
    pub(super) fn lower_cost(&self, tier: &Tier, rng: &mut Rng) -> Option<usize> {
        let local = self.lower_of_two(tier, 0..tier.local, rng, Candidate::expected);
        if tier.local == tier.seats.len() {
            return local.map(|local| local.seat);
        }
        let remote = self.any(&tier.seats, tier.local..tier.seats.len(), None, rng);
        let remote = remote.map(|seat| self.candidate(tier, seat));
        let (Some(local), Some(remote)) = (local, remote) else {
            return local.or(remote).map(|only| only.seat);
        };
        let mut dearer = remote;
        dearer.cost.nanos += self.view.rules.zone_cost;
        let is_worth_it = dearer.expected(1.0) < local.expected(1.0);
        Some(if is_worth_it { remote.seat } else { local.seat })
    }

    /// [`crate::settings::Policy::LeastRequest`].
    pub(super) fn fewer_requests(&self, tier: &Tier, rng: &mut Rng) -> Option<usize> {
        Self::local_first(tier, |range| {
            self.lower_of_two(tier, range, rng, Candidate::requests).map(|best| best.seat)
        })
    }

    /// [`crate::settings::Policy::HotCold`]: Prequal's rule (Wydrowski et al., NSDI 2024) without its
    /// probes. Who fails is hot: a server that fails fast is neither fast nor idle.
    pub(super) fn colder(&self, tier: &Tier, rng: &mut Rng) -> Option<usize> {
        let limit = self.view.shared.hot();
        Self::local_first(tier, |range| {
            let a = self.weighed(tier, range.clone(), None, rng)?;
            let Some(b) = self.weighed(tier, range, Some(a), rng) else {
                return Some(a);
            };
            let (a, b) = (self.candidate(tier, a), self.candidate(tier, b));
            let order = match (a.is_hot(limit), b.is_hot(limit)) {
                (false, true) => Ordering::Less,
                (true, false) => Ordering::Greater,
                (true, true) => a.requests(1.0).total_cmp(&b.requests(1.0)),
                (false, false) => (a.cost.nanos.total_cmp(&b.cost.nanos))
                    .then(a.requests(1.0).total_cmp(&b.requests(1.0))),
            };
            let first = order.is_lt() || order.is_eq() && rng.bool();
            Some(if first { a.seat } else { b.seat })
        })
    }

    /// Two distinct ones of a range that were not tried, or the one there is; the lower score.
    fn lower_of_two(
        &self,
        tier: &Tier,
        range: std::ops::Range<usize>,
        rng: &mut Rng,
        score: impl Fn(&Candidate, f32) -> f32,
    ) -> Option<Candidate> {
        let a = self.any(&tier.seats, range.clone(), None, rng)?;
        let Some(b) = self.any(&tier.seats, range, Some(a), rng) else {
            return Some(self.candidate(tier, a));
        };
        let (a, b) = (self.candidate(tier, a), self.candidate(tier, b));
        let even = a.weight.to_bits() == b.weight.to_bits();
        // Of two idle servers the heavier would always be asked, the lighter never. So where weights
        // differ and times do not, "one more" is a random number with mean one: the idle are asked by
        // weight, and with more in flight it matters less and less.
        let (more_a, more_b) =
            if even || !a.is_like(&b) { (1.0, 1.0) } else { (exponential(rng), exponential(rng)) };
        let order = score(&a, more_a).total_cmp(&score(&b, more_b));
        Some(if order.is_lt() || order.is_eq() && rng.bool() { a } else { b })
    }

    fn candidate(&self, tier: &Tier, seat: usize) -> Candidate {
        let chosen = &tier.seats[seat];
        let cost = chosen.member.load.cost(self.now, self.view.prior());
        Candidate { seat, cost, weight: chosen.weight * self.eased(&chosen.member) }
    }

    /// The least busy of two, where a hash finds nobody.
    pub(super) fn somebody(&self, tier: &Tier, rng: &mut Rng) -> Option<usize> {
        let range = 0..tier.seats.len();
        self.lower_of_two(tier, range, rng, Candidate::requests).map(|best| best.seat)
    }
}

impl Candidate {
    /// The time until it has answered what it has in flight and `more`.
    fn expected(&self, more: f32) -> f32 {
        self.cost.nanos * (self.cost.in_flight as f32 + more) / self.weight
    }

    /// Requests in flight and `more` for its weight.
    fn requests(&self, more: f32) -> f32 {
        let failing = self.cost.failing;
        let factor = if failing < FAILING { 1.0 } else { 1.0 + FAILING_LOAD * failing * failing };
        (self.cost.in_flight as f32 + more) * factor / self.weight
    }

    fn is_hot(&self, limit: f32) -> bool {
        self.cost.failing > FAILING || self.cost.in_flight as f32 / self.weight > limit
    }

    fn is_like(&self, other: &Self) -> bool {
        let (a, b) = (self.cost.nanos, other.cost.nanos);
        a <= ALIKE * b && b <= ALIKE * a
    }
}

/// Of mean one.
fn exponential(rng: &mut Rng) -> f32 {
    -(1.0 - rng.f32()).ln()
}
