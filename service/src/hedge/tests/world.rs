//! A simulated pool: ten servers of eight workers each, the less busy of two is asked, requests come
//! at random, answers take 20 ms (lognormal, σ 0.5), and some of them a stall longer.

use super::*;
use fastrand::Rng;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

const SERVERS: usize = 10;
const WORKERS: usize = 8;
const MS: f64 = 1e6;

#[derive(Clone, Copy, Debug)]
pub(super) struct World {
    pub(super) load: f64,
    /// Of a thousand answers, so many stall.
    pub(super) stalls: u32,
    /// For so many milliseconds.
    pub(super) stall: u32,
    /// A cancelled try frees its worker.
    pub(super) cancels: bool,
    pub(super) hedges: bool,
    pub(super) requests: usize,
    pub(super) extra: Share,
}

impl World {
    pub(super) const STALLS: Self = Self {
        load: 0.6,
        stalls: 20,
        stall: 1_000,
        cancels: false,
        hedges: true,
        requests: 60_000,
        extra: Share::percent(5),
    };
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) p50: f64,
    pub(super) p99: f64,
    pub(super) extra: f64,
    pub(super) turned_off: f64,
    pub(super) won: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    Delayed(usize),
    Done(usize),
}

struct Request {
    came: u64,
    tries: [Option<usize>; 2],
    answered: bool,
}

struct Try {
    request: usize,
    server: usize,
    begun: u64,
    takes: u64,
    works: bool,
    left: bool,
}

#[derive(Default)]
struct Server {
    busy: usize,
    queue: VecDeque<usize>,
    /// As the gateway counts.
    in_flight: u32,
}

struct Sim {
    world: World,
    rng: Rng,
    now: u64,
    events: BinaryHeap<Reverse<(u64, usize, Event)>>,
    servers: Vec<Server>,
    requests: Vec<Request>,
    tries: Vec<Try>,
    latencies: Vec<u64>,
    hedge: Hedge,
    common: Budget,
    sent: usize,
    order: usize,
}

pub(super) fn run(world: World, seed: u64) -> Measured {
    let mut sim = Sim {
        world,
        rng: Rng::with_seed(seed),
        now: 0,
        events: BinaryHeap::new(),
        servers: (0..SERVERS).map(|_| Server::default()).collect(),
        requests: Vec::with_capacity(world.requests),
        tries: Vec::with_capacity(world.requests),
        latencies: vec![u64::MAX; world.requests],
        hedge: Hedge::new(&settings::Hedge { extra: world.extra }),
        common: Budget::new(Share::percent(10), 3),
        sent: 0,
        order: 0,
    };
    sim.at(0, Event::Arrive);
    while let Some(Reverse((now, _, event))) = sim.events.pop() {
        sim.now = now;
        match event {
            Event::Arrive => sim.arrive(),
            Event::Delayed(request) => sim.delayed(request),
            Event::Done(tried) => sim.done(tried),
        }
    }
    sim.figures()
}

impl Sim {
    fn at(&mut self, when: u64, event: Event) {
        self.order += 1;
        self.events.push(Reverse((when, self.order, event)));
    }

    fn moment(&self) -> Moment {
        Moment::from_nanos(self.now)
    }

    fn arrive(&mut self) {
        let request = self.requests.len();
        self.requests.push(Request { came: self.now, tries: [None; 2], answered: false });
        if request + 1 < self.world.requests {
            let mean = 20.0 + f64::from(self.world.stalls * self.world.stall) / 1_000.0;
            let gap = mean * MS / ((SERVERS * WORKERS) as f64 * self.world.load);
            let wait = -(1.0 - self.rng.f64()).ln() * gap;
            self.at(self.now + nanos(wait), Event::Arrive);
        }
        let delay = self.hedge.delay(self.moment());
        let server = self.choose(None);
        self.ask(request, 0, server);
        self.common.deposit(self.moment());
        if let Ok(delay) = delay
            && self.world.hedges
        {
            self.at(self.now + delay.as_nanos() as u64, Event::Delayed(request));
        }
    }

