//! The load generator and the origin, in one loop.
//!
//! While measuring, the loop spins: `epoll_wait` with a zero timeout, so that its core neither sleeps
//! nor switches and the proxy never waits for it to wake. Closed loop: every connection sends its next
//! request when the last is answered. Open loop: requests are due when [`Arrivals`] says so, wait for
//! a free connection if they must, and are timed from when they were due.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use base::Moment;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::arrivals::Arrivals;
use crate::client::{Client, Target};
use crate::fault::Error;
use crate::origin::Origin;
use crate::page::Page;
use crate::report::Report;
use crate::usage::{self, Usage};
use crate::verify::{Flaw, Verifier};

/// Wrong responses after which a run is given up.
pub const FLAWS_MAX: u64 = 1_000;
/// Requests that may wait for a connection in the open loop.
const WAITING_MAX: usize = 100_000;
/// Connections an idle run has in the making at a time.
const OPENING_MAX: usize = 64;
/// How long after the window an answer may come in the open loop.
const GRACE: Duration = Duration::from_secs(2);
/// How long an idle run waits for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(10);
const SCRATCH_BYTES: usize = 64 * 1024;
const EVENTS_MAX: usize = 256;

/// Clients have the tokens below.
const ORIGIN_BASE: usize = 1 << 24;
const LISTENER: Token = Token(usize::MAX - 1);
const WAKE: Token = Token(usize::MAX - 2);

/// What to do to the target.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The proxy.
    pub target: Target,
    /// Kept connections.
    pub connections: usize,
    /// Load before the window opens.
    pub warmup: Duration,
    /// Length of the window.
    pub window: Duration,
    /// Closed loop or open.
    pub pace: Pace,
    /// The proxy's processes.
    pub watch: Vec<u32>,
}

/// When the next request is sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// When the last one on the connection is answered.
    Closed,
    /// `rate` times a second, at random moments drawn with `seed`.
    Open {
        /// Requests a second.
        rate: f64,
        /// The same seed is the same load.
        seed: u64,
    },
}

/// Generator and origin.
#[derive(Debug)]
pub struct Generator {
    poll: Poll,
    events: Events,
    scratch: Box<[u8]>,
    origin: Origin,
    clients: Vec<Client>,
    verifier: Verifier,
    request: Vec<u8>,
    /// What the last pass decided.
    outcomes: Vec<(usize, Result<(), Flaw>)>,
    /// Kept here: an eventfd closed by its last owner takes an unseen wake-up with it.
    waker: Arc<Waker>,
}

