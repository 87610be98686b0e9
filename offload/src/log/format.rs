//! What segments, batches and records look like.
//!
//! ```text
//! segment:  head │ batch │ batch │ …                     │ what was there before │ head again
//! batch:    its head │ record │ record │ … │ table │ zeros up to the next sector
//! record:   row │ summary │ bulk            table: the rows of all records once more
//! row:      bytes of the summary and whether it is the batch's first, bytes of the bulk, CRC32C of each
//! ```
//!
//! Numbers are little endian. A batch begins at a sector of its own, so that no later write touches a
//! sector in which an acknowledged one lies. All that is needed to find a record is there twice: one
//! flipped bit costs one record at most.
//!
//! A segment has a *salt*, new each time its file is used again. Heads of batches bear it and every
//! checksum begins with it: so neither what the file held before nor bytes that a client chose can ever
//! be taken for a batch.

use super::Entry;
use super::Position;
use crc32c::{crc32c, crc32c_append};

/// What a disk writes whole or not at all.
pub const SECTOR: u32 = 512;
/// Bytes of the head of a batch.
pub const BATCH_HEAD: u32 = 40;
/// Bytes of a row.
pub const ROW: u32 = 16;
/// What a record costs beside its own bytes: its row, twice.
pub const RECORD_COST: u32 = 2 * ROW;
/// The largest segment.
pub const SEGMENT_MAX: u32 = 1 << 30;
/// The smallest segment.
pub const SEGMENT_MIN: u32 = 8 * SECTOR;

/// No batch has a greater sequence number.
pub const SEQUENCE_MAX: u64 = u64::MAX / 2;

/// In the first word of a row: the record is the first of its batch.
const FIRST: u32 = 1 << 31;

const VERSION: u32 = 1;
const SEGMENT_MAGIC: [u8; 8] = *b"FFLOGSEG";
const BATCH_MAGIC: [u8; 4] = *b"FFB1";

/// The number that lies there, if it does.
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The number that lies there, if it does.
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number.
    pub segment: u32,
    /// Its bytes.
    pub bytes: u32,
    /// Its salt.
    pub salt: u64,
}

/// Why a sector is no head of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHead {
    /// It is damaged, or never was one.
    Damaged,
    /// Another version wrote it: this one.
    Version(u32),
}

impl Head {
    /// The sector that says it.
    pub fn sector(&self) -> [u8; SECTOR as usize] {
        let mut sector = [0; SECTOR as usize];
        sector[..8].copy_from_slice(&SEGMENT_MAGIC);
        sector[8..12].copy_from_slice(&VERSION.to_le_bytes());
        sector[12..16].copy_from_slice(&self.segment.to_le_bytes());
        sector[16..20].copy_from_slice(&self.bytes.to_le_bytes());
        sector[20..28].copy_from_slice(&self.salt.to_le_bytes());
        let check = crc32c(&sector[..28]);
        sector[28..32].copy_from_slice(&check.to_le_bytes());
        sector
    }

    /// Reads what [`Head::sector`] says.
    ///
    /// # Errors
    /// It says something else.
    pub fn read(sector: &[u8]) -> Result<Self, NoHead> {
        let said = sector.get(..28).ok_or(NoHead::Damaged)?;
        let number = |at| u32_at(sector, at).ok_or(NoHead::Damaged);
        if said[..8] != SEGMENT_MAGIC || number(28)? != crc32c(said) {
            return Err(NoHead::Damaged);
        }
        match number(8)? {
            VERSION => {}
            other => return Err(NoHead::Version(other)),
        }
        let salt = u64_at(sector, 20).ok_or(NoHead::Damaged)?;
        Ok(Self { segment: number(12)?, bytes: number(16)?, salt })
    }

    /// Where batches must end.
    pub fn limit(&self) -> u32 {
        self.bytes.saturating_sub(SECTOR)
    }

    /// What the checksum of a record at this place begins with.
    fn seed(&self, offset: u32) -> u32 {
        crc32c_append(crc32c(&self.salt.to_le_bytes()), &offset.to_le_bytes())
    }
}

/// Bytes of a batch, up to the next sector, with records of so many bytes, rows and table included.
pub fn batch_size(records: usize) -> usize {
    (BATCH_HEAD as usize + records).next_multiple_of(SECTOR as usize)
}

/// The head of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHead {
    /// Goes up by one from batch to batch, across segments.
    pub sequence: u64,
    /// Bytes of records and table.
    pub bytes: u32,
    /// How many records.
    pub records: u32,
    /// Checksum of the table, and by that of all records.
    pub table: u32,
}

impl BatchHead {
    fn write(&self, head: &Head, out: &mut [u8]) {
        out[..4].copy_from_slice(&BATCH_MAGIC);
        out[4..8].copy_from_slice(&head.segment.to_le_bytes());
        out[8..16].copy_from_slice(&head.salt.to_le_bytes());
        out[16..24].copy_from_slice(&self.sequence.to_le_bytes());
        out[24..28].copy_from_slice(&self.bytes.to_le_bytes());
        out[28..32].copy_from_slice(&self.records.to_le_bytes());
        out[32..36].copy_from_slice(&self.table.to_le_bytes());
        let check = crc32c(&out[..36]);
        out[36..40].copy_from_slice(&check.to_le_bytes());
    }

