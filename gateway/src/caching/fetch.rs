//! One fetch for everybody who wants the same.
//!
//! Whoever comes first starts a task that leads: it looks into the tiers behind memory, asks the
//! service, and tells all who wait. It belongs to nobody's connection, so that a client that leaves
//! takes nothing from the others. What only the client that caused it may have (an answer of its
//! own, interim responses, a fault with its cause) goes to it through a [`Slot`].

use super::settle::{self, Aim, Settled};
use super::{
    CONDITIONS, Plan, answer, crossed, forwarded, is_in_doubt, place, put_age, put_status, query,
    stale, tiers,
};
use crate::forward;
use crate::house::House;
use crate::path::Exchange;
use crate::shadow;
use crate::steering::Steering;
use base::{Deadline, Fault, Framing, Moment, RequestHead, ResponseHead, Wall};
use cache::Behind;
use cache::entry::{Entry, HOLD_OFF, Holding};
use cache::fill::{Joined, Lead, Outcome, Waiter};
use cache::policy::{self, CacheStatus, Reason, Verdict};
use cache::settings::Rules;
use cache::stamps::Standing;
use monitor::facts::Cause;
use monitor::{Cached, Facts, Phase, Trace};
use service::Ask;
use settings::Route;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Waker};
use wire::content::Reader;
use wire::timer::within;
use wire::{Body, Response};

/// How often a request looks again before it goes by itself: each time it had waited for an answer
/// that turned out to be a variant for others.
const ROUNDS_MAX: usize = 3;

/// What came of waiting.
pub enum Fetched {
    /// An answer.
    Answer(Box<Response>),
    /// It must ask for itself, whoever else does.
    Alone,
    /// Look again: there is something new.
    Again,
}

/// An answer that is one client's alone and why, or the fault with its cause.
type Private = Result<(Response, Option<Reason>), Fault>;

/// What the task that leads has for the client that caused it.
#[derive(Default)]
struct Slot {
    private: RefCell<Option<Private>>,
    facts: RefCell<Option<Facts>>,
    reader: RefCell<Option<Reader>>,
    own: RefCell<Option<ResponseHead>>,
    tier: Cell<Option<Behind>>,
    interims: RefCell<VecDeque<ResponseHead>>,
    waker: RefCell<Option<Waker>>,
}