impl Generator {
    /// Listens as the origin; will ask for `page`.
    pub fn listen(origin: SocketAddr, page: Page) -> Result<Self, Error> {
        let poll = Poll::new()?;
        let origin = Origin::listen(origin, poll.registry(), LISTENER, ORIGIN_BASE)?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKE)?);
        Ok(Self {
            waker,
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            scratch: vec![0; SCRATCH_BYTES].into_boxed_slice(),
            origin,
            clients: Vec::new(),
            verifier: Verifier::new(200, page.body()),
            request: page.request("localhost"),
            outcomes: Vec::with_capacity(EVENTS_MAX),
        })
    }

    /// Where the origin listens.
    pub fn origin_address(&self) -> SocketAddr {
        self.origin.address()
    }

    /// Requests the origin answered so far.
    pub fn origin_answered(&self) -> u64 {
        self.origin.answered()
    }

    /// Runs the plan and reports its window.
    pub fn run(&mut self, plan: &Plan) -> Result<Report, Error> {
        for _ in 0..plan.connections {
            self.open(&plan.target)?;
        }
        match plan.pace {
            Pace::Closed => self.run_closed(plan),
            Pace::Open { rate, seed } => self.run_open(plan, rate, seed),
        }
    }

    fn run_closed(&mut self, plan: &Plan) -> Result<Report, Error> {
        let mut report = Report::new();
        let mut window: Option<Window> = None;
        let start = Moment::now();
        for index in 0..self.clients.len() {
            self.send(index, start, &plan.target, &mut report)?;
        }
        loop {
            let now = Moment::now();
            match &window {
                None if now.since(start) >= plan.warmup => {
                    window = Some(Window::open(&plan.watch, &self.origin)?);
                    report.restart();
                }
                Some(window) if now.since(window.began) >= plan.window => {
                    window.close(&plan.watch, &self.origin, &mut report)?;
                    return Ok(report);
                }
                _ => {}
            }
            self.pass(Some(Duration::ZERO))?;
            for k in 0..self.outcomes.len() {
                let (index, outcome) = self.outcomes[k];
                let now = Moment::now();
                if let Some(intended) = self.settle(index, outcome, &plan.target, &mut report)? {
                    report.requests += 1;
                    report.record(now.since(intended));
                }
                self.send(index, now, &plan.target, &mut report)?;
            }
        }
    }

    fn run_open(&mut self, plan: &Plan, rate: f64, seed: u64) -> Result<Report, Error> {
        let mut report = Report::new();
        let mut window: Option<Window> = None;
        let mut closed = false;
        let start = Moment::now();
        let (begin, end) = (start + plan.warmup, start + plan.warmup + plan.window);
        let mut arrivals = Arrivals::new(seed, rate, start).take_while(|&due| due < end).peekable();
        let mut waiting: VecDeque<Moment> = VecDeque::new();
        let mut idle: VecDeque<usize> = (0..self.clients.len()).collect();
        loop {
            let now = Moment::now();
            if window.is_none() && now >= begin {
                window = Some(Window::open(&plan.watch, &self.origin)?);
                report.requests = 0;
            }
            if let Some(window) = window.as_ref().filter(|_| !closed && now >= end) {
                window.close(&plan.watch, &self.origin, &mut report)?;
                closed = true;
            }
            let done = closed && waiting.is_empty() && idle.len() == self.clients.len();
            if done || now >= end + GRACE {
                let silent = waiting.len() + self.clients.len() - idle.len();
                (0..silent).for_each(|_| report.blame(Flaw::Silent));
                return Ok(report);
            }
            while let Some(due) = arrivals.next_if(|&due| due <= now) {
                if waiting.len() < WAITING_MAX {
                    waiting.push_back(due);
                } else {
                    report.blame(Flaw::Unsent);
                }
            }
            while let (Some(&due), Some(&index)) = (waiting.front(), idle.front()) {
                waiting.pop_front();
                idle.pop_front();
                if !self.send(index, due, &plan.target, &mut report)? {
                    idle.push_back(index);
                }
            }
            self.pass(Some(Duration::ZERO))?;
            for k in 0..self.outcomes.len() {
                let (index, outcome) = self.outcomes[k];
                let now = Moment::now();
                let busy = self.clients[index].intended.is_some();
                if let Some(intended) = self.settle(index, outcome, &plan.target, &mut report)? {
                    report.requests += u64::from(!closed);
                    if intended >= begin {
                        report.record(now.since(intended));
                    }
                }
                if busy {
                    idle.push_back(index);
                }
            }
        }
    }

    /// Opens `count` connections, asks once on each, and keeps them until `released`.
    ///
    /// Calls `held` when all are open and idle. The report counts the answers, and as
    /// [`Flaw::Closed`] the connections the proxy ended meanwhile.
    pub fn hold(
        &mut self,
        target: &Target,
        count: usize,
        released: &AtomicBool,
        held: impl FnOnce(&Report),
    ) -> Result<Report, Error> {
        let mut report = Report::new();
        let mut open = 0;
        let mut last = Moment::now();
        while open < count || self.clients.iter().any(|client| client.intended.is_some()) {
            if open < count && open - (report.requests + report.errors()) as usize <= OPENING_MAX {
                let index = self.open(target)?;
                open += 1;
                self.send(index, Moment::now(), target, &mut report)?;
            }
            self.pass(Some(Duration::from_millis(u64::from(open == count))))?;
            for k in 0..self.outcomes.len() {
                let (index, outcome) = self.outcomes[k];
                last = Moment::now();
                if self.settle(index, outcome, target, &mut report)?.is_some() {
                    report.requests += 1;
                }
            }
            if Moment::now().since(last) > ANSWER_MAX {
                report.blame(Flaw::Silent);
                return Ok(report);
            }
        }
        held(&report);
        while !released.load(Ordering::Acquire) {
            self.pass(None)?;
            for k in 0..self.outcomes.len() {
                report.blame(Flaw::Closed);
                let (index, _) = self.outcomes[k];
                self.poll.registry().deregister(&mut self.clients[index].stream)?;
            }
        }
        Ok(report)
    }

    /// Is the origin and nothing else, asleep when there is nothing to do, until `released`.
    pub fn serve(&mut self, released: &AtomicBool) -> Result<(), Error> {
        while !released.load(Ordering::Acquire) {
            self.pass(None)?;
        }
        Ok(())
    }

    /// Ends the sleep of [`hold`](Self::hold) and [`serve`](Self::serve) from another thread.
    pub fn waker(&self) -> Arc<Waker> {
        Arc::clone(&self.waker)
    }

    /// One round of the loop; what it decided is in `outcomes`.
    fn pass(&mut self, timeout: Option<Duration>) -> Result<(), Error> {
        self.outcomes.clear();
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error.into()),
        }
        for event in &self.events {
            match event.token() {
                LISTENER => self.origin.accept(self.poll.registry())?,
                WAKE => {}
                Token(token) if token >= ORIGIN_BASE => {
                    self.origin.serve(event, self.poll.registry(), &mut self.scratch);
                }
                Token(index) => {
                    let client = &mut self.clients[index];
                    if let Some(outcome) = client.receive(&mut self.scratch, &mut self.verifier) {
                        self.outcomes.push((index, outcome));
                    }
                }
            }
        }
        Ok(())
    }

    fn open(&mut self, target: &Target) -> Result<usize, Error> {
        let index = self.clients.len();
        let mut client = Client::connect(target, index)?;
        self.poll.registry().register(&mut client.stream, Token(index), Interest::READABLE)?;
        self.clients.push(client);
        Ok(index)
    }

    /// Sends a request due at `intended`. On a broken connection: blames, replaces, `false`.
    fn send(
        &mut self,
        index: usize,
        intended: Moment,
        target: &Target,
        report: &mut Report,
    ) -> Result<bool, Error> {
        match self.clients[index].send(&self.request, intended) {
            Ok(()) => Ok(true),
            Err(flaw) => self.replace(index, flaw, target, report).map(|()| false),
        }
    }

    /// Takes the request off the connection; when it was meant to start, if the response was right.
    fn settle(
        &mut self,
        index: usize,
        outcome: Result<(), Flaw>,
        target: &Target,
        report: &mut Report,
    ) -> Result<Option<Moment>, Error> {
        match outcome {
            Ok(()) => Ok(self.clients[index].intended.take()),
            Err(flaw) => self.replace(index, flaw, target, report).map(|()| None),
        }
    }

    fn replace(
        &mut self,
        index: usize,
        flaw: Flaw,
        target: &Target,
        report: &mut Report,
    ) -> Result<(), Error> {
        report.blame(flaw);
        if report.errors() > FLAWS_MAX {
            return Err(Error::Flawed { count: report.errors(), last: flaw.name() });
        }
        let mut client = Client::connect(target, index)?;
        self.poll.registry().register(&mut client.stream, Token(index), Interest::READABLE)?;
        self.clients[index] = client;
        Ok(())
    }
}

/// The measured part of a run: where it began, and what had been used by then.
struct Window {
    began: Moment,
    watched: Usage,
    own: Usage,
    answered: u64,
}

impl Window {
    fn open(watch: &[u32], origin: &Origin) -> Result<Self, Error> {
        let watched = usage::of(watch)?;
        let own = usage::of(&[std::process::id()])?;
        Ok(Self { began: Moment::now(), watched, own, answered: origin.answered() })
    }

    fn close(&self, watch: &[u32], origin: &Origin, report: &mut Report) -> Result<(), Error> {
        report.origin = origin.answered() - self.answered;
        report.watched = usage::of(watch)? - self.watched;
        report.own = usage::of(&[std::process::id()])? - self.own;
        report.window = Moment::now().since(self.began);
        Ok(())
    }
}
