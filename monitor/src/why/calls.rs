//! Who calls whom: a map of services, and requests that make many calls one after another.

use super::cause::Cause;
use super::critical::{self, Span};
use super::digest::{Digest, mean, quantile};
use super::say;
use super::suspect::Suspicion;
use super::{Edge, Names, round};
use crate::trace::Trace;
use std::collections::{BTreeMap, HashMap, HashSet};

/// So many calls of one kind in a row are one too many.
const SERIAL_MIN: usize = 4;
/// So many requests have to make them.
const CALLERS_MIN: usize = 5;
/// What could be saved has to be this share of the request.
const SAVED_MIN: f64 = 0.3;
/// Calls of one request that are looked at.
const CALLS_MAX: usize = 512;
/// Tries of one request that can have calls below them.
const TRIES_MAX: u8 = 8;
/// Edges that are told.
const EDGES_MAX: usize = 100;

/// Requests with the calls below them.
#[derive(Debug, Default)]
pub(super) struct Calls {
    /// Who called each row, if we saw it.
    callers: HashMap<u32, u32>,
    families: Vec<Family>,
}

/// One request and what it made of others.
#[derive(Debug)]
struct Family {
    caller: u32,
    /// The longest row of calls of one kind that its time depended on, one after another.
    serial: Vec<u32>,
    /// The kind's service.
    service: Option<u16>,
}

impl Calls {
    pub(super) fn of(digest: &Digest<'_>) -> Self {
        let mut below: HashMap<u64, Vec<u32>> = HashMap::new();
        for (at, row) in digest.each().filter(|(_, row)| row.record.parent != 0) {
            below.entry(row.record.parent).or_default().push(at);
        }
        let mut calls = Self::default();
        if below.is_empty() {
            return calls;
        }
        let mut strangers = strangers(digest, &below);
        for (caller, row) in digest.each() {
            let record = row.record;
            let trace = Trace { span: record.span, ..Trace::OFF };
            let mut children: Vec<u32> = (1..=record.attempts.min(TRIES_MAX))
                .filter_map(|number| below.get(&trace.try_span(number)))
                .flatten()
                .copied()
                .filter(|child| digest.row(*child).record.trace == record.trace)
                .collect();
            children.extend(strangers.remove(&caller).into_iter().flatten());
            children.truncate(CALLS_MAX);
            if !children.is_empty() {
                calls.callers.extend(children.iter().map(|child| (*child, caller)));
                calls.families.push(family(digest, caller, &children));
            }
        }
        calls
    }
}

/// Calls by a span that we did not make: a service with tracing of its own stands between. They belong
/// to the first request of their trace that we saw, if they lie within its time.
fn strangers(digest: &Digest<'_>, below: &HashMap<u64, Vec<u32>>) -> HashMap<u32, Vec<u32>> {
    let mut ours: HashSet<u64> = HashSet::new();
    let mut first: HashMap<u64, u32> = HashMap::new();
    for (at, row) in digest.each().filter(|(_, row)| row.record.trace != 0) {
        let trace = Trace { span: row.record.span, ..Trace::OFF };
        ours.extend((1..=row.record.attempts.min(TRIES_MAX)).map(|number| trace.try_span(number)));
        first.entry(row.record.trace).or_insert(at);
    }
    let mut strangers: HashMap<u32, Vec<u32>> = HashMap::new();
    for (_, children) in below.iter().filter(|(parent, _)| !ours.contains(parent)) {
        for child in children {
            let record = digest.row(*child).record;
            let Some(caller) = first.get(&record.trace).filter(|at| *at != child) else { continue };
            let (from, within) = (digest.row(*caller).record, digest.row(*caller).ended());
            if from.attempts > 0 && digest.row(*child).ended() <= within {
                strangers.entry(*caller).or_default().push(*child);
            }
        }
    }
    strangers
}

