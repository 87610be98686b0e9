//! How facts change the book.

use super::line::{SEGMENT, is_in};
use super::slots::{AT_ONCE, ENDING, Extra, NONE, PACED, REPLAY, RESTATED, Slot, Stage};
use super::{Book, Place, Recovered};
use crate::job::{JobId, Reason, State};
use crate::record::{Record, Summary};
use crate::settings::OnDead;
use base::Wall;

impl Book {
    /// Takes in one fact. `place` is where the record lies, and of use for an `Accept` alone. `live` is
    /// false while the log is read at start. False: it is about a job that the book does not know.
    pub fn apply(&mut self, record: &Record<'_>, place: Place, live: bool) -> bool {
        self.is_reading = !live;
        if let Record::Accept(summary) = record {
            match self.slots.find(summary.id) {
                Some(at) => self.restate(at, summary, place),
                None => self.accept(summary, place, live),
            }
            return true;
        }
        let Some(at) = self.slots.find(record.id()) else { return false };
        match *record {
            Record::Accept(_) => {}
            Record::Start { at: when, .. } => {
                self.go_to(when);
                self.begin(at, Stage::Running);
            }
            Record::Hand { at: when, .. } => {
                self.go_to(when);
                self.begin(at, Stage::Handed);
            }
            Record::Again { due, reason, status, .. } => self.again(at, due, reason, status, live),
            Record::Finish { state, reason, at: when, .. } => {
                self.go_to(when);
                self.finish(at, state, reason, live);
            }
        }
        true
    }

    /// The log has been read to its end. Tries without an end are lost ones.
    pub fn recovered(&mut self, now: Wall) -> Recovered {
        let has_gone_back = self.clock.max(self.newest.made()) > now;
        self.clock = now;
        self.is_reading = false;
        let mut found = Recovered::default();
        let all: Vec<u32> = self.slots.all().collect();
        for at in all {
            found.jobs += 1;
            let stage = self.slots[at].stage;
            if stage == Stage::Running {
                found.lost += 1;
                self.withdraw(at);
                let slot = &mut self.slots[at];
                slot.lost = slot.lost.saturating_add(1);
                // The batch that was to say so is cut.
                slot.attempts = slot.attempts.saturating_add(u16::from(slot.has(RESTATED)));
                (slot.reason, slot.status) = (Reason::Lost, 0);
                slot.due = slot.due.min(now);
                slot.mark(RESTATED, false);
                self.wait(at);
                let is_lost = self.slots[at].lost > 0 && self.slots[at].has(ENDING);
                found.given_up += usize::from(is_lost && !self.is_replaced(at));
            } else if self.slots[at].has(ENDING) {
                // It ends, unless what has taken its place is gone by now.
                self.withdraw(at);
                self.slots[at].mark(ENDING, false);
                self.wait(at);
            } else if has_gone_back && stage == Stage::Waiting {
                self.bring_back(at, now);
            }
        }
        for (lane, file) in self.orders.doomed() {
            let lane = &self.orders.lanes[lane];
            self.doomed.push_back((lane.queue, lane.order, file));
        }
        found
    }

    /// The clock goes back by a jump, and what was due soon would be due late: a pause is no longer
    /// than a pause can be, what is to go at once goes at once. A time that a client named stays.
    fn bring_back(&mut self, at: u32, now: Wall) {
        let slot = &self.slots[at];
        let latest = match slot {
            slot if slot.has(AT_ONCE) => now,
            slot if slot.attempts > 0 => {
                now + self.queues[usize::from(slot.queue)].rules.retry.pause_max
            }
            _ => return,
        };
        if slot.due > latest {
            self.withdraw(at);
            self.slots[at].due = latest;
            self.wait(at);
        }
    }

    fn accept(&mut self, summary: &Summary<'_>, place: Place, live: bool) {
        let queue = self.queue_of(summary.queue);
        let made = summary.id.made();
        // A clock that was set back makes ids of the future; nobody waits for it.
        let accepted = if live && self.clock > Wall(0) { made.min(self.clock) } else { made };
        // At a start nobody knows when that was if a clock was set back: a time that was named stays.
        let at_once = summary.due == Wall(0) || live && summary.due <= accepted;
        let mut slot = Slot {
            id: summary.id,
            due: if at_once { accepted } else { summary.due },
            expires: summary.expires,
            place,
            queue,
            attempts: summary.attempts,
            lost: summary.lost,
            priority: summary.priority.min(9),
            stage: Stage::Picked,
            ..Slot::default()
        };
        slot.mark(REPLAY, summary.replay);
        slot.mark(AT_ONCE, at_once);
        let at = self.slots.put(slot);
        self.newest = self.newest.max(summary.id);
        self.segments.entry(place.segment).or_default().append(&mut self.slots, at);
        self.add_extra(at, summary);
        if let Some(queue) = self.coming.remove(&summary.id) {
            self.queues[usize::from(queue)].coming -= 1;
        }
        if live {
            let clock = self.clock;
            self.queues[usize::from(queue)].accepted.count(clock);
        }
        self.queues[usize::from(queue)].running += 1;
        self.debounce(at);
        self.wait(at);
    }

    pub(super) fn queue_of(&mut self, name: &str) -> u16 {
        if let Some(&at) = self.names.get(name) {
            return at;
        }
        let rules = self.queues[0].rules.clone();
        self.add_queue(name, &rules, false)
    }

