//! Slow work leaves the path: a request becomes a job, and its client is answered 202.
//!
//! The promise is `offload`'s; here is its HTTP. A request is kept as it would have been sent, is
//! durable before the 202 leaves, and is delivered by the same `service` room as any other
//! ([`deliver`]). What has become of it is told at its status address ([`resource`]), whichever
//! gateway is asked.
//!
//! | | |
//! | --- | --- |
//! | RFC 9110 §15.3.3 | 202 with `Location` and `Retry-After` |
//! | RFC 7240 §4.1, §4.3 | `Prefer: respond-async, wait=N` |
//! | draft-ietf-httpapi-idempotency-key-header | `Idempotency-Key`: 400, 422, the same 202 again |

pub mod callback;
pub mod carry;
pub mod deliver;
mod fields;
mod name;
pub mod peer;
mod prefer;
pub mod resource;
pub mod template;

use self::name::Name;
use self::prefer::Preference;
use crate::house::House;
use crate::path::Exchange;
use base::{Deadline, Fault, FaultKind, Framing, Moment, ResponseHead, Wall};
use monitor::Phase;
use offload::callback::address::Url;
use offload::core::{Accepted, New};
use offload::engine::{Engine, Look};
use offload::job::{JobId, State};
use offload::settings::{Callback, Idempotency, Rule, When};
use settings::Route;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use wire::timer::within;
use wire::{Body, Response, h1};

/// Longest time for a request to become durable; a disk that takes longer hangs.
const DURABLE_TIME: Duration = Duration::from_secs(10);

/// Keeps the request of an exchange, which is ready for the next hop, if its route offloads it;
/// answers what its client is told. `None`: it goes on as any other.
///
/// # Errors
/// Why it was not kept: then it will not be delivered.
pub async fn take(
    house: &Rc<House>,
    exchange: &mut Exchange<'_>,
    route: &Route,
    rule: &Rule,
) -> Result<Option<Response>, Fault> {
    let Some(engine) = house.snapshot.offload.clone() else { return Ok(None) };
    let preference = prefer::read(&exchange.head.fields);
    if rule.when == When::Preferred && !preference.respond_async {
        return Ok(None);
    }
    let queue = queue(house, rule);
    if queue.broker.is_some() && house.snapshot.carriers.refuses(&queue.name) {
        let detail = format!("the broker of queue {} cannot be reached", queue.name);
        let after = Duration::from_secs(5);
        return Err(Fault::new(FaultKind::BrokerAway, detail).retry_after(after));
    }
    let name = name::read(&exchange.head.fields)?;
    if name.is_none() && rule.idempotency == Idempotency::Required {
        let detail = "this resource needs an Idempotency-Key";
        return Err(Fault::new(FaultKind::BadIdempotencyKey, detail));
    }
    let body = whole_body(exchange, engine.settings().body_max.0).await?;
    let new = new(house, exchange, (route, rule), name.as_ref(), &body)?;
    let request = fields::kept(exchange, rule, &engine, &body)?;
    let (until, is_due) = (new.claimed_until, new.due == Wall(0));
    let waits = Moment::now();
    exchange.facts.timeline.enter(Phase::Offload, waits);
    let accepted = engine.accept(new, request);
    let accepted = within(Deadline::after(waits, DURABLE_TIME), accepted).await;
    exchange.facts.timeline.resume(Phase::Gateway, Moment::now());
    let (id, again) = match accepted {
        Ok(Ok(Accepted::Yes(id))) => (id, false),
        Ok(Ok(Accepted::Same(id))) => (id, true),
        Ok(Ok(refused)) => return Err(refusal(refused)),
        Ok(Err(_)) => return Err(refusal(Accepted::Broken("it is closing".to_owned()))),
        Err(_) => return Err(refusal(Accepted::Broken("the disk does not answer".to_owned()))),
    };
    if let Some(wait) = preference.wait {
        let wait = wait.min(engine.settings().wait_max);
        let by = Deadline::after(Moment::now(), wait).or_before(exchange.by);
        exchange.facts.timeline.enter(Phase::Offload, Moment::now());
        let ended = ended(&engine, id, by).await;
        exchange.facts.timeline.resume(Phase::Gateway, Moment::now());
        if let Some(mut response) = ended.and_then(|over| resource::replay(&over, false)) {
            let applied = format!("wait={}", wait.as_secs());
            response.head.fields.push(b"Preference-Applied", applied.as_bytes());
            return Ok(Some(response));
        }
    }
    let is_new = !again && preference.wait.is_none();
    let state = if is_new { first_state(is_due) } else { state(&engine, id) };
    let until = name.is_some().then_some(until);
    Ok(Some(promise(&engine, id, rule, preference, (again, state, until))))
}

