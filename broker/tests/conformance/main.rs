//! One suite of laws for all brokers, held to real ones.
//!
//! [`suite`] has the laws; each other file brings a broker onto the stage and lists the laws that
//! hold there. Brokers are started, killed and frozen by the kit in `scenario`.

#[macro_use]
mod suite;

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
