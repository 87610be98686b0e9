//! Bodies both ways: keep-alive, pipelining, chunks and trailers, streaming and back-pressure.

use crate::stage::{before, one_thread, start};
use scenario::client::Ending;
use scenario::message::Framing;
use scenario::origin::{Action, answer, send};
use scenario::reading::Problem;
use scenario::{Gate, Origin};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[test]
fn a_connection_serves_many_requests() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    for number in 0..100 {
        let response = client.get(&format!("/{number}"));
        assert_eq!(response.text(), format!("GET /{number} HTTP/1.1"));
        assert!(!response.closes());
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    let requests = (0..50).map(|n| format!("GET /{n} HTTP/1.1\r\nHost: shop.test\r\n\r\n"));
    client.send(requests.collect::<String>());
    for number in 0..50 {
        assert_eq!(client.response("GET").text(), format!("GET /{number} HTTP/1.1"));
    }
}

#[test]
fn pipelined_requests_with_bodies_keep_apart() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send(
        "POST /1 HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 3\r\n\r\none\
         POST /2 HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n\
         GET /3 HTTP/1.1\r\nHost: shop.test\r\n\r\n",
    );
    for line in ["POST /1 HTTP/1.1", "POST /2 HTTP/1.1", "GET /3 HTTP/1.1"] {
        assert_eq!(client.response("GET").text(), line);
    }
    let bodies: Vec<_> = origin.requests().iter().map(scenario::Request::text).collect();
    assert_eq!(bodies, ["one", "two", ""]);
}

#[test]
fn a_request_may_come_a_byte_at_a_time() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    let request = "POST /slow HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n\
                   5;a=b\r\nhello\r\n1\r\n!\r\n0\r\nCheck: 1\r\n\r\n";
    for byte in request.as_bytes() {
        client.send([*byte]);
    }
    assert_eq!(client.response("POST").status, 200);
    let seen = origin.request(1);
    assert_eq!(seen.text(), "hello!");
    assert_eq!(seen.trailers, [("Check".to_owned(), "1".to_owned())]);
}

#[test]
fn an_answer_may_come_a_byte_at_a_time() {
    let bytes =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSum: 1\r\n\r\n";
    let origin = Origin::play(move |_| bytes.bytes().map(|byte| send([byte])).collect());
    let response = before(&origin).get("/");
    assert_eq!(response.text(), "hello");
    assert_eq!(response.trailers, [("Sum".to_owned(), "1".to_owned())]);
}

#[test]
fn trailers_pass_both_ways() {
    let origin = Origin::play(|_| {
        answer(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n\
             5\r\nhello\r\n0\r\nSum: 1\r\nX-Case: 2\r\n\r\n",
        )
    });
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: shop.test\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n\
         0\r\nCheck: 1\r\n\r\n",
    );
    let response = client.response("POST");
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(response.trailers, [pair("Sum", "1"), pair("X-Case", "2")]);
    assert_eq!(origin.request(1).trailers, [pair("Check", "1")]);
    // The connection is in step afterwards.
    assert_eq!(client.get("/").text(), "hello");
}

#[test]
fn an_answer_until_close_is_chunked_for_http_1_1() {
    let origin = Origin::play(|_| vec![send("HTTP/1.1 200 OK\r\n\r\nhello"), Action::Close]);
    let gateway = before(&origin);
    let mut client = gateway.client();
    let response = client.get("/");
    assert_eq!((response.framing, response.text().as_str()), (Framing::Chunked, "hello"));
    assert!(!response.closes());
    assert_eq!(client.get("/").text(), "hello");
}

#[test]
fn an_answer_until_close_is_until_close_for_http_1_0() {
    let origin = Origin::play(|_| vec![send("HTTP/1.1 200 OK\r\n\r\nhello"), Action::Close]);
    http_1_0(&origin);
}

#[test]
fn a_chunked_answer_is_until_close_for_http_1_0() {
    let chunked =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n";
    http_1_0(&Origin::saying(chunked));
}

#[track_caller]
fn http_1_0(origin: &Origin) {
    let gateway = before(origin);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n");
    let response = client.response("GET");
    assert!(!response.head.has("transfer-encoding"), "HTTP/1.0 knows no chunks");
    assert_eq!((response.framing, response.text().as_str()), (Framing::Close, "hello"));
}

