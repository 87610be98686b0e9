//! How long a client will wait: believed, handed on, and never waited for in vain.

use crate::responses::check_problem;
use crate::stage::start;
use scenario::origin::{Action, answer, send};
use scenario::{Client, Fleet, Gate, Gateway, Origin, Response, Text};

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
const FIELD: &str = "x-envoy-expected-rq-timeout-ms";

fn uncached(origin: &Origin) -> Text {
    Text::to(&[origin.address()]).top("threads = 1\ncache = false")
}

fn asking(gateway: &Gateway, method: &str, more: &str) -> Client {
    let mut client = gateway.client();
    client.send(format!("{method} / HTTP/1.1\r\nHost: shop.test\r\n{more}\r\n"));
    client
}

#[track_caller]
fn late(response: &Response, reason: &str) {
    assert_eq!(response.status, 504, "{}", response.text());
    check_problem(response, "GET");
    let text = response.text().replace(' ', "");
    assert!(text.contains(&format!("\"reason\":\"{reason}\"")), "{text}");
}

const GRPC: &str = "Content-Type: application/grpc\r\nTE: trailers\r\n";

#[test]
fn a_clients_own_deadline_shortens_the_wait() {
    for (method, more) in [
        ("GET", format!("{FIELD}: 300\r\n")),
        ("GET", format!("{FIELD}: 0.3s\r\n")),
        // The shortest counts.
        ("GET", format!("{FIELD}: 90000\r\n{FIELD}: 300\r\n{FIELD}: junk\r\n")),
        ("POST", format!("{GRPC}grpc-timeout: 300m\r\nContent-Length: 0\r\n")),
        ("POST", format!("{GRPC}grpc-timeout: 1H\r\n{FIELD}: 300\r\nContent-Length: 0\r\n")),
    ] {
        let origin = Origin::play(|_| vec![Action::Body, Action::Silence]);
        let gateway = start(&uncached(&origin));
        let response = asking(&gateway, method, &more).response(method);
        late(&response, "total_timeout");
        // The service hears of it too.
        origin.open_connections(0);
        assert_eq!(origin.requests().len(), 1, "{more}");
    }
}

#[test]
fn grpcs_field_counts_only_where_grpc_is_spoken() {
    let origin = Origin::saying(OK);
    let gateway = start(&uncached(&origin));
    let response = asking(&gateway, "GET", "grpc-timeout: 1n\r\n").response("GET");
    assert_eq!(response.status, 200);
    assert_eq!(origin.request(1).head.all("grpc-timeout"), ["1n"]);
}

#[test]
fn what_is_left_is_handed_on_shrunk_in_the_same_field() {
    let origin = Origin::saying(OK);
    let gateway = start(&uncached(&origin));
    assert_eq!(asking(&gateway, "GET", &format!("{FIELD}: 20000\r\n")).response("GET").status, 200);
    let head = origin.request(1).head;
    let left: u64 = head.one(FIELD).expect("one field").parse().expect("milliseconds");
    assert!((1..=19_000).contains(&left), "{left}");
    assert!(!head.has("grpc-timeout"));
    let more = format!("{GRPC}grpc-timeout: 20S\r\nContent-Length: 0\r\n");
    assert_eq!(asking(&gateway, "POST", &more).response("POST").status, 200);
    let head = origin.request(2).head;
    let value = head.one("grpc-timeout").expect("one field");
    let left = service::deadline::grpc_timeout(value.as_bytes()).expect(value).as_millis();
    assert!((1..=19_000).contains(&left), "{value}");
    let plain: u128 = head.one(FIELD).expect("one field").parse().expect("milliseconds");
    assert!(plain <= 19_000, "{plain}");
}

