//! What a gateway takes off, puts on and rewrites (RFC 9110 §7.6, §9.2; RFC 7239).

use crate::responses::check_problem;
use crate::stage::{before, contains, one_thread, plain, start};
use scenario::gateway::Folder;
use scenario::message::Head;
use scenario::origin::answer;
use scenario::{Gateway, Origin, Text};

/// Sends a GET with these lines, and gives the head that the origin saw.
#[track_caller]
fn pass(gateway: &Gateway, origin: &Origin, lines: &str) -> Head {
    origin.forget();
    let mut client = gateway.client();
    client.send(format!("GET /case HTTP/1.1\r\nHost: shop.test\r\n{lines}\r\n"));
    let response = client.response("GET");
    if response.status != 200 {
        client.fail("it was not passed on");
    }
    origin.request(1).head
}

/// Gives what the client sees of an answer with these lines.
#[track_caller]
fn pass_back(lines: &str) -> Head {
    let origin = Origin::saying(format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{lines}\r\n"));
    before(&origin).get("/").head
}

#[test]
fn via_is_appended_to_requests() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let via = |lines: &str| pass(&gateway, &origin, lines).all("via").join(", ");
    assert_eq!(via(""), "1.1 fleetfoot");
    assert_eq!(via("Via: 1.0 fred\r\n"), "1.0 fred, 1.1 fleetfoot");
    assert_eq!(
        via("Via: 1.0 fred\r\nVia: 2 anna, 1.1 bob\r\n"),
        "1.0 fred, 2 anna, 1.1 bob, 1.1 fleetfoot"
    );
}

#[test]
fn via_names_the_version_received() {
    let origin = Origin::start();
    let gateway = before(&origin);
    gateway.client().send("GET / HTTP/1.0\r\nHost: shop.test\r\n\r\n").response("GET");
    assert_eq!(origin.request(1).head.one("via"), Some("1.0 fleetfoot"));
}

#[test]
fn via_is_appended_to_answers() {
    assert_eq!(pass_back("").all("via").join(", "), "1.1 fleetfoot");
    assert_eq!(pass_back("Via: 1.0 deep\r\n").all("via").join(", "), "1.0 deep, 1.1 fleetfoot");
}

#[test]
fn via_carries_the_pseudonym_of_the_settings() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).forward("via = \"edge-1\""));
    assert_eq!(pass(&gateway, &origin, "").one("via"), Some("1.1 edge-1"));
}

#[test]
fn hop_by_hop_fields_of_requests_stay_here() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let head = pass(
        &gateway,
        &origin,
        "Connection: keep-alive, A, keep-alive, x-B\r\nA: 1\r\nX-b: 2\r\nKeep-Alive: timeout=5\r\n\
         Proxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: h2c\r\nC: 3\r\n",
    );
    assert_eq!(plain(&head), "GET /case HTTP/1.1\r\nHost: shop.test\r\nC: 3\r\n");
    for token in ["a", "x-b", "upgrade", "te"] {
        assert!(!head.connection(token), "{head:?}");
    }
}

#[test]
fn hop_by_hop_fields_of_answers_stay_here() {
    let head = pass_back(
        "Connection: A, keep-alive\r\nA: 1\r\nKeep-Alive: timeout=5\r\nProxy-Connection: close\r\n\
         Upgrade: h2c\r\nTE: trailers\r\nC: 3\r\n",
    );
    for name in ["a", "keep-alive", "proxy-connection", "upgrade", "te"] {
        assert!(!head.has(name), "{name} in {head:?}");
    }
    assert_eq!(head.one("c"), Some("3"));
}

/// RFC 9110 §7.6.1: these must reach the origin whatever Connection says. To refuse is right too.
#[test]
fn connection_cannot_take_away_what_is_meant_for_the_origin() {
    let origin = Origin::start();
    let gateway = before(&origin);
    for (name, value) in
        [("Host", None), ("Cache-Control", Some("no-store")), ("Via", Some("1.0 fred"))]
    {
        origin.forget();
        let line = value.map_or(String::new(), |value| format!("{name}: {value}\r\n"));
        let mut client = gateway.client();
        client
            .send(format!("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: {name}\r\n{line}\r\n"));
        if client.response("GET").status == 400 {
            continue;
        }
        // The origin of the kit itself insists on exactly one Host.
        let head = origin.request(1).head;
        assert!(head.has("via"), "{head:?}");
    }
}

