//! What lies behind memory: places where entries outlive it, as bytes under a key.
//!
//! A tier works on threads of its own, behind bounded queues: it is asked from the data plane and
//! never makes it wait longer than the asker's own deadline. Whatever goes wrong in it is a miss.
//!
//! What the tiers that gateways share have in common is below: the [`frame`] that makes garbage a
//! miss, the [`breaker`] that stops asking a server that fails, the [`meter`] that counts.

pub mod breaker;
pub mod frame;
pub mod meter;

pub use meter::Meter;

use std::fmt;
use std::sync::Arc;
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

/// Told, in a sentence, what an operator should know about a tier: it went away, it came back. Called
/// on the tier's own threads; must not block.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// Most reads under way at a time; further ones are refused at once.
pub(crate) const READS_MAX: usize = 4_096;
/// Most writes under way or waiting at a time; further ones are dropped.
pub(crate) const WRITES_MAX: usize = 256;
/// Most bytes of values that wait to be written; what does not fit is dropped.
pub(crate) const WRITE_BYTES_MAX: usize = 64 << 20;
/// Longest time for a write: nobody waits for it.
pub(crate) const WRITE_TIME: Duration = Duration::from_secs(2);
/// Longest time to make a connection ready.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(1);
/// Pause before a second attempt to connect; doubles up to [`BACKOFF_MAX`].
pub(crate) const BACKOFF_MIN: Duration = Duration::from_millis(50);
/// Longest pause between attempts to connect.
pub(crate) const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// The pause before attempt `failures + 1`, with a quarter of it at random so that gateways that
/// lost one server do not return in step.
pub(crate) fn backoff(failures: u32) -> Duration {
    let pause = BACKOFF_MIN.saturating_mul(1 << failures.min(10)).min(BACKOFF_MAX);
    pause.mul_f64(0.75 + 0.25 * fastrand::f64())
}
