//! What ends a run: an address, a process or a peer that is not as the command line says.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Why a program of this crate gave up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where we wanted to listen.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The proxy (or, for the floor, the origin) is not there.
    #[error("cannot connect to {address}")]
    Connect {
        /// Whom we wanted to reach.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// The readiness queue failed.
    #[error("epoll failed")]
    Poll(#[from] io::Error),
    /// A process to be watched is gone, or its accounting cannot be read.
    #[error("cannot read the run time of process {pid}")]
    Watch {
        /// The process.
        pid: u32,
        /// What the kernel said.
        source: io::Error,
    },
    /// The trusted certificate cannot be used.
    #[error("cannot trust the certificates in {}: {why}", path.display())]
    Trust {
        /// The file given with `--tls`.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The TLS handshake failed.
    #[error("no TLS 1.3 with {address}")]
    Tls {
        /// With whom.
        address: SocketAddr,
        /// Why.
        source: rustls::Error,
    },
    /// The run is worthless: more responses were wrong than [`crate::generator::FLAWS_MAX`].
    #[error("gave up after {count} wrong responses, the last: {last}")]
    Flawed {
        /// How many.
        count: u64,
        /// The name of the last flaw.
        last: &'static str,
    },
}

/// The whole chain of causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