#[test]
fn cookie_nominated_by_connection_is_dropped_or_refused() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: cookie\r\nCookie: a=b\r\n\r\n");
    if client.response("GET").status == 200 {
        assert!(!origin.request(1).head.has("cookie"));
    }
}

#[test]
fn te_keeps_trailers_only() {
    let origin = Origin::start();
    let gateway = before(&origin);
    for (sent, kept) in [
        ("TE: trailers\r\n", Some("trailers")),
        ("TE: trailers\r\nConnection: TE\r\n", Some("trailers")),
        ("TE: gzip;q=0.5, trailers\r\n", Some("trailers")),
        ("TE: gzip\r\n", None),
        ("TE: chunked\r\n", None),
        ("TE:\r\n", None),
    ] {
        let head = pass(&gateway, &origin, sent);
        assert_eq!(head.one("te"), kept, "{sent}");
        // TE is hop-by-hop: whoever sends it must nominate it.
        assert_eq!(head.connection("te"), kept.is_some(), "{sent}: {head:?}");
    }
}

/// What strangers may claim about where they come from.
const CLAIMS: &str = "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
                      X-Forwarded-Host: other.test\r\nForwarded: for=10.0.0.1;proto=https\r\n";

#[test]
fn strangers_are_not_believed() {
    let origin = Origin::start();
    let gateway = before(&origin);
    for lines in ["", CLAIMS, &CLAIMS.to_lowercase(), &CLAIMS.repeat(2)] {
        let head = pass(&gateway, &origin, lines);
        assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
        assert_eq!(head.all("x-forwarded-proto"), ["http"]);
        assert_eq!(head.all("x-forwarded-host"), ["shop.test"]);
        assert!(!head.has("forwarded"), "{head:?}");
    }
}

#[test]
fn strangers_cannot_claim_by_other_names() {
    let origin = Origin::start();
    let gateway = before(&origin);
    for name in [
        "X-Forwarded-Port",
        "X-Forwarded-Prefix",
        "X-Forwarded-Scheme",
        "X-Forwarded-Server",
        "X-Forwarded-Ssl",
        "X-Real-IP",
        "X-Original-URL",
        "X-Rewrite-URL",
    ] {
        let head = pass(&gateway, &origin, &format!("{name}: claimed\r\n"));
        assert!(!head.all(name).contains(&"claimed"), "{name} passed: {head:?}");
    }
}

#[test]
fn trusted_proxies_are_believed() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).forward("trusted_proxies = [\"127.0.0.0/8\"]"));
    let head = pass(&gateway, &origin, CLAIMS);
    assert_eq!(head.all("x-forwarded-for").join(", "), "10.0.0.1, 127.0.0.1");
    assert_eq!(head.all("x-forwarded-proto"), ["https"]);
    assert_eq!(head.all("x-forwarded-host"), ["other.test"]);
    let head = pass(&gateway, &origin, "X-Forwarded-For: a\r\nX-Forwarded-For: b, c\r\n");
    assert_eq!(head.all("x-forwarded-for").join(", "), "a, b, c, 127.0.0.1");
}

#[test]
fn other_networks_are_not_trusted() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).forward("trusted_proxies = [\"10.0.0.0/8\"]"));
    assert_eq!(pass(&gateway, &origin, CLAIMS).all("x-forwarded-for"), ["127.0.0.1"]);
}

#[test]
fn forwarding_fields_can_be_switched_off_and_strangers_are_still_not_believed() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).forward("x_forwarded = false"));
    let head = pass(&gateway, &origin, CLAIMS);
    for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"] {
        assert!(!head.has(name), "{head:?}");
    }
}

#[test]
fn forwarded_can_be_switched_on() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).forward("forwarded = true"));
    let head = pass(&gateway, &origin, CLAIMS);
    let value = head.one("forwarded").unwrap_or_default().to_lowercase();
    let mut parts: Vec<_> = value.split(';').map(|part| part.replace('"', "")).collect();
    parts.retain(|part| !part.starts_with("by="));
    parts.sort();
    assert_eq!(parts, ["for=127.0.0.1", "host=shop.test", "proto=http"], "{value}");
}

