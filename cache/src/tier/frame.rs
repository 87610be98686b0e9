//! The envelope of a value in a tier that others can write to: what is not whole, not ours or not
//! for this key is a miss.
//!
//! ```text
//! magic 4 | kind 1 | zero 3 | lineage 8 | key 16 | length 8 | sum 8 | body
//! ```
//! All little-endian. `sum` is xxh3 of what stands before it and of the whole body. `lineage` names
//! the deployment whose counter numbered the purges that the value knows of: a value of another one
//! cannot be judged. A body that is too large for one item stands in chunks under keys with a random
//! number, so that a torn write never mixes two values.
//!
//! The sum finds accidents, not forgeries: who can write to the tier can answer for the service.

use xxhash_rust::xxh3::Xxh3;

const MAGIC: [u8; 4] = *b"FFT1";
/// Bytes before the body.
pub const HEAD: usize = 48;
const CHUNKED: usize = 16;

/// Whose value it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Name {
    /// The deployment.
    pub lineage: u64,
    /// The key.
    pub key: u128,
}

/// What a frame says of its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// It stands here.
    Whole(Vec<u8>),
    /// It stands elsewhere.
    Chunked(Chunked),
}

/// A body in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunked {
    /// What its chunks' keys have in common.
    pub id: u64,
    /// Bytes of each chunk but the last.
    pub size: u64,
    /// Bytes in all.
    pub length: u64,
    sum: u64,
}

impl Chunked {
    /// How many chunks there are.
    pub fn count(&self) -> u64 {
        self.length.div_ceil(self.size)
    }
}

/// Frames a body that fits one item.
pub fn whole(name: Name, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEAD + body.len());
    begin(&mut frame, name, 0, body.len() as u64);
    let sum = sum(&frame, body);
    frame.extend_from_slice(&sum.to_le_bytes());
    frame.extend_from_slice(body);
    frame
}

/// Frames a body whose chunks of `size` bytes stand under `id`.
pub fn chunked(name: Name, body: &[u8], id: u64, size: usize) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEAD + CHUNKED);
    begin(&mut frame, name, 1, body.len() as u64);
    let sum = sum(&frame, body);
    frame.extend_from_slice(&sum.to_le_bytes());
    frame.extend_from_slice(&id.to_le_bytes());
    frame.extend_from_slice(&(size as u64).to_le_bytes());
    frame
}

fn begin(frame: &mut Vec<u8>, name: Name, kind: u8, length: u64) {
    frame.extend_from_slice(&MAGIC);
    frame.extend_from_slice(&[kind, 0, 0, 0]);
    frame.extend_from_slice(&name.lineage.to_le_bytes());
    frame.extend_from_slice(&name.key.to_le_bytes());
    frame.extend_from_slice(&length.to_le_bytes());
}

fn sum(head: &[u8], body: &[u8]) -> u64 {
    let mut sum = Xxh3::new();
    sum.update(head);
    sum.update(body);
    sum.digest()
}

/// Opens a frame; `None` when it is not one of ours, or of another name, or damaged, or larger than
/// `max`. A body in chunks is still to be checked with [`complete`].
pub fn open(name: Name, mut frame: Vec<u8>, max: usize) -> Option<Body> {
    let (head, rest) = frame.split_at_checked(HEAD)?;
    let mut fresh = Vec::with_capacity(HEAD);
    let length = u64::from_le_bytes(head[32..40].try_into().ok()?);
    let kind = head[4];
    begin(&mut fresh, name, kind, length);
    let said = u64::from_le_bytes(head[40..].try_into().ok()?);
    if fresh != head[..40] || usize::try_from(length).is_ok_and(|length| length > max) {
        return None;
    }
    match kind {
        0 if rest.len() as u64 == length && sum(&fresh, rest) == said => {
            frame.drain(..HEAD);
            Some(Body::Whole(frame))
        }
        1 if rest.len() == CHUNKED => {
            let id = u64::from_le_bytes(rest[..8].try_into().ok()?);
            let size = u64::from_le_bytes(rest[8..].try_into().ok()?);
            let body = Chunked { id, size, length, sum: said };
            (size >= 1_024).then_some(Body::Chunked(body))
        }
        _ => None,
    }
}

/// Chunks that an older frame, whatever its deployment, points to; for those who replace it.
pub fn chunks_of(frame: &[u8]) -> Option<Chunked> {
    let head: &[u8; HEAD] = frame.first_chunk()?;
    let lineage = u64::from_le_bytes(head[8..16].try_into().ok()?);
    let key = u128::from_le_bytes(head[16..32].try_into().ok()?);
    match open(Name { lineage, key }, frame.to_vec(), usize::MAX)? {
        Body::Chunked(body) => Some(body),
        Body::Whole(_) => None,
    }
}

/// Is this the body that the frame spoke of?
pub fn complete(name: Name, chunked: &Chunked, body: &[u8]) -> bool {
    let mut head = Vec::with_capacity(HEAD);
    begin(&mut head, name, 1, chunked.length);
    body.len() as u64 == chunked.length && sum(&head, body) == chunked.sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NAME: Name = Name { lineage: 5, key: 7 };

    #[test]
    fn a_frame_of_another_name_or_too_large_is_a_miss() {
        let frame = whole(NAME, b"body");
        assert_eq!(open(NAME, frame.clone(), 4), Some(Body::Whole(b"body".to_vec())));
        assert_eq!(open(NAME, frame.clone(), 3), None);
        assert_eq!(open(Name { key: 8, ..NAME }, frame.clone(), 4), None);
        assert_eq!(open(Name { lineage: 8, ..NAME }, frame, 4), None);
    }

    proptest! {
        #[test]
        fn every_damaged_bit_is_found(body in proptest::collection::vec(any::<u8>(), 0..200), at: usize, cut: usize) {
            let frame = whole(NAME, &body);
            let mut damaged = frame.clone();
            damaged[at / 8 % frame.len()] ^= 1 << (at % 8);
            prop_assert_eq!(open(NAME, damaged, 1_000), None);
            prop_assert_eq!(open(NAME, frame[..cut % frame.len()].to_vec(), 1_000), None);
            prop_assert_eq!(open(NAME, frame, 1_000), Some(Body::Whole(body)));
        }

        #[test]
        fn chunks_are_checked_as_a_whole(mut body in proptest::collection::vec(any::<u8>(), 1..5_000), at: usize) {
            let frame = chunked(NAME, &body, 3, 1_024);
            let Some(Body::Chunked(found)) = open(NAME, frame.clone(), 5_000) else { panic!("no chunks") };
            prop_assert_eq!(found.count(), body.len().div_ceil(1_024) as u64);
            prop_assert_eq!(chunks_of(&frame), Some(found));
            prop_assert!(complete(NAME, &found, &body));
            let place = at % body.len();
            body[place] ^= 1;
            prop_assert!(!complete(NAME, &found, &body));
        }

        #[test]
        fn junk_is_a_miss(junk in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert_eq!(open(NAME, junk.clone(), 1_000), None);
            prop_assert_eq!(chunks_of(&junk), None);
        }
    }
}
