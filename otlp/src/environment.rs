//! OpenTelemetry's own environment variables, for who has no settings file to say it in: what an
//! operator's tools put into every container alike (OpenTelemetry, "OTLP Exporter Configuration").
//!
//! Without an endpoint nothing is sent, whatever else they say. What cannot be read is an error, not
//! a default.

use monitor::settings::{Otlp, Protocol};
use std::time::Duration;

/// The endpoint's variable: without it there is no receiver.
pub const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";
const SERVICE: &str = "OTEL_SERVICE_NAME";
const METRICS: &str = "OTEL_METRICS_EXPORTER";
const TRACES: &str = "OTEL_TRACES_EXPORTER";

/// How often metrics are sent where nothing is said.
const EVERY: Duration = Duration::from_mins(1);

/// A variable that says what cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name}: {value:?} is not {expected}")]
pub struct WrongVariable {
    name: &'static str,
    value: String,
    expected: &'static str,
}

/// What the environment says, read through `variable`.
///
/// # Errors
/// The first variable that cannot be read.
pub fn read(
    variable: impl Fn(&str) -> Option<String>,
    service: &str,
) -> Result<Option<Otlp>, WrongVariable> {
    let said = |name| variable(name).filter(|value| !value.trim().is_empty());
    let Some(url) = said(ENDPOINT) else { return Ok(None) };
    if said("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(None);
    }
    let wrong = |name, value: &str, expected| {
        let value = value.to_owned();
        WrongVariable { name, value, expected }
    };
    let protocol = match said(PROTOCOL).as_deref() {
        None | Some("http/protobuf") => Protocol::Http,
        Some("grpc") => Protocol::Grpc,
        Some(other) => return Err(wrong(PROTOCOL, other, "grpc or http/protobuf")),
    };
    let every = match said(INTERVAL).map(|value| (value.trim().parse::<u64>(), value)) {
        None => EVERY,
        Some((Ok(millis), _)) if millis > 0 => Duration::from_millis(millis),
        Some((_, value)) => return Err(wrong(INTERVAL, &value, "a number of milliseconds")),
    };
    let mut fields = Vec::new();
    for pair in said(HEADERS).unwrap_or_default().split(',').filter(|pair| !pair.trim().is_empty())
    {
        // The value may be secret, and is not repeated.
        let (name, value) =
            pair.split_once('=').ok_or_else(|| wrong(HEADERS, "…", "a list of name=value"))?;
        fields.push((name.trim().to_owned(), value.trim().to_owned()));
    }
    let is_on =
        |name| said(name).is_none_or(|exporter| exporter.split(',').any(|e| e.trim() == "otlp"));
    Ok(Some(Otlp {
        url,
        protocol,
        fields,
        every,
        metrics: is_on(METRICS),
        traces: is_on(TRACES),
        service: said(SERVICE).unwrap_or_else(|| service.to_owned()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)]) -> Result<Option<Otlp>, String> {
        let find = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        read(find, "fleetfoot").map_err(|error| error.to_string())
    }

    #[test]
    fn without_an_endpoint_there_is_none() {
        assert_eq!(check(&[(PROTOCOL, "carrier pigeon")]), Ok(None));
        assert_eq!(check(&[(ENDPOINT, " ")]), Ok(None));
        assert_eq!(check(&[(ENDPOINT, "http://a"), ("OTEL_SDK_DISABLED", "true")]), Ok(None));
    }

    #[test]
    fn all_that_is_said_is_heard() {
        let otlp = check(&[
            (ENDPOINT, "http://a:4317"),
            (PROTOCOL, "grpc"),
            (HEADERS, "a=b, c = d=e,"),
            (INTERVAL, "250"),
            (SERVICE, "door"),
            (METRICS, "none"),
        ]);
        let otlp = otlp.unwrap().unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(otlp.fields, [pair("a", "b"), pair("c", "d=e")]);
        assert_eq!((otlp.protocol, otlp.every.as_millis()), (Protocol::Grpc, 250));
        assert_eq!((otlp.service.as_str(), otlp.metrics, otlp.traces), ("door", false, true));
        let otlp = check(&[(ENDPOINT, "http://a:4318")]).unwrap().unwrap();
        assert_eq!((otlp.service.as_str(), otlp.protocol), ("fleetfoot", Protocol::Http));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let check = |name, value| check(&[(ENDPOINT, "http://a"), (name, value)]).unwrap_err();
        assert_eq!(
            check(PROTOCOL, "http/json"),
            "OTEL_EXPORTER_OTLP_PROTOCOL: \"http/json\" is not grpc or http/protobuf"
        );
        assert!(check(INTERVAL, "10s").contains("milliseconds"));
        assert!(!check(HEADERS, "secret").contains("secret"));
    }
}
