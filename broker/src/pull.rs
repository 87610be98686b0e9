//! Queues of web services that lend messages for a time: what SQS and Pub/Sub have in common.
//!
//! A receive is a call that waits at the service. It runs as a task of its own, so that whoever
//! takes may go away in the middle and loses nothing: what comes lies ready for the next take. Words
//! about messages (done, again, still) go out in batches: while calls are under way more gather.

use base::Moment;
use offload::queue::{Acknowledge, Channel, Message, QueueError, Taken, Waiting};
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// How long one receive waits at the service.
const RECEIVE: Duration = Duration::from_secs(10);
/// Calls with words that are under way at once.
const CALLS_MAX: usize = 8;
/// Words wait for their turn for so long.
const WORD: Duration = Duration::from_secs(10);

/// What is said of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    Done,
    Again,
    Still,
}

/// A message as it was lent.
#[derive(Debug)]
pub(crate) struct Lent {
    pub(crate) message: Message,
    pub(crate) times: u32,
    /// By what it is called when something is said of it.
    pub(crate) handle: String,
}

/// A service that lends messages.
pub(crate) trait Lender: Send + Sync + 'static {
    /// Most messages of a receive, and most words of a call.
    const BATCH: usize;

    /// What it is called, without secrets.
    fn name(&self) -> &str;

    /// How long it lends a message.
    fn lease(&self) -> Duration;

    /// Up to `most` messages; waits for the first, for `wait` at most.
    fn receive(
        &self,
        channel: &Channel,
        most: usize,
        wait: Duration,
    ) -> impl Future<Output = Result<Vec<Lent>, QueueError>> + Send;

    /// Says the same word of all; an answer for each.
    fn say(
        &self,
        channel: &Channel,
        word: Word,
        handles: &[String],
    ) -> impl Future<Output = Vec<Result<(), QueueError>>> + Send;
}

type Receiving = JoinHandle<Result<Vec<Lent>, QueueError>>;
type Said = (Word, String, oneshot::Sender<Result<(), QueueError>>);

/// All that is taken from a lender.
pub(crate) struct Pull<L> {
    lender: Arc<L>,
    lanes: Mutex<HashMap<Channel, Arc<Lane<L>>>>,
    closed: AtomicBool,
}

