//! What came of a run: percentiles, what was in time, what failed and how.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The longest latency that is told apart: ten minutes.
const MICROS_MAX: u64 = 600_000_000;

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// No connection was made.
    Connect,
    /// The connection broke, or what came back was no HTTP.
    Broken,
    /// Not within the timeout.
    Timeout,
    /// An answer of a class that was not expected.
    Status(u16),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("not connected"),
            Self::Broken => f.write_str("broken off"),
            Self::Timeout => f.write_str("timed out"),
            Self::Status(status) => write!(f, "status {status}"),
        }
    }
}

/// Latencies, to three digits, from a microsecond to ten minutes.
#[derive(Clone, Debug)]
pub struct Latency(Histogram<u64>);

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

impl Latency {
    /// None yet.
    ///
    /// # Panics
    /// Never: the bounds are legal.
    pub fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, MICROS_MAX, 3);
        Self(histogram.expect("1 to ten minutes at three digits is a legal histogram"))
    }

    /// Adds one; what is out of bounds counts as the bound.
    pub fn record(&mut self, latency: Duration) {
        self.0.saturating_record((latency.as_micros() as u64).clamp(1, MICROS_MAX));
    }

    /// The latency that this share of requests (0 to 1) did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.0.max())
    }

    /// The mean.
    pub fn mean(&self) -> Duration {
        Duration::from_secs_f64(self.0.mean() / 1e6)
    }

    /// How many were recorded.
    pub fn count(&self) -> u64 {
        self.0.len()
    }
}

/// What came of a run.
#[derive(Clone, Debug)]
pub struct Report {
    /// For how long requests were sent and counted.
    pub duration: Duration,
    /// Requests that were counted, failed ones among them.
    pub count: u64,
    /// Answers as expected, within the objective.
    pub in_time: u64,
    /// Failures by kind.
    pub failures: BTreeMap<Failure, u64>,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// Latencies of all requests, from their intended start. A failed one counts as the timeout.
    pub latency: Latency,
    /// The same by kind of request, in the order of the plan.
    pub by_request: Vec<ByRequest>,
    /// Most that a request left after its time, by our own doing; it is part of its latency.
    pub late_max: Duration,
}

/// One kind of request in a report.
#[derive(Clone, Debug)]
pub struct ByRequest {
    /// Its name.
    pub name: String,
    /// Its latencies, as in `Report::latency`.
    pub latency: Latency,
    /// How many failed.
    pub failed: u64,
}

impl Report {
    /// Nothing yet, of these kinds of request.
    pub fn new(duration: Duration, names: impl Iterator<Item = String>) -> Self {
        let by_request =
            names.map(|name| ByRequest { name, latency: Latency::new(), failed: 0 }).collect();
        Self {
            duration,
            count: 0,
            in_time: 0,
            failures: BTreeMap::new(),
            bytes: 0,
            latency: Latency::new(),
            by_request,
            late_max: Duration::ZERO,
        }
    }

    /// Answers in time, a second.
    pub fn in_time_per_second(&self) -> f64 {
        self.in_time as f64 / self.duration.as_secs_f64()
    }

    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}
