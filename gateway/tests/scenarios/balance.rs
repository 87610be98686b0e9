//! Which server is asked, which are left out, and over which connection.

use crate::responses::check_problem;
use crate::stage::start;
use scenario::origin::{Action, answer, echo_line, send};
use scenario::{Fleet, Gate, Gateway, Origin, Origin2, Reply, Text};
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
/// A failure that no other server is asked after.
const FAIL: &str = "HTTP/1.1 507 No\r\nContent-Length: 0\r\n\r\n";

fn fleet(count: usize) -> Fleet {
    Fleet::play(count, |_, _| answer(OK))
}

fn balanced(fleet: &Fleet, how: &str) -> Text {
    fleet.text().service(&format!("balance = {{ {how}, slow_start = \"0s\" }}"))
}

fn ask(gateway: &Gateway, times: usize) {
    let mut client = gateway.client();
    for _ in 0..times {
        assert_eq!(client.get("/").status, 200);
    }
}

/// What the admin listener says of the `n`th server of the first service.
fn server(gateway: &Gateway, n: usize) -> Value {
    let page = gateway.ask("GET", "/servers");
    assert_eq!(page.status, 200, "{}", page.text());
    let page: Value = serde_json::from_slice(&page.body).expect("JSON");
    page[0]["servers"][n].clone()
}

#[track_caller]
fn until_condition(gateway: &Gateway, n: usize, condition: &str) {
    let by = scenario::patience();
    loop {
        let server = server(gateway, n);
        if server["condition"] == condition {
            return;
        }
        assert!(!by.passed(base::Moment::now()), "it does not get {condition}: {server}");
    }
}

#[test]
fn servers_get_what_their_weights_say() {
    let fleet = fleet(3);
    let servers: Vec<_> = fleet
        .addresses()
        .iter()
        .zip([1, 2, 5])
        .map(|(address, weight)| format!("{{ url = \"http://{address}\", weight = {weight} }}"))
        .collect();
    let text = |policy: &str| {
        let text = Text::to(&[]).top("threads = 1\ncache = false").to_string();
        let servers = format!("servers = [{}]\nbalance = \"{policy}\"", servers.join(", "));
        text.replace("servers = []", &servers)
    };
    let gateway = Gateway::start_with(&crate::stage::FLEETFOOT, &text("round-robin"), &[]);
    ask(&gateway, 160);
    let counts = fleet.counts();
    // In turn, but not from the first on.
    assert!(counts.iter().zip([20, 40, 100]).all(|(n, w)| n.abs_diff(w) <= 3), "{counts:?}");
    let gateway = Gateway::start_with(&crate::stage::FLEETFOOT, &text("random"), &[]);
    ask(&gateway, 1_600);
    // Five standard deviations around 200, 400 and 1,000.
    for (n, (mean, off)) in [(200, 67), (400, 87), (1_000, 97)].into_iter().enumerate() {
        let count = fleet.counts()[n] - counts[n];
        assert!(count.abs_diff(mean) <= off, "{count} of server {n}");
    }
}

/// Holds what is asked for as `/held` until the gate opens.
fn holding(gate: &Gate) -> Fleet {
    let wait = gate.clone();
    Fleet::play(2, move |_, request| match request.target.as_str() {
        "/held" => vec![Action::Wait(wait.clone()), send(OK)],
        _ => answer(OK),
    })
}

#[test]
fn who_has_more_in_flight_is_avoided_by_least_request() {
    let gate = Gate::new();
    let fleet = holding(&gate);
    let gateway = start(&balanced(&fleet, "policy = \"least-request\""));
    ask(&gateway, 10);
    let mut held = gateway.client();
    held.request("GET", "/held");
    fleet.wait(11);
    ask(&gateway, 20);
    let order = fleet.order();
    assert!(order[11..].iter().all(|server| *server != order[10]), "{order:?}");
    gate.open();
    assert_eq!(held.response("GET").status, 200);
}

