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
/// High enough for all of it.
const WALL: Look = Look { size: (1280, 1500), dark: false };

fn url(gateway: &Gateway, hash: &str) -> String {
    format!("http://{}/{hash}", gateway.admin())
}

/// Where the picture of a state goes.
fn picture(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in the workspace");
    root.join("target/screenshots").join(format!("{name}.png"))
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
    let asked = "performance.getEntriesByType('resource').filter((it) => it.name.endsWith('/live.json')).length";
    assert_eq!(tab.value(asked), 1, "asked for ahead of the script, and not used");
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
    let mut tab = browser.open(&url(&gateway, ""), WALL);
    tab.wait(P99_KNOWN);
    sound(&mut tab);
    explain(&mut tab);
    tab.picture(&picture("busy-whole"));
    drop(crowd);
}

/// What `why.json` will say, in the shape that was agreed upon.
const WHY: &str = r#"{"window_s":60,"count":4120,"p50_ms":0.6,"p99_ms":310.0,"bands":[],
    "findings":[
        {"cause":"slow-server","title":"http://10.0.0.7:3000 is slow","sentence":"91 % of the slow requests went to it, 31 % of the rest.","next":"Look at that server; balance already leaves it out where it can.","ms":201.0,"share":0.91},
        {"cause":"pool","title":"Waiting for a connection to shop","sentence":"44 ms of the tail are waits for one of 8 connections.","next":"Raise connections_max of [service.shop] to 32.","ms":44.0,"share":0.2}],
    "dimensions":[],
    "slow_keys":[{"key":"GET shop.example/search?q=a+very+long+question+that+somebody+has+typed+in+full","count":88,"p50_ms":120.0,"p99_ms":900.0,"share":0.61}],
    "map":[{"from":"client","to":"shop","count":4120,"p50_ms":0.6,"p99_ms":310.0,"error_share":0.002,"serial":1.0},
        {"from":"shop","to":"prices","count":9120,"p50_ms":0.4,"p99_ms":12.0,"error_share":0.0,"serial":7.4}]}"#;

/// Lets the page believe that the gateway explains its tail so.
#[track_caller]
fn explain(tab: &mut Tab<'_>) {
    let real = format!(
        "{{ const real = ask; ask = (path) => path === 'why.json' ? Promise.resolve({WHY}) : real(path); loadWhy(); }}"
    );
    tab.value(&real);
    tab.wait("document.querySelectorAll('#findings li').length === 2");
    says(tab, "#findings", &["+201 ms", "10.0.0.7", "91 % of the slow requests"]);
    says(tab, "#next", &["connections_max"]);
    says(tab, "#keys", &["GET shop.example/search", "88", "61.0 %"]);
    says(tab, "#hops", &["client → shop", "shop → prices", "7.40 one after another"]);
}

#[test]
fn an_overloaded_page_says_so() {
    let Some(mut browser) = Browser::start() else { return };
    let (a, b, search) = (takes(30, 60), takes(30, 180), takes(20, 400));
    let limit = "retry = false\nlimit = { mode = \"enforce\", start = 4, least = 4, most = 4, queue_max = 4 }";
    let gateway = Gateway::start_with(&FLEETFOOT, &shop(&a, &b, &search, limit), &[]);
    let crowd = Crowd::start(&gateway, 40, &["/", "/cart", "/", "/broken"]);
    let ready = "document.querySelector('#notices')?.innerText.includes('overloaded') && \
        document.querySelector('#phases')?.innerText.includes('queue')";
    let mut tab = browser.open(&url(&gateway, ""), DESK);
    tab.wait(ready);
    sound(&mut tab);
    says(&mut tab, "#notices", &["faults in the last 10 s", "overloaded"]);
    says(&mut tab, "#services", &["limit 4", "in flight"]);
    tab.wait("document.querySelector('#kept tbody')?.innerText.includes('503')");
    let bad = tab.value("document.querySelector('#figures dd.bad') !== null");
    assert_eq!(bad, Value::Bool(true), "errors are not marked");
    drop(tab);
    pictures(&mut browser, &gateway, "overloaded", "", ready);
    drop(crowd);
}

