//! Which stored answer a request selects: Vary and the values behind it (RFC 9111 §4.1).
//!
//! Values are compared in a normal form that asks for the same: lists without blanks, lines combined,
//! Accept-Encoding as a set, Accept-Language as ranks. A normal form is its own normal form, so that a
//! value equal to a stored one needs no work.

use super::reason::Reason;
use super::{Query, accept};
use crate::settings::{Profile, Rules};
use base::field::{Names, is_name, members};
use base::{FieldName, Fields, ResponseHead};

/// Most request fields that one answer may vary by.
pub const NAMES_MAX: usize = 16;
/// Longest name of such a field.
const NAME_BYTES_MAX: usize = 128;

/// Fields that differ from client to client: where routes are safe an answer that varies by one is
/// stored only if the route lists it.
const PERSONAL: [&str; 11] = [
    "authorization",
    "available-dictionary",
    "cookie",
    "forwarded",
    "from",
    "referer",
    "user-agent",
    "x-forwarded-for",
    "x-real-ip",
    "traceparent",
    "x-request-id",
];

/// The request fields that an answer was selected by, with their values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selecting {
    fields: Vec<Chosen>,
    /// The language of the answer, if it varies by language and says which one it has.
    language: Option<Box<[u8]>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Chosen {
    /// In lower case.
    name: Box<[u8]>,
    known: FieldName,
    /// In normal form; `None` if the request had no such field.
    value: Option<Box<[u8]>>,
}

impl Chosen {
    fn of(name: &[u8], query: &Query<'_>, rules: &Rules) -> Self {
        let name = name.to_ascii_lowercase();
        let known = FieldName::classify(&name);
        let mut value = Vec::new();
        let is_there = normalise(known, &name, query.fields, rules, &mut value);
        let value = is_there.then(|| value.into_boxed_slice());
        Self { name: name.into(), known, value }
    }

    fn matches(&self, query: &Query<'_>, rules: &Rules) -> bool {
        let mut lines = lines(query.fields, self.known, &self.name);
        let (first, second) = (lines.next(), lines.next());
        if second.is_none() && first == self.value.as_deref() {
            return true;
        }
        let (Some(stored), Some(_)) = (self.value.as_deref(), first) else { return false };
        let mut value = Vec::new();
        normalise(self.known, &self.name, query.fields, rules, &mut value);
        value == stored
    }
}

impl Selecting {
    /// What this answer to this request was selected by. A 206 is selected by Range as well: it never
    /// passes for a whole answer.
    pub fn of(query: &Query<'_>, response: &ResponseHead, rules: &Rules) -> Result<Self, Reason> {
        let mut names: Vec<&[u8]> =
            response.fields.all(FieldName::Vary).flat_map(members).collect();
        if names.contains(&&b"*"[..]) {
            return Err(Reason::VaryAny);
        }
        if response.status == 206 {
            names.push(b"range");
        }
        if names.is_empty() {
            return Ok(Self::default());
        }
        check(&names, response, rules)?;
        let mut fields: Vec<_> = names.iter().map(|name| Chosen::of(name, query, rules)).collect();
        fields.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        fields.dedup_by(|a, b| a.name == b.name);
        let language = fields.iter().any(|f| f.known == FieldName::AcceptLanguage);
        let language = language.then(|| sole_language(response)).flatten().map(Box::from);
        Ok(Self { fields, language })
    }

    /// Was it selected by nothing?
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// Was it selected by one of these fields?
    pub fn has_any(&self, names: Names) -> bool {
        self.fields.iter().any(|field| names.has(field.known))
    }

    /// Does this request select the same answer?
    pub fn matches(&self, query: &Query<'_>, rules: &Rules) -> bool {
        self.fields.iter().all(|field| self.selects(field, query, rules))
    }

    /// The same, whatever part of the answer is asked for: for [`super::covers`].
    pub fn matches_but_range(&self, query: &Query<'_>, rules: &Rules) -> bool {
        let mut fields = self.fields.iter().filter(|field| field.known != FieldName::Range);
        fields.all(|field| self.selects(field, query, rules))
    }

    fn selects(&self, field: &Chosen, query: &Query<'_>, rules: &Rules) -> bool {
        field.matches(query, rules)
            || (field.known == FieldName::AcceptLanguage
                && self.language.as_ref().is_some_and(|language| {
                    accept::prefers(query.fields.all(FieldName::AcceptLanguage), language)
                }))
    }

