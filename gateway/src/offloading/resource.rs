//! The status address of a job: where it stands, its answer, taking it back.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET {path}/TOKEN` | 200, where it stands; with `?wait=N` or `Prefer: wait=N` when it is over, or after so long |
//! | the same, `Accept: text/event-stream` | each change, until it is over |
//! | `GET {path}/TOKEN/result` | what the service answered, as it was |
//! | `DELETE {path}/TOKEN` | 200, it is cancelled; 409, it is too late |
//!
//! 404 is an address that was never given out, 410 one whose job is forgotten. Whoever knows the
//! address may ask: it cannot be guessed.

use super::prefer;
use crate::depart::http_date;
use crate::house::House;
use crate::path::Exchange;
use base::{Deadline, Fault, FaultKind, FieldName, Framing, Moment, ResponseHead, Wall};
use bytes::Bytes;
use monitor::Phase;
use offload::cold::Over;
use offload::core::Cancelled;
use offload::engine::{Engine, Look};
use offload::job::JobId;
use serde_json::{Value, json};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use wire::content::Flow;
use wire::timer::within;
use wire::{Body, Response, h1};

/// How long a stream of events may be silent.
const SILENCE: Duration = Duration::from_secs(15);
/// Most fields of an answer that is kept; it had a place in a response once.
const FIELDS_MAX: usize = 10_000;

/// Answers a request for a status address.
///
/// # Errors
/// `NoJob`, `JobGone`, `JobBusy`, `MethodNotAllowed`, `StoreClosed`.
pub async fn answer(house: &Rc<House>, exchange: &mut Exchange<'_>) -> Result<Response, Fault> {
    let Some(engine) = house.snapshot.offload.clone() else {
        return Err(Fault::new(FaultKind::NoJob, "no jobs are kept here"));
    };
    let (id, wants_result) = named(&engine, exchange.head.path())?;
    if id.node() != engine.node() {
        return super::peer::ask(house, &engine, exchange, id).await;
    }
    match exchange.head.method() {
        b"GET" | b"HEAD" => {}
        b"DELETE" if !wants_result => return cancel(&engine, id).await,
        _ => {
            let allow = if wants_result { "GET, HEAD" } else { "GET, HEAD, DELETE" };
            return Err(Fault::new(FaultKind::MethodNotAllowed, allow));
        }
    }
    let streams = !wants_result && wants_events(exchange);
    let wait = patience(exchange).min(engine.settings().wait_max);
    let by = Deadline::after(Moment::now(), wait);
    if streams {
        let first = look(&engine, id).await?;
        return Ok(stream(engine, id, &first));
    }
    exchange.facts.timeline.enter(Phase::Offload, Moment::recent());
    let found = look_until(&engine, id, by).await;
    exchange.facts.timeline.resume(Phase::Gateway, Moment::now());
    let mut response = match (found?, wants_result) {
        (Look::Over(over), true) => {
            let no_answer = || Fault::new(FaultKind::NoResult, "the job has no answer to show");
            return replay(&over, exchange.head.is_head()).ok_or_else(no_answer);
        }
        (Look::Live(_), true) => {
            let detail = "the job is not over yet";
            let after = Duration::from_secs(1);
            return Err(Fault::new(FaultKind::JobBusy, detail).retry_after(after));
        }
        (found, false) => told(&engine, &found),
    };
    if exchange.head.is_head() {
        response.body = Body::Empty;
    }
    Ok(response)
}

/// The job that a path names, and whether its result is asked for.
fn named(engine: &Engine, path: &[u8]) -> Result<(JobId, bool), Fault> {
    let rest = path.strip_prefix(engine.settings().path.as_bytes()).unwrap_or_default();
    let rest = rest.strip_prefix(b"/").unwrap_or_default();
    let (token, wants_result) = match rest.strip_suffix(b"/result") {
        Some(token) => (token, true),
        None => (rest, false),
    };
    let id = engine.minter().read(token);
    let id = id.ok_or_else(|| Fault::new(FaultKind::NoJob, "no job has this address"))?;
    Ok((id, wants_result))
}

fn wants_events(exchange: &Exchange<'_>) -> bool {
    let mut accepts = exchange.head.fields.all(FieldName::Accept);
    accepts.any(|accept| {
        accept.split(|&b| b == b',').any(|one| {
            let kind = one.split(|&b| b == b';').next().unwrap_or_default().trim_ascii();
            kind.eq_ignore_ascii_case(b"text/event-stream")
        })
    })
}

/// How long the client waits for the end: `?wait=N`, `Prefer: wait=N`.
fn patience(exchange: &Exchange<'_>) -> Duration {
    let target = exchange.head.target();
    let query = target.splitn(2, |&b| b == b'?').nth(1).unwrap_or_default();
    let asked = query.split(|&b| b == b'&').find_map(|pair| pair.strip_prefix(b"wait="));
    match asked.and_then(h1::framing::decimal) {
        Some(seconds) => Duration::from_secs(seconds),
        None => prefer::read(&exchange.head.fields).wait.unwrap_or_default(),
    }
}

/// What is known of a job, wherever it is.
async fn look(engine: &Arc<Engine>, id: JobId) -> Result<Look, Fault> {
    if let Some(found) = engine.look(id) {
        return Ok(found);
    }
    let store = Arc::clone(engine);
    let stored = tokio::task::spawn_blocking(move || store.stored(id)).await;
    match stored {
        Ok(Ok(Some(over))) if over.until > Moment::now().wall_ms() => {
            Ok(Look::Over(Arc::new(over)))
        }
        Ok(Ok(_)) => Err(Fault::new(FaultKind::JobGone, "what became of this job is forgotten")),
        Ok(Err(error)) => Err(Fault::new(FaultKind::StoreClosed, error.to_string())),
        Err(error) => Err(Fault::new(FaultKind::Internal, error.to_string())),
    }
}

