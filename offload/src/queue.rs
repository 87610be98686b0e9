//! Queues elsewhere, behind one trait: what carries messages between gateways.
//!
//! The gateway that accepts a job is its *owner*: it keeps the request in its own log until the job
//! is over, counts its tries, holds it back until it is due, and decides what follows a failure. A
//! broker carries what is due to whichever gateway has a hand free, and carries back what came of
//! it. So what a broker lacks (delays, priorities, order, dead letters, looking up one message) is
//! not missing: the owner has it. What a broker must do is little, and [`Queue`] says it.
//!
//! A message is acknowledged by whoever took it when what came of it is safe; until then the broker
//! gives it to another if the taker goes away. Messages can come twice: who takes them compares ids.

use bytes::Bytes;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// A future that a trait object can answer.
pub type Waiting<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A lane of messages within a queue.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// Jobs, for whoever takes them first.
    Jobs,
    /// What came of jobs, for the owner with this name.
    News(String),
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// What it is known by: the broker's own means against duplicates use it, where it has any.
    pub id: String,
    /// Messages with the same key keep their order where the broker can; empty: none.
    pub key: String,
    /// Names and values for other tools, which see them beside the payload: lower case ASCII letters,
    /// digits and `-`, and text.
    pub fields: Vec<(&'static str, String)>,
    /// The content.
    pub payload: Bytes,
}

/// One message that was taken.
pub struct Taken {
    /// What was put; its `fields` are not told.
    pub message: Message,
    /// How often the broker has given it out, this time included, as far as it counts; else 1.
    pub times: u32,
    /// What acknowledges it.
    pub token: Token,
}

/// What acknowledges one message that was taken.
pub type Token = Box<dyn Acknowledge>;

/// The taker's side of one message. Dropped without a word, the message is not acknowledged: the
/// broker gives it out again when it learns that its taker is gone, or when its time is over.
pub trait Acknowledge: Send + Sync {
    /// It is done and will not come again, as far as the broker keeps its word.
    fn done(self: Box<Self>) -> Waiting<'static, Result<(), QueueError>>;
    /// It is to come again, to whomever, soon.
    fn again(self: Box<Self>) -> Waiting<'static, Result<(), QueueError>>;
    /// It is still worked on: called often enough (see [`Capabilities::lease`]) by who works on it.
    fn still(&self) -> Waiting<'_, Result<(), QueueError>>;
}

impl fmt::Debug for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Taken");
        shown.field("id", &self.message.id).field("times", &self.times).finish_non_exhaustive()
    }
}

/// What can go wrong with a queue elsewhere.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// It has said no: nothing was stored, and the same will not be stored later.
    #[error("{queue} refuses the message: {why}")]
    Refused {
        /// Which, without secrets.
        queue: String,
        /// What it says.
        why: String,
    },
    /// It is full for now: nothing was stored.
    #[error("{queue} is full: {why}")]
    Full {
        /// Which, without secrets.
        queue: String,
        /// What it says.
        why: String,
    },
    /// It cannot be reached, and nothing was sent.
    #[error("{queue} cannot be reached: {why}")]
    Away {
        /// Which, without secrets.
        queue: String,
        /// What it says.
        why: String,
    },
    /// Nobody knows whether it was stored: it did not answer in time or the connection broke.
    #[error("{queue} did not answer: {why}")]
    Unknown {
        /// Which, without secrets.
        queue: String,
        /// What it says.
        why: String,
    },
    /// The message is larger than it takes; nothing was sent.
    #[error("{queue} takes {max} bytes a message, this one has {bytes}")]
    TooLarge {
        /// Which, without secrets.
        queue: String,
        /// Bytes of the payload.
        bytes: usize,
        /// Most that it takes.
        max: usize,
    },
}

/// What a queue elsewhere is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// Most bytes of a payload.
    pub payload_max: usize,
    /// How long a message may stay taken without [`Acknowledge::still`]; `None`: as long as the
    /// connection lives.
    pub lease: Option<Duration>,
    /// It keeps the order of messages with the same key.
    pub keeps_order: bool,
    /// It counts how often a message was given out.
    pub counts: bool,
    /// It drops a message whose id it has seen lately, for about so long.
    pub forgets_twins: Option<Duration>,
}

/// A queue elsewhere. Implementations reconnect by themselves, for ever, with growing pauses and
/// jitter; a call fails within its time and never hangs.
pub trait Queue: Send + Sync {
    /// What it is like.
    fn capabilities(&self) -> Capabilities;

    /// What it is called in logs and figures, without secrets: `amqp://host:5672/mail`.
    fn name(&self) -> &str;

    /// Makes sure that all it needs exists, as durable as it must be, and that it is reached; warms
    /// up what would delay the first message. A setting there that breaks the promise (a queue that is
    /// not durable, a server that does not sync) is told as a warning.
    fn ready(&self) -> Waiting<'_, Result<Vec<String>, QueueError>>;

    /// Puts messages into a channel; each is answered only when the broker has made it as durable as
    /// it makes messages (a confirm, an acknowledgement of all replicas), within `by`.
    fn put<'a>(
        &'a self,
        channel: &'a Channel,
        messages: Vec<Message>,
        by: Duration,
    ) -> Waiting<'a, Vec<Result<(), QueueError>>>;

    /// Takes up to `most` messages of a channel, waiting up to `wait` for the first. One taker a
    /// channel at a time.
    fn take<'a>(
        &'a self,
        channel: &'a Channel,
        most: usize,
        wait: Duration,
    ) -> Waiting<'a, Result<Vec<Taken>, QueueError>>;

    /// How many messages wait in a channel, where it can tell.
    fn waiting<'a>(&'a self, channel: &'a Channel) -> Waiting<'a, Option<u64>>;

    /// Ends: gives back what was taken and not acknowledged, closes connections.
    fn close(&self) -> Waiting<'_, ()>;
}

/// A bus of events: every subscriber hears every event from when it begins.
pub trait Bus: Send + Sync {
    /// What it is called in logs and figures, without secrets.
    fn name(&self) -> &str;

    /// Tells all subscribers of a topic; answered when the broker has taken it.
    fn publish<'a>(
        &'a self,
        topic: &'a str,
        event: Message,
        by: Duration,
    ) -> Waiting<'a, Result<(), QueueError>>;

    /// The next that is heard of a topic. The first call subscribes; one listener a topic at a time.
    /// Never fails: what goes wrong is [`Heard::Gap`] as soon as it goes on.
    fn hear<'a>(&'a self, topic: &'a str) -> Waiting<'a, Heard>;
}

/// What a listener hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It hears from now on. Told first, and after every gap.
    Listening,
    /// Events may have been missed since the last one; for this reason.
    Gap(String),
    /// An event.
    Event(Message),
}
