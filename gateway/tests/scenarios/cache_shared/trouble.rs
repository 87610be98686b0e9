//! Redis and Memcached killed, frozen, emptied, filled with junk and started again, while clients ask
//! and purges come: no failed request, no answer from before a purge that has returned.

use super::history::{Promise, World};
use super::{redis, several};
use base::Moment;
use scenario::redis::{Cluster, Watched};
use scenario::{Memcached, Redis};
use std::time::Duration;

/// Whatever it was, it leaves no traces.
#[track_caller]
fn is_used_again(world: &World) {
    world.herd().wait_all();
    world.herd().wait_tier(1);
}

#[test]
fn redis_is_killed_and_comes_back() {
    let Some(mut server) = Redis::start() else { return };
    let world = World::new(&redis(&server.url()), Promise::Told);
    world.herd().wait_all();
    world.run("Redis killed", |world| {
        world.spell(3);
        server.kill();
        world.spell(5);
        server.restart();
        world.spell(9);
        server.kill();
        server.restart();
        world.spell(9);
    });
    is_used_again(&world);
}

#[test]
fn redis_is_frozen_and_thaws() {
    let Some(server) = Redis::start() else { return };
    let world = World::new(&redis(&server.url()), Promise::Told);
    world.herd().wait_all();
    world.run("Redis frozen", |world| {
        world.spell(3);
        for spells in [1, 2, 6] {
            server.freeze();
            world.spell(spells);
            server.thaw();
            world.spell(4);
        }
    });
    is_used_again(&world);
}

/// Overwrites every value there is, some thousands at a time.
const JUNK: &str = "local n = 0 for _, key in ipairs(redis.call('KEYS', ARGV[1])) do \
                    redis.call('SET', key, ARGV[2]) n = n + 1 end return n";

fn junk(server: &Redis, pattern: &str, value: &str) {
    server.ask(&["EVAL", JUNK, "0", pattern, value]);
}

#[test]
fn redis_is_filled_with_junk() {
    let Some(server) = Redis::start() else { return };
    let world = World::new(&redis(&server.url()), Promise::Told);
    world.herd().wait_all();
    world.run("Redis filled with junk", |world| {
        world.spell(3);
        for value in ["", "junk", "\u{1}\u{2}\u{3}\u{4}", &"x".repeat(100_000)] {
            for _ in 0..4 {
                junk(&server, "fleetfoot:*", value);
                world.spell(1);
            }
        }
        // The deployment's own too: its counter, its log.
        junk(&server, "*", "junk");
        world.spell(9);
        for (field, value) in [("count", "many"), ("id", "nobody"), ("count", "-1")] {
            server.ask(&["HSET", "{fleetfoot::purges}:state", field, value]);
            world.spell(4);
        }
        world.spell(8);
    });
    is_used_again(&world);
}

#[test]
fn redis_is_emptied() {
    let Some(server) = Redis::start() else { return };
    let world = World::new(&redis(&server.url()), Promise::Told);
    world.herd().wait_all();
    world.run("Redis emptied", |world| {
        for _ in 0..3 {
            world.spell(3);
            server.ask(&["FLUSHALL"]);
        }
        world.spell(9);
        server.ask(&["DEL", "{fleetfoot::purges}:log"]);
        world.spell(3);
        server.ask(&["CLIENT", "KILL", "TYPE", "normal"]);
        server.ask(&["CLIENT", "KILL", "TYPE", "pubsub"]);
        world.spell(3);
    });
    is_used_again(&world);
}

#[test]
fn a_node_of_the_cluster_is_killed() {
    let Some(mut cluster) = Cluster::start() else { return };
    let lines = several("redis", &cluster.urls(), "redis_mode = \"cluster\"\n");
    let world = World::new(&lines, Promise::Told);
    world.herd().wait_all();
    world.run("a node of the cluster killed", |world| {
        world.spell(3);
        for node in 0..3 {
            cluster.nodes[node].kill();
            world.spell(4);
            cluster.nodes[node].restart();
            world.spell(6);
        }
    });
    is_used_again(&world);
}

#[test]
fn the_sentinels_make_another_master() {
    let Some(mut watched) = Watched::start() else { return };
    let more = format!("redis_mode = \"sentinel\"\nredis_master = \"{}\"\n", Watched::NAME);
    let world = World::new(&several("redis", &[watched.url()], &more), Promise::Told);
    world.herd().wait_all();
    world.run("the master killed", |world| {
        world.spell(3);
        watched.master.kill();
        world.spell(12);
        watched.master.restart();
        world.spell(9);
    });
    is_used_again(&world);
}

#[test]
fn one_of_two_memcached_is_killed() {
    let (Some(one), Some(mut other)) = (Memcached::start(), Memcached::start()) else { return };
    let servers = [one.address().to_string(), other.address().to_string()];
    let world = World::new(&several("memcached", &servers, ""), Promise::Own);
    world.run("one Memcached of two killed", |world| {
        world.spell(3);
        other.kill();
        world.spell(5);
        other.restart();
        world.spell(4);
        one.freeze();
        world.spell(4);
        one.thaw();
        world.spell(4);
        one.ask("flush_all\r\n");
        world.spell(3);
    });
}

/// A miss waits for a frozen Redis no longer than `shared_time`, and after a few not at all.
#[test]
fn a_frozen_redis_costs_a_few_misses_their_patience() {
    let Some(server) = Redis::start() else { return };
    let lines = format!("redis = {:?}\nshared_time = \"300ms\"\n", server.url());
    let herd = super::Herd::start(2, &lines, |number, request| {
        crate::cache_stage::ok(request, crate::cache_stage::FRESH, &number.to_string())
    });
    herd.wait_all();
    server.freeze();
    let times: Vec<Duration> = (0..60)
        .map(|page| {
            let began = Moment::now();
            assert_eq!(herd.text(0, &format!("/{page}")), "1");
            Moment::now().since(began)
        })
        .collect();
    let slow = times.iter().filter(|&&time| time >= Duration::from_millis(300)).count();
    let worst = times.iter().max().copied().unwrap_or_default();
    eprintln!("frozen: {slow} of 60 misses waited, the worst {worst:?}; the last {:?}", times[59]);
    // Five open the breaker, and the lease is over after a second.
    assert!(slow <= 6, "{times:?}");
    server.thaw();
    herd.wait_all();
    herd.wait_tier(1);
}
