//! Heads from bytes: strict, in one pass, into the flat field list of `base`.
//!
//! A hand-written parser, because half of what a request costs us in user time is its two heads
//! (docs/decisions/0002). It reads a byte of a name by table and eight bytes of a value at a time, and
//! accepts a subset of what `httparse` accepts: the tests hold it against that crate on arbitrary
//! bytes. What `httparse` lets pass and we do not: line ends without CR, targets with `#`, `\` or
//! bytes outside printable ASCII, a Host that is missing, repeated, empty or not a host, an absolute
//! target that contradicts it (RFC 9112 §3, RFC 9110 §7.2). After a head has been parsed its target
//! is in origin form or `*`, and its one Host is what the client asked for.

use base::field::{Names, Span, TOKEN_BYTES};
use base::{Fault, FaultKind, FieldName, Fields, RequestHead, ResponseHead, Version};

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

/// Why bytes are no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// What is malformed.
    Malformed(&'static str),
    /// A version other than HTTP/1.0 and HTTP/1.1.
    Version,
    /// More fields than allowed.
    TooMany,
    /// Nothing is wrong so far, but more bytes are needed.
    Partial,
}

/// What is wrong with a line that ends in LF alone.
const BARE_LF: &str = "a line that ends without CR";

/// A request head from the front of `data`.
///
/// # Errors
/// `BadRequest`, `BadVersion`, `TooManyFields`.
pub fn request(data: &[u8], fields_max: usize) -> Result<Whole<RequestHead>, Fault> {
    match try_request(data, fields_max) {
        Ok((head, length)) => Ok(Some((settle(head)?, length))),
        Err(Wrong::Partial) => Ok(None),
        Err(Wrong::Malformed(detail)) => Err(bad(detail)),
        Err(Wrong::Version) => Err(Fault::new(FaultKind::BadVersion, "not HTTP/1.0 or HTTP/1.1")),
        Err(Wrong::TooMany) => {
            let detail = "more fields than limits.fields allows";
            Err(Fault::new(FaultKind::TooManyFields, detail))
        }
    }
}

fn try_request(data: &[u8], fields_max: usize) -> Result<(RequestHead, usize), Wrong> {
    let method = token_end(data, 0);
    match data.get(method) {
        Some(b' ') if method > 0 => {}
        None => return Err(Wrong::Partial),
        Some(_) => return Err(Wrong::Malformed("a malformed request line")),
    }
    let start = method + 1;
    let target = data[start..].iter().position(|&b| !b.is_ascii_graphic());
    let target = start + target.ok_or(Wrong::Partial)?;
    match data[target] {
        b' ' if target > start => {}
        b' ' | b'\r' | b'\n' => return Err(Wrong::Malformed("a malformed request line")),
        _ => return Err(Wrong::Malformed(BAD_TARGET)),
    }
    let (version, line) = version(data, target + 1)?;
    let line = end_of_line(data, line)?;
    let (fields, length) = fields(data, line, fields_max)?;
    let (method, target) = (Span::new(0, method), Span::new(start, target));
    Ok((RequestHead::received(version, method, target, line, fields), length))
}

/// What is wrong with a target that holds what no URI may.
const BAD_TARGET: &str = "a byte in the target that no URI may hold";

/// A response head from the front of `data`.
///
/// # Errors
/// `BadResponse`.
pub fn response(data: &[u8], fields_max: usize) -> Result<Whole<ResponseHead>, Fault> {
    let detail = match try_response(data, fields_max) {
        Ok(whole) => return Ok(Some(whole)),
        Err(Wrong::Partial) => return Ok(None),
        Err(Wrong::Malformed(detail)) => detail,
        Err(Wrong::Version) => "not HTTP/1.0 or HTTP/1.1",
        Err(Wrong::TooMany) => "more fields than limits.fields allows",
    };
    Err(Fault::new(FaultKind::BadResponse, detail))
}

fn try_response(data: &[u8], fields_max: usize) -> Result<(ResponseHead, usize), Wrong> {
    let (version, at) = version(data, 0)?;
    let code = match data.get(at..at + 4) {
        Some([b' ', code @ ..]) => code,
        Some(_) => return Err(Wrong::Malformed("a malformed status line")),
        None => return Err(Wrong::Partial),
    };
    if !code.iter().all(u8::is_ascii_digit) || code[0] == b'0' {
        return Err(Wrong::Malformed("a malformed status code"));
    }
    let status = code.iter().fold(0, |sum, digit| sum * 10 + u16::from(digit - b'0'));
    let mut at = at + 4;
    // The reason phrase is optional, and so are some servers' space before its absence.
    let mut reason = Span::default();
    match data.get(at) {
        Some(b' ') => {
            let end = value_end(data, at + 1)?;
            reason = Span::new(at + 1, end);
            at = end;
        }
        Some(b'\r') => {}
        Some(_) => return Err(Wrong::Malformed("a malformed status line")),
        None => return Err(Wrong::Partial),
    }
    let line = end_of_line(data, at)?;
    let (fields, length) = fields(data, line, fields_max)?;
    // RFC 9112 §4: the space belongs to the line even where the phrase is empty.
    let line = if data.get(12) == Some(&b' ') { line } else { 0 };
    Ok((ResponseHead::received(version, status, reason, line, fields), length))
}

