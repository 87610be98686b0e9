//! A body held in memory, whole or still coming, that any number of answers read at once.
//!
//! [`Content`] is whole and never changes. A [`Flow`] is filled by one writer while readers on any
//! thread follow it, each at its own pace: they are woken by what arrives and hold no lock while they
//! write. A flow that grows beyond what its writer means to keep slides: what every reader has passed
//! is dropped, and the writer waits for the slowest.

use crate::body::Body;
use base::{Fault, FaultKind};
use bytes::Bytes;
use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// A body is held in blocks of this size: of one size for all, so that what one leaves another takes,
/// and memory does not fall to pieces (`bench/run memory` measured up to 1.7 times the bytes held
/// with a block of its own length for each body, 1.13 with these).
const SEGMENT_BYTES: usize = 8 << 10;
/// How far the writer of a sliding flow may be ahead of the slowest reader.
const WINDOW_BYTES: u64 = 256 << 10;

/// A body, whole.
#[derive(Clone, Debug)]
pub struct Content {
    held: Held,
    length: u64,
}

#[derive(Clone, Debug)]
enum Held {
    One(Bytes),
    Many(Arc<[Bytes]>),
}

impl Content {
    /// This body.
    pub fn new(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self { length: bytes.len() as u64, held: Held::One(bytes) }
    }

    /// From pieces in their order.
    pub fn join(pieces: &[Bytes]) -> Self {
        let length = pieces.iter().map(|piece| piece.len() as u64).sum();
        if let [one] = pieces
            && one.len() <= SEGMENT_BYTES
        {
            return Self { held: Held::One(one.clone()), length };
        }
        if length <= SEGMENT_BYTES as u64 {
            return Self { held: Held::One(fitted(pieces.concat())), length };
        }
        let mut segments: Vec<Bytes> = Vec::with_capacity(length as usize / SEGMENT_BYTES + 1);
        let mut joined: Vec<u8> = Vec::new();
        for mut piece in pieces.iter().map(|piece| &piece[..]) {
            while !piece.is_empty() {
                if joined.capacity() == 0 {
                    joined.reserve_exact(SEGMENT_BYTES);
                }
                let n = piece.len().min(SEGMENT_BYTES - joined.len());
                joined.extend_from_slice(&piece[..n]);
                piece = &piece[n..];
                if joined.len() == SEGMENT_BYTES {
                    segments.push(fitted(std::mem::take(&mut joined)));
                }
            }
        }
        if !joined.is_empty() {
            segments.push(fitted(joined));
        }
        Self { held: Held::Many(segments.into()), length }
    }

    /// Its length.
    pub fn len(&self) -> u64 {
        self.length
    }

    /// None at all?
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Bytes of memory that it takes.
    pub fn footprint(&self) -> usize {
        match &self.held {
            Held::One(bytes) => bytes.len() + size_of::<Bytes>(),
            Held::Many(segments) => self.length as usize + segments.len() * 2 * size_of::<Bytes>(),
        }
    }

    /// Its segments, in order.
    pub fn segments(&self) -> &[Bytes] {
        match &self.held {
            Held::One(bytes) => std::slice::from_ref(bytes),
            Held::Many(segments) => segments,
        }
    }

    /// All of it, to be sent.
    pub fn body(&self) -> Body {
        match &self.held {
            Held::One(bytes) if bytes.is_empty() => Body::Empty,
            Held::One(bytes) => Body::Shared(bytes.clone()),
            Held::Many(_) => Body::Pieces(Box::new(self.pieces(0..self.length))),
        }
    }

    /// The pieces of a range of it.
    pub fn pieces(&self, range: Range<u64>) -> VecDeque<Bytes> {
        let mut at = 0;
        let mut pieces = VecDeque::with_capacity(self.segments().len());
        for segment in self.segments() {
            let end = at + segment.len() as u64;
            let (from, to) = (range.start.max(at), range.end.min(end));
            if from < to {
                pieces.push_back(segment.slice((from - at) as usize..(to - at) as usize));
            }
            at = end;
        }
        pieces
    }
}

fn fitted(joined: Vec<u8>) -> Bytes {
    Bytes::from_owner(Counted::new(joined.into_boxed_slice()))
}

/// A copy of these bytes, counted in [`held`] as long as anybody has it.
pub fn copied(bytes: &[u8]) -> Bytes {
    fitted(bytes.to_vec())
}

/// Bytes of bodies that somebody has: a store, a flow, or an answer that is being sent long after the
/// store has let go of it.
pub fn held() -> u64 {
    HELD.load(Ordering::Relaxed)
}

static HELD: AtomicU64 = AtomicU64::new(0);

/// Bytes that are counted.
struct Counted(Box<[u8]>);

impl Counted {
    fn new(bytes: Box<[u8]>) -> Self {
        HELD.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Self(bytes)
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        HELD.fetch_sub(self.0.len() as u64, Ordering::Relaxed);
    }
}

