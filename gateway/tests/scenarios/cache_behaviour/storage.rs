//! What the store holds, and through what: large objects, many objects, a reload.

use crate::cache_stage::{Cached, FRESH, RFC, head, ok};
use scenario::gateway::run;
use scenario::origin::{Action, send};
use scenario::{Gateway, Origin, Request, Text};

/// Reads an answer's head and then throws its body away.
#[track_caller]
fn drink(gateway: &Gateway, target: &str, size: u64) {
    let mut client = gateway.client();
    client.send(head("GET", target, ""));
    assert!(client.head().line.starts_with("HTTP/1.1 200"));
    client.skip(size);
}

#[test]
fn an_object_too_large_streams_through() {
    const SIZE: u64 = 256 << 20;
    let script = |_: &Request| {
        let start = format!("HTTP/1.1 200 OK\r\n{FRESH}Content-Length: {SIZE}\r\n\r\n");
        vec![Action::Body, send(start), Action::Fill(SIZE)]
    };
    let origin = Origin::forgetful(script);
    let sections = "[cache]\nprofile = \"rfc\"\nmemory = \"16 MiB\"\nobject_max = \"1 MiB\"\n";
    let gateway =
        Gateway::start(&crate::stage::FLEETFOOT, &Text::to(&[origin.address()]).rest(sections));
    drink(&gateway, "/warm", SIZE);
    let before = gateway.memory().peak;
    drink(&gateway, "/large", SIZE);
    drink(&gateway, "/large", SIZE);
    assert_eq!(origin.requests().len(), 3);
    let grown = gateway.memory().peak.saturating_sub(before);
    assert!(grown < 16 << 20, "{} KiB more", grown >> 10);
}

/// The same where no length tells beforehand that it will be.
#[test]
fn an_object_that_turns_out_too_large_is_whole_and_not_stored() {
    let chunk = format!("{:x}\r\n{}\r\n", 64 << 10, "x".repeat(64 << 10));
    let cached = Cached::with(
        |text| text.rest("[cache]\nprofile = \"rfc\"\nobject_max = \"256 KiB\"\n"),
        move |_, _| {
            let start = format!("HTTP/1.1 200 OK\r\n{FRESH}Transfer-Encoding: chunked\r\n\r\n");
            let mut actions = vec![Action::Body, send(start)];
            actions.extend(vec![send(&chunk); 16]);
            actions.push(send("0\r\n\r\n"));
            actions
        },
    );
    for _ in 0..2 {
        assert_eq!(cached.get("/large").body.len(), 16 * (64 << 10));
    }
    assert_eq!(cached.fetches(), 2);
}

/// More pages than there is room for, and the room is kept.
#[test]
fn memory_is_bounded() {
    let body = "x".repeat(100_000);
    let origin = Origin::forgetful(move |request| ok(request, FRESH, &body));
    let sections = "[cache]\nprofile = \"rfc\"\nmemory = \"16 MiB\"\n";
    let gateway =
        Gateway::start(&crate::stage::FLEETFOOT, &Text::to(&[origin.address()]).rest(sections));
    let mut client = gateway.client();
    for number in 0..100 {
        client.get(&format!("/warm/{number}"));
    }
    let before = gateway.memory().resident;
    for number in 0..2_000 {
        assert_eq!(client.get(&format!("/page/{number}")).body.len(), 100_000);
    }
    let grown = gateway.memory().resident.saturating_sub(before);
    assert!(grown < 48 << 20, "{} KiB more", grown >> 10);
}

