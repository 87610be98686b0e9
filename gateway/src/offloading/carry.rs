//! Jobs through a broker: handed over, taken by whoever has a hand free, and the news of them.
//!
//! For each queue that a broker carries there are up to three tasks on the second runtime:
//!
//! - *hand*: what the log says is due is put into the broker; what it does not take comes back into
//!   the log, and nothing of the queue is handed over for a while;
//! - *take*: jobs of all gateways are taken, as many as the queue's limits allow, delivered on the
//!   threads of the data plane, and acknowledged when the news of them is safe;
//! - *hear*: news of jobs that were accepted here is written into the log, then acknowledged.
//!
//! The owner of a job has it in its log until it is over. So a broker that loses a message costs a
//! delay ([`REHAND`]), and one that gives it out twice a delivery with the same `Idempotency-Key`.

mod words;

use self::words::{News, Sent};
use super::deliver::{Came, Errand};
use base::Moment;
use offload::book::{Permit, Tried};
use offload::engine::{Engine, Parcel};
use offload::job::{JobId, Reason};
use offload::queue::{Channel, Message, Queue, QueueError, Taken};
use offload::record::{self, Record};
use offload::settings::{self, Away};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

/// Parcels on their way into a broker.
const HAND_MAX: usize = 1_024;
/// Most messages that are put at once.
const PUT_MAX: usize = 256;
/// How long a broker may take for them.
const PUT_TIME: Duration = Duration::from_secs(5);
/// Nothing is handed over for so long after the broker has not taken something.
const HOLD: Duration = Duration::from_secs(1);
/// How long is waited for the first message.
const TAKE_TIME: Duration = Duration::from_secs(5);
/// How long is waited before a broker that cannot be reached is asked again.
const PAUSE: Duration = Duration::from_millis(500);
/// Most messages that are taken at once.
const TAKE_MAX: usize = 64;
/// A job without news for so long, while nothing waits in the broker, is handed over again.
const REHAND: Duration = Duration::from_mins(1);
/// The same where the broker cannot say what waits in it.
const REHAND_BLINDLY: Duration = Duration::from_mins(15);
/// How often is looked for such jobs.
const LOOK: Duration = Duration::from_secs(5);
/// Jobs whose outcome is remembered, so that a second copy is not delivered.
const DONE_MAX: usize = 10_000;

/// Gives an errand to a thread of the data plane.
pub type Give = Arc<dyn Fn(Errand) -> bool + Send + Sync>;

/// The brokers of all queues.
#[derive(Default)]
pub struct Carriers {
    all: Mutex<HashMap<String, Carrier>>,
}

impl std::fmt::Debug for Carriers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Carriers")
    }
}

struct Carrier {
    url: String,
    takes: bool,
    refuses: bool,
    away: Arc<AtomicBool>,
    parcels: mpsc::Sender<Parcel>,
    tasks: Vec<JoinHandle<()>>,
    queue: Arc<dyn Queue>,
}

impl Drop for Carrier {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        let queue = Arc::clone(&self.queue);
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(async move { queue.close().await });
        }
    }
}

impl Carriers {
    fn all(&self) -> MutexGuard<'_, HashMap<String, Carrier>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Goes by these queues from now on. Must be called within the second runtime.
    ///
    /// # Errors
    /// What is wrong with a broker's URL.
    pub fn settle(
        &self,
        settings: &settings::Settings,
        engine: &Arc<Engine>,
        give: &Give,
        runtime: &Handle,
    ) -> Result<(), broker::BrokerError> {
        let mut all = self.all();
        all.retain(|name, carrier| {
            let queue = settings.queues.iter().find(|queue| queue.name == *name);
            queue.is_some_and(|queue| {
                queue.broker.as_ref() == Some(&carrier.url) && queue.takes == carrier.takes
            })
        });
        for queue in &settings.queues {
            let Some(url) = &queue.broker else { continue };
            if let Some(carrier) = all.get_mut(&queue.name) {
                carrier.refuses = queue.away == Away::Refuse;
                continue;
            }
            let options = broker::Options::new(&settings.node, &queue.name);
            let opened = broker::open(url, &options)?;
            let carrier = Carrier::start(queue, opened, engine, give, runtime);
            all.insert(queue.name.clone(), carrier);
        }
        Ok(())
    }

    /// Is the broker of this queue away, and does the queue refuse jobs then?
    pub fn refuses(&self, queue: &str) -> bool {
        let all = self.all();
        let carrier = all.get(queue);
        carrier.is_some_and(|c| c.refuses && c.away.load(Ordering::Relaxed))
    }

