//! Connections to services: kept, checked, replaced; and what happens when a service is not well.

use crate::responses::check_problem;
use crate::stage::{before, one_thread, start};
use scenario::message::Head;
use scenario::origin::{Action, answer, echo_line, send};
use scenario::{Client, Gate, Gateway, Origin, Request, Response, Text};
use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Mutex;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

#[track_caller]
fn problem(response: &Response, status: u16, reason: &str) {
    assert_eq!(response.status, status, "{}", response.text());
    check_problem(response, "GET");
    let text = response.text().replace(": ", ":");
    assert!(text.contains(&format!("\"reason\":\"{reason}\"")), "{text}");
}

fn ask(gateway: &Gateway, method: &str) -> Response {
    let mut client = gateway.client();
    client.send(format!("{method} / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nhi"));
    client.response(method)
}

#[test]
fn a_connection_is_used_again_by_other_clients() {
    let origin = Origin::start();
    let gateway = before(&origin);
    for _ in 0..20 {
        assert_eq!(gateway.get("/").status, 200);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_connection_carries_one_request_at_a_time() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin::play(move |_| vec![Action::Wait(wait.clone()), send(OK)]);
    let gateway = start(&one_thread(&origin).top("cache = false"));
    let mut clients: Vec<_> = (0..5).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.request("GET", "/");
    }
    origin.head(5);
    let connections: HashSet<_> = origin.requests().iter().map(|r| r.connection).collect();
    assert_eq!(connections.len(), 5);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response("GET").status, 200);
    }
}

#[test]
fn no_more_idle_connections_are_kept_than_allowed() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin::play(move |_| vec![Action::Wait(wait.clone()), send(OK)]);
    let gateway = start(&one_thread(&origin).top("cache = false").service("idle_max = 2"));
    let mut clients: Vec<_> = (0..5).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.request("GET", "/");
    }
    origin.head(5);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response("GET").status, 200);
    }
    origin.open_connections(2);
}

#[test]
fn idle_connections_are_closed_in_time() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).service("idle_time = \"200ms\""));
    assert_eq!(gateway.get("/").status, 200);
    origin.open_connections(0);
    assert_eq!(gateway.get("/").status, 200);
}

/// A POST may not be sent twice, so this holds only if the close is seen before the connection is
/// taken from the pool.
#[test]
fn a_connection_that_the_origin_closed_is_not_used_again() {
    let origin = Origin::play(|_| vec![Action::Body, send(OK), Action::Close]);
    let gateway = before(&origin);
    for _ in 0..20 {
        assert_eq!(ask(&gateway, "POST").status, 200);
        origin.open_connections(0);
    }
    assert_eq!(origin.requests().len(), 20);
}

/// An origin that answers the first request on each connection, and closes on the second unanswered.
fn dying() -> Origin {
    let seen = Mutex::new(HashSet::new());
    Origin::play(move |request| {
        if seen.lock().expect("unpoisoned").insert(request.connection) {
            return answer(OK);
        }
        vec![Action::Body, Action::Close]
    })
}

#[test]
fn an_idempotent_request_survives_the_death_of_a_reused_connection() {
    for method in ["GET", "HEAD", "DELETE", "OPTIONS"] {
        let origin = dying();
        let gateway = before(&origin);
        let mut client = gateway.client();
        client.get("/first");
        let response = client.request(method, "/second").response(method);
        assert_eq!(response.status, 200, "{method}");
        let seen: Vec<_> =
            origin.requests().into_iter().map(|r| (r.connection, r.target)).collect();
        let second = "/second".to_owned();
        assert_eq!(seen, [(0, "/first".to_owned()), (0, second.clone()), (1, second)]);
    }
}

#[test]
fn other_requests_are_not_sent_twice() {
    for method in ["POST", "PATCH", "BREW"] {
        let origin = dying();
        let gateway = before(&origin);
        gateway.get("/first");
        let response = ask(&gateway, method);
        problem(&response, 502, "server_closed");
        assert_eq!(origin.requests().len(), 2, "{method}");
    }
}

#[test]
fn a_request_is_sent_twice_at_most() {
    let origin = Origin::play(|request| match request.target.as_str() {
        "/first" => answer(OK),
        _ => vec![Action::Body, Action::Close],
    });
    let gateway = before(&origin);
    gateway.get("/first");
    problem(&gateway.get("/second"), 502, "server_closed");
    let tries = origin.requests().iter().filter(|r| r.target == "/second").count();
    assert!(tries <= 2, "{tries} tries");
}

