//! Kafka: jobs on a topic with a consumer group, news on a topic for each gateway, events on any.
//!
//! - [`address`]: the URL.
//! - [`topics`]: what must exist, and what of it breaks the promise.
//! - [`post`]: the producer, idempotent, acknowledged by all replicas.
//! - [`lane`], [`desk`], [`prefix`]: a member of the group, what it holds, what it may commit.
//! - [`listener`]: a subscriber without a group, for events.
//!
//! Kafka acknowledges no single message: see [`prefix`] for what is committed instead. `times` is
//! always 1, but for what came back here without a word. No transactions: they lose writes by their
//! protocol (Jepsen, Bufstream 0.1), and who takes a message compares ids anyway.

mod address;
mod desk;
mod fault;
mod lane;
mod listener;
mod post;
mod prefix;
mod topics;

use crate::queue::is_topic;
use crate::url::{BrokerError, Options, Place as Url};
use address::Address;
use desk::Place;
use lane::Lane;
use listener::Listener;
use offload::queue::{
    Acknowledge, Bus, Capabilities, Channel, Heard, Message, Queue, QueueError, Taken, Token,
    Waiting,
};
use post::Post;
use rdkafka::config::FromClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long putting a message back may take.
const AGAIN: Duration = Duration::from_secs(5);
/// How long the cluster may take to say how many messages wait.
const LOOK: Duration = Duration::from_secs(2);

/// A queue in a Kafka cluster.
pub struct Kafka {
    name: String,
    /// `fleetfoot.QUEUE`: the group that takes jobs, and what topics begin with.
    base: String,
    node: String,
    address: Address,
    post: Arc<Post>,
    lanes: Mutex<HashMap<Channel, Arc<Lane>>>,
    closed: AtomicBool,
}

impl Kafka {
    /// Reaches nobody yet.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn new(url: &Url, options: &Options) -> Result<Self, BrokerError> {
        let (address, name) = (Address::of(url)?, url.name_of(&options.queue));
        Ok(Self {
            base: format!("fleetfoot.{}", options.queue),
            node: options.node.clone(),
            post: Arc::new(Post::new(name.clone(), address.clone())),
            name,
            address,
            lanes: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }

    fn topic(&self, channel: &Channel) -> String {
        match channel {
            Channel::Jobs => format!("{}.jobs", self.base),
            Channel::News(node) => format!("{}.news.{node}", self.base),
        }
    }

    /// Who takes from a channel together. News have groups of their own: who comes and goes there is
    /// no reason to deal out jobs anew.
    fn group(&self, channel: &Channel) -> String {
        match channel {
            Channel::Jobs => self.base.clone(),
            Channel::News(_) => self.topic(channel),
        }
    }

    /// The member of the group that takes from a channel; made when it is first needed, and again
    /// when it is lost.
    fn lane(&self, channel: &Channel) -> Result<Arc<Lane>, QueueError> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(Ordering::Relaxed) {
            return Err(fault::away(&self.name, "closed"));
        }
        let (group, topic) = (self.group(channel), self.topic(channel));
        let open = || Lane::open(&self.name, &self.address, &group, &topic);
        match lanes.entry(channel.clone()) {
            Entry::Occupied(mut lane) => {
                if lane.get().is_lost() {
                    lane.insert(open()?);
                }
                Ok(Arc::clone(lane.get()))
            }
            Entry::Vacant(place) => Ok(Arc::clone(place.insert(open()?))),
        }
    }

    async fn made_ready(&self) -> Result<Vec<String>, QueueError> {
        let sender = self.post.warm()?;
        let channels = [Channel::Jobs, Channel::News(self.node.clone())];
        let topics = channels.map(|channel| self.topic(&channel));
        let warm = tokio::time::sleep(post::WARM_UP);
        let mut warnings = topics::ensure(&self.name, &self.address, &sender, &topics).await?;
        if self.address.login.is_some() && !self.address.secure {
            warnings.push(format!("{} is told its password without TLS", self.name));
        }
        warm.await;
        Ok(warnings)
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        for lane in self.lanes.get_mut().unwrap_or_else(PoisonError::into_inner).values() {
            lane.leave();
        }
    }
}

impl Queue for Kafka {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            payload_max: self.address.payload_max(),
            lease: None,
            keeps_order: true,
            counts: false,
            forgets_twins: None,
        }
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn ready(&self) -> Waiting<'_, Result<Vec<String>, QueueError>> {
        Box::pin(self.made_ready())
    }

    fn put<'a>(
        &'a self,
        channel: &'a Channel,
        messages: Vec<Message>,
        by: Duration,
    ) -> Waiting<'a, Vec<Result<(), QueueError>>> {
        Box::pin(async move { self.post.put(&self.topic(channel), messages, by).await })
    }

    fn take<'a>(
        &'a self,
        channel: &'a Channel,
        most: usize,
        wait: Duration,
    ) -> Waiting<'a, Result<Vec<Taken>, QueueError>> {
        Box::pin(async move {
            let lane = self.lane(channel)?;
            let taken = lane.take(most, wait).await?;
            let topic: Arc<str> = self.topic(channel).into();
            let held = |(place, message, times): (Place, Message, u32)| {
                let kept = Some(message.clone());
                let (lane, post, topic) =
                    (Arc::clone(&lane), Arc::clone(&self.post), topic.clone());
                let token: Token = Box::new(Held { lane, post, topic, place, times, kept });
                Taken { message, times, token }
            };
            Ok(taken.into_iter().map(held).collect())
        })
    }

    fn waiting<'a>(&'a self, channel: &'a Channel) -> Waiting<'a, Option<u64>> {
        let (group, topic) = (self.group(channel), self.topic(channel));
        let mut config = self.address.config();
        config.set("group.id", &group).set("enable.auto.commit", "false");
        Box::pin(async move {
            let count = move || behind(&config, &topic);
            tokio::task::spawn_blocking(count).await.ok()?.ok()
        })
    }

    fn close(&self) -> Waiting<'_, ()> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        self.closed.store(true, Ordering::Relaxed);
        let lanes = std::mem::take(&mut *lanes);
        Box::pin(async move {
            for lane in lanes.values() {
                lane.close().await;
            }
            self.post.close().await;
        })
    }
}