#[test]
fn nothing_is_handed_on_where_nobody_said_anything() {
    let origin = Origin::saying(OK);
    let gateway = start(&uncached(&origin).service("total_time = \"20s\""));
    assert_eq!(asking(&gateway, "GET", "").response("GET").status, 200);
    let more = format!("{GRPC}Content-Length: 0\r\n");
    assert_eq!(asking(&gateway, "POST", &more).response("POST").status, 200);
    for number in [1, 2] {
        let head = origin.request(number).head;
        assert!(!head.has(FIELD) && !head.has("grpc-timeout"), "{head:?}");
    }
}

#[test]
fn a_routes_timeout_is_handed_on_and_bounds_the_clients() {
    let origin = Origin::saying(OK);
    let gateway = start(&uncached(&origin).route("timeout = \"20s\""));
    for more in [String::new(), format!("{FIELD}: 60000\r\n"), format!("{FIELD}: junk\r\n")] {
        assert_eq!(asking(&gateway, "GET", &more).response("GET").status, 200);
        let requests = origin.requests();
        let head = &requests.last().expect("some").head;
        let left: u64 = head.one(FIELD).expect("one field").parse().expect("milliseconds");
        assert!((1..=19_000).contains(&left), "{more}: {left}");
    }
}

#[test]
fn the_field_is_the_settings_to_name() {
    let origin = Origin::saying(OK);
    let gateway =
        start(&uncached(&origin).rest("[deadline]\nfield = \"X-Left\"\nshrink = \"50%\""));
    let more = format!("X-Left: 20\r\n{FIELD}: 1\r\n");
    assert_eq!(asking(&gateway, "GET", &more).response("GET").status, 200);
    let head = origin.request(1).head;
    let left: f64 = head.one("x-left").expect("one field").parse().expect("seconds");
    assert!(left > 0.0 && left <= 10.0, "{left}");
    // The other one is none of ours.
    assert_eq!(head.all(FIELD), ["1"]);
    let gateway = start(&uncached(&origin).rest("[deadline]\nfield = false"));
    let more = format!("{FIELD}: 1\r\n");
    assert_eq!(asking(&gateway, "GET", &more).response("GET").status, 200);
    assert_eq!(origin.request(2).head.all(FIELD), ["1"]);
}

