//! Spans, made afterwards: of an exchange that was kept one for itself and one for each try at a
//! server, as OpenTelemetry's semantic conventions 1.44 have them (HTTP spans, stable).
//!
//! Their ids are those that servers were told (`monitor::trace`), so that a server's own spans hang
//! below ours without anything being remembered meanwhile.

use crate::value::{Attribute, Value, attribute, cut};
use base::{FaultKind, Moment, Side};
use bytes::Bytes;
use monitor::facts::{Cause, Try};
use monitor::{Kept, Trace};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::trace::v1 as proto;
use prost::Message;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// Which side of a call a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whoever was asked.
    Server,
    /// Whoever asks.
    Client,
}

/// A span that has ended.
#[derive(Clone, Debug)]
pub struct Span {
    /// What `service.name` says: spans of one process may be of several services.
    pub service: Arc<str>,
    /// Its trace and itself; `parent` is 0 at the root.
    pub trace: Trace,
    /// Which side.
    pub kind: Kind,
    /// What it is about, in few words and from a closed set.
    pub name: String,
    /// From …
    pub begun: Moment,
    /// … to.
    pub ended: Moment,
    /// What failed (`error.type`), if it did.
    pub failed: Option<Cow<'static, str>>,
    /// What else there is to say.
    pub attributes: Vec<Attribute>,
}

/// Nanoseconds since 1970.
pub(crate) fn unix_nanos(at: Moment) -> u64 {
    let wall = at.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(wall.as_nanos()).unwrap_or(u64::MAX)
}

/// The spans of an exchange that was kept: none where it belongs to no trace.
pub fn of_kept(kept: &Kept, service: &Arc<str>) -> Vec<Span> {
    if !kept.facts.trace.is_on() {
        return Vec::new();
    }
    let tries = kept.tries.iter();
    let tries = tries.map(|(tried, server)| of_try(kept, tried, Some(server), service));
    let left = left(kept).map(|tried| of_try(kept, &tried, None, service));
    std::iter::once(of_exchange(kept, service))
        .chain(tries)
        .chain(left.collect::<Vec<_>>())
        .collect()
}

/// Tries that were under way when the client left: begun, but nobody was there to note their end.
/// Servers may have spans below them.
fn left(kept: &Kept) -> impl Iterator<Item = Try> {
    let facts = &kept.facts;
    let is_noted = |number: u8| kept.tries.iter().any(|(tried, _)| tried.number == number);
    (1..=facts.attempts).filter(move |number| !is_noted(*number)).map(|number| Try {
        number,
        cause: if number == 1 { Cause::First } else { Cause::Retry },
        server: facts.server.unwrap_or_default(),
        begun: facts.asked.unwrap_or(facts.begun),
        ended: facts.timeline.since(),
        status: 0,
        fault: None,
        reused: false,
    })
}

fn of_exchange(kept: &Kept, service: &Arc<str>) -> Span {
    let facts = &kept.facts;
    let ended = facts.timeline.since();
    let (method, original) = method(&kept.method);
    let route = kept.route.as_deref();
    let mut span = Span {
        service: Arc::clone(service),
        trace: facts.trace,
        kind: Kind::Server,
        name: name(method, route),
        begun: Moment::from_nanos(ended.as_nanos() - facts.timeline.total().as_nanos() as u64),
        ended,
        failed: failure(
            facts.fault.filter(|fault| fault.side() != Side::Client),
            facts.status,
            500,
        ),
        attributes: Vec::with_capacity(24),
    };
    span.say("http.request.method", method);
    span.say_if("http.request.method_original", original);
    span.say_if("http.route", route);
    span.say_status(facts.status);
    request(&mut span, kept);
    span.say("client.address", kept.client.as_str());
    let version = kept.protocol.trim_start_matches("HTTP/");
    span.say("network.protocol.version", version);
    span.say_if("user_agent.original", Some(kept.user_agent.as_str()).filter(|s| !s.is_empty()));
    own(&mut span, kept);
    span
}

/// What the request said about where it goes.
fn request(span: &mut Span, kept: &Kept) {
    span.say("url.scheme", if kept.tls { "https" } else { "http" });
    let (path, query) = match kept.target.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (kept.target.as_str(), None),
    };
    span.say("url.path", path);
    span.say_if("url.query", query);
    let (host, port) = host_and_port(&kept.host);
    span.say_if("server.address", Some(host).filter(|host| !host.is_empty()));
    if let Some(port) = port {
        span.say("server.port", i64::from(port));
    }
}

/// What only we know of it.
fn own(span: &mut Span, kept: &Kept) {
    let facts = &kept.facts;
    span.say("fleetfoot.why", kept.why.name());
    span.say_if("fleetfoot.service", kept.service.as_deref());
    span.say_if("fleetfoot.cache", facts.cached.map(monitor::Cached::name));
    span.say_if("fleetfoot.fault", facts.fault.map(FaultKind::name));
    span.say_if("fleetfoot.request_id", kept.request_id.as_deref());
    if facts.hedged {
        span.say("fleetfoot.hedged", true);
    }
    for (phase, time) in facts.timeline.parts() {
        let name = format!("fleetfoot.phase.{}", phase.name());
        span.attributes.push((name.into(), Value::Number(millis(time))));
    }
}

