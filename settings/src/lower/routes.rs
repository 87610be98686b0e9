//! `[[route]]`.

use super::caching;
use super::events::{self, Topic};
use super::monitor;
use super::offload::{self, Office};
use super::rates::{self, Counting};
use super::services::Service;
use super::targets::{self, Targets};
use crate::model::{Pattern, Route, Segment};
use crate::options::ROUTE;
use crate::pattern::{self, METHODS_MAX};
use crate::reader::{At, Reader, Scope, Table};
use crate::report::Wrong;
use cache::settings::Rules;
use std::collections::HashMap;
use std::ops::Range;
use toml::de::DeTable;

/// What routes are read on the ground of.
pub(super) struct Ground<'g, 's> {
    pub(super) services: &'g [Service<'s>],
    /// The rules of `[cache]`.
    pub(super) rules: &'g Rules,
    pub(super) counting: &'g Counting,
    pub(super) office: &'g Office,
    pub(super) topics: &'g [Topic<'s>],
}

/// A route and where its pattern and its name stand.
struct Found {
    route: Option<Route>,
    pattern: Option<At<Pattern>>,
    name: At<String>,
}

/// The routes in the order of the file; a file without any, and with one service, takes all to it.
pub(super) fn routes<'s>(
    reader: &mut Reader<'s>,
    root: &Table<'s>,
    ground: &Ground<'_, 's>,
) -> Option<Vec<Route>> {
    let Some(tables) = reader.tables(root, "route") else {
        return implied(reader, root, ground);
    };
    let found: Vec<Found> = tables
        .into_iter()
        .enumerate()
        .map(|(index, table)| route(reader, index, table, ground))
        .collect();
    check_pairs(reader, &found);
    check_methods(reader, &found);
    found.into_iter().map(|found| found.route).collect()
}

/// What a file without routes means.
fn implied<'s>(
    reader: &mut Reader<'s>,
    root: &Table<'s>,
    ground: &Ground<'_, 's>,
) -> Option<Vec<Route>> {
    if root.entries.contains_key("route") {
        return None; // Of the wrong type: noted already.
    }
    let services = ground.services;
    if services.len() > 1 && !reader.torn() {
        let names: Vec<_> = services.iter().map(|service| service.name).collect();
        let what = format!("no [[route]], but {} services: {}", names.len(), names.join(", "));
        let allowed = "routes say which requests go where".to_owned();
        let hint = format!("[[route]] match = \"*\", to = \"{}\"", names[0]);
        reader.note(root.span.clone(), what, allowed, Some(hint));
        return None;
    }
    let route = everything(ground.rules.clone());
    if let Some(place) = services.first().and_then(|service| service.by_place.clone()) {
        let pattern = At { value: route.pattern.clone(), span: place };
        let targets = Targets { service: 0, split: Vec::new() };
        targets::check_hash(reader, "without a [[route]], ", &pattern, services, &targets);
    }
    Some(vec![route])
}

/// The route `*` to the first service.
pub(crate) fn everything(cache: Rules) -> Route {
    let path = vec![Segment::Rest(String::new())];
    let pattern = Pattern { methods: Vec::new(), host: None, path };
    Route::plain("*".to_owned(), pattern, 0, cache)
}

fn route<'s>(
    reader: &mut Reader<'s>,
    index: usize,
    At { value: table, span }: At<&'s DeTable<'s>>,
    ground: &Ground<'_, 's>,
) -> Found {
    let plain = |key: &str| table.get(key).and_then(|value| value.get_ref().as_str());
    let label = plain("name").or_else(|| plain("match")).map(str::to_owned);
    let label = label.filter(|label| !label.is_empty() && label.len() <= 128);
    let label = label.unwrap_or_else(|| (index + 1).to_string());
    let table = reader.open(Scope::Route(label.clone()), &ROUTE, table, span.clone());
    let text = reader.text(&table, "match");
    let pattern =
        text.as_ref().and_then(|text| reader.parse(&table, "match", text, pattern::parse));
    let targets = targets::targets(reader, &table, ground.services);
    let shadow = targets::shadow(reader, &table, &label, ground.services, targets.as_ref());
    let (class, class_field) = targets::class(reader, &table, &label);
    let rates = rates::rates(reader, &table, &label, ground.counting);
    let named = reader.parsed(&table, "name", name);
    let strip = reader.parsed(&table, "strip", prefix);
    if let (Some(strip), Some(pattern)) = (&strip, &pattern) {
        check_strip(reader, &table, strip, &pattern.value);
    }
    let prepend = reader.parsed(&table, "prepend", prefix).map(|found| found.value);
    let timeout = reader.time(&table, "timeout");
    if let Some(targets) = &targets {
        targets::check_timeout(reader, &table, timeout.as_ref(), ground.services, targets);
    }
    if let Some((pattern, targets)) = pattern.as_ref().zip(targets.as_ref()) {
        let start = table.scope.table();
        targets::check_hash(reader, &start, pattern, ground.services, targets);
    }
    let cache = caching::of_route(reader, &table, &label, pattern.as_ref(), ground.rules);
    let server_timing = reader.flag(&table, "server_timing");
    let objective = monitor::objective(reader, &table);
    let at = (label.as_str(), pattern.as_ref());
    let offload = offload::rule(reader, &table, at, ground.office, cache.enabled);
    let publish = events::publish(reader, &table, at, ground.topics);
    let unnamed = text.map(|text| At { value: text.value, span: text.span });
    let name = named.or(unnamed).unwrap_or(At { value: String::new(), span });
    let route = targets.zip(pattern.clone()).map(|(targets, pattern)| Route {
        split: targets.split,
        shadow,
        class,
        class_field,
        rates,
        strip: strip.map(|found| found.value),
        prepend,
        timeout: timeout.map(|found| found.value),
        server_timing,
        objective,
        offload,
        publish,
        ..Route::plain(name.value.clone(), pattern.value, targets.service, cache)
    });
    Found { route, pattern, name }
}

