//! A job on its way to its service: one try, by the same rooms as any request.
//!
//! The request goes out as it was kept, with three fields of ours, and with an `Idempotency-Key` that
//! is the same at every try, so that a service can tell a try from a new request. An answer counts
//! when it is whole; what is too large to be kept is read to its end all the same.

use super::{answer_bytes, fields};
use crate::depart::http_date;
use crate::events;
use crate::forward;
use crate::house::House;
use base::{Deadline, FaultKind, FieldName, Framing, Moment, RequestHead, ResponseHead, Wall};
use bytes::Bytes;
use monitor::Facts;
use monitor::trace::{self, Trace};
use offload::book::Tried;
use offload::engine::{Engine, Parcel};
use offload::figures;
use offload::job::Reason;
use offload::record::{self, Record, Summary};
use offload::settings::Publish;
use service::{Answered, Ask};
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::oneshot;
use wire::timer::within;
use wire::{Body, Response, h1};

/// What came of a try, and the answer to be kept.
#[derive(Debug)]
pub struct Came {
    /// What came of it.
    pub tried: Tried,
    /// The answer; empty: none, or it was too large.
    pub answer: Vec<u8>,
}

impl Came {
    fn failed(reason: Reason) -> Self {
        Self { tried: Tried::Failed(reason), answer: Vec::new() }
    }
}

/// A job that a thread of the data plane is to try.
#[derive(Debug)]
pub struct Errand {
    /// The job.
    pub parcel: Parcel,
    /// Who is told what came of it; nobody: the room.
    pub reply: Option<oneshot::Sender<Came>>,
}

/// Makes one try of a job and tells what came of it.
pub async fn deliver(house: Rc<House>, Errand { parcel, reply }: Errand) {
    let Some(engine) = house.snapshot.offload.clone() else { return };
    let came = attempt(&house, &engine, &parcel).await;
    if let Some(reply) = reply {
        let _gone = reply.send(came);
        return;
    }
    let noted = engine.tried(parcel.id, parcel.attempt, came.tried, came.answer);
    let _closed = noted.await;
}

/// Makes one try of a job.
pub async fn attempt(house: &Rc<House>, engine: &Engine, parcel: &Parcel) -> Came {
    let Ok(Record::Accept(summary)) = record::read(&parcel.record) else {
        return Came::failed(Reason::Damaged);
    };
    let begun = Moment::now();
    let came = try_once(house, engine, parcel, &summary).await;
    let due = summary.due;
    let is_first = parcel.attempt == 1;
    let waited = is_first.then(|| figures::waited(due, parcel.id.made(), begun.wall_ms()));
    let took = Moment::now().since(begun);
    engine.figures().tried(summary.queue, &came.tried, took, waited);
    came
}

async fn try_once(
    house: &Rc<House>,
    engine: &Engine,
    parcel: &Parcel,
    summary: &Summary<'_>,
) -> Came {
    let parsed = h1::parse::request(&parcel.request, house.snapshot.limits.fields + FIELDS_MORE);
    let Ok(Some((mut head, length))) = parsed else { return Came::failed(Reason::Damaged) };
    let Some(at) = house.services.iter().position(|s| s.settings.name == summary.service) else {
        return Came::failed(Reason::NoService);
    };
    if !fields::open(engine, &mut head) {
        let detail = "a field of it was sealed with another offload.key";
        monitor::log::complain(Moment::now(), format_args!("job {}: {detail}", parcel.id));
    }
    let trace = continued(house, &mut head);
    mark(&mut head, summary, parcel);
    let body = parcel.request.slice(length..);
    let publishes = publishes(house, summary).map(|what| (what, head.clone()));
    let came = ask(house, engine, at, (head, body), trace, summary).await;
    if let (Some((what, head)), Tried::Answered { status, .. }) = (publishes, &came.tried) {
        // However often it is tried or replayed, it happened once.
        let cause = if summary.replay { summary.origin } else { summary.id };
        events::publish(house, what, &head, *status, &cause.to_string());
    }
    came
}

/// What the route of a job publishes, if it does and is still there.
fn publishes<'a>(house: &'a House, summary: &Summary<'_>) -> Option<(usize, &'a Publish)> {
    let mut routes = house.snapshot.settings.routes.iter().enumerate();
    let (index, route) = routes.find(|(_, route)| route.name == summary.route)?;
    Some((index, route.publish.as_ref()?))
}

/// Fields that are added to a request beside those that its client may send.
const FIELDS_MORE: usize = 16;

