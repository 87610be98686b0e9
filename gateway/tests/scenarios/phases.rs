//! Where the time went: whatever is held up for fifty milliseconds shows in the phase that was held
//! up, to nineteen parts of twenty at least, and the phases of every exchange sum to its total.
//!
//! Here time itself is what is tested, so these scenarios do wait; but nothing is asserted from above.

use crate::stage::{FLEETFOOT, start};
use scenario::gateway::Folder;
use scenario::origin::{Action, answer, echo_line, send};
use scenario::{Fleet, Gate, Gateway, Origin, Redis, Text};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const HELD: Duration = Duration::from_millis(50);
/// Where the gateway learns only a little later that it is held up, or before: so that the little is
/// less than the twentieth part on a machine that is busy.
const HELD_LONGER: Duration = Duration::from_millis(400);
/// What must be found in the phase.
const FOUND: f64 = 0.95;

const LOGGED: &str = "[monitor]\naccess_log = \"access.log\"";

fn hold() {
    thread::sleep(HELD);
}

/// An origin that holds every answer up before it does this.
fn holding(then: impl Fn() -> Vec<Action> + Send + Sync + 'static) -> Origin {
    Origin::play(move |_| {
        hold();
        then()
    })
}

fn before(origin: &Origin) -> Text {
    Text::to(&[origin.address()]).top("threads = 1\ncache = false").rest(LOGGED)
}

/// The log's line about a target, when it has been written.
#[track_caller]
fn line_of(gateway: &Gateway, target: &str) -> Value {
    let file = gateway.file().with_file_name("access.log");
    let by = scenario::patience();
    loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
        if let Some(line) = lines.into_iter().find(|line| line["target"] == target) {
            return line;
        }
        assert!(!by.passed(base::Moment::now()), "{target} was not logged:\n{text}");
    }
}

/// A phase of a line, in milliseconds.
fn phase(line: &Value, name: &str) -> f64 {
    line["phases_ms"][name].as_f64().unwrap_or_default()
}

/// Is what was held up found in this phase, and do all phases sum to the total?
#[track_caller]
fn check(gateway: &Gateway, target: &str, name: &str) {
    check_for(HELD, gateway, target, name);
}

#[track_caller]
fn check_for(held: Duration, gateway: &Gateway, target: &str, name: &str) {
    let line = line_of(gateway, target);
    assert!(phase(&line, name) >= held.as_secs_f64() * 1e3 * FOUND, "{name}: {line}");
    let phases = line["phases_ms"].as_object().expect("phases");
    let sum: f64 = phases.values().filter_map(Value::as_f64).sum();
    let total = line["total_ms"].as_f64().expect("a total");
    // Each of them is rounded to a microsecond.
    let off = phases.len() as f64 * 0.0005 + 0.001;
    assert!((sum - total).abs() <= off, "the phases sum to {sum}: {line}");
}

#[test]
fn a_slow_head_and_a_slow_body_are_the_clients() {
    let origin = Origin::start();
    let gateway = start(&before(&origin));
    let mut client = gateway.client();
    client.send("GET /head HTTP/1.1\r\nHost: sho");
    thread::sleep(HELD_LONGER);
    client.send("p.test\r\n\r\n");
    assert_eq!(client.response("GET").status, 200);
    check_for(HELD_LONGER, &gateway, "/head", "receive");
    client.send("POST /body HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 4\r\n\r\nab");
    origin.head(2);
    thread::sleep(HELD_LONGER);
    client.send("cd");
    assert_eq!(client.response("POST").status, 200);
    check_for(HELD_LONGER, &gateway, "/body", "receive");
}

#[test]
fn a_slow_answer_is_the_servers() {
    let origin = holding(|| answer(OK));
    let gateway = start(&before(&origin));
    assert_eq!(gateway.client().get("/a").status, 200);
    check(&gateway, "/a", "server");
}

#[test]
fn whom_a_client_that_left_had_waited_for_is_told_all_the_same() {
    for cache in ["true", "false"] {
        let origin = Origin::play(|_| vec![Action::Silence]);
        let top = format!("threads = 1\ncache = {cache}");
        let gateway = start(&Text::to(&[origin.address()]).top(&top).rest(LOGGED));
        let mut client = gateway.client();
        client.request("GET", "/left");
        origin.head(1);
        hold();
        client.reset();
        check(&gateway, "/left", "server");
    }
}

