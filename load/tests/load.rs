//! The load against a server whose delays are known.

#![expect(clippy::unwrap_used, reason = "a test ends where its premise fails")]

use base::Moment;
use bytes::Bytes;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use load::{
    Arrivals, Failure, LoadError, Pace, Plan, Protocol, Report, Request, Stop, capacity, run,
    run_until,
};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[derive(Default)]
struct Seen {
    connections: AtomicUsize,
    requests: AtomicUsize,
}

/// Answers every path but `/500` with 200, after what `delay` says for the time since the start.
async fn server(delay: fn(Duration) -> Duration) -> (SocketAddr, Arc<Seen>) {
    served(Arc::new(move |since, _: &str| delay(since))).await
}

type Delay = dyn Fn(Duration, &str) -> Duration + Send + Sync;

async fn served(delay: Arc<Delay>) -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let (start, counted) = (Moment::now(), seen.clone());
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.connections.fetch_add(1, Ordering::Relaxed);
            let (counted, delay) = (counted.clone(), delay.clone());
            let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
                counted.requests.fetch_add(1, Ordering::Relaxed);
                let delay = delay(Moment::now().since(start), request.uri().path());
                async move {
                    tokio::time::sleep(delay).await;
                    let mut answer = http::Response::new(Full::new(Bytes::from_static(b"hello")));
                    if request.uri().path() == "/500" {
                        *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR;
                    }
                    Ok::<_, Infallible>(answer)
                }
            });
            let serving = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service);
            tokio::spawn(serving);
        }
    });
    (address, seen)
}

/// Answers `/dNUMBER` after its seeded delay, and all else after a minute.
async fn delayed() -> (SocketAddr, Arc<Seen>) {
    served(Arc::new(|_, path: &str| path[2..].parse().map_or(ms(60_000), seeded_delay))).await
}

/// Answers one request on each connection and closes it, though it said nothing of it.
async fn closing() -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let counted = seen.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            counted.connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let _whole = stream.read(&mut [0; 1_024]).await;
                let _left = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            });
        }
    });
    (address, seen)
}

/// Sends back what it was sent, after 30 ms, over HTTP/2.
async fn server_h2() -> (SocketAddr, Arc<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Seen::default());
    let counted = seen.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            counted.connections.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((request, mut answer))) = connection.accept().await {
                    tokio::spawn(async move {
                        let body = request.into_body().data().await.unwrap().unwrap();
                        tokio::time::sleep(ms(30)).await;
                        let mut sending =
                            answer.send_response(http::Response::new(()), false).unwrap();
                        sending.send_data(body, true).unwrap();
                    });
                }
            });
        }
    });
    (address, seen)
}

fn plan(target: SocketAddr) -> Plan {
    Plan {
        targets: vec![target.into()],
        pace: at_rate(200.0),
        seed: 1,
        warm_up: ms(0),
        duration: ms(1_000),
        timeout: ms(2_000),
        objective: ms(200),
        connections_max: 64,
        reuse: true,
        protocol: Protocol::Http1,
        threads: 1,
        requests: vec![Request::get("all", 1, vec!["/".to_owned()])],
        sequence: None,
    }
}

fn at_rate(rate: f64) -> Pace {
    Pace::Open { rate, arrivals: Arrivals::Uniform }
}

async fn report(plan: &Plan) -> Report {
    run(plan, |_| {}).await.unwrap()
}

#[tokio::test]
async fn latency_is_the_servers_delay() {
    let (target, seen) = server(|_| ms(50)).await;
    let report = report(&plan(target)).await;
    assert_eq!(report.count, 199);
    assert_eq!((report.failed(), report.bytes), (0, 199 * 5));
    assert!(report.latency.quantile(0.01) >= ms(50), "{:?}", report.latency.quantile(0.01));
    assert!(report.latency.quantile(0.5) < ms(150), "{:?}", report.latency.quantile(0.5));
    assert!(seen.connections.load(Ordering::Relaxed) < 100, "connections are used again");
}

/// Stalls between 0.5 s and 1 s after its start: all requests of that time wait for its end.
fn stall(since: Duration) -> Duration {
    if since >= ms(500) { ms(1_000).saturating_sub(since) } else { ms(0) }
}

