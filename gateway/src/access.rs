//! The access log's line about one exchange, and which exchanges have one.
//!
//! A line has what a client asked for and never what proves who it is: no Authorization, no Cookie;
//! of a query not the values of [`redact`]ed parameters, of a URL no user.

pub mod common;
pub mod redact;

pub use redact::redacted;

use crate::depart;
use crate::house::House;
use crate::path::{Exchange, Peer};
use base::{Fault, FieldName, Moment, Version};
use monitor::log::line::{id, key, millis, number, text, time, timestamp, truth};
use monitor::settings::LogFormat;
use monitor::{Facts, Phase};
use std::time::Duration;

/// The line, with its line feed, if the exchange has one. `random` is drawn from ten thousand.
pub fn line(
    house: &House,
    exchange: &Exchange<'_>,
    random: impl FnOnce() -> u32,
) -> Option<Vec<u8>> {
    let settings = &house.snapshot.settings.monitor;
    let share = settings.log_sample.0;
    let drawn = share < 10_000 && is_ordinary(&exchange.facts, house);
    if drawn && random() >= share {
        return None;
    }
    Some(match settings.log_format {
        LogFormat::Json => json(house, exchange, drawn.then_some(share)),
        format => common::line(exchange, &settings.redact, format),
    })
}

/// Did it go well, and was it not slower than 99 of 100 of its route?
fn is_ordinary(facts: &Facts, house: &House) -> bool {
    let slow = house.meter(facts.route).slow();
    let is_slow = slow > Duration::ZERO && facts.timeline.total() > slow;
    facts.fault.is_none() && matches!(facts.status, 100..400) && !is_slow
}

fn json(house: &House, exchange: &Exchange<'_>, share: Option<u32>) -> Vec<u8> {
    let mut line = Vec::with_capacity(768);
    let (facts, head) = (&exchange.facts, &exchange.head);
    let secret = &house.snapshot.settings.monitor.redact;
    line.push(b'{');
    text(&mut line, "time", &timestamp(facts.begun));
    text(&mut line, "client", exchange.peer.ip.as_bytes());
    text(&mut line, "method", head.method());
    text(&mut line, "host", head.host_received());
    text(&mut line, "target", &redacted(head.target_received(), secret));
    text(&mut line, "protocol", protocol(head.version).as_bytes());
    truth(&mut line, "tls", exchange.peer.tls);
    number(&mut line, "status", facts.status.into());
    number(&mut line, "sent_bytes", facts.sent);
    time(&mut line, "total_ms", facts.timeline.total());
    key(&mut line, "phases_ms");
    phases(&mut line, facts);
    if let Some(index) = facts.route {
        let route = &house.snapshot.settings.routes[usize::from(index)];
        text(&mut line, "route", route.name.as_bytes());
        let service = facts.service.map_or(route.service, usize::from);
        let service = &house.services[service];
        text(&mut line, "service", service.settings.name.as_bytes());
        if let Some(server) = facts.server.and_then(|id| service.endpoint(id)) {
            text(&mut line, "server", server.label().as_bytes());
            number(&mut line, "attempts", facts.attempts.into());
            truth(&mut line, "reused", facts.reused);
            if facts.hedged {
                truth(&mut line, "hedged", true);
            }
        }
    }
    if let (Some(asked), Some(answered)) = (facts.asked, facts.answered) {
        time(&mut line, "service_ms", answered.since(asked));
    }
    if let Some(cached) = facts.cached {
        text(&mut line, "cache", cached.name().as_bytes());
    }
    if let Some(fault) = facts.fault {
        text(&mut line, "fault", fault.name().as_bytes());
    }
    if facts.trace.is_on() {
        id(&mut line, "trace", facts.trace.id, 32);
        id(&mut line, "span", facts.trace.span.into(), 16);
    }
    if let Some(request_id) = exchange.request_id() {
        text(&mut line, "request_id", request_id);
    }
    if let Some(referer) = head.fields.get(FieldName::Referer) {
        text(&mut line, "referer", &redact::url(referer, secret));
    }
    if let Some(agent) = head.fields.get(FieldName::UserAgent) {
        text(&mut line, "user_agent", agent);
    }
    if let Some(share) = share {
        // The share is in ten-thousandths: as a time in nanoseconds it has as many decimals.
        time(&mut line, "sample", Duration::from_nanos(u64::from(share) * 100));
    }
    line.pop(); // the last comma
    line.extend_from_slice(b"}\n");
    line
}

/// `{"server":47.2,…},`: those that took a microsecond at least.
fn phases(line: &mut Vec<u8>, facts: &Facts) {
    line.push(b'{');
    let start = line.len();
    for (phase, spent) in facts.timeline.parts() {
        if spent >= MICROSECOND {
            key(line, Phase::name(phase));
            millis(line, spent);
            line.push(b',');
        }
    }
    if line.len() > start {
        line.pop(); // the last comma
    }
    line.extend_from_slice(b"},");
}

const MICROSECOND: Duration = Duration::from_micros(1);

/// The line about a request that could not be understood: it has no method and no target that could
/// be believed.
pub fn refusal(format: LogFormat, peer: &Peer, fault: &Fault, now: Moment) -> Vec<u8> {
    let status = depart::status_of(fault.kind);
    if format != LogFormat::Json {
        return common::refusal(peer, status, format, now);
    }
    let mut line = Vec::with_capacity(192);
    line.push(b'{');
    text(&mut line, "time", &timestamp(now));
    text(&mut line, "client", peer.ip.as_bytes());
    number(&mut line, "status", status.into());
    text(&mut line, "fault", fault.kind.name().as_bytes());
    text(&mut line, "detail", fault.detail.as_bytes());
    line.pop(); // the last comma
    line.extend_from_slice(b"}\n");
    line
}

/// A version as logs write it.
pub const fn protocol(version: Version) -> &'static str {
    match version {
        Version::Http10 => "HTTP/1.0",
        Version::Http11 => "HTTP/1.1",
        Version::Http2 => "HTTP/2",
    }
}
