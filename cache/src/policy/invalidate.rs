//! What a write makes invalid (RFC 9111 §4.4, RFC 9875), and where a reference leads (RFC 3986 §5).

use super::tags::group_tag;
use super::targeted::{joined, strings};
use base::{FieldName, ResponseHead};

/// The scheme and the authority that a request was meant for.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// `http` or `https`.
    pub scheme: &'a [u8],
    /// The host as received, with its port if it had one.
    pub host: &'a [u8],
}

impl<'a> Origin<'a> {
    /// The host without the port that the scheme implies; its case counts not.
    pub fn authority(&self) -> &'a [u8] {
        let port: &[u8] = if self.scheme.eq_ignore_ascii_case(b"https") { b":443" } else { b":80" };
        self.host.strip_suffix(port).or(self.host.strip_suffix(b":")).unwrap_or(self.host)
    }

    fn is_same(&self, other: &Origin<'_>) -> bool {
        self.scheme.eq_ignore_ascii_case(other.scheme)
            && self.authority().eq_ignore_ascii_case(other.authority())
    }
}

/// Does this answer to a request of this method make stored answers invalid? Methods that are not
/// known to be safe count as unsafe; answers that are errors change nothing.
pub fn invalidates(method: &[u8], status: u16) -> bool {
    (200..400).contains(&status) && !is_safe(method)
}

/// Methods registered as safe (RFC 9110 §9.2.1, and the registry), and CONNECT, which has no resource.
fn is_safe(method: &[u8]) -> bool {
    matches!(
        method,
        b"GET"
            | b"HEAD"
            | b"OPTIONS"
            | b"TRACE"
            | b"QUERY"
            | b"PROPFIND"
            | b"REPORT"
            | b"SEARCH"
            | b"PRI"
            | b"CONNECT"
    )
}

/// The targets of the same origin that become invalid: the one that was written to, and those that
/// Location and Content-Location name. In origin form, each once.
pub fn invalidated(origin: Origin<'_>, target: &[u8], response: &ResponseHead) -> Vec<Vec<u8>> {
    let mut targets = vec![target.to_vec()];
    for name in [FieldName::Location, FieldName::ContentLocation] {
        let reference = response.fields.get(name);
        let resolved = reference.and_then(|reference| resolve(origin, target, reference));
        targets.extend(resolved.filter(|new| new != target));
    }
    targets.dedup();
    targets
}

/// The tags of the groups that become invalid: of the same origin, named by Cache-Group-Invalidation.
pub fn invalidated_groups(origin: Origin<'_>, response: &ResponseHead) -> Vec<String> {
    if !response.fields.has(FieldName::CacheGroupInvalidation) {
        return Vec::new();
    }
    let value = joined(&response.fields, FieldName::CacheGroupInvalidation.text());
    let groups = value.and_then(|value| strings(&value)).unwrap_or_default();
    groups.iter().map(|group| group_tag(origin, group)).collect()
}

/// Where a reference leads from `target`, in origin form; `None` if it leaves the origin.
pub fn resolve(origin: Origin<'_>, target: &[u8], reference: &[u8]) -> Option<Vec<u8>> {
    let end = reference.iter().position(|&b| b == b'#').unwrap_or(reference.len());
    let reference = &reference[..end];
    let (scheme, rest) = match scheme_end(reference) {
        Some(end) => (&reference[..end], &reference[end + 1..]),
        None => (origin.scheme, reference),
    };
    if let Some(rest) = rest.strip_prefix(b"//") {
        let end = rest.iter().position(|b| matches!(b, b'/' | b'?')).unwrap_or(rest.len());
        let (host, path) = rest.split_at(end);
        let same = origin.is_same(&Origin { scheme, host });
        return same.then(|| absolute(path));
    }
    if rest.len() != reference.len() {
        // `mailto:…`, or `http:path`, which RFC 3986 §5.2.2 leaves to the lenient.
        return None;
    }
    Some(relative(target, reference))
}

/// Where the scheme of a reference ends, if it has one.
fn scheme_end(reference: &[u8]) -> Option<usize> {
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let end = reference.iter().position(|b| !is_part(b))?;
    (end > 0 && reference[end] == b':' && reference[0].is_ascii_alphabetic()).then_some(end)
}

fn split_query(target: &[u8]) -> (&[u8], &[u8]) {
    target.split_at(target.iter().position(|&b| b == b'?').unwrap_or(target.len()))
}

fn absolute(target: &[u8]) -> Vec<u8> {
    let (path, query) = split_query(target);
    let mut out = without_dots(path);
    out.extend_from_slice(query);
    out
}

/// RFC 3986 §5.2.2, for references without scheme and authority.
fn relative(target: &[u8], reference: &[u8]) -> Vec<u8> {
    let (path, _) = split_query(target);
    match reference.first() {
        None => target.to_vec(),
        Some(b'?') => [path, reference].concat(),
        Some(b'/') => absolute(reference),
        Some(_) => {
            let slash = path.iter().rposition(|&b| b == b'/').map_or(0, |at| at + 1);
            absolute(&[&path[..slash], reference].concat())
        }
    }
}

/// RFC 3986 §5.2.4; always begins with a slash.
fn without_dots(path: &[u8]) -> Vec<u8> {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    let mut segments: Vec<&[u8]> = Vec::new();
    let mut parts = path.split(|&b| b == b'/').peekable();
    while let Some(part) = parts.next() {
        let is_last = parts.peek().is_none();
        match part {
            b"." | b".." => {
                if part == b".." {
                    segments.pop();
                }
                if is_last {
                    segments.push(b"");
                }
            }
            _ => segments.push(part),
        }
    }
    let mut out = Vec::with_capacity(path.len() + 1);
    for segment in segments {
        out.push(b'/');
        out.extend_from_slice(segment);
    }
    out
}
