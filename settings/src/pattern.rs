//! Which requests a route takes, as text: `[METHOD[|METHOD...] ][host]/path`.
//!
//! A path is segments between slashes: literal text, `{name}` (one segment that is not empty), and
//! at the end `*` or `{name...}` (all that is left, possibly nothing). `*` alone takes everything.
//! Literals are compared byte by byte with the path as it was received, still percent-encoded. The
//! slash at the end counts: `/a`, `/a/` and `/a/*` are three patterns, and the last takes `/a/` and
//! all below it, but not `/a`. A host is compared without its port; `*.example.com` takes every
//! name below `example.com`, however deep, and not `example.com` itself.
//!
//! Where several patterns take a request the most specific wins ([`Pattern::rank`]):
//! 1. an exact host beats a wildcard, a longer wildcard a shorter one, any wildcard no host;
//! 2. then, segment by segment from the left, a literal beats a parameter beats the rest;
//! 3. then a list of methods beats any method.
//!
//! So two patterns can tie on a request only when host and path are the same but for the names of
//! parameters; `settings` refuses such pairs ([`Pattern::clashes`]).

use crate::address;
use crate::model::{Pattern, Segment};
use crate::report::Wrong;
use std::cmp::Ordering;
use std::fmt;

/// Most segments in one pattern: bounds the depth of the router.
pub const SEGMENTS_MAX: usize = 64;
/// Most different methods that all routes of a file may name: the router keeps a set in 64 bits.
pub const METHODS_MAX: usize = 64;

const METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY"];
const SHAPE: &str = "[METHOD[|METHOD...] ][host]/path, such as \"GET /products/{id}\"";

/// Reads a pattern.
///
/// # Errors
/// What is wrong, and with which bytes.
pub fn parse(text: &str) -> Result<Pattern, Wrong> {
    let (methods, target, offset) = match text.split_once(' ') {
        Some((methods, target)) => (methods_of(methods)?, target, methods.len() + 1),
        None => (Vec::new(), text, 0),
    };
    let everything = || Pattern {
        methods: methods.clone(),
        host: None,
        path: vec![Segment::Rest(String::new())],
    };
    if target == "*" {
        return Ok(everything());
    }
    let (host, path) = split(text, target, offset)?;
    let host = if host.is_empty() { None } else { Some(host_of(host).map_err(by(offset))?) };
    let start = text.len() - path.len();
    Ok(Pattern { methods, host, path: path_of(path).map_err(by(start))? })
}

/// Moves a mistake's place right.
fn by(offset: usize) -> impl Fn(Wrong) -> Wrong {
    move |wrong| Wrong { part: wrong.part.start + offset..wrong.part.end + offset, ..wrong }
}

/// Splits host from path.
fn split<'t>(text: &str, target: &'t str, offset: usize) -> Result<(&'t str, &'t str), Wrong> {
    if let Some(at) = target.find(|c: char| c == ' ' || c.is_control()) {
        let at = offset + at;
        let c = text[at..].chars().next().unwrap_or(' ');
        let what = if c == ' ' { "a space".to_owned() } else { format!("control byte {c:?}") };
        return Err(Wrong::part(at..at + c.len_utf8(), what, SHAPE)
            .hint("one space stands between method and path; in a path write %20"));
    }
    if target.starts_with("http://") || target.starts_with("https://") {
        return Err(Wrong::part(offset..text.len(), "a URL", SHAPE)
            .hint("leave the scheme out: a route takes requests over http and https"));
    }
    let Some(slash) = target.find('/') else {
        let wrong = Wrong::part(offset..text.len(), "there is no path", SHAPE);
        return Err(if address::is_token(target) && target == target.to_ascii_uppercase() {
            wrong.meant(format_args!("{target} *"))
        } else {
            wrong.meant(format_args!("{text}/*"))
        });
    };
    Ok(target.split_at(slash))
}

fn methods_of(text: &str) -> Result<Vec<String>, Wrong> {
    const ALLOWED: &str = "methods such as GET or GET|HEAD";
    let mut methods: Vec<String> = Vec::new();
    let mut start = 0;
    for method in text.split('|') {
        let part = start..start + method.len();
        start = part.end + 1;
        let upper = method.to_ascii_uppercase();
        if !address::is_token(method) {
            return Err(Wrong::part(part, format!("\"{method}\" is no method"), ALLOWED));
        }
        if method != upper && METHODS.contains(&upper.as_str()) {
            return Err(Wrong::part(part, format!("\"{method}\" is no method"), ALLOWED)
                .hint(format!("the case of methods counts: {upper}")));
        }
        if method == "CONNECT" {
            return Err(Wrong::part(part, "CONNECT is never taken", ALLOWED)
                .hint("the gateway is no forward proxy"));
        }
        if methods.iter().any(|known| known == method) {
            return Err(Wrong::part(part, format!("{method} is listed twice"), ALLOWED));
        }
        methods.push(method.to_owned());
    }
    Ok(methods)
}

