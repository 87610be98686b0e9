//! What opening a log tells of it.

use super::Position;

/// A record as recovery shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Visit<'a> {
    /// Its summary, checked.
    pub summary: &'a [u8],
    /// Bytes of its bulk.
    pub bulk_len: u32,
    /// Is the bulk known to be damaged? Then it cannot be read.
    pub damaged: bool,
}

/// What opening has found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Records that were shown.
    pub records: u64,
    /// Segments that were there.
    pub segments: u32,
    /// Of them, those whose hint was enough.
    pub hinted: u32,
    /// What is damaged, oldest first; at most [`Recovered::QUARANTINED_MAX`] of them are told.
    pub quarantined: Vec<Quarantined>,
    /// How many there are.
    pub quarantined_count: u64,
    /// Bytes of a last batch that a crash kept from being whole. Nobody was told that it is safe.
    pub torn_bytes: u64,
}

impl Recovered {
    /// Most places of damage that are told one by one.
    pub const QUARANTINED_MAX: usize = 1_000;
}

/// A place of damage. Whatever else is there is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quarantined {
    /// Where it begins.
    pub position: Position,
    /// How many bytes are concerned; 0: unknown.
    pub bytes: u32,
    /// What it is.
    pub why: Why,
}

/// What is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// A record whose summary is lost.
    Record,
    /// A record whose summary was shown and whose bulk is lost.
    Bulk,
    /// The head of a batch; such of its records as check were shown.
    Batch,
    /// The table of a batch; all its records were shown.
    Table,
    /// Batches that were written and are not there.
    Missing,
    /// The heads of a segment: nothing in it can be told.
    Segment,
}

impl Why {
    /// For people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Record => "a record is damaged and lost",
            Self::Bulk => "the bulk of a record is damaged",
            Self::Batch => "the head of a batch is damaged; records in it may be lost",
            Self::Table => "the table of a batch is damaged; no record is lost",
            Self::Missing => "batches that were written are missing",
            Self::Segment => "both heads of a segment are damaged; its records are lost",
        }
    }
}
