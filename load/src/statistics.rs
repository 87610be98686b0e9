//! Whether two series of rounds differ, and by how much.
//!
//! Percentiles are never averaged: rounds are put together and the percentile is read from the whole.
//! Its interval comes from drawing rounds again with replacement (the bootstrap), with the same rounds
//! drawn from both sides, for they were run one after the other. A handful of rounds makes such
//! intervals too narrow; the percentiles of the draws that bound them are moved outwards as Student's t
//! is wider than the normal distribution (Hesterberg, "What Teachers Should Know About the Bootstrap",
//! 2015, the expanded percentile interval). Pure and seeded.

use crate::report::Latency;
use fastrand::Rng;
use std::fmt;
use std::time::Duration;

/// The shares that a report shows; the last is the slowest of all.
pub const SHARES: [f64; 6] = [0.5, 0.9, 0.95, 0.99, 0.999, 1.0];
/// Percentiles with fewer requests than this beyond them are little more than chance.
pub const BEYOND_MIN: f64 = 20.0;
/// A difference up to this is none, for those who ask whether a change is worth it.
pub const MARGIN: f64 = 0.03;

const DRAWS: usize = 2_000;

/// A figure and the interval that holds it with 95 % confidence.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The figure.
    pub value: f64,
    /// From.
    pub low: f64,
    /// To.
    pub high: f64,
}

/// What a comparison comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Certainly faster, and by more than the margin as far as can be told.
    Faster,
    /// Certainly slower, likewise.
    Slower,
    /// Certainly within the margin.
    Same,
    /// The rounds differ too much among themselves.
    Unclear,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Faster => "faster",
            Self::Slower => "slower",
            Self::Same => "no difference at ±3 %",
            Self::Unclear => "not told apart",
        })
    }
}

/// One percentile of both sides.
#[derive(Clone, Copy, Debug)]
pub struct Compared {
    /// Of which share of requests; 1: the slowest.
    pub share: f64,
    /// Of the first side, in seconds.
    pub a: Estimate,
    /// Of the second.
    pub b: Estimate,
    /// The second over the first, less one: -0.1 is a tenth less.
    pub change: Estimate,
    /// Whether there were requests enough beyond it.
    pub firm: bool,
}

impl Compared {
    /// What is said of the second side.
    pub fn verdict(&self) -> Verdict {
        verdict(self.change)
    }
}

/// What a change with its interval comes to.
pub fn verdict(change: Estimate) -> Verdict {
    if change.low >= -MARGIN && change.high <= MARGIN {
        Verdict::Same
    } else if change.high < 0.0 && change.value < -MARGIN {
        Verdict::Faster
    } else if change.low > 0.0 && change.value > MARGIN {
        Verdict::Slower
    } else {
        Verdict::Unclear
    }
}

/// Compares two series of as many rounds at every share of [`SHARES`].
///
/// # Panics
/// If the series are empty or of different lengths.
pub fn compare(a: &[Latency], b: &[Latency], seed: u64) -> Vec<Compared> {
    assert!(!a.is_empty() && a.len() == b.len(), "rounds come in pairs");
    let (one, two) = (Rounds::new(a), Rounds::new(b));
    let once = vec![1; a.len()];
    let (value_a, value_b) = (one.quantiles(&once), two.quantiles(&once));
    let mut rng = Rng::with_seed(seed);
    let mut draws: [[Vec<f64>; 3]; SHARES.len()] = Default::default();
    for _ in 0..DRAWS {
        let times = draw(a.len(), &mut rng);
        let (drawn_a, drawn_b) = (one.quantiles(&times), two.quantiles(&times));
        for (index, draws) in draws.iter_mut().enumerate() {
            let (a, b) = (drawn_a[index], drawn_b[index]);
            for (draws, value) in draws.iter_mut().zip([a, b, b / a - 1.0]) {
                draws.push(value);
            }
        }
    }
    let rounds = a.len();
    let fewest = one.total.min(two.total);
    let compared = draws.iter_mut().enumerate().map(|(index, draws)| {
        let (a, b) = (value_a[index], value_b[index]);
        let [of_a, of_b, of_change] = draws;
        let share = SHARES[index];
        Compared {
            share,
            a: interval(a, of_a, rounds),
            b: interval(b, of_b, rounds),
            change: interval(b / a - 1.0, of_change, rounds),
            firm: (1.0 - share) * fewest as f64 >= BEYOND_MIN,
        }
    });
    compared.collect()
}

