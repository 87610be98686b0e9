//! One try at one server: a connection, the request on it, the head of the answer.

use crate::connect::{self, Dialled, dial};
use crate::endpoint::{Endpoint, Spoken};
use crate::service::Service;
use crate::settings::{Class, Deadlines, HostRule, Http};
use crate::streams::Shared;
use base::{
    Deadline, Fault, FaultKind, FieldName, Framing, Moment, Replay, RequestHead, ResponseHead,
};
use monitor::facts::Cause;
use monitor::{Facts, Phase, Timeline};
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;
use wire::h1::client::{Event, Tunnel};
use wire::h1::outgoing::Outgoing;
use wire::h1::{self, encode};
use wire::timer::within;
use wire::{Body, Response, h2};

/// What is asked of a service.
pub struct Ask<'a> {
    /// The head, ready to be sent but for its Host.
    pub head: &'a mut RequestHead,
    /// The body.
    pub body: Body,
    /// How the body is framed.
    pub framing: Framing,
    /// When the whole exchange must be over.
    pub by: Deadline,
    /// When this try must have been answered, so that there is time for another;
    /// [`Deadline::NEVER`] to begin with.
    pub try_by: Deadline,
    /// Longest silence of whoever gives or takes the request's body.
    pub pause: Duration,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects: bool,
    /// The request asks for a switch of protocols.
    pub upgrades: bool,
    /// Where interim responses go.
    pub interim: &'a mut dyn FnMut(ResponseHead),
    /// How much it matters.
    pub class: Class,
    /// The hash of what the service is balanced by, if the request has that.
    pub hash: Option<u64>,
    /// How the service is told how long is left, if it is.
    pub tells: Option<&'a Deadlines>,
    /// When the last of the body was sent; `None` to begin with, and where there is no body.
    pub sent: Option<Rc<Cell<Option<Moment>>>>,
    /// `by` is the client's own, and sooner than the service would have to answer.
    pub hurried: bool,
    /// Which HTTP/2 connection of a server the last try used, by number; `None` to begin with.
    pub h2_used: Option<u64>,
    /// How many tries were begun, those of a hedge among them; none to begin with.
    pub tries: u8,
    /// Why the next try is made.
    pub cause: Cause,
}

impl<'a> Ask<'a> {
    /// A request that no client of ours waits for: it matters least, and wants nothing special.
    pub fn in_background(
        head: &'a mut RequestHead,
        (body, framing): (Body, Framing),
        (by, pause): (Deadline, Duration),
        interim: &'a mut dyn FnMut(ResponseHead),
    ) -> Self {
        Self {
            head,
            body,
            framing,
            by,
            try_by: Deadline::NEVER,
            pause,
            expects: false,
            upgrades: false,
            interim,
            class: Class::Background,
            hash: None,
            tells: None,
            sent: None,
            hurried: false,
            h2_used: None,
            tries: 0,
            cause: Cause::First,
        }
    }

    fn note_sent(&self, now: Moment) {
        if let Some(sent) = &self.sent {
            sent.set(Some(now));
        }
    }
}

/// What a service answered.
pub enum Answered {
    /// A response.
    Response(Response),
    /// It switched protocols.
    Tunnel(ResponseHead, Tunnel),
}

/// How long a body waits for `100 Continue` before it is sent all the same (RFC 9110 §10.1.1).
const CONTINUE_TIME: Duration = Duration::from_secs(1);

/// A connection to send the request on.
enum Ready {
    One(h1::client::Lent),
    /// Shared; whether it has carried requests before.
    Two(h2::client::Connection, bool),
}

pub(crate) async fn attempt(
    service: &Service,
    endpoint: &Rc<Endpoint>,
    ask: &mut Ask<'_>,
    facts: &mut Facts,
    fresh: bool,
) -> Result<Answered, Fault> {
    match &service.settings.host {
        HostRule::Client => {}
        HostRule::Server => ask.head.fields.set(FieldName::Host, endpoint.authority.as_bytes()),
        HostRule::Fixed(name) => ask.head.fields.set(FieldName::Host, name.as_bytes()),
    }
    if !ask.head.fields.has(FieldName::Host) {
        // HTTP/1.0 did not send one; the next hop's HTTP/1.1 requires it.
        ask.head.fields.set(FieldName::Host, endpoint.authority.as_bytes());
    }
    // What most exchanges do not do is boxed, so that it takes no room in every connection's future.
    let pooled = if fresh { None } else { pooled(service, endpoint) };
    let (ready, now) = if let Some(lent) = pooled {
        // The caller has read the clock in this same turn.
        (Ready::One(lent), Moment::recent())
    } else {
        let ready = Box::pin(ready(service, endpoint, ask, &mut facts.timeline, fresh)).await?;
        let now = Moment::now();
        facts.timeline.resume(Phase::Gateway, now);
        (ready, now)
    };
    match ready {
        Ready::One(lent) => {
            facts.reused = lent.is_reused();
            ask_h1(service, endpoint, lent, ask, &mut facts.timeline, now).await
        }
        Ready::Two(connection, reused) => {
            facts.reused = reused;
            Box::pin(ask_h2(service, endpoint, connection, ask, &mut facts.timeline)).await
        }
    }
}

