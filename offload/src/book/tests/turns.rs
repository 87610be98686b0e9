//! Whose turn it is.

use super::*;
use crate::settings::OnDead;

const STEP: Duration = LEVEL_UP;

fn priority(priority: u8) -> impl FnOnce(&mut Summary<'_>) {
    move |summary| summary.priority = priority
}

fn order(order: u64) -> impl FnOnce(&mut Summary<'_>) {
    move |summary| summary.order = order
}

#[test]
fn who_comes_first_goes_first_within_a_priority() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let ids: Vec<JobId> = (0..30).map(|n| desk.accept(priority([3, 9, 0][n % 3]))).collect();
    let level = |first: usize| ids.iter().copied().skip(first).step_by(3);
    let expected: Vec<JobId> = level(1).chain(level(0)).chain(level(2)).collect();
    assert_eq!(desk.start_all(), expected);
}

#[test]
fn a_level_is_gained_for_each_time_waited_and_nobody_starves() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let low = desk.accept(priority(0));
    desk.pass(STEP * 9);
    desk.now = desk.now - millis(1);
    let high = desk.accept(priority(9));
    assert_eq!(desk.start(), Some(high), "a millisecond is missing for the ninth level");
    desk.pass(millis(2));
    desk.accept(priority(9));
    assert_eq!(desk.start(), Some(low), "with nine levels gained it is the older one");

    // One is served each second, one of the highest comes each second: for ever, but for ageing.
    let mut desk = Desk::new(vec![Queue { at_once: 1, ..queue("mail") }]);
    let low = desk.accept(priority(0));
    let waited = (0..10_000).find(|_| {
        desk.accept(priority(9));
        let id = desk.start().unwrap();
        desk.pass(seconds(1));
        desk.succeed(id);
        id == low
    });
    assert_eq!(waited.map(|n| seconds(n) <= STEP * 9 + seconds(1)), Some(true), "{waited:?}");
}

#[test]
fn queues_take_turns() {
    let mut desk = Desk::new(vec![queue("a"), queue("b"), queue("c")]);
    for name in ["a", "a", "a", "a", "b", "b", "c"] {
        let id = desk.book.mint(desk.now, &mut desk.rng);
        desk.write(Record::Accept(Summary { id, queue: name, ..Summary::default() }));
    }
    let turns: Vec<usize> = desk.start_all().iter().map(|id| desk.view(*id).queue).collect();
    assert_eq!(turns, [1, 2, 0, 1, 0, 0, 0]);
}

#[test]
fn a_job_goes_at_its_time_and_next_wake_tells() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let later = desk.now + seconds(10);
    let id = desk.accept(|summary| summary.due = later);
    assert_eq!((desk.view(id).state, desk.start()), (State::Scheduled, None));
    assert_eq!(desk.book.next_wake(desk.now), Some(later));
    desk.now = Wall(later.0 - 1);
    assert_eq!(desk.start(), None);
    desk.now = later;
    assert_eq!((desk.view(id).state, desk.start()), (State::Queued, Some(id)));
    assert_eq!(desk.book.next_wake(desk.now), None);
}

#[test]
fn those_of_one_time_go_in_the_order_of_acceptance() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let later = desk.now + seconds(10);
    let ids: Vec<JobId> = (0..500).map(|_| desk.accept(|job| job.due = later)).collect();
    desk.now = later;
    assert_eq!(desk.start_all(), ids);
}

#[test]
fn jobs_with_one_order_go_one_after_another_even_when_one_fails() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let ids: Vec<JobId> = (0..3).map(|_| desk.accept(order(7))).collect();
    let other = desk.accept(order(8));
    assert_eq!(desk.start_all(), [ids[0], other]);
    let Verdict::Again { due, .. } = desk.tried(ids[0], &answered(500)) else { panic!() };
    assert_eq!(desk.start(), None, "the one that failed blocks those behind it");
    desk.now = due;
    assert_eq!(desk.start_all(), [ids[0]]);
    desk.succeed(ids[0]);
    assert_eq!(desk.start_all(), [ids[1]]);
    desk.finish(ids[2], State::Cancelled, Reason::Cancelled);
    desk.succeed(ids[1]);
    assert_eq!(desk.start(), None);
    let next = desk.accept(order(7));
    assert_eq!(desk.start(), Some(next));
}

