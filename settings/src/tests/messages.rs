//! Every message, as people see it.

use super::{before, behind, mistakes};

#[test]
fn a_service_that_is_not_there() {
    insta::assert_snapshot!(behind(r#"[[route]]
name = "items"
match = "/items/*"
to = "shp""#), @r#"
    gateway.toml:6:6: route "items": unknown service "shp"
    6 | to = "shp"
      |      ^^^^^ known services: shop
    hint: did you mean "shop"?
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/items/*"
to = "http://localhost:3000""#), @r#"
    gateway.toml:5:6: route "/items/*": unknown service "http://localhost:3000"
    5 | to = "http://localhost:3000"
      |      ^^^^^^^^^^^^^^^^^^^^^^^ known services: shop
    hint: name the service: [service.NAME] servers = ["http://localhost:3000"]
    "#);
}

#[test]
fn all_mistakes_at_once() {
    insta::assert_snapshot!(mistakes(r#"listen = "8080"
threds = 2

[limits]
head_bytes = "10 B"

[service.shop]
servers = ["localhost:3000"]
connect_time = "1x"

[[route]]
match = "/a//b"
to = "shp""#), @r#"
    gateway.toml:1:10: listen: "8080" has no address
    1 | listen = "8080"
      |          ^^^^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    hint: did you mean "127.0.0.1:8080"?

    gateway.toml:2:1: unknown key "threds"
    2 | threds = 2
      | ^^^^^^ known keys: listen, admin, threads, grace, zone, limits, tls, forward, monitor, cache, deadline, rate, offload, queue, events, service, route
    hint: did you mean "threads"?

    gateway.toml:5:14: limits.head_bytes: 10 B is too small
    5 | head_bytes = "10 B"
      |              ^^^^^^ a size from 1 KiB to 1 MiB

    gateway.toml:8:12: service.shop.servers: "localhost:3000" has no scheme
    8 | servers = ["localhost:3000"]
      |            ^^^^^^^^^^^^^^^^ http or https, a host and perhaps a port, such as http://10.0.0.1:3000
    hint: did you mean "http://localhost:3000"?

    gateway.toml:9:16: service.shop.connect_time: "x" is no unit of time
    9 | connect_time = "1x"
      |                ^^^^ a duration from 1ms to 10m
    hint: use a number with a unit: ns, us, ms, s, m, h or d, such as "250ms" or "1m30s"

    gateway.toml:12:12: route "/a//b": match: an empty segment
    12 | match = "/a//b"
       |            ^^ one slash between two segments

    gateway.toml:13:6: route "/a//b": unknown service "shp"
    13 | to = "shp"
       |      ^^^^^ known services: shop
    hint: did you mean "shop"?
    "#);
}

#[test]
fn unknown_keys() {
    insta::assert_snapshot!(before(r#"lissten = "127.0.0.1:80""#), @r#"
    gateway.toml:1:1: unknown key "lissten"
    1 | lissten = "127.0.0.1:80"
      | ^^^^^^^ known keys: listen, admin, threads, grace, zone, limits, tls, forward, monitor, cache, deadline, rate, offload, queue, events, service, route
    hint: did you mean "listen"?
    "#);
    insta::assert_snapshot!(before("zzz = 1"), @r#"
    gateway.toml:1:1: unknown key "zzz"
    1 | zzz = 1
      | ^^^ known keys: listen, admin, threads, grace, zone, limits, tls, forward, monitor, cache, deadline, rate, offload, queue, events, service, route
    "#);
    insta::assert_snapshot!(behind(r#"body_bytes = "1 MiB""#), @r#"
    gateway.toml:3:1: service.shop: unknown key "body_bytes"
    3 | body_bytes = "1 MiB"
      | ^^^^^^^^^^ known keys: servers, discover, balance, health, retry, hedge, limit, host, http, connect_time, first_byte_time, total_time, idle_time, idle_max, connections_max, prewarm, tls
    hint: "body_bytes" belongs in [limits]
    "#);
    insta::assert_snapshot!(behind("threads = 4"), @r#"
    gateway.toml:3:1: service.shop: unknown key "threads"
    3 | threads = 4
      | ^^^^^^^ known keys: servers, discover, balance, health, retry, hedge, limit, host, http, connect_time, first_byte_time, total_time, idle_time, idle_max, connections_max, prewarm, tls
    hint: "threads" stands at the top of the file, before the first section
    "#);
    insta::assert_snapshot!(behind(r#"[limits]
connect_time = "1s""#), @r#"
    gateway.toml:4:1: limits: unknown key "connect_time"
    4 | connect_time = "1s"
      | ^^^^^^^^^^^^ known keys: head_bytes, fields, head_time, body_bytes, body_pause, idle_time, requests, connections, streams, resets
    hint: "connect_time" belongs in [service.NAME]
    "#);
    insta::assert_snapshot!(behind(r#"[plugins]
memory = "1 GiB""#), @r#"
    gateway.toml:3:2: unknown key "plugins"
    3 | [plugins]
      |  ^^^^^^^ known keys: listen, admin, threads, grace, zone, limits, tls, forward, monitor, cache, deadline, rate, offload, queue, events, service, route
    "#);
}

#[test]
fn keys_as_other_programs_call_them() {
    insta::assert_snapshot!(before("workers = 4"), @r#"
    gateway.toml:1:1: unknown key "workers"
    1 | workers = 4
      | ^^^^^^^ known keys: listen, admin, threads, grace, zone, limits, tls, forward, monitor, cache, deadline, rate, offload, queue, events, service, route
    hint: did you mean "threads"?
    "#);
    insta::assert_snapshot!(behind("timeout = \"1s\""), @r#"
    gateway.toml:3:1: service.shop: unknown key "timeout"
    3 | timeout = "1s"
      | ^^^^^^^ known keys: servers, discover, balance, health, retry, hedge, limit, host, http, connect_time, first_byte_time, total_time, idle_time, idle_max, connections_max, prewarm, tls
    hint: did you mean "total_time"?
    "#);
    insta::assert_snapshot!(mistakes("[upstream.shop]\nservers = [\"http://a\"]"), @r#"
    gateway.toml:1:2: unknown key "upstream"
    1 | [upstream.shop]
      |  ^^^^^^^^ known keys: listen, admin, threads, grace, zone, limits, tls, forward, monitor, cache, deadline, rate, offload, queue, events, service, route
    hint: did you mean "service"?

    gateway.toml:2:23: service is missing
    2 | servers = ["http://a"]
      |                       ^ a table for each, headed [service.NAME]
    hint: [service.shop] servers = ["http://localhost:3000"]
    "#);
}

#[test]
fn missing_keys() {
    insta::assert_snapshot!(mistakes(""), @r#"
    gateway.toml:1:1: service is missing
    1 | 
      | ^ a table for each, headed [service.NAME]
    hint: [service.shop] servers = ["http://localhost:3000"]
    "#);
    insta::assert_snapshot!(mistakes("[service]"), @r#"
    gateway.toml:1:1: service: there is none
    1 | [service]
      | ^^^^^^^^^ at least one [service.NAME]
    hint: [service.shop] servers = ["http://localhost:3000"]
    "#);
    insta::assert_snapshot!(mistakes("[service.shop]"), @r#"
    gateway.toml:1:1: service.shop: servers is missing
    1 | [service.shop]
      | ^^^^^^^^^^^^^^ URLs of servers, or discover in its place
    hint: servers = ["http://10.0.0.1:3000"]
    "#);
    insta::assert_snapshot!(behind("[[route]]"), @r#"
    gateway.toml:3:1: route "1": match is missing
    3 | [[route]]
      | ^^^^^^^^^ [METHOD[|METHOD...] ][host]/path, or * for everything
    hint: match = "GET /products/{id}"

    gateway.toml:3:1: route "1": to is missing
    3 | [[route]]
      | ^^^^^^^^^ the name of a service, or a table of names and weights up to 1000
    hint: to = "shop"
    "#);
    insta::assert_snapshot!(behind("[tls]"), @r#"
    gateway.toml:3:1: tls: certificates is missing
    3 | [tls]
      | ^^^^^ tables of chain, key
    hint: certificates = [{ chain = "shop.pem", key = "shop.key" }]
    "#);
    insta::assert_snapshot!(behind(r#"[tls]
certificates = [{ chain = "a.pem" }]"#), @r#"
    gateway.toml:4:17: tls.certificates: key is missing
    4 | certificates = [{ chain = "a.pem" }]
      |                 ^^^^^^^^^^^^^^^^^^^ a file's path, relative to the settings file
    hint: key = "shop.key"
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.a]
servers = ["http://a"]
[service.b]
servers = ["http://b"]"#), @r#"
    gateway.toml:4:23: no [[route]], but 2 services: a, b
    4 | servers = ["http://b"]
      |                       ^ routes say which requests go where
    hint: [[route]] match = "*", to = "a"
    "#);
}

#[test]
fn wrong_types() {
    insta::assert_snapshot!(before("listen = 8080"), @r#"
    gateway.toml:1:10: listen: a whole number
    1 | listen = 8080
      |          ^^^^ strings: an IP address and a port, perhaps after http:// or https://
    hint: listen = ["0.0.0.0:80", "https://0.0.0.0:443"]
    "#);
    insta::assert_snapshot!(before("admin = true"), @r#"
    gateway.toml:1:9: admin: true
    1 | admin = true
      |         ^^^^ an IP address and a port, or false
    hint: admin = "127.0.0.1:9900"
    "#);
    insta::assert_snapshot!(before(r#"threads = "4""#), @r#"
    gateway.toml:1:11: threads: a string
    1 | threads = "4"
      |           ^^^ a whole number from 1 to 1024
    hint: without quotes: 4
    "#);
    insta::assert_snapshot!(before("threads = 1.5"), @r#"
    gateway.toml:1:11: threads: a number with a fraction
    1 | threads = 1.5
      |           ^^^ a whole number from 1 to 1024
    "#);
    insta::assert_snapshot!(before("grace = 30"), @r#"
    gateway.toml:1:9: grace: a whole number
    1 | grace = 30
      |         ^^ a duration from 0s to 1d
    hint: write a unit: "30s"
    "#);
    insta::assert_snapshot!(before("limits = 1"), @r#"
    gateway.toml:1:10: limits: a whole number
    1 | limits = 1
      |          ^ a table of head_bytes, fields, head_time, body_bytes, body_pause, idle_time, requests, connections, streams, resets
    "#);
    insta::assert_snapshot!(behind("http = 2"), @r#"
    gateway.toml:3:8: service.shop.http: a whole number
    3 | http = 2
      |        ^ "auto", "1", "2"
    hint: write it in quotes: "2"
    "#);
    insta::assert_snapshot!(behind("[limits]
head_bytes = 4096"), @r#"
    gateway.toml:4:14: limits.head_bytes: a whole number
    4 | head_bytes = 4096
      |              ^^^^ a size from 1 KiB to 1 MiB
    hint: write a unit: "4096 B"
    "#);
    insta::assert_snapshot!(behind(r#"[forward]
x_forwarded = "yes""#), @r#"
    gateway.toml:4:15: forward.x_forwarded: a string
    4 | x_forwarded = "yes"
      |               ^^^^^ true or false
    hint: without quotes: true
    "#);
    insta::assert_snapshot!(behind(r#"[route]
match = "*""#), @r#"
    gateway.toml:3:1: route: a table
    3 | [route]
      | ^^^^^^^ tables of match, to, name, shadow, class, rate, strip, prepend, timeout, cache, server_timing, objective, offload, publish
    hint: the header is written [[route]]
    "#);
    insta::assert_snapshot!(before("route = 1
service = 2"), @r#"
    gateway.toml:3:2: TOML: cannot extend value of type integer with a dotted key
    3 | [service.shop]
      |  ^^^^^^^
    "#);
    insta::assert_snapshot!(behind("[service]
shop2 = 1"), @r#"
    gateway.toml:4:1: service: "shop2" is no table
    4 | shop2 = 1
      | ^^^^^ a table for each, headed [service.NAME]
    "#);
    insta::assert_snapshot!(behind(r#"[forward]
trusted_proxies = "10.0.0.0/8""#), @r#"
    gateway.toml:4:19: forward.trusted_proxies: a string
    4 | trusted_proxies = "10.0.0.0/8"
      |                   ^^^^^^^^^^^^ strings: a network in CIDR notation or an address
    hint: trusted_proxies = ["10.0.0.0/8", "2001:db8::/32"]
    "#);
    insta::assert_snapshot!(behind("[forward]
trusted_proxies = [1979-05-27]"), @r#"
    gateway.toml:4:20: forward.trusted_proxies: a date or time
    4 | trusted_proxies = [1979-05-27]
      |                    ^^^^^^^^^^ strings: a network in CIDR notation or an address
    hint: trusted_proxies = ["10.0.0.0/8", "2001:db8::/32"]
    "#);
    insta::assert_snapshot!(behind("route = [1]"), @r#"
    gateway.toml:3:1: service.shop: unknown key "route"
    3 | route = [1]
      | ^^^^^ known keys: servers, discover, balance, health, retry, hedge, limit, host, http, connect_time, first_byte_time, total_time, idle_time, idle_max, connections_max, prewarm, tls
    hint: "route" stands at the top of the file, before the first section
    "#);
}

#[test]
fn numbers_out_of_bounds() {
    insta::assert_snapshot!(before("threads = 0"), @r#"
    gateway.toml:1:11: threads: 0 is too few
    1 | threads = 0
      |           ^ a whole number from 1 to 1024
    "#);
    insta::assert_snapshot!(before("threads = -3"), @r#"
    gateway.toml:1:11: threads: -3 is too few
    1 | threads = -3
      |           ^^ a whole number from 1 to 1024
    "#);
    insta::assert_snapshot!(before("threads = 99999999999999999999999999999999999999999999"), @r#"
    gateway.toml:1:11: threads: 99999999999999999999999999999999999999999999 is too many
    1 | threads = 99999999999999999999999999999999999999999999
      |           ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ a whole number from 1 to 1024
    "#);
    insta::assert_snapshot!(behind("[limits]
fields = 5000"), @r#"
    gateway.toml:4:10: limits.fields: 5000 is too many
    4 | fields = 5000
      |          ^^^^ a whole number from 8 to 4096
    "#);
    insta::assert_snapshot!(behind("[limits]
requests = 0"), @r#"
    gateway.toml:4:12: limits.requests: 0 is too few
    4 | requests = 0
      |            ^ a whole number from 1 to 1000000000000, or "unlimited"
    "#);
    insta::assert_snapshot!(behind(r#"[limits]
requests = "endless""#), @r#"
    gateway.toml:4:12: limits.requests: a string
    4 | requests = "endless"
      |            ^^^^^^^^^ a whole number from 1 to 1000000000000, or "unlimited"
    "#);
}

#[test]
fn sizes() {
    insta::assert_snapshot!(behind(r#"[limits]
head_bytes = "1000 B""#), @r#"
    gateway.toml:4:14: limits.head_bytes: 1000 B is too small
    4 | head_bytes = "1000 B"
      |              ^^^^^^^^ a size from 1 KiB to 1 MiB
    "#);
    insta::assert_snapshot!(behind(r#"[limits]
head_bytes = "1 GiB""#), @r#"
    gateway.toml:4:14: limits.head_bytes: 1 GiB is too large
    4 | head_bytes = "1 GiB"
      |              ^^^^^^^ a size from 1 KiB to 1 MiB
    "#);
    insta::assert_snapshot!(behind(r#"[limits]
body_bytes = "10""#), @r#"
    gateway.toml:4:14: limits.body_bytes: "10" has no unit
    4 | body_bytes = "10"
      |              ^^^^ a size from 0 B to 1024 TiB
    hint: use a number with a unit: B, KiB, MiB, GiB, TiB (or KB, MB, GB, TB), such as "512 MiB"
    "#);
    insta::assert_snapshot!(behind(r#"[limits]
body_bytes = "10 acres""#), @r#"
    gateway.toml:4:14: limits.body_bytes: "acres" is no unit of size
    4 | body_bytes = "10 acres"
      |              ^^^^^^^^^^ a size from 0 B to 1024 TiB
    hint: use a number with a unit: B, KiB, MiB, GiB, TiB (or KB, MB, GB, TB), such as "512 MiB"
    "#);
    insta::assert_snapshot!(behind(r#"[limits]
head_bytes = "unlimited""#), @r#"
    gateway.toml:4:14: limits.head_bytes: "unlimited" is no unit of size
    4 | head_bytes = "unlimited"
      |              ^^^^^^^^^^^ a size from 1 KiB to 1 MiB
    hint: use a number with a unit: B, KiB, MiB, GiB, TiB (or KB, MB, GB, TB), such as "512 MiB"
    "#);
}

#[test]
fn durations() {
    insta::assert_snapshot!(before(r#"grace = "2d""#), @r#"
    gateway.toml:1:9: grace: 2d is too long
    1 | grace = "2d"
      |         ^^^^ a duration from 0s to 1d
    "#);
    insta::assert_snapshot!(before(r#"grace = "30""#), @r#"
    gateway.toml:1:9: grace: "30" has no unit
    1 | grace = "30"
      |         ^^^^ a duration from 0s to 1d
    hint: use a number with a unit: ns, us, ms, s, m, h or d, such as "250ms" or "1m30s"
    "#);
    insta::assert_snapshot!(before(r#"grace = "soon""#), @r#"
    gateway.toml:1:9: grace: "soon" is no unit of time
    1 | grace = "soon"
      |         ^^^^^^ a duration from 0s to 1d
    hint: use a number with a unit: ns, us, ms, s, m, h or d, such as "250ms" or "1m30s"
    "#);
    insta::assert_snapshot!(behind(r#"connect_time = "0s""#), @r#"
    gateway.toml:3:16: service.shop.connect_time: 0s is too short
    3 | connect_time = "0s"
      |                ^^^^ a duration from 1ms to 10m
    "#);
    insta::assert_snapshot!(behind(r#"[limits]
head_time = "1ms""#), @r#"
    gateway.toml:4:13: limits.head_time: 1ms is too short
    4 | head_time = "1ms"
      |             ^^^^^ a duration from 100ms to 10m
    "#);
}

#[test]
fn times_that_contradict() {
    insta::assert_snapshot!(behind(r#"connect_time = "10s"
total_time = "5s""#), @r#"
    gateway.toml:3:16: service.shop.connect_time: 10s is longer than total_time
    3 | connect_time = "10s"
      |                ^^^^^ at most total_time, 5s
    4 | total_time = "5s"
      |              ^^^^ total_time is set here
    "#);
    insta::assert_snapshot!(behind(r#"first_byte_time = "90m""#), @r#"
    gateway.toml:3:19: service.shop.first_byte_time: 1h30m is longer than total_time
    3 | first_byte_time = "90m"
      |                   ^^^^^ at most total_time, 1h
    hint: total_time is 1h unless it is set
    "#);
}

#[test]
fn counts_that_contradict() {
    insta::assert_snapshot!(behind("idle_max = 10
connections_max = 5"), @r#"
    gateway.toml:3:12: service.shop.idle_max: 10 is more than connections_max
    3 | idle_max = 10
      |            ^^ at most connections_max, 5
    4 | connections_max = 5
      |                   ^ connections_max is set here
    "#);
    insta::assert_snapshot!(behind("idle_max = 5000"), @r#"
    gateway.toml:3:12: service.shop.idle_max: 5000 is more than connections_max
    3 | idle_max = 5000
      |            ^^^^ at most connections_max, 4096
    hint: connections_max is 4096 unless it is set
    "#);
}

#[test]
fn words() {
    insta::assert_snapshot!(behind(r#"http = "3""#), @r#"
    gateway.toml:3:8: service.shop.http: "3" is not known
    3 | http = "3"
      |        ^^^ "auto", "1", "2"
    "#);
    insta::assert_snapshot!(behind(r#"http = "Auto""#), @r#"
    gateway.toml:3:8: service.shop.http: "Auto" is not known
    3 | http = "Auto"
      |        ^^^^^^ "auto", "1", "2"
    hint: did you mean "auto"?
    "#);
    insta::assert_snapshot!(behind(r#"[tls]
minimum = "1.1"
certificates = [{ chain = "a", key = "b" }]"#), @r#"
    gateway.toml:4:11: tls.minimum: "1.1" is not known
    4 | minimum = "1.1"
      |           ^^^^^ "1.2", "1.3"
    "#);
    insta::assert_snapshot!(behind(r#"[monitor]
access_log = """#), @r#"
    gateway.toml:4:14: monitor.access_log: "" is not known
    4 | access_log = ""
      |              ^^ "off", "stdout" or a file's path, relative to the settings file
    "#);
}

#[test]
fn listeners() {
    insta::assert_snapshot!(before(r#"listen = ":8080""#), @r#"
    gateway.toml:1:10: listen: ":8080" has no address
    1 | listen = ":8080"
      |          ^^^^^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    hint: did you mean "0.0.0.0:8080"?
    "#);
    insta::assert_snapshot!(before(r#"listen = "*:8080""#), @r#"
    gateway.toml:1:10: listen: "*:8080" has no address
    1 | listen = "*:8080"
      |          ^^^^^^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    hint: did you mean "0.0.0.0:8080"?
    "#);
    insta::assert_snapshot!(before(r#"listen = "8080""#), @r#"
    gateway.toml:1:10: listen: "8080" has no address
    1 | listen = "8080"
      |          ^^^^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    hint: did you mean "127.0.0.1:8080"?
    "#);
    insta::assert_snapshot!(before(r#"listen = "127.0.0.1""#), @r#"
    gateway.toml:1:10: listen: "127.0.0.1" has no port
    1 | listen = "127.0.0.1"
      |          ^^^^^^^^^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    hint: did you mean "127.0.0.1:8080"?
    "#);
    insta::assert_snapshot!(before(r#"listen = "::1:80""#), @r#"
    gateway.toml:1:10: listen: "::1:80" lacks brackets
    1 | listen = "::1:80"
      |          ^^^^^^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    hint: did you mean "[::1]:80"?
    "#);
    insta::assert_snapshot!(before(r#"listen = "[::1]""#), @r#"
    gateway.toml:1:10: listen: "[::1]" has no port
    1 | listen = "[::1]"
      |          ^^^^^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    hint: did you mean "[::1]:8080"?
    "#);
    insta::assert_snapshot!(before(r#"listen = "127.0.0.1:99999""#), @r#"
    gateway.toml:1:21: listen: "99999" is no port
    1 | listen = "127.0.0.1:99999"
      |                     ^^^^^ a port from 0 to 65535
    "#);
    insta::assert_snapshot!(before(r#"listen = "shop.example:80""#), @r#"
    gateway.toml:1:10: listen: "shop.example:80" is no address
    1 | listen = "shop.example:80"
      |          ^^^^^^^^^^^^^^^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    hint: names are not looked up here: give the IP address
    "#);
    insta::assert_snapshot!(before(r#"listen = "tcp://127.0.0.1:80""#), @r#"
    gateway.toml:1:11: listen: scheme "tcp"
    1 | listen = "tcp://127.0.0.1:80"
      |           ^^^ http or https
    hint: did you mean "http://127.0.0.1:80"?
    "#);
    insta::assert_snapshot!(before(r#"listen = "http://8080""#), @r#"
    gateway.toml:1:18: listen: "8080" has no address
    1 | listen = "http://8080"
      |                  ^^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    hint: did you mean "http://127.0.0.1:8080"?
    "#);
    insta::assert_snapshot!(before("listen = []"), @r#"
    gateway.toml:1:10: listen: an empty list
    1 | listen = []
      |          ^^ at least one address
    "#);
    insta::assert_snapshot!(before(r#"listen = ["127.0.0.1:80", "http://127.0.0.1:80"]"#), @r#"
    gateway.toml:1:27: listen: "http://127.0.0.1:80" twice
    1 | listen = ["127.0.0.1:80", "http://127.0.0.1:80"]
      |                           ^^^^^^^^^^^^^^^^^^^^^
    1 | listen = ["127.0.0.1:80", "http://127.0.0.1:80"]
      |           ^^^^^^^^^^^^^^ first here
    "#);
    insta::assert_snapshot!(before(r#"listen = ["https://127.0.0.1:80", "http://127.0.0.1:80"]
tls = { certificates = [{ chain = "a", key = "b" }] }"#), @r#"
    gateway.toml:1:35: listen: 127.0.0.1:80 with TLS and without
    1 | listen = ["https://127.0.0.1:80", "http://127.0.0.1:80"]
      |                                   ^^^^^^^^^^^^^^^^^^^^^ one of the two
    1 | listen = ["https://127.0.0.1:80", "http://127.0.0.1:80"]
      |           ^^^^^^^^^^^^^^^^^^^^^^ first here
    "#);
    insta::assert_snapshot!(before(r#"listen = "https://0.0.0.0:443""#), @r#"
    gateway.toml:1:10: listen: an https listener without certificates
    1 | listen = "https://0.0.0.0:443"
      |          ^^^^^^^^^^^^^^^^^^^^^ needs the section [tls]
    hint: add [tls] with certificates = [{ chain = "...", key = "..." }]
    "#);
}

#[test]
fn the_admin_listener() {
    insta::assert_snapshot!(before(r#"admin = "off""#), @r#"
    gateway.toml:1:9: admin: "off" has no port
    1 | admin = "off"
      |         ^^^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    hint: switch it off with false, without quotes
    "#);
    insta::assert_snapshot!(before(r#"admin = "9900""#), @r#"
    gateway.toml:1:9: admin: "9900" has no address
    1 | admin = "9900"
      |         ^^^^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    hint: did you mean "127.0.0.1:9900"?
    "#);
    insta::assert_snapshot!(before(r#"listen = "127.0.0.1:80"
admin = "127.0.0.1:80""#), @r#"
    gateway.toml:2:9: admin: 127.0.0.1:80 is taken
    2 | admin = "127.0.0.1:80"
      |         ^^^^^^^^^^^^^^ an address of its own
    1 | listen = "127.0.0.1:80"
      |          ^^^^^^^^^^^^^^ listened to for clients
    hint: give one of the two another port, or set admin = false
    "#);
    insta::assert_snapshot!(before(r#"listen = "127.0.0.1:9900""#), @r#"
    gateway.toml:1:10: listen: 127.0.0.1:9900 is where admin listens unless it is set
    1 | listen = "127.0.0.1:9900"
      |          ^^^^^^^^^^^^^^^^ an address of its own
    hint: give one of the two another port, or set admin = false
    "#);
}

#[test]
fn certificates() {
    insta::assert_snapshot!(behind("[tls]
certificates = []"), @r#"
    gateway.toml:4:16: tls.certificates: an empty list
    4 | certificates = []
      |                ^^ at least one { chain, key }
    "#);
    insta::assert_snapshot!(behind(r#"[tls]
certificates = [{ chain = "missing.pem", key = "/missing/a.key" }]"#), @r#"
    gateway.toml:4:27: tls.certificates.chain: /etc/fleetfoot/missing.pem: no such file
    4 | certificates = [{ chain = "missing.pem", key = "/missing/a.key" }]
      |                           ^^^^^^^^^^^^^ a PEM file that can be read
    hint: relative paths start at the folder of the settings file

    gateway.toml:4:48: tls.certificates.key: /missing/a.key: no such file
    4 | certificates = [{ chain = "missing.pem", key = "/missing/a.key" }]
      |                                                ^^^^^^^^^^^^^^^^ a PEM file that can be read
    "#);
    insta::assert_snapshot!(behind(r#"[tls]
certificates = [{ chain = "", key = "a" }]"#), @r#"
    gateway.toml:4:27: tls.certificates.chain: an empty path
    4 | certificates = [{ chain = "", key = "a" }]
      |                           ^^ a file's path
    "#);
    insta::assert_snapshot!(behind(r#"tls = { trust = "missing.pem" }"#), @r#"
    gateway.toml:3:17: service.shop.tls.trust: /etc/fleetfoot/missing.pem: no such file
    3 | tls = { trust = "missing.pem" }
      |                 ^^^^^^^^^^^^^ a PEM file that can be read
    hint: relative paths start at the folder of the settings file
    "#);
    insta::assert_snapshot!(behind(r#"tls = { name = "shop.example:443" }"#), @r#"
    gateway.toml:3:29: service.shop.tls.name: port "443"
    3 | tls = { name = "shop.example:443" }
      |                             ^^^^ a host without port
    hint: did you mean "shop.example"?
    "#);
}

#[test]
fn forwarding() {
    insta::assert_snapshot!(behind(r#"[forward]
via = "a b""#), @r#"
    gateway.toml:4:7: forward.via: "a b" is no pseudonym
    4 | via = "a b"
      |       ^^^^^ a token, perhaps with a port
    "#);
    insta::assert_snapshot!(behind(r#"[forward]
trusted_proxies = ["10.0.0.1/8"]"#), @r#"
    gateway.toml:4:20: forward.trusted_proxies: "10.0.0.1/8" has bits beyond its prefix
    4 | trusted_proxies = ["10.0.0.1/8"]
      |                    ^^^^^^^^^^^^ a network such as 10.0.0.0/8 or 2001:db8::/32, or an address
    hint: did you mean "10.0.0.0/8"?
    "#);
    insta::assert_snapshot!(behind(r#"[forward]
trusted_proxies = ["10.0.0.0/33"]"#), @r#"
    gateway.toml:4:30: forward.trusted_proxies: prefix "33"
    4 | trusted_proxies = ["10.0.0.0/33"]
      |                              ^^ a prefix from 0 to 32
    "#);
    insta::assert_snapshot!(behind(r#"[forward]
trusted_proxies = ["proxy"]"#), @r#"
    gateway.toml:4:20: forward.trusted_proxies: "proxy" is no address
    4 | trusted_proxies = ["proxy"]
      |                    ^^^^^^^ a network such as 10.0.0.0/8 or 2001:db8::/32, or an address
    "#);
    insta::assert_snapshot!(behind(r#"[forward]
trusted_proxies = ["::ffff:10.0.0.0/104"]"#), @r#"
    gateway.toml:4:20: forward.trusted_proxies: "::ffff:10.0.0.0/104" is an IPv4 network in IPv6 clothes
    4 | trusted_proxies = ["::ffff:10.0.0.0/104"]
      |                    ^^^^^^^^^^^^^^^^^^^^^ a network such as 10.0.0.0/8 or 2001:db8::/32, or an address
    hint: did you mean "10.0.0.0/8"?
    "#);
    insta::assert_snapshot!(behind(r#"[forward]
trusted_proxies = ["10.0.0.0/8", "10.0.0.0/8"]"#), @r#"
    gateway.toml:4:34: forward.trusted_proxies: "10.0.0.0/8" twice
    4 | trusted_proxies = ["10.0.0.0/8", "10.0.0.0/8"]
      |                                  ^^^^^^^^^^^^
    4 | trusted_proxies = ["10.0.0.0/8", "10.0.0.0/8"]
      |                    ^^^^^^^^^^^^ first here
    "#);
}

#[test]
fn servers() {
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["localhost:3000"]"#), @r#"
    gateway.toml:2:12: service.shop.servers: "localhost:3000" has no scheme
    2 | servers = ["localhost:3000"]
      |            ^^^^^^^^^^^^^^^^ http or https, a host and perhaps a port, such as http://10.0.0.1:3000
    hint: did you mean "http://localhost:3000"?
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["ftp://a"]"#), @r#"
    gateway.toml:2:13: service.shop.servers: scheme "ftp"
    2 | servers = ["ftp://a"]
      |             ^^^ http or https, a host and perhaps a port, such as http://10.0.0.1:3000
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["http://"]"#), @r#"
    gateway.toml:2:20: service.shop.servers: there is no host
    2 | servers = ["http://"]
      |                    ^ a name or an address, such as shop.example, 10.0.0.1 or [::1]
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["http://a/v1/"]"#), @r#"
    gateway.toml:2:21: service.shop.servers: a path in a server's URL
    2 | servers = ["http://a/v1/"]
      |                     ^^^^ scheme, host and port only
    hint: to put it before every path, give the route prepend = "/v1"
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["http://a?b"]"#), @r#"
    gateway.toml:2:21: service.shop.servers: a query or fragment in a server's URL
    2 | servers = ["http://a?b"]
      |                     ^^ scheme, host and port only
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["http://me:secret@a"]"#), @r#"
    gateway.toml:2:20: service.shop.servers: a user or password in a URL
    2 | servers = ["http://me:secret@a"]
      |                    ^^^^^^^^^^ http or https, a host and perhaps a port, such as http://10.0.0.1:3000
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["http://a:0"]"#), @r#"
    gateway.toml:2:22: service.shop.servers: "0" is no port
    2 | servers = ["http://a:0"]
      |                      ^ a port from 1 to 65535
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["http://a b"]"#), @r#"
    gateway.toml:2:20: service.shop.servers: "a b" is no host
    2 | servers = ["http://a b"]
      |                    ^^^ a name or an address, such as shop.example, 10.0.0.1 or [::1]
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["http://::1:80"]"#), @r#"
    gateway.toml:2:20: service.shop.servers: "::1:80" lacks brackets
    2 | servers = ["http://::1:80"]
      |                    ^^^^^^ an IPv6 address stands in brackets
    hint: [::1]:80
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["http://[::g]"]"#), @r#"
    gateway.toml:2:20: service.shop.servers: "[::g]" is no IPv6 address
    2 | servers = ["http://[::g]"]
      |                    ^^^^^ a name or an address, such as shop.example, 10.0.0.1 or [::1]
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["http://10.0.0.300"]"#), @r#"
    gateway.toml:2:20: service.shop.servers: "10.0.0.300" is no IPv4 address
    2 | servers = ["http://10.0.0.300"]
      |                    ^^^^^^^^^^ a name or an address, such as shop.example, 10.0.0.1 or [::1]
    "#);
    insta::assert_snapshot!(mistakes(r#"[service.shop]
servers = ["http://a", "http://A:80/"]"#), @r#"
    gateway.toml:2:24: service.shop.servers: "http://A:80/" twice
    2 | servers = ["http://a", "http://A:80/"]
      |                        ^^^^^^^^^^^^^^
    2 | servers = ["http://a", "http://A:80/"]
      |            ^^^^^^^^^^ first here
    "#);
    insta::assert_snapshot!(mistakes("[service.shop]
servers = []"), @r#"
    gateway.toml:2:11: service.shop.servers: an empty list
    2 | servers = []
      |           ^^ at least one URL
    hint: servers = ["http://10.0.0.1:3000"]
    "#);
    insta::assert_snapshot!(mistakes(r#"[service."my shop"]
servers = ["http://a"]"#), @r#"
    gateway.toml:1:10: service "my shop": this name cannot be used
    1 | [service."my shop"]
      |          ^^^^^^^^^ 1 to 64 letters, digits, - and _
    "#);
}

#[test]
fn the_host_of_a_service() {
    insta::assert_snapshot!(behind(r#"host = "shop.example:0""#), @r#"
    gateway.toml:3:22: service.shop.host: "0" is no port
    3 | host = "shop.example:0"
      |                      ^ a port from 1 to 65535
    "#);
    insta::assert_snapshot!(behind(r#"host = "http://shop.example""#), @r#"
    gateway.toml:3:8: service.shop.host: a URL
    3 | host = "http://shop.example"
      |        ^^^^^^^^^^^^^^^^^^^^^ a name or an address, perhaps with a port
    hint: did you mean "shop.example"?
    "#);
    insta::assert_snapshot!(behind(r#"host = "shop..example""#), @r#"
    gateway.toml:3:8: service.shop.host: "shop..example" is no host
    3 | host = "shop..example"
      |        ^^^^^^^^^^^^^^^ a name or an address, such as shop.example, 10.0.0.1 or [::1]
    "#);
}

#[test]
fn methods_of_a_route() {
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "get /a""#), @r#"
    gateway.toml:5:10: route "get /a": match: "get" is no method
    5 | match = "get /a"
      |          ^^^ methods such as GET or GET|HEAD
    hint: the case of methods counts: GET
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "GET| /a""#), @r#"
    gateway.toml:5:14: route "GET| /a": match: "" is no method
    5 | match = "GET| /a"
      |              ^ methods such as GET or GET|HEAD
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "GET|GET /a""#), @r#"
    gateway.toml:5:14: route "GET|GET /a": match: GET is listed twice
    5 | match = "GET|GET /a"
      |              ^^^ methods such as GET or GET|HEAD
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "CONNECT /a""#), @r#"
    gateway.toml:5:10: route "CONNECT /a": match: CONNECT is never taken
    5 | match = "CONNECT /a"
      |          ^^^^^^^ methods such as GET or GET|HEAD
    hint: the gateway is no forward proxy
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "G(T /a""#), @r#"
    gateway.toml:5:10: route "G(T /a": match: "G(T" is no method
    5 | match = "G(T /a"
      |          ^^^ methods such as GET or GET|HEAD
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = " /a""#), @r#"
    gateway.toml:5:10: route " /a": match: "" is no method
    5 | match = " /a"
      |          ^ methods such as GET or GET|HEAD
    "#);
}

#[test]
fn hosts_of_a_route() {
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "shop.example""#), @r#"
    gateway.toml:5:9: route "shop.example": match: there is no path
    5 | match = "shop.example"
      |         ^^^^^^^^^^^^^^ [METHOD[|METHOD...] ][host]/path, such as "GET /products/{id}"
    hint: did you mean "shop.example/*"?
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "GET""#), @r#"
    gateway.toml:5:9: route "GET": match: there is no path
    5 | match = "GET"
      |         ^^^^^ [METHOD[|METHOD...] ][host]/path, such as "GET /products/{id}"
    hint: did you mean "GET *"?
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "GET shop.example""#), @r#"
    gateway.toml:5:14: route "GET shop.example": match: there is no path
    5 | match = "GET shop.example"
      |              ^^^^^^^^^^^^ [METHOD[|METHOD...] ][host]/path, such as "GET /products/{id}"
    hint: did you mean "GET shop.example/*"?
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "*/a""#), @r#"
    gateway.toml:5:10: route "*/a": match: host "*"
    5 | match = "*/a"
      |          ^ a host such as *.example.com, or none
    hint: leave the host out to take any
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "*.10.0.0.1/a""#), @r#"
    gateway.toml:5:10: route "*.10.0.0.1/a": match: a wildcard before an address
    5 | match = "*.10.0.0.1/a"
      |          ^^^^^^^^^^ a name below it
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "shop.example:80/a""#), @r#"
    gateway.toml:5:22: route "shop.example:80/a": match: port "80"
    5 | match = "shop.example:80/a"
      |                      ^^^ a host without port
    hint: did you mean "shop.example"?
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "a.*.example/a""#), @r#"
    gateway.toml:5:10: route "a.*.example/a": match: "a.*.example" is no host
    5 | match = "a.*.example/a"
      |          ^^^^^^^^^^^ a name or an address, such as shop.example, 10.0.0.1 or [::1]
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "https://shop.example/a""#), @r#"
    gateway.toml:5:9: route "https://shop.example/a": match: a URL
    5 | match = "https://shop.example/a"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^ [METHOD[|METHOD...] ][host]/path, such as "GET /products/{id}"
    hint: leave the scheme out: a route takes requests over http and https
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "GET *.-é.example/a""#), @r#"
    gateway.toml:5:16: route "GET *.-é.example/a": match: "-é.example" is no host
    5 | match = "GET *.-é.example/a"
      |                ^^^^^^^^^^ a name or an address, such as shop.example, 10.0.0.1 or [::1]
    "#);
}

#[test]
fn paths_of_a_route() {
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/a//b""#), @r#"
    gateway.toml:5:12: route "/a//b": match: an empty segment
    5 | match = "/a//b"
      |            ^^ one slash between two segments
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/{id}/x/{id}""#), @r#"
    gateway.toml:5:18: route "/{id}/x/{id}": match: parameter "id" twice
    5 | match = "/{id}/x/{id}"
      |                  ^^^^ a name of its own for each parameter
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/{id}/{id...}""#), @r#"
    gateway.toml:5:16: route "/{id}/{id...}": match: parameter "id" twice
    5 | match = "/{id}/{id...}"
      |                ^^^^^^^ a name of its own for each parameter
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/a?b=1""#), @r#"
    gateway.toml:5:12: route "/a?b=1": match: '?' in a path
    5 | match = "/a?b=1"
      |            ^ letters, digits, -._~!$&'()+,;=:@ and %XX
    hint: a route sees the path alone, without query and fragment
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/a#b""#), @r#"
    gateway.toml:5:12: route "/a#b": match: '#' in a path
    5 | match = "/a#b"
      |            ^ letters, digits, -._~!$&'()+,;=:@ and %XX
    hint: a route sees the path alone, without query and fragment
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "GET /a b""#), @r#"
    gateway.toml:5:16: route "GET /a b": match: a space
    5 | match = "GET /a b"
      |                ^ [METHOD[|METHOD...] ][host]/path, such as "GET /products/{id}"
    hint: one space stands between method and path; in a path write %20
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/a\tb""#), @r#"
    gateway.toml:5:9: route "/a	b": match: control byte '\t'
    5 | match = "/a\tb"
      |         ^^^^^^^ [METHOD[|METHOD...] ][host]/path, such as "GET /products/{id}"
    hint: one space stands between method and path; in a path write %20
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/{}""#), @r#"
    gateway.toml:5:11: route "/{}": match: {} is no parameter
    5 | match = "/{}"
      |           ^^ a name of letters, digits and _, such as {id} or {path...}
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/{a-b}""#), @r#"
    gateway.toml:5:11: route "/{a-b}": match: {a-b} is no parameter
    5 | match = "/{a-b}"
      |           ^^^^^ a name of letters, digits and _, such as {id} or {path...}
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/x{id}""#), @r#"
    gateway.toml:5:12: route "/x{id}": match: '{' in a path
    5 | match = "/x{id}"
      |            ^ letters, digits, -._~!$&'()+,;=:@ and %XX
    hint: a parameter is a whole segment: /{id}/
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/{id""#), @r#"
    gateway.toml:5:11: route "/{id": match: '{' in a path
    5 | match = "/{id"
      |           ^ letters, digits, -._~!$&'()+,;=:@ and %XX
    hint: a parameter is a whole segment: /{id}/
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/*/a""#), @r#"
    gateway.toml:5:11: route "/*/a": match: * is not the last segment
    5 | match = "/*/a"
      |           ^ the rest of a path comes last
    hint: use {name} for one segment in the middle
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/{a...}/b""#), @r#"
    gateway.toml:5:11: route "/{a...}/b": match: {a...} is not the last segment
    5 | match = "/{a...}/b"
      |           ^^^^^^ the rest of a path comes last
    hint: use {name} for one segment in the middle
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/a*""#), @r#"
    gateway.toml:5:12: route "/a*": match: '*' in a path
    5 | match = "/a*"
      |            ^ letters, digits, -._~!$&'()+,;=:@ and %XX
    hint: a * stands alone, as the last segment
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/café""#), @r#"
    gateway.toml:5:14: route "/café": match: 'é' in a path
    5 | match = "/café"
      |              ^ letters, digits, -._~!$&'()+,;=:@ and %XX
    hint: write %C3%A9, as it is on the wire
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/100%""#), @r#"
    gateway.toml:5:14: route "/100%": match: '%' in a path
    5 | match = "/100%"
      |              ^ letters, digits, -._~!$&'()+,;=:@ and %XX
    hint: % is followed by two hexadecimal digits; % itself is %25
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/%zz""#), @r#"
    gateway.toml:5:11: route "/%zz": match: '%' in a path
    5 | match = "/%zz"
      |           ^ letters, digits, -._~!$&'()+,;=:@ and %XX
    hint: % is followed by two hexadecimal digits; % itself is %25
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/a|b""#), @r#"
    gateway.toml:5:12: route "/a|b": match: '|' in a path
    5 | match = "/a|b"
      |            ^ letters, digits, -._~!$&'()+,;=:@ and %XX
    hint: write %7C, as it is on the wire
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = """#), @r#"
    gateway.toml:5:9: route "1": match: there is no path
    5 | match = ""
      |         ^^ [METHOD[|METHOD...] ][host]/path, such as "GET /products/{id}"
    hint: did you mean "/*"?
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
to = "shop"
match = "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a""#), @r#"
    gateway.toml:5:9: route "1": match: 65 segments
    5 | match = "/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a"
      |         ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ at most 64 segments
    "#);
}

#[test]
fn routes_that_tie() {
    insta::assert_snapshot!(behind(r#"[[route]]
name = "one"
match = "/a/{id}"
to = "shop"
[[route]]
match = "/a/{name}"
to = "shop""#), @r#"
    gateway.toml:8:9: route "/a/{name}": takes the same requests as "one"
    8 | match = "/a/{name}"
      |         ^^^^^^^^^^^ neither is more specific
    5 | match = "/a/{id}"
      |         ^^^^^^^^^ route "one"
    hint: give one another path, host or method, or take it out
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
name = "one"
match = "GET|HEAD /a"
to = "shop"
[[route]]
match = "POST|GET /a"
to = "shop""#), @r#"
    gateway.toml:8:9: route "POST|GET /a": takes the same requests as "one"
    8 | match = "POST|GET /a"
      |         ^^^^^^^^^^^^^ neither is more specific
    5 | match = "GET|HEAD /a"
      |         ^^^^^^^^^^^^^ route "one"
    hint: give one another path, host or method, or take it out
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
name = "one"
match = "*"
to = "shop"
[[route]]
match = "/{all...}"
to = "shop""#), @r#"
    gateway.toml:8:9: route "/{all...}": takes the same requests as "one"
    8 | match = "/{all...}"
      |         ^^^^^^^^^^^ neither is more specific
    5 | match = "*"
      |         ^^^ route "one"
    hint: give one another path, host or method, or take it out
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
name = "one"
match = "X.example/a"
to = "shop"
[[route]]
match = "x.example/a"
to = "shop""#), @r#"
    gateway.toml:8:9: route "x.example/a": takes the same requests as "one"
    8 | match = "x.example/a"
      |         ^^^^^^^^^^^^^ neither is more specific
    5 | match = "X.example/a"
      |         ^^^^^^^^^^^^^ route "one"
    hint: give one another path, host or method, or take it out
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
name = "one"
match = "one"
to = "shop"
[[route]]
match = "/a"
to = "shop""#), @r#"
    gateway.toml:5:9: route "one": match: there is no path
    5 | match = "one"
      |         ^^^^^ [METHOD[|METHOD...] ][host]/path, such as "GET /products/{id}"
    hint: did you mean "one/*"?
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
name = "one"
match = "/b"
to = "shop"
[[route]]
match = "one"
to = "shop""#), @r#"
    gateway.toml:8:9: route "one": match: there is no path
    8 | match = "one"
      |         ^^^^^ [METHOD[|METHOD...] ][host]/path, such as "GET /products/{id}"
    hint: did you mean "one/*"?

    gateway.toml:8:9: two routes are called "one"
    8 | match = "one"
      |         ^^^^^ a name of its own
    4 | name = "one"
      |        ^^^^^ first here
    "#);
}

#[test]
fn names_of_routes() {
    insta::assert_snapshot!(behind(r#"[[route]]
name = "one"
match = "/a"
to = "shop"
[[route]]
name = "one"
match = "/b"
to = "shop""#), @r#"
    gateway.toml:8:8: two routes are called "one"
    8 | name = "one"
      |        ^^^^^ a name of its own
    4 | name = "one"
      |        ^^^^^ first here
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "*"
to = "shop"
name = """#), @r#"
    gateway.toml:6:8: route "1": name: this name cannot be used
    6 | name = ""
      |        ^^ 1 to 128 characters without control characters
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "*"
to = "shop"
name = "a\u0007""#), @r#"
    gateway.toml:6:8: route "a�": name: this name cannot be used
    6 | name = "a\u0007"
      |        ^^^^^^^^^ 1 to 128 characters without control characters
    "#);
}

#[test]
fn strip_and_prepend() {
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/api/*"
to = "shop"
strip = "api""#), @r#"
    gateway.toml:6:9: route "/api/*": strip: "api" does not start with /
    6 | strip = "api"
      |         ^^^^^ a path that starts with / and does not end in it
    hint: did you mean "/api"?
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/api/*"
to = "shop"
strip = "/api/""#), @r#"
    gateway.toml:6:9: route "/api/*": strip: "/api/" ends in /
    6 | strip = "/api/"
      |         ^^^^^^^ a path that starts with / and does not end in it
    hint: did you mean "/api"?
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/api/*"
to = "shop"
strip = "/""#), @r#"
    gateway.toml:6:9: route "/api/*": strip: "/" does nothing
    6 | strip = "/"
      |         ^^^ a path that starts with / and does not end in it
    hint: take the key out
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/api/*"
to = "shop"
prepend = """#), @r#"
    gateway.toml:6:11: route "/api/*": prepend: "" does nothing
    6 | prepend = ""
      |           ^^ a path that starts with / and does not end in it
    hint: take the key out
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/api/*"
to = "shop"
prepend = "/a//b""#), @r#"
    gateway.toml:6:14: route "/api/*": prepend: an empty segment
    6 | prepend = "/a//b"
      |              ^^ one slash between two segments
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/api/*"
to = "shop"
prepend = "/{id}""#), @r#"
    gateway.toml:6:13: route "/api/*": prepend: '{' in a path
    6 | prepend = "/{id}"
      |             ^ letters, digits, -._~!$&'()+,;=:@ and %XX
    hint: a parameter is a whole segment: /{id}/
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/api/*"
to = "shop"
strip = "/app""#), @r#"
    gateway.toml:6:9: route "/api/*": strip: no path of /api/* starts with it
    6 | strip = "/app"
      |         ^^^^^^ the start of match's path
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/api"
to = "shop"
strip = "/api/v1""#), @r#"
    gateway.toml:6:9: route "/api": strip: no path of /api starts with it
    6 | strip = "/api/v1"
      |         ^^^^^^^^^ the start of match's path
    "#);
    insta::assert_snapshot!(behind(r#"[[route]]
match = "/api/*"
to = "shop"
timeout = "0s""#), @r#"
    gateway.toml:6:11: route "/api/*": timeout: 0s is too short
    6 | timeout = "0s"
      |           ^^^^ a duration from 1ms to 7d
    "#);
}

#[test]
fn variables() {
    insta::assert_snapshot!(behind(r#"host = "${UNSET}.example""#), @r#"
    gateway.toml:3:9: service.shop.host: environment variable UNSET is not set
    3 | host = "${UNSET}.example"
      |         ^^^^^^^^
    hint: set it, or give a default: ${UNSET:-...}
    "#);
    insta::assert_snapshot!(behind(r#"host = "${PORT""#), @r#"
    gateway.toml:3:9: service.shop.host: ${ without }
    3 | host = "${PORT"
      |         ^^^^^^ ${NAME} or ${NAME:-default}
    hint: write $${ for a plain ${
    "#);
    insta::assert_snapshot!(behind(r#"host = "${a-b}""#), @r#"
    gateway.toml:3:9: service.shop.host: "a-b" is no name of a variable
    3 | host = "${a-b}"
      |         ^^^^^^ ${NAME} or ${NAME:-default}
    hint: write $${ for a plain ${
    "#);
    insta::assert_snapshot!(behind(r#"host = "${}""#), @r#"
    gateway.toml:3:9: service.shop.host: "" is no name of a variable
    3 | host = "${}"
      |         ^^^ ${NAME} or ${NAME:-default}
    hint: write $${ for a plain ${
    "#);
    insta::assert_snapshot!(behind(r#"host = "a ${PORT}""#), @r#"
    gateway.toml:3:8: service.shop.host: "a 3000" is no host
    3 | host = "a ${PORT}"
      |        ^^^^^^^^^^^ a name or an address, such as shop.example, 10.0.0.1 or [::1]
    "#);
    insta::assert_snapshot!(before(r#"threads = "${PORT}""#), @r#"
    gateway.toml:1:11: threads: 3000 is too many
    1 | threads = "${PORT}"
      |           ^^^^^^^^^ a whole number from 1 to 1024
    "#);
    insta::assert_snapshot!(before(r#"threads = "${EMPTY:-many}""#), @r#"
    gateway.toml:1:11: threads: "many" is no whole number
    1 | threads = "${EMPTY:-many}"
      |           ^^^^^^^^^^^^^^^^ a whole number from 1 to 1024
    "#);
    insta::assert_snapshot!(behind(r#"[forward]
forwarded = "${PORT}""#), @r#"
    gateway.toml:4:13: forward.forwarded: "3000" is neither true nor false
    4 | forwarded = "${PORT}"
      |             ^^^^^^^^^ true or false
    "#);
    insta::assert_snapshot!(behind(r#"host = "\u0041${UNSET}""#), @r#"
    gateway.toml:3:8: service.shop.host: environment variable UNSET is not set
    3 | host = "\u0041${UNSET}"
      |        ^^^^^^^^^^^^^^^^
    hint: set it, or give a default: ${UNSET:-...}
    "#);
}

#[test]
fn text_that_is_no_toml() {
    insta::assert_snapshot!(before("grace = 30s"), @r#"
    gateway.toml:1:9: TOML: string values must be quoted
    1 | grace = 30s
      |         ^^^ expected literal string
    hint: strings stand in quotes: grace = "30s"
    "#);
    insta::assert_snapshot!(before("grace = "), @r#"
    gateway.toml:1:9: TOML: string values must be quoted
    1 | grace = 
      |         ^ expected literal string
    hint: give grace a value, or take the line out
    "#);
    insta::assert_snapshot!(before(r#"grace = "30s"#), @r#"
    gateway.toml:1:13: TOML: invalid basic string
    1 | grace = "30s
      |             ^ expected `"`
    hint: close the string: grace = "30s"
    "#);
    insta::assert_snapshot!(before("admin = 127.0.0.1:9900"), @r#"
    gateway.toml:1:14: TOML: invalid float
    1 | admin = 127.0.0.1:9900
      |              ^^^^^^^^^ expected nothing
    hint: strings stand in quotes: admin = "127.0.0.1:9900"
    "#);
    insta::assert_snapshot!(behind("[limits
fields = 1
[[route]]
x = 1"), @r#"
    gateway.toml:3:8: TOML: unclosed table
    3 | [limits
      |        ^ expected `]`
    "#);
    insta::assert_snapshot!(behind("servers = []"), @r#"
    gateway.toml:3:1: TOML: duplicate key
    3 | servers = []
      | ^^^^^^^
    hint: every key and section stands once; join the two
    "#);
    insta::assert_snapshot!(behind(r#"[service.shop]
host = "a""#), @r#"
    gateway.toml:3:10: TOML: duplicate key
    3 | [service.shop]
      |          ^^^^
    hint: every key and section stands once; join the two
    "#);
    insta::assert_snapshot!(before(r#"grace "30s""#), @r#"
    gateway.toml:1:7: TOML: key with no value
    1 | grace "30s"
      |       ^ expected `=`
    "#);
    insta::assert_snapshot!(before("a = 1 b = 2"), @r#"
    gateway.toml:1:9: TOML: unexpected key or value
    1 | a = 1 b = 2
      |         ^ expected newline, `#`
    hint: a key and its value stand on a line of their own
    "#);
    insta::assert_snapshot!(before("x = [1, 2"), @r#"
    gateway.toml:2:1: TOML: missing comma between array elements
    2 | [service.shop]
      | ^ expected `,`

    gateway.toml:3:1: TOML: missing comma between array elements
    3 | servers = ["http://localhost:3000"]
      | ^ expected `,`
    "#);
    insta::assert_snapshot!(before(r#"listen = "a\qb"
threads = 0"#), @r#"
    gateway.toml:1:13: TOML: missing escaped value
    1 | listen = "a\qb"
      |             ^ expected `b`, `e`, `f`, `n`, `r`, `\`, `"`, `x`, `u`, `U`

    gateway.toml:2:11: threads: 0 is too few
    2 | threads = 0
      |           ^ a whole number from 1 to 1024
    "#);
    insta::assert_snapshot!(mistakes(""), @r#"
    gateway.toml:1:2: TOML: key with no value
    1 | �
      |  ^ expected `=`
    "#);
    insta::assert_snapshot!(before("= 1"), @r#"
    gateway.toml:1:1: TOML: unquoted keys cannot be empty
    1 | = 1
      | ^ expected letters, numbers, `-`, `_`
    "#);
}

#[test]
fn the_caret_keeps_to_characters() {
    insta::assert_snapshot!(before(r#"	admin	=	"x""#), @r#"
    gateway.toml:1:10: admin: "x" has no port
    1 | 	admin	=	"x"
      | 	     	 	^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    "#);
    insta::assert_snapshot!(before(r#""kéy" = 1"#), @r#"
    gateway.toml:1:1: unknown key "kéy"
    1 | "kéy" = 1
      | ^^^^^ known keys: listen, admin, threads, grace, zone, limits, tls, forward, monitor, cache, deadline, rate, offload, queue, events, service, route
    "#);
    insta::assert_snapshot!(behind(r#"host = """
a b""""#), @r#"
    gateway.toml:3:8: service.shop.host: "a b" is no host
    3 | host = """
      |        ^^^ a name or an address, such as shop.example, 10.0.0.1 or [::1]
    "#);
    insta::assert_snapshot!(before(r#"listen = ["é"]"#), @r#"
    gateway.toml:1:11: listen: "é" has no port
    1 | listen = ["é"]
      |           ^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    "#);
}

#[test]
fn more_methods_than_a_router_can_tell_apart() {
    let methods: Vec<_> = (0..65).map(|n| format!("M{n}")).collect();
    let pattern = format!("{} /a", methods.join("|"));
    let text = behind(&format!("[[route]]\nto = \"shop\"\nmatch = \"{pattern}\""));
    let text = text.replace(&pattern, "M0|... /a").replace(&"^".repeat(pattern.len()), "^");
    insta::assert_snapshot!(text, @r#"
    gateway.toml:5:9: more than 64 different methods in all routes
    5 | match = "M0|... /a"
      |         ^^^ at most 64
    "#);
}

#[test]
fn a_file_that_cannot_be_read() {
    let missing = crate::load(std::path::Path::new("no/such/gateway.toml"));
    insta::assert_snapshot!(missing.expect_err("no such file"), @r#"
    no/such/gateway.toml: cannot read the settings: No such file or directory (os error 2)
    hint: give the path of a settings file, or run without one: fleetfoot run --to http://localhost:3000
    "#);
    let folder = crate::load(std::path::Path::new("src"));
    insta::assert_snapshot!(folder.expect_err("a folder"), @r#"
    src: cannot read the settings: Is a directory (os error 21)
    hint: give the path of a settings file
    "#);
    let path = std::env::temp_dir().join(format!("fleetfoot-{}.toml", std::process::id()));
    std::fs::write(&path, b"# \n# \xff\n").expect("a temporary file");
    let text = crate::load(&path).expect_err("not UTF-8").to_string();
    std::fs::remove_file(&path).expect("the temporary file");
    insta::assert_snapshot!(text.replace(&path.display().to_string(), "gateway.toml"), @r#"
    gateway.toml: not UTF-8 text (line 2)
    hint: save the file as UTF-8
    "#);
}

#[test]
fn a_report_has_an_end() {
    let lines: Vec<_> = (0..103).map(|n| format!("k{n} = 1")).collect();
    let report = before(&lines.join("\n"));
    assert_eq!(report.matches("unknown key").count(), crate::report::SHOWN_MAX);
    assert!(report.ends_with("\n\nand 3 more"), "{report}");
}

#[test]
fn a_file_that_is_too_large() {
    if std::path::Path::new("/dev/zero").exists() {
        let report = crate::load(std::path::Path::new("/dev/zero")).expect_err("endless");
        insta::assert_snapshot!(report, @r#"
        /dev/zero: larger than 16 MiB
        hint: give the path of a settings file
        "#);
    }
}

#[test]
fn flags() {
    let run = |to: &[&str], listen: &[&str], admin: Option<&str>| {
        let owned =
            |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        crate::for_url(&owned(to), &owned(listen), admin).expect_err("a mistake")
    };
    insta::assert_snapshot!(run(&["localhost:3000", "http://a/b"], &[":80"], Some("x")), @r#"
    --to: "localhost:3000" has no scheme
      | localhost:3000
      | ^^^^^^^^^^^^^^ http or https, a host and perhaps a port, such as http://10.0.0.1:3000
    hint: did you mean "http://localhost:3000"?

    --to: a path in a server's URL
      | http://a/b
      |         ^^ scheme, host and port only
    hint: to put it before every path, give the route prepend = "/b"

    --listen: ":80" has no address
      | :80
      | ^^^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    hint: did you mean "0.0.0.0:80"?

    --admin: "x" has no port
      | x
      | ^ an address and a port, such as 127.0.0.1:8080, 0.0.0.0:80 or [::]:80
    "#);
    insta::assert_snapshot!(run(&[], &["https://0.0.0.0:443"], None), @r#"
    --to: no URL of a service to pass requests to
    hint: --to http://localhost:3000

    --listen: an https listener without certificates
      | https://0.0.0.0:443
      | ^^^^^^^^^^^^^^^^^^^ http here, or a settings file with [tls]
    hint: certificates are named in a settings file, under [tls]
    "#);
    insta::assert_snapshot!(run(&["http://a", "http://a:80"], &["127.0.0.1:9900"], None), @r#"
    --to: "http://a:80" twice
      | http://a:80
      | ^^^^^^^^^^^

    --listen: 127.0.0.1:9900 is the admin listener's address too
    hint: give one of the two another port
    "#);
}
