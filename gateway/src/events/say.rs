//! One topic that is spoken to: what waits is published, in its order, as long as that is worth while.

use super::figures::{Figures, count};
use base::{Deadline, Moment};
use offload::queue::{Bus, Message, QueueError};
use offload::settings::Events;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Longest time for one try.
const TRY_TIME: Duration = Duration::from_secs(5);
/// An event that could not be published within this is lost.
const WORTH: Duration = Duration::from_secs(30);
/// The first pause between tries, doubled each time.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// Most events that are published at once.
const BATCH_MAX: usize = 64;
/// How long what waits has when the gateway ends.
const LAST: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(10);

/// What publishes the events of one topic.
pub(super) struct Mouth {
    bus: Arc<dyn Bus>,
    rules: watch::Receiver<Events>,
    figures: Arc<Figures>,
    fails: bool,
}

impl Mouth {
    /// For this topic.
    pub(super) fn new(
        bus: Arc<dyn Bus>,
        rules: watch::Receiver<Events>,
        figures: Arc<Figures>,
    ) -> Self {
        Self { bus, rules, figures, fails: false }
    }

    /// Publishes what waits until the topic is given up.
    pub(super) async fn speak(mut self, mut waiting: mpsc::Receiver<Message>) {
        let topic = self.rules.borrow().topic.clone();
        let mut batch = Vec::with_capacity(BATCH_MAX);
        while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
            self.figures.under_way.store(batch.len() as u64, Ordering::Relaxed);
            self.figures.has_room();
            let by = Deadline::after(Moment::now(), WORTH);
            // They go together, and what of them failed goes again before anything later.
            let mut pause = PAUSE;
            loop {
                batch = self.publish(&topic, std::mem::take(&mut batch)).await;
                if batch.is_empty() || by.passed(Moment::now()) {
                    break;
                }
                tokio::time::sleep(pause.mul_f64(0.5 + 0.5 * fastrand::f64())).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
            batch.drain(..).for_each(|_| count(&self.figures.lost));
            self.figures.under_way.store(0, Ordering::Relaxed);
        }
    }

    /// Publishes some; answers those that may go again.
    async fn publish(&mut self, topic: &str, batch: Vec<Message>) -> Vec<Message> {
        let all = batch.iter().map(|event| self.bus.publish(topic, event.clone(), TRY_TIME));
        let told = futures_util::future::join_all(all).await;
        let (mut again, mut failed) = (Vec::new(), None);
        for (event, told) in batch.into_iter().zip(told) {
            match told {
                Ok(()) => count(&self.figures.published),
                Err(error @ (QueueError::Refused { .. } | QueueError::TooLarge { .. })) => {
                    count(&self.figures.lost);
                    self.say(format_args!("an event is lost: {error}"));
                }
                Err(error) => {
                    again.push(event);
                    failed = Some(error);
                }
            }
        }
        match failed {
            Some(error) if !self.fails => self.say(format_args!("{error}; what is said waits")),
            None if self.fails => self.say(format_args!("the bus takes events again")),
            _ => {}
        }
        self.fails = !again.is_empty();
        again
    }

    fn say(&self, text: std::fmt::Arguments<'_>) {
        let name = &self.rules.borrow().name;
        monitor::log::complain(Moment::now(), format_args!("events {name}: {text}"));
    }
}

/// Waits until nothing waits any more, for a moment at most.
pub(super) async fn flush(says: &mpsc::Sender<Message>, all: usize, figures: &Figures) {
    let emptied = async {
        while says.capacity() < all || figures.under_way.load(Ordering::Relaxed) > 0 {
            tokio::time::sleep(LOOK).await;
        }
    };
    let _in_time = tokio::time::timeout(LAST, emptied).await;
}
