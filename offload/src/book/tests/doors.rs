//! Who may come in.

use super::*;

fn ask(desk: &mut Desk, claim: u128, print: u128) -> (JobId, Admission) {
    let id = desk.book.mint(desk.now, &mut desk.rng);
    let claimed_until = desk.now + seconds(100);
    let job = NewJob { id, queue: "mail", claim, print, claimed_until };
    (id, desk.book.may_accept(&job, desk.now))
}

fn refuse(desk: &mut Desk, id: JobId, claim: u128) {
    let job = NewJob { id, queue: "mail", claim, print: 0, claimed_until: Wall(0) };
    desk.book.not_accepted(&job);
}

/// Asks, and writes what was let in.
fn enter(desk: &mut Desk, claim: u128) -> JobId {
    let (id, admission) = ask(desk, claim, 1);
    assert_eq!(admission, Admission::Yes);
    let claimed_until = desk.now + seconds(100);
    let summary =
        Summary { id, queue: "mail", claim, print: 1, claimed_until, ..Summary::default() };
    desk.write(Record::Accept(summary));
    id
}

fn full(desk: &mut Desk) -> Option<(Full, u64)> {
    match ask(desk, 0, 0).1 {
        Admission::Full { what, retry_after } => Some((what, retry_after.as_secs())),
        _ => None,
    }
}

#[test]
fn the_same_request_is_the_same_job_and_another_with_its_claim_is_refused() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let (id, admission) = ask(&mut desk, 7, 1);
    assert_eq!(admission, Admission::Yes);
    assert_eq!(ask(&mut desk, 7, 1).1, Admission::Coming(id));
    assert_eq!(ask(&mut desk, 7, 2).1, Admission::Mismatch);
    assert_eq!(ask(&mut desk, 8, 1).1, Admission::Yes, "another claim");
    refuse(&mut desk, id, 7);
    let id = enter(&mut desk, 7);
    assert_eq!(ask(&mut desk, 7, 1).1, Admission::Same(id));
    assert_eq!(ask(&mut desk, 7, 2).1, Admission::Mismatch);
    // A claim outlives its job, and the process.
    assert_eq!(desk.start(), Some(id));
    desk.succeed(id);
    desk.crash();
    assert_eq!(ask(&mut desk, 7, 1).1, Admission::Same(id));
    desk.pass(millis(99_999));
    assert_eq!(
        (ask(&mut desk, 7, 1).1, desk.book.forget_claims(desk.now, 9)),
        (Admission::Same(id), 0)
    );
    desk.pass(millis(1));
    assert_eq!(desk.book.forget_claims(desk.now, 9), 1);
    assert_eq!(ask(&mut desk, 7, 2).1, Admission::Yes);
}

#[test]
fn a_claim_that_is_over_is_free_though_nobody_has_forgotten_it() {
    let mut desk = Desk::new(vec![queue("mail")]);
    desk.book.claim(7, 1, JobId([1; 16]), desk.now + seconds(1));
    assert_eq!(ask(&mut desk, 7, 1).1, Admission::Same(JobId([1; 16])));
    desk.pass(seconds(1));
    let (id, admission) = ask(&mut desk, 7, 2);
    assert_eq!((admission, ask(&mut desk, 7, 2).1), (Admission::Yes, Admission::Coming(id)));
    assert_eq!(desk.book.forget_claims(desk.now, 9), 0, "it is another's now");
    assert_eq!(ask(&mut desk, 7, 2).1, Admission::Coming(id));
}

#[test]
fn a_job_that_a_broker_did_not_take_claims_nothing() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let id = enter(&mut desk, 7);
    desk.finish(id, State::Dead, Reason::NotTaken);
    assert_eq!(ask(&mut desk, 7, 2).1, Admission::Yes);
}

#[test]
fn claims_have_a_bound_and_those_that_are_over_make_room() {
    let mut desk = Desk::new(vec![queue("mail")]);
    desk.book.settle(&desk.queues.clone(), Limits { claims_max: 2, ..limits() });
    enter(&mut desk, 1);
    desk.pass(seconds(60));
    enter(&mut desk, 2);
    let full = Admission::Full { what: Full::Claims, retry_after: seconds(40) };
    assert_eq!(ask(&mut desk, 3, 1).1, full);
    assert_eq!(ask(&mut desk, 0, 1).1, Admission::Yes, "who claims nothing needs no room");
    desk.pass(seconds(40));
    assert_eq!(ask(&mut desk, 3, 1).1, Admission::Yes);
}

