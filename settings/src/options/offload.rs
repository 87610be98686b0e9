//! The table's part about jobs: `[offload]`, and what a route says of them.

use super::caching::FIELD;
use super::service::SERVICE_NAME;
use super::table::{FILE, MILLISECOND, NETWORK};
use super::{Default, Form, Key, Kind, Section};
use base::ByteSize;
use std::time::Duration;

pub(super) const YEAR: Duration = Duration::from_hours(365 * 24);
const SECOND: Duration = Duration::from_secs(1);

const NODE: Form =
    Form { what: "1 to 64 letters, digits, - and _", pattern: r"^[A-Za-z0-9_-]{1,64}$" };
const SECRET: Form =
    Form { what: "16 to 256 printable ASCII characters, no space", pattern: r"^[!-~]{16,256}$" };
const KEY: Form = Form {
    what: "32 bytes, as 64 hexadecimal digits or as Base64",
    pattern: r"^([0-9A-Fa-f]{64}|[A-Za-z0-9+/_-]{43}=?)$",
};
const HOOK_SECRET: Form = Form {
    what: "whsec_ and 24 to 64 bytes as Base64",
    pattern: r"^whsec_[A-Za-z0-9+/_-]{32,86}={0,2}$",
};
const PATH: Form = Form {
    what: "a path that starts with / and does not end in it",
    pattern: r"^/([^ ?#{}*]*[^ ?#{}*/])$",
};
const QUEUE_NAME: Form = Form { what: "the name of a queue", pattern: SERVICE_NAME };
pub(super) const TEMPLATE: Form = Form {
    what: "text with {parameters} of the route's match or {header.NAME} in it",
    pattern: r"^[^\u0000-\u001f\u007f]{1,256}$",
};
const CALLBACK_URL: Form =
    Form { what: "an https URL", pattern: r"^[Hh][Tt][Tt][Pp][Ss]?://[!-~]+$" };

