//! Reading messages off a byte stream piece by piece, for both ends of the kit.

use crate::message::{self, Field, Framing};
use std::fmt;
use std::io::{self, ErrorKind};

/// Longest head or chunk line we are ready to read.
const LINE_BYTES_MAX: usize = 4 << 20;

/// Where bytes come from.
pub(crate) trait Source {
    /// Appends what has come, at least a byte, or nothing at the end of the stream.
    fn pull(&mut self, buffer: &mut Vec<u8>) -> io::Result<usize>;
}

/// Why a message could not be read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The stream ended. Whether a byte of the message had come.
    Closed(bool),
    /// The stream was reset. Whether a byte of the message had come.
    Reset(bool),
    /// Nothing came in time.
    Late,
    /// What came breaks the grammar.
    Bad(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => f.write_str("the peer closed the connection"),
            Self::Reset(_) => f.write_str("the peer reset the connection"),
            Self::Late => write!(f, "nothing came for {:?}", crate::PATIENCE),
            Self::Bad(what) => f.write_str(what),
        }
    }
}

impl From<String> for Problem {
    fn from(what: String) -> Self {
        Self::Bad(what)
    }
}

/// A source with the bytes that were read too far.
pub(crate) struct Reader<S> {
    pub(crate) source: S,
    pub(crate) buffer: Vec<u8>,
}

impl<S: Source> Reader<S> {
    pub(crate) fn over(source: S) -> Self {
        Self { source, buffer: Vec::new() }
    }

    /// Waits for more; `false` at the end of the stream.
    pub(crate) fn more(&mut self) -> Result<bool, Problem> {
        let any = !self.buffer.is_empty();
        match self.source.pull(&mut self.buffer) {
            Ok(0) => Ok(false),
            Ok(_) => Ok(true),
            Err(e) if is_late(&e) => Err(Problem::Late),
            Err(_) => Err(Problem::Reset(any)),
        }
    }

    fn need(&mut self) -> Result<(), Problem> {
        let any = !self.buffer.is_empty();
        if self.more()? { Ok(()) } else { Err(Problem::Closed(any)) }
    }

    /// Everything before `mark`, which is taken off too.
    pub(crate) fn until(&mut self, mark: &[u8]) -> Result<Vec<u8>, Problem> {
        let mut from = 0;
        loop {
            let found = self.buffer[from..].windows(mark.len()).position(|w| w == mark);
            if let Some(at) = found {
                let rest = self.buffer.split_off(from + at + mark.len());
                let mut text = std::mem::replace(&mut self.buffer, rest);
                text.truncate(from + at);
                return Ok(text);
            }
            if self.buffer.len() > LINE_BYTES_MAX {
                return Err(Problem::Bad(format!("no {} in sight", mark.escape_ascii())));
            }
            from = self.buffer.len().saturating_sub(mark.len());
            self.need()?;
        }
    }

    /// The next `length` bytes, appended to `body`; `keep` says whether they are kept.
    pub(crate) fn take(
        &mut self,
        mut length: u64,
        body: &mut Vec<u8>,
        keep: bool,
    ) -> Result<(), Problem> {
        while length > 0 {
            if self.buffer.is_empty() {
                self.need()?;
            }
            let n = self.buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            let taken = self.buffer.drain(..n);
            if keep {
                body.extend(taken);
            }
            length -= n as u64;
        }
        Ok(())
    }

    /// A body with this framing; what came of it is in `body` even if its end did not come.
    pub(crate) fn body(
        &mut self,
        framing: Framing,
        body: &mut Vec<u8>,
        keep: bool,
    ) -> Result<Vec<Field>, Problem> {
        match framing {
            Framing::None => {}
            Framing::Length(length) => self.take(length, body, keep)?,
            Framing::Chunked => return self.chunks(body, keep),
            Framing::Close => loop {
                let length = self.buffer.len() as u64;
                self.take(length, body, keep)?;
                if !self.more()? {
                    break;
                }
            },
        }
        Ok(Vec::new())
    }

    fn chunks(&mut self, body: &mut Vec<u8>, keep: bool) -> Result<Vec<Field>, Problem> {
        loop {
            let line = self.until(b"\r\n")?;
            let size = message::chunk_size(&line)?;
            if size == 0 {
                return self.trailers();
            }
            self.take(size, body, keep)?;
            let end = self.until(b"\r\n")?;
            if !end.is_empty() {
                return Err(Problem::Bad(format!("after a chunk: {:?}", message::latin(&end))));
            }
        }
    }

    fn trailers(&mut self) -> Result<Vec<Field>, Problem> {
        let mut fields = Vec::new();
        loop {
            let line = self.until(b"\r\n")?;
            if line.is_empty() {
                return Ok(fields);
            }
            fields.push(message::field(&message::latin(&line))?);
        }
    }
}

pub(crate) fn is_late(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}
