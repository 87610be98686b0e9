//! What was measured, as every kind of report tells it.

use super::machine::Machine;
use load::Report;
use load::statistics::{Compared, Verdict};
use std::time::Duration;

/// A whole measurement.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// As it was typed.
    pub command: String,
    /// When it ended, as HTTP writes dates.
    pub date: String,
    /// Where.
    pub machine: Machine,
    /// How, in words: protocol, pace, times, bounds.
    pub setup: Setup,
    /// One, or the two of a comparison.
    pub sides: Vec<Side>,
    /// How they compare.
    pub compared: Vec<Compared>,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// What the reader should know beside.
    pub notes: Vec<String>,
}

/// How it was measured.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `HTTP/1.1` or `HTTP/2`.
    pub protocol: &'static str,
    /// When requests leave.
    pub pace: Paced,
    /// How long each part was measured.
    pub duration: Duration,
    /// What was sent before and not counted.
    pub warm_up: Duration,
    /// When a request was given up.
    pub timeout: Duration,
    /// Most connections.
    pub connections: usize,
    /// Whether they were used again.
    pub reuse: bool,
    /// Threads that sent.
    pub threads: usize,
    /// The seed.
    pub seed: u64,
    /// Whether a target is on this machine.
    pub shared: bool,
}

/// When requests leave, in words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Paced {
    /// At a rate; `poisson` or evenly.
    Open {
        /// Whether by chance.
        poisson: bool,
    },
    /// As recorded, so many times as fast.
    Recorded(f64),
    /// By so many clients that wait.
    Closed(u32),
}

impl Paced {
    /// In words.
    pub fn words(self) -> String {
        match self {
            Self::Open { poisson: true } => "open loop, Poisson arrivals".to_owned(),
            Self::Open { poisson: false } => "open loop, even arrivals".to_owned(),
            Self::Recorded(factor) => format!("open loop, recorded arrivals ×{factor}"),
            Self::Closed(clients) => format!("CLOSED loop, {clients} clients that wait"),
        }
    }
}

/// One target, or all of a list.
#[derive(Clone, Debug)]
pub struct Side {
    /// `A` or `B`; empty when there is one.
    pub letter: &'static str,
    /// What it is.
    pub name: String,
    /// What was measured, rate by rate.
    pub steps: Vec<Step>,
}

/// One rate.
#[derive(Clone, Debug)]
pub struct Step {
    /// What was asked for, a second; a closed loop asks for nothing.
    pub asked: Option<f64>,
    /// Round by round.
    pub rounds: Vec<Report>,
    /// All rounds together.
    pub whole: Report,
}

impl Step {
    /// Of at least one round.
    pub(super) fn new(asked: Option<f64>, rounds: Vec<Report>) -> Option<Self> {
        let mut whole = rounds.first()?.clone();
        rounds[1..].iter().for_each(|round| whole.follow(round));
        Some(Self { asked, rounds, whole })
    }

    /// Good answers a second.
    pub fn answered(&self) -> f64 {
        let good = self.whole.count - self.whole.failed();
        good as f64 / self.whole.duration.as_secs_f64().max(1e-9)
    }
}

impl Outcome {
    /// The sentence that a comparison comes to, if there is one.
    pub fn verdict(&self) -> Option<String> {
        let [_, _] = self.sides.as_slice() else { return None };
        // With too few requests beyond it a percentile decides nothing.
        let decisive = self.compared.iter().filter(|row| row.firm && row.share < 1.0);
        let told: Vec<_> = decisive.map(|row| (row, row.verdict())).collect();
        let any = |wanted| told.iter().any(|(_, verdict)| *verdict == wanted);
        let word = match (any(Verdict::Faster), any(Verdict::Slower)) {
            (true, true) => "faster in places and slower in others",
            (true, false) => "faster",
            (false, true) => "slower",
            (false, false) if !told.is_empty() && !any(Verdict::Unclear) => "no difference at ±3 %",
            (false, false) => "no difference that these rounds could tell",
        };
        let said = told.iter().filter(|(_, v)| matches!(v, Verdict::Faster | Verdict::Slower));
        let said: Vec<String> = said
            .map(|(row, _)| {
                let name = share_name(row.share);
                format!("{name} {}", change(row.change))
            })
            .collect();
        let why = if said.is_empty() { String::new() } else { format!(" ({})", said.join(", ")) };
        Some(format!("B against A: {word}{why}"))
    }

    /// What an honest report says of its own weaknesses, with the remedy.
    pub fn remarks(&self) -> Vec<String> {
        super::remarks::remarks(self)
    }
}

/// `-12.3 % [-15.0, -9.8]`
pub fn change(estimate: load::statistics::Estimate) -> String {
    let [value, low, high] =
        [estimate.value, estimate.low, estimate.high].map(|share| share * 100.0);
    format!("{value:+.1} % [{low:+.1}, {high:+.1}]")
}

/// `p99.9`, `max`.
pub fn share_name(share: f64) -> String {
    if share >= 1.0 { "max".to_owned() } else { format!("p{}", (share * 1e5).round() / 1e3) }
}

/// Milliseconds with three digits that count.
pub fn millis(seconds: f64) -> String {
    let millis = seconds * 1e3;
    let places = match millis {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{millis:.places$}")
}