/// Is HTTP/2 spoken to this server, or may it be?
fn may_be_h2(service: &Service, endpoint: &Endpoint) -> bool {
    match service.settings.http {
        Http::One => false,
        Http::Two => true,
        Http::Auto => match endpoint.spoken.get() {
            Some(spoken) => spoken == Spoken::Two,
            None => service.shared.tls.is_some(),
        },
    }
}

/// An idle HTTP/1.1 connection, if there is one.
fn pooled(service: &Service, endpoint: &Rc<Endpoint>) -> Option<h1::client::Lent> {
    if may_be_h2(service, endpoint) { None } else { endpoint.take() }
}

/// Makes a connection, or shares the one that speaks HTTP/2.
async fn ready(
    service: &Service,
    endpoint: &Rc<Endpoint>,
    ask: &mut Ask<'_>,
    timeline: &mut Timeline,
    fresh: bool,
) -> Result<Ready, Fault> {
    let by = ask.by;
    let connect_by = Deadline::after(Moment::now(), service.settings.connect_time);
    let connect_by = by.or_before(ask.try_by).or_before(connect_by);
    if !may_be_h2(service, endpoint) {
        return connect(service, endpoint, timeline, (connect_by, by)).await;
    }
    // A retry wants another connection than the one that failed.
    let failed = if fresh { ask.h2_used } else { None };
    if let Some(shared) = endpoint.streams.with_room(failed) {
        return Ok(take(shared, ask, true));
    }
    timeline.enter(Phase::Pool, Moment::now());
    // A crowd makes one connection; nobody waits for it longer than it would take to make one.
    let Ok(making) = within(connect_by, endpoint.streams.making.lock()).await else {
        return Err(connect::timed_out(endpoint, by));
    };
    if !may_be_h2(service, endpoint) {
        // Whoever held the lock found out that HTTP/1.1 is spoken: no need to go one by one.
        drop(making);
        return connect(service, endpoint, timeline, (connect_by, by)).await;
    }
    if let Some(shared) = endpoint.streams.with_room(failed) {
        return Ok(take(shared, ask, true));
    }
    match connect(service, endpoint, timeline, (connect_by, by)).await {
        Ok(Ready::Two(connection, _)) => {
            let number = endpoint.streams.made(connection.clone());
            Ok(take(Shared { connection, number }, ask, false))
        }
        Err(fault) if fault.kind == FaultKind::ServiceFull => {
            // No more connections: a stream becomes free sooner or later.
            endpoint.streams.any().map(|shared| take(shared, ask, true)).ok_or(fault)
        }
        other => other,
    }
}

fn take(shared: Shared, ask: &mut Ask<'_>, reused: bool) -> Ready {
    ask.h2_used = Some(shared.number);
    Ready::Two(shared.connection, reused)
}

/// Makes a connection and puts it where the next request will look.
pub(crate) async fn warm(service: &Service, endpoint: &Rc<Endpoint>) {
    let by = Deadline::after(Moment::now(), service.settings.connect_time);
    let mut nobodys = Timeline::begin(Moment::now());
    match connect(service, endpoint, &mut nobodys, (by, Deadline::NEVER)).await {
        Ok(Ready::One(lent)) => lent.give_back(),
        Ok(Ready::Two(connection, _)) => {
            endpoint.streams.made(connection);
        }
        Err(_counted) => {}
    }
}

/// Makes a connection, by `by`; `total` is when the whole exchange ends.
async fn connect(
    service: &Service,
    endpoint: &Rc<Endpoint>,
    timeline: &mut Timeline,
    (by, total): (Deadline, Deadline),
) -> Result<Ready, Fault> {
    if endpoint.meter.open.get() >= service.settings.connections_max as u64 {
        let detail = format!("connections_max reached for {}", endpoint.authority);
        return Err(Fault::new(FaultKind::ServiceFull, detail).replay(Replay::Always));
    }
    Ok(match dial(service, endpoint, timeline, (by, total)).await? {
        Dialled::One(connection) => Ready::One(endpoint.lend(Box::new(connection))),
        Dialled::Two(connection) => Ready::Two(connection, false),
    })
}

