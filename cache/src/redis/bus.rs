//! How gateways tell each other what was purged, through Redis ([`crate::shared`] has the promise).
//!
//! One task owns the link. While there is one it numbers purges, hears those of others, and beats;
//! while there is none it keeps purges (up to [`KEPT_MAX`], then one of everything) and answers
//! their callers at once. Connecting ends with reading what was missed. Waiting for other gateways
//! is a task of its own, so that two gateways that purge at once do not wait for each other.

use super::link::{Connection, Door};
use super::script::{self, Keys, LOG_MAX, News};
use crate::settings::Redis;
use crate::shared::Reached;
use crate::shared::trust::Trust;
use crate::stamps::{Aims, Purge, Stamps};
use crate::tier::Say;
use base::{Deadline, Moment};
use futures_util::StreamExt;
use redis::aio::PubSub;
use redis::{ErrorKind, RedisError, RedisResult, pipe};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

/// Purges that wait to be numbered; what does not fit is kept as one of everything.
const ORDERS_MAX: usize = 4_096;
/// Purges numbered in one go.
const ORDERS_AT_ONCE: usize = 64;
/// Purges kept while there is no link.
const KEPT_MAX: usize = 10_000;
/// Messages taken in one go.
const NEWS_AT_ONCE: usize = 256;
/// Pause between heartbeats.
const BEAT: Duration = Duration::from_millis(200);
/// Longest time for anything the bus asks; beyond it the link counts as lost.
const ANSWER_TIME: Duration = Duration::from_millis(300);
/// Longest time to read what was missed.
const CATCH_UP_TIME: Duration = Duration::from_secs(10);
/// Longest wait for other gateways to have heard of a purge.
const REACH_TIME: Duration = Duration::from_millis(300);

struct Order {
    aims: Aims,
    answer: oneshot::Sender<Reached>,
}

/// The bus.
#[derive(Debug)]
pub(crate) struct Bus {
    orders: mpsc::Sender<Order>,
    overrun: Arc<AtomicBool>,
    stamps: Arc<Stamps>,
    trust: Arc<Trust>,
}

impl Bus {
    pub(crate) fn start(
        settings: Redis,
        stamps: Arc<Stamps>,
        trust: Arc<Trust>,
        runtime: &Handle,
        say: Say,
    ) -> Self {
        Self::start_with(settings, (stamps, trust), runtime, say, LOG_MAX)
    }

    pub(crate) fn start_with(
        settings: Redis,
        (stamps, trust): (Arc<Stamps>, Arc<Trust>),
        runtime: &Handle,
        say: Say,
        log_max: usize,
    ) -> Self {
        let (orders, inbox) = mpsc::channel(ORDERS_MAX);
        let overrun = Arc::new(AtomicBool::new(false));
        let task = Task {
            keys: Arc::new(Keys::new(&settings.prefix, log_max)),
            door: Door::new(settings),
            stamps: Arc::clone(&stamps),
            trust: Arc::clone(&trust),
            say,
            inbox,
            overrun: Arc::clone(&overrun),
            kept: VecDeque::new(),
            member: script::spell(fastrand::u64(..)),
            lineage: 0,
            known: 0,
            check: String::new(),
        };
        runtime.spawn(task.run());
        Self { orders, overrun, stamps, trust }
    }

    /// Purges here before it returns; the answer comes when the others have heard or cannot.
    pub(crate) fn purge(&self, purge: &Purge) -> oneshot::Receiver<Reached> {
        let aims = Aims::from(purge);
        self.trust.purges.asked.add(1);
        self.stamps.strike(&aims);
        let (answer, receiver) = oneshot::channel();
        if let Err(refused) = self.orders.try_send(Order { aims, answer }) {
            let (mpsc::error::TrySendError::Full(order) | mpsc::error::TrySendError::Closed(order)) =
                refused;
            self.overrun.store(true, Ordering::Release);
            self.trust.owe(true);
            self.trust.purges.late.add(1);
            let _ = order.answer.send(Reached::Here);
        }
        receiver
    }
}

