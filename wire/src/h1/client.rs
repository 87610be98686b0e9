//! The client side of HTTP/1.1: one connection to a service, and the one exchange on it.
//!
//! [`Asking`] sends a request and waits for the head of the answer, while the request's body is
//! still on its way; [`Answer`] is the answer's body, which goes on feeding the request until both
//! have ended. A connection that may be used again goes back to its [`Home`] by itself; every other
//! is closed by being dropped.

use crate::body::Body;
use crate::h1::framing;
use crate::h1::outgoing::{Outgoing, Unsent, Waiting};
use crate::h1::parse;
use crate::h1::reader::{BadBody, Input, NoHead, Reader};
use crate::transport::Transport;
use base::{Fault, FaultKind, FieldName, Fields, Framing, Moment, Replay, ResponseHead, Version};
use std::fmt;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// One connection to a service, idle or in use.
#[derive(Debug)]
pub struct Connection {
    io: Transport,
    input: Input,
    /// Exchanges that ended well on it.
    pub exchanges: u64,
    /// When it was last given back.
    pub idle_since: Moment,
}

impl Connection {
    /// Over this stream.
    pub fn new(io: Transport, now: Moment) -> Self {
        Self { io, input: Input::default(), exchanges: 0, idle_since: now }
    }

    /// Is it still open, and silent as an idle connection must be?
    pub fn is_idle(&self) -> bool {
        self.input.data().is_empty() && self.io.is_idle()
    }
}

/// Where connections go when an exchange on them has ended well; told as well when one is closed.
pub trait Home: fmt::Debug {
    /// It may be used again.
    fn back(&self, connection: Box<Connection>);
    /// One that was lent has been closed.
    fn closed(&self);
}

/// A connection that is lent: it goes back or is counted as closed, whatever happens.
#[derive(Debug)]
pub struct Lent {
    connection: Option<Box<Connection>>,
    home: Rc<dyn Home>,
}

impl Lent {
    /// `connection`, which belongs to `home`.
    pub fn new(connection: Box<Connection>, home: Rc<dyn Home>) -> Self {
        Self { connection: Some(connection), home }
    }

    fn get(&mut self) -> &mut Connection {
        self.connection.as_mut().expect("a lent connection is there until it is given back")
    }

    /// Gives it back unused.
    pub fn give_back(mut self) {
        if let Some(connection) = self.connection.take() {
            self.home.back(connection);
        }
    }

    /// Was it used before?
    pub fn is_reused(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.exchanges > 0)
    }

    /// Takes it for a tunnel: it counts as open as long as the answer is kept.
    fn into_tunnel(mut self) -> Tunnel {
        let connection = self.connection.take();
        let connection = connection.expect("a lent connection is there until it is given back");
        let unread = connection.input.data().to_vec();
        Tunnel { io: connection.io, unread, _open: Open(Rc::clone(&self.home)) }
    }
}

/// A connection that was switched to another protocol.
#[derive(Debug)]
pub struct Tunnel {
    /// The stream.
    pub io: Transport,
    /// What has already been read from it.
    pub unread: Vec<u8>,
    _open: Open,
}

/// Tells a home that a connection is closed when it is dropped.
#[derive(Debug)]
struct Open(Rc<dyn Home>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.closed();
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.connection.take().is_some() {
            self.home.closed();
        }
    }
}

/// What happened to a request on its way.
#[derive(Debug)]
pub enum Event {
    /// All of it has been sent.
    Sent,
    /// An interim response.
    Interim(ResponseHead),
    /// The answer's head, and how its body is framed.
    Answer(ResponseHead, Framing),
}

/// A request being sent, until the head of its answer has come.
#[derive(Debug)]
pub struct Asking {
    lent: Lent,
    request: Option<Outgoing>,
    /// The body, while it waits for `100 Continue`.
    held: Option<Outgoing>,
    /// Sending takes long enough to be told when it is done.
    has_body: bool,
    /// The service stopped reading before it had the whole request.
    broken: bool,
    to_head: bool,
    bytes_max: usize,
    fields_max: usize,
    interims: usize,
}

