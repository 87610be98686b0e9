//! The page as Protocol Buffers: `io.prometheus.client.MetricFamily`, each behind its length, with
//! native histograms beside the classic buckets.
//!
//! Written by hand, since it is nine small messages that never change: a field is a number, a kind of
//! encoding, and a value (protobuf.dev, "Encoding"). The numbers are those of `metrics.proto` of
//! Prometheus' `client_model`.

use super::{Bars, Durations, Exemplar, Family, Labels, Told, text};
use crate::exponential::{Exponential, SCALE};
use std::time::SystemTime;

/// What it is called in `Content-Type`.
pub const TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

/// Below this a duration counts as none: what Prometheus' own clients say. It marks a histogram as a
/// native one even while it is empty.
const ZERO_THRESHOLD: f64 = 2.938_735_877_055_719e-39; // 2^-128
/// So many empty buckets between two others are written; more begin a new span.
const GAP_MAX: usize = 2;

// Kinds of a family.
const COUNTER: u64 = 0;
const GAUGE: u64 = 1;
const HISTOGRAM: u64 = 4;

/// The page.
pub fn page(all: &[Told]) -> Vec<u8> {
    let mut page = Message::default();
    for told in all {
        let family = match told {
            Told::Numbers(family) if !family.samples.is_empty() => numbers(family),
            Told::Durations(durations) if !durations.samples.is_empty() => histograms(durations),
            _ => continue,
        };
        page.varint(family.0.len() as u64);
        page.0.extend_from_slice(&family.0);
    }
    page.0
}

fn head(name: &str, help: &str, kind: u64) -> Message {
    let mut family = Message::default();
    family.bytes(1, name.as_bytes());
    family.bytes(2, help.as_bytes());
    family.number(3, kind);
    family
}

fn numbers(numbers: &Family) -> Message {
    let counter = numbers.kind == "counter";
    let (kind, field) = if counter { (COUNTER, 3) } else { (GAUGE, 2) };
    let mut family = head(numbers.name, numbers.help, kind);
    for (labels, value) in &numbers.samples {
        let mut number = Message::default();
        number.double(1, *value);
        let mut metric = labelled(labels);
        metric.message(field, &number);
        family.message(4, &metric);
    }
    family
}

fn labelled(labels: &Labels) -> Message {
    let mut metric = Message::default();
    for (name, text) in labels {
        metric.message(1, &pair(name, text));
    }
    metric
}

fn pair(name: &str, text: &str) -> Message {
    let mut pair = Message::default();
    pair.bytes(1, name.as_bytes());
    pair.bytes(2, text.as_bytes());
    pair
}

fn histograms(durations: &Durations) -> Message {
    let mut family = head(durations.name, durations.help, HISTOGRAM);
    for (labels, bars) in &durations.samples {
        let mut histogram = classic(bars, durations.bounds_micros);
        native(&mut histogram, bars);
        let mut metric = labelled(labels);
        metric.message(7, &histogram);
        family.message(4, &metric);
    }
    family
}

fn classic(bars: &Bars, bounds_micros: &[u64]) -> Message {
    let mut histogram = Message::default();
    histogram.number(1, bars.count);
    histogram.double(2, bars.sum.as_secs_f64());
    let mut last = None;
    let mut bucket = |below, bound: f64, some: Option<&Exemplar>| {
        let mut bucket = Message::default();
        bucket.number(1, below);
        bucket.double(2, bound);
        if let Some(some) = some {
            bucket.message(3, &exemplar(some));
        }
        histogram.message(3, &bucket);
    };
    for (bound, below, some) in bars.below(bounds_micros) {
        bucket(below, bound.as_secs_f64(), some);
        last = Some(bound);
    }
    bucket(bars.count, f64::INFINITY, bars.exemplar(last, None));
    histogram
}

fn exemplar(some: &Exemplar) -> Message {
    let wall = some.at.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut time = Message::default();
    time.number(1, wall.as_secs());
    time.number(2, wall.subsec_nanos().into());
    let [trace, span] = text::ids(some);
    let mut message = Message::default();
    message.message(1, &pair("trace_id", &trace));
    message.message(1, &pair("span_id", &span));
    message.double(2, some.took.as_secs_f64());
    message.message(3, &time);
    message
}

fn native(histogram: &mut Message, bars: &Bars) {
    let exponential = Exponential::of(bars.buckets.iter().copied());
    histogram.signed(5, SCALE.into());
    histogram.double(6, ZERO_THRESHOLD);
    histogram.number(7, exponential.zeros);
    let (mut end, mut before) = (0_i64, 0_i64);
    for (first, counts) in spans(&exponential) {
        let mut span = Message::default();
        // From the end of the span before; of the first, from bucket 0.
        span.signed(1, first - end);
        span.number(2, counts.len() as u64);
        histogram.message(12, &span);
        end = first + signed(counts.len());
    }
    for count in spans(&exponential).iter().flat_map(|(_, counts)| counts.iter()) {
        let count = i64::try_from(*count).unwrap_or(i64::MAX);
        histogram.signed(13, count - before);
        before = count;
    }
}

/// Runs of buckets without long gaps: the number of the first, and what they have.
fn spans(exponential: &Exponential) -> Vec<(i64, &[u64])> {
    let mut spans = Vec::new();
    let (counts, mut at) = (&exponential.counts, 0);
    while at < counts.len() {
        let is_gap = |at: usize| counts[at..].iter().take(GAP_MAX + 1).all(|n| *n == 0);
        let end = (at..counts.len()).find(|at| is_gap(*at)).unwrap_or(counts.len());
        if end > at {
            spans.push((i64::from(exponential.first) + signed(at), &counts[at..end]));
        }
        at = (end..counts.len()).find(|at| counts[*at] > 0).unwrap_or(counts.len());
    }
    spans
}

/// A number of buckets.
fn signed(n: usize) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// A message on its way.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }

    fn tag(&mut self, field: u64, wire: u64) {
        self.varint(field << 3 | wire);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.tag(field, 0);
        self.varint(value);
    }

    /// Zigzag, so that small negative numbers are short.
    fn signed(&mut self, field: u64, value: i64) {
        self.number(field, ((value << 1) ^ (value >> 63)).cast_unsigned());
    }

    fn double(&mut self, field: u64, value: f64) {
        self.tag(field, 1);
        self.0.extend_from_slice(&value.to_le_bytes());
    }

    fn bytes(&mut self, field: u64, value: &[u8]) {
        self.tag(field, 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
    }

    fn message(&mut self, field: u64, message: &Self) {
        self.bytes(field, &message.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_of_more_than_two_begin_a_new_span() {
        let check = |counts: &[u64]| {
            let exponential = Exponential { first: -3, counts: counts.to_vec(), zeros: 0 };
            let spans = spans(&exponential);
            spans.into_iter().map(|(first, counts)| (first, counts.len())).collect::<Vec<_>>()
        };
        assert_eq!(check(&[]), []);
        assert_eq!(check(&[1, 0, 0, 2]), [(-3, 4)]);
        assert_eq!(check(&[1, 0, 0, 0, 2, 3]), [(-3, 1), (1, 2)]);
        assert_eq!(check(&[1, 0, 0, 0, 0, 0, 2]), [(-3, 1), (3, 1)]);
    }

    #[test]
    fn numbers_are_written_as_the_encoding_wants_them() {
        let mut message = Message::default();
        message.number(1, 150);
        message.signed(2, -2);
        message.bytes(3, b"ab");
        assert_eq!(message.0, [0x08, 0x96, 0x01, 0x10, 0x03, 0x1a, 0x02, b'a', b'b']);
    }
}
