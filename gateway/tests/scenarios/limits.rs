//! Limits on everything a client controls: sizes, counts and times.

use crate::responses::check_problem;
use crate::stage::{one_thread, start};
use scenario::client::Ending;
use scenario::origin::{Action, answer, send};
use scenario::reading::Problem;
use scenario::{Client, Gateway, Origin};
use std::time::Duration;

fn limited(origin: &Origin, limit: &str) -> Gateway {
    start(&one_thread(origin).limits(limit))
}

/// Waits for the end, before which a refusal with one of these statuses may come.
#[track_caller]
fn refused_or_closed(client: &mut Client, statuses: &[u16]) {
    match client.try_response("GET") {
        Ok(response) if statuses.contains(&response.status) && response.closes() => {
            client.ends();
        }
        Err((Problem::Closed(false) | Problem::Reset(false), None)) => {}
        other => client.fail(&format!("neither refused nor closed: {other:?}")),
    }
}

#[test]
fn a_head_that_stops_half_way_is_given_up() {
    let origin = Origin::start();
    let gateway = limited(&origin, "head_time = \"300ms\"");
    for start in
        ["G", "GET / HTTP/1.1\r\nHost: shop.test\r\n", "GET / HTTP/1.1\r\nHost: shop.test\r\n\r"]
    {
        let mut client = gateway.client();
        client.send(start);
        refused_or_closed(&mut client, &[408]);
    }
    assert!(origin.requests().is_empty());
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn a_head_that_trickles_is_given_up() {
    let origin = Origin::start();
    let gateway = limited(&origin, "head_time = \"500ms\"");
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n");
    let by = scenario::patience();
    while !client.ended_within(Duration::from_millis(20)) {
        client.send("A: b\r\n");
        assert!(!by.passed(base::Moment::now()), "each byte bought it more time");
    }
    assert!(origin.requests().is_empty());
}

#[test]
fn a_connection_that_says_nothing_is_closed() {
    let origin = Origin::start();
    let gateway = limited(&origin, "idle_time = \"300ms\"\nhead_time = \"300ms\"");
    let mut client = gateway.client();
    refused_or_closed(&mut client, &[408]);
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let origin = Origin::start();
    let gateway = limited(&origin, "idle_time = \"300ms\"");
    let mut client = gateway.client();
    client.get("/");
    // A 408 here would be taken for the answer to the client's next request.
    assert_eq!(client.ends(), Ending::Closed);
}

#[test]
fn a_body_that_stops_half_way_is_given_up() {
    let origin = Origin::start();
    let gateway = limited(&origin, "body_pause = \"300ms\"");
    for framing in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhel"]
    {
        origin.forget();
        let mut client = gateway.client();
        client.send(format!("POST / HTTP/1.1\r\nHost: shop.test\r\n{framing}"));
        refused_or_closed(&mut client, &[408]);
        origin.open_connections(0);
        assert!(origin.requests().iter().all(|r| !r.whole), "{}", origin.report());
    }
}

#[test]
fn a_reader_that_stops_is_given_up() {
    let origin = Origin::play(|_| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n";
        vec![send(head), Action::Fill(1_000_000_000_000)]
    });
    let gateway = limited(&origin, "body_pause = \"300ms\"");
    let mut client = Client::connect_small(gateway.address());
    client.request("GET", "/");
    client.head();
    origin.open_connections(0);
}

#[test]
fn a_body_may_take_long_if_it_keeps_coming() {
    let origin = Origin::start();
    let gateway = limited(&origin, "body_pause = \"600ms\"\nhead_time = \"300ms\"");
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 12\r\n\r\n");
    for _ in 0..12 {
        assert!(!client.ended_within(Duration::from_millis(100)), "it was given up");
        client.send("x");
    }
    assert_eq!(client.response("POST").status, 200);
}

