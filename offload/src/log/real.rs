//! A directory of a real disk.

use super::disk::Disk;
use super::errors::{LogError, remedy};
use crate::settings::Durability;
use ring::rand::{SecureRandom, SystemRandom};
use rustix::fs::{FallocateFlags, FlockOperation, fallocate, flock, statvfs};
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

const LOCK: &str = "lock";

/// A directory of a real disk.
#[derive(Debug)]
pub struct RealDisk {
    path: PathBuf,
    directory: File,
    durability: Durability,
}

impl RealDisk {
    /// The directory, which is made where it is missing.
    ///
    /// # Errors
    /// [`LogError::Unusable`]: it cannot be made or opened.
    pub fn at(path: impl Into<PathBuf>, durability: Durability) -> Result<Self, LogError> {
        let path = path.into();
        let fail = |doing: &'static str| {
            let path = path.clone();
            move |source| LogError::Unusable { path, doing, remedy: remedy(&source), source }
        };
        if !path.is_dir() {
            std::fs::create_dir_all(&path).map_err(fail("make the directory"))?;
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                File::open(parent)
                    .and_then(|parent| parent.sync_all())
                    .map_err(fail("make the directory durable"))?;
            }
        }
        let directory = File::open(&path).map_err(fail("open the directory"))?;
        Ok(Self { path, directory, durability })
    }

    fn options() -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        options
    }
}

impl Disk for RealDisk {
    type File = File;
    type Lock = File;

    fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> Result<File, LogError> {
        let fail = |source| LogError::of(&self.path, "make the file `lock`", source);
        let options = || Self::options().create(true).truncate(false).open(self.path.join(LOCK));
        let mut file = options().map_err(fail)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut by = String::new();
                let told = Read::by_ref(&mut file).take(300).read_to_string(&mut by);
                let by = if told.is_ok() && !by.is_empty() { by.trim() } else { "somebody" };
                return Err(LogError::Locked { path: self.path.clone(), by: by.to_owned() });
            }
            Err(error) => return Err(fail(error.into())),
        }
        let name = rustix::system::uname();
        let host = name.nodename().to_string_lossy();
        let text = format!("process {} on host {host}\n", std::process::id());
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(fail)?;
        Ok(file)
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<File> {
        let path = self.path.join(name);
        let file = Self::options().create_new(true).open(&path)?;
        let room = match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            // Where the file system cannot, the first writes take the room.
            Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(bytes),
            room => room.map_err(io::Error::from),
        };
        if let Err(error) = room {
            // What is left of it is removed at the next start, if not now.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        Ok(file)
    }

    fn open(&self, name: &str) -> io::Result<File> {
        Self::options().open(self.path.join(name))
    }

    fn size(&self, file: &File) -> io::Result<u64> {
        Ok(file.metadata()?.len())
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn read_at(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        file.read_exact_at(buffer, offset)
    }

    fn sync_data(&self, file: &File) -> io::Result<()> {
        if self.durability == Durability::Disk {
            file.sync_data()?;
        }
        // A file that was removed takes all that is written, and nobody will find it again. A look at
        // it costs less than a hundredth of a sync.
        if file.metadata()?.nlink() == 0 { Err(io::ErrorKind::NotFound.into()) } else { Ok(()) }
    }

    fn sync_dir(&self) -> io::Result<()> {
        if self.durability == Durability::System { Ok(()) } else { self.directory.sync_all() }
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.path.join(name))
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            // Names that are no text are none of ours.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn free_space(&self) -> io::Result<u64> {
        let space = statvfs(&self.path)?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    fn salt(&self) -> u64 {
        let mut bytes = [0; 8];
        // The kernel's generator fails on no system that we run on; a known salt would cost what the
        // salt is for, and nothing else.
        let _ = SystemRandom::new().fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }
}
