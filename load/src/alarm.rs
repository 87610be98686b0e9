//! Waking up in time: as soon as there is a core, where the runtime's own timer has a grain of a
//! millisecond.
//!
//! A `timerfd` beside the sockets: no thread of its own, no spinning on a core that the target may
//! need. Gaps too short for the kernel are waited for by letting other tasks run.

use base::Moment;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Below this, setting the alarm takes longer than waiting.
const TOO_SHORT: Duration = Duration::from_micros(5);
const ZERO: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

pub(crate) struct Alarm(AsyncFd<OwnedFd>);

impl Alarm {
    #[expect(
        deprecated,
        reason = "sound for an OwnedFd, which stays the same descriptor while owned"
    )]
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self(AsyncFd::with_interest(timer, Interest::READABLE)?))
    }

    /// Waits until `due`, never less.
    ///
    /// # Cancel safety
    /// Can be dropped and called again.
    pub(crate) async fn until(&self, due: Moment) {
        loop {
            let left = due.since(Moment::now());
            if left.is_zero() {
                return;
            }
            if left < TOO_SHORT || !self.ring_after(left).await {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Whether it rang; it cannot be set by who is out of kernel memory alone.
    async fn ring_after(&self, left: Duration) -> bool {
        let value = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let once = Itimerspec { it_interval: ZERO, it_value: value };
        if timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &once).is_err() {
            return false;
        }
        // Each ring is an edge of its own, so that the count in the descriptor need not be read.
        match self.0.readable().await {
            Ok(mut guard) => {
                guard.clear_ready();
                true
            }
            Err(_) => false,
        }
    }
}
