//! `fleetfoot bench`: how fast is it really, and is the one faster than the other?
//!
//! What to send comes from the flags (`source`, `logs`), targets are tried once (`reach`), the load is
//! sent by [`load`], and what came is an [`Outcome`](outcome::Outcome) that `text`, `json` and `html`
//! tell, each with the same `remarks` about how far it can be trusted.

pub mod flags;
pub mod logs;
pub mod outcome;
pub mod rates;
pub mod source;

mod reach;

mod chart;
mod html;
mod json;
mod machine;
mod remarks;
mod text;

pub use flags::Flags;

use crate::depart;
use base::Moment;
use flags::Spread;
use load::{Arrivals, LoadError, Pace, Plan, Report, Stop, Target, statistics};
use machine::Machine;
use outcome::{Outcome, Paced, Setup, Side, Step};
use source::Source;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

const CONNECTIONS: usize = 512;
const CONNECTIONS_HTTP2: usize = 4;
const WARM_UP_MAX: Duration = Duration::from_secs(2);
/// Cores for each thread that sends, by default: the rest is for the target.
const CORES_A_THREAD: usize = 4;
/// An answer within this time is "in time"; no report tells of it.
const OBJECTIVE: Duration = Duration::from_millis(100);

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// A URL that cannot be asked for.
    #[error("{url:?} is no URL to measure: {why}")]
    Url {
        /// As it was typed.
        url: String,
        /// What is wrong with it.
        why: String,
    },
    /// A file that cannot be read or written.
    #[error("{}: {source}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// Another mistake of the user's.
    #[error("{0}")]
    Mistake(String),
    /// Nobody answers.
    #[error("cannot reach {origin}: {why}")]
    Unreachable {
        /// Where.
        origin: String,
        /// Why not, and what to do.
        why: String,
    },
    /// The load cannot be sent.
    #[error("the load cannot be sent: {0}")]
    Load(#[from] LoadError),
}

impl BenchError {
    /// Is it a mistake in what was typed, and not trouble with the world?
    pub fn is_mistake(&self) -> bool {
        !matches!(self, Self::Unreachable { .. } | Self::Load(LoadError::Thread(_)))
    }
}

/// Measures, and tells.
///
/// # Errors
/// Nothing could be measured, or the report could not be written.
pub async fn run(flags: &Flags) -> Result<ExitCode, BenchError> {
    let stop = Stop::new();
    listen_for_the_end(stop.clone());
    let outcome = measure(flags, &stop).await?;
    tell(flags, &outcome)?;
    let answered = outcome.sides.iter().flat_map(|side| &side.steps).any(|s| s.answered() > 0.0);
    Ok(match (outcome.interrupted, answered) {
        (true, _) => ExitCode::from(130),
        (false, true) => ExitCode::SUCCESS,
        (false, false) => ExitCode::FAILURE,
    })
}

/// The first ctrl-c ends the measurement, the second the program.
fn listen_for_the_end(stop: Stop) {
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() {
            if stop.is_stopped() {
                std::process::exit(130);
            }
            stop.stop();
        }
    });
}

async fn measure(flags: &Flags, stop: &Stop) -> Result<Outcome, BenchError> {
    let machine = Machine::this();
    let mut sources = vec![source::source(flags)?];
    if let Some(against) = &flags.against {
        sources.push(other_side(&sources[0], against)?);
    }
    let mut plans = Vec::with_capacity(sources.len());
    for source in &sources {
        let targets = reach::targets(flags, &source.origins).await?;
        plans.push(plan(flags, source, targets));
    }
    let pace = paced(flags);
    let setup = setup(flags, &plans, pace);
    let steps = measure_all(flags, plans, stop).await?;
    let mut sides: Vec<Side> = Vec::new();
    for ((source, steps), letter) in sources.iter().zip(steps).zip(["A", "B"]) {
        let letter = if sources.len() == 1 { "" } else { letter };
        sides.push(Side { letter, name: source.name.clone(), steps });
    }
    if sides.iter().any(|side| side.steps.is_empty()) {
        return Err(BenchError::Mistake("ended before anything was measured".to_owned()));
    }
    Ok(Outcome {
        command: std::env::args().map(|word| quoted(&word)).collect::<Vec<_>>().join(" "),
        date: now(),
        machine,
        setup,
        compared: compared(&sides, flags.seed),
        sides,
        interrupted: stop.is_stopped(),
        notes: sources.swap_remove(0).notes,
    })
}

