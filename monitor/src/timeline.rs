//! Where the time of one exchange went: phases that exclude each other and sum to the whole.
//!
//! A stopwatch with one hand: at any moment an exchange is in exactly one [`Phase`], and entering the
//! next charges all the time since to the one before. So nothing is counted twice, nothing is left
//! out, and the sum is the whole by construction, whatever the order of events. What runs beside
//! (a hedge, a fetch for many) keeps a timeline of its own, of which the winner's is taken over.
//!
//! Names follow HAProxy's timers and Envoy's time points where they have one (see [`Phase`]).

use crate::lag;
use base::Moment;
use std::time::Duration;

macro_rules! phases {
    ($($(#[doc = $doc:literal])* $variant:ident = $text:literal;)*) => {
        /// What an exchange is busy with, or waits for.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Phase { $($(#[doc = $doc])* $variant),* }

        impl Phase {
            /// Every one, in the order in which a request usually meets them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in log, metric and page.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

phases! {
    /// The client sends its request's body (HAProxy `TR`, Envoy `DS_RX`).
    Receive = "receive";
    /// Our own work.
    Gateway = "gateway";
    /// Our own threads are late: other work came first, or no core was to be had.
    Lag = "lag";
    /// Waiting to be let in by the service's limit (HAProxy `Tw`).
    Queue = "queue";
    /// Looking into a tier of the cache: the disk, or Redis or Memcached.
    Cache = "cache";
    /// A job becomes durable, or its end is waited for.
    Offload = "offload";
    /// Waiting for an answer that is fetched for another client.
    Collapse = "collapse";
    /// Waiting for a connection that somebody else makes, or for a stream on one.
    Pool = "pool";
    /// Finding a server's address.
    Resolve = "resolve";
    /// Connecting to a server (HAProxy `Tc`, Envoy `US_CX`).
    Connect = "connect";
    /// The TLS handshake with it (Envoy `US_HS`).
    Tls = "tls";
    /// Sending it the request (Envoy `US_TX`).
    Send = "send";
    /// Waiting for the head of its answer (HAProxy `Tr`), less what it says of itself.
    Server = "server";
    /// Of that, its database, by its own `Server-Timing`.
    Db = "db";
    /// Of that, its cache, by its own `Server-Timing`.
    ServerCache = "server_cache";
    /// Waiting for the rest of its answer (HAProxy part of `Td`).
    Transfer = "transfer";
    /// The client takes the answer (Envoy `DS_TX`).
    Write = "write";
    /// Tries that failed, and the pauses behind them.
    Retry = "retry";
    /// The wait before a second server was asked, where that was the one to answer.
    Hedge = "hedge";
}

/// How many phases there are.
pub const PHASES: usize = Phase::ALL.len();

/// The phases of one try at a server: what becomes [`Phase::Retry`] if it fails.
const TRY: [Phase; 9] = [
    Phase::Pool,
    Phase::Resolve,
    Phase::Connect,
    Phase::Tls,
    Phase::Send,
    Phase::Server,
    Phase::Db,
    Phase::ServerCache,
    Phase::Hedge,
];

/// Nanoseconds by phase, and the phase under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timeline {
    spent: [u64; PHASES],
    /// A bit for each phase that was ever charged: most exchanges meet four of them.
    met: u32,
    begun: Moment,
    since: Moment,
    phase: Phase,
}

impl Timeline {
    /// Of what begins now, in [`Phase::Gateway`].
    pub const fn begin(now: Moment) -> Self {
        Self::begin_with(Phase::Gateway, now)
    }

    /// The same in another phase.
    pub const fn begin_with(phase: Phase, now: Moment) -> Self {
        Self { spent: [0; PHASES], met: 0, begun: now, since: now, phase }
    }

    /// The phase under way.
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// The moment up to which all is charged.
    pub const fn since(&self) -> Moment {
        self.since
    }

    /// Goes on with `phase`: charges the time since the last entry to the phase before. A clock that
    /// seems to go back charges nothing.
    pub fn enter(&mut self, phase: Phase, now: Moment) {
        self.charge(now);
        self.phase = phase;
    }

    /// The same after a wait: what passed between its end and our noticing is [`Phase::Lag`], and not
    /// charged to whatever was waited for.
    pub fn resume(&mut self, phase: Phase, now: Moment) {
        let late = lag::within(self.since, now).as_nanos() as u64;
        let before = self.spent[self.phase as usize];
        self.charge(now);
        let charged = self.spent[self.phase as usize] - before;
        let late = late.min(charged);
        if late > 0 {
            self.spent[self.phase as usize] -= late;
            self.add(Phase::Lag, late);
        }
        self.phase = phase;
    }

    fn charge(&mut self, now: Moment) {
        if cfg!(fleetfoot_bare) {
            return;
        }
        let now = now.max(self.since);
        self.add(self.phase, now.as_nanos() - self.since.as_nanos());
        self.since = now;
    }

    fn add(&mut self, phase: Phase, nanos: u64) {
        self.spent[phase as usize] += nanos;
        self.met |= 1 << phase as u32;
    }

    /// A try has failed: what it took is [`Phase::Retry`], and so is all until the next one.
    pub fn lost_try(&mut self, now: Moment) {
        self.resume(Phase::Retry, now);
        for phase in TRY {
            let lost = std::mem::take(&mut self.spent[phase as usize]);
            self.add(Phase::Retry, lost);
        }
    }

    /// Of what the server took, what it says its database and its cache did. Parts that were done at
    /// once may sum to more than the whole: they are cut down alike.
    pub fn fold(&mut self, db: Duration, cache: Duration) {
        let server = self.spent[Phase::Server as usize];
        let (db, cache) = (db.as_nanos() as u64, cache.as_nanos() as u64);
        let told = db.saturating_add(cache);
        if told == 0 {
            return;
        }
        let part = |part: u64| {
            if told <= server {
                part
            } else {
                (u128::from(part) * u128::from(server) / u128::from(told)) as u64
            }
        };
        let (db, cache) = (part(db), part(cache));
        self.add(Phase::Db, db);
        self.add(Phase::ServerCache, cache);
        self.spent[Phase::Server as usize] -= db + cache;
    }

    /// Takes over what another timeline says of the wait under way: this exchange waited for that
    /// one. What of the wait the other does not explain is our own work.
    pub fn absorb(&mut self, other: &Self, next: Phase, now: Moment) {
        let before = self.spent[self.phase as usize];
        self.charge(now);
        let mut waited = self.spent[self.phase as usize] - before;
        for phase in Phase::ALL {
            let part = other.spent[*phase as usize].min(waited);
            self.spent[self.phase as usize] -= part;
            self.add(*phase, part);
            waited -= part;
        }
        self.spent[self.phase as usize] -= waited;
        self.add(Phase::Gateway, waited);
        self.phase = next;
    }

    /// What was spent in a phase until the last entry.
    pub const fn spent(&self, phase: Phase) -> Duration {
        Duration::from_nanos(self.spent[phase as usize])
    }

    /// The same for all phases that took any time.
    pub fn parts(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        self.nanos().map(|(phase, nanos)| (phase, Duration::from_nanos(nanos)))
    }

    /// The same in nanoseconds.
    pub(crate) fn nanos(&self) -> impl Iterator<Item = (Phase, u64)> + '_ {
        let mut left = self.met;
        let met = std::iter::from_fn(move || {
            let at = left.trailing_zeros() as usize;
            left &= left.wrapping_sub(1);
            Phase::ALL.get(at).copied()
        });
        met.map(|phase| (phase, self.spent[phase as usize])).filter(|(_, nanos)| *nanos > 0)
    }

    /// All of it: from the beginning to the last entry.
    pub const fn total(&self) -> Duration {
        self.since.since(self.begun)
    }
}

#[cfg(test)]
mod tests;
