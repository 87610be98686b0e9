//! Slow requests that are asked of a second server as well.

use crate::stage::start;
use scenario::origin::{Action, answer, send};
use scenario::{Client, Fleet, Gate, Gateway, Request, Text, Turn};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};

fn named(request: &Request, server: usize) -> String {
    let target = &request.target;
    format!(
        "HTTP/1.1 200 OK\r\nServer-Number: {server}\r\nContent-Length: {}\r\n\r\n{target}",
        target.len()
    )
}

/// Servers that answer at once, but hold the first `/held` of all until the gate opens.
fn holding(count: usize) -> (Fleet, Gate) {
    let gate = Gate::new();
    let wait = gate.clone();
    let held = AtomicBool::new(false);
    let fleet = Fleet::play(count, move |turn, request| {
        let says = named(request, turn.server);
        let first = request.target.starts_with("/held") && !held.swap(true, SeqCst);
        if first {
            vec![Action::Body, Action::Wait(wait.clone()), send(says)]
        } else {
            answer(says)
        }
    });
    (fleet, gate)
}

fn hedged(fleet: &Fleet) -> Text {
    fleet.text().service("hedge = \"5%\"\nbalance = { policy = \"round-robin\", eject = false }")
}

fn state(gateway: &Gateway) -> Value {
    let page = gateway.ask("GET", "/servers");
    let page: Value = serde_json::from_slice(&page.body).expect("JSON");
    page[0]["hedge"].clone()
}

/// Asks until it is known how long answers take, and then as often as pays for a few second tries.
fn learned(fleet: &Fleet) -> Gateway {
    learned_with(&hedged(fleet))
}

fn learned_with(text: &Text) -> Gateway {
    let gateway = start(text);
    let mut client = gateway.client();
    let by = scenario::patience();
    while state(&gateway)["delay_ms"].is_null() {
        for _ in 0..50 {
            assert_eq!(client.get("/quick").status, 200);
        }
        assert!(!by.passed(base::Moment::now()), "nothing was learned: {}", state(&gateway));
    }
    for _ in 0..100 {
        assert_eq!(client.get("/quick").status, 200);
    }
    gateway
}

fn sent(gateway: &Gateway) -> f64 {
    gateway.metric("fleetfoot_service_hedges_total{service=\"shop\",ended=\"sent\"")
}

#[test]
fn a_slow_request_is_answered_by_a_second_server_and_the_first_is_told() {
    let (fleet, gate) = holding(2);
    let gateway = learned(&fleet);
    // What was quick may have been hedged too, on a busy machine.
    let (before, earlier) = (fleet.total(), sent(&gateway));
    let mut client = gateway.client();
    let response = client.get("/held/1");
    assert_eq!(response.text(), "/held/1");
    let order = fleet.order()[before..].to_vec();
    assert!(order.len() == 2 && order[0] != order[1], "{order:?}");
    assert_eq!(response.field("server-number"), Some(order[1].to_string().as_str()));
    assert!((sent(&gateway) - earlier - 1.0).abs() < 0.1);
    let won = gateway.metric("fleetfoot_service_hedges_total{service=\"shop\",ended=\"won\"");
    assert!(won >= 1.0, "{won}");
    // The loser's connection is closed, before it has said anything.
    let loser = &fleet.origins[order[0]];
    let open = loser.connections();
    gate.open();
    loser.open_connections(open - 1);
    // Nothing of it is left for anybody else.
    for number in 0..20 {
        let target = format!("/next/{number}");
        assert_eq!(client.get(&target).text(), target);
    }
}

#[test]
fn what_may_not_be_done_twice_is_not_hedged() {
    let (fleet, gate) = holding(2);
    let gateway = learned(&fleet);
    let before = fleet.total();
    let mut client = gateway.client();
    client.send("POST /held HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 2\r\n\r\nhi");
    fleet.wait(before + 1);
    // Many others come and go, so that its delay is long over.
    let mut other = gateway.client();
    for _ in 0..200 {
        assert_eq!(other.get("/quick").status, 200);
    }
    gate.open();
    assert_eq!(client.response("POST").text(), "/held");
    let posts = fleet.origins.iter().flat_map(scenario::Origin::requests);
    assert_eq!(posts.filter(|request| request.method == "POST").count(), 1);
}

