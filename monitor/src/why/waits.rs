//! Waits that a request should hardly know: for a connection, for being let in, for the client, for us.

use super::cause::Cause;
use super::digest::{Digest, Row, is_from_store, mean};
use super::say;
use super::suspect::Suspicion;
use super::{Context, Names};
use crate::timeline::Phase;
use base::FaultKind;

/// So many requests have to have waited.
const COUNT_MIN: usize = 10;
/// A wait is worth a word if it takes this share of what slow requests take …
const SHARE_MIN: f64 = 0.2;
/// … and so many milliseconds for those who wait: for us, for the client.
const OWN_MS_MIN: f64 = 2.0;
const CLIENT_MS_MIN: f64 = 20.0;
const WAIT_MS_MIN: f64 = 3.0;
/// Of requests to a service, so many on a new connection are too many …
const FRESH_SHARE: f64 = 0.5;
const FRESH_COUNT_MIN: usize = 100;
/// … if making it takes this share of them.
const FRESH_COST_MIN: f64 = 0.05;
/// Making a connection takes long from here on.
const CONNECT_MS_SLOW: f64 = 20.0;
const CONNECT_COUNT_MIN: usize = 8;
/// A thread that should run and does not for this share of the time is short of CPU.
const RUN_DELAY: f64 = 0.08;
/// Answers of this size and more are large.
const LARGE: u64 = 64 << 10;

const CONNECTING: [Phase; 3] = [Phase::Resolve, Phase::Connect, Phase::Tls];

