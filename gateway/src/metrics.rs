//! The page of metrics: what is told, and in which of three formats.

use crate::gateway::Gateway;
use crate::reporter::Reporter;
use base::Moment;
use monitor::expose::{self, Exemplar, Exemplars, Told, protobuf, text};
use monitor::{Kept, Trace};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Exemplars of a route: of those that were kept last.
const EXEMPLARS_MAX: usize = 256;

/// How the page is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own text.
    Plain,
    /// `OpenMetrics`, with exemplars.
    Open,
    /// Protocol Buffers, with exemplars and native histograms.
    Protobuf,
}

impl Format {
    /// Which one a client prefers that says so in `Accept`; text where it knows none or does not care
    /// (RFC 9110 §12.5.1).
    pub fn of(accept: &str) -> Self {
        let mut best = (0.0, Self::Plain);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default() {
                "application/vnd.google.protobuf" => Self::Protobuf,
                "application/openmetrics-text" => Self::Open,
                "text/plain" | "text/*" | "*/*" => Self::Plain,
                _ => continue,
            };
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok());
            let quality: f64 = quality.unwrap_or(1.0);
            if quality > best.0 {
                best = (quality, format);
            }
        }
        best.1
    }

    /// Its `Content-Type`.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Plain => text::PLAIN_TYPE,
            Self::Open => text::OPEN_TYPE,
            Self::Protobuf => protobuf::TYPE,
        }
    }

    /// The page in it.
    pub fn page(self, told: &[Told]) -> Vec<u8> {
        match self {
            Self::Plain => text::plain(told).into_bytes(),
            Self::Open => text::open(told).into_bytes(),
            Self::Protobuf => protobuf::page(told),
        }
    }
}

/// All that is told now.
pub fn told(gateway: &Gateway) -> Vec<Told> {
    let now = Moment::now();
    let snapshot = gateway.snapshot();
    let mut families = crate::caching::figures::families(&snapshot.cache);
    families.extend(crate::standing::families(&snapshot.services, now));
    families.extend(crate::rates::families(&snapshot));
    families.extend(gateway.exported.families());
    families.extend(snapshot.buses.families());
    families.extend(gateway.objectives.families(now));
    families.push(expose::Family::one(
        "fleetfoot_access_log_failed_total",
        "counter",
        "Access log lines that could not be written.",
        snapshot.log_failed.load(Ordering::Relaxed),
    ));
    let exemplars = exemplars(&gateway.reporter);
    let mut told = expose::gather(&gateway.ledgers(), families, gateway.house(), &exemplars);
    if let Some(engine) = &snapshot.offload {
        told.extend(crate::jobs::figures::told(engine, now));
    }
    told
}

/// Exchanges that were kept, by their route.
fn exemplars(reporter: &Reporter) -> Exemplars {
    let mut exemplars = Exemplars::new();
    // The lock is held for no longer than this takes: records are lost meanwhile.
    let kept: Vec<Arc<Kept>> = reporter.state().kept.iter().cloned().collect();
    for kept in kept.iter().filter(|kept| kept.facts.trace.is_on()) {
        let Trace { id: trace, span, .. } = kept.facts.trace;
        let timeline = &kept.facts.timeline;
        let route = kept.route.as_deref().unwrap_or(crate::house::UNROUTED);
        let of_route = exemplars.entry(route.to_owned()).or_default();
        of_route.push(Exemplar { trace, span, took: timeline.total(), at: timeline.since() });
    }
    for of_route in exemplars.values_mut() {
        of_route.drain(..of_route.len().saturating_sub(EXEMPLARS_MAX));
    }
    exemplars
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_gets_what_he_prefers() {
        for (accept, format) in [
            ("", Format::Plain),
            ("*/*", Format::Plain),
            ("text/html,application/xhtml+xml,*/*;q=0.8", Format::Plain),
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                Format::Open,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,application/openmetrics-text;version=1.0.0;q=0.8,*/*;q=0.2",
                Format::Protobuf,
            ),
            ("application/openmetrics-text;version=1.0.0;q=0.3, text/plain;q=0.5", Format::Plain),
            ("application/vnd.google.protobuf;q=0, */*;q=0.1", Format::Plain),
            ("application/json", Format::Plain),
        ] {
            assert_eq!(Format::of(accept), format, "{accept}");
        }
    }
}
