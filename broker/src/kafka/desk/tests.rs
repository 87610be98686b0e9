//! What a taker holds and gives back: prefixes, windows and fences.

use super::*;
use bytes::Bytes;

fn message(bytes: usize) -> Message {
    let payload = Bytes::from(vec![0; bytes]);
    Message { id: "a".to_owned(), key: String::new(), fields: Vec::new(), payload }
}

fn offsets(from: usize, to: usize) -> std::ops::Range<i64> {
    i64::try_from(from).unwrap()..i64::try_from(to).unwrap()
}

fn desk(partitions: &[i32], messages: i64) -> Desk {
    let mut desk = Desk::default();
    desk.assign(partitions);
    for partition in partitions {
        for offset in 0..messages {
            desk.put(*partition, offset, message(1));
        }
    }
    desk
}

#[test]
fn what_is_said_of_a_revoked_partition_changes_nothing() {
    let mut desk = desk(&[0, 1], 2);
    let taken = desk.take(1);
    let (place, ..) = taken[0];
    desk.revoke(&[0]);
    assert_eq!((desk.finish(place), desk.covered(place), desk.holds(place)), (None, None, false));
    assert_eq!(desk.due(), []);
    assert_eq!(desk.take(9).len(), 2, "only partition 1 is left");
    // It comes back to us: the old token is as dead as before.
    desk.assign(&[0]);
    assert_eq!(desk.finish(place), None);
    desk.put(0, 0, message(1));
    let (again, ..) = desk.take(1)[0];
    assert_eq!(desk.finish(again), Some(true));
    assert_eq!(desk.due().len(), 1);
}

#[test]
fn a_commit_from_before_a_rebalance_is_not_counted_after_it() {
    let mut desk = desk(&[0], 1);
    let (place, ..) = desk.take(1)[0];
    desk.finish(place);
    let due = desk.due();
    desk.assign(&[0]);
    desk.put(0, 0, message(1));
    let (again, ..) = desk.take(1)[0];
    desk.committed(&due);
    assert_eq!(desk.covered(again), Some(false));
}

#[test]
fn what_comes_back_is_handed_out_again_after_a_while_and_counted() {
    let mut desk = desk(&[0], 1);
    let now = Moment::from_nanos(0);
    let (place, message, times) = desk.take(1).remove(0);
    desk.back(place, message, times, now);
    assert!(!desk.give_back(now + BACK_AFTER / 2) && desk.take(1).is_empty());
    assert!(desk.give_back(now + BACK_AFTER));
    let (again, _, times) = desk.take(1).remove(0);
    assert_eq!((again, times, desk.bytes), (place, 2, 0));
    assert_eq!(desk.finish(place), Some(true));
}

#[test]
fn a_full_desk_and_a_long_window_pause_and_both_must_ease() {
    let mut desk = desk(&[0, 1], 0);
    for offset in offsets(0, WAITING_MAX) {
        assert_eq!(desk.flow(), (vec![], vec![]));
        desk.put(0, offset, message(1));
    }
    let (mut pause, resume) = desk.flow();
    pause.sort_unstable();
    assert_eq!((pause, resume, desk.is_pausing()), (vec![0, 1], vec![], true));
    let taken = desk.take(WAITING_MAX / 2);
    assert_eq!(desk.flow().1.len(), 2);
    assert!(!desk.is_pausing());
    desk.take(WAITING_MAX);
    // The first is never finished: the window grows although the desk is empty.
    for offset in offsets(WAITING_MAX, WINDOW_MAX) {
        desk.put(0, offset, message(1));
        desk.take(1);
    }
    assert_eq!(desk.flow(), (vec![0], vec![]));
    desk.finish(taken[0].0);
    assert_eq!(desk.flow(), (vec![], vec![]), "one less is not enough");
    for offset in offsets(0, WINDOW_MAX / 2 + 1) {
        desk.finish(Place { offset, ..taken[0].0 });
    }
    assert_eq!(desk.flow(), (vec![], vec![0]));
}

#[test]
fn bytes_fill_a_desk_too() {
    let mut desk = desk(&[0], 0);
    for offset in 0..32 {
        desk.put(0, offset, message(1 << 20));
    }
    assert_eq!(desk.flow().0, [0]);
    desk.take(16);
    assert_eq!(desk.flow().1, [0]);
}
