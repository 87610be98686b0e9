//! The whole conversation with a service: let in, a server chosen, asked, asked again or asked twice.
//!
//! What is done here is decided elsewhere, in the order of this file: `admission` whether at all,
//! `deadline` whether there is time, `balance` where, `hedge` whether twice at once, `retry` whether
//! again. One budget stands behind the last two.

use crate::admission::Permit;
use crate::attempt::{Answered, Ask, attempt};
use crate::deadline::{self, Late};
use crate::endpoint::Endpoint;
use crate::hedge::Seen;
use crate::retry::{self, At, Next, Tried};
use crate::service::Service;
use crate::settings::Http;
use crate::shared::Shared;
use crate::told;
use balance::{MemberId, Outcome, Wish};
use base::{Deadline, Fault, FaultKind, FieldName, Moment, ResponseHead};
use monitor::facts::{Cause, Try};
use monitor::{Facts, Phase};
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;
use wire::Body;
use wire::kept::Kept;
use wire::timer::within;

pub(crate) type Answer = Result<Answered, Fault>;

/// How one try ended, and where.
pub(crate) struct Ended {
    pub(crate) endpoint: Rc<Endpoint>,
    pub(crate) answer: Answer,
    pub(crate) outcome: Outcome,
    /// The body once more, if it can be sent again.
    pub(crate) spare: Option<Body>,
}

/// What was found out about a request before its first try.
#[derive(Clone, Copy)]
pub(crate) struct Nature {
    /// Done twice is done once.
    pub(crate) may_repeat: bool,
    /// It speaks gRPC.
    pub(crate) grpc: bool,
}

/// How long a body may take to come before its request gives back its place.
const UPLOAD_TIME: Duration = Duration::from_millis(250);
/// Most bytes of an answer that nobody wants which are read, so that its connection can be kept …
const DISCARD_BYTES_MAX: u64 = 64 << 10;
/// … and how long that may take.
const DISCARD_TIME: Duration = Duration::from_secs(1);

impl Service {
    /// Asks the service.
    ///
    /// # Errors
    /// The last try's fault, or why none was made.
    ///
    /// # Cancel safety
    /// Dropping it cancels whatever is under way.
    pub async fn call(&self, ask: &mut Ask<'_>, facts: &mut Facts) -> Answer {
        let asked = Moment::recent(); // the exchange began in this same turn
        facts.asked = Some(asked);
        let shared = &*self.shared;
        // What was waited here is no time of the service's: a limit that took it for one would shrink
        // because it is in force, and not come back.
        let (permit, let_in) = if let Some(permit) = shared.admission.try_admit(ask.by, asked) {
            (permit, asked)
        } else {
            facts.timeline.enter(Phase::Queue, asked);
            let permit = Box::pin(shared.admission.admit(asked, ask.class, ask.by)).await?;
            let let_in = Moment::now();
            facts.timeline.resume(Phase::Gateway, let_in);
            (permit, let_in)
        };
        if ask.tells.is_some() {
            self.refuse_late(ask)?;
        }
        shared.budget.deposit(let_in);
        let (answer, permit) = if matches!(ask.body, Body::Empty) {
            (self.converse(ask, facts).await, Some(permit))
        } else {
            Box::pin(self.converse_with_body(ask, facts, permit)).await
        };
        let answered = Moment::recent(); // whoever noted the last try has read the clock
        // What its client took to send it is no time of the service's.
        let sent = ask.sent.as_ref().map_or(Some(let_in), |sent| sent.get());
        let took = answered.since(sent.unwrap_or(let_in));
        if let Some(permit) = permit {
            if sent.is_some() || answer.is_ok() {
                permit.ended(answered, took, is_loss(&answer, ask.hurried));
            }
            permit.release(answered);
        }
        if answer.is_ok() {
            facts.answered = Some(answered);
            self.meter().first_byte.record(answered.since(asked));
            shared.median.record(took);
        }
        answer
    }

    /// The same for a request with a body. One that is slow in coming gives its place back, or a few
    /// clients that send a byte now and then could keep all others out.
    async fn converse_with_body(
        &self,
        ask: &mut Ask<'_>,
        facts: &mut Facts,
        permit: Permit,
    ) -> (Answer, Option<Permit>) {
        let sent = Rc::new(Cell::new(None));
        ask.sent = Some(Rc::clone(&sent));
        let mut conversation = std::pin::pin!(self.converse(ask, facts));
        tokio::select! { biased;
            answer = &mut conversation => return (answer, Some(permit)),
            () = tokio::time::sleep(UPLOAD_TIME) => {}
        }
        if sent.get().is_some() {
            return (conversation.await, Some(permit));
        }
        permit.release(Moment::now());
        (conversation.await, None)
    }

