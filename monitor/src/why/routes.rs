//! One route against the others, and some keys of a route against its other keys.

use super::Names;
use super::cause::Cause;
use super::digest::{Digest, quantile};
use super::say;
use super::suspect::Suspicion;
use crate::timeline::Phase;

/// A route with fewer requests is not judged.
const COUNT_MIN: usize = 30;
/// A route is slow that takes so many times what the others do, and so much longer.
const SLOWER: f64 = 4.0;
const SLOWER_MS: f64 = 20.0;
/// A key is judged from so many requests on …
const KEY_COUNT_MIN: usize = 4;
/// … and heavy if all but a quarter of them take so many times what half of the route's keys do.
const HEAVY: f64 = 3.0;
const HEAVY_MS: f64 = 20.0;
/// Where more keys than this are heavy, it is the route.
const HEAVY_KEYS_MAX: f64 = 0.35;
/// How many heavy keys are named.
const NAMED_MAX: usize = 3;

/// What a kind's keys take.
struct Kind {
    route: Option<u16>,
    service: Option<u16>,
    rows: Vec<u32>,
    /// What half of its distinct keys take, each counted once.
    keys_half: f64,
    keys: Vec<Key>,
}

struct Key {
    hash: u64,
    rows: Vec<u32>,
    quarter: f64,
    /// What others waited for its answers: if that is more, it is a crowd and not a heavy key.
    waited: f64,
}

/// Slow routes and heavy keys.
pub(super) fn suspects(digest: &Digest<'_>, names: &Names) -> Vec<Suspicion> {
    let kinds = kinds(digest);
    slow(digest, names, &kinds).into_iter().chain(heavy(digest, names, &kinds)).collect()
}

fn kinds(digest: &Digest<'_>) -> Vec<Kind> {
    let count = digest.rows.iter().map(|row| row.kind as usize + 1).max().unwrap_or(0);
    let mut keys: Vec<Vec<Key>> = (0..count).map(|_| Vec::new()).collect();
    let mut halves: Vec<Vec<f64>> = vec![Vec::new(); count];
    for lot in digest.keys() {
        let rows: Vec<u32> = lot.iter().copied().filter(|at| digest.row(*at).asked).collect();
        let Some(first) = rows.first().map(|at| digest.row(*at)) else { continue };
        let mut times: Vec<f64> = rows.iter().map(|at| digest.row(*at).service).collect();
        halves[first.kind as usize].push(quantile(&mut times, 0.5));
        let quarter = quantile(&mut times, 0.25);
        let waited = lot.iter().map(|at| digest.row(*at).spent(Phase::Collapse)).sum();
        let hash = first.record.beside.key;
        keys[first.kind as usize].push(Key { hash, rows, quarter, waited });
    }
    let kinds = keys.into_iter().zip(halves).filter_map(|(keys, mut halves)| {
        let rows: Vec<u32> = keys.iter().flat_map(|key| key.rows.iter().copied()).collect();
        let first = digest.row(*rows.first()?).record;
        let keys_half = quantile(&mut halves, 0.5);
        Some(Kind { route: first.route, service: first.service, rows, keys_half, keys })
    });
    kinds.filter(|kind| kind.rows.len() >= COUNT_MIN).collect()
}

fn slow(digest: &Digest<'_>, names: &Names, kinds: &[Kind]) -> Option<Suspicion> {
    let mut claims = Vec::new();
    let mut worst: Option<(f64, &Kind, f64)> = None;
    for kind in kinds {
        let others = kinds.iter().filter(|other| other.route != kind.route);
        let mut times: Vec<f64> = others
            .clone()
            .flat_map(|other| other.rows.iter().map(|at| digest.row(*at).service))
            .collect();
        if times.is_empty() {
            continue;
        }
        let half = quantile(&mut times, 0.5);
        // Where all of a service is slow, it is not the route.
        let siblings = others.filter(|other| other.service == kind.service);
        let next = siblings.map(|other| other.keys_half).max_by(f64::total_cmp).unwrap_or(half);
        let usual = half.max(next.min(kind.keys_half / HEAVY));
        if kind.keys_half < SLOWER * half
            || kind.keys_half - half < SLOWER_MS
            || next * 2.0 > kind.keys_half
        {
            continue;
        }
        let own: Vec<_> =
            kind.rows.iter().map(|at| (*at, (digest.row(*at).service - usual).max(0.0))).collect();
        let harm: f64 = own.iter().map(|(_, ms)| ms).sum();
        if worst.is_none_or(|(before, ..)| harm > before) {
            worst = Some((harm, kind, half));
        }
        claims.extend(own);
    }
    let (_, kind, half) = worst?;
    let name = names.route(kind.route);
    let were = say::shares(digest, &format!("were for the route {name}"), |row| {
        row.record.route == kind.route
    });
    let sentence = format!(
        "{were}; {} takes {} for half of what is asked of it, the other routes {}.",
        names.service(kind.service),
        say::time(kind.keys_half),
        say::time(half),
    );
    Some(Suspicion { cause: Cause::SlowRoute, claims, sentence })
}

fn heavy(digest: &Digest<'_>, names: &Names, kinds: &[Kind]) -> Option<Suspicion> {
    let mut claims = Vec::new();
    let mut found: Vec<(f64, &Key, &Kind)> = Vec::new();
    for kind in kinds {
        let half = kind.keys_half.max(0.001);
        let heavy: Vec<&Key> = kind
            .keys
            .iter()
            .filter(|key| key.rows.len() >= KEY_COUNT_MIN)
            .filter(|key| key.quarter > HEAVY * half && key.quarter - half > HEAVY_MS)
            .filter(|key| key.waited < key.quarter * key.rows.len() as f64)
            .collect();
        if heavy.is_empty() || heavy.len() as f64 > HEAVY_KEYS_MAX * kind.keys.len() as f64 {
            continue;
        }
        for key in heavy {
            let own: Vec<_> = key
                .rows
                .iter()
                .map(|at| (*at, (digest.row(*at).service - half).max(0.0)))
                .collect();
            found.push((own.iter().map(|(_, ms)| ms).sum(), key, kind));
            claims.extend(own);
        }
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (_, worst, kind) = found.first()?;
    let mut heavy: Vec<u32> = claims.iter().map(|(at, _)| *at).collect();
    heavy.sort_unstable();
    let slow = heavy.iter().filter(|at| digest.row(**at).slow).count();
    let named: Vec<_> = found
        .iter()
        .take(NAMED_MAX)
        .map(|(_, key, _)| names.key_of(kind.route, key.hash))
        .collect();
    let sentence = format!(
        "{} of the slow requests were for {} of {} things asked for ({}{}), {} of the rest; {} takes {} \
         every time, half of what the route {} serves {}.",
        say::percent(slow as f64 / digest.slow_count.max(1) as f64),
        found.len(),
        kinds.iter().map(|kind| kind.keys.len()).sum::<usize>(),
        named.join(", "),
        if found.len() > NAMED_MAX { ", …" } else { "" },
        say::percent(
            (heavy.len() - slow) as f64 / (digest.rows.len() - digest.slow_count).max(1) as f64
        ),
        names.key_of(kind.route, worst.hash),
        say::time(worst.quarter),
        names.route(kind.route),
        say::time(kind.keys_half),
    );
    Some(Suspicion { cause: Cause::HeavyKeys, claims, sentence })
}
