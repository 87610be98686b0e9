//! Was the promise kept? One checker for all who offload: simulations, engines, brokers.
//!
//! A [`History`] is what was seen from outside, in the order of one clock: what clients were told, what
//! services got, when processes died. [`History::check`] says what must not have been. It knows nothing
//! of how the promise is kept.
//!
//! What it looks for (the names are Jepsen's where it has one): **lost** jobs, promised and never over;
//! **unexpected** ones, delivered though refused or never offered; **half** ones; **duplicates**, but
//! for jobs that were out when a process died; **order**, a job that began before one with the same key
//! that was accepted earlier was over; **backwards**, a state after a final one; **rate** and
//! **at once**, in every span of time; **dead**, the given up that are not the exhausted.

use crate::job::{Reason, State};
use std::collections::HashMap;
use std::fmt::Write;

/// A job's name: its id as a number, or whatever names it.
pub type Name = u128;

/// What was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// A client sends it; whether it is accepted nobody knows yet.
    Offered(Name),
    /// A client was told that it is promised.
    Accepted {
        /// Which.
        job: Name,
        /// Its queue's place in the rules.
        queue: usize,
        /// Its key, unique among all queues; 0: none.
        order: u64,
        /// Is it a replay?
        replay: bool,
    },
    /// A client was told that it is not.
    Refused(Name),
    /// A service got it.
    Begun {
        /// Which.
        job: Name,
        /// Is it what the client sent, byte for byte?
        whole: bool,
    },
    /// A service is done with it.
    Over {
        /// Which.
        job: Name,
        /// Was that the end of it?
        good: bool,
    },
    /// A process died: what was out is out no more, what it counted is forgotten.
    Fault,
    /// Somebody was told how it stands.
    Seen {
        /// Which.
        job: Name,
        /// How.
        state: State,
    },
    /// It is over, and that is durable.
    Final {
        /// Which.
        job: Name,
        /// How.
        state: State,
        /// Why.
        reason: Reason,
    },
}

/// What holds for a queue.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Most at once.
    pub at_once: usize,
    /// Most in a second, and how many more at a time; `None`: any.
    pub rate: Option<(f64, f64)>,
    /// The same for replays, which are not counted among the others then.
    pub replay_rate: Option<(f64, f64)>,
    /// How much later than it was let go a job may reach the service, in milliseconds: times are taken
    /// at one end and judged at the other.
    pub late: u64,
    /// Most tries.
    pub tries: usize,
    /// Most tries that end with a process.
    pub lost_max: usize,
}

/// Events and when they were, in milliseconds.
#[derive(Clone, Debug, Default)]
pub struct History {
    events: Vec<(u64, Event)>,
}

/// What a history had in it, so that a test can see that it tried something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Promised.
    pub accepted: usize,
    /// Delivered well.
    pub succeeded: usize,
    /// Given up.
    pub dead: usize,
    /// Taken back, or replaced.
    pub cancelled: usize,
    /// Over before delivery.
    pub expired: usize,
    /// Promised and not over.
    pub pending: usize,
    /// Delivered again after a good end.
    pub twice: usize,
    /// Tries.
    pub tries: usize,
    /// Deaths of processes.
    pub faults: usize,
}

/// What its client was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    /// Nobody has sent it.
    #[default]
    Unsent,
    Nothing,
    No,
    Yes,
}

/// How one job came along.
#[derive(Clone, Debug, Default)]
struct Story {
    told: Told,
    queue: usize,
    order: u64,
    replay: bool,
    out: bool,
    /// The last good end, counted in faults before it.
    good_at: Option<usize>,
    tries: usize,
    /// Deaths of processes since it was accepted.
    faults_before: usize,
    end: Option<(State, Reason)>,
}

/// Tokens that were used, as every span of time sees them.
#[derive(Clone, Copy, Debug, Default)]
struct Level {
    used: f64,
    at: u64,
}

/// The jobs of one key.
#[derive(Clone, Debug, Default)]
struct Key {
    /// In the order of acceptance.
    jobs: Vec<Name>,
    /// So many of them, from the first on, are over.
    over: usize,
    out: Option<Name>,
}