/// `[offload]`.
pub(crate) static OFFLOAD: Section = Section {
    header: "[offload]",
    doc: "Where requests that are answered with 202 are kept until their services have taken them, and what is told of them.",
    aliases: &[
        ("path_prefix", "path"),
        ("status_path", "path"),
        ("directory", "store"),
        ("dir", "store"),
        ("folder", "store"),
        ("storage", "store"),
        ("data_dir", "store"),
        ("fsync", "durability"),
        ("sync", "durability"),
        ("flush", "durability"),
        ("name", "node"),
        ("node_id", "node"),
        ("id", "node"),
        ("gateways", "peers"),
        ("nodes", "peers"),
        ("cluster", "peers"),
        ("signing_key", "secret"),
        ("token_secret", "secret"),
        ("encryption_key", "key"),
        ("max_jobs", "jobs_max"),
        ("jobs", "jobs_max"),
        ("max_size", "bytes_max"),
        ("size", "bytes_max"),
        ("max_body", "body_max"),
        ("max_body_size", "body_max"),
        ("min_free", "free_min"),
        ("disk_min", "free_min"),
        ("retention", "keep"),
        ("keep_results", "keep"),
        ("result_ttl", "keep"),
        ("ttl", "keep"),
        ("dlq", "keep_dead"),
        ("dead_letter", "keep_dead"),
        ("dead_letters", "keep_dead"),
        ("keep_failed", "keep_dead"),
        ("max_answer", "answer_max"),
        ("result_max", "answer_max"),
        ("max_wait", "wait_max"),
        ("wait", "wait_max"),
        ("callbacks", "callback"),
        ("webhook", "callback"),
        ("webhooks", "callback"),
    ],
    keys: &[
        Key {
            name: "store",
            kind: Kind::Text { form: FILE, or_false: false },
            default: Default::Value("\"fleetfoot-jobs\""),
            doc: "A folder for it alone, made where it is missing; it lies beside the settings file unless it starts with `/`, wherever the gateway is started.",
            examples: &["\"/var/lib/fleetfoot/jobs\""],
        },
        Key {
            name: "durability",
            kind: Kind::Choice { words: &["disk", "system"], or: None },
            default: Default::Value("\"disk\""),
            doc: "What has happened when a 202 leaves: the `disk` has said that it is written, so it survives a power cut; or the `system` has it, so it survives the end of the process.",
            examples: &["\"system\""],
        },
        Key {
            name: "node",
            kind: Kind::Text { form: NODE, or_false: false },
            default: Default::Value("\"fleetfoot\""),
            doc: "The name of this gateway among those that share a queue; needed with `peers` and with a `broker`, another one for each gateway, the same after a restart.",
            examples: &["\"a\"", "\"${NODE:-a}\""],
        },
        Key {
            name: "peers",
            kind: Kind::Pairs {
                what: "the `node` of each with its URL: b = \"http://10.0.0.2:8080\"",
                name: NODE.pattern,
                value: r"^[Hh][Tt][Tt][Pp][Ss]?://[^@/?# ]+/?$",
            },
            default: Default::Words("none"),
            doc: "The other gateways, each with the URL where its clients reach it: whoever is asked about a job of another one asks there.",
            examples: &["{ b = \"http://10.0.0.2:8080\", c = \"http://10.0.0.3:8080\" }"],
        },
        Key {
            name: "secret",
            kind: Kind::Text { form: SECRET, or_false: false },
            default: Default::Words("made once, kept in the store"),
            doc: "What status addresses are signed with, so that nobody guesses one; needed with `peers` and with a `broker`, the same for all gateways.",
            examples: &["\"${OFFLOAD_SECRET}\""],
        },
        Key {
            name: "key",
            kind: Kind::Text { form: KEY, or_false: false },
            default: Default::Words("none: nothing is encrypted"),
            doc: "What the fields in `encrypt` of routes are encrypted with on disk and in brokers, the same for all gateways: 32 random bytes, as `openssl rand -base64 32` makes them.",
            examples: &["\"${OFFLOAD_KEY}\""],
        },
        Key {
            name: "path",
            kind: Kind::Text { form: PATH, or_false: false },
            default: Default::Value("\"/.fleetfoot/jobs\""),
            doc: "Where the status of jobs is, on every listener: `Location` of a 202 is a path below it.",
            examples: &["\"/jobs\""],
        },
        Key {
            name: "jobs_max",
            kind: Kind::Count { least: 1, most: 100_000_000, unlimited: false },
            default: Default::Value("1000000"),
            doc: "Most jobs that wait, in all queues together; past that the answer is 503.",
            examples: &["100000"],
        },
        Key {
            name: "bytes_max",
            kind: Kind::Size { least: ByteSize::mib(1), most: ByteSize(1 << 42), unlimited: false },
            default: Default::Value("\"8 GiB\""),
            doc: "Most bytes of the log of jobs that wait; past that the answer is 503.",
            examples: &["\"100 GiB\""],
        },
        Key {
            name: "body_max",
            kind: Kind::Size { least: ByteSize(0), most: ByteSize::mib(8), unlimited: false },
            default: Default::Value("\"1 MiB\""),
            doc: "Largest body of a request that becomes a job; past that the answer is 413. Never more than a quarter of `bytes_max`.",
            examples: &["\"8 MiB\""],
        },
        Key {
            name: "free_min",
            kind: Kind::Size { least: ByteSize(0), most: ByteSize(1 << 40), unlimited: false },
            default: Default::Value("\"256 MiB\""),
            doc: "Nothing is accepted while the disk has less room than this.",
            examples: &["\"1 GiB\""],
        },
        Key {
            name: "keep",
            kind: Kind::Time { least: SECOND, most: YEAR, or_false: false },
            default: Default::Value("\"1d\""),
            doc: "How long what came of a job can be asked for; after that its address is answered with 410.",
            examples: &["\"1h\""],
        },
        Key {
            name: "keep_dead",
            kind: Kind::Time { least: SECOND, most: YEAR, or_false: false },
            default: Default::Value("\"14d\""),
            doc: "How long jobs that were given up are kept whole, for a replay.",
            examples: &["\"30d\""],
        },
        Key {
            name: "answer_max",
            kind: Kind::Size { least: ByteSize(0), most: ByteSize::mib(8), unlimited: false },
            default: Default::Value("\"256 KiB\""),
            doc: "Largest answer of a service that is kept, head and body; of a larger one the status alone is.",
            examples: &["\"1 MiB\""],
        },
        Key {
            name: "wait_max",
            kind: Kind::Time {
                least: Duration::ZERO,
                most: Duration::from_mins(10),
                or_false: false,
            },
            default: Default::Value("\"1m\""),
            doc: "Longest time that a client may wait for the end of a job (`Prefer: wait=30`).",
            examples: &["\"10s\""],
        },
        Key {
            name: "callback",
            kind: Kind::Table(&OFFLOAD_CALLBACK),
            default: Default::Words("https to public addresses, not signed"),
            doc: OFFLOAD_CALLBACK.doc,
            examples: &["{ allow = [\"10.0.0.0/8\"] }"],
        },
    ],
};

