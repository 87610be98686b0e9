//! Random histories, cut at random operations of the disk, and gone on with.
//!
//! `OFFLOAD_CRASHES=100000 cargo test -p offload crash` for so many crashes; `OFFLOAD_SEED` repeats one
//! history.

use super::super::sim::{Faults, SimDisk};
use super::super::{Keeper, Log, LogError, Options, Position, Reader};
use super::{Sample, Shown, append, open, options};

/// A batch that was appended, with its places if they were told.
#[derive(Clone, Debug)]
struct Batch {
    samples: Vec<Sample>,
    positions: Vec<Position>,
}

/// What the log must hold.
struct History {
    seed: u64,
    dice: fastrand::Rng,
    options: Options,
    disk: SimDisk,
    serial: u64,
    /// Acknowledged, in order.
    safe: Vec<Batch>,
    /// Appended when the power was cut.
    doubtful: Option<Batch>,
    /// Segments before this one may be gone.
    freed_before: u32,
    crashes: u64,
    torn: u64,
    hinted: u64,
    full: u64,
    rolls: u64,
    doubted: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        let mut dice = fastrand::Rng::with_seed(seed);
        let segment_bytes = [4 << 10, 8 << 10, 16 << 10][dice.usize(..3)];
        let (reserve, spares) = (dice.u32(..3), dice.u32(..3));
        let unhinted = dice.u32(..3);
        let options = Options { segment_bytes, reserve, spares, unhinted, ..options() };
        let disk = SimDisk::new(seed, 1 << 20);
        Self {
            seed,
            dice,
            options,
            disk,
            serial: 0,
            safe: Vec::new(),
            doubtful: None,
            freed_before: 0,
            crashes: 0,
            torn: 0,
            hinted: 0,
            full: 0,
            rolls: 0,
            doubted: 0,
        }
    }

    /// From a start to a crash, or the end of the process.
    fn live(&mut self) {
        if self.dice.u8(..10) > 0 {
            self.disk.crash_after(self.dice.u64(..80));
        }
        if self.dice.u8(..4) == 0 {
            let syncs = Some(self.dice.u64(..30));
            self.disk.set_faults(Faults { syncs, ..Faults::default() });
        }
        match open(&self.disk, &self.options) {
            Err(LogError::Unusable { .. } | LogError::Broken { .. }) => {}
            Err(error) => panic!("seed {}: {error}", self.seed),
            Ok((mut log, recovered, shown)) => {
                self.torn += u64::from(recovered.torn_bytes > 0);
                self.hinted += u64::from(recovered.hinted);
                let quarantined = &recovered.quarantined;
                assert!(quarantined.is_empty(), "seed {}: {quarantined:?}", self.seed);
                self.compare(&shown);
                self.read_some(&log.reader());
                let keeper = log.keeper();
                for _ in 0..self.dice.usize(1..60) {
                    if self.act(&mut log, &keeper).is_err() {
                        break;
                    }
                }
            }
        }
        self.crashes += u64::from(self.disk.is_down());
        let power_cut = self.dice.u8(..4) > 0;
        self.disk = self.disk.reboot(power_cut);
    }

    /// What is shown is what is safe, from some segment on; then the batch in doubt, or nothing.
    fn compare(&mut self, shown: &Shown) {
        let seed = self.seed;
        let first = shown.first().map_or(u32::MAX, |(position, ..)| position.segment);
        let (gone, kept): (Vec<Batch>, Vec<Batch>) = std::mem::take(&mut self.safe)
            .into_iter()
            .partition(|batch| batch.positions[0].segment < first);
        for batch in &gone {
            let segment = batch.positions[0].segment;
            assert!(segment < self.freed_before, "seed {seed}: {batch:?} is lost");
        }
        self.safe = kept;
        let mut shown = shown.iter();
        for batch in &self.safe {
            for (sample, position) in batch.samples.iter().zip(&batch.positions) {
                let (at, summary, bulk, damaged) =
                    shown.next().unwrap_or_else(|| panic!("seed {seed}: {sample:?} is lost"));
                assert_eq!((at, *damaged), (position, false), "seed {seed}: {sample:?}");
                assert_eq!(*summary, sample.summary(), "seed {seed}");
                assert_eq!(*bulk as usize, sample.bulk, "seed {seed}");
            }
        }
        let doubtful = self.doubtful.take();
        let rest: Vec<_> = shown.collect();
        if rest.is_empty() {
            return;
        }
        let Some(Batch { samples, .. }) = doubtful else {
            panic!("seed {seed}: {rest:?} was never appended");
        };
        let told: Vec<_> = rest.iter().map(|shown| (shown.1.clone(), shown.2 as usize)).collect();
        let meant: Vec<_> = samples.iter().map(|sample| (sample.summary(), sample.bulk)).collect();
        assert_eq!(told, meant, "seed {seed}: a batch is there whole or not at all");
        let positions = rest.iter().map(|shown| shown.0).collect();
        self.safe.push(Batch { samples, positions });
        self.doubted += 1;
    }

    fn read_some(&mut self, reader: &Reader<SimDisk>) {
        for _ in 0..3.min(self.safe.len()) {
            let batch = &self.safe[self.dice.usize(..self.safe.len())];
            let at = self.dice.usize(..batch.samples.len());
            let (sample, position) = (batch.samples[at], batch.positions[at]);
            if position.segment < self.freed_before {
                continue;
            }
            match reader.read(position, sample.length()) {
                Ok(record) => {
                    assert_eq!(record.summary, sample.summary(), "seed {}", self.seed);
                    assert_eq!(record.bulk, sample.bulk(), "seed {}", self.seed);
                }
                Err(error) => {
                    let text = format!("{error}");
                    assert!(text.contains("power was cut"), "seed {}: {text}", self.seed);
                }
            }
        }
    }

    fn act(&mut self, log: &mut Log<SimDisk>, keeper: &Keeper<SimDisk>) -> Result<(), ()> {
        match self.dice.u8(..20) {
            0..12 => return self.append(log),
            12..15 => match keeper.prepare() {
                Ok(()) | Err(LogError::Full { .. }) => {}
                Err(_) => return Err(()),
            },
            15..17 => {
                let span = log.newest() - log.oldest();
                // A few segments are left, as a rule; sometimes none.
                let keep = self.dice.u32(..4).min(span);
                self.freed_before = self.freed_before.max(log.newest() - keep);
                log.free_before(log.newest() - keep);
            }
            17..19 => self.read_some(&log.reader()),
            _ => {
                let room = self.dice.u64(4..24) * u64::from(self.options.segment_bytes);
                let room = if self.dice.bool() { room } else { 1 << 20 };
                self.disk.set_bytes_max(room);
                let full = self.dice.u8(..3) == 0;
                self.disk.set_faults(Faults { full, ..Faults::default() });
            }
        }
        Ok(())
    }

    fn samples(&mut self) -> Vec<Sample> {
        let most = self.options.segment_bytes as usize / 2;
        let mut left = most;
        let mut samples = Vec::new();
        for _ in 0..self.dice.usize(1..6) {
            let bulk = match self.dice.u8(..10) {
                0 => self.dice.usize(..most),
                1 => 0,
                2 => self.dice.usize(..1_500),
                _ => self.dice.usize(..300),
            };
            let sample = Sample { serial: self.serial, summary: self.dice.usize(..60), bulk };
            if sample.length() > left {
                continue;
            }
            left -= sample.length();
            self.serial += 1;
            samples.push(sample);
        }
        samples
    }

    fn append(&mut self, log: &mut Log<SimDisk>) -> Result<(), ()> {
        let samples = self.samples();
        let before = log.newest();
        match append(log, &samples, self.dice.bool()) {
            Ok(positions) if positions.is_empty() => {}
            Ok(positions) => {
                self.rolls += u64::from(log.newest() > before);
                self.safe.push(Batch { samples, positions });
            }
            Err(LogError::Full { .. }) => self.full += 1,
            Err(LogError::Broken { .. } | LogError::Unusable { .. }) => {
                self.doubtful = Some(Batch { samples, positions: Vec::new() });
                return Err(());
            }
            Err(error) => panic!("seed {}: {error}", self.seed),
        }
        Ok(())
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

#[test]
fn a_crash_loses_nothing_acknowledged_and_leaves_no_half_batch() {
    let most = number("OFFLOAD_CRASHES").unwrap_or(20_000);
    let only = number("OFFLOAD_SEED");
    let mut sums = [0_u64; 7];
    for seed in only.map_or(0..u64::MAX, |seed| seed..seed + 1) {
        let mut history = History::new(seed);
        for _ in 0..20 {
            history.live();
        }
        let History { crashes, serial, rolls, hinted, torn, full, doubted, .. } = history;
        let seen = [crashes, serial, rolls, hinted, torn, full, doubted];
        for (sum, seen) in sums.iter_mut().zip(seen) {
            *sum += seen;
        }
        if sums[0] >= most {
            break;
        }
    }
    println!("crashes, records, rolls, hints used, torn ends, refusals, doubtful ones: {sums:?}");
    assert!(only.is_some() || sums.iter().all(|sum| *sum > most / 100), "{sums:?}");
}
