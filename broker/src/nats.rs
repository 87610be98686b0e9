//! NATS `JetStream` as a queue, and core NATS as a bus.
//!
//! A queue is one stream, `fleetfoot-<queue>`, on file, with work-queue retention: a message goes when
//! it is acknowledged. When it is full it refuses new ones and keeps the old. Its subjects are
//! `fleetfoot.<queue>.jobs` and `fleetfoot.<queue>.news.<node>`, a durable consumer for each.
//!
//! What clients get wrong by default: a publish is two awaits, of which only the second means that it
//! is stored; `ack()` is sent and not awaited; a message past `max_deliver` stays for ever; a pull that
//! was lost with its connection waits for ever. The server keeps what it took in for two minutes
//! before it syncs, unless it is told `sync_interval: always`, which it does not tell its clients.

mod bus;
mod link;
mod stream;
mod taking;

pub use bus::NatsBus;

use crate::text::{escape, one_line};
use crate::url::{BrokerError, Options, Place};
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::{Context, ErrorCode};
use base::{Deadline, Moment};
use link::Link;
use offload::queue::{Capabilities, Channel, Message, Queue, QueueError, Taken, Waiting};
use std::error::Error as _;
use std::sync::Arc;
use std::time::Duration;
use stream::Stream;
use taking::Lanes;
use tokio::time::timeout;

/// Of the server's bound for a message, what is left for its headers.
const HEADERS_MAX: usize = 8 << 10;
/// How long an id is remembered there, to drop its twins.
const TWINS_TIME: Duration = Duration::from_mins(2);
/// How long [`Queue::ready`] may take.
const READY_TIME: Duration = Duration::from_secs(10);

/// The header with a message's key.
const KEY: &str = "fleetfoot-key";

/// A queue on NATS.
pub struct Nats {
    link: Arc<Link>,
    stream: Stream,
    lanes: Lanes,
    lease: Duration,
}

impl Nats {
    /// One there; nothing is reached yet.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn new(place: &Place, options: &Options) -> Result<Self, BrokerError> {
        let link = Arc::new(Link::new(place, options)?);
        let stream = Stream::new(place, options)?;
        let lanes = Lanes::new(Arc::clone(&link), options);
        Ok(Self { link, stream, lanes, lease: options.lease })
    }

    async fn make_ready(&self) -> Result<Vec<String>, QueueError> {
        let client = self.link.client().await?;
        if timeout(READY_TIME / 2, self.link.up(client)).await.is_err() {
            self.link.connected(Duration::ZERO).await?;
        }
        // What was there may be gone, or be another.
        self.stream.forget();
        let made = timeout(READY_TIME / 2, self.stream.make(client, &self.link));
        let made = made.await.map_err(|_| self.link.away("making the stream took too long"))?;
        made.map(|made| made.warnings.clone())
    }

    async fn put_all(
        &self,
        channel: &Channel,
        messages: Vec<Message>,
        by: Duration,
    ) -> Vec<Result<(), QueueError>> {
        let by = Deadline::after(Moment::now(), by);
        let left = || by.left(Moment::now());
        let made = timeout(left(), async {
            let client = self.link.connected(left()).await?;
            self.stream.make(client, &self.link).await
        });
        let made = match made.await.unwrap_or_else(|_| Err(self.link.away("it is not ready"))) {
            Ok(made) => made,
            Err(error) => {
                return messages.iter().map(|_| Err(crate::queue::again(&error))).collect();
            }
        };
        let subject = self.stream.subject(channel);
        let mut sent = Vec::with_capacity(messages.len());
        for message in messages {
            sent.push(self.send(&made.context, &subject, message, left()).await);
        }
        let mut answers = Vec::with_capacity(sent.len());
        for one in sent {
            answers.push(match one {
                Ok(stored) => match timeout(left(), stored.into_future()).await {
                    Ok(Ok(_)) => Ok(()),
                    Ok(Err(error)) => Err(self.refusal(&error)),
                    Err(_) => Err(self.link.unknown("it did not answer in time")),
                },
                Err(error) => Err(error),
            });
        }
        answers
    }

    /// The first of the two awaits: it is on its way.
    async fn send(
        &self,
        context: &Context,
        subject: &str,
        message: Message,
        left: Duration,
    ) -> Result<async_nats::jetstream::context::PublishAckFuture, QueueError> {
        let bytes = message.payload.len();
        let max = self.payload_max();
        if bytes > max {
            return Err(QueueError::TooLarge { queue: self.link.name.clone(), bytes, max });
        }
        let mut publish = PublishMessage::build().message_id(escape(&message.id));
        if !message.key.is_empty() {
            publish = publish.header(KEY, escape(&message.key));
        }
        for (name, value) in &message.fields {
            publish = publish.header(*name, one_line(value));
        }
        let sending = context.send_publish(subject.to_owned(), publish.payload(message.payload));
        match timeout(left, sending).await {
            Ok(Ok(sent)) => Ok(sent),
            Ok(Err(error)) if error.kind() == PublishErrorKind::MaxPayloadExceeded => {
                Err(QueueError::TooLarge { queue: self.link.name.clone(), bytes, max })
            }
            Ok(Err(error)) => Err(self.link.away(error.to_string())),
            Err(_) => Err(self.link.away("too many messages wait for its answer")),
        }
    }

    /// What an answer other than "stored" means.
    fn refusal(&self, error: &PublishError) -> QueueError {
        let queue = self.link.name.clone();
        let code = error.source().and_then(|source| {
            source
                .downcast_ref::<async_nats::jetstream::Error>()
                .map(|told| (told.error_code(), told.to_string()))
        });
        match (error.kind(), code) {
            (PublishErrorKind::StreamNotFound, _) => {
                // Deleted, or its leader is being chosen: made again by whoever comes next.
                self.stream.forget();
                self.link.away("no stream answers")
            }
            (
                _,
                Some((
                    ErrorCode::STREAM_STORE_FAILED
                    | ErrorCode::INSUFFICIENT_RESOURCES
                    | ErrorCode::ACCOUNT_RESOURCES_EXCEEDED
                    | ErrorCode::STORAGE_RESOURCES_EXCEEDED
                    | ErrorCode::MEMORY_RESOURCES_EXCEEDED,
                    why,
                )),
            ) => QueueError::Full { queue, why },
            (_, Some((ErrorCode::CLUSTER_NOT_AVAILABLE, why))) => QueueError::Away { queue, why },
            (_, Some((_, why))) => QueueError::Refused { queue, why },
            _ => self.link.unknown(error.to_string()),
        }
    }

    fn payload_max(&self) -> usize {
        self.link.payload_max().saturating_sub(HEADERS_MAX)
    }
}

impl Queue for Nats {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            payload_max: self.payload_max(),
            lease: Some(self.lease),
            keeps_order: false,
            counts: true,
            forgets_twins: Some(TWINS_TIME),
        }
    }

    fn name(&self) -> &str {
        &self.link.name
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
        Box::pin(self.lanes.take(&self.stream, channel, most, wait))
    }

    fn waiting<'a>(&'a self, channel: &'a Channel) -> Waiting<'a, Option<u64>> {
        Box::pin(async move {
            let client = self.link.connected(Duration::ZERO).await.ok()?;
            let counted = self.stream.waiting(client, &self.link, channel);
            timeout(READY_TIME / 2, counted).await.ok().flatten()
        })
    }

    fn close(&self) -> Waiting<'_, ()> {
        Box::pin(async move {
            self.lanes.give_back().await;
            self.link.close().await;
        })
    }
}