    fn add_extra(&mut self, at: u32, summary: &Summary<'_>) {
        let Summary { claim, print, claimed_until, order, origin, .. } = *summary;
        let debounce = if summary.replay { 0 } else { summary.debounce };
        if claim != 0 && !summary.replay {
            self.claims.learn(claim, print, summary.id, claimed_until);
        }
        if (claim, order, debounce, origin) == (0, 0, 0, JobId::NONE) {
            return;
        }
        let queue = self.slots[at].queue;
        let lane = if order == 0 { NONE } else { self.orders.lane(queue, order) };
        let claim = [claim as u64, (claim >> 64) as u64];
        let extra = Extra { lane, debounce, claim, origin, ..Extra::default() };
        self.slots[at].extra = self.extras.put(extra);
        if lane != NONE {
            let file = self.file(at);
            let next = self.orders.join(&self.slots, &mut self.extras, at, file);
            if next != NONE {
                // It was the head until now, perhaps.
                self.unlist(next);
            }
        }
    }

    /// A job is written again, as it stands.
    fn restate(&mut self, at: u32, summary: &Summary<'_>, place: Place) {
        let old = self.slots[at].place.segment;
        if old != place.segment {
            self.leave_segment(at);
            self.segments.entry(place.segment).or_default().append(&mut self.slots, at);
        }
        let slot = &mut self.slots[at];
        slot.place = place;
        slot.attempts = summary.attempts;
        slot.lost = summary.lost;
        // Of one that is picked, nothing is written yet that could be written again.
        let is_written = matches!(slot.stage, Stage::Running | Stage::Handed);
        slot.mark(RESTATED, is_written);
    }

    /// A try failed, and another follows; or a carried record says that this was so.
    fn again(&mut self, at: u32, due: Wall, reason: Reason, status: u16, live: bool) {
        let Slot { stage, marks, .. } = self.slots[at];
        // Of one that is picked no try has begun that could have failed.
        // Of one that runs and is written again, live, its `Start` follows; who reads it at start waits
        // and sees: one whose try was lost had none to be written, and waits.
        let restated = if live { RESTATED } else { 0 };
        let stays = stage == Stage::Picked || marks & (restated | ENDING) != 0;
        if !stays {
            self.withdraw(at);
        }
        let slot = &mut self.slots[at];
        (slot.due, slot.reason, slot.status) = (due, reason, status);
        slot.mark(AT_ONCE, false);
        if !stays {
            slot.mark(RESTATED, false);
        }
        if !stays {
            if live && stage.is_out() {
                self.queues[usize::from(slot.queue)].failed.count(self.clock);
            }
            self.wait(at);
        }
    }

    /// A try begins, or a broker gets it.
    fn begin(&mut self, at: u32, stage: Stage) {
        self.slots[at].attempts = self.slots[at].attempts.saturating_add(1);
        if self.slots[at].has(RESTATED) {
            self.slots[at].mark(RESTATED, false);
            return;
        }
        if (self.slots[at].stage, stage) == (Stage::Running, Stage::Running) {
            // It is read at start, and the try before it ended with an earlier process.
            self.slots[at].lost = self.slots[at].lost.saturating_add(1);
        }
        if self.slots[at].stage == Stage::Waiting {
            // Nobody picked it here: it is read at start.
            self.slots[at].mark(ENDING, false);
            self.take_out(at, stage == Stage::Running);
        }
        let slot = &mut self.slots[at];
        let queue = &mut self.queues[usize::from(slot.queue)];
        match (slot.stage, stage) {
            (Stage::Handed, Stage::Running) => {
                queue.handed -= 1;
                queue.running += 1;
            }
            (Stage::Picked | Stage::Running, Stage::Handed) => {
                queue.running -= 1;
                queue.handed += 1;
                if slot.has(PACED) {
                    slot.mark(PACED, false);
                    queue.pace.leave(slot.has(REPLAY));
                }
            }
            _ => {}
        }
        slot.stage = stage;
    }

    fn finish(&mut self, at: u32, state: State, reason: Reason, live: bool) {
        let was_out = self.slots[at].stage.is_out();
        self.withdraw(at);
        let slot = &self.slots[at];
        let (id, number, replay) = (slot.id, usize::from(slot.queue), self.file(at));
        let clock = self.clock;
        let queue = &mut self.queues[number];
        queue.running -= 1;
        if live {
            queue.finished.count(clock);
            queue.dead += u64::from(state == State::Dead);
            if was_out && state == State::Dead {
                queue.failed.count(clock);
            }
        }
        let blocks = queue.rules.on_dead == OnDead::Block
            && state == State::Dead
            && reason != Reason::Blocked;
        self.leave_segment(at);
        let extra = self.extra(at);
        if let Some(extra) = extra {
            if reason == Reason::NotTaken {
                let [low, high] = self.extras[extra].claim;
                self.claims.drop_of(u128::from(high) << 64 | u128::from(low), id);
            }
            self.undebounce(at);
            if let Some(lane) = self.lane(at) {
                let stays = self.orders.part(&self.slots, &mut self.extras, at, replay);
                let doomed = stays && blocks && self.orders.doom(&self.slots, lane, replay, id);
                if doomed && live {
                    let key = &self.orders.lanes[lane];
                    self.doomed.push_back((key.queue, key.order, replay));
                }
                if stays {
                    self.relist(lane);
                }
            }
            self.extras.remove(extra);
        }
        self.slots.remove(at);
    }

    fn leave_segment(&mut self, at: u32) {
        let segment = self.slots[at].place.segment;
        if let Some(list) = self.segments.get_mut(&segment)
            && is_in::<SEGMENT>(&self.slots, at)
        {
            list.remove(&mut self.slots, at);
            if list.len == 0 {
                self.segments.remove(&segment);
            }
        }
    }
}
