//! How it went lately: a slice for each second of the last quarter of an hour, and one for each ten
//! seconds of the last day.
//!
//! Threads count for ever upwards; a slice is the difference of two readings. Percentiles over
//! several slices are read from their sums, never averaged, and one is told only where twenty
//! durations or more lie beyond it (p99: of 2,000). All is bounded: see [`BYTES_MAX`].

use crate::facts::Cached;
use crate::histogram::Merged;
use crate::ledger::RouteMeter;
use crate::timeline::{PHASES, Phase};
use base::Moment;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

mod sketch;

pub use sketch::{Sketch, cell, duration};

/// How many of a second are remembered: a quarter of an hour.
const SECONDS: usize = 900;
/// So many of those make one of the longer ones.
const IN_LONG: u64 = 10;
/// How many of the longer ones are remembered: a day.
const LONGS: usize = 8_640;
/// How many slices of a second are remembered of each route.
const OF_ROUTE: usize = 60;
/// What is counted within this time is called now.
pub const NOW: Duration = Duration::from_secs(10);
/// Durations that must lie beyond a percentile for it to be told.
const BEYOND_MIN: f64 = 20.0;
/// Most bytes that the slices of a gateway take, whatever the durations: in use less than an eighth of that.
pub const BYTES_MAX: usize = 48 << 20;

/// All that has been counted of a route so far, or of all of them.
#[derive(Clone, Debug, Default)]
pub struct Total {
    /// Durations of what no service was asked for: from the store, or refused here.
    pub store: Merged<7>,
    /// Durations of what a service was asked for.
    pub service: Merged<7>,
    /// Requests that were answered at all …
    pub answered: u64,
    /// … and of those with 500 and more.
    pub errors: u64,
    /// Requests by what the cache had to do with them.
    pub cached: [u64; Cached::ALL.len()],
    /// Time by phase, in nanoseconds.
    pub phases: [u64; PHASES],
}

impl Total {
    /// Adds what one thread has counted of a route.
    pub fn add(&mut self, meter: &RouteMeter) {
        meter.from_store.add_to(&mut self.store);
        meter.from_service.add_to(&mut self.service);
        for (status, n) in meter.by_status().filter(|(status, _)| *status != 0) {
            self.answered += n;
            self.errors += if status >= 500 { n } else { 0 };
        }
        self.cached.iter_mut().zip(meter.by_cached()).for_each(|(sum, (_, n))| *sum += n);
        for (sum, phase) in self.phases.iter_mut().zip(Phase::ALL) {
            *sum += meter.phase(*phase).sum().as_nanos() as u64;
        }
    }

    /// Durations of all.
    pub fn all(&self) -> Merged<7> {
        let mut all = self.store.clone();
        all.merge(&self.service);
        all
    }

    fn since(&self, earlier: &Self) -> Self {
        let mut new = self.clone();
        new.store = self.store.since(&earlier.store);
        new.service = self.service.since(&earlier.service);
        new.answered = self.answered.saturating_sub(earlier.answered);
        new.errors = self.errors.saturating_sub(earlier.errors);
        less(&mut new.cached, &earlier.cached);
        less(&mut new.phases, &earlier.phases);
        new
    }

    fn merge(&mut self, other: &Self) {
        self.store.merge(&other.store);
        self.service.merge(&other.service);
        self.answered += other.answered;
        self.errors += other.errors;
        more(&mut self.cached, &other.cached);
        more(&mut self.phases, &other.phases);
    }
}

fn less(from: &mut [u64], counts: &[u64]) {
    from.iter_mut().zip(counts).for_each(|(n, other)| *n = n.saturating_sub(*other));
}

fn more(to: &mut [u64], counts: &[u64]) {
    to.iter_mut().zip(counts).for_each(|(n, other)| *n += other);
}

/// What came in one stretch of time.
#[derive(Clone, Debug)]
pub struct Slice<const BITS: u32> {
    /// When it ended.
    pub ended: Moment,
    /// How long it was.
    pub length: Duration,
    /// Answers of 500 and more.
    pub errors: u64,
    /// What no service was asked for.
    pub store: Sketch<BITS>,
    /// What a service was asked for.
    pub service: Sketch<BITS>,
    beside: Box<Beside>,
}

