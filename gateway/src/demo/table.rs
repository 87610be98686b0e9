//! The table at the end: what was measured, as it is.

use super::mix::OBJECTIVE;
use super::town::Work;
use load::Report;
use std::fmt::Write as _;
use std::time::Duration;

const QUANTILES: [f64; 4] = [0.5, 0.95, 0.99, 0.999];

/// What one phase came to.
pub(super) struct Line {
    pub(super) name: &'static str,
    pub(super) report: Report,
    pub(super) work: Work,
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

/// The whole table, with what must be known to read it.
pub(super) fn render(lines: &[Line], rate: f64, phase_time: Duration) -> String {
    let mut text = format!(
        "{:<36}{:>8}{:>8}{:>8}{:>8}{:>10}{:>8}{:>9}{:>8}\n",
        "latency in ms", "p50", "p95", "p99", "p99.9", "in time/s", "origin", "queries", "errors"
    );
    for line in lines {
        // Writing to a String cannot fail.
        let _ = write!(text, "{:<36}", line.name);
        for share in QUANTILES {
            let _ = write!(text, "{:>8}", millis(line.report.latency.quantile(share)));
        }
        let (in_time, work) = (line.report.in_time_per_second(), line.work);
        let (origin, queries, failed) = (work.requests, work.queries, line.report.failed());
        let _ = writeln!(text, "{in_time:>10.1}{origin:>8}{queries:>9}{failed:>8}");
    }
    let counts = lines.iter().map(|line| line.report.count);
    let (least, most) = (counts.clone().min().unwrap_or(0), counts.max().unwrap_or(0));
    let _ = write!(
        text,
        "\nEach line: {least} to {most} requests in {:.0} s, {rate:.1}/s, open loop; latency counts \
         from the moment a request\nwas due, and a failed one counts as the whole timeout. In time: \
         within {} ms. Origin: requests that\nreached the shop; queries: statements in its database. \
         {}All processes share this machine.\n",
        phase_time.as_secs_f64(),
        OBJECTIVE.as_millis(),
        if most < 1_000 { "With so few requests p99.9 is the slowest one.\n" } else { "" }
    );
    for line in lines.iter().filter(|line| line.report.failed() > 0) {
        let kinds = line.report.failures.iter();
        let kinds: Vec<String> = kinds.map(|(kind, count)| format!("{count} {kind}")).collect();
        let _ = writeln!(text, "Errors in \"{}\": {}.", line.name, kinds.join(", "));
    }
    text
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
