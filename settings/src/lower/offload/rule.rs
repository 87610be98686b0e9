//! `offload` of a route.

use super::Office;
use crate::address::{self, own_field, read_field};
use crate::lower::bound::{count, one_of};
use crate::lower::caching::known_parameter;
use crate::lower::{braces, value};
use crate::model::Pattern;
use crate::options::duration;
use crate::reader::{At, Reader, Scope, Table};
use crate::report::{Wrong, closest};
use offload::settings::{Callback, Idempotency, Rule, When};
use std::ops::Range;
use std::time::Duration;

const DAY: Duration = Duration::from_hours(24);
const PRIORITY: u8 = 5;
const FIELDS_MAX: usize = 64;
const TEMPLATE_MAX: usize = 256;
const URL_MAX: usize = 1024;
/// What is encrypted where there is a key and the route does not say.
const ENCRYPTED: [&str; 2] = ["authorization", "cookie"];

/// `offload` of a route; `cached` says whether its own `cache` stores answers.
pub(in crate::lower) fn rule<'s>(
    reader: &mut Reader<'s>,
    route: &Table<'s>,
    (label, pattern): (&str, Option<&At<Pattern>>),
    office: &Office,
    cached: bool,
) -> Option<Rule> {
    let scope = Scope::InRoute(label.to_owned(), "offload");
    let table = match reader.short_switch(route, "offload", scope)? {
        Ok(table) => Some(table),
        Err(true) => None,
        Err(false) => return None,
    };
    let rule = match &table {
        Some(table) => read(reader, table, (label, pattern), office),
        None => Some(standard(named(office, super::queues::DEFAULT)?, office)),
    };
    if rule.as_ref().is_none_or(|rule| rule.when == When::Always) {
        check_others(reader, route, cached);
    }
    rule
}

/// The place of the queue with this name.
fn named(office: &Office, name: &str) -> Option<usize> {
    office.queues().iter().position(|queue| queue.name == name)
}

fn standard(queue: usize, office: &Office) -> Rule {
    let encrypt: &[&str] = if office.key { &ENCRYPTED } else { &[] };
    Rule {
        when: When::Always,
        queue,
        order: String::new(),
        debounce: String::new(),
        idempotency: Idempotency::Optional,
        idempotency_time: DAY,
        delay: Duration::ZERO,
        client_delay: None,
        expires: None,
        priority: PRIORITY,
        drop: Vec::new(),
        encrypt: encrypt.iter().map(|name| (*name).to_owned()).collect(),
        callback: Callback::None,
    }
}

fn read<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    (label, pattern): (&str, Option<&At<Pattern>>),
    office: &Office,
) -> Option<Rule> {
    let queue = queue(reader, table, office);
    let ground = standard(queue.unwrap_or_default(), office);
    let key = |text: &str| template(text, pattern);
    let order = value(reader.parsed(table, "order", key), String::new());
    let debounce = value(reader.parsed(table, "debounce", key), String::new());
    let (drop, encrypt) = fields(reader, table, office, &ground);
    let rule = Rule {
        when: match reader.choice(table, "when") {
            Some(Ok("prefer")) => When::Preferred,
            _ => When::Always,
        },
        order,
        debounce,
        idempotency: match reader.choice(table, "idempotency") {
            Some(Ok("required")) => Idempotency::Required,
            _ => Idempotency::Optional,
        },
        idempotency_time: value(reader.time(table, "idempotency_time"), DAY),
        delay: value(reader.time(table, "delay"), Duration::ZERO),
        client_delay: reader.time_or_off(table, "client_delay", None),
        expires: reader.time(table, "expires").map(|found| found.value),
        priority: count(reader, table, "priority").map_or(PRIORITY, |found| found.value as u8),
        drop,
        encrypt,
        callback: callback(reader, table, label, office),
        ..ground
    };
    check_times(reader, table, &rule, queue.map(|queue| &office.queues()[queue]));
    queue.map(|_| rule)
}

/// `queue`.
fn queue<'s>(reader: &mut Reader<'s>, table: &Table<'s>, office: &Office) -> Option<usize> {
    let Some(text) = reader.text(table, "queue") else {
        return if table.place("queue").is_none() {
            named(office, super::queues::DEFAULT)
        } else {
            None
        };
    };
    if let Some(queue) = named(office, &text.value) {
        return Some(queue);
    }
    if reader.torn() {
        return None; // Its header may be what is lost.
    }
    let known = office.queues().iter().map(|queue| queue.name.as_str());
    let names = known.clone().collect::<Vec<_>>().join(", ");
    let what = format!("{}unknown queue \"{}\"", table.scope.key("queue"), text.value);
    let hint = match text.value.as_str() {
        "true" | "yes" | "on" | "always" => Some("without quotes: true".to_owned()),
        "false" | "no" | "off" | "never" => Some("without quotes: false".to_owned()),
        "prefer" => Some("offload = { when = \"prefer\" }".to_owned()),
        name => closest(name, known).map(|name| format!("did you mean \"{name}\"?")),
    };
    let hint = hint.or_else(|| Some(format!("[queue.{}] makes one", text.value)));
    reader.note(text.span, what, format!("known queues: {names}"), hint);
    None
}

