//! What slow requests have in common and others have not: every value of every dimension, by the
//! G-statistic.

use super::digest::{Digest, Row, is_from_store};
use super::{Dimension, Names, round};
use crate::facts::Cached;
use base::FaultKind;

/// A value that fewer have says nothing.
const SUPPORT_MIN: usize = 30;
/// How sure to be that a difference is no chance, over all values that are looked at.
const CHANCE_MAX: f64 = 0.01;
/// A value that so few slow requests have explains nothing.
const SHARE_MIN: f64 = 0.1;
/// How many are told.
const TOLD_MAX: usize = 12;

type Value = fn(&Row<'_>) -> Option<u64>;

/// What is looked at: its name, and a number for its value.
const DIMENSIONS: [(&str, Value); 14] = [
    ("route", |row| row.record.route.map(u64::from)),
    ("service", |row| row.record.service.map(u64::from)),
    ("server", |row| row.record.server.map(u64::from)),
    ("method", |row| Some(row.record.beside.method as u64)),
    ("status", |row| Some(u64::from(row.record.status))),
    ("fault", |row| row.record.fault.map(|fault| fault as u64)),
    ("cache", |row| row.record.cached.map(|cached| cached as u64)),
    ("size", |row| Some(size(row.record.sent))),
    ("connection", |row| (!is_from_store(row.record)).then(|| row.record.reused.into())),
    ("attempts", |row| Some(row.record.attempts.min(9).into())),
    ("hedged", |row| row.record.hedged.then_some(1)),
    ("protocol", |row| Some(row.record.beside.h2.into())),
    ("tls", |row| Some(row.record.beside.tls.into())),
    ("key", |row| Some(row.record.beside.key)),
];

/// Classes of sizes: up to 1 KiB, and then by factors of eight.
fn size(bytes: u64) -> u64 {
    (bytes >> 10).checked_ilog(8).map_or(0, |class| u64::from(class) + 1)
}

/// The values that set slow requests apart, the surest first.
pub(super) fn dimensions(digest: &Digest<'_>, names: &Names) -> Vec<Dimension> {
    let mut found = Vec::new();
    let mut tests = 0_usize;
    for (dimension, value) in DIMENSIONS {
        let mut values: Vec<u64> =
            digest.rows.iter().filter(|row| row.slow).filter_map(value).collect();
        values.sort_unstable();
        let mut counts: Vec<(u64, usize, usize)> = values
            .chunk_by(|a, b| a == b)
            .filter(|lot| lot.len() as f64 >= SHARE_MIN * digest.slow_count as f64)
            .map(|lot| (lot[0], lot.len(), 0))
            .collect();
        if counts.is_empty() {
            continue;
        }
        for value in digest.rows.iter().filter(|row| !row.slow).filter_map(value) {
            if let Some(count) = counts.iter_mut().find(|count| count.0 == value) {
                count.2 += 1;
            }
        }
        tests += counts.len();
        found.extend(counts.into_iter().map(|count| (dimension, count)));
    }
    let others = digest.rows.len() - digest.slow_count;
    let mut found: Vec<(f64, Dimension)> = found
        .into_iter()
        .filter(|(_, (_, slow, rest))| slow + rest >= SUPPORT_MIN)
        .filter_map(|(dimension, (value, slow, rest))| {
            let (slow_share, rest_share) =
                (slow as f64 / digest.slow_count as f64, rest as f64 / others.max(1) as f64);
            let g = g_statistic([slow, digest.slow_count - slow], [rest, others - rest]);
            // The tail of chi-square with one degree lies below exp(-g/2).
            let sure = (-g / 2.0).exp() * (tests as f64) < CHANCE_MAX;
            (slow_share > rest_share && sure).then(|| {
                let value = text(dimension, value, names);
                let (slow_share, rest_share) = (round(slow_share), round(rest_share));
                let count = slow + rest;
                (g, Dimension { dimension, value, slow_share, rest_share, count })
            })
        })
        .collect();
    found.sort_by(|a, b| b.0.total_cmp(&a.0));
    found.into_iter().take(TOLD_MAX).map(|(_, dimension)| dimension).collect()
}

/// Twice the information that one split gives about the other (Woolf 1957).
fn g_statistic(slow: [usize; 2], rest: [usize; 2]) -> f64 {
    let all = (slow[0] + slow[1] + rest[0] + rest[1]) as f64;
    let mut g = 0.0;
    for row in [slow, rest] {
        for (column, seen) in row.into_iter().enumerate() {
            let expected = (row[0] + row[1]) as f64 * (slow[column] + rest[column]) as f64 / all;
            if seen > 0 {
                g += 2.0 * seen as f64 * (seen as f64 / expected).ln();
            }
        }
    }
    g
}

fn text(dimension: &str, value: u64, names: &Names) -> String {
    match dimension {
        "route" => names.route(Some(value as u16)),
        "service" => names.service(Some(value as u16)),
        "server" => names.server(value as u32),
        "key" => names.key(value),
        "method" => {
            use crate::record::Method as M;
            let all = [M::Get, M::Head, M::Post, M::Put, M::Patch, M::Delete, M::Other];
            all.get(value as usize).map_or("other", |method| method.name()).to_owned()
        }
        "fault" => FaultKind::ALL.get(value as usize).map_or("?", |kind| kind.name()).to_owned(),
        "cache" => Cached::ALL.get(value as usize).map_or("?", |cached| cached.name()).to_owned(),
        "connection" => if value == 0 { "new" } else { "reused" }.to_owned(),
        "protocol" => if value == 0 { "HTTP/1" } else { "HTTP/2" }.to_owned(),
        "hedged" | "tls" => if value == 0 { "no" } else { "yes" }.to_owned(),
        "size" => match value {
            0 => "under 1 KiB".to_owned(),
            class => {
                let from = 1_024.0 * 8_f64.powi(class as i32 - 1);
                format!("{} to {}", super::say::bytes(from), super::say::bytes(from * 8.0))
            }
        },
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_independent_has_no_g() {
        assert!(g_statistic([10, 90], [100, 900]).abs() < 1e-9);
        // By hand: 2 (40 ln 4 + 10 ln (10/40) … ) of a table whose halves differ.
        let g = g_statistic([40, 10], [10, 40]);
        assert!((g - 38.55).abs() < 0.01, "{g}");
    }

    #[test]
    fn sizes_have_classes() {
        let sizes = [0, 1_023, 1_024, 8_191, 8_192, 65_536, 1 << 20];
        assert_eq!(sizes.map(size), [0, 0, 1, 1, 2, 3, 4]);
    }
}
