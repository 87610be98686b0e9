//! The tier that gateways share, and what they promise each other through it.
//!
//! **The promise**: what [`Shared::purge`] has reported as [`Reached::All`] is purged in every
//! gateway of the deployment that was alive, and its values in the shared tier are dead for all,
//! those that start later included.
//!
//! **Numbers.** Redis counts purges for the deployment. [`Stamps`] holds the counter as this gateway
//! knows it; a fetch keeps the number under which it began, in memory and in the shared tier alike.
//! Purges reach the others by a channel, within milliseconds; a heartbeat five times a second
//! compares counters, so that a lost message is found in 0.2 s and a lost link within [`LEASE`].
//!
//! **Doubt.** The shared tier is read only while [`Shared::is_trusted`]: a heartbeat came back less
//! than [`LEASE`] ago and no purge of ours waits to be told. A gateway that was cut off reads the log
//! of what it missed, and purges all it holds when the log does not reach back.
//!
//! For three seconds after a deployment began, none is reported as [`Reached::All`]: gateways of the
//! one before it may still hold a lease.
//!
//! **Limits.** While Redis is gone or frozen nobody can be told: a purge then works here at once and
//! returns [`Reached::Here`]; others go on serving what *they* hold in memory until the link is back,
//! unless their gateway fences memory by [`Shared::is_trusted`] as well. Gateways that were not heard
//! of for ten seconds are not counted, so [`Reached::All`] speaks of them only if they fence. If
//! Redis itself loses purges (a restore from a snapshot, a failover to a replica that lagged) the
//! first gateway that remembers one of them begins a new deployment: all values of the old one are
//! misses. A loss that no living gateway remembers cannot be noticed: keep `appendonly yes` where
//! Redis and all gateways may fall together.
//!
//! **Memcached** cannot tell anybody anything: see [`crate::memcached`]. There a purge reaches this
//! gateway's memory and the values in the shared tier, not the memory of others.

pub(crate) mod trust;

use crate::memcached::Memcached;
use crate::redis::bus::Bus;
use crate::redis::{Limits, RedisTier};
use crate::settings::{self, Settings};
use crate::stamps::{Marks, Purge, Stamps, Standing};
use crate::tier::breaker::State;
use crate::tier::{Meter, Say, Tier};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

pub use trust::LEASE;
use trust::Trust;

/// How far a purge has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// All gateways that were heard of lately: so many.
    All(usize),
    /// These of those; the others have not answered in time but will hear of it when they can. None
    /// of none when there was no counting them.
    Some {
        /// So many have purged.
        reached: usize,
        /// So many were heard of lately.
        of: usize,
    },
    /// The shared tier, but no other gateway's memory (Memcached).
    Tier,
    /// This gateway only. The others are told as soon as there is a way.
    Here,
}

impl Reached {
    /// In a word.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All(_) => "all",
            Self::Some { .. } => "some",
            Self::Tier => "tier",
            Self::Here => "here",
        }
    }
}

/// What is asked for: the key, and what is known of the entry before it is read.
#[derive(Clone, Copy, Debug)]
pub struct Lookup {
    /// The key of the value.
    pub key: u128,
    /// [`crate::stamps::hash_url`] of its URL without variants.
    pub url: u128,
    /// [`crate::stamps::hash_host`] of its host.
    pub host: u64,
}

/// The shared tier.
#[derive(Debug)]
pub struct Shared {
    stamps: Arc<Stamps>,
    trust: Arc<Trust>,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Redis { tier: Arc<RedisTier>, bus: Bus },
    Memcached(Memcached),
}

