//! Eviction policies to compare with, written plainly from their papers for exactness, not for speed.
//!
//! All of them, ours included, see the same costs and the same limit. None refuses what fits.

pub mod lru;
pub mod s3_fifo;
pub mod tiny_lfu;

use base::ByteSize;
use cache::memory::{Change, Memory, Weigh};

/// A cache that is only asked whether it has something, and told its cost if not.
pub trait Rival {
    /// Is it a hit? If not, it is stored, if the policy likes.
    fn request(&mut self, key: u64, size: u32, cost: usize) -> bool;
}

/// Ours: the store of the gateway itself, with values that only claim to have a size.
pub struct Ours(Memory<Claim>);

#[derive(Clone, Copy, Debug)]
struct Claim(u32);

impl Weigh for Claim {
    fn bytes(&self) -> usize {
        self.0 as usize
    }
}

impl Ours {
    /// Within so many bytes.
    pub fn new(limit: usize) -> Self {
        Self(Memory::new(ByteSize(limit as u64), usize::MAX))
    }
}

impl Rival for Ours {
    fn request(&mut self, key: u64, size: u32, _: usize) -> bool {
        let key = spread(key);
        if self.0.get(key).is_some() {
            return true;
        }
        self.0.update(key, |_| Change::Put(Claim(size)));
        false
    }
}

/// A key as the gateway makes them: all 128 bits mixed.
pub fn spread(key: u64) -> u128 {
    u128::from(mix(key)) << 64 | u128::from(mix(key ^ 0x9e37_79b9_7f4a_7c15))
}

/// The finalizer of `SplitMix64` (Steele, Lea and Flood, 2014).
pub fn mix(key: u64) -> u64 {
    let key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}
