//! The thread that writes the access log: batches, a file that may be taken away, a disk that may be
//! full.
//!
//! Lines that cannot be written are lost and counted, and somebody is told of it, ever less often.
//! A file that is no longer where it was (renamed by whoever rotates logs, or deleted) is opened
//! anew, without being told.

use super::{Order, append, complain};
use base::Moment;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender};
use std::time::Duration;

/// Most bytes that are gathered before they are written.
const BATCH_MAX: usize = 256 << 10;
/// A batch is followed by a pause: whoever hands a line over meanwhile wakes nobody, which would
/// cost it more than the line itself.
const PAUSE: Duration = Duration::from_millis(10);
/// How often it is looked whether the file is still where it was.
const LOOK: Duration = Duration::from_secs(1);

/// Who writes.
pub(super) struct Writer {
    out: Option<File>,
    path: Option<PathBuf>,
    failed: Arc<AtomicU64>,
    batch: Vec<u8>,
    /// The last that was written is a part of a line.
    torn: bool,
    looked: Option<Moment>,
    trouble: Trouble,
}

impl Writer {
    /// One that writes to `out`, which was opened at `path`.
    pub(super) fn new(out: File, path: Option<PathBuf>, failed: Arc<AtomicU64>) -> Self {
        let batch = Vec::with_capacity(BATCH_MAX);
        let trouble = Trouble::default();
        Self { out: Some(out), path, failed, batch, torn: false, looked: None, trouble }
    }

    /// Writes until all handles are gone.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        while let Ok(first) = orders.recv() {
            let mut waiting: Vec<SyncSender<()>> = Vec::new();
            self.take(first, &mut waiting);
            while self.batch.len() < BATCH_MAX
                && let Ok(next) = orders.try_recv()
            {
                self.take(next, &mut waiting);
            }
            self.put(Moment::now());
            if waiting.is_empty() {
                std::thread::sleep(PAUSE);
            }
            for done in waiting {
                let _gone = done.try_send(());
            }
        }
    }

    fn take(&mut self, order: Order, waiting: &mut Vec<SyncSender<()>>) {
        match order {
            Order::Line(line) => self.batch.extend_from_slice(&line),
            Order::Flush(done) => waiting.push(done),
        }
    }

    /// Writes the batch, or loses what of it cannot be written.
    fn put(&mut self, now: Moment) {
        if self.batch.is_empty() {
            return;
        }
        let said = match self.try_put(now) {
            Ok(()) => self.trouble.ended(now),
            Err((error, lost)) => {
                self.failed.fetch_add(lost, Ordering::Relaxed);
                self.trouble.goes_on(&error, lost, now)
            }
        };
        self.batch.clear();
        if let Some(said) = said {
            let path = self.path.as_ref().map(|path| path.display().to_string());
            let path = path.unwrap_or_else(|| "standard output".to_owned());
            complain(now, format_args!("access log: {path}: {said}"));
        }
    }

    fn try_put(&mut self, now: Moment) -> Result<(), (io::Error, u64)> {
        if let Err(error) = self.look(now) {
            self.out = None;
            return Err((error, lines(&self.batch)));
        }
        match &mut self.out {
            Some(out) => write(out, &self.batch, &mut self.torn),
            None => Err((ErrorKind::NotFound.into(), lines(&self.batch))),
        }
    }

    /// Opens the file anew if it is not where it was.
    fn look(&mut self, now: Moment) -> io::Result<()> {
        let Some(path) = &self.path else { return Ok(()) };
        if self.looked.is_some_and(|looked| now.since(looked) < LOOK) {
            return Ok(());
        }
        self.looked = Some(now);
        let identity = |about: fs::Metadata| (about.dev(), about.ino());
        let there = fs::metadata(path).map(identity);
        let ours = self.out.as_ref().map(File::metadata).transpose()?.map(identity);
        if ours.is_none() || !there.is_ok_and(|there| Some(there) == ours) {
            self.out = Some(append(path)?);
            self.torn = false;
        }
        Ok(())
    }
}

/// Whole lines in it.
fn lines(batch: &[u8]) -> u64 {
    batch.split(|&b| b == b'\n').count() as u64 - 1
}

