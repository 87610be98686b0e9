//! The summaries of a full segment once more, so that a start need not read the segment.
//!
//! A file beside the segment: `NUMBER.hint`. It names the segment's salt, so that it is never taken for
//! the hint of what the same file held before; it has one checksum, and if that fails it is as if there
//! were none.

use super::format::{Head, SEQUENCE_MAX, u32_at, u64_at};
use super::scan::{Found, Survey, scan};
use crc32c::crc32c;

const MAGIC: [u8; 8] = *b"FFLOGHN1";
const HEAD: usize = 52;
const ROW: usize = 12;

/// A hint that checks.
#[derive(Clone, Copy, Debug)]
pub struct Hint<'a> {
    /// Where the last batch ends.
    pub end: u32,
    /// The sequence numbers of the first and the last batch.
    pub sequences: (u64, u64),
    /// How many records.
    pub records: u32,
    rows: &'a [u8],
}

/// The hint for the bytes of a segment that is full, or none where they are damaged: damage is to be
/// told at each start. Nor for one without batches.
pub fn write(bytes: &[u8], head: &Head) -> Option<Vec<u8>> {
    let mut out = vec![0; HEAD];
    let mut records = 0_u32;
    let survey = scan(bytes, head, false, (None, None), &mut |found| {
        if let Found::Record(at, visit) = found {
            for number in [at, visit.summary.len() as u32, visit.bulk_len] {
                out.extend_from_slice(&number.to_le_bytes());
            }
            out.extend_from_slice(visit.summary);
            records += 1;
        }
    });
    let Survey { end, sequences: Some((first, last)), damaged: false, .. } = survey else {
        return None;
    };
    out[..8].copy_from_slice(&MAGIC);
    out[12..16].copy_from_slice(&head.segment.to_le_bytes());
    out[16..24].copy_from_slice(&head.salt.to_le_bytes());
    out[24..32].copy_from_slice(&first.to_le_bytes());
    out[32..40].copy_from_slice(&last.to_le_bytes());
    out[40..44].copy_from_slice(&end.to_le_bytes());
    out[44..48].copy_from_slice(&records.to_le_bytes());
    let bytes = (out.len() - HEAD) as u32;
    out[48..52].copy_from_slice(&bytes.to_le_bytes());
    let check = crc32c(&out[12..]);
    out[8..12].copy_from_slice(&check.to_le_bytes());
    Some(out)
}

/// Most bytes of a hint of this segment: a row is no longer than a record.
pub fn bytes_max(head: &Head) -> u64 {
    HEAD as u64 + u64::from(head.bytes)
}

/// The hint of this segment, if the bytes are one.
pub fn read<'a>(bytes: &'a [u8], head: &Head) -> Option<Hint<'a>> {
    let (said, rows) = bytes.split_at_checked(HEAD)?;
    let ours = said[..8] == MAGIC
        && u32_at(said, 12)? == head.segment
        && u64_at(said, 16)? == head.salt
        && u32_at(said, 48)? as usize == rows.len()
        && u32_at(said, 8)? == crc32c(&bytes[12..]);
    let hint = Hint {
        end: u32_at(said, 40)?,
        sequences: (u64_at(said, 24)?, u64_at(said, 32)?),
        records: u32_at(said, 44)?,
        rows,
    };
    (ours && hint.sequences.1 <= SEQUENCE_MAX).then_some(hint)
}

impl<'a> Hint<'a> {
    /// The records: where, their summaries, the bytes of their bulks.
    pub fn records(&self) -> impl Iterator<Item = (u32, &'a [u8], u32)> + use<'a> {
        let mut rest = self.rows;
        std::iter::from_fn(move || {
            let (row, behind) = rest.split_at_checked(ROW)?;
            let (summary, behind) = behind.split_at_checked(u32_at(row, 4)? as usize)?;
            rest = behind;
            Some((u32_at(row, 0)?, summary, u32_at(row, 8)?))
        })
    }
}
