//! The report for a terminal.

use super::outcome::{Outcome, Paced, Setup, Side, Step, change, millis, share_name};
use load::statistics::{BEYOND_MIN, Estimate, SHARES};
use std::fmt::Write as _;

const WIDTH: usize = 96;

pub(super) fn report(outcome: &Outcome) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}", head(outcome));
    for side in &outcome.sides {
        let letter = if side.letter.is_empty() { "" } else { ": " };
        let _ = writeln!(text, "{}{letter}{}", side.letter, side.name);
    }
    let _ = writeln!(text, "{}\n", how(&outcome.setup));
    table(&mut text, outcome);
    by_request(&mut text, outcome);
    comparison(&mut text, outcome);
    let _ = writeln!(text, "\n{}", sent(outcome));
    for remark in outcome.remarks() {
        let _ = writeln!(text, "{}", wrapped(&format!("* {remark}")));
    }
    let _ = writeln!(text, "{}", wrapped(&format!("* command: {}", outcome.command)));
    text
}

pub(super) fn head(outcome: &Outcome) -> String {
    let machine = &outcome.machine;
    format!(
        "fleetfoot bench {}, {}\n{}, {} cores, {}, load {} before",
        env!("CARGO_PKG_VERSION"),
        outcome.date,
        machine.processor,
        machine.cores,
        machine.system,
        machine.load
    )
}

/// How it was measured, in a line.
pub(super) fn how(setup: &Setup) -> String {
    let seconds = |time: std::time::Duration| (time.as_secs_f64() * 1e3).round() / 1e3;
    let connections = match (setup.pace, setup.reuse) {
        (Paced::Closed(_), true) => String::new(),
        (_, true) => format!(", at most {} connections", setup.connections),
        (_, false) => ", a connection for each request".to_owned(),
    };
    format!(
        "{}, {}, {} s after {} s of warm-up{connections}, timeout {} s",
        setup.protocol,
        setup.pace.words(),
        seconds(setup.duration),
        seconds(setup.warm_up),
        seconds(setup.timeout)
    )
}

fn table(text: &mut String, outcome: &Outcome) {
    let _ = write!(text, "{:<12}", "latency, ms");
    for share in SHARES {
        let _ = write!(text, "{:>10}", share_name(share));
    }
    let _ = writeln!(text, "{:>10}{:>9}", "answers/s", "errors");
    for side in &outcome.sides {
        for step in &side.steps {
            let _ = write!(text, "{:<12}", label(side, step));
            for share in SHARES {
                let _ = write!(text, "{:>10}", figure(step, share));
            }
            let _ = writeln!(text, "{:>10.1}{:>9}", step.answered(), step.whole.failed());
        }
    }
    if outcome.sides.iter().flat_map(|side| &side.steps).any(is_thin) {
        let _ =
            writeln!(text, "~ fewer than {BEYOND_MIN} requests beyond it: little more than chance");
    }
}

fn is_thin(step: &Step) -> bool {
    SHARES.iter().any(|share| *share < 1.0 && step.whole.latency.beyond(*share) < BEYOND_MIN)
}

/// A percentile, marked if it stands on few requests.
pub(super) fn figure(step: &Step, share: f64) -> String {
    let latency = &step.whole.latency;
    let thin = share < 1.0 && latency.beyond(share) < BEYOND_MIN;
    let mark = if thin { "~" } else { "" };
    format!("{mark}{}", millis(latency.quantile(share).as_secs_f64()))
}

/// The side, and the rate that was asked for.
pub(super) fn label(side: &Side, step: &Step) -> String {
    let rate = step.asked.map(|rate| format!("{rate}/s")).unwrap_or_default();
    format!("{} {rate}", side.letter).trim().to_owned()
}

fn by_request(text: &mut String, outcome: &Outcome) {
    for side in outcome.sides.iter().filter(|side| side.steps.len() == 1) {
        for step in side.steps.iter().filter(|step| step.whole.by_request.len() > 1) {
            let _ = writeln!(text, "\n{} by request", label(side, step));
            for kind in &step.whole.by_request {
                let figures = [0.5, 0.95, 0.99]
                    .map(|share| millis(kind.latency.quantile(share).as_secs_f64()));
                let [p50, p95, p99] = figures;
                let _ = writeln!(
                    text,
                    "  {:>8} requests, p50 {p50:>6}, p95 {p95:>6}, p99 {p99:>6}, {:>4} errors  {}",
                    kind.latency.count(),
                    kind.failed,
                    kind.name
                );
            }
        }
    }
}

fn comparison(text: &mut String, outcome: &Outcome) {
    if let Some(row) = outcome.sides.first().and_then(|side| side.steps.first())
        && !outcome.compared.is_empty()
    {
        let rounds = row.rounds.len();
        let _ = writeln!(
            text,
            "\nin {rounds} rounds each, ABAB; ms, with 95 % intervals (bootstrap over rounds)"
        );
        for row in &outcome.compared {
            let verdict = match (row.firm, row.share < 1.0) {
                (true, true) => row.verdict().to_string(),
                (_, false) => "one request: decides nothing".to_owned(),
                (false, _) => "too few requests beyond it".to_owned(),
            };
            let (name, a, b) = (share_name(row.share), range(row.a), range(row.b));
            let _ = writeln!(
                text,
                "  {name:<6} A {a:<24} B {b:<24} {:<26} {verdict}",
                change(row.change)
            );
        }
    }
    if let Some(verdict) = outcome.verdict().filter(|_| !outcome.compared.is_empty()) {
        let _ = writeln!(text, "\n{verdict}");
    }
}

/// `1.20 [1.10, 1.31]`
pub(super) fn range(estimate: Estimate) -> String {
    let [value, low, high] = [estimate.value, estimate.low, estimate.high].map(millis);
    format!("{value} [{low}, {high}]")
}

/// What was sent, how punctually, and at whose cost.
pub(super) fn sent(outcome: &Outcome) -> String {
    let steps = || outcome.sides.iter().flat_map(|side| &side.steps).map(|step| &step.whole);
    let sum = |count: fn(&load::Report) -> u64| steps().map(count).sum::<u64>();
    let seconds = |time: fn(&load::Report) -> std::time::Duration| -> f64 {
        steps().map(|report| time(report).as_secs_f64()).sum()
    };
    let busy = 100.0 * seconds(|r| r.cpu) / seconds(|r| r.busy).max(1e-9);
    let worst = steps().map(|report| report.late_max).max().unwrap_or_default();
    let threads = outcome.setup.threads;
    let late = match outcome.setup.pace {
        Paced::Closed(_) => String::new(),
        _ => format!(
            "{} of them late by more than 1 ms (worst {} ms), ",
            sum(|r| r.late),
            millis(worst.as_secs_f64())
        ),
    };
    format!(
        "{} requests sent, {late}on {} connections; {:.1} MB of bodies came; the sender's {threads} \
         {} used {busy:.0} % of a core",
        sum(|r| r.count),
        sum(|r| r.connections),
        sum(|r| r.bytes) as f64 / 1e6,
        if threads == 1 { "thread" } else { "threads" },
    )
}

/// Broken between words, with the lines behind the first set in.
fn wrapped(text: &str) -> String {
    let mut lines = String::new();
    let mut width = 0;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width > 0 && width + 1 + length > WIDTH {
            lines.push_str("\n  ");
            width = 2;
        } else if width > 0 {
            lines.push(' ');
            width += 1;
        }
        lines.push_str(word);
        width += length;
    }
    lines
}
