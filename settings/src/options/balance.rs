//! The table's part about the servers of a service: which is chosen, whether it is well, and what is
//! done when it is not.

use super::table::{DAY, MILLISECOND};
use super::{Default, Form, Key, Kind, Section};
use base::{ByteSize, Share};
use std::time::Duration;

const BY: Form = Form {
    what: "header:NAME, cookie:NAME, parameter:NAME, path or client",
    pattern: r"^(path|client|(header|cookie):[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}|parameter:[A-Za-z0-9_]+)$",
};
const CHECK_PATH: Form =
    Form { what: "a path that starts with /, perhaps with a query", pattern: r"^/[!-~]{0,1023}$" };
const GRPC: Form = Form {
    what: "the name of a gRPC service, or an empty string for the server as a whole",
    pattern: r"^[A-Za-z0-9_./-]{0,256}$",
};
const STATUSES: Form = Form {
    what: "a status such as 200, or two with a dash between them: 200-299",
    pattern: r"^[1-5][0-9]{2}(-[1-5][0-9]{2})?$",
};

/// `[service.NAME.balance]`.
pub(crate) static BALANCE: Section = Section {
    header: "[service.NAME.balance]",
    doc: "How a server is chosen for each request; the policy alone may stand in its place.",
    aliases: &[
        ("algorithm", "policy"),
        ("method", "policy"),
        ("type", "policy"),
        ("lb_policy", "policy"),
        ("key", "by"),
        ("hash", "by"),
        ("hash_on", "by"),
        ("hash_policy", "by"),
        ("hash_balance_factor", "bound"),
        ("load_factor", "bound"),
        ("slowstart", "slow_start"),
        ("warmup", "slow_start"),
        ("min_weight_percent", "slow_start_least"),
        ("panic_threshold", "panic"),
        ("healthy_panic_threshold", "panic"),
        ("locality", "zone_cost"),
        ("subset_size", "subset"),
        ("outlier_detection", "eject"),
        ("max_fails", "eject"),
        ("circuit_breaker", "eject"),
    ],
    keys: &[
        Key {
            name: "policy",
            kind: Kind::Choice {
                words: &["peak-ewma", "least-request", "round-robin", "random", "hash", "hot-cold"],
                or: None,
            },
            default: Default::Value("\"peak-ewma\""),
            doc: "Which server is chosen: of two at random the one with the lower expected time (`peak-ewma`) or with fewer requests in flight (`least-request`); in turn; at random; always the same for the same request (`hash`); or the fastest of those that are not busy (`hot-cold`).",
            examples: &["\"least-request\"", "\"round-robin\"", "\"hot-cold\""],
        },
        Key {
            name: "by",
            kind: Kind::Text { form: BY, or_false: false },
            default: Default::Words("none; needed by `policy = \"hash\"`"),
            doc: "What of a request is hashed: a field, a cookie, a parameter of the route's `match`, the path or the client's address. A request without it goes as by `peak-ewma`.",
            examples: &["\"header:X-User\"", "\"cookie:uid\"", "\"path\"", "\"client\""],
        },
        Key {
            name: "bound",
            kind: Kind::Share {
                least: Share::percent(100),
                most: Share::percent(1000),
                or_false: false,
            },
            default: Default::Value("\"125%\""),
            doc: "Most load that `hash` puts on one server, of the mean load; what is more goes to the next one.",
            examples: &["\"150%\""],
        },
        Key {
            name: "slow_start",
            kind: Kind::Time {
                least: Duration::ZERO,
                most: Duration::from_hours(1),
                or_false: false,
            },
            default: Default::Value("\"10s\""),
            doc: "How long a server that is new, or back, is given less than its share; `0s` gives it all at once.",
            examples: &["\"30s\"", "\"0s\""],
        },
        Key {
            name: "slow_start_least",
            kind: Kind::Share {
                least: Share::percent(1),
                most: Share::percent(100),
                or_false: false,
            },
            default: Default::Value("\"10%\""),
            doc: "The share of its weight that such a server begins with.",
            examples: &["\"20%\""],
        },
        Key {
            name: "penalty",
            kind: Kind::Time {
                least: Duration::ZERO,
                most: Duration::from_mins(10),
                or_false: false,
            },
            default: Default::Value("\"5s\""),
            doc: "The latency that a failed answer counts as, at least: a server that fails fast must not look fast.",
            examples: &["\"1s\""],
        },
        Key {
            name: "panic",
            kind: Kind::Share {
                least: Share::percent(0),
                most: Share::percent(100),
                or_false: false,
            },
            default: Default::Value("\"50%\""),
            doc: "With fewer servers fit than this share, ejected ones are used all the same; those that do not answer at all, or fail their checks, never are. `0%` switches it off.",
            examples: &["\"30%\"", "\"0%\""],
        },
        Key {
            name: "zone_cost",
            kind: Kind::Time {
                least: Duration::ZERO,
                most: Duration::from_secs(10),
                or_false: false,
            },
            default: Default::Value("\"1ms\""),
            doc: "What a server of another `zone` counts as slower than one of this gateway's, with `peak-ewma`; `0s` makes all zones equal. Other policies stay in this gateway's zone while it has a server.",
            examples: &["\"5ms\""],
        },
        Key {
            name: "subset",
            kind: Kind::Count { least: 1, most: 100_000, unlimited: false },
            default: Default::Words("all of them"),
            doc: "How many servers this gateway uses, chosen by the name of its host so that gateways spread evenly over all.",
            examples: &["20"],
        },
        Key {
            name: "eject",
            kind: Kind::Switch(&EJECT),
            default: Default::Value("true"),
            doc: EJECT.doc,
            examples: &["{ failures = 3, slow = false }", "false"],
        },
    ],
};

