//! Who waits, in which order they go on, and who is sent away.
//!
//! Pure: moments in, items out. Every operation takes a constant number of steps (beside the expired
//! that it finds on its way), and never more than `queue_max` wait.
//!
//! Higher classes go first, but for one turn in [`TURNS`], which is the lowest's: background work is
//! slow under load and never stands still. Within a class the [`Discipline`] decides:
//!
//! - `AdaptiveLifo` (Maurer, Fail at Scale, ACM Queue 2015): the first who came, until the queue has
//!   stood for [`INTERVAL`] without being empty; from then on the last. Who came last is most likely
//!   still there.
//! - `CoDel` (folly's `Codel`): the first who came; when even the shortest wait of the last
//!   [`INTERVAL`] was over [`TARGET`], those who waited twice that are sent away.
//! - `Fifo`: the first who came.
//!
//! Nobody goes on whose deadline has passed.

use crate::settings::{Class, Discipline};
use base::{Deadline, Moment};
use std::time::Duration;

/// Waits below this are no sign of overload.
const TARGET: Duration = Duration::from_millis(5);
/// How long a queue may stand before it is treated as one that will not go away.
const INTERVAL: Duration = Duration::from_millis(100);
/// One turn in so many is the lowest class's.
const TURNS: u32 = 16;

const NONE: u32 = u32::MAX;
const CLASSES: usize = 3;

/// Why somebody was sent away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sent {
    /// Its deadline passed.
    Expired,
    /// It had waited too long while the queue stood.
    Codel,
    /// A place was needed for somebody who matters more, or who is more likely to be still there.
    Evicted,
}

/// Who waits: the name by which it can leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    index: u32,
    generation: u32,
}

#[derive(Debug)]
struct Slot<T> {
    generation: u32,
    previous: u32,
    next: u32,
    class: usize,
    since: Moment,
    by: Deadline,
    item: Option<T>,
}

/// A doubly linked list through the slots.
#[derive(Clone, Copy, Debug)]
struct Line {
    first: u32,
    last: u32,
}

/// A bounded queue of classes.
#[derive(Debug)]
pub struct Queue<T> {
    discipline: Discipline,
    most: usize,
    slots: Vec<Slot<T>>,
    free: Vec<u32>,
    lines: [Line; CLASSES],
    len: usize,
    /// When the queue was last seen empty.
    emptied: Moment,
    turn: u32,
    codel: Codel,
}

impl<T> Queue<T> {
    /// An empty queue in which at most `most` wait.
    pub fn new(discipline: Discipline, most: usize) -> Self {
        Self {
            discipline,
            most: most.min(NONE as usize - 1),
            slots: Vec::new(),
            free: Vec::new(),
            lines: [Line { first: NONE, last: NONE }; CLASSES],
            len: 0,
            emptied: Moment::from_nanos(0),
            turn: 0,
            codel: Codel::default(),
        }
    }

    /// How many wait.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Does nobody wait?
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Lets `item` wait until `by`. When the queue is full, somebody of a lower class gives up his
    /// place, and while it is last in, first out also the oldest of the same class.
    ///
    /// # Errors
    /// The item, when there is no place for it.
    pub fn push(
        &mut self,
        now: Moment,
        class: Class,
        by: Deadline,
        item: T,
    ) -> Result<(Key, Option<T>), T> {
        self.note_empty(now);
        let class = class as usize;
        let mut evicted = None;
        if self.len >= self.most {
            let Some(index) = self.least_worthy(now, class) else { return Err(item) };
            evicted = self.take(index);
        }
        let since = now;
        let slot =
            Slot { generation: 0, previous: NONE, next: NONE, class, since, by, item: Some(item) };
        let index = self.settle(slot);
        self.append(index);
        let generation = self.slots[index as usize].generation;
        Ok((Key { index, generation }, evicted))
    }

