//! Connections to a target: TCP, with TLS if its address says so.

use crate::plan::{Protocol, Target};
use crate::report::Failure;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Bytes both ways.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// Connects, shakes hands, and sees that the target speaks what is to be spoken.
pub(crate) async fn dial(target: &Target, protocol: Protocol) -> Result<Stream, Failure> {
    let stream = TcpStream::connect(target.address).await.map_err(|_| Failure::Connect)?;
    stream.set_nodelay(true).map_err(|_| Failure::Connect)?;
    let Some(tls) = &target.tls else { return Ok(Stream::Plain(stream)) };
    let connector = TlsConnector::from(tls.config.clone());
    let stream = connector.connect(tls.name.clone(), stream).await.map_err(|_| Failure::Tls)?;
    let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    if (protocol == Protocol::Http2) == is_h2 {
        Ok(Stream::Tls(Box::new(stream)))
    } else {
        Err(Failure::Tls)
    }
}

impl Stream {
    /// Is there something to be read, or an end, that nobody asked for? Costs no system call. Over
    /// TLS there may be (tickets), so that it says nothing.
    pub(crate) fn is_stirring(&self) -> bool {
        let Self::Plain(stream) = self else { return false };
        let mut context = Context::from_waker(std::task::Waker::noop());
        stream.poll_read_ready(&mut context).is_ready()
            && !matches!(stream.try_read(&mut [0]), Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}
