//! Traffic through a gateway that never was: servers with queues, caches, noise, and one fault.
//!
//! Times are milliseconds. Nothing here knows how `monitor::why` decides.

use crate::chance::Chance;
use base::{FaultKind, Moment};
use monitor::facts::{Cached, Facts};
use monitor::record::{Beside, Method};
use monitor::trace::Trace;
use monitor::why::{Context, Names};
use monitor::{Phase, Record, Timeline};
use std::collections::HashMap;
use std::time::Duration;

macro_rules! faults {
    ($($variant:ident = $cause:literal, $text:literal;)*) => {
        /// What is wrong with a world.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Fault { $($variant),* }

        impl Fault {
            pub(crate) const ALL: &[Self] = &[$(Self::$variant),*];

            /// The cause that has to be named.
            pub(crate) const fn cause(self) -> &'static str {
                match self { $(Self::$variant => $cause),* }
            }

            pub(crate) const fn text(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}

faults! {
    SlowServer = "slow-server", "one slow instance";
    SlowRoute = "slow-route", "one route without index";
    Stampede = "key-stampede", "hot key at expiry";
    ColdCache = "cold-cache", "cold cache";
    SmallPool = "small-pool", "pool too small";
    NoKeepAlive = "no-keep-alive", "no keep-alive";
    SlowClients = "slow-clients", "large bodies, slow clients";
    Serial = "serial-calls", "N+1 serial calls";
    Stalls = "stalling-server", "stalls of one instance";
    RetryStorm = "retry-storm", "retry storm under overload";
    SlowConnect = "slow-connect", "slow resolver or connect";
    HeavyKeys = "heavy-keys", "heavy keys";
    SharedDb = "shared-backend", "shared database saturated";
    BusyGateway = "busy-gateway", "gateway short of CPU";
}

/// Who serves at most so many at once, the rest in order.
struct Desk {
    free: Vec<f64>,
}

impl Desk {
    fn new(places: usize) -> Self {
        Self { free: vec![0.0; places] }
    }

    /// When it begins what comes `at` and takes so long.
    fn serve(&mut self, at: f64, takes: f64) -> f64 {
        let first = self.free.iter_mut().min_by(|a, b| a.total_cmp(b)).expect("a place");
        let begins = first.max(at);
        *first = begins + takes;
        begins
    }

    fn next(&self) -> f64 {
        self.free.iter().copied().fold(f64::INFINITY, f64::min)
    }
}

struct Route {
    median: f64,
    sigma: f64,
    caches: bool,
    method: Method,
    keys: usize,
    share: f64,
}

/// A world with its parameters drawn.
pub(crate) struct World {
    chance: Chance,
    fault: Option<Fault>,
    routes: Vec<Route>,
    servers: Vec<Desk>,
    db: Desk,
    pool: Desk,
    db_share: f64,
    tells_db: bool,
    tls: bool,
    stored: HashMap<(usize, u64), f64>,
    fetched: HashMap<(usize, u64), f64>,
    ttl: f64,
    length: f64,
    rate: f64,
    /// How fast each server is, and how often a request takes three times as long for no reason.
    speeds: Vec<f64>,
    odd: f64,
    /// A rush of so many seconds at twice the rate, from then on.
    rush: (f64, f64),
    /// How strong the fault is: 0 to 1.
    much: f64,
    /// One of a few shapes of it.
    shape: usize,
    records: Vec<Record>,
}

/// What a request has gone through.
struct Course {
    at: f64,
    phases: Vec<(Phase, f64)>,
    facts: Facts,
}

impl Course {
    fn begin(at: f64) -> Self {
        Self { at, phases: Vec::new(), facts: Facts::begin(moment(at)) }
    }

    fn spend(&mut self, phase: Phase, ms: f64) {
        self.phases.push((phase, ms.max(0.0)));
    }

    fn now(&self) -> f64 {
        self.at + self.phases.iter().map(|(_, ms)| ms).sum::<f64>()
    }

    fn end(mut self, beside: Beside) -> Record {
        let mut timeline = Timeline::begin(moment(self.at));
        let mut now = self.at;
        for (phase, ms) in &self.phases {
            timeline.enter(*phase, moment(now));
            now += ms;
        }
        timeline.enter(Phase::Gateway, moment(now));
        self.facts.timeline = timeline;
        Record::of(&self.facts, beside)
    }
}

fn moment(ms: f64) -> Moment {
    Moment::from_nanos((ms * 1e6) as u64)
}

impl World {
    /// A world of this seed, with this fault.
    pub(crate) fn new(seed: u64, fault: Option<Fault>) -> Self {
        let mut chance = Chance(seed.wrapping_mul(0x5851_f42d_4c95_7f2d) ^ 0x1405_7b7e_f767_814f);
        let much = chance.share();
        let shape = chance.below(3);
        let servers = 2 + chance.below(5);
        let rate = chance.between(60.0, 400.0);
        let base = chance.between(3.0, 15.0);
        let caches = chance.is(0.5);
        let sigma = chance.between(0.2, 0.6);
        let route = |chance: &mut Chance, times: f64, caches, method, share| Route {
            median: base * times,
            sigma,
            caches,
            method,
            keys: 40 + chance.below(1_500),
            share,
        };
        let routes = vec![
            route(&mut chance, 1.0, caches, Method::Get, 0.5),
            route(&mut chance, 1.6, caches, Method::Get, 0.25),
            route(&mut chance, 0.8, false, Method::Post, 0.1),
            route(&mut chance, 2.4, false, Method::Get, 0.15),
        ];
        let mean: f64 =
            routes.iter().map(|r| r.median * r.share).sum::<f64>() * (sigma * sigma / 2.0).exp();
        let work = rate * mean / 1_000.0;
        let load = chance.between(0.15, 0.55);
        let places = ((work / load / servers as f64).ceil() as usize).max(2);
        let db_share = chance.between(0.3, 0.7);
        let db_places = ((work * db_share / chance.between(0.1, 0.4)).ceil() as usize).max(4);
        Self {
            fault,
            servers: (0..servers).map(|_| Desk::new(places)).collect(),
            db: Desk::new(db_places),
            pool: Desk::new(1_000),
            db_share,
            tells_db: chance.is(0.5),
            tls: chance.is(0.4),
            speeds: (0..servers).map(|_| chance.between(0.85, 1.2)).collect(),
            odd: if chance.is(0.5) { chance.between(0.0, 0.1) } else { 0.0 },
            rush: (chance.between(0.0, 40_000.0), chance.between(0.0, 6_000.0)),
            stored: HashMap::new(),
            fetched: HashMap::new(),
            ttl: chance.between(60_000.0, 600_000.0),
            length: chance.between(25_000.0, 58_000.0),
            rate,
            much,
            shape,
            records: Vec::new(),
            routes,
            chance,
        }
        .with_fault(mean)
    }

    fn with_fault(mut self, mean: f64) -> Self {
        let much = self.much;
        match self.fault {
            Some(Fault::SlowRoute) => {
                self.routes[3].median = self.routes[0].median * (8.0 + 20.0 * much) + 40.0;
                self.routes[3].share = 0.05 + 0.1 * much;
                // It has the workers that this takes.
                let places = self.rate * self.routes[3].median * self.routes[3].share / 400.0;
                let more = places as usize / self.servers.len() + 2;
                for server in &mut self.servers {
                    server.free.extend(std::iter::repeat_n(0.0, more));
                }
                self.db.free.extend(std::iter::repeat_n(0.0, more * 4));
            }
            Some(Fault::Stampede) => {
                self.ttl = 4_000.0 + 6_000.0 * much;
                self.rate = self.rate.max(120.0);
            }
            Some(Fault::ColdCache) => {
                for route in &mut self.routes[..2] {
                    route.caches = true;
                    route.median *= 3.0;
                    route.keys = 300 + route.keys / 2;
                }
                for server in &mut self.servers {
                    server.free.extend(std::iter::repeat_n(0.0, 40));
                }
                self.db.free.extend(std::iter::repeat_n(0.0, 100));
            }
            Some(Fault::SmallPool) => {
                let needed = self.rate * mean / 1_000.0;
                self.pool = Desk::new((needed * (0.95 - 0.1 * much) + 1.0).ceil() as usize);
                self.routes.iter_mut().for_each(|route| route.caches = false);
                let lack = self.pool.free.len() as f64;
                // The pool is what binds: nine tenths of it are in use.
                self.rate = lack / (mean + 0.5) * 1_000.0 * (0.93 + 0.09 * much);
                for server in &mut self.servers {
                    server.free.extend(std::iter::repeat_n(0.0, 10));
                }
                self.db.free.extend(std::iter::repeat_n(0.0, 20));
            }
            Some(Fault::SharedDb) => {
                self.routes.iter_mut().for_each(|route| route.caches = false);
                let busy = 0.93 + 0.07 * much;
                let places = 2 + self.shape * 3;
                self.db = Desk::new(places);
                self.rate = places as f64 * busy / (mean * self.db_share) * 1_000.0;
                for server in &mut self.servers {
                    server.free.extend(std::iter::repeat_n(0.0, 60));
                }
            }
            _ => {}
        }
        self
    }

    /// All records, what they mean, and what they do not know.
    pub(crate) fn play(mut self) -> (Vec<Record>, Names, Context) {
        // A healthy gateway may have been started just now, and things may be fresh for seconds only.
        let started = self.fault.is_none() && self.shape == 1;
        if self.fault.is_none() && self.shape == 2 {
            self.ttl /= 20.0;
        }
        let warm = !started && !matches!(self.fault, Some(Fault::ColdCache));
        if warm {
            for (at, route) in self.routes.iter().enumerate().filter(|(_, route)| route.caches) {
                for key in 0..route.keys as u64 {
                    // Most is stored, and ends at some time or other.
                    if self.chance.is(0.9) {
                        self.stored.insert((at, key), self.chance.between(0.0, self.ttl));
                    }
                }
            }
        }
        let cold_from = self.length * [1.0 / 3.0, 0.4, 0.7][self.shape];
        let mut purged = None;
        let mut at = 0.0;
        let shares: Vec<f64> = self.routes.iter().map(|route| route.share).collect();
        let all: f64 = shares.iter().sum();
        while at < self.length {
            let rush = at > self.rush.0 && at < self.rush.0 + self.rush.1;
            let rate = if rush { self.rate * 1.6 } else { self.rate };
            at += self.chance.wait(1_000.0 / rate);
            let mut left = self.chance.share() * all;
            let route = shares.iter().position(|share| {
                left -= share;
                left < 0.0
            });
            let route = route.unwrap_or(0);
            if self.fault == Some(Fault::ColdCache) && purged.is_none() {
                self.prewarm(at, cold_from, &mut purged);
            }
            self.request(at, route);
        }
        let mut records = std::mem::take(&mut self.records);
        records.sort_by_key(|record| record.begun + record.total());
        let busy = matches!(self.fault, Some(Fault::BusyGateway));
        let delay = if busy { 0.12 + 0.5 * self.much } else { self.chance.between(0.0, 0.05) };
        // Whoever else emptied the store (a flushed Redis, say) does not tell.
        let purged = purged.filter(|_| self.shape != 1);
        // That a gateway is young is no excuse for what a purge does.
        let young = started || self.fault == Some(Fault::ColdCache) && self.shape == 2;
        let uptime = if young { self.length } else { 3_600_000.0 };
        let names = Names {
            routes: ["items", "list", "cart", "search", "page"].map(str::to_owned).to_vec(),
            services: ["shop", "front"].map(str::to_owned).to_vec(),
            servers: (0..9).map(|at| (at, format!("a{at}"))).collect(),
            keys: (0..50).map(|key| (key, format!("shop.example/{key}"))).collect(),
        };
        let context = Context {
            run_delay: vec![delay, delay * 0.8],
            uptime: Duration::from_secs_f64(uptime / 1_000.0),
            purged: purged.map(|at: f64| Duration::from_secs_f64((self.length - at) / 1_000.0)),
        };
        (records, names, context)
    }

    /// Everything is stored, or comes in by and by, until it is purged.
    fn prewarm(&mut self, at: f64, until: f64, purged: &mut Option<f64>) {
        if at >= until {
            self.stored.clear();
            *purged = Some(at);
        } else if self.stored.is_empty() && self.shape != 2 {
            for (at, route) in self.routes.iter().enumerate().filter(|(_, route)| route.caches) {
                self.stored.extend((0..route.keys as u64).map(|key| ((at, key), 1e9)));
            }
        }
    }

    fn request(&mut self, at: f64, route: usize) {
        if self.fault == Some(Fault::Serial) && self.chance.is(0.05 + 0.1 * self.much) {
            return self.page(at);
        }
        let mut key = self.chance.rank(self.routes[route].keys) as u64;
        if self.fault == Some(Fault::Stampede) && self.chance.is(0.15 + 0.2 * self.much) {
            return self.cached(at, 0, 7);
        }
        if self.fault == Some(Fault::HeavyKeys) && self.chance.is(0.02 + 0.03 * self.much) {
            key = 3_000 + self.chance.below(3 + 3 * self.shape) as u64;
        }
        if self.routes[route].caches {
            self.cached(at, route, key);
        } else {
            self.plain(at, route, key, None);
        }
    }

    /// A page of another service that makes calls through the same gateway.
    fn page(&mut self, at: f64) {
        let mut course = Course::begin(at);
        course.facts.trace =
            Trace::begin(None, (self.chance.bits().into(), self.chance.bits()), false);
        let trace = course.facts.trace;
        let mut now = at + self.chance.around(2.0, 0.3);
        // A service with tracing of its own writes its own spans.
        let own = self.shape == 1;
        for _ in 0..6 + (24.0 * self.much) as usize + self.chance.below(4) {
            let span = if own { self.chance.bits() } else { trace.try_span(1) };
            let below = Trace::begin(
                Some(monitor::trace::Parent { trace: trace.id, span, flags: 0 }),
                (0, self.chance.bits()),
                false,
            );
            let key = self.chance.rank(500) as u64;
            now = self.call(now, key, below) + self.chance.around(0.2, 0.3);
        }
        self.overhead(&mut course);
        course.spend(Phase::Server, now - course.now());
        course.facts.route = Some(4);
        course.facts.service = Some(1);
        course.facts.server = Some(8);
        self.answer(course, 4, 5, 1);
    }

    /// One of its calls. Servers' queues are in the order of the clients' requests: there is none here.
    fn call(&mut self, at: f64, key: u64, trace: Trace) -> f64 {
        let mut course = Course::begin(at);
        self.overhead(&mut course);
        let facts = &mut course.facts;
        (facts.trace, facts.reused, facts.service) = (trace, true, Some(0));
        facts.server = Some(self.chance.below(self.servers.len()) as u32);
        let takes = self.chance.around(self.routes[0].median, self.routes[0].sigma);
        course.spend(Phase::Server, takes);
        let ended = course.now();
        self.answer(course, 0, key, 1);
        ended
    }

    fn cached(&mut self, at: f64, route: usize, key: u64) {
        let place = (route, key);
        if let Some(until) = self.fetched.get(&place).copied().filter(|until| *until > at) {
            let mut course = Course::begin(at);
            self.overhead(&mut course);
            course.spend(Phase::Collapse, until - course.now());
            course.facts.cached = Some(Cached::Collapsed);
            return self.answer(course, route, key, 0);
        }
        if self.stored.get(&place).is_some_and(|until| *until > at) {
            let mut course = Course::begin(at);
            self.overhead(&mut course);
            course.facts.cached = Some(Cached::Hit);
            return self.answer(course, route, key, 0);
        }
        let ended = self.ask(at, route, key, None, Some(Cached::Miss));
        self.fetched.insert(place, ended);
        self.stored.insert(place, ended + self.ttl);
    }

    fn plain(&mut self, at: f64, route: usize, key: u64, trace: Option<Trace>) {
        self.ask(at, route, key, trace, None);
    }

    /// What every request costs the gateway.
    fn overhead(&mut self, course: &mut Course) {
        course.spend(Phase::Gateway, self.chance.around(0.03, 0.4));
        let busy = self.fault == Some(Fault::BusyGateway);
        let lag = match busy {
            true if self.chance.is(0.4 + 0.5 * self.much) => {
                self.chance.wait(8.0 + 30.0 * self.much)
            }
            // A neighbour now and then.
            _ if self.chance.is(0.02) => self.chance.between(0.1, 3.0),
            _ => 0.0,
        };
        course.spend(Phase::Lag, lag);
    }

    /// Asks the service; answers when it has ended.
    fn ask(
        &mut self,
        at: f64,
        route: usize,
        key: u64,
        trace: Option<Trace>,
        cached: Option<Cached>,
    ) -> f64 {
        let mut course = Course::begin(at);
        course.facts.cached = cached;
        course.facts.trace = trace.unwrap_or(Trace::OFF);
        self.overhead(&mut course);
        let server = self.choose();
        (course.facts.service, course.facts.server) = (Some(0), Some(server as u32));
        course.facts.attempts = 1;
        if self.fails(&mut course) {
            let ended = course.now();
            self.answer(course, route, key, 0);
            return ended;
        }
        self.connect(&mut course);
        self.serve(&mut course, server, route, key);
        let ended = course.now();
        self.answer(course, route, key, 1);
        ended
    }

    /// The less busy of two.
    fn choose(&mut self) -> usize {
        let (a, b) = (self.chance.below(self.servers.len()), self.chance.below(self.servers.len()));
        if self.servers[a].next() <= self.servers[b].next() { a } else { b }
    }

    /// Tries that fail; whether all of it did.
    fn fails(&mut self, course: &mut Course) -> bool {
        let share = match self.fault {
            Some(Fault::RetryStorm) => 0.25 + 0.35 * self.much,
            _ => 0.0005,
        };
        let mut tries = 1;
        while self.chance.is(share) {
            let takes = match self.shape {
                0 => self.chance.around(1.0, 0.3),
                1 => self.chance.around(30.0, 0.5),
                _ => self.chance.around(150.0, 0.3),
            };
            // The budget runs dry now and then.
            if tries == 3 || self.chance.is(0.3) {
                course.spend(Phase::Server, takes);
                course.facts.attempts = tries;
                course.facts.status = 503;
                if self.shape == 2 {
                    (course.facts.status, course.facts.fault) =
                        (504, Some(FaultKind::FirstByteTimeout));
                }
                return true;
            }
            course.spend(Phase::Retry, takes + self.chance.between(1.0, 20.0));
            tries += 1;
        }
        course.facts.attempts = tries;
        false
    }

    fn connect(&mut self, course: &mut Course) {
        let reused = match self.fault {
            Some(Fault::NoKeepAlive) => 0.25 - 0.25 * self.much,
            Some(Fault::SlowConnect) => 0.96 - 0.16 * self.much,
            _ => 0.985,
        };
        course.facts.reused = self.chance.is(reused);
        if course.facts.reused {
            return;
        }
        let far = if self.fault == Some(Fault::NoKeepAlive) { 2.0 + 25.0 * self.much } else { 0.3 };
        match (self.fault, self.shape) {
            (Some(Fault::SlowConnect), 0) => {
                course.spend(Phase::Resolve, self.chance.around(60.0 + 300.0 * self.much, 0.3));
            }
            (Some(Fault::SlowConnect), 1) => {
                let lost = if self.chance.is(0.1 + 0.4 * self.much) { 1_000.0 } else { 0.0 };
                course.spend(Phase::Connect, lost);
            }
            (Some(Fault::SlowConnect), _) => {
                course.spend(Phase::Tls, self.chance.around(80.0 + 200.0 * self.much, 0.3));
            }
            _ => {}
        }
        course.spend(Phase::Connect, self.chance.around(far, 0.3));
        if self.tls {
            course.spend(Phase::Tls, self.chance.around(far * 2.0 + 0.7, 0.3));
        }
    }

    fn serve(&mut self, course: &mut Course, server: usize, route: usize, key: u64) {
        let Route { median, sigma, .. } = self.routes[route];
        let much = self.much;
        let mut takes = self.chance.around(median, sigma) * self.speeds[server];
        if self.chance.is(self.odd) {
            takes *= 3.0;
        }
        match self.fault {
            Some(Fault::SlowServer) if server == 0 => takes *= 2.5 + 5.0 * much,
            Some(Fault::Stampede) if key == 7 && route == 0 => takes += 250.0 + 900.0 * much,
            Some(Fault::HeavyKeys) if key >= 3_000 => takes = takes * (5.0 + 10.0 * much) + 40.0,
            _ => {}
        }
        if self.fault == Some(Fault::SmallPool) {
            let begins = self.pool.serve(course.now(), takes + 0.5);
            let waits = begins - course.now();
            if self.shape == 0 && waits > 5.0 {
                (course.facts.status, course.facts.fault) = (503, Some(FaultKind::ServiceFull));
                return;
            }
            course.spend(Phase::Pool, waits);
        }
        let now = course.now();
        // A desk takes who comes in order, so queues are those of when the request came.
        let begins = now + self.servers[server].serve(course.at, takes) - course.at;
        let mut stands = 0.0;
        if self.fault == Some(Fault::Stalls) && server == 0 {
            let every = 1_000.0 + 3_000.0 * much;
            // It stands still for the first 200 ms of each.
            let into = begins % every;
            stands = if into < 200.0 { 200.0 - into } else { 0.0 };
        }
        let db = takes.min(4.0 * median) * self.db_share;
        let waits = self.db.serve(course.at, db) - course.at;
        let asks = begins + takes - db + stands;
        let answered = asks + waits + db;
        if self.tells_db {
            course.spend(Phase::Server, asks - now);
            course.spend(Phase::Db, answered - asks);
        } else {
            course.spend(Phase::Server, answered - now);
        }
        course.spend(Phase::Transfer, self.chance.around(0.05, 0.5));
    }

    /// The answer goes to the client.
    fn answer(&mut self, mut course: Course, route: usize, key: u64, attempts: u8) {
        let facts = &mut course.facts;
        facts.route = facts.route.or(Some(route as u16));
        facts.attempts = facts.attempts.max(attempts);
        facts.sent = self.chance.around(6_000.0, 0.8) as u64;
        if facts.status == 0 {
            facts.status = 200;
            // A few clients are far away.
            let mut write =
                if self.chance.is(0.01) { self.chance.between(1.0, 15.0) } else { 0.02 };
            if self.fault == Some(Fault::SlowClients) && self.chance.is(0.05 + 0.3 * self.much) {
                facts.sent = self.chance.around(600_000.0, 0.6) as u64;
                let megabits = self.chance.between(1.5, 20.0);
                write = facts.sent as f64 * 8.0 / megabits / 1_000.0;
            }
            course.spend(Phase::Write, write);
        }
        let method = self.routes.get(route).map_or(Method::Get, |route| route.method);
        let beside = Beside { key, method, ..Beside::default() };
        self.records.push(course.end(beside));
    }
}
