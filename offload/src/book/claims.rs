//! Idempotency claims: which request is which job, also when the job is over.

use super::slots::{Pool, mix};
use crate::job::JobId;
use base::Wall;
use hashbrown::HashTable;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem::size_of;

/// One claim; 56 bytes, and some 25 to find it.
#[derive(Debug, Default)]
pub(super) struct Claim {
    /// Halves of a `u128`, which would be aligned to 16.
    name: [u64; 2],
    print: [u64; 2],
    pub(super) id: JobId,
    pub(super) until: Wall,
}

impl Claim {
    pub(super) fn has_print(&self, print: u128) -> bool {
        self.print == halves(print)
    }
}

pub(super) struct Claims {
    pool: Pool<Claim>,
    table: HashTable<u32>,
    /// Those that end first; what no longer says what the claim says is passed over.
    ends: BinaryHeap<Reverse<(Wall, u32)>>,
}

impl Claims {
    pub(super) fn new() -> Self {
        Self { pool: Pool::new(), table: HashTable::new(), ends: BinaryHeap::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.pool.len()
    }

    fn find(&self, claim: u128) -> Option<u32> {
        let claim = halves(claim);
        self.table.find(hash(claim), |&at| self.pool[at].name == claim).copied()
    }

    /// Who holds it at `now`.
    pub(super) fn get(&self, claim: u128, now: Wall) -> Option<&Claim> {
        self.find(claim).map(|at| &self.pool[at]).filter(|held| held.until > now)
    }

    /// It is this job's from now on, whoever had it.
    pub(super) fn set(&mut self, claim: u128, print: u128, id: JobId, until: Wall) {
        let new = Claim { name: halves(claim), print: halves(print), id, until };
        let at = if let Some(at) = self.find(claim) {
            let is_new = self.pool[at].until != until;
            self.pool[at] = new;
            if !is_new {
                return;
            }
            at
        } else {
            let key = hash(new.name);
            let at = self.pool.put(new);
            self.table.insert_unique(key, at, |&at| hash(self.pool[at].name));
            at
        };
        self.ends.push(Reverse((until, at)));
        if self.ends.len() > 64 + 2 * self.pool.len() {
            self.ends.retain(|&Reverse((until, at))| self.pool[at].until == until);
        }
    }

    /// It is this job's, unless it is a later one's: for who reads what was written long ago.
    pub(super) fn learn(&mut self, claim: u128, print: u128, id: JobId, until: Wall) {
        if self.find(claim).is_none_or(|at| self.pool[at].id <= id) {
            self.set(claim, print, id, until);
        }
    }

    /// Nobody's, if it was this job's.
    pub(super) fn drop_of(&mut self, claim: u128, id: JobId) {
        if let Some(at) = self.find(claim).filter(|&at| self.pool[at].id == id) {
            self.remove(at);
        }
    }

    fn remove(&mut self, at: u32) {
        let key = hash(self.pool[at].name);
        if let Ok(entry) = self.table.find_entry(key, |&other| other == at) {
            entry.remove();
        }
        self.pool.remove(at);
    }

    /// Forgets those that hold no longer, at most so many.
    pub(super) fn forget(&mut self, now: Wall, most: usize) -> usize {
        let mut gone = 0;
        while gone < most {
            match self.ends.peek() {
                Some(&Reverse((until, at))) if until <= now => {
                    self.ends.pop();
                    // A number that was used again for a claim with the same end has two entries here:
                    // the second finds it gone.
                    if self.pool[at].until == until && self.pool[at].id != JobId::NONE {
                        self.remove(at);
                        gone += 1;
                    }
                }
                _ => break,
            }
        }
        gone
    }

    /// When the first ends.
    pub(super) fn next(&self) -> Option<Wall> {
        self.ends.peek().map(|&Reverse((until, _))| until)
    }

    pub(super) fn footprint(&self) -> usize {
        self.pool.footprint()
            + self.table.allocation_size()
            + self.ends.capacity() * size_of::<Reverse<(Wall, u32)>>()
    }
}

fn halves(number: u128) -> [u64; 2] {
    [number as u64, (number >> 64) as u64]
}

fn hash(claim: [u64; 2]) -> u64 {
    mix(claim[0] ^ claim[1].rotate_left(32))
}
