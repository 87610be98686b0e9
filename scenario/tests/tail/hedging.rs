//! Requests sent twice: where it pays, and where it must stop by itself.

use crate::figures::{Figure, at_least, at_most, check, shown};
use crate::{MANY, SEEDS, machine, ms, rate, s};
use base::Share;
use scenario::world::{Clients, Machine, Report, Stall, World};
use service::settings::{Hedge, LimitMode};

fn hedged(world: &World, percent: u32) -> World {
    world.clone().with(|settings| {
        settings.hedge = Some(Hedge { extra: Share::percent(percent) });
        // Retries and hedges share this one; nothing fails here.
        settings.retry.budget = Share::percent(percent.max(10));
    })
}

/// Two answers in a hundred come a second late; no server is short of workers.
fn stalls(seed: u64) -> Vec<Figure> {
    let stall = Some(Stall { share: 0.02, by: s(1), keeps_worker: false });
    let machines = vec![Machine { workers: 1_000, stall, ..machine() }; 10];
    let plain = World::new(machines, Clients::steady(2_400.0), s(30));
    let (without, with) = (plain.run(seed), hedged(&plain, 5).run(seed));
    let later = s(5)..s(30);
    let busy = World { clients: Clients::steady(10_000.0), time: s(7), ..plain.clone() };
    let busy = hedged(&busy, 5).run(seed);
    vec![
        shown("p99 without, ms", without.latency(&later, 99.0)),
        at_most("p99, ms", with.latency(&later, 99.0), 100.0),
        shown("p99.9, ms", with.latency(&later, 99.9)),
        shown(
            "p50 beside that without",
            with.latency(&later, 50.0) / without.latency(&later, 50.0),
        ),
        at_most("extra requests, %", with.extra(&later) * 100.0, 5.5),
        at_most("extra requests in all, %", with.extra(&(s(0)..s(30))) * 100.0, 5.5),
        shown("turned off", with.turned_off as f64),
        // Many in flight from the first moment on are no sign of a pool that is full.
        at_most("p99 at 10,000 a second, ms", busy.latency(&(s(5)..s(7)), 99.0), 100.0),
    ]
}

#[test]
fn hedging_cuts_off_stalls() {
    check("hedging cuts off stalls", SEEDS, stalls);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn hedging_cuts_off_stalls_a_thousand_times() {
    check("hedging cuts off stalls", MANY, stalls);
}

/// The same at 92 % load: what stalls keeps a worker for half a second, and no worker ever stops.
fn full(seed: u64) -> Vec<Figure> {
    let stall = Some(Stall { share: 0.02, by: ms(480), keeps_worker: true });
    let machines = vec![Machine { stall, ..machine() }; 10];
    let each = 20.0 + 0.02 * 480.0;
    let clients = Clients::steady(rate(&machines, 0.92) * 20.0 / each);
    let plain = World::new(machines, clients, s(60));
    let (early, later) = (s(5)..s(20), s(20)..s(60));
    let p50 = |report: &Report, window| report.latency(window, 50.0);
    let without = plain.run(seed);
    let mut figures = vec![
        shown("p50 without, ms", p50(&without, &later)),
        shown("p99 without, ms", without.latency(&later, 99.0)),
    ];
    let with = hedged(&plain, 5).run(seed);
    let beside = |window| p50(&with, window) / p50(&without, window);
    figures.push(at_most("p50 beside, 5 s to 20 s", beside(&early), 2.0));
    figures.push(at_most("p50 beside, 20 s to 60 s", beside(&later), 2.0));
    figures.push(shown("p99, ms", with.latency(&later, 99.0)));
    figures.push(at_most("extra requests, %", with.extra(&later) * 100.0, 5.5));
    figures.push(at_least("turned off", with.turned_off as f64, 1.0));
    let rash = hedged(&plain, 100).with(|settings| settings.limit.mode = LimitMode::Off).run(seed);
    figures.push(shown("p50 with all sent twice, ms", p50(&rash, &later)));
    figures.push(shown("extra requests with all sent twice, %", rash.extra(&later) * 100.0));
    figures
}

#[test]
fn hedging_stops_where_it_harms() {
    check("hedging stops where it harms", SEEDS / 4, full);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn hedging_stops_where_it_harms_a_thousand_times() {
    check("hedging stops where it harms", MANY, full);
}