    /// Hands a parcel over to the broker of its queue; waits while too many are on their way.
    pub fn hand(&self, parcel: Parcel) {
        let Ok(Record::Accept(summary)) = record::read(&parcel.record) else { return };
        let parcels = self.all().get(summary.queue).map(|carrier| carrier.parcels.clone());
        if let Some(parcels) = parcels {
            // A carrier that has ended leaves its jobs to the next look for jobs without news.
            let _ended = parcels.blocking_send(parcel);
        }
    }

    /// Gives back what was taken and not acknowledged.
    pub async fn close(&self) {
        let gone: Vec<Carrier> = self.all().drain().map(|(_, carrier)| carrier).collect();
        for carrier in gone {
            carrier.tasks.iter().for_each(JoinHandle::abort);
            carrier.queue.close().await;
        }
    }
}

/// What the tasks of one queue share.
struct Lane {
    name: String,
    node: String,
    queue: Arc<dyn Queue>,
    engine: Arc<Engine>,
    give: Give,
    away: Arc<AtomicBool>,
    try_time: Duration,
    lost_max: u16,
    /// Jobs that the broker has, by what is known here, and since when.
    handed: Mutex<HashMap<JobId, Moment>>,
    /// Jobs that were taken and are delivered, or were lately.
    known: Mutex<Known>,
    /// A delivery has ended.
    freed: Notify,
}

/// Tries that were taken here.
#[derive(Default)]
struct Known {
    running: HashSet<(JobId, u16)>,
    done: HashSet<(JobId, u16)>,
    order: std::collections::VecDeque<(JobId, u16)>,
}

impl Carrier {
    fn start(
        settings: &settings::Queue,
        queue: Arc<dyn Queue>,
        engine: &Arc<Engine>,
        give: &Give,
        runtime: &Handle,
    ) -> Self {
        let (parcels, inbox) = mpsc::channel(HAND_MAX);
        let away = Arc::new(AtomicBool::new(true));
        let lane = Arc::new(Lane {
            name: settings.name.clone(),
            node: engine.settings().node.clone(),
            queue: Arc::clone(&queue),
            engine: Arc::clone(engine),
            give: Arc::clone(give),
            away: Arc::clone(&away),
            try_time: settings.try_time,
            lost_max: settings.retry.lost_max,
            handed: Mutex::default(),
            known: Mutex::default(),
            freed: Notify::new(),
        });
        let mut tasks = vec![runtime.spawn(Arc::clone(&lane).run(inbox, settings.takes))];
        tasks.push(runtime.spawn(Arc::clone(&lane).look_for_lost()));
        Self {
            url: settings.broker.clone().unwrap_or_default(),
            takes: settings.takes,
            refuses: settings.away == Away::Refuse,
            away,
            parcels,
            tasks,
            queue,
        }
    }
}

impl Lane {
    fn say(&self, text: &str) {
        let name = &self.name;
        monitor::log::complain(Moment::now(), format_args!("queue {name}: {text}"));
    }

    fn handed(&self) -> MutexGuard<'_, HashMap<JobId, Moment>> {
        self.handed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the broker, then does all three.
    async fn run(self: Arc<Self>, inbox: mpsc::Receiver<Parcel>, takes: bool) {
        let handing = Arc::clone(&self).hand(inbox);
        let ready = async {
            self.until_ready().await;
            let taking = async {
                if takes {
                    Arc::clone(&self).take().await;
                }
            };
            tokio::join!(taking, self.hear());
        };
        tokio::join!(handing, ready);
    }

