//! Pauses before the next attempt to reach a broker: they grow, end somewhere, and are never equal.
//!
//! Pure: chance is handed in. All brokers use the same, so that a fleet whose broker comes back does
//! not come back to it all at once.

use std::time::Duration;

/// The pause after the first failure, before chance shortens it.
const FIRST: Duration = Duration::from_millis(100);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// Counts failures and says how long to pause after each.
#[derive(Debug, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// It works again: the next failure is the first.
    pub fn reset(&mut self) {
        self.failures = 0;
    }

    /// The pause after one more failure.
    pub fn failed(&mut self) -> Duration {
        self.failures = self.failures.saturating_add(1);
        pause(self.failures, fastrand::f64())
    }
}

/// The pause after so many failures in a row (at least 1), with a chance from 0 to 1: from half of
/// what it may be to all of it.
pub fn pause(failures: u32, chance: f64) -> Duration {
    let doublings = failures.saturating_sub(1).min(16);
    let whole = FIRST.saturating_mul(1 << doublings).min(LONGEST);
    whole.mul_f64(0.5 + chance.clamp(0.0, 1.0) / 2.0)
}

#[cfg(test)]
mod tests {
    use super::{Backoff, LONGEST, pause};
    use std::time::Duration;

    #[test]
    fn pauses_grow_to_an_end_and_chance_halves_them_at_most() {
        let ms = Duration::from_millis;
        for (failures, chance, expected) in
            [(1, 1.0, 100), (1, 0.0, 50), (2, 1.0, 200), (4, 0.5, 600), (7, 1.0, 5000)]
        {
            assert_eq!(pause(failures, chance), ms(expected), "{failures} {chance}");
        }
        assert_eq!(pause(u32::MAX, 1.0), LONGEST);
    }

    #[test]
    fn a_success_begins_anew() {
        let mut backoff = Backoff::default();
        let last = (0..20).map(|_| backoff.failed()).last();
        assert!(last >= Some(LONGEST / 2), "{last:?}");
        backoff.reset();
        assert!(backoff.failed() <= Duration::from_millis(100));
    }
}
