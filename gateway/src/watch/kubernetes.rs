//! Servers from Kubernetes: the `EndpointSlices` of one service, listed once and watched from there.
//!
//! The protocol is the API server's usual one: a list names a version, a watch tells what has changed
//! since, line by line. A watch that ends goes on from the version it got to; one that is told that
//! this version is forgotten (410 Gone) begins with a list. Keep-alives of TCP find a connection that
//! died silently in [`KEEP_TIME`] and [`KEEP_RETRIES`] times [`KEEP_INTERVAL`]; whatever they say, the
//! watch is renewed every `every`, at least [`WATCH_LEAST`], and half as much by chance. What was found
//! last stays while the API server cannot be reached.
//!
//! In a pod, all that is needed comes with it: the address in the environment, and token, authority
//! and namespace in [`ACCOUNT`]. The token is read for each request, since it is exchanged often.

mod slices;

use super::dial::{self, Stream};
use super::found::{Task, Teller};
use base::{Deadline, Moment};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use serde_json::Value;
use service::discover::file;
use service::settings::{Scheme, Server, Source};
use slices::{Event, Slices};
use socket2::{SockRef, TcpKeepalive};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::settings::{TlsClient, Trust};
use wire::timer;

/// Where a pod finds token, authority and namespace.
const ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// Longest time to connect and to get the head of an answer, and to read a list.
const ANSWER_TIME: Duration = Duration::from_secs(10);
/// The longest list that is read.
const LIST_BYTES_MAX: usize = 64 << 20;
/// The longest line of a watch that is read: one slice, of 1,000 endpoints at most.
const EVENT_BYTES_MAX: usize = 8 << 20;
/// A watch is asked to last so long at least.
const WATCH_LEAST: Duration = Duration::from_mins(1);
/// How long a watch says nothing before it is asked whether it is still there.
const KEEP_TIME: Duration = Duration::from_secs(10);
/// How soon it is asked again.
const KEEP_INTERVAL: Duration = Duration::from_secs(5);
/// How often, before it is given up.
const KEEP_RETRIES: u32 = 3;
/// How much longer than it was asked to a watch may last before it is given up.
const WATCH_LATE: Duration = Duration::from_secs(5);
/// The pause after a watch; doubled for each in a row that did not last, half of it by chance.
const PAUSE_LEAST: Duration = Duration::from_millis(50);
/// How long a watch lives that has lasted.
const LASTED: Duration = Duration::from_secs(5);
/// The pause after many failures.
const PAUSE_MOST: Duration = Duration::from_secs(10);

/// Whom to ask, and for what.
struct Asking {
    api: Option<String>,
    namespace: Option<String>,
    service: String,
    token: Option<PathBuf>,
    trust: Option<PathBuf>,
}

/// How a watch ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// It was over, or its connection was: go on from where it got to.
    Over,
    /// Where it got to is forgotten.
    Gone,
}

/// Tells of the endpoints of a service, for ever.
pub(super) async fn follow(from: Source, every: Duration, mut teller: Teller) {
    let Source::Kubernetes { api, namespace, service, port, scheme, token, trust } = from else {
        return;
    };
    let asking = Asking { api, namespace, service, token, trust };
    let mut slices = Slices::new(scheme, port);
    let mut short: u32 = 0;
    loop {
        let begun = Moment::now();
        let lasts = every.max(WATCH_LEAST).mul_f64(1.0 + 0.5 * fastrand::f64());
        if let Err(why) = round(&asking, &mut slices, lasts, &mut teller).await {
            teller.trouble(why);
        }
        // Even what ends well pauses: an API server that ends each watch at once is not hurried.
        let lasted = Moment::now().since(begun) >= LASTED;
        short = if lasted { 0 } else { short.saturating_add(1) };
        let pause = PAUSE_LEAST.saturating_mul(1 << short.min(10)).min(PAUSE_MOST);
        tokio::time::sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
    }
}

/// A list if there is none yet, then one watch to its end.
async fn round(
    asking: &Asking,
    slices: &mut Slices,
    lasts: Duration,
    teller: &mut Teller,
) -> Result<(), String> {
    let place = asking.place().await?;
    slices.place(&asking.service, &place.namespace);
    if slices.version().is_none() {
        list(&place, slices).await?;
        teller.found(slices.spots());
        teller.fine();
    }
    match watch(&place, slices, lasts, teller).await? {
        Ended::Over => {}
        Ended::Gone => slices.forget_version(),
    }
    Ok(())
}

async fn list(place: &Place, slices: &mut Slices) -> Result<(), String> {
    let by = Deadline::after(Moment::now(), ANSWER_TIME);
    let reading = async {
        let (answer, _drive) = place.ask(&place.path).await?;
        if answer.status() != StatusCode::OK {
            return Err(refused(answer).await);
        }
        let body = Limited::new(answer.into_body(), LIST_BYTES_MAX).collect().await;
        let body = body.map_err(|error| format!("a list that cannot be read: {error}"))?;
        serde_json::from_slice::<Value>(&body.to_bytes())
            .map_err(|error| format!("a list that is no JSON: {error}"))
    };
    let late = |_| Err(format!("no list within {ANSWER_TIME:?}"));
    let list = timer::within(by, reading).await.unwrap_or_else(late);
    let why = |why| format!("cannot list the EndpointSlices of {}: {why}", place.what);
    slices.list(&list.map_err(why)?).map_err(why)
}

