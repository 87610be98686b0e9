//! A subscriber: all partitions of a topic from their ends, without a group, on a thread of its own.
//!
//! Where it begins is fixed before it says [`Heard::Listening`], by asking each partition for its
//! end; so whatever is published after that is heard. It remembers where it is, and goes on there
//! when the cluster is back: mostly nothing was missed, but it was not heard in time, and a broker
//! may have lost its end, so it says [`Heard::Gap`] all the same.

use super::address::Address;
use super::fault;
use super::lane::message;
use crate::backoff::Backoff;
use base::Moment;
use offload::queue::Heard;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::Message as _;
use rdkafka::metadata::MetadataPartition;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// What was heard and not asked for; beyond that it is forgotten, and told as a gap.
const HEARD_MAX: usize = 10_000;
/// How long a poll lasts; the end of the listener is noticed after it.
const POLL: Duration = Duration::from_millis(100);
/// How long the cluster may take to tell of partitions and their ends.
const ASK: Duration = Duration::from_secs(5);
/// Errors of connections that come so soon after it has found its place are of before.
const SETTLE: Duration = Duration::from_millis(300);
/// How often to look for partitions that were added.
const LOOK: Duration = Duration::from_secs(10);

/// A thread that hears, and what it heard.
pub(super) struct Listener {
    topic: String,
    heard: Mutex<VecDeque<Heard>>,
    arrived: Notify,
    stop: AtomicBool,
}

/// A client that is silent.
struct Mute;

impl ClientContext for Mute {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}
    fn error(&self, _: KafkaError, _: &str) {}
}

impl ConsumerContext for Mute {}

type Reader = BaseConsumer<Mute>;
/// Where to go on, for each partition.
type Positions = BTreeMap<i32, i64>;

