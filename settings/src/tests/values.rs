//! What files mean.

use super::{SHOP, settings};
use crate::model::{Forward, Listener, Settings};
use service::settings::{HostRule, Http, Scheme, Server};
use std::path::PathBuf;
use std::time::Duration;
use wire::settings::{Limits, TlsVersion, Trust};

#[test]
fn a_service_is_all_it_takes() {
    let found = settings(SHOP);
    assert_eq!(found.listen, [Listener { address: Settings::LISTEN, tls: false }]);
    assert_eq!(found.admin, Some(Settings::ADMIN));
    assert_eq!((found.threads, found.grace), (None, Settings::GRACE));
    assert_eq!((&found.limits, &found.tls), (&Limits::standard(), &None));
    assert_eq!(found.forward, Forward::standard());
    assert_eq!(found.monitor, monitor::settings::Settings::standard());
    assert_eq!(found.cache, cache::settings::Settings::standard());
    let server =
        Server { scheme: Scheme::Http, host: "localhost".to_owned(), port: 3000, address: None };
    let shop = service::settings::Settings::standard("shop".to_owned(), vec![server.into()]);
    assert_eq!(found.services, [shop]);
    assert_eq!(
        found.routes,
        [crate::lower::routes::everything(cache::settings::Rules::standard())]
    );
}

#[test]
fn a_url_is_all_it_takes() {
    let found = crate::for_url(&["http://localhost:3000/".to_owned()], &[], None).expect("legal");
    let file = settings(&SHOP.replace("shop", "origin"));
    assert_eq!(found, file);
    let listen = ["0.0.0.0:0".to_owned(), "localhost:81".to_owned()];
    let found = crate::for_url(&["http://a".to_owned()], &listen, Some("off")).expect("legal");
    assert_eq!(found.listen.len(), 2);
    assert_eq!(found.admin, None);
}

#[test]
fn flags_stand_over_a_file() {
    let mut found = settings(SHOP);
    crate::override_listen(&mut found, &[]).expect("nothing to do");
    assert_eq!(found, settings(SHOP));
    crate::override_listen(&mut found, &["[::1]:8081".to_owned()]).expect("legal");
    crate::override_admin(&mut found, "127.0.0.1:9901").expect("legal");
    assert_eq!(
        found,
        settings(&format!("listen = \"[::1]:8081\"\nadmin = \"127.0.0.1:9901\"\n{SHOP}"))
    );
    let before = found.clone();
    for wrong in ["https://127.0.0.1:1", "127.0.0.1:9901", "x"] {
        crate::override_listen(&mut found, &[wrong.to_owned()]).expect_err(wrong);
        assert_eq!(found, before);
    }
    crate::override_admin(&mut found, "[::1]:8081").expect_err("taken");
    assert_eq!(found, before);
}

#[test]
fn everything_can_be_said() {
    let found = settings(
        r#"
listen = ["https://0.0.0.0:443", "http://[::1]:80"]
admin = false
threads = "${THREADS:-4}"
grace = "1m30s"
[limits]
body_bytes = "1.5 MiB"
requests = 1_000
[tls]
minimum = "1.3"
certificates = [{ chain = "a.pem", key = "/b.pem" }]
[forward]
via = "edge:80"
trusted_proxies = ["10.0.0.0/8", "::1"]
x_forwarded = false
[monitor]
access_log = "logs/access.log"
[service.zebra]
servers = "HTTPS://[2001:DB8::1]:${PORT}"
host = "Shop.example:81"
http = "2"
total_time = "1s"
connections_max = 10
tls = { trust = "ca.pem", name = "X.example" }
[service.ant]
servers = ["https://a"]
host = "server"
[[route]]
match = "GET|HEAD *.Shop.example/a/{id}/{rest...}"
to = "ant"
name = "$${x} \"y\""
strip = "/a"
prepend = "/%7e"
timeout = "2s"
"#,
    );
    assert_eq!(found.listen[0], Listener { address: ([0, 0, 0, 0], 443).into(), tls: true });
    assert_eq!((found.admin, found.threads), (None, Some(4)));
    assert_eq!(found.limits.body_bytes, Some(base::ByteSize::kib(1536)));
    assert_eq!(found.limits.requests, Some(1000));
    let tls = found.tls.as_ref().expect("it is there");
    assert_eq!(tls.minimum, TlsVersion::V1_3);
    assert_eq!(tls.certificates[0].chain, PathBuf::from("/etc/fleetfoot/a.pem"));
    assert_eq!(tls.certificates[0].key, PathBuf::from("/b.pem"));
    assert!(found.forward.trusted[0].contains([10, 9, 8, 7].into()));
    let zebra = &found.services[0];
    assert_eq!((zebra.name.as_str(), zebra.http), ("zebra", Http::Two));
    let server =
        Server { scheme: Scheme::Https, host: "2001:db8::1".to_owned(), port: 3000, address: None };
    assert_eq!(zebra.servers, [server.into()]);
    assert_eq!(zebra.host, HostRule::Fixed("shop.example:81".to_owned()));
    // What is not set never contradicts what is.
    assert_eq!(zebra.connect_time, Duration::from_secs(1));
    assert_eq!(zebra.first_byte_time, Duration::from_secs(1));
    assert_eq!(zebra.idle_max, 10);
    assert_eq!(zebra.tls.trust, Trust::File("/etc/fleetfoot/ca.pem".into()));
    assert_eq!(zebra.tls.name.as_deref(), Some("x.example"));
    let route = &found.routes[0];
    assert_eq!((route.name.as_str(), route.service), ("${x} \"y\"", 1));
    assert_eq!(route.pattern.host.as_deref(), Some("*.shop.example"));
    assert_eq!(super::settings(&crate::show(&found)), found);
}

