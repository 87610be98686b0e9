//! Records for other threads, while the log appends and frees.

use super::format::{ROW, Row};
use super::pool::{Segment, Shared};
use super::{Disk, Position, ReadError, RealDisk};
use bytes::Bytes;
use std::sync::Arc;

/// Reads records; one for each thread, or shared.
#[derive(Clone, Debug)]
pub struct Reader<D: Disk = RealDisk> {
    pub(super) shared: Arc<Shared<D>>,
}

/// A record as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its summary.
    pub summary: Bytes,
    /// Its bulk.
    pub bulk: Bytes,
}

impl<D: Disk> Reader<D> {
    /// The record at a position; `length` is the bytes of summary and bulk together.
    ///
    /// # Errors
    /// It is gone, damaged, or not to be read.
    pub fn read(&self, position: Position, length: usize) -> Result<Record, ReadError> {
        let segment = self.shared.live().get(&position.segment).cloned().ok_or(ReadError::Gone)?;
        let read = self.check(&segment, position, length);
        // A file may be used again while it is read: then its bytes say nothing.
        if read.is_err() && !self.shared.live().contains_key(&position.segment) {
            return Err(ReadError::Gone);
        }
        read
    }

    fn check(
        &self,
        segment: &Segment<D>,
        Position { segment: number, offset }: Position,
        length: usize,
    ) -> Result<Record, ReadError> {
        let damaged = ReadError::Damaged { segment: number, offset };
        let size = (length as u64).saturating_add(u64::from(ROW));
        if u64::from(offset).saturating_add(size) > u64::from(segment.head.limit()) {
            return Err(damaged);
        }
        let mut bytes = vec![0; size as usize];
        self.shared
            .disk
            .read_at(&segment.file, &mut bytes, u64::from(offset))
            .map_err(|source| ReadError::Disk { segment: number, source })?;
        let Some(row) = Row::read(&bytes, 0).filter(|row| row.size() == size) else {
            return Err(damaged);
        };
        let all = Bytes::from(bytes);
        let between = (ROW + row.summary) as usize;
        let (summary, bulk) = (all.slice(ROW as usize..between), all.slice(between..));
        let sound = row.check_summary(&summary, offset, &segment.head) == row.summary_check;
        if sound && row.is_bulk(&bulk) { Ok(Record { summary, bulk }) } else { Err(damaged) }
    }
}
