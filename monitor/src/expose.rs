//! What the outside is told in figures: families of samples, gathered once for every format.
//!
//! [`gather()`] makes families of what threads have counted and of what other rooms have ([`Family`]).
//! Whoever tells them chooses the format: [`text`] for Prometheus and `OpenMetrics`, [`protobuf`] with
//! native histograms, OTLP in a room of its own. So nothing is told in one format alone.
//!
//! Labels come from closed sets: routes, services and servers of the settings, statuses, reasons.
//! Nothing that a client sends becomes a label.

mod gather;
pub mod protobuf;
pub mod text;

pub use gather::gather;

use crate::histogram::Merged;
use base::Moment;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

/// Upper bounds of the classic buckets, in microseconds.
const BOUNDS_MICROS: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Fewer, for phases: there are eighteen of those to a route.
const PHASE_BOUNDS_MICROS: [u64; 9] =
    [100, 500, 1_000, 5_000, 10_000, 50_000, 100_000, 500_000, 5_000_000];

/// Figures that are not counted by threads.
#[derive(Clone, Copy, Debug)]
pub struct House {
    /// The gateway's version.
    pub version: &'static str,
    /// Data-plane threads.
    pub threads: usize,
    /// Reloads that took effect.
    pub reloads: u64,
    /// Reloads that were refused.
    pub reload_failures: u64,
    /// Whether the gateway is draining.
    pub draining: bool,
    /// Since the process started.
    pub uptime: Duration,
}

/// Labels of a sample, from closed sets.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// What is told under one name.
#[derive(Clone, Debug)]
pub enum Told {
    /// Numbers.
    Numbers(Family),
    /// How long things took.
    Durations(Durations),
}

/// A family that another room has counted.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// `counter` or `gauge`.
    pub kind: &'static str,
    /// In a sentence.
    pub help: &'static str,
    /// Labels, and a value each.
    pub samples: Vec<(Labels, f64)>,
}

impl Family {
    /// A family of one sample without labels.
    pub fn one(name: &'static str, kind: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, kind, help, samples: vec![(Vec::new(), value as f64)] }
    }
}

/// A family of histograms.
#[derive(Clone, Debug)]
pub struct Durations {
    /// Its name, which ends in `_seconds`.
    pub name: &'static str,
    /// In a sentence.
    pub help: &'static str,
    /// Upper bounds of its classic buckets, in microseconds.
    pub bounds_micros: &'static [u64],
    /// Labels, and a histogram each.
    pub samples: Vec<(Labels, Bars)>,
}

/// A histogram of whatever precision.
#[derive(Clone, Debug)]
pub struct Bars {
    /// Buckets that are not empty, in order: the longest duration of each, and how many it has.
    pub buckets: Vec<(Duration, u64)>,
    /// How many there are in all.
    pub count: u64,
    /// Their sum.
    pub sum: Duration,
    /// Some of them, the oldest first.
    pub exemplars: Vec<Exemplar>,
}

impl Bars {
    fn of<const BITS: u32>(merged: &Merged<BITS>, exemplars: Vec<Exemplar>) -> Self {
        let (count, sum) = (merged.count(), merged.sum());
        Self { buckets: merged.buckets().collect(), count, sum, exemplars }
    }

    /// How many lasted at most as long as each of these bounds, and the newest exemplar of each.
    pub fn below(&self, bounds_micros: &[u64]) -> Vec<(Duration, u64, Option<&Exemplar>)> {
        let (mut seen, mut buckets) = (0, self.buckets.iter().peekable());
        let mut last = None;
        let bounds = bounds_micros.iter().map(|micros| Duration::from_micros(*micros));
        bounds
            .map(|bound| {
                while let Some((_, n)) = buckets.next_if(|(longest, _)| *longest <= bound) {
                    seen += n;
                }
                let exemplar = self.exemplar(last, Some(bound));
                last = Some(bound);
                (bound, seen, exemplar)
            })
            .collect()
    }

    /// The newest exemplar that took longer than `above` and at most `most`.
    pub fn exemplar(&self, above: Option<Duration>, most: Option<Duration>) -> Option<&Exemplar> {
        self.exemplars.iter().rev().find(|exemplar| {
            above.is_none_or(|above| exemplar.took > above)
                && most.is_none_or(|most| exemplar.took <= most)
        })
    }
}

/// One of those that were counted, with the trace that tells all of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exemplar {
    /// The trace.
    pub trace: u128,
    /// The span in it.
    pub span: u64,
    /// How long it took.
    pub took: Duration,
    /// When it ended.
    pub at: Moment,
}

/// Exemplars by route, the oldest first.
pub type Exemplars = BTreeMap<String, Vec<Exemplar>>;

#[cfg(test)]
mod tests;
