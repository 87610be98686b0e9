//! The live page, as somebody sees it: in a real browser, in the states that a gateway can be in.
//!
//! Pictures of each go to `target/screenshots`, dark and light. Without Chromium these are left out.

use crate::stage::{FLEETFOOT, one_thread, start};
use scenario::browser::{Look, Tab};
use scenario::origin::answer;
use scenario::{Browser, Client, Gateway, Origin, Request};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const DESK: Look = Look { size: (1280, 800), dark: false };
const NIGHT: Look = Look { size: (1280, 800), dark: true };

fn url(gateway: &Gateway, hash: &str) -> String {
    format!("http://{}/{hash}", gateway.admin())
}

/// Where the picture of a state goes.
fn picture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in the workspace");
    root.join("target/screenshots").join(format!("{name}.png"))
}

/// One look, as JSON.
fn look(gateway: &Gateway) -> Value {
    let answer = gateway.ask("GET", "/live.json");
    assert_eq!(answer.status, 200);
    serde_json::from_str(&answer.text()).expect("JSON")
}

/// What must hold of every page: it is ready, says nothing wrong, and nothing sticks out of it.
#[track_caller]
fn sound(tab: &mut Tab<'_>) {
    tab.wait("document.documentElement.dataset.ready");
    let sticks = "[...document.querySelectorAll('body *')].filter((it) => it.offsetParent && \
        it.getBoundingClientRect().right > innerWidth + 1).map((it) => it.outerHTML.slice(0, 80))";
    assert_eq!(tab.value(sticks), Value::Array(Vec::new()), "sticks out");
    // Asked for and not there until the gateway explains tails: no fault of the page's.
    let problems: Vec<_> = tab.problems().iter().filter(|p| !p.contains("why.json")).collect();
    assert!(problems.is_empty(), "{problems:?}");
}

#[track_caller]
fn says(tab: &mut Tab<'_>, selector: &str, parts: &[&str]) {
    let text = tab.text(selector);
    for part in parts {
        assert!(text.contains(part), "no {part:?} in {selector}:\n{text}");
    }
}

/// Pictures of a state in both themes.
#[track_caller]
fn pictures(browser: &mut Browser, gateway: &Gateway, name: &str, hash: &str, ready: &str) {
    for (look, theme) in [(DESK, "light"), (NIGHT, "dark")] {
        let mut tab = browser.open(&url(gateway, hash), look);
        tab.wait(ready);
        sound(&mut tab);
        tab.picture(&picture(&format!("{name}-{theme}")));
    }
}

/// Clients that go round a list of targets, without a pause, until it is dropped.
struct Crowd {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Crowd {
    fn start(gateway: &Gateway, clients: usize, targets: &'static [&'static str]) -> Self {
        let (stop, address) = (Arc::new(AtomicBool::new(false)), gateway.address());
        let begin = |first: usize| {
            let stop = Arc::clone(&stop);
            thread::spawn(move || {
                let mut client = None;
                for target in targets.iter().cycle().skip(first * 7) {
                    if stop.load(Relaxed) {
                        return;
                    }
                    let mut open = client.take().unwrap_or_else(|| Client::connect(address));
                    open.request("GET", target);
                    // Overload and dead origins are answered too, and some answers close.
                    let answer = open.try_response("GET");
                    client = answer.is_ok_and(|answer| !answer.closes()).then_some(open);
                }
            })
        };
        let clients = (0..clients).map(begin).collect();
        Self { stop, clients }
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        for client in self.clients.drain(..) {
            let _panicked = client.join();
        }
    }
}

const OK: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 5\r\n\r\nhello";

/// An origin that takes its time: a script runs in its connection's thread, so that real time passes
/// between one real process and another; nothing of what is tested waits for it.
fn takes(quick: u64, slow: u64) -> Origin {
    let turn = AtomicUsize::new(0);
    Origin::forgetful(move |request: &Request| {
        let turn = turn.fetch_add(1, Relaxed) as u64;
        let time = if turn.is_multiple_of(25) { slow } else { quick + turn % 7 };
        thread::sleep(Duration::from_millis(time));
        match &*request.target {
            "/broken" => answer("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n"),
            _ => answer(OK),
        }
    })
}

/// Three services' worth of a shop, with a cache before one of them.
fn shop(a: &Origin, b: &Origin, search: &Origin, more: &str) -> String {
    let (a, b, search) = (a.address(), b.address(), search.address());
    format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nthreads = 1\ncache = false\n\
         [service.shop]\nservers = [\"http://{a}\", \"http://{b}\"]\n{more}\n\
         [service.search]\nservers = [\"http://{search}\"]\n\
         [[route]]\nmatch = \"/products/*\"\nto = \"shop\"\ncache = true\n\
         [[route]]\nmatch = \"/search\"\nto = \"search\"\n\
         [[route]]\nmatch = \"*\"\nto = \"shop\"\n"
    )
}

const VISIT: &[&str] = &[
    "/products/1",
    "/products/2",
    "/products/3",
    "/",
    "/products/4",
    "/search",
    "/products/1",
    "/products/5?colour=blue",
    "/cart",
    "/products/2",
    "/products/6",
    "/products/1",
    "/products/3",
];

#[test]
fn an_empty_page_says_what_to_do() {
    let Some(mut browser) = Browser::start() else { return };
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin));
    let mut tab = browser.open(&url(&gateway, ""), DESK);
    sound(&mut tab);
    let curl = format!("curl http://{}/", gateway.address());
    says(&mut tab, "#empty", &["No traffic yet", &curl, "fleetfoot demo", "shop (1 server, 1 up)"]);
    says(&mut tab, "#link", &["live"]);
    assert_eq!(tab.value("document.querySelector('main').hidden"), Value::Bool(true));
    // And fills by itself.
    tab.picture(&picture("empty-light"));
    gateway.get("/");
    tab.wait("!document.querySelector('main').hidden");
    sound(&mut tab);
    tab.wait("document.querySelector('#routes tbody').innerText.includes('*')");
    pictures(&mut browser, &start(&one_thread(&origin)), "empty", "", "true");
}

/// What the page says of a percentile once it is known.
const P99_KNOWN: &str = "document.querySelector('#figures')?.innerText.includes('p99') && \
    !document.querySelectorAll('#figures div')[3].innerText.includes('needs')";

#[test]
fn a_busy_page_answers_in_order() {
    let Some(mut browser) = Browser::start() else { return };
    let (a, b, search) = (takes(4, 60), takes(6, 180), takes(20, 400));
    let gateway = Gateway::start_with(&FLEETFOOT, &shop(&a, &b, &search, ""), &[]);
    let crowd = Crowd::start(&gateway, 24, VISIT);
    let mut tab = browser.open(&url(&gateway, ""), DESK);
    tab.wait(P99_KNOWN);
    tab.wait("document.querySelectorAll('#bars .bar').length === 2");
    tab.wait("document.querySelectorAll('#kept tbody tr').length > 3");
    sound(&mut tab);
    says(&mut tab, "#figures", &["requests", "p50", "p95", "p99", "cache hits", "own time"]);
    says(&mut tab, "#phases", &["server", "the server works", "gateway"]);
    says(&mut tab, "#routes", &["/products/*", "/search"]);
    says(&mut tab, "#services", &["shop", "search", &a.address().to_string(), "up"]);
    says(&mut tab, "#cache", &["memory", "resources"]);
    drop(tab);
    pictures(&mut browser, &gateway, "busy", "", P99_KNOWN);
    drop(crowd);
}
