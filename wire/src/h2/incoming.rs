//! A body that comes in frames. The peer may send more only as fast as we use what came.

use crate::h2::client::Stream;
use crate::h2::convert;
use crate::h2::sending::Sending;
use base::{Fault, FaultKind, Fields, Side};
use bytes::{Buf, Bytes};
use h2::RecvStream;
use std::fmt;
use std::task::{Context, Poll, ready};

/// A body that comes in frames.
pub struct Incoming {
    stream: RecvStream,
    current: Bytes,
    side: Side,
    left_max: u64,
    /// The request that this answers, while it is still being sent.
    request: Option<Sending>,
    trailers: Option<Fields>,
    ended: bool,
    /// Keeps the stream counted until its last byte was used.
    _counted: Option<Stream>,
}

impl Incoming {
    /// The body of a client's request, of at most `bytes_max` bytes.
    pub fn of_request(stream: RecvStream, bytes_max: Option<u64>) -> Self {
        Self::new(stream, Side::Client, bytes_max, None)
    }

    /// The body of a service's answer, to a request that may still be on its way.
    pub fn of_response(
        stream: RecvStream,
        request: Option<Sending>,
        counted: Option<Stream>,
    ) -> Self {
        let this = Self::new(stream, Side::Upstream, None, request);
        Self { _counted: counted, ..this }
    }

    fn new(
        stream: RecvStream,
        side: Side,
        bytes_max: Option<u64>,
        request: Option<Sending>,
    ) -> Self {
        Self {
            stream,
            current: Bytes::new(),
            side,
            left_max: bytes_max.unwrap_or(u64::MAX),
            request,
            trailers: None,
            ended: false,
            _counted: None,
        }
    }

    /// Is the request that this answers still being sent?
    pub fn is_feeding(&self) -> bool {
        self.request.is_some()
    }

    /// Is there nothing to come?
    pub fn has_ended(&self) -> bool {
        self.ended || (self.current.is_empty() && self.stream.is_end_stream())
    }

    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        if let Some(request) = &mut self.request
            && request.poll(cx).is_ready()
        {
            self.request = None; // sent, or given up by one of the two: the answer may yet be whole
        }
        while self.current.is_empty() && !self.ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => self.current = data,
                Some(Err(error)) => return Poll::Ready(Err(self.cut(error))),
                None => {
                    let trailers = ready!(self.stream.poll_trailers(cx));
                    let trailers = trailers.map_err(|error| self.cut(error))?;
                    self.trailers = trailers.map(|map| convert::trailers_in(&map));
                    self.ended = true;
                }
            }
        }
        if self.current.len() as u64 > self.left_max {
            let detail = "the body is larger than limits.body_bytes";
            return Poll::Ready(Err(Fault::new(FaultKind::BodyTooLarge, detail)));
        }
        Poll::Ready(Ok(self.current.len()))
    }

    fn cut(&self, error: h2::Error) -> Fault {
        let (kind, detail) = match self.side {
            Side::Client => (FaultKind::ClientGone, "the request's stream was cut"),
            Side::Gateway | Side::Upstream => {
                (FaultKind::ResponseCut, "the answer's stream was cut")
            }
        };
        Fault::new(kind, detail).because(error)
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.current
    }

    pub(crate) fn used(&mut self, n: usize) {
        self.current.advance(n);
        self.left_max -= n as u64;
        // Fails only when the stream is gone, which the next poll will tell.
        let _released = self.stream.flow_control().release_capacity(n);
    }

    pub(crate) fn take_trailers(&mut self) -> Option<Fields> {
        self.trailers.take().filter(|fields| !fields.is_empty())
    }
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("ended", &self.ended).finish_non_exhaustive()
    }
}
