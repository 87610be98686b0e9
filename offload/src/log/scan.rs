//! What the bytes of a segment hold, whatever has become of them. Pure.
//!
//! A batch is written after the one before it is durable. So a batch that does not check and has a
//! later one behind it, of which at least the head is whole, was whole once: it is *damaged*, and what
//! is left of it is shown. One that has none was never acknowledged, or cannot be told from such: it is
//! *torn*, and nothing of it is shown. What is left of a torn batch may lie behind the last whole one of
//! a segment that is full by now; so where the numbers of batches go on in the next segment without a
//! gap, nothing behind the last one was ever acknowledged.

use super::format::{BATCH_HEAD, BatchHead, Head, ROW, Row, SECTOR};
use super::recovered::{Visit, Why};
use crc32c::crc32c;

/// What is found, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A record, and where.
    Record(u32, Visit<'a>),
    /// Damage, where and how many bytes of it.
    Damage(u32, u32, Why),
}

/// What there is, beside what was found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Where the next batch goes.
    pub end: u32,
    /// Where the last batch begins.
    pub last: u32,
    /// The sequence numbers of the first and the last batch.
    pub sequences: Option<(u64, u64)>,
    /// Bytes of a torn batch at `end`.
    pub torn: u32,
    /// Is anything damaged?
    pub damaged: bool,
}

/// The first head of a batch at or behind `offset`.
pub fn next_head(bytes: &[u8], offset: u32, head: &Head) -> Option<(u32, BatchHead)> {
    let limit = head.limit().min(bytes.len() as u32);
    let mut at = offset.next_multiple_of(SECTOR);
    while at < limit {
        if let Some(found) = BatchHead::read(bytes, at, head) {
            return Some((at, found));
        }
        at += SECTOR;
    }
    None
}

/// Shows what the bytes of a segment hold. `last`: no later segment has a batch; `around`: the sequence
/// numbers of the last batch before this segment and of the first one behind it, if they are known.
pub fn scan<'a>(
    bytes: &'a [u8],
    head: &Head,
    last: bool,
    (after, next): (Option<u64>, Option<u64>),
    show: &mut dyn FnMut(Found<'a>),
) -> Survey {
    let mut scan = Scan { bytes, head, after, next, survey: Survey::default(), show };
    (scan.survey.last, scan.survey.end) = (SECTOR, SECTOR);
    while scan.step(last) {}
    scan.survey
}

struct Scan<'a, 's> {
    bytes: &'a [u8],
    head: &'s Head,
    after: Option<u64>,
    next: Option<u64>,
    survey: Survey,
    show: &'s mut dyn FnMut(Found<'a>),
}

