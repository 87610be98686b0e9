//! Answers: JSON with the fields an ordinary backend sets, and refusals as problem+json (RFC 9457).

use crate::database::DatabaseError;
use base::Moment;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What leaves the shop.
pub(crate) type Sent = Response<Full<Bytes>>;

/// Who may keep an answer, and how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Keep {
    /// Anyone, this many seconds.
    Public(u32),
    /// One customer's, not to be stored.
    Private,
    /// Nobody: the state of the shop itself.
    Never,
}

/// A good answer, before it is rendered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: StatusCode,
    pub keep: Keep,
    /// Seconds since 1970 of the last change, where that is known.
    pub modified: Option<i64>,
    pub fields: Vec<(HeaderName, String)>,
    pub body: Value,
}

impl Answer {
    /// 200 with `body`.
    pub(crate) fn new(keep: Keep, body: Value) -> Self {
        Self { status: StatusCode::OK, keep, modified: None, fields: Vec::new(), body }
    }

    /// The rendered answer to a request with these `fields`; 304 where its copy is still right.
    pub(crate) fn render(self, asked: &HeaderMap) -> Sent {
        let body = self.body.to_string();
        let mut sent = Response::new(Full::default());
        *sent.status_mut() = self.status;
        let fields = sent.headers_mut();
        for (name, value) in self.fields {
            put(fields, name, &value);
        }
        let public = matches!(self.keep, Keep::Public(_));
        put(
            fields,
            header::CACHE_CONTROL,
            &match self.keep {
                Keep::Public(seconds) => format!("public, max-age={seconds}"),
                Keep::Private => "private, no-store".to_owned(),
                Keep::Never => "no-store".to_owned(),
            },
        );
        if public {
            put(fields, header::ETAG, &format!("\"{:016x}\"", hash(body.as_bytes())));
        }
        if let Some(modified) = self.modified {
            put(fields, header::LAST_MODIFIED, &http_date(modified));
        }
        if public && self.status == StatusCode::OK && still_right(asked, fields) {
            *sent.status_mut() = StatusCode::NOT_MODIFIED;
            return sent;
        }
        put(fields, header::CONTENT_TYPE, "application/json");
        *sent.body_mut() = Full::new(Bytes::from(body));
        sent
    }
}

/// RFC 9110 §13.2.2: If-None-Match decides alone when it is there.
fn still_right(asked: &HeaderMap, fields: &HeaderMap) -> bool {
    let ours = fields.get(header::ETAG).and_then(|tag| tag.to_str().ok());
    if asked.contains_key(header::IF_NONE_MATCH) {
        let mut lists = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|v| v.to_str().ok());
        return lists.any(|list| {
            list.split(',')
                .map(str::trim)
                .any(|tag| tag == "*" || Some(tag.strip_prefix("W/").unwrap_or(tag)) == ours)
        });
    }
    // Compared as text: clients send back what they were given (RFC 9110 §13.1.3).
    let since = asked.get(header::IF_MODIFIED_SINCE);
    since.is_some() && since == fields.get(header::LAST_MODIFIED)
}

pub(crate) fn put(fields: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        fields.insert(name, value);
    }
}

/// FNV-1a, 64 bits: for entity tags and fingerprints, not against attackers.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Why a request is not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no {0}")]
    NotFound(String),
    #[error("this path takes {0}")]
    Method(&'static str),
    #[error("{0}")]
    Bad(String),
    #[error("{0}")]
    Unprocessable(String),
    #[error("a request body may have {0} bytes")]
    TooLarge(usize),
    #[error("the database does not answer")]
    Database(#[from] DatabaseError),
    #[error("{0}")]
    Call(String),
    #[error("this instance is ill (--ill fails) and answers nothing")]
    Ill,
}

impl Refusal {
    pub(crate) fn not_found(what: &str, id: impl std::fmt::Display) -> Self {
        Self::NotFound(format!("{what} {id}"))
    }

    const fn status(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Bad(_) => StatusCode::BAD_REQUEST,
            Self::Unprocessable(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Database(_) | Self::Ill => StatusCode::SERVICE_UNAVAILABLE,
            Self::Call(_) => StatusCode::BAD_GATEWAY,
        }
    }

    /// The rendered refusal.
    pub(crate) fn render(&self) -> Sent {
        let status = self.status();
        let title = status.canonical_reason().unwrap_or("refused");
        let body = json!({ "title": title, "status": status.as_u16(), "detail": self.to_string() });
        let mut sent = Response::new(Full::new(Bytes::from(body.to_string())));
        *sent.status_mut() = status;
        put(sent.headers_mut(), header::CONTENT_TYPE, "application/problem+json");
        put(sent.headers_mut(), header::CACHE_CONTROL, "no-store");
        if let Self::Method(allowed) = self {
            put(sent.headers_mut(), header::ALLOW, allowed);
        }
        sent
    }
}

/// Seconds since 1970, now.
pub(crate) fn unix_now() -> i64 {
    let wall: SystemTime = Moment::now().wall();
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// An IMF-fixdate (RFC 9110 §5.6.7) of seconds since 1970; years 1970 to 9999.
pub(crate) fn http_date(seconds: i64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let seconds = seconds.max(0);
    let (days, clock) = (seconds / 86_400, seconds % 86_400);
    let leap = |year: i64| (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let (mut year, mut left) = (1970, days);
    while left >= 365 + i64::from(leap(year)) {
        left -= 365 + i64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 0;
    while left >= lengths[month] {
        left -= lengths[month];
        month += 1;
    }
    format!(
        "{}, {:02} {} {year} {:02}:{:02}:{:02} GMT",
        DAYS[usize::try_from(days % 7).expect("days are not negative")],
        left + 1,
        MONTHS[month],
        clock / 3_600,
        clock / 60 % 60,
        clock % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_http_wants_them() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (784_111_777, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (1_709_210_096, "Thu, 29 Feb 2024 12:34:56 GMT"),
            (1_767_225_600, "Thu, 01 Jan 2026 00:00:00 GMT"),
        ] {
            assert_eq!(http_date(seconds), text);
        }
    }
}
