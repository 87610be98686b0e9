//! One server of a service against its peers, with the same work: slow, or standing still at times.

use super::Names;
use super::cause::Cause;
use super::digest::{Digest, NO_PLACE, mean, quantile};
use super::say;
use super::suspect::Suspicion;

/// A server with fewer requests is not judged.
const COUNT_MIN: usize = 10;
/// So much slower than the others is no chance of hardware.
const SLOWER: f64 = 1.6;
/// And by less than this nobody minds.
const SLOWER_MS_MIN: f64 = 1.0;
/// So many of its requests have to be slower than half of the others'.
const SLOWER_SHARE: f64 = 0.75;
/// An outlier takes longer, beyond what is usual, than so many of the requests to the other servers
/// do, and by so many milliseconds at least …
const OUTLIER_SHARE: f64 = 0.995;
const OUTLIER_MS: f64 = 30.0;
/// … and a server that stands still has so many times as many of them.
const OUTLIER_TIMES: f64 = 4.0;
const OUTLIERS_MIN: usize = 8;
/// Without peers an outlier takes so many times what is usual.
const OUTLIER: f64 = 3.0;
/// What stood still goes on for all at once: within so many milliseconds and this share of the wait.
const TOGETHER_MS: f64 = 15.0;
const TOGETHER_SHARE: f64 = 0.1;
/// So many outliers have to go on together with another.
const TOGETHER_MIN: f64 = 0.5;
/// At least once so many at once.
const TOGETHER_COUNT: usize = 3;
/// Without peers to compare with, that often.
const ALONE_STALLS: usize = 3;

/// The requests of one server, by what is usual for them.
struct Server {
    place: u32,
    rows: Vec<u32>,
    /// What half of its requests take, as a multiple of what is usual.
    half: f64,
}

/// Servers that are slower than the others of their service, or stand still.
pub(super) fn suspects(digest: &Digest<'_>, names: &Names) -> Vec<Suspicion> {
    let mut servers: Vec<Server> = (0..digest.places.len() as u32)
        .map(|place| Server { place, rows: Vec::new(), half: 0.0 })
        .collect();
    for (at, row) in digest.each().filter(|(_, row)| row.asked && row.place != NO_PLACE) {
        servers[row.place as usize].rows.push(at);
    }
    for server in &mut servers {
        server.half = quantile(&mut multiples(digest, &server.rows), 0.5);
    }
    servers.retain(|server| server.rows.len() >= COUNT_MIN);
    servers.sort_by_key(|server| digest.places[server.place as usize].0);
    let mut suspects = Vec::new();
    for service in servers.chunk_by(|a, b| service(digest, a) == service(digest, b)) {
        suspects.extend(slow(digest, names, service));
        suspects.extend(stalling(digest, names, service));
    }
    suspects
}

fn service(digest: &Digest<'_>, server: &Server) -> u16 {
    digest.places[server.place as usize].0
}

fn multiples(digest: &Digest<'_>, rows: &[u32]) -> Vec<f64> {
    rows.iter().map(|at| digest.row(*at)).map(|row| row.service / row.usual).collect()
}

/// What half of the others' halves are.
fn of_others(servers: &[Server], but: u32) -> Option<f64> {
    let mut halves: Vec<f64> =
        servers.iter().filter(|other| other.place != but).map(|other| other.half).collect();
    // Of an even number the lower one: the slower half is not what is usual.
    halves.sort_by(f64::total_cmp);
    (!halves.is_empty()).then(|| halves[(halves.len() - 1) / 2])
}

fn slow(digest: &Digest<'_>, names: &Names, servers: &[Server]) -> Option<Suspicion> {
    let mut claims = Vec::new();
    let mut worst: Option<(f64, &Server, f64)> = None;
    for server in servers {
        let Some(others) = of_others(servers, server.place) else { continue };
        let more = |at: &u32| {
            let row = digest.row(*at);
            row.service - row.usual * others
        };
        let mut mores: Vec<f64> = server.rows.iter().map(more).collect();
        let slower = mores.iter().filter(|ms| **ms > 0.0).count() as f64 / mores.len() as f64;
        let typical = quantile(&mut mores, 0.5);
        if server.half < SLOWER * others || slower < SLOWER_SHARE || typical < SLOWER_MS_MIN {
            continue;
        }
        let own: Vec<_> = server.rows.iter().map(|at| (*at, more(at).max(0.0))).collect();
        let harm: f64 = own.iter().map(|(_, ms)| ms).sum();
        if worst.is_none_or(|(before, ..)| harm > before) {
            worst = Some((harm, server, others));
        }
        claims.extend(own);
    }
    let (_, server, others) = worst?;
    let name = names.server(digest.places[server.place as usize].1);
    let went = say::shares(digest, &format!("went to {name}"), |row| row.place == server.place);
    let usual = |by: f64| mean(server.rows.iter().map(|at| digest.row(*at).usual * by));
    let sentence = format!(
        "{went}; it takes {} for what the other servers of {} do in {}.",
        say::time(usual(server.half)),
        names.service(Some(service(digest, server))),
        say::time(usual(others)),
    );
    Some(Suspicion { cause: Cause::SlowServer, claims, sentence })
}

