//! Messages read strictly: what a careful peer would accept of what the gateway sends, no more.
//!
//! Both sides of the kit read through [`Lines`]. A deviation is an `Err` with a sentence; the
//! caller adds the transcript. Bytes become `char`s one to one, so nothing is lost.

use std::fmt;

/// A field, as received: name in its case, value without white space around it.
pub type Field = (String, String);

/// How the body of a message was delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// No body.
    None,
    /// Content-Length.
    Length(u64),
    /// Chunked.
    Chunked,
    /// The end of the connection.
    Close,
}

/// The first line and the fields of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The first line.
    pub line: String,
    /// The fields in order.
    pub fields: Vec<Field>,
}

/// A response, complete.
#[derive(Clone, Debug)]
pub struct Response {
    /// Interim responses that came before it.
    pub interim: Vec<Head>,
    /// Its status.
    pub status: u16,
    /// Its head.
    pub head: Head,
    /// How its body was delimited.
    pub framing: Framing,
    /// Its body, decoded.
    pub body: Vec<u8>,
    /// Its trailer section.
    pub trailers: Vec<Field>,
}

/// A request as an origin got it.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which connection it came on, counted from 0.
    pub connection: usize,
    /// Its method.
    pub method: String,
    /// Its target.
    pub target: String,
    /// Its head.
    pub head: Head,
    /// How its body is delimited.
    pub framing: Framing,
    /// Its body, decoded; filled while it is read.
    pub body: Vec<u8>,
    /// Its trailer section.
    pub trailers: Vec<Field>,
    /// Whether its end was seen. `false` for a request that was cut.
    pub whole: bool,
}

impl Head {
    /// The values of the fields of this name, in any case.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let same = self.fields.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of the only field of this name; `None` if there is none or several.
    pub fn one(&self, name: &str) -> Option<&str> {
        match self.all(name)[..] {
            [value] => Some(value),
            _ => None,
        }
    }

    /// Is there such a field?
    pub fn has(&self, name: &str) -> bool {
        !self.all(name).is_empty()
    }

    /// Is `token` a member of the Connection field?
    pub fn connection(&self, token: &str) -> bool {
        let lists = self.all("connection");
        lists.iter().flat_map(|l| l.split(',')).any(|m| m.trim().eq_ignore_ascii_case(token))
    }

    /// Reads the lines of a head, the first included, without the empty one at its end.
    ///
    /// # Errors
    /// A sentence about the first line that is no field.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        let text = latin(text);
        let mut lines = text.split("\r\n");
        let line = lines.next().unwrap_or_default().to_owned();
        if line.contains(['\r', '\n', '\0']) {
            return Err(format!("a control byte in the first line {line:?}"));
        }
        Ok(Self { line, fields: lines.map(field).collect::<Result<_, _>>()? })
    }

    /// The framing that the fields declare; `None` when they declare none.
    ///
    /// # Errors
    /// When they could be read in two ways.
    pub fn framing(&self) -> Result<Option<Framing>, String> {
        let (lengths, codings) = (self.all("content-length"), self.all("transfer-encoding"));
        match (&lengths[..], &codings[..]) {
            ([], []) => Ok(None),
            ([], ["chunked"]) => Ok(Some(Framing::Chunked)),
            ([length], []) if length.bytes().all(|b| b.is_ascii_digit()) => {
                let length = length.parse().map_err(|e| format!("length {length:?}: {e}"))?;
                Ok(Some(Framing::Length(length)))
            }
            _ => Err(format!("unclear framing: lengths {lengths:?}, codings {codings:?}")),
        }
    }
}

impl Response {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The value of the only field of this name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.head.one(name)
    }

    /// Does it say that the connection ends with it?
    pub fn closes(&self) -> bool {
        self.head.connection("close")
    }
}

impl Request {
    /// Reads a head.
    ///
    /// # Errors
    /// When no strict server would accept it.
    pub fn read(connection: usize, text: &[u8]) -> Result<Self, String> {
        let head = Head::read(text)?;
        let words: Vec<_> = head.line.split(' ').collect();
        let [method, target, "HTTP/1.1"] = words[..] else {
            return Err(format!("no request line: {:?}", head.line));
        };
        if target.bytes().any(|b| !b.is_ascii_graphic()) || target.contains('#') {
            return Err(format!("an illegal byte in the target: {target:?}"));
        }
        if head.all("host").len() != 1 {
            return Err(format!("not exactly one Host: {:?}", head.fields));
        }
        let (method, target) = (method.to_owned(), target.to_owned());
        let framing = head.framing()?.unwrap_or(Framing::None);
        let (body, trailers) = (Vec::new(), Vec::new());
        Ok(Self { connection, method, target, head, framing, body, trailers, whole: false })
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  [{}] {:?}", self.connection, self.head.line)?;
        for (name, value) in &self.head.fields {
            writeln!(f, "      {name}: {value:?}")?;
        }
        let cut = if self.whole { "" } else { ", CUT" };
        let shown = &self.body[..self.body.len().min(200)];
        writeln!(f, "      {:?}, {} bytes{cut}: {}", self.framing, self.body.len(), latin(shown))
    }
}

/// The status of a status line.
///
/// # Errors
/// When it is none.
pub fn status(line: &str) -> Result<u16, String> {
    let wrong = || format!("no status line: {line:?}");
    let rest = line.strip_prefix("HTTP/1.1 ").ok_or_else(wrong)?;
    let (code, _reason) = rest.split_once(' ').ok_or_else(wrong)?;
    if code.len() != 3 {
        return Err(wrong());
    }
    code.parse().map_err(|_| wrong())
}

/// The size that a chunk's first line declares. We ask for bare sizes: extensions are the
/// recipient's to drop (RFC 9112 §7.1.1).
///
/// # Errors
/// When the line is anything but hexadecimal digits.
pub fn chunk_size(line: &[u8]) -> Result<u64, String> {
    let text = latin(line);
    let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_hexdigit());
    let size = plain.then(|| u64::from_str_radix(&text, 16).ok()).flatten();
    size.ok_or_else(|| format!("no chunk size: {text:?}"))
}

/// One line of a head or trailer section as a field.
///
/// # Errors
/// When it is none.
pub fn field(line: &str) -> Result<Field, String> {
    let wrong = || format!("no field: {line:?}");
    let (name, value) = line.split_once(':').ok_or_else(wrong)?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let text = |b: u8| b == b'\t' || (b >= b' ' && b != 0x7f);
    if name.is_empty() || !name.bytes().all(token) || !value.chars().all(|c| text(c as u8)) {
        return Err(wrong());
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

/// Bytes as text, one `char` each.
pub fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}
