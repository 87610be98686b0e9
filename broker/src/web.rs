//! A small client of HTTP/1.1 for services whose queues are web calls: keeps connections, ends in
//! time, and tells what was surely not sent from what may have been.

use crate::url::BrokerError;
use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use std::error::Error;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Connections that are kept for the next call.
const IDLE_MAX: usize = 32;
/// The longest answer that is read: ten messages of a megabyte, as text.
const ANSWER_BYTES_MAX: usize = 32 << 20;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);

/// How long an endpoint on the machine itself may take.
const BESIDE: Duration = Duration::from_secs(2);

type Connection = SendRequest<Full<Bytes>>;
type Failed = Box<dyn Error + Send + Sync>;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Lost {
    /// Nothing was sent.
    Unsent(String),
    /// Nobody knows what came of it.
    Unknown(String),
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) body: Bytes,
}

impl Answer {
    /// Its JSON; what cannot be read is nothing.
    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

/// Where a service is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    secure: bool,
    host: String,
    port: u16,
    /// As it stands in `Host`.
    pub(crate) authority: String,
}

impl Endpoint {
    /// `http://HOST[:PORT]` or `https://…`; `None` if it is neither.
    pub(crate) fn parse(url: &str) -> Option<Self> {
        let url: http::Uri = url.parse().ok()?;
        let secure = match url.scheme_str()? {
            "http" => false,
            "https" => true,
            _ => return None,
        };
        let authority = url.authority()?.as_str().to_owned();
        if authority.contains('@') || !matches!(url.path(), "" | "/") {
            return None;
        }
        let host = url.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = url.port_u16().unwrap_or(if secure { 443 } else { 80 });
        Some(Self { secure, host, port, authority })
    }
}

/// The client of one endpoint.
pub(crate) struct Web {
    pub(crate) endpoint: Endpoint,
    /// Certificates to trust beside the system's.
    trust: Vec<CertificateDer<'static>>,
    tls: OnceLock<Arc<ClientConfig>>,
    idle: Mutex<Vec<Connection>>,
}

impl Web {
    /// Reaches nobody yet.
    ///
    /// # Errors
    /// The file with certificates has none.
    pub(crate) fn new(endpoint: Endpoint, trust: Option<&Path>) -> Result<Self, BrokerError> {
        let read = |path: &Path| {
            let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>);
            found.map_err(|error| BrokerError::Url {
                url: endpoint.authority.clone(),
                why: format!("certificates to trust in {}: {error}", path.display()),
            })
        };
        let trust = trust.map(read).transpose()?.unwrap_or_default();
        Ok(Self { endpoint, trust, tls: OnceLock::new(), idle: Mutex::default() })
    }

    /// Sends a request and reads its answer, within `by`.
    pub(crate) async fn call(
        &self,
        request: Request<Full<Bytes>>,
        by: Duration,
    ) -> Result<Answer, Lost> {
        // Whether it may have gone out is known even if the time ends in the middle.
        let mut sent = false;
        let called = tokio::time::timeout(by, self.exchange(request, &mut sent)).await;
        let why = match called {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => chain(&*error),
            Err(_) => format!("no answer within {by:?}"),
        };
        Err(if sent { Lost::Unknown(why) } else { Lost::Unsent(why) })
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
        sent: &mut bool,
    ) -> Result<Answer, Failed> {
        let mut connection = self.connection().await?;
        *sent = true;
        let (head, body) = connection.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await?.to_bytes();
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX && !connection.is_closed() {
            idle.push(connection);
        }
        Ok(Answer { status: head.status, body })
    }

    /// One that was kept and is still open, or a new one.
    async fn connection(&self) -> Result<Connection, Failed> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut kept) = kept else { break };
            // Its driver learns of the other side's end by itself.
            if kept.ready().await.is_ok() && !kept.is_closed() {
                return Ok(kept);
            }
        }
        let mut made = tokio::time::timeout(CONNECT, self.connect()).await??;
        made.ready().await?;
        Ok(made)
    }

    async fn connect(&self) -> Result<Connection, Failed> {
        let Endpoint { host, port, secure, .. } = &self.endpoint;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        if !secure {
            return begin(stream).await;
        }
        let config = Arc::clone(self.tls.get_or_init(|| Arc::new(tls(&self.trust))));
        let name = ServerName::try_from(host.clone())?;
        begin(TlsConnector::from(config).connect(name, stream).await?).await
    }
}

/// Begins to speak; the task that drives the connection ends with it.
async fn begin(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
) -> Result<Connection, Failed> {
    let (sender, driver) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(driver);
    Ok(sender)
}

fn tls(trust: &[CertificateDer<'static>]) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    let system = rustls_native_certs::load_native_certs().certs;
    roots.add_parsable_certificates(system.into_iter().chain(trust.iter().cloned()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    config.expect("ring speaks TLS").with_root_certificates(roots).with_no_client_auth()
}

/// An error with all its causes, in one line.
fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// A small request to an endpoint beside us.
pub(crate) async fn ask(
    method: &str,
    url: &str,
    fields: &[(&str, &str)],
) -> Result<Answer, String> {
    let uri: http::Uri = url.parse().map_err(|_| format!("{url} is no URL"))?;
    let place = format!(
        "{}://{}",
        uri.scheme_str().unwrap_or("http"),
        uri.authority().map(http::uri::Authority::as_str).unwrap_or_default()
    );
    let endpoint = Endpoint::parse(&place).ok_or_else(|| format!("{url} is no URL"))?;
    let path = uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let mut request = Request::builder().method(method).uri(path);
    request = request.header("host", &endpoint.authority);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(Bytes::new())).map_err(|error| error.to_string())?;
    let web = Web::new(endpoint, None).map_err(|error| error.to_string())?;
    match web.call(request, BESIDE).await {
        Ok(answer) if answer.status.is_success() => Ok(answer),
        Ok(answer) => Err(format!("{url} answers {}", answer.status)),
        Err(lost) => Err(format!("{url}: {lost:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::Endpoint;

    #[test]
    fn endpoints_are_hosts() {
        let check = |url: &str| Endpoint::parse(url).map(|e| (e.secure, e.host, e.port));
        assert_eq!(check("http://[::1]:9000"), Some((false, "::1".to_owned(), 9000)));
        assert_eq!(
            check("https://sqs.eu.example/"),
            Some((true, "sqs.eu.example".to_owned(), 443))
        );
        for wrong in ["", "a:1", "ftp://a", "http://u:word@a", "http://a/path"] {
            assert_eq!(check(wrong), None, "{wrong}");
        }
    }
}