/// Most interim responses before an answer; more are an attack or a loop.
pub(crate) const INTERIMS_MAX: usize = 64;

pub(crate) fn too_many_interims() -> Fault {
    Fault::new(FaultKind::BadResponse, "more interim responses than anybody needs")
}

impl Asking {
    /// Sends `request` on `lent`, and `held`, the rest of it, after [`Asking::release`].
    pub fn new(
        lent: Lent,
        request: Outgoing,
        held: Option<Outgoing>,
        to_head: bool,
        head_max: (usize, usize),
    ) -> Self {
        let has_body = !matches!(request.body(), Body::Empty);
        Self {
            lent,
            request: Some(request),
            held,
            has_body,
            broken: false,
            to_head,
            bytes_max: head_max.0,
            fields_max: head_max.1,
            interims: 0,
        }
    }

    /// Bytes sent so far, head included.
    pub fn moved(&self) -> u64 {
        self.request.as_ref().map_or(0, Outgoing::moved)
    }

    /// Is a request with a body still being sent? One without is as good as sent.
    pub fn is_sending(&self) -> bool {
        self.has_body && self.request.is_some()
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
        let connection = self.lent.connection.as_mut().expect("lent until the answer has ended");
        if let Some(request) = &mut self.request {
            match request.poll(cx, &connection.io) {
                Poll::Ready(Ok(())) => {
                    self.request = None;
                    if self.has_body {
                        return Poll::Ready(Ok(Event::Sent));
                    }
                }
                Poll::Ready(Err(Unsent::Body(fault))) => return Poll::Ready(Err(fault)),
                Poll::Ready(Err(Unsent::Short)) => {
                    let detail = "the request's body was shorter than declared";
                    return Poll::Ready(Err(Fault::new(FaultKind::ClientGone, detail)));
                }
                // The service may have answered before it stopped reading: look for that first.
                Poll::Ready(Err(Unsent::Peer(_))) => {
                    self.request = None;
                    self.broken = true;
                }
                Poll::Pending => {}
            }
        }
        let input = &mut connection.input;
        let parse = |data: &[u8]| parse::response(data, self.fields_max);
        let head = match ready!(input.poll_head(cx, &connection.io, self.bytes_max, parse)) {
            Ok(head) => head,
            Err(no_head) => {
                let begun = !input.data().is_empty();
                return Poll::Ready(Err(no_answer(no_head, begun || self.interims > 0)));
            }
        };
        if head.is_interim() {
            self.interims += 1;
            if self.interims > INTERIMS_MAX {
                return Poll::Ready(Err(too_many_interims()));
            }
            return Poll::Ready(Ok(Event::Interim(head)));
        }
        let framing = framing::of_response(&head, self.to_head)?;
        Poll::Ready(Ok(Event::Answer(head, framing)))
    }

    /// The body of the answer whose head came.
    pub fn into_answer(self, head: &ResponseHead, framing: Framing) -> Answer {
        // A request that was never sent whole leaves the service waiting for the rest of it.
        let whole = !self.broken && self.held.is_none();
        let stays_open = whole && framing != Framing::Close && keeps_alive(head);
        Answer {
            lent: Some(self.lent),
            request: self.request,
            reader: Reader::new(framing, None, (self.bytes_max, self.fields_max)),
            stays_open,
        }
    }

    /// Lets the rest of the request go; false if nothing was held.
    pub fn release(&mut self) -> bool {
        let Some(rest) = self.held.take() else { return false };
        self.request = Some(rest);
        self.has_body = true;
        true
    }

    /// Is the rest of the request held back?
    pub fn is_holding(&self) -> bool {
        self.held.is_some()
    }

    /// The connection, for a protocol that it was switched to.
    pub fn into_tunnel(self) -> Tunnel {
        self.lent.into_tunnel()
    }
}

/// Does the service mean to keep the connection (RFC 9112 §9.3)?
fn keeps_alive(head: &ResponseHead) -> bool {
    let mut options = head.fields.all(FieldName::Connection).flat_map(base::field::members);
    match head.version {
        Version::Http10 => options.any(|option| option.eq_ignore_ascii_case(b"keep-alive")),
        Version::Http11 | Version::Http2 => {
            !options.any(|option| option.eq_ignore_ascii_case(b"close"))
        }
    }
}

