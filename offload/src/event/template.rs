//! Text with parts of an event in it: `product:{subject}`, `{data.product.id}`.
//!
//! In braces stands the name of an attribute, or `data.` and the names that lead into data that is
//! JSON, each after a dot; in an array they are numbers. A part that the event does not have makes the
//! whole text nothing: a purge of `product:` would mean another thing.

use super::{Event, rules};
use serde_json::Value;
use std::cell::OnceCell;

/// Most bytes of what a template becomes.
pub const FILLED_BYTES_MAX: usize = 1024;

/// One event, whose data is read when a template asks for it.
#[derive(Debug)]
pub struct Filler<'e> {
    event: &'e Event,
    data: OnceCell<Option<Value>>,
}

impl<'e> Filler<'e> {
    /// For this event.
    pub fn new(event: &'e Event) -> Self {
        Self { event, data: OnceCell::new() }
    }

    /// The template with the event's parts in it; `None` if it has not all of them, if one of them is
    /// empty, or if the text is too long.
    pub fn fill(&self, template: &str) -> Option<String> {
        let mut text = String::with_capacity(template.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let (part, tail) = after.split_once('}')?;
            let value = self.part(part).filter(|value| !value.is_empty())?;
            text.push_str(before);
            text.push_str(&value);
            if text.len() > FILLED_BYTES_MAX {
                return None;
            }
            rest = tail;
        }
        text.push_str(rest);
        Some(text).filter(|text| text.len() <= FILLED_BYTES_MAX)
    }

    fn part(&self, part: &str) -> Option<String> {
        let Some(path) = part.strip_prefix("data.") else {
            return self.event.attribute(part).map(std::borrow::Cow::into_owned);
        };
        let mut value = self.data.get_or_init(|| data(self.event)).as_ref()?;
        for step in path.split('.') {
            value = match value {
                Value::Object(members) => members.get(step)?,
                Value::Array(items) => items.get(step.parse::<usize>().ok()?)?,
                _ => return None,
            };
        }
        match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

fn data(event: &Event) -> Option<Value> {
    let bytes = event.data.as_ref()?;
    let json = event.content_type.as_deref().is_none_or(rules::is_json);
    json.then(|| serde_json::from_slice(bytes).ok()).flatten()
}

/// Can this stand in the braces of a template?
pub fn is_part(part: &str) -> bool {
    match part.strip_prefix("data.") {
        Some(path) => path.split('.').all(|step| !step.is_empty()),
        None => rules::name(part).is_ok(),
    }
}
