//! What crosses a hop and what must not (RFC 9110 §7.6), in both directions.
//!
//! Fields that speak of one connection are taken off and ours are put on. What a stranger says about
//! whom a request is for is overwritten; only a trusted proxy's word is kept and added to.

use crate::house::Snapshot;
use crate::path::Peer;
use base::field::{Names, members};
use base::{Fault, FaultKind, FieldName, Fields, Framing, RequestHead, ResponseHead, Version};
use settings::Route;
use wire::Response;

/// What a request is after it was made ready for the next hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crossing {
    /// A request like any other.
    Plain,
    /// It asks the service to switch protocols (RFC 9110 §7.8).
    Upgrade,
}

/// What is known of a request beside its head.
#[derive(Clone, Copy)]
pub struct Hop<'a> {
    /// Whose it is.
    pub peer: &'a Peer,
    /// How its body is framed.
    pub framing: Framing,
    /// Its client waits for `100 Continue`.
    pub expects: bool,
}

/// Is this peer's word about whom it speaks for believed?
pub fn is_trusted(peer: &Peer, snapshot: &Snapshot) -> bool {
    let trusted = &snapshot.settings.forward.trusted;
    trusted.iter().any(|net| net.contains(peer.address.ip()))
}

/// Makes a request ready for the next hop.
pub fn request(
    head: &mut RequestHead,
    hop: Hop<'_>,
    snapshot: &Snapshot,
    route: &Route,
) -> Crossing {
    let settings = &snapshot.settings.forward;
    let upgrade = wanted_upgrade(head, hop.framing);
    let trailers = wants_trailers(&head.fields);
    let trusted = is_trusted(hop.peer, snapshot);
    drop_nominated(&mut head.fields);
    if head.fields.may_have_any(OVERRIDES) && matches!(head.method(), b"GET" | b"HEAD") {
        head.fields.retain(|field| !OVERRIDES.has(field.known));
    }
    let fields = &mut head.fields;
    if fields.may_have_any(NOT_FORWARDED) || fields.may_have_any(HEARSAY) {
        let expects = hop.expects;
        fields.retain(|field| match field.known {
            FieldName::Expect => expects,
            known if NOT_FORWARDED.has(known) => false,
            known => trusted || !HEARSAY.has(known),
        });
    }
    fields.append(snapshot.via.field(head.version));
    if settings.x_forwarded {
        x_forwarded(fields, hop.peer, trusted);
    }
    if settings.forwarded {
        forwarded(fields, hop.peer);
    }
    if trailers {
        fields.push(b"TE", b"trailers");
        fields.push(b"Connection", b"TE");
    }
    let crossing = match upgrade {
        Some(protocol) => {
            fields.push(b"Connection", b"Upgrade");
            fields.push(b"Upgrade", &protocol);
            Crossing::Upgrade
        }
        None => Crossing::Plain,
    };
    rewrite_path(head, route);
    crossing
}

/// Takes off what speaks of the service's connection only: all that an interim response needs.
pub fn interim(head: &mut ResponseHead) {
    drop_nominated(&mut head.fields);
    if head.fields.may_have_any(NOT_RETURNED) {
        head.fields.retain(|field| !NOT_RETURNED.has(field.known));
    }
}

/// Makes a response ready for the client.
pub fn response(head: &mut ResponseHead, snapshot: &Snapshot) {
    interim(head);
    head.fields.append(snapshot.via.field(head.version));
}

/// Makes the head of a switch of protocols ready for the client.
pub fn switch(head: &mut ResponseHead, snapshot: &Snapshot) {
    let protocol = head.fields.get(FieldName::Upgrade).unwrap_or_default().to_vec();
    response(head, snapshot);
    head.fields.push(b"Connection", b"Upgrade");
    head.fields.push(b"Upgrade", &protocol);
}

