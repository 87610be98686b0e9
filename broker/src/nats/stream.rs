//! The stream of a queue and its consumers: made when they are missed, compared when they are there.

use super::TWINS_TIME;
use super::link::Link;
use crate::url::{BrokerError, Options, Place};
use async_nats::Client;
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy, pull};
use async_nats::jetstream::context::ContextBuilder;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use async_nats::jetstream::{self, Context, ErrorCode};
use offload::queue::{Channel, QueueError};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Most messages taken and not acknowledged, by all gateways together.
const HELD_MAX: i64 = 65_536;
/// Most publishes that wait for their answers.
const UNANSWERED_MAX: usize = 4096;
/// Longest wait of the client's own; ours are shorter.
const CLIENT_TIME: Duration = Duration::from_mins(1);
/// How long an answer that nobody waits for any more is waited for.
const LATE_TIME: Duration = Duration::from_secs(5);
/// Replicas in a cluster, where the URL does not say `?replicas=`.
const REPLICAS: usize = 3;

pub(super) type Pull = Consumer<pull::Config>;

/// What is to be there.
pub(super) struct Stream {
    queue: String,
    node: String,
    lease: Duration,
    waiting_max: Option<u64>,
    replicas: Option<usize>,
    made: Mutex<Option<Arc<Made>>>,
    making: tokio::sync::Mutex<()>,
}

/// What is there.
pub(super) struct Made {
    pub(super) context: Context,
    pub(super) jobs: Pull,
    pub(super) news: Pull,
    pub(super) warnings: Vec<String>,
}

impl Stream {
    pub(super) fn new(place: &Place, options: &Options) -> Result<Self, BrokerError> {
        let replicas = match place.query.split_once('=') {
            None if place.query.is_empty() => None,
            Some(("replicas", number)) => match number.parse() {
                Ok(number @ 1..=5) => Some(number),
                _ => return Err(place.bad("`replicas` is a number from 1 to 5")),
            },
            _ => return Err(place.bad("after `?` only `replicas=N` is known")),
        };
        Ok(Self {
            queue: options.queue.clone(),
            node: options.node.clone(),
            lease: options.lease,
            waiting_max: options.waiting_max,
            replicas,
            made: Mutex::default(),
            making: tokio::sync::Mutex::default(),
        })
    }

    /// Where the messages of a channel go.
    pub(super) fn subject(&self, channel: &Channel) -> String {
        match channel {
            Channel::Jobs => format!("fleetfoot.{}.jobs", self.queue),
            Channel::News(node) => format!("fleetfoot.{}.news.{node}", self.queue),
        }
    }

