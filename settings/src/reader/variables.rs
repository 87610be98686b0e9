//! `${NAME}` in strings.

use super::{Reader, Text};
use std::ops::Range;

impl Reader<'_> {
    /// Puts variables into a string: `${NAME}`, `${NAME:-default}`; `$${` is a plain `${`.
    pub(super) fn fill(&mut self, key: &str, raw: &str, span: Range<usize>) -> Option<Text> {
        let source = &self.text[span.clone()];
        let exact = source.find(raw).map(|at| span.start + at).filter(|_| !raw.is_empty());
        if !raw.contains("${") {
            return Some(Text { value: raw.to_owned(), span, exact });
        }
        let mut value = String::new();
        let (mut at, mut whole) = (0, true);
        while at < raw.len() {
            let rest = &raw[at..];
            if rest.starts_with("$${") {
                value.push_str("${");
                at += 3;
            } else if rest.starts_with("${") {
                let length = rest.find('}').map_or(rest.len(), |end| end + 1);
                let part = exact.map_or(span.clone(), |start| start + at..start + at + length);
                match self.variable(key, &rest[..length], part) {
                    Some(found) => value.push_str(&found),
                    None => whole = false,
                }
                at += length;
            } else {
                let c = rest.chars().next().unwrap_or_default();
                value.push(c);
                at += c.len_utf8();
            }
        }
        whole.then_some(Text { value, span, exact: None })
    }

    /// What `${NAME}` or `${NAME:-default}` stands for.
    fn variable(&mut self, key: &str, reference: &str, part: Range<usize>) -> Option<String> {
        const ALLOWED: &str = "${NAME} or ${NAME:-default}";
        let Some(inner) = reference.strip_prefix("${").and_then(|tail| tail.strip_suffix('}'))
        else {
            let hint = "write $${ for a plain ${".to_owned();
            self.note(part, format!("{key}${{ without }}"), ALLOWED.to_owned(), Some(hint));
            return None;
        };
        let (name, default) = inner.split_once(":-").map_or((inner, None), |(n, d)| (n, Some(d)));
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if name.is_empty() || !name.bytes().all(legal) {
            let what = format!("{key}\"{name}\" is no name of a variable");
            let hint = "write $${ for a plain ${".to_owned();
            self.note(part, what, ALLOWED.to_owned(), Some(hint));
            return None;
        }
        let found =
            (self.world.variable)(name).filter(|value| default.is_none() || !value.is_empty());
        let found = found.or_else(|| default.map(str::to_owned));
        if found.is_none() {
            let what = format!("{key}environment variable {name} is not set");
            let hint = format!("set it, or give a default: ${{{name}:-...}}");
            self.note(part, what, String::new(), Some(hint));
        }
        found
    }
}
