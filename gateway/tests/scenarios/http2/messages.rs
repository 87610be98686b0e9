//! Messages of HTTP/2 on their way to an origin that speaks HTTP/1: what would mean something else
//! there is refused (RFC 9113 §8.2, §8.3, §10.3), the rest arrives in normal form.

use super::{
    DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, block, frame, get, open, until,
};
use crate::stage::{Form, bare, chunked, plain, sized, stage};
use scenario::message::Framing;

enum Fate {
    /// The stream, or the connection, ends in an error; the origin saw no whole request.
    Refused,
    /// Passed on in this form.
    Forwarded(Form),
    /// Either is right.
    Either(Form),
}

use Fate::{Either, Forwarded, Refused};

#[track_caller]
fn play(fields: &[(&str, &str)], body: Option<&str>, fate: &Fate) {
    let stage = stage();
    let mut client = open(&stage.gateway);
    let end = if body.is_none() { END_STREAM } else { 0 };
    client.send(frame(HEADERS, END_HEADERS | end, 1, block(fields.iter().copied())));
    if let Some(body) = body {
        client.send(frame(DATA, END_STREAM, 1, body));
    }
    let answer = until(&mut client, |frame| {
        frame.kind == GOAWAY || frame.stream == 1 && matches!(frame.kind, HEADERS | RST_STREAM)
    });
    let passed = answer.as_ref().is_some_and(super::Frame::is_ok);
    assert_eq!(stage.gateway.get("/fence").status, 200);
    let problems = stage.origin.problems();
    assert!(problems.is_empty(), "{}", stage.origin.report());
    let mut seen = stage.origin.requests();
    seen.retain(|request| request.target != "/fence");
    match fate {
        Forwarded(_) if !passed => panic!("it was refused: {answer:?}"),
        Refused if passed => panic!("it was passed on\n{}", stage.origin.report()),
        Forwarded(form) | Either(form) if passed => {
            assert_eq!(seen.len(), 1, "{}", stage.origin.report());
            let request = &seen[0];
            assert_eq!(in_order(&plain(&request.head)), in_order(&form.head));
            assert_eq!((request.framing, request.text().as_str()), (form.framing, form.body));
        }
        // A length of 0 is believed before a body that contradicts it can be seen; it then goes
        // nowhere.
        Either(form) if form.framing == Framing::Length(0) => {
            assert!(seen.iter().all(|r| r.body.is_empty()), "{}", stage.origin.report());
        }
        _ => assert!(!seen.iter().any(|r| r.whole), "{}", stage.origin.report()),
    }
}

/// The `h2` crate gathers fields by name and knows no case; both mean nothing (RFC 9110 §5.3). The
/// order among fields of one name does.
fn in_order(head: &str) -> Vec<String> {
    let mut lines: Vec<_> = head.lines().map(str::to_owned).collect();
    let name = |line: &str| line.split(':').next().unwrap_or_default().to_lowercase();
    lines[1..].sort_by_key(|line| name(line));
    for line in &mut lines[1..] {
        let lower = name(line);
        line.replace_range(..lower.len(), &lower);
    }
    lines
}

/// Makes a test of each row: `name: fields, body => fate;`.
macro_rules! messages {
    ($($name:ident: $fields:expr, $body:expr => $fate:expr;)*) => {
        $(#[test]
        fn $name() {
            play(&$fields, $body, &$fate);
        })*
    };
}

/// A GET with more fields.
fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&get("/case")[..], more].concat()
}

/// A POST with more fields.
fn post<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut fields = with(more);
    fields[0].1 = "POST";
    fields
}

/// A GET with this pseudo-header field in the place of the usual one.
fn but<'a>(name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    get("/case").map(|field| if field.0 == name { (name, value) } else { field }).to_vec()
}

/// A GET without this pseudo-header field.
fn without(name: &str) -> Vec<(&str, &str)> {
    get("/case").into_iter().filter(|field| field.0 != name).collect()
}

const GET: &str = "GET /case HTTP/1.1\r\nhost: shop.test\r\n";
const POST: &str = "POST /case HTTP/1.1\r\nhost: shop.test\r\n";

// Fields that would frame or route the message again in HTTP/1.
messages! {
    connection: with(&[("connection", "close")]), None => Refused;
    keep_alive: with(&[("keep-alive", "timeout=5")]), None => Refused;
    proxy_connection: with(&[("proxy-connection", "keep-alive")]), None => Refused;
    transfer_encoding: post(&[("transfer-encoding", "chunked")]), Some("0\r\n\r\nGET /inner HTTP/1.1\r\n\r\n") => Refused;
    transfer_encoding_of_a_get: with(&[("transfer-encoding", "chunked")]), None => Refused;
    upgrade: with(&[("upgrade", "h2c")]), None => Refused;
    te_gzip: with(&[("te", "gzip")]), None => Refused;
    name_in_upper_case: with(&[("X-Case", "1")]), None => Refused;
    name_with_space: with(&[("a b", "1")]), None => Refused;
    name_with_colon: with(&[("a:b", "1")]), None => Refused;
    name_with_crlf: with(&[("a\r\nb", "1")]), None => Refused;
    name_with_nul: with(&[("a\0", "1")]), None => Refused;
    name_with_high_byte: with(&[("a\u{e9}", "1")]), None => Refused;
    name_empty: with(&[("", "1")]), None => Refused;
    name_that_hides_a_field: with(&[("a: b\r\ntransfer-encoding", "chunked")]), None => Refused;
    value_with_crlf: with(&[("a", "b\r\ntransfer-encoding: chunked")]), None => Refused;
    value_with_crlf_crlf: with(&[("a", "b\r\n\r\nGET /inner HTTP/1.1\r\nhost: shop.test\r\n\r\n")]), None => Refused;
    value_with_lf: with(&[("a", "b\nc: d")]), None => Refused;
    value_with_cr: with(&[("a", "b\rc: d")]), None => Refused;
    value_with_nul: with(&[("a", "b\0c")]), None => Refused;
    value_with_control: with(&[("a", "b\u{1}c")]), None => Refused;
    value_with_white_space_around: with(&[("a", " b ")]), None => Either(bare(&format!("{GET}a: b\r\n")));
    host_that_contradicts: with(&[("host", "other.test")]), None => Refused;
    host_twice: with(&[("host", "shop.test"), ("host", "other.test")]), None => Refused;
    host_that_agrees: with(&[("host", "shop.test")]), None => Forwarded(bare(GET));
    host_instead_of_authority: {
        let mut fields = without(":authority");
        fields.push(("host", "shop.test"));
        fields
    }, None => Forwarded(bare(GET));
}

