//! The table itself, in the order of the reference page.

use super::caching::{CACHE, FIELD, REDIS};
use super::events::EVENTS;
use super::monitor::MONITOR;
use super::offload::OFFLOAD;
use super::queue::QUEUES;
use super::route::ROUTE;
use super::service::SERVICES;
use super::{Default, Form, Key, Kind, Section};
use base::{ByteSize, Share};
use std::time::Duration;

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const DAY: Duration = Duration::from_hours(24);

const LISTEN: Form = Form {
    what: "an IP address and a port, perhaps after http:// or https://",
    pattern: r"^(https?://)?(localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}/?$",
};
const ADDRESS: Form = Form {
    what: "an IP address and a port",
    pattern: r"^(localhost|[0-9.]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$",
};
pub(super) const FILE: Form =
    Form { what: "a file's path, relative to the settings file", pattern: r"^.+$" };
pub(super) const ZONE: Form =
    Form { what: "1 to 64 letters, digits, -, _ and .", pattern: r"^[A-Za-z0-9._-]{1,64}$" };
pub(super) const NETWORK: Form = Form {
    what: "a network in CIDR notation or an address",
    pattern: r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$",
};
const PSEUDONYM: Form = Form {
    what: "a token, perhaps with a port",
    pattern: r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+(:[0-9]{1,5})?$",
};

/// The top level of the file.
pub(crate) static ROOT: Section = Section {
    header: "",
    doc: "Keys before the first section.",
    aliases: &[
        ("bind", "listen"),
        ("address", "listen"),
        ("port", "listen"),
        ("listeners", "listen"),
        ("workers", "threads"),
        ("services", "service"),
        ("upstream", "service"),
        ("upstreams", "service"),
        ("origin", "service"),
        ("backend", "service"),
        ("routes", "route"),
        ("log", "monitor"),
        ("logging", "monitor"),
        ("access_log", "monitor"),
        ("telemetry", "monitor"),
        ("observability", "monitor"),
        ("tracing", "monitor"),
        ("opentelemetry", "monitor"),
        ("otel", "monitor"),
        ("limit", "limits"),
        ("caching", "cache"),
        ("region", "zone"),
        ("locality", "zone"),
        ("availability_zone", "zone"),
        ("deadlines", "deadline"),
        ("timeouts", "deadline"),
        ("rates", "rate"),
        ("rate_limit", "rate"),
        ("ratelimit", "rate"),
        ("async", "offload"),
        ("job", "offload"),
        ("jobs", "offload"),
        ("background", "offload"),
        ("queues", "queue"),
        ("broker", "queue"),
        ("brokers", "queue"),
        ("dlq", "queue"),
        ("dead_letter", "queue"),
        ("event", "events"),
        ("bus", "events"),
        ("topic", "events"),
        ("cloudevents", "events"),
        ("subscribe", "events"),
        ("publish", "events"),
    ],
    keys: &[
        Key {
            name: "listen",
            kind: Kind::Texts { form: LISTEN, alone: true },
            default: Default::Value("[\"127.0.0.1:8080\"]"),
            doc: "Where clients are listened for; `https://` speaks TLS with the certificates of `[tls]`.",
            examples: &["[\"0.0.0.0:80\", \"https://0.0.0.0:443\"]"],
        },
        Key {
            name: "admin",
            kind: Kind::Text { form: ADDRESS, or_false: true },
            default: Default::Value("\"127.0.0.1:9900\""),
            doc: "Where health, readiness, metrics and reload are served; `false` switches them off.",
            examples: &["\"127.0.0.1:9900\"", "false"],
        },
        Key {
            name: "threads",
            kind: Kind::Count { least: 1, most: 1024, unlimited: false },
            default: Default::Words("one for each core"),
            doc: "How many threads carry requests.",
            examples: &["4"],
        },
        Key {
            name: "grace",
            kind: Kind::Time { least: Duration::ZERO, most: DAY, or_false: false },
            default: Default::Value("\"30s\""),
            doc: "How long a stop waits for requests in flight before it cuts them off.",
            examples: &["\"30s\""],
        },
        Key {
            name: "zone",
            kind: Kind::Text { form: ZONE, or_false: false },
            default: Default::Words("unknown: all zones are equal"),
            doc: "The zone of this gateway: servers of the same `zone` are preferred.",
            examples: &["\"eu-1\"", "\"${ZONE:-eu-1}\""],
        },
        Key {
            name: "limits",
            kind: Kind::Table(&LIMITS),
            default: Default::Words("the standard limits"),
            doc: LIMITS.doc,
            examples: &[],
        },
        Key {
            name: "tls",
            kind: Kind::Table(&TLS),
            default: Default::Words("no TLS towards clients"),
            doc: TLS.doc,
            examples: &[],
        },
        Key {
            name: "forward",
            kind: Kind::Table(&FORWARD),
            default: Default::Words("the standard way"),
            doc: FORWARD.doc,
            examples: &[],
        },
        Key {
            name: "monitor",
            kind: Kind::Table(&MONITOR),
            default: Default::Words("metrics only"),
            doc: MONITOR.doc,
            examples: &[],
        },
        Key {
            name: "cache",
            kind: Kind::Switch(&CACHE),
            default: Default::Words("in memory, as answers allow"),
            doc: CACHE.doc,
            examples: &["{ memory = \"1 GiB\" }", "false"],
        },
        Key {
            name: "deadline",
            kind: Kind::Table(&DEADLINE),
            default: Default::Words("the standard way"),
            doc: DEADLINE.doc,
            examples: &[],
        },
        Key {
            name: "rate",
            kind: Kind::Table(&RATE),
            default: Default::Words("each gateway counts alone"),
            doc: RATE.doc,
            examples: &[],
        },
        Key {
            name: "offload",
            kind: Kind::Table(&OFFLOAD),
            default: Default::Words("the standard way, where a route or a queue needs it"),
            doc: OFFLOAD.doc,
            examples: &[],
        },
        Key {
            name: "queue",
            kind: Kind::Named(&QUEUES),
            default: Default::Words("`default` alone, the standard way"),
            doc: QUEUES.doc,
            examples: &["{ mail = { at_once = 4 } }"],
        },
        Key {
            name: "events",
            kind: Kind::Named(&EVENTS),
            default: Default::Words("none"),
            doc: EVENTS.doc,
            examples: &[
                "{ products = { bus = \"nats://10.0.0.5\", purge = \"product:{subject}\" } }",
            ],
        },
        Key {
            name: "service",
            kind: Kind::Named(&SERVICES),
            default: Default::Required,
            doc: SERVICES.doc,
            examples: &["{ shop = { servers = [\"http://localhost:3000\"] } }"],
        },
        Key {
            name: "route",
            kind: Kind::Tables(&ROUTE),
            default: Default::Words("with exactly one service, a route `*` to it"),
            doc: ROUTE.doc,
            examples: &[],
        },
    ],
};

