//! What can go wrong with a log, by what its owner does about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why a log was not opened, or a batch not appended.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// There is no room. Nothing was written; the same may be tried again.
    #[error("no room for the log in {}: {why}", path.display())]
    Full {
        /// The directory.
        path: PathBuf,
        /// Of what there is not enough.
        why: String,
    },
    /// A write or a sync has failed, now or before. Nothing is written any more until the log is opened
    /// again, since nobody knows what of it the disk has.
    #[error("the log has stopped: {why}")]
    Broken {
        /// What has failed, where, and what to do.
        why: String,
    },
    /// A batch is larger than what fits into a segment. Nothing was written.
    #[error("a batch of {bytes} bytes does not fit into a segment of the log, which takes {max}")]
    TooLarge {
        /// Its bytes.
        bytes: usize,
        /// Most that fit.
        max: usize,
    },
    /// Another process has it open.
    #[error("the log in {} is in use by {by}; each gateway needs a directory of its own (`offload.store`)", path.display())]
    Locked {
        /// The directory.
        path: PathBuf,
        /// Who has it: process and host.
        by: String,
    },
    /// Files are not what this version writes.
    #[error("{} is no segment of a log that this version reads: {why}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is the matter, and what to do.
        why: String,
    },
    /// The directory is not to be had.
    #[error("cannot {doing} in {}: {source}; {remedy}", path.display())]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// What to do.
        remedy: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

impl LogError {
    /// Of what the system says: [`LogError::Full`] or [`LogError::Unusable`].
    pub(super) fn of(path: &Path, doing: &'static str, source: io::Error) -> Self {
        let path = path.to_path_buf();
        if is_full(&source) {
            return Self::Full { path, why: format!("cannot {doing}: {source}") };
        }
        Self::Unusable { path, doing, remedy: remedy(&source), source }
    }
}

/// Is the disk full, or the quota used up?
pub(super) fn is_full(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error.kind(), StorageFull | QuotaExceeded)
}

/// What to do about it.
pub(super) fn remedy(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::NotFound => {
            "was the directory removed? restore it, or name another in `offload.store`"
        }
        Kind::PermissionDenied => "let the gateway's user read and write it",
        Kind::ReadOnlyFilesystem => {
            "mount it writable (a file system that found errors makes itself read-only), or name \
             another directory in `offload.store`"
        }
        Kind::NotADirectory | Kind::AlreadyExists => "`offload.store` must name a directory",
        Kind::StorageFull | Kind::QuotaExceeded => "make room, or lower `offload.bytes_max`",
        _ => "look for errors of the disk in the system's log, and start again when it is sound",
    }
}

/// Why a record was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// Its segment was freed.
    #[error("the record's segment was freed")]
    Gone,
    /// Its bytes are not those that were written.
    #[error("the record at byte {offset} of segment {segment} is damaged")]
    Damaged {
        /// In which segment.
        segment: u32,
        /// At which byte.
        offset: u32,
    },
    /// The disk does not give them.
    #[error("segment {segment} cannot be read: {source}")]
    Disk {
        /// Which segment.
        segment: u32,
        /// What the system says.
        source: io::Error,
    },
}