/// Answers a TRACE or OPTIONS whose hops are used up, and counts a hop off others (RFC 9110 §7.6.2).
///
/// # Errors
/// `BadRequest`: Max-Forwards is no number, or a TRACE has a body.
pub fn ends_here(head: &mut RequestHead) -> Result<Option<Response>, Fault> {
    let bad = |detail: &'static str| Fault::new(FaultKind::BadRequest, detail);
    let trace = head.method() == b"TRACE";
    if !trace && head.method() != b"OPTIONS" {
        return Ok(None);
    }
    if trace
        && (head.fields.has(FieldName::ContentLength)
            || head.fields.has(FieldName::TransferEncoding))
    {
        return Err(bad("a TRACE has no body"));
    }
    let Some(hops) = head.fields.get(FieldName::MaxForwards) else {
        // `OPTIONS *` asks about the server that it reaches, which is this one.
        return Ok((head.target() == b"*").then(options_answer));
    };
    let hops = wire::h1::framing::decimal(hops).ok_or_else(|| bad("a malformed Max-Forwards"))?;
    if hops > 0 {
        head.fields.set(FieldName::MaxForwards, (hops - 1).to_string().as_bytes());
        return Ok(None);
    }
    Ok(Some(if trace { trace_answer(head) } else { options_answer() }))
}

fn options_answer() -> Response {
    let mut answer = ResponseHead::build(200);
    answer.fields.push(b"Allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE");
    Response::whole(answer, Vec::new())
}

/// The request as it was received, less what a client must not learn of itself (RFC 9110 §9.3.8).
fn trace_answer(head: &RequestHead) -> Response {
    let mut content = Vec::new();
    content.extend_from_slice(head.method());
    content.push(b' ');
    content.extend_from_slice(head.target_received());
    content.extend_from_slice(b" HTTP/1.1\r\n");
    for field in head.fields.iter() {
        let secret = matches!(
            field.known,
            FieldName::Cookie | FieldName::ProxyAuthorization | FieldName::Authorization
        );
        if !secret {
            for part in [field.name, b": ", field.value, b"\r\n"] {
                content.extend_from_slice(part);
            }
        }
    }
    content.extend_from_slice(b"\r\n");
    let mut answer = ResponseHead::build(200);
    answer.fields.push(b"Content-Type", b"message/http");
    Response::whole(answer, content)
}

/// Fields of a request that speak of one connection only, or are ours to act on.
const NOT_FORWARDED: Names = Names::of(&[
    FieldName::Connection,
    FieldName::KeepAlive,
    FieldName::ProxyConnection,
    FieldName::Te,
    FieldName::Upgrade,
    FieldName::ProxyAuthorization,
    FieldName::Http2Settings,
    FieldName::Expect,
]);

/// Fields of a response that speak of one connection only.
const NOT_RETURNED: Names = Names::of(&[
    FieldName::Connection,
    FieldName::KeepAlive,
    FieldName::ProxyConnection,
    FieldName::Te,
    FieldName::Upgrade,
    FieldName::ProxyAuthenticate,
]);

/// Fields in which a proxy tells the next hop whom it speaks for.
const HEARSAY: Names = Names::of(&[
    FieldName::Forwarded,
    FieldName::XForwardedFor,
    FieldName::XForwardedProto,
    FieldName::XForwardedHost,
    FieldName::XForwardedPort,
    FieldName::XForwardedPrefix,
    FieldName::XForwardedScheme,
    FieldName::XForwardedServer,
    FieldName::XForwardedSsl,
    FieldName::XRealIp,
    FieldName::XOriginalUrl,
    FieldName::XRewriteUrl,
    FieldName::XHost,
    FieldName::XOriginalHost,
]);

/// Fields that ask for another method than the one in the request line. On a GET or HEAD they would
/// make an answer that is stored out of something that is none.
const OVERRIDES: Names = Names::of(&[
    FieldName::XHttpMethodOverride,
    FieldName::XHttpMethod,
    FieldName::XMethodOverride,
]);

/// Fields of a request that the service does not see as the client sent them.
pub const REWRITTEN: Names =
    NOT_FORWARDED.and(HEARSAY).and(OVERRIDES).and(Names::of(&[FieldName::Via]));

