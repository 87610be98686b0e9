//! What one thread has counted, by route, service and server.
//!
//! Meters are made when settings come into force and are found again by name after a reload, so that
//! counters never go back. On the path they are held by `Arc` and written without looking anything
//! up; the maps are locked only by a reload and by whoever reads.

use crate::basket::Basket;
use crate::count::Count;
use crate::facts::{Cached, Facts};
use crate::histogram::{Histogram, Merged};
use crate::record::{Kept, Record};
use crate::timeline::{PHASES, Phase};
use base::FaultKind;
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Status codes from 100 to 599 have a counter each; no answer at all, and codes that HTTP does not
/// know, share the last.
const STATUSES: usize = 501;

/// One route on one thread.
#[derive(Debug)]
pub struct RouteMeter {
    statuses: Box<[Count]>,
    cached: [Count; Cached::ALL.len()],
    /// From a request's first byte to its answer's last, where no service was asked.
    pub from_store: Histogram<7>,
    /// The same where one was.
    pub from_service: Histogram<7>,
    /// The time spent in each phase, by those who spent any.
    phases: Box<[Histogram]>,
    /// What 99 of 100 take at most, in nanoseconds; 0 while that is not known. Told by whoever reads.
    slow: AtomicU64,
}

impl RouteMeter {
    fn new() -> Self {
        Self {
            statuses: (0..STATUSES).map(|_| Count::new()).collect(),
            cached: std::array::from_fn(|_| Count::new()),
            from_store: Histogram::new(),
            from_service: Histogram::new(),
            phases: (0..PHASES).map(|_| Histogram::new()).collect(),
            slow: AtomicU64::new(0),
        }
    }

    /// Requests ended, by status; 0 where there was no answer.
    pub fn by_status(&self) -> impl Iterator<Item = (u16, u64)> {
        let counts = self.statuses.iter().map(Count::get).enumerate();
        let status = |i: usize| if i == STATUSES - 1 { 0 } else { i as u16 + 100 };
        counts.filter(|(_, n)| *n > 0).map(move |(i, n)| (status(i), n))
    }
}

impl RouteMeter {
    /// All durations.
    pub fn add_to(&self, total: &mut Merged<7>) {
        self.from_store.add_to(total);
        self.from_service.add_to(total);
    }

    /// The time spent in a phase.
    pub fn phase(&self, phase: Phase) -> &Histogram {
        &self.phases[phase as usize]
    }

    /// What 99 of 100 take at most; zero while that is not known.
    pub fn slow(&self) -> Duration {
        Duration::from_nanos(self.slow.load(Ordering::Relaxed))
    }

