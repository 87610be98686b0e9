//! Connections of the watch's own, one for each question, never those of the pools.

use super::found::Task;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use service::settings::Server;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A connection that was made.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Did ALPN choose HTTP/2?
    pub(super) fn is_h2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

/// Connects to a server over TCP: the first of its addresses that lets us.
pub(super) async fn tcp(server: &Server) -> io::Result<TcpStream> {
    if let Some(ip) = server.address.or_else(|| server.host.parse::<IpAddr>().ok()) {
        return TcpStream::connect(SocketAddr::new(ip, server.port)).await;
    }
    let mut last = io::Error::new(io::ErrorKind::NotFound, "its name has no address");
    for address in tokio::net::lookup_host((server.host.as_str(), server.port)).await? {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Speaks TLS over `stream`, with whom can prove to be `name`.
pub(super) async fn tls(
    stream: TcpStream,
    config: Arc<ClientConfig>,
    name: String,
) -> io::Result<Stream> {
    let name = ServerName::try_from(name).map_err(io::Error::other)?;
    let stream = TlsConnector::from(config).connect(name, stream).await?;
    Ok(Stream::Tls(Box::new(stream)))
}

/// Asks over HTTP/1.1. The connection lives as long as the task that comes with the answer.
pub(super) async fn ask_one(
    stream: Stream,
    request: Request<Empty<Bytes>>,
) -> hyper::Result<(Response<Incoming>, Task)> {
    async fn ask(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<Empty<Bytes>>,
    ) -> hyper::Result<(Response<Incoming>, Task)> {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let drive = Task::start(async move {
            let _ended = connection.await; // what went wrong, who asked is told
        });
        Ok((sender.send_request(request).await?, drive))
    }
    match stream {
        Stream::Plain(stream) => ask(stream, request).await,
        Stream::Tls(stream) => ask(stream, request).await,
    }
}

/// Asks over HTTP/2, with this body. The connection lives as long as the task that comes with the
/// answer.
pub(super) async fn ask_two(
    stream: Stream,
    request: Request<()>,
    body: Option<Bytes>,
) -> Result<(Response<h2::RecvStream>, Task), h2::Error> {
    async fn ask(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: Request<()>,
        body: Option<Bytes>,
    ) -> Result<(Response<h2::RecvStream>, Task), h2::Error> {
        let (sender, connection) = h2::client::handshake(stream).await?;
        let drive = Task::start(async move {
            let _ended = connection.await;
        });
        let mut sender = sender.ready().await?;
        let (answer, mut send) = sender.send_request(request, body.is_none())?;
        if let Some(body) = body {
            send.send_data(body, true)?;
        }
        Ok((answer.await?, drive))
    }
    match stream {
        Stream::Plain(stream) => ask(stream, request, body).await,
        Stream::Tls(stream) => ask(stream, request, body).await,
    }
}
