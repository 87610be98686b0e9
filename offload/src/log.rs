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
//! - [`recover`]: from files to a log.
//! - [`pool`]: segments that wait for their use; [`keep`] is the thread that sees to them.
//! - [`read`]: records for other threads.
//!
//! What always holds: a batch is acknowledged after it is durable, and never before; batches come back
//! in the order in which they were acknowledged; segments are freed strictly oldest first; after a
//! write or a sync that failed nothing is acknowledged any more, since nobody knows what the kernel has
//! kept of it.

pub mod disk;
pub mod errors;
pub mod keep;
pub mod read;
pub mod real;
pub mod recover;

pub use disk::Disk;
pub use errors::{LogError, ReadError};
pub use keep::Keeper;
pub use read::{Reader, Record};
pub use real::RealDisk;
pub use recover::{Quarantined, Recovered, Visit, Why};

use std::marker::PhantomData;

/// What a log is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a segment; a batch must fit into one. 16 MiB; a multiple of 512, at least 4 KiB.
    /// Each segment costs a file descriptor.
    pub segment_bytes: u32,
    /// Most bytes of all files together. Raised to what reserve and spares need, where it is less.
    pub bytes_max: u64,
    /// Segments that only batches whose entries all settle may take when there is no room for others.
    pub reserve: u32,
    /// Segments that are kept ready beside the reserve.
    pub spares: u32,
}

impl Options {
    /// Segments of 16 MiB, 8 of them ready and 8 (128 MiB) reserved.
    pub fn new(bytes_max: u64) -> Self {
        Self { segment_bytes: 16 << 20, bytes_max, reserve: 8, spares: 8 }
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
    disk: PhantomData<D>,
}

impl<D: Disk> Log<D> {
    /// Opens what is there, or makes it; `each` is shown every record, oldest first. Bulks are not read
    /// where a segment has its hint.
    ///
    /// # Errors
    /// [`LogError::Locked`] if another process has it, [`LogError::Unusable`] if the directory is not
    /// to be read or written, [`LogError::Format`] if it was written by a later version,
    /// [`LogError::Full`] if there is no room for a first segment.
    pub fn open(
        disk: D,
        options: &Options,
        each: impl FnMut(Position, Visit<'_>),
    ) -> Result<(Self, Recovered), LogError> {
        let _ = (disk, options, each);
        Err(LogError::Broken { why: "not written yet".into() })
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
        let _ = (entries, positions, self);
        Err(LogError::Broken { why: "not written yet".into() })
    }

    /// Most bytes of a batch: the sum of [`Log::cost`] of its entries must not be more.
    pub fn batch_max(&self) -> usize {
        0
    }

    /// What a record takes of [`Log::batch_max`].
    pub fn cost(summary: usize, bulk: usize) -> usize {
        32 + summary + bulk
    }

    /// What other threads read with.
    pub fn reader(&self) -> Reader<D> {
        Reader { disk: PhantomData }
    }

    /// What a thread of its own runs.
    pub fn keeper(&self) -> Keeper<D> {
        Keeper { disk: PhantomData }
    }

    /// The oldest segment that is not freed.
    pub fn oldest(&self) -> u32 {
        0
    }

    /// The segment that is written.
    pub fn newest(&self) -> u32 {
        0
    }

    /// Bytes of all segments that are not freed.
    pub fn bytes_used(&self) -> u64 {
        0
    }

    /// Bytes that the disk has left.
    ///
    /// # Errors
    /// [`LogError::Unusable`]: it cannot be asked.
    pub fn free_space(&self) -> Result<u64, LogError> {
        Ok(0)
    }

    /// Frees all segments before this one, but never the newest. Waits for no disk: the keeper uses
    /// their files again, oldest first. After a crash some of them may be back, never one without all
    /// that came later.
    pub fn free_before(&mut self, segment: u32) {
        let _ = (self, segment);
    }
}
