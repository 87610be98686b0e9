//! Heads of requests and responses, whatever version of HTTP they came in.

use crate::field::{FieldName, Fields, Span};
use std::fmt;

/// The version of HTTP a head was received in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0.
    Http10,
    /// HTTP/1.1.
    Http11,
    /// HTTP/2.
    Http2,
}

impl Version {
    /// As Via writes it (RFC 9110 §7.6.3).
    pub const fn number(self) -> &'static str {
        match self {
            Self::Http10 => "1.0",
            Self::Http11 => "1.1",
            Self::Http2 => "2.0",
        }
    }
}

/// How the end of a body is known (RFC 9112 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes.
    Length(u64),
    /// Chunks, or HTTP/2 frames: the end is marked.
    Chunked,
    /// The end of the connection. Responses only.
    Close,
}

impl Framing {
    /// The length, where it is declared.
    pub const fn length(self) -> Option<u64> {
        match self {
            Self::Length(n) => Some(n),
            Self::None | Self::Chunked | Self::Close => None,
        }
    }
}

/// The head of a request. Method and target lie in the buffer of its fields.
#[derive(Clone, Debug)]
pub struct RequestHead {
    /// The version it was received in.
    pub version: Version,
    method: Span,
    target: Span,
    received: Span,
    host: Span,
    /// Length of its request line as received; 0 if there was none as HTTP/1.1 writes it.
    line: usize,
    /// Its fields, in order.
    pub fields: Fields,
}

impl RequestHead {
    /// A head received in HTTP/1, whose method and target lie at these spans of `fields`, behind a
    /// request line of `line` bytes.
    pub fn received(
        version: Version,
        method: Span,
        target: Span,
        line: usize,
        fields: Fields,
    ) -> Self {
        let line = if version == Version::Http11 { line } else { 0 };
        let host = fields.span(FieldName::Host);
        Self { version, method, target, received: target, host, line, fields }
    }

    /// A head made from text.
    pub fn build(version: Version, method: &[u8], target: &[u8]) -> Self {
        let mut fields = Fields::new();
        let method = fields.keep(method);
        let target = fields.keep(target);
        Self { version, method, target, received: target, host: Span::default(), line: 0, fields }
    }

    /// The method, a token; its case counts.
    pub fn method(&self) -> &[u8] {
        self.fields.text(self.method)
    }

    /// The request target in origin form (`/path?query`) or `*`.
    pub fn target(&self) -> &[u8] {
        self.fields.text(self.target)
    }

    /// The target as the client sent it, whatever [`RequestHead::set_target`] made of it since.
    pub fn target_received(&self) -> &[u8] {
        self.fields.text(self.received)
    }

    /// The Host that the client asked for, whatever is sent on; empty if it named none.
    pub fn host_received(&self) -> &[u8] {
        self.fields.text(self.host)
    }

    /// Adds a Host that was told by other means than a field.
    pub fn add_host(&mut self, host: &[u8]) {
        self.fields.push_as(FieldName::Host, b"Host", host);
        self.host = self.fields.span(FieldName::Host);
    }

    /// Replaces the target.
    pub fn set_target(&mut self, target: &[u8]) {
        self.target = self.fields.keep(target);
        self.line = 0;
    }

    /// The same head in memory lent by the thread, with room for more fields.
    #[must_use]
    pub fn copied(&self) -> Self {
        let Self { version, method, target, received, host, line, ref fields } = *self;
        Self { version, method, target, received, host, line, fields: fields.copied() }
    }

    /// Replaces the method.
    pub fn set_method(&mut self, method: &[u8]) {
        self.method = self.fields.keep(method);
        self.line = 0;
    }

    /// Length of the request line at the front of the fields' buffer, if it can be sent on as it
    /// lies there; else 0.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The target's path, without the query.
    pub fn path(&self) -> &[u8] {
        let target = self.target();
        let end = target.iter().position(|&b| b == b'?').unwrap_or(target.len());
        &target[..end]
    }

    /// May it be sent twice with the effect of once (RFC 9110 §9.2.2)? Unknown methods may not.
    pub fn is_idempotent(&self) -> bool {
        matches!(self.method(), b"GET" | b"HEAD" | b"OPTIONS" | b"TRACE" | b"PUT" | b"DELETE")
    }

    /// Is it a HEAD?
    pub fn is_head(&self) -> bool {
        self.method() == b"HEAD"
    }
}

/// The head of a response. The reason phrase lies in the buffer of its fields.
#[derive(Clone, Debug)]
pub struct ResponseHead {
    /// The version it was received in.
    pub version: Version,
    /// The status code, 100 to 999.
    pub status: u16,
    reason: Span,
    line: usize,
    /// Its fields, in order.
    pub fields: Fields,
}

impl ResponseHead {
    /// A head received in HTTP/1, whose reason phrase lies at this span of `fields`, behind a status
    /// line of `line` bytes.
    pub fn received(
        version: Version,
        status: u16,
        reason: Span,
        line: usize,
        fields: Fields,
    ) -> Self {
        let line = if version == Version::Http11 { line } else { 0 };
        Self { version, status, reason, line, fields }
    }

    /// Length of the status line at the front of the fields' buffer, if it can be sent on as it lies
    /// there; else 0.
    pub fn line(&self) -> usize {
        self.line
    }

    /// A head of our own making, with the standard reason phrase.
    pub fn build(status: u16) -> Self {
        Self::with_reason(status, reason_phrase(status).as_bytes())
    }

    /// A head of our own making, with this reason phrase.
    pub fn with_reason(status: u16, reason: &[u8]) -> Self {
        let mut fields = Fields::new();
        let reason = fields.keep(reason);
        Self { version: Version::Http11, status, reason, line: 0, fields }
    }

    /// The same head in memory of just its size, to be kept: one run of lines as HTTP/1.1 writes them.
    #[must_use]
    pub fn packed(&self) -> Self {
        let mut line = format!("HTTP/1.1 {:03} ", self.status).into_bytes();
        let start = line.len();
        line.extend_from_slice(self.reason());
        let reason = Span::new(start, line.len());
        line.extend_from_slice(b"\r\n");
        let fields = self.fields.packed(&line);
        Self { version: Version::Http11, status: self.status, reason, line: line.len(), fields }
    }

    /// The same head in memory lent by the thread, with room for more fields.
    #[must_use]
    pub fn copied(&self) -> Self {
        let Self { version, status, reason, line, ref fields } = *self;
        Self { version, status, reason, line, fields: fields.copied() }
    }

    /// The reason phrase as received; possibly empty.
    pub fn reason(&self) -> &[u8] {
        self.fields.text(self.reason)
    }

    /// Is this an interim response (RFC 9110 §15.2)? 101 is final for our purposes.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    /// Does a response with this status have no body, whatever its fields say (RFC 9112 §6.3)?
    pub fn is_bodiless(&self) -> bool {
        matches!(self.status, 100..200 | 204 | 304)
    }
}

impl fmt::Display for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method().escape_ascii(), self.target().escape_ascii())
    }
}

/// The reason phrase that goes with a status (RFC 9110 §15); empty for unknown ones.
pub const fn reason_phrase(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        101 => "Switching Protocols",
        102 => "Processing",
        103 => "Early Hints",
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        203 => "Non-Authoritative Information",
        204 => "No Content",
        205 => "Reset Content",
        206 => "Partial Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        304 => "Not Modified",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        406 => "Not Acceptable",
        408 => "Request Timeout",
        409 => "Conflict",
        410 => "Gone",
        411 => "Length Required",
        412 => "Precondition Failed",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        416 => "Range Not Satisfiable",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "",
    }
}
