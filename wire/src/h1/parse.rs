//! Heads from bytes: strict, on `httparse`, into the flat field list of `base`.
//!
//! What `httparse` lets pass and we do not: line ends without CR, targets with `#`, `\` or bytes
//! outside ASCII, a Host that is missing, repeated, empty or not a host, an absolute target that
//! contradicts it (RFC 9112 §3, RFC 9110 §7.2). After a head has been parsed its target is in origin
//! form or `*`, and its one Host is what the client asked for.

use base::field::Span;
use base::{Fault, FaultKind, FieldName, Fields, RequestHead, ResponseHead, Version};
use httparse::Header;
use std::mem::MaybeUninit;

/// Most fields that are parsed without an allocation of their own.
const USUAL_FIELDS: usize = 64;

/// A head that is whole, and its length; `None` when more bytes are needed.
pub type Whole<T> = Option<(T, usize)>;

/// Where a head ends in the bytes so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It ends before this offset.
    Whole(usize),
    /// Not yet; the next search may start at this offset.
    Partial(usize),
    /// A line ends without CR: refused before anything is made of it.
    BareLf,
}

/// Looks for the empty line that ends a head, beginning at `from`; checks every line end it passes.
pub fn extent(data: &[u8], from: usize) -> Extent {
    for found in memchr::memchr_iter(b'\n', &data[from..]) {
        let at = from + found;
        if at == 0 || data[at - 1] != b'\r' {
            return Extent::BareLf;
        }
        if at == 1 || (at >= 3 && data[at - 2] == b'\n') {
            return Extent::Whole(at + 1);
        }
    }
    Extent::Partial(data.len())
}

fn bad(detail: &'static str) -> Fault {
    Fault::new(FaultKind::BadRequest, detail)
}

/// A request head from the front of `data`.
///
/// # Errors
/// `BadRequest`, `BadVersion`, `TooManyFields`.
pub fn request(data: &[u8], fields_max: usize) -> Result<Whole<RequestHead>, Fault> {
    let mut usual = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
    let mut parsed = httparse::Request::new(&mut []);
    let mut result =
        parsed.parse_with_uninit_headers(data, &mut usual[..USUAL_FIELDS.min(fields_max)]);
    let mut many;
    if result == Err(httparse::Error::TooManyHeaders) && fields_max > USUAL_FIELDS {
        many = vec![MaybeUninit::uninit(); fields_max];
        parsed = httparse::Request::new(&mut []);
        result = parsed.parse_with_uninit_headers(data, &mut many);
    }
    let length = match result {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(request_fault(error)),
    };
    let head = &data[..length];
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version)
    else {
        return Err(bad("the request line is incomplete"));
    };
    let version = version_of(version);
    let fields = collect(head, parsed.headers).ok_or_else(|| bad(BARE_LF))?;
    let span = |text: &str| span_in(head, text.as_bytes());
    let request = RequestHead::new(version, span(method), span(target), fields);
    Ok(Some((settle(request)?, length)))
}

/// What is wrong with a line that ends in LF alone.
const BARE_LF: &str = "a line that ends without CR";

/// A response head from the front of `data`.
///
/// # Errors
/// `BadResponse`.
pub fn response(data: &[u8], fields_max: usize) -> Result<Whole<ResponseHead>, Fault> {
    let mut usual = [const { MaybeUninit::uninit() }; USUAL_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let config = httparse::ParserConfig::default();
    let mut result = config.parse_response_with_uninit_headers(
        &mut parsed,
        data,
        &mut usual[..USUAL_FIELDS.min(fields_max)],
    );
    let mut many;
    if result == Err(httparse::Error::TooManyHeaders) && fields_max > USUAL_FIELDS {
        many = vec![MaybeUninit::uninit(); fields_max];
        parsed = httparse::Response::new(&mut []);
        result = config.parse_response_with_uninit_headers(&mut parsed, data, &mut many);
    }
    let fault = |detail: String| Fault::new(FaultKind::BadResponse, detail);
    let length = match result {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(fault(error.to_string())),
    };
    let head = &data[..length];
    let (Some(version), Some(status)) = (parsed.version, parsed.code) else {
        return Err(fault("the status line is incomplete".into()));
    };
    if status < 100 {
        return Err(fault(format!("{status} is no status code")));
    }
    let fields = collect(head, parsed.headers).ok_or_else(|| fault(BARE_LF.into()))?;
    let reason = parsed.reason.unwrap_or_default();
    let reason = if reason.is_empty() { Span::default() } else { span_in(head, reason.as_bytes()) };
    Ok(Some((ResponseHead::new(version_of(version), status, reason, fields), length)))
}

/// A trailer section from `section`, which ends with its empty line. Fields that would change how a
/// message is framed, routed or authorised may not stand in it and are left out (RFC 9110 §6.5.1).
///
/// # Errors
/// What is wrong, in words.
pub fn trailers(section: &[u8], fields_max: usize) -> Result<Fields, &'static str> {
    if section == b"\r\n" {
        return Ok(Fields::new());
    }
    let mut headers = vec![httparse::EMPTY_HEADER; fields_max];
    let parsed = match httparse::parse_headers(section, &mut headers) {
        Ok(httparse::Status::Complete((length, parsed))) if length == section.len() => parsed,
        Err(httparse::Error::TooManyHeaders) => return Err("too many trailer fields"),
        _ => return Err("a malformed trailer section"),
    };
    let Some(mut fields) = collect(section, parsed) else { return Err(BARE_LF) };
    fields.retain(|field| field.known == FieldName::Other && !is_barred_trailer(field.name));
    Ok(fields)
}

