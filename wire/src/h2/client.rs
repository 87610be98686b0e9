//! The client side of HTTP/2: one connection to a service, shared by many exchanges of a thread.

use crate::body::Body;
use crate::h1::client::{INTERIMS_MAX, too_many_interims};
use crate::h1::outgoing::{Unsent, Waiting};
use crate::h2::gather::Gather;
use crate::h2::{CONNECTION_WINDOW, Incoming, STREAM_WINDOW, Sending, convert};
use crate::transport::Io;
use base::{Fault, FaultKind, Framing, Replay, RequestHead, ResponseHead};
use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// A handle on one connection; clones share it.
#[derive(Clone)]
pub struct Connection {
    sender: SendRequest<Bytes>,
    tls: bool,
    streams: Rc<Cell<usize>>,
}

/// One stream of a connection, counted until it is dropped.
#[derive(Debug)]
pub struct Stream(Rc<Cell<usize>>);

impl Stream {
    fn open(streams: &Rc<Cell<usize>>) -> Self {
        streams.set(streams.get() + 1);
        Self(Rc::clone(streams))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

/// Shakes hands over `io`. The future that comes with the handle drives the connection: spawn it; it
/// ends when the connection does.
///
/// # Errors
/// What `h2` says.
pub async fn connect(
    io: Io,
    head_bytes_max: usize,
) -> Result<(Connection, impl Future<Output = ()>), h2::Error> {
    let tls = matches!(io, Io::Tls(_));
    let gather = Gather::new(io, Vec::new());
    let (sender, mut connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(STREAM_WINDOW as usize)
        .max_header_list_size(u32::try_from(head_bytes_max).unwrap_or(u32::MAX))
        .handshake(gather.clone())
        .await?;
    let drive = async move {
        poll_fn(|cx| {
            let ended = Pin::new(&mut connection).poll(cx);
            match gather.poll_send(cx) {
                Poll::Ready(Err(_)) => Poll::Ready(()),
                _ => ended.map(|_result| ()),
            }
        })
        .await;
    };
    Ok((Connection { sender, tls, streams: Rc::default() }, drive))
}

/// What happened to a request on its way.
#[derive(Debug)]
pub enum Event {
    /// All of it has been sent.
    Sent,
    /// An interim response.
    Interim(ResponseHead),
    /// The answer.
    Answer(Box<(ResponseHead, Body, Framing)>),
}

/// A request being sent, until the head of its answer has come.
pub struct Asking {
    response: ResponseFuture,
    request: Option<Sending>,
    to_head: bool,
    interims: usize,
    counted: Option<Stream>,
}

impl Connection {
    /// Requests on it whose answers have not ended.
    pub fn streams(&self) -> usize {
        self.streams.get()
    }

    /// Would one more stream be opened at once, as far as the service has told?
    pub fn has_room(&self) -> bool {
        self.streams.get() < self.sender.current_max_send_streams()
    }

    /// Waits until another stream may be opened.
    ///
    /// # Errors
    /// `ServerClosed`, to be replayed: nothing has been sent.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.sender.poll_ready(cx).map_err(|error| lost(error, Replay::Always))
    }

    /// Is the connection still of use, as far as is known?
    pub fn is_open(&mut self) -> bool {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        !matches!(self.sender.poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    /// Sends a request; [`Connection::poll_ready`] came before.
    ///
    /// # Errors
    /// `BadRequest`, `ServerClosed`.
    pub fn ask(
        &mut self,
        head: &RequestHead,
        body: Body,
        framing: Framing,
    ) -> Result<Asking, Fault> {
        let mut request = convert::request_out(head, self.tls)?;
        let length = match framing {
            Framing::Length(n) => Some(n),
            Framing::None | Framing::Chunked | Framing::Close => None,
        };
        if let Some(length) = length {
            request.headers_mut().insert(http::header::CONTENT_LENGTH, length.into());
        }
        let ends = matches!(body, Body::Empty);
        let to_head = head.is_head();
        let sent = self.sender.send_request(request, ends);
        let (response, stream) = sent.map_err(|error| lost(error, Replay::Always))?;
        let request = (!ends).then(|| Sending::new(stream, body, length));
        let counted = Some(Stream::open(&self.streams));
        Ok(Asking { response, request, to_head, interims: 0, counted })
    }
}

impl Asking {
    /// Bytes of the body sent so far.
    pub fn moved(&self) -> u64 {
        self.request.as_ref().map_or(0, Sending::moved)
    }

    /// Is the request still being sent?
    pub fn is_sending(&self) -> bool {
        self.request.is_some()
    }

    /// Does it wait for the source of its body, rather than for the service?
    pub fn waits_for_source(&self) -> bool {
        self.request.as_ref().is_some_and(|request| request.waiting() == Waiting::Source)
    }

    /// Waits for the next event.
    ///
    /// # Errors
    /// A fault; its replay says whether the service can have seen the request.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Fault>> {
        if let Some(request) = &mut self.request {
            match request.poll(cx) {
                Poll::Ready(Ok(())) => {
                    self.request = None;
                    return Poll::Ready(Ok(Event::Sent));
                }
                Poll::Ready(Err(Unsent::Body(fault))) => {
                    request.reset();
                    return Poll::Ready(Err(fault));
                }
                Poll::Ready(Err(Unsent::Short)) => {
                    request.reset();
                    let detail = "the request's body was shorter than declared";
                    return Poll::Ready(Err(Fault::new(FaultKind::ClientGone, detail)));
                }
                // The service may have answered before it stopped reading: look for that.
                Poll::Ready(Err(Unsent::Peer(_))) => self.request = None,
                Poll::Pending => {}
            }
        }
        if let Poll::Ready(Some(Ok(interim))) = self.response.poll_informational(cx) {
            self.interims += 1;
            if self.interims > INTERIMS_MAX {
                return Poll::Ready(Err(too_many_interims()));
            }
            return Poll::Ready(Ok(Event::Interim(convert::response(&interim.into_parts().0))));
        }
        let response = match ready!(Pin::new(&mut self.response).poll(cx)) {
            Ok(response) => response,
            Err(error) => {
                // RFC 9113 §8.7: such a stream was not processed, whatever its method.
                let unseen = error.reason() == Some(h2::Reason::REFUSED_STREAM)
                    || (error.is_go_away() && error.is_remote());
                let replay = if unseen { Replay::Always } else { Replay::IfIdempotent };
                return Poll::Ready(Err(lost(error, replay)));
            }
        };
        let (parts, stream) = response.into_parts();
        let mut head = convert::response(&parts);
        let length = parts.headers.get(http::header::CONTENT_LENGTH);
        let length = length.and_then(|n| n.to_str().ok()).and_then(|n| n.parse().ok());
        head.fields.remove(base::FieldName::ContentLength);
        let ended = stream.is_end_stream();
        let framing = match length {
            Some(n) => Framing::Length(n),
            None if ended || self.to_head || head.is_bodiless() => {
                if self.to_head || head.is_bodiless() { Framing::None } else { Framing::Length(0) }
            }
            None => Framing::Chunked,
        };
        let body = if ended || self.to_head || head.is_bodiless() {
            Body::Empty
        } else {
            Body::Frames(Box::new(Incoming::of_response(
                stream,
                self.request.take(),
                self.counted.take(),
            )))
        };
        Poll::Ready(Ok(Event::Answer(Box::new((head, body, framing)))))
    }
}

fn lost(error: h2::Error, replay: Replay) -> Fault {
    Fault::new(FaultKind::ServerClosed, "the connection or stream was lost")
        .because(error)
        .replay(replay)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("h2::Connection")
    }
}

impl fmt::Debug for Asking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("h2::Asking")
            .field("sending", &self.request.is_some())
            .finish_non_exhaustive()
    }
}