    async fn until_ready(&self) {
        let mut told = false;
        loop {
            match self.queue.ready().await {
                Ok(warnings) => {
                    for warning in warnings {
                        self.say(&warning);
                    }
                    self.away.store(false, Ordering::Relaxed);
                    return;
                }
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        self.say(&error.to_string());
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Puts what is due into the broker.
    async fn hand(self: Arc<Self>, mut inbox: mpsc::Receiver<Parcel>) {
        let mut parcels = Vec::new();
        let mut told = String::new();
        while inbox.recv_many(&mut parcels, PUT_MAX).await > 0 {
            let now = Moment::now();
            self.handed().extend(parcels.iter().map(|parcel| (parcel.id, now)));
            let messages = parcels.iter().map(|parcel| self.message(parcel)).collect();
            let put = self.queue.put(&Channel::Jobs, messages, PUT_TIME).await;
            let mut failed = None;
            for (parcel, put) in parcels.drain(..).zip(put) {
                match put {
                    Ok(()) => {}
                    Err(error @ QueueError::TooLarge { .. }) => {
                        self.say(&format!("job {}: {error}", parcel.id));
                        self.handed().remove(&parcel.id);
                        let tried = Tried::Failed(Reason::NotTaken);
                        let noted = self.engine.tried(parcel.id, parcel.attempt, tried, Vec::new());
                        let _closed = noted.await;
                    }
                    Err(error) => {
                        self.handed().remove(&parcel.id);
                        self.engine.give_back(parcel.id, HOLD);
                        failed = Some(error);
                    }
                }
            }
            let is_away = failed.is_some();
            self.away.store(is_away, Ordering::Relaxed);
            if let Some(error) = failed {
                self.hold();
                let why = error.to_string();
                if told != why {
                    self.say(&format!("{why}; its jobs wait in the log"));
                }
                told = why;
            } else if !told.is_empty() {
                told.clear();
                self.say("the broker takes jobs again");
            }
        }
    }

    /// Nothing of the queue is handed over for a while.
    fn hold(&self) {
        let until = Moment::now().wall_ms() + HOLD;
        self.engine.with_book(|book| {
            if let Some(queue) = book.queue(&self.name) {
                book.hold(queue, until);
            }
        });
    }

    fn message(&self, parcel: &Parcel) -> Message {
        let Parcel { id, attempt, record, request, .. } = parcel;
        let (order, route) = match record::read(record) {
            Ok(Record::Accept(summary)) => (summary.order, summary.route.to_owned()),
            _ => (0, String::new()),
        };
        let sent = Sent { owner: &self.node, attempt: *attempt, record, request };
        Message {
            // A try is a message: the broker's own memory of ids must not swallow the next one.
            id: format!("{id}.{attempt}"),
            key: if order == 0 { String::new() } else { format!("{order:016x}") },
            fields: vec![
                ("fleetfoot-job", id.to_string()),
                ("fleetfoot-attempt", attempt.to_string()),
                ("fleetfoot-owner", self.node.clone()),
                ("fleetfoot-route", route),
            ],
            payload: sent.bytes().into(),
        }
    }

    /// Takes jobs of all gateways and delivers them.
    async fn take(self: Arc<Self>) {
        loop {
            let permit = self.permit().await;
            let taken = self.queue.take(&Channel::Jobs, 1, TAKE_TIME).await;
            if let Ok(taken) = taken {
                let mut permit = Some(permit);
                for one in taken {
                    let permit = match permit.take() {
                        Some(permit) => permit,
                        None => self.permit().await,
                    };
                    tokio::spawn(Arc::clone(&self).deliver(one, permit));
                }
                if let Some(permit) = permit {
                    self.returned(permit, None);
                }
            } else {
                self.returned(permit, None);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Waits until another delivery may begin.
    async fn permit(&self) -> Permit {
        loop {
            let freed = self.freed.notified();
            let now = Moment::now().wall_ms();
            let permitted = self.engine.with_book(|book| match book.queue(&self.name) {
                Some(queue) => book.permit(queue, now),
                None => Err(None),
            });
            let until = match permitted {
                Ok(permit) => return permit,
                Err(until) => until.map_or(LOOK, |until| until.since(now)),
            };
            let until = until.clamp(Duration::from_millis(1), LOOK);
            let _either = tokio::time::timeout(until, freed).await;
        }
    }

    fn returned(&self, permit: Permit, tried: Option<&Tried>) {
        let now = Moment::now().wall_ms();
        self.engine.with_book(|book| book.returned(permit, tried, now));
        self.freed.notify_one();
    }

    /// Delivers one job, tells its owner, and only then acknowledges it.
    async fn deliver(self: Arc<Self>, taken: Taken, permit: Permit) {
        let Taken { message, times, token } = taken;
        let Some(sent) = Sent::read(&message.payload) else {
            self.say(&format!("message {} is no job; it is dropped", message.id));
            self.returned(permit, None);
            let _again = token.done().await;
            return;
        };
        let (owner, parcel) = sent.parcel(&message.payload);
        let which = (parcel.id, parcel.attempt);
        if !self.begins(which) {
            // A second copy of what is being delivered, or was: the first acknowledges itself.
            self.returned(permit, None);
            let _again = token.done().await;
            return;
        }
        let came = if times > u32::from(self.lost_max) + 1 {
            Some(Came { tried: Tried::Failed(Reason::Poison), answer: Vec::new() })
        } else {
            self.ask(parcel, &*token).await
        };
        let Some(came) = came else {
            self.ends(which, false);
            self.returned(permit, None);
            let _again = token.again().await;
            return;
        };
        self.returned(permit, Some(&came.tried));
        let told = self.tell(&owner, which, came).await;
        self.ends(which, told);
        let _again = if told { token.done().await } else { token.again().await };
    }

    /// Makes one try on a thread of the data plane; meanwhile the broker is told that it goes on.
    async fn ask(&self, parcel: Parcel, token: &dyn offload::queue::Acknowledge) -> Option<Came> {
        let (reply, came) = oneshot::channel();
        if !(self.give)(Errand { parcel, reply: Some(reply) }) {
            return None;
        }
        let every = self.queue.capabilities().lease.map_or(LOOK, |lease| lease / 3);
        tokio::pin!(came);
        loop {
            match tokio::time::timeout(every, &mut came).await {
                Ok(came) => return came.ok(),
                Err(_) => {
                    let _best_effort = token.still().await;
                }
            }
        }
    }

    /// Tells the owner of a job what came of a try; is it safe now?
    async fn tell(&self, owner: &str, (id, attempt): (JobId, u16), came: Came) -> bool {
        if owner == self.node {
            self.handed().remove(&id);
            let noted = self.engine.tried(id, attempt, came.tried, came.answer);
            return noted.await.is_ok();
        }
        let news = News { id, attempt, tried: came.tried, answer: came.answer };
        let message = Message {
            id: format!("{id}.{attempt}.news"),
            key: String::new(),
            fields: vec![("fleetfoot-job", id.to_string())],
            payload: news.bytes().into(),
        };
        let channel = Channel::News(owner.to_owned());
        for _ in 0..PUT_AGAIN {
            let put = self.queue.put(&channel, vec![message.clone()], PUT_TIME).await;
            match put.into_iter().next() {
                Some(Ok(())) => return true,
                Some(Err(QueueError::TooLarge { .. })) => {
                    let news = News { answer: Vec::new(), ..news };
                    let message = Message { payload: news.bytes().into(), ..message };
                    let put = self.queue.put(&channel, vec![message], PUT_TIME).await;
                    return matches!(put.first(), Some(Ok(())));
                }
                _ => tokio::time::sleep(PAUSE).await,
            }
        }
        false
    }

    fn begins(&self, which: (JobId, u16)) -> bool {
        let mut known = self.known();
        !known.done.contains(&which) && known.running.insert(which)
    }

    fn ends(&self, which: (JobId, u16), done: bool) {
        let mut known = self.known();
        known.running.remove(&which);
        if done && known.done.insert(which) {
            known.order.push_back(which);
            if known.order.len() > DONE_MAX
                && let Some(oldest) = known.order.pop_front()
            {
                known.done.remove(&oldest);
            }
        }
    }

    /// Hears what came of jobs that were accepted here.
    async fn hear(&self) {
        let channel = Channel::News(self.node.clone());
        loop {
            let Ok(taken) = self.queue.take(&channel, TAKE_MAX, TAKE_TIME).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let mut noting = Vec::new();
            for Taken { message, token, .. } in taken {
                let noted = if let Some(News { id, attempt, tried, answer }) =
                    News::read(&message.payload)
                {
                    self.handed().remove(&id);
                    Some(self.engine.tried(id, attempt, tried, answer))
                } else {
                    self.say(&format!("message {} is no news; it is dropped", message.id));
                    None
                };
                noting.push((noted, token));
            }
            for (noted, token) in noting {
                let safe = match noted {
                    Some(noted) => noted.await.is_ok(),
                    None => true,
                };
                let _again = if safe { token.done().await } else { token.again().await };
            }
        }
    }

    /// Looks for jobs of which there is no news although nothing waits any more.
    async fn look_for_lost(self: Arc<Self>) {
        let begun = Moment::now();
        for id in self.engine.handed(&self.name) {
            self.handed().entry(id).or_insert(begun);
        }
        loop {
            tokio::time::sleep(LOOK).await;
            let now = Moment::now();
            let patience = REHAND + self.try_time;
            let old = |since: &Moment| now.since(*since) > patience;
            if !self.handed().values().any(old) {
                continue;
            }
            let waiting = self.queue.waiting(&Channel::Jobs).await;
            let patience = match waiting {
                Some(0) => patience,
                Some(_) => continue,
                None => REHAND_BLINDLY + self.try_time,
            };
            let lost: Vec<JobId> = {
                let handed = self.handed();
                let old = handed.iter().filter(|(_, since)| now.since(**since) > patience);
                old.map(|(id, _)| *id).take(PUT_MAX).collect()
            };
            for id in lost {
                self.handed().remove(&id);
                self.engine.give_back(id, Duration::ZERO);
            }
        }
    }
}

/// How often news is put before its job is given back.
const PUT_AGAIN: usize = 20;

/// Gives errands to the threads of the data plane in turn.
pub fn give(threads: Vec<mpsc::Sender<Errand>>) -> Give {
    let next = AtomicUsize::new(0);
    Arc::new(move |errand| {
        let turn = next.fetch_add(1, Ordering::Relaxed) % threads.len();
        threads[turn].try_send(errand).is_ok()
    })
}
