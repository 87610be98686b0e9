//! What lies behind memory: places where entries outlive it, as bytes under a key.
//!
//! A tier works on threads of its own, behind bounded queues: it is asked from the data plane and
//! never makes it wait longer than the asker's own deadline. Whatever goes wrong in it is a miss.

use std::fmt;
use std::time::Duration;
use tokio::sync::oneshot;

/// Where entries outlive memory.
pub trait Tier: Send + Sync + fmt::Debug {
    /// Asks for a value; the answer is `None` when there is none, and the sender is dropped when the
    /// tier is failing or too busy.
    fn get(&self, key: u128) -> oneshot::Receiver<Option<Vec<u8>>>;
    /// Stores a value for so long, some time later; dropped silently (but counted) under pressure.
    fn put(&self, key: u128, value: Vec<u8>, keep: Duration);
    /// Forgets a value, some time later.
    fn forget(&self, key: u128);
}
