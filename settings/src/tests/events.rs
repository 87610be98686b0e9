//! What files say of events, and what is said about mistakes in it.

use super::{SHOP, behind, settings};
use offload::settings::{Call, Events, OnGap, Publish};

const ROUTE: &str = "[[route]]\nmatch = \"PUT /products/{id}\"\nto = \"shop\"\n";
const BUS: &str = "bus = \"nats://a\"\n";

/// The report of `[events.products]` that says this beside its bus.
fn events(text: &str) -> String {
    behind(&format!("[events.products]\n{BUS}{text}"))
}

#[test]
fn events_are_heard_and_said() {
    let found = settings(&format!(
        "{SHOP}[events.products]\n{BUS}purge = [\"product:{{subject}}\", \"{{data.shelf.0}}\"]\n\
         [events.orders]\nbus = \"KAFKA://a:1,b:2\"\ntopic = \"shop.orders\"\ntypes = \"shop.order.*\"\n\
         source = \"https://shop\"\nsoft = true\ncall = \"/hooks?a=b\"\non_gap = \"ignore\"\n\
         [[route]]\nmatch = \"/hooks\"\nto = \"shop\"\noffload = true\n\
         {ROUTE}publish = {{ to = \"orders\", type = \"shop.order.created\", subject = \"{{id}}\" }}\n"
    ));
    let [products, orders] = &found.events[..] else { panic!("two") };
    let expected = Events {
        name: "products".to_owned(),
        bus: "nats://a".to_owned(),
        topic: "products".to_owned(),
        source: "/fleetfoot".to_owned(),
        types: Vec::new(),
        purge: vec!["product:{subject}".to_owned(), "{data.shelf.0}".to_owned()],
        soft: false,
        call: Call::None,
        on_gap: OnGap::Flush,
    };
    assert_eq!(products, &expected);
    assert_eq!((orders.bus.as_str(), orders.topic.as_str()), ("kafka://a:1,b:2", "shop.orders"));
    assert_eq!((orders.soft, orders.on_gap), (true, OnGap::Ignore));
    assert_eq!(orders.call, Call::Path("/hooks?a=b".to_owned()));
    assert!(orders.hears() && orders.wants("shop.order.created") && !orders.wants("shop.orders"));
    assert!(products.wants("anything"));
    let publish =
        Publish { to: 1, kind: "shop.order.created".to_owned(), subject: "{id}".to_owned() };
    assert_eq!(found.routes[1].publish, Some(publish));
    assert_eq!(found.routes[0].publish, None);
}

