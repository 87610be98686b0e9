//! What must not get into the store, or out of it to somebody else: poison, deception, other people's
//! pages.

use crate::cache_stage::{Cached, FRESH, SAFE, cache_status, head, ok, page};
use crate::stage::start;
use scenario::origin::{Action, answer};
use scenario::{Client, Origin, Request, Text};
use std::fmt::Write as _;

/// Answers with every field that an application might build its page from.
fn reflecting(_: usize, request: &Request) -> Vec<Action> {
    let mut body = format!("host {}\n", request.head.all("host").join(","));
    for (name, value) in &request.head.fields {
        let name = name.to_ascii_lowercase();
        if name.starts_with("x-") || name.starts_with("forwarded") {
            let _ = writeln!(body, "{name} {value}");
        }
    }
    ok(request, FRESH, &body)
}

#[test]
fn unkeyed_fields_cannot_poison() {
    for name in [
        "X-Forwarded-Host",
        "X-Forwarded-Proto",
        "X-Forwarded-Scheme",
        "X-Forwarded-Port",
        "X-Forwarded-Server",
        "X-Forwarded-Prefix",
        "X-Original-Host",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Host",
        "X-HTTP-Method-Override",
        "X-HTTP-Method",
        "X-Method-Override",
        "Forwarded",
    ] {
        for rfc in [false, true] {
            let cached = if rfc { Cached::rfc(reflecting) } else { Cached::safe(reflecting) };
            // What each of them may look like.
            let evil = format!("{name}: evil.test\r\n");
            cached.ask("GET", "/home", &evil);
            let text = cached.get("/home").text();
            assert!(!text.contains("evil"), "{name}: {text}");
        }
    }
}

