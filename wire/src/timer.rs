//! Deadlines for thousands of waits on one thread, at the price of a store each.
//!
//! Nearly every wait on the path of a request has a deadline that never comes. A runtime timer for
//! each costs more than the wait, so a thread keeps its deadlines in one flat list and one task, the
//! [`sweep`], looks through it when the earliest is due. Precision is [`GRAIN`] or a thousandth of
//! the list's length in milliseconds, whichever is coarser, which bounds the sweep's share of the
//! CPU near one in a hundred. A wait can fire late by that much, never early.
//!
//! [`interrupt`] ends all waits that asked for it: that is how a drain reaches idle connections.

use base::{Deadline, Moment};
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// The finest precision of a deadline.
pub const GRAIN: Duration = Duration::from_millis(5);

/// Why a wait ended without its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The deadline passed.
    Late,
    /// [`interrupt`] was called on this thread.
    Interrupted,
}

#[derive(Default)]
struct Slot {
    by: u64,
    interruptible: bool,
    ended: Option<Ended>,
    waker: Option<Waker>,
}

#[derive(Default)]
struct Timers {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// When the sweep means to look next; it is woken if an earlier deadline is armed.
    next: u64,
    sweep: Option<Waker>,
}

thread_local! {
    static TIMERS: RefCell<Timers> = RefCell::default();
}

/// A place in the list, given back when dropped.
struct Seat(u32);

impl Seat {
    fn take(by: Deadline, interruptible: bool) -> Self {
        let by = by.moment().as_nanos();
        TIMERS.with_borrow_mut(|timers| {
            let slot = Slot { by, interruptible, ended: None, waker: None };
            if let Some(index) = timers.free.pop() {
                timers.slots[index as usize] = slot;
                return Self(index);
            }
            timers.slots.push(slot);
            Self(timers.slots.len() as u32 - 1)
        })
    }

    /// Has the wait ended? If not, its task will be woken when it does.
    fn poll(&self, cx: &Context<'_>) -> Poll<Ended> {
        let (answer, sweep) = TIMERS.with_borrow_mut(|timers| {
            let slot = &mut timers.slots[self.0 as usize];
            if let Some(ended) = slot.ended {
                return (Poll::Ready(ended), None);
            }
            match &mut slot.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                empty => *empty = Some(cx.waker().clone()),
            }
            if slot.by < timers.next {
                timers.next = slot.by;
                return (Poll::Pending, timers.sweep.take());
            }
            (Poll::Pending, None)
        });
        if let Some(sweep) = sweep {
            sweep.wake();
        }
        answer
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // The waker may own the last reference to a task whose own drop comes here: it must not be
        // dropped while the list is borrowed.
        let waker = TIMERS.with_borrow_mut(|timers| {
            let slot = &mut timers.slots[self.0 as usize];
            slot.by = u64::MAX;
            slot.interruptible = false;
            timers.free.push(self.0);
            slot.waker.take()
        });
        drop(waker);
    }
}

/// The future's output, unless `by` comes first.
///
/// # Cancel safety
/// As cancel safe as the future itself.
pub async fn within<F: Future>(by: Deadline, future: F) -> Result<F::Output, Ended> {
    wait(|| by, false, future).await
}

/// As [`within`], but the deadline is asked for only if there is something to wait for: reading the
/// clock is a good part of what a wait costs.
///
/// # Cancel safety
/// As cancel safe as the future itself.
pub async fn within_lazily<F: Future>(
    by: impl FnOnce() -> Deadline,
    future: F,
) -> Result<F::Output, Ended> {
    wait(by, false, future).await
}

/// As [`within`], and [`interrupt`] ends it too.
///
/// # Cancel safety
/// As cancel safe as the future itself.
pub async fn within_or_interrupted<F: Future>(by: Deadline, future: F) -> Result<F::Output, Ended> {
    wait(|| by, true, future).await
}

async fn wait<F: Future>(
    by: impl FnOnce() -> Deadline,
    interruptible: bool,
    future: F,
) -> Result<F::Output, Ended> {
    let mut future = pin!(future);
    let mut by = Some(by);
    let mut seat = None;
    poll_fn(|cx| {
        if let Poll::Ready(output) = future.as_mut().poll(cx) {
            return Poll::Ready(Ok(output));
        }
        if let Some(by) = by.take() {
            seat = Some(Seat::take(by(), interruptible));
        }
        seat.as_ref().map_or(Poll::Pending, |seat| seat.poll(cx).map(Err))
    })
    .await
}

