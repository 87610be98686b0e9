//! Stale answers: at once while a new one is fetched, and instead of a failure (RFC 5861, 9111 §4.2.4).

use crate::cache_stage::{Cached, FRESH, not_modified, ok, outlive_a_second, page};
use base::Moment;
use scenario::origin::{Action, answer};
use scenario::{Gate, Request};

/// The first answer with these fields, and each later one held at the gate.
fn then_held(gate: &Gate, fields: &'static str) -> impl Fn(usize, &Request) -> Vec<Action> + use<> {
    let wait = gate.clone();
    move |number, request| {
        if number == 1 {
            return ok(request, fields, "old");
        }
        let mut actions = vec![Action::Wait(wait.clone())];
        actions.extend(ok(request, FRESH, "new"));
        actions
    }
}

#[track_caller]
fn stale_is_served_meanwhile(cached: &Cached, gate: &Gate) {
    assert_eq!(cached.get("/a").text(), "old");
    outlive_a_second();
    // The origin holds the new answer: whoever waited for it would get none of these.
    for _ in 0..20 {
        assert_eq!(cached.get("/a").text(), "old");
    }
    cached.origin.head(2);
    gate.open();
    cached.until("/a", "new");
    assert_eq!(cached.fetches(), 2, "more than one fetch in the background");
}

#[test]
fn while_it_is_revalidated_nobody_waits() {
    let gate = Gate::new();
    let script = then_held(&gate, "Cache-Control: max-age=1, stale-while-revalidate=1000\r\n");
    stale_is_served_meanwhile(&Cached::rfc(script), &gate);
}

#[test]
fn shared_lifetimes_can_be_outlived_by_explicit_permission() {
    let gate = Gate::new();
    let script = then_held(&gate, "Cache-Control: s-maxage=1, stale-while-revalidate=1000\r\n");
    stale_is_served_meanwhile(&Cached::rfc(script), &gate);
}

#[test]
fn a_route_may_permit_it() {
    let gate = Gate::new();
    let script = then_held(&gate, "Cache-Control: max-age=1\r\n");
    stale_is_served_meanwhile(&Cached::route("{ stale = \"5m\" }", script), &gate);
}

/// What says that it must be validated always is, whatever a route permits.
#[test]
fn a_route_cannot_permit_it_against_must_revalidate() {
    for directives in ["max-age=1, must-revalidate", "max-age=1, proxy-revalidate", "no-cache"] {
        let fields = format!("Cache-Control: {directives}\r\nETag: \"one\"\r\n");
        let rules = "{ stale = \"5m\", stale_error = \"5m\" }";
        let cached =
            Cached::route(rules, move |number, request| ok(request, &fields, &number.to_string()));
        assert_eq!(cached.get("/a").text(), "1");
        outlive_a_second();
        assert_eq!(cached.get("/a").text(), "2", "{directives}");
    }
}

#[test]
fn beyond_its_window_stale_is_not_served() {
    let fields =
        "Cache-Control: max-age=1, stale-while-revalidate=5\r\nAge: 100\r\nETag: \"one\"\r\n";
    let cached = Cached::rfc(move |number, request| ok(request, fields, &number.to_string()));
    assert_eq!(cached.get("/a").text(), "1");
    assert_eq!(cached.get("/a").text(), "2");
}

/// A refresh in the background asks as we ask, not as the client that set it off.
#[test]
fn a_refresh_in_the_background_is_no_clients_own() {
    let cached = Cached::rfc(|number, request| match number {
        1 => {
            let fields = "Cache-Control: max-age=1, stale-while-revalidate=1000\r\n";
            ok(request, &format!("{fields}ETag: \"one\"\r\n"), "0123456789")
        }
        _ => not_modified(&format!("{FRESH}ETag: \"one\"\r\n")),
    });
    cached.get("/a");
    outlive_a_second();
    let fields = "Range: bytes=0-1\r\nIf-None-Match: \"other\"\r\nIf-Modified-Since: x\r\n";
    cached.ask("GET", "/a", fields);
    let seen = cached.origin.request(2);
    assert_eq!(seen.head.one("if-none-match"), Some("\"one\""), "{seen}");
    assert!(!seen.head.has("range") && !seen.head.has("if-modified-since"), "{seen}");
    assert_eq!(cached.get("/a").text(), "0123456789");
}

