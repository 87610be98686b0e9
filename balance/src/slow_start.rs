//! How much of its share a server gets that has just joined a running pool, or is back.
//!
//! Its share grows in a straight line from the least to the whole over the window (Envoy's slow start
//! with aggression 1). Nobody starts slowly when the pool itself starts: there would be nobody to take
//! the rest.

use base::Moment;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How long slow starts last, and what share they begin with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Curve {
    window: Duration,
    least: f32,
}

/// When a server joined or came back; the default is a server that never starts slowly.
#[derive(Debug, Default)]
pub(crate) struct Joined(AtomicU64);

impl Curve {
    pub(crate) fn new(window: Duration, least: base::Share) -> Self {
        Self { window, least: least.factor().clamp(0.001, 1.0) as f32 }
    }

    /// The share of its weight that a server has `since` it joined.
    pub(crate) fn at(self, since: Duration) -> f32 {
        if since >= self.window { 1.0 } else { since.div_duration_f32(self.window).max(self.least) }
    }

    /// Until when a server that joins at `now` starts slowly.
    pub(crate) fn end(self, now: Moment) -> Moment {
        now + self.window
    }
}

impl Joined {
    pub(crate) fn set(&self, now: Moment) {
        self.0.store(now.as_nanos().max(1), Relaxed);
    }

    /// When, if ever.
    pub(crate) fn when(&self) -> Option<Moment> {
        let nanos = self.0.load(Relaxed);
        (nanos > 0).then(|| Moment::from_nanos(nanos))
    }

    /// The share of its weight that this server has at `now`.
    pub(crate) fn factor(&self, curve: Curve, now: Moment) -> f32 {
        self.when().map_or(1.0, |joined| curve.at(now.since(joined)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Share;

    #[test]
    fn the_share_grows_from_the_least_in_a_straight_line() {
        let curve = Curve::new(Duration::from_secs(10), Share::percent(10));
        let joined = Joined::default();
        let start = Moment::from_nanos(5_000_000_000);
        assert!((joined.factor(curve, start) - 1.0).abs() < 1e-6);
        joined.set(start);
        for (millis, factor) in
            [(0, 0.1), (500, 0.1), (1_000, 0.1), (2_500, 0.25), (9_000, 0.9), (10_000, 1.0)]
        {
            let now = start + Duration::from_millis(millis);
            assert!((joined.factor(curve, now) - factor).abs() < 1e-4, "{millis} ms");
        }
        let never = Curve::new(Duration::ZERO, Share::percent(10));
        assert!((joined.factor(never, start) - 1.0).abs() < 1e-6);
    }
}
