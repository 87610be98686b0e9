//! A disk in memory that keeps what is not synced apart, crashes where it is told to, and fails on
//! purpose. For tests and fuzzing.
//!
//! What is written lies in sectors of 512 bytes. At a power cut each write of a sector that was not
//! synced survives or not, by itself; so does each change of a name, and the size of a new file. A sync
//! that fails forgets what it could not write, as Linux does, while reads still show it.

use super::disk::Disk;
use super::errors::LogError;
use super::format::SECTOR;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

const SECTOR_BYTES: usize = SECTOR as usize;

/// What goes wrong.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Nothing can be changed.
    pub read_only: bool,
    /// The directory was removed.
    pub gone: bool,
    /// Writes to files that have their size find no room, after a part of them.
    pub full: bool,
    /// So many syncs succeed, of files and of the directory; the others fail.
    pub syncs: Option<u64>,
    /// The 4 KiB of this file with this byte cannot be read.
    pub unreadable: Option<(String, u64)>,
}

/// A disk in memory; clones are the same disk.
#[derive(Clone, Debug)]
pub struct SimDisk {
    world: Arc<Mutex<World>>,
    /// How often it was started when this was made: handles of an earlier life fail.
    life: u64,
    path: PathBuf,
}

/// An open file.
#[derive(Debug)]
pub struct SimFile(usize);

/// Released when it is dropped.
#[derive(Debug)]
pub struct SimLock(SimDisk);

#[derive(Debug, Default)]
struct Content {
    /// What reads show.
    shown: Vec<u8>,
    /// What is safe.
    safe: Vec<u8>,
    /// Writes to sectors that are not.
    unsafe_writes: Vec<(usize, [u8; SECTOR_BYTES])>,
}

#[derive(Debug)]
enum Change {
    Link(String, usize),
    Unlink(String),
    Rename(String, usize),
}

#[derive(Debug)]
struct World {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    safe_names: BTreeMap<String, usize>,
    changes: Vec<Change>,
    bytes_max: u64,
    faults: Faults,
    operations: u64,
    crash_at: Option<u64>,
    down: bool,
    locked: bool,
    life: u64,
    dice: fastrand::Rng,
}

fn apply(names: &mut BTreeMap<String, usize>, change: &Change) {
    match change {
        Change::Link(name, file) => drop(names.insert(name.clone(), *file)),
        Change::Unlink(name) => drop(names.remove(name)),
        // A file has one name, whichever of its changes survived.
        Change::Rename(to, file) => {
            names.retain(|_, named| named != file);
            names.insert(to.clone(), *file);
        }
    }
}

impl SimDisk {
    /// An empty disk of so many bytes; the seed decides what crashes leave.
    pub fn new(seed: u64, bytes_max: u64) -> Self {
        let world = World {
            files: Vec::new(),
            names: BTreeMap::new(),
            safe_names: BTreeMap::new(),
            changes: Vec::new(),
            bytes_max,
            faults: Faults::default(),
            operations: 0,
            crash_at: None,
            down: false,
            locked: false,
            life: 0,
            dice: fastrand::Rng::with_seed(seed),
        };
        Self { world: Arc::new(Mutex::new(world)), life: 0, path: "/sim".into() }
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on these things go wrong.
    pub fn set_faults(&self, faults: Faults) {
        self.world().faults = faults;
    }

    /// The disk has so many bytes now.
    pub fn set_bytes_max(&self, bytes: u64) {
        self.world().bytes_max = bytes;
    }

    /// After so many more operations that change something, it crashes.
    pub fn crash_after(&self, operations: u64) {
        let mut world = self.world();
        world.crash_at = Some(world.operations + operations);
    }

    /// Operations that changed something.
    pub fn operations(&self) -> u64 {
        self.world().operations
    }

    /// Has it crashed?
    pub fn is_down(&self) -> bool {
        self.world().down
    }

    /// Starts again, after a power cut or else after the end of the process alone, which loses nothing.
    /// Faults are over. Handles of the life before fail from now on.
    #[must_use]
    pub fn reboot(&self, power_cut: bool) -> Self {
        let mut world = self.world();
        if power_cut {
            world.cut();
        }
        world.life += 1;
        (world.down, world.locked, world.crash_at) = (false, false, None);
        world.faults = Faults::default();
        Self { world: Arc::clone(&self.world), life: world.life, path: self.path.clone() }
    }

    /// What a file has, as reads show it.
    pub fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let world = self.world();
        world.names.get(name).map(|file| world.files[*file].shown.clone())
    }

