//! How late this thread is: what it takes to notice, beside what was waited for.
//!
//! Two things make an event loop late. Other events of the same round come first: then the thread
//! woke before now. Or no core was to be had when it should have woken: then a timer that is always
//! set rang late. Both are known without the kernel's help, and both are ours, not the service's.

use base::Moment;
use std::cell::Cell;
use std::time::Duration;

thread_local! {
    static WOKEN: Cell<Moment> = const { Cell::new(Moment::from_nanos(0)) };
    /// When the timer is next due; the end of time while none is set.
    static DUE: Cell<Moment> = const { Cell::new(Moment::from_nanos(u64::MAX)) };
    /// The last time in which this thread should have run and did not.
    static STALL: Cell<(Moment, Moment)> =
        const { Cell::new((Moment::from_nanos(0), Moment::from_nanos(0))) };
}

/// How often the timer rings while there is traffic. A stall shorter than that may be missed …
pub const EVERY: Duration = Duration::from_millis(10);
/// … and a timer that is late by less has been rounded up to the runtime's whole milliseconds.
const GRAIN: Duration = Duration::from_millis(2);
/// Longest time between waking and noticing that is believed: a thread that never sleeps does not
/// wake either, and its lateness is the timer's to tell.
const ROUND_MAX: Duration = Duration::from_millis(2);

/// The thread has just woken.
pub fn woke(now: Moment) {
    WOKEN.set(now);
    look(now);
}

/// The timer is set to ring at `due`.
pub fn expect(due: Moment) {
    DUE.set(due);
}

/// Sees whether the timer is late.
pub fn look(now: Moment) {
    let due = DUE.get();
    if now > due + GRAIN {
        // Looked at again before the timer is set anew, one stall is still one.
        STALL.set((due, now));
    }
}

/// Of the wait from `since` to `now`, how long it took this thread to notice its end.
pub fn within(since: Moment, now: Moment) -> Duration {
    // A thread that has not slept since was busy with who knows what: the timer knows more.
    let woken = WOKEN.get();
    let round = if woken > since { now.since(woken).min(ROUND_MAX) } else { Duration::ZERO };
    let (from, to) = STALL.get();
    // One that was over well before the thread woke for this did not hold it up. (A thread that was
    // stopped wakes twice: once for nothing.)
    let stall =
        if to + ROUND_MAX >= woken { to.min(now).since(from.max(since)) } else { Duration::ZERO };
    (round + stall).min(now.since(since))
}