/// Writes down where the first pieces lie, at most `left` bytes of them; answers how many.
pub(crate) fn slices<'a>(pieces: &'a VecDeque<Bytes>, left: u64, out: &mut [IoSlice<'a>]) -> usize {
    let (mut left, mut n) = (left, 0);
    for (piece, slot) in pieces.iter().zip(out) {
        if left == 0 {
            break;
        }
        let take = piece.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        *slot = IoSlice::new(&piece[..take]);
        left -= take as u64;
        n += 1;
    }
    n
}

/// Takes the first `n` bytes off.
pub(crate) fn used(pieces: &mut VecDeque<Bytes>, mut n: usize) {
    while n > 0
        && let Some(piece) = pieces.front_mut()
    {
        let here = n.min(piece.len());
        bytes::Buf::advance(piece, here);
        n -= here;
        if piece.is_empty() {
            pieces.pop_front();
        }
    }
}

/// A body that is still coming.
#[derive(Debug, Default)]
pub struct Flow {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    segments: VecDeque<Bytes>,
    /// The number of the first segment that is still here.
    first: u64,
    /// Bytes that came.
    length: u64,
    /// Bytes that are still here.
    held: u64,
    ended: Option<Result<(), (FaultKind, String)>>,
    seats: Vec<Option<Seat>>,
    sliding: bool,
    writer: Option<Waker>,
}

/// One reader's place.
#[derive(Debug, Default)]
struct Seat {
    /// The number of the segment that it reads next.
    next: u64,
    waker: Option<Waker>,
}

impl State {
    fn wakers(&mut self) -> Vec<Waker> {
        self.seats.iter_mut().flatten().filter_map(|seat| seat.waker.take()).collect()
    }

    /// Drops what every reader has passed; answers the writer, if it can go on.
    fn slide(&mut self) -> Option<Waker> {
        if !self.sliding {
            return None;
        }
        let slowest = self.seats.iter().flatten().map(|seat| seat.next).min().unwrap_or(u64::MAX);
        while self.first < slowest
            && let Some(gone) = self.segments.pop_front()
        {
            self.first += 1;
            self.held -= gone.len() as u64;
        }
        if self.held < WINDOW_BYTES { self.writer.take() } else { None }
    }
}

/// Why a writer need not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NobodyReads;

