//! Jobs on the admin listener: what waits, what became of the others, and what an operator does about
//! it.
//!
//! | request | answer |
//! | --- | --- |
//! | `GET /jobs` | jobs that wait, then jobs that are over, a page at a time ([`list`]) |
//! | `GET /jobs/dead` | dead jobs alone |
//! | `GET /jobs/ID` | all that is known of one ([`one`]); `ID` is its UUID or its token |
//! | `POST /jobs/ID/retry` | due now, or, if it is dead, replayed |
//! | `POST /jobs/ID/cancel` | taken back |
//! | `DELETE /jobs/ID` | forgotten, if it is over |
//! | `POST /jobs/replay` | dead jobs become new ones, in the background ([`replay`]) |
//! | `GET /jobs/replays`, `GET /jobs/replays/N` | how far that is |
//! | `POST /jobs/replays/N/cancel` | it ends |
//!
//! What waits for a disk is done on a thread that may block. Errors are JSON: `error` names the
//! mistake, `remedy` what to do.

pub mod asked;
pub mod figures;
pub mod list;
pub mod live;
pub mod one;
pub mod replay;

use crate::admin::{Page, typed};
use crate::gateway::Gateway;
use base::Moment;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use offload::cold::ColdError;
use offload::engine::Engine;
use offload::job::{JobId, TOKEN_CHARS};
use serde_json::{Value, json};
use std::sync::Arc;

/// The longest body that is read.
const BODY_BYTES_MAX: usize = 64 << 10;

/// Why something was not done.
#[derive(Debug)]
pub struct No {
    status: StatusCode,
    error: String,
    remedy: String,
    more: Box<Value>,
}

impl No {
    /// With this status, for this reason, and what helps.
    pub fn new(status: StatusCode, error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { status, error: error.into(), remedy: remedy.into(), more: Box::new(Value::Null) }
    }

    fn bad(error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error, remedy)
    }

    fn conflict(error: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, error, remedy)
    }

    fn closed(error: impl Into<String>) -> Self {
        let remedy =
            "see that its disk is well, then restart the gateway: what was accepted is kept";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error, remedy)
    }

    fn page(self) -> Page {
        let mut told = json!({ "error": self.error, "remedy": self.remedy });
        if let Value::Object(more) = *self.more {
            told.as_object_mut().expect("made above").extend(more);
        }
        page(self.status, &told)
    }
}

impl From<ColdError> for No {
    fn from(error: ColdError) -> Self {
        let remedy = "see that its disk is well and has room";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, crate::gateway::chain(&error), remedy)
    }
}

/// What is answered: a status and JSON.
pub type Told = Result<(StatusCode, Value), No>;

fn page(status: StatusCode, told: &Value) -> Page {
    typed(status, "application/json", format!("{told:#}\n"))
}

/// Is this address one of ours?
pub fn is_ours(path: &str) -> bool {
    path == "/jobs" || path.starts_with("/jobs/")
}

/// Answers for `/jobs` and all below it.
pub async fn answer(gateway: &Arc<Gateway>, request: Request<Incoming>) -> Page {
    let path = request.uri().path().to_owned();
    let below: Vec<&str> = path.split('/').skip(2).filter(|part| !part.is_empty()).collect();
    let Some(allowed) = allowed(&below) else {
        let remedy = "see GET / for what there is below /jobs";
        return No::new(StatusCode::NOT_FOUND, format!("{path} is nothing here"), remedy).page();
    };
    let method = match *request.method() {
        Method::HEAD => Method::GET,
        ref other => other.clone(),
    };
    if !allowed.split(", ").any(|allowed| allowed == method.as_str()) {
        let error = format!("{path} does not take {method}");
        let status = StatusCode::METHOD_NOT_ALLOWED;
        let mut page = No::new(status, error, format!("send {allowed}")).page();
        page.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
        return page;
    }
    let Some(engine) = gateway.snapshot().offload.clone() else {
        let remedy = "add [offload] to the settings, and `offload` to a route";
        let error = "no jobs are kept here: this gateway has no [offload]";
        return No::new(StatusCode::NOT_FOUND, error, remedy).page();
    };
    match told(gateway, &engine, &below, &method, request).await {
        Ok((status, told)) => page(status, &told),
        Err(no) => no.page(),
    }
}

