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
use base::{Moment, RequestHead};
use broker::BrokerError;
use cache::Cache;
use monitor::expose::Family;
use offload::event::bus::said;
use offload::queue::Message;
use offload::settings::{Events, Publish};
use settings::Settings;
use std::collections::HashMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Events of one topic that may wait to be published.
const WAITING_MAX: usize = 4_096;

/// All buses that the settings name; outlives reloads.
#[derive(Default)]
pub struct Buses {
    topics: Mutex<HashMap<String, Topic>>,
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
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Buses {
    fn topics(&self) -> MutexGuard<'_, HashMap<String, Topic>> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes by these settings from now on. A topic that stays where it was keeps its connection, and
    /// what it has heard.
    ///
    /// # Errors
    /// What is wrong with a bus's URL.
    pub fn settle(&self, settings: &Settings, needs: &Needs) -> Result<(), BrokerError> {
        let mut topics = self.topics();
        topics.retain(|name, topic| {
            let before = topic.rules.borrow().clone();
            settings.events.iter().any(|now| {
                let same_place = now.bus == before.bus && now.topic == before.topic;
                now.name == *name && same_place && now.hears() == before.hears()
            })
        });
        let node = settings.offload.as_ref().map_or("fleetfoot", |offload| offload.node.as_str());
        for rules in &settings.events {
            if let Some(topic) = topics.get(&rules.name) {
                topic.rules.send_replace(rules.clone());
                continue;
            }
            topics.insert(rules.name.clone(), Topic::open(rules, node, settings, needs)?);
        }
        Ok(())
    }

    /// Publishes what a route says about an answer of its service, some time soon.
    fn say(&self, name: &str, message: impl FnOnce(&Events) -> Message) {
        let topics = self.topics();
        let Some(topic) = topics.get(name) else { return };
        let message = message(&topic.rules.borrow());
        if topic.says.try_send(message).is_err() && topic.figures.overflow() {
            let detail = format_args!("events {name}: too many wait to be published, some are lost");
            monitor::log::complain(Moment::now(), detail);
        }
    }

    /// What the metrics page tells.
    pub fn families(&self) -> Vec<Family> {
        let topics = self.topics();
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
        let gone: Vec<Topic> = self.topics().drain().map(|(_, topic)| topic).collect();
        for topic in gone {
            say::flush(&topic.says, WAITING_MAX).await;
        }
    }
}

impl Topic {
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
        let mut tasks = Vec::new();
        if rules.hears() {
            let outlives = settings.cache.shared.is_some() || settings.cache.disk.is_some();
            let ear = Ear::new(Arc::clone(&bus), rules_out.clone(), outlives, needs, &figures);
            tasks.push(needs.runtime.spawn(ear.listen()));
        }
        let mouth = say::Mouth::new(bus, rules_out, Arc::clone(&figures));
        tasks.push(needs.runtime.spawn(mouth.speak(waiting)));
        Ok(Self { rules: rules_in, says, figures, tasks })
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
