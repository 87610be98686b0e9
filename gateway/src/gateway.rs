//! A running gateway: its workers, its settings in force, its way out.

use crate::events::{self, call};
use crate::house::{NotReady, Snapshot};
use crate::jobs::replay::Replays;
use crate::listen::{self, ListenError};
use crate::live::Live;
use crate::objectives::Objectives;
use crate::offloading::callback;
use crate::offloading::carry::{self, Carriers, Give};
use crate::offloading::deliver::Errand;
use crate::reporter::Reporter;
use crate::watch::{Turn, Watch};
use crate::why::Why;
use crate::worker::{self, Command, Handle};
use arc_swap::ArcSwap;
use base::{Deadline, Moment};
use cache::Cache;
use monitor::{Ledger, expose};
use offload::engine::{Engine, Hands, Parcel};
use settings::{Report, Settings};
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, mpsc, oneshot};

/// Where settings came from, and come from again when they are reloaded.
#[derive(Clone, Debug)]
pub enum Source {
    /// This file, with these listeners instead of its own if any are named.
    File {
        /// The file.
        path: PathBuf,
        /// `--listen`.
        listen: Vec<String>,
        /// `--admin`.
        admin: Option<String>,
    },
    /// The command line: a reload reads certificates anew and changes nothing else.
    Flags(Box<Settings>),
}

impl Source {
    /// Reads the settings.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn read(&self) -> Result<Settings, Report> {
        match self {
            Self::Flags(settings) => Ok((**settings).clone()),
            Self::File { path, listen, admin } => {
                let mut settings = settings::load(path)?;
                settings::override_listen(&mut settings, listen)?;
                if let Some(admin) = admin {
                    settings::override_admin(&mut settings, admin)?;
                }
                Ok(settings)
            }
        }
    }
}

/// Why a gateway cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Certificates or log.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// A thread.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// Why settings were not reloaded; those in force stay so.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// They have mistakes.
    #[error("{0}")]
    Mistakes(Report),
    /// They cannot come into force.
    #[error(transparent)]
    NotReady(#[from] NotReady),
    /// They change what only a restart can change.
    #[error("`{0}` differs from what is in force, and only a restart can change it")]
    Restart(&'static str),
    /// A file that blocks who reads it, or a disk that hangs.
    #[error(
        "reading the settings and the files they name does not come to an end: is one of them a \
             FIFO, or on a file system that hangs?"
    )]
    Unread,
    /// The thread that checks and discovers servers.
    #[error("the thread that looks after the servers takes no orders")]
    Unwatched,
    /// The gateway is on its way out.
    #[error("the gateway is draining")]
    Draining,
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    snapshot: ArcSwap<Snapshot>,
    source: Source,
    workers: Vec<Handle>,
    watch: Watch,
    /// Where it listens, and whether TLS is spoken there.
    pub addresses: Vec<(SocketAddr, bool)>,
    draining: AtomicBool,
    reloads: AtomicU64,
    reload_failures: AtomicU64,
    reloading: Mutex<()>,
    /// Held by who reads files for a reload, beyond the reload's own end if that took too long.
    reading: Arc<Mutex<()>>,
    begun: Moment,
    /// What is remembered of exchanges.
    pub reporter: Reporter,
    /// What is remembered for the live page.
    pub live: Live,
    /// How it goes with what routes promise.
    pub objectives: Objectives,
    /// What became of what was sent to an OTLP receiver.
    pub exported: Arc<otlp::Figures>,
    /// Why the tail is slow.
    pub why: Why,
    /// Dead jobs that become new ones.
    pub replays: Replays,
}

