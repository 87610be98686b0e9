//! What the core is asked, and what it answers: plain data, and who waits for it.

use crate::book::{Full, Limits, NewJob, Picked, Place, Tried};
use crate::cold::Over;
use crate::job::{JobId, Reason, State};
use crate::log::Recovered;
use crate::record::Summary;
use crate::settings::Queue;
use base::{Moment, Wall};
use std::time::Duration;
use tokio::sync::oneshot;

/// A request on its way in.
#[derive(Clone, Debug, Default)]
pub struct New {
    /// The queue it is for.
    pub queue: String,
    /// The service it is for.
    pub service: String,
    /// The route that it came by.
    pub route: String,
    /// Who is told when it is over; empty: nobody.
    pub callback: String,
    /// Not before; 0: at once.
    pub due: Wall,
    /// Not after; 0: whenever.
    pub expires: Wall,
    /// 9 goes first, 0 last.
    pub priority: u8,
    /// Hash of its order key, or 0.
    pub order: u64,
    /// Hash of its debounce key, or 0.
    pub debounce: u64,
    /// Hash of its name, or 0.
    pub claim: u128,
    /// Hash of what it asks.
    pub print: u128,
    /// How long its name holds.
    pub claimed_until: Wall,
    /// The job that it replays or calls back for.
    pub origin: JobId,
    /// Is it a replay?
    pub replay: bool,
    /// When it was asked for, where somebody wants to know how long that took.
    pub asked: Option<Moment>,
}

/// What became of a request on its way in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is durable.
    Yes(JobId),
    /// It was accepted before, under the same name.
    Same(JobId),
    /// Its name belongs to another request.
    Mismatch,
    /// There is no room: what is full, and when to try again.
    Full(Full, Duration),
    /// The disk has no room.
    DiskFull,
    /// The room is closed, for this reason.
    Broken(String),
}

/// What became of the wish to take a job back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancelled {
    /// It is cancelled.
    Yes,
    /// It is being delivered, or is over.
    TooLate(State),
    /// No such job waits here.
    Unknown,
    /// The room is closed.
    Broken,
}

/// What is asked of the room.
#[derive(Debug)]
pub enum Ask {
    /// To keep a request.
    Accept {
        /// What is known of it.
        new: Box<New>,
        /// The request itself.
        request: Vec<u8>,
        /// Who waits.
        reply: oneshot::Sender<Accepted>,
    },
    /// To note what came of a try.
    Tried {
        /// Which job.
        id: JobId,
        /// Which try: what another try has overtaken is not heard.
        attempt: u16,
        /// What came of it.
        tried: Tried,
        /// The answer, where there is one.
        answer: Vec<u8>,
        /// Told when it is durable, or of no use.
        reply: Option<oneshot::Sender<()>>,
    },
    /// To take a job back.
    Cancel {
        /// Which.
        id: JobId,
        /// Who waits.
        reply: oneshot::Sender<Cancelled>,
    },
    /// To take back a job that was handed to a broker which has not taken it, or has lost it.
    GiveBack {
        /// Which.
        id: JobId,
        /// Not to be handed over again for so long.
        pause: Duration,
    },
    /// To make a job that waits for its next try due now.
    Hurry {
        /// Which.
        id: JobId,
        /// Who waits: was there such a job?
        reply: oneshot::Sender<bool>,
    },
    /// To go by other settings.
    Settle(Vec<Queue>, Limits),
}

/// A job that is over, on its way into the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Which.
    pub id: JobId,
    /// How.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// The status of the last answer, or 0.
    pub status: u16,
    /// When.
    pub at: Wall,
    /// How long it is remembered.
    pub until: Wall,
    /// Tries begun.
    pub attempts: u16,
    /// Where its first record is.
    pub accepted: Place,
    /// Where its last record is.
    pub ended: Place,
}

/// What follows from a turn.
#[derive(Debug, Default)]
pub struct Effects {
    /// Deliveries that begin.
    pub begun: Vec<Picked>,
    /// Jobs that are over, in the order of the log.
    pub ended: Vec<Ended>,
    /// Jobs whose state has changed.
    pub changed: Vec<JobId>,
    /// Requests accepted.
    pub accepted: usize,
    /// Records written.
    pub written: usize,
    /// When those were asked for that are accepted now.
    pub asked: Vec<Moment>,
    /// How long it took to make the last batch durable.
    pub appended: Option<Duration>,
    /// Who waits for an answer, and for what.
    pub(super) answers: Vec<(oneshot::Sender<Accepted>, Accepted)>,
    pub(super) cancelled: Vec<(oneshot::Sender<Cancelled>, Cancelled)>,
    pub(super) hurried: Vec<(oneshot::Sender<bool>, bool)>,
    pub(super) noted: Vec<oneshot::Sender<()>>,
}

impl Effects {
    /// What those are told who wanted a request to be kept, until they are told.
    pub fn answered(&self) -> impl Iterator<Item = &Accepted> {
        self.answers.iter().map(|(_, answer)| answer)
    }

    /// Tells everybody who waits; what was counted begins anew.
    pub fn tell(&mut self) {
        (self.accepted, self.written, self.appended) = (0, 0, None);
        self.asked.clear();
        for (reply, answer) in self.answers.drain(..) {
            let _gone = reply.send(answer);
        }
        for (reply, answer) in self.cancelled.drain(..) {
            let _gone = reply.send(answer);
        }
        for (reply, answer) in self.hurried.drain(..) {
            let _gone = reply.send(answer);
        }
        for reply in self.noted.drain(..) {
            let _gone = reply.send(());
        }
    }
}

/// What a restart found.
#[derive(Debug, Default)]
pub struct Found {
    /// Of the log.
    pub log: Recovered,
    /// Jobs that are over and not in the store yet.
    pub ended: Vec<Ended>,
    /// Records that say nothing we know: written by a newer version, or damaged in memory.
    pub unread: u64,
    /// The last record that the store has and that is there. Before what the store says where the end
    /// of the log was lost (`durability = "system"` and a power cut): new records take those places.
    pub applied: Option<(u32, u32)>,
}

/// The room is closed: the disk failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the log of jobs is closed: {0}")]
pub struct Broken(pub String);

impl Ended {
    /// The job with what it was answered; what its first record alone knows is left out.
    pub fn over(&self, queue: String, answer: Vec<u8>) -> Over {
        Over {
            id: self.id,
            state: self.state,
            reason: self.reason,
            status: self.status,
            attempts: self.attempts,
            queue,
            route: String::new(),
            ended: self.at,
            until: self.until,
            origin: JobId::NONE,
            replayed: JobId::NONE,
            answer,
            request: None,
        }
    }
}

impl New {
    /// What the log says of it.
    pub fn summary(&self, id: JobId) -> Summary<'_> {
        Summary {
            id,
            queue: &self.queue,
            service: &self.service,
            route: &self.route,
            callback: &self.callback,
            due: self.due,
            expires: self.expires,
            priority: self.priority,
            order: self.order,
            debounce: self.debounce,
            claim: self.claim,
            print: self.print,
            claimed_until: self.claimed_until,
            attempts: 0,
            lost: 0,
            origin: self.origin,
            replay: self.replay,
        }
    }

    pub(super) fn asks(&self, id: JobId) -> NewJob<'_> {
        super::asks(&self.summary(id))
    }
}
