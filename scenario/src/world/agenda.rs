//! What happens next: events in the order of their time, those of one time in the order they were
//! noted.

use base::Moment;
use service::retry::At;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Which request, in the order they came.
pub(super) type RequestId = usize;
/// Which try, in the order they were made.
pub(super) type TryId = usize;

/// What happens.
#[derive(Clone, Copy, Debug)]
pub(super) enum Event {
    /// A client asks.
    Arrival,
    /// A client has waited as long as it will.
    GiveUp(RequestId),
    /// A worker has finished a try.
    Finished(TryId),
    /// An answer, good or not, or the news that there will be none, reaches the gateway.
    Answer(TryId, Answer),
    /// It is time to send a request twice, if it still waits.
    Hedge(RequestId),
    /// A request has waited for as long as it should before it is sent again.
    Retry(RequestId, At),
    /// A request has waited at its gateway's door as long as it may.
    Waited(RequestId),
    /// A try has taken as long as one may.
    TryTime(TryId),
    /// The gateways look after their windows.
    Tick,
    /// The gateways know other machines: by the number in [`super::World::known`].
    Known(usize),
}

/// What a gateway hears of a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// 200.
    Good,
    /// This status of failure.
    Failed(u16),
    /// There was no connection.
    Refused,
}

struct Entry {
    at: Moment,
    number: u64,
    event: Event,
}

/// What will happen, and what time it is.
pub(super) struct Agenda {
    pub(super) now: Moment,
    entries: BinaryHeap<Entry>,
    number: u64,
}

impl Agenda {
    pub(super) fn new(now: Moment) -> Self {
        Self { now, entries: BinaryHeap::new(), number: 0 }
    }

    /// Notes what happens `after` now.
    pub(super) fn note(&mut self, after: Duration, event: Event) {
        self.number += 1;
        self.entries.push(Entry { at: self.now + after, number: self.number, event });
    }

    /// What happens next, if it does before `end`; it is that time now.
    pub(super) fn next(&mut self, end: Moment) -> Option<Event> {
        let entry = self.entries.pop().filter(|entry| entry.at < end)?;
        self.now = entry.at;
        Some(entry.event)
    }
}

impl Ord for Entry {
    /// The earliest is the greatest, as the heap has it.
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}