impl Slot {
    fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// Fetches, or waits for whoever does.
///
/// # Errors
/// What the service's fault was.
///
/// # Cancel safety
/// Nothing is lost by dropping it: the fetch goes on for others and for the store.
pub async fn fetch(
    house: &Rc<House>,
    exchange: &mut Exchange<'_>,
    route: &Route,
    plan: Plan,
    round: usize,
) -> Result<Fetched, Fault> {
    if plan.alone {
        return alone(house, exchange, route, plan).await.map(Box::new).map(Fetched::Answer);
    }
    let rules = &route.cache;
    let (stored, reason) = (plan.entry.clone(), plan.reason);
    let mut waits = None;
    let (waiter, slot) = match house.snapshot.cache.join(plan.variant, &place(house, &plan)) {
        Joined::Waits(waiter) => {
            waits = Some(plan);
            (waiter, None)
        }
        Joined::Leads(lead, waiter) => {
            let slot = Rc::new(Slot::default());
            let head = exchange.head.copied();
            let job = job(house, exchange, route, (head, plan));
            tokio::task::spawn_local(lead_on(job, lead, Some(Rc::clone(&slot))));
            (waiter, Some(slot))
        }
    };
    let doubted = is_in_doubt(house);
    let spare = stored.filter(|entry| !policy::is_failure(entry.head.status)).filter(|entry| {
        let query = query(&exchange.head, exchange.framing);
        // A service that is slow is no reason to serve what may have been purged.
        !doubted
            && policy::may_serve_on_error(&entry.life, &query, rules, Moment::recent().wall_ms())
    });
    let now = Moment::now();
    // Whoever leads takes over what the fetch says of its time, unless he leaves before; all others
    // only wait.
    if slot.is_some() {
        exchange.facts.asked = Some(now);
        exchange.facts.timeline.enter(Phase::Server, now);
    } else {
        exchange.facts.timeline.enter(Phase::Collapse, now);
    }
    let patience = match (&spare, &slot) {
        // Nobody waits longer for a service than this if there is something to show meanwhile.
        (Some(_), _) => Deadline::after(now, HOLD_OFF),
        (None, Some(_)) => exchange.by,
        (None, None) => Deadline::after(now, house.snapshot.settings.cache.wait_time),
    };
    let by = patience.or_before(exchange.by);
    let Ok(outcome) = within(by, outcome(&waiter, slot.as_deref(), exchange)).await else {
        let now = Moment::now();
        exchange.facts.timeline.resume(Phase::Gateway, now);
        let now = now.wall_ms();
        return match spare {
            Some(entry) => {
                entry.failed(now);
                Ok(Fetched::Answer(Box::new(stale(exchange, &entry, now))))
            }
            None => Ok(Fetched::Alone),
        };
    };
    match (slot, waits) {
        (Some(slot), _) => led(exchange, &slot, outcome, reason),
        (None, Some(plan)) => {
            exchange.facts.timeline.resume(Phase::Gateway, Moment::now());
            waited(house, exchange, rules, outcome, (&plan, round))
        }
        (None, None) => Ok(Fetched::Alone),
    }
}

/// What the outcome is for the client that caused the fetch.
fn led(
    exchange: &mut Exchange<'_>,
    slot: &Slot,
    outcome: Outcome,
    reason: Reason,
) -> Result<Fetched, Fault> {
    let now = Moment::now();
    if let Some(facts) = slot.facts.take() {
        exchange.facts.timeline.absorb(&facts.timeline, Phase::Gateway, now);
        exchange.facts.asked = facts.asked;
        exchange.facts.answered = facts.answered;
        exchange.facts.server = facts.server;
        exchange.facts.attempts = facts.attempts;
        exchange.facts.reused = facts.reused;
        exchange.facts.hedged = facts.hedged;
        exchange.facts.first_try = facts.first_try;
        exchange.facts.more_tries = facts.more_tries;
    }
    let now = now.wall_ms();
    let response = match (outcome, slot.private.take()) {
        (Outcome::Entry(entry), _) => {
            if let Some(tier) = slot.tier.get() {
                return Ok(Fetched::Answer(Box::new(from_tier(exchange, &entry, tier, now))));
            }
            let kept = (&*entry, slot.reader.take(), slot.own.take());
            own(exchange, kept, reason, now)
        }
        (Outcome::Stale(entry), _) => stale(exchange, &entry, now),
        (Outcome::Private, Some(Ok((response, why)))) => private(exchange, response, (reason, why)),
        (_, Some(Err(fault))) => return Err(fault),
        (Outcome::Failed(kind, detail), _) => return Err(Fault::new(kind, detail.to_string())),
        (Outcome::Private | Outcome::Lost, _) => return Ok(Fetched::Alone),
    };
    Ok(Fetched::Answer(Box::new(response)))
}

/// The answer from a tier behind memory.
fn from_tier(exchange: &mut Exchange<'_>, entry: &Entry, tier: Behind, now: Wall) -> Response {
    exchange.facts.cached = Some(Cached::Tier);
    let mut status = CacheStatus::hit(entry.life.ttl(now));
    status.detail = Some(tier.name());
    answer(exchange, (entry, None), now, &status)
}

/// The answer to the client for which an entry was fetched.
fn own(
    exchange: &mut Exchange<'_>,
    (entry, reader, own): (&Entry, Option<Reader>, Option<ResponseHead>),
    reason: Reason,
    now: Wall,
) -> Response {
    let mut status = CacheStatus::forwarded(reason.forward());
    status.stored = true;
    exchange.facts.cached = Some(if reason.is_stale() { Cached::Validated } else { Cached::Miss });
    let mut response = answer(exchange, (entry, reader), now, &status);
    if let Some(mut own) = own.filter(|own| own.status == response.head.status) {
        put_age(&mut own, policy::age(&entry.life, now));
        put_status(&mut own, &status);
        response.head = own;
    }
    response
}

/// An answer that is this client's alone: why the service was asked, and why it was not kept.
fn private(
    exchange: &mut Exchange<'_>,
    mut response: Response,
    (reason, why): (Reason, Option<Reason>),
) -> Response {
    exchange.facts.cached = Some(Cached::Private);
    let mut status = CacheStatus::forwarded(reason.forward());
    status.detail = why.map(Reason::name);
    put_status(&mut response.head, &status);
    response
}

/// What the outcome is for a client that waited for another's fetch.
fn waited(
    house: &House,
    exchange: &mut Exchange<'_>,
    rules: &Rules,
    outcome: Outcome,
    (plan, round): (&Plan, usize),
) -> Result<Fetched, Fault> {
    let now = Moment::now().wall_ms();
    let query = query(&exchange.head, exchange.framing);
    let again = if round < ROUNDS_MAX { Fetched::Again } else { Fetched::Alone };
    let cache = &house.snapshot.cache;
    let place = place(house, plan);
    let crossed = match &outcome {
        Outcome::Entry(entry) | Outcome::Stale(entry)
            if entry.selecting.has_any(forward::REWRITTEN) =>
        {
            crossed(house, exchange)
        }
        _ => None,
    };
    let query = crossed.as_ref().map_or(query, |head| super::query(head, exchange.framing));
    // First whether all purges are known here, then which there are.
    let doubted = is_in_doubt(house);
    let begun = exchange.facts.begun.wall_ms();
    let is_for_us = |entry: &Entry| {
        if doubted && entry.life.asked <= begun {
            return false;
        }
        // A fetch that began before a purge is not for those who came after it.
        entry.selecting.matches(&query, rules)
            && policy::may_share(&entry.life, &query)
            && entry.standing(|tags| place.marks(tags), &cache.stamps) == Standing::Good
    };
    match outcome {
        Outcome::Entry(entry) if is_for_us(&entry) => {
            let verdict = policy::judge(&entry.life, &query, rules, now, 1.0);
            if matches!(verdict, Verdict::Revalidate(_)) || entry.range.is_some() {
                return Ok(Fetched::Alone);
            }
            let reader = match &entry.holding {
                Holding::Whole(_) => None,
                Holding::Coming(flow, _) => match flow.reader() {
                    None => return Ok(Fetched::Alone),
                    reader => reader,
                },
            };
            exchange.facts.cached = Some(Cached::Collapsed);
            let mut status = CacheStatus::forwarded(plan.reason.forward());
            status.collapsed = true;
            let response = answer(exchange, (&entry, reader), now, &status);
            Ok(Fetched::Answer(Box::new(response)))
        }
        Outcome::Stale(entry) if is_for_us(&entry) => {
            Ok(Fetched::Answer(Box::new(stale(exchange, &entry, now))))
        }
        Outcome::Entry(_) | Outcome::Stale(_) | Outcome::Lost => Ok(again),
        Outcome::Private => Ok(Fetched::Alone),
        // One more of those who waited tries; its failure is everybody's.
        Outcome::Failed(..) if round == 0 => Ok(again),
        Outcome::Failed(kind, detail) => Err(Fault::new(kind, detail.to_string())),
    }
}

/// Waits for the outcome, passing on what interim responses come to this client.
async fn outcome(waiter: &Waiter, slot: Option<&Slot>, exchange: &mut Exchange<'_>) -> Outcome {
    poll_fn(|cx: &mut Context<'_>| {
        if let Some(slot) = slot {
            while let Some(head) = slot.interims.borrow_mut().pop_front() {
                (exchange.interim)(&head);
            }
            *slot.waker.borrow_mut() = Some(cx.waker().clone());
        }
        waiter.poll(cx)
    })
    .await
}

