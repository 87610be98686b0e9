//! The house: the only crate that knows all rooms. Read [`path`] first.

pub mod path;

pub mod caching;

pub mod access;
pub mod admin;
pub mod connection;
pub mod depart;
pub mod events;
pub mod explain;
pub mod export;
pub mod forward;
pub mod gateway;
pub mod house;
pub mod identity;
pub mod jobs;
pub mod listen;
pub mod live;
pub mod metrics;
pub mod objectives;
pub mod offloading;
pub mod poster;
pub mod purge;
pub mod rates;
pub mod reporter;
pub mod route;
pub mod shadow;
pub mod standing;
pub mod steering;
pub mod telling;
pub mod timing;
pub mod top;
pub mod tunnel;
pub mod watch;
pub mod why;
pub mod worker;

pub mod bench;
pub mod demo;
