//! A server: so many workers, one queue before them, and spells in which it behaves otherwise.

use super::agenda::TryId;
use super::chance::Chance;
use fastrand::Rng;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;

/// A server as it is meant to be, and when it is not.
#[derive(Clone, Debug)]
pub struct Machine {
    /// How many tries it works on at once; the others wait in the order they came.
    pub workers: usize,
    /// How long a worker takes for one.
    pub work: Chance,
    /// Answers that take much longer than others.
    pub stall: Option<Stall>,
    /// What it does when nobody waits for an answer any more.
    pub cancel: Cancel,
    /// The time that bytes take to it and back.
    pub rtt: Duration,
    /// Its weight beside the others'.
    pub weight: u32,
    /// Its zone.
    pub zone: Option<String>,
    /// When it behaves otherwise; where two overlap, as the first says.
    pub spells: Vec<Spell>,
}

/// Answers that take much longer than others, for no reason of their own.
#[derive(Clone, Copy, Debug)]
pub struct Stall {
    /// Which part of all answers.
    pub share: f64,
    /// By how much longer.
    pub by: Duration,
    /// Whether a worker is kept busy by it; else the answer only comes later.
    pub keeps_worker: bool,
}

/// What a server does when nobody waits for an answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cancel {
    /// It stops at once.
    Stops,
    /// It never hears of it.
    Ignores,
}

/// A time in which a server behaves otherwise.
#[derive(Clone, Debug)]
pub struct Spell {
    /// When.
    pub when: Range<Duration>,
    /// How.
    pub mood: Mood,
}

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    /// Work takes so many times as long.
    Slow(f64),
    /// It answers all with this status, after this time, and does no work.
    Fails(u16, Duration),
    /// It takes no connection.
    Refuses,
    /// It takes what comes and never answers.
    Hangs,
}

impl Machine {
    /// A server of so many workers that ignores cancels.
    pub fn new(workers: usize, work: Chance) -> Self {
        Self {
            workers,
            work,
            stall: None,
            cancel: Cancel::Ignores,
            rtt: Duration::ZERO,
            weight: 1,
            zone: None,
            spells: Vec::new(),
        }
    }

    /// The same, but in this mood from then to then.
    #[must_use]
    pub fn but(mut self, when: Range<Duration>, mood: Mood) -> Self {
        self.spells.push(Spell { when, mood });
        self
    }

    /// The requests in a second that would keep all its workers busy.
    pub fn capacity(&self) -> f64 {
        self.workers as f64 / self.work.mean().as_secs_f64()
    }
}

/// A server at work.
pub(super) struct State {
    pub(super) machine: Machine,
    busy: usize,
    queue: VecDeque<TryId>,
}

/// What becomes of a try that reaches a server.
pub(super) enum Taken {
    /// A worker begins with it.
    Begun,
    /// It waits for one.
    Waits,
    /// It is answered with this status after this time, without work.
    Fails(u16, Duration),
    /// There is no connection.
    Refused,
    /// Nothing.
    Nothing,
}

impl State {
    pub(super) fn new(machine: Machine) -> Self {
        Self { machine, busy: 0, queue: VecDeque::new() }
    }

    fn mood(&self, now: Duration) -> Option<Mood> {
        let mut spells = self.machine.spells.iter();
        spells.find(|spell| spell.when.contains(&now)).map(|spell| spell.mood)
    }

    /// A try reaches it.
    pub(super) fn take(&mut self, id: TryId, now: Duration) -> Taken {
        match self.mood(now) {
            Some(Mood::Fails(status, after)) => return Taken::Fails(status, after),
            Some(Mood::Refuses) => return Taken::Refused,
            Some(Mood::Hangs) => return Taken::Nothing,
            Some(Mood::Slow(_)) | None => {}
        }
        if self.busy < self.machine.workers {
            self.busy += 1;
            return Taken::Begun;
        }
        self.queue.push_back(id);
        Taken::Waits
    }

    /// How long a worker takes that begins now, and how long after that the answer comes.
    pub(super) fn work(&self, now: Duration, rng: &mut Rng) -> (Duration, Duration) {
        let mut work = self.machine.work.draw(rng);
        if let Some(Mood::Slow(times)) = self.mood(now) {
            work = work.mul_f64(times);
        }
        let mut late = self.machine.rtt;
        if let Some(stall) = self.machine.stall
            && rng.f64() < stall.share
        {
            *(if stall.keeps_worker { &mut work } else { &mut late }) += stall.by;
        }
        (work, late)
    }

    /// A worker is free: the try it goes on with.
    pub(super) fn free(&mut self) -> Option<TryId> {
        let next = self.queue.pop_front();
        if next.is_none() {
            self.busy -= 1;
        }
        next
    }

    /// A try that waits is taken out of the queue.
    pub(super) fn forget(&mut self, id: TryId) {
        self.queue.retain(|waiting| *waiting != id);
    }
}
