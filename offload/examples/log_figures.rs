//! What the log makes of a disk: `cargo run --release -p offload --example log_figures DIRECTORY`.
//!
//! The directory must be empty or missing; about 2 GiB are written, and removed at the end.

use base::Moment;
use offload::log::{Entry, Log, Options, RealDisk, Recovered};
use offload::settings::Durability;
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

fn tell(what: &str, records: usize, times: &[Duration]) {
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let all: Duration = times.iter().sum();
    let rate = times.len() as f64 * records as f64 / all.as_secs_f64();
    let (p50, p99, p999, most) = (at(0.5), at(0.99), at(0.999), at(1.0));
    println!(
        "{what}: {rate:.0} records/s; batch p50 {p50:?} p99 {p99:?} p99.9 {p999:?} max {most:?}"
    );
}

fn main() {
    let path = std::env::args().nth(1).expect("DIRECTORY");
    let path = Path::new(&path);
    let (mut log, _, time) = open(path, |_| ());
    println!("opened an empty directory in {time:?}");
    let keeper = log.keeper();
    keeper.prepare().expect("there is room");
    let thread = std::thread::spawn(move || keeper.run(|error| println!("keeper: {error}")));
    tell("1 record a batch", 1, &append(&mut log, 1, 5_000, Some(2)));
    tell("64 records a batch", 64, &append(&mut log, 64, 20_000, Some(2)));
    tell("256 records a batch", 256, &append(&mut log, 256, 5_000, Some(2)));
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
