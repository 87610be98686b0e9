//! The tags of an answer, by which it can be purged.
//!
//! All that bound are reasons not to store: a tag that is left out is a purge that misses.

use super::invalidate::Origin;
use super::reason::Reason;
use super::targeted::{joined, strings};
use crate::settings::Rules;
use base::{FieldName, Fields, ResponseHead};

/// Most tags of one answer.
pub const TAGS_MAX: usize = 256;
/// Longest tag.
pub const TAG_BYTES_MAX: usize = 1_024;

/// The tag that stands for a cache group: groups belong to one origin (RFC 9875 §2).
pub fn group_tag(origin: Origin<'_>, group: &str) -> String {
    let scheme = String::from_utf8_lossy(origin.scheme);
    let host = String::from_utf8_lossy(origin.authority()).to_ascii_lowercase();
    format!("{scheme}://{host}#{group}")
}

/// The tags of an answer, each once: from its fields, and from the templates of the route, whose
/// parameters are looked up in `parameter`.
pub fn tags<'p>(
    origin: Origin<'_>,
    response: &ResponseHead,
    rules: &Rules,
    parameter: impl Fn(&str) -> Option<&'p [u8]>,
) -> Result<Vec<String>, Reason> {
    let mut tags = Vec::new();
    of_fields(&response.fields, rules, &mut tags);
    if response.fields.has(FieldName::CacheGroups) {
        let value = joined(&response.fields, FieldName::CacheGroups.text());
        let groups = value.and_then(|value| strings(&value)).unwrap_or_default();
        // For other answers of the origin the group is its origin's; for an operator it is a tag.
        tags.extend(groups.iter().map(|group| group_tag(origin, group)));
        tags.extend(groups);
    }
    tags.extend(rules.tags.iter().filter_map(|template| fill(template, &parameter)));
    bounded(tags)
}

fn of_fields(fields: &Fields, rules: &Rules, tags: &mut Vec<String>) {
    let is_blank = |b: &u8| matches!(b, b' ' | b'\t');
    let is_comma = |b: &u8| *b == b',';
    let is_either = move |b: &u8| is_blank(b) || is_comma(b);
    for field in fields.iter() {
        match field.known {
            FieldName::SurrogateKey => add(field.value, is_blank, tags),
            FieldName::CacheTag => add(field.value, is_comma, tags),
            FieldName::Xkey => add(field.value, is_either, tags),
            _ if is_tag_field(field.name, rules) => add(field.value, is_either, tags),
            _ => {}
        }
    }
}

fn is_tag_field(name: &[u8], rules: &Rules) -> bool {
    rules.tag_fields.iter().any(|field| field.as_bytes().eq_ignore_ascii_case(name))
}

fn add(value: &[u8], separates: impl Fn(&u8) -> bool, tags: &mut Vec<String>) {
    let parts = value.split(separates).map(<[u8]>::trim_ascii).filter(|tag| !tag.is_empty());
    tags.extend(parts.map(|tag| String::from_utf8_lossy(tag).into_owned()));
}

fn bounded(mut tags: Vec<String>) -> Result<Vec<String>, Reason> {
    tags.sort_unstable();
    tags.dedup();
    let fits = tags.len() <= TAGS_MAX && tags.iter().all(|tag| tag.len() <= TAG_BYTES_MAX);
    if fits { Ok(tags) } else { Err(Reason::Tags) }
}

/// `product:{id}` with its parameters; `None` if one of them is not there.
fn fill<'p>(template: &str, parameter: impl Fn(&str) -> Option<&'p [u8]>) -> Option<String> {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, behind)) = rest.split_once('{') {
        let (name, after) = behind.split_once('}')?;
        out.push_str(before);
        out.push_str(&String::from_utf8_lossy(parameter(name)?));
        rest = after;
    }
    out.push_str(rest);
    Some(out)
}

/// The tags that the route's JSON pointers find in a body: strings, numbers, and arrays of them.
/// Nothing if the body is not JSON.
pub fn pointed(body: &[u8], rules: &Rules) -> Result<Vec<String>, Reason> {
    if rules.tag_pointers.is_empty() {
        return Ok(Vec::new());
    }
    let Ok(root) = serde_json::from_slice::<serde_json::Value>(body) else { return Ok(Vec::new()) };
    let found = rules.tag_pointers.iter().filter_map(|pointer| root.pointer(pointer));
    let each = found.flat_map(|value| match value {
        serde_json::Value::Array(list) => &list[..],
        one => std::slice::from_ref(one),
    });
    bounded(each.filter_map(text).collect())
}

fn text(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(text) => Some(text.clone()),
        serde_json::Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}
