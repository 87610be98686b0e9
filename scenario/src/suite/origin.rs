//! The origin of the suite: answers each step as its case declares, and remembers what it was asked.
//!
//! It behaves as a server on Node does: fields of one name stand together, Date, Connection and
//! Content-Length are added where the case names none, and a body is sent whole whatever length
//! the case declares.

use super::case::{Case, Said, Step, Type, Value};
use super::{date, joined};
use crate::message::{Field, Request};
use crate::origin::{Action, send};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, UNIX_EPOCH};

/// A running origin of the suite.
pub struct Origin {
    server: crate::Origin,
    runs: Runs,
}

type Runs = Arc<Mutex<HashMap<String, Run>>>;

/// One run of a case.
struct Run {
    case: Case,
    /// The fields of each step's answer, once they were said: dates are not counted again.
    said: Vec<Option<Vec<Field>>>,
    seen: Vec<Asked>,
}

/// A request that reached the origin.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Which step the client says it is; `None` if it does not.
    pub number: Option<usize>,
    /// Its method.
    pub method: String,
    /// Its fields, each name once.
    pub fields: Vec<Field>,
    /// The fields that the client must find in the answer.
    pub answered: Vec<Field>,
}

impl Origin {
    /// On a free port.
    pub fn start() -> Self {
        Self::at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// On this address.
    pub fn at(address: SocketAddr) -> Self {
        let runs = Runs::default();
        let known = Arc::clone(&runs);
        let server = crate::Origin::forgetful_at(address, move |request| script(&known, request));
        Self { server, runs }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// What a strict server would have refused of what came.
    pub fn problems(&self) -> Vec<String> {
        self.server.problems()
    }

    /// Answers requests below `/test/TOKEN` as `case` declares.
    pub fn expect(&self, token: &str, case: &Case) {
        let said = vec![None; case.steps.len()];
        let run = Run { case: case.clone(), said, seen: Vec::new() };
        lock(&self.runs).insert(token.to_owned(), run);
    }

    /// What has reached it below `/test/TOKEN`.
    pub fn seen(&self, token: &str) -> Vec<Asked> {
        lock(&self.runs).get(token).map(|run| run.seen.clone()).unwrap_or_default()
    }
}

fn lock(runs: &Runs) -> MutexGuard<'_, HashMap<String, Run>> {
    runs.lock().unwrap_or_else(PoisonError::into_inner)
}

fn script(runs: &Runs, request: &Request) -> Vec<Action> {
    let path = request.target.split('?').next().unwrap_or_default();
    let token = path.strip_prefix("/test/").and_then(|rest| rest.split('/').next());
    let token = token.unwrap_or_default().to_owned();
    let pause = lock(runs).get(&token).map(|run| run.step(request).map(|i| run.pause(i)));
    match pause {
        None => refusal("404 Unknown case"),
        Some(None) => refusal("409 Unknown step"),
        Some(Some(pause)) => {
            // We are the connection's own thread and hold no lock.
            thread::sleep(pause);
            let mut runs = lock(runs);
            let run = runs.get_mut(&token).expect("a run is never forgotten");
            run.answer(&token, request)
        }
    }
}

fn refusal(status: &str) -> Vec<Action> {
    crate::origin::answer(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n"))
}

impl Run {
    /// Which step this request is: the client says so, or else they are counted.
    fn step(&self, request: &Request) -> Option<usize> {
        let number = number(request).filter(|&number| number > 0).unwrap_or(self.seen.len() + 1);
        (number <= self.case.steps.len()).then(|| number - 1)
    }

    fn pause(&self, index: usize) -> Duration {
        Duration::from_secs(self.case.steps[index].response_pause)
    }

    fn answer(&mut self, token: &str, request: &Request) -> Vec<Action> {
        let Some(index) = self.step(request) else { return refusal("409 Unknown step") };
        let asked = fields(request);
        let (status, reason) = self.status(index, &asked);
        let (mut fields, answered) = self.fields(index, request);
        let method = request.method.clone();
        self.seen.push(Asked { number: number(request), method, fields: asked, answered });
        let step = &self.case.steps[index];
        if step.disconnect {
            return vec![Action::Close];
        }
        if joined(&fields, "content-type").is_none() {
            fields.push(("Content-Type".to_owned(), "text/plain".to_owned()));
        }
        let numbers = self.seen.iter().map(|asked| told(asked.number));
        fields.push(("Request-Numbers".to_owned(), numbers.collect::<Vec<_>>().join(" ")));
        let body = match status {
            204 | 304 => None,
            _ if request.method == "HEAD" => None,
            _ => Some(step.response_body.as_deref().unwrap_or(token)),
        };
        let last = frame(&mut fields, body, request);
        let text = interim(step) + &head(status, &reason, &fields) + body.unwrap_or_default();
        let mut actions = vec![Action::Body, send(super::latin1(&text))];
        if last {
            actions.push(Action::Close);
        }
        actions
    }

    /// The status declared; where a validation is expected, 304 if the request asks for one by the
    /// validators of the step before, and else 999, which no other step answers.
    fn status(&self, index: usize, asked: &[Field]) -> (u16, String) {
        let step = &self.case.steps[index];
        let validates =
            matches!(step.expected_type, Some(Type::EtagValidated | Type::DateValidated));
        if !validates {
            return step.response_status.clone().unwrap_or((200, "OK".to_owned()));
        }
        let validated = [("Last-Modified", "if-modified-since"), ("ETag", "if-none-match")]
            .iter()
            .any(|(said, asks)| {
                let sent = self.validator(index, said);
                sent.is_some() && sent == joined(asked, asks)
            });
        if validated { (304, "Not Modified".to_owned()) } else { (999, "Unconditional".to_owned()) }
    }

    /// What the step before said of this name, last.
    fn validator(&self, index: usize, name: &str) -> Option<String> {
        let before = index.checked_sub(1)?;
        let declared = &self.case.steps[before].response_fields;
        let at = declared.iter().rposition(|said| said.name.eq_ignore_ascii_case(name))?;
        match (&self.said[before], &declared[at].value) {
            (Some(said), _) => Some(said[at].1.clone()),
            (None, Value::Text(text)) => Some(text.clone()),
            (None, Value::Seconds(_)) => None,
        }
    }

    /// All fields of the answer, those of one name together, and those that the client must find.
    fn fields(&mut self, index: usize, request: &Request) -> (Vec<Field>, Vec<Field>) {
        let step = &self.case.steps[index];
        let now_ms = now_ms();
        let tell = |said: &Said| {
            (said.name.clone(), said.value.told(&said.name, step, now_ms, &request.target))
        };
        let declared = self.said[index]
            .get_or_insert_with(|| step.response_fields.iter().map(tell).collect())
            .clone();
        let mut fields = vec![
            ("Server-Base-Url".to_owned(), request.target.clone()),
            ("Server-Request-Count".to_owned(), (self.seen.len() + 1).to_string()),
            ("Client-Request-Count".to_owned(), told(number(request))),
            ("Server-Now".to_owned(), now_ms.to_string()),
        ];
        let mut answered: Vec<Field> = Vec::new();
        for (said, field) in step.response_fields.iter().zip(declared) {
            let same = |(name, _): &Field| name.eq_ignore_ascii_case(&said.name);
            let at = fields.iter().rposition(same).map_or(fields.len(), |at| at + 1);
            fields.insert(at, field);
            if said.checked {
                let value = joined(&fields, &said.name).unwrap_or_default();
                answered.retain(|field| !same(field));
                answered.push((said.name.clone(), value));
            }
        }
        (fields, answered)
    }
}

/// Adds the fields that a server on Node adds. Does the connection end with this answer?
fn frame(fields: &mut Vec<Field>, body: Option<&str>, request: &Request) -> bool {
    let mut last = request.head.connection("close");
    let mut added = Vec::new();
    if joined(fields, "date").is_none() {
        added.push(("Date", date::fixdate(now_ms() / 1_000)));
    }
    match joined(fields, "connection") {
        Some(tokens) => last |= tokens.split(',').any(|t| t.trim().eq_ignore_ascii_case("close")),
        None if last => added.push(("Connection", "close".to_owned())),
        None => added.push(("Connection", "keep-alive".to_owned())),
    }
    let framed = |name| joined(fields, name).is_some();
    match body {
        // Only the end of the connection can end what the case says is coded in its own way.
        Some(_) if framed("transfer-encoding") => last = true,
        Some(body) if !framed("content-length") => {
            added.push(("Content-Length", body.len().to_string()));
        }
        _ => {}
    }
    fields.extend(added.into_iter().map(|(name, value)| (name.to_owned(), value)));
    last
}

fn interim(step: &Step) -> String {
    let mut text = String::new();
    for (status, fields) in &step.interim {
        let reason = if *status == 102 { "Processing" } else { "Early Hints" };
        text += &head(*status, reason, fields);
    }
    text
}

fn head(status: u16, reason: &str, fields: &[Field]) -> String {
    let mut text = format!("HTTP/1.1 {status} {reason}\r\n");
    for (name, value) in fields {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    text + "\r\n"
}

/// The request's fields as Node tells them: joined, but of some names only the first.
fn fields(request: &Request) -> Vec<Field> {
    const FIRST: [&str; 17] = [
        "age",
        "authorization",
        "content-length",
        "content-type",
        "etag",
        "expires",
        "from",
        "host",
        "if-modified-since",
        "if-unmodified-since",
        "last-modified",
        "location",
        "max-forwards",
        "proxy-authorization",
        "referer",
        "retry-after",
        "user-agent",
    ];
    let mut fields = Vec::new();
    for (name, value) in &request.head.fields {
        let name = name.to_ascii_lowercase();
        if !FIRST.contains(&name.as_str()) || joined(&fields, &name).is_none() {
            super::add(&mut fields, &name, value);
        }
    }
    fields
}

fn number(request: &Request) -> Option<usize> {
    joined(&request.head.fields, "req-num").and_then(|number| number.parse().ok())
}

fn told(number: Option<usize>) -> String {
    number.map_or_else(|| "NaN".to_owned(), |number| number.to_string())
}

fn now_ms() -> i64 {
    let since = base::Moment::now().wall().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).expect("a date before the year 292 million")
}
