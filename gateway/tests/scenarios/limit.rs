//! How many requests are let through to a service at once, who waits, and who is refused.

use crate::responses::check_problem;
use crate::stage::start;
use scenario::message::Head;
use scenario::origin::{Action, answer, echo_line, send};
use scenario::{Client, Gate, Gateway, Origin, Response, Text};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A limit that stays where it is.
fn fixed(mode: &str, n: usize, more: &str) -> String {
    format!("limit = {{ mode = \"{mode}\", start = {n}, least = {n}, most = {n}{more} }}")
}

fn before(origin: &Origin, limit: &str) -> Text {
    Text::to(&[origin.address()]).top("threads = 1\ncache = false").service(limit)
}

/// An origin that answers what is asked of `/held/…` when the gate of that name opens.
fn gated() -> (Origin, impl Fn(&str) -> Gate) {
    let gates = ["a", "b", "c", "d"].map(|name| (format!("/held/{name}"), Gate::new()));
    let known = gates.clone();
    let origin = Origin::play(move |request| {
        let gate = known.iter().find(|(name, _)| *name == request.target);
        gate.map_or_else(
            || echo_line(request),
            |(_, gate)| vec![Action::Wait(gate.clone()), send(OK)],
        )
    });
    (origin, move |name: &str| {
        gates.iter().find(|(n, _)| n.ends_with(name)).expect("a gate").1.clone()
    })
}

fn asking(gateway: &Gateway, target: &str, more: &str) -> Client {
    let mut client = gateway.client();
    client.send(format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\n{more}\r\n"));
    client
}

fn ended(gateway: &Gateway, how: &str) -> f64 {
    let name = "fleetfoot_service_admissions_total";
    gateway.metric(&format!("{name}{{service=\"shop\",ended=\"{how}\"}}"))
}

#[track_caller]
fn waits_for(gateway: &Gateway, n: f64) {
    until(gateway, "fleetfoot_service_waiting", n);
}

/// Waits until a metric is this.
#[track_caller]
fn until(gateway: &Gateway, name: &str, n: f64) {
    let by = scenario::patience();
    while (gateway.metric(name) - n).abs() > 0.1 {
        assert!(!by.passed(base::Moment::now()), "{name} is {}, not {n}", gateway.metric(name));
    }
}

#[track_caller]
fn overloaded(response: &Response) {
    assert_eq!(response.status, 503, "{}", response.text());
    check_problem(response, "GET");
    assert!(response.text().replace(' ', "").contains("\"reason\":\"overloaded\""));
    let after: u64 = response.field("retry-after").expect("when").parse().expect("seconds");
    assert!((1..=30).contains(&after), "{after}");
}

#[test]
fn never_more_are_in_flight_than_allowed() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (current, peak) = (Arc::clone(&now), Arc::clone(&most));
    let origin = Origin::play(move |request| {
        peak.fetch_max(current.fetch_add(1, SeqCst) + 1, SeqCst);
        (0..200).for_each(|_| std::thread::yield_now());
        current.fetch_sub(1, SeqCst);
        echo_line(request)
    });
    // All threads of the gateway share one limit.
    let limit = fixed("enforce", 3, ", queue_time = \"10s\"");
    let gateway =
        start(&Text::to(&[origin.address()]).top("threads = 2\ncache = false").service(&limit));
    std::thread::scope(|scope| {
        for client in 0..16 {
            let gateway = &gateway;
            scope.spawn(move || {
                let mut connection = gateway.client();
                for number in 0..20 {
                    let target = format!("/{client}/{number}");
                    assert_eq!(connection.get(&target).text(), format!("GET {target} HTTP/1.1"));
                }
            });
        }
    });
    assert_eq!(origin.requests().len(), 320);
    assert_eq!(most.load(SeqCst), 3, "most at once");
    assert!((ended(&gateway, "admitted") - 320.0).abs() < 0.1);
    assert!(ended(&gateway, "queued") > 0.0);
    until(&gateway, "fleetfoot_service_in_flight", 0.0);
}

#[test]
fn who_is_too_many_waits_and_goes_on() {
    let (origin, gate) = gated();
    let gateway = start(&before(&origin, &fixed("enforce", 2, ", queue_time = \"10s\"")));
    let mut clients: Vec<_> = (0..5).map(|_| asking(&gateway, "/held/a", "")).collect();
    origin.head(2);
    waits_for(&gateway, 3.0);
    assert_eq!(origin.requests().len(), 2);
    gate("a").open();
    for client in &mut clients {
        assert_eq!(client.response("GET").status, 200);
    }
    assert_eq!(origin.requests().len(), 5);
    waits_for(&gateway, 0.0);
}

