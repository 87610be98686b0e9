//! The access log: one JSON object a line, written by a thread of its own.
//!
//! The path hands a line over through a bounded queue and never waits; what does not fit is dropped
//! and counted. Lines are written in batches, so that a slow disk costs lines and not latency.

use crate::settings::AccessLog;
use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};

/// Most lines waiting to be written.
const QUEUE_LINES_MAX: usize = 8_192;

/// Where lines are handed over.
#[derive(Clone, Debug)]
pub struct Log(SyncSender<Vec<u8>>);

impl Log {
    /// Opens the log; `None` when it is off.
    ///
    /// # Errors
    /// The file cannot be opened, or no thread be had.
    pub fn open(settings: &AccessLog) -> io::Result<Option<Self>> {
        let out: Box<dyn Write + Send> = match settings {
            AccessLog::Off => return Ok(None),
            AccessLog::Stdout => Box::new(io::stdout()),
            AccessLog::File(path) => {
                Box::new(OpenOptions::new().create(true).append(true).open(path)?)
            }
        };
        let (sender, receiver) = sync_channel(QUEUE_LINES_MAX);
        let writer = std::thread::Builder::new().name("access-log".into());
        writer.spawn(move || write_lines(&receiver, BufWriter::with_capacity(64 << 10, out)))?;
        Ok(Some(Self(sender)))
    }

    /// Hands a line over; false when it had to be dropped.
    #[must_use]
    pub fn line(&self, line: Vec<u8>) -> bool {
        !matches!(self.0.try_send(line), Err(TrySendError::Full(_)))
    }
}

/// Writes until all handles are gone. A log that cannot be written is given up line by line: the
/// gateway goes on.
fn write_lines(lines: &Receiver<Vec<u8>>, mut out: impl Write) {
    while let Ok(line) = lines.recv() {
        let _written = out.write_all(&line);
        while let Ok(line) = lines.try_recv() {
            let _written = out.write_all(&line);
        }
        let _flushed = out.flush();
    }
}

/// Appends `"name":"text",` with the text escaped as JSON wants it; bytes that are not UTF-8 are
/// replaced.
pub fn text(line: &mut Vec<u8>, name: &str, text: &[u8]) {
    line.push(b'"');
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":\"");
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '"' | '\\' => line.extend_from_slice(&[b'\\', c as u8]),
            '\0'..='\x1f' => {
                let _ = write!(line, "\\u{:04x}", c as u32);
            }
            c => line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    line.extend_from_slice(b"\",");
}

/// Appends `"name":value,`.
pub fn number(line: &mut Vec<u8>, name: &str, value: impl std::fmt::Display) {
    let _ = write!(line, "\"{name}\":{value},");
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
