//! How a job moves between the lines of its queue, the lane of its order and nowhere.

use super::orders::is_listed;
use super::slots::{AT_ONCE, ENDING, Extra, NONE, PACED, PROBE, REPLAY, Stage};
use super::{Book, Ending};
use crate::job::{Reason, State};
use base::Wall;

impl Book {
    /// Out of all lines, for a try. Its order is busy from here on.
    pub(super) fn take_out(&mut self, at: u32, is_paced: bool) {
        self.unlist(at);
        self.ends.remove(&mut self.slots, at);
        let slot = &mut self.slots[at];
        let queue = &mut self.queues[usize::from(slot.queue)];
        slot.stage = Stage::Picked;
        queue.waiting -= 1;
        queue.running += 1;
        if is_paced {
            slot.mark(PACED, true);
            queue.pace.enter(slot.has(REPLAY));
        }
        if let Some(lane) = self.lane(at) {
            self.orders.lanes[lane].busy = at;
            self.relist(lane);
        }
    }

    /// Out of whatever it is in, to be put elsewhere: in no line, counted as picked.
    pub(super) fn withdraw(&mut self, at: u32) {
        if self.slots[at].stage == Stage::Waiting {
            self.unlist(at);
            self.ends.remove(&mut self.slots, at);
            let queue = &mut self.queues[usize::from(self.slots[at].queue)];
            queue.waiting -= 1;
            queue.running += 1;
            self.slots[at].stage = Stage::Picked;
            return;
        }
        let clock = self.clock;
        let slot = &mut self.slots[at];
        let queue = &mut self.queues[usize::from(slot.queue)];
        if slot.has(PACED) {
            queue.pace.probe_without_news(slot.has(PROBE), clock);
            queue.pace.leave(slot.has(REPLAY));
        }
        slot.mark(PACED | PROBE, false);
        if slot.stage == Stage::Handed {
            queue.handed -= 1;
            queue.running += 1;
        }
        slot.stage = Stage::Picked;
    }

    /// From nowhere ([`Book::withdraw`]) into the lines, unless it is to end at once.
    pub(super) fn wait(&mut self, at: u32) {
        let slot = &mut self.slots[at];
        slot.stage = Stage::Waiting;
        let queue = &mut self.queues[usize::from(slot.queue)];
        queue.running -= 1;
        queue.waiting += 1;
        if let Some((state, reason)) = self.over(at) {
            self.end(at, state, reason);
        } else if self.slots[at].expires > Wall(0) {
            self.ends.push(&mut self.slots, at, false);
        }
        if let Some(lane) = self.lane(at) {
            if self.orders.lanes[lane].busy == at {
                self.orders.lanes[lane].busy = NONE;
            }
            self.relist(lane);
        } else {
            self.enlist(at);
        }
    }

    /// Does a job that would wait end instead?
    pub(super) fn over(&mut self, at: u32) -> Option<(State, Reason)> {
        let slot = &self.slots[at];
        let retry = &self.queues[usize::from(slot.queue)].rules.retry;
        if slot.lost > retry.lost_max {
            Some((State::Dead, Reason::Poison))
        } else if slot.reason == Reason::Lost && slot.attempts >= retry.tries {
            Some((State::Dead, Reason::Lost))
        } else if self.is_replaced(at) {
            Some((State::Cancelled, Reason::Replaced))
        } else {
            None
        }
    }

    /// It is to end without a try: it leaves the lines and is told of, once the log is read, which may
    /// know better.
    pub(super) fn end(&mut self, at: u32, state: State, reason: Reason) {
        self.set_aside(at);
        if !self.is_reading {
            self.to_end.push_back(Ending { id: self.slots[at].id, state, reason });
        }
    }

    /// It is about to end: it leaves the lines. It holds its order until its end is a fact.
    pub(super) fn set_aside(&mut self, at: u32) {
        self.unlist(at);
        self.ends.remove(&mut self.slots, at);
        self.slots[at].mark(ENDING, true);
    }

    /// The lane of its order.
    pub(super) fn lane(&self, at: u32) -> Option<u32> {
        let lane = self.extras_of(at)?.lane;
        (lane != NONE).then_some(lane)
    }

    pub(super) fn extras_of(&self, at: u32) -> Option<&Extra> {
        self.extra(at).map(|extra| &self.extras[extra])
    }

    /// Which file of a lane: 1 for replays.
    pub(super) fn file(&self, at: u32) -> usize {
        usize::from(self.slots[at].has(REPLAY))
    }

    /// Whoever of a lane may go is in the lines, and nobody else.
    pub(super) fn relist(&mut self, lane: u32) {
        for file in 0..2 {
            let head = self.orders.lanes[lane].files[file].head;
            if head == NONE {
                continue;
            }
            if self.orders.lets(&self.slots, lane, file, head) {
                self.enlist(head);
            } else {
                self.unlist(head);
            }
        }
    }

    pub(super) fn enlist(&mut self, at: u32) {
        let slot = &self.slots[at];
        if slot.stage != Stage::Waiting || slot.has(ENDING) || is_listed(&self.slots, at) {
            return;
        }
        let timed = !slot.has(AT_ONCE);
        let (queue, level) = (usize::from(slot.queue), usize::from(slot.priority));
        let lines = self.queues[queue].lines(slot.has(REPLAY));
        lines.0[level].push(&mut self.slots, at, timed);
    }

    pub(super) fn unlist(&mut self, at: u32) {
        let slot = &self.slots[at];
        let (queue, level) = (usize::from(slot.queue), usize::from(slot.priority));
        let lines = self.queues[queue].lines(slot.has(REPLAY));
        lines.0[level].remove(&mut self.slots, at);
    }

    /// What it has that only some have.
    pub(super) fn extra(&self, at: u32) -> Option<u32> {
        let extra = self.slots[at].extra;
        (extra != NONE).then_some(extra)
    }
}
