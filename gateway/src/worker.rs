//! One thread of the data plane: its runtime, its sockets, its connections, its house.
//!
//! Nothing here is shared with another thread but what is counted and the settings' snapshot. Other
//! threads speak to a worker through a bounded queue of [`Command`]s.

use crate::connection;
use crate::events;
use crate::house::{House, Snapshot};
use crate::listen;
use crate::offloading;
use crate::offloading::deliver::Errand;
use base::{Deadline, Moment};
use monitor::{Count, Ledger, lag};
use std::cell::{Cell, RefCell};
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{mpsc, oneshot};
use wire::timer;

/// What a worker is told.
#[derive(Debug)]
pub enum Command {
    /// Use these settings for what begins from now on.
    Settle(Arc<Snapshot>, oneshot::Sender<()>),
    /// Accept nothing new, let what is at work finish; told when the doors are closed.
    Drain(oneshot::Sender<()>),
    /// End now.
    Stop,
}

/// Commands that may wait; more than one reload at a time makes no sense.
const COMMANDS_MAX: usize = 8;
/// Jobs that may wait for their delivery to begin; queues bound how many are under way.
const PARCELS_MAX: usize = 1_024;
/// Calls that may wait for their turn; each topic makes one at a time.
const CALLS_MAX: usize = 64;
/// How often idle connections to services are looked after.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// How long a worker waits when the system has no file descriptor left for it.
const EXHAUSTED_PAUSE: Duration = Duration::from_millis(50);

/// How long handshakes that had begun when a door closes have to finish. Who knocks meanwhile is not
/// heard and knocks again a second later, at a door that is then closed: hence so short.
const HANDSHAKE_TIME: Duration = Duration::from_millis(10);

/// One thread of the data plane.
pub struct Worker {
    house: RefCell<Rc<House>>,
    /// What this thread counts.
    pub ledger: Arc<Ledger>,
    draining: Cell<bool>,
    connections_max: Cell<u64>,
    turn: usize,
    threads: usize,
}

/// A socket to accept from.
pub type Socket = (TcpListener, bool);

/// A worker as other threads see it.
#[derive(Debug)]
pub struct Handle {
    /// What it counts.
    pub ledger: Arc<Ledger>,
    /// Where it is told.
    pub commands: mpsc::Sender<Command>,
    /// Where it gets jobs to deliver.
    pub parcels: mpsc::Sender<Errand>,
    /// Where it gets calls to make.
    pub calls: mpsc::Sender<events::call::Errand>,
    thread: thread::JoinHandle<()>,
}

impl Handle {
    /// Waits for the thread's end.
    pub fn join(self) {
        drop((self.commands, self.parcels, self.calls));
        let _panicked = self.thread.join();
    }
}

/// Starts the `turn`-th of `threads` workers on its sockets (each with whether it speaks TLS).
///
/// # Errors
/// No thread or runtime could be had.
pub fn start(
    snapshot: Arc<Snapshot>,
    sockets: Vec<Socket>,
    turn: usize,
    threads: usize,
) -> std::io::Result<Handle> {
    let ledger = Arc::new(Ledger::default());
    let (commands, inbox) = mpsc::channel(COMMANDS_MAX);
    let (parcels, jobs) = mpsc::channel(PARCELS_MAX);
    let (calls, to_call) = mpsc::channel(CALLS_MAX);
    let mine = Arc::clone(&ledger);
    let (begun, begins) = std::sync::mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(format!("worker-{turn}")).spawn(move || {
        // The clock is read whenever the thread wakes up: exchanges begin at that moment, whatever
        // stands before them in the queue, and need not read it once more.
        let runtime = Builder::new_current_thread()
            .on_thread_unpark(|| lag::woke(Moment::now()))
            .enable_all()
            .build_local(LocalOptions::default());
        let (runtime, result) = match runtime {
            Ok(runtime) => (Some(runtime), Ok(())),
            Err(error) => (None, Err(error)),
        };
        let _nobody_waits = begun.send(result);
        let Some(runtime) = runtime else { return };
        runtime.block_on(run(snapshot, mine, sockets, (inbox, jobs, to_call), (turn, threads)));
        runtime.shutdown_background();
    })?;
    begins.recv().map_err(std::io::Error::other)??;
    Ok(Handle { ledger, commands, parcels, calls, thread })
}

