//! Mistakes against TOML itself, told like all others.

use crate::reader::Reader;
use std::ops::Range;

/// Notes them; says whether the headers of sections can still be trusted. Where they cannot, keys
/// may have landed in the wrong section, and further mistakes would be noise.
pub(crate) fn note(reader: &mut Reader<'_>, errors: &[toml::de::Error]) -> bool {
    let mut headers_hold = true;
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        let line = reader.line_of(&span);
        let text = &reader.text[line.clone()];
        headers_hold &= !text.trim_start().starts_with('[');
        let message = error.message();
        let (what, expected) = message
            .split_once(", expected ")
            .map_or((message, String::new()), |(what, expected)| {
                (what, format!("expected {expected}"))
            });
        let hint = hint(text, what);
        if reader.torn_at(&line) {
            continue; // One mistake a line: the parser stumbles on over what follows the first.
        }
        reader.note(span, format!("TOML: {what}"), expected, hint);
        reader.tear(line);
    }
    headers_hold
}

fn hint(line: &str, what: &str) -> Option<String> {
    if what.contains("duplicate") {
        return Some("every key and section stands once; join the two".to_owned());
    }
    if what.contains("unexpected key") {
        return Some("a key and its value stand on a line of their own".to_owned());
    }
    let (key, value) = line.split_once('=').filter(|(key, _)| !key.trim().is_empty())?;
    let value = value.split('#').next().unwrap_or(value).trim();
    if line.trim_start().starts_with('[') || !key.trim().bytes().all(is_bare) {
        return None;
    }
    if value.is_empty() {
        return Some(format!("give {} a value, or take the line out", key.trim()));
    }
    if let Some(inner) = value.strip_prefix('"').filter(|inner| !inner.contains('"')) {
        return Some(format!("close the string: {} = \"{inner}\"", key.trim()));
    }
    let bare =
        value.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric() || b"*/$.".contains(&b));
    (bare && !value.contains(['"', '\'']))
        .then(|| format!("strings stand in quotes: {} = \"{value}\"", key.trim()))
}

fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'
}

impl Reader<'_> {
    /// The line that `span` starts in, without its line feed.
    fn line_of(&self, span: &Range<usize>) -> Range<usize> {
        let at = span.start.min(self.text.len());
        let bytes = self.text.as_bytes();
        let start = bytes[..at].iter().rposition(|&b| b == b'\n').map_or(0, |at| at + 1);
        let length = bytes[start..].iter().position(|&b| b == b'\n');
        start..length.map_or(bytes.len(), |length| start + length)
    }
}
