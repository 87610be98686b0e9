//! `tail`: what clients get while servers are slow, fail, stall or are too few, through Fleetfoot and
//! its peers. `bench/tail` starts it.
//!
//! Each scene is played with every contender in every round, with the same arrivals and the same work,
//! and prints one table. Exits 1 if a contender that is there failed to start or gave a wrong response.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::rc::Rc;
use std::time::Duration;

use base::Moment;
use bench::tail::{
    Contender, Life, Load, Maker, Outcome, Play, Programs, Spread, Table, Turn, Window, Work,
};
use clap::{Parser, ValueEnum};
use tokio::task::{JoinSet, LocalSet};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
type Figures = (Vec<f64>, Outcome);

const SECOND: Duration = Duration::from_secs(1);
/// The pool of most scenes: ten servers of eight workers, 40 ms each: 2,000 requests a second.
const SERVERS: usize = 10;
const CAPACITY: f64 = 2_000.0;
const MEAN: Duration = Duration::from_millis(40);
/// How long clients wait in these scenes.
const GIVE_UP: Duration = Duration::from_secs(5);
/// A play is spoilt by others' work where a request in a hundred left later than this,
const LATE_MS_MAX: f64 = 10.0;
/// or the gateway waited for its core for a larger share of the time.
const WAITED_MAX: f64 = 0.1;
const WARM_UP: Duration = Duration::from_secs(2);

/// What clients get while servers are slow, fail, stall or are too few.
#[derive(Parser)]
#[command(name = "bench/tail")]
struct Arguments {
    /// Which; all of them if none is named.
    scenes: Vec<Scene>,
    /// How often each is played with everybody.
    #[arg(long)]
    rounds: Option<u64>,
    /// Seconds that are measured, where a scene does not say its own.
    #[arg(long)]
    seconds: Option<u64>,
    /// Names with commas; all that a scene has if not given, and more by name (README).
    #[arg(long, value_delimiter = ',')]
    contenders: Vec<String>,
    /// Fleetfoot.
    #[arg(long, env = "FLEETFOOT", value_name = "PATH")]
    fleetfoot: Option<PathBuf>,
    /// Envoy; the one of bench/setup if not given.
    #[arg(long, env = "ENVOY", value_name = "PATH")]
    envoy: Option<PathBuf>,
    /// One short round.
    #[arg(long)]
    quick: bool,
    /// The gateways' core and that of servers and clients; `none` leaves it to the system.
    #[arg(long, default_value = "0,1")]
    cores: String,
    /// The priority of everybody here; below zero (root) takes the cores from whoever else wants them.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    nice: i32,
    /// Of arrivals and work; each round adds one.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Repeats a play spoilt by others' work up to so often.
    #[arg(long, default_value_t = 3)]
    again: u32,
    /// Shows how requests failed, and Fleetfoot's metrics at the end of each play.
    #[arg(long)]
    tell: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Scene {
    /// One of ten servers is five times slower.
    Slow,
    /// One of ten servers begins to answer 500 in 1 ms.
    Failfast,
    /// 2 % of answers are a second late.
    Stall,
    /// The same at 92 % load.
    Stall92,
    /// Half more than one server can do, for 20 s.
    Overload,
    /// All servers answer 500.
    Storm,
    /// All servers answer 503.
    Storm503,
    /// All servers close connections.
    StormRefuse,
    /// Servers come and go, 10,000 times a minute.
    Changes,
}

struct Stage {
    programs: Programs,
    options: Arguments,
}

fn main() -> ExitCode {
    let options = Arguments::parse();
    let cores: Vec<usize> = options.cores.split(',').filter_map(|core| core.parse().ok()).collect();
    let own = std::process::id().to_string();
    // Before there are threads: those to come, and the gateways, inherit it.
    if let [_, core] = cores[..] {
        run("taskset", &["-p", "-c", &core.to_string(), &own]);
    }
    if options.nice != 0 {
        run("renice", &["-n", &options.nice.to_string(), "-p", &own]);
        // sched(7): with autogroups nice counts only within a session; this is the session's own.
        let _ = std::fs::write("/proc/self/autogroup", options.nice.to_string());
    }
    let beside = || std::env::current_exe().ok()?.parent().map(|folder| folder.join("fleetfoot"));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let programs = Programs {
        fleetfoot: options.fleetfoot.clone().or_else(beside).unwrap_or_default(),
        envoy: options.envoy.clone().unwrap_or_else(|| root.join("target/bench/venv/bin/envoy")),
        peers: root.join("bench/peers"),
        core: cores.first().copied(),
    };
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::from(2);
    };
    LocalSet::new().block_on(&runtime, async {
        if Rc::new(Stage { programs, options }).play_all().await {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    })
}

fn run(program: &str, arguments: &[&str]) {
    let done = Command::new(program).args(arguments).stdout(std::process::Stdio::null()).status();
    if !done.is_ok_and(|status| status.success()) {
        warn(&format!("{program} {} does not work", arguments.join(" ")));
    }
}

fn warn(text: &str) {
    eprintln!("bench/tail: {text}");
}

impl Scene {
    fn title(self) -> &'static str {
        match self {
            Self::Slow => "slow: one of ten servers takes five times as long, 60 % load",
            Self::Failfast => {
                "failfast: one of ten servers begins to answer 500 in 1 ms, 60 % load"
            }
            Self::Stall => "stall: 2 % of answers are a second late, 60 % load",
            Self::Stall92 => {
                "stall92: 2 % of answers are a second late, 92 % load, cancels are ignored"
            }
            Self::Overload => "overload: one server of ten workers, 1.5 × its capacity for a while",
            Self::Storm => "storm: all servers answer 500 in 1 ms",
            Self::Storm503 => "storm503: all servers answer 503 in 1 ms",
            Self::StormRefuse => "storm-refuse: all servers close connections",
            Self::Changes => {
                "changes: 10,200 changes a minute to a file of 27 servers, one of them slow"
            }
        }
    }

