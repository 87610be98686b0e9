//! Records made ready to be compared: what is slow, what is usual, who was beside whom.

use crate::facts::Cached;
use crate::record::Record;
use crate::timeline::{PHASES, Phase};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Of so many the slowest one is slow, and of those that failed all …
const SLOW_ONE_IN: usize = 50;
/// … but so many are, where there are enough to compare them with.
const SLOW_COUNT_MIN: usize = 50;
/// What is usual is known of a group from so many requests on.
const USUAL_COUNT_MIN: usize = 20;

/// One record, with what the others say of it. Times are milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub(super) record: &'a Record,
    pub(super) total: f64,
    /// What it counts for: its total, and for a failure what is slow at least.
    pub(super) counts: f64,
    /// The service's own part, while its answer was waited for and came.
    pub(super) service: f64,
    /// The same for half of its kind: the same service, route and method.
    pub(super) usual: f64,
    /// The service was asked for it, and answered.
    pub(super) asked: bool,
    pub(super) failed: bool,
    /// Among the slowest few of a hundred, or failed.
    pub(super) slow: bool,
    /// The kind, by its place.
    pub(super) kind: u32,
    /// Service and server, by their place in [`Digest::places`].
    pub(super) place: u32,
    /// How many its server had to do when it came …
    pub(super) beside_own: u32,
    /// … and the other servers of the service.
    pub(super) beside_others: u32,
}

impl Row<'_> {
    pub(super) fn spent(&self, phase: Phase) -> f64 {
        ms(self.record, phase)
    }

    pub(super) fn begun(&self) -> f64 {
        self.record.begun.as_nanos() as f64 / 1e6
    }

    pub(super) fn ended(&self) -> f64 {
        self.begun() + self.total
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Digest<'a> {
    /// In the order in which they began.
    pub(super) rows: Vec<Row<'a>>,
    /// Service and server of those that were asked.
    pub(super) places: Vec<(u16, u32)>,
    /// The rows by what was asked for.
    pub(super) by_key: Vec<u32>,
    pub(super) p50: f64,
    pub(super) p99: f64,
    /// What slow rows count for together, and how many there are.
    pub(super) slow_sum: f64,
    pub(super) slow_count: usize,
    /// What all count for together.
    pub(super) sum: f64,
    /// What slow rows spent in each phase, and all of them.
    pub(super) slow_spent: [f64; PHASES],
    pub(super) spent: [f64; PHASES],
}

pub(super) const NO_PLACE: u32 = u32::MAX;

fn ms(record: &Record, phase: Phase) -> f64 {
    record.spent(phase).as_nanos() as f64 / 1e6
}

/// What was served without asking anybody for this client.
pub(super) fn is_from_store(record: &Record) -> bool {
    use Cached::{Collapsed, Hit, Stale, Tier};
    record.attempts == 0 || matches!(record.cached, Some(Hit | Stale | Tier | Collapsed))
}

/// The whole number in a figure that is not negative.
#[expect(clippy::cast_sign_loss, reason = "as it says")]
pub(super) fn whole(value: f64) -> usize {
    value as usize
}

/// The value below which a share of them lies; zero of none.
pub(super) fn quantile(values: &mut [f64], share: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let at = whole(((values.len() - 1) as f64 * share).round());
    *values.select_nth_unstable_by(at, f64::total_cmp).1
}

pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0_usize), |(sum, n), value| (sum + value, n + 1));
    if n == 0 { 0.0 } else { sum / n as f64 }
}

impl<'a> Digest<'a> {
    pub(super) fn of(records: impl IntoIterator<Item = &'a Record>) -> Self {
        let mut records: Vec<&Record> = records.into_iter().collect();
        records.sort_by_key(|record| record.begun);
        let mut rows: Vec<Row<'a>> = records.into_iter().map(row).collect();
        let mut totals: Vec<f64> = rows.iter().map(|row| row.total).collect();
        let p99 = quantile(&mut totals, 0.99);
        let p50 = quantile(&mut totals, 0.5);
        for row in rows.iter_mut().filter(|row| row.failed) {
            row.counts = row.total.max(p99);
        }
        let count = (rows.len() / SLOW_ONE_IN).max(SLOW_COUNT_MIN).min(rows.len() / 4);
        let share = 1.0 - count as f64 / rows.len().max(1) as f64;
        let slow_from = quantile(&mut totals, share);
        for row in &mut rows {
            row.slow = row.failed || row.total > slow_from;
        }
        let mut by_key: Vec<_> =
            rows.iter().enumerate().map(|(at, row)| (key_of(row.record), at as u32)).collect();
        by_key.sort_unstable();
        let by_key = by_key.into_iter().map(|(_, at)| at).collect();
        let slow = || rows.iter().filter(|row| row.slow);
        let mut digest = Self {
            slow_sum: slow().map(|row| row.counts).sum(),
            slow_count: slow().count(),
            sum: rows.iter().map(|row| row.counts).sum(),
            slow_spent: spent(slow()),
            spent: spent(rows.iter()),
            places: Vec::new(),
            by_key,
            p50,
            p99,
            rows,
        };
        digest.find_kinds();
        digest.find_places();
        digest.find_neighbours();
        digest
    }