fn name(text: &str) -> Result<String, Wrong> {
    let length = text.chars().count();
    if length == 0 || length > 128 || text.chars().any(char::is_control) {
        let allowed = "1 to 128 characters without control characters";
        return Err(Wrong::all(text, "this name cannot be used", allowed));
    }
    Ok(text.to_owned())
}

/// Reads what `strip` and `prepend` hold.
pub(super) fn prefix(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "a path that starts with / and does not end in it";
    if text.is_empty() || text == "/" {
        return Err(
            Wrong::all(text, format!("\"{text}\" does nothing"), ALLOWED).hint("take the key out")
        );
    }
    if !text.starts_with('/') {
        let wrong = Wrong::all(text, format!("\"{text}\" does not start with /"), ALLOWED);
        return Err(wrong.meant(format_args!("/{}", text.trim_end_matches('/'))));
    }
    if text.ends_with('/') {
        let wrong = Wrong::all(text, format!("\"{text}\" ends in /"), ALLOWED);
        return Err(wrong.meant(text.trim_end_matches('/')));
    }
    let mut start = 1;
    for segment in text[1..].split('/') {
        let part = start..start + segment.len();
        if segment.is_empty() {
            let part = part.start - 1..part.start + 1;
            return Err(Wrong::part(part, "an empty segment", "one slash between two segments"));
        }
        pattern::literal(segment).map_err(|wrong| Wrong {
            part: wrong.part.start + start..wrong.part.end + start,
            ..wrong
        })?;
        start = part.end + 1;
    }
    Ok(text.to_owned())
}

/// Notes a `strip` that no path of the pattern can start with.
fn check_strip<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    strip: &At<String>,
    pattern: &Pattern,
) {
    let mut own = pattern.path.iter();
    let possible = strip.value[1..].split('/').all(|segment| match own.clone().next() {
        Some(Segment::Rest(_)) => true,
        Some(Segment::Literal(text)) if text != segment => false,
        Some(_) => own.next().is_some(),
        None => false,
    });
    if !possible {
        let what = format!("{}no path of {pattern} starts with it", table.scope.key("strip"));
        reader.note(strip.span.clone(), what, "the start of match's path".to_owned(), None);
    }
}

/// Notes routes that could both win a request, and routes of the same name.
fn check_pairs(reader: &mut Reader<'_>, found: &[Found]) {
    let mut names: HashMap<&str, &Range<usize>> = HashMap::new();
    let mut shapes: HashMap<String, Vec<(&str, &At<Pattern>)>> = HashMap::new();
    for Found { pattern, name, .. } in found {
        let mut clash = false;
        if let Some(pattern) = pattern {
            let alike = shapes.entry(shape(&pattern.value)).or_default();
            if let Some((other, there)) =
                alike.iter().find(|(_, other)| other.value.clashes(&pattern.value))
            {
                clash = true;
                let what =
                    format!("route \"{}\": takes the same requests as \"{other}\"", name.value);
                let label = "neither is more specific".to_owned();
                let there = (&there.span, format!("route \"{other}\""));
                let hint = "give one another path, host or method, or take it out".to_owned();
                reader.note_pair(what, (&pattern.span, label), there, Some(hint));
            }
            alike.push((&name.value, pattern));
        }
        if name.value.is_empty() {
            continue;
        }
        match names.get(name.value.as_str()) {
            Some(there) if !clash => {
                let what = format!("two routes are called \"{}\"", name.value);
                let here = (&name.span, "a name of its own".to_owned());
                reader.note_pair(what, here, (there, "first here".to_owned()), None);
            }
            Some(_) => {}
            None => {
                names.insert(&name.value, &name.span);
            }
        }
    }
}

/// Text that is the same for patterns which may clash: host and path without names.
fn shape(pattern: &Pattern) -> String {
    let mut text = pattern.host.clone().unwrap_or_default();
    for segment in &pattern.path {
        text.push('/');
        text.push_str(match segment {
            Segment::Literal(literal) => literal,
            Segment::Parameter(_) => "{}",
            Segment::Rest(_) => "*",
        });
    }
    text
}

/// Notes when the routes name more methods than the router can tell apart.
fn check_methods(reader: &mut Reader<'_>, found: &[Found]) {
    let mut known: Vec<&str> = Vec::new();
    for pattern in found.iter().filter_map(|found| found.pattern.as_ref()) {
        for method in &pattern.value.methods {
            if !known.contains(&method.as_str()) {
                known.push(method);
            }
        }
        if known.len() > METHODS_MAX {
            let what = format!("more than {METHODS_MAX} different methods in all routes");
            let allowed = format!("at most {METHODS_MAX}");
            reader.note(pattern.span.clone(), what, allowed, None);
            return;
        }
    }
}