async fn look_until(engine: &Arc<Engine>, id: JobId, by: Deadline) -> Result<Look, Fault> {
    if by.passed(Moment::now()) {
        return look(engine, id).await;
    }
    let mut watch = engine.watch(id);
    loop {
        let found = look(engine, id).await?;
        if matches!(found, Look::Over(_)) {
            return Ok(found);
        }
        if within(by, watch.changed()).await.is_err() {
            return look(engine, id).await;
        }
    }
}

async fn cancel(engine: &Arc<Engine>, id: JobId) -> Result<Response, Fault> {
    let answer = engine.cancel(id).await;
    let busy = |state: &str| {
        Fault::new(FaultKind::JobBusy, format!("the job is {state} and cannot be taken back"))
    };
    match answer {
        Ok(Cancelled::Yes) => look(engine, id).await.map(|found| told(engine, &found)),
        Ok(Cancelled::TooLate(state)) => Err(busy(state.name())),
        Ok(Cancelled::Unknown) => match look(engine, id).await? {
            Look::Over(over) => Err(busy(over.state.name())),
            Look::Live(_) => Err(busy("changing")),
        },
        Ok(Cancelled::Broken) | Err(_) => {
            Err(Fault::new(FaultKind::StoreClosed, "the log of jobs is closed"))
        }
    }
}

/// What is told of a job.
fn view(engine: &Engine, found: &Look) -> Value {
    let id = match found {
        Look::Live(view) => view.id,
        Look::Over(over) => over.id,
    };
    let token = engine.minter().token(id);
    let date = |at: Wall| http_date(at.seconds());
    let link = format!("{}/{token}", engine.settings().path);
    let mut told = json!({ "job": token, "accepted": date(id.made()) });
    let mut links = json!({ "status": link });
    match found {
        Look::Live(job) => {
            told["state"] = job.state.name().into();
            told["attempts"] = job.attempts.into();
            if job.due > id.made() {
                told["due"] = date(job.due).into();
            }
            if job.expires.0 > 0 {
                told["expires"] = date(job.expires).into();
            }
            if job.attempts > 0 && job.reason as u8 > 0 {
                told["last"] = last(job.reason.name(), job.status);
            }
        }
        Look::Over(over) => {
            told["state"] = over.state.name().into();
            told["reason"] = over.reason.name().into();
            told["attempts"] = over.attempts.into();
            told["ended"] = date(over.ended).into();
            told["kept_until"] = date(over.until).into();
            if over.status > 0 {
                told["status"] = over.status.into();
            }
            if !over.answer.is_empty() {
                links["result"] = format!("{link}/result").into();
            }
        }
    }
    told["links"] = links;
    told
}

fn last(reason: &str, status: u16) -> Value {
    if status > 0 {
        json!({ "reason": reason, "status": status })
    } else {
        json!({ "reason": reason })
    }
}

fn told(engine: &Engine, found: &Look) -> Response {
    let mut head = ResponseHead::build(200);
    head.fields.push(b"Content-Type", b"application/json");
    head.fields.push(b"Cache-Control", b"no-store");
    if matches!(found, Look::Live(_)) {
        head.fields.push(b"Retry-After", b"1");
    }
    Response::whole(head, format!("{}\n", view(engine, found)).into_bytes())
}

/// What the service answered, as it was; `None`: there is none, or it was too large to be kept.
pub fn replay(over: &Over, is_head: bool) -> Option<Response> {
    let parsed = h1::parse::response(&over.answer, FIELDS_MAX).ok().flatten();
    let (head, length) = parsed?;
    let body = over.answer[length..].to_vec();
    let mut response = Response::whole(head, body);
    if is_head {
        response.body = Body::Empty;
    }
    Some(response)
}

/// Every change of a job, as events (HTML, "Server-sent events"), until it is over.
fn stream(engine: Arc<Engine>, id: JobId, first: &Look) -> Response {
    let flow = Arc::new(Flow::default());
    let mut head = ResponseHead::build(200);
    head.fields.push(b"Content-Type", b"text/event-stream");
    head.fields.push(b"Cache-Control", b"no-store");
    let reader = flow.reader().expect("nothing of it is gone");
    flow.slide();
    push(&flow, &engine, first);
    if matches!(first, Look::Over(_)) {
        flow.end(Ok(()));
    } else {
        tokio::task::spawn_local(async move { follow(&flow, &engine, id).await });
    }
    Response { head, body: Body::Flow(Box::new(reader)), framing: Framing::Chunked }
}

async fn follow(flow: &Flow, engine: &Arc<Engine>, id: JobId) {
    let mut watch = engine.watch(id);
    let mut before = String::new();
    loop {
        let Ok(found) = look(engine, id).await else { break };
        let now = view(engine, &found).to_string();
        if now != before {
            before = now;
            push(flow, engine, &found);
        }
        if matches!(found, Look::Over(_)) {
            break;
        }
        let by = Deadline::after(Moment::now(), SILENCE);
        if within(by, watch.changed()).await.is_err() {
            flow.push(Bytes::from_static(b": still here\n\n"));
        }
        if poll_fn(|cx| flow.poll_room(cx)).await.is_err() {
            return;
        }
    }
    flow.end(Ok(()));
}

fn push(flow: &Flow, engine: &Engine, found: &Look) {
    let told = view(engine, found);
    let state = told["state"].as_str().unwrap_or_default();
    flow.push(Bytes::from(format!("event: {state}\ndata: {told}\n\n")));
}
