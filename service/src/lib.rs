//! Asking another service, and giving up well.
//!
//! [`Service::call`] is the whole conversation: be let in, choose a server, take or make a connection,
//! send the request while watching for the answer, try again where that is safe, ask twice where it
//! pays. What a [`Service`] holds belongs to a thread; what was learned of it is [`Shared`] by all.
//! Deadlines stand around every wait.

mod admission;
mod attempt;
pub mod budget;
mod call;
pub mod check;
mod connect;
pub mod deadline;
pub mod discover;
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
pub mod told;
mod twice;

pub use admission::{Admission, Counts, Permit, Standing};
pub use attempt::{Answered, Ask};
pub use budget::Budget;
pub use call::discard;
pub use deadline::Early;
pub use endpoint::Endpoint;
pub use hedge::Hedge;
pub use limit::{Learning, Limit};
pub use queue::{Key, Queue, Sent};
pub use service::{Service, Tls};
pub use shared::{Median, Shared};
