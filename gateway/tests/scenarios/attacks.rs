//! What an attack with real tools on the release binary found; each the smallest form of it.
//!
//! A row that is ignored is a finding that still stands: take the mark away with the fix.

use crate::http2::play;
use crate::stage::{before, one_thread, start};
use h2::server::SendResponse;
use http::{HeaderMap, Request, Response};
use rcgen::{CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection};
use scenario::client::Ending;
use scenario::gateway::Folder;
use scenario::origin::{Action, echo_line, send};
use scenario::{Client, Gate, Gateway, Origin, Text};
use std::future::Future;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];

/// A frame of HEADERS with literals that are not indexed (RFC 7541 §6.2.2).
fn headers(stream: u8, flags: u8, fields: &[(&str, &str)]) -> Vec<u8> {
    let text = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let literal = |&(name, value): &(&str, &str)| [vec![0], text(name), text(value)].concat();
    let block: Vec<u8> = fields.iter().flat_map(literal).collect();
    let length = (block.len() as u16).to_be_bytes();
    [&[0, length[0], length[1], 1, flags, 0, 0, 0, stream], &block[..]].concat()
}

fn head(method: &'static str, path: &str, stream: u8, flags: u8) -> Vec<u8> {
    let fields =
        [(":method", method), (":scheme", "http"), (":authority", "shop.test"), (":path", path)];
    headers(stream, flags, &fields)
}

/// A connection on which HTTP/2 has begun.
fn open2(gateway: &Gateway) -> Client {
    let mut client = gateway.client();
    client.send([PREFACE.as_bytes(), SETTINGS].concat());
    client
}

/// Waits until `good`, within our patience.
#[track_caller]
fn wait(what: &str, mut good: impl FnMut() -> bool) {
    let by = scenario::patience();
    while !good() {
        assert!(!by.passed(base::Moment::now()), "{what}");
        thread::yield_now();
    }
}

/// A service that speaks HTTP/2. `serve` is told which connection, counted from 0, a request came on.
fn service2<F, S>(serve: S) -> (SocketAddr, Arc<AtomicUsize>)
where
    F: Future<Output = ()> + Send + 'static,
    S: Fn(usize, Request<h2::RecvStream>, SendResponse<bytes::Bytes>) -> F + Copy + Send + 'static,
{
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    let connections = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&connections);
    thread::spawn(move || {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().expect("a runtime");
        runtime.block_on(async move {
            listener.set_nonblocking(true).expect("a socket");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
            while let Ok((tcp, _)) = listener.accept().await {
                let number = count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(async move {
                    let Ok(mut connection) = h2::server::handshake(tcp).await else { return };
                    let (lose, mut lost) = tokio::sync::mpsc::channel::<()>(1);
                    loop {
                        tokio::select! {
                            accepted = connection.accept() => match accepted {
                                Some(Ok((request, respond))) => {
                                    let lose = lose.clone();
                                    let dies = request.uri().path() == "/die" && number == 0;
                                    let served = serve(number, request, respond);
                                    tokio::spawn(async move {
                                        if dies { let _lost = lose.send(()).await; }
                                        served.await;
                                    });
                                }
                                _ => return,
                            },
                            _ = lost.recv() => return,
                        }
                    }
                });
            }
        });
    });
    (address, connections)
}

fn ok(mut respond: SendResponse<bytes::Bytes>) {
    let _gone = respond.send_response(Response::new(()), true);
}

fn before2(address: SocketAddr, lines: &str) -> Gateway {
    let text = Text::to(&[address]).top("threads = 1").top("cache = false");
    start(&text.service("http = \"2\"").service(lines))
}

/// Dialling holds the lock of `Endpoint::h2`, so a crowd waits in a queue of connect times.
#[test]
fn a_crowd_waits_for_a_dead_server_no_longer_than_one() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = format!("https://{}", silent.local_addr().expect("bound"));
    let text = Text::to_servers(&[&server]).top("threads = 1");
    let gateway = start(&text.service("connect_time = \"400ms\""));
    let begun = base::Moment::now();
    let mut clients: Vec<_> = (0..10).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.request("GET", "/");
    }
    for client in &mut clients {
        assert_eq!(client.response("GET").status, 504);
    }
    let took = base::Moment::now().since(begun);
    assert!(took < Duration::from_secs(2), "the last of ten waited {took:?}");
}

