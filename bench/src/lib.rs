//! What measures the gateway: a kernel floor, and a load generator that is also the origin.
//!
//! `bench/run` starts the programs of this crate beside the contenders; `bench/README.md` says what
//! the figures mean. Floor and generator are one thread around one epoll set. Everything they send and
//! expect is fixed before the first request, so that little but the kernel's work is left.

pub mod fault;
pub mod page;
pub mod verify;

pub mod arrivals;
pub mod client;
pub mod origin;
pub mod usage;

pub mod floor;
pub mod generator;
pub mod report;

pub mod scene;
pub mod tail;
pub mod why;

pub mod rivals;
pub mod trace;
