//! Fields of a message: one flat, ordered list over the bytes that were received.
//!
//! Order and case are kept, because a gateway must (RFC 9110 §5.3). Nothing is hashed: names that
//! some room looks for are classified once, when they are read, and found by a byte compare after
//! that. Removing a field forgets its slot; adding one appends to the same buffer.

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
        /// A field name that some room looks for; all others are `Other`.
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
    Cookie = "cookie",
    Date = "date",
    RetryAfter = "retry-after",
}

impl FieldName {
    /// Which of our names this is, whatever its case.
    pub fn classify(name: &[u8]) -> Self {
        use FieldName as N;
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        let candidates: &[Self] = match (name.len(), first) {
            (2, b't') => &[N::Te],
            (3, b'v') => &[N::Via],
            (4, b'h') => &[N::Host],
            (4, b'd') => &[N::Date],
            (6, b'c') => &[N::Cookie],
            (6, b'e') => &[N::Expect],
            (7, b't') => &[N::Trailer],
            (7, b'u') => &[N::Upgrade],
            (9, b'f') => &[N::Forwarded],
            (9, b'x') => &[N::XRealIp],
            (10, b'c') => &[N::Connection],
            (10, b'k') => &[N::KeepAlive],
            (11, b'r') => &[N::RetryAfter],
            (12, b'm') => &[N::MaxForwards],
            (13, b'x') => &[N::XRewriteUrl],
            (14, b'c') => &[N::ContentLength],
            (14, b'h') => &[N::Http2Settings],
            (14, b'x') => &[N::XOriginalUrl],
            (15, b'x') => &[N::XForwardedFor, N::XForwardedSsl],
            (16, b'p') => &[N::ProxyConnection],
            (16, b'x') => &[N::XForwardedHost, N::XForwardedPort],
            (17, b't') => &[N::TransferEncoding],
            (17, b'x') => &[N::XForwardedProto],
            (18, b'p') => &[N::ProxyAuthenticate],
            (18, b'x') => &[N::XForwardedPrefix, N::XForwardedScheme, N::XForwardedServer],
            (19, b'p') => &[N::ProxyAuthorization],
            (22, b'x') => &[N::XHttpMethodOverride],
            _ => return N::Other,
        };
        let found = candidates.iter().find(|n| name.eq_ignore_ascii_case(n.text().as_bytes()));
        found.copied().unwrap_or(N::Other)
    }
}

/// The fields of one head or trailer section, in the order received.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
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
        Self { bytes: Vec::new(), slots: Vec::new() }
    }

    /// No fields yet, over bytes that the caller will point into with [`Fields::note`].
    pub fn over(bytes: Vec<u8>, capacity: usize) -> Self {
        Self { bytes, slots: Vec::with_capacity(capacity) }
    }

    /// Records a field that lies in the buffer.
    pub fn note(&mut self, name: Span, value: Span) {
        let known = FieldName::classify(name.of(&self.bytes));
        self.slots.push(Slot { name, value, known });
    }

    /// Appends text that is no field (a method, a target) to the buffer and says where it lies.
    pub fn keep(&mut self, text: &[u8]) -> Span {
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
        debug_assert!(is_name(name) && is_value(value));
        let name = self.keep(name);
        let value = self.keep(value);
        self.note(name, value);
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
        let slots = self.slots.iter().filter(move |slot| slot.known == name);
        slots.map(|slot| slot.value.of(&self.bytes))
    }

    /// The first value of a known field.
    pub fn get(&self, name: FieldName) -> Option<&[u8]> {
        self.all(name).next()
    }

    /// Is there such a field?
    pub fn has(&self, name: FieldName) -> bool {
        self.slots.iter().any(|slot| slot.known == name)
    }

    /// The first value of any field, by name in any case.
    pub fn find(&self, name: &[u8]) -> Option<&[u8]> {
        let same = |slot: &&Slot| slot.name.of(&self.bytes).eq_ignore_ascii_case(name);
        self.slots.iter().find(same).map(|slot| slot.value.of(&self.bytes))
    }

    /// Forgets all fields of this name.
    pub fn remove(&mut self, name: FieldName) {
        self.slots.retain(|slot| slot.known != name);
    }

    /// Keeps only the fields that `keep` wants.
    pub fn retain(&mut self, mut keep: impl FnMut(FieldRef<'_>) -> bool) {
        let bytes = &self.bytes;
        self.slots.retain(|slot| {
            keep(FieldRef {
                name: slot.name.of(bytes),
                value: slot.value.of(bytes),
                known: slot.known,
            })
        });
    }

    /// Hands the buffer back for reuse.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The members of a list-valued field: split at commas, trimmed, empty members left out
/// (RFC 9110 §5.6.1). Not for values that may hold quoted commas.
pub fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&b| b == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

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
            assert_eq!(FieldName::classify(text.as_bytes()), *name, "{text}");
            assert_eq!(FieldName::classify(text.to_ascii_uppercase().as_bytes()), *name, "{text}");
            let near = format!("{}z", &text[..text.len() - 1]);
            assert_eq!(FieldName::classify(near.as_bytes()), FieldName::Other, "{near}");
        }
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
