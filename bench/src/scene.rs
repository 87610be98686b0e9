//! A release gateway as a process of its own, between an origin that counts and clients of ours: what
//! `bench/cache` measures with.
//!
//! All ports are free ones, all folders temporary. Client and origin each are one thread, so that two
//! cores are enough to see the gateway; load that must keep its time is the `load` crate's.

pub mod client;
pub mod gateway;
pub mod origin;

pub use client::{Answer, Client};
pub use gateway::Gateway;
pub use origin::{Life, Origin, Page};
