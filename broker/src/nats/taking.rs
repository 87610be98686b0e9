//! Taking messages from a consumer, and acknowledging them.
//!
//! Each call asks for what is there at once, and only if that is nothing waits for one. So no message
//! lies here that nobody has a hand for, and no request can wait for ever for a server that has
//! forgotten it: the next call asks anew.

use super::KEY;
use super::link::{Link, rest};
use super::stream::{Pull, Stream};
use crate::text::unescape;
use crate::url::Options;
use async_nats::jetstream::consumer::pull::Batch;
use async_nats::{Request, Subject};
use base::{Deadline, Moment};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _};
use offload::queue::{Acknowledge, Channel, Message, QueueError, Taken, Waiting};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How long an acknowledgement waits for its own.
const ACK_TIME: Duration = Duration::from_secs(5);
/// How long the server's answer to a request may be late.
const LATE: Duration = Duration::from_millis(500);

const ACK: &[u8] = b"+ACK";
const AGAIN: &[u8] = b"-NAK";
const STILL: &[u8] = b"+WPI";

/// The lanes of a queue, one for each channel that is taken from.
pub(super) struct Lanes {
    link: Arc<Link>,
    lease: Duration,
    held_max: usize,
    held: Arc<Held>,
    by_channel: Mutex<HashMap<Channel, Arc<tokio::sync::Mutex<Lane>>>>,
}

/// A channel as it is taken from. What a call that was dropped has begun stays here.
#[derive(Default)]
struct Lane {
    /// For one that is to come.
    open: Option<Open>,
    /// For those that are there.
    fetching: Option<Batch>,
    ready: VecDeque<(Moment, async_nats::Message)>,
}

/// A request that the server may still answer.
struct Open {
    batch: Batch,
    gaps: u64,
    until: Deadline,
}

/// What acknowledges the messages that are taken, by number.
#[derive(Default)]
struct Held(Mutex<(u64, HashMap<u64, Subject>)>);

impl Held {
    fn lock(&self) -> MutexGuard<'_, (u64, HashMap<u64, Subject>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    pub(super) fn new(link: Arc<Link>, options: &Options) -> Self {
        let held_max = usize::from(options.held_max);
        Self {
            link,
            lease: options.lease,
            held_max,
            held: Arc::default(),
            by_channel: Mutex::default(),
        }
    }

    pub(super) async fn take(
        &self,
        stream: &Stream,
        channel: &Channel,
        most: usize,
        wait: Duration,
    ) -> Result<Vec<Taken>, QueueError> {
        let by = Deadline::after(Moment::now(), wait);
        let left = || by.left(Moment::now());
        let most = most.min(self.held_max.saturating_sub(self.held.lock().1.len()));
        if most == 0 {
            sleep(wait).await;
            return Ok(Vec::new());
        }
        let reached = timeout(wait, async {
            let client = self.link.connected(left()).await?;
            Ok((client, stream.make(client, &self.link).await?))
        });
        let reached = match reached.await.unwrap_or_else(|_| Err(self.link.away("not ready"))) {
            Ok(reached) => reached,
            Err(error) => {
                // Who asks in a loop is to be told, not to spin.
                sleep(left().min(LATE)).await;
                return Err(error);
            }
        };
        let (client, made) = reached;
        let Some(consumer) = stream.of(&made, channel) else {
            let why = "a gateway takes no news but its own".to_owned();
            return Err(QueueError::Refused { queue: self.link.name.clone(), why });
        };
        let lane = self.lane(channel);
        let Ok(mut lane) = timeout(left(), lane.lock()).await else { return Ok(Vec::new()) };
        let asking = Asking { link: &self.link, client, consumer, stream };
        asking.ask(&mut lane, most, by).await?;
        Ok(self.hand_out(&mut lane, most))
    }

    fn lane(&self, channel: &Channel) -> Arc<tokio::sync::Mutex<Lane>> {
        let mut lanes = self.by_channel.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(lanes.entry(channel.clone()).or_default())
    }

    /// Makes what came into what is taken. What lay here for long may be another's by now.
    fn hand_out(&self, lane: &mut Lane, most: usize) -> Vec<Taken> {
        let now = Moment::now();
        lane.ready.retain(|(at, _)| now.since(*at) < self.lease / 2);
        let count = lane.ready.len().min(most);
        lane.ready.drain(..count).filter_map(|(_, message)| self.taken(message)).collect()
    }

    fn taken(&self, message: async_nats::Message) -> Option<Taken> {
        let reply = message.reply.clone()?;
        let number = {
            let mut held = self.held.lock();
            held.0 += 1;
            let number = held.0;
            held.1.insert(number, reply.clone());
            number
        };
        let token = Token {
            link: Arc::clone(&self.link),
            held: Arc::clone(&self.held),
            number,
            reply: reply.clone(),
        };
        Some(Taken { message: plain(message), times: times(&reply), token: Box::new(token) })
    }

    /// Gives back all that is taken and not acknowledged.
    pub(super) async fn give_back(&self) {
        let lanes: Vec<_> = {
            let mut lanes = self.by_channel.lock().unwrap_or_else(PoisonError::into_inner);
            lanes.drain().map(|(_, lane)| lane).collect()
        };
        let mut replies: Vec<Subject> =
            self.held.lock().1.drain().map(|(_, reply)| reply).collect();
        for lane in lanes {
            let Ok(mut lane) = timeout(LATE, lane.lock()).await else { continue };
            lane.pick_up();
            replies.extend(lane.ready.drain(..).filter_map(|(_, message)| message.reply));
        }
        let Ok(client) = self.link.connected(Duration::ZERO).await else { return };
        for reply in replies {
            let _ = timeout(LATE, client.publish(reply, Bytes::from_static(AGAIN))).await;
        }
    }
}

