//! `RabbitMQ` as a queue and as a bus, by AMQP 0-9-1.
//!
//! A queue is a durable quorum queue, `fleetfoot.<queue>`, and one for the news of each gateway,
//! `fleetfoot.<queue>.news.<node>`. Quorum queues confirm what a majority has written to disk; classic
//! ones confirm on a timer, and lose what a broker that fails had.
//!
//! What clients get wrong by default: without `confirm_select` every publish "succeeds" at once; a
//! message that went to no queue is confirmed like any other and returned beside it; a full queue drops
//! its oldest message; a blocked connection waits without an end. Here only a plain confirm is a
//! success.

mod bus;
mod link;
mod publisher;
mod taking;
mod topology;

pub use bus::RabbitBus;

use crate::text::{escape, one_line};
use crate::url::{BrokerError, Options, Place};
use base::{Deadline, Moment};
use lapin::BasicProperties;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use link::Link;
use offload::queue::{Capabilities, Channel, Message, Queue, QueueError, Taken, Waiting};
use publisher::{Outcome, Post, Publisher};
use std::sync::Arc;
use std::time::Duration;
use taking::Lanes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use topology::Topology;

/// Most bytes of a payload: what the newest broker takes by default (`max_message_size`).
const PAYLOAD_MAX: usize = 16 << 20;
/// How long [`Queue::ready`] may take.
const READY_TIME: Duration = Duration::from_secs(10);
/// Messages are to be on disk.
const PERSISTENT: u8 = 2;
/// The header with a message's key.
const KEY: &str = "fleetfoot-key";

const ANSWER_LOST: &str = "the connection broke";

/// A queue on `RabbitMQ`.
pub struct Rabbit {
    /// Two links: a broker in distress stops reading from those who publish.
    puts: Link,
    takes: Arc<Link>,
    publisher: Publisher,
    topology: Arc<Topology>,
    lanes: Lanes,
}

impl Rabbit {
    /// One there; nothing is reached yet.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn new(place: &Place, options: &Options) -> Result<Self, BrokerError> {
        let takes = Arc::new(Link::new(place, options, "takes")?);
        let topology = Arc::new(Topology::new(options));
        Ok(Self {
            puts: Link::new(place, options, "puts")?,
            lanes: Lanes::new(Arc::clone(&takes), Arc::clone(&topology), options),
            takes,
            publisher: Publisher::default(),
            topology,
        })
    }

    async fn make_ready(&self) -> Result<Vec<String>, QueueError> {
        let made = timeout(READY_TIME, async {
            let (puts, takes) =
                tokio::join!(self.puts.up(READY_TIME / 2), self.takes.up(READY_TIME / 2));
            let puts = puts?;
            takes?;
            self.topology.forget();
            let warnings = self.topology.declare(&puts, &self.puts).await?;
            self.publisher.of(&puts, &self.puts).await?;
            Ok(warnings)
        });
        made.await.unwrap_or_else(|_| Err(self.puts.away("declaring queues took too long")))
    }

    /// Where messages go at present.
    async fn posts(&self, left: Duration) -> Result<mpsc::Sender<Post>, QueueError> {
        let live = self.puts.connected(left).await?;
        if let Some(why) = self.puts.blocked() {
            return Err(self.puts.full(format!("it takes no messages: {why}")));
        }
        self.topology.declare(&live, &self.puts).await?;
        self.publisher.of(&live, &self.puts).await
    }

    async fn put_all(
        &self,
        channel: &Channel,
        messages: Vec<Message>,
        by: Duration,
    ) -> Vec<Result<(), QueueError>> {
        let by = Deadline::after(Moment::now(), by);
        let left = || by.left(Moment::now());
        let posts = timeout(left(), self.posts(left())).await;
        let posts = match posts.unwrap_or_else(|_| Err(self.puts.away("it is not ready"))) {
            Ok(posts) => posts,
            Err(error) => {
                return messages.iter().map(|_| Err(crate::queue::again(&error))).collect();
            }
        };
        let queue = self.topology.queue_of(channel);
        let mut sent = Vec::with_capacity(messages.len());
        for message in messages {
            sent.push(self.send(&posts, &queue, message, left()).await);
        }
        let mut answers = Vec::with_capacity(sent.len());
        for told in sent {
            let answer = match told {
                Ok(told) => wait(told, left(), &self.puts).await,
                Err(error) => Err(error),
            };
            if matches!(answer, Err(QueueError::Refused { .. })) {
                // Its queue may have been deleted: declared again by whoever comes next.
                self.topology.forget();
            }
            answers.push(answer);
        }
        answers
    }

    async fn send(
        &self,
        posts: &mpsc::Sender<Post>,
        queue: &ShortString,
        message: Message,
        left: Duration,
    ) -> Result<oneshot::Receiver<Outcome>, QueueError> {
        let bytes = message.payload.len();
        if bytes > PAYLOAD_MAX {
            let queue = self.puts.name.clone();
            return Err(QueueError::TooLarge { queue, bytes, max: PAYLOAD_MAX });
        }
        let (answer, told) = oneshot::channel();
        let post = Post {
            exchange: ShortString::default(),
            routing_key: queue.clone(),
            mandatory: true,
            properties: properties(&message).map_err(|why| self.puts.refused(why))?,
            payload: message.payload,
            answer,
        };
        match timeout(left, posts.send(post)).await {
            Ok(Ok(())) => Ok(told),
            Ok(Err(_)) => Err(self.puts.away(ANSWER_LOST)),
            Err(_) => Err(self.puts.away("too many messages wait for its answer")),
        }
    }

    async fn count(&self, channel: &Channel) -> Option<u64> {
        let live = self.puts.connected(Duration::ZERO).await.ok()?;
        let asking = live.connection.create_channel().await.ok()?;
        let there = QueueDeclareOptions::default().passive();
        let queue = self.topology.queue_of(channel);
        let declared = asking.queue_declare(queue, there, FieldTable::default()).await.ok()?;
        let _ = asking.close(200, "bye".into()).await;
        Some(u64::from(declared.message_count()))
    }
}

