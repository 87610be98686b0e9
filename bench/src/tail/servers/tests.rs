//! The work that servers of scenes do: the same for every contender, and as much as was asked for.

use super::*;

fn work(spread: Spread) -> Work {
    Work { workers: 1, mean: Duration::from_millis(40), spread, stalls: 0.02, seed: 1 }
}

/// Mean and 99th percentile in milliseconds, and the share that stalls.
fn check(spread: Spread, nth: u64) -> (f64, f64, f64) {
    const COUNT: u64 = 100_000;
    let work = work(spread);
    let mut times = Vec::new();
    let mut stalls = 0;
    for number in 0..COUNT {
        let (time, late) = work.draw(number, nth);
        times.push(time.as_secs_f64() * 1e3);
        stalls += u64::from(late);
    }
    times.sort_by(f64::total_cmp);
    let mean = times.iter().sum::<f64>() / COUNT as f64;
    (mean, times[times.len() * 99 / 100], stalls as f64 / COUNT as f64)
}

#[test]
fn times_are_distributed_as_said() {
    for nth in [1, 2] {
        let (mean, p99, stalls) = check(Spread::LogNormal, nth);
        // exp(2.326 σ − σ²/2) of the mean.
        assert!((mean - 40.0).abs() < 0.6 && (p99 - 113.0).abs() < 3.0, "{mean} {p99}");
        assert!((stalls - 0.02).abs() < 0.002, "{stalls}");
        let (mean, p99, _) = check(Spread::Exponential, nth);
        assert!((mean - 40.0).abs() < 0.6 && (p99 - 184.0).abs() < 6.0, "{mean} {p99}");
    }
}

#[test]
fn a_number_costs_the_same_again_and_its_second_try_something_else() {
    let work = work(Spread::LogNormal);
    assert_eq!(work.draw(7, 1), work.draw(7, 1));
    assert_ne!(work.draw(7, 1), work.draw(7, 2));
}
