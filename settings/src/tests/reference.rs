//! What the table of options, the reference page and the schema say holds.

use super::{SHOP, settings};
use crate::options::{Default, Key, Kind, ROOT, Section};
use crate::schema;

const PAIR: &str = "[service.shop]\nservers = [\"http://a\", \"http://b\"]\n";
const ROUTED: &str = "[service.shop]\nservers = \"http://a\"\n[service.next]\nservers = \"http://b\"\n\
                      [[route]]\nmatch = \"*\"\nto = \"shop\"\n";

/// A file without mistakes that ends in a section.
fn file_with(header: &str) -> String {
    let own = header.replace("NAME", "shop");
    match header {
        "" => String::new(),
        "[service.NAME]" => PAIR.to_owned(),
        "[[service.NAME.servers]]" => format!("{own}\nurl = \"http://a\"\n"),
        "[service.NAME.discover]" => format!("{SHOP}{own}\nname = \"http://a\"\n"),
        "[service.NAME.health]" => format!("{SHOP}{own}\npath = \"/\"\n"),
        "[service.NAME.hedge]" => {
            format!("{PAIR}retry.budget = \"100%\"\n{own}\nextra = \"1%\"\n")
        }
        header if header.starts_with("[service.NAME.") => {
            format!("{PAIR}total_time = \"7d\"\n{own}\n")
        }
        "[[route]]" => ROUTED.to_owned(),
        "[route.shadow]" => format!("{ROUTED}{own}\nto = \"next\"\n"),
        "[[route.rate]]" => {
            format!("rate.redis = \"redis://a\"\n{ROUTED}{own}\nlimit = \"1/s\"\n")
        }
        "[route.offload]" => {
            let key = "ab".repeat(16) + &"cd".repeat(16);
            let routed = ROUTED.replace('*', "/{id}");
            format!("offload.key = \"{key}\"\nqueue.mail = {{}}\n{routed}{own}\n")
        }
        "[events.NAME]" => format!("{SHOP}{own}\nbus = \"nats://a\"\npurge = \"a\"\n"),
        "[route.publish]" => {
            let routed = ROUTED.replace('*', "/{id}");
            let names = ["a", "orders"]
                .map(|name| format!("events.{name} = {{ bus = \"nats://a\", purge = \"a\" }}\n"));
            format!("{}{routed}{own}\nto = \"a\"\ntype = \"t\"\n", names.concat())
        }
        "[route.offload.callback]" => format!("{ROUTED}{own}\nurl = \"https://a\"\n"),
        header if header.starts_with("[route.") => format!("{ROUTED}{own}\n"),
        "[offload]" => {
            format!("{SHOP}{own}\nnode = \"z\"\nsecret = \"sixteen-or-more-of-them\"\n")
        }
        "[queue.NAME]" => format!(
            "offload = {{ node = \"a\", secret = \"sixteen-or-more-\", jobs_max = 100000000 }}\n{SHOP}{own}\n"
        ),
        "[monitor.server_timing]" => format!("{SHOP}{own}\ntoken = \"long-enough\"\n"),
        "[monitor.otlp]" => format!("{SHOP}{own}\nurl = \"http://a\"\n"),
        "[tls]" => format!("{SHOP}{own}\ncertificates = [{{ chain = \"a\", key = \"b\" }}]\n"),
        "[[tls.certificates]]" => format!("{SHOP}{own}\nchain = \"a\"\nkey = \"b\"\n"),
        "[cache.disk]" => format!("{SHOP}{own}\npath = \"a\"\nsize = \"1 GiB\"\n"),
        _ => format!("{SHOP}{own}\n"),
    }
}

/// Calls `visit` with every key.
fn every_key(visit: &mut dyn FnMut(&Section, &Key)) {
    fn walk(section: &'static Section, visit: &mut dyn FnMut(&Section, &Key)) {
        for key in section.keys {
            match key.kind {
                Kind::Table(inner)
                | Kind::Tables(inner)
                | Kind::Named(inner)
                | Kind::Switch(inner) => walk(inner, visit),
                Kind::Short { section: inner, .. }
                | Kind::ShortSwitch { section: inner, .. }
                | Kind::Shorts { section: inner, .. } => {
                    visit(section, key);
                    walk(inner, visit);
                }
                _ => visit(section, key),
            }
        }
    }
    walk(&ROOT, visit);
}

