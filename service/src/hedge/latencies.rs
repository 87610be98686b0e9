//! Times to the first byte, counted by many threads in buckets at most a 32nd wide.
//!
//! As `monitor::histogram` has them, but with any number of writers and no further than a minute:
//! what takes longer shares the last bucket.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

const PRECISION: u32 = 5;
const PER_POWER: usize = 1 << PRECISION;
/// Powers of two up to 2^26 µs, 67 s.
const POWERS: usize = 26;
/// Buckets in all.
pub(super) const BUCKETS: usize = PER_POWER * (POWERS - PRECISION as usize + 1);

/// Times of some seconds.
#[derive(Debug)]
pub(super) struct Window(Box<[AtomicU32]>);

impl Window {
    pub(super) fn new() -> Self {
        Self((0..BUCKETS).map(|_| AtomicU32::new(0)).collect())
    }

    pub(super) fn record(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.0[bucket_of(micros)].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn clear(&self) {
        self.0.iter().for_each(|count| count.store(0, Ordering::Relaxed));
    }

    pub(super) fn counts(&self) -> impl Iterator<Item = u32> {
        self.0.iter().map(|count| count.load(Ordering::Relaxed))
    }
}

/// A sum of windows, or of parts of one.
#[derive(Debug)]
pub(super) struct Sum {
    counts: Vec<u32>,
    total: u64,
}

impl Sum {
    pub(super) fn new() -> Self {
        Self { counts: vec![0; BUCKETS], total: 0 }
    }

    pub(super) fn add(&mut self, bucket: usize, count: u32) {
        self.counts[bucket] = self.counts[bucket].saturating_add(count);
        self.total += u64::from(count);
    }

    pub(super) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    pub(super) fn total(&self) -> u64 {
        self.total
    }

    /// The time that all but `over` of `whole` do not exceed, evened out within its bucket; `None` if
    /// it lies in the last one.
    pub(super) fn exceeded_by(&self, over: u64, whole: u64) -> Option<Duration> {
        let rank = (self.total - self.total * over.min(whole) / whole).max(1);
        let mut seen = 0;
        for (bucket, &count) in self.counts.iter().enumerate().take(BUCKETS - 1) {
            if seen + u64::from(count) >= rank {
                let (low, wide) = bounds_of(bucket);
                let nanos = wide * 1_000 * (rank - seen) / u64::from(count);
                return Some(Duration::from_nanos(low * 1_000 + nanos));
            }
            seen += u64::from(count);
        }
        None
    }

    /// Number, sum and sum of squares of the logarithms of all but the slowest `over` of `whole`.
    pub(super) fn logs(&self, over: u64, whole: u64) -> (f64, f64, f64) {
        let kept = (self.total - self.total * over.min(whole) / whole).max(1);
        let (mut left, mut sum, mut square) = (kept, 0.0, 0.0);
        for (bucket, &count) in self.counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let (low, wide) = bounds_of(bucket);
            let log = (low as f64 + wide as f64 / 2.0).ln();
            let taken = left.min(u64::from(count));
            sum += log * taken as f64;
            square += log * log * taken as f64;
            left -= taken;
        }
        (kept as f64, sum, square)
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

/// Where a bucket begins and how wide it is, in microseconds.
fn bounds_of(bucket: usize) -> (u64, u64) {
    if bucket < 2 * PER_POWER {
        return (bucket as u64, 1);
    }
    let power = (bucket / PER_POWER - 1) as u32;
    (((bucket % PER_POWER + PER_POWER) as u64) << power, 1 << power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_lies_in_its_bucket() {
        for micros in (0..3_000_000).chain([66_000_000, 67_000_000]) {
            let (low, wide) = bounds_of(bucket_of(micros));
            assert!(low <= micros && micros < low + wide, "{micros}");
            assert!(wide == 1 || wide * 32 <= low, "{micros}");
        }
        assert_eq!(bucket_of(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn a_share_exceeds_its_percentile() {
        let (window, mut sum) = (Window::new(), Sum::new());
        assert_eq!(sum.exceeded_by(500, 10_000), None, "of nothing, nothing is known");
        (1..=1_000).for_each(|n| window.record(Duration::from_micros(n * 100)));
        window.counts().enumerate().for_each(|(bucket, count)| sum.add(bucket, count));
        for over in [0, 100, 500, 1_000, 5_000, 9_999] {
            let exact = 100_000.0 - over as f64 * 10.0;
            let close = sum.exceeded_by(over, 10_000).expect("known").as_nanos() as f64 / 1_000.0;
            assert!((close - exact).abs() <= exact * 0.032 + 100.0, "{close} for {exact}");
        }
        (0..1_000).for_each(|_| window.record(Duration::from_mins(3)));
        sum.clear();
        window.counts().enumerate().for_each(|(bucket, count)| sum.add(bucket, count));
        assert_eq!(sum.exceeded_by(500, 10_000), None);
    }
}
