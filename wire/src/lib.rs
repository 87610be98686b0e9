//! wire.
pub mod settings;
