//! The tier against real servers: values, expiry, failures, TLS, cluster and sentinels.

use super::*;
use crate::settings::RedisMode;
use crate::shared::stage::{KEEP, Stage, TIME, answer, redis};
use scenario::server::wait_until;

const LIMITS: Limits = Limits { time: TIME, object_max: 8 << 20 };

#[track_caller]
fn tier(stage: &Stage, settings: Redis) -> Arc<RedisTier> {
    let tier = RedisTier::start(settings, LIMITS, stage.runtime.handle(), stage.say());
    tier.set_lineage(1);
    tier
}

#[track_caller]
fn connected(stage: &Stage, url: String) -> Arc<RedisTier> {
    let tier = tier(stage, redis(vec![url], RedisMode::Single));
    wait_connected(&tier);
    tier
}

#[track_caller]
fn wait_connected(tier: &RedisTier) {
    let full = |lanes: &Lanes| lanes.iter().all(|lane| lane.connection().is_some());
    wait_until("connections", || full(&tier.core.small) && full(&tier.core.large));
}

/// Stores a value and waits until that is done.
#[track_caller]
fn put(tier: &RedisTier, key: u128, value: &[u8], keep: Duration) {
    let before = tier.meter().puts.get();
    tier.put(key, value.to_vec(), keep);
    wait_until("a put", || tier.meter().puts.get() > before || tier.meter().dropped.get() > 0);
    assert_eq!(tier.meter().dropped.get(), 0);
}

#[track_caller]
fn check_round_trip(tier: &RedisTier, key: u128, size: usize) {
    let value: Vec<u8> = (0..size).map(|n| (n % 251) as u8).collect();
    put(tier, key, &value, KEEP);
    assert!(answer(tier.get(key)) == Ok(Some(value)), "{size} bytes: {:?}", tier.meter());
}

#[test]
fn values_of_all_sizes_come_back_and_leave_nothing() {
    let Some(server) = scenario::Redis::start() else { return };
    let stage = Stage::new();
    let tier = connected(&stage, server.url());
    assert_eq!(answer(tier.get(1)), Ok(None));
    for (key, size) in [(1, 0), (2, 1_000), (3, CHUNK), (4, CHUNK + 1), (5, 3_000_000)] {
        check_round_trip(&tier, key, size);
    }
    // Another value in a chunked one's place takes its chunks with it.
    check_round_trip(&tier, 5, 2_000_000);
    check_round_trip(&tier, 5, 10);
    for key in 1..=5 {
        tier.forget(key);
    }
    wait_until("all to be forgotten", || server.ask(&["DBSIZE"]) == "0");
    assert_eq!(answer(tier.get(5)), Ok(None));
}

#[test]
fn values_expire_in_the_server() {
    let Some(server) = scenario::Redis::start() else { return };
    let stage = Stage::new();
    let tier = connected(&stage, server.url());
    put(&tier, 1, b"short", Duration::from_millis(50));
    wait_until("the end of a value", || server.ask(&["DBSIZE"]) == "0");
    put(&tier, 1, &vec![7; CHUNK + 1], KEEP);
    let keys = server.ask(&["KEYS", "*"]);
    assert_eq!(keys.lines().count(), 3);
    for key in keys.lines() {
        assert!(server.ask(&["TTL", key]).parse::<i32>().unwrap() > 0, "{key} is for ever");
    }
}

