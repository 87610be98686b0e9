//! What holds for a pool while servers, settings and threads change.

use super::Pool;
use crate::health::Condition;
use crate::load::Outcome;
use crate::pick::Wish;
use crate::settings::{Policy, Scheme, Server, Settings, Spot};
use base::{Moment, Share};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

const START: Moment = Moment::from_nanos(1_000_000_000);

fn spots(n: usize) -> Vec<Spot> {
    let spot = |number| {
        let host = format!("server-{number}");
        Spot::from(Server { scheme: Scheme::Https, host, port: 443, address: None })
    };
    (0..n).map(spot).collect()
}

#[test]
fn state_outlives_changes_of_place_and_reloads() {
    let pool = Pool::new(Settings::standard(), &spots(3), None, START);
    let before = pool.view().members().to_vec();
    pool.begin(&before[1]);
    let later = START + Duration::from_millis(30);
    pool.begin(&before[2]);
    pool.end(&before[2], START, later, Outcome::Good);
    let mut other = spots(4);
    other.remove(0);
    other.reverse();
    (other[1].weight, other[1].priority, other[1].zone) = (7, 2, Some("b".into()));
    pool.update(&other, later);
    let settings = Settings { policy: Policy::RoundRobin, ..Settings::standard() };
    let new = Pool::new(settings, &other, Some(&pool), later);
    for pool in [&pool, &new] {
        let standings = pool.standings(later);
        assert_eq!(standings[1].id, before[2].id);
        assert_eq!(standings[1].latency, Some(Duration::from_millis(30)));
        assert!((standings[1].weight - 7.0).abs() < 1e-6);
        assert_eq!((standings[1].priority, standings[1].zone.as_deref()), (2, Some("b")));
        assert_eq!((standings[2].id, standings[2].in_flight), (before[1].id, 1));
        // Who is new starts slowly.
        assert!((standings[0].weight - 0.1).abs() < 1e-6);
        assert!(!before.iter().any(|member| member.id == standings[0].id));
    }
    new.end(&before[1], START, later, Outcome::Good);
    assert_eq!(new.standings(later)[2].in_flight, 0);
    assert_eq!(new.shared.in_flight.load(Relaxed), 0);
}

#[test]
fn nobody_starts_slowly_when_the_pool_does() {
    let pool = Pool::new(Settings::standard(), &[], None, START);
    pool.update(&spots(2), START);
    assert!(pool.standings(START).iter().all(|standing| standing.weight >= 1.0));
}

#[test]
fn a_server_named_twice_is_there_once() {
    let mut twice = spots(2);
    twice.extend(spots(2));
    let pool = Pool::new(Settings::standard(), &twice, None, START);
    assert_eq!(pool.view().members().len(), 2);
}

#[test]
fn a_subset_is_the_same_each_time() {
    let settings = Settings { subset: Some(5), subset_seed: 9, ..Settings::standard() };
    let pool = Pool::new(settings, &spots(50), None, START);
    let urls = |pool: &Pool| {
        pool.view().members().iter().map(|member| member.url.clone()).collect::<Vec<_>>()
    };
    let before = urls(&pool);
    assert_eq!(before.len(), 5);
    let mut turned = spots(50);
    turned.rotate_left(17);
    pool.update(&turned, START);
    let mut after = urls(&pool);
    after.sort_by_key(|url| before.iter().position(|known| known == url));
    assert_eq!(before, after);
}

#[test]
fn no_more_are_ejected_than_the_cap_allows_and_one_always_may() {
    for (n, most, ejected) in [(1, 10, 1), (3, 10, 1), (10, 50, 5), (4, 50, 2), (10, 100, 10)] {
        let mut settings = Settings::standard();
        settings.eject.most = Share::percent(most);
        let pool = Pool::new(settings, &spots(n), None, START);
        let now = START + Duration::from_millis(100);
        for member in pool.view().members() {
            for _ in 0..5 {
                pool.begin(member);
                pool.end(member, START, now, Outcome::Failed { hold: None });
            }
        }
        let is_out = |c| matches!(c, Condition::Ejected { .. });
        let out = pool.standings(now).iter().filter(|s| is_out(s.condition)).count();
        assert_eq!(out, ejected, "of {n}, {most} % at most");
    }
}

#[test]
fn what_another_pool_learns_of_a_shared_member_is_seen_at_the_next_tick() {
    let old = Pool::new(Settings::standard(), &spots(4), None, START);
    let new = Pool::new(Settings::standard(), &spots(4), Some(&old), START);
    let now = START + Duration::from_millis(100);
    let member = &old.view().members()[0].clone();
    for _ in 0..5 {
        old.begin(member);
        old.end(member, START, now, Outcome::Unconnected);
    }
    new.tick(now);
    let mut rng = fastrand::Rng::with_seed(1);
    let view = new.view();
    let picks = (0..100).map(|_| view.pick(Wish::default(), now, &mut rng).unwrap().member.id);
    assert!(!picks.into_iter().any(|id| id == member.id));
}

#[test]
fn a_server_that_flaps_between_versions_costs_little() {
    // Ten thousand changes a minute are six milliseconds each; the bound here is generous, since
    // tests run beside others. `bench/run pick` has the figure.
    let all = spots(1_000);
    let pool = Pool::new(Settings::standard(), &all, None, START);
    let begun = Moment::now();
    for round in 0..20 {
        pool.update(&all[..1_000 - round % 2], START);
    }
    assert!(Moment::now().since(begun) < Duration::from_millis(20 * 20));
}

#[test]
fn threads_leave_nothing_in_flight() {
    const THREADS: u64 = 4;
    let pool = Pool::new(Settings::standard(), &spots(8), None, START);
    let clock = AtomicU64::new(START.as_nanos());
    std::thread::scope(|scope| {
        for seed in 0..THREADS {
            let (pool, clock) = (&pool, &clock);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(seed);
                let mut reader = pool.reader();
                for turn in 0..20_000 {
                    let now = Moment::from_nanos(clock.fetch_add(100_000, Relaxed));
                    pool.refresh(now);
                    let wish = Wish { may_probe: rng.bool(), ..Wish::default() };
                    if let Ok(choice) = reader.load().pick(wish, now, &mut rng) {
                        pool.begin(choice.member);
                        let outcome = match rng.u32(..10) {
                            0..4 => Outcome::Failed { hold: None },
                            4..6 => Outcome::Unconnected,
                            6 => Outcome::Cancelled,
                            _ => Outcome::Good,
                        };
                        let end = now + Duration::from_micros(rng.u64(..5_000));
                        pool.end(choice.member, now, end, outcome);
                    }
                    match turn % 100 {
                        0 => pool.tick(now),
                        50 if seed == 0 => pool.update(&spots(4 + turn / 100 % 5), now),
                        _ => {}
                    }
                }
            });
        }
    });
    let now = Moment::from_nanos(clock.load(Relaxed)) + Duration::from_mins(10);
    pool.refresh(now);
    assert!(pool.standings(now).iter().all(|standing| standing.in_flight == 0));
    assert_eq!(pool.shared.in_flight.load(Relaxed), 0);
    // The view is the last word on everybody.
    let view = pool.view();
    let seen = view.members.iter().zip(&view.conditions);
    assert!(seen.into_iter().all(|(member, condition)| member.condition(now) == *condition));
}
