//! service.
pub mod settings;
