//! Several gateways before one pool, none of which knows of the others.

use crate::figures::{Figure, at_most, check, shown};
use crate::{MANY, SEEDS, greatest_share, machine, rate, s, seconds};
use scenario::world::{Clients, Mood, Report, World};

fn three(mut world: World) -> World {
    world.gateways = vec![world.gateways[0].clone(); 3];
    world
}

fn greatest(report: &Report, seconds: impl Iterator<Item = scenario::world::Window>) -> f64 {
    seconds.map(|second| greatest_share(report, &second, 10)).fold(0.0, f64::max) * 10.0
}

fn herd(seed: u64) -> Vec<Figure> {
    let mut machines = vec![machine(); 10];
    let clients = Clients::steady(rate(&machines, 0.6));
    let alike = three(World::new(machines.clone(), clients.clone(), s(15))).run(seed);
    machines[0] = machines[0].clone().but(s(5)..s(15), Mood::Slow(5.0));
    let slow = three(World::new(machines.clone(), clients.clone(), s(45))).run(seed);
    machines[0].spells[0].mood = Mood::Refuses;
    let gone = three(World::new(machines, clients, s(45))).run(seed);
    vec![
        at_most("greatest share in any second, alike", greatest(&alike, seconds(0..15)), 2.0),
        at_most("greatest share, one was slow", greatest(&slow, seconds(0..45)), 2.0),
        at_most("greatest share, one was away", greatest(&gone, seconds(0..45)), 2.0),
        shown("p99 of the first second, ms", alike.latency(&(s(0)..s(1)), 99.0)),
        shown("p99 of the rest, ms", alike.latency(&(s(1)..s(15)), 99.0)),
    ]
}

#[test]
fn gateways_are_no_herd() {
    check("gateways are no herd", SEEDS / 2, herd);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn gateways_are_no_herd_a_thousand_times() {
    check("gateways are no herd", MANY, herd);
}
