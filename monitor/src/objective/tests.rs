//! What tracks of promises come to, second by second.

use super::*;
use proptest::prelude::*;

/// Plays stretches of (seconds, requests a second, bad ones a second), and tells what became of the
/// alert when.
fn play(target: u32, stretches: &[(u64, u64, u64)]) -> (Track, Moment, Vec<(u64, Change)>) {
    let mut track = Track::new(Share(target));
    let (mut second, mut tally, mut changes) = (0, Tally::default(), Vec::new());
    let at = |second: u64| Moment::from_nanos((second + 1_000) * 1_000_000_000);
    track.turn(tally, at(0));
    for (length, total, bad) in stretches {
        for _ in 0..*length {
            second += 1;
            tally.total += total;
            tally.bad += bad;
            changes.extend(track.turn(tally, at(second)).map(|change| (second, change)));
        }
    }
    (track, at(second), changes)
}

const DAY: u64 = 86_400;

fn near(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() <= 0.02 * wanted.abs() + 1e-9
}

#[test]
fn burn_is_how_fast_the_budget_goes() {
    // One in a hundred is bad where one in a thousand may be: ten times as fast as may be.
    let (track, now, _) = play(9_990, &[(3 * DAY + 10, 100, 1)]);
    for window in Window::ALL {
        assert!(near(track.burn(*window, now), 10.0), "{window:?}: {}", track.burn(*window, now));
    }
    assert!(near(track.left(now), -9.0), "{}", track.left(now));
    // An hour of it behind three good days.
    let (track, now, _) = play(9_990, &[(3 * DAY, 100, 0), (3_600, 100, 1)]);
    assert!(near(track.burn(Window::Hour, now), 10.0));
    assert!(near(track.burn(Window::Hours6, now), 10.0 / 6.0));
    assert!(near(track.left(now), 1.0 - 10.0 / 72.0), "{}", track.left(now));
    // It is over, and forgotten window by window.
    let (track, now, _) = play(9_990, &[(3_600, 100, 1), (3_600 + 20, 100, 0)]);
    assert!(track.burn(Window::Hour, now) < 1e-9);
    assert!(track.burn(Window::Hours6, now) > 0.5);
}

#[test]
fn an_outage_pages_within_minutes_and_ends_when_it_does() {
    let (track, _, changes) = play(9_990, &[(DAY, 100, 0), (600, 100, 50), (3_600, 100, 0)]);
    let [(began, Change::Began(Alert::Page)), rest @ ..] = &changes[..] else {
        panic!("{changes:?}");
    };
    // Half of all fails: 500 times as fast as may be; 2 % of thirty days' budget after 104 seconds.
    assert!((100..=115).contains(&(began - DAY)), "{changes:?}");
    let ended = rest.iter().find(|(_, change)| *change != Change::Began(Alert::Page));
    let (ended, _) = ended.expect("it ends");
    // The five minutes first, then the half hour.
    assert!((DAY + 600 + 280..=DAY + 600 + 1_850).contains(ended), "{changes:?}");
    assert_ne!(track.alert(), Some(Alert::Page));
}

#[test]
fn a_slow_burn_is_a_ticket() {
    let (track, _, changes) = play(9_900, &[(4 * DAY, 200, 3)]);
    assert_eq!(track.alert(), Some(Alert::Ticket));
    assert_eq!(changes.len(), 1, "{changes:?}");
}

#[test]
fn nobody_is_woken_for_little() {
    for stretches in [
        // One bad request of ten when it has just begun.
        &[(10, 1, 0), (1, 1, 1), (DAY, 1, 0)][..],
        // Hardly any requests, one of them bad.
        &[(DAY, 0, 0), (1, 1, 1), (DAY, 0, 0)],
        // As bad as it may be.
        &[(4 * DAY, 1_000, 1)],
        // A blip: all fails for ten seconds of a day.
        &[(DAY, 100, 0), (10, 100, 100), (DAY, 100, 0)],
        &[],
    ] {
        let target = if stretches.iter().any(|s| s.1 == 1_000) { 9_985 } else { 9_990 };
        let (track, _, changes) = play(target, stretches);
        assert_eq!((track.alert(), changes), (None, vec![]), "{stretches:?}");
    }
}

#[test]
fn what_promises_little_alerts_when_little_is_kept() {
    let (track, now, changes) = play(5_000, &[(DAY, 100, 40), (3 * 3_600, 100, 95)]);
    assert_eq!(track.alert(), Some(Alert::Page), "{changes:?}");
    assert!(near(track.burn(Window::Hour, now), 1.9));
}

#[test]
fn counters_of_another_route_begin_anew() {
    let mut track = Track::new(Share(9_900));
    let at = |second: u64| Moment::from_nanos(second * 1_000_000_000);
    track.turn(Tally { total: 1_000, bad: 900 }, at(1));
    track.turn(Tally { total: 2_000, bad: 1_800 }, at(600));
    assert!(track.burn(Window::Minutes5, at(600)) > 0.0);
    track.turn(Tally { total: 10, bad: 0 }, at(601));
    assert!(track.burn(Window::Minutes5, at(601)) < 1e-9);
}

proptest! {
    /// No order of events makes a burn negative, or faster than where all is bad; memory is bounded.
    #[test]
    fn burns_are_bounded(
        target in 100..=9_999_u32,
        steps in proptest::collection::vec((1..40_000_u64, 0..1_000_u64, 0..1_000_u64), 1..200),
    ) {
        let mut track = Track::new(Share(target));
        let (mut now, mut tally) = (Moment::from_nanos(0), Tally::default());
        for (seconds, total, bad) in steps {
            now = now + Duration::from_secs(seconds);
            tally.total += total;
            tally.bad += bad.min(total);
            track.turn(tally, now);
            for window in Window::ALL {
                let burn = track.burn(*window, now);
                let most = 1.0 / (1.0 - f64::from(target) / 10_000.0);
                prop_assert!((0.0..=most * 1.000_001).contains(&burn), "{burn} of {most}");
            }
        }
        for ring in &track.rings {
            prop_assert!(ring.ends.len() <= ring.length && ring.length <= 361);
        }
    }
}
