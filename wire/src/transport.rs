//! A byte stream to a peer: TCP, or TLS over it.
//!
//! Reading and writing take `&self`, because the body of a request is still being read by one part
//! of an exchange while another writes the answer. Both run on one thread and in one task; the cell
//! is borrowed within a poll and never across one.

use rustix::net::{RecvFlags, SendFlags, recv, send};
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
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

    /// Waits until a read is worth trying. TLS always is: it may hold data already.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &*self.0.borrow() {
            Io::Plain(stream) => stream.poll_read_ready(cx),
            Io::Tls(_) => Poll::Ready(Ok(())),
        }
    }

    /// Reads into `buf`; 0 is the end.
    pub fn poll_read(&self, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
        match &mut *self.0.borrow_mut() {
            Io::Plain(stream) => poll_recv(stream, cx, buf),
            Io::Tls(stream) => {
                let mut buf = ReadBuf::new(buf);
                // An end without close_notify is an error, UnexpectedEof: it may be an attacker's.
                Pin::new(stream).poll_read(cx, &mut buf).map_ok(|()| buf.filled().len())
            }
        }
    }

    /// Writes some of `buf`.
    pub fn poll_write(&self, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self.0.borrow_mut() {
            Io::Plain(stream) => poll_send(stream, cx, buf),
            Io::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    /// Writes some of several pieces, in their order.
    pub fn poll_write_all(
        &self,
        cx: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self.0.borrow_mut() {
            Io::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
            Io::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, pieces),
        }
    }

    /// Sends what TLS holds back; nothing to do on plain TCP.
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self.0.borrow_mut() {
            Io::Plain(_) => Poll::Ready(Ok(())),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    /// Waits until the peer has reset the connection; pending for ever once anything else has come.
    pub fn poll_broken(&self, cx: &mut Context<'_>) -> Poll<()> {
        let io = self.0.borrow();
        let stream = match &*io {
            Io::Plain(stream) => stream,
            Io::Tls(stream) => stream.get_ref().0,
        };
        if ready!(stream.poll_read_ready(cx)).is_err() {
            return Poll::Ready(());
        }
        let peeked = stream.try_io(Interest::READABLE, || {
            Ok(recv(stream, &mut [0_u8; 1][..], RecvFlags::PEEK)?.1)
        });
        match peeked {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // Nothing after all, and the readiness is cleared: wait for the next event.
                stream.poll_read_ready(cx).map(|_| ())
            }
            Err(_) => Poll::Ready(()),
            Ok(_) => Poll::Pending,
        }
    }

    /// Makes the end of this stream one that no peer can take for an orderly one.
    pub fn abort(&self) {
        let io = self.0.borrow();
        let stream = match &*io {
            Io::Plain(stream) => stream,
            Io::Tls(stream) => stream.get_ref().0,
        };
        let _best_effort = stream.set_zero_linger();
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
        if let Io::Plain(stream) = &*self.0.borrow() {
            let read = try_recv(stream, &mut [0; 1]);
            return read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        }
        // Tickets and other records that are no data may come at any time: TLS deals with them here.
        let mut cx = Context::from_waker(Waker::noop());
        self.poll_read(&mut cx, &mut [0; 1]).is_pending()
    }
}

// Plain TCP is read and written by the system calls themselves rather than through the C library,
// which guards each by a pair of calls that make it a cancellation point.

fn try_recv(stream: &TcpStream, buf: &mut [u8]) -> io::Result<usize> {
    stream.try_io(Interest::READABLE, || Ok(recv(stream, &mut *buf, RecvFlags::empty())?.0))
}

fn poll_recv(stream: &TcpStream, cx: &mut Context<'_>, buf: &mut [u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        match try_recv(stream, buf) {
            Ok(n) => {
                if n > 0 && n < buf.len() {
                    // Less than there was room for: the socket is empty, and epoll, which tells of
                    // changes only, will say when it is not. Spares the call that finds nothing.
                    let _empty = stream.try_io(Interest::READABLE, would_block);
                }
                return Poll::Ready(Ok(n));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

fn poll_send(stream: &TcpStream, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_write_ready(cx))?;
        let sent =
            stream.try_io(Interest::WRITABLE, || Ok(send(stream, buf, SendFlags::NOSIGNAL)?));
        match sent {
            Ok(n) => {
                if n < buf.len() {
                    let _full = stream.try_io(Interest::WRITABLE, would_block);
                }
                return Poll::Ready(Ok(n));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Poll::Ready(Err(error)),
        }
    }
}

fn would_block() -> io::Result<()> {
    Err(io::ErrorKind::WouldBlock.into())
}
