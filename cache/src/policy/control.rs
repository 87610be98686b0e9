//! Cache-Control, of requests and responses (RFC 9111 §5.2, RFC 5861, RFC 8246).
//!
//! Names in any case, values as tokens or quoted strings. Where the grammar is broken the stricter
//! reading counts: a lifetime that is no number is over, a qualified `no-cache` or `private` whose list
//! is no list is unqualified, and behind a quote that never ends only restrictions are read.

use base::field::{is_name, is_token_byte, members};
use base::{FieldName, Fields};

/// The longest lifetime or age in seconds; whatever is longer is this long (RFC 9111 §1.2.2).
pub const SECONDS_MAX: u32 = 1 << 31;

/// A directive without a value that we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    /// `no-store`.
    NoStore,
    /// `no-cache` without a list of fields.
    NoCache,
    /// `private` without a list of fields.
    Private,
    /// `public`.
    Public,
    /// `must-revalidate`.
    MustRevalidate,
    /// `proxy-revalidate`.
    ProxyRevalidate,
    /// `must-understand`.
    MustUnderstand,
    /// `immutable`.
    Immutable,
    /// `only-if-cached`, of requests.
    OnlyIfCached,
}

impl Flag {
    /// The flag of this name in lower case.
    pub fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"no-store" => Self::NoStore,
            b"no-cache" => Self::NoCache,
            b"private" => Self::Private,
            b"public" => Self::Public,
            b"must-revalidate" => Self::MustRevalidate,
            b"proxy-revalidate" => Self::ProxyRevalidate,
            b"must-understand" => Self::MustUnderstand,
            b"immutable" => Self::Immutable,
            b"only-if-cached" => Self::OnlyIfCached,
            _ => return None,
        })
    }

    /// Does it take a freedom away from a cache?
    pub const fn restricts(self) -> bool {
        !matches!(self, Self::Public | Self::MustUnderstand | Self::Immutable)
    }
}

/// What Cache-Control says, in seconds where it says how long.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives<'a> {
    /// `max-age`.
    pub max_age: Option<u32>,
    /// `s-maxage`.
    pub s_maxage: Option<u32>,
    /// `stale-while-revalidate`.
    pub stale_while_revalidate: Option<u32>,
    /// `stale-if-error`.
    pub stale_if_error: Option<u32>,
    /// `min-fresh`, of requests.
    pub min_fresh: Option<u32>,
    /// `max-stale`, of requests; without a value it is [`SECONDS_MAX`].
    pub max_stale: Option<u32>,
    /// Lists of the fields that `no-cache` and `private` are qualified by, as written.
    pub withheld: Vec<&'a [u8]>,
    flags: u16,
}

impl<'a> Directives<'a> {
    /// What all lines of Cache-Control say together.
    pub fn of(fields: &'a Fields) -> Self {
        let mut said = Self::default();
        for line in fields.all(FieldName::CacheControl) {
            said.read(line);
        }
        said
    }

    /// Is this said?
    pub const fn has(&self, flag: Flag) -> bool {
        self.flags & (1 << flag as u16) != 0
    }

    /// Says this.
    pub fn set(&mut self, flag: Flag) {
        self.flags |= 1 << flag as u16;
    }

    /// Is this one of the fields that must not be stored?
    pub fn withholds(&self, name: &[u8]) -> bool {
        self.withheld.iter().any(|list| members(list).any(|m| m.eq_ignore_ascii_case(name)))
    }

    /// Adds what one line says.
    pub fn read(&mut self, line: &'a [u8]) {
        let mut scan = Scan { line, broken: false };
        while let Some((name, value)) = scan.next_directive() {
            self.add(name, value, scan.broken);
        }
    }

    fn add(&mut self, name: &'a [u8], value: Value<'a>, broken: bool) {
        // The longest name that we know has 22 bytes.
        let mut lower = [0; 24];
        let Some(lower) = lower.get_mut(..name.len()) else { return };
        lower.copy_from_slice(name);
        lower.make_ascii_lowercase();
        if let Some(flag) = Flag::of(lower) {
            return self.add_flag(flag, value, broken);
        }
        if broken {
            return;
        }
        let Some((slot, none)) = self.seconds_of(lower) else { return };
        // Of several the first counts (RFC 9111 §4.2.1).
        *slot = slot.or(Some(match value {
            Value::None => none,
            Value::Text(text) => seconds(text).unwrap_or(0),
            Value::Illegal => 0,
        }));
    }

