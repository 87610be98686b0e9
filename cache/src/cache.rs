//! The cache as one thing, shared by all threads of a gateway and kept over reloads.

use crate::entry::{Entry, Resource};
use crate::fill::{Fills, Joined, Lead};
use crate::frame;
use crate::memory::{Change, Memory};
use crate::settings::{self, Settings};
use crate::shared::{Reached, Shared};
use crate::shy::Shy;
use crate::stamps::{self, Marks, Purge, Stamps, Standing};
use crate::tier::Say;
use base::Wall;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// The cache.
#[derive(Debug)]
pub struct Cache {
    /// What is held in memory.
    pub memory: Memory<Arc<Resource>>,
    /// Fetches under way.
    pub fills: Arc<Fills>,
    /// What was purged.
    pub stamps: Arc<Stamps>,
    /// Keys whose answers could not be shared.
    pub shy: Shy,
    /// What keys are hashed with.
    pub seed: u64,
    /// The tier that gateways share.
    pub shared: Option<Arc<Shared>>,
}

/// Longest that others which cannot be told go on serving what they hold, if they fence it.
pub const FENCE_TIME: Duration = crate::shared::LEASE;

/// Where an entry belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The hash of its key.
    pub key: u128,
    /// The text of its key.
    pub text: &'a [u8],
    /// What a purge of its URL names.
    pub url: u128,
    /// What a purge of its host names.
    pub host: u64,
}

impl<'a> Place<'a> {
    /// Of the key with this hash and text.
    pub fn of(key: u128, text: &'a [u8], seed: u64) -> Self {
        let spot = spot(text);
        let host = spot.split(|&b| b == b'/').next().unwrap_or_default();
        let host = stamps::hash_host(&String::from_utf8_lossy(host));
        Self { key, text, url: stamps::hash_url(spot, seed), host }
    }
}

impl<'a> Place<'a> {
    /// What a purge may name of an entry here with these tags.
    pub fn marks(&self, tags: &'a [u64]) -> Marks<'a> {
        Marks { url: self.url, host: self.host, place: spot(self.text), tags }
    }
}

/// Host and target in the text of a key, without the scheme and what else the key counts.
pub fn spot(text: &[u8]) -> &[u8] {
    let start = memchr::memmem::find(text, b"://").map_or(0, |at| at + 3);
    let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    text.get(start..end).unwrap_or_default()
}

impl Cache {
    /// An empty cache, whose shared tier works on `runtime` and tells an operator through `say`.
    pub fn start(settings: &Settings, runtime: &Handle, say: Say) -> Self {
        let mut cache = Self::in_memory(settings);
        cache.shared = Shared::start(settings, Arc::clone(&cache.stamps), runtime, say);
        cache
    }

    /// An empty cache that has memory alone.
    pub fn in_memory(settings: &Settings) -> Self {
        let seed = match &settings.shared {
            Some(settings::Shared::Redis(redis)) => stamps::seed_of(&redis.prefix),
            Some(settings::Shared::Memcached(memcached)) => stamps::seed_of(&memcached.prefix),
            None => fastrand::u64(..),
        };
        Self {
            memory: Memory::new(settings.memory, settings.object_max.as_usize()),
            fills: Arc::default(),
            stamps: Arc::new(Stamps::new()),
            shy: Shy::default(),
            seed,
            shared: None,
        }
    }

    /// Waits until the shared tier can be used, but no longer than `patience`: a gateway that starts
    /// with its servers there is not asked before it has found them. Answers whether it can.
    pub async fn ready(&self, patience: Duration) -> bool {
        const LOOK: Duration = Duration::from_millis(5);
        let Some(shared) = &self.shared else { return true };
        let trusted = async {
            while !shared.is_trusted() {
                tokio::time::sleep(LOOK).await;
            }
        };
        tokio::time::timeout(patience, trusted).await.is_ok()
    }

    /// May others have purged what memory holds without our knowing?
    pub fn is_in_doubt(&self) -> bool {
        self.shared.as_ref().is_some_and(|shared| !shared.is_trusted())
    }

    /// Takes over what other settings say of memory.
    pub fn settle(&self, settings: &Settings) {
        self.memory.set_limit(settings.memory);
    }