/// Drops the fields that Connection nominates (RFC 9110 §7.6.1). Framing, Host and the request's id
/// cannot be nominated away: they are not for one connection only, and who tries is attacking the
/// next hop.
fn drop_nominated(fields: &mut Fields) {
    if !fields.has(FieldName::Connection) {
        return;
    }
    let mut nominated: Vec<Vec<u8>> = Vec::new();
    for option in fields.all(FieldName::Connection).flat_map(members) {
        let usual: [&[u8]; 4] = [b"close", b"keep-alive", b"upgrade", b"te"];
        if !usual.iter().any(|usual| option.eq_ignore_ascii_case(usual)) {
            nominated.push(option.to_vec());
        }
    }
    if nominated.is_empty() {
        return;
    }
    fields.retain(|field| {
        matches!(
            field.known,
            FieldName::Host
                | FieldName::ContentLength
                | FieldName::TransferEncoding
                | FieldName::XRequestId
        ) || !nominated.iter().any(|name| field.name.eq_ignore_ascii_case(name))
    });
}

fn has_option(fields: &Fields, wanted: &[u8]) -> bool {
    let mut options = fields.all(FieldName::Connection).flat_map(members);
    options.any(|option| option.eq_ignore_ascii_case(wanted))
}

/// The protocol that a client asks to switch to. `h2c` is not passed on: to a service that knows it,
/// it would open a tunnel past every rule of this gateway.
fn wanted_upgrade(head: &RequestHead, framing: Framing) -> Option<Vec<u8>> {
    let has_body = !matches!(framing, Framing::None | Framing::Length(0));
    if head.version != Version::Http11 || has_body || !has_option(&head.fields, b"upgrade") {
        return None;
    }
    let protocol = head.fields.get(FieldName::Upgrade)?;
    let plain = members(protocol).count() == 1 && !protocol.is_empty();
    let h2c = protocol.len() >= 3 && protocol[..3].eq_ignore_ascii_case(b"h2c");
    (plain && !h2c).then(|| protocol.to_vec())
}

/// Does the client take trailers, and say so as it must?
fn wants_trailers(fields: &Fields) -> bool {
    let mut wishes = fields.all(FieldName::Te).flat_map(members);
    wishes.any(|wish| wish.eq_ignore_ascii_case(b"trailers"))
}

fn x_forwarded(fields: &mut Fields, peer: &Peer, trusted: bool) {
    if trusted {
        // Whom a trusted proxy spoke for, and then itself.
        let mut chain = take_list(fields, FieldName::XForwardedFor);
        chain.extend_from_slice(peer.ip.as_bytes());
        fields.push(b"X-Forwarded-For", &chain);
        if !fields.has(FieldName::XForwardedProto) {
            fields.push(b"X-Forwarded-Proto", scheme(peer));
        }
    } else {
        fields.append(&peer.forwarded);
    }
    if !fields.has(FieldName::XForwardedHost) {
        fields.push_same(FieldName::XForwardedHost, b"X-Forwarded-Host", FieldName::Host);
    }
}

/// Takes all lines of a list-valued field off and joins them, ready for another member.
fn take_list(fields: &mut Fields, name: FieldName) -> Vec<u8> {
    let mut list = Vec::new();
    for line in fields.all(name).filter(|line| !line.is_empty()) {
        list.extend_from_slice(line);
        list.extend_from_slice(b", ");
    }
    fields.remove(name);
    list
}

fn scheme(peer: &Peer) -> &'static [u8] {
    if peer.tls { b"https" } else { b"http" }
}

/// Adds our member to Forwarded (RFC 7239).
fn forwarded(fields: &mut Fields, peer: &Peer) {
    let mut member = take_list(fields, FieldName::Forwarded);
    let quote: (&[u8], &[u8]) = if peer.ip.contains(':') { (b"\"[", b"]\"") } else { (b"", b"") };
    for part in [b"for=", quote.0, peer.ip.as_bytes(), quote.1, b";proto=", scheme(peer)] {
        member.extend_from_slice(part);
    }
    if let Some(host) = fields.get(FieldName::Host) {
        for part in [&b";host=\""[..], host, b"\""] {
            member.extend_from_slice(part);
        }
    }
    fields.push(b"Forwarded", &member);
}

/// Refuses a path that would lead out of where a rewriting route puts it: `..` behind a prefix means
/// something else in front of one.
///
/// # Errors
/// `BadRequest`.
pub fn check_path(head: &RequestHead, route: &Route) -> Result<(), Fault> {
    if route.strip.is_none() && route.prepend.is_none() {
        return Ok(());
    }
    if head.path().split(|&b| b == b'/').any(is_dots) {
        let detail = "a dot segment in a path that is rewritten";
        return Err(Fault::new(FaultKind::BadRequest, detail));
    }
    Ok(())
}

