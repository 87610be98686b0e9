//! Events: what changes elsewhere leaves every cache, what changes here is told, and a bus that is away
//! holds nobody up.

#![allow(clippy::unwrap_used, reason = "a test of its own: panicking is how it reports")]

use crate::stage::start;
use scenario::nats::Nats;
use scenario::origin::{Action, answer};
use scenario::rabbitmq::Rabbitmq;
use scenario::server::{Server, free_port, wait_until};
use scenario::{Gateway, Origin, Request, Text};
use serde_json::Value;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Mutex;

/// Answers with how often a target was asked for, as an answer that is fresh for long.
fn shop() -> Origin {
    let seen: Mutex<HashMap<String, usize>> = Mutex::default();
    Origin::play(move |request| counted(&seen, request))
}

fn counted(seen: &Mutex<HashMap<String, usize>>, request: &Request) -> Vec<Action> {
    if request.method != "GET" {
        return answer("HTTP/1.1 204 No Content\r\n\r\n");
    }
    let mut seen = seen.lock().expect("nobody panics with it");
    let count = seen.entry(request.target.clone()).or_default();
    *count += 1;
    let count = count.to_string();
    answer(format!(
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=1000\r\nContent-Length: {}\r\n\r\n{count}",
        count.len()
    ))
}

/// A gateway before it whose pages are purged by what this bus says.
fn before(shop: &Origin, bus: &str, more: &str) -> Gateway {
    start(
        &Text::to(&[shop.address()])
            .takes("GET /products/{id}")
            .route("cache = { tags = [\"product:{id}\"] }")
            .rest(&format!(
                "[[route]]\nmatch = \"PUT /products/{{id}}\"\nto = \"shop\"\n\
                 publish = {{ to = \"products\", type = \"shop.product.changed\", subject = \"{{id}}\" }}\n\
                 [cache]\nprofile = \"rfc\"\nearly = false\n\
                 [events.products]\nbus = \"{bus}\"\ntopic = \"shop.products\"\n\
                 types = \"shop.product.*\"\npurge = \"product:{{subject}}\"\n{more}"
            )),
    )
}

fn listens(gateway: &Gateway) {
    wait_until("it listens", || gateway.metric("fleetfoot_events_listening{") > 0.0);
}

fn put(gateway: &Gateway, target: &str) {
    let mut client = gateway.client();
    client.send(format!("PUT {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"));
    assert_eq!(client.response("PUT").status, 204);
}

fn event(id: &str, subject: &str) -> String {
    format!(
        "{{\"specversion\":\"1.0\",\"id\":\"{id}\",\"source\":\"/t\",\
         \"type\":\"shop.product.changed\",\"subject\":\"{subject}\"}}"
    )
}

/// Somebody else on NATS, who speaks its protocol by hand.
struct Stranger(BufReader<TcpStream>);

impl Stranger {
    fn at(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server listens");
        stream.set_read_timeout(Some(scenario::PATIENCE)).expect("a time");
        let mut stranger = Self(BufReader::new(stream));
        stranger.send("CONNECT {\"verbose\":false}\r\nPING\r\n");
        stranger.pong();
        stranger
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).expect("it takes it");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("it answers");
        line
    }

    fn pong(&mut self) {
        while !self.line().starts_with("PONG") {}
    }

    fn publish(&mut self, subject: &str, payload: &str) {
        self.send(&format!("PUB {subject} {}\r\n{payload}\r\nPING\r\n", payload.len()));
        self.pong();
    }

    fn subscribe(&mut self, subject: &str) {
        self.send(&format!("SUB {subject} 1\r\nPING\r\n"));
        self.pong();
    }

    /// The payload of the next message; its head, if it has one, left out.
    fn next(&mut self) -> String {
        loop {
            let line = self.line();
            let words: Vec<&str> = line.split_whitespace().collect();
            let length = |word: Option<&&str>| word.and_then(|word| word.parse::<usize>().ok());
            let (head, all) = match words.first() {
                Some(&"MSG") => (0, length(words.last())),
                Some(&"HMSG") => (length(words.get(3)).unwrap_or(0), length(words.last())),
                Some(&"PING") => {
                    self.send("PONG\r\n");
                    continue;
                }
                _ => continue,
            };
            let mut bytes = vec![0; all.expect("a length") + 2];
            self.0.read_exact(&mut bytes).expect("it has said how much");
            return String::from_utf8_lossy(&bytes[head..bytes.len() - 2]).into_owned();
        }
    }
}

