//! The tier on disk: entries that outlive a restart, in a folder of their own.
//!
//! A log in segments ([`segment`]): records are only ever appended to the newest file, the oldest
//! file is deleted whole when room is needed, and what was read in it since it was written is
//! appended again ([`writer`]). An index in memory ([`index`]) says where each key is, so a miss
//! never touches the disk; a hit is two reads on a thread for them. A segment that is full ends in a
//! list of what is in it, so that a start reads lists and not records; it goes on behind the start,
//! newest first, and until it is through, what was not seen yet is a miss.
//!
//! What always holds: the files together are never larger than was said; a record that is not whole,
//! not of its key, or past its time is a miss; of two records of a key the older is never answered
//! with, nor one that was forgotten, wherever the process was killed. Records are not synced: a power
//! cut may cost the newest ones, and marks of what was forgotten with them. The note ([`Disk::save_note`]) is synced before the call returns.
//!
//! `docs/decisions/0010-a-log-on-disk.md` has the format and its reasons.

mod index;
mod note;
pub mod purges;
mod queue;
mod reader;
pub mod segment;
mod writer;

#[cfg(test)]
mod tests;

use crate::settings;
use crate::tier::Tier;
use base::{Moment, Wall};
use index::Index;
use queue::{Job, Queue};
use reader::Ask;
use segment::Open;
use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;

/// Threads that read.
const READERS: usize = 2;
/// Most reads that wait for one of them.
const ASKS_MAX: usize = 256;
/// Of the size, one part in so many is kept for the note and its successor.
const NOTE_PART: u64 = 32;

/// Entries on disk.
pub struct Disk {
    shared: Arc<Shared>,
    readers: Vec<SyncSender<Ask>>,
    threads: Vec<JoinHandle<()>>,
    note: Mutex<()>,
    note_max: usize,
}

/// What has happened; only ever written by the tier.
#[derive(Debug, Default)]
pub struct Meters {
    /// Values asked for.
    pub gets: AtomicU64,
    /// Of those, answered with a value.
    pub hits: AtomicU64,
    /// Values written.
    pub puts: AtomicU64,
    /// Values that were not written, and asks that were not answered: too much at once, too large,
    /// or nowhere to write to.
    pub dropped: AtomicU64,
    /// Bytes of files, as a level.
    pub bytes: AtomicU64,
    /// Segments, as a level.
    pub segments: AtomicU64,
    /// Values that made room for others.
    pub evicted: AtomicU64,
    /// Records that were not what they should be, and errors of the file system.
    pub failures: AtomicU64,
}

/// What the threads have in common.
struct Shared {
    folder: PathBuf,
    index: Index,
    segments: RwLock<HashMap<u32, Arc<Open>>>,
    queue: Queue,
    meters: Meters,
    loading: AtomicBool,
    warned: AtomicBool,
    outside: Outside,
    /// Held for as long as the tier lives.
    _lock: File,
}

/// What the tier is given from outside.
struct Outside {
    warn: Box<dyn Fn(&str) + Send + Sync>,
    clock: Box<dyn Fn() -> Wall + Send + Sync>,
}

impl Disk {
    /// The tier in the folder that the settings name, made where it is missing. What is there already
    /// is found by and by, on a thread.
    ///
    /// # Errors
    /// The folder cannot be made or read, or another process uses it.
    pub fn open(settings: &settings::Disk) -> io::Result<Arc<Self>> {
        Self::open_and_warn(settings, |_| {})
    }

    /// The same; the first time that nothing can be written any more, `warn` is told why, on a thread
    /// of the tier.
    ///
    /// # Errors
    /// As [`Disk::open`].
    pub fn open_and_warn(
        settings: &settings::Disk,
        warn: impl Fn(&str) + Send + Sync + 'static,
    ) -> io::Result<Arc<Self>> {
        let clock = Box::new(|| Moment::now().wall_ms());
        Self::open_in(settings, Outside { warn: Box::new(warn), clock })
    }

    fn open_in(settings: &settings::Disk, outside: Outside) -> io::Result<Arc<Self>> {
        let said = |error: io::Error| {
            io::Error::new(error.kind(), format!("{}: {error}", settings.path.display()))
        };
        fs::create_dir_all(&settings.path).map_err(said)?;
        let lock = lock(&settings.path)?;
        let found = segment::list(&settings.path).map_err(said)?;
        let segments = found.iter().map(|found| (found.id, Arc::clone(&found.open))).collect();
        let shared = Arc::new(Shared {
            folder: settings.path.clone(),
            index: Index::new(),
            segments: RwLock::new(segments),
            queue: Queue::new(),
            meters: Meters::default(),
            loading: AtomicBool::new(true),
            warned: AtomicBool::new(false),
            outside,
            _lock: lock,
        });
        let reserve = settings.size.0 / NOTE_PART;
        let writer = writer::Writer::new(Arc::clone(&shared), settings.size.0, reserve, found);
        let mut threads = vec![start("cache-write", move || writer.run())?];
        let mut readers = Vec::new();
        for _ in 0..READERS {
            let (ask, asks) = mpsc::sync_channel(ASKS_MAX);
            let shared = Arc::clone(&shared);
            threads.push(start("cache-read", move || reader::run(&shared, &asks))?);
            readers.push(ask);
        }
        let note_max =
            usize::try_from(reserve / 2).unwrap_or(usize::MAX).saturating_sub(note::HEAD);
        Ok(Arc::new(Self { shared, readers, threads, note: Mutex::new(()), note_max }))
    }

