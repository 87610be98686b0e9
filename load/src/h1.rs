//! HTTP/1.1: a task for each connection, as many as are needed at once up to a bound, kept for the
//! next request.

use crate::answer::{Answer, Whole};
use crate::dial::{Stream, dial};
use crate::lane::{Job, Lane};
use crate::plan::Protocol;
use crate::report::Failure;
use base::Moment;
use http::Method;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;

const BUFFER_BYTES: usize = 16 * 1024;

/// All connections of a thread.
pub(crate) struct Connections {
    lane: Rc<Lane>,
    /// Most at once.
    max: usize,
    open: Cell<usize>,
    /// By target: who has nothing to do, and what waits.
    idle: Vec<RefCell<Vec<Rc<Slot>>>>,
    waiting: Vec<RefCell<VecDeque<Job>>>,
}

/// Where an idle connection is told what to do; nothing, when it is to make room.
#[derive(Default)]
struct Slot {
    job: Cell<Option<Job>>,
    told: Notify,
}

impl Connections {
    pub(crate) fn new(lane: Rc<Lane>) -> Rc<Self> {
        let targets = lane.plan.targets.len();
        Rc::new(Self {
            max: lane.share(lane.plan.connections_max),
            lane,
            open: Cell::new(0),
            idle: (0..targets).map(|_| RefCell::default()).collect(),
            waiting: (0..targets).map(|_| RefCell::default()).collect(),
        })
    }

    /// Sends a request on an idle connection, or a new one, or as soon as one is free.
    pub(crate) fn offer(self: &Rc<Self>, job: Job) {
        let target = job.arrival.pick.target;
        if let Some(slot) = self.idle[target].borrow_mut().pop() {
            slot.job.set(Some(job));
            slot.told.notify_one();
            return;
        }
        if self.open.get() == self.max && !self.make_room() {
            if job.arrival.counted {
                self.lane.report.borrow_mut().waited += 1;
            }
            self.waiting[target].borrow_mut().push_back(job);
            return;
        }
        self.begin(job);
    }

    fn begin(self: &Rc<Self>, job: Job) {
        self.open.set(self.open.get() + 1);
        tokio::task::spawn_local(Rc::clone(self).serve(job));
    }

    /// Closes an idle connection to another target.
    fn make_room(&self) -> bool {
        let slot = self.idle.iter().find_map(|idle| idle.borrow_mut().pop());
        if let Some(slot) = slot {
            slot.told.notify_one();
            self.open.set(self.open.get() - 1);
            return true;
        }
        false
    }

    /// A connection's life, from its first request on.
    async fn serve(self: Rc<Self>, first: Job) {
        let target = first.arrival.pick.target;
        let mut connection = Connection::new(&self.lane);
        let slot = Rc::new(Slot::default());
        let mut next = Some(first);
        loop {
            let Some(job) = next.take().or_else(|| self.waiting[target].borrow_mut().pop_front())
            else {
                if let Some(other) = self.waiting.iter().find_map(|w| w.borrow_mut().pop_front()) {
                    self.open.set(self.open.get() - 1);
                    self.begin(other);
                    return;
                }
                self.idle[target].borrow_mut().push(Rc::clone(&slot));
                slot.told.notified().await;
                next = slot.job.take();
                if next.is_none() {
                    return;
                }
                continue;
            };
            let result = connection.exchange(&job).await;
            self.lane.note(&job, result, Moment::now());
        }
    }
}

/// A client that waits for its answers, on a connection of its own to each target.
pub(crate) async fn client(lane: Rc<Lane>) {
    let mut connections: Vec<_> =
        lane.plan.targets.iter().map(|_| Connection::new(&lane)).collect();
    while let Some(job) = lane.next_closed(Moment::now()) {
        let result = connections[job.arrival.pick.target].exchange(&job).await;
        lane.note(&job, result, Moment::now());
        if result.is_err() {
            lane.catch_breath().await;
        }
    }
}

/// A place for a connection: opened when it is needed, and again when it broke.
struct Connection<'a> {
    lane: &'a Lane,
    stream: Option<Stream>,
    /// Whether there has been one before.
    was_open: bool,
    out: Vec<u8>,
    buffer: Box<[u8]>,
}

impl<'a> Connection<'a> {
    fn new(lane: &'a Lane) -> Self {
        let buffer = vec![0; BUFFER_BYTES].into();
        Self { lane, stream: None, was_open: false, out: Vec::new(), buffer }
    }

    /// Sends a request and reads the whole answer, in time.
    async fn exchange(&mut self, job: &Job) -> Result<(u16, u64), Failure> {
        let left = self.lane.deadline(job).left(Moment::now());
        let result = if left.is_zero() {
            Err(Failure::Timeout)
        } else {
            let timely = tokio::time::timeout(left, self.ask(job)).await;
            timely.unwrap_or(Err(Failure::Timeout))
        };
        match result {
            Ok(whole) if whole.keep && self.lane.plan.reuse => {}
            // Whatever it was doing, it is not to be used again.
            _ => self.stream = None,
        }
        result.map(|whole| (whole.status, whole.bytes))
    }

    /// On the kept connection if it is open, else on a new one.
    async fn ask(&mut self, job: &Job) -> Result<Whole, Failure> {
        let (pick, number) = (job.arrival.pick, job.arrival.number);
        let method = self.lane.messages.method(pick).clone();
        self.out.clear();
        self.lane.messages.write(pick, number, &mut self.out);
        if self.stream.as_ref().is_some_and(Stream::is_stirring) {
            self.stream = None;
        }
        // A kept connection may be closed while the request is on its way: then once more.
        if self.stream.is_some() {
            let mut answer = Answer::new(method == Method::HEAD);
            let result = self.converse(&mut answer).await;
            if result.is_ok() || !answer.is_untouched() || !method.is_idempotent() {
                return result;
            }
        }
        let target = &self.lane.plan.targets[pick.target];
        self.stream = Some(dial(target, Protocol::Http1).await?);
        self.count_opened();
        self.converse(&mut Answer::new(method == Method::HEAD)).await
    }

    fn count_opened(&mut self) {
        let mut report = self.lane.report.borrow_mut();
        report.connections += 1;
        report.reopened += u64::from(self.was_open && self.lane.plan.reuse);
        self.was_open = true;
    }

    async fn converse(&mut self, answer: &mut Answer) -> Result<Whole, Failure> {
        let stream = self.stream.as_mut().ok_or(Failure::Broken)?;
        stream.write_all(&self.out).await.map_err(|_| Failure::Broken)?;
        stream.flush().await.map_err(|_| Failure::Broken)?;
        loop {
            let length = stream.read(&mut self.buffer).await.map_err(|_| Failure::Broken)?;
            if length == 0 {
                return answer.end().map_err(|_| Failure::Broken);
            }
            let read = answer.feed(&self.buffer[..length]).map_err(|_| Failure::Broken)?;
            if let Some(whole) = read {
                return Ok(whole);
            }
        }
    }
}
