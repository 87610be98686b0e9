//! A message on its way out: its head, then its body as it comes, in as few writes as can be.
//!
//! The same for requests to services and responses to clients. A body that is already at hand when
//! the head is written leaves in the same write: prepended in its own buffer where there is room,
//! else as two pieces of one vectored write.

use crate::body::Body;
use crate::buffer;
use crate::content;
use crate::h1::encode;
use crate::transport::Transport;
use base::{Fault, Framing};
use std::io::{self, IoSlice};
use std::task::{Context, Poll, ready};

/// Most bytes of chunked framing and data gathered before a write.
const GATHER: usize = 16 << 10;

/// Bytes of a body that are copied behind the head rather than written as a piece of their own.
const TOGETHER: usize = 2 << 10;

/// Most pieces of one write, the head among them.
const PIECES: usize = 33;

/// Why a message could not be sent to its end.
#[derive(Debug)]
pub enum Unsent {
    /// The peer cannot be written to.
    Peer(io::Error),
    /// The body could not be read on.
    Body(Fault),
    /// The body ended before its declared length.
    Short,
}

/// Whom a message is waiting for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// The peer, to take bytes.
    Peer,
    /// The source of the body, to give bytes.
    Source,
}

/// How the body is written.
#[derive(Debug)]
enum Coding {
    /// As it is, so many bytes more.
    Length(u64),
    /// As it is, to its end.
    Plain,
    /// In chunks.
    Chunked,
    /// Not at all.
    Ended,
}

/// One message on its way out.
#[derive(Debug)]
pub struct Outgoing {
    /// Bytes to be sent before the body goes on: the head, interim heads, chunk lines.
    front: Vec<u8>,
    sent: usize,
    /// Bytes of the front that were moved before the data in the body's own buffer.
    prefix: usize,
    body: Body,
    coding: Coding,
    moved: u64,
    waiting: Waiting,
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        buffer::recycle(std::mem::take(&mut self.front));
    }
}

impl Outgoing {
    /// A message whose head is already encoded in `front`.
    pub fn new(front: Vec<u8>, body: Body, framing: Framing) -> Self {
        let coding = match framing {
            Framing::None => Coding::Ended,
            Framing::Length(n) => Coding::Length(n),
            Framing::Close => Coding::Plain,
            Framing::Chunked => Coding::Chunked,
        };
        Self { front, sent: 0, prefix: 0, body, coding, moved: 0, waiting: Waiting::Peer }
    }

    /// Bytes written so far, framing included.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Whom it waits for, after a poll that was pending.
    pub fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// The body, to see how it ended.
    pub fn body(&self) -> &Body {
        &self.body
    }