#[test]
fn an_order_waits_for_its_first_one_whatever_its_time() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let later = desk.now + seconds(10);
    let first = desk.accept(|job| (job.order, job.due) = (7, later));
    let second = desk.accept(order(7));
    assert_eq!((desk.start(), desk.book.next_wake(desk.now)), (None, Some(later)));
    desk.now = later;
    assert_eq!(desk.start_all(), [first]);
    desk.succeed(first);
    assert_eq!(desk.start_all(), [second]);
}

#[test]
fn a_dead_one_lets_those_behind_it_go_or_takes_them_along() {
    for (on_dead, dies) in [(OnDead::Skip, false), (OnDead::Block, true)] {
        let mut desk = Desk::new(vec![Queue { on_dead, ..queue("mail") }]);
        let ids: Vec<JobId> = (0..4).map(|_| desk.accept(order(7))).collect();
        let other = desk.accept(order(8));
        assert_eq!(desk.start_all(), [ids[0], other]);
        desk.finish(ids[0], State::Dead, Reason::Status);
        if !dies {
            assert_eq!((desk.end(), desk.start()), (vec![], Some(ids[1])));
            continue;
        }
        // Whoever comes after the death goes, when the doomed are gone.
        let after = desk.accept(order(7));
        assert_eq!((desk.start(), desk.book.next_ending()), (None, Some(Wall(0))));
        let first = desk.book.endings(desk.now, 2);
        desk.crash();
        let endings = desk.end();
        let expected = [ids[1], ids[2], ids[3]];
        let blocked = |id| Ending { id, state: State::Dead, reason: Reason::Blocked };
        assert_eq!(endings, expected.map(blocked), "also for who reads the log");
        assert_eq!(first, endings[..2]);
        assert_eq!((desk.start_all(), desk.end()), (vec![other, after], vec![]));
    }
}

#[test]
fn of_a_debounce_only_the_newest_is_delivered() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let ids: Vec<JobId> = (0..3).map(|_| desk.accept(|job| job.debounce = 7)).collect();
    let other = desk.accept(|job| job.debounce = 8);
    let replaced = |id| Ending { id, state: State::Cancelled, reason: Reason::Replaced };
    assert_eq!(desk.start_all(), [ids[2], other], "those that are replaced are not picked");
    assert_eq!(desk.end(), [replaced(ids[0]), replaced(ids[1])]);
    // One that runs goes on, but is not tried again.
    let next = desk.accept(|job| job.debounce = 7);
    assert_eq!(desk.end(), []);
    let verdict = desk.tried(ids[2], &answered(500));
    assert_eq!(verdict, Verdict::Done { state: State::Cancelled, reason: Reason::Replaced });
    assert_eq!(desk.start_all(), [next]);
    // Its process dies, and a newer one waits.
    let newest = desk.accept(|job| job.debounce = 7);
    desk.crash();
    assert_eq!(desk.end(), [replaced(next)]);
    assert_eq!(desk.start_all(), [other, newest]);
}

#[test]
fn who_expires_is_told_once_and_never_picked() {
    let mut desk = Desk::new(vec![queue("mail")]);
    let soon = desk.now + seconds(5);
    let ids: Vec<JobId> = (0..3).map(|_| desk.accept(|job| job.expires = soon)).collect();
    let running = desk.start().unwrap();
    desk.now = soon;
    assert_eq!((running, desk.end()), (ids[0], vec![]));
    assert_eq!(desk.book.next_ending(), Some(soon + millis(1)));
    let last = desk.start().unwrap();
    assert_eq!(last, ids[1], "at its last moment it goes");
    desk.pass(millis(1));
    assert_eq!((desk.start(), desk.book.next_wake(desk.now)), (None, None));
    let ending = Ending { id: ids[2], state: State::Expired, reason: Reason::Expired };
    assert_eq!(desk.book.endings(desk.now, 10), [ending]);
    assert_eq!(desk.book.endings(desk.now, 10), []);
    desk.book.put_back(ids[2], desk.now);
    assert_eq!(desk.end(), [ending], "put back, it is told again");
    // One that was out expires when it comes back.
    desk.tried(running, &answered(500));
    desk.pass(seconds(100));
    assert_eq!((desk.start(), desk.end().len()), (None, 1));
}

