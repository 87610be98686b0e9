//! The tier as its askers see it.

use super::*;
use base::ByteSize;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::HashMap;
use std::sync::atomic::AtomicU32;

const HOUR: Duration = Duration::from_hours(1);
const SECOND: u64 = 1_000;
const START: u64 = 1_700_000_000_000;

/// A folder for one test, gone with it, and a clock for all tiers in it.
struct Place {
    path: PathBuf,
    clock: Arc<AtomicU64>,
    told: Arc<Mutex<Vec<String>>>,
}

impl Place {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("fleetfoot-disk-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&path);
        Self { path, clock: Arc::new(AtomicU64::new(START)), told: Arc::default() }
    }

    fn try_open(&self, size: u64) -> io::Result<Arc<Disk>> {
        let (clock, told) = (Arc::clone(&self.clock), Arc::clone(&self.told));
        let settings = settings::Disk { path: self.path.clone(), size: ByteSize(size) };
        let outside = Outside {
            warn: Box::new(move |what| told.lock().unwrap().push(what.to_owned())),
            clock: Box::new(move || Wall(clock.load(Ordering::Relaxed))),
        };
        Disk::open_in(&settings, outside)
    }

    /// A tier that knows all that is in the folder.
    fn open(&self, size: u64) -> Arc<Disk> {
        let disk = self.try_open(size).unwrap();
        disk.settle();
        disk
    }

