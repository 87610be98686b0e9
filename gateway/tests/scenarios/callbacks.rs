//! Callbacks: who is told when a job is over, once, and where none may go.

#![allow(clippy::unwrap_used, reason = "a test of its own: panicking is how it reports")]

use crate::stage::{FLEETFOOT, start};
use crate::town::Front;
use ring::hmac;
use scenario::gateway::Folder;
use scenario::server::wait_until;
use scenario::{Gateway, Origin, Request, Text};
use serde_json::Value;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

const OLD: &str = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3";
const NEW: &str = "YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4";
const OK: &str = "HTTP/1.1 204 No Content\r\n\r\n";
const FAST: &str = "[queue.callbacks]\nretry = { tries = 4, backoff = \"20ms\" }\n";

/// A service that takes every job.
fn service() -> Origin {
    Origin::saying("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone")
}

/// A gateway before it that tells this URL, under these rules.
fn before(service: &Origin, callback: &str, rules: &str) -> Gateway {
    start(&settings(service, callback, rules))
}

fn settings(service: &Origin, callback: &str, rules: &str) -> Text {
    Text::to(&[service.address()])
        .takes("/mail")
        .route(&format!("offload = {{ callback = {callback} }}"))
        .rest(&format!("[offload]\nstore = \"jobs\"\nfree_min = \"0 B\"\n{rules}"))
}

const HOME: &str = "callback = { allow = \"127.0.0.0/8\", http = true }\n";

fn calls(receiver: &Origin) -> String {
    format!("\"http://{}/hook?a=1\"", receiver.address())
}

/// Sends a job; answers its status address.
fn offload(gateway: &Gateway, more: &str) -> String {
    let mut client = gateway.client();
    let head = format!("POST /mail HTTP/1.1\r\nHost: a\r\n{more}Content-Length: 2\r\n\r\nhi");
    client.send(head);
    let response = client.response("POST");
    assert_eq!(response.status, 202, "{}", response.text());
    response.field("location").expect("a 202 has one").to_owned()
}

/// Says `statuses` one after another, the last one for ever; counts who asks.
fn receiver(statuses: &[u16], more: &'static str) -> (Origin, Arc<AtomicUsize>) {
    let seen = Arc::new(AtomicUsize::new(0));
    let (mine, statuses) = (Arc::clone(&seen), statuses.to_vec());
    let origin = Origin::play(move |_| {
        let turn = mine.fetch_add(1, Ordering::SeqCst);
        let status = statuses[turn.min(statuses.len() - 1)];
        let head = format!("HTTP/1.1 {status} X\r\n{more}Content-Length: 0\r\n\r\n");
        scenario::origin::answer(head)
    });
    (origin, seen)
}

fn told(request: &Request) -> Value {
    serde_json::from_str(&request.text()).expect("JSON")
}

fn signed(secret: &str, request: &Request) -> String {
    use base64::Engine as _;
    let engine = base64::engine::general_purpose::STANDARD;
    let key = hmac::Key::new(hmac::HMAC_SHA256, &engine.decode(secret).expect("Base64"));
    let field = |name| request.head.one(name).expect("every callback has it");
    let mut text = format!("{}.{}.", field("webhook-id"), field("webhook-timestamp")).into_bytes();
    text.extend_from_slice(&request.body);
    format!("v1,{}", engine.encode(hmac::sign(&key, &text)))
}

/// The state of the callbacks in the gateway's figures.
fn dead(gateway: &Gateway) -> usize {
    let line = gateway.stderr();
    line.matches("callback ").count()
}

