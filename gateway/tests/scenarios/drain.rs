//! An end without a lost request: SIGTERM drains, SIGINT too.

use crate::stage::{before, one_thread, start};
use scenario::client::Ending;
use scenario::gateway::accepts;
use scenario::load::{Habit, Load};
use scenario::origin::{Action, echo_line, send};
use scenario::{Gate, Gateway, Origin, Text};

/// An origin that holds `/held` back until the gate is open.
fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::play(move |request| match request.target.as_str() {
        "/held" => vec![
            Action::Body,
            Action::Wait(gate.clone()),
            send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld"),
        ],
        _ => echo_line(request),
    })
}

#[track_caller]
fn wait_unready(gateway: &Gateway) {
    let by = scenario::patience();
    while gateway.ask("GET", "/ready").status != 503 {
        assert!(!by.passed(base::Moment::now()), "it stayed ready");
    }
}

#[test]
fn health_and_readiness_are_told() {
    let origin = Origin::start();
    let gateway = before(&origin);
    assert_eq!(gateway.ask("GET", "/health").status, 200);
    assert_eq!(gateway.ask("GET", "/ready").status, 200);
    assert_eq!(gateway.ask("GET", "/nothing").status, 404);
}

#[test]
fn a_drain_ends_readiness_at_once_and_the_process_when_all_is_answered() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let mut gateway = before(&origin);
    let mut busy = gateway.client();
    busy.request("GET", "/held");
    origin.head(1);
    gateway.signal("TERM");
    wait_unready(&gateway);
    assert_eq!(gateway.ask("GET", "/health").status, 200, "it is alive all the same");
    gate.open();
    let response = busy.response("GET");
    assert_eq!((response.status, response.text().as_str()), (200, "held"));
    assert!(response.closes(), "the client is not told to go elsewhere");
    assert_eq!(busy.ends(), Ending::Closed);
    assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
    assert!(!accepts(gateway.address()));
}

#[test]
fn a_drain_lets_an_upload_finish() {
    let origin = Origin::start();
    let mut gateway = before(&origin);
    let mut client = gateway.client();
    client.send("POST /up HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10\r\n\r\nhello");
    origin.head(1);
    gateway.signal("TERM");
    wait_unready(&gateway);
    client.send("world");
    assert_eq!(client.response("POST").status, 200);
    assert_eq!(origin.request(1).text(), "helloworld");
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

#[test]
fn a_drain_answers_a_head_that_has_begun() {
    let origin = Origin::start();
    let mut gateway = before(&origin);
    let mut client = gateway.client();
    client.get("/first");
    client.send("GET /second HTTP/1.1\r\nHos");
    // Answered on another connection, so the half head has been read too: there is one thread.
    gateway.get("/fence");
    gateway.signal("TERM");
    wait_unready(&gateway);
    client.send("t: shop.test\r\n\r\n");
    let response = client.response("GET");
    assert_eq!(response.text(), "GET /second HTTP/1.1");
    assert!(response.closes());
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

#[test]
fn idle_connections_do_not_hold_up_a_drain() {
    let origin = Origin::start();
    let mut gateway = before(&origin);
    let mut idle: Vec<_> = (0..10).map(|_| gateway.client()).collect();
    for client in &mut idle[..5] {
        client.get("/");
    }
    gateway.signal("TERM");
    // Within our patience, which is less than the standard grace of 30 s.
    assert_eq!(gateway.wait_exit().code(), Some(0));
    for client in &mut idle {
        client.ends();
    }
}

#[test]
fn a_drain_ends_when_its_grace_does() {
    let origin = holding(&Gate::new());
    let mut gateway = start(&one_thread(&origin).top("grace = \"300ms\""));
    let mut busy = gateway.client();
    busy.request("GET", "/held");
    origin.head(1);
    gateway.signal("TERM");
    gateway.wait_exit();
    // Cut or answered 503: but not left hanging.
    busy.rest();
}

#[test]
fn an_interrupt_ends_cleanly() {
    let origin = Origin::start();
    let mut gateway = before(&origin);
    gateway.get("/");
    gateway.signal("INT");
    assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
    assert!(!gateway.stderr().contains("panicked"), "{}", gateway.stderr());
}

/// Twenty gateways, one after another, are told to stop while clients ask. Each client keeps to the
/// first gateway that accepts its connection and honours `Connection: close`. What counts as lost:
/// a request whose connection was accepted and that was not answered 200, unless it met the close of
/// an idle connection, which HTTP/1.1 cannot rule out and which clients send again.
#[test]
fn twenty_drains_under_load_lose_no_request() {
    let origin = Origin::start();
    let settings = Text::to(&[origin.address()]);
    let mut old = start(&settings);
    let load = Load::start(4, Habit::Both, &[old.address()]);
    for _ in 0..20 {
        let new = start(&settings);
        load.wait_more(20);
        load.aim(&[old.address(), new.address()]);
        old.signal("TERM");
        assert_eq!(old.wait_exit().code(), Some(0), "{}", old.stderr());
        load.aim(&[new.address()]);
        load.wait_more(20);
        old = new;
    }
    let tally = load.stop();
    println!(
        "20 drains: {} good, {} raced, {} failed",
        tally.good,
        tally.raced,
        tally.failed.len()
    );
    assert!(tally.failed.is_empty(), "{} failed, first:\n{}", tally.failed.len(), tally.failed[0]);
    assert!(tally.good >= 800);
    // The race is with one request for each kept connection and drain, at most.
    assert!(tally.raced <= 2 * 20, "{} met a close", tally.raced);
}
