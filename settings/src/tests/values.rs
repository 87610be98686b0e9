//! What files mean.

use super::{SHOP, settings};