/// May this field not stand in a trailer section? Beside the names in [`FieldName`], none of which
/// may.
fn is_barred_trailer(name: &[u8]) -> bool {
    const BARRED: [&[u8]; 15] = [
        b"authorization",
        b"set-cookie",
        b"content-encoding",
        b"content-type",
        b"content-range",
        b"cache-control",
        b"pragma",
        b"range",
        b"if-match",
        b"if-none-match",
        b"if-modified-since",
        b"if-unmodified-since",
        b"age",
        b"vary",
        b"location",
    ];
    BARRED.iter().any(|barred| name.eq_ignore_ascii_case(barred))
}

fn request_fault(error: httparse::Error) -> Fault {
    use httparse::Error as E;
    match error {
        E::HeaderName => bad("a malformed field name, or a folded line"),
        E::HeaderValue => bad("a control byte in a field value"),
        E::NewLine => bad("a malformed line end"),
        E::Status | E::Token => bad("a malformed request line"),
        E::TooManyHeaders => {
            Fault::new(FaultKind::TooManyFields, "more fields than limits.fields allows")
        }
        E::Version => Fault::new(FaultKind::BadVersion, "not HTTP/1.0 or HTTP/1.1"),
    }
}

const fn version_of(minor: u8) -> Version {
    if minor == 0 { Version::Http10 } else { Version::Http11 }
}

fn span_in(whole: &[u8], part: &[u8]) -> Span {
    let start = part.as_ptr() as usize - whole.as_ptr() as usize;
    Span::new(start, start + part.len())
}

/// The fields of a head or trailer section; `None` if a line of it ends without CR, which `httparse`
/// lets pass.
fn collect(head: &[u8], headers: &[Header<'_>]) -> Option<Fields> {
    let mut fields = Fields::over(head, headers.len());
    for header in headers {
        let name = span_in(head, header.name.as_bytes());
        let before = header.name.as_ptr() as usize - head.as_ptr() as usize;
        if before > 0 && !head[..before].ends_with(b"\r\n") {
            return None;
        }
        let value = header.value.trim_ascii();
        let value = if value.is_empty() { Span::default() } else { span_in(head, value) };
        fields.note(name, value);
    }
    head.ends_with(b"\r\n\r\n").then_some(fields)
}

/// What an absolute target becomes: its origin form, and the Host that HTTP/1.0 left out.
struct Rewrite {
    origin: Vec<u8>,
    host: Option<Vec<u8>>,
}

/// Checks target and Host against each other and brings the target into origin form.
fn settle(mut head: RequestHead) -> Result<RequestHead, Fault> {
    if let Some(rewrite) = check_target(&head)? {
        head.set_target(&rewrite.origin);
        if let Some(host) = rewrite.host {
            head.fields.push(b"Host", &host);
        }
    }
    Ok(head)
}

fn check_target(head: &RequestHead) -> Result<Option<Rewrite>, Fault> {
    let mut hosts = head.fields.all(FieldName::Host);
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => Some(host),
        (Some(_), Some(_)) => return Err(bad("more than one Host")),
        // RFC 9112 §3.2: HTTP/1.1 requires one, HTTP/1.0 did not know it.
        (None, _) if head.version == Version::Http10 => None,
        (None, _) => return Err(bad("no Host")),
    };
    if host.is_some_and(|host| !is_host(host)) {
        return Err(bad("a malformed Host"));
    }
    if head.method() == b"CONNECT" {
        return Ok(None); // its authority is looked at by nobody: the path refuses it
    }
    let target = head.target();
    if !is_target(target) {
        return Err(bad("a byte in the target that no URI may hold"));
    }
    if target.starts_with(b"/") {
        return Ok(None);
    }
    if target == b"*" {
        let asterisk = head.method() == b"OPTIONS";
        return if asterisk { Ok(None) } else { Err(bad("`*` is for OPTIONS")) };
    }
    let rest =
        strip_scheme(target).ok_or_else(|| bad("a target that is neither a path nor http"))?;
    let end = rest.iter().position(|&b| b == b'/' || b == b'?').unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    if !is_host(authority) {
        return Err(bad("a malformed authority in the target"));
    }
    if host.is_some_and(|host| !host.eq_ignore_ascii_case(authority)) {
        return Err(bad("the target's authority contradicts Host"));
    }
    let mut origin = Vec::with_capacity(rest.len() + 1);
    if !rest.starts_with(b"/") {
        origin.push(b'/');
    }
    origin.extend_from_slice(rest);
    Ok(Some(Rewrite { origin, host: host.is_none().then(|| authority.to_vec()) }))
}

