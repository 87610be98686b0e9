//! What the log says of jobs, as bytes.
//!
//! A record is a *summary*, which recovery reads, and a *bulk*, which is read only when it is needed:
//! the request of a job, the answer that it got. Numbers are little endian, texts have a length
//! before them. Frames, checksums and order are the log's.
//!
//! A job begins with [`Record::Accept`] and ends with [`Record::Finish`]; what lies between changes
//! its counts. A job whose first record lies in a segment that is to be freed is written again, as
//! it stands, by another `Accept`: who reads a log takes the last one.

use crate::job::{JobId, Reason, State};
use base::Wall;

/// What is kept in memory of a job, and a little more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Summary<'a> {
    /// Which job.
    pub id: JobId,
    /// The queue it waits in, by name: settings may change while it waits.
    pub queue: &'a str,
    /// The service it is for; empty for a callback, whose request has a whole URL.
    pub service: &'a str,
    /// The route that accepted it.
    pub route: &'a str,
    /// Who is told when it is over: a URL, or empty.
    pub callback: &'a str,
    /// Not before this time; 0: at once.
    pub due: Wall,
    /// Not after this time; 0: whenever.
    pub expires: Wall,
    /// 9 goes first, 0 last.
    pub priority: u8,
    /// Jobs with the same order, in the same queue, go one after another; 0: none.
    pub order: u64,
    /// A job replaces those that wait with the same debounce, in the same queue; 0: none.
    pub debounce: u64,
    /// Hash of route, principal and `Idempotency-Key`; 0: none.
    pub claim: u128,
    /// Hash of the request that made the claim.
    pub print: u128,
    /// How long the claim holds.
    pub claimed_until: Wall,
    /// Tries begun.
    pub attempts: u16,
    /// Of them, those that ended with the process.
    pub lost: u16,
    /// The dead job that this one replays, or the job that this one is a callback of.
    pub origin: JobId,
    /// Is it a replay, which goes on its own lane?
    pub replay: bool,
}

/// One fact about a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// It is promised; the bulk is its request.
    Accept(Summary<'a>),
    /// A try begins. Durable before the service is asked.
    Start {
        /// Which job.
        id: JobId,
        /// When.
        at: Wall,
    },
    /// It was handed to a broker, which is to deliver it.
    Hand {
        /// Which job.
        id: JobId,
        /// When.
        at: Wall,
    },
    /// A try failed and another follows.
    Again {
        /// Which job.
        id: JobId,
        /// Not before.
        due: Wall,
        /// Why it failed.
        reason: Reason,
        /// The status that the service answered with, or 0.
        status: u16,
    },
    /// It is over; the bulk is the answer it got, if any.
    Finish {
        /// Which job.
        id: JobId,
        /// How: a final state.
        state: State,
        /// Why.
        reason: Reason,
        /// The status that the service answered with, or 0.
        status: u16,
        /// When.
        at: Wall,
        /// How long this is remembered.
        until: Wall,
    },
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a record of a job")]
pub struct NoRecord;

const ACCEPT: u8 = 1;
const START: u8 = 2;
const HAND: u8 = 3;
const AGAIN: u8 = 4;
const FINISH: u8 = 5;

impl Record<'_> {
    /// Which job it is about.
    pub fn id(&self) -> JobId {
        match self {
            Self::Accept(summary) => summary.id,
            Self::Start { id, .. }
            | Self::Hand { id, .. }
            | Self::Again { id, .. }
            | Self::Finish { id, .. } => *id,
        }
    }

    /// Appends the summary's bytes.
    ///
    /// # Panics
    /// A name is longer than 65,535 bytes; the settings allow 128.
    pub fn write(&self, out: &mut Vec<u8>) {
        let (kind, id) = match self {
            Self::Accept(summary) => (ACCEPT, &summary.id),
            Self::Start { id, .. } => (START, id),
            Self::Hand { id, .. } => (HAND, id),
            Self::Again { id, .. } => (AGAIN, id),
            Self::Finish { id, .. } => (FINISH, id),
        };
        out.push(kind);
        out.extend_from_slice(&id.0);
        match self {
            Self::Accept(summary) => summary.write(out),
            Self::Start { at, .. } | Self::Hand { at, .. } => wall(out, *at),
            Self::Again { due, reason, status, .. } => {
                wall(out, *due);
                out.push(*reason as u8);
                out.extend_from_slice(&status.to_le_bytes());
            }
            Self::Finish { state, reason, status, at, until, .. } => {
                out.push(*state as u8);
                out.push(*reason as u8);
                out.extend_from_slice(&status.to_le_bytes());
                wall(out, *at);
                wall(out, *until);
            }
        }
    }
}

impl Summary<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        for name in [self.queue, self.service, self.route, self.callback] {
            text(out, name);
        }
        for time in [self.due, self.expires, self.claimed_until] {
            wall(out, time);
        }
        out.push(self.priority);
        out.push(u8::from(self.replay));
        for number in [self.order, self.debounce] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.claim, self.print] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.attempts, self.lost] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.origin.0);
    }
}