fn family(digest: &Digest<'_>, caller: u32, children: &[u32]) -> Family {
    let span = |at: u32, caller| {
        let record = digest.row(at).record;
        Span { begun: record.begun, ended: record.begun + record.total(), caller }
    };
    let mut spans = vec![span(caller, None)];
    spans.extend(children.iter().map(|child| span(*child, Some(0))));
    let path = critical::path(&spans);
    let mut serial: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for (child, _) in children.iter().zip(&path.critical[1..]).filter(|(_, critical)| **critical) {
        serial.entry(digest.row(*child).kind).or_default().push(*child);
    }
    let serial = serial.into_values().max_by_key(Vec::len).unwrap_or_default();
    let service = serial.first().and_then(|at| digest.row(*at).record.service);
    Family { caller, serial, service }
}

/// N+1: what would be saved if the calls of one kind were one, or made at once.
pub(super) fn serial(digest: &Digest<'_>, calls: &Calls, names: &Names) -> Option<Suspicion> {
    let mut claims = Vec::new();
    let mut counts = Vec::new();
    let mut kinds: BTreeMap<(Option<u16>, Option<u16>), usize> = BTreeMap::new();
    for family in calls.families.iter().filter(|family| family.serial.len() >= SERIAL_MIN) {
        let times = family.serial.iter().map(|at| digest.row(*at).total);
        let longest = times.clone().fold(0.0, f64::max);
        let saved = times.sum::<f64>() - longest;
        let caller = digest.row(family.caller);
        if saved < SAVED_MIN * caller.total {
            continue;
        }
        claims.push((family.caller, saved));
        counts.push(family.serial.len() as f64);
        *kinds.entry((caller.record.service, family.service)).or_default() += 1;
    }
    if claims.len() < CALLERS_MIN {
        return None;
    }
    let ((from, to), _) = kinds.into_iter().max_by_key(|(_, n)| *n)?;
    let mut callers: Vec<u32> = claims.iter().map(|(at, _)| *at).collect();
    callers.sort_unstable();
    let slow = callers.iter().filter(|at| digest.row(**at).slow).count();
    let sentence = format!(
        "{} of the slow requests made {:.0} calls from {} to {}, one after another; made at once they \
         would save {}.",
        say::percent(slow as f64 / digest.slow_count.max(1) as f64),
        mean(counts.iter().copied()),
        names.service(from),
        names.service(to),
        say::time(mean(claims.iter().map(|(_, ms)| *ms))),
    );
    Some(Suspicion { cause: Cause::SerialCalls, claims, sentence })
}

/// Edges from clients and services to services, the busiest first.
pub(super) fn map(digest: &Digest<'_>, calls: &Calls, names: &Names) -> Vec<Edge> {
    type Ends = (Option<u16>, Option<u16>, bool);
    let mut edges: BTreeMap<Ends, Vec<u32>> = BTreeMap::new();
    for (at, row) in digest.each() {
        let caller = calls.callers.get(&at).map(|caller| digest.row(*caller).record.service);
        let ends = (caller.flatten(), row.record.service, row.record.cached.is_some());
        // Whether it was the cache matters only where no service was.
        let ends = (ends.0, ends.1, ends.1.is_none() && ends.2);
        edges.entry(ends).or_default().push(at);
    }
    let mut serial: BTreeMap<(Option<u16>, Option<u16>), Vec<f64>> = BTreeMap::new();
    for family in &calls.families {
        let ends = (digest.row(family.caller).record.service, family.service);
        serial.entry(ends).or_default().push(family.serial.len() as f64);
    }
    let mut map: Vec<Edge> = edges
        .into_iter()
        .map(|((from, to, from_cache), rows)| {
            let mut times: Vec<f64> = rows.iter().map(|at| digest.row(*at).total).collect();
            let failed = rows.iter().filter(|at| digest.row(**at).failed).count();
            let in_a_row = serial.get(&(from, to)).map_or(1.0, |n| mean(n.iter().copied()));
            let to = match to {
                None if from_cache => "cache".to_owned(),
                None => "gateway".to_owned(),
                some => names.service(some),
            };
            Edge {
                from: from.map_or_else(|| "client".to_owned(), |from| names.service(Some(from))),
                to,
                count: rows.len(),
                p50_ms: round(quantile(&mut times, 0.5)),
                p99_ms: round(quantile(&mut times, 0.99)),
                error_share: round(failed as f64 / rows.len() as f64),
                serial: round(in_a_row),
            }
        })
        .collect();
    map.sort_by_key(|edge| std::cmp::Reverse(edge.count));
    map.truncate(EDGES_MAX);
    map
}
