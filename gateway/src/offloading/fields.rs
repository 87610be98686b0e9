//! What is kept of a request, and what of that is for nobody who reads the disk.
//!
//! A request is kept as HTTP/1.1 would send it on. Fields named in `drop` are left out; of those named
//! in `encrypt` the value is sealed (AES-256-GCM, a nonce of its own) and is text all the same:
//! `{sealed}` and Base64. Only what this gateway or one with the same key has sealed is opened.

use crate::path::Exchange;
use base::{Fault, FaultKind, Fields, Framing, RequestHead};
use offload::base64;
use offload::engine::Engine;
use offload::settings::Rule;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use wire::h1;

/// What a sealed value begins with.
const SEALED: &[u8] = b"{sealed}";

/// The request of an exchange as it is kept.
///
/// # Errors
/// `Internal`: there is no key, or the system gives no random bytes.
pub(super) fn kept(
    exchange: &mut Exchange<'_>,
    rule: &Rule,
    engine: &Engine,
    body: &[u8],
) -> Result<Vec<u8>, Fault> {
    let head = &mut exchange.head;
    let is_in = |list: &[String], name: &[u8]| {
        list.iter().any(|field| field.as_bytes().eq_ignore_ascii_case(name))
    };
    if !rule.drop.is_empty() {
        head.fields.retain(|field| !is_in(&rule.drop, field.name));
    }
    head.fields.retain(|field| !field.name.eq_ignore_ascii_case(b"expect"));
    if !rule.encrypt.is_empty() {
        let secret: Vec<(Vec<u8>, Vec<u8>)> = head
            .fields
            .iter()
            .filter(|field| is_in(&rule.encrypt, field.name))
            .map(|field| (field.name.to_vec(), field.value.to_vec()))
            .collect();
        head.fields.retain(|field| !is_in(&rule.encrypt, field.name));
        for (name, value) in secret {
            let sealed = seal(engine.settings().key.as_ref(), &name, &value)?;
            head.fields.push(&name, &sealed);
        }
    }
    if exchange.facts.trace.is_on() {
        let own = exchange.facts.trace.own_text();
        head.fields.set(base::FieldName::Traceparent, &own);
    }
    let framing = match exchange.framing {
        Framing::None => Framing::None,
        _ => Framing::Length(body.len() as u64),
    };
    let mut bytes = Vec::with_capacity(512 + body.len());
    h1::encode::request(&mut bytes, head, framing);
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// Opens what is sealed in a head; what cannot be opened is left as it is, and told.
pub(super) fn open(engine: &Engine, head: &mut RequestHead) -> bool {
    let is_sealed = |fields: &Fields| fields.iter().any(|field| field.value.starts_with(SEALED));
    if !is_sealed(&head.fields) {
        return true;
    }
    let sealed: Vec<(Vec<u8>, Vec<u8>)> = head
        .fields
        .iter()
        .filter(|field| field.value.starts_with(SEALED))
        .map(|field| (field.name.to_vec(), field.value.to_vec()))
        .collect();
    head.fields.retain(|field| !field.value.starts_with(SEALED));
    let mut all = true;
    for (name, value) in sealed {
        if let Some(plain) = unseal(engine.settings().key.as_ref(), &name, &value) {
            head.fields.push(&name, &plain);
        } else {
            all = false;
            head.fields.push(&name, &value);
        }
    }
    all
}

fn key(key: Option<&[u8; 32]>) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key?).ok().map(LessSafeKey::new)
}

fn seal(with: Option<&[u8; 32]>, name: &[u8], value: &[u8]) -> Result<Vec<u8>, Fault> {
    let no = |detail: &str| Fault::new(FaultKind::Internal, detail.to_owned());
    let key = key(with).ok_or_else(|| no("offload.key is missing"))?;
    let mut nonce = [0; NONCE_LEN];
    SystemRandom::new().fill(&mut nonce).map_err(|_| no("the system gives no random bytes"))?;
    let mut bytes = value.to_vec();
    let about = Aad::from(name.to_ascii_lowercase());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), about, &mut bytes)
        .map_err(|_| no("a field cannot be sealed"))?;
    let mut sealed = nonce.to_vec();
    sealed.extend_from_slice(&bytes);
    let mut text = SEALED.to_vec();
    text.extend_from_slice(base64::encode(sealed).as_bytes());
    Ok(text)
}

fn unseal(with: Option<&[u8; 32]>, name: &[u8], text: &[u8]) -> Option<Vec<u8>> {
    let sealed = base64::decode(text.strip_prefix(SEALED)?)?;
    let (nonce, bytes) = sealed.split_at_checked(NONCE_LEN)?;
    let mut bytes = bytes.to_vec();
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let about = Aad::from(name.to_ascii_lowercase());
    let length = key(with)?.open_in_place(nonce, about, &mut bytes).ok()?.len();
    bytes.truncate(length);
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_its_key_and_field_alone() {
        let (ours, other) = ([1; 32], [2; 32]);
        let sealed = seal(Some(&ours), b"Cookie", b"sid=secret").unwrap();
        assert!(sealed.iter().all(u8::is_ascii_graphic));
        assert_eq!(unseal(Some(&ours), b"cookie", &sealed).unwrap(), b"sid=secret");
        assert_eq!(unseal(Some(&other), b"cookie", &sealed), None);
        assert_eq!(unseal(Some(&ours), b"authorization", &sealed), None);
        assert_eq!(unseal(None, b"cookie", &sealed), None);
        assert_ne!(seal(Some(&ours), b"Cookie", b"sid=secret").unwrap(), sealed);
        for at in SEALED.len()..sealed.len() {
            let mut bent = sealed.clone();
            bent[at] = if bent[at] == b'A' { b'B' } else { b'A' };
            let opened = unseal(Some(&ours), b"cookie", &bent);
            assert!(opened.is_none() || bent == sealed, "byte {at}");
        }
        assert_eq!(unseal(Some(&ours), b"cookie", b"{sealed}AAAA"), None);
        assert!(seal(None, b"Cookie", b"x").is_err());
    }
}
