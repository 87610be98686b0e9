//! What the book is told and what it answers: plain data.

use crate::job::{JobId, Node, Reason, State};
use base::Wall;
use std::time::Duration;

/// Where the `Accept` of a job lies in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The segment; segments are numbered upwards as they are begun, and freed lowest first.
    pub segment: u32,
    /// The record's first byte in it.
    pub offset: u32,
    /// Bytes of the summary.
    pub summary_len: u32,
    /// Bytes of the bulk behind it.
    pub bulk_len: u32,
}

/// What bounds all queues together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// This gateway, as its ids name it.
    pub node: Node,
    /// Most jobs that wait.
    pub jobs_max: usize,
    /// Most idempotency claims that are held.
    pub claims_max: usize,
    /// A job gains one level of priority for each such time that it has waited.
    pub level_up: Duration,
}

/// [`Limits::level_up`] where nobody says otherwise.
pub const LEVEL_UP: Duration = Duration::from_secs(30);

/// A job that asks to be accepted.
#[derive(Clone, Copy, Debug)]
pub struct NewJob<'a> {
    /// Its id, from [`Book::mint`](super::Book::mint) under the same lock.
    pub id: JobId,
    /// Its queue.
    pub queue: &'a str,
    /// Hash of route, principal and `Idempotency-Key`; 0: none.
    pub claim: u128,
    /// Hash of the request that makes the claim.
    pub print: u128,
    /// How long the claim holds.
    pub claimed_until: Wall,
}

/// May a job be accepted?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// Yes: its place and its claim are kept until its `Accept` is applied or
    /// [`Book::not_accepted`](super::Book::not_accepted) says that it will not come.
    Yes,
    /// The same request was accepted as this job, which may be over.
    Same(JobId),
    /// The same request is being accepted as this job: its record is on its way to the disk.
    Coming(JobId),
    /// Another request has the same claim.
    Mismatch,
    /// There is no room.
    Full {
        /// Of what.
        what: Full,
        /// When to come again: from one second to one hour.
        retry_after: Duration,
    },
}

/// What there is too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Full {
    /// Jobs in the queue.
    Queue,
    /// Jobs in all queues.
    All,
    /// The oldest job that is due has waited for too long.
    Age,
    /// Idempotency claims.
    Claims,
}

impl Full {
    /// Its name on every surface.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queue => "queue",
            Self::All => "all",
            Self::Age => "age",
            Self::Claims => "claims",
        }
    }
}

/// A job whose turn it is. It counts as running from here on; what follows is a `Start` (or a `Hand`)
/// that is durable, or [`Book::put_back`](super::Book::put_back).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picked {
    /// Which.
    pub id: JobId,
    /// Where its request lies.
    pub place: Place,
    /// Its queue, by the book's own number ([`Book::rules`](super::Book::rules)).
    pub queue: usize,
    /// Which try this is; 1 is the first.
    pub attempt: u16,
    /// Tries that ended with the process.
    pub lost: u16,
    /// Is it a replay?
    pub replay: bool,
    /// Is it for the queue's broker, with `Hand`? Else it is for the service, with `Start`.
    pub hand: bool,
    /// Does it find out whether the service is back?
    pub probe: bool,
}

/// What came of one try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// The service answered, whole.
    Answered {
        /// The status.
        status: u16,
        /// What its `Retry-After` asks for.
        retry_after: Option<Duration>,
    },
    /// It did not: `Unreachable`, `Timeout`, `BadAnswer` or `NoService`.
    Failed(Reason),
}

/// What follows a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is over: the answer is what it came for, or a newer job has its place.
    Done {
        /// How.
        state: State,
        /// Why.
        reason: Reason,
    },
    /// Another try.
    Again {
        /// Not before.
        due: Wall,
        /// Why this one failed.
        reason: Reason,
    },
    /// It is given up.
    Dead {
        /// Why the last try failed.
        reason: Reason,
    },
}

/// One delivery for another gateway, until [`Book::returned`](super::Book::returned).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "it takes a place until it is returned"]
pub struct Permit {
    /// The queue, by the book's own number.
    pub(super) queue: usize,
    pub(super) probe: bool,
}

