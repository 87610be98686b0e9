//! A book with somebody who writes its log: what the engine does, without a disk.

use super::super::*;
use crate::job::{Node, Reason, State};
use crate::record::{Record, Summary};
use crate::settings::{Away, OnDead, Pace, Queue, Retry};
use std::time::Duration;

pub(super) const START: Wall = Wall(1_700_000_000_000);

pub(super) fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) fn queue(name: &str) -> Queue {
    Queue {
        name: name.to_owned(),
        broker: None,
        takes: false,
        away: Away::Refuse,
        at_once: 1_000_000,
        rate: None,
        replay_rate: None,
        retry: Retry {
            tries: 5,
            pause: seconds(1),
            growth_percent: 200,
            pause_max: seconds(60),
            on: Retry::standard_statuses(),
            lost_max: 2,
        },
        try_time: seconds(30),
        expires: None,
        jobs_max: 1_000_000,
        age_max: None,
        on_dead: OnDead::Skip,
    }
}

pub(super) fn rate(count: u32, per: Duration) -> Pace {
    Pace { count, per }
}

pub(super) fn limits() -> Limits {
    Limits {
        node: Node::named("a"),
        jobs_max: 10_000_000,
        claims_max: 10_000_000,
        level_up: LEVEL_UP,
    }
}

/// The book, a log of all that was applied, and the time.
pub(super) struct Desk {
    pub(super) book: Book,
    pub(super) queues: Vec<Queue>,
    pub(super) now: Wall,
    pub(super) rng: fastrand::Rng,
    /// Records as bytes, and where they lie.
    pub(super) log: Vec<(Vec<u8>, Place)>,
    next: Place,
}

impl Desk {
    pub(super) fn new(queues: Vec<Queue>) -> Self {
        Self {
            book: Book::new(&queues, limits()),
            queues,
            now: START,
            rng: fastrand::Rng::with_seed(1),
            log: Vec::new(),
            next: Place { segment: 1, offset: 0, summary_len: 100, bulk_len: 1_000 },
        }
    }

    pub(super) fn write(&mut self, record: Record<'_>) -> bool {
        let mut bytes = Vec::new();
        record.write(&mut bytes);
        let place = self.next;
        self.next.offset += 1;
        if self.next.offset == 100 {
            (self.next.segment, self.next.offset) = (self.next.segment + 1, 0);
        }
        self.log.push((bytes, place));
        let known = self.book.apply(&record, place, true);
        super::super::facts_check(&self.book);
        known
    }

    /// Accepts a job into the first queue, with what `change` says of it.
    pub(super) fn accept(&mut self, change: impl FnOnce(&mut Summary<'_>)) -> JobId {
        let id = self.book.mint(self.now, &mut self.rng);
        let name = self.queues[0].name.clone();
        let mut summary = Summary { id, queue: &name, priority: 5, ..Summary::default() };
        change(&mut summary);
        self.write(Record::Accept(summary));
        id
    }

    /// Picks, and begins what was picked.
    pub(super) fn start(&mut self) -> Option<JobId> {
        let picked = self.book.pick(self.now)?;
        let (id, at) = (picked.id, self.now);
        self.write(if picked.hand { Record::Hand { id, at } } else { Record::Start { id, at } });
        Some(id)
    }

    pub(super) fn finish(&mut self, id: JobId, state: State, reason: Reason) {
        let (at, until) = (self.now, self.now + seconds(60));
        self.write(Record::Finish { id, state, reason, status: 0, at, until });
    }

    pub(super) fn succeed(&mut self, id: JobId) {
        self.tried(id, &answered(200));
    }

    /// What came of a try, and what follows.
    pub(super) fn tried(&mut self, id: JobId, tried: &Tried) -> Verdict {
        let verdict = self.book.outcome(id, tried, self.now, &mut self.rng).unwrap();
        let status = match tried {
            Tried::Answered { status, .. } => *status,
            Tried::Failed(_) => 0,
        };
        let (at, until) = (self.now, self.now + seconds(60));
        self.write(match verdict {
            Verdict::Again { due, reason } => Record::Again { id, due, reason, status },
            Verdict::Done { state, reason } => {
                Record::Finish { id, state, reason, status, at, until }
            }
            Verdict::Dead { reason } => {
                Record::Finish { id, state: State::Dead, reason, status, at, until }
            }
        });
        verdict
    }

    /// Finishes all that ends without a try.
    pub(super) fn end(&mut self) -> Vec<Ending> {
        let endings = self.book.endings(self.now, usize::MAX);
        for Ending { id, state, reason } in &endings {
            self.finish(*id, *state, *reason);
        }
        endings
    }

    /// All that can go now.
    pub(super) fn start_all(&mut self) -> Vec<JobId> {
        std::iter::from_fn(|| self.start()).collect()
    }

    /// The process ends, and another reads the log.
    pub(super) fn crash(&mut self) -> Recovered {
        self.book = Book::new(&self.queues, limits());
        for (bytes, place) in &self.log {
            self.book.apply(&crate::record::read(bytes).unwrap(), *place, false);
        }
        let recovered = self.book.recovered(self.now);
        super::super::facts_check(&self.book);
        recovered
    }

    /// Writes a job again, as it stands.
    pub(super) fn restate(&mut self, id: JobId) {
        let place = self.book.place(id).unwrap();
        let (bytes, _) = self.log.iter().find(|(_, at)| *at == place).unwrap().clone();
        let Record::Accept(summary) = crate::record::read(&bytes).unwrap() else { panic!() };
        let carried = self.book.carried(summary).unwrap();
        self.write(Record::Accept(carried.accept));
        for record in carried.then {
            self.write(record);
        }
    }

    pub(super) fn next_segment(&mut self) {
        (self.next.segment, self.next.offset) = (self.next.segment + 1, 0);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.now = self.now + time;
    }

    pub(super) fn view(&self, id: JobId) -> JobView {
        self.book.view(id, self.now).unwrap()
    }
}

pub(super) fn answered(status: u16) -> Tried {
    Tried::Answered { status, retry_after: None }
}
