//! Bits that flip, sectors that cannot be read, files that are missing: what is damaged is told, and
//! the rest is served.

use super::super::sim::{Faults, SimDisk};
use super::super::{Log, Options, Position, ReadError, Why};
use super::{Sample, Shown, append, open, options};

/// A log with some full segments, with or without hints, and what it holds.
fn log(seed: u64, hints: bool) -> (SimDisk, Vec<Vec<(Position, Sample)>>) {
    let mut dice = fastrand::Rng::with_seed(seed);
    let disk = SimDisk::new(seed, 1 << 20);
    let (mut log, ..) = open(&disk, &options()).unwrap();
    let mut batches = Vec::new();
    for serial in (0..120).step_by(4) {
        let sample = |serial| Sample { serial, summary: dice.usize(..60), bulk: dice.usize(..400) };
        let samples: Vec<_> = (serial..=serial + serial / 4 % 4).map(sample).collect();
        let positions = append(&mut log, &samples, false).unwrap();
        batches.push(positions.into_iter().zip(samples).collect());
    }
    if hints {
        log.keeper().prepare().unwrap();
    }
    drop(log);
    (disk.reboot(false), batches)
}

/// Serials that are shown, each as it was written; and how many of them can be read.
fn served(log: &Log<SimDisk>, shown: &Shown, written: &[(Position, Sample)]) -> (usize, usize) {
    let reader = log.reader();
    let mut whole = 0;
    for (position, summary, bulk_len, damaged) in shown {
        let (_, sample) = written.iter().find(|(at, _)| at == position).expect("it was written");
        assert_eq!((summary, *bulk_len as usize), (&sample.summary(), sample.bulk));
        match reader.read(*position, sample.length()) {
            Ok(record) => {
                assert!(!damaged, "{sample:?} is not damaged");
                assert_eq!(
                    (record.summary, record.bulk),
                    (sample.summary().into(), sample.bulk().into())
                );
                whole += 1;
            }
            Err(ReadError::Damaged { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    (shown.len(), whole)
}

#[test]
fn a_flipped_bit_costs_one_record_at_most_and_is_told() {
    let mut dice = fastrand::Rng::with_seed(1);
    for round in 0..3_000 {
        let hints = round % 2 == 0;
        let (disk, batches) = log(round / 100, hints);
        let written = batches.concat();
        // The last batch is the one that may be taken for torn.
        let last = batches.last().unwrap()[0].0;
        let segment = dice.u32(1..=last.segment);
        let limit = if segment == last.segment { last.offset as usize - 40 } else { 8 << 10 };
        let (byte, bit) = (dice.usize(..limit), dice.u8(..8));
        assert!(disk.flip(&format!("{segment:010}.log"), byte, bit));
        let (log, recovered, shown) = open(&disk, &options()).unwrap();
        let (seen, whole) = served(&log, &shown, &written);
        let place = format!("byte {byte}, bit {bit} of segment {segment}: {recovered:?}");
        assert!(seen + 1 >= written.len(), "{place}");
        assert!(whole + 1 >= written.len(), "{place}");
        let told = !recovered.quarantined.is_empty();
        assert!(told || hints || whole == written.len(), "{place}");
        assert!(told == (recovered.quarantined_count > 0) && recovered.torn_bytes == 0, "{place}");
        // It is told again next time: no hint hides it.
        let mut again = log;
        if !hints {
            again.keeper().prepare().unwrap();
            append(&mut again, &[Sample { serial: 999, summary: 0, bulk: 0 }], false).unwrap();
            drop(again);
            let (_, again, shown_again) = open(&disk, &options()).unwrap();
            assert_eq!(again.quarantined, recovered.quarantined, "{place}");
            assert_eq!(shown_again.len(), shown.len() + 1);
        }
    }
}

#[test]
fn a_flipped_bit_in_the_last_batch_costs_that_batch_and_what_follows_is_sound() {
    for round in 0..500 {
        let (disk, batches) = log(round / 100, false);
        let written = batches.concat();
        let last = batches.last().unwrap();
        let start = last[0].0.offset as usize - 40;
        let mut dice = fastrand::Rng::with_seed(round);
        let end = last.last().map(|(at, sample)| at.offset as usize + sample.length()).unwrap();
        disk.flip(&format!("{:010}.log", last[0].0.segment), dice.usize(start..end), 3);
        let (mut log, recovered, shown) = open(&disk, &options()).unwrap();
        assert_eq!(shown.len(), written.len() - last.len(), "{recovered:?}");
        assert!(recovered.quarantined.is_empty());
        let next = append(&mut log, &[Sample { serial: 9, summary: 1, bulk: 1 }], false).unwrap();
        drop(log);
        let (_, recovered, shown) = open(&disk, &options()).unwrap();
        assert_eq!(shown.last().unwrap().0, next[0]);
        assert_eq!((recovered.torn_bytes, recovered.quarantined_count), (0, 0));
    }
}

#[test]
fn much_damage_never_makes_up_a_record() {
    for round in 0..600 {
        let (disk, batches) = log(round / 100, round % 3 == 0);
        let written = batches.concat();
        let mut dice = fastrand::Rng::with_seed(round);
        let names = disk.names();
        for _ in 0..dice.usize(1..200) {
            let name = &names[dice.usize(..names.len())];
            disk.flip(name, dice.usize(..8 << 10), dice.u8(..8));
        }
        let (mut log, recovered, shown) = open(&disk, &options()).unwrap();
        served(&log, &shown, &written);
        assert!(recovered.quarantined_count as usize >= recovered.quarantined.len());
        let next = append(&mut log, &[Sample { serial: 9, summary: 1, bulk: 1 }], true).unwrap();
        drop(log);
        let (_, _, again) = open(&disk, &options()).unwrap();
        assert_eq!(again.len(), shown.len() + 1, "{round}: {recovered:?}");
        assert_eq!(again.last().unwrap().0, next[0]);
    }
}

#[test]
fn a_hint_that_is_damaged_or_missing_is_written_again() {
    let (disk, batches) = log(4, true);
    let written = batches.concat();
    let hints = |disk: &SimDisk| disk.names().iter().filter(|name| name.ends_with("hint")).count();
    let all = hints(&disk);
    assert!(disk.flip("0000000001.hint", 60, 1) && all > 3);
    disk.lose("0000000002.hint");
    for hinted in [all - 2, all] {
        let (log, recovered, shown) = open(&disk, &options()).unwrap();
        assert_eq!(served(&log, &shown, &written), (written.len(), written.len()));
        assert_eq!((recovered.hinted as usize, recovered.quarantined_count), (hinted, 0));
        log.keeper().prepare().unwrap();
        assert_eq!(hints(&disk), all);
    }
}

#[test]
fn no_hint_outlives_what_is_written_behind_it() {
    let (disk, batches) = log(4, true);
    let newest = batches.last().unwrap()[0].0.segment;
    // The segment where the log goes on has a hint that cannot be read just now.
    let name = format!("{newest:010}.hint");
    disk.put(&name, disk.bytes("0000000001.hint").unwrap());
    let (mut log, ..) = open(&disk, &options()).unwrap();
    assert!(disk.bytes(&name).is_none());
    append(&mut log, &[Sample { serial: 9, summary: 1, bulk: 1 }], false).unwrap();
    let crashed = disk.reboot(true);
    drop(log);
    assert!(crashed.bytes(&name).is_none());
    assert_eq!(open(&crashed, &options()).unwrap().2.len(), batches.concat().len() + 1);
}

#[test]
fn a_segment_that_is_missing_is_told_and_the_rest_is_served() {
    for hints in [false, true] {
        let (disk, batches) = log(5, hints);
        let written = batches.concat();
        disk.lose("0000000002.log");
        let (log, recovered, shown) = open(&disk, &options()).unwrap();
        served(&log, &shown, &written);
        assert!(written.iter().all(|(at, _)| at.segment == 2 || shown.iter().any(|s| s.0 == *at)));
        let missing = &recovered.quarantined[0];
        assert_eq!((missing.why, missing.position.segment), (Why::Missing, 2), "{recovered:?}");
    }
}

#[test]
fn a_sector_that_cannot_be_read_costs_what_lies_in_it() {
    let (disk, batches) = log(3, false);
    let written = batches.concat();
    let newest = written.last().unwrap().0.segment;
    let unreadable = Some((format!("{:010}.log", newest - 1), 4_096));
    disk.set_faults(Faults { unreadable, ..Faults::default() });
    let (log, recovered, shown) = open(&disk, &options()).unwrap();
    assert!(recovered.quarantined_count > 0 && shown.len() < written.len());
    let lost = written.iter().filter(|(at, _)| shown.iter().all(|shown| shown.0 != *at));
    let lost: Vec<_> = lost.collect();
    assert!(lost.iter().all(|(at, _)| at.segment == newest - 1), "{lost:?}");
    assert!(lost.iter().all(|(at, sample)| at.offset as usize + sample.length() > 4_096));
    assert_eq!(log.newest(), newest);
    drop(log);
    // Where the log would go on, nothing is cut that only cannot be read.
    let unreadable = Some((format!("{newest:010}.log"), 600));
    disk.set_faults(Faults { unreadable, ..Faults::default() });
    let error = open(&disk, &options()).unwrap_err().to_string();
    assert!(error.contains("cannot read the log in /sim"), "{error}");
}

#[test]
fn a_log_of_other_segments_is_read_and_left_behind() {
    let (disk, batches) = log(2, false);
    let larger = Options { segment_bytes: 32 << 10, ..options() };
    let (mut log, recovered, shown) = open(&disk, &larger).unwrap();
    assert_eq!((shown.len(), recovered.quarantined_count), (batches.concat().len(), 0));
    let sample = Sample { serial: 7, summary: 9, bulk: 20_000 };
    let at = append(&mut log, &[sample], false).unwrap()[0];
    log.free_before(at.segment);
    log.keeper().prepare().unwrap();
    drop(log);
    let (log, recovered, shown) = open(&disk, &larger).unwrap();
    assert_eq!((shown.len(), recovered.segments), (1, 2), "one, and the one that is ready");
    assert_eq!(log.reader().read(at, sample.length()).unwrap().bulk, sample.bulk());
}
