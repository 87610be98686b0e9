//! What routes promise their users, and how it goes: fed once a second from what threads have
//! counted, told on the metrics page, the live page and standard error.

use base::{Moment, Share};
use monitor::expose::{Family, Labels};
use monitor::objective::{Alert, Change, Tally, Track, Window};
use monitor::{Merged, Total};
use serde_json::{Value, json};
use settings::{Route, show};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

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

    /// How it has gone so far.
    fn tally(self, total: &Total, durations: &Merged<7>) -> Tally {
        match self {
            Self::Latency(_, time) => {
                let all = durations.count();
                Tally { total: all, bad: all.saturating_sub(durations.at_most(time)) }
            }
            // Without an answer, the client had gone: that is nobody's failure.
            Self::Success(_) => Tally { total: total.answered, bad: total.errors },
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
    /// By the route's name and the promise.
    tracks: BTreeMap<(String, Goal), Track>,
}

impl Objectives {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at what has been counted, once a second, and says what alerts began and ended.
    pub fn turn(&self, routes: &[Route], totals: &BTreeMap<String, Total>, now: Moment) {
        let mut state = self.state();
        let promises = |route| goals(route).map(move |goal: Goal| (route.name.clone(), goal));
        let promised: BTreeSet<_> = routes.iter().flat_map(promises).collect();
        state.tracks.retain(|promise, _| promised.contains(promise));
        let none = Total::default();
        for route in routes.iter().filter(|route| route.objective.is_some()) {
            let total = totals.get(&route.name).unwrap_or(&none);
            let durations = total.all();
            for goal in goals(route) {
                let track = state.tracks.entry((route.name.clone(), goal));
                let track = track.or_insert_with(|| Track::new(goal.target()));
                if let Some(change) = track.turn(goal.tally(total, &durations), now) {
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
    use crate::reporter::Reading;
    use monitor::settings::Objective;
    use monitor::{Facts, Ledger};
    use std::sync::Arc;

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
        let totals = || Reading::of(&ledgers).totals;
        objectives.turn(&routes, &totals(), at(1));
        for second in 0..600 {
            for n in 0..100_u64 {
                let begun = at(second);
                let status = if n < 20 { 503 } else { 200 };
                let mut facts = Facts { status, ..Facts::begin(begun) };
                let took = Duration::from_millis(if n < 50 { 300 } else { 100 });
                facts.timeline.enter(monitor::Phase::Gateway, begun + took);
                ledger.record(Some(&ledger.route("items")), &facts);
            }
            objectives.turn(&routes, &totals(), at(second + 2));
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
        objectives.turn(&routes, &totals(), at(700));
        assert_eq!(objectives.json(at(700)), json!([]));
    }
}
