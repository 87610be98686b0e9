//! What is counted of each topic.

use monitor::expose::Family;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// Figures of one topic.
#[derive(Debug, Default)]
pub(super) struct Figures {
    /// Events heard.
    pub(super) heard: AtomicU64,
    /// Gaps told.
    pub(super) gaps: AtomicU64,
    /// Listens now, as far as is known.
    pub(super) listening: AtomicU64,
    /// Purges of tags.
    pub(super) purges: AtomicU64,
    /// Purges of everything.
    pub(super) flushes: AtomicU64,
    /// Events that were none.
    pub(super) no_event: AtomicU64,
    /// Events of a type that nothing comes of.
    pub(super) other_type: AtomicU64,
    /// Events without the parts of any tag.
    pub(super) no_tag: AtomicU64,
    /// Events that came again, and are not called again.
    pub(super) twins: AtomicU64,
    /// Calls that were answered with 2xx.
    pub(super) called: AtomicU64,
    /// Calls that were not.
    pub(super) call_failed: AtomicU64,
    /// Events published.
    pub(super) published: AtomicU64,
    /// Events given up.
    pub(super) lost: AtomicU64,
    /// Events that found no room.
    pub(super) overflowed: AtomicU64,
    /// Events that wait to be published.
    pub(super) waiting: AtomicU64,
    /// Events that are being published.
    pub(super) under_way: AtomicU64,
    /// It overflows, and that was told.
    overflows: AtomicBool,
}

impl Figures {
    /// An event found no room; is that news?
    pub(super) fn overflow(&self) -> bool {
        self.overflowed.fetch_add(1, Ordering::Relaxed);
        !self.overflows.swap(true, Ordering::Relaxed)
    }

    /// There is room again.
    pub(super) fn has_room(&self) {
        self.overflows.store(false, Ordering::Relaxed);
    }
}

/// Counts one more.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

type Read = fn(&Figures) -> &AtomicU64;
type Rows = &'static [(&'static str, Read)];

/// All of them, by topic.
pub(super) fn families(topics: &[(&str, &Figures)]) -> Vec<Family> {
    let family = |name, kind, help, label, rows: Rows| Family {
        name,
        kind,
        help,
        samples: topics
            .iter()
            .flat_map(|(topic, figures)| {
                rows.iter().map(move |(value, read)| {
                    let mut labels = vec![("events", (*topic).to_owned().into())];
                    if !value.is_empty() {
                        labels.push((label, (*value).into()));
                    }
                    (labels, read(figures).load(Ordering::Relaxed) as f64)
                })
            })
            .collect(),
    };
    vec![
        family(
            "fleetfoot_events_heard_total",
            "counter",
            "Events heard on a topic.",
            "",
            &[("", |f| &f.heard)],
        ),
        family(
            "fleetfoot_events_outcomes_total",
            "counter",
            "What came of events heard, and of gaps.",
            "outcome",
            &[
                ("purge", |f| &f.purges),
                ("flush", |f| &f.flushes),
                ("no_event", |f| &f.no_event),
                ("other_type", |f| &f.other_type),
                ("no_tag", |f| &f.no_tag),
                ("twin", |f| &f.twins),
            ],
        ),
        family(
            "fleetfoot_events_gaps_total",
            "counter",
            "Times that events of a topic may have been missed.",
            "",
            &[("", |f| &f.gaps)],
        ),
        family(
            "fleetfoot_events_listening",
            "gauge",
            "Whether a topic is heard (1), as of the last that was heard of it.",
            "",
            &[("", |f| &f.listening)],
        ),
        family(
            "fleetfoot_events_calls_total",
            "counter",
            "Calls with an event, by whether they were answered with 2xx.",
            "outcome",
            &[("done", |f| &f.called), ("failed", |f| &f.call_failed)],
        ),
        family(
            "fleetfoot_events_published_total",
            "counter",
            "Events that routes published, by what became of them.",
            "outcome",
            &[
                ("published", |f| &f.published),
                ("lost", |f| &f.lost),
                ("no_room", |f| &f.overflowed),
            ],
        ),
        family(
            "fleetfoot_events_waiting",
            "gauge",
            "Events that wait to be published.",
            "",
            &[("", |f| &f.waiting)],
        ),
    ]
}
