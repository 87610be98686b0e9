//! The room at work: the log's thread, the store's, those that read what is to be delivered.
//!
//! | thread | what it does |
//! | --- | --- |
//! | `offload-log` | takes all that was asked, makes it one batch, waits for the disk, tells who waits |
//! | `offload-store` | writes jobs that are over into the store, asks for their callbacks, forgets |
//! | `offload-read` (two) | read requests from the log and give them to whoever delivers |
//! | `offload-room` | makes segments ready, so that the log's thread never has to |
//!
//! There is no timer between a request and the disk: alone it waits for one sync, and with others
//! they share one. Nobody waits for a lock that is held over a sync.

mod store;
mod watchers;

pub use watchers::Watched;

use watchers::Watchers;

use crate::book::{Book, Cursor, Filter, JobView, Picked, Place, Tried};
use crate::callback;
pub use crate::callback::CALLBACKS;
use crate::cold::{Cold, ColdError, Over};
use crate::core::{self, Accepted, Ask, Cancelled, Core, Effects, Ended, Held, New, lock};
use crate::figures::Figures;
use crate::job::{JobId, Minter, Node, Reason};
use crate::log::{Keeper, LogError, Options, Reader, RealDisk, Record as Whole};
use crate::settings::Settings;
use base::{Moment, Wall};
use bytes::Bytes;
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tokio::sync::oneshot;

/// A job on its way to whoever delivers it.
#[derive(Clone, Debug)]
pub struct Parcel {
    /// Which job.
    pub id: JobId,
    /// Which try.
    pub attempt: u16,
    /// Its first record.
    pub record: Bytes,
    /// Its request.
    pub request: Bytes,
    /// It goes to the broker of its queue.
    pub handed: bool,
}

/// Takes a parcel; may block while there are too many.
pub type Hands = Arc<dyn Fn(Parcel) + Send + Sync>;

/// What is known of a job.
#[derive(Clone, Debug)]
pub enum Look {
    /// It lives.
    Live(JobView),
    /// It is over.
    Over(Arc<Over>),
}