impl<'a> Scan<'a, '_> {
    /// Takes what lies at the end of what was taken. Answers whether there may be more.
    fn step(&mut self, last: bool) -> bool {
        let at = self.survey.end;
        match BatchHead::read(self.bytes, at, self.head) {
            Some(batch) => self.batch(at, batch, last),
            None => self.gap(at, last),
        }
    }

    fn batch(&mut self, at: u32, batch: BatchHead, last: bool) -> bool {
        let end = at + batch.size() as u32;
        let whole = self.is_whole(at, &batch);
        if !whole && last && next_head(self.bytes, end, self.head).is_none() {
            self.survey.torn = end - at;
            return false;
        }
        self.count(at, batch.sequence);
        if whole {
            self.records(at, &batch);
        } else {
            self.survey.damaged = true;
            self.rescue(at, &batch);
        }
        (self.survey.last, self.survey.end) = (at, end);
        true
    }

    /// No head where one could be: the end, or a damaged head.
    fn gap(&mut self, at: u32, last: bool) -> bool {
        let next = next_head(self.bytes, at.saturating_add(SECTOR), self.head);
        if next.is_none() && last {
            let end = self.walk(at, u32::MAX, false).max(at);
            self.survey.torn = end - at;
            return false;
        }
        if next.is_none() && self.is_all() {
            return false;
        }
        let limit = next.map_or(self.head.limit().min(self.bytes.len() as u32), |(at, _)| at);
        let end = self.walk(at, limit, true);
        let Some((next, _)) = next else {
            if end > at {
                self.damage(at, end - at, Why::Batch);
                self.survey.end = end.next_multiple_of(SECTOR).min(limit);
            }
            return false;
        };
        self.damage(at, next - at, Why::Batch);
        // What was lost is told by that; the numbers go on from where the next head is.
        self.after = None;
        self.survey.end = next;
        true
    }

    /// Is it certain that no batch follows in this segment? Where there is damage, numbers may have been
    /// given again.
    fn is_all(&self) -> bool {
        let goes_on = self.after.and_then(|after| after.checked_add(1));
        !self.survey.damaged && goes_on.is_some() && goes_on == self.next
    }

    fn count(&mut self, at: u32, sequence: u64) {
        let first = self.survey.sequences.map_or(sequence, |(first, _)| first);
        self.survey.sequences = Some((first, sequence));
        if self.after.is_some_and(|after| after.checked_add(1) != Some(sequence)) {
            self.damage(at, 0, Why::Missing);
        }
        self.after = Some(sequence);
    }

    fn damage(&mut self, at: u32, bytes: u32, why: Why) {
        self.survey.damaged = true;
        (self.show)(Found::Damage(at, bytes, why));
    }

    /// The table's rows with the places of their records, if the table is sound.
    fn table(&self, at: u32, batch: &BatchHead) -> Option<impl Iterator<Item = (u32, Row)> + 'a> {
        let (from, bytes) = (batch.table_at(at), self.bytes);
        let table = bytes.get(from as usize..(from + batch.records * ROW) as usize)?;
        if crc32c(table) != batch.table {
            return None;
        }
        let mut place = u64::from(at + BATCH_HEAD);
        let end = u64::from(from);
        Some((0..batch.records).map_while(move |index| {
            let row = Row::read(table, index * ROW)?;
            let here = place;
            place += row.size();
            (place <= end).then_some((here as u32, row))
        }))
    }

    fn parts(&self, at: u32, row: &Row) -> Option<(&'a [u8], &'a [u8])> {
        let both = self.bytes.get((at + ROW) as usize..)?;
        let (summary, rest) = both.split_at_checked(row.summary as usize)?;
        Some((summary, rest.get(..row.bulk as usize)?))
    }

    /// Do summary, bulk and the row before them check?
    fn checks(&self, at: u32, row: &Row) -> (bool, bool) {
        let Some((summary, bulk)) = self.parts(at, row) else { return (false, false) };
        let sound = row.check_summary(summary, at, self.head) == row.summary_check;
        (sound, sound && row.is_bulk(bulk) && Row::read(self.bytes, at) == Some(*row))
    }

    fn is_whole(&self, at: u32, batch: &BatchHead) -> bool {
        let Some(rows) = self.table(at, batch) else { return false };
        let mut sound = 0;
        for (place, row) in rows {
            if !self.checks(place, &row).1 {
                return false;
            }
            sound += 1;
        }
        sound == batch.records
    }

    fn records(&mut self, at: u32, batch: &BatchHead) {
        for (place, row) in self.table(at, batch).into_iter().flatten() {
            self.record(place, &row, false);
        }
    }

    fn record(&mut self, at: u32, row: &Row, damaged: bool) {
        if let Some((summary, _)) = self.parts(at, row) {
            (self.show)(Found::Record(at, Visit { summary, bulk_len: row.bulk, damaged }));
        }
    }

    /// Shows what is left of a batch whose head is sound.
    fn rescue(&mut self, at: u32, batch: &BatchHead) {
        let Some(rows) = self.table(at, batch) else {
            let table = batch.table_at(at);
            let end = self.walk(at, table, true);
            if end == table {
                self.damage(table, batch.records * ROW, Why::Table);
            } else {
                self.damage(end, table - end, Why::Record);
            }
            return;
        };
        for (place, row) in rows {
            match self.checks(place, &row) {
                (true, true) => self.record(place, &row, false),
                (true, false) => {
                    self.record(place, &row, true);
                    self.damage(place, row.size() as u32, Why::Bulk);
                }
                (false, _) => self.damage(place, row.size() as u32, Why::Record),
            }
        }
    }

    /// Goes from row to row through the records of a batch whose head or table is not to be had, as far
    /// as they check. Answers where they end: `at` if there is none.
    fn walk(&mut self, at: u32, limit: u32, show: bool) -> u32 {
        let mut place = at + BATCH_HEAD;
        let mut end = at;
        while let Some(row) = Row::read(self.bytes, place) {
            let next = u64::from(place) + row.size();
            let (summary, bulk) = self.checks(place, &row);
            let in_turn = row.first == (end == at);
            if !summary || !in_turn || next > u64::from(limit) {
                break;
            }
            if show {
                self.record(place, &row, !bulk);
                if !bulk {
                    self.damage(place, row.size() as u32, Why::Bulk);
                }
            }
            place = next as u32;
            end = place;
        }
        end
    }
}