#[test]
fn what_is_not_ours_is_a_miss() {
    let Some(server) = scenario::Redis::start() else { return };
    let stage = Stage::new();
    let tier = connected(&stage, server.url());
    let key = tier.core.key(1);
    for junk in ["", "junk", "FFT1 and more than forty-eight bytes of something else"] {
        server.ask(&["SET", &key, junk]);
        assert_eq!(answer(tier.get(1)), Ok(None), "{junk:?}");
    }
    server.ask(&["DEL", &key]);
    server.ask(&["LPUSH", &key, "a list"]);
    assert_eq!(answer(tier.get(1)), Ok(None));
    assert_eq!(tier.meter().junk.get(), 4);
    // It is in nobody's way.
    tier.put(1, b"value".to_vec(), KEEP);
    wait_until("the value", || answer(tier.get(1)) == Ok(Some(b"value".to_vec())));
    // One of another key, moved here, and one with a chunk that is missing or damaged.
    server.ask(&["COPY", &key, &tier.core.key(2)]);
    assert_eq!(answer(tier.get(2)), Ok(None));
    for damage in ["DEL", "APPEND"] {
        put(&tier, 3, &vec![7; CHUNK + 1], KEEP);
        let pattern = format!("{}:*:1", tier.core.key(3));
        let chunk = server.ask(&["KEYS", &pattern]);
        let more: &[&str] = if damage == "DEL" { &[] } else { &["x"] };
        server.ask(&[&[damage, &chunk], more].concat());
        assert_eq!(answer(tier.get(3)), Ok(None), "{damage}");
    }
    // A deployment that is over.
    tier.set_lineage(2);
    assert_eq!(answer(tier.get(1)), Ok(None));
}

#[test]
fn large_values_do_not_stand_before_small_ones() {
    let Some(server) = scenario::Redis::start() else { return };
    let stage = Stage::new();
    let tier = connected(&stage, server.url());
    put(&tier, 1, b"small", KEEP);
    put(&tier, 2, &vec![1; 8 << 20], KEEP);
    let alone = measure(&tier, "alone");
    let busy: Vec<_> = (0..16).map(|_| tier.get(2)).collect();
    let beside = measure(&tier, "beside sixteen reads of 8 MiB");
    drop(busy);
    assert!(beside < alone + TIME, "{beside:?}");
}

fn measure(tier: &RedisTier, what: &str) -> Duration {
    let mut times: Vec<Duration> = (0..300)
        .map(|_| {
            let began = Moment::now();
            let _ = answer(tier.get(1));
            Moment::now().since(began)
        })
        .collect();
    times.sort();
    let (half, most) = (times[150], times[297]);
    println!("redis: a read of a small value {what}: p50 {half:?}, p99 {most:?}");
    half
}

/// M5: killed, frozen and started again, reads end within the deadline, the breaker opens and closes.
#[test]
fn a_server_that_goes_costs_the_deadline_at_most() {
    let Some(mut server) = scenario::Redis::start() else { return };
    let stage = Stage::new();
    let tier = connected(&stage, server.url());
    put(&tier, 1, b"value", KEEP);
    server.freeze();
    wait_until("the breaker to open", || {
        assert_eq!(answer(tier.get(1)).ok(), None);
        tier.state() == State::Open
    });
    assert!(tier.meter().timeouts.get() >= 5, "{:?}", tier.meter());
    let began = Moment::now();
    let _ = answer(tier.get(1));
    assert!(Moment::now().since(began) < Duration::from_millis(50), "refused at once");
    server.thaw();
    wait_until("the value", || answer(tier.get(1)) == Ok(Some(b"value".to_vec())));
    assert_eq!((tier.state(), tier.meter().open.get()), (State::Closed, 0));
    server.kill();
    wait_until("the breaker to open", || {
        assert_eq!(answer(tier.get(1)).ok(), None);
        tier.state() == State::Open
    });
    stage.wait_said("no connection to 127.0.0.1");
    server.restart();
    wait_until("a miss", || answer(tier.get(1)) == Ok(None));
    stage.wait_said("again");
    check_round_trip(&tier, 1, 100);
}

#[test]
fn a_server_that_never_was_is_a_warning() {
    let stage = Stage::new();
    let url = format!("redis://:secret@127.0.0.1:{}", scenario::server::free_port());
    let tier = tier(&stage, redis(vec![url], RedisMode::Single));
    let warning = stage.wait_said("no connection to");
    assert!(!warning.contains("secret"), "{warning}");
    assert_eq!(answer(tier.get(1)).ok(), None);
    tier.put(1, b"value".to_vec(), KEEP);
    wait_until("it to be dropped", || tier.meter().dropped.get() == 1);
}

