//! Records made durable by groups, on a disk that may fail.
//!
//! A log is a row of *segments*, files of one size that are written once with zeros and then used again
//! under new names, so that nothing on the hot path makes a file grow, come or go. A *batch* of
//! [`Entry`]s is one write and one `fdatasync`; it is there whole or not at all. What a record means is
//! none of the log's business: `record` says it.
//!
//! - [`disk`]: what the log needs of a disk; [`real`] has it, [`sim`] has one that fails on purpose.
//! - [`format`]: what segments, batches and records look like.
//! - [`scan`]: what the bytes of a segment hold, whatever has become of them.
//! - [`hint`]: the summaries of a full segment once more, so that a start need not read the segment.
//! - `recover`: from files to a log; [`recovered`] is what it tells.
//! - `pool`: segments that wait for their use; [`keep`] is the thread that sees to them.
//! - [`read`]: records for other threads.
//!
//! What always holds: a batch is acknowledged after it is durable, and never before; batches come back
//! in the order in which they were acknowledged; segments are freed strictly oldest first; after a
//! write or a sync that failed nothing is acknowledged any more, since nobody knows what the kernel has
//! kept of it.

pub mod disk;
pub mod errors;
pub mod format;
pub mod hint;
pub mod keep;
mod pool;
pub mod read;
pub mod real;
mod recover;
pub mod recovered;
pub mod scan;
pub mod sim;
#[cfg(test)]
mod tests;

pub use disk::Disk;
pub use errors::{LogError, ReadError};
pub use keep::Keeper;
pub use read::{Reader, Record};
pub use real::RealDisk;
pub use recovered::{Quarantined, Recovered, Visit, Why};

use pool::{Segment, Shared};
use std::io;
use std::mem;
use std::path::Path;
use std::sync::Arc;

/// What a log is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a segment; a batch must fit into one. 16 MiB; a multiple of 512 between 4 KiB and
    /// 1 GiB.
    /// Each segment costs a file descriptor.
    pub segment_bytes: u32,
    /// Most bytes of all files together. Raised to what reserve and spares need, where it is less.
    pub bytes_max: u64,
    /// Segments that only batches whose entries all settle may take when there is no room for others.
    pub reserve: u32,
    /// Segments that are kept ready beside the reserve.
    pub spares: u32,
    /// So many full segments, the newest ones, are given no hint: most are freed before anybody would
    /// read it. A start reads them whole.
    pub unhinted: u32,
}

impl Options {
    /// Segments of 16 MiB, 8 of them ready and 8 (128 MiB) reserved, 4 without hints.
    pub fn new(bytes_max: u64) -> Self {
        Self { segment_bytes: 16 << 20, bytes_max, reserve: 4, spares: 4, unhinted: 4 }
    }
}

/// Where a record is. Later records have greater positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// In which segment; numbers go up by one, and are never used again.
    pub segment: u32,
    /// At which byte of it.
    pub offset: u32,
}

/// A record to be written.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// What recovery tells.
    pub summary: &'a [u8],
    /// What is read only when it is needed.
    pub bulk: &'a [u8],
    /// May it take from the reserve? For what makes room in the end: ends of jobs, and survivors of old
    /// segments that are written again.
    pub settles: bool,
}

/// The log, in the hands of the one thread that appends.
#[derive(Debug)]
pub struct Log<D: Disk = RealDisk> {
    shared: Arc<Shared<D>>,
    current: Arc<Segment<D>>,
    /// Where the next batch goes.
    offset: u32,
    /// Its number.
    sequence: u64,
    buffer: Vec<u8>,
}

/// Most bytes of the buffer that are kept from batch to batch.
const BUFFER_KEPT: usize = 1 << 20;

