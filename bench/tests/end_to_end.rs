//! Floor, generator and origin together, on free ports, for a fraction of a second.
#![expect(clippy::unwrap_used, reason = "the helpers of a test are tests too")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use bench::client::Target;
use bench::floor::{Answer, Floor};
use bench::generator::{Generator, Pace, Plan};
use bench::page::Page;
use bench::report::Report;
use bench::verify::Flaw;

const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Runs `work` against a floor that relays to the generator's origin, or answers `fixed`.
fn with_floor<T>(
    page: Page,
    fixed: Option<Vec<u8>>,
    work: impl FnOnce(&mut Generator, Target) -> T,
) -> T {
    let mut generator = Generator::listen(ANY, page).unwrap();
    let answer = fixed.map_or(Answer::Relay(generator.origin_address()), Answer::Fixed);
    let mut floor = Floor::listen(ANY, answer).unwrap();
    let target = Target { addresses: vec![floor.address()], tls: None };
    let stopped = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stopped);
    let thread = thread::spawn(move || floor.run(&flag, Some(Duration::from_millis(5))));
    let result = work(&mut generator, target);
    stopped.store(true, Ordering::Relaxed);
    thread.join().unwrap().unwrap();
    result
}

fn check(page: Page, fixed: Option<Vec<u8>>, pace: Pace) -> (Report, u64) {
    with_floor(page, fixed, |generator, target| {
        let report = generator.run(&Plan {
            target,
            connections: 4,
            warmup: Duration::from_millis(20),
            window: Duration::from_millis(150),
            pace,
            watch: vec![std::process::id()],
        });
        (report.unwrap(), generator.origin_answered())
    })
}

#[test]
fn a_closed_loop_through_the_floor_has_no_errors() {
    for page in Page::ALL {
        let (report, origin) = check(page, None, Pace::Closed);
        assert_eq!(report.errors(), 0, "{page:?}: {:?}", report.flaws);
        assert!(report.requests > 0);
        assert_eq!(report.latency.len(), report.requests);
        assert!(origin >= report.requests, "the origin answers all of it");
        assert!(report.watched.run_ns > 0);
    }
}

#[test]
fn an_open_loop_through_the_floor_has_no_errors() {
    let (report, _) = check(Page::OneKib, None, Pace::Open { rate: 2_000.0, seed: 1 });
    assert_eq!(report.errors(), 0, "{:?}", report.flaws);
    // 300 are due within the window; a seed makes it the same number every time.
    assert!((200..400).contains(&report.latency.len()), "{}", report.latency.len());
}

#[test]
fn a_hit_never_reaches_the_origin() {
    let (report, origin) = check(Page::OneKib, Some(Page::OneKib.response()), Pace::Closed);
    assert_eq!((report.errors(), origin), (0, 0));
    assert!(report.requests > 0);
}

#[test]
fn a_wrong_response_is_counted_and_a_wrong_server_given_up() {
    let mut wrong = Page::OneKib.response();
    *wrong.last_mut().unwrap() ^= 1;
    let error = with_floor(Page::OneKib, Some(wrong), |generator, target| {
        let window = Duration::from_mins(1);
        let warmup = Duration::ZERO;
        let watch = Vec::new();
        let pace = Pace::Closed;
        generator.run(&Plan { target, connections: 4, warmup, window, pace, watch }).unwrap_err()
    });
    assert!(error.to_string().contains("the last: body"), "{error}");
}

#[test]
fn idle_connections_are_held_until_released() {
    let mut held = 0;
    let report = with_floor(Page::OneKib, None, |generator, target| {
        let released = AtomicBool::new(false);
        generator.hold(&target, 100, &released, |report| {
            held = report.requests;
            released.store(true, Ordering::Release);
        })
    })
    .unwrap();
    assert_eq!((held, report.requests, report.errors()), (100, 100, 0));
    assert!(!report.flaws.contains_key(&Flaw::Closed));
}
