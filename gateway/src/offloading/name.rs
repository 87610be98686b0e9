//! The name that a client gives to a request, so that it is done once however often it is sent
//! (draft-ietf-httpapi-idempotency-key-header-06).
//!
//! The draft wants a String of structured fields (`"…"`); many clients send the bare characters, which
//! are taken as well, and mean the same. A name belongs to a route and to whoever has sent it, as far
//! as `Authorization` tells people apart.

use crate::path::Exchange;
use base::{Fault, FaultKind, FieldName, Fields};
use ring::digest;

/// Most characters of a name.
const CHARACTERS_MAX: usize = 255;

/// A name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(Vec<u8>);

/// Reads `Idempotency-Key`.
///
/// # Errors
/// `BadIdempotencyKey`: malformed, or there are several.
pub(super) fn read(fields: &Fields) -> Result<Option<Name>, Fault> {
    let bad = |detail: &str| Err(Fault::new(FaultKind::BadIdempotencyKey, detail.to_owned()));
    let is_name = |name: &[u8]| name.eq_ignore_ascii_case(b"idempotency-key");
    let mut all = fields.iter().filter(|field| is_name(field.name));
    let Some(first) = all.next() else { return Ok(None) };
    if all.next().is_some() {
        return bad("several Idempotency-Key fields");
    }
    let value = first.value.trim_ascii();
    let name = if let Some(rest) = value.strip_prefix(b"\"") {
        match rest.strip_suffix(b"\"") {
            Some(inner) => unescaped(inner),
            None => None,
        }
    } else {
        let bare = |b: &u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\\' | b',' | b';');
        value.iter().all(bare).then(|| value.to_vec())
    };
    match name {
        None => bad("a malformed Idempotency-Key: \"…\" of printable ASCII characters is"),
        Some(name) if name.is_empty() => bad("an empty Idempotency-Key"),
        Some(name) if name.len() > CHARACTERS_MAX => {
            bad("an Idempotency-Key of more than 255 characters")
        }
        Some(name) => Ok(Some(Name(name))),
    }
}

/// What a String of structured fields says (RFC 9651 §4.2.5).
fn unescaped(inner: &[u8]) -> Option<Vec<u8>> {
    let mut name = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        match byte {
            b'\\' => name.push(*bytes.next().filter(|b| matches!(b, b'"' | b'\\'))?),
            b'"' => return None,
            b' '..=b'~' => name.push(byte),
            _ => return None,
        }
    }
    Some(name)
}

impl Name {
    /// What stands for it, its route and its principal; never 0.
    pub(super) fn claim(&self, route: &str, exchange: &Exchange<'_>) -> u128 {
        let principal = exchange.head.fields.get(FieldName::Authorization).unwrap_or_default();
        hash(&[route.as_bytes(), principal, &self.0])
    }
}

/// What stands for all that a request asks for.
pub(super) fn print(exchange: &Exchange<'_>, body: &[u8]) -> u128 {
    let head = &exchange.head;
    let kind = head.fields.get(FieldName::ContentType).unwrap_or_default();
    hash(&[head.method(), head.target_received(), kind, body])
}

/// The first half of a SHA-256 over parts and their lengths; never 0, which means none.
fn hash(parts: &[&[u8]]) -> u128 {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part);
    }
    let hash = context.finish();
    let half: [u8; 16] = hash.as_ref()[..16].try_into().expect("it has 32 bytes");
    u128::from_le_bytes(half).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_string_or_bare() {
        for (said, name) in [
            (&b"\"8e03978e-40d5\""[..], Some(&b"8e03978e-40d5"[..])),
            (b"8e03978e-40d5", Some(b"8e03978e-40d5")),
            (b"\"a b\"", Some(b"a b")),
            (br#""a\"b\\c""#, Some(br#"a"b\c"#)),
            (b"\"\"", None),
            (b"", None),
            (b"\"open", None),
            (b"a b", None),
            (b"a\"b", None),
            (br#""a\x""#, None),
            (br#""a"b""#, None),
            (b"\"\xc3\xa9\"", None),
            (b"\"a\"; p=1", None),
        ] {
            let mut fields = Fields::new();
            fields.push(b"idempotency-key", said);
            match (read(&fields), name) {
                (Ok(Some(read)), Some(name)) => assert_eq!(read.0, name),
                (Err(fault), None) => assert_eq!(fault.kind, FaultKind::BadIdempotencyKey),
                (read, _) => panic!("{}: {read:?}", said.escape_ascii()),
            }
        }
        let mut fields = Fields::new();
        assert_eq!(read(&fields).unwrap(), None);
        fields.push(b"Idempotency-Key", &[b'a'; 255]);
        assert!(read(&fields).unwrap().is_some());
        fields.push(b"Idempotency-Key", b"b");
        assert!(read(&fields).is_err(), "two of them");
        let mut fields = Fields::new();
        fields.push(b"Idempotency-Key", &[b'a'; 256]);
        assert!(read(&fields).is_err());
    }
}