/// How often each of `count` rounds is drawn.
fn draw(count: usize, rng: &mut Rng) -> Vec<u64> {
    let mut times = vec![0; count];
    (0..count).for_each(|_| times[rng.usize(0..count)] += 1);
    times
}

/// Rounds side by side: each latency that occurred, with how often in each of them.
struct Rounds {
    values: Vec<f64>,
    /// As many counts for each value as there are rounds.
    counts: Vec<u64>,
    totals: Vec<u64>,
    total: u64,
}

impl Rounds {
    fn new(rounds: &[Latency]) -> Self {
        let mut all = std::collections::BTreeMap::new();
        for (index, round) in rounds.iter().enumerate() {
            for (value, count) in round.counts() {
                all.entry(value).or_insert_with(|| vec![0; rounds.len()])[index] += count;
            }
        }
        let totals: Vec<u64> = rounds.iter().map(Latency::count).collect();
        let values = all.keys().map(Duration::as_secs_f64).collect();
        let counts = all.into_values().flatten().collect();
        Self { values, counts, total: totals.iter().sum(), totals }
    }

    /// The percentiles of all rounds together, each taken so many times.
    fn quantiles(&self, times: &[u64]) -> [f64; SHARES.len()] {
        let weigh = |counts: &[u64]| counts.iter().zip(times).map(|(n, t)| n * t).sum::<u64>();
        let total = weigh(&self.totals) as f64;
        // Nothing came in at all: as good as no time, and no division by zero.
        let mut found = [1e-9; SHARES.len()];
        let (mut seen, mut next) = (0, 0);
        for (value, counts) in self.values.iter().zip(self.counts.chunks(times.len())) {
            let count = weigh(counts);
            seen += count;
            while count > 0 && next < SHARES.len() && seen as f64 >= (SHARES[next] * total).ceil() {
                found[next] = *value;
                next += 1;
            }
        }
        found
    }
}

/// The interval that draws from so many rounds give.
fn interval(value: f64, draws: &mut [f64], rounds: usize) -> Estimate {
    draws.sort_unstable_by(f64::total_cmp);
    let last = (draws.len() - 1) as f64;
    #[expect(clippy::cast_sign_loss, reason = "a share of a length is not negative")]
    let cut = (tail(rounds) * last).floor() as usize;
    let (low, high) = (draws[cut], draws[draws.len() - 1 - cut]);
    Estimate { value, low: low.min(value), high: high.max(value) }
}

/// The share of draws to leave out on either side, for 95 % and so many rounds.
fn tail(rounds: usize) -> f64 {
    if rounds < 2 {
        return 0.0;
    }
    let n = rounds as f64;
    normal(-(n / (n - 1.0)).sqrt() * student(rounds - 1))
}

