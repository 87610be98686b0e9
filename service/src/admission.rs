//! Who is let through to a service, who waits, and who is refused.
//!
//! One for a service, shared by all threads. While nobody waits, letting a request through and
//! releasing its [`Permit`] are an atomic operation each; the lock is taken only when somebody waits
//! or has to. Which limit is in force is `limit`'s affair, who goes next `queue`'s.
//!
//! What must always hold, where the limit is in force: nobody waits while less than the limit is in
//! flight. Whoever releases counts down first and looks for waiters then; whoever lines up shows
//! himself first and looks for room then (all sequentially consistent), so one of them sees the other.
//! A request that was let through in the moment in which it gave up passes its place on.

use crate::limit::Limit;
use crate::queue::{Key, Queue, Sent};
use crate::settings::{self, Class, LimitMode};
use base::{Deadline, Fault, FaultKind, Moment};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use wire::timer::within;

/// Longest time that a refusal tells a client to stay away.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(30);

/// The door of a service.
#[derive(Debug)]
pub struct Admission {
    settings: settings::Limit,
    limit: Limit,
    in_flight: AtomicU32,
    /// The length of the queue, written under its lock.
    waiting: AtomicU32,
    queue: Mutex<Queue<Arc<Waiter>>>,
    counts: Counts,
}

/// What was decided, ever.
#[derive(Debug, Default)]
pub struct Counts {
    /// Let through, whether at once or after a wait.
    pub admitted: AtomicU64,
    /// Had to wait.
    pub queued: AtomicU64,
    /// Refused: the queue was full, or the place was needed for somebody else.
    pub full: AtomicU64,
    /// Refused: waited until its deadline or the longest time to wait.
    pub expired: AtomicU64,
    /// Refused: waited too long while the queue stood (`CoDel`).
    pub codel: AtomicU64,
    /// Left the queue by themselves: their clients had gone.
    pub left: AtomicU64,
    /// Would have had to wait, were the limit in force.
    pub would_queue: AtomicU64,
    /// Would have been refused, were the limit in force.
    pub would_refuse: AtomicU64,
}

/// What is true of a door now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// How many may be in flight.
    pub limit: u32,
    /// How many are.
    pub in_flight: u32,
    /// How many wait.
    pub waiting: u32,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

impl Admission {
    /// A door under these settings; `before` is the same service's under former ones. What was learned
    /// stays. Requests in flight under settings that differ are not counted by the new door.
    pub fn new(settings: &settings::Limit, before: Option<&Arc<Self>>) -> Arc<Self> {
        let limit = match before {
            Some(before) if before.settings == *settings => return Arc::clone(before),
            Some(before) if before.settings.mode != LimitMode::Off => {
                before.limit.settled(settings)
            }
            _ => Limit::new(settings),
        };
        Arc::new(Self {
            limit,
            in_flight: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            queue: Mutex::new(Queue::new(settings.queue, settings.queue_max)),
            counts: before.map(|before| before.counts.copied()).unwrap_or_default(),
            settings: settings.clone(),
        })
    }

    /// Is there anything to do at all? If not, a permit is an empty gesture.
    pub fn is_off(&self) -> bool {
        self.settings.mode == LimitMode::Off
    }

