//! When each request leaves, and which it is.
//!
//! Pure and seeded: the same plan makes the same requests at the same offsets, however many threads
//! send them.

use crate::plan::{Arrivals, Pace, Plan};
use fastrand::Rng;
use std::sync::Arc;
use std::time::Duration;

/// Keeps the draws of requests apart from the draws of pauses.
const PICKS: u64 = 0x5049_434b;

/// One request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// How many came before it.
    pub number: u64,
    /// Since the start of the run.
    pub offset: Duration,
    pub pick: Pick,
    /// Whether the warm-up is over.
    pub counted: bool,
}

/// Which request, by index into the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pick {
    pub request: usize,
    pub path: usize,
    pub target: usize,
}

impl Plan {
    /// The requests of an open run, in order; ends when the duration is over. A closed run has none.
    pub(crate) fn arrivals(&self) -> impl Iterator<Item = Arrival> + use<> {
        let (warm_up, end) = (self.warm_up, self.warm_up + self.duration);
        let mut offsets = self.offsets();
        let mut picks = self.picks(self.seed);
        let mut number = 0;
        std::iter::from_fn(move || {
            let offset = offsets.next().filter(|offset| *offset < end)?;
            let pick = picks.next(number);
            let arrival = Arrival { number, offset, pick, counted: offset >= warm_up };
            number += 1;
            Some(arrival)
        })
    }

    fn offsets(&self) -> Offsets {
        match &self.pace {
            Pace::Open { rate, arrivals } => Offsets::Drawn {
                rate: *rate,
                arrivals: *arrivals,
                rng: Rng::with_seed(self.seed),
                at: 0.0,
            },
            Pace::Recorded(list) => Offsets::Recorded { list: Arc::clone(list), next: 0 },
            Pace::Closed { .. } => Offsets::Recorded { list: Arc::new([]), next: 0 },
        }
    }

    /// Draws requests, with a seed of its own for each thread of a closed run.
    pub(crate) fn picks(&self, seed: u64) -> Picks {
        let kinds = self.requests.iter();
        let kinds: Vec<Kind> = kinds
            .map(|request| Kind {
                weight: request.weight,
                paths: request.paths.len(),
                target: request.target,
            })
            .collect();
        Picks {
            all: kinds.iter().map(|kind| kind.weight).sum(),
            kinds,
            targets: self.targets.len() as u64,
            sequence: self.sequence.clone(),
            rng: Rng::with_seed(seed ^ PICKS),
        }
    }
}

/// The times of an open run.
enum Offsets {
    Drawn { rate: f64, arrivals: Arrivals, rng: Rng, at: f64 },
    Recorded { list: Arc<[Duration]>, next: usize },
}

impl Iterator for Offsets {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        match self {
            Self::Drawn { rate, arrivals, rng, at } => {
                *at += match arrivals {
                    Arrivals::Uniform => 1.0 / *rate,
                    // 1 - f64() is above zero: its logarithm is finite.
                    Arrivals::Poisson => -(1.0 - rng.f64()).ln() / *rate,
                };
                Some(Duration::from_secs_f64(*at))
            }
            Self::Recorded { list, next } => {
                *next += 1;
                list.get(*next - 1).copied()
            }
        }
    }
}

struct Kind {
    weight: u32,
    paths: usize,
    target: Option<usize>,
}

/// An endless sequence of requests.
pub(crate) struct Picks {
    kinds: Vec<Kind>,
    all: u32,
    targets: u64,
    sequence: Option<Arc<[(u32, u32)]>>,
    rng: Rng,
}

impl Picks {
    /// The request with this number.
    pub(crate) fn next(&mut self, number: u64) -> Pick {
        let (request, path) = match &self.sequence {
            Some(sequence) => {
                let (request, path) = sequence[(number % sequence.len() as u64) as usize];
                (request as usize, path as usize)
            }
            None => self.draw(),
        };
        let in_turn = (number % self.targets) as usize;
        Pick { request, path, target: self.kinds[request].target.unwrap_or(in_turn) }
    }

