//! Requests that are asked again: which, of whom, how often, and what the client gets in the end.

use crate::responses::check_problem;
use crate::stage::{plain, start};
use scenario::message::Framing;
use scenario::origin::{Action, answer, send};
use scenario::{Client, Fleet, Gate, Gateway, Response, Turn};
use std::net::{SocketAddr, TcpListener};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const BUSY: &str = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 4\r\n\r\nbusy";
/// Whatever is tried again is paid for, and nobody is left out for failing.
const FREELY: &str = "retry = { budget = \"100%\", reserve = 1000 }\nbalance = { eject = false }";

fn status(status: u16) -> String {
    format!("HTTP/1.1 {status} Other\r\nContent-Length: 4\r\n\r\nfail")
}

/// Origins of which the first asked, whichever that is, says this; all else is answered well.
fn first(count: usize, says: impl Fn() -> Vec<Action> + Send + Sync + 'static) -> Fleet {
    Fleet::play(count, move |turn, _| if turn.number == 1 { says() } else { answer(OK) })
}

fn freely(fleet: &Fleet) -> Gateway {
    start(&fleet.text().service(FREELY))
}

fn ask(gateway: &Gateway, method: &str, more: &str) -> Response {
    let mut client = gateway.client();
    client.send(format!("{method} / HTTP/1.1\r\nHost: shop.test\r\n{more}"));
    client.response(method)
}

const BODY: &str = "Content-Length: 2\r\n\r\nhi";

#[test]
fn an_idempotent_request_that_failed_is_asked_of_another_server_once() {
    for method in ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"] {
        for code in [500, 502, 503, 504] {
            // HEAD's answers have no body.
            let body = if method == "HEAD" { "" } else { "fail" };
            let says = format!("HTTP/1.1 {code} Other\r\nContent-Length: 4\r\n\r\n{body}");
            let ok = if method == "HEAD" { &OK[..OK.len() - 5] } else { OK };
            let fleet = Fleet::play(
                3,
                move |turn, _| {
                    if turn.number == 1 { answer(&says) } else { answer(ok) }
                },
            );
            let gateway = freely(&fleet);
            let more = if method == "PUT" { BODY } else { "\r\n" };
            assert_eq!(ask(&gateway, method, more).status, 200, "{method} {code}");
            let order = fleet.order();
            assert!(order.len() == 2 && order[0] != order[1], "{method} {code}: {order:?}");
        }
    }
}

#[test]
fn what_is_no_passing_failure_is_not_asked_again() {
    for code in [400, 404, 429, 501, 505, 507] {
        let fleet = first(2, move || answer(status(code)));
        let response = ask(&freely(&fleet), "GET", "\r\n");
        assert_eq!((response.status, response.text().as_str()), (code, "fail"));
        assert_eq!(fleet.total(), 1, "{code}");
    }
}

#[test]
fn what_may_not_be_done_twice_is_not_asked_again() {
    for method in ["POST", "PATCH", "BREW"] {
        let fleet = first(2, || answer(BUSY));
        let response = ask(&freely(&fleet), method, BODY);
        assert_eq!((response.status, response.text().as_str()), (503, "busy"), "{method}");
        let fleet = first(2, || vec![Action::Body, Action::Close]);
        let response = ask(&freely(&fleet), method, BODY);
        assert_eq!(response.status, 502, "{method}");
        check_problem(&response, method);
        assert_eq!(fleet.total(), 1, "{method}");
    }
}

/// The parts of a `traceparent`.
fn spans(head: &scenario::Head) -> Vec<String> {
    let text = head.one("traceparent").expect("a traceparent");
    text.split('-').map(str::to_owned).collect()
}

/// Sends a request that a first server refuses, and gives how two servers got it.
fn replayed(bytes: &[u8], method: &str) -> [scenario::Request; 2] {
    let fleet = first(2, || answer(BUSY));
    let gateway = freely(&fleet);
    let response = gateway.client().send(bytes).response(method);
    assert_eq!(response.status, 200);
    assert_eq!(fleet.total(), 2);
    assert!(fleet.problems().is_empty(), "{:?}", fleet.problems());
    let ((one, first), (two, second)) = (fleet.request(1), fleet.request(2));
    assert_ne!(one, two);
    // Of one trace, each is a span of its own; in all else they are the same.
    let [one, two] = [&first, &second].map(|request| spans(&request.head));
    assert_eq!(one[1], two[1]);
    assert_ne!(one[2], two[2]);
    [first, second].map(|mut request| {
        request.head.fields.retain(|(name, _)| name != "traceparent");
        request
    })
}