    fn heads(self) -> Vec<(&'static str, usize)> {
        let latency = [("p50 ms", 1), ("p99 ms", 1), ("p99.9 ms", 1), ("errors %", 2)];
        let mut heads = Vec::new();
        match self {
            Self::Slow => {
                heads.extend(latency);
                heads.extend([("slow server's share %", 2), ("p99 × without it", 2)]);
            }
            Self::Failfast => heads.extend([
                ("errors %", 2),
                ("errors after 1 s %", 3),
                ("p99 ms, healthy answers only", 1),
                ("ill server's share %", 2),
            ]),
            Self::Stall | Self::Stall92 => {
                heads.extend(latency);
                heads.push(("extra requests %", 2));
            }
            Self::Overload => heads.extend([
                ("in time at 0.7 × %", 1),
                ("in time at 1.5 × %", 1),
                ("work for nobody %", 1),
                ("recovered after s", 1),
            ]),
            Self::Storm | Self::Storm503 | Self::StormRefuse => heads.extend([
                ("tries a request", 3),
                ("first success after ms", 0),
                ("errors in the first second after %", 2),
                ("errors later %", 3),
            ]),
            Self::Changes => {
                heads.extend(latency);
                heads.extend([
                    ("p99 × without changes", 2),
                    ("slow server's share %", 2),
                    ("its share without changes %", 2),
                    ("share of those that come and go %", 1),
                ]);
            }
        }
        heads
    }

    /// All contenders; those that play only when named are marked.
    fn contenders(self) -> Vec<(Contender, bool)> {
        use Maker::{Envoy, Fleetfoot, Haproxy, Nginx};
        let always = |name, maker, words| (Contender { name, maker, words }, true);
        let named = |name, maker, words| (Contender { name, maker, words }, false);
        let peers = [
            always("haproxy", Haproxy, &[]),
            always("nginx", Nginx, &[]),
            always("envoy", Envoy, &[]),
            named("haproxy-tuned", Haproxy, &["tuned"]),
            named("nginx-tuned", Nginx, &["tuned"]),
            named("envoy-tuned", Envoy, &["tuned"]),
        ];
        let mut all = match self {
            Self::Slow => vec![
                always("fleetfoot", Fleetfoot, &[]),
                named("fleetfoot-hedge", Fleetfoot, &["hedge"]),
                named("fleetfoot-no-eject", Fleetfoot, &["no-eject"]),
            ],
            Self::Stall | Self::Stall92 => vec![
                always("fleetfoot-hedge", Fleetfoot, &["hedge"]),
                always("fleetfoot", Fleetfoot, &[]),
            ],
            Self::Failfast | Self::Storm | Self::Storm503 | Self::StormRefuse => vec![
                always("fleetfoot", Fleetfoot, &[]),
                always("fleetfoot-no-retry", Fleetfoot, &["no-retry"]),
                named("fleetfoot-no-eject", Fleetfoot, &["no-eject"]),
            ],
            Self::Changes => return vec![always("fleetfoot", Fleetfoot, &["discover"])],
            Self::Overload => {
                return vec![
                    always("fleetfoot-enforce", Fleetfoot, &["enforce"]),
                    always("fleetfoot", Fleetfoot, &[]),
                    always("haproxy-maxconn", Haproxy, &["queue"]),
                    always("nginx", Nginx, &[]),
                    always("envoy-adaptive", Envoy, &["adaptive"]),
                    named("haproxy", Haproxy, &[]),
                    named("envoy", Envoy, &[]),
                ];
            }
        };
        if self != Self::Stall92 {
            all.extend(peers);
        }
        all
    }

