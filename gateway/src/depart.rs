//! The way out: the only place where a fault becomes a status and a body.

use crate::access::redacted;
use crate::forward;
use crate::house::House;
use crate::path::{Departure, Exchange};
use crate::rates;
use crate::timing;
use base::{Fault, FaultKind, FieldName, Moment, ResponseHead, Side, Version};
use service::Answered;
use std::cell::RefCell;
use std::time::{Duration, SystemTime};
use wire::Response;

/// Makes what a room answered, or the fault it ended in, ready for the client.
pub fn depart(
    house: &House,
    exchange: &mut Exchange<'_>,
    outcome: Result<Answered, Fault>,
) -> Departure {
    let mut departure = match outcome {
        Ok(Answered::Response(response)) => Departure::Response(response),
        Ok(Answered::Tunnel(mut head, tunnel)) => {
            forward::switch(&mut head, &house.snapshot);
            Departure::Tunnel(head, tunnel)
        }
        Err(fault) => {
            note(house, exchange, &fault);
            let grpc = exchange.head.version == Version::Http2
                && service::deadline::is_grpc(&exchange.head.fields);
            Departure::Response(if grpc { grpc_problem(&fault) } else { problem(&fault) })
        }
    };
    let head = match &mut departure {
        Departure::Response(response) => &mut response.head,
        Departure::Tunnel(head, _) => head,
    };
    exchange.facts.status = head.status;
    rates::tell(house, exchange, head);
    if let Some(id) = exchange.request_id() {
        head.fields.remove(FieldName::XRequestId);
        head.fields.push_as(FieldName::XRequestId, b"X-Request-Id", id);
    }
    timing::tell(house, exchange, head);
    // RFC 9110 §6.6.1: a recipient with a clock adds the Date that is missing.
    if !head.fields.has(FieldName::Date) {
        date(|date| head.fields.push(b"Date", date));
    }
    departure
}

/// Notes the fault that an exchange ended in; what is not the client's is told on standard error.
pub fn note(house: &House, exchange: &mut Exchange<'_>, fault: &Fault) {
    exchange.facts.fault = Some(fault.kind);
    if fault.kind.side() != Side::Client && fault.kind != FaultKind::NotCached {
        let chain = fault.chain();
        let head = &exchange.head;
        let target = redacted(head.target(), &house.snapshot.settings.monitor.redact);
        let (method, target) = (head.method().escape_ascii(), target.escape_ascii());
        monitor::log::complain(Moment::now(), format_args!("{method} {target}: {chain}"));
    }
}