    /// The names, in lower case and in order.
    pub fn names(&self) -> impl Iterator<Item = &[u8]> {
        self.fields.iter().map(|field| &*field.name)
    }

    /// What tells this answer from others of the same key, as bytes to be hashed; it equals
    /// [`variant`] of the same names and an equal request.
    pub fn variant(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for field in &self.fields {
            write_variant(&field.name, field.value.as_deref(), &mut out);
        }
        out
    }

    /// The bytes of [`Selecting::variant`] for those who want the language of this answer and no other,
    /// if it varies by language and says which one it has.
    pub fn variant_by_language(&self) -> Option<Vec<u8>> {
        let language = self.language.as_ref()?.to_ascii_lowercase();
        let mut out = Vec::new();
        for field in &self.fields {
            let value = match field.known {
                FieldName::AcceptLanguage => Some(&*language),
                _ => field.value.as_deref(),
            };
            write_variant(&field.name, value, &mut out);
        }
        Some(out)
    }

    /// The same, whatever part is asked for.
    #[must_use]
    pub fn but_range(&self) -> Self {
        let mut other = self.clone();
        other.fields.retain(|field| field.known != FieldName::Range);
        other
    }

    /// Bytes of memory that it owns.
    pub fn footprint(&self) -> usize {
        let fields = self.fields.iter().map(|field| {
            size_of::<Chosen>() + field.name.len() + field.value.as_ref().map_or(0, |v| v.len())
        });
        fields.sum::<usize>() + self.language.as_ref().map_or(0, |language| language.len())
    }

    /// Appends it as bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.push(self.fields.len() as u8);
        for field in &self.fields {
            out.push(field.name.len() as u8);
            out.extend_from_slice(&field.name);
            write_optional(field.value.as_deref(), out);
        }
        write_optional(self.language.as_deref(), out);
    }

    /// Reads back all of these bytes; `None` if they are not what [`Selecting::write`] writes.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let count = usize::from(*rest.split_off_first()?);
        if count > NAMES_MAX + 1 {
            return None;
        }
        let mut fields = Vec::with_capacity(count);
        for _ in 0..count {
            let length = usize::from(*rest.split_off_first()?);
            let name = rest.split_off(..length).filter(|name| is_name(name))?;
            let mut value = None;
            read_optional(&mut rest, &mut value)?;
            fields.push(Chosen { name: name.into(), known: FieldName::classify(name), value });
        }
        let mut language = None;
        read_optional(&mut rest, &mut language)?;
        rest.is_empty().then_some(Self { fields, language })
    }
}

/// The bytes of [`Selecting::variant`] for a request, given the names that an answer varies by.
pub fn variant<'n>(
    names: impl IntoIterator<Item = &'n [u8]>,
    query: &Query<'_>,
    rules: &Rules,
) -> Vec<u8> {
    let (mut out, mut value) = (Vec::new(), Vec::new());
    for name in names {
        value.clear();
        let is_there = normalise(FieldName::classify(name), name, query.fields, rules, &mut value);
        write_variant(name, is_there.then_some(&*value), &mut out);
    }
    out
}

/// The same as if the request wanted nothing but the language it wants most; `None` if it names none,
/// or if language is no matter.
pub fn variant_by_favourite<'n>(
    names: impl IntoIterator<Item = &'n [u8]>,
    query: &Query<'_>,
    rules: &Rules,
) -> Option<Vec<u8>> {
    let favourite = accept::favourite(query.fields.all(FieldName::AcceptLanguage))?;
    let (mut out, mut value, mut is_matter) = (Vec::new(), Vec::new(), false);
    for name in names {
        let known = FieldName::classify(name);
        if known == FieldName::AcceptLanguage {
            write_variant(name, Some(&favourite), &mut out);
            is_matter = true;
            continue;
        }
        value.clear();
        let is_there = normalise(known, name, query.fields, rules, &mut value);
        write_variant(name, is_there.then_some(&*value), &mut out);
    }
    is_matter.then_some(out)
}

