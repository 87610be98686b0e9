//! Field values: lists, names, hosts, framing, and heads that come from HTTP/2.

use crate::{heads, show, unframed};
use base::field::{is_name, is_value, members};
use base::{FieldName, Fields, Framing, RequestHead, ResponseHead, Version};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use wire::h1::{encode, framing, parse};
use wire::h2::convert;

/// Lines: the target, then `name: value` each. As an HTTP/1 head, as an HTTP/2 head, one by one.
pub fn field_values(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let target = lines.next().unwrap_or_default();
    let fields: Vec<(&[u8], &[u8])> = lines
        .take(24)
        .map(|line| {
            let colon = line.iter().skip(1).position(|&b| b == b':');
            let colon = colon.map_or(line.len(), |at| at + 1);
            (&line[..colon], line.get(colon + 1..).unwrap_or_default().trim_ascii())
        })
        .collect();
    for (name, value) in &fields {
        one_field(name, value);
    }
    as_h1(&fields, data);
    as_h2_request(target, &fields, data);
    as_h2_response(&fields, data);
}

fn one_field(name: &[u8], value: &[u8]) {
    let lower = name.to_ascii_lowercase();
    let naive = FieldName::ALL.iter().find(|known| known.text().as_bytes() == lower);
    if is_name(name) {
        let known = FieldName::classify(name);
        assert_eq!(known, naive.copied().unwrap_or(FieldName::Other), "{}", show(name));
    }
    for member in members(value) {
        assert!(!member.is_empty() && !member.contains(&b','), "{}", show(value));
        assert_eq!(member, member.trim_ascii(), "{}", show(value));
    }
    // A host holds nothing that could end a field, a line, a list or a quoted string.
    if parse::is_host(value) {
        assert!(value.iter().all(|b| b.is_ascii_graphic() && !b"\",;/\\@?#<>".contains(b)));
        assert!(
            value.len() < 6 || value.iter().filter(|&&b| b == b':').count() < 2 || value[0] == b'['
        );
    }
}

/// Fields in an HTTP/1 head: framed one way or refused, and sent on as framed.
fn as_h1(fields: &[(&[u8], &[u8])], from: &[u8]) {
    let legal = |(name, value): &&(&[u8], &[u8])| is_name(name) && is_value(value);
    let build = |into: &mut Fields| {
        for (name, value) in fields.iter().filter(legal) {
            into.push(name, value);
        }
    };
    let lines = |name: &[u8]| {
        let same = fields.iter().filter(legal).filter(|f| f.0.eq_ignore_ascii_case(name));
        same.map(|f| f.1).collect::<Vec<_>>()
    };
    let (lengths, codings) = (lines(b"content-length"), lines(b"transfer-encoding"));
    for version in [Version::Http10, Version::Http11] {
        let mut head = RequestHead::build(version, b"POST", b"/");
        head.fields.push(b"Host", b"a");
        build(&mut head.fields);
        match framing::of_request(&head) {
            Ok(Framing::None) => {
                assert!(lengths.is_empty() && codings.is_empty(), "{}", show(from))
            }
            Ok(Framing::Length(n)) => {
                assert!(lengths.len() == 1 && codings.is_empty(), "{}", show(from));
                let digits = lengths[0].iter().skip_while(|&&b| b == b'0').copied().collect();
                let digits = String::from_utf8(digits).expect("digits");
                let digits = if digits.is_empty() { "0" } else { &digits };
                assert_eq!(digits, n.to_string(), "{}", show(from));
            }
            Ok(Framing::Chunked) => {
                assert!(lengths.is_empty() && version == Version::Http11, "{}", show(from));
                let sole = codings.len() == 1 && codings[0].eq_ignore_ascii_case(b"chunked");
                assert!(sole, "{}", show(from));
            }
            Ok(Framing::Close) => panic!("a request that ends with its connection: {}", show(from)),
            Err(_) => continue,
        }
        if head.fields.all(FieldName::Host).count() == 1 {
            heads::forward_request(head, from);
        }
    }
    for status in [200, 204, 304, 103] {
        let mut head = ResponseHead::build(status);
        build(&mut head.fields);
        if let Ok(framed) = framing::of_response(&head, false) {
            let mut out = Vec::new();
            let sent = if framed == Framing::Close { Framing::Chunked } else { framed };
            encode::response(&mut out, &head, sent, encode::Connection::Silent);
            let again = parse::response(&out, 64).expect("a head").expect("a whole head").0;
            let reframed = framing::of_response(&again, false).expect("our own framing");
            assert_eq!(reframed, sent, "{}", show(from));
            assert_eq!(unframed(&again.fields), unframed(&head.fields), "{}", show(from));
        }
    }
}