fn host_of(text: &str) -> Result<String, Wrong> {
    let all = 0..text.len();
    if text == "*" {
        return Err(Wrong::part(all, "host \"*\"", "a host such as *.example.com, or none")
            .hint("leave the host out to take any"));
    }
    let (wild, name) = text.strip_prefix("*.").map_or(("", text), |name| ("*.", name));
    let host = address::host(name).map_err(by(wild.len()))?;
    if wild.is_empty() {
        return Ok(if host.contains(':') { format!("[{host}]") } else { host });
    }
    if host.parse::<std::net::IpAddr>().is_ok() {
        return Err(Wrong::part(all, "a wildcard before an address", "a name below it"));
    }
    Ok(format!("*.{host}"))
}

/// Reads a path, which starts with a slash.
fn path_of(text: &str) -> Result<Vec<Segment>, Wrong> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut start = 1;
    let count = text[1..].split('/').count();
    if count > SEGMENTS_MAX {
        let what = format!("{count} segments");
        return Err(Wrong::all(text, what, format!("at most {SEGMENTS_MAX} segments")));
    }
    for (index, segment) in text[1..].split('/').enumerate() {
        let last = index + 1 == count;
        let part = start..start + segment.len();
        start = part.end + 1;
        if segment.is_empty() && !last {
            let part = part.start - 1..part.end + 1;
            return Err(Wrong::part(part, "an empty segment", "one slash between two segments"));
        }
        let parsed = segment_of(segment).map_err(by(part.start))?;
        if matches!(parsed, Segment::Rest(_)) && !last {
            let what = format!("{segment} is not the last segment");
            return Err(Wrong::part(part, what, "the rest of a path comes last")
                .hint("use {name} for one segment in the middle"));
        }
        let name = name_of(&parsed);
        if name.is_some() && segments.iter().any(|known| name_of(known) == name) {
            let what = format!("parameter \"{}\" twice", name.unwrap_or_default());
            return Err(Wrong::part(part, what, "a name of its own for each parameter"));
        }
        segments.push(parsed);
    }
    Ok(segments)
}

fn segment_of(text: &str) -> Result<Segment, Wrong> {
    if text == "*" {
        return Ok(Segment::Rest(String::new()));
    }
    if let Some(name) = text.strip_prefix('{').and_then(|tail| tail.strip_suffix('}')) {
        let rest = name.strip_suffix("...");
        let name = rest.unwrap_or(name);
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        if name.is_empty() || !name.bytes().all(legal) {
            let allowed = "a name of letters, digits and _, such as {id} or {path...}";
            return Err(Wrong::all(text, format!("{text} is no parameter"), allowed));
        }
        let name = name.to_owned();
        return Ok(if rest.is_some() { Segment::Rest(name) } else { Segment::Parameter(name) });
    }
    literal(text).map(|()| Segment::Literal(text.to_owned()))
}

/// Checks text that is compared with a raw path.
pub(crate) fn literal(text: &str) -> Result<(), Wrong> {
    const ALLOWED: &str = "letters, digits, -._~!$&'()+,;=:@ and %XX";
    for (at, c) in text.char_indices() {
        let part = at..at + c.len_utf8();
        let found = format!("{c:?} in a path");
        let wrong = Wrong::part(part.clone(), found, ALLOWED);
        match c {
            '?' | '#' => {
                return Err(wrong.hint("a route sees the path alone, without query and fragment"));
            }
            '*' => return Err(wrong.hint("a * stands alone, as the last segment")),
            '{' | '}' => return Err(wrong.hint("a parameter is a whole segment: /{id}/")),
            '%' if !is_encoded(&text.as_bytes()[at..]) => {
                return Err(wrong.hint("% is followed by two hexadecimal digits; % itself is %25"));
            }
            '%' => {}
            c if c.is_ascii_alphanumeric() || "-._~!$&'()+,;=:@".contains(c) => {}
            _ => {
                let encoded: String = text[part].bytes().flat_map(encoded).collect();
                return Err(wrong.hint(format!("write {encoded}, as it is on the wire")));
            }
        }
    }
    Ok(())
}

