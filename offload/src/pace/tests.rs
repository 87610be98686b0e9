//! Laws of the pace, and a service that goes away.

use super::*;
use crate::settings::{Away, OnDead, Pace as Rate, Retry};

const START: Wall = Wall(1_700_000_000_000);

fn rules(at_once: usize) -> Queue {
    Queue {
        name: "mail".to_owned(),
        broker: None,
        takes: false,
        away: Away::Refuse,
        at_once,
        rate: None,
        replay_rate: None,
        retry: Retry {
            tries: 12,
            pause: Duration::from_secs(1),
            growth_percent: 200,
            pause_max: Duration::from_mins(15),
            on: Retry::standard_statuses(),
            lost_max: 3,
        },
        try_time: Duration::from_secs(30),
        expires: None,
        jobs_max: 1_000,
        age_max: None,
        on_dead: OnDead::Skip,
    }
}

fn rate(count: u32, ms: u64) -> Rate {
    Rate { count, per: Duration::from_millis(ms) }
}

fn answered(status: u16) -> Tried {
    Tried::Answered { status, retry_after: None }
}

/// All that may go at `now` goes.
fn take_all(pace: &mut Pace, now: Wall) -> usize {
    let mut count = 0;
    while pace.next(false, now).is_some_and(|at| at <= now) {
        pace.take(false, now);
        count += 1;
    }
    count
}

fn come_back(pace: &mut Pace, tried: &Tried, is_probe: bool, now: Wall) {
    pace.tell(tried, true, is_probe, now);
    pace.leave(false);
}

#[test]
fn no_span_of_time_holds_more_than_the_rate_and_the_burst() {
    let mut rng = fastrand::Rng::with_seed(3);
    for case in 0..300 {
        let per = rng.u64(1..100_000);
        let rate = rate(rng.u32(1..2_000), per);
        let at_once = rng.usize(1..500);
        let mut bucket = Bucket::new(rate, at_once);
        let burst = bucket.burst();
        assert!(burst >= 1 && burst <= at_once as u64 && burst <= u64::from(rate.count).max(1));
        let mut now = START.0;
        let mut taken: Vec<u64> = Vec::new();
        while taken.len() < 600 {
            // Who waits exactly as long as told, who comes late, who comes at any time.
            match rng.u8(..3) {
                0 => now = now.max(bucket.next().0),
                1 => now += rng.u64(..per),
                _ => {}
            }
            if bucket.next().0 > now {
                continue;
            }
            bucket.take(Wall(now));
            if rng.u8(..10) == 0 {
                bucket.untake();
            } else {
                taken.push(now);
            }
        }
        for first in 0..taken.len() {
            for last in first..taken.len() {
                let span = (taken[last] - taken[first]) as f64;
                let most = span / per as f64 * f64::from(rate.count) + burst as f64;
                let count = (last - first + 1) as f64;
                assert!(count <= most + 1e-6, "case {case}: {count} in {span} ms of {rate:?}");
            }
        }
    }
}

#[test]
fn who_always_comes_gets_the_whole_rate() {
    for (count, ms) in
        [(1, 7_000), (3, 1_000), (100, 1_000), (999, 1_000), (6, 60_000), (50_000, 1_000)]
    {
        let mut bucket = Bucket::new(rate(count, ms), 1_000);
        let mut taken = 0;
        for now in START.0..START.0 + 100_000 {
            while bucket.next().0 <= now {
                bucket.take(Wall(now));
                taken += 1;
            }
        }
        let expected = f64::from(count) * 100_000.0 / ms as f64;
        let share = f64::from(taken) / expected;
        let most = 1.0 + bucket.burst() as f64 / expected + 0.001;
        assert!((0.99..=most).contains(&share), "{taken} of {expected}");
    }
}

#[test]
fn another_rate_forgives_nothing_and_punishes_nobody() {
    let mut bucket = Bucket::new(rate(1, 3_600_000), 10);
    bucket.take(START);
    assert_eq!(bucket.settled(rate(1, 1_000), 10, START).next(), Wall(START.0 + 1_000));
    assert_eq!(bucket.settled(rate(1, 7_200_000), 10, START).next(), Wall(START.0 + 7_200_000));
}

#[test]
fn the_limit_is_halved_once_a_second_and_grows_by_one_a_round() {
    let mut pace = Pace::new(&rules(16));
    assert_eq!(take_all(&mut pace, START), 16);
    for (ms, limit) in [(0, 8), (500, 8), (999, 8), (1_000, 4), (1_500, 4)] {
        come_back(&mut pace, &answered(429), false, START + Duration::from_millis(ms));
        assert_eq!(pace.limit(), limit, "{ms}");
        // Enough good ones that nobody thinks it away.
        pace.failures = 0;
    }
    assert_eq!(pace.running(), 11);
    let now = START + Duration::from_millis(1_500);
    assert_eq!(pace.next(false, now), None, "more run than may");
    for _ in 0..8 {
        come_back(&mut pace, &answered(200), false, now);
    }
    assert_eq!(pace.limit(), 5, "four good ones are a round of four");
    // One that is not used does not grow.
    for _ in 0..50 {
        pace.enter(false);
        come_back(&mut pace, &answered(200), false, now);
    }
    assert_eq!(pace.limit(), 6, "but for what was out when it was reached");
    for _ in 0..10_000 {
        take_all(&mut pace, now);
        come_back(&mut pace, &answered(200), false, now);
    }
    assert_eq!(pace.limit(), 16, "never above the settings");
}

