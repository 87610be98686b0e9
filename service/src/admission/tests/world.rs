//! A service of some workers in simulated time, behind a door; clients that give up after a second.

use super::{Discipline, Told, at};
use crate::admission::{Admission, Permit};
use crate::settings::{Class, LimitMode};
use base::{Deadline, Fault, Moment};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

const SECOND: u64 = 1_000_000_000;
const PATIENCE: u64 = SECOND;

/// What happens: load by second, in parts of what the service can do, and what its work costs.
pub(super) struct Script {
    pub(super) seconds: u64,
    /// From which second on: load, and mean seconds of work.
    pub(super) phases: &'static [(u64, f64, f64)],
    /// The seconds that are looked at for the share answered in time.
    pub(super) overload: (u64, u64),
}

/// Research §J: 0.7 of what ten workers of 50 ms can do, 1.5 from second 10 to 30.
pub(super) const OVERLOAD: Script = Script {
    seconds: 60,
    phases: &[(0, 0.7, 0.05), (10, 1.5, 0.05), (30, 0.7, 0.05)],
    overload: (10, 30),
};

/// What came of it.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    /// The part of the requests of the overload that was answered in time.
    pub(super) in_time: f64,
    /// The part of the work that was for clients who had gone.
    pub(super) wasted: f64,
    /// Seconds from the end of the overload to the last request that was not answered in time.
    pub(super) recovered: f64,
    /// The limit, as a mean from five seconds into the overload.
    pub(super) limit: f64,
    /// Milliseconds in which 99 of 100 answers in time came, in the overload.
    pub(super) p99: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    Arrive,
    Finish(u64),
    GiveUp(u64),
}

type Admitting = Pin<Box<dyn Future<Output = Result<Permit, Fault>>>>;

enum Stage {
    Waits(Admitting),
    /// In the service since.
    In(Permit, u64),
}

struct Request {
    came: u64,
    stage: Stage,
}

struct Ring(u64, Arc<Mutex<Vec<u64>>>);

impl Wake for Ring {
    fn wake(self: Arc<Self>) {
        self.1.lock().unwrap().push(self.0);
    }
}

pub(super) struct World {
    pub(super) door: Arc<Admission>,
    rng: fastrand::Rng,
    now: u64,
    events: BinaryHeap<Reverse<(u64, u64, Event)>>,
    turn: u64,
    requests: HashMap<u64, Request>,
    woken: Arc<Mutex<Vec<u64>>>,
    workers: usize,
    busy: usize,
    line: VecDeque<u64>,
    work: f64,
    /// Seconds at which limits were seen, and what they were.
    pub(super) limits: Vec<(f64, u32)>,
}

impl World {
    pub(super) fn new(queue: Discipline, seed: u64) -> Self {
        let told = Told { mode: LimitMode::Enforce, queue, ..Told::standard() };
        Self::behind(Admission::new(&told, None), seed)
    }

    pub(super) fn behind(door: Arc<Admission>, seed: u64) -> Self {
        Self {
            door,
            rng: fastrand::Rng::with_seed(seed),
            now: 0,
            events: BinaryHeap::new(),
            turn: 0,
            requests: HashMap::new(),
            woken: Arc::default(),
            workers: 10,
            busy: 0,
            line: VecDeque::new(),
            work: 0.05,
            limits: Vec::new(),
        }
    }

    #[expect(clippy::cast_sign_loss, reason = "the logarithm of less than 1 is negative")]
    fn exponential(&mut self, mean: f64) -> u64 {
        (-(1.0 - self.rng.f64()).ln() * mean * 1e9) as u64
    }

    fn plan(&mut self, after: u64, event: Event) {
        self.turn += 1;
        self.events.push(Reverse((self.now + after, self.turn, event)));
    }

