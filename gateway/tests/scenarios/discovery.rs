//! Servers that are discovered: in files, by name, in Kubernetes.

use crate::stage::FLEETFOOT;
use crate::town::{Front, House, settings, start, street, wait_for, who};
use scenario::gateway::Folder;
use scenario::kubernetes::Endpoint;
use scenario::names::{Mood, Record};
use scenario::server::wait_until;
use scenario::{Gateway, Kubernetes, Names};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

/// A file of servers.
struct List(Folder);

impl List {
    fn new(text: &str) -> Self {
        let list = Self(Folder::new());
        list.rewrite(text);
        list
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("shop.servers")
    }

    /// Replaces it in one step.
    fn rewrite(&self, text: &str) {
        let fresh = self.0.write("fresh", text);
        std::fs::rename(fresh, self.path()).expect("a folder of our own");
    }

    fn discover(&self) -> String {
        format!("discover = {{ file = {:?}, every = \"1s\" }}", self.path().display().to_string())
    }
}

fn lines(houses: &[&House]) -> String {
    houses.iter().map(|house| house.url() + "\n").collect()
}

#[test]
fn a_file_that_changes_moves_traffic() {
    let [a, b, c] = ["a", "b", "c"].map(House::start);
    let list = List::new(&lines(&[&a, &b]));
    let gateway = start(&list.discover(), None);
    // At the very first request already.
    assert_eq!(who(&gateway).len(), 2);
    list.rewrite(&lines(&[&b, &c]));
    wait_for(&gateway, &["b", "c"]);
    // Written in place, and with a line that has no end.
    std::fs::write(list.path(), format!("# all but b\n{}\n{} weight=3", a.url(), c.url()))
        .expect("a folder of our own");
    wait_for(&gateway, &["a", "c"]);
    let shares = who(&gateway);
    assert!(shares["c"] >= 2 * shares["a"], "{shares:?}");
}

#[test]
fn a_file_with_a_mistake_is_told_of_and_the_last_good_one_stays() {
    let [a, b] = ["a", "b"].map(House::start);
    let list = List::new(&lines(&[&a]));
    let gateway = start(&list.discover(), None);
    list.rewrite(&format!("{}\nhttp://nowhere:port\n", b.url()));
    let line = gateway.wait_line("shop.servers:2: ");
    assert!(line.contains("no port from 1 to 65535"), "{line}");
    assert!(line.contains("the 1 servers found last stay"), "{line}");
    wait_for(&gateway, &["a"]);
    list.rewrite("# nobody\n");
    gateway.wait_line("shop.servers:1: no server: a list that is meant to be empty");
    wait_for(&gateway, &["a"]);
    std::fs::remove_file(list.path()).expect("it was there");
    gateway.wait_line("cannot read ");
    wait_for(&gateway, &["a"]);
    list.rewrite(&lines(&[&b]));
    gateway.wait_line("its servers are found again");
    wait_for(&gateway, &["b"]);
    list.rewrite("none\n");
    wait_until("nobody", || gateway.get("/").status == 503);
    let answer = gateway.get("/").text();
    assert!(answer.contains("no_server"), "{answer}");
}

/// Puts a FIFO into the place of a file: nobody ever writes into it.
fn fifo(path: &Path) {
    std::fs::remove_file(path).expect("it was there");
    let made = Command::new("mkfifo").arg(path).status().expect("mkfifo runs");
    assert!(made.success(), "no FIFO at {}", path.display());
}

/// A gateway that found `a`, then a FIFO, and told of that.
fn before_a_fifo(a: &House) -> (List, Gateway) {
    let list = List::new(&lines(&[a]));
    let gateway = start(&list.discover(), None);
    wait_for(&gateway, &["a"]);
    fifo(&list.path());
    let line = gateway.wait_line("it is not a regular file");
    assert!(line.contains("the 1 servers found last stay"), "{line}");
    (list, gateway)
}