// Pseudo-header fields.
messages! {
    method_missing: without(":method"), None => Refused;
    scheme_missing: without(":scheme"), None => Refused;
    path_missing: without(":path"), None => Refused;
    authority_missing: without(":authority"), None => Refused;
    authority_empty: but(":authority", ""), None => Refused;
    authority_with_userinfo: but(":authority", "user@shop.test"), None => Refused;
    authority_with_path: but(":authority", "shop.test/x"), None => Refused;
    authority_with_crlf: but(":authority", "shop.test\r\na: b"), None => Refused;
    path_empty: but(":path", ""), None => Refused;
    path_without_slash: but(":path", "case"), None => Refused;
    path_absolute: but(":path", "http://other.test/case"), None => Refused;
    path_with_space: but(":path", "/case HTTP/1.1"), None => Refused;
    path_with_crlf: but(":path", "/case HTTP/1.1\r\nhost: other.test\r\n\r\n"), None => Refused;
    path_with_fragment: but(":path", "/case#a"), None => Either(bare(GET));
    path_with_backslash: but(":path", "/a\\b"), None => Refused;
    path_with_tab: but(":path", "/a\tb"), None => Refused;
    path_with_nul: but(":path", "/a\0b"), None => Refused;
    path_with_high_byte: but(":path", "/caf\u{e9}"), None => Refused;
    path_asterisk_of_a_get: but(":path", "*"), None => Refused;
    path_twice: with(&[(":path", "/other")]), None => Refused;
    method_twice: with(&[(":method", "POST")]), None => Refused;
    authority_twice: with(&[(":authority", "other.test")]), None => Refused;
    pseudo_after_a_field: [("a", "b"), get("/case")[0], get("/case")[1], get("/case")[2], get("/case")[3]], None => Refused;
    pseudo_unknown: with(&[(":other", "x")]), None => Refused;
    pseudo_of_an_answer: with(&[(":status", "200")]), None => Refused;
    method_with_space: but(":method", "GET /x HTTP/1.1"), None => Refused;
    method_with_crlf: but(":method", "GET / HTTP/1.1\r\nhost: a\r\n\r\nGET"), None => Refused;
    method_empty: but(":method", ""), None => Refused;
    method_connect: but(":method", "CONNECT"), None => Refused;
    scheme_with_crlf: but(":scheme", "http\r\na: b"), None => Refused;
    scheme_unknown: but(":scheme", "gopher"), None => Either(bare(GET));
    method_unknown: but(":method", "BREW"), None => Forwarded(bare("BREW /case HTTP/1.1\r\nhost: shop.test\r\n"));
}

// Bodies and their length.
messages! {
    body_without_length: post(&[]), Some("hello") => Forwarded(chunked(POST, "hello"));
    body_of_its_length: post(&[("content-length", "5")]), Some("hello") => Forwarded(sized(POST, "hello"));
    body_shorter_than_its_length: post(&[("content-length", "6")]), Some("hello") => Refused;
    body_longer_than_its_length: post(&[("content-length", "4")]), Some("hello") => Refused;
    body_absent_with_length: post(&[("content-length", "5")]), None => Refused;
    body_with_length_zero: post(&[("content-length", "0")]), Some("GET /inner HTTP/1.1\r\n\r\n")
        => Either(sized(POST, ""));
    length_twice: post(&[("content-length", "5"), ("content-length", "5")]), Some("hello") => Refused;
    length_twice_different: post(&[("content-length", "5"), ("content-length", "6")]), Some("hello") => Refused;
    length_listed: post(&[("content-length", "5, 5")]), Some("hello") => Refused;
    length_signed: post(&[("content-length", "+5")]), Some("hello") => Refused;
    length_as_a_word: post(&[("content-length", "five")]), Some("hello") => Refused;
    length_empty: post(&[("content-length", "")]), Some("hello") => Refused;
}

// What HTTP/1 writes differently.
messages! {
    cookie_crumbs_are_joined: with(&[("cookie", "a=b"), ("cookie", "c=d"), ("x", "y")]), None
        => Forwarded(bare(&format!("{GET}cookie: a=b; c=d\r\nx: y\r\n")));
    te_trailers_is_kept: with(&[("te", "trailers")]), None => Forwarded(bare(&format!("{GET}te: trailers\r\n")));
    fields_of_one_name_keep_their_order: with(&[("b", "1"), ("a", "2"), ("b", "3")]), None
        => Forwarded(bare(&format!("{GET}b: 1\r\na: 2\r\nb: 3\r\n")));
}