#[tokio::test]
async fn a_stalled_server_is_charged_with_every_request_it_kept_waiting() {
    for connections_max in [1, 64] {
        let (target, _) = server(stall).await;
        let open = Plan { duration: ms(2_000), connections_max, ..plan(target) };
        let report = report(&open).await;
        // A quarter of the requests should have left in the stall, and waited 0 to 500 ms. A client
        // that waits for its answer before it sends the next would have seen one slow request.
        let (p80, p90, max) =
            (report.latency.quantile(0.8), report.latency.quantile(0.9), report.latency.max());
        assert!(p80 >= ms(60), "{connections_max}: p80 {p80:?}");
        assert!(p90 >= ms(250), "{connections_max}: p90 {p90:?}");
        assert!(max >= ms(480), "{connections_max}: max {max:?}");
        assert_eq!(report.failed(), 0);
        assert!(report.in_time < report.count * 9 / 10);
    }
}

#[tokio::test]
async fn a_stall_of_a_second_shows_in_the_99th_percentile() {
    fn second(since: Duration) -> Duration {
        if since >= ms(1_000) { ms(2_000).saturating_sub(since) } else { ms(0) }
    }
    let (target, _) = server(second).await;
    let open = Plan { pace: at_rate(100.0), duration: ms(5_000), ..plan(target) };
    let report = report(&open).await;
    // A fifth of the requests were due in the stall; the first twentieth of those waited 0.95 s.
    let p99 = report.latency.quantile(0.99);
    assert!(p99 >= ms(900), "{p99:?}");
    assert!(report.latency.quantile(0.95) >= ms(700));
    assert!(report.latency.quantile(0.7) <= report.latency.quantile(0.85));
    assert_eq!(report.failed(), 0);
    let stalled: u64 =
        report.over_time.iter().filter(|p| p.max() >= ms(100)).map(load::Latency::count).sum();
    assert!(stalled >= 80, "the stall shows over time: {stalled}");
}

/// Delays of which nine in ten are some milliseconds, and the rest up to a quarter of a second.
fn seeded_delay(number: u64) -> Duration {
    let mut rng = fastrand::Rng::with_seed(number);
    if rng.u32(0..10) == 0 { ms(rng.u64(100..250)) } else { ms(rng.u64(5..20)) }
}

#[tokio::test]
async fn percentiles_are_those_of_the_servers_delays() {
    let (target, _) = delayed().await;
    let mut open = Plan { pace: at_rate(400.0), threads: 2, duration: ms(2_500), ..plan(target) };
    open.requests = vec![Request::get("seeded", 1, vec!["/d{n}".to_owned()])];
    let report = report(&open).await;
    assert_eq!((report.failed(), report.count), (0, 999), "{:?}", report.failures);
    let mut delays: Vec<Duration> = (0..report.count).map(seeded_delay).collect();
    delays.sort_unstable();
    for share in [0.1, 0.5, 0.8, 0.95, 0.99, 0.999] {
        #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "a rank")]
        let exact = delays[(share * delays.len() as f64).ceil() as usize - 1];
        let measured = report.latency.quantile(share);
        // No answer comes before its delay has passed; how long after is up to a busy machine.
        assert!(measured >= exact, "{share}: {measured:?} for {exact:?}");
        assert!(measured <= exact * 2 + ms(300), "{share}: {measured:?} for {exact:?}");
    }
}

#[tokio::test]
async fn a_run_can_be_stopped_and_tells_what_has_come() {
    let (target, _) = delayed().await;
    let mut long = Plan { duration: ms(600_000), ..plan(target) };
    long.requests.push(Request::get("slow", 1, vec!["/slow".to_owned()]));
    let stop = Stop::new();
    let ended = stop.clone();
    let report = run_until(&long, &stop, |progress| {
        if progress.count >= 50 {
            ended.stop();
        }
    });
    let report = report.await.unwrap();
    assert!(report.count >= 50 && report.unfinished > 0, "{} {}", report.count, report.unfinished);
    assert!(report.duration < ms(300_000), "{:?}", report.duration);
}

#[tokio::test]
async fn a_connection_that_is_closed_without_a_word_costs_no_request() {
    let (target, seen) = closing().await;
    let report = report(&Plan { connections_max: 2, ..plan(target) }).await;
    assert_eq!(report.failed(), 0, "{:?}", report.failures);
    assert_eq!(report.connections, seen.connections.load(Ordering::Relaxed) as u64);
    assert!(report.reopened + 2 >= report.connections, "{}", report.reopened);
}