    /// Joins the fetch that is under way for this key, or leads one.
    pub fn join(&self, key: u128) -> Joined {
        self.fills.join(key, self.stamps.epoch())
    }

    /// Leads a fetch for this key, unless one is under way.
    pub fn lead(&self, key: u128) -> Option<Lead> {
        self.fills.lead(key, self.stamps.epoch())
    }

    /// What memory holds for this key.
    pub fn get(&self, key: u128, text: &[u8]) -> Option<Arc<Resource>> {
        self.memory.get(key).filter(|resource| *resource.text == *text)
    }

    /// Stores an entry in memory.
    pub fn remember(&self, place: &Place<'_>, entry: &Arc<Entry>, variants_max: usize) {
        self.memory.update(place.key, |before| {
            let before = before.filter(|resource| *resource.text == *place.text);
            let resource = match before {
                Some(resource) => resource.with(Arc::clone(entry), variants_max),
                None => Resource {
                    text: place.text.into(),
                    url: place.url,
                    host: place.host,
                    entries: vec![Arc::clone(entry)],
                },
            };
            Change::Put(Arc::new(resource))
        });
    }

    /// Stores an entry in memory and, some time later, behind it.
    pub fn put(&self, place: &Place<'_>, entry: &Arc<Entry>, variants_max: usize, now: Wall) {
        self.remember(place, entry, variants_max);
        let Some(shared) = &self.shared else { return };
        let keep = entry.life.keep_until.since(now);
        let Some(value) = frame::entry(place.text, entry) else { return };
        let marks = place.marks(&entry.tags);
        let key = self.behind(place.key, entry.selecting.is_empty(), || entry.selecting.variant());
        if key != place.key {
            let names = frame::names(entry.selecting.names());
            let resource = self.get(place.key, place.text);
            let others = resource.iter().flat_map(|resource| &resource.entries);
            let mut lists = vec![names];
            for other in others.filter(|other| !other.selecting.is_empty()) {
                let names = frame::names(other.selecting.names());
                if !lists.contains(&names) {
                    lists.push(names);
                }
            }
            let index = frame::index(place.text, lists.iter().map(Vec::as_slice));
            // An index is no entry: it carries no tags, and whatever it names is judged by itself.
            shared.put(place.key, index, keep, &place.marks(&[]), entry.stamp);
            if let Some(alias) = entry.selecting.variant_by_language() {
                let alias = self.behind(place.key, false, || alias);
                shared.put(alias, frame::alias(place.text, key), keep, &marks, entry.stamp);
            }
        }
        shared.put(key, value, keep, &marks, entry.stamp);
    }

    /// The key of a variant behind memory.
    pub fn behind(&self, key: u128, alone: bool, variant: impl FnOnce() -> Vec<u8>) -> u128 {
        if alone { key } else { key ^ xxh3_128_with_seed(&variant(), self.seed | 1) }
    }

    /// Forgets, here before it returns and everywhere some time later.
    pub fn purge(&self, purge: &Purge) {
        match &self.shared {
            Some(shared) => drop(shared.purge(purge)),
            None => {
                self.stamps.purge(purge);
            }
        }
    }

    /// Forgets, and waits until all gateways that share the cache have, or cannot be told.
    pub async fn purge_everywhere(&self, purge: &Purge) -> Reached {
        match &self.shared {
            Some(shared) => shared.purge(purge).await,
            None => {
                self.stamps.purge(purge);
                Reached::All(1)
            }
        }
    }

    /// Forgets all variants of what lies at this place.
    pub fn forget(&self, place: &Place<'_>) {
        self.purge(&Purge { scopes: vec![stamps::Scope::Url(place.url)], soft: false });
    }
}

/// Frees a part of memory from entries that are of no use any more.
impl Cache {
    /// Looks through one part of memory, the `turn`-th of as many as there are; answers how many
    /// resources it freed.
    pub fn sweep(&self, turn: usize, now: Wall) -> usize {
        self.memory.sweep(turn, |resource| {
            resource.entries.iter().all(|entry| {
                entry.life.keep_until <= now
                    || entry.standing(|tags| resource.marks(tags), &self.stamps) == Standing::Hard
            })
        })
    }
}