impl Lane {
    /// What has come of the open request.
    fn pick_up(&mut self) {
        let Some(open) = &mut self.open else { return };
        loop {
            match open.batch.next().now_or_never() {
                Some(Some(Ok(message))) => {
                    self.ready.push_back((Moment::now(), message.message));
                }
                Some(_) => {
                    self.open = None;
                    return;
                }
                None => return,
            }
        }
    }
}

/// One call's side of a lane.
struct Asking<'a> {
    link: &'a Link,
    client: &'a async_nats::Client,
    consumer: &'a Pull,
    stream: &'a Stream,
}

impl Asking<'_> {
    /// Fills a lane with up to so many, waiting for the first until then.
    async fn ask(&self, lane: &mut Lane, most: usize, by: Deadline) -> Result<(), QueueError> {
        lane.pick_up();
        loop {
            if lane.ready.len() < most {
                self.at_once(lane, most - lane.ready.len(), by).await?;
            }
            if !lane.ready.is_empty() || by.passed(Moment::now()) {
                return Ok(());
            }
            self.one(lane, by).await?;
        }
    }

    /// Asks for what is there.
    async fn at_once(&self, lane: &mut Lane, most: usize, by: Deadline) -> Result<(), QueueError> {
        // A request that still waits may be answered at any time: it stays open beside this one.
        let time = by.left(Moment::now()).max(LATE);
        let answered = timeout(time, async {
            let Lane { fetching, ready, .. } = &mut *lane;
            if fetching.is_none() {
                let begun = self.consumer.fetch().max_messages(most).messages().await;
                *fetching = Some(begun.map_err(|error| error.to_string())?);
            }
            let Some(batch) = fetching else { return Ok(()) };
            while let Some(message) = batch.next().await {
                let message = message.map_err(|error| error.to_string())?;
                ready.push_back((Moment::now(), message.message));
            }
            Ok::<(), String>(())
        })
        .await;
        // Whatever became of it, it is over; one whose call was dropped is read to its end by the next.
        lane.fetching = None;
        match answered {
            Ok(Ok(())) => Ok(()),
            _ if !lane.ready.is_empty() => Ok(()),
            Ok(Err(why)) => {
                // The consumer may be gone: made again by whoever comes next.
                self.stream.forget();
                rest().await;
                Err(self.link.away(why))
            }
            Err(_) => {
                // Older servers say nothing at all for a consumer that is gone.
                self.stream.forget();
                Err(self.link.unknown("it does not answer"))
            }
        }
    }

    /// Waits for one.
    async fn one(&self, lane: &mut Lane, by: Deadline) -> Result<(), QueueError> {
        let gaps = self.link.gaps(self.client);
        let now = Moment::now();
        let usable = |open: &Open| open.gaps == gaps && !open.until.passed(now);
        if !lane.open.as_ref().is_some_and(usable) {
            let wait = by.left(now);
            let begun = self.consumer.batch().max_messages(1).expires(wait).messages().await;
            let batch = begun.map_err(|error| self.link.away(error.to_string()))?;
            lane.open = Some(Open { batch, gaps, until: by });
        }
        let Some(open) = &mut lane.open else { return Ok(()) };
        tokio::select! {
            biased;
            came = open.batch.next() => match came {
                Some(Ok(message)) => lane.ready.push_back((Moment::now(), message.message)),
                Some(Err(error)) => {
                    lane.open = None;
                    self.stream.forget();
                    rest().await;
                    return Err(self.link.away(error.to_string()));
                }
                None => {
                    lane.open = None;
                    rest().await;
                }
            },
            why = self.link.gap(self.client, gaps) => {
                lane.open = None;
                return Err(self.link.away(why));
            }
            () = sleep(by.left(Moment::now())) => {}
        }
        Ok(())
    }
}