/// Connections that are being made count for nothing yet when the next request looks.
#[test]
fn connections_max_holds_for_a_crowd() {
    let gate = Gate::new();
    let held = gate.clone();
    let origin = Origin::play(move |request| {
        let mut actions = vec![Action::Wait(held.clone())];
        actions.extend(echo_line(request));
        actions
    });
    let lines = "connections_max = 4\nidle_max = 4";
    let gateway = start(&one_thread(&origin).top("cache = false").service(lines));
    let mut client = open2(&gateway);
    client.send((0..40).flat_map(|n| head("GET", "/", 2 * n + 1, 5)).collect::<Vec<u8>>());
    origin.head(4);
    assert_eq!(gateway.get("/fence").status, 503);
    let connections = origin.connections();
    gate.open();
    assert!(connections <= 4, "{connections} connections where 4 are allowed");
}

/// A service that sends interim responses without end fills the memory of a gateway whose client
/// does not read, and puts off `first_byte_time` for ever.
#[test]
fn interim_responses_of_an_http2_service_are_bounded() {
    let (address, _) = service2(|_, request, mut respond| async move {
        if request.uri().path() == "/flood" {
            let link = "x".repeat(4_000);
            for _ in 0..10_000 {
                let head = Response::builder().status(103).header("link", &link).body(());
                if respond.send_informational(head.expect("legal")).is_err() {
                    return;
                }
            }
        }
        ok(respond);
    });
    let gateway = before2(address, "");
    gateway.get("/warm");
    let rest = gateway.memory().resident;
    let mut client = Client::connect_small(gateway.address());
    client.request("GET", "/flood");
    // Until the answer behind the flood has come, or the flood has been refused.
    wait("neither answered nor refused", || {
        gateway.metric("fleetfoot_service_first_byte_seconds_count") >= 2.0
            || gateway.metric("fleetfoot_faults_total{reason=\"bad_response\"}") >= 1.0
    });
    let growth = gateway.memory().peak.saturating_sub(rest);
    assert!(growth < 16 << 20, "it grew by {} KiB", growth >> 10);
}

/// A connection whose peer has vanished without a word is open as far as TCP knows.
#[test]
fn a_silent_http2_connection_is_given_up() {
    let (address, _) = service2(|number, _, respond| async move {
        if number == 0 {
            std::future::pending::<()>().await;
        }
        ok(respond);
    });
    let gateway = before2(address, "first_byte_time = \"300ms\"");
    assert_eq!(gateway.get("/").status, 504);
    let statuses: Vec<_> = (0..3).map(|_| gateway.get("/").status).collect();
    assert!(statuses.contains(&200), "it asks the dead one for ever: {statuses:?}");
}

/// Every request that was on a lost connection dials one of its own.
#[test]
fn a_lost_http2_connection_is_replaced_by_one() {
    let (address, connections) = service2(|number, _, respond| async move {
        if number == 0 {
            std::future::pending::<()>().await;
        }
        ok(respond);
    });
    let gateway = before2(address, "");
    let mut clients: Vec<_> = (0..20).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.request("GET", "/wait");
    }
    wait("they are on their way", || gateway.metric("fleetfoot_server_requests_total") >= 20.0);
    gateway.client().request("GET", "/die");
    for client in &mut clients {
        assert_eq!(client.response("GET").status, 200);
    }
    let dialled = connections.load(Ordering::SeqCst);
    assert!(dialled <= 3, "{dialled} connections for one that was lost");
}

