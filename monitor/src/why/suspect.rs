//! Causes that have evidence, and which of them explain the most.
//!
//! A suspicion claims time of single requests. How bad it is, is the share of all the time of slow
//! requests (or of all requests, if that is more) that it claims; what two claim belongs to whoever
//! claims more of the whole, and who has nothing left is dropped.

use super::cause::Cause;
use super::digest::Digest;
use super::{Finding, round};

/// What a finding has to explain of the time of slow requests …
const SHARE_MIN: f64 = 0.05;
/// … and what beyond those before it.
const REST_MIN: f64 = 0.04;
/// A slow request is explained by whoever claims so much of what it took longer than half of all.
const EXPLAINED: f64 = 0.4;

/// A cause with evidence.
#[derive(Debug)]
pub(super) struct Suspicion {
    pub(super) cause: Cause,
    /// Milliseconds of rows, each row once.
    pub(super) claims: Vec<(u32, f64)>,
    pub(super) sentence: String,
}

/// Findings, what explains the most first.
pub(super) fn rank(digest: &Digest<'_>, suspicions: Vec<Suspicion>) -> Vec<Finding> {
    let mut left: Vec<_> = suspicions
        .into_iter()
        .map(|suspicion| (harm(digest, &suspicion, &[]), suspicion))
        .filter(|(harm, _)| *harm >= SHARE_MIN)
        .collect();
    let weigh = |harm: f64, suspicion: &Suspicion| harm * suspicion.cause.weight();
    left.sort_by(|a, b| weigh(b.0, &b.1).total_cmp(&weigh(a.0, &a.1)));
    let mut taken = vec![0.0; digest.rows.len()];
    let mut findings = Vec::new();
    for (_, suspicion) in left {
        if harm(digest, &suspicion, &taken) < REST_MIN {
            continue;
        }
        for (at, ms) in &suspicion.claims {
            let taken = &mut taken[*at as usize];
            *taken = ms.max(*taken);
        }
        findings.push(finding(digest, suspicion));
    }
    findings
}

/// The share of the time of slow requests, or of all, that is claimed and not taken.
fn harm(digest: &Digest<'_>, suspicion: &Suspicion, taken: &[f64]) -> f64 {
    let (mut slow, mut all) = (0.0, 0.0);
    for (at, ms) in &suspicion.claims {
        let row = digest.row(*at);
        let taken = taken.get(*at as usize).copied().unwrap_or(0.0);
        let free = (ms.min(row.counts) - taken).max(0.0);
        all += free;
        slow += if row.slow { free } else { 0.0 };
    }
    (slow / digest.slow_sum.max(f64::EPSILON)).max(all / digest.sum.max(f64::EPSILON))
}

fn finding(digest: &Digest<'_>, suspicion: Suspicion) -> Finding {
    let slow = || suspicion.claims.iter().filter(|(at, _)| digest.row(*at).slow);
    let explained = slow().filter(|(at, ms)| {
        let row = digest.row(*at);
        *ms >= EXPLAINED * (row.counts - digest.p50) && *ms > 0.0
    });
    let share = explained.count() as f64 / digest.slow_count.max(1) as f64;
    let of_slow = super::digest::mean(slow().map(|(_, ms)| *ms));
    let of_all = super::digest::mean(suspicion.claims.iter().map(|(_, ms)| *ms));
    Finding {
        cause: suspicion.cause,
        title: suspicion.cause.title(),
        sentence: suspicion.sentence,
        next: suspicion.cause.next(),
        ms: round(if of_slow > 0.0 { of_slow } else { of_all }),
        share: round(share),
    }
}