#[test]
fn a_post_with_an_idempotency_key_is_asked_again_byte_for_byte() {
    let body: Vec<u8> = (0..60_000_u32).map(|n| (n % 251) as u8).collect();
    let head = "POST /a?b HTTP/1.1\r\nHost: shop.test\r\nIdempotency-Key: k1\r\nA: b\r\n";
    let sized =
        [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
    let mut chunked = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for piece in body.chunks(7_001) {
        chunked.extend(format!("{:x}\r\n", piece.len()).bytes());
        chunked.extend(piece);
        chunked.extend(b"\r\n");
    }
    chunked.extend(b"0\r\n\r\n");
    for (bytes, framing) in
        [(sized, Framing::Length(body.len() as u64)), (chunked, Framing::Chunked)]
    {
        let [one, two] = replayed(&bytes, "POST");
        assert_eq!((one.framing, two.framing), (framing, framing));
        assert!(one.body == body && two.body == body, "a body was changed");
        // But for the span of each.
        assert_eq!(plain(&one.head), plain(&two.head));
        assert_eq!(two.head.one("idempotency-key"), Some("k1"));
    }
}

#[test]
fn a_put_is_asked_again_with_its_trailers() {
    let [one, two] = replayed(
        b"PUT / HTTP/1.1\r\nHost: shop.test\r\nTransfer-Encoding: chunked\r\nTrailer: Sum\r\n\r\n\
          5\r\nhello\r\n0\r\nSum: 1\r\n\r\n",
        "PUT",
    );
    assert_eq!(one.trailers, [("Sum".to_owned(), "1".to_owned())]);
    assert_eq!((two.text().as_str(), &two.trailers), ("hello", &one.trailers));
}

#[test]
fn a_body_of_just_the_bound_is_asked_again_and_a_larger_one_is_not() {
    let sized = |n: usize| format!("Content-Length: {n}\r\n\r\n{}", "x".repeat(n));
    let chunked = |n: usize| {
        format!("Transfer-Encoding: chunked\r\n\r\n{n:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(n))
    };
    for (more, code, total) in [
        (sized(1_024), 200, 2),
        (sized(1_025), 503, 1),
        (chunked(1_024), 200, 2),
        (chunked(1_025), 503, 1),
    ] {
        let fleet = first(2, || answer(BUSY));
        let retry = "retry = { budget = \"100%\", reserve = 10, body_max = \"1 KiB\" }";
        let gateway = start(&fleet.text().service(retry));
        assert_eq!(ask(&gateway, "PUT", &more).status, code);
        assert_eq!(fleet.total(), total);
        assert!(fleet.request(total).1.body.len() >= 1_024);
    }
}

#[test]
fn a_body_that_was_half_way_when_its_server_died_goes_whole_to_another() {
    let fleet = first(2, || vec![Action::Reset]);
    let gateway = freely(&fleet);
    let mut client = gateway.client();
    client.send("PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10\r\n\r\nhello");
    // It is with the second before the rest exists.
    fleet.wait(2);
    client.send("world");
    assert_eq!(client.response("PUT").status, 200);
    let order = fleet.order();
    assert_eq!(fleet.origins[order[1]].request(1).text(), "helloworld");
    assert_eq!(order.len(), 2);
    // The client's connection knows where it is.
    assert_eq!(client.get("/next").text(), "hello");
}

#[test]
fn a_post_that_was_half_way_when_its_server_died_is_502() {
    let fleet = first(2, || vec![Action::Reset]);
    let gateway = freely(&fleet);
    let mut client = gateway.client();
    client.send("POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 10\r\n\r\nhello");
    assert_eq!(client.response("POST").status, 502);
    assert_eq!(fleet.total(), 1);
}

fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound")
}

/// One server that lives and one that refuses, with nothing in any budget.
fn half_dead() -> (Fleet, Gateway) {
    let fleet = Fleet::play(1, |_, _| answer(OK));
    let addresses = [fleet.addresses()[0], nobody()];
    let text = scenario::Text::to(&addresses)
        .top("threads = 1\ncache = false")
        .service("retry = { budget = \"0%\", reserve = 0 }")
        .service("balance = { policy = \"round-robin\", eject = false }");
    (fleet, start(&text))
}

#[test]
fn a_refused_connection_is_tried_elsewhere_whatever_the_method_and_for_nothing() {
    let (fleet, gateway) = half_dead();
    for (method, more) in [
        ("GET", "\r\n"),
        ("POST", BODY),
        ("PATCH", "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"),
        ("POST", "Content-Length: 0\r\n\r\n"),
    ] {
        for _ in 0..4 {
            assert_eq!(ask(&gateway, method, more).status, 200, "{method}");
        }
    }
    assert_eq!(fleet.total(), 16);
    let refused = gateway.metric("fleetfoot_server_connect_failures_total");
    assert!(refused >= 8.0, "the other server was not tried: {refused}");
}

#[test]
fn a_refused_connection_is_tried_elsewhere_for_http2_clients_too() {
    let (fleet, gateway) = half_dead();
    crate::http2::play(async {
        let tcp = tokio::net::TcpStream::connect(gateway.address()).await.expect("it listens");
        let (mut send, connection) = h2::client::handshake(tcp).await.expect("a handshake");
        tokio::spawn(connection);
        for _ in 0..8 {
            let request = http::Request::post("http://shop.test/").body(()).expect("legal");
            let mut ready = send.ready().await.expect("room");
            let (response, mut body) = ready.send_request(request, false).expect("sent");
            body.send_data("hi".into(), true).expect("sent");
            assert_eq!(response.await.expect("an answer").status(), 200);
            send = ready;
        }
    });
    assert_eq!(fleet.total(), 8);
    assert!((1..=8).all(|n| fleet.request(n).1.text() == "hi"));
}

#[test]
fn a_service_whose_servers_all_refuse_is_502_at_once() {
    let addresses = [nobody(), nobody(), nobody()];
    let gateway = start(&scenario::Text::to(&addresses).top("cache = false").service(FREELY));
    let response = ask(&gateway, "POST", BODY);
    assert_eq!(response.status, 502);
    check_problem(&response, "POST");
}

#[test]
fn a_server_that_asks_for_a_pause_in_the_name_of_all_gets_it() {
    let told = |code: u16, after: &str| {
        format!("HTTP/1.1 {code} Other\r\n{after}Content-Length: 4\r\n\r\nfail")
    };
    let retry = "retry = { statuses = [429, 503], budget = \"100%\", reserve = 10 }";
    for (says, code, total) in [
        (told(429, "Retry-After: 1\r\n"), 200, 2),
        // Too long to be waited for, or not said at all.
        (told(429, "Retry-After: 3600\r\n"), 429, 1),
        (told(429, "Retry-After: soon\r\n"), 429, 1),
        (told(429, ""), 429, 1),
        // One server's word on itself: another is asked at once.
        (told(503, "Retry-After: 3600\r\n"), 200, 2),
    ] {
        let wait = says.contains("Retry-After: 1\r");
        let text = says.clone();
        let fleet = first(2, move || answer(&text));
        let gateway = start(&fleet.text().service(retry));
        let begun = base::Moment::now();
        assert_eq!(ask(&gateway, "GET", "\r\n").status, code, "{says}");
        assert_eq!(fleet.total(), total, "{says}");
        let took = base::Moment::now().since(begun);
        assert!(!wait || took >= std::time::Duration::from_secs(1), "it did not wait: {took:?}");
    }
}

#[test]
fn attempts_are_as_many_as_are_allowed_each_at_another_server() {
    for (servers, attempts, total) in [(5, 0, 1), (5, 1, 2), (5, 3, 4), (3, 10, 3), (1, 3, 1)] {
        let fleet = Fleet::play(servers, |_, _| answer(BUSY));
        let retry = format!(
            "retry = {{ attempts = {attempts}, budget = \"100%\", reserve = 100, backoff = \"1ms\" }}"
        );
        let gateway = start(&fleet.text().service(&retry));
        assert_eq!(ask(&gateway, "GET", "\r\n").status, 503);
        let mut order = fleet.order();
        assert_eq!(order.len(), total, "{servers} servers, {attempts} attempts: {order:?}");
        order.sort_unstable();
        order.dedup();
        assert_eq!(order.len(), total, "one was asked twice");
        let retries = gateway.metric("fleetfoot_service_retries_total");
        assert!((retries + 1.0 - total as f64).abs() < 0.1, "{retries} were counted");
    }
}

#[test]
fn without_retries_every_failure_is_the_clients() {
    for retry in ["retry = false", "retry = { budget = \"0%\", reserve = 0 }"] {
        let fleet = Fleet::play(3, |_, _| answer(BUSY));
        let gateway = start(&fleet.text().service(retry));
        let mut client = gateway.client();
        for _ in 0..20 {
            assert_eq!(client.get("/").status, 503);
        }
        assert_eq!(fleet.total(), 20, "{retry}");
    }
}

#[test]
fn a_storm_of_failures_adds_no_more_than_the_budget() {
    let fleet = Fleet::play(4, |_, _| answer(BUSY));
    let retry = "retry = { attempts = 3, budget = \"10%\", reserve = 0, backoff = \"0s\" }";
    let gateway = start(&fleet.text().service(retry).service("balance = { eject = false }"));
    let mut client = gateway.client();
    for _ in 0..500 {
        assert_eq!(client.get("/").status, 503);
    }
    let extra = fleet.total() - 500;
    assert!((1..=50).contains(&extra), "{extra} extra requests");
}

#[test]
fn the_answer_of_the_last_try_reaches_the_client_unchanged() {
    let fleet = Fleet::play(2, |turn: &Turn, _| {
        let number = turn.number;
        let body = format!("try {number}").repeat(number);
        answer(format!(
            "HTTP/1.1 503 Not now {number}\r\nTry: {number}\r\nRetry-After: 7\r\n\
             Content-Type: text/x{number}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    });
    let response = ask(&freely(&fleet), "GET", "\r\n");
    assert_eq!(response.status, 503);
    assert_eq!(response.text(), "try 2try 2");
    assert_eq!(response.head.all("try"), ["2"]);
    assert_eq!(response.head.all("content-type"), ["text/x2"]);
    assert_eq!(response.head.all("retry-after"), ["7"]);
}

#[test]
fn a_connection_with_an_unwanted_answer_is_used_again_and_leaks_nothing() {
    // Every other request of all fails, with a body that must never be seen.
    let fleet = Fleet::play(2, |turn, request| {
        if turn.number % 2 == 1 {
            let body = "unwanted".repeat(1_000);
            return answer(format!(
                "HTTP/1.1 503 No\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            ));
        }
        let target = &request.target;
        answer(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{target}", target.len()))
    });
    let gateway = freely(&fleet);
    let mut client = gateway.client();
    for number in 0..100 {
        let target = format!("/{number}");
        assert_eq!(client.get(&target).text(), target);
    }
    assert_eq!(fleet.total(), 200);
    // A drain may still be on its way when the next request comes.
    let connections: Vec<_> = fleet.origins.iter().map(scenario::Origin::connections).collect();
    assert!(connections.iter().all(|n| *n <= 5), "not kept: {connections:?} connections");
}

#[test]
fn a_connection_whose_unwanted_answer_does_not_end_is_closed() {
    let head = "HTTP/1.1 503 No\r\nContent-Length: 100000000\r\n\r\n";
    for rest in [vec![Action::Silence], vec![Action::Fill(100_000_000)]] {
        let fleet = first(2, move || [vec![Action::Body, send(head)], rest.clone()].concat());
        let gateway = freely(&fleet);
        let mut client = gateway.client();
        assert_eq!(client.get("/").text(), "hello");
        fleet.origins[fleet.order()[0]].open_connections(0);
        for _ in 0..4 {
            assert_eq!(client.get("/").text(), "hello");
        }
    }
}

#[test]
fn nothing_is_asked_again_once_an_answer_has_begun() {
    let begun = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
    for last in [Action::Close, Action::Reset] {
        let gate = Gate::new();
        let wait = gate.clone();
        let script =
            move || vec![Action::Body, send(begun), Action::Wait(wait.clone()), last.clone()];
        let fleet = first(2, script);
        let gateway = freely(&fleet);
        let mut client = gateway.client();
        client.request("GET", "/");
        assert_eq!(client.head().line, "HTTP/1.1 200 OK");
        assert_eq!(client.bytes(5), b"hello");
        gate.open();
        client.ends();
        assert_eq!(fleet.total(), 1, "{:?}", fleet.order());
    }
}

#[test]
fn a_server_that_closes_without_an_answer_is_replaced_by_another() {
    for last in [Action::Close, Action::Reset] {
        let fleet = first(2, move || vec![Action::Body, last.clone()]);
        assert_eq!(ask(&freely(&fleet), "GET", "\r\n").text(), "hello");
        let order = fleet.order();
        assert!(order.len() == 2 && order[0] != order[1], "{order:?}");
    }
}

#[test]
fn a_silent_server_is_replaced_when_its_try_is_over() {
    let retry = "retry = { try_time = \"300ms\", budget = \"100%\", reserve = 10 }\n\
                 connect_time = \"200ms\"";
    let fleet = first(2, || vec![Action::Body, Action::Silence]);
    let gateway = start(&fleet.text().service(retry));
    assert_eq!(ask(&gateway, "GET", "\r\n").text(), "hello");
    let order = fleet.order();
    assert!(order.len() == 2 && order[0] != order[1], "{order:?}");
    // The one that nobody waits for any more is told.
    fleet.origins[order[0]].open_connections(0);
    let fleet = first(2, || vec![Action::Body, Action::Silence]);
    let gateway = start(&fleet.text().service(retry));
    let response = ask(&gateway, "POST", BODY);
    assert_eq!(response.status, 504);
    check_problem(&response, "POST");
    assert_eq!(fleet.total(), 1);
}

#[test]
fn a_refusal_instead_of_a_continue_is_no_loss_of_the_body() {
    let fleet = Fleet::play(2, |turn, _| match turn.number {
        1 => vec![send(BUSY), Action::Close],
        _ => vec![send("HTTP/1.1 100 Continue\r\n\r\n"), Action::Body, send(OK)],
    });
    let gateway = freely(&fleet);
    let mut client: Client = gateway.client();
    client.send(
        "PUT / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
    );
    let head = client.head();
    match head.line.as_str() {
        // Tried again: nothing of the body was sent.
        "HTTP/1.1 100 Continue" => {
            client.send("world");
            assert_eq!(client.response("PUT").status, 200);
            assert_eq!(fleet.request(2).1.text(), "world");
        }
        line => assert!(line.starts_with("HTTP/1.1 503"), "{line}"),
    }
}

const GRPC: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nContent-Length: 0\r\n";

#[test]
fn what_grpc_says_of_itself_counts_as_its_status() {
    for (says, total) in [
        ("grpc-status: 14\r\n\r\n", 2),
        ("grpc-status: 14\r\ngrpc-retry-pushback-ms: 20\r\n\r\n", 2),
        // Asked not to.
        ("grpc-status: 14\r\ngrpc-retry-pushback-ms: -1\r\n\r\n", 1),
        ("grpc-status: 5\r\n\r\n", 1),
    ] {
        let fleet = first(2, move || answer(format!("{GRPC}{says}")));
        let more = format!("Content-Type: application/grpc\r\nIdempotency-Key: k\r\n{BODY}");
        let response = ask(&freely(&fleet), "POST", &more);
        assert_eq!(response.head.has("grpc-status"), total == 1, "{says}");
        assert_eq!(fleet.total(), total, "{says}");
        let fleet = first(2, move || answer(format!("{GRPC}{says}")));
        let more = format!("Content-Type: application/grpc\r\n{BODY}");
        assert_eq!(ask(&freely(&fleet), "POST", &more).status, 200);
        assert_eq!(fleet.total(), 1, "{says}");
    }
}

#[test]
fn the_log_tells_of_tries_and_of_the_server_that_answered() {
    let fleet = first(2, || answer(BUSY));
    let monitor = "[monitor]\naccess_log = \"access.log\"";
    let gateway = start(&fleet.text().service(FREELY).rest(monitor));
    let mut client = gateway.client();
    assert_eq!(client.get("/").status, 200);
    let file = gateway.file().with_file_name("access.log");
    let by = scenario::patience();
    let line = loop {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        if let Some(line) = text.lines().next() {
            break line.to_owned();
        }
        assert!(!by.passed(base::Moment::now()), "nothing was logged");
    };
    let line: serde_json::Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!(line["attempts"], 2, "{line}");
    let answered = fleet.addresses()[fleet.order()[1]].to_string();
    assert_eq!(line["server"], answered, "{line}");
}
