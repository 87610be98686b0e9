//! What a run of the suite came to: a table by kind, and every case that did not pass, with why.

use super::case::{Case, Kind};
use super::judge::{Failure, Verdict};
use std::collections::{BTreeMap, HashMap};
use std::fmt;

/// What a case counts as.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It passed, and all it depends on.
    Pass,
    /// Its own expectation was not met.
    Fail(String),
    /// What it needs beforehand was not so.
    Setup(String),
    /// The origin was asked twice for one request.
    Retry,
    /// This case, which it depends on, did not pass.
    Dependency(String),
}

/// The outcomes of a run.
#[derive(Debug)]
pub struct Report {
    rows: Vec<(String, String, Kind, Outcome)>,
}

impl Report {
    /// Of these cases, from how their runs ended.
    pub fn new(cases: &[Case], verdicts: Vec<(String, Verdict)>) -> Self {
        let verdicts: HashMap<_, _> = verdicts.into_iter().collect();
        let known: HashMap<_, _> = cases.iter().map(|case| (case.id.as_str(), case)).collect();
        let row = |case: &Case| {
            (case.suite.clone(), case.id.clone(), case.kind, outcome(case, &known, &verdicts))
        };
        Self { rows: cases.iter().map(row).collect() }
    }

    /// How many cases of this kind passed.
    pub fn passed(&self, kind: Kind) -> usize {
        self.count(kind, |outcome| *outcome == Outcome::Pass)
    }

    /// How many cases of this kind there are.
    pub fn total(&self, kind: Kind) -> usize {
        self.count(kind, |_| true)
    }

    /// The names of the cases of this kind that did not pass, sorted.
    pub fn failing(&self, kind: Kind) -> Vec<&str> {
        let bad = self.rows.iter().filter(|row| row.2 == kind && row.3 != Outcome::Pass);
        let mut names: Vec<_> = bad.map(|row| row.1.as_str()).collect();
        names.sort_unstable();
        names
    }

    fn count(&self, kind: Kind, which: impl Fn(&Outcome) -> bool) -> usize {
        self.rows.iter().filter(|row| row.2 == kind && which(&row.3)).count()
    }
}

fn outcome(
    case: &Case,
    known: &HashMap<&str, &Case>,
    verdicts: &HashMap<String, Verdict>,
) -> Outcome {
    for name in &case.depends_on {
        let passes = known
            .get(name.as_str())
            .is_none_or(|case| outcome(case, known, verdicts) == Outcome::Pass);
        if !passes {
            return Outcome::Dependency(name.clone());
        }
    }
    match verdicts.get(&case.id) {
        None => Outcome::Fail("it was not run".to_owned()),
        Some(Ok(())) => Outcome::Pass,
        Some(Err(Failure::Own(why))) => Outcome::Fail(why.clone()),
        Some(Err(Failure::Setup(why))) => Outcome::Setup(why.clone()),
        Some(Err(Failure::Retry)) => Outcome::Retry,
    }
}

const KINDS: [(Kind, &str); 3] =
    [(Kind::Required, "required"), (Kind::Optimal, "optimal"), (Kind::Check, "check")];

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (kind, name) in KINDS {
            let of = |which: fn(&Outcome) -> bool| self.count(kind, which);
            writeln!(
                f,
                "{name:<9} {:>3}/{:<3}  failed {}, setup {}, retry {}, dependency {}",
                self.passed(kind),
                self.total(kind),
                of(|o| matches!(o, Outcome::Fail(_))),
                of(|o| matches!(o, Outcome::Setup(_))),
                of(|o| *o == Outcome::Retry),
                of(|o| matches!(o, Outcome::Dependency(_))),
            )?;
        }
        self.suites(f)?;
        for (kind, name) in KINDS {
            let bad = self.rows.iter().filter(|row| row.2 == kind && row.3 != Outcome::Pass);
            for (suite, id, _, outcome) in bad {
                writeln!(f, "{name:<9} {suite}/{id}: {outcome}")?;
            }
        }
        Ok(())
    }
}

impl Report {
    /// A line for each suite.
    fn suites(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table: BTreeMap<&str, [(usize, usize); 3]> = BTreeMap::new();
        for (suite, _, kind, outcome) in &self.rows {
            let cell = &mut table.entry(suite).or_default()[*kind as usize];
            cell.0 += usize::from(*outcome == Outcome::Pass);
            cell.1 += 1;
        }
        for (suite, cells) in table {
            let shown = cells.map(|(passed, all)| match all {
                0 => "·".to_owned(),
                _ => format!("{passed}/{all}"),
            });
            writeln!(f, "  {suite:<18} {:>6} {:>6} {:>6}", shown[0], shown[1], shown[2])?;
        }
        Ok(())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("passes"),
            Self::Fail(why) => write!(f, "fails: {why}"),
            Self::Setup(why) => write!(f, "not set up: {why}"),
            Self::Retry => f.write_str("asked twice"),
            Self::Dependency(name) => write!(f, "depends on {name}"),
        }
    }
}
