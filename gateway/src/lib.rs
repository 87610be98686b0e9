//! gateway.

pub mod route;
