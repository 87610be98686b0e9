//! Many clients, one answer: who waits for whom, who reads whose answer, and who need not.

use crate::cache_stage::{Cached, FRESH, cache_status, head, ok, outlive_a_second, page};
use scenario::origin::{Action, answer, send};
use scenario::{Client, Gate};
use std::collections::HashSet;

/// So many clients that have sent the same request, on connections of their own.
#[track_caller]
fn crowd(cached: &Cached, count: usize, target: &str) -> Vec<Client> {
    (0..count).map(|_| cached.asking("GET", target, "")).collect()
}

/// The bodies of their answers, each of them whole and 200.
#[track_caller]
fn bodies(clients: &mut [Client]) -> Vec<String> {
    let mut texts = Vec::new();
    for client in clients {
        let response = client.response("GET");
        if response.status != 200 {
            client.fail("it was not served");
        }
        texts.push(response.text());
    }
    texts
}

#[track_caller]
fn cold(clients: usize) {
    let gate = Gate::new();
    let wait = gate.clone();
    let cached = Cached::rfc(move |number, request| {
        let mut actions = vec![Action::Wait(wait.clone())];
        actions.extend(ok(request, FRESH, &format!("fetch {number}")));
        actions
    });
    let mut clients = crowd(&cached, clients, "/cold");
    cached.origin.head(1);
    gate.open();
    let texts = bodies(&mut clients);
    assert!(texts.iter().all(|text| text == "fetch 1"), "{texts:?}");
    assert_eq!(cached.fetches(), 1);
}

#[test]
fn fifty_clients_of_a_cold_page_are_one_fetch() {
    cold(50);
}

#[test]
fn a_thousand_clients_of_a_cold_page_are_one_fetch() {
    cold(1_000);
}

#[test]
fn fifty_clients_of_an_expired_page_are_one_fetch() {
    for validator in ["", "ETag: \"one\"\r\n"] {
        let gate = Gate::new();
        let wait = gate.clone();
        let cached = Cached::rfc(move |number, request| {
            if number == 1 {
                return ok(request, &format!("Cache-Control: max-age=1\r\n{validator}"), "fetch 1");
            }
            let mut actions = vec![Action::Wait(wait.clone())];
            actions.extend(ok(request, FRESH, &format!("fetch {number}")));
            actions
        });
        cached.get("/expired");
        outlive_a_second();
        let mut clients = crowd(&cached, 50, "/expired");
        cached.origin.head(2);
        gate.open();
        let texts = bodies(&mut clients);
        assert!(texts.iter().all(|text| text == "fetch 2"), "{texts:?}");
        assert_eq!(cached.fetches(), 2);
    }
}

/// What may not be shared is not, however many wait; and they do not take turns: from the first such
/// answer on all the others are at the origin at once, or none gets an answer.
#[track_caller]
fn each_its_own(cached: &Cached, all_there: &Gate) {
    let mut clients = crowd(cached, 20, "/own");
    assert!(all_there.pass(), "they take turns:\n{}", cached.origin.report());
    let texts = bodies(&mut clients);
    let distinct: HashSet<_> = texts.iter().collect();
    assert_eq!(distinct.len(), 20, "answers were shared: {texts:?}");
}

#[test]
fn private_answers_are_never_shared_nor_serialised() {
    for fields in [
        "Cache-Control: private, max-age=1000\r\n",
        "Cache-Control: no-store\r\n",
        "Cache-Control: max-age=1000\r\nVary: *\r\n",
        "",
    ] {
        let all_there = Gate::new();
        let open = all_there.clone();
        let cached = Cached::rfc(move |number, request| {
            let mut actions = Vec::new();
            match number {
                // The one that all may wait for, unless they know better.
                1 => {}
                20 => actions.push(Action::Open(open.clone())),
                _ => actions.push(Action::Wait(open.clone())),
            }
            actions.extend(ok(request, fields, &format!("user {number}")));
            actions
        });
        each_its_own(&cached, &all_there);
    }
}

/// The second crowd finds that known: not even one goes first.
#[test]
fn an_uncacheable_page_is_remembered_as_one() {
    let all_there = Gate::new();
    let open = all_there.clone();
    let cached = Cached::rfc(move |number, request| {
        let mut actions = Vec::new();
        match number {
            1 => {}
            21 => actions.push(Action::Open(open.clone())),
            _ => actions.push(Action::Wait(open.clone())),
        }
        actions.extend(ok(request, "Cache-Control: private\r\n", &format!("user {number}")));
        actions
    });
    cached.get("/own");
    each_its_own(&cached, &all_there);
}

/// It is not remembered for ever: a page that becomes cacheable is cached.
#[test]
fn a_page_that_becomes_cacheable_is_cached() {
    let cached = Cached::rfc(|number, request| {
        let fields = if number <= 3 { "Cache-Control: private\r\n" } else { FRESH };
        ok(request, fields, &number.to_string())
    });
    for _ in 0..4 {
        cached.get("/later");
    }
    assert_eq!((cached.get("/later").text(), cached.fetches()), ("4".to_owned(), 4));
}

