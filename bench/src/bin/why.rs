//! `why`: whether `fleetfoot why` names what is wrong with real traffic through a real gateway.
//! `bench/why` starts it.
//!
//! Each fault has servers, a gateway and clients of its own: some seconds of health, then the fault, and
//! the question asked once a second. One line of a Markdown table each; healthy runs are asked the same.

use std::error::Error;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::rc::Rc;
use std::time::Duration;

use base::Moment;
use bench::scene::Gateway;
use bench::why::{Crowd, Fault, Town};
use clap::Parser;
use serde_json::Value;
use tokio::task::LocalSet;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Who wants the gateway's core has it for so long …
const HOG_BUSY: Duration = Duration::from_millis(50);
/// … and leaves it for so long: the kernel would take it away at 95 % (`sched_rt_runtime_us`), and the
/// question has to be answered as well.
const HOG_ASLEEP: Duration = Duration::from_millis(15);

/// Whether the cause of a slow tail is named.
#[derive(Parser)]
#[command(name = "bench/why")]
struct Arguments {
    /// Names of causes; all of them, and healthy runs, if none is given.
    causes: Vec<String>,
    /// Fleetfoot.
    #[arg(long, env = "FLEETFOOT", value_name = "PATH")]
    fleetfoot: Option<PathBuf>,
    /// Seconds with the fault.
    #[arg(long, default_value_t = 14)]
    seconds: u64,
    /// Seconds of health before.
    #[arg(long, default_value_t = 6)]
    before: u64,
    /// Healthy runs.
    #[arg(long, default_value_t = 10)]
    healthy: u32,
    /// The gateway's core and that of servers and clients.
    #[arg(long, default_value = "0,1")]
    cores: String,
    /// The priority of everybody here; below zero (root) takes the cores from whoever else wants them.
    #[arg(long, default_value_t = 0, allow_hyphen_values = true)]
    nice: i32,
    /// Prints the whole explanation of each run.
    #[arg(long)]
    tell: bool,
    /// Only wants a core, for so many seconds: what this program starts beside the gateway.
    #[arg(long, hide = true)]
    hog: Option<u64>,
}

/// What came of one run.
struct Outcome {
    /// Names of the findings at the end.
    findings: Vec<String>,
    /// After how many seconds of the fault its cause was first named first.
    named: Option<u64>,
    ended: (u64, u64),
    p50: f64,
    p99: f64,
}

fn main() -> ExitCode {
    let options = Arguments::parse();
    if let Some(seconds) = options.hog {
        hog(Duration::from_secs(seconds));
        return ExitCode::SUCCESS;
    }
    if let Some((_, own)) = options.cores.split_once(',') {
        settle(std::process::id(), own, options.nice);
    }
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return ExitCode::from(2);
    };
    match LocalSet::new().block_on(&runtime, play(&options)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench/why: {error}");
            ExitCode::from(2)
        }
    }
}

/// Puts a process on a core and gives it a priority.
fn settle(id: u32, core: &str, nice: i32) {
    let run = |program: &str, arguments: &[&str]| {
        let _ = Command::new(program).args(arguments).stdout(Stdio::null()).status();
    };
    run("taskset", &["-a", "-p", "-c", core, &id.to_string()]);
    if nice != 0 {
        // Threads have priorities of their own.
        let threads = std::fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
        for thread in threads {
            run("renice", &["-n", &nice.to_string(), "-p", &thread.file_name().to_string_lossy()]);
        }
        // sched(7): with autogroups nice counts only within a session.
        let _ = std::fs::write(format!("/proc/{id}/autogroup"), nice.to_string());
    }
}

async fn play(options: &Arguments) -> Result<bool> {
    let mut fine = true;
    println!("| fault | first | second | named after | p50 | p99 | requests (failed) | ok |");
    println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
    let wanted = |fault: &&Fault| {
        options.causes.is_empty() || options.causes.iter().any(|cause| cause == fault.cause())
    };
    let mut first = 0;
    for fault in Fault::ALL.iter().filter(wanted) {
        let outcome = run(options, Some(*fault), 0).await?;
        let place = outcome.findings.iter().position(|name| name == fault.cause());
        first += usize::from(place == Some(0));
        let ok = place.is_some_and(|place| place < 2);
        fine &= ok;
        row(fault.text(), &outcome, if ok { "yes" } else { "NO" });
    }
    println!("\nNamed first: {first} of {}.", Fault::ALL.iter().filter(wanted).count());
    if options.causes.is_empty() || options.causes.iter().any(|cause| cause == "healthy") {
        println!("\n| run | first | second | named after | p50 | p99 | requests (failed) | ok |");
        println!("| --- | --- | --- | --- | --- | --- | --- | --- |");
        for turn in 0..options.healthy {
            let outcome = run(options, None, turn).await?;
            let ok = outcome.findings.is_empty();
            fine &= ok;
            row(&format!("healthy {}", turn + 1), &outcome, if ok { "yes" } else { "NO" });
        }
    }
    Ok(fine)
}

