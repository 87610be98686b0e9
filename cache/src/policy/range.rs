//! Byte ranges: what is asked for, what a part holds, and parts that fit together (RFC 9110 §14).

use super::entity::EntityTag;
use super::life::sole_date;
use super::{Query, date, reply, validate};
use base::field::members;
use base::{FieldName, ResponseHead, Wall};

/// Most ranges of one request; more are answered with the whole.
pub const RANGES_MAX: usize = 16;

/// Bytes `first` to `last` of a representation, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// The first byte, counted from 0.
    pub first: u64,
    /// The last byte; not before `first`, and never the last that a number can hold.
    pub last: u64,
}

impl Range {
    /// How many bytes.
    pub const fn length(self) -> u64 {
        self.last - self.first + 1
    }

    const fn holds(self, other: Self) -> bool {
        self.first <= other.first && other.last <= self.last
    }
}

/// What a part says that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The bytes it holds.
    pub range: Range,
    /// The length of the whole, if it is known.
    pub complete: Option<u64>,
}

impl ContentRange {
    /// Is the part the whole?
    pub fn is_whole(self) -> bool {
        self.complete == Some(self.range.length())
    }

    /// Appends it as a value of Content-Range.
    pub fn write(self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"bytes ");
        super::write_number(out, self.range.first);
        out.push(b'-');
        super::write_number(out, self.range.last);
        out.push(b'/');
        match self.complete {
            Some(length) => super::write_number(out, length),
            None => out.push(b'*'),
        }
    }
}

/// The one Content-Range of this head, if it is one of bytes and makes sense.
pub fn content_range(head: &ResponseHead) -> Option<ContentRange> {
    let mut lines = head.fields.all(FieldName::ContentRange);
    let line = lines.next()?;
    if lines.next().is_some() {
        return None;
    }
    let (unit, rest) = split(line, b' ')?;
    let (range, complete) = split(rest, b'/')?;
    let (first, last) = split(range, b'-')?;
    let range = Range { first: number(first)?, last: number(last)? };
    let complete = if complete == b"*" { None } else { Some(number(complete)?) };
    let is_sound = unit.eq_ignore_ascii_case(b"bytes")
        && range.first <= range.last
        && range.last < complete.unwrap_or(u64::MAX);
    is_sound.then_some(ContentRange { range, complete })
}

fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|&b| b == at)?;
    Some((&text[..at], &text[at + 1..]))
}

/// Digits only; what does not fit is refused.
fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, b| {
        let digit = b.is_ascii_digit().then(|| u64::from(b - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit)
    })
}

/// One member of Range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spec {
    /// From this byte to that one, or to the end.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
}

impl Spec {
    fn read(text: &[u8]) -> Option<Self> {
        let (first, last) = split(text, b'-')?;
        if first.is_empty() {
            return number(last).map(Self::Last);
        }
        let first = number(first)?;
        if last.is_empty() {
            return Some(Self::From(first, None));
        }
        let last = number(last)?;
        (first <= last).then_some(Self::From(first, Some(last)))
    }

    /// The bytes of a representation of this length; `None` if it has none of them.
    pub fn of(self, length: u64) -> Option<Range> {
        let end = length.checked_sub(1)?;
        match self {
            Self::From(first, last) => {
                (first <= end).then(|| Range { first, last: last.unwrap_or(end).min(end) })
            }
            Self::Last(0) => None,
            Self::Last(count) => Some(Range { first: length.saturating_sub(count), last: end }),
        }
    }
}

/// The members of a Range of bytes. `None` if it is to be ignored: of another unit, illegal, or of too
/// many members.
pub fn specs(value: &[u8]) -> Option<Vec<Spec>> {
    let (unit, list) = split(value, b'=')?;
    if !unit.eq_ignore_ascii_case(b"bytes") {
        return None;
    }
    let specs: Option<Vec<_>> = members(list).take(RANGES_MAX + 1).map(Spec::read).collect();
    specs.filter(|specs| !specs.is_empty() && specs.len() <= RANGES_MAX)
}

