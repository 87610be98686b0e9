//! Entity tags and their comparison (RFC 9110 §8.8.3).
//!
//! A tag that is not quoted as it should be is taken as it is: it equals only itself.

/// One entity tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntityTag<'a> {
    /// Does it begin with `W/`?
    pub is_weak: bool,
    /// The rest, with its quotes.
    pub text: &'a [u8],
}

impl<'a> EntityTag<'a> {
    /// The tag in this value, if it is one and nothing else.
    pub fn of(value: &'a [u8]) -> Option<Self> {
        let mut list = tags(value);
        let tag = list.next()?;
        list.next().is_none().then_some(tag)
    }

    /// Does it hold as it must: quoted, without quotes or blanks inside?
    pub fn is_quoted(&self) -> bool {
        matches!(self.text, [b'"', inside @ .., b'"'] if !inside.contains(&b'"'))
    }

    /// Neither is weak, and they are the same.
    pub fn is_strongly(&self, other: &EntityTag<'_>) -> bool {
        !self.is_weak && !other.is_weak && self.is_quoted() && self.text == other.text
    }

    /// They are the same, weak or not.
    pub fn is_weakly(&self, other: &EntityTag<'_>) -> bool {
        self.text == other.text
    }
}

/// The tags of a list.
pub fn tags(list: &[u8]) -> impl Iterator<Item = EntityTag<'_>> {
    let mut rest = list;
    std::iter::from_fn(move || {
        let blank = rest.iter().take_while(|&&b| matches!(b, b',' | b' ' | b'\t')).count();
        rest = &rest[blank..];
        if rest.is_empty() {
            return None;
        }
        let is_weak = rest.starts_with(b"W/");
        let text = if is_weak { &rest[2..] } else { rest };
        let end = end_of(text);
        let tag = EntityTag { is_weak, text: text[..end].trim_ascii_end() };
        rest = &text[end..];
        Some(tag)
    })
}

/// Where the tag ends that `text` begins with. Commas may stand inside of quotes; a backslash is a
/// character like any other there.
fn end_of(text: &[u8]) -> usize {
    let comma = |from: usize| text[from..].iter().position(|&b| b == b',').map(|at| from + at);
    let quote = match text {
        [b'"', inside @ ..] => inside.iter().position(|&b| b == b'"').map(|at| at + 2),
        _ => None,
    };
    comma(quote.unwrap_or(0)).unwrap_or(text.len())
}