impl Shared {
    /// Starts what the settings ask for, on `runtime`; returns at once, and is not trusted before it
    /// has found its servers. `None` when the settings name no shared tier.
    pub fn start(
        settings: &Settings,
        stamps: Arc<Stamps>,
        runtime: &Handle,
        say: Say,
    ) -> Option<Arc<Self>> {
        let limits = Limits {
            time: settings.shared_time,
            object_max: settings.shared_object_max.as_usize(),
        };
        let trust = Arc::new(Trust::default());
        let kind = match settings.shared.clone()? {
            settings::Shared::Redis(redis) => {
                let tier = RedisTier::start(redis.clone(), limits, runtime, Arc::clone(&say));
                let told = Arc::clone(&tier);
                trust.tell(move |lineage| told.set_lineage(lineage));
                let bus = Bus::start(redis, Arc::clone(&stamps), Arc::clone(&trust), runtime, say);
                Kind::Redis { tier, bus }
            }
            settings::Shared::Memcached(memcached) => {
                let stamps = Arc::clone(&stamps);
                let trust = Arc::clone(&trust);
                Kind::Memcached(Memcached::start(
                    &memcached,
                    limits,
                    (stamps, trust),
                    runtime,
                    &say,
                ))
            }
        };
        Some(Arc::new(Self { stamps, trust, kind }))
    }

    /// Asks for a value; `None` when there is none, a dropped sender when there is no telling. Its
    /// receiver compares the stamp in the value with [`Stamps::standing`] before use.
    pub fn get(&self, lookup: Lookup) -> oneshot::Receiver<Option<Vec<u8>>> {
        match &self.kind {
            Kind::Redis { tier, .. } if self.is_trusted() => tier.get(lookup.key),
            Kind::Memcached(memcached) if self.is_trusted() => memcached.get(lookup),
            _ => {
                self.meter().gets.add(1);
                self.meter().refused.add(1);
                oneshot::channel().1
            }
        }
    }

    /// Stores a value some time later, with the marks of its entry and the stamp from the beginning
    /// of its fetch. What was purged meanwhile, softly or not, is not stored.
    pub fn put(&self, key: u128, value: Vec<u8>, keep: Duration, marks: &Marks<'_>, stamp: u64) {
        // The deployment before the standing: a new one purges before it is named.
        let lineage = self.lineage();
        if !self.is_trusted() || self.stamps.standing(marks, stamp) != Standing::Good {
            return self.meter().dropped.add(1);
        }
        match &self.kind {
            Kind::Redis { tier, .. } => tier.put_under(lineage, key, value, keep),
            Kind::Memcached(memcached) => memcached.put(key, value, keep, marks, stamp),
        }
    }

    /// Forgets a value, to save room; a purge does not need it.
    pub fn forget(&self, key: u128) {
        match &self.kind {
            Kind::Redis { tier, .. } => tier.forget(key),
            Kind::Memcached(memcached) => memcached.forget(key),
        }
    }

    /// Purges: in this gateway before it returns its future, and then everywhere. The future ends
    /// within about a second, three when there is much to catch up with.
    ///
    /// # Cancel safety
    /// Dropping the future does not call the purge back.
    pub fn purge(&self, purge: &Purge) -> impl Future<Output = Reached> + Send + use<> {
        let answer = match &self.kind {
            Kind::Redis { bus, .. } => bus.purge(purge),
            Kind::Memcached(memcached) => memcached.purge(purge),
        };
        async move { answer.await.unwrap_or(Reached::Here) }
    }

    /// Has every purge that returned elsewhere reached us, and every one of ours the others? Two
    /// loads and a look at the clock.
    pub fn is_trusted(&self) -> bool {
        self.trust.is_given()
    }

    /// Names the deployment whose counter the stamps follow; 0 while unknown. What outlives this
    /// process with stamps in it (a disk) is worth keeping only under the same name.
    pub fn lineage(&self) -> u64 {
        self.trust.lineage()
    }

    /// Does the tier remember purges for gateways that start later? Memcached tells of them only with
    /// its own values.
    pub fn remembers(&self) -> bool {
        matches!(self.kind, Kind::Redis { .. })
    }

    /// What was counted.
    pub fn meter(&self) -> &Arc<Meter> {
        match &self.kind {
            Kind::Redis { tier, .. } => tier.meter(),
            Kind::Memcached(memcached) => memcached.meter(),
        }
    }

    /// What was counted of purges.
    pub fn purges(&self) -> &trust::Purges {
        &self.trust.purges
    }

    /// Where the breaker stands; the worst when there are several.
    pub fn state(&self) -> State {
        match &self.kind {
            Kind::Redis { tier, .. } => tier.state(),
            Kind::Memcached(memcached) => memcached.state(),
        }
    }
}

#[cfg(test)]
mod history;
#[cfg(test)]
pub(crate) mod stage;
#[cfg(test)]
mod tests;