#[test]
fn too_short_a_deadline_is_refused_without_asking() {
    let origin = Origin::saying(OK);
    let gateway = start(&uncached(&origin).rest("[deadline]\nleast = \"2s\""));
    let mut client = gateway.client();
    for value in ["0", "1", "1999", "1.5s", "0m"] {
        client.send(format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{FIELD}: {value}\r\n\r\n"));
        late(&client.response("GET"), "deadline_short");
    }
    let more = format!("{GRPC}grpc-timeout: 1S\r\nContent-Length: 0\r\n");
    late(&asking(&gateway, "POST", &more).response("POST"), "deadline_short");
    assert_eq!(origin.connections(), 0, "{}", origin.report());
    // The connection lives, and who has time is served.
    client.send(format!("GET / HTTP/1.1\r\nHost: shop.test\r\n{FIELD}: 60000\r\n\r\n"));
    assert_eq!(client.response("GET").status, 200);
    assert_eq!(client.get("/").status, 200);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn a_deadline_that_cannot_be_read_is_none() {
    let origin = Origin::saying(OK);
    let gateway = start(&uncached(&origin).rest("[deadline]\nleast = \"2s\""));
    for value in ["", "soon", "-1", "1e0", "0x1", "1 2", "1,2", ".", "1.", "1d", "\u{b2}"] {
        let response = asking(&gateway, "GET", &format!("{FIELD}: {value}\r\n")).response("GET");
        assert_eq!(response.status, 200, "{value:?}");
    }
    for value in ["1", "m", "123456789m", "1 m", "-1m", "1.5S", "1s"] {
        let more = format!("{GRPC}grpc-timeout: {value}\r\nContent-Length: 0\r\n");
        assert_eq!(asking(&gateway, "POST", &more).response("POST").status, 200, "{value:?}");
    }
}

#[test]
fn a_client_that_leaves_cancels_what_it_asked_for() {
    for method in ["GET", "POST"] {
        let origin = Origin::play(|_| vec![Action::Body, Action::Silence]);
        let gateway = start(&uncached(&origin));
        for number in [1, 2] {
            let client = asking(&gateway, method, "Content-Length: 0\r\n");
            origin.head(number);
            client.reset();
            origin.open_connections(0);
        }
    }
}

/// Whoever only says that it will send nothing more may still read (RFC 9112 §9.6).
#[test]
fn a_client_that_has_only_finished_is_waited_for() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin::play(move |_| vec![Action::Wait(wait.clone()), send(OK)]);
    let gateway = start(&uncached(&origin));
    let mut client = asking(&gateway, "GET", "");
    origin.head(1);
    client.finish();
    gate.open();
    assert_eq!(client.response("GET").text(), "hello");
}

#[test]
fn a_stream_that_its_client_resets_cancels_what_it_asked_for() {
    let origin = Origin::play(|_| vec![Action::Body, Action::Silence]);
    let gateway = start(&uncached(&origin));
    crate::http2::play(async {
        let tcp = tokio::net::TcpStream::connect(gateway.address()).await.expect("it listens");
        let (send, connection) = h2::client::handshake(tcp).await.expect("a handshake");
        tokio::spawn(connection);
        let request = http::Request::get("http://shop.test/").body(()).expect("legal");
        let mut ready = send.ready().await.expect("room");
        let (response, mut stream) = ready.send_request(request, true).expect("sent");
        while origin.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        stream.send_reset(h2::Reason::CANCEL);
        drop(response);
        tokio::task::spawn_blocking(move || origin.open_connections(0)).await.expect("cancelled");
    });
}

#[test]
fn a_client_that_leaves_during_the_answer_cancels_it() {
    let origin = Origin::play(|_| {
        vec![send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello"), Action::Silence]
    });
    let gateway = start(&uncached(&origin));
    let mut client = asking(&gateway, "GET", "");
    client.head();
    client.reset();
    origin.open_connections(0);
}

#[test]
fn each_try_is_told_what_is_left_by_then() {
    let busy = "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n";
    let fleet = Fleet::play(2, move |turn, _| answer(if turn.number == 1 { busy } else { OK }));
    let gateway = start(&fleet.text());
    let response = asking(&gateway, "GET", &format!("{FIELD}: 20000\r\n")).response("GET");
    assert_eq!(response.status, 200);
    let left = [1, 2].map(|number| {
        let head = fleet.request(number).1.head;
        head.one(FIELD).expect("one field").parse::<u64>().expect("milliseconds")
    });
    assert!(left[1] <= left[0] && left[0] <= 19_000 && left[1] > 0, "{left:?}");
}

/// One fetch for a crowd.
fn crowd() -> (Origin, Gate, Gateway) {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin::play(move |_| {
        let head = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 5\r\n\r\nhello";
        vec![Action::Wait(wait.clone()), send(head)]
    });
    let gateway = start(&Text::to(&[origin.address()]).top("threads = 1"));
    (origin, gate, gateway)
}

#[test]
fn an_impatient_client_does_not_cut_what_a_crowd_waits_for() {
    let impatient = format!("{FIELD}: 400\r\n");
    // Whoever asked first.
    for (first, second) in [(impatient.as_str(), ""), ("", impatient.as_str())] {
        let (origin, gate, gateway) = crowd();
        let mut one = asking(&gateway, "GET", first);
        origin.head(1);
        let mut two = asking(&gateway, "GET", second);
        let (hasty, patient) =
            if first.is_empty() { (&mut two, &mut one) } else { (&mut one, &mut two) };
        assert_eq!(hasty.response("GET").status, 504);
        assert!(patient.is_quiet());
        gate.open();
        assert_eq!(patient.response("GET").text(), "hello");
        assert_eq!(origin.requests().len(), 1, "{}", origin.report());
    }
}
