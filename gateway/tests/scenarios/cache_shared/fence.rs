//! A gateway that is cut off while another purges: what it may still serve.
//!
//! Without `fence` it serves what it holds, and the purge says that it has worked `here`. With it, what
//! it holds is validated before each use, so that the purge holds for it as well.

use super::history::{Promise, World};
use super::{Herd, redis};
use crate::cache_stage::{FRESH, cache_status, not_modified, ok};
use scenario::gateway::Folder;
use scenario::origin::Action;
use scenario::server::wait_until;
use scenario::{Gate, Redis, Request};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// A page that has as many versions as were counted, and a 304 for who has the last one.
fn versioned(
    version: &Arc<AtomicUsize>,
) -> impl Fn(usize, &Request) -> Vec<Action> + Send + Sync + 'static {
    let version = Arc::clone(version);
    move |_, request| {
        let version = version.load(SeqCst);
        let fields = format!("{FRESH}ETag: \"{version}\"\r\nCache-Tag: t\r\n");
        if request.head.one("if-none-match") == Some(&format!("\"{version}\"")) {
            return not_modified(&fields);
        }
        ok(request, &fields, &version.to_string())
    }
}

fn fenced(server: &Redis) -> String {
    format!("fence = true\n{}", redis(&server.url()))
}

#[test]
fn unfenced_memory_is_served_until_the_link_is_back() {
    let Some(server) = Redis::start() else { return };
    let version = Arc::new(AtomicUsize::new(1));
    let herd = Herd::start(2, &redis(&server.url()), versioned(&version));
    herd.wait_all();
    assert_eq!([herd.text(0, "/a"), herd.text(1, "/a")], ["1", "1"]);
    server.freeze();
    version.store(2, SeqCst);
    assert_eq!(herd.purge(0, "{\"tags\":[\"t\"]}"), "here");
    // Here it holds, and there nobody knows.
    assert_eq!([herd.text(0, "/a"), herd.text(1, "/a")], ["2", "1"]);
    herd.gateways[1].wait_line("purges cannot be shared");
    assert_eq!(herd.text(1, "/a"), "1");
    server.thaw();
    wait_until("the purge to be told", || herd.text(1, "/a") == "2");
    // What the origin gave in the meantime was not asked for again and again.
    let fetches = herd.fetches("/a");
    assert!(fetches <= 4, "{}", herd.origin.report());
}

#[test]
fn fenced_memory_is_validated_while_the_link_is_down() {
    let Some(mut server) = Redis::start() else { return };
    let version = Arc::new(AtomicUsize::new(1));
    let herd = Herd::start(2, &fenced(&server), versioned(&version));
    herd.wait_all();
    assert_eq!([herd.text(0, "/a"), herd.text(1, "/a")], ["1", "1"]);
    for frozen in [true, false] {
        if frozen {
            server.freeze();
        } else {
            server.kill();
        }
        let now = version.fetch_add(1, SeqCst) + 1;
        assert_eq!(herd.purge(0, "{\"tags\":[\"t\"]}"), "here");
        assert_eq!([herd.text(0, "/a"), herd.text(1, "/a")], [(); 2].map(|()| now.to_string()));
        // What has not changed is asked about, not sent anew.
        herd.origin.forget();
        let answer = herd.get(1, "/a");
        assert_eq!(answer.text(), now.to_string());
        assert!(cache_status(&answer).contains("fwd=stale"), "{:?}", answer.head);
        assert!(herd.origin.request(1).head.has("if-none-match"));
        if frozen {
            server.thaw();
        } else {
            server.restart();
        }
        herd.wait_all();
        // Trust is back, and with it the store.
        herd.get(1, "/a");
        herd.origin.forget();
        assert_eq!(herd.text(1, "/a"), now.to_string());
        assert_eq!(herd.fetches("/a"), 0);
    }
}

/// Who asks after a purge that could not be told does not get what was asked for before it.
#[test]
fn in_doubt_nobody_joins_a_fetch_that_began_before() {
    // Whether something is held, or nothing.
    for held in [true, false] {
        let Some(server) = Redis::start() else { return };
        let (gate, version) = (Gate::new(), Arc::new(AtomicUsize::new(1)));
        let plain = versioned(&version);
        let wait = gate.clone();
        let slow = 1 + usize::from(held);
        let herd = Herd::start(2, &fenced(&server), move |number, request| {
            let mut actions = plain(number, request);
            if request.target == "/a" && number == slow {
                actions.insert(0, Action::Wait(wait.clone()));
            }
            actions
        });
        herd.wait_all();
        if held {
            herd.text(1, "/a");
        }
        server.freeze();
        herd.gateways[1].wait_line("purges cannot be shared");
        let mut first = herd.gateways[1].client();
        first.request("GET", "/a");
        herd.origin.head(slow);
        version.store(2, SeqCst);
        assert_eq!(herd.purge(0, "{\"tags\":[\"t\"]}"), "here");
        let mut second = herd.gateways[1].client();
        second.request("GET", "/a");
        assert!(second.is_quiet());
        gate.open();
        assert_eq!(first.response("GET").text(), "1");
        assert_eq!(second.response("GET").text(), "2");
        server.thaw();
    }
}

/// A service that fails meanwhile is no reason to fail as well.
#[test]
fn in_doubt_a_failing_service_is_stood_in_for() {
    let Some(server) = Redis::start() else { return };
    let version = Arc::new(AtomicUsize::new(1));
    let mut herd = Herd::start(2, &fenced(&server), versioned(&version));
    herd.wait_all();
    herd.text(1, "/a");
    server.freeze();
    herd.gateways[1].wait_line("purges cannot be shared");
    herd.origin.stop();
    assert_eq!(herd.text(1, "/a"), "1");
    server.thaw();
}

/// What lies on a disk is fenced as what lies in memory.
#[test]
fn in_doubt_the_disk_is_validated_too() {
    let Some(server) = Redis::start() else { return };
    let folder = Folder::new();
    let path = folder.path().join("cache").display().to_string();
    let lines = format!(
        "memory = \"0 B\"\n{}disk = {{ path = {path:?}, size = \"64 MiB\" }}\n",
        fenced(&server)
    );
    let version = Arc::new(AtomicUsize::new(1));
    let herd = Herd::start(1, &lines, versioned(&version));
    herd.wait_all();
    herd.text(0, "/a");
    wait_until("an answer from the disk", || {
        cache_status(&herd.get(0, "/a")).contains("detail=disk")
    });
    server.freeze();
    herd.gateways[0].wait_line("purges cannot be shared");
    for now in [1, 2] {
        version.store(now, SeqCst);
        herd.origin.forget();
        assert_eq!(herd.text(0, "/a"), now.to_string());
        assert_eq!(herd.fetches("/a"), 1);
    }
    server.thaw();
}

#[test]
fn no_purge_that_returned_is_forgotten_by_those_who_fence() {
    let Some(mut server) = Redis::start() else { return };
    let world = World::new(&fenced(&server), Promise::Fenced);
    world.herd().wait_all();
    world.run("fenced, Redis frozen, killed and emptied", |world| {
        world.spell(3);
        server.freeze();
        world.spell(8);
        server.thaw();
        world.spell(4);
        server.kill();
        world.spell(8);
        server.restart();
        world.spell(9);
        server.ask(&["FLUSHALL"]);
        world.spell(4);
    });
}
