//! What the binary says when it is asked wrongly: the mistake, the remedy, and exit code 2.

use crate::stage::{FLEETFOOT, before};
use scenario::gateway::{Ended, Folder, run};
use scenario::{Gateway, Origin, Text};
use std::net::TcpListener;
use std::process::Command;

#[track_caller]
fn refused(arguments: &[&str], parts: &[&str]) -> Ended {
    let ended = run(&FLEETFOOT, arguments);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "no {part:?} in:\n{}", ended.stderr);
    }
    for part in ["panicked", "RUST_BACKTRACE", ".rs:"] {
        assert!(!ended.stderr.contains(part), "{}", ended.stderr);
    }
    ended
}

#[test]
fn a_wrong_flag_is_named() {
    refused(&["run", "--cofnig", "x"], &["--cofnig", "--config"]);
}

#[test]
fn a_wrong_command_is_named() {
    refused(&["relaod"], &["relaod", "reload"]);
}

#[test]
fn a_missing_file_is_named_with_the_remedy() {
    refused(&["run", "--config", "/nowhere/gateway.toml"], &["/nowhere/gateway.toml"]);
}

#[test]
fn a_folder_is_no_file() {
    let folder = Folder::new();
    let path = folder.path().display().to_string();
    refused(&["run", "--config", &path], &[&path]);
}

#[test]
fn a_wrong_url_is_named() {
    refused(&["run", "--to", "localhost:3000"], &["--to", "localhost:3000"]);
}

#[test]
fn a_wrong_address_is_named() {
    refused(
        &["run", "--to", "http://127.0.0.1:1", "--listen", "nonsense"],
        &["--listen", "nonsense"],
    );
}

/// Four mistakes in one file.
const BAD: &str = "listen = [\"127.0.0.1:0\"]\n\
                   grase = \"5s\"\n\
                   [limits]\n\
                   head_time = \"5 parsecs\"\n\
                   [service.shop]\n\
                   servers = [\"http://127.0.0.1:1\"]\n\
                   [[route]]\n\
                   match = \"/\"\n\
                   to = \"shp\"\n";

#[test]
fn all_mistakes_of_a_file_are_told_at_once() {
    let folder = Folder::new();
    let file = folder.write("gateway.toml", BAD).display().to_string();
    let parts = [":2:1", "grase", "grace", ":4:", "parsecs", ":9:", "shp", "\"shop\"", "^"];
    for command in ["run", "check"] {
        let arguments: &[&str] =
            if command == "run" { &["run", "--config", &file] } else { &["check", &file] };
        refused(arguments, &parts);
    }
}

