//! Weighted lists: Accept-Encoding and Accept-Language in a normal form (RFC 9110 §12.4.2, §12.5).
//!
//! Two values of one normal form ask for the same. A normal form is a value of the field itself, and
//! its own normal form.

use base::field::{is_name, members};

/// Most languages of one request that are looked at.
const LANGUAGES_MAX: usize = 32;

/// Members of a weighted list and their weights in thousandths; what has an illegal weight or name is
/// left out.
fn weighted(list: &[u8]) -> impl Iterator<Item = (&[u8], u16)> {
    members(list).filter_map(|member| {
        let mut parts = member.split(|&b| b == b';').map(<[u8]>::trim_ascii);
        let name = parts.next().filter(|name| is_name(name))?;
        let weight = match parts.next() {
            None => 1_000,
            Some(part) => weight(part)?,
        };
        parts.next().is_none().then_some((name, weight))
    })
}

/// `q=0.5` in thousandths.
fn weight(part: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', number @ ..] = part else { return None };
    let (whole, digits) = match number {
        [whole] | [whole, b'.'] => (*whole, &[][..]),
        [whole, b'.', digits @ ..] => (*whole, digits),
        _ => return None,
    };
    if digits.len() > 3 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let part = [100, 10, 1].iter().zip(digits).map(|(n, b)| n * u16::from(b - b'0')).sum::<u16>();
    match whole {
        b'0' => Some(part),
        b'1' if part == 0 => Some(1_000),
        _ => None,
    }
}

/// Codings that origins choose from, and refusals that matter, in the order of a normal form. Others
/// are as if they were not asked for: nothing is stored that is coded otherwise.
const CODINGS: [(&str, bool); 9] = [
    ("*", true),
    ("*", false),
    ("br", true),
    ("compress", true),
    ("deflate", true),
    ("gzip", true),
    ("identity", true),
    ("identity", false),
    ("zstd", true),
];

/// Is this a coding, or a list of codings, that normal forms know?
pub fn is_known_coding(coding: &[u8]) -> bool {
    members(coding).all(|coding| {
        let coding = plain(coding);
        CODINGS.iter().any(|(name, _)| name.as_bytes().eq_ignore_ascii_case(coding))
    })
}

/// RFC 9110 §8.4.1: `x-gzip` and `x-compress` are `gzip` and `compress`.
fn plain(coding: &[u8]) -> &[u8] {
    let is_old =
        coding.eq_ignore_ascii_case(b"x-gzip") || coding.eq_ignore_ascii_case(b"x-compress");
    if is_old { &coding[2..] } else { coding }
}

/// Appends the normal form of Accept-Encoding: the set of codings that are acceptable.
pub fn codings<'a>(lines: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    let mut set = [false; CODINGS.len()];
    for (name, weight) in lines.flat_map(weighted) {
        let name = plain(name);
        let same = |(known, wanted): &(&str, bool)| {
            *wanted == (weight > 0) && known.as_bytes().eq_ignore_ascii_case(name)
        };
        if let Some(at) = CODINGS.iter().position(same) {
            set[at] = true;
        }
    }
    let start = out.len();
    for ((name, wanted), _) in CODINGS.iter().zip(set).filter(|(_, is_in)| *is_in) {
        if out.len() > start {
            out.push(b',');
        }
        out.extend_from_slice(name.as_bytes());
        if !wanted {
            out.extend_from_slice(b";q=0");
        }
    }
}

/// The languages of these lines, in lower case, the best first; of one weight in alphabetic order.
fn ranked<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Vec<(u16, Vec<u8>)> {
    let wanted = lines.flat_map(weighted).filter(|(_, weight)| *weight > 0).take(LANGUAGES_MAX);
    let mut list: Vec<_> = wanted.map(|(name, q)| (q, name.to_ascii_lowercase())).collect();
    list.sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| a.1.cmp(&b.1)));
    list.dedup();
    list
}

/// Appends the normal form of Accept-Language: ranks instead of weights; or the best of `languages`,
/// if there are any.
pub fn languages<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    languages: &[String],
    out: &mut Vec<u8>,
) {
    let list = ranked(lines);
    if !languages.is_empty() {
        let best = best(&list, languages).unwrap_or_default();
        return out.extend(best.bytes().map(|b| b.to_ascii_lowercase()));
    }
    let (start, mut rank, mut last) = (out.len(), 1_000_u16, list.first().map_or(0, |l| l.0));
    for (weight, name) in &list {
        if out.len() > start {
            out.push(b',');
        }
        if *weight != last {
            (rank, last) = (rank - 1, *weight);
        }
        out.extend_from_slice(name);
        if rank < 1_000 {
            out.extend_from_slice(b";q=0.");
            out.extend([rank / 100, rank / 10 % 10, rank % 10].map(|digit| b'0' + digit as u8));
        }
    }
}

/// The best of the languages that the service has; the first of equals.
fn best<'l>(list: &[(u16, Vec<u8>)], languages: &'l [String]) -> Option<&'l str> {
    let weight = |language: &str| {
        let language = language.to_ascii_lowercase();
        let fits = list.iter().filter(|(_, range)| fits(range, language.as_bytes()));
        fits.max_by_key(|(_, range)| if range == b"*" { 0 } else { range.len() }).map_or(0, |l| l.0)
    };
    let weighed = languages.iter().rev().map(|language| (weight(language), language));
    weighed.filter(|(weight, _)| *weight > 0).max_by_key(|(weight, _)| *weight).map(|(_, l)| &**l)
}

/// Does a language range take this language, or one that it would fall back to (RFC 4647 §3.3.1,
/// §3.4)?
fn fits(range: &[u8], language: &[u8]) -> bool {
    range == b"*" || is_part(range, language) || is_part(language, range)
}

/// Is `wide` the same as `narrow`, or what it begins with up to a hyphen?
fn is_part(wide: &[u8], narrow: &[u8]) -> bool {
    narrow.get(..wide.len()).is_some_and(|front| front.eq_ignore_ascii_case(wide))
        && matches!(narrow.get(wide.len()), None | Some(b'-'))
}

/// Is this language what the client wants most, and nothing else as much?
pub fn prefers<'a>(lines: impl Iterator<Item = &'a [u8]>, language: &[u8]) -> bool {
    let list = ranked(lines);
    let Some((weight, first)) = list.first() else { return false };
    let is_sole = list.get(1).is_none_or(|second| second.0 < *weight);
    is_sole && is_part(first, language)
}