#[test]
fn forwarded_of_trusted_proxies_is_appended_to() {
    let origin = Origin::start();
    let trusted = "trusted_proxies = [\"127.0.0.1\"]\nforwarded = true";
    let gateway = start(&one_thread(&origin).forward(trusted));
    let head = pass(&gateway, &origin, "Forwarded: for=10.0.0.1\r\n");
    let all = head.all("forwarded").join(", ");
    assert!(all.starts_with("for=10.0.0.1, ") && all.contains("for=127.0.0.1"), "{all}");
}

#[test]
fn host_is_the_clients_by_default() {
    let origin = Origin::start();
    let gateway = before(&origin);
    assert_eq!(pass(&gateway, &origin, "").one("host"), Some("shop.test"));
}

#[test]
fn host_can_be_the_servers() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).service("host = \"server\""));
    let head = pass(&gateway, &origin, "");
    assert_eq!(head.one("host"), Some(origin.address().to_string().as_str()));
    assert_eq!(head.one("x-forwarded-host"), Some("shop.test"));
}

#[test]
fn host_can_be_fixed() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).service("host = \"shop.internal:81\""));
    let head = pass(&gateway, &origin, "");
    assert_eq!(head.one("host"), Some("shop.internal:81"));
    assert_eq!(head.one("x-forwarded-host"), Some("shop.test"));
}

#[test]
fn a_prefix_is_stripped_and_another_put_on() {
    let origin = Origin::start();
    let settings = one_thread(&origin).takes("/api/*").route("strip = \"/api\"\nprepend = \"/v2\"");
    let gateway = start(&settings);
    for (sent, seen) in [
        ("/api/items?a=/api", "/v2/items?a=/api"),
        ("/api/api/x", "/v2/api/x"),
        ("/api/", "/v2/"),
        ("/api/%2f../x%20y..", "/v2/%2f../x%20y.."),
    ] {
        assert_eq!(gateway.get(sent).text(), format!("GET {seen} HTTP/1.1"));
    }
    // A path that would lead out of the prefix is refused, however it is spelled.
    for sent in ["/api/../x", "/api/%2e%2E/x", "/api/a/./x", "/api/.%2e"] {
        assert_eq!(gateway.get(sent).status, 400, "{sent}");
    }
    let other = gateway.get("/apis/x");
    assert_eq!(other.status, 404);
}

#[test]
fn a_prefix_that_is_all_leaves_a_slash() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).takes("/api/*").route("strip = \"/api\""));
    assert_eq!(gateway.get("/api/").text(), "GET / HTTP/1.1");
    assert_eq!(gateway.get("/api/?a=b").text(), "GET /?a=b HTTP/1.1");
    // Whether the rest may be empty is the router's choice; a target without a slash never is.
    let bare = gateway.get("/api");
    assert!(bare.status == 404 || bare.text() == "GET / HTTP/1.1", "{}", bare.text());
}

#[test]
fn routes_choose_by_method_and_path() {
    let (items, rest) = (Origin::start(), Origin::start());
    let settings = one_thread(&rest).rest(&format!(
        "[service.items]\nservers = [\"http://{}\"]\n\
         [[route]]\nmatch = \"GET|HEAD /items/{{id}}\"\nto = \"items\"\n",
        items.address()
    ));
    let gateway = start(&settings);
    for (target, count) in [("/items/1", 1), ("/items/1/more", 1), ("/other", 1), ("/items/2?a", 2)]
    {
        assert_eq!(gateway.get(target).status, 200);
        assert_eq!(items.requests().len(), count, "{target}");
    }
}

#[test]
fn no_route_is_404_with_a_problem() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).takes("/only"));
    let mut client = gateway.client();
    let response = client.get("/other");
    assert_eq!(response.status, 404);
    check_problem(&response, "GET");
    assert!(response.text().contains("no_route"), "{}", response.text());
    // A refusal by the router is no broken message: the connection lives on.
    assert_eq!(client.get("/only").status, 200);
}

#[test]
fn a_route_with_other_methods_is_405_with_allow() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).takes("GET|PUT /only"));
    let mut client = gateway.client();
    let response = client.request("DELETE", "/only").response("DELETE");
    assert_eq!(response.status, 405);
    let allow = response.field("allow").unwrap_or_default();
    assert!(allow.contains("GET") && allow.contains("PUT"), "{allow:?}");
    check_problem(&response, "DELETE");
}