#[test]
fn a_fifo_in_place_of_the_file_blocks_nothing() {
    let [a, b] = ["a", "b"].map(House::start);
    let (list, mut gateway) = before_a_fifo(&a);
    wait_for(&gateway, &["a"]);
    for _ in 0..3 {
        let answer = gateway.ask("POST", "/reload");
        assert_eq!(answer.status, 422);
        assert!(answer.text().contains("is not a regular file"), "{}", answer.text());
        assert_eq!(gateway.ask("GET", "/health").status, 200);
    }
    gateway.signal("HUP");
    gateway.wait_line("not reloaded");
    wait_for(&gateway, &["a"]);
    list.rewrite(&lines(&[&b]));
    gateway.wait_line("its servers are found again");
    wait_for(&gateway, &["b"]);
    assert_eq!(gateway.ask("POST", "/reload").status, 200);
    fifo(&list.path());
    gateway.signal("TERM");
    assert!(gateway.wait_exit().success());
}

#[test]
fn settings_that_block_hold_up_neither_health_nor_the_end() {
    let a = House::start("a");
    let list = List::new(&lines(&[&a]));
    let mut gateway = start(&list.discover(), None);
    wait_for(&gateway, &["a"]);
    // The settings themselves are opened whatever they are, so that they may come from a pipe.
    fifo(&gateway.file());
    let answer = gateway.ask("POST", "/reload");
    assert_eq!(answer.status, 422);
    assert!(answer.text().contains("does not come to an end"), "{}", answer.text());
    // The first is still at it; a second one is not begun.
    let begun = base::Moment::now();
    assert_eq!(gateway.ask("POST", "/reload").status, 422);
    assert!(base::Moment::now().since(begun) < Duration::from_secs(3));
    assert_eq!(gateway.ask("GET", "/health").status, 200);
    wait_for(&gateway, &["a"]);
    gateway.signal("HUP");
    gateway.signal("TERM");
    assert!(gateway.wait_exit().success());
}

#[test]
fn a_file_that_is_none_or_too_long_is_a_mistake_at_the_start() {
    let list = List::new("");
    let folder = Folder::new();
    let file = folder.write("fleetfoot.toml", &settings(&list.discover()));
    let check = |why: &str| {
        for verb in [&["check"][..], &["run", "--config"]] {
            let file = file.display().to_string();
            let ended = scenario::gateway::run(&FLEETFOOT, &[verb, &[&file]].concat());
            assert_ne!(ended.code, Some(0), "{ended:?}");
            assert!(format!("{ended:?}").contains(why), "{ended:?}");
        }
    };
    fifo(&list.path());
    check("is not a regular file");
    list.rewrite("");
    let long = std::fs::File::options().write(true).open(list.path()).expect("it is there");
    long.set_len((16 << 20) + 1).expect("a sparse file");
    check("is longer than 16 MiB");
    std::fs::remove_file(list.path()).expect("it was there");
    std::os::unix::fs::symlink("/dev/zero", list.path()).expect("a folder of our own");
    check("is not a regular file");
}

#[test]
fn named_and_found_servers_are_joined_once_each_and_bounded() {
    let [a, b, c] = ["a", "b", "c"].map(House::start);
    let list = List::new(&lines(&[&a, &b, &b, &c]));
    let found = list.discover().replace(" }", ", servers_max = 1 }");
    let gateway = start(&format!("servers = [{:?}]\n{found}", a.url()), None);
    wait_for(&gateway, &["a", "b"]);
    gateway.wait_line("2 servers were found more than once");
    gateway.wait_line("1 servers were found beyond `servers_max` and are left out");
}

#[test]
fn who_is_found_is_checked_before_he_joins() {
    let [a, b, c] = ["a", "b", "c"].map(House::start);
    b.health(500);
    let list = List::new(&lines(&[&a]));
    let check = "health = { path = \"/health\", every = \"60s\", time = \"2s\" }";
    let gateway = start(&format!("{}\n{check}", list.discover()), None);
    wait_for(&gateway, &["a"]);
    list.rewrite(&lines(&[&a, &b, &c]));
    // Every answer until then, and after, is of one that is well.
    wait_until("c", || {
        let seen = who(&gateway);
        assert!(!seen.contains_key("b"), "{seen:?}");
        seen.contains_key("c")
    });
    wait_until("b's check", || b.checks() == 1);
    for _ in 0..5 {
        assert_eq!(who(&gateway).keys().collect::<Vec<_>>(), ["a", "c"]);
    }
    assert!(b.checks() == 1 && c.checks() == 1);
}

