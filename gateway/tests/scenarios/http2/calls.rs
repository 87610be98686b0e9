//! Well-formed traffic through the `h2` client and server.

use crate::stage::{before, one_thread, start};
use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Method, Request, StatusCode};
use scenario::origin::{Action, answer, send};
use scenario::{Gate, Origin, PATIENCE, Text};
use std::future::Future;
use std::net::SocketAddr;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Runs a scenario on a runtime of one thread, within our patience.
#[track_caller]
pub(crate) fn play(scenario: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().expect("a runtime");
    let bounded = async { tokio::time::timeout(PATIENCE * 2, scenario).await };
    assert!(runtime.block_on(bounded).is_ok(), "it took longer than {:?}", PATIENCE * 2);
}

struct Connection {
    send: SendRequest<Bytes>,
    driver: JoinHandle<Result<(), h2::Error>>,
}

async fn connect(address: SocketAddr) -> Connection {
    let tcp = TcpStream::connect(address).await.expect("the gateway listens");
    let (send, connection) = h2::client::handshake(tcp).await.expect("a handshake");
    Connection { send, driver: tokio::spawn(connection) }
}

struct Answer {
    status: StatusCode,
    fields: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

impl Connection {
    async fn get(&self, path: &str) -> Answer {
        call(&self.send, Method::GET, path, None).await
    }
}

async fn call(
    send: &SendRequest<Bytes>,
    method: Method,
    path: &str,
    body: Option<Vec<u8>>,
) -> Answer {
    let uri = format!("http://shop.test{path}");
    let request = Request::builder().method(method).uri(uri).body(()).expect("well-formed");
    let mut send = send.clone().ready().await.expect("room for a stream");
    let (response, mut stream) = send.send_request(request, body.is_none()).expect("sent");
    if let Some(body) = body {
        stream.send_data(body.into(), true).expect("sent");
    }
    read(response.await.expect("an answer")).await
}

async fn read(response: http::Response<h2::RecvStream>) -> Answer {
    let (parts, mut stream) = response.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data.expect("the body is whole");
        stream.flow_control().release_capacity(data.len()).expect("it was received");
        body.extend_from_slice(&data);
    }
    let trailers = stream.trailers().await.expect("well-formed");
    Answer { status: parts.status, fields: parts.headers, body, trailers }
}

#[test]
fn a_request_is_answered() {
    let origin = Origin::start();
    let gateway = before(&origin);
    play(async {
        let connection = connect(gateway.address()).await;
        for number in 0..20 {
            let answer = connection.get(&format!("/{number}?a=b")).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.body, format!("GET /{number}?a=b HTTP/1.1").as_bytes());
        }
    });
    let head = origin.request(1).head;
    assert_eq!(head.one("via"), Some("2.0 fleetfoot"));
    assert_eq!(head.one("host"), Some("shop.test"));
    assert_eq!(head.one("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(origin.connections(), 1);
}

#[test]
fn bodies_pass_both_ways() {
    let body: Vec<u8> = (0..1_000_000_u32).map(|n| (n % 251) as u8).collect();
    let echo = body.clone();
    let origin = Origin::play(move |_| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", echo.len());
        vec![Action::Body, send(head), send(&echo)]
    });
    let gateway = before(&origin);
    play(async {
        let connection = connect(gateway.address()).await;
        let answer = call(&connection.send, Method::PUT, "/", Some(body.clone())).await;
        assert!(answer.body == body, "the answer's body was changed");
    });
    assert!(origin.request(1).body == body, "the request's body was changed");
}

#[test]
fn answers_lose_what_is_no_http2() {
    let origin = Origin::saying(
        "HTTP/1.1 200 OK\r\nConnection: A\r\nA: b\r\nKeep-Alive: x\r\nX-Kept: c\r\n\
         Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nSum: 1\r\n\r\n",
    );
    let gateway = before(&origin);
    play(async {
        let answer = connect(gateway.address()).await.get("/").await;
        for name in ["connection", "a", "keep-alive", "transfer-encoding"] {
            assert!(!answer.fields.contains_key(name), "{:?}", answer.fields);
        }
        assert_eq!(answer.fields["x-kept"], "c");
        assert_eq!(answer.fields["via"], "1.1 fleetfoot");
        assert_eq!(answer.body, b"hello");
        assert_eq!(answer.trailers.expect("they were sent")["sum"], "1");
    });
}

