//! Durations in buckets that are never wider than a 32nd of their value.
//!
//! Values are whole microseconds. Up to 32 each has a bucket of its own; above, every power of two is
//! cut into 32. The last bucket begins at 2^36 µs (19 hours) and takes all beyond. Recording is one
//! single-writer add; merging is adding bucket by bucket, so that threads equal one recorder.

use crate::count::Count;
use std::time::Duration;

/// Bits of a value that its bucket keeps.
const PRECISION: u32 = 5;
const PER_POWER: usize = 1 << PRECISION;
/// Buckets in all.
pub const BUCKETS: usize = PER_POWER * (36 - PRECISION as usize + 2);

/// One thread's durations.
#[derive(Debug)]
pub struct Histogram {
    buckets: Box<[Count]>,
    sum_nanos: Count,
}

impl Histogram {
    /// Empty.
    pub fn new() -> Self {
        Self { buckets: (0..BUCKETS).map(|_| Count::new()).collect(), sum_nanos: Count::new() }
    }

    /// Counts one duration.
    pub fn record(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.buckets[bucket_of(micros)].add(1);
        self.sum_nanos.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Adds what this has counted to `total`.
    pub fn add_to(&self, total: &mut Merged) {
        for (sum, count) in total.buckets.iter_mut().zip(&self.buckets) {
            *sum += count.get();
        }
        total.sum_nanos = total.sum_nanos.wrapping_add(self.sum_nanos.get());
    }
}

impl Default for Histogram {
    fn default() -> Self {
        Self::new()
    }
}

/// The durations of several threads together.
#[derive(Clone, Debug)]
pub struct Merged {
    buckets: Vec<u64>,
    sum_nanos: u64,
}

impl Default for Merged {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], sum_nanos: 0 }
    }
}

impl Merged {
    /// How many.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// Their sum.
    pub fn sum(&self) -> Duration {
        Duration::from_nanos(self.sum_nanos)
    }

    /// How many lasted at most `limit`, to the precision of the buckets.
    pub fn at_most(&self, limit: Duration) -> u64 {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        let mut sum = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            if upper_of(bucket) > micros {
                break;
            }
            sum += count;
        }
        sum
    }

    /// The duration that a share `q` of all (0 to 1) does not exceed; zero when there are none.
    pub fn quantile(&self, q: f64) -> Duration {
        let total = self.count();
        #[expect(clippy::cast_sign_loss, reason = "a share of a count is not negative")]
        let rank = ((q * total as f64).ceil() as u64).clamp(1, total.max(1));
        let mut seen = 0;
        for (bucket, count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return Duration::from_micros(upper_of(bucket));
            }
        }
        Duration::ZERO
    }
}

fn bucket_of(micros: u64) -> usize {
    if micros < PER_POWER as u64 {
        return micros as usize;
    }
    let power = micros.ilog2() - PRECISION;
    let bucket = (power as usize) * PER_POWER + (micros >> power) as usize;
    bucket.min(BUCKETS - 1)
}

/// The largest value, in microseconds, that falls into a bucket.
fn upper_of(bucket: usize) -> u64 {
    if bucket < 2 * PER_POWER {
        return bucket as u64;
    }
    let power = (bucket / PER_POWER - 1) as u32;
    let step = (bucket % PER_POWER + PER_POWER) as u64;
    ((step + 1) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn buckets_follow_each_other_without_gap() {
        let mut last = 0;
        for micros in 0..2_000_000 {
            let bucket = bucket_of(micros);
            assert!(bucket == last || bucket == last + 1, "{micros}");
            assert!(micros <= upper_of(bucket), "{micros}");
            assert!(bucket == 0 || micros > upper_of(bucket - 1), "{micros}");
            last = bucket;
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        /// A quantile is never below the exact one and at most 3.2 % above; threads merge exactly.
        #[test]
        fn quantiles_are_close(mut micros in proptest::collection::vec(0_u64..50_000_000, 1..300), q in 0.0..1.0_f64) {
            let threads = [Histogram::new(), Histogram::new()];
            let single = Histogram::new();
            for (i, &value) in micros.iter().enumerate() {
                threads[i % 2].record(Duration::from_micros(value));
                single.record(Duration::from_micros(value));
            }
            let (mut merged, mut alone) = (Merged::default(), Merged::default());
            for thread in &threads {
                thread.add_to(&mut merged);
            }
            single.add_to(&mut alone);
            prop_assert_eq!(&merged.buckets, &alone.buckets);
            micros.sort_unstable();
            #[expect(clippy::cast_sign_loss, reason = "a share of a count is not negative")]
            let rank = ((q * micros.len() as f64).ceil() as usize).max(1);
            let exact = micros[rank - 1] as f64;
            let close = merged.quantile(q).as_micros() as f64;
            prop_assert!(close >= exact && close <= exact * 1.032 + 1.0, "{} for {}", close, exact);
        }
    }
}