/// What came of one message, within this time.
async fn wait(
    told: oneshot::Receiver<Outcome>,
    left: Duration,
    link: &Link,
) -> Result<(), QueueError> {
    match timeout(left, told).await {
        Ok(Ok(outcome)) => outcome.told(link),
        Ok(Err(_)) => Err(link.unknown(ANSWER_LOST)),
        Err(_) => Err(link.unknown("it did not answer in time")),
    }
}

/// A message's properties; why it can have none.
fn properties(message: &Message) -> Result<BasicProperties, String> {
    let id = ShortString::try_new(escape(&message.id));
    let id = id.map_err(|_| "an id of more than 255 bytes".to_owned())?;
    let mut headers = FieldTable::default();
    let text = |text: String| AMQPValue::LongString(text.into());
    if !message.key.is_empty() {
        headers.insert(KEY.into(), text(escape(&message.key)));
    }
    for (name, value) in &message.fields {
        headers.insert((*name).into(), text(one_line(value)));
    }
    Ok(BasicProperties::default()
        .with_message_id(id)
        .with_delivery_mode(PERSISTENT)
        .with_headers(headers))
}

impl Queue for Rabbit {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            payload_max: PAYLOAD_MAX,
            lease: None,
            keeps_order: false,
            counts: true,
            forgets_twins: None,
        }
    }

    fn name(&self) -> &str {
        &self.puts.name
    }

    fn ready(&self) -> Waiting<'_, Result<Vec<String>, QueueError>> {
        Box::pin(self.make_ready())
    }

    fn put<'a>(
        &'a self,
        channel: &'a Channel,
        messages: Vec<Message>,
        by: Duration,
    ) -> Waiting<'a, Vec<Result<(), QueueError>>> {
        Box::pin(self.put_all(channel, messages, by))
    }

    fn take<'a>(
        &'a self,
        channel: &'a Channel,
        most: usize,
        wait: Duration,
    ) -> Waiting<'a, Result<Vec<Taken>, QueueError>> {
        Box::pin(self.lanes.take(channel, most, wait))
    }

    fn waiting<'a>(&'a self, channel: &'a Channel) -> Waiting<'a, Option<u64>> {
        Box::pin(async move { timeout(READY_TIME / 2, self.count(channel)).await.ok().flatten() })
    }

    fn close(&self) -> Waiting<'_, ()> {
        Box::pin(async move {
            tokio::join!(self.takes.close(), self.puts.close());
        })
    }
}
