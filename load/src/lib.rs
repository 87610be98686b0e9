//! Load that does not wait: requests leave at the times planned, whatever became of the ones before.
//!
//! A [`Plan`] says what is sent, how often and for how long; [`run`] sends it and returns a
//! [`Report`]. Latency is counted from the moment a request should have left, so a server that
//! stalls is charged with every request it kept waiting (no coordinated omission). A failed request
//! counts as the whole timeout: fast errors make no percentile look good. [`Pace::Closed`] asks the
//! other question, by clients that do wait: how much can be answered at all. [`statistics`] says
//! whether two series of runs differ.

mod plan;
mod schedule;

mod run;
mod thread;

mod lane;

mod h1;
mod h2;

mod alarm;
mod answer;
mod dial;
mod message;

mod report;
pub mod statistics;

pub use plan::{
    Arrivals, CONNECTIONS_MAX, LoadError, Pace, Plan, Protocol, RATE_MAX, Request, THREADS_MAX,
    Target, Tls,
};
pub use report::{ByRequest, Failure, LATE, Latency, Report};
pub use run::{Progress, Stop, capacity, run, run_until};