impl Gateway {
    /// Starts the workers.
    ///
    /// # Errors
    /// A taken address, a certificate that cannot be read, no thread.
    pub fn start(settings: Settings, source: Source) -> Result<Self, StartError> {
        let threads = settings.threads.unwrap_or_else(cores);
        let mut addresses = Vec::new();
        let mut sockets: Vec<Vec<worker::Socket>> = (0..threads).map(|_| Vec::new()).collect();
        for listener in &settings.listen {
            let bound = listen::bind(listener.address, threads)?;
            let address = bound.first().and_then(|socket| socket.local_addr().ok());
            addresses.push((address.unwrap_or(listener.address), listener.tls));
            for (sockets, socket) in sockets.iter_mut().zip(bound) {
                sockets.push((socket, listener.tls));
            }
        }
        let say: cache::tier::Say = Arc::new(|text: &str| {
            monitor::log::complain(Moment::now(), format_args!("cache: {text}"));
        });
        let cache = Cache::start(&settings.cache, &tokio::runtime::Handle::current(), say);
        let cache = Arc::new(cache.map_err(NotReady::Disk)?);
        let offload = settings.offload.as_ref().map(open).transpose()?;
        callback::remark(&settings);
        let carriers: Arc<Carriers> = Arc::default();
        let jobs = (offload.clone(), Arc::clone(&carriers));
        let snapshot = Arc::new(Snapshot::new(settings, cache, jobs, None)?);
        // Before the doors open: who comes meanwhile waits at them, and finds servers.
        let watch = Watch::start(Arc::clone(&snapshot)).map_err(StartError::Thread)?;
        let workers: Vec<Handle> = sockets
            .into_iter()
            .enumerate()
            .map(|(turn, sockets)| worker::start(Arc::clone(&snapshot), sockets, turn, threads))
            .collect::<io::Result<_>>()
            .map_err(StartError::Thread)?;
        if let Some(engine) = offload {
            let (give, runtime) = (give(&workers), tokio::runtime::Handle::current());
            carriers
                .settle(engine.settings(), &engine, &give, &runtime)
                .map_err(NotReady::Broker)?;
            begin(&engine, &workers, carriers);
        }
        let needs = needs(&workers, &snapshot);
        snapshot.buses.settle(&snapshot.settings, &needs).map_err(NotReady::Broker)?;
        Ok(Self {
            snapshot: ArcSwap::new(snapshot),
            source,
            workers,
            watch,
            addresses,
            draining: AtomicBool::new(false),
            reloads: AtomicU64::new(0),
            reload_failures: AtomicU64::new(0),
            reloading: Mutex::new(()),
            reading: Arc::new(Mutex::new(())),
            begun: Moment::now(),
            reporter: Reporter::new(),
            live: Live::default(),
            objectives: Objectives::default(),
            exported: Arc::default(),
            why: Why::default(),
            replays: Replays::default(),
        })
    }

