//! Fields of a message: one flat, ordered list over the bytes that were received.
//!
//! Order and case are kept, because a gateway must (RFC 9110 §5.3). Nothing is hashed: names that
//! some room looks for are classified once, when they are read, and found by a byte compare after
//! that. Removing a field forgets its slot; adding one appends to the same buffer. Buffers are lent by
//! the thread and go back to it, so that a head costs no allocation once a thread has warmed up.

use std::cell::RefCell;

/// Where something lies in the buffer of a [`Fields`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    start: u32,
    length: u32,
}

impl Span {
    /// `start..end`. Heads are bounded far below 4 GiB by their limit.
    pub fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end && u32::try_from(end).is_ok());
        Self { start: start as u32, length: (end - start) as u32 }
    }

    fn end(self) -> usize {
        (self.start + self.length) as usize
    }

    fn of(self, bytes: &[u8]) -> &[u8] {
        &bytes[self.start as usize..(self.start + self.length) as usize]
    }
}

#[derive(Clone, Copy, Debug)]
struct Slot {
    name: Span,
    value: Span,
    known: FieldName,
}

macro_rules! names {
    ($($variant:ident = $text:literal),* $(,)?) => {
        /// A field name that some room looks for, or that may not stand in trailers because others
        /// look for it; all others are `Other`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[allow(missing_docs, reason = "each variant is the name it spells")]
        pub enum FieldName { Other, $($variant),* }

        impl FieldName {
            /// Every name that is not `Other`.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The name in lower case; empty for `Other`.
            pub const fn text(self) -> &'static str {
                match self { Self::Other => "", $(Self::$variant => $text),* }
            }

            /// The bit that stands for this name in a set of names.
            const fn bit(self) -> u128 {
                1 << self as u8
            }
        }
    };
}

names! {
    Host = "host",
    Connection = "connection",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    Te = "te",
    Trailer = "trailer",
    Upgrade = "upgrade",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    Http2Settings = "http2-settings",
    Expect = "expect",
    Via = "via",
    MaxForwards = "max-forwards",
    Forwarded = "forwarded",
    XForwardedFor = "x-forwarded-for",
    XForwardedProto = "x-forwarded-proto",
    XForwardedHost = "x-forwarded-host",
    XForwardedPort = "x-forwarded-port",
    XForwardedPrefix = "x-forwarded-prefix",
    XForwardedScheme = "x-forwarded-scheme",
    XForwardedServer = "x-forwarded-server",
    XForwardedSsl = "x-forwarded-ssl",
    XRealIp = "x-real-ip",
    XOriginalUrl = "x-original-url",
    XRewriteUrl = "x-rewrite-url",
    XHttpMethodOverride = "x-http-method-override",
    XHttpMethod = "x-http-method",
    XMethodOverride = "x-method-override",
    XHost = "x-host",
    XOriginalHost = "x-original-host",
    Cookie = "cookie",
    Date = "date",
    RetryAfter = "retry-after",
    Authorization = "authorization",
    CacheControl = "cache-control",
    Pragma = "pragma",
    Age = "age",
    Expires = "expires",
    Etag = "etag",
    LastModified = "last-modified",
    Vary = "vary",
    SetCookie = "set-cookie",
    Range = "range",
    IfRange = "if-range",
    IfMatch = "if-match",
    IfNoneMatch = "if-none-match",
    IfModifiedSince = "if-modified-since",
    IfUnmodifiedSince = "if-unmodified-since",
    ContentType = "content-type",
    ContentEncoding = "content-encoding",
    ContentLanguage = "content-language",
    ContentLocation = "content-location",
    ContentRange = "content-range",
    Location = "location",
    AcceptEncoding = "accept-encoding",
    AcceptLanguage = "accept-language",
    Accept = "accept",
    UserAgent = "user-agent",
    CacheStatus = "cache-status",
    CdnCacheControl = "cdn-cache-control",
    SurrogateControl = "surrogate-control",
    SurrogateKey = "surrogate-key",
    CacheTag = "cache-tag",
    Xkey = "xkey",
    CacheGroups = "cache-groups",
    CacheGroupInvalidation = "cache-group-invalidation",
    Warning = "warning",
    AcceptRanges = "accept-ranges",
    Traceparent = "traceparent",
    Tracestate = "tracestate",
    ServerTiming = "server-timing",
    XRequestId = "x-request-id",
    ServerTimingToken = "server-timing-token",
    Traceresponse = "traceresponse",
    Referer = "referer",
}

