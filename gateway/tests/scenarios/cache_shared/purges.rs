//! What one gateway forgets, all forget: before the answer to the purge is there.

use super::{Herd, redis};
use crate::cache_stage::{FRESH, ok};
use base::Moment;
use scenario::origin::Action;
use scenario::server::wait_until;
use scenario::{Redis, Request};
use std::time::Duration;

fn tagged(number: usize, request: &Request) -> Vec<Action> {
    ok(request, &format!("{FRESH}Cache-Tag: t\r\n"), &number.to_string())
}

/// Puts a page into the memory of all.
#[track_caller]
fn warm(herd: &Herd, target: &str) -> String {
    herd.share(target, "");
    let all: Vec<_> = (0..herd.gateways.len()).map(|at| herd.text(at, target)).collect();
    for (at, text) in all.iter().enumerate() {
        assert_eq!(herd.text(at, target), *text, "it is not held");
    }
    all[0].clone()
}

#[test]
fn a_purge_on_one_is_a_purge_on_all() {
    let Some(server) = Redis::start() else { return };
    let herd = Herd::start(3, &redis(&server.url()), tagged);
    herd.wait_all();
    for what in [
        "{\"tags\":[\"t\"]}",
        "{\"urls\":[\"http://shop.test/a/1\"]}",
        "{\"prefixes\":[\"shop.test/a/\"]}",
        "{\"hosts\":[\"shop.test\"]}",
        "{\"all\":true}",
    ] {
        for at in 0..3 {
            let old: u32 = warm(&herd, "/a/1").parse().expect("a number");
            let began = Moment::now();
            let reached = herd.purge(at, what);
            let took = Moment::now().since(began);
            let new: Vec<u32> =
                (0..3).map(|at| herd.text(at, "/a/1").parse().expect("a number")).collect();
            // Fetches of gateways that had fetched before the first warm-up count too.
            assert!(reached == "all" && new.iter().all(|&new| new > old), "{what}: {old}, {new:?}");
            eprintln!("purge of {what} through {at}: all three miss after {took:?}");
        }
    }
}

/// What was purged softly on one is served once more by all, and fetched anew behind it.
#[test]
fn a_soft_purge_on_one_is_one_on_all() {
    let Some(server) = Redis::start() else { return };
    let herd = Herd::start(3, &redis(&server.url()), tagged);
    herd.wait_all();
    warm(&herd, "/a");
    assert_eq!(herd.purge(1, "{\"tags\":[\"t\"],\"soft\":true}"), "all");
    for at in 0..3 {
        // Nobody waits: what is there is served, and its successor follows, fetched here or there.
        wait_until("a new page", || herd.text(at, "/a") != "1");
    }
    assert!(herd.fetches("/a") <= 4, "{}", herd.origin.report());
}

/// A hard purge of one thing leaves the others where they are, in memory and in the tier.
#[test]
fn a_purge_hits_what_it_names() {
    let Some(server) = Redis::start() else { return };
    let herd = Herd::start(2, &redis(&server.url()), |number, request| {
        let tag = request.target.trim_start_matches('/');
        ok(request, &format!("{FRESH}Cache-Tag: {tag}\r\n"), &number.to_string())
    });
    herd.wait_all();
    for target in ["/a", "/b"] {
        herd.share(target, "");
    }
    wait_until("both in the tier", || server.ask(&["DBSIZE"]).parse::<u32>().unwrap_or(0) >= 4);
    herd.purge(1, "{\"tags\":[\"a\"]}");
    assert_eq!(herd.text(1, "/a"), "2");
    assert_eq!([herd.text(0, "/b"), herd.text(1, "/b")], ["1", "1"]);
    assert_eq!(herd.fetches("/b"), 1);
}

/// How long a purge takes, and how long all three go on serving what it named.
#[test]
fn a_purge_takes_milliseconds() {
    let Some(server) = Redis::start() else { return };
    let herd = Herd::start(3, &redis(&server.url()), tagged);
    herd.wait_all();
    let mut times: Vec<Duration> = (0..40)
        .map(|round| {
            let target = format!("/{round}");
            warm(&herd, &target);
            let began = Moment::now();
            assert_eq!(herd.purge(round % 3, "{\"tags\":[\"t\"]}"), "all");
            Moment::now().since(began)
        })
        .collect();
    times.sort();
    eprintln!(
        "a purge returned, reaching all: median {:?}, p90 {:?}, most {:?}",
        times[20], times[36], times[39]
    );
}

/// What an unsafe method has changed is forgotten by all before its own client has the answer.
#[test]
fn an_unsafe_method_is_a_purge_on_all() {
    let Some(server) = Redis::start() else { return };
    let herd = Herd::start(3, &redis(&server.url()), tagged);
    herd.wait_all();
    for (round, method) in ["PUT", "POST", "DELETE", "PATCH"].into_iter().enumerate() {
        for at in 0..3 {
            let target = format!("/{method}/{at}");
            warm(&herd, &target);
            let answer = herd.ask(at, method, &target, "Content-Length: 0\r\n");
            assert_eq!(answer.status, 200, "{round}");
            for other in 0..3 {
                let number: u32 = herd.text(other, &target).parse().expect("a number");
                assert!(number > 2, "{method} through {at}: {other} has {number}");
            }
        }
    }
}
