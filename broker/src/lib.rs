//! Brokers that carry messages between gateways, behind `offload::queue::Queue` and `Bus`.
//!
//! The room keeps no promise of its own: the owner of a job does, from its log. Here is what each
//! broker's clients get wrong by default, put right once: confirms that are awaited, acknowledgements
//! that arrive, calls that end in time, and links that come back by themselves.
//!
//! - [`url`] knows which broker a URL means.
//! - [`amqp`] is `RabbitMQ`, [`nats`] is NATS with `JetStream`.
//! - [`kafka`] is Kafka (with the feature of that name), [`sqs`] AWS SQS, [`pubsub`] Google Pub/Sub.
//! - [`backoff`], [`text`] and [`queue`] are for all: pauses between attempts, text in headers, errors of
//!   batches.

pub mod amqp;
pub mod backoff;
#[cfg(feature = "kafka")]
pub mod kafka;
pub mod nats;
pub mod pubsub;
pub mod queue;
pub mod sqs;
pub mod text;
pub mod url;

mod pull;
mod web;

pub use url::{BrokerError, Options, open, open_bus};