#[test]
fn trailers_of_requests_pass() {
    let origin = Origin::start();
    let gateway = before(&origin);
    play(async {
        let connection = connect(gateway.address()).await;
        let uri = "http://shop.test/";
        let request = Request::post(uri).body(()).expect("well-formed");
        let mut ready = connection.send.ready().await.expect("room");
        let (response, mut stream) = ready.send_request(request, false).expect("sent");
        stream.send_data(Bytes::from_static(b"hello"), false).expect("sent");
        let mut trailers = HeaderMap::new();
        trailers.insert("sum", "1".parse().expect("legal"));
        stream.send_trailers(trailers).expect("sent");
        assert_eq!(response.await.expect("an answer").status(), 200);
    });
    let seen = origin.request(1);
    assert_eq!(seen.text(), "hello");
    assert_eq!(seen.trailers, [("sum".to_owned(), "1".to_owned())]);
}

#[test]
fn head_and_bodiless_answers_have_no_body() {
    let origin = Origin::play(|request| match request.target.as_str() {
        "/204" => answer("HTTP/1.1 204 No Content\r\n\r\n"),
        "/304" => answer("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"),
        _ => answer("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    });
    let gateway = before(&origin);
    play(async {
        let connection = connect(gateway.address()).await;
        for (method, path, status) in
            [(Method::GET, "/204", 204), (Method::GET, "/304", 304), (Method::HEAD, "/", 200)]
        {
            let answer = call(&connection.send, method, path, None).await;
            assert_eq!((answer.status.as_u16(), answer.body.len()), (status, 0), "{path}");
        }
    });
}

#[test]
fn a_cut_answer_ends_in_an_error() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ] {
        let origin = Origin::play(move |_| vec![send(bytes), Action::Close]);
        let gateway = before(&origin);
        play(async {
            let connection = connect(gateway.address()).await;
            let request = Request::get("http://shop.test/").body(()).expect("well-formed");
            let mut ready = connection.send.ready().await.expect("room");
            let (response, _) = ready.send_request(request, true).expect("sent");
            // Even the head may be lost to the error; what must not be is a clean end.
            let Ok(head) = response.await else { return };
            let mut body = head.into_body();
            let failed = loop {
                match body.data().await {
                    Some(Ok(_)) => {}
                    Some(Err(_)) => break true,
                    None => break false,
                }
            };
            assert!(failed, "a cut answer ended cleanly");
        });
    }
}

#[test]
fn streams_do_not_wait_for_each_other() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin::play(move |request| {
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        if request.target == "/held" {
            return vec![Action::Wait(wait.clone()), send(head)];
        }
        answer(head)
    });
    let gateway = before(&origin);
    play(async {
        let connection = connect(gateway.address()).await;
        let request = Request::get("http://shop.test/held").body(()).expect("well-formed");
        let mut ready = connection.send.clone().ready().await.expect("room");
        let (held, _) = ready.send_request(request, true).expect("sent");
        for _ in 0..10 {
            assert_eq!(connection.get("/free").await.status, 200);
        }
        gate.open();
        assert_eq!(held.await.expect("an answer").status(), 200);
    });
}

/// One stream's reader stops; its answer fills its own window and no more.
#[test]
fn a_stream_that_is_not_read_holds_up_no_other() {
    let origin = Origin::play(|request| match request.target.as_str() {
        "/big" => {
            let head = "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n";
            vec![send(head), Action::Fill(100_000_000)]
        }
        _ => scenario::origin::echo_line(request),
    });
    let gateway = before(&origin);
    play(async {
        let tcp = TcpStream::connect(gateway.address()).await.expect("the gateway listens");
        let mut builder = h2::client::Builder::new();
        builder.initial_window_size(20_000).initial_connection_window_size(1 << 20);
        let (send, driver) = builder.handshake(tcp).await.expect("a handshake");
        let connection = Connection { send, driver: tokio::spawn(driver) };
        let request = Request::get("http://shop.test/big").body(()).expect("well-formed");
        let mut ready = connection.send.clone().ready().await.expect("room");
        let (big, _) = ready.send_request(request, true).expect("sent");
        let unread = big.await.expect("a head");
        for _ in 0..50 {
            assert_eq!(connection.get("/free").await.status, 200);
        }
        drop(unread);
    });
    assert!(gateway.memory().peak < 128 << 20);
}

