//! `[monitor]` and `objective`: what they mean, and what is said of mistakes.

use super::{SHOP, behind, settings};
use base::Share;
use monitor::settings::{AccessLog, LogFormat, Objective, Otlp, Protocol, ServerTiming, Settings};
use std::path::PathBuf;
use std::time::Duration;

#[test]
fn the_access_log() {
    insta::assert_snapshot!(behind(r#"[monitor]
log_format = "Combned""#), @r#"
    gateway.toml:4:14: monitor.log_format: "Combned" is not known
    4 | log_format = "Combned"
      |              ^^^^^^^^^ "json", "common", "combined"
    hint: did you mean "combined"?
    "#);
    insta::assert_snapshot!(behind(r#"[monitor]
format = "json""#), @r#"
    gateway.toml:4:1: monitor: unknown key "format"
    4 | format = "json"
      | ^^^^^^ known keys: access_log, log_format, log_sample, redact, server_timing, request_id, trace, trace_sample, otlp
    hint: did you mean "log_format"?
    "#);
    insta::assert_snapshot!(behind(r"[monitor]
log_sample = 10"), @r#"
    gateway.toml:4:14: monitor.log_sample: a whole number
    4 | log_sample = 10
      |              ^^ a share from 0% to 100%
    hint: write it in quotes: "10%"
    "#);
    insta::assert_snapshot!(behind(r#"[monitor]
redact = ["token=abc", "a b", "to*en", "Token", "token", ""]"#), @r#"
    gateway.toml:4:11: monitor.redact: "token=abc" has a value
    4 | redact = ["token=abc", "a b", "to*en", "Token", "token", ""]
      |           ^^^^^^^^^^^ a parameter's name, up to 128 characters
    hint: did you mean "token"?

    gateway.toml:4:26: monitor.redact: ' ' in a name
    4 | redact = ["token=abc", "a b", "to*en", "Token", "token", ""]
      |                          ^ a parameter's name, up to 128 characters

    gateway.toml:4:34: monitor.redact: a * before the end
    4 | redact = ["token=abc", "a b", "to*en", "Token", "token", ""]
      |                                  ^ a * at the end, for any rest

    gateway.toml:4:49: monitor.redact: "token" twice
    4 | redact = ["token=abc", "a b", "to*en", "Token", "token", ""]
      |                                                 ^^^^^^^
    4 | redact = ["token=abc", "a b", "to*en", "Token", "token", ""]
      |                                        ^^^^^^^ first here

    gateway.toml:4:58: monitor.redact: this name cannot be used
    4 | redact = ["token=abc", "a b", "to*en", "Token", "token", ""]
      |                                                          ^^ a parameter's name, up to 128 characters
    "#);
    insta::assert_snapshot!(behind(r#"[access_log]
path = "x""#), @r#"
    gateway.toml:3:2: unknown key "access_log"
    3 | [access_log]
      |  ^^^^^^^^^^ known keys: listen, admin, threads, grace, zone, limits, tls, forward, monitor, cache, deadline, rate, offload, queue, events, service, route
    hint: did you mean "monitor"?
    "#);
}

#[test]
fn who_is_told_timings() {
    insta::assert_snapshot!(behind(r#"[monitor]
server_timing = "yes""#), @r#"
    gateway.toml:4:17: monitor.server_timing: a string
    4 | server_timing = "yes"
      |                 ^^^^^ true, false or a table of token
    hint: without quotes: true
    "#);
    insta::assert_snapshot!(behind(r#"[monitor]
server_timing = { secret = "x" }"#), @r#"
    gateway.toml:4:17: monitor.server_timing: token is missing
    4 | server_timing = { secret = "x" }
      |                 ^^^^^^^^^^^^^^^^ 8 to 256 printable ASCII characters, no space
    hint: token = "${TIMING_TOKEN:-a-long-secret}"

    gateway.toml:4:19: monitor.server_timing: unknown key "secret"
    4 | server_timing = { secret = "x" }
      |                   ^^^^^^ known keys: token
    hint: did you mean "token"?
    "#);
    insta::assert_snapshot!(behind(r#"[monitor]
server_timing = { token = "short" }"#), @r#"
    gateway.toml:4:27: monitor.server_timing.token: 5 characters are too short
    4 | server_timing = { token = "short" }
      |                           ^^^^^^^ 8 to 256 printable ASCII characters, no space
    "#);
    insta::assert_snapshot!(behind(r#"[monitor]
request_id = "x-request-id"
trace = "on"
trace_sample = "200%"
tracing = true"#), @r#"
    gateway.toml:4:14: monitor.request_id: a string
    4 | request_id = "x-request-id"
      |              ^^^^^^^^^^^^^^ true or false

    gateway.toml:5:9: monitor.trace: a string
    5 | trace = "on"
      |         ^^^^ true or false
    hint: without quotes: true

    gateway.toml:6:16: monitor.trace_sample: 200% is too large
    6 | trace_sample = "200%"
      |                ^^^^^^ a share from 0% to 100%

    gateway.toml:7:1: monitor: unknown key "tracing"
    7 | tracing = true
      | ^^^^^^^ known keys: access_log, log_format, log_sample, redact, server_timing, request_id, trace, trace_sample, otlp
    hint: did you mean "trace"?
    "#);
}

#[test]
fn where_telemetry_is_sent() {
    insta::assert_snapshot!(behind(r#"[monitor]
otlp = "localhost:4317""#), @r#"
    gateway.toml:4:8: monitor.otlp: "localhost:4317" has no scheme
    4 | otlp = "localhost:4317"
      |        ^^^^^^^^^^^^^^^^ http or https, a host and perhaps a port, such as http://localhost:4317
    hint: did you mean "http://localhost:4317"?
    "#);
    insta::assert_snapshot!(behind(r#"[monitor]
otlp = "grpc://localhost:4317""#), @r#"
    gateway.toml:4:9: monitor.otlp: scheme "grpc"
    4 | otlp = "grpc://localhost:4317"
      |         ^^^^ http or https, a host and perhaps a port, such as http://localhost:4317
    hint: did you mean "http://"?
    "#);
    insta::assert_snapshot!(behind(r#"[monitor.otlp]
url = "http://localhost:4318/v1/traces"
protocol = "http/protobuf"
every = "1ms""#), @r#"
    gateway.toml:4:30: monitor.otlp.url: the path of one signal, and there are two
    4 | url = "http://localhost:4318/v1/traces"
      |                              ^^^^^^^^^ http or https, a host and perhaps a port, such as http://localhost:4317
    hint: did you mean "http://localhost:4318"?

    gateway.toml:5:12: monitor.otlp.protocol: "http/protobuf" is not known
    5 | protocol = "http/protobuf"
      |            ^^^^^^^^^^^^^^^ "grpc", "http"
    hint: did you mean "http"?

    gateway.toml:6:9: monitor.otlp.every: 1ms is too short
    6 | every = "1ms"
      |         ^^^^^ a duration from 1s to 1h
    "#);
    insta::assert_snapshot!(behind(r#"[monitor.otlp]
endpoint = "http://localhost:4317"
headers = "a=b""#), @r#"
    gateway.toml:3:1: monitor.otlp: url is missing
    3 | [monitor.otlp]
      | ^^^^^^^^^^^^^^ http or https, a host and perhaps a port, such as http://localhost:4317
    hint: url = "http://localhost:4317"

    gateway.toml:4:1: monitor.otlp: unknown key "endpoint"
    4 | endpoint = "http://localhost:4317"
      | ^^^^^^^^ known keys: url, protocol, fields, every, metrics, traces, service
    hint: did you mean "url"?

    gateway.toml:5:1: monitor.otlp: unknown key "headers"
    5 | headers = "a=b"
      | ^^^^^^^ known keys: url, protocol, fields, every, metrics, traces, service
    hint: did you mean "fields"?
    "#);
    insta::assert_snapshot!(behind(r#"[monitor.otlp]
url = "http://me:secret@localhost:4317?x""#), @r#"
    gateway.toml:4:39: monitor.otlp.url: a query or fragment in the URL of a receiver
    4 | url = "http://me:secret@localhost:4317?x"
      |                                       ^^ http or https, a host and perhaps a port, such as http://localhost:4317
    "#);
    insta::assert_snapshot!(behind(r#"[monitor.otlp]
url = "http://me:secret@localhost:4317"
fields = { Host = "a", "a b" = "c", x = "", Y = "1", y = "2", z = 5 }
service = """#), @r#"
    gateway.toml:4:15: monitor.otlp.url: a user or password in a URL
    4 | url = "http://me:secret@localhost:4317"
      |               ^^^^^^^^^^ http or https, a host and perhaps a port, such as http://localhost:4317
    hint: send it as a field: fields = { authorization = "Basic ..." }

    gateway.toml:5:12: monitor.otlp.fields: "Host" is the protocol's own
    5 | fields = { Host = "a", "a b" = "c", x = "", Y = "1", y = "2", z = 5 }
      |            ^^^^ a field that the protocol gives no meaning to, such as authorization

    gateway.toml:5:24: monitor.otlp.fields: "a b" is no name of a field
    5 | fields = { Host = "a", "a b" = "c", x = "", Y = "1", y = "2", z = 5 }
      |                        ^^^^^ the name of a field
    hint: did you mean "a-b"?

    gateway.toml:5:41: monitor.otlp.fields: the value of x cannot be sent
    5 | fields = { Host = "a", "a b" = "c", x = "", Y = "1", y = "2", z = 5 }
      |                                         ^^ 1 to 4096 printable ASCII characters

    gateway.toml:5:54: monitor.otlp.fields: "y" twice
    5 | fields = { Host = "a", "a b" = "c", x = "", Y = "1", y = "2", z = 5 }
      |                                                      ^
    5 | fields = { Host = "a", "a b" = "c", x = "", Y = "1", y = "2", z = 5 }
      |                                             ^ first here

    gateway.toml:5:67: monitor.otlp.fields: z is 5
    5 | fields = { Host = "a", "a b" = "c", x = "", Y = "1", y = "2", z = 5 }
      |                                                                   ^ a string
    hint: write it in quotes: "5"

    gateway.toml:6:11: monitor.otlp.service: this name cannot be used
    6 | service = ""
      |           ^^ 1 to 128 printable characters
    "#);
    insta::assert_snapshot!(behind(r#"[monitor]
otlp = { url = "http://a", fields = "Bearer x" }"#), @r#"
    gateway.toml:4:37: monitor.otlp.fields: a string
    4 | otlp = { url = "http://a", fields = "Bearer x" }
      |                                     ^^^^^^^^^^ a table of names of fields and values
    hint: fields = { authorization = "Bearer ${OTLP_TOKEN:-secret}" }
    "#);
}

#[test]
fn what_a_route_promises() {
    insta::assert_snapshot!(promising(r#"{ p999 = "200ms" }"#), @r#"
    gateway.toml:6:15: route "*": objective: "p999" is not known
    6 | objective = { p999 = "200ms" }
      |               ^^^^ a percentile from p1 to p99.99, or success
    hint: with a dot, in quotes: "p99.9"
    "#);
    insta::assert_snapshot!(promising(r#"{ latency = "200ms", availability = "99%", sucess = "99%" }"#), @r#"
    gateway.toml:6:15: route "*": objective: "latency" is not known
    6 | objective = { latency = "200ms", availability = "99%", sucess = "99%" }
      |               ^^^^^^^ a percentile from p1 to p99.99, or success
    hint: did you mean "p99"?

    gateway.toml:6:34: route "*": objective: "availability" is not known
    6 | objective = { latency = "200ms", availability = "99%", sucess = "99%" }
      |                                  ^^^^^^^^^^^^ a percentile from p1 to p99.99, or success
    hint: did you mean "success"?

    gateway.toml:6:56: route "*": objective: "sucess" is not known
    6 | objective = { latency = "200ms", availability = "99%", sucess = "99%" }
      |                                                        ^^^^^^ a percentile from p1 to p99.99, or success
    hint: did you mean "success"?
    "#);
    insta::assert_snapshot!(promising(r#"{ p99 = "200", p95 = 300, success = "100%" }"#), @r#"
    gateway.toml:6:21: route "*": objective: "200" is no duration
    6 | objective = { p99 = "200", p95 = 300, success = "100%" }
      |                     ^^^^^ a duration from 1us to 1h
    hint: write a unit: "200ms"

    gateway.toml:6:34: route "*": objective: p95 is 300
    6 | objective = { p99 = "200", p95 = 300, success = "100%" }
      |                                  ^^^ a string
    hint: write it in quotes: "300"

    gateway.toml:6:49: route "*": objective: success: 100% leaves no request that may fail
    6 | objective = { p99 = "200", p95 = 300, success = "100%" }
      |                                                 ^^^^^^ a share from 1% to 99.99%
    hint: try 99.9%
    "#);
    insta::assert_snapshot!(promising(r#"{ success = "0.999" }"#), @r#"
    gateway.toml:6:25: route "*": objective: success: "0.999" is no share
    6 | objective = { success = "0.999" }
      |                         ^^^^^^^ a share from 1% to 99.99%
    hint: did you mean "99.9%"?
    "#);
    insta::assert_snapshot!(promising(r#"{ p99 = "100ms", p95 = "200ms" }"#), @r#"
    gateway.toml:6:36: route "*": objective: p95 is 200ms, and p99 100ms
    6 | objective = { p99 = "100ms", p95 = "200ms" }
      |                                    ^^^^^^^ less than 100ms, or nothing
    6 | objective = { p99 = "100ms", p95 = "200ms" }
      |                     ^^^^^^^ what this promises
    hint: are the two the wrong way round?
    "#);
    insta::assert_snapshot!(promising(r#"{ p100 = "1s", "p0.5" = "1s", "P50" = "1s", "99" = "1s", "p99.999" = "1s" }"#), @r#"
    gateway.toml:6:15: route "*": objective: "p100" promises too much
    6 | objective = { p100 = "1s", "p0.5" = "1s", "P50" = "1s", "99" = "1s", "p99.999" = "1s" }
      |               ^^^^ a percentile from p1 to p99.99, or success

    gateway.toml:6:28: route "*": objective: "p0.5" promises too little
    6 | objective = { p100 = "1s", "p0.5" = "1s", "P50" = "1s", "99" = "1s", "p99.999" = "1s" }
      |                            ^^^^^^ a percentile from p1 to p99.99, or success

    gateway.toml:6:43: route "*": objective: "P50" is not known
    6 | objective = { p100 = "1s", "p0.5" = "1s", "P50" = "1s", "99" = "1s", "p99.999" = "1s" }
      |                                           ^^^^^ a percentile from p1 to p99.99, or success
    hint: did you mean "p50"?

    gateway.toml:6:57: route "*": objective: "99" is not known
    6 | objective = { p100 = "1s", "p0.5" = "1s", "P50" = "1s", "99" = "1s", "p99.999" = "1s" }
      |                                                         ^^^^ a percentile from p1 to p99.99, or success
    hint: did you mean "p99"?

    gateway.toml:6:70: route "*": objective: "p99.999" is not known
    6 | objective = { p100 = "1s", "p0.5" = "1s", "P50" = "1s", "99" = "1s", "p99.999" = "1s" }
      |                                                                      ^^^^^^^^^ a percentile from p1 to p99.99, or success
    "#);
    insta::assert_snapshot!(promising(r#"{ p99 = "1s", "p99.0" = "2s", p50 = "2d" }"#), @r#"
    gateway.toml:6:27: route "*": objective: p99 twice
    6 | objective = { p99 = "1s", "p99.0" = "2s", p50 = "2d" }
      |                           ^^^^^^^
    6 | objective = { p99 = "1s", "p99.0" = "2s", p50 = "2d" }
      |                     ^^^^ first here

    gateway.toml:6:49: route "*": objective: 2d is too long
    6 | objective = { p99 = "1s", "p99.0" = "2s", p50 = "2d" }
      |                                                 ^^^^ a duration from 1us to 1h
    "#);
    insta::assert_snapshot!(promising(r"{}"), @r#"
    gateway.toml:6:13: route "*": objective: an empty table
    6 | objective = {}
      |             ^^ a table of percentiles with a time, and success with a share: p99 = "200ms", success = "99.9%"
    hint: take the key out
    "#);
    insta::assert_snapshot!(promising(r#"{ p99.9 = "200ms" }"#), @r#"
    gateway.toml:6:15: route "*": objective: p99 is a table
    6 | objective = { p99.9 = "200ms" }
      |               ^^^ a string
    hint: a name with a dot stands in quotes: "p99.9"
    "#);
    insta::assert_snapshot!(promising(r#""200ms""#), @r#"
    gateway.toml:6:13: route "*": objective: a string
    6 | objective = "200ms"
      |             ^^^^^^^ a table of percentiles with a time, and success with a share: p99 = "200ms", success = "99.9%"
    hint: objective = { p99 = "200ms", success = "99.9%" }
    "#);
}

/// What is said of this objective.
fn promising(objective: &str) -> String {
    behind(&format!("[[route]]\nmatch = \"*\"\nto = \"shop\"\nobjective = {objective}"))
}

#[test]
fn everything_about_telling_can_be_said() {
    let found = settings(&format!(
        r#"{SHOP}
[monitor]
access_log = "logs/access.log"
log_format = "combined"
log_sample = "10%"
redact = "Session-*"
server_timing = {{ token = "long-enough" }}
request_id = true
trace_sample = "1%"
[monitor.otlp]
url = "HTTP://Collector:4318/base/"
fields = {{ Authorization = "Bearer $${{x" }}
traces = false
[[route]]
match = "*"
to = "shop"
server_timing = false
objective = {{ success = "99.9%", "p99.9" = "1s", p50 = "20ms" }}
"#
    ));
    let own = PathBuf::from("/etc/fleetfoot/logs/access.log");
    let expected = Settings {
        access_log: AccessLog::File(own),
        log_format: LogFormat::Combined,
        log_sample: Share::percent(10),
        redact: vec!["session-*".to_owned()],
        server_timing: ServerTiming::Token("long-enough".to_owned()),
        request_id: true,
        trace: true,
        trace_sample: Share::percent(1),
        otlp: Some(Otlp {
            url: "http://collector:4318/base".to_owned(),
            protocol: Protocol::Http,
            fields: vec![("authorization".to_owned(), "Bearer ${x".to_owned())],
            every: Otlp::EVERY,
            metrics: true,
            traces: false,
            service: Otlp::SERVICE.to_owned(),
        }),
    };
    assert_eq!(found.monitor, expected);
    assert_eq!(found.routes[0].server_timing, Some(false));
    let time = Duration::from_millis;
    assert_eq!(
        found.routes[0].objective,
        Some(Objective {
            latency: vec![(Share(5_000), time(20)), (Share(9_990), time(1_000))],
            success: Some(Share(9_990)),
        })
    );
    let shown = crate::show(&found);
    assert!(!shown.contains("Bearer") && !shown.contains("long-enough"), "{shown}");
    assert_eq!(shown.matches("********").count(), 2, "{shown}");
}

#[test]
fn one_url_is_all_it_takes_to_send() {
    for (url, protocol) in [
        ("http://localhost:4317", Protocol::Grpc),
        ("http://localhost:4318", Protocol::Http),
        ("https://[::1]:4318/x", Protocol::Http),
        ("https://collector", Protocol::Grpc),
    ] {
        let found = settings(&format!("monitor.otlp = \"{url}\"\n{SHOP}")).monitor.otlp;
        let found = found.expect("it is set");
        assert_eq!((found.url.as_str(), found.protocol), (url, protocol));
    }
}