fn row(text: &str, outcome: &Outcome, ok: &str) {
    let finding = |at: usize| outcome.findings.get(at).map_or("–", String::as_str);
    println!(
        "| {text} | {} | {} | {} | {:.1} ms | {:.1} ms | {} ({}) | {ok} |",
        finding(0),
        finding(1),
        outcome.named.map_or_else(|| "–".to_owned(), |seconds| format!("{seconds} s")),
        outcome.p50,
        outcome.p99,
        outcome.ended.0 + outcome.ended.1,
        outcome.ended.1,
    );
}

async fn run(options: &Arguments, fault: Option<Fault>, turn: u32) -> Result<Outcome> {
    let beside = || std::env::current_exe().ok()?.parent().map(|folder| folder.join("fleetfoot"));
    let binary = options.fleetfoot.clone().or_else(beside).unwrap_or_default();
    let town = Town::start(fault)?;
    // Every other healthy run has a cache, with hits and misses.
    town.fresh.set((fault.is_none() && turn % 2 == 1).then_some(2 + turn));
    let settings = Fault::settings(fault, town.fresh.get().is_some(), &town.servers, town.front);
    let gateway = Gateway::start_with(&binary, &settings).await?;
    let core = options.cores.split(',').next().unwrap_or("0");
    settle(gateway.id(), core, options.nice);
    town.gateway.set(Some(gateway.address));
    let crowd = Crowd::new(gateway.address);
    let (now, rate) = (Rc::clone(&town), 0.5 + f64::from(turn) * 0.15);
    let rate = move |fault| Fault::rate(fault) * if fault.is_none() { rate.min(1.6) } else { 1.0 };
    let come = Rc::clone(&crowd).come(move || now.fault.get(), rate);
    let coming = tokio::task::spawn_local(come);
    let warms = if fault == Some(Fault::ColdCache) { 3 } else { 1 };
    tokio::time::sleep(Duration::from_secs(options.before * warms)).await;
    town.fault.set(fault);
    if fault == Some(Fault::ColdCache) {
        let purge = ["purge", "--all", "--admin", &gateway.admin.to_string()];
        tokio::process::Command::new(&binary).args(purge).output().await?;
    }
    let starves = fault == Some(Fault::BusyGateway);
    let mut hog = starves.then(|| Hog::start(core, options.seconds)).transpose()?;
    let mut outcome =
        Outcome { findings: Vec::new(), named: None, ended: (0, 0), p50: 0.0, p99: 0.0 };
    let mut told = Value::Null;
    for second in 1..=options.seconds {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let why = ["why", "--json", "--admin", &gateway.admin.to_string()];
        let asked = tokio::process::Command::new(&binary).args(why).output().await?;
        // A gateway without a core does not answer this either, for a while.
        let Ok(answer) = serde_json::from_slice(&asked.stdout) else { continue };
        told = answer;
        let findings = told["findings"].as_array().into_iter().flatten();
        let names = findings.filter_map(|found| found["cause"].as_str());
        outcome.findings = names.map(str::to_owned).collect();
        let named = fault.is_some()
            && outcome.findings.first().map(String::as_str) == fault.map(Fault::cause);
        outcome.named = if named { outcome.named.or(Some(second)) } else { None };
    }
    if let Some(hog) = &mut hog {
        hog.check()?;
    }
    drop(hog);
    coming.abort();
    outcome.ended = crowd.ended.get();
    let figure = |name: &str| told[name].as_f64().unwrap_or(0.0);
    (outcome.p50, outcome.p99) = (figure("p50_ms"), figure("p99_ms"));
    if options.tell {
        let why = ["why", "--admin", &gateway.admin.to_string()];
        let asked = tokio::process::Command::new(&binary).args(why).output().await?;
        eprintln!("{}", String::from_utf8_lossy(&asked.stdout));
    }
    Ok(outcome)
}

/// Wants a core most of the time, until then.
fn hog(whole: Duration) {
    let begun = Moment::now();
    while Moment::now().since(begun) < whole {
        let busy = Moment::now();
        while Moment::now().since(busy) < HOG_BUSY {
            std::hint::spin_loop();
        }
        std::thread::sleep(HOG_ASLEEP);
    }
}

/// A process that is served before all others of its core (`SCHED_FIFO`): among equals, whoever does
/// as little as the gateway is let through at once. It ends when this is dropped, or by itself.
struct Hog(Child);

impl Hog {
    fn start(core: &str, seconds: u64) -> Result<Self> {
        let own = std::env::current_exe()?;
        let mut command = Command::new("taskset");
        command.args(["-c", core, "chrt", "-f", "10"]).arg(own);
        // Questions that take long make the run longer than its seconds.
        command.args(["--hog", &(seconds * 3).to_string()]);
        Ok(Self(command.spawn()?))
    }

    /// It did what it was started for.
    fn check(&mut self) -> Result<()> {
        match self.0.try_wait()? {
            Some(ended) if !ended.success() => {
                Err("no real-time priority for who wants the gateway's core: run this as root"
                    .into())
            }
            _ => Ok(()),
        }
    }
}

impl Drop for Hog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
