//! What an origin may answer, and what becomes of it: delivered, refused as 502, or cut.
//!
//! RFC 9112 §4, §6.3 and §8; RFC 9110 §15. A malformed answer never reaches the client in a form it
//! might read differently, and the connection it came on is never used again.

use crate::stage::{Stage, before, stage};
use scenario::message::Framing;
use scenario::origin::{Action, answer, send};
use scenario::reading::Problem;
use scenario::{Client, Gate, Origin, Response};

/// What becomes of an answer.
enum Fate {
    /// The client gets 502 as problem+json; the origin's connection is not used again.
    Bad,
    /// The client gets this status and body; whether the origin's connection is used again.
    Good(u16, &'static str, Reuse),
    /// The client gets this status, and then sees that the answer was cut.
    Cut(u16),
    /// Both are right: refused, or delivered with this status and body.
    Either(u16, &'static str),
}

/// Is the origin's connection used for the next request?
#[derive(Clone, Copy, PartialEq)]
enum Reuse {
    /// It must be.
    Yes,
    /// It must not be.
    No,
    /// It may be.
    May,
}

use Fate::{Bad, Cut, Either, Good};
use Reuse::{May, No, Yes};

/// What the origin does after its answer.
#[derive(Clone, Copy, PartialEq)]
enum Then {
    Waits,
    Closes,
}

use Then::{Closes, Waits};

#[track_caller]
fn play(method: &str, bytes: &[u8], then: Then, fate: &Fate) {
    let stage = stage();
    let bytes = bytes.to_vec();
    let script = move |request: &scenario::Request| {
        if request.target != "/case" {
            return scenario::origin::echo_line(request);
        }
        let mut actions = answer(&bytes);
        if then == Closes {
            actions.push(Action::Close);
        }
        actions
    };
    stage.origin.follow(script);
    let mut client = stage.gateway.client();
    client.request(method, "/case");
    match fate {
        Bad => bad(&stage, &mut client, method),
        Good(status, body, reuse) => good(&stage, &mut client, method, (*status, body), *reuse),
        Cut(status) => cut(&stage, &mut client, method, *status),
        Either(status, body) => match client.try_response(method) {
            Ok(r) if r.status == 502 => check_reuse(&stage, No),
            Ok(r) => delivered(&client, &r, *status, body),
            Err((Problem::Bad(what), _)) => client.fail(&what),
            Err((_, None)) => client.fail("it went unanswered"),
            Err((_, Some(_))) => check_reuse(&stage, No),
        },
    }
    assert_eq!(stage.gateway.get("/fence").text(), "GET /fence HTTP/1.1");
}

#[track_caller]
fn bad(stage: &Stage, client: &mut Client, method: &str) {
    let response = client.response(method);
    if response.status != 502 {
        client.fail("it was not refused");
    }
    check_problem(&response, method);
    check_reuse(stage, No);
}

/// A problem document that names its reason and nothing of our insides.
#[track_caller]
pub(crate) fn check_problem(response: &Response, method: &str) {
    assert_eq!(response.field("content-type"), Some("application/problem+json"));
    if method == "HEAD" {
        return;
    }
    let text = response.text();
    let status = format!("\"status\":{}", response.status);
    for part in ["\"type\":", "\"title\":", "\"reason\":\"", &status] {
        assert!(text.replace(": ", ":").contains(part), "no {part} in {text}");
    }
    for part in ["panicked", "src/", ".rs:", "stack"] {
        assert!(!text.contains(part), "{part} in {text}");
    }
}

#[track_caller]
fn good(stage: &Stage, client: &mut Client, method: &str, said: (u16, &str), reuse: Reuse) {
    let response = client.response(method);
    delivered(client, &response, said.0, said.1);
    if !response.closes() {
        let next = client.get("/next");
        if next.text() != "GET /next HTTP/1.1" {
            client.fail("the next answer on the connection is wrong");
        }
    }
    check_reuse(stage, reuse);
}

#[track_caller]
fn delivered(client: &Client, response: &Response, status: u16, body: &str) {
    if response.status != status || response.text() != body {
        client.fail(&format!("expected {status} {body:?}"));
    }
}

#[track_caller]
fn cut(stage: &Stage, client: &mut Client, method: &str, status: u16) {
    // What breaks before any of it was sent on can still be refused, which is better than a cut.
    let (response, problem) = match client.try_response(method) {
        Ok(response) if response.status == 502 => {
            check_problem(&response, method);
            return check_reuse(stage, No);
        }
        Err((problem, Some(response))) => (response, problem),
        Ok(_) => client.fail("the answer was whole, but it should have been cut"),
        Err((problem, None)) => client.fail(&problem.to_string()),
    };
    if response.status != status || matches!(problem, Problem::Late | Problem::Bad(_)) {
        client.fail(&format!("expected a {status} that is cut, got {problem}"));
    }
    check_reuse(stage, No);
}

#[track_caller]
fn check_reuse(stage: &Stage, reuse: Reuse) {
    stage.gateway.get("/again");
    let connection = |target: &str| {
        let seen = stage.origin.requests();
        let found = seen.iter().find(|request| request.target == target);
        found.map(|request| request.connection)
    };
    let same = connection("/case") == connection("/again");
    match reuse {
        Yes => assert!(same, "the connection was not used again\n{}", stage.origin.report()),
        No => assert!(!same, "the connection was used again\n{}", stage.origin.report()),
        May => {}
    }
}

/// Makes a test of each row: `name: method, answer, what the origin does then => fate;`.
macro_rules! answers {
    ($($name:ident: $method:literal, $bytes:expr, $then:expr => $fate:expr;)*) => {
        $(#[test]
        fn $name() {
            let bytes = $bytes;
            play($method, AsRef::<[u8]>::as_ref(&bytes), $then, &$fate);
        })*
    };
}

/// A 200 with these lines and what comes after the head.
fn ok(lines: impl AsRef<[u8]>, rest: impl AsRef<[u8]>) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\n", lines.as_ref(), b"\r\n\r\n", rest.as_ref()].concat()
}

const HELLO: &str = "5\r\nhello\r\n0\r\n\r\n";

// Framing.
answers! {
    plain: "GET", ok("Content-Length: 5", "hello"), Waits => Good(200, "hello", Yes);
    plain_chunked: "GET", ok("Transfer-Encoding: chunked", HELLO), Waits => Good(200, "hello", Yes);
    plain_then_closed: "GET", ok("Content-Length: 5", "hello"), Closes => Good(200, "hello", No);
    close_said: "GET", ok("Content-Length: 5\r\nConnection: close", "hello"), Waits => Good(200, "hello", No);
    until_close: "GET", ok("A: b", "hello"), Closes => Good(200, "hello", No);
    until_close_of_http_1_0: "GET", "HTTP/1.0 200 OK\r\n\r\nhello", Closes => Good(200, "hello", No);
    http_1_0_with_length: "GET", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", Waits => Good(200, "hello", No);
    length_and_chunked: "GET", ok("Content-Length: 5\r\nTransfer-Encoding: chunked", HELLO), Waits => Bad;
    chunked_and_length: "GET", ok("Transfer-Encoding: chunked\r\nContent-Length: 5", HELLO), Waits => Bad;
    length_twice: "GET", ok("Content-Length: 5\r\nContent-Length: 5", "hello"), Waits => Either(200, "hello");
    length_twice_different: "GET", ok("Content-Length: 5\r\nContent-Length: 6", "hello!"), Waits => Bad;
    length_listed: "GET", ok("Content-Length: 5, 5", "hello"), Waits => Either(200, "hello");
    length_listed_different: "GET", ok("Content-Length: 5, 6", "hello!"), Waits => Bad;
    length_signed: "GET", ok("Content-Length: +5", "hello"), Waits => Bad;
    length_negative: "GET", ok("Content-Length: -1", "hello"), Waits => Bad;
    length_empty: "GET", ok("Content-Length:", "hello"), Waits => Bad;
    length_past_64_bits: "GET", ok("Content-Length: 18446744073709551621", "hello"), Waits => Bad;
    coding_gzip_chunked: "GET", ok("Transfer-Encoding: gzip, chunked", HELLO), Closes => Bad;
    coding_chunked_twice: "GET", ok("Transfer-Encoding: chunked, chunked", HELLO), Closes => Bad;
    coding_in_two_fields: "GET", ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked", HELLO), Closes => Bad;
    coding_of_http_1_0: "GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Closes => Bad;
}

// A coding that is not chunked and that we do not know: the connection's end is the body's (RFC 9112
// §6.3, and the public HTTP cache suite demands it), and the connection is not used again.
answers! {
    coding_unknown: "GET", ok("Transfer-Encoding: xchunked", HELLO), Closes => Good(200, HELLO, No);
    coding_identity: "GET", ok("Transfer-Encoding: identity", "hello"), Closes => Good(200, "hello", No);
}

// More or less than was declared.
answers! {
    surplus_after_a_length: "GET", ok("Content-Length: 5", "helloXXXX"), Waits => Good(200, "hello", No);
    surplus_that_is_an_answer: "GET",
        ok("Content-Length: 5", "helloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"), Waits => Good(200, "hello", No);
    surplus_after_the_last_chunk: "GET",
        ok("Transfer-Encoding: chunked", HELLO.to_owned() + "HTTP/1.1 200 OK\r\n\r\n"), Waits => Good(200, "hello", No);
    surplus_after_204: "GET", "HTTP/1.1 204 No Content\r\n\r\nhello", Waits => Good(204, "", No);
    surplus_after_304: "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello", Waits => Good(304, "", No);
    surplus_after_head: "HEAD", ok("Content-Length: 5", "hello"), Waits => Good(200, "", No);
    no_content: "GET", "HTTP/1.1 204 No Content\r\n\r\n", Waits => Good(204, "", Yes);
    no_content_with_length_zero: "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", Waits => Good(204, "", May);
    no_content_with_length: "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", Waits => Either(204, "");
    no_content_chunked: "GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Waits
        => Either(204, "");
    not_modified_with_length: "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", Waits => Good(304, "", Yes);
    head_with_length: "HEAD", ok("Content-Length: 5", ""), Waits => Good(200, "", Yes);
    head_chunked: "HEAD", ok("Transfer-Encoding: chunked", ""), Waits => Good(200, "", Yes);
    head_without_framing: "HEAD", ok("A: b", ""), Waits => Good(200, "", Yes);
    cut_in_a_length: "GET", ok("Content-Length: 10", "hello"), Closes => Cut(200);
    cut_before_a_length: "GET", ok("Content-Length: 10", ""), Closes => Either(200, "");
    cut_in_a_chunk: "GET", ok("Transfer-Encoding: chunked", "a\r\nhello"), Closes => Cut(200);
    cut_between_chunks: "GET", ok("Transfer-Encoding: chunked", "5\r\nhello\r\n"), Closes => Cut(200);
    cut_before_the_last_line: "GET", ok("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n"), Closes => Cut(200);
    cut_in_the_head: "GET", "HTTP/1.1 200 OK\r\nContent-Le", Closes => Bad;
    cut_in_the_status_line: "GET", "HTTP/1.1 2", Closes => Bad;
    nothing_at_all: "GET", "", Closes => Bad;
}

// Chunks.
answers! {
    chunk_size_with_0x: "GET", ok("Transfer-Encoding: chunked", "0x5\r\nhello\r\n0\r\n\r\n"), Waits => Cut(200);
    chunk_size_no_digit: "GET", ok("Transfer-Encoding: chunked", "5\r\nhello\r\nzz\r\n\r\n"), Waits => Cut(200);
    chunk_size_past_64_bits: "GET", ok("Transfer-Encoding: chunked", "10000000000000005\r\nhello\r\n0\r\n\r\n"), Waits => Cut(200);
    chunk_line_of_bare_lf: "GET", ok("Transfer-Encoding: chunked", "5\nhello\r\n0\r\n\r\n"), Waits => Cut(200);
    chunk_end_missing: "GET", ok("Transfer-Encoding: chunked", "5\r\nhello0\r\n\r\n"), Waits => Cut(200);
    chunk_extension_with_lf: "GET", ok("Transfer-Encoding: chunked", "5;a\nhello\r\n0\r\n\r\n"), Waits => Cut(200);
    chunk_extension_dropped: "GET", ok("Transfer-Encoding: chunked", "5;a=b\r\nhello\r\n0\r\n\r\n"), Waits => Good(200, "hello", Yes);
    chunk_trailer_malformed: "GET", ok("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\nA : b\r\n\r\n"), Waits => Cut(200);
}

// Heads.
answers! {
    status_of_four_digits: "GET", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
    status_of_two_digits: "GET", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
    status_below_100: "GET", "HTTP/1.1 099 Odd\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
    status_of_letters: "GET", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
    status_signed: "GET", "HTTP/1.1 +20 OK\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
    status_missing: "GET", "HTTP/1.1\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
    status_unknown: "GET", "HTTP/1.1 599 Odd\r\nContent-Length: 5\r\n\r\nhello", Waits => Good(599, "hello", Yes);
    status_without_reason: "GET", "HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\nhello", Waits => Good(200, "hello", Yes);
    status_without_reason_nor_space: "GET", "HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", Waits => Either(200, "hello");
    version_unknown: "GET", "HTTP/3.0 200 OK\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
    version_in_lower_case: "GET", "http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
    protocol_unknown: "GET", "ICY 200 OK\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
    http_0_9: "GET", "<html>hello</html>", Closes => Bad;
    leading_space: "GET", " HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
    reason_with_control: "GET", "HTTP/1.1 200 O\x01K\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
    reason_with_bare_cr: "GET", "HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
    field_line_of_bare_lf: "GET", ok("A: b\nContent-Length: 0", ""), Waits => Bad;
    head_all_of_bare_lf: "GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", Waits => Bad;
    field_folded: "GET", ok("A: b\r\n c\r\nContent-Length: 0", ""), Waits => Bad;
    field_with_space_before_colon: "GET", ok("Content-Length : 5", "hello"), Closes => Bad;
    field_without_name: "GET", ok(": b\r\nContent-Length: 0", ""), Waits => Bad;
    field_without_colon: "GET", ok("Nonsense\r\nContent-Length: 0", ""), Waits => Bad;
    field_with_nul: "GET", ok("A: b\0\r\nContent-Length: 0", ""), Waits => Bad;
    field_with_control: "GET", ok("A: \x01\r\nContent-Length: 0", ""), Waits => Bad;
    field_with_bare_cr: "GET", ok("A: b\rSet-Cookie: c=d\r\nContent-Length: 0", ""), Waits => Bad;
    name_with_high_byte: "GET", ok(b"A\xe9: b\r\nContent-Length: 0", ""), Waits => Bad;
    head_too_large: "GET", ok(format!("A: {}\r\nContent-Length: 0", "b".repeat(80 << 10)), ""), Waits => Bad;
    head_without_end: "GET", "HTTP/1.1 200 OK\r\n".to_owned() + &"A: b\r\n".repeat(20_000), Waits => Bad;
    fields_too_many: "GET", ok("A: b\r\n".repeat(1_000) + "Content-Length: 0", ""), Waits => Bad;
    switch_without_asking: "GET", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nsecret", Waits => Bad;
    interim_with_length: "GET", "HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        Waits => Either(200, "hello");
    interim_then_close: "GET", "HTTP/1.1 103 Early Hints\r\n\r\n", Closes => Bad;
    interim_malformed: "GET", "HTTP/1.1 103 Early Hints\r\nA : b\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", Waits => Bad;
}

/// What comes before it is asked for belongs to nobody: a pooled connection with bytes waiting on it
/// is no good. Each round waits until those bytes are there.
#[test]
fn an_answer_that_comes_unasked_is_never_delivered() {
    for _ in 0..5 {
        let gate = Gate::new();
        let open = gate.clone();
        let origin = Origin::play(move |request| match request.target.as_str() {
            "/first" => vec![
                send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst"),
                send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
                Action::Open(open.clone()),
            ],
            _ => answer("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond"),
        });
        let gateway = before(&origin);
        assert_eq!(gateway.get("/first").text(), "first");
        assert!(gate.pass());
        assert_eq!(gateway.get("/second").text(), "second");
    }
}

/// Endless interim responses are bounded: by their number, their bytes, or the deadline.
#[test]
fn a_flood_of_interim_responses_ends() {
    let origin = Origin::play(|_| {
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(1_000);
        let mut actions = vec![send(hints); 1_000];
        actions.push(send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"));
        actions
    });
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.request("GET", "/");
    let response = client.response("GET");
    assert_eq!(response.status, 502, "after {} interim responses", response.interim.len());
}

/// The framing of the answer is in the gateway's own words.
#[test]
fn framing_fields_are_written_anew() {
    for (received, framing, declared) in [
        ("content-length:\t5", Framing::Length(5), ("Content-Length", "5")),
        ("tRANSFER-eNCODING: Chunked", Framing::Chunked, ("Transfer-Encoding", "chunked")),
    ] {
        let body = if framing == Framing::Chunked { HELLO } else { "hello" };
        let origin = Origin::saying(ok(received, body));
        let response = before(&origin).get("/");
        assert_eq!(response.framing, framing);
        assert_eq!(response.field(declared.0), Some(declared.1));
        assert_eq!(response.text(), "hello");
    }
}
