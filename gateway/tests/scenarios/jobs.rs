//! Jobs for operators: the list, one of them, trying again, taking back, replaying what is dead; on
//! the admin listener and by `fleetfoot jobs`.

#![allow(clippy::unwrap_used, reason = "a test of its own: panicking is how it reports")]

use crate::stage::{FLEETFOOT, before, start};
use base::Moment;
use scenario::gateway::{Ended, Folder, run};
use scenario::message::Response;
use scenario::origin::{Action, answer, send};
use scenario::server::wait_until;
use scenario::{Client, Gate, Gateway, Origin, Text, patience};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// With a status that says nothing bad of the service as a whole: else it would be left in peace.
const DIES_AT_ONCE: &str = "retry = { tries = 1, statuses = [418] }";
const RETRIES_LATER: &str =
    "retry = { tries = 5, statuses = [418], backoff = \"1h\", backoff_max = \"1h\" }";

/// A gateway whose every POST is offloaded, the folder of its store, and its settings.
fn offloading(origin: &Origin, queue: &str) -> (Gateway, Folder, Text) {
    let folder = Folder::new();
    let store = folder.path().join("jobs").display().to_string();
    let text = Text::to(&[origin.address()])
        .route("offload = true")
        .rest(&format!("[offload]\nstore = {store:?}\n[queue.default]\n{queue}\n"));
    (start(&text), folder, text)
}

/// An origin that is ill until it is told to be well.
fn ill() -> (Origin, Arc<AtomicBool>) {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let origin = Origin::play(move |_| {
        let line = if is_well.load(Relaxed) { "200 OK" } else { "418 Unwell" };
        answer(format!("HTTP/1.1 {line}\r\nSet-Cookie: sid=SECRET\r\nContent-Length: 0\r\n\r\n"))
    });
    (origin, well)
}

/// Sends a request that becomes a job; its token.
fn post(gateway: &Gateway, target: &str, fields: &str) -> String {
    let mut client = gateway.client();
    let head =
        format!("POST {target} HTTP/1.1\r\nHost: shop.test\r\n{fields}Content-Length: 1\r\n\r\n");
    client.send(format!("{head}x"));
    let promise = client.response("POST");
    assert_eq!(promise.status, 202, "{}", promise.text());
    promise.field("location").and_then(|at| at.rsplit('/').next()).expect("a token").to_owned()
}

#[track_caller]
fn said(response: &Response) -> Value {
    serde_json::from_str(&response.text()).unwrap_or_else(|e| panic!("{e}: {}", response.text()))
}

/// Asks the admin listener, with a body and more fields.
fn admin(gateway: &Gateway, method: &str, path: &str, fields: &str, body: &str) -> Response {
    let mut client = Client::connect(gateway.admin());
    let length = body.len();
    client.send(format!(
        "{method} {path} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {length}\r\n\r\n{body}"
    ));
    client.response(method)
}

#[track_caller]
fn get(gateway: &Gateway, path: &str) -> Value {
    let response = admin(gateway, "GET", path, "", "");
    assert_eq!(response.status, 200, "{path}: {}", response.text());
    said(&response)
}

/// Waits until the job is what it should be, and in the store.
#[track_caller]
fn becomes(gateway: &Gateway, id: &str, state: &str) -> Value {
    let by = patience();
    loop {
        let told = get(gateway, &format!("/jobs/{id}"));
        // What is on its way into the store has no route yet.
        if told["state"] == state && told["route"].is_string() {
            return told;
        }
        assert!(!by.passed(Moment::now()), "{id} does not become {state}: {told}");
        std::thread::yield_now();
    }
}

fn jobs(gateway: &Gateway, more: &[&str]) -> Ended {
    let admin = gateway.admin().to_string();
    run(&FLEETFOOT, &[&["jobs", "--admin", &admin], more].concat())
}