/// Commands, jobs to deliver, calls to make.
type Inboxes =
    (mpsc::Receiver<Command>, mpsc::Receiver<Errand>, mpsc::Receiver<events::call::Errand>);

async fn run(
    snapshot: Arc<Snapshot>,
    ledger: Arc<Ledger>,
    sockets: Vec<Socket>,
    (mut inbox, jobs, calls): Inboxes,
    (turn, threads): (usize, usize),
) {
    let house = House::new(snapshot, &ledger, None, turn);
    let worker = Rc::new(Worker {
        connections_max: Cell::new(share(&house.snapshot, threads)),
        house: RefCell::new(house),
        ledger,
        draining: Cell::new(false),
        turn,
        threads,
    });
    tokio::task::spawn_local(timer::sweep());
    tokio::task::spawn_local(keep_house(Rc::clone(&worker)));
    tokio::task::spawn_local(keep_watch(Rc::clone(&worker)));
    tokio::task::spawn_local(deliver(Rc::clone(&worker), jobs));
    tokio::task::spawn_local(call(Rc::clone(&worker), calls));
    worker.ledger.thread.add(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs().into());
    let mut doors = Vec::new();
    for (socket, tls) in sockets {
        let (close, closed) = oneshot::channel();
        match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => {
                let worker = Rc::clone(&worker);
                let door = tokio::task::spawn_local(accept(worker, listener, tls, closed));
                doors.push((close, door));
            }
            Err(error) => {
                monitor::log::complain(Moment::now(), format_args!("cannot accept: {error}"));
            }
        }
    }
    while let Some(command) = inbox.recv().await {
        match command {
            Command::Settle(snapshot, done) => {
                worker.settle(snapshot);
                let _nobody_waits = done.send(());
            }
            Command::Drain(done) => {
                worker.draining.set(true);
                timer::interrupt();
                let mut closing = Vec::new();
                for (close, door) in doors.drain(..) {
                    let _already_closed = close.send(());
                    closing.push(door);
                }
                for door in closing {
                    let _panicked = door.await;
                }
                let _nobody_waits = done.send(());
            }
            Command::Stop => return,
        }
    }
}

/// Delivers the jobs that are given to this thread, each as a task.
async fn deliver(worker: Rc<Worker>, mut jobs: mpsc::Receiver<Errand>) {
    while let Some(errand) = jobs.recv().await {
        tokio::task::spawn_local(offloading::deliver::deliver(worker.house(), errand));
    }
}

/// Makes the calls that events lead to, each as a task.
async fn call(worker: Rc<Worker>, mut calls: mpsc::Receiver<events::call::Errand>) {
    while let Some(errand) = calls.recv().await {
        tokio::task::spawn_local(events::call::make(Rc::clone(&worker), errand));
    }
}

/// A thread's share of the connections that all threads together may have.
fn share(snapshot: &Snapshot, threads: usize) -> u64 {
    snapshot.limits.connections.div_ceil(threads) as u64
}

/// Accepts until told to close the door; then takes in who already waits before it, and closes.
async fn accept(
    worker: Rc<Worker>,
    listener: tokio::net::TcpListener,
    tls: bool,
    mut closed: oneshot::Receiver<()>,
) {
    loop {
        let accepted = tokio::select! { biased;
            accepted = listener.accept() => accepted,
            _ = &mut closed => break,
        };
        match accepted {
            Ok((stream, address)) => worker.take_in(stream, address, tls),
            Err(error) if is_passing(&error) => {}
            Err(error) => {
                monitor::log::complain(Moment::now(), format_args!("cannot accept: {error}"));
                tokio::time::sleep(EXHAUSTED_PAUSE).await;
            }
        }
    }
    if listen::refuse_new(&listener).is_err() {
        return; // then the few who wait are reset, as by any other server
    }
    // Handshakes under way are finished; then whoever waits is taken in, and nobody is reset.
    let by = Deadline::after(Moment::now(), HANDSHAKE_TIME);
    while let Ok(accepted) = timer::within(by, listener.accept()).await {
        if let Ok((stream, address)) = accepted {
            worker.take_in(stream, address, tls);
        }
    }
    let Ok(listener) = listener.into_std() else { return };
    while let Ok((stream, address)) = listener.accept() {
        let taken = stream.set_nonblocking(true);
        if let Ok(stream) = taken.and_then(|()| tokio::net::TcpStream::from_std(stream)) {
            worker.take_in(stream, address, tls);
        }
    }
}