/// All waits that are too long.
pub(super) fn suspects(digest: &Digest<'_>, names: &Names, context: &Context) -> Vec<Suspicion> {
    let slow_connect = slow_connect(digest, names);
    let pool = small_pool(digest, names, slow_connect.is_some());
    [
        slow_connect,
        pool,
        small_limit(digest, names),
        no_keep_alive(digest, names),
        clients(digest, Phase::Write, Cause::SlowClients),
        clients(digest, Phase::Receive, Cause::SlowUploads),
        busy_gateway(digest, context),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What all spent in a phase, and the share of slow requests' time that it is.
fn spent(digest: &Digest<'_>, of: impl Fn(&Row<'_>) -> f64) -> (Vec<(u32, f64)>, f64) {
    let claims: Vec<_> =
        digest.each().map(|(at, row)| (at, of(row))).filter(|(_, ms)| *ms > 0.0).collect();
    let slow = claims.iter().filter(|(at, _)| digest.row(*at).slow).map(|(_, ms)| ms).sum::<f64>();
    (claims, slow / digest.slow_sum.max(f64::EPSILON))
}

/// The share of slow requests' time, or of that of all if it is more, that these phases are.
fn share_of(digest: &Digest<'_>, phases: &[Phase]) -> f64 {
    let sum = |spent: &[f64]| phases.iter().map(|phase| spent[*phase as usize]).sum::<f64>();
    let slow = sum(&digest.slow_spent) / digest.slow_sum.max(f64::EPSILON);
    slow.max(sum(&digest.spent) / digest.sum.max(f64::EPSILON))
}

/// What a phase takes of the slow requests that know it.
fn of_slow(digest: &Digest<'_>, claims: &[(u32, f64)]) -> f64 {
    mean(claims.iter().filter(|(at, _)| digest.row(*at).slow).map(|(_, ms)| *ms))
}

/// The service that most of the claimed time was spent for.
fn service_of(digest: &Digest<'_>, names: &Names, claims: &[(u32, f64)]) -> String {
    let mut services: Vec<(Option<u16>, f64)> = Vec::new();
    for (at, ms) in claims {
        let service = digest.row(*at).record.service;
        match services.iter_mut().find(|(known, _)| *known == service) {
            Some((_, sum)) => *sum += ms,
            None => services.push((service, *ms)),
        }
    }
    let most = services.iter().max_by(|a, b| a.1.total_cmp(&b.1));
    names.service(most.and_then(|(service, _)| *service))
}

fn small_pool(digest: &Digest<'_>, names: &Names, slow_connect: bool) -> Option<Suspicion> {
    let full = |row: &Row<'_>| row.record.fault == Some(FaultKind::ServiceFull);
    let refused = digest.rows.iter().filter(|row| full(row)).count();
    if refused < COUNT_MIN && share_of(digest, &[Phase::Pool]) < SHARE_MIN {
        return None;
    }
    // While connections are slow to make, waiting for one says nothing of how many there may be.
    let waits = |row: &Row<'_>| if slow_connect { 0.0 } else { row.spent(Phase::Pool) };
    let (claims, share) = spent(digest, |row| if full(row) { row.counts } else { waits(row) });
    let waited = of_slow(digest, &claims);
    if refused < COUNT_MIN
        && (share < SHARE_MIN || waited < WAIT_MS_MIN || claims.len() < COUNT_MIN)
    {
        return None;
    }
    let service = service_of(digest, names, &claims);
    let sentence = if refused >= COUNT_MIN {
        format!(
            "{refused} requests ({} of all) were refused because more connections to {service} than \
             `connections_max` would have been needed.",
            say::percent(refused as f64 / digest.rows.len() as f64),
        )
    } else {
        format!(
            "Slow requests waited {} for a connection to {service} that others were using: {} of \
             their time.",
            say::time(waited),
            say::percent(share),
        )
    };
    Some(Suspicion { cause: Cause::SmallPool, claims, sentence })
}

fn small_limit(digest: &Digest<'_>, names: &Names) -> Option<Suspicion> {
    if share_of(digest, &[Phase::Queue]) < SHARE_MIN {
        return None;
    }
    let (claims, share) = spent(digest, |row| row.spent(Phase::Queue));
    let waited = of_slow(digest, &claims);
    if share < SHARE_MIN || waited < WAIT_MS_MIN || claims.len() < COUNT_MIN {
        return None;
    }
    let service = service_of(digest, names, &claims);
    let sentence = format!(
        "Slow requests waited {} to be let in to {service}: {} of their time.",
        say::time(waited),
        say::percent(share),
    );
    Some(Suspicion { cause: Cause::SmallLimit, claims, sentence })
}

fn connecting(row: &Row<'_>) -> f64 {
    CONNECTING.iter().map(|phase| row.spent(*phase)).sum()
}

fn is_fresh(row: &Row<'_>) -> bool {
    !is_from_store(row.record) && !row.record.reused && connecting(row) > 0.0
}

/// The share of requests to services that were on a new connection, and their number.
fn fresh(digest: &Digest<'_>) -> (f64, usize) {
    let asked = digest.rows.iter().filter(|row| !is_from_store(row.record)).count();
    let fresh = digest.rows.iter().filter(|row| is_fresh(row)).count();
    (fresh as f64 / asked.max(1) as f64, fresh)
}

fn no_keep_alive(digest: &Digest<'_>, names: &Names) -> Option<Suspicion> {
    let (share, count) = fresh(digest);
    if share < FRESH_SHARE {
        return None;
    }
    let (claims, _) = spent(digest, |row| if is_fresh(row) { connecting(row) } else { 0.0 });
    let cost = mean(claims.iter().map(|(_, ms)| *ms));
    let whole = mean(digest.rows.iter().filter(|row| is_fresh(row)).map(|row| row.total));
    if share < FRESH_SHARE || count < FRESH_COUNT_MIN || cost < FRESH_COST_MIN * whole {
        return None;
    }
    let sentence = format!(
        "{} of the requests to {} were sent on a new connection; making it takes {} of {}.",
        say::percent(share),
        service_of(digest, names, &claims),
        say::time(cost),
        say::time(whole),
    );
    Some(Suspicion { cause: Cause::NoKeepAlive, claims, sentence })
}

fn slow_connect(digest: &Digest<'_>, names: &Names) -> Option<Suspicion> {
    if share_of(digest, &CONNECTING) + share_of(digest, &[Phase::Pool]) < SHARE_MIN / 2.0 {
        return None;
    }
    // Waiting for a connection that another request makes is part of it.
    let (claims, slow_share) = spent(digest, |row| match connecting(row) {
        making if making >= CONNECT_MS_SLOW => making + row.spent(Phase::Pool),
        _ if row.spent(Phase::Pool) >= CONNECT_MS_SLOW => row.spent(Phase::Pool),
        _ => 0.0,
    });
    let made: Vec<f64> = digest.rows.iter().map(connecting).filter(|ms| *ms > 0.0).collect();
    let slow = made.iter().filter(|ms| **ms >= CONNECT_MS_SLOW).count();
    // The mean: a lost SYN costs a second, and few are lost.
    let typical = mean(made.iter().copied());
    // Where nothing is kept, that comes first, unless connecting is out of all proportion.
    let bound =
        if fresh(digest).0 >= FRESH_SHARE { 5.0 * CONNECT_MS_SLOW } else { CONNECT_MS_SLOW };
    if slow < CONNECT_COUNT_MIN || typical < bound || slow_share < SHARE_MIN / 2.0 {
        return None;
    }
    let parts = CONNECTING.map(|phase| digest.rows.iter().map(|row| row.spent(phase)).sum::<f64>());
    let longest = (0..3).max_by(|a, b| parts[*a].total_cmp(&parts[*b]))?;
    let what = ["finding its address", "connecting", "the TLS handshake"][longest];
    let sentence = format!(
        "{slow} connections to {} took {} and more to make, {} all together on average; {} of it was {what}.",
        service_of(digest, names, &claims),
        say::time(CONNECT_MS_SLOW),
        say::time(typical),
        say::percent(parts[longest] / parts.iter().sum::<f64>().max(f64::EPSILON)),
    );
    Some(Suspicion { cause: Cause::SlowConnect, claims, sentence })
}

fn clients(digest: &Digest<'_>, phase: Phase, cause: Cause) -> Option<Suspicion> {
    if share_of(digest, &[phase]) < SHARE_MIN {
        return None;
    }
    let (claims, share) = spent(digest, |row| row.spent(phase));
    let waited = of_slow(digest, &claims);
    if share < SHARE_MIN || waited < CLIENT_MS_MIN || claims.len() < COUNT_MIN {
        return None;
    }
    let slow = || claims.iter().map(|(at, _)| digest.row(*at)).filter(|row| row.slow);
    let size = mean(slow().map(|row| row.record.sent as f64));
    let sentence = if phase == Phase::Receive {
        format!(
            "Slow requests waited {} for their own bodies to come: {} of their time.",
            say::time(waited),
            say::percent(share),
        )
    } else {
        let large =
            say::shares(digest, &format!("had answers over {}", say::bytes(LARGE as f64)), |row| {
                row.record.sent >= LARGE
            });
        format!(
            "Slow requests spent {} ({} of their time) until the client had taken the answer, {} on \
             average; {large}.",
            say::time(waited),
            say::percent(share),
            say::bytes(size),
        )
    };
    Some(Suspicion { cause, claims, sentence })
}

fn busy_gateway(digest: &Digest<'_>, context: &Context) -> Option<Suspicion> {
    if share_of(digest, &[Phase::Lag, Phase::Gateway]) < SHARE_MIN / 2.0 {
        return None;
    }
    let (claims, share) = spent(digest, |row| row.spent(Phase::Lag) + row.spent(Phase::Gateway));
    // It may be late for all alike.
    let of_all = claims.iter().map(|(_, ms)| ms).sum::<f64>() / digest.sum.max(f64::EPSILON);
    let share = share.max(of_all);
    let late = of_slow(digest, &claims);
    let delay = context.run_delay.iter().copied().fold(0.0, f64::max);
    let waits = delay >= RUN_DELAY;
    let enough = if waits { SHARE_MIN / 2.0 } else { SHARE_MIN * 1.5 };
    if share < enough || late < OWN_MS_MIN || claims.len() < COUNT_MIN {
        return None;
    }
    let cpu = if waits {
        format!("a thread of ours waited for a core for {} of the time", say::percent(delay))
    } else {
        "our threads had cores, but more work than fits in".to_owned()
    };
    let sentence = format!(
        "Slow requests waited {} for the gateway itself: {} of their time; {cpu}.",
        say::time(late),
        say::percent(share),
    );
    Some(Suspicion { cause: Cause::BusyGateway, claims, sentence })
}
