//! Durations in buckets that are never wider than a known share of their value.
//!
//! Values are whole nanoseconds. With `BITS` = 5 a bucket is at most a 32nd of its value wide (3.2 %),
//! with 7 a 128th (0.8 %): small values have a bucket each, above them every power of two is cut into
//! 2^`BITS`. The last bucket takes all from 2^40 ns (18 minutes) on. A power of two that nothing has
//! fallen into has no memory. Recording is one single-writer add; merging is adding bucket by bucket,
//! so that threads equal one recorder.

use crate::count::Count;
use std::sync::OnceLock;
use std::time::Duration;

/// Bits of the longest duration that is told apart.
const BITS_MAX: u32 = 40;
/// More powers of two than any precision needs.
const OCTAVES: usize = BITS_MAX as usize;

/// One thread's durations.
#[derive(Debug)]
pub struct Histogram<const BITS: u32 = 5> {
    octaves: [OnceLock<Box<[Count]>>; OCTAVES],
    sum_nanos: Count,
}

impl<const BITS: u32> Histogram<BITS> {
    /// Empty.
    pub const fn new() -> Self {
        Self { octaves: [const { OnceLock::new() }; OCTAVES], sum_nanos: Count::new() }
    }

    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        self.record_nanos(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(crate) fn record_nanos(&self, nanos: u64) {
        let (octave, bucket) = place::<BITS>(nanos);
        let buckets = self.octaves[octave]
            .get_or_init(|| (0..1_usize << BITS).map(|_| Count::new()).collect());
        buckets[bucket].add(1);
        self.sum_nanos.add(nanos);
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos.get())
    }

    /// Adds what this has counted to `total`.
    pub fn add_to(&self, total: &mut Merged<BITS>) {
        for (sums, counts) in total.octaves.iter_mut().zip(&self.octaves) {
            let Some(counts) = counts.get() else { continue };
            if sums.is_empty() {
                sums.resize(1 << BITS, 0);
            }
            for (sum, count) in sums.iter_mut().zip(counts) {
                *sum += count.get();
            }
        }
        total.sum_nanos = total.sum_nanos.wrapping_add(self.sum_nanos.get());
    }
}

impl<const BITS: u32> Default for Histogram<BITS> {
    fn default() -> Self {
        Self::new()
    }
}

/// The durations of several threads together.
#[derive(Clone, Debug)]
pub struct Merged<const BITS: u32 = 5> {
    octaves: Vec<Vec<u64>>,
    sum_nanos: u64,
}

impl<const BITS: u32> Default for Merged<BITS> {
    fn default() -> Self {
        Self { octaves: vec![Vec::new(); OCTAVES], sum_nanos: 0 }
    }
}