    /// Refuses what could not be answered in time.
    fn refuse_late(&self, ask: &Ask<'_>) -> Result<(), Fault> {
        let Some(rules) = ask.tells else { return Ok(()) };
        let now = Moment::now();
        let left = ask.by.left(now);
        let median = self.shared.median.get();
        let Some(late) = self.shared.early.refuse(now, left, median, rules) else { return Ok(()) };
        let than = match late {
            Late::Least => "than deadline.least",
            Late::Median => "than every other answer takes",
        };
        let detail = format!("{left:?} left for {}, less {than}", self.settings.name);
        Err(Fault::new(FaultKind::DeadlineShort, detail))
    }

    /// One try, and whatever has to follow if it fails.
    async fn converse(&self, ask: &mut Ask<'_>, facts: &mut Facts) -> Answer {
        let nature = Nature {
            may_repeat: retry::may_repeat(ask.head),
            grpc: deadline::is_grpc(&ask.head.fields),
        };
        self.keep_body(ask, nature.may_repeat);
        let kept = matches!(ask.body, Body::Empty | Body::Kept(_));
        let may_probe = nature.may_repeat && kept && self.settings.retry.attempts > 0;
        let wish = Wish { hash: ask.hash, tried: &[], may_probe };
        let endpoint = self.choose(wish)?;
        let ended = if let Some((hedge, delay)) = self.hedge(ask, nature) {
            Box::pin(self.twice(endpoint, ask, facts, nature, (hedge, delay))).await
        } else {
            let spare = Spare::of(&ask.body);
            ask.try_by = self.try_by(ask.by, 1);
            let (answer, outcome) = self.one(&endpoint, ask, facts, nature.grpc, false).await;
            if self.settles(&answer, outcome) {
                return answer;
            }
            Ended { endpoint, answer, outcome, spare: spare.after(ask) }
        };
        if self.settles(&ended.answer, ended.outcome) {
            return ended.answer;
        }
        Box::pin(self.again(ended, ask, facts, nature)).await
    }

    /// Tries again, and again, as long as that is safe, of use and paid for.
    async fn again(
        &self,
        mut ended: Ended,
        ask: &mut Ask<'_>,
        facts: &mut Facts,
        nature: Nature,
    ) -> Answer {
        let mut tried: Vec<MemberId> = Vec::new();
        let mut redialled = false;
        loop {
            tried.push(ended.endpoint.member.id);
            let Some(body) = ended.spare.take() else { return ended.answer };
            let row = Row { tried: &tried, may_repeat: nature.may_repeat, redialled };
            let Next::Again { at, after, free } = self.decide(&ended, ask, facts, &row) else {
                return ended.answer;
            };
            let endpoint = match at {
                At::Same => Rc::clone(&ended.endpoint),
                At::Other => {
                    let wish = Wish { hash: ask.hash, tried: &tried, may_probe: false };
                    match self.choose(wish) {
                        Ok(endpoint) => endpoint,
                        Err(_nobody_else) => {
                            if !free {
                                self.shared.budget.restore(Moment::now());
                            }
                            return ended.answer;
                        }
                    }
                }
            };
            if let Ok(Answered::Response(unwanted)) = ended.answer {
                let by = Deadline::after(Moment::now(), DISCARD_TIME);
                tokio::task::spawn_local(discard(unwanted.body, DISCARD_BYTES_MAX, by));
            }
            facts.timeline.lost_try(Moment::now());
            if !after.is_zero() {
                tokio::time::sleep(after).await;
            }
            facts.timeline.enter(Phase::Gateway, Moment::now());
            self.meter().retries.add(1);
            redialled |= at == At::Same;
            let spare = Spare::of(&body);
            ask.body = body;
            ask.cause = Cause::Retry;
            ask.try_by = self.try_by(ask.by, facts.attempts.saturating_add(1).into());
            // On a connection other than the one that failed.
            let fresh = at == At::Same;
            let (answer, outcome) = self.one(&endpoint, ask, facts, nature.grpc, fresh).await;
            if self.settles(&answer, outcome) {
                return answer;
            }
            ended = Ended { endpoint, answer, outcome, spare: spare.after(ask) };
        }
    }

