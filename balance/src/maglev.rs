//! Maglev's table: which server a hash belongs to (Eisenbud et al., NSDI 2016).
//!
//! Each server fills slots in an order of its own, in turns, so that all have about equally many (by
//! weight), and when one comes or goes few others change. A pure function of names and weights, not of
//! their order: every gateway has the same table.

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Slots of a table of fewer than `SLOTS / SLOTS_EACH` servers: the paper's small table, a prime.
const SLOTS: usize = 65_537;
/// Slots for each server at least, in larger pools.
const SLOTS_EACH: usize = 10;
const OFFSET_SEED: u64 = 1;
const SKIP_SEED: u64 = 2;
const FREE: u32 = u32::MAX;

/// Which server a hash belongs to.
#[derive(Debug)]
pub(crate) struct Table {
    slots: Vec<u32>,
}

/// One server's way through the slots.
struct Walk {
    index: u32,
    next: usize,
    skip: usize,
    /// Its share of a turn, by its weight: the heaviest has one slot each turn.
    pace: f64,
    due: f64,
}

impl Table {
    /// The table of servers given by hash and weight.
    pub(crate) fn new(servers: &[(u64, u32)]) -> Self {
        let size = size(servers.len());
        let heaviest = servers.iter().map(|&(_, weight)| weight).max().unwrap_or(1).max(1);
        let mut order: Vec<usize> = (0..servers.len()).collect();
        order.sort_unstable_by_key(|&index| servers[index]);
        let walk = |&index: &usize| {
            let (hash, weight) = servers[index];
            let hashed = |seed| xxh3_64_with_seed(&hash.to_le_bytes(), seed);
            Walk {
                index: index as u32,
                next: (hashed(OFFSET_SEED) % size as u64) as usize,
                skip: (hashed(SKIP_SEED) % (size as u64 - 1)) as usize + 1,
                pace: f64::from(weight.max(1)) / f64::from(heaviest),
                due: 0.0,
            }
        };
        let mut walks: Vec<Walk> = order.iter().map(walk).collect();
        Self { slots: fill(&mut walks, size) }
    }

    /// The server that `hash` belongs to, by its place among the servers; `None` if there are none.
    pub(crate) fn get(&self, hash: u64) -> Option<usize> {
        let slot = self.slots.get((hash % self.slots.len().max(1) as u64) as usize)?;
        Some(*slot as usize)
    }

    #[cfg(test)]
    pub(crate) fn slots(&self) -> &[u32] {
        &self.slots
    }
}

fn fill(walks: &mut [Walk], size: usize) -> Vec<u32> {
    if walks.is_empty() {
        return Vec::new();
    }
    let mut slots = vec![FREE; size];
    let mut filled = 0;
    loop {
        for walk in walks.iter_mut() {
            walk.due += walk.pace;
            if walk.due < 1.0 {
                continue;
            }
            walk.due -= 1.0;
            while slots[walk.next] != FREE {
                walk.next = step(walk, size);
            }
            slots[walk.next] = walk.index;
            walk.next = step(walk, size);
            filled += 1;
            if filled == size {
                return slots;
            }
        }
    }
}

fn step(walk: &Walk, size: usize) -> usize {
    let next = walk.next + walk.skip;
    if next >= size { next - size } else { next }
}

/// A prime, since a walk must reach every slot.
fn size(servers: usize) -> usize {
    if servers * SLOTS_EACH < SLOTS {
        return SLOTS;
    }
    let least = servers * SLOTS_EACH;
    // There is one between any number and its double (Bertrand's postulate).
    (least..least * 2).find(|&n| prime(n)).unwrap_or(SLOTS)
}

fn prime(n: usize) -> bool {
    n > 1 && (2..=n.isqrt()).all(|divisor| !n.is_multiple_of(divisor))
}

#[cfg(test)]
mod tests;