impl FieldName {
    /// Which of our names this is, whatever its case.
    pub fn classify(name: &[u8]) -> Self {
        use FieldName as N;
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        let candidates: &[Self] = match (name.len(), first) {
            (2, b't') => &[N::Te],
            (3, b'a') => &[N::Age],
            (3, b'v') => &[N::Via],
            (4, b'd') => &[N::Date],
            (4, b'e') => &[N::Etag],
            (4, b'h') => &[N::Host],
            (4, b'v') => &[N::Vary],
            (4, b'x') => &[N::Xkey],
            (5, b'r') => &[N::Range],
            (6, b'a') => &[N::Accept],
            (6, b'c') => &[N::Cookie],
            (6, b'e') => &[N::Expect],
            (6, b'p') => &[N::Pragma],
            (6, b'x') => &[N::XHost],
            (7, b'e') => &[N::Expires],
            (7, b'r') => &[N::Referer],
            (7, b't') => &[N::Trailer],
            (7, b'u') => &[N::Upgrade],
            (7, b'w') => &[N::Warning],
            (8, b'i') => &[N::IfRange, N::IfMatch],
            (8, b'l') => &[N::Location],
            (9, b'c') => &[N::CacheTag],
            (9, b'f') => &[N::Forwarded],
            (9, b'x') => &[N::XRealIp],
            (10, b'c') => &[N::Connection],
            (10, b'k') => &[N::KeepAlive],
            (10, b's') => &[N::SetCookie],
            (10, b't') => &[N::Tracestate],
            (10, b'u') => &[N::UserAgent],
            (11, b'r') => &[N::RetryAfter],
            (11, b't') => &[N::Traceparent],
            (12, b'c') => &[N::ContentType, N::CacheStatus, N::CacheGroups],
            (12, b'm') => &[N::MaxForwards],
            (12, b'x') => &[N::XRequestId],
            (13, b'a') => &[N::Authorization, N::AcceptRanges],
            (13, b'c') => &[N::CacheControl, N::ContentRange],
            (13, b'i') => &[N::IfNoneMatch],
            (13, b'l') => &[N::LastModified],
            (13, b's') => &[N::SurrogateKey, N::ServerTiming],
            (13, b't') => &[N::Traceresponse],
            (13, b'x') => &[N::XRewriteUrl, N::XHttpMethod],
            (14, b'c') => &[N::ContentLength],
            (14, b'h') => &[N::Http2Settings],
            (14, b'x') => &[N::XOriginalUrl],
            (15, b'a') => &[N::AcceptEncoding, N::AcceptLanguage],
            (15, b'x') => &[N::XForwardedFor, N::XForwardedSsl, N::XOriginalHost],
            (16, b'c') => &[N::ContentEncoding, N::ContentLanguage, N::ContentLocation],
            (16, b'p') => &[N::ProxyConnection],
            (16, b'x') => &[N::XForwardedHost, N::XForwardedPort],
            (17, b'c') => &[N::CdnCacheControl],
            (17, b'i') => &[N::IfModifiedSince],
            (17, b's') => &[N::SurrogateControl],
            (17, b't') => &[N::TransferEncoding],
            (17, b'x') => &[N::XForwardedProto, N::XMethodOverride],
            (18, b'p') => &[N::ProxyAuthenticate],
            (18, b'x') => &[N::XForwardedPrefix, N::XForwardedScheme, N::XForwardedServer],
            (19, b'i') => &[N::IfUnmodifiedSince],
            (19, b'p') => &[N::ProxyAuthorization],
            (19, b's') => &[N::ServerTimingToken],
            (22, b'x') => &[N::XHttpMethodOverride],
            (24, b'c') => &[N::CacheGroupInvalidation],
            _ => return N::Other,
        };
        let found = candidates.iter().find(|n| is_same(name, n.text().as_bytes()));
        found.copied().unwrap_or(N::Other)
    }
}

/// A set of known names.
#[derive(Clone, Copy, Debug)]
pub struct Names(u128);

impl Names {
    /// These names.
    pub const fn of(names: &[FieldName]) -> Self {
        let (mut set, mut at) = (0, 0);
        while at < names.len() {
            set |= names[at].bit();
            at += 1;
        }
        Self(set)
    }

    /// These and those.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Is this name among them?
    pub const fn has(self, name: FieldName) -> bool {
        self.0 & name.bit() != 0
    }
}