#[test]
fn a_list_has_every_job_once_page_by_page() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::play(move |request| match &*request.target {
        "/held" => vec![
            Action::Body,
            Action::Wait(held.clone()),
            send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ],
        _ => answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    });
    let (gateway, _store, _) = offloading(&origin, "at_once = 1");
    let mut over: Vec<String> = Vec::new();
    for n in 0..5 {
        over.push(post(&gateway, &format!("/{n}"), ""));
        becomes(&gateway, &over[n], "succeeded");
    }
    let running = post(&gateway, "/held", "");
    origin.head(6);
    let waiting: Vec<String> = (0..7).map(|n| post(&gateway, &format!("/w{n}"), "")).collect();
    let (mut tokens, mut path, mut pages) = (Vec::new(), "/jobs?limit=3".to_owned(), 0);
    loop {
        let page = get(&gateway, &path);
        let rows = page["jobs"].as_array().expect("a list");
        assert!(rows.len() <= 3, "{page}");
        tokens.extend(rows.iter().map(|row| row["token"].as_str().unwrap_or_default().to_owned()));
        pages += 1;
        let Some(next) = page["next"].as_str() else { break };
        path = format!("/jobs?limit=3&cursor={next}");
    }
    let mut all = [&over[..], &waiting[..], std::slice::from_ref(&running)].concat();
    assert!(pages >= 5, "{pages}");
    assert_eq!(tokens[8..], over, "those that are over come last, in their order");
    all.sort();
    tokens.sort();
    assert_eq!(tokens, all);
    // Choices.
    let count = |query: &str| {
        let page = get(&gateway, &format!("/jobs?{query}"));
        page["jobs"].as_array().expect("a list").len()
    };
    assert_eq!((count("state=queued"), count("state=running")), (7, 1));
    assert_eq!((count("state=succeeded"), count("state=dead")), (5, 0));
    assert_eq!((count("queue=default"), count("queue=nowhere")), (13, 0));
    assert_eq!((count("reason=delivered"), count("since=1h"), count("before=1h")), (5, 13, 0));
    assert_eq!((count("route=nowhere"), count("route=*&limit=1000")), (0, 13));
    let row = get(&gateway, "/jobs?state=running")["jobs"][0].clone();
    assert_eq!((row["token"].as_str(), row["attempts"].as_u64()), (Some(&*running), Some(1)));
    gate.open();
    becomes(&gateway, &waiting[6], "succeeded");
    let listed = jobs(&gateway, &["--state", "succeeded", "--limit", "12"]);
    assert_eq!(listed.code, Some(0), "{listed:?}");
    assert!(listed.stdout.lines().all(|line| line.chars().count() <= 80), "{}", listed.stdout);
    assert_eq!(listed.stdout.lines().count(), 1 + 12 + 1, "{}", listed.stdout);
    assert!(listed.stdout.contains("ok 200") && listed.stdout.contains("There are more"));
    let listed = jobs(&gateway, &["list", "--json"]);
    let listed: Value = serde_json::from_str(&listed.stdout).expect("JSON");
    assert_eq!(listed["jobs"].as_array().map(Vec::len), Some(13), "{listed}");
}

