//! Rates of routes: who asks too often is told so, before the cache, and gateways count together.
//!
//! Rates here restore one request in minutes, so that what is left does not depend on how fast a test
//! runs.

use crate::cache_stage::{FRESH, RFC, head, ok};
use crate::responses::check_problem;
use crate::stage::{FLEETFOOT, one_thread, start};
use scenario::redis::Redis;
use scenario::server::wait_until;
use scenario::{Gateway, Origin, Response};

fn limited(origin: &Origin, rate: &str) -> Gateway {
    start(&one_thread(origin).route(&format!("rate = {rate}")))
}

#[track_caller]
fn ask(gateway: &Gateway, fields: &str) -> Response {
    let mut client = gateway.client();
    client.send(head("GET", "/", fields));
    client.response("GET")
}

/// The statuses of so many requests one after another.
#[track_caller]
fn statuses(gateway: &Gateway, count: usize, fields: &str) -> Vec<u16> {
    (0..count).map(|_| ask(gateway, fields).status).collect()
}

fn good(statuses: &[u16]) -> usize {
    statuses.iter().filter(|&&status| status == 200).count()
}

#[test]
fn whoever_asks_too_often_is_told_when_to_come_again() {
    let origin = Origin::start();
    let gateway = limited(&origin, "{ limit = \"3/h\", name = \"few\" }");
    for left in [2, 1, 0] {
        let answer = ask(&gateway, "");
        assert_eq!(answer.status, 200);
        assert_eq!(answer.field("ratelimit-policy"), Some("\"few\";q=3;w=3600"));
        let told = answer.field("ratelimit").unwrap();
        assert!(told.starts_with(&format!("\"few\";r={left};t=")), "{told}");
    }
    let answer = ask(&gateway, "");
    assert_eq!(answer.status, 429);
    check_problem(&answer, "GET");
    assert!(answer.text().contains("rate_limited"), "{}", answer.text());
    assert!(answer.field("ratelimit").unwrap().starts_with("\"few\";r=0;t="));
    let after: u64 = answer.field("retry-after").unwrap().parse().unwrap();
    assert!((1_100..=1_200).contains(&after), "{after}");
    assert_eq!(origin.requests().len(), 3);
    for (outcome, count) in [("allowed", "3"), ("denied", "1")] {
        let sample = "fleetfoot_rate_requests_total{route=\"*\",rate=\"few\",outcome=";
        let line = format!("{sample}\"{outcome}\"}} {count}\n");
        assert!(gateway.metrics().contains(&line), "{line}{}", gateway.metrics());
    }
}