fn map(fields: &[(&[u8], &[u8])]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in fields {
        // `h2` hands over names in lower case only.
        let name = HeaderName::from_bytes(&name.to_ascii_lowercase());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value)) {
            map.append(name, value);
        }
    }
    map
}

/// A head that came in HTTP/2: what is accepted goes on in HTTP/1 and in HTTP/2 as it was understood.
fn as_h2_request(target: &[u8], fields: &[(&[u8], &[u8])], from: &[u8]) {
    let mut parts = target.splitn(3, |&b| b == b' ');
    let (method, path, authority) =
        (parts.next().unwrap_or_default(), parts.next().unwrap_or(b"/"), parts.next());
    let Ok(method) = http::Method::from_bytes(method) else { return };
    let mut uri = http::Uri::builder();
    if let Some(authority) = authority {
        uri = uri.scheme("https").authority(authority);
    }
    let Ok(uri) = uri.path_and_query(path).build() else { return };
    let Ok(request) = http::Request::builder().method(method).uri(uri).body(()) else { return };
    let (mut parts, ()) = request.into_parts();
    parts.headers = map(fields);
    let Ok(head) = convert::request(&parts, 32) else { return };
    let hosts: Vec<_> = head.fields.all(FieldName::Host).collect();
    assert!(hosts.len() == 1 && parse::is_host(hosts[0]), "{}", show(from));
    assert!(head.fields.all(FieldName::Cookie).count() <= 1, "{}", show(from));
    for field in head.fields.iter() {
        assert!(is_name(field.name) && is_value(field.value), "{}", show(from));
    }
    // Fields of one connection do not reach us: `h2` refuses them, and `forward` drops them.
    heads::forward_request(head.clone(), from);
    let out = convert::request_out(&head, true);
    // `http::Uri` takes no `*` beside an authority and no `%` in one; such a request is refused.
    let Ok(out) = out else {
        let uncarried = head.target() == b"*" || hosts[0].contains(&b'%');
        assert!(uncarried, "HTTP/2 to HTTP/2: {}", show(from));
        return;
    };
    let (parts, ()) = out.into_parts();
    let again = convert::request(&parts, 64).expect("what we send is a head");
    assert_eq!(again.method(), head.method(), "{}", show(from));
    assert_eq!(again.target(), head.target(), "{}", show(from));
    assert_eq!(sorted(&again.fields), sorted(&head.fields), "{}", show(from));
}

/// Without what HTTP/2 says by other means; the order of different names may change in a map.
fn sorted(fields: &Fields) -> Vec<crate::Field> {
    use FieldName as N;
    let barred = [N::Connection, N::KeepAlive, N::ProxyConnection, N::Upgrade];
    let kept = fields.iter().filter(|f| !barred.contains(&f.known));
    let kept: std::collections::HashSet<_> = kept.map(|f| f.name.to_vec()).collect();
    let mut all = unframed(fields);
    all.retain(|(name, _)| kept.contains(name));
    all.sort_by(|a, b| a.0.cmp(&b.0)); // stable: the order of one name's lines counts
    all
}

fn as_h2_response(fields: &[(&[u8], &[u8])], from: &[u8]) {
    for status in [200_u16, 304, 103] {
        let mut response = http::Response::new(());
        *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
        *response.headers_mut() = map(fields);
        let (parts, ()) = response.into_parts();
        let head = convert::response(&parts);
        let mut out = Vec::new();
        encode::response(&mut out, &head, Framing::Length(3), encode::Connection::Close);
        let again = parse::response(&out, 64).expect("a head").expect("a whole head").0;
        assert_eq!(again.status, status, "{}", show(from));
        let mut expected = unframed(&head.fields);
        expected.push((b"Connection".to_vec(), b"close".to_vec()));
        assert_eq!(unframed(&again.fields), expected, "{}", show(from));
        let _sent = convert::response_out(&again, Some(3));
    }
    let trailers = convert::trailers_in(&map(fields));
    let _sent = convert::trailers_out(&trailers);
    let mut out = Vec::new();
    encode::trailers(&mut out, &trailers);
    assert!(parse::trailers(&out, 64).is_ok(), "{} from {}", show(&out), show(from));
}
