//! What holds for a store in memory, whatever is asked of it.

use super::{Change, Memory, SHARDS, Weigh, cost};
use base::ByteSize;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A value that says whose it is and how heavy.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Body {
    of: u64,
    bytes: usize,
}

impl Weigh for Body {
    fn bytes(&self) -> usize {
        self.bytes
    }
}

type Store = Memory<Arc<Body>>;

impl Weigh for Arc<Body> {
    fn bytes(&self) -> usize {
        self.as_ref().bytes()
    }
}

fn store(limit: usize, object_max: usize) -> Store {
    Memory::new(ByteSize(limit as u64), object_max)
}

fn key(name: u64) -> u128 {
    let mut rng = fastrand::Rng::with_seed(name);
    rng.u128(..)
}

fn put(store: &Store, name: u64, bytes: usize) {
    store.update(key(name), |_| Change::Put(Arc::new(Body { of: name, bytes })));
}

/// Seats and nodes match, the sum is the sum, and it is within the limit.
fn check(store: &Store) {
    let ledger = store.ledger();
    let (mut sum, mut count) = (0, 0);
    for shard in &store.shards {
        for (key, seat) in shard.read().iter() {
            assert_eq!(ledger.cost(seat.node), cost(seat.value.bytes()));
            assert_eq!(*key, super::tests::key(seat.value.of));
            sum += cost(seat.value.bytes());
            count += 1;
        }
    }
    assert_eq!(ledger.bytes(), sum);
    assert_eq!(store.bytes(), sum);
    assert_eq!(ledger.len(), count);
    assert!(sum <= ledger.limit(), "{sum} bytes within {}", ledger.limit());
    ledger.check();
}

#[derive(Clone, Debug)]
enum Act {
    Get(u64),
    Put(u64, usize),
    Keep(u64),
    Remove(u64),
    RemoveByUpdate(u64),
    Limit(usize),
    SweepEven(usize),
    Clear,
}

fn act() -> impl Strategy<Value = Act> {
    let name = 0..60_u64;
    prop_oneof![
        8 => name.clone().prop_map(Act::Get),
        10 => (name.clone(), prop_oneof![0..3_000_usize, 0..40_000_usize])
            .prop_map(|(name, bytes)| Act::Put(name, bytes)),
        1 => name.clone().prop_map(Act::Keep),
        2 => name.clone().prop_map(Act::Remove),
        1 => name.prop_map(Act::RemoveByUpdate),
        1 => (0..80_000_usize).prop_map(Act::Limit),
        1 => (0..SHARDS).prop_map(Act::SweepEven),
        1 => Just(Act::Clear),
    ]
}

proptest! {
    #[test]
    fn it_is_a_map_that_forgets(acts in prop::collection::vec(act(), 1..300)) {
        const OBJECT_MAX: usize = 30_000;
        let store = store(60_000, OBJECT_MAX);
        let mut model: HashMap<u64, usize> = HashMap::new();
        for act in acts {
            let (evictions, rejected) = (store.evictions(), store.rejected());
            match act {
                Act::Get(name) => match (store.get(key(name)), model.get(&name)) {
                    (Some(found), Some(bytes)) => {
                        prop_assert_eq!(found.as_ref(), &Body { of: name, bytes: *bytes });
                    }
                    (Some(found), None) => prop_assert!(false, "{found:?} out of nowhere"),
                    (None, _) => { model.remove(&name); }
                },
                Act::Put(name, bytes) => {
                    put(&store, name, bytes);
                    let there = store.get(key(name)).map(|body| body.bytes);
                    if store.rejected() == rejected {
                        prop_assert_eq!(there, Some(bytes));
                        prop_assert!(bytes <= OBJECT_MAX);
                        model.insert(name, bytes);
                    } else {
                        prop_assert_eq!(there, None);
                        model.remove(&name);
                    }
                }
                Act::Keep(name) => store.update(key(name), |_| Change::Keep),
                Act::Remove(name) => {
                    let before = store.get(key(name));
                    prop_assert_eq!(store.remove(key(name)), before);
                    prop_assert_eq!(store.get(key(name)), None);
                    model.remove(&name);
                }
                Act::RemoveByUpdate(name) => {
                    store.update(key(name), |_| Change::Remove);
                    prop_assert_eq!(store.get(key(name)), None);
                    model.remove(&name);
                }
                Act::Limit(limit) => {
                    store.set_limit(ByteSize(limit as u64));
                    prop_assert_eq!(store.limit(), limit);
                }
                Act::SweepEven(shard) => {
                    let before = store.len();
                    let dead = store.sweep(shard, |body| body.of % 2 == 0);
                    prop_assert_eq!(store.len(), before - dead);
                }
                Act::Clear => {
                    store.clear();
                    prop_assert!(store.is_empty());
                    prop_assert_eq!(store.bytes(), 0);
                    model.clear();
                }
            }
            check(&store);
            // What is missing was swept, evicted or refused, and the evicted were counted.
            let missing = model.keys().filter(|name| store.get(key(**name)).is_none()).count();
            let explained = matches!(act, Act::SweepEven(_));
            prop_assert!(explained || missing as u64 <= store.evictions() - evictions);
            model.retain(|name, _| store.get(key(*name)).is_some());
        }
    }
}

#[test]
fn what_exceeds_the_object_limit_is_refused_and_counted() {
    let store = store(1 << 20, 1_000);
    put(&store, 1, 1_000);
    put(&store, 2, 1_001);
    assert!(store.get(key(1)).is_some());
    assert_eq!(store.get(key(2)), None);
    assert_eq!((store.rejected(), store.len()), (1, 1));
    // A refused replacement does not leave the old one behind.
    put(&store, 1, 1_001);
    assert_eq!(store.get(key(1)), None);
    assert_eq!((store.rejected(), store.bytes()), (2, 0));
}

