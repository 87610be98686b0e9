//! The page as text: Prometheus' own format (version 0.0.4), and `OpenMetrics` 1.0 with exemplars.
//!
//! They differ in little: what a counter's family is called, how bounds are written, the end.

use super::{Bars, Durations, Exemplar, Family, Told};
use crate::trace::hex;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// What Prometheus' own format is called in `Content-Type`.
pub const PLAIN_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
/// What `OpenMetrics` is called there.
pub const OPEN_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page in Prometheus' own format.
pub fn plain(all: &[Told]) -> String {
    page(all, false)
}

/// The page as `OpenMetrics`.
pub fn open(all: &[Told]) -> String {
    let mut text = page(all, true);
    text.push_str("# EOF\n");
    text
}

fn page(all: &[Told], open: bool) -> String {
    let mut page = Page { text: String::with_capacity(32 << 10), open };
    for told in all {
        match told {
            Told::Numbers(family) => page.numbers(family),
            Told::Durations(durations) => page.durations(durations),
        }
    }
    page.text
}

/// A page on its way.
struct Page {
    text: String,
    /// Is it `OpenMetrics`?
    open: bool,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let counter = self.open && kind == "counter";
        let name = if counter { name.strip_suffix("_total").unwrap_or(name) } else { name };
        // OpenMetrics escapes quotes too; our helps have none, nor line feeds and backslashes.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn numbers(&mut self, Family { name, kind, help, samples }: &Family) {
        self.head(name, kind, help);
        for (labels, value) in samples {
            self.labels(name, labels.iter().map(|(name, text)| (*name, &**text)));
            let _ = writeln!(self.text, " {value}");
        }
    }

    fn labels<'a>(&mut self, name: &str, labels: impl Iterator<Item = (&'a str, &'a str)>) {
        self.text.push_str(name);
        let mut open = '{';
        for (label, text) in labels {
            let _ = write!(self.text, "{open}{label}=\"");
            for c in text.chars() {
                match c {
                    '"' => self.text.push_str("\\\""),
                    '\\' => self.text.push_str("\\\\"),
                    '\n' => self.text.push_str("\\n"),
                    c => self.text.push(c),
                }
            }
            self.text.push('"');
            open = ',';
        }
        if open == ',' {
            self.text.push('}');
        }
    }

    fn durations(&mut self, durations: &Durations) {
        self.head(durations.name, "histogram", durations.help);
        let bucket = format!("{}_bucket", durations.name);
        for (labels, bars) in &durations.samples {
            let below = bars.below(durations.bounds_micros);
            let last = below.last().map(|(bound, ..)| *bound);
            let bounds: Vec<String> = below.iter().map(|(bound, ..)| self.bound(*bound)).collect();
            let labels = || labels.iter().map(|(name, text)| (*name, &**text));
            for ((_, below, exemplar), bound) in below.iter().zip(&bounds) {
                self.labels(&bucket, labels().chain([("le", bound.as_str())]));
                self.end(*below, *exemplar);
            }
            self.labels(&bucket, labels().chain([("le", "+Inf")]));
            let exemplar = bars.exemplar(last, None);
            self.end(bars.count, exemplar);
            self.sum_and_count(durations.name, labels, bars);
        }
    }

    fn sum_and_count<'a, L>(&mut self, name: &str, labels: impl Fn() -> L, bars: &Bars)
    where
        L: Iterator<Item = (&'a str, &'a str)>,
    {
        self.labels(&format!("{name}_sum"), labels());
        let _ = writeln!(self.text, " {}", bars.sum.as_secs_f64());
        self.labels(&format!("{name}_count"), labels());
        let _ = writeln!(self.text, " {}", bars.count);
    }

    /// A bound in seconds. In `OpenMetrics` a whole number has a decimal (`1.0`).
    fn bound(&self, bound: Duration) -> String {
        let seconds = bound.as_secs_f64();
        if self.open { format!("{seconds:?}") } else { seconds.to_string() }
    }

    /// A bucket's number, and the exemplar behind it where the format has any.
    fn end(&mut self, count: u64, exemplar: Option<&Exemplar>) {
        let _ = write!(self.text, " {count}");
        if let Some(exemplar) = exemplar.filter(|_| self.open) {
            let [trace, span] = ids(exemplar);
            let (took, at) = (exemplar.took.as_secs_f64(), seconds(exemplar));
            let _ =
                write!(self.text, " # {{trace_id=\"{trace}\",span_id=\"{span}\"}} {took} {at:.3}");
        }
        self.text.push('\n');
    }
}

/// The trace and the span, as text.
pub(super) fn ids(exemplar: &Exemplar) -> [String; 2] {
    let (mut trace, mut span) = ([0; 32], [0; 16]);
    hex(&mut trace, exemplar.trace);
    hex(&mut span, exemplar.span.into());
    [&trace[..], &span[..]].map(|text| String::from_utf8_lossy(text).into_owned())
}

/// Seconds since 1970.
fn seconds(exemplar: &Exemplar) -> f64 {
    let wall = exemplar.at.wall().duration_since(SystemTime::UNIX_EPOCH);
    wall.unwrap_or_default().as_secs_f64()
}