    /// The names of all files.
    pub fn names(&self) -> Vec<String> {
        self.world().names.keys().cloned().collect()
    }

    /// Removes a file, durably.
    pub fn lose(&self, name: &str) {
        let mut world = self.world();
        world.names.remove(name);
        world.safe_names.remove(name);
    }

    /// Puts a file there, durably, in the place of what had its name.
    pub fn put(&self, name: &str, bytes: Vec<u8>) {
        let mut world = self.world();
        let file = world.files.len();
        let content = Content { safe: bytes.clone(), shown: bytes, ..Content::default() };
        world.files.push(content);
        world.names.insert(name.to_owned(), file);
        world.safe_names.insert(name.to_owned(), file);
    }

    /// Flips a bit of a file, durably. Answers whether there is such a byte.
    pub fn flip(&self, name: &str, byte: usize, bit: u8) -> bool {
        let mut world = self.world();
        let Some(&file) = world.names.get(name) else { return false };
        let content = &mut world.files[file];
        for bytes in [&mut content.shown, &mut content.safe] {
            let Some(byte) = bytes.get_mut(byte) else { return false };
            *byte ^= 1 << (bit & 7);
        }
        true
    }

    /// Lets an operation that changes something happen; `last` answers whether it is the last one.
    fn change(&self) -> io::Result<(MutexGuard<'_, World>, Last)> {
        let mut world = self.alive()?;
        if world.faults.read_only {
            return Err(io::ErrorKind::ReadOnlyFilesystem.into());
        }
        world.operations += 1;
        let last = world.crash_at.is_some_and(|at| world.operations > at);
        world.down = last;
        Ok((world, Last(last)))
    }

    fn alive(&self) -> io::Result<MutexGuard<'_, World>> {
        let world = self.world();
        if world.down || world.life != self.life {
            return Err(io::Error::other("the power was cut"));
        }
        Ok(world)
    }
}

/// Whether the power is cut while an operation goes on.
struct Last(bool);

impl Last {
    fn end(self) -> io::Result<()> {
        if self.0 { Err(io::Error::other("the power was cut")) } else { Ok(()) }
    }
}

impl World {
    /// What a power cut leaves.
    fn cut(&mut self) {
        let Self { files, safe_names, changes, dice, names, .. } = self;
        // All, none, or some: each happens often.
        let odds = [0, 1, 5, 9, 10][dice.usize(..5)];
        let mut survives = move || dice.usize(..10) < odds;
        for change in changes.drain(..) {
            if survives() {
                apply(safe_names, &change);
            }
        }
        names.clone_from(safe_names);
        for content in &mut *files {
            if content.safe.len() < content.shown.len() && survives() {
                content.safe.resize(content.shown.len(), 0);
            }
            for (sector, bytes) in std::mem::take(&mut content.unsafe_writes) {
                if survives() {
                    content.put(sector, &bytes);
                }
            }
            content.shown.clone_from(&content.safe);
        }
        // Files without a name are gone; no handle outlives this.
        let mut kept = Vec::new();
        for file in names.values_mut() {
            kept.push(std::mem::take(&mut files[*file]));
            *file = kept.len() - 1;
        }
        *files = kept;
        safe_names.clone_from(names);
    }

    fn used(&self) -> u64 {
        self.names.values().map(|file| self.files[*file].shown.len() as u64).sum()
    }

    /// Lets a sync happen, unless it fails.
    fn sync(&mut self) -> io::Result<()> {
        match &mut self.faults.syncs {
            None => Ok(()),
            Some(0) => Err(io::Error::from_raw_os_error(5)),
            Some(left) => {
                *left -= 1;
                Ok(())
            }
        }
    }

    fn rename(&mut self, change: Change) {
        apply(&mut self.names, &change);
        self.changes.push(change);
    }

    fn named(&self, name: &str) -> io::Result<usize> {
        self.names.get(name).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Content {
    fn put(&mut self, sector: usize, bytes: &[u8; SECTOR_BYTES]) {
        let at = sector * SECTOR_BYTES;
        if self.safe.len() > at {
            let end = self.safe.len().min(at + SECTOR_BYTES);
            self.safe[at..end].copy_from_slice(&bytes[..end - at]);
        }
    }

    fn write(&mut self, bytes: &[u8], offset: usize) -> io::Result<()> {
        let end = offset + bytes.len();
        let place = self.shown.get_mut(offset..end).ok_or(io::ErrorKind::InvalidInput)?;
        place.copy_from_slice(bytes);
        if bytes.is_empty() {
            return Ok(());
        }
        for sector in offset / SECTOR_BYTES..end.div_ceil(SECTOR_BYTES) {
            let at = sector * SECTOR_BYTES;
            let piece = &self.shown[at..self.shown.len().min(at + SECTOR_BYTES)];
            let mut bytes = [0; SECTOR_BYTES];
            bytes[..piece.len()].copy_from_slice(piece);
            self.unsafe_writes.push((sector, bytes));
        }
        Ok(())
    }
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut world = self.0.world();
        if world.life == self.0.life {
            world.locked = false;
        }
    }
}

impl Disk for SimDisk {
    type File = SimFile;
    type Lock = SimLock;

