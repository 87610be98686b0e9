//! How requests are divided among priorities, and where ejection is ignored (Envoy's rules).
//!
//! A priority that has lost less than two servers in seven still takes everything it is given: its
//! health is 1.4 times its share of fit servers. What it cannot take goes to the next. Where fewer
//! servers are fit than the panic threshold, ejected ones are asked too, unless the priorities together
//! can take everything.

/// How many servers a priority has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count {
    pub(crate) all: usize,
    pub(crate) fit: usize,
    /// Not fit, but better than nobody.
    pub(crate) ejected: usize,
}

/// What a priority gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spilt {
    /// Of 10,000 requests.
    pub(crate) load: u32,
    /// Ejection is ignored.
    pub(crate) panic: bool,
}

const OVERPROVISION: f64 = 1.4;
pub(crate) const WHOLE: u32 = 10_000;

/// What each priority gets. The loads add up to [`WHOLE`] if there is anybody to ask.
pub(crate) fn spill(counts: &[Count], threshold: f64) -> Vec<Spilt> {
    let share = |count: &Count| count.fit as f64 / count.all.max(1) as f64;
    let health = |count: &Count| (OVERPROVISION * share(count)).min(1.0);
    // Rounding must not make 1.0 of five fifths less than one.
    let together = counts.iter().map(health).sum::<f64>();
    let enough = together > 1.0 - 1e-9;
    let whole = together.min(1.0);
    let mut left = whole;
    let mut spilt = Vec::with_capacity(counts.len());
    for count in counts {
        let taken = health(count).min(left);
        left -= taken;
        let load = if whole > 0.0 { taken / whole } else { 0.0 };
        #[expect(clippy::cast_sign_loss, reason = "a share of the whole")]
        let load = (load * f64::from(WHOLE)).round() as u32;
        let panic = !enough && count.ejected > 0 && share(count) < threshold;
        spilt.push(Spilt { load, panic });
    }
    settle(counts, &mut spilt);
    spilt
}

/// Gives what rounding left to the last that takes anything; with nobody fit, all to the first in panic.
fn settle(counts: &[Count], spilt: &mut [Spilt]) {
    let given: u32 = spilt.iter().map(|one| one.load).sum();
    let last = spilt.iter().zip(counts).rposition(|(one, count)| one.load > 0 && count.fit > 0);
    let heir = last.or_else(|| spilt.iter().position(|one| one.panic));
    if let Some(heir) = heir {
        spilt[heir].load = (spilt[heir].load + WHOLE).saturating_sub(given);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(tiers: &[(usize, usize)], loads: &[u32], panics: &[bool]) {
        let count = |&(fit, all): &(usize, usize)| Count { all, fit, ejected: all - fit };
        let counts: Vec<_> = tiers.iter().map(count).collect();
        let spilt = spill(&counts, 0.5);
        assert_eq!(spilt.iter().map(|s| s.load).collect::<Vec<_>>(), loads, "{tiers:?}");
        assert_eq!(spilt.iter().map(|s| s.panic).collect::<Vec<_>>(), panics, "{tiers:?}");
    }

    #[test]
    fn the_tables_of_envoy_hold() {
        check(&[(100, 100), (100, 100)], &[10_000, 0], &[false; 2]);
        check(&[(72, 100), (100, 100)], &[10_000, 0], &[false; 2]);
        check(&[(71, 100), (100, 100)], &[9_940, 60], &[false; 2]);
        check(&[(50, 100), (100, 100)], &[7_000, 3_000], &[false; 2]);
        check(&[(25, 100), (100, 100)], &[3_500, 6_500], &[false; 2]);
        check(&[(0, 100), (100, 100)], &[0, 10_000], &[false; 2]);
        check(&[(25, 100), (25, 100)], &[5_000, 5_000], &[true; 2]);
        check(&[(50, 100), (10, 100)], &[8_333, 1_667], &[false, true]);
        check(&[(5, 100), (5, 100), (100, 100)], &[700, 700, 8_600], &[false; 3]);
    }

    #[test]
    fn one_priority_takes_everything_while_anybody_is_there() {
        check(&[(5, 5)], &[10_000], &[false]);
        check(&[(3, 5)], &[10_000], &[false]);
        check(&[(2, 5)], &[10_000], &[true]);
        check(&[(0, 1)], &[10_000], &[true]);
        check(&[(0, 2), (0, 2)], &[10_000, 0], &[true; 2]);
    }

    proptest! {
        #[test]
        fn all_is_given_and_only_to_those_who_have_somebody(
            tiers in prop::collection::vec((0_usize..9, 0_usize..9, 0_usize..9), 1..6),
            threshold in 0.0..1.0,
        ) {
            let count = |&(fit, ejected, gone): &(usize, usize, usize)| {
                Count { all: fit + ejected + gone, fit, ejected }
            };
            let counts: Vec<_> = tiers.iter().map(count).collect();
            let spilt = spill(&counts, threshold);
            let given: u32 = spilt.iter().map(|one| one.load).sum();
            let anybody = counts.iter().any(|count| count.fit > 0) || spilt.iter().any(|s| s.panic);
            prop_assert_eq!(given, if anybody { WHOLE } else { 0 });
            for (one, count) in spilt.iter().zip(&counts) {
                let usable = count.fit + if one.panic { count.ejected } else { 0 };
                prop_assert!(one.load == 0 || usable > 0);
            }
        }
    }
}
