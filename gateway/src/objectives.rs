//! What routes promise their users, and how it goes: fed once a second from what threads have
//! counted, told on the metrics page, the live page and standard error.

use base::{Moment, Share};
use monitor::expose::{Family, Labels};
use monitor::objective::{Alert, Change, Tally, Track, Window};
use monitor::{Ledger, Merged};
use serde_json::{Value, json};
use settings::{Route, show};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often counters are looked at.
const EVERY: Duration = Duration::from_secs(1);

/// One promise of a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Goal {
    /// This share of all requests ends within this time.
    Latency(Share, Duration),
    /// This share is not answered with 5xx.
    Success(Share),
}

impl Goal {
    /// As people write it: `p99 <= 200ms`, `success >= 99.9%`.
    fn text(self) -> String {
        match self {
            Self::Latency(share, time) => {
                format!("{} <= {}", show::percentile(share), show::time(time))
            }
            Self::Success(share) => format!("success >= {share}"),
        }
    }

    const fn kind(self) -> &'static str {
        match self {
            Self::Latency(..) => "latency",
            Self::Success(_) => "success",
        }
    }

    const fn target(self) -> Share {
        match self {
            Self::Latency(share, _) | Self::Success(share) => share,
        }
    }
}

/// All promises of a route, in the order of the settings.
fn goals(route: &Route) -> impl Iterator<Item = Goal> {
    let objective = route.objective.iter();
    objective.flat_map(|objective| {
        let latency = objective.latency.iter().map(|(share, time)| Goal::Latency(*share, *time));
        latency.chain(objective.success.map(Goal::Success))
    })
}

/// How all promises go.
#[derive(Debug, Default)]
pub struct Objectives(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    looked: Option<Moment>,
    /// By the route's name and the promise.
    tracks: BTreeMap<(String, Goal), Track>,
}

impl Objectives {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what has been counted, if it is time, and says what alerts began and ended.
    pub fn turn(&self, routes: &[Route], ledgers: &[Arc<Ledger>], now: Moment) {
        let mut state = self.state();
        if state.looked.is_some_and(|looked| now.since(looked) < EVERY) {
            return;
        }
        state.looked = Some(now);
        state.tracks.retain(|(name, goal), _| {
            let route = routes.iter().find(|route| route.name == *name);
            route.is_some_and(|route| goals(route).any(|own| own == *goal))
        });
        for route in routes.iter().filter(|route| route.objective.is_some()) {
            let counted = Counted::of(&route.name, ledgers);
            for goal in goals(route) {
                let track = state.tracks.entry((route.name.clone(), goal));
                let track = track.or_insert_with(|| Track::new(goal.target()));
                if let Some(change) = track.turn(counted.tally(goal), now) {
                    say(&route.name, goal, track, change, now);
                }
            }
        }
    }

    /// Each promise, for the live page.
    pub fn json(&self, now: Moment) -> Value {
        let state = self.state();
        let all = state.tracks.iter().map(|((route, goal), track)| {
            let burn = Window::ALL
                .iter()
                .map(|window| (window.name().to_owned(), rounded(track.burn(*window, now))));
            json!({
                "route": route,
                "objective": goal.text(),
                "kind": goal.kind(),
                "target": goal.target().factor(),
                "burn": burn.collect::<serde_json::Map<_, _>>(),
                "left": rounded(track.left(now)),
                "alert": track.alert().map(Alert::name),
            })
        });
        all.collect()
    }

    /// The same for the metrics page.
    pub fn families(&self, now: Moment) -> [Family; 2] {
        let state = self.state();
        let mut burn = Family {
            name: "fleetfoot_objective_burn",
            kind: "gauge",
            help: "How fast the budget of a route's objective is used up; 1 is as fast as may be.",
            samples: Vec::new(),
        };
        let mut left = Family {
            name: "fleetfoot_objective_budget_left",
            kind: "gauge",
            help: "What is left of an objective's budget of three days; 1 is all of it.",
            samples: Vec::new(),
        };
        for ((route, goal), track) in &state.tracks {
            let labels = || -> Labels {
                let text = |text: String| Cow::Owned(text);
                vec![("route", text(route.clone())), ("objective", text(goal.text()))]
            };
            for window in Window::ALL {
                let mut labels = labels();
                labels.push(("window", Cow::Borrowed(window.name())));
                burn.samples.push((labels, track.burn(*window, now)));
            }
            left.samples.push((labels(), track.left(now)));
        }
        [burn, left]
    }
}

