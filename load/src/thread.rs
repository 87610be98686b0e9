//! One thread that sends: it hands out each request at its time, and its connections do the rest.

use crate::alarm::Alarm;
use crate::lane::{Job, Lane, Live};
use crate::message::Messages;
use crate::plan::{Pace, Plan, Protocol};
use crate::report::Report;
use crate::{h1, h2};
use base::Moment;
use rustix::time::{ClockId, clock_gettime};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot, watch};

/// What a thread is to know.
pub(crate) struct Order {
    pub plan: Arc<Plan>,
    pub messages: Arc<Messages>,
    pub live: Arc<Live>,
    /// Told once this thread could begin.
    pub ready: mpsc::Sender<()>,
    /// When all of them begin.
    pub start: watch::Receiver<Option<Moment>>,
    pub turn: usize,
    /// True: stop sending, and report what has come.
    pub stop: watch::Receiver<bool>,
}

/// Starts a thread; it answers when all is done.
pub(crate) fn start(order: Order) -> io::Result<oneshot::Receiver<io::Result<Report>>> {
    let (give, take) = oneshot::channel();
    std::thread::Builder::new().name(format!("load-{}", order.turn)).spawn(move || {
        let _nobody_waits = give.send(work(order));
    })?;
    Ok(take)
}

fn work(order: Order) -> io::Result<Report> {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
    let report = runtime.block_on(send(order));
    runtime.shutdown_background();
    report
}

async fn send(order: Order) -> io::Result<Report> {
    let alarm = Alarm::new()?;
    let (mut stop, mut start) = (order.stop, order.start);
    let lane = Lane::new(order.plan, order.messages, order.live, order.turn);
    // What this thread needs is there: nobody is charged with its making.
    let _gone = order.ready.send(()).await;
    if let Ok(start) = start.wait_for(Option::is_some).await {
        lane.begin(start.unwrap_or_else(Moment::now));
    }
    let before = Usage::now();
    let sent = async {
        hand_out(&lane, &alarm).await;
        let usage = (Usage::now(), Moment::now());
        lane.all_done().await;
        usage
    };
    let stopped = async {
        // The sender gone is a run that was dropped.
        let _gone = stop.wait_for(|stop| *stop).await;
    };
    let (after, ended) = tokio::select! { biased;
        () = stopped => (Usage::now(), Moment::now()),
        usage = sent => usage,
    };
    let mut report = lane.report.borrow().clone();
    report.unfinished = lane.open();
    report.cpu = after.cpu.saturating_sub(before.cpu);
    report.starved = after.starved.saturating_sub(before.starved);
    report.busy = ended.since(lane.start());
    Ok(report)
}

/// Returns when the last request has left (open loop), or every client is done (closed).
async fn hand_out(lane: &Rc<Lane>, alarm: &Alarm) {
    let offer: Box<dyn Fn(Job)> = match lane.plan.protocol {
        Protocol::Http1 => {
            let connections = h1::Connections::new(Rc::clone(lane));
            Box::new(move |job| connections.offer(job))
        }
        Protocol::Http2 => {
            let connections = h2::Connections::new(Rc::clone(lane));
            if let Pace::Closed { clients } = lane.plan.pace {
                let client = || Rc::clone(&connections).client();
                return all((0..lane.clients(clients)).map(|_| client())).await;
            }
            Box::new(move |job| connections.offer(job))
        }
    };
    if let Pace::Closed { clients } = lane.plan.pace {
        return all((0..lane.clients(clients)).map(|_| h1::client(Rc::clone(lane)))).await;
    }
    let (turn, threads) = (lane.turn as u64, lane.plan.threads as u64);
    let mut now = Moment::now();
    for arrival in lane.plan.arrivals().filter(|arrival| arrival.number % threads == turn) {
        let due = lane.start() + arrival.offset;
        if due > now {
            alarm.until(due).await;
            now = Moment::now();
        }
        let job = Job { arrival, due, left: now };
        lane.take_on(&job);
        offer(job);
    }
}

/// Runs clients until all are done.
async fn all(clients: impl Iterator<Item = impl Future<Output = ()> + 'static>) {
    let mut tasks = tokio::task::JoinSet::new();
    clients.for_each(|client| {
        tasks.spawn_local(client);
    });
    while tasks.join_next().await.is_some() {}
}

/// What this thread has used of the machine.
#[derive(Clone, Copy)]
struct Usage {
    cpu: Duration,
    starved: Duration,
}

impl Usage {
    fn now() -> Self {
        let cpu = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = u64::try_from(cpu.tv_sec).unwrap_or(0);
        let cpu = Duration::new(seconds, u32::try_from(cpu.tv_nsec).unwrap_or(0));
        // Time on a core, time waiting for one, in nanoseconds; not every kernel tells.
        let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
        let waited = text.split(' ').nth(1).and_then(|nanos| nanos.parse().ok());
        Self { cpu, starved: Duration::from_nanos(waited.unwrap_or(0)) }
    }
}
