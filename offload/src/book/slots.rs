//! Where jobs lie in memory: slots of 88 bytes in chunks that never move, found by id through small
//! tables. Nothing is allocated for one job, and no growth copies what is there.
//!
//! What only some jobs have (an order, a debounce, a claim, an origin) is an [`Extra`], in chunks of
//! its own.

use super::Place;
use crate::job::{JobId, Reason};
use base::Wall;
use hashbrown::HashTable;
use std::mem::size_of;
use std::ops::{Index, IndexMut};

/// No slot, no extra, no lane.
pub(super) const NONE: u32 = u32::MAX;

const CHUNK: usize = 4096;

/// Things of one size, named by number; a number is used again when what it named is gone.
pub(super) struct Pool<T> {
    chunks: Vec<Box<[T]>>,
    free: Vec<u32>,
    /// Numbers that were ever used.
    used: u32,
}

impl<T: Default> Pool<T> {
    pub(super) fn new() -> Self {
        Self { chunks: Vec::new(), free: Vec::new(), used: 0 }
    }

    /// Puts it somewhere.
    ///
    /// # Panics
    /// There are four billion.
    pub(super) fn put(&mut self, value: T) -> u32 {
        let at = self.free.pop().unwrap_or_else(|| {
            if self.used as usize == self.chunks.len() * CHUNK {
                self.chunks.push((0..CHUNK).map(|_| T::default()).collect());
            }
            self.used += 1;
            assert!(self.used < NONE - 8, "the settings bound the number of jobs");
            self.used - 1
        });
        self[at] = value;
        at
    }

    pub(super) fn remove(&mut self, at: u32) {
        self[at] = T::default();
        self.free.push(at);
    }

    /// One more than the highest number ever used.
    pub(super) fn end(&self) -> u32 {
        self.used
    }

    pub(super) fn len(&self) -> usize {
        self.used as usize - self.free.len()
    }

    pub(super) fn footprint(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>()
            + self.chunks.capacity() * size_of::<Box<[T]>>()
            + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> Index<u32> for Pool<T> {
    type Output = T;
    fn index(&self, at: u32) -> &T {
        &self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }
}

impl<T> IndexMut<u32> for Pool<T> {
    fn index_mut(&mut self, at: u32) -> &mut T {
        &mut self.chunks[at as usize / CHUNK][at as usize % CHUNK]
    }
}

/// How far a job is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is none in this slot.
    #[default]
    Free,
    Waiting,
    /// Its turn has come; nothing is written of it.
    Picked,
    Running,
    Handed,
}

impl Stage {
    /// Is it neither waiting nor gone?
    pub(super) fn is_out(self) -> bool {
        matches!(self, Self::Picked | Self::Running | Self::Handed)
    }
}

/// A job.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) id: JobId,
    /// Not before; with [`AT_ONCE`] when it was accepted, which is in no future.
    pub(super) due: Wall,
    /// Not after; 0: whenever.
    pub(super) expires: Wall,
    pub(super) place: Place,
    /// Its neighbours, by role: see `line`.
    pub(super) links: [Links; 3],
    pub(super) extra: u32,
    pub(super) queue: u16,
    pub(super) attempts: u16,
    pub(super) lost: u16,
    pub(super) status: u16,
    pub(super) priority: u8,
    pub(super) stage: Stage,
    pub(super) reason: Reason,
    pub(super) marks: u8,
}

/// It is a replay.
pub(super) const REPLAY: u8 = 1;
/// Somebody has been told, or will be, that it ends without a try.
pub(super) const ENDING: u8 = 2;
/// It finds out whether its service is back.
pub(super) const PROBE: u8 = 4;
/// Its `Accept` was written again while it was out; what follows says where it stands, not that
/// something began.
pub(super) const RESTATED: u8 = 8;
/// It was accepted to go at once.
pub(super) const AT_ONCE: u8 = 16;
/// Its pace counts it as running.
pub(super) const PACED: u8 = 32;