    fn segments(&self) -> Vec<PathBuf> {
        let mut found: Vec<_> = fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|end| end == "segment"))
            .collect();
        found.sort();
        found
    }

    fn bytes(&self) -> u64 {
        let length = |entry: io::Result<fs::DirEntry>| entry.unwrap().metadata().unwrap().len();
        fs::read_dir(&self.path).unwrap().map(length).sum()
    }

    /// What a process that is killed now leaves behind.
    fn killed(&self) -> Self {
        let mut other = Self::new();
        other.clock = Arc::clone(&self.clock);
        fs::create_dir_all(&other.path).unwrap();
        for path in self.segments() {
            fs::copy(&path, other.path.join(path.file_name().unwrap())).unwrap();
        }
        other
    }

    fn pass(&self, milliseconds: u64) {
        self.clock.fetch_add(milliseconds, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

fn get(disk: &Disk, key: u128) -> Option<Vec<u8>> {
    disk.get(key).blocking_recv().expect("it is not too busy")
}

fn put(disk: &Disk, key: u128, value: &[u8]) {
    disk.put(key, value.to_vec(), HOUR);
}

/// Bytes that tell keys and generations apart.
fn bytes(key: u128, generation: u8, length: usize) -> Vec<u8> {
    (0..length).map(|i| (i as u8).wrapping_mul(31) ^ (key as u8) ^ generation).collect()
}

fn meter(meter: &AtomicU64) -> u64 {
    meter.load(Ordering::Relaxed)
}

#[test]
fn what_is_put_is_found_after_a_restart() {
    let place = Place::new();
    let disk = place.open(1 << 20);
    assert_eq!(get(&disk, 1), None);
    put(&disk, 1, b"one");
    put(&disk, 2, b"");
    put(&disk, 1, b"one more");
    disk.settle();
    assert_eq!(get(&disk, 1).as_deref(), Some(&b"one more"[..]));
    disk.forget(2);
    disk.settle();
    assert_eq!(get(&disk, 2), None);
    drop(disk);
    let disk = place.open(1 << 20);
    assert_eq!(get(&disk, 1).as_deref(), Some(&b"one more"[..]));
    assert_eq!((get(&disk, 2), disk.len(), disk.loading()), (None, 1, false));
    assert_eq!((meter(&disk.meters().gets), meter(&disk.meters().hits)), (2, 1));
}

#[test]
fn a_start_goes_on_with_a_segment_that_is_far_from_full() {
    let place = Place::new();
    for turn in 0..20 {
        let disk = place.open(1 << 20);
        put(&disk, turn, &bytes(turn, 0, 100));
        drop(disk);
    }
    assert_eq!(place.segments().len(), 1);
    assert_eq!(place.open(1 << 20).len(), 20);
}

#[test]
fn a_second_process_is_refused() {
    let place = Place::new();
    let disk = place.open(1 << 20);
    let error = place.try_open(1 << 20).expect_err("it is taken");
    assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
    assert!(error.to_string().ends_with("another process keeps its cache here"), "{error}");
    drop(disk);
    place.open(1 << 20);
    fs::write(place.path.with_extension("file"), b"").unwrap();
    let mut blocked = Place::new();
    blocked.path = place.path.with_extension("file");
    let error = blocked.try_open(1 << 20).expect_err("no folder");
    assert!(error.to_string().contains(".file: "), "{error}");
    fs::remove_file(&blocked.path).unwrap();
}

#[test]
fn what_has_expired_is_a_miss_and_is_not_found_again() {
    let place = Place::new();
    let disk = place.open(1 << 20);
    disk.put(1, b"short".to_vec(), Duration::from_millis(1_500));
    disk.put(2, b"long".to_vec(), HOUR);
    disk.put(3, b"none".to_vec(), Duration::ZERO);
    disk.settle();
    assert!(get(&disk, 1).is_some() && get(&disk, 3).is_none());
    place.pass(1_499);
    assert!(get(&disk, 1).is_some());
    place.pass(1);
    assert!(get(&disk, 1).is_none() && get(&disk, 2).is_some());
    // What expired hides what was before it.
    disk.put(2, b"newer".to_vec(), Duration::from_secs(1));
    disk.settle();
    place.pass(2 * SECOND);
    drop(disk);
    let disk = place.open(1 << 20);
    assert_eq!((get(&disk, 1), get(&disk, 2), disk.len()), (None, None, 0));
}

#[test]
fn the_files_never_grow_beyond_the_size() {
    let place = Place::new();
    let size = 1 << 20;
    let disk = place.open(size);
    for key in 0..3_000_u128 {
        put(&disk, key, &bytes(key, 0, 1 + (key as usize * 37) % 3_000));
        if key % 10 == 0 {
            disk.forget(key / 2);
            disk.settle();
            assert!(place.bytes() <= size, "{}", place.bytes());
        }
    }
    disk.save_note(&[7; 10_000]).unwrap();
    disk.settle();
    assert!(place.bytes() <= size);
    assert!(place.bytes() > size * 3 / 4, "{} is little", place.bytes());
    assert!(get(&disk, 2_999).is_some() && get(&disk, 1).is_none());
    let levels = disk.meters();
    assert!(meter(&levels.evicted) > 1_000 && meter(&levels.dropped) == 0);
    assert!(meter(&levels.segments) >= 15, "{}", meter(&levels.segments));
    // A smaller size holds at once.
    drop(disk);
    let disk = place.open(size / 4);
    assert!(place.bytes() <= size / 4, "{}", place.bytes());
    assert!(get(&disk, 2_999).is_some());
}

#[test]
fn what_is_read_outlives_what_is_not() {
    let place = Place::new();
    let disk = place.open(1 << 20);
    for key in 0..10_000_u128 {
        put(&disk, key, &bytes(key, 0, 500));
        if key % 50 == 0 {
            disk.settle();
            for loved in 0..20 {
                assert!(key < loved || get(&disk, loved).is_some(), "{loved} at {key}");
            }
        }
    }
    disk.settle();
    assert!((20..1_000).all(|key| get(&disk, key).is_none()));
    drop(disk);
    let disk = place.open(1 << 20);
    assert!((0..20).all(|key| get(&disk, key) == Some(bytes(key, 0, 500))));
}

#[test]
fn too_large_a_value_is_dropped() {
    let place = Place::new();
    let disk = place.open(1 << 20);
    put(&disk, 1, &vec![0; 1 << 16]);
    put(&disk, 2, &vec![0; 60_000]);
    disk.settle();
    assert!(get(&disk, 1).is_none() && get(&disk, 2).is_some());
    assert_eq!((meter(&disk.meters().dropped), meter(&disk.meters().puts)), (1, 1));
}

#[test]
fn a_process_killed_at_any_byte_loses_only_what_was_not_whole() {
    let place = Place::new();
    let disk = place.open(1 << 20);
    let mut ends = Vec::new();
    for key in 0..6_u128 {
        put(&disk, key, &bytes(key, 0, 20 + key as usize));
        disk.settle();
        ends.push(fs::metadata(&place.segments()[0]).unwrap().len());
    }
    disk.forget(0);
    disk.settle();
    ends.push(fs::metadata(&place.segments()[0]).unwrap().len());
    for cut in ends[2]..=ends[6] {
        let other = place.killed();
        let file = File::options().write(true).open(&other.segments()[0]).unwrap();
        file.set_len(cut).unwrap();
        let again = other.open(1 << 20);
        for key in 1..6_u128 {
            let whole = ends[key as usize] <= cut;
            let expected = whole.then(|| bytes(key, 0, 20 + key as usize));
            assert_eq!(get(&again, key), expected, "{key} cut at {cut}");
        }
        assert_eq!(get(&again, 0).is_some(), cut < ends[6]);
        // And it goes on from there.
        put(&again, 9, b"nine");
        again.settle();
        let third = other.killed();
        assert_eq!(get(&third.open(1 << 20), 9).as_deref(), Some(&b"nine"[..]), "cut at {cut}");
    }
}

#[test]
fn a_broken_byte_costs_misses_only() {
    let place = Place::new();
    let disk = place.open(1 << 20);
    for key in 0..8_u128 {
        put(&disk, key, &bytes(key, 0, 24));
    }
    disk.settle();
    let walked = place.killed();
    drop(disk);
    for (place, listed) in [(walked, false), (place, true)] {
        let whole = fs::read(&place.segments()[0]).unwrap();
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x10;
            fs::write(&place.segments()[0], &broken).unwrap();
            let disk = place.killed();
            let disk = disk.open(1 << 20);
            let found = (0..8).filter(|key| get(&disk, *key).is_some()).count();
            for key in 0..8_u128 {
                assert!(get(&disk, key).is_none_or(|value| value == bytes(key, 0, 24)), "{at}");
            }
            // A list knows the others; without one, all that comes after is lost.
            assert!(at < segment::START || found >= if listed { 7 } else { 0 }, "{found} at {at}");
        }
    }
}

#[test]
fn a_value_cannot_pretend_to_be_a_list() {
    let place = Place::new();
    let disk = place.open(1 << 20);
    let end = 16 + 48;
    let mut forged = Vec::new();
    segment::append(&mut forged, 0, segment::Kind::Value, 66, Wall(u64::MAX), b"evil");
    let kind = segment::Kind::Value;
    let row = segment::Row { kind, key: 66, expiry: Wall(u64::MAX), offset: end / 8, length: 4 };
    let records = u64::from(end) + forged.len() as u64;
    forged.extend(segment::list_of(&[row], records, 0));
    put(&disk, 1, &forged);
    disk.settle();
    let disk = place.killed();
    let disk = disk.open(1 << 20);
    assert_eq!((get(&disk, 66), get(&disk, 1)), (None, Some(forged)));
}

#[test]
fn a_deleted_segment_is_a_miss() {
    let place = Place::new();
    let disk = place.open(1 << 20);
    put(&disk, 1, b"one");
    disk.settle();
    File::options().write(true).open(&place.segments()[0]).unwrap().set_len(20).unwrap();
    assert_eq!(get(&disk, 1), None);
    assert_eq!(meter(&disk.meters().failures), 1);
    assert_eq!(disk.len(), 0);
}

#[test]
fn nowhere_to_write_is_told_once_and_costs_misses() {
    let place = Place::new();
    let disk = place.open(1 << 20);
    fs::remove_dir_all(&place.path).unwrap();
    for key in 0..10 {
        put(&disk, key, b"x");
        disk.settle();
    }
    assert_eq!(get(&disk, 1), None);
    assert_eq!(meter(&disk.meters().dropped), 10);
    let told = place.told.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("a segment cannot be made"), "{told:?}");
}

