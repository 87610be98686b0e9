//! The cache as one thing, shared by all threads of a gateway and kept over reloads.

use crate::disk::Disk;
use crate::disk::purges::Purges;
use crate::entry::{Entry, Resource};
use crate::fill::{Began, Fills, Joined, Lead};
use crate::frame;
use crate::memory::{Change, Memory};
use crate::settings::{self, Settings};
use crate::shared::{Lookup, Reached, Shared};
use crate::shy::Shy;
use crate::stamps::{self, Marks, Purge, Stamps, Standing};
use crate::tier::{Say, Tier};
use base::{ByteSize, Moment, Wall};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use xxhash_rust::xxh3::xxh3_128_with_seed;

/// Where memory is off, what has just been fetched is had from here until a tier has it.
const PENDING_BYTES: ByteSize = ByteSize::mib(8);
/// So long.
const PENDING_TIME: Duration = Duration::from_millis(500);

/// The cache.
#[derive(Debug)]
pub struct Cache {
    /// What is held in memory.
    pub memory: Memory<Arc<Resource>>,
    /// What is on its way into a tier, where memory is off.
    pending: Memory<Arc<Resource>>,
    /// Fetches under way.
    pub fills: Arc<Fills>,
    /// What was purged.
    pub stamps: Arc<Stamps>,
    /// Keys whose answers could not be shared.
    pub shy: Shy,
    /// What keys are hashed with.
    pub seed: u64,
    /// The tier on disk.
    pub disk: Option<Shelf>,
    /// The tier that gateways share.
    pub shared: Option<Arc<Shared>>,
}

/// Longest that others which cannot be told go on serving what they hold, if they fence it.
pub const FENCE_TIME: Duration = crate::shared::LEASE;

/// The tier on disk, and what makes it safe to read it after a restart.
#[derive(Debug)]
pub struct Shelf {
    /// The tier.
    pub disk: Arc<Disk>,
    /// What was purged; where gateways share a tier, that remembers it for them.
    purges: Option<Purges>,
    /// What the keys are salted with where there are no purges of our own.
    salt: u64,
}