/// Is `name`, a token, the same as `lower`, which is letters in lower case and hyphens, whatever the
/// case of `name`? Both are of one length. Eight bytes at a time: setting the bit that tells cases
/// apart makes no other token byte into a letter or a hyphen.
fn is_same(name: &[u8], lower: &[u8]) -> bool {
    const CASE: u64 = 0x2020_2020_2020_2020;
    let word = |text: &[u8], at: usize| {
        text.get(at..at + 8).and_then(|w| w.try_into().ok()).map_or(0, u64::from_le_bytes)
    };
    let n = lower.len();
    if name.len() != n {
        return false;
    }
    if n < 8 {
        return name.iter().zip(lower).all(|(a, b)| a | 0x20 == *b);
    }
    // Words that overlap cover every length from 8 on.
    let mut at = 0;
    while at + 8 < n {
        if word(name, at) | CASE != word(lower, at) {
            return false;
        }
        at += 8;
    }
    word(name, n - 8) | CASE == word(lower, n - 8)
}

/// Heads whose buffers a thread keeps for the next.
const FREE_MAX: usize = 64;
/// Buffers that grew larger than this are not kept, nor are those that were fitted to less.
const FREE_BYTES_MAX: usize = 8 << 10;
const FREE_BYTES_MIN: usize = 512;
/// What a buffer has room for at first: a usual head, and what we add.
const NEW_BYTES: usize = 1 << 10;
const NEW_SLOTS: usize = 24;

thread_local! {
    static FREE: RefCell<Vec<(Vec<u8>, Vec<Slot>)>> = const { RefCell::new(Vec::new()) };
}

/// The fields of one head or trailer section, in the order received.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    /// A bit for each known name that was ever put in: what is not here need not be looked for.
    seen: u128,
    /// The buffer is a run of whole lines, those of all fields in their order, behind some lead.
    run: bool,
}

/// Fields made once, to be appended to many heads.
#[derive(Clone, Debug, Default)]
pub struct Prepared(Fields);

impl Prepared {
    /// From names and values in this order; each must be legal.
    pub fn new(fields: &[(&str, &[u8])]) -> Self {
        let mut prepared = Fields::new();
        for (name, value) in fields {
            prepared.push(name.as_bytes(), value);
        }
        Self(prepared)
    }
}

/// One field, as it was received.
#[derive(Clone, Copy, Debug)]
pub struct FieldRef<'a> {
    /// Its name in the case it came in.
    pub name: &'a [u8],
    /// Its value without white space around it.
    pub value: &'a [u8],
    /// Which of the names we know it is.
    pub known: FieldName,
}

impl Fields {
    /// No fields, over an empty buffer.
    pub const fn new() -> Self {
        Self { bytes: Vec::new(), slots: Vec::new(), seen: 0, run: false }
    }

    /// No fields yet, for a parser: it [`Fields::note`]s where they lie in the bytes that it reads
    /// and hands these over with [`Fields::fill`] when it knows how many there are.
    pub fn lent() -> Self {
        let lent = FREE.with_borrow_mut(Vec::pop);
        // Large enough to be kept for the next, however short this head is.
        let (bytes, slots) =
            lent.unwrap_or_else(|| (Vec::with_capacity(NEW_BYTES), Vec::with_capacity(NEW_SLOTS)));
        Self { bytes, slots, seen: 0, run: false }
    }

    /// The same fields in a buffer of just their size, each a whole line behind `lead`: to be kept.
    #[must_use]
    pub fn packed(&self, lead: &[u8]) -> Self {
        let bytes: usize = self.iter().map(|field| field.name.len() + field.value.len() + 4).sum();
        let mut packed = Self {
            bytes: Vec::with_capacity(lead.len() + bytes),
            slots: Vec::with_capacity(self.len()),
            seen: 0,
            run: true,
        };
        packed.bytes.extend_from_slice(lead);
        for field in self.iter() {
            packed.push_as(field.known, field.name, field.value);
        }
        packed
    }

    /// The same fields in a buffer lent by the thread, with room for more.
    #[must_use]
    pub fn copied(&self) -> Self {
        let mut copy = Self::lent();
        copy.fill(&self.bytes);
        copy.slots.extend_from_slice(&self.slots);
        (copy.seen, copy.run) = (self.seen, self.run);
        copy
    }

