//! What gateways promise each other, against real servers that die, forget and come back.

use super::history;
use super::stage::{Gate, Stage, one};
use super::*;
use crate::settings::RedisMode;
use crate::stamps::Scope;
use base::Moment;
use scenario::server::wait_until;

/// Waits until a purge that another gateway asked for has hit an entry.
#[track_caller]
fn wait_hit(gate: &Gate, held: &stage::Held) {
    wait_until("a purge to arrive", || gate.standing(held) == Standing::Hard);
}

/// Waits until a new deployment has no unknown members any more.
#[track_caller]
fn wait_settled(gate: &Gate) {
    wait_until("a settled deployment", || matches!(gate.purge_tag("none"), Reached::All(_)));
}

#[test]
fn a_purge_reaches_three_gateways() {
    let Some(server) = scenario::Redis::start() else { return };
    let stage = Stage::new();
    let shared = one(server.url());
    let gates = [(); 3].map(|()| stage.trusted(&shared));
    wait_settled(&gates[0]);
    let (mut heard, mut returned) = (Vec::new(), Vec::new());
    for n in 0..50 {
        let tag = format!("tag-{n}");
        let held: Vec<_> = gates.iter().map(|gate| gate.fetch(n, &tag)).collect();
        let began = Moment::now();
        let scopes = vec![Scope::Tag(tag)];
        let asked = gates[0].shared.purge(&Purge { scopes, soft: false });
        let all =
            || gates.iter().zip(&held).all(|(gate, held)| gate.standing(held) == Standing::Hard);
        while !all() {
            assert!(Moment::now().since(began) < Duration::from_secs(5));
            std::thread::yield_now();
        }
        heard.push(Moment::now().since(began));
        assert_eq!(stage.runtime.block_on(asked), Reached::All(3));
        returned.push(Moment::now().since(began));
    }
    heard.sort();
    returned.sort();
    println!(
        "purge to three gateways: heard p50 {:?}, worst {:?}; returned p50 {:?}, worst {:?}",
        heard[25], heard[49], returned[25], returned[49]
    );
    assert!(heard[25] < Duration::from_millis(50), "{heard:?}");
}

#[test]
fn values_pass_between_gateways_and_die_by_purges() {
    let Some(server) = scenario::Redis::start() else { return };
    let stage = Stage::new();
    let shared = one(server.url());
    let (a, b) = (stage.trusted(&shared), stage.trusted(&shared));
    wait_settled(&a);
    check_values(&a, &b, true);
    // I9: a gateway that starts later knows of the purges.
    let c = stage.trusted(&shared);
    let held = a.fetch(9, "later");
    a.put(&held, b"old");
    wait_until("the value", || c.serve(&held).is_some());
    assert_eq!(a.purge_tag("later"), Reached::All(3));
    let d = stage.trusted(&shared);
    for gate in [&a, &b, &c, &d] {
        assert_eq!(gate.serve(&held), None);
    }
    // One that goes takes leave: it is not waited for.
    drop(d);
    wait_until("three to be left", || a.purge_tag("none") == Reached::All(3));
    // M6: nothing that lists keys.
    let commands = server.ask(&["INFO", "commandstats"]);
    for never in ["cmdstat_keys", "cmdstat_scan", "cmdstat_mget"] {
        assert!(!commands.contains(never), "{commands}");
    }
}

