//! Several gateways that share Redis or Memcached: what one has fetched the others give, what one
//! forgets all forget, and what happens to the servers in between is nobody's failed request.
//!
//! Servers are real ones, killed, frozen and filled with junk; where they are not installed the test
//! says so and is left out. [`history`] has the check of what was answered against what was purged.

mod fence;
mod history;
mod purges;
mod sharing;
mod start;
mod trouble;

use crate::cache_stage::{counted, head};
use crate::stage::start as start_gateway;
use base::{Deadline, Moment};
use scenario::origin::Action;
use scenario::server::wait_until;
use scenario::{Client, Gateway, Origin, Request, Response, Text};
use std::time::Duration;

/// Time for an answer of the tier on a machine that compiles at the same time.
const SHARED_TIME: &str = "shared_time = \"250ms\"\n";

/// Gateways with one cache before one origin.
struct Herd {
    gateways: Vec<Gateway>,
    origin: Origin,
}

impl Herd {
    /// So many, that share what these lines of `[cache]` say.
    #[track_caller]
    fn start(
        count: usize,
        lines: &str,
        script: impl Fn(usize, &Request) -> Vec<Action> + Send + Sync + 'static,
    ) -> Self {
        Self::before(Origin::play(counted(script)), count, lines)
    }

    #[track_caller]
    fn before(origin: Origin, count: usize, lines: &str) -> Self {
        let text = format!("[cache]\nprofile = \"rfc\"\nearly = false\n{lines}");
        let settings = Text::to(&[origin.address()]).top("threads = 2").rest(&text);
        let gateways = (0..count).map(|_| start_gateway(&settings)).collect();
        Self { gateways, origin }
    }

    #[track_caller]
    fn ask(&self, gateway: usize, method: &str, target: &str, fields: &str) -> Response {
        let mut client = self.gateways[gateway].client();
        client.send(head(method, target, fields));
        client.response(method)
    }

    #[track_caller]
    fn get(&self, gateway: usize, target: &str) -> Response {
        self.ask(gateway, "GET", target, "")
    }

    #[track_caller]
    fn text(&self, gateway: usize, target: &str) -> String {
        self.get(gateway, target).text()
    }

    /// Stores what a request brings at gateway 0; some time later it is in the tier.
    #[track_caller]
    fn share(&self, target: &str, fields: &str) -> Response {
        let first = self.ask(0, "GET", target, fields);
        assert_eq!(first.status / 100, 2, "{target}: {}", first.head.line);
        first
    }

    /// Waits until gateway `gateway` is given from the tier what another has just fetched; the origin
    /// forgets what it was asked for meanwhile.
    #[track_caller]
    fn wait_tier(&self, gateway: usize) {
        let round = std::cell::Cell::new(0);
        wait_until("an answer from the tier", || {
            round.set(round.get() + 1);
            let target = format!("/warm-up/{gateway}/{}", round.get());
            let other = usize::from(gateway == 0);
            self.get(other, &target);
            // What is stored is there some time later.
            let by = Deadline::after(Moment::now(), Duration::from_millis(30));
            while !by.passed(Moment::now()) {
                std::thread::yield_now();
            }
            is_from_tier(&self.get(gateway, &target))
        });
        self.origin.forget();
    }

    /// Purges what this JSON names, and tells how far that has come.
    #[track_caller]
    fn purge(&self, gateway: usize, what: &str) -> String {
        purge(&self.gateways[gateway], what)
    }

    /// Waits until purges reach all: a deployment that has just begun does not say so.
    #[track_caller]
    fn wait_all(&self) {
        wait_until("purges to reach all", || {
            (0..self.gateways.len()).all(|at| self.purge(at, "{\"tags\":[\"nothing\"]}") == "all")
        });
    }

    /// How many requests for targets that start like this have reached the origin.
    fn fetches(&self, start: &str) -> usize {
        self.origin.requests().iter().filter(|request| request.target.starts_with(start)).count()
    }
}

/// Purges through this gateway's admin listener, and tells how far that has come.
#[track_caller]
fn purge(gateway: &Gateway, what: &str) -> String {
    let mut client = Client::connect(gateway.admin());
    let (admin, length) = (gateway.admin(), what.len());
    client.send(format!(
        "POST /purge HTTP/1.1\r\nHost: {admin}\r\nContent-Length: {length}\r\n\r\n{what}"
    ));
    let response = client.response("POST");
    let text = response.text();
    assert_eq!(response.status, 200, "purging {what}: {text}");
    let reached = text.split("\"reached\":\"").nth(1).and_then(|rest| rest.split('"').next());
    reached.unwrap_or_else(|| panic!("no word on how far it came: {text}")).to_owned()
}

fn is_from_tier(response: &Response) -> bool {
    response.head.all("cache-status").join(", ").contains("detail=shared")
}

/// Lines of `[cache]` for one Redis.
fn redis(url: &str) -> String {
    format!("redis = {url:?}\n{SHARED_TIME}")
}

/// Lines of `[cache]` for several servers.
fn several(key: &str, urls: &[String], more: &str) -> String {
    format!("{key} = {urls:?}\n{more}{SHARED_TIME}")
}
