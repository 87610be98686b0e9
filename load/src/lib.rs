//! Load that does not wait: requests leave at the times planned, whatever became of the ones before.
//!
//! A [`Plan`] says what is sent, how often and for how long; [`run`] sends it and returns a
//! [`Report`]. Latency is counted from the moment a request should have left, so a server that
//! stalls is charged with every request it kept waiting (no coordinated omission). A failed request
//! counts as the whole timeout: fast errors make no percentile look good. [`capacity`] asks the
//! other question, by clients that do wait: how much can be answered at all.

mod connection;
mod plan;
mod report;
mod run;

pub use plan::{Arrivals, LoadError, Plan, Request};
pub use report::{ByRequest, Failure, Latency, Report};
pub use run::{Progress, capacity, run};
