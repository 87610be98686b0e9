//! Who reads what threads have counted: takes their records and what they have kept, and remembers
//! both for a while.
//!
//! One task of the second runtime, four times a second; every fourth time it reads the counters as
//! well, once for all who want to know. Nothing that it does is waited for by a request; what it
//! cannot take in time is lost and counted (`monitor::Basket`).

use crate::gateway::Gateway;
use base::Moment;
use monitor::keep::Why;
use monitor::{Kept, Ledger, Merged, Record, Total, why};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::broadcast;

/// How often threads' baskets are emptied …
const TURN: Duration = Duration::from_millis(250);
/// … and every how many turns counters are read.
const TURNS_OF_READING: u64 = 4;
/// How long records are remembered, and how many at most: what an explanation looks at.
pub const WINDOW: Duration = Duration::from_mins(1);
const RECORDS_MAX: usize = why::COUNT_MAX;
const TURNS_IN_WINDOW: usize = (WINDOW.as_millis() / TURN.as_millis()) as usize;
/// How many of those that were kept because their callers record them are remembered at once: anybody
/// can ask, and what failed or was slow must not be forgotten for it.
const ASKED_MAX: usize = 256;
/// How many exchanges that were kept are remembered.
const KEPT_MAX: usize = 1_024;
/// Kept exchanges that whoever listens may have left to hear.
const HEARD_MAX: usize = 2_048;
/// What is slow is found from so many stretches of this length …
const STRETCHES: usize = 6;
const STRETCH: Duration = Duration::from_secs(10);
/// … where there were so many requests at least.
const SLOW_COUNT_MIN: u64 = 200;

/// What is remembered of exchanges.
#[derive(Debug)]
pub struct Reporter {
    state: Mutex<State>,
    kept: broadcast::Sender<Arc<Kept>>,
}

/// What the lock of a [`Reporter`] guards.
#[derive(Debug, Default)]
pub struct State {
    /// Of the last minute, the oldest first.
    pub records: VecDeque<Record>,
    /// The last ones, the oldest first.
    pub kept: VecDeque<Arc<Kept>>,
    /// How many more there were before: the number of the first of those that are left.
    pub kept_gone: u64,
    asked: usize,
}

/// What each route's durations were at the ends of the last stretches.
#[derive(Debug, Default)]
struct Slow {
    ended: Option<Moment>,
    stretches: VecDeque<BTreeMap<String, Merged<7>>>,
}

impl Reporter {
    /// Nothing remembered yet.
    pub fn new() -> Self {
        Self { state: Mutex::default(), kept: broadcast::channel(HEARD_MAX).0 }
    }

    /// What is remembered now. Not to be held for long: records are lost meanwhile.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hears of every exchange that is kept from now on.
    pub fn listen(&self) -> broadcast::Receiver<Arc<Kept>> {
        self.kept.subscribe()
    }

    /// Takes what threads have for it.
    pub fn turn(&self, ledgers: &[Arc<Ledger>], now: Moment) {
        let records: Vec<Vec<Record>> = ledgers.iter().map(|l| l.records.take()).collect();
        let share = (RECORDS_MAX / TURNS_IN_WINDOW / ledgers.len().max(1)).max(1);
        for (ledger, records) in ledgers.iter().zip(&records) {
            // More than the window holds is not worth the memory that it would go through. A turn in
            // which a small share is none by chance is no reason to record all of the next.
            let every = ledger.record_every();
            let ended = records.len() as u64 * every;
            ledger.set_record_every((ended / share as u64).max(every / 2));
        }
        let kept: Vec<_> = ledgers.iter().flat_map(|ledger| ledger.kept.take()).collect();
        let mut state = self.state();
        for records in records {
            state.records.extend(records);
        }
        let old = state.records.iter().take_while(|r| now.since(r.begun) > WINDOW).count();
        let over = state.records.len().saturating_sub(RECORDS_MAX);
        state.records.drain(..old.max(over));
        for kept in kept.into_iter().map(Arc::new) {
            let _nobody_listens = self.kept.send(Arc::clone(&kept));
            state.remember(kept);
        }
    }
}

/// What has been counted so far, by all threads together, and what the kernel's scheduler says of each.
#[derive(Debug)]
pub struct Reading {
    /// Of each route.
    pub totals: BTreeMap<String, Total>,
    /// Of each thread, in their order.
    pub threads: Vec<Scheduled>,
}

/// How a thread has fared (Documentation/scheduler/sched-stats.rst of the kernel).
#[derive(Clone, Copy, Debug, Default)]
pub struct Scheduled {
    /// How long it has run.
    pub ran: Duration,
    /// How long it could have run and had no core.
    pub waited: Duration,
}

impl Reading {
    /// Reads all counters.
    pub fn of(ledgers: &[Arc<Ledger>]) -> Self {
        let mut totals: BTreeMap<String, Total> = BTreeMap::new();
        for (name, meter) in ledgers.iter().flat_map(|ledger| ledger.routes()) {
            totals.entry(name).or_default().add(&meter);
        }
        Self { totals, threads: ledgers.iter().map(|l| Scheduled::of(l.thread.get())).collect() }
    }
}

