//! The cache as one thing, shared by all threads of a gateway and kept over reloads.

use crate::entry::{Entry, Resource};
use crate::fill::Fills;
use crate::memory::{Change, Memory};
use crate::policy;
use crate::settings::Settings;
use crate::shy::Shy;
use crate::stamps::Stamps;
use std::sync::Arc;
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
}

/// Where an entry belongs.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// The text of its key.
    pub text: &'a [u8],
    /// What a purge of its URL names.
    pub url: u128,
    /// What a purge of its host names.
    pub host: u64,
}

impl<'a> Place<'a> {
    /// Of a key with this text.
    pub fn of(text: &'a [u8]) -> Self {
        let place = policy::place(text);
        let host = place.split(|&b| b == b'/').next().unwrap_or_default();
        Self { text, url: hash(place), host: hash(host) as u64 }
    }
}

/// A hash that all gateways agree on, of what purges name.
pub fn hash(text: &[u8]) -> u128 {
    xxh3_128_with_seed(text, 0)
}

impl Cache {
    /// An empty cache.
    pub fn new(settings: &Settings, seed: u64) -> Self {
        Self {
            memory: Memory::new(settings.memory, settings.object_max.as_usize()),
            fills: Arc::default(),
            stamps: Arc::default(),
            shy: Shy::default(),
            seed,
        }
    }

    /// What memory holds for this key.
    pub fn get(&self, key: u128, text: &[u8]) -> Option<Arc<Resource>> {
        self.memory.get(key).filter(|resource| *resource.text == *text)
    }

    /// Stores an entry, unless a purge came after its fetch began.
    pub fn put(&self, key: u128, place: &Place<'_>, entry: &Arc<Entry>, variants_max: usize) {
        self.memory.update(key, |before| {
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

    /// Forgets all variants of a key.
    pub fn remove(&self, key: u128) {
        self.memory.remove(key);
    }
}
