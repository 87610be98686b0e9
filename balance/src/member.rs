//! One server of a pool, as all threads see it.

use crate::health::{Condition, Ejections, Health};
use crate::load::Load;
use crate::settings::Server;
use crate::slow_start::Joined;
use base::Moment;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

/// Which server, as long as the process lives: never given twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId(pub u32);

/// One server of a pool. Its state outlives reloads and changes of its place in the pool.
#[derive(Debug)]
pub struct Member {
    /// Which.
    pub id: MemberId,
    /// The server.
    pub server: Server,
    /// As a URL ([`crate::settings::url`]).
    pub url: String,
    /// Of the URL: the same in every process.
    pub(crate) hash: u64,
    pub(crate) load: Load,
    pub(crate) health: Health,
    pub(crate) joined: Joined,
    /// When it was last fit to be asked it could not be connected to: no use in asking it in panic.
    pub(crate) silent: AtomicBool,
}

/// What is known of a server, for people and metrics.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Which.
    pub id: MemberId,
    /// As a URL.
    pub url: String,
    /// Whether it may be asked.
    pub condition: Condition,
    /// Requests in flight.
    pub in_flight: u32,
    /// What an answer takes, by its peak-EWMA; `None` before the first.
    pub latency: Option<Duration>,
    /// How often it was put out, ever, and what for.
    pub ejections: Ejections,
    /// The weight it is asked with now, slow start and all: its weight at most.
    pub weight: f64,
    /// Its priority.
    pub priority: u8,
    /// Its zone.
    pub zone: Option<String>,
}

impl Member {
    /// What an answer takes by now, by its peak-EWMA; `None` before the first.
    pub fn latency(&self, now: Moment) -> Option<Duration> {
        self.load.latency(now)
    }

    /// Requests in flight, of all threads.
    pub fn in_flight(&self) -> u32 {
        self.load.in_flight()
    }

    /// Whether it may be asked at `now`.
    pub fn condition(&self, now: Moment) -> Condition {
        self.health.condition(now)
    }
}
