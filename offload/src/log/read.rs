//! Records for other threads, while the log appends and frees.

use super::{Disk, Position, ReadError, RealDisk};
use bytes::Bytes;
use std::marker::PhantomData;

/// Reads records; one for each thread, or shared.
#[derive(Clone, Debug)]
pub struct Reader<D: Disk = RealDisk> {
    pub(super) disk: PhantomData<D>,
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
        let _ = (position, length, self);
        Err(ReadError::Gone)
    }
}
