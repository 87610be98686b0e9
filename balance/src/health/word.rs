//! A condition as one number, so that it is read without a lock.
//!
//! The moment loses its low four bits, 16 ns, to what it is about.

use super::{Cause, Condition};
use base::Moment;

const KIND: u64 = 0b0111;
const DOWN: u64 = 0b1000;

/// What a server is, active checks aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Up,
    Ejected(Cause),
    Dead,
}

impl Kind {
    /// The place among the counts of ejections.
    pub(super) fn ordinal(self) -> usize {
        match self {
            Self::Ejected(Cause::Failures) => 0,
            Self::Ejected(Cause::Success) => 1,
            Self::Ejected(Cause::Slow) => 2,
            Self::Dead => 3,
            Self::Up => unreachable!("nobody is put out to be up"),
        }
    }
}

/// A condition, and since when or until when. Zero is up, since ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) kind: Kind,
    /// Active checks fail.
    pub(super) down: bool,
    /// Up since then; out until then.
    pub(super) time: Moment,
}

impl Word {
    pub(super) fn pack(self) -> u64 {
        let kind = match self.kind {
            Kind::Up => 0,
            Kind::Ejected(Cause::Failures) => 1,
            Kind::Ejected(Cause::Success) => 2,
            Kind::Ejected(Cause::Slow) => 3,
            Kind::Dead => 4,
        };
        let down = if self.down { DOWN } else { 0 };
        (self.time.as_nanos() & !(KIND | DOWN)) | down | kind
    }

    pub(super) fn unpack(word: u64) -> Self {
        let kind = match word & KIND {
            0 => Kind::Up,
            1 => Kind::Ejected(Cause::Failures),
            2 => Kind::Ejected(Cause::Success),
            3 => Kind::Ejected(Cause::Slow),
            _ => Kind::Dead,
        };
        let time = Moment::from_nanos(word & !(KIND | DOWN));
        Self { kind, down: word & DOWN != 0, time }
    }

    pub(super) fn condition(self, now: Moment) -> Condition {
        match self.kind {
            _ if self.down => Condition::Down,
            Kind::Up => Condition::Up,
            _ if now >= self.time => Condition::Probation,
            Kind::Ejected(why) => Condition::Ejected { until: self.time, why },
            Kind::Dead => Condition::Dead { until: self.time },
        }
    }
}
