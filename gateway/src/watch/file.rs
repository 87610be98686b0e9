//! Servers from a file, read again when it changes.
//!
//! Its stamp (inode, size, time of change) is looked at every [`LOOK`]; whatever that says, the file
//! is read every `every`. The last good list stays in force while the file is gone, has a mistake, or
//! is just being written: it must look the same before and after it is read, and a last line that has
//! no end yet must still be so at the next look. Only a regular file is opened: a FIFO or a device in its
//! place counts as a mistake. Who replaces the file by renaming another onto it
//! never meets any of that.

use super::found::Teller;
use base::{ByteSize, Deadline, Moment};
use rustix::fs::OFlags;
use service::discover::file::{BYTES_MAX, parse};
use std::fs::{Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wire::timer;

/// How often the file's stamp is looked at.
const LOOK: Duration = Duration::from_millis(100);
/// After how long without an end a look is told of. It goes on: one more would hang as well.
const LOOK_TIME: Duration = Duration::from_secs(5);

/// What a file looks like from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

impl From<Metadata> for Stamp {
    fn from(found: Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            changed: (found.mtime(), found.mtime_nsec()),
        }
    }
}

/// What is known of the file.
#[derive(Clone, Copy, Debug)]
struct Seen {
    stamp: Stamp,
    at: Moment,
    /// Has it been looked at once more since it changed? Clocks of file systems are coarse.
    twice: bool,
}

/// What a look finds.
enum Look {
    Same,
    /// It changed while it was read.
    Changing,
    Text(String, Seen),
}

/// Tells of the servers in the file, for ever.
pub(super) async fn follow(path: PathBuf, every: Duration, mut teller: Teller) {
    let mut seen: Option<Seen> = None;
    loop {
        let (file, known, now) = (path.clone(), seen, Moment::now());
        let mut looking = tokio::task::spawn_blocking(move || look(&file, known, now, every));
        let found = loop {
            match timer::within(Deadline::after(Moment::now(), LOOK_TIME), &mut looking).await {
                Ok(found) => break found,
                Err(_late) => {
                    let path = path.display();
                    teller.trouble(format!("reading {path} does not come to an end"));
                }
            }
        };
        match found.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(Look::Same | Look::Changing) => {}
            Ok(Look::Text(text, now)) => {
                if is_whole(&text) || now.twice {
                    take(&path, &text, &mut teller);
                }
                seen = Some(now);
            }
            Err(error) => {
                seen = None;
                teller.trouble(format!("cannot read {}: {error}", path.display()));
            }
        }
        tokio::time::sleep(LOOK.min(every)).await;
    }
}

/// Does its last line have an end?
fn is_whole(text: &str) -> bool {
    text.is_empty() || text.ends_with('\n')
}

fn take(path: &Path, text: &str, teller: &mut Teller) {
    match parse(text) {
        Ok(spots) => {
            teller.found(spots);
            teller.fine();
        }
        Err(wrong) => teller.trouble(format!("{}:{}: {}", path.display(), wrong.line, wrong.why)),
    }
}

fn look(path: &Path, seen: Option<Seen>, now: Moment, every: Duration) -> io::Result<Look> {
    let same = |stamp: Stamp| seen.filter(|seen| seen.stamp == stamp);
    let known = same(stamp(std::fs::metadata(path)?)?);
    if known.is_some_and(|seen| seen.twice && now.since(seen.at) < every) {
        return Ok(Look::Same);
    }
    // Should a FIFO have taken its place since, opening it must not wait for whoever writes there.
    let nonblock = OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(nonblock).open(path)?;
    let before = stamp(file.metadata()?)?;
    if before.size > BYTES_MAX {
        return Err(io::Error::other(format!("it is longer than {}", ByteSize(BYTES_MAX))));
    }
    let mut text = String::new();
    (&file).take(BYTES_MAX).read_to_string(&mut text)?;
    if Stamp::from(file.metadata()?) != before {
        return Ok(Look::Changing);
    }
    Ok(Look::Text(text, Seen { stamp: before, at: now, twice: same(before).is_some() }))
}

/// What a regular file looks like. Anything else may block whoever opens it, or have no end.
fn stamp(found: Metadata) -> io::Result<Stamp> {
    if !found.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    Ok(found.into())
}
