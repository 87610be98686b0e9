//! What became of all requests.

use std::ops::Range;
use std::time::Duration;

/// From when to when, since the beginning of the world.
pub type Window = Range<Duration>;

/// How a request ended for its client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With a good answer.
    Answered,
    /// With a failure that a server gave, or that there was none.
    Failed,
    /// The gateway did not let it through.
    Shed,
    /// The client left.
    GaveUp,
    /// Not yet.
    Open,
}

/// One request as its client saw it.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// When it came.
    pub came: Duration,
    /// How long it took to end.
    pub took: Duration,
    /// How it ended.
    pub end: End,
}

/// One try as a server saw it.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// When it was sent.
    pub at: Duration,
    /// To which machine.
    pub machine: usize,
    /// The first of its request.
    pub first: bool,
}

/// A worker's time.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    /// When it ended.
    pub at: Duration,
    /// How long it took.
    pub took: Duration,
    /// Somebody got the answer.
    pub for_somebody: bool,
}

/// What became of all requests, in the order they came, and of all tries.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The requests.
    pub requests: Vec<Seen>,
    /// The tries.
    pub tries: Vec<Sent>,
    /// What workers did.
    pub work: Vec<Work>,
    /// Requests sent twice because the first answer did not come.
    pub hedges: usize,
    /// Requests sent again because the first try failed.
    pub retries: usize,
    /// How often hedging turned itself off.
    pub turned_off: u64,
}

impl Report {
    /// The requests that came in a window.
    pub fn came(&self, window: &Window) -> &[Seen] {
        let at = |time: Duration| self.requests.partition_point(|seen| seen.came < time);
        &self.requests[at(window.start)..at(window.end).max(at(window.start))]
    }

    fn sent(&self, window: &Window) -> &[Sent] {
        let at = |time: Duration| self.tries.partition_point(|sent| sent.at < time);
        &self.tries[at(window.start)..at(window.end).max(at(window.start))]
    }

    /// This percentile (0 to 100) of the time that good answers took whose requests came in the window,
    /// in milliseconds.
    pub fn latency(&self, window: &Window, percentile: f64) -> f64 {
        let good = self.came(window).iter().filter(|seen| seen.end == End::Answered);
        let mut times: Vec<Duration> = good.map(|seen| seen.took).collect();
        if times.is_empty() {
            return f64::NAN;
        }
        let last = (times.len() - 1) as f64;
        #[expect(clippy::cast_sign_loss, reason = "a percentile is not negative")]
        let index = (last * percentile / 100.0).round() as usize;
        times.select_nth_unstable(index).1.as_secs_f64() * 1e3
    }

    /// The share of requests of a window that ended like this.
    pub fn ended(&self, window: &Window, end: End) -> f64 {
        let came = self.came(window);
        let such = came.iter().filter(|seen| seen.end == end).count();
        such as f64 / came.len().max(1) as f64
    }

    /// A machine's share of the tries of a window.
    pub fn share(&self, window: &Window, machine: usize) -> f64 {
        let sent = self.sent(window);
        let its = sent.iter().filter(|sent| sent.machine == machine).count();
        its as f64 / sent.len().max(1) as f64
    }

    /// The tries of a window that were not the first of their request.
    pub fn again(&self, window: &Window) -> usize {
        self.sent(window).iter().filter(|sent| !sent.first).count()
    }

    /// The same as a share of the requests that came.
    pub fn extra(&self, window: &Window) -> f64 {
        self.again(window) as f64 / self.came(window).len().max(1) as f64
    }

    /// The share of workers' time that ended in a window and nobody had anything of.
    pub fn for_nobody(&self, window: &Window) -> f64 {
        let work = self.work.iter().filter(|work| window.contains(&work.at));
        let (mut all, mut lost) = (0.0, 0.0);
        for work in work {
            let took = work.took.as_secs_f64();
            all += took;
            lost += if work.for_somebody { 0.0 } else { took };
        }
        lost / f64::max(all, f64::MIN_POSITIVE)
    }

    /// When, from `since` on, the first request came that was answered, and how long after `since` its
    /// answer was there.
    pub fn first_answer(&self, since: Duration) -> Duration {
        let answers = self.requests.iter().filter(|seen| seen.end == End::Answered);
        let there = answers.map(|seen| seen.came + seen.took).filter(|there| *there >= since);
        there.min().map_or(Duration::MAX, |there| there.saturating_sub(since))
    }
}
