//! Who may be asked now: made anew when the pool or somebody's health changes, read by every pick.

use crate::member::Member;
use std::sync::Arc;

/// The servers as a pick sees them. Never changes; a new one takes its place.
#[derive(Debug)]
pub struct View {
    pub(crate) members: Vec<Arc<Member>>,
    pub(crate) turn: std::sync::atomic::AtomicUsize,
}

impl View {
    /// All servers of the pool, fit or not, in the order of the settings.
    pub fn members(&self) -> &[Arc<Member>] {
        &self.members
    }
}
