//! Where each key is, in memory.
//!
//! A key is known by 64 of its bits: an entry takes 25 bytes of a table that is between seven
//! sixteenths and seven eighths full, and since the tables are of unequal share, no two of them
//! double at once: together it is 40 bytes an entry, whatever their number. The record itself has the whole key, so two keys that share the bits cost
//! each other misses and nothing else. While files from before are still being looked at, newest
//! first, what is known goes before what is found, and what was forgotten stays as a mark.

use super::locked;
use base::Wall;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

const SHARDS: usize = 64;
/// Keys are dealt out to so many seats, and shards have 11 to 22 of them.
const SEATS: usize = 1024;
/// Of [`Place::segment`]: read since it was written.
const READ: u32 = 1 << 31;
/// Segments are numbered below this.
pub(super) const SEGMENTS_END: u32 = READ - 1;
/// In the place of a segment: known to be nowhere.
const NOWHERE: u32 = SEGMENTS_END;

/// Where a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The segment, and [`READ`].
    segment: u32,
    /// Of the record, in units of [`super::segment::UNIT`].
    pub(super) offset: u32,
    /// Of the value, in bytes.
    pub(super) length: u32,
    /// In seconds since 1970, rounded up: the record knows better.
    expiry: u32,
}

impl Place {
    pub(super) fn new(segment: u32, offset: u32, length: u32, expiry: Wall) -> Self {
        let seconds = u32::try_from(expiry.0.div_ceil(1_000)).unwrap_or(u32::MAX);
        Self { segment, offset, length, expiry: seconds }
    }

    pub(super) fn segment(self) -> u32 {
        self.segment & !READ
    }

    fn is_at(self, segment: u32, offset: u32) -> bool {
        self.segment() == segment && self.offset == offset
    }
}

/// What stands for a key that is known to be nowhere.
const MARK: Place = Place { segment: NOWHERE, offset: 0, length: 0, expiry: 0 };

type Table = HashMap<u64, Place, BuildHasherDefault<Mixed>>;

/// Where each key is.
pub(super) struct Index {
    shards: Vec<Mutex<Table>>,
    /// The shard of each seat: the last is twice as large as the first.
    seats: Vec<u8>,
    marking: AtomicBool,
}

impl Index {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        #[expect(clippy::cast_sign_loss, reason = "the logarithm of a number above one")]
        let shard = |seat: usize| {
            let part = (seat as f64 / SEATS as f64 + 1.0).log2();
            ((part * SHARDS as f64) as usize).min(SHARDS - 1) as u8
        };
        Self { shards, seats: (0..SEATS).map(shard).collect(), marking: AtomicBool::new(true) }
    }

    fn shard(&self, short: u64) -> &Mutex<Table> {
        &self.shards[usize::from(self.seats[(mixed(short) >> 32) as usize % SEATS])]
    }

    /// Where the value of a key is that has not expired; it is then known to have been read.
    pub(super) fn read(&self, key: u128, now: Wall) -> Option<Place> {
        let short = short(key);
        let mut shard = locked(self.shard(short));
        let place = shard.get_mut(&short)?;
        if place.segment() == NOWHERE || u64::from(place.expiry) <= now.seconds() {
            return None;
        }
        place.segment |= READ;
        Some(*place)
    }

    /// Puts a value where it was just written.
    pub(super) fn put(&self, key: u128, place: Place) {
        let short = short(key);
        locked(self.shard(short)).insert(short, place);
    }

    /// Puts a value that was found from before, or `None` for a mark, unless something newer is known.
    pub(super) fn find(&self, key: u128, place: Option<Place>) {
        let short = short(key);
        locked(self.shard(short)).entry(short).or_insert(place.unwrap_or(MARK));
    }

    /// Makes a key unknown.
    pub(super) fn hide(&self, key: u128) {
        let short = short(key);
        self.out(&mut locked(self.shard(short)), short);
    }

    /// Takes an entry out; where older records of it may still be found, a mark stays.
    fn out(&self, shard: &mut Table, short: u64) {
        if self.marking.load(Ordering::Acquire) {
            shard.insert(short, MARK);
        } else {
            shard.remove(&short);
        }
    }

    /// Takes a record out if it is the one in force. `Some` says whether it had been read.
    pub(super) fn take(&self, key: u128, segment: u32, offset: u32) -> Option<bool> {
        let short = short(key);
        let mut shard = locked(self.shard(short));
        let place = *shard.get(&short).filter(|place| place.is_at(segment, offset))?;
        self.out(&mut shard, short);
        Some(place.segment & READ != 0)
    }

    /// Takes the marks out: all files have been looked at.
    pub(super) fn unmark(&self) {
        self.marking.store(false, Ordering::Release);
        for shard in &self.shards {
            locked(shard).retain(|_, place| place.segment() != NOWHERE);
        }
    }

    /// Makes all keys unknown.
    pub(super) fn clear(&self) {
        for shard in &self.shards {
            locked(shard).clear();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| locked(shard).len()).sum()
    }

    /// Bytes of its tables, near enough.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let slots = |shard: &Mutex<Table>| (locked(shard).capacity() * 8 / 7).next_power_of_two();
        self.shards.iter().map(slots).sum::<usize>() * (size_of::<(u64, Place)>() + 1)
    }
}

/// The bits that a key is known by.
fn short(key: u128) -> u64 {
    (key >> 64) as u64 ^ key as u64
}

/// Keys are hashes already, but tests have small ones.
fn mixed(short: u64) -> u64 {
    short.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The hash of a short key.
#[derive(Default)]
struct Mixed(u64);

impl Hasher for Mixed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, short: u64) {
        self.0 = mixed(self.0 ^ short);
    }
}