#[test]
fn what_a_server_says_of_itself_is_told_apart() {
    let says =
        "HTTP/1.1 200 OK\r\nServer-Timing: db;dur=48.5, app;dur=3\r\nContent-Length: 0\r\n\r\n";
    let origin = holding(move || answer(says));
    let gateway = start(&before(&origin));
    let response = gateway.client().get("/db");
    assert!(response.field("server-timing").is_some_and(|said| said.starts_with("db;dur=48.5")));
    check(&gateway, "/db", "db");
    let says = says.replace("db;", "redis;");
    origin.follow(move |_| {
        hold();
        answer(&says)
    });
    assert_eq!(gateway.client().get("/cache").status, 200);
    check(&gateway, "/cache", "server_cache");
}

#[test]
fn a_slow_body_of_an_answer_is_transfer() {
    let gate = Gate::new();
    let open = gate.clone();
    let origin = Origin::play(move |_| {
        let head = send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
        vec![head, Action::Wait(gate.clone()), send("cd")]
    });
    let gateway = start(&before(&origin));
    let mut client = gateway.client();
    client.request("GET", "/a");
    client.head();
    hold();
    open.open();
    assert_eq!(client.bytes(4), b"abcd");
    check(&gateway, "/a", "transfer");
}

#[test]
fn a_client_that_does_not_read_is_write() {
    let length = 64_u64 << 20;
    let origin = Origin::forgetful(move |_| {
        vec![
            send(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n")),
            Action::Fill(length),
        ]
    });
    let gateway = start(&before(&origin));
    let mut client = scenario::Client::connect_small(gateway.address());
    client.request("GET", "/a");
    client.head();
    // As long as it takes until nothing fits in between any more, and then as long again.
    hold();
    hold();
    client.skip(length);
    check(&gateway, "/a", "write");
}

#[test]
fn a_server_that_does_not_read_is_send() {
    let length = 64 << 20;
    let gate = Gate::new();
    let open = gate.clone();
    let origin =
        Origin::forgetful(move |_| vec![Action::Wait(gate.clone()), Action::Body, send(OK)]);
    let gateway = start(&before(&origin).rest("[limits]\nbody_bytes = \"unlimited\""));
    let mut client = gateway.client();
    client.send(format!("PUT /a HTTP/1.1\r\nHost: shop.test\r\nContent-Length: {length}\r\n\r\n"));
    // As long as it takes until nothing fits in between any more, and then as long again.
    let opening = thread::spawn(move || {
        (0..8).for_each(|_| hold());
        open.open();
    });
    client.send(vec![b'x'; length]);
    assert_eq!(client.response("PUT").status, 200);
    opening.join().expect("no panic");
    check(&gateway, "/a", "send");
}

#[test]
fn who_is_not_let_in_waits_in_the_queue() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::play(move |request| match request.target.as_str() {
        "/first" => vec![Action::Wait(held.clone()), send(OK)],
        _ => echo_line(request),
    });
    let limit = "limit = { mode = \"enforce\", start = 1, least = 1, most = 1 }";
    let gateway = start(&before(&origin).service(limit));
    let mut first = gateway.client();
    first.request("GET", "/first");
    origin.head(1);
    let mut second = gateway.client();
    second.request("GET", "/second");
    let waiting = "fleetfoot_service_waiting{service=\"shop\"}";
    scenario::server::wait_until("one waits", || gateway.metric(waiting) > 0.5);
    hold();
    gate.open();
    assert_eq!(second.response("GET").status, 200);
    check(&gateway, "/second", "queue");
}

#[test]
fn who_waits_for_anothers_fetch_has_collapsed() {
    let gate = Gate::new();
    let held = gate.clone();
    let page = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nhi";
    let origin = Origin::play(move |_| vec![Action::Wait(held.clone()), send(page)]);
    let gateway = start(&Text::to(&[origin.address()]).top("threads = 1").rest(LOGGED));
    let mut first = gateway.client();
    first.request("GET", "/a");
    origin.head(1);
    let mut second = gateway.client();
    second.request("GET", "/a");
    hold();
    hold();
    gate.open();
    assert_eq!(first.response("GET").text(), "hi");
    assert_eq!(second.response("GET").text(), "hi");
    let by = scenario::patience();
    let file = gateway.file().with_file_name("access.log");
    let lines = loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if text.lines().count() == 2 {
            break text;
        }
        assert!(!by.passed(base::Moment::now()), "two lines");
    };
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    for line in lines {
        // The first has waited for the server; the second for the first.
        let name = if line["cache"] == "collapsed" { "collapse" } else { "server" };
        assert!(phase(&line, name) >= HELD.as_secs_f64() * 1e3 * FOUND, "{line}");
    }
}