#[test]
fn a_route_starts_from_the_rules_of_the_cache() {
    use cache::settings::{Disk, Profile, Redis, RedisMode, Rules, Shared};
    let found = settings(&format!(
        r#"{SHOP}
[cache]
memory = "64 MiB"
redis = ["REDISS://:pass@[::1]", "rediss://b:26379/2"]
redis_mode = "sentinel"
redis_master = "shop"
prefix = ""
purge_token = "secret-token"
enabled = false
ttl = "1m"
bypass_cookies = "session"
key = {{ query = ["page"], sort_query = true }}
disk = {{ path = "cache", size = "1 GiB" }}
[[route]]
match = "/a/{{id}}/{{rest...}}"
to = "shop"
cache = {{ ttl = false, profile = "rfc", tags = ["x:{{id}}", "{{rest}}"], key = {{ query = "*" }} }}
[[route]]
match = "/b"
to = "shop"
cache = true
[[route]]
match = "/c"
to = "shop"
[route.cache]
enabled = "${{UNSET:-true}}"
bypass_cookies = []
"#
    ));
    let cache = &found.cache;
    // What is not set never contradicts what is.
    assert_eq!(cache.object_max, base::ByteSize::mib(16));
    let redis = Redis {
        urls: vec!["rediss://:pass@[::1]".to_owned(), "rediss://b:26379/2".to_owned()],
        mode: RedisMode::Sentinel("shop".to_owned()),
        trust: None,
        prefix: String::new(),
    };
    assert_eq!(cache.shared, Some(Shared::Redis(redis)));
    let size = base::ByteSize::mib(1024);
    assert_eq!(cache.disk, Some(Disk { path: "/etc/fleetfoot/cache".into(), size }));
    let [a, b, c] = found.routes.as_slice() else { panic!("{} routes", found.routes.len()) };
    let mut expected = Rules { profile: Profile::Rfc, ttl: None, ..cache.rules.clone() };
    expected.tags = vec!["x:{id}".to_owned(), "{rest}".to_owned()];
    expected.key.query = None;
    assert_eq!(a.cache, expected);
    assert_eq!(b.cache, Rules { enabled: true, ..cache.rules.clone() });
    let bypass_cookies = Vec::new();
    assert_eq!(c.cache, Rules { enabled: true, bypass_cookies, ..cache.rules.clone() });
    let off = settings(&format!("cache = false\n{SHOP}"));
    assert!(!off.routes[0].cache.enabled && off.cache.memory == base::ByteSize::mib(256));
}

#[test]
fn no_secret_is_shown() {
    let text = "redis = [\"rediss://me:pa55@a/\"]\npurge_token = \"pa55-and-more\"";
    let shown = crate::show(&settings(&format!("{SHOP}[cache]\n{text}")));
    assert!(!shown.contains("pa55"), "{shown}");
    assert!(shown.contains("\"rediss://me:********@a/\""), "{shown}");
    assert_eq!(crate::show(&settings(&shown)), shown);
}

#[test]
fn variables_are_put_in() {
    for (written, found) in [
        ("a${PORT}", "a3000"),
        ("${EMPTY:-x}y", "xy"),
        ("${UNSET:-}x", "x"),
        ("${UNSET:-a.b}", "a.b"),
        ("x${EMPTY}", "x"),
        ("${PORT}${PORT}", "30003000"),
    ] {
        let text = format!("{SHOP}host = \"{written}.example\"");
        let host = HostRule::Fixed(format!("{found}.example"));
        assert_eq!(settings(&text).services[0].host, host, "{written}");
    }
    for (written, found) in [("$${PORT}", "${PORT}"), ("$$${X", "$${X"), ("$5", "$5"), ("$", "$")] {
        let text = format!("{SHOP}[[route]]\nmatch = \"*\"\nto = \"shop\"\nname = \"{written}\"");
        assert_eq!(settings(&text).routes[0].name, found, "{written}");
    }
}

