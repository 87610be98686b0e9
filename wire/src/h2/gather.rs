//! A transport that gathers writes until its owner flushes it, once per turn of the loop.
//!
//! `h2` writes once per frame of data; over many streams that is a system call each. Here a write
//! only appends, up to [`GATHER_BYTES`], and the owner calls [`Gather::poll_send`] after it has polled
//! the connection. When the peer reads slowly the buffer fills and `h2` is told to wait, so that flow
//! control works as it would on the bare stream.

use crate::transport::Io;
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Most bytes held back.
const GATHER_BYTES: usize = 64 << 10;

#[derive(Debug)]
struct Inner {
    io: Io,
    /// Bytes that were read before HTTP/2 began.
    unread: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
}

/// A shared handle on the transport: one for `h2`, one for the owner who flushes.
#[derive(Clone, Debug)]
pub struct Gather(Rc<RefCell<Inner>>);

impl Gather {
    /// Over `io`, from which `unread` has already been read.
    pub fn new(io: Io, unread: Vec<u8>) -> Self {
        Self(Rc::new(RefCell::new(Inner { io, unread, out: Vec::new(), sent: 0 })))
    }

    /// Sends what has been gathered.
    pub fn poll_send(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_send(cx)
    }

    /// Gives memory back that an idle connection does not need.
    pub fn shrink(&self) {
        let inner = &mut *self.0.borrow_mut();
        if inner.out.is_empty() {
            inner.out = Vec::new();
        }
    }
}

impl Inner {
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            let out = &self.out[self.sent..];
            let n = match &mut self.io {
                Io::Plain(stream) => ready!(Pin::new(stream).poll_write(cx, out)),
                Io::Tls(stream) => ready!(Pin::new(stream).poll_write(cx, out)),
            }?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.sent += n;
        }
        self.out.clear();
        self.sent = 0;
        match &mut self.io {
            Io::Plain(_) => Poll::Ready(Ok(())),
            Io::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_room(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.out.len() >= GATHER_BYTES {
            ready!(self.poll_send(cx))?;
        }
        Poll::Ready(Ok(GATHER_BYTES - self.out.len()))
    }
}

impl AsyncRead for Gather {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        if !inner.unread.is_empty() {
            let n = inner.unread.len().min(buf.remaining());
            buf.put_slice(&inner.unread[..n]);
            inner.unread.drain(..n);
            return Poll::Ready(Ok(()));
        }
        match &mut inner.io {
            Io::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Io::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Gather {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        let n = ready!(inner.poll_room(cx))?.min(buf.len());
        inner.out.extend_from_slice(&buf[..n]);
        Poll::Ready(Ok(n))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let inner = &mut *self.0.borrow_mut();
        let mut room = ready!(inner.poll_room(cx))?;
        let mut written = 0;
        for buf in bufs {
            let n = room.min(buf.len());
            inner.out.extend_from_slice(&buf[..n]);
            written += n;
            room -= n;
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // the owner flushes, after this turn
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let inner = &mut *self.0.borrow_mut();
        ready!(inner.poll_send(cx))?;
        match &mut inner.io {
            Io::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Io::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