struct Lane<L> {
    lender: Arc<L>,
    channel: Channel,
    receiving: tokio::sync::Mutex<Option<Receiving>>,
    /// What came and was not taken, and when it came.
    ready: Mutex<VecDeque<(Moment, Lent)>>,
    words: Mutex<VecDeque<Said>>,
    calls: Semaphore,
    /// What was taken and nothing final was said of, with the time when that was last known.
    held: Mutex<HashMap<String, Moment>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<L: Lender> Pull<L> {
    pub(crate) fn new(lender: Arc<L>) -> Self {
        Self { lender, lanes: Mutex::default(), closed: AtomicBool::new(false) }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    fn lane(&self, channel: &Channel) -> Arc<Lane<L>> {
        let mut lanes = lock(&self.lanes);
        let make = || {
            Arc::new(Lane {
                lender: Arc::clone(&self.lender),
                channel: channel.clone(),
                receiving: tokio::sync::Mutex::default(),
                ready: Mutex::default(),
                words: Mutex::default(),
                calls: Semaphore::new(CALLS_MAX),
                held: Mutex::default(),
            })
        };
        Arc::clone(lanes.entry(channel.clone()).or_insert_with(make))
    }

    /// As [`offload::queue::Queue::take`].
    pub(crate) async fn take(
        &self,
        channel: &Channel,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Taken>, QueueError> {
        if self.is_closed() {
            let why = "closed".to_owned();
            return Err(QueueError::Away { queue: self.lender.name().to_owned(), why });
        }
        let lane = self.lane(channel);
        // What has come so far is not lost with the time.
        let filled = tokio::time::timeout(wait, lane.fill(most)).await;
        let taken = lane.hand_out(most);
        match filled {
            Ok(Err(error)) if taken.is_empty() => Err(error),
            _ => Ok(taken),
        }
    }

    /// Ends receiving, and gives back what was taken and not acknowledged.
    pub(crate) async fn close(&self) {
        self.closed.store(true, Ordering::Relaxed);
        let lanes = std::mem::take(&mut *lock(&self.lanes));
        for lane in lanes.into_values() {
            lane.close().await;
        }
    }
}

impl<L> Drop for Pull<L> {
    fn drop(&mut self) {
        for lane in lock(&self.lanes).values() {
            if let Ok(mut receiving) = lane.receiving.try_lock()
                && let Some(receiving) = receiving.take()
            {
                receiving.abort();
            }
        }
    }
}

impl<L: Lender> Lane<L> {
    /// Receives until so many are ready, or no more are there at once.
    async fn fill(self: &Arc<Self>, most: usize) -> Result<(), QueueError> {
        let mut receiving = self.receiving.lock().await;
        let fresh = |came: &Moment| Moment::now().since(*came) < self.lender.lease() / 2;
        // What lay here for too long will come again.
        lock(&self.ready).retain(|(came, _)| fresh(came));
        loop {
            let left = most.saturating_sub(lock(&self.ready).len());
            if left == 0 {
                return Ok(());
            }
            // Of what is there nobody waits for more.
            let wait = if left == most { RECEIVE } else { Duration::ZERO };
            let asked = left.min(L::BATCH);
            let task = receiving.get_or_insert_with(|| {
                let own = Arc::clone(self);
                tokio::spawn(async move { own.lender.receive(&own.channel, asked, wait).await })
            });
            let came = task.await;
            *receiving = None;
            let came = came.unwrap_or_else(|_| Ok(Vec::new()))?;
            let (count, now) = (came.len(), Moment::now());
            lock(&self.ready).extend(came.into_iter().map(|lent| (now, lent)));
            if count < asked && !lock(&self.ready).is_empty() {
                return Ok(());
            }
        }
    }

    fn hand_out(self: &Arc<Self>, most: usize) -> Vec<Taken> {
        let (mut ready, mut held) = (lock(&self.ready), lock(&self.held));
        let most = most.min(ready.len());
        let now = Moment::now();
        // What was dropped without a word is the service's again when its time is over.
        held.retain(|_, known| now.since(*known) < self.lender.lease());
        let taken = ready.drain(..most).map(|(came, lent)| {
            held.insert(lent.handle.clone(), came);
            let token = Box::new(Held { lane: Arc::clone(self), handle: lent.handle });
            Taken { message: lent.message, times: lent.times, token }
        });
        taken.collect()
    }

    /// Says a word, together with what others say meanwhile.
    async fn say(&self, word: Word, handle: String) -> Result<(), QueueError> {
        let unknown = |why: &str| QueueError::Unknown {
            queue: self.lender.name().to_owned(),
            why: why.to_owned(),
        };
        if word == Word::Still {
            lock(&self.held).entry(handle.clone()).and_modify(|known| *known = Moment::now());
        } else {
            lock(&self.held).remove(&handle);
        }
        let (tell, mut told) = oneshot::channel();
        lock(&self.words).push_back((word, handle, tell));
        let said = tokio::time::timeout(WORD, async {
            let _turn = self.calls.acquire().await;
            // Others may have said it meanwhile, or it is not yet among the oldest.
            while told.is_empty() && self.say_what_waits().await {}
            (&mut told).await
        });
        match said.await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) | Err(_) => Err(unknown("nothing came of what was said")),
        }
    }

    /// Takes a batch of words of a kind, the oldest first, and says them. False: nothing waits.
    async fn say_what_waits(&self) -> bool {
        let (word, handles, tell) = {
            let mut words = lock(&self.words);
            let Some((word, ..)) = words.front() else { return false };
            let word = *word;
            let (mut handles, mut tell, mut others) = (Vec::new(), Vec::new(), VecDeque::new());
            for said in words.drain(..) {
                if said.0 == word && handles.len() < L::BATCH {
                    handles.push(said.1);
                    tell.push(said.2);
                } else {
                    others.push_back(said);
                }
            }
            *words = others;
            (word, handles, tell)
        };
        let answers = self.lender.say(&self.channel, word, &handles).await;
        for (tell, answer) in tell.into_iter().zip(answers) {
            let _gone = tell.send(answer);
        }
        true
    }

    async fn close(&self) {
        if let Some(receiving) = self.receiving.lock().await.take() {
            receiving.abort();
            // What it had got by then comes again when its time is over.
            let _aborted = receiving.await;
        }
        let ready = std::mem::take(&mut *lock(&self.ready));
        let held = std::mem::take(&mut *lock(&self.held));
        let back: Vec<String> =
            ready.into_iter().map(|(_, lent)| lent.handle).chain(held.into_keys()).collect();
        for handles in back.chunks(L::BATCH) {
            let _come_later = self.lender.say(&self.channel, Word::Again, handles).await;
        }
    }
}

/// One message that was taken.
struct Held<L> {
    lane: Arc<Lane<L>>,
    handle: String,
}

impl<L: Lender> Acknowledge for Held<L> {
    fn done(self: Box<Self>) -> Waiting<'static, Result<(), QueueError>> {
        Box::pin(async move { self.lane.say(Word::Done, self.handle).await })
    }

    fn again(self: Box<Self>) -> Waiting<'static, Result<(), QueueError>> {
        Box::pin(async move { self.lane.say(Word::Again, self.handle).await })
    }

    fn still(&self) -> Waiting<'_, Result<(), QueueError>> {
        Box::pin(async move { self.lane.say(Word::Still, self.handle.clone()).await })
    }
}

/// The same once more: errors are told to each message.
pub(crate) fn again(error: &QueueError) -> QueueError {
    let copy = |queue: &String, why: &String| (queue.clone(), why.clone());
    match error {
        QueueError::Refused { queue, why } => {
            let (queue, why) = copy(queue, why);
            QueueError::Refused { queue, why }
        }
        QueueError::Full { queue, why } => {
            let (queue, why) = copy(queue, why);
            QueueError::Full { queue, why }
        }
        QueueError::Away { queue, why } => {
            let (queue, why) = copy(queue, why);
            QueueError::Away { queue, why }
        }
        QueueError::Unknown { queue, why } => {
            let (queue, why) = copy(queue, why);
            QueueError::Unknown { queue, why }
        }
        QueueError::TooLarge { queue, bytes, max } => {
            QueueError::TooLarge { queue: queue.clone(), bytes: *bytes, max: *max }
        }
    }
}
