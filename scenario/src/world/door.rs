//! A gateway's door: what `service::Admission` does with its limit and its queue, without the waiting.

use super::agenda::RequestId;
use base::{Deadline, Moment};
use service::settings::{Class, Limit as Settings, LimitMode};
use service::{Key, Limit, Queue};
use std::time::Duration;

/// Where a request is before its gateway's limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Not there yet, or gone.
    Nowhere,
    /// It waits.
    Queue(Key),
    /// It was let through at this time, as one of so many.
    Through(Moment, u32),
}

/// Who is let through, who waits, who is sent away.
pub(super) struct Door {
    settings: Settings,
    limit: Limit,
    queue: Queue<RequestId>,
    in_flight: u32,
}

/// What becomes of a request at the door.
pub(super) enum Entry {
    /// It is let through.
    Through(Place),
    /// It waits until then at most; somebody may have lost his place to it.
    Waits(Key, Duration, Option<RequestId>),
    /// It is sent away.
    Shed,
}

/// Who goes on, and who is sent away.
#[derive(Default)]
pub(super) struct Turns {
    pub(super) through: Vec<(RequestId, Place)>,
    pub(super) shed: Vec<RequestId>,
}

impl Door {
    pub(super) fn new(settings: Settings) -> Self {
        let (limit, queue) =
            (Limit::new(&settings), Queue::new(settings.queue, settings.queue_max));
        Self { settings, limit, queue, in_flight: 0 }
    }

    /// The limit, if one is in force.
    pub(super) fn limit(&self) -> Option<u32> {
        (self.settings.mode == LimitMode::Enforce).then(|| self.limit.current())
    }

    pub(super) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// A request comes whose answer must be there by then.
    pub(super) fn enter(&mut self, request: RequestId, now: Moment, by: Deadline) -> Entry {
        let room = self.queue.is_empty() && self.in_flight < self.limit.current();
        if self.settings.mode != LimitMode::Enforce || room {
            self.in_flight += 1;
            return Entry::Through(Place::Through(now, self.in_flight));
        }
        let takes = self.limit.baseline().unwrap_or_default();
        let last = by.left(now).saturating_sub(takes).min(self.settings.queue_time);
        if last.is_zero() {
            return Entry::Shed;
        }
        match self.queue.push(now, Class::Normal, Deadline::after(now, last), request) {
            Ok((key, evicted)) => Entry::Waits(key, last, evicted),
            Err(_) => Entry::Shed,
        }
    }

    /// A request leaves the door; it answered after so long, or was lost, or tells nothing.
    pub(super) fn leave(&mut self, place: Place, now: Moment, told: Option<bool>) {
        match place {
            Place::Nowhere => {}
            Place::Queue(key) => {
                self.queue.remove(now, key);
            }
            Place::Through(since, at) => {
                self.in_flight -= 1;
                if let Some(lost) = told.filter(|_| self.settings.mode != LimitMode::Off) {
                    self.limit.sample(now, now.since(since), at, lost);
                }
            }
        }
    }

    /// Lets through who waits, as far as the limit allows.
    pub(super) fn turns(&mut self, now: Moment) -> Turns {
        let (mut turns, mut sent) = (Turns::default(), Vec::new());
        while self.in_flight < self.limit.current() {
            let Some(request) = self.queue.pop(now, &mut sent) else { break };
            self.in_flight += 1;
            turns.through.push((request, Place::Through(now, self.in_flight)));
        }
        turns.shed.extend(sent.into_iter().map(|(request, _)| request));
        turns
    }
}
