//! The promise on a disk that crashes: core, book and a store of what is over, in simulated time.
//!
//! A *world* has clients, a service, a broker and a store, all drawn from one seed, and lives many
//! times: each life ends where the disk crashes, fails, or the process is killed. After each life
//! and all along it is looked whether everything is there that must be; at the end of the world all
//! that was seen from outside goes before the checker of [`crate::history`].
//!
//! `OFFLOAD_CRASHES=100000 cargo test --release -p offload core::tests` for so many crashes;
//! `OFFLOAD_SEED` repeats one world.

mod clients;
mod found;
mod model;
mod world;

use world::World;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn a_crash_breaks_no_promise() {
    let most = number("OFFLOAD_CRASHES").unwrap_or(3_000);
    let only = number("OFFLOAD_SEED");
    let mut sums = model::Sums::default();
    for seed in only.map_or(0..u64::MAX, |seed| seed..seed + 1) {
        let mut world = World::new(seed);
        for _ in 0..25 {
            world.live();
        }
        sums.add(&world.end());
        if sums.crashes >= most {
            break;
        }
    }
    println!("{sums:?}");
    assert!(only.is_some() || sums.least() > 0, "{sums:?}");
}
