//! The list of jobs, a page at a time: first those that live, then those that are over.
//!
//! A cursor names a place, no count: what comes or goes meanwhile moves nothing. A job that ends while
//! somebody reads on may be told twice, as one that lived and as one that is over; none that was there
//! all the time is left out. Those that are over come in the order in which they were accepted.

use super::asked::{Asked, From, LIMIT};
use super::{No, Told};
use base::{Moment, Wall};
use http::StatusCode;
use offload::book::{Cursor, Filter, JobView};
use offload::cold::Over;
use offload::engine::Engine;
use offload::job::JobId;
use offload::record::{self, Record};
use serde_json::{Value, json};

/// How often the book is asked for one page; each time it looks at some ten thousand jobs.
const LOOKS_MAX: usize = 20;
/// Records that are read from the disk for one page, where a choice needs them.
const READS_MAX: usize = 2_000;
/// The route of a job is read for a list where its request is not longer than this.
const READ_BYTES_MAX: u32 = 256 << 10;

/// A page of the list; waits for the disk.
///
/// # Errors
/// The store's.
pub fn list(engine: &Engine, asked: &Asked) -> Told {
    let most = if asked.limit == 0 { LIMIT } else { asked.limit };
    let mut jobs = Vec::new();
    let mut next = Some(asked.from);
    if let From::Live(from) = asked.from {
        let lives = asked.state.is_none_or(|state| !state.is_final()) && asked.replayed.is_none();
        next = if lives { live(engine, asked, from, most, &mut jobs) } else { None };
        next = next.or(Some(From::Over(JobId::NONE)));
    }
    if let Some(From::Over(after)) = next
        && jobs.len() < most
    {
        let ends = asked.state.is_none_or(offload::job::State::is_final);
        next = if ends { over(engine, asked, after, most, &mut jobs)? } else { None };
    }
    let next = next.map(From::text);
    Ok((StatusCode::OK, json!({ "jobs": jobs, "next": next })))
}

/// Jobs that live; where that goes on.
fn live(
    engine: &Engine,
    asked: &Asked,
    mut from: Cursor,
    most: usize,
    jobs: &mut Vec<Value>,
) -> Option<From> {
    let queue = match &asked.queue {
        Some(name) => Some(engine.with_book(|book| book.queue(name))?),
        None => None,
    };
    let filter = Filter { queue, state: asked.state };
    let mut reads = 0;
    for _ in 0..LOOKS_MAX {
        let now = Moment::now().wall_ms();
        let (page, names) = engine.with_book(|book| {
            let page = book.list(filter, from, most - jobs.len(), now);
            let name = |job: &JobView| book.name(job.queue).to_owned();
            let names: Vec<String> = page.jobs.iter().map(name).collect();
            (page, names)
        });
        for (job, queue) in page.jobs.iter().zip(names) {
            if is_chosen(asked, job) {
                reads += 1;
                jobs.extend(of_live(engine, asked, job, &queue));
            }
        }
        from = page.next?;
        if jobs.len() >= most || reads >= READS_MAX {
            break;
        }
    }
    Some(From::Live(from))
}

fn is_chosen(asked: &Asked, job: &JobView) -> bool {
    // A job that has not failed yet has no reason.
    asked.reason.is_none_or(|reason| job.reason == reason && reason as u8 != 0)
        && asked.since.is_none_or(|since| job.accepted >= since)
        && asked.before.is_none_or(|before| job.accepted < before)
}

/// The row of a job that lives, if its route is the one.
fn of_live(engine: &Engine, asked: &Asked, job: &JobView, queue: &str) -> Option<Value> {
    let reads = asked.route.is_some() || job.place.bulk_len <= READ_BYTES_MAX;
    let first = if reads { engine.request(job.place) } else { None };
    let route = first.as_ref().and_then(|(first, _)| match record::read(first) {
        Ok(Record::Accept(summary)) => Some(summary.route),
        _ => None,
    });
    if asked.route.as_deref().is_some_and(|asked| route != Some(asked)) {
        return None;
    }
    Some(live_row(engine, job, queue, route))
}

/// What a list says of a job that lives.
pub fn live_row(engine: &Engine, job: &JobView, queue: &str, route: Option<&str>) -> Value {
    let mut row = json!({
        "id": job.id.to_string(),
        "token": engine.minter().token(job.id),
        "queue": queue,
        "route": route,
        "state": job.state.name(),
        "attempts": job.attempts,
        "priority": job.priority,
        "accepted": job.accepted.0,
        "due": job.due.max(job.accepted).0,
    });
    if job.expires > Wall(0) {
        row["expires"] = job.expires.0.into();
    }
    if job.handed {
        row["handed"] = true.into();
    }
    if job.reason as u8 != 0 {
        row["reason"] = job.reason.name().into();
    }
    origin(&mut row, job.status, job.origin, job.replay);
    row
}

/// What a list says of a job that is over.
pub fn over_row(engine: &Engine, job: &Over) -> Value {
    let mut row = json!({
        "id": job.id.to_string(),
        "token": engine.minter().token(job.id),
        "queue": job.queue,
        "route": (!job.route.is_empty()).then_some(&job.route),
        "state": job.state.name(),
        "reason": job.reason.name(),
        "attempts": job.attempts,
        "accepted": job.id.made().0,
        "ended": job.ended.0,
        "kept_until": job.until.0,
    });
    if job.replayed != JobId::NONE {
        row["replayed_as"] = job.replayed.to_string().into();
    }
    origin(&mut row, job.status, job.origin, false);
    row
}

fn origin(row: &mut Value, status: u16, origin: JobId, replay: bool) {
    if status > 0 {
        row["status"] = status.into();
    }
    if origin != JobId::NONE {
        row["origin"] = origin.to_string().into();
    }
    if replay {
        row["replay"] = true.into();
    }
}

/// Jobs that are over, from the store and those on their way into it; where that goes on.
fn over(
    engine: &Engine,
    asked: &Asked,
    after: JobId,
    most: usize,
    jobs: &mut Vec<Value>,
) -> Result<Option<From>, No> {
    let wants = most - jobs.len();
    // Those on their way first: whoever arrives between the two looks is found twice, not missed.
    let mut found: Vec<Over> = engine
        .recent(after)
        .iter()
        .filter(|over| is_stored_like(asked, over))
        .map(|over| (**over).clone())
        .collect();
    found.extend(engine.store().list(&asked.stored(after), wants + 1)?);
    // What the store knows is more: it comes last, and of twins the last one stays.
    found.reverse();
    found.sort_by_key(|over| over.id);
    found.dedup_by_key(|over| over.id);
    let more = found.len() > wants;
    found.truncate(wants);
    let last = found.last().map(|over| From::Over(over.id));
    jobs.extend(found.iter().map(|over| over_row(engine, over)));
    Ok(if more { last } else { None })
}

fn is_stored_like(asked: &Asked, over: &Over) -> bool {
    asked.queue.as_ref().is_none_or(|queue| *queue == over.queue)
        && asked.route.as_ref().is_none_or(|route| *route == over.route)
        && asked.state.is_none_or(|state| state == over.state)
        && asked.reason.is_none_or(|reason| reason == over.reason)
        && asked.replayed.is_none_or(|replayed| replayed == (over.replayed != JobId::NONE))
        && asked.since.is_none_or(|since| over.ended >= since)
        && asked.before.is_none_or(|before| over.ended < before)
}
