//! An event as one JSON text (`json-format.md`), and several (§4).
//!
//! What stands in `data` is kept as the text it is, and written so again: a number of JSON that no
//! program can hold stays what it was. Where a name stands twice, the last one counts.

use super::{
    BATCH_BYTES_MAX, BATCH_EVENTS_MAX, EVENT_BYTES_MAX, EXTENSIONS_MAX, Event, NoEvent, Value,
    rules,
};
use crate::base64;
use bytes::Bytes;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// What an event's JSON text is sent as.
pub const CONTENT_TYPE: &str = "application/cloudevents+json; charset=UTF-8";
/// What the text of several is sent as.
pub const BATCH_CONTENT_TYPE: &str = "application/cloudevents-batch+json; charset=UTF-8";

/// What data is that says nothing of itself.
const JSON: &str = "application/json";
const UNKNOWN: &str = "application/octet-stream";

/// Reads one event.
///
/// # Errors
/// It is none.
pub fn read(text: &[u8]) -> Result<Event, NoEvent> {
    if text.len() > EVENT_BYTES_MAX {
        return Err(NoEvent::TooLarge { bytes: text.len(), max: EVENT_BYTES_MAX });
    }
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_slice(text).map_err(|error| NoEvent::NotJson(error.to_string()))?;
    event(members)
}

/// Reads a batch, which may be empty. One that is wrong makes all of it wrong: whoever sent it is told,
/// and sends it again.
///
/// # Errors
/// It is none, or one of its events is none.
pub fn read_batch(text: &[u8]) -> Result<Vec<Event>, NoEvent> {
    if text.len() > BATCH_BYTES_MAX {
        return Err(NoEvent::TooLarge { bytes: text.len(), max: BATCH_BYTES_MAX });
    }
    let events: Vec<&RawValue> =
        serde_json::from_slice(text).map_err(|error| NoEvent::NotJson(error.to_string()))?;
    if events.len() > BATCH_EVENTS_MAX {
        return Err(NoEvent::TooMany { what: "events", max: BATCH_EVENTS_MAX });
    }
    events.into_iter().map(|event| read(event.get().as_bytes())).collect()
}

fn event(mut members: BTreeMap<String, &RawValue>) -> Result<Event, NoEvent> {
    let version = needed(&mut members, "specversion")?;
    rules::attribute("specversion", &version)?;
    let mut event = Event::new(
        needed(&mut members, "id")?,
        needed(&mut members, "source")?,
        needed(&mut members, "type")?,
    );
    event.subject = text(&mut members, "subject")?;
    event.time = text(&mut members, "time")?;
    event.schema = text(&mut members, "dataschema")?;
    event.content_type = text(&mut members, "datacontenttype")?;
    event.data = data(&mut members, event.content_type.as_deref())?;
    if event.data.is_some() && event.content_type.is_none() {
        event.content_type = Some(JSON.to_owned());
    }
    if members.len() > EXTENSIONS_MAX {
        return Err(NoEvent::TooMany { what: "attributes", max: EXTENSIONS_MAX });
    }
    for (name, raw) in members {
        rules::name(&name)?;
        let value = value(&name, raw)?;
        event.extensions.extend(value.map(|value| (name, value)));
    }
    event.check()?;
    Ok(event)
}

/// `data` or `data_base64`.
fn data(
    members: &mut BTreeMap<String, &RawValue>,
    content_type: Option<&str>,
) -> Result<Option<Bytes>, NoEvent> {
    let plain = members.remove("data");
    let encoded = members.remove("data_base64").filter(|raw| raw.get() != "null");
    let wrong = |name, why| Err(NoEvent::attribute(name, why));
    let bytes = match (plain, encoded) {
        (Some(_), Some(_)) => return wrong("data_base64", "there is data, too"),
        (None, None) => return Ok(None),
        (None, Some(raw)) => {
            let text: Option<String> = serde_json::from_str(raw.get()).ok();
            match text.and_then(|text| base64::decode(text.as_bytes())) {
                Some(bytes) => bytes,
                None => return wrong("data_base64", "not Base64"),
            }
        }
        (Some(raw), None) if rules::is_json(content_type.unwrap_or(JSON)) => {
            raw.get().as_bytes().to_vec()
        }
        (Some(raw), None) => match serde_json::from_str::<Option<String>>(raw.get()) {
            Ok(text) => text.unwrap_or_default().into_bytes(),
            Err(_) => return wrong("data", "not a string, and datacontenttype is not JSON"),
        },
    };
    Ok(Some(Bytes::from(bytes)).filter(|bytes| !bytes.is_empty()))
}