    /// The head of a batch of this segment that lies at `offset`, and fits.
    pub fn read(bytes: &[u8], offset: u32, head: &Head) -> Option<Self> {
        let at = bytes.get(offset as usize..)?.get(..BATCH_HEAD as usize)?;
        let ours = at[..4] == BATCH_MAGIC
            && u32_at(at, 4)? == head.segment
            && u64_at(at, 8)? == head.salt
            && u32_at(at, 36)? == crc32c(&at[..36]);
        let found = Self {
            sequence: u64_at(at, 16)?,
            bytes: u32_at(at, 24)?,
            records: u32_at(at, 28)?,
            table: u32_at(at, 32)?,
        };
        let end = u64::from(offset) + found.size();
        let fits = u64::from(found.records) * u64::from(RECORD_COST) <= u64::from(found.bytes);
        let ours = ours && found.sequence <= SEQUENCE_MAX;
        (ours && fits && end <= u64::from(head.limit()).min(bytes.len() as u64)).then_some(found)
    }

    /// Bytes up to where the next one begins.
    pub fn size(&self) -> u64 {
        (u64::from(BATCH_HEAD) + u64::from(self.bytes)).next_multiple_of(u64::from(SECTOR))
    }

    /// Where its table begins, if it begins at `offset`.
    pub fn table_at(&self, offset: u32) -> u32 {
        offset + BATCH_HEAD + self.bytes - self.records * ROW
    }
}

/// What is said of a record, before it and in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Is it the first of its batch? The first one lies in the sector of the head: so when a batch is
    /// gone for good, by its head, what is left of the others is not taken for the beginning of one.
    pub first: bool,
    /// Bytes of its summary.
    pub summary: u32,
    /// Bytes of its bulk.
    pub bulk: u32,
    /// Checksum of salt, place, lengths and summary.
    pub summary_check: u32,
    /// Checksum of all that and the bulk.
    pub bulk_check: u32,
}

impl Row {
    fn of(entry: &Entry<'_>, first: bool, offset: u32, head: &Head) -> Self {
        let mut row = Self {
            first,
            summary: entry.summary.len() as u32,
            bulk: entry.bulk.len() as u32,
            summary_check: 0,
            bulk_check: 0,
        };
        row.summary_check = row.check_summary(entry.summary, offset, head);
        row.bulk_check = crc32c_append(row.summary_check, entry.bulk);
        row
    }

    fn write(&self, out: &mut Vec<u8>) {
        for number in [self.word(), self.bulk, self.summary_check, self.bulk_check] {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    fn word(&self) -> u32 {
        self.summary | if self.first { FIRST } else { 0 }
    }

    /// Reads 16 bytes.
    pub fn read(bytes: &[u8], at: u32) -> Option<Self> {
        let number = |index: usize| u32_at(bytes, at as usize + 4 * index);
        let word = number(0)?;
        Some(Self {
            first: word & FIRST > 0,
            summary: word & !FIRST,
            bulk: number(1)?,
            summary_check: number(2)?,
            bulk_check: number(3)?,
        })
    }

    /// What the checksum of this summary is.
    pub fn check_summary(&self, summary: &[u8], offset: u32, head: &Head) -> u32 {
        let check = crc32c_append(head.seed(offset), &self.word().to_le_bytes());
        crc32c_append(crc32c_append(check, &self.bulk.to_le_bytes()), summary)
    }

    /// Is this the bulk?
    pub fn is_bulk(&self, bulk: &[u8]) -> bool {
        crc32c_append(self.summary_check, bulk) == self.bulk_check
    }

    /// Bytes of the record, the row included.
    pub fn size(&self) -> u64 {
        u64::from(ROW) + u64::from(self.summary) + u64::from(self.bulk)
    }
}

/// Puts a batch into `out`, as it is to lie at `offset`, and tells where its records will be.
///
/// # Panics
/// It does not fit into the segment.
pub fn write_batch(
    out: &mut Vec<u8>,
    (head, offset): (&Head, u32),
    sequence: u64,
    entries: &[Entry<'_>],
    positions: &mut Vec<Position>,
) {
    out.clear();
    positions.clear();
    out.resize(BATCH_HEAD as usize, 0);
    for entry in entries {
        let at = offset + out.len() as u32;
        positions.push(Position { segment: head.segment, offset: at });
        Row::of(entry, positions.len() == 1, at, head).write(out);
        out.extend_from_slice(entry.summary);
        out.extend_from_slice(entry.bulk);
    }
    let table = out.len();
    for position in &*positions {
        let row = (position.offset - offset) as usize;
        out.extend_from_within(row..row + ROW as usize);
    }
    let found = BatchHead {
        sequence,
        bytes: out.len() as u32 - BATCH_HEAD,
        records: entries.len() as u32,
        table: crc32c(&out[table..]),
    };
    found.write(head, &mut out[..BATCH_HEAD as usize]);
    out.resize(out.len().next_multiple_of(SECTOR as usize), 0);
    assert!(offset as usize + out.len() <= head.limit() as usize, "who calls has looked");
}
