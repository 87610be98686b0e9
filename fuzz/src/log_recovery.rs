//! The log of the queue: whatever its files hold, opening them ends, shows only what lies inside of
//! them, and leaves a log that goes on.

use crc32c::crc32c;
use offload::log::format::{Head, SECTOR, SEGMENT_MIN};
use offload::log::sim::SimDisk;
use offload::log::{Entry, Log, Options, Position, hint};

const SALT: u64 = 7;
const SECTOR_BYTES: usize = SECTOR as usize;

/// The first byte says what the rest is: files as they are, batches whose heads are put right, or a
/// hint whose checksum is.
pub fn log_recovery(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    let bytes = (rest.len() + 2 * SECTOR_BYTES).next_multiple_of(SECTOR_BYTES);
    let bytes = bytes.max(SEGMENT_MIN as usize);
    let disk = SimDisk::new(u64::from(first), 1 << 20);
    let head = Head { segment: 1, bytes: bytes as u32, salt: SALT };
    let mut file = vec![0; bytes];
    match first % 4 {
        0 => file[..rest.len()].copy_from_slice(rest),
        1 => disk.put("0000000001.hint", as_hint(rest, &head)),
        _ => file[SECTOR_BYTES..][..rest.len()].copy_from_slice(rest),
    }
    if first % 4 > 0 {
        mend(&mut file, &head);
    }
    disk.put("0000000001.log", file);
    if first & 4 > 0 {
        // Another segment behind it: what is at the end of the first was whole once.
        let second = Head { segment: 2, ..head };
        let mut file = vec![0; bytes];
        file[SECTOR_BYTES..][..rest.len()].copy_from_slice(rest);
        mend(&mut file, &second);
        disk.put("0000000002.log", file);
    }
    hold(&disk, bytes);
}

/// Gives the file its heads, and whatever begins as a batch does a head that checks.
fn mend(file: &mut [u8], head: &Head) {
    let last = file.len() - SECTOR_BYTES;
    file[..SECTOR_BYTES].copy_from_slice(&head.sector());
    file[last..].copy_from_slice(&head.sector());
    for sector in file[SECTOR_BYTES..last].chunks_mut(SECTOR_BYTES) {
        if sector.starts_with(b"FFB1") {
            sector[4..8].copy_from_slice(&head.segment.to_le_bytes());
            sector[8..16].copy_from_slice(&head.salt.to_le_bytes());
            sector[23] = 0;
            let check = crc32c(&sector[..36]);
            sector[36..40].copy_from_slice(&check.to_le_bytes());
        }
    }
}

fn as_hint(rest: &[u8], head: &Head) -> Vec<u8> {
    let mut bytes = rest.to_vec();
    if bytes.len() >= 52 {
        bytes[..8].copy_from_slice(b"FFLOGHN1");
        bytes[12..16].copy_from_slice(&head.segment.to_le_bytes());
        bytes[16..24].copy_from_slice(&head.salt.to_le_bytes());
        // No log gets as far as the greatest numbers; what has them is damaged.
        bytes[39] = 0;
        let length = bytes.len() as u32 - 52;
        bytes[48..52].copy_from_slice(&length.to_le_bytes());
        let check = crc32c(&bytes[12..]);
        bytes[8..12].copy_from_slice(&check.to_le_bytes());
        let read = hint::read(&bytes, head).expect("it checks");
        for (_, summary, _) in read.records() {
            assert!(summary.len() <= rest.len());
        }
    }
    bytes
}

type Shown = Vec<(Position, Vec<u8>, u32)>;

fn open(disk: &SimDisk) -> Option<(Log<SimDisk>, Shown, u64)> {
    let options = Options {
        segment_bytes: SEGMENT_MIN,
        bytes_max: 1 << 20,
        reserve: 0,
        spares: 1,
        unhinted: 0,
    };
    let mut shown = Vec::new();
    let opened = Log::open(disk.clone(), &options, |position, visit| {
        shown.push((position, visit.summary.to_vec(), visit.bulk_len));
    });
    let (log, recovered) = opened.ok()?;
    Some((log, shown, recovered.quarantined_count))
}

/// Opens what is there, appends, and opens it again.
fn hold(disk: &SimDisk, bytes: usize) {
    // What another version wrote is refused, and nothing else is.
    let Some((mut log, shown, damaged)) = open(disk) else { return };
    assert!(shown.len() + damaged as usize <= 4 * bytes, "{} of {bytes}", shown.len());
    let reader = log.reader();
    for (position, summary, bulk) in &shown {
        assert!(summary.len() <= bytes);
        if let Ok(record) = reader.read(*position, summary.len() + *bulk as usize) {
            assert_eq!((record.summary.len(), record.bulk.len()), (summary.len(), *bulk as usize));
        }
    }
    let entry = Entry { summary: b"more", bulk: b"of it", settles: true };
    let mut positions = Vec::new();
    log.append(&[entry, entry], &mut positions).expect("there is room");
    let record = reader.read(positions[1], 9).expect("it was written");
    assert_eq!((&record.summary[..], &record.bulk[..]), (&b"more"[..], &b"of it"[..]));
    drop((log, reader));
    let (_, again, _) = open(disk).expect("it was opened before");
    let last: Vec<_> = again.iter().rev().take(2).rev().map(|shown| shown.0).collect();
    assert_eq!(last, positions);
    assert_eq!(again[..again.len() - 2], shown);
}
