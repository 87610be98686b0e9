//! Purges: by URL, tag, prefix, host and all; hard and soft; and who may.

use crate::cache_stage::{Cached, FRESH, ok, page};
use crate::stage::FLEETFOOT;
use scenario::gateway::run;
use scenario::origin::{Action, answer};
use scenario::{Client, Gate, Request};

/// Each fetch tells its number; every page has the tag of its first segment, and one for all.
fn tagged(number: usize, request: &Request) -> Vec<Action> {
    let segment = request.target.trim_start_matches('/').split(['/', '?']).next();
    let fields = format!("{FRESH}Cache-Tag: all, {}\r\n", segment.unwrap_or_default());
    ok(request, &fields, &number.to_string())
}

/// Stores these pages, purges, and says how often each has been fetched after it was asked for again.
#[track_caller]
fn after(what: &str, targets: &[&str]) -> Vec<String> {
    let cached = Cached::rfc(tagged);
    for target in targets {
        cached.get(target);
        assert_eq!(cached.get(target).text(), "1");
    }
    cached.purge(what);
    targets.iter().map(|target| cached.get(target).text()).collect()
}

const PAGES: [&str; 4] = ["/a/1", "/a/2", "/b/1", "/b/1?q=1"];

#[test]
fn a_url_is_purged() {
    assert_eq!(after("{\"urls\":[\"http://shop.test/b/1\"]}", &PAGES), ["1", "1", "2", "1"]);
    assert_eq!(after("{\"urls\":[\"http://shop.test/b/1?q=1\"]}", &PAGES), ["1", "1", "1", "2"]);
    assert_eq!(after("{\"urls\":[\"http://other.test/b/1\"]}", &PAGES), ["1", "1", "1", "1"]);
}

#[test]
fn a_tag_is_purged() {
    assert_eq!(after("{\"tags\":[\"a\"]}", &PAGES), ["2", "2", "1", "1"]);
    assert_eq!(after("{\"tags\":[\"all\"]}", &PAGES), ["2", "2", "2", "2"]);
    assert_eq!(after("{\"tags\":[\"none\", \"b\"]}", &PAGES), ["1", "1", "2", "2"]);
}

#[test]
fn a_prefix_is_purged() {
    assert_eq!(after("{\"prefixes\":[\"shop.test/a/\"]}", &PAGES), ["2", "2", "1", "1"]);
    assert_eq!(after("{\"prefixes\":[\"other.test/a/\"]}", &PAGES), ["1", "1", "1", "1"]);
}

#[test]
fn a_host_is_purged() {
    assert_eq!(after("{\"hosts\":[\"shop.test\"]}", &PAGES), ["2", "2", "2", "2"]);
    assert_eq!(after("{\"hosts\":[\"other.test\"]}", &PAGES), ["1", "1", "1", "1"]);
}

#[test]
fn all_is_purged() {
    assert_eq!(after("{\"all\":true}", &PAGES), ["2", "2", "2", "2"]);
}

#[test]
fn every_variant_is_purged() {
    for what in ["{\"urls\":[\"http://shop.test/a\"]}", "{\"tags\":[\"a\"]}"] {
        let cached = Cached::rfc(|number, request| {
            let fields = format!("{FRESH}Vary: X-Kind\r\nCache-Tag: a\r\n");
            ok(request, &fields, &number.to_string())
        });
        let ask = |kind: usize| cached.ask("GET", "/a", &format!("X-Kind: {kind}\r\n")).text();
        for kind in 1..=3 {
            assert_eq!(ask(kind), kind.to_string());
        }
        assert_eq!(ask(1), "1");
        cached.purge(what);
        let texts: Vec<_> = (1..=3).map(ask).collect();
        assert_eq!(texts, ["4", "5", "6"], "{what}");
    }
}

#[test]
fn tags_are_read_from_all_their_fields() {
    for field in
        ["Cache-Tag: x, t", "Surrogate-Key: x t", "xkey: x t", "Cache-Groups: \"x\", \"t\""]
    {
        let fields = format!("{FRESH}{field}\r\n");
        let cached = Cached::rfc(move |number, request| ok(request, &fields, &number.to_string()));
        cached.get("/a");
        cached.purge("{\"tags\":[\"t\"]}");
        assert_eq!(cached.get("/a").text(), "2", "{field}");
    }
}

#[test]
fn routes_give_tags() {
    let cached = Cached::with(
        |text| {
            let rules = "cache = { tags = [\"product:{id}\", \"products\"] }";
            text.takes("/products/{id}").route(rules).rest(crate::cache_stage::RFC)
        },
        |number, request| ok(request, FRESH, &number.to_string()),
    );
    for target in ["/products/1", "/products/2"] {
        cached.get(target);
    }
    cached.purge("{\"tags\":[\"product:1\"]}");
    assert_eq!(cached.get("/products/1").text(), "2");
    assert_eq!(cached.get("/products/2").text(), "1");
    cached.purge("{\"tags\":[\"products\"]}");
    assert_eq!(cached.get("/products/2").text(), "2");
}