    /// What was decided.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// What is true now.
    pub fn standing(&self) -> Standing {
        Standing {
            limit: self.limit.current(),
            in_flight: self.in_flight.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed),
        }
    }

    /// The limit.
    pub fn limit(&self) -> &Limit {
        &self.limit
    }

    /// Lets a request through if that needs no waiting: always, unless the limit is in force.
    pub fn try_admit(self: &Arc<Self>, by: Deadline, now: Moment) -> Option<Permit> {
        match self.settings.mode {
            LimitMode::Off => Some(Permit { admission: None, at: 0 }),
            LimitMode::Observe => {
                let at = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
                self.observe(at, by, now);
                count(&self.counts.admitted);
                Some(self.permit(at))
            }
            LimitMode::Enforce => {
                if self.waiting.load(Ordering::SeqCst) > 0 {
                    return None;
                }
                self.enter().map(|at| self.permit(at))
            }
        }
    }

    /// Lets a request of this class through as soon as the limit allows it. `by` is when its answer must
    /// have come: it is refused as soon as that could not be in time.
    ///
    /// # Errors
    /// It was refused: [`FaultKind::Overloaded`], with a time after which it may be worth trying again.
    ///
    /// # Cancel safety
    /// Dropped while it waits, the request leaves the queue; dropped in the moment in which it is let
    /// through, its place goes to the next.
    pub async fn admit(
        self: &Arc<Self>,
        now: Moment,
        class: Class,
        by: Deadline,
    ) -> Result<Permit, Fault> {
        if let Some(permit) = self.try_admit(by, now) {
            return Ok(permit);
        }
        let by = self.patience(now, by);
        let mut turn = self.line_up(now, class, by)?;
        if let Ok(outcome) = within(by, &mut turn).await {
            return outcome;
        }
        turn.leave();
        Err(self.refuse(Sent::Expired))
    }

    /// One more in flight, if the limit allows it: how many there are then.
    fn enter(&self) -> Option<u32> {
        let limit = self.limit.current();
        let more = |now: u32| (now < limit).then_some(now + 1);
        let before = self.in_flight.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).ok()?;
        count(&self.counts.admitted);
        Some(before + 1)
    }

    fn permit(self: &Arc<Self>, at: u32) -> Permit {
        Permit { admission: Some(Arc::clone(self)), at }
    }

    /// Counts what would have become of a request, were the limit in force.
    fn observe(&self, at: u32, by: Deadline, now: Moment) {
        let limit = self.limit.current();
        if at <= limit {
            return;
        }
        count(&self.counts.would_queue);
        let ahead = at - limit;
        let full = ahead as usize > self.settings.queue_max;
        let wait = self.work_off(ahead, limit);
        if full || wait > self.patience(now, by).left(now) {
            count(&self.counts.would_refuse);
        }
    }

    /// How long it takes until so many have been let through.
    fn work_off(&self, ahead: u32, limit: u32) -> Duration {
        let each = self.limit.baseline().unwrap_or_default() / limit.max(1);
        each.saturating_mul(ahead)
    }

    /// Until when a request waits at most: with less time left than its answer takes it is of no use.
    fn patience(&self, now: Moment, by: Deadline) -> Deadline {
        let takes = self.limit.baseline().unwrap_or_default().as_nanos() as u64;
        let by = by.moment().as_nanos();
        let last = if by == u64::MAX { by } else { by.saturating_sub(takes) };
        let last = Deadline::after(Moment::from_nanos(last), Duration::ZERO);
        last.or_before(Deadline::after(now, self.settings.queue_time))
    }

    fn line_up(self: &Arc<Self>, now: Moment, class: Class, by: Deadline) -> Result<Turn, Fault> {
        if by.passed(now) {
            return Err(self.refuse(Sent::Expired));
        }
        let waiter = Arc::new(Waiter::default());
        let mut queue = self.queue();
        let Ok((key, evicted)) = queue.push(now, class, by, Arc::clone(&waiter)) else {
            drop(queue);
            return Err(self.refuse(Sent::Evicted));
        };
        self.show(&queue);
        count(&self.counts.queued);
        let evicted = evicted.and_then(|evicted| evicted.tell(Told::Sent(Sent::Evicted)));
        let woken = self.let_through(queue, now);
        woken.into_iter().chain(evicted).for_each(Waker::wake);
        Ok(Turn { admission: Arc::clone(self), waiter, key, over: false })
    }

    /// Lets through who waits, as far as the limit allows.
    fn hand_over(&self, now: Moment) {
        let woken = self.let_through(self.queue(), now);
        woken.into_iter().for_each(Waker::wake);
    }

    /// The same under the lock. Whom to wake when it is given back: a waker may run anything.
    fn let_through(
        &self,
        mut queue: MutexGuard<'_, Queue<Arc<Waiter>>>,
        now: Moment,
    ) -> Vec<Waker> {
        let (mut sent, mut woken) = (Vec::new(), Vec::new());
        while !queue.is_empty() {
            let Some(at) = self.enter() else { break };
            if let Some(waiter) = queue.pop(now, &mut sent) {
                woken.extend(waiter.tell(Told::Through(at)));
            } else {
                // All had expired. Nobody else can be overlooked: the lock is ours.
                self.in_flight.fetch_sub(1, Ordering::SeqCst);
                self.counts.admitted.fetch_sub(1, Ordering::Relaxed);
            }
        }
        for (waiter, why) in sent {
            woken.extend(waiter.tell(Told::Sent(why)));
        }
        self.show(&queue);
        woken
    }

    fn release(&self, now: impl FnOnce() -> Moment) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        self.look_after(now);
    }

    /// Lets through who waits, if anybody does.
    fn look_after(&self, now: impl FnOnce() -> Moment) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            self.hand_over(now());
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue<Arc<Waiter>>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self, queue: &Queue<Arc<Waiter>>) {
        self.waiting.store(queue.len() as u32, Ordering::SeqCst);
    }

    #[cold]
    fn refuse(&self, why: Sent) -> Fault {
        let (counter, text) = match why {
            Sent::Evicted => (&self.counts.full, "too many wait already"),
            Sent::Expired => (&self.counts.expired, "it would have waited too long"),
            Sent::Codel => (&self.counts.codel, "the queue does not get shorter"),
        };
        count(counter);
        let Standing { limit, in_flight, waiting } = self.standing();
        let after = self.work_off(waiting + 1, limit);
        let detail = format!("{text}: {in_flight} of {limit} in flight, {waiting} waiting");
        let after = after.clamp(Duration::from_secs(1), RETRY_AFTER_MAX);
        Fault::new(FaultKind::Overloaded, detail).retry_after(after)
    }
}

