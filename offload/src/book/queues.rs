//! One queue as the book has it: its rules, its lines of those who wait, its pace, its figures.

use super::line::{Line, TURN};
use super::slots::Slots;
use crate::pace::Pace;
use crate::settings;
use base::Wall;

/// Priorities: 9 goes first, 0 last.
pub(super) const LEVELS: usize = 10;

pub(super) struct Queue {
    pub(super) name: String,
    /// Those of the first queue, if the settings have none of this name.
    pub(super) rules: settings::Queue,
    pub(super) named: bool,
    pub(super) pace: Pace,
    pub(super) normal: Lines,
    pub(super) replays: Lines,
    /// Nothing goes before: the broker is away.
    pub(super) held_until: Wall,
    pub(super) waiting: usize,
    /// Those that are picked or run here.
    pub(super) running: usize,
    pub(super) handed: usize,
    /// Jobs of other gateways that run here.
    pub(super) guests: usize,
    /// Those that were admitted and are not written yet.
    pub(super) coming: usize,
    pub(super) accepted: Meter,
    pub(super) finished: Meter,
    pub(super) failed: Meter,
    pub(super) dead: u64,
}

impl Queue {
    pub(super) fn new(name: &str, rules: &settings::Queue, named: bool) -> Self {
        Self {
            name: name.to_owned(),
            rules: rules.clone(),
            named,
            pace: Pace::new(rules),
            normal: Lines::default(),
            replays: Lines::default(),
            held_until: Wall(0),
            waiting: 0,
            running: 0,
            handed: 0,
            guests: 0,
            coming: 0,
            accepted: Meter::default(),
            finished: Meter::default(),
            failed: Meter::default(),
            dead: 0,
        }
    }

    pub(super) fn settle(&mut self, rules: &settings::Queue, named: bool, now: Wall) {
        self.rules = rules.clone();
        self.named = named;
        self.pace.settle(rules, now);
    }

    pub(super) fn lines(&mut self, is_replay: bool) -> &mut Lines {
        if is_replay { &mut self.replays } else { &mut self.normal }
    }

    /// Do its jobs go to a broker?
    pub(super) fn hands(&self) -> bool {
        self.rules.broker.is_some()
    }

    /// Jobs that take a place: those that run have had their turn.
    pub(super) fn depth(&self) -> usize {
        self.waiting + self.handed + self.coming
    }

    /// When the one who has waited longest since he was due was due.
    pub(super) fn oldest(&self, slots: &Slots, now: Wall) -> Option<Wall> {
        let firsts = self.normal.0.iter().chain(&self.replays.0);
        firsts.filter_map(|line| line.first(slots, now)).map(|at| slots[at].due).min()
    }

    pub(super) fn footprint(&self) -> usize {
        let lines = self.normal.0.iter().chain(&self.replays.0);
        std::mem::size_of::<Self>()
            + self.name.capacity()
            + lines.map(Line::footprint).sum::<usize>()
    }
}

/// A line for each priority.
#[derive(Default)]
pub(super) struct Lines(pub(super) [Line<TURN>; LEVELS]);

impl Lines {
    /// Who goes first: the highest level, counting one more for each `level_up` that he has waited,
    /// that is, who has waited longest if each level less were a `level_up` later. So who has the
    /// lowest level overtakes all who came nine times `level_up` after him, and nobody starves.
    pub(super) fn first(&self, slots: &Slots, now: Wall, level_up: u64) -> Option<u32> {
        let mut first: Option<(u64, u32)> = None;
        for (below, line) in self.0.iter().rev().enumerate() {
            if let Some(at) = line.first(slots, now) {
                let counts_from =
                    slots[at].due.0.saturating_add(level_up.saturating_mul(below as u64));
                if first.is_none_or(|(earlier, _)| counts_from < earlier) {
                    first = Some((counts_from, at));
                }
            }
        }
        first.map(|(_, at)| at)
    }

    /// When somebody's time has come; zero: whatever the time.
    pub(super) fn next(&self) -> Option<Wall> {
        self.0.iter().filter_map(Line::next).min()
    }

    pub(super) fn later(&self, now: Wall) -> usize {
        self.0.iter().map(|line| line.later(now)).sum()
    }
}

const SECONDS: u64 = 64;

/// How much happened, and how often lately.
pub(super) struct Meter {
    pub(super) total: u64,
    seconds: [u32; SECONDS as usize],
    /// The second that is counted.
    at: u64,
    begun: Option<u64>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { total: 0, seconds: [0; SECONDS as usize], at: 0, begun: None }
    }
}

impl Meter {
    pub(super) fn count(&mut self, now: Wall) {
        self.go_to(now);
        self.total += 1;
        self.seconds[(self.at % SECONDS) as usize] += 1;
    }

    fn go_to(&mut self, now: Wall) {
        let second = now.seconds();
        self.begun.get_or_insert(second);
        if second >= self.at + SECONDS {
            self.seconds = [0; SECONDS as usize];
            self.at = second;
        }
        while self.at < second {
            self.at += 1;
            self.seconds[(self.at % SECONDS) as usize] = 0;
        }
    }

    /// In a second, over the last so many whole seconds and what there is of this one.
    pub(super) fn rate(&mut self, now: Wall, over: u64) -> f64 {
        self.go_to(now);
        let first = self.at.saturating_sub(over);
        let sum = (first..=self.at).map(|second| self.seconds[(second % SECONDS) as usize]);
        let sum: u64 = sum.map(u64::from).sum();
        // What has not been watched for so long is not thinned by the time before.
        let begun = Wall(self.begun.unwrap_or_default().max(first) * 1_000);
        sum as f64 / now.since(begun).as_secs_f64().max(1.0)
    }
}
