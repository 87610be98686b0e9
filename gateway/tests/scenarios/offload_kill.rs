//! The promise of a 202, whoever kills the gateway, and when.
//!
//! Clients post while the gateway is killed and started again on the same store and port; an origin
//! writes down what it got. At the end all that was promised is over, and the two lists are held
//! against each other. `FULL=1` kills it 250 times.

#![allow(clippy::unwrap_used, reason = "a test of its own: panicking is how it reports")]

use crate::stage::FLEETFOOT;
use base::Moment;
use scenario::gateway::Folder;
use scenario::message::Response;
use scenario::origin::{Action, send};
use scenario::{Client, Gate, Gateway, Origin, Request, Text, patience};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

/// A store and a port that outlive the gateway.
struct Place {
    folder: Folder,
    address: SocketAddr,
    text: String,
}

impl Place {
    fn new(origin: &Origin, rule: &str, offload: &str, top: &str) -> Self {
        let folder = Folder::new();
        let store = folder.path().join("jobs").display().to_string();
        // A port that was free a moment ago, and that this process alone asks for.
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = free.local_addr().unwrap();
        let text = Text::to(&[origin.address()])
            .listen(&format!("[\"{address}\"]"))
            .top(top)
            .route(&format!("offload = {{ {rule} }}"))
            .rest(&format!("[offload]\nstore = {store:?}\n{offload}\n"));
        Self { folder, address, text: text.to_string() }
    }

    #[track_caller]
    fn start(&self) -> Gateway {
        Gateway::start_with(&FLEETFOOT, &self.text, &[])
    }

    /// Starts what must not get ready; what it says.
    fn refused(&self) -> scenario::gateway::Ended {
        let text = self.text.replace(&self.address.to_string(), "127.0.0.1:0");
        let file = self.folder.write("refused.toml", &text);
        scenario::gateway::run(&FLEETFOOT, &["run", "--config", &file.display().to_string()])
    }
}

fn json(response: &Response) -> Value {
    serde_json::from_str(&response.text()).unwrap_or_else(|e| panic!("{e}: {}", response.text()))
}

fn text_of(target: &str, fields: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nHost: a\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
}

#[track_caller]
fn post(client: &mut Client, target: &str, fields: &str, body: &str) -> Response {
    client.send(text_of(target, fields, body));
    client.response("POST")
}

/// One request on a connection of its own; nothing if the gateway was not there to the end.
fn try_post(address: SocketAddr, target: &str, fields: &str, body: &str) -> Option<Response> {
    let mut client = Client::try_connect(address).ok()?;
    client.try_send(text_of(target, fields, body).as_bytes()).ok()?;
    client.try_response("POST").ok()
}

#[track_caller]
fn location(response: &Response) -> String {
    assert_eq!(response.status, 202, "{}", response.text());
    response.field("location").expect("a 202 says where").to_owned()
}

/// Waits until a job is over; what is told of it.
#[track_caller]
fn ends(client: &mut Client, location: &str) -> Value {
    let by = patience();
    loop {
        let answer = client.get(&format!("{location}?wait=2"));
        assert_eq!(answer.status, 200, "{location}: {}", answer.text());
        let told = json(&answer);
        let state = told["state"].as_str().unwrap_or_default();
        if matches!(state, "succeeded" | "dead" | "cancelled" | "expired") {
            return told;
        }
        assert!(!by.passed(Moment::now()), "{location} does not end: {told}");
    }
}

#[track_caller]
fn ends_as(gateway: &Gateway, location: &str, state: &str) -> Value {
    let told = ends(&mut gateway.client(), location);
    assert_eq!(told["state"], state, "{told}");
    told
}

/// What the origin writes down.
#[derive(Default)]
struct Ledger {
    /// By serial: each delivery, as how many kills there had been, and under which name.
    got: Mutex<HashMap<String, Vec<(u64, String)>>>,
    /// By order: the serials as they came.
    orders: Mutex<BTreeMap<String, Vec<u64>>>,
    kills: AtomicU64,
}

fn body_of(serial: &str) -> String {
    let length = 20 + serial.bytes().map(usize::from).sum::<usize>() % 3_000;
    format!("{serial}:").chars().chain("the body of it ".chars().cycle()).take(length).collect()
}

/// A client that posts until it is told to stop, and says the same again where no answer came.
struct Poster {
    name: u64,
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    /// Answered 202: serial, location.
    promised: Vec<(String, String)>,
    /// Not answered: may be there, or not.
    maybe: HashSet<String>,
}

