//! Whose turn it is, when somebody's comes, and what follows a try.

use super::slots::{ENDING, NONE, PACED, PROBE, REPLAY, Stage};
use super::{Book, Cancel, Ending, Permit, Picked, Tried, Verdict};
use crate::job::{JobId, Reason, State};
use crate::retry;
use base::Wall;
use std::time::Duration;

/// Most jobs that a pick passes over because their time is over. Who tells of them (`endings`) comes
/// first, so there are hardly any.
const OVER_MAX: usize = 1_000;

impl Book {
    /// The next job, if one may go: queues in turn; of a queue, normal jobs before replays; of those,
    /// the highest priority, one level gained for each `level_up` waited; then who has waited longest.
    pub fn pick(&mut self, now: Wall) -> Option<Picked> {
        self.go_to(now);
        let queues = self.queues.len();
        for step in 1..=queues {
            let number = (self.last + step) % queues;
            if let Some(at) = self.turn(number, now) {
                self.last = number;
                return Some(self.picked(at, now));
            }
        }
        None
    }

    fn turn(&mut self, number: usize, now: Wall) -> Option<u32> {
        if self.queues[number].held_until > now {
            return None;
        }
        [false, true].into_iter().find_map(|is_replay| {
            let queue = &self.queues[number];
            let may = queue.hands() || queue.pace.next(is_replay, now).is_some_and(|at| at <= now);
            if may { self.first(number, is_replay, now) } else { None }
        })
    }

    fn first(&mut self, number: usize, is_replay: bool, now: Wall) -> Option<u32> {
        let level_up = self.limits.level_up.as_millis() as u64;
        for _ in 0..OVER_MAX {
            let lines = self.queues[number].lines(is_replay);
            let at = lines.first(&self.slots, now, level_up)?;
            if !self.slots[at].is_over(now) {
                return Some(at);
            }
            // It stays among those that expire, to be told.
            self.unlist(at);
        }
        None
    }

    fn picked(&mut self, at: u32, now: Wall) -> Picked {
        self.take_out(at, false);
        let slot = &mut self.slots[at];
        let replay = slot.has(REPLAY);
        let queue = &mut self.queues[usize::from(slot.queue)];
        let hand = queue.hands();
        if !hand {
            let probe = queue.pace.take(replay, now);
            slot.mark(PACED, true);
            slot.mark(PROBE, probe);
        }
        Picked {
            id: slot.id,
            place: slot.place,
            queue: usize::from(slot.queue),
            attempt: slot.attempts.saturating_add(1),
            lost: slot.lost,
            replay,
            hand,
            probe: slot.has(PROBE),
        }
    }

    /// Nothing will be written of a job that was picked, cancelled or told to end: it is as before.
    pub fn put_back(&mut self, id: JobId, now: Wall) {
        self.go_to(now);
        let Some(at) = self.slots.find(id) else { return };
        let slot = &mut self.slots[at];
        match slot.stage {
            Stage::Picked => {
                if slot.has(PACED) {
                    let queue = &mut self.queues[usize::from(slot.queue)];
                    queue.pace.untake(slot.has(REPLAY), slot.has(PROBE), now);
                }
            }
            Stage::Waiting if slot.has(ENDING) => slot.mark(ENDING, false),
            _ => return,
        }
        self.withdraw(at);
        self.wait(at);
        if let Some(lane) = self.lane(at) {
            let (lane, file) = (&self.orders.lanes[lane], self.file(at));
            if lane.files[file].is_doomed(id) {
                self.doomed.push_back((lane.queue, lane.order, file));
            }
        }
    }

    /// When [`Book::pick`] finds something if nothing else happens before: never earlier, never later.
    /// (Earlier if all who could go then are over by then; [`Book::next_ending`] is earlier still.)
    /// `None`: something must happen first.
    pub fn next_wake(&self, now: Wall) -> Option<Wall> {
        let queues = self.queues.iter();
        let wakes = queues.flat_map(|queue| {
            [(false, &queue.normal), (true, &queue.replays)].map(|(is_replay, lines)| {
                let due = lines.next()?;
                let pace = if queue.hands() { now } else { queue.pace.next(is_replay, now)? };
                Some(due.max(pace).max(queue.held_until).max(now))
            })
        });
        wakes.flatten().min()
    }

