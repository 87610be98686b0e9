//! Disks that are full, read-only, gone, in use, or lie: what is said, and what goes on.

use super::super::format::{Head, SECTOR};
use super::super::sim::{Faults, SimDisk};
use super::super::{Log, LogError, Options, Position, ReadError};
use super::{Sample, append, open, options};

fn sample(serial: u64, bulk: usize) -> Sample {
    Sample { serial, summary: 20, bulk }
}

fn disk() -> SimDisk {
    SimDisk::new(1, 1 << 20)
}

fn is_full<T>(result: &Result<T, LogError>) -> bool {
    matches!(result, Err(LogError::Full { .. }))
}

/// Appends until there is no room; answers how many.
fn fill(log: &mut Log<SimDisk>, serial: &mut u64, settles: bool) -> u64 {
    let before = *serial;
    loop {
        match append(log, &[sample(*serial, 1_000)], settles) {
            Ok(_) => *serial += 1,
            Err(LogError::Full { .. }) => return *serial - before,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn what_settles_is_written_when_the_disk_is_full_and_all_is_when_there_is_room_again() {
    let disk = disk();
    let options = Options { reserve: 3, ..options() };
    let (mut log, ..) = open(&disk, &options).unwrap();
    let keeper = log.keeper();
    keeper.prepare().unwrap();
    disk.set_bytes_max(disk.names().len() as u64 * (8 << 10));
    let mut serial = 0;
    let accepted = fill(&mut log, &mut serial, false);
    // The current one, and the one that is ready beside the reserve and a spare: 4 a segment.
    assert_eq!((accepted, log.newest()), (12, 3));
    // What fits into the current segment would be taken; a larger batch is refused, again and again.
    for _ in 0..3 {
        assert!(is_full(&append(&mut log, &[sample(serial, 6_000)], false)));
        assert!(is_full(&keeper.prepare()));
    }
    let error = append(&mut log, &[sample(serial, 6_000)], false).unwrap_err().to_string();
    assert!(error.contains("/sim") && error.contains("a segment needs 8192 bytes"), "{error}");
    // A batch settles if all in it settles.
    let bulk = vec![0; 3_000];
    let entry = |settles| super::Entry { summary: b"", bulk: &bulk, settles };
    assert!(is_full(&log.append(&[entry(true), entry(false)], &mut Vec::new())));
    let settled = fill(&mut log, &mut serial, true);
    assert_eq!((settled, log.newest()), (8, 5), "the reserve is three segments, and one is left");
    // What is freed goes back into the pool; the reserve first.
    log.free_before(3);
    keeper.prepare().unwrap_err();
    assert!(is_full(&append(&mut log, &[sample(serial, 1_000)], false)));
    assert_eq!(fill(&mut log, &mut serial, true), 8);
    // The last one is for what makes room.
    let newest = log.newest();
    log.carry(&[entry(true)], &mut Vec::new()).unwrap();
    assert_eq!(log.newest(), newest + 1);
    // Room again, without anybody's help.
    disk.set_bytes_max(1 << 20);
    append(&mut log, &[sample(serial, 1_000)], false).unwrap();
    keeper.prepare().unwrap();
    drop((log, keeper));
    let (_, recovered, shown) = open(&disk, &options).unwrap();
    assert_eq!(shown.len() as u64, serial + 1 + 1 - 8, "but two segments that were freed");
    assert_eq!(recovered.quarantined_count, 0);
}

#[test]
fn the_log_keeps_to_its_size() {
    let disk = disk();
    let options = Options { bytes_max: 10 * (8 << 10), ..options() };
    let (mut log, ..) = open(&disk, &options).unwrap();
    let keeper = log.keeper();
    let mut serial = 0;
    for round in 0..20 {
        fill(&mut log, &mut serial, false);
        fill(&mut log, &mut serial, true);
        let _ = keeper.prepare();
        let segments = disk.names().iter().filter(|name| !name.ends_with("hint")).count();
        assert!(segments <= 10, "{:?}", disk.names());
        assert!(log.bytes_used() <= 10 * (8 << 10));
        log.free_before(log.newest() - round % 4);
        keeper.prepare().unwrap();
    }
    assert!(log.newest() > 50);
}

#[test]
fn a_write_that_finds_no_room_leaves_nothing() {
    let disk = disk();
    let (mut log, ..) = open(&disk, &options()).unwrap();
    append(&mut log, &[sample(0, 1_000)], false).unwrap();
    disk.set_faults(Faults { full: true, ..Faults::default() });
    for _ in 0..3 {
        assert!(is_full(&append(&mut log, &[sample(1, 2_000), sample(2, 2)], false)));
    }
    let crashed = disk.reboot(true);
    drop(log);
    let (mut log, recovered, shown) = open(&crashed, &options()).unwrap();
    assert_eq!((shown.len(), recovered.torn_bytes), (1, 0));
    crashed.set_faults(Faults { full: true, ..Faults::default() });
    assert!(is_full(&append(&mut log, &[sample(1, 2_000)], false)));
    crashed.set_faults(Faults::default());
    append(&mut log, &[sample(3, 10)], false).unwrap();
    drop(log);
    let (_, recovered, shown) = open(&crashed, &options()).unwrap();
    assert_eq!((shown.len(), recovered.torn_bytes), (2, 0));
    assert_eq!(shown[1].1, sample(3, 10).summary());
}

/// What such a write left is behind the last batch of a segment that is full by now, looks like records,
/// and was never acknowledged.
#[test]
fn what_a_write_without_room_left_is_no_record_in_a_full_segment_either() {
    let disk = disk();
    let (mut log, ..) = open(&disk, &options()).unwrap();
    disk.set_faults(Faults { full: true, ..Faults::default() });
    // The second record begins where the rows of a batch would, were there one in the next sector.
    let refused = [sample(0, 468), sample(1, 100), sample(2, 2_000)];
    assert!(is_full(&append(&mut log, &refused, false)));
    disk.set_faults(Faults::default());
    append(&mut log, &[sample(3, 10)], false).unwrap();
    append(&mut log, &[sample(4, 7_000)], false).unwrap();
    assert_eq!(log.newest(), log.oldest() + 1);
    drop(log);
    let (_, recovered, shown) = open(&disk.reboot(false), &options()).unwrap();
    assert_eq!(recovered.quarantined, []);
    let shown: Vec<_> = shown.into_iter().map(|shown| shown.1).collect();
    assert_eq!(shown, [sample(3, 10).summary(), sample(4, 7_000).summary()]);
}

#[test]
fn no_room_for_hints_costs_hints_only() {
    let disk = disk();
    let (mut log, ..) = open(&disk, &options()).unwrap();
    let keeper = log.keeper();
    keeper.prepare().unwrap();
    for serial in 0..10 {
        append(&mut log, &[sample(serial, 1_000)], true).unwrap();
    }
    disk.set_bytes_max(0);
    assert!(is_full(&keeper.prepare()));
    append(&mut log, &[sample(10, 1_000)], true).unwrap();
    drop((log, keeper));
    assert!(disk.names().iter().all(|name| !name.ends_with("new") && !name.ends_with("hint")));
    let (_, recovered, shown) = open(&disk, &options()).unwrap();
    assert_eq!((shown.len(), recovered.hinted), (11, 0));
}

#[test]
fn after_a_sync_that_failed_nothing_is_acknowledged() {
    let disk = disk();
    let (mut log, ..) = open(&disk, &options()).unwrap();
    append(&mut log, &[sample(0, 1_000)], false).unwrap();
    disk.set_faults(Faults { syncs: Some(0), ..Faults::default() });
    let error = append(&mut log, &[sample(1, 10)], false).unwrap_err();
    assert!(matches!(error, LogError::Broken { .. }));
    let text = error.to_string();
    assert!(text.contains("cannot sync /sim/0000000001.log"), "{text}");
    assert!(text.contains("errors of the disk"), "{text}");
    // The disk is sound again; the log does not believe it.
    disk.set_faults(Faults::default());
    let error = append(&mut log, &[sample(2, 10)], true).unwrap_err();
    assert_eq!(error.to_string(), text);
    assert!(matches!(log.keeper().prepare(), Err(LogError::Broken { .. })));
    assert!(log.reader().read(Position { segment: 1, offset: 552 }, 1_028).is_ok());
    drop(log);
    let (mut log, _, shown) = open(&disk, &options()).unwrap();
    assert!(shown.len() <= 2 && shown[0].1 == sample(0, 0).summary());
    append(&mut log, &[sample(3, 10)], false).unwrap();
}

#[test]
fn a_disk_that_cannot_be_written_is_named_with_a_remedy() {
    let disk = disk();
    let (mut log, ..) = open(&disk, &options()).unwrap();
    disk.set_faults(Faults { read_only: true, ..Faults::default() });
    let text = append(&mut log, &[sample(1, 10)], false).unwrap_err().to_string();
    assert!(text.contains("/sim/0000000001.log") && text.contains("mount it writable"), "{text}");
    drop(log);
    let text = open(&disk, &options()).unwrap_err().to_string();
    assert!(text.contains("in /sim:") && text.contains("mount it writable"), "{text}");
    disk.set_faults(Faults { gone: true, ..Faults::default() });
    let text = open(&disk, &options()).unwrap_err().to_string();
    assert!(text.contains("in /sim:") && text.contains("was the directory removed?"), "{text}");
    disk.set_faults(Faults::default());
    disk.set_bytes_max(100);
    let empty = SimDisk::new(1, 100);
    assert!(is_full(&open(&empty, &options())));
}

#[test]
fn a_second_log_in_the_directory_is_refused_until_the_first_is_gone() {
    let disk = disk();
    let (log, ..) = open(&disk, &options()).unwrap();
    let error = open(&disk, &options()).unwrap_err();
    assert!(matches!(error, LogError::Locked { .. }), "{error}");
    let reader = log.reader();
    drop(log);
    assert!(open(&disk, &options()).is_err(), "who reads still uses its files");
    drop(reader);
    open(&disk, &options()).unwrap();
}

#[test]
fn a_batch_is_as_large_as_a_segment_and_not_larger() {
    let disk = disk();
    let (mut log, ..) = open(&disk, &options()).unwrap();
    append(&mut log, &[sample(0, 10)], false).unwrap();
    let max = log.batch_max();
    let bulk = vec![7; max - Log::<SimDisk>::cost(1, 0)];
    let entry = |bulk| super::Entry { summary: b"s", bulk, settles: false };
    let mut positions = Vec::new();
    log.append(&[entry(&bulk)], &mut positions).unwrap();
    assert_eq!(positions, [Position { segment: 2, offset: 552 }]);
    let record = log.reader().read(positions[0], bulk.len() + 1).unwrap();
    assert_eq!((record.summary.as_ref(), record.bulk.len()), (&b"s"[..], bulk.len()));
    let larger = vec![7; bulk.len() + 1];
    let error = log.append(&[entry(&larger)], &mut positions).unwrap_err();
    assert!(
        matches!(error, LogError::TooLarge { bytes, max: most } if bytes == max + 1 && most == max)
    );
    append(&mut log, &[sample(1, 10)], false).unwrap();
    log.append(&[], &mut positions).unwrap();
    assert!(positions.is_empty());
}

#[test]
fn a_later_format_is_refused_and_not_touched() {
    let disk = disk();
    let head = Head { segment: 1, bytes: 8 << 10, salt: 5 };
    let mut bytes = vec![0; 8 << 10];
    let mut sector = head.sector();
    sector[8] = 2;
    let check = crc32c::crc32c(&sector[..28]);
    sector[28..32].copy_from_slice(&check.to_le_bytes());
    bytes[..SECTOR as usize].copy_from_slice(&sector);
    disk.put("0000000001.log", bytes.clone());
    let error = open(&disk, &options()).unwrap_err().to_string();
    assert!(error.contains("/sim/0000000001.log") && error.contains("format 2"), "{error}");
    assert_eq!(disk.bytes("0000000001.log"), Some(bytes));
}

#[test]
fn an_append_is_one_write_and_one_sync_also_when_it_rolls() {
    let disk = disk();
    let (mut log, ..) = open(&disk, &options()).unwrap();
    let keeper = log.keeper();
    for serial in 0..200 {
        keeper.prepare().unwrap();
        let before = disk.operations();
        append(&mut log, &[sample(serial, 1_000)], false).unwrap();
        assert_eq!(disk.operations() - before, 2);
        let before = disk.operations();
        log.free_before(log.newest());
        assert_eq!(disk.operations(), before);
    }
    assert_eq!((log.newest(), log.oldest()), (50, 50));
    assert_eq!(log.bytes_used(), 8 << 10);
    let spares = disk.names().iter().filter(|name| name.ends_with("spare")).count();
    assert_eq!(spares, 3, "reserve and spares: {:?}", disk.names());
}

#[test]
fn a_record_of_a_freed_segment_is_gone_and_never_another() {
    let disk = disk();
    let (mut log, ..) = open(&disk, &options()).unwrap();
    let (keeper, reader) = (log.keeper(), log.reader());
    let first = sample(0, 1_000);
    let at = append(&mut log, &[first], false).unwrap()[0];
    assert_eq!(reader.read(at, first.length()).unwrap().bulk, first.bulk());
    for wrong in [Position { offset: at.offset + 1, ..at }, Position { offset: u32::MAX, ..at }] {
        assert!(matches!(reader.read(wrong, 1_028), Err(ReadError::Damaged { .. })));
    }
    assert!(matches!(reader.read(at, first.length() + 1), Err(ReadError::Damaged { .. })));
    assert!(matches!(reader.read(at, usize::MAX), Err(ReadError::Damaged { .. })));
    assert!(matches!(reader.read(Position { segment: 9, ..at }, 0), Err(ReadError::Gone)));
    for serial in 1..60 {
        append(&mut log, &[sample(serial, 1_000)], false).unwrap();
        log.free_before(log.newest());
        keeper.prepare().unwrap();
        if log.newest() > 1 {
            assert!(matches!(reader.read(at, first.length()), Err(ReadError::Gone)));
        }
    }
}
