//! Metrics: every family of the metrics page as OTLP has it, so that nothing is told in one place
//! alone. Numbers keep the names of the page. Histograms have those of the semantic conventions 1.44
//! and exponential buckets; they, like counters, count since the start (cumulative).

use crate::span::{scope, unix_nanos};
use crate::value::attribute;
use base::Moment;
use bytes::Bytes;
use monitor::Exponential;
use monitor::exponential::SCALE;
use monitor::expose::{Bars, Durations, Exemplar, Family, Labels, Told};
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::metrics::v1 as proto;
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message;
use proto::exponential_histogram_data_point::Buckets;
use proto::metric::Data;
use proto::number_data_point;

const CUMULATIVE: i32 = proto::AggregationTemporality::Cumulative as i32;

/// The page's names of histograms, and the conventions'.
const NAMES: [(&str, &str); 3] = [
    ("fleetfoot_request_seconds", "http.server.request.duration"),
    ("fleetfoot_service_first_byte_seconds", "http.client.request.duration"),
    ("fleetfoot_phase_seconds", "gateway.phase.duration"),
];

/// What histograms' labels are called.
fn label(name: &str) -> &str {
    match name {
        "route" => "http.route",
        "service" => "fleetfoot.service",
        "phase" => "gateway.phase",
        other => other,
    }
}

/// Who tells.
pub(crate) fn resource(service: &str, version: &str) -> Resource {
    let id = format!("{}:{}", host(), std::process::id());
    let attributes = vec![
        attribute("service.name", service.into()),
        attribute("service.version", version.into()),
        attribute("service.instance.id", id.into()),
    ];
    Resource { attributes, ..Default::default() }
}

/// The machine's name, as the kernel has it.
fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

/// The message that brings all that is told now, and how many data points it has.
pub(crate) fn request(
    told: &[Told],
    resource: &Resource,
    begun: Moment,
    now: Moment,
) -> (Bytes, u64) {
    let times = Times { begun: unix_nanos(begun), now: unix_nanos(now) };
    let mut points = 0;
    let metrics = told.iter().map(|told| match told {
        Told::Numbers(family) => {
            points += family.samples.len() as u64;
            numbers(family, times)
        }
        Told::Durations(durations) => {
            points += durations.samples.len() as u64;
            histograms(durations, times)
        }
    });
    let metrics = metrics.collect();
    let scope_metrics =
        vec![proto::ScopeMetrics { scope: Some(scope()), metrics, ..Default::default() }];
    let resource_metrics = vec![proto::ResourceMetrics {
        resource: Some(resource.clone()),
        scope_metrics,
        ..Default::default()
    }];
    (ExportMetricsServiceRequest { resource_metrics }.encode_to_vec().into(), points)
}

#[derive(Clone, Copy)]
struct Times {
    begun: u64,
    now: u64,
}

fn attributes<'a>(labels: &'a Labels, name: fn(&'a str) -> &'a str) -> Vec<KeyValue> {
    let labels = labels.iter();
    labels.map(|(label, text)| attribute(name(label), text.as_ref().into())).collect()
}

fn numbers(family: &Family, times: Times) -> proto::Metric {
    let is_counter = family.kind == "counter";
    let points = family.samples.iter().map(|(labels, value)| proto::NumberDataPoint {
        attributes: attributes(labels, |name| name),
        start_time_unix_nano: if is_counter { times.begun } else { 0 },
        time_unix_nano: times.now,
        value: Some(number_data_point::Value::AsDouble(*value)),
        ..Default::default()
    });
    let data_points = points.collect();
    proto::Metric {
        name: family.name.to_owned(),
        description: family.help.to_owned(),
        unit: unit(family.name).to_owned(),
        data: Some(if is_counter {
            Data::Sum(proto::Sum {
                data_points,
                aggregation_temporality: CUMULATIVE,
                is_monotonic: true,
            })
        } else {
            Data::Gauge(proto::Gauge { data_points })
        }),
        ..Default::default()
    }
}

/// In UCUM, by the end of the name.
fn unit(name: &str) -> &'static str {
    let name = name.strip_suffix("_total").unwrap_or(name);
    match () {
        () if name.ends_with("_seconds") => "s",
        () if name.ends_with("_bytes") => "By",
        () => "1",
    }
}

fn histograms(durations: &Durations, times: Times) -> proto::Metric {
    let known = NAMES.iter().find(|(page, _)| *page == durations.name);
    let points = durations.samples.iter().map(|(labels, bars)| point(labels, bars, times));
    proto::Metric {
        name: known.map_or(durations.name, |(_, name)| *name).to_owned(),
        description: durations.help.to_owned(),
        unit: "s".to_owned(),
        data: Some(Data::ExponentialHistogram(proto::ExponentialHistogram {
            data_points: points.collect(),
            aggregation_temporality: CUMULATIVE,
        })),
        ..Default::default()
    }
}

fn point(labels: &Labels, bars: &Bars, times: Times) -> proto::ExponentialHistogramDataPoint {
    let exponential = Exponential::of(bars.buckets.iter().copied());
    // The newest of each classic bucket would be many; the slowest few tell most.
    let mut some: Vec<&Exemplar> = bars.exemplars.iter().collect();
    some.sort_by_key(|exemplar| std::cmp::Reverse(exemplar.took));
    some.truncate(EXEMPLARS_MAX);
    proto::ExponentialHistogramDataPoint {
        attributes: attributes(labels, label),
        start_time_unix_nano: times.begun,
        time_unix_nano: times.now,
        count: bars.count,
        sum: Some(bars.sum.as_secs_f64()),
        scale: SCALE,
        zero_count: exponential.zeros,
        // OTLP numbers a bucket by its lower border, Prometheus by its upper one.
        positive: Some(Buckets {
            offset: exponential.first - 1,
            bucket_counts: exponential.counts,
        }),
        exemplars: some.into_iter().map(exemplar).collect(),
        ..Default::default()
    }
}