/// Student's t at 97.5 %: a table for few degrees of freedom, and beyond it the Cornish-Fisher series.
fn student(freedom: usize) -> f64 {
    const TABLE: [f64; 9] = [12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262];
    let z = 1.959_964_f64;
    let v = freedom as f64;
    let series = z
        + (z.powi(3) + z) / (4.0 * v)
        + (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / (96.0 * v * v)
        + (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / (384.0 * v.powi(3));
    TABLE.get(freedom.wrapping_sub(1)).copied().unwrap_or(series)
}

/// The normal distribution below `z` (Abramowitz and Stegun 26.2.17, to 7.5e-8).
fn normal(z: f64) -> f64 {
    if z > 0.0 {
        return 1.0 - normal(-z);
    }
    let t = 1.0 / (1.0 - 0.231_641_9 * z);
    let polynomial = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530]
        .iter()
        .fold(0.0, |sum, factor| (sum + factor) * t);
    (-z * z / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt() * polynomial
}

/// The points of a percentile curve, for an axis of nines: a share, and the latency that it did not
/// exceed.
pub fn curve(latency: &Latency) -> Vec<(f64, Duration)> {
    let total = latency.count().max(1) as f64;
    let mut seen = 0;
    let points = latency.counts().map(|(value, count)| {
        // At the middle of its bucket: the slowest of n stands at 1 - 1/2n, and not at infinity.
        let share = (seen as f64 + count as f64 - 0.5) / total;
        seen += count;
        (share, value)
    });
    points.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fastrand::Rng;
    use proptest::prelude::*;

    fn round(rng: &mut Rng, scale: f64, count: usize) -> Latency {
        let mut latency = Latency::new();
        // Rounds differ as a whole by some two per cent, as on a shared machine.
        let whole = scale * (1.0 + 0.04 * (rng.f64() - 0.5));
        for _ in 0..count {
            let millis = whole * (1.0 - (1.0 - rng.f64()).ln());
            latency.record(Duration::from_secs_f64(millis / 1e3));
        }
        latency
    }

    fn series(rng: &mut Rng, scale: f64) -> Vec<Latency> {
        (0..5).map(|_| round(rng, scale, 400)).collect()
    }

    #[test]
    fn the_same_is_rarely_called_different() {
        let mut wrong = 0;
        for seed in 0..60 {
            let mut rng = Rng::with_seed(seed);
            let (a, b) = (series(&mut rng, 1.0), series(&mut rng, 1.0));
            let median = compare(&a, &b, seed)[0].verdict();
            wrong += u32::from(matches!(median, Verdict::Faster | Verdict::Slower));
        }
        assert!(wrong <= 3, "{wrong} of 60");
    }

    #[test]
    fn what_is_a_fifth_slower_is_called_so() {
        for seed in 0..20 {
            let mut rng = Rng::with_seed(seed);
            let (a, b) = (series(&mut rng, 1.0), series(&mut rng, 1.2));
            let median = compare(&a, &b, seed)[0];
            assert_eq!(median.verdict(), Verdict::Slower, "{median:?}");
            let back = compare(&b, &a, seed)[0];
            assert_eq!(back.verdict(), Verdict::Faster, "{back:?}");
        }
    }

    #[test]
    fn rounds_that_are_equal_are_the_same() {
        let mut rng = Rng::with_seed(1);
        let a = series(&mut rng, 1.0);
        assert!(compare(&a, &a, 1).iter().all(|row| row.verdict() == Verdict::Same));
    }

    #[test]
    fn the_bounds_are_those_of_the_tables() {
        assert!((normal(-1.959_964) - 0.025).abs() < 1e-6);
        assert!((normal(1.0) - 0.841_344_7).abs() < 1e-6);
        assert!((student(4) - 2.776).abs() < 1e-9 && (student(30) - 2.042).abs() < 2e-3);
        assert!((student(10) - 2.228).abs() < 2e-3);
    }

    fn estimate(low: f64, value: f64, high: f64) -> Estimate {
        Estimate { value, low, high }
    }

    #[test]
    fn a_verdict_needs_certainty_and_size() {
        let check = |low, value, high| verdict(estimate(low, value, high));
        assert_eq!(check(-0.02, 0.0, 0.02), Verdict::Same);
        assert_eq!(check(-0.30, -0.20, -0.10), Verdict::Faster);
        assert_eq!(check(0.01, 0.05, 0.09), Verdict::Slower);
        assert_eq!(check(-0.01, 0.05, 0.09), Verdict::Unclear);
        assert_eq!(check(0.01, 0.02, 0.04), Verdict::Unclear);
        assert_eq!(check(-0.5, 0.0, 0.5), Verdict::Unclear);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Figures are those of all rounds together, and intervals hold them.
        #[test]
        fn figures_are_those_of_the_whole(
            rounds in proptest::collection::vec(proptest::collection::vec(1_u64..9_000_000, 1..40), 2..7),
        ) {
            let series: Vec<Latency> = rounds.iter().map(|round| {
                let mut latency = Latency::new();
                for micros in round { latency.record(Duration::from_micros(*micros)); }
                latency
            }).collect();
            let mut whole = Latency::new();
            for round in &series { whole.merge(round); }
            for row in compare(&series, &series, 7) {
                let exact = whole.quantile(row.share).as_secs_f64();
                prop_assert!((row.a.value - exact).abs() <= 1e-9 + 0.001 * exact, "{} for {}", row.a.value, exact);
                prop_assert!(row.a.low <= row.a.value && row.a.value <= row.a.high);
                prop_assert_eq!(row.change, estimate(0.0, 0.0, 0.0));
            }
        }

        /// A curve climbs to the slowest and never reaches one.
        #[test]
        fn a_curve_climbs(micros in proptest::collection::vec(1_u64..9_000_000, 1..200)) {
            let mut latency = Latency::new();
            for micros in &micros { latency.record(Duration::from_micros(*micros)); }
            let curve = curve(&latency);
            prop_assert!(curve.is_sorted_by(|a, b| a.0 < b.0 && a.1 < b.1));
            prop_assert!(curve.iter().all(|(share, _)| *share > 0.0 && *share < 1.0));
            prop_assert_eq!(curve.last().map(|point| point.1), Some(latency.max()));
        }
    }
}