#[test]
fn a_full_queue_says_when_to_come_again_by_how_fast_it_drains() {
    let mut desk = Desk::new(vec![Queue { jobs_max: 3, ..queue("mail") }]);
    let ids: Vec<JobId> = (0..2).map(|_| enter(&mut desk, 0)).collect();
    assert_eq!(full(&mut desk), None);
    assert_eq!(full(&mut desk), Some((Full::Queue, 180)), "one is on its way: it has the place");
    // Who runs has had his turn.
    assert_eq!(desk.start(), Some(ids[0]));
    assert_eq!(full(&mut desk), None);
    desk.succeed(ids[0]);
    for _ in 0..40 {
        let id = desk.accept(|_| ());
        desk.pass(millis(250));
        desk.finish(id, State::Succeeded, Reason::Delivered);
    }
    let (what, after) = full(&mut desk).unwrap();
    assert_eq!((what, after), (Full::Queue, 1), "four each second");
    desk.book.settle(&[Queue { jobs_max: 100, ..queue("mail") }], limits());
    for _ in 0..97 {
        enter(&mut desk, 0);
    }
    let (what, after) = full(&mut desk).unwrap();
    assert!(what == Full::Queue && (22..=28).contains(&after), "100 at four each second: {after}");
    desk.pass(seconds(3_600));
    assert_eq!(full(&mut desk), Some((Full::Queue, 3_600)), "an hour at most");
}

#[test]
fn all_queues_together_have_a_bound_and_so_has_age() {
    let queues = [Queue { age_max: Some(seconds(60)), ..queue("mail") }, queue("report")];
    let mut desk = Desk::new(queues.to_vec());
    desk.book.settle(&queues, Limits { jobs_max: 2, ..limits() });
    let id = desk.book.mint(desk.now, &mut desk.rng);
    desk.write(Record::Accept(Summary { id, queue: "report", ..Summary::default() }));
    let old = enter(&mut desk, 0);
    assert_eq!(full(&mut desk), Some((Full::All, 120)));
    desk.book.settle(&queues, limits());
    desk.pass(seconds(60));
    assert_eq!(full(&mut desk), None);
    desk.pass(millis(1));
    assert_eq!(full(&mut desk), Some((Full::Age, 120)));
    assert_eq!(desk.book.stats(desk.now)[0].oldest, seconds(60) + millis(1));
    while desk.start() != Some(old) {}
    assert_eq!(full(&mut desk), None);
}

#[test]
fn ids_rise_whatever_the_clock_says() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let mut last = JobId::NONE;
    let nodes = ["a", "b", "a"].map(crate::job::Node::named);
    for n in 0..30_000 {
        let now = Wall(START.0 + [0, 0, 1, 5, 3][n % 5]);
        if n % 10_000 == 0 {
            let limits = Limits { node: nodes[n / 10_000], ..limits() };
            desk.book.settle(&desk.queues.clone(), limits);
        }
        let id = desk.book.mint(now, &mut desk.rng);
        assert!(id > last, "{id} after {last}");
        assert_eq!(id.node(), nodes[n / 10_000]);
        last = id;
    }
    assert!(last.made() < START + millis(10), "and stay with the clock: {:?}", last.made());
    let after = (0..3).map(|_| desk.accept(|_| ())).last().unwrap();
    desk.now = desk.now - seconds(3_600);
    desk.crash();
    let new = desk.book.mint(desk.now, &mut desk.rng);
    assert!(new > after);
    // What is accepted in the future of a clock that was set back goes at once all the same.
    let ids = [desk.accept(|job| job.order = 7), desk.accept(|job| job.order = 7)];
    assert!(desk.start_all().contains(&ids[0]));
    let later = desk.accept(|_| ());
    desk.succeed(ids[0]);
    assert_eq!(desk.start_all(), [ids[1], later]);
}