#[test]
fn replays_have_their_own_rate_and_never_go_before_normal_jobs() {
    let rules = Queue {
        at_once: 4,
        rate: Some(rate(1_000, seconds(1))),
        replay_rate: Some(rate(2, seconds(1))),
        ..queue("mail")
    };
    let mut desk = Desk::new(vec![rules]);
    let replays: Vec<JobId> = (0..5).map(|_| desk.accept(|job| job.replay = true)).collect();
    desk.pass(seconds(1_000));
    let normal: Vec<JobId> = (0..3).map(|_| desk.accept(|_| ())).collect();
    let order = [normal[0], normal[1], normal[2], replays[0]];
    assert_eq!(desk.start_all(), order, "the oldest replay comes after the newest normal job");
    for id in order {
        desk.succeed(id);
    }
    assert_eq!(desk.start(), None, "half a second for each replay");
    assert_eq!(desk.book.next_wake(desk.now), Some(desk.now + millis(500)));
    desk.pass(millis(500));
    assert_eq!(desk.start_all(), [replays[1]]);
    desk.pass(seconds(10));
    assert_eq!(desk.start_all(), [replays[2]], "at most one at a time for what they save up");
    desk.pass(seconds(10));
    assert_eq!(desk.start(), None, "at most half of the places");
    let more = [desk.accept(|_| ()), desk.accept(|_| ())];
    assert_eq!(desk.start_all(), more);
}

#[test]
fn a_replay_with_an_order_goes_alone_and_holds_nobody_up_while_it_waits() {
    let rules = Queue { replay_rate: Some(rate(1, seconds(60))), ..queue("mail") };
    let mut desk = Desk::new(vec![rules]);
    let ids =
        [true, true, false].map(|replay| desk.accept(|job| (job.order, job.replay) = (7, replay)));
    assert_eq!(desk.start_all(), [ids[2]], "the normal one waits for no replay");
    desk.succeed(ids[2]);
    assert_eq!(desk.start_all(), [ids[0]]);
    let next = desk.accept(order(7));
    assert_eq!(desk.start(), None, "two of one order are never out");
    desk.succeed(ids[0]);
    assert_eq!(desk.start_all(), [next]);
}

#[test]
fn what_is_put_back_is_as_before() {
    let rules = Queue { at_once: 1, rate: Some(rate(1, seconds(1))), ..queue("mail") };
    let mut desk = Desk::new(vec![rules]);
    let ids = [desk.accept(order(7)), desk.accept(order(7))];
    let before = desk.view(ids[0]);
    for _ in 0..3 {
        let picked = desk.book.pick(desk.now).unwrap();
        assert_eq!((picked.id, desk.book.pick(desk.now)), (ids[0], None));
        desk.book.put_back(picked.id, desk.now);
        assert_eq!(desk.view(ids[0]), before);
    }
    assert_eq!((desk.book.cancel(ids[0]), desk.book.cancel(ids[0])), (Cancel::Yes, Cancel::Ending));
    assert_eq!(desk.start(), None, "its end is no fact yet");
    desk.book.put_back(ids[0], desk.now);
    assert_eq!((desk.start(), desk.book.cancel(ids[0])), (Some(ids[0]), Cancel::Running));
    assert_eq!(desk.book.cancel(JobId([1; 16])), Cancel::Unknown);
}

#[test]
fn what_is_for_a_broker_is_handed_without_a_limit_but_held_while_it_is_away() {
    let rules = Queue { broker: Some("amqp://b".to_owned()), at_once: 1, ..queue("mail") };
    let mut desk = Desk::new(vec![rules]);
    let ids: Vec<JobId> = (0..3).map(|_| desk.accept(|_| ())).collect();
    desk.book.hold(0, desk.now + seconds(1));
    assert_eq!((desk.start(), desk.book.next_wake(desk.now)), (None, Some(desk.now + seconds(1))));
    desk.pass(seconds(1));
    assert_eq!(desk.start_all(), ids);
    let view = desk.view(ids[0]);
    assert_eq!((view.handed, view.state, view.attempts), (true, State::Queued, 1));
    assert_eq!((desk.book.cancel(ids[0]), desk.crash().lost), (Cancel::Handed, 0));
    assert!(desk.view(ids[0]).handed && desk.start().is_none(), "handed it stays");
    // Whoever takes them keeps to the limit.
    let permit = desk.book.permit(0, desk.now).unwrap();
    assert_eq!(desk.book.permit(0, desk.now), Err(None));
    assert_eq!(desk.book.stats(desk.now)[0].running, 1);
    desk.book.returned(permit, Some(&answered(200)), desk.now);
    assert!(desk.book.permit(0, desk.now).is_ok());
    assert!(matches!(desk.tried(ids[0], &answered(500)), Verdict::Again { .. }));
    assert!(!desk.view(ids[0]).handed);
}