fn rounded(value: f64) -> Value {
    json!((value * 1e4).round() / 1e4)
}

/// What threads have counted of a route together.
struct Counted {
    durations: Merged<7>,
    total: u64,
    failed: u64,
}

impl Counted {
    fn of(name: &str, ledgers: &[Arc<Ledger>]) -> Self {
        let mut counted = Self { durations: Merged::default(), total: 0, failed: 0 };
        for (_, meter) in ledgers.iter().flat_map(|l| l.routes()).filter(|(n, _)| n == name) {
            meter.add_to(&mut counted.durations);
            // Without an answer, the client had gone: that is nobody's failure.
            for (status, n) in meter.by_status().filter(|(status, _)| *status != 0) {
                counted.total += n;
                counted.failed += if status >= 500 { n } else { 0 };
            }
        }
        counted
    }

    fn tally(&self, goal: Goal) -> Tally {
        match goal {
            Goal::Latency(_, time) => {
                let total = self.durations.count();
                Tally { total, bad: total.saturating_sub(self.durations.at_most(time)) }
            }
            Goal::Success(_) => Tally { total: self.total, bad: self.failed },
        }
    }
}

fn say(route: &str, goal: Goal, track: &Track, change: Change, now: Moment) {
    let goal = goal.text();
    let left = track.left(now) * 100.0;
    let hour = track.burn(Window::Hour, now);
    match change {
        Change::Began(alert) => monitor::log::complain(
            now,
            format_args!(
                "objective: route {route}: {goal}: {}: the budget is used up {hour:.1} times as \
                 fast as may be in the last hour; {left:.0}% of three days' are left",
                alert.name()
            ),
        ),
        Change::Ended => monitor::log::complain(
            now,
            format_args!("objective: route {route}: {goal}: kept again; {left:.0}% are left"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use monitor::Facts;
    use monitor::settings::Objective;

    fn route(objective: Objective) -> Route {
        let pattern = settings::pattern::parse("*").unwrap();
        let rules = cache::settings::Rules::standard();
        let plain = Route::plain("items".to_owned(), pattern, 0, rules);
        Route { objective: Some(objective), ..plain }
    }

    #[test]
    fn an_objective_is_told_as_it_goes() {
        let objectives = Objectives::default();
        let ledger = Arc::new(Ledger::default());
        let latency = vec![(Share(9_900), Duration::from_millis(200))];
        let mut routes = [route(Objective { latency, success: Some(Share(9_990)) })];
        let at = |second: u64| Moment::from_nanos(second * 1_000_000_000);
        let ledgers = [Arc::clone(&ledger)];
        objectives.turn(&routes, &ledgers, at(1));
        for second in 0..600 {
            for n in 0..100_u64 {
                let begun = at(second);
                let status = if n < 20 { 503 } else { 200 };
                let mut facts = Facts { status, ..Facts::begin(begun) };
                let took = Duration::from_millis(if n < 50 { 300 } else { 100 });
                facts.timeline.enter(monitor::Phase::Gateway, begun + took);
                ledger.record(Some(&ledger.route("items")), &facts);
            }
            objectives.turn(&routes, &ledgers, at(second + 2));
        }
        let told = objectives.json(at(601));
        assert_eq!(told[0]["objective"], "p99 <= 200ms");
        assert_eq!(told[1]["objective"], "success >= 99.9%");
        assert_eq!((&told[0]["kind"], &told[0]["target"]), (&json!("latency"), &json!(0.99)));
        let near = |value: &Value, wanted: f64| {
            let found = value.as_f64().unwrap();
            assert!((found - wanted).abs() < wanted * 0.03, "{found}: {told}");
        };
        near(&told[0]["burn"]["5m"], 50.0);
        near(&told[1]["burn"]["5m"], 200.0);
        near(&told[1]["burn"]["1h"], 200.0 / 6.0);
        assert_eq!(told[1]["alert"], "page");
        let [burn, left] = objectives.families(at(601));
        assert_eq!((burn.samples.len(), left.samples.len()), (10, 2));
        // What is no longer promised is forgotten.
        routes[0].objective = None;
        objectives.turn(&routes, &ledgers, at(700));
        assert_eq!(objectives.json(at(700)), json!([]));
    }
}