/// Why the room cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The log.
    #[error("cannot open the log of jobs (`store` of [offload])")]
    Log(#[from] LogError),
    /// The store.
    #[error(transparent)]
    Cold(#[from] ColdError),
    /// The directory or the secret in it.
    #[error("cannot use the directory {path} (`store` of [offload])")]
    Directory {
        /// Which.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A thread.
    #[error("cannot start a thread of [offload]")]
    Thread(#[source] io::Error),
}

/// Jobs that are over and not in the store yet beyond which no delivery begins.
const RECENT_MAX: usize = 100_000;
/// Jobs between the log and the readers.
const BEGUN_MAX: usize = 4_096;
/// Jobs that are over between the log and the store; more wait in the log's thread.
const ENDED_MAX: usize = 65_536;
/// How often is looked for what can be freed, forgotten or made ready.
const TIDY: Duration = Duration::from_millis(250);
/// How often a store that fails is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// Most jobs that are listed at once.
const LIST_MAX: usize = 1_000;
/// Threads that read.
const READERS: usize = 2;

#[derive(Default)]
struct Inbox {
    asks: VecDeque<Ask>,
    wakes: bool,
    stopping: bool,
}

struct Shared {
    settings: Settings,
    inbox: Mutex<Inbox>,
    wake: Condvar,
    held: Mutex<Held>,
    watchers: Arc<Watchers>,
    cold: Cold,
    reader: Reader,
    minter: Minter,
    node: Node,
    /// The last record that is in the store: segment and offset; all ones: none.
    applied: AtomicU64,
    closed: OnceLock<String>,
    hands: OnceLock<Hands>,
    draining: AtomicBool,
    stopped: AtomicBool,
    low: AtomicBool,
    figures: Figures,
    say: Say,
}

/// How the room tells the operator.
pub type Say = Arc<dyn Fn(&str) + Send + Sync>;

/// The room.
pub struct Engine {
    shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine").field("store", &self.shared.settings.store).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens the room: reads the log, starts the threads. Nothing is delivered before
    /// [`Engine::attach`].
    ///
    /// # Errors
    /// What could not be had.
    pub fn start(settings: &Settings, say: Say) -> Result<Self, StartError> {
        let begun = Moment::now();
        let directory = &settings.store;
        let failed =
            |source| StartError::Directory { path: directory.display().to_string(), source };
        let disk = RealDisk::at(directory, settings.durability)?;
        let options = Options::new(settings.bytes_max.0);
        let queues = callback::with_queue(&settings.queues);
        let mut book = Book::new(&queues, core::limits(settings));
        let cold = Cold::open(directory)?;
        let applied_before = cold.applied()?;
        let seed = fastrand::u64(..);
        let (core, found) = Core::open(disk, &options, settings, &mut book, applied_before, seed)?;
        if let Some(applied) = found.applied.filter(|_| found.applied != applied_before) {
            cold.write(&[], &[], applied)?;
        }
        let now = Moment::now().wall_ms();
        cold.claims(now, |c| book.claim(c.claim, c.print, c.id, c.until))?;
        let secret = match &settings.secret {
            Some(secret) => secret.clone().into_bytes(),
            None => secret(directory).map_err(failed)?,
        };
        book.recovered(now);
        let reader = core.log().reader();
        let keeper = core.log().keeper();
        tell_found(&found, book.len(), Moment::now().since(begun), &say);
        let shared = Arc::new(Shared {
            settings: settings.clone(),
            inbox: Mutex::default(),
            wake: Condvar::new(),
            held: Mutex::new(Held { book, recent: HashMap::new() }),
            watchers: Arc::default(),
            cold,
            reader,
            minter: Minter::new(&secret),
            node: Node::named(&settings.node),
            applied: AtomicU64::new(found.applied.map_or(u64::MAX, pack)),
            closed: OnceLock::new(),
            hands: OnceLock::new(),
            draining: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            low: AtomicBool::new(false),
            figures: Figures::default(),
            say,
        });
        // Whoever asks for one of those is answered before the store has it.
        for job in &found.ended {
            let (whole, ..) = shared.whole(job);
            let told = Arc::new(Over { request: None, ..whole });
            lock(&shared.held).recent.insert(job.id, told);
        }
        let (begun_in, begun_out) = sync_channel(BEGUN_MAX);
        let (ended_in, ended_out) = sync_channel(ENDED_MAX);
        let begun_out = Arc::new(Mutex::new(begun_out));
        let mut threads = Vec::new();
        let mut spawn = |name: &str, run: Box<dyn FnOnce() + Send>| {
            let thread = thread::Builder::new().name(name.to_owned()).spawn(run);
            thread.map(|thread| threads.push(thread)).map_err(StartError::Thread)
        };
        let mine = Arc::clone(&shared);
        spawn("offload-store", Box::new(move || mine.keep_store(&ended_out, found.ended)))?;
        for _ in 0..READERS {
            let (mine, from) = (Arc::clone(&shared), Arc::clone(&begun_out));
            spawn("offload-read", Box::new(move || mine.read_parcels(&from)))?;
        }
        let mine = Arc::clone(&shared);
        spawn("offload-room", Box::new(move || mine.keep_room(&keeper)))?;
        let mine = Arc::clone(&shared);
        spawn("offload-log", Box::new(move || mine.keep_log(core, &begun_in, &ended_in)))?;
        Ok(Self { shared, threads: Mutex::new(threads) })
    }

    /// Lets deliveries begin.
    pub fn attach(&self, hands: Hands) {
        let _there_before = self.shared.hands.set(hands);
        self.shared.nudge();
    }

    /// Asks for a request to be kept; answered when it is durable.
    pub fn accept(&self, mut new: Box<New>, request: Vec<u8>) -> oneshot::Receiver<Accepted> {
        let (reply, answer) = oneshot::channel();
        new.asked = Some(Moment::now());
        if let Some(why) = self.shared.closed.get() {
            let broken = Accepted::Broken(why.clone());
            self.shared.figures.turned_away(&broken);
            let _nobody = reply.send(broken);
        } else if self.shared.low.load(Ordering::Relaxed) {
            self.shared.figures.turned_away(&Accepted::DiskFull);
            let _nobody = reply.send(Accepted::DiskFull);
        } else {
            self.shared.ask(Ask::Accept { new, request, reply });
        }
        answer
    }

    /// Tells what came of a try.
    pub fn tried(
        &self,
        id: JobId,
        attempt: u16,
        tried: Tried,
        answer: Vec<u8>,
    ) -> oneshot::Receiver<()> {
        let (reply, noted) = oneshot::channel();
        self.shared.ask(Ask::Tried { id, attempt, tried, answer, reply: Some(reply) });
        noted
    }

    /// Takes a job back, if it is not being delivered.
    pub fn cancel(&self, id: JobId) -> oneshot::Receiver<Cancelled> {
        let (reply, answer) = oneshot::channel();
        if self.shared.closed.get().is_some() {
            let _nobody = reply.send(Cancelled::Broken);
        } else {
            self.shared.ask(Ask::Cancel { id, reply });
        }
        answer
    }

    /// Makes a job that waits due now; was there one?
    pub fn hurry(&self, id: JobId) -> oneshot::Receiver<bool> {
        let (reply, answer) = oneshot::channel();
        self.shared.ask(Ask::Hurry { id, reply });
        answer
    }

    /// A job that was handed to a broker is not there: it is handed over again, after a pause.
    pub fn give_back(&self, id: JobId, pause: Duration) {
        self.shared.ask(Ask::GiveBack { id, pause });
    }

    /// The jobs of a queue that its broker has.
    pub fn handed(&self, queue: &str) -> Vec<JobId> {
        let now = Moment::now().wall_ms();
        let mut ids = Vec::new();
        let mut from = Some(Cursor::default());
        while let Some(cursor) = from {
            let page = self.with_book(|book| {
                let filter = Filter { queue: book.queue(queue), state: None };
                book.list(filter, cursor, LIST_MAX, now)
            });
            ids.extend(page.jobs.iter().filter(|job| job.handed).map(|job| job.id));
            from = page.next;
        }
        ids
    }

    /// What is known of a job in memory; `None`: ask [`Engine::stored`].
    pub fn look(&self, id: JobId) -> Option<Look> {
        let held = lock(&self.shared.held);
        match held.book.view(id, Moment::recent().wall_ms()) {
            Some(view) => Some(Look::Live(view)),
            None => held.recent.get(&id).map(|over| Look::Over(Arc::clone(over))),
        }
    }

    /// What the store knows of a job; waits for the disk.
    ///
    /// # Errors
    /// The store's.
    pub fn stored(&self, id: JobId) -> Result<Option<Over>, ColdError> {
        self.shared.cold.get(id)
    }

    /// The store itself; its calls wait for the disk.
    pub fn store(&self) -> &Cold {
        &self.shared.cold
    }

    /// Jobs that are over and not in the store yet, behind this one in the order of ids.
    pub fn recent(&self, after: JobId) -> Vec<Arc<Over>> {
        let held = lock(&self.shared.held);
        let mut recent: Vec<_> =
            held.recent.values().filter(|over| over.id > after).map(Arc::clone).collect();
        drop(held);
        recent.sort_unstable_by_key(|over| over.id);
        recent
    }

    /// The first record of a job that lives, and its request; waits for the disk. `None`: it is gone
    /// meanwhile, or damaged.
    pub fn request(&self, place: Place) -> Option<(Bytes, Bytes)> {
        let read = self.shared.reader.read(core::position(place), core::length(place)).ok()?;
        Some((read.summary, read.bulk))
    }

    /// Is told whenever the job's state changes, as long as the answer is kept.
    pub fn watch(&self, id: JobId) -> Watched {
        self.shared.watchers.watch(id)
    }

    /// Hands out what is known of all jobs, under its lock: be brief.
    pub fn with_book<T>(&self, with: impl FnOnce(&mut Book) -> T) -> T {
        with(&mut lock(&self.shared.held).book)
    }

    /// The tokens of status addresses.
    pub fn minter(&self) -> &Minter {
        &self.shared.minter
    }

    /// Who this gateway is among those that share a queue.
    pub fn node(&self) -> Node {
        self.shared.node
    }

    /// What it was started with.
    pub fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    /// What it counts.
    pub fn figures(&self) -> &Figures {
        &self.shared.figures
    }

    /// Why it is closed, if it is.
    pub fn closed(&self) -> Option<&str> {
        self.shared.closed.get().map(String::as_str)
    }

    /// Has the disk too little room?
    pub fn is_low(&self) -> bool {
        self.shared.low.load(Ordering::Relaxed)
    }

    /// Goes by other queues from now on.
    pub fn settle(&self, settings: &Settings) {
        let queues = callback::with_queue(&settings.queues);
        self.shared.ask(Ask::Settle(queues, core::limits(settings)));
    }

    /// Begins no delivery any more.
    pub fn drain(&self) {
        self.shared.draining.store(true, Ordering::Relaxed);
    }

    /// Deliveries under way here.
    pub fn running(&self) -> usize {
        self.with_book(|book| book.stats(Moment::now().wall_ms()).iter().map(|s| s.running).sum())
    }

    /// Ends the threads when all that was asked is durable.
    pub fn stop(&self) {
        self.drain();
        self.shared.inbox().stopping = true;
        self.shared.wake.notify_all();
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            let _panicked = thread.join();
        }
    }
}

impl Shared {
    fn inbox(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the log's thread. When that has ended, whoever waits for an answer finds that none comes.
    fn ask(&self, ask: Ask) {
        let mut inbox = self.inbox();
        if self.stopped.load(Ordering::Acquire) {
            return;
        }
        inbox.asks.push_back(ask);
        let wakes = std::mem::replace(&mut inbox.wakes, true);
        drop(inbox);
        if !wakes {
            self.wake.notify_all();
        }
    }

    fn nudge(&self) {
        self.inbox().wakes = true;
        self.wake.notify_all();
    }

    /// Waits for something to be asked, for so long at most; is it time to stop?
    fn wait(&self, patience: Duration, asks: &mut VecDeque<Ask>) -> bool {
        let mut inbox = self.inbox();
        if !inbox.wakes && !inbox.stopping && !patience.is_zero() {
            let waited = self
                .wake
                .wait_timeout_while(inbox, patience, |inbox| !inbox.wakes && !inbox.stopping);
            inbox = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        inbox.wakes = false;
        asks.append(&mut inbox.asks);
        inbox.stopping
    }

    fn applied(&self) -> Option<(u32, u32)> {
        let applied = self.applied.load(Ordering::Acquire);
        (applied != u64::MAX).then_some(((applied >> 32) as u32, applied as u32))
    }

    /// The log's thread.
    fn keep_log(
        &self,
        mut core: Core<RealDisk>,
        begun: &SyncSender<Picked>,
        ended: &SyncSender<Ended>,
    ) {
        let mut asks = VecDeque::new();
        let mut backlog = VecDeque::new();
        let mut effects = Effects::default();
        let mut patience = Duration::ZERO;
        let mut tidies = Moment::now();
        loop {
            let stopping = self.wait(patience, &mut asks);
            let now = Moment::now();
            let wall = now.wall_ms();
            let room = lock(&self.held).recent.len() < RECENT_MAX && backlog.is_empty();
            let deliver =
                room && self.hands.get().is_some() && !self.draining.load(Ordering::Relaxed);
            let turned = core.turn(&self.held, &mut asks, (wall, deliver), &mut effects);
            // Whoever waits is told before anything is tidied.
            self.follow(&mut effects, begun, ended, &mut backlog);
            let mut result = turned;
            if result.is_ok() && now >= tidies {
                tidies = now + TIDY;
                self.figures.log_bytes.store(core.log().bytes_used(), Ordering::Relaxed);
                self.look_at_room(&core);
                result = core.tidy(&self.held, self.applied(), &mut effects).map(|more| {
                    if more {
                        tidies = now;
                    }
                });
            }
            self.follow(&mut effects, begun, ended, &mut backlog);
            if let Err(core::Broken(why)) = result {
                self.close(&why, &mut asks);
                return;
            }
            // Without room on the disk nothing goes on, however much waits, and trying is no use.
            let behind = !core.is_stuck() && (core.is_behind() || !asks.is_empty());
            if stopping && !behind && self.has_stopped() {
                return;
            }
            patience = if behind {
                Duration::ZERO
            } else if core.is_stuck() || !backlog.is_empty() {
                TIDY
            } else {
                self.patience(wall, deliver)
            };
        }
    }

    /// How long nothing will happen by itself.
    fn patience(&self, now: Wall, deliver: bool) -> Duration {
        let held = lock(&self.held);
        let pick = if deliver { held.book.next_wake(now) } else { None };
        let next = pick.into_iter().chain(held.book.next_ending()).min();
        next.map_or(TIDY, |next| next.since(now).clamp(Duration::from_millis(1), TIDY))
    }

    /// Acts on what a turn has done.
    fn follow(
        &self,
        effects: &mut Effects,
        begun: &SyncSender<Picked>,
        ended: &SyncSender<Ended>,
        backlog: &mut VecDeque<Ended>,
    ) {
        self.figures.turned(effects, Moment::now());
        effects.tell();
        for job in effects.begun.drain(..) {
            let _stopped = begun.send(job);
        }
        backlog.extend(effects.ended.drain(..));
        while let Some(next) = backlog.pop_front() {
            if let Err(TrySendError::Full(next) | TrySendError::Disconnected(next)) =
                ended.try_send(next)
            {
                backlog.push_front(next);
                break;
            }
        }
        if !effects.changed.is_empty() {
            self.watchers.tell(effects.changed.drain(..));
        }
    }

    /// The disk failed: whoever asks from now on is told why.
    fn close(&self, why: &str, asks: &mut VecDeque<Ask>) {
        let _first = self.closed.set(why.to_owned());
        (self.say)(&format!(
            "the log of jobs is closed, because {why}; what was accepted is kept, and is delivered \
             after a restart"
        ));
        loop {
            let stopping = self.wait(AGAIN, asks);
            for ask in asks.drain(..) {
                match ask {
                    Ask::Accept { reply, .. } => {
                        let _gone = reply.send(Accepted::Broken(why.to_owned()));
                    }
                    Ask::Cancel { reply, .. } => {
                        let _gone = reply.send(Cancelled::Broken);
                    }
                    Ask::Tried { .. }
                    | Ask::GiveBack { .. }
                    | Ask::Hurry { .. }
                    | Ask::Settle(..) => {}
                }
            }
            if stopping && self.has_stopped() {
                return;
            }
        }
    }

    /// Takes nothing more, if nothing waits. Under one lock with [`Shared::ask`], so that no ask is left
    /// behind whose end somebody waits for.
    fn has_stopped(&self) -> bool {
        let inbox = self.inbox();
        let ends = inbox.asks.is_empty();
        if ends {
            self.stopped.store(true, Ordering::Release);
        }
        ends
    }

    /// A thread that reads what is to be delivered.
    fn read_parcels(&self, from: &Mutex<Receiver<Picked>>) {
        loop {
            let next = from.lock().unwrap_or_else(PoisonError::into_inner).recv();
            let Ok(Picked { id, place, attempt, hand: handed, .. }) = next else { return };
            let read = core::fetch(&self.reader, &self.held, id, place);
            match (read, self.hands.get()) {
                (Ok(Whole { summary: record, bulk: request }), Some(hands)) => {
                    hands(Parcel { id, attempt, record, request, handed });
                }
                (Err(error), _) => {
                    (self.say)(&format!("job {id}: its request cannot be read: {error}"));
                    let (tried, answer) = (Tried::Failed(Reason::Damaged), Vec::new());
                    self.ask(Ask::Tried { id, attempt, tried, answer, reply: None });
                }
                (Ok(_), None) => {}
            }
        }
    }

    /// The thread that makes segments ready.
    fn keep_room(&self, keeper: &Keeper<RealDisk>) {
        let mut told = String::new();
        keeper.run(|error| {
            let failed = error.to_string();
            if failed != told {
                (self.say)(&format!("a segment of the log cannot be made ready: {failed}"));
            }
            told = failed;
        });
    }

    /// Looks whether the disk has room.
    fn look_at_room(&self, core: &Core<RealDisk>) {
        let free_min = self.settings.free_min;
        let low = core.log().free_space().is_ok_and(|free| free < free_min.0);
        if low != self.low.swap(low, Ordering::Relaxed) {
            (self.say)(&if low {
                format!("the disk has less than {free_min} left: nothing more is accepted")
            } else {
                "the disk has room again".to_owned()
            });
        }
    }
}

fn pack((segment, offset): (u32, u32)) -> u64 {
    u64::from(segment) << 32 | u64::from(offset)
}

/// The secret of a store: made once.
fn secret(directory: &Path) -> io::Result<Vec<u8>> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = directory.join("secret");
    match std::fs::read(&path) {
        Ok(secret) if secret.len() >= 32 => return Ok(secret),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let mut secret = vec![0; 32];
    ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut secret)
        .map_err(|_| io::Error::other("the system gives no random bytes"))?;
    let new = directory.join("secret.new");
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    std::fs::rename(&new, &path)?;
    std::fs::File::open(directory)?.sync_all()?;
    Ok(secret)
}

fn tell_found(found: &core::Found, jobs: usize, took: Duration, say: &Say) {
    if jobs > 0 || !found.ended.is_empty() {
        say(&format!("{jobs} jobs are waiting; the log was read in {} ms", took.as_millis()));
    }
    for damage in &found.log.quarantined {
        let (at, why) = (damage.position, damage.why.name());
        say(&format!("segment {} of the log, byte {}: {why}", at.segment, at.offset));
    }
    if found.unread > 0 {
        say(&format!("{} records of the log say nothing this version knows", found.unread));
    }
}
