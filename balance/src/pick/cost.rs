//! The better of two chosen at random: by expected time, by requests in flight, by heat.
//!
//! Two choices keep threads that see the same figures from running to the same server, and are nearly
//! as good as looking at all (Mitzenmacher). The two are distinct, or in a pool of two the busier would
//! have a quarter of the requests. Where weights differ, or somebody starts slowly, the first is drawn by
//! weight and stands unless the second is better for *its* weight: so shares go by weight while servers
//! are idle, and so does what they have in flight while they are busy.

use super::Ask;
use crate::load::Cost;
use crate::view::Tier;
use fastrand::Rng;
use std::cmp::Ordering;
use std::ops::Range;

/// Where weights differ, latencies within this factor count as the same.
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
    /// Beside the mean, slow start included.
    weight: f32,
    /// It is a choice among equal weights.
    even: bool,
}

impl Ask<'_> {
    /// [`crate::settings::Policy::PeakEwma`]. With zones, two of ours and one of elsewhere, which
    /// must be cheaper by [`crate::settings::Settings::zone_cost`]: what the way there takes
    /// is part of what was measured already.
    pub(super) fn lower_cost(&self, tier: &Tier, rng: &mut Rng) -> Option<usize> {
        let local = self.better_of_two(tier, 0..tier.local, rng, Candidate::by_expected);
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
        let is_worth_it = dearer.expected() < local.expected();
        Some(if is_worth_it { remote.seat } else { local.seat })
    }

    /// [`crate::settings::Policy::LeastRequest`].
    pub(super) fn fewer_requests(&self, tier: &Tier, rng: &mut Rng) -> Option<usize> {
        Self::local_first(tier, |range| {
            self.better_of_two(tier, range, rng, Candidate::by_requests).map(|best| best.seat)
        })
    }

    /// [`crate::settings::Policy::HotCold`]: Prequal's rule (Wydrowski et al., NSDI 2024) without its
    /// probes. Who fails is hot: a server that fails fast is neither fast nor idle.
    pub(super) fn colder(&self, tier: &Tier, rng: &mut Rng) -> Option<usize> {
        let limit = self.view.shared.hot();
        let order = |a: &Candidate, b: &Candidate| match (a.is_hot(limit), b.is_hot(limit)) {
            (false, true) => Ordering::Less,
            (true, false) => Ordering::Greater,
            (true, true) => a.by_requests(b),
            (false, false) => a.by_latency(b),
        };
        Self::local_first(tier, |range| {
            self.better_of_two(tier, range, rng, order).map(|best| best.seat)
        })
    }

    /// The better of two distinct ones of a range that were not tried, or the one there is.
    fn better_of_two(
        &self,
        tier: &Tier,
        range: Range<usize>,
        rng: &mut Rng,
        order: impl Fn(&Candidate, &Candidate) -> Ordering,
    ) -> Option<Candidate> {
        let a = self.weighed(tier, range.clone(), None, rng)?;
        let a = self.candidate(tier, a);
        let Some(b) = self.weighed(tier, range, Some(a.seat), rng) else {
            return Some(a);
        };
        let b = self.candidate(tier, b);
        // Weights are kept by the first draw, which stands unless the other is better.
        let even = tier.even && !self.slow;
        let first = match order(&a, &b) {
            Ordering::Less => true,
            Ordering::Greater => false,
            Ordering::Equal => !even || rng.bool(),
        };
        Some(if first { a } else { b })
    }

    /// The less busy of two, where a hash finds nobody.
    pub(super) fn somebody(&self, tier: &Tier, rng: &mut Rng) -> Option<usize> {
        let range = 0..tier.seats.len();
        self.better_of_two(tier, range, rng, Candidate::by_requests).map(|best| best.seat)
    }

    fn candidate(&self, tier: &Tier, seat: usize) -> Candidate {
        let chosen = &tier.seats[seat];
        let cost = chosen.member.load.cost(self.now, self.view.prior());
        let (weight, mean) =
            if tier.even { (1.0, 1.0) } else { (chosen.weight, tier.mean_weight()) };
        let weight = weight / mean * self.eased(&chosen.member);
        Candidate { seat, cost, weight, even: tier.even && !self.slow }
    }
}

impl Candidate {
    /// The time until it has answered what it has in flight and one more. How long that one takes is
    /// no matter of weight.
    fn expected(&self) -> f32 {
        self.cost.nanos * (self.cost.in_flight as f32 / self.weight + 1.0)
    }

    /// Requests in flight and one more, for its weight.
    fn requests(&self) -> f32 {
        let failing = self.cost.failing;
        let factor = if failing < FAILING { 1.0 } else { 1.0 + FAILING_LOAD * failing * failing };
        (self.cost.in_flight as f32 / self.weight + 1.0) * factor
    }

    fn by_requests(&self, other: &Self) -> Ordering {
        self.requests().total_cmp(&other.requests())
    }

    fn by_expected(&self, other: &Self) -> Ordering {
        if self.is_like(other) {
            return self.by_requests(other);
        }
        self.expected().total_cmp(&other.expected())
    }

    fn by_latency(&self, other: &Self) -> Ordering {
        if self.is_like(other) {
            return self.by_requests(other);
        }
        self.cost.nanos.total_cmp(&other.cost.nanos).then(self.by_requests(other))
    }

    fn is_hot(&self, limit: f32) -> bool {
        self.cost.failing > FAILING || self.cost.in_flight as f32 / self.weight > limit
    }

    /// With weights it would be noise in latencies that decides between idle servers, whatever their
    /// weights: so latencies that are much the same are the same.
    fn is_like(&self, other: &Self) -> bool {
        let (a, b) = (self.cost.nanos, other.cost.nanos);
        !self.even && a <= ALIKE * b && b <= ALIKE * a
    }
}
