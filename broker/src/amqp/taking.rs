//! Taking messages from `RabbitMQ`, and acknowledging them.
//!
//! A consumer for each channel, on a connection that publishes nothing: a broker that is short of
//! memory or disk stops reading from those that publish, acknowledgements included.

use super::KEY;
use super::link::{Link, Live};
use super::topology::Topology;
use crate::text::unescape;
use crate::url::Options;
use base::{Deadline, Moment};
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::Acker;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Consumer};
use offload::queue::{Acknowledge, Channel, Message, QueueError, Taken, Waiting};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

/// How long an acknowledgement may take to be sent.
const ACK_TIME: Duration = Duration::from_secs(5);
/// How long whoever asks in a loop is held up after an error.
const REST: Duration = Duration::from_millis(200);

/// The consumers of a queue, one for each channel that is taken from.
pub(super) struct Lanes {
    link: Arc<Link>,
    topology: Arc<Topology>,
    held_max: u16,
    by_channel: Mutex<HashMap<Channel, Arc<tokio::sync::Mutex<Lane>>>>,
    dropped: Dropped,
}

/// Messages whose takers dropped them: given back by the next call.
type Dropped = Arc<Mutex<Vec<Acker>>>;

/// A channel as it is taken from.
#[derive(Default)]
enum Lane {
    #[default]
    Shut,
    /// By a task: a call that is dropped must not leave a consumer behind that nobody hears.
    Opening(JoinHandle<Result<Open, QueueError>>),
    Open(Box<Open>),
}

struct Open {
    number: u64,
    channel: lapin::Channel,
    consumer: Consumer,
}

impl Lanes {
    pub(super) fn new(link: Arc<Link>, topology: Arc<Topology>, options: &Options) -> Self {
        let held_max = options.held_max.max(1);
        Self { link, topology, held_max, by_channel: Mutex::default(), dropped: Arc::default() }
    }

    pub(super) async fn take(
        &self,
        channel: &Channel,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Taken>, QueueError> {
        let by = Deadline::after(Moment::now(), wait);
        let left = || by.left(Moment::now());
        self.give_back_dropped().await;
        let lane = {
            let mut lanes = self.by_channel.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(lanes.entry(channel.clone()).or_default())
        };
        let Ok(mut lane) = timeout(left(), lane.lock()).await else { return Ok(Vec::new()) };
        let opened = timeout(left(), self.open(&mut lane, channel, left()));
        let taken = match opened.await {
            Ok(Ok(open)) => self.next(open, most, by).await,
            Ok(Err(error)) => Err(error),
            // It goes on opening, for the next call.
            Err(_) => return Err(self.link.away("no consumer yet")),
        };
        if taken.is_err() {
            // The queue may be gone: declared again by whoever comes next.
            *lane = Lane::Shut;
            self.topology.forget();
            sleep(left().min(REST)).await;
        }
        taken
    }

    /// The consumer of the present connection.
    async fn open<'l>(
        &self,
        lane: &'l mut Lane,
        channel: &Channel,
        patience: Duration,
    ) -> Result<&'l mut Open, QueueError> {
        if let Lane::Opening(opening) = lane {
            let opened = opening.await;
            *lane = Lane::Shut;
            let opened = opened.unwrap_or_else(|_| Err(self.link.away("not opened")))?;
            *lane = Lane::Open(Box::new(opened));
        }
        let live = self.link.connected(patience).await?;
        if !matches!(lane, Lane::Open(open) if open.number == live.number) {
            let (link, topology) = (Arc::clone(&self.link), Arc::clone(&self.topology));
            let queue = self.topology.queue_of(channel);
            let held_max = self.held_max;
            let opening = tokio::spawn(async move {
                topology.declare(&live, &link).await?;
                let consumed = consume(&live, queue, held_max).await;
                consumed.map_err(|error| link.away(error.to_string()))
            });
            *lane = Lane::Opening(opening);
            return Box::pin(self.open(lane, channel, patience)).await;
        }
        match lane {
            Lane::Open(open) => Ok(open),
            _ => Err(self.link.away("not opened")),
        }
    }

    /// What comes, waiting for the first. Nothing waits after that: a call that is dropped has taken
    /// nothing.
    async fn next(
        &self,
        open: &mut Open,
        most: usize,
        by: Deadline,
    ) -> Result<Vec<Taken>, QueueError> {
        if most == 0 {
            return Ok(Vec::new());
        }
        let ended = || self.link.away("the consumer ended");
        let first = match timeout(by.left(Moment::now()), open.consumer.next()).await {
            Err(_) if open.channel.status().connected() => return Ok(Vec::new()),
            Err(_) => return Err(ended()),
            Ok(first) => first.ok_or_else(ended)?,
        };
        let first = first.map_err(|error| self.link.away(error.to_string()))?;
        let mut taken = vec![self.taken(first)];
        while taken.len() < most
            && let Some(Some(Ok(more))) = open.consumer.next().now_or_never()
        {
            taken.push(self.taken(more));
        }
        Ok(taken)
    }

    fn taken(&self, delivery: Delivery) -> Taken {
        let times = times(&delivery);
        let token = Token {
            link: Arc::clone(&self.link),
            dropped: Arc::clone(&self.dropped),
            acker: Some(delivery.acker.clone()),
        };
        Taken { message: plain(delivery), times, token: Box::new(token) }
    }

    async fn give_back_dropped(&self) {
        let next = || self.dropped.lock().unwrap_or_else(PoisonError::into_inner).pop();
        while let Some(acker) = next() {
            let _ = timeout(ACK_TIME, acker.nack(AGAIN)).await;
        }
    }
}

