//! What `monitor` is told.

use std::path::PathBuf;

/// Telling what happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Where a line for each request goes.
    pub access_log: AccessLog,
}

/// Where the access log goes. Off by default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccessLog {
    /// Nowhere.
    Off,
    /// Standard output.
    Stdout,
    /// This file, appended to.
    File(PathBuf),
}

impl Settings {
    /// The values in force where the settings say nothing.
    pub const fn standard() -> Self {
        Self { access_log: AccessLog::Off }
    }
}
