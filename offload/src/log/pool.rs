//! Segments that wait for their use, and how they come into it.
//!
//! A file is a *spare* first: made and filled with zeros, or what a freed segment was. It becomes
//! *ready* when it has its head and its number, all of that durable; *current* when the log rolls into
//! it; *sealed* when the log rolls on; *freed* when nobody needs it any more, and then a spare again.
//! At most one is ready: numbers are given in the order of use.

use super::disk::Disk;
use super::errors::{LogError, is_full, remedy};
use super::format::{Head, SECTOR};
use super::{Options, hint};
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::sync::{
    Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard,
    RwLockWriteGuard,
};

/// Zeros are written in pieces of so many bytes.
const PIECE: usize = 1 << 20;

/// A file with a head.
#[derive(Debug)]
pub(super) struct Segment<D: Disk> {
    /// What the head says.
    pub(super) head: Head,
    /// The file.
    pub(super) file: Arc<D::File>,
}

/// A file that may become a segment.
#[derive(Debug)]
pub(super) struct Spare<D: Disk> {
    /// Its name.
    pub(super) name: String,
    /// The file.
    pub(super) file: Arc<D::File>,
}

/// What waits.
#[derive(Debug)]
pub(super) struct State<D: Disk> {
    /// The next segment.
    pub(super) ready: Option<Arc<Segment<D>>>,
    /// Files that may become segments.
    pub(super) spares: Vec<Spare<D>>,
    /// How many are becoming one just now: 0 or 1.
    pub(super) becoming: usize,
    /// Segments that nobody needs, oldest first.
    pub(super) freed: VecDeque<Arc<Segment<D>>>,
    /// Segments that want a hint, oldest first.
    pub(super) sealed: VecDeque<Arc<Segment<D>>>,
    /// All files together, those included that are being made.
    pub(super) files: u64,
    /// The number of the segment that is made ready next.
    pub(super) next: u32,
    /// The number of the next spare.
    pub(super) next_spare: u32,
    /// Is there something for the keeper to do?
    pub(super) wake: bool,
    /// Is the log gone?
    pub(super) closed: bool,
}

impl<D: Disk> State<D> {
    /// Nothing waits; these are the last numbers that are taken.
    pub(super) fn new(segment: Option<u32>, spare: Option<u32>) -> Self {
        let following = |last: Option<u32>, first| last.map_or(first, |last| last.wrapping_add(1));
        Self {
            ready: None,
            spares: Vec::new(),
            becoming: 0,
            freed: VecDeque::new(),
            sealed: VecDeque::new(),
            files: 0,
            next: following(segment, 1),
            next_spare: following(spare, 0),
            wake: true,
            closed: false,
        }
    }

    /// Segments and spares that wait.
    pub(super) fn available(&self) -> usize {
        self.spares.len() + self.becoming + usize::from(self.ready.is_some())
    }
}

/// Segments that hold records, by number.
pub(super) type Live<D> = BTreeMap<u32, Arc<Segment<D>>>;

/// What log, keeper and readers share.
#[derive(Debug)]
pub(super) struct Shared<D: Disk> {
    /// The disk.
    pub(super) disk: D,
    /// What keeps others out.
    #[expect(dead_code, reason = "it is held, not read")]
    pub(super) lock: D::Lock,
    /// What the log was told.
    pub(super) options: Options,
    /// Segments that hold records, by number.
    pub(super) live: RwLock<Live<D>>,
    /// What waits. Held for moments, never while the disk works.
    pub(super) state: Mutex<State<D>>,
    /// Wakes the keeper.
    pub(super) work: Condvar,
    /// Held while a spare becomes a segment.
    pub(super) making: Mutex<()>,
    /// Held by the one keeper that works.
    pub(super) keeping: Mutex<()>,
    /// Why nothing is written any more.
    pub(super) broken: OnceLock<String>,
}

/// The name of a segment.
pub(super) fn segment_name(number: u32) -> String {
    format!("{number:010}.log")
}

/// The name of a hint.
pub(super) fn hint_name(number: u32) -> String {
    format!("{number:010}.hint")
}

/// The name of a spare.
pub(super) fn spare_name(number: u32) -> String {
    format!("{number:010}.spare")
}

