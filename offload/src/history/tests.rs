//! The checker finds each wrong it names, and nothing in a history that is right.

use super::*;

const RULES: Rules = Rules {
    at_once: 2,
    rate: Some((10.0, 2.0)),
    replay_rate: Some((1.0, 1.0)),
    late: 0,
    tries: 2,
    lost_max: 1,
};

fn accepted(job: Name, order: u64) -> Event {
    Event::Accepted { job, queue: 0, order, replay: false }
}

fn begun(job: Name) -> Event {
    Event::Begun { job, whole: true }
}

fn over(job: Name, good: bool) -> Event {
    Event::Over { job, good }
}

fn end(job: Name, state: State, reason: Reason) -> Event {
    Event::Final { job, state, reason }
}

fn succeeded(job: Name) -> Event {
    end(job, State::Succeeded, Reason::Delivered)
}

/// One event each 100 ms; what is wrong with them, in a word.
fn check(events: &[Event]) -> String {
    check_each(100, events)
}

fn check_each(ms: u64, events: &[Event]) -> String {
    let mut history = History::default();
    for (at, event) in events.iter().enumerate() {
        history.note(at as u64 * ms, *event);
    }
    match history.check(&[RULES], true) {
        Ok(_) => "right".to_owned(),
        Err(wrong) => {
            let line = wrong.lines().next().unwrap();
            line.split(": ").nth(usize::from(line.contains(" ms: "))).unwrap().to_owned()
        }
    }
}

#[test]
fn what_is_right_is_right() {
    let delivered = [accepted(1, 0), begun(1), over(1, true), succeeded(1)];
    assert_eq!(check(&delivered), "right");
    let again = [accepted(1, 0), begun(1), over(1, false), begun(1), over(1, true), succeeded(1)];
    assert_eq!(check(&again), "right");
    let cut = [accepted(1, 0), begun(1), over(1, true), Event::Fault, begun(1), over(1, true)];
    assert_eq!(check(&[&cut[..], &[succeeded(1)]].concat()), "right");
    let dead = end(1, State::Dead, Reason::Status);
    let used_up = [accepted(1, 0), begun(1), over(1, false), begun(1), over(1, false), dead];
    assert_eq!(check(&used_up), "right");
    let maybe = [Event::Offered(1), begun(1), over(1, true), succeeded(1)];
    assert_eq!(check(&maybe), "right");
}

#[test]
fn each_wrong_has_its_name() {
    let all = |events: &[&[Event]]| check(&events.concat());
    let one = [accepted(1, 7), begun(1), over(1, true), succeeded(1)];
    assert_eq!(all(&[&one[..3]]), "lost");
    assert_eq!(all(&[&one[1..]]), "unexpected");
    assert_eq!(all(&[&[Event::Offered(1), Event::Refused(1)], &one[1..]]), "unexpected");
    assert_eq!(all(&[&one[..1], &[Event::Begun { job: 1, whole: false }]]), "half");
    assert_eq!(all(&[&one[..3], &one[1..]]), "duplicate");
    assert_eq!(all(&[&one[..2], &one[1..]]), "duplicate");
    assert_eq!(all(&[&one, &one[1..]]), "duplicate");
    assert_eq!(all(&[&one[..1], &[accepted(2, 7), begun(2)]]), "order");
    assert_eq!(all(&[&one, &[accepted(2, 7), begun(2), over(2, true), succeeded(2)]]), "right");
    assert_eq!(all(&[&one[..1], &[end(1, State::Succeeded, Reason::Refused)]]), "not delivered");
    let seen = |state| Event::Seen { job: 1, state };
    assert_eq!(all(&[&one, &[seen(State::Queued)]]), "backwards");
    assert_eq!(all(&[&one, &[seen(State::Succeeded)]]), "right");
    assert_eq!(all(&[&one, &[end(1, State::Expired, Reason::Expired)]]), "backwards");
    let dead = end(1, State::Dead, Reason::Status);
    assert_eq!(all(&[&one[..2], &[over(1, false), dead]]), "dead");
    let poison = end(1, State::Dead, Reason::Poison);
    assert_eq!(all(&[&one[..2], &[Event::Fault, poison]]), "dead");
    assert_eq!(all(&[&one[..2], &[Event::Fault, begun(1), Event::Fault, poison]]), "right");
    assert_eq!(all(&[&one[..1], &[end(1, State::Dead, Reason::Blocked)]]), "dead");
    let three = [begun(1), over(1, false), begun(1), over(1, false), begun(1), over(1, true)];
    assert_eq!(all(&[&one[..1], &three, &[succeeded(1)]]), "too many tries");
    let at_once = [accepted(1, 0), accepted(2, 0), accepted(3, 0), begun(1), begun(2), begun(3)];
    assert_eq!(check(&at_once), "at once");
}

#[test]
fn a_rate_holds_in_every_span() {
    let mut events = Vec::new();
    for job in 1..50 {
        events.extend([accepted(job, 0), begun(job), over(job, true), succeeded(job)]);
    }
    assert_eq!(check_each(25, &events), "right", "ten a second");
    assert_eq!(check_each(22, &events), "rate", "eleven a second, after a while");
    let replay = |job| Event::Accepted { job, queue: 0, order: 0, replay: true };
    let two = |job| [replay(job), begun(job), over(job, true), succeeded(job)];
    assert_eq!(check_each(250, &[two(1), two(2)].concat()), "right");
    assert_eq!(check_each(240, &[two(1), two(2)].concat()), "rate", "replays have their own");
}
