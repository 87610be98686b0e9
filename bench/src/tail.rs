//! What `bench/tail` measures with: servers that queue, clients that do not wait, gateways of several
//! makers, and tables of what came of it.
//!
//! Servers and clients are ours and in this process, on one core; each gateway is a process of its own
//! on the other. Whatever is random follows from a seed and the number of the request, so that all
//! gateways get the same requests at the same moments and the same work with the first try.

pub mod clients;
pub mod gateways;
pub mod outcome;
pub mod servers;
pub mod table;

pub use clients::{End, Load, Sent};
pub use gateways::{Contender, Maker, Programs};
pub use outcome::{Outcome, Play, Turn, Window};
pub use servers::{Life, Servers, Spread, Try, Work};
pub use table::Table;
