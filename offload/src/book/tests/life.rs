//! The life of a job: facts in, and what is seen of it.

use super::*;

#[test]
fn a_job_goes_through_its_life_and_is_gone() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let id = desk.accept(|_| ());
    assert_eq!((desk.view(id).state, desk.view(id).attempts), (State::Queued, 0));
    let picked = desk.book.pick(desk.now).unwrap();
    assert_eq!((picked.id, picked.attempt, picked.lost, picked.hand), (id, 1, 0, false));
    assert_eq!((desk.view(id).state, desk.book.pick(desk.now)), (State::Running, None));
    assert!(desk.write(Record::Start { id, at: desk.now }));
    assert_eq!((desk.view(id).state, desk.view(id).attempts), (State::Running, 1));
    let Verdict::Again { due, .. } = desk.tried(id, &answered(503)) else { panic!("given up") };
    let view = desk.view(id);
    assert_eq!((view.state, view.reason, view.status), (State::Scheduled, Reason::Status, 503));
    assert_eq!((view.due, desk.book.pick(desk.now)), (due, None));
    desk.now = due;
    assert_eq!((desk.view(id).state, desk.start()), (State::Queued, Some(id)));
    desk.succeed(id);
    assert_eq!((desk.book.view(id, desk.now), desk.book.len()), (None, 0));
    assert!(!desk.write(Record::Start { id, at: desk.now }), "nobody knows it");
}

#[test]
fn tries_that_end_with_the_process_count_until_the_job_is_poison() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let (id, other) = (desk.accept(|_| ()), desk.accept(|_| ()));
    for lost in 1..=2 {
        assert_eq!(desk.start(), Some(id));
        desk.pass(seconds(1));
        let recovered = desk.crash();
        assert_eq!((recovered.jobs, recovered.lost, recovered.given_up), (2, 1, 0));
        let view = desk.view(id);
        assert_eq!((view.attempts, view.lost, view.reason), (lost, lost, Reason::Lost));
        assert_eq!((view.state, desk.end()), (State::Queued, vec![]));
        // What was lost is written down with the job, lest it be forgotten with a segment.
        desk.restate(id);
    }
    assert_eq!(desk.start(), Some(id));
    assert_eq!(desk.crash().given_up, 1);
    assert_eq!(desk.end(), [Ending { id, state: State::Dead, reason: Reason::Poison }]);
    assert_eq!(desk.start_all(), [other], "the others live");
}

#[test]
fn who_was_replaced_by_one_that_is_over_by_now_lives_when_the_log_is_read() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let old = desk.accept(|job| job.debounce = 1);
    assert_eq!(desk.start(), Some(old));
    let new = desk.accept(|job| job.debounce = 1);
    let (due, reason) = (desk.now, Reason::Status);
    desk.write(Record::Again { id: old, due, reason, status: 503 });
    assert_eq!(desk.start(), Some(new));
    desk.succeed(new);
    // What was to say that the old one is over is cut.
    assert_eq!(desk.crash().jobs, 1);
    assert_eq!((desk.end(), desk.start()), (vec![], Some(old)));
}

#[test]
fn a_lost_try_counts_among_the_tries() {
    let mut rules = queue("mail");
    (rules.retry.tries, rules.retry.lost_max) = (2, 9);
    let mut desk = Desk::new(vec![rules]);
    let id = desk.accept(|_| ());
    desk.start();
    desk.tried(id, &answered(503));
    desk.pass(seconds(60));
    assert_eq!(desk.start(), Some(id));
    desk.crash();
    assert_eq!(desk.end(), [Ending { id, state: State::Dead, reason: Reason::Lost }]);
}

#[test]
fn the_last_accept_of_a_job_holds_and_its_segment_is_free() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let ids: Vec<JobId> = (0..4).map(|_| desk.accept(|job| job.order = 7)).collect();
    desk.start();
    desk.tried(ids[0], &answered(503));
    let waiting = desk.view(ids[0]);
    assert_eq!((desk.book.oldest_segment(), desk.book.live_in(1)), (Some(1), 4));
    assert_eq!(desk.book.oldest_live(1, 3), ids[..3]);
    desk.next_segment();
    for id in ids.iter().rev() {
        let before = desk.view(*id);
        desk.restate(*id);
        let after = desk.view(*id);
        assert_eq!(desk.book.place(*id), Some(after.place));
        assert_eq!(JobView { place: before.place, ..after }, before);
    }
    assert_eq!((desk.book.oldest_segment(), desk.book.live_in(1)), (Some(2), 0));
    // The old segment is gone, and the order of acceptance is that of ids.
    desk.log.retain(|(_, place)| place.segment > 1);
    desk.crash();
    assert_eq!(JobView { place: waiting.place, ..desk.view(ids[0]) }, waiting);
    for id in ids {
        desk.pass(seconds(2));
        assert_eq!(desk.start_all(), [id]);
        desk.next_segment();
        desk.restate(id);
        assert_eq!((desk.start(), desk.view(id).state), (None, State::Running));
        desk.crash();
        assert_eq!(
            (desk.view(id).lost, desk.start_all()),
            (1, vec![id]),
            "its try is not forgotten"
        );
        desk.succeed(id);
    }
    assert!(desk.book.is_empty() && desk.book.oldest_segment().is_none());
}