struct Court<'a> {
    rules: &'a [Rules],
    stories: HashMap<Name, Story>,
    keys: HashMap<u64, Key>,
    /// By queue: how many are out; tokens of normal ones; tokens of replays.
    out: Vec<usize>,
    levels: Vec<[Level; 2]>,
    faults: usize,
    twice: usize,
    wrong: Vec<String>,
}

/// Most faults of a history that are told.
const WRONG_MAX: usize = 20;

impl History {
    /// Notes what was seen at `ms`.
    pub fn note(&mut self, ms: u64, event: Event) {
        self.events.push((ms, event));
    }

    /// Everything that was noted.
    pub fn events(&self) -> &[(u64, Event)] {
        &self.events
    }

    /// What it had in it, if nothing was wrong. `complete`: all had the time to come to an end.
    ///
    /// # Errors
    /// What was wrong, a line each.
    pub fn check(&self, rules: &[Rules], complete: bool) -> Result<Counts, String> {
        let mut court = Court {
            rules,
            stories: HashMap::new(),
            keys: HashMap::new(),
            out: vec![0; rules.len()],
            levels: vec![[Level::default(); 2]; rules.len()],
            faults: 0,
            twice: 0,
            wrong: Vec::new(),
        };
        let mut events = self.events.clone();
        events.sort_by_key(|(at, _)| *at);
        for (at, event) in events {
            court.hear(at, event);
            if court.wrong.len() > WRONG_MAX {
                break;
            }
        }
        court.close(complete)
    }
}

