//! Interim responses and Expect (RFC 9110 §10.1.1, §15.2; RFC 8297).

use crate::stage::before;
use scenario::origin::{Action, answer, send};
use scenario::{Gate, Origin};

const HINTS: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn early_hints_reach_the_client_before_the_answer() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin::play(move |_| vec![send(HINTS), Action::Wait(wait.clone()), send(OK)]);
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.request("GET", "/");
    let hints = client.head();
    assert_eq!(hints.line, "HTTP/1.1 103 Early Hints");
    assert_eq!(hints.one("link"), Some("</a.css>; rel=preload"));
    gate.open();
    assert_eq!(client.response("GET").text(), "hello");
}

#[test]
fn several_interim_responses_pass_in_order() {
    let processing = "HTTP/1.1 102 Processing\r\n\r\n";
    let origin = Origin::saying([processing, HINTS, HINTS, OK].concat());
    let gateway = before(&origin);
    let mut client = gateway.client();
    for _ in 0..2 {
        let response = client.get("/");
        let lines: Vec<_> = response.interim.iter().map(|head| head.line.as_str()).collect();
        let hints = "HTTP/1.1 103 Early Hints";
        assert_eq!(lines, ["HTTP/1.1 102 Processing", hints, hints]);
        assert_eq!(response.text(), "hello");
    }
}

#[test]
fn interim_responses_lose_their_hop_by_hop_fields() {
    let origin = Origin::saying(
        "HTTP/1.1 103 Early Hints\r\nConnection: A\r\nA: b\r\nKeep-Alive: x\r\nC: d\r\n\r\n"
            .to_owned()
            + OK,
    );
    let response = before(&origin).get("/");
    let hints = &response.interim[0];
    assert!(!hints.has("a") && !hints.has("keep-alive"), "{hints:?}");
    assert_eq!(hints.one("c"), Some("d"));
}

#[test]
fn http_1_0_clients_get_no_interim_responses() {
    let origin = Origin::saying([HINTS, OK].concat());
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n");
    let response = client.response("GET");
    assert_eq!((response.interim.len(), response.text().as_str()), (0, "hello"));
}

const EXPECTING: &str =
    "POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n";

#[test]
fn a_continue_is_relayed_to_the_client_that_waits_for_it() {
    let origin =
        Origin::play(|_| vec![send("HTTP/1.1 100 Continue\r\n\r\n"), Action::Body, send(OK)]);
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send(EXPECTING);
    assert_eq!(client.head().line, "HTTP/1.1 100 Continue");
    client.send("hello");
    let response = client.response("POST");
    assert_eq!((response.status, response.text().as_str()), (200, "hello"));
    let seen = origin.request(1);
    assert_eq!((seen.head.one("expect"), seen.text().as_str()), (Some("100-continue"), "hello"));
    assert_eq!(client.get("/").text(), "hello");
}

#[test]
fn a_refusal_is_relayed_instead_of_a_continue() {
    let refusal = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno";
    let origin = Origin::play(move |_| vec![send(refusal)]);
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send(EXPECTING);
    let response = client.response("POST");
    assert_eq!((response.interim.len(), response.status), (0, 401));
    assert_eq!(response.text(), "no");
    // The client may now send the body or not: only a close lets both know where they are.
    if !response.closes() {
        client.send("hello");
        assert_eq!(client.get("/").status, 401);
    }
}

#[test]
fn the_body_may_be_sent_without_waiting() {
    let origin = Origin::play(|_| answer(OK));
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send(format!("{EXPECTING}hello"));
    assert_eq!(client.response("POST").status, 200);
    assert_eq!(origin.request(1).text(), "hello");
    assert_eq!(client.get("/").text(), "hello");
}

#[test]
fn an_expectation_in_other_case_is_the_same() {
    let origin =
        Origin::play(|_| vec![send("HTTP/1.1 100 Continue\r\n\r\n"), Action::Body, send(OK)]);
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send(EXPECTING.replace("100-continue", "100-Continue"));
    assert_eq!(client.head().line, "HTTP/1.1 100 Continue");
    client.send("hello");
    assert_eq!(client.response("POST").status, 200);
}

#[test]
fn a_continue_nobody_asked_for_does_no_harm() {
    let origin = Origin::saying(["HTTP/1.1 100 Continue\r\n\r\n", OK].concat());
    let gateway = before(&origin);
    let mut client = gateway.client();
    for _ in 0..2 {
        assert_eq!(client.get("/").text(), "hello");
    }
}
