//! The table itself, in the order of the reference page.

use super::caching::{CACHE, ROUTE_CACHE};
use super::{Default, Form, Key, Kind, Section};
use base::ByteSize;
use std::time::Duration;

pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_hours(24);

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
const URL: Form = Form {
    what: "http or https, a host and perhaps a port",
    pattern: r"^[Hh][Tt][Tt][Pp][Ss]?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?/?$",
};
const NETWORK: Form = Form {
    what: "a network in CIDR notation or an address",
    pattern: r"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$",
};
const PSEUDONYM: Form = Form {
    what: "a token, perhaps with a port",
    pattern: r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+(:[0-9]{1,5})?$",
};
const HOST: Form = Form {
    what: "a host name or address, perhaps with a port",
    pattern: r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$",
};
const SERVER_NAME: Form =
    Form { what: "a host name or address", pattern: r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)$" };
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

/// What a service may be called.
pub(crate) const SERVICE_NAME: &str = r"^[A-Za-z0-9_-]{1,64}$";
/// In words.
pub(crate) const SERVICE_NAME_WORDS: &str = "1 to 64 letters, digits, - and _";

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
        ("limit", "limits"),
        ("caching", "cache"),
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

/// `[monitor]`.
pub(crate) static MONITOR: Section = Section {
    header: "[monitor]",
    doc: "What is told about requests.",
    aliases: &[("log", "access_log")],
    keys: &[Key {
        name: "access_log",
        kind: Kind::Choice { words: &["off", "stdout"], or: Some(FILE) },
        default: Default::Value("\"off\""),
        doc: "Where a line for each request goes; a file is appended to.",
        examples: &["\"stdout\"", "\"/var/log/fleetfoot/access.log\""],
    }],
};

/// `[service.NAME]`.
pub(crate) static SERVICES: Section = Section {
    header: "[service.NAME]",
    doc: "A backend service under a name of your choice; at least one.",
    aliases: &[
        ("server", "servers"),
        ("url", "servers"),
        ("urls", "servers"),
        ("timeout", "total_time"),
        ("connect_timeout", "connect_time"),
        ("read_timeout", "first_byte_time"),
        ("idle_timeout", "idle_time"),
        ("version", "http"),
        ("max_connections", "connections_max"),
    ],
    keys: &[
        Key {
            name: "servers",
            kind: Kind::Texts { form: URL, alone: true },
            default: Default::Required,
            doc: "Its servers, at least one.",
            examples: &["[\"http://10.0.0.1:3000\", \"http://10.0.0.2:3000\"]"],
        },
        Key {
            name: "host",
            kind: Kind::Choice { words: &["client", "server"], or: Some(HOST) },
            default: Default::Value("\"client\""),
            doc: "The Host field of forwarded requests: the client's, the chosen server's, or this name.",
            examples: &["\"server\"", "\"shop.internal\""],
        },
        Key {
            name: "http",
            kind: Kind::Choice { words: &["auto", "1", "2"], or: None },
            default: Default::Value("\"auto\""),
            doc: "The version of HTTP: `auto` is 1 on plain connections and by ALPN on TLS.",
            examples: &["\"2\""],
        },
        Key {
            name: "connect_time",
            kind: Kind::Time { least: MILLISECOND, most: Duration::from_mins(10), or_false: false },
            default: Default::Value("\"2s\""),
            doc: "Longest time to connect, TLS included; never more than `total_time`.",
            examples: &["\"500ms\""],
        },
        Key {
            name: "first_byte_time",
            kind: Kind::Time { least: MILLISECOND, most: DAY, or_false: false },
            default: Default::Value("\"15s\""),
            doc: "Longest wait for the first byte of an answer; never more than `total_time`.",
            examples: &["\"3s\""],
        },
        Key {
            name: "total_time",
            kind: Kind::Time {
                least: MILLISECOND,
                most: Duration::from_hours(7 * 24),
                or_false: false,
            },
            default: Default::Value("\"1h\""),
            doc: "Longest time for a whole exchange, body included.",
            examples: &["\"30s\""],
        },
        Key {
            name: "idle_time",
            kind: Kind::Time { least: MILLISECOND, most: DAY, or_false: false },
            default: Default::Value("\"30s\""),
            doc: "How long a connection may lie idle in a pool; shorter than the server's own limit.",
            examples: &["\"4s\""],
        },
        Key {
            name: "idle_max",
            kind: Kind::Count { least: 0, most: 65_536, unlimited: false },
            default: Default::Value("4096"),
            doc: "Most idle connections to each server by each thread; never more than `connections_max`.",
            examples: &["64"],
        },
        Key {
            name: "connections_max",
            kind: Kind::Count { least: 1, most: 1_000_000, unlimited: false },
            default: Default::Value("4096"),
            doc: "Most connections to each server by each thread.",
            examples: &["100"],
        },
        Key {
            name: "tls",
            kind: Kind::Table(&SERVICE_TLS),
            default: Default::Words("the roots of the system, the server's own name"),
            doc: SERVICE_TLS.doc,
            examples: &["{ trust = \"internal-ca.pem\", name = \"shop.internal\" }"],
        },
    ],
};

/// `[service.NAME.tls]`.
pub(crate) static SERVICE_TLS: Section = Section {
    header: "[service.NAME.tls]",
    doc: "How TLS is spoken to `https` servers.",
    aliases: &[("ca", "trust"), ("roots", "trust"), ("server_name", "name"), ("sni", "name")],
    keys: &[
        Key {
            name: "trust",
            kind: Kind::Choice { words: &["system"], or: Some(FILE) },
            default: Default::Value("\"system\""),
            doc: "Who may vouch for the servers: the system's roots, or the certificates of a PEM file.",
            examples: &["\"internal-ca.pem\""],
        },
        Key {
            name: "name",
            kind: Kind::Text { form: SERVER_NAME, or_false: false },
            default: Default::Words("each server's own host"),
            doc: "The name asked for and checked.",
            examples: &["\"shop.internal\""],
        },
    ],
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
        ("strip_prefix", "strip"),
        ("total_time", "timeout"),
        ("caching", "cache"),
        ("ttl", "cache"),
        ("tags", "cache"),
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
            kind: Kind::Text { form: SERVICE, or_false: false },
            default: Default::Required,
            doc: "The service they go to.",
            examples: &["\"shop\""],
        },
        Key {
            name: "name",
            kind: Kind::Text { form: ROUTE_NAME, or_false: false },
            default: Default::Words("the text of `match`"),
            doc: "What logs and metrics call it.",
            examples: &["\"items\""],
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
    ],
};
