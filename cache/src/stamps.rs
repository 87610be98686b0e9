//! What was purged, as numbers: nothing is searched for and nothing is listed.
//!
//! A counter numbers purges. An entry keeps the counter's value from when its fetch *began*; a purge
//! writes its own number beside each of its scopes; an entry is dead (hard) or stale (soft) when one
//! of its scopes has a newer number than the entry. A purge therefore costs the same whatever it
//! hits, and a fetch that began before it can be neither stored nor served after it.
//!
//! Numbers are 64 bits: the upper 44 are the purge's number in the deployment ([`crate::shared`]),
//! the lower [`TICK_BITS`] order purges that are known to this gateway alone. So whatever a gateway
//! does while cut off is older than the deployment's next purge, never newer.
//!
//! Memory is bounded. Marks live in shards; a shard that is full folds its older half into a floor,
//! and an entry older than the floor of any shard it is looked up in counts as purged: forgetting
//! errs on the safe side. Prefixes are a short list, folded likewise.
//!
//! Hashes are xxh3 with seeds that all gateways share. They need no secret: marks of colliding
//! names purge too much, never too little, and whoever serves an entry compares its full key.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

/// Bits of a number below the deployment's.
pub const TICK_BITS: u32 = 20;
/// Marks held unless told otherwise: some 64 MB when full.
pub const MARKS_MAX: usize = 1 << 20;
/// Prefixes held.
pub const PREFIXES_MAX: usize = 1_024;
const SHARDS: usize = 256;
const TAG_SEED: u64 = 0x7461_6773;
const HOST_SEED: u64 = 0x686f_7374;

/// The hash of a tag, the same in all gateways.
pub fn hash_tag(tag: impl AsRef<[u8]>) -> u64 {
    xxh3_64_with_seed(tag.as_ref(), TAG_SEED)
}

/// The hash of a host (compared without case), the same in all gateways.
pub fn hash_host(host: &str) -> u64 {
    xxh3_64_with_seed(host.to_ascii_lowercase().as_bytes(), HOST_SEED)
}

/// The hash of a URL or of a key's text, the same in all gateways with this seed.
pub fn hash_url(text: &[u8], seed: u64) -> u128 {
    xxh3_128_with_seed(text, seed)
}

/// The seed of key hashes for gateways that share a tier under this prefix. A deployment that fears
/// chosen collisions (they cost hits, nothing else) picks a prefix that strangers cannot guess.
pub fn seed_of(prefix: &str) -> u64 {
    xxh3_64_with_seed(prefix.as_bytes(), 0x7365_6564)
}

/// What a purge is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// One URL in all its variants, by [`hash_url`].
    Url(u128),
    /// All that carries a tag.
    Tag(String),
    /// All of a host.
    Host(String),
    /// All whose host and path begin so.
    Prefix(Vec<u8>),
    /// Everything.
    All,
}

/// A purge: what, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Purge {
    /// What it is about; all of them.
    pub scopes: Vec<Scope>,
    /// Entries become stale, not dead.
    pub soft: bool,
}

impl Purge {
    /// A hard purge of everything.
    pub fn all() -> Self {
        Self { scopes: vec![Scope::All], soft: false }
    }
}

/// A purge as gateways tell it to each other: names are hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Aims {
    pub(crate) aims: Vec<Aim>,
    pub(crate) soft: bool,
}

/// A [`Scope`] with hashes for names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Aim {
    Url(u128),
    Tag(u64),
    Host(u64),
    Prefix(Vec<u8>),
    All,
}

impl Aims {
    pub(crate) fn all() -> Self {
        Self { aims: vec![Aim::All], soft: false }
    }
}

impl From<&Purge> for Aims {
    fn from(purge: &Purge) -> Self {
        let aims = purge.scopes.iter().map(|scope| match scope {
            Scope::Url(url) => Aim::Url(*url),
            Scope::Tag(tag) => Aim::Tag(hash_tag(tag)),
            Scope::Host(host) => Aim::Host(hash_host(host)),
            Scope::Prefix(prefix) => Aim::Prefix(prefix.clone()),
            Scope::All => Aim::All,
        });
        Self { aims: aims.collect(), soft: purge.soft }
    }
}

/// By what an entry can be purged.
#[derive(Clone, Copy, Debug)]
pub struct Marks<'a> {
    /// [`hash_url`] of its URL without variants.
    pub url: u128,
    /// [`hash_host`] of its host.
    pub host: u64,
    /// Its host and path, as [`Scope::Prefix`] spells them.
    pub place: &'a [u8],
    /// [`hash_tag`] of each of its tags.
    pub tags: &'a [u64],
}

