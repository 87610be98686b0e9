//! What holds for Maglev's table, whoever is in it.

use super::{SLOTS, Table, size};
use proptest::prelude::*;
use std::collections::HashMap;

fn servers(seed: u64, n: u64) -> Vec<(u64, u32)> {
    (0..n).map(|i| (xxhash_rust::xxh3::xxh3_64_with_seed(&i.to_le_bytes(), seed), 1)).collect()
}

fn counts(table: &Table) -> HashMap<u32, usize> {
    let mut counts = HashMap::new();
    for slot in table.slots() {
        *counts.entry(*slot).or_default() += 1;
    }
    counts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn all_have_about_equally_many_slots(seed: u64, n in 2_u64..40) {
        let counts = counts(&Table::new(&servers(seed, n)));
        let (most, least) = (counts.values().max().unwrap(), counts.values().min().unwrap());
        prop_assert_eq!(counts.len() as u64, n);
        prop_assert!(*most as f64 <= 1.05 * *least as f64, "{} {}", most, least);
    }

    #[test]
    fn few_hashes_move_when_one_leaves(seed: u64, n in 5_u64..40, gone in 0_usize..5) {
        let all = servers(seed, n);
        let mut fewer = all.clone();
        fewer.remove(gone);
        let (before, after) = (Table::new(&all), Table::new(&fewer));
        let moved = (0..SLOTS as u64)
            .filter(|&hash| {
                let before = all[before.get(hash).unwrap()];
                before != fewer[after.get(hash).unwrap()]
            })
            .count();
        // Those of the one that left must; about as many others do.
        let ideal = SLOTS as f64 / n as f64;
        prop_assert!((moved as f64) < 2.0 * ideal, "{} of {}", moved, ideal);
    }

    #[test]
    fn the_order_of_servers_does_not_matter(seed: u64, n in 2_u64..20, turn in 0_usize..20) {
        let here = servers(seed, n);
        let mut there = here.clone();
        there.rotate_left(turn % here.len());
        let (a, b) = (Table::new(&here), Table::new(&there));
        prop_assert!((0..5_000).all(|h| here[a.get(h).unwrap()] == there[b.get(h).unwrap()]));
    }
}

#[test]
fn slots_go_by_weight() {
    let mut all = servers(7, 3);
    (all[0].1, all[1].1, all[2].1) = (1, 2, 5);
    let counts = counts(&Table::new(&all));
    for (index, weight) in [(0, 1.0), (1, 2.0), (2, 5.0)] {
        let share = counts[&index] as f64 / SLOTS as f64;
        assert!((share / (weight / 8.0) - 1.0).abs() < 0.01, "{index}: {share}");
    }
}

#[test]
fn large_pools_have_larger_tables_and_none_has_none() {
    assert_eq!(size(6_000), SLOTS);
    assert_eq!(size(7_000), 70_001);
    assert_eq!(Table::new(&[]).get(5), None);
    assert_eq!(Table::new(&servers(1, 1)).get(5), Some(0));
}
