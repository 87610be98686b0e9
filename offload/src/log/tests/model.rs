//! The log against a `Vec`, and its bytes against whoever would forge them.

use super::super::format::{Head, SECTOR, write_batch};
use super::super::scan::{Found, scan};
use super::super::sim::SimDisk;
use super::super::{Entry, Position};
use super::{Sample, append, open, options};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Act {
    Append(Vec<(usize, usize)>),
    Prepare,
    Free(u32),
    Reopen,
}

fn act() -> impl Strategy<Value = Act> {
    let sizes = (0..100_usize, prop_oneof![4 => 0..500_usize, 1 => 0..2_200_usize]);
    prop_oneof![
        6 => proptest::collection::vec(sizes, 1..4).prop_map(Act::Append),
        2 => Just(Act::Prepare),
        1 => (0..6_u32).prop_map(Act::Free),
        1 => Just(Act::Reopen),
    ]
}

/// Does all that, and compares with a list after each start, and what can be read at the end.
fn check(acts: Vec<Act>) {
    let disk = SimDisk::new(1, 4 << 20);
    let mut log = open(&disk, &options()).unwrap().0;
    let mut model: Vec<(Position, Sample)> = Vec::new();
    let mut serial = 0;
    for act in acts {
        match act {
            Act::Append(sizes) => {
                let sample = |(summary, bulk)| {
                    serial += 1;
                    Sample { serial, summary, bulk }
                };
                let samples: Vec<_> = sizes.into_iter().map(sample).collect();
                let positions = append(&mut log, &samples, false).unwrap();
                model.extend(positions.into_iter().zip(samples));
            }
            Act::Prepare => log.keeper().prepare().unwrap(),
            Act::Free(kept) => {
                let before = log.newest().saturating_sub(kept);
                log.free_before(before);
                log.keeper().prepare().unwrap();
                model.retain(|(position, _)| position.segment >= before);
            }
            Act::Reopen => {
                drop(log);
                let (opened, recovered, shown) = open(&disk, &options()).unwrap();
                assert_eq!((recovered.quarantined_count, recovered.torn_bytes), (0, 0));
                let told = shown.iter().map(|(at, summary, bulk, _)| (*at, summary.clone(), *bulk));
                let meant = model.iter().map(|(at, s)| (*at, s.summary(), s.bulk as u32));
                assert_eq!(told.collect::<Vec<_>>(), meant.collect::<Vec<_>>());
                log = opened;
            }
        }
    }
    let reader = log.reader();
    for (position, sample) in model {
        assert_eq!(reader.read(position, sample.length()).unwrap().bulk, sample.bulk());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn the_log_is_a_list(acts in proptest::collection::vec(act(), 0..60)) {
        check(acts);
    }
}

fn found(segment: &[u8], head: &Head, last: bool) -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    scan(segment, head, last, (None, None), &mut |found| {
        if let Found::Record(_, visit) = found {
            records.push(visit.summary.to_vec());
        }
    });
    records
}

/// Found by the crash rig, once in a hundred thousand: a record of a torn batch lay where the first one
/// of a later batch would have.
#[test]
fn what_is_left_of_a_torn_batch_is_not_the_beginning_of_another() {
    let head = Head { segment: 3, bytes: 8 << 10, salt: 11 };
    let bulk = vec![0; SECTOR as usize - 16];
    let long = Entry { summary: b"", bulk: &bulk, settles: false };
    let last = Entry { summary: b"left", bulk: b"over", settles: false };
    let (mut batch, mut segment) = (Vec::new(), vec![0; 8 << 10]);
    let mut positions = Vec::new();
    write_batch(&mut batch, (&head, SECTOR), 1, &[long, last], &mut positions);
    assert_eq!(positions[1].offset, 2 * SECTOR + 40, "it lies where a batch could begin");
    segment[SECTOR as usize..][..batch.len()].copy_from_slice(&batch);
    let short = Entry { summary: b"short", bulk: b"", settles: false };
    write_batch(&mut batch, (&head, SECTOR), 1, &[short], &mut positions);
    segment[SECTOR as usize..][..batch.len()].copy_from_slice(&batch);
    for last in [true, false] {
        assert_eq!(found(&segment, &head, last), [b"short".to_vec()]);
    }
}

#[test]
fn bytes_that_a_client_chose_are_never_a_batch() {
    let head = Head { segment: 3, bytes: 8 << 10, salt: 11 };
    // All that a client can know but the salt, laid so that it begins at a sector.
    let guess = Head { salt: 12, ..head };
    let forged = Entry { summary: b"forged", bulk: b"job", settles: false };
    let mut inner = Vec::new();
    write_batch(&mut inner, (&guess, 2 * SECTOR), 2, &[forged], &mut Vec::new());
    let mut bulk = vec![0; SECTOR as usize - 40 - 16 - 4];
    bulk.extend_from_slice(&inner);
    let entry = Entry { summary: b"true", bulk: &bulk, settles: false };
    let mut batch = Vec::new();
    write_batch(&mut batch, (&head, SECTOR), 1, &[entry], &mut Vec::new());
    let mut segment = vec![0; 8 << 10];
    segment[SECTOR as usize..][..batch.len()].copy_from_slice(&batch);
    let found = |segment: &[u8], last| found(segment, &head, last);
    assert_eq!(segment[2 * SECTOR as usize..][..4], *b"FFB1", "it lies where a batch could");
    assert_eq!(found(&segment, true), [b"true".to_vec()]);
    // Torn, or half overwritten by a shorter batch, in the newest segment or in an older one.
    segment[SECTOR as usize..2 * SECTOR as usize].fill(0);
    assert!(found(&segment, true).is_empty() && found(&segment, false).is_empty());
    let short = Entry { summary: b"short", bulk: b"", settles: false };
    write_batch(&mut batch, (&head, SECTOR), 1, &[short], &mut Vec::new());
    segment[SECTOR as usize..][..batch.len()].copy_from_slice(&batch);
    assert_eq!(found(&segment, true), [b"short".to_vec()]);
    assert_eq!(found(&segment, false), [b"short".to_vec()]);
    // The same under the true salt would be one: so the test can fail.
    write_batch(&mut inner, (&head, 2 * SECTOR), 2, &[forged], &mut Vec::new());
    segment[2 * SECTOR as usize..][..inner.len()].copy_from_slice(&inner);
    assert_eq!(found(&segment, true), [b"short".to_vec(), b"forged".to_vec()]);
}
