//! Reading from a peer: heads up to their end, bodies by their framing.

use crate::buffer::Buffer;
use crate::h1::chunk::{Decoder, Step};
use crate::h1::parse::{self, Extent, Whole};
use crate::transport::Transport;
use base::{Fault, Fields, Framing};
use std::io;
use std::task::{Context, Poll, ready};

/// Bytes received and not yet used. Holds no buffer while there are none.
#[derive(Debug, Default)]
pub struct Input {
    buffer: Option<Buffer>,
    /// How far the head at the front has been searched for its end.
    searched: usize,
}

/// Why no head came.
#[derive(Debug)]
pub enum NoHead {
    /// The connection ended before a byte of it.
    Closed,
    /// The connection ended within it.
    Cut,
    /// It is longer than allowed; whether its first line alone is.
    TooLarge {
        /// The first line has not ended yet.
        first_line: bool,
    },
    /// A line ends without CR.
    BareLf,
    /// It is malformed.
    Fault(Fault),
    /// The transport failed.
    Io(io::Error),
}

impl Input {
    /// What is at hand.
    pub fn data(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], Buffer::data)
    }

    /// `n` bytes have been used.
    pub fn consume(&mut self, n: usize) {
        let Some(buffer) = &mut self.buffer else {
            assert!(n == 0, "bytes used that were never there");
            return;
        };
        buffer.consume(n);
        if buffer.is_empty() {
            self.buffer = None;
        }
    }

    /// Puts `head` right before what is at hand, if there is room.
    pub fn prepend(&mut self, head: &[u8]) -> bool {
        self.buffer.as_mut().is_some_and(|buffer| buffer.prepend(head))
    }

    /// Reads more; 0 is the end of the stream.
    pub fn poll_fill(&mut self, cx: &mut Context<'_>, io: &Transport) -> Poll<io::Result<usize>> {
        if self.buffer.is_none() {
            ready!(io.poll_readable(cx))?; // a buffer is taken when there is something to put in it
        }
        let buffer = self.buffer.get_or_insert_with(Buffer::take);
        if buffer.space().is_empty() {
            buffer.make_space();
        }
        let read = io.poll_read(cx, buffer.space());
        if let Poll::Ready(Ok(n)) = read {
            buffer.filled(n);
        }
        if buffer.is_empty() {
            self.buffer = None;
        }
        read
    }

    /// Waits until a whole head is at hand and has been parsed, and takes it off.
    ///
    /// # Errors
    /// Why there is none; `parse`'s own fault within.
    pub fn poll_head<T>(
        &mut self,
        cx: &mut Context<'_>,
        io: &Transport,
        bytes_max: usize,
        mut parse: impl FnMut(&[u8]) -> Result<Whole<T>, Fault>,
    ) -> Poll<Result<T, NoHead>> {
        loop {
            if let Some((head, length)) = self.try_head(bytes_max, &mut parse)? {
                self.searched = 0;
                self.consume(length);
                return Poll::Ready(Ok(head));
            }
            let Poll::Ready(filled) = self.poll_fill(cx, io) else {
                self.fit();
                return Poll::Pending;
            };
            match filled {
                Ok(0) if self.data().is_empty() => return Poll::Ready(Err(NoHead::Closed)),
                Ok(0) => return Poll::Ready(Err(NoHead::Cut)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(NoHead::Io(error))),
            }
        }
    }

    /// Holds a piece of a head in no more memory than it needs: whoever sends slowly, or not at all,
    /// is not given a buffer for it.
    fn fit(&mut self) {
        if let Some(buffer) = &mut self.buffer {
            buffer.fit();
        }
    }

    /// The head that is at hand, if it is whole. A head nearly always comes in one piece, so the first
    /// look is the parser's; what turns out to be a piece is from then on only searched for its end,
    /// or a head sent byte by byte would be parsed as often.
    fn try_head<T>(
        &mut self,
        bytes_max: usize,
        parse: &mut impl FnMut(&[u8]) -> Result<Whole<T>, Fault>,
    ) -> Result<Whole<T>, NoHead> {
        let data = self.data();
        if data.is_empty() {
            return Ok(None);
        }
        if self.searched == 0
            && let Some((head, length)) = parse(data).map_err(NoHead::Fault)?
        {
            let fits = length <= bytes_max;
            return if fits { Ok(Some((head, length))) } else { Err(self.too_large(bytes_max)) };
        }
        match parse::extent(data, self.searched) {
            Extent::Whole(end) if end <= bytes_max => {
                let whole = parse(&data[..end]).map_err(NoHead::Fault)?;
                whole.map(Some).ok_or(NoHead::Cut)
            }
            Extent::Partial(searched) if searched <= bytes_max => {
                self.searched = searched;
                Ok(None)
            }
            Extent::BareLf => Err(NoHead::BareLf),
            Extent::Whole(_) | Extent::Partial(_) => Err(self.too_large(bytes_max)),
        }
    }

    fn too_large(&self, bytes_max: usize) -> NoHead {
        let data = self.data();
        NoHead::TooLarge { first_line: !data[..data.len().min(bytes_max)].contains(&b'\n') }
    }
}

