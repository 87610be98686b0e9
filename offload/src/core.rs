//! One turn of the queue in the log: what was asked and what is due becomes one batch of records,
//! is made durable, and only then is true.
//!
//! No thread, no network, and no clock but to tell how long the disk took: the
//! [`engine`](crate::engine) gives it time and acts on its [`Effects`]; a simulation does the same with a
//! disk that fails. The order of a turn:
//!
//! 1. jobs whose turn it is are marked, those that are over by themselves are ended;
//! 2. what was asked is decided, each job at most once a turn (what concerns one already decided, or
//!    a claim that is on its way to the disk, waits for the next turn);
//! 3. all of it is written and synced as one batch;
//! 4. the book learns it, who waits is told, deliveries begin.
//!
//! A batch that the disk has no room for fails the jobs that were to be accepted, and is written
//! without them into the reserve. A disk that fails ends the room: nothing is accepted, started or
//! settled any more, for what a failed sync has written nobody knows.

mod tidy;
mod unstored;
mod words;

pub use words::{Accepted, Ask, Broken, Cancelled, Effects, Ended, Found, New};

use unstored::Unstored;

use crate::book::{
    Admission, Book, Cancel, Ending, JobView, LEVEL_UP, Limits, NewJob, Picked, Place, Tried,
    Verdict,
};
use crate::callback;
use crate::cold::{Claim, Over};
use crate::job::{JobId, Node, Reason, State};
use crate::log::{
    Disk, Entry, Log, LogError, Options, Position, ReadError, Reader, Record as Whole,
};
use crate::record::{self, Record, Summary};
use crate::settings::Settings;
use base::{Moment, Wall};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;

/// Most records of a batch.
const BATCH_RECORDS_MAX: usize = 1_024;
/// Most bytes of a batch, but for the last record in it.
const BATCH_BYTES_MAX: usize = 1 << 20;
/// Below so many bytes of log nothing is carried.
const CARRY_FROM: u64 = 64 << 20;