/// What is known of a slice of a second, and of no longer one.
#[derive(Clone, Copy, Debug, Default)]
struct Beside {
    cached: [u64; Cached::ALL.len()],
    phases: [u64; PHASES],
    cpu: Duration,
}

impl<const BITS: u32> Slice<BITS> {
    fn of(total: &Total, ended: Moment, length: Duration, cpu: Duration) -> Self {
        Self {
            ended,
            length,
            errors: total.errors,
            store: Sketch::of(&total.store),
            service: Sketch::of(&total.service),
            beside: Box::new(Beside { cached: total.cached, phases: total.phases, cpu }),
        }
    }

    fn bytes(&self) -> usize {
        size_of::<Self>() + size_of::<Beside>() + self.store.bytes() + self.service.bytes()
    }
}

/// Several slices together.
#[derive(Clone, Debug, Default)]
pub struct Window {
    /// How long they were together.
    pub length: Duration,
    /// Answers of 500 and more.
    pub errors: u64,
    /// What no service was asked for.
    pub store: Merged<5>,
    /// What a service was asked for.
    pub service: Merged<5>,
    /// Requests by what the cache had to do with them.
    pub cached: [u64; Cached::ALL.len()],
    /// Time by phase, in nanoseconds.
    pub phases: [u64; PHASES],
    /// What the threads that serve ran.
    pub cpu: Duration,
}

impl Window {
    fn add<const BITS: u32>(&mut self, slice: &Slice<BITS>) {
        self.length += slice.length;
        self.errors += slice.errors;
        slice.store.add_to(&mut self.store);
        slice.service.add_to(&mut self.service);
        more(&mut self.cached, &slice.beside.cached);
        more(&mut self.phases, &slice.beside.phases);
        self.cpu += slice.beside.cpu;
    }

    fn of<'s, const BITS: u32>(slices: impl Iterator<Item = &'s Slice<BITS>>) -> Self {
        let mut window = Self::default();
        slices.for_each(|slice| window.add(slice));
        window
    }

    /// How many requests.
    pub fn count(&self) -> u64 {
        self.store.count() + self.service.count()
    }

    /// Durations of all.
    pub fn all(&self) -> Merged<5> {
        let mut all = self.store.clone();
        all.merge(&self.service);
        all
    }

    /// Of those that the cache had to do with, how many asked no service.
    pub fn hits(&self) -> u64 {
        use Cached as C;
        let hits = [C::Hit, C::Stale, C::Tier, C::Collapsed];
        hits.iter().map(|kind| self.cached[*kind as usize]).sum()
    }

    /// A share of all requests; nothing where there are none.
    pub fn share(&self, n: u64) -> Option<f64> {
        let count = self.count();
        (count > 0).then(|| n as f64 / count as f64)
    }

    /// Requests a second.
    pub fn rate(&self) -> f64 {
        if self.length.is_zero() { 0.0 } else { self.count() as f64 / self.length.as_secs_f64() }
    }
}

/// The duration that a share `q` of all does not exceed, where enough lie beyond it.
pub fn percentile<const BITS: u32>(durations: &Merged<BITS>, q: f64) -> Option<Duration> {
    let beyond = durations.count() as f64 * (1.0 - q) + 1e-6;
    (beyond >= BEYOND_MIN).then(|| durations.quantile(q))
}

/// What is remembered.
#[derive(Debug, Default)]
pub struct History {
    read: Option<Moment>,
    cpu: Duration,
    routes: BTreeMap<String, Route>,
    seconds: VecDeque<Slice<5>>,
    longs: VecDeque<Slice<3>>,
    /// What has been gathered for the next of the longer ones, and from how many.
    next: (Total, Duration, u64),
}

#[derive(Debug, Default)]
struct Route {
    before: Total,
    slices: VecDeque<Slice<5>>,
}