/// Why a body could not be read on.
#[derive(Debug)]
pub enum BadBody {
    /// The connection ended before the body did.
    Cut,
    /// The framing is malformed.
    Malformed(&'static str),
    /// It is larger than allowed.
    TooLarge,
    /// The transport failed.
    Io(io::Error),
}

#[derive(Debug)]
enum Kind {
    Ended,
    Length(u64),
    Chunked(Box<Decoder>),
    Close,
}

/// Reads one body. Answers each time how many bytes at the front of the input are its data.
#[derive(Debug)]
pub struct Reader {
    kind: Kind,
    framing: Framing,
    available: usize,
    left_max: u64,
    trailers: Option<Fields>,
    used: bool,
}

impl Reader {
    /// A body framed so, of at most `bytes_max` bytes, with trailers bounded in bytes and number.
    pub fn new(framing: Framing, bytes_max: Option<u64>, trailers_max: (usize, usize)) -> Self {
        let kind = match framing {
            Framing::None | Framing::Length(0) => Kind::Ended,
            Framing::Length(n) => Kind::Length(n),
            Framing::Chunked => {
                Kind::Chunked(Box::new(Decoder::new(trailers_max.0, trailers_max.1)))
            }
            Framing::Close => Kind::Close,
        };
        Self {
            kind,
            framing,
            available: 0,
            left_max: bytes_max.unwrap_or(u64::MAX),
            trailers: None,
            used: false,
        }
    }

    /// No body.
    pub fn none() -> Self {
        Self::new(Framing::None, None, (0, 0))
    }

    /// How the body is framed.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// Has the whole body been used?
    pub fn has_ended(&self) -> bool {
        matches!(self.kind, Kind::Ended)
    }

    /// Has any of it been used?
    pub fn is_used(&self) -> bool {
        self.used
    }

    /// Waits for data; answers how many bytes of it are at the front of `input`, 0 at the end.
    pub fn poll_data(
        &mut self,
        cx: &mut Context<'_>,
        io: &Transport,
        input: &mut Input,
    ) -> Poll<Result<usize, BadBody>> {
        if self.available > 0 {
            return Poll::Ready(Ok(self.available));
        }
        loop {
            let data = input.data();
            let here = match &mut self.kind {
                Kind::Ended => return Poll::Ready(Ok(0)),
                Kind::Length(left) => data.len().min(usize::try_from(*left).unwrap_or(usize::MAX)),
                Kind::Close => data.len(),
                Kind::Chunked(decoder) => {
                    let (skip, step) = match decoder.step(data) {
                        Ok(step) => step,
                        Err(what) => return Poll::Ready(Err(BadBody::Malformed(what))),
                    };
                    input.consume(skip);
                    match step {
                        Step::Data(n) => n,
                        Step::More => 0,
                        Step::End => {
                            self.trailers = decoder.take_trailers();
                            self.kind = Kind::Ended;
                            return Poll::Ready(Ok(0));
                        }
                    }
                }
            };
            if here as u64 > self.left_max {
                return Poll::Ready(Err(BadBody::TooLarge));
            }
            if here > 0 {
                self.available = here;
                return Poll::Ready(Ok(here));
            }
            match ready!(input.poll_fill(cx, io)) {
                Ok(0) if matches!(self.kind, Kind::Close) => {
                    self.kind = Kind::Ended;
                    return Poll::Ready(Ok(0));
                }
                Ok(0) => return Poll::Ready(Err(BadBody::Cut)),
                Ok(_) => {}
                // TLS that ends without saying so (RFC 9112 §9.8): no end of any body.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Poll::Ready(Err(BadBody::Cut));
                }
                Err(error) => return Poll::Ready(Err(BadBody::Io(error))),
            }
        }
    }

    /// `n` bytes of data have been used; the caller consumes them from the input.
    pub fn used(&mut self, n: usize) {
        self.available -= n;
        self.left_max -= n as u64;
        self.used = true;
        match &mut self.kind {
            Kind::Length(left) => {
                *left -= n as u64;
                if *left == 0 {
                    self.kind = Kind::Ended;
                }
            }
            Kind::Chunked(decoder) => decoder.used(n),
            Kind::Close => {}
            Kind::Ended => assert!(n == 0, "a body was used past its end"),
        }
    }

    /// The trailer fields, once the body has ended.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        self.trailers.take()
    }
}
