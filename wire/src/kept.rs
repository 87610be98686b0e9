//! A request's body that can be sent again: what was read of it is kept, up to a bound.
//!
//! One [`Kept`] reads from the source and keeps; its [`Kept::again`] reads the same bytes from the
//! start, and goes on from the source where they end. Beyond the bound nothing is kept any more and
//! there is no "again". At most one of them reads from the source at a time: a second try begins
//! when the first has failed, or when the source has ended.

use crate::body::Body;
use base::{Fault, Fields, Framing};
use bytes::Bytes;
use std::cell::{Ref, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// One reading of a body that is kept.
#[derive(Debug)]
pub struct Kept {
    store: Rc<RefCell<Store>>,
    /// The piece that is read now, and how much of it has been.
    piece: usize,
    used: usize,
}

#[derive(Debug)]
struct Store {
    source: Body,
    pieces: Vec<Bytes>,
    bytes: usize,
    bytes_max: usize,
    /// Where the end is known before it is read: nobody may ask for more then.
    length: Option<u64>,
    spilt: bool,
    ended: bool,
    trailers: Option<Fields>,
}

impl Kept {
    /// `source`, framed like this, of which up to `bytes_max` are kept.
    pub fn new(source: Body, framing: Framing, bytes_max: usize) -> Self {
        let store = Store {
            source,
            pieces: Vec::new(),
            bytes: 0,
            bytes_max,
            length: framing.length(),
            spilt: false,
            ended: false,
            trailers: None,
        };
        Self { store: Rc::new(RefCell::new(store)), piece: 0, used: 0 }
    }

    /// The same body from its start; `None` if it was too large to be kept.
    pub fn again(&self) -> Option<Self> {
        let spilt = self.store.borrow().spilt;
        (!spilt).then(|| Self { store: Rc::clone(&self.store), piece: 0, used: 0 })
    }

    /// Has all of it been read and kept? Then several may send it at once.
    pub fn is_whole(&self) -> bool {
        let store = self.store.borrow();
        (store.ended || store.length == Some(store.bytes as u64)) && !store.spilt
    }

    /// Waits for data; answers how many bytes of it are at hand, 0 at the end.
    pub fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        let mut store = self.store.borrow_mut();
        if store.pieces.get(self.piece).is_some_and(|piece| piece.len() == self.used) {
            self.used = 0;
            if store.spilt {
                store.pieces.clear();
                self.piece = 0;
            } else {
                self.piece += 1;
            }
        }
        if let Some(piece) = store.pieces.get(self.piece) {
            return Poll::Ready(Ok(piece.len() - self.used));
        }
        if store.ended {
            return Poll::Ready(Ok(0));
        }
        let n = ready!(store.source.poll_data(cx))?;
        if n == 0 {
            store.ended = true;
            store.trailers = store.source.take_trailers();
            return Poll::Ready(Ok(0));
        }
        let piece = store.source.take(n);
        store.bytes += piece.len();
        if store.bytes > store.bytes_max && !store.spilt {
            store.spilt = true;
            store.pieces.clear();
            self.piece = 0;
        }
        store.pieces.push(piece);
        Poll::Ready(Ok(n))
    }

    /// The first `n` bytes at hand.
    pub fn data(&self, n: usize) -> Ref<'_, [u8]> {
        Ref::map(self.store.borrow(), |store| match store.pieces.get(self.piece) {
            Some(piece) => &piece[self.used..self.used + n],
            None => &[],
        })
    }

    /// `n` bytes of data have been used.
    pub fn used(&mut self, n: usize) {
        self.used += n;
    }

    /// The trailer fields, once the end has been reached.
    pub fn take_trailers(&mut self) -> Option<Fields> {
        self.store.borrow().trailers.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    fn read(kept: &mut Kept, step: usize) -> Vec<u8> {
        let mut cx = Context::from_waker(Waker::noop());
        let mut all = Vec::new();
        while let Poll::Ready(Ok(n)) = kept.poll_data(&mut cx) {
            if n == 0 {
                break;
            }
            let n = n.min(step);
            all.extend_from_slice(&kept.data(n));
            kept.used(n);
        }
        all
    }

    fn pieces(texts: &[&'static str]) -> Body {
        Body::Pieces(Box::new(
            texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect(),
        ))
    }

    #[test]
    fn what_was_read_is_read_again_and_goes_on() {
        let mut first = Kept::new(pieces(&["abc", "def", "gh"]), Framing::Chunked, 100);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(matches!(first.poll_data(&mut cx), Poll::Ready(Ok(3))));
        first.used(2);
        assert!(!first.is_whole());
        let mut second = first.again().expect("little was read");
        assert_eq!(read(&mut second, 2), b"abcdefgh");
        assert!(second.is_whole());
        assert_eq!(read(&mut first, 9), b"cdefgh");
        assert_eq!(read(&mut second.again().expect("all is kept"), 1), b"abcdefgh");
    }

    #[test]
    fn what_is_too_large_is_passed_on_and_not_kept() {
        for bytes_max in 0..8 {
            let mut kept = Kept::new(pieces(&["abc", "def", "gh"]), Framing::Chunked, bytes_max);
            assert_eq!(read(&mut kept, 2), b"abcdefgh", "{bytes_max}");
            assert!(kept.again().is_none() && !kept.is_whole());
            assert!(kept.store.borrow().pieces.len() <= 1, "{bytes_max}: nothing is held");
        }
        let mut kept = Kept::new(pieces(&["abc", "def", "gh"]), Framing::Length(8), 8);
        assert_eq!(read(&mut kept, 9), b"abcdefgh");
        assert!(kept.again().is_some());
        let mut kept = Kept::new(pieces(&["abc"]), Framing::Length(3), 8);
        assert!(kept.poll_data(&mut Context::from_waker(Waker::noop())).is_ready());
        assert!(kept.is_whole(), "all that was declared was read, though not the end");
    }
}
