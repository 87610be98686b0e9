//! Active checks: one task for each server of a service that has them.
//!
//! Each check has a connection of its own and an end; at most [`CHECKS_MAX`] are under way at once,
//! over all services. First checks are spread over [`SPREAD`], so that a start or a big change does
//! not become a burst, and every pause is a tenth longer or shorter by chance, so that gateways do
//! not fall into step. The task decides ([`Streak`]); its keeper tells the pool.

use super::dial::{self, Stream};
use super::found::Task;
use arc_swap::ArcSwap;
use balance::Checked;
use base::{Deadline, Moment};
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::Empty;
use service::Shared;
use service::check::{self, GRPC_PATH, GRPC_SERVING, Streak};
use service::settings::{Check, CheckKind, Http, Scheme, Server};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use wire::timer;

/// Checks under way at once, of all services.
pub(super) const CHECKS_MAX: usize = 64;
/// First checks are spread over so much time, or a quarter of their interval if that is less.
const SPREAD: Duration = Duration::from_millis(250);
/// Longest answer of gRPC's health protocol.
const GRPC_BYTES_MAX: usize = 4 << 10;

/// The checks of one server; they end when this is dropped.
#[derive(Debug)]
pub(super) struct Checker {
    state: Arc<Mutex<State>>,
    /// When it began.
    pub(super) begun: Moment,
    _task: Task,
}

#[derive(Debug)]
struct State {
    verdict: Option<Checked>,
    /// What operators should hear of it, once the pool knows.
    news: Option<String>,
}

impl Checker {
    /// Begins to check; `known` is what former checks have found. `at_once`: somebody waits.
    pub(super) fn start(
        shared: &Arc<ArcSwap<Shared>>,
        server: Server,
        known: Option<Checked>,
        seats: &Arc<Semaphore>,
        at_once: bool,
    ) -> Self {
        let state = Arc::new(Mutex::new(State { verdict: known, news: None }));
        let told = Arc::clone(&state);
        let (shared, seats) = (Arc::clone(shared), Arc::clone(seats));
        let work = async move {
            let Some(rules) = shared.load().settings.check.clone() else { return };
            let spread = if at_once { Duration::ZERO } else { SPREAD.min(rules.every / 4) };
            tokio::time::sleep(spread.mul_f64(fastrand::f64())).await;
            let mut streak = Streak::after(known);
            loop {
                let Ok(seat) = seats.acquire().await else { return };
                let service = shared.load_full();
                let found = once(&service, &rules, &server).await;
                drop(seat);
                if let Some(verdict) = streak.note(found.is_ok(), &rules) {
                    lock(&told).decide(verdict, found.err());
                }
                tokio::time::sleep(rules.every.mul_f64(0.9 + 0.2 * fastrand::f64())).await;
            }
        };
        Self { state, begun: Moment::now(), _task: Task::start(work) }
    }

    /// What is decided; `None` before the first check.
    pub(super) fn verdict(&self) -> Option<Checked> {
        lock(&self.state).verdict
    }

