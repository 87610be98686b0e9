//! The consumer's side of one topic: a member of the group, on a thread of its own.
//!
//! The thread polls always, also when nobody takes: only so is the member alive for the group. What
//! it gets lies on the [`Desk`] until it is taken; when much lies there it pauses partitions, since
//! librdkafka would go on fetching. Acknowledgements move a [`Prefix`](super::prefix::Prefix), and
//! what it says is committed, one commit at a time, for all who wait for it.
//!
//! A rebalance ([`Watch`]) first waits for the commit under way and makes the last one, then fences
//! what it takes away: tokens of a revoked partition find that their assignment is over.

use super::address::Address;
use super::desk::{Desk, Place};
use super::fault;
use super::post::ID;
use base::Moment;
use bytes::Bytes;
use offload::queue::{Message, QueueError};
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::message::{BorrowedMessage, Headers, Message as _};
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{ClientContext, Offset, TopicPartitionList};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;

/// The thread looks up from polling after so long; sooner where a partition is paused.
const POLL: Duration = Duration::from_millis(100);
const POLL_PAUSED: Duration = Duration::from_millis(5);
/// A commit that failed is tried again after so long, also if nobody waits for it.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);
/// How long the cluster may take to say that it is there, and how long a take waits for that. A
/// request that is given up costs its connection, so it is not given up soon.
const PROBE: Duration = Duration::from_secs(5);
const PROBE_WAIT: Duration = Duration::from_secs(1);

/// A consumer in the group.
type Member = BaseConsumer<Watch>;

/// A member of the group, and what it has got.
pub(super) struct Lane {
    /// What the queue is called in errors.
    name: String,
    topic: String,
    desk: Mutex<Desk>,
    arrived: Notify,
    /// Whoever holds it commits.
    committing: tokio::sync::Mutex<()>,
    member: Mutex<Option<Arc<Member>>>,
    probing: AtomicBool,
    probed: Notify,
    stop: AtomicBool,
    ended: Notify,
}

/// What the member is told of rebalances.
pub(super) struct Watch(Weak<Lane>);

impl ClientContext for Watch {
    fn log(&self, _: RDKafkaLogLevel, _: &str, _: &str) {}

    fn error(&self, error: KafkaError, _: &str) {
        if let Some(lane) = self.0.upgrade() {
            lane.desk().trouble(fault::text(&error));
        }
    }
}

impl ConsumerContext for Watch {
    fn pre_rebalance(&self, member: &Member, rebalance: &Rebalance<'_>) {
        let Some(lane) = self.0.upgrade() else { return };
        let partitions = |list: &TopicPartitionList| -> Vec<i32> {
            list.elements().iter().map(TopicPartitionListElem::partition).collect()
        };
        match rebalance {
            Rebalance::Assign(list) => lane.desk().assign(&partitions(list)),
            Rebalance::Revoke(list) => {
                // This thread is the lane's own: it may wait.
                let _turn = lane.committing.blocking_lock();
                // After a lost assignment another member may be at work already.
                if !member.assignment_lost() {
                    let _failed = lane.commit(member);
                }
                lane.desk().revoke(&partitions(list));
            }
            Rebalance::Error(error) => lane.desk().trouble(fault::text(error)),
        }
    }
}