/// `[limits]`.
pub(crate) static LIMITS: Section = Section {
    header: "[limits]",
    doc: "What a client may send and how long it may take.",
    aliases: &[
        ("max_body_size", "body_bytes"),
        ("client_max_body_size", "body_bytes"),
        ("header_bytes", "head_bytes"),
        ("headers", "fields"),
        ("header_timeout", "head_time"),
        ("idle_timeout", "idle_time"),
        ("keepalive_timeout", "idle_time"),
        ("max_connections", "connections"),
    ],
    keys: &[
        Key {
            name: "head_bytes",
            kind: Kind::Size { least: ByteSize::kib(1), most: ByteSize::mib(1), unlimited: false },
            default: Default::Value("\"32 KiB\""),
            doc: "Longest head of a request or response, request line and fields together.",
            examples: &["\"64 KiB\""],
        },
        Key {
            name: "fields",
            kind: Kind::Count { least: 8, most: 4096, unlimited: false },
            default: Default::Value("128"),
            doc: "Most fields in one head or trailer section.",
            examples: &["200"],
        },
        Key {
            name: "head_time",
            kind: Kind::Time {
                least: Duration::from_millis(100),
                most: Duration::from_mins(10),
                or_false: false,
            },
            default: Default::Value("\"10s\""),
            doc: "Longest time from a request's first byte to the end of its head, and for a handshake of TLS or HTTP/2.",
            examples: &["\"5s\""],
        },
        Key {
            name: "body_bytes",
            kind: Kind::Size { least: ByteSize(0), most: ByteSize(1 << 50), unlimited: true },
            default: Default::Value("\"unlimited\""),
            doc: "Largest request body.",
            examples: &["\"10 MiB\"", "\"unlimited\""],
        },
        Key {
            name: "body_pause",
            kind: Kind::Time { least: Duration::from_millis(100), most: DAY, or_false: false },
            default: Default::Value("\"30s\""),
            doc: "Longest silence while a body is read from or written to a client.",
            examples: &["\"30s\""],
        },
        Key {
            name: "idle_time",
            kind: Kind::Time { least: Duration::from_millis(100), most: DAY, or_false: false },
            default: Default::Value("\"1m15s\""),
            doc: "How long a client's connection may be idle between requests.",
            examples: &["\"5m\""],
        },
        Key {
            name: "requests",
            kind: Kind::Count { least: 1, most: 1_000_000_000_000, unlimited: true },
            default: Default::Value("\"unlimited\""),
            doc: "Most requests on one connection.",
            examples: &["10000", "\"unlimited\""],
        },
        Key {
            name: "connections",
            kind: Kind::Count { least: 1, most: 10_000_000, unlimited: false },
            default: Default::Value("100000"),
            doc: "Most client connections at once, over all threads.",
            examples: &["20000"],
        },
        Key {
            name: "streams",
            kind: Kind::Count { least: 1, most: 65_535, unlimited: false },
            default: Default::Value("128"),
            doc: "Most HTTP/2 streams at once on one connection.",
            examples: &["256"],
        },
        Key {
            name: "resets",
            kind: Kind::Count { least: 1, most: 10_000, unlimited: false },
            default: Default::Value("20"),
            doc: "Most HTTP/2 streams that a peer may have reset before they have been dealt with.",
            examples: &["20"],
        },
    ],
};

