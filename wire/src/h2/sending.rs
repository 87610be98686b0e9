//! A body on its way out in frames, as fast as the peer's window allows.

use crate::body::Body;
use crate::h1::outgoing::{Unsent, Waiting};
use crate::h2::convert;
use bytes::Bytes;
use h2::SendStream;
use std::fmt;
use std::io;
use std::task::{Context, Poll, ready};

/// Most bytes given to `h2` at once.
const PIECE: usize = 16 << 10;

/// A body on its way out.
pub struct Sending {
    stream: SendStream<Bytes>,
    body: Body,
    left: Option<u64>,
    moved: u64,
    waiting: Waiting,
}

impl Sending {
    /// Sends `body`, of this many bytes if that is known, on `stream`.
    pub fn new(stream: SendStream<Bytes>, body: Body, length: Option<u64>) -> Self {
        Self { stream, body, left: length, moved: 0, waiting: Waiting::Source }
    }

    /// Bytes sent so far.
    pub fn moved(&self) -> u64 {
        self.moved
    }

    /// Whom it waits for, after a poll that was pending.
    pub fn waiting(&self) -> Waiting {
        self.waiting
    }

    /// Tells the peer that the rest will not come.
    pub fn reset(&mut self) {
        self.stream.send_reset(h2::Reason::INTERNAL_ERROR);
    }

    /// Sends until all is sent.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Unsent>> {
        loop {
            let here = match self.body.poll_data(cx) {
                Poll::Ready(Ok(0)) => return Poll::Ready(self.end()),
                Poll::Ready(Ok(n)) => n.min(PIECE),
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(Unsent::Body(fault))),
                Poll::Pending => {
                    self.waiting = Waiting::Source;
                    return match self.stream.poll_reset(cx) {
                        Poll::Ready(reset) => Poll::Ready(Err(gone(reset.err()))),
                        Poll::Pending => Poll::Pending,
                    };
                }
            };
            self.waiting = Waiting::Peer;
            self.stream.reserve_capacity(here);
            let mut room = self.stream.capacity();
            if room == 0 {
                room = match ready!(self.stream.poll_capacity(cx)) {
                    Some(Ok(room)) => room,
                    Some(Err(error)) => return Poll::Ready(Err(gone(Some(error)))),
                    None => return Poll::Ready(Err(gone(None))),
                };
            }
            let here = here.min(room);
            if here == 0 {
                continue;
            }
            let piece = self.body.take(here);
            self.moved += here as u64;
            let left = self.left.map(|left| left.saturating_sub(here as u64));
            self.left = left;
            // What comes in frames may end in trailers, whatever length it declared.
            let last = left == Some(0) && !matches!(self.body, Body::Frames(_) | Body::Kept(_));
            self.stream.send_data(piece, last).map_err(|error| gone(Some(error)))?;
            if last {
                return Poll::Ready(Ok(()));
            }
        }
    }

    fn end(&mut self) -> Result<(), Unsent> {
        if self.left.is_some_and(|left| left > 0) {
            return Err(Unsent::Short);
        }
        let ended = match self.body.take_trailers() {
            Some(trailers) => self.stream.send_trailers(convert::trailers_out(&trailers)),
            None => self.stream.send_data(Bytes::new(), true),
        };
        ended.map_err(|error| gone(Some(error)))
    }
}

fn gone(error: Option<h2::Error>) -> Unsent {
    Unsent::Peer(error.map_or_else(|| io::ErrorKind::BrokenPipe.into(), io::Error::other))
}

impl fmt::Debug for Sending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sending").field("moved", &self.moved).finish_non_exhaustive()
    }
}
