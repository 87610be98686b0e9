//! The book at its edge.

mod doors;
mod kit;
mod life;
mod model;
mod outage;
mod size;
mod turns;
mod world;

use super::*;
use crate::job::{Reason, State};
use crate::record::{Record, Summary};
use crate::settings::Queue;
use kit::*;
use std::time::Duration;
