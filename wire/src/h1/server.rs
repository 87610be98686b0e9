//! The server side of one HTTP/1.1 connection: requests in, answers out, one after the other.
//!
//! The connection is shared between whoever writes the answer and the [`Body::Client`] that feeds
//! the request's content to a service; both live in one task. It owns what belongs to the stream and
//! leaves deadlines to the caller, who knows which part of the exchange is waiting.

use crate::body::Body;
use crate::h1::encode;
use crate::h1::framing;
use crate::h1::parse;
use crate::h1::reader::{BadBody, Input, NoHead, Reader};
use crate::settings::Limits;
use crate::transport::{Io, Transport};
use base::{Fault, FaultKind, FieldName, Fields, Framing, RequestHead, ResponseHead, Version};
use std::cell::{Cell, Ref, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

/// The bytes with which an HTTP/2 client begins (RFC 9113 §3.4).
pub const H2_PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Most bytes of interim responses that wait for a client to read them.
const EARLY_BYTES_MAX: usize = 16 << 10;

/// Most of a request's body that is read only to be forgotten.
const DISCARD_BYTES_MAX: usize = 64 << 10;

/// The server side of one connection.
#[derive(Debug)]
pub struct Server {
    io: Transport,
    limits: Arc<Limits>,
    input: RefCell<Input>,
    reader: RefCell<Reader>,
    /// Interim responses that did not fit the socket when they came.
    early: RefCell<Vec<u8>>,
    /// The client waits for `100 Continue` before it sends the body.
    expects: Cell<bool>,
    crlf_skipped: Cell<bool>,
}

/// What came instead of nothing.
#[derive(Debug)]
pub enum Arrival {
    /// A request: its head, and how its body is framed.
    Request(RequestHead, Framing),
    /// The preface of HTTP/2: not ours; [`Server::into_parts`].
    Preface,
    /// The client closed the connection between requests.
    Closed,
}

impl Server {
    /// Over this stream, under these limits.
    pub fn new(io: Transport, limits: Arc<Limits>) -> Self {
        Self {
            io,
            limits,
            input: RefCell::default(),
            reader: RefCell::new(Reader::none()),
            early: RefCell::default(),
            expects: Cell::new(false),
            crlf_skipped: Cell::new(false),
        }
    }

    /// The stream under the connection.
    pub fn io(&self) -> &Transport {
        &self.io
    }

    /// Have bytes of a request come that has not been answered yet?
    pub fn has_begun(&self) -> bool {
        !self.input.borrow().data().is_empty()
    }

    /// Waits for the next request head.
    ///
    /// # Errors
    /// A fault of the client's, to be answered and followed by the connection's end.
    pub fn poll_request(&self, cx: &mut Context<'_>) -> Poll<Result<Arrival, Fault>> {
        let input = &mut *self.input.borrow_mut();
        loop {
            if is_preface_so_far(input.data()) {
                if input.data().len() >= H2_PREFACE.len() {
                    return Poll::Ready(Ok(Arrival::Preface));
                }
            } else if !self.crlf_skipped.get() && input.data().starts_with(b"\r\n") {
                // RFC 9112 §2.2: one empty line before a request line is forgiven.
                input.consume(2);
                self.crlf_skipped.set(true);
            } else if input.data() != b"\r" && !input.data().is_empty() {
                break;
            }
            match ready!(input.poll_fill(cx, &self.io)) {
                Ok(0) => return Poll::Ready(Ok(Arrival::Closed)),
                Ok(_) => {}
                Err(_) if input.data().is_empty() => return Poll::Ready(Ok(Arrival::Closed)),
                Err(error) => return Poll::Ready(Err(gone(error))),
            }
        }
        let bytes_max = self.limits.head_bytes.as_usize();
        let parse = |data: &[u8]| parse::request(data, self.limits.fields);
        let head = match ready!(input.poll_head(cx, &self.io, bytes_max, parse)) {
            Ok(head) => head,
            Err(no_head) => return Poll::Ready(no_request(no_head)),
        };
        let framing = framing::of_request(&head)?;
        self.begin(&head, framing)?;
        Poll::Ready(Ok(Arrival::Request(head, framing)))
    }

    fn begin(&self, head: &RequestHead, framing: Framing) -> Result<(), Fault> {
        self.crlf_skipped.set(false);
        let bytes_max = self.limits.body_bytes.map(|size| size.0);
        if let (Framing::Length(n), Some(max)) = (framing, bytes_max)
            && n > max
        {
            return Err(too_large());
        }
        let trailers_max = (self.limits.head_bytes.as_usize(), self.limits.fields);
        *self.reader.borrow_mut() = Reader::new(framing, bytes_max, trailers_max);
        let has_body = !matches!(framing, Framing::None | Framing::Length(0));
        let expect = head.fields.get(FieldName::Expect);
        // RFC 9110 §10.1.1: HTTP/1.0 has no expectations; 100-continue is the only one.
        self.expects.set(false);
        if let Some(expect) = expect.filter(|_| head.version != Version::Http10) {
            if !expect.eq_ignore_ascii_case(b"100-continue") {
                let detail = "an expectation other than 100-continue";
                return Err(Fault::new(FaultKind::BadExpectation, detail));
            }
            self.expects.set(has_body);
        }
        Ok(())
    }

    /// Does the client wait for leave to send its body?
    pub fn expects_continue(&self) -> bool {
        self.expects.get()
    }

    /// Has the request's body been read to its end?
    pub fn has_body_ended(&self) -> bool {
        self.reader.borrow().has_ended()
    }

    /// Waits until the client has broken the connection off. One that only says that it will send no
    /// more is still there, and so is one that has sent its next request: both end the watch.
    pub fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_body_ended() || self.has_begun() {
            return Poll::Pending;
        }
        self.io.poll_broken(cx)
    }

    /// Reads and forgets what has already come of the request's body; is it now at its end?
    pub fn discard_at_hand(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut left = DISCARD_BYTES_MAX;
        while !self.has_body_ended() && !self.expects.get() && left > 0 {
            match self.poll_body(&mut cx) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    let n = n.min(left);
                    self.used(n);
                    left -= n;
                }
                _ => break,
            }
        }
        self.has_body_ended()
    }

    /// Sends an interim response at once, or before whatever is sent next.
    pub fn interim(&self, head: &ResponseHead) {
        if head.status == 100 && !self.expects.replace(false) {
            return; // nobody asked
        }
        let mut early = self.early.borrow_mut();
        if early.len() > EARLY_BYTES_MAX {
            return; // the client does not read: hints that come too late help nobody
        }
        encode::interim(&mut early, head);
        let mut cx = Context::from_waker(Waker::noop());
        while !early.is_empty() {
            match self.io.poll_write(&mut cx, &early) {
                Poll::Ready(Ok(n)) if n > 0 => drop(early.drain(..n)),
                // A broken stream is noticed by whoever writes or reads next.
                _ => break,
            }
        }
        let _flushed = self.io.poll_flush(&mut cx);
    }

    /// Interim responses that have not been sent: to be put before the answer.
    pub fn take_early(&self) -> Vec<u8> {
        self.early.take()
    }

    /// Reads and forgets what the client still sends, until it has closed or sent `bytes_max`.
    pub fn poll_drain(&self, cx: &mut Context<'_>, bytes_max: &mut usize) -> Poll<()> {
        let input = &mut *self.input.borrow_mut();
        loop {
            let n = input.data().len();
            input.consume(n);
            *bytes_max = bytes_max.saturating_sub(n);
            if *bytes_max == 0 {
                return Poll::Ready(());
            }
            match ready!(input.poll_fill(cx, &self.io)) {
                Ok(n) if n > 0 => {}
                _ => return Poll::Ready(()),
            }
        }
    }

    /// The stream, and the bytes read from it that have not been used.
    pub fn into_parts(self) -> (Io, Vec<u8>) {
        let unused = self.input.borrow().data().to_vec();
        (self.io.into_io(), unused)
    }

    /// Bytes read and not used, for a tunnel that begins with them.
    pub fn take_unused(&self) -> Vec<u8> {
        let mut input = self.input.borrow_mut();
        let unused = input.data().to_vec();
        input.consume(unused.len());
        unused
    }

    pub(crate) fn poll_body(&self, cx: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        let mut reader = self.reader.borrow_mut();
        let input = &mut *self.input.borrow_mut();
        if self.expects.get() && !reader.has_ended() && input.data().is_empty() {
            self.interim(&ResponseHead::build(100));
        }
        reader.poll_data(cx, &self.io, input).map_err(|bad| match bad {
            BadBody::Cut => Fault::new(FaultKind::ClientGone, "the body was cut"),
            BadBody::Malformed(what) => Fault::new(FaultKind::BadBody, what),
            BadBody::TooLarge => too_large(),
            BadBody::Io(error) => gone(error),
        })
    }

    pub(crate) fn data(&self, n: usize) -> Ref<'_, [u8]> {
        Ref::map(self.input.borrow(), |input| &input.data()[..n])
    }

    pub(crate) fn used(&self, n: usize) {
        self.reader.borrow_mut().used(n);
        self.input.borrow_mut().consume(n);
    }

    pub(crate) fn take_trailers(&self) -> Option<Fields> {
        self.reader.borrow_mut().take_trailers()
    }

    pub(crate) fn is_untouched(&self) -> bool {
        !self.reader.borrow().is_used()
    }
}