/// `[service.NAME.balance.eject]`.
pub(crate) static EJECT: Section = Section {
    header: "[service.NAME.balance.eject]",
    doc: "When a server is left out for a while because of how it answers real requests; `false` never does that.",
    aliases: &[
        ("consecutive_5xx", "failures"),
        ("consecutive_errors", "failures"),
        ("consecutive_gateway_failure", "failures"),
        ("max_fails", "failures"),
        ("success_rate", "success"),
        ("latency", "slow"),
        ("base_ejection_time", "time"),
        ("fail_timeout", "time"),
        ("interval", "time"),
        ("max_ejection_time", "time_max"),
        ("max_ejection_percent", "most"),
    ],
    keys: &[
        Key {
            name: "failures",
            kind: Kind::Count { least: 0, most: 10_000, unlimited: false },
            default: Default::Value("5"),
            doc: "Failures in a row after which it is left out; `0`: never for that.",
            examples: &["3", "0"],
        },
        Key {
            name: "success",
            kind: Kind::Share {
                least: Share::percent(1),
                most: Share::percent(100),
                or_false: true,
            },
            default: Default::Value("\"80%\""),
            doc: "The share of good answers in ten seconds below which it is left out; `false`: never for that.",
            examples: &["\"95%\"", "false"],
        },
        Key {
            name: "slow",
            kind: Kind::Share {
                least: Share::percent(110),
                most: Share::percent(10_000),
                or_false: true,
            },
            default: Default::Value("\"300%\""),
            doc: "How its p90 latency stands to the others' (their median) when it is left out: `300%` is three times as slow; `false`: never for that.",
            examples: &["\"500%\"", "false"],
        },
        Key {
            name: "time",
            kind: Kind::Time { least: MILLISECOND, most: DAY, or_false: false },
            default: Default::Value("\"1s\""),
            doc: "For how long the first time; doubled each time in a row.",
            examples: &["\"5s\""],
        },
        Key {
            name: "time_max",
            kind: Kind::Time { least: MILLISECOND, most: DAY, or_false: false },
            default: Default::Value("\"10s\""),
            doc: "For how long at most.",
            examples: &["\"1m\""],
        },
        Key {
            name: "most",
            kind: Kind::Share {
                least: Share::percent(1),
                most: Share::percent(100),
                or_false: false,
            },
            default: Default::Value("\"50%\""),
            doc: "The share of servers that may be ejected at once; one always may. Those that cannot be connected to are left out besides.",
            examples: &["\"20%\""],
        },
    ],
};