/// `idle_time` is for every connection to a service.
#[test]
fn an_idle_http2_connection_to_a_service_is_closed() {
    let (address, _) = service2(|_, _, respond| async move { ok(respond) });
    let gateway = before2(address, "idle_time = \"300ms\"");
    assert_eq!(gateway.get("/").status, 200);
    wait("it stays open", || gateway.metric("fleetfoot_server_connections{") < 1.0);
}

/// What may not stand in a trailer section may not in HTTP/2 either (RFC 9110 §6.5.1).
#[test]
fn barred_trailers_do_not_pass_from_http2() {
    let origin = Origin::start();
    let gateway = before(&origin);
    let mut client = open2(&gateway);
    let trailers = [
        ("x-forwarded-for", "6.6.6.6"),
        ("forwarded", "for=6.6.6.6"),
        ("authorization", "Basic eA=="),
        ("cookie", "a=b"),
        ("sum", "1"),
    ];
    client.send(head("POST", "/", 1, 4));
    client.send([0, 0, 2, 0, 0, 0, 0, 0, 1, b'h', b'i']);
    client.send(headers(1, 5, &trailers));
    assert_eq!(origin.request(1).trailers, [("sum".to_owned(), "1".to_owned())]);
}

/// HTTP/2 allows trailers behind a body of declared length (RFC 9113 §8.1).
#[test]
fn trailers_behind_a_declared_length_pass() {
    let (address, _) = service2(|_, _, mut respond| async move {
        let head = Response::builder().header("content-length", "2").body(()).expect("legal");
        let Ok(mut stream) = respond.send_response(head, false) else { return };
        let mut trailers = HeaderMap::new();
        trailers.insert("sum", "1".parse().expect("legal"));
        let sent = stream.send_data("ok".into(), false);
        let _gone = sent.and_then(|()| stream.send_trailers(trailers));
    });
    let gateway = before2(address, "");
    play(async {
        let tcp = tokio::net::TcpStream::connect(gateway.address()).await.expect("it listens");
        let (mut sender, connection) = h2::client::handshake(tcp).await.expect("a handshake");
        tokio::spawn(connection);
        let request = Request::get("http://shop.test/").body(()).expect("legal");
        let answer = sender.send_request(request, true).expect("sent").0.await.expect("an answer");
        let mut body = answer.into_body();
        while let Some(data) = body.data().await {
            let n = data.expect("data").len();
            body.flow_control().release_capacity(n).expect("open");
        }
        let trailers = body.trailers().await.expect("well-formed");
        assert_eq!(trailers.expect("they were sent")["sum"], "1");
    });
}

/// A stream of bytes may be cut anywhere.
#[test]
fn the_preface_of_http2_may_come_in_pieces() {
    let origin = Origin::start();
    let gateway = before(&origin);
    for cut in 1..PREFACE.len() {
        let mut client = gateway.client();
        client.send(&PREFACE[..cut]);
        gateway.get("/fence"); // there is one thread: the piece has been read
        client.send([&PREFACE.as_bytes()[cut..], SETTINGS].concat());
        let first = client.bytes(4);
        assert_eq!(first[3], 4, "cut at {cut}: {}", first.escape_ascii());
    }
}

/// Whoever is in the middle of a preface when a drain begins is told to go, too.
#[test]
fn a_drain_reaches_who_is_in_the_preface() {
    let origin = Origin::start();
    let mut gateway = before(&origin);
    let mut client = gateway.client();
    client.send(&PREFACE[..10]);
    gateway.get("/fence");
    gateway.signal("TERM");
    wait("it stays ready", || gateway.ask("GET", "/ready").status == 503);
    client.send([&PREFACE.as_bytes()[10..], SETTINGS].concat());
    // Within our patience, which is less than the standard grace.
    assert_eq!(gateway.wait_exit().code(), Some(0));
}

/// The only sign of a cut that HTTP/1.0 has is a reset.
#[test]
fn a_cut_answer_is_not_whole_in_http10() {
    let origin = Origin::play(|_| {
        let part = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        vec![send(part), Action::Close]
    });
    let gateway = before(&origin);
    let mut client = gateway.client();
    client.send("GET / HTTP/1.0\r\n\r\n");
    let (came, ending) = client.rest();
    let refused = came.starts_with(b"HTTP/1.1 502");
    assert!(refused || ending == Ending::Reset, "whole, as it seems: {}", came.escape_ascii());
}