#[test]
fn a_hit_counts_as_any_other_request() {
    let origin = Origin::play(|request| ok(request, FRESH, "page"));
    let rate = "rate = { limit = \"3/h\" }";
    let gateway = start(&one_thread(&origin).route(rate).rest(RFC));
    assert_eq!(statuses(&gateway, 5, ""), [200, 200, 200, 429, 429]);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn the_fields_are_not_stored() {
    let origin = Origin::play(|request| ok(request, FRESH, "page"));
    let rate = "rate = { limit = \"3/h\", name = \"few\" }";
    let gateway = start(&one_thread(&origin).route(rate).rest(RFC));
    for left in [2, 1] {
        let answer = ask(&gateway, "");
        let told = answer.field("ratelimit").unwrap();
        assert!(told.starts_with(&format!("\"few\";r={left};")), "{told}");
    }
}

#[test]
fn each_value_of_a_field_has_its_own() {
    let origin = Origin::start();
    let gateway = limited(&origin, "{ limit = \"2/h\", by = \"header:X-Key\" }");
    for key in ["X-Key: a\r\n", "X-Key: b\r\n", ""] {
        assert_eq!(statuses(&gateway, 3, key), [200, 200, 429], "{key}");
    }
}

#[test]
fn behind_a_trusted_proxy_each_client_has_its_own() {
    let origin = Origin::start();
    let settings = one_thread(&origin)
        .forward("trusted_proxies = [\"127.0.0.1\"]")
        .route("rate = { limit = \"2/h\", by = \"client\" }");
    let gateway = start(&settings);
    for client in ["192.0.2.1", "192.0.2.2", "2001:db8::1", "10.0.0.1, 192.0.2.3"] {
        let fields = format!("X-Forwarded-For: {client}\r\n");
        assert_eq!(statuses(&gateway, 3, &fields), [200, 200, 429], "{client}");
    }
    assert_eq!(statuses(&gateway, 1, "X-Forwarded-For: 2001:db8::2\r\n"), [429], "the same /64");
    assert_eq!(statuses(&gateway, 1, "X-Forwarded-For: 9.9.9.9, 192.0.2.1\r\n"), [429], "a claim");
}

#[test]
fn strangers_do_not_choose_whom_they_are_counted_as() {
    let origin = Origin::start();
    let gateway = limited(&origin, "{ limit = \"2/h\", by = \"client\" }");
    let ask = |n| ask(&gateway, &format!("X-Forwarded-For: 192.0.2.{n}\r\n")).status;
    assert_eq!([1, 2, 3].map(ask), [200, 200, 429]);
}

#[test]
fn the_most_restrictive_of_several_speaks() {
    let origin = Origin::start();
    let rates = "[{ limit = \"100/h\", by = \"route\", name = \"all\" }, \
                 { limit = \"2/h\", name = \"each\" }]";
    let gateway = limited(&origin, rates);
    let answer = ask(&gateway, "");
    let policies = "\"all\";q=100;w=3600, \"each\";q=2;w=3600";
    assert_eq!(answer.field("ratelimit-policy"), Some(policies));
    assert!(answer.field("ratelimit").unwrap().starts_with("\"each\";r=1;"));
    assert_eq!(statuses(&gateway, 2, ""), [200, 429]);
}

#[test]
fn a_reload_forgets_nothing() {
    let origin = Origin::start();
    let settings = one_thread(&origin).route("rate = { limit = \"3/h\" }");
    let gateway = Gateway::start_with(&FLEETFOOT, &settings.to_string(), &[]);
    assert_eq!(statuses(&gateway, 2, ""), [200, 200]);
    gateway.rewrite(&settings.route("prepend = \"/other\"").to_string());
    assert_eq!(gateway.ask("POST", "/reload").status, 200);
    assert_eq!(statuses(&gateway, 2, ""), [200, 429]);
    assert_eq!(origin.request(3).target, "/other/");
}

/// Gateways that count together, in this Redis.
fn herd(origin: &Origin, redis: &Redis, rate: &str) -> Vec<Gateway> {
    let rest = format!("[rate]\nredis = \"{}\"\n", redis.url());
    let settings = one_thread(origin).route(&format!("rate = {rate}")).rest(&rest);
    let gateways: Vec<Gateway> = (0..3).map(|_| start(&settings)).collect();
    wait_until("all to be heard of", || {
        gateways.iter().all(|gateway| gateway.metric("fleetfoot_rate_gateways") >= 3.0)
    });
    gateways
}

#[test]
fn three_gateways_count_together() {
    let Some(redis) = Redis::start() else { return };
    let origin = Origin::start();
    let rate = "{ limit = \"300/h\", by = \"route\", shared = true }";
    let gateways = herd(&origin, &redis, rate);
    let mut clients: Vec<_> = gateways.iter().map(Gateway::client).collect();
    let mut good = 0;
    for _ in 0..200 {
        for client in &mut clients {
            client.send(head("GET", "/", ""));
            good += usize::from(client.response("GET").status == 200);
        }
    }
    assert!((285..=315).contains(&good), "{good} of 300");
}

#[test]
fn a_redis_that_goes_is_nobodys_failed_request() {
    let Some(mut redis) = Redis::start() else { return };
    let origin = Origin::start();
    let rate = "{ limit = \"90/h\", by = \"route\", shared = true }";
    let gateways = herd(&origin, &redis, rate);
    redis.freeze();
    for gateway in &gateways {
        let statuses = statuses(gateway, 60, "");
        assert!(statuses.iter().all(|status| matches!(status, 200 | 429)), "{statuses:?}");
        // Its third of the rate, and what it had in hand.
        assert!((30..=32).contains(&good(&statuses)), "{statuses:?}");
    }
    redis.thaw();
    redis.kill();
    for gateway in &gateways {
        assert_eq!(good(&statuses(gateway, 10, "")), 0);
    }
}