fn now() -> String {
    let wall = Moment::now().wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    depart::http_date(wall.as_secs())
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@,%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// The same requests for the other side: its origin, and its path where it has one.
fn other_side(a: &Source, against: &str) -> Result<Source, BenchError> {
    let place = source::place(against)?;
    let mut b = a.clone();
    b.origins = vec![place.origin.clone()];
    b.requests.iter_mut().for_each(|request| request.target = request.target.map(|_| 0));
    if let [request] = b.requests.as_mut_slice()
        && request.paths.len() == 1
    {
        request.paths = vec![place.path.clone()];
    } else if place.path != "/" {
        let why = "beside several URLs it is an origin without a path".to_owned();
        return Err(BenchError::Url { url: against.to_owned(), why });
    }
    b.name = format!("{}{}", place.origin, place.path);
    Ok(b)
}

fn paced(flags: &Flags) -> Paced {
    match (flags.clients, flags.recorded) {
        (Some(clients), _) => Paced::Closed(clients),
        (None, Some(factor)) => Paced::Recorded(factor),
        (None, None) => Paced::Open { poisson: flags.arrivals == Spread::Poisson },
    }
}

/// The plan at the first rate.
fn plan(flags: &Flags, source: &Source, targets: Vec<Target>) -> Plan {
    let stepped = flags.rate.0.len() > 1 && flags.clients.is_none();
    let duration = if stepped { flags.step } else { flags.duration };
    let pace = match (flags.clients, &source.times) {
        (Some(clients), _) => Pace::Closed { clients: clients as usize },
        (None, Some(times)) => Pace::Recorded(times.clone()),
        (None, None) => open(flags, flags.rate.0[0]),
    };
    let recorded = matches!(pace, Pace::Recorded(_));
    let warm_up = WARM_UP_MAX.min(duration / 5);
    let default = if flags.http2 { CONNECTIONS_HTTP2 } else { CONNECTIONS };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let connections_max = flags.connections.map_or(default, |count| count as usize);
    let threads = flags.threads.map_or((cores / CORES_A_THREAD).max(1), usize::from);
    Plan {
        targets,
        pace,
        seed: flags.seed,
        // A recording has no beginning to spare.
        warm_up: flags.warm_up.unwrap_or(if recorded { Duration::ZERO } else { warm_up }),
        duration,
        timeout: flags.timeout,
        objective: OBJECTIVE,
        connections_max,
        reuse: !flags.no_reuse,
        protocol: reach::protocol(flags),
        threads: threads.min(load::THREADS_MAX),
        requests: source.requests.clone(),
        sequence: source.sequence.clone(),
    }
}

fn open(flags: &Flags, rate: f64) -> Pace {
    let arrivals = match flags.arrivals {
        Spread::Poisson => Arrivals::Poisson,
        Spread::Uniform => Arrivals::Uniform,
    };
    Pace::Open { rate, arrivals }
}

fn setup(flags: &Flags, plans: &[Plan], pace: Paced) -> Setup {
    let plan = &plans[0];
    let targets = plans.iter().flat_map(|plan| &plan.targets);
    Setup {
        protocol: if flags.http2 { "HTTP/2" } else { "HTTP/1.1" },
        pace,
        duration: plan.duration,
        warm_up: plan.warm_up,
        timeout: plan.timeout,
        connections: plan.connections_max,
        reuse: plan.reuse,
        threads: plan.threads,
        seed: plan.seed,
        shared: targets.into_iter().any(|target| target.address.ip().is_loopback()),
    }
}

/// Every rate, and at each of them every round of every side: ABAB and so on.
async fn measure_all(
    flags: &Flags,
    mut plans: Vec<Plan>,
    stop: &Stop,
) -> Result<Vec<Vec<Step>>, BenchError> {
    let is_open = matches!(plans[0].pace, Pace::Open { .. });
    let rates: Vec<Option<f64>> =
        if is_open { flags.rate.0.iter().copied().map(Some).collect() } else { vec![None] };
    let rounds = if plans.len() > 1 { flags.rounds } else { 1 };
    let mut steps: Vec<Vec<Step>> = plans.iter().map(|_| Vec::new()).collect();
    let mut said = Said::new(flags.quiet);
    for asked in rates {
        let mut reports: Vec<Vec<Report>> = plans.iter().map(|_| Vec::new()).collect();
        for round in 1..=rounds {
            for (index, plan) in plans.iter_mut().enumerate() {
                if let Some(rate) = asked {
                    plan.pace = open(flags, rate);
                }
                // Rounds differ as users differ, and both sides get the same ones.
                plan.seed = flags.seed.wrapping_add(u64::from(round - 1));
                let label = label(asked, (rounds > 1).then_some((round, rounds, index)));
                let report = load::run_until(plan, stop, |now| said.passing(&label, now)).await?;
                if stop.is_stopped() && reports[index].is_empty() && report.count == 0 {
                    break;
                }
                reports[index].push(report);
                if stop.is_stopped() {
                    break;
                }
            }
            if stop.is_stopped() {
                break;
            }
        }
        // Rounds are compared in pairs.
        let whole = reports.iter().map(Vec::len).min().unwrap_or(0);
        for (steps, mut reports) in steps.iter_mut().zip(reports) {
            reports.truncate(if rounds > 1 { whole } else { 1 });
            steps.extend(Step::new(asked, reports));
        }
        if stop.is_stopped() {
            break;
        }
    }
    said.end();
    Ok(steps)
}

fn label(asked: Option<f64>, round: Option<(u32, u32, usize)>) -> String {
    let rate = asked.map_or_else(|| "as it comes".to_owned(), |rate| format!("{rate}/s"));
    match round {
        Some((round, of, side)) => {
            format!("{}, round {round} of {of}, {rate}", if side == 0 { "A" } else { "B" })
        }
        None => rate,
    }
}

fn compared(sides: &[Side], seed: u64) -> Vec<statistics::Compared> {
    // At several rates there is a curve to compare, and no single figure.
    let [a, b] = sides else { return Vec::new() };
    let ([a], [b]) = (a.steps.as_slice(), b.steps.as_slice()) else { return Vec::new() };
    let latencies = |step: &Step| step.rounds.iter().map(|r| r.latency.clone()).collect::<Vec<_>>();
    statistics::compare(&latencies(a), &latencies(b), seed)
}

/// Prints and writes the reports asked for.
fn tell(flags: &Flags, outcome: &Outcome) -> Result<(), BenchError> {
    if let Some(file) = &flags.html {
        write(file, &html::page(outcome))?;
    }
    let to_stdout = flags.json.as_deref() == Some(Path::new("-"));
    if let Some(file) = &flags.json {
        let text = format!("{:#}\n", json::report(outcome));
        if to_stdout { say(&text)? } else { write(file, &text)? }
    }
    if to_stdout { Ok(()) } else { say(&text::report(outcome)) }
}

fn write(file: &Path, text: &str) -> Result<(), BenchError> {
    std::fs::write(file, text).map_err(|source| BenchError::File { file: file.to_owned(), source })
}

fn say(text: &str) -> Result<(), BenchError> {
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(source) if source.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(BenchError::File { file: "standard output".into(), source })
        }
        _ => Ok(()),
    }
}

/// What is said while it runs: one line that changes, on a terminal alone.
struct Said(bool);

impl Said {
    fn new(quiet: bool) -> Self {
        Self(!quiet && std::io::stderr().is_terminal())
    }

    fn passing(&mut self, label: &str, now: &load::Progress) {
        if self.0 {
            let done = now.elapsed.min(now.total).as_secs_f64();
            eprint!(
                "\r\x1b[K{label}: {done:.0} of {:.0} s, {} answered, {} on their way, {} failed",
                now.total.as_secs_f64(),
                now.count.saturating_sub(now.failed),
                now.in_flight,
                now.failed
            );
        }
    }

    fn end(&mut self) {
        if self.0 {
            eprint!("\r\x1b[K");
        }
    }
}
