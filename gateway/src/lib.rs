//! gateway.

pub mod demo;
pub mod route;
