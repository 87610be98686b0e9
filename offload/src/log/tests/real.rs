//! The log on a real disk, with all its threads.

use super::super::{Entry, Log, LogError, Options, ReadError, RealDisk};
use super::Sample;
use crate::settings::Durability;
use std::path::PathBuf;
use std::sync::mpsc::sync_channel;
use std::thread;

/// A directory of its own, gone with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("offload-log-{}-{:016x}", std::process::id(), fastrand::u64(..));
        Self(std::env::temp_dir().join(name))
    }

    fn disk(&self, durability: Durability) -> RealDisk {
        RealDisk::at(&self.0, durability).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn options(segment_bytes: u32) -> Options {
    Options { segment_bytes, bytes_max: 64 << 20, reserve: 1, spares: 2, unhinted: 1 }
}

#[test]
fn readers_read_while_the_log_appends_and_frees() {
    let folder = Folder::new();
    let disk = folder.disk(Durability::Disk);
    let (mut log, recovered) = Log::open(disk, &options(64 << 10), |_, _| ()).unwrap();
    assert_eq!(recovered.segments, 0);
    let keeper = log.keeper();
    let keeping = thread::spawn(move || keeper.run(|error| panic!("{error}")));
    let reader = log.reader();
    let (told, places) = sync_channel(64);
    let reading = thread::spawn(move || {
        let mut counts = [0_u64; 2];
        for (position, sample) in places {
            let sample: Sample = sample;
            match reader.read(position, sample.length()) {
                Ok(record) => {
                    assert_eq!(record.summary, sample.summary());
                    assert_eq!(record.bulk, sample.bulk());
                    counts[0] += 1;
                }
                Err(ReadError::Gone) => counts[1] += 1,
                Err(error) => panic!("{error}"),
            }
        }
        counts
    });
    let mut positions = Vec::new();
    for serial in 0..800 {
        let sample = Sample { serial, summary: 50, bulk: 3_000 };
        let (summary, bulk) = (sample.summary(), sample.bulk());
        let entry = Entry { summary: &summary, bulk: &bulk, settles: false };
        log.append(&[entry, entry], &mut positions).unwrap();
        for position in &positions {
            told.send((*position, sample)).unwrap();
        }
        log.free_before(log.newest().saturating_sub(1));
    }
    drop(told);
    let [read, gone] = reading.join().unwrap();
    assert!(read > 0 && read + gone == 1_600, "{read} read, {gone} gone");
    drop(log);
    keeping.join().unwrap();
    let files = std::fs::read_dir(&folder.0).unwrap().count();
    assert!(files < 16, "{files} files");
    let mut last = Vec::new();
    let disk = folder.disk(Durability::Disk);
    Log::open(disk, &options(64 << 10), |at, visit| last.push((at, visit.summary.to_vec())))
        .unwrap();
    let sample = Sample { serial: 799, summary: 50, bulk: 3_000 };
    assert_eq!(last.last(), Some(&(positions[1], sample.summary())));
}

#[test]
fn the_largest_body_fits_into_a_segment() {
    let folder = Folder::new();
    let disk = folder.disk(Durability::System);
    let (mut log, _) = Log::open(disk, &options(16 << 20), |_, _| ()).unwrap();
    let bulk = vec![3; 8_500_000];
    let entry = Entry { summary: b"large", bulk: &bulk, settles: false };
    let mut positions = Vec::new();
    for segment in 1..4 {
        log.append(&[entry], &mut positions).unwrap();
        assert_eq!(positions[0].segment, segment, "two do not fit into one");
        assert_eq!(log.reader().read(positions[0], bulk.len() + 5).unwrap().bulk, bulk);
    }
}

#[test]
fn a_second_process_is_told_who_has_the_directory() {
    let folder = Folder::new();
    let open = || Log::open(folder.disk(Durability::Disk), &options(64 << 10), |_, _| ());
    let (log, _) = open().unwrap();
    let Err(error) = open() else { panic!("two have it") };
    let text = error.to_string();
    assert!(matches!(error, LogError::Locked { .. }), "{text}");
    assert!(text.contains(&format!("process {} on host ", std::process::id())), "{text}");
    assert!(text.contains(&folder.0.display().to_string()), "{text}");
    drop(log);
    open().unwrap();
}

#[test]
fn a_directory_that_is_none_is_named_with_a_remedy() {
    let folder = Folder::new();
    std::fs::create_dir_all(&folder.0).unwrap();
    let file = folder.0.join("file");
    std::fs::write(&file, "").unwrap();
    for path in [file.clone(), file.join("below")] {
        let text = RealDisk::at(&path, Durability::Disk).unwrap_err().to_string();
        assert!(text.contains(&path.display().to_string()), "{text}");
        assert!(text.contains("`offload.store` must name a directory"), "{text}");
    }
    // Removed while the gateway runs: nothing more is acknowledged.
    let gone = folder.0.join("gone");
    let disk = RealDisk::at(&gone, Durability::Disk).unwrap();
    let (mut log, _) = Log::open(disk, &options(64 << 10), |_, _| ()).unwrap();
    let entry = Entry { summary: b"", bulk: b"", settles: false };
    log.append(&[entry], &mut Vec::new()).unwrap();
    std::fs::remove_dir_all(&gone).unwrap();
    let text = log.append(&[entry], &mut Vec::new()).unwrap_err().to_string();
    assert!(text.contains("was the directory removed?"), "{text}");
}