    /// What operators should hear, once.
    pub(super) fn news(&self) -> Option<String> {
        lock(&self.state).news.take()
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn decide(&mut self, verdict: Checked, why: Option<String>) {
        // That a server is well at first is nothing to tell.
        let again = self.verdict.is_some().then(|| "passes its checks again".to_owned());
        self.news = why.map(|why| format!("fails its checks: {why}")).or(again);
        self.verdict = Some(verdict);
    }
}

/// One check; why it failed, if it did.
async fn once(service: &Shared, rules: &Check, server: &Server) -> Result<(), String> {
    let by = Deadline::after(Moment::now(), rules.time);
    match timer::within(by, ask(service, &rules.kind, server)).await {
        Ok(found) => found,
        Err(_late) => Err(format!("no answer within {:?}", rules.time)),
    }
}

async fn ask(service: &Shared, kind: &CheckKind, server: &Server) -> Result<(), String> {
    let stream = dial::tcp(server).await.map_err(|error| chain("cannot connect", &error))?;
    if *kind == CheckKind::Tcp {
        return Ok(());
    }
    let grpc = matches!(kind, CheckKind::Grpc(_));
    let stream = match (server.scheme, service.tls()) {
        (Scheme::Https, Some((config, name))) => {
            let name = name.unwrap_or(&server.host).to_owned();
            let mut config = Arc::clone(config);
            if grpc {
                Arc::make_mut(&mut config).alpn_protocols = vec![b"h2".to_vec()];
            }
            dial::tls(stream, config, name).await.map_err(|error| chain("no TLS", &error))?
        }
        (Scheme::Http | Scheme::Https, _) => Stream::Plain(stream),
    };
    let two = grpc
        || match service.settings.http {
            Http::One => false,
            Http::Two => true,
            Http::Auto => stream.is_h2(),
        };
    let host = check::host(&service.settings.host, server);
    match kind {
        CheckKind::Tcp => Ok(()),
        CheckKind::Grpc(name) => ask_grpc(stream, server.scheme, &host, name).await,
        CheckKind::Http { path, statuses } => {
            let status = get(stream, two, server.scheme, &host, path).await?.as_u16();
            if (statuses.0..=statuses.1).contains(&status) {
                return Ok(());
            }
            Err(format!("status {status}, not {} to {}", statuses.0, statuses.1))
        }
    }
}

const USER_AGENT: &str = concat!("fleetfoot-check/", env!("CARGO_PKG_VERSION"));

/// The status of a GET.
async fn get(
    stream: Stream,
    two: bool,
    scheme: Scheme,
    host: &str,
    path: &str,
) -> Result<StatusCode, String> {
    let request = Request::get(if two { uri(scheme, host, path) } else { path.to_owned() });
    let request = request.header(http::header::USER_AGENT, USER_AGENT);
    if two {
        let request = request.body(()).map_err(|error| chain("no request", &error))?;
        let asked = dial::ask_two(stream, request, None).await;
        return asked.map(|(answer, _)| answer.status()).map_err(|e| chain("no answer", &e));
    }
    let request =
        request.header(http::header::HOST, host).header(http::header::CONNECTION, "close");
    let request = request.body(Empty::new()).map_err(|error| chain("no request", &error))?;
    let asked = dial::ask_one(stream, request).await;
    asked.map(|(answer, _)| answer.status()).map_err(|error| chain("no answer", &error))
}

/// Asks `grpc.health.v1.Health/Check` for the service `name`.
async fn ask_grpc(stream: Stream, scheme: Scheme, host: &str, name: &str) -> Result<(), String> {
    let request = Request::post(uri(scheme, host, GRPC_PATH))
        .header(http::header::CONTENT_TYPE, "application/grpc")
        .header(http::header::TE, "trailers")
        .header(http::header::USER_AGENT, USER_AGENT)
        .body(())
        .map_err(|error| chain("no request", &error))?;
    let no_answer = |error: h2::Error| chain("no answer", &error);
    let body = Bytes::from(check::grpc_request(name));
    let (answer, _drive) = dial::ask_two(stream, request, Some(body)).await.map_err(no_answer)?;
    if answer.status() != StatusCode::OK {
        return Err(format!("status {}, which gRPC never has", answer.status().as_u16()));
    }
    let (head, mut body) = answer.into_parts();
    let mut message = Vec::new();
    while let Some(part) = body.data().await {
        let part = part.map_err(no_answer)?;
        message.extend_from_slice(&part);
        if message.len() > GRPC_BYTES_MAX {
            return Err("an answer too long for the health protocol".to_owned());
        }
        body.flow_control().release_capacity(part.len()).map_err(no_answer)?;
    }
    let trailers = body.trailers().await.map_err(no_answer)?;
    let status = |fields: &HeaderMap| fields.get("grpc-status").cloned();
    let status = trailers.as_ref().and_then(status).or_else(|| status(&head.headers));
    match (status.as_ref().map(http::HeaderValue::as_bytes), check::grpc_status(&message)) {
        (Some(b"0"), Some(GRPC_SERVING)) => Ok(()),
        (Some(b"0"), Some(status)) => Err(format!("it is not SERVING (1) but {status}")),
        (Some(b"0"), None) => Err("an answer that is no HealthCheckResponse".to_owned()),
        (Some(code), _) => Err(format!("grpc-status {}", String::from_utf8_lossy(code))),
        (None, _) => Err("an answer without grpc-status".to_owned()),
    }
}

fn uri(scheme: Scheme, host: &str, path: &str) -> String {
    let scheme = if scheme == Scheme::Https { "https" } else { "http" };
    format!("{scheme}://{host}{path}")
}

/// What failed, and all its causes.
fn chain(what: &str, error: &dyn Error) -> String {
    format!("{what}: {}", crate::gateway::chain(error))
}
