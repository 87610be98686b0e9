//! Dead jobs become new ones, each once.
//!
//! A replay is a new job: with the queue, service, route, priority and order of the dead one, its
//! request as it was, and all its tries before it. It goes on the queue's lane for replays
//! (`replay_rate`), beside what comes in. What makes it once, however often it is asked for and wherever
//! the process ends meanwhile, is its name, which follows from the dead job's id: the room makes one
//! job of a name. The dead job then says which job it has become.
//!
//! Many are taken in the background, in the order in which they were accepted, so that those with the
//! same order stay in it. What dies again while that goes on is not taken again.

use super::asked::Asked;
use super::one::closed;
use super::{No, Told, blocking};
use base::{Moment, Wall};
use http::StatusCode;
use offload::cold::{Filter, Over};
use offload::core::{Accepted, New};
use offload::engine::Engine;
use offload::job::{JobId, State};
use offload::record::{self, Record};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Replays that are remembered.
const REMEMBERED: usize = 32;
/// Replays at work at the same time.
const AT_WORK_MAX: usize = 4;
/// Dead jobs that are made new ones together: they share syncs of the disk.
const TOGETHER: usize = 64;
/// Ids that are looked up together.
const PAGE: usize = 1_024;
/// How long a replay waits for room in its queue, at most, before it looks again.
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// Replays, by their names, are told from callbacks, whose names follow from ids as well.
const NAME: u128 = u128::MAX / 3;

/// Replays of the last time.
#[derive(Debug, Default)]
pub struct Replays {
    all: Mutex<VecDeque<Arc<Replay>>>,
    last: AtomicU64,
}

/// One replay of many.
#[derive(Debug)]
struct Replay {
    number: u64,
    matched: usize,
    begun: Wall,
    made: AtomicUsize,
    /// Those that were replayed before, are gone, or cannot be read.
    left_out: AtomicUsize,
    cancelled: AtomicBool,
    ended: Mutex<Option<Ended>>,
}

#[derive(Clone, Debug)]
struct Ended {
    at: Wall,
    error: Option<String>,
}

impl Replay {
    fn end(&self) -> MutexGuard<'_, Option<Ended>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn json(&self) -> Value {
        let ended = self.end().clone();
        let cancelled = self.cancelled.load(Ordering::Relaxed);
        let state = match &ended {
            None => "running",
            Some(Ended { error: Some(_), .. }) => "failed",
            Some(_) if cancelled => "cancelled",
            Some(_) => "done",
        };
        let mut told = json!({
            "replay": self.number,
            "state": state,
            "matched": self.matched,
            "replayed": self.made.load(Ordering::Relaxed),
            "left_out": self.left_out.load(Ordering::Relaxed),
            "begun": self.begun.0,
        });
        if let Some(Ended { at, error }) = ended {
            told["ended"] = at.0.into();
            if let Some(error) = error {
                told["error"] = error.into();
            }
        }
        told
    }
}

impl Replays {
    fn all(&self) -> MutexGuard<'_, VecDeque<Arc<Replay>>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins one, of up to so many dead jobs; answers how many there are.
    ///
    /// # Errors
    /// The store's, or too many are at work.
    pub async fn start(&self, engine: &Arc<Engine>, asked: Asked, most: usize) -> Told {
        let now = Moment::now().wall_ms();
        let mut filter = Filter { replayed: Some(false), ..asked.stored(JobId::NONE) };
        // What dies from now on, perhaps as a replay of this one, is for another replay.
        filter.before = Some(filter.before.map_or(now, |before| before.min(now)));
        let (store, counted) = (Arc::clone(engine), filter.clone());
        let matched = blocking(move || Ok(store.store().count(&counted, most)?)).await?;
        let replay = Arc::new(Replay {
            number: self.last.fetch_add(1, Ordering::Relaxed) + 1,
            matched,
            begun: now,
            made: AtomicUsize::new(0),
            left_out: AtomicUsize::new(0),
            cancelled: AtomicBool::new(false),
            ended: Mutex::new(None),
        });
        {
            let mut all = self.all();
            let at_work = all.iter().filter(|replay| replay.end().is_none()).count();
            if at_work >= AT_WORK_MAX {
                let error = format!("{at_work} replays are at work");
                let remedy = "wait for one: GET /jobs/replays";
                return Err(No::new(StatusCode::TOO_MANY_REQUESTS, error, remedy));
            }
            if all.len() == REMEMBERED {
                let over = all.iter().position(|replay| replay.end().is_some());
                over.map(|at| all.remove(at));
            }
            all.push_back(Arc::clone(&replay));
        }
        let told = replay.json();
        let engine = Arc::clone(engine);
        tokio::spawn(async move {
            let error = run(&engine, &replay, filter, most).await.err();
            let at = Moment::now().wall_ms();
            *replay.end() = Some(Ended { at, error: error.map(|no| no.error) });
        });
        Ok((StatusCode::ACCEPTED, told))
    }