#[track_caller]
fn bridges(rules: &str, fields: &'static str, failure: fn() -> Vec<Action>) {
    let cached = Cached::route(rules, move |number, request| match number {
        1 => ok(request, fields, "old"),
        _ => failure(),
    });
    cached.get("/a");
    outlive_a_second();
    for _ in 0..10 {
        let response = cached.get("/a");
        assert_eq!((response.status, response.text().as_str()), (200, "old"));
    }
}

const SIE: &str = "Cache-Control: max-age=1, stale-if-error=1000\r\n";

#[test]
fn failures_of_the_origin_are_bridged() {
    bridges("true", SIE, || answer(page("500 No", "", "no")));
    bridges("true", SIE, || answer(page("502 No", "", "no")));
    bridges("true", SIE, || answer(page("503 No", "Retry-After: 1\r\n", "no")));
    bridges("true", SIE, || answer(page("504 No", "", "no")));
    bridges("true", SIE, || vec![Action::Close]);
    bridges("true", SIE, || vec![Action::Reset]);
}

#[test]
fn a_route_may_bridge_failures() {
    let fields = "Cache-Control: max-age=1\r\n";
    bridges("{ stale_error = \"1h\" }", fields, || answer(page("503 No", "", "no")));
    bridges("{ stale_error = \"1h\" }", fields, || vec![Action::Close]);
}

#[test]
fn a_dead_origin_is_bridged() {
    let mut cached = Cached::rfc(|_, request| ok(request, SIE, "old"));
    cached.get("/a");
    outlive_a_second();
    cached.origin.stop();
    for _ in 0..10 {
        assert_eq!(cached.get("/a").text(), "old");
    }
    assert!(matches!(cached.get("/never-seen").status, 502 | 503));
    cached.origin.restart();
    assert_eq!(cached.get("/other").status, 200);
}

/// What is no failure is no reason to keep to the old.
#[test]
fn a_page_that_is_gone_is_gone() {
    for status in ["404 Gone", "410 Gone", "401 Who", "301 There"] {
        let cached = Cached::rfc(move |number, request| match number {
            1 => ok(request, SIE, "old"),
            _ => answer(page(status, "", "gone")),
        });
        cached.get("/a");
        outlive_a_second();
        assert_eq!(cached.get("/a").text(), "gone", "{status}");
    }
}

/// A failing origin is asked about once a second, not once a request.
#[test]
fn a_failing_origin_is_left_alone() {
    let cached = Cached::rfc(|number, request| match number {
        1 => ok(request, SIE, "old"),
        _ => answer(page("503 No", "", "no")),
    });
    cached.get("/a");
    outlive_a_second();
    let begun = Moment::now();
    for _ in 0..200 {
        assert_eq!(cached.get("/a").text(), "old");
    }
    let seconds = Moment::now().since(begun).as_secs() as usize;
    let tries = cached.fetches() - 1;
    assert!(tries <= seconds + 2, "{tries} tries in {seconds} s");
}

/// A refresh in the background that fails does not take away what is served.
#[test]
fn a_failed_refresh_leaves_what_there_is() {
    let fields = "Cache-Control: max-age=1, stale-while-revalidate=1000\r\n";
    let cached = Cached::rfc(move |number, request| match number {
        1 => ok(request, fields, "old"),
        2 => vec![Action::Reset],
        3 => answer(page("500 No", "", "no")),
        _ => ok(request, FRESH, "new"),
    });
    cached.get("/a");
    outlive_a_second();
    let by = scenario::patience();
    loop {
        let response = cached.get("/a");
        assert_eq!(response.status, 200);
        if response.text() == "new" {
            break;
        }
        assert!(!by.passed(Moment::now()), "it was never refreshed");
    }
}

/// What is served stale says how old it is.
#[test]
fn stale_answers_tell_their_age() {
    let fields = "Cache-Control: max-age=1, stale-while-revalidate=1000\r\nAge: 100\r\n";
    let gate = Gate::new();
    let wait = gate.clone();
    let cached = Cached::rfc(move |number, request| match number {
        1 => ok(request, fields, "old"),
        _ => vec![Action::Wait(wait.clone())],
    });
    cached.get("/a");
    let response = cached.get("/a");
    let age = response.field("age").and_then(|age| age.parse::<u32>().ok());
    assert!(age.is_some_and(|age| age >= 100), "{:?}", response.head);
    gate.open();
}