#[test]
fn a_good_file_passes_the_check() {
    let folder = Folder::new();
    let text = Text::to_servers(&["http://127.0.0.1:1"]).to_string();
    let file = folder.write("gateway.toml", &text).display().to_string();
    let ended = run(&FLEETFOOT, &["check", &file]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_taken_port_is_named_with_its_holder() {
    let holder = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = holder.local_addr().expect("bound").to_string();
    let ended = run(
        &FLEETFOOT,
        &["run", "--to", "http://127.0.0.1:1", "--listen", &address, "--admin", "127.0.0.1:0"],
    );
    assert!(!matches!(ended.code, Some(0) | None), "{ended:?}");
    assert!(ended.stderr.contains(&address), "{}", ended.stderr);
    let us = std::process::id().to_string();
    assert!(ended.stderr.contains(&us), "it does not say that {us} holds it:\n{}", ended.stderr);
}

#[test]
fn a_port_taken_by_another_gateway_is_named_too() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let address = gateway.address().to_string();
    let ended = run(
        &FLEETFOOT,
        &["run", "--to", "http://127.0.0.1:1", "--listen", &address, "--admin", "127.0.0.1:0"],
    );
    // With SO_REUSEPORT the system itself would let both listen, and split the clients.
    assert!(!matches!(ended.code, Some(0) | None), "{ended:?}");
    assert!(
        ended.stderr.contains(&address) && ended.stderr.contains(&gateway.id().to_string()),
        "{}",
        ended.stderr
    );
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn it_runs_without_a_file() {
    let origin = Origin::start();
    let mut command = Command::new(&*FLEETFOOT);
    let to = format!("http://{}", origin.address());
    command.args(["run", "--to", &to, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    let gateway = Gateway::spawn(command, Folder::new());
    assert_eq!(gateway.get("/x").text(), "GET /x HTTP/1.1");
}

#[test]
fn the_listen_flag_overrides_the_file() {
    let origin = Origin::start();
    let settings = Text::to(&[origin.address()]).listen("[\"127.0.0.1:1\"]").to_string();
    let gateway = Gateway::start_with(&FLEETFOOT, &settings, &["--listen", "127.0.0.1:0"]);
    assert_eq!(gateway.get("/x").text(), "GET /x HTTP/1.1");
}

#[test]
fn several_listeners_are_all_named() {
    let origin = Origin::start();
    let settings = Text::to(&[origin.address()]).listen("[\"127.0.0.1:0\", \"127.0.0.2:0\"]");
    let gateway = crate::stage::start(&settings);
    assert_eq!(gateway.listeners().len(), 2);
    for &address in gateway.listeners() {
        assert_eq!(scenario::Client::connect(address).get("/").status, 200);
    }
}

#[test]
fn reload_without_a_gateway_says_so() {
    let ended = run(&FLEETFOOT, &["reload", "--admin", "127.0.0.1:1"]);
    assert!(!matches!(ended.code, Some(0) | None), "{ended:?}");
    assert!(ended.stderr.contains("127.0.0.1:1"), "{}", ended.stderr);
}

#[test]
fn the_version_is_told() {
    let ended = run(&FLEETFOOT, &["version"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains(env!("CARGO_PKG_VERSION")), "{ended:?}");
}

#[test]
fn help_names_the_commands() {
    let ended = run(&FLEETFOOT, &["--help"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for command in ["run", "check", "reload", "explain", "demo", "shop", "version", "completions"] {
        assert!(ended.stdout.contains(command), "no {command} in {}", ended.stdout);
    }
}

#[test]
fn completions_are_made() {
    let ended = run(&FLEETFOOT, &["completions", "bash"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("fleetfoot"), "{ended:?}");
}

#[test]
fn explain_names_route_and_service() {
    let folder = Folder::new();
    let text = Text::to_servers(&["http://127.0.0.1:1"])
        .takes("GET /items/{id}")
        .route("name = \"items\"");
    let file = folder.write("gateway.toml", &text.to_string()).display().to_string();
    let ended = run(&FLEETFOOT, &["explain", "--config", &file, "GET", "http://shop.test/items/7"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in ["items", "shop"] {
        assert!(ended.stdout.contains(part), "{ended:?}");
    }
}

#[test]
fn explain_tells_the_cache_rules_in_force() {
    let folder = Folder::new();
    let text = Text::to_servers(&["http://127.0.0.1:1"]).takes("/items/{id}").route(
        "cache = { ttl = \"1m\", stale = \"30s\", tags = [\"item:{id}\"], \
         key = { ignore_query = [\"utm_*\"], cookies = [\"currency\"] } }",
    );
    let file = folder.write("gateway.toml", &text.to_string()).display().to_string();
    let explain = |method: &str, url: &str| {
        let ended = run(&FLEETFOOT, &["explain", "--config", &file, method, url]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        ended.stdout
    };
    let told = explain("GET", "https://Shop.test:443/items/7?utm_source=a&page=2");
    for part in [
        "cache:    key https://shop.test/items/7?page=2\n",
        "and the cookie currency\n",
        "profile safe\n",
        "          fresh as the answer says, else for 60s\n",
        "errors fresh as the answer says, else as Last-Modified suggests, else not stored\n",
        "stale for 30s while refreshed, for 86400s while the service fails",
        "tag item:7\n",
    ] {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    let told = explain("POST", "http://shop.test/items/7");
    assert!(told.contains("cache:    goes past the store, reason method\n"), "{told}");
}

#[test]
fn a_check_creates_no_log() {
    let folder = Folder::new();
    let text =
        "[monitor]\naccess_log = \"new.log\"\n[service.a]\nservers = [\"http://127.0.0.1:1\"]\n";
    let file = folder.write("fleetfoot.toml", text);
    let ended = run(&FLEETFOOT, &["check", &file.display().to_string()]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!folder.path().join("new.log").exists());
    let file = folder.write("fleetfoot.toml", &text.replace("new.log", "none/new.log"));
    let ended = run(&FLEETFOOT, &["check", &file.display().to_string()]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("none/new.log"), "{ended:?}");
}