/// The deadlines of one attempt: until the request is out, its movement; after that, the answer.
struct Patience<'a> {
    service: &'a Service,
    endpoint: &'a Endpoint,
    by: Deadline,
    try_by: Deadline,
    pause: Duration,
}

impl<'a> Patience<'a> {
    fn of(service: &'a Service, endpoint: &'a Endpoint, ask: &Ask<'_>) -> Self {
        Self { service, endpoint, by: ask.by, try_by: ask.try_by, pause: ask.pause }
    }

    fn next(&self, now: Moment, sending: bool) -> Deadline {
        let longest = if sending { self.pause } else { self.service.settings.first_byte_time };
        self.by.or_before(self.try_by).or_before(Deadline::after(now, longest))
    }

    /// What a passed deadline means.
    fn fault(&self, sending: bool, for_source: bool) -> Fault {
        let server = &self.endpoint.authority;
        let now = Moment::now();
        if sending && for_source {
            // Whichever deadline it was that passed: the server had nothing to answer yet.
            let detail = "the body did not come in time";
            return Fault::new(FaultKind::BodyTimeout, detail);
        }
        if self.by.passed(now) {
            let detail = format!("{server} took longer than the request's deadline");
            return Fault::new(FaultKind::TotalTimeout, detail);
        }
        if self.try_by.passed(now) {
            let detail = format!("{server} took longer than retry.try_time");
            return Fault::new(FaultKind::FirstByteTimeout, detail).replay(Replay::IfIdempotent);
        }
        let limit = if sending { "limits.body_pause to read on" } else { "first_byte_time" };
        let detail = format!("{server} took longer than {limit}");
        Fault::new(FaultKind::FirstByteTimeout, detail).replay(Replay::IfIdempotent)
    }
}

async fn ask_h1(
    service: &Service,
    endpoint: &Rc<Endpoint>,
    lent: h1::client::Lent,
    ask: &mut Ask<'_>,
    timeline: &mut Timeline,
    mut now: Moment,
) -> Result<Answered, Fault> {
    let mut front = wire::buffer::scratch();
    encode::request(&mut front, ask.head, ask.framing);
    let body = std::mem::replace(&mut ask.body, Body::Empty);
    let framing = if matches!(body, Body::Empty) { Framing::None } else { ask.framing };
    let (request, held) = if ask.expects {
        let rest = Outgoing::new(Vec::new(), body, framing);
        (Outgoing::new(front, Body::Empty, Framing::None), Some(rest))
    } else {
        (Outgoing::new(front, body, framing), None)
    };
    let mut asking =
        h1::client::Asking::new(lent, request, held, ask.head.is_head(), service.head_max);
    let patience = Patience::of(service, endpoint, ask);
    loop {
        let sending = asking.is_sending();
        let holding = asking.is_holding();
        let by = if holding && !sending {
            ask.by.or_before(Deadline::after(now, CONTINUE_TIME))
        } else {
            patience.next(now, sending)
        };
        let moved = asking.moved();
        let event = within(by, poll_fn(|cx| poll_h1(&mut asking, cx, moved, timeline))).await;
        // Interim responses do not buy time: the first byte is the answer's.
        if !matches!(event, Ok(Some(Ok(Event::Answer(..) | Event::Interim(_))))) {
            now = Moment::now();
        }
        match event {
            // The body moves, or is out: a new deadline.
            Ok(None) => {}
            Ok(Some(Ok(Event::Sent))) => ask.note_sent(now),
            Ok(Some(Ok(Event::Interim(head)))) => {
                if head.status == 100 {
                    asking.release();
                }
                (ask.interim)(head);
            }
            Ok(Some(Ok(Event::Answer(head, framing)))) => {
                return answer_h1(asking, head, framing, ask);
            }
            Ok(Some(Err(fault))) => return Err(named(fault, endpoint)),
            Err(_late) if holding && !ask.by.passed(Moment::now()) => {
                asking.release();
            }
            Err(_late) => return Err(patience.fault(sending, asking.waits_for_source())),
        }
    }
}

