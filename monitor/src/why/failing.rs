//! Failures: retries that make an overload worse, overload alone, one server that fails, or all.

use super::Names;
use super::cause::Cause;
use super::digest::{Digest, NO_PLACE, Row};
use super::say;
use super::suspect::Suspicion;
use crate::timeline::Phase;
use base::FaultKind;

/// So many requests have to have failed, or to have been sent again …
const COUNT_MIN: usize = 10;
/// … and this share of all.
const FAILED_SHARE: f64 = 0.005;
/// Retries that add so much to what a service is asked are a storm.
const EXTRA_MIN: f64 = 0.05;
/// Of failures and retries, the share that tells of overload.
const OVERLOAD_SHARE: f64 = 0.5;
/// One server is to blame that has so many of all failures …
const ONE_SHARE: f64 = 0.6;
/// … and so many times its share of the requests.
const ONE_TIMES: f64 = 1.6;
/// Retries of less than this are no trouble.
const RETRY_MS_MIN: f64 = 1.0;

/// What failures and retries tell.
pub(super) fn suspects(digest: &Digest<'_>, names: &Names) -> Vec<Suspicion> {
    let failed: Vec<u32> =
        digest.each().filter(|(_, row)| is_failure(row)).map(|(at, _)| at).collect();
    let again: Vec<u32> = digest
        .each()
        .filter(|(_, row)| row.record.attempts > 1 && !row.record.hedged)
        .map(|(at, _)| at)
        .collect();
    if let Some(storm) = storm(digest, names, &failed, &again) {
        return vec![storm];
    }
    if failed.len() < COUNT_MIN || (failed.len() as f64) < FAILED_SHARE * digest.rows.len() as f64 {
        return Vec::new();
    }
    vec![failing(digest, names, &failed)]
}

/// A failure of the service or of ours that is not named elsewhere.
fn is_failure(row: &Row<'_>) -> bool {
    row.failed && row.record.fault != Some(FaultKind::ServiceFull)
}

/// Does it tell that there was too much to do?
fn is_overload(row: &Row<'_>) -> bool {
    use FaultKind as K;
    let by_fault = matches!(
        row.record.fault,
        Some(K::Overloaded | K::DeadlineShort | K::FirstByteTimeout | K::TotalTimeout)
    );
    by_fault || (row.record.fault.is_none() && matches!(row.record.status, 503 | 504))
}

fn storm(digest: &Digest<'_>, names: &Names, failed: &[u32], again: &[u32]) -> Option<Suspicion> {
    let asked = digest.rows.iter().filter(|row| row.record.attempts > 0).count();
    let more: usize = again.iter().map(|at| usize::from(digest.row(*at).record.attempts) - 1).sum();
    let extra = more as f64 / asked.max(1) as f64;
    let overload = failed.iter().filter(|at| is_overload(digest.row(**at))).count();
    // What was sent again and then answered failed before: how, records do not say.
    let tells = overload as f64 >= OVERLOAD_SHARE * failed.len() as f64;
    let mut claims: Vec<(u32, f64)> =
        again.iter().map(|at| (*at, digest.row(*at).spent(Phase::Retry))).collect();
    let lost = claims.iter().map(|(_, ms)| ms).sum::<f64>() / claims.len().max(1) as f64;
    if again.len() < COUNT_MIN
        || extra < EXTRA_MIN
        || !tells
        || overload < COUNT_MIN
        || lost < RETRY_MS_MIN && (overload as f64) < 2.0 * FAILED_SHARE * digest.rows.len() as f64
    {
        return None;
    }
    // The retries are a part of what keeps all others waiting.
    let slower = digest.each().filter(|(_, row)| row.asked && row.record.attempts == 1);
    claims.extend(slower.map(|(at, row)| {
        (at, (row.service - row.usual).max(0.0).min(row.service * extra) + row.spent(Phase::Queue))
    }));
    claims.retain(|(at, _)| !digest.row(*at).failed);
    claims.extend(failed.iter().map(|at| (*at, digest.row(*at).counts)));
    let service = names.service(service_of(digest, failed));
    let sentence = format!(
        "Retries add {} to what {service} is asked, while it refuses or does not answer {} of the \
         requests; those sent again had lost {} before.",
        say::percent(extra),
        say::percent(overload as f64 / digest.rows.len() as f64),
        say::time(lost),
    );
    Some(Suspicion { cause: Cause::RetryStorm, claims, sentence })
}

