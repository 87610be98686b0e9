//! What a request is stored under: scheme, host, target, and what else the route counts.
//!
//! The target counts byte for byte, because that is what the service sees: two spellings that it might
//! tell apart are never one key. Only the rules of a route make less of the query. Method and Range
//! are no part of it. Nothing is allocated where a route has no such rules.

use super::invalidate::Origin;
use super::{Query, cookies, is_listed, vary};
use crate::settings::{KeyRules, Rules};
use base::FieldName;

/// Writes the text of the key over `out` and returns its hash. The hash is seeded, because clients
/// choose URLs; whoever finds an entry by hash still compares the text.
pub fn key(
    origin: Origin<'_>,
    target: &[u8],
    query: &Query<'_>,
    rules: &Rules,
    seed: u64,
    out: &mut Vec<u8>,
) -> u128 {
    out.clear();
    out.extend_from_slice(origin.scheme);
    out.extend_from_slice(b"://");
    let start = out.len();
    out.extend_from_slice(origin.authority());
    out[start..].make_ascii_lowercase();
    write_target(target, &rules.key, out);
    if !rules.key.fields.is_empty() || !rules.key.cookies.is_empty() {
        write_chosen(query, rules, out);
    }
    xxhash_rust::xxh3::xxh3_128_with_seed(out, seed)
}

fn write_target(target: &[u8], rules: &KeyRules, out: &mut Vec<u8>) {
    let counts_all = rules.query.is_none() && rules.ignore_query.is_empty() && !rules.sort_query;
    let start = if counts_all { None } else { memchr::memchr(b'?', target) };
    let Some(at) = start else { return out.extend_from_slice(target) };
    out.extend_from_slice(&target[..at]);
    write_query(&target[at + 1..], rules, out);
}

fn write_query(query: &[u8], rules: &KeyRules, out: &mut Vec<u8>) {
    let counts = |parameter: &&[u8]| {
        let name = name_of(parameter);
        if is_cloak(parameter, name) {
            return true;
        }
        rules.query.as_ref().is_none_or(|only| is_listed(only, name))
            && !is_listed(&rules.ignore_query, name)
    };
    let mut mark = b'?';
    let mut write = |parameter: &[u8]| {
        out.push(mark);
        out.extend_from_slice(parameter);
        mark = b'&';
    };
    let parameters = query.split(|&b| b == b'&').filter(|p| !p.is_empty()).filter(counts);
    if rules.sort_query {
        let mut sorted: Vec<_> = parameters.collect();
        // Stable: the order of values of one name means something.
        sorted.sort_by_key(|&parameter| name_of(parameter));
        sorted.into_iter().for_each(write);
    } else {
        parameters.for_each(&mut write);
    }
}

/// Might a service see another parameter in this one than we do? Many cut at `;` as well, decode names,
/// take `+` for a blank, or `a[]` for `a`. Such a one always counts: else a stranger could hide what
/// the service goes by in what the key leaves out.
fn is_cloak(parameter: &[u8], name: &[u8]) -> bool {
    parameter.contains(&b';') || name.iter().any(|b| b"%+[".contains(b))
}

fn name_of(parameter: &[u8]) -> &[u8] {
    let end = parameter.iter().position(|&b| b == b'=').unwrap_or(parameter.len());
    &parameter[..end]
}

/// Fields and cookies, a line each, so that none can pass for a target or for another.
fn write_chosen(query: &Query<'_>, rules: &Rules, out: &mut Vec<u8>) {
    for name in &rules.key.fields {
        let known = FieldName::classify(name.as_bytes());
        out.push(b'\n');
        let start = out.len();
        out.extend_from_slice(name.as_bytes());
        out[start..].make_ascii_lowercase();
        let colon = out.len();
        out.push(b':');
        if !vary::normalise(known, name.as_bytes(), query.fields, rules, out) {
            out.truncate(colon);
        }
    }
    for name in &rules.key.cookies {
        for (_, value) in cookies(query.fields).filter(|(n, _)| *n == name.as_bytes()) {
            out.extend_from_slice(b"\n=");
            out.extend_from_slice(name.as_bytes());
            out.push(b'=');
            out.extend_from_slice(value);
        }
    }
}
