//! What is said about mistakes in `[offload]`, in queues and in a route's `offload`.

use super::{SHOP, behind, settings};

const ROUTE: &str = "[[route]]\nmatch = \"POST /mail/{id}\"\nto = \"shop\"\n";

/// The report of a route that says this.
fn route(text: &str) -> String {
    behind(&format!("{ROUTE}{text}"))
}

#[test]
fn a_queue_that_is_not_there() {
    insta::assert_snapshot!(behind(&format!("[queue.mails]\n{ROUTE}offload = \"mail\"")), @r#"
    gateway.toml:7:11: route "POST /mail/{id}": offload: unknown queue "mail"
    7 | offload = "mail"
      |           ^^^^^^ known queues: default, mails
    hint: did you mean "mails"?
    "#);
    insta::assert_snapshot!(route(r#"offload = { queue = "reports" }"#), @r#"
    gateway.toml:6:21: route "POST /mail/{id}": offload.queue: unknown queue "reports"
    6 | offload = { queue = "reports" }
      |                     ^^^^^^^^^ known queues: default
    hint: [queue.reports] makes one
    "#);
    insta::assert_snapshot!(route(r#"offload = "true""#), @r#"
    gateway.toml:6:11: route "POST /mail/{id}": offload: unknown queue "true"
    6 | offload = "true"
      |           ^^^^^^ known queues: default
    hint: without quotes: true
    "#);
    insta::assert_snapshot!(route(r"offload = 1"), @r#"
    gateway.toml:6:11: route "POST /mail/{id}": offload: a whole number
    6 | offload = 1
      |           ^ true, false, the name of a queue, or a table of queue, when, order, debounce, idempotency, idempotency_time, delay, client_delay, expires, priority, drop, encrypt, callback
    hint: offload = true
    "#);
}

#[test]
fn words_of_other_programs() {
    insta::assert_snapshot!(route("async = true"), @r#"
    gateway.toml:6:1: route "POST /mail/{id}": unknown key "async"
    6 | async = true
      | ^^^^^ known keys: match, to, name, shadow, class, rate, strip, prepend, timeout, cache, server_timing, objective, offload, publish
    hint: did you mean "offload"?
    "#);
    insta::assert_snapshot!(behind("[jobs]\nstore = \"a\""), @r#"
    gateway.toml:3:2: unknown key "jobs"
    3 | [jobs]
      |  ^^^^ known keys: listen, admin, threads, grace, zone, limits, tls, forward, monitor, cache, deadline, rate, offload, queue, events, service, route
    hint: did you mean "offload"?
    "#);
    insta::assert_snapshot!(behind("[queue.mail]\nvisibility = \"30s\"\ndlq = \"dead\""), @r#"
    gateway.toml:4:1: queue.mail: unknown key "visibility"
    4 | visibility = "30s"
      | ^^^^^^^^^^ known keys: broker, takes, away, at_once, rate, replay_rate, retry, try_time, expires, jobs_max, age_max, on_dead
    hint: did you mean "try_time"?

    gateway.toml:5:1: queue.mail: unknown key "dlq"
    5 | dlq = "dead"
      | ^^^ known keys: broker, takes, away, at_once, rate, replay_rate, retry, try_time, expires, jobs_max, age_max, on_dead
    hint: did you mean "on_dead"?
    "#);
    insta::assert_snapshot!(behind("[queue.mail.retry]\nattempts = 3\nmax_interval = \"1m\""), @r#"
    gateway.toml:4:1: queue.mail.retry: unknown key "attempts"
    4 | attempts = 3
      | ^^^^^^^^ known keys: tries, backoff, growth, backoff_max, statuses, lost_max
    hint: did you mean "tries"?

    gateway.toml:5:1: queue.mail.retry: unknown key "max_interval"
    5 | max_interval = "1m"
      | ^^^^^^^^^^^^ known keys: tries, backoff, growth, backoff_max, statuses, lost_max
    hint: did you mean "backoff_max"?
    "#);
    insta::assert_snapshot!(route("offload = { ordering_key = \"a\", retries = 3 }"), @r#"
    gateway.toml:6:13: route "POST /mail/{id}": offload: unknown key "ordering_key"
    6 | offload = { ordering_key = "a", retries = 3 }
      |             ^^^^^^^^^^^^ known keys: queue, when, order, debounce, idempotency, idempotency_time, delay, client_delay, expires, priority, drop, encrypt, callback
    hint: did you mean "order"?

    gateway.toml:6:33: route "POST /mail/{id}": offload: unknown key "retries"
    6 | offload = { ordering_key = "a", retries = 3 }
      |                                 ^^^^^^^ known keys: queue, when, order, debounce, idempotency, idempotency_time, delay, client_delay, expires, priority, drop, encrypt, callback
    hint: did you mean "queue"?
    "#);
    insta::assert_snapshot!(behind("[offload]\nnodes = 3"), @r#"
    gateway.toml:4:1: offload: unknown key "nodes"
    4 | nodes = 3
      | ^^^^^ known keys: store, durability, node, peers, secret, key, path, jobs_max, bytes_max, body_max, free_min, keep, keep_dead, answer_max, wait_max, callback
    hint: did you mean "peers"?
    "#);
    insta::assert_snapshot!(route("at_once = 3"), @r#"
    gateway.toml:6:1: route "POST /mail/{id}": unknown key "at_once"
    6 | at_once = 3
      | ^^^^^^^ known keys: match, to, name, shadow, class, rate, strip, prepend, timeout, cache, server_timing, objective, offload, publish
    hint: "at_once" belongs in [queue.NAME]
    "#);
}

#[test]
fn keys_of_order_and_debounce() {
    insta::assert_snapshot!(route(r#"offload = { order = "{ID}" }"#), @r#"
    gateway.toml:6:21: route "POST /mail/{id}": offload.order: no parameter "ID" in match
    6 | offload = { order = "{ID}" }
      |                     ^^^^^^ parameters: id
    "#);
    insta::assert_snapshot!(route(r#"offload = { order = "a{id" }"#), @r#"
    gateway.toml:6:23: route "POST /mail/{id}": offload.order: a lone {
    6 | offload = { order = "a{id" }
      |                       ^ parameters in braces: {id}
    "#);
    insta::assert_snapshot!(route(r#"offload = { debounce = "{headers.X-Account}" }"#), @r#"
    gateway.toml:6:24: route "POST /mail/{id}": offload.debounce: {headers.X-Account} is not known
    6 | offload = { debounce = "{headers.X-Account}" }
      |                        ^^^^^^^^^^^^^^^^^^^^^ {parameters} of match, or {header.NAME}
    hint: did you mean "{header.X-Account}"?
    "#);
    insta::assert_snapshot!(route(r#"offload = { debounce = "{query.id}" }"#), @r#"
    gateway.toml:6:24: route "POST /mail/{id}": offload.debounce: {query.id} is not known
    6 | offload = { debounce = "{query.id}" }
      |                        ^^^^^^^^^^^^ {parameters} of match, or {header.NAME}
    "#);
    insta::assert_snapshot!(route(r#"offload = { debounce = "{header.Connection}" }"#), @r#"
    gateway.toml:6:33: route "POST /mail/{id}": offload.debounce: "Connection" has a meaning in HTTP already
    6 | offload = { debounce = "{header.Connection}" }
      |                                 ^^^^^^^^^^ a field that HTTP gives no meaning to
    hint: take one of your own, such as {header.X-Account}
    "#);
    insta::assert_snapshot!(route(r#"offload = { order = "" }"#), @r#"
    gateway.toml:6:21: route "POST /mail/{id}": offload.order: an empty key
    6 | offload = { order = "" }
      |                     ^^ text such as {id} or {header.X-Account}
    hint: take the key out
    "#);
}

#[test]
fn what_does_not_go_with_jobs() {
    insta::assert_snapshot!(route("cache = { ttl = \"1m\" }\noffload = true"), @r#"
    gateway.toml:7:11: route "POST /mail/{id}": offload: it does not go with cache: the answer is always 202, and never stored
    7 | offload = true
      |           ^^^^ one of the two
    6 | cache = { ttl = "1m" }
      |         ^^^^^^^^^^^^^^ cache is set here
    hint: offload = { when = "prefer" } leaves the others as they are
    "#);
    let next = "[service.next]\nservers = \"http://b\"\n";
    insta::assert_snapshot!(
        behind(&format!("{next}{ROUTE}shadow = \"next\"\noffload = {{ when = \"always\" }}")), @r#"
    gateway.toml:9:11: route "POST /mail/{id}": offload: it does not go with shadow: jobs are delivered to one service alone
    9 | offload = { when = "always" }
      |           ^^^^^^^^^^^^^^^^^^^ one of the two
    8 | shadow = "next"
      |          ^^^^^^ shadow is set here
    hint: offload = { when = "prefer" } leaves the others as they are
    "#);
    for fine in [
        "cache = false\noffload = true",
        "cache = { ttl = \"1m\" }\noffload = { when = \"prefer\" }",
        "shadow = \"next\"\noffload = { when = \"prefer\" }",
        "cache = true\noffload = false",
    ] {
        settings(&format!("{SHOP}{next}{ROUTE}{fine}\n"));
    }
}

#[test]
fn fields_that_are_dropped_or_encrypted() {
    insta::assert_snapshot!(route(r#"offload = { encrypt = ["cookie"] }"#), @r#"
    gateway.toml:6:24: route "POST /mail/{id}": offload.encrypt: there is no key to encrypt with
    6 | offload = { encrypt = ["cookie"] }
      |                        ^^^^^^^^ needs key in [offload]
    hint: [offload] key = "${OFFLOAD_KEY}"; openssl rand -base64 32 makes one
    "#);
    insta::assert_snapshot!(route(r#"offload = { drop = ["Content-Length", "Host"] }"#), @r#"
    gateway.toml:6:21: route "POST /mail/{id}": offload.drop: "Content-Length" has a meaning in HTTP already
    6 | offload = { drop = ["Content-Length", "Host"] }
      |                     ^^^^^^^^^^^^^^^^ a field that HTTP gives no meaning to
    hint: take one of your own, such as Authorization

    gateway.toml:6:39: route "POST /mail/{id}": offload.drop: "Host" says what the request is
    6 | offload = { drop = ["Content-Length", "Host"] }
      |                                       ^^^^^^ a field that the service can do without
    hint: such as Authorization or Cookie
    "#);
    insta::assert_snapshot!(behind(&format!(
        "[offload]\nkey = \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=\"\n{ROUTE}offload = {{ drop = \"Cookie\", encrypt = \"cookie\" }}"
    )), @r#"
    gateway.toml:8:40: route "POST /mail/{id}": offload.encrypt: cookie is dropped
    8 | offload = { drop = "Cookie", encrypt = "cookie" }
      |                                        ^^^^^^^^ one of the two
    8 | offload = { drop = "Cookie", encrypt = "cookie" }
      |                    ^^^^^^^^ here
    "#);
}

#[test]
fn times_that_leave_nothing() {
    insta::assert_snapshot!(route(r#"offload = { delay = "1h", expires = "1h" }"#), @r#"
    gateway.toml:6:21: route "POST /mail/{id}": offload.delay: after 1h all jobs have expired
    6 | offload = { delay = "1h", expires = "1h" }
      |                     ^^^^ less than expires, 1h
    6 | offload = { delay = "1h", expires = "1h" }
      |                                     ^^^^ expires is set here
    "#);
    insta::assert_snapshot!(behind(&format!(
        "[queue.default]\nexpires = \"1m\"\n{ROUTE}offload = {{ delay = \"2m\" }}"
    )), @r#"
    gateway.toml:8:21: route "POST /mail/{id}": offload.delay: after 2m all jobs have expired
    8 | offload = { delay = "2m" }
      |                     ^^^^ less than expires of queue "default", 1m
    "#);
    insta::assert_snapshot!(route("offload = { client_delay = true }"), @r#"
    gateway.toml:6:28: route "POST /mail/{id}": offload.client_delay: true
    6 | offload = { client_delay = true }
      |                            ^^^^ a duration from 1s to 365d, or false
    hint: client_delay = "7d"
    "#);
    insta::assert_snapshot!(behind("[queue.mail.retry]\nbackoff = \"2m\"\nbackoff_max = \"1m\""), @r#"
    gateway.toml:4:11: queue.mail.retry.backoff: 2m is longer than backoff_max
    4 | backoff = "2m"
      |           ^^^^ at most backoff_max, 1m
    5 | backoff_max = "1m"
      |               ^^^^ backoff_max is set here
    "#);
    insta::assert_snapshot!(behind("[queue.mail.retry]\ntries = 2\nlost_max = 3"), @r"
    gateway.toml:5:12: queue.mail.retry.lost_max: 3 is more than tries
    5 | lost_max = 3
      |            ^ at most tries, 2
    4 | tries = 2
      |         ^ tries is set here
    ");
}

#[test]
fn who_is_called() {
    insta::assert_snapshot!(route(r#"offload = { callback = "http://a/b" }"#), @r#"
    gateway.toml:6:25: route "POST /mail/{id}": offload.callback: scheme "http"
    6 | offload = { callback = "http://a/b" }
      |                         ^^^^ an https URL, such as https://hooks.example/jobs
    hint: [offload.callback] http = true lets callbacks go in the clear
    "#);
    insta::assert_snapshot!(route(r#"offload = { callback = "https://me:pass@a/b" }"#), @r#"
    gateway.toml:6:33: route "POST /mail/{id}": offload.callback: a user or password in a URL
    6 | offload = { callback = "https://me:pass@a/b" }
      |                                 ^^^^^^^^ an https URL, such as https://hooks.example/jobs
    hint: callbacks are signed: [offload.callback] secrets
    "#);
    insta::assert_snapshot!(route(r#"offload = { callback = "Callback-URL" }"#), @r#"
    gateway.toml:6:24: route "POST /mail/{id}": offload.callback: "Callback-URL" has no scheme
    6 | offload = { callback = "Callback-URL" }
      |                        ^^^^^^^^^^^^^^ an https URL, such as https://hooks.example/jobs
    hint: a field of the request: callback = { field = "Callback-URL" }
    "#);
    insta::assert_snapshot!(route(r#"offload = { callback = "hooks.example/a" }"#), @r#"
    gateway.toml:6:24: route "POST /mail/{id}": offload.callback: "hooks.example/a" has no scheme
    6 | offload = { callback = "hooks.example/a" }
      |                        ^^^^^^^^^^^^^^^^^ an https URL, such as https://hooks.example/jobs
    hint: did you mean "https://hooks.example/a"?
    "#);
    insta::assert_snapshot!(route(r#"offload = { callback = { url = "https://a", field = "B" } }"#), @r#"
    gateway.toml:6:53: route "POST /mail/{id}": offload.callback.field: there is url already
    6 | offload = { callback = { url = "https://a", field = "B" } }
      |                                                     ^^^ one of the two
    6 | offload = { callback = { url = "https://a", field = "B" } }
      |                                ^^^^^^^^^^^ url is set here
    "#);
    insta::assert_snapshot!(route(r"offload = { callback = {} }"), @r#"
    gateway.toml:6:24: route "POST /mail/{id}": offload.callback: it does not say who is told
    6 | offload = { callback = {} }
      |                        ^^ one of url, field
    "#);
    insta::assert_snapshot!(behind("[offload.callback]\nallow = \"10.0.0.1/8\"\nsecrets = [\"whsec_abc\", \"secret\"]"), @r#"
    gateway.toml:4:9: offload.callback.allow: "10.0.0.1/8" has bits beyond its prefix
    4 | allow = "10.0.0.1/8"
      |         ^^^^^^^^^^^^ a network such as 10.0.0.0/8 or 2001:db8::/32, or an address
    hint: did you mean "10.0.0.0/8"?

    gateway.toml:5:12: offload.callback.secrets: 2 bytes
    5 | secrets = ["whsec_abc", "secret"]
      |            ^^^^^^^^^^^ whsec_ and 24 to 64 bytes as Base64
    hint: echo whsec_$(openssl rand -base64 32) makes a good one

    gateway.toml:5:25: offload.callback.secrets: it does not start with whsec_
    5 | secrets = ["whsec_abc", "secret"]
      |                         ^^^^^^^^ whsec_ and 24 to 64 bytes as Base64
    hint: echo whsec_$(openssl rand -base64 32) makes a good one
    "#);
}

#[test]
fn gateways_that_share() {
    insta::assert_snapshot!(behind("[offload]\nnode = \"a\"\nsecret = \"sixteen-or-more-of-them\"\npeers = { a = \"http://b\", c = \"b:80\", \"d e\" = \"http://d\" }"), @r#"
    gateway.toml:6:11: offload.peers: "a" is this gateway itself
    6 | peers = { a = "http://b", c = "b:80", "d e" = "http://d" }
      |           ^ a gateway of its own
    4 | node = "a"
      |        ^^^ node is set here
    hint: name only the others, or give this one another node

    gateway.toml:6:31: offload.peers: "b:80" has no scheme
    6 | peers = { a = "http://b", c = "b:80", "d e" = "http://d" }
      |                               ^^^^^^ http or https, a host and perhaps a port, such as http://10.0.0.1:3000
    hint: did you mean "http://b:80"?

    gateway.toml:6:39: offload.peers: "d e" is no name of a gateway
    6 | peers = { a = "http://b", c = "b:80", "d e" = "http://d" }
      |                                       ^^^^^ 1 to 64 letters, digits, - and _
    "#);
    insta::assert_snapshot!(behind("[offload]\npeers = { b = \"http://b\" }"), @r#"
    gateway.toml:4:9: offload: there are peers, and node is not set
    4 | peers = { b = "http://b" }
      |         ^^^^^^^^^^^^^^^^^^ a name of its own for each gateway
    hint: [offload] node = "a"

    gateway.toml:4:9: offload: there are peers, and secret is not set
    4 | peers = { b = "http://b" }
      |         ^^^^^^^^^^^^^^^^^^ one secret for all gateways: each must know the others' addresses
    hint: [offload] secret = "${OFFLOAD_SECRET}"
    "#);
    insta::assert_snapshot!(behind("[queue.mail]\nbroker = \"amqp://a\""), @r#"
    gateway.toml:4:10: offload: queue "mail" has a broker, and node is not set
    4 | broker = "amqp://a"
      |          ^^^^^^^^^^ a name of its own for each gateway
    hint: [offload] node = "a"

    gateway.toml:4:10: offload: queue "mail" has a broker, and secret is not set
    4 | broker = "amqp://a"
      |          ^^^^^^^^^^ one secret for all gateways: each must know the others' addresses
    hint: [offload] secret = "${OFFLOAD_SECRET}"
    "#);
}

#[test]
fn gateways_that_ids_cannot_tell_apart() {
    use offload::job::Node;
    let names = (0..).map(|n: u32| format!("n{n}"));
    let twin = names.skip(1).find(|name| Node::named(name) == Node::named("n0"));
    let twin = twin.expect("there are 4096 tags");
    insta::assert_snapshot!(behind(&format!(
        "[offload]\nnode = \"n0\"\nsecret = \"sixteen-or-more-of-them\"\npeers = {{ {twin} = \"http://b\" }}"
    )), @r#"
    gateway.toml:6:11: offload.peers: job ids cannot tell "n9248" and "n0" apart
    6 | peers = { n9248 = "http://b" }
      |           ^^^^^ a gateway of its own
    4 | node = "n0"
      |        ^^^^ this gateway
    hint: ids hold 12 bits of a name's checksum, and these two agree in them: give one of the two another node
    "#);
}

#[test]
fn secrets() {
    insta::assert_snapshot!(behind("[offload]\nsecret = \"short\"\nkey = \"abc\""), @r#"
    gateway.toml:4:10: offload.secret: 5 characters are too few
    4 | secret = "short"
      |          ^^^^^^^ 16 to 256 printable ASCII characters, no space
    hint: openssl rand -base64 32 makes a good one

    gateway.toml:5:7: offload.key: 2 bytes
    5 | key = "abc"
      |       ^^^^^ 32 bytes, as 64 hexadecimal digits or as Base64
    hint: openssl rand -base64 32 makes a good one
    "#);
    insta::assert_snapshot!(behind("[offload]\nkey = \"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZQ==\""), @r#"
    gateway.toml:4:7: offload.key: 31 bytes
    4 | key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZQ=="
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 32 bytes, as 64 hexadecimal digits or as Base64
    hint: openssl rand -base64 32 makes a good one
    "#);
    let zeros = "0".repeat(64);
    insta::assert_snapshot!(behind(&format!("[offload]\nkey = \"{zeros}\"")), @r#"
    gateway.toml:4:7: offload.key: the same byte 32 times
    4 | key = "0000000000000000000000000000000000000000000000000000000000000000"
      |       ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^ 32 bytes, as 64 hexadecimal digits or as Base64
    hint: openssl rand -base64 32 makes a good one
    "#);
}

#[test]
fn what_is_shown_of_secrets_is_refused() {
    let text = format!(
        "{SHOP}[offload]\nnode = \"a\"\nsecret = \"sixteen-or-more-of-them\"\n\
         key = \"00000000000000000000000000000000000000000000000000000000000000f1\"\n\
         callback.secrets = \"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3\"\n\
         [queue.a]\nbroker = \"nats://token@h/x?password=abc&tls_ca=f\"\n\
         [queue.b]\nbroker = \"amqp://me:pass@h\"\n{ROUTE}\
         offload = {{ callback = \"https://h/a?sig=abc\" }}\n"
    );
    let shown = crate::show(&settings(&text));
    for secret in ["sixteen", "f1\"", "MDEy", "token@", "abc", "pass@"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
    for kept in ["nats://********@h/x?password=********&tls_ca=f", "me:********@h", "a?********"] {
        assert!(shown.contains(kept), "{kept} not in {shown}");
    }
    let report = super::read(&shown).expect_err("secrets are lost").to_string();
    let refused = report.matches("asterisks in the place of a secret").count();
    assert_eq!((refused, report.matches("hint:").count()), (3, 3), "{report}");
}

#[test]
fn brokers() {
    insta::assert_snapshot!(behind("[queue.a]\nbroker = \"rabbitmq://a\""), @r#"
    gateway.toml:4:11: queue.a.broker: scheme "rabbitmq"
    4 | broker = "rabbitmq://a"
      |           ^^^^^^^^ amqp, amqps, nats, tls+nats, kafka, kafkas, sqs, https+sqs or pubsub, ://, and a host: amqp://10.0.0.5:5672
    hint: did you mean "amqp://"?
    "#);
    let found = settings(&format!(
        "{SHOP}[offload]\nnode = \"a\"\nsecret = \"sixteen-or-more-of-them\"\n[queue.a]\nbroker = \"TLS://a\"\n"
    ));
    let offload = found.offload.expect("there is a queue");
    assert_eq!(offload.queues[1].broker.as_deref(), Some("tls+nats://a"));
    insta::assert_snapshot!(behind("[offload]\nnode = \"edge.1\""), @r#"
    gateway.toml:4:8: offload.node: "edge.1" is no name of a gateway
    4 | node = "edge.1"
      |        ^^^^^^^^ 1 to 64 letters, digits, - and _
    hint: did you mean "edge-1"?
    "#);
    insta::assert_snapshot!(behind("[queue.a]\nbroker = \"10.0.0.5:9092\""), @r#"
    gateway.toml:4:10: queue.a.broker: no scheme
    4 | broker = "10.0.0.5:9092"
      |          ^^^^^^^^^^^^^^^ amqp, amqps, nats, tls+nats, kafka, kafkas, sqs, https+sqs or pubsub, ://, and a host: amqp://10.0.0.5:5672
    hint: did you mean "kafka://" before it?
    "#);
    insta::assert_snapshot!(behind("[queue.a]\nbroker = \"redis://a\""), @r#"
    gateway.toml:4:11: queue.a.broker: scheme "redis"
    4 | broker = "redis://a"
      |           ^^^^^ amqp, amqps, nats, tls+nats, kafka, kafkas, sqs, https+sqs or pubsub, ://, and a host: amqp://10.0.0.5:5672
    hint: jobs are not kept in Redis: without a broker they are in the gateway's own log
    "#);
    insta::assert_snapshot!(behind("[queue.a]\nbroker = \"kafka://a:9092,b:x\""), @r#"
    gateway.toml:4:28: queue.a.broker: "x" is no port
    4 | broker = "kafka://a:9092,b:x"
      |                            ^ a port from 1 to 65535
    "#);
    insta::assert_snapshot!(behind("[queue.a]\nbroker = \"amqp://me:pass word@a\""), @r#"
    gateway.toml:4:25: queue.a.broker: a character that this URL cannot have
    4 | broker = "amqp://me:pass word@a"
      |                         ^ amqp, amqps, nats, tls+nats, kafka, kafkas, sqs, https+sqs or pubsub, ://, and a host: amqp://10.0.0.5:5672
    hint: in a password, write % and two hexadecimal digits for it
    "#);
    insta::assert_snapshot!(behind("[queue.a]\naway = \"spill\""), @r#"
    gateway.toml:4:8: queue.a.away: there is no broker
    4 | away = "spill"
      |        ^^^^^^^ goes with the key broker
    hint: broker = "amqp://10.0.0.5:5672"
    "#);
}

#[test]
fn bounds_of_queues() {
    insta::assert_snapshot!(behind("[offload]\njobs_max = 10\n[queue.a]\njobs_max = 11"), @r"
    gateway.toml:6:12: queue.a.jobs_max: 11 is more than jobs_max of [offload]
    6 | jobs_max = 11
      |            ^^ at most jobs_max of [offload], 10
    4 | jobs_max = 10
      |            ^^ jobs_max of [offload] is set here
    ");
    insta::assert_snapshot!(behind("[queue.a]\njobs_max = 1000001"), @r"
    gateway.toml:4:12: queue.a.jobs_max: 1000001 is more than jobs_max of [offload]
    4 | jobs_max = 1000001
      |            ^^^^^^^ at most jobs_max of [offload], 1000000
    hint: jobs_max of [offload] is 1000000 unless it is set
    ");
    insta::assert_snapshot!(behind("[queue.a]\nrate = \"0/s\""), @r#"
    gateway.toml:4:9: queue.a.rate: a rate of 0 lets nothing through
    4 | rate = "0/s"
      |         ^ a number, a slash and a time, such as 100/s, 5/10s or 1000/h
    hint: jobs of a queue are held back by taking its routes out
    "#);
    insta::assert_snapshot!(behind("[queue.a]\nretry = 3"), @r"
    gateway.toml:4:9: queue.a.retry: a whole number
    4 | retry = 3
      |         ^ true, false or a table of tries, backoff, growth, backoff_max, statuses, lost_max
    ");
    insta::assert_snapshot!(behind("[queue.\"a b\"]"), @r#"
    gateway.toml:3:8: queue "a b": this name cannot be used
    3 | [queue."a b"]
      |        ^^^^^ 1 to 64 letters, digits, - and _
    "#);
    insta::assert_snapshot!(behind("[queue]\nat_once = 3"), @r#"
    gateway.toml:4:1: queue: "at_once" is no table
    4 | at_once = 3
      | ^^^^^^^ a table for each, headed [queue.NAME]
    hint: "at_once" belongs under a header such as [queue.shop]
    "#);
    insta::assert_snapshot!(behind("[offload]\nbytes_max = \"1 MiB\"\nbody_max = \"1 MiB\""), @r#"
    gateway.toml:5:12: offload.body_max: 1 MiB is more than a quarter of bytes_max
    5 | body_max = "1 MiB"
      |            ^^^^^^^ at most 256 KiB, a quarter of bytes_max
    4 | bytes_max = "1 MiB"
      |             ^^^^^^^ bytes_max is set here
    "#);
    insta::assert_snapshot!(behind("[offload]\nanswer_max = \"9 MiB\""), @r#"
    gateway.toml:4:14: offload.answer_max: 9 MiB is too large
    4 | answer_max = "9 MiB"
      |              ^^^^^^^ a size from 0 B to 8 MiB
    "#);
}

#[test]
fn paths() {
    insta::assert_snapshot!(behind("[offload]\npath = \"jobs/\"\nstore = \"\""), @r#"
    gateway.toml:4:8: offload.path: "jobs/" does not start with /
    4 | path = "jobs/"
      |        ^^^^^^^ a path that starts with / and does not end in it
    hint: did you mean "/jobs"?

    gateway.toml:5:9: offload.store: an empty path
    5 | store = ""
      |         ^^ a folder's path
    hint: store = "/var/lib/fleetfoot/jobs"
    "#);
    insta::assert_snapshot!(behind(&format!("[offload]\npath = \"/mail\"\n{ROUTE}")), @r#"
    gateway.toml:4:8: offload.path: route "POST /mail/{id}" would never be asked
    4 | path = "/mail"
      |        ^^^^^^^ /mail and all below it is about jobs
    hint: give path another place, such as path = "/.jobs"
    "#);
    insta::assert_snapshot!(behind("[[route]]\nmatch = \"/.fleetfoot/jobs/*\"\nto = \"shop\"\noffload = true"), @r#"
    gateway.toml:3:1: offload.path: route "/.fleetfoot/jobs/*" would never be asked
    3 | [[route]]
      | ^^^^^^^^^ /.fleetfoot/jobs and all below it is about jobs
    hint: give path another place, such as path = "/.jobs"
    "#);
    settings(&format!("{SHOP}[offload]\npath = \"/mail/a\"\n{ROUTE}"));
}
