//! What a stored answer is to a client that has conditions, or wants a part (RFC 9110 §13, §14).
//!
//! Only If-None-Match and If-Modified-Since are a cache's to judge (RFC 9111 §4.3.2); requests with
//! the other two do not come here, see [`super::admit`].

use super::entity::{EntityTag, tags};
use super::life::sole_date;
use super::range::{Range, Spec, wanted};
use super::{Query, date};
use base::{FieldName, ResponseHead, Wall};

/// What a client gets of a stored answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All of it.
    Whole,
    /// It has it: 304.
    NotModified,
    /// One part: 206.
    Partial(Range),
    /// Several parts, as asked for: 206 with `multipart/byteranges`.
    Parts(Vec<Range>),
    /// Nothing of what it asked for is there: 416.
    Unsatisfiable,
}

/// What this client gets of a stored answer whose body has `length` bytes. Of a stored 206 it is
/// [`Answer::Whole`] or [`Answer::NotModified`]; its parts are [`super::covers`]'.
pub fn answer(query: &Query<'_>, stored: &ResponseHead, length: u64, now: Wall) -> Answer {
    // Conditions and ranges count only where the answer would be a success (RFC 9110 §13.2.1).
    if !matches!(stored.status, 200 | 206) {
        return Answer::Whole;
    }
    if has_it(query, stored, now) {
        return Answer::NotModified;
    }
    if stored.status == 206 {
        return Answer::Whole;
    }
    match wanted(query, stored, now) {
        Some(specs) => parts(&specs, length),
        None => Answer::Whole,
    }
}

/// RFC 9110 §13.2.2: If-None-Match goes before If-Modified-Since.
fn has_it(query: &Query<'_>, stored: &ResponseHead, now: Wall) -> bool {
    if query.fields.has(FieldName::IfNoneMatch) {
        return none_match(query, stored);
    }
    let mut lines = query.fields.all(FieldName::IfModifiedSince);
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let Some(since) = date::parse(line, now) else { return false };
    // RFC 9111 §4.3.2: without Last-Modified, Date counts.
    let changed = sole_date(stored, FieldName::LastModified, now);
    let changed = changed.or_else(|| sole_date(stored, FieldName::Date, now));
    changed.is_some_and(|changed| changed <= since)
}

fn none_match(query: &Query<'_>, stored: &ResponseHead) -> bool {
    let mut lines = query.fields.all(FieldName::IfNoneMatch);
    if query.fields.get(FieldName::IfNoneMatch) == Some(b"*") {
        return true;
    }
    let Some(tag) = stored.fields.get(FieldName::Etag).and_then(EntityTag::of) else {
        return false;
    };
    lines.any(|line| tags(line).any(|wanted| wanted.is_weakly(&tag)))
}

/// RFC 9110 §14.2: what cannot be satisfied is left out; what would cost more than the whole is
/// answered with the whole.
fn parts(specs: &[Spec], length: u64) -> Answer {
    let ranges: Vec<_> = specs.iter().filter_map(|spec| spec.of(length)).collect();
    match ranges[..] {
        [] => Answer::Unsatisfiable,
        [range] => Answer::Partial(range),
        _ if do_overlap(&ranges) => Answer::Whole,
        _ => Answer::Parts(ranges),
    }
}

fn do_overlap(ranges: &[Range]) -> bool {
    let mut sorted = ranges.to_vec();
    sorted.sort_unstable_by_key(|range| range.first);
    sorted.windows(2).any(|pair| pair[1].first <= pair[0].last)
}
