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