/// Refreshes an entry that is served meanwhile, unless somebody does so already.
pub fn in_background(house: &Rc<House>, exchange: &Exchange<'_>, route: &Route, plan: Plan) {
    let Some(lead) = house.snapshot.cache.lead(plan.variant, &place(house, &plan)) else { return };
    let mut head = exchange.head.copied();
    if head.is_head() {
        head.set_method(b"GET");
    }
    if let Some(entry) = &plan.entry {
        // RFC 9111 §3.5: what may be used for all is asked for as one of those who may.
        if !entry.life.marks.has(policy::Marks::AUTHORIZED) {
            head.fields.remove(base::FieldName::Authorization);
        }
    }
    let mut job = job(house, exchange, route, (head, plan));
    // Of its tries nobody is told, so a server's span must not hang below one of them: it is the
    // caller's, if that has a trace.
    job.facts.trace = Trace::OFF;
    tokio::task::spawn_local(lead_on(job, lead, None));
}

fn job(
    house: &Rc<House>,
    exchange: &Exchange<'_>,
    route: &Route,
    (mut head, mut plan): (RequestHead, Plan),
) -> Job {
    forwarded(house, exchange, route, &mut head, &mut plan);
    let (route, trace) = (exchange.facts.route, exchange.facts.trace);
    let facts = Facts { route, trace, ..Facts::begin(Moment::now()) };
    // However little time this client has: others wait for the same.
    let by = Deadline::after(Moment::now(), exchange.steering.longest);
    Job { house: Rc::clone(house), head, plan, by, facts, steering: exchange.steering }
}

