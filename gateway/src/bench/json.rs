//! The report for programs. Times are milliseconds.

use super::outcome::{Outcome, Paced, Side, Step, share_name};
use load::statistics::{Compared, Estimate, SHARES, curve};
use load::{Latency, Report};
use serde_json::{Map, Value, json};
use std::time::Duration;

pub(super) fn report(outcome: &Outcome) -> Value {
    let (setup, machine) = (&outcome.setup, &outcome.machine);
    json!({
        "fleetfoot": env!("CARGO_PKG_VERSION"),
        "date": outcome.date,
        "command": outcome.command,
        "machine": {
            "processor": machine.processor,
            "cores": machine.cores,
            "system": machine.system,
            "load_before": machine.load,
        },
        "setup": {
            "protocol": setup.protocol,
            "loop": if matches!(setup.pace, Paced::Closed(_)) { "closed" } else { "open" },
            "pace": setup.pace.words(),
            "duration_ms": ms(setup.duration),
            "warm_up_ms": ms(setup.warm_up),
            "timeout_ms": ms(setup.timeout),
            "connections_max": setup.connections,
            "reuse": setup.reuse,
            "threads": setup.threads,
            "seed": setup.seed,
        },
        "sides": outcome.sides.iter().map(side).collect::<Vec<_>>(),
        "compared": outcome.compared.iter().map(compared).collect::<Vec<_>>(),
        "verdict": outcome.verdict().filter(|_| !outcome.compared.is_empty()),
        "interrupted": outcome.interrupted,
        "remarks": outcome.remarks(),
    })
}

fn ms(time: Duration) -> f64 {
    time.as_micros() as f64 / 1e3
}

fn side(side: &Side) -> Value {
    json!({
        "side": side.letter,
        "name": side.name,
        "steps": side.steps.iter().map(step).collect::<Vec<_>>(),
    })
}

fn step(step: &Step) -> Value {
    let report = &step.whole;
    let failures = report.failures.iter().map(|(kind, n)| (kind.to_string(), json!(n)));
    let kinds = report.by_request.iter().map(|kind| {
        json!({
            "name": kind.name, "requests": kind.latency.count(), "failed": kind.failed,
            "latency_ms": latency(&kind.latency),
        })
    });
    json!({
        "rate_asked": step.asked,
        "rate_sent": report.per_second(),
        "rate_answered": step.answered(),
        "requests": report.count,
        "failed": report.failed(),
        "failures": failures.collect::<Map<_, _>>(),
        "latency_ms": latency(&report.latency),
        "latency_since_left_ms": latency(&report.since_left),
        "rounds": step.rounds.iter().map(|round| latency(&round.latency)).collect::<Vec<_>>(),
        "by_request": kinds.collect::<Vec<_>>(),
        "over_time": over_time(report),
        "curve": curve(&report.latency).iter().map(|(share, time)| json!([share, ms(*time)])).collect::<Vec<_>>(),
        "body_bytes": report.bytes,
        "sender": {
            "late": report.late,
            "late_p99_ms": ms(report.lateness.quantile(0.99)),
            "late_max_ms": ms(report.late_max),
            "waited_for_a_connection": report.waited,
            "connections_opened": report.connections,
            "connections_reopened": report.reopened,
            "unfinished": report.unfinished,
            "cpu_ms": ms(report.cpu),
            "cpu_waited_ms": ms(report.starved),
            "sent_for_ms": ms(report.busy),
        },
    })
}

fn latency(latency: &Latency) -> Value {
    let shares =
        SHARES.iter().map(|share| (share_name(*share), json!(ms(latency.quantile(*share)))));
    let mut figures: Map<_, _> = shares.collect();
    figures.insert("mean".to_owned(), json!(ms(latency.mean())));
    Value::Object(figures)
}

fn over_time(report: &Report) -> Value {
    let parts = report.over_time.iter().enumerate().filter(|(_, part)| part.count() > 0);
    let parts = parts.map(|(index, part)| {
        json!({
            "at_ms": ms(report.slice) * index as f64,
            "requests": part.count(),
            "p50": ms(part.quantile(0.5)),
            "p99": ms(part.quantile(0.99)),
            "max": ms(part.max()),
        })
    });
    parts.collect()
}

fn compared(row: &Compared) -> Value {
    let in_ms = |e: Estimate| [e.value * 1e3, e.low * 1e3, e.high * 1e3];
    json!({
        "percentile": share_name(row.share),
        "a_ms": in_ms(row.a),
        "b_ms": in_ms(row.b),
        "change": [row.change.value, row.change.low, row.change.high],
        "firm": row.firm,
        "verdict": row.verdict().to_string(),
    })
}