#[test]
fn what_is_held_up_goes_to_more_than_one_server() {
    for policy in ["peak-ewma", "hot-cold", "least-request", "round-robin", "random"] {
        let gate = Gate::new();
        let fleet = holding(&gate);
        let gateway = start(&balanced(&fleet, &format!("policy = \"{policy}\"")));
        ask(&gateway, 10);
        let before = fleet.counts();
        let mut clients: Vec<_> = (0..60).map(|_| gateway.client()).collect();
        for client in &mut clients {
            client.request("GET", "/held");
        }
        fleet.wait(70);
        let held: Vec<_> = fleet.counts().iter().zip(before).map(|(all, n)| all - n).collect();
        assert!(held.iter().all(|n| *n >= 1), "{policy}: {held:?}");
        gate.open();
        for client in &mut clients {
            assert_eq!(client.response("GET").status, 200);
        }
    }
}

/// Asks with a key; gives who was asked.
fn keyed(fleet: &Fleet, gateway: &Gateway, by: &str, key: usize) -> usize {
    let before = fleet.total();
    let (target, field) = match by {
        "header:X-Key" => ("/a".to_owned(), format!("X-Key: {key}\r\n")),
        "cookie:uid" => ("/a".to_owned(), format!("Cookie: a=b; uid={key}\r\n")),
        "parameter:id" => (format!("/users/{key}/orders?n={before}"), String::new()),
        _ => (format!("/paths/{key}?n={before}"), String::new()),
    };
    let mut client = gateway.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n{field}\r\n"));
    assert_eq!(client.response("GET").status, 200);
    fleet.order()[fleet.total() - 1]
}

fn hashing(fleet: &Fleet, by: &str) -> Gateway {
    let text = balanced(fleet, &format!("policy = \"hash\", by = \"{by}\""));
    start(&if by == "parameter:id" { text.takes("/users/{id}/orders") } else { text })
}

#[test]
fn what_has_the_same_key_goes_to_the_same_server() {
    for by in ["header:X-Key", "cookie:uid", "parameter:id", "path"] {
        let fleet = fleet(4);
        let gateway = hashing(&fleet, by);
        let first: Vec<_> = (0..20).map(|key| keyed(&fleet, &gateway, by, key)).collect();
        for _ in 0..3 {
            let again: Vec<_> = (0..20).map(|key| keyed(&fleet, &gateway, by, key)).collect();
            assert_eq!(again, first, "{by}");
        }
        assert!(first.iter().collect::<HashSet<_>>().len() >= 3, "{by}: {first:?}");
        // Another gateway agrees.
        let other = hashing(&fleet, by);
        let there: Vec<_> = (0..20).map(|key| keyed(&fleet, &other, by, key)).collect();
        assert_eq!(there, first, "{by}");
    }
    let fleet = fleet(4);
    let gateway = hashing(&fleet, "client");
    ask(&gateway, 20);
    assert!(fleet.counts().contains(&20), "{:?}", fleet.counts());
}

#[test]
fn keys_of_a_server_that_died_go_elsewhere_and_come_back() {
    let by = "header:X-Key";
    let mut fleet = fleet(4);
    let gateway = hashing(&fleet, by);
    let home: Vec<_> = (0..30).map(|key| keyed(&fleet, &gateway, by, key)).collect();
    let dead = home[0];
    fleet.origins[dead].stop();
    for _ in 0..3 {
        for (key, home) in home.iter().enumerate() {
            let server = keyed(&fleet, &gateway, by, key);
            assert!(if *home == dead { server != dead } else { server == *home }, "key {key}");
        }
    }
    fleet.origins[dead].restart();
    until_condition_after(&gateway, dead, || {
        keyed(&fleet, &gateway, by, 0);
    });
    let again: Vec<_> = (0..30).map(|key| keyed(&fleet, &gateway, by, key)).collect();
    assert_eq!(again, home);
}

/// Asks until a server is up again.
#[track_caller]
fn until_condition_after(gateway: &Gateway, n: usize, mut ask: impl FnMut()) {
    let by = scenario::patience();
    while server(gateway, n)["condition"] != "up" {
        ask();
        assert!(!by.passed(base::Moment::now()), "it does not come back");
    }
}

