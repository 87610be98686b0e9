//! Rates and times as the user types them. Pure.

use load::RATE_MAX;
use std::time::Duration;

const STEPS_MAX: usize = 200;
const TIME_MAX: Duration = Duration::from_hours(7 * 24);

/// Requests a second, step by step; without steps there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct Rates(pub Vec<f64>);

/// `500` or `100..1000/100`.
///
/// # Errors
/// What is wrong with it, and what it may be.
pub fn rates(text: &str) -> Result<Rates, String> {
    let Some((first, rest)) = text.split_once("..") else {
        return Ok(Rates(vec![rate(text)?]));
    };
    let (last, step) = rest.split_once('/').ok_or("steps are written FIRST..LAST/STEP")?;
    let (first, last, step) = (rate(first)?, rate(last)?, rate(step)?);
    if last < first {
        return Err("the last rate is below the first; steps go up".to_owned());
    }
    let mut rates = Vec::new();
    // By multiplication: sums of fractions would miss the last step.
    while rates.len() <= STEPS_MAX {
        let next = first + step * rates.len() as f64;
        if next > last * (1.0 + 1e-9) {
            return Ok(Rates(rates));
        }
        rates.push(next);
    }
    Err(format!("more than {STEPS_MAX} steps; make them larger"))
}

fn rate(text: &str) -> Result<f64, String> {
    let rate: f64 = text.trim().parse().map_err(|_| format!("{text:?} is no number"))?;
    if rate > 0.0 && rate <= RATE_MAX {
        return Ok(rate);
    }
    Err("a rate is above 0 and at most a million a second; for as fast as can be use --clients"
        .into())
}

/// A time above 0, with its unit.
///
/// # Errors
/// What is wrong with it, and what it may be.
pub fn time(text: &str) -> Result<Duration, String> {
    let time = time_or_none(text)?;
    if time.is_zero() { Err("must be longer than 0".to_owned()) } else { Ok(time) }
}

/// The same, or `0s`.
///
/// # Errors
/// As [`time`].
pub fn time_or_none(text: &str) -> Result<Duration, String> {
    let time = base::unit::parse_duration(text)?;
    if time <= TIME_MAX { Ok(time) } else { Err("must be a week at most".to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rates_are_one_or_steps() {
        assert_eq!(rates("500"), Ok(Rates(vec![500.0])));
        assert_eq!(rates("100..300/100"), Ok(Rates(vec![100.0, 200.0, 300.0])));
        assert_eq!(rates("100..250/100"), Ok(Rates(vec![100.0, 200.0])));
        assert_eq!(rates("0.1..0.3/0.1").map(|rates| rates.0.len()), Ok(3));
    }

    #[test]
    fn wrong_rates_are_told_what_they_may_be() {
        let wrong = |text| rates(text).unwrap_err();
        assert!(wrong("0").contains("above 0"));
        assert!(wrong("-5").contains("above 0"));
        assert!(wrong("NaN").contains("above 0"));
        assert!(wrong("fast").contains("no number"));
        assert!(wrong("1..5").contains("FIRST..LAST/STEP"));
        assert!(wrong("5..1/1").contains("go up"));
        assert!(wrong("1..5/0").contains("above 0"));
        assert!(wrong("1..1000000/1").contains("make them larger"));
    }

    #[test]
    fn times_are_bounded() {
        assert_eq!(time("1500ms"), Ok(Duration::from_millis(1_500)));
        assert_eq!(time_or_none("0s"), Ok(Duration::ZERO));
        assert!(time("0s").is_err() && time("8d").is_err() && time("10").is_err());
    }

    proptest! {
        /// Steps go from the first to at most the last, evenly.
        #[test]
        fn steps_are_even(first in 1_u32..1_000, count in 1_usize..100, step in 1_u32..500) {
            let last = first + step * (count as u32 - 1);
            let steps = rates(&format!("{first}..{last}/{step}")).unwrap().0;
            prop_assert_eq!(steps.len(), count);
            prop_assert!((steps[count - 1] - f64::from(last)).abs() < 1e-6);
        }
    }
}
