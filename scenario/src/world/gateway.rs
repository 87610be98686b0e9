//! A gateway at work: the same decisions in the same order as in `service`, without the waiting.
//!
//! Choose, begin, send; send twice when the first answer is late; send again when it was bad; end.

use super::agenda::{Answer, Event, RequestId, TryId};
use super::report::{End, Sent};
use super::run::Run;
use balance::settings::Spot;
use balance::{Member, Nobody, Outcome, Pool, Reader, Wish};
use base::Moment;
use fastrand::Rng;
use service::settings::Settings;
use std::sync::Arc;

/// One gateway: what it is told, and what it has learned.
pub(super) struct Gateway {
    pub(super) settings: Settings,
    pub(super) pool: Pool,
    reader: Reader,
    rng: Rng,
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
        let reader = pool.reader();
        Self { settings, pool, reader, rng: Rng::with_seed(seed) }
    }

    fn choose(&mut self, wish: Wish<'_>, now: Moment) -> Result<Arc<Member>, Nobody> {
        self.pool.refresh(now);
        let choice = self.reader.load().pick(wish, now, &mut self.rng)?;
        Ok(Arc::clone(choice.member))
    }
}

impl Run<'_> {
    /// A request reaches its gateway.
    pub(super) fn admit(&mut self, request: RequestId) {
        self.send(request, Why::First);
    }

    /// A request has ended before its gateway's limit.
    pub(super) fn leave(&mut self, _request: RequestId, _end: End) {}

    fn send(&mut self, request: RequestId, why: Why) {
        let now = self.agenda.now;
        let gateway = &mut self.gateways[self.requests[request].gateway];
        let tried = &self.requests[request].tried;
        let may_probe = gateway.settings.retry.attempts > 0;
        let wish = Wish { hash: None, tried, may_probe };
        let member = match gateway.choose(wish, now) {
            Ok(member) => member,
            // There is no other: it has to be one that was tried, but not for a hedge.
            Err(Nobody::AllTried) if why == Why::Retry => {
                let wish = Wish { tried: &[], ..wish };
                let Ok(member) = gateway.choose(wish, now) else {
                    return self.end(request, End::Failed);
                };
                member
            }
            Err(_) if why == Why::Hedge => return,
            Err(_) => return self.end(request, End::Failed),
        };
        gateway.pool.begin(&member);
        let machine = usize::from(member.server.port);
        self.report.tries.push(Sent { at: self.now(), machine, first: why == Why::First });
        self.requests[request].tried.push(member.id);
        let id = self.place(request, &member);
        self.requests[request].tries.push(id);
        if let Some(time) = self.gateways[self.requests[request].gateway].settings.retry.try_time {
            self.agenda.note(time, Event::TryTime(id));
        }
    }

    /// A request still waits after the time in which nearly all are answered.
    pub(super) fn hedge(&mut self, request: RequestId) {
        if self.is_open(request) {
            self.report.hedges += 1;
            self.send(request, Why::Hedge);
        }
    }

    /// A request is sent again.
    pub(super) fn retry(&mut self, request: RequestId) {
        if self.is_open(request) {
            self.report.retries += 1;
            self.send(request, Why::Retry);
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
                Some(Answer::Failed(_)) => Outcome::Failed { hold: None },
                Some(Answer::Refused) | None => Outcome::Unanswered,
            },
        );
        let request = self.tries[id].request;
        if answer == Some(Answer::Good) {
            self.end(request, End::Answered);
        } else {
            self.failed(request, answer);
        }
    }

    /// A try failed: another one, if the request may have it and none is on its way.
    fn failed(&mut self, request: RequestId, answer: Option<Answer>) {
        self.requests[request].failed += 1;
        if self.requests[request].tries.iter().any(|id| self.tries[*id].open) {
            return; // a failure does not win
        }
        let gateway = &self.gateways[self.requests[request].gateway];
        let rules = &gateway.settings.retry;
        let may = match answer {
            Some(Answer::Failed(status)) => rules.statuses.contains(&status),
            _ => true,
        };
        if may && self.requests[request].failed <= rules.attempts {
            self.retry(request);
        } else {
            self.end(request, End::Failed);
        }
    }

    /// The gateway waits for a try no longer.
    pub(super) fn close(&mut self, id: TryId, outcome: Outcome) {
        let now = self.agenda.now;
        let tried = &mut self.tries[id];
        tried.open = false;
        let gateway = &self.gateways[self.requests[tried.request].gateway];
        gateway.pool.end(&tried.member, tried.begun, now, outcome);
    }
}
