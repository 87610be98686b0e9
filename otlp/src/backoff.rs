//! When to try again, and when to complain again: each time after twice as long.

use base::Moment;
use std::time::Duration;

/// The first pause.
const FIRST: Duration = Duration::from_secs(1);

/// What has failed, and since when to leave it alone.
#[derive(Clone, Debug)]
pub(crate) struct Backoff {
    pause: Duration,
    most: Duration,
    until: Option<Moment>,
}

impl Backoff {
    /// Nothing has failed. Pauses are `most` at most.
    pub(crate) const fn new(most: Duration) -> Self {
        Self { pause: FIRST, most, until: None }
    }

    /// Is its time come?
    pub(crate) fn is_due(&self, now: Moment) -> bool {
        self.until.is_none_or(|until| now >= until)
    }

    /// How long until then.
    pub(crate) fn left(&self, now: Moment) -> Duration {
        self.until.map_or(Duration::ZERO, |until| until.since(now))
    }

    /// Has it failed since it was fine?
    pub(crate) const fn has_failed(&self) -> bool {
        self.until.is_some()
    }

    /// It has failed: it is not due for a second, then two, and so on, and `least` at least.
    pub(crate) fn failed(&mut self, now: Moment, least: Duration) {
        self.until = Some(now + self.pause.max(least.min(self.most)));
        self.pause = (self.pause * 2).min(self.most);
    }

    /// It is fine again.
    pub(crate) fn fine(&mut self) {
        *self = Self::new(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_most_and_begin_anew_when_all_is_fine() {
        let mut backoff = Backoff::new(Duration::from_secs(5));
        let mut now = Moment::from_nanos(0);
        assert!(backoff.is_due(now) && !backoff.has_failed());
        let mut pauses = Vec::new();
        for least in [0, 0, 4, 0, 100] {
            backoff.failed(now, Duration::from_secs(least));
            assert!(!backoff.is_due(now));
            pauses.push(backoff.left(now).as_secs());
            now = now + backoff.left(now);
            assert!(backoff.is_due(now));
        }
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        backoff.fine();
        backoff.failed(now, Duration::ZERO);
        assert_eq!(backoff.left(now).as_secs(), 1);
    }
}