#[test]
fn a_dead_origin_is_named() {
    let Some(mut browser) = Browser::start() else { return };
    let (mut a, mut b, search) = (takes(4, 60), takes(6, 180), takes(20, 400));
    let gateway = Gateway::start_with(&FLEETFOOT, &shop(&a, &b, &search, ""), &[]);
    let crowd = Crowd::start(&gateway, 8, &["/", "/cart", "/search"]);
    let mut tab = browser.open(&url(&gateway, ""), DESK);
    tab.wait("document.querySelector('#services')?.innerText.includes('up')");
    let [dead_a, dead_b] = [a.address(), b.address()];
    a.stop();
    b.stop();
    tab.wait("document.querySelector('#notices').innerText.includes('2 of 2 servers out')");
    sound(&mut tab);
    says(
        &mut tab,
        "#notices",
        &["shop: 2 of 2 servers out", &dead_a.to_string(), &dead_b.to_string()],
    );
    drop(tab);
    let ready = "document.querySelector('#notices')?.innerText.includes('servers out')";
    pictures(&mut browser, &gateway, "origin-dead", "", ready);
    drop(crowd);
}

#[test]
fn a_kept_request_opens_by_click_key_and_link() {
    let Some(mut browser) = Browser::start() else { return };
    let origin = takes(30, 40);
    let gateway = start(&one_thread(&origin));
    gateway.get("/one?token=a");
    gateway.get("/two");
    let mut tab = browser.open(&url(&gateway, ""), DESK);
    tab.wait("document.querySelectorAll('#kept tbody tr').length > 0");
    let row = "document.querySelector('#kept tbody tr a')";
    tab.value(&format!("{row}.focus()"));
    tab.press("Enter");
    tab.wait("document.querySelector('#one').open && document.querySelector('#fall .row')");
    let target = tab.text("#kept tbody tr a");
    says(&mut tab, "#one", &[&target, "200 after", "server", "1 first ·", "trace", "127.0.0.1"]);
    sound(&mut tab);
    tab.picture(&picture("waterfall-light"));
    let hash = tab.value("location.hash");
    let hash = hash.as_str().unwrap_or_default().to_owned();
    assert!(hash.starts_with("#request="), "{hash}");
    tab.press("Escape");
    tab.wait("!document.querySelector('#one').open && location.hash === ''");
    drop(tab);
    // The link opens the same, in the theme that it names, whatever the browser prefers.
    let mut tab = browser.open(&url(&gateway, &format!("{hash}&theme=dark")), DESK);
    tab.wait("document.querySelector('#one').open");
    says(&mut tab, "#one", &[&target]);
    assert_eq!(tab.value("document.documentElement.dataset.theme"), "dark");
    sound(&mut tab);
    tab.picture(&picture("waterfall-dark"));
}