fn of_try(kept: &Kept, tried: &Try, server: Option<&str>, service: &Arc<str>) -> Span {
    let ours = kept.facts.trace;
    let (method, original) = method(&kept.method);
    let trace = Trace { span: ours.try_span(tried.number), parent: ours.span, ..ours };
    let mut span = Span {
        service: Arc::clone(service),
        trace,
        kind: Kind::Client,
        name: method.to_owned(),
        begun: tried.begun,
        ended: tried.ended.max(tried.begun),
        failed: failure(tried.fault, tried.status, 400),
        attributes: Vec::with_capacity(12),
    };
    if span.failed.is_none() && tried.status == 0 {
        // It was given up: the other of two was sooner, or the client has left.
        span.failed = Some("cancelled".into());
    }
    span.say("http.request.method", method);
    span.say_if("http.request.method_original", original);
    span.say_status(tried.status);
    if tried.number > 1 {
        span.say("http.request.resend_count", i64::from(tried.number) - 1);
    }
    // The address of one of several of a name stands behind a hash.
    let asked = server.and_then(|server| server.split('#').next()).map(host_and_port);
    span.say_if("server.address", asked.map(|(host, _)| host));
    if let Some(port) = asked.and_then(|(_, port)| port) {
        span.say("server.port", i64::from(port));
    }
    span.say_if("fleetfoot.service", kept.service.as_deref());
    span.say_if("fleetfoot.server", server);
    let cause = match tried.cause {
        Cause::First => "first",
        Cause::Retry => "retry",
        Cause::Hedge => "hedge",
    };
    span.say("fleetfoot.try", cause);
    span.say("fleetfoot.reused", tried.reused);
    span
}

impl Span {
    /// Adds an attribute.
    pub fn say(&mut self, name: &'static str, value: impl Into<Value>) {
        self.attributes.push((Cow::Borrowed(name), value.into()));
    }

    fn say_if(&mut self, name: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.say(name, value);
        }
    }

    /// Adds the status of an answer, if there was one.
    pub fn say_status(&mut self, status: u16) {
        if status != 0 {
            self.say("http.response.status_code", i64::from(status));
        }
    }
}

/// `error.type`: the fault's name, or else a status from `least` on.
pub fn failure(fault: Option<FaultKind>, status: u16, least: u16) -> Option<Cow<'static, str>> {
    let by_status = || (status >= least).then(|| status.to_string().into());
    fault.map(|fault| fault.name().into()).or_else(by_status)
}

/// A method that everybody knows, and the one sent where nobody does.
fn method(sent: &str) -> (&'static str, Option<&str>) {
    const KNOWN: [&str; 9] =
        ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];
    match KNOWN.into_iter().find(|known| *known == sent) {
        Some(known) => (known, None),
        None => ("_OTHER", Some(sent)),
    }
}

fn name(method: &str, route: Option<&str>) -> String {
    let method = if method == "_OTHER" { "HTTP" } else { method };
    route.map_or_else(|| method.to_owned(), |route| format!("{method} {route}"))
}

/// `host:port` taken apart; brackets of IPv6 stay out.
fn host_and_port(authority: &str) -> (&str, Option<u16>) {
    if let Some((host, rest)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match authority.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => (host, Some(port)),
        _ => (authority, None),
    }
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}

// Whether a span's context, and its parent's, came from elsewhere (`SpanFlags` of the protocol).
const KNOWS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

fn encode(span: Span) -> proto::Span {
    let Span { trace, kind, name, begun, ended, failed, attributes, .. } = span;
    let mut attributes: Vec<_> =
        attributes.into_iter().map(|(name, value)| attribute(&name, value)).collect();
    let remote = kind == Kind::Server && trace.parent != 0;
    let status = failed.map(|why| {
        attributes.push(attribute("error.type", why.into_owned().into()));
        proto::Status { code: proto::status::StatusCode::Error as i32, ..Default::default() }
    });
    let id = |span: u64| if span == 0 { Vec::new() } else { span.to_be_bytes().into() };
    proto::Span {
        trace_id: trace.id.to_be_bytes().into(),
        span_id: id(trace.span),
        parent_span_id: id(trace.parent),
        flags: u32::from(trace.flags) | KNOWS_REMOTE | if remote { IS_REMOTE } else { 0 },
        name: cut(name),
        kind: match kind {
            Kind::Server => proto::span::SpanKind::Server,
            Kind::Client => proto::span::SpanKind::Client,
        } as i32,
        start_time_unix_nano: unix_nanos(begun),
        end_time_unix_nano: unix_nanos(ended),
        attributes,
        status,
        ..Default::default()
    }
}

/// The message that brings these spans.
pub(crate) fn message(spans: impl Iterator<Item = Span>, version: &'static str) -> Bytes {
    let mut services: BTreeMap<Arc<str>, Vec<proto::Span>> = BTreeMap::new();
    for span in spans {
        services.entry(Arc::clone(&span.service)).or_default().push(encode(span));
    }
    let of_service = |(service, spans): (Arc<str>, _)| proto::ResourceSpans {
        resource: Some(crate::metric::resource(&service, version)),
        scope_spans: vec![proto::ScopeSpans { scope: Some(scope()), spans, ..Default::default() }],
        ..Default::default()
    };
    let resource_spans = services.into_iter().map(of_service).collect();
    ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
}

/// Who has measured.
pub(crate) fn scope() -> InstrumentationScope {
    InstrumentationScope { name: "fleetfoot".to_owned(), ..Default::default() }
}

#[cfg(test)]
mod tests;
