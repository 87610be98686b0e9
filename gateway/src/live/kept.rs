//! Exchanges that were kept whole, as lists and as waterfalls.

use super::shown::{millis, short};
use base::Moment;
use monitor::Kept;
use monitor::facts::{Cause, Try};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// Most that a list holds.
pub const LIST_MAX: usize = 200;
/// Longest target in a list, in characters.
const TARGET_MAX: usize = 80;

/// What a list is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Wanted {
    /// Ended no earlier, in milliseconds since 1970.
    pub from: u64,
    /// And no later.
    pub to: u64,
    /// Took at least so long, in milliseconds.
    pub least: f64,
    /// And at most.
    pub most: f64,
    /// So many.
    pub limit: usize,
}

impl Wanted {
    /// The last `limit`.
    pub const fn last(limit: usize) -> Self {
        Self { from: 0, to: u64::MAX, least: 0.0, most: f64::INFINITY, limit }
    }

    /// Reads a query: `from`, `to`, `min_ms`, `max_ms`, `limit`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(query: &str) -> Result<Self, String> {
        let mut wanted = Self::last(50);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let wrong = || format!("`{name}` takes a number, not {value:?}");
            let number = value.parse::<f64>().ok().filter(|n| *n >= 0.0);
            let number = number.ok_or_else(wrong);
            #[expect(clippy::cast_sign_loss, reason = "not negative, see above")]
            match name {
                "from" => wanted.from = number? as u64,
                "to" => wanted.to = number? as u64,
                "min_ms" => wanted.least = number?,
                "max_ms" => wanted.most = number?,
                "limit" => wanted.limit = (number? as usize).min(LIST_MAX),
                _ => {
                    return Err(format!(
                        "`{name}` is none of from, to, min_ms, max_ms, limit (times in \
                         milliseconds since 1970)"
                    ));
                }
            }
        }
        Ok(wanted)
    }

    fn takes(&self, kept: &Kept) -> bool {
        let (ended, took) = (ended(kept).wall_ms().0, took(kept));
        (self.from..=self.to).contains(&ended) && (self.least..=self.most).contains(&took)
    }
}

fn ended(kept: &Kept) -> Moment {
    kept.facts.begun + kept.facts.timeline.total()
}

fn took(kept: &Kept) -> f64 {
    kept.facts.timeline.total().as_secs_f64() * 1e3
}

/// The name of an exchange in links: its span, or its running number where there is no trace.
fn id(kept: &Kept, number: u64) -> String {
    let trace = kept.facts.trace;
    if trace.is_on() { format!("{:016x}", trace.span) } else { number.to_string() }
}

/// A list, the newest first; the first of all has been given the number `first`.
pub fn list<'k>(
    all: impl DoubleEndedIterator<Item = &'k Arc<Kept>> + ExactSizeIterator,
    first: u64,
    wanted: Wanted,
) -> Value {
    let wanted_ones = all.enumerate().rev().filter(|(_, kept)| wanted.takes(kept));
    wanted_ones.take(wanted.limit).map(|(at, kept)| row(kept, first + at as u64)).collect()
}

fn row(kept: &Kept, number: u64) -> Value {
    let facts = &kept.facts;
    let mut target: String = kept.target.chars().take(TARGET_MAX).collect();
    if target.len() < kept.target.len() {
        target.push('…');
    }
    json!({
        "id": id(kept, number),
        "at": ended(kept).wall_ms().0,
        "ms": short(took(kept)),
        "why": kept.why.name(),
        "status": facts.status,
        "fault": facts.fault.map(base::FaultKind::name),
        "cached": facts.cached.map(monitor::Cached::name),
        "method": kept.method,
        "target": target,
        "route": kept.route,
    })
}

/// Finds one by its span, the whole of its trace's id, or its running number: the newest that fits.
pub fn find<'k>(
    all: impl DoubleEndedIterator<Item = &'k Arc<Kept>> + ExactSizeIterator,
    first: u64,
    wanted: &str,
) -> Option<Value> {
    let mut all = all.enumerate().rev();
    let fits = |(at, kept): &(usize, &Arc<Kept>)| {
        id(kept, first + *at as u64) == wanted
            || kept.facts.trace.is_on() && format!("{:032x}", kept.facts.trace.id) == wanted
    };
    all.find(fits).map(|(at, kept)| waterfall(kept, first + at as u64))
}

/// All that is known of one.
fn waterfall(kept: &Kept, number: u64) -> Value {
    let (facts, trace) = (&kept.facts, kept.facts.trace);
    let mut from = Duration::ZERO;
    let phases = facts.timeline.parts().map(|(phase, time)| {
        let begun = from;
        from += time;
        json!({ "phase": phase.name(), "from_ms": millis(begun), "ms": millis(time) })
    });
    let phases: Vec<Value> = phases.collect();
    let tries = kept.tries.iter().map(|(tried, server)| of_try(tried, server, facts.begun));
    let mut whole = row(kept, number);
    let more = json!({
        "trace": trace.is_on().then(|| format!("{:032x}", trace.id)),
        "parent": (trace.parent != 0).then(|| format!("{:016x}", trace.parent)),
        "request_id": kept.request_id,
        "host": kept.host,
        "target": kept.target,
        "protocol": kept.protocol,
        "tls": kept.tls,
        "client": kept.client,
        "user_agent": kept.user_agent,
        "service": kept.service,
        "sent_bytes": facts.sent,
        "hedged": facts.hedged,
        "begun": facts.begun.wall_ms().0,
        "asked_ms": facts.asked.map(|at| millis(at.since(facts.begun))),
        "answered_ms": facts.answered.map(|at| millis(at.since(facts.begun))),
        "phases": phases,
        "tries": tries.collect::<Vec<_>>(),
    });
    if let (Value::Object(whole), Value::Object(more)) = (&mut whole, more) {
        whole.extend(more);
    }
    whole
}

fn of_try(tried: &Try, server: &str, begun: Moment) -> Value {
    json!({
        "number": tried.number,
        "cause": match tried.cause {
            Cause::First => "first",
            Cause::Retry => "retry",
            Cause::Hedge => "hedge",
        },
        "server": server,
        "from_ms": millis(tried.begun.since(begun)),
        "ms": millis(tried.ended.since(tried.begun)),
        "status": (tried.status != 0).then_some(tried.status),
        "fault": tried.fault.map(base::FaultKind::name),
        "reused": tried.reused,
    })
}