/// What holds for Redis and Memcached alike.
#[track_caller]
fn check_values(a: &Gate, b: &Gate, everywhere: bool) {
    let purged =
        |reached| if everywhere { reached == Reached::All(2) } else { reached == Reached::Tier };
    let url = |held: &stage::Held| Scope::Url(held.url);
    let scopes: [&dyn Fn(&stage::Held) -> Scope; 5] = [
        &url,
        &|_| Scope::Tag("tag".to_owned()),
        &|_| Scope::Host("shop.test".to_owned()),
        &|_| Scope::Prefix(b"shop.test/it".to_vec()),
        &|_| Scope::All,
    ];
    for (n, scope) in scopes.iter().enumerate() {
        for soft in [false, true] {
            let held = put_and_see(a, b, n as u128 + 1);
            assert!(purged(b.purge(scope(&held), soft)), "{:?}", scope(&held));
            for gate in [a, b] {
                let served = gate.serve(&held).map(|(_, standing)| standing);
                assert_eq!(served, soft.then_some(Standing::Soft), "{:?} {soft}", scope(&held));
            }
        }
    }
    // I4: what was fetched before a purge is not stored after it.
    let held = a.fetch(20, "tag");
    assert!(purged(b.purge_tag("tag")));
    a.put(&held, b"old");
    let fresh = put_and_see(a, b, 21);
    assert_eq!(b.serve(&held), None);
    assert!(b.serve(&fresh).is_some());
}

/// A value of gateway `a` that gateway `b` gets.
#[track_caller]
fn put_and_see(a: &Gate, b: &Gate, url: u128) -> stage::Held {
    let mut held = a.fetch(url, "tag");
    wait_until("a value", || {
        held = a.fetch(url, "tag");
        a.put(&held, b"body");
        let served = b.serve(&held);
        served == Some((b"body".to_vec(), Standing::Good))
    });
    held
}

#[test]
fn a_gateway_that_was_cut_off_catches_up() {
    let Some(server) = scenario::Redis::start() else { return };
    let stage = Stage::new();
    let shared = one(server.url());
    let (a, b) = (stage.trusted(&shared), stage.trusted(&shared));
    let held = put_and_see(&a, &b, 1);
    let other = put_and_see(&a, &b, 2);
    server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
    server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    a.purge(Scope::Url(1), false);
    wait_hit(&b, &held);
    a.wait_trusted();
    b.wait_trusted();
    assert_eq!(b.serve(&held), None);
    wait_until("no more than asked to be purged", || {
        a.serve(&other).map(|(_, standing)| standing) == Some(Standing::Good)
    });
}

/// I5: while Redis is frozen or gone, purges work here, are kept, and reach the others afterwards.
#[test]
fn purges_without_a_link_are_kept_for_the_others() {
    let Some(mut server) = scenario::Redis::start_with(&["--appendonly", "yes"]) else { return };
    let stage = Stage::new();
    let shared = one(server.url());
    let (a, b) = (stage.trusted(&shared), stage.trusted(&shared));
    for frozen in [true, false] {
        let held = put_and_see(&a, &b, 1);
        let spared = put_and_see(&a, &b, 2);
        let at_b = b.fetch(1, "tag");
        if frozen {
            server.freeze();
        } else {
            server.kill();
        }
        let began = Moment::now();
        assert_eq!(a.purge(Scope::Url(1), false), Reached::Here);
        println!("a purge without a link returned after {:?}", Moment::now().since(began));
        assert_eq!(a.standing(&held), Standing::Hard, "here at once");
        assert!(!a.shared.is_trusted() && a.serve(&spared).is_none(), "the tier is not read");
        wait_until("b to doubt", || !b.shared.is_trusted());
        let doubt = Moment::now().since(began);
        assert!(doubt < LEASE + Duration::from_millis(500), "{doubt:?}");
        // What is fetched now is younger than the purge here.
        let fetched = a.fetch(1, "tag");
        assert_eq!(a.standing(&fetched), Standing::Good);
        stage.wait_said("purges cannot be shared");
        if frozen {
            server.thaw();
        } else {
            server.restart();
        }
        wait_hit(&b, &at_b);
        a.wait_trusted();
        b.wait_trusted();
        assert_eq!((a.serve(&held), b.serve(&held)), (None, None));
        if frozen {
            wait_until("no more than asked to be purged", || a.serve(&spared).is_some());
        }
        assert_eq!(a.shared.purges().waiting.get(), 0);
        assert_eq!(a.shared.purges().everything.get(), 0);
    }
    stage.wait_said("purges are shared again");
}

