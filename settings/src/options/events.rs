//! The table's part about events: `[events.NAME]`, and what a route publishes.

use super::offload::TEMPLATE;
use super::service::SERVICE_NAME;
use super::{Default, Form, Key, Kind, Section};

const BUS: Form = Form {
    what: "nats, tls+nats, kafka, kafkas, amqp or amqps, and who is there",
    pattern: r"^[A-Za-z+]{3,9}://[!-~]{1,1024}$",
};
const TOPIC: Form =
    Form { what: "1 to 200 letters, digits, -, _ and .", pattern: r"^[A-Za-z0-9._-]{1,200}$" };
const SOURCE: Form =
    Form { what: "a URI reference", pattern: r"^[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]{1,1024}$" };
const TYPE: Form = Form {
    what: "a type of event, such as shop.order.created",
    pattern: r"^[^\u0000-\u0020\u007f]{1,256}$",
};
const TYPES: Form = Form { what: "a type of event, or its start and *", pattern: TYPE.pattern };
const TAG: Form = Form {
    what: "a tag, perhaps with {attributes} of the event or {data.member}",
    pattern: r"^[^ ,\u0000-\u001f\u007f]{1,256}$",
};
const CALL: Form = Form {
    what: "a path that a route of this gateway takes, or an https URL",
    pattern: r"^(/|[Hh][Tt][Tt][Pp][Ss]?://)[!-~]*$",
};
const NAME: Form = Form { what: "the name of one of the events", pattern: SERVICE_NAME };

/// `[events.NAME]`.
pub(crate) static EVENTS: Section = Section {
    header: "[events.NAME]",
    doc: "A topic of a bus under a name of your choice. All gateways hear each of its events (CloudEvents 1.0 in JSON) from when they start; routes publish there.",
    aliases: &[
        ("url", "bus"),
        ("broker", "bus"),
        ("brokers", "bus"),
        ("servers", "bus"),
        ("nats", "bus"),
        ("kafka", "bus"),
        ("subject", "topic"),
        ("channel", "topic"),
        ("exchange", "topic"),
        ("stream", "topic"),
        ("type", "types"),
        ("filter", "types"),
        ("tags", "purge"),
        ("invalidate", "purge"),
        ("stale", "soft"),
        ("webhook", "call"),
        ("callback", "call"),
        ("to", "call"),
        ("post", "call"),
        ("gap", "on_gap"),
    ],
    keys: &[
        Key {
            name: "bus",
            kind: Kind::Text { form: BUS, or_false: false },
            default: Default::Required,
            doc: "The broker that carries them.",
            examples: &["\"nats://10.0.0.5:4222\"", "\"kafka://10.0.0.5:9092,10.0.0.6:9092\""],
        },
        Key {
            name: "topic",
            kind: Kind::Text { form: TOPIC, or_false: false },
            default: Default::Words("the NAME"),
            doc: "The topic there; for NATS the subject, for RabbitMQ the exchange.",
            examples: &["\"shop.products\""],
        },
        Key {
            name: "source",
            kind: Kind::Text { form: SOURCE, or_false: false },
            default: Default::Value("\"/fleetfoot\""),
            doc: "What the gateway's own events name as their source.",
            examples: &["\"https://shop.example/api\""],
        },
        Key {
            name: "types",
            kind: Kind::Texts { form: TYPES, alone: true },
            default: Default::Words("all"),
            doc: "The types of events that something comes of; others are counted and left.",
            examples: &["[\"shop.product.changed\", \"shop.price.*\"]"],
        },
        Key {
            name: "purge",
            kind: Kind::Texts { form: TAG, alone: true },
            default: Default::Words("nothing"),
            doc: "Tags of what is purged from the cache: text with `{subject}`, `{type}` or another attribute of the event in it, or `{data.product.id}` of its JSON. One of which the event lacks a part purges nothing.",
            examples: &["[\"product:{subject}\"]"],
        },
        Key {
            name: "soft",
            kind: Kind::Flag,
            default: Default::Value("false"),
            doc: "Whether what is purged becomes stale, and may be served while it is fetched again.",
            examples: &["true"],
        },
        Key {
            name: "call",
            kind: Kind::Text { form: CALL, or_false: false },
            default: Default::Words("nobody"),
            doc: "Who is sent each event in a POST: a path goes through this gateway's own routes (with `offload` there it is a job, tried again and kept), a URL is called as callbacks are, once.",
            examples: &["\"/hooks/products\"", "\"https://hooks.example/products\""],
        },
        Key {
            name: "on_gap",
            kind: Kind::Choice { words: &["flush", "ignore"], or: None },
            default: Default::Value("\"flush\""),
            doc: "What is done when events may have been missed, as after a lost connection: with `purge`, all of the cache is purged (`flush`), for nobody knows what was missed; or nothing.",
            examples: &["\"ignore\""],
        },
    ],
};

/// `[route.publish]`.
pub(crate) static PUBLISH: Section = Section {
    header: "[route.publish]",
    doc: "The event that is published when its service has answered with 2xx or 3xx.",
    aliases: &[
        ("event", "type"),
        ("kind", "type"),
        ("events", "to"),
        ("topic", "to"),
        ("bus", "to"),
        ("key", "subject"),
        ("id", "subject"),
    ],
    keys: &[
        Key {
            name: "to",
            kind: Kind::Text { form: NAME, or_false: false },
            default: Default::Required,
            doc: "Where: one of `[events.NAME]`.",
            examples: &["\"orders\""],
        },
        Key {
            name: "type",
            kind: Kind::Text { form: TYPE, or_false: false },
            default: Default::Required,
            doc: "What happened.",
            examples: &["\"shop.order.created\""],
        },
        Key {
            name: "subject",
            kind: Kind::Text { form: TEMPLATE, or_false: false },
            default: Default::Words("none"),
            doc: "To what: text with `{parameters}` of the route's match or `{header.NAME}` in it.",
            examples: &["\"{id}\""],
        },
    ],
};
