//! Where the time goes: what the requests around the median and those around the tail spent, phase by
//! phase. Means over a band of requests, so that the parts sum to the whole.

use monitor::{Phase, Record};
use std::time::Duration;

/// Requests around one percentile.
#[derive(Clone, Debug, PartialEq)]
pub struct Band {
    /// The percentile.
    pub name: &'static str,
    /// What they took on average.
    pub total: Duration,
    /// The same by phase, without phases that took nothing.
    pub parts: Vec<(Phase, Duration)>,
}

/// A band: its name, its limits as shares, and how many requests there must be to tell it.
type Limits = (&'static str, f64, f64, usize);

const MIDDLE: Limits = ("p50", 0.45, 0.55, 40);
/// The farthest of these for which there are enough requests is the tail: twenty beyond it.
const TAILS: [Limits; 3] =
    [("p99", 0.985, 0.995, 2_000), ("p95", 0.93, 0.97, 400), ("p90", 0.87, 0.93, 200)];

/// The band around the median and that of the tail, where there are enough records.
pub fn bands<'r>(records: impl Iterator<Item = &'r Record>) -> [Option<Band>; 2] {
    let mut records: Vec<(Duration, &Record)> = records.map(|r| (r.total(), r)).collect();
    let middle = band(&mut records, MIDDLE);
    let tail = TAILS.into_iter().find_map(|limits| band(&mut records, limits));
    [middle, tail]
}

fn band(records: &mut [(Duration, &Record)], limits: Limits) -> Option<Band> {
    let (name, from, to, count_min) = limits;
    if records.len() < count_min {
        return None;
    }
    #[expect(clippy::cast_sign_loss, reason = "a share of a count is not negative")]
    let at = |share: f64| ((records.len() as f64 * share) as usize).min(records.len() - 1);
    let (from, to) = (at(from), at(to));
    records.select_nth_unstable_by_key(from, |(total, _)| *total);
    let (band, ..) = records[from..].select_nth_unstable_by_key(to - from, |(total, _)| *total);
    let n = band.len().max(1) as u32;
    let mean =
        |of: &dyn Fn(&(Duration, &Record)) -> Duration| band.iter().map(of).sum::<Duration>() / n;
    let parts = Phase::ALL.iter().map(|phase| (*phase, mean(&|(_, r)| r.spent(*phase))));
    Some(Band {
        name,
        total: mean(&|(total, _)| *total),
        parts: parts.filter(|(_, time)| !time.is_zero()).collect(),
    })
}