struct Task {
    door: Door,
    keys: Arc<Keys>,
    stamps: Arc<Stamps>,
    trust: Arc<Trust>,
    say: Say,
    inbox: mpsc::Receiver<Order>,
    overrun: Arc<AtomicBool>,
    kept: VecDeque<Aims>,
    member: String,
    lineage: u64,
    /// The last purge of the deployment that is marked in `stamps`, and its check.
    known: u64,
    check: String,
}

struct Link {
    connection: Connection,
    ear: PubSub,
    /// The answer to joining, and when it was asked for.
    joined: (u64, u64),
    sent: Moment,
}

/// How a stretch with a link ended.
enum End {
    Lost(RedisError),
    /// The gateway goes.
    Over,
}

impl From<RedisError> for End {
    fn from(error: RedisError) -> Self {
        Self::Lost(error)
    }
}

impl Task {
    async fn run(mut self) {
        let mut failures = 0;
        let mut told = false;
        loop {
            let Some(link) = self.link(failures).await else { return };
            let error = match link {
                Ok(link) => {
                    failures = 0;
                    match self.serve(link, &mut told).await {
                        End::Over => return,
                        End::Lost(error) => error,
                    }
                }
                Err(error) => error,
            };
            self.trust.revoke();
            failures += 1;
            if !told {
                told = true;
                (self.say)(&format!(
                    "redis: purges cannot be shared through {}: {error}; they work here and are \
                     kept for the others",
                    self.door.names()
                ));
            }
        }
    }

    /// Makes a link, keeping purges meanwhile; `None` when the gateway goes.
    async fn link(&mut self, failures: u32) -> Option<RedisResult<Link>> {
        let fresh = fastrand::u64(1..);
        let check = self.check.clone();
        let join = self.keys.join(fresh, (self.lineage, self.known, &check), self.stamps.ceiling());
        let (door, news) = (self.door.clone(), self.keys.news.clone());
        let connecting = async move {
            if failures > 0 {
                sleep(super::pause(failures - 1)).await;
            }
            let mut connection = door.connect().await?;
            // Hears from before it reads, so that nothing falls between.
            let ear = door.subscribe(&news).await?;
            let sent = Moment::now();
            let answer = in_time(connection.ask(&join)).await?;
            let joined = script::id_and_number(&answer).ok_or_else(strange)?;
            Ok(Link { connection, ear, joined, sent })
        };
        let mut connecting = std::pin::pin!(connecting);
        loop {
            tokio::select! {
                biased;
                link = &mut connecting => return Some(link),
                order = self.inbox.recv() => {
                    let order = order?;
                    self.keep(order.aims);
                    self.late(order.answer);
                }
            }
        }
    }

    /// Keeps a purge for when there is a link.
    fn keep(&mut self, aims: Aims) {
        if self.kept.len() >= KEPT_MAX {
            self.kept.clear();
            self.kept.push_back(Aims::all());
        }
        self.kept.push_back(aims);
        self.trust.owe(true);
        let waiting = &self.trust.purges.waiting;
        waiting.sub(waiting.get());
        waiting.add(self.kept.len() as u64);
    }

    fn late(&self, answer: oneshot::Sender<Reached>) {
        self.trust.purges.late.add(1);
        let _ = answer.send(Reached::Here);
    }

