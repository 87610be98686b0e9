//! Figures over many seeds: each with its bound, all printed, and with the seeds that break it.

use std::fmt::Write;

/// One figure of one history.
pub(crate) struct Figure {
    name: String,
    value: f64,
    least: f64,
    most: f64,
}

/// A figure that must not be greater.
pub(crate) fn at_most(name: impl Into<String>, value: f64, most: f64) -> Figure {
    Figure { name: name.into(), value, least: f64::NEG_INFINITY, most }
}

/// A figure that must not be less.
pub(crate) fn at_least(name: impl Into<String>, value: f64, least: f64) -> Figure {
    Figure { name: name.into(), value, least, most: f64::INFINITY }
}

/// A figure to compare with.
pub(crate) fn shown(name: impl Into<String>, value: f64) -> Figure {
    Figure { name: name.into(), value, least: f64::NEG_INFINITY, most: f64::INFINITY }
}

/// Every figure of so many histories (`SEEDS` of the environment, if it is set), within its bounds.
pub(crate) fn check(fact: &str, seeds: u64, history: fn(u64) -> Vec<Figure>) {
    let seeds = std::env::var("SEEDS").map_or(seeds, |seeds| seeds.parse().expect("a number"));
    let mut figures: Vec<Vec<Figure>> = Vec::new();
    for seed in 0..seeds {
        for (index, figure) in history(seed).into_iter().enumerate() {
            if index == figures.len() {
                figures.push(Vec::new());
            }
            figures[index].push(figure);
        }
    }
    let mut page = format!("{fact}, {seeds} seeds: min / median / max\n");
    let broken = figures.iter().filter(|figures| !line(&mut page, figures)).count();
    assert!(broken == 0, "{page}");
    println!("{page}");
}

/// One line of the page; answers whether all of them are within their bounds.
fn line(page: &mut String, figures: &[Figure]) -> bool {
    let first = &figures[0];
    let mut values: Vec<f64> = figures.iter().map(|figure| figure.value).collect();
    values.sort_by(f64::total_cmp);
    let (min, median, max) = (values[0], values[values.len() / 2], values[values.len() - 1]);
    let _ = write!(page, "  {:60} {min:9.3} / {median:9.3} / {max:9.3}", first.name);
    if first.least.is_finite() {
        let _ = write!(page, "  (at least {:.3})", first.least);
    }
    if first.most.is_finite() {
        let _ = write!(page, "  (at most {:.3})", first.most);
    }
    // A figure that could not be taken is no good one.
    let is_good = |figure: &Figure| figure.value >= figure.least && figure.value <= figure.most;
    let bound = first.least.is_finite() || first.most.is_finite();
    let bad = (0..).zip(figures).filter(|(_, figure)| bound && !is_good(figure));
    let bad: Vec<u64> = bad.map(|(seed, _)| seed).collect();
    if !bad.is_empty() {
        let some = &bad[..bad.len().min(10)];
        let _ = write!(page, "  BROKEN by {} seeds: {some:?}", bad.len());
    }
    page.push('\n');
    bad.is_empty()
}
