//! The public HTTP cache suite (http-tests/cache-tests): its cases as data, played by our own kit.
//!
//! A case is a list of steps, each a request with the answer the origin gives and what must be seen
//! of both. We play client and origin at once; between them stands the gateway, or any other
//! cache. Which answers come from the cache is told by a count that the origin writes into every
//! answer. The rules, and the small print of the suite's own engine that decides cases (fields of
//! one name are joined, dates count from the origin's clock, a case whose dependency fails counts as
//! failed), are kept as they are there; the code and the words are ours. The data stay outside the
//! repository: see [`case::load`].

pub mod case;
pub mod date;
pub mod judge;
pub mod origin;
pub mod report;

use crate::client::Client;
use crate::message::{Field, status};
use case::{Case, Step};
use judge::{Judge, Verdict};
use origin::Origin;
use report::Report;
use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// Cases in flight at once. Nearly all of a case's time is pauses.
const AT_ONCE: usize = 50;

/// What `pause_after` means. The suite's lifetimes are made for it.
const PAUSE: Duration = Duration::from_secs(3);

/// A request to send.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path and query.
    pub target: String,
    /// Its fields without Host and framing, each name once.
    pub fields: Vec<Field>,
    /// Its body.
    pub body: Option<&'a str>,
}

/// An answer, however it came.
#[derive(Debug, Default)]
pub struct Seen {
    /// Its status.
    pub status: u16,
    /// Its fields in order.
    pub fields: Vec<Field>,
    /// The interim responses before it, with their fields.
    pub interim: Vec<(u16, Vec<Field>)>,
    /// Its body.
    pub body: Vec<u8>,
}

impl Seen {
    /// The values of all fields of this name as one.
    pub fn get(&self, name: &str) -> Option<String> {
        joined(&self.fields, name)
    }
}

/// A way to the cache under test.
pub trait Speak: Sync {
    /// Sends a request and reads its answer to the end.
    ///
    /// # Errors
    /// A sentence on why there is no whole answer.
    fn speak(&self, ask: &Ask) -> Result<Seen, String>;
}

/// HTTP/1.1, a connection for each request.
#[derive(Clone, Copy, Debug)]
pub struct Plain(pub SocketAddr);

impl Speak for Plain {
    fn speak(&self, ask: &Ask) -> Result<Seen, String> {
        let mut client = Client::try_connect(self.0).map_err(|error| error.to_string())?;
        let mut text = format!("{} {} HTTP/1.1\r\nHost: {}\r\n", ask.method, ask.target, self.0);
        for (name, value) in &ask.fields {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        let length = match ask.body {
            Some(body) => Some(body.len()),
            None => matches!(ask.method, "POST" | "PUT").then_some(0),
        };
        if let Some(length) = length {
            let _ = write!(text, "Content-Length: {length}\r\n");
        }
        text = text + "\r\n" + ask.body.unwrap_or_default();
        // One byte a character, as Node writes heads; bodies are ASCII.
        client.send(latin1(&text));
        let answer = client.try_response(ask.method);
        let response =
            answer.map_err(|(problem, _)| format!("{problem}\n{}", client.transcript()))?;
        let mut interim = Vec::new();
        for head in response.interim {
            interim.push((status(&head.line)?, head.fields));
        }
        let (status, fields) = (response.status, response.head.fields);
        Ok(Seen { status, fields, interim, body: response.body })
    }
}

/// Plays these cases through `speak`, with `origin` behind what is spoken to.
pub fn run(cases: &[Case], speak: &dyn Speak, origin: &Origin) -> Report {
    let next = AtomicUsize::new(0);
    let verdicts = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE.min(cases.len()) {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let verdict = play(case, speak, origin);
                    let mut verdicts = verdicts.lock().unwrap_or_else(PoisonError::into_inner);
                    verdicts.push((case.id.clone(), verdict));
                }
            });
        }
    });
    Report::new(cases, verdicts.into_inner().unwrap_or_else(PoisonError::into_inner))
}

fn play(case: &Case, speak: &dyn Speak, origin: &Origin) -> Verdict {
    let token = token();
    origin.expect(&token, case);
    let mut judge = Judge::new(case, &token);
    for (index, step) in case.steps.iter().enumerate() {
        let ask = ask(case, index, &token, judge.last());
        judge.answer(speak.speak(&ask)?)?;
        if step.pause_after {
            thread::sleep(PAUSE);
        }
    }
    judge.requests(&origin.seen(&token))
}

/// The request of a step, as Node's `fetch` sends it.
fn ask<'a>(case: &'a Case, index: usize, token: &str, last: Option<&Seen>) -> Ask<'a> {
    let step = &case.steps[index];
    let mut fields = vec![
        ("Pragma".to_owned(), "foo".to_owned()),
        ("Cache-Control".to_owned(), "nothing-to-see-here".to_owned()),
    ];
    let now_ms = last.and_then(|seen| seen.get("Server-Now")).and_then(|ms| ms.parse().ok());
    for said in &step.request_fields {
        let value = said.value.told(&said.name, step, now_ms.unwrap_or(0), "");
        add(&mut fields, &said.name, &value);
    }
    add(&mut fields, "Test-Name", &case.name);
    add(&mut fields, "Test-ID", &case.id);
    add(&mut fields, "Req-Num", &(index + 1).to_string());
    for (name, value) in [
        ("Accept", "*/*"),
        ("Accept-Language", "*"),
        ("Sec-Fetch-Mode", "cors"),
        ("User-Agent", "node"),
        ("Accept-Encoding", "gzip, deflate"),
    ] {
        if joined(&fields, name).is_none() {
            add(&mut fields, name, value);
        }
    }
    if step.request_body.is_some() && joined(&fields, "Content-Type").is_none() {
        add(&mut fields, "Content-Type", "text/plain;charset=UTF-8");
    }
    let body = step.request_body.as_deref();
    Ask { method: &step.method, target: target(step, token), fields, body }
}

fn target(step: &Step, token: &str) -> String {
    let name = step.filename.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    let query = step.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    format!("/test/{token}{name}{query}")
}

/// Adds a field; if there is one of its name already, to its value.
fn add(fields: &mut Vec<Field>, name: &str, value: &str) {
    match fields.iter_mut().find(|(n, _)| n.eq_ignore_ascii_case(name)) {
        Some((_, known)) => {
            known.push_str(if name.eq_ignore_ascii_case("cookie") { "; " } else { ", " });
            known.push_str(value);
        }
        None => fields.push((name.to_owned(), value.to_owned())),
    }
}

/// The values of all fields of this name, joined as a list.
fn joined(fields: &[Field], name: &str) -> Option<String> {
    let same = fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
    let values: Vec<_> = same.map(|(_, value)| value.as_str()).collect();
    (!values.is_empty()).then(|| values.join(", "))
}

/// The bytes of a text, one for each character.
pub(crate) fn latin1(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(c).unwrap_or(b'?')).collect()
}

/// A name for one run of a case, as long as a UUID, which is what bodies are made of.
fn token() -> String {
    let (a, b) = (RandomState::new().hash_one(0), RandomState::new().hash_one(1));
    let hex = format!("{a:016x}{b:016x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}