/// `[service.NAME.health]`.
pub(crate) static HEALTH: Section = Section {
    header: "[service.NAME.health]",
    doc: "How servers are checked; a path alone may stand in its place. It says one of `path`, `grpc` and `tcp`.",
    aliases: &[
        ("url", "path"),
        ("uri", "path"),
        ("http", "path"),
        ("endpoint", "path"),
        ("interval", "every"),
        ("period", "every"),
        ("timeout", "time"),
        ("rise", "healthy"),
        ("passes", "healthy"),
        ("healthy_threshold", "healthy"),
        ("fall", "unhealthy"),
        ("fails", "unhealthy"),
        ("unhealthy_threshold", "unhealthy"),
        ("status", "statuses"),
        ("expected_statuses", "statuses"),
        ("expect", "statuses"),
    ],
    keys: &[
        Key {
            name: "path",
            kind: Kind::Text { form: CHECK_PATH, or_false: false },
            default: Default::Words("none"),
            doc: "Asked for with GET.",
            examples: &["\"/health\"", "\"/ready?deep=1\""],
        },
        Key {
            name: "grpc",
            kind: Kind::Text { form: GRPC, or_false: false },
            default: Default::Words("none"),
            doc: "Asked for by gRPC's health protocol.",
            examples: &["\"shop.Cart\"", "\"\""],
        },
        Key {
            name: "tcp",
            kind: Kind::Flag,
            default: Default::Words("`false`"),
            doc: "Whether a connection that can be made is all that is asked.",
            examples: &["true"],
        },
        Key {
            name: "every",
            kind: Kind::Time {
                least: Duration::from_millis(100),
                most: Duration::from_hours(1),
                or_false: false,
            },
            default: Default::Value("\"5s\""),
            doc: "How often; each time a tenth earlier or later.",
            examples: &["\"10s\""],
        },
        Key {
            name: "time",
            kind: Kind::Time { least: MILLISECOND, most: Duration::from_mins(10), or_false: false },
            default: Default::Value("\"2s\""),
            doc: "Longest time for one check; never more than `every`.",
            examples: &["\"500ms\""],
        },
        Key {
            name: "healthy",
            kind: Kind::Count { least: 1, most: 1000, unlimited: false },
            default: Default::Value("2"),
            doc: "Good checks in a row that make a server healthy again.",
            examples: &["1"],
        },
        Key {
            name: "unhealthy",
            kind: Kind::Count { least: 1, most: 1000, unlimited: false },
            default: Default::Value("3"),
            doc: "Bad checks in a row that make it unhealthy.",
            examples: &["2"],
        },
        Key {
            name: "statuses",
            kind: Kind::Text { form: STATUSES, or_false: false },
            default: Default::Value("\"200-299\""),
            doc: "Statuses of a good answer to `path`.",
            examples: &["\"200\"", "\"200-399\""],
        },
    ],
};

/// `[service.NAME.retry]`.
pub(crate) static RETRY: Section = Section {
    header: "[service.NAME.retry]",
    doc: "When a request is sent again, to another server where there is one; `false` never does that and leaves no budget either.",
    aliases: &[
        ("max_retries", "attempts"),
        ("num_retries", "attempts"),
        ("retries", "attempts"),
        ("tries", "attempts"),
        ("retry_on", "statuses"),
        ("retriable_status_codes", "statuses"),
        ("status", "statuses"),
        ("budget_percent", "budget"),
        ("retry_budget", "budget"),
        ("min_retry_concurrency", "reserve"),
        ("min_retries_per_second", "reserve"),
        ("per_try_timeout", "try_time"),
        ("timeout", "try_time"),
        ("max_request_bytes", "body_max"),
        ("max_body", "body_max"),
        ("base_interval", "backoff"),
        ("initial_interval", "backoff"),
        ("retry_back_off", "backoff"),
    ],
    keys: &[
        Key {
            name: "attempts",
            kind: Kind::Count { least: 0, most: 10, unlimited: false },
            default: Default::Value("1"),
            doc: "How often at most, after the first try; `0`: never, not even where it is safe.",
            examples: &["2", "0"],
        },
        Key {
            name: "statuses",
            kind: Kind::Counts { least: 400, most: 599 },
            default: Default::Value("[500, 502, 503, 504]"),
            doc: "Statuses after which an idempotent request is sent again; `[]` leaves failures to connect and to answer.",
            examples: &["[502, 503, 504]", "429", "[]"],
        },
        Key {
            name: "budget",
            kind: Kind::Share {
                least: Share::percent(0),
                most: Share::percent(100),
                or_false: false,
            },
            default: Default::Value("\"10%\""),
            doc: "Most retries and hedges together, of the requests of the last ten seconds.",
            examples: &["\"20%\""],
        },
        Key {
            name: "reserve",
            kind: Kind::Count { least: 0, most: 10_000, unlimited: false },
            default: Default::Value("3"),
            doc: "Retries in a second that are allowed whatever `budget` says.",
            examples: &["10", "0"],
        },
        Key {
            name: "try_time",
            kind: Kind::Time { least: MILLISECOND, most: DAY, or_false: false },
            default: Default::Words("as long as there is"),
            doc: "Longest time for one try, where another may follow; never less than `connect_time`.",
            examples: &["\"500ms\""],
        },
        Key {
            name: "body_max",
            kind: Kind::Size { least: ByteSize(0), most: ByteSize::mib(64), unlimited: false },
            default: Default::Value("\"64 KiB\""),
            doc: "Largest body that is kept so that it can be sent again.",
            examples: &["\"1 MiB\"", "\"0 B\""],
        },
        Key {
            name: "backoff",
            kind: Kind::Time {
                least: Duration::ZERO,
                most: Duration::from_mins(1),
                or_false: false,
            },
            default: Default::Value("\"25ms\""),
            doc: "How long to wait before the second retry; doubled each time, half of it by chance. The first waits for nothing.",
            examples: &["\"100ms\""],
        },
    ],
};

