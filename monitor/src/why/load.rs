//! Load coupling: does a request take longer when its own server has more to do, or when the others do?
//!
//! Who is slow because his own server is full hardly minds what the others do; what all servers share
//! makes requests slow by what is in flight anywhere.

use super::Names;
use super::cause::Cause;
use super::digest::{Digest, NO_PLACE, Row, mean, quantile};
use super::say;
use super::suspect::Suspicion;
use crate::timeline::Phase;

const COUNT_MIN: usize = 100;
/// The quarter of requests with most beside them takes so many times what the quarter with least does …
const SEVERE: f64 = 2.0;
/// … and so much longer.
const SEVERE_MS: f64 = 5.0;
/// So far the time follows what is in flight at the other servers, where something is shared …
const SHARED: f64 = 0.35;
/// … and this share of how far it follows what is in flight at its own.
const SHARED_OF_OWN: f64 = 0.6;
/// A server that is full by itself.
const OWN: f64 = 0.5;
const OWN_SEVERE: f64 = 3.0;
/// With the service's own word that it was its database, less of an echo will do.
const DB_SHARE: f64 = 0.5;
const DB_SHARED: f64 = 0.2;

/// Without a calm moment in the window: so much of the longest times is what the shortest take …
const ALIKE: f64 = 0.5;
/// … at least so long …
const SATURATED_MS: f64 = 100.0;
/// … and so many in flight.
const SATURATED_BESIDE: f64 = 50.0;

/// Services whose time follows their load; `taken` are rows that have a better explanation.
pub(super) fn suspects(digest: &Digest<'_>, names: &Names, taken: &[bool]) -> Vec<Suspicion> {
    let mut services: Vec<u16> = digest.places.iter().map(|(service, _)| *service).collect();
    services.sort_unstable();
    services.dedup();
    services.into_iter().filter_map(|service| suspect(digest, names, taken, service)).collect()
}

fn suspect(digest: &Digest<'_>, names: &Names, taken: &[bool], service: u16) -> Option<Suspicion> {
    let of_service = |row: &Row<'_>| {
        row.asked && row.place != NO_PLACE && digest.places[row.place as usize].0 == service
    };
    let rows: Vec<u32> = digest
        .each()
        .filter(|(at, row)| of_service(row) && !taken[*at as usize])
        .map(|(at, _)| at)
        .collect();
    if rows.len() < COUNT_MIN {
        return None;
    }
    let slowness = |row: &Row<'_>| (row.service.max(0.001) / row.usual).ln();
    let beside = |row: &Row<'_>| f64::from(row.beside_own + row.beside_others);
    let mut besides: Vec<f64> = rows.iter().map(|at| beside(digest.row(*at))).collect();
    let (few, many) = (quantile(&mut besides, 0.25), quantile(&mut besides, 0.75));
    let at = |is: &dyn Fn(f64) -> bool| {
        let rows = rows.iter().map(|at| digest.row(*at)).filter(|row| is(beside(row)));
        let (slow, ms): (Vec<f64>, Vec<f64>) = rows.map(|row| (slowness(row), row.service)).unzip();
        (mean(slow.into_iter()), mean(ms.into_iter()))
    };
    let (calm, calm_ms) = at(&|n| n <= few);
    let (busy, busy_ms) = at(&|n| n >= many);
    let times = (busy - calm).exp();
    if let Some(saturated) = saturated(digest, names, &rows, service) {
        return Some(saturated);
    }
    if many <= few || times < SEVERE || busy_ms - calm_ms < SEVERE_MS {
        return None;
    }
    let own = correlation(digest, &rows, slowness, |row| f64::from(row.beside_own));
    let others = correlation(digest, &rows, slowness, |row| f64::from(row.beside_others));
    let servers = digest.places.iter().filter(|(of, _)| *of == service).count();
    let db = mean(
        rows.iter()
            .map(|at| digest.row(*at))
            .filter(|row| row.slow)
            .map(|row| row.spent(Phase::Db) / row.service.max(0.001)),
    );
    let needed = if db >= DB_SHARE { DB_SHARED } else { SHARED };
    let is_shared = servers > 1 && others >= needed && others >= SHARED_OF_OWN * own
        || servers == 1 && db >= DB_SHARE && own >= SHARED;
    if !is_shared && (own < OWN || times < OWN_SEVERE) {
        return None;
    }
    let claims: Vec<_> = rows
        .iter()
        .map(|at| (*at, digest.row(*at)))
        .map(|(at, row)| {
            let calm = row.usual * calm.exp();
            (at, (row.service - calm).max(0.0) + row.spent(Phase::Queue))
        })
        .collect();
    let name = names.service(Some(service));
    let longer = format!(
        "{name} takes {} with {many:.0} requests and more in flight, {} with {few:.0} and fewer",
        say::time(busy_ms),
        say::time(calm_ms)
    );
    let told = if db >= DB_SHARE {
        format!("; {} of it is its database, by its own word", say::percent(db))
    } else {
        String::new()
    };
    let (cause, sentence) = if is_shared {
        let alike = if servers > 1 { ", on all servers alike" } else { "" };
        (Cause::SharedBackend, format!("{longer}{alike}{told}."))
    } else {
        (Cause::BusyServers, format!("{longer}; each server by its own load."))
    };
    Some(Suspicion { cause, claims, sentence })
}