#[test]
fn everything_is_reached_by_keys() {
    let Some(mut browser) = Browser::start() else { return };
    let origin = takes(10, 12);
    let gateway = start(&one_thread(&origin));
    let crowd = Crowd::start(&gateway, 4, &["/a", "/b"]);
    let mut tab = browser.open(&url(&gateway, ""), DESK);
    tab.wait("document.querySelectorAll('#kept tbody tr').length > 0 && state.columns.length > 1");
    // A cell by arrows, its requests by Enter.
    tab.value("document.querySelector('#map').focus()");
    tab.press("ArrowLeft");
    tab.press("ArrowUp");
    tab.press("ArrowDown");
    says(&mut tab, "#readout", &["by a service", "in all"]);
    tab.press("Enter");
    tab.wait("!document.querySelector('#latest').hidden");
    tab.value("document.activeElement.blur()");
    // What has a key.
    tab.press("?");
    tab.wait("document.querySelector('#about').open");
    tab.picture(&picture("help-light"));
    tab.press("Escape");
    tab.wait("!document.querySelector('#about').open");
    tab.press("2");
    tab.wait("location.hash === '#span=1h'");
    tab.press("1");
    tab.press("t");
    tab.wait("location.hash === '#theme=dark'");
    tab.press("f");
    says(&mut tab, "#link", &["frozen at"]);
    let frozen = tab.text("#figures");
    let turns = "new Promise((done) => setTimeout(done, 2500))";
    tab.value(turns);
    assert_eq!(tab.text("#figures"), frozen, "it goes on although frozen");
    tab.press("f");
    tab.wait("document.querySelector('#link').innerText.includes('live')");
    // In the order of the page, each with a ring around it.
    tab.value("document.activeElement?.blur()");
    let mut order = Vec::new();
    for _ in 0..9 {
        tab.press("Tab");
        let at = "[document.activeElement.id || document.activeElement.dataset.span, \
            getComputedStyle(document.activeElement).outlineStyle]";
        let at = tab.value(at);
        assert_eq!(at[1], "solid", "{at}");
        order.push(at[0].as_str().unwrap_or_default().to_owned());
    }
    assert_eq!(order[..8], ["5m", "1h", "24h", "freeze", "copy", "theme", "help", "map"]);
    let copied = tab.value("text()");
    let copied = copied.as_str().unwrap_or_default();
    for part in [
        "IS IT FAST?",
        "WHERE DOES THE TIME GO?",
        "WHY IS THE TAIL SLOW?",
        "ROUTES",
        "KEPT REQUESTS",
    ] {
        assert!(copied.contains(part), "no {part} in {copied}");
    }
    sound(&mut tab);
    drop(crowd);
}

#[test]
fn a_lost_gateway_is_noticed() {
    let Some(mut browser) = Browser::start() else { return };
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin));
    gateway.get("/");
    let mut tab = browser.open(&url(&gateway, ""), DESK);
    tab.wait("document.querySelector('#link').innerText.includes('live') && !document.querySelector('main').hidden");
    drop(gateway);
    tab.wait("document.querySelector('#link').innerText.includes('connection lost')");
    says(&mut tab, "#lost", &["No word from the gateway since", "what is shown is old"]);
    tab.picture(&picture("lost-light"));
}

/// Contrast of all that is written (WCAG 2, 1.4.3): what is below 4.5, as `what: ratio`.
const FAINT: &str = "(() => {
    const light = (text) => {
        const [r, g, b] = text.match(/[\\d.]+/g).map(Number).map((c) => c / 255).map((c) =>
            c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const probe = document.body.appendChild(document.createElement('i'));
    const of = (name) => { probe.style.color = `var(${name})`; return light(getComputedStyle(probe).color); };
    const found = [];
    const check = (what, a, b) => { if (ratio(a, b) < 4.5) found.push(`${what}: ${ratio(a, b).toFixed(2)}`); };
    for (const text of ['--text', '--soft', '--accent', '--bad', '--warn', '--good'])
        for (const ground of ['--panel', '--ground']) check(text + ' on ' + ground, of(text), of(ground));
    check('bad', of('--bad'), of('--bad-ground'));
    check('warn', of('--warn'), of('--warn-ground'));
    probe.style.color = '';
    for (const phase of PHASES) {
        probe.className = `ph-${phase}`;
        const style = getComputedStyle(probe);
        check(phase, light(style.color), light(style.backgroundColor));
        if (style.backgroundColor === 'rgba(0, 0, 0, 0)') found.push(`${phase} has no colour`);
    }
    probe.remove();
    return found;
})()";