    async fn serve(&mut self, link: Link, told: &mut bool) -> End {
        let Link { mut connection, mut ear, joined, sent } = link;
        if let Err(error) = self.settle(&mut connection, joined, sent).await {
            return End::Lost(error);
        }
        if std::mem::take(told) {
            (self.say)(&format!("redis: purges are shared again through {}", self.door.names()));
        }
        let mut news = std::pin::pin!(ear.on_message().ready_chunks(NEWS_AT_ONCE));
        let mut beat = interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let done = tokio::select! {
                biased;
                heard = news.next() => match heard {
                    Some(messages) => self.hear(&mut connection, messages).await,
                    None => Err(strange()),
                },
                order = self.inbox.recv() => match order {
                    Some(order) => self.take_orders(&mut connection, order).await,
                    None => {
                        let _ = in_time(connection.ask(&self.keys.leave(&self.member))).await;
                        return End::Over;
                    }
                },
                _ = beat.tick() => self.beat(&mut connection).await,
            };
            if let Err(error) = done {
                return End::Lost(error);
            }
        }
    }

    /// Takes in the deployment as it is now, and tells it what was kept.
    async fn settle(
        &mut self,
        connection: &mut Connection,
        (lineage, count): (u64, u64),
        sent: Moment,
    ) -> RedisResult<()> {
        if lineage != self.lineage {
            if self.lineage != 0 {
                self.purge_everything(count);
                (self.say)(
                    "redis: the deployment's purges are lost there (emptied, restored or failed \
                     over); everything cached before counts as purged",
                );
            }
            self.lineage = lineage;
            self.known = 0;
            self.check.clear();
        }
        self.catch_up(connection, count).await?;
        self.tell_kept(connection).await?;
        self.trust.set_lineage(lineage);
        self.trust.renew(sent);
        self.beat(connection).await
    }

    async fn tell_kept(&mut self, connection: &mut Connection) -> RedisResult<()> {
        loop {
            if self.overrun.swap(false, Ordering::AcqRel) {
                self.kept.clear();
                self.kept.push_back(Aims::all());
            }
            let some: Vec<Aims> = self.kept.iter().take(ORDERS_AT_ONCE).cloned().collect();
            if some.is_empty() {
                self.trust.owe(false);
                // Set between the two: owed again.
                if self.overrun.load(Ordering::Acquire) {
                    self.trust.owe(true);
                    continue;
                }
                return Ok(());
            }
            self.number(connection, &some).await?;
            self.kept.drain(..some.len());
            let waiting = &self.trust.purges.waiting;
            waiting.sub(some.len().min(waiting.get() as usize) as u64);
        }
    }

    async fn take_orders(&mut self, connection: &mut Connection, first: Order) -> RedisResult<()> {
        let mut orders = vec![first];
        while orders.len() < ORDERS_AT_ONCE {
            let Ok(order) = self.inbox.try_recv() else { break };
            orders.push(order);
        }
        let (aims, answers): (Vec<Aims>, Vec<_>) =
            orders.into_iter().map(|order| (order.aims, order.answer)).unzip();
        match self.number(connection, &aims).await {
            Ok(number) => {
                let keys = Arc::clone(&self.keys);
                tokio::spawn(reach(keys, connection.clone(), number, answers));
                if self.overrun.load(Ordering::Acquire) {
                    self.tell_kept(connection).await?;
                }
                Ok(())
            }
            Err(error) => {
                aims.into_iter().for_each(|aims| self.keep(aims));
                answers.into_iter().for_each(|answer| self.late(answer));
                Err(error)
            }
        }
    }

    /// Has purges numbered and marks them. Returns the last one's number.
    async fn number(&mut self, connection: &mut Connection, some: &[Aims]) -> RedisResult<u64> {
        let ceiling = self.stamps.ceiling().saturating_sub(1);
        let mut commands = pipe();
        let mut checks = Vec::with_capacity(some.len());
        for aims in some {
            checks.push(script::spell(fastrand::u64(..)));
            let check = checks.last().expect("just pushed");
            commands.add_command(self.keys.purge(self.lineage, ceiling, check, aims));
        }
        let answers = in_time(connection.ask_all(&commands)).await?;
        let mut last = 0;
        for ((answer, aims), check) in answers.iter().zip(some).zip(checks) {
            // No numbers: another deployment has begun; joining it comes first.
            let (number, before) = script::numbers(answer).ok_or_else(strange)?;
            let (lineage, aims) = (self.lineage, aims.clone());
            self.take(connection, News { lineage, number, before, check, aims }).await?;
            last = number;
        }
        Ok(last)
    }

    async fn hear(
        &mut self,
        connection: &mut Connection,
        messages: Vec<redis::Msg>,
    ) -> RedisResult<()> {
        // A stranger may publish here; whatever we miss by it the heartbeat finds.
        let heard = messages.iter().filter_map(|message| script::hear(message.get_payload_bytes()));
        for news in heard.collect::<Vec<_>>() {
            if news.lineage != self.lineage {
                return Err(strange());
            }
            self.take(connection, news).await?;
        }
        self.beat(connection).await
    }

    /// Marks a purge, after those before it.
    async fn take(&mut self, connection: &mut Connection, news: News) -> RedisResult<()> {
        if news.number <= self.known {
            return Ok(());
        }
        if news.before > self.known {
            return self.catch_up(connection, news.number).await;
        }
        self.mark(news);
        Ok(())
    }

    fn mark(&mut self, news: News) {
        if news.before > self.known {
            self.purge_everything(news.before);
        }
        self.stamps.take(news.number, &news.aims);
        self.trust.purges.heard.add(1);
        self.known = news.number;
        self.check = news.check;
    }

    fn purge_everything(&self, number: u64) {
        self.trust.purges.everything.add(1);
        self.stamps.take(number, &Aims::all());
    }

    /// Reads the log from what is known up to `count` at least.
    async fn catch_up(&mut self, connection: &mut Connection, count: u64) -> RedisResult<()> {
        let by = Deadline::after(Moment::now(), CATCH_UP_TIME);
        loop {
            let page = in_time(connection.ask(&self.keys.page(self.known))).await?;
            let news = script::entries(self.lineage, &page).ok_or_else(strange)?;
            let full = news.len() >= script::PAGE;
            for news in news {
                self.mark(news);
            }
            if !full {
                break;
            }
            if by.passed(Moment::now()) {
                return Err(RedisError::from((ErrorKind::Io, "the log of purges is endless")));
            }
        }
        if self.known < count {
            // The log was evicted, or trimmed to nothing.
            self.purge_everything(count);
            self.known = count;
            self.check.clear();
        }
        self.stamps.advance(self.known);
        Ok(())
    }

    /// Says how far we are, learns how far the deployment is, and renews the trust.
    async fn beat(&mut self, connection: &mut Connection) -> RedisResult<()> {
        loop {
            let sent = Moment::now();
            let beat = self.keys.beat(self.lineage, &self.member, self.known);
            let answer = in_time(connection.ask(&beat)).await?;
            let (lineage, count) = script::id_and_number(&answer).ok_or_else(strange)?;
            if lineage != self.lineage {
                return Err(strange());
            }
            if count <= self.known {
                self.trust.renew(sent);
                return Ok(());
            }
            self.catch_up(connection, count).await?;
        }
    }
}

