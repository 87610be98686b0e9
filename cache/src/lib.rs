//! The shared HTTP cache (RFC 9111 and after): what may be kept, for how long, and for whom.
//!
//! Decisions are pure functions in [`policy`] over (stored, request, now), each with a named
//! [`policy::Reason`]. Around them: [`memory`] holds entries within a bound of bytes, [`tier`] is
//! what lies behind it (disk, Redis, Memcached), [`shared`] is what gateways have in common there,
//! [`stamps`] remembers what was purged. The gateway
//! branches and waits; nothing here asks a service.

pub mod policy;

pub mod cache;
pub mod disk;
pub mod entry;
pub mod fill;
pub mod frame;
pub mod memcached;
pub mod memory;
pub mod redis;
pub mod settings;
pub mod shared;
pub mod shy;
pub mod stamps;
pub mod tier;

pub use cache::{Behind, Cache, Place, spot};
