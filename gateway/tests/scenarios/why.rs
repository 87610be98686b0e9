//! Why the tail is slow: what the admin listener and the verb say of traffic that had a fault.

use crate::stage::{FLEETFOOT, start};
use scenario::gateway::run;
use scenario::origin::answer;
use scenario::server::wait_until;
use scenario::{Fleet, Gateway};
use serde_json::Value;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const ILL: &str = "HTTP/1.1 500 Ill\r\nContent-Length: 4\r\n\r\nfail";
const NEVER_AGAIN: &str = "retry = { attempts = 1 }\nbalance = { eject = false }";
const REQUESTS: usize = 300;

/// A gateway that has passed this many requests on, of which every fourth was for `/ill`.
fn after_traffic(fleet: &Fleet) -> Gateway {
    let gateway = start(&fleet.text().service(NEVER_AGAIN));
    let mut client = gateway.client();
    for turn in 0..REQUESTS {
        client.get(if turn % 4 == 0 { "/ill?name=1" } else { "/well" });
    }
    gateway
}

fn why(gateway: &Gateway) -> Value {
    let page = gateway.ask("GET", "/why.json");
    assert_eq!(page.status, 200, "{}", page.text());
    serde_json::from_slice(&page.body).expect("JSON")
}

#[test]
fn a_service_that_fails_is_named_with_figures() {
    let fleet =
        Fleet::play(
            2,
            |_, request| {
                if request.target.starts_with("/ill") { answer(ILL) } else { answer(OK) }
            },
        );
    let gateway = after_traffic(&fleet);
    wait_until("the records of all", || why(&gateway)["count"] == REQUESTS);
    let told = why(&gateway);
    assert_eq!(told["window_s"], 60);
    assert!(told["p99_ms"].as_f64() >= told["p50_ms"].as_f64(), "{told:#}");
    let found = &told["findings"][0];
    assert_eq!(found["cause"], "failing-service", "{told:#}");
    let sentence = found["sentence"].as_str().expect("a sentence");
    assert!(sentence.starts_with("25 % of the requests to ") && sentence.contains("status 500"));
    let fields: Vec<&str> =
        found.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(fields, ["cause", "title", "sentence", "next", "ms", "share"]);
    let phases: f64 =
        told["bands"].as_array().into_iter().flatten().filter_map(|b| b["p99_ms"].as_f64()).sum();
    assert!((phases - told["p99_ms"].as_f64().expect("a figure")).abs() < 0.01, "{told:#}");
    let edge = &told["map"][0];
    assert_eq!((&edge["from"], &edge["count"]), (&"client".into(), &REQUESTS.into()), "{told:#}");
    // The first of its kind was kept whole, so its text is known.
    let keys = told["slow_keys"].as_array().expect("a list");
    assert!(
        keys.iter().any(|key| key["key"].as_str().is_some_and(|key| key.ends_with("/ill?name=1")))
    );
}

#[test]
fn the_verb_prints_the_sentences() {
    let fleet =
        Fleet::play(
            2,
            |_, request| {
                if request.target.starts_with("/ill") { answer(ILL) } else { answer(OK) }
            },
        );
    let gateway = after_traffic(&fleet);
    let admin = gateway.admin().to_string();
    let ask = |more: &[&str]| run(&FLEETFOOT, &[&["why", "--admin", &admin], more].concat());
    wait_until("the records of all", || {
        ask(&[]).stdout.contains("1. The service fails (failing-service)")
    });
    let ended = ask(&["--json"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let told: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    assert_eq!(told["findings"][0]["cause"], "failing-service");
    assert_eq!(gateway.ask("POST", "/why").status, 405);
}

#[test]
fn little_traffic_has_no_causes() {
    let fleet = Fleet::play(1, |_, _| answer(OK));
    let gateway = start(&fleet.text());
    assert!(gateway.ask("GET", "/why").text().contains("Too few requests to say why"));
    assert_eq!(why(&gateway)["findings"], Value::Array(Vec::new()));
}
