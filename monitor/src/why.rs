//! Why is the tail slow: what slow and failed requests of the last minute have in common, in sentences.
//!
//! Pure: records in, an [`Explanation`] out; called when somebody asks, never on the path of a request.
//! Each cause is looked for by evidence of its own (a server against its peers, a phase that should be
//! short, a key against its route, …) and raises nothing by being slow alone: requests differ. What has
//! evidence is ranked by how much of the time of slow requests it claims (`suspect`). A failure
//! counts as slow, and for at least what a request at p99 takes.

mod calls;
pub mod cause;
mod compare;
pub mod critical;
mod crowd;
mod digest;
mod failing;
mod load;
mod routes;
mod say;
mod servers;
mod suspect;
mod waits;

use crate::record::Record;
use crate::timeline::Phase;
pub use cause::Cause;
use digest::{Digest, quantile, whole};
use std::collections::HashMap;
use std::time::Duration;
use suspect::Suspicion;

/// With fewer requests there is nothing to say of a tail.
pub const COUNT_MIN: usize = 200;
/// More are not looked at: the newest of them.
pub const COUNT_MAX: usize = 65_536;
/// Keys that are told.
const KEYS_MAX: usize = 10;
/// The bands that are compared: around p99, and around p50.
const SLOW_BAND: (f64, f64) = (0.985, 0.995);
const USUAL_BAND: (f64, f64) = (0.45, 0.55);
/// A row of a suspicion that claims so much of it needs no other explanation.
const TAKEN: f64 = 0.4;

/// What numbers in records mean.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Routes, by their place in the settings.
    pub routes: Vec<String>,
    /// Services, by their place in the settings.
    pub services: Vec<String>,
    /// Servers, by their number.
    pub servers: HashMap<u32, String>,
    /// What was asked for, by its hash, as far as that is known.
    pub keys: HashMap<u64, String>,
}

impl Names {
    fn route(&self, at: Option<u16>) -> String {
        let name = at.and_then(|at| self.routes.get(usize::from(at)));
        name.cloned().unwrap_or_else(|| "no route".to_owned())
    }

    fn service(&self, at: Option<u16>) -> String {
        let name = at.and_then(|at| self.services.get(usize::from(at)));
        name.cloned().unwrap_or_else(|| "no service".to_owned())
    }

    fn server(&self, id: u32) -> String {
        self.servers.get(&id).cloned().unwrap_or_else(|| format!("server {id}"))
    }

    fn key(&self, hash: u64) -> String {
        self.keys.get(&hash).cloned().unwrap_or_else(|| format!("#{hash:016x}"))
    }

    /// A key of a route: its text, or both.
    fn key_of(&self, route: Option<u16>, hash: u64) -> String {
        let text = self.keys.get(&hash).cloned();
        text.unwrap_or_else(|| format!("{} #{hash:016x}", self.route(route)))
    }
}

/// What records do not know.
#[derive(Clone, Debug)]
pub struct Context {
    /// For each of our threads, the share of the window in which it could have run and had no core.
    pub run_delay: Vec<f64>,
    /// How long the gateway has run.
    pub uptime: Duration,
    /// How long ago something was last purged.
    pub purged: Option<Duration>,
}

/// Why the tail is slow.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    /// How many requests were looked at.
    pub count: usize,
    /// What half of them took at most, in milliseconds.
    pub p50_ms: f64,
    /// What 99 of 100 took at most.
    pub p99_ms: f64,
    /// What the time of both went to.
    pub bands: Vec<Band>,
    /// Causes, what explains the most first.
    pub findings: Vec<Finding>,
    /// What is as it should be and yet worth knowing, in sentences.
    pub notes: Vec<String>,
    /// What slow requests have in common.
    pub dimensions: Vec<Dimension>,
    /// What most time was spent for.
    pub slow_keys: Vec<SlowKey>,
    /// Who calls whom.
    pub map: Vec<Edge>,
}

/// A phase's part of p50 and p99: the parts of all phases sum to both.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The phase.
    pub phase: Phase,
    /// Its part of p50.
    pub p50_ms: f64,
    /// Its part of p99.
    pub p99_ms: f64,
}

/// A cause, with its figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Which.
    pub cause: Cause,
    /// It in a few words.
    pub title: &'static str,
    /// What was seen.
    pub sentence: String,
    /// What to do.
    pub next: &'static str,
    /// What it adds to those it slows, in milliseconds.
    pub ms: f64,
    /// The share of slow requests that it explains.
    pub share: f64,
}

/// A value that slow requests have more often than others.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// Of what.
    pub dimension: &'static str,
    /// Which.
    pub value: String,
    /// The share of slow requests that have it.
    pub slow_share: f64,
    /// The share of the others.
    pub rest_share: f64,
    /// How many have it.
    pub count: usize,
}

/// Something asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowKey {
    /// It, with its method.
    pub key: String,
    /// How often it was.
    pub count: usize,
    /// What half of them took.
    pub p50_ms: f64,
    /// What 99 of 100 took.
    pub p99_ms: f64,
    /// Its share of the time of all requests.
    pub share: f64,
}

