//! How long something takes, by chance.

use fastrand::Rng;
use std::f64::consts::TAU;
use std::time::Duration;

/// A distribution of times.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Chance {
    /// Always this.
    Fixed(Duration),
    /// Exponential, of this mean.
    Exponential(Duration),
    /// Lognormal, of this mean.
    Lognormal {
        /// The mean, not the median.
        mean: Duration,
        /// The standard deviation of its logarithm.
        sigma: f64,
    },
}

impl Chance {
    /// One of these times.
    pub fn draw(self, rng: &mut Rng) -> Duration {
        match self {
            Self::Fixed(time) => time,
            Self::Exponential(mean) => mean.mul_f64(exponential(rng)),
            Self::Lognormal { mean, sigma } => {
                mean.mul_f64((sigma * normal(rng) - sigma * sigma / 2.0).exp())
            }
        }
    }

    /// Their mean.
    pub fn mean(self) -> Duration {
        match self {
            Self::Fixed(mean) | Self::Exponential(mean) | Self::Lognormal { mean, .. } => mean,
        }
    }
}

/// Exponential, of mean 1.
pub(super) fn exponential(rng: &mut Rng) -> f64 {
    -(1.0 - rng.f64()).ln()
}

/// Of mean 0 and deviation 1 (Box and Muller).
fn normal(rng: &mut Rng) -> f64 {
    (2.0 * exponential(rng)).sqrt() * (TAU * rng.f64()).cos()
}
