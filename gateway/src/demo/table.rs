//! The tables: what was measured, as it is.

use super::mix::OBJECTIVE;
use super::phase::{LEARN_ANSWERS, Phase};
use super::town::Work;
use load::Report;
use std::fmt::Write as _;
use std::time::Duration;

/// A load that leaves this late says more about the machine than about the shop.
const LATE: Duration = Duration::from_millis(25);
const QUANTILES: [f64; 4] = [0.5, 0.95, 0.99, 0.999];

/// What one phase came to.
pub(super) struct Line {
    pub(super) phase: Phase,
    pub(super) report: Report,
    pub(super) work: Work,
}

impl Line {
    /// Did requests fail that should not have?
    pub(super) fn went_wrong(&self) -> bool {
        !self.phase.fails_by_design && self.report.failed() > 0
    }
}

/// Lines that had the same load.
pub(super) struct Table<'a> {
    /// What stands above the names of the lines; at most 32 letters.
    pub(super) title: &'static str,
    /// What must be known to read these lines, beside what holds for all: whole lines.
    pub(super) about: &'static str,
    pub(super) lines: &'a [Line],
    /// Requests a second.
    pub(super) rate: f64,
    pub(super) phase_time: Duration,
    /// What all processes share.
    pub(super) cores: usize,
}

/// One phase's figures, while the others are still to come.
pub(super) fn in_passing(label: &str, line: &Line) -> String {
    let quantile = |share| millis(line.report.latency.quantile(share));
    format!(
        "{label}: p50 {} ms, p99 {} ms, {} failed",
        quantile(0.5),
        quantile(0.99),
        line.report.failed()
    )
}

impl Table<'_> {
    /// The whole table, with what must be known to read it.
    pub(super) fn render(&self) -> String {
        let mut text = format!(
            "{:<33}{:>8}{:>8}{:>8}{:>8}{:>10}{:>8}{:>9}{:>7}\n",
            self.title, "p50", "p95", "p99", "p99.9", "in time/s", "origin", "queries", "errors"
        );
        for line in self.lines {
            // Writing to a String cannot fail.
            let _ = write!(text, "{:<33}", line.phase.name);
            for share in QUANTILES {
                let _ = write!(text, "{:>8}", millis(line.report.latency.quantile(share)));
            }
            let (in_time, work) = (line.report.in_time_per_second(), line.work);
            let (origin, queries, failed) = (work.requests, work.queries, line.report.failed());
            let _ = writeln!(text, "{in_time:>10.1}{origin:>8}{queries:>9}{failed:>7}");
        }
        self.notes(&mut text);
        self.failures(&mut text);
        text
    }

    fn notes(&self, text: &mut String) {
        let count = self.lines.first().map_or(0, |line| line.report.count);
        let slowest = if count < 1_000 { "; with so few, p99.9 is the slowest" } else { "" };
        let _ = write!(
            text,
            "\nEach line: the same {count} requests in {:.0} s ({:.0}/s asked for), open loop{slowest}.\n\
             {}\
             Latency counts from when a request was due; a failed one counts as the whole timeout.\n\
             In time: within {} ms. Origin: requests that reached the shop. Queries: in its database.\n\
             Load, gateway and all three shops share {} cores: more shops add no hardware here.\n",
            self.phase_time.as_secs_f64(),
            self.rate,
            self.about,
            OBJECTIVE.as_millis(),
            self.cores,
        );
    }

    fn failures(&self, text: &mut String) {
        let unlearned = |line: &&Line| line.phase.hedges() && !Phase::learns(self.rate);
        for line in self.lines.iter().filter(unlearned) {
            let _ = writeln!(
                text,
                "Few in \"{}\": it hedges after {LEARN_ANSWERS} answers, and had fewer at the start.",
                line.phase.name
            );
        }
        for line in self.lines.iter().filter(|line| line.report.failed() > 0) {
            let kinds = line.report.failures.iter();
            let kinds: Vec<String> = kinds.map(|(kind, count)| format!("{count} {kind}")).collect();
            let end = if line.phase.fails_by_design {
                ", by design: the exit code does not count them"
            } else {
                ""
            };
            let _ = writeln!(text, "Errors in \"{}\": {}{end}.", line.phase.name, kinds.join(", "));
        }
        for line in self.lines.iter().filter(|line| line.report.late_max >= LATE) {
            let late = line.report.late_max.as_millis();
            let _ = writeln!(
                text,
                "Busy in \"{}\": requests left up to {late} ms late, the processors were taken.",
                line.phase.name
            );
        }
    }
}

