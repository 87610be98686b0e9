//! Memory stays bounded and flat whatever flows through.
//!
//! The figures: `FULL=1 FLEETFOOT=target/release/fleetfoot cargo test -p gateway --test scenarios
//! memory:: -- --nocapture --test-threads 1` moves 2 GiB each way and holds 1,000 slow readers
//! through the release binary. Without FULL the sizes are small enough for every run.

use scenario::gateway::Memory;
use scenario::message::Framing;
use scenario::origin::{Action, echo_line, send};
use scenario::{Client, Gateway, Origin, Request, Text};

fn is_full() -> bool {
    std::env::var_os("FULL").is_some()
}

fn size() -> u64 {
    if is_full() { 2 << 30 } else { 128 << 20 }
}

fn start(origin: &Origin) -> Gateway {
    crate::stage::start(&Text::to(&[origin.address()]))
}

/// `/big` is answered with a big body, everything else as usual.
fn big(request: &Request) -> Vec<Action> {
    if request.target != "/big" {
        return echo_line(request);
    }
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", size());
    vec![Action::Body, send(head), Action::Fill(size())]
}

/// How much more memory than at rest a transfer may take at its peak.
const GROWTH_BYTES_MAX: u64 = 16 << 20;

#[track_caller]
fn check(what: &str, gateway: &Gateway, rest: Memory, growth_max: u64) {
    let now = gateway.memory();
    let growth = now.peak.saturating_sub(rest.resident);
    let kib = |bytes: u64| bytes >> 10;
    println!(
        "{what}: {} KiB at rest, {} KiB at peak, {} KiB after",
        kib(rest.resident),
        kib(now.peak),
        kib(now.resident)
    );
    assert!(
        growth < growth_max,
        "{what}: grew by {} KiB, more than {}",
        kib(growth),
        kib(growth_max)
    );
}

/// A gateway that has served something, and its memory then.
fn at_rest(origin: &Origin) -> (Gateway, Memory) {
    let gateway = start(origin);
    for _ in 0..50 {
        assert_eq!(gateway.get("/").status, 200);
    }
    let rest = gateway.memory();
    (gateway, rest)
}

#[test]
fn a_big_download_is_not_held() {
    let origin = Origin::forgetful(big);
    let (gateway, rest) = at_rest(&origin);
    let mut client = gateway.client();
    client.request("GET", "/big");
    assert_eq!(client.head().framing(), Ok(Some(Framing::Length(size()))));
    client.skip(size());
    check("download", &gateway, rest, GROWTH_BYTES_MAX);
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_big_upload_is_not_held() {
    upload("upload", &format!("Content-Length: {}\r\n\r\n", size()), "", "");
}

#[test]
fn a_big_chunked_upload_is_not_held() {
    upload("chunked upload", "Transfer-Encoding: chunked\r\n\r\n", "100000\r\n", "\r\n");
}

#[track_caller]
fn upload(what: &str, framing: &str, before: &str, after: &str) {
    let origin = Origin::forgetful(echo_line);
    let (gateway, rest) = at_rest(&origin);
    let mut client = gateway.client();
    client.send(format!("POST / HTTP/1.1\r\nHost: shop.test\r\n{framing}"));
    let block = [before.as_bytes(), &vec![b'x'; 1 << 20], after.as_bytes()].concat();
    for _ in 0..size() >> 20 {
        client.send(&block);
    }
    if !before.is_empty() {
        client.send("0\r\n\r\n");
    }
    assert_eq!(client.response("POST").status, 200);
    check(what, &gateway, rest, GROWTH_BYTES_MAX);
}

/// What each slow reader is sent. Not more: the kernel's own buffers, of which there are four for
/// each, are filled too, and a thousand of those at their largest are more than `tcp_mem` allows.
const SLOW_BYTES: u64 = 512 << 10;

#[test]
fn slow_readers_are_held_cheaply() {
    let readers = if is_full() { 1_000 } else { 100 };
    let origin = Origin::forgetful(|request| {
        if request.target != "/slow" {
            return echo_line(request);
        }
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {SLOW_BYTES}\r\n\r\n");
        vec![send(head), Action::Fill(SLOW_BYTES)]
    });
    let (gateway, rest) = at_rest(&origin);
    let begin = |_| {
        let mut client = Client::connect_small(gateway.address());
        client.request("GET", "/slow");
        client.head();
        client.skip(10_000);
        client
    };
    let mut clients: Vec<_> = (0..readers).map(begin).collect();
    // All in turn, three times, so that every pipe is full in between.
    for _ in 0..3 {
        for client in &mut clients {
            client.skip(50_000);
        }
    }
    check("slow readers", &gateway, rest, readers * (128 << 10) + GROWTH_BYTES_MAX);
    assert_eq!(gateway.get("/").status, 200);
    // None was forgotten.
    for client in &mut clients {
        client.skip(SLOW_BYTES - 160_000);
    }
}

/// Ten times the transfers take no more memory than the first ones did.
#[test]
fn transfers_leave_nothing_behind() {
    let origin = Origin::forgetful(|request| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n";
        if request.target == "/" {
            echo_line(request)
        } else {
            vec![send(head), Action::Fill(4_000_000)]
        }
    });
    let (gateway, _) = at_rest(&origin);
    let transfer = || {
        let mut client = gateway.client();
        client.request("GET", "/more");
        client.head();
        client.skip(4_000_000);
    };
    (0..3).for_each(|_| transfer());
    let rest = gateway.memory();
    (0..30).for_each(|_| transfer());
    check("thirty transfers", &gateway, rest, 4 << 20);
}