impl Court<'_> {
    fn wrong(&mut self, at: u64, what: &str, job: Name) {
        let story = self.stories.get(&job);
        self.wrong.push(format!("{at} ms: {what}: job {job:x}, {story:?}"));
    }

    fn hear(&mut self, at: u64, event: Event) {
        match event {
            Event::Offered(job) => self.stories.entry(job).or_default().told = Told::Nothing,
            Event::Refused(job) => self.stories.entry(job).or_default().told = Told::No,
            Event::Accepted { job, queue, order, replay } => {
                let faults_before = self.faults;
                let story = self.stories.entry(job).or_default();
                if story.told != Told::Yes {
                    (story.queue, story.order, story.replay) = (queue, order, replay);
                    (story.told, story.faults_before) = (Told::Yes, faults_before);
                    if order != 0 && !replay {
                        self.keys.entry(order).or_default().jobs.push(job);
                    }
                }
            }
            Event::Begun { job, whole } => self.begun(at, job, whole),
            Event::Over { job, good } => self.over(job, good),
            Event::Fault => {
                self.faults += 1;
                self.out.fill(0);
                self.levels.fill([Level::default(); 2]);
                self.stories.values_mut().for_each(|story| story.out = false);
                self.keys.values_mut().for_each(|key| key.out = None);
            }
            Event::Seen { job, state } => {
                let end = self.stories.get(&job).and_then(|story| story.end);
                if end.is_some_and(|(end, _)| end != state) {
                    self.wrong(at, "backwards", job);
                }
            }
            Event::Final { job, state, reason } => self.end(at, job, state, reason),
        }
    }

    fn begun(&mut self, at: u64, job: Name, whole: bool) {
        let faults = self.faults;
        let story = self.stories.entry(job).or_default();
        story.tries += 1;
        let (was_out, is_over) = (story.out, story.end.is_some());
        story.out = true;
        let is_unknown = matches!(story.told, Told::Unsent | Told::No);
        let is_twice = story.good_at.is_some();
        let no_fault_since = story.good_at == Some(faults);
        let Story { queue, order, .. } = *story;
        if is_unknown {
            self.wrong(at, "unexpected", job);
        }
        if !whole {
            self.wrong(at, "half", job);
        }
        if was_out || is_over || no_fault_since {
            self.wrong(at, "duplicate", job);
        }
        self.twice += usize::from(is_twice);
        if order != 0 && !self.is_its_turn(job, order) {
            self.wrong(at, "order", job);
        }
        self.out[queue] += 1;
        if self.out[queue] > self.rules[queue].at_once {
            self.wrong(at, "at once", job);
        }
        self.take(at, job);
    }

    /// Is nobody with its key out, and nobody who was accepted before it alive?
    fn is_its_turn(&mut self, job: Name, order: u64) -> bool {
        let key = self.keys.entry(order).or_default();
        while key.jobs.get(key.over).is_some_and(|job| self.stories[job].end.is_some()) {
            key.over += 1;
        }
        let is_first = key.jobs.get(key.over).is_none_or(|first| *first == job);
        let is_free = key.out.replace(job).is_none();
        is_free && (is_first || self.stories[&job].replay)
    }

    /// In every span, no more than it gives and the burst: that is, a bucket that drains as fast never
    /// holds more than the burst.
    fn take(&mut self, at: u64, job: Name) {
        let Story { queue, replay, .. } = self.stories[&job];
        let rules = self.rules[queue];
        let (kind, rate) = match (replay, rules.replay_rate) {
            (true, Some(rate)) => (1, Some(rate)),
            _ => (0, rules.rate),
        };
        let Some((per_second, burst)) = rate else { return };
        let level = &mut self.levels[queue][kind];
        let drained = at.saturating_sub(level.at) as f64 / 1_000.0 * per_second;
        *level = Level { used: (level.used - drained).max(0.0) + 1.0, at };
        // And times are whole milliseconds on both sides.
        let late = per_second * (rules.late + 1) as f64 / 1_000.0;
        if level.used > burst + late + 1e-6 {
            self.wrong(at, "rate", job);
        }
    }

    fn over(&mut self, job: Name, good: bool) {
        let faults = self.faults;
        let Some(story) = self.stories.get_mut(&job) else { return };
        if good {
            story.good_at = Some(faults);
        }
        if std::mem::take(&mut story.out) {
            self.out[story.queue] -= 1;
            if let Some(key) = self.keys.get_mut(&story.order) {
                key.out = None;
            }
        }
    }

    fn end(&mut self, at: u64, job: Name, state: State, reason: Reason) {
        let faults = self.faults;
        let story = self.stories.entry(job).or_default();
        if story.end.is_some_and(|end| end != (state, reason)) {
            return self.wrong(at, "backwards", job);
        }
        story.end = Some((state, reason));
        let story = story.clone();
        let since = faults - story.faults_before;
        let rules = self.rules[story.queue];
        let is_right = match (state, reason) {
            (State::Succeeded, _) => story.good_at.is_some(),
            (State::Dead, Reason::Poison) => since > rules.lost_max,
            (State::Dead, Reason::Blocked) => self.is_behind_a_dead_one(job, story.order),
            // Tries that a process died of may not have reached the service.
            (State::Dead, _) => story.tries <= rules.tries && story.tries + since >= rules.tries,
            _ => true,
        };
        if !is_right {
            let what = if state == State::Dead { "dead" } else { "not delivered" };
            self.wrong(at, what, job);
        }
    }

    fn is_behind_a_dead_one(&self, job: Name, order: u64) -> bool {
        let jobs = self.keys.get(&order).into_iter().flat_map(|key| &key.jobs);
        jobs.take_while(|&&other| other != job)
            .any(|other| self.stories[other].end.is_some_and(|(state, _)| state == State::Dead))
            || self.stories[&job].replay
    }

    fn close(mut self, complete: bool) -> Result<Counts, String> {
        let mut counts = Counts { twice: self.twice, faults: self.faults, ..Counts::default() };
        let mut lost = Vec::new();
        for (job, story) in &self.stories {
            counts.tries += story.tries;
            counts.accepted += usize::from(story.told == Told::Yes);
            match story.end {
                Some((State::Succeeded, _)) => counts.succeeded += 1,
                Some((State::Dead, _)) => counts.dead += 1,
                Some((State::Cancelled, _)) => counts.cancelled += 1,
                Some((State::Expired, _)) => counts.expired += 1,
                _ if story.told == Told::Yes => {
                    counts.pending += 1;
                    lost.push(*job);
                }
                _ => {}
            }
            if story.tries > self.rules[story.queue].tries {
                lost.push(*job);
                self.wrong.push(format!("too many tries: job {job:x}, {story:?}"));
            }
        }
        if complete && self.wrong.is_empty() {
            lost.sort_unstable();
            for job in lost.into_iter().take(WRONG_MAX) {
                self.wrong(u64::MAX, "lost", job);
            }
        }
        if self.wrong.is_empty() {
            return Ok(counts);
        }
        let mut text = String::new();
        for line in &self.wrong {
            let _ = writeln!(text, "{line}");
        }
        Err(text)
    }
}

#[cfg(test)]
mod tests;
