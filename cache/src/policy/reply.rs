//! The heads of what is made from a stored answer: 304, 206, 416.

use super::range::{ContentRange, Range};
use super::write_number;
use base::field::FieldRef;
use base::{FieldName, ResponseHead};

/// A 304 for what is stored: its fields but those of the representation itself (RFC 9110 §15.4.5).
pub fn not_modified(stored: &ResponseHead) -> ResponseHead {
    use FieldName as N;
    let has_tag = stored.fields.has(N::Etag);
    copy(stored, 304, |field| match field.known {
        N::ContentLength
        | N::ContentRange
        | N::ContentType
        | N::ContentEncoding
        | N::ContentLanguage
        | N::TransferEncoding => false,
        N::LastModified => !has_tag,
        _ => true,
    })
}

/// A 206 with these bytes of a whole of `complete` bytes. Content-Length is set.
pub fn partial(stored: &ResponseHead, range: Range, complete: Option<u64>) -> ResponseHead {
    let mut head = copy(stored, 206, is_not_framing);
    set_part(&mut head, ContentRange { range, complete });
    head
}

/// The head of a part, or of the whole if it is the whole.
pub(super) fn of_part(head: &ResponseHead, content: ContentRange) -> ResponseHead {
    if !content.is_whole() {
        return partial(head, content.range, content.complete);
    }
    let mut whole = copy(head, 200, is_not_framing);
    set_length(&mut whole, content.range.length());
    whole
}

/// A 416 for a whole of `complete` bytes.
pub fn unsatisfiable(complete: u64) -> ResponseHead {
    let mut head = ResponseHead::build(416);
    let mut value = b"bytes */".to_vec();
    write_number(&mut value, complete);
    head.fields.push_as(FieldName::ContentRange, b"Content-Range", &value);
    set_length(&mut head, 0);
    head
}

/// A 206 of several parts.
#[derive(Clone, Debug)]
pub struct Multipart {
    /// Its head, with Content-Length.
    pub head: ResponseHead,
    /// What to send before the bytes of each range, and the range; in this order.
    pub parts: Vec<(Vec<u8>, Range)>,
    /// What to send behind the last.
    pub end: Vec<u8>,
}

/// A 206 with these parts of a whole of `complete` bytes. `boundary` should be random: it must not
/// occur in the body.
pub fn multipart(
    stored: &ResponseHead,
    ranges: &[Range],
    complete: u64,
    boundary: u128,
) -> Multipart {
    let boundary = hex(boundary);
    let kind = stored.fields.get(FieldName::ContentType);
    let lead = |range: Range| {
        let mut lead = Vec::new();
        lead.extend_from_slice(b"\r\n--");
        lead.extend_from_slice(&boundary);
        if let Some(kind) = kind {
            lead.extend_from_slice(b"\r\nContent-Type: ");
            lead.extend_from_slice(kind);
        }
        lead.extend_from_slice(b"\r\nContent-Range: ");
        ContentRange { range, complete: Some(complete) }.write(&mut lead);
        lead.extend_from_slice(b"\r\n\r\n");
        lead
    };
    let parts: Vec<_> = ranges.iter().map(|&range| (lead(range), range)).collect();
    let end = [&b"\r\n--"[..], &boundary, b"--\r\n"].concat();
    let length: u64 = parts.iter().map(|(lead, range)| lead.len() as u64 + range.length()).sum();
    let mut head =
        copy(stored, 206, |field| is_not_framing(field) && field.known != FieldName::ContentType);
    let kind = [&b"multipart/byteranges; boundary="[..], &boundary].concat();
    head.fields.push_as(FieldName::ContentType, b"Content-Type", &kind);
    set_length(&mut head, length + end.len() as u64);
    Multipart { head, parts, end }
}

fn hex(number: u128) -> Vec<u8> {
    let digit = |place: u32| b"0123456789abcdef"[(number >> (place * 4)) as usize % 16];
    (0..32).rev().map(digit).collect()
}

fn is_not_framing(field: FieldRef<'_>) -> bool {
    use FieldName as N;
    !matches!(field.known, N::ContentLength | N::ContentRange | N::TransferEncoding)
}

fn set_part(head: &mut ResponseHead, content: ContentRange) {
    let mut value = Vec::new();
    content.write(&mut value);
    head.fields.push_as(FieldName::ContentRange, b"Content-Range", &value);
    set_length(head, content.range.length());
}

fn set_length(head: &mut ResponseHead, length: u64) {
    let mut value = Vec::new();
    write_number(&mut value, length);
    head.fields.push_as(FieldName::ContentLength, b"Content-Length", &value);
}

/// The fields that `keep` wants, under another status.
fn copy(stored: &ResponseHead, status: u16, keep: impl Fn(FieldRef<'_>) -> bool) -> ResponseHead {
    let mut head = ResponseHead::build(status);
    for field in stored.fields.iter().filter(|field| keep(*field)) {
        head.fields.push_as(field.known, field.name, field.value);
    }
    head
}
