//! HTTP/1.1, both directions (RFC 9112).
//!
//! Strict: whatever could be read in two ways is refused. Framing fields are never copied from one
//! hop to the next, always written anew. Reads and writes are polled; nothing here spawns.

pub mod chunk;
pub mod client;
pub mod encode;
pub mod framing;
pub mod outgoing;
pub mod parse;
pub mod reader;
pub mod server;
