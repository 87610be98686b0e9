//! More requests than can be served.

use crate::figures::{Figure, at_least, at_most, check, shown};
use crate::{MANY, SEEDS, machine, ms, s};
use scenario::world::{Chance, Clients, End, Machine, Report, World};
use service::settings::{Discipline, LimitMode};

/// Half as much again as ten workers can do, from 10 s to 30 s, by clients who wait for a second.
fn overload(discipline: Option<Discipline>, tell: bool) -> World {
    let machine = Machine::new(10, Chance::Exponential(ms(50)));
    let clients = Clients {
        rates: vec![(s(0), 140.0), (s(10), 300.0), (s(30), 140.0)],
        patience: Some(s(1)),
        tell,
    };
    World::new(vec![machine], clients, s(50)).with(|settings| match discipline {
        Some(discipline) => {
            settings.limit.mode = LimitMode::Enforce;
            settings.limit.queue = discipline;
        }
        None => settings.limit.mode = LimitMode::Off,
    })
}

/// What was answered in time, and what was done for nobody, in percent.
fn outcome(report: &Report) -> (f64, f64) {
    let overload = s(10)..s(30);
    (report.ended(&overload, End::Answered) * 100.0, report.for_nobody(&overload) * 100.0)
}

/// 2 s after the overload all is as it was before: the share answered, and p99 beside that of before.
fn recovered(report: &Report) -> (f64, f64) {
    let (before, after) = (s(2)..s(10), s(32)..s(50));
    let p99 = |window| report.latency(window, 99.0);
    (report.ended(&after, End::Answered) * 100.0, p99(&after) / p99(&before))
}

fn survives(seed: u64) -> Vec<Figure> {
    let mut figures = Vec::new();
    let cases = [("who tell no deadline", false), ("who tell it", true)];
    for (name, tell) in cases {
        let report = overload(Some(Discipline::AdaptiveLifo), tell).run(seed);
        let ((good, lost), (back, slower)) = (outcome(&report), recovered(&report));
        figures.push(at_least(format!("clients {name}: answered in time, %"), good, 60.0));
        figures.push(at_most(format!("clients {name}: work for nobody, %"), lost, 2.0));
        figures.push(at_most(
            format!("clients {name}: p99 of the answered, ms"),
            report.latency(&(s(12)..s(30)), 99.0),
            1_000.0,
        ));
        figures.push(at_least(format!("clients {name}: answered 2 s after, %"), back, 99.5));
        figures.push(at_most(
            format!("clients {name}: p99 2 s after, of that before"),
            slower,
            1.5,
        ));
    }
    for (name, discipline) in [
        ("without a limit", None),
        ("first in, first out", Some(Discipline::Fifo)),
        ("controlled delay", Some(Discipline::CoDel)),
    ] {
        let report = overload(discipline, false).run(seed);
        let ((good, lost), (_, slower)) = (outcome(&report), recovered(&report));
        figures.push(shown(format!("{name}: answered in time, % (ideal 66.7)"), good));
        figures.push(shown(format!("{name}: work for nobody, %"), lost));
        figures.push(shown(format!("{name}: p99 2 s after, of that before"), slower));
    }
    figures
}

#[test]
fn overload_is_survived() {
    check("overload is survived", SEEDS * 5, survives);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn overload_is_survived_a_thousand_times() {
    check("overload is survived", MANY, survives);
}

/// A service with room for ten thousand is asked by two hundred at a time, from the first moment on.
fn room(seed: u64) -> Vec<Figure> {
    let machines = vec![Machine { workers: 1_000, ..machine() }; 10];
    let world = World::new(machines, Clients::steady(10_000.0), s(12));
    let report = world.with(|settings| settings.limit.mode = LimitMode::Enforce).run(seed);
    let shed = |from, to| report.ended(&(s(from)..s(to)), End::Shed) * 100.0;
    vec![
        shown("shed in the first 5 s, %", shed(0, 5)),
        at_most("shed from 5 s on, %", shed(5, 12), 5.0),
        shown("p99 from 5 s on, ms", report.latency(&(s(5)..s(12)), 99.0)),
    ]
}

#[test]
fn a_limit_in_force_finds_the_room_there_is() {
    check("a limit in force finds the room there is", SEEDS / 4, room);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn a_limit_in_force_finds_the_room_there_is_a_thousand_times() {
    check("a limit in force finds the room there is", MANY, room);
}
