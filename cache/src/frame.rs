//! An entry as bytes, for tiers behind memory.
//!
//! Whatever cannot be read back whole is nothing: a value of another version, of another key, cut or
//! changed. (Tiers guard their values with a checksum besides.) Numbers are little-endian; text is
//! preceded by its length in four bytes.
//!
//! ```text
//! version · kind · key's text · entry: status · fields · life · selecting · tags · stamp · body
//!                             · index: lists of field names that answers under this key vary by
//!                             · alias: another key
//! ```

use crate::entry::{Entry, Holding};
use crate::policy::{self, Life, Selecting};
use base::ResponseHead;
use bytes::Bytes;
use std::sync::Arc;
use wire::content::Content;

const VERSION: u8 = 1;
const ENTRY: u8 = 1;
const INDEX: u8 = 2;
const ALIAS: u8 = 3;
/// Most lists of names in an index.
pub const LISTS_MAX: usize = 4;

/// What a tier holds under a key.
#[derive(Debug)]
pub enum Framed {
    /// An entry.
    Entry(Box<Entry>),
    /// Entries lie under keys of their own, told apart by the fields of one of these lists: see [`each`].
    Index(Vec<Vec<u8>>),
    /// The entry lies under this key.
    Alias(u128),
}

fn put(out: &mut Vec<u8>, text: &[u8]) {
    out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    out.extend_from_slice(text);
}

/// An entry under the key of this text; `None` if its body is not all here.
pub fn entry(text: &[u8], entry: &Entry) -> Option<Vec<u8>> {
    let content = entry.content()?;
    let mut out = Vec::with_capacity(512 + text.len() + content.len() as usize);
    out.extend_from_slice(&[VERSION, ENTRY]);
    put(&mut out, text);
    out.extend_from_slice(&entry.head.status.to_le_bytes());
    put(&mut out, entry.head.reason());
    out.extend_from_slice(&(entry.head.fields.len() as u32).to_le_bytes());
    for field in entry.head.fields.iter() {
        put(&mut out, field.name);
        put(&mut out, field.value);
    }
    let mut part = Vec::new();
    entry.life.write(&mut part);
    put(&mut out, &part);
    part.clear();
    entry.selecting.write(&mut part);
    put(&mut out, &part);
    out.extend_from_slice(&(entry.tags.len() as u32).to_le_bytes());
    for tag in entry.tags.iter() {
        out.extend_from_slice(&tag.to_le_bytes());
    }
    out.extend_from_slice(&entry.stamp.to_le_bytes());
    out.extend_from_slice(&content.len().to_le_bytes());
    for segment in content.segments() {
        out.extend_from_slice(segment);
    }
    Some(out)
}

/// A list of field names as an index holds it.
pub fn names<'a>(names: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    names.collect::<Vec<_>>().join(&b'\n')
}

/// The names of such a list.
pub fn each(names: &[u8]) -> impl Iterator<Item = &[u8]> {
    names.split(|&b| b == b'\n')
}

/// An index under the key of this text.
pub fn index<'a>(text: &[u8], lists: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut out = vec![VERSION, INDEX];
    put(&mut out, text);
    for list in lists.take(LISTS_MAX) {
        put(&mut out, list);
    }
    out
}

/// An alias under the key of this text.
pub fn alias(text: &[u8], key: u128) -> Vec<u8> {
    let mut out = vec![VERSION, ALIAS];
    put(&mut out, text);
    out.extend_from_slice(&key.to_le_bytes());
    out
}

/// What is left to be read.
struct Left<'a>(&'a [u8]);

impl<'a> Left<'a> {
    fn bytes(&mut self, n: usize) -> Option<&'a [u8]> {
        let (head, rest) = self.0.split_at_checked(n)?;
        self.0 = rest;
        Some(head)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.bytes(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.u32()?;
        self.bytes(length as usize)
    }
}

/// Reads a value that should be of the key with this text.
pub fn read(value: &[u8], text: &[u8]) -> Option<Framed> {
    let mut left = Left(value);
    let [version, kind] = left.array()?;
    if version != VERSION || left.text()? != text {
        return None;
    }
    match kind {
        ENTRY => Some(Framed::Entry(Box::new(read_entry(&mut left)?))),
        INDEX => {
            let mut lists = Vec::new();
            while !left.0.is_empty() && lists.len() < LISTS_MAX {
                lists.push(left.text()?.to_vec());
            }
            Some(Framed::Index(lists))
        }
        ALIAS => left.array().map(u128::from_le_bytes).map(Framed::Alias),
        _ => None,
    }
}

