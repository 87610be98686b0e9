//! What happened, told once: facts of an exchange into counters, histograms and log lines.
//!
//! Every thread of the data plane counts in a [`Ledger`] of its own, by plain stores that no other
//! core writes; whoever reads adds the threads up. Nothing on the path of a request takes a lock or
//! makes a string.

pub mod basket;
pub mod count;
pub mod exponential;
pub mod expose;
pub mod facts;
pub mod histogram;
pub mod history;
pub mod keep;
pub mod lag;
pub mod ledger;
pub mod log;
pub mod objective;
pub mod record;
pub mod settings;
pub mod timeline;
pub mod trace;
pub mod why;

pub use basket::Basket;
pub use count::Count;
pub use exponential::Exponential;
pub use facts::{Cached, Facts};
pub use histogram::{Histogram, Merged};
pub use history::{History, Sketch, Total};
pub use ledger::{Ledger, RouteMeter, ServerMeter, ServiceMeter};
pub use record::{Kept, Record};
pub use timeline::{Phase, Timeline};
pub use trace::Trace;
