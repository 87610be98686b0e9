//! Values that others bound: what is set and contradicts is a mistake; what is not set gives way.

use crate::options::duration;
use crate::reader::{At, Reader, Table};
use std::ops::Range;
use std::time::Duration;

/// A value that bounds others.
pub(super) struct Bound<T> {
    /// The key it stands at, as the mistakes of its table call it.
    pub(super) key: &'static str,
    pub(super) value: T,
    /// Where it stands; `None` is the standard one.
    pub(super) place: Option<Range<usize>>,
}

impl<T> Bound<T> {
    /// What was found at a key, or the standard value.
    pub(super) fn of(key: &'static str, found: Option<At<T>>, standard: T) -> Self {
        match found {
            Some(At { value, span }) => Self { key, value, place: Some(span) },
            None => Self { key, value: standard, place: None },
        }
    }

    /// Points at the bound: its place, or how much it is where it was not set.
    pub(super) fn note(
        &self,
        reader: &mut Reader<'_>,
        what: String,
        here: (&Range<usize>, String),
        shown: &str,
    ) {
        let key = self.key;
        if let Some(there) = &self.place {
            reader.note_pair(what, here, (there, format!("{key} is set here")), None);
        } else {
            let hint = format!("{key} is {shown} unless it is set");
            reader.note(here.0.clone(), what, here.1, Some(hint));
        }
    }
}

/// The time at a key, at most as long as the bound.
pub(super) fn time_within<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    key: &str,
    standard: Duration,
    most: &Bound<Duration>,
) -> Duration {
    let Some(found) = reader.time(table, key) else { return standard.min(most.value) };
    if found.value > most.value {
        let shown = duration(most.value);
        let found_shown = duration(found.value);
        let what = format!("{}{found_shown} is longer than {}", table.scope.key(key), most.key);
        let label = format!("at most {}, {shown}", most.key);
        most.note(reader, what, (&found.span, label), &shown);
    }
    found.value
}

/// The count at a key.
pub(super) fn count<'s>(reader: &mut Reader<'s>, table: &Table<'s>, key: &str) -> Option<At<u64>> {
    let At { value, span } = reader.count(table, key)?;
    value.map(|value| At { value, span })
}

/// The count at a key, at most the bound.
pub(super) fn count_within<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    key: &str,
    standard: u64,
    most: &Bound<u64>,
) -> u64 {
    let Some(found) = count(reader, table, key) else { return standard.min(most.value) };
    if found.value > most.value {
        let shown = most.value.to_string();
        let what = format!("{}{} is more than {}", table.scope.key(key), found.value, most.key);
        let label = format!("at most {}, {shown}", most.key);
        most.note(reader, what, (&found.span, label), &shown);
    }
    found.value
}

/// The one of these keys that is there; none and two are mistakes.
pub(super) fn one_of<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    keys: &[&'static str],
    what: &str,
) -> Option<&'static str> {
    let mut there = keys.iter().copied().filter_map(|key| Some((key, table.place(key)?)));
    let first = there.next();
    let Some((key, place)) = first else {
        let allowed = format!("one of {}", keys.join(", "));
        if !reader.torn() {
            reader.note(
                table.span.clone(),
                format!("{}{what}", table.scope.table()),
                allowed,
                None,
            );
        }
        return None;
    };
    for (other, span) in there {
        let (later, earlier, named) = if span.start > place.start {
            ((other, &span), &place, key)
        } else {
            ((key, &place), &span, other)
        };
        let what = format!("{}there is {named} already", table.scope.key(later.0));
        let there = (earlier, format!("{named} is set here"));
        reader.note_pair(what, (later.1, "one of the two".to_owned()), there, None);
    }
    Some(key)
}
