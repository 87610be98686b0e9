//! What lies behind memory: looked into by whoever leads a fetch, before the service is asked.

use super::{Plan, place, query};
use crate::house::House;
use base::{Deadline, Framing, Moment, RequestHead};
use cache::entry::Entry;
use cache::frame::{self, Framed};
use cache::policy::{self, Query};
use cache::settings::Rules;
use cache::stamps::Standing;
use cache::{Behind, Cache, Place};
use settings::Route;
use std::sync::Arc;
use std::time::Duration;
use wire::timer::within;

/// How long an answer of the disk is waited for.
const DISK_TIME: Duration = Duration::from_millis(50);

/// An entry from a tier that answers this request, perhaps after it was validated, and where it was;
/// it is in memory from then on.
pub(super) async fn find(
    house: &House,
    route: &Route,
    plan: &Plan,
    head: &RequestHead,
) -> Option<(Arc<Entry>, Behind)> {
    let cache = &house.snapshot.cache;
    if plan.tainted || (cache.disk.is_none() && cache.shared.is_none()) {
        return None;
    }
    let place = place(house, plan);
    let time = house.snapshot.settings.cache.shared_time;
    let since = cache.stamps.now();
    let look = |tier, time| Looking { cache, tier, place, rules: &route.cache, time, since };
    let query = query(head, Framing::None);
    let mut found = None;
    for looking in [look(Behind::Disk, DISK_TIME), look(Behind::Shared, time)] {
        let Some(entry) = looking.find(&query).await else { continue };
        let is_fresh = entry.life.is_fresh(Moment::now().wall_ms());
        found = Some((Arc::new(entry), looking.tier));
        if is_fresh {
            break;
        }
    }
    if let Some((entry, _)) = &found {
        cache.remember(&place, entry, route.cache.variants_max);
    }
    found
}

/// Where and for what is looked.
struct Looking<'a> {
    cache: &'a Cache,
    tier: Behind,
    place: Place<'a>,
    rules: &'a Rules,
    time: Duration,
    /// What the counter of purges said before anything was asked for.
    since: u64,
}

impl Looking<'_> {
    async fn find(&self, query: &Query<'_>) -> Option<Entry> {
        let by = Deadline::after(Moment::now(), self.time);
        let lists = match self.get(self.place.key, by).await? {
            Framed::Entry(entry) => return self.usable(*entry, query),
            Framed::Index(lists) => lists,
            Framed::Alias(_) => return None,
        };
        for names in &lists {
            let names = || frame::each(names);
            let variant = policy::variant(names(), query, self.rules);
            if let Some(Framed::Entry(entry)) = self.variant(&variant, by).await
                && let Some(entry) = self.usable(*entry, query)
            {
                return Some(entry);
            }
            if let Some(variant) = policy::variant_by_favourite(names(), query, self.rules)
                && let Some(Framed::Alias(key)) = self.variant(&variant, by).await
                && let Some(Framed::Entry(entry)) = self.get(key, by).await
                && let Some(entry) = self.usable(*entry, query)
            {
                return Some(entry);
            }
        }
        None
    }

    async fn variant(&self, variant: &[u8], by: Deadline) -> Option<Framed> {
        self.get(self.cache.behind(self.place.key, variant), by).await
    }

    async fn get(&self, key: u128, by: Deadline) -> Option<Framed> {
        let asked = self.cache.ask(self.tier, key, &self.place)?;
        let value = within(by, asked).await.ok()?.ok()??;
        frame::read(&value, self.place.text)
    }

    /// The same rules as for what lies in memory.
    fn usable(&self, mut entry: Entry, query: &Query<'_>) -> Option<Entry> {
        // Whoever fetched it may have heard of more purges than we have. A purge here that nobody else
        // hears of is numbered by what we know, and must hit it all the same.
        entry.stamp = entry.stamp.min(self.since);
        let standing = entry.standing(|tags| self.place.marks(tags), &self.cache.stamps);
        let usable = entry.life.keep_until > Moment::now().wall_ms()
            && entry.selecting.matches(query, self.rules)
            && policy::may_share(&entry.life, query)
            && standing == Standing::Good;
        usable.then_some(entry)
    }
}
