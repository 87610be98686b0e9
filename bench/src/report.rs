//! What a run found, and its JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use crate::usage::Usage;
use crate::verify::Flaw;

/// Longest latency the histogram tells apart.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// The figures of one measured window.
#[derive(Debug)]
pub struct Report {
    /// Right responses completed within the window.
    pub requests: u64,
    /// What went wrong, over the whole run, warm-up included.
    pub flaws: BTreeMap<Flaw, u64>,
    /// Length of the window.
    pub window: Duration,
    /// Nanoseconds from the intended start to the last byte.
    pub latency: Histogram<u64>,
    /// The watched processes' use within the window.
    pub watched: Usage,
    /// The generator's own.
    pub own: Usage,
    /// Requests that reached the origin within the window.
    pub origin: u64,
}

impl Report {
    /// An empty one.
    ///
    /// # Panics
    /// Never: the bounds of the histogram are legal.
    pub fn new() -> Self {
        let latency = Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3)
            .expect("1 ns to 60 s at three digits is a legal histogram");
        Self {
            requests: 0,
            flaws: BTreeMap::new(),
            window: Duration::ZERO,
            latency,
            watched: Usage::default(),
            own: Usage::default(),
            origin: 0,
        }
    }

    /// Forgets the warm-up, but not its flaws.
    pub fn restart(&mut self) {
        self.requests = 0;
        self.latency.reset();
    }

    /// Notes a latency.
    pub fn record(&mut self, latency: Duration) {
        self.latency.saturating_record(latency.as_nanos() as u64);
    }

    /// Notes a wrong response.
    pub fn blame(&mut self, flaw: Flaw) {
        *self.flaws.entry(flaw).or_default() += 1;
    }

    /// How many responses were wrong or missing.
    pub fn errors(&self) -> u64 {
        self.flaws.values().sum()
    }

    /// As `bench/run` reads it: times in nanoseconds unless the name says otherwise.
    pub fn to_json(&self) -> Value {
        let quantile_us = |q| self.latency.value_at_quantile(q) as f64 / 1e3;
        let usage = |usage: &Usage| {
            json!({
                "run_ns": usage.run_ns,
                "wait_ns": usage.wait_ns,
                "user_ns": usage.user_ns,
                "system_ns": usage.system_ns,
            })
        };
        let flaws: BTreeMap<_, _> = self.flaws.iter().map(|(flaw, n)| (flaw.name(), n)).collect();
        json!({
            "requests": self.requests,
            "errors": self.errors(),
            "flaws": flaws,
            "origin_requests": self.origin,
            "window_ns": self.window.as_nanos() as u64,
            "latency_us": {
                "p50": quantile_us(0.5),
                "p99": quantile_us(0.99),
                "p999": quantile_us(0.999),
                "max": self.latency.max() as f64 / 1e3,
                "count": self.latency.len(),
            },
            "proxy": usage(&self.watched),
            "generator": usage(&self.own),
        })
    }
}

impl Default for Report {
    fn default() -> Self {
        Self::new()
    }
}
