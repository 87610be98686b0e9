//! The producer's side: messages become records, and are answered when all replicas have them.
//!
//! One producer, idempotent: what it sends again by itself is stored once and in order. What the
//! caller sends again after [`QueueError::Unknown`] may be stored twice, with the same id. librdkafka
//! does not say whether a message that it gave up has ever gone out, so a cluster that is away is
//! unknown, too.

use super::address::Address;
use super::fault;
use base::Moment;
use futures_util::future::join_all;
use offload::queue::{Message, QueueError};
use rdkafka::ClientContext;
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord, Producer};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Name of the header that has a message's id.
pub(super) const ID: &str = "fleetfoot-id";
/// A producer gives a message up after one of these times, the longest that is not longer than its
/// caller waits, or the first; so what the caller was told of as unknown is not sent much later. None
/// is shorter: an idempotent producer that has given up asks for a new id, which takes half a second,
/// and one that gives up before it has it never recovers.
const DELIVERY_MS: [u64; 2] = [2_000, 10_000];
/// How long the first message of an idempotent producer waits, for the producer's id.
pub(super) const WARM_UP: Duration = Duration::from_millis(700);
/// A producer of which nothing was acknowledged for so long is made anew.
const FAILING_MAX: Duration = Duration::from_secs(5);
/// Most messages and kilobytes that the producer holds.
const HELD_MESSAGES: &str = "20000";
const HELD_KILOBYTES: &str = "65536";
/// A client that is silent: what goes wrong is told by what becomes of messages.
#[derive(Clone, Debug, Default)]
pub(super) struct Ear;

impl ClientContext for Ear {
    fn log(&self, _: rdkafka::config::RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, _: KafkaError, _: &str) {}
}

/// A producer.
pub(super) type Sender = FutureProducer<Ear>;

/// What puts messages.
pub(super) struct Post {
    /// What the queue is called in errors.
    name: String,
    address: Address,
    /// By how long they try, in milliseconds; and when they were made.
    senders: Mutex<BTreeMap<u64, (Moment, Sender)>>,
    closed: AtomicBool,
    failing: Mutex<Option<Moment>>,
}

impl Post {
    pub(super) fn new(name: String, address: Address) -> Self {
        Self {
            name,
            address,
            senders: Mutex::default(),
            closed: AtomicBool::new(false),
            failing: Mutex::default(),
        }
    }

    /// Makes the producer that serves everybody while others are not warm.
    pub(super) fn warm(&self) -> Result<Sender, QueueError> {
        self.sender(Duration::from_millis(DELIVERY_MS[0]))
    }

    /// The producer for whoever waits so long, made when it is first needed, and anew after an error
    /// that it does not survive. While it is not warm one that is and tries for less stands in.
    pub(super) fn sender(&self, by: Duration) -> Result<Sender, QueueError> {
        if self.is_closed() {
            return Err(fault::away(&self.name, "closed"));
        }
        let ms = delivery_ms(by);
        let mut senders = self.senders();
        let now = Moment::now();
        let mut lost = None;
        if senders.get(&ms).is_none_or(|(_, sender)| is_lost(sender)) {
            let sender = self.make(ms).map_err(|e| fault::away(&self.name, fault::text(&e)))?;
            lost = senders.insert(ms, (now, sender));
        }
        let is_warm = |made: Moment| now.since(made) >= WARM_UP;
        let fit = |(made, sender): &(Moment, Sender)| is_warm(*made) && !is_lost(sender);
        let mut warm = senders.range(..=ms).rev().filter(|(_, sender)| fit(sender));
        let sender = warm.next().map(|(_, (_, sender))| sender.clone());
        let sender = sender.or_else(|| senders.get(&ms).map(|(_, sender)| sender.clone()));
        drop(senders);
        lost.into_iter().for_each(drop_elsewhere);
        sender.ok_or_else(|| fault::away(&self.name, "no producer"))
    }

    fn senders(&self) -> MutexGuard<'_, BTreeMap<u64, (Moment, Sender)>> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The broker and a producer do not agree any more on what came last: the next message is a new
    /// producer's.
    fn spoilt(&self, by: Duration) {
        let spoilt = self.senders().remove(&delivery_ms(by));
        spoilt.into_iter().for_each(drop_elsewhere);
    }