/// No byte of a name or a value is a line feed or a zero.
fn write_variant(name: &[u8], value: Option<&[u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    if let Some(value) = value {
        out.push(0);
        out.extend_from_slice(value);
    }
    out.push(b'\n');
}

fn write_optional(value: Option<&[u8]>, out: &mut Vec<u8>) {
    let Some(value) = value else { return out.push(0) };
    out.push(1);
    out.extend_from_slice(&(value.len() as u32).to_le_bytes());
    out.extend_from_slice(value);
}

fn read_optional(rest: &mut &[u8], value: &mut Option<Box<[u8]>>) -> Option<()> {
    match *rest.split_off_first()? {
        0 => Some(()),
        1 => {
            let length = u32::from_le_bytes(rest.split_off(..4)?.try_into().ok()?);
            *value = Some(rest.split_off(..length as usize)?.into());
            Some(())
        }
        _ => None,
    }
}

fn check(names: &[&[u8]], response: &ResponseHead, rules: &Rules) -> Result<(), Reason> {
    let is_legal = |name: &&[u8]| name.len() <= NAME_BYTES_MAX && is_name(name);
    if names.len() > NAMES_MAX || !names.iter().all(is_legal) {
        return Err(Reason::VaryIllegal);
    }
    let is = |name: &[u8], other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    let is_listed = |name: &[u8]| rules.vary.iter().any(|listed| is(name, listed));
    let is_personal = |name: &&[u8]| PERSONAL.iter().any(|personal| is(name, personal));
    let mut personal = names.iter().filter(|name| is_personal(name));
    if rules.profile == Profile::Safe && personal.any(|name| !is_listed(name)) {
        return Err(Reason::VaryField);
    }
    // The normal form of Accept-Encoding forgets codings that we do not know, dictionaries above all
    // (RFC 9842): who asked for one must not be told from who did not by an answer that has it.
    let by_coding = names.iter().any(|name| is(name, "accept-encoding"));
    let mut codings = response.fields.all(FieldName::ContentEncoding);
    if by_coding && !codings.all(accept::is_known_coding) {
        return Err(Reason::Coding);
    }
    Ok(())
}

fn sole_language(response: &ResponseHead) -> Option<&[u8]> {
    let mut list = response.fields.all(FieldName::ContentLanguage).flat_map(members);
    let language = list.next().filter(|language| is_name(language))?;
    list.next().is_none().then_some(language)
}

fn lines<'f>(
    fields: &'f Fields,
    known: FieldName,
    name: &'f [u8],
) -> impl Iterator<Item = &'f [u8]> {
    let same = move |field: &base::field::FieldRef<'_>| match known {
        FieldName::Other => field.name.eq_ignore_ascii_case(name),
        known => field.known == known,
    };
    fields.iter().filter(same).map(|field| field.value)
}

/// Appends the normal form of a field of the request; is there one?
pub(super) fn normalise(
    known: FieldName,
    name: &[u8],
    fields: &Fields,
    rules: &Rules,
    out: &mut Vec<u8>,
) -> bool {
    let mut found = lines(fields, known, name).peekable();
    if found.peek().is_none() {
        return false;
    }
    match known {
        FieldName::AcceptEncoding => accept::codings(found, out),
        FieldName::AcceptLanguage => accept::languages(found, &rules.languages, out),
        _ => combine(found, out),
    }
    true
}

/// Joins lines with commas and leaves out the blanks around commas that are not quoted.
pub fn combine<'a>(lines: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    let mut writer = Writer { out, quoted: false, escaped: false, blanks: 0, behind_comma: true };
    for (index, line) in lines.enumerate() {
        if index > 0 {
            writer.put(b',');
        }
        for &byte in line {
            writer.put(byte);
        }
    }
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    quoted: bool,
    escaped: bool,
    /// Blanks that were not written yet: they count only if something but a comma follows.
    blanks: usize,
    behind_comma: bool,
}

impl Writer<'_> {
    fn put(&mut self, byte: u8) {
        match byte {
            b' ' | b'\t' if !self.quoted => {
                self.blanks += usize::from(!self.behind_comma);
                return;
            }
            b',' if !self.quoted => self.blanks = 0,
            _ => {}
        }
        self.out.extend(std::iter::repeat_n(b' ', std::mem::take(&mut self.blanks)));
        self.out.push(byte);
        self.behind_comma = byte == b',' && !self.quoted;
        if self.quoted && !self.escaped && byte == b'\\' {
            self.escaped = true;
        } else {
            self.quoted ^= byte == b'"' && !self.escaped;
            self.escaped = false;
        }
    }
}