impl Counts {
    /// The counters go on from here.
    fn copied(&self) -> Self {
        let copy = |counter: &AtomicU64| AtomicU64::new(counter.load(Ordering::Relaxed));
        Self {
            admitted: copy(&self.admitted),
            queued: copy(&self.queued),
            full: copy(&self.full),
            expired: copy(&self.expired),
            codel: copy(&self.codel),
            left: copy(&self.left),
            would_queue: copy(&self.would_queue),
            would_refuse: copy(&self.would_refuse),
        }
    }
}

/// Leave to ask the service; dropped when the exchange is over.
#[must_use]
#[derive(Debug)]
pub struct Permit {
    /// `None` where nothing is counted, or when it was released.
    admission: Option<Arc<Admission>>,
    /// How many were in flight when it was given, itself included.
    at: u32,
}

impl Permit {
    /// Tells the limit how it went: the first byte of the answer came at `now` and `took` so long,
    /// or it is `lost`: it did not come in time, or said that the service is overloaded. The permit
    /// itself lasts until it is dropped.
    pub fn ended(&self, now: Moment, took: Duration, lost: bool) {
        if let Some(admission) = &self.admission {
            admission.limit.sample(now, took, self.at, lost);
            // The limit may have grown.
            if admission.settings.mode == LimitMode::Enforce {
                admission.look_after(|| now);
            }
        }
    }

    /// Gives it back at `now`: as dropping it does, with a clock of one's own.
    pub fn release(mut self, now: Moment) {
        if let Some(admission) = self.admission.take() {
            admission.release(|| now);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            admission.release(Moment::now);
        }
    }
}

/// One who waits, as those who release see him.
#[derive(Debug, Default)]
struct Waiter {
    told: Mutex<Told>,
}

/// What one who waits has been told.
#[derive(Debug, Default)]
enum Told {
    #[default]
    Nothing,
    /// Nothing yet, and this one wants to be woken.
    Asked(Waker),
    /// Go on: so many are in flight now.
    Through(u32),
    /// Go away.
    Sent(Sent),
}

impl Waiter {
    /// Tells him; answers whom to wake.
    fn tell(&self, told: Told) -> Option<Waker> {
        match std::mem::replace(&mut *self.told(), told) {
            Told::Asked(waker) => Some(waker),
            _ => None,
        }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the queue; dropped, it is given up.
struct Turn {
    admission: Arc<Admission>,
    waiter: Arc<Waiter>,
    key: Key,
    over: bool,
}

impl Future for Turn {
    type Output = Result<Permit, Fault>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let told = {
            let mut told = self.waiter.told();
            match &mut *told {
                Told::Asked(waker) => {
                    waker.clone_from(cx.waker());
                    return Poll::Pending;
                }
                Told::Nothing => {
                    *told = Told::Asked(cx.waker().clone());
                    return Poll::Pending;
                }
                Told::Through(at) => Ok(*at),
                Told::Sent(why) => Err(*why),
            }
        };
        self.over = true;
        let permit = told.map(|at| self.admission.permit(at));
        Poll::Ready(permit.map_err(|why| self.admission.refuse(why)))
    }
}

impl Turn {
    /// Leaves the queue; whoever was let through in this very moment passes his place on.
    fn leave(&mut self) {
        self.over = true;
        let admission = &self.admission;
        let mut queue = admission.queue();
        let removed = queue.remove(Moment::now(), self.key);
        admission.show(&queue);
        drop(queue);
        if removed.is_none() && matches!(*self.waiter.told(), Told::Through(_)) {
            admission.release(Moment::now);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.over {
            count(&self.admission.counts.left);
            self.leave();
        }
    }
}

#[cfg(test)]
mod tests;