/// The version at `at`, and where it ends.
fn version(data: &[u8], at: usize) -> Result<(Version, usize), Wrong> {
    const LENGTH: usize = 8;
    let text = &data[at.min(data.len())..];
    match text.get(..LENGTH) {
        Some(b"HTTP/1.1") => Ok((Version::Http11, at + LENGTH)),
        Some(b"HTTP/1.0") => Ok((Version::Http10, at + LENGTH)),
        Some([b'H', b'T', b'T', b'P', b'/', major, b'.', minor])
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            Err(Wrong::Version)
        }
        Some(_) => Err(Wrong::Malformed("a malformed version")),
        None => Err(Wrong::Partial),
    }
}

/// Expects CRLF at `at`; answers where the next line begins.
fn end_of_line(data: &[u8], at: usize) -> Result<usize, Wrong> {
    match (data.get(at), data.get(at + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok(at + 2),
        (None, _) | (Some(b'\r'), None) => Err(Wrong::Partial),
        (Some(b'\n'), _) => Err(Wrong::Malformed(BARE_LF)),
        (Some(_), _) => Err(Wrong::Malformed("a malformed line end")),
    }
}

/// The fields from `at` to the empty line, over all of `data` up to and with that line, and how long
/// that is.
fn fields(data: &[u8], mut at: usize, fields_max: usize) -> Result<(Fields, usize), Wrong> {
    let mut fields = Fields::lent();
    loop {
        match data.get(at) {
            Some(b'\r') => {
                let length = end_of_line(data, at)?;
                fields.fill(&data[..length]);
                return Ok((fields, length));
            }
            Some(_) if fields.len() == fields_max => return Err(Wrong::TooMany),
            Some(_) => {}
            None => return Err(Wrong::Partial),
        }
        let colon = token_end(data, at);
        match data.get(colon) {
            Some(b':') if colon > at => {}
            Some(b'\n') => return Err(Wrong::Malformed(BARE_LF)),
            Some(_) => return Err(Wrong::Malformed("a malformed field name, or a folded line")),
            None => return Err(Wrong::Partial),
        }
        let mut start = colon + 1;
        while matches!(data.get(start), Some(b' ' | b'\t')) {
            start += 1;
        }
        let cr = value_end(data, start)?;
        let mut end = cr;
        while end > start && matches!(data[end - 1], b' ' | b'\t') {
            end -= 1;
        }
        fields.note(&data[at..colon], Span::new(at, colon), Span::new(start, end));
        at = end_of_line(data, cr)?;
    }
}

/// Where the token that begins at `at` ends.
fn token_end(data: &[u8], at: usize) -> usize {
    let rest = data.get(at..).unwrap_or_default();
    at + rest.iter().position(|&b| !TOKEN_BYTES[b as usize]).unwrap_or(rest.len())
}

/// Where the field value, or reason phrase, that begins at `at` ends: at a CR. It may hold anything
/// but control bytes, and of these a tab (RFC 9110 §5.5).
fn value_end(data: &[u8], mut at: usize) -> Result<usize, Wrong> {
    loop {
        at = control(data, at);
        match data.get(at) {
            Some(b'\t') => at += 1,
            Some(b'\r') => return Ok(at),
            Some(b'\n') => return Err(Wrong::Malformed(BARE_LF)),
            Some(_) => return Err(Wrong::Malformed("a control byte in a field value")),
            None => return Err(Wrong::Partial),
        }
    }
}

/// Where the next control byte is, from `at` on; the end if there is none.
fn control(data: &[u8], mut at: usize) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x80 * ONES;
    while let Some(word) = data.get(at..at + 8) {
        let word = u64::from_le_bytes(word.try_into().unwrap_or_default());
        // The classic tests for a byte below n and a zero byte; exact for the lowest byte that they
        // find, which is the one looked at.
        let below_space = word.wrapping_sub(0x20 * ONES) & !word;
        let del = (word ^ (0x7f * ONES)).wrapping_sub(ONES) & !(word ^ (0x7f * ONES));
        let found = (below_space | del) & HIGH;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = data.get(at..).unwrap_or_default();
    at + rest.iter().position(|&b| b < b' ' || b == 0x7f).unwrap_or(rest.len())
}

/// A trailer section from `section`, which ends with its empty line. Fields that would change how a
/// message is framed, routed or authorised may not stand in it and are left out (RFC 9110 §6.5.1).
///
/// # Errors
/// What is wrong, in words.
pub fn trailers(section: &[u8], fields_max: usize) -> Result<Fields, &'static str> {
    let mut fields = match fields(section, 0, fields_max) {
        Ok((fields, length)) if length == section.len() => fields,
        Err(Wrong::TooMany) => return Err("too many trailer fields"),
        Err(Wrong::Malformed(BARE_LF)) => return Err(BARE_LF),
        _ => return Err("a malformed trailer section"),
    };
    bar_trailers(&mut fields);
    Ok(fields)
}

