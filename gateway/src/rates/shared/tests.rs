//! Gateways that count together in a real Redis, where one is installed.

use super::*;
use scenario::redis::Redis;
use scenario::server::wait_until;
use service::settings::RateBy;
use std::pin::pin;

fn rule(limit: u32, burst: u32) -> (Rule, Scope) {
    let rate = Rate {
        name: "r".to_owned(),
        limit,
        per: Duration::from_secs(1),
        burst,
        by: RateBy::Route,
        shared: true,
    };
    (Rule::new(&rate), Scope::new("shop", &rate))
}

/// Gateways that count together, each with its own idea of the rule.
struct Town {
    _control: tokio::runtime::Runtime,
    gateways: Vec<(Arc<Shared>, Rule, Scope)>,
}

impl Town {
    fn start(redis: &Redis, count: usize, limit: u32, burst: u32) -> Self {
        let control = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let gateway = |_| {
            let (rule, scope) = rule(limit, burst);
            (Shared::start(&redis.url(), control.handle()).unwrap(), rule, scope)
        };
        let town = Self { gateways: (0..count).map(gateway).collect(), _control: control };
        wait_until("all gateways to be heard of", || {
            let knows = |(shared, ..): &(Arc<Shared>, _, _)| {
                shared.is_healthy() && shared.gateways() >= count as u32
            };
            town.gateways.iter().all(knows)
        });
        town
    }

    /// Runs something where deadlines come due.
    fn run<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sweep = pin!(wire::timer::sweep());
        runtime.block_on(async {
            tokio::select! { biased; output = future => output, () = sweep => unreachable!() }
        })
    }

    /// Each gateway is asked so many times a millisecond, in turn, for so long. How many were allowed,
    /// how long it took, and how long nine in ten waited at most.
    fn hammer(&self, each: &[u32], time: Duration) -> (u32, Duration, Duration) {
        Self::run(async {
            let begun = Moment::now();
            let mut allowed = 0;
            let mut waits = Vec::new();
            let mut ticks = interval(Duration::from_millis(1));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
            let mut turn = 0_u32;
            loop {
                ticks.tick().await;
                turn += 1;
                if Moment::now().since(begun) >= time {
                    waits.sort();
                    let wait = waits[waits.len() * 9 / 10];
                    return (allowed, Moment::now().since(begun), wait);
                }
                for ((shared, rule, scope), each) in self.gateways.iter().zip(each) {
                    // Up to a thousand a second each: so many in a thousand of these turns.
                    let asks = u64::from(turn) * u64::from(*each) / 1_000
                        - u64::from(turn - 1) * u64::from(*each) / 1_000;
                    for _ in 0..asks {
                        let asked = Moment::now();
                        let outcome = shared.take(rule, scope, Who::All, asked).await;
                        waits.push(Moment::now().since(asked));
                        allowed += u32::from(outcome.allowed);
                    }
                }
            }
        })
    }
}

/// What a rate allows in so long a time.
fn allows(limit: u32, burst: u32, time: Duration) -> f64 {
    f64::from(burst) + f64::from(limit) * time.as_secs_f64()
}

/// Three gateways, each asked so often a second, under one rate.
fn check(limit: u32, burst: u32, each: [u32; 3]) {
    let Some(redis) = Redis::start() else { return };
    let town = Town::start(&redis, 3, limit, burst);
    let (allowed, took, _) = town.hammer(&each, Duration::from_secs(3));
    let due = allows(limit, burst, took);
    let share = f64::from(allowed) / due;
    assert!((0.95..=1.05).contains(&share), "{allowed} of {due:.0} ({share:.3}), {each:?}");
    let asked: u64 = town.gateways.iter().map(|g| g.0.core.asked.load(Ordering::Relaxed)).sum();
    let alone: u64 = town.gateways.iter().map(|g| g.0.core.alone.load(Ordering::Relaxed)).sum();
    println!("{limit}/s, burst {burst}, {each:?}: {share:.3}, {asked} questions, {alone} alone");
}

#[test]
fn three_gateways_together_keep_to_the_rate() {
    check(1_000, 400, [1_000, 1_000, 1_000]);
    check(1_000, 1_000, [1_000, 600, 200]);
    check(100, 100, [300, 100, 20]);
}