    /// Bytes of memory that they take.
    pub fn footprint(&self) -> usize {
        self.bytes.capacity() + self.slots.capacity() * size_of::<Slot>()
    }

    /// Records a field that lies at these places of the bytes to be filled in, and whose name is
    /// `text`.
    pub fn note(&mut self, text: &[u8], name: Span, value: Span) {
        self.put(Slot { name, value, known: FieldName::classify(text) });
    }

    /// Takes a copy of the bytes in which all fields noted so far lie.
    pub fn fill(&mut self, bytes: &[u8]) {
        debug_assert!(self.bytes.is_empty());
        self.bytes.reserve(bytes.len() + ROOM_BYTES);
        self.bytes.extend_from_slice(bytes);
    }

    fn put(&mut self, slot: Slot) {
        self.seen |= slot.known.bit();
        self.slots.push(slot);
    }

    /// Appends fields that were made before.
    pub fn append(&mut self, prepared: &Prepared) {
        let by = self.bytes.len() as u32;
        self.run &= prepared.0.is_whole_lines();
        self.bytes.extend_from_slice(&prepared.0.bytes);
        let moved = |span: Span| Span { start: span.start + by, length: span.length };
        let slots = prepared.0.slots.iter();
        self.slots.extend(slots.map(|slot| Slot {
            name: moved(slot.name),
            value: moved(slot.value),
            known: slot.known,
        }));
        self.seen |= prepared.0.seen;
    }

    /// Appends text that is no field (a method, a target) to the buffer and says where it lies.
    pub fn keep(&mut self, text: &[u8]) -> Span {
        self.run = false;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        Span::new(start, self.bytes.len())
    }

    /// What a span of this buffer spans.
    pub fn text(&self, span: Span) -> &[u8] {
        span.of(&self.bytes)
    }

