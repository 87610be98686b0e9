//! Sending a plan, and counting what comes back.
//!
//! A thread of its own keeps the time, to some ten microseconds where the runtime's timer has a
//! millisecond; each request then is a task. No more tasks are alive than arrive within a timeout.

use crate::connection::Pool;
use crate::plan::{Arrival, LoadError, Plan};
use crate::report::{Failure, Report};
use base::Moment;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinSet;

/// Arrivals on their way from the timekeeper; when full the timekeeper waits and nothing is lost.
const WAITING_MAX: usize = 4_096;
/// How soon the timekeeper notices that the run was dropped.
const NAP_MAX: Duration = Duration::from_millis(100);
const PROGRESS_EVERY: Duration = Duration::from_millis(250);
/// Between the plan and the first request.
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

/// What came of one request.
struct Outcome {
    arrival: Arrival,
    latency: Duration,
    late: Duration,
    result: Result<u64, Failure>,
}

/// Sends `plan` and reports. `progress` is called four times a second.
///
/// # Cancel safety
/// Dropping ends the run: requests on their way are dropped, the timekeeper ends within 0.1 s.
///
/// # Panics
/// By our own bugs only: when a request's task panicked.
pub async fn run(plan: &Plan, mut progress: impl FnMut(&Progress)) -> Result<Report, LoadError> {
    plan.check()?;
    let plan = Arc::new(plan.clone());
    let pool = Arc::new(Pool::new(&plan));
    let start = Moment::now() + LEAD;
    let mut due = keep_time(&plan, start)?;
    let mut report =
        Report::new(plan.duration, plan.requests.iter().map(|request| request.name.clone()));
    let mut tasks: JoinSet<Outcome> = JoinSet::new();
    let mut tick = tokio::time::interval(PROGRESS_EVERY);
    let mut open = true;
    while open || !tasks.is_empty() {
        tokio::select! {
            biased;
            arrival = due.recv(), if open => match arrival {
                Some(arrival) => {
                    tasks.spawn(send(plan.clone(), pool.clone(), start, arrival));
                }
                None => open = false,
            },
            Some(done) = tasks.join_next() => {
                // A task ends by itself or with this set; one that panicked is our own bug.
                note(&plan, &mut report, &done.expect("tasks do not panic"));
            }
            _ = tick.tick() => progress(&Progress {
                elapsed: Moment::now().since(start),
                total: plan.warm_up + plan.duration,
                in_flight: tasks.len(),
                count: report.count,
                failed: report.failed(),
            }),
        }
    }
    Ok(report)
}

/// Starts the thread that hands out each arrival at its time.
fn keep_time(plan: &Plan, start: Moment) -> Result<Receiver<Arrival>, LoadError> {
    let (give, take) = channel(WAITING_MAX);
    let arrivals = plan.arrivals();
    std::thread::Builder::new()
        .name("load-time".to_owned())
        .spawn(move || hand_out(arrivals, start, &give))
        .map_err(LoadError::Thread)?;
    Ok(take)
}

fn hand_out(arrivals: impl Iterator<Item = Arrival>, start: Moment, give: &Sender<Arrival>) {
    for arrival in arrivals {
        let at = start + arrival.offset;
        loop {
            let left = at.since(Moment::now());
            if left.is_zero() {
                break;
            }
            if give.is_closed() {
                return;
            }
            std::thread::sleep(left.min(NAP_MAX));
        }
        if give.blocking_send(arrival).is_err() {
            return;
        }
    }
}

async fn send(plan: Arc<Plan>, pool: Arc<Pool>, start: Moment, arrival: Arrival) -> Outcome {
    let intended = start + arrival.offset;
    let late = Moment::now().since(intended);
    let exchange =
        exchange(&plan, &pool, (arrival.number, arrival.request, arrival.path, arrival.target));
    let result = tokio::time::timeout(plan.timeout.saturating_sub(late), exchange).await;
    let result = result.unwrap_or(Err(Failure::Timeout));
    let latency = Moment::now().since(intended);
    Outcome { arrival, latency, late, result }
}

/// One request: the bytes of its answer, if that is as expected.
async fn exchange(
    plan: &Plan,
    pool: &Pool,
    (number, request, path, target): (u64, usize, usize, usize),
) -> Result<u64, Failure> {
    let built = plan.build(request, path, number, plan.targets[target]);
    let (status, bytes) = pool.exchange(target, built.map_err(|_| Failure::Broken)?).await?;
    if !plan.requests[request].expected.contains(&(status / 100)) {
        return Err(Failure::Status(status));
    }
    Ok(bytes)
}

fn note(plan: &Plan, report: &mut Report, outcome: &Outcome) {
    if !outcome.arrival.counted {
        return;
    }
    let by_request = &mut report.by_request[outcome.arrival.request];
    report.count += 1;
    report.late_max = report.late_max.max(outcome.late);
    let latency = match outcome.result {
        Ok(bytes) => {
            report.bytes += bytes;
            report.in_time += u64::from(outcome.latency <= plan.objective);
            outcome.latency
        }
        Err(failure) => {
            *report.failures.entry(failure).or_default() += 1;
            by_request.failed += 1;
            outcome.latency.max(plan.timeout)
        }
    };
    report.latency.record(latency);
    by_request.latency.record(latency);
}

/// How many requests of `plan` a second are answered when `clients` send one after another, as
/// fast as they can, for `plan.duration`. Rate and arrivals do not matter here.
///
/// # Panics
/// Never: the sequence of requests has no end.
pub async fn capacity(plan: &Plan, clients: usize) -> Result<f64, LoadError> {
    plan.check()?;
    let pool = Pool::new(plan);
    let picks = Mutex::new(plan.picks());
    let start = Moment::now();
    let client = async || {
        let mut answered = 0_u64;
        while Moment::now().since(start) < plan.duration {
            let pick = picks.lock().unwrap_or_else(PoisonError::into_inner).next();
            let pick = pick.expect("picks are endless");
            let result = tokio::time::timeout(plan.timeout, exchange(plan, &pool, pick)).await;
            answered += u64::from(matches!(result, Ok(Ok(_))));
        }
        answered
    };
    let mut open: Vec<_> = (0..clients).map(|_| Box::pin(client())).collect();
    let mut answered = 0;
    std::future::poll_fn(|context| {
        open.retain_mut(|client| match client.as_mut().poll(context) {
            std::task::Poll::Ready(count) => {
                answered += count;
                false
            }
            std::task::Poll::Pending => true,
        });
        if open.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    Ok(answered as f64 / Moment::now().since(start).as_secs_f64())
}
