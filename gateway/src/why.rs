//! Why the tail is slow, for people and for the page: what `monitor::why` says of the records that the
//! reporter remembers, with the names that belong to them and what our own threads had of their cores.
//!
//! Worked out when somebody asks, on a thread that may block, and remembered for a second: many who
//! ask make one explanation.

use crate::gateway::Gateway;
use crate::reporter::{self, Scheduled};
use crate::telling;
use base::Moment;
use monitor::why::{self, Context, Explanation, Names};
use monitor::{Kept, Record};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long an explanation is good enough.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// How many looks at the threads are remembered: a minute of them.
const LOOKS_MAX: usize = 61;
/// A thread waited for its core for the largest share of so many looks in a row.
const STRETCH: usize = 10;

/// What is known beside the records, and the last explanation.
#[derive(Debug, Default)]
pub struct Why {
    told: tokio::sync::Mutex<Option<(Moment, Arc<Explanation>)>>,
    beside: Mutex<Beside>,
}

#[derive(Debug, Default)]
struct Beside {
    /// When, and for each thread the nanoseconds that it could have run and had no core.
    looks: VecDeque<(Moment, Vec<u64>)>,
    purged: Option<Moment>,
}

impl Why {
    /// Remembers how the threads have fared: once a second.
    pub fn look(&self, threads: &[Scheduled], now: Moment) {
        let mut beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        if beside.looks.len() == LOOKS_MAX {
            beside.looks.pop_front();
        }
        let waited = threads.iter().map(|thread| thread.waited.as_nanos() as u64).collect();
        beside.looks.push_back((now, waited));
    }

    /// Something was purged.
    pub fn note_purge(&self, now: Moment) {
        self.beside.lock().unwrap_or_else(PoisonError::into_inner).purged = Some(now);
    }

    /// The explanation of the last minute.
    pub async fn explain(&self, gateway: &Arc<Gateway>) -> Arc<Explanation> {
        let mut told = self.told.lock().await;
        let now = Moment::now();
        if let Some((_, explanation)) = told.as_ref().filter(|(at, _)| now.since(*at) < GOOD_FOR) {
            return Arc::clone(explanation);
        }
        let context = self.context(gateway, now);
        let asked = Arc::clone(gateway);
        let explaining = tokio::task::spawn_blocking(move || {
            let (records, kept) = remembered(&asked);
            why::explain(&records, &names(&asked, &kept, now), &context)
        });
        let explanation = Arc::new(explaining.await.unwrap_or_default());
        *told = Some((Moment::now(), Arc::clone(&explanation)));
        explanation
    }

    fn context(&self, gateway: &Gateway, now: Moment) -> Context {
        let beside = self.beside.lock().unwrap_or_else(PoisonError::into_inner);
        Context {
            run_delay: delays(&beside.looks),
            uptime: now.since(gateway.begun()),
            purged: beside.purged.map(|purged| now.since(purged)),
        }
    }
}

/// For each thread the largest share of a stretch in which it waited for a core.
fn delays(looks: &VecDeque<(Moment, Vec<u64>)>) -> Vec<f64> {
    let threads = looks.back().map_or(0, |(_, waited)| waited.len());
    let mut delays = vec![0.0_f64; threads];
    let stretch = STRETCH.min(looks.len().saturating_sub(1)).max(1);
    for (from, to) in looks.iter().zip(looks.iter().skip(stretch)) {
        let passed = to.0.since(from.0).as_nanos().max(1) as f64;
        for (delay, (from, to)) in delays.iter_mut().zip(from.1.iter().zip(&to.1)) {
            *delay = delay.max(to.saturating_sub(*from) as f64 / passed);
        }
    }
    delays
}

/// Records under the settings in force, and what was kept. Copied: the lock is held for no longer.
fn remembered(gateway: &Gateway) -> (Vec<Record>, Vec<Arc<Kept>>) {
    let generation = gateway.snapshot().generation;
    let state = gateway.reporter.state();
    let records = state.records.iter();
    let records = records.filter(|record| record.beside.generation == generation);
    (records.cloned().collect(), state.kept.iter().cloned().collect())
}

fn names(gateway: &Gateway, kept: &[Arc<Kept>], now: Moment) -> Names {
    let snapshot = gateway.snapshot();
    let settings = &snapshot.settings;
    let servers = snapshot.services.iter().flat_map(|service| service.pool.standings(now));
    let key = |kept: &Arc<Kept>| {
        let hash = telling::key(kept.host.as_bytes(), kept.target.as_bytes());
        (hash, format!("{}{}", kept.host, kept.target))
    };
    Names {
        routes: settings.routes.iter().map(|route| route.name.clone()).collect(),
        services: settings.services.iter().map(|service| service.name.clone()).collect(),
        servers: servers.map(|standing| (standing.id.0, standing.url)).collect(),
        keys: kept.iter().map(key).collect::<HashMap<_, _>>(),
    }
}

