//! HTTP on the wire, both directions: HTTP/1.1 of our own, HTTP/2, TLS.
//!
//! The room owns bytes, framing and connections; it does not know what a request is for. Everything
//! here runs on one thread (`Rc`, no locks) and is polled by the one task that owns the exchange.

pub mod body;
pub mod buffer;
pub mod content;
pub mod h1;
pub mod h2;
pub mod kept;
pub mod settings;
pub mod timer;
pub mod tls;
pub mod transport;

pub use body::{Body, Response};
pub use transport::{Io, Transport};
