//! New settings without a lost request, and bad ones without an effect.

use crate::stage::{FLEETFOOT, before, one_thread, start};
use scenario::gateway::run;
use scenario::load::{Habit, Load};
use scenario::origin::{Action, send};
use scenario::{Gate, Gateway, Origin, Text};

/// The three ways to ask for a reload.
#[derive(Clone, Copy, Debug)]
enum Way {
    Signal,
    Admin,
    Command,
}

#[track_caller]
fn reload(gateway: &Gateway, way: Way) {
    match way {
        Way::Signal => gateway.signal("HUP"),
        Way::Admin => {
            let answer = gateway.ask("POST", "/reload");
            assert_eq!(answer.status, 200, "{}", answer.text());
        }
        Way::Command => {
            let ended = run(&FLEETFOOT, &["reload", "--admin", &gateway.admin().to_string()]);
            assert_eq!(ended.code, Some(0), "{ended:?}");
        }
    }
}

/// Settings of this generation: the origin can tell which was in force.
fn generation(origin: &Origin, number: usize) -> String {
    Text::to(&[origin.address()]).route(&format!("prepend = \"/g{number}\"")).to_string()
}

#[track_caller]
fn wait_generation(gateway: &Gateway, number: usize) {
    let by = scenario::patience();
    let expected = format!("GET /g{number}/probe HTTP/1.1");
    while gateway.get("/probe").text() != expected {
        assert!(!by.passed(base::Moment::now()), "generation {number} never came into force");
    }
}

#[track_caller]
fn each_way(way: Way) {
    let origin = Origin::start();
    let gateway = Gateway::start_with(&FLEETFOOT, &generation(&origin, 0), &[]);
    wait_generation(&gateway, 0);
    gateway.rewrite(&generation(&origin, 1));
    reload(&gateway, way);
    wait_generation(&gateway, 1);
}

#[test]
fn a_signal_reloads() {
    each_way(Way::Signal);
}

#[test]
fn the_admin_listener_reloads() {
    each_way(Way::Admin);
}

#[test]
fn the_command_reloads() {
    each_way(Way::Command);
}

#[test]
fn a_hundred_reloads_under_load_lose_no_request() {
    let origin = Origin::start();
    let gateway = Gateway::start_with(&FLEETFOOT, &generation(&origin, 0), &[]);
    let load = Load::start(4, Habit::Both, &[gateway.address()]);
    for number in 1..=100 {
        gateway.rewrite(&generation(&origin, number));
        let ways = [Way::Signal, Way::Admin, Way::Admin, Way::Command];
        reload(&gateway, ways[number % ways.len()]);
        wait_generation(&gateway, number);
        load.wait_more(5);
    }
    let tally = load.stop();
    let (good, raced) = (tally.good, tally.raced);
    println!("100 reloads: {good} good, {raced} raced, {} failed", tally.failed.len());
    assert!(tally.failed.is_empty(), "{}", tally.failed[0]);
    // A reload closes no client's connection, so no request can have met a close.
    assert_eq!(raced, 0);
    assert!(good >= 500);
}

const BAD: &str =
    "listen = [\"127.0.0.1:0\"]\nlimit = 1\n[service.shop]\nservers = [\"ftp://x\"]\n";

#[track_caller]
fn check_report(text: &str) {
    for part in ["fleetfoot.toml:2:1", "limit", "fleetfoot.toml:4:", "ftp"] {
        assert!(text.contains(part), "no {part} in:\n{text}");
    }
}

#[test]
fn a_bad_file_leaves_the_old_settings_in_force_and_is_reported() {
    let origin = Origin::start();
    let gateway = before(&origin);
    gateway.rewrite(BAD);
    let answer = gateway.ask("POST", "/reload");
    assert_eq!(answer.status, 422);
    check_report(&answer.text());
    assert_eq!(gateway.get("/").status, 200);

    let ended = run(&FLEETFOOT, &["reload", "--admin", &gateway.admin().to_string()]);
    assert!(!matches!(ended.code, Some(0) | None), "{ended:?}");
    check_report(&ended.stderr);
    assert_eq!(gateway.get("/").status, 200);

    gateway.signal("HUP");
    gateway.wait_line("fleetfoot.toml:2:1");
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn a_file_that_is_gone_leaves_the_old_settings_in_force() {
    let origin = Origin::start();
    let gateway = before(&origin);
    std::fs::remove_file(gateway.file()).expect("it was there");
    let answer = gateway.ask("POST", "/reload");
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("fleetfoot.toml"), "{}", answer.text());
    assert_eq!(gateway.get("/").status, 200);
}

#[test]
fn a_good_file_after_a_bad_one_comes_into_force() {
    let origin = Origin::start();
    let gateway = before(&origin);
    gateway.rewrite(BAD);
    assert_eq!(gateway.ask("POST", "/reload").status, 422);
    gateway.rewrite(&one_thread(&origin).route("prepend = \"/g7\"").to_string());
    let answer = gateway.ask("POST", "/reload");
    assert_eq!(answer.status, 200, "{}", answer.text());
    wait_generation(&gateway, 7);
}

#[test]
fn connections_and_requests_in_flight_outlive_a_reload() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin::play(move |request| match request.target.as_str() {
        "/held" => vec![
            Action::Wait(wait.clone()),
            send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nheld"),
        ],
        _ => scenario::origin::echo_line(request),
    });
    let gateway = before(&origin);
    let mut idle = gateway.client();
    idle.get("/before");
    let mut busy = gateway.client();
    busy.request("GET", "/held");
    origin.head(2);
    gateway.rewrite(&one_thread(&origin).route("prepend = \"/new\"").to_string());
    assert_eq!(gateway.ask("POST", "/reload").status, 200);
    assert_eq!(idle.get("/after").text(), "GET /new/after HTTP/1.1");
    gate.open();
    assert_eq!(busy.response("GET").text(), "held");
}

#[test]
fn pools_outlive_a_reload() {
    let origin = Origin::start();
    let gateway = before(&origin);
    for _ in 0..5 {
        assert_eq!(gateway.get("/").status, 200);
        assert_eq!(gateway.ask("POST", "/reload").status, 200);
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_service_can_be_moved() {
    let (old, new) = (Origin::start(), Origin::start());
    let gateway = before(&old);
    let mut client = gateway.client();
    client.get("/");
    gateway.rewrite(&one_thread(&new).to_string());
    assert_eq!(gateway.ask("POST", "/reload").status, 200);
    for _ in 0..5 {
        client.get("/moved");
    }
    assert_eq!((old.requests().len(), new.requests().len()), (1, 5));
}

#[test]
fn the_settings_in_force_are_shown() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).route("name = \"everything\""));
    let page = gateway.ask("GET", "/settings");
    assert_eq!(page.status, 200);
    for part in ["everything", "shop", &origin.address().to_string()] {
        assert!(page.text().contains(part), "no {part} in {}", page.text());
    }
}

#[test]
fn reading_settings_does_not_reload_them() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let status = gateway.ask("GET", "/reload").status;
    assert!(matches!(status, 404 | 405), "GET /reload: {status}");
}
