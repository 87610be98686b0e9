//! What a cache does to the tail: a crowd that waits for one thing, and a store that is still empty.

use super::cause::Cause;
use super::digest::{Digest, Row, mean, quantile, whole};
use super::say;
use super::suspect::Suspicion;
use super::{Context, Names};
use crate::facts::Cached;
use crate::timeline::Phase;
use std::time::Duration;

/// So many who wait for one thing at once are a crowd.
const CROWD_MIN: usize = 5;
/// And slow requests are for it so many times as often as others: else it waits for what all wait for.
const LIFT: f64 = 2.0;
/// Of all the waiting for others' fetches, crowds' share, where they and not single pairs matter.
const CROWDS_SHARE: f64 = 0.5;
/// A burst at a service: an outlier takes so many times what half of the key's requests take …
const OUTLIER: f64 = 3.0;
/// … and so much more.
const OUTLIER_MS: f64 = 20.0;
/// The window is looked at in so many slices …
const SLICES: usize = 12;
/// … of which one with fewer requests says nothing.
const SLICE_COUNT_MIN: usize = 20;
/// The store is cold while so much less comes from it than at its best …
const COLDER: f64 = 0.2;
/// … or so much less since it was purged: then what emptied it is known.
const COLDER_PURGED: f64 = 0.1;
/// A gateway this young is filling its store: that much less comes from it is no news then.
const YOUNG: Duration = Duration::from_mins(5);
/// After a purge the store is cold even if that does not get better, for so long …
const PURGED: Duration = Duration::from_mins(1);
/// … while so little comes from it.
const COLD_SHARE: f64 = 0.5;
/// A store that gives so much has filled.
const FULL_SHARE: f64 = 0.9;
/// So many misses have to be for what was not asked for before.
const FIRST_SHARE: f64 = 0.7;

/// Both.
pub(super) fn suspects(digest: &Digest<'_>, names: &Names, context: &Context) -> Vec<Suspicion> {
    [stampede(digest, names), cold(digest, context)].into_iter().flatten().collect()
}

fn waited(row: &Row<'_>) -> f64 {
    row.spent(Phase::Collapse)
}

/// Crowds of a key: who waited in crowds, how many crowds there were and the largest.
#[derive(Default)]
struct Crowds {
    claims: Vec<(u32, f64)>,
    count: usize,
    largest: usize,
}

/// The requests of one key that waited for another's fetch, or that the service was slow for at once.
fn crowds(digest: &Digest<'_>, key: &[u32]) -> Crowds {
    let mut times: Vec<f64> = key.iter().map(|at| digest.row(*at).total).collect();
    let half = quantile(&mut times, 0.5);
    let claim = |at: &u32| {
        let row = digest.row(*at);
        let collapsed = waited(row);
        let outlier = row.asked && row.service > OUTLIER * half && row.service - half > OUTLIER_MS;
        let ms = if outlier { row.service - half } else { collapsed };
        (ms > 0.0).then_some((*at, ms))
    };
    let mut found = Crowds::default();
    let mut lot: Vec<(u32, f64)> = Vec::new();
    let mut until = f64::NEG_INFINITY;
    // In the order of their beginning: who begins before the others have ended is of the same crowd.
    for claim in key.iter().filter_map(claim) {
        let row = digest.row(claim.0);
        if row.begun() > until {
            found.close(&mut lot);
            until = row.ended();
        }
        lot.push(claim);
    }
    found.close(&mut lot);
    found
}

impl Crowds {
    fn close(&mut self, lot: &mut Vec<(u32, f64)>) {
        if lot.len() >= CROWD_MIN {
            self.count += 1;
            self.largest = self.largest.max(lot.len());
            self.claims.append(lot);
        }
        lot.clear();
    }
}

