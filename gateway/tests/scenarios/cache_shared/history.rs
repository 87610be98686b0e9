//! What was answered, held against what was purged.
//!
//! The service has a version of each page, and gives it with a body that is made of it. A purge raises
//! the versions of what it names, then purges, and then the *floors*: of all gateways when it has
//! reached all, of its own otherwise. A request takes the floor of its gateway before it is sent; an
//! answer below it is stale, and so is the failure of any request at all. Troubles are made meanwhile.

use super::{Herd, purge};
use crate::cache_stage::FRESH;
use base::{Deadline, Moment};
use scenario::origin::{Action, answer};
use scenario::{Client, Gateway, Origin, Request};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const PAGES: usize = 40;
/// Every so many pages is a large one, in several chunks behind memory.
const LARGE_EVERY: usize = 10;
const LARGE_BYTES: usize = 600 << 10;
/// Clients of each gateway, and their pause between two requests: some 150 requests a second each.
const CLIENTS: usize = 2;
const PAUSE: Duration = Duration::from_millis(6);
/// Between two purges.
const PURGE_PAUSE: Duration = Duration::from_millis(25);
/// How long each state of affairs lasts.
const SPELL: Duration = Duration::from_millis(400);
/// The slowest answer that is no failure: the time for the tier, several times over on a machine that
/// has other things to do, and nothing that waits for a server to come back.
const ANSWER_TIME: Duration = Duration::from_secs(3);

/// What a purge that returned `here` or `some` promises of other gateways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Promise {
    /// Nothing, until they can be told.
    Told,
    /// The same as `all`: whoever is cut off asks the service.
    Fenced,
    /// Nothing ever: their memory is not reached (Memcached).
    Own,
}

type Versions = [AtomicU64; PAGES];

fn versions() -> Versions {
    [const { AtomicU64::new(1) }; PAGES]
}

/// What happened.
#[derive(Debug, Default)]
struct Seen {
    /// Times of answers: from memory, from the tier, from the service.
    times: [Vec<Duration>; 3],
    wrong: Vec<String>,
    reached: std::collections::BTreeMap<String, usize>,
    purge_times: Vec<Duration>,
}

pub(super) struct World {
    herd: Herd,
    promise: Promise,
    current: Arc<Versions>,
    floors: Vec<Versions>,
    over: AtomicBool,
    seen: Mutex<Seen>,
    began: Moment,
}

fn body(page: usize, version: u64) -> String {
    let word = format!("page {page} version {version};");
    let bytes = if page.is_multiple_of(LARGE_EVERY) { LARGE_BYTES } else { 1 };
    word.repeat(bytes.div_ceil(word.len()))
}

/// The service's answer: the version is what it was when the request came.
fn serve(current: &Versions, request: &Request) -> Vec<Action> {
    let Some(page) = page_of(&request.target) else {
        return crate::cache_stage::ok(request, FRESH, "warm");
    };
    let version = current[page].load(SeqCst);
    let tag = format!("page-{page}, parity-{}", page % 2);
    let body = body(page, version);
    let head =
        format!("HTTP/1.1 200 OK\r\n{FRESH}Cache-Tag: {tag}\r\nETag: \"{page}-{version}\"\r\n");
    if request.head.one("if-none-match") == Some(&format!("\"{page}-{version}\"")) {
        return crate::cache_stage::not_modified(&format!("{FRESH}ETag: \"{page}-{version}\"\r\n"));
    }
    answer(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))
}

fn page_of(target: &str) -> Option<usize> {
    target.strip_prefix("/page/")?.parse().ok().filter(|&page| page < PAGES)
}

impl World {
    /// Three gateways that share what these lines say.
    #[track_caller]
    pub(super) fn new(lines: &str, promise: Promise) -> Self {
        let current = Arc::new(versions());
        let known = Arc::clone(&current);
        let origin = Origin::forgetful(move |request| serve(&known, request));
        let herd = Herd::before(origin, 3, lines);
        let floors = (0..3).map(|_| versions()).collect();
        let (over, seen) = (AtomicBool::new(false), Mutex::default());
        Self { herd, promise, current, floors, over, seen, began: Moment::now() }
    }

    pub(super) fn herd(&self) -> &Herd {
        &self.herd
    }

    /// Lets clients and purges loose, makes this trouble, and judges what was seen.
    #[track_caller]
    pub(super) fn run(&self, what: &str, trouble: impl FnOnce(&Self)) {
        std::thread::scope(|scope| {
            for at in 0..3 {
                for _ in 0..CLIENTS {
                    scope.spawn(move || self.ask_on(at));
                }
            }
            scope.spawn(|| self.purge_on());
            let end = EndWith(&self.over);
            trouble(self);
            drop(end);
        });
        self.report(what);
    }

    /// One client.
    fn ask_on(&self, at: usize) {
        let mut client = None;
        while !self.over.load(SeqCst) {
            let page = fastrand::usize(..PAGES);
            let floor = self.floors[at][page].load(SeqCst);
            let began = Moment::now();
            let asked = ask(&mut client, &self.herd.gateways[at], &format!("/page/{page}"));
            let (sent, took) = (began.since(self.began), Moment::now().since(began));
            match asked.and_then(|found| self.judge(page, floor, took, found)) {
                Ok(place) => self.note(|seen| seen.times[place].push(took)),
                Err(why) => self.note(|seen| {
                    seen.wrong.push(format!("gateway {at}, page {page}, at {sent:?}: {why}"));
                }),
            }
            pause(PAUSE);
        }
    }

