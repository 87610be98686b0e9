//! What came of a run: percentiles, what was in time, what failed and how, and what the sender itself
//! got wrong.

use hdrhistogram::Histogram;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The longest latency that is told apart: ten minutes.
const MICROS_MAX: u64 = 600_000_000;
/// Parts that a run is cut into for a picture of it over time.
const SLICES: u32 = 120;
/// A request that leaves later than this after its time, by our own doing, is late.
pub const LATE: Duration = Duration::from_millis(1);

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// No connection was made.
    Connect,
    /// TLS was not agreed upon: a certificate not trusted, or a protocol not spoken.
    Tls,
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
            Self::Tls => f.write_str("no TLS"),
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

    /// None yet, to two digits and with little memory.
    fn coarse() -> Self {
        let histogram = Histogram::new(2);
        let mut histogram = histogram.expect("two digits are legal");
        histogram.auto(true);
        Self(histogram)
    }

    /// Adds one; what is out of bounds counts as the bound.
    pub fn record(&mut self, latency: Duration) {
        self.record_n(latency, 1);
    }

    /// Adds as many.
    ///
    /// # Panics
    /// Never: what is recorded is within the bounds.
    pub fn record_n(&mut self, latency: Duration, count: u64) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let recorded = self.0.record_n(micros.clamp(1, MICROS_MAX), count);
        recorded.expect("within the bounds, or resized to it");
    }

    /// Adds all of another's.
    ///
    /// # Panics
    /// Never: none is out of the bounds that all have.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("latencies of one kind have the same bounds");
    }

    /// The latency that this share of requests (0 to 1) did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        Duration::from_micros(self.0.value_at_quantile(share))
    }

    /// How many requests took longer than [`Latency::quantile`] of this share, at most.
    pub fn beyond(&self, share: f64) -> f64 {
        (1.0 - share) * self.0.len() as f64
    }

    /// Each latency that occurred, to the precision kept, with how often: shortest first.
    pub fn counts(&self) -> impl Iterator<Item = (Duration, u64)> + '_ {
        let counts = self.0.iter_recorded();
        counts.map(|step| {
            let micros = step.value_iterated_to().min(self.0.max());
            (Duration::from_micros(micros), step.count_at_value())
        })
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
    /// The same from when they left, without our own lateness: what some generators report.
    pub since_left: Latency,
    /// `latency` by kind of request, in the order of the plan.
    pub by_request: Vec<ByRequest>,
    /// The same over time: parts of equal length, by intended start.
    pub over_time: Vec<Latency>,
    /// How long each part is.
    pub slice: Duration,
    /// How much after its time each request left, by our own doing; it is part of its latency.
    pub lateness: Latency,
    /// Most that a request left after its time.
    pub late_max: Duration,
    /// Requests that left more than [`LATE`] after their time.
    pub late: u64,
    /// Requests that waited because all connections were in use.
    pub waited: u64,
    /// Requests that were on their way when the run was stopped, and are not counted.
    pub unfinished: u64,
    /// Connections opened.
    pub connections: u64,
    /// Of these, in place of one that the target had closed.
    pub reopened: u64,
    /// Processor time of our own threads, warm-up included.
    pub cpu: Duration,
    /// How long they waited for a processor that somebody else had.
    pub starved: Duration,
    /// From the first request to the last, warm-up included: what `cpu` is a share of, per thread.
    pub busy: Duration,
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
            since_left: Latency::new(),
            by_request,
            over_time: Vec::new(),
            slice: (duration / SLICES).max(Duration::from_millis(1)),
            lateness: Latency::new(),
            late_max: Duration::ZERO,
            late: 0,
            waited: 0,
            unfinished: 0,
            connections: 0,
            reopened: 0,
            cpu: Duration::ZERO,
            starved: Duration::ZERO,
            busy: Duration::ZERO,
        }
    }

    /// Notes when a request left.
    pub(crate) fn left(&mut self, lateness: Duration) {
        self.lateness.record(lateness);
        self.late_max = self.late_max.max(lateness);
        self.late += u64::from(lateness > LATE);
    }

    /// Notes what came of one: its kind, when it was due since the warm-up, and its latency.
    pub(crate) fn came(&mut self, request: usize, due: Duration, latency: Duration) {
        self.count += 1;
        self.latency.record(latency);
        self.by_request[request].latency.record(latency);
        let slice = due.as_nanos() / self.slice.as_nanos().max(1);
        let slice = usize::try_from(slice).unwrap_or(usize::MAX).min(SLICES as usize);
        if self.over_time.len() <= slice {
            self.over_time.resize_with(slice + 1, Latency::coarse);
        }
        self.over_time[slice].record(latency);
    }

    /// Adds what another thread, or another round of the same plan, counted.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.in_time += other.in_time;
        self.bytes += other.bytes;
        self.latency.merge(&other.latency);
        self.since_left.merge(&other.since_left);
        for (failure, count) in &other.failures {
            *self.failures.entry(*failure).or_default() += count;
        }
        for (mine, other) in self.by_request.iter_mut().zip(&other.by_request) {
            mine.latency.merge(&other.latency);
            mine.failed += other.failed;
        }
        if self.over_time.len() < other.over_time.len() {
            self.over_time.resize_with(other.over_time.len(), Latency::coarse);
        }
        for (mine, other) in self.over_time.iter_mut().zip(&other.over_time) {
            mine.merge(other);
        }
        self.lateness.merge(&other.lateness);
        self.late_max = self.late_max.max(other.late_max);
        self.late += other.late;
        self.waited += other.waited;
        self.unfinished += other.unfinished;
        self.connections += other.connections;
        self.reopened += other.reopened;
        self.cpu += other.cpu;
        self.starved += other.starved;
        self.busy = self.busy.max(other.busy);
    }

    /// Adds another round, that came after this one.
    pub fn follow(&mut self, other: &Self) {
        let (duration, busy) = (self.duration + other.duration, self.busy + other.busy);
        self.merge(other);
        (self.duration, self.busy) = (duration, busy);
    }

    /// Requests a second.
    pub fn per_second(&self) -> f64 {
        self.count as f64 / self.duration.as_secs_f64().max(1e-9)
    }

    /// Answers in time, a second.
    pub fn in_time_per_second(&self) -> f64 {
        self.in_time as f64 / self.duration.as_secs_f64().max(1e-9)
    }

    /// Requests that failed.
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Threads together are one, and a percentile is the exact one to three digits.
        #[test]
        fn percentiles_are_those_of_a_sort(
            mut micros in proptest::collection::vec(1_u64..50_000_000, 1..300),
            share in 0.0..=1.0_f64,
        ) {
            let new = || Report::new(Duration::from_secs(1), ["x".to_owned()].into_iter());
            let (mut one, mut two, mut all) = (new(), new(), new());
            for (index, micros) in micros.iter().enumerate() {
                let latency = Duration::from_micros(*micros);
                let thread = if index % 3 == 0 { &mut one } else { &mut two };
                let due = Duration::from_millis(index as u64);
                thread.came(0, due, latency);
                all.came(0, due, latency);
            }
            one.merge(&two);
            micros.sort_unstable();
            #[expect(clippy::cast_sign_loss, reason = "a share of a count is not negative")]
            let rank = ((share * micros.len() as f64).ceil() as usize).max(1);
            let exact = micros[rank - 1] as f64;
            let close = one.latency.quantile(share).as_micros() as f64;
            prop_assert!((close / exact - 1.0).abs() <= 0.001 + 1.0 / exact, "{} for {}", close, exact);
            prop_assert_eq!(one.latency.quantile(share), all.latency.quantile(share));
            prop_assert_eq!(one.count, micros.len() as u64);
            let slices: u64 = one.over_time.iter().map(Latency::count).sum();
            prop_assert_eq!(slices, one.count);
        }
    }
}