impl Lane {
    /// Joins the group and begins to poll.
    pub(super) fn open(
        name: &str,
        address: &Address,
        group: &str,
        topic: &str,
    ) -> Result<Arc<Self>, QueueError> {
        let lane = Arc::new(Self {
            name: name.to_owned(),
            topic: topic.to_owned(),
            desk: Mutex::default(),
            arrived: Notify::new(),
            committing: tokio::sync::Mutex::new(()),
            member: Mutex::new(None),
            probing: AtomicBool::new(false),
            probed: Notify::new(),
            stop: AtomicBool::new(false),
            ended: Notify::new(),
        });
        let wrong = |error: KafkaError| fault::away(name, fault::text(&error));
        let watch = Watch(Arc::downgrade(&lane));
        let member = Member::from_config_and_context(&config(address, group), watch);
        let member = Arc::new(member.map_err(wrong)?);
        member.subscribe(&[topic]).map_err(wrong)?;
        *lane.member.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&member));
        let own = Arc::clone(&lane);
        let thread = std::thread::Builder::new().name("kafka-take".to_owned());
        let thread = thread.spawn(move || own.run(member));
        thread.map_err(|error| fault::away(name, format!("no thread for it: {error}")))?;
        Ok(lane)
    }

    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's work, until the lane is closed or its member is lost.
    fn run(&self, member: Arc<Member>) {
        let mut committed = Moment::now();
        while !self.stop.load(Ordering::Relaxed) && self.desk().lost().is_none() {
            let pause = if self.desk().is_pausing() { POLL_PAUSED } else { POLL };
            match member.poll(pause) {
                Some(Ok(record)) => {
                    let (partition, offset) = (record.partition(), record.offset());
                    self.desk().put(partition, offset, message(&record));
                    self.arrived.notify_one();
                }
                Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                    self.desk().lose(code.to_string());
                }
                Some(Err(error)) => self.desk().trouble(fault::text(&error)),
                None => {}
            }
            let now = Moment::now();
            if self.desk().give_back(now) {
                self.arrived.notify_one();
            }
            self.flow(&member);
            if now.since(committed) >= COMMIT_AGAIN {
                committed = now;
                if let Ok(_turn) = self.committing.try_lock() {
                    let _failed = self.commit(&member);
                }
            }
        }
        // Leaving the group waits for the cluster; the thread is there for it.
        self.member.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(member);
        self.desk().lose("closed".to_owned());
        self.arrived.notify_one();
        self.ended.notify_one();
    }

    /// Pauses what has got too much, resumes what can take more.
    fn flow(&self, member: &Member) {
        let (pause, resume) = self.desk().flow();
        let list = |partitions: &[i32]| {
            let mut list = TopicPartitionList::with_capacity(partitions.len());
            for partition in partitions {
                list.add_partition(&self.topic, *partition);
            }
            list
        };
        // A partition that is no longer ours fails here and is of no interest.
        if !pause.is_empty() {
            let _revoked = member.pause(&list(&pause));
        }
        if !resume.is_empty() {
            let _revoked = member.resume(&list(&resume));
        }
    }

    /// Commits what is due; whoever calls it holds `committing`. It waits for the broker's word, and
    /// what has failed stays due.
    fn commit(&self, member: &Member) -> KafkaResult<()> {
        let due = self.desk().due();
        if due.is_empty() {
            return Ok(());
        }
        let mut list = TopicPartitionList::with_capacity(due.len());
        for (place, end) in &due {
            list.add_partition_offset(&self.topic, place.partition, Offset::Offset(*end))?;
        }
        member.commit(&list, CommitMode::Sync)?;
        self.desk().committed(&due);
        Ok(())
    }

    /// Up to `most` messages, the first within `wait`.
    pub(super) async fn take(
        self: &Arc<Self>,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<(Place, Message, u32)>, QueueError> {
        let first = async {
            loop {
                let taken = self.desk().take(most);
                if !taken.is_empty() {
                    return Ok(taken);
                }
                if let Some(why) = self.desk().lost() {
                    return Err(fault::away(&self.name, why));
                }
                self.arrived.notified().await;
            }
        };
        match tokio::time::timeout(wait, first).await {
            Ok(taken) => taken,
            Err(_) => self.is_reached().await.map(|()| Vec::new()),
        }
    }

    /// Nothing came: is there nothing, or nobody?
    async fn is_reached(self: &Arc<Self>) -> Result<(), QueueError> {
        let Some(trouble) = self.desk().is_troubled() else { return Ok(()) };
        let member = self.member.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(member) = member else { return Err(fault::away(&self.name, trouble)) };
        if !self.probing.swap(true, Ordering::Relaxed) {
            let own = Arc::clone(self);
            tokio::task::spawn_blocking(move || {
                if member.fetch_metadata(Some(&own.topic), PROBE).is_ok() {
                    own.desk().fine();
                }
                drop(member);
                own.probing.store(false, Ordering::Relaxed);
                own.probed.notify_one();
            });
        }
        let _late = tokio::time::timeout(PROBE_WAIT, self.probed.notified()).await;
        match self.desk().is_troubled() {
            None => Ok(()),
            Some(_) => Err(fault::away(&self.name, trouble)),
        }
    }

    /// Is it of no more use?
    pub(super) fn is_lost(&self) -> bool {
        self.desk().lost().is_some()
    }

    /// Is what was taken at this place still ours?
    pub(super) fn still(&self, place: Place) -> Result<(), QueueError> {
        if self.desk().holds(place) { Ok(()) } else { Err(self.fenced()) }
    }

    /// A message is finished: answered when the commit that covers it went through, or at once if one
    /// before it is not finished.
    pub(super) async fn done(self: Arc<Self>, place: Place) -> Result<(), QueueError> {
        match self.desk().finish(place) {
            None => return Err(self.fenced()),
            Some(false) => return Ok(()),
            Some(true) => {}
        }
        let own = Arc::clone(&self);
        let committed = tokio::task::spawn_blocking(move || {
            let turn = own.committing.blocking_lock();
            // Whoever held the turn before may have committed this one, too.
            match own.desk().covered(place) {
                None => return Err(own.fenced()),
                Some(true) => return Ok(()),
                Some(false) => {}
            }
            let member = own.member.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Some(member) = member else { return Err(own.fenced()) };
            let committed = own.commit(&member);
            // If this is the last hand on a member that ends, dropping it takes the turn itself.
            drop(turn);
            drop(member);
            committed.map_err(|error| fault::unknown(&own.name, fault::text(&error)))
        });
        committed.await.unwrap_or_else(|_| Err(fault::unknown(&self.name, "the commit broke off")))
    }

    /// A message comes back without a word: it is handed out again here after a while, since Kafka
    /// does so only when the partition changes hands.
    pub(super) fn back(&self, place: Place, message: Message, times: u32) {
        self.desk().back(place, message, times, Moment::now());
    }

    fn fenced(&self) -> QueueError {
        let why = "its partition has another taker by now, who gets the message again";
        fault::unknown(&self.name, why)
    }

    /// Leaves the group.
    pub(super) async fn close(&self) {
        self.stop.store(true, Ordering::Relaxed);
        if !self.is_lost() {
            let _left = tokio::time::timeout(Duration::from_secs(10), self.ended.notified()).await;
        }
    }

    /// Leaves the group without waiting for it.
    pub(super) fn leave(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn config(address: &Address, group: &str) -> rdkafka::ClientConfig {
    let mut config = address.config();
    let session = address.session.as_millis();
    config.set("group.id", group).set("auto.offset.reset", "earliest");
    config.set("enable.auto.commit", "false").set("enable.auto.offset.store", "false");
    // What stays with a member across a rebalance goes on undisturbed.
    config.set("partition.assignment.strategy", "cooperative-sticky");
    config.set("session.timeout.ms", session.to_string());
    config.set("heartbeat.interval.ms", (session / 4).to_string());
    config.set("fetch.message.max.bytes", address.bytes_max.to_string());
    config.set("queued.max.messages.kbytes", "16384").set("fetch.queue.backoff.ms", "20");
    config.set("fetch.error.backoff.ms", "100");
    config
}

/// A record as a message. One that others have put there has its place for an id.
pub(super) fn message(record: &BorrowedMessage<'_>) -> Message {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let id = record.headers().and_then(|headers| {
        let mut headers = headers.iter();
        headers.find(|header| header.key == ID).and_then(|header| header.value).map(text)
    });
    let id = id.unwrap_or_else(|| format!("{}-{}", record.partition(), record.offset()));
    let key = record.key().map(text).unwrap_or_default();
    let payload = Bytes::copy_from_slice(record.payload().unwrap_or_default());
    Message { id, key, fields: Vec::new(), payload }
}
