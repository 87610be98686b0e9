//! The test kit: the real binary, a raw origin behind it, a raw client before it, and real servers
//! of others beside it.
//!
//! Everything a scenario touches is bytes on sockets, so that nothing of ours stands between a test
//! and what a peer would see. Every wait has a [`PATIENCE`] and ends in a panic that prints what
//! went over the wire; nothing sleeps, except the public cache suite, which is made of
//! pauses. Development only: no other room depends on this one.

#![allow(clippy::missing_panics_doc, reason = "a kit for tests: panicking is how it reports")]

pub mod browser;
pub mod cable;
pub mod client;
pub mod fleet;
pub mod gate;
pub mod gateway;
pub mod kubernetes;
pub mod load;
pub mod memcached;
pub mod message;
pub mod moto;
pub mod names;
pub mod nats;
pub mod origin;
pub mod origin2;
pub mod pubsub;
pub mod rabbitmq;
pub mod reading;
pub mod redis;
pub mod server;
pub mod settings;
pub mod suite;
pub mod tansu;
pub mod transcript;
pub mod world;

pub use browser::Browser;
pub use cable::Cable;
pub use client::Client;
pub use fleet::{Fleet, Turn};
pub use gate::Gate;
pub use gateway::Gateway;
pub use kubernetes::Kubernetes;
pub use memcached::Memcached;
pub use message::{Field, Head, Request, Response};
pub use moto::Moto;
pub use names::Names;
pub use nats::Nats;
pub use origin::{Action, Origin};
pub use origin2::{Origin2, Reply};
pub use pubsub::PubSub;
pub use rabbitmq::Rabbitmq;
pub use redis::Redis;
pub use server::Server;
pub use settings::Text;
pub use tansu::Tansu;

use std::time::Duration;

/// How long any one step of a scenario may take before it is called a failure.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The deadline of a step that begins now.
pub fn patience() -> base::Deadline {
    base::Deadline::after(base::Moment::now(), PATIENCE)
}

#[cfg(test)]
mod tests;