/// `[offload.callback]`.
pub(crate) static OFFLOAD_CALLBACK: Section = Section {
    header: "[offload.callback]",
    doc: "How URLs are called that are told the end of a job; which ones is said by the routes.",
    aliases: &[
        ("allowed", "allow"),
        ("networks", "allow"),
        ("allow_networks", "allow"),
        ("allow_http", "http"),
        ("insecure", "http"),
        ("plain", "http"),
        ("secret", "secrets"),
        ("signing_secret", "secrets"),
        ("key", "secrets"),
        ("keys", "secrets"),
    ],
    keys: &[
        Key {
            name: "allow",
            kind: Kind::Texts { form: NETWORK, alone: true },
            default: Default::Value("[]"),
            doc: "Networks that are called although they are not public: without them no client can make the gateway call what only the gateway reaches.",
            examples: &["[\"10.0.0.0/8\"]"],
        },
        Key {
            name: "http",
            kind: Kind::Flag,
            default: Default::Value("false"),
            doc: "Whether `http` URLs are called too.",
            examples: &["true"],
        },
        Key {
            name: "secrets",
            kind: Kind::Texts { form: HOOK_SECRET, alone: true },
            default: Default::Words("none: callbacks are not signed"),
            doc: "What callbacks are signed with (Standard Webhooks), the newest first: each signs.",
            examples: &["[\"${HOOK_SECRET}\"]"],
        },
    ],
};