impl Scheduled {
    /// Nothing where the kernel does not tell.
    fn of(thread: u64) -> Self {
        let told = std::fs::read_to_string(format!("/proc/self/task/{thread}/schedstat"));
        let told = told.unwrap_or_default();
        let mut figures = told.split_whitespace().map(|nanos| nanos.parse().unwrap_or(0));
        let mut next = || Duration::from_nanos(figures.next().unwrap_or(0));
        Self { ran: next(), waited: next() }
    }
}

impl State {
    fn remember(&mut self, kept: Arc<Kept>) {
        let is_asked = |kept: &Kept| usize::from(kept.why == Why::Asked);
        if is_asked(&kept) == 1 && self.asked >= ASKED_MAX {
            return;
        }
        if self.kept.len() == KEPT_MAX {
            self.asked -= self.kept.pop_front().map_or(0, |gone| is_asked(&gone));
            self.kept_gone += 1;
        }
        self.asked += is_asked(&kept);
        self.kept.push_back(kept);
    }
}

impl Default for Reporter {
    fn default() -> Self {
        Self::new()
    }
}

impl Slow {
    /// Tells the threads what 99 of 100 requests of a route took at most, in the last minute.
    fn look(&mut self, totals: &BTreeMap<String, Total>, ledgers: &[Arc<Ledger>], now: Moment) {
        let routes: BTreeMap<String, Merged<7>> =
            totals.iter().map(|(name, total)| (name.clone(), total.all())).collect();
        let slow = |(name, all): (&String, &Merged<7>)| {
            let before = self.stretches.front().and_then(|stretch| stretch.get(name));
            let lately = before.map_or_else(|| all.clone(), |before| all.since(before));
            (lately.count() >= SLOW_COUNT_MIN).then(|| (name.clone(), lately.quantile(0.99)))
        };
        let slow: BTreeMap<String, Duration> = routes.iter().filter_map(slow).collect();
        for (name, meter) in ledgers.iter().flat_map(|ledger| ledger.routes()) {
            meter.set_slow(slow.get(&name).copied().unwrap_or_default());
        }
        if self.ended.is_none_or(|ended| now.since(ended) >= STRETCH) {
            self.ended = Some(now);
            if self.stretches.len() == STRETCHES {
                self.stretches.pop_front();
            }
            self.stretches.push_back(routes);
        }
    }
}

/// Takes turns until the gateway is gone.
pub async fn run(gateway: Weak<Gateway>) {
    let mut turns = tokio::time::interval(TURN);
    turns.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut slow = Slow::default();
    for turn in 0_u64.. {
        turns.tick().await;
        let Some(gateway) = gateway.upgrade() else { return };
        let (ledgers, now) = (gateway.ledgers(), Moment::now());
        gateway.reporter.turn(&ledgers, now);
        if turn.is_multiple_of(TURNS_OF_READING) {
            let reading = Reading::of(&ledgers);
            slow.look(&reading.totals, &ledgers, now);
            gateway.why.look(&reading.threads, now);
            gateway.objectives.turn(&gateway.snapshot().settings.routes, &reading.totals, now);
            gateway.live.turn(reading, &ledgers, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitor::Facts;
    use monitor::record::Beside;

    fn at(ms: u64) -> Moment {
        Moment::from_nanos(ms * 1_000_000)
    }

    fn kept(why: Why) -> Kept {
        Kept {
            why,
            facts: Facts::begin(at(0)),
            client: String::new(),
            method: String::new(),
            host: String::new(),
            target: String::new(),
            protocol: "HTTP/1.1",
            tls: false,
            user_agent: String::new(),
            route: None,
            service: None,
            tries: Vec::new(),
            request_id: None,
        }
    }

    #[test]
    fn what_callers_record_does_not_push_out_what_failed() {
        let (reporter, ledger) = (Reporter::new(), Arc::new(Ledger::default()));
        ledger.kept.put(kept(Why::Failed));
        for turn in 0..20 {
            for _ in 0..1_000 {
                ledger.kept.put(kept(Why::Asked));
            }
            reporter.turn(&[Arc::clone(&ledger)], at(turn * 250));
        }
        let state = reporter.state();
        assert_eq!(state.kept.len(), ASKED_MAX + 1);
        assert_eq!(state.kept[0].why, Why::Failed);
    }

    #[test]
    fn as_much_is_recorded_as_is_remembered() {
        for threads in [1, 2, 2_000] {
            let reporter = Reporter::new();
            let ledgers: Vec<Arc<Ledger>> = (0..threads).map(|_| Arc::default()).collect();
            let busy = &ledgers[0];
            for turn in 0..40 {
                let begun = at(turn * 250);
                for id in 0..8_192_u128 {
                    let mut facts = Facts::begin(begun);
                    facts.trace.id = (u128::from(turn) << 32 | id) + 1;
                    if busy.wants_record(&facts) {
                        busy.records.put(Record::of(&facts, Beside::default()));
                    }
                }
                reporter.turn(&ledgers, begun);
            }
            // Ten seconds are remembered whole, within a factor of two of the thread's share.
            let share = RECORDS_MAX / TURNS_IN_WINDOW / threads;
            let found = reporter.state().records.len();
            assert!(found <= 8_192 + 40 * (share + share / 2).max(2), "{threads}: {found}");
            assert!(found >= 8_192 + 39 * share / 3, "{threads}: {found}");
            assert_eq!(reporter.state().records[0].begun, at(0));
        }
    }
}