#[test]
fn a_reload_keeps_what_is_stored() {
    let cached = Cached::rfc(|number, request| ok(request, FRESH, &number.to_string()));
    for number in 0..50 {
        cached.get(&format!("/{number}"));
    }
    let settings = Text::to(&[cached.origin.address()]).limits("fields = 64").rest(RFC);
    cached.gateway.rewrite(&settings.to_string());
    let admin = cached.gateway.admin().to_string();
    let ended = run(&crate::stage::FLEETFOOT, &["reload", "--admin", &admin]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for number in 0..50 {
        assert_eq!(cached.get(&format!("/{number}")).text(), "1");
    }
    assert_eq!(cached.fetches(), 50);
}

/// All threads see one store: a page is fetched once, whichever of them is asked.
#[test]
fn threads_share_the_store() {
    let cached = Cached::with(
        |text| text.top("threads = 4").rest(RFC),
        |number, request| ok(request, FRESH, &number.to_string()),
    );
    for _ in 0..40 {
        assert_eq!(cached.get("/a").text(), "1");
    }
    assert_eq!(cached.fetches(), 1);
}

/// A body that only the connection's end delimits may be kept or not.
#[test]
fn bodies_of_all_framings_come_back_whole() {
    let cached = Cached::rfc(|_, request| match request.target.as_str() {
        "/length" => ok(request, FRESH, "hello"),
        "/empty" => ok(request, FRESH, ""),
        "/chunked" => {
            let start = format!("HTTP/1.1 200 OK\r\n{FRESH}Transfer-Encoding: chunked\r\n\r\n");
            vec![Action::Body, send(start), send("5\r\nhello\r\n0\r\n\r\n")]
        }
        _ => {
            let start = format!("HTTP/1.1 200 OK\r\n{FRESH}\r\nhello");
            vec![Action::Body, send(start), Action::Close]
        }
    });
    for _ in 0..3 {
        for target in ["/length", "/chunked", "/close"] {
            assert_eq!(cached.get(target).text(), "hello", "{target}");
        }
        assert_eq!(cached.get("/empty").text(), "");
    }
    assert!(matches!(cached.fetches(), 4 | 6), "{} fetches", cached.fetches());
}

#[test]
fn the_page_of_metrics_tells_of_the_cache() {
    let cached = Cached::rfc(|_, request| ok(request, FRESH, "hello"));
    for _ in 0..5 {
        cached.get("/a");
    }
    let page = cached.gateway.metrics();
    let series = page.lines().filter(|line| line.starts_with("fleetfoot_cache_")).count();
    assert!(series >= 10, "{series} series of the cache:\n{page}");
}

/// A small `object_max`: a body of unknown length that is at hand at once is found too large before
/// anybody reads it, and has to come through all the same.
#[test]
fn a_small_object_too_large_comes_through() {
    let chunked = |_: usize, _: &Request| {
        let body = "x".repeat(0x1000);
        let start = format!("HTTP/1.1 200 OK\r\n{FRESH}Transfer-Encoding: chunked\r\n\r\n");
        vec![send(format!("{start}1000\r\n{body}\r\n0\r\n\r\n"))]
    };
    let settings = "[cache]\nearly = false\nobject_max = \"1 KiB\"\n";
    let cached = Cached::with(|text| text.rest(settings), chunked);
    for _ in 0..3 {
        assert_eq!(cached.get("/chunked").text().len(), 0x1000);
    }
    assert_eq!(cached.fetches(), 3, "nothing is stored");
}

/// Who reads slowly holds what the store has long let go of. All of them together do not hold more
/// than the store may, and a bit; and what comes then is answered, whole.
#[test]
fn slow_readers_of_many_objects_are_bounded() {
    const SIZE: u64 = 7 << 20;
    let script = |_: &Request| {
        let start = format!("HTTP/1.1 200 OK\r\n{FRESH}Content-Length: {SIZE}\r\n\r\n");
        vec![Action::Body, send(start), Action::Fill(SIZE)]
    };
    let origin = Origin::forgetful(script);
    let sections = "[cache]\nearly = false\nmemory = \"32 MiB\"\nobject_max = \"8 MiB\"\n";
    let gateway =
        Gateway::start(&crate::stage::FLEETFOOT, &Text::to(&[origin.address()]).rest(sections));
    drink(&gateway, "/first", SIZE);
    let rest = gateway.memory().resident;
    let slow: Vec<_> = (0..48)
        .map(|n| {
            let mut client = scenario::Client::connect_small(gateway.address());
            client.send(head("GET", &format!("/{n}"), ""));
            assert!(client.head().line.starts_with("HTTP/1.1 200"));
            client
        })
        .collect();
    drink(&gateway, "/last", SIZE);
    let growth = gateway.memory().peak.saturating_sub(rest);
    assert!(growth < 220 << 20, "grew by {} MiB", growth >> 20);
    drop(slow);
}