impl History {
    /// Takes a reading: what each route has counted so far, and what the threads that serve have run.
    /// Routes that are not there any more are forgotten.
    pub fn read(&mut self, totals: BTreeMap<String, Total>, cpu: Duration, now: Moment) {
        let Some(read) = self.read.replace(now) else {
            // What was counted before the first reading is part of the first slice.
            self.cpu = cpu;
            return;
        };
        let length = now.since(read);
        let ran = cpu.saturating_sub(std::mem::replace(&mut self.cpu, cpu));
        self.routes.retain(|name, _| totals.contains_key(name));
        let mut all = Total::default();
        for (name, total) in totals {
            let route = self.routes.entry(name).or_default();
            let new = total.since(&route.before);
            route.before = total;
            all.merge(&new);
            push(&mut route.slices, Slice::of(&new, now, length, Duration::ZERO), OF_ROUTE);
        }
        push(&mut self.seconds, Slice::of(&all, now, length, ran), SECONDS);
        let (total, gathered, slices) = &mut self.next;
        total.merge(&all);
        *gathered += length;
        *slices += 1;
        if *slices == IN_LONG {
            let (total, length, _) = std::mem::take(&mut self.next);
            push(&mut self.longs, Slice::of(&total, now, length, Duration::ZERO), LONGS);
        }
    }

    /// All that came within `time` before the last reading.
    pub fn window(&self, time: Duration) -> Window {
        Window::of(recent(&self.seconds, time))
    }

    /// The same by route; routes of which a minute at most is remembered.
    pub fn routes(&self, time: Duration) -> impl Iterator<Item = (&str, Window)> {
        let window = move |slices| Window::of(recent(slices, time));
        self.routes.iter().map(move |(name, route)| (name.as_str(), window(&route.slices)))
    }

    /// The same of one route.
    pub fn route(&self, name: &str, time: Duration) -> Window {
        let slices = self.routes.get(name).map(|route| &route.slices);
        slices.map_or_else(Window::default, |slices| Window::of(recent(slices, time)))
    }

    /// The last slice, a second long.
    pub fn newest(&self) -> Option<(Moment, Window)> {
        let slice = self.seconds.back()?;
        Some((slice.ended, Window::of([slice].into_iter())))
    }

    /// The last `time`, the oldest first, in columns of `each` at least: seconds where those reach
    /// back so far, else of ten seconds. Each with its end.
    pub fn columns(&self, time: Duration, each: Duration) -> Vec<(Moment, Window)> {
        if time <= Duration::from_secs(SECONDS as u64) && each < Duration::from_secs(IN_LONG) {
            fold(recent(&self.seconds, time), each)
        } else {
            fold(recent(&self.longs, time), each)
        }
    }

    /// Bytes that the slices take.
    pub fn bytes(&self) -> usize {
        let seconds = self.seconds.iter().map(Slice::bytes).sum::<usize>();
        seconds + self.longs.iter().map(Slice::bytes).sum::<usize>()
    }
}

fn push<T>(queue: &mut VecDeque<T>, new: T, max: usize) {
    if queue.len() == max {
        queue.pop_front();
    }
    queue.push_back(new);
}

/// The slices that lie within `time` before the end of the last one, the oldest first.
fn recent<const BITS: u32>(
    slices: &VecDeque<Slice<BITS>>,
    time: Duration,
) -> impl Iterator<Item = &Slice<BITS>> {
    let last = slices.back().map(|slice| slice.ended);
    let is_old = move |slice: &&Slice<BITS>| last.is_some_and(|l| l.since(slice.ended) >= time);
    slices.iter().skip_while(is_old)
}

fn fold<'s, const BITS: u32>(
    slices: impl Iterator<Item = &'s Slice<BITS>>,
    each: Duration,
) -> Vec<(Moment, Window)> {
    let mut columns: Vec<(Moment, Window)> = Vec::new();
    for slice in slices {
        let last = columns.last_mut();
        // Slices end a little late, never early.
        match last.filter(|(_, window)| window.length + slice.length <= each + slice.length / 2) {
            Some((ended, window)) => {
                *ended = slice.ended;
                window.add(slice);
            }
            None => columns.push((slice.ended, Window::of([slice].into_iter()))),
        }
    }
    columns
}

#[cfg(test)]
mod tests;
