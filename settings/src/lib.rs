//! Text into settings: one TOML file into validated values, every mistake at once.

pub mod model;
pub use model::*;