/// Are these bytes that a request target may hold? No fragment, no backslash (which some read as a
/// slash), nothing outside printable ASCII.
pub fn is_target(target: &[u8]) -> bool {
    target.iter().all(|&b| b.is_ascii_graphic() && b != b'#' && b != b'\\')
}

fn strip_scheme(target: &[u8]) -> Option<&[u8]> {
    [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| {
        let (head, rest) = target.split_at_checked(scheme.len())?;
        head.eq_ignore_ascii_case(scheme).then_some(rest)
    })
}

/// Is this `uri-host [ ":" port ]` (RFC 9110 §7.2), with a host that is not empty?
pub fn is_host(host: &[u8]) -> bool {
    let (name, port) = if host.first() == Some(&b'[') {
        let Some(end) = host.iter().position(|&b| b == b']') else { return false };
        let inside = &host[1..end];
        let legal = |&b: &u8| b.is_ascii_hexdigit() || b == b':' || b == b'.';
        if inside.is_empty() || !inside.iter().all(legal) {
            return false;
        }
        host.split_at(end + 1)
    } else {
        let end = host.iter().position(|&b| b == b':').unwrap_or(host.len());
        let legal = |&b: &u8| {
            // reg-name of RFC 3986 less the sub-delims that no host name holds.
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'%' | b'!')
        };
        if end == 0 || !host[..end].iter().all(legal) {
            return false;
        }
        host.split_at(end)
    };
    match port {
        [] => !name.is_empty(),
        [b':', digits @ ..] => digits.len() <= 5 && digits.iter().all(u8::is_ascii_digit),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<RequestHead, FaultKind> {
        let whole = request(text.as_bytes(), 100).map_err(|fault| fault.kind)?;
        let (head, length) = whole.expect("a whole head");
        assert_eq!(length, text.len(), "{text:?}");
        Ok(head)
    }

    #[test]
    fn a_head_ends_at_its_empty_line() {
        assert_eq!(extent(b"GET / HTTP/1.1\r\n\r\nrest", 0), Extent::Whole(18));
        assert_eq!(extent(b"GET / HTTP/1.1\r\n", 0), Extent::Partial(16));
        assert_eq!(extent(b"GET / HTTP/1.1\r\n\r\n", 16), Extent::Whole(18));
        assert_eq!(extent(b"GET / HTTP/1.1\n\n", 0), Extent::BareLf);
        assert_eq!(extent(b"GET / HTTP/1.1\r\na: b\n\r\n", 0), Extent::BareLf);
        assert_eq!(extent(b"\r\n", 0), Extent::Whole(2));
    }

    #[test]
    fn line_ends_are_crlf_everywhere() {
        for text in [
            "GET / HTTP/1.1\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\n",
        ] {
            assert_eq!(check(text).unwrap_err(), FaultKind::BadRequest, "{text:?}");
        }
    }

    #[test]
    fn absolute_targets_become_origin_form() {
        for (target, host, path) in [
            ("http://a.example/x?y", "a.example", "/x?y"),
            ("HTTP://A.example", "a.example", "/"),
            ("https://a.example:8443?q", "a.example:8443", "/?q"),
        ] {
            let head = check(&format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")).unwrap();
            assert_eq!(head.target(), path.as_bytes());
        }
        let head = check("GET http://a.example/x HTTP/1.0\r\n\r\n").unwrap();
        assert_eq!(head.fields.get(FieldName::Host), Some(&b"a.example"[..]));
    }

    #[test]
    fn hosts_are_hosts() {
        for host in ["a", "a.b:80", "[::1]", "[::1]:80", "1.2.3.4", "a_b", "a:"] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in
            ["", ":80", "a,b", "u@a", "a/b", "a b", "[]", "[::1", "a:b", "a:123456", "[::1]x"]
        {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn many_fields_are_parsed_up_to_the_limit() {
        let head = |n: usize| {
            let fields = "x: y\r\n".repeat(n - 1);
            format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
        };
        assert_eq!(check(&head(100)).unwrap().fields.len(), 100);
        assert_eq!(check(&head(101)).unwrap_err(), FaultKind::TooManyFields);
    }

    #[test]
    fn barred_trailers_are_left_out() {
        let section =
            b"X-Sum: 1\r\nContent-Length: 5\r\nAuthorization: x\r\nhost: a\r\nEtag: q\r\n\r\n";
        let fields = trailers(section, 10).unwrap();
        let names: Vec<_> = fields.iter().map(|f| f.name.to_vec()).collect();
        assert_eq!(names, [b"X-Sum".to_vec(), b"Etag".to_vec()]);
    }
}
