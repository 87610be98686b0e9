//! A callback on its way: one try, on the second runtime, by a connection of its own.
//!
//! Whom it may reach is `offload`'s to say ([`address`]): the host is resolved once, each of its
//! addresses is looked at, and the connection goes to one that was looked at; nobody resolves again.
//! No redirect is followed, nothing is sent before the connection stands, and what is answered is
//! read up to a bound: its status alone counts.

use super::answer_bytes;
use base::{Moment, ResponseHead};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use offload::book::Tried;
use offload::callback::address::{Allowed, Host, NoCallback, Url, may_call};
use offload::callback::sign::Signer;
use offload::callback::{self, TRY_TIME};
use offload::engine::{CALLBACKS, Engine, Parcel};
use offload::job::Reason;
use offload::record::{self, Record};
use offload::settings::{Callback as CallbackRule, Settings};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use wire::settings::{TlsClient, Trust};

/// Callbacks that may wait for their try to begin; their queue bounds how many are under way.
const PARCELS_MAX: usize = 64;
/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Most addresses of a host that are looked at.
const ADDRESSES_MAX: usize = 16;
const USER_AGENT: &str = concat!("fleetfoot-callback/", env!("CARGO_PKG_VERSION"));

/// What makes the tries.
struct Caller {
    engine: Arc<Engine>,
    signer: Signer,
    tls: OnceLock<Option<Arc<ClientConfig>>>,
}

/// Is this job a callback?
pub fn is_one(parcel: &Parcel) -> bool {
    let summary = record::read(&parcel.record);
    matches!(summary, Ok(Record::Accept(s)) if s.queue == CALLBACKS && s.service.is_empty())
}

/// Starts what makes the tries; answers where callbacks are given to it.
pub fn start(engine: Arc<Engine>, runtime: &Handle) -> mpsc::Sender<Parcel> {
    let (give, mut take) = mpsc::channel::<Parcel>(PARCELS_MAX);
    let signer = Signer::new(&engine.settings().callback_secrets);
    let caller = Arc::new(Caller { engine, signer, tls: OnceLock::new() });
    let calling = runtime.clone();
    runtime.spawn(async move {
        while let Some(parcel) = take.recv().await {
            let caller = Arc::clone(&caller);
            calling.spawn(async move { caller.call(parcel).await });
        }
    });
    give
}

/// What an operator should know before receivers do.
pub fn remark(settings: &settings::Settings) {
    let Some(offload) = &settings.offload else { return };
    let calls = |route: &settings::Route| {
        route.offload.as_ref().is_some_and(|rule| rule.callback != CallbackRule::None)
    };
    if offload.callback_secrets.is_empty() && settings.routes.iter().any(calls) {
        let detail = "callbacks are not signed: `secrets` of [offload.callback] signs them";
        monitor::log::complain(Moment::now(), format_args!("offload: {detail}"));
    }
}

/// What callbacks are allowed beside public addresses.
pub fn allowed(settings: &Settings) -> Allowed<'_> {
    Allowed { networks: &settings.callback_allow, http: settings.callback_http }
}

/// What came of a try: the answer as it is kept, or why there is none.
type Came = Result<(Tried, Vec<u8>), Reason>;

impl Caller {
    /// Makes one try and tells the room what came of it.
    async fn call(&self, parcel: Parcel) {
        let came = tokio::time::timeout(self.time(), self.attempt(&parcel)).await;
        let (tried, answer) = match came {
            Ok(Ok(came)) => came,
            Ok(Err(reason)) => (Tried::Failed(reason), Vec::new()),
            Err(_) => (Tried::Failed(Reason::Timeout), Vec::new()),
        };
        let noted = self.engine.tried(parcel.id, parcel.attempt, tried, answer);
        let _closed = noted.await;
    }

    fn time(&self) -> Duration {
        let time = self
            .engine
            .with_book(|book| book.queue(CALLBACKS).map(|queue| book.rules(queue).try_time));
        time.unwrap_or(TRY_TIME)
    }

    async fn attempt(&self, parcel: &Parcel) -> Came {
        let told = callback::read(&parcel.request).ok_or(Reason::Damaged)?;
        let allowed = allowed(self.engine.settings());
        let url = Url::read(told.url, &allowed).map_err(|why| refused(parcel, why))?;
        let stream = connect(parcel, &url, &allowed).await?;
        let body = parcel.request.slice(told.body_at..);
        let request = self.request(parcel, &url, &told.fields, body)?;
        if !url.tls {
            return self.ask(stream, request).await;
        }
        let config = self.tls.get_or_init(tls).clone().ok_or(Reason::Unreachable)?;
        let name = ServerName::try_from(url.host.name()).map_err(|_| Reason::Refused)?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        self.ask(stream.map_err(|error| failed(&error))?, request).await
    }