/// Is this segment `.` or `..`, however it is spelled (RFC 3986 §5.2.4, §6.2.2.2)?
fn is_dots(mut segment: &[u8]) -> bool {
    let mut dots = 0;
    while !segment.is_empty() {
        segment = match segment {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return false,
        };
        dots += 1;
    }
    matches!(dots, 1 | 2)
}

/// Takes `strip` off the front of the path and puts `prepend` there.
fn rewrite_path(head: &mut RequestHead, route: &Route) {
    if route.strip.is_none() && route.prepend.is_none() {
        return;
    }
    let mut target = head.target();
    if let Some(strip) = &route.strip {
        let rest = target.strip_prefix(strip.as_bytes());
        // Only whole segments: `/api` is no prefix of `/apiary`.
        target = match rest {
            Some(rest) if rest.is_empty() || matches!(rest[0], b'/' | b'?') => rest,
            _ => target,
        };
    }
    let prepend = route.prepend.as_deref().unwrap_or_default().as_bytes();
    let mut made = Vec::with_capacity(prepend.len() + target.len() + 1);
    made.extend_from_slice(prepend);
    // An absolute path is never empty.
    if made.is_empty() && !target.starts_with(b"/") {
        made.push(b'/');
    }
    made.extend_from_slice(target);
    head.set_target(&made);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(target: &str, strip: Option<&str>, prepend: Option<&str>) -> String {
        let mut head = RequestHead::build(Version::Http11, b"GET", target.as_bytes());
        let pattern = settings::pattern::parse("*").unwrap();
        let rules = cache::settings::Rules::standard();
        let route = Route {
            strip: strip.map(Into::into),
            prepend: prepend.map(Into::into),
            ..Route::plain(String::new(), pattern, 0, rules)
        };
        rewrite_path(&mut head, &route);
        String::from_utf8(head.target().to_vec()).unwrap()
    }

    #[test]
    fn prefixes_are_whole_segments() {
        for (target, strip, prepend, made) in [
            ("/api/x?q", Some("/api"), None, "/x?q"),
            ("/api", Some("/api"), None, "/"),
            ("/api?q", Some("/api"), None, "/?q"),
            ("/apiary", Some("/api"), None, "/apiary"),
            ("/x", None, Some("/v1"), "/v1/x"),
            ("/api", Some("/api"), Some("/v1"), "/v1"),
            ("/api?q", Some("/api"), Some("/v1"), "/v1?q"),
            ("/api/", Some("/api"), Some("/v1"), "/v1/"),
        ] {
            assert_eq!(rewritten(target, strip, prepend), made, "{target}");
        }
    }

    #[test]
    fn dot_segments_are_seen_through() {
        for segment in [".", "..", "%2e", ".%2E", "%2e%2e"] {
            assert!(is_dots(segment.as_bytes()), "{segment}");
        }
        for segment in ["", "...", "a", ".a", "%2", "%252e"] {
            assert!(!is_dots(segment.as_bytes()), "{segment}");
        }
    }

    #[test]
    fn nominated_fields_go_but_framing_and_host_stay() {
        let mut fields = Fields::new();
        for (name, value) in [
            ("Host", "a"),
            ("Connection", "close, x-secret, Host, content-length"),
            ("X-Secret", "1"),
            ("Content-Length", "0"),
        ] {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        drop_nominated(&mut fields);
        let names: Vec<_> = fields.iter().map(|f| f.name.to_vec()).collect();
        assert_eq!(names, [&b"Host"[..], b"Connection", b"Content-Length"]);
    }

    #[test]
    fn h2c_is_never_passed_on() {
        for (protocol, passed) in
            [("websocket", true), ("h2c", false), ("H2C", false), ("websocket, h2c", false)]
        {
            let mut head = RequestHead::build(Version::Http11, b"GET", b"/");
            head.fields.push(b"Connection", b"Upgrade");
            head.fields.push(b"Upgrade", protocol.as_bytes());
            assert_eq!(wanted_upgrade(&head, Framing::None).is_some(), passed, "{protocol}");
        }
    }
}
