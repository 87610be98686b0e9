//! One fetch for a crowd: who asks, who waits, and what those who wait are told.
//!
//! Whoever comes first for a key leads: its fetch runs in a task of its own, so that it outlives the
//! client that caused it. All others wait for the leader's [`Outcome`] and are woken by it, on
//! whatever thread they are. A leader that is dropped without an outcome is lost, and whoever comes
//! next leads. Nothing here decides whether an outcome may be used by somebody: that is
//! `policy::may_share` and `policy::judge`, the same as for what lies in store.

use crate::entry::Entry;
use base::FaultKind;
use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// How a fetch ended, as far as those who wait for it are concerned.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// There is an entry; its body may still be coming.
    Entry(Arc<Entry>),
    /// The service failed, but this entry may still be served.
    Stale(Arc<Entry>),
    /// The answer is one client's alone.
    Private,
    /// The service failed.
    Failed(FaultKind, Arc<str>),
    /// The leader is gone.
    Lost,
}

/// One fetch under way.
#[derive(Debug, Default)]
pub struct Fill {
    state: Mutex<State>,
    /// What was purged when it began: who comes after a purge does not wait for what was asked before
    /// it.
    began: Began,
}

/// What the counters of purges said when a fetch began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Began {
    /// [`crate::stamps::Stamps::now`].
    pub stamp: u64,
    /// [`crate::stamps::Stamps::tag_epoch`].
    pub tag_epoch: u64,
}

#[derive(Debug, Default)]
struct State {
    outcome: Option<Outcome>,
    waiting: Vec<Option<Waker>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One who waits.
#[derive(Debug)]
pub struct Waiter {
    fill: Arc<Fill>,
    seat: usize,
}

impl Waiter {
    /// Waits for the outcome.
    pub fn poll(&self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = lock(&self.fill.state);
        if let Some(outcome) = &state.outcome {
            return Poll::Ready(outcome.clone());
        }
        match &mut state.waiting[self.seat] {
            Some(waker) => waker.clone_from(cx.waker()),
            empty => *empty = Some(cx.waker().clone()),
        }
        Poll::Pending
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        let gone = lock(&self.fill.state).waiting.get_mut(self.seat).and_then(Option::take);
        drop(gone);
    }
}

/// A hasher for keys that are hashes already.
#[derive(Default)]
pub struct Plain(u64);

impl Hasher for Plain {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0 << 8 | u64::from(*byte);
        }
    }
    fn write_u128(&mut self, key: u128) {
        self.0 = key as u64;
    }
}

type Map = HashMap<u128, Arc<Fill>, BuildHasherDefault<Plain>>;

const SHARDS: usize = 64;

/// All fetches under way.
pub struct Fills {
    shards: Box<[Mutex<Map>]>,
}

impl fmt::Debug for Fills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fills")
    }
}

impl Default for Fills {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

/// What somebody is who asks for a key.
#[derive(Debug)]
pub enum Joined {
    /// The first: it fetches.
    Leads(Lead, Waiter),
    /// One of those who wait.
    Waits(Waiter),
}

impl Fills {
    fn shard(&self, key: u128) -> &Mutex<Map> {
        &self.shards[(key >> 64) as usize % SHARDS]
    }

    /// Joins the fetch for this key, if nothing was purged since that it may be about (`is_good`), or
    /// leads one.
    pub fn join(
        self: &Arc<Self>,
        key: u128,
        now: Began,
        is_good: impl Fn(Began) -> bool,
    ) -> Joined {
        let mut map = lock(self.shard(key));
        if let Some(fill) = map.get(&key).filter(|fill| is_good(fill.began)) {
            return Joined::Waits(Fill::seat(fill));
        }
        let fill = Arc::new(Fill { began: now, ..Fill::default() });
        map.insert(key, Arc::clone(&fill));
        drop(map);
        let waiter = Fill::seat(&fill);
        Joined::Leads(Lead { fills: Arc::clone(self), key, fill }, waiter)
    }

    /// Leads a fetch for this key, unless there is one.
    pub fn lead(
        self: &Arc<Self>,
        key: u128,
        now: Began,
        is_good: impl Fn(Began) -> bool,
    ) -> Option<Lead> {
        let mut map = lock(self.shard(key));
        if map.get(&key).is_some_and(|fill| is_good(fill.began)) {
            return None;
        }
        let fill = Arc::new(Fill { began: now, ..Fill::default() });
        map.insert(key, Arc::clone(&fill));
        Some(Lead { fills: Arc::clone(self), key, fill: Arc::clone(&fill) })
    }

