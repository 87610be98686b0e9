//! The table's part about caching: `[cache]`, and what a route says about it.
//!
//! The rules are declared once: `[cache]` holds them with their defaults, a route's `cache` with
//! those of `[cache]` in their place.

use super::table::{FILE, MILLISECOND};
use super::{Default, Form, Key, Kind, Section};
use base::ByteSize;
use std::time::Duration;

const YEAR: Duration = Duration::from_hours(365 * 24);

pub(super) const REDIS: Form = Form {
    what: "redis or rediss, perhaps a user and password, a host and perhaps a port and database",
    pattern: r"^[Rr][Ee][Dd][Ii][Ss][Ss]?://([^@/?# ]*@)?(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?(/[0-9]{0,5})?$",
};
const SERVER: Form = Form {
    what: "a host and perhaps a port",
    pattern: r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$",
};
const MASTER: Form =
    Form { what: "1 to 128 letters, digits, -, _, . and :", pattern: r"^[A-Za-z0-9._:-]{1,128}$" };
const SHARED_PREFIX: Form =
    Form { what: "up to 64 printable ASCII characters, no space", pattern: r"^[!-~]{0,64}$" };
pub(super) const TOKEN: Form =
    Form { what: "8 to 256 printable ASCII characters, no space", pattern: r"^[!-~]{8,256}$" };
