//! The content of a message on its way from one hop to the next: pulled, never pushed.
//!
//! Whoever writes a body polls for data, writes what it can, and says how much that was. Nothing is
//! read from one peer before the other has taken what came before, so that memory per exchange is
//! one buffer a direction, whatever the size of the body (back-pressure by construction).

use crate::content;
use crate::h1;
use crate::h2;
use crate::kept::Kept;
use base::{Fault, Fields, Framing, ResponseHead};
use bytes::{Buf, Bytes};
use std::cell::Ref;
use std::collections::VecDeque;
use std::ops::Deref;
use std::rc::Rc;
use std::task::{Context, Poll};

/// The content of a message.
#[derive(Debug)]
pub enum Body {
    /// None.
    Empty,
    /// Ours: all of it, and how much has been used.
    Whole(Vec<u8>, usize),
    /// Held in memory for many: what is left of it.
    Shared(Bytes),
    /// The same in several pieces, none of them empty.
    Pieces(Box<VecDeque<Bytes>>),
    /// Held in memory for many, and still coming.
    Flow(Box<content::Reader>),
    /// A request's, from an HTTP/1.1 client.
    Client(Rc<h1::server::Server>),
    /// A response's, from an HTTP/1.1 service.
    Service(Box<h1::client::Answer>),
    /// Either's, from an HTTP/2 peer.
    Frames(Box<h2::Incoming>),
    /// A request's, kept so that it can be sent again.
    Kept(Box<Kept>),
}

/// A response on its way to a client.
#[derive(Debug)]
pub struct Response {
    /// Its head.
    pub head: ResponseHead,
    /// Its content.
    pub body: Body,
    /// How its content is framed, or, where there is none to be sent (HEAD, 304), would be.
    pub framing: Framing,
}

impl Response {
    /// A response of our own making, with this content.
    pub fn whole(head: ResponseHead, content: Vec<u8>) -> Self {
        let framing = Framing::Length(content.len() as u64);
        Self { head, body: Body::Whole(content, 0), framing }
    }
}

/// Bytes at the front of a body.
pub enum Data<'a> {
    /// In a buffer of ours alone.
    Plain(&'a [u8]),
    /// In a buffer that is shared within the connection.
    Shared(Ref<'a, [u8]>),
}

impl Deref for Data<'_> {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        match self {
            Self::Plain(data) => data,
            Self::Shared(data) => data,
        }
    }
}