#[test]
fn a_redis_that_forgot_makes_everything_purged() {
    let Some(mut server) = scenario::Redis::start() else { return };
    let stage = Stage::new();
    let shared = one(server.url());
    let (a, b) = (stage.trusted(&shared), stage.trusted(&shared));
    for restarted in [true, false] {
        let held = put_and_see(&a, &b, 1);
        let lineage = a.shared.lineage();
        if restarted {
            server.restart();
        } else {
            server.ask(&["FLUSHALL"]);
        }
        wait_hit(&a, &held);
        wait_hit(&b, &held);
        wait_until("a new deployment", || {
            a.shared.lineage() != lineage && a.shared.lineage() == b.shared.lineage()
        });
        a.wait_trusted();
        b.wait_trusted();
        put_and_see(&b, &a, 2);
        wait_settled(&b);
        assert_eq!(a.purge_tag("tag"), Reached::All(2));
    }
    stage.wait_said("the deployment's purges are lost");
}

/// A server that was set back to an older state has lost purges: its values must not come back.
#[test]
fn a_redis_that_was_set_back_begins_anew() {
    let Some(mut server) = scenario::Redis::start_with(&["--appendonly", "no"]) else { return };
    let stage = Stage::new();
    let shared = one(server.url());
    let a = stage.trusted(&shared);
    a.purge_tag("first");
    let held = put_and_see(&a, &a, 1);
    server.ask(&["SAVE"]);
    a.purge(Scope::Url(1), false);
    server.kill();
    server.restart();
    a.wait_trusted();
    assert_eq!(a.serve(&held), None);
    let b = stage.trusted(&shared);
    assert_eq!(b.serve(&held), None, "a newcomer as well");
    assert!(server.ask(&["DBSIZE"]).parse::<u32>().unwrap() >= 2, "it was still there");
}

#[test]
fn a_log_that_does_not_reach_back_makes_everything_purged() {
    let Some(server) = scenario::Redis::start() else { return };
    let stage = Stage::new();
    let shared = one(server.url());
    let (a, b) = (stage.trusted(&shared), stage.trusted(&shared));
    let held = put_and_see(&a, &b, 1);
    let lineage = a.shared.lineage();
    // As if many had been purged and the log trimmed while nobody listened.
    let count = server.ask(&["HGET", "{ff:purges}:state", "count"]).parse::<u64>().unwrap();
    server.ask(&["DEL", "{ff:purges}:log"]);
    server.ask(&["HSET", "{ff:purges}:state", "count", &(count + 500).to_string()]);
    for gate in [&a, &b] {
        wait_hit(gate, &held);
        assert_eq!((gate.shared.lineage(), gate.serve(&held)), (lineage, None));
        assert_eq!(gate.shared.purges().everything.get(), 1);
    }
    assert_eq!(stage.trusted(&shared).serve(&held), None, "a newcomer as well");
    put_and_see(&a, &b, 2);
}

#[test]
fn many_purges_at_once_reach_everybody() {
    let Some(server) = scenario::Redis::start() else { return };
    let stage = Stage::new();
    let shared = one(server.url());
    let gates = [(); 3].map(|()| stage.trusted(&shared));
    wait_settled(&gates[0]);
    let held: Vec<_> = (0..3_000).map(|n| gates[n % 3].fetch(n as u128, "x")).collect();
    let began = Moment::now();
    let asked: Vec<_> = held
        .iter()
        .enumerate()
        .map(|(n, held)| {
            let scopes = vec![Scope::Url(held.url)];
            gates[n % 3].shared.purge(&Purge { scopes, soft: false })
        })
        .collect();
    let answers: Vec<_> = asked.into_iter().map(|asked| stage.runtime.block_on(asked)).collect();
    println!("3000 purges from three gateways: {:?}", Moment::now().since(began));
    let all = answers.iter().filter(|answer| matches!(answer, Reached::All(3))).count();
    assert!(all > 2_900, "{all} reached all in time");
    for gate in &gates {
        wait_until("all", || held.iter().all(|held| gate.standing(held) == Standing::Hard));
    }
}