/// How the log takes a batch.
type Append<D> = fn(&mut Log<D>, &[Entry<'_>], &mut Vec<Position>) -> Result<(), LogError>;

/// One record of a batch, before it is written.
struct Line {
    summary: (usize, usize),
    bulk: Vec<u8>,
    settles: bool,
    then: Then,
}

/// What is to happen when a record is durable.
enum Then {
    Accepted(oneshot::Sender<Accepted>, Option<Moment>),
    Begun(Picked),
    Noted(Option<oneshot::Sender<()>>),
    Cancelled(oneshot::Sender<Cancelled>),
    Hurried(oneshot::Sender<bool>),
    Nothing,
}

#[derive(Default)]
struct Batch {
    summaries: Vec<u8>,
    lines: Vec<Line>,
    bytes: usize,
    /// With so many bytes it is full.
    bytes_max: usize,
    jobs: HashSet<JobId>,
}

impl Batch {
    fn push(&mut self, record: &Record<'_>, bulk: Vec<u8>, settles: bool, then: Then) {
        let from = self.summaries.len();
        record.write(&mut self.summaries);
        self.bytes += self.summaries.len() - from + bulk.len();
        self.jobs.insert(record.id());
        let summary = (from, self.summaries.len());
        self.lines.push(Line { summary, bulk, settles, then });
    }

    fn is_full(&self) -> bool {
        self.lines.len() >= BATCH_RECORDS_MAX || self.bytes >= self.bytes_max
    }

    fn record(&self, line: &Line) -> Record<'_> {
        let summary = &self.summaries[line.summary.0..line.summary.1];
        record::read(summary).expect("it was written here")
    }
}

/// The log with the book that follows it.
pub struct Core<D: Disk> {
    log: Log<D>,
    reader: Reader<D>,
    keep: Duration,
    keep_dead: Duration,
    bytes_max: u64,
    /// Bytes of the records that began the jobs that live.
    live_bytes: u64,
    rng: fastrand::Rng,
    /// What has to wait for the next turn.
    later: VecDeque<Ask>,
    /// What the disk had no room for although it must be written.
    stuck: Batch,
    positions: Vec<Position>,
    /// Below so many bytes of log nothing is carried.
    carry_from: u64,
    /// What the store needs of the log.
    unstored: Unstored,
}

/// What is known of jobs in memory: one lock, so that a job is always in one place or the other.
pub struct Held {
    /// Jobs that live.
    pub book: Book,
    /// Jobs that are over and not in the store yet.
    pub recent: HashMap<JobId, Arc<Over>>,
}

/// What is known, whoever has panicked with it in hand.
pub fn lock(held: &Mutex<Held>) -> MutexGuard<'_, Held> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the book is told of the room.
pub fn limits(settings: &Settings) -> Limits {
    Limits {
        node: Node::named(&settings.node),
        jobs_max: settings.jobs_max,
        claims_max: CLAIMS_MAX,
        level_up: LEVEL_UP,
    }
}

/// Most names of requests that are remembered: some 50 bytes each.
const CLAIMS_MAX: usize = 10_000_000;

impl<D: Disk> Core<D> {
    /// Opens the log and fills the book from it. `applied` is the last record that is in the store.
    ///
    /// # Errors
    /// The log's.
    pub fn open(
        disk: D,
        options: &Options,
        settings: &Settings,
        book: &mut Book,
        applied: Option<(u32, u32)>,
        seed: u64,
    ) -> Result<(Self, Found), LogError> {
        let mut found = Found::default();
        let mut live_bytes = 0;
        let mut last = (0, 0);
        let (log, recovered) = Log::open(disk, options, |position, visit| {
            last = (position.segment, position.offset);
            let Ok(record) = record::read(visit.summary) else {
                found.unread += 1;
                return;
            };
            let place = place(position, visit.summary.len(), visit.bulk_len as usize);
            let over = ended(book, &record, place);
            if let Some(over) = over
                && applied.is_none_or(|applied| (position.segment, position.offset) > applied)
            {
                found.ended.push(over);
            }
            count(&mut live_bytes, book, &record, place);
            book.apply(&record, place, false);
        })?;
        found.log = recovered;
        found.applied = applied.map(|applied| applied.min(last));
        let mut core = Self {
            reader: log.reader(),
            log,
            keep: settings.keep,
            keep_dead: settings.keep_dead,
            bytes_max: settings.bytes_max.0,
            live_bytes,
            rng: fastrand::Rng::with_seed(seed),
            later: VecDeque::new(),
            stuck: Batch::default(),
            positions: Vec::new(),
            carry_from: CARRY_FROM,
            unstored: Unstored::default(),
        };
        found.ended.iter().for_each(|job| core.unstored.add(job));
        Ok((core, found))
    }

    /// An empty batch. An eighth of a segment at most, so that the last record may take the rest.
    fn batch(&self) -> Batch {
        Batch { bytes_max: BATCH_BYTES_MAX.min(self.log.batch_max() / 8), ..Batch::default() }
    }

    /// Is there anything left to do at once?
    pub fn is_behind(&self) -> bool {
        !self.later.is_empty()
    }

    /// Does the disk lack room for what must be written?
    pub fn is_stuck(&self) -> bool {
        !self.stuck.lines.is_empty()
    }

    /// The log itself.
    pub fn log(&self) -> &Log<D> {
        &self.log
    }

    /// One turn; `deliver`: whether jobs may begin.
    ///
    /// # Errors
    /// The disk failed: the room is closed.
    pub fn turn(
        &mut self,
        held: &Mutex<Held>,
        asks: &mut VecDeque<Ask>,
        (now, deliver): (Wall, bool),
        effects: &mut Effects,
    ) -> Result<(), Broken> {
        if self.is_stuck() {
            let stuck = std::mem::take(&mut self.stuck);
            self.write(held, stuck, effects)?;
            if self.is_stuck() {
                self.refuse(asks, effects);
                return Ok(());
            }
        }
        let mut batch = self.batch();
        {
            let mut held = lock(held);
            let book = &mut held.book;
            if deliver {
                pick(book, now, &mut batch);
            }
            for ending in book.endings(now, BATCH_RECORDS_MAX) {
                let Ending { id, state, reason } = ending;
                self.finish(&mut batch, id, (state, reason, 0), now, Vec::new(), Then::Nothing);
            }
            let waiting = self.later.len();
            for turn in 0..waiting + asks.len() {
                if batch.is_full() {
                    break;
                }
                let next = if turn < waiting { self.later.pop_front() } else { asks.pop_front() };
                let Some(ask) = next else { break };
                self.decide(ask, book, now, &mut batch, effects);
            }
        }
        self.write(held, batch, effects)
    }

    #[expect(clippy::too_many_arguments, reason = "an end is how, when, with what, and who waits")]
    fn finish(
        &self,
        batch: &mut Batch,
        id: JobId,
        (state, reason, status): (State, Reason, u16),
        now: Wall,
        answer: Vec<u8>,
        then: Then,
    ) {
        let keep = if state == State::Dead { self.keep_dead } else { self.keep };
        let record = Record::Finish { id, state, reason, status, at: now, until: now + keep };
        batch.push(&record, answer, true, then);
    }

    fn decide(
        &mut self,
        ask: Ask,
        book: &mut Book,
        now: Wall,
        batch: &mut Batch,
        effects: &mut Effects,
    ) {
        let concerns = match &ask {
            Ask::Tried { id, .. }
            | Ask::Cancel { id, .. }
            | Ask::GiveBack { id, .. }
            | Ask::Hurry { id, .. } => Some(id),
            Ask::Accept { .. } | Ask::Settle(..) => None,
        };
        if concerns.is_some_and(|id| batch.jobs.contains(id)) {
            self.later.push_back(ask);
            return;
        }
        match ask {
            Ask::Accept { new, request, reply } => {
                self.accept(new, request, reply, (book, now), batch, effects);
            }
            Ask::Tried { id, attempt, tried, answer, reply } => {
                let view = book.view(id, now).filter(|view| view.attempts == attempt);
                let verdict = view.and_then(|view| self.verdict(book, &view, &tried, now));
                self.note(id, verdict, (status(&tried), answer, reply), now, batch, effects);
            }
            Ask::Cancel { id, reply } => match book.cancel(id) {
                Cancel::Yes => {
                    let how = (State::Cancelled, Reason::Cancelled, 0);
                    self.finish(batch, id, how, now, Vec::new(), Then::Cancelled(reply));
                }
                Cancel::Unknown => effects.cancelled.push((reply, Cancelled::Unknown)),
                Cancel::Running | Cancel::Handed | Cancel::Ending => {
                    let state = book.view(id, now).map_or(State::Running, |view| view.state);
                    effects.cancelled.push((reply, Cancelled::TooLate(state)));
                }
            },
            Ask::GiveBack { id, pause } => {
                if book.view(id, now).is_some_and(|view| view.handed) {
                    let (due, reason) = (now + pause, Reason::NotTaken);
                    let again = Record::Again { id, due, reason, status: 0 };
                    batch.push(&again, Vec::new(), true, Then::Nothing);
                }
            }
            Ask::Hurry { id, reply } => {
                let waits = book.view(id, now).filter(|view| view.state == State::Scheduled);
                if let Some(view) = waits {
                    let (reason, status) = (view.reason, view.status);
                    let again = Record::Again { id, due: now, reason, status };
                    batch.push(&again, Vec::new(), true, Then::Hurried(reply));
                } else {
                    effects.hurried.push((reply, false));
                }
            }
            Ask::Settle(queues, limits) => book.settle(&queues, limits),
        }
    }

    /// What follows a try; of a callback by rules of its own.
    fn verdict(
        &mut self,
        book: &mut Book,
        view: &JobView,
        tried: &Tried,
        now: Wall,
    ) -> Option<Verdict> {
        if book.name(view.queue) != callback::CALLBACKS {
            return book.outcome(view.id, tried, now, &mut self.rng);
        }
        book.outcome(view.id, &callback::lesson(tried), now, &mut self.rng)?;
        let rules = &book.rules(view.queue).retry;
        Some(callback::verdict(rules, view.attempts, tried, now, &mut self.rng))
    }

    /// Notes what came of a try.
    #[expect(clippy::too_many_arguments, reason = "a turn has three parts, and a try its own")]
    fn note(
        &self,
        id: JobId,
        verdict: Option<Verdict>,
        (status, answer, reply): (u16, Vec<u8>, Option<oneshot::Sender<()>>),
        now: Wall,
        batch: &mut Batch,
        effects: &mut Effects,
    ) {
        let then = Then::Noted(reply);
        match verdict {
            Some(Verdict::Again { due, reason }) => {
                batch.push(&Record::Again { id, due, reason, status }, Vec::new(), true, then);
            }
            Some(Verdict::Done { state, reason }) => {
                self.finish(batch, id, (state, reason, status), now, answer, then);
            }
            Some(Verdict::Dead { reason }) => {
                self.finish(batch, id, (State::Dead, reason, status), now, answer, then);
            }
            None => {
                if let Then::Noted(Some(reply)) = then {
                    effects.noted.push(reply);
                }
            }
        }
    }

    #[expect(clippy::too_many_arguments, reason = "a turn has three parts, and a request its own")]
    fn accept(
        &mut self,
        new: Box<New>,
        request: Vec<u8>,
        reply: oneshot::Sender<Accepted>,
        (book, now): (&mut Book, Wall),
        batch: &mut Batch,
        effects: &mut Effects,
    ) {
        // A job that is over is put away when its callback is durable, and what is not put away cannot
        // be freed: a callback goes into the reserve, or a full log would stay full.
        let is_callback = new.service.is_empty();
        let answer = if !is_callback && self.log.bytes_used() >= self.bytes_max {
            Accepted::DiskFull
        } else {
            let id = book.mint(now, &mut self.rng);
            match book.may_accept(&new.asks(id), now) {
                Admission::Yes => {
                    let record = Record::Accept(new.summary(id));
                    batch.push(&record, request, is_callback, Then::Accepted(reply, new.asked));
                    return;
                }
                Admission::Coming(_) => {
                    self.later.push_back(Ask::Accept { new, request, reply });
                    return;
                }
                Admission::Same(id) => Accepted::Same(id),
                Admission::Mismatch => Accepted::Mismatch,
                Admission::Full { what, retry_after } => Accepted::Full(what, retry_after),
            }
        };
        effects.answers.push((reply, answer));
    }

    /// Makes a batch durable, and then true.
    fn write(
        &mut self,
        held: &Mutex<Held>,
        mut batch: Batch,
        effects: &mut Effects,
    ) -> Result<(), Broken> {
        let begun = Moment::now();
        let mut appended = self.append(&batch, Log::append);
        if let Err(LogError::Full { .. }) = appended {
            turn_away(held, &mut batch, effects);
            appended = self.append(&batch, Log::append);
        }
        match appended {
            Ok(()) => {}
            Err(LogError::Full { .. }) => {
                self.stuck = batch;
                return Ok(());
            }
            Err(error) => return Err(broke(batch, effects, &error)),
        }
        if !batch.lines.is_empty() {
            effects.appended = Some(Moment::now().since(begun));
        }
        self.learn(held, batch, effects);
        Ok(())
    }

    /// What was written is true.
    fn learn(&mut self, held: &Mutex<Held>, mut batch: Batch, effects: &mut Effects) {
        effects.written += batch.lines.len();
        let over_before = effects.ended.len();
        let mut held = lock(held);
        let lines = std::mem::take(&mut batch.lines);
        for (line, at) in lines.into_iter().zip(&self.positions) {
            let record = batch.record(&line);
            let at = place(*at, line.summary.1 - line.summary.0, line.bulk.len());
            count(&mut self.live_bytes, &held.book, &record, at);
            apply(&mut held, &record, at, line, effects);
        }
        effects.ended[over_before..].iter().for_each(|job| self.unstored.add(job));
    }

    fn append(&mut self, batch: &Batch, how: Append<D>) -> Result<(), LogError> {
        self.positions.clear();
        if batch.lines.is_empty() {
            return Ok(());
        }
        let entries: Vec<Entry<'_>> = batch
            .lines
            .iter()
            .map(|line| Entry {
                summary: &batch.summaries[line.summary.0..line.summary.1],
                bulk: &line.bulk,
                settles: line.settles,
            })
            .collect();
        how(&mut self.log, &entries, &mut self.positions)
    }

    /// While the disk is full nothing is decided; who wants to come in is told so.
    fn refuse(&mut self, asks: &mut VecDeque<Ask>, effects: &mut Effects) {
        let mut waits = std::mem::take(&mut self.later);
        waits.append(asks);
        for ask in waits {
            match ask {
                Ask::Accept { reply, .. } => effects.answers.push((reply, Accepted::DiskFull)),
                other => self.later.push_back(other),
            }
        }
    }
}

/// Begins what is due.
fn pick(book: &mut Book, now: Wall, batch: &mut Batch) {
    while !batch.is_full()
        && let Some(picked) = book.pick(now)
    {
        let (id, at) = (picked.id, now);
        let record = if picked.hand { Record::Hand { id, at } } else { Record::Start { id, at } };
        batch.push(&record, Vec::new(), true, Then::Begun(picked));
    }
}

/// Takes out of a batch what the disk has no room for, and tells who waits.
fn turn_away(held: &Mutex<Held>, batch: &mut Batch, effects: &mut Effects) {
    let mut held = lock(held);
    let lines = std::mem::take(&mut batch.lines);
    for line in lines {
        if line.settles {
            batch.lines.push(line);
            continue;
        }
        if let Record::Accept(summary) = batch.record(&line) {
            held.book.not_accepted(&asks(&summary));
        }
        if let Then::Accepted(reply, _) = line.then {
            effects.answers.push((reply, Accepted::DiskFull));
        }
    }
}

/// Tells all who wait that the room is closed.
fn broke(batch: Batch, effects: &mut Effects, error: &LogError) -> Broken {
    let why = error.to_string();
    for line in batch.lines {
        match line.then {
            Then::Accepted(reply, _) => {
                effects.answers.push((reply, Accepted::Broken(why.clone())));
            }
            Then::Cancelled(reply) => effects.cancelled.push((reply, Cancelled::Broken)),
            Then::Hurried(reply) => effects.hurried.push((reply, false)),
            Then::Begun(_) | Then::Noted(_) | Then::Nothing => {}
        }
    }
    Broken(why)
}

/// The end of a job that lives, if the record is one.
fn ended(book: &Book, record: &Record<'_>, ended: Place) -> Option<Ended> {
    let Record::Finish { id, state, reason, status, at, until } = *record else { return None };
    let view = book.view(id, at)?;
    let (attempts, accepted) = (view.attempts, view.place);
    Some(Ended { id, state, reason, status, at, until, attempts, accepted, ended })
}

/// Keeps account of the bytes of jobs that live; before the book learns the record.
fn count(live_bytes: &mut u64, book: &Book, record: &Record<'_>, at: Place) {
    let before = book.place(record.id()).map_or(0, |place| length(place) as u64);
    match record {
        Record::Accept(_) => *live_bytes = *live_bytes - before + length(at) as u64,
        Record::Finish { .. } => *live_bytes -= before,
        Record::Start { .. } | Record::Hand { .. } | Record::Again { .. } => {}
    }
}

/// The book learns what is durable, and who waits is told.
fn apply(held: &mut Held, record: &Record<'_>, at: Place, line: Line, effects: &mut Effects) {
    let id = record.id();
    if let Some(over) = ended(&held.book, record, at) {
        effects.ended.push(over);
        let queue = held.book.view(id, over.at).map_or("", |view| held.book.name(view.queue));
        held.recent.insert(id, Arc::new(over.over(queue.to_owned(), line.bulk)));
    }
    held.book.apply(record, at, true);
    effects.changed.push(id);
    match line.then {
        Then::Accepted(reply, asked) => {
            effects.accepted += 1;
            effects.asked.extend(asked);
            effects.answers.push((reply, Accepted::Yes(id)));
        }
        Then::Begun(picked) => effects.begun.push(picked),
        Then::Noted(reply) => effects.noted.extend(reply),
        Then::Cancelled(reply) => effects.cancelled.push((reply, Cancelled::Yes)),
        Then::Hurried(reply) => effects.hurried.push((reply, true)),
        Then::Nothing => {}
    }
}

fn asks<'a>(summary: &Summary<'a>) -> NewJob<'a> {
    let Summary { id, queue, claim, print, claimed_until, .. } = *summary;
    NewJob { id, queue, claim, print, claimed_until }
}

