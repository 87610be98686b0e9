//! What `service` is told about one backend service.
//!
//! All values are legal and in bounds: `settings` lowered them.

use std::time::Duration;
use wire::settings::TlsClient;

/// One named service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name, unique in the file.
    pub name: String,
    /// At least one server.
    pub servers: Vec<Server>,
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
    /// How TLS is spoken to `https` servers.
    pub tls: TlsClient,
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
}

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Plain TCP.
    Http,
    /// TLS.
    Https,
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

impl Settings {
    /// The values in force where the settings say nothing.
    pub fn standard(name: String, servers: Vec<Server>) -> Self {
        Self {
            name,
            servers,
            host: HostRule::Client,
            http: Http::Auto,
            connect_time: Duration::from_secs(2),
            first_byte_time: Duration::from_secs(15),
            total_time: Duration::from_hours(1),
            idle_time: Duration::from_secs(30),
            idle_max: 4096,
            connections_max: 4096,
            tls: TlsClient { trust: wire::settings::Trust::System, name: None },
        }
    }
}

/// A server as a URL, without a trailing slash.
pub fn url(server: &Server) -> String {
    let scheme = match server.scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let host = &server.host;
    if host.contains(':') {
        format!("{scheme}://[{host}]:{}", server.port)
    } else {
        format!("{scheme}://{host}:{}", server.port)
    }
}
