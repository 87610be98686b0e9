//! One named service as all threads see it: what was learned of it, and what is decided for all.

use crate::admission::Admission;
use crate::budget::Budget;
use crate::deadline::Early;
use crate::discover::{Joined, join};
use crate::hedge::Hedge;
use crate::service::Tls;
use crate::settings::{Settings, Source, Spot};
use balance::Pool;
use balance::settings::Scheme;
use base::Moment;
use rustls::ClientConfig;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use wire::tls::TlsError;

/// Which subsets this process chooses: others choose others, so that no server is left out by all.
static SUBSET_SEED: LazyLock<u64> = LazyLock::new(|| fastrand::u64(..));

/// One service, shared by all threads. What it has learned outlives reloads.
#[derive(Debug)]
pub struct Shared {
    /// What it is told.
    pub settings: Arc<Settings>,
    /// Its servers.
    pub pool: Pool,
    /// Who is let through to it.
    pub admission: Arc<Admission>,
    /// What pays for retries and hedges.
    pub budget: Arc<Budget>,
    /// When it is asked twice, if ever.
    pub hedge: Option<Arc<Hedge>>,
    /// Who is not let through for want of time.
    pub early: Arc<Early>,
    /// What every other answer takes.
    pub median: Arc<Median>,
    pub(crate) tls: Option<Tls>,
    /// The servers that discovery has found and that have joined, as they came.
    found: Mutex<Arc<[Spot]>>,
}

impl Shared {
    /// A service under these settings; `before` is the same service under former ones.
    ///
    /// # Errors
    /// Which file of its TLS settings cannot be used, and why.
    pub fn new(settings: &Settings, before: Option<&Self>, now: Moment) -> Result<Self, TlsError> {
        let tls = if speaks_tls(settings) { Some(Tls::new(settings)?) } else { None };
        // What was found stays until discovery says otherwise, even if it looks elsewhere now.
        let found = before.filter(|_| settings.discover.is_some()).map(Self::found);
        let found = found.unwrap_or_default();
        let joined = join(&settings.servers, &found, found_max(settings));
        let pool = before.map(|before| &before.pool);
        let balance =
            balance::settings::Settings { subset_seed: *SUBSET_SEED, ..settings.balance.clone() };
        let admission = before.map(|before| &before.admission);
        // What was learned under the same rules stays.
        let paid = before.filter(|before| {
            let (old, new) = (&before.settings.retry, &settings.retry);
            (old.budget, old.reserve) == (new.budget, new.reserve)
        });
        let same = before.filter(|before| before.settings.hedge == settings.hedge);
        let hedge = same.map(|same| same.hedge.clone());
        Ok(Self {
            pool: Pool::new(balance, &joined.spots, pool, now),
            admission: Admission::new(&settings.limit, admission),
            budget: paid.map_or_else(
                || Arc::new(Budget::new(settings.retry.budget, settings.retry.reserve)),
                |paid| Arc::clone(&paid.budget),
            ),
            hedge: hedge
                .unwrap_or_else(|| settings.hedge.as_ref().map(|h| Arc::new(Hedge::new(h)))),
            early: before.map(|before| Arc::clone(&before.early)).unwrap_or_default(),
            median: before.map(|before| Arc::clone(&before.median)).unwrap_or_default(),
            settings: Arc::new(settings.clone()),
            tls,
            found: Mutex::new(found),
        })
    }

    /// What discovery has found, as it was told last.
    pub fn found(&self) -> Arc<[Spot]> {
        Arc::clone(&self.found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Discovery has found these servers: they and those that the settings name are the pool from
    /// now on. Answers what became of them.
    pub fn discovered(&self, found: Arc<[Spot]>, now: Moment) -> Joined {
        let joined = join(&self.settings.servers, &found, found_max(&self.settings));
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = found;
        self.pool.update(&joined.spots, now);
        joined
    }

    /// How TLS is spoken to its servers, with the name to ask for instead of the server's own; `None`
    /// where no server speaks it.
    pub fn tls(&self) -> Option<(&Arc<ClientConfig>, Option<&str>)> {
        self.tls.as_ref().map(|tls| (&tls.config, tls.name.as_deref()))
    }
}

/// What every other answer takes, by a step up or down with each ("frugal streaming", Ma, Muthukrishnan
/// and Sandler 2013): one store, no lock; a lost race costs one step.
#[derive(Debug, Default)]
pub struct Median(AtomicU64);

impl Median {
    /// A step, as a part of the median: 1/64.
    const STEP_BITS: u32 = 6;

    pub(crate) fn record(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let median = self.0.load(Ordering::Relaxed);
        let step = (median >> Self::STEP_BITS).max(1);
        self.0.store(
            match took.cmp(&median) {
                _ if median == 0 => took,
                std::cmp::Ordering::Greater => median.saturating_add(step),
                std::cmp::Ordering::Less => median - step,
                std::cmp::Ordering::Equal => return,
            },
            Ordering::Relaxed,
        );
    }

    /// The median; `None` before the first answer.
    pub fn get(&self) -> Option<Duration> {
        let nanos = self.0.load(Ordering::Relaxed);
        (nanos > 0).then(|| Duration::from_nanos(nanos))
    }
}

/// Most servers that are taken of those found.
fn found_max(settings: &Settings) -> usize {
    settings.discover.as_ref().map_or(0, |discover| discover.servers_max)
}

/// Does any of its servers, named or to be discovered, speak TLS?
fn speaks_tls(settings: &Settings) -> bool {
    let discovered = settings.discover.as_ref().is_some_and(|discover| match &discover.from {
        Source::File(_) => true, // it may name some
        Source::Name(server) => server.scheme == Scheme::Https,
        Source::Srv { scheme, .. } | Source::Kubernetes { scheme, .. } => *scheme == Scheme::Https,
    });
    discovered || settings.servers.iter().any(|spot| spot.server.scheme == Scheme::Https)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_found_and_followed() {
        let median = Median::default();
        assert_eq!(median.get(), None);
        let mut rng = fastrand::Rng::with_seed(7);
        for centre in [20.0, 200.0, 5.0] {
            for _ in 0..2_000 {
                let took = centre * (rng.f64() * 2.0 - 1.0).exp();
                median.record(Duration::from_secs_f64(took / 1e3));
            }
            let found = median.get().map_or(0.0, |found| found.as_secs_f64() * 1e3);
            assert!((found / centre - 1.0).abs() < 0.2, "{found} ms of {centre}");
        }
    }
}