#[test]
fn an_http_1_0_client_can_keep_its_connection() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    let request = "GET / HTTP/1.0\r\nHost: shop.test\r\nConnection: keep-alive\r\n\r\n";
    let first = client.send(request).response("GET");
    // To be kept alive it must be told so; to be closed is as right.
    if first.head.connection("keep-alive") {
        assert_eq!(client.send(request).response("GET").status, 200);
    } else {
        assert_eq!(client.ends(), Ending::Closed);
    }
}

#[test]
fn head_tells_the_length_of_what_it_does_not_send() {
    let origin = Origin::play(|request| {
        let body = if request.method == "HEAD" { "" } else { "hello" };
        answer(format!("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{body}"))
    });
    let gateway = before(&origin);
    let mut client = gateway.client();
    let response = client.request("HEAD", "/").response("HEAD");
    assert_eq!(response.field("content-length"), Some("5"));
    assert_eq!(client.get("/").text(), "hello");
}

#[test]
fn not_modified_keeps_its_length_field() {
    let origin =
        Origin::saying("HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 5\r\n\r\n");
    let gateway = before(&origin);
    let mut client = gateway.client();
    for _ in 0..2 {
        let response = client.get("/");
        assert_eq!((response.status, response.field("etag")), (304, Some("\"a\"")));
        assert!(matches!(response.field("content-length"), None | Some("5")));
    }
}

#[test]
fn fields_keep_their_order_and_case() {
    let origin = Origin::saying(
        "HTTP/1.1 200 Fine By Me\r\nX-b: 1\r\nx-A: 2\r\nSET-cookie: a=b\r\nSet-Cookie: c=d\r\nX-b: 3\r\n\
         Content-Length: 0\r\n\r\n",
    );
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send(
        "GET / HTTP/1.1\r\nx-Z: 1\r\nHOST: shop.test\r\nX-a: 2\r\ncookie: a=b\r\nX-Z: 3\r\nCOOKIE: c=d\r\n\r\n",
    );
    let response = client.response("GET");
    assert_eq!(response.head.line, "HTTP/1.1 200 Fine By Me");
    let fields: Vec<_> = response.head.fields.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    let kept = ["X-b: 1", "x-A: 2", "SET-cookie: a=b", "Set-Cookie: c=d", "X-b: 3"];
    assert_eq!(fields[..5], kept, "{fields:?}");
    let plain = crate::stage::plain(&origin.request(1).head);
    let kept = "x-Z: 1\r\nHOST: shop.test\r\nX-a: 2\r\ncookie: a=b\r\nX-Z: 3\r\nCOOKIE: c=d\r\n";
    assert_eq!(plain, format!("GET / HTTP/1.1\r\n{kept}"));
}

#[test]
fn the_first_bytes_of_an_answer_do_not_wait_for_the_last() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin::play(move |_| {
        vec![
            send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"),
            Action::Wait(wait.clone()),
            send("4\r\nlast\r\n0\r\n\r\n"),
        ]
    });
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.request("GET", "/");
    client.head();
    assert_eq!(client.bytes(10), b"5\r\nfirst\r\n");
    gate.open();
    assert_eq!(client.bytes(14), b"4\r\nlast\r\n0\r\n\r\n");
}

#[test]
fn the_first_bytes_of_a_request_do_not_wait_for_the_last() {
    let (gate, seen) = (Gate::new(), Gate::new());
    let open = seen.clone();
    let origin = Origin::play(move |_| vec![Action::Open(open.clone()), Action::Body, send(OK)]);
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10\r\n\r\nhello");
    assert!(seen.pass(), "the head waited for the body");
    gate.open();
    client.send("world");
    assert_eq!(client.response("POST").status, 200);
    assert_eq!(origin.request(1).text(), "helloworld");
}

#[test]
fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let early = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 5\r\n\r\nearly";
    let origin = Origin::play(move |request| match request.target.as_str() {
        "/upload" => vec![send(early)],
        _ => answer(OK),
    });
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send("POST /upload HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100000\r\n\r\nsome");
    let response = client.response("POST");
    assert_eq!((response.status, response.text().as_str()), (413, "early"));
    if !response.closes() {
        // Then what is left of the body is no request.
        client.send(vec![b'x'; 100_000 - 4]);
        assert_eq!(client.get("/next").status, 200);
    }
}