    fn choose(&mut self, not: Option<usize>) -> usize {
        let mut one = || loop {
            let server = self.rng.usize(..SERVERS);
            if Some(server) != not {
                return server;
            }
        };
        let (a, b) = (one(), one());
        if self.servers[a].in_flight <= self.servers[b].in_flight { a } else { b }
    }

    fn ask(&mut self, request: usize, place: usize, server: usize) {
        let normal = (-2.0 * (1.0 - self.rng.f64()).ln()).sqrt()
            * (std::f64::consts::TAU * self.rng.f64()).cos();
        let mut takes = (20_f64.ln() - 0.125 + 0.5 * normal).exp();
        if self.rng.u32(..1_000) < self.world.stalls {
            takes += f64::from(self.world.stall);
        }
        let tried = self.tries.len();
        let takes = nanos(takes * MS);
        let begun = self.now;
        self.tries.push(Try { request, server, begun, takes, works: false, left: false });
        self.requests[request].tries[place] = Some(tried);
        self.servers[server].in_flight += 1;
        self.servers[server].queue.push_back(tried);
        self.work(server);
    }

    fn work(&mut self, server: usize) {
        while self.servers[server].busy < WORKERS
            && let Some(tried) = self.servers[server].queue.pop_front()
        {
            if self.tries[tried].left && self.world.cancels {
                continue;
            }
            self.servers[server].busy += 1;
            self.tries[tried].works = true;
            self.at(self.now + self.tries[tried].takes, Event::Done(tried));
        }
    }

    fn delayed(&mut self, request: usize) {
        let Request { answered: false, tries: [Some(first), _], .. } = self.requests[request]
        else {
            return;
        };
        let in_flight = self.servers.iter().map(|server| server.in_flight).sum();
        let load = PoolLoad { servers: SERVERS as u32, in_flight, limit: None, waiting: 0 };
        if self.hedge.fire(self.moment(), load, &self.common).is_ok() {
            self.sent += 1;
            let server = self.choose(Some(self.tries[first].server));
            self.ask(request, 1, server);
        }
    }

    fn done(&mut self, tried: usize) {
        let Try { request, server, begun, works, left, .. } = self.tries[tried];
        if works {
            self.tries[tried].works = false;
            self.servers[server].busy -= 1;
            self.work(server);
        }
        if left {
            return;
        }
        self.servers[server].in_flight -= 1;
        self.requests[request].answered = true;
        let Request { came, tries: [first, second], .. } = self.requests[request];
        self.latencies[request] = self.now - came;
        self.hedge.record(Duration::from_nanos(self.now - begun), Seen::Answered);
        let loser = if first == Some(tried) { second } else { first };
        let Some(loser) = loser else { return };
        let won = if first == Some(tried) { Won::First } else { Won::Second };
        self.hedge.ended(won);
        self.hedge
            .record(Duration::from_nanos(self.now - self.tries[loser].begun), Seen::Superseded);
        let server = self.tries[loser].server;
        self.tries[loser].left = true;
        self.servers[server].in_flight -= 1;
        if self.world.cancels && self.tries[loser].works {
            self.tries[loser].works = false;
            self.servers[server].busy -= 1;
            self.work(server);
        }
    }

    fn figures(mut self) -> Measured {
        let count = self.latencies.len() as f64;
        let mut kept = self.latencies.split_off(self.latencies.len() / 10);
        kept.sort_unstable();
        let percentile = |p: usize| kept[(kept.len() * p).div_ceil(100) - 1] as f64 / MS;
        let figures = self.hedge.figures();
        Measured {
            p50: percentile(50),
            p99: percentile(99),
            extra: self.sent as f64 / count,
            turned_off: figures.turned_off as f64,
            won: figures.won as f64 / figures.sent.max(1) as f64,
        }
    }
}

#[expect(clippy::cast_sign_loss, reason = "times are not negative")]
fn nanos(time: f64) -> u64 {
    time as u64
}