/// The body of a request of this framing on this connection.
pub fn body(server: &Rc<Server>, framing: Framing) -> Body {
    match framing {
        Framing::None | Framing::Length(0) => Body::Empty,
        Framing::Length(_) | Framing::Chunked | Framing::Close => Body::Client(Rc::clone(server)),
    }
}

/// Could this be the beginning of HTTP/2's preface?
fn is_preface_so_far(data: &[u8]) -> bool {
    let n = data.len().min(H2_PREFACE.len());
    n > 0 && data[..n] == H2_PREFACE[..n]
}

fn too_large() -> Fault {
    Fault::new(FaultKind::BodyTooLarge, "the body is larger than limits.body_bytes")
}

fn gone(error: io::Error) -> Fault {
    Fault::new(FaultKind::ClientGone, "the connection broke").because(error)
}

fn no_request(no_head: NoHead) -> Result<Arrival, Fault> {
    Err(match no_head {
        NoHead::Closed => return Ok(Arrival::Closed),
        NoHead::Cut => Fault::new(FaultKind::ClientGone, "the head was cut"),
        NoHead::TooLarge { first_line: true } => {
            Fault::new(FaultKind::TargetTooLong, "a request line longer than limits.head_bytes")
        }
        NoHead::TooLarge { first_line: false } => {
            Fault::new(FaultKind::HeadTooLarge, "a head longer than limits.head_bytes")
        }
        NoHead::BareLf => Fault::new(FaultKind::BadRequest, "a line that ends without CR"),
        NoHead::Fault(fault) => fault,
        NoHead::Io(error) => gone(error),
    })
}