#[test]
fn any_method_token_is_forwarded() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    for method in
        ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "QUERY", "BREW", "x"]
    {
        assert_eq!(client.request(method, "/m").response(method).status, 200, "{method}");
    }
    let seen: Vec<_> = origin.requests().into_iter().map(|r| r.method).collect();
    assert_eq!(seen.last().map(String::as_str), Some("x"));
    assert_eq!(seen.len(), 10);
}

#[test]
fn max_forwards_is_counted_down() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send("OPTIONS /x HTTP/1.1\r\nHost: shop.test\r\nMax-Forwards: 5\r\n\r\n");
    assert_eq!(client.response("OPTIONS").status, 200);
    assert_eq!(origin.request(1).head.one("max-forwards"), Some("4"));
}

#[test]
fn max_forwards_of_zero_ends_here() {
    let origin = Origin::start();
    let gateway = before(&origin);
    for method in ["OPTIONS", "TRACE"] {
        let mut client = gateway.client();
        client.send(format!(
            "{method} /x HTTP/1.1\r\nHost: shop.test\r\nMax-Forwards: 0\r\nCookie: secret=1\r\n\
             Authorization: Basic secret\r\n\r\n"
        ));
        let response = client.response(method);
        assert!(matches!(response.status, 200 | 204 | 405), "{method}: {}", response.status);
        assert!(!response.text().contains("secret"), "{}", response.text());
    }
    assert!(origin.requests().is_empty(), "{}", origin.report());
}

#[test]
fn max_forwards_of_other_methods_is_left_alone() {
    let origin = Origin::start();
    let gateway = before(&origin);
    assert_eq!(pass(&gateway, &origin, "Max-Forwards: 0\r\n").one("max-forwards"), Some("0"));
}

/// TRACE may be refused or passed on; it is never answered with somebody's secrets.
#[test]
fn trace_is_handled() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send(
        "TRACE /x HTTP/1.1\r\nHost: shop.test\r\nMax-Forwards: 3\r\nCookie: secret=1\r\n\r\n",
    );
    let response = client.response("TRACE");
    match response.status {
        200 => assert_eq!(origin.request(1).head.one("max-forwards"), Some("2")),
        405 | 501 => assert!(origin.requests().is_empty(), "{}", origin.report()),
        other => client.fail(&format!("TRACE got {other}")),
    }
}

#[test]
fn answers_without_a_date_get_one() {
    let date = pass_back("").one("date").map(str::to_owned);
    assert!(date.is_some_and(|date| date.ends_with(" GMT")));
    let kept = pass_back("Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
    assert_eq!(kept.all("date"), ["Sun, 06 Nov 1994 08:49:37 GMT"]);
}

#[test]
fn an_origin_behind_two_gateways_sees_both() {
    let origin = Origin::start();
    let inner = before(&origin);
    let outer = start(&Text::to(&[inner.address()]).top("threads = 1").forward("via = \"outer\""));
    assert_eq!(outer.get("/x").text(), "GET /x HTTP/1.1");
    let head = origin.request(1).head;
    assert_eq!(head.all("via").join(", "), "1.1 outer, 1.1 fleetfoot");
    assert_eq!(head.all("x-forwarded-for"), ["127.0.0.1"]);
}

/// What is logged is what was forwarded, on one line, whatever it holds.
#[test]
fn the_log_says_what_was_forwarded() {
    let origin = Origin::play(|_| answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let folder = Folder::new();
    let file = folder.path().join("access.log");
    let section = format!("[monitor]\naccess_log = {:?}\n", file.display().to_string());
    let gateway = start(&one_thread(&origin).rest(&section));
    gateway.get("http://shop.test/first?a=b");
    gateway.client().send("GET /a\\b HTTP/1.1\r\nHost: shop.test\r\n\r\n").response("GET");
    gateway.get("/last");
    let by = scenario::patience();
    let text = loop {
        let text = std::fs::read(&file).unwrap_or_default();
        if contains(&text, b"/last") && text.ends_with(b"\n") {
            break text;
        }
        assert!(!by.passed(base::Moment::now()), "{}", text.escape_ascii());
        std::thread::yield_now();
    };
    let text = String::from_utf8(text).expect("a log is text");
    let first = text.lines().find(|line| line.contains("/first")).unwrap_or_default();
    assert!(first.contains("/first?a=b") && first.contains("200"), "{text}");
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()), "{text:?}");
}
