//! The table's part about what is told of requests, and what a route promises.

use super::caching::TOKEN;
use super::table::FILE;
use super::{Default, Form, Key, Kind, Section};
use base::Share;
use std::time::Duration;

const PARAMETER: Form = Form {
    what: "the name of a query's parameter, up to 128 characters",
    pattern: r"^[^\u0000-\u0020\u007f&=?#]{1,128}$",
};
const OTLP_URL: Form = Form {
    what: "http or https, a host and perhaps a port, such as http://localhost:4317",
    pattern: r"^[A-Za-z]+://[^ ?#@]+$",
};
const SERVICE_TITLE: Form =
    Form { what: "1 to 128 printable characters", pattern: r"^[^\u0000-\u001f\u007f]{1,128}$" };

/// `objective` of a route.
pub(super) const OBJECTIVE: Kind = Kind::Pairs {
    what: "percentiles with a time, and success with a share: p99 = \"200ms\", success = \"99.9%\"",
    name: r"^(p[0-9]{1,2}(\.[0-9]{1,2})?|success)$",
    value: r"^[0-9.\sa-zµ]+$|^\s*[0-9]{1,2}(\.[0-9]{0,2})?\s*%\s*$",
};

/// `[monitor]`.
pub(crate) static MONITOR: Section = Section {
    header: "[monitor]",
    doc: "What is told about requests.",
    aliases: &[
        ("log", "access_log"),
        ("access_logs", "access_log"),
        ("access_log_path", "access_log"),
        ("accesslog", "access_log"),
        ("file", "access_log"),
        ("format", "log_format"),
        ("access_log_format", "log_format"),
        ("sample", "log_sample"),
        ("log_sampling", "log_sample"),
        ("log_rate", "log_sample"),
        ("mask", "redact"),
        ("hide", "redact"),
        ("scrub", "redact"),
        ("redaction", "redact"),
        ("redact_query", "redact"),
        ("timing", "server_timing"),
        ("timings", "server_timing"),
        ("server-timing", "server_timing"),
        ("x_request_id", "request_id"),
        ("request_ids", "request_id"),
        ("generate_request_id", "request_id"),
        ("correlation_id", "request_id"),
        ("tracing", "trace"),
        ("traces", "trace"),
        ("traceparent", "trace"),
        ("trace_context", "trace"),
        ("sampling", "trace_sample"),
        ("sampler", "trace_sample"),
        ("sample_rate", "trace_sample"),
        ("random_sampling", "trace_sample"),
        ("trace_sampling", "trace_sample"),
        ("traces_sampler", "trace_sample"),
        ("otel", "otlp"),
        ("opentelemetry", "otlp"),
        ("exporter", "otlp"),
        ("collector", "otlp"),
        ("endpoint", "otlp"),
    ],
    keys: &[
        Key {
            name: "access_log",
            kind: Kind::Choice { words: &["off", "stdout"], or: Some(FILE) },
            default: Default::Value("\"off\""),
            doc: "Where a line for each request goes; a file is appended to, and opened anew by a reload.",
            examples: &["\"stdout\"", "\"/var/log/fleetfoot/access.log\""],
        },
        Key {
            name: "log_format",
            kind: Kind::Choice { words: &["json", "common", "combined"], or: None },
            default: Default::Value("\"json\""),
            doc: "How a line is written: one JSON object with all there is to tell, or as NCSA did, `combined` with Referer and User-Agent.",
            examples: &["\"combined\""],
        },
        Key {
            name: "log_sample",
            kind: Kind::Share { least: Share(0), most: Share::percent(100), or_false: false },
            default: Default::Value("\"100%\""),
            doc: "How many of the requests that went well and were not slow have a line; all others always have one.",
            examples: &["\"10%\""],
        },
        Key {
            name: "redact",
            kind: Kind::Texts { form: PARAMETER, alone: true },
            default: Default::Words(
                "what usually is a secret: `token`, `password`, `api_key`, `signature` and the like",
            ),
            doc: "Parameters of a query whose values are told nowhere: `REDACTED` stands in their place. Case does not matter; a `*` at the end stands for any rest.",
            examples: &["[\"token\", \"session\", \"x-amz-*\"]", "[]"],
        },
        Key {
            name: "server_timing",
            kind: Kind::Switch(&SERVER_TIMING),
            default: Default::Value("false"),
            doc: "Who is told in `Server-Timing` where the time of a request went: everybody, nobody, or whoever knows a token.",
            examples: &["true", "{ token = \"${TIMING_TOKEN:-a-long-secret}\" }"],
        },
        Key {
            name: "request_id",
            kind: Kind::Flag,
            default: Default::Value("false"),
            doc: "Whether requests have an id, `X-Request-Id`, told to service and client: that of a trusted proxy, else a new one.",
            examples: &["true"],
        },
        Key {
            name: "trace",
            kind: Kind::Flag,
            default: Default::Value("true"),
            doc: "Whether requests belong to a trace that services are told of, `traceparent` (W3C Trace Context).",
            examples: &["false"],
        },
        Key {
            name: "trace_sample",
            kind: Kind::Share { least: Share(0), most: Share::percent(100), or_false: false },
            default: Default::Value("\"0%\""),
            doc: "How many of the traces that begin here are recorded whatever comes of them; what is slow or fails always is.",
            examples: &["\"1%\""],
        },
        Key {
            name: "otlp",
            kind: Kind::Short { key: "url", section: &OTLP, or_false: false },
            default: Default::Words("nowhere"),
            doc: OTLP.doc,
            examples: &[
                "\"http://localhost:4317\"",
                "{ url = \"http://localhost:4318\", every = \"30s\" }",
            ],
        },
    ],
};