    /// What is usual for each kind.
    fn find_kinds(&mut self) {
        let mut kinds: Vec<u64> = self.rows.iter().map(|row| kind_of(row.record)).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let mut times: Vec<Vec<f64>> = vec![Vec::new(); kinds.len()];
        for row in &mut self.rows {
            let at = kinds.partition_point(|kind| *kind < kind_of(row.record));
            row.kind = at as u32;
            if row.asked {
                times[at].push(row.service);
            }
        }
        let mut all: Vec<f64> = times.iter().flatten().copied().collect();
        let of_all = quantile(&mut all, 0.5);
        let usual: Vec<f64> = times
            .iter_mut()
            .map(|times| match times.len() {
                USUAL_COUNT_MIN.. => quantile(times, 0.5),
                _ => of_all,
            })
            .collect();
        for row in &mut self.rows {
            // A grain of a microsecond keeps what is made of it finite.
            row.usual = usual[row.kind as usize].max(0.001);
        }
    }

    fn find_places(&mut self) {
        let place = |row: &Row<'_>| {
            let at = (row.record.service?, row.record.server?);
            (!is_from_store(row.record)).then_some(at)
        };
        self.places = self.rows.iter().filter_map(place).collect();
        self.places.sort_unstable();
        self.places.dedup();
        for row in &mut self.rows {
            if let Some(at) = place(row) {
                row.place = self.places.partition_point(|place| *place < at) as u32;
            }
        }
    }

    /// Who was in flight when each began.
    fn find_neighbours(&mut self) {
        let mut flying: BinaryHeap<Reverse<(u64, u32)>> = BinaryHeap::new();
        let mut at_place = vec![0_u32; self.places.len()];
        let services = self.places.last().map_or(0, |(service, _)| usize::from(*service) + 1);
        let mut at_service = vec![0_u32; services];
        for row in self.rows.iter_mut().filter(|row| row.place != NO_PLACE) {
            let begun = row.record.begun.as_nanos();
            while let Some(Reverse((_, place))) = flying.peek().filter(|top| top.0.0 <= begun) {
                at_place[*place as usize] -= 1;
                at_service[usize::from(self.places[*place as usize].0)] -= 1;
                flying.pop();
            }
            let own = &mut at_place[row.place as usize];
            let all = &mut at_service[usize::from(self.places[row.place as usize].0)];
            (row.beside_own, row.beside_others) = (*own, *all - *own);
            *own += 1;
            *all += 1;
            let ended = begun + row.record.total().as_nanos() as u64;
            flying.push(Reverse((ended, row.place)));
        }
    }

    /// Rows with the same route, method and key, one lot after another.
    pub(super) fn keys(&self) -> impl Iterator<Item = &[u32]> {
        let key = |at: &u32| key_of(self.rows[*at as usize].record);
        self.by_key.chunk_by(move |a, b| key(a) == key(b))
    }

    pub(super) fn row(&self, at: u32) -> &Row<'a> {
        &self.rows[at as usize]
    }

    /// Rows with their places.
    pub(super) fn each(&self) -> impl Iterator<Item = (u32, &Row<'a>)> {
        self.rows.iter().enumerate().map(|(at, row)| (at as u32, row))
    }

    /// The share of slow rows of which something is true, and the share of the others.
    pub(super) fn shares(&self, is: impl Fn(&Row<'a>) -> bool) -> (f64, f64) {
        let (mut slow, mut rest) = (0_usize, 0_usize);
        for row in self.rows.iter().filter(|row| is(row)) {
            *(if row.slow { &mut slow } else { &mut rest }) += 1;
        }
        let others = self.rows.len() - self.slow_count;
        (slow as f64 / self.slow_count.max(1) as f64, rest as f64 / others.max(1) as f64)
    }
}

fn key_of(record: &Record) -> (Option<u16>, u8, u64) {
    (record.route, record.beside.method as u8, record.beside.key)
}

fn spent<'r>(rows: impl Iterator<Item = &'r Row<'r>>) -> [f64; PHASES] {
    let mut spent = [0.0; PHASES];
    for row in rows {
        for phase in Phase::ALL {
            spent[*phase as usize] += row.spent(*phase);
        }
    }
    spent
}

/// Service, route and method in one number.
fn kind_of(record: &Record) -> u64 {
    let place = |at: Option<u16>| at.map_or(0, |at| u64::from(at) + 1);
    place(record.service) << 32 | place(record.route) << 8 | record.beside.method as u64
}

fn row(record: &Record) -> Row<'_> {
    let total = record.total().as_nanos() as f64 / 1e6;
    let service = [Phase::Server, Phase::Db, Phase::ServerCache, Phase::Transfer];
    let failed = record.has_failed();
    Row {
        record,
        total,
        counts: total,
        service: service.iter().map(|phase| ms(record, *phase)).sum(),
        usual: 0.0,
        asked: !failed && !is_from_store(record),
        failed,
        slow: false,
        kind: 0,
        place: NO_PLACE,
        beside_own: 0,
        beside_others: 0,
    }
}
