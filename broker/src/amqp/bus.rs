//! `RabbitMQ` as a bus: a topic exchange, `fleetfoot.<name>.events`, and a queue of its own for each
//! listener, which goes with its connection.

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
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
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
    exchange: ShortString,
    /// The connection by which the exchange was last declared for those who say something; 0: none.
    declared_by: AtomicU64,
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
            exchange: format!("fleetfoot.{}.events", options.queue).into(),
            declared_by: AtomicU64::new(0),
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
            if self.declared_by.load(Ordering::Acquire) != live.number {
                self.declare(&live, &self.says).await?;
                self.declared_by.store(live.number, Ordering::Release);
            }
            self.publisher.of(&live, &self.says).await
        });
        let late = || self.says.away("it is not ready");
        let posts = prepared.await.unwrap_or_else(|_| Err(late()))?;
        let (answer, told) = oneshot::channel();
        let post = Post {
            exchange: self.exchange.clone(),
            routing_key: ShortString::try_new(topic)
                .map_err(|error| self.says.refused(error.to_string()))?,
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

    async fn declare(&self, live: &Live, link: &Link) -> Result<(), QueueError> {
        let failed = |error: lapin::Error| link.away(error.to_string());
        let channel = live.connection.create_channel().await.map_err(failed)?;
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let (exchange, table) = (self.exchange.clone(), FieldTable::default());
        let declared = channel.exchange_declare(exchange, ExchangeKind::Topic, options, table);
        declared.await.map_err(|error| link.refused(error.to_string()))?;
        let _ = channel.close(200, "bye".into()).await;
        Ok(())
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
        self.declare(&live, &self.hears).await?;
        let failed = |error: lapin::Error| self.hears.away(error.to_string());
        let channel = live.connection.create_channel().await.map_err(failed)?;
        let options = QueueDeclareOptions::exclusive().auto_delete();
        let queue = channel.queue_declare("".into(), options, FieldTable::default()).await;
        let queue = queue.map_err(failed)?.name().clone();
        let (exchange, key) = (self.exchange.clone(), ShortString::try_new(topic));
        let key = key.map_err(|error| self.hears.refused(error.to_string()))?;
        let bind = QueueBindOptions::default();
        let bound = channel.queue_bind(queue.clone(), exchange, key, bind, FieldTable::default());
        bound.await.map_err(failed)?;
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let consumer =
            channel.basic_consume(queue, "".into(), options, FieldTable::default()).await;
        consumer.map_err(failed)
    }
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