    fn draw(&mut self) -> (usize, usize) {
        let mut left = self.rng.u32(0..self.all);
        let mut kind = 0;
        while left >= self.kinds[kind].weight {
            left -= self.kinds[kind].weight;
            kind += 1;
        }
        (kind, self.rng.usize(0..self.kinds[kind].paths))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::example;
    use proptest::prelude::*;

    fn plan(arrivals: Arrivals, seed: u64) -> Plan {
        example(Pace::Open { rate: 1_000.0, arrivals }, seed)
    }

    #[test]
    fn the_same_seed_makes_the_same_arrivals() {
        let list = |seed| plan(Arrivals::Poisson, seed).arrivals().collect::<Vec<_>>();
        assert_eq!(list(1), list(1));
        assert_ne!(list(1), list(2));
    }

    #[test]
    fn arrivals_keep_rate_order_weights_and_turns() {
        for spread in [Arrivals::Poisson, Arrivals::Uniform] {
            let list: Vec<Arrival> = plan(spread, 7).arrivals().collect();
            assert!((9_600..=10_400).contains(&list.len()), "{}", list.len());
            assert!(list.is_sorted_by_key(|arrival| arrival.offset));
            let few = list.iter().filter(|arrival| arrival.pick.request == 1).count();
            assert!((850..=1_150).contains(&few), "{few}");
            assert!(list.iter().all(|arrival| arrival.pick.target as u64 == arrival.number % 2));
            let counted = list.iter().filter(|arrival| arrival.counted).count();
            assert!((8_600..=9_400).contains(&counted), "{counted}");
        }
    }

    #[test]
    fn a_sequence_is_followed_and_begun_again() {
        let mut plan = plan(Arrivals::Uniform, 1);
        plan.sequence = Some(Arc::new([(1, 0), (0, 1), (0, 0)]));
        let list: Vec<_> = plan.arrivals().take(4).map(|a| (a.pick.request, a.pick.path)).collect();
        assert_eq!(list, [(1, 0), (0, 1), (0, 0), (1, 0)]);
    }

    #[test]
    fn a_request_with_a_target_of_its_own_goes_there() {
        let mut plan = plan(Arrivals::Uniform, 1);
        plan.requests[1].target = Some(0);
        let few = plan.arrivals().filter(|arrival| arrival.pick.request == 1);
        assert!(few.take(50).all(|arrival| arrival.pick.target == 0));
    }

    proptest! {
        /// Recorded times are kept as they are, up to the end.
        #[test]
        fn recorded_times_are_kept(mut millis in proptest::collection::vec(0_u64..20_000, 1..200)) {
            millis.sort_unstable();
            let list: Arc<[Duration]> = millis.iter().map(|ms| Duration::from_millis(*ms)).collect();
            let plan = example(Pace::Recorded(Arc::clone(&list)), 1);
            let end = plan.warm_up + plan.duration;
            let sent: Vec<Duration> = plan.arrivals().map(|arrival| arrival.offset).collect();
            let due: Vec<Duration> = list.iter().copied().filter(|at| *at < end).collect();
            prop_assert_eq!(sent, due);
            prop_assert!(plan.arrivals().all(|a| a.counted == (a.offset >= plan.warm_up)));
        }

        /// However a rate is spread, pauses average to its inverse.
        #[test]
        fn pauses_average_to_the_rate(seed in any::<u64>(), rate in 50.0..5_000.0_f64) {
            let mut plan = plan(Arrivals::Poisson, seed);
            plan.pace = Pace::Open { rate, arrivals: Arrivals::Poisson };
            let count = plan.arrivals().count() as f64;
            let due = rate * 10.0;
            // Six deviations of a Poisson count.
            prop_assert!((count - due).abs() <= 6.0 * due.sqrt(), "{} for {}", count, due);
        }
    }
}