#[test]
fn a_reload_keeps_who_was_found() {
    let [a, b] = ["a", "b"].map(House::start);
    let list = List::new(&lines(&[&a]));
    let gateway = start(&list.discover(), None);
    wait_for(&gateway, &["a"]);
    for _ in 0..5 {
        assert_eq!(gateway.ask("POST", "/reload").status, 200);
        assert_eq!(who(&gateway).len(), 1);
    }
    // Another file: the answers of the old one hold until the new one has been read.
    let other = List::new(&lines(&[&b]));
    gateway.rewrite(&settings(&other.discover()));
    assert_eq!(gateway.ask("POST", "/reload").status, 200);
    wait_for(&gateway, &["b"]);
    list.rewrite(&lines(&[&a, &b]));
    other.rewrite(&lines(&[&b]));
    assert_eq!(who(&gateway).len(), 1, "the old file is still read");
    // No discovery any more.
    gateway.rewrite(&settings(&format!("servers = [{:?}]", a.url())));
    assert_eq!(gateway.ask("POST", "/reload").status, 200);
    wait_for(&gateway, &["a"]);
}

#[test]
fn the_counters_of_servers_that_are_lost_are_dropped() {
    let [a, b] = ["a", "b"].map(House::start);
    let list = List::new(&lines(&[&a, &b]));
    let gateway = start(&list.discover(), None);
    wait_for(&gateway, &["a", "b"]);
    assert!(gateway.metrics().contains(&b.url()));
    list.rewrite(&lines(&[&a]));
    wait_for(&gateway, &["a"]);
    wait_until("no trace", || !gateway.metrics().contains(&b.url()));
    assert!(gateway.metrics().contains(&a.url()));
}

/// Asks at a steady pace whatever becomes of the answers, until told to stop.
fn open_loop(address: SocketAddr, seconds: u64) -> load::Report {
    let plan = load::Plan {
        targets: vec![address.into()],
        pace: load::Pace::Open { rate: 400.0, arrivals: load::Arrivals::Poisson },
        seed: 7,
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(seconds),
        timeout: Duration::from_secs(5),
        objective: Duration::from_millis(100),
        connections_max: 64,
        reuse: true,
        protocol: load::Protocol::Http1,
        threads: 1,
        requests: vec![load::Request::get("shop", 1, vec!["/".to_owned()])],
        sequence: None,
    };
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(load::run(&plan, |_| {})).expect("a legal plan")
}

