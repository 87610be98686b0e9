//! One gateway played one scene: what clients got and what servers saw, and figures of it.

use std::collections::HashSet;
use std::ops::Range;
use std::time::Duration;

use base::Moment;
use load::Latency;

use super::clients::{End, Load, Sent};
use super::gateways::{Contender, Programs, Running};
use super::servers::{Life, Servers, Try, Work};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// Between the last preparation and the first request.
const LEAD: Duration = Duration::from_millis(50);

/// A scene: servers, load, and what happens meanwhile.
#[derive(Clone, Debug)]
pub struct Play {
    /// How many servers.
    pub servers: usize,
    /// What they do.
    pub work: Work,
    /// What is sent.
    pub load: Load,
    /// What happens, in the order of time.
    pub turns: Vec<Turn>,
}

/// From `at` on these servers are like this.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Since the start of the load.
    pub at: Duration,
    /// Which.
    pub servers: Range<usize>,
    /// How they are.
    pub life: Life,
}

/// A part of a scene, since its start.
pub type Window = Range<Duration>;

/// What came of a scene.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// When the load began.
    pub start: Moment,
    /// What clients sent and got.
    pub sent: Vec<Sent>,
    /// What servers saw.
    pub tries: Vec<Try>,
    /// Fleetfoot's metrics page at the end.
    pub metrics: String,
    /// How long the gateway's threads waited for a core, as a share of the time.
    pub waited: f64,
}

impl Play {
    /// Plays it with one gateway. Needs a `LocalSet`.
    ///
    /// # Errors
    /// The gateway does not start, or a response is wrong.
    pub async fn run(&self, programs: &Programs, contender: &Contender) -> Result<Outcome, Error> {
        self.run_beside(programs, contender, async |_, _, _| Ok(())).await
    }

    /// The same, with something beside it.
    pub async fn run_beside(
        &self,
        programs: &Programs,
        contender: &Contender,
        beside: impl AsyncFnOnce(&Servers, &Running, Moment) -> std::io::Result<()>,
    ) -> Result<Outcome, Error> {
        let servers = Servers::start(self.servers, self.work)?;
        let gateway = programs.start(contender, &servers.addresses).await?;
        let start = Moment::now() + LEAD;
        let turns = async {
            for turn in &self.turns {
                tokio::time::sleep((start + turn.at).since(Moment::now())).await;
                servers.turn(turn.servers.clone(), turn.life);
            }
        };
        let load = self.load.send(gateway.address, start);
        let (sent, (), beside) = tokio::join!(load, turns, beside(&servers, &gateway, start));
        beside?;
        let metrics = gateway.metrics().await?;
        let waited = gateway.waited().div_duration_f64(self.load.length());
        drop(gateway);
        let wrong = sent.iter().filter(|one| one.end == End::Wrong).count();
        if wrong > 0 {
            return Err(format!("{}: {wrong} wrong responses", contender.name).into());
        }
        Ok(Outcome { start, sent, tries: servers.tries(), metrics, waited })
    }
}

impl Outcome {
    fn within(&self, window: &Window) -> impl Iterator<Item = &Sent> {
        self.sent.iter().filter(move |one| window.contains(&one.due))
    }

    fn tried(&self, window: &Window) -> impl Iterator<Item = &Try> {
        let (from, to) = (self.start + window.start, self.start + window.end);
        self.tries.iter().filter(move |one| one.at >= from && one.at < to)
    }

    /// Milliseconds that this share of the requests due then did not exceed; one that failed counts as
    /// having taken as long as anybody waits.
    pub fn latency(&self, window: &Window, share: f64, give_up: Duration) -> f64 {
        let time = |one: &Sent| if one.end == End::Good { one.took } else { one.took.max(give_up) };
        quantile(self.within(window).map(time), share)
    }

    /// The same of good answers alone.
    pub fn good_latency(&self, window: &Window, share: f64) -> f64 {
        let good = self.within(window).filter(|one| one.end == End::Good);
        quantile(good.map(|one| one.took), share)
    }

