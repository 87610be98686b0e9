//! The book at its edge.

mod doors;
mod kit;
mod life;
mod turns;

use super::*;
use kit::*;
