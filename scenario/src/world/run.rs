//! One history: what happens, to whom, one event after the other.

use super::World;
use super::agenda::{Agenda, Answer, Event, RequestId, TryId};
use super::door::Place;
use super::gateway::Gateway;
use super::machine::{Cancel, State, Taken};
use super::report::{End, Report, Seen, Work};
use balance::{Member, MemberId, Pool};
use base::{Deadline, Moment};
use fastrand::Rng;
use std::sync::Arc;
use std::time::Duration;

/// When it all begins: the process has run for a while.
const BEGINNING: Moment = Moment::from_nanos(3_600_000_000_000);
/// How long after the last arrival a history ends, whoever still waits.
const AFTERMATH: Duration = Duration::from_secs(30);

/// One history of a world, as far as it has come.
pub(super) struct Run<'w> {
    pub(super) world: &'w World,
    pub(super) agenda: Agenda,
    pub(super) gateways: Vec<Gateway>,
    pub(super) machines: Vec<State>,
    pub(super) requests: Vec<Request>,
    pub(super) tries: Vec<Try>,
    pub(super) report: Report,
    /// Requests that have not ended.
    open: usize,
    arrivals: Rng,
    work: Rng,
}

/// A request as its gateway has it; how it ended is in the report, by the same number.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) gateway: usize,
    /// Its tries, in the order they were made.
    pub(super) tries: Vec<TryId>,
    /// The servers of those.
    pub(super) tried: Vec<MemberId>,
    /// The one that was sent because the first took long.
    pub(super) hedge: Option<TryId>,
    /// The last try came to nothing in a way that tells of too much load.
    pub(super) late: bool,
    /// When its answer must be there, as far as its gateway knows.
    pub(super) by: Deadline,
    /// Its place before the gateway's limit.
    pub(super) place: Place,
}

/// One request at one server.
#[derive(Debug)]
pub(super) struct Try {
    pub(super) request: RequestId,
    pub(super) member: Arc<Member>,
    pub(super) machine: usize,
    pub(super) begun: Moment,
    /// The gateway waits for its answer.
    pub(super) open: bool,
    stage: Stage,
}

/// How far a server has come with a try.
#[derive(Clone, Copy, Debug)]
enum Stage {
    Waits,
    Works { since: Moment, late: Duration },
    Over,
}

impl<'w> Run<'w> {
    pub(super) fn new(world: &'w World, seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed);
        let all: Vec<usize> = (0..world.machines.len()).collect();
        let first = world.known.first().filter(|(from, _)| from.is_zero());
        let spots = world.spots(first.map_or(&all, |(_, known)| known));
        let gateway = |settings: &service::settings::Settings| {
            Gateway::new(settings.clone(), &spots, BEGINNING, rng.u64(..))
        };
        let mut run = Self {
            world,
            agenda: Agenda::new(BEGINNING),
            gateways: world.gateways.iter().map(gateway).collect(),
            machines: world.machines.iter().cloned().map(State::new).collect(),
            requests: Vec::new(),
            tries: Vec::new(),
            report: Report::default(),
            open: 0,
            arrivals: rng.fork(),
            work: rng.fork(),
        };
        run.note_arrival();
        run.agenda.note(Pool::TICK, Event::Tick);
        for (index, (from, _)) in world.known.iter().enumerate().filter(|(_, k)| !k.0.is_zero()) {
            run.agenda.note(*from, Event::Known(index));
        }
        run
    }

    /// Lets everything happen that will.
    pub(super) fn finish(mut self) -> Report {
        let end = BEGINNING + self.world.time + AFTERMATH;
        while let Some(event) = self.agenda.next(end) {
            self.happens(event);
            if self.open == 0 && self.now() >= self.world.time {
                break;
            }
        }
        let hedges = self.gateways.iter().filter_map(|gateway| gateway.hedge.as_ref());
        self.report.turned_off = hedges.map(|hedge| hedge.figures().turned_off).sum();
        self.report
    }

