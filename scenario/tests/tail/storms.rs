//! Everything fails, and then nothing does.

use crate::figures::{Figure, at_least, at_most, check, shown};
use crate::{MANY, SEEDS, machine, ms, rate, s};
use scenario::world::{Clients, End, Machine, Mood, World};

/// All five servers are not themselves from 10 s to 20 s.
fn storm(seed: u64) -> Vec<Figure> {
    let moods = [
        ("500 in 1 ms", Mood::Fails(500, ms(1))),
        ("503 in 20 ms", Mood::Fails(503, ms(20))),
        ("no connection", Mood::Refuses),
    ];
    let mut figures = Vec::new();
    for (name, mood) in moods {
        let machines: Vec<Machine> = vec![machine().but(s(10)..s(20), mood); 5];
        let rate = rate(&machines, 0.6);
        let world = World::new(machines, Clients::steady(rate), s(40));
        let world = world.with(|settings| settings.retry.statuses.push(500));
        let rules = world.gateways[0].retry.clone();
        let report = world.run(seed);
        // The budget is the share of the requests of any ten seconds, and the reserve of each.
        let tens = (1..=10).map(|from| report.came(&(s(from)..s(from + 10))).len());
        let share = tens.max().unwrap_or(0) as f64 * rules.budget.factor();
        let allowed = share + f64::from(rules.reserve) * 10.0;
        let of_allowed = report.again(&(s(10)..s(20))) as f64 / allowed;
        figures.push(at_most(format!("{name}: extra requests, of the budget"), of_allowed, 1.0));
        let extra = |from, to| report.extra(&(s(from)..s(to))) * 100.0;
        figures.push(shown(format!("{name}: extra requests, %"), extra(10, 20)));
        figures.push(shown(format!("{name}: extra in the first second, %"), extra(10, 11)));
        let back = report.first_answer(s(20)).as_secs_f64() * 1e3;
        figures.push(at_most(format!("{name}: first answer after it, ms"), back, 1_000.0));
        let after = |from, to| report.ended(&(s(from)..s(to)), End::Answered) * 100.0;
        figures.push(shown(
            format!("{name}: answered in the first second after it, %"),
            after(20, 21),
        ));
        figures.push(at_least(
            format!("{name}: answered from 5 s after it, %"),
            after(25, 40),
            99.9,
        ));
        let p99 = |from, to| report.latency(&(s(from)..s(to)), 99.0);
        figures.push(shown(
            format!("{name}: p99 of 2 s after it, of that before"),
            p99(20, 22) / p99(2, 10),
        ));
    }
    figures
}

#[test]
fn a_storm_is_not_made_worse() {
    check("a storm is not made worse", SEEDS, storm);
}

#[test]
#[ignore = "a thousand seeds: minutes"]
fn a_storm_is_not_made_worse_a_thousand_times() {
    check("a storm is not made worse", MANY, storm);
}
