//! A message to a URL that a stranger may have chosen: one try, on the second runtime, by a connection
//! of its own.
//!
//! Whom it may reach is `offload`'s to say ([`address`](offload::callback::address)): the host is
//! resolved once, each of its addresses is looked at, and the connection goes to one that was looked
//! at; nobody resolves again. No redirect is followed, nothing is sent before the connection stands,
//! and what is answered is read up to a bound: its status alone counts. Messages are signed as Standard
//! Webhooks has it, anew at each try.

use base::Moment;
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{Connection, handshake};
use hyper_util::rt::TokioIo;
use offload::callback::address::{Allowed, Host, NoCallback, Url, may_call};
use offload::callback::sign::Signer;
use offload::settings::Settings;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use wire::settings::{TlsClient, Trust};

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// Most addresses of a host that are looked at.
const ADDRESSES_MAX: usize = 16;
const USER_AGENT: &str = concat!("fleetfoot-callback/", env!("CARGO_PKG_VERSION"));

/// What sends messages, under the rules of `[offload.callback]`.
#[derive(Debug)]
pub struct Poster {
    signer: Signer,
    networks: Vec<(IpAddr, u8)>,
    http: bool,
    answer_max: usize,
    tls: OnceLock<Option<Arc<ClientConfig>>>,
}

/// One message.
#[derive(Debug)]
pub struct Letter<'a> {
    /// To whom.
    pub url: &'a str,
    /// The same at each try.
    pub id: &'a str,
    /// Which try.
    pub attempt: u16,
    /// Fields of its own.
    pub fields: &'a [(&'a str, &'a str)],
    /// Its content.
    pub body: Bytes,
}

/// What came of a letter.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// What it asks for.
    pub retry_after: Option<Duration>,
    /// The media type of its body.
    pub content_type: Option<Vec<u8>>,
    /// As much of its body as is kept.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Unanswered {
    /// No message may go there.
    #[error("{0}")]
    NotAllowed(#[from] NoCallback),
    /// Nobody is there, or nobody whom we believe.
    #[error("it cannot be reached: {0}")]
    Unreachable(String),
    /// It broke off, or is no HTTP.
    #[error("no answer that is HTTP: {0}")]
    Bad(String),
    /// The message is none.
    #[error("the message is none")]
    Damaged,
}

impl Poster {
    /// Under these settings; `None`: to public addresses, not signed.
    pub fn new(settings: Option<&Settings>) -> Self {
        let secrets = settings.map_or(&[][..], |settings| &settings.callback_secrets);
        Self {
            signer: Signer::new(secrets),
            networks: settings.map_or_else(Vec::new, |settings| settings.callback_allow.clone()),
            http: settings.is_some_and(|settings| settings.callback_http),
            answer_max: settings.map_or(0, |settings| settings.answer_max.0 as usize),
            tls: OnceLock::new(),
        }
    }

    /// Makes one try; whoever calls bounds its time.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn post(&self, letter: Letter<'_>) -> Result<Answer, Unanswered> {
        let allowed = Allowed { networks: &self.networks, http: self.http };
        let url = Url::read(letter.url, &allowed)?;
        let stream = connect(&url, &allowed).await?;
        let request = self.request(&url, letter)?;
        if !url.tls {
            return self.ask(stream, request).await;
        }
        let unreachable = |why: &str| Unanswered::Unreachable(why.to_owned());
        let config = self.tls.get_or_init(tls).clone();
        let config = config.ok_or_else(|| unreachable("there is no TLS"))?;
        let name = ServerName::try_from(url.host.name());
        let name = name.map_err(|_| unreachable("no certificate has its name"))?;
        let stream = TlsConnector::from(config).connect(name, stream).await;
        self.ask(stream.map_err(|error| unreachable(&error.to_string()))?, request).await
    }

    /// The request of this try: a time of its own, and so a signature of its own.
    fn request(&self, url: &Url, letter: Letter<'_>) -> Result<Request<Full<Bytes>>, Unanswered> {
        let seconds = Moment::now().wall_ms().seconds();
        let mut request = Request::post(url.target.as_str())
            .header("host", url.authority.as_str())
            .header("user-agent", USER_AGENT)
            .header("connection", "close")
            .header("webhook-id", letter.id)
            .header("webhook-timestamp", seconds)
            .header("fleetfoot-attempt", letter.attempt);
        if let Some(signature) = self.signer.sign(letter.id, seconds, &letter.body) {
            request = request.header("webhook-signature", signature);
        }
        for (name, value) in letter.fields {
            request = request.header(*name, *value);
        }
        request.body(Full::new(letter.body)).map_err(|_| Unanswered::Damaged)
    }

    async fn ask(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Full<Bytes>>,
    ) -> Result<Answer, Unanswered> {
        let bad = |error: hyper::Error| Unanswered::Bad(error.to_string());
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.map_err(bad)?;
        let asking = async {
            let answer = sender.send_request(request).await.map_err(bad)?;
            Ok(self.read(answer).await)
        };
        // The connection ends with the conversation, whatever the receiver would still say.
        tokio::select! { biased;
            came = asking => came,
            () = drive(connection) => Err(Unanswered::Bad("it broke off".to_owned())),
        }
    }

    /// The status counts, however the body ends.
    async fn read(&self, answer: Response<Incoming>) -> Answer {
        let most = ANSWER_BYTES_MAX.min(self.answer_max);
        let (head, mut body) = answer.into_parts();
        let mut bytes = Vec::new();
        while let Some(Ok(frame)) = body.frame().await {
            let data = frame.into_data().unwrap_or_default();
            let room = most - bytes.len();
            bytes.extend_from_slice(&data[..data.len().min(room)]);
            if data.len() > room {
                break;
            }
        }
        let kind = head.headers.get(http::header::CONTENT_TYPE);
        Answer {
            status: head.status.as_u16(),
            retry_after: retry_after(&head.headers),
            content_type: kind.map(|kind| kind.as_bytes().to_vec()),
            body: bytes,
        }
    }
}

/// Drives a connection; never ends before the conversation on it has.
async fn drive<T>(connection: Connection<TokioIo<T>, Full<Bytes>>)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let _told_to_who_asked = connection.await;
    std::future::pending::<()>().await;
}

/// A connection to an address of the host that was looked at.
async fn connect(url: &Url, allowed: &Allowed<'_>) -> Result<TcpStream, Unanswered> {
    let unreachable = |error: io::Error| Unanswered::Unreachable(error.to_string());
    let addresses: Vec<SocketAddr> = match &url.host {
        Host::Address(address) => vec![SocketAddr::new(*address, url.port)],
        Host::Name(name) => {
            let found = tokio::net::lookup_host((name.as_str(), url.port)).await;
            found.map_err(unreachable)?.take(ADDRESSES_MAX).collect()
        }
    };
    // One address that is none of the world's, and the whole name is not believed.
    for address in &addresses {
        may_call(address.ip(), url.port, allowed)?;
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _best_effort = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(unreachable(last))
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
