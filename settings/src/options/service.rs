//! The table's part about a service: where it is, and how connections to it are made.

use super::balance::{BALANCE, HEALTH, HEDGE, LIMIT, RETRY};
use super::table::{DAY, FILE, MILLISECOND, ZONE};
use super::{Default, Form, Key, Kind, Section};
use std::time::Duration;

const URL: Form = Form {
    what: "http or https, a host and perhaps a port",
    pattern: r"^[Hh][Tt][Tt][Pp][Ss]?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?/?$",
};
const HOST: Form = Form {
    what: "a host name or address, perhaps with a port",
    pattern: r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$",
};
const SERVER_NAME: Form =
    Form { what: "a host name or address", pattern: r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)$" };
const SRV: Form = Form {
    what: "a name of SRV records, such as _http._tcp.catalog.internal",
    pattern: r"^_[A-Za-z0-9-]{1,62}\._([Tt][Cc][Pp]|[Uu][Dd][Pp])\.[A-Za-z0-9._-]{1,240}$",
};
const LABEL: Form = Form {
    what: "1 to 63 lower-case letters, digits and -",
    pattern: r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
};
const PORT: Form = Form {
    what: "the name of a port: 1 to 63 lower-case letters, digits and -",
    pattern: r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
};

/// What a service may be called.
pub(crate) const SERVICE_NAME: &str = r"^[A-Za-z0-9_-]{1,64}$";
/// In words.
pub(crate) const SERVICE_NAME_WORDS: &str = "1 to 64 letters, digits, - and _";