    /// Whether all contenders play at once: where a scene takes long, and little CPU.
    fn at_once(self) -> bool {
        matches!(self, Self::Overload | Self::Storm | Self::Storm503 | Self::StormRefuse)
    }
}

impl Stage {
    async fn play_all(self: Rc<Self>) -> bool {
        let mut scenes = self.options.scenes.clone();
        if scenes.is_empty() {
            scenes = Scene::value_variants().to_vec();
        }
        println!(
            "load before {}",
            std::fs::read_to_string("/proc/loadavg").unwrap_or_default().trim()
        );
        let mut all = true;
        for scene in scenes {
            all &= Rc::clone(&self).play(scene).await;
        }
        all
    }

    /// Every round with everybody, in an order that turns.
    async fn play(self: Rc<Self>, scene: Scene) -> bool {
        let contenders = self.contenders(scene);
        let rounds = self.options.rounds.unwrap_or(if self.options.quick { 1 } else { 5 });
        let mut table = Table::new(scene.heads());
        let mut all = true;
        for round in 0..rounds {
            let mut order = contenders.clone();
            if !order.is_empty() {
                order.rotate_left(round as usize % contenders.len());
            }
            let mut figures = Vec::new();
            if scene.at_once() {
                let mut plays = JoinSet::new();
                for contender in order {
                    let stage = Rc::clone(&self);
                    plays.spawn_local(async move {
                        let figures = stage.fair(scene, &contender, round).await;
                        (contender, figures)
                    });
                }
                figures = plays.join_all().await;
            } else {
                for contender in order {
                    let one = self.fair(scene, &contender, round).await;
                    figures.push((contender, one));
                }
            }
            // In the order of the table.
            for contender in &contenders {
                let found = figures.iter().find(|one| one.0.name == contender.name);
                let Some((_, figures)) = found else { continue };
                all &= figures.is_ok();
                match figures {
                    Ok((figures, outcome)) => {
                        self.tell(scene, contender, round, figures, outcome);
                        table.add(contender.name, Some(figures.clone()));
                    }
                    Err(error) => {
                        warn(&format!("{scene:?} {}: {error}", contender.name));
                        table.add(contender.name, None);
                    }
                }
            }
        }
        if scene == Scene::Stall92 {
            table.add_ratio("p50 × without hedges", 0, "fleetfoot");
        }
        println!("\n### {}\n\n{table}", scene.title());
        all
    }

    fn contenders(&self, scene: Scene) -> Vec<Contender> {
        let mut chosen = Vec::new();
        for (contender, always) in scene.contenders() {
            let named = self.options.contenders.iter().any(|name| {
                name == contender.name || (always && contender.name.split('-').next() == Some(name))
            });
            if !(named || (always && self.options.contenders.is_empty())) {
                continue;
            }
            if self.programs.of(contender.maker).is_some() {
                chosen.push(contender);
            } else {
                warn(&format!("LEFT OUT: {}: its program is not there", contender.name));
            }
        }
        chosen
    }

    fn tell(
        &self,
        scene: Scene,
        contender: &Contender,
        round: u64,
        figures: &[f64],
        outcome: &Outcome,
    ) {
        let shown: Vec<String> = figures.iter().map(|figure| format!("{figure:.2}")).collect();
        warn(&format!("{scene:?} round {} {}: {}", round + 1, contender.name, shown.join("  ")));
        if self.options.tell || scene == Scene::Stall92 {
            for line in outcome.metrics(&[
                "hedge",
                "ejections",
                "retries",
                "service_limit",
                "admission",
                "waiting",
            ]) {
                warn(&format!("    {line}"));
            }
        }
        if self.options.tell {
            warn(&format!("    {}", outcome.ends(&(Duration::ZERO..Duration::MAX))));
            let last = outcome.tries.iter().map(|one| one.server).max().unwrap_or(0);
            warn(&format!("    tries of the last server by second: {:?}", outcome.by_second(last)));
        }
    }

