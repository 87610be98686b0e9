//! A gateway at work: the decisions of `balance` and `service` in the order in which a request meets
//! them, without the waiting between.
//!
//! Let through, choose, begin, send; send twice when the first answer is late; send again when it was
//! bad; end.

use super::agenda::{Answer, Event, RequestId, TryId};
use super::door::{Door, Entry, Place};
use super::report::{End, Sent};
use super::run::Run;
use balance::settings::Spot;
use balance::{Condition, Member, Nobody, Outcome, Pool, Reader, Wish};
use base::{Deadline, Fault, FaultKind, Fields, Moment, Replay};
use fastrand::Rng;
use service::hedge::{PoolLoad, Seen, Won};
use service::retry::{At, Ended, Next, Tried, decide};
use service::settings::{Deadlines, Settings};
use service::{Budget, Hedge};
use std::sync::Arc;

/// One gateway: what it is told, and what it has learned.
pub(super) struct Gateway {
    pub(super) settings: Settings,
    pub(super) pool: Pool,
    pub(super) hedge: Option<Hedge>,
    reader: Reader,
    rng: Rng,
    budget: Budget,
    door: Door,
}

/// Why a try is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    First,
    Hedge,
    Retry,
}

impl Gateway {
    pub(super) fn new(settings: Settings, spots: &[Spot], now: Moment, seed: u64) -> Self {
        let pool = Pool::new(settings.balance.clone(), spots, None, now);
        Self {
            reader: pool.reader(),
            pool,
            hedge: settings.hedge.as_ref().map(Hedge::new),
            rng: Rng::with_seed(seed),
            budget: Budget::new(settings.retry.budget, settings.retry.reserve),
            door: Door::new(settings.limit.clone()),
            settings,
        }
    }

    fn choose(&mut self, wish: Wish<'_>, now: Moment) -> Result<Arc<Member>, Nobody> {
        self.pool.refresh(now);
        let choice = self.reader.load().pick(wish, now, &mut self.rng)?;
        Ok(Arc::clone(choice.member))
    }

    /// May the request be sent twice now?
    fn may_hedge(&self, now: Moment) -> bool {
        let Some(hedge) = &self.hedge else {
            return false;
        };
        let view = self.pool.view();
        let is_up = |member: &&Arc<Member>| member.condition(now) == Condition::Up;
        let load = PoolLoad {
            servers: view.members().iter().filter(is_up).count() as u32,
            in_flight: view.members().iter().map(|member| member.in_flight()).sum(),
            limit: self.door.limit(),
            waiting: self.door.waiting() as u32,
        };
        hedge.fire(now, load, &self.budget).is_ok()
    }
}

