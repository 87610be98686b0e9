//! The two parts of the demo: each measures what one instance can answer, sends a share of that
//! through one phase after another, and ends with its table.

use super::phase::{MENDED, Phase, SHOPS, Servers, Through};
use super::table::{self, Line, Table};
use super::town::Town;
use super::{DemoError, Options, Said, mix};
use ::shop::{Ill, Sin, Sins};
use std::time::Duration;

/// Clients that measure the capacity.
const CAPACITY_CLIENTS: usize = 8;
const CAPACITY_TIME: Duration = Duration::from_secs(3);
/// How the second table is read.
const TAIL_ABOUT: &str = "\
One slow: the third instance does its work four times over. One fails fast: it answers 503 at once.
All stall: each instance holds up one answer in fifty, by chance, for a second.
In turn: round robin, nobody left out, nothing sent again. Default: no setting says anything.
Hedge: a request that takes long is sent to a second instance as well, one in twenty at most.
";

/// Phases that get the same load.
pub(super) struct Part<'a> {
    /// What is said when the shop opens.
    opening: &'static str,
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    /// The shop whose capacity is measured.
    without: &'static [Sin],
    /// Share of what one instance can answer that is sent.
    share: f64,
    phases: Vec<&'a Phase>,
}

/// Both parts, less what `options` leave out.
pub(super) fn parts(options: &Options) -> [Part<'_>; 2] {
    let wanted = |phase: &&Phase| {
        (options.redis.is_some() || !phase.wants_redis())
            && (options.queue.is_some() || !phase.wants_queue())
    };
    [
        Part {
            opening: "opening the shop: three instances, each with all its sins ...",
            title: "latency in ms",
            about: "",
            without: &[],
            // Clearly busy, and not full.
            share: 0.4,
            phases: options.phases.iter().filter(wanted).collect(),
        },
        Part {
            opening: "the tail, cut: three instances, mended, but not all of them well ...",
            title: "the tail, cut: latency in ms",
            about: TAIL_ABOUT,
            without: MENDED,
            // In turn, the slow instance makes the whole twice the work, on the same cores.
            share: 0.2,
            phases: options.tail.iter().filter(wanted).collect(),
        },
    ]
}

impl Part<'_> {
    /// Runs the phases; answers the table and whether some request failed that should not have.
    pub(super) async fn show(
        &self,
        options: &Options,
        town: &mut Town,
        progress: &mut Said,
    ) -> Result<(String, bool), DemoError> {
        progress.step(self.opening);
        let ills = self.phases.first().map_or([Ill::None; SHOPS], |phase| phase.ills);
        town.shops(Sins::of(self.without), ills).await?;
        let rate = self.rate(options, town, progress).await?;
        let mut lines = Vec::with_capacity(self.phases.len());
        for (index, phase) in self.phases.iter().enumerate() {
            let label = format!("{}/{} {}", index + 1, self.phases.len(), phase.name);
            progress.step(&format!("{label} ..."));
            lines.push(measure(options, town, phase, rate, &label, progress).await?);
            progress.step(&table::in_passing(&label, lines.last().expect("pushed just above")));
        }
        progress.end();
        let table = Table {
            title: self.title,
            about: self.about,
            lines: &lines,
            rate,
            phase_time: options.phase_time,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
        };
        Ok((table.render(), lines.iter().any(Line::went_wrong)))
    }

    pub(super) fn is_empty(&self) -> bool {
        self.phases.is_empty()
    }

    /// The rate asked for, or a share of what one shop can answer.
    async fn rate(
        &self,
        options: &Options,
        town: &mut Town,
        progress: &mut Said,
    ) -> Result<f64, DemoError> {
        if let Some(rate) = options.rate {
            return Ok(rate);
        }
        progress.step("measuring how much one instance can answer at all ...");
        let one = town.straight(Servers::One);
        let plan = mix::plan(one, 1.0, CAPACITY_TIME, options.products, "c");
        let capacity = load::capacity(&plan, CAPACITY_CLIENTS).await?;
        if capacity < 1.0 {
            return Err(DemoError::Silent);
        }
        let rate = (capacity * self.share).max(1.0).round();
        progress.step(&format!(
            "one instance answers {capacity:.0} requests/s at most; all phases get {rate:.0}/s, \
             {:.0} % of that",
            self.share * 100.0
        ));
        Ok(rate)
    }
}

async fn measure(
    options: &Options,
    town: &mut Town,
    phase: &Phase,
    rate: f64,
    label: &str,
    progress: &mut Said,
) -> Result<Line, DemoError> {
    town.shops(Sins::of(phase.without), phase.ills).await?;
    let targets = match phase.through {
        Through::Straight(servers) => {
            town.without_gateway();
            town.straight(servers)
        }
        Through::Gateway(servers, settings) => vec![town.gateway(servers, settings).await?],
    };
    let plan = |time, run: &str| mix::plan(targets.clone(), rate, time, options.products, run);
    load::run(&plan(phase.warm_up(rate), &format!("w{label}")), |_| {}).await?;
    let before = town.counters().await?;
    let report = load::run(&plan(options.phase_time, label), |now| {
        let done = now.elapsed.min(now.total).as_secs_f64();
        progress.passing(&format!(
            "{label}: {done:.0} of {:.0} s, {} answered, {} on their way, {} failed",
            now.total.as_secs_f64(),
            now.count - now.failed,
            now.in_flight,
            now.failed
        ));
    })
    .await?;
    let work = town.counters().await?.since(before);
    Ok(Line { phase: *phase, report, work })
}