#[test]
fn an_early_answer_and_close_of_the_origin_still_reach_the_client() {
    let early = "HTTP/1.1 403 Forbidden\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly";
    let origin = Origin::play(move |_| vec![send(early), Action::Finish, Action::Body]);
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 100000\r\n\r\nsome");
    assert_eq!(client.response("POST").status, 403);
}

#[test]
fn a_cut_request_is_cut_for_the_origin_too() {
    for head in
        ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"]
    {
        let origin = Origin::start();
        let gateway = before(&origin);
        let mut client = gateway.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: shop.test\r\n{head}"));
        origin.head(1);
        client.reset();
        origin.open_connections(0);
        assert!(!origin.requests()[0].whole, "a cut body was ended cleanly");
        assert_eq!(gateway.get("/").status, 200);
    }
}

#[test]
fn a_client_that_goes_away_ends_the_exchange_with_the_origin() {
    let origin = Origin::play(|_| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n";
        vec![send(head), Action::Fill(1_000_000_000_000)]
    });
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.request("GET", "/");
    client.head();
    client.reset();
    origin.open_connections(0);
}

#[test]
fn a_slow_reader_holds_the_origin_back() {
    const BODY: u64 = 128 << 20;
    let sent = Gate::new();
    let open = sent.clone();
    let origin = Origin::play(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {BODY}\r\n\r\n");
        vec![send(head), Action::Fill(BODY), Action::Open(open.clone())]
    });
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.request("GET", "/");
    client.head();
    // The first quarter has come through, so the rest would have too if nothing held it back.
    client.skip(BODY / 4);
    assert!(!sent.is_open(), "nothing held the origin back");
    let peak = gateway.memory().peak;
    assert!(peak < 64 << 20, "{} MiB of memory", peak >> 20);
    client.skip(BODY - BODY / 4);
    assert!(sent.pass());
}

#[test]
fn a_large_body_passes_both_ways_unchanged() {
    let body: Vec<u8> = (0..4_000_000_u32).map(|n| (n % 251) as u8).collect();
    let echo = body.clone();
    let origin = Origin::play(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", echo.len());
        vec![Action::Body, send(head), send(&echo)]
    });
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send(format!(
        "PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {}\r\n\r\n",
        body.len()
    ));
    client.send(&body);
    let response = client.response("PUT");
    assert!(response.body == body, "the answer's body was changed");
    assert!(origin.request(1).body == body, "the request's body was changed");
}

#[test]
fn a_large_chunked_body_passes_both_ways_unchanged() {
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x1_0000));
    let body = chunk.repeat(50) + "0\r\n\r\n";
    let echo = body.clone();
    let origin = Origin::play(move |_| {
        vec![
            Action::Body,
            send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            send(&echo),
        ]
    });
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send("PUT / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(body);
    assert_eq!(client.response("PUT").body.len(), 50 * 0x1_0000);
    assert_eq!(origin.request(1).body.len(), 50 * 0x1_0000);
}

/// A body of 2 GiB and more must not wrap a counter; this one is cut long before its end.
#[test]
fn a_length_past_32_bits_is_passed_on() {
    let origin = Origin::play(|_| {
        vec![send("HTTP/1.1 200 OK\r\nContent-Length: 8589934592\r\n\r\nhello"), Action::Close]
    });
    let gateway = start(&one_thread(&origin));
    let mut client = gateway.client();
    client.send("PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 8589934593\r\n\r\n");
    let (response, problem) = client.cut_response("PUT");
    assert_eq!(response.framing, Framing::Length(8_589_934_592));
    assert!(!matches!(problem, Problem::Late), "{problem}");
    assert_eq!(origin.head(1).framing, Framing::Length(8_589_934_593));
}

#[test]
fn a_client_that_finishes_after_its_request_is_answered() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.request("GET", "/").finish();
    assert_eq!(client.response("GET").status, 200);
    assert_eq!(client.ends(), Ending::Closed);
}

#[test]
fn an_idle_client_may_leave_quietly() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.get("/");
    client.finish();
    assert_eq!(client.ends(), Ending::Closed);
}