/// The claim of an accepted job, if it made one.
pub fn claim(summary: &Summary<'_>) -> Option<Claim> {
    let Summary { id, claim, print, claimed_until: until, .. } = *summary;
    (claim != 0).then_some(Claim { claim, print, id, until })
}

/// The status that a service answered with, or 0.
fn status(tried: &Tried) -> u16 {
    match tried {
        Tried::Answered { status, .. } => *status,
        Tried::Failed(_) => 0,
    }
}

fn place(position: Position, summary_len: usize, bulk_len: usize) -> Place {
    let Position { segment, offset } = position;
    Place { segment, offset, summary_len: summary_len as u32, bulk_len: bulk_len as u32 }
}

/// Reads a job's first record wherever it lies by now: between a turn and those who read, it may have
/// been carried, and its old place freed.
///
/// # Errors
/// The log's.
pub fn fetch<D: Disk>(
    reader: &Reader<D>,
    held: &Mutex<Held>,
    id: JobId,
    mut at: Place,
) -> Result<Whole, ReadError> {
    loop {
        let read = reader.read(position(at), length(at));
        let Err(ReadError::Gone) = read else { return read };
        let now = lock(held).book.place(id);
        match now.filter(|now| *now != at) {
            Some(now) => at = now,
            None => return read,
        }
    }
}

/// Where the log has a record.
pub fn position(place: Place) -> Position {
    Position { segment: place.segment, offset: place.offset }
}

/// Its bytes.
pub fn length(place: Place) -> usize {
    place.summary_len as usize + place.bulk_len as usize
}

#[cfg(test)]
mod tests;