    /// Sends until all is sent. Cancel safe: what has been written is remembered.
    pub fn poll(&mut self, cx: &mut Context<'_>, io: &Transport) -> Poll<Result<(), Unsent>> {
        let sent = self.poll_parts(cx, io);
        if sent.is_pending() || matches!(sent, Poll::Ready(Ok(()))) {
            // TLS may hold back records that did not fit the socket; plain TCP never does.
            match io.poll_flush(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Unsent::Peer(error))),
                Poll::Pending => {
                    self.waiting = Waiting::Peer;
                    return Poll::Pending;
                }
            }
        }
        sent
    }

    fn poll_parts(&mut self, cx: &mut Context<'_>, io: &Transport) -> Poll<Result<(), Unsent>> {
        loop {
            match self.coding {
                Coding::Ended => return self.poll_front(cx, io),
                Coding::Chunked => ready!(self.poll_chunked(cx, io))?,
                Coding::Length(0) => self.coding = Coding::Ended,
                Coding::Length(left) => ready!(self.poll_plain(cx, io, left))?,
                Coding::Plain => ready!(self.poll_plain(cx, io, u64::MAX))?,
            }
        }
    }

    /// Sends what is in front of the body.
    fn poll_front(&mut self, cx: &mut Context<'_>, io: &Transport) -> Poll<Result<(), Unsent>> {
        self.waiting = Waiting::Peer;
        while self.sent < self.front.len() {
            let n = ready!(io.poll_write(cx, &self.front[self.sent..]));
            self.sent += self.wrote(n)?;
        }
        self.front.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }

    fn wrote(&mut self, n: io::Result<usize>) -> Result<usize, Unsent> {
        match n {
            Ok(0) => Err(Unsent::Peer(io::ErrorKind::WriteZero.into())),
            Ok(n) => {
                self.moved += n as u64;
                Ok(n)
            }
            Err(error) => Err(Unsent::Peer(error)),
        }
    }

    /// Sends front and body as they are, at most `left` bytes of the body; one step.
    fn poll_plain(
        &mut self,
        cx: &mut Context<'_>,
        io: &Transport,
        left: u64,
    ) -> Poll<Result<(), Unsent>> {
        let here = match self.body.poll_data(cx) {
            Poll::Ready(Ok(0)) => return self.end_plain(),
            Poll::Ready(Ok(n)) => n.min(usize::try_from(left).unwrap_or(usize::MAX)),
            Poll::Ready(Err(fault)) => return Poll::Ready(Err(Unsent::Body(fault))),
            Poll::Pending => {
                ready!(self.poll_front(cx, io))?;
                self.waiting = Waiting::Source;
                return Poll::Pending;
            }
        };
        if !self.front.is_empty() && self.sent == 0 && self.body.prepend(&self.front) {
            self.prefix = self.front.len();
            self.front.clear();
        }
        if here <= TOGETHER && !self.front.is_empty() && matches!(self.body, Body::Shared(_)) {
            // One piece is cheaper to write than two: copied, it leaves with the head.
            self.front.extend_from_slice(&self.body.data(here));
            self.body.used(here);
            if let Coding::Length(left) = &mut self.coding {
                *left -= here as u64;
            }
            return Poll::Ready(Ok(()));
        }
        self.waiting = Waiting::Peer;
        let front = &self.front[self.sent..];
        let written = if let Body::Pieces(pieces) = &self.body {
            let mut slices = [IoSlice::new(front); PIECES];
            let n = 1 + content::slices(pieces, left, &mut slices[1..]);
            ready!(io.poll_write_all(cx, &slices[usize::from(front.is_empty())..n]))
        } else {
            let data = self.body.data(self.prefix + here);
            if front.is_empty() {
                ready!(io.poll_write(cx, &data))
            } else {
                ready!(io.poll_write_all(cx, &[IoSlice::new(front), IoSlice::new(&data)]))
            }
        };
        let front = front.len();
        let mut n = self.wrote(written)?;
        let of_front = n.min(front);
        self.sent += of_front;
        n -= of_front;
        if self.sent == self.front.len() {
            self.front.clear();
            self.sent = 0;
        }
        let of_prefix = n.min(self.prefix);
        self.prefix -= of_prefix;
        n -= of_prefix;
        if of_prefix > 0 {
            self.body.drop_front(of_prefix);
        }
        self.body.used(n);
        if let Coding::Length(left) = &mut self.coding {
            *left -= n as u64;
        }
        Poll::Ready(Ok(()))
    }

    fn end_plain(&mut self) -> Poll<Result<(), Unsent>> {
        if let Coding::Length(_) = self.coding {
            return Poll::Ready(Err(Unsent::Short));
        }
        self.coding = Coding::Ended;
        Poll::Ready(Ok(()))
    }

    /// Gathers chunks behind what is in front and sends them; one step.
    fn poll_chunked(&mut self, cx: &mut Context<'_>, io: &Transport) -> Poll<Result<(), Unsent>> {
        while self.sent == 0 && self.front.len() < GATHER {
            match self.body.poll_data(cx) {
                Poll::Ready(Ok(0)) => {
                    self.front.extend_from_slice(b"0\r\n");
                    let trailers = self.body.take_trailers().unwrap_or_default();
                    encode::trailers(&mut self.front, &trailers);
                    self.coding = Coding::Ended;
                    break;
                }
                Poll::Ready(Ok(n)) => {
                    let n = n.min(GATHER);
                    encode::chunk_line(&mut self.front, n);
                    self.front.extend_from_slice(&self.body.data(n));
                    self.front.extend_from_slice(b"\r\n");
                    self.body.used(n);
                }
                Poll::Ready(Err(fault)) => {
                    // Once the head is out, what came before the fault is delivered too; the missing
                    // last chunk tells the rest. Before that, there is still time to say it.
                    if self.moved > 0 {
                        let _sent = ready!(self.poll_front(cx, io));
                    }
                    return Poll::Ready(Err(Unsent::Body(fault)));
                }
                Poll::Pending if self.front.is_empty() => {
                    self.waiting = Waiting::Source;
                    return Poll::Pending;
                }
                Poll::Pending => break,
            }
        }
        self.poll_front(cx, io)
    }
}
