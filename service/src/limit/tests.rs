//! The limit of services that are simulated in a few lines.

use super::*;

const SECOND: u64 = 1_000_000_000;

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A service of so many workers at which always as many requests are in flight as the limit allows,
/// or as `offered`: each takes `took(share of the time, in flight)`.
fn hold(
    learning: &mut Learning,
    from: u64,
    seconds: u64,
    offered: u32,
    took: impl Fn(f64) -> Duration,
) -> Vec<u32> {
    let mut now = from * SECOND;
    let end = now + seconds * SECOND;
    let mut seen = Vec::new();
    while now < end {
        let in_flight = learning.current().min(offered);
        let took = took(f64::from(in_flight));
        now += took.as_nanos() as u64 / u64::from(in_flight);
        learning.sample(Moment::from_nanos(now), took, in_flight, false);
        seen.push(learning.current());
    }
    seen
}

/// What a request takes where so many workers share the work.
fn shared(workers: f64, ms: f64) -> impl Fn(f64) -> Duration {
    move |in_flight| Duration::from_secs_f64(ms / 1e3 * (in_flight / workers).max(1.0))
}

#[test]
fn it_finds_the_knee_of_services_of_any_size() {
    for workers in [6.0, 10.0, 40.0, 200.0, 1_000.0] {
        let mut learning = Learning::new(100, 4, 10_000);
        let seen = hold(&mut learning, 1, 90, u32::MAX, shared(workers, 20.0));
        let late = &seen[seen.len() * 2 / 3..];
        let mean = late.iter().map(|&n| f64::from(n)).sum::<f64>() / late.len() as f64;
        assert!((workers * 0.9..workers * 2.0).contains(&mean), "{workers} workers: {mean}");
    }
}

#[test]
fn bounds_are_kept_and_one_is_always_let_through() {
    let mut learning = Learning::new(100, 4, 50);
    assert_eq!(learning.current(), 50);
    let seen = hold(&mut learning, 1, 60, u32::MAX, |n| Duration::from_secs_f64(n * n / 1e4));
    assert!(seen.iter().all(|&limit| (1..=50).contains(&limit)));
    assert!(seen[seen.len() / 2..].contains(&4));
    assert_eq!(Learning::new(0, 0, 0).current(), 1);
}

#[test]
fn it_does_not_grow_unused() {
    let mut learning = Learning::new(100, 4, 10_000);
    hold(&mut learning, 1, 60, 20, |_| millis(20));
    assert_eq!(learning.current(), 100);
    hold(&mut learning, 61, 60, 80, |_| millis(20));
    assert!(learning.current() > 110, "{}", learning.current());
}

#[test]
fn losses_cost_as_much_as_they_are() {
    let lose = |one_in: u32| {
        let mut learning = Learning::new(100, 4, 10_000);
        for n in 1..=500_u32 {
            let now = Moment::from_nanos(SECOND + u64::from(n) * SECOND / 500);
            learning.sample(now, millis(20), 40, n % one_in == 0);
        }
        learning.current()
    };
    assert!(lose(1) <= 45, "{}", lose(1)); // 0.9 each of ten windows, less the first
    assert!(lose(10) <= 50);
    assert!(lose(500) >= 98);
}

#[test]
fn slowness_of_a_moment_is_forgotten_and_slowness_for_good_is_not() {
    let mut learning = Learning::new(100, 4, 10_000);
    hold(&mut learning, 1, 20, 40, |_| millis(20));
    hold(&mut learning, 21, 1, 40, |_| millis(200));
    hold(&mut learning, 22, 2, 40, |_| millis(20));
    assert!(learning.baseline().unwrap() < millis(25), "{:?}", learning.baseline());
    hold(&mut learning, 24, 20, 40, |_| millis(200));
    assert!(learning.baseline().unwrap() > millis(180), "{:?}", learning.baseline());
    hold(&mut learning, 44, 5, 40, |_| millis(20));
    assert!(learning.baseline().unwrap() < millis(25), "{:?}", learning.baseline());
    assert!(learning.current() >= 40, "{}", learning.current());
}

#[test]
fn dips_are_rare_and_short() {
    let mut learning = Learning::new(100, 4, 10_000);
    let mut dipped = (0, 0);
    let mut now = SECOND;
    while now < 121 * SECOND {
        let in_flight = learning.current();
        let took = shared(40.0, 20.0)(f64::from(in_flight));
        now += took.as_nanos() as u64 / u64::from(in_flight);
        learning.sample(Moment::from_nanos(now), took, in_flight, false);
        dipped.0 += u32::from(learning.dip.is_some());
        dipped.1 += 1;
    }
    assert!(f64::from(dipped.0) < 0.05 * f64::from(dipped.1), "{dipped:?}");
    assert!(dipped.0 > 0);
}

#[test]
fn not_in_force_it_tells_what_would_be_enough() {
    // Ten workers of 20 ms; 8 in flight, and then 300 of them, whatever the limit says.
    let mut learning = Learning::new(100, 4, 10_000);
    let took = shared(10.0, 20.0);
    let mut now = SECOND;
    for (in_flight, until) in [(8, 10), (300, 30)] {
        while now < until * SECOND {
            let took = took(f64::from(in_flight));
            now += took.as_nanos() as u64 / u64::from(in_flight);
            learning.sample(Moment::from_nanos(now), took, in_flight, false);
        }
    }
    assert!((10..=22).contains(&learning.current()), "{}", learning.current());
}

#[test]
fn whoever_finds_it_busy_does_not_wait() {
    let limit = Limit::new(&settings::Limit::standard());
    let held = limit.learning.lock().unwrap();
    limit.sample(Moment::from_nanos(SECOND), millis(5), 1, false);
    drop(held);
    assert_eq!((limit.current(), limit.baseline()), (100, None));
}
