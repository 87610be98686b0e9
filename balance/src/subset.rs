//! Which servers of many one gateway uses: rendezvous hashing with the gateway's seed.
//!
//! Each gateway ranks the servers by a hash of its seed and the server, and uses the first `n` of each
//! priority (of all together, a failover tier could be left out). A server that comes or goes changes
//! one place in the subsets of few gateways, and over many gateways each server is used by about as
//! many as any other.

use std::collections::BTreeMap;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Of servers given by hash and priority, those in the subset, in their order.
pub(crate) fn choose(servers: &[(u64, u8)], n: usize, seed: u64) -> Vec<usize> {
    let mut tiers: BTreeMap<u8, Vec<(u64, usize)>> = BTreeMap::new();
    for (index, &(hash, priority)) in servers.iter().enumerate() {
        let rank = xxh3_64_with_seed(&hash.to_le_bytes(), seed);
        tiers.entry(priority).or_default().push((rank, index));
    }
    let mut chosen = Vec::new();
    for tier in tiers.values_mut() {
        tier.sort_unstable();
        chosen.extend(tier.iter().take(n.max(1)).map(|&(_, index)| index));
    }
    chosen.sort_unstable();
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_less_changes_one_place_at_most() {
        let servers: Vec<_> = (0_u64..100).map(|i| (i.wrapping_mul(0x9E37_79B9), 0)).collect();
        for seed in 0..20 {
            let before = choose(&servers, 10, seed);
            assert_eq!(before.len(), 10);
            let fewer: Vec<_> = servers[..99].to_vec();
            let after = choose(&fewer, 10, seed);
            let kept = after.iter().filter(|index| before.contains(index)).count();
            assert!(kept >= 9, "seed {seed}: {kept}");
        }
    }

    #[test]
    fn many_gateways_use_each_server_about_equally() {
        let servers: Vec<_> = (0_u64..50).map(|i| (i * 77, 0)).collect();
        let mut used = [0_u32; 50];
        for seed in 0..1_000 {
            for index in choose(&servers, 10, seed) {
                used[index] += 1;
            }
        }
        assert!(used.iter().all(|&n| (140..=260).contains(&n)), "{used:?}");
    }

    #[test]
    fn every_priority_has_its_own() {
        let servers: Vec<_> = (0_u64..20).map(|i| (i, u8::from(i >= 15))).collect();
        let chosen = choose(&servers, 3, 0);
        assert_eq!(chosen.iter().filter(|&&index| index >= 15).count(), 3);
        assert_eq!(chosen.len(), 6);
    }
}
