//! What lies behind memory: looked into by whoever leads a fetch, before the service is asked.

use super::{Plan, query};
use crate::house::House;
use base::{Deadline, Framing, Moment, RequestHead, Wall};
use cache::entry::Entry;
use cache::frame::{self, Framed};
use cache::policy::{self, Query};
use cache::settings::Rules;
use cache::shared::Lookup;
use cache::stamps::{Marks, Standing};
use cache::{Cache, Place, spot};
use settings::Route;
use std::sync::Arc;
use std::time::Duration;
use wire::timer::within;

/// An entry from a tier that answers this request and is not stale; it is in memory from then on.
pub(super) async fn find(
    house: &House,
    route: &Route,
    plan: &Plan,
    head: &RequestHead,
) -> Option<Arc<Entry>> {
    let cache = &house.snapshot.cache;
    cache.shared.as_ref()?;
    let behind = Behind {
        cache,
        place: Place::of(plan.key, &plan.text, cache.seed),
        rules: &route.cache,
        time: house.snapshot.settings.cache.shared_time,
    };
    let query = query(head, Framing::None);
    let entry = Arc::new(behind.find(&query).await?);
    if plan.tainted {
        return None;
    }
    cache.remember(&behind.place, &entry, route.cache.variants_max);
    let now = Moment::now().wall_ms();
    entry.life.is_fresh(now).then_some(entry)
}

/// Where and for what is looked.
struct Behind<'a> {
    cache: &'a Cache,
    place: Place<'a>,
    rules: &'a Rules,
    time: Duration,
}

impl Behind<'_> {
    async fn find(&self, query: &Query<'_>) -> Option<Entry> {
        let by = Deadline::after(Moment::now(), self.time);
        match self.get(self.place.key, by).await? {
            Framed::Entry(entry) => self.usable(*entry, query),
            Framed::Index(lists) => {
                for names in &lists {
                    let variant = || policy::variant(frame::each(names), query, self.rules);
                    let key = self.cache.behind(self.place.key, false, variant);
                    if let Some(Framed::Entry(entry)) = self.get(key, by).await
                        && let Some(entry) = self.usable(*entry, query)
                    {
                        return Some(entry);
                    }
                }
                None
            }
        }
    }

    async fn get(&self, key: u128, by: Deadline) -> Option<Framed> {
        let shared = self.cache.shared.as_ref()?;
        let asked = shared.get(Lookup { key, url: self.place.url, host: self.place.host });
        let value = within(by, asked).await.ok()?.ok()??;
        frame::read(&value, self.place.text)
    }

    /// The same rules as for what lies in memory.
    fn usable(&self, entry: Entry, query: &Query<'_>) -> Option<Entry> {
        let now: Wall = Moment::now().wall_ms();
        let marks = Marks {
            url: self.place.url,
            host: self.place.host,
            place: spot(self.place.text),
            tags: &entry.tags,
        };
        let usable = entry.life.keep_until > now
            && entry.selecting.matches(query, self.rules)
            && policy::may_share(&entry.life, query, self.rules)
            && self.cache.stamps.standing(&marks, entry.stamp) == Standing::Good;
        usable.then_some(entry)
    }
}
