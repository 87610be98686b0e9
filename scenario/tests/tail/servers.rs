//! Servers that are slow, fail, and recover.

use crate::figures::{Figure, at_least, at_most, check, shown};
use crate::{MANY, SEEDS, least_share, machine, rate, s, seconds};
use balance::settings::Policy;
use scenario::world::{Clients, End, Machine, Mood, World};
use service::settings::Settings;
use std::time::Duration;

fn in_turn(settings: &mut Settings) {
    settings.balance.policy = Policy::RoundRobin;
    settings.balance.eject.failures = 0;
    settings.balance.eject.success = base::Share::percent(0);
    settings.balance.eject.slow = base::Share::percent(0);
}

fn no_retries(settings: &mut Settings) {
    settings.retry.attempts = 0;
}

/// Ten servers, 60 % load, 25 s; the first of them may be another.
fn ten(first: Machine) -> World {
    let mut machines = vec![machine(); 10];
    let clients = Clients::steady(rate(&machines, 0.6));
    machines[0] = first;
    World::new(machines, clients, s(25))
}

fn slow(seed: u64) -> Vec<Figure> {
    let world = ten(machine().but(s(0)..s(100), Mood::Slow(5.0)));
    let (later, clients) = (s(3)..s(25), world.clients.clone());
    let report = world.run(seed);
    let healthy = ten(machine()).run(seed).latency(&later, 99.0);
    let nine = World::new(vec![machine(); 9], clients, s(25)).run(seed).latency(&later, 99.0);
    let p99 = report.latency(&later, 99.0);
    let turns = world.with(in_turn).run(seed);
    vec![
        at_most("share of the slow one, %", report.share(&later, 0) * 100.0, 2.0),
        shown("p99, ms", p99),
        at_most("p99 beside that of ten healthy ones", p99 / healthy, 1.5),
        at_most("p99 beside that of the nine others alone", p99 / nine, 1.5),
        shown("p99.9, ms", report.latency(&later, 99.9)),
        shown("p99 in turn, ms", turns.latency(&later, 99.0)),
    ]
}

#[test]
fn a_slow_server_is_hardly_asked() {
    check("a slow server is hardly asked", SEEDS, slow);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn a_slow_server_is_hardly_asked_a_thousand_times() {
    check("a slow server is hardly asked", MANY, slow);
}

fn failing(seed: u64) -> Vec<Figure> {
    let fails = Mood::Fails(500, Duration::from_millis(1));
    let world = ten(machine().but(s(0)..s(100), fails)).with(no_retries);
    let report = world.run(seed);
    let worst = seconds(0..25).map(|second| report.ended(&second, End::Failed));
    let later = s(1)..s(25);
    vec![
        at_most("errors after a second, %", report.ended(&later, End::Failed) * 100.0, 0.5),
        at_most("errors in the worst second, %", worst.fold(0.0, f64::max) * 100.0, 10.0),
        shown("errors in the first second, %", report.ended(&(s(0)..s(1)), End::Failed) * 100.0),
        shown(
            "errors in turn, %",
            world.with(in_turn).run(seed).ended(&later, End::Failed) * 100.0,
        ),
    ]
}

#[test]
fn failing_fast_is_not_being_fast() {
    check("failing fast is not being fast", SEEDS, failing);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn failing_fast_is_not_being_fast_a_thousand_times() {
    check("failing fast is not being fast", MANY, failing);
}

/// Five servers alike: the least share of any, of its fair share.
fn fair(seed: u64) -> Vec<Figure> {
    let machines = vec![machine(); 5];
    let busy = World::new(machines.clone(), Clients::steady(rate(&machines, 0.6)), s(20));
    let idle = World::new(machines.clone(), Clients::steady(25.0), s(120));
    let (busy, idle) = (busy.run(seed), idle.run(seed));
    let mut figures = Vec::new();
    for (name, report, first, length, step) in
        [("at 60 % load", &busy, 0, 20, 5), ("of 25 a second", &idle, 0, 120, 30)]
    {
        let windows = (first..length).step_by(step).map(|at| s(at)..s(at + step as u64));
        let least = windows.map(|window| least_share(report, &window, 5)).fold(1.0, f64::min);
        let name = format!("least share {name}, any {step} s, of the fair share");
        figures.push(at_least(name, least * 5.0, 0.5));
    }
    figures
}

#[test]
fn servers_alike_are_asked_alike() {
    check("servers alike are asked alike", SEEDS, fair);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn servers_alike_are_asked_alike_a_thousand_times() {
    check("servers alike are asked alike", MANY, fair);
}

/// One of five is not itself from 10 s to 30 s: what it gets 30 s later, of its fair share.
fn recovering(seed: u64) -> Vec<Figure> {
    let moods = [
        ("slow", Mood::Slow(5.0)),
        ("failing", Mood::Fails(500, Duration::from_millis(1))),
        ("refusing", Mood::Refuses),
        ("hanging", Mood::Hangs),
    ];
    let mut figures = Vec::new();
    for (name, mood) in moods {
        let mut machines = vec![machine(); 5];
        let busy = Clients::steady(rate(&machines, 0.6));
        machines[0] = machines[0].clone().but(s(10)..s(30), mood);
        let busy = World::new(machines.clone(), busy, s(70)).run(seed);
        let idle = World::new(machines, Clients::steady(25.0), s(120)).run(seed);
        let share = busy.share(&(s(60)..s(70)), 0) * 5.0;
        figures.push(at_least(format!("share of one that was {name}, 60 % load"), share, 0.8));
        let share = idle.share(&(s(60)..s(120)), 0) * 5.0;
        figures.push(at_least(format!("share of one that was {name}, 25 a second"), share, 0.8));
        let back = (30..70).find(|at| busy.share(&(s(*at)..s(at + 1)), 0) * 5.0 >= 0.8);
        figures.push(shown(
            format!("back after {name} for, s, 60 % load"),
            back.map_or(f64::INFINITY, |at| (at - 30) as f64),
        ));
    }
    figures
}

#[test]
fn a_server_that_recovers_is_asked_again() {
    check("a server that recovers is asked again", SEEDS / 4, recovering);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn a_server_that_recovers_is_asked_again_a_thousand_times() {
    check("a server that recovers is asked again", MANY, recovering);
}
