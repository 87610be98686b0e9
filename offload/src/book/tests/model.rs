//! The order of picks, against the plainest model: a list, looked through from its beginning.

use super::*;

#[derive(Clone, Debug)]
struct Plain {
    id: JobId,
    accepted: Wall,
    due: Wall,
    expires: Wall,
    priority: u8,
    order: u64,
    replay: bool,
    out: bool,
}

/// Who is next by the words of the book, with no limits.
fn next(jobs: &[Plain], now: Wall) -> Option<JobId> {
    let may_go = |job: &&Plain| {
        let before = |other: &Plain| {
            other.order == job.order
                && (other.out || other.replay == job.replay && other.id < job.id)
        };
        !job.out
            && job.due <= now
            && (job.expires == Wall(0) || now <= job.expires)
            && (job.order == 0 || !jobs.iter().any(before))
    };
    let counts_from = |job: &Plain| {
        let since = job.due.max(job.accepted);
        // A level less is as if it had come so much later.
        since.0 + u64::from(9 - job.priority) * LEVEL_UP.as_millis() as u64
    };
    let best = |job: &&Plain| (job.replay, counts_from(job), 9 - job.priority, job.due, job.id);
    jobs.iter().filter(may_go).min_by_key(best).map(|job| job.id)
}

fn check(seed: u64) {
    let mut desk = Desk::new(vec![queue("mail")]);
    let mut rng = fastrand::Rng::with_seed(seed);
    let mut jobs: Vec<Plain> = Vec::new();
    for _ in 0..300 {
        let some = (!jobs.is_empty()).then(|| rng.usize(..jobs.len().max(1)));
        match (rng.u8(..10), some) {
            (0..=3, _) => {
                let (now, rng) = (desk.now, &mut rng);
                let due = if rng.bool() { Wall(0) } else { now + seconds(rng.u64(..90)) };
                let expires = if rng.u8(..4) > 0 { Wall(0) } else { now + seconds(rng.u64(..200)) };
                let (priority, order) = (rng.u8(..10), rng.u64(..4));
                let replay = rng.u8(..5) == 0;
                let id = desk.accept(|job| {
                    (job.due, job.expires, job.priority) = (due, expires, priority);
                    (job.order, job.replay) = (order, replay);
                });
                let due = due.max(now);
                let job =
                    Plain { id, accepted: now, due, expires, priority, order, replay, out: false };
                jobs.push(job);
            }
            (4..=5, _) => desk.pass(millis(rng.u64(..60_000))),
            (6, Some(at)) if jobs[at].out => {
                let id = jobs[at].id;
                // 408 says nothing against the service: the pace stays out of this.
                let Verdict::Again { due, .. } = desk.tried(id, &answered(408)) else {
                    jobs.remove(at);
                    continue;
                };
                (jobs[at].out, jobs[at].due) = (false, due);
            }
            (6..=7, Some(at)) => {
                desk.finish(jobs[at].id, State::Cancelled, Reason::Cancelled);
                jobs.remove(at);
            }
            _ => {
                let expected = next(&jobs, desk.now);
                assert_eq!(desk.start(), expected, "seed {seed}: at {:?} of {jobs:?}", desk.now);
                if let Some(job) = jobs.iter_mut().find(|job| Some(job.id) == expected) {
                    job.out = true;
                }
            }
        }
    }
}

#[test]
fn picks_come_in_the_order_of_the_plainest_model() {
    (0..500).for_each(check);
}

#[test]
fn whoever_leaves_a_long_line_leaves_the_others_in_order() {
    let mut rng = fastrand::Rng::with_seed(5);
    for _ in 0..20 {
        let mut desk = Desk::new(vec![queue("mail")]);
        let mut jobs: Vec<(Wall, JobId)> = Vec::new();
        for _ in 0..1_000 {
            if jobs.is_empty() || rng.u8(..3) > 0 {
                let due = desk.now + millis(rng.u64(1..1_000));
                jobs.push((due, desk.accept(|job| job.due = due)));
            } else {
                let (_, id) = jobs.swap_remove(rng.usize(..jobs.len()));
                desk.finish(id, State::Cancelled, Reason::Cancelled);
            }
        }
        jobs.sort();
        for (due, id) in jobs {
            assert_eq!(desk.book.next_wake(desk.now), Some(due.max(desk.now)));
            desk.now = due.max(desk.now);
            assert_eq!(desk.start(), Some(id));
        }
    }
}
