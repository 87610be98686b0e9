//! A service that is away for ten minutes while a hundred thousand jobs wait for it (research B.2, D6).

use super::*;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

const JOBS: usize = 100_000;

#[test]
fn an_outage_costs_few_tries_no_busy_loop_and_no_limit_is_broken_after_it() {
    let rules = Queue { at_once: 50, rate: Some(rate(1_000, seconds(1))), ..queue("mail") };
    let mut desk = Desk::new(vec![rules]);
    for _ in 0..JOBS {
        desk.accept(|_| ());
    }
    desk.log.clear();
    let back = desk.now + seconds(600);
    let mut out: BinaryHeap<Reverse<(Wall, JobId)>> = BinaryHeap::new();
    let (mut turns_away, mut tries_away, mut begun) = (0, 0, Vec::new());
    while !desk.book.is_empty() {
        let is_away = desk.now < back;
        while let Some(&Reverse((at, id))) = out.peek()
            && at <= desk.now
        {
            out.pop();
            let tried = if is_away { Tried::Failed(Reason::Unreachable) } else { answered(200) };
            desk.tried(id, &tried);
        }
        for id in desk.start_all() {
            let takes = if is_away { 3 } else { 40 };
            out.push(Reverse((desk.now + millis(takes), id)));
            assert!(out.len() <= 50, "{} at once", out.len());
            begun.push(desk.now);
        }
        if is_away {
            turns_away += 1;
            tries_away = begun.len();
        }
        let next = out.peek().map(|&Reverse((at, _))| at);
        let wake = desk.book.next_wake(desk.now);
        let Some(next) = [next, wake].into_iter().flatten().min() else { break };
        assert!(next > desk.now, "a busy loop at {:?}", desk.now);
        desk.now = next;
        desk.log.clear();
    }
    assert!(desk.book.is_empty(), "all are delivered: {:?}", desk.book.stats(desk.now));
    // The 50 that were out when it went away, and the probes.
    assert!(tries_away <= 100 && turns_away <= 200, "{tries_away} tries, {turns_away} turns");
    assert!(begun.len() <= JOBS + 100, "{} tries in all", begun.len());
    let returned = *begun.iter().find(|at| **at >= back).unwrap();
    assert!(returned.since(back) <= seconds(31), "found after {:?}", returned.since(back));
    // One at first, then two, four, ...: in the first 40 ms one, in the next two.
    let within =
        |ms: u64| begun.iter().filter(|at| **at >= back && at.since(returned) < millis(ms)).count();
    assert_eq!([within(40), within(80), within(120)], [1, 3, 7]);
    // The rate in each second, and how long it took to be rid of them all.
    for (at, first) in begun.iter().enumerate() {
        if let Some(last) = begun.get(at + 1_100) {
            assert!(last.since(*first) >= seconds(1), "over 1,100 in a second from {first:?}");
        }
    }
    let took = desk.now.since(returned);
    assert!((seconds(99)..=seconds(105)).contains(&took), "gone after {took:?}");
}
