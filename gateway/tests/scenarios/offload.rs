//! Slow work leaves the path: 202, a status that is right at once, delivery until it has worked.

#![allow(clippy::unwrap_used, reason = "a test of its own: panicking is how it reports")]

use crate::stage::start;
use base::Moment;
use scenario::message::Response;
use scenario::origin::{Action, answer, echo_line, send};
use scenario::{Client, Gate, Gateway, Origin, Text, patience};
use serde_json::Value;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A gateway whose every POST is offloaded; `route` is what its rule says more, `queue` lines of
/// `[queue.default]`.
fn offloading(origin: &Origin, rule: &str, queue: &str) -> (Gateway, Text) {
    let text = Text::to(&[origin.address()])
        .route(&format!("offload = {{ {rule} }}"))
        .rest(&format!("[offload]\n[queue.default]\n{queue}\n"));
    (start(&text), text)
}

fn quick() -> &'static str {
    "retry = { backoff = \"10ms\", backoff_max = \"50ms\" }"
}

pub(crate) fn json(response: &Response) -> Value {
    serde_json::from_str(&response.text()).unwrap_or_else(|e| panic!("{e}: {}", response.text()))
}

pub(crate) fn post(client: &mut Client, target: &str, fields: &str, body: &str) -> Response {
    client.send(format!(
        "POST {target} HTTP/1.1\r\nHost: shop.test\r\n{fields}Content-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    client.response("POST")
}

#[track_caller]
pub(crate) fn ends(gateway: &Gateway, location: &str, state: &str) -> Value {
    let by = patience();
    loop {
        let told = json(&gateway.get(&format!("{location}?wait=5")));
        if told["state"] == state {
            return told;
        }
        assert!(!by.passed(Moment::now()), "{location} does not become {state}: {told}");
    }
}

#[test]
fn a_request_is_kept_answered_and_delivered_as_it_was() {
    let origin =
        Origin::saying("HTTP/1.1 201 Created\r\nX-Made: yes\r\nContent-Length: 4\r\n\r\nmade");
    let (gateway, _) = offloading(&origin, "queue = \"default\"", "");
    let mut client = gateway.client();
    let promise = post(&mut client, "/orders?x=1", "X-Mine: 7\r\n", "the body");
    assert_eq!(promise.status, 202, "{}", promise.text());
    let location = promise.field("location").unwrap().to_owned();
    assert!(location.starts_with("/.fleetfoot/jobs/"), "{location}");
    assert!(promise.field("retry-after").is_some());
    let told = ends(&gateway, &location, "succeeded");
    assert_eq!((told["status"].as_u64(), told["attempts"].as_u64()), (Some(201), Some(1)));
    let request = origin.request(1);
    assert_eq!(request.target, "/orders?x=1");
    assert_eq!(request.text(), "the body");
    assert_eq!(request.head.one("x-mine"), Some("7"));
    assert!(request.head.one("idempotency-key").unwrap().starts_with('"'));
    assert_eq!(request.head.one("fleetfoot-attempt"), Some("1"));
    let result = gateway.get(&format!("{location}/result"));
    assert_eq!((result.status, result.text().as_str()), (201, "made"));
    assert_eq!(result.field("x-made"), Some("yes"));
    assert!(origin.problems().is_empty(), "{:?}", origin.problems());
}

#[test]
fn the_status_is_right_from_the_first_byte_of_the_202_on() {
    let (gate, origin) = holding();
    let (gateway, _) = offloading(&origin, "", "at_once = 1");
    let mut client = gateway.client();
    let many = if std::env::var_os("FULL").is_some() { 10_000 } else { 1_000 };
    let mut last = String::new();
    for n in 0..many {
        let promise = post(&mut client, &format!("/{n}"), "", "x");
        assert_eq!(promise.status, 202, "{}", promise.text());
        last = promise.field("location").unwrap().to_owned();
        let told = json(&client.get(&last));
        let state = told["state"].as_str().unwrap_or_default().to_owned();
        assert!(matches!(state.as_str(), "queued" | "running"), "the {n}th: {told}");
    }
    gate.open();
    ends(&gateway, &last, "succeeded");
    assert_eq!(origin.requests().len(), many);
}

#[test]
fn an_answer_that_says_later_is_tried_again_with_the_same_key() {
    let asked = AtomicUsize::new(0);
    let origin = Origin::play(move |_| match asked.fetch_add(1, Ordering::Relaxed) {
        0 => answer("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"),
        1 => vec![Action::Body, Action::Reset],
        2 => vec![
            Action::Body,
            send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"),
            Action::Close,
        ],
        _ => answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"),
    });
    let (gateway, _) = offloading(&origin, "", quick());
    let promise = post(&mut gateway.client(), "/a", "", "x");
    let location = promise.field("location").unwrap().to_owned();
    let told = ends(&gateway, &location, "succeeded");
    // Below the room a service may ask once more, or find nobody to ask.
    assert!(told["attempts"].as_u64() >= Some(2), "{told}");
    let keys: Vec<String> = origin
        .requests()
        .iter()
        .map(|request| request.head.one("idempotency-key").unwrap().to_owned())
        .collect();
    assert_eq!(keys.len(), 4);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(gateway.get(&format!("{location}/result")).text(), "done");
}

#[test]
fn an_answer_that_is_final_is_kept_whatever_it_says() {
    let origin = Origin::saying("HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nno!");
    let (gateway, _) = offloading(&origin, "", quick());
    let promise = post(&mut gateway.client(), "/a", "", "x");
    let location = promise.field("location").unwrap().to_owned();
    let told = ends(&gateway, &location, "succeeded");
    assert_eq!((told["reason"].as_str(), told["attempts"].as_u64()), (Some("refused"), Some(1)));
    let result = gateway.get(&format!("{location}/result"));
    assert_eq!((result.status, result.text().as_str()), (404, "no!"));
}

#[test]
fn what_never_works_is_dead() {
    let origin = Origin::saying("HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n");
    let (gateway, _) =
        offloading(&origin, "", "retry = { tries = 3, backoff = \"1ms\", backoff_max = \"5ms\" }");
    let promise = post(&mut gateway.client(), "/a", "", "x");
    let location = promise.field("location").unwrap().to_owned();
    let told = ends(&gateway, &location, "dead");
    assert_eq!((told["reason"].as_str(), told["attempts"].as_u64()), (Some("status"), Some(3)));
    assert_eq!(origin.requests().len(), 3);
}

#[test]
fn a_name_makes_one_job_however_often_it_is_said() {
    let origin = Origin::start();
    let (gateway, _) = offloading(&origin, "", "");
    let mut client = gateway.client();
    let first = post(&mut client, "/a", "Idempotency-Key: \"k1\"\r\n", "x");
    let second = post(&mut client, "/a", "Idempotency-Key: k1\r\n", "x");
    assert_eq!((first.status, second.status), (202, 202));
    assert_eq!(first.field("location"), second.field("location"));
    assert_eq!(second.field("idempotency-replayed"), Some("true"));
    assert_eq!(first.field("idempotency-replayed"), None);
    let other = post(&mut client, "/a", "Idempotency-Key: k1\r\n", "another body");
    assert_eq!(
        (other.status, json(&other)["reason"].as_str()),
        (422, Some("idempotency_mismatch"))
    );
    let somebody = post(&mut client, "/a", "Authorization: you\r\nIdempotency-Key: k1\r\n", "x");
    assert_eq!(somebody.status, 202);
    assert_ne!(somebody.field("location"), first.field("location"));
    ends(&gateway, first.field("location").unwrap(), "succeeded");
    let after = post(&mut client, "/a", "Idempotency-Key: k1\r\n", "x");
    assert_eq!(after.field("location"), first.field("location"), "also when it is over");
    for bad in ["\"open", "\"\"", "a b"] {
        let refused = post(&mut client, "/a", &format!("Idempotency-Key: {bad}\r\n"), "x");
        assert_eq!(refused.status, 400, "{bad}: {}", refused.text());
    }
    ends(&gateway, somebody.field("location").unwrap(), "succeeded");
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_hundred_at_once_with_one_name_are_one_job() {
    let origin = Origin::start();
    let (gateway, _) = offloading(&origin, "", "");
    let address = gateway.address();
    let threads: Vec<_> = (0..100)
        .map(|_| {
            std::thread::spawn(move || {
                let mut client = Client::connect(address);
                let promise = post(&mut client, "/a", "Idempotency-Key: \"one\"\r\n", "x");
                (promise.status, promise.field("location").unwrap_or_default().to_owned())
            })
        })
        .collect();
    let all: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(all.iter().all(|one| *one == all[0] && one.0 == 202), "{all:?}");
    ends(&gateway, &all[0].1, "succeeded");
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn who_prefers_to_wait_gets_the_answer_itself() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::play(move |request| match request.target.as_str() {
        "/slow" => vec![
            Action::Body,
            Action::Wait(held.clone()),
            send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        _ => echo_line(request),
    });
    let (gateway, _) = offloading(&origin, "when = \"prefer\"", "");
    let mut client = gateway.client();
    let plain = post(&mut client, "/plain", "", "x");
    assert_eq!((plain.status, plain.text().as_str()), (200, "POST /plain HTTP/1.1"));
    let soon = post(&mut client, "/soon", "Prefer: respond-async, wait=20\r\n", "x");
    assert_eq!((soon.status, soon.text().as_str()), (200, "POST /soon HTTP/1.1"));
    assert_eq!(soon.field("preference-applied"), Some("wait=20"));
    let late = post(&mut client, "/slow", "Prefer: respond-async, wait=0\r\n", "x");
    assert_eq!(late.status, 202);
    assert_eq!(late.field("preference-applied"), Some("respond-async"));
    assert_eq!(late.field("vary"), Some("Prefer"));
    gate.open();
    ends(&gateway, late.field("location").unwrap(), "succeeded");
}

#[test]
fn a_job_is_taken_back_while_it_waits_and_not_after() {
    let (gate, origin) = holding();
    let (gateway, _) = offloading(&origin, "", "at_once = 1");
    let mut client = gateway.client();
    let first = post(&mut client, "/1", "", "x");
    origin.head(1);
    let second = post(&mut client, "/2", "", "x");
    let delete = |location: &str| ask(&gateway, "DELETE", location);
    let taken = delete(second.field("location").unwrap());
    assert_eq!((taken.status, json(&taken)["state"].as_str()), (200, Some("cancelled")));
    assert_eq!(delete(second.field("location").unwrap()).status, 409);
    let running = delete(first.field("location").unwrap());
    assert_eq!((running.status, json(&running)["reason"].as_str()), (409, Some("job_busy")));
    gate.open();
    ends(&gateway, first.field("location").unwrap(), "succeeded");
    assert_eq!(origin.requests().len(), 1, "what was taken back is never delivered");
}

#[test]
fn an_address_that_nobody_was_given_is_unknown() {
    let origin = Origin::start();
    let (gateway, _) = offloading(&origin, "", "");
    let promise = post(&mut gateway.client(), "/1", "", "x");
    let location = promise.field("location").unwrap().to_owned();
    let mut bent = location.clone().into_bytes();
    let last = bent.len() - 2;
    bent[last] = if bent[last] == b'A' { b'B' } else { b'A' };
    for bad in
        [String::from_utf8(bent).unwrap(), "/.fleetfoot/jobs".into(), "/.fleetfoot/jobs/x".into()]
    {
        let answer = gateway.get(&bad);
        assert_eq!(
            (answer.status, json(&answer)["reason"].as_str()),
            (404, Some("no_job")),
            "{bad}"
        );
    }
    assert_eq!(ask(&gateway, "PUT", &location).status, 405);
}

#[test]
fn what_is_too_large_or_has_no_name_is_refused() {
    let origin = Origin::start();
    let text = Text::to(&[origin.address()])
        .route("offload = { idempotency = \"required\" }")
        .rest("[offload]\nbody_max = \"1 KiB\"\n");
    let gateway = start(&text);
    let mut client = gateway.client();
    let nameless = post(&mut client, "/1", "", "x");
    assert_eq!(
        (nameless.status, json(&nameless)["reason"].as_str()),
        (400, Some("bad_idempotency_key"))
    );
    let mut client = gateway.client();
    let large = post(&mut client, "/1", "Idempotency-Key: a\r\n", &"x".repeat(1025));
    assert_eq!(large.status, 413);
    let mut client = gateway.client();
    client.send(
        "POST /1 HTTP/1.1\r\nHost: a\r\nIdempotency-Key: b\r\nTransfer-Encoding: chunked\r\n\r\n",
    );
    client.send(format!("401\r\n{}\r\n0\r\n\r\n", "x".repeat(0x401)));
    assert_eq!(client.response("POST").status, 413);
    assert_eq!(origin.requests().len(), 0);
}

#[test]
fn a_client_that_goes_before_the_end_of_its_body_leaves_nothing() {
    let origin = Origin::start();
    let (gateway, _) = offloading(&origin, "", "");
    let half = "POST /half HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\n";
    let mut sized = gateway.client();
    sized.send(format!("{half}Content-Length: 10\r\n\r\nhello"));
    sized.reset();
    let mut chunked = gateway.client();
    chunked.send(format!("{half}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"));
    chunked.finish();
    let refused = chunked.rest().0;
    assert!(!refused.starts_with(b"HTTP/1.1 202"), "{}", refused.escape_ascii());
    // The name is still free, and the only job is the whole one.
    let whole = post(&mut gateway.client(), "/half", "Idempotency-Key: k\r\n", "helloworld");
    assert_eq!((whole.status, whole.field("idempotency-replayed")), (202, None));
    ends(&gateway, whole.field("location").unwrap(), "succeeded");
    let bodies: Vec<String> = origin.requests().iter().map(scenario::Request::text).collect();
    assert_eq!(bodies, ["helloworld"]);
    assert!((gateway.metric("fleetfoot_jobs_accepted_total") - 1.0).abs() < 0.5);
}

#[test]
fn changes_are_told_as_events() {
    let (gate, origin) = holding();
    let (gateway, _) = offloading(&origin, "", "");
    let promise = post(&mut gateway.client(), "/1", "", "x");
    origin.head(1);
    let mut client = gateway.client();
    let location = promise.field("location").unwrap();
    client.send(format!("GET {location} HTTP/1.1\r\nHost: a\r\nAccept: text/event-stream\r\n\r\n"));
    let opener = gate.clone();
    let opening = std::thread::spawn(move || opener.open());
    let events = client.response("GET").text();
    opening.join().unwrap();
    assert!(events.contains("event: succeeded\ndata: {"), "{events}");
}

/// An origin that answers nobody before the gate is open.
pub(crate) fn holding() -> (Gate, Origin) {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::play(move |_| {
        vec![
            Action::Body,
            Action::Wait(held.clone()),
            send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone"),
        ]
    });
    (gate, origin)
}

fn ask(gateway: &Gateway, method: &str, target: &str) -> Response {
    let mut client = gateway.client();
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
    client.response(method)
}