/// Leaves out what may not stand in a trailer section: whatever a room acts on (RFC 9110 §6.5.1).
pub fn bar_trailers(fields: &mut Fields) {
    const ALLOWED: Names = Names::of(&[
        FieldName::Other,
        FieldName::Etag,
        FieldName::LastModified,
        FieldName::CacheStatus,
    ]);
    fields.retain(|field| ALLOWED.has(field.known));
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
            head.add_host(&host);
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
        return Err(bad(BAD_TARGET));
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

/// Bytes of a host name: reg-name of RFC 3986 less the sub-delims that no host name holds.
static HOST_BYTES: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        let b = byte as u8;
        table[byte] =
            b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~' | b'%' | b'!');
        byte += 1;
    }
    table
};

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
        if end == 0 || !host[..end].iter().all(|&b| HOST_BYTES[b as usize]) {
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
    use proptest::prelude::*;

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
    fn values_have_no_white_space_around_them() {
        let head =
            check("GET / HTTP/1.1\r\nHost: \t a \t\r\nX: \r\nY:\r\nZ: b c\t\r\n\r\n").unwrap();
        let values: Vec<_> = head.fields.iter().map(|field| field.value.to_vec()).collect();
        assert_eq!(values, [&b"a"[..], b"", b"", b"b c"]);
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

    /// Bytes that are nearly a head, so that the interesting paths are walked.
    fn nearly_a_head(start: &'static str) -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            4 => Just(b"Host: a\r\n".to_vec()),
            4 => Just(b"X-Y:  some value\t\r\n".to_vec()),
            2 => Just(b"\r\n".to_vec()),
            1 => Just(b"\n".to_vec()),
            1 => Just(b": ".to_vec()),
            1 => Just(b" ".to_vec()),
            1 => proptest::collection::vec(any::<u8>(), 1..4),
        ];
        proptest::collection::vec(piece, 0..8)
            .prop_map(move |pieces| [start.as_bytes(), &pieces.concat()].concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..Default::default() })]

        /// What we take for a head, `httparse` takes for the same head; and we never panic.
        #[test]
        fn a_request_is_what_httparse_reads(data in prop_oneof![
            nearly_a_head("GET /a?b HTTP/1.1\r\n"),
            nearly_a_head("POST / HTTP/1.0\r\n"),
            nearly_a_head(""),
            proptest::collection::vec(any::<u8>(), 0..64),
        ]) {
            let ours = try_request(&data, 16);
            let mut headers = [httparse::EMPTY_HEADER; 16];
            let mut theirs = httparse::Request::new(&mut headers);
            let result = theirs.parse(&data);
            if let Ok((head, length)) = ours {
                prop_assert_eq!(result, Ok(httparse::Status::Complete(length)));
                prop_assert_eq!(head.method(), theirs.method.unwrap().as_bytes());
                prop_assert_eq!(head.target(), theirs.path.unwrap().as_bytes());
                same(&head.fields, theirs.headers)?;
            } else if result.is_err() {
                prop_assert_ne!(ours.err(), None);
            }
        }

        /// The same for responses.
        #[test]
        fn a_response_is_what_httparse_reads(data in prop_oneof![
            nearly_a_head("HTTP/1.1 200 OK\r\n"),
            nearly_a_head("HTTP/1.0 404\r\n"),
            nearly_a_head("HTTP/1.1 "),
            proptest::collection::vec(any::<u8>(), 0..64),
        ]) {
            if let Ok((head, length)) = try_response(&data, 16) {
                let mut headers = [httparse::EMPTY_HEADER; 16];
                let mut theirs = httparse::Response::new(&mut headers);
                prop_assert_eq!(theirs.parse(&data), Ok(httparse::Status::Complete(length)));
                prop_assert_eq!(Some(head.status), theirs.code);
                same(&head.fields, theirs.headers)?;
            }
        }

        /// A head that is cut anywhere is a piece of a head: never taken for whole, never refused.
        #[test]
        fn a_cut_head_is_partial(cut in 0_usize..63) {
            let head = b"GET /a HTTP/1.1\r\nHost: a.example\r\nX-Long-Name: some value\t \r\n\r\n";
            prop_assert_eq!(try_request(&head[..cut], 16).err(), Some(Wrong::Partial));
            prop_assert!(try_request(head, 16).is_ok());
        }

        /// The search for control bytes, against the plain loop.
        #[test]
        fn control_bytes_are_found(data in proptest::collection::vec(any::<u8>(), 0..40)) {
            let plain = data.iter().position(|&b| b < b' ' || b == 0x7f).unwrap_or(data.len());
            prop_assert_eq!(control(&data, 0), plain);
        }
    }

    fn same(ours: &Fields, theirs: &[httparse::Header<'_>]) -> Result<(), TestCaseError> {
        let ours: Vec<_> = ours.iter().map(|f| (f.name.to_vec(), f.value.to_vec())).collect();
        let theirs: Vec<_> =
            theirs.iter().map(|h| (h.name.as_bytes().to_vec(), h.value.to_vec())).collect();
        prop_assert_eq!(ours, theirs);
        Ok(())
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
