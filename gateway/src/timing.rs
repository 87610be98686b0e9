//! `Server-Timing`: where the time went, told to those who may know it (W3C, Server Timing).
//!
//! Nobody is told unless the settings or the route say so, or the client knows a token. It is what
//! was known when the head of the answer left: what comes after (the body, a slow client) is in the
//! log. With it goes the trace, as Trace Context's drafts have it: a metric called `trace`, and the
//! field `traceresponse`. What is told belongs to one request, so nothing of it is stored.

use crate::house::House;
use crate::path::Exchange;
use base::{FieldName, Moment, ResponseHead};
use monitor::log::line::millis;
use monitor::settings::ServerTiming;
use monitor::{Facts, Phase};
use std::time::Duration;

/// Looks whether a client knows the token, which goes no further than here.
pub fn begin(house: &House, exchange: &mut Exchange<'_>) {
    let fields = &mut exchange.head.fields;
    if !fields.has(FieldName::ServerTimingToken) {
        return;
    }
    if let ServerTiming::Token(token) = &house.snapshot.settings.monitor.server_timing {
        let mut said = fields.all(FieldName::ServerTimingToken);
        let first = said.next().unwrap_or_default();
        exchange.knows_token = said.next().is_none() && is_same(first, token.as_bytes());
    }
    exchange.head.fields.remove(FieldName::ServerTimingToken);
}

/// Are the two the same? Takes as long wherever they differ.
fn is_same(said: &[u8], token: &[u8]) -> bool {
    let differences = said.iter().zip(token).fold(0, |sum, (a, b)| sum | (a ^ b));
    said.len() == token.len() && std::hint::black_box(differences) == 0
}

/// Tells whoever may know.
pub fn tell(house: &House, exchange: &mut Exchange<'_>, head: &mut ResponseHead) {
    let settings = &house.snapshot.settings;
    let route = exchange.facts.route.map(|at| &settings.routes[usize::from(at)]);
    let told = match route.and_then(|route| route.server_timing) {
        Some(told) => told,
        None => match settings.monitor.server_timing {
            ServerTiming::Off => false,
            ServerTiming::On => true,
            ServerTiming::Token(_) => exchange.knows_token,
        },
    };
    if !told {
        return;
    }
    let facts = &mut exchange.facts;
    facts.timeline.enter(Phase::Gateway, Moment::now());
    let service = facts.service.map(|at| &house.services[usize::from(at)]);
    let server = facts.server.zip(service).and_then(|(id, service)| service.endpoint(id));
    // Which server it was tells of infrastructure: only those hear it who proved themselves.
    let server = server.filter(|_| exchange.knows_token);
    let value = value(facts, server.as_ref().map(|endpoint| endpoint.label()));
    head.fields.push_as(FieldName::ServerTiming, b"Server-Timing", &value);
    if facts.trace.is_on() {
        head.fields.remove(FieldName::Traceresponse);
        let own = facts.trace.own_text();
        head.fields.push_as(FieldName::Traceresponse, b"traceresponse", &own);
    }
}

/// Times shorter than this are not told.
const LEAST: Duration = Duration::from_micros(1);

/// The field's value.
fn value(facts: &Facts, server: Option<&str>) -> Vec<u8> {
    let mut value = Vec::with_capacity(256);
    let cache = facts.timeline.spent(Phase::Cache);
    if let Some(cached) = facts.cached {
        value.extend_from_slice(b"cache;desc=");
        value.extend_from_slice(cached.name().as_bytes());
        value.make_ascii_uppercase();
        value[..11].make_ascii_lowercase();
        if cache >= LEAST {
            value.extend_from_slice(b";dur=");
            millis(&mut value, cache);
        }
        value.extend_from_slice(b", ");
    }
    for (phase, spent) in facts.timeline.parts() {
        if spent < LEAST || (phase == Phase::Cache && facts.cached.is_some()) {
            continue;
        }
        part(&mut value, phase.name(), spent);
        if let (Phase::Server, Some(server)) = (phase, server) {
            value.extend_from_slice(b";desc=");
            quoted(&mut value, server);
        }
        value.extend_from_slice(b", ");
    }
    part(&mut value, "total", facts.timeline.total());
    if facts.trace.is_on() {
        value.extend_from_slice(b", trace;desc=");
        value.extend_from_slice(&facts.trace.own_text());
    }
    value
}

fn part(value: &mut Vec<u8>, name: &str, spent: Duration) {
    value.extend_from_slice(name.as_bytes());
    value.extend_from_slice(b";dur=");
    millis(value, spent);
}

/// A quoted string (RFC 9110 §5.6.4).
fn quoted(value: &mut Vec<u8>, text: &str) {
    value.push(b'"');
    for b in text.bytes().filter(|b| (0x20..0x7f).contains(b)) {
        if matches!(b, b'"' | b'\\') {
            value.push(b'\\');
        }
        value.push(b);
    }
    value.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitor::{Cached, Trace};

    #[test]
    fn the_phases_that_took_time_are_told() {
        let at = |micros: u64| Moment::from_nanos(micros * 1_000);
        let mut facts = Facts::begin(at(0));
        facts.timeline.enter(Phase::Queue, at(100));
        facts.timeline.enter(Phase::Server, at(500));
        facts.timeline.enter(Phase::Gateway, at(53_000));
        facts.timeline.fold(Duration::from_millis(5), Duration::ZERO);
        facts.timeline.enter(Phase::Gateway, at(53_100));
        let said = |facts: &Facts, server| String::from_utf8(value(facts, server)).unwrap();
        assert_eq!(
            said(&facts, None),
            "gateway;dur=0.2, queue;dur=0.4, server;dur=47.5, db;dur=5, total;dur=53.1"
        );
        facts.cached = Some(Cached::Miss);
        facts.trace = Trace { id: 10, span: 11, parent: 0, flags: 3 };
        let trace = "00-0000000000000000000000000000000a-000000000000000b-03";
        assert_eq!(
            said(&facts, Some("a\"2:80")),
            format!(
                "cache;desc=MISS, gateway;dur=0.2, queue;dur=0.4, \
                 server;dur=47.5;desc=\"a\\\"2:80\", db;dur=5, total;dur=53.1, trace;desc={trace}"
            )
        );
        let hit = Facts { cached: Some(Cached::Hit), ..Facts::begin(at(0)) };
        assert_eq!(said(&hit, None), "cache;desc=HIT, total;dur=0");
    }

    #[test]
    fn a_token_is_all_of_it() {
        assert!(is_same(b"secret", b"secret"));
        for other in [&b""[..], b"secre", b"secrets", b"Secret", b"secreT"] {
            assert!(!is_same(other, b"secret"));
        }
    }
}