impl Listener {
    /// Begins to listen.
    pub(super) fn begin(address: &Address, node: &str, topic: &str) -> Arc<Self> {
        let listener = Arc::new(Self {
            topic: topic.to_owned(),
            heard: Mutex::default(),
            arrived: Notify::new(),
            stop: AtomicBool::new(false),
        });
        let mut config = address.config();
        // Nothing is joined or committed under this name; librdkafka wants one.
        config.set("group.id", format!("fleetfoot.events.{node}"));
        config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "error").set("fetch.error.backoff.ms", "100");
        config.set("fetch.message.max.bytes", address.bytes_max.to_string());
        config.set("queued.max.messages.kbytes", "16384").set("fetch.queue.backoff.ms", "20");
        let own = Arc::clone(&listener);
        let thread = std::thread::Builder::new().name("kafka-hear".to_owned());
        if let Err(error) = thread.spawn(move || own.run(&config)) {
            listener.tell(Heard::Gap(format!("no thread to listen with: {error}")));
        }
        listener
    }

    fn heard(&self) -> MutexGuard<'_, VecDeque<Heard>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, what: Heard) {
        let mut heard = self.heard();
        if heard.len() >= HEARD_MAX {
            heard.clear();
            let why = format!("{HEARD_MAX} events were waiting and have been dropped");
            heard.extend([Heard::Gap(why), Heard::Listening]);
        }
        heard.push_back(what);
        drop(heard);
        self.arrived.notify_one();
    }

    /// The next that was heard.
    pub(super) async fn next(&self) -> Heard {
        loop {
            if let Some(heard) = self.heard().pop_front() {
                return heard;
            }
            self.arrived.notified().await;
        }
    }

    pub(super) fn end(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn run(&self, config: &rdkafka::ClientConfig) {
        let (mut backoff, mut positions) = (Backoff::default(), Positions::new());
        // Why it has not heard since it last did. Told when it goes on: whoever then forgets what he
        // knew hears of all that changes afterwards.
        let mut gap: Option<String> = None;
        while !self.stopped() {
            // A reader for each attempt: what one knew of brokers that are gone would hold it up.
            let began = Reader::from_config_and_context(config, Mute).and_then(|reader| {
                self.place(&reader, &mut positions)?;
                Ok((settled(&reader, &mut positions)?, reader))
            });
            let error = match began {
                Ok((events, reader)) => {
                    backoff.reset();
                    if let Some(why) = gap.take() {
                        self.tell(Heard::Gap(why));
                    }
                    self.tell(Heard::Listening);
                    for event in events {
                        self.tell(event);
                    }
                    self.follow(&reader, &mut positions)
                }
                Err(error) => error,
            };
            if !positions.is_empty() {
                gap.get_or_insert_with(|| fault::text(&error));
            }
            let until = Moment::now() + backoff.failed();
            while !self.stopped() && Moment::now() < until {
                std::thread::sleep(POLL / 10);
            }
        }
    }

    /// Assigns all partitions: from where it was, as far as that is still there, else from the end.
    fn place(&self, reader: &Reader, positions: &mut Positions) -> KafkaResult<()> {
        let is_first = positions.is_empty();
        let mut list = TopicPartitionList::new();
        for partition in self.partitions(reader)? {
            let (low, high) = reader.fetch_watermarks(&self.topic, partition, ASK)?;
            // A partition that is new was empty when we began: all of it is news.
            let begin = if is_first { high } else { low };
            let position = positions.entry(partition).or_insert(begin);
            *position = (*position).clamp(low, high.max(low));
            list.add_partition_offset(&self.topic, partition, Offset::Offset(*position))?;
        }
        reader.assign(&list)
    }

    fn partitions(&self, reader: &Reader) -> KafkaResult<Vec<i32>> {
        let told = reader.fetch_metadata(Some(&self.topic), ASK)?;
        let topic = told.topics().iter().find(|told| told.name() == self.topic);
        let partitions = topic.map_or(&[][..], |topic| topic.partitions());
        if partitions.is_empty() {
            let missing = rdkafka::types::RDKafkaErrorCode::UnknownTopicOrPartition;
            return Err(KafkaError::MetadataFetch(missing));
        }
        Ok(partitions.iter().map(MetadataPartition::id).collect())
    }

    /// Hears until something goes wrong.
    fn follow(&self, reader: &Reader, positions: &mut Positions) -> KafkaError {
        let mut looked = Moment::now();
        while !self.stopped() {
            match reader.poll(POLL) {
                Some(Ok(record)) => {
                    positions.insert(record.partition(), record.offset() + 1);
                    self.tell(Heard::Event(message(&record)));
                }
                Some(Err(error)) => return error,
                None => {}
            }
            if Moment::now().since(looked) >= LOOK {
                looked = Moment::now();
                match self.partitions(reader) {
                    Ok(found) if found.len() == positions.len() => {}
                    // More or fewer: begin again, where all is put in order.
                    Ok(found) => {
                        if let Err(error) = self.add(reader, positions, &found) {
                            return error;
                        }
                    }
                    Err(error) => return error,
                }
            }
        }
        KafkaError::Canceled
    }

    /// Partitions were added: what is in them is new, and heard from the beginning.
    fn add(&self, reader: &Reader, positions: &mut Positions, found: &[i32]) -> KafkaResult<()> {
        let mut list = TopicPartitionList::new();
        for partition in found {
            if !positions.contains_key(partition) {
                let (low, _) = reader.fetch_watermarks(&self.topic, *partition, ASK)?;
                positions.insert(*partition, low);
            }
        }
        for (partition, position) in positions.iter() {
            list.add_partition_offset(&self.topic, *partition, Offset::Offset(*position))?;
        }
        reader.assign(&list)
    }
}

/// Waits for a moment in which nothing goes wrong but with old connections; what is heard meanwhile.
fn settled(reader: &Reader, positions: &mut Positions) -> KafkaResult<Vec<Heard>> {
    let (until, mut events) = (Moment::now() + SETTLE, Vec::new());
    while Moment::now() < until && events.len() < HEARD_MAX {
        match reader.poll(SETTLE / 10) {
            Some(Ok(record)) => {
                positions.insert(record.partition(), record.offset() + 1);
                events.push(Heard::Event(message(&record)));
            }
            Some(Err(error)) if !fault::is_away(&error) => return Err(error),
            Some(Err(_)) | None => {}
        }
    }
    Ok(events)
}