#[test]
fn a_lower_priority_is_asked_only_when_the_higher_is_dead() {
    let mut fleet = fleet(3);
    let [a, b, c] = fleet.addresses()[..] else { unreachable!("three") };
    let text = Text::to(&[a, b])
        .top("threads = 1\ncache = false")
        .service("balance = { slow_start = \"0s\" }")
        // Enough to get past both that die.
        .service("retry = { attempts = 2, budget = \"100%\" }")
        .to_string()
        .replace(
            &format!("\"http://{b}\""),
            &format!("\"http://{b}\", {{ url = \"http://{c}\", priority = 1 }}"),
        );
    let gateway = Gateway::start_with(&crate::stage::FLEETFOOT, &text, &[]);
    ask(&gateway, 50);
    assert_eq!(fleet.counts()[2], 0);
    fleet.origins[0].stop();
    fleet.origins[1].stop();
    // While it is found out, each request is retried: nobody fails.
    ask(&gateway, 50);
    assert_eq!(fleet.counts()[2], 50);
    for n in [0, 1] {
        fleet.origins[n].restart();
        until_condition_after(&gateway, n, || ask(&gateway, 1));
    }
    let before = fleet.counts()[2];
    ask(&gateway, 50);
    assert_eq!(fleet.counts()[2], before);
}

#[test]
fn a_server_that_keeps_failing_is_left_out_and_one_real_request_brings_it_back() {
    let gate = Gate::new();
    let wait = gate.clone();
    let fleet = Fleet::play(3, move |turn, request| match (turn.server, request.target.as_str()) {
        (0, "/bad") => answer(FAIL),
        (0, "/held") => vec![Action::Wait(wait.clone()), send(OK)],
        _ => answer(OK),
    });
    let how =
        "policy = \"round-robin\", eject = { time = \"300ms\", success = false, slow = false }";
    let gateway = start(&balanced(&fleet, how));
    let mut client = gateway.client();
    let failed = (0..60).filter(|_| client.get("/bad").status == 507).count();
    assert_eq!((failed, fleet.counts()[0]), (5, 5), "it was asked after five failures");
    let now = server(&gateway, 0);
    assert!(now["ejections"] == 1, "{now}");
    until_condition(&gateway, 0, "probation");
    // Many ask at once; one of them is let go to it.
    let mut clients: Vec<_> = (0..9).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.request("GET", "/held");
    }
    fleet.wait(60 + 9);
    assert_eq!(fleet.counts()[0], 6, "one probe at a time");
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response("GET").status, 200);
    }
    until_condition(&gateway, 0, "up");
    ask(&gateway, 30);
    assert_eq!(fleet.counts()[0], 16, "{:?}", fleet.counts());
}

#[test]
fn a_service_whose_servers_are_all_dead_says_so_at_once_and_recovers() {
    let mut fleet = fleet(2);
    let gateway = start(&balanced(&fleet, "policy = \"round-robin\"").service("retry = false"));
    ask(&gateway, 4);
    fleet.origins.iter_mut().for_each(Origin::stop);
    let mut client = gateway.client();
    let by = scenario::patience();
    let response = loop {
        let response = client.get("/");
        match response.status {
            502 => assert!(!by.passed(base::Moment::now()), "never found dead"),
            _ => break response,
        }
    };
    assert_eq!(response.status, 503, "{}", response.text());
    check_problem(&response, "GET");
    assert!(response.text().replace(' ', "").contains("\"reason\":\"no_server\""));
    assert_eq!(response.field("retry-after"), Some("1"));
    for n in [0, 1] {
        // Asked again within a second, whatever came before.
        let server = server(&gateway, n);
        assert!(server["back_in_ms"].as_f64().is_none_or(|ms| ms <= 1_000.0), "{server}");
    }
    fleet.origins.iter_mut().for_each(Origin::restart);
    let by = scenario::patience();
    while client.get("/").status != 200 {
        assert!(!by.passed(base::Moment::now()), "it does not come back");
    }
    for n in [0, 1] {
        until_condition_after(&gateway, n, || drop(client.get("/")));
    }
    let before = fleet.counts();
    ask(&gateway, 20);
    let after = fleet.counts();
    assert_eq!((after[0] - before[0], after[1] - before[1]), (10, 10));
}

