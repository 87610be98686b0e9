//! What is told to a callback's URL: the request of a job that is over, and what follows a try of it.
//!
//! A callback is a job of its own in the queue [`CALLBACKS`]: made once for a job that is over, and as
//! durable. Its request has the whole URL as target. The body is what Standard Webhooks wants (`type`,
//! `timestamp`, `data`), with the fields of a `CloudEvent` beside it; signatures ([`sign`]) and the look
//! at where the URL leads ([`address`]) are made anew at each try, by whoever sends it.
//!
//! Only 2xx is success; a redirect is none. 410, and a place where no callback may go, end it at once;
//! all else is tried again, over days. One queue has many receivers, so nothing is learned from one
//! about the others: who fails is waited for, and nobody else.

pub mod address;
pub mod sign;

use crate::book::{Tried, Verdict};
use crate::cold::Over;
use crate::event::rfc3339;
use crate::job::{Reason, State};
use crate::settings::{Away, OnDead, Queue, Retry};
use base::Wall;
use serde_json::{Map, Value};
use std::time::Duration;

/// The queue of callbacks.
pub const CALLBACKS: &str = "callbacks";
/// Tries of a callback, the first included.
const TRIES: u16 = 8;
/// The first pause; with the growth and the longest, all tries take three days.
const PAUSE: Duration = Duration::from_secs(10);
const GROWTH_PERCENT: u32 = 800;
const PAUSE_MAX: Duration = Duration::from_hours(30);
/// Longest time of one try.
pub const TRY_TIME: Duration = Duration::from_secs(20);
/// Callbacks under way at once.
const AT_ONCE: usize = 16;
/// Callbacks that wait.
const JOBS_MAX: usize = 1_000_000;

/// How the job is known outside.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    /// Its token: what its client was given.
    pub token: &'a str,
    /// Where status addresses are.
    pub path: &'a str,
    /// The gateway that accepted it.
    pub node: &'a str,
}

/// The request that tells a URL of a job that is over: a head with the whole URL as its target, and a
/// body, as HTTP/1.1 writes them.
pub fn request(over: &Over, url: &str, about: About<'_>) -> Vec<u8> {
    let kind = format!("fleetfoot.job.{}.v1", over.state.name());
    let time = rfc3339(over.ended);
    let mut told = Map::new();
    told.insert("type".into(), kind.as_str().into());
    told.insert("timestamp".into(), time.as_str().into());
    told.insert("data".into(), Value::Object(data(over, about)));
    let body = Value::Object(told).to_string();
    let head = format!(
        "POST {url} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         ce-specversion: 1.0\r\nce-id: {}\r\nce-source: /fleetfoot/{}\r\nce-type: {kind}\r\n\
         ce-time: {time}\r\nce-subject: {}\r\n\r\n",
        body.len(),
        over.id,
        about.node,
        about.token,
    );
    let mut request = head.into_bytes();
    request.extend_from_slice(body.as_bytes());
    request
}

fn data(over: &Over, About { token, path, .. }: About<'_>) -> Map<String, Value> {
    let mut data = Map::new();
    data.insert("job".into(), token.into());
    data.insert("id".into(), over.id.to_string().into());
    data.insert("state".into(), over.state.name().into());
    data.insert("reason".into(), over.reason.name().into());
    data.insert("queue".into(), over.queue.as_str().into());
    data.insert("route".into(), over.route.as_str().into());
    data.insert("attempts".into(), over.attempts.into());
    if over.status != 0 {
        data.insert("status".into(), over.status.into());
    }
    let mut links = Map::new();
    links.insert("status".into(), format!("{path}/{token}").into());
    if !over.answer.is_empty() {
        links.insert("result".into(), format!("{path}/{token}/result").into());
    }
    data.insert("links".into(), Value::Object(links));
    data
}

/// A request that [`request`] has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told<'a> {
    /// Whom.
    pub url: &'a str,
    /// Fields, but for its length.
    pub fields: Vec<(&'a str, &'a str)>,
    /// Where its body begins.
    pub body_at: usize,
}