impl Poster {
    fn run(mut self) -> Self {
        let mut dice = fastrand::Rng::with_seed(self.name);
        for n in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            let serial = format!("{}-{n}", self.name);
            let named = dice.bool();
            let order = format!("o{}", self.name);
            let name =
                if named { format!("Idempotency-Key: \"{serial}\"\r\n") } else { String::new() };
            let fields = format!("X-Order: {order}\r\n{name}");
            self.say(&serial, &fields, named);
        }
        self
    }

    fn say(&mut self, serial: &str, fields: &str, named: bool) {
        let by = patience();
        loop {
            let target = format!("/{serial}");
            match try_post(self.address, &target, fields, &body_of(serial)) {
                Some(answer) if answer.status == 202 => {
                    self.promised.push((serial.to_owned(), location(&answer)));
                    return;
                }
                Some(answer) => {
                    // Nothing is full here; and while it starts nobody listens.
                    panic!("{serial}: {} {}", answer.status, answer.text());
                }
                None if named && !by.passed(Moment::now()) => {
                    std::thread::park_timeout(Duration::from_millis(2));
                }
                None => {
                    self.maybe.insert(serial.to_owned());
                    std::thread::park_timeout(Duration::from_millis(5));
                    return;
                }
            }
        }
    }
}

/// Each POST's body is looked at, and answered.
fn writing_origin(ledger: &Arc<Ledger>) -> Origin {
    let ledger = Arc::clone(ledger);
    Origin::play(move |request: &Request| {
        if request.target == "/fence" {
            return vec![send(OK)];
        }
        let name = request.head.one("idempotency-key").unwrap_or_default().to_owned();
        let serial = request.target.trim_start_matches('/').to_owned();
        let kills = ledger.kills.load(Ordering::SeqCst);
        let order = request.head.one("x-order").unwrap_or_default().to_owned();
        let number = serial.rsplit('-').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        ledger.orders.lock().unwrap().entry(order).or_default().push(number);
        ledger.got.lock().unwrap().entry(serial).or_default().push((kills, name));
        vec![Action::Body, send(OK)]
    })
}

#[test]
fn whoever_kills_it_every_202_is_kept() {
    let full = std::env::var_os("FULL").is_some();
    let kills = if full { 250 } else { 15 };
    let ledger = Arc::new(Ledger::default());
    let origin = writing_origin(&ledger);
    let rule = "order = \"{header.x-order}\"";
    let queue = "[queue.default]\nat_once = 64\nretry = { backoff = \"5ms\", backoff_max = \"20ms\", tries = 1000, lost_max = 1000 }";
    let place = Place::new(&origin, rule, queue, "");
    let stop = Arc::new(AtomicBool::new(false));
    let mut gateway = place.start();
    let posters: Vec<_> = (0..8)
        .map(|name| {
            let poster = Poster {
                name,
                address: place.address,
                stop: Arc::clone(&stop),
                promised: Vec::new(),
                maybe: HashSet::new(),
            };
            std::thread::spawn(move || poster.run())
        })
        .collect();
    let mut dice = fastrand::Rng::with_seed(5);
    for _ in 0..kills {
        load_for(Duration::from_millis(dice.u64(..60)));
        gateway.signal("KILL");
        gateway.wait_exit();
        // What was on its way to the origin belongs to the life that has ended: the origin takes
        // connections in turn, so those before this one were taken, and then all are closed.
        Client::connect(origin.address()).get("/fence");
        origin.open_connections(0);
        ledger.kills.fetch_add(1, Ordering::SeqCst);
        gateway = place.start();
    }
    stop.store(true, Ordering::Relaxed);
    let posters: Vec<Poster> = posters.into_iter().map(|p| p.join().unwrap()).collect();
    check(&gateway, &ledger, &posters, kills);
    assert!(origin.problems().is_empty(), "{:?}", origin.problems());
    for request in origin.requests() {
        if request.whole && request.target != "/fence" {
            let serial = request.target.trim_start_matches('/');
            assert_eq!(request.text(), body_of(serial), "{serial}");
        }
    }
}

