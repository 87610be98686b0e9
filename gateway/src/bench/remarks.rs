//! What an honest report says of its own weaknesses, each with its remedy. Pure.

use super::outcome::{Outcome, Paced, Side, Step, millis};
use load::LATE;

/// Above this share of late requests the sender was part of what was measured.
const LATE_SHARE: f64 = 0.01;
/// A core is used up.
const FULL: f64 = 0.9;
/// Answered less than this share of what was asked for: it does not keep up.
const KEPT: f64 = 0.95;

pub(super) fn remarks(outcome: &Outcome) -> Vec<String> {
    let mut remarks = outcome.notes.clone();
    if outcome.interrupted {
        remarks.push("ended before its time: what is shown had come by then".to_owned());
    }
    if let Paced::Closed(clients) = outcome.setup.pace {
        remarks.push(format!(
            "closed loop: {clients} clients ask again only when answered, so a slow server is asked \
             less and its stalls are hardly seen. It shows how much can be answered; for what users \
             would feel, measure with --rate"
        ));
    }
    for side in &outcome.sides {
        for step in &side.steps {
            let about = about(side, step);
            let told = of_step(outcome, step).into_iter();
            remarks.extend(told.map(|told| format!("{about}{told}")));
        }
    }
    if outcome.setup.shared {
        let cores = outcome.machine.cores;
        remarks.push(format!("sender and target share this machine's {cores} cores"));
    }
    remarks
}

/// Which of several.
fn about(side: &Side, step: &Step) -> String {
    let rate = step.asked.filter(|_| side.steps.len() > 1).map(|rate| format!("{rate}/s"));
    let words: Vec<String> = [Some(side.letter.to_owned()), rate]
        .into_iter()
        .flatten()
        .filter(|w| !w.is_empty())
        .collect();
    if words.is_empty() { String::new() } else { format!("{}: ", words.join(" at ")) }
}

fn of_step(outcome: &Outcome, step: &Step) -> Vec<String> {
    let (report, setup) = (&step.whole, &outcome.setup);
    let mut told = Vec::new();
    let count = report.count.max(1) as f64;
    if report.failed() > 0 {
        let kinds = report.failures.iter().map(|(kind, count)| format!("{count} {kind}"));
        let kinds: Vec<String> = kinds.collect();
        told.push(format!(
            "{} of {} failed: {}. In the percentiles each of them counts as the whole timeout of {} ms",
            report.failed(),
            report.count,
            kinds.join(", "),
            millis(setup.timeout.as_secs_f64()),
        ));
    }
    let late = report.late as f64 / count;
    let busy = report.cpu.as_secs_f64() / report.busy.as_secs_f64().max(1e-9);
    if late > LATE_SHARE {
        told.push(format!(
            "{:.1} % of the requests left more than {} ms late (p99 {} ms, worst {} ms): the sender was \
             part of what was measured. It used {:.0} % of a core and waited {:.1} s for one. Use a lower \
             rate, more --threads, or another machine",
            late * 100.0,
            LATE.as_millis(),
            millis(report.lateness.quantile(0.99).as_secs_f64()),
            millis(report.late_max.as_secs_f64()),
            busy * 100.0,
            report.starved.as_secs_f64(),
        ));
    } else if busy > FULL * setup.threads as f64 {
        told.push(format!(
            "the sender used {:.0} % of a core: it may be the bottleneck. Use more --threads, or \
             another machine",
            busy * 100.0
        ));
    }
    if let Some(asked) = step.asked
        && step.answered() < asked * KEPT
        && report.count as f64 >= 20.0
    {
        told.push(format!(
            "{:.0} answers a second of {asked} asked for: the target does not keep up at this rate",
            step.answered()
        ));
    }
    let waited = report.waited as f64 / count;
    if waited > LATE_SHARE && setup.protocol == "HTTP/1.1" {
        told.push(format!(
            "{:.1} % of the requests waited for one of {} connections, and that is in their latency; \
             --connections allows more",
            waited * 100.0,
            setup.connections
        ));
    }
    if report.reopened as f64 > 10.0 + count / 20.0 {
        told.push(format!(
            "{} connections were closed after a request and opened again: by the target, or for errors",
            report.reopened
        ));
    }
    if report.unfinished > 0 {
        told.push(format!(
            "{} requests were still on their way and are not counted",
            report.unfinished
        ));
    }
    told
}