/// How many messages the group has not committed. It blocks, and joins no group.
fn behind(config: &rdkafka::ClientConfig, topic: &str) -> KafkaResult<u64> {
    let looker = BaseConsumer::from_config(config)?;
    let partitions = topics::partitions(&looker.fetch_metadata(Some(topic), LOOK)?, topic);
    let mut list = TopicPartitionList::new();
    for partition in 0..i32::try_from(partitions).unwrap_or(0) {
        list.add_partition(topic, partition);
    }
    let mut waiting = 0;
    for partition in looker.committed_offsets(list, LOOK)?.elements() {
        let (low, high) = looker.fetch_watermarks(topic, partition.partition(), LOOK)?;
        let from = match partition.offset() {
            Offset::Offset(committed) => committed.max(low),
            _ => low,
        };
        waiting += u64::try_from(high - from).unwrap_or(0);
    }
    Ok(waiting)
}

/// One message that was taken.
struct Held {
    lane: Arc<Lane>,
    post: Arc<Post>,
    topic: Arc<str>,
    place: Place,
    times: u32,
    /// `None` when its word was said.
    kept: Option<Message>,
}

impl Acknowledge for Held {
    fn done(mut self: Box<Self>) -> Waiting<'static, Result<(), QueueError>> {
        self.kept = None;
        Box::pin(async move { Arc::clone(&self.lane).done(self.place).await })
    }

    fn again(self: Box<Self>) -> Waiting<'static, Result<(), QueueError>> {
        Box::pin(async move {
            let mut held = self;
            // Whoever has the partition now gets it anyway.
            held.lane.still(held.place)?;
            let Some(message) = held.kept.clone() else { return Ok(()) };
            let put = held.post.put(&held.topic, vec![message], AGAIN).await;
            // On an error it is dropped with its message, and so handed out again here.
            put.into_iter().collect::<Result<(), _>>()?;
            held.kept = None;
            Arc::clone(&held.lane).done(held.place).await
        })
    }

    fn still(&self) -> Waiting<'_, Result<(), QueueError>> {
        Box::pin(async move { self.lane.still(self.place) })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(message) = self.kept.take() {
            self.lane.back(self.place, message, self.times);
        }
    }
}

/// Events on topics of a Kafka cluster, by their own names.
pub struct KafkaBus {
    name: String,
    address: Address,
    node: String,
    post: Post,
    made: tokio::sync::Mutex<Vec<String>>,
    listeners: Mutex<HashMap<String, Arc<Listener>>>,
}

impl KafkaBus {
    /// Reaches nobody yet.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn new(url: &Url, options: &Options) -> Result<Self, BrokerError> {
        let (address, name) = (Address::of(url)?, url.name_of(""));
        Ok(Self {
            node: options.node.clone(),
            post: Post::new(name.clone(), address.clone()),
            name,
            address,
            made: tokio::sync::Mutex::default(),
            listeners: Mutex::default(),
        })
    }

    /// Makes the topic, if it is missing, before the first event.
    async fn made(&self, topic: &str) -> Result<(), QueueError> {
        if !is_topic(topic) {
            let (queue, why) = (self.name.clone(), format!("{topic:?} is no topic"));
            return Err(QueueError::Refused { queue, why });
        }
        let mut made = self.made.lock().await;
        if !made.iter().any(|known| known == topic) {
            let sender = self.post.warm()?;
            // All listeners read all partitions: more than one would only cost the order.
            let address = Address { partitions: 1, ..self.address.clone() };
            topics::ensure(&self.name, &address, &sender, &[topic.to_owned()]).await?;
            made.push(topic.to_owned());
        }
        Ok(())
    }

    fn listener(&self, topic: &str) -> Arc<Listener> {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = || Listener::begin(&self.address, &self.node, topic);
        Arc::clone(listeners.entry(topic.to_owned()).or_insert_with(begin))
    }
}

impl Bus for KafkaBus {
    fn name(&self) -> &str {
        &self.name
    }

    fn publish<'a>(
        &'a self,
        topic: &'a str,
        event: Message,
        by: Duration,
    ) -> Waiting<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let made = tokio::time::timeout(by, self.made(topic)).await;
            made.unwrap_or_else(|_| Err(fault::away(&self.name, "none of its brokers answers")))?;
            self.post.put(topic, vec![event], by).await.into_iter().collect()
        })
    }

    fn hear<'a>(&'a self, topic: &'a str) -> Waiting<'a, Heard> {
        Box::pin(async move {
            // A topic that nobody has made is made, so that its first event is heard. Without a
            // cluster the listener says so itself.
            let _away = tokio::time::timeout(LOOK, self.made(topic)).await;
            self.listener(topic).next().await
        })
    }
}

impl Drop for KafkaBus {
    fn drop(&mut self) {
        for listener in self.listeners.get_mut().unwrap_or_else(PoisonError::into_inner).values() {
            listener.end();
        }
    }
}
