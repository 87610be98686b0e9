//! Is this the response we asked for? Status, framing, length and every byte of the body.
//!
//! A head that passed once is remembered; the same bytes again need no parsing. As a head ends with
//! the first empty line, no head is the beginning of another, so the comparison is exact. Whether a
//! closed or silent connection is a flaw is the generator's to say.

/// Most fields in a response head we look at; a longer head is a [`Flaw::Head`].
const FIELDS_MAX: usize = 64;
/// Longest response head; a longer one is a [`Flaw::Head`].
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// What can be wrong with a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Flaw {
    /// Not an HTTP/1.1 response head.
    Head,
    /// Another status than expected.
    Status,
    /// `Transfer-Encoding`, or not exactly one `Content-Length`.
    Framing,
    /// `Connection: close` on a connection meant to live.
    Closing,
    /// A body of another length.
    Length,
    /// A body of the right length and the wrong bytes.
    Body,
    /// Bytes after the response, where nothing more was asked for.
    Surplus,
    /// The connection ended.
    Closed,
    /// The record layer failed.
    Tls,
    /// No answer by the end of the run.
    Silent,
    /// Never sent: more requests were due than could wait for a connection.
    Unsent,
}

impl Flaw {
    /// Its name in the report.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Status => "status",
            Self::Framing => "framing",
            Self::Closing => "closing",
            Self::Length => "length",
            Self::Body => "body",
            Self::Surplus => "surplus",
            Self::Closed => "closed",
            Self::Tls => "tls",
            Self::Silent => "silent",
            Self::Unsent => "unsent",
        }
    }
}

/// How far a response has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// More bytes must follow.
    Partial,
    /// Complete, and as expected.
    Whole,
}

/// Checks responses against the one expected.
#[derive(Debug)]
pub struct Verifier {
    status: u16,
    body: Vec<u8>,
    /// The last head that passed, up to and with the empty line. Empty before the first.
    known: Vec<u8>,
}

impl Verifier {
    /// Expects `status` and exactly `body`.
    pub fn new(status: u16, body: Vec<u8>) -> Self {
        Self { status, body, known: Vec::new() }
    }

    /// Judges all `bytes` received since the request was sent.
    ///
    /// # Errors
    /// The first [`Flaw`] found; never `Closed`, `Tls`, `Silent` or `Unsent`.
    pub fn check(&mut self, bytes: &[u8]) -> Result<Progress, Flaw> {
        let head = if !self.known.is_empty() && bytes.starts_with(&self.known) {
            self.known.len()
        } else {
            match self.read_head(bytes)? {
                Some(head) => head,
                None if bytes.len() > HEAD_BYTES_MAX => return Err(Flaw::Head),
                None => return Ok(Progress::Partial),
            }
        };
        let (_, body) = bytes.split_at(head);
        if body.len() < self.body.len() {
            return Ok(Progress::Partial);
        }
        let (body, rest) = body.split_at(self.body.len());
        if body != self.body {
            return Err(Flaw::Body);
        }
        if rest.is_empty() { Ok(Progress::Whole) } else { Err(Flaw::Surplus) }
    }

    /// Length of the head if it is complete and right; remembers it.
    fn read_head(&mut self, bytes: &[u8]) -> Result<Option<usize>, Flaw> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(bytes) {
            Ok(httparse::Status::Complete(length)) => length,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Flaw::Head),
        };
        if response.version != Some(1) {
            return Err(Flaw::Head);
        }
        if response.code != Some(self.status) {
            return Err(Flaw::Status);
        }
        self.check_framing(response.headers)?;
        self.known = bytes.get(..length).ok_or(Flaw::Head)?.to_vec();
        Ok(Some(length))
    }

    fn check_framing(&self, fields: &[httparse::Header<'_>]) -> Result<(), Flaw> {
        let mut lengths = 0;
        for field in fields {
            if field.name.eq_ignore_ascii_case("transfer-encoding") {
                return Err(Flaw::Framing);
            }
            if field.name.eq_ignore_ascii_case("connection")
                && field.value.eq_ignore_ascii_case(b"close")
            {
                return Err(Flaw::Closing);
            }
            if field.name.eq_ignore_ascii_case("content-length") {
                lengths += 1;
                if field.value != self.body.len().to_string().as_bytes() {
                    return Err(Flaw::Length);
                }
            }
        }
        if lengths == 1 { Ok(()) } else { Err(Flaw::Framing) }
    }
}

#[cfg(test)]
mod tests;
