//! Who asks: many clients who know nothing of each other, so that requests come whether or not
//! earlier ones were answered (an open loop, Poisson).

use super::chance::exponential;
use base::{Deadline, Moment};
use fastrand::Rng;
use std::time::Duration;

/// Who asks, how often, and for how long they wait.
#[derive(Clone, Debug)]
pub struct Clients {
    /// Requests in a second, from when on. In order; the first from the beginning.
    pub rates: Vec<(Duration, f64)>,
    /// How long one waits for an answer; `None`: for ever.
    pub patience: Option<Duration>,
    /// They tell for how long: the gateway knows the deadline.
    pub tell: bool,
}

impl Clients {
    /// So many requests in a second, by clients who wait for ever.
    pub fn steady(rate: f64) -> Self {
        Self { rates: vec![(Duration::ZERO, rate)], patience: None, tell: false }
    }

    /// When the answer to what is asked at `now` must be there, as far as they tell.
    pub(super) fn deadline(&self, now: Moment) -> Deadline {
        let patience = self.patience.filter(|_| self.tell);
        patience.map_or(Deadline::NEVER, |patience| Deadline::after(now, patience))
    }

    /// How long after `now` the next one asks.
    pub(super) fn next(&self, now: Duration, rng: &mut Rng) -> Duration {
        let mut due = exponential(rng); // in requests: an arrival takes 1 in the mean
        let mut at = now;
        loop {
            let index = self.rates.partition_point(|(from, _)| *from <= at);
            let rate = self.rates[index.saturating_sub(1)].1;
            let wait = Duration::from_secs_f64((due / rate).min(1e6));
            let Some((change, _)) = self.rates.get(index).filter(|(next, _)| at + wait > *next)
            else {
                return (at + wait).saturating_sub(now);
            };
            due -= change.saturating_sub(at).as_secs_f64() * rate;
            at = *change;
        }
    }
}
