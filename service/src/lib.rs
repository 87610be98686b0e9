//! Asking another service, and giving up well.
//!
//! [`Service::call`] is the whole conversation: choose a server, take or make a connection, send the
//! request while watching for the answer, try once more where that is safe. Pools belong to a thread
//! and are never shared; deadlines stand around every wait.

mod admission;
mod attempt;
pub mod budget;
mod connect;
pub mod deadline;
mod endpoint;
pub mod hedge;
mod limit;
mod queue;
pub mod rate;
pub mod retry;
mod service;
pub mod settings;
mod shared;
mod streams;

pub use admission::{Admission, Counts, Permit, Standing};
pub use attempt::{Answered, Ask};
pub use budget::Budget;
pub use deadline::Early;
pub use endpoint::Endpoint;
pub use hedge::Hedge;
pub use limit::{Learning, Limit};
pub use queue::{Key, Queue, Sent};
pub use service::{Service, Tls};
pub use shared::Shared;