    fn find(&self, number: &str) -> Result<Arc<Replay>, No> {
        let wanted = number.parse().ok();
        let found = self.all().iter().find(|replay| Some(replay.number) == wanted).cloned();
        found.ok_or_else(|| {
            let error = format!("there is no replay {}", super::shortened(number));
            let remedy = "see GET /jobs/replays; a restart forgets them, not what they have done";
            No::new(StatusCode::NOT_FOUND, error, remedy)
        })
    }

    /// All that are remembered, the last one first.
    pub fn list(&self) -> Value {
        let all: Vec<Value> = self.all().iter().rev().map(|replay| replay.json()).collect();
        json!({ "replays": all })
    }

    /// How far one is.
    ///
    /// # Errors
    /// There is none.
    pub fn show(&self, number: &str) -> Told {
        Ok((StatusCode::OK, self.find(number)?.json()))
    }

    /// Ends one; what it has made stays.
    ///
    /// # Errors
    /// There is none, or it has ended.
    pub fn cancel(&self, number: &str) -> Told {
        let replay = self.find(number)?;
        if replay.end().is_some() {
            return Err(No::conflict("it has ended", "nothing is left to do"));
        }
        replay.cancelled.store(true, Ordering::Relaxed);
        Ok((StatusCode::ACCEPTED, replay.json()))
    }
}

