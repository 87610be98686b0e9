//! What one gateway has fetched, another answers.

use super::{Herd, is_from_tier, redis};
use crate::cache_stage::{FRESH, not_modified, ok, outlive_a_second, page};
use scenario::origin::{Action, answer, send};
use scenario::server::wait_until;
use scenario::{Redis, Request};

/// What a gateway stores is in the tier some time later: waits until Redis holds `n` values more.
#[track_caller]
fn wait_values(redis: &Redis, n: usize) {
    wait_until("values in Redis", || values(redis) >= n);
}

fn values(redis: &Redis) -> usize {
    let keys = redis.ask(&["KEYS", "fleetfoot:*"]);
    keys.lines().filter(|key| !key.is_empty() && key.matches(':').count() == 2).count()
}

#[test]
fn what_one_fetched_another_answers() {
    let Some(server) = Redis::start() else { return };
    let herd = Herd::start(2, &redis(&server.url()), |number, request| {
        ok(request, &format!("{FRESH}ETag: \"e\"\r\nX-Of: origin\r\n"), &number.to_string())
    });
    herd.share("/a", "");
    wait_values(&server, 1);
    let second = herd.get(1, "/a");
    assert!(is_from_tier(&second), "{:?}", second.head);
    assert_eq!((second.text().as_str(), second.field("x-of")), ("1", Some("origin")));
    assert_eq!(second.field("etag"), Some("\"e\""));
    // From then on it is in memory.
    let third = herd.get(1, "/a");
    assert!(!is_from_tier(&third), "{:?}", third.head);
    assert_eq!(third.text(), "1");
    assert_eq!(herd.fetches("/"), 1, "{}", herd.origin.report());
}

/// A gateway that starts later starts warm.
#[test]
fn a_gateway_that_starts_later_starts_warm() {
    let Some(server) = Redis::start() else { return };
    let herd =
        Herd::start(1, &redis(&server.url()), |n, request| ok(request, FRESH, &n.to_string()));
    for page in 0..20 {
        herd.get(0, &format!("/{page}"));
    }
    wait_values(&server, 20);
    let later = Herd::start(1, &redis(&server.url()), |_, request| ok(request, FRESH, "other"));
    for page in 0..20 {
        assert_eq!(later.text(0, &format!("/{page}")), "1");
    }
    assert_eq!(later.fetches("/"), 0);
}

#[test]
fn variants_are_told_apart() {
    let Some(server) = Redis::start() else { return };
    let herd = Herd::start(2, &redis(&server.url()), |_, request| {
        let kind = request.head.one("x-kind").unwrap_or("none").to_owned();
        ok(request, &format!("{FRESH}Vary: X-Kind\r\n"), &kind)
    });
    for kind in ["one", "two", "three"] {
        herd.share("/a", &format!("X-Kind: {kind}\r\n"));
    }
    herd.share("/a", "");
    // Four variants and the list of what they vary by.
    wait_values(&server, 5);
    for kind in ["three", "one", "two"] {
        let answer = herd.ask(1, "GET", "/a", &format!("X-Kind: {kind}\r\n"));
        assert!(is_from_tier(&answer), "{kind}: {:?}", answer.head);
        assert_eq!(answer.text(), kind);
    }
    assert_eq!(herd.text(1, "/a"), "none");
    assert_eq!(herd.fetches("/"), 4);
    // One that nobody has fetched is fetched.
    assert_eq!(herd.ask(1, "GET", "/a", "X-Kind: four\r\n").text(), "four");
    assert_eq!(herd.fetches("/"), 5);
}

/// Every byte value, at every place of a chunk's edge.
fn binary(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at / 65_536) as u8).collect()
}

/// None, few, as many as a chunk holds, one less, one more, and many chunks.
const LENGTHS: [usize; 6] = [0, 1, 262_143, 262_144, 262_145, 5 << 20];

#[test]
fn large_and_binary_bodies_come_whole() {
    let Some(server) = Redis::start() else { return };
    let herd = Herd::start(2, &redis(&server.url()), |_, request| {
        let length: usize = request.target[1..].parse().expect("a length");
        let mut bytes =
            format!("HTTP/1.1 200 OK\r\n{FRESH}Content-Length: {length}\r\n\r\n").into_bytes();
        bytes.extend(binary(length));
        answer(bytes)
    });
    for (index, length) in LENGTHS.into_iter().enumerate() {
        let target = format!("/{length}");
        assert!(herd.share(&target, "").body == binary(length), "{length} bytes at first");
        wait_values(&server, index + 1);
        let second = herd.get(1, &target);
        assert!(is_from_tier(&second), "{length}: {:?}", second.head);
        assert!(second.body == binary(length), "{length} bytes from the tier");
    }
    // A part of what came from the tier.
    let part = herd.ask(1, "GET", "/5242880", "Range: bytes=262140-262149\r\n");
    assert_eq!(part.status, 206);
    assert!(part.body == binary(5 << 20)[262_140..262_150]);
    assert_eq!(herd.fetches("/"), LENGTHS.len());
}