#[test]
fn what_a_stranger_says_purges_every_gateway() {
    let (shop, nats) = (shop(), Nats::start());
    let gateways = [before(&shop, &nats.url(), ""), before(&shop, &nats.url(), "")];
    gateways.iter().for_each(listens);
    for gateway in &gateways {
        for target in ["/products/7", "/products/8"] {
            let first = gateway.get(target).text();
            assert_eq!(gateway.get(target).text(), first, "it is cached");
        }
    }
    let mut stranger = Stranger::at(nats.address());
    stranger.publish("shop.products", &event("1", "7"));
    stranger.publish("shop.products", "nonsense");
    stranger.publish("shop.products", &event("2", "7").replace("product.changed", "product2"));
    for gateway in &gateways {
        wait_until("all is heard", || gateway.metric("fleetfoot_events_heard_total") >= 3.0);
        let outcome = |what: &str| {
            let name = format!(
                "fleetfoot_events_outcomes_total{{events=\"products\",outcome=\"{what}\"}}"
            );
            gateway.metric(&name).to_string()
        };
        let found = ["purge", "flush", "no_event", "other_type"].map(outcome);
        assert_eq!(found, ["1", "0", "1", "1"]);
    }
    let bodies: Vec<String> = gateways.iter().map(|g| g.get("/products/7").text()).collect();
    assert_eq!(bodies, ["3", "4"], "both ask again");
    assert_eq!(gateways[0].get("/products/8").text(), "1", "and not for what was not named");
}