    /// Jobs that are over without a try, at most so many: expired, replaced by a newer one, blocked by
    /// a dead one, poison. Each is told once, and not picked any more.
    pub fn endings(&mut self, now: Wall, most: usize) -> Vec<Ending> {
        self.go_to(now);
        let mut endings = Vec::new();
        while endings.len() < most
            && let Some(ending) = self.to_end.pop_front()
        {
            let at = self.slots.find(ending.id);
            if at.is_some_and(|at| self.slots[at].has(ENDING)) {
                endings.push(ending);
            }
        }
        while endings.len() < most
            && let Some(&(queue, order, file)) = self.doomed.front()
        {
            if let Some(lane) = self.orders.find(queue, order)
                && !self.doom_of(lane, file, most, &mut endings)
            {
                break;
            }
            self.doomed.pop_front();
        }
        while endings.len() < most
            && let Some(at) = self.ends.first(&self.slots, Wall(u64::MAX))
            && self.slots[at].is_over(now)
        {
            self.set_aside(at);
            let id = self.slots[at].id;
            endings.push(Ending { id, state: State::Expired, reason: Reason::Expired });
        }
        endings
    }

    /// Those of a file that die with one before. True: that were all.
    fn doom_of(&mut self, lane: u32, file: usize, most: usize, endings: &mut Vec<Ending>) -> bool {
        let mut at = self.orders.lanes[lane].files[file].head;
        while at != NONE {
            let (id, extra) = (self.slots[at].id, self.slots[at].extra);
            let next = self.extras[extra].links.next;
            let waits = self.slots[at].stage == Stage::Waiting && !self.slots[at].has(ENDING);
            if waits && self.orders.lanes[lane].files[file].is_doomed(id) {
                if endings.len() >= most {
                    return false;
                }
                self.set_aside(at);
                endings.push(Ending { id, state: State::Dead, reason: Reason::Blocked });
            }
            at = next;
        }
        true
    }

    /// When [`Book::endings`] has something to tell, if nothing else happens before; zero: now.
    pub fn next_ending(&self) -> Option<Wall> {
        if !(self.to_end.is_empty() && self.doomed.is_empty()) {
            return Some(Wall(0));
        }
        let at = self.ends.first(&self.slots, Wall(u64::MAX))?;
        Some(self.slots[at].expires + Duration::from_millis(1))
    }

    /// What follows a try of a job of ours; the lane of its queue learns from it, unless it was a
    /// broker's. `None`: no such job is out.
    pub fn outcome(
        &mut self,
        id: JobId,
        tried: &Tried,
        now: Wall,
        rng: &mut fastrand::Rng,
    ) -> Option<Verdict> {
        self.go_to(now);
        let at = self.slots.find(id)?;
        let slot = &mut self.slots[at];
        if !slot.stage.is_out() {
            return None;
        }
        let queue = &mut self.queues[usize::from(slot.queue)];
        if slot.has(PACED) {
            queue.pace.tell(tried, slot.attempts <= 1, slot.has(PROBE), now);
            slot.mark(PROBE, false);
        }
        let verdict = retry::verdict(&queue.rules.retry, slot.attempts, tried, now, rng);
        if matches!(verdict, Verdict::Again { .. }) && self.is_replaced(at) {
            return Some(Verdict::Done { state: State::Cancelled, reason: Reason::Replaced });
        }
        Some(verdict)
    }

    /// May a job that another gateway owns, taken from the broker, be delivered now? If so, its place is
    /// taken until [`Book::returned`].
    ///
    /// # Errors
    /// When to ask again; `None`: when something has returned.
    pub fn permit(&mut self, queue: usize, now: Wall) -> Result<Permit, Option<Wall>> {
        self.go_to(now);
        let queue_of = &mut self.queues[queue];
        match queue_of.pace.next(false, now) {
            Some(at) if at <= now => {
                queue_of.guests += 1;
                Ok(Permit { queue, probe: queue_of.pace.take(false, now) })
            }
            other => Err(other),
        }
    }

    /// What came of the try of a job that another gateway owns; `None`: it was not tried.
    #[expect(clippy::needless_pass_by_value, reason = "it is of no use any more")]
    pub fn returned(&mut self, permit: Permit, tried: Option<&Tried>, now: Wall) {
        self.go_to(now);
        let Permit { queue, probe } = permit;
        let queue = &mut self.queues[queue];
        match tried {
            Some(tried) => queue.pace.tell(tried, true, probe, now),
            None => queue.pace.untake(false, probe, now),
        }
        queue.pace.leave(false);
        queue.guests -= 1;
    }

    /// Nothing of this queue is picked before `until`: its broker is away.
    pub fn hold(&mut self, queue: usize, until: Wall) {
        self.queues[queue].held_until = until;
    }

    /// May a job be cancelled? If so, it is not picked any more.
    pub fn cancel(&mut self, id: JobId) -> Cancel {
        let Some(at) = self.slots.find(id) else { return Cancel::Unknown };
        match self.slots[at].stage {
            Stage::Handed => Cancel::Handed,
            Stage::Waiting if self.slots[at].has(ENDING) => Cancel::Ending,
            Stage::Waiting => {
                self.set_aside(at);
                Cancel::Yes
            }
            _ => Cancel::Running,
        }
    }
}