/// Notes what a route cannot have whose answers are all 202.
fn check_others<'s>(reader: &mut Reader<'s>, route: &Table<'s>, cached: bool) {
    let Some(here) = route.place("offload") else { return };
    let cache = route.place("cache").filter(|_| cached);
    let cache = cache.map(|place| ("cache", "the answer is always 202, and never stored", place));
    let shadow = route.place("shadow");
    let shadow = shadow.map(|place| ("shadow", "jobs are delivered to one service alone", place));
    for (key, why, place) in cache.into_iter().chain(shadow) {
        let what = format!("{}it does not go with {key}: {why}", route.scope.key("offload"));
        let label = "one of the two".to_owned();
        let there = (&place, format!("{key} is set here"));
        let hint = Some("offload = { when = \"prefer\" } leaves the others as they are".to_owned());
        reader.note_pair(what, (&here, label), there, hint);
    }
}

/// Notes jobs that expire before they are due.
fn check_times<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    rule: &Rule,
    queue: Option<&offload::settings::Queue>,
) {
    let Some(place) = table.place("delay").filter(|_| !rule.delay.is_zero()) else { return };
    let (expires, whose) = match (rule.expires, queue) {
        (Some(expires), _) => (expires, "expires".to_owned()),
        (None, Some(queue)) => match queue.expires {
            Some(expires) => (expires, format!("expires of queue \"{}\"", queue.name)),
            None => return,
        },
        (None, None) => return,
    };
    if rule.delay < expires {
        return;
    }
    let (delay, shown) = (duration(rule.delay), duration(expires));
    let what = format!("{}after {delay} all jobs have expired", table.scope.key("delay"));
    let label = format!("less than {whose}, {shown}");
    match table.place("expires") {
        Some(there) => {
            let there = (&there, "expires is set here".to_owned());
            reader.note_pair(what, (&place, label), there, None);
        }
        None => reader.note(place, what, label, None),
    }
}

/// `drop` and `encrypt`.
fn fields<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    office: &Office,
    ground: &Rule,
) -> (Vec<String>, Vec<String>) {
    let drop = reader.parsed_all(table, "drop", kept_field).unwrap_or_default();
    let encrypt = reader.parsed_all(table, "encrypt", kept_field);
    for (key, all) in [("drop", Some(&drop)), ("encrypt", encrypt.as_ref())] {
        super::at_most(reader, table, key, FIELDS_MAX, all.map_or(&[], |all| all.as_slice()));
    }
    if let Some(first) = encrypt.as_ref().and_then(|all| all.first()).filter(|_| !office.key) {
        let what = format!("{}there is no key to encrypt with", table.scope.key("encrypt"));
        let hint = "[offload] key = \"${OFFLOAD_KEY}\"; openssl rand -base64 32 makes one";
        let allowed = "needs key in [offload]".to_owned();
        reader.note(first.span.clone(), what, allowed, Some(hint.to_owned()));
    }
    for found in encrypt.iter().flatten() {
        if let Some(there) = drop.iter().find(|other| other.value == found.value) {
            let what = format!("{}{} is dropped", table.scope.key("encrypt"), found.value);
            let label = "one of the two".to_owned();
            let there = (&there.span, "here".to_owned());
            reader.note_pair(what, (&found.span, label), there, None);
        }
    }
    let drop: Vec<String> = drop.into_iter().map(|found| found.value).collect();
    let encrypt = match encrypt {
        Some(encrypt) => encrypt.into_iter().map(|found| found.value).collect(),
        None => ground.encrypt.iter().filter(|name| !drop.contains(name)).cloned().collect(),
    };
    (drop, encrypt)
}

/// Reads the name of a field that a job has beside what it must have.
fn kept_field(text: &str) -> Result<String, Wrong> {
    let name = read_field(text, "Authorization")?;
    if matches!(name.as_str(), "host" | "content-type" | "content-encoding") {
        let what = format!("\"{text}\" says what the request is");
        let wrong = Wrong::all(text, what, "a field that the service can do without");
        return Err(wrong.hint("such as Authorization or Cookie"));
    }
    Ok(name)
}

