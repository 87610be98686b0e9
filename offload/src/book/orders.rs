//! Jobs that go one after another: a lane for each order of a queue, while it has jobs.
//!
//! Of a lane only heads are in the lines of their queue, and none while one is out: so two are never
//! out at once, and none goes before who was accepted before. Replays come from another time; they have
//! a file of their own in the lane, so that normal jobs wait for one that is out, and for no other.

use super::line::is_in;
use super::slots::{Extra, Links, NONE, Pool, Slots, mix};
use crate::job::JobId;
use hashbrown::HashTable;

/// One lane.
#[derive(Debug)]
pub(super) struct Lane {
    pub(super) queue: u16,
    pub(super) order: u64,
    /// Who is out.
    pub(super) busy: u32,
    /// Normal jobs, replays.
    pub(super) files: [File; 2],
}

impl Default for Lane {
    fn default() -> Self {
        Self { queue: 0, order: 0, busy: NONE, files: [File::default(), File::default()] }
    }
}

/// Jobs in the order of their ids.
#[derive(Debug)]
pub(super) struct File {
    pub(super) head: u32,
    tail: u32,
    /// Those after the first and up to the second die with one that died.
    doomed: (JobId, JobId),
}

impl Default for File {
    fn default() -> Self {
        Self { head: NONE, tail: NONE, doomed: (JobId::NONE, JobId::NONE) }
    }
}

impl File {
    pub(super) fn is_doomed(&self, id: JobId) -> bool {
        self.doomed.0 < id && id <= self.doomed.1
    }
}

pub(super) struct Orders {
    pub(super) lanes: Pool<Lane>,
    table: HashTable<u32>,
}

impl Orders {
    pub(super) fn new() -> Self {
        Self { lanes: Pool::new(), table: HashTable::new() }
    }

    /// The lane of this order; a new one if need be.
    pub(super) fn lane(&mut self, queue: u16, order: u64) -> u32 {
        if let Some(at) = self.find(queue, order) {
            return at;
        }
        let lanes = &mut self.lanes;
        let at = lanes.put(Lane { queue, order, ..Lane::default() });
        self.table
            .insert_unique(hash(queue, order), at, |&at| hash(lanes[at].queue, lanes[at].order));
        at
    }

    /// Takes a job into the lane that its extra names, in the order of ids; who comes after it, if any.
    pub(super) fn join(
        &mut self,
        slots: &Slots,
        extras: &mut Pool<Extra>,
        at: u32,
        file: usize,
    ) -> u32 {
        let (id, extra) = (slots[at].id, slots[at].extra);
        let file = &mut self.lanes[extras[extra].lane].files[file];
        // Nearly always the last one comes last.
        let mut prev = file.tail;
        while prev != NONE && id < slots[prev].id {
            prev = extras[slots[prev].extra].links.prev;
        }
        let next = if prev == NONE {
            std::mem::replace(&mut file.head, at)
        } else {
            std::mem::replace(&mut extras[slots[prev].extra].links.next, at)
        };
        if next == NONE {
            file.tail = at;
        } else {
            extras[slots[next].extra].links.prev = at;
        }
        extras[extra].links = Links { prev, next };
        next
    }

    /// Lets a job go; the lane goes with the last one. True: the lane is still there.
    pub(super) fn part(
        &mut self,
        slots: &Slots,
        extras: &mut Pool<Extra>,
        at: u32,
        file: usize,
    ) -> bool {
        let extra = slots[at].extra;
        let (number, Links { prev, next }) = (extras[extra].lane, extras[extra].links);
        let lane = &mut self.lanes[number];
        let file = &mut lane.files[file];
        match prev {
            NONE => file.head = next,
            prev => extras[slots[prev].extra].links.next = next,
        }
        match next {
            NONE => file.tail = prev,
            next => extras[slots[next].extra].links.prev = prev,
        }
        extras[extra].links = Links::default();
        if lane.busy == at {
            lane.busy = NONE;
        }
        if lane.files.iter().any(|file| file.head != NONE) {
            return true;
        }
        let key = hash(lane.queue, lane.order);
        if let Ok(entry) = self.table.find_entry(key, |&other| other == number) {
            entry.remove();
        }
        self.lanes.remove(number);
        false
    }

    /// Whoever waits in this file now, and came after the one that died, is doomed. False: nobody is.
    pub(super) fn doom(&mut self, slots: &Slots, lane: u32, file: usize, dead: JobId) -> bool {
        let file = &mut self.lanes[lane].files[file];
        if file.tail == NONE || slots[file.tail].id <= dead {
            return false;
        }
        // Those of a death before that are still here stay doomed.
        let first =
            if file.is_doomed(slots[file.head].id) { file.doomed.0.min(dead) } else { dead };
        file.doomed = (first, slots[file.tail].id);
        true
    }

    /// Lanes that may have doomed jobs, and which file.
    pub(super) fn doomed(&self) -> Vec<(u32, usize)> {
        let files = (0..self.lanes.end()).flat_map(|lane| [(lane, 0), (lane, 1)]);
        files.filter(|&(lane, file)| self.lanes[lane].files[file].doomed.1 > JobId::NONE).collect()
    }

    /// The lane of this order, if it has jobs.
    pub(super) fn find(&self, queue: u16, order: u64) -> Option<u32> {
        let is_it = |&at: &u32| (self.lanes[at].queue, self.lanes[at].order) == (queue, order);
        self.table.find(hash(queue, order), is_it).copied()
    }

    /// May this job be in the lines of its queue?
    pub(super) fn lets(&self, slots: &Slots, lane: u32, file: usize, at: u32) -> bool {
        let lane = &self.lanes[lane];
        let file = &lane.files[file];
        lane.busy == NONE && file.head == at && !file.is_doomed(slots[at].id)
    }

    pub(super) fn footprint(&self) -> usize {
        self.lanes.footprint() + self.table.allocation_size()
    }
}

/// Is it in the lines of its queue?
pub(super) fn is_listed(slots: &Slots, at: u32) -> bool {
    is_in::<{ super::line::TURN }>(slots, at)
}

fn hash(queue: u16, order: u64) -> u64 {
    mix(order ^ u64::from(queue) << 48)
}
