//! Entries held in memory, within a bound of bytes, for all threads of the data plane.
//!
//! A [`Memory`] is a table cut into [`SHARDS`], each under a lock of its own, and one ledger that
//! says who leaves next ([`policy`]). A hit reads one shard and at most bumps a counter that
//! saturates; it never meets the ledger. Whatever changes something takes the ledger first and then
//! a shard, so writers are one behind the other: a write follows a fetch, which costs far more,
//! and in exchange the bound is exact, a large object finds room wherever it is, and
//! eviction sees all entries at once. No thread, no timer, no clock.
//!
//! What must always hold, whenever the ledger is free: every seat has its node and every node its
//! seat; `bytes` is the sum of their costs; it is never above the limit, not even in between.
//!
//! The locks are the standard library's: a read is one compare-and-swap and one subtraction on a
//! line that only users of this shard share, which leaves `parking_lot` nothing to save, and nothing
//! here waits for long. A closure that panics leaves nothing half done, so poison is ignored.

mod ghosts;
mod policy;
#[cfg(test)]
mod tests;

use base::ByteSize;
use policy::{Node, Policy};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Parts of the table: enough that two cores seldom meet, and that a visit to one is short.
pub const SHARDS: usize = 256;

/// The longest block of memory that a value should be made of.
///
/// Bodies in one block each leave holes that no other body fits: resident were 1.5 to 1.7 times the
/// limit, and blocks of 16 KiB still made it 1.3. In blocks of at most 8 KiB, which all come from the
/// same small pages of the allocator, it is 1.1 (mimalloc 3.3, `bench/run memory`).
pub const PIECE: usize = 8192;

/// Bytes that an entry costs beside its value: its seat in the table at the usual load (50), its node
/// (48), its part of the ghosts (16), and what its allocations leave unused of pages. The unused ends
/// of blocks are 1/16 on top of the value. `bench/run memory` measured both.
const SEAT: usize = 208;

/// Hits that a seat counts between two visits of the policy; further ones write nothing.
const HITS_MAX: u8 = 15;

/// Entries that a shrinking limit evicts before it lets others at the ledger.
const SHRINK_STEP: usize = 64;

/// What a value weighs.
pub trait Weigh {
    /// Bytes of the value with all that it owns.
    fn bytes(&self) -> usize;
}

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change<V> {
    /// All stays as it is.
    Keep,
    /// This is its value from now on.
    Put(V),
    /// It has none any more.
    Remove,
}

/// Values under keys, within a bound of bytes.
#[derive(Debug)]
pub struct Memory<V> {
    shards: Box<[Shard<V>]>,
    ledger: Mutex<Policy>,
    /// The ledger's sum, and its limit, for whoever only wants to look.
    bytes: AtomicUsize,
    limit: AtomicUsize,
    object_max: AtomicUsize,
    evictions: AtomicU64,
    rejected: AtomicU64,
}

/// A part of the table, on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct Shard<V>(RwLock<Table<V>>);

type Table<V> = HashMap<u128, Seat<V>, BuildHasherDefault<Itself>>;

/// A value and what the table knows about it.
#[derive(Debug)]
struct Seat<V> {
    value: V,
    node: Node,
    hits: AtomicU8,
}

/// Bytes that a value of so many bytes takes of the limit, all overhead counted.
pub fn cost(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 16).saturating_add(SEAT)
}

impl<V: Clone + Weigh> Memory<V> {
    /// An empty memory. Values above `object_max` bytes are refused.
    pub fn new(limit: ByteSize, object_max: usize) -> Self {
        let limit = whole(limit);
        Self {
            shards: (0..SHARDS).map(|_| Shard(RwLock::default())).collect(),
            ledger: Mutex::new(Policy::new(limit)),
            bytes: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
            object_max: AtomicUsize::new(object_max),
            evictions: AtomicU64::new(0),
            rejected: AtomicU64::new(0),
        }
    }

    /// The value of a key, and a mark that it was asked for.
    pub fn get(&self, key: u128) -> Option<V> {
        let table = self.shard(key).read();
        let seat = table.get(&key)?;
        // A lost increment between two threads is no harm; a write that could be spared is.
        let hits = seat.hits.load(Relaxed);
        if hits < HITS_MAX {
            seat.hits.store(hits + 1, Relaxed);
        }
        Some(seat.value.clone())
    }

    /// Decides on a key by its present value; nobody else changes it meanwhile.
    ///
    /// `with` must be short and must not change this memory: all writers wait for it. A value that is
    /// refused (above `object_max`, or worth less than all it would push out) is counted, and leaves
    /// the key without a value: what was there is what the caller wanted replaced.
    pub fn update(&self, key: u128, with: impl FnOnce(Option<&V>) -> Change<V>) {
        let mut gone = Vec::new(); // dropped when the locks are free
        let mut ledger = self.ledger();
        let (node, change) = {
            let table = self.shard(key).read();
            let seat = table.get(&key);
            (seat.map(|seat| seat.node), with(seat.map(|seat| &seat.value)))
        };
        match change {
            Change::Keep => {}
            Change::Remove => gone.extend(self.take(&mut ledger, key)),
            Change::Put(value) => match node {
                Some(node) => self.replace(&mut ledger, key, node, value, &mut gone),
                None => self.insert(&mut ledger, key, value, &mut gone),
            },
        }
        self.publish(&ledger);
        drop(ledger);
    }

    /// Takes a key out; its value, if it had one.
    pub fn remove(&self, key: u128) -> Option<V> {
        let mut ledger = self.ledger();
        let value = self.take(&mut ledger, key);
        self.publish(&ledger);
        drop(ledger);
        value
    }