#[test]
fn a_cookie_that_is_set_goes_to_one_client() {
    let gate = Gate::new();
    let wait = gate.clone();
    let cached = Cached::safe(move |number, request| {
        let fields = format!("{FRESH}Set-Cookie: id={number}\r\n");
        let mut actions = vec![Action::Wait(wait.clone())];
        actions.extend(ok(request, &fields, &format!("user {number}")));
        actions
    });
    let mut clients = crowd(&cached, 10, "/login");
    cached.origin.head(1);
    gate.open();
    let distinct: HashSet<_> = bodies(&mut clients).into_iter().collect();
    assert_eq!(distinct.len(), 10);
}

/// Waiters ask by their own fields: an answer that varies is theirs only if it was selected so.
#[test]
fn waiters_of_other_variants_are_served_their_own() {
    let gate = Gate::new();
    let wait = gate.clone();
    let cached = Cached::rfc(move |_, request| {
        let kind = request.head.one("x-kind").unwrap_or("none").to_owned();
        let mut actions = vec![Action::Wait(wait.clone())];
        actions.extend(ok(request, &format!("{FRESH}Vary: X-Kind\r\n"), &kind));
        actions
    });
    let kinds: Vec<_> = (0..12).map(|number| ["a", "b", "c"][number % 3]).collect();
    let asking = |kind: &&str| cached.asking("GET", "/kinds", &format!("X-Kind: {kind}\r\n"));
    let mut clients: Vec<_> = kinds.iter().map(asking).collect();
    cached.origin.head(1);
    gate.open();
    assert_eq!(bodies(&mut clients), kinds);
    assert!(cached.fetches() < 12, "nothing was shared");
}

/// The first client's fetch breaks: the others elect another, and none of them is told of it.
#[test]
fn a_lost_leader_does_not_fail_its_followers() {
    let gate = Gate::new();
    let wait = gate.clone();
    let cached = Cached::rfc(move |number, request| match number {
        1 => vec![Action::Wait(wait.clone()), Action::Reset],
        _ => ok(request, FRESH, "hello"),
    });
    let mut clients = crowd(&cached, 20, "/lost");
    cached.origin.head(1);
    gate.open();
    let statuses: Vec<_> = clients.iter_mut().map(|c| c.response("GET").status).collect();
    let failed = statuses.iter().filter(|status| **status != 200).count();
    assert!(failed <= 1, "{statuses:?}");
    assert!(cached.fetches() <= 3, "{} fetches", cached.fetches());
}

/// The same where the leader was answered with a failure: it is told, in its turn or all at once, but
/// the origin is not asked once for each.
#[test]
fn a_failure_is_not_repeated_for_every_follower() {
    let gate = Gate::new();
    let wait = gate.clone();
    let cached = Cached::route("{ ttl_error = \"5s\" }", move |number, _| {
        let mut actions = vec![Action::Wait(wait.clone())];
        actions.extend(answer(page("503 No", "", &number.to_string())));
        actions
    });
    let mut clients = crowd(&cached, 20, "/failing");
    cached.origin.head(1);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response("GET").status, 503);
    }
    assert!(cached.fetches() <= 3, "{} fetches", cached.fetches());
}

/// The client whose request is the fetch goes away before the head has come.
#[test]
fn a_leader_that_leaves_does_not_fail_its_followers() {
    let gate = Gate::new();
    let wait = gate.clone();
    let cached = Cached::rfc(move |_, request| {
        let mut actions = vec![Action::Wait(wait.clone())];
        actions.extend(ok(request, FRESH, "hello"));
        actions
    });
    let leader = cached.asking("GET", "/left", "");
    cached.origin.head(1);
    let mut clients = crowd(&cached, 5, "/left");
    leader.reset();
    gate.open();
    assert_eq!(bodies(&mut clients), ["hello"; 5]);
    assert!(cached.fetches() <= 2, "{} fetches", cached.fetches());
}

/// After `wait_time` a follower goes forward itself, and is served.
#[test]
fn followers_wait_for_a_bounded_time_only() {
    let gate = Gate::new();
    let wait = gate.clone();
    let cached = Cached::with(
        |text| text.rest("[cache]\nprofile = \"rfc\"\nwait_time = \"100ms\"\n"),
        move |number, request| match number {
            1 => {
                let mut actions = vec![Action::Wait(wait.clone())];
                actions.extend(ok(request, FRESH, "slow"));
                actions
            }
            _ => ok(request, FRESH, "quick"),
        },
    );
    let mut slow = cached.asking("GET", "/slow", "");
    cached.origin.head(1);
    // Served while the first is held.
    assert_eq!(cached.get("/slow").text(), "quick");
    gate.open();
    assert_eq!(slow.response("GET").status, 200);
}

const HALF: usize = 5_000;