/// What a task that leads needs to know.
struct Job {
    house: Rc<House>,
    head: RequestHead,
    plan: Plan,
    by: Deadline,
    facts: Facts,
    steering: Steering,
}

/// The task that leads.
async fn lead_on(job: Job, lead: Lead, slot: Option<Rc<Slot>>) {
    let Job { house, mut head, mut plan, by, mut facts, steering } = job;
    let Some(route) = facts.route.map(|route| &house.snapshot.settings.routes[usize::from(route)])
    else {
        return;
    };
    facts.timeline.enter(Phase::Cache, Moment::recent());
    let found = tiers::find(&house, route, &plan, &head).await;
    let now = Moment::now();
    facts.timeline.resume(Phase::Gateway, now);
    if let Some((entry, tier)) = found {
        let now = now.wall_ms();
        let (query, rules) = (query(&head, Framing::None), &route.cache);
        let verdict = policy::judge(&entry.life, &query, rules, now, 1.0);
        let doubted = is_in_doubt(&house);
        // What another gateway has fetched since ours went stale saves a fetch; a reload is no use.
        if !doubted && !matches!(verdict, Verdict::Revalidate(_)) {
            if let Some(slot) = &slot {
                slot.tier.set(Some(tier));
                *slot.facts.borrow_mut() = Some(facts);
            }
            lead.end(Outcome::Entry(entry));
            return;
        }
        if plan.entry.is_none() {
            plan.reason = if doubted { Reason::Doubt } else { Reason::Stale };
            plan.entry = Some(entry);
        }
    }
    let settled = {
        let mut interim = |head: ResponseHead| {
            if let Some(slot) = &slot {
                slot.interims.borrow_mut().push_back(head);
                slot.wake();
            }
        };
        let asking = Asking { house: &house, route, plan: &plan, by, steering };
        ask(asking, &mut head, &mut facts, &mut interim).await
    };
    facts.timeline.enter(Phase::Gateway, Moment::recent());
    let tell = |private: Option<Private>, reader: Option<Reader>| {
        if let Some(slot) = &slot {
            *slot.facts.borrow_mut() = Some(facts.clone());
            *slot.private.borrow_mut() = private;
            *slot.reader.borrow_mut() = reader;
        }
    };
    match settled {
        Ok(Settled::Kept(entry, absorb, own)) => {
            if let Some(slot) = &slot {
                *slot.own.borrow_mut() = own.map(|own| *own);
            }
            tell(None, absorb.as_ref().and_then(|absorb| absorb.reader()));
            lead.tell(Outcome::Entry(entry));
            // From here on the client's own reader is the client's.
            drop(slot);
            if let Some(absorb) = absorb {
                absorb.run(by).await;
            }
        }
        Ok(Settled::Stale(entry)) => {
            tell(None, None);
            lead.end(Outcome::Stale(entry));
        }
        Ok(Settled::Private(response, why)) => {
            tell(Some(Ok((response, why))), None);
            lead.end(Outcome::Private);
        }
        Err(fault) => {
            let outcome = Outcome::Failed(fault.kind, fault.detail.as_str().into());
            tell(Some(Err(fault)), None);
            lead.end(outcome);
        }
    }
}

