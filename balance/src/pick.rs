//! Choosing a server.
//!
//! In steps: somebody who may be back is tried by one request at a time; else a priority is drawn by
//! the share it gets, and the policy chooses among its servers, never one that was tried while there is
//! another, in whatever priority. Nothing here allocates or waits, and nothing locks but the member
//! whose probe is taken, for a moment; what is read of members may be a little old.

use crate::member::{Member, MemberId};
use crate::settings::Policy;
use crate::view::spill::WHOLE;
use crate::view::{Tier, View};
use base::Moment;
use fastrand::Rng;
use std::sync::Arc;
use std::time::Duration;

mod cost;
mod draw;
mod hashed;

#[cfg(test)]
mod tests;

/// What is wished for.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish<'a> {
    /// The hash of what [`crate::settings::Policy::Hash`] goes by, where the request has it.
    pub hash: Option<u64>,
    /// Servers that were tried already: another one, if there is one.
    pub tried: &'a [MemberId],
    /// The request may be tried again elsewhere, so that it can find out whether a server is back.
    pub may_probe: bool,
}

/// The server chosen, and why.
#[derive(Clone, Copy, Debug)]
pub struct Choice<'v> {
    /// The server.
    pub member: &'v Arc<Member>,
    /// Why this one.
    pub why: Why,
}

/// Why a server was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// By the policy.
    Policy,
    /// There is no other.
    Only,
    /// To find out whether it is back.
    Probation,
    /// Too few are fit, so that ejection is ignored.
    Panic,
}

/// Why none was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nobody {
    /// The pool is empty: nothing was discovered yet, or all is gone.
    Empty,
    /// Nobody is alive; somebody may be back after this time.
    NoneAlive(Duration),
    /// All who may be asked were tried already.
    AllTried,
}

/// Nobody is told to come back sooner than this,
const WAIT_MIN: Duration = Duration::from_millis(10);
/// and later than this only if everybody's time is known.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// While somebody is being tried, it is soon known whether that one is back.
const WAIT_PROBATION: Duration = Duration::from_millis(50);

/// One choice: what is wished, by whom, when.
pub(crate) struct Ask<'a> {
    view: &'a View,
    wish: Wish<'a>,
    now: Moment,
    /// Somebody starts slowly.
    slow: bool,
}

impl View {
    /// Chooses a server.
    ///
    /// # Errors
    /// Why there is none.
    pub fn pick(&self, wish: Wish<'_>, now: Moment, rng: &mut Rng) -> Result<Choice<'_>, Nobody> {
        if self.members.is_empty() {
            return Err(Nobody::Empty);
        }
        if let Some(member) = self.probe(wish, now, rng) {
            return Ok(Choice { member, why: Why::Probation });
        }
        let Some(first) = self.first_tier(wish, rng) else {
            return Err(Nobody::NoneAlive(self.wait(now)));
        };
        let ask = Ask { view: self, wish, now, slow: self.slow(now) };
        let others = (0..self.tiers.len()).filter(|&other| other != first);
        for tier in std::iter::once(first).chain(others) {
            let tier = &self.tiers[tier];
            if let Some(seat) = ask.seat(tier, rng) {
                let why = if tier.panic {
                    Why::Panic
                } else if tier.seats.len() == 1 && self.tiers.len() == 1 {
                    Why::Only
                } else {
                    Why::Policy
                };
                return Ok(Choice { member: &tier.seats[seat].member, why });
            }
        }
        Err(Nobody::AllTried)
    }

    /// Somebody who awaits a request that finds out whether it is back, if this may be that request.
    fn probe(&self, wish: Wish<'_>, now: Moment, rng: &mut Rng) -> Option<&Arc<Member>> {
        let count = self.probation.len();
        if count == 0 {
            return None;
        }
        let start = rng.usize(..count);
        let mut some = self.probation[start..].iter().chain(&self.probation[..start]);
        some.find(|member| {
            !wish.tried.contains(&member.id) && member.health.try_probe(now, wish.may_probe)
        })
    }

    fn first_tier(&self, wish: Wish<'_>, rng: &mut Rng) -> Option<usize> {
        if self.tiers.len() < 2 {
            return self.tiers.first().map(|_| 0);
        }
        let at = match wish.hash {
            Some(hash) if matches!(self.rules.policy, Policy::Hash(_)) => hashed::point(hash),
            _ => rng.u32(..WHOLE),
        };
        self.tiers.iter().position(|tier| at < tier.until)
    }

    /// When it is worth while to ask again.
    fn wait(&self, now: Moment) -> Duration {
        if !self.probation.is_empty() {
            return WAIT_PROBATION;
        }
        if self.next.as_nanos() == u64::MAX { WAIT_MAX } else { (self.next - now).max(WAIT_MIN) }
    }
}

impl Ask<'_> {
    fn seat(&self, tier: &Tier, rng: &mut Rng) -> Option<usize> {
        match (&self.view.rules.policy, self.wish.hash) {
            (Policy::Hash(rule), Some(hash)) => self.hashed(tier, rule, hash, rng),
            (Policy::PeakEwma | Policy::Hash(_), _) => self.lower_cost(tier, rng),
            (Policy::LeastRequest, _) => self.fewer_requests(tier, rng),
            (Policy::HotCold, _) => self.colder(tier, rng),
            (Policy::RoundRobin, _) => self.next_in_turn(tier),
            (Policy::Random, _) => self.by_weight(tier, rng),
        }
    }

    fn tried(&self, member: &Member) -> bool {
        self.wish.tried.contains(&member.id)
    }

    /// The share of its weight that a member has now.
    fn eased(&self, member: &Member) -> f32 {
        if self.slow { member.joined.factor(self.view.rules.curve, self.now) } else { 1.0 }
    }
}