#[test]
fn only_said_is_enough() {
    insta::assert_snapshot!(events("purge = []"), @r#"
    gateway.toml:3:9: events "products": nothing comes of them
    3 | [events.products]
      |         ^^^^^^^^ purge, call, or a route that publishes
    hint: purge = ["product:{subject}"]
    "#);
    settings(&format!("{SHOP}[events.a]\n{BUS}{ROUTE}publish = {{ to = \"a\", type = \"t\" }}\n"));
    insta::assert_snapshot!(events(""), @r#"
    gateway.toml:3:9: events "products": nothing comes of them
    3 | [events.products]
      |         ^^^^^^^^ purge, call, or a route that publishes
    hint: purge = ["product:{subject}"]
    "#);
}

#[test]
fn passwords_of_buses_are_not_shown() {
    let found =
        settings(&format!("{SHOP}[events.a]\nbus = \"amqp://me:hunter2@a\"\npurge = \"a\"\n"));
    let shown = crate::show(&found);
    assert!(shown.contains("me:********@a") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn events_that_are_not_there() {
    let publish = "publish = { to = \"order\", type = \"t\" }";
    insta::assert_snapshot!(behind(&format!("[events.orders]\n{BUS}purge = \"a\"\n{ROUTE}{publish}")), @r#"
    gateway.toml:9:18: route "PUT /products/{id}": publish.to: unknown events "order"
    9 | publish = { to = "order", type = "t" }
      |                  ^^^^^^^ known events: orders
    hint: did you mean "orders"?
    "#);
    insta::assert_snapshot!(behind(&format!("{ROUTE}{publish}")), @r#"
    gateway.toml:6:18: route "PUT /products/{id}": publish.to: unknown events "order"
    6 | publish = { to = "order", type = "t" }
      |                  ^^^^^^^ known events: none
    hint: [events.order] says where they are
    "#);
    insta::assert_snapshot!(behind(&format!("{ROUTE}publish = \"orders\"")), @r#"
    gateway.toml:6:11: route "PUT /products/{id}": publish: a string
    6 | publish = "orders"
      |           ^^^^^^^^ a table of to, type, subject
    hint: publish = { to = "orders", type = "shop.order.created", subject = "{id}" }
    "#);
    insta::assert_snapshot!(behind(&format!("[events.a]\n{BUS}{ROUTE}publish = {{ to = \"a\", type = \"a b\", subject = \"{{product}}\" }}")), @r#"
    gateway.toml:8:30: route "PUT /products/{id}": publish.type: "a b" is no type of event
    8 | publish = { to = "a", type = "a b", subject = "{product}" }
      |                              ^^^^^ a type of event, such as shop.order.created

    gateway.toml:8:47: route "PUT /products/{id}": publish.subject: no parameter "product" in match
    8 | publish = { to = "a", type = "a b", subject = "{product}" }
      |                                               ^^^^^^^^^^^ parameters: id
    "#);
    insta::assert_snapshot!(behind(&format!("[events.a]\n{BUS}purge = \"a\"\n{ROUTE}publish = {{ to = \"a\" }}")), @r#"
    gateway.toml:9:11: route "PUT /products/{id}": publish: type is missing
    9 | publish = { to = "a" }
      |           ^^^^^^^^^^^^ a type of event, such as shop.order.created
    hint: type = "shop.order.created"
    "#);
}

#[test]
fn parts_of_events() {
    insta::assert_snapshot!(events("purge = [\"product:{Subject}\", \"{data}\", \"a{b\", \"a b\", \"{header.X}\"]"), @r#"
    gateway.toml:5:19: events.products.purge: {Subject} is no part of an event
    5 | purge = ["product:{Subject}", "{data}", "a{b", "a b", "{header.X}"]
      |                   ^^^^^^^^^ an attribute (subject, type, id, ...) or data. and a member
    hint: did you mean "{subject}"?

    gateway.toml:5:31: events.products.purge: {data} is no part of an event
    5 | purge = ["product:{Subject}", "{data}", "a{b", "a b", "{header.X}"]
      |                               ^^^^^^^^ an attribute (subject, type, id, ...) or data. and a member
    hint: did you mean {data.id}?

    gateway.toml:5:43: events.products.purge: a lone {
    5 | purge = ["product:{Subject}", "{data}", "a{b", "a b", "{header.X}"]
      |                                           ^ attributes in braces: {subject}

    gateway.toml:5:50: events.products.purge: ' ' in a tag
    5 | purge = ["product:{Subject}", "{data}", "a{b", "a b", "{header.X}"]
      |                                                  ^ a tag such as product:{subject}
    hint: one string for each tag

    gateway.toml:5:55: events.products.purge: {header.X} is no part of an event
    5 | purge = ["product:{Subject}", "{data}", "a{b", "a b", "{header.X}"]
      |                                                       ^^^^^^^^^^^^ an attribute (subject, type, id, ...) or data. and a member
    "#);
    insta::assert_snapshot!(events("purge = \"a\"\ntypes = [\"a.*.b\", \"\"]"), @r#"
    gateway.toml:6:13: events.products.types: a * before the end
    6 | types = ["a.*.b", ""]
      |             ^ a * at the end, for any rest

    gateway.toml:6:19: events.products.types: "" is no type of event
    6 | types = ["a.*.b", ""]
      |                   ^^ a type of event, such as shop.order.created
    "#);
}

#[test]
fn buses_and_topics() {
    insta::assert_snapshot!(behind("[events.a]\nbus = \"sqs://a/b\"\npurge = \"a\""), @r#"
    gateway.toml:4:8: events.a.bus: scheme "sqs"
    4 | bus = "sqs://a/b"
      |        ^^^ nats, tls+nats, kafka, kafkas, amqp or amqps, ://, and a host: nats://10.0.0.5:4222
    hint: it carries jobs ([queue.NAME]), not events
    "#);
    insta::assert_snapshot!(behind("[events.a]\nbus = \"natss://a\"\npurge = \"a\"\ntopic = \"shop.*\"\nsource = \"a b\""), @r#"
    gateway.toml:4:8: events.a.bus: scheme "natss"
    4 | bus = "natss://a"
      |        ^^^^^ nats, tls+nats, kafka, kafkas, amqp or amqps, ://, and a host: nats://10.0.0.5:4222
    hint: did you mean "tls+nats://"?

    gateway.toml:6:9: events.a.topic: "shop.*" is no topic
    6 | topic = "shop.*"
      |         ^^^^^^^^ 1 to 200 letters, digits, -, _ and .
    hint: one topic; types chooses among its events

    gateway.toml:7:10: events.a.source: "a b" is no URI reference
    7 | source = "a b"
      |          ^^^^^ such as /shop or https://shop.example/api
    "#);
    insta::assert_snapshot!(behind("[events.a]\npurge = \"a\""), @r#"
    gateway.toml:3:1: events.a: bus is missing
    3 | [events.a]
      | ^^^^^^^^^^ nats, tls+nats, kafka, kafkas, amqp or amqps, and who is there
    hint: bus = "nats://10.0.0.5:4222"
    "#);
}

#[test]
fn who_is_called_with_events() {
    insta::assert_snapshot!(behind(&format!("[events.a]\n{BUS}call = \"/hooks\"\n{ROUTE}")), @r#"
    gateway.toml:5:8: events.a.call: no route takes POST /hooks
    5 | call = "/hooks"
      |        ^^^^^^^^ a path that a route without a host takes
    hint: [[route]] match = "POST /hooks" leads it to a service
    "#);
    insta::assert_snapshot!(events("call = \"hooks\""), @r#"
    gateway.toml:5:8: events.products.call: "hooks" is neither
    5 | call = "hooks"
      |        ^^^^^^^ a path such as /hooks/products, or an https URL
    "#);
    insta::assert_snapshot!(events("call = \"http://hooks\""), @r#"
    gateway.toml:5:9: events.products.call: scheme "http"
    5 | call = "http://hooks"
      |         ^^^^ an https URL, such as https://hooks.example/jobs
    hint: [offload.callback] http = true lets callbacks go in the clear
    "#);
    settings(&format!(
        "{SHOP}[offload.callback]\nhttp = true\n[events.a]\n{BUS}call = \"http://a\"\n"
    ));
    for (pattern, takes) in [
        ("/hooks/{a}", false),
        ("/{a}", true),
        ("/*", true),
        ("POST /hooks", true),
        ("GET /hooks", false),
        ("/hooks/", false),
        ("shop.example/hooks", false),
    ] {
        let text = format!(
            "{SHOP}[events.a]\n{BUS}call = \"/hooks\"\n[[route]]\nmatch = \"{pattern}\"\nto = \"shop\"\n"
        );
        assert_eq!(super::read(&text).is_ok(), takes, "{pattern}");
    }
}