impl Flow {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends what has come.
    pub fn push(&self, bytes: Bytes) {
        let wakers = {
            let mut state = self.lock();
            state.length += bytes.len() as u64;
            state.held += bytes.len() as u64;
            state.segments.push_back(bytes);
            state.wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Ends it: well, or in a fault that every reader gets.
    pub fn end(&self, ended: Result<(), &Fault>) {
        let wakers = {
            let mut state = self.lock();
            let ended = ended.map_err(|fault| (fault.kind, fault.detail.clone()));
            state.ended.get_or_insert(ended);
            state.wakers()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Bytes that have come.
    pub fn length(&self) -> u64 {
        self.lock().length
    }

    /// All of it, once it has ended well and if none was dropped.
    pub fn content(&self) -> Option<Content> {
        let state = self.lock();
        if state.first > 0 || !matches!(state.ended, Some(Ok(()))) {
            return None;
        }
        let pieces: Vec<Bytes> = state.segments.iter().cloned().collect();
        drop(state);
        Some(Content::join(&pieces))
    }

    /// From now on keeps only what readers have not passed; nobody new can follow.
    pub fn slide(&self) {
        let mut state = self.lock();
        state.sliding = true;
        state.slide();
    }

    /// Waits until a sliding flow has room.
    ///
    /// # Errors
    /// Nobody reads it any more.
    pub fn poll_room(&self, cx: &mut Context<'_>) -> Poll<Result<(), NobodyReads>> {
        let mut state = self.lock();
        if !state.sliding {
            return Poll::Ready(Ok(()));
        }
        if state.seats.iter().flatten().next().is_none() {
            return Poll::Ready(Err(NobodyReads));
        }
        if state.held < WINDOW_BYTES {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// Follows it from the start; `None` if the start is gone or it has ended in a fault.
    pub fn reader(self: &Arc<Self>) -> Option<Reader> {
        let mut state = self.lock();
        if state.first > 0 || state.sliding || matches!(state.ended, Some(Err(_))) {
            return None;
        }
        let free = state.seats.iter().position(Option::is_none);
        let seat = free.unwrap_or_else(|| {
            state.seats.push(None);
            state.seats.len() - 1
        });
        state.seats[seat] = Some(Seat::default());
        drop(state);
        Some(Reader { flow: Arc::clone(self), seat, current: Bytes::new() })
    }
}

/// One reader of a [`Flow`].
#[derive(Debug)]
pub struct Reader {
    flow: Arc<Flow>,
    seat: usize,
    current: Bytes,
}

impl Reader {
    pub(crate) fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        if !self.current.is_empty() {
            return Poll::Ready(Ok(self.current.len()));
        }
        let mut state = self.flow.lock();
        let first = state.first;
        let next = state.seats[self.seat].as_ref().map_or(0, |seat| seat.next);
        if let Some(segment) = state.segments.get((next - first) as usize) {
            self.current = segment.clone();
            if let Some(seat) = &mut state.seats[self.seat] {
                seat.next += 1;
            }
            let writer = state.slide();
            drop(state);
            writer.into_iter().for_each(Waker::wake);
            return Poll::Ready(Ok(self.current.len()));
        }
        match &state.ended {
            Some(Ok(())) => Poll::Ready(Ok(0)),
            Some(Err((kind, detail))) => Poll::Ready(Err(Fault::new(*kind, detail.clone()))),
            None => {
                if let Some(seat) = &mut state.seats[self.seat] {
                    seat.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    pub(crate) fn data(&self) -> &[u8] {
        &self.current
    }

    pub(crate) fn used(&mut self, n: usize) {
        bytes::Buf::advance(&mut self.current, n);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut state = self.flow.lock();
        let gone = state.seats[self.seat].take();
        let writer = state.slide().or_else(|| state.writer.take());
        drop(state);
        drop(gone);
        writer.into_iter().for_each(Waker::wake);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(reader: &mut Reader) -> Poll<Result<Vec<u8>, FaultKind>> {
        let mut cx = Context::from_waker(Waker::noop());
        reader.poll_data(&mut cx).map(|n| match n {
            Ok(n) => {
                let data = reader.data().to_vec();
                reader.used(n);
                Ok(data)
            }
            Err(fault) => Err(fault.kind),
        })
    }

    #[test]
    fn readers_follow_each_at_its_own_pace() {
        let flow = Arc::new(Flow::default());
        let mut early = flow.reader().unwrap();
        assert!(read(&mut early).is_pending());
        flow.push(Bytes::from_static(b"one"));
        assert_eq!(read(&mut early), Poll::Ready(Ok(b"one".to_vec())));
        let mut late = flow.reader().unwrap();
        flow.push(Bytes::from_static(b"two"));
        flow.end(Ok(()));
        for wanted in [&b"one"[..], b"two", b"", b""] {
            assert_eq!(read(&mut late), Poll::Ready(Ok(wanted.to_vec())));
        }
        assert_eq!(flow.content().unwrap().segments(), [Bytes::from_static(b"onetwo")]);
    }

    #[test]
    fn a_fault_reaches_every_reader() {
        let flow = Arc::new(Flow::default());
        let mut reader = flow.reader().unwrap();
        flow.push(Bytes::from_static(b"one"));
        flow.end(Err(&Fault::new(FaultKind::ResponseCut, "cut")));
        flow.end(Ok(()));
        assert_eq!(read(&mut reader), Poll::Ready(Ok(b"one".to_vec())));
        assert_eq!(read(&mut reader), Poll::Ready(Err(FaultKind::ResponseCut)));
        assert!(flow.content().is_none());
    }

    #[test]
    fn a_sliding_flow_waits_for_the_slowest_and_keeps_no_more() {
        let flow = Arc::new(Flow::default());
        let (mut quick, mut slow) = (flow.reader().unwrap(), flow.reader().unwrap());
        flow.slide();
        assert!(flow.reader().is_none());
        let mut cx = Context::from_waker(Waker::noop());
        let mut pushed = 0;
        while flow.poll_room(&mut cx) == Poll::Ready(Ok(())) {
            flow.push(Bytes::from(vec![0; 64 << 10]));
            assert!(matches!(read(&mut quick), Poll::Ready(Ok(_))));
            pushed += 1;
        }
        assert_eq!(pushed, WINDOW_BYTES >> 16);
        assert!(matches!(read(&mut slow), Poll::Ready(Ok(_))));
        assert_eq!(flow.poll_room(&mut cx), Poll::Ready(Ok(())));
        drop(slow);
        drop(quick);
        assert_eq!(flow.poll_room(&mut cx), Poll::Ready(Err(NobodyReads)));
        flow.end(Ok(()));
        assert!(flow.content().is_none(), "what slid away cannot be kept");
    }

    #[test]
    fn ranges_are_cut_from_segments() {
        let pieces: Vec<Bytes> = (0..5u8).map(|n| Bytes::from(vec![n; 100 << 10])).collect();
        let content = Content::join(&pieces);
        assert!(content.segments().len() > 1);
        let whole: Vec<u8> = pieces.concat();
        assert_eq!(content.len(), whole.len() as u64);
        for range in [0..1, 5..5, 0..whole.len(), 102_390..307_210, whole.len() - 1..whole.len()] {
            let cut = content.pieces(range.start as u64..range.end as u64);
            let cut: Vec<u8> = cut.iter().flatten().copied().collect();
            assert_eq!(cut, whole[range]);
        }
    }
}
