//! One thread's side of a run: which requests wait, what came of them, and who hears that all are done.
//!
//! Connections are tasks of this thread (`h1`, `h2`); nothing here is shared with another one but
//! [`Live`], which is counted and read.

use crate::message::Messages;
use crate::plan::{Pace, Plan};
use crate::report::{Failure, Report};
use crate::schedule::{Arrival, Picks};
use base::{Deadline, Moment};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// What all threads count while they run, for whoever watches.
#[derive(Debug, Default)]
pub(crate) struct Live {
    pub in_flight: AtomicU64,
    pub count: AtomicU64,
    pub failed: AtomicU64,
}

/// A request, when it was due, and when it was handed out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    pub arrival: Arrival,
    pub due: Moment,
    pub left: Moment,
}

pub(crate) struct Lane {
    pub plan: Arc<Plan>,
    pub messages: Arc<Messages>,
    start: Cell<Moment>,
    pub report: RefCell<Report>,
    live: Arc<Live>,
    /// Requests taken on and not done.
    open: Cell<u64>,
    done: Notify,
    /// This thread among how many.
    pub turn: usize,
    picks: RefCell<Picks>,
    made: Cell<u64>,
}

impl Lane {
    pub(crate) fn new(
        plan: Arc<Plan>,
        messages: Arc<Messages>,
        live: Arc<Live>,
        turn: usize,
    ) -> Rc<Self> {
        let names = plan.requests.iter().map(|request| request.name.clone());
        let seed = plan.seed.wrapping_add(turn as u64);
        Rc::new(Self {
            report: RefCell::new(Report::new(plan.duration, names)),
            picks: RefCell::new(plan.picks(seed)),
            plan,
            messages,
            start: Cell::new(Moment::now()),
            live,
            open: Cell::new(0),
            done: Notify::new(),
            turn,
            made: Cell::new(0),
        })
    }

    /// When the run began.
    pub(crate) fn start(&self) -> Moment {
        self.start.get()
    }

    /// Everybody is ready: the run begins then.
    pub(crate) fn begin(&self, start: Moment) {
        self.start.set(start);
    }

    /// This thread's share of all connections, at least one.
    pub(crate) fn share(&self, all: usize) -> usize {
        self.clients(all).max(1)
    }

    /// This thread's share of all clients.
    pub(crate) fn clients(&self, all: usize) -> usize {
        all / self.plan.threads + usize::from(self.turn < all % self.plan.threads)
    }

    /// Takes a request on that was just handed out.
    pub(crate) fn take_on(&self, job: &Job) {
        self.open.set(self.open.get() + 1);
        self.live.in_flight.fetch_add(1, Ordering::Relaxed);
        if job.arrival.counted {
            self.report.borrow_mut().left(job.left.since(job.due));
        }
    }

    /// The next request of a client that waits for its answers; none when time is up.
    pub(crate) fn next_closed(&self, now: Moment) -> Option<Job> {
        let offset = now.since(self.start());
        if offset >= self.plan.warm_up + self.plan.duration {
            return None;
        }
        let number = self.made.get() * self.plan.threads as u64 + self.turn as u64;
        self.made.set(self.made.get() + 1);
        let pick = self.picks.borrow_mut().next(number);
        let arrival = Arrival { number, offset, pick, counted: offset >= self.plan.warm_up };
        let job = Job { arrival, due: now, left: now };
        self.take_on(&job);
        Some(job)
    }

    /// When the request is given up.
    pub(crate) fn deadline(&self, job: &Job) -> Deadline {
        Deadline::after(job.due, self.plan.timeout)
    }

    /// Notes what came of a request: the status and the length of the answer's body.
    pub(crate) fn note(&self, job: &Job, result: Result<(u16, u64), Failure>, now: Moment) {
        self.open.set(self.open.get() - 1);
        self.live.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.open.get() == 0 {
            self.done.notify_waiters();
        }
        if !job.arrival.counted {
            return;
        }
        let mut report = self.report.borrow_mut();
        let latency = now.since(job.due);
        let request = job.arrival.pick.request;
        let expected = &self.plan.requests[request].expected;
        let result = result.and_then(|(status, bytes)| {
            let good = expected.contains(&(status / 100));
            if good { Ok(bytes) } else { Err(Failure::Status(status)) }
        });
        let latency = match result {
            Ok(bytes) => {
                report.bytes += bytes;
                report.in_time += u64::from(latency <= self.plan.objective);
                latency
            }
            Err(failure) => {
                *report.failures.entry(failure).or_default() += 1;
                report.by_request[request].failed += 1;
                self.live.failed.fetch_add(1, Ordering::Relaxed);
                latency.max(self.plan.timeout)
            }
        };
        self.live.count.fetch_add(1, Ordering::Relaxed);
        let own = job.left.since(job.due);
        report.since_left.record(latency.saturating_sub(own));
        report.came(request, job.arrival.offset.saturating_sub(self.plan.warm_up), latency);
    }

    /// Waits until nothing is on its way.
    pub(crate) async fn all_done(&self) {
        while self.open.get() > 0 {
            self.done.notified().await;
        }
    }

    /// Requests on their way.
    pub(crate) fn open(&self) -> u64 {
        self.open.get()
    }

    pub(crate) fn is_closed_loop(&self) -> bool {
        matches!(self.plan.pace, Pace::Closed { .. })
    }

    /// Waits a little after a failure, where nothing else keeps a client from failing at full speed.
    pub(crate) async fn catch_breath(&self) {
        const BREATH: Duration = Duration::from_millis(10);
        if self.is_closed_loop() {
            tokio::time::sleep(BREATH).await;
        }
    }
}
