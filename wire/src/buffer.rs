//! Buffers that are lent by the thread for as long as there are bytes in them.
//!
//! An idle connection owns none: a buffer is taken when a read is tried and handed back when it is
//! empty. Each leaves room in front of its data, so that a head written for the next hop can be put
//! right before a body that has already arrived and both leave in one write, uncopied.

use std::cell::RefCell;

/// The size of a lent buffer, room in front included.
pub const SIZE: usize = 32 << 10;
/// Room in front of the data of an empty buffer.
pub const HEADROOM: usize = 1 << 10;
/// Room left in memory that was fitted to a few bytes.
const FIT_ROOM: usize = 256;
/// Free buffers a thread keeps.
const FREE_MAX: usize = 64;

thread_local! {
    static FREE: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

thread_local! {
    static SCRATCH: RefCell<Vec<Vec<u8>>> = const { RefCell::new(Vec::new()) };
}

/// Capacity of a fresh scratch vector, and the largest that is kept.
const SCRATCH_BYTES: usize = 1 << 10;
const SCRATCH_BYTES_MAX: usize = 8 << 10;

/// An empty vector to encode a head into; hand it back with [`recycle`].
pub fn scratch() -> Vec<u8> {
    SCRATCH.with_borrow_mut(Vec::pop).unwrap_or_else(|| Vec::with_capacity(SCRATCH_BYTES))
}

/// Takes a vector back for [`scratch`].
pub fn recycle(mut scratch: Vec<u8>) {
    if !(SCRATCH_BYTES..=SCRATCH_BYTES_MAX).contains(&scratch.capacity()) {
        return;
    }
    scratch.clear();
    let _ending = SCRATCH.try_with(|kept| {
        let mut kept = kept.borrow_mut();
        if kept.len() < FREE_MAX {
            kept.push(scratch);
        }
    });
}

/// Bytes received and not yet used: `bytes[start..end]`.
///
/// All of `bytes` is initialised and its length never shrinks while the buffer is in use.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty buffer from the thread's store.
    pub fn take() -> Self {
        let bytes = FREE.with_borrow_mut(Vec::pop).unwrap_or_else(|| vec![0; SIZE]);
        Self { bytes, start: HEADROOM, end: HEADROOM }
    }

    /// What has been received.
    pub fn data(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Nothing in it?
    pub fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// Room for more at the end, possibly none.
    pub fn space(&mut self) -> &mut [u8] {
        if self.is_empty() {
            self.start = HEADROOM;
            self.end = HEADROOM;
        }
        &mut self.bytes[self.end..]
    }

    /// Makes room at the end when there is none: by moving the data to the front, or, when the data
    /// alone fills the buffer, by doubling it. The caller bounds how often.
    pub fn make_space(&mut self) {
        if self.start > HEADROOM {
            self.bytes.copy_within(self.start..self.end, HEADROOM);
            self.end -= self.start - HEADROOM;
            self.start = HEADROOM;
        } else {
            self.bytes.resize(self.bytes.len() * 2, 0);
        }
    }

    /// Moves little data out of a lent buffer into memory that fits it.
    pub fn fit(&mut self) {
        let n = self.data().len();
        if self.bytes.len() != SIZE || n > SIZE / 8 {
            return;
        }
        let mut bytes = vec![0; n + FIT_ROOM];
        bytes[..n].copy_from_slice(self.data());
        *self = Self { bytes, start: 0, end: n };
    }

    /// `n` bytes have been written to the space.
    pub fn filled(&mut self, n: usize) {
        self.end += n;
        assert!(self.end <= self.bytes.len(), "a read larger than its space");
    }

    /// The first `n` bytes have been used.
    pub fn consume(&mut self, n: usize) {
        self.start += n;
        assert!(self.start <= self.end, "more used than there was");
    }

    /// Puts `head` right before the data, if the room in front allows it.
    #[must_use]
    pub fn prepend(&mut self, head: &[u8]) -> bool {
        let Some(start) = self.start.checked_sub(head.len()) else { return false };
        self.bytes[start..self.start].copy_from_slice(head);
        self.start = start;
        true
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() != SIZE {
            return; // grown for one long head: not worth keeping
        }
        let bytes = std::mem::take(&mut self.bytes);
        // A thread that is ending has no store left; then the buffer is simply freed.
        let _ending = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < FREE_MAX {
                free.push(bytes);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_fits_before_a_body() {
        let mut buffer = Buffer::take();
        buffer.space()[..8].copy_from_slice(b"old body");
        buffer.filled(8);
        buffer.consume(4);
        assert!(buffer.prepend(b"a new head: "));
        assert_eq!(buffer.data(), b"a new head: body");
        assert!(!buffer.prepend(&[b'x'; HEADROOM]));
    }

    #[test]
    fn a_fitted_buffer_grows_again() {
        let mut buffer = Buffer::take();
        buffer.space()[..3].copy_from_slice(b"GET");
        buffer.filled(3);
        buffer.fit();
        assert_eq!(buffer.data(), b"GET");
        for _ in 0..10_000 {
            if buffer.space().is_empty() {
                buffer.make_space();
            }
            buffer.space()[0] = b'x';
            buffer.filled(1);
        }
        assert_eq!(buffer.data().len(), 10_003);
        assert!(buffer.data().starts_with(b"GETx"));
    }

    #[test]
    fn space_is_made_by_moving_before_growing() {
        let mut buffer = Buffer::take();
        let room = buffer.space().len();
        buffer.filled(room);
        buffer.consume(room - 1);
        buffer.make_space();
        assert_eq!(buffer.space().len(), room - 1);
        buffer.filled(room - 1);
        buffer.make_space();
        assert_eq!(buffer.data().len(), room);
        assert_eq!(buffer.space().len(), SIZE);
    }
}