/// Waits until a job is over, or for so long.
async fn ended(engine: &Engine, id: JobId, by: Deadline) -> Option<Arc<offload::cold::Over>> {
    let mut watch = engine.watch(id);
    loop {
        match engine.look(id) {
            Some(Look::Over(over)) => return Some(over),
            Some(Look::Live(_)) => {}
            None => return None,
        }
        if within(by, watch.changed()).await.is_err() {
            return None;
        }
    }
}

/// Reads a request's body, which must not be longer than `bytes_max`.
async fn whole_body(exchange: &mut Exchange<'_>, bytes_max: u64) -> Result<Vec<u8>, Fault> {
    let too_large = || {
        let detail = format!("the body is larger than {bytes_max} bytes (offload.body_max)");
        Fault::new(FaultKind::BodyTooLarge, detail)
    };
    let length = exchange.framing.length();
    if length.is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    if exchange.framing == Framing::None || matches!(exchange.body, Body::Empty) {
        return Ok(Vec::new());
    }
    if exchange.expects {
        (exchange.interim)(&ResponseHead::build(100));
    }
    let mut bytes = Vec::with_capacity(length.unwrap_or_default() as usize);
    exchange.facts.timeline.enter(Phase::Receive, Moment::recent());
    let body = &mut exchange.body;
    let read = within(exchange.by, async {
        loop {
            let n = poll_fn(|cx| body.poll_data(cx)).await?;
            if n == 0 {
                return Ok(());
            }
            if (bytes.len() + n) as u64 > bytes_max {
                return Err(too_large());
            }
            bytes.extend_from_slice(&body.data(n));
            body.used(n);
        }
    });
    let read = read.await;
    exchange.facts.timeline.resume(Phase::Gateway, Moment::now());
    match read {
        Ok(read) => read.map(|()| bytes),
        Err(_) => Err(Fault::new(FaultKind::BodyTimeout, "the body did not come in time")),
    }
}

/// What the room is told of a request.
fn new(
    house: &House,
    exchange: &Exchange<'_>,
    (route, rule): (&Route, &Rule),
    name: Option<&Name>,
    body: &[u8],
) -> Result<Box<New>, Fault> {
    let now = Moment::now().wall_ms();
    let queue = queue(house, rule);
    let fill = |text: &str| template::hash(house, exchange, text);
    let (claim, print) = match name {
        Some(name) => (name.claim(&route.name, exchange), name::print(exchange, body)),
        None => (0, 0),
    };
    let longest = rule.client_delay;
    let delay = longest.map(|longest| prefer::delay(&exchange.head.fields, now, longest));
    let delay = delay.transpose()?.flatten();
    let due = delay.unwrap_or(now + rule.delay);
    let expires = rule.expires.or(queue.expires);
    let callback = match &rule.callback {
        Callback::None => String::new(),
        Callback::Fixed(url) => url.clone(),
        Callback::Field(field) => {
            let url = exchange.head.fields.find(field.as_bytes()).unwrap_or_default();
            callback_url(house, url)?
        }
    };
    Ok(Box::new(New {
        queue: queue.name.clone(),
        service: house.services[exchange.steering.service].settings.name.clone(),
        route: route.name.clone(),
        callback,
        due: if due > now { due } else { Wall(0) },
        expires: expires.map_or(Wall(0), |expires| now + expires),
        priority: rule.priority,
        order: fill(&rule.order)?,
        debounce: fill(&rule.debounce)?,
        claim,
        print,
        claimed_until: now + rule.idempotency_time,
        ..New::default()
    }))
}

