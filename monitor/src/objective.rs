//! How fast a promise to users is being broken: burn rates of an error budget, and when to wake
//! somebody.
//!
//! A promise such as "99 % within 200 ms" leaves a budget: one request in a hundred. A burn rate of 1
//! uses it up exactly, of 14.4 in a fourteenth of the time. Alerts are those of Google's *Site
//! Reliability Workbook* (chapter 5, "Multiwindow, Multi-Burn-Rate Alerts"): a long window says that
//! it matters, a short one that it goes on. A past that is not known (before the start) counts as
//! good, with the traffic of the time since: a gateway just started wakes nobody for one bad request.
//!
//! All of it is arithmetic over counters that never go back, fed with `now`; memory is bounded by the
//! rings' lengths.

use base::{Moment, Share};
use std::collections::VecDeque;
use std::time::Duration;

const MINUTE: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);

macro_rules! windows {
    ($($(#[doc = $doc:literal])* $variant:ident = $text:literal, $length:expr;)*) => {
        /// A stretch of time up to now.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Window { $($(#[doc = $doc])* $variant),* }

        impl Window {
            /// Every one, the shortest first.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in metric and page.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// How long it is.
            pub const fn length(self) -> Duration {
                match self { $(Self::$variant => $length),* }
            }
        }
    };
}

windows! {
    /// Five minutes.
    Minutes5 = "5m", Duration::from_mins(5);
    /// Half an hour.
    Minutes30 = "30m", Duration::from_mins(30);
    /// An hour.
    Hour = "1h", HOUR;
    /// Six hours.
    Hours6 = "6h", Duration::from_hours(6);
    /// Three days: the time that a budget is for.
    Days3 = "3d", Duration::from_hours(72);
}

/// What an alert asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// To be looked at when there is time.
    Ticket,
    /// Somebody, now.
    Page,
}

impl Alert {
    /// The name in metric and page.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ticket => "ticket",
            Self::Page => "page",
        }
    }
}

/// A rule: this burn rate, over the long window and over the short one.
const RULES: [(Alert, f64, Window, Window); 3] = [
    (Alert::Page, 14.4, Window::Hour, Window::Minutes5),
    (Alert::Page, 6.0, Window::Hours6, Window::Minutes30),
    (Alert::Ticket, 1.0, Window::Days3, Window::Hours6),
];

/// No rule asks for more than this part of the fastest burn there can be, where all is bad: what
/// promises little would never alert.
const FASTEST: f64 = 0.75;
/// With fewer bad requests than this in the long window nobody is woken.
const BAD_MIN: u64 = 5;
/// An alert that is on stays until the burn has fallen to this part of what began it.
const STAYS: f64 = 0.9;

/// Requests, and how many of them broke the promise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// All.
    pub total: u64,
    /// The bad ones.
    pub bad: u64,
}

impl Tally {
    fn since(self, before: Self) -> Self {
        let total = self.total.saturating_sub(before.total);
        Self { total, bad: self.bad.saturating_sub(before.bad) }
    }
}

/// Counters as they were at ends of slices.
#[derive(Debug)]
struct Ring {
    slice: Duration,
    length: usize,
    ends: VecDeque<(Moment, Tally)>,
}

impl Ring {
    /// Slices that cover `window`.
    fn of(slice: Duration, window: Window) -> Self {
        let length = (window.length().as_secs() / slice.as_secs()) as usize + 1;
        Self { slice, length, ends: VecDeque::new() }
    }

    fn put(&mut self, now: Moment, tally: Tally) {
        if self.ends.back().is_some_and(|(end, _)| now.since(*end) < self.slice) {
            return;
        }
        if self.ends.len() == self.length {
            self.ends.pop_front();
        }
        self.ends.push_back((now, tally));
    }

    /// The counters as they were when this time began, or since when they are known.
    fn at(&self, now: Moment, window: Duration) -> Option<(Moment, Tally)> {
        // The last whose end lies a window back; slices are in order.
        let older = self.ends.partition_point(|(end, _)| now.since(*end) >= window);
        self.ends.get(older.saturating_sub(1)).copied()
    }
}

/// What a promise has come to.
#[derive(Debug)]
pub struct Track {
    target: Share,
    rings: [Ring; 3],
    last: Tally,
    alert: Option<Alert>,
}

/// What has become of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It has begun, or has become this.
    Began(Alert),
    /// It is over.
    Ended,
}

impl Track {
    /// Of a promise that this share of requests is good.
    pub fn new(target: Share) -> Self {
        let rings = [
            Ring::of(Duration::from_secs(10), Window::Hour),
            Ring::of(5 * MINUTE, Window::Hours6),
            Ring::of(HOUR, Window::Days3),
        ];
        Self { target, rings, last: Tally::default(), alert: None }
    }

    /// The share that is promised.
    pub const fn target(&self) -> Share {
        self.target
    }

    /// Takes what the counters say `now`, and says what became of the alert.
    pub fn turn(&mut self, tally: Tally, now: Moment) -> Option<Change> {
        if tally.total < self.last.total || tally.bad < self.last.bad {
            // Another route of the same name: what was known is not about it.
            self.rings.iter_mut().for_each(|ring| ring.ends.clear());
        }
        self.last = tally;
        self.rings.iter_mut().for_each(|ring| ring.put(now, tally));
        let alert = self.judge(now);
        if alert == self.alert {
            return None;
        }
        self.alert = alert;
        Some(alert.map_or(Change::Ended, Change::Began))
    }

    /// The alert that is on.
    pub const fn alert(&self) -> Option<Alert> {
        self.alert
    }

    /// How fast the budget was used up in this window; 1 is as fast as it may be.
    pub fn burn(&self, window: Window, now: Moment) -> f64 {
        self.spent(window, now).0
    }

    /// What is left of the budget of three days: 1 is all of it, less than 0 more than it was.
    pub fn left(&self, now: Moment) -> f64 {
        1.0 - self.burn(Window::Days3, now)
    }

    /// The burn rate, and how many requests were bad.
    fn spent(&self, window: Window, now: Moment) -> (f64, u64) {
        let ring = match window {
            Window::Minutes5 | Window::Minutes30 | Window::Hour => &self.rings[0],
            Window::Hours6 => &self.rings[1],
            Window::Days3 => &self.rings[2],
        };
        let length = window.length();
        let Some((begun, before)) = ring.at(now, length) else { return (0.0, 0) };
        let Tally { total, bad } = self.last.since(before);
        if total == 0 {
            return (0.0, 0);
        }
        let known = now.since(begun).min(length).as_secs_f64() / length.as_secs_f64();
        (bad as f64 / total as f64 / self.budget() * known, bad)
    }

    /// The share of requests that may be bad.
    fn budget(&self) -> f64 {
        (1.0 - self.target.factor()).max(1e-4)
    }

    fn judge(&self, now: Moment) -> Option<Alert> {
        let most = FASTEST / self.budget();
        let holds = |&&(alert, rate, long, short): &&(Alert, f64, Window, Window)| {
            let eased = if self.alert >= Some(alert) { STAYS } else { 1.0 };
            let rate = rate.min(most.max(1.0)) * eased;
            let (burnt, bad) = self.spent(long, now);
            burnt >= rate && bad >= BAD_MIN && self.burn(short, now) >= rate
        };
        RULES.iter().find(holds).map(|(alert, ..)| *alert)
    }
}

impl PartialOrd for Alert {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some((*self as u8).cmp(&(*other as u8)))
    }
}

#[cfg(test)]
mod tests;
