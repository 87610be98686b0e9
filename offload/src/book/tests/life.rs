//! The life of a job: facts in, and what is seen of it.

use super::*;
use crate::job::{Reason, State};
use crate::record::Record;

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