async fn watch(
    place: &Place,
    slices: &mut Slices,
    lasts: Duration,
    teller: &mut Teller,
) -> Result<Ended, String> {
    let why = |why: String| format!("cannot watch the EndpointSlices of {}: {why}", place.what);
    let version = slices.version().unwrap_or_default();
    let target = format!(
        "{}&watch=1&allowWatchBookmarks=true&timeoutSeconds={}&resourceVersion={version}",
        place.path,
        lasts.as_secs()
    );
    let by = Deadline::after(Moment::now(), ANSWER_TIME);
    let asked = timer::within(by, place.ask(&target)).await;
    let asked = asked.unwrap_or_else(|_| Err(format!("no answer within {ANSWER_TIME:?}")));
    let (answer, _drive) = asked.map_err(why)?;
    match answer.status() {
        StatusCode::OK => teller.fine(),
        StatusCode::GONE => return Ok(Ended::Gone),
        _ => return Err(why(refused(answer).await)),
    }
    let by = Deadline::after(Moment::now(), lasts + WATCH_LATE);
    let mut body = answer.into_body();
    let mut line = Vec::new();
    // An end of the connection in whatever way is an end of the watch.
    while let Ok(Some(Ok(frame))) = timer::within(by, body.frame()).await {
        let Ok(data) = frame.into_data() else { continue };
        let mut rest = &data[..];
        let mut changed = false;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            line.extend_from_slice(&rest[..end]);
            rest = &rest[end + 1..];
            match slices.event(&line) {
                Ok(Event::Nothing) => {}
                Ok(Event::Changed) => changed = true,
                Ok(Event::Gone) => return Ok(Ended::Gone),
                Err(error) => {
                    slices.forget_version(); // what was missed, nobody knows
                    return Err(why(error));
                }
            }
            line.clear();
        }
        line.extend_from_slice(rest);
        if line.len() > EVENT_BYTES_MAX {
            return Err(why(format!("an event of more than {EVENT_BYTES_MAX} bytes")));
        }
        if changed {
            teller.found(slices.spots());
        }
    }
    Ok(Ended::Over)
}

/// What an answer that is none says.
async fn refused(answer: Response<Incoming>) -> String {
    const SAID_BYTES_MAX: usize = 64 << 10;
    let status = answer.status().as_u16();
    let body = Limited::new(answer.into_body(), SAID_BYTES_MAX).collect().await;
    let body = body.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let said = serde_json::from_slice::<Value>(&body).ok();
    match said.as_ref().and_then(|said| said.get("message")?.as_str()) {
        Some(message) => format!("status {status}: {message}"),
        None => format!("status {status}"),
    }
}

/// An API server, and what to ask it for, with the credentials of this moment.
struct Place {
    server: Server,
    token: Option<String>,
    trust: Option<PathBuf>,
    namespace: String,
    path: String,
    what: String,
}

impl Asking {
    async fn place(&self) -> Result<Place, String> {
        let api = match &self.api {
            Some(api) => api.clone(),
            None => of_pod()?,
        };
        let server = file::server(&api)?;
        let namespace = match &self.namespace {
            Some(namespace) => namespace.clone(),
            None => read(&Path::new(ACCOUNT).join("namespace")).await?,
        };
        let token = match &self.token {
            Some(file) => Some(read(file).await?),
            None => read(&Path::new(ACCOUNT).join("token")).await.ok(),
        };
        let pods = Path::new(ACCOUNT).join("ca.crt");
        let trust = self.trust.clone().or_else(|| pods.exists().then_some(pods));
        let service = &self.service;
        let path = format!(
            "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices\
             ?labelSelector=kubernetes.io%2Fservice-name%3D{service}"
        );
        let what = format!("{namespace}/{service} at {api}");
        Ok(Place { server, token, trust, namespace, path, what })
    }
}

/// The API server that a pod's environment names.
fn of_pod() -> Result<String, String> {
    let read = |name: &str| {
        let value = std::env::var(name).ok().filter(|value| !value.is_empty());
        value.ok_or_else(|| format!("{name} is not set: no pod? then give `api`"))
    };
    let host = read("KUBERNETES_SERVICE_HOST")?;
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    Ok(format!("https://{host}:{}", read("KUBERNETES_SERVICE_PORT")?))
}

async fn read(file: &Path) -> Result<String, String> {
    let text = tokio::fs::read_to_string(file).await;
    let text = text.map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Ok(text.trim().to_owned())
}

impl Place {
    async fn ask(&self, target: &str) -> Result<(Response<Incoming>, Task), String> {
        let chain = |what: &str, error: &dyn std::error::Error| {
            format!("{what}: {}", crate::gateway::chain(error))
        };
        let stream = dial::tcp(&self.server).await.map_err(|e| chain("cannot connect", &e))?;
        let keep = TcpKeepalive::new().with_time(KEEP_TIME).with_interval(KEEP_INTERVAL);
        let keep = keep.with_retries(KEEP_RETRIES);
        let _best_effort = SockRef::from(&stream).set_tcp_keepalive(&keep);
        let stream = match self.server.scheme {
            Scheme::Http => Stream::Plain(stream),
            Scheme::Https => {
                let trust = self.trust.clone().map_or(Trust::System, Trust::File);
                let rules = TlsClient { trust, name: None };
                let config = wire::tls::client(&rules, &[b"http/1.1"]);
                let config = config.map_err(|error| chain("no TLS", &error))?;
                let name = self.server.host.clone();
                dial::tls(stream, config, name).await.map_err(|error| chain("no TLS", &error))?
            }
        };
        let host = service::check::host(&service::settings::HostRule::Server, &self.server);
        let mut request = Request::get(target)
            .header(http::header::HOST, host)
            .header(http::header::ACCEPT, "application/json")
            .header(http::header::USER_AGENT, concat!("fleetfoot/", env!("CARGO_PKG_VERSION")));
        if let Some(token) = &self.token {
            request = request.header(http::header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Empty::<Bytes>::new());
        let request = request.map_err(|error| chain("no request", &error))?;
        dial::ask_one(stream, request).await.map_err(|error| chain("no answer", &error))
    }
}
