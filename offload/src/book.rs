//! All live jobs in memory, and which is next. Pure: it takes `now`, and knows neither disk nor clock.
//!
//! Facts come in by [`Book::apply`] alone, as records, once they are durable: live and, in the same
//! words, at recovery. Between a decision and its record stand marks that only memory has: a job that
//! is picked, one that is about to end. [`Book::put_back`] takes them away where no record follows.

mod words;

pub use words::*;

use crate::job::JobId;
use crate::record::{Record, Summary};
use crate::settings::Queue;
use base::Wall;

/// All live jobs.
pub struct Book {
    queues: Vec<Queue>,
    limits: Limits,
}

impl Book {
    /// An empty one. There is at least one queue; the first one's rules hold for jobs of queues that
    /// the settings do not have.
    pub fn new(queues: &[Queue], limits: Limits) -> Self {
        Self { queues: queues.to_vec(), limits }
    }

    /// New settings. Queues are found again by name; jobs of those that are gone keep their queue's
    /// name, and go on by the rules of the first.
    pub fn settle(&mut self, queues: &[Queue], limits: Limits) {
        self.queues = queues.to_vec();
        self.limits = limits;
    }

    /// The book's own number of a queue: stays as long as the process, whatever the settings say.
    pub fn queue(&self, name: &str) -> Option<usize> {
        self.queues.iter().position(|queue| queue.name == name)
    }

    /// The rules of a queue, by the book's own number.
    pub fn rules(&self, queue: usize) -> &Queue {
        &self.queues[queue]
    }

    /// The name of a queue, by the book's own number. Not that of its rules where it is gone.
    pub fn name(&self, queue: usize) -> &str {
        &self.queues[queue].name
    }

    /// A new id, greater than all that the book has seen, whatever the clock says: the order of ids is
    /// the order of acceptance, also at recovery.
    pub fn mint(&mut self, now: Wall, rng: &mut fastrand::Rng) -> JobId {
        JobId::mint(now, self.limits.node, rng.u64(..))
    }

    /// May this job be accepted? If so, its place and its claim are taken. Replays and callbacks need
    /// not ask.
    pub fn may_accept(&mut self, _job: &NewJob<'_>, _now: Wall) -> Admission {
        Admission::Yes
    }

    /// A job that was told `Yes` will not come: its record could not be written.
    pub fn not_accepted(&mut self, _job: &NewJob<'_>) {}

    /// Takes in one fact. `place` is where the record lies, and of use for an `Accept` alone. `live` is
    /// false while the log is read at start. False: it is about a job that the book does not know.
    pub fn apply(&mut self, _record: &Record<'_>, _place: Place, _live: bool) -> bool {
        false
    }

    /// The log has been read to its end. Tries without an end are lost ones.
    pub fn recovered(&mut self, _now: Wall) -> Recovered {
        Recovered::default()
    }

    /// The next job, if one may go.
    pub fn pick(&mut self, _now: Wall) -> Option<Picked> {
        None
    }

    /// Nothing will be written of a job that was picked, cancelled or told to end: it is as before.
    pub fn put_back(&mut self, _id: JobId, _now: Wall) {}

    /// When [`Book::pick`] finds something if nothing else happens before: never earlier, never later.
    /// `None`: something must happen first.
    pub fn next_wake(&mut self, _now: Wall) -> Option<Wall> {
        None
    }

    /// Jobs that are over without a try, at most so many: expired, replaced by a newer one, blocked by
    /// a dead one, poison. Each is told once, and not picked any more.
    pub fn endings(&mut self, _now: Wall, _most: usize) -> Vec<Ending> {
        Vec::new()
    }

    /// When [`Book::endings`] has something to tell, if nothing else happens before.
    pub fn next_ending(&self) -> Option<Wall> {
        None
    }

    /// What follows a try of a job of ours; the lane of its queue learns from it. `None`: no such job
    /// is being delivered.
    pub fn outcome(
        &mut self,
        _id: JobId,
        _tried: &Tried,
        _now: Wall,
        _rng: &mut fastrand::Rng,
    ) -> Option<Verdict> {
        None
    }

    /// May a job that another gateway owns, taken from the broker, be delivered now? If so, its place is
    /// taken until [`Book::returned`]. Else when to ask again, or `None`: when something has returned.
    pub fn permit(&mut self, _queue: usize, _now: Wall) -> Result<(), Option<Wall>> {
        Ok(())
    }

    /// What came of the try of a job that another gateway owns; `None`: it was not tried.
    pub fn returned(&mut self, _queue: usize, _tried: Option<&Tried>, _now: Wall) {}

    /// Nothing of this queue is picked before `until`: its broker is away.
    pub fn hold(&mut self, _queue: usize, _until: Wall) {}

    /// May a job be cancelled? If so, it is not picked any more.
    pub fn cancel(&mut self, _id: JobId) -> Cancel {
        Cancel::Unknown
    }

    /// Where the request of a job lies.
    pub fn place(&self, _id: JobId) -> Option<Place> {
        None
    }

    /// One job.
    pub fn view(&self, _id: JobId, _now: Wall) -> Option<JobView> {
        None
    }

    /// Jobs, at most so many, from a cursor on. It looks at some ten thousand a call.
    pub fn list(&self, _filter: Filter, _from: Cursor, _most: usize, _now: Wall) -> Page {
        Page::default()
    }

    /// How the queues stand, by the book's own number.
    pub fn stats(&mut self, _now: Wall) -> Vec<QueueStats> {
        Vec::new()
    }

    /// How many jobs are alive.
    pub fn len(&self) -> usize {
        0
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lowest segment that has the `Accept` of a live job.
    pub fn oldest_segment(&self) -> Option<u32> {
        None
    }

    /// How many live jobs have their `Accept` in this segment.
    pub fn live_in(&self, _segment: u32) -> usize {
        0
    }

    /// The live jobs whose `Accept` is in this segment, at most so many: to be carried, or the segment
    /// cannot be freed.
    pub fn oldest_live(&self, _segment: u32, _most: usize) -> Vec<JobId> {
        Vec::new()
    }

    /// What is to be written to carry a job, given the summary that was read at its place. All of it
    /// goes into one batch, is then applied, live, like any record.
    pub fn carried<'a>(&self, _summary: Summary<'a>) -> Option<Carried<'a>> {
        None
    }

    /// A claim that is known from elsewhere: the cold store, at start.
    pub fn claim(&mut self, _claim: u128, _print: u128, _id: JobId, _until: Wall) {}

    /// Forgets claims that hold no longer, at most so many; how many it were.
    pub fn forget_claims(&mut self, _now: Wall, _most: usize) -> usize {
        0
    }

    /// Bytes that all this takes, by the capacities of its structures.
    pub fn footprint(&self) -> usize {
        0
    }
}