#[test]
fn gateways_share_through_a_cluster() {
    let Some(cluster) = scenario::redis::Cluster::start() else { return };
    let stage = Stage::new();
    let redis = stage::redis(cluster.urls(), RedisMode::Cluster);
    let shared = settings::Shared::Redis(redis);
    let (a, b) = (stage.trusted(&shared), stage.trusted(&shared));
    wait_settled(&a);
    check_values(&a, &b, true);
    let mut heard: Vec<_> = (0..20)
        .map(|n| {
            let held = b.fetch(n, "tag");
            let began = Moment::now();
            assert_eq!(a.purge_tag("tag"), Reached::All(2));
            assert_eq!(b.standing(&held), Standing::Hard);
            Moment::now().since(began)
        })
        .collect();
    heard.sort();
    println!("purge through a cluster: p50 {:?}, worst {:?}", heard[10], heard[19]);
    assert!(heard[10] < Duration::from_millis(50), "{heard:?}");
}

#[test]
fn a_failover_loses_no_purge() {
    let Some(mut watched) = scenario::redis::Watched::start() else { return };
    let stage = Stage::new();
    let mode = RedisMode::Sentinel(scenario::redis::Watched::NAME.to_owned());
    let shared = settings::Shared::Redis(stage::redis(vec![watched.url()], mode));
    let (a, b) = (stage.trusted(&shared), stage.trusted(&shared));
    let held = put_and_see(&a, &b, 1);
    a.purge(Scope::Url(1), false);
    watched.master.kill();
    wait_until("b to doubt", || !b.shared.is_trusted());
    a.wait_trusted();
    b.wait_trusted();
    assert_eq!((a.serve(&held), b.serve(&held)), (None, None));
    wait_settled(&a);
    let fresh = put_and_see(&a, &b, 2);
    assert_eq!(a.purge(Scope::Url(2), false), Reached::All(2));
    assert_eq!(b.serve(&fresh), None);
}

#[test]
fn no_redis_is_doubt_and_not_an_error() {
    let stage = Stage::new();
    let gate = stage.gateway(&one(format!("redis://127.0.0.1:{}", scenario::server::free_port())));
    stage.wait_said("no connection");
    assert!(!gate.shared.is_trusted());
    let held = gate.fetch(1, "tag");
    assert_eq!(gate.purge_tag("tag"), Reached::Here);
    assert_eq!(gate.standing(&held), Standing::Hard);
    assert_eq!(gate.serve(&held), None);
}

fn memcached(servers: &[&scenario::Memcached]) -> settings::Shared {
    let servers = servers.iter().map(|server| server.address().to_string()).collect();
    settings::Shared::Memcached(settings::Memcached { servers, prefix: "ff".to_owned() })
}

#[test]
fn values_pass_through_memcached_and_die_by_purges() {
    let servers = [(); 3].map(|()| scenario::Memcached::start());
    let [Some(one), Some(two), Some(three)] = &servers else { return };
    let stage = Stage::new();
    let shared = memcached(&[one, two, three]);
    let (a, b) = (stage.trusted(&shared), stage.trusted(&shared));
    check_values(&a, &b, false);
    for server in [one, two, three] {
        assert_ne!(server.ask("mg none\r\n"), "");
    }
}

#[test]
fn large_values_pass_through_memcached() {
    let Some(server) = scenario::Memcached::start() else { return };
    let stage = Stage::new();
    let gate = stage.trusted(&memcached(&[&server]));
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let mut held = gate.fetch(1, "tag");
    wait_until("a large value", || {
        held = gate.fetch(1, "tag");
        gate.put(&held, &body);
        gate.serve(&held).is_some_and(|(served, _)| served == body)
    });
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let began = Moment::now();
            gate.serve(&gate.fetch(2, "tag"));
            Moment::now().since(began)
        })
        .collect();
    times.sort();
    println!("memcached: a miss p50 {:?}, p99 {:?}", times[100], times[198]);
    let small = put_and_see(&gate, &gate, 3);
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let began = Moment::now();
            assert!(gate.serve(&small).is_some());
            Moment::now().since(began)
        })
        .collect();
    times.sort();
    println!("memcached: a hit with a tag p50 {:?}, p99 {:?}", times[100], times[198]);
}