fn read_entry(left: &mut Left<'_>) -> Option<Entry> {
    let head = read_head(left)?;
    let life = Life::read(left.text()?)?;
    let selecting = Selecting::read(left.text()?)?;
    let range = policy::content_range(&head).filter(|_| head.status == 206);
    let count = left.u32()? as usize;
    let tags = left.bytes(count.checked_mul(8)?)?;
    let tags: Arc<[u64]> = tags.as_chunks().0.iter().map(|tag| u64::from_le_bytes(*tag)).collect();
    let stamp = left.u64()?;
    let length = left.u64()?;
    if length != left.0.len() as u64 {
        return None;
    }
    let content = Content::join(&[Bytes::copy_from_slice(left.0)]);
    Some(Entry::new((head, Holding::Whole(content)), life, (selecting, range), (tags, stamp)))
}

fn read_head(left: &mut Left<'_>) -> Option<ResponseHead> {
    let status = u16::from_le_bytes(left.array()?);
    if !(200..1000).contains(&status) {
        return None;
    }
    let mut head = ResponseHead::with_reason(status, legal(left.text()?)?);
    for _ in 0..left.u32()? {
        let (name, value) = (left.text()?, left.text()?);
        if !base::field::is_name(name) || !base::field::is_value(value) {
            return None;
        }
        head.fields.push(name, value);
    }
    Some(head.packed())
}

/// A reason phrase without anything that would end its line.
fn legal(reason: &[u8]) -> Option<&[u8]> {
    reason.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f)).then_some(reason)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{self, Query};
    use crate::settings::Rules;
    use base::{Fields, Wall};
    use proptest::prelude::*;

    const TEXT: &[u8] = b"http://shop.test/p/7";

    fn made(body: &[u8], tags: &[u64]) -> Entry {
        let mut fields = Fields::new();
        fields.push(b"Accept-Language", b"de");
        let query = Query { method: b"GET", fields: &fields, has_body: false, upgrade: false };
        let mut head = ResponseHead::with_reason(200, b"Fine");
        for (name, value) in [
            ("Date", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("Cache-Control", "max-age=60"),
            ("Vary", "Accept-Language"),
            ("Content-Language", "de"),
        ] {
            head.fields.push(name.as_bytes(), value.as_bytes());
        }
        let (now, rules) = (Wall(784_111_777_000), Rules::standard());
        let life = policy::store(&query, &head, now, now, &rules, &[]).expect("it says how long");
        let selecting = Selecting::of(&query, &head, &rules).expect("one field");
        let content = Content::join(&[Bytes::copy_from_slice(body)]);
        let held = (head.packed(), Holding::Whole(content));
        Entry::new(held, life, (selecting, None), (tags.into(), 42))
    }

    fn lines(head: &ResponseHead) -> Vec<(Vec<u8>, Vec<u8>)> {
        head.fields.iter().map(|field| (field.name.to_vec(), field.value.to_vec())).collect()
    }

    proptest! {
        #[test]
        fn an_entry_is_read_back_as_it_was(
            body in prop::collection::vec(any::<u8>(), 0..20_000),
            tags in prop::collection::vec(any::<u64>(), 0..5),
        ) {
            let before = made(&body, &tags);
            let value = entry(TEXT, &before).expect("its body is here");
            let Some(Framed::Entry(after)) = read(&value, TEXT) else { panic!("not read") };
            prop_assert_eq!(lines(&after.head), lines(&before.head));
            prop_assert_eq!(after.head.reason(), b"Fine");
            prop_assert_eq!(after.life, before.life);
            prop_assert_eq!(&after.selecting, &before.selecting);
            prop_assert_eq!((&after.tags, after.stamp), (&before.tags, 42));
            prop_assert_eq!(after.content().map(|content| content.segments().concat()), Some(body));
            prop_assert!(read(&value, b"http://shop.test/p/8").is_none(), "another key's");
        }

        #[test]
        fn what_is_cut_or_made_up_is_nothing(
            cut in 0_usize..400,
            at in 0_usize..400,
            byte in any::<u8>(),
            noise in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let mut value = entry(TEXT, &made(b"hello", &[1])).expect("its body is here");
            prop_assert!(read(&value[..cut.min(value.len() - 1)], TEXT).is_none());
            // A changed byte may be read as something else (checksums are the tiers'), but never panics.
            let at = at % value.len();
            value[at] = byte;
            let _something_or_nothing = read(&value, TEXT);
            prop_assert!(read(&noise, TEXT).is_none());
        }
    }

    #[test]
    fn an_index_and_an_alias_are_read_back() {
        let lists =
            [names([&b"accept"[..], b"cookie"].into_iter()), names([&b"te"[..]].into_iter())];
        let value = index(TEXT, lists.iter().map(Vec::as_slice));
        let Some(Framed::Index(found)) = read(&value, TEXT) else { panic!("not read") };
        assert_eq!(found, lists);
        assert_eq!(each(&found[0]).collect::<Vec<_>>(), [&b"accept"[..], b"cookie"]);
        let Some(Framed::Alias(key)) = read(&alias(TEXT, 7), TEXT) else { panic!("not read") };
        assert_eq!(key, 7);
    }
}