    /// Appends a field. Name and value must be legal: [`is_name`] and [`is_value`].
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_as(FieldName::classify(name), name, value);
    }

    /// Appends a field of a known name, spelled in this case.
    pub fn push_as(&mut self, known: FieldName, name: &[u8], value: &[u8]) {
        debug_assert!(is_name(name) && is_value(value) && known == FieldName::classify(name));
        let start = self.bytes.len();
        // A whole line, so that it can be written as it lies here.
        for part in [name, b": ", value, b"\r\n"] {
            self.bytes.extend_from_slice(part);
        }
        let name = Span::new(start, start + name.len());
        let value = Span::new(name.end() + 2, name.end() + 2 + value.len());
        self.put(Slot { name, value, known });
    }

    /// Appends a field of a known name with the value that the first field `of` has, if there is one.
    pub fn push_same(&mut self, known: FieldName, name: &[u8], of: FieldName) {
        let Some(slot) = self.slots.iter().find(|slot| slot.known == of) else { return };
        let value = slot.value.start as usize..slot.value.end();
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        self.bytes.extend_from_slice(b": ");
        self.bytes.extend_from_within(value.clone());
        self.bytes.extend_from_slice(b"\r\n");
        let name = Span::new(start, start + name.len());
        let value = Span::new(name.end() + 2, name.end() + 2 + value.len());
        self.put(Slot { name, value, known });
    }

    /// Appends the first `lead` bytes of the buffer and the fields to `out` as lines of HTTP/1.
    /// Instead of a framing field `framing` is called: it may write one of its own there.
    pub fn write_lines(
        &self,
        out: &mut Vec<u8>,
        lead: usize,
        mut framing: impl FnMut(&mut Vec<u8>),
    ) {
        const FRAMING: Names = Names::of(&[FieldName::ContentLength, FieldName::TransferEncoding]);
        if self.run && !self.may_have_any(FRAMING) {
            return out.extend_from_slice(&self.bytes);
        }
        // Lines that lie one behind the other as they should be written are copied as one.
        let mut run = 0..lead;
        for slot in &self.slots {
            if matches!(slot.known, FieldName::ContentLength | FieldName::TransferEncoding) {
                out.extend_from_slice(&self.bytes[run]);
                run = 0..0;
                framing(out);
                continue;
            }
            if !self.is_whole_line(slot) {
                out.extend_from_slice(&self.bytes[run]);
                run = 0..0;
                let (name, value) = (slot.name.of(&self.bytes), slot.value.of(&self.bytes));
                for part in [name, b": ", value, b"\r\n"] {
                    out.extend_from_slice(part);
                }
                continue;
            }
            let (start, end) = (slot.name.start as usize, slot.value.end() + 2);
            if start != run.end {
                out.extend_from_slice(&self.bytes[run]);
                run = start..start;
            }
            run.end = end;
        }
        out.extend_from_slice(&self.bytes[run]);
    }

    /// Is the buffer nothing but the lines of these fields?
    fn is_whole_lines(&self) -> bool {
        let mut end = 0;
        self.slots.iter().all(|slot| {
            let follows = slot.name.start as usize == end && self.is_whole_line(slot);
            end = slot.value.end() + 2;
            follows
        }) && end == self.bytes.len()
    }

    /// Does the buffer hold `name: value CRLF` for this field, in one piece?
    fn is_whole_line(&self, slot: &Slot) -> bool {
        slot.value.start as usize == slot.name.end() + 2
            && self.bytes.get(slot.name.end()..slot.name.end() + 2) == Some(b": ")
            && self.bytes.get(slot.value.end()..slot.value.end() + 2) == Some(b"\r\n")
    }

    /// Gives the first field of this name another value, in its place; adds it if there is none.
    pub fn set(&mut self, name: FieldName, value: &[u8]) {
        debug_assert!(is_value(value));
        if let Some(at) = self.slots.iter().position(|slot| slot.known == name) {
            self.slots[at].value = self.keep(value);
        } else {
            self.push(name.text().as_bytes(), value);
        }
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// None?
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// All, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = FieldRef<'_>> {
        self.slots.iter().map(|slot| FieldRef {
            name: slot.name.of(&self.bytes),
            value: slot.value.of(&self.bytes),
            known: slot.known,
        })
    }

    /// The values of a known field, in order.
    pub fn all(&self, name: FieldName) -> impl Iterator<Item = &[u8]> {
        let slots = if self.may_have(name) { &self.slots[..] } else { &[] };
        let slots = slots.iter().filter(move |slot| slot.known == name);
        slots.map(|slot| slot.value.of(&self.bytes))
    }

    /// The first value of a known field.
    pub fn get(&self, name: FieldName) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Where the first value of a known field lies; empty at the front if there is none.
    pub fn span(&self, name: FieldName) -> Span {
        let slots = if self.may_have(name) { &self.slots[..] } else { &[] };
        slots.iter().find(|slot| slot.known == name).map_or(Span::default(), |slot| slot.value)
    }

    /// Is there such a field?
    pub fn has(&self, name: FieldName) -> bool {
        self.may_have(name) && self.slots.iter().any(|slot| slot.known == name)
    }

    fn may_have(&self, name: FieldName) -> bool {
        self.seen & name.bit() != 0
    }

    /// The first value of any field, by name in any case.
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        let same = |slot: &&Slot| slot.name.of(&self.bytes).eq_ignore_ascii_case(name);
        self.slots.iter().find(same).map(|slot| slot.value.of(&self.bytes))
    }

    /// May there be a field with one of these names?
    pub fn may_have_any(&self, names: Names) -> bool {
        self.seen & names.0 != 0
    }

    /// Forgets all fields of this name.
    pub fn remove(&mut self, name: FieldName) {
        self.run = false;
        self.slots.retain(|slot| slot.known != name);
    }

    /// Keeps only the fields that `keep` wants.
    pub fn retain(&mut self, mut keep: impl FnMut(FieldRef<'_>) -> bool) {
        self.run = false;
        let bytes = &self.bytes;
        self.slots.retain(|slot| {
            keep(FieldRef {
                name: slot.name.of(bytes),
                value: slot.value.of(bytes),
                known: slot.known,
            })
        });
    }
}

impl Drop for Fields {
    fn drop(&mut self) {
        let capacity = self.bytes.capacity();
        if !(FREE_BYTES_MIN..=FREE_BYTES_MAX).contains(&capacity) {
            return;
        }
        let (mut bytes, mut slots) =
            (std::mem::take(&mut self.bytes), std::mem::take(&mut self.slots));
        bytes.clear();
        slots.clear();
        // A thread that is ending has no store left; then the buffers are simply freed.
        let _ending = FREE.try_with(|free| {
            let mut free = free.borrow_mut();
            if free.len() < FREE_MAX {
                free.push((bytes, slots));
            }
        });
    }
}

/// Room kept behind a head for the fields that we add.
const ROOM_BYTES: usize = 256;

