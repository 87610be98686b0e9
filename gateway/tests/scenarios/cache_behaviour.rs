//! What the public suite does not look at and users suffer from most: waiting for each other, reading
//! each other's pages, stale pages, poisoned ones, and pages that a purge leaves behind.
//!
//! The order of events is made by gates: the origin holds an answer until the scenario has seen what
//! it wants to see meanwhile. No assertion is about time on the clock.

mod collapse;
mod purge;
mod rules;
mod safety;
mod stale;
mod storage;
