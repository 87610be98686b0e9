//! An event in an HTTP message (`http-protocol-binding.md`): its attributes in fields beside its data,
//! or all of it, or several, in the content.

use super::{EVENT_BYTES_MAX, EXTENSIONS_MAX, Event, NoEvent, Value, json, rules};
use bytes::Bytes;

/// What a field with an attribute begins with.
const PREFIX: &[u8] = b"ce-";

/// The ways in which a message holds events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// One: attributes are fields, the content is its data.
    Binary,
    /// One, all in the content.
    Structured,
    /// Several, all in the content.
    Batch,
}

/// The way in which a message with this `Content-Type` would hold events.
///
/// # Errors
/// In a format other than JSON.
pub fn mode(content_type: Option<&[u8]>) -> Result<Mode, NoEvent> {
    let text = content_type.map(String::from_utf8_lossy).unwrap_or_default();
    let essence = rules::essence(&text);
    let Some(rest) = essence.strip_prefix("application/cloudevents") else {
        return Ok(Mode::Binary);
    };
    match rest {
        "+json" => Ok(Mode::Structured),
        "-batch+json" => Ok(Mode::Batch),
        _ => {
            Err(NoEvent::Format(essence.chars().take(80).filter(char::is_ascii_graphic).collect()))
        }
    }
}

/// Reads what a message holds: one event, or as many as are in a batch.
///
/// `fields` are all of the message, in any case.
///
/// # Errors
/// It holds none.
pub fn read<'f>(
    fields: impl Iterator<Item = (&'f [u8], &'f [u8])> + Clone,
    content: Bytes,
) -> Result<Vec<Event>, NoEvent> {
    let named = |(name, _): &(&[u8], &[u8])| name.eq_ignore_ascii_case(b"content-type");
    let content_type = fields.clone().find(named).map(|(_, value)| value);
    match mode(content_type)? {
        Mode::Binary => Ok(vec![read_binary(fields, content)?]),
        Mode::Structured => Ok(vec![json::read(&content)?]),
        Mode::Batch => json::read_batch(&content),
    }
}

/// Reads an event whose attributes are fields.
///
/// # Errors
/// It is none.
pub fn read_binary<'f>(
    fields: impl Iterator<Item = (&'f [u8], &'f [u8])>,
    content: Bytes,
) -> Result<Event, NoEvent> {
    if content.len() > EVENT_BYTES_MAX {
        return Err(NoEvent::TooLarge { bytes: content.len(), max: EVENT_BYTES_MAX });
    }
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, value) in fields {
        let Some(attribute) = attribute_of(name) else { continue };
        let value = if attribute == "datacontenttype" { plain(value) } else { decoded(value) };
        let Some(value) = value else {
            return Err(NoEvent::attribute(&attribute, "not text in UTF-8, percent-encoded"));
        };
        if found.iter().any(|(other, _)| *other == attribute) {
            return Err(NoEvent::attribute(&attribute, "there twice"));
        }
        found.push((attribute, value));
        if found.len() > EXTENSIONS_MAX + rules::NAMED.len() {
            return Err(NoEvent::TooMany { what: "attributes", max: EXTENSIONS_MAX });
        }
    }
    gathered(found, content)
}

/// The attribute that a field holds, by its name in lower case.
fn attribute_of(name: &[u8]) -> Option<String> {
    if name.eq_ignore_ascii_case(b"content-type") {
        return Some("datacontenttype".to_owned());
    }
    let (prefix, rest) = name.split_at_checked(PREFIX.len())?;
    // `ce-datacontenttype` must not be: it keeps a name that no attribute has, and is refused.
    let rest = if rest.eq_ignore_ascii_case(b"datacontenttype") { name } else { rest };
    prefix.eq_ignore_ascii_case(PREFIX).then(|| String::from_utf8_lossy(rest).to_ascii_lowercase())
}

fn gathered(found: Vec<(String, String)>, content: Bytes) -> Result<Event, NoEvent> {
    let mut event = Event::new(String::new(), String::new(), String::new());
    let mut seen = [false; 4];
    let needed = ["specversion", "id", "source", "type"];
    for (name, value) in found {
        if let Some(at) = needed.iter().position(|needed| *needed == name) {
            seen[at] = true;
        }
        match name.as_str() {
            "specversion" => rules::attribute("specversion", &value)?,
            "id" => event.id = value,
            "source" => event.source = value,
            "type" => event.kind = value,
            "subject" => event.subject = Some(value),
            "time" => event.time = Some(value),
            "dataschema" => event.schema = Some(value),
            "datacontenttype" => event.content_type = Some(value),
            _ => {
                rules::name(&name)?;
                event.extensions.push((name, Value::Text(value)));
            }
        }
    }
    if let Some(at) = seen.iter().position(|seen| !seen) {
        return Err(NoEvent::Missing(needed[at]));
    }
    event.data = Some(content).filter(|content| !content.is_empty());
    event.check()?;
    Ok(event)
}

/// The fields of an event whose content is its data: names in lower case, `content-type` among them
/// where there is data.
pub fn write_binary(event: &Event) -> Vec<(String, String)> {
    let mut fields = vec![("ce-specversion".to_owned(), "1.0".to_owned())];
    let named = ["id", "source", "type", "subject", "time", "dataschema"];
    let named = named.iter().filter_map(|name| Some((*name, event.attribute(name)?)));
    let further = event.extensions.iter().map(|(name, value)| (name.as_str(), value.text()));
    for (name, value) in named.chain(further) {
        fields.push((format!("ce-{name}"), encoded(&value)));
    }
    if let Some(content_type) = &event.content_type {
        fields.push(("content-type".to_owned(), content_type.clone()));
    }
    fields
}

/// Text as a field holds it (§3.1.3.2): what is not printable ASCII, spaces, quotes and `%` become
/// `%XX`.
fn encoded(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut field = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && !matches!(byte, b'"' | b'%') {
            field.push(char::from(byte));
        } else {
            let digits = [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]];
            field.extend(['%', char::from(digits[0]), char::from(digits[1])]);
        }
    }
    field
}

/// The text that a field holds: out of its quotes, if it has some (older versions wrote them), and
/// percent-decoded once.
fn decoded(field: &[u8]) -> Option<String> {
    let field = field.trim_ascii();
    let inner = field.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\""));
    let field = inner.map_or_else(|| Some(field.to_vec()), unquoted)?;
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.as_slice();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        if byte == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            // `from_str_radix` takes a sign; digits alone are meant.
            let sign = digits.starts_with('+');
            bytes.push(u8::from_str_radix(digits, 16).ok().filter(|_| !sign)?);
            rest = &tail[2..];
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

/// What stands between quotes (RFC 9110 §5.6.4).
fn unquoted(inner: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner.iter();
    while let Some(&byte) = rest.next() {
        match byte {
            b'\\' => bytes.push(*rest.next()?),
            b'"' => return None,
            _ => bytes.push(byte),
        }
    }
    Some(bytes)
}

/// The media type, which is not percent-encoded.
fn plain(field: &[u8]) -> Option<String> {
    std::str::from_utf8(field.trim_ascii()).ok().map(str::to_owned)
}