#[test]
fn notes_are_replaced_whole() {
    let place = Place::new();
    let disk = place.open(1 << 20);
    assert_eq!(disk.load_note().unwrap(), None);
    for note in [&b"first"[..], b"", &[9; 16_000]] {
        disk.save_note(note).unwrap();
        assert_eq!(disk.load_note().unwrap().as_deref(), Some(note));
    }
    assert_eq!(
        disk.save_note(&vec![0; 20_000]).expect_err("too large").kind(),
        io::ErrorKind::FileTooLarge
    );
    drop(disk);
    let disk = place.open(1 << 20);
    assert_eq!(disk.load_note().unwrap().map(|note| note.len()), Some(16_000));
    // What a crash leaves half written is not looked at.
    fs::write(place.path.join("note.new"), b"FFNOTE01half").unwrap();
    assert_eq!(disk.load_note().unwrap().map(|note| note.len()), Some(16_000));
    let whole = fs::read(place.path.join("note")).unwrap();
    for cut in [0, 8, 15, 16, 100, whole.len() - 1] {
        fs::write(place.path.join("note"), &whole[..cut]).unwrap();
        assert_eq!(disk.load_note().unwrap(), None, "{cut}");
    }
}

#[test]
fn many_ask_at_once() {
    let place = Place::new();
    let disk = place.open(16 << 20);
    for key in 0..500_u128 {
        put(&disk, key, &bytes(key, 1, 4_000));
    }
    disk.settle();
    std::thread::scope(|scope| {
        for first in 0..4_u128 {
            let disk = &disk;
            scope.spawn(move || {
                for turn in 0..1_000 {
                    let key = (first * 131 + turn * 7) % 500;
                    assert_eq!(get(disk, key), Some(bytes(key, 1, 4_000)));
                }
            });
        }
        let disk = &disk;
        scope.spawn(move || {
            for key in 1_000..3_000_u128 {
                put(disk, key, &bytes(key, 1, 2_000));
            }
            disk.settle();
        });
    });
    assert_eq!(meter(&disk.meters().hits), 4_000);
}

