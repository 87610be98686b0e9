//! All that one exchange tells: moments, sizes and names of reasons, filled on its way.

use base::{FaultKind, Moment};

/// The facts of one exchange. Plain data: no strings, no allocation.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When its head had been read.
    pub begun: Moment,
    /// When the service was first asked.
    pub asked: Option<Moment>,
    /// When the head of the service's answer had come.
    pub answered: Option<Moment>,
    /// The route, as an index into the routes in force.
    pub route: Option<u16>,
    /// The server that answered or failed, as an index into its service.
    pub server: Option<u16>,
    /// How often a service was asked.
    pub attempts: u8,
    /// The connection to the service had been used before.
    pub reused: bool,
    /// The status sent; 0 when none was.
    pub status: u16,
    /// What went wrong.
    pub fault: Option<FaultKind>,
    /// Bytes of the answer sent: with its head over HTTP/1, without it over HTTP/2.
    pub sent: u64,
}

impl Facts {
    /// Of an exchange that begins now.
    pub fn begin(now: Moment) -> Self {
        Self {
            begun: now,
            asked: None,
            answered: None,
            route: None,
            server: None,
            attempts: 0,
            reused: false,
            status: 0,
            fault: None,
            sent: 0,
        }
    }
}