impl Run<'_> {
    /// A request reaches its gateway.
    pub(super) fn admit(&mut self, request: RequestId) {
        let (now, by) = (self.agenda.now, self.requests[request].by);
        let gateway = &mut self.gateways[self.requests[request].gateway];
        match gateway.door.enter(request, now, by) {
            Entry::Through(place) => self.through(request, place),
            Entry::Shed => self.end(request, End::Shed),
            Entry::Waits(key, time, evicted) => {
                self.requests[request].place = Place::Queue(key);
                self.agenda.note(time, Event::Waited(request));
                if let Some(evicted) = evicted {
                    self.end(evicted, End::Shed);
                }
                self.turns(self.requests[request].gateway);
            }
        }
    }

    /// A request has waited at the door for as long as it may.
    pub(super) fn waited(&mut self, request: RequestId) {
        if matches!(self.requests[request].place, Place::Queue(_)) {
            self.end(request, End::Shed);
        }
    }

    /// A request that has ended leaves the door.
    pub(super) fn leave(&mut self, request: RequestId, end: End) {
        let now = self.agenda.now;
        let gone = &mut self.requests[request];
        let (index, place) = (gone.gateway, std::mem::replace(&mut gone.place, Place::Nowhere));
        let told = match end {
            End::Answered => Some(false),
            // Whoever had a deadline was late; whoever just left tells nothing.
            End::GaveUp if gone.by != Deadline::NEVER => Some(true),
            End::Failed if gone.late => Some(true),
            _ => None,
        };
        self.gateways[index].door.leave(place, now, told);
        self.turns(index);
    }

    /// Whoever waits at a door goes on, as far as the limit allows.
    fn turns(&mut self, gateway: usize) {
        if self.gateways[gateway].door.waiting() == 0 {
            return;
        }
        let turns = self.gateways[gateway].door.turns(self.agenda.now);
        for (request, place) in turns.through {
            self.through(request, place);
        }
        for request in turns.shed {
            self.requests[request].place = Place::Nowhere;
            self.end(request, End::Shed);
        }
    }

    /// A request is let through.
    fn through(&mut self, request: RequestId, place: Place) {
        let now = self.agenda.now;
        self.requests[request].place = place;
        let gateway = &self.gateways[self.requests[request].gateway];
        gateway.budget.deposit(now);
        let delay = gateway.hedge.as_ref().and_then(|hedge| hedge.delay(now).ok());
        self.send(request, Why::First);
        if let Some(delay) = delay {
            self.agenda.note(delay, Event::Hedge(request));
        }
    }

    /// Chooses a server and sends the request there.
    fn send(&mut self, request: RequestId, why: Why) {
        let (now, asked) = (self.agenda.now, &self.requests[request]);
        let gateway = &mut self.gateways[asked.gateway];
        if why == Why::Hedge && !gateway.may_hedge(now) {
            return;
        }
        let wish = Wish { hash: None, tried: &asked.tried, may_probe: why == Why::First };
        match gateway.choose(wish, now) {
            Ok(member) => self.ask(request, why, &member),
            // The first try is still on its way.
            Err(_) if why == Why::Hedge => {}
            Err(_) => self.end(request, End::Failed),
        }
    }

    /// Sends a request to a server.
    fn ask(&mut self, request: RequestId, why: Why, member: &Arc<Member>) {
        let gateway = &self.gateways[self.requests[request].gateway];
        gateway.pool.begin(member);
        let time = gateway.settings.retry.try_time;
        let machine = usize::from(member.server.port);
        self.report.tries.push(Sent { at: self.now(), machine, first: why == Why::First });
        match why {
            Why::First => {}
            Why::Hedge => self.report.hedges += 1,
            Why::Retry => self.report.retries += 1,
        }
        let id = self.place(request, member);
        let asked = &mut self.requests[request];
        asked.tried.push(member.id);
        asked.tries.push(id);
        asked.hedge = if why == Why::Hedge { Some(id) } else { asked.hedge };
        if let Some(time) = time {
            self.agenda.note(time, Event::TryTime(id));
        }
    }

    /// A request may still wait after the time in which nearly all are answered.
    pub(super) fn hedge(&mut self, request: RequestId) {
        let asked = &self.requests[request];
        if self.is_open(request) && asked.tries.len() == 1 && self.tries[asked.tries[0]].open {
            self.send(request, Why::Hedge);
        }
    }

    /// A request is sent again.
    pub(super) fn retry(&mut self, request: RequestId, at: At) {
        if !self.is_open(request) {
            return;
        }
        match self.requests[request].tries.last() {
            Some(last) if at == At::Same => {
                let member = Arc::clone(&self.tries[*last].member);
                self.ask(request, Why::Retry, &member);
            }
            _ => self.send(request, Why::Retry),
        }
    }

    /// A try is answered, or has taken too long.
    pub(super) fn answered(&mut self, id: TryId, answer: Option<Answer>) {
        if !self.tries[id].open {
            return;
        }
        self.close(
            id,
            match answer {
                Some(Answer::Good) => Outcome::Good,
                Some(Answer::Failed(_)) | None => Outcome::Failed { hold: None },
                Some(Answer::Refused) => Outcome::Unconnected,
            },
        );
        let request = self.tries[id].request;
        let asked = &self.requests[request];
        if answer != Some(Answer::Good) {
            return self.failed(request, answer);
        }
        if let (Some(hedge), Some(second)) = (&self.gateways[asked.gateway].hedge, asked.hedge) {
            let won = if second == id { Won::Second } else { Won::First };
            hedge.ended(won);
        }
        self.end(request, End::Answered);
    }

    /// A try failed: another one, if the request may have it and none is on its way.
    fn failed(&mut self, request: RequestId, answer: Option<Answer>) {
        let now = self.agenda.now;
        let asked = &mut self.requests[request];
        asked.late = matches!(answer, None | Some(Answer::Failed(429 | 503)));
        if asked.tries.iter().any(|id| self.tries[*id].open) {
            return; // a failure does not win
        }
        let gateway = &mut self.gateways[asked.gateway];
        let (fault, fields) = (fault_of(answer), Fields::default());
        let ended = match answer {
            Some(Answer::Failed(status)) => Ended::Answer { status, fields: &fields },
            _ => Ended::Fault(&fault),
        };
        let view = gateway.pool.view();
        let is_other = |member: &&Arc<Member>| {
            let condition = member.condition(now);
            !asked.tried.contains(&member.id)
                && !matches!(condition, Condition::Dead { .. } | Condition::Down)
        };
        let other = view.members().iter().any(|member| is_other(&member));
        let tried = Tried {
            ended,
            begun: false,
            tries: asked.tries.len() as u32,
            may_repeat: true,
            body_kept: true,
            reused: false,
            redialled: false,
            other,
            left: asked.by.left(now),
            least: Deadlines::standard().least,
            chance: gateway.rng.f64(),
        };
        match decide(&tried, &gateway.settings.retry, || gateway.budget.withdraw(now)) {
            Next::Again { at, after, .. } => self.agenda.note(after, Event::Retry(request, at)),
            Next::Stop(_) => self.end(request, End::Failed),
        }
    }

    /// The gateway waits for a try no longer.
    pub(super) fn close(&mut self, id: TryId, outcome: Outcome) {
        let now = self.agenda.now;
        let tried = &mut self.tries[id];
        tried.open = false;
        let gateway = &self.gateways[self.requests[tried.request].gateway];
        gateway.pool.end(&tried.member, tried.begun, now, outcome);
        let seen = match outcome {
            Outcome::Good => Seen::Answered,
            Outcome::Cancelled => Seen::Superseded,
            Outcome::Failed { .. } | Outcome::Unconnected => return,
        };
        if let Some(hedge) = &gateway.hedge {
            hedge.record(now.since(tried.begun), seen);
        }
    }
}

/// The fault of a try without an answer.
fn fault_of(answer: Option<Answer>) -> Fault {
    if answer == Some(Answer::Refused) {
        return Fault::new(FaultKind::Unreachable, "refused").replay(Replay::Always);
    }
    Fault::new(FaultKind::FirstByteTimeout, "silent").replay(Replay::IfIdempotent)
}
