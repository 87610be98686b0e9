//! The queue step by step, and beside a list.

use super::*;
use Class::{Background, Critical, Normal};

fn at(ms: u64) -> Moment {
    Moment::from_nanos(ms * 1_000_000)
}

fn by(ms: u64) -> Deadline {
    Deadline::after(at(ms), Duration::ZERO)
}

/// Steps: at a millisecond, `+` pushes an item of a class until a millisecond, `-` pops and expects
/// what is named; what was sent away is written behind.
fn check(discipline: Discipline, most: usize, steps: &[&str]) {
    let mut queue = Queue::new(discipline, most);
    for step in steps {
        let (done, expected) = step.split_once(" => ").unwrap_or((step, ""));
        let words: Vec<&str> = done.split(' ').collect();
        let now = at(words[0].parse().unwrap());
        let said = if words[1] == "+" {
            let class = match &words[2][..1] {
                "c" => Critical,
                "n" => Normal,
                _ => Background,
            };
            let until = words.get(3).map_or(10_000, |until| until.parse().unwrap());
            match queue.push(now, class, by(until), words[2].to_owned()) {
                Ok((_, None)) => String::new(),
                Ok((_, Some(evicted))) => format!("evicts {evicted}"),
                Err(item) => format!("no room for {item}"),
            }
        } else {
            let mut sent = Vec::new();
            let item = queue.pop(now, &mut sent).unwrap_or_else(|| "nobody".to_owned());
            sent.iter().fold(item, |text, (item, why)| format!("{text} {item}:{why:?}"))
        };
        assert_eq!(said, expected, "{step} of {steps:?}");
        assert!(queue.len() <= most);
    }
}

#[test]
fn first_come_first_served() {
    for discipline in [Discipline::Fifo, Discipline::CoDel, Discipline::AdaptiveLifo] {
        let steps = ["0 + n1", "1 + n2", "2 - => n1", "3 - => n2", "4 - => nobody"];
        check(discipline, 8, &steps);
    }
}

#[test]
fn a_queue_that_stands_serves_the_last_first() {
    check(
        Discipline::AdaptiveLifo,
        8,
        &["0 + n1", "1 + n2", "90 + n3", "99 - => n1", "100 - => n3", "101 + n4", "102 - => n4"],
    );
    // It was empty a moment ago.
    check(
        Discipline::AdaptiveLifo,
        8,
        &["0 + n1", "99 - => n1", "100 + n2", "101 + n3", "198 - => n2", "199 + n4", "200 - => n4"],
    );
    check(Discipline::Fifo, 8, &["0 + n1", "1 + n2", "200 - => n1"]);
}

#[test]
fn higher_classes_go_first() {
    let steps = ["0 + b1", "0 + n1", "0 + c1", "0 + n2", "1 - => c1", "2 - => n1", "3 - => n2"];
    check(Discipline::Fifo, 8, &steps);
}

#[test]
fn the_lowest_class_has_a_turn_now_and_then() {
    let mut queue = Queue::new(Discipline::Fifo, 1_000);
    for n in 0..64 {
        queue.push(at(0), Critical, by(9_999), format!("c{n}")).unwrap();
        queue.push(at(0), Background, by(9_999), format!("b{n}")).unwrap();
    }
    let gone: Vec<_> = (0..64).filter_map(|_| queue.pop(at(1), &mut Vec::new())).collect();
    assert_eq!(gone.iter().filter(|name| name.starts_with('b')).count(), 4);
}

#[test]
fn whoever_is_late_does_not_go_on() {
    check(Discipline::Fifo, 8, &["0 + n1 5", "0 + n2 9", "5 - => n2 n1:Expired"]);
    check(Discipline::Fifo, 8, &["0 + n1 5", "6 - => nobody n1:Expired"]);
}

#[test]
fn a_full_queue_has_room_for_those_who_matter_more() {
    check(Discipline::Fifo, 2, &["0 + n1", "0 + n2", "1 + n3 => no room for n3"]);
    let steps = ["0 + b1", "0 + n1", "1 + c1 => evicts b1", "1 + c2 => evicts n1"];
    check(Discipline::Fifo, 2, &steps);
    check(Discipline::Fifo, 2, &["0 + n1", "0 + n2", "1 + c1 => evicts n2", "2 - => c1"]);
    // While it is last in, first out, the oldest has the least to hope for.
    let steps = ["0 + n1", "0 + n2", "50 + n3 => no room for n3", "100 + n4 => evicts n1"];
    check(Discipline::AdaptiveLifo, 2, &steps);
    check(Discipline::Fifo, 0, &["0 + n1 => no room for n1"]);
}

#[test]
fn codel_sends_away_while_the_shortest_wait_is_long() {
    let mut queue = Queue::new(Discipline::CoDel, 1_000);
    let mut sent = Vec::new();
    // One comes a millisecond, one goes every other: the wait grows without an end.
    for ms in 0..1_000 {
        queue.push(at(ms), Normal, by(9_999), ms).unwrap();
        if ms % 2 == 0 {
            queue.pop(at(ms), &mut sent);
        }
    }
    assert!(sent.iter().all(|(_, why)| *why == Sent::Codel));
    assert!((380..=500).contains(&sent.len()), "{}", sent.len());
    assert!(queue.len() < 100, "{}", queue.len());
}

#[test]
fn it_agrees_with_a_list() {
    let mut rng = fastrand::Rng::with_seed(7);
    let mut queue = Queue::new(Discipline::Fifo, 40);
    let mut list: Vec<(Key, Class, u32)> = Vec::new();
    let classes = [Background, Normal, Critical];
    let mut turn = 0;
    for n in 0..20_000 {
        match rng.u8(0..5) {
            0 | 1 => {
                let class = classes[rng.usize(0..3)];
                if let Ok((key, evicted)) = queue.push(at(n), class, Deadline::NEVER, n as u32) {
                    if let Some(evicted) = evicted {
                        list.retain(|&(_, _, item)| item != evicted);
                    }
                    list.push((key, class, n as u32));
                } else {
                    assert!(list.len() == 40 && list.iter().all(|&(_, known, _)| known >= class));
                }
            }
            2 if !list.is_empty() => {
                let (key, _, item) = list.remove(rng.usize(0..list.len()));
                assert_eq!(queue.remove(at(n), key), Some(item));
                assert_eq!(queue.remove(at(n), key), None);
            }
            _ => {
                let lowest = turn % TURNS == TURNS - 1;
                let classes = list.iter().map(|&(_, class, _)| class);
                let class = if lowest { classes.min() } else { classes.max() };
                let place = list.iter().position(|&(_, known, _)| Some(known) == class);
                let expected = place.map(|place| list.remove(place).2);
                assert_eq!(queue.pop(at(n), &mut Vec::new()), expected);
                turn += u32::from(expected.is_some());
            }
        }
        assert_eq!(queue.len(), list.len());
    }
}
