//! The purges of a gateway that has a disk of its own, kept beside the entries so that a restart
//! revives none.
//!
//! A purge is a number in [`Stamps`], and entries on disk hold the number under which they were
//! fetched. So that numbers mean the same after a restart, the purges are replayed in their order,
//! from a file to which each is appended and synced before it is acknowledged. The file opens with a
//! salt that is part of every key on disk: whenever the file cannot be read from its beginning to its
//! end, or has grown too long, a new one with another salt begins, and all that is on disk is never
//! found again. Losing purges means losing entries, never the other way round.
//!
//! ```text
//! magic (8) · salt (8) · { length (4) · checksum (8) · purge }
//! ```

use crate::redis::script::{decode, encode};
use crate::stamps::{Aims, Purge, Stamps};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use xxhash_rust::xxh3::xxh3_64;

const NAME: &str = "purges";
const MAGIC: &[u8; 8] = b"ffpurge1";
const START: usize = 16;
/// A longer file is not replayed but given up, with all entries: a start must not take long.
const BYTES_MAX: u64 = 32 << 20;
/// Purges that wait to be written.
const WAITING_MAX: usize = 1_024;

type Job = (Vec<u8>, oneshot::Sender<()>);

/// The file, and the thread that writes it.
#[derive(Debug)]
pub struct Purges {
    jobs: Mutex<SyncSender<Job>>,
    /// A purge could not be queued: the file does not tell of all.
    lost: Arc<AtomicBool>,
    salt: u64,
}

impl Purges {
    /// Replays what was purged before into `stamps`, which are new; `random` is the salt of a new
    /// file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn open(folder: &Path, stamps: &Stamps, random: u64) -> io::Result<Self> {
        let path = folder.join(NAME);
        let known = read(&path).ok().flatten();
        let (file, salt) = match known {
            Some((salt, purges)) => {
                for aims in &purges {
                    stamps.strike(aims);
                }
                (OpenOptions::new().append(true).open(&path)?, salt)
            }
            None => (begin(&path, random)?, random),
        };
        let (jobs, inbox) = mpsc::sync_channel::<Job>(WAITING_MAX);
        let lost = Arc::new(AtomicBool::new(false));
        let writer = Writer { path, file, lost: Arc::clone(&lost), given_up: false };
        std::thread::Builder::new().name("purges".to_owned()).spawn(move || {
            let mut writer = writer;
            while let Ok((purge, told)) = inbox.recv() {
                writer.append(&purge);
                let _nobody_waits = told.send(());
            }
        })?;
        Ok(Self { jobs: Mutex::new(jobs), lost, salt })
    }

    /// Part of every key on disk.
    pub fn salt(&self) -> u64 {
        self.salt
    }

    /// Purges and notes it, one after the other: the file has purges in the order of their numbers, or
    /// a replay would give them others. The answer comes when it is safe on disk; dropped when too many
    /// wait already, and then the file is given up.
    pub fn purge(&self, stamps: &Stamps, purge: &Purge) -> oneshot::Receiver<()> {
        let (told, tells) = oneshot::channel();
        let aims = Aims::from(purge);
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        stamps.strike(&aims);
        if jobs.try_send((encode(&aims), told)).is_err() {
            self.lost.store(true, Ordering::Relaxed);
        }
        tells
    }
}

struct Writer {
    path: PathBuf,
    file: File,
    lost: Arc<AtomicBool>,
    given_up: bool,
}

impl Writer {
    fn append(&mut self, purge: &[u8]) {
        let mut record = Vec::with_capacity(12 + purge.len());
        record.extend_from_slice(&(purge.len() as u32).to_le_bytes());
        record.extend_from_slice(&xxh3_64(purge).to_le_bytes());
        record.extend_from_slice(purge);
        let written = self.file.write_all(&record).and_then(|()| self.file.sync_data());
        if (written.is_err() || self.lost.load(Ordering::Relaxed)) && !self.given_up {
            // A file that does not tell of all purges must not be believed after a restart.
            self.given_up = true;
            let _best_effort = fs::remove_file(&self.path);
        }
    }
}

fn begin(path: &Path, salt: u64) -> io::Result<File> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(MAGIC)?;
    file.write_all(&salt.to_le_bytes())?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    OpenOptions::new().append(true).open(path)
}

/// Salt and purges, in order; `None` if the file is not to be believed.
fn read(path: &Path) -> io::Result<Option<(u64, Vec<Aims>)>> {
    let mut file = File::open(path)?;
    if file.metadata()?.len() > BYTES_MAX {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(parse(&bytes))
}

fn parse(bytes: &[u8]) -> Option<(u64, Vec<Aims>)> {
    let (start, mut rest) = bytes.split_at_checked(START)?;
    let salt = start.strip_prefix(MAGIC)?;
    let salt = u64::from_le_bytes(salt.try_into().ok()?);
    let mut purges = Vec::new();
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk()?;
        let (sum, after) = after.split_first_chunk()?;
        let (purge, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        if xxh3_64(purge) != u64::from_le_bytes(*sum) {
            return None;
        }
        purges.push(decode(purge));
        rest = after;
    }
    Some((salt, purges))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamps::{Marks, Scope, Standing, hash_tag};

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("{name}-{:016x}", fastrand::u64(..)));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    fn tag(name: &str) -> Purge {
        Purge { scopes: vec![Scope::Tag(name.to_owned())], soft: false }
    }

    fn standing(stamps: &Stamps, name: &str, stamp: u64) -> Standing {
        let tags = [hash_tag(name)];
        stamps.standing(&Marks { url: 1, host: 1, place: b"h/", tags: &tags }, stamp)
    }

    #[test]
    fn a_restart_revives_nothing() {
        let folder = folder("purges");
        let stamps = Stamps::new();
        let purges = Purges::open(&folder, &stamps, 7).unwrap();
        purges.purge(&stamps, &tag("a")).blocking_recv().unwrap();
        let between = stamps.now();
        purges.purge(&stamps, &tag("b")).blocking_recv().unwrap();
        drop(purges);
        let again = Stamps::new();
        let purges = Purges::open(&folder, &again, 8).unwrap();
        assert_eq!((purges.salt(), again.now()), (7, stamps.now()));
        assert_eq!(standing(&again, "a", 0), Standing::Hard);
        assert_eq!(standing(&again, "a", between), Standing::Good, "fetched after it");
        assert_eq!(standing(&again, "b", between), Standing::Hard);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_file_that_is_not_whole_makes_all_that_is_on_disk_unfindable() {
        let folder = folder("purges-cut");
        let purges = Purges::open(&folder, &Stamps::new(), 7).unwrap();
        purges.purge(&Stamps::new(), &tag("a")).blocking_recv().unwrap();
        drop(purges);
        let whole = fs::read(folder.join(NAME)).unwrap();
        for end in 0..whole.len() {
            fs::write(folder.join(NAME), &whole[..end]).unwrap();
            let salt = Purges::open(&folder, &Stamps::new(), 9).unwrap().salt();
            // Cut right behind the start it is a file without purges.
            assert_eq!(salt, if end == START { 7 } else { 9 }, "{end}");
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0x10;
            fs::write(folder.join(NAME), &broken).unwrap();
            let salt = Purges::open(&folder, &Stamps::new(), 9).unwrap().salt();
            let in_salt = (8..START).contains(&at);
            assert!(salt == 9 || in_salt, "{at}");
        }
        fs::remove_dir_all(folder).unwrap();
    }
}