/// The methods of an address, by its parts below `/jobs`.
fn allowed(below: &[&str]) -> Option<&'static str> {
    Some(match below {
        [] | ["dead" | "replays"] | ["replays", _] => "GET, HEAD",
        ["replay"] | ["replays", _, "cancel"] | [_, "retry" | "cancel"] => "POST",
        [_] => "GET, HEAD, DELETE",
        _ => return None,
    })
}

async fn told(
    gateway: &Arc<Gateway>,
    engine: &Arc<Engine>,
    below: &[&str],
    method: &Method,
    request: Request<Incoming>,
) -> Told {
    let query = request.uri().query().unwrap_or_default().to_owned();
    match below {
        [] | ["dead"] => {
            let mut asked = asked::query(&query, Moment::now().wall_ms())?;
            if !below.is_empty() {
                asked.only_dead()?;
            }
            let engine = Arc::clone(engine);
            blocking(move || list::list(&engine, &asked)).await
        }
        ["replay"] => {
            let body = Limited::new(request.into_body(), BODY_BYTES_MAX).collect().await;
            let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
            let (asked, most) = asked::body(&body, Moment::now().wall_ms())?;
            gateway.replays.start(engine, asked, most).await
        }
        ["replays"] => Ok((StatusCode::OK, gateway.replays.list())),
        ["replays", number] => gateway.replays.show(number),
        ["replays", number, "cancel"] => gateway.replays.cancel(number),
        [id, what @ ..] => {
            let id = named(engine, id)?;
            match what {
                ["retry"] => one::retry(engine, id).await,
                ["cancel"] => one::cancel(engine, id).await,
                _ if *method == Method::DELETE => one::forget(engine, id).await,
                _ => {
                    let redact = gateway.snapshot().settings.monitor.redact.clone();
                    let engine = Arc::clone(engine);
                    blocking(move || one::show(&engine, id, &redact)).await
                }
            }
        }
    }
}

/// Does what waits for a disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, No> + Send + 'static,
) -> Result<T, No> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Err(No::new(status, error.to_string(), "this is a mistake of ours: please tell us"))
    })
}

/// The job with this UUID or token.
fn named(engine: &Engine, text: &str) -> Result<JobId, No> {
    if let Some(id) = JobId::parse(text) {
        return Ok(id);
    }
    if let Some(id) = engine.minter().read(text.as_bytes()) {
        return Ok(id);
    }
    let remedy =
        "give a job's id as GET /jobs lists it, or the token at the end of its status address";
    if text.len() == TOKEN_CHARS {
        let error = format!("{text} is no token of this gateway");
        return Err(No::new(StatusCode::NOT_FOUND, error, remedy));
    }
    Err(No::bad(format!("{} is no id of a job", shortened(text)), remedy))
}

/// What somebody sent, short enough to be said to him.
fn shortened(text: &str) -> String {
    let plain: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    if plain.len() < text.len() { format!("\"{plain}...\"") } else { format!("\"{plain}\"") }
}

/// Nobody knows this job.
fn unknown(engine: &Engine, id: JobId) -> No {
    if id.node() != engine.node() {
        let error = format!("{id} was accepted by another gateway");
        let remedy = "ask the admin listener of the gateway that accepted it";
        return No::new(StatusCode::NOT_FOUND, error, remedy);
    }
    let remedy = "jobs that are over are remembered for `keep` and `keep_dead` of [offload]";
    No::new(StatusCode::GONE, format!("{id} is forgotten, or never was"), remedy)
}
