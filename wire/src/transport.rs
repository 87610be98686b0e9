//! A byte stream to a peer: TCP, or TLS over it.
//!
//! Reading and writing take `&self`, because the body of a request is still being read by one part
//! of an exchange while another writes the answer. Both run on one thread and in one task; the cell
//! is borrowed within a poll and never across one.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A byte stream to a peer.
#[derive(Debug)]
pub struct Transport(RefCell<Io>);

/// The kinds of stream.
#[derive(Debug)]
pub enum Io {
    /// Plain TCP.
    Plain(TcpStream),
    /// TLS, either side.
    Tls(Box<tokio_rustls::TlsStream<TcpStream>>),
}

impl Transport {
    /// Over this stream.
    pub fn new(io: Io) -> Self {
        Self(RefCell::new(io))
    }

    /// The stream itself.
    pub fn into_io(self) -> Io {
        self.0.into_inner()
    }

    /// Reads into `buf`; 0 is the end.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut buf = ReadBuf::new(buf);
        let read = match &mut *self.0.borrow_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_read(cx, &mut buf),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, &mut buf),
        };
        match ready!(read) {
            Ok(()) => Poll::Ready(Ok(buf.filled().len())),
            // TCP closed without close_notify: every body's framing says whether it is complete.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Poll::Ready(Ok(0)),
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    /// Writes some of `buf`.
    pub fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self.0.borrow_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    /// Writes some of two pieces, the first before the second.
    pub fn poll_write_both(
        &self,
        cx: &mut Context<'_>,
        first: &[u8],
        second: &[u8],
    ) -> Poll<io::Result<usize>> {
        let both = [IoSlice::new(first), IoSlice::new(second)];
        match &mut *self.0.borrow_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, &both),
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, &both),
        }
    }

    /// Sends what TLS holds back; nothing to do on plain TCP.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.0.borrow_mut() {
            Io::Plain(_) => Poll::Ready(Ok(())),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Says that we will write no more.
    pub fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.0.borrow_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }

    /// Is an idle stream still open and silent? Costs no system call while nothing has happened.
    /// Bytes that came unasked count as closed, since nobody could say what they answer.
    pub fn is_idle(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_read(&mut cx, &mut [0; 1]).is_pending()
    }

    /// The address of the peer.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        match &*self.0.borrow() {
            Io::Plain(stream) => stream.peer_addr(),
            Io::Tls(stream) => stream.get_ref().0.peer_addr(),
        }
    }
}
