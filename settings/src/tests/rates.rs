//! Every message about where the requests of a route go, and how many.

use super::{SHOP, behind, mistakes, settings};

/// The report of lines of a route, where there are two services.
fn next(text: &str) -> String {
    let services = "[service.shop]
servers = \"http://a\"
[service.next]
servers = \"http://b\"
";
    mistakes(&format!(
        "{services}[[route]]
match = \"*\"
{text}"
    ))
}

/// The report of lines of a route to a service.
fn items(text: &str) -> String {
    behind(&format!(
        "[[route]]
match = \"/items/{{id}}\"
to = \"shop\"
{text}"
    ))
}

#[test]
fn weights() {
    insta::assert_snapshot!(next("to = { shop = 0, next = 0 }"), @r#"
    gateway.toml:7:6: route "*": to: all weights are 0
    7 | to = { shop = 0, next = 0 }
      |      ^^^^^^^^^^^^^^^^^^^^^^ at least one above 0
    "#);
    insta::assert_snapshot!(next("to = { shop = 95, nxt = 5 }"), @r#"
    gateway.toml:7:19: route "*": unknown service "nxt"
    7 | to = { shop = 95, nxt = 5 }
      |                   ^^^ known services: shop, next
    hint: did you mean "next"?
    "#);
    insta::assert_snapshot!(next(r#"to = { shop = "95%", next = 5 }"#), @r#"
    gateway.toml:7:15: route "*": to: "95%" is no weight
    7 | to = { shop = "95%", next = 5 }
      |               ^^^^^ a whole number from 0 to 1000
    hint: a plain number: 95
    "#);
    insta::assert_snapshot!(next("to = { shop = 1001, next = 0.5 }"), @r#"
    gateway.toml:7:15: route "*": to: 1001 is no weight
    7 | to = { shop = 1001, next = 0.5 }
      |               ^^^^ a whole number from 0 to 1000

    gateway.toml:7:28: route "*": to: 0.5 is no weight
    7 | to = { shop = 1001, next = 0.5 }
      |                            ^^^ a whole number from 0 to 1000
    "#);
    insta::assert_snapshot!(next(r#"to = { shop = "${UNSET}", next = "${EMPTY}" }"#), @r#"
    gateway.toml:7:16: route "*": to: environment variable UNSET is not set
    7 | to = { shop = "${UNSET}", next = "${EMPTY}" }
      |                ^^^^^^^^
    hint: set it, or give a default: ${UNSET:-...}

    gateway.toml:7:34: route "*": to: "${EMPTY}" is no weight
    7 | to = { shop = "${UNSET}", next = "${EMPTY}" }
      |                                  ^^^^^^^^^^ a whole number from 0 to 1000
    "#);
    insta::assert_snapshot!(next("to = {}"), @r#"
    gateway.toml:7:6: route "*": to: an empty table
    7 | to = {}
      |      ^^ at least one service and its weight
    hint: to = "shop"
    "#);
    insta::assert_snapshot!(next(r#"to = ["shop", "next"]"#), @r#"
    gateway.toml:7:6: route "*": to: an array
    7 | to = ["shop", "next"]
      |      ^^^^^^^^^^^^^^^^ the name of a service, or a table of names and weights up to 1000
    hint: to = "shop"
    "#);
    insta::assert_snapshot!(next("to = 3"), @r#"
    gateway.toml:7:6: route "*": to: a whole number
    7 | to = 3
      |      ^ the name of a service, or a table of names and weights up to 1000
    hint: to = "shop"
    "#);
    insta::assert_snapshot!(next(r#"to = "shop"
canary = { next = 5 }"#), @r#"
    gateway.toml:8:1: route "*": unknown key "canary"
    8 | canary = { next = 5 }
      | ^^^^^^ known keys: match, to, name, shadow, class, rate, strip, prepend, timeout, cache, server_timing, objective, offload, publish
    hint: did you mean to = { shop = 95, next = 5 }?
    "#);
}

#[test]
fn shadows() {
    insta::assert_snapshot!(next(r#"to = "shop"
shadow = "shop""#), @r#"
    gateway.toml:8:10: route "*": shadow: requests go to "shop" already
    8 | shadow = "shop"
      |          ^^^^^^ another service than the route's own
    7 | to = "shop"
      |      ^^^^^^ it is here
    "#);
    insta::assert_snapshot!(next(r#"to = { shop = 1, next = 1 }
shadow = { to = "next", share = "10%" }"#), @r#"
    gateway.toml:8:17: route "*": shadow: requests go to "next" already
    8 | shadow = { to = "next", share = "10%" }
      |                 ^^^^^^ another service than the route's own
    7 | to = { shop = 1, next = 1 }
      |      ^^^^^^^^^^^^^^^^^^^^^^ it is here
    "#);
    insta::assert_snapshot!(next(r#"to = "shop"
shadow = "nxt""#), @r#"
    gateway.toml:8:10: route "*": shadow: unknown service "nxt"
    8 | shadow = "nxt"
      |          ^^^^^ known services: shop, next
    hint: did you mean "next"?
    "#);
    insta::assert_snapshot!(next(r#"to = "shop"
shadow = { to = "next", share = "0%" }"#), @r#"
    gateway.toml:8:33: route "*": shadow.share: 0% is too small
    8 | shadow = { to = "next", share = "0%" }
      |                                 ^^^^ a share from 0.01% to 100%
    "#);
    insta::assert_snapshot!(next(r#"to = "shop"
shadow = { share = "10%" }"#), @r#"
    gateway.toml:8:10: route "*": shadow: to is missing
    8 | shadow = { share = "10%" }
      |          ^^^^^^^^^^^^^^^^^ the name of a service
    hint: to = "next"
    "#);
    insta::assert_snapshot!(next(r#"to = "shop"
shadow = { to = "next", percent = 10 }"#), @r#"
    gateway.toml:8:25: route "*": shadow: unknown key "percent"
    8 | shadow = { to = "next", percent = 10 }
      |                         ^^^^^^^ known keys: to, share
    hint: did you mean "share"?
    "#);
    insta::assert_snapshot!(next(r#"to = "shop"
mirror = "next""#), @r#"
    gateway.toml:8:1: route "*": unknown key "mirror"
    8 | mirror = "next"
      | ^^^^^^ known keys: match, to, name, shadow, class, rate, strip, prepend, timeout, cache, server_timing, objective, offload, publish
    hint: did you mean "shadow"?
    "#);
    insta::assert_snapshot!(next(r#"to = "shop"
shadow = false"#), @r#"
    gateway.toml:8:10: route "*": shadow: false
    8 | shadow = false
      |          ^^^^^ the name of a service, or a table of to, share
    hint: shadow = "next"
    "#);
}

#[test]
fn classes() {
    insta::assert_snapshot!(items(r#"class = "high""#), @r#"
    gateway.toml:6:9: route "/items/{id}": class: "high" is not known
    6 | class = "high"
      |         ^^^^^^ "critical", "normal", "background"
    "#);
    insta::assert_snapshot!(items(r#"class = { default = "critcal" }"#), @r#"
    gateway.toml:6:21: route "/items/{id}": class.default: "critcal" is not known
    6 | class = { default = "critcal" }
      |                     ^^^^^^^^^ "critical", "normal", "background"
    hint: did you mean "critical"?
    "#);
    insta::assert_snapshot!(items(r#"class = { field = "X Priority" }"#), @r#"
    gateway.toml:6:19: route "/items/{id}": class.field: "X Priority" is no name of a field
    6 | class = { field = "X Priority" }
      |                   ^^^^^^^^^^^^ the name of a field
    hint: did you mean "X-Priority"?
    "#);
    insta::assert_snapshot!(items("class = 1"), @r#"
    gateway.toml:6:9: route "/items/{id}": class: a whole number
    6 | class = 1
      |         ^ "critical", "normal", "background", or a table of default, field
    hint: class = "critical"
    "#);
    insta::assert_snapshot!(items(r#"priority = "critical""#), @r#"
    gateway.toml:6:1: route "/items/{id}": unknown key "priority"
    6 | priority = "critical"
      | ^^^^^^^^ known keys: match, to, name, shadow, class, rate, strip, prepend, timeout, cache, server_timing, objective, offload, publish
    hint: did you mean "class"?
    "#);
    insta::assert_snapshot!(items(r#"class = { header = "X-Priority" }"#), @r#"
    gateway.toml:6:11: route "/items/{id}": class: unknown key "header"
    6 | class = { header = "X-Priority" }
      |           ^^^^^^ known keys: default, field
    hint: did you mean "field"?
    "#);
}

#[test]
fn fields_of_http_itself() {
    insta::assert_snapshot!(items(r#"class = { field = "Host" }"#), @r#"
    gateway.toml:6:19: route "/items/{id}": class.field: "Host" has a meaning in HTTP already
    6 | class = { field = "Host" }
      |                   ^^^^^^ a field that HTTP gives no meaning to
    hint: take one of your own, such as X-Priority
    "#);
    insta::assert_snapshot!(items(r#"rate = { limit = "1/s", by = "header:Connection" }"#), @r#"
    gateway.toml:6:38: route "/items/{id}": rate.by: "Connection" has a meaning in HTTP already
    6 | rate = { limit = "1/s", by = "header:Connection" }
      |                                      ^^^^^^^^^^ a field that HTTP gives no meaning to
    hint: take one of your own, such as X-Api-Key
    "#);
    for name in ["host", "Authorization", "cookie", "X-Api-Key"] {
        settings(&format!(
            "{SHOP}balance = {{ policy = \"hash\", by = \"header:{name}\" }}\n[[route]]\nmatch = \"*\"\n\
             to = \"shop\"\nrate = {{ limit = \"1/s\", by = \"header:{name}\" }}\n"
        ));
    }
}

#[test]
fn bursts() {
    insta::assert_snapshot!(items(r#"rate = { limit = "1/d", burst = 1000000000 }"#), @r#"
    gateway.toml:6:33: route "/items/{id}": rate.burst: 1000000000 requests at 1 in 1d are 1000000000 × 1d / 1 = 2739726 years
    6 | rate = { limit = "1/d", burst = 1000000000 }
      |                                 ^^^^^^^^^^ at most 106751 requests, 292 years, at this rate
    hint: burst is how many may come at once; it is 1 where it is left out
    "#);
    // The most that fits, and one more.
    let most = "rate = { limit = \"1/d\", burst = 106751 }";
    settings(&format!("{SHOP}[[route]]\nmatch = \"*\"\nto = \"shop\"\n{most}\n"));
    insta::assert_snapshot!(items(r#"rate = { limit = "1/d", burst = 106752 }"#), @r#"
    gateway.toml:6:33: route "/items/{id}": rate.burst: 106752 requests at 1 in 1d are 106752 × 1d / 1 = 292 years
    6 | rate = { limit = "1/d", burst = 106752 }
      |                                 ^^^^^^ at most 106751 requests, 292 years, at this rate
    hint: burst is how many may come at once; it is 1 where it is left out
    "#);
}

#[test]
fn rates() {
    insta::assert_snapshot!(items(r#"rate = "0/s""#), @r#"
    gateway.toml:6:9: route "/items/{id}": rate: a rate of 0 lets nothing through
    6 | rate = "0/s"
      |         ^ a number, a slash and a time, such as 100/s, 5/10s or 1000/h
    hint: take the route out, and its requests are answered with 404
    "#);
    insta::assert_snapshot!(items(r#"rate = "100""#), @r#"
    gateway.toml:6:8: route "/items/{id}": rate: "100" has no time
    6 | rate = "100"
      |        ^^^^^ a number, a slash and a time, such as 100/s, 5/10s or 1000/h
    hint: did you mean "100/s"?
    "#);
    insta::assert_snapshot!(items(r#"rate = "100rps""#), @r#"
    gateway.toml:6:8: route "/items/{id}": rate: "100rps" has no time
    6 | rate = "100rps"
      |        ^^^^^^^^ a number, a slash and a time, such as 100/s, 5/10s or 1000/h
    hint: did you mean "100/s"?
    "#);
    insta::assert_snapshot!(items(r#"rate = "100r/s""#), @r#"
    gateway.toml:6:9: route "/items/{id}": rate: "100r" is no number of requests
    6 | rate = "100r/s"
      |         ^^^^ a number, a slash and a time, such as 100/s, 5/10s or 1000/h
    hint: did you mean "100/s"?
    "#);
    insta::assert_snapshot!(items(r#"rate = "100/sec""#), @r#"
    gateway.toml:6:13: route "/items/{id}": rate: "sec" is no time
    6 | rate = "100/sec"
      |             ^^^ a number, a slash and a time, such as 100/s, 5/10s or 1000/h
    hint: did you mean "100/s"?
    "#);
    insta::assert_snapshot!(items(r#"rate = "many/s""#), @r#"
    gateway.toml:6:9: route "/items/{id}": rate: "many" is no number of requests
    6 | rate = "many/s"
      |         ^^^^ a number, a slash and a time, such as 100/s, 5/10s or 1000/h
    "#);
    insta::assert_snapshot!(items(r#"rate = "5/100ms""#), @r#"
    gateway.toml:6:11: route "/items/{id}": rate: 100ms is too short
    6 | rate = "5/100ms"
      |           ^^^^^ a time from 1s to 1d
    "#);
    insta::assert_snapshot!(items(r#"rate = "5/2d""#), @r#"
    gateway.toml:6:11: route "/items/{id}": rate: 2d is too long
    6 | rate = "5/2d"
      |           ^^ a time from 1s to 1d
    "#);
    insta::assert_snapshot!(items(r#"rate = "2000000000/s""#), @r#"
    gateway.toml:6:9: route "/items/{id}": rate: 2000000000 is too many
    6 | rate = "2000000000/s"
      |         ^^^^^^^^^^ at most 1000000000 requests
    "#);
    insta::assert_snapshot!(items(r#"rate = "5/x""#), @r#"
    gateway.toml:6:11: route "/items/{id}": rate: "x" is no time
    6 | rate = "5/x"
      |           ^ a number, a slash and a time, such as 100/s, 5/10s or 1000/h
    "#);
    insta::assert_snapshot!(items("rate = 100"), @r#"
    gateway.toml:6:8: route "/items/{id}": rate: a whole number
    6 | rate = 100
      |        ^^^ a number, a slash and a time: 100/s, 5/10s, 1000/h, or a table of limit, burst, by, shared, name, or several
    hint: rate = "100/s"
    "#);
    insta::assert_snapshot!(items(r#"rate = ["1/s", 2]"#), @r#"
    gateway.toml:6:16: route "/items/{id}": rate: a whole number
    6 | rate = ["1/s", 2]
      |                ^ a number, a slash and a time: 100/s, 5/10s, 1000/h, or a table of limit, burst, by, shared, name, or several
    hint: rate = "100/s"
    "#);
}

#[test]
fn rates_of_whom() {
    insta::assert_snapshot!(items(r#"rate = { limit = "1/s", burst = 0 }"#), @r#"
    gateway.toml:6:33: route "/items/{id}": rate.burst: 0 is too few
    6 | rate = { limit = "1/s", burst = 0 }
      |                                 ^ a whole number from 1 to 1000000000
    "#);
    insta::assert_snapshot!(items("rate = { burst = 5 }"), @r#"
    gateway.toml:6:8: route "/items/{id}": rate: limit is missing
    6 | rate = { burst = 5 }
      |        ^^^^^^^^^^^^^ a number, a slash and a time: 100/s, 5/10s, 1000/h
    hint: limit = "100/s"
    "#);
    insta::assert_snapshot!(items(r#"rate = { limit = "1/s", by = "ip" }"#), @r#"
    gateway.toml:6:30: route "/items/{id}": rate.by: "ip" is not known
    6 | rate = { limit = "1/s", by = "ip" }
      |                              ^^^^ client, route or header:NAME
    hint: did you mean "client"?
    "#);
    insta::assert_snapshot!(items(r#"rate = { limit = "1/s", by = "header" }"#), @r#"
    gateway.toml:6:30: route "/items/{id}": rate.by: "header" is not known
    6 | rate = { limit = "1/s", by = "header" }
      |                              ^^^^^^^^ client, route or header:NAME
    hint: did you mean "header:X-Api-Key"?
    "#);
    insta::assert_snapshot!(items(r#"rate = { limit = "1/s", by = "header:X Key" }"#), @r#"
    gateway.toml:6:38: route "/items/{id}": rate.by: "X Key" is no name of a field
    6 | rate = { limit = "1/s", by = "header:X Key" }
      |                                      ^^^^^ the name of a field
    hint: did you mean "X-Key"?
    "#);
    insta::assert_snapshot!(items(r#"rate = { limit = "1/s", by = "field:X-Key" }"#), @r#"
    gateway.toml:6:30: route "/items/{id}": rate.by: "field:X-Key" is not known
    6 | rate = { limit = "1/s", by = "field:X-Key" }
      |                              ^^^^^^^^^^^^^ client, route or header:NAME
    hint: did you mean "header:X-Key"?
    "#);
    insta::assert_snapshot!(items(r#"rate = { limit = "1/s", by = "session" }"#), @r#"
    gateway.toml:6:30: route "/items/{id}": rate.by: "session" is not known
    6 | rate = { limit = "1/s", by = "session" }
      |                              ^^^^^^^^^ client, route or header:NAME
    "#);
    insta::assert_snapshot!(items(r#"rate = { limit = "1/s", name = "a\"b" }"#), @r#"
    gateway.toml:6:32: route "/items/{id}": rate.name: '"' in a name
    6 | rate = { limit = "1/s", name = "a\"b" }
      |                                ^^^^^^ 1 to 128 printable ASCII characters, without quotes and backslashes
    "#);
}

#[test]
fn rates_and_their_names() {
    insta::assert_snapshot!(items(r#"rate = ["1/s", "2/s"]"#), @r#"
    gateway.toml:6:16: route "/items/{id}": rate: "client/s" twice
    6 | rate = ["1/s", "2/s"]
      |                ^^^^^ a name of its own
    6 | rate = ["1/s", "2/s"]
      |         ^^^^^ first here
    hint: the lower of two such rates is the one that holds; to keep both, give one a name
    "#);
    insta::assert_snapshot!(items(r#"rate = [{ limit = "1/s", name = "a" }, { limit = "9/m", name = "a" }]"#), @r#"
    gateway.toml:6:64: route "/items/{id}": rate: "a" twice
    6 | rate = [{ limit = "1/s", name = "a" }, { limit = "9/m", name = "a" }]
      |                                                                ^^^ a name of its own
    6 | rate = [{ limit = "1/s", name = "a" }, { limit = "9/m", name = "a" }]
      |                                 ^^^ first here
    hint: the lower of two such rates is the one that holds; to keep both, give one a name
    "#);
    insta::assert_snapshot!(items("rate = { average = 100 }"), @r#"
    gateway.toml:6:8: route "/items/{id}": rate: limit is missing
    6 | rate = { average = 100 }
      |        ^^^^^^^^^^^^^^^^^ a number, a slash and a time: 100/s, 5/10s, 1000/h
    hint: limit = "100/s"

    gateway.toml:6:10: route "/items/{id}": rate: unknown key "average"
    6 | rate = { average = 100 }
      |          ^^^^^^^ known keys: limit, burst, by, shared, name
    hint: did you mean "limit"?
    "#);
    insta::assert_snapshot!(items(r#"rate_limit = "1/s""#), @r#"
    gateway.toml:6:1: route "/items/{id}": unknown key "rate_limit"
    6 | rate_limit = "1/s"
      | ^^^^^^^^^^ known keys: match, to, name, shadow, class, rate, strip, prepend, timeout, cache, server_timing, objective, offload, publish
    hint: did you mean "rate"?
    "#);
    insta::assert_snapshot!(items(r#"throttle = "1/s""#), @r#"
    gateway.toml:6:1: route "/items/{id}": unknown key "throttle"
    6 | throttle = "1/s"
      | ^^^^^^^^ known keys: match, to, name, shadow, class, rate, strip, prepend, timeout, cache, server_timing, objective, offload, publish
    hint: did you mean "rate"?
    "#);
}

#[test]
fn rates_that_are_shared_without_redis() {
    insta::assert_snapshot!(items(r#"rate = { limit = "1/s", shared = true }"#), @r#"
    gateway.toml:6:34: route "/items/{id}": rate.shared: there is no redis to count in
    6 | rate = { limit = "1/s", shared = true }
      |                                  ^^^^ needs redis in [rate], one server
    hint: [rate] redis = "redis://127.0.0.1:6379"
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = ["redis://a", "redis://b"]
redis_mode = "cluster"
[[route]]
match = "*"
to = "shop"
rate = { limit = "1/s", shared = true }"#), @r#"
    gateway.toml:9:34: route "*": rate.shared: redis of [cache] is a cluster
    9 | rate = { limit = "1/s", shared = true }
      |                                  ^^^^ needs redis in [rate], one server
    hint: [rate] redis = "redis://127.0.0.1:6379"
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
memcached = "a"
[[route]]
match = "*"
to = "shop"
rate = { limit = "1/s", shared = true }"#), @r#"
    gateway.toml:8:34: route "*": rate.shared: [cache] shares through memcached
    8 | rate = { limit = "1/s", shared = true }
      |                                  ^^^^ needs redis in [rate], one server
    hint: [rate] redis = "redis://127.0.0.1:6379"
    "#);
    insta::assert_snapshot!(behind(r#"[cache]
redis = "http://a"
[[route]]
match = "*"
to = "shop"
rate = { limit = "1/s", shared = true }"#), @r#"
    gateway.toml:4:10: cache.redis: scheme "http"
    4 | redis = "http://a"
      |          ^^^^ redis or rediss, a host and perhaps a port and database, such as redis://10.0.0.5:6379/1
    hint: did you mean "redis://"?
    "#);
    insta::assert_snapshot!(behind(r#"[rate]
redis = "a"
[[route]]
match = "*"
to = "shop"
rate = { limit = "1/s", shared = true }"#), @r#"
    gateway.toml:4:9: rate.redis: "a" has no scheme
    4 | redis = "a"
      |         ^^^ redis or rediss, a host and perhaps a port and database, such as redis://10.0.0.5:6379/1
    hint: did you mean "redis://a"?
    "#);
    insta::assert_snapshot!(behind(r#"[rate]
url = "redis://a""#), @r#"
    gateway.toml:4:1: rate: unknown key "url"
    4 | url = "redis://a"
      | ^^^ known keys: redis
    hint: did you mean "redis"?
    "#);
}