#[test]
fn who_finds_the_queue_full_is_refused_at_once() {
    for (most, refused) in [(0, 3), (2, 1)] {
        let (origin, gate) = gated();
        let more = format!(", queue = \"fifo\", queue_max = {most}, queue_time = \"10s\"");
        let gateway = start(&before(&origin, &fixed("enforce", 1, &more)));
        let mut clients = vec![asking(&gateway, "/held/a", "")];
        origin.head(1);
        for waiting in 1..=most {
            clients.push(asking(&gateway, "/held/a", ""));
            waits_for(&gateway, f64::from(waiting));
        }
        for _ in 0..refused {
            let mut client = asking(&gateway, "/held/a", "");
            overloaded(&client.response("GET"));
            // The connection is none the worse for it.
            client.request("GET", "/again");
            overloaded(&client.response("GET"));
        }
        assert!((ended(&gateway, "full") - 2.0 * f64::from(refused)).abs() < 0.1);
        gate("a").open();
        for client in &mut clients {
            assert_eq!(client.response("GET").status, 200);
        }
        assert_eq!(origin.requests().len(), 1 + usize::try_from(most).expect("small"));
    }
}

#[test]
fn who_waits_too_long_is_refused() {
    for (more, field) in [
        (", queue_time = \"200ms\"", ""),
        (", queue_time = \"10s\"", "X-Envoy-Expected-Rq-Timeout-Ms: 200\r\n"),
    ] {
        let (origin, gate) = gated();
        let gateway = start(&before(&origin, &fixed("enforce", 1, more)));
        let mut first = asking(&gateway, "/held/a", "");
        origin.head(1);
        overloaded(&asking(&gateway, "/held/b", field).response("GET"));
        assert!((ended(&gateway, "expired") - 1.0).abs() < 0.1);
        waits_for(&gateway, 0.0);
        gate("a").open();
        assert_eq!(first.response("GET").status, 200);
        assert_eq!(origin.requests().len(), 1, "who was refused was not asked for");
    }
}

/// Settings in which a field tells the class, believed of trusted proxies.
fn classes(origin: &Origin, trusted: bool) -> Text {
    let text = before(origin, &fixed("enforce", 1, ", queue = \"fifo\", queue_time = \"10s\""))
        .route("class = { default = \"normal\", field = \"X-Class\" }");
    if trusted { text.forward("trusted_proxies = [\"127.0.0.0/8\"]") } else { text }
}

/// Lets these classes queue in this order while a request is held, and gives the order in which
/// they are let through.
fn order_of(gateway: &Gateway, origin: &Origin, gate: &Gate, waiting: &[&str]) -> Vec<String> {
    let mut clients = vec![asking(gateway, "/held/a", "")];
    origin.head(1);
    for (n, class) in waiting.iter().enumerate() {
        let more = if class.is_empty() { String::new() } else { format!("X-Class: {class}\r\n") };
        clients.push(asking(gateway, &format!("/{n}-{class}"), &more));
        waits_for(gateway, (n + 1) as f64);
    }
    gate.open();
    for client in &mut clients {
        assert_eq!(client.response("GET").status, 200);
    }
    origin.requests()[1..].iter().map(|request| request.target.clone()).collect()
}

#[test]
fn what_matters_more_goes_first() {
    let (origin, gate) = gated();
    let gateway = start(&classes(&origin, true));
    let waiting = ["background", "", "critical", "background", "critical"];
    let order = order_of(&gateway, &origin, &gate("a"), &waiting);
    assert_eq!(order, ["/2-critical", "/4-critical", "/1-", "/0-background", "/3-background"]);
}

#[test]
fn a_stranger_cannot_raise_itself_but_may_step_back() {
    let (origin, gate) = gated();
    let gateway = start(&classes(&origin, false));
    let order = order_of(&gateway, &origin, &gate("a"), &["background", "", "critical"]);
    assert_eq!(order, ["/1-", "/2-critical", "/0-background"]);
}

#[test]
fn what_matters_more_takes_the_place_of_what_matters_less() {
    let (origin, gate) = gated();
    let more = ", queue = \"fifo\", queue_max = 1, queue_time = \"10s\"";
    let text = before(&origin, &fixed("enforce", 1, more))
        .route("class = { default = \"normal\", field = \"X-Class\" }")
        .forward("trusted_proxies = [\"127.0.0.0/8\"]");
    let gateway = start(&text);
    let mut first = asking(&gateway, "/held/a", "");
    origin.head(1);
    let mut background = asking(&gateway, "/b", "X-Class: background\r\n");
    waits_for(&gateway, 1.0);
    let mut critical = asking(&gateway, "/c", "X-Class: critical\r\n");
    overloaded(&background.response("GET"));
    gate("a").open();
    assert_eq!((first.response("GET").status, critical.response("GET").status), (200, 200));
    let seen: Vec<_> = origin.requests().into_iter().map(|request| request.target).collect();
    assert_eq!(seen, ["/held/a", "/c"]);
}

