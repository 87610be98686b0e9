//! Choosing a server.

use crate::member::{Member, MemberId};
use crate::view::View;
use base::Moment;
use fastrand::Rng;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

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

impl View {
    /// Chooses a server.
    ///
    /// # Errors
    /// Why there is none.
    pub fn pick(&self, wish: Wish<'_>, _now: Moment, _rng: &mut Rng) -> Result<Choice<'_>, Nobody> {
        let Some(n) = std::num::NonZero::new(self.members.len()) else {
            return Err(Nobody::Empty);
        };
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let member = &self.members[turn % n];
        if wish.tried.contains(&member.id) {
            return Err(Nobody::AllTried);
        }
        Ok(Choice { member, why: Why::Policy })
    }
}