impl Default for Slot {
    fn default() -> Self {
        Self {
            id: JobId::NONE,
            due: Wall(0),
            expires: Wall(0),
            place: Place::default(),
            links: [Links::default(); 3],
            extra: NONE,
            queue: 0,
            attempts: 0,
            lost: 0,
            status: 0,
            priority: 0,
            stage: Stage::Free,
            reason: Reason::Delivered,
            marks: 0,
        }
    }
}

impl Slot {
    pub(super) fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// Is its time over?
    pub(super) fn is_over(&self, now: Wall) -> bool {
        self.expires > Wall(0) && self.expires < now
    }

    pub(super) fn mark(&mut self, mark: u8, on: bool) {
        self.marks = if on { self.marks | mark } else { self.marks & !mark };
    }
}

/// Its neighbours in a list, or its place in a heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Links {
    pub(super) prev: u32,
    pub(super) next: u32,
}

/// What only some jobs have.
#[derive(Debug)]
pub(super) struct Extra {
    /// Which of the lanes of orders.
    pub(super) lane: u32,
    /// Its neighbours in the lane.
    pub(super) links: Links,
    pub(super) debounce: u64,
    /// In two halves, since a `u128` would be aligned to 16.
    pub(super) claim: [u64; 2],
    pub(super) origin: JobId,
}

impl Default for Extra {
    fn default() -> Self {
        let links = Links::default();
        Self { lane: NONE, links, debounce: 0, claim: [0; 2], origin: JobId::NONE }
    }
}

/// Tables of one kind: many small ones, so that the growth of one holds nobody up for long.
const TABLES: usize = 64;

/// All jobs, by number and by id.
pub(super) struct Slots {
    pub(super) pool: Pool<Slot>,
    tables: Vec<HashTable<u32>>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { pool: Pool::new(), tables: (0..TABLES).map(|_| HashTable::new()).collect() }
    }

    pub(super) fn find(&self, id: JobId) -> Option<u32> {
        let hash = hash(id);
        self.tables[table(hash)].find(hash, |&at| self.pool[at].id == id).copied()
    }

    pub(super) fn put(&mut self, slot: Slot) -> u32 {
        let hash = self::hash(slot.id);
        let at = self.pool.put(slot);
        let pool = &self.pool;
        self.tables[table(hash)].insert_unique(hash, at, |&at| self::hash(pool[at].id));
        at
    }

    pub(super) fn remove(&mut self, at: u32) {
        let hash = hash(self.pool[at].id);
        if let Ok(entry) = self.tables[table(hash)].find_entry(hash, |&other| other == at) {
            entry.remove();
        }
        self.pool.remove(at);
    }

    /// Every job's number.
    pub(super) fn all(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.pool.end()).filter(|&at| self.pool[at].stage != Stage::Free)
    }

    pub(super) fn footprint(&self) -> usize {
        self.pool.footprint() + self.tables.iter().map(HashTable::allocation_size).sum::<usize>()
    }
}

impl Index<u32> for Slots {
    type Output = Slot;
    fn index(&self, at: u32) -> &Slot {
        &self.pool[at]
    }
}

impl IndexMut<u32> for Slots {
    fn index_mut(&mut self, at: u32) -> &mut Slot {
        &mut self.pool[at]
    }
}

/// Ids are made by gateways, not by clients: spreading is enough.
fn hash(id: JobId) -> u64 {
    let whole = u128::from_be_bytes(id.0);
    mix(whole as u64 ^ (whole >> 64) as u64)
}

/// Spreads a number that nobody chose to do harm.
pub(super) fn mix(number: u64) -> u64 {
    let wide = u128::from(number ^ 0x9e37_79b9_7f4a_7c15) * 0xa5a3_564e_27f8_8693;
    (wide >> 64) as u64 ^ wide as u64
}

fn table(hash: u64) -> usize {
    // The lowest bits place it within a table, the highest seven are its tag there.
    (hash >> 48) as usize % TABLES
}