#[test]
fn many_connections_with_many_streams_are_clean() {
    let origin = Origin::start();
    let gateway = start(&Text::to(&[origin.address()]));
    play(async {
        let mut streams = Vec::new();
        for _ in 0..10 {
            let Connection { send, .. } = connect(gateway.address()).await;
            for number in 0..32 {
                let send = send.clone();
                streams.push(tokio::spawn(async move {
                    let path = format!("/{number}");
                    let answer = call(&send, Method::GET, &path, None).await;
                    assert_eq!(answer.body, format!("GET {path} HTTP/1.1").as_bytes());
                }));
            }
        }
        for stream in streams {
            stream.await.expect("it was answered");
        }
    });
    assert_eq!(origin.requests().len(), 320);
}

#[test]
fn a_drain_lets_streams_finish_and_says_goodbye() {
    let gate = Gate::new();
    let wait = gate.clone();
    let origin = Origin::play(move |_| {
        vec![Action::Wait(wait.clone()), send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")]
    });
    let mut gateway = before(&origin);
    play(async {
        let connection = connect(gateway.address()).await;
        let request = Request::get("http://shop.test/").body(()).expect("well-formed");
        let mut ready = connection.send.ready().await.expect("room");
        let (held, _) = ready.send_request(request, true).expect("sent");
        // The call blocks this thread, and with it the client; the request is on its way before.
        tokio::task::yield_now().await;
        while origin.requests().is_empty() {
            tokio::task::yield_now().await;
        }
        gateway.signal("TERM");
        gate.open();
        assert_eq!(held.await.expect("an answer").status(), 200);
        drop(ready);
        assert!(connection.driver.await.expect("no panic").is_ok(), "it ended in an error");
    });
    assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
}

#[test]
fn an_idle_connection_does_not_hold_up_a_drain() {
    let origin = Origin::start();
    let mut gateway = before(&origin);
    play(async {
        let connection = connect(gateway.address()).await;
        assert_eq!(connection.get("/").await.status, 200);
        gateway.signal("TERM");
        // Ended from the gateway's side, with our handle still alive.
        connection.driver.await.expect("no panic").expect("a clean end");
    });
    assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
}

/// An origin that speaks HTTP/2 and answers each request with its method and path.
async fn origin2(listener: TcpListener) {
    while let Ok((tcp, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut connection = h2::server::handshake(tcp).await.expect("a handshake");
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                tokio::spawn(async move {
                    let line = format!("{} {}", request.method(), request.uri().path());
                    let body = read(http::Response::new(request.into_body())).await.body;
                    let head = http::Response::new(());
                    let mut stream = respond.send_response(head, false).expect("sent");
                    let text = [line.as_bytes(), b" ", &body].concat();
                    stream.send_data(text.into(), false).expect("sent");
                    let mut trailers = HeaderMap::new();
                    trailers.insert("sum", "1".parse().expect("legal"));
                    stream.send_trailers(trailers).expect("sent");
                });
            }
        });
    }
}

#[test]
fn services_can_be_spoken_to_in_http2() {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    let bound = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let address = bound.local_addr().expect("bound");
    runtime.spawn(origin2(bound));
    let gateway = start(&Text::to(&[address]).top("threads = 1").service("http = \"2\""));
    let mut client = gateway.client();
    for _ in 0..5 {
        let response = client.get("/one");
        assert_eq!((response.status, response.text().as_str()), (200, "GET /one "));
        assert_eq!(response.trailers, [("sum".to_owned(), "1".to_owned())]);
        client.send("POST /two HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 5\r\n\r\nhello");
        assert_eq!(client.response("POST").text(), "POST /two hello");
    }
    play(async {
        let connection = connect(gateway.address()).await;
        assert_eq!(connection.get("/three").await.body, b"GET /three ");
    });
}

#[test]
fn a_service_that_does_not_speak_http2_is_502() {
    let origin = Origin::start();
    let gateway = start(&one_thread(&origin).service("http = \"2\"\nfirst_byte_time = \"2s\""));
    let status = gateway.get("/").status;
    assert!(matches!(status, 502 | 504), "{status}");
}
