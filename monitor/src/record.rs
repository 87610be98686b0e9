//! One exchange in a fixed size: what the tail is explained by.
//!
//! A [`Record`] is made of every exchange and kept for a minute or so; what has text in it (a
//! [`Kept`]) is made of few.

use crate::facts::{Cached, Facts, Try};
use crate::keep::Why;
use crate::timeline::{PHASES, Phase};
use base::{FaultKind, Moment};
use std::time::Duration;

/// A record's times are in units of 128 ns, a power of two, and reach to nine minutes.
const UNIT_BITS: u32 = 7;

/// What else is known of an exchange, and not by its facts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Beside {
    /// Which settings were in force: indices of routes and services belong to them.
    pub generation: u16,
    /// The hash of what was asked for: host and target.
    pub key: u64,
    /// The hash of the method.
    pub method: Method,
    /// The client speaks HTTP/2.
    pub h2: bool,
    /// The client speaks TLS.
    pub tls: bool,
}

/// Methods as far as records tell them apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Method {
    /// GET.
    #[default]
    Get,
    /// HEAD.
    Head,
    /// POST.
    Post,
    /// PUT.
    Put,
    /// PATCH.
    Patch,
    /// DELETE.
    Delete,
    /// Any other.
    Other,
}

impl Method {
    /// Which one this is.
    pub fn of(method: &[u8]) -> Self {
        match method {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"PATCH" => Self::Patch,
            b"DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
            Self::Other => "other",
        }
    }
}

/// One exchange.
#[derive(Clone, Debug)]
pub struct Record {
    /// When it began.
    pub begun: Moment,
    total: u32,
    spent: [u32; PHASES],
    /// The route, by its place in the settings in force.
    pub route: Option<u16>,
    /// The service, by its place in the settings in force.
    pub service: Option<u16>,
    /// The server (`balance::MemberId`).
    pub server: Option<u32>,
    /// The status sent; 0 when none was.
    pub status: u16,
    /// What went wrong.
    pub fault: Option<FaultKind>,
    /// What the cache had to do with it.
    pub cached: Option<Cached>,
    /// How often a service was asked.
    pub attempts: u8,
    /// The connection to the service had been used before.
    pub reused: bool,
    /// Two servers were asked at once.
    pub hedged: bool,
    /// Bytes sent.
    pub sent: u64,
    /// Its trace's lower half, or 0.
    pub trace: u64,
    /// Its span.
    pub span: u64,
    /// Its caller's span, or 0.
    pub parent: u64,
    /// What else is known.
    pub beside: Beside,
}

impl Record {
    /// Of an exchange whose timeline has ended.
    pub fn of(facts: &Facts, beside: Beside) -> Self {
        let (mut spent, mut total) = ([0; PHASES], 0_u32);
        for (phase, nanos) in facts.timeline.nanos() {
            let units = (nanos + (1 << (UNIT_BITS - 1))) >> UNIT_BITS;
            let units = u32::try_from(units).unwrap_or(u32::MAX);
            spent[phase as usize] = units;
            // The sum of what is told here, so that no rounding comes between the parts and the whole.
            total = total.saturating_add(units);
        }
        Self {
            begun: facts.begun,
            total,
            spent,
            route: facts.route,
            service: facts.service,
            server: facts.server,
            status: facts.status,
            fault: facts.fault,
            cached: facts.cached,
            attempts: facts.attempts,
            reused: facts.reused,
            hedged: facts.hedged,
            sent: facts.sent,
            trace: facts.trace.id as u64,
            span: facts.trace.span,
            parent: facts.trace.parent,
            beside,
        }
    }

    /// From its beginning to its end.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(u64::from(self.total) << UNIT_BITS)
    }

    /// What was spent in a phase.
    pub fn spent(&self, phase: Phase) -> Duration {
        Duration::from_nanos(u64::from(self.spent[phase as usize]) << UNIT_BITS)
    }

    /// Did it fail by the service's or our own fault?
    pub fn has_failed(&self) -> bool {
        self.status >= 500 || self.fault.is_some_and(|kind| kind.side() != base::Side::Client)
    }
}

/// An exchange that was kept whole, for people and traces.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Why.
    pub why: Why,
    /// Its facts.
    pub facts: Facts,
    /// The client's address.
    pub client: String,
    /// Its method.
    pub method: String,
    /// The host asked for, as sent.
    pub host: String,
    /// The target asked for, with what must not be told taken out.
    pub target: String,
    /// `HTTP/1.0`, `HTTP/1.1` or `HTTP/2`.
    pub protocol: &'static str,
    /// Whether the client spoke TLS.
    pub tls: bool,
    /// The client's User-Agent; may be empty.
    pub user_agent: String,
    /// The route's name.
    pub route: Option<String>,
    /// The service's name.
    pub service: Option<String>,
    /// Every try, with its server's address.
    pub tries: Vec<(Try, String)>,
    /// Our request id, if there are any.
    pub request_id: Option<String>,
}