    /// What time it is, since the beginning.
    pub(super) fn now(&self) -> Duration {
        self.agenda.now.since(BEGINNING)
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Arrival => self.arrival(),
            Event::GiveUp(request) => self.give_up(request),
            Event::Finished(id) => self.finished(id),
            Event::Answer(id, answer) => self.answered(id, Some(answer)),
            Event::Hedge(request) => self.hedge(request),
            Event::Retry(request, at) => self.retry(request, at),
            Event::Waited(request) => self.waited(request),
            Event::TryTime(id) => self.answered(id, None),
            Event::Tick => self.tick(),
            Event::Known(index) => {
                let spots = self.world.spots(&self.world.known[index].1);
                let now = self.agenda.now;
                self.gateways.iter_mut().for_each(|gateway| gateway.pool.update(&spots, now));
            }
        }
    }

    fn note_arrival(&mut self) {
        let now = self.now();
        let after = self.world.clients.next(now, &mut self.arrivals);
        if now + after < self.world.time {
            self.agenda.note(after, Event::Arrival);
        }
    }

    fn arrival(&mut self) {
        self.note_arrival();
        let id = self.requests.len();
        self.requests.push(Request {
            gateway: self.arrivals.usize(..self.gateways.len()),
            tries: Vec::new(),
            tried: Vec::new(),
            hedge: None,
            late: false,
            by: self.world.clients.deadline(self.agenda.now),
            place: Place::Nowhere,
        });
        let came = self.now();
        self.report.requests.push(Seen { came, took: Duration::ZERO, end: End::Open });
        self.open += 1;
        if let Some(patience) = self.world.clients.patience {
            self.agenda.note(patience, Event::GiveUp(id));
        }
        self.admit(id);
    }

    fn give_up(&mut self, request: RequestId) {
        if self.is_open(request) {
            self.end(request, End::GaveUp);
        }
    }

    /// Has a request not ended?
    pub(super) fn is_open(&self, request: RequestId) -> bool {
        self.report.requests[request].end == End::Open
    }

    /// A request ends; what was still done for it is called off.
    pub(super) fn end(&mut self, request: RequestId, end: End) {
        let now = self.now();
        let seen = &mut self.report.requests[request];
        seen.took = now.saturating_sub(seen.came);
        seen.end = end;
        self.open -= 1;
        for id in std::mem::take(&mut self.requests[request].tries) {
            self.call_off(id);
        }
        self.leave(request, end);
    }

    /// A server is sent a try.
    pub(super) fn place(&mut self, request: RequestId, member: &Arc<Member>) -> TryId {
        let (id, now) = (self.tries.len(), self.now());
        let machine = usize::from(member.server.port); // see `World::spots`
        self.tries.push(Try {
            request,
            member: Arc::clone(member),
            machine,
            begun: self.agenda.now,
            open: true,
            stage: Stage::Waits,
        });
        let server = &mut self.machines[machine];
        let rtt = server.machine.rtt;
        match server.take(id, now) {
            Taken::Begun => self.begin(id),
            Taken::Waits => {}
            Taken::Fails(status, after) => {
                self.over(id, after + rtt, Answer::Failed(status));
            }
            Taken::Refused => self.over(id, rtt, Answer::Refused),
            Taken::Nothing => {
                self.tries[id].stage = Stage::Over;
                let time = self.gateways[self.requests[request].gateway].settings.first_byte_time;
                self.agenda.note(time, Event::TryTime(id));
            }
        }
        id
    }

    /// A server is through with a try.
    fn over(&mut self, id: TryId, after: Duration, answer: Answer) {
        self.tries[id].stage = Stage::Over;
        self.agenda.note(after, Event::Answer(id, answer));
    }

    /// A worker begins with a try.
    fn begin(&mut self, id: TryId) {
        let (now, machine) = (self.now(), self.tries[id].machine);
        let (takes, late) = self.machines[machine].work(now, &mut self.work);
        self.tries[id].stage = Stage::Works { since: self.agenda.now, late };
        self.agenda.note(takes, Event::Finished(id));
    }

    /// A worker has finished a try.
    fn finished(&mut self, id: TryId) {
        let Stage::Works { late, .. } = self.tries[id].stage else {
            return; // it was stopped
        };
        self.free(id);
        if self.tries[id].open {
            self.agenda.note(late, Event::Answer(id, Answer::Good));
        }
    }

    /// The worker of a try takes the next.
    fn free(&mut self, id: TryId) {
        let (at, now, tried) = (self.now(), self.agenda.now, &mut self.tries[id]);
        if let Stage::Works { since, .. } = tried.stage {
            let work = Work { at, took: now.since(since), for_somebody: tried.open };
            self.report.work.push(work);
        }
        tried.stage = Stage::Over;
        let machine = tried.machine;
        if let Some(next) = self.machines[machine].free() {
            self.begin(next);
        }
    }

    /// Nobody waits for a try any more; whether its server cares is the server's.
    fn call_off(&mut self, id: TryId) {
        if !self.tries[id].open {
            return;
        }
        self.close(id, balance::Outcome::Cancelled);
        let tried = &mut self.tries[id];
        let server = &mut self.machines[tried.machine];
        if server.machine.cancel == Cancel::Ignores {
            return;
        }
        match tried.stage {
            Stage::Waits => {
                tried.stage = Stage::Over;
                server.forget(id);
            }
            Stage::Works { .. } => self.free(id),
            Stage::Over => {}
        }
    }

    fn tick(&mut self) {
        let now = self.agenda.now;
        self.gateways.iter_mut().for_each(|gateway| gateway.pool.tick(now));
        self.agenda.note(Pool::TICK, Event::Tick);
    }
}
