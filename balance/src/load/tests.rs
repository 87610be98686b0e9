//! What a server is taken to cost, by what it did.

use super::{Load, Outcome, Prior};
use base::Moment;
use std::time::Duration;

const PRIOR: Prior = Prior { mean: 20e6, penalty: 5e9 };
const BAD: Outcome = Outcome::Failed { hold: None };

fn at(millis: u64) -> Moment {
    Moment::from_nanos(millis * 1_000_000)
}

/// Something took so many milliseconds and ended at that many.
fn end(load: &Load, took: u64, outcome: Outcome, now: u64) {
    load.begin();
    load.end(Duration::from_millis(took), outcome, at(now), PRIOR.mean);
}

/// In milliseconds.
fn check(load: &Load, now: u64, low: f32, high: f32) {
    let cost = load.cost(at(now), PRIOR).nanos / 1e6;
    assert!((low..=high).contains(&cost), "{cost} ms, not {low} to {high}");
}

#[test]
fn a_peak_counts_at_once_and_fades() {
    let load = Load::default();
    end(&load, 20, Outcome::Good, 1_000);
    check(&load, 1_000, 20.0, 20.0);
    end(&load, 100, Outcome::Good, 1_001);
    check(&load, 1_001, 100.0, 100.0);
    // A faster one counts by the time passed: 1 - exp(-0.1) of the difference.
    end(&load, 20, Outcome::Good, 2_001);
    check(&load, 2_001, 92.0, 92.8);
    // Nobody asks: it fades to nothing, and reading changes nothing.
    check(&load, 12_001, 33.0, 35.0);
    check(&load, 2_001, 92.0, 92.8);
    check(&load, 102_001, 0.0, 0.01);
}

#[test]
fn an_unknown_server_is_free_for_one() {
    let load = Load::default();
    check(&load, 1, 0.0, 0.0);
    load.begin();
    check(&load, 1, 20.0, 20.0);
    assert_eq!(load.latency(at(1)), None);
}

#[test]
fn half_forgotten_it_is_not_run_down() {
    let load = Load::default();
    end(&load, 200, Outcome::Good, 1_000);
    check(&load, 61_000, 0.0, 1.0);
    load.begin();
    check(&load, 61_000, 20.0, 20.0);
    let fast = Load::default();
    end(&fast, 2, Outcome::Good, 1_000);
    fast.begin();
    check(&fast, 61_000, 2.0, 2.0);
}

#[test]
fn one_stray_failure_is_soon_forgotten_and_failing_is_dear() {
    let load = Load::default();
    for turn in 0..10 {
        end(&load, 20, Outcome::Good, 1_000 + turn);
    }
    end(&load, 1, BAD, 1_010);
    check(&load, 1_010, 50.0, 60.0);
    check(&load, 21_010, 0.0, 20.0);
    // Three more, in a row: what was good before does not help.
    (0..3).for_each(|turn| end(&load, 1, BAD, 1_011 + turn));
    check(&load, 1_014, 2_000.0, 5_000.0);
    let new = Load::default();
    end(&new, 1, BAD, 1_000);
    check(&new, 1_000, 1_200.0, 1_300.0);
    check(&new, 61_000, 0.0, 0.1);
}

#[test]
fn failing_fast_is_not_being_fast() {
    let load = Load::default();
    end(&load, 20, Outcome::Good, 1_000);
    (0..100).for_each(|turn| end(&load, 1, BAD, 1_000 + turn * 10));
    let latency = load.latency(at(2_000)).unwrap();
    assert!(latency > Duration::from_millis(17), "{latency:?}");
}

#[test]
fn who_left_early_teaches_only_what_is_sure() {
    let load = Load::default();
    end(&load, 20, Outcome::Good, 1_000);
    end(&load, 5, Outcome::Cancelled, 1_000);
    check(&load, 1_000, 20.0, 20.0);
    end(&load, 50, Outcome::Cancelled, 1_000);
    check(&load, 1_000, 50.0, 50.0);
    let unknown = Load::default();
    end(&unknown, 5, Outcome::Cancelled, 1_000);
    check(&unknown, 1_000, 20.0, 20.0);
}

#[test]
fn a_hold_holds_until_it_has_passed_and_no_longer_than_five_minutes() {
    let load = Load::default();
    end(&load, 20, Outcome::Failed { hold: Some(Duration::from_hours(1)) }, 1_000);
    check(&load, 300_900, 300_000.0, 300_000.0);
    check(&load, 301_100, 0.0, 1.0);
}

#[test]
fn back_it_is_like_the_others() {
    let load = Load::default();
    (0..9).for_each(|_| end(&load, 1, BAD, 1_000));
    load.reseed(20e6, at(2_000));
    check(&load, 2_000, 20.0, 20.0);
}

#[test]
fn timestamps_do_not_wrap_while_somebody_ticks() {
    let load = Load::default();
    end(&load, 500, Outcome::Good, 1_000);
    for hour in 1..48 {
        let now = at(1_000 + hour * 3_700_000);
        load.renew(now);
        assert!(load.cost(now, PRIOR).nanos < 1.0, "hour {hour}");
    }
}
