//! The terminal: its size, its raw mode, its other screen; given back as it was, whatever happens.

use super::draw::Line;
use rustix::termios::{self, OptionalActions, Termios};
use std::io::{self, Read, Write};
use tokio::sync::mpsc;

/// The other screen without a cursor, and back.
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

/// The screen, while it is ours.
#[derive(Debug)]
pub struct Terminal {
    before: Termios,
}

impl Terminal {
    /// Takes it: keys come one by one and are not shown.
    ///
    /// # Errors
    /// It is none.
    pub fn take() -> io::Result<Self> {
        let before = termios::tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        termios::tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        let screen = Self { before };
        io::stdout().write_all(ENTER.as_bytes())?;
        Ok(screen)
    }

    /// Shows these lines.
    ///
    /// # Errors
    /// It is gone.
    pub fn show(&mut self, lines: &[Line], (columns, rows): (usize, usize)) -> io::Result<()> {
        let mut text = String::from("\x1b[H");
        for (i, line) in lines.iter().take(rows).enumerate() {
            if i > 0 {
                text.push_str("\r\n");
            }
            text.push_str(&line.text(columns, true));
            text.push_str("\x1b[K");
        }
        text.push_str("\x1b[J");
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nobody is left to be told that it did not work.
        let _ = io::stdout().write_all(LEAVE.as_bytes());
        let _ = io::stdout().flush();
        let _ = termios::tcsetattr(io::stdin(), OptionalActions::Now, &self.before);
    }
}

/// Columns and rows; what terminals have been since there are any, where it does not say.
pub fn size() -> (usize, usize) {
    match termios::tcgetwinsize(io::stdout()) {
        Ok(size) if size.ws_col > 0 => (size.ws_col.into(), usize::from(size.ws_row).max(2)),
        _ => (80, 24),
    }
}

/// Are both ends a terminal?
pub fn is_there() -> bool {
    termios::isatty(io::stdin()) && termios::isatty(io::stdout())
}

/// Reads keys on a thread of its own, which ends with the process: a read of a terminal cannot be
/// called off.
pub fn listen<E: Send + 'static>(events: mpsc::Sender<E>, event: fn(Vec<u8>) -> E) {
    std::thread::spawn(move || {
        let mut keys = [0; 64];
        while let Ok(n @ 1..) = io::stdin().lock().read(&mut keys) {
            if events.blocking_send(event(keys[..n].to_vec())).is_err() {
                return;
            }
        }
    });
}
