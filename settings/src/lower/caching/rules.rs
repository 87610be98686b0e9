//! The rules: of `[cache]`, and of a route, which start from those.

use super::value;
use crate::address;
use crate::lower::braces;
use crate::model::{Pattern, Segment};
use crate::reader::{At, Reader, Scope, Table};
use crate::report::{Wrong, closest};
use cache::settings::{KeyRules, Profile, Rules};

const NAME_MAX: usize = 256;

/// A route's label and pattern; no route is `[cache]` itself.
type Of<'a> = Option<(&'a str, Option<&'a At<Pattern>>)>;

/// The rules in a table, on the ground of others.
pub(super) fn rules<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    of: Of<'_>,
    ground: &Rules,
) -> Rules {
    let scope = match of {
        Some((label, _)) => Scope::InRoute(label.to_owned(), "cache.key"),
        None => Scope::Section("cache.key".to_owned()),
    };
    let inner = reader.table(table, "key", scope);
    let key = inner.map_or_else(|| ground.key.clone(), |table| key(reader, &table, &ground.key));
    let tags = |text: &str| template(text, of);
    let flag = |reader: &mut Reader<'s>, key, ground| reader.flag(table, key).unwrap_or(ground);
    let time = |reader: &mut Reader<'s>, key, ground| value(reader.time(table, key), ground);
    let variants = reader.count(table, "variants_max").and_then(|found| found.value);
    Rules {
        enabled: flag(reader, "enabled", ground.enabled),
        profile: match reader.choice(table, "profile") {
            Some(Ok("rfc")) => Profile::Rfc,
            Some(_) => Profile::Safe,
            None => ground.profile,
        },
        ttl: reader.time_or_off(table, "ttl", ground.ttl),
        ttl_error: reader.time_or_off(table, "ttl_error", ground.ttl_error),
        insist: flag(reader, "insist", ground.insist),
        stale: time(reader, "stale", ground.stale),
        stale_error: time(reader, "stale_error", ground.stale_error),
        heuristic_max: time(reader, "heuristic_max", ground.heuristic_max),
        key,
        bypass_cookies: list(reader, table, "bypass_cookies", cookie, &ground.bypass_cookies),
        drop_cookies: list(reader, table, "drop_cookies", cookie, &ground.drop_cookies),
        reload: flag(reader, "reload", ground.reload),
        tags: list(reader, table, "tags", tags, &ground.tags),
        tag_pointers: list(reader, table, "tag_pointers", pointer, &ground.tag_pointers),
        tag_fields: list(reader, table, "tag_fields", field, &ground.tag_fields),
        vary: list(reader, table, "vary", varied, &ground.vary),
        languages: list(reader, table, "languages", language, &ground.languages),
        variants_max: variants.map_or(ground.variants_max, |count| count as usize),
        early: flag(reader, "early", ground.early),
    }
}

fn key<'s>(reader: &mut Reader<'s>, table: &Table<'s>, ground: &KeyRules) -> KeyRules {
    let query = match reader.parsed_all(table, "query", parameter).map(values) {
        Some(all) if all.iter().any(|one| one == "*") => None,
        Some(some) => Some(some),
        None => ground.query.clone(),
    };
    KeyRules {
        query,
        ignore_query: list(reader, table, "ignore_query", parameter, &ground.ignore_query),
        sort_query: reader.flag(table, "sort_query").unwrap_or(ground.sort_query),
        fields: list(reader, table, "fields", field, &ground.fields),
        cookies: list(reader, table, "cookies", cookie, &ground.cookies),
    }
}

/// The list at a key, or that on the ground.
fn list<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    key: &str,
    parse: impl Fn(&str) -> Result<String, Wrong>,
    ground: &[String],
) -> Vec<String> {
    reader.parsed_all(table, key, parse).map_or_else(|| ground.to_vec(), values)
}

/// The values without their places.
pub(super) fn values(found: Vec<At<String>>) -> Vec<String> {
    found.into_iter().map(|found| found.value).collect()
}

