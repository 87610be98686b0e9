//! The table's part about a route; what it says of caching is in `caching`.

use super::caching::{FIELD, ROUTE_CACHE};
use super::events::PUBLISH;
use super::monitor::OBJECTIVE;
use super::offload::ROUTE_OFFLOAD;
use super::service::SERVICE_NAME;
use super::table::MILLISECOND;
use super::{Default, Form, Key, Kind, Section};
use base::Share;
use std::time::Duration;

const MATCH: Form = Form {
    what: "[METHOD[|METHOD...] ][host]/path, or * for everything",
    pattern: r"^([^ /?]+ )?(\*|[^ ?#/]*(/[^ ?#]*)+)$",
};
const SERVICE: Form = Form { what: "the name of a service", pattern: SERVICE_NAME };
const ROUTE_NAME: Form = Form {
    what: "1 to 128 characters without control characters",
    pattern: r"^[^\u0000-\u001f\u007f]{1,128}$",
};
const PREFIX: Form = Form {
    what: "a path that starts with / and does not end in it",
    pattern: r"^/([^ ?#{}*]*[^ ?#{}*/])$",
};
pub(super) const RATE_FORM: Form = Form {
    what: "a number, a slash and a time: 100/s, 5/10s, 1000/h",
    pattern: r"^\s*[0-9]{1,10}\s*/[0-9.\sa-zµ]+$",
};
const RATE_BY: Form =
    Form { what: "header:NAME", pattern: r"^header:[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$" };
const RATE_NAME: Form = Form {
    what: "1 to 128 printable ASCII characters, without quotes and backslashes",
    pattern: r"^[ !#-\[\]-~]{1,128}$",
};

/// `[[route]]`.
pub(crate) static ROUTE: Section = Section {
    header: "[[route]]",
    doc: "Which requests go to which service; the most specific match wins, whatever the order.",
    aliases: &[
        ("path", "match"),
        ("pattern", "match"),
        ("service", "to"),
        ("upstream", "to"),
        ("origin", "to"),
        ("backend", "to"),
        ("target", "to"),
        ("split", "to"),
        ("weight", "to"),
        ("weights", "to"),
        ("weighted_clusters", "to"),
        ("canary", "to"),
        ("mirror", "shadow"),
        ("request_mirror_policies", "shadow"),
        ("mirroring", "shadow"),
        ("priority", "class"),
        ("criticality", "class"),
        ("importance", "class"),
        ("rate_limit", "rate"),
        ("rate_limits", "rate"),
        ("ratelimit", "rate"),
        ("rates", "rate"),
        ("limit_req", "rate"),
        ("throttle", "rate"),
        ("strip_prefix", "strip"),
        ("total_time", "timeout"),
        ("caching", "cache"),
        ("ttl", "cache"),
        ("tags", "cache"),
        ("slo", "objective"),
        ("slos", "objective"),
        ("objectives", "objective"),
        ("sla", "objective"),
        ("target_latency", "objective"),
        ("timing", "server_timing"),
        ("server-timing", "server_timing"),
        ("async", "offload"),
        ("respond_async", "offload"),
        ("background", "offload"),
        ("queue", "offload"),
        ("job", "offload"),
        ("jobs", "offload"),
        ("defer", "offload"),
        ("event", "publish"),
        ("events", "publish"),
        ("emit", "publish"),
    ],
    keys: &[
        Key {
            name: "match",
            kind: Kind::Text { form: MATCH, or_false: false },
            default: Default::Required,
            doc: "Which requests: methods, host and path, with `{name}` for one segment and `*` for the rest.",
            examples: &["\"GET /products/{id}\"", "\"shop.example/static/*\"", "\"*\""],
        },
        Key {
            name: "to",
            kind: Kind::Weights { form: SERVICE, most: 1000 },
            default: Default::Required,
            doc: "The service they go to; or several, each with its weight beside the others.",
            examples: &["\"shop\"", "{ shop = 95, next = 5 }"],
        },
        Key {
            name: "name",
            kind: Kind::Text { form: ROUTE_NAME, or_false: false },
            default: Default::Words("the text of `match`"),
            doc: "What logs and metrics call it.",
            examples: &["\"items\""],
        },
        Key {
            name: "shadow",
            kind: Kind::Short { key: "to", section: &SHADOW, or_false: false },
            default: Default::Words("none"),
            doc: SHADOW.doc,
            examples: &["\"next\"", "{ to = \"next\", share = \"10%\" }"],
        },
        Key {
            name: "class",
            kind: Kind::Short { key: "default", section: &CLASS, or_false: false },
            default: Default::Value("\"normal\""),
            doc: CLASS.doc,
            examples: &["\"critical\"", "{ default = \"background\", field = \"X-Priority\" }"],
        },
        Key {
            name: "rate",
            kind: Kind::Shorts { key: "limit", section: &ROUTE_RATE },
            default: Default::Words("any number"),
            doc: "How often its requests may come; past that the answer is 429. Where there are several rates, all hold.",
            examples: &[
                "\"100/s\"",
                "[{ limit = \"10/s\", burst = 20 }, { limit = \"1000/h\", by = \"header:X-Api-Key\" }]",
            ],
        },
        Key {
            name: "strip",
            kind: Kind::Text { form: PREFIX, or_false: false },
            default: Default::Words("nothing"),
            doc: "Taken off the front of the path before the request is passed on.",
            examples: &["\"/api\""],
        },
        Key {
            name: "prepend",
            kind: Kind::Text { form: PREFIX, or_false: false },
            default: Default::Words("nothing"),
            doc: "Put before the path, after `strip`.",
            examples: &["\"/v2\""],
        },
        Key {
            name: "timeout",
            kind: Kind::Time {
                least: MILLISECOND,
                most: Duration::from_hours(7 * 24),
                or_false: false,
            },
            default: Default::Words("the service's `total_time`"),
            doc: "Longest time for a whole exchange on this route.",
            examples: &["\"2s\""],
        },
        Key {
            name: "cache",
            kind: Kind::Switch(&ROUTE_CACHE),
            default: Default::Words("as in `[cache]`"),
            doc: "What is kept of its answers, or whether anything is.",
            examples: &["{ ttl = \"1m\", stale = \"10m\" }", "false"],
        },
        Key {
            name: "server_timing",
            kind: Kind::Flag,
            default: Default::Words("as in `[monitor]`"),
            doc: "Whether everybody is told in `Server-Timing` where the time of a request went, or nobody.",
            examples: &["true", "false"],
        },
        Key {
            name: "objective",
            kind: OBJECTIVE,
            default: Default::Words("none"),
            doc: "What it promises its users: `p99` that 99 % of all requests take this time at most (any percentile: `p50`, `p99.9`), `success` that this share of requests is not answered with 5xx. How fast the budget for what breaks it is used up is told, and alerted.",
            examples: &["{ p99 = \"200ms\", success = \"99.9%\" }"],
        },
        Key {
            name: "offload",
            kind: Kind::ShortSwitch { key: "queue", section: &ROUTE_OFFLOAD },
            default: Default::Value("false"),
            doc: ROUTE_OFFLOAD.doc,
            examples: &["true", "{ when = \"prefer\", priority = 9 }"],
        },
        Key {
            name: "publish",
            kind: Kind::Table(&PUBLISH),
            default: Default::Words("nothing"),
            doc: PUBLISH.doc,
            examples: &["{ to = \"orders\", type = \"shop.order.created\", subject = \"{id}\" }"],
        },
    ],
};