#[test]
fn a_client_that_leaves_the_queue_makes_room() {
    let (origin, gate) = gated();
    let more = ", queue = \"fifo\", queue_max = 1, queue_time = \"10s\"";
    let gateway = start(&before(&origin, &fixed("enforce", 1, more)));
    let mut first = asking(&gateway, "/held/a", "");
    origin.head(1);
    for left in 1..=5 {
        let waiter = asking(&gateway, "/left", "");
        waits_for(&gateway, 1.0);
        waiter.reset();
        waits_for(&gateway, 0.0);
        assert!((ended(&gateway, "left") - f64::from(left)).abs() < 0.1);
    }
    let mut last = asking(&gateway, "/stayed", "");
    waits_for(&gateway, 1.0);
    gate("a").open();
    assert_eq!((first.response("GET").status, last.response("GET").status), (200, 200));
    assert!(origin.requests().iter().all(|request| request.target != "/left"));
}

#[test]
fn a_client_that_leaves_its_request_makes_room() {
    let (origin, gate) = gated();
    let gateway = start(&before(&origin, &fixed("enforce", 1, ", queue_time = \"10s\"")));
    let first = asking(&gateway, "/held/a", "");
    origin.head(1);
    let mut second = asking(&gateway, "/held/b", "");
    waits_for(&gateway, 1.0);
    gate("b").open();
    assert!(second.is_quiet());
    first.reset();
    assert_eq!(second.response("GET").status, 200);
    until(&gateway, "fleetfoot_service_in_flight", 0.0);
}

#[test]
fn a_limit_counts_until_the_answer_begins() {
    let body = Gate::new();
    let wait = body.clone();
    let origin = Origin::play(move |request| match request.target.as_str() {
        "/begun" => vec![
            send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
            Action::Wait(wait.clone()),
            send("hello"),
        ],
        _ => answer(OK),
    });
    let gateway = start(&before(&origin, &fixed("enforce", 1, ", queue_max = 0")));
    let mut begun = asking(&gateway, "/begun", "");
    let head: Head = begun.head();
    assert_eq!(head.line, "HTTP/1.1 200 OK");
    assert_eq!(gateway.get("/other").status, 200);
    body.open();
    assert_eq!(begun.bytes(5), b"hello");
}

#[test]
fn what_is_only_observed_is_let_through_and_counted() {
    let (origin, gate) = gated();
    let gateway = start(&before(&origin, &fixed("observe", 1, ", queue_max = 1")));
    let mut clients: Vec<_> = (0..4).map(|_| asking(&gateway, "/held/a", "")).collect();
    origin.head(4);
    gate("a").open();
    for client in &mut clients {
        assert_eq!(client.response("GET").status, 200);
    }
    let counts = ["admitted", "would_queue", "would_refuse", "queued", "full", "expired"]
        .map(|how| format!("{}", ended(&gateway, how)));
    assert_eq!(counts, ["4", "3", "2", "0", "0", "0"]);
    until(&gateway, "fleetfoot_service_in_flight", 0.0);
}

#[test]
fn a_limit_that_is_off_is_nowhere() {
    let (origin, _gate) = gated();
    let gateway = start(&before(&origin, "limit = \"off\""));
    assert_eq!(gateway.get("/").status, 200);
    assert!(!gateway.metrics().contains("fleetfoot_service_limit{"));
    assert!(!gateway.metrics().contains("fleetfoot_service_admissions_total{"));
}

#[test]
fn who_waits_through_a_reload_is_served() {
    let (origin, gate) = gated();
    let text = before(&origin, &fixed("enforce", 1, ", queue_time = \"10s\""));
    let gateway = start(&text);
    let mut first = asking(&gateway, "/held/a", "");
    origin.head(1);
    let mut second = asking(&gateway, "/second", "");
    waits_for(&gateway, 1.0);
    gateway.rewrite(&text.route("timeout = \"30s\"").to_string());
    assert_eq!(gateway.ask("POST", "/reload").status, 200);
    // The limit is the same one: what was in flight before counts on.
    let mut third = asking(&gateway, "/third", "");
    waits_for(&gateway, 2.0);
    assert_eq!(origin.requests().len(), 1);
    gate("a").open();
    for client in [&mut first, &mut second, &mut third] {
        assert_eq!(client.response("GET").status, 200);
    }
}

#[test]
fn a_body_that_is_slow_in_coming_holds_no_place() {
    let (origin, _) = gated();
    let gateway = start(&before(&origin, &fixed("enforce", 1, ", queue_time = \"9s\"")));
    let mut slow = gateway.client();
    slow.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nh");
    until(&gateway, "fleetfoot_service_in_flight", 1.0);
    assert_eq!(gateway.get("/").status, 200, "while the body is still coming");
    slow.send("ello");
    assert_eq!(slow.response("POST").status, 200);
    until(&gateway, "fleetfoot_service_in_flight", 0.0);
}