    /// Sets another limit; what no longer fits is evicted before this returns.
    pub fn set_limit(&self, limit: ByteSize) {
        let limit = whole(limit);
        self.ledger().set_limit(limit);
        self.limit.store(limit, Relaxed);
        loop {
            let mut gone = Vec::new();
            let mut ledger = self.ledger();
            let limit = ledger.limit();
            while ledger.bytes() > limit && gone.len() < SHRINK_STEP {
                gone.extend(self.evict(&mut ledger, None));
            }
            let fits = ledger.bytes() <= limit;
            self.publish(&ledger);
            drop(ledger);
            if fits {
                return;
            }
        }
    }

    /// Takes the dead out of one shard, `shard % SHARDS`; how many there were.
    ///
    /// For housekeeping in steps: hits go on meanwhile, and writers wait for one entry at a time,
    /// or for `dead` to look at the shard once.
    pub fn sweep(&self, shard: usize, mut dead: impl FnMut(&V) -> bool) -> usize {
        let keys: Vec<u128> = {
            let table = self.shards[shard % SHARDS].read();
            table.iter().filter(|(_, seat)| dead(&seat.value)).map(|(key, _)| *key).collect()
        };
        let mut count = 0;
        for key in keys {
            // It may have been replaced since.
            self.update(key, |value| match value {
                Some(value) if dead(value) => {
                    count += 1;
                    Change::Remove
                }
                _ => Change::Keep,
            });
        }
        count
    }

    /// Takes everything out.
    pub fn clear(&self) {
        for shard in 0..SHARDS {
            self.sweep(shard, |_| true);
        }
    }

    /// Bytes in use, all overhead counted; never above the limit.
    pub fn bytes(&self) -> usize {
        self.bytes.load(Relaxed)
    }

    /// The largest value from now on.
    pub fn set_object_max(&self, object_max: usize) {
        self.object_max.store(object_max, Relaxed);
    }

    /// Bytes that may be in use.
    pub fn limit(&self) -> usize {
        self.limit.load(Relaxed)
    }

    /// Keys that have a value.
    pub fn len(&self) -> usize {
        self.ledger().len()
    }

    /// Has no key a value?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Values that had to leave for others, since the start.
    pub fn evictions(&self) -> u64 {
        self.evictions.load(Relaxed)
    }

    /// Values that were refused, since the start.
    pub fn rejected(&self) -> u64 {
        self.rejected.load(Relaxed)
    }

    fn insert(&self, ledger: &mut Policy, key: u128, value: V, gone: &mut Vec<V>) {
        let size = value.bytes();
        let cost = cost(size);
        if size > self.object_max.load(Relaxed) || cost > ledger.limit() {
            return self.reject(value, gone);
        }
        let worth = ledger.estimate(key, cost);
        while ledger.bytes() + cost > ledger.limit() {
            if !ledger.deserves(&worth) {
                ledger.remember(key, &worth);
                return self.reject(value, gone);
            }
            gone.extend(self.evict(ledger, None));
        }
        let node = ledger.admit(key, cost, worth);
        self.shard(key).write().insert(key, Seat { value, node, hits: AtomicU8::new(0) });
    }

    fn replace(&self, ledger: &mut Policy, key: u128, node: Node, value: V, gone: &mut Vec<V>) {
        let size = value.bytes();
        let cost = cost(size);
        if size > self.object_max.load(Relaxed) || cost > ledger.limit() {
            gone.extend(self.take(ledger, key));
            return self.reject(value, gone);
        }
        // The others make room: it is alone in the end, and alone it fits.
        while ledger.bytes() - ledger.cost(node) + cost > ledger.limit() {
            gone.extend(self.evict(ledger, Some(node)));
        }
        ledger.recost(node, cost);
        if let Some(seat) = self.shard(key).write().get_mut(&key) {
            gone.push(std::mem::replace(&mut seat.value, value));
        }
    }

    fn reject(&self, value: V, gone: &mut Vec<V>) {
        gone.push(value);
        self.rejected.fetch_add(1, Relaxed);
    }

    /// Takes out the entry that is worth least, other than `spared`; asked-for ones get another turn.
    fn evict(&self, ledger: &mut Policy, spared: Option<Node>) -> Option<V> {
        let mut turns = 0;
        loop {
            let (node, key) = ledger.last()?;
            let shard = self.shard(key);
            let hits = shard.read().get(&key).map_or(0, |seat| seat.hits.swap(0, Relaxed));
            turns += 1;
            if Some(node) == spared || (hits > 0 && turns < policy::TURNS_MAX) {
                ledger.renew(node, hits);
                continue;
            }
            ledger.evict(node);
            self.evictions.fetch_add(1, Relaxed);
            return shard.write().remove(&key).map(|seat| seat.value);
        }
    }

    fn take(&self, ledger: &mut Policy, key: u128) -> Option<V> {
        let seat = self.shard(key).write().remove(&key)?;
        ledger.forget(seat.node);
        Some(seat.value)
    }

    /// While the ledger is held.
    fn publish(&self, ledger: &Policy) {
        self.bytes.store(ledger.bytes(), Relaxed);
    }

    fn ledger(&self) -> MutexGuard<'_, Policy> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// By bits that the table within does not use.
    fn shard(&self, key: u128) -> &Shard<V> {
        &self.shards[(key >> 96) as usize % SHARDS]
    }
}

impl<V> Shard<V> {
    fn read(&self) -> RwLockReadGuard<'_, Table<V>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Table<V>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whole(limit: ByteSize) -> usize {
    usize::try_from(limit.0).unwrap_or(usize::MAX)
}

/// A key is a seeded hash already: its low half serves as it is.
#[derive(Debug, Default)]
struct Itself(u64);

impl Hasher for Itself {
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("keys are u128");
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