#[test]
fn too_many_fields_are_431() {
    let origin = Origin::start();
    let gateway = limited(&origin, "fields = 10");
    let with =
        |n: usize| format!("GET / HTTP/1.1\r\n{}Host: shop.test\r\n\r\n", "A: b\r\n".repeat(n));
    assert_eq!(gateway.client().send(with(9)).response("GET").status, 200);
    let mut client = gateway.client();
    let response = client.send(with(10)).response("GET");
    assert_eq!(response.status, 431);
    check_problem(&response, "GET");
    client.ends();
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn too_long_a_head_is_431() {
    let origin = Origin::start();
    let gateway = limited(&origin, "head_bytes = \"1 KiB\"");
    let with =
        |n: usize| format!("GET / HTTP/1.1\r\nHost: shop.test\r\nA: {}\r\n\r\n", "b".repeat(n));
    assert_eq!(gateway.client().send(with(900)).response("GET").status, 200);
    let mut client = gateway.client();
    assert_eq!(client.send(with(1_100)).response("GET").status, 431);
    client.ends();
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn an_endless_head_is_cut_off() {
    let origin = Origin::start();
    let gateway = limited(&origin, "head_bytes = \"16 KiB\"");
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n");
    client.send("A: bbbbbbbbbbbbbbbbbbbbbbbbbbbb\r\n".repeat(40_000));
    assert_eq!(client.response("GET").status, 431);
    client.rest();
}

#[test]
fn an_endless_request_line_is_414() {
    let origin = Origin::start();
    let gateway = limited(&origin, "head_bytes = \"16 KiB\"");
    let mut client = gateway.client();
    client.send(format!("GET /{}", "a".repeat(100_000)));
    assert_eq!(client.response("GET").status, 414);
    client.rest();
}

#[test]
fn too_large_a_body_is_413_before_it_is_sent() {
    let origin = Origin::start();
    let gateway = limited(&origin, "body_bytes = \"10 KiB\"");
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10241\r\n\r\n");
    let response = client.response("POST");
    assert_eq!(response.status, 413);
    assert!(response.closes());
    check_problem(&response, "POST");
    client.ends();
    assert!(origin.requests().is_empty());
}

#[test]
fn too_large_a_body_is_413_instead_of_a_continue() {
    let origin = Origin::start();
    let gateway = limited(&origin, "body_bytes = \"10 KiB\"");
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10241\r\nExpect: 100-continue\r\n\r\n");
    let response = client.response("POST");
    assert_eq!((response.status, response.interim.len()), (413, 0));
}

#[test]
fn too_large_a_chunked_body_is_413_and_never_whole() {
    let origin = Origin::start();
    let gateway = limited(&origin, "body_bytes = \"10 KiB\"");
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(format!("400\r\n{}\r\n", "x".repeat(0x400)).repeat(11) + "0\r\n\r\n");
    assert_eq!(client.response("POST").status, 413);
    client.ends();
    origin.open_connections(0);
    assert!(origin.requests().iter().all(|r| !r.whole), "{}", origin.report());
}

#[test]
fn a_body_of_just_the_limit_passes() {
    let origin = Origin::start();
    let gateway = limited(&origin, "body_bytes = \"10 KiB\"");
    let mut client = gateway.client();
    let body = "x".repeat(10 << 10);
    client
        .send(format!("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10240\r\n\r\n{body}"));
    assert_eq!(client.response("POST").status, 200);
    client.send(format!(
        "POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n2800\r\n{body}\r\n0\r\n\r\n"
    ));
    assert_eq!(client.response("POST").status, 200);
}

/// The refusal of a large body is read even by a client that sends all of it first.
#[test]
fn a_refusal_reaches_a_client_that_is_still_sending() {
    let origin = Origin::start();
    let gateway = limited(&origin, "body_bytes = \"10 KiB\"");
    for _ in 0..10 {
        let mut client = gateway.client();
        client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 1000000\r\n\r\n");
        client.send(vec![b'x'; 1_000_000]);
        assert_eq!(client.response("POST").status, 413);
    }
}

#[test]
fn a_connection_ends_after_its_last_request() {
    let origin = Origin::start();
    let gateway = limited(&origin, "requests = 3");
    let mut client = gateway.client();
    assert!(!client.get("/1").closes());
    assert!(!client.get("/2").closes());
    assert!(client.get("/3").closes(), "the last answer must say so");
    assert_eq!(client.ends(), Ending::Closed);
}

#[test]
fn requests_pipelined_past_the_last_are_not_served() {
    let origin = Origin::start();
    let gateway = limited(&origin, "requests = 2");
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n".repeat(5));
    client.response("GET");
    assert!(client.response("GET").closes());
    client.ends();
    assert_eq!(gateway.get("/fence").status, 200);
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn connections_are_capped_and_the_cap_is_released() {
    let origin = Origin::start();
    let gateway = limited(&origin, "connections = 2");
    let mut first = gateway.client();
    let mut second = gateway.client();
    assert_eq!((first.get("/").status, second.get("/").status), (200, 200));
    let mut third = gateway.client();
    third.request("GET", "/");
    // Refused, closed, or left waiting in the queue of the listener: but not served.
    if third.ended_within(Duration::from_millis(300)) {
        assert!(!third.transcript().to_string().contains("200 OK"));
    }
    first.finish();
    first.ends();
    let by = scenario::patience();
    loop {
        let mut fourth = gateway.client();
        fourth.request("GET", "/");
        if fourth.try_response("GET").is_ok_and(|response| response.status == 200) {
            break;
        }
        assert!(!by.passed(base::Moment::now()), "the place of the first was never given away");
    }
    assert_eq!(second.get("/").status, 200);
}

#[test]
fn a_thousand_connections_that_come_and_go_leave_nothing() {
    let origin = Origin::start();
    let gateway = limited(&origin, "connections = 50");
    for number in 0..1_000 {
        let mut client = gateway.client();
        match number % 4 {
            0 => client.reset(),
            1 => drop(client.send("GET / HT").transcript()),
            2 => drop(client.request("GET", "/").transcript()),
            _ => {}
        }
    }
    let by = scenario::patience();
    loop {
        let mut client = gateway.client();
        client.request("GET", "/");
        if client.try_response("GET").is_ok_and(|response| response.status == 200) {
            return;
        }
        assert!(!by.passed(base::Moment::now()), "places were lost");
    }
}

#[test]
fn a_flood_of_empty_lines_is_no_request() {
    let origin = Origin::start();
    let gateway = limited(&origin, "head_bytes = \"16 KiB\"");
    let mut client = gateway.client();
    client.send("\r\n".repeat(100_000));
    refused_or_closed(&mut client, &[400, 431]);
}

#[test]
fn a_flood_of_tiny_chunks_is_carried_or_refused() {
    let origin = Origin::play(|_| answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let gateway = limited(&origin, "head_bytes = \"16 KiB\"");
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send("1\r\nx\r\n".repeat(100_000) + "0\r\n\r\n");
    let status = client.response("POST").status;
    assert!(matches!(status, 200 | 400 | 413), "{status}");
}