/// What was purged softly is served until its successor is there, and fetched once.
#[test]
fn a_soft_purge_makes_nobody_wait() {
    let gate = Gate::new();
    let wait = gate.clone();
    let cached = Cached::rfc(move |number, request| {
        let fields = format!("{FRESH}Cache-Tag: t\r\n");
        if number == 1 {
            return ok(request, &fields, "old");
        }
        let mut actions = vec![Action::Wait(wait.clone())];
        actions.extend(ok(request, &fields, "new"));
        actions
    });
    cached.get("/a");
    cached.purge("{\"tags\":[\"t\"],\"soft\":true}");
    for _ in 0..20 {
        assert_eq!(cached.get("/a").text(), "old");
    }
    cached.origin.head(2);
    gate.open();
    cached.until("/a", "new");
    assert_eq!(cached.get("/a").text(), "new");
    assert_eq!(cached.fetches(), 2);
}

/// The answer that was on its way when the purge came may be from before what it was for.
#[test]
fn a_fetch_begun_before_a_purge_is_not_served_after_it() {
    for what in [
        "{\"urls\":[\"http://shop.test/a\"]}",
        "{\"tags\":[\"t\"]}",
        "{\"prefixes\":[\"shop.test/\"]}",
        "{\"hosts\":[\"shop.test\"]}",
        "{\"all\":true}",
    ] {
        let gate = Gate::new();
        let wait = gate.clone();
        let cached = Cached::rfc(move |number, request| {
            let mut actions = vec![Action::Wait(wait.clone())];
            actions.extend(ok(request, &format!("{FRESH}Cache-Tag: t\r\n"), &number.to_string()));
            actions
        });
        let mut first = cached.asking("GET", "/a", "");
        cached.origin.head(1);
        cached.purge(what);
        gate.open();
        assert_eq!(first.response("GET").text(), "1");
        assert_eq!(cached.get("/a").text(), "2", "{what}");
        assert_eq!(cached.get("/a").text(), "2", "{what}");
    }
}

/// Nor is a client that asks after the purge given what an earlier one is waiting for.
#[test]
fn a_client_after_a_purge_does_not_join_a_fetch_before_it() {
    let gate = Gate::new();
    let wait = gate.clone();
    let cached = Cached::rfc(move |number, request| {
        if number > 1 {
            return ok(request, FRESH, "after");
        }
        let mut actions = vec![Action::Wait(wait.clone())];
        actions.extend(ok(request, FRESH, "before"));
        actions
    });
    let mut first = cached.asking("GET", "/a", "");
    cached.origin.head(1);
    cached.purge("{\"all\":true}");
    // The first fetch is still held.
    assert_eq!(cached.get("/a").text(), "after");
    gate.open();
    assert_eq!(first.response("GET").text(), "before");
    assert_eq!(cached.get("/a").text(), "after");
}

#[test]
fn the_command_purges() {
    let cached = Cached::rfc(tagged);
    for target in PAGES {
        cached.get(target);
    }
    let admin = cached.gateway.admin().to_string();
    let command = ["purge", "--admin", &admin, "--tag", "a", "--url", "http://shop.test/b/1"];
    let ended = run(&FLEETFOOT, &command);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let texts = PAGES.map(|target| cached.get(target).text());
    assert_eq!(texts, ["2", "2", "2", "1"]);
}

/// Clients cannot purge: neither by a method of their own nor by asking the public side.
#[test]
fn strangers_cannot_purge() {
    let cached = Cached::rfc(tagged);
    cached.get("/a");
    for method in ["PURGE", "BAN"] {
        let response = cached.ask(method, "/a", "");
        assert!(matches!(response.status, 403 | 405 | 501), "{method}: {}", response.status);
    }
    let mut client = cached.gateway.client();
    let what = "{\"all\":true}";
    client.send(format!(
        "POST /purge HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {}\r\n\r\n{what}",
        what.len()
    ));
    client.response("POST");
    assert_eq!(cached.get("/a").text(), "1");
}