    pub(super) fn run(&mut self, script: &Script) -> Figures {
        let (begin, end) = (script.overload.0 * SECOND, script.overload.1 * SECOND);
        let (mut came, mut good, mut done, mut wasted) = (0_u64, 0_u64, 0_f64, 0_f64);
        let mut latencies = Vec::new();
        let mut last_bad = end;
        self.plan(0, Event::Arrive);
        while let Some(Reverse((now, turn, event))) = self.events.pop() {
            self.now = now;
            match event {
                Event::Arrive => {
                    let second = now / SECOND;
                    if second >= script.seconds {
                        break;
                    }
                    let phase = script.phases.iter().rev().find(|phase| phase.0 <= second).unwrap();
                    self.work = phase.2;
                    // Load is told in parts of what the service could do at first.
                    let rate = phase.1 * self.workers as f64 / script.phases[0].2;
                    let next = self.exponential(1.0 / rate);
                    self.plan(next, Event::Arrive);
                    came += u64::from((begin..end).contains(&now));
                    self.limits.push((now as f64 / 1e9, self.door.standing().limit));
                    if !self.arrive(turn) {
                        last_bad = last_bad.max(now);
                    }
                }
                Event::Finish(id) => {
                    self.busy -= 1;
                    let request = self.requests.remove(&id);
                    done += 1.0;
                    if let Some(request) = request {
                        let Stage::In(permit, since) = request.stage else { panic!() };
                        let moment = Moment::from_nanos(now);
                        permit.ended(moment, Duration::from_nanos(now - since), false);
                        permit.release(moment);
                        if (begin..end).contains(&request.came) {
                            good += 1;
                            latencies.push((now - request.came) as f64 / 1e6);
                        }
                    } else {
                        wasted += 1.0;
                    }
                    self.employ();
                }
                Event::GiveUp(id) => {
                    if let Some(request) = self.requests.remove(&id) {
                        last_bad = last_bad.max(request.came);
                        if let Stage::In(permit, _) = request.stage {
                            // The service does not notice, and works for nobody.
                            permit.release(Moment::from_nanos(now));
                        }
                    }
                }
            }
            self.attend();
        }
        latencies.sort_by(f64::total_cmp);
        let p99 = latencies.get(latencies.len() * 99 / 100).copied().unwrap_or_default();
        let settled = (script.overload.0 + 5) as f64..script.overload.1 as f64;
        let seen = self.limits.iter().filter(|(second, _)| settled.contains(second));
        let (sum, n) = seen.fold((0.0, 0.0), |(sum, n), (_, l)| (sum + f64::from(*l), n + 1.0));
        Figures {
            in_time: good as f64 / came as f64,
            wasted: wasted / done,
            recovered: (last_bad - end) as f64 / 1e9,
            limit: sum / n,
            p99,
        }
    }

    /// Answers whether it was not refused at once.
    fn arrive(&mut self, id: u64) -> bool {
        let (door, now) = (Arc::clone(&self.door), Moment::from_nanos(self.now));
        let future = async move { door.admit(now, Class::Normal, Deadline::NEVER).await };
        let request = Request { came: self.now, stage: Stage::Waits(Box::pin(future)) };
        self.requests.insert(id, request);
        self.plan(PATIENCE, Event::GiveUp(id));
        self.poll(id)
    }

    fn poll(&mut self, id: u64) -> bool {
        let Some(request) = self.requests.get_mut(&id) else { return true };
        let Stage::Waits(future) = &mut request.stage else { return true };
        let waker = Waker::from(Arc::new(Ring(id, Arc::clone(&self.woken))));
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Pending => true,
            Poll::Ready(Err(_)) => {
                self.requests.remove(&id);
                false
            }
            Poll::Ready(Ok(permit)) => {
                request.stage = Stage::In(permit, self.now);
                self.line.push_back(id);
                self.employ();
                true
            }
        }
    }

    fn employ(&mut self) {
        while self.busy < self.workers
            && let Some(id) = self.line.pop_front()
        {
            self.busy += 1;
            let work = self.exponential(self.work);
            self.plan(work, Event::Finish(id));
        }
    }

    fn attend(&mut self) {
        loop {
            let woken = std::mem::take(&mut *self.woken.lock().unwrap());
            if woken.is_empty() {
                return;
            }
            for id in woken {
                self.poll(id);
            }
        }
    }
}

/// Brings a door to the limit of a service that is kept busy.
pub(super) fn settle(door: &Arc<Admission>) {
    let script =
        Script { seconds: 20, phases: &[(0, 0.7, 0.05), (5, 1.5, 0.05)], overload: (5, 20) };
    World::behind(Arc::clone(door), 1).run(&script);
    assert!(door.standing().limit < 100, "from {:?}", at(0));
}

/// The mean of a figure over seeds, its least and its most.
fn spread(all: &[Figures], get: fn(&Figures) -> f64) -> (f64, f64, f64) {
    let column = || all.iter().map(get);
    let mean = column().sum::<f64>() / all.len() as f64;
    (mean, column().fold(f64::MAX, f64::min), column().fold(f64::MIN, f64::max))
}

/// The table of `research/gateway-features.md` §B7 with our own code; `SEEDS=100` and `--nocapture` for
/// more of it.
#[test]
fn disciplines_under_overload() {
    let seeds = std::env::var("SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(12);
    for (queue, in_time) in [
        (Discipline::AdaptiveLifo, 0.64..0.70),
        (Discipline::CoDel, 0.62..0.70),
        // It answers those first who have waited as long as they can bear.
        (Discipline::Fifo, 0.0..0.3),
    ] {
        let all: Vec<Figures> =
            (0..seeds).map(|seed| World::new(queue, seed).run(&OVERLOAD)).collect();
        let spread = |get| spread(&all, get);
        println!("{queue:?}, mean, least and most of {seeds} seeds:");
        println!("  in time   {:.3?}", spread(|f| f.in_time));
        println!("  wasted    {:.4?}", spread(|f| f.wasted));
        println!("  recovered {:.2?} s", spread(|f| f.recovered));
        println!("  limit     {:.1?}", spread(|f| f.limit));
        println!("  p99       {:.0?} ms", spread(|f| f.p99));
        assert!(in_time.contains(&spread(|f| f.in_time).0), "{queue:?}");
        let wasted = spread(|f| f.wasted).0;
        assert!(wasted <= 0.02 || queue == Discipline::Fifo, "{queue:?}: {wasted}");
    }
}
