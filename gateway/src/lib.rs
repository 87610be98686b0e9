//! gateway.

pub mod demo;
