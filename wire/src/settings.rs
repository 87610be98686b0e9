//! What `wire` is told: limits on everything a peer controls, certificates, trust.
//!
//! All values are legal and in bounds: `settings` lowered them.

use base::ByteSize;
use std::path::PathBuf;
use std::time::Duration;

/// Limits on what a peer may send and how long it may take. Each has a name in the settings file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest head of a request or response, request line and fields together.
    pub head_bytes: ByteSize,
    /// Most fields in one head or trailer section.
    pub fields: usize,
    /// Longest time from a request's first byte to the end of its head.
    pub head_time: Duration,
    /// Largest request body; `None` is unlimited.
    pub body_bytes: Option<ByteSize>,
    /// Longest silence while a body is being read from or written to a client.
    pub body_pause: Duration,
    /// How long a connection may be idle between requests.
    pub idle_time: Duration,
    /// Most requests on one connection; `None` is unlimited.
    pub requests: Option<u64>,
    /// Most client connections at once, over all threads.
    pub connections: usize,
    /// Most HTTP/2 streams at once on one connection.
    pub streams: u32,
    /// Most HTTP/2 streams that a peer may have reset before we have dealt with them.
    pub resets: usize,
}

impl Limits {
    /// The limits in force where the settings say nothing.
    pub const fn standard() -> Self {
        Self {
            head_bytes: ByteSize::kib(32),
            fields: 128,
            head_time: Duration::from_secs(10),
            body_bytes: None,
            body_pause: Duration::from_secs(30),
            idle_time: Duration::from_secs(75),
            requests: None,
            connections: 100_000,
            streams: 128,
            resets: 20,
        }
    }
}

/// The server side of TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsServer {
    /// At least one; chosen by SNI among the names the certificates carry, the first is the default.
    pub certificates: Vec<CertificateFiles>,
    /// Oldest version spoken.
    pub minimum: TlsVersion,
}

/// A certificate chain and its key, as PEM files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain, leaf first.
    pub chain: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V1_2,
    /// TLS 1.3 (RFC 8446).
    V1_3,
}

/// The client side of TLS, towards a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsClient {
    /// Whom we believe.
    pub trust: Trust,
    /// The name asked for and checked; `None` is the server's own host name.
    pub name: Option<String>,
}

/// The authorities that may vouch for a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The roots of the operating system.
    System,
    /// The certificates of this PEM file, and no others.
    File(PathBuf),
}