/// How an entry stands to all purges.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// Untouched.
    Good,
    /// Purged softly: stale.
    Soft,
    /// Purged: not to be used.
    Hard,
}

/// The newest purges of one scope.
#[derive(Clone, Copy, Debug, Default)]
struct Mark {
    hard: u64,
    soft: u64,
}

impl Mark {
    fn raise(&mut self, at: u64, soft: bool) {
        let side = if soft { &mut self.soft } else { &mut self.hard };
        *side = (*side).max(at);
    }

    fn newest(self) -> u64 {
        self.hard.max(self.soft)
    }

    fn standing(self, stamp: u64) -> Standing {
        if self.hard > stamp {
            Standing::Hard
        } else if self.soft > stamp {
            Standing::Soft
        } else {
            Standing::Good
        }
    }
}

#[derive(Debug, Default)]
struct Shard {
    marks: HashMap<u128, Mark>,
    /// Entries older than this may have been purged by marks that were folded.
    floor: u64,
}

#[derive(Debug, Default)]
struct Prefixes {
    /// Oldest first.
    list: Vec<(Vec<u8>, Mark)>,
    floor: u64,
}

/// What was purged.
#[derive(Debug)]
pub struct Stamps {
    clock: AtomicU64,
    epoch: AtomicU64,
    tag_epoch: AtomicU64,
    all_hard: AtomicU64,
    all_soft: AtomicU64,
    shards: Box<[RwLock<Shard>]>,
    shard_max: usize,
    prefixes: RwLock<Prefixes>,
}

impl Default for Stamps {
    fn default() -> Self {
        Self::new()
    }
}

impl Stamps {
    /// Nothing purged yet; holds [`MARKS_MAX`].
    pub fn new() -> Self {
        Self::with_max(MARKS_MAX)
    }

    /// Nothing purged yet; holds about so many marks (at least two a shard).
    pub fn with_max(marks_max: usize) -> Self {
        Self {
            clock: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
            tag_epoch: AtomicU64::new(0),
            all_hard: AtomicU64::new(0),
            all_soft: AtomicU64::new(0),
            shards: (0..SHARDS).map(|_| RwLock::default()).collect(),
            shard_max: (marks_max / SHARDS).max(2),
            prefixes: RwLock::default(),
        }
    }

    /// The number to keep with what is fetched from now on: taken when a fetch *begins*.
    pub fn now(&self) -> u64 {
        self.clock.load(Ordering::Acquire)
    }

    /// Changes with every purge, after its marks are written: who remembers the epoch under which an
    /// entry stood good need not look again while it is the same.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// Changes with every purge of a tag: what has no tags yet, because it is being fetched, may be meant.
    pub fn tag_epoch(&self) -> u64 {
        self.tag_epoch.load(Ordering::Acquire)
    }

    /// Purges in this gateway. Returns the purge's number.
    pub fn purge(&self, purge: &Purge) -> u64 {
        self.strike(&purge.into())
    }

    /// [`Stamps::purge`], by hashes.
    pub(crate) fn strike(&self, aims: &Aims) -> u64 {
        let at = self.clock.fetch_add(1, Ordering::AcqRel) + 1;
        self.mark(aims, at);
        at
    }