/// A host is part of the key however it is told, and one that differs only in case is the same.
#[test]
fn pages_of_hosts_are_apart() {
    let cached = Cached::rfc(|_, request| {
        ok(request, FRESH, &request.head.one("host").unwrap_or_default().to_ascii_lowercase())
    });
    let ask = |line: &str, host: &str| {
        let mut client = cached.gateway.client();
        client.send(format!("GET {line} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.response("GET").text()
    };
    assert_eq!(ask("/", "one.test"), "one.test");
    assert_eq!(ask("/", "two.test"), "two.test");
    assert_eq!(ask("/", "ONE.test"), "one.test");
    assert_eq!(ask("/", "one.test:81"), "one.test:81");
    assert_eq!(ask("http://three.test/", "three.test"), "three.test");
    assert_eq!(ask("/", "three.test"), "three.test");
    assert_eq!(ask("/", "one.test"), "one.test");
}

/// Nothing in the key tells one body from another: such an answer is for its client alone, unless the
/// body never gets to the origin.
#[test]
fn a_get_with_a_body_cannot_poison() {
    let cached = Cached::rfc(|_, request| ok(request, FRESH, "hello"));
    let fat = || {
        let mut client = cached.gateway.client();
        client.send("GET /fat HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\n\r\nevil");
        client.response("GET").status
    };
    if fat() == 200 && !cached.origin.request(1).body.is_empty() {
        assert_eq!(cached.get("/fat").text(), "hello");
        assert_eq!(cached.fetches(), 2, "the answer to a request with a body was kept");
        // Nor is it answered from the store.
        assert_eq!(fat(), 200);
        assert_eq!(cached.origin.request(3).text(), "evil");
    }
}

/// An error that a client provokes by what is not in the key is its own. Not among these is 414, which
/// RFC 9110 §15.1 lets a cache keep by heuristic: what provokes it is the URL, and that is the key.
#[test]
fn an_error_page_cannot_poison() {
    for status in ["400 A", "403 B", "413 C", "431 E", "500 F", "502 G", "503 H"] {
        let old = "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
        let cached = Cached::rfc(move |_, request| match request.head.one("x-oversized") {
            Some(_) => answer(page(status, old, "broken")),
            None => ok(request, FRESH, "hello"),
        });
        let response = cached.ask("GET", "/page", "X-Oversized: 1\r\n");
        assert_eq!(response.text(), "broken", "{status}");
        assert_eq!(cached.get("/page").text(), "hello", "{status}");
    }
}

#[test]
fn a_set_cookie_is_shared_by_letter_or_permission_only() {
    let plain = "Cache-Control: max-age=1000\r\n";
    let public = "Cache-Control: public, max-age=1000\r\n";
    for (safe, fields, shared) in
        [(true, plain, false), (true, public, true), (false, plain, true), (false, public, true)]
    {
        let script = move |number: usize, request: &Request| {
            ok(request, &format!("{fields}Set-Cookie: id={number}\r\n"), &number.to_string())
        };
        let cached = if safe { Cached::safe(script) } else { Cached::rfc(script) };
        cached.get("/login");
        let second = cached.get("/login");
        let expected = if shared { "1" } else { "2" };
        assert_eq!(second.text(), expected, "safe {safe}, {fields}");
        if !shared {
            assert_eq!(second.field("set-cookie"), Some("id=2"));
        }
    }
}

#[test]
fn what_one_user_is_shown_another_is_not() {
    for rfc in [false, true] {
        let script = |_: usize, request: &Request| {
            let who = request.head.one("authorization").unwrap_or("nobody").to_owned();
            ok(request, FRESH, &who)
        };
        let cached = if rfc { Cached::rfc(script) } else { Cached::safe(script) };
        for who in ["a", "b", "a"] {
            let fields = format!("Authorization: {who}\r\n");
            assert_eq!(cached.ask("GET", "/me", &fields).text(), who);
        }
        assert_eq!(cached.get("/me").text(), "nobody");
    }
}

#[test]
fn what_users_may_share_they_do() {
    for directives in ["public, max-age=1000", "s-maxage=1000", "max-age=1000, must-revalidate"] {
        let fields = format!("Cache-Control: {directives}\r\n");
        let cached = Cached::rfc(move |number, request| ok(request, &fields, &number.to_string()));
        for who in ["a", "b", "a"] {
            let text = cached.ask("GET", "/all", &format!("Authorization: {who}\r\n")).text();
            assert_eq!(text, "1", "{directives}");
        }
    }
}

/// A path that looks like a file of everybody's, and is answered with somebody's page.
#[test]
fn a_page_under_a_files_name_is_not_shared() {
    let script = |_: usize, request: &Request| {
        let who = request.head.one("cookie").unwrap_or("nobody").to_owned();
        ok(request, "Content-Type: text/html\r\n", &who)
    };
    for cached in [Cached::safe(script), Cached::rfc(script)] {
        for path in ["/account/x.css", "/account;x.css", "/account/%2fx.js", "/account%00.png"] {
            for who in ["user=a", "user=b"] {
                let mut client = cached.asking("GET", path, &format!("Cookie: {who}\r\n"));
                let response = client.response("GET");
                assert!(response.status == 400 || response.text() == who, "{path}");
            }
        }
    }
}

/// Two answers where there should be one are no answers to anything else.
#[test]
fn a_split_answer_poisons_nothing() {
    let poison =
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=1000\r\nContent-Length: 6\r\n\r\npoison";
    let cached = Cached::rfc(move |_, request| match request.target.as_str() {
        "/surplus" => answer([page("200 OK", FRESH, "hello"), poison.as_bytes().to_vec()].concat()),
        "/lengths" => answer(format!(
            "HTTP/1.1 200 OK\r\n{FRESH}Content-Length: 5\r\nContent-Length: 9\r\n\r\nhello{poison}"
        )),
        target => ok(request, FRESH, target),
    });
    for _ in 0..3 {
        assert_eq!(cached.get("/surplus").text(), "hello");
        assert_eq!(cached.get("/lengths").status, 502);
        for target in ["/a", "/b", "/c"] {
            assert_eq!(cached.get(target).text(), target);
        }
    }
    let lengths = cached.origin.requests().iter().filter(|r| r.target == "/lengths").count();
    assert_eq!(lengths, 3, "a malformed answer was kept, or asked for again");
}

/// Hop-by-hop fields belong to one connection.
#[test]
fn fields_of_the_hop_are_not_stored() {
    let hop = "Connection: X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: x\r\n";
    let cached = Cached::rfc(move |_, request| ok(request, &format!("{FRESH}{hop}"), "hello"));
    for _ in 0..2 {
        let response = cached.get("/a");
        for name in ["x-hop", "keep-alive", "proxy-connection"] {
            assert!(!response.head.has(name), "{:?}", response.head);
        }
    }
    assert_eq!(cached.fetches(), 1);
}

// Keys and paths.

/// Whatever a path looks like, the answer out of the store is the one that the same path gets without
/// a store: key and forwarded path agree.
#[test]
fn odd_paths_are_answered_as_they_are_forwarded() {
    let origin = Origin::play(|request| ok(request, FRESH, &request.target));
    let plain = start(&Text::to(&[origin.address()]).route("cache = false"));
    let cached = start(&Text::to(&[origin.address()]).rest(SAFE));
    let pieces = [
        "a", "A", "b", "/", "//", "%2f", "%2F", "%2e", ".", "..", "/./", "/../", ";", ";x", "%3b",
        "?", "&", "=", "%3f", "%23", "\\", "%5c", "%00", "%0a", "+", "%20", "~", "%7e", "%41",
        "%61", "%", "%zz", ":", "@", "!", "'", "|", "^", "\"", "<", "{", "[", "]",
    ];
    let (mut seed, mut paths) = (0x2545_f491_4f6c_dd1d_u64, Vec::new());
    let mut below = |bound: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % bound as u64) as usize
    };
    for _ in 0..1_500 {
        let count = 1 + below(5);
        let path: String = (0..count).map(|_| pieces[below(pieces.len())]).collect();
        paths.push(format!("/{path}"));
    }
    let (mut without, mut with) = (Fresh::new(&plain), Fresh::new(&cached));
    for round in 0..2 {
        for path in &paths {
            let (expected, found) = (without.get(path), with.get(path));
            assert_eq!(found, expected, "{path:?} in round {round}");
        }
    }
}