/// Chunked ones have no length before their end.
#[test]
fn chunked_bodies_are_shared_too() {
    let Some(server) = Redis::start() else { return };
    let herd = Herd::start(2, &redis(&server.url()), |_, _| {
        let head = format!("HTTP/1.1 200 OK\r\n{FRESH}Transfer-Encoding: chunked\r\n\r\n");
        let chunk = format!("{:x}\r\n{}\r\n", 100_000, "y".repeat(100_000));
        vec![Action::Body, send(head), send(chunk.repeat(10)), send("0\r\n\r\n")]
    });
    assert_eq!(herd.share("/a", "").body.len(), 1_000_000);
    wait_values(&server, 1);
    let second = herd.get(1, "/a");
    assert!(is_from_tier(&second), "{:?}", second.head);
    assert!(second.body.iter().all(|&byte| byte == b'y') && second.body.len() == 1_000_000);
}

/// What the origin gave as a part is never taken for the whole.
#[test]
fn a_part_is_not_the_whole() {
    let Some(server) = Redis::start() else { return };
    let herd = Herd::start(2, &redis(&server.url()), |_, request: &Request| {
        match request.head.one("range") {
            Some("bytes=0-3") => answer(page(
                "206 Partial Content",
                &format!("{FRESH}ETag: \"e\"\r\nContent-Range: bytes 0-3/10\r\n"),
                "0123",
            )),
            _ => ok(request, &format!("{FRESH}ETag: \"e\"\r\n"), "0123456789"),
        }
    });
    for _ in 0..2 {
        let part = herd.ask(0, "GET", "/a", "Range: bytes=0-3\r\n");
        assert_eq!((part.status, part.text().as_str()), (206, "0123"));
    }
    assert_eq!(herd.text(1, "/a"), "0123456789");
    let part = herd.ask(1, "GET", "/a", "Range: bytes=0-3\r\n");
    assert_eq!((part.status, part.text().as_str()), (206, "0123"));
    assert_eq!(herd.text(0, "/a"), "0123456789");
}

/// What has gone stale in the tier is validated, and what comes of it is shared again.
#[test]
fn what_went_stale_is_validated_by_another() {
    let Some(server) = Redis::start() else { return };
    let fields = "Cache-Control: max-age=1\r\nETag: \"e\"\r\n";
    let herd = Herd::start(3, &redis(&server.url()), move |_, request| {
        match request.head.one("if-none-match") {
            Some("\"e\"") => not_modified(&format!("{FRESH}ETag: \"e\"\r\n")),
            Some(other) => panic!("asked about {other:?}"),
            None => ok(request, fields, "body"),
        }
    });
    herd.share("/a", "");
    wait_values(&server, 1);
    outlive_a_second();
    assert_eq!(herd.text(1, "/a"), "body");
    let seen = herd.origin.requests();
    assert_eq!(seen.len(), 2, "{}", herd.origin.report());
    assert!(seen[1].head.has("if-none-match"), "{}", herd.origin.report());
    // What the 304 made of it is for all: the first finds it instead of asking.
    wait_until("the others to have it", || {
        herd.text(0, "/a") == "body" && is_from_tier(&herd.get(2, "/a"))
    });
    let asked = herd.fetches("/");
    assert!(asked <= 3, "{}", herd.origin.report());
}

/// Without memory every answer is the tier's.
#[test]
fn the_tier_alone_is_a_cache() {
    let Some(server) = Redis::start() else { return };
    let lines = format!("memory = \"0 B\"\n{}", redis(&server.url()));
    let herd = Herd::start(2, &lines, |n, request| ok(request, FRESH, &n.to_string()));
    herd.share("/a", "");
    wait_values(&server, 1);
    for _ in 0..3 {
        for at in [0, 1] {
            let answer = herd.get(at, "/a");
            assert_eq!(answer.text(), "1", "{:?}", answer.head);
        }
    }
    herd.purge(1, "{\"all\":true}");
    assert_eq!(herd.text(0, "/a"), "2");
}

/// What one client alone may have never gets there.
#[test]
fn nothing_private_is_shared() {
    let Some(server) = Redis::start() else { return };
    let herd = Herd::start(2, &redis(&server.url()), |n, request| {
        let fields = match request.target.as_str() {
            "/private" => "Cache-Control: private, max-age=1000\r\n",
            "/no-store" => "Cache-Control: no-store\r\n",
            _ => FRESH,
        };
        ok(request, fields, &n.to_string())
    });
    for target in ["/private", "/no-store"] {
        assert_eq!(herd.text(0, target), "1");
    }
    let fields = "Authorization: Bearer me\r\n";
    assert_eq!(herd.ask(0, "GET", "/mine", fields).text(), "1");
    herd.share("/public", "");
    wait_values(&server, 1);
    for target in ["/private", "/no-store", "/mine"] {
        assert_eq!(herd.text(1, target), "2", "{target}");
    }
    assert_eq!(herd.text(1, "/public"), "1");
}