    /// Takes over purge `number` of the deployment. It also hits what this gateway fetched under
    /// numbers of its own since it heard of the deployment last.
    pub(crate) fn take(&self, number: u64, aims: &Aims) {
        let wanted = number << TICK_BITS;
        let before = self.clock.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| {
            Some(wanted.max(now.saturating_add(1)))
        });
        let before = before.unwrap_or_else(|now| now);
        self.mark(aims, wanted.max(before.saturating_add(1)));
    }

    /// Marks purge `number` of the deployment, heard late: what was fetched after it stays good.
    pub(crate) fn learn(&self, aims: &Aims, number: u64) {
        self.advance(number);
        self.mark(aims, number << TICK_BITS);
    }

    /// Notes that the deployment counts this far, and nothing more.
    pub(crate) fn advance(&self, number: u64) {
        self.clock.fetch_max(number << TICK_BITS, Ordering::AcqRel);
    }

    /// The lowest number a deployment may count from so that its next purge is newer than all here.
    pub(crate) fn ceiling(&self) -> u64 {
        let now = self.now();
        (now >> TICK_BITS) + u64::from(now & ((1 << TICK_BITS) - 1) != 0)
    }

    /// Writes the marks of purge `at`.
    fn mark(&self, Aims { aims, soft }: &Aims, at: u64) {
        for aim in aims {
            match aim {
                Aim::All if *soft => _ = self.all_soft.fetch_max(at, Ordering::AcqRel),
                Aim::All => _ = self.all_hard.fetch_max(at, Ordering::AcqRel),
                Aim::Url(url) => self.raise(*url, at, *soft),
                Aim::Tag(tag) => self.raise(tag_key(*tag), at, *soft),
                Aim::Host(host) => self.raise(host_key(*host), at, *soft),
                Aim::Prefix(prefix) => self.raise_prefix(prefix, at, *soft),
            }
        }
        if aims.iter().any(|aim| matches!(aim, Aim::Tag(_))) {
            self.tag_epoch.fetch_add(1, Ordering::AcqRel);
        }
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    fn raise(&self, key: u128, at: u64, soft: bool) {
        let mut shard = write(self.shard(key));
        shard.marks.entry(key).or_default().raise(at, soft);
        if shard.marks.len() > self.shard_max {
            shard.fold();
        }
    }

    fn raise_prefix(&self, prefix: &[u8], at: u64, soft: bool) {
        let mut prefixes = write(&self.prefixes);
        let known = prefixes.list.iter().position(|(known, _)| known == prefix);
        let (prefix, mut mark) = match known {
            Some(place) => prefixes.list.remove(place),
            None => (prefix.to_vec(), Mark::default()),
        };
        mark.raise(at, soft);
        let place = prefixes.list.partition_point(|(_, other)| other.newest() <= mark.newest());
        prefixes.list.insert(place, (prefix, mark));
        if prefixes.list.len() > PREFIXES_MAX {
            let older: Vec<_> = prefixes.list.drain(..PREFIXES_MAX / 2).collect();
            let floor = older.last().map_or(0, |(_, mark)| mark.newest());
            prefixes.floor = prefixes.floor.max(floor);
        }
    }

    /// How an entry stands that has these marks and was fetched under `stamp`.
    pub fn standing(&self, marks: &Marks<'_>, stamp: u64) -> Standing {
        let all = Mark {
            hard: self.all_hard.load(Ordering::Acquire),
            soft: self.all_soft.load(Ordering::Acquire),
        };
        let keys = [marks.url, host_key(marks.host)].into_iter();
        let keys = keys.chain(marks.tags.iter().map(|&tag| tag_key(tag)));
        let mut worst = all.standing(stamp);
        for key in keys {
            if worst == Standing::Hard {
                return worst;
            }
            worst = worst.max(read(self.shard(key)).standing(key, stamp));
        }
        worst.max(self.prefix_standing(marks.place, stamp))
    }

    fn prefix_standing(&self, place: &[u8], stamp: u64) -> Standing {
        let prefixes = read(&self.prefixes);
        if prefixes.floor > stamp {
            return Standing::Hard;
        }
        let newer = prefixes.list.iter().rev().take_while(|(_, mark)| mark.newest() > stamp);
        let hits = newer.filter(|(prefix, _)| place.starts_with(prefix));
        hits.map(|(_, mark)| mark.standing(stamp)).max().unwrap_or(Standing::Good)
    }

    fn shard(&self, key: u128) -> &RwLock<Shard> {
        &self.shards[(key >> 56) as usize % SHARDS]
    }
}

impl Shard {
    fn standing(&self, key: u128, stamp: u64) -> Standing {
        if self.floor > stamp {
            return Standing::Hard;
        }
        self.marks.get(&key).map_or(Standing::Good, |mark| mark.standing(stamp))
    }

    /// Forgets the older half.
    fn fold(&mut self) {
        let mut numbers: Vec<u64> = self.marks.values().map(|mark| mark.newest()).collect();
        let middle = numbers.len() / 2;
        let (_, &mut floor, _) = numbers.select_nth_unstable(middle);
        self.floor = self.floor.max(floor);
        self.marks.retain(|_, mark| mark.newest() > floor);
    }
}

/// Tags, hosts and URLs share one map: the upper half tells them apart, as good as always.
fn tag_key(hash: u64) -> u128 {
    (u128::from(TAG_SEED) << 64) | u128::from(hash)
}

fn host_key(hash: u64) -> u128 {
    (u128::from(HOST_SEED) << 64) | u128::from(hash)
}

/// A panic elsewhere leaves marks whole: each is one assignment.
fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
