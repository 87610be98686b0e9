//! One suite of laws for all brokers, held to real ones.
//!
//! [`suite`] has the laws; each other file brings a broker onto the stage and lists the laws that
//! hold there. Brokers are started, killed and frozen by the kit in `scenario`.

#![allow(clippy::unwrap_used, reason = "a test of its own: panicking is how it reports")]

#[macro_use]
mod suite;

mod cost;
#[cfg(feature = "kafka")]
mod kafka;
#[cfg(feature = "kafka")]
mod kafka_faults;
#[cfg(feature = "kafka")]
mod kafka_mock;
mod nats;
mod pubsub;
mod rabbitmq;
mod sqs;