    /// The settings in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Is it on its way out?
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Reads the settings again and brings them into force; requests in flight keep those that they
    /// began with.
    ///
    /// # Errors
    /// Why not; then nothing has changed.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let _one_at_a_time = self.reloading.lock().await;
        let reloaded = self.try_reload().await;
        let counter = if reloaded.is_ok() { &self.reloads } else { &self.reload_failures };
        counter.fetch_add(1, Ordering::Relaxed);
        reloaded
    }

    async fn try_reload(&self) -> Result<(), ReloadError> {
        if self.is_draining() {
            return Err(ReloadError::Draining);
        }
        let source = self.source.clone();
        let settings = self.read(move || source.read()).await?.map_err(ReloadError::Mistakes)?;
        let before = self.snapshot();
        if settings.listen != before.settings.listen {
            return Err(ReloadError::Restart("listen"));
        }
        if settings.admin != before.settings.admin {
            return Err(ReloadError::Restart("admin"));
        }
        if settings.cache.shared != before.settings.cache.shared {
            return Err(ReloadError::Restart("cache.redis, cache.memcached"));
        }
        if settings.cache.disk != before.settings.cache.disk {
            return Err(ReloadError::Restart("cache.disk"));
        }
        if settings.threads.unwrap_or_else(cores) != self.workers.len() {
            return Err(ReloadError::Restart("threads"));
        }
        let opened = self.open_jobs(&before, &settings).await?;
        // Jobs that wait are kept and delivered, whatever the settings say now.
        let engine = before.offload.clone().or_else(|| opened.clone());
        let ready = self.make_ready(settings, before, engine).await;
        let (snapshot, turn) = match ready {
            Ok(ready) => ready,
            Err(error) => {
                if let Some(engine) = opened {
                    let _panicked = tokio::task::spawn_blocking(move || engine.stop()).await;
                }
                return Err(error);
            }
        };
        if let Some(engine) = opened {
            self.deliver(&engine, &snapshot);
        } else if let (Some(engine), Some(asked)) = (&snapshot.offload, &snapshot.settings.offload)
        {
            engine.settle(asked);
        }
        turn.settle(Arc::clone(&snapshot)).await;
        let mut settled = Vec::new();
        for worker in &self.workers {
            let (done, waits) = oneshot::channel();
            let command = Command::Settle(Arc::clone(&snapshot), done);
            if worker.commands.send(command).await.is_ok() {
                settled.push(waits);
            }
        }
        for waits in settled {
            let _ended = waits.await;
        }
        self.snapshot.store(snapshot);
        Ok(())
    }

    /// Opens the room of jobs where there is none yet and settings want one.
    async fn open_jobs(
        &self,
        before: &Snapshot,
        settings: &Settings,
    ) -> Result<Option<Arc<Engine>>, ReloadError> {
        match (&before.offload, &settings.offload) {
            (Some(engine), Some(asked)) => match needs_restart(engine.settings(), asked) {
                Some(differs) => Err(ReloadError::Restart(differs)),
                None => Ok(None),
            },
            (None, Some(asked)) => {
                let asked = asked.clone();
                Ok(Some(self.read(move || open(&asked)).await??))
            }
            (_, None) => Ok(None),
        }
    }

    /// Makes settings ready to come into force; whatever fails, those before stay so.
    async fn make_ready(
        &self,
        settings: Settings,
        before: Arc<Snapshot>,
        engine: Option<Arc<Engine>>,
    ) -> Result<(Arc<Snapshot>, Turn<'_>), ReloadError> {
        let turn = self.watch.turn().await.ok_or(ReloadError::Unwatched)?;
        let cache = Arc::clone(&before.cache);
        cache.settle(&settings.cache);
        let jobs = (engine, Arc::clone(&before.carriers));
        let ready = self.read(move || Snapshot::new(settings, cache, jobs, Some(&before))).await?;
        let snapshot = Arc::new(ready?);
        let (give, runtime) = (give(&self.workers), tokio::runtime::Handle::current());
        if let (Some(engine), Some(asked)) = (&snapshot.offload, &snapshot.settings.offload) {
            let settled = snapshot.carriers.settle(asked, engine, &give, &runtime);
            settled.map_err(NotReady::Broker)?;
        }
        let needs = needs(&self.workers, &snapshot);
        snapshot.buses.settle(&snapshot.settings, &needs).map_err(NotReady::Broker)?;
        Ok((snapshot, turn))
    }

    /// Lets deliveries begin.
    fn deliver(&self, engine: &Arc<Engine>, snapshot: &Snapshot) {
        callback::remark(&snapshot.settings);
        begin(engine, &self.workers, Arc::clone(&snapshot.carriers));
    }

    /// Does what may block beside the threads that serve, and for so long only. Of work that does not
    /// come to an end one piece at most is under way.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ReloadError> {
        let turn = Arc::clone(&self.reading).try_lock_owned();
        let turn = turn.map_err(|_held| ReloadError::Unread)?;
        let reading = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(turn);
            done
        });
        match tokio::time::timeout(READ_TIME, reading).await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Ok(Err(_)) | Err(_) => Err(ReloadError::Unread),
        }
    }

    /// Accepts nothing new and waits until what is at work has ended, or the grace time has. Answers
    /// how many connections were still open then.
    pub async fn drain(&self) -> u64 {
        self.draining.store(true, Ordering::Relaxed);
        let offload = self.snapshot().offload.clone();
        if let Some(engine) = &offload {
            engine.drain();
        }
        let grace = self.snapshot().settings.grace;
        let by = Deadline::after(Moment::now(), grace);
        let closing = async {
            let mut closed = Vec::new();
            for worker in &self.workers {
                let (done, waits) = oneshot::channel();
                if worker.commands.send(Command::Drain(done)).await.is_ok() {
                    closed.push(waits);
                }
            }
            for waits in closed {
                let _ended = waits.await;
            }
        };
        let _in_time = tokio::time::timeout(grace + CLOSE_TIME, closing).await;
        loop {
            let running = offload.as_ref().map_or(0, |engine| engine.running());
            let open = self.open();
            if (open == 0 && running == 0) || by.passed(Moment::now()) {
                return open;
            }
            tokio::time::sleep(DRAIN_LOOK).await;
        }
    }

    /// Ends the threads, and waits for their end for so long at most: one that hangs ends with the
    /// process.
    pub async fn stop(self: Arc<Self>, patience: Duration) {
        let log = self.snapshot().log.clone();
        let offload = self.snapshot().offload.clone();
        let carriers = Arc::clone(&self.snapshot().carriers);
        let buses = Arc::clone(&self.snapshot().buses);
        let ending = async {
            for worker in &self.workers {
                let _ended = worker.commands.send(Command::Stop).await;
            }
            if let Some(gateway) = Arc::into_inner(self) {
                let joining = tokio::task::spawn_blocking(move || {
                    gateway.watch.join();
                    gateway.workers.into_iter().for_each(Handle::join);
                });
                let _panicked = joining.await;
            }
            carriers.close().await;
            buses.close().await;
            if let Some(engine) = offload {
                let _panicked = tokio::task::spawn_blocking(move || engine.stop()).await;
            }
            if let Some(log) = log {
                let _panicked = tokio::task::spawn_blocking(move || log.flush()).await;
            }
        };
        let _in_time = tokio::time::timeout(patience, ending).await;
    }

    /// Client connections open now.
    pub fn open(&self) -> u64 {
        self.workers.iter().map(|worker| worker.ledger.open.get()).sum()
    }

    /// What each thread counts.
    pub fn ledgers(&self) -> Vec<Arc<Ledger>> {
        self.workers.iter().map(|worker| Arc::clone(&worker.ledger)).collect()
    }

    /// When it was started.
    pub fn begun(&self) -> Moment {
        self.begun
    }

    /// Figures of the house itself, for the page of metrics.
    pub fn house(&self) -> expose::House {
        expose::House {
            version: env!("CARGO_PKG_VERSION"),
            threads: self.workers.len(),
            reloads: self.reloads.load(Ordering::Relaxed),
            reload_failures: self.reload_failures.load(Ordering::Relaxed),
            draining: self.is_draining(),
            uptime: Moment::now().since(self.begun),
        }
    }
}