/// Reads text with parameters of the route and fields of the request in it.
pub(in crate::lower) fn template(
    text: &str,
    pattern: Option<&At<Pattern>>,
) -> Result<String, Wrong> {
    const ALLOWED: &str = "text such as {id} or {header.X-Account}";
    if text.is_empty() {
        return Err(Wrong::all(text, "an empty key", ALLOWED).hint("take the key out"));
    }
    if text.len() > TEMPLATE_MAX {
        let what = format!("{} bytes", text.len());
        return Err(Wrong::all(text, what, format!("at most {TEMPLATE_MAX} bytes")));
    }
    if let Some((at, c)) = text.char_indices().find(|(_, c)| c.is_control()) {
        return Err(Wrong::part(at..at + c.len_utf8(), format!("{c:?} in a key"), ALLOWED));
    }
    braces(text, "parameters in braces: {id}", |name, place| part(name, place, pattern))?;
    Ok(text.to_owned())
}

/// Is there such a parameter, or can there be such a field?
fn part(name: &str, part: Range<usize>, pattern: Option<&At<Pattern>>) -> Result<(), Wrong> {
    const OTHERS: [&str; 6] = ["headers.", "field.", "query.", "cookie.", "body.", "request."];
    if let Some(field) = name.strip_prefix("header.") {
        let start = part.start + "{header.".len();
        return read_field(field, "{header.X-Account}")
            .map(|_| ())
            .map_err(|wrong| Wrong { part: start..start + field.len(), ..wrong });
    }
    if let Some(other) = OTHERS.iter().find(|other| name.starts_with(**other)) {
        let what = format!("{{{name}}} is not known");
        let wrong = Wrong::part(part, what, "{parameters} of match, or {header.NAME}");
        let field = &name[other.len()..];
        let near = matches!(*other, "headers." | "field.") && address::is_token(field);
        return Err(if near { wrong.meant(format_args!("{{header.{field}}}")) } else { wrong });
    }
    pattern.map_or(Ok(()), |pattern| known_parameter(name, part, pattern))
}

/// `callback`.
fn callback<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    label: &str,
    office: &Office,
) -> Callback {
    let scope = Scope::InRoute(label.to_owned(), "offload.callback");
    let Some(table) = reader.short(table, "callback", scope) else { return Callback::None };
    let key = one_of(reader, &table, &["url", "field"], "it does not say who is told");
    let plain = office.settings.callback_http;
    let url = reader.parsed(&table, "url", |text| url(text, plain));
    let field = reader.parsed(&table, "field", |text| own_field(text, "Callback-URL"));
    match (key, url, field) {
        (Some("url"), Some(url), _) => Callback::Fixed(url.value),
        (Some("field"), _, Some(field)) => Callback::Field(field.value),
        _ => Callback::None,
    }
}

/// Reads a URL that is called; `plain` says whether it may be `http`.
pub(in crate::lower) fn url(text: &str, plain: bool) -> Result<String, Wrong> {
    const ALLOWED: &str = "an https URL, such as https://hooks.example/jobs";
    let Some((scheme, rest)) = text.split_once("://") else {
        let wrong = Wrong::all(text, format!("\"{text}\" has no scheme"), ALLOWED);
        return Err(if address::is_token(text) && !text.contains('.') {
            wrong.hint(format!("a field of the request: callback = {{ field = \"{text}\" }}"))
        } else {
            wrong.meant(format_args!("https://{text}"))
        });
    };
    let lower = scheme.to_ascii_lowercase();
    if lower != "https" && (lower != "http" || !plain) {
        let wrong = Wrong::part(0..scheme.len(), format!("scheme \"{scheme}\""), ALLOWED);
        let hint = "[offload.callback] http = true lets callbacks go in the clear";
        return Err(if lower == "http" { wrong.hint(hint) } else { wrong });
    }
    if text.len() > URL_MAX {
        return Err(Wrong::all(text, format!("{} characters", text.len()), "at most 1024"));
    }
    let start = scheme.len() + 3;
    if let Some((at, c)) = rest.char_indices().find(|(_, c)| !c.is_ascii_graphic() || *c == '#') {
        let part = start + at..start + at + c.len_utf8();
        return Err(Wrong::part(part, format!("{c:?} in a URL"), ALLOWED));
    }
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    if let Some(at) = authority.rfind('@') {
        let what = "a user or password in a URL";
        let wrong = Wrong::part(start..start + at + 1, what, ALLOWED);
        return Err(wrong.hint("callbacks are signed: [offload.callback] secrets"));
    }
    address::host_and_port(authority).map_err(|wrong| Wrong {
        part: wrong.part.start + start..wrong.part.end + start,
        ..wrong
    })?;
    Ok(format!("{lower}://{rest}"))
}
