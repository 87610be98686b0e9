//! Active checks: who fails them is not asked, who passes them again is.

use crate::town::{Front, House, settings, start, wait_for, who};
use base::Moment;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use scenario::server::wait_until;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

const CHECK: &str = "every = \"100ms\", time = \"90ms\"";

fn servers(houses: &[House]) -> String {
    let urls: Vec<String> = houses.iter().map(House::url).collect();
    format!("servers = {urls:?}")
}

fn houses() -> [House; 3] {
    ["a", "b", "c"].map(House::start)
}

fn at_health(houses: &[House]) -> String {
    format!("{}\nhealth = {{ path = \"/health\", {CHECK} }}", servers(houses))
}

#[test]
fn a_server_that_fails_its_checks_is_taken_out_and_comes_back() {
    let houses = houses();
    let gateway = start(&at_health(&houses), None);
    wait_for(&gateway, &["a", "b", "c"]);
    wait_until("the first checks", || houses.iter().all(|house| house.checks() > 1));
    let before = houses[1].checks();
    houses[1].health(500);
    gateway.wait_line("fails its checks: status 500, not 200 to");
    // Three in a row, not one more and not one less; the one under way may be either's.
    let needed = houses[1].checks() - before;
    assert!((3..=5).contains(&needed), "{needed} checks");
    wait_for(&gateway, &["a", "c"]);
    let before = houses[1].checks();
    houses[1].health(200);
    gateway.wait_line("passes its checks again");
    let needed = houses[1].checks() - before;
    assert!((2..=4).contains(&needed), "{needed} checks");
    wait_for(&gateway, &["a", "b", "c"]);
}

#[test]
fn a_server_that_does_not_answer_a_check_fails_it() {
    let houses = houses();
    let mute = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let mute = format!("http://{}", mute.local_addr().expect("bound"));
    let urls = [houses[0].url(), houses[1].url(), mute];
    let gateway =
        start(&format!("servers = {urls:?}\nhealth = {{ path = \"/health\", {CHECK} }}"), None);
    // The first check decides.
    gateway.wait_line("fails its checks: no answer within 90ms");
    wait_for(&gateway, &["a", "b"]);
}

#[test]
fn a_server_whose_port_is_closed_fails_a_check_of_tcp() {
    let mut houses = houses();
    let check = format!("{}\nhealth = {{ tcp = true, {CHECK} }}", servers(&houses));
    let gateway = start(&check, None);
    wait_for(&gateway, &["a", "b", "c"]);
    houses[2].origin.stop();
    gateway.wait_line("fails its checks: cannot connect: Connection refused");
    wait_for(&gateway, &["a", "b"]);
    houses[2].origin.restart();
    wait_for(&gateway, &["a", "b", "c"]);
}

#[test]
fn checks_go_their_own_ways_and_carry_the_host() {
    let houses = houses();
    let service = format!("{}\nhost = \"shop.test\"", at_health(&houses));
    let gateway = start(&service, None);
    wait_until("a few checks", || houses.iter().all(|house| house.checks() >= 3));
    for request in houses.iter().flat_map(|house| house.origin.requests()) {
        if request.target == "/health" {
            assert_eq!(request.head.one("host"), Some("shop.test"));
            assert!(
                request.head.one("user-agent").is_some_and(|a| a.starts_with("fleetfoot-check/"))
            );
        }
    }
    // A connection each, since the pools' are for requests.
    let house = &houses[0];
    let mut connections: Vec<_> = house.origin.requests().iter().map(|r| r.connection).collect();
    connections.dedup();
    assert_eq!(connections.len(), house.origin.requests().len());
    assert_eq!(who(&gateway).len(), 3);
}

#[test]
fn a_reload_keeps_what_checks_have_found_and_no_checks_mean_nobody_is_down() {
    let houses = houses();
    houses[1].health(503);
    let gateway = start(&at_health(&houses), None);
    wait_for(&gateway, &["a", "c"]);
    for _ in 0..5 {
        assert_eq!(gateway.ask("POST", "/reload").status, 200);
        assert_eq!(who(&gateway).len(), 2, "right after a reload");
    }
    // A file with a mistake changes nothing.
    let good = std::fs::read_to_string(gateway.file()).expect("it is there");
    gateway.rewrite("nothing = 1\n");
    assert_eq!(gateway.ask("POST", "/reload").status, 422);
    let before = houses[0].checks();
    wait_until("checks that go on", || houses[0].checks() > before + 1);
    assert_eq!(who(&gateway).len(), 2);
    // Other rules of the same service: what is known stays until they say otherwise.
    gateway.rewrite(&good.replace("every = \"100ms\"", "every = \"10m\""));
    assert_eq!(gateway.ask("POST", "/reload").status, 200);
    assert_eq!(who(&gateway).len(), 2);
    gateway.rewrite(&settings(&servers(&houses)));
    assert_eq!(gateway.ask("POST", "/reload").status, 200);
    wait_for(&gateway, &["a", "b", "c"]);
    let before = houses[0].checks();
    assert_eq!(who(&gateway).len(), 3);
    assert_eq!(houses[0].checks(), before, "it is still checked");
}

