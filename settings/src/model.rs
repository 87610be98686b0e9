//! The settings of a whole gateway, validated: what `lower` makes of a file.

use service::settings::{Class, Rate};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use wire::settings::{Limits, TlsServer};

/// Everything a gateway is told. Every value legal, every bound present, every name resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where clients are listened for; at least one.
    pub listen: Vec<Listener>,
    /// Where the admin listener is; `None` when switched off.
    pub admin: Option<SocketAddr>,
    /// Data-plane threads; `None` is one for each core.
    pub threads: Option<usize>,
    /// How long a drain waits for requests in flight.
    pub grace: Duration,
    /// Limits on what clients may do.
    pub limits: Limits,
    /// Certificates; present when a listener speaks TLS.
    pub tls: Option<TlsServer>,
    /// How requests are passed on.
    pub forward: Forward,
    /// Logs and metrics.
    pub monitor: monitor::settings::Settings,
    /// What is kept of answers, and where.
    pub cache: cache::settings::Settings,
    /// How deadlines come and go.
    pub deadlines: service::settings::Deadlines,
    /// The Redis that counts shared rates; `None`: each gateway counts its own.
    pub rate_redis: Option<String>,
    /// What becomes of requests that are offloaded; `None`: none is.
    pub offload: Option<offload::settings::Settings>,
    /// What is heard and said on buses, in the order of the file.
    pub events: Vec<offload::settings::Events>,
    /// The services, in the order of the file.
    pub services: Vec<service::settings::Settings>,
    /// The routes, in the order of the file.
    pub routes: Vec<Route>,
}

/// One address to listen on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The address; port 0 lets the system choose.
    pub address: SocketAddr,
    /// Whether TLS is spoken.
    pub tls: bool,
}

/// How requests are passed on (RFC 9110 §7.6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forward {
    /// The pseudonym in Via.
    pub via: String,
    /// Peers whose forwarding fields are believed.
    pub trusted: Vec<Network>,
    /// Whether `X-Forwarded-For`, `-Proto` and `-Host` are sent.
    pub x_forwarded: bool,
    /// Whether `Forwarded` (RFC 7239) is sent.
    pub forwarded: bool,
}

impl Settings {
    /// How long a drain waits where the settings say nothing.
    pub const GRACE: Duration = Duration::from_secs(30);
    /// Where clients are listened for where the settings say nothing.
    pub const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);
    /// Where the admin listener is where the settings say nothing.
    pub const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9900);
}

impl Forward {
    /// The values in force where the settings say nothing.
    pub fn standard() -> Self {
        Self {
            via: "fleetfoot".to_owned(),
            trusted: Vec::new(),
            x_forwarded: true,
            forwarded: false,
        }
    }
}

/// A network in CIDR notation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// Its address, with the bits past `prefix` zero.
    pub address: IpAddr,
    /// How many leading bits count.
    pub prefix: u8,
}

impl Network {
    /// Is `address` in this network? An IPv4-mapped IPv6 address counts as IPv4.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(net), IpAddr::V4(ip)) => {
                let shift = 32 - u32::from(self.prefix.min(32));
                (u64::from(u32::from(net)) >> shift) == (u64::from(u32::from(ip)) >> shift)
            }
            (IpAddr::V6(net), IpAddr::V6(ip)) => {
                let shift = 128 - u32::from(self.prefix.min(128));
                u128::from(net).checked_shr(shift) == u128::from(ip).checked_shr(shift)
            }
            _ => false,
        }
    }
}

/// One route: which requests, and where they go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Its name in logs and metrics: `name`, or else the text of `match`.
    pub name: String,
    /// Which requests.
    pub pattern: Pattern,
    /// Index into `Settings::services`.
    pub service: usize,
    /// Where requests go instead, each to one of these by weight; empty: all to `service`, which is
    /// the first of these otherwise.
    pub split: Vec<(usize, u32)>,
    /// A service that is sent a copy of this share of requests, and never waited for.
    pub shadow: Option<(usize, base::Share)>,
    /// How much its requests matter …
    pub class: Class,
    /// … unless this field says so: `critical`, `normal` or `background`.
    pub class_field: Option<String>,
    /// How often its requests may come.
    pub rates: Vec<Rate>,
    /// Taken off the front of the path before it is forwarded; starts with `/`, does not end in it.
    pub strip: Option<String>,
    /// Put before the path (after `strip`); starts with `/`, does not end in it.
    pub prepend: Option<String>,
    /// Overrides the service's `total_time`.
    pub timeout: Option<Duration>,
    /// What is kept of its answers.
    pub cache: cache::settings::Rules,
    /// Who is told in `Server-Timing` where the time went; `None`: as in `[monitor]`.
    pub server_timing: Option<bool>,
    /// What it promises its users.
    pub objective: Option<monitor::settings::Objective>,
    /// Whether its requests become jobs; `Some` goes with `Settings::offload`.
    pub offload: Option<offload::settings::Rule>,
    /// The event that it publishes.
    pub publish: Option<offload::settings::Publish>,
}

impl Route {
    /// A route that says only which requests go to which service, and what is kept of answers.
    pub fn plain(
        name: String,
        pattern: Pattern,
        service: usize,
        cache: cache::settings::Rules,
    ) -> Self {
        Self {
            name,
            pattern,
            service,
            split: Vec::new(),
            shadow: None,
            class: Class::Normal,
            class_field: None,
            rates: Vec::new(),
            strip: None,
            prepend: None,
            timeout: None,
            cache,
            server_timing: None,
            objective: None,
            offload: None,
            publish: None,
        }
    }
}

/// Which requests a route takes: `GET shop.example/products/{id}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// The methods; empty is any.
    pub methods: Vec<String>,
    /// The host, lower case, without port; `None` is any. `*.example.com` matches one or more labels.
    pub host: Option<String>,
    /// The path's segments.
    pub path: Vec<Segment>,
}

/// One segment of a path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// `{name}`: any one segment that is not empty.
    Parameter(String),
    /// `{name...}` or a trailing `*`: all that is left, possibly nothing. Always last.
    Rest(String),
}
