//! What routes say about caching: keys, lifetimes, cookies, switches.

use crate::cache_stage::{Cached, FRESH, RFC, SAFE, ok, outlive_a_second, page};
use scenario::Request;
use scenario::origin::{Action, answer};

/// Each fetch tells its number, the target's path and nothing else.
fn numbered(_: usize, request: &Request) -> Vec<Action> {
    ok(request, FRESH, &request.target)
}

/// Asks for these in turn; how many reached the origin.
#[track_caller]
fn fetches(rules: &str, asks: &[(&str, &str)]) -> usize {
    let cached = Cached::route(rules, numbered);
    for (target, fields) in asks {
        assert_eq!(cached.ask("GET", target, fields).status, 200);
    }
    cached.fetches()
}

#[test]
fn the_whole_query_counts_as_it_stands() {
    let asks = [("/x?a=1&b=2", ""), ("/x?b=2&a=1", ""), ("/x?a=1", ""), ("/x", ""), ("/x?", "")];
    let count = fetches("true", &asks);
    assert!(matches!(count, 4 | 5), "{count}");
    assert_eq!(fetches("true", &[("/x?a=1", ""), ("/x?a=1", "")]), 1);
}

#[test]
fn the_order_of_parameters_may_not_count() {
    let sorted = "{ key = { sort_query = true } }";
    assert_eq!(fetches(sorted, &[("/x?a=1&b=2", ""), ("/x?b=2&a=1", "")]), 1);
    assert_eq!(fetches(sorted, &[("/x?a=1&a=2", ""), ("/x?a=2&a=1", "")]), 2);
    assert_eq!(fetches(sorted, &[("/x?a=1", ""), ("/x?a=2", "")]), 2);
}

#[test]
fn parameters_may_be_ignored() {
    let rules = "{ key = { ignore_query = [\"utm_*\", \"gclid\"] } }";
    let asks = [("/x?a=1", ""), ("/x?a=1&utm_source=z", ""), ("/x?gclid=1&a=1", "")];
    assert_eq!(fetches(rules, &asks), 1);
    assert_eq!(fetches(rules, &[("/x?a=1", ""), ("/x?a=2&utm_source=z", "")]), 2);
    assert_eq!(fetches(rules, &[("/x?gclidx=1", ""), ("/x?gclidx=2", "")]), 2);
}

#[test]
fn only_listed_parameters_may_count() {
    let rules = "{ key = { query = [\"a\"] } }";
    assert_eq!(fetches(rules, &[("/x?a=1&b=2", ""), ("/x?a=1&b=3", ""), ("/x?a=1", "")]), 1);
    assert_eq!(fetches(rules, &[("/x?a=1", ""), ("/x?a=2", "")]), 2);
}

#[test]
fn all_rules_of_the_query_work_together() {
    let rules = "{ key = { ignore_query = [\"utm_*\"], sort_query = true } }";
    assert_eq!(fetches(rules, &[("/x?b=1&a=2", ""), ("/x?a=2&b=1&utm_source=z", "")]), 1);
}

#[test]
fn fields_and_cookies_may_count() {
    let fields = "{ key = { fields = [\"X-Tenant\"] } }";
    let (one, two) = ("X-Tenant: 1\r\n", "X-Tenant: 2\r\n");
    assert_eq!(fetches(fields, &[("/x", one), ("/x", two), ("/x", one), ("/x", "")]), 3);
    let cookies = "{ key = { cookies = [\"currency\"] } }";
    let asks = [
        ("/x", "Cookie: currency=eur; id=1\r\n"),
        ("/x", "Cookie: id=2; currency=eur\r\n"),
        ("/x", "Cookie: currency=usd\r\n"),
        ("/x", "Cookie: id=3\r\n"),
        ("/x", ""),
    ];
    assert_eq!(fetches(cookies, &asks), 3);
}

#[test]
fn a_cookie_may_go_past_the_cache() {
    let rules = "{ bypass_cookies = [\"session\", \"wp_*\"] }";
    let asks = |cookie: &'static str| [("/x", ""), ("/x", cookie), ("/x", cookie), ("/x", "")];
    assert_eq!(fetches(rules, &asks("Cookie: a=b; session=1\r\n")), 3);
    assert_eq!(fetches(rules, &asks("Cookie: wp_user=1\r\n")), 3);
    assert_eq!(fetches(rules, &asks("Cookie: sessions=1; a=session\r\n")), 1);
}

#[test]
fn a_cookie_that_is_dropped_does_not_hinder() {
    let rules = "{ profile = \"safe\", drop_cookies = [\"track*\"] }";
    let cached = Cached::route(rules, |number, request| match request.target.as_str() {
        "/mixed" => {
            let fields =
                format!("{FRESH}Set-Cookie: tracker={number}\r\nSet-Cookie: id={number}\r\n");
            ok(request, &fields, &number.to_string())
        }
        _ => ok(request, &format!("{FRESH}Set-Cookie: tracker={number}\r\n"), &number.to_string()),
    });
    cached.get("/page");
    let response = cached.get("/page");
    assert_eq!((response.text().as_str(), response.head.has("set-cookie")), ("1", false));
    // Another cookie is still another's.
    cached.get("/mixed");
    assert_eq!(cached.get("/mixed").text(), "2");
}