    /// Says so.
    pub fn set_slow(&self, slow: Duration) {
        self.slow.store(slow.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Requests ended, by what the cache had to do with them.
    pub fn by_cached(&self) -> impl Iterator<Item = (Cached, u64)> {
        let counts = self.cached.iter().map(Count::get);
        Cached::ALL.iter().copied().zip(counts)
    }
}

/// One service on one thread.
#[derive(Debug, Default)]
pub struct ServiceMeter {
    /// From asking to the head of the answer.
    pub first_byte: Histogram,
    /// Requests sent again.
    pub retries: Count,
    /// Copies for this service as a shadow.
    pub shadows: ShadowMeter,
}

/// Copies of requests that went to a service as a shadow.
#[derive(Debug, Default)]
pub struct ShadowMeter {
    /// Sent.
    pub sent: Count,
    /// Of those, how many failed or were answered with 5xx.
    pub failed: Count,
    /// Left out, since too many were under way.
    pub left_out: Count,
}

/// One server of a service on one thread.
#[derive(Debug, Default)]
pub struct ServerMeter {
    /// Requests sent to it.
    pub requests: Count,
    /// Of those, how many failed without an answer.
    pub failures: Count,
    /// Connections made.
    pub connects: Count,
    /// Connections that could not be made.
    pub connect_failures: Count,
    /// Connections open now.
    pub open: Count,
    /// Of those, how many are idle.
    pub idle: Count,
}

/// A service's name and a server's address.
pub type ServerKey = (String, String);

/// Most records that wait to be taken away: a quarter of a second of 64,000 requests a second.
const RECORDS_MAX: usize = 16_384;
/// And most of what is kept whole.
const KEPT_MAX: usize = 1_024;

/// All that one thread counts.
#[derive(Debug)]
pub struct Ledger {
    routes: Mutex<BTreeMap<String, Arc<RouteMeter>>>,
    services: Mutex<BTreeMap<String, Arc<ServiceMeter>>>,
    servers: Mutex<BTreeMap<ServerKey, Arc<ServerMeter>>>,
    faults: [Count; FaultKind::ALL.len()],
    /// Client connections accepted.
    pub accepted: Count,
    /// Client connections open now.
    pub open: Count,
    /// Of those, how many speak HTTP/2.
    pub open_h2: Count,
    /// Requests under way.
    pub in_flight: Count,
    /// TLS handshakes that failed.
    pub handshake_failures: Count,
    /// Bytes of answers sent to clients.
    pub sent_bytes: Count,
    /// Access log lines that found the log's queue full.
    pub log_dropped: Count,
    /// A record of every exchange, or of a share of them, for a while.
    pub records: Basket<Record>,
    /// One exchange in so many has a record: a power of two.
    record_every: AtomicU64,
    /// Exchanges that were kept whole.
    pub kept: Basket<Kept>,
    /// The kernel's number of the thread; 0 while it is not known.
    pub thread: Count,
}

impl Default for Ledger {
    fn default() -> Self {
        Self {
            routes: Mutex::default(),
            services: Mutex::default(),
            servers: Mutex::default(),
            faults: std::array::from_fn(|_| Count::new()),
            accepted: Count::new(),
            open: Count::new(),
            open_h2: Count::new(),
            in_flight: Count::new(),
            handshake_failures: Count::new(),
            sent_bytes: Count::new(),
            log_dropped: Count::new(),
            records: Basket::new(RECORDS_MAX),
            record_every: AtomicU64::new(1),
            kept: Basket::new(KEPT_MAX),
            thread: Count::new(),
        }
    }
}

fn meter<K: Ord, M>(map: &Mutex<BTreeMap<K, Arc<M>>>, key: K, new: impl FnOnce() -> M) -> Arc<M> {
    let mut map = map.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(map.entry(key).or_insert_with(|| Arc::new(new())))
}

fn all<K: Clone, M>(map: &Mutex<BTreeMap<K, Arc<M>>>) -> Vec<(K, Arc<M>)> {
    let map = map.lock().unwrap_or_else(PoisonError::into_inner);
    map.iter().map(|(key, meter)| (key.clone(), Arc::clone(meter))).collect()
}

impl Ledger {
    /// The meter of a route.
    pub fn route(&self, name: &str) -> Arc<RouteMeter> {
        meter(&self.routes, name.to_owned(), RouteMeter::new)
    }

    /// The meter of a service.
    pub fn service(&self, name: &str) -> Arc<ServiceMeter> {
        meter(&self.services, name.to_owned(), ServiceMeter::default)
    }

    /// The meter of a server.
    pub fn server(&self, service: &str, server: &str) -> Arc<ServerMeter> {
        meter(&self.servers, (service.to_owned(), server.to_owned()), ServerMeter::default)
    }

    /// Forgets one server of a service: it is gone.
    pub fn forget_server(&self, service: &str, server: &str) {
        let mut servers = self.servers.lock().unwrap_or_else(PoisonError::into_inner);
        servers.remove(&(service.to_owned(), server.to_owned()));
    }

    /// Forgets what the settings no longer name: routes, services, and servers of services.
    pub fn keep(&self, routes: &[&str], services: &[&str], servers: &[(&str, &str)]) {
        fn prune<K: Ord, M>(map: &Mutex<BTreeMap<K, Arc<M>>>, keep: impl Fn(&K) -> bool) {
            map.lock().unwrap_or_else(PoisonError::into_inner).retain(|key, _| keep(key));
        }
        prune(&self.routes, |name| routes.contains(&name.as_str()));
        prune(&self.services, |name| services.contains(&name.as_str()));
        let servers: HashSet<(&str, &str)> = servers.iter().copied().collect();
        prune(&self.servers, |(service, server)| servers.contains(&(service, server)));
    }

    /// All routes' meters, by name.
    pub fn routes(&self) -> Vec<(String, Arc<RouteMeter>)> {
        all(&self.routes)
    }

    /// All services' meters, by name.
    pub fn services(&self) -> Vec<(String, Arc<ServiceMeter>)> {
        all(&self.services)
    }

    /// All servers' meters, by service and address.
    pub fn servers(&self) -> Vec<(ServerKey, Arc<ServerMeter>)> {
        all(&self.servers)
    }

    /// Does this exchange have a record? Where not all have one, whole traces have: who calls whom
    /// is seen by the share that is left.
    pub fn wants_record(&self, facts: &Facts) -> bool {
        let every = self.record_every.load(Ordering::Relaxed);
        if every == 1 {
            return true;
        }
        let id = if facts.trace.is_on() { facts.trace.id as u64 } else { facts.begun.as_nanos() };
        // Ids of callers need not be random in all their bits.
        id.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40 & (every - 1) == 0
    }

    /// One exchange in so many has had a record lately.
    pub fn record_every(&self) -> u64 {
        self.record_every.load(Ordering::Relaxed)
    }

    /// One in about so many is to have one from now on. Told by whoever reads.
    pub fn set_record_every(&self, every: u64) {
        self.record_every.store(every.clamp(1, 1 << 20).next_power_of_two(), Ordering::Relaxed);
    }

    /// Faults so far, by kind.
    pub fn faults(&self) -> impl Iterator<Item = (FaultKind, u64)> {
        FaultKind::ALL.iter().copied().zip(self.faults.iter().map(Count::get))
    }

    /// Counts a fault that ended an exchange or a connection.
    pub fn fault(&self, kind: FaultKind) {
        // The kinds are listed in the order of their declaration.
        self.faults[kind as usize].add(1);
    }

    /// Counts an exchange whose last byte is out, or that ended before, and whose timeline is closed.
    pub fn record(&self, route: Option<&RouteMeter>, facts: &Facts) {
        self.sent_bytes.add(facts.sent);
        if let Some(kind) = facts.fault {
            self.fault(kind);
        }
        let Some(route) = route else { return };
        let status = usize::from(facts.status).checked_sub(100).unwrap_or(STATUSES);
        let status = status.min(STATUSES - 1);
        route.statuses[status].add(1);
        let whole = if facts.asked.is_none() { &route.from_store } else { &route.from_service };
        whole.record(facts.timeline.total());
        if !cfg!(fleetfoot_bare) {
            for (phase, nanos) in facts.timeline.nanos() {
                route.phases[phase as usize].record_nanos(nanos);
            }
        }
        if let Some(cached) = facts.cached {
            // Listed in the order of their declaration.
            route.cached[cached as usize].add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Moment;

    #[test]
    fn every_fault_has_its_own_counter() {
        let ledger = Ledger::default();
        for (index, kind) in FaultKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, index, "{kind:?} is out of order");
            ledger.fault(*kind);
        }
        assert!(ledger.faults().all(|(_, n)| n == 1));
    }

    #[test]
    fn a_share_of_records_is_of_whole_traces() {
        let ledger = Ledger::default();
        let facts = |id, span| {
            let mut facts = Facts::begin(Moment::from_nanos(u64::from(span) * 1_000));
            facts.trace = crate::Trace::begin(None, (id, u64::from(span)), false);
            facts
        };
        let wanted = || (1..=100_000).filter(|id| ledger.wants_record(&facts(*id, 1_u32))).count();
        assert_eq!(wanted(), 100_000);
        for (every, share) in [(3, 4), (16, 16), (100, 128)] {
            ledger.set_record_every(every);
            assert_eq!(ledger.record_every(), share);
            let found = wanted() as u64 * share;
            assert!((80_000..120_000).contains(&found), "{found}");
            // Whichever exchange of a trace is asked for, the answer is that of the trace.
            let of_trace = |id| (1..50).map(move |span| facts(id, span));
            for id in 1..200 {
                let count = of_trace(id).filter(|facts| ledger.wants_record(facts)).count();
                assert!(count == 0 || count == 49, "{count} of 49");
            }
        }
    }

    #[test]
    fn meters_are_found_again_by_name() {
        let ledger = Ledger::default();
        let facts = Facts { status: 204, ..Facts::begin(Moment::from_nanos(0)) };
        for _ in 0..2 {
            let route = ledger.route("items");
            ledger.record(Some(&route), &facts);
        }
        let none = Facts::begin(Moment::from_nanos(0));
        ledger.record(Some(&ledger.route("items")), &none);
        let statuses: Vec<_> = ledger.route("items").by_status().collect();
        assert_eq!(statuses, [(204, 2), (0, 1)]);
    }
}