/// The URL that a client wants to be called; refused at once where that can be told.
fn callback_url(house: &House, url: &[u8]) -> Result<String, Fault> {
    let settings = house.snapshot.offload.as_ref().map(|engine| engine.settings());
    let (Some(settings), false) = (settings, url.is_empty()) else { return Ok(String::new()) };
    let bad = |why: &str| {
        Fault::new(FaultKind::BadCallback, format!("no callback can go to this URL: {why}"))
    };
    let text = std::str::from_utf8(url).map_err(|_| bad("it is not ASCII"))?;
    match Url::read(text, &callback::allowed(settings)) {
        Ok(_) => Ok(text.to_owned()),
        Err(why) => Err(bad(&why.to_string())),
    }
}

fn queue<'a>(house: &'a House, rule: &Rule) -> &'a offload::settings::Queue {
    let settings = house.snapshot.settings.offload.as_ref();
    &settings.expect("a route that offloads has a queue").queues[rule.queue]
}

/// Why a request was not kept, for its client.
fn refusal(refused: Accepted) -> Fault {
    match refused {
        Accepted::Mismatch => {
            let detail = "this Idempotency-Key belongs to another request";
            Fault::new(FaultKind::IdempotencyMismatch, detail)
        }
        Accepted::Full(what, after) => {
            let detail = format!("no room for another job: {}", what.name());
            Fault::new(FaultKind::QueueFull, detail).retry_after(after)
        }
        Accepted::DiskFull => {
            let detail = "the disk of [offload] has no room for another job";
            Fault::new(FaultKind::StoreFull, detail).retry_after(Duration::from_secs(30))
        }
        Accepted::Broken(why) => {
            let detail = format!("the log of jobs takes nothing: {why}");
            Fault::new(FaultKind::StoreClosed, detail).retry_after(Duration::from_secs(30))
        }
        Accepted::Yes(_) | Accepted::Same(_) => Fault::new(FaultKind::Internal, "not refused"),
    }
}

/// Where a job stands that has just been accepted.
fn first_state(is_due: bool) -> &'static str {
    let state = if is_due { State::Queued } else { State::Scheduled };
    state.name()
}

/// Where a job stands that was accepted before.
fn state(engine: &Engine, id: JobId) -> &'static str {
    match engine.look(id) {
        Some(Look::Live(view)) => view.state.name(),
        Some(Look::Over(over)) => over.state.name(),
        None => "over",
    }
}

/// The 202.
fn promise(
    engine: &Engine,
    id: JobId,
    rule: &Rule,
    preference: Preference,
    (again, state, until): (bool, &str, Option<Wall>),
) -> Response {
    let token = engine.minter().token(id);
    let location = format!("{}/{token}", engine.settings().path);
    let mut head = ResponseHead::build(202);
    let fields = &mut head.fields;
    fields.push(b"Location", location.as_bytes());
    fields.push(b"Retry-After", b"1");
    fields.push(b"Cache-Control", b"no-store");
    fields.push(b"Content-Type", b"application/json");
    if preference.respond_async {
        fields.push(b"Preference-Applied", b"respond-async");
    }
    if rule.when == When::Preferred {
        fields.push(b"Vary", b"Prefer");
    }
    if again {
        fields.push(b"Idempotency-Replayed", b"true");
    }
    let mut told = serde_json::json!({
        "job": token,
        "state": state,
        "links": { "status": location, "result": format!("{location}/result") },
    });
    if let Some(until) = until {
        told["idempotency_expires"] = crate::depart::http_date(until.seconds()).into();
    }
    Response::whole(head, format!("{told}\n").into_bytes())
}

/// A head and a body as the log and the store keep them.
fn answer_bytes(head: &ResponseHead, body: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(256 + body.len());
    let framing = Framing::Length(body.len() as u64);
    h1::encode::response(&mut bytes, head, framing, h1::encode::Connection::Silent);
    bytes.extend_from_slice(body);
    bytes
}

/// Is this the address of a job's status?
pub fn is_status(house: &House, exchange: &Exchange<'_>) -> bool {
    let Some(engine) = &house.snapshot.offload else { return false };
    let rest = exchange.head.path().strip_prefix(engine.settings().path.as_bytes());
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}
