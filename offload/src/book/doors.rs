//! Who may come in.

use super::queues::Queue;
use super::{Admission, Book, Full, NewJob};
use crate::job::JobId;
use base::Wall;
use std::time::Duration;

const RETRY_MIN: Duration = Duration::from_secs(1);
const RETRY_MAX: Duration = Duration::from_hours(1);
/// The random bits of an id, and those that are left free for what comes in the same millisecond.
const RANDOM_BITS: u32 = 62;

impl Book {
    /// A new id, greater than all that the book has seen, whatever the clock says: the order of ids is
    /// the order of acceptance, also at recovery.
    pub fn mint(&mut self, now: Wall, rng: &mut fastrand::Rng) -> JobId {
        self.go_to(now);
        let mut made = now.max(self.newest.made());
        let mut random = rng.u64(..1 << (RANDOM_BITS - 1));
        if made == self.newest.made() {
            let last = u64::from_be_bytes(self.newest.0[8..].try_into().expect("eight bytes"));
            let next = (last & ((1 << RANDOM_BITS) - 1)) + 1 + rng.u64(..1 << 30);
            if next >> RANDOM_BITS == 0 && self.newest.node() == self.limits.node {
                random = next;
            } else {
                made.0 += 1;
            }
        }
        self.newest = JobId::mint(made, self.limits.node, random << 2);
        self.newest
    }

    /// May this job be accepted? If so, its place and its claim are taken. Replays and callbacks need
    /// not ask.
    pub fn may_accept(&mut self, job: &NewJob<'_>, now: Wall) -> Admission {
        self.go_to(now);
        if job.claim != 0 {
            if let Some(held) = self.claims.get(job.claim, now) {
                return match held.id {
                    _ if !held.has_print(job.print) => Admission::Mismatch,
                    id if self.coming.contains_key(&id) => Admission::Coming(id),
                    id => Admission::Same(id),
                };
            }
            if self.claims.len() >= self.limits.claims_max && self.forget_claims(now, 2) == 0 {
                let wait = self.claims.next().map_or(RETRY_MAX, |next| next.since(now));
                return Admission::Full { what: Full::Claims, retry_after: bounded(wait) };
            }
        }
        let number = self.queue_of(job.queue);
        if let Some(what) = self.full(usize::from(number), now) {
            let retry_after = self.retry_after(usize::from(number), what, now);
            return Admission::Full { what, retry_after };
        }
        if job.claim != 0 {
            self.claims.set(job.claim, job.print, job.id, job.claimed_until);
        }
        if self.coming.insert(job.id, number).is_none() {
            self.queues[usize::from(number)].coming += 1;
        }
        Admission::Yes
    }

    fn full(&self, queue: usize, now: Wall) -> Option<Full> {
        let queue = &self.queues[queue];
        let all: usize = self.queues.iter().map(Queue::depth).sum();
        if queue.depth() >= queue.rules.jobs_max {
            return Some(Full::Queue);
        }
        if all >= self.limits.jobs_max {
            return Some(Full::All);
        }
        let age_max = queue.rules.age_max?;
        let oldest = queue.oldest(&self.slots, now)?;
        (now.since(oldest) > age_max).then_some(Full::Age)
    }

    /// How long it takes until what waits is gone, as fast as it went lately. Where nothing went in the
    /// last minute, one is taken to.
    fn retry_after(&mut self, queue: usize, what: Full, now: Wall) -> Duration {
        let numbers = match what {
            Full::All => 0..self.queues.len(),
            _ => queue..queue + 1,
        };
        let (mut backlog, mut drain) = (0, 0.0);
        for queue in &mut self.queues[numbers] {
            backlog += queue.depth();
            let lately = queue.finished.rate(now, 10);
            drain += if lately > 0.0 { lately } else { queue.finished.rate(now, 60) };
        }
        let seconds = backlog as f64 / drain.max(1.0 / 60.0);
        bounded(Duration::from_secs_f64(seconds.min(RETRY_MAX.as_secs_f64())))
    }

    /// A job that was told `Yes` will not come: its record could not be written.
    pub fn not_accepted(&mut self, job: &NewJob<'_>) {
        if let Some(queue) = self.coming.remove(&job.id) {
            self.queues[usize::from(queue)].coming -= 1;
            self.claims.drop_of(job.claim, job.id);
        }
    }

    /// A claim that is known from elsewhere: the cold store, at start.
    pub fn claim(&mut self, claim: u128, print: u128, id: JobId, until: Wall) {
        self.newest = self.newest.max(id);
        self.claims.learn(claim, print, id, until);
    }

    /// Forgets claims that hold no longer, at most so many; how many it were.
    pub fn forget_claims(&mut self, now: Wall, most: usize) -> usize {
        self.claims.forget(now, most)
    }
}

fn bounded(time: Duration) -> Duration {
    time.clamp(RETRY_MIN, RETRY_MAX)
}
