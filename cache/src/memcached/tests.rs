//! What servers and prefixes do to keys. Values against real servers are in `shared::tests`.

use super::*;

#[test]
fn a_server_that_goes_takes_no_others_keys() {
    let seeds = [1, 2, 3, 4].map(|n: u64| xxh3_64(&n.to_le_bytes()));
    let best = |seeds: &[u64], key: &str| {
        *seeds.iter().max_by_key(|seed| xxh3_64_with_seed(key.as_bytes(), **seed)).unwrap()
    };
    let mut moved = 0;
    for n in 0..1_000 {
        let key = format!("ff:{n}");
        let (before, after) = (best(&seeds, &key), best(&seeds[1..], &key));
        assert!(before == seeds[0] || before == after);
        moved += u32::from(before != after);
    }
    assert!((150..350).contains(&moved), "{moved}");
}

#[test]
fn a_prefix_is_purged_by_its_host() {
    let host = Aim::Host(crate::stamps::hash_host("shop.test"));
    assert_eq!(widen(&Aim::Prefix(b"shop.test/items/".to_vec())), host);
    assert_eq!(widen(&Aim::Prefix(b"shop.te".to_vec())), Aim::All);
    assert_eq!(widen(&Aim::Url(1)), Aim::Url(1));
}

#[test]
fn prefixes_that_cannot_stand_in_a_key_are_hashed() {
    assert_eq!(clean("ff"), "ff");
    for odd in ["a b", "a\r\nflush_all", &"x".repeat(200)] {
        assert_eq!(clean(odd).len(), 16, "{odd}");
    }
}