impl Shelf {
    fn open(
        settings: &settings::Disk,
        shared: Option<&settings::Shared>,
        stamps: &Stamps,
        say: &Say,
    ) -> io::Result<Self> {
        let (warn, salt) = (Arc::clone(say), fastrand::u64(..));
        let disk = Disk::open_and_warn(settings, move |text| warn(text))?;
        let purges = match shared {
            None => Some(Purges::open(&settings.path, stamps, salt)?),
            Some(_) => None,
        };
        Ok(Self { disk, purges, salt })
    }
}

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
    /// A cache with what is on disk, whose shared tier works on `runtime`; both tell an operator
    /// through `say`.
    ///
    /// # Errors
    /// The disk cannot be used.
    pub fn start(settings: &Settings, runtime: &Handle, say: Say) -> io::Result<Self> {
        let mut cache = Self::in_memory(settings);
        if let Some(disk) = &settings.disk {
            let shelf = Shelf::open(disk, settings.shared.as_ref(), &cache.stamps, &say)?;
            if let Some(purges) = &shelf.purges {
                cache.seed = purges.salt();
            }
            cache.disk = Some(shelf);
        }
        cache.shared = Shared::start(settings, Arc::clone(&cache.stamps), runtime, say);
        Ok(cache)
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
            pending: Memory::new(PENDING_BYTES, PENDING_BYTES.as_usize()),
            fills: Arc::default(),
            stamps: Arc::new(Stamps::new()),
            shy: Shy::default(),
            seed,
            disk: None,
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
        self.memory.set_object_max(settings.object_max.as_usize());
    }

    /// Joins the fetch that is under way for this variant of what lies at a place, or leads one.
    pub fn join(&self, variant: u128, place: &Place<'_>) -> Joined {
        self.fills.join(variant, self.began(), |began| self.is_good(began, place))
    }

    /// Leads a fetch for this variant, unless one is under way.
    pub fn lead(&self, variant: u128, place: &Place<'_>) -> Option<Lead> {
        self.fills.lead(variant, self.began(), |began| self.is_good(began, place))
    }

    fn began(&self) -> Began {
        Began { stamp: self.stamps.now(), tag_epoch: self.stamps.tag_epoch() }
    }

    /// Was nothing purged since that a fetch for this place may be about? What tags its answer will
    /// have is not known yet.
    fn is_good(&self, began: Began, place: &Place<'_>) -> bool {
        began.tag_epoch == self.stamps.tag_epoch()
            && self.stamps.standing(&place.marks(&[]), began.stamp) == Standing::Good
    }

    /// What memory holds for this key.
    pub fn get(&self, key: u128, text: &[u8]) -> Option<Arc<Resource>> {
        if self.memory.limit() > 0 {
            return self.memory.get(key).filter(|resource| *resource.text == *text);
        }
        let now = Moment::recent().wall_ms();
        self.pending.get(key).filter(|resource| {
            let newest = resource.entries.first();
            let is_new = newest.is_some_and(|e| now.since(e.life.answered) < PENDING_TIME);
            is_new && *resource.text == *text
        })
    }

    /// Stores an entry in memory.
    pub fn remember(&self, place: &Place<'_>, entry: &Arc<Entry>, variants_max: usize) {
        let memory = if self.memory.limit() > 0 { &self.memory } else { &self.pending };
        memory.update(place.key, |before| {
            let before = before.filter(|resource| *resource.text == *place.text);
            let resource = match before {
                Some(resource) => resource.with(entry, variants_max),
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
        if self.disk.is_some() || self.shared.is_some() {
            self.put_behind(place, entry, now);
        }
    }

    fn put_behind(&self, place: &Place<'_>, entry: &Entry, now: Wall) {
        let keep = entry.life.keep_until.since(now);
        let Some(value) = frame::entry(place.text, entry) else { return };
        if entry.selecting.is_empty() {
            return self.put_value(place, (place.key, value), keep, entry);
        }
        let key = self.behind(place.key, &entry.selecting.variant());
        let resource = self.get(place.key, place.text);
        let others = resource.iter().flat_map(|resource| &resource.entries);
        let mut lists = vec![frame::names(entry.selecting.names())];
        for other in others.filter(|other| !other.selecting.is_empty()) {
            let names = frame::names(other.selecting.names());
            if !lists.contains(&names) {
                lists.push(names);
            }
        }
        let index = frame::index(place.text, lists.iter().map(Vec::as_slice));
        self.put_value(place, (place.key, index), keep, entry);
        if let Some(alias) = entry.selecting.variant_by_language() {
            let alias = (self.behind(place.key, &alias), frame::alias(place.text, key));
            self.put_value(place, alias, keep, entry);
        }
        self.put_value(place, (key, value), keep, entry);
    }

    fn put_value(
        &self,
        place: &Place<'_>,
        (key, value): (u128, Vec<u8>),
        keep: Duration,
        entry: &Entry,
    ) {
        if let Some((disk, salt)) = self.on_disk() {
            disk.put(key ^ salt, value.clone(), keep);
        }
        if let Some(shared) = &self.shared {
            shared.put(key, value, keep, &place.marks(&entry.tags), entry.stamp);
        }
    }

    /// The disk, if what it holds can be judged, and what its keys are salted with.
    fn on_disk(&self) -> Option<(&Disk, u128)> {
        let shelf = self.disk.as_ref()?;
        let salt = match (&shelf.purges, &self.shared) {
            (Some(purges), _) => purges.salt(),
            // Stamps follow the deployment: what is on disk is of this one, or not found.
            (None, Some(shared)) if shared.remembers() => {
                let lineage = shared.lineage();
                if lineage == 0 || !shared.is_trusted() {
                    return None;
                }
                lineage
            }
            (None, _) => shelf.salt,
        };
        Some((&shelf.disk, u128::from(salt) << 64 | u128::from(salt)))
    }

    /// Asks a tier for a value.
    pub fn ask(
        &self,
        tier: Behind,
        key: u128,
        place: &Place<'_>,
    ) -> Option<oneshot::Receiver<Option<Vec<u8>>>> {
        match tier {
            Behind::Disk => self.on_disk().map(|(disk, salt)| disk.get(key ^ salt)),
            Behind::Shared => {
                let shared = self.shared.as_ref()?;
                Some(shared.get(Lookup { key, url: place.url, host: place.host }))
            }
        }
    }

    /// The key of a variant behind memory.
    pub fn behind(&self, key: u128, variant: &[u8]) -> u128 {
        key ^ xxh3_128_with_seed(variant, self.seed | 1)
    }

    /// Forgets, here before it returns and everywhere some time later.
    pub fn purge(&self, purge: &Purge) {
        if let Some(shared) = &self.shared {
            drop(shared.purge(purge));
        } else if let Some(purges) = self.purges() {
            drop(purges.purge(&self.stamps, purge));
        } else {
            self.stamps.purge(purge);
        }
    }

    /// Forgets, and waits until all gateways that share the cache have, or cannot be told, and a
    /// restart would not revive it.
    pub async fn purge_everywhere(&self, purge: &Purge) -> Reached {
        if let Some(shared) = &self.shared {
            return shared.purge(purge).await;
        }
        match self.purges() {
            Some(purges) => _ = purges.purge(&self.stamps, purge).await,
            None => _ = self.stamps.purge(purge),
        }
        Reached::All(1)
    }

    /// What remembers purges over a restart, where no shared tier does.
    fn purges(&self) -> Option<&Purges> {
        self.disk.as_ref().and_then(|shelf| shelf.purges.as_ref())
    }

    /// Forgets all variants of what lies at this place.
    pub fn forget(&self, place: &Place<'_>) {
        self.purge(&Purge { scopes: vec![stamps::Scope::Url(place.url)], soft: false });
    }
}

/// A tier behind memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The disk.
    Disk,
    /// What gateways share.
    Shared,
}

impl Behind {
    /// Its name in Cache-Status.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Shared => "shared",
        }
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
