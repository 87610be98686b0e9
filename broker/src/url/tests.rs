//! Schemes, mistakes, and what is hidden of a URL.

use super::{Options, Place, open, open_bus};

#[track_caller]
fn check(url: &str, node: &str, expected: &str) {
    let options = Options::new(node, "mail");
    let opened = open(url, &options).map(|queue| queue.name().to_owned());
    assert_eq!(opened.unwrap_or_else(|error| error.to_string()), expected);
}

#[test]
fn a_scheme_says_which_broker() {
    check("amqp://guest:guest@rabbit:5672/%2f", "a", "amqp://rabbit:5672/mail");
    check("AMQPS://u:p@one,two:5671/", "a", "amqps://one,two:5671/mail");
    check("nats://one:4222,two:4222", "a", "nats://one:4222,two:4222/mail");
    check("tls+nats://token@one", "a", "tls+nats://one/mail");
}

#[test]
fn mistakes_are_named_with_what_is_known_and_without_secrets() {
    check(
        "mqtt://u:secret@host",
        "a",
        "broker URL with unknown scheme \"mqtt\"; known are amqp, amqps, nats, tls+nats, kafka, \
         sqs, https+sqs, pubsub",
    );
    check("u:secret@host", "a", "broker URL host: no scheme; such as `nats://host:4222`");
    check("nats://u:secret@/path", "a", "broker URL /path: no host; such as `nats://host:4222`");
    check(
        "nats://host",
        "a.b",
        "the node name \"a.b\" is not usable with a broker: 1 to 64 letters, digits, `-` or `_`",
    );
    let error = open_bus("mqtt://host", &Options::new("a", "mail")).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("known are amqp"), "{error}");
}

#[test]
fn a_url_is_taken_apart() {
    let place = Place::parse("amqp://u:p%40@h:1,i:2/%2f?heartbeat=5").unwrap();
    assert_eq!(place.credentials.as_deref(), Some("u:p%40"));
    assert_eq!(place.hosts, ["h:1", "i:2"]);
    assert_eq!((place.path.as_str(), place.query.as_str()), ("%2f", "heartbeat=5"));
    assert_eq!(format!("{place:?}"), "amqp://h:1,i:2/%2f");
}