#[test]
fn who_asks_seldom_loses_nothing_to_what_is_asked_ahead() {
    let Some(redis) = Redis::start() else { return };
    for (limit, burst, each) in [(5, 2, [2, 2, 0]), (40, 10, [38, 0, 0]), (100, 100, [30, 30, 30])]
    {
        let town = Town::start(&redis, 3, limit, burst);
        let (allowed, took, _) = town.hammer(&each, Duration::from_secs(2));
        let asked = f64::from(each.iter().sum::<u32>()) * took.as_secs_f64();
        assert!(f64::from(allowed) > asked * 0.95 - 2.0, "{allowed} of {asked:.0}: {limit}/s");
    }
}

#[test]
fn gateways_do_not_ask_for_each_request() {
    let Some(redis) = Redis::start() else { return };
    let town = Town::start(&redis, 1, 100_000, 100_000);
    let (allowed, ..) = town.hammer(&[5_000], Duration::from_secs(1));
    let asked = town.gateways[0].0.core.asked.load(Ordering::Relaxed);
    assert!(asked < u64::from(allowed) / 20, "{asked} questions for {allowed} requests");
    // Whoever is refused is refused without a question.
    let town = Town::start(&redis, 1, 1, 1);
    town.hammer(&[5_000], Duration::from_millis(500));
    let asked = town.gateways[0].0.core.asked.load(Ordering::Relaxed);
    assert!(asked <= 3, "{asked}");
}

#[test]
fn without_redis_each_counts_its_part_and_nobody_waits() {
    let Some(mut redis) = Redis::start() else { return };
    let town = Town::start(&redis, 3, 300, 30);
    town.hammer(&[300, 300, 300], Duration::from_millis(300));
    redis.freeze();
    // Until it is given up, some wait for the time that may be waited.
    let (_, _, wait) = town.hammer(&[100, 100, 100], Duration::from_millis(700));
    assert!(wait < Duration::from_millis(30), "{wait:?}");
    wait_until("all to give it up", || town.gateways.iter().all(|(s, ..)| !s.is_healthy()));
    let (allowed, took, wait) = town.hammer(&[300, 300, 300], Duration::from_secs(2));
    let due = allows(300, 30, took);
    assert!(f64::from(allowed) <= due * 1.05, "{allowed} of {due:.0}");
    assert!(f64::from(allowed) >= (due - 30.0) * 0.9, "{allowed} of {due:.0}");
    assert!(wait < Duration::from_millis(2), "{wait:?}");
    redis.thaw();
    wait_until("all to find it again", || town.gateways.iter().all(|(s, ..)| s.is_healthy()));
    redis.kill();
    wait_until("all to give it up", || town.gateways.iter().all(|(s, ..)| !s.is_healthy()));
    town.hammer(&[100, 100, 100], Duration::from_millis(100));
}

#[test]
fn what_is_remembered_is_bounded() {
    let now = Moment::from_nanos(1_000_000_000);
    let mut shard: HashMap<u128, Grant> = HashMap::new();
    for key in 0..3 * SHARD_MAX as u128 {
        make_room(&mut shard, key, now);
        shard.insert(key, Grant { until: now + UNUSED, ..Grant::new(now) });
        assert!(shard.len() <= SHARD_MAX);
    }
}

#[test]
fn lots_follow_demand() {
    let check = |limit, burst, used, passed_ms, lot| {
        let (rule, _) = rule(limit, burst);
        let since = Moment::from_nanos(0);
        let grant = Grant { used, ..Grant::new(since) };
        assert_eq!(grant.want(&rule, since + Duration::from_millis(passed_ms)), lot);
    };
    check(1_000, 1_000, 1, 0, 20); // a burst is a fiftieth at most
    check(1_000, 1_000, 100, 1_000, 5);
    check(1_000, 1_000, 1, 60_000, 1);
    check(10, 10, 1_000, 10, 1);
    check(10_000, 50, 1_000, 10, 50);
}

#[test]
fn rules_that_differ_are_apart() {
    let key = |limit, route: &str, who: Who<'_>| {
        let (rule, _) = rule(limit, 10);
        Scope::new(route, &rule.settings).key(who)
    };
    let keys = [
        key(1, "a", Who::All),
        key(2, "a", Who::All),
        key(1, "b", Who::All),
        key(1, "a", Who::Value(b"x")),
        key(1, "a", Who::Value(b"y")),
        key(1, "a", Who::Client(IpAddr::from([1, 2, 3, 4]))),
    ];
    let distinct: std::collections::HashSet<_> = keys.iter().collect();
    assert_eq!(distinct.len(), keys.len());
    assert_eq!(key(1, "a", Who::All), keys[0]);
}