/// `%XX`.
fn encoded(byte: u8) -> [char; 3] {
    let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value)]);
    ['%', digit(byte >> 4), digit(byte & 15)]
}

fn is_encoded(text: &[u8]) -> bool {
    matches!(text, [b'%', a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
}

fn name_of(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Parameter(name) | Segment::Rest(name) if !name.is_empty() => Some(name),
        _ => None,
    }
}

impl Pattern {
    /// Is the host `host` (lower case, without port) one of this pattern's?
    pub fn takes_host(&self, host: &[u8]) -> bool {
        match self.host.as_deref().map(|host| (host, host.strip_prefix('*'))) {
            None => true,
            Some((_, Some(suffix))) => {
                host.len() > suffix.len() && host.ends_with(suffix.as_bytes())
            }
            Some((exact, None)) => exact.as_bytes() == host,
        }
    }

    /// Is the raw path `path` one of this pattern's?
    pub fn takes_path(&self, path: &[u8]) -> bool {
        let Some(tail) = path.strip_prefix(b"/") else {
            return matches!(self.path.as_slice(), [Segment::Rest(_)]);
        };
        let mut segments = tail.split(|&byte| byte == b'/');
        for own in &self.path {
            match (own, segments.next()) {
                (Segment::Rest(_), Some(_)) => return true,
                (Segment::Literal(text), Some(found)) if text.as_bytes() == found => {}
                (Segment::Parameter(_), Some(found)) if !found.is_empty() => {}
                _ => return false,
            }
        }
        segments.next().is_none()
    }

    /// Does this pattern take `method`? GET takes HEAD too (RFC 9110 §9.3.2); where another pattern of
    /// the same host and path names HEAD itself, that one goes before.
    pub fn takes_method(&self, method: &[u8]) -> bool {
        let names = |wanted: &[u8]| self.methods.iter().any(|own| own.as_bytes() == wanted);
        self.methods.is_empty() || names(method) || (method == b"HEAD" && names(b"GET"))
    }

    /// Orders patterns by specificity, the most specific first; `Equal` where the rule is silent.
    pub fn rank(&self, other: &Self) -> Ordering {
        let kind = |segment: &Segment| match segment {
            Segment::Literal(_) => 0,
            Segment::Parameter(_) => 1,
            Segment::Rest(_) => 2,
        };
        let host = |pattern: &Self| match pattern.host.as_deref() {
            None => (2, 0),
            Some(host) if host.starts_with('*') => (1, usize::MAX - host.len()),
            Some(_) => (0, 0),
        };
        host(self)
            .cmp(&host(other))
            .then_with(|| self.path.iter().map(kind).cmp(other.path.iter().map(kind)))
            .then_with(|| self.methods.is_empty().cmp(&other.methods.is_empty()))
    }

    /// Could both take a request without either being more specific?
    pub fn clashes(&self, other: &Self) -> bool {
        let same = |pair: (&Segment, &Segment)| match pair {
            (Segment::Literal(a), Segment::Literal(b)) => a == b,
            (Segment::Parameter(_), Segment::Parameter(_))
            | (Segment::Rest(_), Segment::Rest(_)) => true,
            _ => false,
        };
        let methods = match (self.methods.is_empty(), other.methods.is_empty()) {
            (true, true) => true,
            (false, false) => self.methods.iter().any(|method| other.methods.contains(method)),
            _ => false,
        };
        methods
            && self.host == other.host
            && self.path.len() == other.path.len()
            && self.path.iter().zip(&other.path).all(same)
    }
}

impl fmt::Display for Pattern {
    /// As [`parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.methods.is_empty() {
            write!(f, "{} ", self.methods.join("|"))?;
        }
        match (&self.host, self.path.as_slice()) {
            (None, [Segment::Rest(name)]) if name.is_empty() => return f.write_str("*"),
            (host, _) => f.write_str(host.as_deref().unwrap_or_default())?,
        }
        self.path.iter().try_for_each(|segment| match segment {
            Segment::Literal(text) => write!(f, "/{text}"),
            Segment::Parameter(name) => write!(f, "/{{{name}}}"),
            Segment::Rest(name) if name.is_empty() => f.write_str("/*"),
            Segment::Rest(name) => write!(f, "/{{{name}...}}"),
        })
    }
}
