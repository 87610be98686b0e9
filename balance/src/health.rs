//! Whether a server is fit to be asked, by what came of asking it and by what checks found.

use crate::load::Outcome;
use crate::settings::Eject;
use base::Moment;
use std::time::Duration;

/// Whether a server may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It may.
    Up,
    /// It answers badly: not asked until then, unless too many are.
    Ejected {
        /// Until when.
        until: Moment,
        /// What for.
        why: Cause,
    },
    /// It does not answer at all: not asked until then.
    Dead {
        /// Until when.
        until: Moment,
    },
    /// Its time is over: one real request finds out whether it is back.
    Probation,
    /// Active checks fail: not asked until they do not.
    Down,
}

/// Why a server was ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Too many failures in a row.
    Failures,
    /// Too few good answers.
    Success,
    /// Much slower than the others.
    Slow,
}

/// What an active check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// As many good ones in a row as are asked for.
    Healthy,
    /// As many bad ones in a row as are asked for.
    Unhealthy,
}

/// The health of one server.
#[derive(Debug, Default)]
pub(crate) struct Health {}

impl Health {
    /// Whether it may be asked at `now`.
    pub(crate) fn condition(&self, _now: Moment) -> Condition {
        Condition::Up
    }

    /// Asking it ended; answers whether its condition should change.
    pub(crate) fn ended(&self, _outcome: Outcome, _took: Duration, _now: Moment, _rules: &Eject) {}
}