fn failing(digest: &Digest<'_>, names: &Names, failed: &[u32]) -> Suspicion {
    let claims = failed.iter().map(|at| (*at, digest.row(*at).counts)).collect();
    let share = say::percent(failed.len() as f64 / digest.rows.len() as f64);
    if let Some(place) = one_server(digest, failed) {
        let name = names.server(digest.places[place as usize].1);
        let of = |is: fn(&Row<'_>) -> bool| {
            let at = digest.rows.iter().filter(|row| row.place == place && is(row)).count();
            let all = digest.rows.iter().filter(|row| row.place != NO_PLACE && is(row)).count();
            say::percent(at as f64 / all.max(1) as f64)
        };
        let sentence = format!(
            "{share} of the requests failed; {} of the failures came from {name}, {} of what was answered.",
            of(is_failure),
            of(|row| !row.failed),
        );
        return Suspicion { cause: Cause::FailingServer, claims, sentence };
    }
    let overload = failed.iter().filter(|at| is_overload(digest.row(**at))).count();
    let service = names.service(service_of(digest, failed));
    let how = commonest(digest, failed);
    let (cause, sentence) = if overload as f64 >= OVERLOAD_SHARE * failed.len() as f64 {
        (
            Cause::Overload,
            format!(
                "{share} of the requests were refused or not answered by {service} in time, most by {how}."
            ),
        )
    } else {
        (
            Cause::FailingService,
            format!("{share} of the requests to {service} failed, most by {how}."),
        )
    };
    Suspicion { cause, claims, sentence }
}

/// The server with most of the failures, if its peers do not fail alike.
fn one_server(digest: &Digest<'_>, failed: &[u32]) -> Option<u32> {
    let mut counts = vec![(0_usize, 0_usize); digest.places.len()];
    for row in digest.rows.iter().filter(|row| row.place != NO_PLACE) {
        counts[row.place as usize].1 += 1;
    }
    for at in failed {
        if let Some(count) = counts.get_mut(digest.row(*at).place as usize) {
            count.0 += 1;
        }
    }
    let (place, (own, requests)) = counts.iter().enumerate().max_by_key(|(_, count)| count.0)?;
    let service = digest.places[place].0;
    let peers = digest.places.iter().zip(&counts).filter(|((of, _), _)| *of == service);
    let of_service: usize = peers.map(|(_, count)| count.1).sum();
    let share = *own as f64 / failed.len().max(1) as f64;
    let usual = *requests as f64 / of_service.max(1) as f64;
    (share >= ONE_SHARE && share >= ONE_TIMES * usual).then_some(place as u32)
}

/// The service that most of these were for.
fn service_of(digest: &Digest<'_>, rows: &[u32]) -> Option<u16> {
    let mut services: Vec<_> =
        rows.iter().filter_map(|at| digest.row(*at).record.service).collect();
    services.sort_unstable();
    services.chunk_by(|a, b| a == b).max_by_key(|lot| lot.len()).map(|lot| lot[0])
}

/// How most of these failed.
fn commonest(digest: &Digest<'_>, rows: &[u32]) -> String {
    let how = |at: &u32| {
        let record = digest.row(*at).record;
        record
            .fault
            .map_or_else(|| format!("status {}", record.status), |fault| fault.name().to_owned())
    };
    let mut hows: Vec<String> = rows.iter().map(how).collect();
    hows.sort_unstable();
    hows.chunk_by(|a, b| a == b)
        .max_by_key(|lot| lot.len())
        .map_or_else(String::new, |lot| lot[0].clone())
}