impl Body {
    /// Waits for data; answers how many bytes of it are at hand, 0 at the end.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        match self {
            Self::Empty => Poll::Ready(Ok(0)),
            Self::Whole(bytes, used) => Poll::Ready(Ok(bytes.len() - *used)),
            Self::Shared(bytes) => Poll::Ready(Ok(bytes.len())),
            Self::Pieces(pieces) => Poll::Ready(Ok(pieces.front().map_or(0, Bytes::len))),
            Self::Flow(reader) => reader.poll_data(cx),
            Self::Client(server) => server.poll_body(cx),
            Self::Service(answer) => answer.poll_body(cx),
            Self::Frames(incoming) => incoming.poll_data(cx),
            Self::Kept(kept) => kept.poll_data(cx),
        }
    }

    /// The first `n` bytes at hand.
    pub fn data(&self, n: usize) -> Data<'_> {
        match self {
            Self::Empty => Data::Plain(&[]),
            Self::Whole(bytes, used) => Data::Plain(&bytes[*used..*used + n]),
            Self::Shared(bytes) => Data::Plain(&bytes[..n]),
            Self::Pieces(pieces) => Data::Plain(pieces.front().map_or(&[], |piece| &piece[..n])),
            Self::Flow(reader) => Data::Plain(&reader.data()[..n]),
            Self::Client(server) => Data::Shared(server.data(n)),
            Self::Service(answer) => Data::Plain(&answer.data()[..n]),
            Self::Frames(incoming) => Data::Plain(&incoming.data()[..n]),
            Self::Kept(kept) => Data::Shared(kept.data(n)),
        }
    }

    /// `n` bytes of data have been used.
    pub fn used(&mut self, n: usize) {
        match self {
            Self::Empty => assert!(n == 0, "an empty body was used"),
            Self::Whole(_, used) => *used += n,
            Self::Shared(bytes) => bytes.advance(n),
            Self::Pieces(pieces) => content::used(pieces, n),
            Self::Flow(reader) => reader.used(n),
            Self::Client(server) => server.used(n),
            Self::Service(answer) => answer.used(n),
            Self::Frames(incoming) => incoming.used(n),
            Self::Kept(kept) => kept.used(n),
        }
    }

    /// Takes the first `n` bytes at hand out of it, uncopied where they are held for many.
    pub fn take(&mut self, n: usize) -> Bytes {
        match self {
            Self::Shared(bytes) => bytes.split_to(n),
            Self::Pieces(pieces) if pieces.front().is_some_and(|piece| piece.len() > n) => {
                pieces.front_mut().map_or_else(Bytes::new, |piece| piece.split_to(n))
            }
            Self::Pieces(pieces) => pieces.pop_front().unwrap_or_default(),
            _ => {
                let bytes = Bytes::copy_from_slice(&self.data(n));
                self.used(n);
                bytes
            }
        }
    }

    /// Puts `head` right before the data at hand, where the buffer has room for it. It is then the
    /// front of [`Body::data`], and [`Body::drop_front`] takes it off again.
    pub fn prepend(&mut self, head: &[u8]) -> bool {
        match self {
            Self::Service(answer) => answer.prepend(head),
            Self::Empty
            | Self::Whole(..)
            | Self::Shared(_)
            | Self::Pieces(_)
            | Self::Flow(_)
            | Self::Client(_)
            | Self::Frames(_)
            | Self::Kept(_) => false,
        }
    }

    /// Takes off `n` bytes that [`Body::prepend`] put there.
    pub fn drop_front(&mut self, n: usize) {
        if let Self::Service(answer) = self {
            answer.drop_front(n);
        }
    }

    /// The trailer fields, once the end has been reached.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        match self {
            Self::Empty | Self::Whole(..) | Self::Shared(_) | Self::Pieces(_) | Self::Flow(_) => {
                None
            }
            Self::Client(server) => server.take_trailers(),
            Self::Service(answer) => answer.take_trailers(),
            Self::Frames(incoming) => incoming.take_trailers(),
            Self::Kept(kept) => kept.take_trailers(),
        }
    }

    /// The same body once more, to be sent if the first try fails before any of it was used, or,
    /// where it is kept, at any time. `None` where that could not be.
    pub fn spare(&self) -> Option<Self> {
        match self {
            Self::Empty => Some(Self::Empty),
            Self::Client(server) => Some(Self::Client(Rc::clone(server))),
            Self::Kept(kept) => kept.again().map(|kept| Self::Kept(Box::new(kept))),
            Self::Whole(..)
            | Self::Shared(_)
            | Self::Pieces(_)
            | Self::Flow(_)
            | Self::Service(_)
            | Self::Frames(_) => None,
        }
    }

    /// Does reading it also send the request that it answers?
    pub fn is_feeding(&self) -> bool {
        match self {
            Self::Empty
            | Self::Whole(..)
            | Self::Shared(_)
            | Self::Pieces(_)
            | Self::Flow(_)
            | Self::Client(_)
            | Self::Kept(_) => false,
            Self::Service(answer) => answer.is_feeding(),
            Self::Frames(incoming) => incoming.is_feeding(),
        }
    }

    /// Can it still be sent from its start: has none of it been used, or is it kept?
    pub fn is_untouched(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Whole(_, used) => *used == 0,
            Self::Client(server) => server.is_untouched(),
            Self::Kept(kept) => kept.again().is_some(),
            Self::Shared(_)
            | Self::Pieces(_)
            | Self::Flow(_)
            | Self::Service(_)
            | Self::Frames(_) => false,
        }
    }
}
