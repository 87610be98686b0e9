//! Whether what others may have purged is known here: a lease that heartbeats renew.

use crate::tier::meter::Tally;
use base::Moment;
use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// How long a heartbeat's answer vouches, from when the heartbeat was *sent*.
pub const LEASE: Duration = Duration::from_secs(1);

/// What was counted of purges.
#[derive(Debug, Default)]
pub struct Purges {
    /// Asked of this gateway.
    pub asked: Tally,
    /// Of those, answered before the others could be told.
    pub late: Tally,
    /// Heard from the deployment, ours included.
    pub heard: Tally,
    /// Times that everything was purged because what was missed could not be known.
    pub everything: Tally,
    /// Wait to be told now.
    pub waiting: Tally,
}

/// The lease, and the deployment's name.
#[derive(Default)]
pub(crate) struct Trust {
    until: AtomicU64,
    /// A purge that we have answered still waits to be told to others.
    owing: AtomicBool,
    lineage: AtomicU64,
    listener: OnceLock<Box<dyn Fn(u64) + Send + Sync>>,
    pub(crate) purges: Purges,
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("given", &self.is_given()).finish_non_exhaustive()
    }
}

impl Trust {
    /// Who is told of a new deployment; once.
    pub(crate) fn tell(&self, listener: impl Fn(u64) + Send + Sync + 'static) {
        let _ = self.listener.set(Box::new(listener));
    }

    pub(crate) fn is_given(&self) -> bool {
        !self.owing.load(Ordering::Acquire)
            && Moment::now().as_nanos() < self.until.load(Ordering::Acquire)
    }

    pub(crate) fn renew(&self, sent: Moment) {
        self.until.store((sent + LEASE).as_nanos(), Ordering::Release);
    }

    pub(crate) fn revoke(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Must come before the answer to the purge's caller.
    pub(crate) fn owe(&self, owing: bool) {
        self.owing.store(owing, Ordering::Release);
    }

    pub(crate) fn lineage(&self) -> u64 {
        self.lineage.load(Ordering::Acquire)
    }

    /// Must come after the purge of all that an older deployment has left.
    pub(crate) fn set_lineage(&self, lineage: u64) {
        self.lineage.store(lineage, Ordering::Release);
        if let Some(listener) = self.listener.get() {
            listener(lineage);
        }
    }
}