/// The explanation as JSON.
pub fn json(explanation: &Explanation) -> Value {
    let bands = explanation.bands.iter().map(
        |band| json!({ "phase": band.phase.name(), "p50_ms": band.p50_ms, "p99_ms": band.p99_ms }),
    );
    let findings = explanation.findings.iter().map(|found| {
        json!({
            "cause": found.cause.name(),
            "title": found.title,
            "sentence": found.sentence,
            "next": found.next,
            "ms": found.ms,
            "share": found.share,
        })
    });
    let dimensions = explanation.dimensions.iter().map(|found| {
        json!({
            "dimension": found.dimension,
            "value": found.value,
            "slow_share": found.slow_share,
            "rest_share": found.rest_share,
            "count": found.count,
        })
    });
    let keys = explanation.slow_keys.iter().map(|key| {
        json!({
            "key": key.key,
            "count": key.count,
            "p50_ms": key.p50_ms,
            "p99_ms": key.p99_ms,
            "share": key.share,
        })
    });
    let map = explanation.map.iter().map(|edge| {
        json!({
            "from": edge.from,
            "to": edge.to,
            "count": edge.count,
            "p50_ms": edge.p50_ms,
            "p99_ms": edge.p99_ms,
            "error_share": edge.error_share,
            "serial": edge.serial,
        })
    });
    json!({
        "window_s": reporter::WINDOW.as_secs(),
        "count": explanation.count,
        "p50_ms": explanation.p50_ms,
        "p99_ms": explanation.p99_ms,
        "bands": bands.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
        "notes": explanation.notes,
        "dimensions": dimensions.collect::<Vec<_>>(),
        "slow_keys": keys.collect::<Vec<_>>(),
        "map": map.collect::<Vec<_>>(),
    })
}

/// Parts of a band that are told to people.
const PARTS_MAX: usize = 4;
/// A part that is less of the difference is no news.
const PART_MIN: f64 = 0.01;

/// The explanation for people.
pub fn text(explanation: &Explanation) -> String {
    let mut text = headline(explanation);
    if explanation.count < why::COUNT_MIN {
        let _ = writeln!(text, "Too few requests to say why: {} are needed.", why::COUNT_MIN);
        return text;
    }
    if explanation.findings.is_empty() {
        text.push_str("\nNothing stands out.\n");
    }
    for note in &explanation.notes {
        let _ = writeln!(text, "\n{note}");
    }
    for (at, found) in explanation.findings.iter().enumerate() {
        let _ = write!(
            text,
            "\n{}. {} ({})\n   {}\n   It adds {:.1} ms and explains {:.0} % of the slow requests.\n   Next: {}\n",
            at + 1,
            found.title,
            found.cause.name(),
            found.sentence,
            found.ms,
            found.share * 100.0,
            found.next,
        );
    }
    lists(explanation, &mut text);
    text
}

fn headline(explanation: &Explanation) -> String {
    let (p50, p99) = (explanation.p50_ms, explanation.p99_ms);
    let mut text = format!(
        "{} requests looked at in the last {} s: p50 {p50:.1} ms, p99 {p99:.1} ms",
        explanation.count,
        reporter::WINDOW.as_secs()
    );
    let mut parts: Vec<_> =
        explanation.bands.iter().map(|band| (band.phase, band.p99_ms - band.p50_ms)).collect();
    parts.sort_by(|a, b| b.1.abs().total_cmp(&a.1.abs()));
    parts.retain(|(_, ms)| ms.abs() > PART_MIN * (p99 - p50));
    for (at, (phase, ms)) in parts.iter().take(PARTS_MAX).enumerate() {
        let _ = write!(text, "{} {ms:+.1} ms {}", if at == 0 { ":" } else { "," }, phase.name());
    }
    text.push_str(".\n");
    text
}

fn lists(explanation: &Explanation, text: &mut String) {
    if !explanation.dimensions.is_empty() {
        text.push_str("\nWhat slow requests have more often than others:\n");
    }
    for found in &explanation.dimensions {
        let (slow, rest) = (found.slow_share * 100.0, found.rest_share * 100.0);
        let what = format!("{} {}", found.dimension, found.value);
        let _ = writeln!(text, "  {what:40} {slow:4.0} % of the slow, {rest:3.0} % of the rest");
    }
    if !explanation.slow_keys.is_empty() {
        text.push_str("\nWhat most time was spent for:\n");
    }
    for key in &explanation.slow_keys {
        let _ = writeln!(
            text,
            "  {:48} {:6} times, {:4.1} % of all time, p50 {:.1} ms, p99 {:.1} ms",
            key.key,
            key.count,
            key.share * 100.0,
            key.p50_ms,
            key.p99_ms,
        );
    }
    if !explanation.map.is_empty() {
        text.push_str("\nWho calls whom:\n");
    }
    for edge in &explanation.map {
        let ends = format!("{} -> {}", edge.from, edge.to);
        let _ = writeln!(
            text,
            "  {ends:32} {:6} calls, p50 {:.1} ms, p99 {:.1} ms, {:.1} % failed, {:.1} in a row",
            edge.count,
            edge.p50_ms,
            edge.p99_ms,
            edge.error_share * 100.0,
            edge.serial,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_waiting_is_not_averaged_away() {
        let look = |s: u64, waited: u64| {
            (Moment::from_nanos(s * 1_000_000_000), vec![waited * 1_000_000, 0])
        };
        let calm = (0..30).map(|s| look(s, 0));
        let busy = (30..41).map(|s| look(s, (s - 29) * 500));
        assert_eq!(delays(&calm.chain(busy).collect()), [0.5, 0.0]);
        assert_eq!(delays(&VecDeque::from([look(1, 7)])), [0.0, 0.0]);
        assert_eq!(delays(&VecDeque::new()), [0.0; 0]);
    }
}