/// `[route.shadow]`.
pub(crate) static SHADOW: Section = Section {
    header: "[route.shadow]",
    doc: "A service that is sent a copy of requests and never waited for; its name alone may stand in its place.",
    aliases: &[
        ("service", "to"),
        ("cluster", "to"),
        ("percent", "share"),
        ("percentage", "share"),
        ("fraction", "share"),
        ("sample", "share"),
    ],
    keys: &[
        Key {
            name: "to",
            kind: Kind::Text { form: SERVICE, or_false: false },
            default: Default::Required,
            doc: "The service, another one than the route's own.",
            examples: &["\"next\""],
        },
        Key {
            name: "share",
            kind: Kind::Share { least: Share(1), most: Share::percent(100), or_false: false },
            default: Default::Value("\"100%\""),
            doc: "The share of requests that are copied.",
            examples: &["\"10%\""],
        },
    ],
};

/// `[route.class]`.
pub(crate) static CLASS: Section = Section {
    header: "[route.class]",
    doc: "How much its requests matter when not all can be served; the class alone may stand in its place.",
    aliases: &[("class", "default"), ("value", "default"), ("header", "field"), ("from", "field")],
    keys: &[
        Key {
            name: "default",
            kind: Kind::Choice { words: &["critical", "normal", "background"], or: None },
            default: Default::Value("\"normal\""),
            doc: "The class: `critical` goes first, `background` last.",
            examples: &["\"critical\""],
        },
        Key {
            name: "field",
            kind: Kind::Text { form: FIELD, or_false: false },
            default: Default::Words("none"),
            doc: "The field of requests that may say otherwise: `critical`, `normal` or `background`.",
            examples: &["\"X-Priority\""],
        },
    ],
};

/// `[[route.rate]]`.
pub(crate) static ROUTE_RATE: Section = Section {
    header: "[[route.rate]]",
    doc: "One rate of a route; what is in `limit` alone may stand in its place.",
    aliases: &[
        ("rate", "limit"),
        ("requests", "limit"),
        ("average", "limit"),
        ("max", "limit"),
        ("tokens", "burst"),
        ("key", "by"),
        ("source", "by"),
        ("per", "by"),
        ("global", "shared"),
        ("distributed", "shared"),
        ("redis", "shared"),
        ("zone", "name"),
    ],
    keys: &[
        Key {
            name: "limit",
            kind: Kind::Text { form: RATE_FORM, or_false: false },
            default: Default::Required,
            doc: "So many requests in this time: a second, a minute, an hour, a day, or several (`5/10s`).",
            examples: &["\"100/s\"", "\"5/10s\""],
        },
        Key {
            name: "burst",
            kind: Kind::Count { least: 1, most: 1_000_000_000, unlimited: false },
            default: Default::Words("as many as `limit` has"),
            doc: "So many requests may come at once after a pause.",
            examples: &["200"],
        },
        Key {
            name: "by",
            kind: Kind::Choice { words: &["client", "route"], or: Some(RATE_BY) },
            default: Default::Value("\"client\""),
            doc: "For whom it is counted: for each client address (IPv6: each /64), for all requests of the route together, or for each value of a field.",
            examples: &["\"route\"", "\"header:X-Api-Key\""],
        },
        Key {
            name: "shared",
            kind: Kind::Flag,
            default: Default::Value("false"),
            doc: "Whether all gateways count together, through `redis` of `[rate]`, or of `[cache]` where that is a single server.",
            examples: &["true"],
        },
        Key {
            name: "name",
            kind: Kind::Text { form: RATE_NAME, or_false: false },
            default: Default::Words("of `by` and the time: `client/s`"),
            doc: "What RateLimit fields, logs and metrics call it.",
            examples: &["\"burst\""],
        },
    ],
};
