//! Heads between HTTP/2 and the flat field list.
//!
//! HTTP/2 carries the host in `:authority` and splits Cookie into crumbs; the field list has one
//! Host, in front, and one Cookie, as HTTP/1.1 would (RFC 9113 §8.2.3, §8.3.1).

use crate::h1::parse::{bar_trailers, is_host, is_target};
use base::{Fault, FaultKind, FieldName, Fields, RequestHead, ResponseHead, Version};
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::{request, response};

/// A request head from the parts of an HTTP/2 request.
///
/// # Errors
/// `BadRequest`, `TooManyFields`, `BadExpectation`, `ConnectRefused`.
pub fn request(parts: &request::Parts, fields_max: usize) -> Result<RequestHead, Fault> {
    let bad = |detail: &'static str| Fault::new(FaultKind::BadRequest, detail);
    if parts.headers.len() > fields_max {
        let detail = "more fields than limits.fields allows";
        return Err(Fault::new(FaultKind::TooManyFields, detail));
    }
    if parts.headers.get_all(http::header::CONTENT_LENGTH).iter().count() > 1 {
        return Err(bad("more than one content-length"));
    }
    if let Some(expect) = parts.headers.get(http::header::EXPECT)
        && !expect.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        let detail = "an expectation other than 100-continue";
        return Err(Fault::new(FaultKind::BadExpectation, detail));
    }
    if parts.method == http::Method::CONNECT {
        let detail = "this gateway is no forward proxy";
        return Err(Fault::new(FaultKind::ConnectRefused, detail));
    }
    let target = parts.uri.path_and_query().map_or("*", |target| target.as_str());
    let target = if target.is_empty() { "/" } else { target };
    if !is_target(target.as_bytes()) {
        return Err(bad("a byte in :path that no URI may hold"));
    }
    let asterisk = target == "*" && parts.method == http::Method::OPTIONS;
    if !target.starts_with('/') && !asterisk {
        return Err(bad("a :path that is no path"));
    }
    let mut head =
        RequestHead::build(Version::Http2, parts.method.as_str().as_bytes(), target.as_bytes());
    let mut hosts = parts.headers.get_all(http::header::HOST).iter();
    let field = hosts.next().map(HeaderValue::as_bytes);
    if hosts.next().is_some() {
        return Err(bad("more than one Host"));
    }
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = match (authority, field) {
        (Some(authority), Some(field)) if !authority.eq_ignore_ascii_case(field) => {
            return Err(bad(":authority contradicts Host"));
        }
        (Some(host), _) | (None, Some(host)) => host,
        (None, None) => return Err(bad("neither :authority nor Host")),
    };
    if !is_host(host) {
        return Err(bad("a malformed :authority"));
    }
    head.add_host(host);
    copy_in(&mut head.fields, &parts.headers);
    Ok(head)
}

/// A response head from the parts of an HTTP/2 response.
pub fn response(parts: &response::Parts) -> ResponseHead {
    let mut head = ResponseHead::build(parts.status.as_u16());
    head.version = Version::Http2;
    copy_in(&mut head.fields, &parts.headers);
    head
}

/// Trailer fields from HTTP/2.
pub fn trailers_in(map: &HeaderMap) -> Fields {
    let mut fields = Fields::new();
    copy_in(&mut fields, map);
    bar_trailers(&mut fields);
    fields
}

fn copy_in(fields: &mut Fields, map: &HeaderMap) {
    let mut cookies = Vec::new();
    for (name, value) in map {
        if name == http::header::COOKIE {
            if !cookies.is_empty() {
                cookies.extend_from_slice(b"; ");
            }
            cookies.extend_from_slice(value.as_bytes());
        } else if name != http::header::HOST {
            fields.push(name.as_str().as_bytes(), value.as_bytes().trim_ascii());
        }
    }
    if !cookies.is_empty() {
        fields.push(b"cookie", cookies.trim_ascii());
    }
}

/// An HTTP/2 request from a request head. The scheme is the one that the connection speaks.
///
/// # Errors
/// `BadRequest` for what HTTP/2 cannot carry.
pub fn request_out(head: &RequestHead, tls: bool) -> Result<http::Request<()>, Fault> {
    let carry = |error: http::Error| {
        Fault::new(FaultKind::BadRequest, "HTTP/2 cannot carry this head").because(error)
    };
    let authority = head.fields.get(FieldName::Host).unwrap_or_default();
    let authority = String::from_utf8_lossy(authority).into_owned();
    let target = String::from_utf8_lossy(head.target()).into_owned();
    let uri = http::Uri::builder()
        .scheme(if tls { "https" } else { "http" })
        .authority(authority)
        .path_and_query(target)
        .build()
        .map_err(carry)?;
    let mut request = http::Request::builder()
        .method(head.method())
        .uri(uri)
        .version(http::Version::HTTP_2)
        .body(())
        .map_err(carry)?;
    copy_out(request.headers_mut(), &head.fields);
    Ok(request)
}

/// An HTTP/2 response from a response head, with this declared length.
pub fn response_out(head: &ResponseHead, length: Option<u64>) -> http::Response<()> {
    let mut response = http::Response::new(());
    *response.status_mut() =
        http::StatusCode::from_u16(head.status).unwrap_or(http::StatusCode::BAD_GATEWAY);
    copy_out(response.headers_mut(), &head.fields);
    if let Some(length) = length {
        response.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
    }
    response
}

/// Trailer fields for HTTP/2.
pub fn trailers_out(fields: &Fields) -> HeaderMap {
    let mut map = HeaderMap::new();
    copy_out(&mut map, fields);
    map
}

/// Copies all but what HTTP/2 expresses by other means (RFC 9113 §8.2.2).
fn copy_out(map: &mut HeaderMap, fields: &Fields) {
    for field in fields.iter() {
        let barred = matches!(
            field.known,
            FieldName::Host
                | FieldName::Connection
                | FieldName::KeepAlive
                | FieldName::ProxyConnection
                | FieldName::TransferEncoding
                | FieldName::Upgrade
                | FieldName::ContentLength
        );
        if barred {
            continue;
        }
        let name = HeaderName::from_bytes(field.name);
        let value = HeaderValue::from_bytes(field.value);
        if let (Ok(name), Ok(value)) = (name, value) {
            map.append(name, value);
        }
    }
}