#[test]
fn the_end_of_a_job_is_told_once_signed_by_each_secret() {
    let (service, receiver) = (service(), Origin::saying(OK));
    let rules = format!(
        "callback = {{ allow = \"127.0.0.0/8\", http = true, secrets = [\"whsec_{NEW}\", \
         \"whsec_{OLD}\"] }}\n"
    );
    let gateway = before(&service, &calls(&receiver), &rules);
    let addresses: Vec<String> = (0..20).map(|_| offload(&gateway, "")).collect();
    wait_until("all are told", || receiver.requests().iter().filter(|r| r.whole).count() == 20);
    let mut ids = std::collections::HashSet::new();
    for request in receiver.requests() {
        assert_eq!((request.method.as_str(), request.target.as_str()), ("POST", "/hook?a=1"));
        let both = format!("{} {}", signed(NEW, &request), signed(OLD, &request));
        assert_eq!(request.head.one("webhook-signature"), Some(both.as_str()));
        let body = told(&request);
        assert_eq!(body["type"], "fleetfoot.job.succeeded.v1");
        assert_eq!(request.head.one("ce-type"), body["type"].as_str());
        assert_eq!(request.head.one("ce-id"), body["data"]["id"].as_str());
        let status = body["data"]["links"]["status"].as_str().expect("an address");
        assert!(addresses.iter().any(|address| address == status), "{status}");
        assert_eq!(gateway.get(status).status, 200);
        ids.insert(request.head.one("webhook-id").expect("it has one").to_owned());
        ids.insert(status.to_owned());
    }
    assert_eq!(ids.len(), 40, "each job once");
    assert_eq!(receiver.problems(), [""; 0]);
}

#[test]
fn a_callback_that_fails_is_tried_again_as_the_same_message() {
    let service = service();
    let (receiver, seen) = receiver(&[500, 302, 204], "");
    let gateway = before(&service, &calls(&receiver), &format!("{HOME}{FAST}"));
    offload(&gateway, "");
    wait_until("three tries", || seen.load(Ordering::SeqCst) == 3);
    receiver.request(3);
    let requests = receiver.requests();
    let id = |at: usize| requests[at].head.one("webhook-id").map(str::to_owned);
    assert!(id(0).is_some() && id(0) == id(1) && id(1) == id(2));
    let attempts: Vec<_> =
        requests.iter().map(|r| r.head.one("fleetfoot-attempt").map(str::to_owned)).collect();
    assert_eq!(attempts, ["1", "2", "3"].map(|n| Some(n.to_owned())));
    assert!(requests[0].head.one("webhook-signature").is_none(), "there is no secret");
    gateway.wait_line("callbacks are not signed");
    // Another callback behind it shows that nothing more is sent of the first.
    offload(&gateway, "");
    wait_until("the next", || seen.load(Ordering::SeqCst) == 4);
    assert_ne!(receiver.request(4).head.one("webhook-id").map(str::to_owned), id(0));
}

#[test]
fn gone_is_for_good_and_a_redirect_is_not_followed() {
    let service = service();
    let (elsewhere, visits) = receiver(&[204], "");
    let at = elsewhere.address();
    let location: &'static str = format!("Location: http://{at}/\r\n").leak();
    let (receiver, seen) = receiver(&[307, 410, 204], location);
    let gateway = before(&service, &calls(&receiver), &format!("{HOME}{FAST}"));
    offload(&gateway, "");
    wait_until("a redirect and a 410", || seen.load(Ordering::SeqCst) == 2);
    offload(&gateway, "");
    wait_until("the next job's callback", || seen.load(Ordering::SeqCst) == 3);
    receiver.request(3);
    let requests = receiver.requests();
    let id = |at: usize| requests[at].head.one("webhook-id").map(str::to_owned);
    assert!(id(0) == id(1) && id(1) != id(2), "410 ends it");
    assert_eq!(visits.load(Ordering::SeqCst), 0, "where the redirect leads nobody came");
}

#[test]
fn no_callback_goes_to_a_private_address() {
    let service = service();
    let (receiver, seen) = receiver(&[204], "");
    let port = receiver.address().port();
    let rules = format!("callback = {{ http = true }}\n{FAST}");
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]"] {
        let gateway = before(&service, &format!("\"http://{host}:{port}/\""), &rules);
        offload(&gateway, "");
        gateway.wait_line("is not a public address (loopback)");
    }
    let gateway = before(&service, &format!("\"http://localhost:{port}/\""), &rules);
    offload(&gateway, "");
    gateway.wait_line("the host is this machine's own name");
    assert_eq!(dead(&gateway), 1, "it is not tried again");
    assert_eq!(seen.load(Ordering::SeqCst), 0);
}

