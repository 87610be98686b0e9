//! The access log's way to its file, and complaints on standard error.
//!
//! The path hands a line over through a bounded queue and never waits; what does not fit is dropped
//! and counted by whoever handed it over. A thread of the log's own writes lines in batches
//! ([`write`]), so that a slow disk costs lines and not latency. [`line`] makes them.

pub mod line;
mod write;

use crate::settings::AccessLog;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::{SyncSender, sync_channel};
use write::Writer;

/// Most lines waiting to be written.
const QUEUE_LINES_MAX: usize = 8_192;

/// What is handed over.
enum Order {
    /// A line, with its line feed.
    Line(Vec<u8>),
    /// Say when all before this has been written.
    Flush(SyncSender<()>),
}

/// Where lines are handed over.
#[derive(Clone, Debug)]
pub struct Log(SyncSender<Order>);

impl Log {
    /// Opens the log; `None` when it is off. Lines that could be handed over and not be written are
    /// counted as `failed`.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread be had.
    pub fn open(settings: &AccessLog, failed: Arc<AtomicU64>) -> io::Result<Option<Self>> {
        let (out, path) = match settings {
            AccessLog::Off => return Ok(None),
            // A file of our own for it: what buffers could not say what is lost.
            AccessLog::Stdout => (File::from(io::stdout().as_fd().try_clone_to_owned()?), None),
            AccessLog::File(path) => (append(path)?, Some(path.clone())),
        };
        let (sender, receiver) = sync_channel(QUEUE_LINES_MAX);
        let writer = Writer::new(out, path, failed);
        let thread = std::thread::Builder::new().name("access-log".into());
        thread.spawn(move || writer.run(&receiver))?;
        Ok(Some(Self(sender)))
    }

    /// Hands a line over; false when it had to be dropped.
    #[must_use]
    pub fn line(&self, line: Vec<u8>) -> bool {
        self.0.try_send(Order::Line(line)).is_ok()
    }

    /// Waits until all that was handed over has been written, or could not be. May block for as long
    /// as the disk does.
    pub fn flush(&self) {
        let (done, waits) = sync_channel(1);
        if self.0.send(Order::Flush(done)).is_ok() {
            let _gone = waits.recv();
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// Most complaints that one thread writes in a second.
const COMPLAINTS_MAX: u32 = 20;

/// Writes a line about something that went wrong to standard error, at most
/// [`COMPLAINTS_MAX`] a second from each thread: an outage must not become a flood.
pub fn complain(now: base::Moment, text: std::fmt::Arguments<'_>) {
    thread_local! {
        static SAID: std::cell::Cell<(u64, u32)> = const { std::cell::Cell::new((0, 0)) };
    }
    let second = now.as_nanos() / 1_000_000_000;
    let (last, said) = SAID.get();
    let said = if second == last { said.saturating_add(1) } else { 1 };
    SAID.set((second, said));
    let line = match said.cmp(&COMPLAINTS_MAX) {
        std::cmp::Ordering::Less => format!("fleetfoot: {text}\n"),
        std::cmp::Ordering::Equal => {
            format!("fleetfoot: {text}\nfleetfoot: more of the like this second is left out\n")
        }
        std::cmp::Ordering::Greater => return,
    };
    // Nobody may be reading; the counters tell the same.
    let _written = io::stderr().write_all(line.as_bytes());
}