#[test]
fn one_is_told_whole_without_secrets() {
    let (origin, _) = ill();
    let (gateway, _store, _) = offloading(&origin, DIES_AT_ONCE);
    let fields = "Authorization: Bearer SECRET\r\nCookie: sid=SECRET\r\nX-Api-Key: SECRET\r\n\
                  Content-Type: text/plain\r\n";
    let token = post(&gateway, "/orders?access_token=SECRET&n=1", fields);
    let told = becomes(&gateway, &token, "dead");
    let text = told.to_string();
    assert!(!text.contains("SECRET"), "{text}");
    assert_eq!((told["reason"].as_str(), told["status"].as_u64()), (Some("status"), Some(418)));
    assert_eq!((told["service"].as_str(), told["queue"].as_str()), (Some("shop"), Some("default")));
    let request = &told["request"];
    assert_eq!(
        (request["method"].as_str(), request["body_bytes"].as_u64()),
        (Some("POST"), Some(1))
    );
    assert!(
        request["target"].as_str().is_some_and(|t| t.contains("/orders?") && t.contains("n=1"))
    );
    assert_eq!(request["fields"]["content-type"], "text/plain");
    for name in ["authorization", "cookie", "x-api-key"] {
        let known = request["fields"].as_object().is_some_and(|fields| fields.contains_key(name));
        assert!(known && request["fields"][name].is_null(), "{name}: {request}");
    }
    assert_eq!(told["answer"]["status"], 418);
    // By its UUID as by its token; and for people.
    let id = told["id"].as_str().expect("an id");
    assert_eq!(get(&gateway, &format!("/jobs/{id}")), told);
    let shown = jobs(&gateway, &["show", id]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    for part in ["state        dead", "request: POST /orders?", "authorization: (not shown)"] {
        assert!(shown.stdout.contains(part), "no {part}: {}", shown.stdout);
    }
    assert!(!shown.stdout.contains("SECRET"), "{}", shown.stdout);
}

#[test]
fn a_job_that_waits_for_its_next_try_is_made_due() {
    let (origin, well) = ill();
    let (gateway, _store, _) = offloading(&origin, RETRIES_LATER);
    let token = post(&gateway, "/a", "");
    let told = becomes(&gateway, &token, "scheduled");
    assert_eq!((told["reason"].as_str(), told["status"].as_u64()), (Some("status"), Some(418)));
    well.store(true, Relaxed);
    let retried = jobs(&gateway, &["retry", &token]);
    assert_eq!((retried.code, retried.stdout.as_str()), (Some(0), "due now\n"), "{retried:?}");
    assert_eq!(becomes(&gateway, &token, "succeeded")["attempts"], 2);
    let again = admin(&gateway, "POST", &format!("/jobs/{token}/retry"), "", "");
    assert_eq!((again.status, said(&again)["error"].as_str()), (409, Some("it is succeeded")));
}

#[test]
fn a_job_is_taken_back_or_it_is_said_why_not() {
    let (origin, _) = ill();
    let (gateway, _store, _) = offloading(&origin, RETRIES_LATER);
    let token = post(&gateway, "/a", "");
    becomes(&gateway, &token, "scheduled");
    let early = admin(&gateway, "DELETE", &format!("/jobs/{token}"), "", "");
    assert_eq!(early.status, 409, "{}", early.text());
    let cancelled = jobs(&gateway, &["cancel", &token]);
    assert_eq!((cancelled.code, cancelled.stdout.as_str()), (Some(0), "cancelled\n"));
    becomes(&gateway, &token, "cancelled");
    let again = jobs(&gateway, &["cancel", &token]);
    assert_eq!(again.code, Some(2), "{again:?}");
    assert!(again.stderr.contains("it is cancelled and cannot be taken back"), "{}", again.stderr);
    let forgotten = admin(&gateway, "DELETE", &format!("/jobs/{token}"), "", "");
    assert_eq!((forgotten.status, said(&forgotten)["forgotten"].as_bool()), (200, Some(true)));
    assert_eq!(admin(&gateway, "GET", &format!("/jobs/{token}"), "", "").status, 410);
}

#[test]
fn dead_jobs_are_replayed_each_once() {
    let (origin, well) = ill();
    let (gateway, _store, _) = offloading(&origin, DIES_AT_ONCE);
    let tokens: Vec<String> = (0..150).map(|n| post(&gateway, &format!("/{n}"), "")).collect();
    for token in &tokens {
        becomes(&gateway, token, "dead");
    }
    assert_eq!(origin.requests().len(), 150);
    let dead = get(&gateway, "/jobs/dead?limit=1000");
    assert_eq!(dead["jobs"].as_array().map(Vec::len), Some(150));
    // One by itself, which says what has become of it.
    let first = admin(&gateway, "POST", &format!("/jobs/{}/retry", tokens[0]), "", "");
    assert_eq!(first.status, 202, "{}", first.text());
    let made = said(&first)["replayed_as"].as_str().expect("an id").to_owned();
    let again = admin(&gateway, "POST", &format!("/jobs/{}/retry", tokens[0]), "", "");
    assert_eq!((again.status, said(&again)["replayed_as"].as_str()), (409, Some(&*made)));
    assert_eq!(becomes(&gateway, &tokens[0], "dead")["replayed_as"], made.as_str());
    let replayed = becomes(&gateway, &made, "dead");
    assert_eq!(replayed["origin"], get(&gateway, &format!("/jobs/{}", tokens[0]))["id"]);
    well.store(true, Relaxed);
    // A few, then the rest: two replays at once make each job once.
    let few = admin(&gateway, "POST", "/jobs/replay", "", "{\"queue\": \"default\", \"most\": 10}");
    assert_eq!((few.status, said(&few)["matched"].as_u64()), (202, Some(10)), "{}", few.text());
    let rest = jobs(&gateway, &["replay", "--reason", "status", "--json"]);
    assert_eq!(rest.code, Some(0), "{rest:?}");
    let rest: Value = serde_json::from_str(&rest.stdout).expect("JSON");
    assert_eq!(rest["state"], "done");
    wait_until("both to be done", || {
        let all = get(&gateway, "/jobs/replays");
        all["replays"].as_array().is_some_and(|all| all.iter().all(|one| one["state"] == "done"))
    });
    // 150 first tries, one replay that died, and one more of each.
    wait_until("all to be delivered", || origin.requests().len() >= 150 + 1 + 150);
    let none = admin(&gateway, "POST", "/jobs/replay", "", "{\"all\": true}");
    assert_eq!(said(&none)["matched"], 0, "{}", none.text());
    let count = |state: &str| {
        let page = get(&gateway, &format!("/jobs?state={state}&limit=1000"));
        page["jobs"].as_array().map_or(0, Vec::len)
    };
    wait_until("all to be over", || count("succeeded") == 150);
    assert_eq!((count("dead"), count("queued")), (151, 0));
    let left = get(&gateway, "/jobs/dead");
    assert_eq!(left["jobs"].as_array().map(Vec::len), Some(0), "{left}");
    assert_eq!(origin.requests().len(), 301);
    // A service knows every try of the same by the same name.
    let key = |n: usize| origin.request(n).head.one("idempotency-key").map(str::to_owned);
    let firsts: Vec<_> = (1..=150).map(key).collect();
    assert!((151..=301).all(|n| firsts.contains(&key(n))));
}

#[test]
fn a_replay_survives_a_restart_and_is_not_doubled() {
    let (origin, well) = ill();
    let (mut gateway, _store, text) = offloading(&origin, DIES_AT_ONCE);
    let token = post(&gateway, "/a", "Idempotency-Key: \"mine\"\r\n");
    let id = becomes(&gateway, &token, "dead")["id"].as_str().expect("an id").to_owned();
    gateway.signal("TERM");
    gateway.wait_exit();
    well.store(true, Relaxed);
    let gateway = start(&text);
    let all = jobs(&gateway, &["replay", "--all"]);
    assert_eq!((all.code, all.stdout.as_str()), (Some(0), "replay 1: done, 1 of 1 replayed\n"));
    let made = get(&gateway, &format!("/jobs/{id}"))["replayed_as"].as_str().map(str::to_owned);
    let told = becomes(&gateway, &made.expect("replayed"), "succeeded");
    assert_eq!(told["origin"], id.as_str());
    assert_eq!(origin.requests().len(), 2);
    let key = |n: usize| origin.request(n).head.one("idempotency-key").map(str::to_owned);
    assert_eq!(key(1), key(2));
    assert_eq!(admin(&gateway, "POST", &format!("/jobs/{id}/retry"), "", "").status, 409);
}

#[test]
fn mistakes_are_named_with_a_remedy() {
    let origin = Origin::start();
    let (gateway, _store, _) = offloading(&origin, "");
    let nobody = "01890000-0000-7000-8000-000000000000";
    let unknown = "A".repeat(43);
    for (method, path, body, status, error) in [
        ("GET", "/jobs?queu=x", "", 400, "\"queu\""),
        ("GET", "/jobs?limit=1001", "", 400, "`limit`"),
        ("GET", "/jobs?cursor=x", "", 400, "`cursor`"),
        ("GET", "/jobs/dead?state=queued", "", 400, "queued"),
        ("GET", "/jobs/x", "", 400, "no id of a job"),
        ("GET", &*format!("/jobs/{nobody}"), "", 404, "another gateway"),
        ("GET", &*format!("/jobs/{unknown}"), "", 404, "no token"),
        ("POST", &*format!("/jobs/{nobody}/retry"), "", 404, "another gateway"),
        ("POST", "/jobs/replay", "", 400, "no JSON"),
        ("POST", "/jobs/replay", "{}", 400, "nothing is chosen"),
        ("GET", "/jobs/replays/7", "", 404, "no replay"),
        ("POST", "/jobs/replays/7/cancel", "", 404, "no replay"),
        ("GET", "/jobs/a/b/c", "", 404, "nothing here"),
        ("POST", "/jobs", "", 405, "does not take POST"),
        ("GET", "/jobs/replay", "", 405, "does not take GET"),
        ("PUT", &*format!("/jobs/{nobody}"), "", 405, "does not take PUT"),
    ] {
        let response = admin(&gateway, method, path, "", body);
        assert_eq!(response.status, status, "{method} {path}: {}", response.text());
        let told = said(&response);
        let named = told["error"].as_str().is_some_and(|text| text.contains(error));
        let remedy = told["remedy"].as_str().is_some_and(|text| !text.is_empty());
        assert!(named && remedy, "{method} {path}: {told}");
    }
    // No page that an operator has open may do anything.
    let token = post(&gateway, "/a", "");
    let origin = "Origin: http://evil.test\r\n";
    for (method, path) in [
        ("POST", format!("/jobs/{token}/cancel")),
        ("POST", "/jobs/replay".to_owned()),
        ("DELETE", format!("/jobs/{token}")),
    ] {
        let response = admin(&gateway, method, &path, origin, "{\"all\": true}");
        assert_eq!(response.status, 403, "{method} {path}");
    }
    // The same by the command line.
    for (arguments, parts) in [
        (&["show", nobody][..], &["another gateway", "hint: "][..]),
        (&["list", "--state", "gone"], &["\"gone\" is no state", "hint: states are queued"]),
        (&["replay"], &["nothing is chosen", "--all"]),
    ] {
        let ended = jobs(&gateway, arguments);
        assert_eq!(ended.code, Some(2), "{ended:?}");
        assert!(parts.iter().all(|part| ended.stderr.contains(part)), "{}", ended.stderr);
    }
    let ended = run(&FLEETFOOT, &["jobs", "--admin", "127.0.0.1:1"]);
    assert_eq!(ended.code, Some(1));
    assert!(ended.stderr.contains("no gateway answers") && ended.stderr.contains("--admin"));
    let none = before(&Origin::start());
    let ended = jobs(&none, &[]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("no [offload]") && ended.stderr.contains("add [offload]"));
    assert_eq!(said(&admin(&none, "GET", "/jobs", "", ""))["error"].is_string(), json!(true));
}
