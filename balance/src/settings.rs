//! What `balance` is told about one service's pool.
//!
//! All values are legal and in bounds: `settings` lowered them.

use base::Share;
use std::net::IpAddr;
use std::time::Duration;

/// How one pool is balanced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How a server is chosen among those that are fit.
    pub policy: Policy,
    /// How long a server that is new, or back, is given less than its share; zero: never.
    pub slow_start: Duration,
    /// The share of its weight that it begins with.
    pub slow_start_least: Share,
    /// What a failed answer counts as, at least: a server that fails fast must not look fast.
    pub penalty: Duration,
    /// Below this share of servers that are fit, ejection is ignored.
    pub panic: Share,
    /// When servers are ejected.
    pub eject: Eject,
    /// The zone of this gateway.
    pub zone: Option<String>,
    /// What a server of another zone counts as slower than one of ours.
    pub zone_cost: Duration,
    /// Only so many servers of each priority are used, chosen by `subset_seed`; `None` is all.
    pub subset: Option<usize>,
    /// A number of this gateway's own, so that gateways choose different subsets.
    pub subset_seed: u64,
}

/// How a server is chosen among those that are fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Policy {
    /// The lower expected time of two chosen at random: latency (peak-EWMA) × in flight.
    PeakEwma,
    /// The fewer in flight of two chosen at random.
    LeastRequest,
    /// In turn, by weight.
    RoundRobin,
    /// At random, by weight.
    Random,
    /// By a hash of the request (Maglev), with bounded load.
    Hash(Hash),
    /// Prequal's rule: among servers with few in flight the fastest, else the least loaded.
    HotCold,
}

/// What is hashed, and how far load may lean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hash {
    /// What of the request.
    pub by: HashBy,
    /// A server has at most this share of the mean load, or the next one is asked; 100 % or more.
    pub bound: Share,
}

/// What of a request is hashed. A request without it is balanced by [`Policy::PeakEwma`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HashBy {
    /// The value of this field, lower case.
    Header(String),
    /// The value of this cookie.
    Cookie(String),
    /// The value of this parameter of the route's path (`{id}`).
    Parameter(String),
    /// The whole path, without query.
    Path,
    /// The client's address.
    Client,
}

/// When a server is ejected, and for how long.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Eject {
    /// After so many failures in a row; 0: never for that.
    pub failures: u32,
    /// When less than this share of its answers in ten seconds are good; 0 %: never for that.
    pub success: Share,
    /// When its p90 is over this share of the median of the others' p90; 0 %: never for that.
    pub slow: Share,
    /// For how long the first time; doubled each time in a row.
    pub time: Duration,
    /// For how long at most.
    pub time_max: Duration,
    /// At most this share of the pool at once, and always at least one.
    pub most: Share,
}

/// One server and its place in the pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spot {
    /// The server.
    pub server: Server,
    /// Its share of requests beside the others': 1 to 1000.
    pub weight: u32,
    /// Those of the lowest number are asked first; the others take what overflows.
    pub priority: u8,
    /// Its zone, if it is known.
    pub zone: Option<String>,
}

impl From<Server> for Spot {
    fn from(server: Server) -> Self {
        Self { server, weight: 1, priority: 0, zone: None }
    }
}

/// One server of a service.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Server {
    /// Plain or TLS.
    pub scheme: Scheme,
    /// A host name or an address; an IPv6 address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The address, where discovery has resolved the name already.
    pub address: Option<IpAddr>,
}

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP.
    Http,
    /// TLS.
    Https,
}

/// A server as a URL, without a trailing slash; with the address behind a `#` where it is one of
/// several that a name stands for.
pub fn url(server: &Server) -> String {
    let scheme = match server.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let host = &server.host;
    let mut url = if host.contains(':') {
        format!("{scheme}://[{host}]:{}", server.port)
    } else {
        format!("{scheme}://{host}:{}", server.port)
    };
    if let Some(address) = server.address {
        url.push('#');
        url.push_str(&address.to_string());
    }
    url
}

impl Settings {
    /// The values in force where the settings say nothing.
    pub fn standard() -> Self {
        Self {
            policy: Policy::PeakEwma,
            slow_start: Duration::from_secs(10),
            slow_start_least: Share::percent(10),
            penalty: Duration::from_secs(5),
            panic: Share::percent(50),
            eject: Eject::standard(),
            zone: None,
            zone_cost: Duration::from_millis(1),
            subset: None,
            subset_seed: 0,
        }
    }
}

impl Eject {
    /// The values in force where the settings say nothing.
    pub fn standard() -> Self {
        Self {
            failures: 5,
            success: Share::percent(80),
            slow: Share::percent(300),
            time: Duration::from_secs(1),
            time_max: Duration::from_secs(10),
            most: Share::percent(50),
        }
    }
}