    /// What has happened.
    pub fn meters(&self) -> &Meters {
        &self.shared.meters
    }

    /// Are there files from before that were not looked at yet?
    pub fn loading(&self) -> bool {
        self.shared.loading.load(Ordering::Acquire)
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.shared.index.len()
    }

    /// Is there no value?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits until everything asked of the tier before is in the files, and everything that was in
    /// them before is known. Blocks.
    pub fn settle(&self) {
        let (done, wait) = mpsc::sync_channel(1);
        self.shared.queue.push(Job::Settle(done));
        let _ = wait.recv(); // It ends too when the thread does.
    }

    /// Keeps a few bytes beside the entries, in the place of those before, for the next start. They
    /// are on the medium when this returns. Blocks.
    ///
    /// # Errors
    /// More than a 64th of the tier's size, or they cannot be written; then those before remain.
    pub fn save_note(&self, note: &[u8]) -> io::Result<()> {
        let _one = self.note.lock().unwrap_or_else(PoisonError::into_inner);
        if note.len() > self.note_max {
            let most = self.note_max;
            let why = format!("a note of {} bytes, at most {most} fit", note.len());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        note::save(&self.shared.folder, note)
    }

    /// The bytes kept by [`Disk::save_note`], of this process or one before; `None` when there are
    /// none, or they are not what was kept. Blocks.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn load_note(&self) -> io::Result<Option<Vec<u8>>> {
        let _one = self.note.lock().unwrap_or_else(PoisonError::into_inner);
        note::load(&self.shared.folder)
    }
}

impl Tier for Disk {
    fn get(&self, key: u128) -> oneshot::Receiver<Option<Vec<u8>>> {
        let (answer, receiver) = oneshot::channel();
        let meters = &self.shared.meters;
        meters.gets.fetch_add(1, Ordering::Relaxed);
        let Some(place) = self.shared.index.read(key, self.shared.now()) else {
            let _ = answer.send(None);
            return receiver;
        };
        let first = (key as usize) % self.readers.len();
        let mut ask = Ask { key, place, answer };
        for turn in 0..self.readers.len() {
            match self.readers[(first + turn) % self.readers.len()].try_send(ask) {
                Ok(()) => return receiver,
                Err(TrySendError::Full(back) | TrySendError::Disconnected(back)) => ask = back,
            }
        }
        meters.dropped.fetch_add(1, Ordering::Relaxed);
        receiver
    }

    fn put(&self, key: u128, value: Vec<u8>, keep: Duration) {
        let expiry = self.shared.now() + keep;
        if !self.shared.queue.push_put(key, value, expiry) {
            self.shared.meters.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn forget(&self, key: u128) {
        self.shared.index.hide(key);
        self.shared.queue.push_forget(key);
    }
}

impl Drop for Disk {
    /// Writes what is still waiting, and the list of the newest segment.
    fn drop(&mut self) {
        self.shared.queue.close();
        self.readers.clear();
        for thread in self.threads.drain(..) {
            let _ = thread.join(); // A panic there has been told already.
        }
    }
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("folder", &self.shared.folder).finish_non_exhaustive()
    }
}

impl Shared {
    fn now(&self) -> Wall {
        (self.outside.clock)()
    }

    fn segment(&self, id: u32) -> Option<Arc<Open>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Counts a failure of the file system, and tells of the first one.
    fn failed(&self, what: &str, error: &io::Error) {
        self.meters.failures.fetch_add(1, Ordering::Relaxed);
        if !self.warned.swap(true, Ordering::Relaxed) {
            (self.outside.warn)(&format!("{}: {what}: {error}", self.folder.display()));
        }
    }
}

/// Takes the folder for this process.
fn lock(folder: &Path) -> io::Result<File> {
    let path = folder.join("lock");
    let said =
        |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
    let opened = File::options().write(true).create(true).truncate(false).open(&path);
    let file = opened.map_err(said)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            let why = format!("{}: another process keeps its cache here", folder.display());
            Err(io::Error::new(io::ErrorKind::ResourceBusy, why))
        }
        Err(TryLockError::Error(error)) => Err(said(error)),
    }
}

fn start(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

/// A lock whose holder may have panicked: what it guards is whole between any two statements.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
