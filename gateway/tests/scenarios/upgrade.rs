//! Upgrades become tunnels (RFC 9110 §7.8, RFC 6455).

use crate::stage::{before, contains};
use scenario::origin::{Action, send};
use scenario::{Client, Gateway, Origin};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: shop.test\r\nConnection: keep-alive, Upgrade\r\n\
                   Upgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                   Sec-WebSocket-Version: 13\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\n\
                      Upgrade: websocket\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

fn switching(then: Vec<Action>) -> Origin {
    Origin::play(move |_| [vec![send(SWITCH)], then.clone()].concat())
}

#[track_caller]
fn open(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send(ASK);
    let head = client.head();
    assert_eq!(head.line, "HTTP/1.1 101 Switching Protocols");
    assert!(head.connection("upgrade"), "{head:?}");
    assert_eq!(head.one("upgrade"), Some("websocket"));
    assert_eq!(head.one("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    client
}

#[test]
fn bytes_pass_both_ways() {
    let origin = switching(vec![Action::Echo]);
    let gateway = before(&origin);
    let mut client = open(&gateway);
    for text in ["hello", "\0\u{1}binary\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
        client.send(text);
        assert_eq!(client.bytes(text.len()), text.as_bytes());
    }
    let seen = origin.head(1);
    assert!(seen.head.connection("upgrade"), "{seen}");
    assert!(!seen.head.connection("keep-alive"), "{seen}");
    assert_eq!(seen.head.one("upgrade"), Some("websocket"));
    assert_eq!(seen.head.one("sec-websocket-version"), Some("13"));
}

#[test]
fn much_passes_both_ways() {
    let origin = switching(vec![Action::Echo]);
    let gateway = before(&origin);
    let mut client = open(&gateway);
    let block = vec![b'x'; 64 << 10];
    for _ in 0..50 {
        client.send(&block);
        assert!(client.bytes(block.len()) == block);
    }
}

#[test]
fn a_half_close_passes_and_the_other_half_lives_on() {
    let origin = switching(vec![Action::Echo]);
    let gateway = before(&origin);
    let mut client = open(&gateway);
    client.send("last words");
    client.finish();
    // The origin says `bye` once it has seen our end.
    assert_eq!(client.rest().0, b"last wordsbye");
}

#[test]
fn a_half_close_of_the_origin_passes() {
    let origin = switching(vec![send("bye"), Action::Finish, Action::Silence]);
    let gateway = before(&origin);
    let mut client = open(&gateway);
    assert_eq!(client.rest().0, b"bye");
    client.send("still here");
    drop(client);
    origin.open_connections(0);
    assert!(contains(&origin.bytes(), b"still here"), "{}", origin.report());
}

#[test]
fn bytes_sent_with_the_switch_are_not_lost() {
    let origin = Origin::play(|_| vec![send(SWITCH.to_owned() + "first"), Action::Echo]);
    let gateway = before(&origin);
    let mut client = open(&gateway);
    assert_eq!(client.bytes(5), b"first");
}

#[test]
fn bytes_sent_before_the_switch_wait_for_it() {
    let origin = switching(vec![Action::Echo]);
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send(format!("{ASK}eager"));
    client.head();
    assert_eq!(client.bytes(5), b"eager");
}

#[test]
fn a_refused_upgrade_is_an_ordinary_answer() {
    let origin = Origin::play(|request| match request.target.as_str() {
        "/chat" => vec![send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")],
        _ => vec![send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext")],
    });
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send(ASK);
    let response = client.response("GET");
    assert_eq!((response.status, response.text().as_str()), (403, "no"));
    assert_eq!(client.get("/next").text(), "next");
}

/// What is pipelined behind a refused upgrade is a request like any other, and reaches the origin
/// through our own parser.
#[test]
fn a_request_behind_a_refused_upgrade_is_parsed() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send(format!("{ASK}GET /next HTTP/1.1\r\nHost: shop.test\r\n\r\n"));
    assert_eq!(client.response("GET").text(), "GET /chat HTTP/1.1");
    assert_eq!(client.response("GET").text(), "GET /next HTTP/1.1");
    let next = origin.request(2);
    assert!(next.head.has("via"), "it went past us:\n{}", origin.report());
}

#[test]
fn a_tunnel_is_never_pooled() {
    let origin = Origin::play(|request| match request.target.as_str() {
        "/chat" => vec![send(SWITCH), Action::Echo],
        _ => scenario::origin::echo_line(request),
    });
    let gateway = before(&origin);
    let client = open(&gateway);
    drop(client);
    assert_eq!(gateway.get("/next").text(), "GET /next HTTP/1.1");
    assert_ne!(origin.head(1).connection, origin.head(2).connection);
}

#[test]
fn a_client_that_goes_away_ends_the_tunnel() {
    let origin = switching(vec![Action::Silence]);
    let gateway = before(&origin);
    let client = open(&gateway);
    client.reset();
    origin.open_connections(0);
}

#[test]
fn an_origin_that_goes_away_ends_the_tunnel() {
    let origin = switching(vec![Action::Close]);
    let gateway = before(&origin);
    let mut client = open(&gateway);
    client.ends();
}
