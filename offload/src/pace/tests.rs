//! Laws of the pace.