#[test]
fn without_permission_nothing_is_kept() {
    let cached = Cached::safe(|number, request| ok(request, "", &number.to_string()));
    cached.get("/a");
    assert_eq!(cached.get("/a").text(), "2");
}

#[test]
fn a_route_gives_lifetimes_where_the_origin_gives_none() {
    let cached = Cached::route("{ ttl = \"30s\" }", |number, request| {
        let fields = match request.target.as_str() {
            "/silent" => "",
            "/short" => "Cache-Control: max-age=1\r\n",
            _ => "Cache-Control: no-store\r\n",
        };
        ok(request, fields, &number.to_string())
    });
    for target in ["/silent", "/short", "/never"] {
        cached.get(target);
    }
    outlive_a_second();
    assert_eq!(cached.get("/silent").text(), "1");
    assert_eq!(cached.get("/short").text(), "2");
    assert_eq!(cached.get("/never").text(), "2");
}

#[test]
fn a_route_may_insist() {
    let cached = Cached::route("{ ttl = \"30s\", insist = true }", |number, request| {
        ok(request, "Cache-Control: no-cache, max-age=0\r\n", &number.to_string())
    });
    cached.get("/a");
    assert_eq!(cached.get("/a").text(), "1");
}

#[test]
fn errors_have_lifetimes_of_their_own() {
    for (rules, status, second) in [
        ("{ ttl = \"30s\" }", "404 No", "2"),
        ("{ ttl_error = \"30s\" }", "404 No", "1"),
        ("{ ttl_error = \"30s\" }", "503 No", "1"),
        ("{ ttl_error = \"1s\" }", "500 No", "2"),
    ] {
        let cached =
            Cached::route(rules, move |number, _| answer(page(status, "", &number.to_string())));
        cached.get("/a");
        if rules.contains("1s") {
            outlive_a_second();
        }
        assert_eq!(cached.get("/a").text(), second, "{rules}, {status}");
    }
}

#[test]
fn a_route_may_be_kept_out() {
    let cached = Cached::route("false", |number, request| ok(request, FRESH, &number.to_string()));
    cached.get("/a");
    let response = cached.get("/a");
    assert_eq!(response.text(), "2");
}

#[test]
fn the_whole_cache_may_be_switched_off() {
    let cached = Cached::with(
        |text| text.top("cache = false"),
        |number, request| ok(request, FRESH, &number.to_string()),
    );
    cached.get("/a");
    assert_eq!(cached.get("/a").text(), "2");
}

#[test]
fn rules_for_all_routes_stand_in_the_section() {
    let cached = Cached::with(
        |text| text.rest("[cache]\nttl = \"30s\"\n"),
        |number, request| ok(request, "", &number.to_string()),
    );
    cached.get("/a");
    assert_eq!(cached.get("/a").text(), "1");
}

#[test]
fn strangers_cannot_make_the_origin_work_unless_told_so() {
    for (rules, second) in [("true", "1"), ("{ reload = true }", "2")] {
        for fields in ["Cache-Control: no-cache\r\n", "Cache-Control: max-age=0\r\n"] {
            let cached =
                Cached::route(rules, |number, request| ok(request, FRESH, &number.to_string()));
            cached.get("/a");
            assert_eq!(cached.ask("GET", "/a", fields).text(), second, "{rules}, {fields}");
        }
    }
}

#[test]
fn a_request_that_says_no_store_is_not_kept() {
    let cached = Cached::rfc(|number, request| ok(request, FRESH, &number.to_string()));
    cached.ask("GET", "/a", "Cache-Control: no-store\r\n");
    assert_eq!(cached.get("/a").text(), "2");
}

#[test]
fn heads_and_conditions_are_answered_from_the_store() {
    let cached = Cached::rfc(|_, request| {
        let date = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        ok(request, &format!("{FRESH}ETag: \"one\"\r\n{date}"), "hello")
    });
    cached.get("/a");
    let response = cached.ask("HEAD", "/a", "");
    assert_eq!((response.status, response.field("content-length")), (200, Some("5")));
    for fields in [
        "If-None-Match: \"one\"\r\n",
        "If-None-Match: \"x\", W/\"one\"\r\n",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n",
    ] {
        let response = cached.ask("GET", "/a", fields);
        assert_eq!((response.status, response.field("etag")), (304, Some("\"one\"")), "{fields}");
    }
    assert_eq!(cached.fetches(), 1);
}

#[test]
fn the_same_rules_hold_over_both_profiles() {
    for profile in [RFC, SAFE] {
        let cached = Cached::with(|text| text.rest(profile), numbered);
        cached.get("/a");
        cached.get("/a");
        assert_eq!(cached.fetches(), 1);
    }
}