/// A body that ends with its connection is whole only if TLS says so (RFC 9112 §9.8).
#[test]
fn a_cut_tls_answer_is_not_whole() {
    let mut params = CertificateParams::new(Vec::new()).expect("no names");
    params.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let key = KeyPair::generate().expect("a key");
    let authority = CertifiedIssuer::self_signed(params, key).expect("a certificate");
    let params = CertificateParams::new(vec!["shop.internal".to_owned()]).expect("a name");
    let key = KeyPair::generate().expect("a key");
    let leaf = params.signed_by(&key, &authority).expect("signed").der().clone();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("both versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .expect("a pair");
    let config = Arc::new(config);
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server = format!("https://{}", listener.local_addr().expect("bound"));
    thread::spawn(move || {
        while let Ok((mut tcp, _)) = listener.accept() {
            let mut tls = ServerConnection::new(Arc::clone(&config)).expect("a connection");
            let mut stream = rustls::Stream::new(&mut tls, &mut tcp);
            let read = stream.read(&mut [0; 4_096]);
            let _gone = read.and_then(|_| {
                stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhalf of")
            });
            // Dropped without a close_notify.
        }
    });
    let folder = Folder::new();
    let trust = folder.write("trust.pem", &authority.pem());
    let tls = format!("tls = {{ trust = {:?}, name = \"shop.internal\" }}", trust.display());
    let gateway = start(&Text::to_servers(&[&server]).top("threads = 1").service(&tls));
    let mut client = gateway.client();
    client.request("GET", "/");
    match client.try_response("GET") {
        Ok(response) => assert_eq!(response.status, 502, "whole, as it seems"),
        Err(_cut) => {}
    }
}

/// A client that has reset its connection waits for nothing.
#[track_caller]
fn gone(actions: Vec<Action>, until: usize) {
    let origin = Origin::play(move |_| actions.clone());
    // With a cache the fetch would go on for it.
    let gateway = start(&one_thread(&origin).top("cache = false"));
    let mut client = gateway.client();
    client.request("GET", "/");
    origin.head(1);
    client.bytes(until);
    client.reset();
    wait("its connection is held for it", || gateway.metric("fleetfoot_connections ") < 1.0);
    origin.open_connections(0);
}

#[test]
fn a_client_that_has_gone_waits_for_no_answer() {
    gone(vec![Action::Silence], 0);
}

#[test]
fn a_client_that_has_gone_waits_for_no_event() {
    let part = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    gone(vec![send(part), Action::Silence], 20);
}

/// Half a head waits for `head_time`; a thousand of them should not hold 32 MiB.
#[test]
fn half_a_head_is_held_cheaply() {
    let origin = Origin::start();
    let gateway = before(&origin);
    gateway.get("/warm");
    let rest = gateway.memory().resident;
    let mut clients: Vec<_> = (0..400).map(|_| gateway.client()).collect();
    for client in &mut clients {
        client.send("GET / HTTP/1.1\r\nHost: shop.test\r\n");
    }
    gateway.get("/fence");
    let each = gateway.memory().resident.saturating_sub(rest) / 400;
    assert!(each < 12 << 10, "{each} bytes each");
}

/// A tunnel is a connection to its server like any other.
#[test]
fn a_tunnel_counts_as_a_connection() {
    let origin = Origin::play(|_| {
        let head =
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n";
        vec![send(head), Action::Echo]
    });
    let gateway = before(&origin);
    let mut client = gateway.client();
    client
        .send("GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    assert!(client.head().line.contains("101"));
    client.send("x");
    assert_eq!(client.bytes(1), b"x");
    let open = gateway.metric("fleetfoot_server_connections{");
    assert!(open >= 1.0, "{open} connections while a tunnel is open");
}