#[test]
fn what_is_known_of_servers_outlives_a_reload() {
    let fleet = Fleet::play(3, |turn, _| answer(if turn.server == 0 { FAIL } else { OK }));
    let how = "policy = \"round-robin\", eject = { time = \"1m\", time_max = \"1m\" }";
    let text = balanced(&fleet, how);
    let gateway = start(&text);
    let mut client = gateway.client();
    (0..30).for_each(|_| drop(client.get("/")));
    let before: Vec<_> = (0..3).map(|n| server(&gateway, n)).collect();
    assert_eq!(before[0]["condition"], "ejected", "{before:?}");
    assert!(before[1]["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{before:?}");
    // Another server joins, and the policy changes.
    let fresh = Origin::saying(OK);
    let more = fleet.addresses().into_iter().chain([fresh.address()]).collect::<Vec<_>>();
    let text = Text::to(&more).top("threads = 1\ncache = false").service(
        "balance = { policy = \"least-request\", eject = { time = \"1m\", time_max = \"1m\" } }",
    );
    gateway.rewrite(&text.to_string());
    assert_eq!(gateway.ask("POST", "/reload").status, 200);
    let after: Vec<_> = (0..3).map(|n| server(&gateway, n)).collect();
    for (before, after) in before.iter().zip(&after) {
        for what in ["server", "condition", "ejections", "why"] {
            assert_eq!(after[what], before[what], "{what}");
        }
    }
    assert!(after[1]["latency_ms"].as_f64().is_some_and(|ms| ms > 0.0), "{after:?}");
    let asked = fleet.counts()[0];
    ask(&gateway, 30);
    assert_eq!(fleet.counts()[0], asked, "what was left out stays so");
}

#[test]
fn how_services_stand_is_on_the_page_of_metrics() {
    let fleet = fleet(2);
    let gateway = start(&fleet.text().service("hedge = \"5%\""));
    ask(&gateway, 10);
    let page = gateway.metrics();
    for family in [
        "fleetfoot_server_condition{",
        "fleetfoot_server_in_flight{",
        "fleetfoot_server_latency_seconds{",
        "fleetfoot_server_weight{",
        "fleetfoot_server_ejections_total{",
        "fleetfoot_server_requests_total{",
        "fleetfoot_server_failures_total{",
        "fleetfoot_server_connects_total{",
        "fleetfoot_service_limit{",
        "fleetfoot_service_in_flight{",
        "fleetfoot_service_waiting{",
        "fleetfoot_service_admissions_total{",
        "fleetfoot_service_budget{",
        "fleetfoot_service_hedges_total{",
        "fleetfoot_service_hedge_delay_seconds{",
        "fleetfoot_service_retries_total{",
        "fleetfoot_service_first_byte_seconds_count{",
    ] {
        assert!(page.lines().any(|line| line.starts_with(family)), "no {family}\n{page}");
    }
    assert!((gateway.metric("fleetfoot_server_requests_total") - 10.0).abs() < 0.1);
    assert!((gateway.metric("fleetfoot_server_condition") - 2.0).abs() < 0.1);
    // Each family is declared once and each sample given once.
    let mut seen = HashSet::new();
    for line in page.lines() {
        let name =
            if line.starts_with('#') { line } else { line.rsplit_once(' ').unwrap_or_default().0 };
        assert!(seen.insert(name), "twice: {name}");
    }
}

// Connections.

fn two(origin: &Origin2) -> Text {
    Text::to(&[origin.address()]).top("threads = 1\ncache = false").service("http = \"2\"")
}

#[test]
fn a_full_http2_connection_is_joined_by_another() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin2::play(2, move |asked| match asked.number {
        // The first one lets the gateway see the server's settings.
        1 => Reply::Good(b"ready".to_vec()),
        _ => Reply::Held(wait.clone(), b"held".to_vec()),
    });
    let gateway = start(&two(&origin));
    assert_eq!(gateway.get("/").text(), "ready");
    let mut clients: Vec<_> = (0..6).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.request("GET", "/");
    }
    origin.wait("six requests", |asked, _| asked.len() == 7);
    let mut streams: HashMap<usize, usize> = HashMap::new();
    for asked in &origin.asked()[1..] {
        *streams.entry(asked.connection).or_default() += 1;
    }
    assert_eq!(origin.connections(), 3, "{:?}", origin.asked());
    assert!(streams.values().all(|n| *n == 2), "{streams:?}");
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response("GET").text(), "held");
    }
}