/// 160 changes a second are ten thousand a minute.
#[test]
fn a_storm_of_changes_fails_no_request_and_loses_nothing_learned() {
    let names = ["a", "b", "c", "d", "e", "f"];
    let houses: Arc<Vec<House>> = Arc::new(names.map(House::start).into());
    let list = List::new(&lines(&[&houses[0], &houses[1]]));
    let gateway = start(&list.discover(), None);
    wait_for(&gateway, &["a", "b"]);
    let (stop, changes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let writer = {
        let (stop, changes, houses) =
            (Arc::clone(&stop), Arc::clone(&changes), Arc::clone(&houses));
        thread::spawn(move || {
            let mut rng = fastrand::Rng::with_seed(7);
            let begun = base::Moment::now();
            while !stop.load(Ordering::Relaxed) {
                // The first stays; of the others some come and some go.
                let chosen = houses[1..].iter().filter(|_| rng.bool());
                let chosen: Vec<&House> = std::iter::once(&houses[0]).chain(chosen).collect();
                list.rewrite(&lines(&chosen));
                let made = changes.fetch_add(1, Ordering::Relaxed) + 1;
                let due = begun + Duration::from_micros(6_250) * u32::try_from(made).expect("few");
                thread::sleep(due.since(base::Moment::now()));
            }
        })
    };
    let report = open_loop(gateway.address(), 6);
    stop.store(true, Ordering::Relaxed);
    writer.join().expect("it writes");
    let changes = changes.load(Ordering::Relaxed);
    println!(
        "{changes} changes, {} requests, {} failed, p99 {:?}",
        report.count,
        report.failed(),
        report.latency.quantile(0.99)
    );
    assert!(changes >= 800, "{changes} changes");
    assert!(report.count >= 2_000, "{}", report.count);
    assert_eq!(report.failed(), 0, "{:?}\n{}", report.failures, gateway.stderr());
    // Who was there all the time is not new: its connections are still those of the start.
    let opened = houses[0].origin.connections();
    assert!(opened <= 64 + 1, "{opened} connections to the one that stayed");
}

fn by_name(port: u16) -> String {
    let name = format!("http://shop.test:{port}");
    format!("host = \"server\"\ndiscover = {{ name = {name:?}, every = \"2s\" }}")
}

#[test]
fn a_name_that_moves_takes_traffic_with_it_when_its_ttl_ends() {
    let town = street(&["a", "b", "c"]);
    let names = Names::start();
    names.put_addresses("shop.test", 1, &[town[0].ip(), town[1].ip()]);
    let gateway = start(&by_name(town[0].port()), Some(names.resolv_conf()));
    wait_for(&gateway, &["a", "b"]);
    names.put_addresses("shop.test", 300, &[town[1].ip(), town[2].ip()]);
    wait_for(&gateway, &["b", "c"]);
    // A TTL of five minutes, but `every` says two seconds.
    names.put_addresses("shop.test", 1, &[town[0].ip()]);
    wait_for(&gateway, &["a"]);
    // The name stays what the service is called.
    let request = town[0].origin.requests().pop().expect("one");
    assert_eq!(request.head.one("host"), Some(format!("shop.test:{}", town[0].port()).as_str()));
}

#[test]
fn a_ttl_is_honoured() {
    let town = street(&["a"]);
    let names = Names::start();
    names.put_addresses("shop.test", 1, &[town[0].ip()]);
    let every = by_name(town[0].port()).replace("2s", "1h");
    let gateway = start(&every, Some(names.resolv_conf()));
    let begun = base::Moment::now();
    names.wait_asked("shop.test", 1, 3);
    let took = base::Moment::now().since(begun);
    assert!(took >= Duration::from_millis(1_900), "asked three times in {took:?}");
    names.put_addresses("shop.test", 3_600, &[town[0].ip()]);
    names.wait_asked("shop.test", 1, 1);
    let asked = names.asked("shop.test", 1);
    wait_for(&gateway, &["a"]);
    assert!(names.asked("shop.test", 1) <= asked + 1);
}

#[test]
fn a_name_server_that_fails_or_says_nothing_empties_no_pool() {
    let town = street(&["a", "b"]);
    let names = Names::start();
    let addresses = [town[0].ip(), town[1].ip()];
    names.put_addresses("shop.test", 1, &addresses);
    let gateway = start(&by_name(town[0].port()), Some(names.resolv_conf()));
    wait_for(&gateway, &["a", "b"]);
    names.mood(Mood::Failing);
    names.wait_asked("shop.test", 1, 2);
    gateway.wait_line("no answer about shop.test");
    assert_eq!(who(&gateway).len(), 2);
    names.mood(Mood::Silent);
    names.wait_asked("shop.test", 1, 2);
    assert_eq!(who(&gateway).len(), 2);
    names.mood(Mood::Well);
    gateway.wait_line("its servers are found again");
    // No such name: that is believed when it has been said for three times two seconds.
    names.remove("shop.test");
    names.wait_asked("shop.test", 1, 2);
    gateway.wait_line("shop.test has no address");
    assert_eq!(who(&gateway).len(), 2);
    wait_until("nobody", || gateway.get("/").status == 503);
    names.put_addresses("shop.test", 1, &addresses);
    wait_until("somebody", || gateway.get("/").status == 200);
    wait_for(&gateway, &["a", "b"]);
}

#[test]
fn addresses_of_nobody_are_left_out_and_told_of() {
    let town = street(&["a"]);
    let names = Names::start();
    let nobody: [IpAddr; 3] = [[0, 0, 0, 0], [255, 255, 255, 255], [224, 0, 0, 1]].map(Into::into);
    names.put_addresses("shop.test", 1, &[&nobody[..], &[town[0].ip()]].concat());
    let gateway = start(&by_name(town[0].port()), Some(names.resolv_conf()));
    wait_for(&gateway, &["a"]);
    gateway.wait_line("shop.test: 0.0.0.0 is no server's address; it is left out");
    let servers = gateway.ask("GET", "/servers").text();
    assert!(!servers.contains("0.0.0.0") && !servers.contains("224."), "{servers}");
    // Nothing else: that says as little as silence.
    names.put_addresses("shop.test", 1, &nobody);
    gateway.wait_line("the 1 servers found last stay");
    wait_for(&gateway, &["a"]);
    names.put_addresses("shop.test", 1, &[town[0].ip()]);
    gateway.wait_line("its servers are found again");
}

#[test]
fn an_alias_that_leads_nowhere_is_a_failure_and_empties_no_pool() {
    let town = street(&["a"]);
    let names = Names::start();
    names.put_addresses("shop.test", 1, &[town[0].ip()]);
    // Three times `every` would be over soon.
    let every = by_name(town[0].port()).replace("2s", "200ms");
    let gateway = start(&every, Some(names.resolv_conf()));
    wait_for(&gateway, &["a"]);
    names.put("shop.test", 1, vec![Record::Alias("shop.test".to_owned())]);
    let line = gateway.wait_line("alias (CNAME)");
    assert!(line.contains("the 1 servers found last stay"), "{line}");
    for _ in 0..2 {
        names.wait_asked("shop.test", 5, 1);
        wait_for(&gateway, &["a"]);
    }
    // One that leads somewhere is as good as an address.
    names.put_addresses("other.test", 1, &[town[0].ip()]);
    names.put("shop.test", 1, vec![Record::Alias("other.test".to_owned())]);
    gateway.wait_line("its servers are found again");
    wait_for(&gateway, &["a"]);
}

#[test]
fn both_families_of_addresses_are_servers() {
    let town = street(&["a"]);
    let six = SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, town[0].port()));
    if std::net::TcpListener::bind(six).is_err() {
        return scenario::server::left_out("no IPv6 on the loopback");
    }
    let b = House::at("b", six);
    let names = Names::start();
    names.put_addresses("shop.test", 1, &[town[0].ip(), b.ip()]);
    let gateway = start(&by_name(b.port()), Some(names.resolv_conf()));
    wait_for(&gateway, &["a", "b"]);
    // One family is answered: then the other is believed to be gone.
    names.put_addresses("shop.test", 1, &[b.ip()]);
    wait_for(&gateway, &["b"]);
}