/// Opens the room of jobs.
fn open(settings: &offload::settings::Settings) -> Result<Arc<Engine>, NotReady> {
    let say: offload::engine::Say = Arc::new(|text: &str| {
        monitor::log::complain(Moment::now(), format_args!("offload: {text}"));
    });
    Ok(Arc::new(Engine::start(settings, say)?))
}

/// Lets deliveries begin.
fn begin(engine: &Arc<Engine>, workers: &[Handle], carriers: Arc<Carriers>) {
    let calls = callback::start(Arc::clone(engine), &tokio::runtime::Handle::current());
    engine.attach(hands(workers, carriers, calls));
}

/// Gives each job to its broker, to the second runtime if it is a callback, or to one of the threads
/// in turn.
fn hands(workers: &[Handle], carriers: Arc<Carriers>, calls: mpsc::Sender<Parcel>) -> Hands {
    let threads: Vec<_> = workers.iter().map(|worker| worker.parcels.clone()).collect();
    let next = AtomicUsize::new(0);
    Arc::new(move |parcel: Parcel| {
        if parcel.handed {
            carriers.hand(parcel);
            return;
        }
        if callback::is_one(&parcel) {
            // The runtime has ended: the next start goes on.
            let _ended = calls.blocking_send(parcel);
            return;
        }
        let turn = next.fetch_add(1, Ordering::Relaxed) % threads.len();
        // A thread that has ended leaves its jobs to the next start.
        let _ended = threads[turn].blocking_send(Errand { parcel, reply: None });
    })
}

/// The same for what was taken from a broker.
fn give(workers: &[Handle]) -> Give {
    carry::give(workers.iter().map(|worker| worker.parcels.clone()).collect())
}

/// What buses need of the gateway.
fn needs(workers: &[Handle], snapshot: &Snapshot) -> events::Needs {
    let threads = workers.iter().map(|worker| worker.calls.clone()).collect();
    let caller = call::Caller::new(threads, snapshot.settings.offload.as_ref());
    events::Needs {
        cache: Arc::clone(&snapshot.cache),
        caller: Arc::new(caller),
        runtime: tokio::runtime::Handle::current(),
    }
}

/// What of `[offload]` only a restart can change.
fn needs_restart(
    now: &offload::settings::Settings,
    asked: &offload::settings::Settings,
) -> Option<&'static str> {
    let queues = asked.queues.clone();
    if (offload::settings::Settings { queues, ..now.clone() }) == *asked {
        return None;
    }
    Some("offload")
}

/// How often a drain looks whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(10);

/// How long the workers have to close their doors, beside the grace.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// Longest time for each of what a reload reads: the settings; certificates and the log.
const READ_TIME: Duration = Duration::from_secs(5);

/// Data-plane threads where the settings name no number.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

/// An error with all its causes, in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
