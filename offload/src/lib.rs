//! Slow work leaves the request path: later, but surely.
//!
//! A request whose route says so becomes a [`Job`](job), is durable before its 202 leaves, and is
//! delivered at the pace of its service. The room owns the promise and its words; HTTP is the
//! gateway's, brokers are `broker`'s behind [`queue::Queue`].
//!
//! - [`job`]: what a job is, its id, its states and ends.
//! - [`record`]: what the log says of jobs, as bytes.
//! - [`log`]: records made durable by groups, on a disk that may fail.
//! - [`book`]: all live jobs in memory, and which is next (pure, in simulated time).
//! - [`core`]: one turn of log and book together, without threads or clocks.
//! - [`cold`]: what is kept of jobs that are over.
//! - [`callback`]: what is told to whom when a job is over.
//! - [`engine`]: the room at work, with its threads.
//! - [`pace`]: how fast a service may be asked (pure).
//! - [`retry`]: whether a try that failed is followed by another, and when (pure).
//! - [`history`]: was the promise kept? A checker for tests of all kinds.
//! - [`queue`]: queues elsewhere, behind one trait.
//! - [`event`]: facts that everybody hears, as `CloudEvents`.
//! - [`settings`]: what the room is told.

pub mod base64;
pub mod book;
pub mod callback;
pub mod cold;
pub mod core;
pub mod engine;
pub mod event;
pub mod figures;
pub mod history;
pub mod job;
pub mod log;
pub mod pace;
pub mod queue;
pub mod record;
pub mod retry;
pub mod settings;