#[test]
fn a_post_with_an_idempotency_key_is_hedged_with_its_body() {
    let (fleet, gate) = holding(2);
    let gateway = learned(&fleet);
    let mut client = gateway.client();
    client.send(
        "POST /held HTTP/1.1\r\nHost: shop.test\r\nIdempotency-Key: k\r\nContent-Length: 5\r\n\r\nhello",
    );
    assert_eq!(client.response("POST").status, 200);
    let bodies: Vec<_> = fleet
        .origins
        .iter()
        .flat_map(scenario::Origin::requests)
        .filter(|request| request.method == "POST")
        .map(|request| request.text())
        .collect();
    assert_eq!(bodies, ["hello", "hello"]);
    gate.open();
}

#[test]
fn with_one_server_alive_nothing_is_hedged() {
    let (mut fleet, gate) = holding(2);
    fleet.origins[1].stop();
    let eject = "eject = { success = false, slow = false }";
    let text = fleet
        .text()
        .service(&format!("hedge = \"5%\"\nbalance = {{ policy = \"round-robin\", {eject} }}"));
    let gateway = learned_with(&text);
    let before = fleet.total();
    let mut client = gateway.client();
    client.request("GET", "/held");
    fleet.wait(before + 1);
    let mut other = gateway.client();
    for _ in 0..200 {
        assert_eq!(other.get("/quick").status, 200);
    }
    gate.open();
    assert_eq!(client.response("GET").text(), "/held");
    assert_eq!(fleet.total(), before + 201);
    assert!(sent(&gateway) < 0.1);
}

#[test]
fn before_anything_is_learned_nothing_is_hedged() {
    let (fleet, gate) = holding(2);
    let gateway = start(&hedged(&fleet));
    let mut client = gateway.client();
    client.request("GET", "/held");
    fleet.wait(1);
    let mut other = gateway.client();
    for _ in 0..50 {
        assert_eq!(other.get("/quick").status, 200);
    }
    assert_eq!(state(&gateway)["not_now"], "learning");
    gate.open();
    assert_eq!(client.response("GET").text(), "/held");
    assert_eq!(fleet.total(), 51);
}

#[test]
fn a_second_try_that_fails_leaves_the_first_its_chance() {
    let gate = Gate::new();
    let wait = gate.clone();
    let held = AtomicUsize::new(0);
    let fleet = Fleet::play(2, move |turn, request| {
        let says = named(request, turn.server);
        if request.target != "/held" {
            return answer(says);
        }
        match held.fetch_add(1, SeqCst) {
            0 => vec![Action::Wait(wait.clone()), send(says)],
            _ => [
                answer("HTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno"),
                vec![Action::Open(wait.clone())],
            ]
            .concat(),
        }
    });
    let gateway = learned(&fleet);
    let response = gateway.get("/held");
    assert_eq!((response.status, response.text().as_str()), (200, "/held"));
}

/// One client's every request stalls until eight more have come, which those of three others are:
/// more than hedging may add.
#[test]
fn no_more_is_added_than_the_share() {
    let seen = Mutex::new(HashSet::new());
    let fleet = Fleet::play(3, move |turn: &Turn, request| {
        let target = &request.target;
        let stalls =
            target.starts_with("/stall") && seen.lock().expect("unpoisoned").insert(target.clone());
        if stalls {
            turn.wait(turn.number + 8);
        }
        answer(named(request, turn.server))
    });
    let gateway = learned(&fleet);
    let (before, earlier) = (fleet.total(), sent(&gateway));
    let (over, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let ask = |client: &mut Client, target: &str| {
        // Answers never change places, whoever wins.
        assert_eq!(client.get(target).text(), target);
        asked.fetch_add(1, SeqCst);
    };
    std::thread::scope(|scope| {
        for number in 0..3 {
            let (gateway, over, ask) = (&gateway, &over, &ask);
            scope.spawn(move || {
                let mut client = gateway.client();
                while !over.load(SeqCst) {
                    ask(&mut client, &format!("/quick/{number}"));
                }
            });
        }
        let mut client = gateway.client();
        for number in 0..150 {
            ask(&mut client, &format!("/stall/{number}"));
        }
        over.store(true, SeqCst);
    });
    let asked = asked.load(SeqCst);
    let extra = fleet.total() - before - asked;
    assert!(extra >= 1, "nothing was hedged");
    // What came before counts too.
    let most = (before + asked) as f64 * 0.05;
    assert!(extra as f64 <= most, "{extra} extra requests, of {asked}");
    assert!((sent(&gateway) - earlier - extra as f64).abs() < 0.1, "{extra} extra requests");
}