#[test]
fn one_object_may_have_all_the_room() {
    let store = store(1 << 20, usize::MAX);
    put(&store, 1, 900_000);
    assert!(store.get(key(1)).is_some());
    check(&store);
    put(&store, 2, 1 << 20);
    assert_eq!(store.rejected(), 1);
}

#[test]
fn nothing_is_kept_where_nothing_may_be() {
    let store = store(0, usize::MAX);
    put(&store, 1, 0);
    assert_eq!((store.len(), store.rejected(), store.bytes()), (0, 1, 0));
}

#[test]
fn a_value_that_grows_pushes_others_out_but_never_itself() {
    let store = store(20_000, usize::MAX);
    for name in 0..10 {
        put(&store, name, 1_000);
    }
    put(&store, 0, 15_000);
    assert_eq!(store.get(key(0)).map(|body| body.bytes), Some(15_000));
    assert!(store.evictions() >= 6);
    check(&store);
    put(&store, 0, 10);
    check(&store);
}

#[test]
fn a_smaller_limit_evicts_at_once_and_what_is_used_last() {
    let store = store(1 << 20, usize::MAX);
    for name in 0..500 {
        put(&store, name, 1_000);
    }
    for name in 0..50 {
        store.get(key(name));
    }
    store.set_limit(ByteSize(100_000));
    check(&store);
    let used = (0..50).filter(|name| store.get(key(*name)).is_some()).count();
    assert!(used == 50 && store.len() < 100, "{used} of 50 used, {} in all", store.len());
    store.set_limit(ByteSize(0));
    assert!(store.is_empty());
}

#[test]
fn an_update_sees_what_is_there() {
    let store = store(1 << 20, usize::MAX);
    store.update(key(1), |value| {
        assert_eq!(value, None);
        Change::Keep
    });
    put(&store, 1, 7);
    store.update(key(1), |value| {
        assert_eq!(value.map(|body| body.bytes), Some(7));
        Change::Put(Arc::new(Body { of: 1, bytes: 8 }))
    });
    assert_eq!(store.remove(key(1)).map(|body| body.bytes), Some(8));
    check(&store);
}

#[test]
fn a_panic_in_an_update_leaves_the_store_usable() {
    let store = store(1 << 20, usize::MAX);
    put(&store, 1, 7);
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        store.update(key(1), |_| panic!("on purpose"));
    }));
    assert!(panic.is_err() && store.get(key(1)).is_some());
    put(&store, 2, 7);
    check(&store);
}

#[test]
fn four_threads_may_do_what_they_like() {
    let store = store(400_000, 20_000);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, stop) = (&store, &stop);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(thread);
                for _ in 0..if cfg!(miri) { 200 } else { 30_000 } {
                    let name = rng.u64(0..400);
                    match rng.u32(0..10) {
                        0..5 => {
                            let found = store.get(key(name));
                            assert!(found.is_none_or(|body| body.of == name));
                        }
                        5..8 => put(store, name, rng.usize(0..10_000)),
                        8 => drop(store.remove(key(name))),
                        _ => drop(store.sweep(rng.usize(..), |body| body.of % 7 == 0)),
                    }
                }
                stop.store(true, Relaxed);
            });
        }
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                assert!(store.bytes() <= 400_000);
                std::thread::yield_now();
            }
        });
    });
    check(&store);
}

#[test]
fn updates_of_one_key_are_one_behind_the_other() {
    const EACH: usize = 5_000;
    let store = store(1 << 20, usize::MAX);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..EACH {
                    store.update(key(1), |value| {
                        let bytes = value.map_or(0, |body| body.bytes) + 1;
                        Change::Put(Arc::new(Body { of: 1, bytes }))
                    });
                }
            });
        }
    });
    assert_eq!(store.get(key(1)).map(|body| body.bytes), Some(4 * EACH));
}

/// The share of popular requests that are hits, when a share of all are for things never asked again.
fn hits_with(scan: f64) -> f64 {
    let store = store(10_000_000, usize::MAX); // about 930 of 20,000 objects
    let mut rng = fastrand::Rng::with_seed(5);
    let (mut asked, mut hits, mut fresh) = (0_u32, 0_u32, 1 << 32);
    while asked < 200_000 {
        if rng.f64() < scan {
            fresh += 1;
            put(&store, fresh, 10_000);
            continue;
        }
        // Zipf 1.0 over 20,000, by inverting the harmonic sum.
        #[expect(clippy::cast_sign_loss, reason = "a power is positive")]
        let name = 20_000_f64.powf(rng.f64()) as u64;
        asked += 1;
        if store.get(key(name)).is_some() {
            hits += 1;
        } else {
            put(&store, name, 10_000);
        }
    }
    f64::from(hits) / f64::from(asked)
}

#[test]
fn a_scan_of_half_the_requests_costs_at_most_a_twentieth_of_the_hits() {
    let (calm, scanned) = (hits_with(0.0), hits_with(0.5));
    assert!(scanned >= 0.95 * calm, "{scanned:.3} with a scan, {calm:.3} without");
}

#[test]
fn one_large_object_does_not_flush_many_small_ones() {
    let store = store(1 << 20, usize::MAX);
    for name in 0..700 {
        put(&store, name, 1_000);
    }
    for name in 0..700 {
        store.get(key(name));
    }
    put(&store, 1_000, 900_000);
    let left = (0..700).filter(|name| store.get(key(*name)).is_some()).count();
    assert!(left > 600, "{left} of 700 left");
}