fn stampede(digest: &Digest<'_>, names: &Names) -> Option<Suspicion> {
    let mut all: Vec<(f64, Crowds, u32)> = Vec::new();
    for key in digest.keys().filter(|key| key.len() >= CROWD_MIN) {
        let found = crowds(digest, key);
        let slow = key.iter().filter(|at| digest.row(**at).slow).count() as f64;
        let rest = key.len() as f64 - slow;
        let others = (digest.rows.len() - digest.slow_count) as f64;
        let lift = slow / digest.slow_count.max(1) as f64 >= LIFT * rest / others.max(1.0);
        if found.count > 0 && lift {
            all.push((found.claims.iter().map(|(_, ms)| ms).sum(), found, key[0]));
        }
    }
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let collapsed: f64 = digest.rows.iter().map(waited).sum();
    let in_crowds: f64 = all
        .iter()
        .flat_map(|(_, found, _)| &found.claims)
        .map(|(at, _)| waited(digest.row(*at)))
        .sum();
    if collapsed > 0.0 && in_crowds < CROWDS_SHARE * collapsed {
        return None;
    }
    let (_, worst, first) = all.first()?;
    let record = digest.row(*first).record;
    let name = names.key_of(record.route, record.beside.key);
    let (key, route) = (record.beside.key, record.route);
    let were = say::shares(digest, &format!("were for {name}"), |row| {
        row.record.beside.key == key && row.record.route == route
    });
    let sentence = format!(
        "{were}; up to {} at once waited {} for one answer to it, {} in the window.",
        worst.largest,
        say::time(mean(worst.claims.iter().map(|(_, ms)| *ms))),
        if worst.count == 1 { "once".to_owned() } else { format!("{} times", worst.count) },
    );
    let claims = all.into_iter().flat_map(|(_, found, _)| found.claims).collect();
    Some(Suspicion { cause: Cause::KeyStampede, claims, sentence })
}

/// Requests to a route that caches, in one slice of the window.
#[derive(Clone, Copy, Default)]
struct Slice {
    stored: usize,
    missed: usize,
    first: usize,
}

impl Slice {
    fn count(&self) -> usize {
        self.stored + self.missed
    }

    fn share(&self) -> f64 {
        self.stored as f64 / self.count().max(1) as f64
    }
}

fn is_stored(row: &Row<'_>) -> bool {
    use Cached::{Hit, Stale, Tier};
    matches!(row.record.cached, Some(Hit | Stale | Tier))
}

fn is_missed(row: &Row<'_>) -> bool {
    matches!(row.record.cached, Some(Cached::Miss | Cached::Collapsed))
}

/// What came from the store over the window, which is looked at in slices.
struct Store {
    begin: f64,
    width: f64,
    slices: [Slice; SLICES],
    /// The slices with enough requests to say something.
    known: Vec<usize>,
    /// What came from it at its best.
    best: f64,
}

impl Store {
    fn of(digest: &Digest<'_>) -> Option<Self> {
        let (begin, end) = (digest.rows.first()?.begun(), digest.rows.last()?.begun());
        let width = ((end - begin) / SLICES as f64).max(f64::EPSILON);
        let mut store =
            Self { begin, width, slices: Default::default(), known: Vec::new(), best: 0.0 };
        for key in digest.keys() {
            store.count(key.iter().map(|at| digest.row(*at)));
        }
        let known = (0..SLICES).filter(|at| store.slices[*at].count() >= SLICE_COUNT_MIN);
        store.known = known.collect();
        let mut shares: Vec<f64> = store.known.iter().map(|at| store.slices[*at].share()).collect();
        store.best = quantile(&mut shares, 0.8);
        Some(store)
    }

    fn slice_of(&self, row: &Row<'_>) -> usize {
        whole((row.begun() - self.begin) / self.width).min(SLICES - 1)
    }