    /// The request of this try: a time of its own, and so a signature of its own.
    fn request(
        &self,
        parcel: &Parcel,
        url: &Url,
        fields: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Request<Full<Bytes>>, Reason> {
        let Ok(Record::Accept(summary)) = record::read(&parcel.record) else {
            return Err(Reason::Damaged);
        };
        // A replay is the same message once more.
        let id = if summary.replay { summary.origin } else { parcel.id }.to_string();
        let seconds = Moment::now().wall_ms().seconds();
        let mut request = Request::post(url.target.as_str())
            .header("host", url.authority.as_str())
            .header("user-agent", USER_AGENT)
            .header("connection", "close")
            .header("webhook-id", id.as_str())
            .header("webhook-timestamp", seconds)
            .header("fleetfoot-attempt", parcel.attempt);
        if let Some(signature) = self.signer.sign(&id, seconds, &body) {
            request = request.header("webhook-signature", signature);
        }
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(Full::new(body)).map_err(|_| Reason::Damaged)
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Came {
        let shaken = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|_| Reason::Unreachable)?;
        let asking = async {
            let answer = sender.send_request(request).await.map_err(|_| Reason::BadAnswer)?;
            Ok(self.read(answer).await)
        };
        // The connection ends with the conversation, whatever the receiver would still say.
        tokio::select! { biased;
            came = asking => came,
            _ended = drive(connection) => Err(Reason::BadAnswer),
        }
    }

    /// The status counts, however the body ends.
    async fn read(&self, answer: Response<Incoming>) -> (Tried, Vec<u8>) {
        let most = ANSWER_BYTES_MAX.min(self.engine.settings().answer_max.0 as usize);
        let (head, mut body) = answer.into_parts();
        let mut bytes = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            let data = frame.into_data().unwrap_or_default();
            let room = most - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() >= room {
                break;
            }
        }
        let mut kept = ResponseHead::build(head.status.as_u16());
        if let Some(kind) = head.headers.get(http::header::CONTENT_TYPE) {
            kept.fields.push(b"Content-Type", kind.as_bytes());
        }
        let (status, retry_after) = (head.status.as_u16(), retry_after(&head.headers));
        (Tried::Answered { status, retry_after }, answer_bytes(&kept, &bytes))
    }
}

/// Drives a connection; never ends before the conversation on it has.
async fn drive<T>(connection: hyper::client::conn::http1::Connection<TokioIo<T>, Full<Bytes>>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _told_to_who_asked = connection.await;
    std::future::pending::<()>().await;
}

/// A connection to an address of the host that was looked at.
async fn connect(parcel: &Parcel, url: &Url, allowed: &Allowed<'_>) -> Result<TcpStream, Reason> {
    let addresses: Vec<SocketAddr> = match &url.host {
        Host::Address(address) => vec![SocketAddr::new(*address, url.port)],
        Host::Name(name) => {
            let found = tokio::net::lookup_host((name.as_str(), url.port)).await;
            found.map_err(|_| Reason::Unreachable)?.take(ADDRESSES_MAX).collect()
        }
    };
    // One address that is none of the world's, and the whole name is not believed.
    for address in &addresses {
        may_call(address.ip(), url.port, allowed).map_err(|why| refused(parcel, why))?;
    }
    for address in addresses {
        if let Ok(stream) = TcpStream::connect(address).await {
            let _best_effort = stream.set_nodelay(true);
            return Ok(stream);
        }
    }
    Err(Reason::Unreachable)
}

fn refused(parcel: &Parcel, why: NoCallback) -> Reason {
    monitor::log::complain(Moment::now(), format_args!("callback {}: {why}", parcel.id));
    Reason::Refused
}

fn failed(error: &io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::TimedOut => Reason::Timeout,
        _ => Reason::Unreachable,
    }
}

/// Whom we believe: the system's authorities, read at the first callback that needs them.
fn tls() -> Option<Arc<ClientConfig>> {
    let settings = TlsClient { trust: Trust::System, name: None };
    match wire::tls::client(&settings, &[b"http/1.1"]) {
        Ok(config) => Some(config),
        Err(error) => {
            let why = crate::gateway::chain(&error);
            monitor::log::complain(Moment::now(), format_args!("callbacks have no TLS: {why}"));
            None
        }
    }
}

/// Seconds, or a date (RFC 9110 §10.2.3).
fn retry_after(fields: &HeaderMap) -> Option<Duration> {
    let value = fields.get(http::header::RETRY_AFTER)?.as_bytes();
    let now = Moment::now().wall_ms();
    let seconds = wire::h1::framing::decimal(value).or_else(|| {
        let at = cache::policy::date::parse(value, now)?;
        Some(u64::try_from(at).ok()?.saturating_sub(now.seconds()))
    });
    seconds.map(Duration::from_secs)
}