#[test]
fn a_full_queue_refuses_values_and_never_forgetting() {
    let queue = Queue::new();
    assert!(queue.push_put(1, vec![0; 40 << 20], Wall(0)), "one larger value may wait alone");
    assert!(!queue.push_put(2, vec![0; 1], Wall(0)));
    for key in 0..131_071 {
        queue.push_forget(key);
    }
    let jobs = queue.take(true).unwrap();
    assert!(matches!(jobs.as_slice(), [Job::Put { key: 1, .. }]));
    for key in 0..3 {
        queue.push_forget(key);
    }
    let jobs = queue.take(true).unwrap();
    assert!(matches!(jobs.as_slice(), [Job::ForgetAll, ..]), "{}", jobs.len());
    queue.close();
    assert!(queue.take(true).is_none() && !queue.push_put(1, Vec::new(), Wall(0)));
}

#[derive(Clone, Debug)]
enum Step {
    Put(u128, usize),
    Forget(u128),
    Get(u128),
    Pass(u64),
    Reopen,
    Kill,
}

fn step() -> impl Strategy<Value = Step> {
    let key = 0..12_u128;
    prop_oneof![
        8 => (key.clone(), 0..400_usize).prop_map(|(key, length)| Step::Put(key, length)),
        3 => key.clone().prop_map(Step::Forget),
        6 => key.prop_map(Step::Get),
        1 => (0..900 * SECOND).prop_map(Step::Pass),
        1 => Just(Step::Reopen),
        1 => Just(Step::Kill),
    ]
}