/// A page of two halves, with a gate between them.
fn halves(framed: bool, gate: &Gate, then: Action) -> Vec<Action> {
    let half = "x".repeat(HALF);
    let chunk = format!("{HALF:x}\r\n{half}\r\n");
    let (framing, first, second) = if framed {
        (format!("Content-Length: {}", 2 * HALF), half.clone(), half)
    } else {
        ("Transfer-Encoding: chunked".to_owned(), chunk.clone(), chunk + "0\r\n\r\n")
    };
    let start = format!("HTTP/1.1 200 OK\r\n{FRESH}{framing}\r\n\r\n{first}");
    let mut actions = vec![send(start), Action::Wait(gate.clone())];
    match then {
        Action::Close => actions.push(then),
        _ => actions.push(send(second)),
    }
    actions
}

/// Reads the head of an answer and the first half of its body.
#[track_caller]
fn first_half(client: &mut Client) {
    let answer = client.head();
    assert!(answer.line.starts_with("HTTP/1.1 200"), "{}", answer.line);
    half(client);
}

/// Reads half of a body, however it is framed.
#[track_caller]
fn half(client: &mut Client) {
    let mut seen = 0;
    while seen < HALF {
        seen += usize::from(client.bytes(1) == b"x");
    }
}

#[test]
fn a_second_reader_reads_what_is_still_being_written() {
    for framed in [true, false] {
        let gate = Gate::new();
        let wait = gate.clone();
        let cached = Cached::rfc(move |_, _| halves(framed, &wait, Action::Body));
        let mut first = cached.asking("GET", "/long", "");
        first_half(&mut first);
        let mut second = cached.asking("GET", "/long", "");
        first_half(&mut second);
        gate.open();
        half(&mut first);
        half(&mut second);
        assert_eq!(cached.get("/long").body.len(), 2 * HALF);
        assert_eq!(cached.fetches(), 1);
    }
}

#[test]
fn readers_finish_when_the_first_client_leaves() {
    for framed in [true, false] {
        let gate = Gate::new();
        let wait = gate.clone();
        let cached = Cached::rfc(move |_, _| halves(framed, &wait, Action::Body));
        let mut first = cached.asking("GET", "/long", "");
        first_half(&mut first);
        let mut second = cached.asking("GET", "/long", "");
        first_half(&mut second);
        first.reset();
        gate.open();
        half(&mut second);
        assert_eq!(cached.get("/long").body.len(), 2 * HALF);
        assert_eq!(cached.fetches(), 1);
    }
}

/// All readers of a body that breaks off see that it did, and nobody later gets it.
#[test]
fn a_body_that_breaks_off_is_cut_for_all_and_not_stored() {
    for framed in [true, false] {
        let gate = Gate::new();
        let wait = gate.clone();
        let cached = Cached::rfc(move |number, request| match number {
            1 => halves(framed, &wait, Action::Close),
            _ => ok(request, FRESH, "whole"),
        });
        let mut first = cached.asking("GET", "/cut", "");
        first_half(&mut first);
        let mut second = cached.asking("GET", "/cut", "");
        first_half(&mut second);
        gate.open();
        for client in [&mut first, &mut second] {
            let (rest, _) = client.rest();
            let ended_well = rest.ends_with(b"0\r\n\r\n");
            assert!(!ended_well && rest.len() < HALF, "it looks whole");
        }
        assert_eq!(cached.get("/cut").text(), "whole");
        assert_eq!(cached.get("/cut").text(), "whole");
        assert_eq!(cached.fetches(), 2);
    }
}

/// A reader who reads nothing holds up neither the fetch nor the others.
#[test]
fn a_reader_that_stops_holds_up_nobody() {
    const SIZE: usize = 8 << 20;
    let cached = Cached::rfc(|_, _| {
        let start = format!("HTTP/1.1 200 OK\r\n{FRESH}Content-Length: {SIZE}\r\n\r\n");
        vec![Action::Body, send(start), Action::Fill(SIZE as u64)]
    });
    let mut idle = Client::connect_small(cached.gateway.address());
    idle.send(head("GET", "/large", ""));
    idle.head();
    for _ in 0..5 {
        assert_eq!(cached.get("/large").body.len(), SIZE);
    }
    assert_eq!(cached.fetches(), 1);
    idle.skip(SIZE as u64);
}

#[test]
fn cache_status_tells_a_follower_from_its_leader() {
    let gate = Gate::new();
    let wait = gate.clone();
    let cached = Cached::rfc(move |_, request| {
        let mut actions = vec![Action::Wait(wait.clone())];
        actions.extend(ok(request, FRESH, "hello"));
        actions
    });
    let mut clients = crowd(&cached, 10, "/told");
    cached.origin.head(1);
    gate.open();
    let told: Vec<_> = clients.iter_mut().map(|c| cache_status(&c.response("GET"))).collect();
    let leaders = told.iter().filter(|t| t.contains("fwd=uri-miss") && !t.contains("collapsed"));
    assert_eq!(leaders.count(), 1, "{told:?}");
    let is_follower = |t: &&String| t.contains("collapsed") || t.contains("; hit");
    assert_eq!(told.iter().filter(is_follower).count(), 9, "{told:?}");
}
