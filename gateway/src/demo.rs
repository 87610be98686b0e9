//! `fleetfoot demo`: the main job in miniature, measured and never canned.
//!
//! Starts three instances of the slow [`shop`](::shop) and the gateway, each a process of its own
//! made from this very binary, and sends the same open-loop load ([`load`]) through one
//! [`Phase`](phase::Phase) after another, in two parts with a table each (`part`): the practices, and
//! the tail, cut. What is sent is in `mix`, the lists of phases in `phase`: a room that lands adds a
//! line there. Processes end with this one, however it ends (`child`).

mod child;
mod mix;
mod part;
mod phase;
mod table;
mod town;

pub use child::follow_parent;
pub use phase::{PHASES, Phase, Servers, TAIL, Through};

use ::shop::{Options as ShopOptions, ShopError, Sins};
use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use town::Town;

/// How a demo is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether it ends after the table; otherwise gateway and shop stay up until ctrl-c.
    pub once: bool,
    /// How long each phase is measured.
    pub phase_time: Duration,
    /// Requests a second, in both tables; `None` is a share of the capacity, measured first.
    pub rate: Option<f64>,
    /// Products in the shop's catalogue.
    pub products: u32,
    /// A Redis for the phases that want one; without it they are left out.
    pub redis: Option<String>,
    /// A broker for the phase that hands jobs to one; without it that is left out.
    pub queue: Option<String>,
    /// What is measured of the practices; none: there is no such table.
    pub phases: Vec<Phase>,
    /// What is measured of the tail, cut; none: there is no such table.
    pub tail: Vec<Phase>,
    /// The `fleetfoot` that is started as shop and gateway; `None` is this program.
    pub program: Option<PathBuf>,
}

impl Options {
    /// What is in force where nothing is said.
    pub fn standard() -> Self {
        Self {
            once: false,
            phase_time: Duration::from_secs(6),
            rate: None,
            products: 20_000,
            redis: None,
            queue: None,
            phases: PHASES.to_vec(),
            tail: TAIL.to_vec(),
            program: None,
        }
    }
}

/// How a demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Every request was answered, but for those of phases that fail by design.
    Clean,
    /// Some other request failed: the tables say how many.
    Failures,
    /// By ctrl-c or SIGTERM, before its end.
    Interrupted,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Clean => 0,
            Outcome::Failures => 1,
            Outcome::Interrupted => 130,
        })
    }
}