/// A job that is over without a try: to be finished like that by whoever writes the log. It is not
/// picked any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// Which.
    pub id: JobId,
    /// How.
    pub state: State,
    /// Why.
    pub reason: Reason,
}

/// May a job be cancelled?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// Yes: it is not picked any more. What follows is a `Finish`, or
    /// [`Book::put_back`](super::Book::put_back).
    Yes,
    /// It is being delivered.
    Running,
    /// A broker has it.
    Handed,
    /// It is about to end anyhow.
    Ending,
    /// No such job is alive.
    Unknown,
}

/// What recovery found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// Jobs that are alive.
    pub jobs: usize,
    /// Of them, those whose try ended with the process.
    pub lost: usize,
    /// Of those, the ones that are not tried again: [`Book::endings`](super::Book::endings) tells.
    pub given_up: usize,
}

/// One job, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JobView {
    /// Which.
    pub id: JobId,
    /// Where it stands.
    pub state: State,
    /// Has a broker got it?
    pub handed: bool,
    /// Its queue, by the book's own number.
    pub queue: usize,
    /// Tries begun.
    pub attempts: u16,
    /// Of them, those that ended with the process.
    pub lost: u16,
    /// When it was promised.
    pub accepted: Wall,
    /// Not before.
    pub due: Wall,
    /// Not after; 0: whenever.
    pub expires: Wall,
    /// Why the last try failed; `Delivered`: none has.
    pub reason: Reason,
    /// The status that the service answered it with, or 0.
    pub status: u16,
    /// 9 goes first, 0 last.
    pub priority: u8,
    /// Jobs with the same order go one after another; 0: none.
    pub order: u64,
    /// The job that it replays, or is a callback of.
    pub origin: JobId,
    /// Is it a replay?
    pub replay: bool,
    /// Where its request lies.
    pub place: Place,
}

/// Which jobs a list has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this queue, by the book's own number.
    pub queue: Option<usize>,
    /// In this state.
    pub state: Option<State>,
}

/// Where a list goes on; only what [`Page::next`] said means anything. Jobs that live while it is read
/// are listed once; others may be, or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub u32);

/// Part of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// Jobs, in no order that means anything. May be fewer than asked for, even none, before the end.
    pub jobs: Vec<JobView>,
    /// Where it goes on; `None`: this was the end.
    pub next: Option<Cursor>,
}

/// How a queue stands.
#[derive(Clone, Debug, PartialEq)]
pub struct QueueStats {
    /// Its name.
    pub name: String,
    /// Do the settings still have it?
    pub named: bool,
    /// Jobs whose time has come.
    pub ready: usize,
    /// Jobs whose time has not come.
    pub scheduled: usize,
    /// Jobs that are being delivered, by this gateway, those of others included.
    pub running: usize,
    /// Jobs that a broker has.
    pub handed: usize,
    /// How long the oldest job that may go waits since it was due.
    pub oldest: Duration,
    /// Since the start: accepted.
    pub accepted: u64,
    /// Over, however.
    pub finished: u64,
    /// Tries that failed.
    pub failed: u64,
    /// Dead.
    pub dead: u64,
    /// Accepted each second, over the last 10 and 60 seconds.
    pub accepted_rate: [f64; 2],
    /// Over, each second, over the last 10 and 60 seconds: the drain rate.
    pub finished_rate: [f64; 2],
    /// Tries that failed each second, over the last 10 and 60 seconds.
    pub failed_rate: [f64; 2],
    /// How many may run at once, as learned.
    pub limit: usize,
    /// Nothing goes before, if it is held back.
    pub paused_until: Option<Wall>,
    /// Is the service taken to be away?
    pub away: bool,
}

/// A job as its `Accept` is to be written again, and what follows it in the log at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Carried<'a> {
    /// The promise, with what has become of it.
    pub accept: crate::record::Summary<'a>,
    /// What brings a reader of the log to where the job stands: an `Again`, a `Start`, a `Hand`.
    pub then: Vec<crate::record::Record<'a>>,
}
