//! What the book tells of itself.

use super::slots::{AT_ONCE, NONE, REPLAY, Slot, Stage};
use super::{Book, Carried, Cursor, Filter, JobView, Page, Place, QueueStats};
use crate::job::{JobId, Reason, State};
use crate::record::{Record, Summary};
use base::Wall;
use std::mem::size_of;

/// Most slots that one page of a list looks at: a millisecond or less.
const LOOKS_MAX: u32 = 32_768;

impl Book {
    /// Where the request of a job lies.
    pub fn place(&self, id: JobId) -> Option<Place> {
        self.slots.find(id).map(|at| self.slots[at].place)
    }

    /// One job.
    pub fn view(&self, id: JobId, now: Wall) -> Option<JobView> {
        self.slots.find(id).map(|at| self.look(at, now))
    }

    fn look(&self, at: u32, now: Wall) -> JobView {
        let slot = &self.slots[at];
        let extra = self.extras_of(at);
        let order = self.lane(at).map_or(0, |lane| self.orders.lanes[lane].order);
        JobView {
            id: slot.id,
            state: match slot.stage {
                Stage::Picked | Stage::Running => State::Running,
                Stage::Waiting if slot.due > now && !slot.has(AT_ONCE) => State::Scheduled,
                _ => State::Queued,
            },
            handed: slot.stage == Stage::Handed,
            queue: usize::from(slot.queue),
            attempts: slot.attempts,
            lost: slot.lost,
            accepted: slot.id.made(),
            due: slot.due,
            expires: slot.expires,
            reason: slot.reason,
            status: slot.status,
            priority: slot.priority,
            order,
            origin: extra.map_or(JobId::NONE, |extra| extra.origin),
            replay: slot.has(REPLAY),
            place: slot.place,
        }
    }

    /// Jobs, at most so many, from a cursor on. It looks at some ten thousand a call.
    pub fn list(&self, filter: Filter, from: Cursor, most: usize, now: Wall) -> Page {
        let end = self.slots.pool.end();
        let stop = end.min(from.0.saturating_add(LOOKS_MAX));
        let mut jobs = Vec::new();
        for at in from.0..stop {
            if self.slots[at].stage == Stage::Free {
                continue;
            }
            let view = self.look(at, now);
            if filter.queue.is_none_or(|queue| queue == view.queue)
                && filter.state.is_none_or(|state| state == view.state)
            {
                if jobs.len() == most {
                    return Page { jobs, next: Some(Cursor(at)) };
                }
                jobs.push(view);
            }
        }
        Page { jobs, next: (stop < end).then_some(Cursor(stop)) }
    }

    /// How the queues stand, by the book's own number.
    pub fn stats(&mut self, now: Wall) -> Vec<QueueStats> {
        self.go_to(now);
        let slots = &self.slots;
        let queues = self.queues.iter_mut();
        queues
            .map(|queue| {
                let scheduled = queue.normal.later(now) + queue.replays.later(now);
                QueueStats {
                    name: queue.name.clone(),
                    named: queue.named,
                    ready: queue.waiting.saturating_sub(scheduled),
                    scheduled,
                    running: queue.running + queue.guests,
                    handed: queue.handed,
                    oldest: queue
                        .oldest(slots, now)
                        .map_or_else(Default::default, |at| now.since(at)),
                    accepted: queue.accepted.total,
                    finished: queue.finished.total,
                    failed: queue.failed.total,
                    dead: queue.dead,
                    accepted_rate: [10, 60].map(|over| queue.accepted.rate(now, over)),
                    finished_rate: [10, 60].map(|over| queue.finished.rate(now, over)),
                    failed_rate: [10, 60].map(|over| queue.failed.rate(now, over)),
                    limit: queue.pace.limit(),
                    paused_until: queue
                        .pace
                        .paused_until(now)
                        .max(Some(queue.held_until).filter(|&until| until > now)),
                    away: queue.pace.is_away(),
                }
            })
            .collect()
    }

    /// How many jobs are alive.
    pub fn len(&self) -> usize {
        self.slots.pool.len()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lowest segment that has the `Accept` of a live job.
    pub fn oldest_segment(&self) -> Option<u32> {
        self.segments.keys().next().copied()
    }

    /// How many live jobs have their `Accept` in this segment.
    pub fn live_in(&self, segment: u32) -> usize {
        self.segments.get(&segment).map_or(0, |list| list.len)
    }

    /// The live jobs whose `Accept` is in this segment, at most so many: to be carried, or the segment
    /// cannot be freed.
    pub fn oldest_live(&self, segment: u32, most: usize) -> Vec<JobId> {
        let mut jobs = Vec::new();
        let mut at = self.segments.get(&segment).map_or(NONE, |list| list.head);
        while at != NONE && jobs.len() < most {
            jobs.push(self.slots[at].id);
            at = self.slots[at].links[super::line::SEGMENT].next;
        }
        jobs
    }

    /// What is to be written to carry a job, given the summary that was read at its place. All of it
    /// goes into one batch, and is then applied, live, like any record. It says how the job stands
    /// *now*: it comes before everything that was decided and is not applied yet.
    pub fn carried<'a>(&self, summary: Summary<'a>) -> Option<Carried<'a>> {
        let at = self.slots.find(summary.id)?;
        let slot = &self.slots[at];
        let id = slot.id;
        let begun = u16::from(matches!(slot.stage, Stage::Running | Stage::Handed));
        let attempts = slot.attempts.saturating_sub(begun);
        let accept = Summary { attempts, lost: slot.lost, ..summary };
        let mut then = Vec::new();
        if slot.reason != Reason::Delivered || slot.due != summary.due && !slot.has(AT_ONCE) {
            let Slot { due, reason, status, .. } = *slot;
            then.push(Record::Again { id, due, reason, status });
        }
        match slot.stage {
            Stage::Running => then.push(Record::Start { id, at: self.clock }),
            Stage::Handed => then.push(Record::Hand { id, at: self.clock }),
            _ => {}
        }
        Some(Carried { accept, then })
    }

    /// Bytes that all this takes, by the capacities of its structures.
    pub fn footprint(&self) -> usize {
        let segments = self.segments.len() * 2 * size_of::<(u32, [usize; 2])>();
        let queues: usize = self.queues.iter().map(super::queues::Queue::footprint).sum();
        self.slots.footprint()
            + self.extras.footprint()
            + self.orders.footprint()
            + self.debounces.allocation_size()
            + self.claims.footprint()
            + self.ends.footprint()
            + queues
            + segments
    }
}
