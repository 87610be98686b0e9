//! Publishing with confirms: many on their way at once, each answered for itself.
//!
//! One task publishes, on a channel of its own. Two that publish on one channel would not do: lapin
//! counts a message before it sends it, and two could be sent in the other order than they were
//! counted. And a message that is returned comes with whichever confirm the client hears next: only
//! who sees all confirms in their order can tell whose it was ([`Returned`]).

use super::link::{Link, Live};
use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::Confirmation;
use lapin::options::{BasicPublishOptions, ConfirmSelectOptions};
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel};
use offload::queue::QueueError;
use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::{Mutex, mpsc, oneshot};

/// Most messages that wait for their confirms.
const UNANSWERED_MAX: usize = 4096;
/// Most messages that wait to be sent.
const WAITING_MAX: usize = 1024;

/// One message on its way.
pub(super) struct Post {
    pub(super) exchange: ShortString,
    pub(super) routing_key: ShortString,
    /// Is it an error when it goes to no queue?
    pub(super) mandatory: bool,
    pub(super) properties: BasicProperties,
    pub(super) payload: Bytes,
    pub(super) answer: oneshot::Sender<Outcome>,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It is as safe as the broker makes it.
    Stored,
    /// No queue takes it.
    Returned(String),
    /// The queue takes no more.
    Rejected,
    /// Nobody knows.
    Lost(String),
}

impl Outcome {
    /// The same for callers.
    pub(super) fn told(self, link: &Link) -> Result<(), QueueError> {
        match self {
            Self::Stored => Ok(()),
            Self::Returned(why) => Err(link.refused(format!("no queue takes it ({why})"))),
            Self::Rejected => {
                Err(link.full("it rejects the message: it is full, or its leader is changing"))
            }
            Self::Lost(why) => Err(link.unknown(why)),
        }
    }
}

/// The publisher of a link's present connection.
#[derive(Default)]
pub(super) struct Publisher(Mutex<Option<(u64, mpsc::Sender<Post>)>>);

impl Publisher {
    /// Where messages go that are to be sent by this connection.
    pub(super) async fn of(
        &self,
        live: &Arc<Live>,
        link: &Link,
    ) -> Result<mpsc::Sender<Post>, QueueError> {
        let mut present = self.0.lock().await;
        if let Some((number, posts)) = &*present
            && *number == live.number
            && !posts.is_closed()
        {
            return Ok(posts.clone());
        }
        let channel = confirming(live).await.map_err(|error| link.away(error.to_string()))?;
        let (sender, posts) = mpsc::channel(WAITING_MAX);
        tokio::spawn(publish(channel, posts));
        *present = Some((live.number, sender.clone()));
        Ok(sender)
    }
}

/// A channel whose publishes are confirmed.
async fn confirming(live: &Live) -> lapin::Result<Channel> {
    let channel = live.connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    Ok(channel)
}

/// What came of one message, or that it is not clear yet.
type Sent = Pin<Box<dyn Future<Output = Confirmed> + Send>>;

struct Confirmed {
    id: Option<ShortString>,
    answer: oneshot::Sender<Outcome>,
    confirmation: lapin::Result<Confirmation>,
}

/// Publishes what comes and answers what is confirmed, until the channel ends.
async fn publish(channel: Channel, mut posts: mpsc::Receiver<Post>) {
    let mut sent: FuturesUnordered<Sent> = FuturesUnordered::new();
    let mut returned = Returned::default();
    let mut batch = Vec::new();
    loop {
        tokio::select! {
            biased;
            Some(confirmed) = sent.next(), if !sent.is_empty() => {
                batch.push(confirmed);
                // All that are confirmed by now, before any is answered.
                while let Some(Some(confirmed)) = sent.next().now_or_never() {
                    batch.push(confirmed);
                }
                returned.answer(&mut batch);
            }
            post = posts.recv(), if sent.len() < UNANSWERED_MAX => match post {
                // Whoever gave up waiting has been told that it may have been sent; it is not.
                Some(post) if post.answer.is_closed() => {}
                Some(post) => {
                    let mut sending = send(channel.clone(), post);
                    // The first poll hands it to the connection, so that the order stays.
                    let first = std::future::poll_fn(|cx| Poll::Ready(sending.as_mut().poll(cx)));
                    match first.await {
                        Poll::Ready(confirmed) => {
                            batch.push(confirmed);
                            returned.answer(&mut batch);
                        }
                        Poll::Pending => sent.push(sending),
                    }
                }
                None => break,
            },
        }
        if !channel.status().connected() {
            posts.close();
            if sent.is_empty() {
                break;
            }
        }
    }
    let _ = channel.close(200, "bye".into()).await;
}

fn send(channel: Channel, post: Post) -> Sent {
    Box::pin(async move {
        let options = BasicPublishOptions { mandatory: post.mandatory, immediate: false };
        let id = post.properties.message_id().clone();
        let (exchange, key) = (post.exchange, post.routing_key);
        let sent =
            channel.basic_publish(exchange, key, options, &post.payload, post.properties).await;
        let confirmation = match sent {
            Ok(confirm) => confirm.await,
            Err(error) => Err(error),
        };
        Confirmed { id, answer: post.answer, confirmation }
    })
}

/// Messages that were returned and not answered for yet, by id.
///
/// The broker says first that it returns a message, then confirms it, perhaps together with others.
/// The client gives the returned one to the first confirm that it hears after that, whosever that is.
/// So a confirm with another's message is a plain confirm, and the other's is none. Whoever was given
/// the message was confirmed before its owner, so both are in a batch that is taken in their order.
#[derive(Default)]
struct Returned(HashMap<String, (usize, String)>);

impl Returned {
    fn answer(&mut self, batch: &mut Vec<Confirmed>) {
        for confirmed in &*batch {
            if let Ok(Confirmation::Ack(Some(message)) | Confirmation::Nack(Some(message))) =
                &confirmed.confirmation
            {
                let id = message.delivery.properties.message_id();
                let id = id.as_ref().map_or("", ShortString::as_str).to_owned();
                let why = message.reply_text.to_string();
                self.0.entry(id).or_insert((0, why)).0 += 1;
            }
        }
        for confirmed in batch.drain(..) {
            let id = confirmed.id.as_ref().map_or("", ShortString::as_str);
            let outcome = match confirmed.confirmation {
                Err(error) => Outcome::Lost(error.to_string()),
                Ok(Confirmation::NotRequested) => Outcome::Lost("no confirms are on".to_owned()),
                Ok(confirmation) => match (self.take(id), confirmation) {
                    (Some(why), _) => Outcome::Returned(why),
                    (None, Confirmation::Ack(_)) => Outcome::Stored,
                    (None, _) => Outcome::Rejected,
                },
            };
            let _ = confirmed.answer.send(outcome);
        }
    }

    fn take(&mut self, id: &str) -> Option<String> {
        let (count, why) = self.0.get_mut(id)?;
        *count -= 1;
        let why = why.clone();
        if *count == 0 {
            self.0.remove(id);
        }
        Some(why)
    }
}

#[cfg(test)]
mod tests;