/// Tells the service which job it is, and which try.
fn mark(head: &mut RequestHead, summary: &Summary<'_>, parcel: &Parcel) {
    let fields = &mut head.fields;
    if fields.find(b"idempotency-key").is_none() {
        let first = if summary.replay { summary.origin } else { summary.id };
        fields.push(b"Idempotency-Key", format!("\"{first}\"").as_bytes());
    }
    fields.push(b"Fleetfoot-Job", summary.id.to_string().as_bytes());
    fields.push(b"Fleetfoot-Attempt", parcel.attempt.to_string().as_bytes());
    let accepted = http_date(summary.id.made().seconds());
    fields.push(b"Fleetfoot-Accepted", accepted.as_bytes());
}

/// The trace that the request was accepted in goes on.
fn continued(house: &House, head: &mut RequestHead) -> Trace {
    let settings = &house.snapshot.settings.monitor;
    if !settings.trace {
        return Trace::default();
    }
    let caller = head.fields.get(FieldName::Traceparent).and_then(trace::parse);
    let share = settings.trace_sample;
    let sampled = share.0 > 0 && fastrand::u32(0..10_000) < share.0;
    Trace::begin(caller, (fastrand::u128(..), fastrand::u64(..)), sampled)
}

async fn ask(
    house: &Rc<House>,
    engine: &Engine,
    at: usize,
    (mut head, body): (RequestHead, Bytes),
    trace: Trace,
    summary: &Summary<'_>,
) -> Came {
    let now = Moment::now();
    let by = deadline(house, summary, now);
    let framing = if head.fields.has(FieldName::ContentLength) {
        Framing::Length(body.len() as u64)
    } else {
        Framing::None
    };
    let is_head = head.is_head();
    let service = &house.services[at];
    let body = if body.is_empty() { Body::Empty } else { Body::Shared(body) };
    let mut nobody = |_: ResponseHead| {};
    let times = (by, house.snapshot.limits.body_pause);
    let mut ask = Ask::in_background(&mut head, (body, framing), times, &mut nobody);
    let mut facts = Facts::begin(now);
    facts.trace = trace;
    match service.call(&mut ask, &mut facts).await {
        Ok(Answered::Response(response)) => {
            read(house, response, is_head, engine.settings().answer_max.0, by).await
        }
        Ok(Answered::Tunnel(..)) => Came::failed(Reason::BadAnswer),
        Err(fault) => Came::failed(reason(fault.kind)),
    }
}

/// A try ends with its queue's time for it, and with the job's own.
fn deadline(house: &House, summary: &Summary<'_>, now: Moment) -> Deadline {
    let settings = house.snapshot.settings.offload.as_ref();
    let queues = settings.map_or(&[][..], |settings| &settings.queues);
    let queue = queues.iter().find(|queue| queue.name == summary.queue).or(queues.first());
    let time = queue.map_or(Duration::from_secs(30), |queue| queue.try_time);
    let by = Deadline::after(now, time);
    if summary.expires == Wall(0) {
        return by;
    }
    by.or_before(Deadline::after(now, summary.expires.since(now.wall_ms())))
}

/// Reads an answer to its end: only a whole one is an answer.
async fn read(
    house: &House,
    mut response: Response,
    is_head: bool,
    bytes_max: u64,
    by: Deadline,
) -> Came {
    let status = response.head.status;
    let retry_after = service::retry::retry_after(&response.head.fields);
    let mut bytes = Vec::new();
    let mut fits = true;
    let body = &mut response.body;
    let whole = within(by, async {
        loop {
            match poll_fn(|cx| body.poll_data(cx)).await {
                Ok(0) => return true,
                Ok(n) => {
                    fits = fits && (bytes.len() + n) as u64 <= bytes_max;
                    if fits {
                        bytes.extend_from_slice(&body.data(n));
                    }
                    body.used(n);
                }
                Err(_) => return false,
            }
        }
    });
    match whole.await {
        Ok(true) => {}
        Ok(false) => return Came::failed(Reason::BadAnswer),
        Err(_) => return Came::failed(Reason::Timeout),
    }
    forward::response(&mut response.head, &house.snapshot);
    let answer = if fits && !is_head { answer_bytes(&response.head, &bytes) } else { Vec::new() };
    Came { tried: Tried::Answered { status, retry_after }, answer }
}

/// Why a try failed, in the words of jobs.
const fn reason(kind: FaultKind) -> Reason {
    use FaultKind as K;
    match kind {
        K::FirstByteTimeout | K::TotalTimeout | K::DeadlineShort => Reason::Timeout,
        K::ServerClosed | K::BadResponse | K::ResponseCut => Reason::BadAnswer,
        _ => Reason::Unreachable,
    }
}
