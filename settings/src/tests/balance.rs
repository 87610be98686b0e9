//! Every message about a service: its servers, how they are chosen, checked and asked.

use super::{before, behind, mistakes};

/// The report of lines of a service that has two servers.
fn pair(text: &str) -> String {
    mistakes(&format!(
        "[service.shop]
servers = [\"http://a\", \"http://b\"]
{text}"
    ))
}

#[test]
fn servers_and_their_places() {
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["http://a", { url = "http://A:80/", weight = 2 }]"#), @r#"
    gateway.toml:2:32: service.shop.servers: "http://A:80/" twice
    2 | servers = ["http://a", { url = "http://A:80/", weight = 2 }]
      |                                ^^^^^^^^^^^^^^
    2 | servers = ["http://a", { url = "http://A:80/", weight = 2 }]
      |            ^^^^^^^^^^ first here
    hint: a weight gives it more requests
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = [{ url = "http://a", weight = 0 }, { url = "http://b", weight = 1001 }]"#), @r#"
    gateway.toml:2:41: service.shop.servers.weight: 0 is too few
    2 | servers = [{ url = "http://a", weight = 0 }, { url = "http://b", weight = 1001 }]
      |                                         ^ a whole number from 1 to 1000

    gateway.toml:2:75: service.shop.servers.weight: 1001 is too many
    2 | servers = [{ url = "http://a", weight = 0 }, { url = "http://b", weight = 1001 }]
      |                                                                           ^^^^ a whole number from 1 to 1000
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = [{ url = "a", zone = "eu 1", priority = 256 }, { weight = 2 }]"#), @r#"
    gateway.toml:2:20: service.shop.servers.url: "a" has no scheme
    2 | servers = [{ url = "a", zone = "eu 1", priority = 256 }, { weight = 2 }]
      |                    ^^^ http or https, a host and perhaps a port, such as http://10.0.0.1:3000
    hint: did you mean "http://a"?

    gateway.toml:2:32: service.shop.servers.zone: "eu 1" is no name of a zone
    2 | servers = [{ url = "a", zone = "eu 1", priority = 256 }, { weight = 2 }]
      |                                ^^^^^^ 1 to 64 letters, digits, -, _ and .

    gateway.toml:2:51: service.shop.servers.priority: 256 is too many
    2 | servers = [{ url = "a", zone = "eu 1", priority = 256 }, { weight = 2 }]
      |                                                   ^^^ a whole number from 0 to 255

    gateway.toml:2:58: service.shop.servers: url is missing
    2 | servers = [{ url = "a", zone = "eu 1", priority = 256 }, { weight = 2 }]
      |                                                          ^^^^^^^^^^^^^^ http or https, a host and perhaps a port
    hint: url = "http://10.0.0.2:3000"
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = [{ address = "http://a" }, 3]"#), @r#"
    gateway.toml:2:12: service.shop.servers: url is missing
    2 | servers = [{ address = "http://a" }, 3]
      |            ^^^^^^^^^^^^^^^^^^^^^^^^ http or https, a host and perhaps a port
    hint: url = "http://10.0.0.2:3000"

    gateway.toml:2:14: service.shop.servers: unknown key "address"
    2 | servers = [{ address = "http://a" }, 3]
      |              ^^^^^^^ known keys: url, weight, priority, zone
    hint: did you mean "url"?

    gateway.toml:2:38: service.shop.servers: a whole number
    2 | servers = [{ address = "http://a" }, 3]
      |                                      ^ http or https, a host and perhaps a port, or a table of url, weight, priority, zone, or several
    hint: servers = ["http://10.0.0.1:3000", "http://10.0.0.2:3000"]
    "#);
    insta::assert_snapshot!(mistakes("[service.shop]\nservers = 3"), @r#"
    gateway.toml:2:11: service.shop.servers: a whole number
    2 | servers = 3
      |           ^ http or https, a host and perhaps a port, or a table of url, weight, priority, zone, or several
    hint: servers = ["http://10.0.0.1:3000", "http://10.0.0.2:3000"]
    "#);
}

#[test]
fn zones() {
    insta::assert_snapshot!(before(r#"zone = """#), @r#"
    gateway.toml:1:8: zone: "" is no name of a zone
    1 | zone = ""
      |        ^^ 1 to 64 letters, digits, -, _ and .
    hint: take the key out
    "#);
    insta::assert_snapshot!(before(r#"zone = "eu/1""#), @r#"
    gateway.toml:1:8: zone: "eu/1" is no name of a zone
    1 | zone = "eu/1"
      |        ^^^^^^ 1 to 64 letters, digits, -, _ and .
    "#);
    insta::assert_snapshot!(before(r#"region = "eu-1""#), @r#"
    gateway.toml:1:1: unknown key "region"
    1 | region = "eu-1"
      | ^^^^^^ known keys: listen, admin, threads, grace, zone, limits, tls, forward, monitor, cache, deadline, rate, offload, queue, events, service, route
    hint: did you mean "zone"?
    "#);
}

#[test]
fn policies() {
    insta::assert_snapshot!(pair(r#"balance = "round_robin""#), @r#"
    gateway.toml:3:11: service.shop.balance: "round_robin" is not known
    3 | balance = "round_robin"
      |           ^^^^^^^^^^^^^ "peak-ewma", "least-request", "round-robin", "random", "hash", "hot-cold"
    hint: did you mean "round-robin"?
    "#);
    insta::assert_snapshot!(pair("balance = 5"), @r#"
    gateway.toml:3:11: service.shop.balance: a whole number
    3 | balance = 5
      |           ^ "peak-ewma", "least-request", "round-robin", "random", "hash", "hot-cold", or a table of policy, by, bound, slow_start, slow_start_least, penalty, panic, zone_cost, subset, eject
    hint: balance = "least-request"
    "#);
    insta::assert_snapshot!(pair("balance = false"), @r#"
    gateway.toml:3:11: service.shop.balance: false
    3 | balance = false
      |           ^^^^^ "peak-ewma", "least-request", "round-robin", "random", "hash", "hot-cold", or a table of policy, by, bound, slow_start, slow_start_least, penalty, panic, zone_cost, subset, eject
    hint: balance = "least-request"
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "maglev", lb = 1 }"#), @r#"
    gateway.toml:3:22: service.shop.balance.policy: "maglev" is not known
    3 | balance = { policy = "maglev", lb = 1 }
      |                      ^^^^^^^^ "peak-ewma", "least-request", "round-robin", "random", "hash", "hot-cold"

    gateway.toml:3:32: service.shop.balance: unknown key "lb"
    3 | balance = { policy = "maglev", lb = 1 }
      |                                ^^ known keys: policy, by, bound, slow_start, slow_start_least, penalty, panic, zone_cost, subset, eject
    "#);
    insta::assert_snapshot!(pair(r#"lb_policy = "random""#), @r#"
    gateway.toml:3:1: service.shop: unknown key "lb_policy"
    3 | lb_policy = "random"
      | ^^^^^^^^^ known keys: servers, discover, balance, health, retry, hedge, limit, host, http, connect_time, first_byte_time, total_time, idle_time, idle_max, connections_max, prewarm, tls
    hint: did you mean "balance"?
    "#);
    insta::assert_snapshot!(pair(r#"slow_start = "10s""#), @r#"
    gateway.toml:3:1: service.shop: unknown key "slow_start"
    3 | slow_start = "10s"
      | ^^^^^^^^^^ known keys: servers, discover, balance, health, retry, hedge, limit, host, http, connect_time, first_byte_time, total_time, idle_time, idle_max, connections_max, prewarm, tls
    hint: "slow_start" belongs in [service.NAME.balance]
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = "http://a"
[service.shop.balance]
method = "hash""#), @r#"
    gateway.toml:4:1: service.shop.balance: unknown key "method"
    4 | method = "hash"
      | ^^^^^^ known keys: policy, by, bound, slow_start, slow_start_least, penalty, panic, zone_cost, subset, eject
    hint: did you mean "policy"?
    "#);
}

#[test]
fn hashing() {
    insta::assert_snapshot!(pair(r#"balance = "hash""#), @r#"
    gateway.toml:3:11: service.shop.balance: "hash" does not say by what
    3 | balance = "hash"
      |           ^^^^^^ needs by: header:NAME, cookie:NAME, parameter:NAME, path or client
    hint: balance = { policy = "hash", by = "client" }
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash" }"#), @r#"
    gateway.toml:3:22: service.shop.balance.policy: "hash" does not say by what
    3 | balance = { policy = "hash" }
      |                      ^^^^^^ needs by: header:NAME, cookie:NAME, parameter:NAME, path or client
    hint: balance = { policy = "hash", by = "client" }
    "#);
    insta::assert_snapshot!(pair(r#"balance = { by = "path" }"#), @r#"
    gateway.toml:3:18: service.shop.balance.by: policy is "peak-ewma"
    3 | balance = { by = "path" }
      |                  ^^^^^^ goes with policy = "hash"
    hint: set policy = "hash"
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "random", bound = "150%" }"#), @r#"
    gateway.toml:3:40: service.shop.balance.bound: policy is "random"
    3 | balance = { policy = "random", bound = "150%" }
      |                                        ^^^^^^ goes with policy = "hash"
    3 | balance = { policy = "random", bound = "150%" }
      |                      ^^^^^^^^ policy is set here
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash", by = "ip" }"#), @r#"
    gateway.toml:3:35: service.shop.balance.by: "ip" is not known
    3 | balance = { policy = "hash", by = "ip" }
      |                                   ^^^^ header:NAME, cookie:NAME, parameter:NAME, path or client
    hint: did you mean "client"?
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash", by = "header" }"#), @r#"
    gateway.toml:3:35: service.shop.balance.by: "header" is not known
    3 | balance = { policy = "hash", by = "header" }
      |                                   ^^^^^^^^ header:NAME, cookie:NAME, parameter:NAME, path or client
    hint: did you mean "header:X-User"?
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash", by = "cooky:uid" }"#), @r#"
    gateway.toml:3:35: service.shop.balance.by: "cooky:uid" is not known
    3 | balance = { policy = "hash", by = "cooky:uid" }
      |                                   ^^^^^^^^^^^ header:NAME, cookie:NAME, parameter:NAME, path or client
    hint: did you mean "cookie:uid"?
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash", by = "param:id" }"#), @r#"
    gateway.toml:3:35: service.shop.balance.by: "param:id" is not known
    3 | balance = { policy = "hash", by = "param:id" }
      |                                   ^^^^^^^^^^ header:NAME, cookie:NAME, parameter:NAME, path or client
    hint: did you mean "parameter:id"?
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash", by = "parameter:{id}" }"#), @r#"
    gateway.toml:3:46: service.shop.balance.by: "{id}" is no name of a parameter
    3 | balance = { policy = "hash", by = "parameter:{id}" }
      |                                              ^^^^ the name of a parameter of match, without braces
    hint: did you mean "parameter:id"?
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash", by = "header:X User" }"#), @r#"
    gateway.toml:3:43: service.shop.balance.by: "X User" is no name of a field
    3 | balance = { policy = "hash", by = "header:X User" }
      |                                           ^^^^^^ the name of a field
    hint: did you mean "X-User"?
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash", by = "query:page" }"#), @r#"
    gateway.toml:3:35: service.shop.balance.by: "query:page" is not known
    3 | balance = { policy = "hash", by = "query:page" }
      |                                   ^^^^^^^^^^^^ header:NAME, cookie:NAME, parameter:NAME, path or client
    hint: the query is not hashed; a parameter is one of match
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash", by = "header:" }"#), @r#"
    gateway.toml:3:43: service.shop.balance.by: "" is no name of a field
    3 | balance = { policy = "hash", by = "header:" }
      |                                           ^ the name of a field
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash", by = "path", bound = "99%" }"#), @r#"
    gateway.toml:3:51: service.shop.balance.bound: 99% is too small
    3 | balance = { policy = "hash", by = "path", bound = "99%" }
      |                                                   ^^^^^ a share from 100% to 1000%
    "#);
}

#[test]
fn a_hash_by_a_parameter_that_a_route_lacks() {
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash", by = "parameter:id" }
[[route]]
match = "/items/{id}"
to = "shop"
[[route]]
match = "/carts/{cart}"
to = "shop""#), @r#"
    gateway.toml:8:9: route "/carts/{cart}": /carts/{cart} has no {id}
    8 | match = "/carts/{cart}"
      |         ^^^^^^^^^^^^^^^ service "shop" hashes requests by it
    3 | balance = { policy = "hash", by = "parameter:id" }
      |                                   ^^^^^^^^^^^^^^ by is set here
    hint: name it in match, or hash by something that every route has: path, client
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash", by = "parameter:id" }"#), @r#"
    gateway.toml:3:35: without a [[route]], * has no {id}
    3 | balance = { policy = "hash", by = "parameter:id" }
      |                                   ^^^^^^^^^^^^^^ service "shop" hashes requests by it
    hint: name it in match, or hash by something that every route has: path, client
    "#);
    insta::assert_snapshot!(pair(r#"balance = { policy = "hash", by = "parameter:id" }
[service.next]
servers = "http://c"
[[route]]
match = "*"
to = { next = 9, shop = 1 }"#), @r#"
    gateway.toml:7:9: route "*": * has no {id}
    7 | match = "*"
      |         ^^^ service "shop" hashes requests by it
    3 | balance = { policy = "hash", by = "parameter:id" }
      |                                   ^^^^^^^^^^^^^^ by is set here
    hint: name it in match, or hash by something that every route has: path, client
    "#);
}

#[test]
fn shares() {
    insta::assert_snapshot!(pair(r#"balance = { panic = "0.5" }"#), @r#"
    gateway.toml:3:21: service.shop.balance.panic: "0.5" is no share
    3 | balance = { panic = "0.5" }
      |                     ^^^^^ a share from 0% to 100%
    hint: use a percentage of at most two decimals, such as "5%" or "0.25%"
    "#);
    insta::assert_snapshot!(pair("balance = { panic = 50 }"), @r#"
    gateway.toml:3:21: service.shop.balance.panic: a whole number
    3 | balance = { panic = 50 }
      |                     ^^ a share from 0% to 100%
    hint: write it in quotes: "50%"
    "#);
    insta::assert_snapshot!(pair(r#"balance = { panic = "50" }"#), @r#"
    gateway.toml:3:21: service.shop.balance.panic: "50" is no share
    3 | balance = { panic = "50" }
      |                     ^^^^ a share from 0% to 100%
    hint: did you mean "50%"?
    "#);
    insta::assert_snapshot!(pair(r#"balance = { panic = "101%" }"#), @r#"
    gateway.toml:3:21: service.shop.balance.panic: 101% is too large
    3 | balance = { panic = "101%" }
      |                     ^^^^^^ a share from 0% to 100%
    "#);
    insta::assert_snapshot!(pair(r#"balance = { slow_start_least = "0%" }"#), @r#"
    gateway.toml:3:32: service.shop.balance.slow_start_least: 0% is too small
    3 | balance = { slow_start_least = "0%" }
      |                                ^^^^ a share from 1% to 100%
    "#);
    insta::assert_snapshot!(pair(r#"balance = { panic = "-1%" }"#), @r#"
    gateway.toml:3:21: service.shop.balance.panic: "-1%" is no share
    3 | balance = { panic = "-1%" }
      |                     ^^^^^ a share from 0% to 100%
    hint: use a percentage of at most two decimals, such as "5%" or "0.25%"
    "#);
    insta::assert_snapshot!(pair(r#"balance = { panic = "0.001%" }"#), @r#"
    gateway.toml:3:21: service.shop.balance.panic: "0.001%" is no share
    3 | balance = { panic = "0.001%" }
      |                     ^^^^^^^^ a share from 0% to 100%
    hint: use a percentage of at most two decimals, such as "5%" or "0.25%"
    "#);
    insta::assert_snapshot!(pair("balance = { subset = 0 }"), @r#"
    gateway.toml:3:22: service.shop.balance.subset: 0 is too few
    3 | balance = { subset = 0 }
      |                      ^ a whole number from 1 to 100000
    "#);
    insta::assert_snapshot!(pair(r#"balance = { zone_cost = "11s" }"#), @r#"
    gateway.toml:3:25: service.shop.balance.zone_cost: 11s is too long
    3 | balance = { zone_cost = "11s" }
      |                         ^^^^^ a duration from 0s to 10s
    "#);
}

#[test]
fn ejection() {
    insta::assert_snapshot!(pair(r#"balance = { eject = { slow = "109%" } }"#), @r#"
    gateway.toml:3:30: service.shop.balance.eject.slow: 109% is too small
    3 | balance = { eject = { slow = "109%" } }
      |                              ^^^^^^ a share from 110% to 10000%, or false
    "#);
    insta::assert_snapshot!(pair(r#"balance = { eject = { slow = "off" } }"#), @r#"
    gateway.toml:3:30: service.shop.balance.eject.slow: "off" is no share
    3 | balance = { eject = { slow = "off" } }
      |                              ^^^^^ a share from 110% to 10000%, or false
    hint: without quotes: false
    "#);
    insta::assert_snapshot!(pair(r#"balance = { eject = { time = "2s", time_max = "1s" } }"#), @r#"
    gateway.toml:3:30: service.shop.balance.eject.time: 2s is longer than time_max
    3 | balance = { eject = { time = "2s", time_max = "1s" } }
      |                              ^^^^ at most time_max, 1s
    3 | balance = { eject = { time = "2s", time_max = "1s" } }
      |                                               ^^^^ time_max is set here
    "#);
    insta::assert_snapshot!(pair(r#"balance = { eject = { time = "11s" } }"#), @r#"
    gateway.toml:3:30: service.shop.balance.eject.time: 11s is longer than time_max
    3 | balance = { eject = { time = "11s" } }
      |                              ^^^^^ at most time_max, 10s
    hint: time_max is 10s unless it is set
    "#);
    insta::assert_snapshot!(pair(r#"balance = { eject = "off" }"#), @r#"
    gateway.toml:3:21: service.shop.balance.eject: a string
    3 | balance = { eject = "off" }
      |                     ^^^^^ true, false or a table of failures, success, slow, time, time_max, most
    hint: without quotes: false
    "#);
    insta::assert_snapshot!(pair(r#"balance = { eject = { success = "101%", most = "0%" } }"#), @r#"
    gateway.toml:3:33: service.shop.balance.eject.success: 101% is too large
    3 | balance = { eject = { success = "101%", most = "0%" } }
      |                                 ^^^^^^ a share from 1% to 100%, or false

    gateway.toml:3:48: service.shop.balance.eject.most: 0% is too small
    3 | balance = { eject = { success = "101%", most = "0%" } }
      |                                                ^^^^ a share from 1% to 100%
    "#);
    insta::assert_snapshot!(pair(r#"balance = { eject = { max_ejection_percent = "10%" } }"#), @r#"
    gateway.toml:3:23: service.shop.balance.eject: unknown key "max_ejection_percent"
    3 | balance = { eject = { max_ejection_percent = "10%" } }
      |                       ^^^^^^^^^^^^^^^^^^^^ known keys: failures, success, slow, time, time_max, most
    hint: did you mean "most"?
    "#);
    insta::assert_snapshot!(pair("outlier_detection = { failures = 3 }"), @r#"
    gateway.toml:3:1: service.shop: unknown key "outlier_detection"
    3 | outlier_detection = { failures = 3 }
      | ^^^^^^^^^^^^^^^^^ known keys: servers, discover, balance, health, retry, hedge, limit, host, http, connect_time, first_byte_time, total_time, idle_time, idle_max, connections_max, prewarm, tls
    hint: did you mean "balance"?
    "#);
}

#[test]
fn health_checks() {
    insta::assert_snapshot!(pair(r#"health = "health""#), @r#"
    gateway.toml:3:10: service.shop.health: "health" does not start with /
    3 | health = "health"
      |          ^^^^^^^^ a path that starts with /, such as /health
    hint: did you mean "/health"?
    "#);
    insta::assert_snapshot!(pair(r#"health = "http://a/health""#), @r#"
    gateway.toml:3:10: service.shop.health: a URL
    3 | health = "http://a/health"
      |          ^^^^^^^^^^^^^^^^^ a path that starts with /, such as /health
    hint: did you mean "/health"?
    "#);
    insta::assert_snapshot!(pair(r#"health = "/a b""#), @r#"
    gateway.toml:3:13: service.shop.health: ' ' in a path
    3 | health = "/a b"
      |             ^ a path that starts with /, such as /health
    hint: write % and two hexadecimal digits for it
    "#);
    insta::assert_snapshot!(pair("health = true"), @r#"
    gateway.toml:3:10: service.shop.health: true
    3 | health = true
      |          ^^^^ a path that starts with /, perhaps with a query, or a table of path, grpc, tcp, every, time, healthy, unhealthy, statuses, or false
    hint: health = "/health"
    "#);
    insta::assert_snapshot!(pair("health = {}"), @r#"
    gateway.toml:3:10: service.shop.health: it does not say what is asked
    3 | health = {}
      |          ^^ one of path, grpc, tcp
    "#);
    insta::assert_snapshot!(pair(r#"health = { path = "/", tcp = true }"#), @r#"
    gateway.toml:3:30: service.shop.health.tcp: there is path already
    3 | health = { path = "/", tcp = true }
      |                              ^^^^ one of the two
    3 | health = { path = "/", tcp = true }
      |                   ^^^ path is set here
    "#);
    insta::assert_snapshot!(pair("health = { tcp = false }"), @r#"
    gateway.toml:3:18: service.shop.health.tcp: false leaves nothing to ask
    3 | health = { tcp = false }
      |                  ^^^^^ true, or path or grpc in its place
    hint: health = false checks nothing
    "#);
    insta::assert_snapshot!(pair(r#"health = { grpc = "a b" }"#), @r#"
    gateway.toml:3:19: service.shop.health.grpc: "a b" is no gRPC service
    3 | health = { grpc = "a b" }
      |                   ^^^^^ such as shop.Cart, or "" for the server as a whole
    "#);
    insta::assert_snapshot!(pair(r#"health = { grpc = "", statuses = "200" }"#), @r#"
    gateway.toml:3:34: service.shop.health.statuses: there is no path
    3 | health = { grpc = "", statuses = "200" }
      |                                  ^^^^^ goes with path
    "#);
}

#[test]
fn health_checks_with_numbers() {
    insta::assert_snapshot!(pair(r#"health = { path = "/", statuses = "2xx" }"#), @r#"
    gateway.toml:3:35: service.shop.health.statuses: "2xx" is no range of statuses
    3 | health = { path = "/", statuses = "2xx" }
      |                                   ^^^^^ a status such as 200, or two with a dash between them: 200-299
    hint: did you mean "200-299"?
    "#);
    insta::assert_snapshot!(pair(r#"health = { path = "/", statuses = "299-200" }"#), @r#"
    gateway.toml:3:35: service.shop.health.statuses: 299 is more than 200
    3 | health = { path = "/", statuses = "299-200" }
      |                                   ^^^^^^^^^ a status such as 200, or two with a dash between them: 200-299
    hint: did you mean "200-299"?
    "#);
    insta::assert_snapshot!(pair(r#"health = { path = "/", statuses = "600" }"#), @r#"
    gateway.toml:3:35: service.shop.health.statuses: "600" is no range of statuses
    3 | health = { path = "/", statuses = "600" }
      |                                   ^^^^^ a status such as 200, or two with a dash between them: 200-299
    "#);
    insta::assert_snapshot!(pair(r#"health = "tcp""#), @r#"
    gateway.toml:3:10: service.shop.health: "tcp" does not start with /
    3 | health = "tcp"
      |          ^^^^^ a path that starts with /, such as /health
    hint: health = { tcp = true }
    "#);
    insta::assert_snapshot!(pair(r#"health = { path = "/", time = "3s", every = "2s" }"#), @r#"
    gateway.toml:3:31: service.shop.health.time: 3s is longer than every
    3 | health = { path = "/", time = "3s", every = "2s" }
      |                               ^^^^ at most every, 2s
    3 | health = { path = "/", time = "3s", every = "2s" }
      |                                             ^^^^ every is set here
    "#);
    insta::assert_snapshot!(pair(r#"health = { path = "/", time = "6s" }"#), @r#"
    gateway.toml:3:31: service.shop.health.time: 6s is longer than every
    3 | health = { path = "/", time = "6s" }
      |                               ^^^^ at most every, 5s
    hint: every is 5s unless it is set
    "#);
    insta::assert_snapshot!(pair(r#"health = { path = "/", interval = "5s" }"#), @r#"
    gateway.toml:3:24: service.shop.health: unknown key "interval"
    3 | health = { path = "/", interval = "5s" }
      |                        ^^^^^^^^ known keys: path, grpc, tcp, every, time, healthy, unhealthy, statuses
    hint: did you mean "every"?
    "#);
    insta::assert_snapshot!(pair(r#"health_check = "/""#), @r#"
    gateway.toml:3:1: service.shop: unknown key "health_check"
    3 | health_check = "/"
      | ^^^^^^^^^^^^ known keys: servers, discover, balance, health, retry, hedge, limit, host, http, connect_time, first_byte_time, total_time, idle_time, idle_max, connections_max, prewarm, tls
    hint: did you mean "health"?
    "#);
    insta::assert_snapshot!(pair(r#"health = { path = "/", healthy = 0 }"#), @r#"
    gateway.toml:3:34: service.shop.health.healthy: 0 is too few
    3 | health = { path = "/", healthy = 0 }
      |                                  ^ a whole number from 1 to 1000
    "#);
}

#[test]
fn tries_that_do_not_fit() {
    insta::assert_snapshot!(pair(r#"retry = { attempts = 2, try_time = "2s" }
total_time = "5s""#), @r#"
    gateway.toml:3:36: service.shop.retry.try_time: 3 tries × 2s + 25ms of backoff = 6s25ms is more than total_time, 5s
    3 | retry = { attempts = 2, try_time = "2s" }
      |                                    ^^^^ all tries within total_time, 5s
    4 | total_time = "5s"
      |              ^^^^ total_time is set here
    "#);
    insta::assert_snapshot!(pair(r#"retry = { attempts = 3, try_time = "2s" }
total_time = "5s""#), @r#"
    gateway.toml:3:36: service.shop.retry.try_time: 4 tries × 2s + 75ms of backoff = 8s75ms is more than total_time, 5s
    3 | retry = { attempts = 3, try_time = "2s" }
      |                                    ^^^^ all tries within total_time, 5s
    4 | total_time = "5s"
      |              ^^^^ total_time is set here
    "#);
    insta::assert_snapshot!(pair(r#"retry = { attempts = 1, try_time = "31m" }"#), @r#"
    gateway.toml:3:36: service.shop.retry.try_time: 2 tries × 31m = 1h2m is more than total_time, 1h
    3 | retry = { attempts = 1, try_time = "31m" }
      |                                    ^^^^^ all tries within total_time, 1h
    hint: total_time is 1h unless it is set
    "#);
    insta::assert_snapshot!(pair(r#"retry = { attempts = 0, try_time = "6s" }
total_time = "5s""#), @r#"
    gateway.toml:3:36: service.shop.retry.try_time: 1 try × 6s = 6s is more than total_time, 5s
    3 | retry = { attempts = 0, try_time = "6s" }
      |                                    ^^^^ all tries within total_time, 5s
    4 | total_time = "5s"
      |              ^^^^ total_time is set here
    "#);
    insta::assert_snapshot!(pair(r#"retry = { try_time = "2s" }
[[route]]
match = "*"
to = "shop"
timeout = "3s""#), @r#"
    gateway.toml:7:11: route "*": timeout: 2 tries × 2s = 4s is more than 3s
    7 | timeout = "3s"
      |           ^^^^ at least 4s, or fewer or shorter tries
    3 | retry = { try_time = "2s" }
      |                      ^^^^ the tries of service "shop"
    "#);
    insta::assert_snapshot!(pair(r#"connect_time = "1s"
retry = { try_time = "500ms" }"#), @r#"
    gateway.toml:4:22: service.shop.retry.try_time: 500ms is shorter than connect_time, 1s
    4 | retry = { try_time = "500ms" }
      |                      ^^^^^^^ at least connect_time, 1s
    3 | connect_time = "1s"
      |                ^^^^ connect_time is set here
    "#);
}

#[test]
fn retries() {
    insta::assert_snapshot!(pair("retry = { attempts = 11 }"), @r#"
    gateway.toml:3:22: service.shop.retry.attempts: 11 is too many
    3 | retry = { attempts = 11 }
      |                      ^^ a whole number from 0 to 10
    "#);
    insta::assert_snapshot!(pair(r#"retry = { statuses = [502, 200, 503, 502, "x"] }"#), @r#"
    gateway.toml:3:28: service.shop.retry.statuses: 200 is out of bounds
    3 | retry = { statuses = [502, 200, 503, 502, "x"] }
      |                            ^^^ numbers from 400 to 599

    gateway.toml:3:38: service.shop.retry.statuses: 502 twice
    3 | retry = { statuses = [502, 200, 503, 502, "x"] }
      |                                      ^^^
    3 | retry = { statuses = [502, 200, 503, 502, "x"] }
      |                       ^^^ first here

    gateway.toml:3:43: service.shop.retry.statuses: a string
    3 | retry = { statuses = [502, 200, 503, 502, "x"] }
      |                                           ^^^ whole numbers from 400 to 599
    "#);
    insta::assert_snapshot!(pair(r#"retry = { statuses = "503" }"#), @r#"
    gateway.toml:3:22: service.shop.retry.statuses: a string
    3 | retry = { statuses = "503" }
      |                      ^^^^^ whole numbers from 400 to 599
    hint: without quotes: 503
    "#);
    insta::assert_snapshot!(pair("retry = 3"), @r#"
    gateway.toml:3:9: service.shop.retry: a whole number
    3 | retry = 3
      |         ^ true, false or a table of attempts, statuses, budget, reserve, try_time, body_max, backoff
    "#);
    insta::assert_snapshot!(pair(r#"retry = "off""#), @r#"
    gateway.toml:3:9: service.shop.retry: a string
    3 | retry = "off"
      |         ^^^^^ true, false or a table of attempts, statuses, budget, reserve, try_time, body_max, backoff
    hint: without quotes: false
    "#);
    insta::assert_snapshot!(pair("retries = 3"), @r#"
    gateway.toml:3:1: service.shop: unknown key "retries"
    3 | retries = 3
      | ^^^^^^^ known keys: servers, discover, balance, health, retry, hedge, limit, host, http, connect_time, first_byte_time, total_time, idle_time, idle_max, connections_max, prewarm, tls
    hint: did you mean retry = { attempts = 2, try_time = "2s" }?
    "#);
    insta::assert_snapshot!(pair(r#"retry = { max_retries = 3, retry_on = "5xx", per_try_timeout = "1s" }"#), @r#"
    gateway.toml:3:11: service.shop.retry: unknown key "max_retries"
    3 | retry = { max_retries = 3, retry_on = "5xx", per_try_timeout = "1s" }
      |           ^^^^^^^^^^^ known keys: attempts, statuses, budget, reserve, try_time, body_max, backoff
    hint: did you mean "attempts"?

    gateway.toml:3:28: service.shop.retry: unknown key "retry_on"
    3 | retry = { max_retries = 3, retry_on = "5xx", per_try_timeout = "1s" }
      |                            ^^^^^^^^ known keys: attempts, statuses, budget, reserve, try_time, body_max, backoff
    hint: did you mean "statuses"?

    gateway.toml:3:46: service.shop.retry: unknown key "per_try_timeout"
    3 | retry = { max_retries = 3, retry_on = "5xx", per_try_timeout = "1s" }
      |                                              ^^^^^^^^^^^^^^^ known keys: attempts, statuses, budget, reserve, try_time, body_max, backoff
    hint: did you mean "try_time"?
    "#);
    insta::assert_snapshot!(pair(r#"retry = { budget = "101%", backoff = "2m", body_max = "65 MiB", reserve = -1 }"#), @r#"
    gateway.toml:3:20: service.shop.retry.budget: 101% is too large
    3 | retry = { budget = "101%", backoff = "2m", body_max = "65 MiB", reserve = -1 }
      |                    ^^^^^^ a share from 0% to 100%

    gateway.toml:3:38: service.shop.retry.backoff: 2m is too long
    3 | retry = { budget = "101%", backoff = "2m", body_max = "65 MiB", reserve = -1 }
      |                                      ^^^^ a duration from 0s to 1m

    gateway.toml:3:55: service.shop.retry.body_max: 65 MiB is too large
    3 | retry = { budget = "101%", backoff = "2m", body_max = "65 MiB", reserve = -1 }
      |                                                       ^^^^^^^^ a size from 0 B to 64 MiB

    gateway.toml:3:75: service.shop.retry.reserve: -1 is too few
    3 | retry = { budget = "101%", backoff = "2m", body_max = "65 MiB", reserve = -1 }
      |                                                                           ^^ a whole number from 0 to 10000
    "#);
    insta::assert_snapshot!(pair("attempts = 2"), @r#"
    gateway.toml:3:1: service.shop: unknown key "attempts"
    3 | attempts = 2
      | ^^^^^^^^ known keys: servers, discover, balance, health, retry, hedge, limit, host, http, connect_time, first_byte_time, total_time, idle_time, idle_max, connections_max, prewarm, tls
    hint: "attempts" belongs in [service.NAME.retry]
    "#);
}

#[test]
fn hedges() {
    insta::assert_snapshot!(pair(r#"hedge = "5%"
retry = false"#), @r#"
    gateway.toml:3:9: service.shop.hedge: hedge may add 5% but budget allows 0%
    3 | hedge = "5%"
      |         ^^^^ at most retry.budget, 0%
    4 | retry = false
      |         ^^^^^ there is no budget without retries
    hint: retry = { attempts = 0 } retries nothing and keeps the budget
    "#);
    insta::assert_snapshot!(pair(r#"hedge = "5%"
retry = { budget = "0%" }"#), @r#"
    gateway.toml:3:9: service.shop.hedge: hedge may add 5% but budget allows 0%
    3 | hedge = "5%"
      |         ^^^^ at most retry.budget, 0%
    4 | retry = { budget = "0%" }
      |                    ^^^^ retry.budget is set here
    "#);
    insta::assert_snapshot!(pair(r#"hedge = "20%""#), @r#"
    gateway.toml:3:9: service.shop.hedge: hedge may add 20% but budget allows 10%
    3 | hedge = "20%"
      |         ^^^^^ at most retry.budget, 10%
    hint: retry.budget is 10% unless it is set
    "#);
    insta::assert_snapshot!(pair(r#"hedge = "0%""#), @r#"
    gateway.toml:3:9: service.shop.hedge: 0% is too small
    3 | hedge = "0%"
      |         ^^^^ a share from 0.01% to 50%
    "#);
    insta::assert_snapshot!(pair(r#"hedge = "51%""#), @r#"
    gateway.toml:3:9: service.shop.hedge: 51% is too large
    3 | hedge = "51%"
      |         ^^^^^ a share from 0.01% to 50%
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["http://a", "b"]
hedge = "5%""#), @r#"
    gateway.toml:2:24: service.shop.servers: "b" has no scheme
    2 | servers = ["http://a", "b"]
      |                        ^^^ http or https, a host and perhaps a port, such as http://10.0.0.1:3000
    hint: did you mean "http://b"?
    "#);
    insta::assert_snapshot!(pair("hedge = true"), @r#"
    gateway.toml:3:9: service.shop.hedge: true
    3 | hedge = true
      |         ^^^^ a share from 0.01% to 50%, or a table of extra, or false
    hint: hedge = "5%"
    "#);
    insta::assert_snapshot!(pair("hedge = { percent = 5 }"), @r#"
    gateway.toml:3:9: service.shop.hedge: extra is missing
    3 | hedge = { percent = 5 }
      |         ^^^^^^^^^^^^^^^ a share from 0.01% to 50%
    hint: extra = "5%"

    gateway.toml:3:11: service.shop.hedge: unknown key "percent"
    3 | hedge = { percent = 5 }
      |           ^^^^^^^ known keys: extra
    hint: did you mean "extra"?
    "#);
    insta::assert_snapshot!(pair(r#"hedge = "5""#), @r#"
    gateway.toml:3:9: service.shop.hedge: "5" is no share
    3 | hedge = "5"
      |         ^^^ a share from 0.01% to 50%
    hint: did you mean "5%"?
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = "http://a"
hedge = "5%""#), @r#"
    gateway.toml:3:9: service.shop.hedge: there is one server
    3 | hedge = "5%"
      |         ^^^^ needs a second server, or discover
    2 | servers = "http://a"
      |           ^^^^^^^^^^ the only one
    hint: take the key out
    "#);
}

#[test]
fn limits_of_a_service() {
    insta::assert_snapshot!(pair(r#"limit = "on""#), @r#"
    gateway.toml:3:9: service.shop.limit: "on" is not known
    3 | limit = "on"
      |         ^^^^ "off", "observe", "enforce"
    "#);
    insta::assert_snapshot!(pair("limit = { least = 200, start = 100 }"), @r#"
    gateway.toml:3:19: service.shop.limit.least: 200 is more than start
    3 | limit = { least = 200, start = 100 }
      |                   ^^^ at most start, 100
    3 | limit = { least = 200, start = 100 }
      |                                ^^^ start is set here
    "#);
    insta::assert_snapshot!(pair("limit = { start = 600, most = 500 }"), @r#"
    gateway.toml:3:19: service.shop.limit.start: 600 is more than most
    3 | limit = { start = 600, most = 500 }
      |                   ^^^ at most most, 500
    3 | limit = { start = 600, most = 500 }
      |                               ^^^ most is set here
    "#);
    insta::assert_snapshot!(pair("limit = { start = 20000 }"), @r#"
    gateway.toml:3:19: service.shop.limit.start: 20000 is more than most
    3 | limit = { start = 20000 }
      |                   ^^^^^ at most most, 10000
    hint: most is 10000 unless it is set
    "#);
    insta::assert_snapshot!(pair("limit = { least = 600, most = 500 }"), @r#"
    gateway.toml:3:19: service.shop.limit.least: 600 is more than most
    3 | limit = { least = 600, most = 500 }
      |                   ^^^ at most most, 500
    3 | limit = { least = 600, most = 500 }
      |                               ^^^ most is set here
    "#);
    insta::assert_snapshot!(pair(r#"limit = { queue_time = "6s" }
total_time = "5s""#), @r#"
    gateway.toml:3:24: service.shop.limit.queue_time: 6s is longer than total_time
    3 | limit = { queue_time = "6s" }
      |                        ^^^^ at most total_time, 5s
    4 | total_time = "5s"
      |              ^^^^ total_time is set here
    "#);
    insta::assert_snapshot!(pair(r#"limit = { queue_time = "9m" }
total_time = "1m""#), @r#"
    gateway.toml:3:24: service.shop.limit.queue_time: 9m is longer than total_time
    3 | limit = { queue_time = "9m" }
      |                        ^^^^ at most total_time, 1m
    4 | total_time = "1m"
      |              ^^^^ total_time is set here
    "#);
    insta::assert_snapshot!(pair(r#"limit = { queue = "lifo", most = 0 }"#), @r#"
    gateway.toml:3:19: service.shop.limit.queue: "lifo" is not known
    3 | limit = { queue = "lifo", most = 0 }
      |                   ^^^^^^ "adaptive-lifo", "codel", "fifo"
    hint: did you mean "fifo"?

    gateway.toml:3:34: service.shop.limit.most: 0 is too few
    3 | limit = { queue = "lifo", most = 0 }
      |                                  ^ a whole number from 1 to 1000000
    "#);
    insta::assert_snapshot!(pair("limit = 100"), @r#"
    gateway.toml:3:9: service.shop.limit: a whole number
    3 | limit = 100
      |         ^^^ "off", "observe", "enforce", or a table of mode, start, least, most, queue, queue_max, queue_time
    hint: limit = "enforce"
    "#);
    insta::assert_snapshot!(pair("limit = { max = 5 }"), @r#"
    gateway.toml:3:11: service.shop.limit: unknown key "max"
    3 | limit = { max = 5 }
      |           ^^^ known keys: mode, start, least, most, queue, queue_max, queue_time
    hint: did you mean "most"?
    "#);
    insta::assert_snapshot!(pair("limit = false"), @r#"
    gateway.toml:3:9: service.shop.limit: false
    3 | limit = false
      |         ^^^^^ "off", "observe", "enforce", or a table of mode, start, least, most, queue, queue_max, queue_time
    hint: limit = "enforce"
    "#);
}

#[test]
fn discovery() {
    insta::assert_snapshot!(mistakes("[service.shop]\ndiscover = {}"), @r#"
    gateway.toml:2:12: service.shop.discover: it does not say where
    2 | discover = {}
      |            ^^ one of file, name, srv, kubernetes
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = "shop""#), @r#"
    gateway.toml:2:12: service.shop.discover: a string
    2 | discover = "shop"
      |            ^^^^^^ a table of file, name, srv, kubernetes, every, servers_max, scheme, namespace, port, api, token, trust
    hint: discover = { name = "http://catalog.internal:3000" }
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = { name = "http://a", srv = "_http._tcp.a" }"#), @r#"
    gateway.toml:2:39: service.shop.discover.srv: there is name already
    2 | discover = { name = "http://a", srv = "_http._tcp.a" }
      |                                       ^^^^^^^^^^^^^^ one of the two
    2 | discover = { name = "http://a", srv = "_http._tcp.a" }
      |                     ^^^^^^^^^^ name is set here
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = { name = "a" }"#), @r#"
    gateway.toml:2:21: service.shop.discover.name: "a" has no scheme
    2 | discover = { name = "a" }
      |                     ^^^ http or https, a host and perhaps a port, such as http://10.0.0.1:3000
    hint: did you mean "http://a"?
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = { name = "http://10.0.0.1:80" }"#), @r#"
    gateway.toml:2:21: service.shop.discover.name: 10.0.0.1 is an address already
    2 | discover = { name = "http://10.0.0.1:80" }
      |                     ^^^^^^^^^^^^^^^^^^^^ a name that is looked up
    hint: servers = ["http://10.0.0.1:80"]
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = { srv = "catalog.internal" }"#), @r#"
    gateway.toml:2:20: service.shop.discover.srv: "catalog.internal" is no name of SRV records
    2 | discover = { srv = "catalog.internal" }
      |                    ^^^^^^^^^^^^^^^^^^ a service, a protocol and a name, such as _http._tcp.catalog.internal
    hint: did you mean "_http._tcp.catalog.internal"?
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = { srv = "http://catalog.internal/" }"#), @r#"
    gateway.toml:2:20: service.shop.discover.srv: a URL
    2 | discover = { srv = "http://catalog.internal/" }
      |                    ^^^^^^^^^^^^^^^^^^^^^^^^^^ a service, a protocol and a name, such as _http._tcp.catalog.internal
    hint: did you mean "_http._tcp.catalog.internal"?
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = { srv = "_http._tcp" }"#), @r#"
    gateway.toml:2:20: service.shop.discover.srv: "_http._tcp" names no host
    2 | discover = { srv = "_http._tcp" }
      |                    ^^^^^^^^^^^^ a service, a protocol and a name, such as _http._tcp.catalog.internal
    "#);
}

#[test]
fn discovery_in_kubernetes_and_files() {
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = { file = "missing.servers" }"#), @r#"
    gateway.toml:2:21: service.shop.discover.file: /etc/fleetfoot/missing.servers: no such file
    2 | discover = { file = "missing.servers" }
      |                     ^^^^^^^^^^^^^^^^^ a file that can be read
    hint: relative paths start at the folder of the settings file
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = { kubernetes = "catalog.shop" }"#), @r#"
    gateway.toml:2:27: service.shop.discover.kubernetes: "catalog.shop" is no name of a service
    2 | discover = { kubernetes = "catalog.shop" }
      |                           ^^^^^^^^^^^^^^ 1 to 63 lower-case letters, digits and -
    hint: kubernetes = "catalog", namespace = "shop"
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = { kubernetes = "Catalog", port = "8080", namespace = "a b", token = "missing" }"#), @r#"
    gateway.toml:2:27: service.shop.discover.kubernetes: "Catalog" is no name of a service
    2 | discover = { kubernetes = "Catalog", port = "8080", namespace = "a b", token = "missing" }
      |                           ^^^^^^^^^ 1 to 63 lower-case letters, digits and -
    hint: did you mean "catalog"?

    gateway.toml:2:45: service.shop.discover.port: "8080" is a number
    2 | discover = { kubernetes = "Catalog", port = "8080", namespace = "a b", token = "missing" }
      |                                             ^^^^^^ the name of a port
    hint: the service gives its port a name: ports: [{ name: http, ... }]

    gateway.toml:2:65: service.shop.discover.namespace: "a b" is no name of a namespace
    2 | discover = { kubernetes = "Catalog", port = "8080", namespace = "a b", token = "missing" }
      |                                                                 ^^^^^ 1 to 63 lower-case letters, digits and -

    gateway.toml:2:80: service.shop.discover.token: /etc/fleetfoot/missing: no such file
    2 | discover = { kubernetes = "Catalog", port = "8080", namespace = "a b", token = "missing" }
      |                                                                                ^^^^^^^^^ a file that can be read
    hint: relative paths start at the folder of the settings file
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = { name = "http://a", scheme = "https", namespace = "x" }"#), @r#"
    gateway.toml:2:42: service.shop.discover.scheme: servers come from name
    2 | discover = { name = "http://a", scheme = "https", namespace = "x" }
      |                                          ^^^^^^^ goes with srv or kubernetes
    hint: the scheme stands in name: "https://..."

    gateway.toml:2:63: service.shop.discover.namespace: servers come from name
    2 | discover = { name = "http://a", scheme = "https", namespace = "x" }
      |                                                               ^^^ goes with kubernetes
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = { dns = "http://a" }"#), @r#"
    gateway.toml:2:12: service.shop.discover: it does not say where
    2 | discover = { dns = "http://a" }
      |            ^^^^^^^^^^^^^^^^^^^^ one of file, name, srv, kubernetes

    gateway.toml:2:14: service.shop.discover: unknown key "dns"
    2 | discover = { dns = "http://a" }
      |              ^^^ known keys: file, name, srv, kubernetes, every, servers_max, scheme, namespace, port, api, token, trust
    hint: did you mean "name"?
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
discover = { name = "http://a", every = "1ms", servers_max = 0 }"#), @r#"
    gateway.toml:2:41: service.shop.discover.every: 1ms is too short
    2 | discover = { name = "http://a", every = "1ms", servers_max = 0 }
      |                                         ^^^^^ a duration from 100ms to 1h

    gateway.toml:2:62: service.shop.discover.servers_max: 0 is too few
    2 | discover = { name = "http://a", every = "1ms", servers_max = 0 }
      |                                                              ^ a whole number from 1 to 100000
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
srv = "_http._tcp.a""#), @r#"
    gateway.toml:1:1: service.shop: servers is missing
    1 | [service.shop]
      | ^^^^^^^^^^^^^^ URLs of servers, or discover in its place
    hint: servers = ["http://10.0.0.1:3000"]

    gateway.toml:2:1: service.shop: unknown key "srv"
    2 | srv = "_http._tcp.a"
      | ^^^ known keys: servers, discover, balance, health, retry, hedge, limit, host, http, connect_time, first_byte_time, total_time, idle_time, idle_max, connections_max, prewarm, tls
    hint: did you mean discover = { name = "http://catalog.internal:3000" }?
    "#);
}

#[test]
fn prewarming() {
    insta::assert_snapshot!(pair("prewarm = 5
idle_max = 4"), @r#"
    gateway.toml:3:11: service.shop.prewarm: 5 is more than idle_max
    3 | prewarm = 5
      |           ^ at most idle_max, 4
    4 | idle_max = 4
      |            ^ idle_max is set here
    "#);
    insta::assert_snapshot!(pair("prewarm = 2000"), @r#"
    gateway.toml:3:11: service.shop.prewarm: 2000 is too many
    3 | prewarm = 2000
      |           ^^^^ a whole number from 0 to 1024
    "#);
}

#[test]
fn deadlines() {
    insta::assert_snapshot!(behind(r#"[deadline]
field = "X Timeout""#), @r#"
    gateway.toml:4:9: deadline.field: "X Timeout" is no name of a field
    4 | field = "X Timeout"
      |         ^^^^^^^^^^^ the name of a field
    hint: did you mean "X-Timeout"?
    "#);
    insta::assert_snapshot!(behind(r#"[deadline]
field = "off""#), @r#"
    gateway.toml:4:9: deadline.field: "off" is no field
    4 | field = "off"
      |         ^^^^^ a field, or false
    hint: switch it off with false, without quotes
    "#);
    for name in ["Content-Length", "transfer-encoding", "host"] {
        let found = behind(&format!("[deadline]\nfield = \"{name}\""));
        assert!(found.contains(&format!("\"{name}\" has a meaning in HTTP already")), "{found}");
    }
    insta::assert_snapshot!(behind(r#"[deadline]
field = "Content-Length""#), @r#"
    gateway.toml:4:9: deadline.field: "Content-Length" has a meaning in HTTP already
    4 | field = "Content-Length"
      |         ^^^^^^^^^^^^^^^^ a field that HTTP gives no meaning to
    hint: take one of your own, such as X-Request-Timeout
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = "http://a"
balance = { policy = "hash", by = "header:TE" }"#), @r#"
    gateway.toml:3:43: service.shop.balance.by: "TE" has a meaning in HTTP already
    3 | balance = { policy = "hash", by = "header:TE" }
      |                                           ^^ a field that HTTP gives no meaning to
    hint: take one of your own, such as X-User
    "#);
    insta::assert_snapshot!(behind(r#"[deadline]
shrink = "51%"
least = "11s""#), @r#"
    gateway.toml:4:10: deadline.shrink: 51% is too large
    4 | shrink = "51%"
      |          ^^^^^ a share from 0% to 50%

    gateway.toml:5:9: deadline.least: 11s is too long
    5 | least = "11s"
      |         ^^^^^ a duration from 0s to 10s
    "#);
    insta::assert_snapshot!(behind(r#"[deadline]
header = "a""#), @r#"
    gateway.toml:4:1: deadline: unknown key "header"
    4 | header = "a"
      | ^^^^^^ known keys: field, shrink, least
    hint: did you mean "field"?
    "#);
}