#[test]
fn a_purge_needs_the_token_where_there_is_one() {
    let sections = "[cache]\nprofile = \"rfc\"\npurge_token = \"open-sesame\"\n";
    let cached = Cached::with(|text| text.rest(sections), tagged);
    cached.get("/a");
    let purge = |fields: &str| {
        let mut client = Client::connect(cached.gateway.admin());
        let what = "{\"all\":true}";
        let (admin, length) = (cached.gateway.admin(), what.len());
        client.send(format!(
            "POST /purge HTTP/1.1\r\nHost: {admin}\r\nContent-Length: {length}\r\n{fields}\r\n{what}"
        ));
        client.response("POST").status
    };
    for fields in ["", "Authorization: Bearer open-sesam\r\n", "Authorization: open-sesame\r\n"] {
        assert!(matches!(purge(fields), 401 | 403), "{fields}");
    }
    assert_eq!(cached.get("/a").text(), "1");
    assert_eq!(purge("Authorization: Bearer open-sesame\r\n"), 200);
    assert_eq!(cached.get("/a").text(), "2");
}

#[test]
fn a_purge_of_nothing_known_is_refused() {
    let cached = Cached::rfc(tagged);
    cached.get("/a");
    for what in ["", "{", "{}", "[]", "{\"tag\":[\"a\"]}", "{\"tags\":\"a\"}", "{\"urls\":[\"\"]}"]
    {
        let mut client = Client::connect(cached.gateway.admin());
        let (admin, length) = (cached.gateway.admin(), what.len());
        client.send(format!(
            "POST /purge HTTP/1.1\r\nHost: {admin}\r\nContent-Length: {length}\r\n\r\n{what}"
        ));
        let status = client.response("POST").status;
        assert!((400..500).contains(&status), "{what:?}: {status}");
    }
    assert_eq!(cached.get("/a").text(), "1");
}

/// A group is invalidated by the answer to an unsafe request, and by nothing else (RFC 9875).
#[test]
fn unsafe_requests_invalidate_groups() {
    let cached = Cached::rfc(|number, request| match request.target.as_str() {
        "/change" => answer(page("200 OK", "Cache-Group-Invalidation: \"g\"\r\n", "changed")),
        "/other" => ok(request, &format!("{FRESH}Cache-Groups: \"h\"\r\n"), &number.to_string()),
        _ => ok(request, &format!("{FRESH}Cache-Groups: \"f\", \"g\"\r\n"), &number.to_string()),
    });
    for target in ["/a", "/b", "/other"] {
        cached.get(target);
    }
    cached.get("/change");
    assert_eq!(cached.get("/a").text(), "1", "a safe request invalidated");
    cached.ask("POST", "/change", "Content-Length: 0\r\n");
    let texts = ["/a", "/b", "/other"].map(|target| cached.get(target).text());
    assert_eq!(texts, ["2", "2", "1"]);
    // Another origin's groups are its own.
    let mut other = cached.gateway.client();
    other.send("POST /change HTTP/1.1\r\nHost: other.test\r\nContent-Length: 0\r\n\r\n");
    other.response("POST");
    assert_eq!(cached.get("/a").text(), "2");
}

/// A purge that says it is done is: what names nothing that a key could hold is a mistake, and hosts
/// are known with a scheme or the usual port as well.
#[test]
fn a_purge_that_could_hit_nothing_is_refused() {
    let cached = Cached::safe(|n, request| ok(request, FRESH, &n.to_string()));
    let mut fetched = 0;
    for host in ["shop.test:80", "shop.test:443", "http://shop.test", "https://SHOP.test/"] {
        fetched += 1;
        assert_eq!(cached.get("/page").text(), fetched.to_string());
        cached.purge(&format!("{{\"hosts\": [\"{host}\"]}}"));
    }
    for what in [
        r#"{"hosts": ["shop.test/page"]}"#,
        r#"{"hosts": ["*"]}"#,
        r#"{"hosts": ["*.shop.test"]}"#,
        r#"{"prefixes": ["/page"]}"#,
        r#"{"prefixes": ["http:///page"]}"#,
        r#"{"urls": ["/page"]}"#,
        r#"{"urls": ["http://shop.test/page#part"]}"#,
        r#"{"urls": ["http://shop.test/pa ge"]}"#,
        r#"{"urls": ["http://user@shop.test/page"]}"#,
    ] {
        let mut client = Client::connect(cached.gateway.admin());
        let (admin, length) = (cached.gateway.admin(), what.len());
        client.send(format!(
            "POST /purge HTTP/1.1\r\nHost: {admin}\r\nContent-Length: {length}\r\n\r\n{what}"
        ));
        assert_eq!(client.response("POST").status, 400, "{what}");
    }
}

/// Whatever page an operator has open, his browser cannot be made to purge.
#[test]
fn a_page_in_a_browser_cannot_purge() {
    let cached = Cached::rfc(tagged);
    cached.get("/a/1");
    let mut client = scenario::Client::connect(cached.gateway.admin());
    let what = "{\"all\":true}";
    client.send(format!(
        "POST /purge HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.test\r\n\
         Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{what}",
        what.len()
    ));
    assert_eq!(client.response("POST").status, 403);
    assert_eq!(cached.get("/a/1").text(), "1");
}