/// The members of a list-valued field: split at commas, trimmed, empty members left out
/// (RFC 9110 §5.6.1). Not for values that may hold quoted commas.
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// Which bytes are `tchar`, as a table: parsers ask for every byte of a name.
pub static TOKEN_BYTES: [bool; 256] = {
    let (mut table, mut byte) = ([false; 256], 0);
    while byte < 256 {
        table[byte] = is_token_byte(byte as u8);
        byte += 1;
    }
    table
};

/// Is this byte a `tchar` (RFC 9110 §5.6.2)?
pub const fn is_token_byte(byte: u8) -> bool {
    matches!(byte,
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*'
        | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~')
}

/// Is this a legal field name (a token, RFC 9110 §5.1)?
pub fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|&b| is_token_byte(b))
}

/// Is this a legal field value: no control bytes but tab, no white space around it (RFC 9110 §5.5)?
pub fn is_value(value: &[u8]) -> bool {
    let blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    !blank(value.first())
        && !blank(value.last())
        && value.iter().all(|&b| b == b'\t' || (b >= b' ' && b != 0x7f))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_known_name_is_recognised_in_any_case() {
        for name in FieldName::ALL {
            let text = name.text();
            assert!((*name as u8) < 128, "a set of names has 128 bits");
            assert_eq!(FieldName::classify(text.as_bytes()), *name, "{text}");
            assert_eq!(FieldName::classify(text.to_ascii_uppercase().as_bytes()), *name, "{text}");
            let near = format!("{}z", &text[..text.len() - 1]);
            assert_eq!(FieldName::classify(near.as_bytes()), FieldName::Other, "{near}");
        }
    }

    #[test]
    fn lines_are_written_as_one_whatever_was_removed_or_added() {
        let head = b"A: 1\r\nB:2\r\nContent-Length: 3\r\nC: 4\r\nD: \r\n";
        let mut fields = Fields::lent();
        for (name, value) in [
            ((0, 1), (3, 4)),
            ((6, 7), (8, 9)),
            ((11, 25), (27, 28)),
            ((30, 31), (33, 34)),
            ((36, 37), (39, 39)),
        ] {
            fields.note(
                &head[name.0..name.1],
                Span::new(name.0, name.1),
                Span::new(value.0, value.1),
            );
        }
        fields.fill(head);
        fields.push(b"Via", b"x");
        let mut out = Vec::new();
        fields.write_lines(&mut out, 0, |out| out.extend_from_slice(b"framing\r\n"));
        assert_eq!(out, b"A: 1\r\nB: 2\r\nframing\r\nC: 4\r\nD: \r\nVia: x\r\n");
        fields.retain(|field| field.name != b"C");
        out.clear();
        fields.write_lines(&mut out, 0, |_| {});
        assert_eq!(out, b"A: 1\r\nB: 2\r\nD: \r\nVia: x\r\n");
    }

    #[test]
    fn what_was_prepared_is_appended_in_place() {
        let prepared = Prepared::new(&[("Via", b"1.1 x"), ("X-A", b"b")]);
        let mut fields = Fields::lent();
        fields.note(b"Host", Span::new(0, 4), Span::new(6, 7));
        fields.fill(b"Host: h\r\n");
        assert!(!fields.has(FieldName::Via));
        fields.append(&prepared);
        fields.append(&prepared);
        assert_eq!(fields.all(FieldName::Via).count(), 2);
        let mut out = Vec::new();
        fields.write_lines(&mut out, 0, |_| {});
        assert_eq!(out, b"Host: h\r\nVia: 1.1 x\r\nX-A: b\r\nVia: 1.1 x\r\nX-A: b\r\n");
    }

    #[test]
    fn order_and_case_are_kept() {
        let mut fields = Fields::new();
        for (name, value) in [("B", "1"), ("a", "2"), ("hOST", "x"), ("A", "3")] {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        assert_eq!(fields.get(FieldName::Host), Some(&b"x"[..]));
        assert_eq!(fields.find(b"A"), Some(&b"2"[..]));
        fields.remove(FieldName::Host);
        let names: Vec<_> = fields.iter().map(|f| f.name.to_vec()).collect();
        assert_eq!(names, [b"B".to_vec(), b"a".to_vec(), b"A".to_vec()]);
    }

    #[test]
    fn members_of_a_list() {
        let list: Vec<_> = members(b" a, ,b ,, c").collect();
        assert_eq!(list, [b"a", b"b", b"c"]);
        assert_eq!(members(b" , ").count(), 0);
    }
}