    /// Who goes on now, if anybody waits. Those who are sent away instead are put into `sent`.
    pub fn pop(&mut self, now: Moment, sent: &mut Vec<(T, Sent)>) -> Option<T> {
        while let Some(index) = self.next(now) {
            let (since, by) = {
                let slot = &self.slots[index as usize];
                (slot.since, slot.by)
            };
            let Some(item) = self.take(index) else { continue };
            self.note_empty(now);
            if by.passed(now) {
                sent.push((item, Sent::Expired));
            } else if self.discipline == Discipline::CoDel
                && self.codel.sends_away(now, now.since(since))
            {
                sent.push((item, Sent::Codel));
            } else {
                self.turn = self.turn.wrapping_add(1);
                return Some(item);
            }
        }
        None
    }

    /// Leaves the queue; `None` if it has already.
    pub fn remove(&mut self, now: Moment, key: Key) -> Option<T> {
        let slot = self.slots.get(key.index as usize)?;
        if slot.generation != key.generation || slot.item.is_none() {
            return None;
        }
        let item = self.take(key.index);
        self.note_empty(now);
        item
    }

    fn note_empty(&mut self, now: Moment) {
        if self.len == 0 {
            self.emptied = self.emptied.max(now);
            self.codel.shortest = Duration::ZERO;
        }
    }

    /// Is it last in, first out now?
    fn is_lifo(&self, now: Moment) -> bool {
        self.discipline == Discipline::AdaptiveLifo && now.since(self.emptied) >= INTERVAL
    }

    fn next(&self, now: Moment) -> Option<u32> {
        let waits = |class: &usize| self.lines[*class].first != NONE;
        let lowest_turn = self.turn % TURNS == TURNS - 1;
        let class =
            if lowest_turn { (0..CLASSES).find(waits) } else { (0..CLASSES).rev().find(waits) }?;
        let line = self.lines[class];
        Some(if self.is_lifo(now) { line.last } else { line.first })
    }

    /// Who gives up his place for somebody of `class`.
    fn least_worthy(&self, now: Moment, class: usize) -> Option<u32> {
        let lifo = self.is_lifo(now);
        let below = if lifo { class + 1 } else { class };
        let line = self.lines[..below].iter().find(|line| line.first != NONE)?;
        Some(if lifo { line.first } else { line.last })
    }

    fn settle(&mut self, mut slot: Slot<T>) -> u32 {
        if let Some(index) = self.free.pop() {
            slot.generation = self.slots[index as usize].generation;
            self.slots[index as usize] = slot;
            return index;
        }
        self.slots.push(slot);
        self.slots.len() as u32 - 1
    }

    fn append(&mut self, index: u32) {
        let class = self.slots[index as usize].class;
        let last = self.lines[class].last;
        self.slots[index as usize].previous = last;
        if last == NONE {
            self.lines[class].first = index;
        } else {
            self.slots[last as usize].next = index;
        }
        self.lines[class].last = index;
        self.len += 1;
    }

    fn take(&mut self, index: u32) -> Option<T> {
        let slot = &mut self.slots[index as usize];
        let item = slot.item.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        let (class, previous, next) = (slot.class, slot.previous, slot.next);
        if previous == NONE {
            self.lines[class].first = next;
        } else {
            self.slots[previous as usize].next = next;
        }
        if next == NONE {
            self.lines[class].last = previous;
        } else {
            self.slots[next as usize].previous = previous;
        }
        self.free.push(index);
        self.len -= 1;
        Some(item)
    }
}

/// Controlled delay as folly does it (`executors/Codel.cpp`).
#[derive(Clone, Copy, Debug)]
struct Codel {
    interval_ends: Moment,
    /// The shortest wait of the interval; none while the queue is empty.
    shortest: Duration,
    overloaded: bool,
}

impl Default for Codel {
    fn default() -> Self {
        let interval_ends = Moment::from_nanos(0);
        Self { interval_ends, shortest: Duration::ZERO, overloaded: false }
    }
}

impl Codel {
    /// Is somebody who has waited so long sent away?
    fn sends_away(&mut self, now: Moment, waited: Duration) -> bool {
        if now > self.interval_ends {
            self.overloaded = self.shortest > TARGET;
            self.interval_ends = now + INTERVAL;
            self.shortest = waited;
            return false;
        }
        self.shortest = self.shortest.min(waited);
        self.overloaded && waited > 2 * TARGET
    }
}

#[cfg(test)]
mod tests;