/// Exemplars of a data point.
const EXEMPLARS_MAX: usize = 16;

fn exemplar(exemplar: &Exemplar) -> proto::Exemplar {
    proto::Exemplar {
        time_unix_nano: unix_nanos(exemplar.at),
        span_id: exemplar.span.to_be_bytes().into(),
        trace_id: exemplar.trace.to_be_bytes().into(),
        value: Some(proto::exemplar::Value::AsDouble(exemplar.took.as_secs_f64())),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitor::expose::{Exemplars, House, gather};
    use monitor::{Ledger, Phase};
    use std::sync::Arc;
    use std::time::Duration;

    fn told() -> ExportMetricsServiceRequest {
        let ledger = Arc::new(Ledger::default());
        let route = ledger.route("r");
        route.from_service.record(Duration::from_secs(1));
        route.from_service.record(Duration::from_millis(100));
        route.phase(Phase::Server).record(Duration::from_millis(100));
        ledger.service("s").first_byte.record(Duration::from_millis(1));
        let uptime = Duration::from_secs(5);
        let house = House {
            version: "1",
            threads: 2,
            reloads: 3,
            reload_failures: 0,
            draining: false,
            uptime,
        };
        let now = Moment::from_nanos(9_000);
        let one = Exemplar { trace: 7, span: 8, took: Duration::from_secs(1), at: now };
        let exemplars = Exemplars::from([("r".to_owned(), vec![one; 40])]);
        let told = gather(&[ledger], Vec::new(), house, &exemplars);
        let resource = resource("here", "1");
        let (message, points) = request(&told, &resource, Moment::from_nanos(1_000), now);
        let decoded = ExportMetricsServiceRequest::decode(message).expect("what was encoded");
        let metrics = &decoded.resource_metrics[0].scope_metrics[0].metrics;
        assert_eq!(metrics.len(), told.len(), "every family");
        let all = metrics.iter().filter_map(|metric| metric.data.as_ref()).map(|data| match data {
            Data::Sum(sum) => sum.data_points.len(),
            Data::Gauge(gauge) => gauge.data_points.len(),
            Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
            _ => 0,
        });
        assert_eq!(all.sum::<usize>() as u64, points);
        decoded
    }

    fn find(name: &str) -> Data {
        let metrics = told().resource_metrics.remove(0).scope_metrics.remove(0).metrics;
        let found = metrics.into_iter().find(|metric| metric.name == name);
        found.unwrap_or_else(|| panic!("no {name}")).data.expect("data")
    }

    fn names(attributes: &[KeyValue]) -> Vec<&str> {
        attributes.iter().map(|attribute| attribute.key.as_str()).collect()
    }

    #[test]
    fn histograms_have_the_names_of_the_conventions() {
        for (name, labels, count) in [
            ("http.server.request.duration", vec!["http.route"], 2),
            ("http.client.request.duration", vec!["fleetfoot.service"], 1),
            ("gateway.phase.duration", vec!["http.route", "gateway.phase"], 1),
        ] {
            let Data::ExponentialHistogram(histogram) = find(name) else { panic!("{name}") };
            let point = &histogram.data_points[0];
            assert_eq!((names(&point.attributes), point.count), (labels, count), "{name}");
            assert_eq!((point.scale, histogram.aggregation_temporality), (3, CUMULATIVE));
            assert!(point.exemplars.len() <= EXEMPLARS_MAX);
        }
    }

    #[test]
    fn buckets_are_where_the_protocol_has_them() {
        let Data::ExponentialHistogram(histogram) = find("http.server.request.duration") else {
            panic!("no histogram")
        };
        let point = &histogram.data_points[0];
        let buckets = point.positive.as_ref().expect("buckets");
        // Bucket i of OTLP has what is longer than 2^(i/8) s and at most 2^((i+1)/8): a second is
        // in bucket -1, as is what our own bucket of it reaches to, or in the one behind.
        let last = (buckets.offset..).zip(&buckets.bucket_counts).last().map(|(at, _)| at);
        assert!(last.is_some_and(|at| (-1..=0).contains(&at)), "{buckets:?}");
        assert_eq!(buckets.bucket_counts.iter().sum::<u64>(), 2);
        assert!(point.start_time_unix_nano + 8_000 == point.time_unix_nano);
    }

    #[test]
    fn numbers_keep_the_names_of_the_page() {
        let Data::Sum(sum) = find("fleetfoot_reloads_total") else { panic!("no sum") };
        assert!(sum.is_monotonic && sum.aggregation_temporality == CUMULATIVE);
        assert_eq!(names(&sum.data_points[0].attributes), ["result"]);
        assert!(matches!(find("fleetfoot_threads"), Data::Gauge(_)));
        for (name, unit_of) in [("a_seconds_total", "s"), ("a_bytes", "By"), ("a_total", "1")] {
            assert_eq!(unit(name), unit_of);
        }
    }
}
