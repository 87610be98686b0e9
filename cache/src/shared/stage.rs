//! What tests of tiers have in common: a runtime, an ear for warnings, gateways without a gateway.

use crate::settings::{self, Redis, RedisMode, Settings};
use crate::shared::{Lookup, Reached, Shared};
use crate::stamps::{Marks, Purge, Scope, Stamps, Standing, hash_host, hash_tag};
use crate::tier::Say;
use base::Moment;
use scenario::server::wait_until;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

/// Time enough for a read on a machine that compiles at the same time.
pub(crate) const TIME: Duration = Duration::from_millis(100);
pub(crate) const KEEP: Duration = Duration::from_mins(5);

/// A runtime, and what was said on it.
pub(crate) struct Stage {
    pub(crate) runtime: Runtime,
    said: Arc<Mutex<Vec<String>>>,
}

impl Stage {
    pub(crate) fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build();
        Self { runtime: runtime.unwrap(), said: Arc::default() }
    }

    pub(crate) fn say(&self) -> Say {
        let said = Arc::clone(&self.said);
        Arc::new(move |line| said.lock().unwrap().push(line.to_owned()))
    }

    #[track_caller]
    pub(crate) fn wait_said(&self, what: &str) -> String {
        let find = || self.said.lock().unwrap().iter().find(|line| line.contains(what)).cloned();
        wait_until(&format!("{what:?}, said: {:?}", self.said.lock().unwrap()), || {
            find().is_some()
        });
        find().unwrap()
    }

    /// A gateway's share of a deployment.
    pub(crate) fn gateway(&self, shared: &settings::Shared) -> Gate {
        let settings =
            Settings { shared: Some(shared.clone()), shared_time: TIME, ..Settings::standard() };
        let stamps = Arc::new(Stamps::new());
        let handle = self.runtime.handle();
        let shared = Shared::start(&settings, Arc::clone(&stamps), handle, self.say()).unwrap();
        Gate { shared, stamps }
    }

    #[track_caller]
    pub(crate) fn trusted(&self, shared: &settings::Shared) -> Gate {
        let gate = self.gateway(shared);
        gate.wait_trusted();
        gate
    }
}

pub(crate) fn redis(urls: Vec<String>, mode: RedisMode) -> Redis {
    Redis { urls, mode, trust: None, prefix: "ff".to_owned() }
}

pub(crate) fn one(url: String) -> settings::Shared {
    settings::Shared::Redis(redis(vec![url], RedisMode::Single))
}

/// A receiver's answer; `Err` when there was no telling.
#[track_caller]
pub(crate) fn answer(
    receiver: oneshot::Receiver<Option<Vec<u8>>>,
) -> Result<Option<Vec<u8>>, oneshot::error::RecvError> {
    let began = Moment::now();
    let answer = receiver.blocking_recv();
    let took = Moment::now().since(began);
    // The deadline, and some for a machine that compiles.
    assert!(took < TIME + Duration::from_millis(150), "an answer after {took:?}");
    answer
}

/// An entry as a gateway would hold it.
pub(crate) struct Held {
    pub(crate) stamp: u64,
    pub(crate) url: u128,
    pub(crate) tags: Vec<u64>,
}

impl Held {
    pub(crate) fn marks(&self) -> Marks<'_> {
        let host = hash_host("shop.test");
        Marks { url: self.url, host, place: b"shop.test/items", tags: &self.tags }
    }
}

/// What a gateway has of the shared tier.
pub(crate) struct Gate {
    pub(crate) shared: Arc<Shared>,
    pub(crate) stamps: Arc<Stamps>,
}

impl Gate {
    #[track_caller]
    pub(crate) fn wait_trusted(&self) {
        wait_until("trust", || self.shared.is_trusted());
    }

    /// An entry whose fetch begins now.
    pub(crate) fn fetch(&self, url: u128, tag: &str) -> Held {
        Held { stamp: self.stamps.now(), url, tags: vec![hash_tag(tag)] }
    }

    pub(crate) fn standing(&self, held: &Held) -> Standing {
        self.stamps.standing(&held.marks(), held.stamp)
    }

    /// Stores an entry in the tier; its value begins with its stamp, as a gateway's does.
    pub(crate) fn put(&self, held: &Held, body: &[u8]) {
        let value = [&held.stamp.to_le_bytes()[..], body].concat();
        self.shared.put(held.url, value, KEEP, &held.marks(), held.stamp);
    }

    /// What a gateway would serve from the tier: looked up, and judged by its stamp.
    #[track_caller]
    pub(crate) fn serve(&self, held: &Held) -> Option<(Vec<u8>, Standing)> {
        let lookup = Lookup { key: held.url, url: held.url, host: held.marks().host };
        let value = answer(self.shared.get(lookup)).ok()??;
        let (stamp, body) = value.split_first_chunk().unwrap();
        let standing = self.stamps.standing(&held.marks(), u64::from_le_bytes(*stamp));
        (standing != Standing::Hard).then(|| (body.to_vec(), standing))
    }

    #[track_caller]
    pub(crate) fn purge(&self, scope: Scope, soft: bool) -> Reached {
        let began = Moment::now();
        let asked = self.shared.purge(&Purge { scopes: vec![scope], soft });
        let reached = Builder::new_current_thread().build().unwrap().block_on(asked);
        let took = Moment::now().since(began);
        assert!(took < Duration::from_millis(1_500), "a purge ended after {took:?}");
        reached
    }

    #[track_caller]
    pub(crate) fn purge_tag(&self, tag: &str) -> Reached {
        self.purge(Scope::Tag(tag.to_owned()), false)
    }
}
