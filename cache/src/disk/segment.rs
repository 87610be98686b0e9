//! A segment as bytes: records one after another, and at the end of a full one, a list of them.
//!
//! ```text
//! start    magic "FFS1" | 0 u32 | seed u64
//! record   magic "FFR1" | kind u32 | key u128 | expiry ms u64 | length u32 | sum u64 | check u32 | value | 0 to 7 zeros
//! list     { key u128 | expiry ms u64 | offset u32 | length u32 } for each record | trailer
//! trailer  magic "FFL1" | count u32 | end of the records u64 | sum u64 of the list | check u64
//! ```
//! All numbers are little-endian; records start at multiples of 8. `sum` is the value's, `check` that
//! of the bytes before it in the same head, so that heads can be believed without reading values. All
//! are xxh3 with the segment's seed, which is drawn by lot: a value cannot pretend to be a list or a
//! record. A list that is not whole is no list: then the heads are walked, to the first that is not.

use base::Wall;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Bytes of a segment before its first record.
pub const START: usize = 16;
/// Bytes of a record before its value.
pub const HEAD: usize = 48;
/// Records start at multiples of this.
pub const UNIT: u64 = 8;
/// Bytes of a list for each record.
const ROW: usize = 32;
/// Bytes of a list's end.
const TRAILER: usize = 32;
const START_MAGIC: [u8; 8] = *b"FFS1\0\0\0\0";
const RECORD_MAGIC: [u8; 4] = *b"FFR1";
const LIST_MAGIC: [u8; 4] = *b"FFL1";
/// The length that a list gives a mark.
const MARK: u32 = u32::MAX;
/// Bytes that a walk reads at once.
const STRIDE: usize = 256 << 10;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value.
    Value,
    /// A mark: the key was forgotten here.
    Mark,
}

/// The head of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// What it is.
    pub kind: Kind,
    /// Whose.
    pub key: u128,
    /// When it ends.
    pub expiry: Wall,
    /// Bytes of the value.
    pub length: u32,
    /// Its checksum.
    pub sum: u64,
}

/// A record as a list has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// What it is.
    pub kind: Kind,
    /// Whose.
    pub key: u128,
    /// When it ends.
    pub expiry: Wall,
    /// Where it starts, in units of [`UNIT`].
    pub offset: u32,
    /// Bytes of the value.
    pub length: u32,
}

/// What is in a segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Its records, in their order.
    pub rows: Vec<Row>,
    /// Where they end.
    pub end: u64,
    /// Whether a list said so.
    pub listed: bool,
}

/// Bytes at a place: a file's, or those in memory.
pub trait Source {
    /// Fills `into` with the bytes from `at` on.
    ///
    /// # Errors
    /// There are not so many, or they cannot be read.
    fn fill(&self, into: &mut [u8], at: u64) -> io::Result<()>;
}

impl Source for File {
    fn fill(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        self.read_exact_at(into, at)
    }
}

