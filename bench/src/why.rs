//! What `bench/why` plays with: a service of four servers that can be ill in fourteen ways, and clients
//! that do not wait.

pub mod clients;
pub mod fault;
pub mod servers;

pub use clients::{Crowd, Reading};
pub use fault::Fault;
pub use servers::Town;