#[tokio::test]
async fn many_requests_share_a_connection_over_http2() {
    let (target, seen) = server_h2().await;
    let mut shared = Plan { protocol: Protocol::Http2, connections_max: 1, ..plan(target) };
    shared.requests[0].method = http::Method::POST;
    shared.requests[0].body = Bytes::from_static(b"number {n}");
    let report = report(&shared).await;
    assert_eq!((report.failed(), report.count), (0, 199), "{:?}", report.failures);
    // The server sends back what it was sent.
    let expected: u64 = (0..199).map(|n| format!("number {n}").len() as u64).sum();
    assert_eq!(report.bytes, expected);
    assert_eq!(seen.connections.load(Ordering::Relaxed), 1);
    assert!(report.latency.quantile(0.01) >= ms(30));
}

#[tokio::test]
async fn a_timeout_is_an_error_and_that_much_latency() {
    let (target, _) = server(|_| ms(5_000)).await;
    let slow = Plan { timeout: ms(100), pace: at_rate(50.0), ..plan(target) };
    let report = report(&slow).await;
    assert_eq!(report.failures.get(&Failure::Timeout), Some(&report.count));
    assert!(report.latency.quantile(0.01) >= ms(100));
    assert_eq!(report.in_time, 0);
}

#[tokio::test]
async fn failures_are_counted_by_kind_and_make_no_percentile_look_good() {
    let (target, _) = server(|_| ms(0)).await;
    let mut mixed = plan(target);
    mixed.requests.push(Request::get("broken", 1, vec!["/500".to_owned()]));
    let mixed = report(&mixed).await;
    let broken = &mixed.by_request[1];
    assert_eq!(mixed.failures.get(&Failure::Status(500)), Some(&broken.latency.count()));
    assert!(broken.latency.quantile(0.5) >= ms(1_990));
    assert_eq!(mixed.in_time + broken.failed, mixed.count);
    let nobody = report(&plan(([127, 0, 0, 1], 1).into())).await;
    assert_eq!(nobody.failures.get(&Failure::Connect), Some(&nobody.count));
}

#[tokio::test]
async fn the_warm_up_is_sent_and_not_counted() {
    let (target, seen) = server(|_| ms(0)).await;
    let warm = Plan { warm_up: ms(500), duration: ms(500), ..plan(target) };
    let report = report(&warm).await;
    assert_eq!(seen.requests.load(Ordering::Relaxed), 199);
    assert_eq!(report.count, 100);
}

#[tokio::test]
async fn connections_are_bounded_and_may_be_used_once() {
    let (target, seen) = server(|_| ms(20)).await;
    report(&Plan { connections_max: 3, ..plan(target) }).await;
    assert!(seen.connections.load(Ordering::Relaxed) <= 3);
    let (target, seen) = server(|_| ms(0)).await;
    let report = report(&Plan { reuse: false, ..plan(target) }).await;
    assert_eq!(seen.connections.load(Ordering::Relaxed) as u64, report.count);
    assert_eq!(report.failed(), 0);
}

#[tokio::test]
async fn targets_take_turns() {
    let ((one, seen_one), (two, seen_two)) = (server(|_| ms(0)).await, server(|_| ms(0)).await);
    report(&Plan { targets: vec![one.into(), two.into()], ..plan(one) }).await;
    let count = |seen: &Seen| seen.requests.load(Ordering::Relaxed);
    assert_eq!((count(&seen_one), count(&seen_two)), (100, 99));
}

#[tokio::test]
async fn progress_is_told_while_it_runs() {
    let (target, _) = server(|_| ms(0)).await;
    let mut told = Vec::new();
    run(&plan(target), |progress| told.push(*progress)).await.unwrap();
    assert!(told.len() >= 3, "{}", told.len());
    assert!(told.is_sorted_by_key(|progress| progress.count));
    assert!(told.iter().all(|progress| progress.total == ms(1_000)));
}

#[tokio::test]
async fn capacity_is_what_waiting_clients_get_answered() {
    let (target, _) = server(|_| ms(20)).await;
    let answered = capacity(&plan(target), 4).await.unwrap();
    assert!((100.0..=200.0).contains(&answered), "four clients at 20 ms each: {answered}");
}

#[tokio::test]
async fn a_plan_without_requests_is_refused() {
    let (target, _) = server(|_| ms(0)).await;
    let none = Plan { requests: Vec::new(), ..plan(target) };
    assert!(matches!(run(&none, |_| {}).await, Err(LoadError::Bound { name: "requests", .. })));
}
