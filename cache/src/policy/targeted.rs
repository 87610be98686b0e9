//! Cache control that is addressed to caches like this one (RFC 9213), and other structured fields.
//!
//! Unlike Cache-Control these are Structured Fields (RFC 9651) and strict: a field that does not parse,
//! is empty or gives a lifetime that is no integer is as if it were absent, and the next one counts.

use super::control::{Directives, Flag, SECONDS_MAX};
use base::Fields;
use sfv::visitor::{
    DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor, ListVisitor,
};
use sfv::{BareItemFromInput, KeyRef, Parser};
use std::convert::Infallible;

/// What the first of these fields that is present and valid says; it stands in for Cache-Control and
/// Expires.
pub fn targeted(fields: &Fields, names: &[String]) -> Option<Directives<'static>> {
    names.iter().find_map(|name| parse(&joined(fields, name)?))
}

/// All lines of a field as one value; `None` if there are none.
pub(super) fn joined(fields: &Fields, name: &str) -> Option<Vec<u8>> {
    let mut value: Option<Vec<u8>> = None;
    for field in fields.iter().filter(|f| f.name.eq_ignore_ascii_case(name.as_bytes())) {
        match &mut value {
            Some(value) => {
                value.extend_from_slice(b", ");
                value.extend_from_slice(field.value);
            }
            None => value = Some(field.value.to_vec()),
        }
    }
    value
}

/// What one value says; `None` when it must be ignored (RFC 9213 §2.1).
pub fn parse(value: &[u8]) -> Option<Directives<'static>> {
    let members = Parser::new(value).parse_dictionary_with_visitor(Members::default()).ok()?;
    if members.is_empty() {
        return None;
    }
    let mut said = Directives::default();
    for (name, member) in &members {
        add(&mut said, name, *member)?;
    }
    Some(said)
}

/// Adds a directive; `None` if its value is of the wrong type.
fn add(said: &mut Directives<'_>, name: &str, member: Member) -> Option<()> {
    if let Some(flag) = Flag::of(name.as_bytes()) {
        // A qualified `no-cache` or `private` has no form here: it counts as unqualified.
        let is_set = match member {
            Member::Boolean(is_set) => is_set,
            _ => flag.restricts(),
        };
        if is_set {
            said.set(flag);
        }
        return Some(());
    }
    let slot = match name {
        "max-age" => &mut said.max_age,
        "s-maxage" => &mut said.s_maxage,
        "stale-while-revalidate" => &mut said.stale_while_revalidate,
        "stale-if-error" => &mut said.stale_if_error,
        _ => return Some(()),
    };
    let Member::Integer(seconds) = member else { return None };
    *slot = Some(seconds.clamp(0, SECONDS_MAX.into()).cast_unsigned() as u32);
    Some(())
}

/// The strings of a structured list of strings; `None` if it is anything else.
pub fn strings(value: &[u8]) -> Option<Vec<String>> {
    Parser::new(value).parse_list_with_visitor(Strings(Some(Vec::new()))).ok()?
}

/// A member of a dictionary, as far as we care.
#[derive(Clone, Copy)]
enum Member {
    Boolean(bool),
    Integer(i64),
    Other,
}

/// Members of a dictionary by name, each name once, its last value.
#[derive(Default)]
struct Members(Vec<(String, Member)>);

struct Slot<'v>(&'v mut Member);

impl<'de> DictionaryVisitor<'de> for Members {
    type Out = Vec<(String, Member)>;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        self.0.retain(|(name, _)| name != key.as_str());
        self.0.push((key.as_str().to_owned(), Member::Other));
        Ok(Slot(&mut self.0.last_mut().expect("one was pushed").1))
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.0)
    }
}

impl<'de> EntryVisitor<'de> for Slot<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(move |item: BareItemFromInput<'de>| {
            *self.0 = match item {
                BareItemFromInput::Boolean(is_set) => Member::Boolean(is_set),
                BareItemFromInput::Integer(number) => Member::Integer(number.into()),
                _ => Member::Other,
            };
            Ok::<_, Infallible>(Ignored)
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        Ok(Ignored)
    }
}

/// Strings of a list; `None` once something else was met.
struct Strings(Option<Vec<String>>);

struct Text<'v>(&'v mut Option<Vec<String>>);

impl<'de> ListVisitor<'de> for Strings {
    type Out = Option<Vec<String>>;
    type Error = Infallible;

    fn entry(&mut self) -> Result<impl EntryVisitor<'de>, Infallible> {
        Ok(Text(&mut self.0))
    }

    fn finish(self) -> Result<Self::Out, Infallible> {
        Ok(self.0)
    }
}

impl<'de> EntryVisitor<'de> for Text<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(move |item: BareItemFromInput<'de>| {
            match (item, &mut *self.0) {
                (BareItemFromInput::String(text), Some(list)) => {
                    list.push(text.as_str().to_owned());
                }
                (_, list) => *list = None,
            }
            Ok::<_, Infallible>(Ignored)
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        *self.0 = None;
        Ok(Ignored)
    }
}
