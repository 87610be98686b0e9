//! To come.

use crate::url::{BrokerError, Options, Place};
use offload::queue::{
    Bus, Capabilities, Channel, Heard, Message, Queue, QueueError, Taken, Waiting,
};
use std::time::Duration;

/// A queue.
pub struct Rabbit {
    name: String,
}

impl Rabbit {
    /// Opens one.
    pub fn new(place: &Place, options: &Options) -> Result<Self, BrokerError> {
        Ok(Self { name: place.name_of(&options.queue) })
    }
}

impl Queue for Rabbit {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            payload_max: 1 << 20,
            lease: None,
            keeps_order: false,
            counts: true,
            forgets_twins: None,
        }
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn ready(&self) -> Waiting<'_, Result<Vec<String>, QueueError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn put<'a>(
        &'a self,
        _: &'a Channel,
        messages: Vec<Message>,
        _: Duration,
    ) -> Waiting<'a, Vec<Result<(), QueueError>>> {
        Box::pin(async move {
            messages
                .iter()
                .map(|_| {
                    Err(QueueError::Away { queue: self.name.clone(), why: "to come".to_owned() })
                })
                .collect()
        })
    }
    fn take<'a>(
        &'a self,
        _: &'a Channel,
        _: usize,
        _: Duration,
    ) -> Waiting<'a, Result<Vec<Taken>, QueueError>> {
        Box::pin(async { Ok(Vec::new()) })
    }
    fn waiting<'a>(&'a self, _: &'a Channel) -> Waiting<'a, Option<u64>> {
        Box::pin(async { None })
    }
    fn close(&self) -> Waiting<'_, ()> {
        Box::pin(async {})
    }
}

/// A bus.
pub struct RabbitBus {
    name: String,
}

impl RabbitBus {
    /// Opens one.
    pub fn new(place: &Place, options: &Options) -> Result<Self, BrokerError> {
        Ok(Self { name: place.name_of(&options.queue) })
    }
}

impl Bus for RabbitBus {
    fn name(&self) -> &str {
        &self.name
    }
    fn publish<'a>(
        &'a self,
        _: &'a str,
        _: Message,
        _: Duration,
    ) -> Waiting<'a, Result<(), QueueError>> {
        Box::pin(async { Ok(()) })
    }
    fn hear<'a>(&'a self, _: &'a str) -> Waiting<'a, Heard> {
        Box::pin(async { Heard::Listening })
    }
}
