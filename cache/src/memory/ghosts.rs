//! What is remembered of entries that left: how often they were asked for, and how long ago they went.
//!
//! Eight bytes each, in a table of fixed size; a bucket's oldest makes way. A ghost is known by 32 bits of
//! its key: mistaking one for another gives a stranger some credit, once in a billion times.

/// Bytes of the limit for each ghost: 1.6 % of it go to the table.
const LIMIT_EACH: usize = 512;
const COUNT_MAX: usize = 1 << 24;
/// Ghosts in a bucket, half a cache line.
const WAYS: usize = 4;
/// A frequency is kept in so many parts of one.
const PARTS: f32 = 4.0;
/// Departures are counted within 23 bits.
const TURN: u32 = (1 << 23) - 1;

/// Of an entry that left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ghost {
    /// What it had when it left.
    pub(super) frequency: f32,
    /// Was it asked for while it was here?
    pub(super) used: bool,
    /// Departures since.
    pub(super) age: usize,
}

/// Entries that left.
#[derive(Debug)]
pub(super) struct Ghosts {
    /// From the top: 32 bits of key, 8 of frequency, 1 of use, 23 of departure. 0 is nobody.
    slots: Box<[u64]>,
    departures: u32,
}

impl Ghosts {
    pub(super) fn new(limit: usize) -> Self {
        let count = (limit / LIMIT_EACH).clamp(16 * WAYS, COUNT_MAX).next_power_of_two();
        Self { slots: vec![0; count].into(), departures: 0 }
    }

    pub(super) fn put(&mut self, key: u128, frequency: f32, used: bool) {
        self.departures = (self.departures + 1) & TURN;
        let now = self.departures;
        #[expect(clippy::cast_sign_loss, reason = "frequencies are positive; the cast saturates")]
        let parts = (frequency * PARTS) as u8;
        let (name, bucket) = self.bucket(key);
        let oldest = bucket.iter_mut().max_by_key(|slot| match **slot {
            0 => u32::MAX,
            slot => age(slot, now),
        });
        if let Some(slot) = oldest {
            *slot = name | u64::from(parts) << 24 | u64::from(used) << 23 | u64::from(now);
        }
    }

    /// Takes one out that left at most so many departures ago.
    pub(super) fn take(&mut self, key: u128, age_max: usize) -> Option<Ghost> {
        let now = self.departures;
        let (name, bucket) = self.bucket(key);
        let slot = bucket.iter_mut().find(|slot| **slot != 0 && (**slot ^ name) >> 32 == 0)?;
        let found = std::mem::take(slot);
        let age = age(found, now) as usize;
        (age <= age_max).then(|| Ghost {
            frequency: f32::from((found >> 24) as u8) / PARTS,
            used: found >> 23 & 1 == 1,
            age,
        })
    }

    /// The key's bits in their place, and where it may be.
    fn bucket(&mut self, key: u128) -> (u64, &mut [u64]) {
        let name = (key >> 64) as u64;
        let at = (name ^ key as u64) as usize & (self.slots.len() - 1) & !(WAYS - 1);
        (name << 32, &mut self.slots[at..at + WAYS])
    }
}

fn age(slot: u64, now: u32) -> u32 {
    now.wrapping_sub(slot as u32) & TURN
}