/// A client that connects again when it is told to.
struct Fresh<'a> {
    gateway: &'a scenario::Gateway,
    client: Option<Client>,
}

impl<'a> Fresh<'a> {
    fn new(gateway: &'a scenario::Gateway) -> Self {
        Self { gateway, client: None }
    }

    fn get(&mut self, path: &str) -> (u16, String) {
        let mut client = self.client.take().unwrap_or_else(|| self.gateway.client());
        client.send(head("GET", path, ""));
        let response = client.response("GET");
        if !response.closes() {
            self.client = Some(client);
        }
        let text = if response.status == 200 { response.text() } else { String::new() };
        (response.status, text)
    }
}

// Variants.

/// Answers under one URL may name different fields in Vary; each is found again by its own.
#[test]
fn vary_may_differ_between_answers() {
    let cached = Cached::rfc(|_, request| {
        let language = request.head.one("x-language").unwrap_or_default().to_owned();
        let device = request.head.one("x-device").unwrap_or_default();
        if language == "de" {
            return ok(request, &format!("{FRESH}Vary: X-Language\r\n"), "de");
        }
        let fields = format!("{FRESH}Vary: X-Language, X-Device\r\n");
        ok(request, &fields, &format!("{language} {device}"))
    });
    let ask = |language: &str, device: &str| {
        let fields = format!("X-Language: {language}\r\nX-Device: {device}\r\n");
        cached.ask("GET", "/page", &fields).text()
    };
    for _ in 0..4 {
        assert_eq!(ask("de", "small"), "de");
        assert_eq!(ask("en", "small"), "en small");
        assert_eq!(ask("en", "large"), "en large");
        assert_eq!(ask("de", "large"), "de");
    }
    // The first answer in German is for both devices, unless the cache has by then learnt of the other.
    assert!(cached.fetches() <= 4, "{} fetches", cached.fetches());
}

#[test]
fn variants_are_bounded() {
    let cached = Cached::route("{ variants_max = 8 }", |_, request| {
        let kind = request.head.one("x-kind").unwrap_or_default().to_owned();
        ok(request, &format!("{FRESH}Vary: X-Kind\r\n"), &kind)
    });
    let ask = |kind: usize| cached.ask("GET", "/page", &format!("X-Kind: {kind}\r\n")).text();
    for kind in 0..100 {
        assert_eq!(ask(kind), kind.to_string());
    }
    assert_eq!(cached.fetches(), 100);
    // The newest are there, the oldest are not.
    assert_eq!((ask(99), cached.fetches()), ("99".to_owned(), 100));
    let again = (0..100).filter(|kind| {
        let before = cached.fetches();
        ask(*kind);
        cached.fetches() == before
    });
    let kept = again.count();
    assert!(kept <= 8, "{kept} variants were kept");
}

// Cache-Status (RFC 9211).

