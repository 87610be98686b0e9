//! `RabbitMQ` as a bus: a topic is an exchange, so that others publish and hear there, too, and each
//! listener has a queue of its own, which goes with its connection. An exchange that is there already
//! is taken as it is, unless it is a direct one; else it is made, durable and of the kind `topic`.

use super::link::{Link, Live};
use super::publisher::{Post, Publisher};
use super::taking::plain;
use super::{ANSWER_LOST, properties, wait};
use crate::queue::is_topic;
use crate::url::{BrokerError, Options, Place};
use base::{Deadline, Moment};
use futures_util::StreamExt as _;
use lapin::options::{
    BasicConsumeOptions, ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{FieldTable, ShortString};
use lapin::{Consumer, ExchangeKind};
use offload::queue::{Bus, Heard, Message, QueueError, Waiting};
use std::collections::HashMap;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

/// Between attempts to listen.
const REST: Duration = Duration::from_millis(200);
/// How long one attempt to listen may take.
const LISTEN_TIME: Duration = Duration::from_secs(5);

/// A bus on `RabbitMQ`.
pub struct RabbitBus {
    says: Link,
    hears: Link,
    publisher: Publisher,
    /// The connection by which the exchange of a topic was last declared for those who say something.
    declared: Mutex<HashMap<String, u64>>,
    ears: Mutex<HashMap<String, Arc<tokio::sync::Mutex<Ear>>>>,
}

/// A listener of one topic. What a call that was dropped has learned stays here.
#[derive(Default)]
struct Ear {
    consumer: Option<Consumer>,
    /// A gap was told, and that it listens again not yet.
    to_say: Option<Heard>,
    /// Why it does not listen at present; `None` at the beginning.
    deaf: Option<String>,
}

impl RabbitBus {
    /// One there; nothing is reached yet.
    ///
    /// # Errors
    /// What is wrong with the URL.
    pub fn new(place: &Place, options: &Options) -> Result<Self, BrokerError> {
        Ok(Self {
            says: Link::new(place, options, "says")?,
            hears: Link::new(place, options, "hears")?,
            publisher: Publisher::default(),
            declared: Mutex::default(),
            ears: Mutex::default(),
        })
    }

    async fn say(&self, topic: &str, event: Message, by: Duration) -> Result<(), QueueError> {
        if !is_topic(topic) {
            return Err(self.says.refused(format!("{topic:?} is no topic")));
        }
        let by = Deadline::after(Moment::now(), by);
        let left = || by.left(Moment::now());
        let prepared = timeout(left(), async {
            let live = self.says.connected(left()).await?;
            if let Some(why) = self.says.blocked() {
                return Err(self.says.full(why));
            }
            if self.declared().get(topic) != Some(&live.number) {
                self.declare(topic, &live, &self.says).await?;
                self.declared().insert(topic.to_owned(), live.number);
            }
            self.publisher.of(&live, &self.says).await
        });
        let late = || self.says.away("it is not ready");
        let posts = prepared.await.unwrap_or_else(|_| Err(late()))?;
        let (answer, told) = oneshot::channel();
        let post = Post {
            exchange: short(topic, &self.says)?,
            routing_key: short(topic, &self.says)?,
            mandatory: false,
            properties: properties(&event).map_err(|why| self.says.refused(why))?,
            payload: event.payload,
            answer,
        };
        match timeout(left(), posts.send(post)).await {
            Ok(Ok(())) => wait(told, left(), &self.says).await,
            Ok(Err(_)) => Err(self.says.away(ANSWER_LOST)),
            Err(_) => Err(late()),
        }
    }

    fn declared(&self) -> MutexGuard<'_, HashMap<String, u64>> {
        self.declared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn declare(&self, topic: &str, live: &Live, link: &Link) -> Result<(), QueueError> {
        let failed = |error: lapin::Error| link.away(error.to_string());
        let there = ExchangeDeclareOptions { passive: true, ..Default::default() };
        let made = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let mut last = Ok(());
        // A question that is answered with no costs its channel.
        for options in [there, made] {
            let channel = live.connection.create_channel().await.map_err(failed)?;
            let (exchange, table) = (short(topic, link)?, FieldTable::default());
            let declared = channel.exchange_declare(exchange, ExchangeKind::Topic, options, table);
            last = declared.await.map_err(|error| link.refused(error.to_string()));
            if last.is_ok() {
                let _ = channel.close(200, "bye".into()).await;
                break;
            }
        }
        last
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
            if let Some(consumer) = &mut ear.consumer {
                match consumer.next().await {
                    Some(Ok(event)) => return Heard::Event(plain(event)),
                    Some(Err(error)) => ear.deaf = Some(error.to_string()),
                    None => ear.deaf = Some("the consumer ended".to_owned()),
                }
                ear.consumer = None;
            }
            match timeout(LISTEN_TIME, self.listen(topic)).await {
                Ok(Ok(consumer)) => {
                    ear.consumer = Some(consumer);
                    let Some(why) = ear.deaf.take() else { return Heard::Listening };
                    ear.to_say = Some(Heard::Listening);
                    return Heard::Gap(why);
                }
                // Nobody is told before it goes on.
                Ok(Err(_)) | Err(_) => sleep(REST).await,
            }
        }
    }

    async fn listen(&self, topic: &str) -> Result<Consumer, QueueError> {
        let live = self.hears.up(LISTEN_TIME).await?;
        self.declare(topic, &live, &self.hears).await?;
        let failed = |error: lapin::Error| self.hears.away(error.to_string());
        let channel = live.connection.create_channel().await.map_err(failed)?;
        let options = QueueDeclareOptions::exclusive().auto_delete();
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await;
        let queue = queue.map_err(failed)?.name().clone();
        let (exchange, key) = (short(topic, &self.hears)?, "#".into());
        let bind = QueueBindOptions::default();
        let bound = channel.queue_bind(queue.clone(), exchange, key, bind, FieldTable::default());
        bound.await.map_err(failed)?;
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer =
            channel.basic_consume(queue, "".into(), options, FieldTable::default()).await;
        consumer.map_err(failed)
    }
}

fn short(topic: &str, link: &Link) -> Result<ShortString, QueueError> {
    ShortString::try_new(topic).map_err(|error| link.refused(error.to_string()))
}

impl Bus for RabbitBus {
    fn name(&self) -> &str {
        &self.says.name
    }

    fn publish<'a>(
        &'a self,
        topic: &'a str,
        event: Message,
        by: Duration,
    ) -> Waiting<'a, Result<(), QueueError>> {
        Box::pin(self.say(topic, event, by))
    }

    fn hear<'a>(&'a self, topic: &'a str) -> Waiting<'a, Heard> {
        Box::pin(self.next(topic))
    }
}