#[test]
fn a_wrong_password_is_a_clear_warning() {
    let Some(server) = scenario::Redis::start_with(&["--requirepass", "open-sesame"]) else {
        return;
    };
    let stage = Stage::new();
    let with = |password: &str| server.url().replace("redis://", &format!("redis://:{password}@"));
    let wrong = tier(&stage, redis(vec![with("sesame")], RedisMode::Single));
    let warning = stage.wait_said("no connection to");
    assert!(warning.contains("assword") || warning.contains("uth"), "{warning}");
    println!("{warning}");
    assert_eq!(answer(wrong.get(1)).ok(), None);
    check_round_trip(&connected(&stage, with("open-sesame")), 1, 100);
}

#[test]
fn writes_are_dropped_under_pressure() {
    let Some(server) = scenario::Redis::start() else { return };
    let stage = Stage::new();
    let tier = connected(&stage, server.url());
    server.freeze();
    let began = Moment::now();
    for key in 0..2_000 {
        tier.put(key, vec![1; 100_000], KEEP);
    }
    let took = Moment::now().since(began);
    assert!(took < Duration::from_secs(1), "{took:?}");
    assert!(tier.meter().dropped.get() >= 2_000 - WRITES_MAX as u64);
    server.thaw();
    tier.put(1, vec![1; LIMITS.object_max + 1], KEEP);
    wait_until("the rest to be written", || tier.meter().waiting_bytes.get() == 0);
}

#[test]
fn tls_needs_someone_who_vouches() {
    let folder = scenario::gateway::Folder::new();
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let certificate = folder.write("certificate.pem", &made.cert.pem());
    let key = folder.write("key.pem", &made.signing_key.serialize_pem());
    let Some(server) = scenario::Redis::start_tls(&certificate, &key) else { return };
    let stage = Stage::new();
    let url = server.url().replace("redis://", "rediss://");
    let mut settings = redis(vec![url], RedisMode::Single);
    let stranger = tier(&stage, settings.clone());
    println!("{}", stage.wait_said("no connection to"));
    assert_eq!(answer(stranger.get(1)).ok(), None);
    settings.trust = Some(certificate);
    let tier = tier(&stage, settings);
    wait_connected(&tier);
    check_round_trip(&tier, 1, CHUNK + 1);
}

#[test]
fn a_cluster_holds_values_on_all_nodes() {
    let Some(cluster) = scenario::redis::Cluster::start() else { return };
    let stage = Stage::new();
    let tier = tier(&stage, redis(cluster.urls(), RedisMode::Cluster));
    wait_connected(&tier);
    let mut random = fastrand::Rng::with_seed(3);
    let keys: Vec<u128> = (0..30).map(|_| random.u128(..)).collect();
    for (n, &key) in keys.iter().enumerate() {
        check_round_trip(&tier, key, if n % 10 == 0 { CHUNK * 3 } else { 100 });
    }
    for node in &cluster.nodes {
        assert_ne!(node.ask(&["DBSIZE"]), "0");
    }
    for key in keys {
        tier.forget(key);
    }
    wait_until("all to be forgotten", || {
        cluster.nodes.iter().all(|node| node.ask(&["DBSIZE"]) == "0")
    });
}

#[test]
fn sentinels_lead_to_the_next_master() {
    let Some(mut watched) = scenario::redis::Watched::start() else { return };
    let stage = Stage::new();
    let mode = RedisMode::Sentinel(scenario::redis::Watched::NAME.to_owned());
    let tier = tier(&stage, redis(vec![watched.url()], mode));
    wait_connected(&tier);
    check_round_trip(&tier, 1, 100);
    watched.master.kill();
    let mut value = None;
    wait_until("the next master to answer", || {
        value = answer(tier.get(1)).ok();
        value.is_some()
    });
    tier.put(2, b"value".to_vec(), KEEP);
    wait_until("a value in it", || {
        tier.put(2, b"value".to_vec(), KEEP);
        answer(tier.get(2)) == Ok(Some(b"value".to_vec()))
    });
}