#[test]
fn a_name_that_is_not_there_yet_is_503_until_it_is() {
    let town = street(&["a"]);
    let names = Names::start();
    let gateway = start(&by_name(town[0].port()), Some(names.resolv_conf()));
    let answer = gateway.get("/");
    assert_eq!(answer.status, 503);
    assert!(answer.text().contains("no_server"), "{}", answer.text());
    gateway.wait_line("shop.test has no address; no servers are known yet");
    names.put_addresses("shop.test", 1, &[town[0].ip()]);
    wait_until("somebody", || gateway.get("/").status == 200);
}

#[test]
fn srv_records_name_ports_priorities_and_weights() {
    let [a, b, c] = ["a", "b", "c"].map(House::start);
    let names = Names::start();
    let srv = |priority, weight, house: &House, target: &str| {
        Record::Srv(priority, weight, house.port(), target.to_owned())
    };
    for target in ["one.shop.test", "two.shop.test"] {
        names.put_addresses(target, 1, &[a.ip()]);
    }
    let service = "_http._tcp.shop.test";
    names.put(service, 1, vec![srv(0, 0, &a, "one.shop.test"), srv(0, 3, &b, "two.shop.test")]);
    let discover = format!("discover = {{ srv = {service:?}, every = \"2s\" }}");
    let gateway = start(&discover, Some(names.resolv_conf()));
    wait_for(&gateway, &["a", "b"]);
    let shares = who(&gateway);
    assert!(shares["b"] >= 2 * shares["a"], "{shares:?}");
    // One of lower priority stands by.
    let both = vec![srv(10, 1, &a, "one.shop.test"), srv(20, 1, &c, "two.shop.test")];
    names.put(service, 1, both);
    wait_for(&gateway, &["a"]);
}

fn of_kubernetes(api: &Kubernetes, token: &Path) -> String {
    format!(
        "discover = {{ kubernetes = \"catalog\", namespace = \"shop\", port = \"http\", \
         api = \"http://{}\", token = {:?}, every = \"2s\" }}",
        api.address(),
        token.display().to_string()
    )
}