/// The response to a fault: problem+json (RFC 9457) with the reason's name. What it says of a
/// service is the reason alone; the details are in the log.
pub fn problem(fault: &Fault) -> Response {
    let status = status_of(fault.kind);
    let mut head = ResponseHead::build(status);
    head.fields.push(b"Content-Type", b"application/problem+json");
    if fault.kind == FaultKind::MethodNotAllowed {
        head.fields.push(b"Allow", fault.detail.as_bytes());
    }
    if fault.kind == FaultKind::ConnectRefused {
        head.fields.push(b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");
    }
    if let Some(after) = fault.retry_after {
        // Whole seconds, rounded up (RFC 9110 §10.2.3).
        let seconds = after.as_millis().div_ceil(1_000).max(1);
        head.fields.push(b"Retry-After", seconds.to_string().as_bytes());
    }
    let mut problem = serde_json::Map::new();
    problem.insert("type".into(), "about:blank".into());
    problem.insert("title".into(), base::head::reason_phrase(status).into());
    problem.insert("status".into(), status.into());
    problem.insert("reason".into(), fault.kind.name().into());
    let is_told = fault.kind.side() == Side::Client || is_about_jobs(fault.kind);
    if is_told && !fault.detail.is_empty() {
        problem.insert("detail".into(), fault.detail.clone().into());
    }
    let mut content = serde_json::Value::Object(problem).to_string().into_bytes();
    content.push(b'\n');
    Response::whole(head, content)
}

/// Says the detail nothing of services, and of whoever runs the gateway what its client has to know?
const fn is_about_jobs(kind: FaultKind) -> bool {
    matches!(kind, FaultKind::QueueFull | FaultKind::BrokerAway | FaultKind::PeerAway)
}

/// The same for a client that speaks gRPC: an answer that is nothing but trailers. Its status would
/// else be guessed from HTTP's, and a deadline taken for an outage.
fn grpc_problem(fault: &Fault) -> Response {
    let mut head = ResponseHead::build(200);
    head.fields.push(b"Content-Type", b"application/grpc");
    head.fields.push(b"grpc-status", grpc_status_of(fault.kind).to_string().as_bytes());
    head.fields.push(b"grpc-message", fault.kind.name().as_bytes());
    if let Some(after) = fault.retry_after {
        // gRPC A6: when to try again.
        head.fields.push(b"grpc-retry-pushback-ms", after.as_millis().to_string().as_bytes());
    }
    Response::whole(head, Vec::new())
}

/// gRPC's status for a fault (grpc.io, "Status codes and their use in gRPC").
const fn grpc_status_of(kind: FaultKind) -> u8 {
    use FaultKind as K;
    match kind {
        K::ClientGone => 1,
        K::NoRoute | K::MethodNotAllowed => 12,
        K::RateLimited | K::Overloaded | K::TooManyConnections | K::ServiceFull => 8,
        K::DeadlineShort | K::FirstByteTimeout | K::TotalTimeout | K::BodyTimeout => 4,
        K::Internal => 13,
        _ => match kind.side() {
            Side::Client => 3,
            Side::Gateway | Side::Upstream => 14,
        },
    }
}

/// The status that tells of a fault.
pub const fn status_of(kind: FaultKind) -> u16 {
    use FaultKind as K;
    match kind {
        K::BadRequest | K::BadBody | K::BadIdempotencyKey | K::BadCallback => 400,
        K::NoRoute | K::NoJob | K::NoResult => 404,
        K::MethodNotAllowed | K::ConnectRefused => 405,
        K::HeadTimeout | K::BodyTimeout => 408,
        K::JobBusy => 409,
        K::JobGone => 410,
        K::BodyTooLarge => 413,
        K::TargetTooLong => 414,
        K::BadExpectation => 417,
        K::IdempotencyMismatch => 422,
        K::ClientGone => 499, // nobody's but the log's
        K::HeadTooLarge | K::TooManyFields => 431,
        K::Internal => 500,
        K::BadCoding => 501,
        K::Unresolved
        | K::Unreachable
        | K::BadTls
        | K::ServerClosed
        | K::BadResponse
        | K::ResponseCut => 502,
        K::RateLimited => 429,
        K::TooManyConnections
        | K::ServiceFull
        | K::NoServer
        | K::Overloaded
        | K::QueueFull
        | K::StoreFull
        | K::StoreClosed
        | K::BrokerAway
        | K::PeerAway => 503,
        K::NotCached
        | K::DeadlineShort
        | K::ConnectTimeout
        | K::FirstByteTimeout
        | K::TotalTimeout => 504,
        K::BadVersion => 505,
    }
}

/// Hands out the date of now as HTTP writes it, made anew once a second.
pub fn date(with: impl FnOnce(&[u8])) {
    thread_local! {
        static DATE: RefCell<(Moment, Vec<u8>)> =
            const { RefCell::new((Moment::from_nanos(0), Vec::new())) };
    }
    DATE.with_borrow_mut(|(until, text)| {
        let now = Moment::now();
        if now >= *until {
            let wall = now.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            *text = http_date(wall.as_secs()).into_bytes();
            let left = Duration::from_secs(1)
                .saturating_sub(Duration::from_nanos(u64::from(wall.subsec_nanos())));
            *until = now + left;
        }
        with(text);
    });
}

/// Seconds since 1970 as an IMF-fixdate (RFC 9110 §5.6.7).
pub fn http_date(seconds: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let days = seconds / 86_400;
    let (hour, minute, second) = (seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    // Days since 0000-03-01, so that the leap day ends the year (the usual civil calendar split
    // into eras of 400 years).
    let shifted = days + 719_468;
    let (era, of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = (shifted_month + 2) % 12;
    let year = era * 400 + year_of_era + u64::from(month < 2);
    let (weekday, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize]);
    format!("{weekday}, {day:02} {month} {year:04} {hour:02}:{minute:02}:{second:02} GMT")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grpc_is_told_in_its_own_words() {
        for (kind, status) in [
            (FaultKind::DeadlineShort, "4"),
            (FaultKind::NoServer, "14"),
            (FaultKind::Overloaded, "8"),
            (FaultKind::NoRoute, "12"),
            (FaultKind::BadRequest, "3"),
        ] {
            let fault = Fault::new(kind, "").retry_after(Duration::from_millis(70));
            let Response { head, framing, .. } = grpc_problem(&fault);
            assert_eq!((head.status, framing), (200, base::Framing::Length(0)));
            assert_eq!(head.fields.find(b"grpc-status"), Some(status.as_bytes()), "{kind:?}");
            assert_eq!(head.fields.find(b"grpc-retry-pushback-ms"), Some(&b"70"[..]));
        }
    }

    #[test]
    fn dates_as_http_writes_them() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (951_868_800, "Wed, 01 Mar 2000 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
        ] {
            assert_eq!(http_date(seconds), text);
        }
    }

    #[test]
    fn every_fault_has_a_status_of_its_side() {
        for kind in FaultKind::ALL {
            let status = status_of(*kind);
            match kind.side() {
                Side::Client => {
                    assert!((400..500).contains(&status) || status == 501 || status == 505);
                }
                Side::Gateway | Side::Upstream => assert!((500..600).contains(&status), "{kind:?}"),
            }
        }
    }
}
