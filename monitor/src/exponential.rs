//! Durations in buckets of which each is a fixed share wider than the one before: what Prometheus'
//! native histograms and OTLP's exponential ones are made of.
//!
//! Bucket `i` takes what is longer than 2^((i-1)/8) seconds and at most 2^(i/8): 9 % from one to the
//! next (Prometheus' schema 3, OTLP's scale 3). Our own buckets are finer; one that reaches over a
//! border counts on the side of its longest duration, as everywhere else.

use std::time::Duration;

/// Prometheus' schema and OTLP's scale: two to this power are the buckets of an octave.
pub const SCALE: i32 = 3;

/// Such buckets, from the first that is not empty to the last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exponential {
    /// The number of the first.
    pub first: i32,
    /// How many fell into each, with those between that are empty.
    pub counts: Vec<u64>,
    /// How many took no time at all.
    pub zeros: u64,
}

impl Exponential {
    /// From finer buckets, in order: the longest duration of each, and how many fell into it.
    pub fn of(buckets: impl Iterator<Item = (Duration, u64)>) -> Self {
        let mut all = Self::default();
        for (longest, n) in buckets {
            if longest.is_zero() {
                all.zeros += n;
                continue;
            }
            let at = index(longest);
            if all.counts.is_empty() {
                all.first = at;
            }
            let at = usize::try_from(at - all.first).unwrap_or_default();
            if all.counts.len() <= at {
                all.counts.resize(at + 1, 0);
            }
            all.counts[at] += n;
        }
        all
    }
}

/// The number of the bucket that takes a duration.
fn index(duration: Duration) -> i32 {
    (duration.as_secs_f64().log2() * f64::from(1 << SCALE)).ceil() as i32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Merged;
    use proptest::prelude::*;

    #[test]
    fn borders_belong_to_the_bucket_below() {
        for (millis, number) in [(1_000, 0), (1_001, 1), (500, -8), (501, -7), (250, -16)] {
            assert_eq!(index(Duration::from_millis(millis)), number, "{millis} ms");
        }
    }

    proptest! {
        #[test]
        fn none_is_lost_and_each_is_within_its_borders(nanos in prop::collection::vec(0..1_u64 << 40, 1..50)) {
            let mut merged = Merged::<7>::default();
            for nanos in &nanos {
                merged.add(Duration::from_nanos(*nanos), 1);
            }
            let all = Exponential::of(merged.buckets());
            prop_assert_eq!(all.zeros + all.counts.iter().sum::<u64>(), nanos.len() as u64);
            // No more than a bucket of ours (0.8 %) beside where it belongs.
            for (number, n) in (all.first..).zip(&all.counts).filter(|(_, n)| **n > 0) {
                let border = |number: i32| (f64::from(number) / 8.0).exp2() * 1e9;
                let (low, high) = (border(number - 1) * 0.991, border(number));
                let here = nanos.iter().filter(|n| (low..=high).contains(&(**n as f64)));
                prop_assert!(here.count() as u64 >= *n, "{number}: {n}");
            }
        }
    }
}