    /// Where the seconds of the directive of this name go, and what they are if it has no value.
    fn seconds_of(&mut self, name: &[u8]) -> Option<(&mut Option<u32>, u32)> {
        Some(match name {
            b"max-age" => (&mut self.max_age, 0),
            b"s-maxage" => (&mut self.s_maxage, 0),
            b"stale-while-revalidate" => (&mut self.stale_while_revalidate, 0),
            b"stale-if-error" => (&mut self.stale_if_error, 0),
            b"min-fresh" => (&mut self.min_fresh, 0),
            b"max-stale" => (&mut self.max_stale, SECONDS_MAX),
            _ => return None,
        })
    }

    fn add_flag(&mut self, flag: Flag, value: Value<'a>, broken: bool) {
        let is_list = |list: &[u8]| members(list).next().is_some() && members(list).all(is_name);
        match value {
            Value::Text(list) if is_qualified(flag) && is_list(list) => self.withheld.push(list),
            _ if !broken || flag.restricts() => self.set(flag),
            _ => {}
        }
    }
}

fn is_qualified(flag: Flag) -> bool {
    matches!(flag, Flag::NoCache | Flag::Private)
}

/// So many seconds, at most [`SECONDS_MAX`]; digits only.
pub fn seconds(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let sum =
        text.iter().fold(0_u64, |sum, b| (sum * 10 + u64::from(b - b'0')).min(SECONDS_MAX.into()));
    Some(sum as u32)
}

/// What stands behind the name of a directive.
#[derive(Clone, Copy)]
enum Value<'a> {
    None,
    /// A token, or what lies between the quotes of a quoted string.
    Text(&'a [u8]),
    Illegal,
}

/// Directives of one line, from left to right.
struct Scan<'a> {
    line: &'a [u8],
    /// Has there been a quote that does not end?
    broken: bool,
}

impl<'a> Scan<'a> {
    fn next_directive(&mut self) -> Option<(&'a [u8], Value<'a>)> {
        let blank = self.line.iter().take_while(|&&b| matches!(b, b',' | b' ' | b'\t')).count();
        self.line = &self.line[blank..];
        let end = self.line.iter().take_while(|&&b| is_token_byte(b)).count();
        let (name, rest) = self.line.split_at(end);
        if name.is_empty() && rest.is_empty() {
            return None;
        }
        self.line = rest;
        let value = match rest.first() {
            Some(b'=') => {
                self.line = &rest[1..];
                self.value()
            }
            _ => Value::None,
        };
        // Whatever still stands before the comma makes the directive illegal.
        let value = if self.skip_to_comma() { value } else { Value::Illegal };
        Some((name, value))
    }

    fn value(&mut self) -> Value<'a> {
        if self.line.first() == Some(&b'"') {
            return self.quoted();
        }
        let end = self.line.iter().take_while(|&&b| is_token_byte(b)).count();
        let (token, rest) = self.line.split_at(end);
        self.line = rest;
        if token.is_empty() { Value::Illegal } else { Value::Text(token) }
    }

    fn quoted(&mut self) -> Value<'a> {
        let Some(end) = quote_end(self.line) else {
            self.broken = true;
            self.line = &self.line[1..];
            return Value::Illegal;
        };
        let text = &self.line[1..end];
        self.line = &self.line[end + 1..];
        Value::Text(text)
    }

    /// Goes to the next comma outside of quotes; was there nothing but blanks before it?
    fn skip_to_comma(&mut self) -> bool {
        let mut clean = true;
        while let Some(&byte) = self.line.first() {
            match byte {
                b',' => break,
                b' ' | b'\t' => self.line = &self.line[1..],
                b'"' if !self.broken => {
                    clean = false;
                    let _inside = self.quoted();
                }
                _ => {
                    clean = false;
                    self.line = &self.line[1..];
                }
            }
        }
        clean
    }
}

/// Where the quoted string that `text` begins with ends.
pub(super) fn quote_end(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        match text.get(at)? {
            b'"' => return Some(at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}