fn needed(
    members: &mut BTreeMap<String, &RawValue>,
    name: &'static str,
) -> Result<String, NoEvent> {
    text(members, name)?.ok_or(NoEvent::Missing(name))
}

/// An attribute that is text; `null` is the same as nothing.
fn text(members: &mut BTreeMap<String, &RawValue>, name: &str) -> Result<Option<String>, NoEvent> {
    let Some(raw) = members.remove(name) else { return Ok(None) };
    serde_json::from_str(raw.get()).map_err(|_| NoEvent::attribute(name, "not a string"))
}

/// An attribute of any type.
fn value(name: &str, raw: &RawValue) -> Result<Option<Value>, NoEvent> {
    let raw = raw.get();
    Ok(Some(match raw.as_bytes().first() {
        Some(b'n') => return Ok(None),
        Some(b't' | b'f') => Value::Flag(raw == "true"),
        Some(b'"') => {
            let text = serde_json::from_str(raw);
            Value::Text(text.map_err(|_| NoEvent::attribute(name, "not text of Unicode"))?)
        }
        Some(b'-' | b'0'..=b'9') => {
            let number = serde_json::from_str(raw);
            Value::Number(number.map_err(|_| NoEvent::attribute(name, "not a whole number"))?)
        }
        _ => return Err(NoEvent::attribute(name, "neither text, nor a number, nor a truth")),
    }))
}

/// The event as JSON.
pub fn write(event: &Event) -> Vec<u8> {
    let mut out =
        Vec::with_capacity(256 + event.data.as_ref().map_or(0, |data| data.len() * 4 / 3));
    write_into(event, &mut out);
    out
}

/// The events as JSON.
pub fn write_batch(events: &[Event]) -> Vec<u8> {
    let mut out = vec![b'['];
    for (index, event) in events.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        write_into(event, &mut out);
    }
    out.push(b']');
    out
}

fn write_into(event: &Event, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"specversion\":\"1.0\"");
    let unknown = || event.data.as_ref().map(|_| UNKNOWN);
    let named = [
        ("id", Some(event.id.as_str())),
        ("source", Some(event.source.as_str())),
        ("type", Some(event.kind.as_str())),
        ("subject", event.subject.as_deref()),
        ("time", event.time.as_deref()),
        ("dataschema", event.schema.as_deref()),
        ("datacontenttype", event.content_type.as_deref().or_else(unknown)),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            member(out, name);
            string(out, value);
        }
    }
    for (name, value) in &event.extensions {
        member(out, name);
        match value {
            Value::Text(text) => string(out, text),
            other => out.extend_from_slice(other.text().as_bytes()),
        }
    }
    if let Some(data) = &event.data {
        write_data(out, data, event.content_type.as_deref().unwrap_or(UNKNOWN));
    }
    out.push(b'}');
}

/// As it is if it is JSON, as a string if it is text, and else as Base64.
fn write_data(out: &mut Vec<u8>, data: &[u8], content_type: &str) {
    let value = serde_json::from_slice::<&RawValue>(data);
    if let Some(value) = value.ok().filter(|_| rules::is_json(content_type)) {
        member(out, "data");
        out.extend_from_slice(value.get().as_bytes());
        return;
    }
    match std::str::from_utf8(data) {
        Ok(text) if rules::is_text(content_type) => {
            member(out, "data");
            string(out, text);
        }
        _ => {
            member(out, "data_base64");
            string(out, &base64::encode(data));
        }
    }
}

fn member(out: &mut Vec<u8>, name: &str) {
    out.push(b',');
    string(out, name);
    out.push(b':');
}

fn string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is written to memory");
}
