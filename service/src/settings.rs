//! What `service` is told about one backend service.
//!
//! All values are legal and in bounds: `settings` lowered them.

pub use balance::settings::{Scheme, Server, Spot, url};
use base::{ByteSize, Share};
use std::path::PathBuf;
use std::time::Duration;
use wire::settings::TlsClient;

/// One named service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name, unique in the file.
    pub name: String,
    /// Its servers as the settings name them; empty where they are discovered.
    pub servers: Vec<Spot>,
    /// Where servers are discovered, beside those named.
    pub discover: Option<Discover>,
    /// How a server is chosen.
    pub balance: balance::settings::Settings,
    /// How servers are checked; `None`: only by real requests.
    pub check: Option<Check>,
    /// When a request is sent again.
    pub retry: Retry,
    /// When a request is sent twice at once; `None`: never.
    pub hedge: Option<Hedge>,
    /// How many requests are let through at once.
    pub limit: Limit,
    /// What the Host field of a forwarded request says.
    pub host: HostRule,
    /// Which HTTP is spoken to it.
    pub http: Http,
    /// Longest time to establish a connection, TLS included.
    pub connect_time: Duration,
    /// Longest time from the end of our request head to the first byte of the answer.
    pub first_byte_time: Duration,
    /// Longest time for the whole exchange, body included.
    pub total_time: Duration,
    /// How long a connection may lie idle in a pool.
    pub idle_time: Duration,
    /// Most idle connections kept for each server by each thread.
    pub idle_max: usize,
    /// Most connections to each server by each thread.
    pub connections_max: usize,
    /// Connections that each thread makes to each server before they are needed.
    pub prewarm: usize,
    /// How TLS is spoken to `https` servers.
    pub tls: TlsClient,
}

/// Which version of HTTP a service is spoken to in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Http {
    /// HTTP/1.1 on plain connections; ALPN decides on TLS.
    Auto,
    /// HTTP/1.1 always.
    One,
    /// HTTP/2 always: by prior knowledge on plain connections.
    Two,
}

/// What the Host field of a forwarded request says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule {
    /// What the client asked for (the default).
    Client,
    /// The host and port of the server chosen.
    Server,
    /// This name.
    Fixed(String),
}

/// Where servers are discovered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discover {
    /// Where.
    pub from: Source,
    /// How often, at least; a name's own TTL shortens it.
    pub every: Duration,
    /// Most servers that are taken.
    pub servers_max: usize,
}

/// What tells of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file of one server a line: a URL, perhaps `weight=2 priority=1 zone=eu-1` behind it.
    File(PathBuf),
    /// All addresses of a name (A and AAAA), as servers of this scheme and port.
    Name(Server),
    /// The targets of SRV records (RFC 2782): their ports, weights and priorities.
    Srv {
        /// Plain or TLS.
        scheme: Scheme,
        /// `_http._tcp.shop.internal`.
        name: String,
    },
    /// The `EndpointSlices` of a Kubernetes service, watched.
    Kubernetes {
        /// The API server; `None` is the one that a pod's environment names.
        api: Option<String>,
        /// The namespace; `None` is the pod's own.
        namespace: Option<String>,
        /// The service.
        service: String,
        /// The name of the port, where there are several.
        port: Option<String>,
        /// Plain or TLS.
        scheme: Scheme,
        /// A file with the bearer token; `None` is the pod's own.
        token: Option<PathBuf>,
        /// A PEM file of who vouches for the API server; `None` is the pod's own.
        trust: Option<PathBuf>,
    },
}

/// How servers are checked actively.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What is asked.
    pub kind: CheckKind,
    /// How often; each time a tenth earlier or later.
    pub every: Duration,
    /// Longest time for one check.
    pub time: Duration,
    /// Good ones in a row that make a server healthy again.
    pub healthy: u32,
    /// Bad ones in a row that make it unhealthy.
    pub unhealthy: u32,
}

/// What a check asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// GET of this path; good is one of these statuses.
    Http {
        /// The path, with query.
        path: String,
        /// From and to, both included.
        statuses: (u16, u16),
    },
    /// gRPC's health protocol, for this service (empty: the server as a whole).
    Grpc(String),
    /// A connection that can be made.
    Tcp,
}

/// When a request is sent again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Retry {
    /// How often at most, after the first try; 0: never, not even where it is safe.
    pub attempts: u32,
    /// Statuses after which an idempotent request is tried at another server.
    pub statuses: Vec<u16>,
    /// Retries and hedges together, beside the requests of the last ten seconds.
    pub budget: Share,
    /// Retries in a second that are allowed whatever the budget says.
    pub reserve: u32,
    /// Longest time for one try, where another may follow; `None`: as long as there is.
    pub try_time: Option<Duration>,
    /// Largest body that is kept so that it can be sent again.
    pub body_max: ByteSize,
    /// How long to wait before the second retry; doubled each time, half of it by chance. The first
    /// waits for nothing.
    pub backoff: Duration,
}