#[test]
fn a_refused_stream_is_tried_again_whatever_the_method_and_for_nothing() {
    for (head, text) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nTE: trailers\r\nContent-Length: 5\r\n\r\nhello",
            "hello",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "hello",
        ),
    ] {
        let other = Origin2::play(100, |asked| match asked.number {
            2 => Reply::Reset(7),
            _ => Reply::Good(asked.body.clone().unwrap_or_default()),
        });
        let gateway = start(&two(&other).service("retry = { budget = \"0%\", reserve = 0 }"));
        assert_eq!(gateway.get("/").status, 200);
        let response = gateway.client().send(head).response(&head[..head.find(' ').unwrap_or(0)]);
        assert_eq!((response.status, response.text().as_str()), (200, text), "{head}");
        assert_eq!(other.asked().len(), 3, "{:?}", other.asked());
    }
}

#[test]
fn a_stream_refused_half_way_is_tried_again_with_all_of_its_body() {
    let origin = Origin2::play(100, |asked| match asked.number {
        1 => Reply::Reset(7),
        _ => Reply::Good(asked.body.clone().unwrap_or_default()),
    });
    let gateway = start(&two(&origin));
    let mut client = gateway.client();
    client.send(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\n\
         Content-Length: 10\r\n\r\nhello",
    );
    origin.wait("a second try", |asked, _| asked.len() == 2);
    client.send("world");
    assert_eq!(client.response("POST").text(), "helloworld");
    assert_eq!(client.get("/").status, 200);
}

#[test]
fn a_stream_that_broke_is_tried_again_only_if_that_does_no_harm() {
    for (method, status, total) in [("GET", 200, 2), ("POST", 502, 1)] {
        let script = |asked: &scenario::origin2::Asked| match asked.number {
            // INTERNAL_ERROR: it may have been acted upon.
            1 => Reply::Reset(2),
            _ => Reply::Good(Vec::new()),
        };
        let origin = Origin2::play(100, script);
        let gateway = start(&two(&origin));
        let mut client = gateway.client();
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(client.response(method).status, status, "{method}");
        assert_eq!(origin.asked().len(), total, "{method}: {:?}", origin.asked());
    }
}

#[test]
fn a_stream_that_a_goodbye_left_undone_is_tried_again() {
    for method in ["GET", "POST"] {
        let origin = Origin2::play(100, |asked| match asked.number {
            // Stream 1 was the last that was dealt with.
            2 => Reply::Goaway(1),
            _ => Reply::Good(asked.body.clone().unwrap_or_default()),
        });
        let gateway = start(&two(&origin).service("retry = { budget = \"0%\", reserve = 0 }"));
        assert_eq!(gateway.get("/").status, 200);
        let mut client = gateway.client();
        client.send(format!("{method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"));
        assert_eq!(client.response(method).status, 200, "{method}");
        let connections: Vec<_> = origin.asked().iter().map(|asked| asked.connection).collect();
        assert_eq!(connections, [0, 0, 1], "{method}");
    }
}

