//! A gateway starts whether the servers of its shared tier are there or not, and says so.

use super::{Herd, SHARED_TIME, redis};
use crate::cache_stage::{FRESH, ok};
use crate::stage::FLEETFOOT;
use scenario::gateway::{Folder, run};
use scenario::origin::Action;
use scenario::server::free_port;
use scenario::{Memcached, Redis, Request};

fn numbered(number: usize, request: &Request) -> Vec<Action> {
    ok(request, FRESH, &number.to_string())
}

#[track_caller]
fn works_alone(herd: &Herd) {
    for at in 0..herd.gateways.len() {
        let target = format!("/alone/{at}");
        assert_eq!([herd.text(at, &target), herd.text(at, &target)], ["1", "1"]);
        assert_eq!(herd.purge(at, "{\"all\":true}"), "here");
        assert_eq!(herd.text(at, &target), "2");
    }
}

#[test]
fn redis_comes_later() {
    let Some(mut server) = Redis::start() else { return };
    server.kill();
    let herd = Herd::start(2, &redis(&server.url()), numbered);
    for gateway in &herd.gateways {
        let line = gateway.wait_line("redis: no connection");
        assert!(line.contains(&server.address().to_string()), "{line}");
        gateway.wait_line("going on without it");
    }
    works_alone(&herd);
    server.restart();
    herd.wait_all();
    herd.wait_tier(1);
    herd.gateways[0].wait_line("shared again");
}

#[test]
fn the_password_comes_later() {
    let Some(server) = Redis::start_with(&["--requirepass", "right"]) else { return };
    let url = format!("redis://:wrong@{}", server.address());
    let herd = Herd::start(2, &redis(&url), numbered);
    for gateway in &herd.gateways {
        gateway.wait_line("redis: no connection");
        // What must not be read by whoever reads logs.
        let said = gateway.stderr();
        assert!(!said.contains("wrong@") && !said.contains(":wrong"), "{said}");
    }
    works_alone(&herd);
    server.ask(&["-a", "right", "CONFIG", "SET", "requirepass", "wrong"]);
    herd.wait_all();
    herd.wait_tier(1);
}

#[test]
fn memcached_comes_later() {
    let Some(mut server) = Memcached::start() else { return };
    server.kill();
    let lines = format!("memcached = \"{}\"\n{SHARED_TIME}", server.address());
    let herd = Herd::start(2, &lines, numbered);
    herd.gateways[0].wait_line("memcached");
    works_alone(&herd);
    server.restart();
    scenario::server::wait_until("purges to reach the tier", || {
        (0..2).all(|at| herd.purge(at, "{\"tags\":[\"nothing\"]}") == "tier")
    });
    herd.wait_tier(1);
}

/// Nobody at the port, and nobody ever.
#[test]
fn nobody_is_ever_there() {
    let herd = Herd::start(2, &redis(&format!("redis://127.0.0.1:{}", free_port())), numbered);
    works_alone(&herd);
}

#[test]
fn mistakes_are_told_with_their_line() {
    for (line, parts) in [
        ("redis = \"http://127.0.0.1:6379\"", ["cache.redis", "http://127.0.0.1:6379"]),
        ("redis = \"redis://\"", ["cache.redis", "redis://"]),
        ("redis = []", ["cache.redis", "empty"]),
        ("memory = \"lots\"", ["cache.memory", "lots"]),
        (
            "redis = \"redis://127.0.0.1\"\nshared_object_max = \"1 TiB\"",
            ["shared_object_max", "1 TiB"],
        ),
        ("redis = \"redis://127.0.0.1\"\nshared_time = \"0ms\"", ["shared_time", "0ms"]),
        ("memcached = \"127.0.0.1:99999\"", ["cache.memcached", "99999"]),
        ("redis = \"redis://127.0.0.1\"\nmemcached = \"127.0.0.1\"", ["cache.memcached", "redis"]),
        ("redis_mode = \"cluster\"", ["redis_mode", "redis"]),
    ] {
        let folder = Folder::new();
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\n[cache]\n{line}\n[service.shop]\n\
             servers = [\"http://127.0.0.1:1\"]\n"
        );
        let file = folder.write("gateway.toml", &text).display().to_string();
        for arguments in [&["check", &file][..], &["run", "--config", &file]] {
            let ended = run(&FLEETFOOT, arguments);
            assert_eq!(ended.code, Some(2), "{line}: {ended:?}");
            let at = 2 + line.lines().count();
            assert!(ended.stderr.contains(&format!(":{at}:")), "{line}:\n{}", ended.stderr);
            for part in parts {
                assert!(ended.stderr.contains(part), "{line}, {part}:\n{}", ended.stderr);
            }
        }
    }
}