/// `[tls]`.
pub(crate) static TLS: Section = Section {
    header: "[tls]",
    doc: "Certificates for listeners that speak TLS.",
    aliases: &[
        ("certificate", "certificates"),
        ("cert", "certificates"),
        ("min_version", "minimum"),
        ("version", "minimum"),
    ],
    keys: &[
        Key {
            name: "certificates",
            kind: Kind::Tables(&CERTIFICATE),
            default: Default::Required,
            doc: "The certificates, chosen by the name a client asks for; the first is the default.",
            examples: &["[{ chain = \"shop.pem\", key = \"shop.key\" }]"],
        },
        Key {
            name: "minimum",
            kind: Kind::Choice { words: &["1.2", "1.3"], or: None },
            default: Default::Value("\"1.2\""),
            doc: "Oldest version of TLS spoken with clients.",
            examples: &["\"1.3\""],
        },
    ],
};

/// One of `tls.certificates`.
pub(crate) static CERTIFICATE: Section = Section {
    header: "[[tls.certificates]]",
    doc: "A certificate chain and its key.",
    aliases: &[("cert", "chain"), ("certificate", "chain"), ("private_key", "key")],
    keys: &[
        Key {
            name: "chain",
            kind: Kind::Text { form: FILE, or_false: false },
            default: Default::Required,
            doc: "The chain as a PEM file, leaf first.",
            examples: &["\"shop.pem\""],
        },
        Key {
            name: "key",
            kind: Kind::Text { form: FILE, or_false: false },
            default: Default::Required,
            doc: "The private key as a PEM file.",
            examples: &["\"shop.key\""],
        },
    ],
};

/// `[forward]`.
pub(crate) static FORWARD: Section = Section {
    header: "[forward]",
    doc: "How requests are passed on.",
    aliases: &[("trusted", "trusted_proxies"), ("x_forwarded_for", "x_forwarded")],
    keys: &[
        Key {
            name: "via",
            kind: Kind::Text { form: PSEUDONYM, or_false: false },
            default: Default::Value("\"fleetfoot\""),
            doc: "The pseudonym of this gateway in the Via field.",
            examples: &["\"edge-1\""],
        },
        Key {
            name: "trusted_proxies",
            kind: Kind::Texts { form: NETWORK, alone: false },
            default: Default::Value("[]"),
            doc: "Peers whose forwarding fields are believed; everybody else's are overwritten.",
            examples: &["[\"10.0.0.0/8\", \"2001:db8::/32\"]"],
        },
        Key {
            name: "x_forwarded",
            kind: Kind::Flag,
            default: Default::Value("true"),
            doc: "Whether X-Forwarded-For, -Proto and -Host are sent to services.",
            examples: &["false"],
        },
        Key {
            name: "forwarded",
            kind: Kind::Flag,
            default: Default::Value("false"),
            doc: "Whether Forwarded (RFC 7239) is sent to services.",
            examples: &["true"],
        },
    ],
};

/// `[deadline]`.
pub(crate) static DEADLINE: Section = Section {
    header: "[deadline]",
    doc: "How the time that a client will wait is learned and passed on. `grpc-timeout` always is where a request is gRPC.",
    aliases: &[
        ("header", "field"),
        ("header_name", "field"),
        ("timeout_header", "field"),
        ("min", "least"),
        ("minimum", "least"),
        ("margin", "shrink"),
        ("reserve", "shrink"),
    ],
    keys: &[
        Key {
            name: "field",
            kind: Kind::Text { form: FIELD, or_false: true },
            default: Default::Value("\"x-envoy-expected-rq-timeout-ms\""),
            doc: "The field that tells how long a client will wait, and services how long is left; one that ends in `-ms` holds milliseconds, any other seconds, unless the value brings a unit.",
            examples: &["\"X-Request-Timeout\"", "false"],
        },
        Key {
            name: "shrink",
            kind: Kind::Share {
                least: Share::percent(0),
                most: Share::percent(50),
                or_false: false,
            },
            default: Default::Value("\"5%\""),
            doc: "The share of what is left that is kept for the way back.",
            examples: &["\"10%\""],
        },
        Key {
            name: "least",
            kind: Kind::Time {
                least: Duration::ZERO,
                most: Duration::from_secs(10),
                or_false: false,
            },
            default: Default::Value("\"5ms\""),
            doc: "With less time left than this no service is asked.",
            examples: &["\"20ms\""],
        },
    ],
};

/// `[rate]`.
pub(crate) static RATE: Section = Section {
    header: "[rate]",
    doc: "How rates that are `shared` are counted; what the rates are is said by the routes.",
    aliases: &[("valkey", "redis"), ("url", "redis"), ("redis_url", "redis"), ("store", "redis")],
    keys: &[Key {
        name: "redis",
        kind: Kind::Text { form: REDIS, or_false: false },
        default: Default::Words("that of `[cache]`, if a single server"),
        doc: "The Redis or Valkey that all gateways count in.",
        examples: &["\"redis://127.0.0.1:6379\""],
    }],
};
