//! The log on a disk that crashes and fails where it is told to.

mod crashes;
mod damage;
mod faults;
mod model;
mod real;

use super::sim::SimDisk;
use super::{Entry, Log, LogError, Options, Position, Recovered};

/// Small segments, so that a few records make the log roll.
fn options() -> Options {
    Options { segment_bytes: 8 << 10, bytes_max: 1 << 20, reserve: 2, spares: 1, unhinted: 0 }
}

/// A record of the tests: which, and how long. Its bytes follow from that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample {
    serial: u64,
    summary: usize,
    bulk: usize,
}

impl Sample {
    fn byte(self, at: usize) -> u8 {
        (self.serial as usize).wrapping_mul(31).wrapping_add(at.wrapping_mul(7)) as u8
    }

    fn summary(self) -> Vec<u8> {
        let mut bytes = self.serial.to_le_bytes().to_vec();
        bytes.extend((0..self.summary).map(|at| self.byte(at)));
        bytes
    }

    fn bulk(self) -> Vec<u8> {
        (0..self.bulk).map(|at| self.byte(at).wrapping_add(1)).collect()
    }

    fn length(self) -> usize {
        8 + self.summary + self.bulk
    }
}

type Shown = Vec<(Position, Vec<u8>, u32, bool)>;

fn open(disk: &SimDisk, options: &Options) -> Result<(Log<SimDisk>, Recovered, Shown), LogError> {
    let mut shown = Vec::new();
    let (log, recovered) = Log::open(disk.clone(), options, |position, visit| {
        shown.push((position, visit.summary.to_vec(), visit.bulk_len, visit.damaged));
    })?;
    assert_eq!(recovered.records, shown.len() as u64);
    assert!(shown.is_sorted_by(|a, b| a.0 < b.0), "positions go up");
    Ok((log, recovered, shown))
}

fn append(
    log: &mut Log<SimDisk>,
    samples: &[Sample],
    settles: bool,
) -> Result<Vec<Position>, LogError> {
    let bytes: Vec<_> = samples.iter().map(|sample| (sample.summary(), sample.bulk())).collect();
    let entries: Vec<_> =
        bytes.iter().map(|(summary, bulk)| Entry { summary, bulk, settles }).collect();
    let mut positions = Vec::new();
    log.append(&entries, &mut positions)?;
    assert_eq!(positions.len(), samples.len());
    Ok(positions)
}