pub(super) const FIELD: Form =
    Form { what: "the name of a field", pattern: r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$" };
const COOKIE: Form =
    Form { what: "the name of a cookie", pattern: r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$" };
const COOKIES: Form = Form {
    what: "the name of a cookie, or its start and *",
    pattern: r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$",
};
const PARAMETER: Form = Form {
    what: "the name of a query parameter as it stands in the URL, or its start and *",
    pattern: r"^[^ &=#?\u0000-\u001f\u007f]{1,256}$",
};
const TAG: Form = Form {
    what: "a tag, perhaps with {parameters} of the route's match",
    pattern: r"^[^ ,\u0000-\u001f\u007f]{1,256}$",
};
const POINTER: Form = Form {
    what: "a JSON pointer (RFC 6901), which starts with /",
    pattern: r"^(/([^/~]|~[01])*)+$",
};
const LANGUAGE: Form = Form {
    what: "a language tag such as de or pt-BR",
    pattern: r"^[A-Za-z]{1,8}(-[A-Za-z0-9]{1,8})*$",
};

/// `[cache]`.
pub(crate) static CACHE: Section = Section {
    header: "[cache]",
    doc: "What answers are kept, where and for how long; `cache = false` switches it all off.",
    aliases: &joined::<{ OWN_ALIASES.len() + RULE_ALIASES.len() }, _>(&OWN_ALIASES, &RULE_ALIASES),
    keys: &joined::<{ OWN.len() + RULES.len() }, _>(&OWN, &RULES),
};

/// `[cache.disk]`.
pub(crate) static CACHE_DISK: Section = Section {
    header: "[cache.disk]",
    doc: "A part of the cache that outlives a restart.",
    aliases: &[
        ("directory", "path"),
        ("dir", "path"),
        ("folder", "path"),
        ("max_size", "size"),
        ("bytes", "size"),
    ],
    keys: &[
        Key {
            name: "path",
            kind: Kind::Text { form: FILE, or_false: false },
            default: Default::Required,
            doc: "A folder for it alone; it is made where it is missing.",
            examples: &["\"/var/cache/fleetfoot\""],
        },
        Key {
            name: "size",
            kind: Kind::Size {
                least: ByteSize::mib(16),
                most: ByteSize(1 << 42),
                unlimited: false,
            },
            default: Default::Required,
            doc: "Most bytes of files in it; an object larger than a segment (a sixteenth of that, at most 64 MiB; from 16 GiB on a 256th) stays in memory alone.",
            examples: &["\"10 GiB\""],
        },
    ],
};

/// `[cache.key]`.
pub(crate) static CACHE_KEY: Section = Section {
    header: "[cache.key]",
    doc: "What tells requests apart beside scheme, host and path.",
    aliases: KEY_ALIASES,
    keys: &KEY,
};

/// `cache` of a route.
pub(crate) static ROUTE_CACHE: Section = Section {
    header: "[route.cache]",
    doc: "What a route says about caching, right below its `[[route]]`; what it leaves out is as in `[cache]`.",
    aliases: &joined::<{ ROUTE_ALIASES.len() + RULE_ALIASES.len() }, _>(
        &ROUTE_ALIASES,
        &RULE_ALIASES,
    ),
    keys: &inherited(&RULES, &ROUTE_KEY),
};

/// `cache.key` of a route.
pub(crate) static ROUTE_KEY: Section = Section {
    header: "[route.cache.key]",
    doc: "What tells requests of the route apart beside scheme, host and path.",
    aliases: KEY_ALIASES,
    keys: &inherited(&KEY, &ROUTE_KEY),
};

const OWN_ALIASES: [(&str, &str); 21] = [
    ("max_size", "memory"),
    ("size", "memory"),
    ("max_bytes", "memory"),
    ("max_object_size", "object_max"),
    ("max_file_size", "object_max"),
    ("object_size", "object_max"),
    ("path", "disk"),
    ("directory", "disk"),
    ("valkey", "redis"),
    ("redis_url", "redis"),
    ("redis_urls", "redis"),
    ("sentinel", "redis_mode"),
    ("cluster", "redis_mode"),
    ("redis_ca", "redis_trust"),
    ("memcache", "memcached"),
    ("key_prefix", "prefix"),
    ("redis_timeout", "shared_time"),
    ("lock_timeout", "wait_time"),
    ("token", "purge_token"),
    ("purge_key", "purge_token"),
    ("cdn_cache_control", "targeted"),
];
const ROUTE_ALIASES: [(&str, &str); 1] = [("cache", "enabled")];
const RULE_ALIASES: [(&str, &str); 28] = [
    ("enable", "enabled"),
    ("active", "enabled"),
    ("off", "enabled"),
    ("default_ttl", "ttl"),
    ("max_age", "ttl"),
    ("valid", "ttl"),
    ("negative_ttl", "ttl_error"),
    ("force", "insist"),
    ("ignore_headers", "insist"),
    ("grace", "stale"),
    ("stale_while_revalidate", "stale"),
    ("swr", "stale"),
    ("stale_if_error", "stale_error"),
    ("use_stale", "stale_error"),
    ("heuristic", "heuristic_max"),
    ("cache_key", "key"),
    ("vary_by_query", "key"),
    ("query", "key"),
    ("ignore_query", "key"),
    ("sort_query", "key"),
    ("vary_by_cookie", "key"),
    ("bypass", "bypass_cookies"),
    ("no_cache", "bypass_cookies"),
    ("strip_cookies", "drop_cookies"),
    ("surrogate_keys", "tags"),
    ("vary_by_header", "vary"),
    ("max_variants", "variants_max"),
    ("early_refresh", "early"),
];
const KEY_ALIASES: &[(&str, &str)] = &[
    ("params", "query"),
    ("parameters", "query"),
    ("exclude_query", "ignore_query"),
    ("ignore", "ignore_query"),
    ("sort", "sort_query"),
    ("headers", "fields"),
    ("header", "fields"),
    ("cookie", "cookies"),
];

const OWN: [Key; 15] = [
    Key {
        name: "memory",
        kind: Kind::Size { least: ByteSize(0), most: ByteSize(1 << 50), unlimited: false },
        default: Default::Value("\"256 MiB\""),
        doc: "Bytes of entries held in memory, all overhead counted; `0 B` switches memory off, less than 1 MiB is refused.",
        examples: &["\"2 GiB\"", "\"0 B\""],
    },
    Key {
        name: "object_max",
        kind: Kind::Size { least: ByteSize::kib(1), most: ByteSize(1 << 40), unlimited: false },
        default: Default::Value("\"32 MiB\""),
        doc: "The largest object that is stored, head and body; never more than a quarter of `memory`, unless that is off.",
        examples: &["\"8 MiB\""],
    },
    Key {
        name: "disk",
        kind: Kind::Table(&CACHE_DISK),
        default: Default::Words("none"),
        doc: CACHE_DISK.doc,
        examples: &["{ path = \"/var/cache/fleetfoot\", size = \"10 GiB\" }"],
    },
    Key {
        name: "redis",
        kind: Kind::Texts { form: REDIS, alone: true },
        default: Default::Words("none"),
        doc: "Redis or Valkey that gateways share: the server, some nodes of a cluster, or the sentinels; `rediss` speaks TLS.",
        examples: &[
            "\"redis://10.0.0.5:6379/1\"",
            "\"rediss://default:${REDIS_PASSWORD:-x}@redis.internal\"",
        ],
    },
    Key {
        name: "redis_mode",
        kind: Kind::Choice { words: &["single", "cluster", "sentinel"], or: None },
        default: Default::Value("\"single\""),
        doc: "How the servers of `redis` stand to each other.",
        examples: &["\"cluster\""],
    },
    Key {
        name: "redis_master",
        kind: Kind::Text { form: MASTER, or_false: false },
        default: Default::Words("none; needed by `redis_mode = \"sentinel\"`"),
        doc: "What the sentinels call the master.",
        examples: &["\"mymaster\""],
    },
    Key {
        name: "redis_trust",
        kind: Kind::Choice { words: &["system"], or: Some(FILE) },
        default: Default::Value("\"system\""),
        doc: "Who may vouch for `rediss` servers: the system's roots, or the certificates of a PEM file.",
        examples: &["\"internal-ca.pem\""],
    },
    Key {
        name: "memcached",
        kind: Kind::Texts { form: SERVER, alone: true },
        default: Default::Words("none"),
        doc: "Memcached servers that gateways share, in the place of `redis`; keys are spread over them.",
        examples: &["[\"10.0.0.6:11211\", \"10.0.0.7:11211\"]"],
    },
    Key {
        name: "prefix",
        kind: Kind::Text { form: SHARED_PREFIX, or_false: false },
        default: Default::Value("\"fleetfoot:\""),
        doc: "What every key in `redis` or `memcached` starts with: gateways with the same prefix share.",
        examples: &["\"shop:\""],
    },
    Key {
        name: "shared_time",
        kind: Kind::Time { least: MILLISECOND, most: Duration::from_secs(10), or_false: false },
        default: Default::Value("\"20ms\""),
        doc: "Longest wait for an answer of `redis` or `memcached`.",
        examples: &["\"10ms\""],
    },
    Key {
        name: "shared_object_max",
        kind: Kind::Size { least: ByteSize::kib(1), most: ByteSize::mib(512), unlimited: false },
        default: Default::Value("\"8 MiB\""),
        doc: "The largest object that goes to `redis` or `memcached`.",
        examples: &["\"1 MiB\""],
    },
    Key {
        name: "fence",
        kind: Kind::Flag,
        default: Default::Value("false"),
        doc: "Whether a gateway that is cut off from `redis`, and so from purges of others, asks the service before it serves anything from memory.",
        examples: &["true"],
    },
    Key {
        name: "targeted",
        kind: Kind::Texts { form: FIELD, alone: false },
        default: Default::Value("[\"Fleetfoot-Cache-Control\", \"CDN-Cache-Control\"]"),
        doc: "Fields of answers that speak to caches like this one (RFC 9213) and go before Cache-Control, best first.",
        examples: &["[\"CDN-Cache-Control\"]"],
    },
    Key {
        name: "wait_time",
        kind: Kind::Time { least: Duration::ZERO, most: Duration::from_mins(10), or_false: false },
        default: Default::Value("\"15s\""),
        doc: "Longest wait for an answer that another client's request has asked for.",
        examples: &["\"5s\""],
    },
    Key {
        name: "purge_token",
        kind: Kind::Text { form: TOKEN, or_false: false },
        default: Default::Words("none: whoever reaches the admin listener may purge"),
        doc: "Who may purge through the admin listener: whoever sends this as a bearer token.",
        examples: &["\"${PURGE_TOKEN:-long-and-random}\""],
    },
];

const RULES: [Key; 19] = [
    Key {
        name: "enabled",
        kind: Kind::Flag,
        default: Default::Value("true"),
        doc: "Whether anything is looked up or stored at all.",
        examples: &["false"],
    },
    Key {
        name: "profile",
        kind: Kind::Choice { words: &["safe", "rfc"], or: None },
        default: Default::Value("\"safe\""),
        doc: "How strictly answers are shared: `safe` keeps those that set a cookie only when they are said to be public, `rfc` goes by the letter of RFC 9111.",
        examples: &["\"rfc\""],
    },
    Key {
        name: "ttl",
        kind: Kind::Time { least: Duration::ZERO, most: YEAR, or_false: true },
        default: Default::Value("false"),
        doc: "Freshness of answers below 400 that bring none themselves; `false` gives them none.",
        examples: &["\"5m\""],
    },
    Key {
        name: "ttl_error",
        kind: Kind::Time { least: Duration::ZERO, most: YEAR, or_false: true },
        default: Default::Value("false"),
        doc: "Freshness of answers from 400 on that bring none themselves; `false` gives them none.",
        examples: &["\"10s\""],
    },
    Key {
        name: "insist",
        kind: Kind::Flag,
        default: Default::Value("false"),
        doc: "Whether `ttl` and `ttl_error` hold whatever the answer's own fields say.",
        examples: &["true"],
    },
    Key {
        name: "stale",
        kind: Kind::Time { least: Duration::ZERO, most: YEAR, or_false: false },
        default: Default::Value("\"0s\""),
        doc: "How long an entry may be served stale while it is revalidated, where the answer says nothing.",
        examples: &["\"1m\""],
    },
    Key {
        name: "stale_error",
        kind: Kind::Time { least: Duration::ZERO, most: YEAR, or_false: false },
        default: Default::Value("\"1d\""),
        doc: "How long an entry may be served stale while the service fails, where the answer says nothing.",
        examples: &["\"1h\""],
    },
    Key {
        name: "heuristic_max",
        kind: Kind::Time { least: Duration::ZERO, most: YEAR, or_false: false },
        default: Default::Value("\"1h\""),
        doc: "Longest freshness guessed from Last-Modified; `0s` guesses none.",
        examples: &["\"0s\""],
    },
    Key {
        name: "key",
        kind: Kind::Table(&CACHE_KEY),
        default: Default::Words("the whole query"),
        doc: CACHE_KEY.doc,
        examples: &["{ ignore_query = [\"utm_*\"], sort_query = true }"],
    },
    Key {
        name: "bypass_cookies",
        kind: Kind::Texts { form: COOKIES, alone: true },
        default: Default::Value("[]"),
        doc: "Cookies whose presence in a request goes past the cache.",
        examples: &["[\"session\", \"wordpress_logged_in_*\"]"],
    },
    Key {
        name: "drop_cookies",
        kind: Kind::Texts { form: COOKIES, alone: true },
        default: Default::Value("[]"),
        doc: "Cookies that are taken off answers before they are stored.",
        examples: &["[\"tracking\"]"],
    },
    Key {
        name: "reload",
        kind: Kind::Flag,
        default: Default::Value("false"),
        doc: "Whether a client's `no-cache` and `max-age` in requests are obeyed.",
        examples: &["true"],
    },
    Key {
        name: "tags",
        kind: Kind::Texts { form: TAG, alone: true },
        default: Default::Value("[]"),
        doc: "Tags of entries, to purge them by; `{id}` is the parameter of the route's `match`.",
        examples: &["[\"shop\", \"product\"]"],
    },
    Key {
        name: "tag_pointers",
        kind: Kind::Texts { form: POINTER, alone: true },
        default: Default::Value("[]"),
        doc: "JSON pointers into answers, to strings or numbers, or arrays of them, that become tags.",
        examples: &["[\"/product/id\"]"],
    },
    Key {
        name: "tag_fields",
        kind: Kind::Texts { form: FIELD, alone: true },
        default: Default::Value("[]"),
        doc: "Fields of answers that hold tags beside Surrogate-Key, Cache-Tag, xkey and Cache-Groups.",
        examples: &["[\"X-Tags\"]"],
    },
    Key {
        name: "vary",
        kind: Kind::Texts { form: FIELD, alone: true },
        default: Default::Value("[]"),
        doc: "Fields of requests beyond the usual ones that an answer may vary by and still be stored.",
        examples: &["[\"X-Currency\"]"],
    },
    Key {
        name: "languages",
        kind: Kind::Texts { form: LANGUAGE, alone: true },
        default: Default::Value("[]"),
        doc: "Languages that the service has: Accept-Language is reduced to the best of them.",
        examples: &["[\"en\", \"de\", \"pt-BR\"]"],
    },
    Key {
        name: "variants_max",
        kind: Kind::Count { least: 1, most: 4096, unlimited: false },
        default: Default::Value("64"),
        doc: "Most answers kept for one key.",
        examples: &["16"],
    },
    Key {
        name: "early",
        kind: Kind::Flag,
        default: Default::Value("true"),
        doc: "Whether entries in use are refreshed before they expire.",
        examples: &["false"],
    },
];

const KEY: [Key; 5] = [
    Key {
        name: "query",
        kind: Kind::Texts { form: PARAMETER, alone: true },
        default: Default::Value("[\"*\"]"),
        doc: "Only these query parameters count.",
        examples: &["[\"page\", \"filter_*\"]", "[]"],
    },
    Key {
        name: "ignore_query",
        kind: Kind::Texts { form: PARAMETER, alone: true },
        default: Default::Value("[]"),
        doc: "These query parameters do not count.",
        examples: &["[\"utm_*\", \"gclid\"]"],
    },
    Key {
        name: "sort_query",
        kind: Kind::Flag,
        default: Default::Value("false"),
        doc: "Whether the order of query parameters does not count.",
        examples: &["true"],
    },
    Key {
        name: "fields",
        kind: Kind::Texts { form: FIELD, alone: true },
        default: Default::Value("[]"),
        doc: "Values of these fields of requests count.",
        examples: &["[\"X-Device\"]"],
    },
    Key {
        name: "cookies",
        kind: Kind::Texts { form: COOKIE, alone: true },
        default: Default::Value("[]"),
        doc: "Values of these cookies count.",
        examples: &["[\"currency\"]"],
    },
];

/// Two lists as one.
const fn joined<const BOTH: usize, T: Copy>(first: &[T], second: &[T]) -> [T; BOTH] {
    assert!(first.len() + second.len() == BOTH);
    let mut all = [first[0]; BOTH];
    let mut index = 0;
    while index < BOTH {
        let own = index < first.len();
        all[index] = if own { first[index] } else { second[index - first.len()] };
        index += 1;
    }
    all
}

/// The keys as a route has them: by default as in `[cache]`, and with this table inside.
const fn inherited<const ALL: usize>(keys: &[Key; ALL], inner: &'static Section) -> [Key; ALL] {
    let mut keys = *keys;
    let mut index = 0;
    while index < ALL {
        keys[index].default = Default::Words("as in `[cache]`");
        if matches!(keys[index].kind, Kind::Table(_)) {
            keys[index].kind = Kind::Table(inner);
        }
        index += 1;
    }
    keys
}