/// Reads the name of a field.
pub(super) fn field(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "the name of a field, such as X-Device";
    if address::is_token(text) && text.len() <= NAME_MAX && !text.contains('*') {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::all(text, format!("\"{text}\" is no name of a field"), ALLOWED);
    let guess = text.split(':').next().unwrap_or(text).trim().replace(' ', "-");
    Err(if address::is_token(&guess) && guess != text { wrong.meant(guess) } else { wrong })
}

/// Reads the name of a field that answers vary by.
fn varied(text: &str) -> Result<String, Wrong> {
    field(text).map_err(|wrong| {
        if text == "*" {
            wrong.hint("an answer with Vary: * fits no other request and is never stored")
        } else {
            wrong
        }
    })
}

/// Reads the name of a cookie, perhaps with a `*` at its end.
fn cookie(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "the name of a cookie, such as session";
    let start = text.strip_suffix('*').unwrap_or(text);
    let legal = start.is_empty() || address::is_token(start);
    if !text.is_empty() && legal && text.len() <= NAME_MAX && !start.contains('*') {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::all(text, format!("\"{text}\" is no name of a cookie"), ALLOWED);
    Err(match text.split_once('=') {
        Some((name, _)) if address::is_token(name) => wrong.meant(name),
        _ if start.contains('*') => wrong.hint("a * stands at the end alone"),
        _ => wrong,
    })
}

/// Reads the name of a query parameter, perhaps with a `*` at its end.
fn parameter(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "the name of a query parameter, such as page";
    let wrong = Wrong::all(text, format!("\"{text}\" is no name of a query parameter"), ALLOWED);
    let start = text.strip_suffix('*').unwrap_or(text);
    if start.contains('*') {
        return Err(wrong.hint("a * stands at the end alone"));
    }
    let odd = |c: char| c.is_control() || c.is_whitespace() || "&=#?".contains(c);
    if text.is_empty() || text.len() > NAME_MAX || text.contains(odd) {
        let guess = text.trim_start_matches(['?', '&']).split('=').next().unwrap_or_default();
        let fits = !guess.is_empty() && !guess.contains(odd);
        return Err(if fits { wrong.meant(guess) } else { wrong });
    }
    Ok(text.to_owned())
}

/// Reads a tag, perhaps with parameters of a route in it.
fn template(text: &str, of: Of<'_>) -> Result<String, Wrong> {
    const ALLOWED: &str = "a tag such as shop or product:{id}";
    if text.is_empty() {
        return Err(Wrong::all(text, "an empty tag", ALLOWED));
    }
    if text.len() > NAME_MAX {
        let what = format!("a tag of {} bytes", text.len());
        return Err(Wrong::all(text, what, format!("at most {NAME_MAX} bytes")));
    }
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == ',';
    if let Some((at, c)) = text.char_indices().find(|(_, c)| odd(*c)) {
        let wrong = Wrong::part(at..at + c.len_utf8(), format!("{c:?} in a tag"), ALLOWED);
        return Err(wrong.hint("one string for each tag"));
    }
    braces(text, "parameters in braces: {id}", |name, part| known(name, part, of))?;
    Ok(text.to_owned())
}

/// Is there such a parameter?
fn known(name: &str, part: std::ops::Range<usize>, of: Of<'_>) -> Result<(), Wrong> {
    let Some((_, pattern)) = of else {
        let what = format!("{{{name}}} outside of a route");
        let hint = "give the tag to the routes: cache = { tags = [...] }";
        return Err(Wrong::part(part, what, "a tag without parameters").hint(hint));
    };
    // One that is missing is wrong itself.
    pattern.map_or(Ok(()), |pattern| known_parameter(name, part, pattern))
}

/// Has the pattern such a parameter?
pub(in crate::lower) fn known_parameter(
    name: &str,
    part: std::ops::Range<usize>,
    pattern: &At<Pattern>,
) -> Result<(), Wrong> {
    let names: Vec<&str> = pattern.value.path.iter().filter_map(name_of).collect();
    if names.contains(&name) {
        return Ok(());
    }
    let what = format!("no parameter \"{name}\" in match");
    if names.is_empty() {
        let hint = format!("match is \"{}\"; a parameter is written {{id}} there", pattern.value);
        return Err(Wrong::part(part, what, "a parameter of match; it has none").hint(hint));
    }
    let wrong = Wrong::part(part, what, format!("parameters: {}", names.join(", ")));
    Err(match closest(name, names.iter().copied()) {
        Some(near) => wrong.meant(format_args!("{{{near}}}")),
        None => wrong,
    })
}

fn name_of(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Parameter(name) | Segment::Rest(name) if !name.is_empty() => Some(name),
        _ => None,
    }
}

/// Reads a JSON pointer (RFC 6901).
fn pointer(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "a JSON pointer (RFC 6901), such as /product/id";
    if !text.starts_with('/') {
        let wrong = Wrong::all(text, format!("\"{text}\" does not start with /"), ALLOWED);
        let path = text.trim_start_matches(['$', '#', '.']).replace(['.', '['], "/");
        let path = path.replace([']', '"', '\''], "");
        let path = path.trim_start_matches('/');
        return Err(if path.is_empty() { wrong } else { wrong.meant(format_args!("/{path}")) });
    }
    let bytes = text.as_bytes();
    let lone = |at: &usize| bytes[*at] == b'~' && !matches!(bytes.get(at + 1), Some(b'0' | b'1'));
    if let Some(at) = (0..bytes.len()).find(lone) {
        let wrong = Wrong::part(at..at + 1, "a lone ~", ALLOWED);
        return Err(wrong.hint("~ is written ~0, and / within a name ~1"));
    }
    Ok(text.to_owned())
}

/// Reads a language tag (RFC 5646, its outer form).
fn language(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "a language tag such as de or pt-BR";
    let legal = |(index, part): (usize, &str)| {
        (1..=8).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphabetic() || (index > 0 && b.is_ascii_digit()))
    };
    if text.split('-').enumerate().all(legal) {
        return Ok(text.to_owned());
    }
    let wrong = Wrong::all(text, format!("\"{text}\" is no language tag"), ALLOWED);
    let guess = text.split(['.', ';']).next().unwrap_or_default().replace('_', "-");
    let fits = guess != text && guess.split('-').enumerate().all(legal);
    Err(if fits { wrong.meant(guess) } else { wrong })
}