#[test]
fn a_slow_tier_is_the_caches() {
    let Some(redis) = Redis::start() else { return };
    let page = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nhi";
    let origin = Origin::saying(page);
    let top =
        format!("threads = 1\ncache = {{ redis = {:?}, shared_time = \"100ms\" }}", redis.url());
    let gateway = start(&Text::to(&[origin.address()]).top(&top).rest(LOGGED));
    assert_eq!(gateway.client().get("/warm").text(), "hi");
    // Redis answers nobody for a while, longer than anybody waits for it.
    redis.ask(&["CLIENT", "PAUSE", "2000", "ALL"]);
    assert_eq!(gateway.client().get("/a").text(), "hi");
    check(&gateway, "/a", "cache");
}

/// Settings of a gateway that gives up connecting to this server after the time held.
fn to(url: &str) -> String {
    format!(
        "listen = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\nthreads = 1\ncache = false\n{LOGGED}\n\
         [service.shop]\nservers = [\"{url}\"]\nconnect_time = \"400ms\"\nretry = false\n"
    )
}

#[test]
fn a_server_without_a_handshake_is_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("https://{}", listener.local_addr().expect("bound"));
    let gateway = Gateway::start_with(&FLEETFOOT, &to(&url), &[]);
    assert_eq!(gateway.client().get("/a").status, 504);
    check_for(HELD_LONGER, &gateway, "/a", "tls");
}

#[test]
fn a_server_that_lets_nobody_in_is_connect() {
    // Nobody is taken in, and there is room for two to wait: the third is not heard.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let any: SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&any.into()).and_then(|()| socket.listen(0)).expect("a free port");
    let address = socket.local_addr().expect("bound").as_socket().expect("IPv4");
    let connect = || TcpStream::connect_timeout(&address, HELD);
    let waiting: Vec<_> = std::iter::from_fn(|| connect().ok()).take(64).collect();
    let gateway = Gateway::start_with(&FLEETFOOT, &to(&format!("http://{address}")), &[]);
    assert_eq!(gateway.client().get("/a").status, 504);
    check_for(HELD_LONGER, &gateway, "/a", "connect");
    drop(waiting);
}

#[test]
fn a_resolver_that_does_not_answer_is_resolve() {
    // A name server of our own, on an address of our own, in a view of the file system of its own.
    let id = std::process::id().to_be_bytes();
    let address = format!("127.77.{}.{}", id[2], id[3]);
    let Ok(_silent) = UdpSocket::bind((address.as_str(), 53)) else {
        eprintln!("LEFT OUT: resolve wants to be root, for a name server of its own");
        return;
    };
    let folder = Folder::new();
    let resolv = folder.write("resolv.conf", &format!("nameserver {address}\n"));
    let file = folder.write("fleetfoot.toml", &to("http://shop.slow.test:80"));
    let mount = format!("mount --bind {} /etc/resolv.conf", resolv.display());
    let exec = format!("exec {} run --config {}", &*FLEETFOOT, file.display());
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &format!("{mount} && {exec}")]);
    let gateway = Gateway::spawn(command, folder);
    assert_eq!(gateway.client().get("/a").status, 504);
    check_for(HELD_LONGER, &gateway, "/a", "resolve");
}

#[test]
fn a_try_that_failed_is_retry() {
    let fleet = Fleet::play(2, |turn, request| {
        if turn.number == 1 {
            hold();
            return answer("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        }
        echo_line(request)
    });
    let text = fleet.text().service("retry = { budget = \"100%\" }");
    let gateway = start(&text.rest(LOGGED));
    assert_eq!(gateway.client().get("/a").status, 200);
    check(&gateway, "/a", "retry");
}

#[test]
fn a_process_that_is_stopped_is_late_by_its_own_fault() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::play(move |_| vec![Action::Wait(held.clone()), send(OK)]);
    let gateway = start(&before(&origin));
    let mut waiting = gateway.client();
    waiting.request("GET", "/held");
    origin.request(1);
    // Until the timer rings often: as long as a request is under way.
    (0..4).for_each(|_| hold());
    gateway.signal("STOP");
    let threads = format!("/proc/{}/task", gateway.id());
    let is_stopped = |task: std::fs::DirEntry| {
        let stat = std::fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'))
    };
    scenario::server::wait_until("all threads are stopped", || {
        std::fs::read_dir(&threads).expect("a process").flatten().all(is_stopped)
    });
    gate.open();
    hold();
    hold();
    gateway.signal("CONT");
    assert_eq!(waiting.response("GET").status, 200);
    check(&gateway, "/held", "lag");
}