/// `[monitor.server_timing]`.
pub(crate) static SERVER_TIMING: Section = Section {
    header: "[monitor.server_timing]",
    doc: "Who is told in `Server-Timing` where the time of a request went.",
    aliases: &[("secret", "token"), ("key", "token"), ("password", "token")],
    keys: &[Key {
        name: "token",
        kind: Kind::Text { form: TOKEN, or_false: false },
        default: Default::Required,
        doc: "Whoever sends this in the field `Server-Timing-Token` is told, and told which server it was.",
        examples: &["\"${TIMING_TOKEN:-a-long-secret}\""],
    }],
};

/// `[monitor.otlp]`.
pub(crate) static OTLP: Section = Section {
    header: "[monitor.otlp]",
    doc: "Where metrics and traces are sent, an OpenTelemetry collector or the like; its URL alone may stand in its place.",
    aliases: &[
        ("endpoint", "url"),
        ("address", "url"),
        ("server", "url"),
        ("collector", "url"),
        ("headers", "fields"),
        ("metadata", "fields"),
        ("header", "fields"),
        ("interval", "every"),
        ("period", "every"),
        ("export_interval", "every"),
        ("metric_export_interval", "every"),
        ("service_name", "service"),
        ("name", "service"),
        ("trace", "traces"),
        ("metric", "metrics"),
    ],
    keys: &[
        Key {
            name: "url",
            kind: Kind::Text { form: OTLP_URL, or_false: false },
            default: Default::Required,
            doc: "The receiver; over HTTP `/v1/metrics` and `/v1/traces` are below it.",
            examples: &["\"http://localhost:4317\""],
        },
        Key {
            name: "protocol",
            kind: Kind::Choice { words: &["grpc", "http"], or: None },
            default: Default::Words("`http` where the port is 4318, else `grpc`"),
            doc: "How it is spoken to: gRPC, or HTTP with Protocol Buffers.",
            examples: &["\"http\""],
        },
        Key {
            name: "fields",
            kind: Kind::Pairs {
                what: "names of fields and values",
                name: r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$",
                value: r"^[\t -~]{1,4096}$",
            },
            default: Default::Words("none"),
            doc: "Fields that are sent with every export, for authentication; shown nowhere.",
            examples: &["{ authorization = \"Bearer ${OTLP_TOKEN:-secret}\" }"],
        },
        Key {
            name: "every",
            kind: Kind::Time {
                least: Duration::from_secs(1),
                most: Duration::from_hours(1),
                or_false: false,
            },
            default: Default::Value("\"10s\""),
            doc: "How often metrics are sent.",
            examples: &["\"1m\""],
        },
        Key {
            name: "metrics",
            kind: Kind::Flag,
            default: Default::Value("true"),
            doc: "Whether metrics are sent.",
            examples: &["false"],
        },
        Key {
            name: "traces",
            kind: Kind::Flag,
            default: Default::Value("true"),
            doc: "Whether traces are sent.",
            examples: &["false"],
        },
        Key {
            name: "service",
            kind: Kind::Text { form: SERVICE_TITLE, or_false: false },
            default: Default::Value("\"fleetfoot\""),
            doc: "What `service.name` says.",
            examples: &["\"edge\""],
        },
    ],
};