#[test]
fn an_answer_that_has_begun_is_not_asked_for_again() {
    let origin = Origin::play(|request| match request.target.as_str() {
        "/first" => answer(OK),
        _ => vec![send("HTTP/1.1 20"), Action::Close],
    });
    let gateway = before(&origin);
    gateway.get("/first");
    assert_eq!(gateway.get("/second").status, 502);
    assert_eq!(origin.requests().len(), 2, "{}", origin.report());
}

#[test]
fn a_reset_counts_as_a_close() {
    let origin = Origin::play(|_| vec![Action::Body, Action::Reset]);
    let gateway = before(&origin);
    let response = ask(&gateway, "POST");
    problem(&response, 502, "server_closed");
    assert_eq!(origin.requests().len(), 1);
}

fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

#[test]
fn a_service_that_refuses_connections_is_502_unreachable() {
    let gateway = start(&Text::to(&[nobody()]));
    let mut client = gateway.client();
    for _ in 0..2 {
        problem(&client.get("/"), 502, "unreachable");
    }
}

#[test]
fn a_service_without_an_address_is_502_unresolved() {
    let gateway = start(&Text::to_servers(&["http://nowhere.invalid:3000"]));
    problem(&gateway.get("/"), 502, "unresolved");
}

#[test]
fn a_service_that_never_accepts_is_504() {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).expect("a free port");
    socket.listen(0).expect("a listener");
    let address = socket.local_addr().expect("bound").as_socket().expect("IPv4");
    // Two fill its queue; from then on the system drops what knocks.
    let wait = std::time::Duration::from_millis(200);
    let _full: Vec<_> = (0..4).map(|_| TcpStream::connect_timeout(&address, wait)).collect();
    let gateway = start(&Text::to(&[address]).service("connect_time = \"300ms\""));
    problem(&gateway.get("/"), 504, "connect_timeout");
}

#[test]
fn a_silent_service_is_504() {
    let origin = Origin::play(|_| vec![Action::Body, Action::Silence]);
    let gateway = start(&one_thread(&origin).service("first_byte_time = \"300ms\""));
    problem(&gateway.get("/"), 504, "first_byte_timeout");
    // What may still come belongs to nobody.
    origin.open_connections(0);
    // It is not tried again: the origin may be at work.
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn an_answer_that_takes_too_long_is_cut() {
    let origin = Origin::play(|_| {
        vec![send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), Action::Silence]
    });
    let gateway = start(&one_thread(&origin).service("total_time = \"400ms\""));
    let mut client = gateway.client();
    client.request("GET", "/");
    let (response, _) = client.cut_response("GET");
    assert_eq!(response.text(), "hello");
    origin.open_connections(0);
}

#[test]
fn a_route_may_be_shorter_of_patience_than_its_service() {
    let origin = Origin::play(|_| vec![Action::Silence]);
    let gateway = start(&one_thread(&origin).route("timeout = \"300ms\""));
    let response = gateway.get("/");
    assert_eq!(response.status, 504, "{}", response.text());
    check_problem(&response, "GET");
}

#[test]
fn requests_go_round_the_servers() {
    let origins = [Origin::start(), Origin::start(), Origin::start()];
    let addresses = origins.each_ref().map(Origin::address);
    let settings = Text::to(&addresses).top("threads = 1").service("balance = \"round-robin\"");
    let gateway = start(&settings);
    for _ in 0..30 {
        assert_eq!(gateway.get("/").status, 200);
    }
    assert_eq!(origins.each_ref().map(|o| o.requests().len()), [10, 10, 10]);
}

#[test]
fn a_killed_service_fails_only_what_is_in_flight() {
    let script = |request: &Request| match request.target.as_str() {
        "/held" => vec![Action::Body, Action::Silence],
        "/begun" => {
            vec![send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), Action::Silence]
        }
        _ => echo_line(request),
    };
    let mut origin = Origin::play(script);
    let gateway = before(&origin);
    for round in 0..5 {
        origin.forget();
        let ask = |target: &str| {
            let mut client = gateway.client();
            client.request("POST", target);
            client
        };
        let mut held: Vec<Client> = (0..3).map(|_| ask("/held")).collect();
        let mut begun = ask("/begun");
        origin.head(4);
        let head: Head = begun.head();
        assert_eq!(head.line, "HTTP/1.1 200 OK");
        // Some connections lie idle in the pool when it dies.
        assert_eq!(gateway.get("/idle").status, 200);
        origin.stop();
        for client in &mut held {
            problem(&client.response("POST"), 502, "server_closed");
        }
        assert_eq!(begun.rest().0, b"hello", "round {round}");
        problem(&gateway.get("/"), 502, "unreachable");
        origin.restart();
        for _ in 0..20 {
            assert_eq!(gateway.get("/").status, 200);
            let response = ask("/fresh").response("POST");
            assert_eq!(response.status, 200, "a POST met a dead connection");
        }
    }
}
