//! Servers and clients of `bench/tail`, without a gateway between them.
#![expect(clippy::unwrap_used, reason = "the helpers of a test are tests too")]

use std::time::Duration;

use base::Moment;
use bench::tail::{End, Life, Load, Servers, Spread, Work};
use tokio::task::LocalSet;

const WAIT: Duration = Duration::from_mins(1);

/// What came of some requests to one server that is like this: their end, which all share, and how
/// many tries it saw and served for each request.
async fn check(life: Life, expected: (End, f64, f64)) {
    let work = Work {
        workers: 2,
        mean: Duration::from_micros(100),
        spread: Spread::Exponential,
        stalls: 0.0,
        seed: 1,
    };
    let servers = Servers::start(1, work).unwrap();
    servers.turn(0..1, life);
    let phases = vec![(Duration::from_millis(50), 1_000.0), (Duration::from_millis(50), 3_000.0)];
    let load = Load { phases, seed: 1, give_up: WAIT };
    let sent = LocalSet::new().run_until(load.send(servers.addresses[0], Moment::now())).await;
    assert!((100..300).contains(&sent.len()), "{}", sent.len());
    assert!(sent.iter().map(|one| one.number).eq(0..sent.len() as u64));
    assert!(sent.iter().all(|one| one.end == expected.0), "{life:?}: {sent:?}");
    let tries = servers.tries();
    let served = tries.iter().filter(|one| one.served).count();
    let each = |count: usize| count as f64 / sent.len() as f64;
    assert_eq!((each(tries.len()), each(served)), (expected.1, expected.2), "{life:?}");
    assert_eq!(tries.iter().all(|one| one.number.is_none()), life == Life::Refuses);
}

#[tokio::test]
async fn every_try_is_answered_and_noted() {
    check(Life::Well, (End::Good, 1.0, 1.0)).await;
    check(Life::Slow, (End::Good, 1.0, 1.0)).await;
    check(Life::Fails, (End::Status(500), 1.0, 0.0)).await;
    check(Life::Unavailable, (End::Status(503), 1.0, 0.0)).await;
    check(Life::Refuses, (End::Broken, 1.0, 0.0)).await;
}

#[tokio::test]
async fn who_waits_too_long_hangs_up_and_the_work_is_done_nevertheless() {
    let work = Work {
        workers: 1,
        mean: Duration::from_millis(1),
        spread: Spread::LogNormal,
        stalls: 1.0,
        seed: 1,
    };
    let servers = Servers::start(1, work).unwrap();
    let phases = vec![(Duration::from_millis(20), 1_000.0)];
    let load = Load { phases, seed: 1, give_up: Duration::from_millis(50) };
    let sent = LocalSet::new().run_until(load.send(servers.addresses[0], Moment::now())).await;
    assert!(sent.iter().all(|one| one.end == End::GaveUp), "every answer is a second late");
    let all_served = || {
        let tries = servers.tries();
        !tries.is_empty() && tries.iter().all(|one| one.served)
    };
    let until = async {
        while !all_served() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT, until).await.unwrap();
}