fn no_answer(no_head: NoHead, begun: bool) -> Fault {
    let replay = if begun { Replay::Never } else { Replay::IfIdempotent };
    match no_head {
        NoHead::Closed | NoHead::Cut => {
            Fault::new(FaultKind::ServerClosed, "closed before an answer").replay(replay)
        }
        NoHead::Io(error) => Fault::new(FaultKind::ServerClosed, "broke before an answer")
            .because(error)
            .replay(replay),
        NoHead::TooLarge { .. } => {
            Fault::new(FaultKind::BadResponse, "a head longer than limits.head_bytes")
        }
        NoHead::BareLf => Fault::new(FaultKind::BadResponse, "a line that ends without CR"),
        NoHead::Fault(fault) => fault,
    }
}

/// The body of an answer.
#[derive(Debug)]
pub struct Answer {
    lent: Option<Lent>,
    request: Option<Outgoing>,
    reader: Reader,
    stays_open: bool,
}

impl Answer {
    /// Gives the connection back if the answer has already ended and nothing speaks against it.
    fn settle(&mut self) {
        if !self.reader.has_ended() {
            return;
        }
        let Some(mut lent) = self.lent.take() else { return };
        // A request that is still being sent, or bytes behind the answer, spoil the connection.
        if self.stays_open && self.request.is_none() && lent.get().input.data().is_empty() {
            lent.get().exchanges += 1;
            lent.give_back();
        }
    }

    /// Is the request that this answers still being sent?
    pub fn is_feeding(&self) -> bool {
        self.request.is_some()
    }

    /// Has all of it been read?
    pub fn has_ended(&self) -> bool {
        self.reader.has_ended()
    }

    /// Gives back the connection of an answer without a body.
    pub fn finish(mut self) {
        self.settle();
    }

    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        let Some(lent) = &mut self.lent else { return Poll::Ready(Ok(0)) };
        let connection = lent.get();
        if let Some(request) = &mut self.request {
            match request.poll(cx, &connection.io) {
                Poll::Ready(Ok(())) => self.request = None,
                Poll::Ready(Err(_)) => {
                    // The client or the service gave the request up; the answer may still be whole.
                    self.request = None;
                    self.stays_open = false;
                }
                Poll::Pending => {}
            }
        }
        match ready!(self.reader.poll_data(cx, &connection.io, &mut connection.input)) {
            Ok(0) => {
                self.settle();
                Poll::Ready(Ok(0))
            }
            Ok(n) => Poll::Ready(Ok(n)),
            Err(bad) => {
                self.stays_open = false;
                Poll::Ready(Err(match bad {
                    BadBody::Cut => {
                        Fault::new(FaultKind::ResponseCut, "closed before the end of the body")
                    }
                    BadBody::Malformed(what) => Fault::new(FaultKind::BadResponse, what),
                    BadBody::TooLarge => Fault::new(FaultKind::BadResponse, "too large"),
                    BadBody::Io(error) => {
                        Fault::new(FaultKind::ResponseCut, "broke before the end of the body")
                            .because(error)
                    }
                }))
            }
        }
    }

    pub(crate) fn data(&self) -> &[u8] {
        let connection = self.lent.as_ref().and_then(|lent| lent.connection.as_ref());
        connection.map_or(&[], |connection| connection.input.data())
    }

    pub(crate) fn used(&mut self, n: usize) {
        self.reader.used(n);
        if let Some(lent) = &mut self.lent {
            lent.get().input.consume(n);
        }
        self.settle();
    }

    pub(crate) fn prepend(&mut self, head: &[u8]) -> bool {
        self.lent.as_mut().is_some_and(|lent| lent.get().input.prepend(head))
    }

    pub(crate) fn drop_front(&mut self, n: usize) {
        if let Some(lent) = &mut self.lent {
            lent.get().input.consume(n);
        }
    }

    pub(crate) fn take_trailers(&mut self) -> Option<Fields> {
        self.reader.take_trailers()
    }
}
