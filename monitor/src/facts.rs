//! All that one exchange tells: moments, sizes and names of reasons, filled on its way.

use crate::timeline::{Phase, Timeline};
use crate::trace::Trace;
use base::{FaultKind, Moment};

macro_rules! cached {
    ($($(#[doc = $doc:literal])* $variant:ident = $text:literal;)*) => {
        /// What the cache had to do with an exchange.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Cached { $($(#[doc = $doc])* $variant),* }

        impl Cached {
            /// Every one, for metrics and reference pages.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in log and metric.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

cached! {
    /// Answered from memory, fresh.
    Hit = "hit";
    /// Answered from memory, stale: it is being refreshed, or the service fails.
    Stale = "stale";
    /// Answered from the disk or the shared tier.
    Tier = "tier";
    /// Answered by what was fetched for another client.
    Collapsed = "collapsed";
    /// Validated with the service, then answered from memory or anew.
    Validated = "validated";
    /// Fetched, and stored for others.
    Miss = "miss";
    /// Fetched, and not to be shared.
    Private = "private";
    /// Went past the store.
    Pass = "pass";
}

/// Why a try was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// It was the first.
    First,
    /// One before it had failed.
    Retry,
    /// One before it took unusually long.
    Hedge,
}

/// One try at a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Try {
    /// Its number, from 1.
    pub number: u8,
    /// Why it was made.
    pub cause: Cause,
    /// The server (`balance::MemberId`).
    pub server: u32,
    /// When it was begun.
    pub begun: Moment,
    /// When it had an answer's head, or had failed, or was given up for another.
    pub ended: Moment,
    /// The status it was answered with; 0 when it was not.
    pub status: u16,
    /// What went wrong.
    pub fault: Option<FaultKind>,
    /// Its connection had been used before.
    pub reused: bool,
}

/// The facts of one exchange. Plain data: no strings, and no allocation for what was tried once.
#[derive(Clone, Debug)]
pub struct Facts {
    /// When its head had been read.
    pub begun: Moment,
    /// Where its time went.
    pub timeline: Timeline,
    /// The trace it belongs to.
    pub trace: Trace,
    /// The first try at a server.
    pub first_try: Option<Try>,
    /// The tries behind it.
    pub more_tries: Vec<Try>,
    /// When the service was first asked.
    pub asked: Option<Moment>,
    /// When the head of the service's answer had come.
    pub answered: Option<Moment>,
    /// The route, as an index into the routes in force.
    pub route: Option<u16>,
    /// The server that answered or failed, by its number (`balance::MemberId`).
    pub server: Option<u32>,
    /// The service asked, as an index into the services in force; `None` before one is chosen.
    pub service: Option<u16>,
    /// A second request was sent beside the first, before that had failed.
    pub hedged: bool,
    /// How often a service was asked.
    pub attempts: u8,
    /// The connection to the service had been used before.
    pub reused: bool,
    /// The status sent; 0 when none was.
    pub status: u16,
    /// What went wrong.
    pub fault: Option<FaultKind>,
    /// What the cache had to do with it, if its route has one.
    pub cached: Option<Cached>,
    /// Bytes of the answer sent: with its head over HTTP/1, without it over HTTP/2.
    pub sent: u64,
}

impl Facts {
    /// Of an exchange that begins now.
    pub fn begin(now: Moment) -> Self {
        Self {
            begun: now,
            timeline: Timeline::begin(now),
            trace: Trace::OFF,
            first_try: None,
            more_tries: Vec::new(),
            asked: None,
            answered: None,
            route: None,
            server: None,
            service: None,
            hedged: false,
            attempts: 0,
            reused: false,
            status: 0,
            fault: None,
            cached: None,
            sent: 0,
        }
    }

    /// Of an exchange whose head began to come at `came` and is whole now.
    pub fn begin_slowly(came: Moment, now: Moment) -> Self {
        let mut facts = Self::begin(now);
        if came < now {
            facts.timeline = Timeline::begin_with(Phase::Receive, came);
            facts.timeline.enter(Phase::Gateway, now);
        }
        facts
    }

    /// All tries at servers, in the order in which they ended.
    pub fn tries(&self) -> impl Iterator<Item = &Try> {
        self.first_try.iter().chain(&self.more_tries)
    }

    /// Notes the try that was under way when its client left.
    pub fn note_unfinished(&mut self, now: Moment) {
        let Some(server) = self.server.filter(|_| self.fault == Some(FaultKind::ClientGone)) else {
            return;
        };
        let noted = self.tries().map(|tried| tried.number).max().unwrap_or(0);
        if noted < self.attempts {
            self.note_try(Try {
                number: self.attempts,
                cause: if self.attempts == 1 { Cause::First } else { Cause::Retry },
                server,
                begun: self.tries().last().map_or(self.asked.unwrap_or(self.begun), |t| t.ended),
                ended: now,
                status: 0,
                fault: Some(FaultKind::ClientGone),
                reused: self.reused,
            });
        }
    }

    /// Notes one more.
    pub fn note_try(&mut self, ended: Try) {
        if self.first_try.is_none() {
            self.first_try = Some(ended);
        } else {
            self.more_tries.push(ended);
        }
    }
}