    /// Is there nothing to be tried again? What is no failure of a server (429) may be all the same.
    fn settles(&self, answer: &Answer, outcome: Outcome) -> bool {
        outcome == Outcome::Good
            && match answer {
                Ok(Answered::Response(response)) if response.head.status >= 400 => {
                    !self.settings.retry.statuses.contains(&response.head.status)
                }
                _ => true,
            }
    }

    /// What to do after a try that failed.
    fn decide(&self, ended: &Ended, ask: &Ask<'_>, facts: &Facts, row: &Row<'_>) -> Next {
        let now = Moment::now();
        let how = match &ended.answer {
            Err(fault) => retry::Ended::Fault(fault),
            Ok(Answered::Response(response)) => {
                let ResponseHead { status, fields, .. } = &response.head;
                retry::Ended::Answer { status: *status, fields }
            }
            Ok(Answered::Tunnel(..)) => return Next::Stop(retry::Why::Final),
        };
        let tried = Tried {
            ended: how,
            begun: false,
            tries: facts.attempts.into(),
            may_repeat: row.may_repeat,
            body_kept: true,
            // What was lost with a connection that others used too need not be this request's doing.
            reused: facts.reused,
            redialled: row.redialled,
            other: self.has_other(row.tried, now),
            left: ask.by.left(now),
            least: ask.tells.map_or(Duration::ZERO, |rules| rules.least),
            chance: self.chance(),
        };
        let shared = &*self.shared;
        retry::decide(&tried, &self.settings.retry, || shared.budget.withdraw(now))
    }

    /// One try at one server.
    pub(crate) async fn one(
        &self,
        endpoint: &Rc<Endpoint>,
        ask: &mut Ask<'_>,
        facts: &mut Facts,
        grpc: bool,
        fresh: bool,
    ) -> (Answer, Outcome) {
        let begun = Moment::recent();
        facts.server = Some(endpoint.member.id.0);
        facts.attempts = facts.attempts.saturating_add(1);
        facts.reused = false;
        endpoint.meter.requests.add(1);
        if let Some(rules) = ask.tells {
            deadline::write(ask.head, Some(ask.by.left(begun)), grpc, rules);
        }
        ask.tries = ask.tries.saturating_add(1);
        let number = ask.tries;
        if facts.trace.is_on() {
            ask.head.fields.set(FieldName::Traceparent, &facts.trace.text(number));
        }
        let turn = Turn::begin(&self.shared, Rc::clone(endpoint), ask.sent.clone());
        let answer = attempt(self, endpoint, ask, facts, fresh).await;
        let ended = Moment::now();
        facts.timeline.resume(Phase::Gateway, ended);
        let mut noted = Try {
            number,
            cause: ask.cause,
            server: endpoint.member.id.0,
            begun,
            ended,
            status: 0,
            fault: None,
            reused: facts.reused,
        };
        let outcome = match &answer {
            Ok(Answered::Response(response)) => {
                noted.status = response.head.status;
                if response.head.fields.has(FieldName::ServerTiming) {
                    let told = told::read(response.head.fields.all(FieldName::ServerTiming));
                    facts.timeline.fold(told.db, told.cache);
                }
                retry::outcome_of(response.head.status, &response.head.fields)
            }
            Ok(Answered::Tunnel(head, _)) => {
                noted.status = head.status;
                Outcome::Good
            }
            Err(fault) => {
                endpoint.meter.failures.add(1);
                noted.fault = Some(fault.kind);
                // Whoever gives a server no time learns nothing of it, or strangers in a hurry could
                // have every server taken for dead.
                let hurried = ask.hurried && fault.kind == FaultKind::TotalTimeout;
                if hurried { Outcome::Cancelled } else { retry::outcome_of_fault(fault) }
            }
        };
        turn.end(outcome);
        facts.note_try(noted);
        (answer, outcome)
    }

    /// Keeps the body as it is sent, where the request may have to be sent again.
    fn keep_body(&self, ask: &mut Ask<'_>, may_repeat: bool) {
        let retry = &self.settings.retry;
        if matches!(ask.body, Body::Empty | Body::Kept(_)) || retry.attempts == 0 {
            return;
        }
        if ask.expects || ask.upgrades {
            return;
        }
        // A stream that a server refuses may have taken part of the body with it, whatever the method.
        let refusable = match self.settings.http {
            Http::One => false,
            Http::Two => true,
            Http::Auto => self.shared.tls.is_some(),
        };
        let fits = ask.framing.length().is_none_or(|n| n <= retry.body_max.0);
        let bytes_max = if fits && (may_repeat || refusable) {
            retry.body_max.as_usize()
        } else if ask.body.spare().is_none() {
            // Until its first byte is read it can go elsewhere: a server may not let us connect.
            0
        } else {
            return;
        };
        let body = std::mem::replace(&mut ask.body, Body::Empty);
        ask.body = Body::Kept(Box::new(Kept::new(body, ask.framing, bytes_max)));
    }

