//! The public HTTP cache suite (http-tests/cache-tests, 365 cases for gateways) against the gateway.
//!
//! The cases are data outside the repository, `../shared/conformance/` beside it; without them each
//! test says so and is left out. `cargo nextest run -p gateway --test scenarios cache_suite
//! --no-capture` prints the tables. With `SUITE_BASE=IP:PORT SUITE_ORIGIN=IP:PORT` the test `another`
//! plays it through any other cache whose origin is at `SUITE_ORIGIN`, and asserts nothing; add
//! `SUITE_HTTP=2` for HTTP/2 and `SUITE_CASE=ID` for one case.

mod version2;

use crate::stage::start;
use scenario::Text;
use scenario::suite::case::{self, Case, Kind};
use scenario::suite::origin::Origin;
use scenario::suite::report::Report;
use scenario::suite::{Plain, Speak, run};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Optimal cases that we do not pass, on purpose.
///
/// - `conditional-lm-fresh-no-lm` is wrong: without Last-Modified the date of the answer counts, which
///   is later than the one asked about (RFC 9111 §4.3.2).
/// - `partial-store-partial-complete` combines without a validator (RFC 9111 §3.4).
/// - the other three store a 206 whose body is shorter than its Content-Range says.
const EXEMPT: [&str; 5] = [
    "conditional-lm-fresh-no-lm",
    "partial-store-partial-complete",
    "partial-store-partial-reuse-partial-absent",
    "partial-store-partial-reuse-partial-byterange",
    "partial-store-partial-reuse-partial-suffix",
];

/// Required cases that the profile `safe` gives up: it shares no answer that sets a cookie.
const SET_COOKIE_REQUIRED: [&str; 1] = ["headers-store-Set-Cookie"];
/// The same among the optimal ones.
const SET_COOKIE_OPTIMAL: [&str; 1] = ["other-set-cookie"];

const RFC: &str = "[cache]\nprofile = \"rfc\"\nmemory = \"64 MiB\"\n";

fn cases() -> Option<Vec<Case>> {
    let gateway = Path::new(env!("CARGO_MANIFEST_DIR"));
    case::load(&gateway.join("../../shared/conformance/http-cache-tests.json"))
}

/// Plays all cases with these sections of settings. `None` without the data.
fn played(sections: &str, version2: bool) -> Option<Report> {
    let cases = cases()?;
    let origin = Origin::start();
    let gateway = start(&Text::to(&[origin.address()]).rest(sections));
    let (first, second) = (Plain(gateway.address()), version2::Streams(gateway.address()));
    let speak: &dyn Speak = if version2 { &second } else { &first };
    let report = run(&cases, speak, &origin);
    println!("{sections}over HTTP/{}:\n{report}", if version2 { 2 } else { 1 });
    assert_eq!(origin.problems(), [""; 0], "the origin was sent what no strict server takes");
    Some(report)
}

/// All required cases pass but these, and all optimal ones but these and the exempt.
#[track_caller]
fn passes(report: &Report, but_required: &[&str], but_optimal: &[&str]) {
    assert_eq!((report.total(Kind::Required), report.total(Kind::Optimal)), (160, 105));
    assert_eq!(report.failing(Kind::Required), but_required);
    let failing = report.failing(Kind::Optimal);
    let is_known = |name: &&str| EXEMPT.contains(name) || but_optimal.contains(name);
    let strangers: Vec<_> = failing.iter().filter(|name| !is_known(name)).collect();
    assert!(strangers.is_empty(), "{strangers:?}");
    let given_up = but_optimal.iter().all(|name| failing.contains(name));
    assert!(given_up, "{but_optimal:?} should not pass: {failing:?}");
}

#[test]
fn over_http1_it_passes() {
    let Some(report) = played(RFC, false) else { return };
    passes(&report, &[], &[]);
}

#[test]
fn over_http2_it_passes() {
    let Some(report) = played(RFC, true) else { return };
    passes(&report, &[], &[]);
}

#[test]
fn the_safe_profile_gives_up_the_set_cookie_cases_only() {
    let Some(report) = played("[cache]\nprofile = \"safe\"\n", false) else { return };
    passes(&report, &SET_COOKIE_REQUIRED, &SET_COOKIE_OPTIMAL);
}

/// What is measured is what is cached, not how busy the machine is.
const PATIENT: &str = "shared_time = \"1s\"\n";

#[test]
fn with_redis_alone_it_passes() {
    let Some(server) = Server::start("redis-server", |port| {
        format!("--port {port} --bind 127.0.0.1 --save  --appendonly no")
    }) else {
        return;
    };
    let tier = format!(
        "[cache]\nprofile = \"rfc\"\nmemory = \"0 B\"\nredis = \"redis://{}\"\n{PATIENT}",
        server.at
    );
    let Some(report) = played(&tier, false) else { return };
    passes(&report, &[], &[]);
}

#[test]
fn with_memcached_alone_it_passes() {
    let Some(server) =
        Server::start("memcached", |port| format!("-p {port} -l 127.0.0.1 -U 0 -u nobody"))
    else {
        return;
    };
    let tier = format!(
        "[cache]\nprofile = \"rfc\"\nmemory = \"0 B\"\nmemcached = [\"{}\"]\n{PATIENT}",
        server.at
    );
    let Some(report) = played(&tier, false) else { return };
    passes(&report, &[], &[]);
}

/// Plays it through another cache: the runner against what is known of peers.
#[test]
fn another() {
    let address = |name| std::env::var(name).ok()?.parse::<SocketAddr>().ok();
    let (Some(base), Some(at)) = (address("SUITE_BASE"), address("SUITE_ORIGIN")) else { return };
    let Some(cases) = cases() else { return };
    let only = std::env::var("SUITE_CASE").ok();
    let cases: Vec<_> =
        cases.into_iter().filter(|case| only.as_ref().is_none_or(|id| *id == case.id)).collect();
    let origin = Origin::at(at);
    let (first, second) = (Plain(base), version2::Streams(base));
    let version2 = std::env::var("SUITE_HTTP").is_ok_and(|version| version == "2");
    let speak: &dyn Speak = if version2 { &second } else { &first };
    println!("{}\n{:?}", run(&cases, speak, &origin), origin.problems());
}

/// A server of a tier, if its program is here; ends when dropped.
struct Server {
    child: Child,
    at: SocketAddr,
}

impl Server {
    fn start(program: &str, arguments: impl Fn(u16) -> String) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let at = free.local_addr().expect("bound");
        drop(free);
        let arguments = arguments(at.port());
        let mut command = Command::new(program);
        command.args(arguments.split(' ')).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            eprintln!("LEFT OUT: there is no {program} here");
            return None;
        };
        let server = Self { child, at };
        let by = scenario::patience();
        while !scenario::gateway::accepts(at) {
            assert!(!by.passed(base::Moment::now()), "{program} did not start");
            std::thread::yield_now();
        }
        Some(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already ended is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
