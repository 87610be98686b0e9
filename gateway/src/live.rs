//! The live page: what is remembered for it, and who may look.
//!
//! Once a second the reporter reads what threads have counted into a history. What is shown of it is
//! computed when somebody asks or listens, and then once for all of them. The page itself, its style
//! and its script lie in `live/page` and are part of the binary; [`serve`] answers for them.

pub mod bands;
pub mod kept;
pub mod serve;
pub mod shown;

use crate::gateway::Gateway;
use crate::reporter::Reading;
use base::{FaultKind, Moment};
use hyper::body::Bytes;
use monitor::ledger::ServerKey;
use monitor::{History, Ledger};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long what was computed is shown again.
const AGE_MAX: Duration = Duration::from_millis(500);
/// Readings of counters that are remembered: one for each second of what is called now, and one more.
const MARKS: usize = 11;

/// What is remembered for the page.
#[derive(Debug, Default)]
pub struct Live {
    state: Mutex<State>,
    shown: Mutex<Option<Shown>>,
    listeners: AtomicUsize,
}

/// What the lock of a [`Live`] guards.
#[derive(Debug, Default)]
pub struct State {
    /// How it went.
    pub history: History,
    /// What was counted of each server at the last readings, the oldest first.
    pub servers: BTreeMap<ServerKey, Marks<2>>,
    /// Faults, by kind.
    pub faults: Marks<{ FaultKind::ALL.len() }>,
    /// Records and kept exchanges that were lost to full baskets.
    pub lost: Marks<1>,
}

/// What was computed last.
#[derive(Clone, Debug)]
struct Shown {
    made: Moment,
    whole: Bytes,
    event: Bytes,
}

/// Counters as they stood at the last readings.
#[derive(Clone, Debug)]
pub struct Marks<const N: usize>(VecDeque<(Moment, [u64; N])>);

impl<const N: usize> Default for Marks<N> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<const N: usize> Marks<N> {
    fn push(&mut self, now: Moment, counts: [u64; N]) {
        if self.0.len() == MARKS {
            self.0.pop_front();
        }
        self.0.push_back((now, counts));
    }

    /// What came between the first reading and the last, and how long that took.
    pub fn lately(&self) -> ([u64; N], Duration) {
        let (Some((begun, first)), Some((ended, last))) = (self.0.front(), self.0.back()) else {
            return ([0; N], Duration::ZERO);
        };
        (std::array::from_fn(|i| last[i].saturating_sub(first[i])), ended.since(*begun))
    }
}

impl Live {
    /// What is remembered now.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what threads have counted: once a second.
    pub fn turn(&self, reading: Reading, ledgers: &[Arc<Ledger>], now: Moment) {
        let mut state = self.state();
        let ran = reading.threads.iter().map(|thread| thread.ran).sum();
        state.history.read(reading.totals, ran, now);
        state.mark(ledgers, now);
    }

    /// What is shown now: all of it, and as much as an event of the stream may hold.
    fn shown(&self, gateway: &Gateway, now: Moment) -> Shown {
        let mut shown = self.shown.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(shown) = shown.as_ref().filter(|shown| now.since(shown.made) < AGE_MAX) {
            return shown.clone();
        }
        let value = shown::value(gateway, now);
        let fresh = Shown {
            made: now,
            whole: format!("{value}\n").into(),
            event: format!("data: {}\n\n", shown::fitted(&value)).into(),
        };
        *shown = Some(fresh.clone());
        fresh
    }
}

impl State {
    fn mark(&mut self, ledgers: &[Arc<Ledger>], now: Moment) {
        let mut servers: BTreeMap<ServerKey, [u64; 2]> = BTreeMap::new();
        for (key, meter) in ledgers.iter().flat_map(|ledger| ledger.servers()) {
            let counts = servers.entry(key).or_default();
            counts[0] += meter.requests.get();
            counts[1] += meter.failures.get();
        }
        self.servers.retain(|key, _| servers.contains_key(key));
        for (key, counts) in servers {
            self.servers.entry(key).or_default().push(now, counts);
        }
        let mut faults = [0; FaultKind::ALL.len()];
        for (kind, n) in ledgers.iter().flat_map(|ledger| ledger.faults()) {
            faults[kind as usize] += n;
        }
        self.faults.push(now, faults);
        let lost = ledgers.iter().map(|ledger| ledger.records.lost.get() + ledger.kept.lost.get());
        self.lost.push(now, [lost.sum()]);
    }
}

#[cfg(test)]
mod tests;
