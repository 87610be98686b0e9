//! The thread `watch`: active checks, discovery, and the pools' own upkeep.
//!
//! One thread for all services, with a runtime of its own: workers that are saturated must not make
//! servers look unhealthy. One loop looks after a [`keeper`] for each service, every [`Pool::TICK`];
//! what has to wait on files and sockets are tasks that a keeper owns, and that end with it. A reload
//! tells it the new snapshot before the workers are told; what did not change goes on, what is gone
//! ends. It never sees a reload that failed.

mod check;
mod dial;
mod file;
mod found;
mod keeper;
mod kubernetes;
mod names;

use crate::house::Snapshot;
use balance::Pool;
use base::{Deadline, Moment};
use keeper::Keeper;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;
use tokio::runtime::Builder;
use tokio::sync::{Semaphore, mpsc, oneshot};
use wire::timer;

/// Orders that may wait; more than one reload at a time makes no sense.
const ORDERS_MAX: usize = 4;
/// How long a start or a reload waits for discovery to answer for the first time.
const FIRST_TIME: Duration = Duration::from_secs(1);
/// How long the thread itself is waited for, in which nothing blocks unless the system is ill.
const THREAD_TIME: Duration = Duration::from_secs(5);
/// How often it is looked for that answer.
const FIRST_LOOK: Duration = Duration::from_millis(10);
/// Threads for what the system only does while somebody waits: names of servers, files.
const BLOCKING_THREADS_MAX: usize = 16;

/// The thread as the gateway sees it. It ends when this is dropped.
#[derive(Debug)]
pub struct Watch {
    orders: mpsc::Sender<Order>,
    thread: thread::JoinHandle<()>,
}

#[derive(Debug)]
enum Order {
    Settle(Arc<Snapshot>, Done),
}

/// Who waits until discovery has answered, or had its time.
#[derive(Debug)]
enum Done {
    Start(SyncSender<io::Result<()>>),
    Reload(oneshot::Sender<()>),
}

impl Done {
    fn tell(self) {
        match self {
            Self::Start(begun) => drop(begun.send(Ok(()))),
            Self::Reload(done) => drop(done.send(())),
        }
    }
}

impl Watch {
    /// Starts the thread for `snapshot`, and waits until discovery has found servers for each of its
    /// services, for a second at most. Who has none then answers 503 until it does.
    ///
    /// # Errors
    /// No thread or runtime could be had.
    pub fn start(snapshot: Arc<Snapshot>) -> io::Result<Self> {
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let (begun, begins) = sync_channel(1);
        let thread = thread::Builder::new().name("watch".to_owned()).spawn(move || {
            let runtime = Builder::new_current_thread()
                .max_blocking_threads(BLOCKING_THREADS_MAX)
                .enable_all()
                .build();
            match runtime {
                Ok(runtime) => {
                    runtime.block_on(run(&snapshot, Done::Start(begun), inbox));
                    runtime.shutdown_background();
                }
                Err(error) => drop(begun.send(Err(error))),
            }
        })?;
        match begins.recv_timeout(FIRST_TIME + THREAD_TIME) {
            Ok(begun) => begun?,
            Err(RecvTimeoutError::Timeout) => {} // as good as nobody found
            Err(error) => return Err(io::Error::other(error)),
        }
        Ok(Self { orders, thread })
    }

    /// A place in the queue of orders; `None` where the thread has taken none for long, or is gone.
    pub async fn turn(&self) -> Option<Turn<'_>> {
        let place = tokio::time::timeout(THREAD_TIME, self.orders.reserve()).await;
        place.ok()?.ok().map(Turn)
    }

    /// Ends the thread and waits for its end, however long that takes.
    pub fn join(self) {
        drop(self.orders);
        let _panicked = self.thread.join();
    }
}

/// A place in the queue of orders.
#[derive(Debug)]
pub struct Turn<'w>(mpsc::Permit<'w, Order>);

impl Turn<'_> {
    /// Watches what `snapshot` says from now on; waits for what is discovered anew as
    /// [`Watch::start`] does.
    pub async fn settle(self, snapshot: Arc<Snapshot>) {
        let (done, waits) = oneshot::channel();
        self.0.send(Order::Settle(snapshot, Done::Reload(done)));
        // Who is late takes the order later; it is in the queue.
        let _in_time = tokio::time::timeout(FIRST_TIME + THREAD_TIME, waits).await;
    }
}

async fn run(snapshot: &Snapshot, done: Done, mut inbox: mpsc::Receiver<Order>) {
    let _sweep = found::Task::start(timer::sweep());
    let seats = Arc::new(Semaphore::new(check::CHECKS_MAX));
    let mut keepers = settle(Vec::new(), snapshot, &seats);
    let mut first = Some((Deadline::after(Moment::now(), FIRST_TIME), done));
    loop {
        let now = Moment::now();
        for keeper in &mut keepers {
            keeper.tick(now);
        }
        let is_found = || keepers.iter().all(Keeper::has_found);
        if let Some((_, done)) = first.take_if(|(by, _)| by.passed(now) || is_found()) {
            done.tell();
        }
        let pause = if first.is_some() { FIRST_LOOK } else { Pool::TICK };
        match timer::within(Deadline::after(now, pause), inbox.recv()).await {
            Ok(Some(Order::Settle(snapshot, done))) => {
                keepers = settle(keepers, &snapshot, &seats);
                if let Some((_, waiting)) = first.take() {
                    waiting.tell();
                }
                first = Some((Deadline::after(Moment::now(), FIRST_TIME), done));
            }
            Ok(None) => return,
            Err(_time_for_a_tick) => {}
        }
    }
}

/// The keepers of a snapshot's services. Those whose service was there before go on.
fn settle(before: Vec<Keeper>, snapshot: &Snapshot, seats: &Arc<Semaphore>) -> Vec<Keeper> {
    let mut before = before;
    let keeper = |shared: &Arc<service::Shared>| {
        let known = before.iter().position(|keeper| keeper.name() == shared.settings.name);
        match known {
            Some(at) => before.swap_remove(at).settle(shared),
            None => Keeper::new(shared, seats),
        }
    };
    snapshot.services.iter().map(keeper).collect()
}