/// Calls from one to another.
#[derive(Clone, Debug, PartialEq)]
pub struct Edge {
    /// A service, or `client`.
    pub from: String,
    /// A service, or `cache` or `gateway` where none was asked.
    pub to: String,
    /// How many.
    pub count: usize,
    /// What half of them took.
    pub p50_ms: f64,
    /// What 99 of 100 took.
    pub p99_ms: f64,
    /// The share that failed.
    pub error_share: f64,
    /// How many a request made one after another, on average.
    pub serial: f64,
}

/// Four digits behind the point: what people and pages need.
fn round(value: f64) -> f64 {
    (value * 1e4).round() / 1e4
}

/// Explains the tail of these records.
pub fn explain(records: &[Record], names: &Names, context: &Context) -> Explanation {
    let records = &records[records.len().saturating_sub(COUNT_MAX)..];
    let digest = Digest::of(records);
    let calls = calls::Calls::of(&digest);
    let mut explanation = Explanation {
        count: records.len(),
        p50_ms: round(digest.p50),
        p99_ms: round(digest.p99),
        bands: bands(&digest),
        slow_keys: slow_keys(&digest, names),
        map: calls::map(&digest, &calls, names),
        ..Explanation::default()
    };
    if records.len() >= COUNT_MIN {
        explanation.dimensions = compare::dimensions(&digest, names);
        explanation.findings = suspect::rank(&digest, suspects(&digest, &calls, names, context));
        explanation.notes.extend(crowd::filling(&digest, context));
    }
    explanation
}

fn suspects(
    digest: &Digest<'_>,
    calls: &calls::Calls,
    names: &Names,
    context: &Context,
) -> Vec<Suspicion> {
    let mut all = servers::suspects(digest, names);
    all.extend(routes::suspects(digest, names));
    all.extend(calls::serial(digest, calls, names));
    all.extend(crowd::suspects(digest, names, context));
    // Whose time is explained by its server, key or route says nothing of how load and time go together.
    let mut taken = vec![false; digest.rows.len()];
    for (at, ms) in all.iter().flat_map(|suspicion| &suspicion.claims) {
        taken[*at as usize] |= *ms > TAKEN * digest.row(*at).counts;
    }
    all.extend(load::suspects(digest, names, &taken));
    all.extend(failing::suspects(digest, names));
    all.extend(waits::suspects(digest, names, context));
    all
}

/// What each phase takes of p50 and of p99. The band's means are scaled to the percentile itself.
fn bands(digest: &Digest<'_>) -> Vec<Band> {
    let mut order: Vec<u32> = (0..digest.rows.len() as u32).collect();
    order.sort_unstable_by(|a, b| digest.row(*a).total.total_cmp(&digest.row(*b).total));
    let band = |(from, to): (f64, f64)| {
        let at = |share: f64| whole(order.len() as f64 * share);
        &order
            [at(from).min(order.len().saturating_sub(1))..at(to).max(at(from) + 1).min(order.len())]
    };
    let parts = |rows: &[u32], whole: f64| -> Vec<f64> {
        let sum = |phase: &Phase| rows.iter().map(|at| digest.row(*at).spent(*phase)).sum::<f64>();
        let sums: Vec<f64> = Phase::ALL.iter().map(sum).collect();
        let all: f64 = sums.iter().sum();
        sums.iter().map(|sum| if all > 0.0 { sum / all * whole } else { 0.0 }).collect()
    };
    let (usual, slow) = (parts(band(USUAL_BAND), digest.p50), parts(band(SLOW_BAND), digest.p99));
    let bands = Phase::ALL.iter().zip(usual).zip(slow);
    bands
        .map(|((phase, p50), p99)| Band { phase: *phase, p50_ms: round(p50), p99_ms: round(p99) })
        .filter(|band| band.p50_ms > 0.0 || band.p99_ms > 0.0)
        .collect()
}

/// What most time was spent for.
fn slow_keys(digest: &Digest<'_>, names: &Names) -> Vec<SlowKey> {
    let time = |key: &[u32]| key.iter().map(|at| digest.row(*at).total).sum::<f64>();
    let all: f64 = digest.rows.iter().map(|row| row.total).sum();
    let mut keys: Vec<(f64, &[u32])> = digest.keys().map(|key| (time(key), key)).collect();
    keys.sort_by(|a, b| b.0.total_cmp(&a.0));
    let told = keys.into_iter().take(KEYS_MAX).map(|(sum, key)| {
        let record = digest.row(key[0]).record;
        let mut times: Vec<f64> = key.iter().map(|at| digest.row(*at).total).collect();
        let name = names.key_of(record.route, record.beside.key);
        SlowKey {
            key: format!("{} {name}", record.beside.method.name()),
            count: key.len(),
            p50_ms: round(quantile(&mut times, 0.5)),
            p99_ms: round(quantile(&mut times, 0.99)),
            share: round(sum / all.max(f64::EPSILON)),
        }
    });
    told.collect()
}