    /// Since when nothing has been acknowledged.
    fn failing(&self) -> MutexGuard<'_, Option<Moment>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has it ended?
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn make(&self, ms: u64) -> KafkaResult<Sender> {
        let mut config = self.address.config();
        config.set("acks", "all").set("enable.idempotence", "true").set("linger.ms", "0");
        config.set("message.timeout.ms", ms.to_string()).set("partitioner", "murmur2_random");
        config.set("message.max.bytes", self.address.bytes_max.to_string());
        // Without a key each goes its own way: a burst that stuck to one partition would be one
        // gateway's alone.
        config.set("sticky.partitioning.linger.ms", "0");
        config.set("queue.buffering.max.messages", HELD_MESSAGES);
        config.set("queue.buffering.max.kbytes", HELD_KILOBYTES);
        Sender::from_config_and_context(&config, Ear)
    }

    /// Puts messages into a topic; each answer comes within `by`.
    pub(super) async fn put(
        &self,
        topic: &str,
        messages: Vec<Message>,
        by: Duration,
    ) -> Vec<Result<(), QueueError>> {
        match self.sender(by) {
            Ok(sender) => {
                let sent: Vec<_> = messages.iter().map(|m| self.send(&sender, topic, m)).collect();
                join_all(sent.into_iter().map(|sent| self.settled(sent, by))).await
            }
            Err(error) => {
                let why = error.to_string();
                let away = |_| Err(fault::away(&self.name, why.clone()));
                messages.iter().map(away).collect()
            }
        }
    }

    /// Hands one to the producer, which copies it.
    fn send(
        &self,
        sender: &Sender,
        topic: &str,
        message: &Message,
    ) -> Result<DeliveryFuture, QueueError> {
        let (bytes, max) = (message.payload.len(), self.address.payload_max());
        if bytes > max {
            return Err(QueueError::TooLarge { queue: self.name.clone(), bytes, max });
        }
        let mut headers = OwnedHeaders::new_with_capacity(message.fields.len() + 1);
        let id = (ID, &message.id);
        let fields = message.fields.iter().map(|(key, value)| (*key, value));
        for (key, value) in std::iter::once(id).chain(fields) {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let record = FutureRecord::to(topic).payload(&message.payload[..]).headers(headers);
        let record = match message.key.as_str() {
            "" => record,
            key => record.key(key),
        };
        // `FutureProducer::send` would wait in steps of 100 ms for room; a queue that is full is
        // told at once.
        sender.send_result(record).map_err(|(error, _)| fault::put(&self.name, &error))
    }

    async fn settled(
        &self,
        sent: Result<DeliveryFuture, QueueError>,
        by: Duration,
    ) -> Result<(), QueueError> {
        match tokio::time::timeout(by, sent?).await {
            Ok(Ok(Ok(_))) => {
                *self.failing() = None;
                Ok(())
            }
            Ok(Ok(Err((error, _)))) => {
                if fault::spoils(&error) {
                    self.spoilt(by);
                }
                Err(fault::put(&self.name, &error))
            }
            Ok(Err(_)) => Err(fault::unknown(&self.name, "the producer ended")),
            Err(_) => {
                // Why is told to nobody who has left: it may be the sequence.
                let since = *self.failing().get_or_insert_with(Moment::now);
                if Moment::now().since(since) >= FAILING_MAX {
                    *self.failing() = None;
                    self.spoilt(by);
                }
                Err(fault::unknown(&self.name, format!("no acknowledgement in {by:?}")))
            }
        }
    }

    /// Ends: what is on its way has a moment to arrive.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let senders = std::mem::take(&mut *self.senders());
        let end = move || {
            for (_, sender) in senders.into_values() {
                let _unsent = sender.flush(Duration::from_secs(1));
            }
        };
        let _ended = tokio::task::spawn_blocking(end).await;
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        std::mem::take(&mut *self.senders()).into_values().for_each(drop_elsewhere);
    }
}

/// How long a producer tries for whoever waits so long.
fn delivery_ms(by: Duration) -> u64 {
    let fits = |ms: &&u64| Duration::from_millis(**ms) <= by;
    DELIVERY_MS.iter().rfind(fits).copied().unwrap_or(DELIVERY_MS[0])
}

fn is_lost(sender: &Sender) -> bool {
    sender.client().fatal_error().is_some()
}

/// Dropping a client waits for its threads: that is nothing for a thread that serves others.
fn drop_elsewhere<T: Send + 'static>(client: T) {
    let ended = std::thread::Builder::new().name("kafka-end".to_owned()).spawn(|| drop(client));
    // Without a thread it has been dropped here.
    drop(ended);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_tries_for_much_longer_than_its_caller_waits() {
        let check = |ms| delivery_ms(Duration::from_millis(ms));
        let found = [1, 1999, 2000, 9999, 10_000, 60_000].map(check);
        assert_eq!(found, [2000, 2000, 2000, 2000, 10_000, 10_000]);
    }
}
