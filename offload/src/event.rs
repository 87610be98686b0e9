//! Events as others speak of them: `CloudEvents` 1.0 (`spec.md` of cloudevents.io, its JSON format and
//! its HTTP binding).
//!
//! An event is a fact that everybody hears, not work that somebody does once; what comes of one is
//! said by `[events.NAME]`. Pure: bytes and fields in, an [`Event`] out, and back. What is read keeps
//! all rules of the specification, so what is written does. Data is kept byte for byte, numbers of
//! JSON too.
//!
//! - [`bus`]: what comes of events that are heard, and what is said.
//! - [`http`]: an event in fields beside its data, and which way a message holds one.
//! - [`json`]: an event, or several, as one JSON text.
//! - [`template`]: text with parts of an event in it, such as the tag of what is to be purged.

pub mod bus;
pub mod http;
pub mod json;
pub mod rules;
pub mod template;

#[cfg(test)]
mod tests;

use base::Wall;
use bytes::Bytes;
use ring::digest;

/// Most bytes of one event, as it came: more than the 64 KiB that all who pass events on must take.
pub const EVENT_BYTES_MAX: usize = 1 << 20;
/// Most bytes of a batch.
pub const BATCH_BYTES_MAX: usize = 8 << 20;
/// Most events in a batch.
pub const BATCH_EVENTS_MAX: usize = 10_000;
/// Most attributes beside those that the specification names.
pub const EXTENSIONS_MAX: usize = 64;
/// Most bytes of an attribute's value.
pub const VALUE_BYTES_MAX: usize = 4 << 10;
/// Most bytes of an attribute's name; the specification asks for no more than 20.
pub const NAME_BYTES_MAX: usize = 64;

/// One event. What [`http`] and [`json`] read keeps the rules; what is made by hand must, which
/// [`Event::check`] tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Which, among those of its source. Two with the same id and source are the same event.
    pub id: String,
    /// Where it happened: a URI reference.
    pub source: String,
    /// What happened: `shop.order.created`.
    pub kind: String,
    /// To whom: the order's number.
    pub subject: Option<String>,
    /// When, as RFC 3339 writes it.
    pub time: Option<String>,
    /// The media type of its data.
    pub content_type: Option<String>,
    /// A URI of what its data looks like.
    pub schema: Option<String>,
    /// Further attributes, by names of lower-case letters and digits.
    pub extensions: Vec<(String, Value)>,
    /// Its content. None and none of any length are the same.
    pub data: Option<Bytes>,
}

/// What an attribute can be that the specification does not name. Binary values, URIs and times are
/// text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Text.
    Text(String),
    /// A truth.
    Flag(bool),
    /// A whole number.
    Number(i32),
}

/// Why something is no event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoEvent {
    /// It is larger than an event, or a batch, may be.
    #[error("{bytes} bytes, and {max} at most")]
    TooLarge {
        /// How many bytes.
        bytes: usize,
        /// How many are allowed.
        max: usize,
    },
    /// There are more in it than may be.
    #[error("more than {max} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are allowed.
        max: usize,
    },
    /// It is in a format that is not read here.
    #[error("the format {0} is not read here; send application/cloudevents+json")]
    Format(String),
    /// It is not JSON, or not an object.
    #[error("not an event in JSON: {0}")]
    NotJson(String),
    /// An attribute that each event has is not there.
    #[error("there is no {0}")]
    Missing(&'static str),
    /// The version of the specification is another one.
    #[error("specversion is \"{0}\"; \"1.0\" is read here")]
    Version(String),
    /// An attribute is wrong.
    #[error("{name}: {why}")]
    Attribute {
        /// Which.
        name: String,
        /// Why.
        why: &'static str,
    },
}

impl NoEvent {
    pub(crate) fn attribute(name: &str, why: &'static str) -> Self {
        let name: String = name.chars().take(NAME_BYTES_MAX).filter(|c| !c.is_control()).collect();
        Self::Attribute { name, why }
    }
}

impl Value {
    /// As text, the way fields hold it.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        match self {
            Self::Text(text) => text.into(),
            Self::Flag(flag) => flag.to_string().into(),
            Self::Number(number) => number.to_string().into(),
        }
    }
}