impl Source for [u8] {
    fn fill(&self, into: &mut [u8], at: u64) -> io::Result<()> {
        let start = usize::try_from(at).ok();
        let found = start.and_then(|start| self.get(start..start.checked_add(into.len())?));
        into.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

impl Head {
    /// The head in these bytes, if it is whole.
    pub fn read(bytes: &[u8; HEAD], seed: u64) -> Option<Self> {
        let kind = match u32_at(bytes, 4) {
            0 => Kind::Value,
            1 => Kind::Mark,
            _ => return None,
        };
        if bytes[..4] != RECORD_MAGIC || u32_at(bytes, 44) != sum(&bytes[..44], seed) as u32 {
            return None;
        }
        Some(Self {
            kind,
            key: u128_at(bytes, 8),
            expiry: Wall(u64_at(bytes, 24)),
            length: u32_at(bytes, 32),
            sum: u64_at(bytes, 36),
        })
    }

    fn bytes(&self, seed: u64) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        bytes[..4].copy_from_slice(&RECORD_MAGIC);
        bytes[4..8].copy_from_slice(&u32::from(self.kind == Kind::Mark).to_le_bytes());
        bytes[8..24].copy_from_slice(&self.key.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.expiry.0.to_le_bytes());
        bytes[32..36].copy_from_slice(&self.length.to_le_bytes());
        bytes[36..44].copy_from_slice(&self.sum.to_le_bytes());
        let check = sum(&bytes[..44], seed) as u32;
        bytes[44..].copy_from_slice(&check.to_le_bytes());
        bytes
    }
}

/// A checksum.
pub fn sum(bytes: &[u8], seed: u64) -> u64 {
    xxh3_64_with_seed(bytes, seed)
}

/// The start of a segment.
pub fn start_with(seed: u64) -> [u8; START] {
    let mut bytes = [0; START];
    bytes[..8].copy_from_slice(&START_MAGIC);
    bytes[8..].copy_from_slice(&seed.to_le_bytes());
    bytes
}

/// The seed of a segment, if it starts as one.
///
/// # Errors
/// It cannot be read.
pub fn seed_of<S: Source + ?Sized>(source: &S, length: u64) -> io::Result<Option<u64>> {
    let mut start = [0; START];
    if length < START as u64 {
        return Ok(None);
    }
    source.fill(&mut start, 0)?;
    Ok((start[..8] == START_MAGIC).then(|| u64_at(&start, 8)))
}

/// Bytes of a record with a value of this length.
pub fn size_of_record(length: usize) -> u64 {
    (HEAD as u64 + length as u64).next_multiple_of(UNIT)
}

/// Bytes of a list of so many records.
pub fn size_of_list(records: usize) -> u64 {
    (records * ROW + TRAILER) as u64
}

/// Where a record starts, in bytes.
pub fn start_of(offset: u32) -> u64 {
    u64::from(offset) * UNIT
}

/// Appends a record to bytes.
///
/// # Panics
/// A value of 4 GiB or more.
pub fn append(into: &mut Vec<u8>, seed: u64, kind: Kind, key: u128, expiry: Wall, value: &[u8]) {
    let length = u32::try_from(value.len()).expect("values are smaller than a segment");
    let head = Head { kind, key, expiry, length, sum: sum(value, seed) };
    let end = into.len() as u64 + size_of_record(value.len());
    into.extend_from_slice(&head.bytes(seed));
    into.extend_from_slice(value);
    into.resize(end as usize, 0);
}

/// The list of records that end at `end`, which is where it is to be written.
pub fn list_of(rows: &[Row], end: u64, seed: u64) -> Vec<u8> {
    let mut list = Vec::with_capacity(size_of_list(rows.len()) as usize);
    for row in rows {
        list.extend_from_slice(&row.key.to_le_bytes());
        list.extend_from_slice(&row.expiry.0.to_le_bytes());
        list.extend_from_slice(&row.offset.to_le_bytes());
        let length = if row.kind == Kind::Mark { MARK } else { row.length };
        list.extend_from_slice(&length.to_le_bytes());
    }
    let all = sum(&list, seed);
    let start = list.len();
    list.extend_from_slice(&LIST_MAGIC);
    list.extend_from_slice(&(rows.len() as u32).to_le_bytes());
    list.extend_from_slice(&end.to_le_bytes());
    list.extend_from_slice(&all.to_le_bytes());
    let check = sum(&list[start..], seed);
    list.extend_from_slice(&check.to_le_bytes());
    list
}

/// What is in a segment of so many bytes.
///
/// # Errors
/// It cannot be read.
pub fn survey<S: Source + ?Sized>(source: &S, length: u64) -> io::Result<Survey> {
    let Some(seed) = seed_of(source, length)? else { return Ok(Survey::default()) };
    match listed(source, length, seed)? {
        Some(survey) => Ok(survey),
        None => walked(source, length, seed),
    }
}

/// What the list says, if there is one.
fn listed<S: Source + ?Sized>(source: &S, length: u64, seed: u64) -> io::Result<Option<Survey>> {
    let Some(start) = length.checked_sub(TRAILER as u64) else { return Ok(None) };
    let mut trailer = [0; TRAILER];
    source.fill(&mut trailer, start)?;
    if trailer[..4] != LIST_MAGIC || u64_at(&trailer, 24) != sum(&trailer[..24], seed) {
        return Ok(None);
    }
    let bytes = u64::from(u32_at(&trailer, 4)) * ROW as u64;
    let end = u64_at(&trailer, 8);
    if end.checked_add(bytes) != Some(start) {
        return Ok(None);
    }
    let mut list = vec![0; bytes as usize];
    source.fill(&mut list, end)?;
    if u64_at(&trailer, 16) != sum(&list, seed) {
        return Ok(None);
    }
    let row = |row: &[u8]| {
        let length = u32_at(row, 28);
        let kind = if length == MARK { Kind::Mark } else { Kind::Value };
        let length = if kind == Kind::Mark { 0 } else { length };
        let (key, expiry) = (u128_at(row, 0), Wall(u64_at(row, 16)));
        Row { kind, key, expiry, offset: u32_at(row, 24), length }
    };
    let rows: Vec<Row> = list.chunks_exact(ROW).map(row).collect();
    let inside = |row: &Row| start_of(row.offset) + size_of_record(row.length as usize) <= end;
    Ok(rows.iter().all(inside).then_some(Survey { rows, end, listed: true }))
}

/// What the heads say, up to the first that is not whole or whose value is not all there.
fn walked<S: Source + ?Sized>(source: &S, length: u64, seed: u64) -> io::Result<Survey> {
    let mut survey = Survey { rows: Vec::new(), end: START as u64, listed: false };
    let mut window = Window { bytes: Vec::new(), start: 0, seed };
    while let Some(head) = window.head(source, survey.end, length)? {
        let Ok(offset) = u32::try_from(survey.end / UNIT) else { break };
        let next = survey.end + size_of_record(head.length as usize);
        let mark = head.kind == Kind::Mark;
        if next > length || (mark && head.length > 0) || (!mark && head.length == MARK) {
            break;
        }
        let Head { kind, key, expiry, length, .. } = head;
        survey.rows.push(Row { kind, key, expiry, offset, length });
        survey.end = next;
    }
    Ok(survey)
}

/// A part of a segment in memory.
struct Window {
    bytes: Vec<u8>,
    start: u64,
    seed: u64,
}

impl Window {
    /// The head at a place, if it is whole.
    fn head<S: Source + ?Sized>(
        &mut self,
        source: &S,
        at: u64,
        length: u64,
    ) -> io::Result<Option<Head>> {
        if at + HEAD as u64 > length {
            return Ok(None);
        }
        if at + HEAD as u64 > self.start + self.bytes.len() as u64 {
            let size = (length - at).min(STRIDE as u64) as usize;
            self.bytes.resize(size, 0);
            self.start = at;
            source.fill(&mut self.bytes, at)?;
        }
        let from = (at - self.start) as usize;
        Ok(self.bytes[from..].first_chunk().and_then(|head| Head::read(head, self.seed)))
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(*bytes[at..].first_chunk().expect("heads have a fixed size"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(*bytes[at..].first_chunk().expect("heads have a fixed size"))
}

fn u128_at(bytes: &[u8], at: usize) -> u128 {
    u128::from_le_bytes(*bytes[at..].first_chunk().expect("heads have a fixed size"))
}

/// A segment whose file is open.
pub(super) struct Open {
    pub(super) file: File,
    pub(super) seed: u64,
}

/// A segment that was there before.
pub(super) struct Found {
    pub(super) id: u32,
    pub(super) open: Arc<Open>,
    pub(super) bytes: u64,
}

/// A new segment.
pub(super) fn create(folder: &Path, id: u32) -> io::Result<Open> {
    let seed = fastrand::u64(..);
    let options = File::options().read(true).write(true).create_new(true).clone();
    let file = options.open(path(folder, id))?;
    match file.write_all_at(&start_with(seed), 0) {
        Ok(()) => Ok(Open { file, seed }),
        Err(error) => {
            let _ = fs::remove_file(path(folder, id)); // What is told is why it was not written.
            Err(error)
        }
    }
}

/// The segments in a folder, oldest first.
pub(super) fn list(folder: &Path) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|name| name.strip_suffix(".segment"));
        let Some(id) = number.and_then(|number| number.parse().ok()) else { continue };
        if id >= super::index::SEGMENTS_END || path(folder, id).file_name() != Some(&name) {
            continue;
        }
        let file = File::options().read(true).write(true).open(entry.path())?;
        let bytes = file.metadata()?.len();
        // A file that starts otherwise has no records: whatever the seed, nothing in it is found.
        let seed = seed_of(&file, bytes)?.unwrap_or_default();
        found.push(Found { id, open: Arc::new(Open { file, seed }), bytes });
    }
    found.sort_by_key(|found| found.id);
    Ok(found)
}

/// Where a segment is.
pub(super) fn path(folder: &Path, id: u32) -> PathBuf {
    folder.join(format!("{id:010}.segment"))
}