#[test]
fn a_clients_url_is_checked_before_the_job_is_accepted() {
    let service = service();
    let (receiver, seen) = receiver(&[204], "");
    let gateway = before(&service, "{ field = \"Callback-URL\" }", "callback = { http = true }\n");
    for (url, why) in [
        ("http://127.0.0.1/", "loopback"),
        ("http://127.1/", "a number"),
        ("http://2130706433/", "a number"),
        ("http://localhost/", "own name"),
        ("http://169.254.169.254/latest", "metadata"),
        ("http://[::1]/", "loopback"),
        ("http://a@b.example/", "a user"),
        ("ftp://b.example/", "scheme"),
        ("b.example", "no scheme"),
        ("http://b.example:22/", "port 22"),
        ("http://b.example/\u{e9}", "no URL has"),
    ] {
        let mut client = gateway.client();
        client.send(format!("POST /mail HTTP/1.1\r\nHost: a\r\nCallback-URL: {url}\r\n\r\n"));
        let response = client.response("POST");
        assert_eq!(response.status, 400, "{url}");
        let problem: Value = serde_json::from_str(&response.text()).expect("JSON");
        assert_eq!(problem["reason"], "bad_callback", "{url}");
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert!(detail.contains(why), "{url}: {detail}");
    }
    assert!(service.requests().is_empty(), "nothing of it was accepted");
    drop(gateway);
    let gateway = before(&service, "{ field = \"Callback-URL\" }", HOME);
    let mut more = String::new();
    write!(more, "Callback-URL: http://{}/x\r\n", receiver.address()).expect("a String takes all");
    offload(&gateway, &more);
    wait_until("it is told", || seen.load(Ordering::SeqCst) == 1);
    offload(&gateway, "");
    wait_until("the service", || service.requests().len() == 2);
    assert_eq!(seen.load(Ordering::SeqCst), 1, "who names no URL is not told");
}

#[test]
fn a_callback_outlives_the_gateway() {
    let (service, seen) = (service(), Arc::new(Mutex::new(Vec::new())));
    let mine = Arc::clone(&seen);
    let mut receiver = Origin::play(move |request| {
        let id = request.head.one("webhook-id").unwrap_or_default().to_owned();
        mine.lock().expect("nobody panics with it").push(id);
        scenario::origin::answer(OK)
    });
    receiver.stop();
    let rules =
        format!("{HOME}[queue.callbacks]\nretry = {{ tries = 1000, backoff = \"50ms\" }}\n");
    let mut gateway = before(&service, &calls(&receiver), &rules);
    let address = offload(&gateway, "");
    wait_until("it is over", || gateway.get(&address).text().contains("succeeded"));
    gateway.signal("KILL");
    gateway.wait_exit();
    receiver.restart();
    let mut command = std::process::Command::new(&*FLEETFOOT);
    command.arg("run").arg("--config").arg(gateway.file());
    let again = Gateway::spawn(command, Folder::new());
    wait_until("it is told", || !seen.lock().expect("nobody panics with it").is_empty());
    offload(&again, "");
    wait_until("the next", || seen.lock().expect("nobody panics with it").len() == 2);
    let ids = seen.lock().expect("nobody panics with it").clone();
    assert_ne!(ids[0], ids[1]);
}

#[test]
fn over_tls_only_who_can_prove_its_name_is_told() {
    let (service, receiver) = (service(), Origin::saying(OK));
    let front = Front::start(receiver.address());
    let callback = format!("\"https://{}/hook\"", front.address);
    let rules = "callback = { allow = \"127.0.0.0/8\" }\n[queue.callbacks]\nretry = false\n";
    let text = settings(&service, &callback, rules).to_string();
    let trusting = |trust: &str| {
        let folder = Folder::new();
        let file = folder.write("fleetfoot.toml", &text);
        let mut command = std::process::Command::new(&*FLEETFOOT);
        command.arg("run").arg("--config").arg(file).env("SSL_CERT_FILE", trust);
        Gateway::spawn(command, folder)
    };
    // Whose authorities do not know the receiver.
    let other = Front::start(receiver.address());
    let gateway = trusting(&other.trust);
    offload(&gateway, "");
    wait_until("it is given up", || {
        let dead = gateway.ask("GET", "/jobs?state=dead&queue=callbacks").text();
        dead.contains("unreachable")
    });
    assert!(receiver.requests().is_empty(), "nothing was said to a stranger");
    let gateway = trusting(&front.trust);
    offload(&gateway, "");
    let request = receiver.request(1);
    assert_eq!(request.head.one("host"), Some(front.address.to_string().as_str()));
    assert_eq!(told(&request)["data"]["state"], "succeeded");
}
