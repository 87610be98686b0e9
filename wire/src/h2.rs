//! HTTP/2, both directions (RFC 9113), through the `h2` crate.
//!
//! What is ours: heads to and from the flat field list, bodies that are pulled, and a transport that
//! gathers what one turn of the loop wrote into one system call.

pub mod client;
pub mod convert;
mod gather;
mod incoming;
mod sending;
pub mod server;

pub use gather::Gather;
pub use incoming::Incoming;
pub use sending::Sending;

/// Flow-control window of one stream.
pub const STREAM_WINDOW: u32 = 256 << 10;
/// Flow-control window of one connection: bounds what all its streams together may make us hold.
pub const CONNECTION_WINDOW: u32 = 1 << 20;