#[test]
fn all_text_stands_out_in_both_themes() {
    let Some(mut browser) = Browser::start() else { return };
    let gateway = start(&one_thread(&Origin::start()));
    for look in [DESK, NIGHT] {
        let mut tab = browser.open(&url(&gateway, ""), look);
        sound(&mut tab);
        assert_eq!(tab.value(FAINT), Value::Array(Vec::new()), "{look:?}");
        // The page knows the phases that the gateway has, in their order.
        let names: Vec<&str> = monitor::Phase::ALL.iter().map(|phase| phase.name()).collect();
        assert_eq!(tab.value("PHASES"), serde_json::json!(names));
    }
}

/// The fields of an object and of what is in it, lists by their first, as paths.
fn fields(value: &Value, path: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                let path = format!("{path}.{name}");
                // Names of phases and verdicts are data.
                if !path.contains(".parts.") && !path.contains(".verdicts.") {
                    found.push(path.clone());
                    fields(value, &path, found);
                }
            }
        }
        Value::Array(list) => list.iter().take(1).for_each(|first| fields(first, path, found)),
        _ => {}
    }
}

#[test]
fn the_document_shows_what_is_told() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin));
    gateway.get("/");
    let live = || gateway.ask("GET", "/live.json").text();
    scenario::server::wait_until("a row of routes", || {
        live().contains("\"routes\":[{\"route\":\"*\"")
    });
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("in the workspace");
    let page = std::fs::read_to_string(root.join("docs/page.md")).expect("docs/page.md");
    let sample = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next());
    let sample: Value = serde_json::from_str(sample.expect("a sample")).expect("JSON");
    let told: Value = serde_json::from_str(&live()).expect("JSON");
    let (mut shown, mut real) = (Vec::new(), Vec::new());
    fields(&sample, "", &mut shown);
    fields(&told, "", &mut real);
    // Of these the document speaks elsewhere, or they are not there in a gateway that is well.
    let elsewhere = [".services.", ".notices.", ".time.", ".objectives."];
    let mine = |all: Vec<String>| -> Vec<String> {
        let kept = all.into_iter().filter(|path| !elsewhere.iter().any(|e| path.starts_with(e)));
        kept.collect()
    };
    assert_eq!(mine(shown), mine(real));
    for endpoint in ["/live.json", "/live", "/history.json", "/requests", "/requests/ID"] {
        assert!(page.contains(&format!("| `GET {endpoint}` |")), "{endpoint}");
    }
}

