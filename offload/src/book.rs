//! All live jobs in memory, and which is next. Pure: it takes `now`, and knows neither disk nor clock.
//!
//! Facts come in by [`Book::apply`] alone, as records, once they are durable: live and, in the same
//! words, at recovery. Between a decision and its record stand marks that only memory has: a job that
//! is picked, one that is about to end. [`Book::put_back`] takes them away where no record follows.
//!
//! A job costs 88 bytes and some 11 to be found by id; 13 more while it waits for a time, or expires
//! out of order ([`Book::footprint`]). An order, a debounce, a claim or an origin cost only those who
//! have them.
//!
//! The order of ids is the order of acceptance ([`Book::mint`]): it holds across restarts, carried
//! records and clocks that go back.

mod claims;
mod debounce;
mod doors;
mod facts;
mod line;
mod looks;
mod moves;
mod orders;
mod queues;
mod slots;
mod turns;
mod words;

pub use words::*;

use crate::job::JobId;
use crate::settings;
use base::Wall;
use claims::Claims;
use hashbrown::HashTable;
use line::{END, Line, List, SEGMENT};
use orders::Orders;
use queues::Queue;
use slots::{Extra, Pool, Slots};
use std::collections::{BTreeMap, HashMap, VecDeque};

/// All live jobs.
pub struct Book {
    limits: Limits,
    slots: Slots,
    extras: Pool<Extra>,
    queues: Vec<Queue>,
    names: HashMap<String, u16>,
    orders: Orders,
    /// The newest job of each debounce, by queue and key.
    debounces: HashTable<u32>,
    claims: Claims,
    segments: BTreeMap<u32, List<SEGMENT>>,
    /// Those that wait and expire, by when.
    ends: Line<END>,
    /// Those that end without a try, to be told.
    to_end: VecDeque<Ending>,
    /// Lanes with doomed jobs, and the file.
    doomed: VecDeque<(u16, u64, usize)>,
    /// Those that were admitted and are not written yet, and their queues.
    coming: HashMap<JobId, u16>,
    /// The greatest id seen.
    newest: JobId,
    /// The latest time that anybody told.
    clock: Wall,
    /// The log is being read at start.
    is_reading: bool,
    /// The queue that was picked from last.
    last: usize,
}

impl Book {
    /// An empty one. There is at least one queue; the first one's rules hold for jobs of queues that
    /// the settings do not have.
    pub fn new(queues: &[settings::Queue], limits: Limits) -> Self {
        assert!(!queues.is_empty(), "the settings have a queue");
        let mut book = Self {
            limits,
            slots: Slots::new(),
            extras: Pool::new(),
            queues: Vec::new(),
            names: HashMap::new(),
            orders: Orders::new(),
            debounces: HashTable::new(),
            claims: Claims::new(),
            segments: BTreeMap::new(),
            ends: Line::default(),
            to_end: VecDeque::new(),
            doomed: VecDeque::new(),
            coming: HashMap::new(),
            newest: JobId::NONE,
            clock: Wall(0),
            is_reading: false,
            last: 0,
        };
        book.settle(queues, limits);
        book
    }

    /// New settings. Queues are found again by name; jobs of those that are gone keep their queue's
    /// name, and go on by the rules of the first.
    pub fn settle(&mut self, queues: &[settings::Queue], limits: Limits) {
        self.limits = limits;
        let clock = self.clock;
        for rules in queues {
            if let Some(at) = self.queue(&rules.name) {
                self.queues[at].settle(rules, true, clock);
            } else {
                self.add_queue(&rules.name, rules, true);
            }
        }
        for queue in &mut self.queues {
            if !queues.iter().any(|rules| rules.name == queue.name) {
                queue.settle(&queues[0], false, clock);
            }
        }
    }

    fn add_queue(&mut self, name: &str, rules: &settings::Queue, named: bool) -> u16 {
        // More names than that in one process: their jobs are not lost, but lose their name.
        let Ok(at) = u16::try_from(self.queues.len()) else { return 0 };
        self.queues.push(Queue::new(name, rules, named));
        self.names.insert(name.to_owned(), at);
        at
    }

    /// The book's own number of a queue: stays as long as the process, whatever the settings say.
    pub fn queue(&self, name: &str) -> Option<usize> {
        self.names.get(name).map(|&at| usize::from(at))
    }

    /// The rules of a queue, by the book's own number.
    pub fn rules(&self, queue: usize) -> &settings::Queue {
        &self.queues[queue].rules
    }

    /// The name of a queue, by the book's own number. Not that of its rules where it is gone.
    pub fn name(&self, queue: usize) -> &str {
        &self.queues[queue].name
    }

    fn go_to(&mut self, now: Wall) {
        self.clock = self.clock.max(now);
    }
}

#[cfg(test)]
pub(crate) use check::check as facts_check;

#[cfg(test)]
mod check;
#[cfg(test)]
mod tests;
