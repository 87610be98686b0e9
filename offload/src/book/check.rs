//! What must hold of a book after every fact; for tests.

use super::Book;
use super::line::{END, TURN, is_in};
use super::slots::{AT_ONCE, ENDING, NONE, PACED, Stage};
use base::Wall;

/// Looks at all of it while it is small.
pub(crate) fn check(book: &Book) {
    if book.len() > 64 {
        return;
    }
    let (mut waiting, mut running, mut handed) = (0, 0, 0);
    for at in book.slots.all() {
        let slot = &book.slots[at];
        assert_eq!(book.slots.find(slot.id), Some(at));
        match slot.stage {
            Stage::Waiting => waiting += 1,
            Stage::Handed => handed += 1,
            _ => running += 1,
        }
        let waits = slot.stage == Stage::Waiting && !slot.has(ENDING);
        let head = book.lane(at).is_none_or(|lane| {
            let lane = &book.orders.lanes[lane];
            let file = &lane.files[book.file(at)];
            assert!(lane.busy == NONE || book.slots[lane.busy].stage.is_out());
            lane.busy == NONE && file.head == at && !file.is_doomed(slot.id)
        });
        let is_over = slot.is_over(book.clock);
        let listed = is_in::<TURN>(&book.slots, at);
        assert!(listed == (waits && head) || !listed && is_over, "{slot:?}: {listed}, head {head}");
        assert_eq!(is_in::<END>(&book.slots, at), waits && slot.expires > Wall(0), "{slot:?}");
        assert!(!slot.has(PACED) || slot.stage.is_out(), "{slot:?}");
        assert!(!slot.has(AT_ONCE) || slot.due <= book.clock.max(slot.id.made()), "{slot:?}");
        if let Some(lane) = book.lane(at)
            && slot.stage.is_out()
        {
            assert_eq!(book.orders.lanes[lane].busy, at, "{slot:?}");
        }
    }
    let sum = |of: fn(&super::queues::Queue) -> usize| book.queues.iter().map(of).sum::<usize>();
    assert_eq!(sum(|queue| queue.waiting), waiting);
    assert_eq!(sum(|queue| queue.running), running);
    assert_eq!(sum(|queue| queue.handed), handed);
    let live: usize = book.segments.values().map(|list| list.len).sum();
    assert_eq!(live, book.len());
}
