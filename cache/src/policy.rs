//! What a shared cache may do, as pure functions over heads, rules and times (RFC 9111 and after).
//!
//! No clock, no I/O, no tasks: the engine asks, branches and waits. In the order of a request:
//! [`admit`], [`key`], [`Selecting::matches`] and [`may_share`], [`judge`], [`answer`]; of an answer:
//! [`store`], [`tags`], [`strip`], [`Selecting::of`]; of a 304: [`is_about`], [`freshen`]; of a write:
//! [`invalidates`]. Whatever is refused has a [`Reason`]. Ages saturate at 2^31 seconds (§1.2.2) and
//! times are milliseconds, so that `max-age=1` ends after one second.

pub mod accept;
pub mod admit;
pub mod condition;
pub mod control;
pub mod date;
pub mod entity;
pub mod invalidate;
pub mod judge;
pub mod key;
pub mod life;
pub mod range;
pub mod reason;
pub mod reply;
pub mod status;
pub mod strip;
pub mod tags;
pub mod targeted;
pub mod validate;
pub mod vary;

#[cfg(test)]
mod tests;

pub use admit::{Admission, admit, only_if_cached, posted};
pub use condition::{Answer, answer};
pub use invalidate::{Origin, invalidated, invalidated_groups, invalidates};
pub use judge::{Verdict, age, is_failure, judge, may_serve_on_error, may_share};
pub use key::key;
pub use life::{Life, Marks, store};
pub use range::{Combined, ContentRange, Range, combine, content_range, covers};
pub use reason::Reason;
pub use reply::{Multipart, multipart, not_modified, partial, unsatisfiable};
pub use status::{CacheStatus, Forward};
pub use strip::strip;
pub use tags::{group_tag, pointed, tags};
pub use validate::{HeadEffect, by_head, freshen, has_validator, is_about, make_conditional};
pub use vary::{Selecting, variant, variant_by_favourite};

use base::Fields;
use wire::h1::encode::decimal as write_number;

/// A request as the cache sees it: as received, before anything is changed for the next hop.
#[derive(Clone, Copy, Debug)]
pub struct Query<'a> {
    /// The method; its case counts.
    pub method: &'a [u8],
    /// The fields as received.
    pub fields: &'a Fields,
    /// Does it bring a body?
    pub has_body: bool,
    /// Does it ask for another protocol?
    pub upgrade: bool,
}

/// Does `name` fit one of these names, of which a trailing `*` matches any rest?
fn is_listed(list: &[String], name: &[u8]) -> bool {
    list.iter().any(|entry| match entry.strip_suffix('*') {
        Some(front) => name.starts_with(front.as_bytes()),
        None => entry.as_bytes() == name,
    })
}

/// The cookies of a request: name and value each. Blanks around a name do not count: there are
/// services that read past them.
fn cookies(fields: &Fields) -> impl Iterator<Item = (&[u8], &[u8])> {
    let pairs = fields.all(base::FieldName::Cookie).flat_map(|line| line.split(|&b| b == b';'));
    pairs.map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()).map(|pair| {
        let at = pair.iter().position(|&b| b == b'=').unwrap_or(pair.len());
        (pair[..at].trim_ascii_end(), pair.get(at + 1..).unwrap_or_default())
    })
}
