//! Asking the service whether a stored answer is still good, and what its answer means for it
//! (RFC 9111 §4.3, §3.2).

use super::entity::EntityTag;
use super::{date, strip};
use base::{FieldName, Fields, ResponseHead, Wall};

/// Has it anything that the service could be asked about?
pub fn has_validator(stored: &ResponseHead) -> bool {
    tag(stored).is_some() || changed(stored).is_some()
}

fn tag(head: &ResponseHead) -> Option<EntityTag<'_>> {
    head.fields.get(FieldName::Etag).and_then(EntityTag::of)
}

/// Last-Modified as written, if it is a date.
fn changed(head: &ResponseHead) -> Option<&[u8]> {
    let text = head.fields.get(FieldName::LastModified)?;
    date::parse(text, Wall(0)).map(|_| text)
}

/// Makes a request ask whether `stored` is still good: all conditions of the client and its Range go,
/// ours come. Says whether there is anything to ask by; if not, it is a plain request now.
pub fn make_conditional(request_fields: &mut Fields, stored: &ResponseHead) -> bool {
    use FieldName as N;
    request_fields.retain(|field| {
        !matches!(
            field.known,
            N::IfMatch
                | N::IfNoneMatch
                | N::IfModifiedSince
                | N::IfUnmodifiedSince
                | N::IfRange
                | N::Range
        )
    });
    // RFC 9111 §4.3.1: both, where there are both.
    if let Some(tag) = tag(stored).and(stored.fields.get(N::Etag)) {
        request_fields.push_as(N::IfNoneMatch, b"If-None-Match", tag);
    }
    if let Some(changed) = changed(stored) {
        request_fields.push_as(N::IfModifiedSince, b"If-Modified-Since", changed);
    }
    has_validator(stored)
}

/// Does this 304 to our question speak of `stored`? If not, nothing may be made of it and the request
/// goes again without conditions (RFC 9111 §4.3.4).
pub fn is_about(not_modified: &ResponseHead, stored: &ResponseHead) -> bool {
    if let Some(new) = tag(not_modified) {
        let Some(old) = tag(stored) else { return false };
        // A strong tag names one representation; a weak one may name what is stored under either.
        return if new.is_weak { new.is_weakly(&old) } else { new.is_strongly(&old) };
    }
    if let Some(new) = not_modified.fields.get(FieldName::LastModified) {
        return stored.fields.get(FieldName::LastModified) == Some(new);
    }
    // It says nothing; we asked about this one only.
    true
}

/// The stored head with what a 304 says anew. Lifetimes ([`super::store`]), selecting fields and tags
/// must be taken from it again, and then it must be stripped again.
pub fn freshen(stored: &ResponseHead, not_modified: &ResponseHead) -> ResponseHead {
    merge(stored, not_modified)
}

/// The fields of `new` in place of those of the same name in `stored`; the status of `stored`.
pub(super) fn merge(stored: &ResponseHead, new: &ResponseHead) -> ResponseHead {
    // Built anew, so that an entry that is freshened often does not grow.
    let mut fields = Fields::new();
    let reason = fields.keep(stored.reason());
    let mut head = ResponseHead::received(stored.version, stored.status, reason, 0, fields);
    for field in stored.fields.iter() {
        let stays = is_of_body(field.known)
            || !(is_outdated(field.known) || new.fields.find(field.name).is_some());
        if stays {
            head.fields.push_as(field.known, field.name, field.value);
        }
    }
    for field in new.fields.iter() {
        if !is_of_body(field.known) && !strip::is_of_connection(field.known) {
            head.fields.push_as(field.known, field.name, field.value);
        }
    }
    head
}

/// Fields that say how the stored body is to be read: a 304 has none, and cannot change it
/// (RFC 9111 §3.2).
fn is_of_body(known: FieldName) -> bool {
    use FieldName as N;
    matches!(known, N::ContentLength | N::ContentEncoding | N::ContentRange | N::TransferEncoding)
}

/// Fields that were true of the stored answer when it came and are not any more.
fn is_outdated(known: FieldName) -> bool {
    matches!(known, FieldName::Age | FieldName::Date)
}

/// What the answer to a HEAD means for a stored GET (RFC 9111 §4.3.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadEffect {
    /// Nothing.
    Nothing,
    /// The stored answer is still good: [`freshen`] it.
    Freshen,
    /// The stored answer is outdated: a GET must not be answered with it any more.
    Invalid,
}

/// What this answer to a HEAD means for the stored answer to a GET.
pub fn by_head(stored: &ResponseHead, response: &ResponseHead) -> HeadEffect {
    use FieldName as N;
    if response.status != stored.status {
        // An error of the service says nothing of the resource; neither do 304 and 206.
        let is_silent =
            response.status >= 500 || matches!(response.status, 0..200 | 206 | 304 | 429);
        return if is_silent { HeadEffect::Nothing } else { HeadEffect::Invalid };
    }
    let differs = |name: FieldName| {
        let new = response.fields.get(name);
        new.is_some() && new != stored.fields.get(name)
    };
    let is_other = [N::Etag, N::LastModified, N::ContentLength].into_iter().any(differs);
    if is_other { HeadEffect::Invalid } else { HeadEffect::Freshen }
}