/// Writes lines. `torn` says that a part of a line was written last, so that the next one begins on a
/// line of its own.
///
/// # Errors
/// Why, and how many lines are lost.
fn write(out: &mut impl Write, batch: &[u8], torn: &mut bool) -> Result<(), (io::Error, u64)> {
    let mut left = batch;
    if *torn {
        match out.write_all(b"\n") {
            Ok(()) => *torn = false,
            Err(error) => return Err((error, lines(batch))),
        }
    }
    while !left.is_empty() {
        let error = match out.write(left) {
            Ok(0) => ErrorKind::WriteZero.into(),
            Ok(n) => {
                left = &left[n..];
                continue;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        let written = batch.len() - left.len();
        *torn = written > 0 && batch[written - 1] != b'\n';
        return Err((error, lines(left)));
    }
    Ok(())
}

/// Who is told of what goes wrong, and how often.
#[derive(Debug, Default)]
struct Trouble {
    /// Lines lost since it was last said how many.
    lost: u64,
    /// It goes on.
    on: bool,
    failed: Option<Moment>,
    said: Option<Moment>,
    patience: Duration,
}

/// The shortest and the longest time between two sentences about trouble.
const PATIENCE_MIN: Duration = Duration::from_secs(1);
const PATIENCE_MAX: Duration = Duration::from_mins(1);

impl Trouble {
    /// Lines were lost.
    fn goes_on(&mut self, error: &io::Error, lost: u64, now: Moment) -> Option<String> {
        self.lost += lost;
        self.on = true;
        let calm = self.failed.is_none_or(|failed| now.since(failed) >= PATIENCE_MAX);
        self.failed = Some(now);
        if calm {
            self.patience = Duration::ZERO;
        }
        if self.said.is_some_and(|said| now.since(said) < self.patience) {
            return None;
        }
        self.said = Some(now);
        self.patience = (self.patience * 2).clamp(PATIENCE_MIN, PATIENCE_MAX);
        let lost = std::mem::take(&mut self.lost);
        Some(format!("{error}; {lost} lines are lost, and all until that ends"))
    }

    /// All went well. Trouble that comes and goes has not ended.
    fn ended(&mut self, now: Moment) -> Option<String> {
        if !self.on || self.failed.is_some_and(|failed| now.since(failed) < PATIENCE_MIN) {
            return None;
        }
        self.on = false;
        let lost = std::mem::take(&mut self.lost);
        Some(match lost {
            0 => "it is written again".to_owned(),
            _ => format!("it is written again; {lost} more lines are lost"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes so many bytes at a time, and no more when it is full.
    struct Disk {
        held: Vec<u8>,
        step: usize,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let n = bytes.len().min(self.step).min(self.room - self.held.len());
            if n == 0 {
                return Err(ErrorKind::StorageFull.into());
            }
            self.held.extend_from_slice(&bytes[..n]);
            Ok(n)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        /// Whatever fits: no line is both lost and there, and none is glued to another.
        #[test]
        fn every_line_is_written_or_counted(
            batches in proptest::collection::vec((1..5_usize, 1..9_usize), 1..8),
            room in 0..60_usize,
            step in 1..9_usize,
        ) {
            let mut disk = Disk { held: Vec::new(), step, room };
            let (mut torn, mut lost, mut all) = (false, 0, 0);
            for (index, (count, length)) in batches.into_iter().enumerate() {
                // Somebody makes room now and then.
                disk.room += if index % 3 == 2 { 20 } else { 0 };
                let batch = [&b"x".repeat(length)[..], b"\n"].concat().repeat(count);
                all += count as u64;
                if let Err((_, n)) = write(&mut disk, &batch, &mut torn) {
                    lost += n;
                }
            }
            let text = String::from_utf8(disk.held).unwrap();
            let whole = text.matches('\n').count() as u64;
            // What was torn ended in a line feed of its own, and is among the lost.
            prop_assert!(whole >= all - lost, "{text:?}");
            for line in text.lines() {
                prop_assert!(line.len() < 9, "two lines in one: {line:?}");
            }
        }
    }

    #[test]
    fn trouble_is_told_ever_less_often() {
        let mut trouble = Trouble::default();
        let error: io::Error = ErrorKind::StorageFull.into();
        let at = |ms: u64| Moment::from_nanos(ms * 1_000_000);
        let told: Vec<u64> = (0..20_000)
            .map(|n| n * 10)
            .filter(|ms| trouble.goes_on(&error, 1, at(*ms)).is_some())
            .collect();
        assert_eq!(told[..6], [0, 1_000, 3_000, 7_000, 15_000, 31_000]);
        assert_eq!(told[6..], [63_000, 123_000, 183_000]);
        assert_eq!(trouble.ended(at(199_995)), None, "it may come and go");
        let ended = trouble.ended(at(202_000)).unwrap();
        assert_eq!(ended, "it is written again; 1699 more lines are lost");
        assert_eq!(trouble.ended(at(203_000)), None);
    }
}