/// Why a demo could not be shown.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// A number out of bounds.
    #[error("{name} must be {allowed}")]
    Bound {
        /// Of which option.
        name: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
    /// The directory for the catalogue and the settings cannot be made.
    #[error("cannot write the demo's files in {}; set TMPDIR to a directory that can be written",
        path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A process cannot be started.
    #[error("cannot start {what}")]
    Start {
        /// Which.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A process ended, or said nothing, instead of getting ready.
    #[error("{what} did not get ready{}", last_words(said))]
    Ready {
        /// Which.
        what: String,
        /// The last it wrote.
        said: Vec<String>,
    },
    /// A shop's counters cannot be read.
    #[error("the shop at {address} does not tell its counters")]
    Counters {
        /// Where it should be.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The load cannot be sent.
    #[error("the load cannot be sent")]
    Load(#[from] load::LoadError),
    /// Nothing at all was answered, so that there is no rate to choose.
    #[error("the shop answered nothing while its capacity was measured")]
    Silent,
    /// Signals cannot be waited for, or the table not be written.
    #[error("cannot talk to the terminal or wait for signals")]
    Terminal(#[source] std::io::Error),
}

fn last_words(lines: &[String]) -> String {
    if lines.is_empty() {
        return " and said nothing".to_owned();
    }
    format!("; it said:\n  {}", lines.join("\n  "))
}

/// Runs the demo: phases, tables, and unless `once` an open house until ctrl-c.
///
/// # Cancel safety
/// Dropping kills the processes that were started.
pub async fn run(options: Options) -> Result<Outcome, DemoError> {
    check(&options)?;
    let mut town = Town::new(&options)?;
    let outcome = tokio::select! {
        biased;
        signal = signalled() => return signal.map(|()| Outcome::Interrupted),
        outcome = show(&options, &mut town) => outcome?,
    };
    if options.once {
        return Ok(outcome);
    }
    tokio::select! {
        biased;
        signal = signalled() => signal.map(|()| outcome),
        stayed = stay(&mut town) => stayed.map(|()| outcome),
    }
}

/// Runs one shop until SIGTERM or ctrl-c: what the demo starts three of.
pub async fn shop(options: ShopOptions) -> Result<(), ShopError> {
    let running = ::shop::serve(options).await?;
    eprintln!("fleetfoot: shop on http://{}", running.address);
    running.until_signal().await;
    Ok(())
}

fn check(options: &Options) -> Result<(), DemoError> {
    let bound = |name, allowed| Err(DemoError::Bound { name, allowed });
    if !(Duration::from_secs(1)..=Duration::from_mins(10)).contains(&options.phase_time) {
        return bound("--seconds", "from 1 to 600");
    }
    if options.rate.is_some_and(|rate| !(0.1..=100_000.0).contains(&rate)) {
        return bound("--rate", "from 0.1 to 100000 requests a second");
    }
    Ok(())
}

async fn signalled() -> Result<(), DemoError> {
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let mut terminate = terminate.map_err(DemoError::Terminal)?;
    tokio::select! {
        biased;
        interrupt = tokio::signal::ctrl_c() => interrupt.map_err(DemoError::Terminal),
        _ = terminate.recv() => Ok(()),
    }
}

/// Both parts, each with its table.
async fn show(options: &Options, town: &mut Town) -> Result<Outcome, DemoError> {
    let mut progress = Said::new();
    let mut failed = false;
    for part in part::parts(options).iter().filter(|part| !part.is_empty()) {
        let (table, wrong) = part.show(options, town, &mut progress).await?;
        writeln!(std::io::stdout(), "\n{table}").map_err(DemoError::Terminal)?;
        failed |= wrong;
    }
    Ok(if failed { Outcome::Failures } else { Outcome::Clean })
}

/// Opens the sinful shop behind the gateway, says where, and waits for ever.
async fn stay(town: &mut Town) -> Result<(), DemoError> {
    town.shops(Sins::NONE, phase::THIRD_SLOW).await?;
    let gateway = town.gateway(Servers::Three, phase::CACHED).await?;
    let mut out = std::io::stdout();
    let mut text = format!("\nStill up, until ctrl-c:\n  gateway  http://{gateway}/home\n");
    if let Some(admin) = town.admin() {
        let _ = writeln!(text, "  admin    http://{admin}/");
    }
    for (number, shop) in town.straight(Servers::Three).iter().enumerate() {
        let _ = writeln!(text, "  shop {}   http://{shop}/home", number + 1);
    }
    let _ = writeln!(text, "All sins of the shop are on: {}.", Sins::ALL);
    out.write_all(text.as_bytes()).map_err(DemoError::Terminal)?;
    std::future::pending().await
}

/// Progress for people: one line that changes on a terminal, plain lines of the steps elsewhere.
struct Said {
    terminal: bool,
    passing: bool,
}

impl Said {
    fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), passing: false }
    }

    /// A step that stays to be read.
    fn step(&mut self, text: &str) {
        self.end();
        eprintln!("demo: {text}");
    }

    /// What is only of use now.
    fn passing(&mut self, text: &str) {
        if self.terminal {
            eprint!("\r\x1b[2Kdemo: {text}");
            self.passing = true;
        }
    }

    /// Clears what was passing.
    fn end(&mut self) {
        if std::mem::take(&mut self.passing) {
            eprint!("\r\x1b[2K");
        }
    }
}