/// Fetches for this client alone, at once.
async fn alone(
    house: &Rc<House>,
    exchange: &mut Exchange<'_>,
    route: &Route,
    mut plan: Plan,
) -> Result<Response, Fault> {
    let mut head = exchange.head.copied();
    forwarded(house, exchange, route, &mut head, &mut plan);
    if house.snapshot.cache.memory.limit() == 0 && plan.entry.is_none() {
        plan.entry = tiers::find(house, route, &plan, &head).await.map(|(entry, _)| entry);
    }
    let steering = exchange.steering;
    let asking = Asking { house, route, plan: &plan, by: exchange.by, steering };
    let relay = &mut *exchange.interim;
    let mut interim = |head: ResponseHead| relay(&head);
    let settled = ask(asking, &mut head, &mut exchange.facts, &mut interim).await?;
    let now = Moment::now().wall_ms();
    Ok(match settled {
        Settled::Kept(entry, absorb, head) => {
            let reader = absorb.as_ref().and_then(|absorb| absorb.reader());
            if let Some(absorb) = absorb {
                tokio::task::spawn_local(absorb.run(exchange.by));
            }
            own(exchange, (&*entry, reader, head.map(|head| *head)), plan.reason, now)
        }
        Settled::Stale(entry) => stale(exchange, &entry, now),
        Settled::Private(response, why) => private(exchange, response, (plan.reason, why)),
    })
}

/// What is asked for.
#[derive(Clone, Copy)]
struct Asking<'a> {
    house: &'a Rc<House>,
    route: &'a Route,
    plan: &'a Plan,
    by: Deadline,
    steering: Steering,
}

/// Asks the service; again without our own conditions if the first answer was about something else
/// than what we hold.
async fn ask(
    asking: Asking<'_>,
    head: &mut RequestHead,
    facts: &mut Facts,
    interim: &mut dyn FnMut(ResponseHead),
) -> Result<Settled, Fault> {
    let Asking { house, route, plan, by, steering } = asking;
    if let Some(shadow) = shadow::copy(route, head, &facts.trace) {
        shadow.with(Body::Empty, Framing::None).send(house);
    }
    let mut entry = plan.entry.clone();
    loop {
        let conditional = match &entry {
            Some(entry) => policy::make_conditional(&mut head.fields, &entry.head),
            None => false,
        };
        let asked = Moment::now().wall_ms();
        let stamp = house.snapshot.cache.stamps.now();
        let mut passing = |mut head: ResponseHead| {
            forward::interim(&mut head);
            interim(head);
        };
        let mut ask = Ask {
            head: &mut *head,
            body: Body::Empty,
            framing: Framing::None,
            by,
            try_by: Deadline::NEVER,
            pause: house.snapshot.limits.body_pause,
            expects: false,
            upgrades: false,
            interim: &mut passing,
            class: steering.class,
            hash: steering.hash,
            tells: steering.tells.then_some(&house.snapshot.settings.deadlines),
            hurried: steering.hurried && by < Deadline::after(Moment::recent(), steering.longest),
            sent: None,
            h2_used: None,
            tries: facts.attempts,
            cause: Cause::First,
        };
        let answered = house.services[steering.service].call(&mut ask, facts).await;
        let aim = Aim { plan, entry: entry.take(), conditional, asked, stamp };
        if let Some(settled) = settle::settle(house, route, head, &aim, answered) {
            return settled;
        }
        // Our conditions go; the client's own went when they were put in.
        head.fields.retain(|field| !CONDITIONS.has(field.known));
    }
}