    /// Which place an answer is from, if it is a right one.
    fn judge(
        &self,
        page: usize,
        floor: u64,
        took: Duration,
        (status, text, cache): (u16, String, String),
    ) -> Result<usize, String> {
        if status != 200 {
            return Err(format!("status {status} ({cache}): {}", &text[..text.len().min(200)]));
        }
        let found = text.split("version ").nth(1).and_then(|rest| rest.split(';').next());
        let version = found.and_then(|digits| digits.parse().ok());
        let version: u64 = version.ok_or_else(|| format!("no page: {text:.80}"))?;
        if text != body(page, version) {
            return Err(format!("a body of {} bytes that nobody sent", text.len()));
        }
        if version < floor || version > self.current[page].load(SeqCst) {
            return Err(format!("version {version}, but {floor} was purged ({cache})"));
        }
        if took > ANSWER_TIME {
            return Err(format!("an answer after {took:?} ({cache})"));
        }
        let is_hit = cache.contains("; hit");
        Ok(if cache.contains("detail=shared") { 1 } else { usize::from(!is_hit) * 2 })
    }

    /// Purges now here, now there.
    fn purge_on(&self) {
        while !self.over.load(SeqCst) {
            let (at, page) = (fastrand::usize(..3), fastrand::usize(..PAGES));
            let (what, pages) = match fastrand::usize(..20) {
                0 => (format!("\"tags\":[\"parity-{}\"]", page % 2), parity(page)),
                1 => ("\"prefixes\":[\"shop.test/page/1\"]".to_owned(), starting("1")),
                2 => ("\"hosts\":[\"shop.test\"]".to_owned(), (0..PAGES).collect()),
                3 => ("\"all\":true".to_owned(), (0..PAGES).collect()),
                n if n % 2 == 0 => (format!("\"tags\":[\"page-{page}\"]"), vec![page]),
                _ => (format!("\"urls\":[\"http://shop.test/page/{page}\"]"), vec![page]),
            };
            self.purge(at, &format!("{{{what}}}"), &pages);
            pause(PURGE_PAUSE);
        }
    }

    fn purge(&self, at: usize, what: &str, pages: &[usize]) {
        let raised: Vec<(usize, u64)> =
            pages.iter().map(|&page| (page, self.current[page].fetch_add(1, SeqCst) + 1)).collect();
        let began = Moment::now();
        let reached = purge(&self.herd.gateways[at], what);
        let took = Moment::now().since(began);
        let everywhere = reached == "all" || self.promise == Promise::Fenced;
        for (place, floors) in self.floors.iter().enumerate() {
            if everywhere && self.promise != Promise::Own || place == at {
                for &(page, version) in &raised {
                    floors[page].fetch_max(version, SeqCst);
                }
            }
        }
        self.note(|seen| {
            *seen.reached.entry(reached).or_default() += 1;
            seen.purge_times.push(took);
        });
    }

    fn note(&self, note: impl FnOnce(&mut Seen)) {
        note(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Lets things be for a while; ends early when somebody has failed.
    pub(super) fn spell(&self, times: u32) {
        for _ in 0..times {
            if self.seen.lock().unwrap_or_else(PoisonError::into_inner).wrong.is_empty() {
                pause(SPELL);
            }
        }
    }

    #[track_caller]
    fn report(&self, what: &str) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = seen.times.each_ref().map(Vec::len);
        let (memory, tier) = (line(&mut seen.times[0]), line(&mut seen.times[1]));
        let (service, purges) = (line(&mut seen.times[2]), line(&mut seen.purge_times));
        eprintln!(
            "{what}:\n  memory  {memory}\n  tier    {tier}\n  service {service}\n  purges  {purges}, \
             reached {:?}",
            seen.reached
        );
        let wrong = &seen.wrong;
        assert!(
            wrong.is_empty(),
            "{what}: {} wrong, {:#?}",
            wrong.len(),
            &wrong[..wrong.len().min(10)]
        );
        assert!(counts.iter().sum::<usize>() > 100, "{what}: hardly anything was asked");
        assert!(counts[1] > 0, "{what}: the tier never answered");
    }
}

/// Ends the world's clients, however its trouble ends.
struct EndWith<'a>(&'a AtomicBool);

impl Drop for EndWith<'_> {
    fn drop(&mut self) {
        self.0.store(true, SeqCst);
    }
}

fn ask(
    kept: &mut Option<Client>,
    gateway: &Gateway,
    target: &str,
) -> Result<(u16, String, String), String> {
    let connect = || Client::try_connect(gateway.address()).map_err(|error| error.to_string());
    let mut client = match kept.take() {
        Some(client) => client,
        None => connect()?,
    };
    client.request("GET", target);
    let answer = client.try_response("GET").map_err(|(problem, _)| problem.to_string())?;
    let cache = answer.head.all("cache-status").join(", ");
    if !answer.closes() {
        *kept = Some(client);
    }
    Ok((answer.status, answer.text(), cache))
}

fn parity(page: usize) -> Vec<usize> {
    (0..PAGES).filter(|other| other % 2 == page % 2).collect()
}

fn starting(digits: &str) -> Vec<usize> {
    (0..PAGES).filter(|page| page.to_string().starts_with(digits)).collect()
}

fn pause(time: Duration) {
    let by = Deadline::after(Moment::now(), time);
    while !by.passed(Moment::now()) {
        std::thread::sleep(by.left(Moment::now()));
    }
}

/// Count, median, p99 and worst of some times.
fn line(times: &mut [Duration]) -> String {
    times.sort_unstable();
    let at =
        |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
    match (at(50), at(99), times.last()) {
        (Some(median), Some(p99), Some(most)) => {
            format!("{} times, p50 {median:?}, p99 {p99:?}, most {most:?}", times.len())
        }
        _ => "none".to_owned(),
    }
}