/// The name of a hint that is being written.
pub(super) fn new_name(number: u32) -> String {
    format!("{number:010}.new")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Whoever panicked with it left it between two whole states: each change is one statement.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<D: Disk> Shared<D> {
    /// What waits.
    pub(super) fn state(&self) -> MutexGuard<'_, State<D>> {
        locked(&self.state)
    }

    /// Tells the keeper that there is something to do.
    pub(super) fn wake(&self) {
        self.state().wake = true;
        self.work.notify_all();
    }

    /// Segments that hold records, by number.
    pub(super) fn live(&self) -> RwLockReadGuard<'_, Live<D>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, for the log, which alone changes them.
    pub(super) fn live_mut(&self) -> RwLockWriteGuard<'_, Live<D>> {
        self.live.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// # Errors
    /// Nothing is written any more.
    pub(super) fn sound(&self) -> Result<(), LogError> {
        match self.broken.get() {
            None => Ok(()),
            Some(why) => Err(LogError::Broken { why: why.clone() }),
        }
    }

    /// Nothing is written any more, for this reason.
    pub(super) fn break_off(&self, doing: &str, name: &str, error: &io::Error) -> LogError {
        let path = self.disk.path().join(name);
        let why = format!("cannot {doing} {}: {error}; {}", path.display(), remedy(error));
        let why = self.broken.get_or_init(|| why).clone();
        LogError::Broken { why }
    }

    fn full(&self, why: impl Into<String>) -> LogError {
        LogError::Full { path: self.disk.path().to_path_buf(), why: why.into() }
    }

    fn fail(&self, doing: &'static str, error: io::Error) -> LogError {
        LogError::of(self.disk.path(), doing, error)
    }

    /// Most files.
    fn files_max(&self) -> u64 {
        let least = u64::from(self.options.reserve) + u64::from(self.options.spares) + 3;
        (self.options.bytes_max / u64::from(self.options.segment_bytes)).max(least)
    }

    fn spares_wanted(&self) -> usize {
        (self.options.reserve + self.options.spares).max(1) as usize
    }

    /// The next segment to write into, if so many are left then. Waits for the disk only if none is
    /// ready.
    ///
    /// # Errors
    /// [`LogError::Full`], or the disk has failed.
    pub(super) fn next_segment(&self, left: usize) -> Result<Arc<Segment<D>>, LogError> {
        let mut state = self.state();
        let enough = state.available() > left;
        let ready = if enough { state.ready.take() } else { None };
        drop(state);
        self.wake();
        if let Some(ready) = ready {
            return Ok(ready);
        }
        // What makes room may take one file more than there may be: or a full log stayed full.
        if !enough && !self.add_spare(u64::from(left == 0))? {
            return Err(self.full("the log has its size (`offload.bytes_max`)"));
        }
        self.make_ready()?;
        self.state().ready.take().ok_or_else(|| self.full("no segment is free"))
    }

    /// Makes a spare a segment, if none is ready. Answers whether it did.
    ///
    /// # Errors
    /// [`LogError::Full`], or the disk has failed.
    pub(super) fn make_ready(&self) -> Result<bool, LogError> {
        let _making = locked(&self.making);
        let mut state = self.state();
        if state.ready.is_some() {
            return Ok(false);
        }
        let number = state.next;
        let following = number.checked_add(1).ok_or_else(|| self.full("all numbers are used"))?;
        let Some(spare) = state.spares.pop() else { return Ok(false) };
        state.becoming = 1;
        drop(state);
        let made = self.put_head(&spare, number);
        let mut state = self.state();
        state.becoming = 0;
        match made {
            Ok(segment) => {
                state.ready = Some(Arc::new(segment));
                state.next = following;
                Ok(true)
            }
            Err(error) => {
                state.spares.push(spare);
                Err(error)
            }
        }
    }

    /// Both heads first, then the name: what has a segment's name has its head.
    fn put_head(&self, spare: &Spare<D>, number: u32) -> Result<Segment<D>, LogError> {
        let (disk, bytes) = (&self.disk, self.options.segment_bytes);
        let head = Head { segment: number, bytes, salt: disk.salt() };
        let sector = head.sector();
        let written = disk
            .write_at(&spare.file, &sector, 0)
            .and_then(|()| disk.write_at(&spare.file, &sector, u64::from(bytes - SECTOR)));
        match written {
            Err(error) if is_full(&error) => return Err(self.fail("write a segment", error)),
            Err(error) => return Err(self.break_off("write", &spare.name, &error)),
            Ok(()) => {}
        }
        let name = segment_name(number);
        disk.sync_data(&spare.file).map_err(|error| self.break_off("sync", &spare.name, &error))?;
        disk.rename(&spare.name, &name).map_err(|e| self.break_off("rename", &spare.name, &e))?;
        disk.sync_dir().map_err(|error| self.break_off("sync the directory of", &name, &error))?;
        Ok(Segment { head, file: Arc::clone(&spare.file) })
    }

    /// Makes a file, unless there are as many as may be and so many more. Answers whether it did.
    ///
    /// # Errors
    /// [`LogError::Full`], or what the disk says.
    pub(super) fn add_spare(&self, more: u64) -> Result<bool, LogError> {
        self.sound()?;
        let mut state = self.state();
        if state.files >= self.files_max() + more {
            return Ok(false);
        }
        state.files += 1;
        let name = spare_name(state.next_spare);
        state.next_spare = state.next_spare.wrapping_add(1);
        drop(state);
        let made = self.zeros(&name);
        let mut state = self.state();
        match made {
            Ok(file) => {
                state.spares.push(Spare { name, file: Arc::new(file) });
                Ok(true)
            }
            Err(error) => {
                state.files -= 1;
                drop(state);
                // It may not have come into being; what is left of it goes at the next start.
                let _ = self.disk.remove(&name);
                Err(error)
            }
        }
    }

    fn zeros(&self, name: &str) -> Result<D::File, LogError> {
        const DOING: &str = "make a segment";
        let bytes = u64::from(self.options.segment_bytes);
        let left = self.disk.free_space().map_err(|error| self.fail(DOING, error))?;
        if left < bytes {
            return Err(self.full(format!("a segment needs {bytes} bytes, the disk has {left}")));
        }
        let fill = |file: &D::File| {
            let zeros = vec![0; PIECE.min(bytes as usize)];
            let mut at = 0;
            while at < bytes {
                let piece = &zeros[..zeros.len().min((bytes - at) as usize)];
                self.disk.write_at(file, piece, at)?;
                at += piece.len() as u64;
            }
            self.disk.sync_data(file)
        };
        let file = self.disk.create(name, bytes).map_err(|error| self.fail(DOING, error))?;
        fill(&file).map_err(|error| self.fail(DOING, error))?;
        Ok(file)
    }

    /// May another spare be wanted?
    pub(super) fn wants_spare(&self) -> bool {
        let state = self.state();
        state.spares.len() < self.spares_wanted()
            || (state.ready.is_none() && state.spares.is_empty())
    }

    /// Makes the oldest freed segment a spare, or removes its file where there are enough. Answers
    /// whether there was one. Its name is gone for good before the next one's turn.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn recycle(&self) -> Result<bool, LogError> {
        const DOING: &str = "use a freed segment again";
        let mut state = self.state();
        let Some(segment) = state.freed.front().map(Arc::clone) else { return Ok(false) };
        let keep = segment.head.bytes == self.options.segment_bytes
            && state.spares.len() < self.spares_wanted();
        let spare = spare_name(state.next_spare);
        state.next_spare = state.next_spare.wrapping_add(1);
        drop(state);
        let name = segment_name(segment.head.segment);
        self.forget(&hint_name(segment.head.segment)).map_err(|error| self.fail(DOING, error))?;
        let gone = if keep { self.disk.rename(&name, &spare) } else { self.forget(&name) };
        gone.map_err(|error| self.fail(DOING, error))?;
        self.disk.sync_dir().map_err(|e| self.break_off("sync the directory of", &name, &e))?;
        let mut state = self.state();
        state.freed.pop_front();
        if keep {
            state.spares.push(Spare { name: spare, file: Arc::clone(&segment.file) });
        } else {
            state.files -= 1;
        }
        Ok(true)
    }

    /// Removes a file, if it is there.
    pub(super) fn forget(&self, name: &str) -> io::Result<()> {
        match self.disk.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }

    /// Writes the hint of the oldest segment that wants one. Answers whether one wanted it.
    ///
    /// # Errors
    /// What the disk says; the segment goes without.
    pub(super) fn hint(&self) -> Result<bool, LogError> {
        let mut state = self.state();
        // What was freed before its turn came wants none.
        let freed = self.live().first_key_value().map_or(u32::MAX, |(oldest, _)| *oldest);
        state.sealed.retain(|sealed| sealed.head.segment >= freed);
        if state.sealed.len() <= self.options.unhinted as usize {
            return Ok(false);
        }
        let Some(segment) = state.sealed.pop_front() else { return Ok(false) };
        drop(state);
        let number = segment.head.segment;
        let written = self.write_hint(&segment);
        if let Err(error) = written {
            let _ = self.forget(&new_name(number));
            return Err(self.fail("write a hint", error));
        }
        Ok(true)
    }

    fn write_hint(&self, segment: &Segment<D>) -> io::Result<()> {
        let (disk, number) = (&self.disk, segment.head.segment);
        let mut bytes = vec![0; segment.head.bytes as usize];
        disk.read_at(&segment.file, &mut bytes, 0)?;
        let Some(hint) = hint::write(&bytes, &segment.head) else { return Ok(()) };
        drop(bytes);
        let file = disk.create(&new_name(number), hint.len() as u64)?;
        disk.write_at(&file, &hint, 0)?;
        disk.sync_data(&file)?;
        disk.rename(&new_name(number), &hint_name(number))?;
        disk.sync_dir()
    }
}