    fn seconds(&self, usual: u64) -> Duration {
        let quick = self.options.quick.then_some(usual.div_ceil(2));
        Duration::from_secs(self.options.seconds.or(quick).unwrap_or(usual))
    }

    /// Plays until nobody had to wait for a core for long, or often enough.
    async fn fair(&self, scene: Scene, contender: &Contender, round: u64) -> Result<Figures> {
        let mut left = self.options.again;
        loop {
            let (figures, outcome) = self.figures(scene, contender, round).await?;
            let (late, waited) = (outcome.late(), outcome.waited);
            if late <= LATE_MS_MAX && waited <= WAITED_MAX {
                return Ok((figures, outcome));
            }
            let what = if left > 0 { "again" } else { "kept nevertheless" };
            warn(&format!(
                "{scene:?} round {} {}: spoilt, {what}: requests left {late:.1} ms late (p99), the \
                 gateway waited for its core {:.0} % of the time",
                round + 1,
                contender.name,
                waited * 100.0,
            ));
            if left == 0 {
                return Ok((figures, outcome));
            }
            left -= 1;
        }
    }

    async fn figures(&self, scene: Scene, contender: &Contender, round: u64) -> Result<Figures> {
        let seed = self.options.seed + round;
        match scene {
            Scene::Slow => self.slow(contender, seed).await,
            Scene::Failfast => self.failfast(contender, seed).await,
            Scene::Stall => self.stall(contender, seed, 0.6, self.seconds(8)).await,
            Scene::Stall92 => self.stall(contender, seed, 0.92, self.seconds(12)).await,
            Scene::Overload => self.overload(contender, seed).await,
            Scene::Storm => self.storm(contender, seed, Life::Fails).await,
            Scene::Storm503 => self.storm(contender, seed, Life::Unavailable).await,
            Scene::StormRefuse => self.storm(contender, seed, Life::Refuses).await,
            Scene::Changes => self.changes(contender, seed).await,
        }
    }

    async fn slow(&self, contender: &Contender, seed: u64) -> Result<Figures> {
        let seconds = self.seconds(7);
        let window = WARM_UP..WARM_UP + seconds;
        // The pool without the slow server, for the same requests.
        let mut play = pool(seed, 0.6, WARM_UP + seconds);
        play.servers = SERVERS - 1;
        let without = play.run(&self.programs, contender).await?;
        play.servers = SERVERS;
        let slow = SERVERS - 1;
        play.turns.push(Turn { at: Duration::ZERO, servers: slow..SERVERS, life: Life::Slow });
        let outcome = play.run(&self.programs, contender).await?;
        let mut figures = latencies(&outcome, &window);
        figures.push(outcome.share(&window, slow));
        figures.push(figures[1] / without.latency(&window, 0.99, GIVE_UP));
        Ok((figures, outcome))
    }

    async fn failfast(&self, contender: &Contender, seed: u64) -> Result<Figures> {
        let seconds = self.seconds(8);
        let end = WARM_UP + seconds;
        let mut play = pool(seed, 0.6, end);
        let ill = SERVERS - 1;
        play.turns.push(Turn { at: WARM_UP, servers: ill..SERVERS, life: Life::Fails });
        let outcome = play.run(&self.programs, contender).await?;
        let figures = vec![
            outcome.errors(&(WARM_UP..end)),
            outcome.errors(&(WARM_UP + SECOND..end)),
            outcome.good_latency(&(WARM_UP..end), 0.99),
            outcome.share(&(WARM_UP..end), ill),
        ];
        Ok((figures, outcome))
    }

    async fn stall(
        &self,
        contender: &Contender,
        seed: u64,
        load: f64,
        seconds: Duration,
    ) -> Result<Figures> {
        let window = WARM_UP..WARM_UP + seconds;
        let mut play = pool(seed, load, window.end);
        play.work.stalls = 0.02;
        let outcome = play.run(&self.programs, contender).await?;
        let mut figures = latencies(&outcome, &window);
        figures.push(outcome.extra(&window));
        Ok((figures, outcome))
    }