    fn path(&self) -> &Path {
        &self.path
    }

    fn lock(&self) -> Result<SimLock, LogError> {
        let fail = |error| LogError::of(&self.path, "make the file `lock`", error);
        let mut world = self.alive().map_err(fail)?;
        if world.faults.gone {
            return Err(fail(io::ErrorKind::NotFound.into()));
        }
        if world.faults.read_only {
            return Err(fail(io::ErrorKind::ReadOnlyFilesystem.into()));
        }
        if std::mem::replace(&mut world.locked, true) {
            return Err(LogError::Locked { path: self.path.clone(), by: "somebody".into() });
        }
        Ok(SimLock(self.clone()))
    }

    fn create(&self, name: &str, bytes: u64) -> io::Result<SimFile> {
        let (mut world, last) = self.change()?;
        if world.faults.gone {
            return Err(io::ErrorKind::NotFound.into());
        }
        if world.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        if world.used() + bytes > world.bytes_max {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let file = world.files.len();
        world.files.push(Content { shown: vec![0; bytes as usize], ..Content::default() });
        world.rename(Change::Link(name.to_owned(), file));
        last.end().map(|()| SimFile(file))
    }

    fn open(&self, name: &str) -> io::Result<SimFile> {
        self.alive()?.named(name).map(SimFile)
    }

    fn size(&self, file: &SimFile) -> io::Result<u64> {
        Ok(self.alive()?.files[file.0].shown.len() as u64)
    }

    fn write_at(&self, file: &SimFile, bytes: &[u8], offset: u64) -> io::Result<()> {
        let (mut world, last) = self.change()?;
        if world.faults.full {
            let part = bytes.len() / 2;
            world.files[file.0].write(&bytes[..part], offset as usize)?;
            // What makes the end of the log clean overwrites a sector that has its place.
            if bytes.len() > SECTOR_BYTES {
                return Err(io::ErrorKind::StorageFull.into());
            }
        }
        world.files[file.0].write(bytes, offset as usize)?;
        last.end()
    }

    fn read_at(&self, file: &SimFile, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let world = self.alive()?;
        let end = offset as usize + buffer.len();
        if let Some((name, byte)) = &world.faults.unreadable
            && world.names.get(name) == Some(&file.0)
            && (byte & !0xfff) < end as u64
            && offset < (byte | 0xfff) + 1
        {
            return Err(io::Error::from_raw_os_error(5));
        }
        let shown = world.files[file.0].shown.get(offset as usize..end);
        buffer.copy_from_slice(shown.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync_data(&self, file: &SimFile) -> io::Result<()> {
        let (mut world, last) = self.change()?;
        last.end()?;
        let synced = world.sync();
        let world = &mut *world;
        let content = &mut world.files[file.0];
        content.safe.resize(content.shown.len(), 0);
        for (sector, bytes) in std::mem::take(&mut content.unsafe_writes) {
            if synced.is_ok() || world.dice.bool() {
                content.put(sector, &bytes);
            }
        }
        synced
    }

    fn sync_dir(&self) -> io::Result<()> {
        let (mut world, last) = self.change()?;
        last.end()?;
        if world.faults.gone {
            return Err(io::ErrorKind::NotFound.into());
        }
        world.sync()?;
        let world = &mut *world;
        world.changes.clear();
        world.safe_names.clone_from(&world.names);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let (mut world, last) = self.change()?;
        let file = world.named(from)?;
        world.rename(Change::Rename(to.to_owned(), file));
        last.end()
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let (mut world, last) = self.change()?;
        world.named(name)?;
        world.rename(Change::Unlink(name.to_owned()));
        last.end()
    }

    fn list(&self) -> io::Result<Vec<String>> {
        let world = self.alive()?;
        if world.faults.gone {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(world.names.keys().cloned().collect())
    }

    fn free_space(&self) -> io::Result<u64> {
        let world = self.alive()?;
        Ok(world.bytes_max.saturating_sub(world.used()))
    }

    fn salt(&self) -> u64 {
        self.world().dice.u64(..)
    }
}