    /// Counts the requests for one key.
    fn count<'r>(&mut self, key: impl Iterator<Item = &'r Row<'r>>) {
        let mut seen = false;
        for row in key {
            let at = self.slice_of(row);
            let slice = &mut self.slices[at];
            if is_stored(row) {
                slice.stored += 1;
                // What was there and is gone has to be fetched for the first time again.
                seen = false;
            }
            if is_missed(row) {
                slice.missed += 1;
                slice.first += usize::from(!seen || row.record.cached == Some(Cached::Collapsed));
                seen = true;
            }
        }
    }

    fn sum(&self, of: fn(&Slice) -> usize, which: &[usize]) -> usize {
        which.iter().map(|at| of(&self.slices[*at])).sum()
    }

    /// The share that came from it in these slices.
    fn share(&self, which: &[usize]) -> f64 {
        self.sum(|slice| slice.stored, which) as f64 / self.sum(Slice::count, which).max(1) as f64
    }

    /// The slices in which it was cold, by what explains it.
    fn cold(&self, end: f64, context: &Context) -> Vec<usize> {
        let purged = context.purged.filter(|ago| *ago < PURGED);
        // A slice in which it was purged belongs to it.
        let since = |at: &usize, ago: Duration| {
            self.begin + (*at + 1) as f64 * self.width > end - ago.as_secs_f64() * 1e3
        };
        let is_cold = |at: &usize| {
            let less = self.best - self.slices[*at].share();
            let by_purge = purged.is_some_and(|ago| since(at, ago));
            by_purge && less > COLDER_PURGED || context.uptime >= YOUNG && less > COLDER
        };
        let slices: Vec<usize> = self.known.iter().copied().filter(is_cold).collect();
        if let Some(ago) = purged.filter(|_| slices.is_empty()) {
            let after: Vec<usize> =
                self.known.iter().copied().filter(|at| since(at, ago)).collect();
            if self.share(&after) < COLD_SHARE {
                return after;
            }
        }
        slices
    }
}

fn cold(digest: &Digest<'_>, context: &Context) -> Option<Suspicion> {
    let store = Store::of(digest)?;
    let cold = store.cold(digest.rows.last()?.begun(), context);
    let missed = store.sum(|slice| slice.missed, &cold);
    let first = store.sum(|slice| slice.first, &cold);
    if missed < SLICE_COUNT_MIN || (first as f64) < FIRST_SHARE * missed as f64 {
        return None;
    }
    let mut hits: Vec<f64> =
        digest.rows.iter().filter(|row| is_stored(row)).map(|row| row.total).collect();
    let hit = quantile(&mut hits, 0.5);
    let claims: Vec<_> = digest
        .each()
        .filter(|(_, row)| is_missed(row) && cold.contains(&store.slice_of(row)))
        .map(|(at, row)| (at, (row.total - hit).max(0.0)))
        .collect();
    let missed_by = say::shares(digest, "were not in the store", is_missed);
    let why = match context.purged.filter(|ago| *ago < PURGED) {
        Some(ago) => format!(" It was purged {} ago.", say::time(ago.as_secs_f64() * 1e3)),
        None => String::new(),
    };
    let sentence = format!(
        "{missed_by}; for {} only {} came from it, at best {}.{why}",
        say::time(cold.len() as f64 * store.width),
        say::percent(store.share(&cold)),
        say::percent(store.best),
    );
    Some(Suspicion { cause: Cause::ColdCache, claims, sentence })
}

/// A store that fills because the gateway has only just started: to be expected, and worth a sentence.
pub(super) fn filling(digest: &Digest<'_>, context: &Context) -> Option<String> {
    let stored = digest.rows.iter().filter(|row| is_stored(row)).count();
    let missed = digest.rows.iter().filter(|row| is_missed(row)).count();
    let share = stored as f64 / (stored + missed).max(1) as f64;
    if context.uptime >= YOUNG || missed < SLICE_COUNT_MIN || share >= FULL_SHARE {
        return None;
    }
    Some(format!(
        "The gateway was started {} ago and is still filling its cache: {} of what may be stored came from it.",
        say::time(context.uptime.as_secs_f64() * 1e3),
        say::percent(share),
    ))
}