/// Waits until all gateways that live have come to `number`, and answers.
async fn reach(
    keys: Arc<Keys>,
    mut connection: Connection,
    number: u64,
    answers: Vec<oneshot::Sender<Reached>>,
) {
    let by = Deadline::after(Moment::now(), REACH_TIME);
    let mut pause = Duration::from_millis(1);
    let mut reached = Reached::Some { reached: 1, of: 1 };
    while !by.passed(Moment::now()) {
        let answer = in_time(connection.ask(&keys.reach(number))).await;
        let Some((now, of)) = answer.ok().as_ref().and_then(script::numbers) else { break };
        let (now, of) = (now as usize, of as usize);
        if now >= of {
            reached = Reached::All(of);
            break;
        }
        reached = Reached::Some { reached: now, of };
        sleep(pause).await;
        pause = (2 * pause).min(Duration::from_millis(20));
    }
    for answer in answers {
        // Nobody needs to wait.
        let _ = answer.send(reached);
    }
}

async fn in_time<T>(asked: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = || Err(RedisError::from((ErrorKind::Io, "no answer in time")));
    timeout(ANSWER_TIME, asked).await.unwrap_or_else(|_| late())
}

fn strange() -> RedisError {
    RedisError::from((ErrorKind::UnexpectedReturnType, "the deployment has changed"))
}
