//! What became of what was to be told: for the page of metrics, which must not depend on a receiver.

use monitor::expose::{Family, Labels};
use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Metrics, counted in data points.
    Metrics,
    /// Traces, counted in spans.
    Traces,
}

impl Signal {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Metrics, Self::Traces];

    /// Its name in paths, metrics and complaints.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Metrics => "metrics",
            Self::Traces => "traces",
        }
    }

    /// What it is counted in.
    pub const fn unit(self) -> &'static str {
        match self {
            Self::Metrics => "data points",
            Self::Traces => "spans",
        }
    }
}

/// Counters of one signal.
#[derive(Debug, Default)]
struct Counts {
    exported: AtomicU64,
    lost: AtomicU64,
    failures: AtomicU64,
}

/// Counters of both. They outlive exporters, so that none goes back at a reload.
#[derive(Debug, Default)]
pub struct Figures([Counts; 2]);

impl Figures {
    const fn of(&self, signal: Signal) -> &Counts {
        &self.0[signal as usize]
    }

    /// So many were taken by the receiver.
    pub fn exported(&self, signal: Signal, n: u64) {
        self.of(signal).exported.fetch_add(n, Ordering::Relaxed);
    }

    /// So many will never be told.
    pub fn lose(&self, signal: Signal, n: u64) {
        self.of(signal).lost.fetch_add(n, Ordering::Relaxed);
    }

    /// One try did not succeed.
    pub fn failed(&self, signal: Signal) {
        self.of(signal).failures.fetch_add(1, Ordering::Relaxed);
    }

    /// How many were lost.
    pub fn lost(&self, signal: Signal) -> u64 {
        self.of(signal).lost.load(Ordering::Relaxed)
    }

    /// For the page.
    pub fn families(&self) -> [Family; 3] {
        let family = |name, help, count: fn(&Counts) -> &AtomicU64| {
            let sample = |signal: Signal| {
                let labels: Labels = vec![("signal", Cow::Borrowed(signal.name()))];
                (labels, count(self.of(signal)).load(Ordering::Relaxed) as f64)
            };
            Family { name, kind: "counter", help, samples: Signal::ALL.map(sample).into() }
        };
        [
            family(
                "fleetfoot_otlp_exported_total",
                "Spans and data points that the OTLP receiver took.",
                |counts| &counts.exported,
            ),
            family(
                "fleetfoot_otlp_lost_total",
                "Spans and data points that it did not take and that were given up.",
                |counts| &counts.lost,
            ),
            family(
                "fleetfoot_otlp_failures_total",
                "Exports that failed; those of traces are tried again for a while.",
                |counts| &counts.failures,
            ),
        ]
    }
}