    async fn overload(&self, contender: &Contender, seed: u64) -> Result<Figures> {
        const GIVE_UP: Duration = SECOND;
        let (calm, hard, after) = if self.options.quick { (4, 10, 6) } else { (6, 20, 10) };
        let [calm, hard, after] = [calm, hard, after].map(Duration::from_secs);
        let mean = Duration::from_millis(50);
        let capacity = 10.0 / mean.as_secs_f64();
        let work = Work { workers: 10, mean, spread: Spread::Exponential, stalls: 0.0, seed };
        let phases = vec![(calm, 0.7 * capacity), (hard, 1.5 * capacity), (after, 0.7 * capacity)];
        let load = Load { phases, seed, give_up: GIVE_UP };
        let play = Play { servers: 1, work, load, turns: Vec::new() };
        let outcome = play.run(&self.programs, contender).await?;
        let overload = calm..calm + hard;
        let figures = vec![
            100.0 - outcome.errors(&(SECOND..calm)),
            100.0 - outcome.errors(&overload),
            outcome.for_nobody(&overload),
            outcome.recovery(&(overload.end..overload.end + after)),
        ];
        Ok((figures, outcome))
    }

    async fn storm(&self, contender: &Contender, seed: u64, life: Life) -> Result<Figures> {
        let storm = if self.options.quick { 4 } else { 8 };
        let begin = WARM_UP;
        let end = begin + Duration::from_secs(storm);
        let over = end + Duration::from_secs(4);
        let mut play = pool(seed, 0.3, over);
        play.turns.push(Turn { at: begin, servers: 0..SERVERS, life });
        play.turns.push(Turn { at: end, servers: 0..SERVERS, life: Life::Well });
        let outcome = play.run(&self.programs, contender).await?;
        let figures = vec![
            outcome.amplified(&(begin..end)),
            outcome.first_good(&(end..over)),
            outcome.errors(&(end..end + SECOND)),
            outcome.errors(&(end + SECOND..over)),
        ];
        Ok((figures, outcome))
    }
}

impl Stage {
    /// Ten servers stay, the first of them slow. Of 34 others each half takes the other's place five
    /// times a second; they answer all the time, so that nothing needs to fail.
    async fn changes(&self, contender: &Contender, seed: u64) -> Result<Figures> {
        const STAY: usize = 10;
        const HALF: usize = 17;
        const EVERY: Duration = Duration::from_millis(200);
        let seconds = self.seconds(12);
        let end = WARM_UP + seconds;
        let window = WARM_UP..end;
        let mut play = pool(seed, 0.4, end);
        play.servers = STAY + 2 * HALF;
        play.turns.push(Turn { at: Duration::ZERO, servers: 0..1, life: Life::Slow });
        let run = async |changing: bool| {
            play.run_beside(&self.programs, contender, async |servers, gateway, start| {
                let (stay, others) = servers.addresses.split_at(STAY);
                let halves: Vec<_> =
                    others.chunks(HALF).map(|half| [stay, half].concat()).collect();
                gateway.list(&halves[0])?;
                let mut at = WARM_UP;
                for half in halves.iter().cycle().skip(1) {
                    tokio::time::sleep((start + at).since(Moment::now())).await;
                    if at >= end || !changing {
                        break;
                    }
                    gateway.list(half)?;
                    at += EVERY;
                }
                Ok(())
            })
            .await
        };
        let without = run(false).await?;
        let outcome = run(true).await?;
        let mut figures = latencies(&outcome, &window);
        figures.extend([
            figures[1] / without.latency(&window, 0.99, GIVE_UP),
            100.0 - outcome.share(&window, 1),
            100.0 - without.share(&window, 1),
            outcome.share(&window, STAY),
        ]);
        Ok((figures, outcome))
    }
}

/// The pool of most scenes, at this share of its capacity.
fn pool(seed: u64, share: f64, length: Duration) -> Play {
    let work = Work { workers: 8, mean: MEAN, spread: Spread::LogNormal, stalls: 0.0, seed };
    let load = Load { phases: vec![(length, share * CAPACITY)], seed, give_up: GIVE_UP };
    Play { servers: SERVERS, work, load, turns: Vec::new() }
}

/// p50, p99, p99.9 and errors.
fn latencies(outcome: &Outcome, window: &Window) -> Vec<f64> {
    let mut figures: Vec<f64> =
        [0.5, 0.99, 0.999].iter().map(|&q| outcome.latency(window, q, GIVE_UP)).collect();
    figures.push(outcome.errors(window));
    figures
}