/// A consumer of this queue, with so many messages in its hands at most.
async fn consume(live: &Live, queue: ShortString, held_max: u16) -> lapin::Result<Open> {
    let channel = live.connection.create_channel().await?;
    channel.basic_qos(held_max, BasicQosOptions::default()).await?;
    let (options, arguments) = (BasicConsumeOptions::default(), FieldTable::default());
    let consumer = channel.basic_consume(queue, "".into(), options, arguments).await?;
    Ok(Open { number: live.number, channel, consumer })
}

const AGAIN: BasicNackOptions = BasicNackOptions { multiple: false, requeue: true };

/// A message without what AMQP has put around it.
pub(super) fn plain(delivery: Delivery) -> Message {
    let id = delivery.properties.message_id().as_ref().map(ToString::to_string);
    let key = match header(&delivery.properties, KEY) {
        Some(AMQPValue::LongString(key)) => unescape(&String::from_utf8_lossy(key.as_bytes())),
        _ => String::new(),
    };
    let id = id.map(|id| unescape(&id)).unwrap_or_default();
    Message { id, key, fields: Vec::new(), payload: delivery.data.into() }
}

fn header<'p>(properties: &'p BasicProperties, name: &str) -> Option<&'p AMQPValue> {
    properties.headers().as_ref()?.inner().get(name)
}

/// How often it was given out, as quorum queues count it.
fn times(delivery: &Delivery) -> u32 {
    let before = match header(&delivery.properties, "x-delivery-count") {
        Some(AMQPValue::LongLongInt(count)) => u32::try_from(*count).unwrap_or(0),
        Some(AMQPValue::LongInt(count)) => u32::try_from(*count).unwrap_or(0),
        Some(AMQPValue::ShortShortInt(count)) => u32::try_from(*count).unwrap_or(0),
        Some(AMQPValue::LongUInt(count)) => *count,
        _ => u32::from(delivery.redelivered),
    };
    before.saturating_add(1)
}

struct Token {
    link: Arc<Link>,
    dropped: Dropped,
    acker: Option<Acker>,
}

impl Token {
    fn heard(
        &self,
        said: Result<lapin::Result<bool>, tokio::time::error::Elapsed>,
    ) -> Result<(), QueueError> {
        match said {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(self.link.unknown("the connection that it came by is gone")),
            Ok(Err(error)) => Err(self.link.unknown(error.to_string())),
            Err(_) => Err(self.link.unknown("an acknowledgement could not be sent in time")),
        }
    }
}

impl Acknowledge for Token {
    fn done(mut self: Box<Self>) -> Waiting<'static, Result<(), QueueError>> {
        Box::pin(async move {
            let Some(acker) = self.acker.take() else { return Ok(()) };
            let said = timeout(ACK_TIME, acker.ack(BasicAckOptions::default())).await;
            self.heard(said)
        })
    }

    fn again(mut self: Box<Self>) -> Waiting<'static, Result<(), QueueError>> {
        Box::pin(async move {
            let Some(acker) = self.acker.take() else { return Ok(()) };
            let said = timeout(ACK_TIME, acker.nack(AGAIN)).await;
            self.heard(said)
        })
    }

    /// It stays taken for as long as the connection lives.
    fn still(&self) -> Waiting<'_, Result<(), QueueError>> {
        Box::pin(std::future::ready(Ok(())))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if let Some(acker) = self.acker.take().filter(Acker::usable) {
            self.dropped.lock().unwrap_or_else(PoisonError::into_inner).push(acker);
        }
    }
}