/// Milliseconds with three digits that count.
fn millis(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1e3;
    let places = match millis {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    format!("{millis:.places$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::part::parts;
    use crate::demo::{Options, PHASES, TAIL};
    use load::Failure;

    fn line(phase: Phase, millis: u64, failed: u64) -> Line {
        let mut report = Report::new(Duration::from_secs(6), std::iter::empty());
        for _ in 0..300 {
            report.latency.record(Duration::from_millis(millis));
        }
        (report.count, report.in_time) = (300, 300 - failed);
        if failed > 0 {
            report.failures.insert(Failure::Status(502), failed);
        }
        report.late_max = Duration::from_millis(failed * 10);
        Line { phase, report, work: Work { requests: 300, queries: 12_345 } }
    }

    fn table(lines: &[Line], rate: f64) -> Table<'_> {
        let phase_time = Duration::from_secs(6);
        Table { title: "latency in ms", about: "", lines, rate, phase_time, cores: 2 }
    }

    #[test]
    fn the_table_shows_what_was_measured_and_what_failed() {
        let lines = [line(PHASES[0], 123, 0), line(PHASES[2], 2, 7)];
        assert!(!lines[0].went_wrong() && lines[1].went_wrong());
        insta::assert_snapshot!(table(&lines, 50.0).render(), @r#"
latency in ms                         p50     p95     p99   p99.9 in time/s  origin  queries errors
straight at one shop                  123     123     123     123      50.0     300    12345      0
gateway, one shop                    2.00    2.00    2.00    2.00      48.8     300    12345      7

Each line: the same 300 requests in 6 s (50/s asked for), open loop; with so few, p99.9 is the slowest.
Latency counts from when a request was due; a failed one counts as the whole timeout.
In time: within 100 ms. Origin: requests that reached the shop. Queries: in its database.
Load, gateway and all three shops share 2 cores: more shops add no hardware here.
Errors in "gateway, one shop": 7 status 502.
Busy in "gateway, one shop": requests left up to 70 ms late, the processors were taken.
"#);
    }

    #[test]
    fn the_table_of_the_tail_tells_errors_by_design_from_others() {
        let options = Options::standard();
        let [_, tail] = parts(&options);
        let figures = [(40, 0), (4, 0), (9, 100), (2, 0), (3, 0), (2, 0)];
        let lines = TAIL.iter().zip(figures);
        let lines: Vec<_> = lines.map(|(phase, (ms, failed))| line(*phase, ms, failed)).collect();
        assert!(!lines.iter().any(Line::went_wrong));
        let table = Table { title: tail.title, about: tail.about, ..table(&lines, 20.0) };
        insta::assert_snapshot!(table.render(), @r#"
the tail, cut: latency in ms          p50     p95     p99   p99.9 in time/s  origin  queries errors
one slow, in turn                    40.0    40.0    40.0    40.0      50.0     300    12345      0
one slow, default                    4.00    4.00    4.00    4.00      50.0     300    12345      0
one fails fast, in turn              9.01    9.01    9.01    9.01      33.3     300    12345    100
one fails fast, default              2.00    2.00    2.00    2.00      50.0     300    12345      0
all stall, default                   3.00    3.00    3.00    3.00      50.0     300    12345      0
all stall, hedge of 5 %              2.00    2.00    2.00    2.00      50.0     300    12345      0

Each line: the same 300 requests in 6 s (20/s asked for), open loop; with so few, p99.9 is the slowest.
One slow: the third instance does its work four times over. One fails fast: it answers 503 at once.
All stall: each instance holds up one answer in fifty, by chance, for a second.
In turn: round robin, nobody left out, nothing sent again. Default: no setting says anything.
Hedge: a request that takes long is sent to a second instance as well, one in twenty at most.
Latency counts from when a request was due; a failed one counts as the whole timeout.
In time: within 100 ms. Origin: requests that reached the shop. Queries: in its database.
Load, gateway and all three shops share 2 cores: more shops add no hardware here.
Few in "all stall, hedge of 5 %": it hedges after 400 answers, and had fewer at the start.
Errors in "one fails fast, in turn": 100 status 502, by design: the exit code does not count them.
Busy in "one fails fast, in turn": requests left up to 1000 ms late, the processors were taken.
"#);
    }
}