#[test]
fn what_a_route_publishes_is_heard_by_all_and_is_an_event() {
    let (shop, nats) = (shop(), Nats::start());
    let gateways = [before(&shop, &nats.url(), ""), before(&shop, &nats.url(), "")];
    gateways.iter().for_each(listens);
    let mut stranger = Stranger::at(nats.address());
    stranger.subscribe("shop.products");
    assert_eq!(gateways[1].get("/products/7").text(), "1");
    put(&gateways[0], "/products/7");
    let told: Value = serde_json::from_str(&stranger.next()).expect("JSON");
    assert_eq!(told["specversion"], "1.0");
    assert_eq!((&told["type"], &told["subject"]), (&"shop.product.changed".into(), &"7".into()));
    assert_eq!(told["source"], "/fleetfoot");
    wait_until("it is purged", || gateways[1].get("/products/7").text() != "1");
    // An answer that is none of a success is not told.
    shop.follow(|_| answer("HTTP/1.1 409 Conflict\r\nContent-Length: 0\r\n\r\n"));
    let mut client = gateways[0].client();
    client.send("PUT /products/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    assert_eq!(client.response("PUT").status, 409);
    shop.follow(|_| answer("HTTP/1.1 204 No Content\r\n\r\n"));
    put(&gateways[0], "/products/9");
    let told: Value = serde_json::from_str(&stranger.next()).expect("JSON");
    assert_eq!(told["subject"], "9");
}

/// A cache is emptied when the server that tells was away, and hears again.
fn flushes_after_a_gap(server: &mut Server, url: &str) {
    let shop = shop();
    let gateway = before(&shop, url, "");
    listens(&gateway);
    assert_eq!(gateway.get("/products/7").text(), "1");
    put(&gateway, "/products/8");
    wait_until("its own event", || gateway.metric("fleetfoot_events_heard_total") >= 1.0);
    assert_eq!(gateway.get("/products/7").text(), "1");
    server.kill();
    assert_eq!(gateway.get("/products/7").text(), "1", "what is stored is served meanwhile");
    server.restart();
    gateway.wait_line("events products: some may have been missed");
    gateway.wait_line("events products: the cache is emptied");
    wait_until("it is gone", || gateway.get("/products/7").text() != "1");
    wait_until("it listens again", || {
        gateway.metric("fleetfoot_events_listening{") > 0.0
            && gateway.metric("fleetfoot_events_gaps_total") >= 1.0
    });
    let before = gateway.get("/products/7").text();
    put(&gateway, "/products/7");
    wait_until("events go on", || gateway.get("/products/7").text() != before);
}

#[test]
fn a_gap_of_nats_empties_the_cache() {
    let mut nats = Nats::start();
    let url = nats.url();
    flushes_after_a_gap(&mut nats, &url);
}

#[test]
fn a_gap_of_rabbitmq_empties_the_cache_and_its_events_purge_every_gateway() {
    let mut rabbitmq = Rabbitmq::start();
    let (shop, url) = (shop(), rabbitmq.url());
    let gateways = [before(&shop, &url, ""), before(&shop, &url, "")];
    gateways.iter().for_each(listens);
    for gateway in &gateways {
        gateway.get("/products/7");
    }
    let before: Vec<String> = gateways.iter().map(|g| g.get("/products/7").text()).collect();
    put(&gateways[0], "/products/7");
    for (gateway, before) in gateways.iter().zip(before) {
        wait_until("it is purged", || gateway.get("/products/7").text() != before);
    }
    drop(gateways);
    flushes_after_a_gap(&mut rabbitmq, &url);
}

#[test]
fn a_bus_that_is_away_holds_nobody_up() {
    let shop = shop();
    let gateway = before(&shop, &format!("nats://127.0.0.1:{}", free_port()), "");
    let mut client = gateway.client();
    let most = std::time::Duration::from_secs(1);
    let mut slowest = std::time::Duration::ZERO;
    for _ in 0..4_400 {
        let begun = base::Moment::now();
        client.send("PUT /products/7 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
        assert_eq!(client.response("PUT").status, 204);
        slowest = slowest.max(base::Moment::now().since(begun));
    }
    assert!(slowest < most, "{slowest:?}");
    gateway.wait_line("events products: too many wait to be published");
    assert!(gateway.metric("fleetfoot_events_waiting") >= 4_096.0);
    let no_room = "fleetfoot_events_published_total{events=\"products\",outcome=\"no_room\"}";
    assert!(gateway.metric(no_room) > 0.0);
    assert!(gateway.metric("fleetfoot_events_listening") < 1.0);
}

#[test]
fn an_event_calls_a_path_once() {
    let (shop, nats) = (shop(), Nats::start());
    let call =
        "call = \"/hooks/product\"\n[[route]]\nmatch = \"POST /hooks/{what}\"\nto = \"shop\"\n";
    let gateway = before(&shop, &nats.url(), call);
    listens(&gateway);
    let mut stranger = Stranger::at(nats.address());
    for id in ["1", "1", "2"] {
        stranger.publish("shop.products", &event(id, "7"));
    }
    let called = "fleetfoot_events_calls_total{events=\"products\",outcome=\"done\"}";
    wait_until("two calls", || gateway.metric(called) >= 2.0);
    let calls: Vec<Request> =
        shop.requests().into_iter().filter(|r| r.target == "/hooks/product").collect();
    let ids: Vec<Value> = calls
        .iter()
        .map(|call| {
            let kind = call.head.one("content-type").expect("it has one");
            assert!(kind.starts_with("application/cloudevents+json"), "{kind}");
            let event: Value = serde_json::from_str(&call.text()).expect("JSON");
            event["id"].clone()
        })
        .collect();
    assert_eq!(ids, ["1", "2"]);
    let twin = "fleetfoot_events_outcomes_total{events=\"products\",outcome=\"twin\"}";
    assert!((gateway.metric(twin) - 1.0).abs() < f64::EPSILON);
}

#[test]
fn a_reload_keeps_what_is_heard_and_follows_the_rules() {
    let (shop, nats) = (shop(), Nats::start());
    let gateway = before(&shop, &nats.url(), "");
    listens(&gateway);
    let file = std::fs::read_to_string(gateway.file()).expect("it is there");
    let good = file.replace("purge = \"product:{subject}\"", "purge = \"product:1{subject}\"");
    gateway.rewrite(&good);
    assert_eq!(gateway.ask("POST", "/reload").status, 200);
    assert_eq!(gateway.get("/products/17").text(), "1");
    let mut stranger = Stranger::at(nats.address());
    wait_until("the new rule purges", || {
        stranger.publish("shop.products", &event("1", "7"));
        gateway.get("/products/17").text() != "1"
    });
    assert!(gateway.metric("fleetfoot_events_gaps_total") < 1.0);
    gateway.rewrite(&good.replace("nats://", "http://"));
    assert_eq!(gateway.ask("POST", "/reload").status, 422);
}