    /// Something is missing there: the next who comes makes it again.
    pub(super) fn forget(&self) {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// All that is needed, made where it is missing.
    pub(super) async fn make(&self, client: &Client, link: &Link) -> Result<Arc<Made>, QueueError> {
        let known = || self.made.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(made) = known() {
            return Ok(made);
        }
        let _one = self.making.lock().await;
        if let Some(made) = known() {
            return Ok(made);
        }
        let made = Arc::new(self.make_now(client, link).await?);
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&made));
        Ok(made)
    }

    async fn make_now(&self, client: &Client, link: &Link) -> Result<Made, QueueError> {
        let context = ContextBuilder::new()
            .timeout(CLIENT_TIME)
            .ack_timeout(LATE_TIME)
            .max_ack_inflight(UNANSWERED_MAX)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let clustered = client.server_info().cluster.is_some();
        let wanted = self.config(clustered);
        let made = context.get_or_create_stream(wanted.clone()).await;
        let made = made.map_err(|error| failed(link, "making the stream", &error))?;
        let warnings = differences(&wanted, &made.cached_info().config);
        let jobs = self.consumer(&made, "jobs", &Channel::Jobs);
        let jobs =
            jobs.await.map_err(|error| failed(link, "making the consumer of jobs", &*error))?;
        let name = format!("news-{}", self.node);
        let channel = Channel::News(self.node.clone());
        let news = self.consumer(&made, &name, &channel);
        let news =
            news.await.map_err(|error| failed(link, "making the consumer of news", &*error))?;
        Ok(Made { context, jobs, news, warnings })
    }

    fn config(&self, clustered: bool) -> Config {
        let bound = self.waiting_max.and_then(|max| i64::try_from(max).ok());
        Config {
            name: format!("fleetfoot-{}", self.queue),
            description: Some("Fleetfoot's jobs and what came of them".to_owned()),
            subjects: vec![
                self.subject(&Channel::Jobs),
                self.subject(&Channel::News("*".to_owned())),
            ],
            retention: RetentionPolicy::WorkQueue,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            // For each subject, so that no owner's news are refused because jobs wait.
            max_messages_per_subject: bound.unwrap_or(-1),
            discard_new_per_subject: bound.is_some(),
            max_messages: -1,
            max_bytes: -1,
            num_replicas: self.replicas.unwrap_or(if clustered { REPLICAS } else { 1 }),
            duplicate_window: TWINS_TIME,
            ..Config::default()
        }
    }

    async fn consumer(
        &self,
        stream: &jetstream::stream::Stream,
        name: &str,
        channel: &Channel,
    ) -> Result<Pull, Box<dyn Error + Send + Sync>> {
        let config = pull::Config {
            durable_name: Some(name.to_owned()),
            filter_subject: self.subject(channel),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.lease,
            // Without an end: past it a message would stay, unseen, for ever.
            max_deliver: -1,
            max_ack_pending: HELD_MAX,
            ..pull::Config::default()
        };
        Ok(stream.create_consumer(config).await?)
    }

    /// How many messages wait in a channel.
    pub(super) async fn waiting(
        &self,
        client: &Client,
        link: &Link,
        channel: &Channel,
    ) -> Option<u64> {
        let made = self.make(client, link).await.ok()?;
        let consumer = match channel {
            Channel::Jobs => &made.jobs,
            Channel::News(node) if *node == self.node => &made.news,
            Channel::News(_) => return None,
        };
        consumer.get_info().await.ok().map(|info| info.num_pending)
    }

    /// The consumer of a channel.
    pub(super) fn of<'m>(&self, made: &'m Made, channel: &Channel) -> Option<&'m Pull> {
        match channel {
            Channel::Jobs => Some(&made.jobs),
            Channel::News(node) => (*node == self.node).then_some(&made.news),
        }
    }
}

/// What a stream that was there before has otherwise, and what that costs.
fn differences(wanted: &Config, found: &Config) -> Vec<String> {
    let mut warnings = Vec::new();
    let name = &wanted.name;
    let mut warn = |differs: bool, what: &str| {
        if differs {
            warnings.push(format!("stream {name} {what}"));
        }
    };
    warn(found.storage != StorageType::File, "is kept in memory: a restart loses it");
    warn(
        found.retention != RetentionPolicy::WorkQueue,
        "does not remove what is acknowledged (retention is not `workqueue`)",
    );
    warn(found.discard != DiscardPolicy::New, "drops old messages when it is full (discard `old`)");
    warn(!found.max_age.is_zero(), "drops messages that are too old (`max_age`)");
    warn(
        found.max_messages_per_subject != wanted.max_messages_per_subject,
        "has another bound of messages that wait (`max_msgs_per_subject`) than the settings say",
    );
    warn(found.no_ack, "answers no publish (`no_ack`)");
    warn(found.num_replicas < wanted.num_replicas, "has fewer replicas than the cluster allows");
    warn(
        wanted.subjects.iter().any(|subject| !found.subjects.contains(subject)),
        "lacks subjects of its queue",
    );
    warnings
}

/// A request to the server's side that failed; nothing of a message was sent.
fn failed(link: &Link, what: &str, error: &(dyn Error + 'static)) -> QueueError {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(told) = error.downcast_ref::<jetstream::Error>() {
            let why = format!("{what}: {told}");
            return match told.error_code() {
                ErrorCode::CLUSTER_NOT_AVAILABLE | ErrorCode::CLUSTER_NO_PEERS => link.away(why),
                _ => QueueError::Refused { queue: link.name.clone(), why },
            };
        }
        next = error.source();
    }
    link.away(format!("{what}: {error}"))
}
