//! `fleetfoot bench`: what it measures, what it writes, and what it says when asked wrongly.
//!
//! What percentiles are worth is proved in the crate `load`; here is the way from the command line to
//! the reports.

use crate::stage::{FLEETFOOT, before};
use scenario::Origin;
use scenario::gateway::{Ended, Folder, run};
use scenario::origin::answer;
use scenario::server::wait_until;
use std::io::Read;
use std::process::{Command, Stdio};

fn bench(arguments: &[&str]) -> Ended {
    run(&FLEETFOOT, &[&["bench"], arguments].concat())
}

#[track_caller]
fn refused(code: i32, arguments: &[&str], parts: &[&str]) {
    let ended = bench(arguments);
    assert_eq!(ended.code, Some(code), "{ended:?}");
    for part in parts {
        assert!(ended.stderr.contains(part), "no {part:?} in:\n{}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// An origin that answers at once.
fn origin() -> Origin {
    Origin::play(|_| answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
}

#[test]
fn a_rate_is_kept_and_reported_in_three_ways() {
    let origin = origin();
    let gateway = before(&origin);
    let folder = Folder::new();
    let (page, figures) = (folder.path().join("r.html"), folder.path().join("r.json"));
    let url = format!("http://{}/a?<b>", gateway.address()).replace('<', "%3C").replace('>', "%3E");
    let ended = bench(&[
        &url,
        "--rate",
        "200",
        "--arrivals",
        "uniform",
        "--duration",
        "1s",
        "--warm-up",
        "0s",
        "--json",
        figures.to_str().expect("a path"),
        "--html",
        page.to_str().expect("a path"),
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    for part in ["open loop", "p99.9", "answers/s", "199 requests sent", "used", "command:"] {
        assert!(ended.stdout.contains(part), "no {part:?} in:\n{}", ended.stdout);
    }
    let figures = json(&std::fs::read_to_string(figures).expect("written"));
    let step = &figures["sides"][0]["steps"][0];
    assert_eq!((step["requests"].as_u64(), step["failed"].as_u64()), (Some(199), Some(0)));
    assert_eq!(step["body_bytes"], 398);
    assert_eq!(figures["setup"]["loop"], "open");
    let page = std::fs::read_to_string(page).expect("written");
    for part in ["<svg", "polyline", "prefers-color-scheme", "99 %", "a?%3Cb%3E"] {
        assert!(page.contains(part), "no {part:?}");
    }
    // One file: nothing is fetched, nothing runs.
    for part in ["<script", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(part), "{part:?}");
    }
}

#[test]
fn two_targets_are_compared_in_turn() {
    let (one, two) = (origin(), origin());
    let urls = [&one, &two].map(|origin| format!("http://{}/", origin.address()));
    let folder = Folder::new();
    let page = folder.path().join("r.html").display().to_string();
    let ended = bench(&[
        &urls[0],
        "--against",
        &urls[1],
        "--rate",
        "300",
        "--duration",
        "100ms",
        "--warm-up",
        "0s",
        "--json",
        "-",
        "--html",
        &page,
    ]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let figures = json(&ended.stdout);
    assert_eq!(figures["sides"][1]["steps"][0]["rounds"].as_array().map(Vec::len), Some(5));
    assert_eq!(figures["compared"].as_array().map(Vec::len), Some(6));
    assert!(figures["verdict"].as_str().is_some_and(|text| text.starts_with("B against A: ")));
    assert_eq!(one.requests().len(), two.requests().len());
    let page = std::fs::read_to_string(page).expect("written");
    assert!(page.contains("class=\"verdict") && page.contains("<polyline class=\"b\""));
}

#[test]
fn rates_go_up_in_steps() {
    let origin = origin();
    let url = format!("http://{}/", origin.address());
    let ended =
        bench(&[&url, "--rate", "100..300/100", "--step", "200ms", "--json", "-", "--quiet"]);
    let figures = json(&ended.stdout);
    let steps = figures["sides"][0]["steps"].as_array().expect("steps");
    let asked: Vec<_> = steps.iter().map(|step| step["rate_asked"].as_f64()).collect();
    assert_eq!(asked, [Some(100.0), Some(200.0), Some(300.0)]);
}

#[test]
fn a_closed_loop_says_so() {
    let origin = origin();
    let url = format!("http://{}/", origin.address());
    let ended = bench(&[&url, "--clients", "2", "--duration", "300ms", "--threads", "2"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.stdout.contains("CLOSED loop, 2 clients"), "{}", ended.stdout);
    assert!(ended.stdout.contains("stalls are hardly seen"), "{}", ended.stdout);
}

#[test]
fn our_own_access_log_is_sent_again() {
    let first = origin();
    let folder = Folder::new();
    let log = folder.path().join("access.log");
    let more = format!("[monitor]\naccess_log = {:?}\n", log.display().to_string());
    let settings = crate::stage::one_thread(&first).rest(&more);
    let mut gateway = crate::stage::start(&settings);
    for path in ["/one", "/two?q=3", "/one"] {
        gateway.get(path);
    }
    gateway.signal("TERM");
    gateway.wait_exit();
    let second = origin();
    let url = format!("http://{}", second.address());
    let log = log.display().to_string();
    let ended = bench(&["--log", &log, "--to", &url, "--recorded", "0.5", "--duration", "30s"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    // They leave in their order, but each on a connection of its own.
    let mut heads: Vec<String> = second
        .requests()
        .iter()
        .map(|request| format!("{} {}", request.method, request.target))
        .collect();
    heads.sort();
    assert_eq!(heads, ["GET /one", "GET /one", "GET /two?q=3"]);
}

#[test]
fn http2_is_spoken_with_the_gateway() {
    let origin = origin();
    let gateway = before(&origin);
    let url = format!("http://{}/", gateway.address());
    let ended = bench(&[
        &url,
        "--http2",
        "--rate",
        "200",
        "--duration",
        "500ms",
        "--warm-up",
        "0s",
        "--json",
        "-",
    ]);
    let figures = json(&ended.stdout);
    let step = &figures["sides"][0]["steps"][0];
    assert_eq!(step["failed"], 0, "{step}");
    assert!(step["requests"].as_u64() > Some(50));
    assert!(step["sender"]["connections_opened"].as_u64() <= Some(4));
}

#[test]
fn failures_are_told_by_kind_and_end_with_1() {
    let origin = Origin::play(|_| answer("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n"));
    let url = format!("http://{}/", origin.address());
    let ended = bench(&[&url, "--rate", "100", "--duration", "300ms", "--warm-up", "0s"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stdout.contains("status 503. In the percentiles"), "{}", ended.stdout);
}

#[test]
fn an_interrupt_tells_what_has_come() {
    let origin = origin();
    let url = format!("http://{}/", origin.address());
    let mut command = Command::new(&*FLEETFOOT);
    command.args(["bench", &url, "--rate", "200", "--duration", "1h", "--warm-up", "0s"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("started");
    wait_until("the load to come", || origin.requests().len() > 20);
    let id = child.id().to_string();
    Command::new("kill").args(["-INT", &id]).status().expect("kill");
    let mut told = String::new();
    child.stdout.take().expect("piped").read_to_string(&mut told).expect("text");
    assert_eq!(child.wait().expect("ended").code(), Some(130));
    assert!(told.contains("ended before its time") && told.contains("p99"), "{told}");
}

#[test]
fn what_cannot_be_measured_is_told_with_the_remedy() {
    refused(2, &[], &["URL"]);
    refused(2, &["localhost:80"], &["localhost:80", "begins with http://"]);
    refused(2, &["http://127.0.0.1:1/", "--rate", "0"], &["--rate", "above 0", "--clients"]);
    refused(2, &["http://127.0.0.1:1/", "--rate", "9..1/1"], &["steps go up"]);
    refused(2, &["http://127.0.0.1:1/", "--duration", "10"], &["--duration", "unit"]);
    refused(2, &["http://127.0.0.1:1/", "--rounds", "2", "--against", "http://b/"], &["--rounds"]);
    refused(2, &["--urls", "/nowhere/urls"], &["/nowhere/urls"]);
    refused(2, &["--log", "/nowhere/log", "--to", "http://127.0.0.1:1"], &["/nowhere/log"]);
    refused(1, &["http://127.0.0.1:1/"], &["cannot reach http://127.0.0.1:1", "refused", "hint"]);
    refused(1, &["http://no.such.host.invalid/"], &["no.such.host.invalid", "spelled"]);
    let origin = origin();
    let gateway = before(&origin);
    let url = format!("https://{}/", gateway.address());
    refused(1, &[&url], &["cannot reach", "--insecure", "does that port speak TLS"]);
}
