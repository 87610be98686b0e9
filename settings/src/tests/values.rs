//! What files mean.

use super::{SHOP, settings};
use crate::model::{Forward, Listener, Settings};
use crate::options::{Default, Key, Kind, ROOT, Section};
use crate::schema;
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
    let server = Server { scheme: Scheme::Http, host: "localhost".to_owned(), port: 3000 };
    let shop = service::settings::Settings::standard("shop".to_owned(), vec![server]);
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
    let server = Server { scheme: Scheme::Https, host: "2001:db8::1".to_owned(), port: 3000 };
    assert_eq!(zebra.servers, [server]);
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

/// Calls `visit` with every key and the text that leads to it, in a file without mistakes.
fn every_key(visit: &mut dyn FnMut(&Section, &Key, &str)) {
    fn walk(section: &'static Section, visit: &mut dyn FnMut(&Section, &Key, &str)) {
        let header = match section.header {
            "[service.NAME]" => SHOP.to_owned(),
            "[service.NAME.tls]" => format!("{SHOP}[service.shop.tls]\n"),
            "[[route]]" => format!("{SHOP}[[route]]\nmatch = \"*\"\nto = \"shop\"\n"),
            "[tls]" => format!("{SHOP}[tls]\ncertificates = [{{ chain = \"a\", key = \"b\" }}]\n"),
            "[[tls.certificates]]" => {
                format!("{SHOP}[[tls.certificates]]\nchain = \"a\"\nkey = \"b\"\n")
            }
            "" => String::new(),
            "[cache.disk]" => format!("{SHOP}[cache.disk]\npath = \"a\"\nsize = \"1 GiB\"\n"),
            "[route.cache]" | "[route.cache.key]" => {
                format!("{SHOP}[[route]]\nmatch = \"*\"\nto = \"shop\"\n{}\n", section.header)
            }
            header => format!("{SHOP}{header}\n"),
        };
        for key in section.keys {
            match key.kind {
                Kind::Table(inner)
                | Kind::Tables(inner)
                | Kind::Named(inner)
                | Kind::Switch(inner) => walk(inner, visit),
                _ => visit(section, key, &header),
            }
        }
    }
    walk(&ROOT, visit);
}

/// A file with one key set, whatever it was before.
fn with(section: &Section, key: &Key, header: &str, value: &str) -> String {
    let line = format!("{} = {value}\n", key.name);
    if section.header.is_empty() {
        return format!(
            "{line}tls = {{ certificates = [{{ chain = \"a\", key = \"b\" }}] }}\n{SHOP}"
        );
    }
    let room = match key.name {
        "redis_mode" | "fence" => "redis = \"redis://a\"\n",
        "redis_master" => "redis = \"redis://a\"\nredis_mode = \"sentinel\"\n",
        "redis_trust" => "redis = \"rediss://a\"\n",
        _ => "",
    };
    let line = format!("{room}{line}");
    let start = format!("{} = ", key.name);
    let kept = header.lines().filter(|line| !line.starts_with(&start));
    format!("{}\n{line}", kept.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_defaults_in_the_reference_are_those_in_force() {
    let mut seen = 0;
    every_key(&mut |section, key, header| {
        let Default::Value(value) = key.default else { return };
        let written = with(section, key, header, value);
        let line = format!("{} = {value}\n", key.name);
        assert_eq!(settings(&written), settings(&written.replacen(&line, "", 1)), "{written}");
        seen += 1;
    });
    assert!(seen > 25, "{seen}");
}

#[test]
fn every_example_is_legal() {
    every_key(&mut |section, key, header| {
        assert!(!key.examples.is_empty(), "{}", key.name);
        for example in key.examples {
            settings(&with(section, key, header, example));
        }
    });
}

#[test]
fn the_bounds_are_inside() {
    every_key(&mut |section, key, header| {
        let values = match &key.kind {
            Kind::Count { least, most, .. } => [least.to_string(), most.to_string()],
            Kind::Size { least, most, .. } => [format!("\"{least}\""), format!("\"{most}\"")],
            Kind::Time { least, most, .. } => {
                [*least, *most].map(|time| format!("\"{}\"", crate::options::duration(time)))
            }
            _ => return,
        };
        for value in values {
            if section.header == "[cache]" && key.name == "object_max" {
                settings(&format!("{}memory = \"1024 TiB\"", with(section, key, header, &value)));
                continue;
            }
            let room = match key.name {
                "total_time" => "connections_max = 1_000_000\n",
                "connections_max" => "total_time = \"7d\"\n",
                _ => "total_time = \"7d\"\nconnections_max = 1_000_000\n",
            };
            let room = if section.header == "[service.NAME]" { room } else { "" };
            settings(&format!("{}{room}", with(section, key, header, &value)));
        }
    });
}

#[test]
fn the_schema_knows_every_key_and_no_other() {
    let schema = schema::json_schema();
    assert_eq!(schema["additionalProperties"], false);
    let mut seen = 0;
    every_key(&mut |section, key, _| {
        let path = match section.header {
            "" => String::new(),
            "[service.NAME]" => "/properties/service/additionalProperties".to_owned(),
            "[service.NAME.tls]" => {
                "/properties/service/additionalProperties/properties/tls".to_owned()
            }
            "[[route]]" => "/properties/route/items".to_owned(),
            "[[tls.certificates]]" => "/properties/tls/properties/certificates/items".to_owned(),
            "[cache]" => "/properties/cache/anyOf/1".to_owned(),
            "[cache.disk]" => "/properties/cache/anyOf/1/properties/disk".to_owned(),
            "[cache.key]" => "/properties/cache/anyOf/1/properties/key".to_owned(),
            "[route.cache]" => "/properties/route/items/properties/cache/anyOf/1".to_owned(),
            "[route.cache.key]" => {
                "/properties/route/items/properties/cache/anyOf/1/properties/key".to_owned()
            }
            header => format!("/properties/{}", header.trim_matches(['[', ']'])),
        };
        let table = schema.pointer(&path).expect("the section is there");
        assert_eq!(table["additionalProperties"], false, "{path}");
        let found = &table["properties"][key.name];
        assert!(found["description"].as_str().is_some_and(|text| text.ends_with('.')), "{found}");
        assert_eq!(found["examples"].as_array().map(Vec::len), Some(key.examples.len()));
        assert_eq!(found.get("default").is_some(), matches!(key.default, Default::Value(_)));
        assert!(found.get("type").is_some() || found.get("anyOf").is_some(), "{found}");
        seen += 1;
    });
    assert!(seen > 35, "{seen}");
}

#[test]
fn every_alias_leads_to_a_key() {
    every_key(&mut |section, _, _| {
        for (alias, key) in section.aliases {
            assert!(section.key(key).is_some() && section.key(alias).is_none(), "{alias}");
        }
    });
}

/// Holds a file under `docs` to what the program says; `UPDATE=1` writes it.
fn check_page(name: &str, page: &str) {
    let path = format!("{}/../docs/{name}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, page).unwrap_or_else(|error| panic!("{path}: {error}"));
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/{name} is stale: UPDATE=1 cargo test -p settings");
}

#[test]
fn the_reference_page_is_up_to_date() {
    check_page("settings.md", &crate::reference());
}

#[test]
fn the_schema_for_editors_is_up_to_date() {
    check_page("settings.schema.json", &format!("{:#}\n", schema::json_schema()));
}