impl<D: Disk> Log<D> {
    /// Opens what is there, or makes it; `each` is shown every record, oldest first. Bulks are not read
    /// where a segment has its hint. What was shown counts when this has returned, and not before.
    ///
    /// # Errors
    /// [`LogError::Locked`] if another process has it, [`LogError::Unusable`] if the directory is not
    /// to be read or written, [`LogError::Format`] if it was written by a later version,
    /// [`LogError::Full`] if there is no room for a first segment.
    ///
    /// # Panics
    /// The size of segments is out of its bounds.
    pub fn open(
        disk: D,
        options: &Options,
        each: impl FnMut(Position, Visit<'_>),
    ) -> Result<(Self, Recovered), LogError> {
        let bytes = options.segment_bytes;
        let sizes = format::SEGMENT_MIN..=format::SEGMENT_MAX;
        assert!(sizes.contains(&bytes) && bytes.is_multiple_of(format::SECTOR));
        recover::open(disk, options, each)
    }

    fn begin(shared: Arc<Shared<D>>, current: Arc<Segment<D>>, offset: u32, sequence: u64) -> Self {
        let log = Self { shared, current, offset, sequence, buffer: Vec::new() };
        log.publish();
        log
    }

    /// Appends a batch and returns when it is durable. `positions` is emptied, then has one for each.
    ///
    /// # Errors
    /// [`LogError::Full`] and [`LogError::TooLarge`]: nothing was written, and the log goes on.
    /// [`LogError::Broken`]: nobody knows whether it was, and nothing else will be.
    pub fn append(
        &mut self,
        entries: &[Entry<'_>],
        positions: &mut Vec<Position>,
    ) -> Result<(), LogError> {
        let reserve = self.shared.options.reserve as usize;
        let settles = entries.iter().all(|entry| entry.settles);
        self.append_but(entries, positions, if settles { reserve.min(1) } else { reserve })
    }

    /// The same for survivors of the oldest segment that are written again: they may take the last
    /// segment of the reserve, which nobody else may, for they make room.
    ///
    /// # Errors
    /// Those of [`Log::append`].
    pub fn carry(
        &mut self,
        entries: &[Entry<'_>],
        positions: &mut Vec<Position>,
    ) -> Result<(), LogError> {
        self.append_but(entries, positions, 0)
    }

    /// Is there, beside the one that is written, no segment but for [`Log::carry`]?
    pub fn is_tight(&self) -> bool {
        self.shared.state().available() <= 1
    }

    /// Leaves so many segments that are ready, if it takes one.
    fn append_but(
        &mut self,
        entries: &[Entry<'_>],
        positions: &mut Vec<Position>,
        left: usize,
    ) -> Result<(), LogError> {
        positions.clear();
        self.shared.sound()?;
        if entries.is_empty() {
            return Ok(());
        }
        let cost = |entry: &Entry<'_>| Self::cost(entry.summary.len(), entry.bulk.len());
        let bytes = entries.iter().map(cost).sum();
        if bytes > self.batch_max() {
            return Err(LogError::TooLarge { bytes, max: self.batch_max() });
        }
        let size = format::batch_size(bytes) as u64;
        if u64::from(self.offset) + size > u64::from(self.current.head.limit()) {
            self.roll(left)?;
        }
        let place = (&self.current.head, self.offset);
        format::write_batch(&mut self.buffer, place, self.sequence, entries, positions);
        self.write().inspect_err(|_| positions.clear())?;
        self.offset += self.buffer.len() as u32;
        self.sequence += 1;
        self.buffer.shrink_to(BUFFER_KEPT);
        Ok(())
    }

    fn write(&self) -> Result<(), LogError> {
        let (disk, file) = (&self.shared.disk, &self.current.file);
        let name = || pool::segment_name(self.current.head.segment);
        match disk.write_at(file, &self.buffer, u64::from(self.offset)) {
            Ok(()) => {}
            // Only where the file system writes to new places does a file that has its size need room.
            Err(full) if errors::is_full(&full) && self.wipe().is_ok() => {
                return Err(LogError::of(self.path(), "write to a segment", full));
            }
            Err(error) => return Err(self.shared.break_off("write to", &name(), &error)),
        }
        disk.sync_data(file).map_err(|error| self.shared.break_off("sync", &name(), &error))
    }

    /// Sees to it that no batch is found at the end of the log.
    fn wipe(&self) -> io::Result<()> {
        let (disk, file) = (&self.shared.disk, &self.current.file);
        disk.write_at(file, &[0; format::SECTOR as usize], u64::from(self.offset))?;
        disk.sync_data(file)
    }

    fn roll(&mut self, left: usize) -> Result<(), LogError> {
        let next = self.shared.next_segment(left)?;
        let full = mem::replace(&mut self.current, next);
        self.offset = format::SECTOR;
        self.publish();
        self.shared.state().sealed.push_back(full);
        self.shared.wake();
        Ok(())
    }

    /// Lets readers find the current segment.
    fn publish(&self) {
        let number = self.current.head.segment;
        self.shared.live_mut().insert(number, Arc::clone(&self.current));
    }

    fn path(&self) -> &Path {
        self.shared.disk.path()
    }

    /// Most bytes of a batch: the sum of [`Log::cost`] of its entries must not be more.
    pub fn batch_max(&self) -> usize {
        let bytes = self.shared.options.segment_bytes - 2 * format::SECTOR - format::BATCH_HEAD;
        bytes as usize
    }

    /// What a record takes of [`Log::batch_max`], with so many bytes of summary and bulk.
    pub fn cost(summary: usize, bulk: usize) -> usize {
        format::RECORD_COST as usize + summary + bulk
    }

    /// What other threads read with.
    pub fn reader(&self) -> Reader<D> {
        Reader { shared: Arc::clone(&self.shared) }
    }

    /// What a thread of its own runs.
    pub fn keeper(&self) -> Keeper<D> {
        Keeper { shared: Arc::clone(&self.shared) }
    }

    /// The oldest segment that is not freed.
    pub fn oldest(&self) -> u32 {
        self.shared.live().first_key_value().map_or(self.newest(), |(number, _)| *number)
    }

    /// The segment that is written.
    pub fn newest(&self) -> u32 {
        self.current.head.segment
    }

    /// Bytes of all segments that are not freed.
    pub fn bytes_used(&self) -> u64 {
        self.shared.live().values().map(|segment| u64::from(segment.head.bytes)).sum()
    }

    /// Bytes that the disk has left.
    ///
    /// # Errors
    /// [`LogError::Unusable`]: it cannot be asked.
    pub fn free_space(&self) -> Result<u64, LogError> {
        let left = self.shared.disk.free_space();
        left.map_err(|error| LogError::of(self.path(), "ask for its free space", error))
    }

    /// Frees all segments before this one, but never the newest. Waits for no disk: the keeper uses
    /// their files again, oldest first. After a crash some of them may be back, never one without all
    /// that came later.
    pub fn free_before(&mut self, segment: u32) {
        let segment = segment.min(self.newest());
        let mut live = self.shared.live_mut();
        let kept = live.split_off(&segment);
        let freed = mem::replace(&mut *live, kept);
        drop(live);
        if !freed.is_empty() {
            self.shared.state().freed.extend(freed.into_values());
            self.shared.wake();
        }
    }
}

impl<D: Disk> Drop for Log<D> {
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.work.notify_all();
    }
}
