//! A closed loop of clients that ask until they are told to stop, and count how it went.

use crate::client::Client;
use crate::reading::Problem;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

/// What the clients do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Habit {
    /// Use a connection until the gateway says `Connection: close`.
    Keep,
    /// A connection for each request.
    Once,
    /// Half of the clients the one, half the other.
    Both,
}

/// How a load went.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Requests that were answered 200.
    pub good: usize,
    /// Requests that met the close of an idle connection on which nothing was answered, and were
    /// answered when sent again on another (RFC 9112 §9.5: that race cannot be avoided).
    pub raced: usize,
    /// Requests that failed, and how.
    pub failed: Vec<String>,
}

/// Clients at work.
pub struct Load {
    targets: Arc<Mutex<Vec<SocketAddr>>>,
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    clients: Vec<JoinHandle<Tally>>,
}

impl Load {
    /// Starts `clients` of them. They connect to the first target that accepts connections.
    pub fn start(clients: usize, habit: Habit, targets: &[SocketAddr]) -> Self {
        let targets = Arc::new(Mutex::new(targets.to_vec()));
        let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let start = |number: usize| {
            let keep = habit == Habit::Keep || habit == Habit::Both && number.is_multiple_of(2);
            let (targets, stop, done) =
                (Arc::clone(&targets), Arc::clone(&stop), Arc::clone(&done));
            let mut worker = Worker { targets, keep, client: None, tally: Tally::default() };
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    worker.ask();
                    done.fetch_add(1, Ordering::Relaxed);
                }
                worker.tally
            })
        };
        let clients = (0..clients).map(start).collect();
        Self { targets, stop, done, clients }
    }

    /// Where to connect from now on, in order of preference.
    pub fn aim(&self, targets: &[SocketAddr]) {
        *self.targets.lock().unwrap_or_else(PoisonError::into_inner) = targets.to_vec();
    }

    /// How many requests have ended so far, well or not.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits until `n` more requests have ended.
    #[track_caller]
    pub fn wait_more(&self, n: usize) {
        let (goal, by) = (self.done() + n, crate::patience());
        while self.done() < goal {
            assert!(!by.passed(base::Moment::now()), "the load came to a halt");
            thread::yield_now();
        }
    }

    /// Ends it.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for client in self.clients {
            let tally = client.join().expect("workers do not panic");
            all.good += tally.good;
            all.raced += tally.raced;
            all.failed.extend(tally.failed);
        }
        all
    }
}

struct Worker {
    targets: Arc<Mutex<Vec<SocketAddr>>>,
    keep: bool,
    client: Option<Client>,
    tally: Tally,
}

impl Worker {
    /// One request, sent once more if it met the close of an idle connection.
    fn ask(&mut self) {
        let reused = self.client.is_some();
        let first = self.attempt();
        let idle_close = |p: &Problem| matches!(p, Problem::Closed(false) | Problem::Reset(false));
        match first {
            Ok(()) => self.tally.good += 1,
            Err(Failure::Broken(problem, _)) if reused && idle_close(&problem) => {
                match self.attempt() {
                    Ok(()) => self.tally.raced += 1,
                    Err(failure) => self.fail(&failure),
                }
            }
            Err(failure) => self.fail(&failure),
        }
    }

    fn fail(&mut self, failure: &Failure) {
        self.tally.failed.push(match failure {
            Failure::Nobody => "nobody accepts connections".to_owned(),
            Failure::Broken(problem, transcript) => format!("{problem}\n{transcript}"),
            Failure::Wrong(text) => text.clone(),
        });
    }

    fn attempt(&mut self) -> Result<(), Failure> {
        let client = self.client.take().or_else(|| self.connect());
        let mut client = client.ok_or(Failure::Nobody)?;
        let close = if self.keep { "" } else { "Connection: close\r\n" };
        client.send(format!("GET /load HTTP/1.1\r\nHost: shop.test\r\n{close}\r\n"));
        let broken = |(problem, _), client: &Client| {
            Failure::Broken(problem, client.transcript().to_string())
        };
        let response = client.try_response("GET").map_err(|e| broken(e, &client))?;
        if response.status != 200 {
            return Err(Failure::Wrong(format!("{}\n{}", response.head.line, response.text())));
        }
        if self.keep && !response.closes() {
            self.client = Some(client);
        }
        Ok(())
    }

    fn connect(&self) -> Option<Client> {
        // Tried again: the list may change between reading it and connecting, and a connection that
        // was asked for in the very moment a door closes is refused only after a second.
        (0..5).find_map(|_| {
            let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
            targets.into_iter().find_map(|target| Client::try_connect(target).ok())
        })
    }
}

enum Failure {
    Nobody,
    Broken(Problem, String),
    Wrong(String),
}