#[test]
fn a_goodbye_lets_streams_in_flight_end_and_takes_no_new_ones() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin2::play(100, move |asked| match asked.number {
        1 => Reply::Held(wait.clone(), b"held".to_vec()),
        2 => Reply::Goaway(3),
        _ => Reply::Good(b"new".to_vec()),
    });
    let gateway = start(&two(&origin));
    let mut held = gateway.client();
    held.request("GET", "/held");
    origin.wait("the first", |asked, _| asked.len() == 1);
    assert_eq!(gateway.get("/").text(), "last");
    for _ in 0..3 {
        assert_eq!(gateway.get("/").text(), "new");
    }
    gate.open();
    assert_eq!(held.response("GET").text(), "held");
    let connections: Vec<_> = origin.asked().iter().map(|asked| asked.connection).collect();
    assert_eq!(connections, [0, 0, 1, 1, 1]);
}

#[test]
fn a_client_that_leaves_resets_its_stream_and_no_other() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin2::play(100, move |_| Reply::Held(wait.clone(), b"held".to_vec()));
    let gateway = start(&two(&origin));
    let ask = || {
        let mut client = gateway.client();
        client.request("GET", "/");
        client
    };
    let (one, mut two) = (ask(), ask());
    origin.wait("two requests", |asked, _| asked.len() == 2);
    one.reset();
    origin.wait("a reset", |asked, _| asked.iter().any(|asked| asked.reset == Some(8)));
    gate.open();
    assert_eq!(two.response("GET").text(), "held");
    assert_eq!(origin.asked().iter().filter(|asked| asked.reset.is_some()).count(), 1);
}

#[test]
fn connections_are_made_before_the_first_request() {
    let origin = Origin::play(echo_line);
    let text = Text::to(&[origin.address()]).top("threads = 1").service("prewarm = 3");
    let gateway = start(&text);
    origin.open_connections(3);
    assert!(origin.requests().is_empty());
    for _ in 0..5 {
        assert_eq!(gateway.get("/").status, 200);
    }
    assert_eq!(origin.connections(), 3, "what was made is used");
    let origin = Origin2::play(100, |_| Reply::Good(Vec::new()));
    let gateway = start(&two(&origin).service("prewarm = 1"));
    origin.wait("a connection", |_, connections| connections == 1);
    assert_eq!(gateway.get("/").status, 200);
    assert_eq!(origin.connections(), 1);
}

/// A name with addresses of both families, of which one listens.
#[test]
fn a_name_is_reached_by_whichever_family_listens() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(listener) = TcpListener::bind(address) else {
            eprintln!("no {address} here: nothing to test");
            continue;
        };
        let port = listener.local_addr().expect("bound").port();
        drop(listener);
        let at: SocketAddr =
            format!("{}{port}", &address[..address.len() - 1]).parse().expect("an address");
        let mut known = ("localhost", port).to_socket_addrs().expect("a name of every system");
        if !known.any(|known| known == at) {
            eprintln!("localhost is not {address} here: nothing to test");
            continue;
        }
        let origin = Origin::forgetful_at(at, echo_line);
        let url = format!("http://localhost:{port}");
        let gateway = start(&Text::to_servers(&[&url]).top("threads = 1\ncache = false"));
        for _ in 0..3 {
            assert_eq!(gateway.get("/").status, 200, "{address}");
        }
        assert_eq!(origin.requests().len(), 3, "{address}");
    }
}

#[test]
fn a_page_that_breaks_or_hangs_does_not_take_the_others_down() {
    let junk = "junk\r\n\r\n".to_owned();
    let huge = format!("HTTP/1.1 200 OK\r\nX-Huge: {}\r\n\r\n", "x".repeat(100_000));
    for bad in [vec![send(junk)], vec![send(huge)], vec![Action::Close], vec![Action::Silence]] {
        let fleet = Fleet::play(
            2,
            move |_, request| {
                if request.target == "/bad" { bad.clone() } else { answer(OK) }
            },
        );
        let gateway = start(&fleet.text().service("first_byte_time = \"100ms\""));
        for _ in 0..12 {
            let status = gateway.get("/bad").status;
            assert!(matches!(status, 502 | 504), "{status}");
        }
        assert_eq!(gateway.get("/good").status, 200);
    }
}