impl Event {
    /// An event that says only what happened, and where.
    pub fn new(id: String, source: String, kind: String) -> Self {
        Self {
            id,
            source,
            kind,
            subject: None,
            time: None,
            content_type: None,
            schema: None,
            extensions: Vec::new(),
            data: None,
        }
    }

    /// The value of an attribute as text, by the name that the specification gives it.
    pub fn attribute(&self, name: &str) -> Option<std::borrow::Cow<'_, str>> {
        match name {
            "specversion" => Some("1.0".into()),
            "id" => Some(self.id.as_str().into()),
            "source" => Some(self.source.as_str().into()),
            "type" => Some(self.kind.as_str().into()),
            "subject" => self.subject.as_deref().map(Into::into),
            "time" => self.time.as_deref().map(Into::into),
            "datacontenttype" => self.content_type.as_deref().map(Into::into),
            "dataschema" => self.schema.as_deref().map(Into::into),
            _ => {
                let found = self.extensions.iter().find(|(own, _)| own == name);
                found.map(|(_, value)| value.text())
            }
        }
    }

    /// Does it keep the rules?
    ///
    /// # Errors
    /// The first that it breaks.
    pub fn check(&self) -> Result<(), NoEvent> {
        for (name, value) in [("id", &self.id), ("source", &self.source), ("type", &self.kind)] {
            rules::attribute(name, value)?;
        }
        let optional = [
            ("subject", &self.subject),
            ("time", &self.time),
            ("datacontenttype", &self.content_type),
            ("dataschema", &self.schema),
        ];
        for (name, value) in optional {
            value.as_ref().map_or(Ok(()), |value| rules::attribute(name, value))?;
        }
        if self.extensions.len() > EXTENSIONS_MAX {
            return Err(NoEvent::TooMany { what: "attributes", max: EXTENSIONS_MAX });
        }
        for (index, (name, value)) in self.extensions.iter().enumerate() {
            rules::name(name)?;
            if rules::NAMED.contains(&name.as_str()) {
                return Err(NoEvent::attribute(name, "not among the further attributes"));
            }
            if self.extensions[..index].iter().any(|(other, _)| other == name) {
                return Err(NoEvent::attribute(name, "there twice"));
            }
            rules::attribute(name, &value.text())?;
        }
        let bytes = self.data.as_ref().map_or(0, Bytes::len);
        if bytes > EVENT_BYTES_MAX {
            return Err(NoEvent::TooLarge { bytes, max: EVENT_BYTES_MAX });
        }
        Ok(())
    }
}

/// An id that is the same whenever the same cause is told again: a UUID of version 8 (RFC 9562 §5.8)
/// from a hash of what happened, where, to whom, and the name of the cause (a request's id, a job's).
pub fn id(source: &str, kind: &str, subject: &str, cause: &str) -> String {
    let mut hash = digest::Context::new(&digest::SHA256);
    for part in [source, kind, subject, cause] {
        // With its length each part is told from the next.
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut id = [0; 16];
    id.copy_from_slice(&hash.finish().as_ref()[..16]);
    id[6] = 0x80 | id[6] & 0x0f;
    id[8] = 0x80 | id[8] & 0x3f;
    crate::job::JobId(id).to_string()
}

/// A time as RFC 3339 writes it: `2026-11-24T05:35:47.123Z`. Years past 9999 are written as 9999.
pub fn rfc3339(time: Wall) -> String {
    const LAST: u64 = 253_402_300_799_999;
    let ms = time.0.min(LAST);
    let (days, rest) = (ms / 86_400_000, ms % 86_400_000);
    let (year, month, day) = date(days);
    let (hour, minute, second) = (rest / 3_600_000, rest / 60_000 % 60, rest / 1000 % 60);
    let part = rest % 1000;
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{part:03}Z")
}

/// The date so many days after 1970-01-01: counted from the first of March of year 0, so that the day
/// which not every year has comes last.
fn date(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (year, month) = (era * 400 + year, if month < 10 { month + 3 } else { month - 9 });
    (if month <= 2 { year + 1 } else { year }, month, day)
}
