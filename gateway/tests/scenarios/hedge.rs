//! Slow requests that are asked of a second server as well.

use crate::stage::start;
use scenario::origin::{Action, answer, send};
use scenario::{Client, Fleet, Gate, Gateway, Origin2, Reply, Request, Text, Turn};
use serde_json::Value;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};

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
    let gateway = learned_with(&hedged(&fleet).rest("[monitor]\naccess_log = \"access.log\""));
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
    // The loser's connection is closed.
    let (loser, lost) = fleet.request(before + 1);
    gate.open();
    fleet.origins[loser].closed(lost.connection);
    // Nothing of it is left for anybody else.
    for number in 0..20 {
        let target = format!("/next/{number}");
        assert_eq!(client.get(&target).text(), target);
    }
    let file = gateway.file().with_file_name("access.log");
    let by = scenario::patience();
    let line = loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if let Some(line) = text.lines().find(|line| line.contains("/held/1")) {
            break line.to_owned();
        }
        assert!(!by.passed(base::Moment::now()), "it was not logged");
    };
    let line: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(
        (&line["hedged"], &line["attempts"]),
        (&Value::Bool(true), &Value::from(2)),
        "{line}"
    );
    assert_eq!(line["server"], fleet.addresses()[order[1]].to_string(), "{line}");
}

#[test]
fn the_loser_of_two_streams_is_reset_and_its_connection_lives_on() {
    let (gate, hold) = (Gate::new(), Arc::new(AtomicBool::new(false)));
    let origins = [0, 1].map(|_| {
        let (wait, hold) = (gate.clone(), Arc::clone(&hold));
        Origin2::play(100, move |asked| match asked.body {
            Some(_) if hold.swap(false, SeqCst) => Reply::Held(wait.clone(), b"first".to_vec()),
            _ => Reply::Good(b"good".to_vec()),
        })
    });
    let addresses = origins.each_ref().map(Origin2::address);
    let text = Text::to(&addresses).top("threads = 1\ncache = false").service(
        "http = \"2\"\nhedge = \"5%\"\nbalance = { policy = \"round-robin\", eject = false }",
    );
    let gateway = learned_with(&text);
    let connections = origins.each_ref().map(Origin2::connections);
    let resets = || {
        origins
            .each_ref()
            .map(|origin| origin.asked().iter().filter(|asked| asked.reset == Some(8)).count())
    };
    let before: usize = resets().iter().sum();
    hold.store(true, SeqCst);
    let mut client = gateway.client();
    assert_eq!(client.get("/").text(), "good");
    assert!(!hold.load(SeqCst), "nothing was held");
    let by = scenario::patience();
    while resets().iter().sum::<usize>() == before {
        assert!(!by.passed(base::Moment::now()), "the loser was never told");
    }
    gate.open();
    for _ in 0..20 {
        assert_eq!(client.get("/").text(), "good");
    }
    assert_eq!(origins.each_ref().map(Origin2::connections), connections);
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

/// Eight clients' requests all stall until eighty more have come, which those of two others are: one
/// request in ten is slow, more than hedging may add.
#[test]
fn no_more_is_added_than_the_share() {
    let seen = Mutex::new(HashSet::new());
    let fleet = Fleet::play(3, move |turn: &Turn, request| {
        let target = &request.target;
        let stalls =
            target.starts_with("/stall") && seen.lock().expect("unpoisoned").insert(target.clone());
        if stalls {
            turn.wait(turn.number + 80);
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
        for number in 0..2 {
            let (gateway, over, ask) = (&gateway, &over, &ask);
            scope.spawn(move || {
                let mut client = gateway.client();
                while !over.load(SeqCst) {
                    ask(&mut client, &format!("/quick/{number}"));
                }
            });
        }
        let slow: Vec<_> = (0..8)
            .map(|client| {
                let (gateway, ask) = (&gateway, &ask);
                scope.spawn(move || {
                    let mut connection = gateway.client();
                    for number in 0..15 {
                        ask(&mut connection, &format!("/stall/{client}/{number}"));
                    }
                })
            })
            .collect();
        let ended: Vec<_> = slow.into_iter().map(std::thread::ScopedJoinHandle::join).collect();
        over.store(true, SeqCst);
        assert!(ended.iter().all(Result::is_ok));
    });
    let asked = asked.load(SeqCst);
    let extra = fleet.total() as f64 - (before + asked) as f64;
    let sent = sent(&gateway) - earlier;
    assert!(sent >= 1.0, "nothing was hedged");
    // What came before counts too.
    let most = (before + asked) as f64 * 0.05;
    assert!(sent <= most, "{sent} extra requests beside {asked}");
    // Who lost may have been told before its server looked.
    assert!(extra <= sent, "{extra} came, {sent} were sent");
}
