//! What the page of metrics says of jobs.

use base::Moment;
use monitor::expose::{Bars, Durations, Family, Labels, Told};
use offload::book::QueueStats;
use offload::engine::Engine;
use offload::figures::{BOUNDS_MICROS, Figures, Times};
use std::borrow::Cow;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Bounds for what waits for a disk: up to ten seconds.
const DISK_BOUNDS: &[u64] = BOUNDS_MICROS.first_chunk::<16>().expect("there are more");

/// All of it.
pub fn told(engine: &Engine, now: Moment) -> Vec<Told> {
    let stats = engine.with_book(|book| book.stats(now.wall_ms()));
    let figures = engine.figures();
    let mut told: Vec<Told> = of_queues(&stats, now).into_iter().map(Told::Numbers).collect();
    told.extend(of_log(engine, figures).into_iter().map(Told::Numbers));
    told.extend(durations(figures));
    told
}

fn of(name: &str, more: Option<(&'static str, &'static str)>) -> Labels {
    let mut labels = vec![("queue", Cow::Owned(name.to_owned()))];
    labels.extend(more.map(|(label, value)| (label, Cow::Borrowed(value))));
    labels
}

fn of_queues(stats: &[QueueStats], now: Moment) -> Vec<Family> {
    let family = |name, kind, help, value: &dyn Fn(&QueueStats) -> f64| Family {
        name,
        kind,
        help,
        samples: stats.iter().map(|queue| (of(&queue.name, None), value(queue))).collect(),
    };
    let mut jobs = family(
        "fleetfoot_jobs",
        "gauge",
        "Jobs that are not over, by queue and state (handed: a broker has them).",
        &|_| 0.0,
    );
    jobs.samples.clear();
    for queue in stats {
        for (state, n) in [
            ("queued", queue.ready),
            ("scheduled", queue.scheduled),
            ("running", queue.running),
            ("handed", queue.handed),
        ] {
            jobs.samples.push((of(&queue.name, Some(("state", state))), n as f64));
        }
    }
    let paused = |queue: &QueueStats| {
        let left = queue.paused_until.map(|until| until.since(now.wall_ms()));
        left.unwrap_or_default().as_secs_f64()
    };
    vec![
        jobs,
        family(
            "fleetfoot_jobs_oldest_seconds",
            "gauge",
            "How long the oldest job of a queue that may go has waited since it was due.",
            &|queue| queue.oldest.as_secs_f64(),
        ),
        family(
            "fleetfoot_jobs_ended_total",
            "counter",
            "Jobs that are over, however, by queue.",
            &|queue| queue.finished as f64,
        ),
        family("fleetfoot_jobs_died_total", "counter", "Jobs given up, by queue.", &|queue| {
            queue.dead as f64
        }),
        family(
            "fleetfoot_jobs_limit",
            "gauge",
            "Most deliveries of a queue at once, as learned from its service.",
            &|queue| queue.limit as f64,
        ),
        family(
            "fleetfoot_jobs_paused_seconds",
            "gauge",
            "How long a queue is still held back; 0: it is not.",
            &paused,
        ),
        family(
            "fleetfoot_jobs_away",
            "gauge",
            "1 while the service of a queue is taken to be away.",
            &|queue| f64::from(u8::from(queue.away)),
        ),
    ]
}

fn of_log(engine: &Engine, figures: &Figures) -> Vec<Family> {
    let get = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let counts = figures.counts();
    let refused = counts.refused.iter();
    let refused = refused.map(|(why, n)| (vec![("why", Cow::Borrowed(*why))], *n as f64));
    let tries = figures.tries();
    let tries = tries.iter().flat_map(|(queue, tries)| {
        let outcomes = tries.outcomes.iter();
        outcomes.map(|(outcome, n)| (of(queue, Some(("outcome", outcome))), *n as f64))
    });
    let dead = figures.dead();
    let dead = dead.iter().map(|(queue, n)| (of(queue, None), *n as f64));
    vec![
        Family::one(
            "fleetfoot_jobs_accepted_total",
            "counter",
            "Requests that became jobs: answered with 202, durable before that.",
            get(&figures.accepted),
        ),
        Family::one(
            "fleetfoot_jobs_deduplicated_total",
            "counter",
            "Requests that had become jobs before, under the same Idempotency-Key.",
            get(&figures.same),
        ),
        Family {
            name: "fleetfoot_jobs_refused_total",
            kind: "counter",
            help: "Requests that did not become jobs, by why.",
            samples: refused.collect(),
        },
        Family {
            name: "fleetfoot_jobs_deliveries_total",
            kind: "counter",
            help: "Tries that ended here, by queue and what came of them.",
            samples: tries.collect(),
        },
        Family {
            name: "fleetfoot_jobs_dead",
            kind: "gauge",
            help: "Dead jobs that are kept and were not replayed, by queue.",
            samples: dead.collect(),
        },
        Family::one(
            "fleetfoot_jobs_log_bytes",
            "gauge",
            "Bytes of the log of jobs.",
            get(&figures.log_bytes),
        ),
        Family::one(
            "fleetfoot_jobs_log_batches_total",
            "counter",
            "Batches of records that were made durable together.",
            get(&figures.batches),
        ),
        Family::one(
            "fleetfoot_jobs_log_records_total",
            "counter",
            "Records in them.",
            get(&figures.records),
        ),
        Family::one(
            "fleetfoot_jobs_log_closed",
            "gauge",
            "1 after the disk has failed: nothing is accepted, begun or noted before a restart.",
            u64::from(engine.closed().is_some()),
        ),
        Family::one(
            "fleetfoot_jobs_disk_low",
            "gauge",
            "1 while the disk has less than `free_min` left: nothing is accepted.",
            u64::from(engine.is_low()),
        ),
    ]
}

fn durations(figures: &Figures) -> Vec<Told> {
    let counts = figures.counts();
    let tries = figures.tries();
    let by_queue = |times: &dyn Fn(&offload::figures::Tries) -> Bars| {
        tries.iter().map(|(queue, tries)| (of(queue, None), times(tries))).collect()
    };
    vec![
        Told::Durations(Durations {
            name: "fleetfoot_jobs_accept_seconds",
            help: "From when a request was whole to when it was durable.",
            bounds_micros: DISK_BOUNDS,
            samples: vec![(Vec::new(), bars(&counts.accept))],
        }),
        Told::Durations(Durations {
            name: "fleetfoot_jobs_log_append_seconds",
            help: "Writing a batch and waiting until the disk has it.",
            bounds_micros: DISK_BOUNDS,
            samples: vec![(Vec::new(), bars(&counts.append))],
        }),
        Told::Durations(Durations {
            name: "fleetfoot_jobs_wait_seconds",
            help: "From when a job was due to its first try, by queue.",
            bounds_micros: &BOUNDS_MICROS,
            samples: by_queue(&|tries| bars(&tries.waited)),
        }),
        Told::Durations(Durations {
            name: "fleetfoot_jobs_delivery_seconds",
            help: "What a try took, by queue.",
            bounds_micros: &BOUNDS_MICROS,
            samples: by_queue(&|tries| bars(&tries.took)),
        }),
    ]
}

fn bars(times: &Times) -> Bars {
    let longest = BOUNDS_MICROS.iter().copied().chain([u64::MAX / 1_000]);
    let buckets = longest.zip(times.counts).filter(|(_, n)| *n > 0);
    Bars {
        buckets: buckets.map(|(micros, n)| (Duration::from_micros(micros), n)).collect(),
        count: times.count(),
        sum: times.sum,
        exemplars: Vec::new(),
    }
}
