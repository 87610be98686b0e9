//! The store's thread: what is over is put away, its callback asked for, and what is old forgotten.

use super::{AGAIN, CALLBACKS, RECENT_MAX, Shared, TIDY, pack};
use crate::book::Full;
use crate::callback;
use crate::cold::{Claim, Over};
use crate::core::{self, Accepted, Ask, Ended, New, lock};
use crate::job::State;
use crate::record::{self, Record};
use crate::settings::Settings;
use base::{Moment, Wall};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;

/// Most jobs that are written into the store at once.
const WRITE_MAX: usize = 2_048;
/// How long the store waits for more before it writes.
const WRITE_PAUSE: Duration = Duration::from_millis(20);
/// Most that is forgotten at once.
const SWEEP_MAX: usize = 5_000;
/// How long an answer to a callback is remembered, and its claim.
const CALLBACK_CLAIM: Duration = Duration::from_hours(24 * 7);

impl Shared {
    /// The store's thread.
    pub(super) fn keep_store(self: &Arc<Self>, ended: &Receiver<Ended>, found: Vec<Ended>) {
        let mut waiting = VecDeque::from(found);
        let mut swept = Moment::now();
        loop {
            if waiting.is_empty() {
                match ended.recv_timeout(TIDY) {
                    Ok(job) => {
                        waiting.push_back(job);
                        thread::park_timeout(WRITE_PAUSE); // others come meanwhile
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
            }
            waiting.extend(ended.try_iter().take(WRITE_MAX));
            let batch: Vec<Ended> = waiting.iter().take(WRITE_MAX).copied().collect();
            if !batch.is_empty() {
                if self.store_batch(&batch) {
                    waiting.drain(..batch.len());
                } else {
                    thread::park_timeout(AGAIN);
                    if self.stopped.load(Ordering::Acquire) {
                        return; // the log has it, and the next start goes on
                    }
                }
            }
            let now = Moment::now();
            if now.since(swept) >= AGAIN {
                swept = now;
                self.sweep(now.wall_ms());
            }
        }
    }

    fn sweep(&self, now: Wall) {
        lock(&self.held).book.forget_claims(now, SWEEP_MAX);
        match self.cold.sweep(now, SWEEP_MAX) {
            Ok(_) => {}
            Err(error) => (self.say)(&error.to_string()),
        }
        match self.cold.dead() {
            Ok(dead) => self.figures.dead_now(dead),
            Err(error) => (self.say)(&error.to_string()),
        }
    }

    /// Writes jobs that are over into the store; has it worked?
    fn store_batch(&self, batch: &[Ended]) -> bool {
        let mut over = Vec::with_capacity(batch.len());
        let mut claims = Vec::new();
        let mut called = Vec::new();
        for job in batch {
            let (whole, claim, callback) = self.whole(job);
            claims.extend(claim);
            if let Some(url) = callback {
                called.push(self.call_back(job, &whole, &url));
            }
            over.push(whole);
        }
        // A callback is a promise like any other: the job is not put away before it is durable.
        for call in called {
            match call.blocking_recv() {
                Ok(Accepted::Yes(_) | Accepted::Same(_)) => {}
                Ok(answer) if self.gives_up(&answer) => {
                    (self.say)(&format!(
                        "a callback is given up, for there is no room: {answer:?}"
                    ));
                }
                Ok(answer) => {
                    (self.say)(&format!("a callback cannot be queued yet: {answer:?}"));
                    return false;
                }
                Err(_) => return false,
            }
        }
        let Some(last) = batch.last() else { return true };
        let last = (last.ended.segment, last.ended.offset);
        if let Err(error) = self.cold.write(&over, &claims, last) {
            (self.say)(&error.to_string());
            return false;
        }
        self.applied.store(pack(last), Ordering::Release);
        let mut held = lock(&self.held);
        for job in batch {
            held.recent.remove(&job.id);
        }
        true
    }

    /// Is a callback given up that is not accepted? While others wait for room jobs that are over are
    /// not put away, and with too many of them nothing is delivered any more, callbacks included.
    fn gives_up(&self, answer: &Accepted) -> bool {
        match answer {
            Accepted::Full(Full::Queue, _) => true,
            Accepted::Full(..) => lock(&self.held).recent.len() >= RECENT_MAX / 2,
            _ => false,
        }
    }

    /// A job that is over as the store keeps it; its claim; its callback's URL.
    pub(super) fn whole(&self, job: &Ended) -> (Over, Option<Claim>, Option<String>) {
        let read = |at| self.reader.read(core::position(at), core::length(at));
        let recent = lock(&self.held).recent.get(&job.id).cloned();
        let answer = match recent {
            Some(over) => over.answer.clone(),
            None if job.ended.bulk_len == 0 => Vec::new(),
            None => read(job.ended).map(|whole| whole.bulk.to_vec()).unwrap_or_default(),
        };
        let mut over = job.over(String::new(), answer);
        let Ok(first) = read(job.accepted) else { return (over, None, None) };
        let Ok(Record::Accept(summary)) = record::read(&first.summary) else {
            return (over, None, None);
        };
        summary.queue.clone_into(&mut over.queue);
        summary.route.clone_into(&mut over.route);
        over.origin = summary.origin;
        if job.state == State::Dead {
            over.request = Some((first.summary.to_vec(), first.bulk.to_vec()));
        }
        let callback = (!summary.callback.is_empty()).then(|| summary.callback.to_owned());
        (over, core::claim(&summary), callback)
    }

    /// Asks for a job's callback: a job itself, once, however often it is asked for.
    fn call_back(&self, job: &Ended, over: &Over, url: &str) -> oneshot::Receiver<Accepted> {
        let (reply, answer) = oneshot::channel();
        let token = self.minter.token(job.id);
        let Settings { path, node, .. } = &self.settings;
        let request = callback::request(over, url, callback::About { token: &token, path, node });
        let claim = u128::from_be_bytes(job.id.0) ^ u128::MAX;
        let new = Box::new(New {
            queue: CALLBACKS.to_owned(),
            route: over.route.clone(),
            claim,
            print: 1,
            claimed_until: job.at + CALLBACK_CLAIM,
            priority: 5,
            origin: job.id,
            ..New::default()
        });
        self.ask(Ask::Accept { new, request, reply });
        answer
    }
}