/// One event, or `None` as soon as more of the request than `moved` has been sent.
fn poll_h1(
    asking: &mut h1::client::Asking,
    cx: &mut Context<'_>,
    moved: u64,
    timeline: &mut Timeline,
) -> Poll<Option<Result<Event, Fault>>> {
    match asking.poll(cx) {
        Poll::Ready(event) => Poll::Ready(Some(event)),
        Poll::Pending if asking.is_sending() && asking.moved() > moved => Poll::Ready(None),
        Poll::Pending => {
            waits(timeline, asking.is_sending(), || asking.waits_for_source());
            Poll::Pending
        }
    }
}

/// Notes whom a try waits for, if that is somebody else than before.
fn waits(timeline: &mut Timeline, sending: bool, for_source: impl FnOnce() -> bool) {
    let phase = match sending {
        false => Phase::Server,
        true if for_source() => Phase::Receive,
        true => Phase::Send,
    };
    if !cfg!(fleetfoot_bare) && timeline.phase() != phase {
        timeline.resume(phase, Moment::now());
    }
}

fn answer_h1(
    asking: h1::client::Asking,
    head: ResponseHead,
    framing: Framing,
    ask: &Ask<'_>,
) -> Result<Answered, Fault> {
    if head.status == 101 {
        if !ask.upgrades {
            let detail = "switched protocols unasked";
            return Err(Fault::new(FaultKind::BadResponse, detail));
        }
        return Ok(Answered::Tunnel(head, asking.into_tunnel()));
    }
    let answer = asking.into_answer(&head, framing);
    let framing = match framing {
        // What the length would be is still worth telling (RFC 9110 §8.6).
        Framing::None if !matches!(head.status, 100..200 | 204) => declared(&head),
        other => other,
    };
    if answer.has_ended() {
        answer.finish();
        return Ok(Answered::Response(Response { head, body: Body::Empty, framing }));
    }
    Ok(Answered::Response(Response { head, body: Body::Service(Box::new(answer)), framing }))
}

/// The framing that a response to HEAD, or a 304, declares for the body it does not have.
fn declared(head: &ResponseHead) -> Framing {
    let length = head.fields.get(FieldName::ContentLength);
    length.and_then(h1::framing::decimal).map_or(Framing::None, Framing::Length)
}

fn named(mut fault: Fault, endpoint: &Endpoint) -> Fault {
    if fault.kind.side() == base::Side::Upstream {
        fault.detail = format!("{}: {}", endpoint.authority, fault.detail);
    }
    fault
}

async fn ask_h2(
    service: &Service,
    endpoint: &Rc<Endpoint>,
    mut connection: h2::client::Connection,
    ask: &mut Ask<'_>,
    timeline: &mut Timeline,
) -> Result<Answered, Fault> {
    let patience = Patience::of(service, endpoint, ask);
    timeline.enter(Phase::Pool, Moment::recent());
    let opened =
        within(patience.next(Moment::now(), false), poll_fn(|cx| connection.poll_ready(cx))).await;
    timeline.enter(Phase::Gateway, Moment::recent());
    opened.map_err(|_late| patience.fault(false, false))??;
    let body = std::mem::replace(&mut ask.body, Body::Empty);
    let mut asking = connection.ask(ask.head, body, ask.framing)?;
    let mut now = Moment::now();
    loop {
        let sending = asking.is_sending();
        let moved = asking.moved();
        let step = poll_fn(|cx| match asking.poll(cx) {
            Poll::Ready(event) => Poll::Ready(Some(event)),
            Poll::Pending if asking.is_sending() && asking.moved() > moved => Poll::Ready(None),
            Poll::Pending => {
                waits(timeline, asking.is_sending(), || asking.waits_for_source());
                Poll::Pending
            }
        });
        match within(patience.next(now, sending), step).await {
            Ok(None) => now = Moment::now(),
            Ok(Some(Ok(h2::client::Event::Sent))) => {
                now = Moment::now();
                ask.note_sent(now);
            }
            Ok(Some(Ok(h2::client::Event::Interim(head)))) => (ask.interim)(head),
            Ok(Some(Ok(h2::client::Event::Answer(answer)))) => {
                let (head, body, framing) = *answer;
                return Ok(Answered::Response(Response { head, body, framing }));
            }
            Ok(Some(Err(fault))) => return Err(named(fault, endpoint)),
            Err(_late) => {
                let fault = patience.fault(sending, asking.waits_for_source());
                if fault.kind.side() == base::Side::Upstream {
                    // Perhaps the connection is dead and nobody told us: others should not try it.
                    if let Some(number) = ask.h2_used {
                        endpoint.streams.leave_one(number);
                    }
                }
                return Err(fault);
            }
        }
    }
}
