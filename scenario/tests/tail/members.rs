//! Servers that come, go, weigh more than others or are farther away.

use crate::figures::{Figure, at_least, at_most, check, shown};
use crate::{MANY, SEEDS, machine, ms, rate, s, seconds};
use scenario::world::{Clients, Machine, Mood, World};
use std::time::Duration;

/// A tenth server joins nine at 60 % load.
fn joining(seed: u64) -> Vec<Figure> {
    let mut figures = Vec::new();
    for (name, cold) in [("warm", 1.0), ("cold", 5.0)] {
        let mut machines = vec![machine(); 10];
        let clients = Clients::steady(rate(&machines[1..], 0.6));
        machines[0] = machines[0].clone().but(s(10)..s(15), Mood::Slow(cold));
        let mut world = World::new(machines, clients, s(60));
        world.known = vec![(s(0), (1..10).collect()), (s(10), (0..10).collect())];
        let report = world.run(seed);
        let before = report.latency(&(s(3)..s(10)), 99.0);
        let after = seconds(10..20).map(|second| report.latency(&second, 99.0));
        let worst = after.fold(0.0, f64::max) / before;
        figures.push(at_most(format!("worst p99 of a second, {name}, of that before"), worst, 2.0));
        let first = report.share(&(s(10)..s(11)), 0) * 10.0;
        figures.push(at_most(format!("share in its first second, {name}"), first, 1.0));
        let last = report.share(&(s(30)..s(60)), 0) * 10.0;
        figures.push(at_least(format!("share after 20 s, {name}"), last, 0.8));
    }
    figures
}

#[test]
fn a_new_server_starts_slowly() {
    check("a new server starts slowly", SEEDS / 2, joining);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn a_new_server_starts_slowly_a_thousand_times() {
    check("a new server starts slowly", MANY, joining);
}

/// An eleventh server comes and goes 10,000 times a minute; one of the ten others is slow.
fn changing(seed: u64) -> Vec<Figure> {
    let mut machines = vec![machine(); 11];
    let clients = Clients::steady(rate(&machines[1..], 0.6));
    machines[0] = machines[0].clone().but(s(0)..s(100), Mood::Slow(5.0));
    let mut world = World::new(machines, clients, s(15));
    world.known = (0..2_500).map(|n| (ms(6) * n, (0..10 + n as usize % 2).collect())).collect();
    let report = world.run(seed);
    let later = s(3)..s(15);
    vec![
        at_most("share of the slow one, %", report.share(&later, 0) * 100.0, 2.0),
        shown("share of the one that comes and goes, %", report.share(&later, 10) * 100.0),
        shown("p99, ms", report.latency(&later, 99.0)),
    ]
}

#[test]
fn what_was_learned_outlives_changes() {
    check("what was learned outlives changes", SEEDS / 2, changing);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn what_was_learned_outlives_changes_a_thousand_times() {
    check("what was learned outlives changes", MANY, changing);
}

/// Six servers of three sizes, their weights as their sizes.
fn weighing(seed: u64) -> Vec<Figure> {
    let sized = |size: usize| Machine {
        workers: 4 * size,
        weight: u32::try_from(size).expect("a small size"),
        ..machine()
    };
    let machines: Vec<Machine> = [1, 2, 3, 1, 2, 3].map(sized).to_vec();
    let clients = Clients::steady(rate(&machines, 0.6));
    let report = World::new(machines, clients, s(20)).run(seed);
    let share = |m: usize| report.share(&(s(3)..s(20)), m) + report.share(&(s(3)..s(20)), m + 3);
    let mut figures = vec![shown("p99, ms", report.latency(&(s(3)..s(20)), 99.0))];
    for (index, size) in [1.0, 2.0, 3.0].into_iter().enumerate() {
        let of_fair = share(index) / (size / 6.0);
        figures.push(at_least(format!("share of weight {size}, of the fair"), of_fair, 0.8));
        figures.push(at_most(format!("share of weight {size}, of the fair"), of_fair, 1.2));
    }
    figures
}

#[test]
fn servers_are_asked_by_their_weight() {
    check("servers are asked by their weight", SEEDS, weighing);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn servers_are_asked_by_their_weight_a_thousand_times() {
    check("servers are asked by their weight", MANY, weighing);
}

/// Three servers here and three 30 ms away; all are needed at twice the load of one zone.
fn zones(seed: u64) -> Vec<Figure> {
    let placed =
        |zone: &str, rtt: Duration| Machine { zone: Some(zone.to_owned()), rtt, ..machine() };
    let mut machines = vec![placed("here", Duration::ZERO); 3];
    machines.extend(vec![placed("there", ms(30)); 3]);
    let run = |load: f64| {
        let clients = Clients::steady(rate(&machines[..3], load));
        let world = World::new(machines.clone(), clients, s(20));
        world.with(|settings| settings.balance.zone = Some("here".to_owned())).run(seed)
    };
    let here = |report: &scenario::world::Report, window| {
        (0..3).map(|m| report.share(window, m)).sum::<f64>()
    };
    let (calm, busy) = (run(0.3), run(1.3));
    let later = s(5)..s(20);
    vec![
        // Of two chosen at random, both are far away once in five times.
        at_least("share of the near zone at 30 % of its load", here(&calm, &later), 0.7),
        shown("share of the near zone at 130 % of its load", here(&busy, &later)),
        shown("p99 at 30 %, ms", calm.latency(&later, 99.0)),
        at_most("p99 at 130 %, ms", busy.latency(&later, 99.0), 200.0),
    ]
}

#[test]
fn the_near_zone_is_asked_until_it_is_full() {
    check("the near zone is asked until it is full", SEEDS, zones);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn the_near_zone_is_asked_until_it_is_full_a_thousand_times() {
    check("the near zone is asked until it is full", MANY, zones);
}