impl<const BITS: u32> Merged<BITS> {
    /// How many.
    pub fn count(&self) -> u64 {
        self.octaves.iter().flatten().sum()
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos)
    }

    /// The buckets that are not empty, in order: the longest duration that falls into each, and how
    /// many have.
    pub fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        self.octaves.iter().enumerate().flat_map(|(octave, counts)| {
            counts
                .iter()
                .enumerate()
                .filter(|(_, n)| **n > 0)
                .map(move |(bucket, n)| (Duration::from_nanos(upper::<BITS>(octave, bucket)), *n))
        })
    }

    /// Adds `n` durations at once: for what was counted elsewhere.
    pub fn add(&mut self, duration: Duration, n: u64) {
        let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (octave, bucket) = place::<BITS>(nanos);
        let counts = &mut self.octaves[octave];
        if counts.is_empty() {
            counts.resize(1 << BITS, 0);
        }
        counts[bucket] += n;
        self.sum_nanos = self.sum_nanos.wrapping_add(nanos.wrapping_mul(n));
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for (sums, counts) in self.octaves.iter_mut().zip(&other.octaves) {
            if sums.is_empty() {
                sums.clone_from(counts);
            } else {
                sums.iter_mut().zip(counts).for_each(|(sum, n)| *sum += n);
            }
        }
        self.sum_nanos = self.sum_nanos.wrapping_add(other.sum_nanos);
    }

    /// What has come since `earlier`, an earlier state of the same.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut octaves = self.octaves.clone();
        for (counts, before) in octaves.iter_mut().zip(&earlier.octaves) {
            counts.iter_mut().zip(before).for_each(|(n, before)| *n = n.saturating_sub(*before));
        }
        Self { octaves, sum_nanos: self.sum_nanos.wrapping_sub(earlier.sum_nanos) }
    }

    /// How many lasted at most `limit`, to the precision of the buckets.
    pub fn at_most(&self, limit: Duration) -> u64 {
        self.buckets().take_while(|(upper, _)| *upper <= limit).map(|(_, n)| n).sum()
    }

    /// The duration that a share `q` of all (0 to 1) does not exceed; zero when there are none.
    pub fn quantile(&self, q: f64) -> Duration {
        let total = self.count();
        #[expect(clippy::cast_sign_loss, reason = "a share of a count is not negative")]
        let rank = ((q * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        for (upper, n) in self.buckets() {
            seen += n;
            if seen >= rank {
                return upper;
            }
        }
        Duration::ZERO
    }

    /// The longest, to the precision of the buckets.
    pub fn max(&self) -> Duration {
        self.buckets().last().map_or(Duration::ZERO, |(upper, _)| upper)
    }
}

/// The octave and, in it, the bucket of a value.
pub(crate) const fn place<const BITS: u32>(nanos: u64) -> (usize, usize) {
    let nanos = if nanos >> BITS_MAX == 0 { nanos } else { (1 << BITS_MAX) - 1 };
    if nanos >> BITS == 0 {
        return (0, nanos as usize);
    }
    let power = nanos.ilog2() - BITS;
    (power as usize + 1, (nanos >> power) as usize - (1 << BITS))
}

/// The largest value, in nanoseconds, that falls into a bucket.
pub(crate) const fn upper<const BITS: u32>(octave: usize, bucket: usize) -> u64 {
    if octave == 0 {
        return bucket as u64;
    }
    ((bucket as u64 + (1 << BITS) + 1) << (octave - 1)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn buckets_follow_each_other<const BITS: u32>() {
        let mut last = (0, 0);
        for nanos in 0..2_000_000 {
            let (octave, bucket) = place::<BITS>(nanos);
            let next = if last.1 + 1 == 1 << BITS { (last.0 + 1, 0) } else { (last.0, last.1 + 1) };
            assert!((octave, bucket) == last || (octave, bucket) == next, "{nanos}");
            assert!(nanos <= upper::<BITS>(octave, bucket), "{nanos}");
            assert!(last == (octave, bucket) || nanos > upper::<BITS>(last.0, last.1), "{nanos}");
            last = (octave, bucket);
        }
        assert_eq!(place::<BITS>(u64::MAX), ((BITS_MAX - BITS) as usize, (1 << BITS) - 1));
    }

    #[test]
    fn buckets_follow_each_other_without_gap() {
        buckets_follow_each_other::<5>();
        buckets_follow_each_other::<7>();
    }

    /// A quantile is never below the exact one and at most `off` above; threads merge exactly.
    fn check_quantile<const BITS: u32>(
        nanos: &mut [u64],
        q: f64,
        off: f64,
    ) -> Result<(), TestCaseError> {
        let threads = [Histogram::<BITS>::new(), Histogram::new()];
        let single = Histogram::<BITS>::new();
        for (i, &value) in nanos.iter().enumerate() {
            threads[i % 2].record(Duration::from_nanos(value));
            single.record(Duration::from_nanos(value));
        }
        let (mut merged, mut alone) = (Merged::default(), Merged::default());
        for thread in &threads {
            thread.add_to(&mut merged);
        }
        single.add_to(&mut alone);
        prop_assert!(merged.buckets().eq(alone.buckets()));
        prop_assert_eq!(merged.sum(), alone.sum());
        nanos.sort_unstable();
        #[expect(clippy::cast_sign_loss, reason = "a share of a count is not negative")]
        let rank = ((q * nanos.len() as f64).ceil() as usize).max(1);
        let exact = nanos[rank - 1] as f64;
        let close = merged.quantile(q).as_nanos() as f64;
        prop_assert!(close >= exact && close <= exact * (1.0 + off), "{} for {}", close, exact);
        Ok(())
    }

    proptest! {
        #[test]
        fn quantiles_are_close(mut nanos in proptest::collection::vec(0_u64..50_000_000_000, 1..300), q in 0.0..1.0_f64) {
            check_quantile::<5>(&mut nanos, q, 0.032)?;
            check_quantile::<7>(&mut nanos, q, 0.008)?;
        }

        #[test]
        fn small_values_are_close_too(mut nanos in proptest::collection::vec(0_u64..3_000, 1..300), q in 0.0..1.0_f64) {
            check_quantile::<5>(&mut nanos, q, 0.032)?;
            check_quantile::<7>(&mut nanos, q, 0.008)?;
        }

        /// What came since an earlier state, put on top of it, is the later state.
        #[test]
        fn a_difference_adds_up(first in proptest::collection::vec(0_u64..9_000_000, 0..50), then in proptest::collection::vec(0_u64..9_000_000, 0..50)) {
            let histogram = Histogram::<5>::new();
            let state = || { let mut merged = Merged::default(); histogram.add_to(&mut merged); merged };
            let record = |nanos: &[u64]| {
                for nanos in nanos {
                    histogram.record(Duration::from_nanos(*nanos));
                }
            };
            record(&first);
            let mut before = state();
            record(&then);
            let after = state();
            let between = after.since(&before);
            prop_assert_eq!(between.count(), then.len() as u64);
            before.merge(&between);
            prop_assert!(before.buckets().eq(after.buckets()));
        }
    }
}
