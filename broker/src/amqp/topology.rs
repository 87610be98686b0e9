//! What must exist at `RabbitMQ`, and its names.

use super::link::{Link, Live};
use crate::url::Options;
use lapin::options::QueueDeclareOptions;
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Error, ErrorKind};
use offload::queue::{Channel, QueueError};
use std::sync::atomic::{AtomicU64, Ordering};

/// How often the broker may give a message out before it drops it. Newer brokers drop it at 20 unless
/// they are told otherwise; owners count for themselves.
const DELIVERIES_MAX: i32 = 1_000_000;

/// The queues of a queue.
pub(super) struct Topology {
    queue: String,
    node: String,
    waiting_max: Option<u64>,
    /// The connection by which they were last declared; 0: none.
    declared_by: AtomicU64,
    declaring: tokio::sync::Mutex<()>,
}

impl Topology {
    pub(super) fn new(options: &Options) -> Self {
        Self {
            queue: options.queue.clone(),
            node: options.node.clone(),
            waiting_max: options.waiting_max,
            declared_by: AtomicU64::new(0),
            declaring: tokio::sync::Mutex::default(),
        }
    }

    /// The queue of a channel.
    pub(super) fn queue_of(&self, channel: &Channel) -> ShortString {
        match channel {
            Channel::Jobs => format!("fleetfoot.{}", self.queue).into(),
            Channel::News(node) => format!("fleetfoot.{}.news.{node}", self.queue).into(),
        }
    }

    /// Something is missing there: the next who comes declares it again.
    pub(super) fn forget(&self) {
        self.declared_by.store(0, Ordering::Release);
    }

    /// Makes sure that the queues are there, once for each connection; answers what is not as it
    /// should be, the first time.
    pub(super) async fn declare(
        &self,
        live: &Live,
        link: &Link,
    ) -> Result<Vec<String>, QueueError> {
        let declared = || self.declared_by.load(Ordering::Acquire) == live.number;
        if declared() {
            return Ok(Vec::new());
        }
        // One for all who wait: after a loss they come at once.
        let _one = self.declaring.lock().await;
        if declared() {
            return Ok(Vec::new());
        }
        let mut warnings = Vec::new();
        for channel in [Channel::Jobs, Channel::News(self.node.clone())] {
            let bound = self.waiting_max.filter(|_| channel == Channel::Jobs);
            warnings.extend(declare(live, link, self.queue_of(&channel), bound).await?);
        }
        self.declared_by.store(live.number, Ordering::Release);
        Ok(warnings)
    }
}

async fn declare(
    live: &Live,
    link: &Link,
    name: ShortString,
    bound: Option<u64>,
) -> Result<Option<String>, QueueError> {
    let failed = |error: Error| match error.kind() {
        ErrorKind::ProtocolError(told) => {
            link.refused(format!("declaring queue {name}: {}", told.get_message()))
        }
        _ => link.away(format!("declaring queue {name}: {error}")),
    };
    let channel = live.connection.create_channel().await.map_err(failed)?;
    let declared =
        channel.queue_declare(name.clone(), QueueDeclareOptions::durable(), arguments(bound)).await;
    let warning = match declared {
        Ok(_) => {
            let _ = channel.close(200, "bye".into()).await;
            return Ok(None);
        }
        // It is there with other arguments, and the channel is closed.
        Err(error) => match error.kind() {
            ErrorKind::ProtocolError(told) if told.get_id() == PRECONDITION_FAILED => {
                format!("queue {name} is not as it should be: {}", told.get_message())
            }
            _ => return Err(failed(error)),
        },
    };
    let channel = live.connection.create_channel().await.map_err(failed)?;
    let there = QueueDeclareOptions::default().passive();
    channel.queue_declare(name.clone(), there, FieldTable::default()).await.map_err(failed)?;
    let _ = channel.close(200, "bye".into()).await;
    Ok(Some(warning))
}

/// What `RabbitMQ` says when a queue is there with other arguments.
const PRECONDITION_FAILED: u16 = 406;

fn arguments(bound: Option<u64>) -> FieldTable {
    let text = |text: &str| AMQPValue::LongString(text.into());
    let mut arguments = FieldTable::default();
    arguments.insert("x-queue-type".into(), text("quorum"));
    arguments.insert("x-delivery-limit".into(), AMQPValue::LongInt(DELIVERIES_MAX));
    // Without it a full queue drops its oldest messages.
    arguments.insert("x-overflow".into(), text("reject-publish"));
    if let Some(bound) = bound.and_then(|bound| i64::try_from(bound).ok()) {
        arguments.insert("x-max-length".into(), AMQPValue::LongLongInt(bound));
    }
    arguments
}