#[test]
fn each_sign_is_read() {
    let asked = Duration::from_secs(7);
    for (tried, limit, away) in [
        (answered(429), 4, true),
        (answered(503), 4, true),
        (Tried::Failed(Reason::Timeout), 4, true),
        (Tried::Failed(Reason::Unreachable), 4, true),
        (answered(500), 8, true),
        (answered(502), 8, true),
        (Tried::Failed(Reason::BadAnswer), 8, true),
        (Tried::Failed(Reason::NoService), 8, false),
        (answered(404), 8, false),
        (answered(200), 8, false),
    ] {
        let mut pace = Pace::new(&rules(8));
        for _ in 0..FAILURES {
            assert!(!pace.is_away());
            pace.enter(false);
            come_back(&mut pace, &tried, false, START);
        }
        assert_eq!((pace.limit(), pace.is_away()), (limit, away), "{tried:?}");
    }
    let mut pace = Pace::new(&rules(8));
    pace.tell(&Tried::Answered { status: 429, retry_after: Some(asked) }, true, false, START);
    assert_eq!(pace.next(false, START), Some(START + asked), "it has asked for a pause");
    assert_eq!(pace.paused_until(START), Some(START + asked));
    let hours = Some(Duration::from_secs(100_000));
    pace.tell(&Tried::Answered { status: 503, retry_after: hours }, true, false, START);
    assert_eq!(pace.next(false, START), Some(START + Duration::from_mins(15)), "with an end");
}

/// The service is away for `away_s`; how many probes it got, and how long after its return it was
/// found, in milliseconds.
fn outage(away_s: u64) -> (usize, u64, Pace) {
    let mut pace = Pace::new(&rules(8));
    let back = START + Duration::from_secs(away_s);
    let down = Tried::Failed(Reason::Unreachable);
    assert_eq!(take_all(&mut pace, START), 8);
    for _ in 0..8 {
        come_back(&mut pace, &down, false, START);
    }
    let (mut now, mut probes) = (START, 0);
    loop {
        let at = pace.next(false, now).unwrap();
        assert!(at > now, "no pause at {now:?}");
        now = at;
        assert_eq!(take_all(&mut pace, now), 1, "one probe");
        probes += 1;
        assert_eq!(pace.next(false, now), None, "and no other");
        if now >= back {
            come_back(&mut pace, &answered(200), true, now);
            return (probes, now.since(back).as_millis() as u64, pace);
        }
        come_back(&mut pace, &down, true, now);
    }
}

#[test]
fn who_is_away_is_asked_seldom_and_found_soon() {
    let (probes, late, mut pace) = outage(600);
    assert!((20..=30).contains(&probes), "{probes} probes in ten minutes");
    assert!(late <= 30_000, "found {late} ms after its return");
    // It ramps up: one, two, four, eight.
    assert!(!pace.is_away());
    let now = START + Duration::from_secs(700);
    for expected in [2, 4, 8, 8] {
        assert_eq!(take_all(&mut pace, now), expected);
        for _ in 0..expected {
            come_back(&mut pace, &answered(200), false, now);
        }
    }
}

#[test]
fn a_probe_that_did_not_go_is_followed_by_another() {
    let mut pace = Pace::new(&rules(8));
    for _ in 0..FAILURES {
        pace.tell(&answered(500), true, false, START);
    }
    let now = pace.next(false, START).unwrap();
    assert_eq!(now, START + PAUSE);
    assert!(pace.take(false, now));
    pace.untake(false, true, now);
    pace.leave(false);
    assert_eq!(pace.next(false, now), Some(now));
    assert!(pace.take(false, now));
    // What left before says nothing of the service now.
    come_back(&mut pace, &answered(200), false, now);
    assert!(pace.is_away());
    pace.tell(&answered(200), true, true, now);
    assert!(!pace.is_away());
}

#[test]
fn a_job_that_fails_whenever_it_is_tried_tells_of_itself() {
    for (tried, away) in [
        (answered(500), false),
        (Tried::Failed(Reason::BadAnswer), false),
        (answered(502), true),
        (answered(503), true),
        (Tried::Failed(Reason::Timeout), true),
    ] {
        let mut pace = Pace::new(&rules(8));
        for _ in 0..20 {
            pace.tell(&tried, false, false, START);
        }
        assert_eq!(pace.is_away(), away, "{tried:?}");
    }
    // As a probe it is no news: another goes at once.
    let mut pace = Pace::new(&rules(8));
    for _ in 0..FAILURES {
        pace.tell(&answered(500), true, false, START);
    }
    let now = START + PAUSE;
    assert!(pace.take(false, now));
    pace.tell(&answered(500), false, true, now);
    assert_eq!((pace.is_away(), pace.next(false, now)), (true, Some(now)));
    assert!(pace.take(false, now));
    pace.tell(&answered(500), true, true, now);
    assert_eq!(pace.next(false, now), Some(now + PAUSE * 2));
}

#[test]
fn new_rules_keep_what_was_learned() {
    let mut pace = Pace::new(&rules(8));
    pace.settle(&rules(16), START);
    assert_eq!(pace.limit(), 16, "who was not held back is not");
    pace.tell(&answered(429), true, false, START);
    pace.settle(&rules(32), START);
    assert_eq!(pace.limit(), 8);
    pace.settle(&rules(2), START);
    assert_eq!(pace.limit(), 2);
}