/// `[service.NAME]`.
pub(crate) static SERVICES: Section = Section {
    header: "[service.NAME]",
    doc: "A backend service under a name of your choice; at least one.",
    aliases: &[
        ("server", "servers"),
        ("endpoints", "servers"),
        ("hosts", "servers"),
        ("nodes", "servers"),
        ("lb_policy", "balance"),
        ("load_balancer", "balance"),
        ("load_balancing", "balance"),
        ("sticky", "balance"),
        ("outlier_detection", "balance"),
        ("healthcheck", "health"),
        ("health_check", "health"),
        ("health_checks", "health"),
        ("check", "health"),
        ("retries", "retry"),
        ("retry_on", "retry"),
        ("max_retries", "retry"),
        ("num_retries", "retry"),
        ("proxy_next_upstream", "retry"),
        ("hedging", "hedge"),
        ("hedge_policy", "hedge"),
        ("concurrency", "limit"),
        ("concurrency_limit", "limit"),
        ("adaptive_concurrency", "limit"),
        ("circuit_breakers", "limit"),
        ("max_requests", "limit"),
        ("discovery", "discover"),
        ("dns", "discover"),
        ("srv", "discover"),
        ("kubernetes", "discover"),
        ("service_discovery", "discover"),
        ("preconnect", "prewarm"),
        ("min_idle", "prewarm"),
        ("url", "servers"),
        ("urls", "servers"),
        ("weight", "servers"),
        ("weights", "servers"),
        ("backup", "servers"),
        ("timeout", "total_time"),
        ("request_timeout", "total_time"),
        ("proxy_connect_timeout", "connect_time"),
        ("dial_timeout", "connect_time"),
        ("timeout_connect", "connect_time"),
        ("proxy_read_timeout", "first_byte_time"),
        ("response_header_timeout", "first_byte_time"),
        ("timeout_server", "first_byte_time"),
        ("keepalive_timeout", "idle_time"),
        ("idle_conn_timeout", "idle_time"),
        ("keepalive", "idle_max"),
        ("max_idle_conns_per_host", "idle_max"),
        ("max_conns", "connections_max"),
        ("maxconn", "connections_max"),
        ("pass_host_header", "host"),
        ("proxy_next_upstream_tries", "retry"),
        ("maxqueue", "limit"),
        ("max_pending_requests", "limit"),
        ("connect_timeout", "connect_time"),
        ("read_timeout", "first_byte_time"),
        ("idle_timeout", "idle_time"),
        ("version", "http"),
        ("max_connections", "connections_max"),
    ],
    keys: &[
        Key {
            name: "servers",
            kind: Kind::Shorts { key: "url", section: &SERVER },
            default: Default::Words("none; needed unless `discover` is there"),
            doc: "Its servers, each a URL or a table.",
            examples: &[
                "[\"http://10.0.0.1:3000\", \"http://10.0.0.2:3000\"]",
                "[\"http://10.0.0.1:3000\", { url = \"http://10.0.0.2:3000\", weight = 2 }]",
            ],
        },
        Key {
            name: "discover",
            kind: Kind::Table(&DISCOVER),
            default: Default::Words("none: those of `servers`"),
            doc: DISCOVER.doc,
            examples: &["{ name = \"http://catalog.internal:3000\" }"],
        },
        Key {
            name: "balance",
            kind: Kind::Short { key: "policy", section: &BALANCE, or_false: false },
            default: Default::Value("\"peak-ewma\""),
            doc: BALANCE.doc,
            examples: &["\"least-request\"", "{ policy = \"hash\", by = \"cookie:uid\" }"],
        },
        Key {
            name: "health",
            kind: Kind::Short { key: "path", section: &HEALTH, or_false: true },
            default: Default::Value("false"),
            doc: HEALTH.doc,
            examples: &[
                "\"/health\"",
                "{ grpc = \"shop.Cart\", every = \"2s\" }",
                "{ tcp = true }",
            ],
        },
        Key {
            name: "retry",
            kind: Kind::Switch(&RETRY),
            default: Default::Value("true"),
            doc: RETRY.doc,
            examples: &["{ attempts = 2, try_time = \"2s\" }", "false"],
        },
        Key {
            name: "hedge",
            kind: Kind::Short { key: "extra", section: &HEDGE, or_false: true },
            default: Default::Value("false"),
            doc: HEDGE.doc,
            examples: &["\"5%\""],
        },
        Key {
            name: "limit",
            kind: Kind::Short { key: "mode", section: &LIMIT, or_false: false },
            default: Default::Value("\"observe\""),
            doc: LIMIT.doc,
            examples: &["\"enforce\"", "{ mode = \"enforce\", most = 500 }"],
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
            name: "prewarm",
            kind: Kind::Count { least: 0, most: 1024, unlimited: false },
            default: Default::Value("0"),
            doc: "Connections that each thread makes to each server before they are needed; never more than `idle_max`.",
            examples: &["2"],
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

/// One of `service.NAME.servers`.
pub(crate) static SERVER: Section = Section {
    header: "[[service.NAME.servers]]",
    doc: "A server and its place among the others; its URL alone may stand in its place.",
    aliases: &[
        ("address", "url"),
        ("host", "url"),
        ("server", "url"),
        ("load_balancing_weight", "weight"),
        ("share", "weight"),
        ("backup", "priority"),
        ("tier", "priority"),
        ("region", "zone"),
        ("locality", "zone"),
    ],
    keys: &[
        Key {
            name: "url",
            kind: Kind::Text { form: URL, or_false: false },
            default: Default::Required,
            doc: "Where it is.",
            examples: &["\"http://10.0.0.2:3000\""],
        },
        Key {
            name: "weight",
            kind: Kind::Count { least: 1, most: 1000, unlimited: false },
            default: Default::Value("1"),
            doc: "Its share of requests beside the weights of the others.",
            examples: &["2"],
        },
        Key {
            name: "priority",
            kind: Kind::Count { least: 0, most: 255, unlimited: false },
            default: Default::Value("0"),
            doc: "Servers of the lowest number are asked; the next ones take what those cannot.",
            examples: &["1"],
        },
        Key {
            name: "zone",
            kind: Kind::Text { form: ZONE, or_false: false },
            default: Default::Words("unknown"),
            doc: "Its zone; those of the gateway's own `zone` are preferred by `zone_cost`.",
            examples: &["\"eu-2\""],
        },
    ],
};

/// `[service.NAME.discover]`.
pub(crate) static DISCOVER: Section = Section {
    header: "[service.NAME.discover]",
    doc: "Where servers are discovered, beside those of `servers`. It says one of `file`, `name`, `srv` and `kubernetes`.",
    aliases: &[
        ("path", "file"),
        ("dns", "name"),
        ("url", "name"),
        ("host", "name"),
        ("hostname", "name"),
        ("dns_srv", "srv"),
        ("k8s", "kubernetes"),
        ("service", "kubernetes"),
        ("interval", "every"),
        ("refresh", "every"),
        ("refresh_interval", "every"),
        ("dns_refresh_rate", "every"),
        ("max", "servers_max"),
        ("ns", "namespace"),
        ("port_name", "port"),
        ("token_file", "token"),
        ("ca", "trust"),
        ("apiserver", "api"),
    ],
    keys: &[
        Key {
            name: "file",
            kind: Kind::Text { form: FILE, or_false: false },
            default: Default::Words("none"),
            doc: "A file of one server a line: a URL, perhaps `weight=2 priority=1 zone=eu-1` behind it.",
            examples: &["\"catalog.servers\""],
        },
        Key {
            name: "name",
            kind: Kind::Text { form: URL, or_false: false },
            default: Default::Words("none"),
            doc: "All addresses of a name (A and AAAA), as servers of this scheme and port.",
            examples: &["\"http://catalog.internal:3000\""],
        },
        Key {
            name: "srv",
            kind: Kind::Text { form: SRV, or_false: false },
            default: Default::Words("none"),
            doc: "The targets of SRV records (RFC 2782), with their ports, weights and priorities.",
            examples: &["\"_http._tcp.catalog.internal\""],
        },
        Key {
            name: "kubernetes",
            kind: Kind::Text { form: LABEL, or_false: false },
            default: Default::Words("none"),
            doc: "The endpoints of this Kubernetes service, watched through the API server.",
            examples: &["\"catalog\""],
        },
        Key {
            name: "every",
            kind: Kind::Time {
                least: Duration::from_millis(100),
                most: Duration::from_hours(1),
                or_false: false,
            },
            default: Default::Value("\"5s\""),
            doc: "How often it is looked up, at least; a name's own TTL shortens it.",
            examples: &["\"30s\""],
        },
        Key {
            name: "servers_max",
            kind: Kind::Count { least: 1, most: 100_000, unlimited: false },
            default: Default::Value("10000"),
            doc: "Most servers that are taken; the rest is left out.",
            examples: &["100"],
        },
        Key {
            name: "scheme",
            kind: Kind::Choice { words: &["http", "https"], or: None },
            default: Default::Value("\"http\""),
            doc: "How servers found by `srv` or `kubernetes` are spoken to.",
            examples: &["\"https\""],
        },
        Key {
            name: "namespace",
            kind: Kind::Text { form: LABEL, or_false: false },
            default: Default::Words("the pod's own"),
            doc: "The namespace of the Kubernetes service.",
            examples: &["\"shop\""],
        },
        Key {
            name: "port",
            kind: Kind::Text { form: PORT, or_false: false },
            default: Default::Words("the only one"),
            doc: "The name of the service's port in Kubernetes, where it has several.",
            examples: &["\"http\""],
        },
        Key {
            name: "api",
            kind: Kind::Text { form: URL, or_false: false },
            default: Default::Words("the one that a pod's environment names"),
            doc: "The Kubernetes API server.",
            examples: &["\"https://10.96.0.1\""],
        },
        Key {
            name: "token",
            kind: Kind::Text { form: FILE, or_false: false },
            default: Default::Words("the pod's own"),
            doc: "A file with the bearer token for the API server.",
            examples: &["\"k8s.token\""],
        },
        Key {
            name: "trust",
            kind: Kind::Text { form: FILE, or_false: false },
            default: Default::Words("the pod's own"),
            doc: "A PEM file of who may vouch for the API server.",
            examples: &["\"k8s-ca.pem\""],
        },
    ],
};
