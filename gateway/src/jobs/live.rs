//! What the live page says of jobs.

use crate::live::shown::short;
use base::Moment;
use offload::engine::Engine;
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::sync::atomic::Ordering;

/// Most queues that are told of; those with most jobs first.
const QUEUES_MAX: usize = 50;

/// How the queues stand.
pub fn json(engine: &Engine, now: Moment) -> Value {
    let wall = now.wall_ms();
    let mut stats = engine.with_book(|book| book.stats(wall));
    let dead = engine.figures().dead();
    let dead_of = |name: &str| dead.iter().find(|(queue, _)| queue == name).map_or(0, |(_, n)| *n);
    // What only the log remembers of a queue, and has nothing in it, is no news.
    stats.retain(|queue| queue.named || queue.ready + queue.scheduled + queue.running > 0);
    stats.sort_by_key(|queue| Reverse(queue.ready + queue.scheduled + queue.running));
    let more = stats.len().saturating_sub(QUEUES_MAX);
    let queues = stats.iter().take(QUEUES_MAX).map(|queue| {
        json!({
            "queue": queue.name,
            "ready": queue.ready,
            "scheduled": queue.scheduled,
            "running": queue.running,
            "handed": queue.handed,
            "limit": queue.limit,
            "oldest_s": short(queue.oldest.as_secs_f64()),
            "in_per_s": short(queue.accepted_rate[0]),
            "out_per_s": short(queue.finished_rate[0]),
            "failed_per_s": short(queue.failed_rate[0]),
            "dead": dead_of(&queue.name),
            "away": queue.away,
            "paused_s": queue.paused_until.map(|until| short(until.since(wall).as_secs_f64())),
        })
    });
    json!({
        "queues": queues.collect::<Vec<_>>(),
        "queues_more": more,
        "log_bytes": engine.figures().log_bytes.load(Ordering::Relaxed),
        "accepted": engine.figures().accepted.load(Ordering::Relaxed),
        "closed": engine.closed(),
        "disk_low": engine.is_low(),
    })
}

/// What somebody should know at once.
pub fn notices(engine: &Engine) -> Vec<(&'static str, String)> {
    let mut notices = Vec::new();
    if let Some(why) = engine.closed() {
        let text = "nothing is accepted, begun or noted; see that its disk is well, then restart.";
        notices.push(("bad", format!("The log of jobs is closed ({why}): {text}")));
    } else if engine.is_low() {
        let text = "The disk of [offload] has less than free_min left: no job is accepted.";
        notices.push(("bad", text.to_owned()));
    }
    notices
}
