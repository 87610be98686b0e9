//! What happens elsewhere and is heard here, and what is said there: buses of events.
//!
//! For each `[events.NAME]` there are up to two tasks on the second runtime, never one on a thread
//! that serves:
//!
//! - [`hear`]: all that its topic says becomes what `offload` makes of it: tags that are purged from
//!   this gateway's cache (every gateway hears each event), somebody who is called, or, where events
//!   may have been missed, a cache that is emptied;
//! - [`say`]: what routes publish waits in a bounded queue and is published, in its order, with
//!   retries within a bound. Nobody waits for it: what finds no room is counted and told.

pub mod call;
mod figures;
mod hear;
mod say;

use self::figures::Figures;
use self::hear::Ear;
use crate::house::House;
use crate::offloading::template;
use crate::path::Exchange;
use arc_swap::ArcSwap;
use base::{Moment, RequestHead};
use broker::BrokerError;
use cache::Cache;
use monitor::expose::Family;
use offload::event::bus::said;
use offload::queue::Message;
use offload::settings::{Events, Publish};
use settings::Settings;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Events of one topic that may wait to be published.
const WAITING_MAX: usize = 4_096;

/// All buses that the settings name; outlives reloads.
#[derive(Default)]
pub struct Buses {
    /// By name; read by whoever publishes, without a lock.
    topics: ArcSwap<HashMap<String, Arc<Topic>>>,
}

impl std::fmt::Debug for Buses {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Buses")
    }
}

/// What the tasks of all topics need.
#[derive(Clone)]
pub struct Needs {
    /// What is purged.
    pub cache: Arc<Cache>,
    /// Who calls.
    pub caller: Arc<call::Caller>,
    /// Where the tasks live.
    pub runtime: Handle,
}

/// One `[events.NAME]`.
struct Topic {
    rules: watch::Sender<Events>,
    says: mpsc::Sender<Message>,
    figures: Arc<Figures>,
    /// Who listens. Who speaks ends when nothing waits any more.
    ear: Option<JoinHandle<()>>,
}

impl Drop for Topic {
    fn drop(&mut self) {
        if let Some(ear) = &self.ear {
            ear.abort();
        }
    }
}

impl Buses {
    /// Goes by these settings from now on. A topic that stays where it was keeps its connection, and
    /// what it has heard.
    ///
    /// # Errors
    /// What is wrong with a bus's URL.
    pub fn settle(&self, settings: &Settings, needs: &Needs) -> Result<(), BrokerError> {
        let before = self.topics.load();
        let node = settings.offload.as_ref().map_or("fleetfoot", |offload| offload.node.as_str());
        let mut topics = HashMap::new();
        for rules in &settings.events {
            let known = before.get(&rules.name).filter(|topic| topic.stays(rules));
            let topic = match known {
                Some(topic) => Arc::clone(topic),
                None => Arc::new(Topic::open(rules, node, settings, needs)?),
            };
            topics.insert(rules.name.clone(), topic);
        }
        for rules in &settings.events {
            topics[&rules.name].rules.send_replace(rules.clone());
        }
        self.topics.store(Arc::new(topics));
        Ok(())
    }

    /// Publishes what a route says about an answer of its service, some time soon.
    fn say(&self, name: &str, message: impl FnOnce(&Events) -> Message) {
        let topics = self.topics.load();
        let Some(topic) = topics.get(name) else { return };
        let message = message(&topic.rules.borrow());
        if topic.says.try_send(message).is_err() && topic.figures.overflow() {
            let detail =
                format_args!("events {name}: too many wait to be published, some are lost");
            monitor::log::complain(Moment::now(), detail);
        }
    }

    /// What the metrics page tells.
    pub fn families(&self) -> Vec<Family> {
        let topics = self.topics.load();
        let mut all: Vec<_> = topics
            .iter()
            .map(|(name, topic)| {
                let waiting = WAITING_MAX - topic.says.capacity();
                topic.figures.waiting.store(waiting as u64, Ordering::Relaxed);
                (name.as_str(), &*topic.figures)
            })
            .collect();
        all.sort_by_key(|(name, _)| *name);
        figures::families(&all)
    }

    /// Gives what waits a moment to go, and ends all.
    pub async fn close(&self) {
        let gone = self.topics.swap(Arc::default());
        let all = gone.values().map(|topic| say::flush(&topic.says, WAITING_MAX, &topic.figures));
        futures_util::future::join_all(all).await;
    }
}

impl Topic {
    /// Does it stay where it is under these rules?
    fn stays(&self, rules: &Events) -> bool {
        let before = self.rules.borrow();
        rules.bus == before.bus && rules.topic == before.topic && rules.hears() == before.hears()
    }

    fn open(
        rules: &Events,
        node: &str,
        settings: &Settings,
        needs: &Needs,
    ) -> Result<Self, BrokerError> {
        let bus = broker::open_bus(&rules.bus, &broker::Options::new(node, &rules.name))?;
        let figures = Arc::new(Figures::default());
        let (rules_in, rules_out) = watch::channel(rules.clone());
        let (says, waiting) = mpsc::channel(WAITING_MAX);
        let ear = rules.hears().then(|| {
            let outlives = settings.cache.shared.is_some() || settings.cache.disk.is_some();
            let ear = Ear::new(Arc::clone(&bus), rules_out.clone(), outlives, needs, &figures);
            needs.runtime.spawn(ear.listen())
        });
        let mouth = say::Mouth::new(bus, rules_out, Arc::clone(&figures));
        needs.runtime.spawn(mouth.speak(waiting));
        Ok(Self { rules: rules_in, says, figures, ear })
    }
}

/// Publishes what the route at `index` says about an answer with this status, if it says anything.
/// `cause` is the name of what made it happen: said twice with the same, it is one event.
pub fn publish(
    house: &House,
    (index, publish): (usize, &Publish),
    head: &RequestHead,
    status: u16,
    cause: &str,
) {
    if !(200..400).contains(&status) {
        return;
    }
    let Some(events) = house.snapshot.settings.events.get(publish.to) else { return };
    let subject = template::fill(house, (head, index), &publish.subject).unwrap_or_default();
    let now = Moment::recent().wall_ms();
    house.snapshot.buses.say(&events.name, |rules| said(publish, rules, &subject, cause, now));
}

/// The same for an exchange: its cause is its id, where requests have ids.
pub fn of_exchange(house: &House, exchange: &Exchange<'_>, what: (usize, &Publish), status: u16) {
    let cause = match exchange.request_id() {
        Some(id) => String::from_utf8_lossy(id).into_owned(),
        None => format!("{:032x}", fastrand::u128(..)),
    };
    publish(house, what, &exchange.head, status, &cause);
}
