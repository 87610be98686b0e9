//! monitor.
pub mod settings;