#[test]
fn wrong_questions_are_told_what_is_right() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin));
    for (target, status, part) in [
        ("/history.json?span=2h", 400, "5m, 1h, 24h"),
        ("/requests?limit=many", 400, "`limit` takes a number"),
        ("/requests?colour=red", 400, "none of from, to"),
        ("/requests/1", 404, "not kept"),
        ("/requests/../settings", 404, "not kept"),
        ("/page.jss", 404, "GET  /live.json"),
    ] {
        let answer = gateway.ask("GET", target);
        assert_eq!(answer.status, status, "{target}");
        assert!(answer.text().contains(part), "{target}: {}", answer.text());
    }
    assert_eq!(gateway.ask("POST", "/live.json").status, 405);
    let mut client = Client::connect(gateway.admin());
    client.send("GET /live HTTP/1.1\r\nHost: a\r\nSec-Fetch-Site: cross-site\r\n\r\n");
    assert_eq!(client.response("GET").status, 403);
    // Whoever does not ask for HTML gets none; whoever does gets no script but ours.
    assert!(gateway.ask("GET", "/").text().starts_with("fleetfoot admin"));
    let mut client = Client::connect(gateway.admin());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nAccept: text/html,*/*;q=0.8\r\n\r\n");
    let page = client.response("GET");
    assert!(page.text().starts_with("<!doctype html>"));
    let policy = page.head.one("content-security-policy").unwrap_or_default();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.head.one("x-content-type-options"), Some("nosniff"));
}

#[test]
fn so_many_listen_and_who_leaves_gives_his_seat_back() {
    let gateway = start(&one_thread(&Origin::start()));
    let listen = || {
        let mut client = Client::connect(gateway.admin());
        client.request("GET", "/live");
        let head = client.head();
        (head.line.contains(" 200 "), client)
    };
    let mut seated: Vec<Client> = Vec::new();
    loop {
        let (welcome, client) = listen();
        if !welcome {
            break;
        }
        seated.push(client);
        assert!(seated.len() <= 32, "too many listen");
    }
    assert_eq!(seated.len(), 32);
    // Health is answered all the same, and so is who asks once.
    assert_eq!(gateway.ask("GET", "/health").status, 200);
    assert_eq!(gateway.ask("GET", "/live.json").status, 200);
    seated.pop();
    scenario::server::wait_until("a seat to be free", || listen().0);
}

fn is_full() -> bool {
    std::env::var_os("FULL").is_some()
}

/// What the thread beside the data plane has run, in seconds, by the scheduler's books.
fn control_seconds(gateway: &Gateway) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", gateway.id())).expect("it lives");
    let of = |file: PathBuf| std::fs::read_to_string(file).unwrap_or_default();
    let ran = tasks.flatten().filter_map(|task| {
        let is_control = of(task.path().join("comm")).starts_with("control");
        let ran = of(task.path().join("schedstat"));
        is_control.then(|| ran.split(' ').next()?.parse::<f64>().ok())?
    });
    ran.sum::<f64>() / 1e9
}

/// Listens to the stream for so many events; answers their sizes.
fn listen(gateway: &Gateway, events: usize) -> Vec<usize> {
    let mut client = Client::connect(gateway.admin());
    client.request("GET", "/live");
    let head = client.head();
    assert_eq!(head.one("content-type"), Some("text/event-stream"));
    let mut sizes = Vec::new();
    while sizes.len() < events {
        // Each event is a chunk of its own: its size, its bytes, the end of its line.
        let mut size = String::new();
        while !size.ends_with("\r\n") {
            size.push(client.bytes(1)[0].into());
        }
        let size = usize::from_str_radix(size.trim(), 16).expect("a chunk");
        let event = client.bytes(size + 2);
        assert!(event.starts_with(b"data: {") && event.ends_with(b"}\n\n\r\n"), "{size}");
        sizes.push(size);
    }
    sizes
}

/// The figures: `bench/page` runs this with FULL and the release binary. Else the sizes are small,
/// and only what does not hang on the machine is asserted.
#[test]
fn the_stream_is_small_and_the_page_is_cheap() {
    let (a, b, search) = (takes(4, 60), takes(6, 180), takes(20, 400));
    let gateway = Gateway::start_with(&FLEETFOOT, &shop(&a, &b, &search, ""), &[]);
    let crowd = Crowd::start(&gateway, if is_full() { 12 } else { 4 }, VISIT);
    let (events, time) = if is_full() { (20, 20) } else { (2, 1) };
    let sizes = listen(&gateway, events);
    let most = sizes.iter().max().copied().unwrap_or_default();
    assert!(most <= 8 << 10, "an event of {most} bytes");
    let Some(mut browser) = Browser::start() else { return };
    let waits = |time| thread::sleep(Duration::from_secs(time));
    let (closed, ()) = (control_seconds(&gateway), waits(time));
    let closed = control_seconds(&gateway) - closed;
    let mut ready: Vec<f64> = Vec::new();
    for _ in 0..if is_full() { 9 } else { 1 } {
        let mut tab = browser.open(&url(&gateway, ""), DESK);
        sound(&mut tab);
        let time = tab.value("document.documentElement.dataset.ready");
        ready.extend(time.as_str().and_then(|time| time.parse::<f64>().ok()));
        tab.close();
    }
    ready.sort_by(f64::total_cmp);
    let mut tab = browser.open(&url(&gateway, ""), DESK);
    sound(&mut tab);
    let (open, before) = (control_seconds(&gateway), tab.cpu_seconds());
    waits(time);
    let (open, drawn) = (control_seconds(&gateway) - open, tab.cpu_seconds() - before);
    let share = |seconds: f64| seconds / time as f64 * 100.0;
    let page = share(open - closed);
    let rate = gateway.ask("GET", "/live.json").text();
    let rate: Value = serde_json::from_str(&rate).expect("JSON");
    println!(
        "at {} requests/s\nready: {} ms (median of {}, worst {})\nstream: {} bytes/s, {most} at most\n\
         gateway: {page:.2} % of a core for an open page ({:.2} % closed, {:.2} % open)\n\
         browser: {:.1} % of a core, all its processes",
        rate["total"]["rps"],
        ready[ready.len() / 2],
        ready.len(),
        ready[ready.len() - 1],
        sizes.iter().sum::<usize>() / sizes.len(),
        share(closed),
        share(open),
        share(drawn),
    );
    if is_full() {
        assert!(ready[ready.len() / 2] <= 200.0, "{ready:?}");
        assert!(page <= 3.0, "{page} % of a core");
    }
    drop(crowd);
}

/// Two queues, one of a service that is slow, one of a service that fails.
fn offloading(slow: &Origin, broken: &Origin, store: &str) -> String {
    let (slow, broken) = (slow.address(), broken.address());
    format!(
        "listen = [\"127.0.0.1:0\"]\nadmin = \"127.0.0.1:0\"\nthreads = 1\ncache = false\n\
         [offload]\nstore = \"{store}\"\n\
         [queue.mail]\nat_once = 2\n[queue.reports]\nretry = {{ tries = 1, statuses = [418] }}\n\
         [service.mailer]\nservers = [\"http://{slow}\"]\n\
         [service.reporter]\nservers = [\"http://{broken}\"]\n\
         [[route]]\nmatch = \"/reports/*\"\nto = \"reporter\"\noffload = \"reports\"\n\
         [[route]]\nmatch = \"*\"\nto = \"mailer\"\noffload = \"mail\"\n"
    )
}

#[test]
fn jobs_are_shown_by_queue() {
    let Some(mut browser) = Browser::start() else { return };
    let slow = takes(300, 600);
    let broken = Origin::saying("HTTP/1.1 418 Unwell\r\nContent-Length: 0\r\n\r\n");
    let folder = scenario::gateway::Folder::new();
    let store = folder.path().join("jobs").display().to_string();
    let gateway = Gateway::start_with(&FLEETFOOT, &offloading(&slow, &broken, &store), &[]);
    let mut client = gateway.client();
    for n in 0..60 {
        let target = if n % 10 == 0 { "/reports/a" } else { "/mail" };
        client.send(format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx"));
        assert_eq!(client.response("POST").status, 202);
    }
    // Six have died, which a link tells.
    let ready = "document.querySelector('#jobs tbody a')?.innerText === '6'";
    let mut tab = browser.open(&url(&gateway, ""), DESK);
    tab.wait(ready);
    sound(&mut tab);
    says(&mut tab, "#jobs", &["Jobs", "queue", "wait", "oldest", "mail", "60 accepted"]);
    drop(tab);
    for (look, name) in [
        (WALL, "jobs-light"),
        (Look { dark: true, ..WALL }, "jobs-dark"),
        (Look { size: (400, 2600), dark: false }, "jobs-narrow-light"),
        (Look { size: (400, 2600), dark: true }, "jobs-narrow-dark"),
    ] {
        let mut tab = browser.open(&url(&gateway, ""), look);
        tab.wait(ready);
        tab.wait("document.documentElement.dataset.ready");
        tab.picture(&picture(name));
        let sticks = "[...document.querySelectorAll('#jobs *')].filter((it) => it.offsetParent && \
            it.getBoundingClientRect().right > innerWidth + 1).length";
        assert_eq!(tab.value(sticks), Value::from(0), "{name}");
    }
    let ended = scenario::gateway::run(
        &FLEETFOOT,
        &["top", "--once", "--admin", &gateway.admin().to_string()],
    );
    assert!(ended.stdout.contains("JOBS ") && ended.stdout.contains(" wait"), "{}", ended.stdout);
}