/// The ranges that this GET asks for and may have of `stored` (RFC 9110 §14.2, §13.1.5).
pub(super) fn wanted(query: &Query<'_>, stored: &ResponseHead, now: Wall) -> Option<Vec<Spec>> {
    let mut lines = query.fields.all(FieldName::Range);
    let line = lines.next().filter(|_| query.method == b"GET")?;
    if lines.next().is_some() || !if_range(query, stored, now) {
        return None;
    }
    specs(line)
}

/// RFC 9110 §13.1.5: is what is stored what the client has parts of? By strong comparison.
fn if_range(query: &Query<'_>, stored: &ResponseHead, now: Wall) -> bool {
    let mut lines = query.fields.all(FieldName::IfRange);
    let Some(line) = lines.next() else { return true };
    if lines.next().is_some() {
        return false;
    }
    if let Some(wanted) = date::parse(line, now) {
        return changed_strongly(stored, now) == Some(wanted);
    }
    let tag = stored.fields.get(FieldName::Etag).and_then(EntityTag::of);
    matches!((EntityTag::of(line), tag), (Some(a), Some(b)) if a.is_strongly(&b))
}

/// Last-Modified where it is a strong validator: at least a second before Date (RFC 9110 §8.8.2.2).
fn changed_strongly(stored: &ResponseHead, now: Wall) -> Option<i64> {
    let changed = sole_date(stored, FieldName::LastModified, now)?;
    let made = sole_date(stored, FieldName::Date, now)?;
    (changed < made).then_some(changed)
}

/// The bytes of the representation that this request asks for, if the stored 206, whose body has
/// `length` bytes, holds them all. Its byte `range.first - content_range(stored).range.first` is the
/// first of them.
pub fn covers(stored: &ResponseHead, length: u64, query: &Query<'_>, now: Wall) -> Option<Range> {
    let part = content_range(stored).filter(|part| part.range.length() == length)?;
    let specs = wanted(query, stored, now)?;
    let [spec] = specs[..] else { return None };
    let range = match (part.complete, spec) {
        (Some(complete), spec) => spec.of(complete)?,
        (None, Spec::From(first, Some(last))) => Range { first, last },
        (None, _) => return None,
    };
    part.range.holds(range).then_some(range)
}

/// Two parts put together.
#[derive(Clone, Debug)]
pub struct Combined {
    /// The head: a 206, or a 200 once nothing is missing.
    pub head: ResponseHead,
    /// What it holds.
    pub content: ContentRange,
    /// So many bytes of the old body go before the new one: those from its front.
    pub before: u64,
    /// So many bytes of the old body go behind the new one: those at its end.
    pub behind: u64,
}

/// Puts a new part and an old one together, if they overlap or touch and are surely parts of the same
/// representation: both with the same strong tag (RFC 9111 §3.4). Where both have a byte the new one
/// counts. The caller has checked that both bodies are as long as their ranges.
pub fn combine(old: &ResponseHead, new: &ResponseHead) -> Option<Combined> {
    let tag = |head: &'_ ResponseHead| head.fields.get(FieldName::Etag).map(<[u8]>::to_vec);
    let (old_tag, new_tag) = (tag(old)?, tag(new)?);
    if !EntityTag::of(&old_tag)?.is_strongly(&EntityTag::of(&new_tag)?) {
        return None;
    }
    let (a, b) = (content_range(old)?, content_range(new)?);
    let apart = a.range.last + 1 < b.range.first || b.range.last + 1 < a.range.first;
    if apart || matches!((a.complete, b.complete), (Some(a), Some(b)) if a != b) {
        return None;
    }
    let first = a.range.first.min(b.range.first);
    let last = a.range.last.max(b.range.last);
    let complete = a.complete.or(b.complete);
    if complete.is_some_and(|complete| last >= complete) {
        return None;
    }
    let content = ContentRange { range: Range { first, last }, complete };
    let head = reply::of_part(&validate::merge(old, new), content);
    let before = b.range.first.saturating_sub(a.range.first);
    let behind = a.range.last.saturating_sub(b.range.last);
    Some(Combined { head, content, before, behind })
}