/// Lets the clients go on for a while. There is nothing to wait for: a kill comes when it comes.
fn load_for(time: Duration) {
    let by = base::Deadline::after(Moment::now(), time);
    while !by.passed(Moment::now()) {
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Holds what was promised against what was got.
fn check(gateway: &Gateway, ledger: &Ledger, posters: &[Poster], kills: u64) {
    let (mut promised, mut maybe, mut jobs) = (0_u32, 0, HashSet::new());
    let mut client = gateway.client();
    for poster in posters {
        for (serial, location) in &poster.promised {
            promised += 1;
            assert!(jobs.insert(location.clone()), "{serial}: two requests are one job");
            let told = ends(&mut client, location);
            assert_eq!(told["state"], "succeeded", "{serial}: {told}");
            let got = ledger.got.lock().unwrap();
            let got = got.get(serial).unwrap_or_else(|| panic!("{serial} was never delivered"));
            let lives: HashSet<u64> = got.iter().map(|(kills, _)| *kills).collect();
            assert_eq!(lives.len(), got.len(), "{serial} came twice without a kill: {got:?}");
            let names: HashSet<&String> = got.iter().map(|(_, name)| name).collect();
            assert_eq!(names.len(), 1, "{serial} is more than one job: {got:?}");
        }
        maybe += poster.maybe.len();
    }
    let got = ledger.got.lock().unwrap();
    let known: HashSet<&String> = posters
        .iter()
        .flat_map(|p| p.promised.iter().map(|(serial, _)| serial).chain(&p.maybe))
        .collect();
    let strange: Vec<_> = got.keys().filter(|serial| !known.contains(serial)).collect();
    assert!(strange.is_empty(), "delivered, and never accepted: {strange:?}");
    let twice = got.values().filter(|got| got.len() > 1).count();
    // One that was cut off comes again; but nobody before one that has come.
    for (order, serials) in ledger.orders.lock().unwrap().iter() {
        assert!(serials.is_sorted(), "{order}: {serials:?}");
    }
    println!("{kills} kills, {promised} promised, {maybe} unanswered, {twice} delivered twice");
    assert!(u64::from(promised) > kills, "there was no load");
}

/// Answers when the gate is open.
fn held(gate: &Gate) -> Vec<Action> {
    vec![Action::Body, Action::Wait(gate.clone()), send(OK)]
}

fn holding(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::play(move |_| held(&gate))
}

/// Waits until the origin has seen so many requests for a target.
#[track_caller]
fn seen(origin: &Origin, target: &str, n: usize) {
    let by = patience();
    let count = || origin.requests().iter().filter(|request| request.target == target).count();
    while count() < n {
        assert!(!by.passed(Moment::now()), "{} of {n}:\n{}", count(), origin.report());
        std::thread::park_timeout(Duration::from_millis(5));
    }
    assert_eq!(count(), n, "{}", origin.report());
}

#[test]
fn told_to_end_it_ends_deliveries_first_and_repeats_none() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let place = Place::new(&origin, "", "[queue.default]\nat_once = 4", "");
    let mut gateway = place.start();
    let mut client = gateway.client();
    let all: Vec<String> =
        (0..9).map(|n| location(&post(&mut client, &format!("/{n}"), "", "x"))).collect();
    origin.head(4);
    gateway.signal("TERM");
    let by = patience();
    while gateway.ask("GET", "/ready").status != 503 {
        assert!(!by.passed(Moment::now()), "it stayed ready");
    }
    gate.open();
    assert_eq!(gateway.wait_exit().code(), Some(0), "{}", gateway.stderr());
    assert_eq!(origin.requests().len(), 4, "none begins any more");
    let gateway = place.start();
    for location in &all {
        ends_as(&gateway, location, "succeeded");
    }
    assert_eq!(origin.requests().len(), 9, "{}", origin.report());
}

#[test]
fn killed_while_it_ends_it_keeps_its_promises() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let place = Place::new(&origin, "", "[queue.default]\nat_once = 4", "");
    let mut gateway = place.start();
    let mut client = gateway.client();
    let all: Vec<String> =
        (0..9).map(|n| location(&post(&mut client, &format!("/{n}"), "", "x"))).collect();
    origin.head(4);
    gateway.signal("TERM");
    gateway.signal("KILL");
    gateway.wait_exit();
    gate.open();
    let gateway = place.start();
    for location in &all {
        ends_as(&gateway, location, "succeeded");
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    for request in origin.requests() {
        *counts.entry(request.target).or_default() += 1;
    }
    assert!(counts.values().filter(|&&n| n == 2).count() <= 4, "{counts:?}");
    assert!(counts.values().all(|&n| n <= 2), "{counts:?}");
}

#[test]
fn a_job_that_kills_the_gateway_each_time_is_poison_and_the_others_live() {
    let origin = Origin::play(|request| match request.target.as_str() {
        "/poison" => vec![Action::Body, Action::Silence],
        _ => vec![Action::Body, send(OK)],
    });
    let queue = "[queue.default]\nretry = { lost_max = 2, backoff = \"1ms\" }";
    let place = Place::new(&origin, "", queue, "");
    let mut gateway = place.start();
    let poison = location(&post(&mut gateway.client(), "/poison", "", "x"));
    for n in 1..=3 {
        seen(&origin, "/poison", n);
        gateway.signal("KILL");
        gateway.wait_exit();
        gateway = place.start();
    }
    let fine = location(&post(&mut gateway.client(), "/fine", "", "x"));
    ends_as(&gateway, &fine, "succeeded");
    let told = ends_as(&gateway, &poison, "dead");
    assert_eq!(told["reason"], "poison", "{told}");
    seen(&origin, "/poison", 3);
}

#[test]
fn a_second_gateway_on_one_store_is_told_who_has_it() {
    let origin = Origin::start();
    let place = Place::new(&origin, "", "", "");
    let gateway = place.start();
    let second = place.refused();
    assert!(second.code.is_some_and(|code| code != 0), "{second:?}");
    let holder = gateway.id().to_string();
    assert!(second.stderr.contains("in use by"), "{second:?}");
    assert!(second.stderr.contains(&holder), "{holder}: {second:?}");
    let kept = location(&post(&mut gateway.client(), "/a", "", "x"));
    ends_as(&gateway, &kept, "succeeded");
}

/// A file system of its own, of so many MiB; nothing where it cannot be had.
struct Mount(Folder);

impl Mount {
    fn new(mib: u32) -> Option<Self> {
        let folder = Folder::new();
        let size = format!("size={mib}m");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(folder));
        }
        eprintln!("SKIPPED: no file system can be mounted here");
        None
    }

    fn again(&self, options: &str) {
        let done = Command::new("mount").args(["-o", options]).arg(self.0.path()).status();
        assert!(done.is_ok_and(|status| status.success()), "mounting with {options}");
    }

    /// The settings of a place whose store is here.
    fn holds(&self, place: &mut Place) {
        let before = place.folder.path().join("jobs").display().to_string();
        place.text = place.text.replace(&before, &self.store());
    }

    fn store(&self) -> String {
        self.0.path().join("jobs").display().to_string()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _already = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_the_new_and_delivers_the_old() {
    let Some(mount) = Mount::new(400) else { return };
    let gate = Gate::new();
    let origin = holding(&gate);
    let mut place =
        Place::new(&origin, "", "free_min = \"24 MiB\"\n[queue.default]\nat_once = 1", "");
    mount.holds(&mut place);
    let gateway = place.start();
    let mut client = gateway.client();
    let kept: Vec<String> =
        (0..20).map(|n| location(&post(&mut client, &format!("/{n}"), "", "x"))).collect();
    let ballast = mount.0.path().join("ballast");
    // Until there is no room at all.
    let mut file = std::fs::File::create(&ballast).unwrap();
    let piece = vec![1; 1 << 20];
    while std::io::Write::write_all(&mut file, &piece).is_ok() {}
    let by = patience();
    let refused = loop {
        let answer = post(&mut gateway.client(), "/more", "", "x");
        if answer.status != 202 {
            break answer;
        }
        assert!(!by.passed(Moment::now()), "it goes on accepting");
    };
    let reason = json(&refused)["reason"].clone();
    assert_eq!((refused.status, reason.as_str()), (503, Some("store_full")), "{}", refused.text());
    assert!(refused.field("retry-after").is_some());
    gate.open();
    for location in &kept {
        ends_as(&gateway, location, "succeeded");
    }
    drop(file);
    std::fs::remove_file(ballast).unwrap();
    let by = patience();
    let again = loop {
        let answer = post(&mut gateway.client(), "/again", "", "x");
        if answer.status == 202 {
            break location(&answer);
        }
        assert!(!by.passed(Moment::now()), "it accepts nothing any more: {}", answer.text());
        std::thread::park_timeout(Duration::from_millis(20));
    };
    ends_as(&gateway, &again, "succeeded");
}

#[test]
fn a_store_that_cannot_be_written_is_named_at_the_start() {
    let origin = Origin::start();
    let place = Place::new(&origin, "", "", "");
    std::fs::write(place.folder.path().join("jobs"), "a file").unwrap();
    let ended = place.refused();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    let named = place.folder.path().join("jobs").display().to_string();
    assert!(ended.stderr.contains(&named) && ended.stderr.contains("store"), "{ended:?}");
    let Some(mount) = Mount::new(400) else { return };
    let mut place = Place::new(&origin, "", "free_min = \"1 MiB\"", "");
    mount.holds(&mut place);
    let gateway = place.start();
    let kept = location(&post(&mut gateway.client(), "/a", "", "x"));
    ends_as(&gateway, &kept, "succeeded");
    drop(gateway);
    mount.again("remount,ro");
    let ended = place.refused();
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    assert!(ended.stderr.contains(&mount.store()), "{ended:?}");
    assert!(ended.stderr.to_lowercase().replace('-', "").contains("readonly"), "{ended:?}");
    mount.again("remount,rw");
    let gateway = place.start();
    ends_as(&gateway, &kept, "succeeded");
}

#[test]
fn what_a_full_queue_refuses_is_never_delivered() {
    let gate = Gate::new();
    let origin = holding(&gate);
    let place = Place::new(&origin, "", "[queue.default]\nat_once = 1\njobs_max = 3", "");
    let gateway = place.start();
    let mut client = gateway.client();
    let first = location(&post(&mut client, "/kept", "", "x"));
    origin.head(1);
    let mut kept = vec![first];
    kept.extend((0..3).map(|_| location(&post(&mut client, "/kept", "", "x"))));
    for _ in 0..20 {
        let refused = post(&mut gateway.client(), "/refused", "", "x");
        let reason = json(&refused)["reason"].clone();
        assert_eq!((refused.status, reason.as_str()), (503, Some("queue_full")));
        let after = refused.field("retry-after").and_then(|n| n.parse::<u64>().ok());
        assert!(after.is_some_and(|after| (1..=3_600).contains(&after)), "{after:?}");
    }
    gate.open();
    for location in &kept {
        ends_as(&gateway, location, "succeeded");
    }
    let more = location(&post(&mut gateway.client(), "/kept", "", "x"));
    ends_as(&gateway, &more, "succeeded");
    assert!(origin.requests().iter().all(|r| r.target == "/kept"), "{}", origin.report());
}

/// Processor time that the gateway has used.
fn cpu(gateway: &Gateway) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", gateway.id())).unwrap();
    let behind = stat.rsplit(") ").next().unwrap();
    let ticks = behind.split(' ').skip(11).take(2).map(|n| n.parse::<u64>().unwrap()).sum::<u64>();
    Duration::from_millis(ticks * 10)
}