    /// How many fetches are under way.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| lock(shard).len()).sum()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Fill {
    fn seat(fill: &Arc<Self>) -> Waiter {
        let mut state = lock(&fill.state);
        // Who comes when the outcome is known waits for nothing.
        let seat = if state.outcome.is_some() { usize::MAX } else { state.waiting.len() };
        if state.outcome.is_none() {
            state.waiting.push(None);
        }
        drop(state);
        Waiter { fill: Arc::clone(fill), seat }
    }
}

/// The right, and the duty, to fetch for a key. As long as it is held others wait, or get the outcome
/// that it told; dropping it lets the next one lead.
#[derive(Debug)]
pub struct Lead {
    fills: Arc<Fills>,
    key: u128,
    fill: Arc<Fill>,
}

impl Lead {
    /// Tells the outcome and ends: whoever comes from now on leads anew.
    pub fn end(self, outcome: Outcome) {
        self.leave();
        self.tell(outcome);
    }

    /// Takes the fetch off the list of those under way.
    fn leave(&self) {
        let mut map = lock(self.fills.shard(self.key));
        // Another may have taken over after a purge.
        if map.get(&self.key).is_some_and(|fill| Arc::ptr_eq(fill, &self.fill)) {
            map.remove(&self.key);
        }
    }

    /// Tells the outcome, once; whoever comes as long as this is held hears it too.
    pub fn tell(&self, outcome: Outcome) {
        let woken = {
            let mut state = lock(&self.fill.state);
            state.outcome.get_or_insert(outcome);
            std::mem::take(&mut state.waiting)
        };
        woken.into_iter().flatten().for_each(Waker::wake);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        self.leave();
        self.tell(Outcome::Lost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stamp: u64) -> (Began, impl Fn(Began) -> bool) {
        (Began { stamp, tag_epoch: 0 }, move |began| began.stamp == stamp)
    }

    fn join(fills: &Arc<Fills>, key: u128, stamp: u64) -> Joined {
        let (now, is_good) = at(stamp);
        fills.join(key, now, is_good)
    }

    fn lead(fills: &Arc<Fills>, key: u128, stamp: u64) -> Option<Lead> {
        let (now, is_good) = at(stamp);
        fills.lead(key, now, is_good)
    }

    fn poll(waiter: &Waiter) -> Poll<Outcome> {
        waiter.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn one_leads_and_all_hear_the_outcome() {
        let fills = Arc::new(Fills::default());
        let Joined::Leads(lead, first) = join(&fills, 1, 0) else { panic!("the first leads") };
        let Joined::Waits(second) = join(&fills, 1, 0) else { panic!("the second waits") };
        assert!(matches!(join(&fills, 2, 0), Joined::Leads(..)), "another key");
        assert!(poll(&first).is_pending() && poll(&second).is_pending());
        lead.tell(Outcome::Private);
        for waiter in [&first, &second] {
            assert!(matches!(poll(waiter), Poll::Ready(Outcome::Private)));
        }
        let Joined::Waits(late) = join(&fills, 1, 0) else { panic!("it is led still") };
        assert!(matches!(poll(&late), Poll::Ready(Outcome::Private)));
        drop(lead);
        assert!(matches!(poll(&late), Poll::Ready(Outcome::Private)), "told once");
        assert!(matches!(join(&fills, 1, 0), Joined::Leads(..)));
    }

    #[test]
    fn a_lost_leader_lets_the_next_one_lead() {
        let fills = Arc::new(Fills::default());
        let leading = lead(&fills, 1, 0).unwrap();
        assert!(lead(&fills, 1, 0).is_none());
        let Joined::Waits(waiter) = join(&fills, 1, 0) else { panic!("it is led") };
        drop(leading);
        assert!(matches!(poll(&waiter), Poll::Ready(Outcome::Lost)));
        assert!(fills.is_empty());
        assert!(lead(&fills, 1, 0).is_some());
    }

    #[test]
    fn who_comes_after_a_purge_does_not_wait_for_what_was_asked_before() {
        let fills = Arc::new(Fills::default());
        let Joined::Leads(before, first) = join(&fills, 1, 7) else { panic!("the first leads") };
        let Joined::Leads(after, second) = join(&fills, 1, 8) else { panic!("a purge came") };
        drop(before);
        assert!(matches!(poll(&first), Poll::Ready(Outcome::Lost)) && poll(&second).is_pending());
        assert!(matches!(join(&fills, 1, 8), Joined::Waits(_)), "the second leads still");
        drop(after);
        assert!(fills.is_empty());
    }

    #[test]
    fn a_crowd_on_many_threads_is_led_once() {
        let fills = Arc::new(Fills::default());
        let leaders: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let fills = Arc::clone(&fills);
                    scope.spawn(move || {
                        (0..1_000)
                            .map(|_| join(&fills, 9, 0))
                            .filter_map(|joined| match joined {
                                Joined::Leads(lead, _) => {
                                    std::mem::forget(lead);
                                    Some(())
                                }
                                Joined::Waits(_) => None,
                            })
                            .count()
                    })
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(leaders, 1);
    }
}