/// When a request is sent twice at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hedge {
    /// The requests that it may add: it waits for the percentile of latency that leaves so many.
    pub extra: Share,
}

/// How many requests are let through at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Whether it is in force.
    pub mode: LimitMode,
    /// The limit where nothing was learned yet.
    pub start: u32,
    /// It is never set lower.
    pub least: u32,
    /// Nor higher.
    pub most: u32,
    /// Who is let through next.
    pub queue: Discipline,
    /// Most requests that wait.
    pub queue_max: usize,
    /// How long one waits at most.
    pub queue_time: Duration,
}

/// Whether the limit is in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LimitMode {
    /// It is neither learned nor in force.
    Off,
    /// It is learned, and told what it would have refused.
    Observe,
    /// It is in force.
    Enforce,
}

/// Who waits is let through in which order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Discipline {
    /// The first who came while the queue is short-lived, the last once it stands: who came last is
    /// still there. Who has waited too long is sent away.
    AdaptiveLifo,
    /// The first who came; who would have waited too long is sent away by `CoDel`.
    CoDel,
    /// The first who came.
    Fifo,
}

/// How much a request matters when not all can be served. Higher ones are let through first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nobody waits for it: prefetches, bots, batch jobs.
    Background,
    /// As most are.
    Normal,
    /// What must go through: a checkout.
    Critical,
}

impl Settings {
    /// The values in force where the settings say nothing.
    pub fn standard(name: String, servers: Vec<Spot>) -> Self {
        Self {
            name,
            servers,
            discover: None,
            balance: balance::settings::Settings::standard(),
            check: None,
            retry: Retry::standard(),
            hedge: None,
            limit: Limit::standard(),
            host: HostRule::Client,
            http: Http::Auto,
            connect_time: Duration::from_secs(2),
            first_byte_time: Duration::from_secs(15),
            total_time: Duration::from_hours(1),
            idle_time: Duration::from_secs(30),
            idle_max: 4096,
            connections_max: 4096,
            prewarm: 0,
            tls: TlsClient { trust: wire::settings::Trust::System, name: None },
        }
    }
}

impl Retry {
    /// The values in force where the settings say nothing.
    pub fn standard() -> Self {
        Self {
            attempts: 1,
            statuses: vec![500, 502, 503, 504],
            budget: Share::percent(10),
            reserve: 3,
            try_time: None,
            body_max: ByteSize::kib(64),
            backoff: Duration::from_millis(25),
        }
    }
}

impl Limit {
    /// The values in force where the settings say nothing.
    pub fn standard() -> Self {
        Self {
            mode: LimitMode::Observe,
            start: 100,
            least: 4,
            most: 10_000,
            queue: Discipline::AdaptiveLifo,
            queue_max: 1_000,
            queue_time: Duration::from_secs(1),
        }
    }
}

impl Check {
    /// The values in force where the settings say nothing but what is asked.
    pub fn standard(kind: CheckKind) -> Self {
        Self {
            kind,
            every: Duration::from_secs(5),
            time: Duration::from_secs(2),
            healthy: 2,
            unhealthy: 3,
        }
    }
}

/// How deadlines come and go (gRPC's `grpc-timeout` always does where a request is gRPC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deadlines {
    /// The field that tells how long a client will wait, and that tells services how long is left;
    /// `None`: no field but gRPC's. A name that ends in `-ms` holds milliseconds, any other seconds,
    /// unless the value brings a unit.
    pub field: Option<String>,
    /// The part of what is left that is kept for the way back.
    pub shrink: Share,
    /// With less left than this nothing is asked.
    pub least: Duration,
}

impl Deadlines {
    /// The values in force where the settings say nothing.
    pub fn standard() -> Self {
        Self {
            field: Some("x-envoy-expected-rq-timeout-ms".to_owned()),
            shrink: Share::percent(5),
            least: Duration::from_millis(5),
        }
    }
}

/// How often requests may come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Its name in fields, logs and metrics.
    pub name: String,
    /// So many requests …
    pub limit: u32,
    /// … in this time.
    pub per: Duration,
    /// So many at once; `limit` where nothing is said.
    pub burst: u32,
    /// For whom each.
    pub by: RateBy,
    /// Counted by all gateways together, through Redis.
    pub shared: bool,
}

/// For whom a rate is counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateBy {
    /// All requests of the route together.
    Route,
    /// Each client address (IPv6: each /64).
    Client,
    /// Each value of this field; requests without it together.
    Header(String),
}