#[test]
fn a_memcached_that_goes_costs_the_deadline_at_most() {
    let Some(mut server) = scenario::Memcached::start() else { return };
    let stage = Stage::new();
    let gate = stage.trusted(&memcached(&[&server]));
    for frozen in [true, false] {
        let held = put_and_see(&gate, &gate, 1);
        if frozen {
            server.freeze();
        } else {
            server.kill();
        }
        // Until the lease ends it is asked, each time within the deadline.
        wait_until("doubt", || {
            assert_eq!(gate.serve(&held), None);
            !gate.shared.is_trusted()
        });
        assert_eq!(gate.purge_tag("tag"), Reached::Here);
        if frozen {
            server.thaw();
        } else {
            server.restart();
        }
        gate.wait_trusted();
        assert_eq!(gate.serve(&held), None, "purged meanwhile");
        assert_eq!(gate.shared.purges().waiting.get(), 0);
    }
    assert!(gate.shared.meter().opened.get() > 0, "{:?}", gate.shared.meter());
    put_and_see(&gate, &gate, 1);
}

/// Evicted versions, and a lost counter, never bring a purged value back.
#[test]
fn what_memcached_forgets_counts_as_purged() {
    let Some(server) = scenario::Memcached::start() else { return };
    let stage = Stage::new();
    let shared = memcached(&[&server]);
    let (a, b) = (stage.trusted(&shared), stage.trusted(&shared));
    let held = put_and_see(&a, &b, 1);
    assert_eq!(a.purge_tag("tag"), Reached::Tier);
    let tag = crate::stamps::hash_tag("tag");
    for key in [format!("ff:t:{tag:016x}"), "ff:count".to_owned(), "ff:all".to_owned()] {
        assert_eq!(server.ask(&format!("md {key}\r\n")), "HD");
        assert_eq!((a.serve(&held), b.serve(&held)), (None, None), "{key}");
        put_and_see(&b, &a, 2);
        assert_eq!((a.serve(&held), b.serve(&held)), (None, None), "{key}");
    }
    let held = put_and_see(&a, &b, 1);
    server.ask("flush_all\r\n");
    assert_eq!(b.serve(&held), None);
    for junk in ["x", "1 2", "-1 0 0"] {
        let set = format!("ms ff:count {} T0\r\n{junk}\r\n", junk.len());
        assert_eq!(server.ask(&set), "HD");
        put_and_see(&a, &b, 3);
    }
}

/// Gateways with a memory that is fenced by trust, an origin whose values only grow, and a Redis to
/// which everything happens: after a purge that reached all, nobody serves what was before it; after
/// any other, its own gateway does not.
#[test]
fn a_history_with_faults_has_no_stale_answer() {
    let Some(server) = scenario::Redis::start_with(&["--appendonly", "yes"]) else { return };
    let shared = one(server.url());
    check_history(&shared, history::Place::Redis(server));
}

#[test]
fn a_history_of_memcached_has_no_stale_answer() {
    let Some(server) = scenario::Memcached::start() else { return };
    let shared = memcached(&[&server]);
    check_history(&shared, history::Place::Memcached(server));
}

#[track_caller]
fn check_history(shared: &settings::Shared, place: history::Place) {
    let stage = Stage::new();
    let world = history::World::new([(); 3].map(|()| stage.gateway(shared)), place);
    std::thread::scope(|scope| {
        let world = &world;
        for place in 0..3 {
            scope.spawn(move || world.read(place));
            scope.spawn(move || world.write(place));
        }
        world.trouble();
    });
    let [memory, tier, all, some, here] = world.counts();
    println!(
        "a history with faults: {memory} answers from memory, {tier} from the tier; purges reached \
         all {all}, some {some}, here {here}"
    );
    assert!(tier > 0 && all > 0 && here > 0);
}