/// Outliers of requests that end together.
struct Stalls {
    /// How many times several went on at once, and the mean time between them.
    count: usize,
    every_ms: f64,
    /// The share of outliers that went on together with another.
    together: f64,
    /// The most at once.
    most: usize,
}

fn stalls(digest: &Digest<'_>, outliers: &[u32]) -> Stalls {
    let mut ends: Vec<(f64, f64)> = outliers
        .iter()
        .map(|at| digest.row(*at))
        .map(|row| (row.ended(), (row.service * TOGETHER_SHARE).max(TOGETHER_MS)))
        .collect();
    ends.sort_by(|a, b| a.0.total_cmp(&b.0));
    let lots = ends.chunk_by(|a, b| b.0 - a.0 <= a.1).filter(|lot| lot.len() > 1);
    let lots: Vec<(f64, usize)> = lots.map(|lot| (lot[0].0, lot.len())).collect();
    let count = lots.len();
    let span = lots.last().map_or(0.0, |last| last.0 - lots[0].0);
    Stalls {
        count,
        every_ms: span / count.saturating_sub(1).max(1) as f64,
        together: lots.iter().map(|lot| lot.1).sum::<usize>() as f64 / ends.len().max(1) as f64,
        most: lots.iter().map(|lot| lot.1).max().unwrap_or(0),
    }
}

/// Rows of a server that took much longer than nearly all of its peers' do.
fn outliers(digest: &Digest<'_>, server: &Server, servers: &[Server]) -> Vec<u32> {
    let more = |at: u32, half: f64| {
        let row = digest.row(at);
        row.service - row.usual * half
    };
    let peers = servers.iter().filter(|other| other.place != server.place);
    let mut theirs: Vec<f64> =
        peers.flat_map(|peer| peer.rows.iter().map(move |at| more(*at, peer.half))).collect();
    let bound = quantile(&mut theirs, OUTLIER_SHARE).max(OUTLIER_MS);
    let is_outlier = |at: u32| {
        let row = digest.row(at);
        // Without peers it has to be out of all proportion.
        let alone = theirs.is_empty() && row.service < OUTLIER * row.usual;
        !alone && more(at, server.half) > bound
    };
    server.rows.iter().copied().filter(|at| is_outlier(*at)).collect()
}

fn stalling(digest: &Digest<'_>, names: &Names, servers: &[Server]) -> Option<Suspicion> {
    let sum = |own: &[u32]| own.iter().map(|at| digest.row(*at).service).sum::<f64>();
    let all = servers.iter().map(|server| (server, outliers(digest, server, servers)));
    let (server, own) = all.max_by(|a, b| sum(&a.1).total_cmp(&sum(&b.1)))?;
    let share = own.len() as f64 / server.rows.len() as f64;
    // Most of the time it has to be well, or it is slow and does not stand still.
    let mostly_slow = own.len() * 2 > server.rows.len()
        || of_others(servers, server.place).is_some_and(|others| server.half > SLOWER * others);
    let found = stalls(digest, &own);
    let apart = match servers.len() {
        1 => found.count >= ALONE_STALLS,
        _ => share >= OUTLIER_TIMES * (1.0 - OUTLIER_SHARE),
    };
    if own.len() < OUTLIERS_MIN
        || mostly_slow
        || !apart
        || found.together < TOGETHER_MIN
        || found.most < TOGETHER_COUNT
    {
        return None;
    }
    let claim = |at: &u32| (*at, digest.row(*at).service - digest.row(*at).usual);
    let claims: Vec<_> = own.iter().map(claim).collect();
    let mut waits: Vec<f64> = claims.iter().map(|(_, ms)| *ms).collect();
    let name = names.server(digest.places[server.place as usize].1);
    let went = say::shares(digest, &format!("went to {name}"), |row| row.place == server.place);
    let every = match found.count {
        3.. => format!(", about every {},", say::time(found.every_ms)),
        _ => String::new(),
    };
    let sentence = format!(
        "{went}; it stood still {} times{every} for up to {}, and then went on with all that had waited.",
        found.count,
        say::time(quantile(&mut waits, 0.95)),
    );
    Some(Suspicion { cause: Cause::StallingServer, claims, sentence })
}