/// A service that was never calm: with so much in flight all take as long as the queue is, whatever
/// they are.
fn saturated(digest: &Digest<'_>, names: &Names, rows: &[u32], service: u16) -> Option<Suspicion> {
    let row = |at: &u32| digest.row(*at);
    let mut times: Vec<f64> = rows.iter().map(|at| row(at).service).collect();
    let (least, most) = (quantile(&mut times, 0.1), quantile(&mut times, 0.9));
    let mut besides: Vec<f64> =
        rows.iter().map(row).map(|row| f64::from(row.beside_own + row.beside_others)).collect();
    let beside = quantile(&mut besides, 0.1);
    if least < ALIKE * most || least < SATURATED_MS || beside < SATURATED_BESIDE {
        return None;
    }
    let db = mean(rows.iter().map(row).map(|row| row.spent(Phase::Db) / row.service.max(0.001)));
    let name = names.service(Some(service));
    let claims = rows.iter().map(|at| (*at, row(at).service + row(at).spent(Phase::Queue)));
    let alike = format!(
        "{name} takes {} to {} for all alike, with {beside:.0} requests and more in flight all the time",
        say::time(least),
        say::time(most),
    );
    let (cause, sentence) = if db >= DB_SHARE {
        let told = format!("{alike}; {} of it is its database, by its own word.", say::percent(db));
        (Cause::SharedBackend, told)
    } else {
        (Cause::BusyServers, format!("{alike}: what they wait in is a queue."))
    };
    Some(Suspicion { cause, claims: claims.collect(), sentence })
}

/// Pearson's, of the slowness of requests and the logarithm of how many were beside them.
fn correlation(
    digest: &Digest<'_>,
    rows: &[u32],
    slowness: impl Fn(&Row<'_>) -> f64,
    beside: impl Fn(&Row<'_>) -> f64,
) -> f64 {
    let pairs: Vec<(f64, f64)> = rows
        .iter()
        .map(|at| digest.row(*at))
        .map(|row| (slowness(row), beside(row).ln_1p()))
        .collect();
    let (x, y) = (mean(pairs.iter().map(|p| p.0)), mean(pairs.iter().map(|p| p.1)));
    let (mut xx, mut yy, mut xy) = (0.0, 0.0, 0.0);
    for pair in &pairs {
        let (dx, dy) = (pair.0 - x, pair.1 - y);
        (xx, yy, xy) = (xx + dx * dx, yy + dy * dy, xy + dx * dy);
    }
    if xx * yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}