/// A file with one key set, whatever it was before.
fn with(section: &Section, key: &Key, value: &str) -> String {
    let line = format!("{} = {value}\n", key.name);
    if section.header.is_empty() {
        return format!(
            "{line}tls = {{ certificates = [{{ chain = \"a\", key = \"b\" }}] }}\n{SHOP}"
        );
    }
    // What the key goes with, and what it stands in the place of.
    let (room, instead) = match (section.header, key.name) {
        ("[cache]", "redis_mode" | "fence") => ("redis = \"redis://a\"\n", ""),
        ("[cache]", "redis_master") => ("redis = \"redis://a\"\nredis_mode = \"sentinel\"\n", ""),
        ("[cache]", "redis_trust") => ("redis = \"rediss://a\"\n", ""),
        ("[service.NAME.balance]", "by") => ("policy = \"hash\"\n", ""),
        ("[service.NAME.balance]", "bound") => ("policy = \"hash\"\nby = \"path\"\n", ""),
        ("[service.NAME.balance.eject]", "time") => ("time_max = \"1d\"\n", ""),
        ("[service.NAME.health]", "grpc" | "tcp") => ("", "path = "),
        ("[service.NAME.health]", "time") => ("every = \"1h\"\n", ""),
        ("[service.NAME.limit]", "least") => ("start = 1000000\nmost = 1000000\n", ""),
        ("[service.NAME.limit]", "start") => ("least = 1\nmost = 1000000\n", ""),
        ("[service.NAME.discover]", "file" | "srv" | "kubernetes") => ("", "name = "),
        ("[queue.NAME]", "takes" | "away") => ("broker = \"nats://a\"\n", ""),
        ("[queue.NAME.retry]", "lost_max") => ("tries = 1000\n", ""),
        ("[route.offload.callback]", "field") => ("", "url = "),
        ("[service.NAME.discover]", "scheme") => ("srv = \"_http._tcp.a\"\n", "name = "),
        ("[service.NAME.discover]", "namespace" | "port" | "api" | "token" | "trust") => {
            ("kubernetes = \"a\"\n", "name = ")
        }
        _ => ("", "-"),
    };
    let instead = if instead.is_empty() { "-" } else { instead };
    let start = format!("{} = ", key.name);
    let file = file_with(section.header);
    // What stands last is the section itself.
    let own = file.rfind("\n[").map_or(0, |at| at + 1);
    let kept =
        file[own..].lines().filter(|line| !line.starts_with(&start) && !line.starts_with(instead));
    format!("{}{}\n{room}{line}", &file[..own], kept.collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_defaults_in_the_reference_are_those_in_force() {
    let mut seen = 0;
    every_key(&mut |section, key| {
        let Default::Value(value) = key.default else { return };
        let written = with(section, key, value);
        let line = format!("{} = {value}\n", key.name);
        assert_eq!(settings(&written), settings(&written.replacen(&line, "", 1)), "{written}");
        seen += 1;
    });
    assert!(seen > 60, "{seen}");
}

#[test]
fn every_example_is_legal() {
    every_key(&mut |section, key| {
        assert!(!key.examples.is_empty(), "{}", key.name);
        for example in key.examples {
            settings(&with(section, key, example));
        }
    });
}

#[test]
fn the_bounds_are_inside() {
    every_key(&mut |section, key| {
        let values = match &key.kind {
            Kind::Count { least, most, .. } => [least.to_string(), most.to_string()],
            Kind::Size { least, most, .. } => [format!("\"{least}\""), format!("\"{most}\"")],
            Kind::Time { least, most, .. } => {
                [*least, *most].map(|time| format!("\"{}\"", crate::options::duration(time)))
            }
            Kind::Share { least, most, .. } => [*least, *most].map(|share| format!("\"{share}\"")),
            Kind::Counts { least, most } => [least.to_string(), format!("[{most}]")],
            _ => return,
        };
        for value in values {
            if section.header == "[cache]" && key.name == "object_max" {
                settings(&format!("{}memory = \"1024 TiB\"", with(section, key, &value)));
                continue;
            }
            let room = match key.name {
                "total_time" => "connections_max = 1_000_000\n",
                "connections_max" => "total_time = \"7d\"\n",
                _ => "total_time = \"7d\"\nconnections_max = 1_000_000\n",
            };
            let room = if section.header == "[service.NAME]" { room } else { "" };
            settings(&format!("{}{room}", with(section, key, &value)));
        }
    });
}

#[test]
fn the_schema_knows_every_key_and_no_other() {
    let schema = schema::json_schema();
    assert_eq!(schema["additionalProperties"], false);
    let mut seen = 0;
    let short = |path: &str, name: &str| format!("{path}/properties/{name}/anyOf/1");
    every_key(&mut |section, key| {
        let path = match section.header {
            "" => String::new(),
            "[service.NAME]" => "/properties/service/additionalProperties".to_owned(),
            "[service.NAME.tls]" => {
                "/properties/service/additionalProperties/properties/tls".to_owned()
            }
            "[[service.NAME.servers]]" => {
                short("/properties/service/additionalProperties", "servers")
            }
            "[service.NAME.discover]" => {
                "/properties/service/additionalProperties/properties/discover".to_owned()
            }
            "[service.NAME.balance.eject]" => {
                let balance = short("/properties/service/additionalProperties", "balance");
                short(&balance, "eject")
            }
            header if header.starts_with("[service.NAME.") => {
                let name = header.trim_end_matches(']').trim_start_matches("[service.NAME.");
                short("/properties/service/additionalProperties", name)
            }
            "[route.shadow]" => short("/properties/route/items", "shadow"),
            "[route.class]" => short("/properties/route/items", "class"),
            "[[route.rate]]" => short("/properties/route/items", "rate"),
            "[[route]]" => "/properties/route/items".to_owned(),
            "[events.NAME]" => "/properties/events/additionalProperties".to_owned(),
            "[route.publish]" => "/properties/route/items/properties/publish".to_owned(),
            "[queue.NAME]" => "/properties/queue/additionalProperties".to_owned(),
            "[queue.NAME.retry]" => short("/properties/queue/additionalProperties", "retry"),
            "[offload.callback]" => "/properties/offload/properties/callback".to_owned(),
            "[route.offload]" => short("/properties/route/items", "offload"),
            "[route.offload.callback]" => {
                short(&short("/properties/route/items", "offload"), "callback")
            }
            "[monitor.server_timing]" => short("/properties/monitor", "server_timing"),
            "[monitor.otlp]" => short("/properties/monitor", "otlp"),
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
    assert!(seen > 110, "{seen}");
}

#[test]
fn every_alias_leads_to_a_key() {
    every_key(&mut |section, _| {
        for (alias, key) in section.aliases {
            assert!(section.key(key).is_some() && section.key(alias).is_none(), "{alias}");
        }
    });
}

#[test]
fn every_file_in_the_page_is_legal() {
    let page = crate::reference();
    let files: Vec<_> = page.split("```toml\n").skip(1).collect();
    assert!(files.len() >= 3, "{}", files.len());
    for file in files {
        settings(file.split("```").next().unwrap_or_default());
    }
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