/// Reads what [`request`] has made.
pub fn read(request: &[u8]) -> Option<Told<'_>> {
    let end = request.windows(4).position(|four| four == b"\r\n\r\n")?;
    let mut lines = std::str::from_utf8(&request[..end]).ok()?.split("\r\n");
    let url = lines.next()?.strip_prefix("POST ")?.strip_suffix(" HTTP/1.1")?;
    let fields: Option<Vec<(&str, &str)>> = lines.map(|line| line.split_once(": ")).collect();
    let mut fields = fields?;
    fields.retain(|(name, _)| *name != "Content-Length");
    Some(Told { url, fields, body_at: end + 4 })
}

/// The queues with that of callbacks: by its own rules where the file has none, and never carried by a
/// broker, for no other gateway looks after the promise. What is tried again is said here alone.
pub fn with_queue(queues: &[Queue]) -> Vec<Queue> {
    let mut all = queues.to_vec();
    match all.iter_mut().find(|queue| queue.name == CALLBACKS) {
        Some(queue) => queue.broker = None,
        None => all.push(queue()),
    }
    all
}

fn queue() -> Queue {
    Queue {
        name: CALLBACKS.to_owned(),
        broker: None,
        takes: true,
        away: Away::Refuse,
        at_once: AT_ONCE,
        rate: None,
        replay_rate: None,
        retry: Retry {
            tries: TRIES,
            pause: PAUSE,
            growth_percent: GROWTH_PERCENT,
            pause_max: PAUSE_MAX,
            on: Retry::standard_statuses(),
            lost_max: TRIES,
        },
        try_time: TRY_TIME,
        expires: None,
        jobs_max: JOBS_MAX,
        age_max: None,
        on_dead: OnDead::Skip,
    }
}

/// What a try says of the queue as a whole: nothing, unless it went well.
pub fn lesson(tried: &Tried) -> Tried {
    match *tried {
        Tried::Answered { status: 200..=299, .. } => *tried,
        _ => Tried::Failed(Reason::Refused),
    }
}

/// What follows try number `attempt` of a callback.
pub fn verdict(
    rules: &Retry,
    attempt: u16,
    tried: &Tried,
    now: Wall,
    rng: &mut fastrand::Rng,
) -> Verdict {
    let (reason, asked) = match *tried {
        Tried::Answered { status: 200..=299, .. } => {
            return Verdict::Done { state: State::Succeeded, reason: Reason::Delivered };
        }
        Tried::Answered { status: 410, .. } | Tried::Failed(Reason::Refused) => {
            return Verdict::Dead { reason: Reason::Refused };
        }
        Tried::Answered { retry_after, .. } => (Reason::Status, retry_after.unwrap_or_default()),
        Tried::Failed(reason) => (reason, Duration::ZERO),
    };
    if attempt >= rules.tries {
        return Verdict::Dead { reason };
    }
    // Who is asked too much is left alone for a step longer (Standard Webhooks).
    let is_throttled = matches!(tried, Tried::Answered { status: 429 | 502 | 504, .. });
    let pause = longest(rules, attempt + u16::from(is_throttled));
    let pause = jitter(pause, rng).max(asked.min(rules.pause_max));
    Verdict::Again { due: now + pause, reason }
}

fn longest(rules: &Retry, attempt: u16) -> Duration {
    let most = rules.pause_max.as_secs_f64();
    let growth = f64::from(rules.growth_percent) / 100.0;
    let pause = rules.pause.as_secs_f64() * growth.powi(i32::from(attempt.max(1)) - 1);
    Duration::from_secs_f64(if pause.is_finite() { pause.min(most) } else { most })
}

/// A fifth more or less: few tries over days must not come soon one after another.
fn jitter(pause: Duration, rng: &mut fastrand::Rng) -> Duration {
    pause.mul_f64(0.8 + 0.4 * rng.f64())
}

#[cfg(test)]
mod tests;
