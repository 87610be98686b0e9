//! `cache-scenes`: what the cache does for clients, through a real gateway. `bench/cache` starts it.
//!
//! Each scene has an origin that counts, a gateway of its own and clients, and prints one row of a
//! table a figure: what was measured, what it must be, and whether it is. Exits 1 if one is not.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use base::Moment;
use bench::scene::{Client, Gateway, Life, Origin, Page};
use bench::trace::made::web_size;
use clap::{Parser, ValueEnum};
use load::{Arrivals, Pace, Plan, Protocol, Report, Request};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// Bytes of the body of a number.
type Sizes = fn(u64) -> usize;

const MS: Duration = Duration::from_millis(1);
/// Nothing may hang.
const SCENE_MAX: Duration = Duration::from_hours(1);

/// What the cache does for clients, through a real gateway.
#[expect(clippy::struct_excessive_bools, reason = "the flags of a command line")]
#[derive(Parser)]
#[command(name = "bench/cache")]
struct Arguments {
    /// Which; all of them if none is named.
    scenes: Vec<Scene>,
    /// The gateway.
    #[arg(long, env = "FLEETFOOT", value_name = "PATH")]
    fleetfoot: Option<PathBuf>,
    /// Short runs, for a rough look.
    #[arg(long)]
    quick: bool,
    /// `memory`: 100 GiB instead of 16.
    #[arg(long, env = "FULL", value_parser = clap::builder::FalseyValueParser::new())]
    full: bool,
    /// `restart`: ends the gateway outright, not gently.
    #[arg(long)]
    kill: bool,
    /// `restart`: without the disk, to see what it is good for.
    #[arg(long)]
    no_disk: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scene {
    /// 1,000 clients want the same at once: never asked for, and expired.
    Crowd,
    /// One key that expires every 2 s, from an origin that takes 200 ms.
    Hot,
    /// The origin dies in three ways, and what is stale is served.
    Dead,
    /// A tag of 1,000,000 entries is purged.
    Purge,
    /// Distinct objects stream through a memory of 256 MiB.
    Memory,
    /// A restart under load, with the disk.
    Restart,
}

/// Where the gateway is, and what is wanted of it.
struct Stage {
    binary: PathBuf,
    options: Arguments,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Arguments::parse();
    let beside = || std::env::current_exe().ok()?.parent().map(|folder| folder.join("fleetfoot"));
    let Some(binary) = options.fleetfoot.clone().or_else(beside) else { return ExitCode::from(2) };
    let mut scenes = options.scenes.clone();
    if scenes.is_empty() {
        scenes = Scene::value_variants().to_vec();
    }
    let stage = Stage { binary, options };
    println!("| scene | must hold | measured | holds |\n| --- | --- | --- | --- |");
    let mut all = true;
    for scene in scenes {
        match tokio::time::timeout(SCENE_MAX, stage.play(scene)).await {
            Ok(Ok(holds)) => all &= holds,
            Ok(Err(error)) => {
                eprintln!("bench/cache: {scene:?}: {error}");
                all = false;
            }
            Err(_) => {
                eprintln!("bench/cache: {scene:?} did not end in an hour");
                all = false;
            }
        }
    }
    if all { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn row(scene: &str, bound: &str, measured: &str, holds: bool) -> bool {
    println!("| {scene} | {bound} | {measured} | {} |", if holds { "yes" } else { "**no**" });
    holds
}

fn millis(duration: Duration) -> String {
    format!("{:.2}", duration.as_secs_f64() * 1e3)
}

fn quantiles(report: &Report) -> String {
    let q = |share| millis(report.latency.quantile(share));
    format!("p50 {} / p99 {} / p99.9 {} ms", q(0.5), q(0.99), q(0.999))
}

impl Stage {
    async fn play(&self, scene: Scene) -> Result<bool> {
        match scene {
            Scene::Crowd => self.crowd().await,
            Scene::Hot => self.hot().await,
            Scene::Dead => self.dead().await,
            Scene::Purge => self.purge().await,
            Scene::Memory => self.memory().await,
            Scene::Restart => self.restart().await,
        }
    }

    async fn gateway(&self, origin: &Origin, cache: &str) -> Result<Gateway> {
        Ok(Gateway::start(&self.binary, origin.address, cache).await?)
    }

    /// 1,000 clients at once, each on a connection that the gateway has answered on before.
    async fn crowd(&self) -> Result<bool> {
        const CLIENTS: usize = 1_000;
        const EXPIRING: u64 = 1_000;
        const SLACK: Duration = Duration::from_millis(20);
        let rounds = if self.options.quick { 2 } else { 7 };
        let origin = Origin::start(Page {
            delay: 200 * MS,
            bytes: |_| 1024,
            fields: |number| {
                format!("Cache-Control: max-age={}\r\n", if number < EXPIRING { 3600 } else { 1 })
            },
        })?;
        let gateway = self.gateway(&origin, "").await?;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            let mut client = Client::connect(gateway.address).await?;
            client.get("/warm/0").await?;
            clients.push(client);
        }
        let mut all = true;
        for (name, first) in [("cold key", 1), ("expired key", EXPIRING)] {
            let (mut fetches, mut over) = (Vec::new(), Vec::new());
            for number in first..first + rounds {
                let path = format!("/crowd/{number}");
                if first == EXPIRING {
                    clients[0].get(&path).await?;
                    tokio::time::sleep(2100 * MS).await;
                }
                let before = origin.fetches();
                origin.turns(Life::Alive);
                let (slowest, back) = ask_at_once(clients, &path).await?;
                clients = back;
                fetches.push(origin.fetches() - before);
                over.push(slowest.saturating_sub(origin.took_max()));
            }
            over.sort();
            fetches.sort_unstable();
            let middle = over[over.len() / 2];
            let most = fetches[fetches.len() - 1];
            all &= row(
                &format!("{name}, {CLIENTS} clients at once, origin takes 200 ms"),
                "one origin fetch; slowest ≤ origin + 20 ms",
                &format!(
                    "{most} fetch at most; slowest origin + {} ms [{}–{}] in {rounds} rounds",
                    millis(middle),
                    millis(over[0]),
                    millis(over[over.len() - 1]),
                ),
                most == 1 && middle <= SLACK,
            );
        }
        Ok(all)
    }

    /// One key that expires all the time.
    async fn hot(&self) -> Result<bool> {
        let seconds = if self.options.quick { 10 } else { 60 };
        let origin = Origin::start(Page {
            delay: 200 * MS,
            bytes: |_| 1024,
            fields: |_| "Cache-Control: max-age=2\r\n".to_owned(),
        })?;
        let gateway = self.gateway(&origin, "").await?;
        let mut plan = plan(&gateway, 1_000.0, seconds, vec!["/hot/1".to_owned()]);
        plan.warm_up = 3 * Duration::from_secs(1);
        let report = load::run(&plan, |_| {}).await?;
        let quantile = report.latency.quantile(0.999);
        Ok(row(
            &format!("hot key, ttl 2 s, origin takes 200 ms, 1,000 requests/s for {seconds} s"),
            "p99.9 < 5 ms",
            &format!(
                "{}, slowest {} ms; {} failed; {} fetches; load late by up to {} ms",
                quantiles(&report),
                millis(report.latency.max()),
                report.failed(),
                origin.fetches(),
                millis(report.late_max),
            ),
            quantile < 5 * MS && report.failed() == 0,
        ))
    }

    /// Twenty keys that have expired when the origin dies.
    async fn dead(&self) -> Result<bool> {
        const KEYS: u64 = 20;
        const LASTING: u64 = 1_000;
        let seconds = if self.options.quick { 5 } else { 30 };
        let mut all = true;
        for life in [Life::Refuses, Life::Breaks, Life::Hangs] {
            let origin = Origin::start(Page {
                delay: Duration::ZERO,
                bytes: |_| 1024,
                fields: |number| {
                    format!("Cache-Control: max-age={}\r\n", if number < LASTING { 1 } else { 600 })
                },
            })?;
            let gateway = self.gateway(&origin, "").await?;
            let paths = |first: u64| (first..first + KEYS).map(|n| format!("/dead/{n}")).collect();
            let mut client = Client::connect(gateway.address).await?;
            for number in (0..KEYS).chain(LASTING..LASTING + KEYS) {
                client.get(&format!("/dead/{number}")).await?;
            }
            let fresh =
                load::run(&plan(&gateway, 500.0, seconds / 3, paths(LASTING)), |_| {}).await?;
            origin.turns(life);
            tokio::time::sleep(1100 * MS).await;
            let stale = load::run(&plan(&gateway, 500.0, seconds, paths(0)), |_| {}).await?;
            let tries = origin.tries();
            let busiest =
                tries.values().map(|moments| most_in_a_second(moments)).max().unwrap_or(0);
            let sum: usize = tries.values().map(Vec::len).sum();
            // Refused connections do not say for which key: all of them are counted together.
            let busiest =
                if life == Life::Refuses { busiest.div_ceil(KEYS as usize) } else { busiest };
            let same = stale.latency.quantile(0.99) <= fresh.latency.quantile(0.99) + MS;
            all &= row(
                &format!("origin {life:?}, {KEYS} keys, 500 requests/s for {seconds} s")
                    .to_lowercase(),
                "all answered stale, p99 within 1 ms of fresh hits; ≤ 1 try per key and second",
                &format!(
                    "{} of {} failed {:?}; {} (fresh hits: {}), slowest {} ms; {sum} tries, {:.2} a key \
                     and second, {busiest} at most",
                    stale.failed(),
                    stale.count,
                    stale.failures,
                    quantiles(&stale),
                    quantiles(&fresh),
                    millis(stale.latency.max()),
                    sum as f64 / KEYS as f64 / seconds as f64,
                ),
                stale.failed() == 0 && same && busiest <= 1,
            );
        }
        Ok(all)
    }

    /// A tag that all entries have, and some that one in a thousand has.
    async fn purge(&self) -> Result<bool> {
        const TAGS: u64 = 1_000;
        const ROUNDS: u64 = 21;
        let entries: u64 = if self.options.quick { 50_000 } else { 1_000_000 };
        let origin = Origin::start(Page {
            delay: Duration::ZERO,
            bytes: |_| 100,
            fields: |n| {
                format!("Cache-Control: max-age=86400\r\nSurrogate-Key: all t{}\r\n", n % TAGS)
            },
        })?;
        let gateway = self.gateway(&origin, "memory = \"6 GiB\"").await?;
        ask_each(&gateway, move |number, _| number < entries).await?;
        let mut client = Client::connect(gateway.address).await?;
        let mut admin = Client::connect(gateway.admin).await?;
        let kept = stored(&origin, &mut client, 0..entries).await?;
        let mut took = Vec::new();
        let mut missed = true;
        for round in 0..ROUNDS {
            // The last one is the tag of everything.
            let tag = if round + 1 < ROUNDS { format!("t{round}") } else { "all".to_owned() };
            let begun = Moment::now();
            let answer = admin.post("/purge", &format!("{{\"tags\": [\"{tag}\"]}}")).await?;
            took.push(Moment::now().since(begun));
            missed &= answer.status == 200;
            let mut fetched = async |number: u64| -> Result<bool> {
                let before = origin.fetches();
                client.get(&format!("/o/{number}")).await?;
                Ok(origin.fetches() > before)
            };
            // Whatever has the tag is fetched, whatever has another is not.
            missed &= fetched(round + TAGS * 3).await?;
            let other = fetched(round + 1 + TAGS * 4).await?;
            missed &= other == (round + 1 == ROUNDS);
        }
        let all = took.pop().unwrap_or_default();
        took.sort();
        let (middle, worst) = (took[took.len() / 2], took[took.len() - 1]);
        let (resident, _) = gateway.resident()?;
        Ok(row(
            &format!("purge of a tag on {entries} entries, through the admin listener"),
            "≤ 1 ms, the next request misses",
            &format!(
                "{} ms for all of them; {} ms [–{}] for one in {TAGS}; next requests {}; {:.1} % of a \
                 sample were stored, {} MiB resident",
                millis(all),
                millis(middle),
                millis(worst),
                if missed { "miss, others hit" } else { "were wrong" },
                kept * 100.0,
                resident >> 20,
            ),
            all <= MS && middle <= MS && missed && kept > 0.99,
        ))
    }

    /// Much more than fits, and what the process then has.
    async fn memory(&self) -> Result<bool> {
        const LIMIT: u64 = 256 << 20;
        let gib: u64 = if self.options.full { 100 } else { 16 };
        let mut all = true;
        let kinds: [(&str, Sizes, u64); 3] = [
            ("web sizes, median 10 kB", |n| web_size(n, 10_000.0) as usize, gib << 30),
            ("large ones, median 400 kB", |n| web_size(n, 400_000.0) as usize, gib << 30),
            // A hundred times the limit would be a hundred million requests.
            ("small ones, median 400 B", |n| web_size(n, 400.0) as usize, 1 << 30),
        ];
        for (name, bytes, length) in kinds {
            let length = if self.options.quick { length.min(1 << 30) / 2 } else { length };
            let origin = Origin::start(Page {
                delay: Duration::ZERO,
                bytes,
                fields: |_| "Cache-Control: max-age=86400\r\n".to_owned(),
            })?;
            let gateway = self.gateway(&origin, "memory = \"256 MiB\"").await?;
            let (rest, _) = gateway.resident()?;
            let begun = Moment::now();
            let passed = ask_each(&gateway, move |_, so_far| so_far < length).await?;
            let seconds = Moment::now().since(begun).as_secs_f64();
            let (now, peak) = gateway.resident()?;
            let factor = peak as f64 / LIMIT as f64;
            all &= row(
                &format!("{:.1} GiB of distinct objects, {name}, memory 256 MiB", gib_of(passed)),
                "resident ≤ 1.3 × the limit",
                &format!(
                    "{factor:.2} × at peak: {} MiB ({} at rest, {} now); {} objects in {seconds:.0} s",
                    peak >> 20,
                    rest >> 20,
                    now >> 20,
                    origin.fetches(),
                ),
                factor <= 1.3,
            );
        }
        Ok(all)
    }

    /// Many more keys than memory holds, so that the disk must have them.
    async fn restart(&self) -> Result<bool> {
        const KEYS: u64 = 20_000;
        const RATE: f64 = 2_000.0;
        let (calm, after) = if self.options.quick { (3, 6) } else { (10, 20) };
        let origin = Origin::start(Page {
            delay: 5 * MS,
            bytes: |_| 8 * 1024,
            fields: |_| "Cache-Control: max-age=86400\r\n".to_owned(),
        })?;
        let disk = "disk = { path = \"@DIR@/cache\", size = \"1 GiB\" }\n";
        let cache =
            format!("memory = \"64 MiB\"\n{}", if self.options.no_disk { "" } else { disk });
        let mut gateway = self.gateway(&origin, &cache).await?;
        ask_each(&gateway, |number, _| number < KEYS).await?;
        let paths = (0..KEYS).map(|number| format!("/o/{number}")).collect();
        let plan = plan(&gateway, RATE, calm + after, paths);
        let mut marks: Vec<Mark> = Vec::new();
        let start = Moment::now();
        let mut watch = |progress: &load::Progress| {
            let answered = progress.count - progress.failed;
            marks.push(Mark { at: Moment::now(), answered, fetched: origin.fetches() });
        };
        let restart = async {
            tokio::time::sleep(Duration::from_secs(calm)).await;
            let begun = Moment::now();
            gateway.restart(!self.options.kill).await?;
            Ok::<_, std::io::Error>((begun, Moment::now().since(begun)))
        };
        let (report, restart) = tokio::join!(load::run(&plan, &mut watch), restart);
        let (report, (begun, away)) = (report?, restart?);
        let before = ratio(&marks, start, begun);
        let back = marks.iter().map(|mark| mark.at).find(|&at| {
            at > begun + away && ratio(&marks, at, at + Duration::from_secs(1)) >= 0.9 * before
        });
        let back = back.map(|at| (at + Duration::from_secs(1)).since(begun));
        let end = begun + Duration::from_secs(after);
        let within = back.is_some_and(|back| back <= Duration::from_secs(10));
        Ok(row(
            &format!(
                "restart{}{} under {RATE} requests/s, {KEYS} keys of 8 KiB, memory 64 MiB",
                if self.options.kill { " (killed)" } else { "" },
                if self.options.no_disk { " without disk" } else { "" },
            ),
            "hit ratio back to 90 % of what it was within 10 s",
            &format!(
                "{}; {:.1} % before, {:.1} % in the {after} s after; away for {} ms; {} of {} failed",
                back.map_or_else(
                    || "not back".to_owned(),
                    |back| format!("back after {:.1} s", back.as_secs_f64())
                ),
                before * 100.0,
                ratio(&marks, begun + away, end) * 100.0,
                millis(away),
                report.failed(),
                report.count,
            ),
            within && before > 0.5,
        ))
    }
}

/// Counts at a moment of a run.
struct Mark {
    at: Moment,
    answered: u64,
    fetched: u64,
}

/// Share of the answers between two moments that needed no fetch.
fn ratio(marks: &[Mark], from: Moment, to: Moment) -> f64 {
    let mut within = marks.iter().filter(|mark| mark.at >= from && mark.at <= to);
    let Some((first, last)) = within.next().zip(within.next_back()) else { return 0.0 };
    let answered = (last.answered - first.answered).max(1) as f64;
    1.0 - (last.fetched - first.fetched) as f64 / answered
}

fn plan(gateway: &Gateway, rate: f64, seconds: u64, paths: Vec<String>) -> Plan {
    Plan {
        targets: vec![gateway.address.into()],
        pace: Pace::Open { rate, arrivals: Arrivals::Poisson },
        seed: 1,
        warm_up: Duration::ZERO,
        duration: Duration::from_secs(seconds),
        timeout: Duration::from_secs(20),
        objective: 5 * MS,
        connections_max: 1_024,
        reuse: true,
        protocol: Protocol::Http1,
        threads: 1,
        requests: vec![Request::get("get", 1, paths)],
        sequence: None,
    }
}

/// All clients send in the same moment; the slowest answer, from its own sending to its end.
async fn ask_at_once(clients: Vec<Client>, path: &str) -> Result<(Duration, Vec<Client>)> {
    let barrier = Arc::new(Barrier::new(clients.len()));
    let request: Arc<str> = clients[0].request(path).into();
    let mut tasks = JoinSet::new();
    for mut client in clients {
        let (barrier, request) = (Arc::clone(&barrier), Arc::clone(&request));
        tasks.spawn(async move {
            barrier.wait().await;
            let begun = Moment::now();
            client.send(request.as_bytes()).await?;
            let answer = client.receive().await?;
            let took = Moment::now().since(begun);
            if answer.status == 200 {
                Ok((took, client))
            } else {
                Err(std::io::Error::other(format!("answered with {}", answer.status)))
            }
        });
    }
    let (mut slowest, mut back) = (Duration::ZERO, Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (took, client) = done??;
        slowest = slowest.max(took);
        back.push(client);
    }
    Ok((slowest, back))
}

/// Asks for each number from 0 on, on 32 connections, while `more` of the number and the bytes
/// received so far; these bytes.
async fn ask_each(
    gateway: &Gateway,
    more: impl Fn(u64, u64) -> bool + Clone + Send + 'static,
) -> Result<u64> {
    const CONNECTIONS: usize = 32;
    let (next, received) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let mut tasks = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut client = Client::connect(gateway.address).await?;
        let (next, received, more) = (Arc::clone(&next), Arc::clone(&received), more.clone());
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Relaxed);
                if !more(number, received.load(Relaxed)) {
                    return Ok(());
                }
                let answer = client.get(&format!("/o/{number}")).await?;
                if answer.status != 200 {
                    return Err(std::io::Error::other(format!("answered with {}", answer.status)));
                }
                received.fetch_add(answer.bytes as u64, Relaxed);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(received.load(Relaxed))
}

/// Share of a sample of 1,000 that is answered without a fetch.
async fn stored(
    origin: &Origin,
    client: &mut Client,
    numbers: std::ops::Range<u64>,
) -> Result<f64> {
    const SAMPLE: u64 = 1_000;
    let before = origin.fetches();
    for k in 0..SAMPLE {
        client.get(&format!("/o/{}", numbers.start + k * numbers.end / SAMPLE)).await?;
    }
    Ok(1.0 - (origin.fetches() - before) as f64 / SAMPLE as f64)
}

fn most_in_a_second(moments: &[Moment]) -> usize {
    // A try is due a second after the last one began; clocks of two threads differ by less than this.
    const SECOND: Duration = Duration::from_millis(990);
    let within = |from: Moment| move |at: &&Moment| **at >= from && at.since(from) < SECOND;
    let counts = moments.iter().map(|&from| moments.iter().filter(within(from)).count());
    counts.max().unwrap_or(0)
}

fn gib_of(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}