/// A gRPC server that tells of its health, and says its name to whatever else is asked.
struct Grpc {
    address: SocketAddr,
    serving: Arc<AtomicBool>,
    checks: Arc<AtomicUsize>,
}

impl Grpc {
    fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.set_nonblocking(true).expect("a socket");
        let address = listener.local_addr().expect("bound");
        let (serving, checks) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
        let told = (Arc::clone(&serving), Arc::clone(&checks));
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a socket");
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(converse(stream, name, told.clone()));
                }
            });
        });
        Self { address, serving, checks }
    }
}

async fn converse(
    stream: tokio::net::TcpStream,
    name: &str,
    (serving, checks): (Arc<AtomicBool>, Arc<AtomicUsize>),
) {
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let health = request.uri().path() == "/grpc.health.v1.Health/Check";
        let (body, status) = if health {
            checks.fetch_add(1, Ordering::Relaxed);
            assert_eq!(request.headers()["content-type"], "application/grpc");
            let serving = if serving.load(Ordering::Relaxed) { 1 } else { 2 };
            (Bytes::from(vec![0, 0, 0, 0, 2, 8, serving]), Some("0"))
        } else {
            (Bytes::copy_from_slice(name.as_bytes()), None)
        };
        let Ok(mut stream) = respond.send_response(Response::new(()), false) else { continue };
        let _ = stream.send_data(body, status.is_none());
        if let Some(status) = status {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static(status));
            let _ = stream.send_trailers(trailers);
        }
    }
}

#[test]
fn a_server_that_is_not_serving_fails_a_check_of_grpc() {
    let servers = ["a", "b", "c"].map(Grpc::start);
    let urls: Vec<String> = servers.iter().map(|s| format!("http://{}", s.address)).collect();
    let service = format!("servers = {urls:?}\nhttp = \"2\"\nhealth = {{ grpc = \"\", {CHECK} }}");
    let gateway = start(&service, None);
    wait_for(&gateway, &["a", "b", "c"]);
    servers[0].serving.store(false, Ordering::Relaxed);
    gateway.wait_line("fails its checks: it is not SERVING (1) but 2");
    wait_for(&gateway, &["b", "c"]);
    servers[0].serving.store(true, Ordering::Relaxed);
    wait_for(&gateway, &["a", "b", "c"]);
    assert!(servers.iter().all(|server| server.checks.load(Ordering::Relaxed) > 3));
}

#[test]
fn checks_keep_their_pace() {
    let houses = houses();
    let gateway = start(&at_health(&houses), None);
    wait_until("the first checks", || houses.iter().all(|house| house.checks() > 0));
    let (begun, before) = (Moment::now(), houses[0].checks());
    wait_until("twenty more", || houses[0].checks() >= before + 20);
    let took = Moment::now().since(begun);
    // A tenth earlier or later each time: 20 of them never take less than nine tenths.
    assert!(took >= Duration::from_millis(1_700), "{took:?}");
    assert_eq!(who(&gateway).len(), 3);
}

#[test]
fn checks_speak_tls_to_servers_that_do() {
    let houses = houses();
    let fronts = houses.each_ref().map(|house| Front::start(house.origin.address()));
    let service = |trust: &str| {
        let urls = fronts.each_ref().map(|front| format!("https://{}", front.address));
        let check = format!("health = {{ path = \"/health\", {CHECK} }}");
        format!("servers = {urls:?}\n{check}\ntls = {{ trust = {trust:?} }}")
    };
    // One of three is believed: it vouches for itself alone.
    let gateway = start(&service(&fronts[0].trust), None);
    let refused = "fails its checks: no TLS: invalid peer certificate";
    wait_until("two that are not", || gateway.stderr().matches(refused).count() == 2);
    wait_until("one that is", || houses[0].checks() > 2);
    assert!(houses[1].checks() + houses[2].checks() == 0);
    houses[0].health(500);
    gateway.wait_line("fails its checks: status 500");
}

#[test]
fn checks_speak_http2_to_services_that_do() {
    let server = Grpc::start("a");
    let gateway = start(
        &format!(
            "servers = [\"http://{}\"]\nhttp = \"2\"\n\
             health = {{ path = \"/x\", statuses = \"300-399\", {CHECK} }}",
            server.address
        ),
        None,
    );
    gateway.wait_line("fails its checks: status 200, not 300 to 399");
}