/// Is this the fault of one connection that went away, and of nothing else?
fn is_passing(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as K;
    matches!(error.kind(), K::ConnectionAborted | K::ConnectionReset | K::Interrupted)
}

/// Looks after idle connections to services.
async fn keep_house(worker: Rc<Worker>) {
    let mut shard = 0;
    loop {
        warm(&worker.house());
        tokio::time::sleep(HOUSEKEEPING).await;
        let now = Moment::now();
        let house = worker.house();
        house.services.iter().for_each(|service| service.sweep(now));
        // One thread frees a small part of the cache's memory at a time from what nobody can use.
        if worker.turn == 0 {
            house.snapshot.cache.sweep(shard, now.wall_ms());
            shard = (shard + 1) % cache::memory::SHARDS;
        }
    }
}

/// Keeps a timer set, so that the thread notices when it is late: often while there is traffic, and
/// seldom while there is none.
async fn keep_watch(worker: Rc<Worker>) {
    const SELDOM: Duration = Duration::from_millis(100);
    let mut before = 0;
    loop {
        let sent = worker.ledger.sent_bytes.get();
        let idle = sent == before && worker.ledger.in_flight.get() == 0;
        let pause = if idle { SELDOM } else { lag::EVERY };
        before = sent;
        lag::expect(Moment::now() + pause);
        tokio::time::sleep(pause).await;
        lag::look(Moment::now());
    }
}

/// Makes the connections that the settings want to be ready.
fn warm(house: &Rc<House>) {
    let now = Moment::now();
    for (at, service) in house.services.iter().enumerate() {
        for endpoint in service.cold(now) {
            let house = Rc::clone(house);
            tokio::task::spawn_local(async move { house.services[at].warm(endpoint).await });
        }
    }
}

/// One thing that is counted while it is there.
pub struct Counted(Arc<Ledger>, fn(&Ledger) -> &Count);

impl Counted {
    fn new(ledger: &Arc<Ledger>, which: fn(&Ledger) -> &Count) -> Self {
        which(ledger).add(1);
        Self(Arc::clone(ledger), which)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        (self.1)(&self.0).sub(1);
    }
}

impl Worker {
    /// The settings in force: for one exchange, or one connection's beginning.
    pub fn house(&self) -> Rc<House> {
        Rc::clone(&self.house.borrow())
    }

    /// Is the gateway on its way out?
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Counts a connection that speaks HTTP/2, as long as the answer is kept.
    pub fn count_h2(&self) -> Counted {
        Counted::new(&self.ledger, |ledger| &ledger.open_h2)
    }

    /// Counts a request under way, as long as the answer is kept.
    pub fn count_request(&self) -> Counted {
        Counted::new(&self.ledger, |ledger| &ledger.in_flight)
    }

    fn settle(&self, snapshot: Arc<Snapshot>) {
        self.connections_max.set(share(&snapshot, self.threads));
        let before = self.house();
        *self.house.borrow_mut() = House::new(snapshot, &self.ledger, Some(&before), self.turn);
    }

    fn take_in(
        self: &Rc<Self>,
        stream: tokio::net::TcpStream,
        address: std::net::SocketAddr,
        tls: bool,
    ) {
        self.ledger.accepted.add(1);
        if self.ledger.open.get() >= self.connections_max.get() {
            self.ledger.fault(base::FaultKind::TooManyConnections);
            turn_away(&stream, tls);
            return;
        }
        let _best_effort = stream.set_nodelay(true);
        let counted = Counted::new(&self.ledger, |ledger| &ledger.open);
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            let _counted = counted;
            connection::serve(worker, stream, address, tls).await;
        });
    }
}

/// Tells a client that there is no room, if its protocol can be spoken without further ado.
fn turn_away(stream: &tokio::net::TcpStream, tls: bool) {
    const ANSWER: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\n\
        Content-Length: 0\r\nConnection: close\r\n\r\n";
    if !tls {
        let _best_effort = stream.try_write(ANSWER);
    }
}