    /// Percent of the requests due then that had no good answer.
    pub fn errors(&self, window: &Window) -> f64 {
        let failed = self.within(window).filter(|one| one.end != End::Good).count();
        percent(failed, self.within(window).count())
    }

    /// Percent of all tries that went to the servers from this one on.
    pub fn share(&self, window: &Window, server: usize) -> f64 {
        let theirs = self.tried(window).filter(|one| one.server >= server).count();
        percent(theirs, self.tried(window).count())
    }

    /// Percent of tries beside the first of each request.
    pub fn extra(&self, window: &Window) -> f64 {
        let numbers: HashSet<u64> = self.tried(window).filter_map(|one| one.number).collect();
        percent(self.tried(window).count(), numbers.len()) - 100.0
    }

    /// Tries a request that was sent.
    pub fn amplified(&self, window: &Window) -> f64 {
        self.tried(window).count() as f64 / self.within(window).count().max(1) as f64
    }

    /// Percent of the work done on what came then that nobody waited for any more.
    pub fn for_nobody(&self, window: &Window) -> f64 {
        let good = |number: &u64| self.sent[*number as usize].end == End::Good;
        let served = self.tried(window).filter(|one| one.served).count();
        let numbers = self.tried(window).filter(|one| one.served).filter_map(|one| one.number);
        let useful = numbers.filter(good).collect::<HashSet<u64>>().len();
        percent(served - useful, served)
    }

    /// Seconds from the begin of the window until the end of the last half second of which less than
    /// 95 % were answered well.
    pub fn recovery(&self, window: &Window) -> f64 {
        const BIN: Duration = Duration::from_millis(500);
        let mut last = Duration::ZERO;
        let mut begin = window.start;
        while begin + BIN <= window.end {
            if self.errors(&(begin..begin + BIN)) > 5.0 {
                last = (begin + BIN).saturating_sub(window.start);
            }
            begin += BIN;
        }
        last.as_secs_f64()
    }

    /// Milliseconds from the begin of the window to the first good answer to what was due in it.
    pub fn first_good(&self, window: &Window) -> f64 {
        let good = self.within(window).filter(|one| one.end == End::Good);
        let first = good.map(|one| (one.due + one.took).saturating_sub(window.start)).min();
        first.map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
    }

    /// How requests ended that had no good answer.
    pub fn ends(&self, window: &Window) -> String {
        let mut counts = std::collections::BTreeMap::new();
        for one in self.within(window).filter(|one| one.end != End::Good) {
            *counts.entry(format!("{:?}", one.end)).or_insert(0_u64) += 1;
        }
        counts.iter().map(|(end, count)| format!("{count} {end}")).collect::<Vec<_>>().join(", ")
    }

    /// Tries of one server, by second.
    pub fn by_second(&self, server: usize) -> Vec<usize> {
        let theirs = self.tries.iter().filter(|one| one.server == server);
        let mut counts = Vec::new();
        for second in theirs.map(|one| one.at.since(self.start).as_secs() as usize) {
            counts.resize(counts.len().max(second + 1), 0);
            counts[second] += 1;
        }
        counts
    }

    /// Milliseconds that 99 of 100 requests were not sent late.
    pub fn late(&self) -> f64 {
        quantile(self.sent.iter().map(|one| one.late), 0.99)
    }

    /// The lines of the metrics page that hold one of these words, without zeros and buckets.
    pub fn metrics(&self, words: &[&str]) -> Vec<&str> {
        let told = |line: &&str| {
            !line.starts_with('#')
                && !line.contains("_bucket")
                && !line.ends_with(" 0")
                && words.iter().any(|word| line.contains(word))
        };
        self.metrics.lines().filter(told).collect()
    }
}

fn percent(part: usize, whole: usize) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}

/// Milliseconds; of no times at all none.
fn quantile(times: impl Iterator<Item = Duration>, share: f64) -> f64 {
    let mut latency = Latency::new();
    times.for_each(|time| latency.record(time));
    if latency.count() == 0 {
        return f64::NAN;
    }
    latency.quantile(share).as_secs_f64() * 1e3
}
