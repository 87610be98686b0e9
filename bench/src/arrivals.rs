//! When requests are due in the open loop: a Poisson process, the same for the same seed.

use std::time::Duration;

use base::Moment;

/// An endless, ascending run of moments.
#[derive(Debug)]
pub struct Arrivals {
    rng: fastrand::Rng,
    /// Mean time between two arrivals, in seconds.
    gap_mean_s: f64,
    last: Moment,
}

impl Arrivals {
    /// `rate` arrivals a second on average, from `start` on.
    ///
    /// # Panics
    /// If the rate is not positive.
    pub fn new(seed: u64, rate: f64, start: Moment) -> Self {
        assert!(rate > 0.0, "an open loop needs a rate");
        Self { rng: fastrand::Rng::with_seed(seed), gap_mean_s: 1.0 / rate, last: start }
    }
}

impl Iterator for Arrivals {
    type Item = Moment;

    fn next(&mut self) -> Option<Moment> {
        // The inverse of the exponential distribution; `f64()` is below 1, so the logarithm is finite.
        let gap = -(1.0 - self.rng.f64()).ln() * self.gap_mean_s;
        self.last = self.last + Duration::from_secs_f64(gap);
        Some(self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(seed: u64, count: usize) -> Vec<Moment> {
        Arrivals::new(seed, 5_000.0, Moment::from_nanos(7)).take(count).collect()
    }

    #[test]
    fn the_same_seed_is_the_same_load() {
        assert_eq!(first(1, 1_000), first(1, 1_000));
        assert_ne!(first(1, 1_000), first(2, 1_000));
    }

    #[test]
    fn the_rate_is_kept_and_the_gaps_are_exponential() {
        let moments = first(3, 50_000);
        assert!(moments.is_sorted());
        let span = moments[49_999].since(Moment::from_nanos(7)).as_secs_f64();
        assert!((span - 10.0).abs() < 0.2, "50,000 arrivals at 5,000/s took {span} s");
        // One gap in e is longer than the mean.
        let mean = Duration::from_micros(200);
        let long = moments.windows(2).filter(|pair| pair[1].since(pair[0]) > mean).count();
        assert!((17_500..19_300).contains(&long), "{long} long gaps, expected about 18,394");
    }
}
