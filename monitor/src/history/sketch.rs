//! A histogram that does not change any more, in few bytes: only the buckets that something fell
//! into, each as its distance from the one before and its count, both as variable-length integers.

use crate::histogram::{Merged, place, upper};
use std::time::Duration;

/// Durations in buckets of a 2^`BITS`th of their value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sketch<const BITS: u32>(Box<[u8]>);

impl<const BITS: u32> Sketch<BITS> {
    /// Of durations that were counted at least as finely.
    pub fn of<const FINE: u32>(merged: &Merged<FINE>) -> Self {
        const { assert!(FINE >= BITS, "a sketch cannot be finer than what it is of") };
        let mut bytes = Vec::new();
        let mut last = 0;
        let mut pending: Option<(u64, u64)> = None;
        for (duration, n) in merged.buckets() {
            let cell = cell::<BITS>(duration);
            match &mut pending {
                Some((at, count)) if *at == cell => *count += n,
                _ => {
                    write(&mut bytes, &mut last, pending);
                    pending = Some((cell, n));
                }
            }
        }
        write(&mut bytes, &mut last, pending);
        Self(bytes.into_boxed_slice())
    }

    /// The buckets that are not empty, in order, each with its number and its count.
    pub fn cells(&self) -> impl Iterator<Item = (u16, u64)> + '_ {
        let mut rest = &self.0[..];
        let mut cell = 0;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            cell += read(&mut rest);
            Some((cell as u16, read(&mut rest)))
        })
    }

    /// How many.
    pub fn count(&self) -> u64 {
        self.cells().map(|(_, n)| n).sum()
    }

    /// Adds them to `total`, each as the longest of its bucket.
    pub fn add_to<const COARSE: u32>(&self, total: &mut Merged<COARSE>) {
        self.cells().for_each(|(cell, n)| total.add(duration::<BITS>(cell), n));
    }

    /// Bytes that it takes, beside the two words that hold it.
    pub fn bytes(&self) -> usize {
        self.0.len()
    }
}

/// The number of the bucket that a duration falls into.
pub fn cell<const BITS: u32>(duration: Duration) -> u64 {
    let nanos = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let (octave, bucket) = place::<BITS>(nanos);
    ((octave << BITS) + bucket) as u64
}

/// The longest duration that falls into a bucket.
pub fn duration<const BITS: u32>(cell: u16) -> Duration {
    let cell = usize::from(cell);
    Duration::from_nanos(upper::<BITS>(cell >> BITS, cell & ((1 << BITS) - 1)))
}

fn write(bytes: &mut Vec<u8>, last: &mut u64, pending: Option<(u64, u64)>) {
    let Some((cell, count)) = pending else { return };
    for mut value in [cell - *last, count] {
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
    }
    *last = cell;
}

/// Reads what [`write`] has written; its bytes are nobody else's.
fn read(rest: &mut &[u8]) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let Some((byte, after)) = rest.split_first() else { break };
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// What a sketch tells is what was counted, to its own precision.
        #[test]
        fn nothing_is_lost(durations in proptest::collection::vec((0_u64..2_000_000_000_000, 1_u64..9_000), 0..200)) {
            let (mut fine, mut coarse) = (Merged::<7>::default(), Merged::<3>::default());
            for (nanos, n) in durations {
                fine.add(Duration::from_nanos(nanos), n);
                coarse.add(Duration::from_nanos(nanos), n);
            }
            let sketch = Sketch::<3>::of(&fine);
            let mut again = Merged::<3>::default();
            sketch.add_to(&mut again);
            prop_assert_eq!(sketch.count(), fine.count());
            prop_assert!(again.buckets().eq(coarse.buckets()));
            let cells: Vec<u16> = sketch.cells().map(|(cell, _)| cell).collect();
            prop_assert!(cells.is_sorted());
        }
    }
}
