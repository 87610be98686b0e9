//! What the log needs of a disk: one directory, files of fixed sizes, and words on which it can rely.
//!
//! A write is durable after `sync_data` of its file, a name after `sync_dir`; before that, a crash may
//! keep any part of it, sector by sector, in any order.

use super::LogError;
use std::fmt;
use std::io;
use std::path::Path;

/// A directory on a disk.
pub trait Disk: fmt::Debug + Send + Sync + Sized + 'static {
    /// An open file. Stays what it was when its name changes.
    type File: fmt::Debug + Send + Sync;
    /// Held as long as the directory is ours.
    type Lock: fmt::Debug + Send + Sync;

    /// The directory, for messages.
    fn path(&self) -> &Path;
    /// Makes the directory ours.
    ///
    /// # Errors
    /// [`LogError::Locked`], or what keeps us from finding out.
    fn lock(&self) -> Result<Self::Lock, LogError>;
    /// Makes a file of so many bytes, which read as zeros; it must not exist. Its room is taken at once
    /// where the file system can.
    fn create(&self, name: &str, bytes: u64) -> io::Result<Self::File>;
    /// Opens a file.
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Bytes of a file.
    fn size(&self, file: &Self::File) -> io::Result<u64>;
    /// Writes all bytes; they lie inside of the file.
    fn write_at(&self, file: &Self::File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Fills the buffer.
    fn read_at(&self, file: &Self::File, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Makes all that was written to the file durable.
    fn sync_data(&self, file: &Self::File) -> io::Result<()>;
    /// Makes all names durable.
    fn sync_dir(&self) -> io::Result<()>;
    /// Gives a file another name; one that had it is gone.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names of all files.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Bytes that are left.
    fn free_space(&self) -> io::Result<u64>;
    /// A number that nobody can guess.
    fn salt(&self) -> u64;
}