#[test]
fn a_service_that_is_away_costs_nothing_and_is_not_overrun_when_it_is_back() {
    let begun = Arc::new(Mutex::new(Vec::new()));
    let times = Arc::clone(&begun);
    let mut origin = Origin::play(move |_| {
        times.lock().unwrap().push(Moment::now());
        vec![Action::Body, send(OK)]
    });
    let queue = "[queue.default]\nat_once = 8\nrate = \"60/s\"\n\
                 retry = { tries = 1000, backoff = \"20ms\", backoff_max = \"200ms\" }";
    let place = Place::new(&origin, "", queue, "");
    let gateway = place.start();
    origin.stop();
    let mut client = gateway.client();
    let all: Vec<String> =
        (0..200).map(|n| location(&post(&mut client, &format!("/{n}"), "", "x"))).collect();
    let before = cpu(&gateway);
    let time = Duration::from_secs(2);
    load_for(time);
    let used = cpu(&gateway).saturating_sub(before);
    println!("{used:?} of processor time in {time:?} with 200 jobs and no service");
    assert!(used < time / 2, "{used:?} in {time:?}");
    begun.lock().unwrap().clear();
    origin.restart();
    for location in &all {
        ends_as(&gateway, location, "succeeded");
    }
    let begun = begun.lock().unwrap();
    assert_eq!(begun.len(), 200);
    for (at, first) in begun.iter().enumerate() {
        let second = Duration::from_secs(1);
        let within = begun[at..].iter().take_while(|time| time.since(*first) < second).count();
        assert!(within <= 2 * 60 + 8, "{within} in a second");
    }
}
