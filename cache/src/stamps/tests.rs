//! Purges as numbers, against a list of all purges.

use super::*;
use proptest::prelude::*;

const URL: u128 = 77;

fn entry(tags: &[u64]) -> Marks<'_> {
    Marks { url: URL, host: hash_host("shop.test"), place: b"shop.test/items/1", tags }
}

fn check(scope: Scope, soft: bool, expected: Standing) {
    let stamps = Stamps::new();
    let tags = [hash_tag("items"), hash_tag("item-1")];
    let before = stamps.now();
    let epoch = stamps.epoch();
    let scopes = vec![scope];
    stamps.purge(&Purge { scopes, soft });
    assert_ne!(stamps.epoch(), epoch);
    assert_eq!(stamps.standing(&entry(&tags), before), expected);
    let after = stamps.now();
    assert_eq!(stamps.standing(&entry(&tags), after), Standing::Good, "fetched later");
}

#[test]
fn every_scope_hits_what_it_names_and_no_more() {
    for (soft, hit) in [(false, Standing::Hard), (true, Standing::Soft)] {
        check(Scope::All, soft, hit);
        check(Scope::Url(URL), soft, hit);
        check(Scope::Url(URL + 1), soft, Standing::Good);
        check(Scope::Tag("item-1".into()), soft, hit);
        check(Scope::Tag("item-2".into()), soft, Standing::Good);
        check(Scope::Host("SHOP.test".into()), soft, hit);
        check(Scope::Host("test".into()), soft, Standing::Good);
        check(Scope::Prefix(b"shop.test/items/".to_vec()), soft, hit);
        check(Scope::Prefix(b"shop.test/items/2".to_vec()), soft, Standing::Good);
    }
}

#[test]
fn a_soft_purge_does_not_hide_a_hard_one() {
    let stamps = Stamps::new();
    let fetched = stamps.now();
    let scopes = vec![Scope::Url(URL)];
    stamps.purge(&Purge { scopes: scopes.clone(), soft: false });
    let between = stamps.now();
    stamps.purge(&Purge { scopes, soft: true });
    assert_eq!(stamps.standing(&entry(&[]), fetched), Standing::Hard);
    assert_eq!(stamps.standing(&entry(&[]), between), Standing::Soft);
}

#[test]
fn purges_of_the_deployment_hit_what_was_fetched_while_cut_off() {
    let stamps = Stamps::new();
    stamps.advance(7);
    stamps.purge(&Purge { scopes: vec![Scope::Url(1)], soft: false });
    let fetched = stamps.now();
    assert_eq!(stamps.ceiling(), 8);
    stamps.take(8, &Aims { aims: vec![Aim::Url(URL)], soft: false });
    assert_eq!(stamps.standing(&entry(&[]), fetched), Standing::Hard);
    assert_eq!(stamps.now(), 8 << TICK_BITS);
    // One that was numbered before and is heard late hits all the same.
    let fetched = stamps.now();
    stamps.take(8, &Aims { aims: vec![Aim::Url(URL)], soft: false });
    assert_eq!(stamps.standing(&entry(&[]), fetched), Standing::Hard);
}

#[test]
fn what_is_folded_counts_as_purged() {
    let stamps = Stamps::with_max(1_024);
    let tags = [hash_tag("first")];
    let old = stamps.now();
    stamps.purge(&Purge { scopes: vec![Scope::Tag("first".into())], soft: false });
    for n in 0..10_000 {
        stamps.purge(&Purge { scopes: vec![Scope::Tag(format!("{n}"))], soft: false });
    }
    assert_eq!(stamps.standing(&entry(&tags), old), Standing::Hard);
    assert_eq!(stamps.standing(&entry(&tags), stamps.now()), Standing::Good);
    let held: usize = stamps.shards.iter().map(|shard| read(shard).marks.len()).sum();
    assert!(held <= 1_024, "{held}");
}

#[test]
fn folded_prefixes_count_as_purged() {
    let stamps = Stamps::new();
    let old = stamps.now();
    for n in 0..3 * PREFIXES_MAX {
        let prefix = format!("shop.test/{n}/").into_bytes();
        stamps.purge(&Purge { scopes: vec![Scope::Prefix(prefix)], soft: false });
    }
    assert!(read(&stamps.prefixes).list.len() <= PREFIXES_MAX);
    assert_eq!(stamps.standing(&entry(&[]), old), Standing::Hard);
    assert_eq!(stamps.standing(&entry(&[]), stamps.now()), Standing::Good);
}

/// I2: the time of a purge does not depend on what it hits, since entries are not asked.
#[test]
fn a_purge_takes_microseconds_with_a_million_marks() {
    let stamps = Stamps::new();
    let purge = |tag: String| Purge { scopes: vec![Scope::Tag(tag)], soft: false };
    for n in 0..1_000_000 {
        stamps.purge(&purge(format!("tag-{n}")));
    }
    let purges: Vec<_> = (0..1_000).map(|n| purge(format!("other-{n}"))).collect();
    let began = base::Moment::now();
    for purge in &purges {
        stamps.purge(purge);
    }
    let mean = base::Moment::now().since(began) / 1_000;
    println!("a purge with a million marks held: {mean:?} on average, folding included");
    assert!(mean < std::time::Duration::from_millis(1), "{mean:?}");
}

proptest! {
    /// Against a list of everything that was ever purged: never better than the truth, and with
    /// room for all marks exactly the truth.
    #[test]
    fn stamps_agree_with_a_list(purges in proptest::collection::vec((0_u128..20, any::<bool>()), 1..80),
                                url in 0_u128..20, at in 0_usize..80, small in any::<bool>()) {
        let stamps = Stamps::with_max(if small { 1 } else { MARKS_MAX });
        let mut stamp = 0;
        for (n, &(url, soft)) in purges.iter().enumerate() {
            if n == at { stamp = stamps.now(); }
            stamps.purge(&Purge { scopes: vec![Scope::Url(url << 56)], soft });
        }
        let from = if at < purges.len() { at } else { 0 };
        let truth = purges[from..].iter().filter(|(purged, _)| *purged == url)
            .map(|&(_, soft)| if soft { Standing::Soft } else { Standing::Hard })
            .max().unwrap_or(Standing::Good);
        let marks = Marks { url: url << 56, host: 0, place: b"", tags: &[] };
        let said = stamps.standing(&marks, stamp);
        prop_assert!(said >= truth);
        if !small { prop_assert_eq!(said, truth); }
    }
}