#[test]
fn cache_status_tells_misses_and_hits_and_no_keys() {
    let cached = Cached::rfc(|_, request| match request.target.as_str() {
        "/kept" => ok(request, FRESH, "hello"),
        _ => ok(request, "Cache-Control: no-store\r\n", "hello"),
    });
    let (miss, hit) = (cached.get("/kept"), cached.get("/kept"));
    let told = cache_status(&miss);
    assert!(told.contains("fwd=uri-miss") && told.contains("stored"), "{told}");
    let told = cache_status(&hit);
    let ttl = told.split("ttl=").nth(1).and_then(|rest| rest.split(';').next());
    let ttl = ttl.and_then(|ttl| ttl.trim().parse::<i64>().ok());
    assert!(told.contains("; hit") && !told.contains("fwd"), "{told}");
    assert!(ttl.is_some_and(|ttl| (900..=1_000).contains(&ttl)), "{told}");
    let told = cache_status(&cached.get("/passed"));
    assert!(told.contains("fwd=") && !told.contains("stored"), "{told}");
    for response in [&miss, &hit] {
        assert!(!cache_status(response).contains("key="), "a key was told");
    }
    assert!(
        cache_status(&cached.ask("POST", "/kept", "Content-Length: 0\r\n")).contains("fwd=method")
    );
}

#[test]
fn cache_status_is_added_to_what_others_said() {
    let cached = Cached::rfc(|_, request| {
        ok(request, &format!("{FRESH}Cache-Status: inner; hit; ttl=5\r\n"), "hello")
    });
    for _ in 0..2 {
        let list = cached.get("/a").head.all("cache-status").join(", ");
        let members: Vec<_> = list.split(',').map(str::trim).collect();
        assert_eq!(members.len(), 2, "{list}");
        assert!(members[0].starts_with("inner") && members[1].starts_with("fleetfoot"), "{list}");
    }
}

#[test]
fn what_the_gateway_says_itself_comes_from_no_cache() {
    let mut cached = Cached::rfc(|_, request| ok(request, FRESH, "hello"));
    cached.origin.stop();
    let response = cached.get("/down");
    assert_eq!(response.status, 502);
    assert!(!response.head.has("age"), "{:?}", response.head);
    cached.origin.restart();
    assert_eq!(cached.get("/down").status, 200, "the gateway's own failure was kept");
}

/// What a proxy says of a client selects an answer as the service saw it, not as the client claims it.
#[test]
fn a_claimed_address_does_not_select_anothers_page() {
    let cached = Cached::rfc(|n, request| {
        let by =
            "Cache-Control: max-age=60\r\nVary: X-Forwarded-For, X-Real-IP, X-Forwarded-Proto\r\n";
        let address = request.head.one("x-forwarded-for").unwrap_or_default();
        ok(request, by, &format!("{n} for {address}"))
    });
    let own = cached.get("/mine").text();
    assert!(own.ends_with("for 127.0.0.1"), "{own}");
    assert_eq!(cached.get("/mine").text(), own, "it is found again");
    for claim in [
        "X-Forwarded-For: 10.0.0.9\r\n",
        "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 10.0.0.9\r\n",
        "X-Forwarded-Proto: https\r\n",
    ] {
        assert_eq!(cached.ask("GET", "/mine", claim).text(), own, "{claim}: one client, one page");
    }
    assert_eq!(cached.origin.requests().len(), 1);
}

/// What the key leaves out of the query cannot carry what it should count, in another spelling.
#[test]
fn parameters_cannot_be_cloaked() {
    for rules in [
        r#"{ key = { query = ["a"] } }"#,
        r#"{ key = { ignore_query = ["utm_*"] } }"#,
        r#"{ key = { query = ["a"], sort_query = true } }"#,
    ] {
        let cached = Cached::route(rules, |_, request| ok(request, FRESH, &request.target));
        for evil in ["utm_x=1;a=evil", "%61=evil", "a%5b%5d=evil", "a[]=evil", "+a=evil"] {
            cached.get(&format!("/page?{evil}"));
            cached.get(&format!("/page?a=1&{evil}"));
        }
        for honest in ["/page", "/page?a=1"] {
            let text = cached.get(honest).text();
            assert!(!text.contains("evil"), "{rules}: {honest} is {text}");
        }
    }
}

/// A cookie that a lenient service would find is found here.
#[test]
fn blanks_do_not_hide_a_cookie() {
    let rules = r#"{ bypass_cookies = ["session"], key = { cookies = ["currency"] } }"#;
    let cached = Cached::route(rules, |_, request| {
        ok(request, FRESH, request.head.one("cookie").unwrap_or_default())
    });
    for evil in ["session = evil", "session\t=evil", "a=b;  session =evil", "currency =evil"] {
        cached.ask("GET", "/page", &format!("Cookie: {evil}\r\n"));
    }
    assert_eq!(cached.get("/page").text(), "");
}
