//! The access log's line about one exchange: JSON, one object.

use crate::depart;
use crate::house::House;
use crate::path::{Exchange, Peer};
use base::{Fault, Moment, Version};
use monitor::log::{number, text};
use std::borrow::Cow;
use std::time::{Duration, SystemTime};

/// The line, with its line feed.
pub fn line(house: &House, exchange: &Exchange<'_>) -> Vec<u8> {
    let facts = &exchange.facts;
    let mut line = Vec::with_capacity(384);
    line.push(b'{');
    text(&mut line, "time", timestamp(facts.begun).as_bytes());
    text(&mut line, "client", exchange.peer.ip.as_bytes());
    text(&mut line, "method", exchange.head.method());
    text(&mut line, "host", exchange.head.host_received());
    text(&mut line, "target", exchange.head.target_received());
    text(&mut line, "protocol", protocol(exchange.head.version).as_bytes());
    number(&mut line, "status", facts.status);
    number(&mut line, "sent_bytes", facts.sent);
    number(&mut line, "total_ms", millis(facts.timeline.total()));
    if let Some(index) = facts.route {
        let route = &house.snapshot.settings.routes[usize::from(index)];
        text(&mut line, "route", route.name.as_bytes());
        let service = facts.service.map_or(route.service, usize::from);
        let service = &house.services[service];
        text(&mut line, "service", service.settings.name.as_bytes());
        if let Some(server) = facts.server.and_then(|id| service.endpoint(id)) {
            text(&mut line, "server", server.label().as_bytes());
            number(&mut line, "attempts", facts.attempts);
            number(&mut line, "reused", facts.reused);
            if facts.hedged {
                number(&mut line, "hedged", true);
            }
        }
    }
    if let (Some(asked), Some(answered)) = (facts.asked, facts.answered) {
        number(&mut line, "service_ms", millis(answered.since(asked)));
    }
    if let Some(cached) = facts.cached {
        text(&mut line, "cache", cached.name().as_bytes());
    }
    if let Some(fault) = facts.fault {
        text(&mut line, "fault", fault.name().as_bytes());
    }
    line.pop(); // the last comma
    line.extend_from_slice(b"}\n");
    line
}

/// The line about a request that could not be understood: it has no method and no target that could
/// be believed.
pub fn refusal(peer: &Peer, fault: &Fault, now: Moment) -> Vec<u8> {
    let mut line = Vec::with_capacity(192);
    line.push(b'{');
    text(&mut line, "time", timestamp(now).as_bytes());
    text(&mut line, "client", peer.ip.as_bytes());
    number(&mut line, "status", depart::status_of(fault.kind));
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

/// A target without the values of these parameters of its query.
pub fn redacted<'a>(target: &'a [u8], _parameters: &[String]) -> Cow<'a, [u8]> {
    Cow::Borrowed(target)
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";

/// `2026-11-24T05:35:47.123Z` (RFC 3339).
fn timestamp(moment: Moment) -> String {
    let wall = moment.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let http = depart::http_date(wall.as_secs());
    let month = MONTHS.find(&http[8..11]).map_or(1, |at| at / 3 + 1);
    format!(
        "{}-{month:02}-{}T{}.{:03}Z",
        &http[12..16],
        &http[5..7],
        &http[17..25],
        wall.subsec_millis()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_as_rfc_3339_writes_them() {
        let text = timestamp(Moment::now());
        assert_eq!(text.len(), 24, "{text}");
        assert!(text.starts_with("20") && text.ends_with('Z'), "{text}");
    }
}
