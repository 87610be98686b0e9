//! Core NATS as a bus: a topic is a subject, so that others publish and hear there, too.
//!
//! NATS keeps no events. What was published while a listener was disconnected is gone, and so is what
//! overflowed its buffer: both are a gap, told when it listens again.

use super::KEY;
use super::link::Link;
use super::taking::plain;
use crate::queue::is_topic;
use crate::text::{escape, one_line};
use crate::url::{BrokerError, Options, Place};
use async_nats::{HeaderMap, Subscriber};
use futures_util::StreamExt as _;
use offload::queue::{Bus, Heard, Message, QueueError, Waiting};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Between attempts to listen.
const REST: Duration = Duration::from_millis(200);

/// A bus on NATS.
pub struct NatsBus {
    link: Link,
    ears: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Ear>>>>,
}

/// A listener of one topic. What a call that was dropped has learned stays here.
#[derive(Default)]
struct Ear {
    subscriber: Option<Subscriber>,
    /// The gaps that were told of.
    told: u64,
    /// A gap was told, and that it listens again not yet.
    to_say: Option<Heard>,
    /// Why it does not listen at present; `None` at the beginning.
    deaf: Option<String>,
}

impl NatsBus {
    /// One there; nothing is reached yet.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn new(place: &Place, options: &Options) -> Result<Self, BrokerError> {
        let link = Link::new(place, options)?;
        Ok(Self { link, ears: Mutex::default() })
    }

    async fn say(&self, topic: &str, event: Message) -> Result<(), QueueError> {
        if !is_topic(topic) {
            let (queue, why) = (self.link.name.clone(), format!("{topic:?} is no topic"));
            return Err(QueueError::Refused { queue, why });
        }
        let client = self.link.connected(Duration::MAX).await?;
        let bytes = event.payload.len();
        let max = client.max_payload();
        let mut headers = HeaderMap::new();
        headers.insert("Nats-Msg-Id", escape(&event.id));
        if !event.key.is_empty() {
            headers.insert(KEY, escape(&event.key));
        }
        for (name, value) in &event.fields {
            headers.insert(*name, one_line(value));
        }
        let sent = client.publish_with_headers(topic.to_owned(), headers, event.payload).await;
        match sent {
            Ok(()) => self.link.round(client).await,
            Err(error) if error.kind() == async_nats::PublishErrorKind::MaxPayloadExceeded => {
                Err(QueueError::TooLarge { queue: self.link.name.clone(), bytes, max })
            }
            Err(error) => Err(self.link.away(error.to_string())),
        }
    }

    async fn next(&self, topic: &str) -> Heard {
        let ear = {
            let mut ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(ears.entry(topic.to_owned()).or_default())
        };
        let mut ear = ear.lock().await;
        loop {
            if let Some(heard) = ear.to_say.take() {
                return heard;
            }
            match self.listen(&mut ear, topic).await {
                Ok(Some(heard)) => return heard,
                Ok(None) => {}
                // Nobody is told before it goes on.
                Err(_) => sleep(REST).await,
            }
        }
    }

    /// What comes next; `None`: look again.
    async fn listen(&self, ear: &mut Ear, topic: &str) -> Result<Option<Heard>, QueueError> {
        let client = self.link.client().await?;
        if ear.subscriber.is_none() || ear.deaf.is_some() {
            self.link.up(client).await;
            let gaps = self.link.gaps(client);
            if ear.subscriber.is_none() {
                let subscribed = client.subscribe(topic.to_owned()).await;
                ear.subscriber =
                    Some(subscribed.map_err(|error| self.link.away(error.to_string()))?);
            }
            // The client subscribes again by itself; an answer says that the server has it.
            self.link.round(client).await?;
            ear.told = gaps;
            return Ok(Some(match ear.deaf.take() {
                Some(why) => {
                    ear.to_say = Some(Heard::Listening);
                    Heard::Gap(why)
                }
                None => Heard::Listening,
            }));
        }
        let Some(subscriber) = &mut ear.subscriber else { return Ok(None) };
        tokio::select! {
            biased;
            why = self.link.gap(client, ear.told) => ear.deaf = Some(why),
            event = subscriber.next() => {
                if let Some(event) = event {
                    return Ok(Some(Heard::Event(plain(event))));
                }
                ear.subscriber = None;
                ear.deaf = Some("the subscription ended".to_owned());
            }
        }
        Ok(None)
    }
}

impl Bus for NatsBus {
    fn name(&self) -> &str {
        &self.link.name
    }

    fn publish<'a>(
        &'a self,
        topic: &'a str,
        event: Message,
        by: Duration,
    ) -> Waiting<'a, Result<(), QueueError>> {
        Box::pin(async move {
            let said = timeout(by, self.say(topic, event)).await;
            said.unwrap_or_else(|_| Err(self.link.unknown("it did not answer in time")))
        })
    }

    fn hear<'a>(&'a self, topic: &'a str) -> Waiting<'a, Heard> {
        Box::pin(self.next(topic))
    }
}