/// A message without what NATS has put around it.
pub(super) fn plain(message: async_nats::Message) -> Message {
    let header = |name: &str| {
        let value = message.headers.as_ref().and_then(|headers| headers.get(name));
        value.map(|value| unescape(value.as_str())).unwrap_or_default()
    };
    let (id, key) = (header("Nats-Msg-Id"), header(KEY));
    Message { id, key, fields: Vec::new(), payload: message.payload }
}

/// How often it was given out, which is part of the address of its acknowledgement:
/// `$JS.ACK.[domain.account.]stream.consumer.TIMES.…`.
fn times(reply: &str) -> u32 {
    let tokens: Vec<&str> = reply.split('.').collect();
    let at = if tokens.len() >= 11 { 6 } else { 4 };
    tokens.get(at).and_then(|times| times.parse().ok()).unwrap_or(1)
}

struct Token {
    link: Arc<Link>,
    held: Arc<Held>,
    number: u64,
    reply: Subject,
}

impl Token {
    /// Says something and waits until the server has heard it.
    async fn say(&self, word: &'static [u8]) -> Result<(), QueueError> {
        let client = self.link.connected(ACK_TIME).await?;
        let request = Request::new().payload(Bytes::from_static(word)).timeout(Some(ACK_TIME));
        let heard = client.send_request(self.reply.clone(), request);
        match timeout(ACK_TIME, heard).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.link.unknown(error.to_string())),
            Err(_) => Err(self.link.unknown("an acknowledgement was not answered")),
        }
    }
}

impl Acknowledge for Token {
    fn done(self: Box<Self>) -> Waiting<'static, Result<(), QueueError>> {
        Box::pin(async move { self.say(ACK).await })
    }

    fn again(self: Box<Self>) -> Waiting<'static, Result<(), QueueError>> {
        Box::pin(async move { self.say(AGAIN).await })
    }

    fn still(&self) -> Waiting<'_, Result<(), QueueError>> {
        Box::pin(self.say(STILL))
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        self.held.lock().1.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::times;

    #[test]
    fn an_address_tells_how_often_a_message_was_given_out() {
        for (reply, expected) in [
            ("$JS.ACK.fleetfoot-mail.jobs.3.10.12.1700000000.0", 3),
            ("$JS.ACK._.hash.fleetfoot-mail.jobs.2.10.12.1700000000.0.token", 2),
            ("$JS.ACK.hub.hash.fleetfoot-mail.jobs.4.10.12.1700000000.0", 4),
            ("nonsense", 1),
        ] {
            assert_eq!(times(reply), expected, "{reply}");
        }
    }
}