/// `[route.offload]`.
pub(crate) static ROUTE_OFFLOAD: Section = Section {
    header: "[route.offload]",
    doc: "Whether its requests are answered with 202 at once and delivered later; `true`, or the name of a queue, may stand in its place.",
    aliases: &[
        ("name", "queue"),
        ("to", "queue"),
        ("enabled", "when"),
        ("mode", "when"),
        ("async", "when"),
        ("ordering_key", "order"),
        ("order_by", "order"),
        ("group", "order"),
        ("message_group", "order"),
        ("partition_key", "order"),
        ("key", "order"),
        ("dedup", "debounce"),
        ("coalesce", "debounce"),
        ("collapse", "debounce"),
        ("idempotency_key", "idempotency"),
        ("idempotent", "idempotency"),
        ("idempotency_ttl", "idempotency_time"),
        ("schedule", "client_delay"),
        ("delay_max", "client_delay"),
        ("ttl", "expires"),
        ("retry", "queue"),
        ("retries", "queue"),
        ("concurrency", "queue"),
        ("rate", "queue"),
        ("timeout", "queue"),
        ("strip", "drop"),
        ("remove", "drop"),
        ("redact", "drop"),
        ("encrypted", "encrypt"),
        ("webhook", "callback"),
        ("callback_url", "callback"),
        ("notify", "callback"),
    ],
    keys: &[
        Key {
            name: "queue",
            kind: Kind::Text { form: QUEUE_NAME, or_false: false },
            default: Default::Value("\"default\""),
            doc: "The queue that its jobs wait in.",
            examples: &["\"mail\""],
        },
        Key {
            name: "when",
            kind: Kind::Choice { words: &["always", "prefer"], or: None },
            default: Default::Value("\"always\""),
            doc: "Which of its requests: all, or those whose client would `prefer` it (`Prefer: respond-async`).",
            examples: &["\"prefer\""],
        },
        Key {
            name: "order",
            kind: Kind::Text { form: TEMPLATE, or_false: false },
            default: Default::Words("none: in any order"),
            doc: "Jobs with the same value of this are delivered one after another, in the order in which they came.",
            examples: &["\"{id}\"", "\"{header.X-Account}\""],
        },
        Key {
            name: "debounce",
            kind: Kind::Text { form: TEMPLATE, or_false: false },
            default: Default::Words("none: each is delivered"),
            doc: "Of the jobs that wait with the same value of this, only the newest is delivered.",
            examples: &["\"{id}\""],
        },
        Key {
            name: "idempotency",
            kind: Kind::Choice { words: &["optional", "required"], or: None },
            default: Default::Value("\"optional\""),
            doc: "Whether clients may name their requests (`Idempotency-Key`), so that one sent twice is one job, or must: else the answer is 400.",
            examples: &["\"required\""],
        },
        Key {
            name: "idempotency_time",
            kind: Kind::Time { least: SECOND, most: YEAR, or_false: false },
            default: Default::Value("\"1d\""),
            doc: "How long such a name holds.",
            examples: &["\"7d\""],
        },
        Key {
            name: "delay",
            kind: Kind::Time { least: Duration::ZERO, most: YEAR, or_false: false },
            default: Default::Value("\"0s\""),
            doc: "Jobs wait at least so long.",
            examples: &["\"10s\""],
        },
        Key {
            name: "client_delay",
            kind: Kind::Time { least: SECOND, most: YEAR, or_false: true },
            default: Default::Value("false"),
            doc: "The longest delay that clients may ask for (`Offload-Delay`, `Offload-At`), or whether they may at all.",
            examples: &["\"7d\"", "false"],
        },
        Key {
            name: "expires",
            kind: Kind::Time { least: MILLISECOND, most: YEAR, or_false: false },
            default: Default::Words("that of its queue"),
            doc: "How long a job may wait for its delivery; longer than `delay`.",
            examples: &["\"1h\""],
        },
        Key {
            name: "priority",
            kind: Kind::Count { least: 0, most: 9, unlimited: false },
            default: Default::Value("5"),
            doc: "Of the jobs in a queue that are due, those with 9 go first, those with 0 last.",
            examples: &["9"],
        },
        Key {
            name: "drop",
            kind: Kind::Texts { form: FIELD, alone: true },
            default: Default::Value("[]"),
            doc: "Fields that are not kept, and not sent to the service.",
            examples: &["[\"authorization\"]"],
        },
        Key {
            name: "encrypt",
            kind: Kind::Texts { form: FIELD, alone: true },
            default: Default::Words(
                "with `key` in `[offload]`: `authorization` and `cookie`; else none",
            ),
            doc: "Fields that are kept encrypted, and sent to the service as they came.",
            examples: &["[\"authorization\", \"cookie\"]", "[]"],
        },
        Key {
            name: "callback",
            kind: Kind::Short { key: "url", section: &ROUTE_CALLBACK, or_false: false },
            default: Default::Words("nobody"),
            doc: ROUTE_CALLBACK.doc,
            examples: &["\"https://hooks.example/jobs\"", "{ field = \"Callback-URL\" }"],
        },
    ],
};

/// `[route.offload.callback]`.
pub(crate) static ROUTE_CALLBACK: Section = Section {
    header: "[route.offload.callback]",
    doc: "Who is told the end of a job: one URL, which may stand in its place, or the one in a field of each request.",
    aliases: &[("to", "url"), ("uri", "url"), ("header", "field"), ("from", "field")],
    keys: &[
        Key {
            name: "url",
            kind: Kind::Text { form: CALLBACK_URL, or_false: false },
            default: Default::Words("none"),
            doc: "This URL.",
            examples: &["\"https://hooks.example/jobs\""],
        },
        Key {
            name: "field",
            kind: Kind::Text { form: FIELD, or_false: false },
            default: Default::Words("none"),
            doc: "The URL in this field of the request, where it is; kept to public addresses and `allow` of `[offload.callback]`.",
            examples: &["\"Callback-URL\""],
        },
    ],
};
