//! What spans say of an exchange.

use super::*;
use monitor::keep::Why;
use monitor::{Facts, Phase};

const MS: u64 = 1_000_000;

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * MS)
}

fn tried(number: u8, cause: Cause, status: u16, fault: Option<FaultKind>) -> (Try, String) {
    let (begun, ended) = (at(10 * u64::from(number)), at(10 * u64::from(number) + 5));
    let server = u32::from(number);
    let tried = Try { number, cause, server, begun, ended, status, fault, reused: false };
    (tried, format!("[::1]:300{number}#x"))
}

fn kept(tries: Vec<(Try, String)>) -> Kept {
    let mut facts = Facts::begin_slowly(at(1), at(2));
    facts.trace = Trace { id: 0xabc, span: 5, parent: 4, flags: 1 };
    facts.timeline.enter(Phase::Server, at(4));
    facts.timeline.enter(Phase::Gateway, at(104));
    facts.timeline.enter(Phase::Gateway, at(105));
    facts.status = 503;
    Kept {
        why: Why::Failed,
        facts,
        client: "192.0.2.1".to_owned(),
        method: "GET".to_owned(),
        host: "shop.test:8080".to_owned(),
        target: "/a/b?c=d".to_owned(),
        protocol: "HTTP/1.1",
        tls: true,
        user_agent: "x".repeat(5_000),
        route: Some("home".to_owned()),
        service: Some("shop".to_owned()),
        tries,
        request_id: None,
    }
}

fn said(span: &Span, name: &str) -> Option<Value> {
    let found = span.attributes.iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.clone())
}

#[test]
fn an_exchange_is_a_server_span_with_its_tries_below() {
    let service: Arc<str> = "fleetfoot".into();
    let tries = vec![
        tried(1, Cause::First, 0, Some(FaultKind::Unreachable)),
        tried(2, Cause::Retry, 503, None),
    ];
    let spans = of_kept(&kept(tries), &service);
    let [ours, first, second] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((ours.kind, ours.trace.span, ours.trace.parent), (Kind::Server, 5, 4));
    assert_eq!((ours.begun, ours.ended, ours.name.as_str()), (at(1), at(105), "GET home"));
    assert_eq!(ours.failed.as_deref(), Some("503"));
    for (name, value) in [
        ("http.request.method", "GET".into()),
        ("http.route", "home".into()),
        ("http.response.status_code", 503.into()),
        ("url.path", "/a/b".into()),
        ("url.query", "c=d".into()),
        ("url.scheme", "https".into()),
        ("server.address", "shop.test".into()),
        ("server.port", 8080.into()),
        ("client.address", "192.0.2.1".into()),
        ("network.protocol.version", "1.1".into()),
        ("fleetfoot.why", "failed".into()),
        ("fleetfoot.phase.server", 100.0.into()),
        ("fleetfoot.phase.receive", 1.0.into()),
    ] {
        assert_eq!(said(ours, name), Some(value), "{name}");
    }
    for (span, number) in [(first, 1), (second, 2)] {
        assert_eq!((span.kind, span.trace.parent), (Kind::Client, 5));
        assert_eq!(span.trace.span, ours.trace.try_span(number));
        assert_eq!(span.trace.id, ours.trace.id);
        assert_eq!(said(span, "server.address"), Some("::1".into()));
    }
    assert_eq!(
        (first.failed.as_deref(), second.failed.as_deref()),
        (Some("unreachable"), Some("503"))
    );
    let resent = |span| said(span, "http.request.resend_count");
    assert_eq!((resent(first), resent(second)), (None, Some(1.into())));
    assert_eq!(said(second, "fleetfoot.try"), Some("retry".into()));
}

#[test]
fn who_was_given_up_for_another_was_cancelled() {
    let tries = vec![tried(1, Cause::First, 0, None), tried(2, Cause::Hedge, 200, None)];
    let mut kept = kept(tries);
    (kept.facts.status, kept.facts.hedged) = (200, true);
    let spans = of_kept(&kept, &"x".into());
    let failed: Vec<_> = spans.iter().map(|span| span.failed.as_deref()).collect();
    assert_eq!(failed, [None, Some("cancelled"), None]);
    assert_eq!(said(&spans[2], "fleetfoot.try"), Some("hedge".into()));
    assert_eq!(said(&spans[0], "fleetfoot.hedged"), Some(true.into()));
}

#[test]
fn what_was_under_way_when_the_client_left_has_a_span() {
    let mut kept = kept(vec![tried(1, Cause::First, 503, None)]);
    (kept.facts.attempts, kept.facts.status) = (2, 0);
    kept.facts.fault = Some(FaultKind::ClientGone);
    let spans = of_kept(&kept, &"x".into());
    let ids: Vec<_> = spans.iter().map(|span| span.trace.span).collect();
    assert_eq!(ids, [5, spans[0].trace.try_span(1), spans[0].trace.try_span(2)]);
    assert_eq!((spans[0].failed.as_deref(), spans[2].failed.as_deref()), (None, Some("cancelled")));
    assert_eq!(said(&spans[2], "server.address"), None);
}

#[test]
fn what_clients_make_up_stays_out_of_names_and_within_bounds() {
    let mut kept = kept(Vec::new());
    (kept.method, kept.route) = ("ODDITY".to_owned(), None);
    let spans = of_kept(&kept, &"x".into());
    assert_eq!(spans[0].name, "HTTP");
    assert_eq!(said(&spans[0], "http.request.method"), Some("_OTHER".into()));
    let message = message(spans.into_iter(), "1");
    assert!(message.len() < 4_000, "{}", message.len());
    kept.facts.trace = Trace::OFF;
    assert!(of_kept(&kept, &"x".into()).is_empty());
}

#[test]
fn a_client_s_own_mistake_is_no_error_of_ours() {
    let mut kept = kept(Vec::new());
    (kept.facts.status, kept.facts.fault) = (404, Some(FaultKind::NoRoute));
    let spans = of_kept(&kept, &"x".into());
    assert_eq!(spans[0].failed, None);
    assert_eq!(said(&spans[0], "fleetfoot.fault"), Some("no_route".into()));
}

#[test]
fn a_message_has_what_the_protocol_wants() {
    let spans = of_kept(&kept(vec![tried(1, Cause::First, 200, None)]), &"here".into());
    let decoded = ExportTraceServiceRequest::decode(message(spans.into_iter(), "1")).unwrap();
    let [resource] = &decoded.resource_spans[..] else { panic!("one service") };
    let spans = &resource.scope_spans[0].spans;
    assert_eq!(spans[0].trace_id.len(), 16);
    assert_eq!(spans[0].span_id, 5_u64.to_be_bytes());
    assert_eq!(spans[1].parent_span_id, spans[0].span_id);
    assert_eq!((spans[0].flags, spans[1].flags), (0x301, 0x101));
    assert_eq!(spans[0].end_time_unix_nano - spans[0].start_time_unix_nano, 104 * MS);
    assert_eq!(spans[0].status.as_ref().map(|status| status.code), Some(2));
    assert!(spans[0].attributes.iter().any(|attribute| attribute.key == "error.type"));
}