async fn run(
    engine: &Arc<Engine>,
    replay: &Replay,
    mut filter: Filter,
    most: usize,
) -> Result<(), No> {
    let mut left = most.min(replay.matched);
    while left > 0 {
        let (store, asked) = (Arc::clone(engine), filter.clone());
        let page = blocking(move || Ok(store.store().list(&asked, PAGE.min(left))?)).await?;
        let Some(last) = page.last() else { break };
        filter.after = last.id;
        left -= page.len();
        let ids: Vec<JobId> = page.iter().map(|over| over.id).collect();
        for ids in ids.chunks(TOGETHER) {
            if replay.cancelled.load(Ordering::Relaxed) {
                return Ok(());
            }
            let made = together(engine, ids, &replay.cancelled).await?;
            replay.made.fetch_add(made, Ordering::Relaxed);
            replay.left_out.fetch_add(ids.len() - made, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// Makes new jobs of dead ones; how many.
async fn together(
    engine: &Arc<Engine>,
    ids: &[JobId],
    cancelled: &AtomicBool,
) -> Result<usize, No> {
    let (store, wanted) = (Arc::clone(engine), ids.to_vec());
    let dead = blocking(move || {
        let mut dead = Vec::with_capacity(wanted.len());
        for id in wanted {
            dead.extend(store.stored(id)?.filter(|over| over.replayed == JobId::NONE));
        }
        Ok(dead)
    });
    let mut wait: VecDeque<Over> = dead.await?.into();
    let mut pairs = Vec::new();
    let mut problem = None;
    while !wait.is_empty() && problem.is_none() && !cancelled.load(Ordering::Relaxed) {
        // Asked for in their order, and all before the first is waited for: one sync for them.
        let asked: Vec<_> = wait
            .drain(..)
            .filter_map(|dead| {
                let (new, request) = new(&dead)?;
                Some((dead, engine.accept(Box::new(new), request)))
            })
            .collect();
        let mut pause = Duration::ZERO;
        for (dead, accepted) in asked {
            match accepted.await {
                Ok(Accepted::Yes(made) | Accepted::Same(made)) => pairs.push((dead.id, made)),
                Ok(Accepted::Full(_, after)) => {
                    pause = pause.max(after.min(PAUSE_MAX));
                    wait.push_back(dead);
                }
                Ok(Accepted::DiskFull) => {
                    pause = PAUSE_MAX;
                    wait.push_back(dead);
                }
                Ok(Accepted::Mismatch) => {}
                Ok(Accepted::Broken(_)) | Err(_) => problem = Some(closed(engine)),
            }
        }
        if !wait.is_empty() && problem.is_none() {
            tokio::time::sleep(pause).await;
        }
    }
    let (store, noted) = (Arc::clone(engine), pairs.clone());
    blocking(move || Ok(store.store().replayed(&noted)?)).await?;
    problem.map_or(Ok(pairs.len()), Err)
}

/// Makes a new job of this dead one.
///
/// # Errors
/// It is not dead, was replayed before, or the room takes nothing.
pub async fn one(engine: &Arc<Engine>, dead: &Over) -> Result<JobId, No> {
    if dead.state != State::Dead {
        let error = format!("it is {}", dead.state.name());
        let remedy = "only jobs that wait for their next try, or are dead, are tried again";
        return Err(No::conflict(error, remedy));
    }
    if dead.replayed != JobId::NONE {
        let error = format!("it was replayed as {}", dead.replayed);
        let mut no = No::conflict(error, "look at that one");
        no.more = Box::new(json!({ "replayed_as": dead.replayed.to_string() }));
        return Err(no);
    }
    let Some((new, request)) = new(dead) else {
        let remedy = "ask once more in a second; if it stays so, its record is damaged";
        return Err(No::conflict("its request is not there to be sent again", remedy));
    };
    let made = match engine.accept(Box::new(new), request).await {
        Ok(Accepted::Yes(made) | Accepted::Same(made)) => made,
        Ok(Accepted::Full(what, after)) => {
            let error = format!("there is no room for another job: {}", what.name());
            let remedy = format!("ask once more in {} s", after.as_secs().max(1));
            return Err(No::new(StatusCode::SERVICE_UNAVAILABLE, error, remedy));
        }
        Ok(Accepted::DiskFull) => {
            let (error, remedy) = ("the disk of [offload] has no room", "make room on it");
            return Err(No::new(StatusCode::SERVICE_UNAVAILABLE, error, remedy));
        }
        Ok(Accepted::Mismatch) => {
            return Err(No::conflict("its name is another job's", "forget it, and send it anew"));
        }
        Ok(Accepted::Broken(_)) | Err(_) => return Err(closed(engine)),
    };
    let (store, pair) = (Arc::clone(engine), [(dead.id, made)]);
    blocking(move || Ok(store.store().replayed(&pair)?)).await?;
    Ok(made)
}

/// The new job, and its request.
fn new(dead: &Over) -> Option<(New, Vec<u8>)> {
    let (first, request) = dead.request.as_ref()?;
    let Ok(Record::Accept(summary)) = record::read(first) else { return None };
    // Its service is to know it as what it was first: a replay of a replay is another try of the same.
    let origin = if summary.replay { summary.origin } else { dead.id };
    let now = Moment::now().wall_ms();
    // It may wait for as long as it might have waited then.
    let expires = match summary.expires {
        Wall(0) => Wall(0),
        expires => now + expires.since(dead.id.made()),
    };
    let new = New {
        queue: summary.queue.to_owned(),
        service: summary.service.to_owned(),
        route: summary.route.to_owned(),
        callback: summary.callback.to_owned(),
        due: Wall(0),
        expires,
        priority: summary.priority,
        order: summary.order,
        debounce: 0,
        claim: u128::from_be_bytes(dead.id.0) ^ NAME,
        print: 1,
        claimed_until: dead.until,
        origin,
        replay: true,
        ..New::default()
    };
    Some((new, request.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use offload::job::Reason;
    use offload::record::Summary;

    fn dead(summary: &Summary<'_>) -> Over {
        let mut first = Vec::new();
        Record::Accept(*summary).write(&mut first);
        Over {
            id: summary.id,
            state: State::Dead,
            reason: Reason::Status,
            status: 503,
            attempts: 3,
            queue: "mail".to_owned(),
            route: "POST /".to_owned(),
            ended: Wall(9_000),
            until: Wall(99_000),
            origin: summary.origin,
            replayed: JobId::NONE,
            answer: Vec::new(),
            request: Some((first, b"POST / HTTP/1.1\r\n\r\nx".to_vec())),
        }
    }

    #[test]
    fn a_replay_is_what_the_dead_one_was_and_once() {
        let id = JobId::mint(Wall(1_000), offload::job::Node::named("a"), 7);
        let summary = Summary {
            id,
            queue: "mail",
            service: "mailer",
            route: "POST /",
            callback: "https://a.example/",
            due: Wall(5_000),
            expires: Wall(3_000),
            priority: 7,
            order: 3,
            debounce: 4,
            claim: 5,
            print: 6,
            attempts: 3,
            ..Summary::default()
        };
        let (made, request) = new(&dead(&summary)).expect("it is whole");
        assert_eq!((made.queue.as_str(), made.service.as_str()), ("mail", "mailer"));
        assert_eq!((made.route.as_str(), made.callback.as_str()), ("POST /", summary.callback));
        assert_eq!((made.priority, made.order, made.debounce), (7, 3, 0));
        assert_eq!((made.due, made.origin, made.replay), (Wall(0), id, true));
        assert!(made.expires > Moment::now().wall_ms(), "it has its time before it again");
        assert_eq!(request, b"POST / HTTP/1.1\r\n\r\nx");
        let (again, _) = new(&dead(&summary)).expect("it is whole");
        assert_eq!((made.claim, made.print), (again.claim, again.print));
        assert!(made.claim != 0 && made.claim != u128::from_be_bytes(id.0) ^ u128::MAX);
        // Of a replay of a replay, the service is told the first.
        let other = JobId::mint(Wall(2_000), offload::job::Node::named("a"), 8);
        let second = Summary { id: other, origin: id, replay: true, ..summary };
        let (third, _) = new(&dead(&second)).expect("it is whole");
        assert_eq!(third.origin, id);
        assert_ne!(third.claim, made.claim);
    }
}
