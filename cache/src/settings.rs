//! What the cache is told: `[cache]`, and `cache = { ... }` of a route.
//!
//! All values are legal and in bounds: `settings` lowered them.

use base::ByteSize;
use std::path::PathBuf;
use std::time::Duration;

/// The whole cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Bytes of entries held in memory, all overhead counted; 0 switches memory off.
    pub memory: ByteSize,
    /// The largest object that is stored, head and body.
    pub object_max: ByteSize,
    /// A tier on disk.
    pub disk: Option<Disk>,
    /// A tier that several gateways share.
    pub shared: Option<Shared>,
    /// Longest wait for an answer of the shared tier.
    pub shared_time: Duration,
    /// The largest object that goes to the shared tier.
    pub shared_object_max: ByteSize,
    /// Validate what is in memory before each use while purges of others cannot be heard.
    pub fence: bool,
    /// Response fields that speak to caches like this one, best first (RFC 9213), before Cache-Control.
    pub targeted: Vec<String>,
    /// Longest wait for an answer that another client's request has asked for.
    pub wait_time: Duration,
    /// Who may purge through the admin listener: a token, or whoever reaches it.
    pub purge_token: Option<String>,
    /// Rules of routes that say nothing themselves.
    pub rules: Rules,
}

/// The tier on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// A directory of its own.
    pub path: PathBuf,
    /// Most bytes of files in it.
    pub size: ByteSize,
}

/// The tier that gateways share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shared {
    /// Redis or Valkey.
    Redis(Redis),
    /// Memcached.
    Memcached(Memcached),
}

/// A Redis deployment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// `redis://` or `rediss://` URLs: the server, some nodes of the cluster, or the sentinels.
    pub urls: Vec<String>,
    /// What they are.
    pub mode: RedisMode,
    /// Certificates of whoever may vouch for `rediss` servers; `None` is the system's roots.
    pub trust: Option<PathBuf>,
    /// What every key starts with: gateways with the same prefix share.
    pub prefix: String,
}

/// How Redis servers stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisMode {
    /// One server.
    Single,
    /// Redis Cluster.
    Cluster,
    /// Sentinels that know the master of this name.
    Sentinel(String),
}

/// A set of Memcached servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Memcached {
    /// `host:port`; keys are spread over them.
    pub servers: Vec<String>,
    /// What every key starts with: gateways with the same prefix share.
    pub prefix: String,
}

/// How strictly answers are shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Answers that set a cookie are not shared unless `public` or targeted control says so.
    Safe,
    /// To the letter of RFC 9111, whose §7.3 lets a Set-Cookie be shared.
    Rfc,
}

/// What a route says about caching.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a key of its own in the settings")]
pub struct Rules {
    /// Is anything looked up or stored at all?
    pub enabled: bool,
    /// How strictly answers are shared.
    pub profile: Profile,
    /// Freshness of answers below 400 that bring none themselves.
    pub ttl: Option<Duration>,
    /// Freshness of answers from 400 on that bring none themselves.
    pub ttl_error: Option<Duration>,
    /// `ttl` and `ttl_error` hold whatever the answer's own fields say.
    pub insist: bool,
    /// How long an entry may be served stale while it is revalidated, where the answer says nothing.
    pub stale: Duration,
    /// How long an entry may be served stale while the service fails, where the answer says nothing.
    pub stale_error: Duration,
    /// Longest heuristic freshness; zero switches heuristics off.
    pub heuristic_max: Duration,
    /// What tells requests apart beside scheme, host and path.
    pub key: KeyRules,
    /// Cookies (a trailing `*` matches the rest) whose presence in a request goes past the cache.
    pub bypass_cookies: Vec<String>,
    /// Cookies (likewise) that are taken off answers before they are stored.
    pub drop_cookies: Vec<String>,
    /// Obey a client's `no-cache` and `max-age` in requests.
    pub reload: bool,
    /// Tags of entries: `product:{id}` with parameters of the route's pattern.
    pub tags: Vec<String>,
    /// JSON pointers (RFC 6901) to strings or numbers, or arrays of them, that become tags.
    pub tag_pointers: Vec<String>,
    /// Response fields that hold tags beside Surrogate-Key, Cache-Tag, xkey and Cache-Groups.
    pub tag_fields: Vec<String>,
    /// Request fields beyond the usual ones that an answer may vary by and still be stored.
    pub vary: Vec<String>,
    /// Languages that the service has: Accept-Language is reduced to the best of them in the key.
    pub languages: Vec<String>,
    /// Most answers kept for one key.
    pub variants_max: usize,
    /// Refresh entries in use before they expire.
    pub early: bool,
}

/// What tells requests apart beside scheme, host and path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRules {
    /// Only these query parameters count (a trailing `*` matches the rest); `None` is all.
    pub query: Option<Vec<String>>,
    /// These query parameters do not count (likewise).
    pub ignore_query: Vec<String>,
    /// The order of parameters does not count.
    pub sort_query: bool,
    /// Values of these request fields count.
    pub fields: Vec<String>,
    /// Values of these cookies count.
    pub cookies: Vec<String>,
}

impl Settings {
    /// The values in force where the settings say nothing.
    pub fn standard() -> Self {
        Self {
            memory: ByteSize::mib(256),
            object_max: ByteSize::mib(32),
            disk: None,
            shared: None,
            shared_time: Duration::from_millis(20),
            shared_object_max: ByteSize::mib(8),
            fence: false,
            targeted: vec!["Fleetfoot-Cache-Control".to_owned(), "CDN-Cache-Control".to_owned()],
            wait_time: Duration::from_secs(15),
            purge_token: None,
            rules: Rules::standard(),
        }
    }
}

impl Rules {
    /// The values in force where the settings say nothing.
    pub fn standard() -> Self {
        Self {
            enabled: true,
            profile: Profile::Safe,
            ttl: None,
            ttl_error: None,
            insist: false,
            stale: Duration::ZERO,
            stale_error: Duration::from_hours(24),
            heuristic_max: Duration::from_hours(1),
            key: KeyRules::default(),
            bypass_cookies: Vec::new(),
            drop_cookies: Vec::new(),
            reload: false,
            tags: Vec::new(),
            tag_pointers: Vec::new(),
            tag_fields: Vec::new(),
            vary: Vec::new(),
            languages: Vec::new(),
            variants_max: 64,
            early: true,
        }
    }
}