    /// When the try of this number (from 1) must have been answered.
    pub(crate) fn try_by(&self, by: Deadline, number: u32) -> Deadline {
        let retry = &self.settings.retry;
        if retry.try_time.is_none() {
            return by;
        }
        let left = (retry.attempts + 1).saturating_sub(number);
        retry::try_by(Moment::recent(), by, retry, left)
    }
}

/// What there will be of a body after a try that failed.
pub(crate) struct Spare {
    again: Option<Body>,
    is_empty: bool,
}

impl Spare {
    pub(crate) fn of(body: &Body) -> Self {
        Self { again: body.spare(), is_empty: matches!(body, Body::Empty) }
    }

    /// The body once more: kept, or never taken, since no connection could be made.
    pub(crate) fn after(self, ask: &mut Ask<'_>) -> Option<Body> {
        if !self.is_empty && !matches!(ask.body, Body::Empty) {
            return Some(std::mem::replace(&mut ask.body, Body::Empty));
        }
        self.again.filter(Body::is_untouched)
    }
}

/// What was tried for a request so far.
struct Row<'a> {
    tried: &'a [MemberId],
    may_repeat: bool,
    redialled: bool,
}

/// Did the service not keep up: no answer in time, or one that says that it is overloaded?
fn is_loss(answer: &Answer, hurried: bool) -> bool {
    match answer {
        Err(fault) => match fault.kind {
            FaultKind::ConnectTimeout | FaultKind::FirstByteTimeout => true,
            FaultKind::TotalTimeout => !hurried,
            _ => false,
        },
        Ok(Answered::Response(response)) => matches!(response.head.status, 503 | 504),
        Ok(Answered::Tunnel(..)) => false,
    }
}

/// Reads an answer that nobody wants to its end, so that its connection can be used again; lets go of
/// it if that takes more bytes or longer.
pub async fn discard(mut body: Body, bytes_max: u64, by: Deadline) {
    let mut read = 0;
    let _late = within(by, async {
        while let Ok(n @ 1..) = poll_fn(|cx| body.poll_data(cx)).await {
            body.used(n);
            read += n as u64;
            if read > bytes_max {
                return;
            }
        }
    })
    .await;
}

/// One request at one server, as balancing counts it: dropped before its end, it was cancelled.
struct Turn<'a> {
    shared: &'a Shared,
    endpoint: Rc<Endpoint>,
    begun: Moment,
    /// When its body was out, if it has one.
    sent: Option<Rc<Cell<Option<Moment>>>>,
    outcome: Outcome,
}

impl<'a> Turn<'a> {
    fn begin(
        shared: &'a Shared,
        endpoint: Rc<Endpoint>,
        sent: Option<Rc<Cell<Option<Moment>>>>,
    ) -> Self {
        shared.pool.begin(&endpoint.member);
        if let Some(sent) = &sent {
            sent.set(None);
        }
        Self { shared, endpoint, begun: Moment::recent(), sent, outcome: Outcome::Cancelled }
    }

    /// From when on the server had all that it needs. A server answers at once whom it does not let
    /// finish; what never came whole and was not answered says nothing of it.
    fn asked(&self, now: Moment) -> Moment {
        match self.sent.as_ref().map(|sent| sent.get()) {
            Some(Some(sent)) => sent,
            Some(None) if self.outcome == Outcome::Cancelled => now,
            Some(None) | None => self.begun,
        }
    }

    fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let now = Moment::now();
        let asked = self.asked(now);
        self.shared.pool.end(&self.endpoint.member, asked, now, self.outcome);
        if let Some(hedge) = &self.shared.hedge {
            match self.outcome {
                Outcome::Good => hedge.record(now.since(asked), Seen::Answered),
                Outcome::Cancelled => hedge.record(now.since(asked), Seen::Superseded),
                Outcome::Failed { .. } | Outcome::Unconnected => {}
            }
        }
    }
}