/// Runs steps against a tier of this size and a map; says how many hits there were. A tier with room
/// for all has what the map has; one without may have lost it, and never has anything else.
fn check(size: u64, scale: usize, steps: &[Step]) -> u64 {
    let mut place = Place::new();
    let mut disk = place.open(size);
    let mut model: HashMap<u128, (Vec<u8>, u64)> = HashMap::new();
    let mut hits = 0;
    for (turn, step) in steps.iter().enumerate() {
        match *step {
            Step::Put(key, length) => {
                let value = bytes(key, turn as u8, length * scale);
                disk.put(key, value.clone(), HOUR);
                let now = place.clock.load(Ordering::Relaxed);
                model.insert(key, (value, now + 3_600 * SECOND));
            }
            Step::Forget(key) => {
                disk.forget(key);
                model.remove(&key);
            }
            Step::Get(key) => {
                disk.settle();
                let now = place.clock.load(Ordering::Relaxed);
                let expected = model.get(&key).filter(|(_, expiry)| now < *expiry);
                let found = get(&disk, key);
                hits += u64::from(found.is_some());
                if scale == 1 || found.is_some() {
                    assert_eq!(found.as_ref(), expected.map(|(value, _)| value), "{turn}: {key}");
                }
                assert!(place.bytes() <= size);
            }
            Step::Pass(milliseconds) => place.pass(milliseconds),
            Step::Reopen => {
                drop(disk);
                disk = place.try_open(size).unwrap();
            }
            Step::Kill => {
                disk.settle();
                let next = place.killed();
                drop(disk);
                place = next;
                disk = place.try_open(size).unwrap();
            }
        }
    }
    hits
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_tier_with_room_is_a_map(steps in vec(step(), 0..120)) {
        check(4 << 20, 1, &steps);
    }

    #[test]
    fn a_tier_without_room_never_has_anything_else(steps in vec(step(), 0..400)) {
        check(256 << 10, 30, &steps);
    }
}

#[test]
fn an_entry_costs_less_than_48_bytes_of_memory() {
    let index = Index::new();
    let place = index::Place::new(1, 2, 3, Wall(4));
    for n in 1..300_000_u128 {
        index.put(xxhash_rust::xxh3::xxh3_128(&n.to_le_bytes()), place);
        if n > 50_000 && n % 10_000 == 0 {
            assert!(index.bytes() as f64 / (n as f64) < 48.0, "{} for {n}", index.bytes());
        }
    }
}

#[test]
#[ignore = "a measurement, for `cargo test --release -p cache -- --ignored --nocapture million`"]
fn a_million_records_are_found_again_quickly() {
    let records = 1_000_000_u128;
    let place = Place::new();
    let key = |n: u128| xxhash_rust::xxh3::xxh3_128(&n.to_le_bytes());
    let size = 2 << 30;
    let disk = place.open(size);
    let began = Moment::now();
    for n in 0..records {
        while disk.shared.queue.waits_long() {
            std::thread::yield_now();
        }
        put(&disk, key(n), &bytes(n, 0, 600));
    }
    disk.settle();
    let writing = Moment::now() - began;
    let sealing = Moment::now();
    drop(disk);
    let sealing = Moment::now() - sealing;
    let began = Moment::now();
    let disk = place.try_open(size).unwrap();
    let opened = Moment::now() - began;
    disk.settle();
    let listed = Moment::now() - began;
    let (count, table) = (disk.len(), disk.shared.index.bytes());
    let began = Moment::now();
    let reads = 200_000;
    for turn in 0..reads {
        assert!(get(&disk, key(turn * 7_919 % records)).is_some());
    }
    let reading = Moment::now() - began;
    let began = Moment::now();
    for turn in 0..reads {
        assert!(get(&disk, key(records + turn)).is_none());
    }
    let missing = Moment::now() - began;
    let killed = place.killed();
    for path in killed.segments() {
        let end = segment::survey(&File::open(&path).unwrap(), fs::metadata(&path).unwrap().len());
        File::options().write(true).open(&path).unwrap().set_len(end.unwrap().end).unwrap();
    }
    let began = Moment::now();
    let walked = killed.open(size);
    let walking = Moment::now() - began;
    let rate = |count: u128, time: Duration| count as f64 / time.as_secs_f64();
    let report = format!(
        "{count} records, {} bytes of files, {:.1} bytes of index each\n\
         written {:.0} a second, sealed in {sealing:?}\n\
         open returns after {opened:?}, all known after {listed:?} by lists, {walking:?} without\n\
         hits {:.0} a second one after another, misses {:.0}",
        place.bytes(),
        table as f64 / count as f64,
        rate(records, writing),
        rate(reads, reading),
        rate(reads, missing),
    );
    io::Write::write_all(&mut io::stderr(), format!("{report}\n").as_bytes()).unwrap();
    assert_eq!((count as u128, walked.len() as u128), (records, records));
}
