//! Sending a plan, by threads that know nothing of each other, and putting together what came back.

use crate::lane::Live;
use crate::message::Messages;
use crate::plan::{LoadError, Pace, Plan};
use crate::report::Report;
use crate::thread::{self, Order};
use base::Moment;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};

const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Between the last thread's being ready and the first request.
const LEAD: Duration = Duration::from_millis(5);

/// How far a run is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Since the start of the run, warm-up included.
    pub elapsed: Duration,
    /// Warm-up and duration together.
    pub total: Duration,
    /// Requests on their way.
    pub in_flight: usize,
    /// Requests finished and counted.
    pub count: u64,
    /// Of these, failed.
    pub failed: u64,
}

/// Ends a run before its time; it then reports what has come so far.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<bool>);

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

impl Stop {
    /// Not yet.
    pub fn new() -> Self {
        Self(watch::channel(false).0)
    }

    /// Now.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// Has it been said?
    pub fn is_stopped(&self) -> bool {
        *self.0.borrow()
    }
}

/// Sends `plan` and reports. `progress` is called four times a second.
///
/// # Cancel safety
/// Dropping ends the run: requests on their way are dropped, and the threads end.
///
/// # Panics
/// By our own bugs only: when a thread panicked.
pub async fn run(plan: &Plan, progress: impl FnMut(&Progress)) -> Result<Report, LoadError> {
    run_until(plan, &Stop::new(), progress).await
}

/// The same, until `stop` is told.
///
/// # Cancel safety
/// As [`run`].
///
/// # Panics
/// As [`run`].
pub async fn run_until(
    plan: &Plan,
    stop: &Stop,
    mut progress: impl FnMut(&Progress),
) -> Result<Report, LoadError> {
    plan.check()?;
    let messages = Arc::new(Messages::new(plan)?);
    let plan = Arc::new(plan.clone());
    let live = Arc::new(Live::default());
    // The threads hear of `stop`, and of this future being dropped.
    let (tell, _) = watch::channel(false);
    let (begin, begins) = watch::channel(None);
    let (ready, mut readies) = mpsc::channel(plan.threads);
    let mut threads = Vec::with_capacity(plan.threads);
    for turn in 0..plan.threads {
        let order = Order {
            plan: Arc::clone(&plan),
            messages: Arc::clone(&messages),
            live: Arc::clone(&live),
            ready: ready.clone(),
            start: begins.clone(),
            turn,
            stop: tell.subscribe(),
        };
        threads.push(thread::start(order).map_err(LoadError::Thread)?);
    }
    drop(ready);
    for _ in 0..plan.threads {
        // A thread that could not begin says why when it is joined.
        let _ready = readies.recv().await;
    }
    let start = Moment::now() + LEAD;
    begin.send_replace(Some(start));
    let total = plan.warm_up + plan.duration;
    let mut joined = std::pin::pin!(join(threads, &plan));
    let mut stopped = stop.0.subscribe();
    let mut tick = tokio::time::interval(PROGRESS_EVERY);
    let mut early = None;
    let mut report = loop {
        tokio::select! { biased;
            done = &mut joined => break done?,
            Ok(_) = stopped.wait_for(|stop| *stop), if early.is_none() => {
                early = Some(Moment::now().since(start));
                tell.send_replace(true);
            }
            _ = tick.tick() => progress(&Progress {
                elapsed: Moment::now().since(start),
                total,
                in_flight: live.in_flight.load(Ordering::Relaxed) as usize,
                count: live.count.load(Ordering::Relaxed),
                failed: live.failed.load(Ordering::Relaxed),
            }),
        }
    };
    let planned = match &plan.pace {
        Pace::Recorded(list) => total.min(*list.last().unwrap_or(&total)),
        _ => total,
    };
    report.duration = early.unwrap_or(planned).min(planned).saturating_sub(plan.warm_up);
    Ok(report)
}

type Part = oneshot::Receiver<std::io::Result<Report>>;

/// Waits for all threads and puts their reports together.
async fn join(threads: Vec<Part>, plan: &Plan) -> Result<Report, LoadError> {
    let mut report = Report::new(plan.duration, plan.requests.iter().map(|r| r.name.clone()));
    for thread in threads {
        let part = thread.await.expect("threads do not panic").map_err(LoadError::Thread)?;
        report.merge(&part);
    }
    Ok(report)
}

/// How many requests of `plan` a second are answered when `clients` send one after another, as
/// fast as they can, for `plan.duration`. The plan's own pace does not matter here.
pub async fn capacity(plan: &Plan, clients: usize) -> Result<f64, LoadError> {
    let plan = Plan { pace: Pace::Closed { clients }, ..plan.clone() };
    let report = run(&plan, |_| {}).await?;
    Ok((report.count - report.failed()) as f64 / report.duration.as_secs_f64())
}