/// `[service.NAME.hedge]`.
pub(crate) static HEDGE: Section = Section {
    header: "[service.NAME.hedge]",
    doc: "When a slow request is sent to a second server as well, and the first answer taken; a share alone may stand in its place.",
    aliases: &[
        ("budget", "extra"),
        ("percent", "extra"),
        ("max", "extra"),
        ("hedging", "extra"),
        ("delay", "extra"),
    ],
    keys: &[Key {
        name: "extra",
        kind: Kind::Share { least: Share(1), most: Share::percent(50), or_false: false },
        default: Default::Required,
        doc: "Most requests that it adds: with `5%`, one in twenty that takes longest is sent twice. Never more than `retry.budget`.",
        examples: &["\"5%\""],
    }],
};

/// `[service.NAME.limit]`.
pub(crate) static LIMIT: Section = Section {
    header: "[service.NAME.limit]",
    doc: "How many requests are let through at once, learned from latency; its mode alone may stand in its place.",
    aliases: &[
        ("enabled", "mode"),
        ("initial", "start"),
        ("initial_limit", "start"),
        ("min", "least"),
        ("minimum", "least"),
        ("min_limit", "least"),
        ("min_concurrency", "least"),
        ("max", "most"),
        ("maximum", "most"),
        ("max_limit", "most"),
        ("max_concurrency", "most"),
        ("discipline", "queue"),
        ("queue_length", "queue_max"),
        ("max_queue", "queue_max"),
        ("maxqueue", "queue_max"),
        ("max_pending_requests", "queue_max"),
        ("queue_timeout", "queue_time"),
        ("timeout", "queue_time"),
    ],
    keys: &[
        Key {
            name: "mode",
            kind: Kind::Choice { words: &["off", "observe", "enforce"], or: None },
            default: Default::Value("\"observe\""),
            doc: "Whether the limit is in force: `observe` learns it and tells in the metrics what it would have refused.",
            examples: &["\"enforce\"", "\"off\""],
        },
        Key {
            name: "start",
            kind: Kind::Count { least: 1, most: 1_000_000, unlimited: false },
            default: Default::Value("100"),
            doc: "Requests at once where nothing was learned yet.",
            examples: &["50"],
        },
        Key {
            name: "least",
            kind: Kind::Count { least: 1, most: 1_000_000, unlimited: false },
            default: Default::Value("4"),
            doc: "Requests at once that are always let through; never more than `start`.",
            examples: &["10"],
        },
        Key {
            name: "most",
            kind: Kind::Count { least: 1, most: 1_000_000, unlimited: false },
            default: Default::Value("10000"),
            doc: "Most requests at once, whatever was learned.",
            examples: &["500"],
        },
        Key {
            name: "queue",
            kind: Kind::Choice { words: &["adaptive-lifo", "codel", "fifo"], or: None },
            default: Default::Value("\"adaptive-lifo\""),
            doc: "Which of those that wait is let through next: the first who came (`fifo`); the same, and who would wait too long is sent away (`codel`); or the last who came, while the queue stands (`adaptive-lifo`).",
            examples: &["\"codel\"", "\"fifo\""],
        },
        Key {
            name: "queue_max",
            kind: Kind::Count { least: 0, most: 1_000_000, unlimited: false },
            default: Default::Value("1000"),
            doc: "Most requests that wait; `0`: none does.",
            examples: &["100"],
        },
        Key {
            name: "queue_time",
            kind: Kind::Time { least: MILLISECOND, most: Duration::from_mins(10), or_false: false },
            default: Default::Value("\"1s\""),
            doc: "Longest wait in the queue; never more than `total_time`.",
            examples: &["\"200ms\""],
        },
    ],
};