#[test]
fn a_service_says_how_it_is_asked() {
    use balance::settings::{Hash, HashBy, Policy};
    use base::Share;
    use service::settings::{CheckKind, Class, Discipline, LimitMode, RateBy, Source};
    let found = settings(
        r#"
zone = "eu-1"
[deadline]
field = "X-Timeout-Ms"
shrink = "0.5%"
[cache]
redis = "redis://cache/1"
[service.catalog]
servers = ["http://a", { url = "http://b:81", weight = 2, priority = 1, zone = "eu-2" }]
health = "/health?deep"
retry = { attempts = 2, statuses = ["${UNSET:-503}"], try_time = "500ms", budget = "20%" }
hedge = "12.5%"
total_time = "1600ms"
prewarm = 2
[service.catalog.balance]
policy = "hash"
by = "header:X-User"
slow_start = "0s"
eject = false
[service.catalog.limit]
mode = "enforce"
most = 50
queue = "fifo"
[service.next]
discover = { srv = "_HTTP._tcp.Next.internal.", scheme = "https", every = "10s" }
balance = "hot-cold"
health = { grpc = "", every = "1s" }
retry = false
limit = { least = 200 }
[[route]]
match = "/a"
to = { next = "${UNSET:-5}", catalog = 95 }
class = { default = "critical", field = "X-Priority" }
rate = ["100/s", { limit = "6/90s", burst = 9, by = "header:X-Api-Key", shared = true }]
[[route]]
match = "/b"
to = { next = 0, catalog = 1 }
shadow = "next"
class = "background"
rate = { limit = "5/min", by = "route", name = "all" }
"#,
    );
    assert_eq!(found.deadlines.field.as_deref(), Some("x-timeout-ms"));
    assert_eq!(found.deadlines.shrink, Share(50));
    // A rate that is shared is counted in the cache's Redis where no other is named.
    assert_eq!(found.rate_redis.as_deref(), Some("redis://cache/1"));
    let [catalog, next] = found.services.as_slice() else { panic!("two services") };
    assert!(found.services.iter().all(|one| one.balance.zone.as_deref() == Some("eu-1")));
    let b = &catalog.servers[1];
    assert_eq!((b.weight, b.priority, b.zone.as_deref()), (2, 1, Some("eu-2")));
    let by = HashBy::Header("x-user".to_owned());
    assert_eq!(catalog.balance.policy, Policy::Hash(Hash { by, bound: Share::percent(125) }));
    let eject = &catalog.balance.eject;
    assert_eq!((eject.failures, eject.success, eject.slow), (0, Share(0), Share(0)));
    let check = catalog.check.as_ref().expect("it is checked");
    let path = "/health?deep".to_owned();
    assert_eq!(check.kind, CheckKind::Http { path, statuses: (200, 299) });
    assert_eq!(catalog.retry.statuses, [503]);
    assert_eq!(catalog.hedge.as_ref().map(|hedge| hedge.extra), Some(Share(1250)));
    // What is not set never contradicts what is.
    assert_eq!(catalog.connect_time, Duration::from_millis(500));
    let limit = &catalog.limit;
    assert_eq!((limit.mode, limit.queue), (LimitMode::Enforce, Discipline::Fifo));
    assert_eq!((limit.least, limit.start, limit.most), (4, 50, 50));
    assert_eq!((next.limit.least, next.limit.start, next.limit.most), (200, 200, 10_000));
    assert_eq!(next.check.as_ref().map(|check| check.time), Some(Duration::from_secs(1)));
    assert_eq!((next.retry.attempts, next.retry.budget, next.retry.reserve), (0, Share(0), 0));
    let from = Source::Srv { scheme: Scheme::Https, name: "_http._tcp.next.internal".to_owned() };
    assert_eq!(next.discover.as_ref().map(|discover| &discover.from), Some(&from));
    assert!(next.servers.is_empty());
    let [a, b] = found.routes.as_slice() else { panic!("two routes") };
    assert_eq!((a.service, a.split.as_slice()), (1, &[(1, 5), (0, 95)][..]));
    assert_eq!((a.class, a.class_field.as_deref()), (Class::Critical, Some("x-priority")));
    assert_eq!((a.rates[0].name.as_str(), a.rates[0].burst), ("client/s", 100));
    let key = &a.rates[1];
    assert_eq!((key.limit, key.per, key.burst), (6, Duration::from_secs(90), 9));
    assert_eq!((&key.by, key.shared), (&RateBy::Header("x-api-key".to_owned()), true));
    assert_eq!(key.name, "x-api-key/1m30s");
    // A service of no weight is not asked.
    assert_eq!((b.service, b.split.is_empty()), (0, true));
    assert_eq!((b.shadow, b.class), (Some((1, Share::percent(100))), Class::Background));
    assert_eq!((b.rates[0].name.as_str(), b.rates[0].per), ("all", Duration::from_mins(1)));
    assert_eq!(super::settings(&crate::show(&found)), found);
}

#[test]
fn rates_are_counted_where_they_are_told_to_be() {
    let rate = "[[route]]\nmatch = \"*\"\nto = \"shop\"\nrate = { limit = \"1/s\", shared = true }";
    let both = "[cache]\nredis = \"redis://a\"\n[rate]\nredis = \"redis://me:pa55@b\"\n";
    let found = settings(&format!("{SHOP}{both}{rate}"));
    assert_eq!(found.rate_redis.as_deref(), Some("redis://me:pa55@b"));
    assert!(!crate::show(&found).contains("pa55"));
    // Where nothing is shared the cache's Redis is not for rates.
    let alone = settings(&format!("{SHOP}[cache]\nredis = \"redis://a\""));
    assert_eq!(alone.rate_redis, None);
}