struct Cluster {
    town: Vec<House>,
    api: Kubernetes,
    gateway: Gateway,
    folder: Folder,
}

impl Cluster {
    fn start() -> Self {
        let (town, api, folder) = (street(&["a", "b", "c"]), Kubernetes::start(), Folder::new());
        api.token("first");
        let token = folder.write("token", "first\n");
        api.put("one", town[0].port(), &[Endpoint::ready(&town[0].ip().to_string())]);
        let gateway = start(&of_kubernetes(&api, &token), None);
        wait_for(&gateway, &["a"]);
        Self { town, api, gateway, folder }
    }

    /// A slice of these houses.
    fn put(&self, slice: &str, endpoints: &[(usize, bool)]) {
        let endpoint = |&(house, ready): &(usize, bool)| {
            let address = self.town[house].ip().to_string();
            if ready { Endpoint::ready(&address) } else { Endpoint::ending(&address) }
        };
        let endpoints: Vec<_> = endpoints.iter().map(endpoint).collect();
        self.api.put(slice, self.town[0].port(), &endpoints);
    }

    fn lists(&self) -> usize {
        self.api.requests().iter().filter(|target| !target.contains("watch=1")).count()
    }
}

#[test]
fn endpoints_come_and_go_as_slices_say() {
    let cluster = Cluster::start();
    cluster.put("two", &[(1, true), (0, true)]);
    wait_for(&cluster.gateway, &["a", "b"]);
    cluster.put("one", &[(2, true)]);
    wait_for(&cluster.gateway, &["a", "b", "c"]);
    cluster.put("two", &[(0, false), (1, true)]);
    wait_for(&cluster.gateway, &["b", "c"]);
    cluster.api.delete("one");
    wait_for(&cluster.gateway, &["b"]);
    // Nobody is ready: who still serves is better than nobody.
    cluster.put("two", &[(0, false), (1, false)]);
    wait_for(&cluster.gateway, &["a", "b"]);
    assert_eq!(cluster.lists(), 1, "one list and one watch: {:?}", cluster.api.requests());
}

#[test]
fn a_watch_that_breaks_off_goes_on_where_it_was() {
    let cluster = Cluster::start();
    cluster.api.bookmark();
    let seen = cluster.api.requests().len();
    cluster.api.break_off();
    cluster.api.wait_request(seen, "watch=1");
    cluster.put("two", &[(1, true)]);
    wait_for(&cluster.gateway, &["a", "b"]);
    assert_eq!(cluster.lists(), 1);
}

#[test]
fn a_version_that_is_forgotten_is_listed_anew() {
    let cluster = Cluster::start();
    cluster.put("two", &[(1, true)]);
    wait_for(&cluster.gateway, &["a", "b"]);
    cluster.api.break_off();
    cluster.api.delete("one");
    cluster.api.forget();
    wait_for(&cluster.gateway, &["b"]);
    assert!(cluster.lists() >= 2, "{:?}", cluster.api.requests());
}

#[test]
fn an_api_server_that_fails_empties_no_pool_and_a_new_token_is_used() {
    let cluster = Cluster::start();
    cluster.api.refuse(true);
    cluster.api.break_off();
    cluster.gateway.wait_line("cannot watch the EndpointSlices of shop/catalog at http://");
    assert_eq!(who(&cluster.gateway).len(), 1);
    cluster.api.token("second");
    cluster.api.refuse(false);
    cluster.gateway.wait_line("status 401");
    cluster.folder.write("token", "second\n");
    cluster.gateway.wait_line("its servers are found again");
    cluster.put("two", &[(1, true)]);
    wait_for(&cluster.gateway, &["a", "b"]);
}

#[test]
fn the_api_server_is_spoken_to_over_tls() {
    let (town, api, folder) = (street(&["a"]), Kubernetes::start(), Folder::new());
    api.put("one", town[0].port(), &[Endpoint::ready(&town[0].ip().to_string())]);
    let front = Front::start(api.address());
    let discover = of_kubernetes(&api, &folder.write("token", "first"));
    let plain = format!("http://{}", api.address());
    let trust = format!("https://{}\", trust = {:?}, ", front.address, front.trust);
    let gateway = start(&discover.replace(&format!("{plain}\", "), &trust), None);
    wait_for(&gateway, &["a"]);
}
