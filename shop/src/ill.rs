//! What may be wrong with one instance where others are well: the cases a balancer is there for.
//!
//! An [`Ill`] is chosen at the start and stays. It befalls requests from outside only: calls of the
//! instance to itself and the pages about itself (`/health`, `/sins`, `/counters`) are spared, so
//! that it must be found out by what it answers. [`Ill::Slow`] is work; the other two are imitated.

use fastrand::Rng;
use std::fmt;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How many times over the slow instance does its work.
const SLOW_TIMES: u32 = 4;
/// One answer in so many is held up by [`Ill::Stalls`] …
const STALL_EVERY: u32 = 50;
/// … for so long.
const STALL_TIME: Duration = Duration::from_secs(1);

/// What is wrong with an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ill {
    /// Nothing.
    None,
    /// It does all its work several times over, as long as the sin `slow-instance` is on.
    Slow,
    /// It answers 503 at once, as the shop does when its database is gone.
    Fails,
    /// It holds up an answer now and then, as a garbage collection or a lock does.
    Stalls,
}

impl Ill {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Self; 4] = [Self::None, Self::Slow, Self::Fails, Self::Stalls];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Slow => "slow",
            Self::Fails => "fails",
            Self::Stalls => "stalls",
        }
    }
}

impl fmt::Display for Ill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is no illness.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no illness of an instance; known are slow, fails, stalls, or `none`")]
pub struct UnknownIll(String);

impl FromStr for Ill {
    type Err = UnknownIll;

    fn from_str(text: &str) -> Result<Self, UnknownIll> {
        let ill = Self::ALL.into_iter().find(|ill| ill.name() == text);
        ill.ok_or_else(|| UnknownIll(text.to_owned()))
    }
}

/// What befalls one request before it is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// Nothing.
    None,
    /// It is refused.
    Refused,
    /// It is held up for so long, and then served.
    Held(Duration),
    /// It is served so many times, and answered once.
    Repeated(u32),
}

/// An illness taking its course: request after request, by chance from a seed.
pub(crate) struct Course {
    ill: Ill,
    rng: Mutex<Rng>,
}

impl Course {
    pub(crate) fn new(ill: Ill, seed: u64) -> Self {
        Self { ill, rng: Mutex::new(Rng::with_seed(seed)) }
    }

    /// What befalls the next request from outside.
    pub(crate) fn next(&self) -> Blow {
        match self.ill {
            Ill::None => Blow::None,
            Ill::Slow => Blow::Repeated(SLOW_TIMES),
            Ill::Fails => Blow::Refused,
            Ill::Stalls => {
                let mut rng = self.rng.lock().unwrap_or_else(PoisonError::into_inner);
                if rng.u32(..STALL_EVERY) == 0 { Blow::Held(STALL_TIME) } else { Blow::None }
            }
        }
    }

    pub(crate) fn ill(&self) -> Ill {
        self.ill
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_illness_is_read_and_printed() {
        for ill in Ill::ALL {
            assert_eq!(ill.to_string().parse(), Ok(ill));
        }
        let error = "slwo".parse::<Ill>().unwrap_err().to_string();
        assert_eq!(
            error,
            "`slwo` is no illness of an instance; known are slow, fails, stalls, or `none`"
        );
    }

    #[test]
    fn one_answer_in_fifty_stalls_and_the_same_ones_by_the_same_seed() {
        let course = |seed| {
            let course = Course::new(Ill::Stalls, seed);
            (0..10_000).map(move |_| course.next() != Blow::None).collect::<Vec<_>>()
        };
        for seed in 0..20 {
            let held = course(seed).into_iter().filter(|held| *held).count();
            assert!((140..=260).contains(&held), "seed {seed}: {held} of 10,000");
        }
        assert_eq!(course(7), course(7));
        assert_ne!(course(7), course(8));
    }
}