/// Reads a summary's bytes.
///
/// # Errors
/// They are none.
pub fn read(bytes: &[u8]) -> Result<Record<'_>, NoRecord> {
    let mut reader = Reader(bytes);
    let kind = reader.byte()?;
    let id = JobId(reader.array()?);
    let record = match kind {
        ACCEPT => Record::Accept(summary(id, &mut reader)?),
        START => Record::Start { id, at: reader.wall()? },
        HAND => Record::Hand { id, at: reader.wall()? },
        AGAIN => Record::Again {
            id,
            due: reader.wall()?,
            reason: reader.reason()?,
            status: reader.u16()?,
        },
        FINISH => {
            let state = State::of(reader.byte()?).filter(|s| s.is_final()).ok_or(NoRecord)?;
            let (reason, status) = (reader.reason()?, reader.u16()?);
            Record::Finish { id, state, reason, status, at: reader.wall()?, until: reader.wall()? }
        }
        _ => return Err(NoRecord),
    };
    if reader.0.is_empty() { Ok(record) } else { Err(NoRecord) }
}

fn summary<'a>(id: JobId, reader: &mut Reader<'a>) -> Result<Summary<'a>, NoRecord> {
    let (queue, service, route) = (reader.text()?, reader.text()?, reader.text()?);
    let callback = reader.text()?;
    let (due, expires, claimed_until) = (reader.wall()?, reader.wall()?, reader.wall()?);
    let priority = reader.byte()?;
    let replay = match reader.byte()? {
        0 => false,
        1 => true,
        _ => return Err(NoRecord),
    };
    if priority > 9 {
        return Err(NoRecord);
    }
    Ok(Summary {
        id,
        queue,
        service,
        route,
        callback,
        due,
        expires,
        claimed_until,
        priority,
        replay,
        order: u64::from_le_bytes(reader.array()?),
        debounce: u64::from_le_bytes(reader.array()?),
        claim: u128::from_le_bytes(reader.array()?),
        print: u128::from_le_bytes(reader.array()?),
        attempts: reader.u16()?,
        lost: reader.u16()?,
        origin: JobId(reader.array()?),
    })
}

fn text(out: &mut Vec<u8>, text: &str) {
    let length = u16::try_from(text.len()).expect("names are short");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

fn wall(out: &mut Vec<u8>, time: Wall) {
    out.extend_from_slice(&time.0.to_le_bytes());
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], NoRecord> {
        let (taken, rest) = self.0.split_at_checked(n).ok_or(NoRecord)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NoRecord> {
        self.take(N)?.try_into().map_err(|_| NoRecord)
    }

    fn byte(&mut self) -> Result<u8, NoRecord> {
        Ok(self.array::<1>()?[0])
    }

    fn u16(&mut self) -> Result<u16, NoRecord> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    fn wall(&mut self) -> Result<Wall, NoRecord> {
        Ok(Wall(u64::from_le_bytes(self.array()?)))
    }

    fn reason(&mut self) -> Result<Reason, NoRecord> {
        Reason::of(self.byte()?).ok_or(NoRecord)
    }

    fn text(&mut self) -> Result<&'a str, NoRecord> {
        let length = usize::from(self.u16()?);
        std::str::from_utf8(self.take(length)?).map_err(|_| NoRecord)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> Vec<Record<'static>> {
        let id = JobId([7; 16]);
        let (at, until) = (Wall(1), Wall(u64::MAX));
        let summary = Summary {
            id,
            queue: "mail",
            service: "mailer",
            route: "POST /é",
            callback: "https://a.example/b",
            due: Wall(5),
            expires: Wall(6),
            priority: 9,
            order: 3,
            debounce: u64::MAX,
            claim: 1 << 100,
            print: 2,
            claimed_until: Wall(9),
            attempts: 4,
            lost: 2,
            origin: JobId([1; 16]),
            replay: true,
        };
        let mut all = vec![
            Record::Accept(summary),
            Record::Accept(Summary { id, ..Summary::default() }),
            Record::Start { id, at },
            Record::Hand { id, at },
        ];
        for reason in Reason::ALL {
            all.push(Record::Again { id, due: until, reason: *reason, status: 503 });
        }
        for state in State::ALL.iter().filter(|state| state.is_final()) {
            let reason = Reason::Delivered;
            all.push(Record::Finish { id, state: *state, reason, status: 200, at, until });
        }
        all
    }

    #[test]
    fn what_is_written_is_read() {
        for record in all() {
            let mut bytes = Vec::new();
            record.write(&mut bytes);
            assert_eq!(read(&bytes), Ok(record));
            for cut in 0..bytes.len() {
                assert_eq!(read(&bytes[..cut]), Err(NoRecord), "{record:?} cut at {cut}");
            }
            bytes.push(0);
            assert_eq!(read(&bytes), Err(NoRecord), "{record:?} with a byte more");
        }
    }
}
