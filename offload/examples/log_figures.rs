//! What the log makes of a disk: `cargo run --release -p offload --example log_figures DIRECTORY`.
//!
//! The directory must be empty or missing; about 2 GiB are written, and removed at the end.

use base::Moment;
use offload::log::{Entry, Log, Options, RealDisk, Recovered};
use offload::settings::Durability;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Duration;

const SUMMARY: [u8; 150] = [7; 150];
const BULK: [u8; 1024] = [9; 1024];
const JOBS: u64 = 1_000_000;

fn open(path: &Path, each: impl FnMut(&[u8])) -> (Log, Recovered, Duration) {
    let mut each = each;
    let disk = RealDisk::at(path, Durability::Disk).expect("the directory can be used");
    let start = Moment::now();
    let (log, recovered) =
        Log::open(disk, &Options::new(8 << 30), |_, visit| each(visit.summary)).expect("it opens");
    (log, recovered, Moment::now().since(start))
}

fn batch(records: usize) -> Vec<Entry<'static>> {
    vec![Entry { summary: &SUMMARY, bulk: &BULK, settles: false }; records]
}

/// Appends, and answers how long each batch took, sorted.
fn append(log: &mut Log, records: usize, batches: u64, keep: Option<u32>) -> Vec<Duration> {
    let entries = batch(records);
    let mut positions = Vec::new();
    let mut times = Vec::new();
    for _ in 0..batches {
        let start = Moment::now();
        log.append(&entries, &mut positions).expect("it is written");
        times.push(Moment::now().since(start));
        if let Some(keep) = keep {
            log.free_before(log.newest().saturating_sub(keep));
        }
    }
    times.sort_unstable();
    times
}

/// Times of the log, and of what the disk makes of the same without one: a file that is written over
/// and over. In turns, since what else goes on on the machine is worth more than the difference.
fn compare(log: &mut Log, path: &Path, records: usize, batches: u64) {
    const SIZE: u64 = 16 << 20;
    let file = std::fs::File::create(path.join("bare")).expect("it can be made");
    file.write_all_at(&vec![0; SIZE as usize], 0).and_then(|()| file.sync_all()).expect("room");
    let cost = Log::<RealDisk>::cost(SUMMARY.len(), BULK.len());
    let content = vec![7; (records * cost + 40).next_multiple_of(512)];
    let bytes = content.len() as u64;
    let (mut bare, mut logged) = (Vec::new(), Vec::new());
    for round in 0..batches / 50 {
        for batch in 0..50 {
            let start = Moment::now();
            let at = (round * 50 + batch) * bytes % (SIZE - bytes) / 512 * 512;
            file.write_all_at(&content, at).and_then(|()| file.sync_data()).expect("written");
            bare.push(Moment::now().since(start));
        }
        logged.extend(append(log, records, 50, Some(2)));
    }
    for (what, mut times) in [("the bare file", bare), ("the log", logged)] {
        times.sort_unstable();
        tell(&format!("{records} records a batch, {what}"), records, &times);
    }
}

fn tell(what: &str, records: usize, times: &[Duration]) {
    let at = |thousandths: usize| times[(times.len() - 1) * thousandths / 1_000];
    let all: Duration = times.iter().sum();
    let rate = times.len() as f64 * records as f64 / all.as_secs_f64();
    let (p50, p99, p999, most) = (at(500), at(990), at(999), at(1_000));
    println!(
        "{what}: {rate:.0} records/s; batch p50 {p50:?} p99 {p99:?} p99.9 {p999:?} max {most:?}"
    );
}

/// Lets the system forget what it has of the files.
fn forget(path: &Path) {
    for file in std::fs::read_dir(path).expect("it is there").flatten() {
        let file = std::fs::File::open(file.path()).expect("it can be read");
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).expect("it forgets");
    }
}

fn main() {
    let path = std::env::args().nth(1).expect("DIRECTORY");
    let path = Path::new(&path);
    let (mut log, _, time) = open(path, |_| ());
    println!("opened an empty directory in {time:?}");
    let keeper = log.keeper();
    keeper.prepare().expect("there is room");
    let thread = std::thread::spawn(move || keeper.run(|error| println!("keeper: {error}")));
    for (records, batches) in [(1, 5_000), (64, 10_000), (256, 4_000)] {
        compare(&mut log, path, records, batches);
    }
    log.free_before(u32::MAX);
    tell("64 records a batch, all kept", 64, &append(&mut log, 64, JOBS / 64, None));
    drop(log);
    thread.join().expect("it ends");
    for round in ["first", "second", "third"] {
        let mut bytes = 0;
        let (log, recovered, time) = open(path, |summary| bytes += summary.len());
        let Recovered { records, segments, hinted, .. } = recovered;
        println!("{round} open: {records} records, {segments} segments, {hinted} hints: {time:?}");
        // The last hints are written when nothing else is to be done.
        log.keeper().prepare().expect("there is room");
    }
    forget(path);
    let (log, recovered, time) = open(path, |_| ());
    println!("open without cached pages: {} records: {time:?}", recovered.records);
    drop(log);
    for file in std::fs::read_dir(path).expect("it is there").flatten() {
        if file.path().extension().is_some_and(|kind| kind == "hint") {
            std::fs::remove_file(file.path()).expect("it can be removed");
        }
    }
    let (log, recovered, time) = open(path, |_| ());
    println!("open without hints: {} records: {time:?}", recovered.records);
    drop(log);
    std::fs::remove_dir_all(path).expect("it can be removed");
}