/// Ends every interruptible wait of this thread.
pub fn interrupt() {
    let woken: Vec<Waker> = TIMERS.with_borrow_mut(|timers| {
        let waiting = timers.slots.iter_mut().filter(|slot| slot.interruptible);
        waiting
            .filter_map(|slot| {
                slot.ended = Some(Ended::Interrupted);
                slot.waker.take()
            })
            .collect()
    });
    woken.into_iter().for_each(Waker::wake);
}

/// Looks after this thread's deadlines, for ever. Each thread that waits must run one.
pub async fn sweep() {
    loop {
        let now = Moment::now();
        let next = fire(now);
        let left = Duration::from_nanos(next.saturating_sub(now.as_nanos()));
        // A year stands for "nothing is armed": the runtime's timers do not take longer ones.
        let mut sleep = pin!(tokio::time::sleep(left.min(Duration::from_hours(8_760))));
        poll_fn(|cx| {
            let earlier = TIMERS.with_borrow_mut(|timers| {
                timers.sweep = Some(cx.waker().clone());
                timers.next < next
            });
            if earlier { Poll::Ready(()) } else { sleep.as_mut().poll(cx) }
        })
        .await;
    }
}

/// Ends the waits that are due at `now`; answers when to look next.
fn fire(now: Moment) -> u64 {
    let mut next = u64::MAX;
    let (woken, next): (Vec<Waker>, u64) = TIMERS.with_borrow_mut(|timers| {
        let mut woken = Vec::new();
        for slot in &mut timers.slots {
            if slot.by <= now.as_nanos() {
                slot.by = u64::MAX;
                slot.ended = Some(Ended::Late);
                woken.extend(slot.waker.take());
            } else {
                next = next.min(slot.by);
            }
        }
        let grain = GRAIN.max(Duration::from_micros(timers.slots.len() as u64));
        timers.next = next.max((now + grain).as_nanos());
        (woken, timers.next)
    });
    woken.into_iter().for_each(Waker::wake);
    next
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;

    fn run<F: Future>(future: F) -> F::Output {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sweep = pin!(sweep());
        runtime.block_on(async {
            tokio::select! { biased; output = future => output, () = sweep => unreachable!() }
        })
    }

    fn soon(millis: u64) -> Deadline {
        Deadline::after(Moment::now(), Duration::from_millis(millis))
    }

    #[test]
    fn a_wait_that_ends_in_time_gives_its_output() {
        assert_eq!(run(within(Deadline::NEVER, async { 7 })), Ok(7));
    }

    #[test]
    fn a_deadline_ends_a_wait_and_never_early() {
        run(async {
            let start = Moment::now();
            let long = within(soon(60_000), pending::<()>());
            let short = within(soon(20), pending::<()>());
            tokio::select! { biased;
                _ = long => panic!("the long one ended"),
                ended = short => assert_eq!(ended, Err(Ended::Late)),
            }
            assert!(Moment::now().since(start) >= Duration::from_millis(20));
        });
    }

    #[test]
    fn an_interrupt_reaches_only_those_who_asked() {
        run(async {
            let deaf = within(soon(30), pending::<()>());
            let keen = within_or_interrupted(soon(60_000), pending::<()>());
            let caller = async {
                tokio::task::yield_now().await;
                interrupt();
            };
            let (deaf, keen, ()) = tokio::join!(deaf, keen, caller);
            assert_eq!((deaf, keen), (Err(Ended::Late), Err(Ended::Interrupted)));
        });
    }

    #[test]
    fn a_dropped_wait_gives_its_seat_back() {
        run(async {
            for _ in 0..1_000 {
                let wait = pin!(within(soon(60_000), pending::<()>()));
                let mut cx = Context::from_waker(Waker::noop());
                assert!(wait.poll(&mut cx).is_pending());
            }
            TIMERS.with_borrow(|timers| assert!(timers.slots.len() < 4));
        });
    }
}