#[test]
fn what_is_carried_is_no_news() {
    let mut desk = Desk::new(vec![Queue { at_once: 1, ..queue("mail") }]);
    let id = desk.accept(|_| ());
    desk.start();
    desk.tried(id, &answered(503));
    desk.restate(id);
    for attempt in 2..=3 {
        desk.pass(seconds(60));
        assert_eq!(desk.start(), Some(id));
        let before = desk.view(id);
        desk.restate(id);
        let after = desk.view(id);
        assert_eq!(JobView { place: before.place, ..after }, before);
        assert_eq!(
            (after.attempts, desk.book.stats(desk.now)[0].failed),
            (attempt, u64::from(attempt) - 1)
        );
        desk.accept(|_| ());
        assert_eq!(desk.start(), None, "its place is taken");
        desk.tried(id, &answered(503));
        let other = desk.start().unwrap();
        desk.succeed(other);
    }
    // The record that said that it ran is cut off.
    desk.pass(seconds(60));
    assert_eq!(desk.start(), Some(id));
    desk.restate(id);
    while !matches!(crate::record::read(&desk.log.pop().unwrap().0), Ok(Record::Again { .. })) {}
    assert_eq!(desk.crash().lost, 1);
    assert_eq!((desk.view(id).attempts, desk.view(id).lost), (4, 1));
}

#[test]
fn queues_are_found_again_by_name_and_those_that_are_gone_go_on() {
    let mut desk = Desk::new(vec![queue("mail"), Queue { at_once: 1, ..queue("report") }]);
    let write = |desk: &mut Desk, name: &str| {
        let id = desk.book.mint(desk.now, &mut desk.rng);
        desk.write(Record::Accept(Summary { id, queue: name, ..Summary::default() }));
        id
    };
    let reports = [write(&mut desk, "report"), write(&mut desk, "report")];
    let mail = write(&mut desk, "mail");
    assert_eq!(desk.start_all(), [reports[0], mail]);
    let queues = [queue("image"), Queue { at_once: 3, ..queue("mail") }];
    desk.book.settle(&queues, limits());
    desk.queues = queues.to_vec();
    assert_eq!(desk.start_all(), [reports[1]], "by the rules of the first");
    for stage in 0..2 {
        let number = desk.book.queue("report").unwrap();
        let view = desk.view(reports[0]);
        assert_eq!((desk.book.name(view.queue), view.queue), ("report", number), "{stage}");
        assert_eq!(desk.book.rules(number).name, "image");
        let stats = desk.book.stats(desk.now);
        assert_eq!((stats[number].named, stats[number].name.as_str()), (false, "report"));
        assert!(stats[desk.book.queue("mail").unwrap()].named);
        assert_eq!(desk.book.rules(desk.book.queue("mail").unwrap()).at_once, 3);
        desk.crash();
    }
    let number = desk.book.queue("report").unwrap();
    let found = desk.book.list(Filter { queue: Some(number), state: None }, Cursor(0), 9, desk.now);
    assert_eq!(found.jobs.iter().map(|job| job.id).collect::<Vec<_>>(), reports);
}

#[test]
fn a_clock_that_was_set_back_keeps_nobody_waiting_but_for_times_that_clients_named() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let ids: Vec<JobId> = (0..4).map(|_| desk.accept(|_| ())).collect();
    let named = desk.now + seconds(30);
    let later = desk.accept(|job| job.due = named);
    assert_eq!(desk.start(), Some(ids[0]));
    assert_eq!(desk.start(), Some(ids[1]));
    desk.tried(ids[0], &Tried::Answered { status: 503, retry_after: Some(seconds(60)) });
    desk.now = desk.now - seconds(3_600);
    desk.crash();
    let mut now = desk.start_all();
    now.sort();
    assert_eq!(now, ids[1..], "what was to go at once, and what was lost, goes");
    assert_eq!(desk.book.next_wake(desk.now), Some(desk.now + seconds(60)));
    desk.pass(seconds(60));
    assert_eq!(desk.start_all(), [ids[0]], "a pause is no longer than the longest");
    assert_eq!(desk.book.next_wake(desk.now), Some(named));
    desk.now = named;
    assert_eq!(desk.start_all(), [later]);
}

#[test]
fn figures_and_lists_tell_what_there_is() {
    let mut desk = Desk::new(vec![queue("mail"), queue("report")]);
    let later = desk.now + seconds(100);
    let ids: Vec<JobId> = (0..10).map(|_| desk.accept(|_| ())).collect();
    let scheduled: Vec<JobId> = (0..5).map(|_| desk.accept(|job| job.due = later)).collect();
    desk.pass(seconds(10));
    for id in &ids[..4] {
        assert_eq!(desk.start(), Some(*id));
    }
    desk.succeed(ids[0]);
    desk.tried(ids[1], &answered(500));
    desk.finish(ids[2], State::Dead, Reason::Timeout);
    let stats = &desk.book.stats(desk.now)[0];
    let now = [stats.ready, stats.scheduled, stats.running, stats.handed];
    assert_eq!((now, stats.oldest), ([6, 6, 1, 0], seconds(10)));
    let since = [stats.accepted, stats.finished, stats.failed, stats.dead];
    assert_eq!(since, [15, 2, 2, 1]);
    assert!(stats.accepted_rate.iter().all(|rate| (1.4..1.6).contains(rate)), "{stats:?}");
    assert!(stats.finished_rate[0] > 0.0, "{stats:?}");
    let mut cursor = Some(Cursor(0));
    let mut seen = Vec::new();
    while let Some(from) = cursor {
        let filter = Filter { queue: Some(0), state: Some(State::Scheduled) };
        let page = desk.book.list(filter, from, 2, desk.now);
        assert!(page.jobs.len() <= 2);
        seen.extend(page.jobs.iter().map(|job| job.id));
        cursor = page.next;
    }
    let mut expected = scheduled;
    expected.push(ids[1]);
    seen.sort();
    expected.sort();
    assert_eq!(seen, expected);
    desk.pass(seconds(100));
    assert!(desk.book.stats(desk.now)[0].accepted_rate.iter().all(|&rate| rate < 0.01));
}
