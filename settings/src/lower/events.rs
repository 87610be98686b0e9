//! `[events.NAME]`, and a route's `publish`.

use super::offload::{broker_scheme, rest_of_broker, template, unknown_scheme, url};
use super::{braces, value};
use crate::model::{Pattern, Route, Segment};
use crate::options::{EVENTS, SERVICE_NAME_WORDS};
use crate::reader::{At, Reader, Scope, Table};
use crate::report::{Wrong, closest};
use offload::event::{rules, template as parts};
use offload::settings::{Call, Events, OnGap, Publish};
use std::cell::Cell;
use std::ops::Range;
use toml::de::DeTable;

const EVENTS_MAX: usize = 64;
const TYPES_MAX: usize = 64;
const TAGS_MAX: usize = 64;
const TEXT_MAX: usize = 256;
const PATH_MAX: usize = 1024;
const SOURCE: &str = "/fleetfoot";
const SCHEMES: [&str; 6] = ["nats", "tls+nats", "kafka", "kafkas", "amqp", "amqps"];

/// One of the events, and where what routes must agree with stands.
pub(super) struct Topic<'s> {
    name: At<&'s str>,
    /// `None` after mistakes that leave nothing to speak of.
    events: Option<Events>,
    call_place: Option<Range<usize>>,
    /// Is something to come of them, even where the file says it wrong?
    used: Cell<bool>,
}

/// The events in the order of the file; `plain` says whether `http` URLs may be called.
pub(super) fn topics<'s>(reader: &mut Reader<'s>, root: &Table<'s>, plain: bool) -> Vec<Topic<'s>> {
    let named = reader.named(root, "events");
    if let Some((name, _)) = named.get(EVENTS_MAX) {
        let what = format!("events: more than {EVENTS_MAX}");
        reader.note(name.span.clone(), what, format!("at most {EVENTS_MAX}"), None);
    }
    named.into_iter().map(|(name, table)| topic(reader, name, table, plain)).collect()
}

fn topic<'s>(
    reader: &mut Reader<'s>,
    name: At<&'s str>,
    At { value: table, span }: At<&'s DeTable<'s>>,
    plain: bool,
) -> Topic<'s> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.value.is_empty() || name.value.len() > 64 || !name.value.bytes().all(legal) {
        let what = format!("events \"{}\": this name cannot be used", name.value);
        reader.note(name.span.clone(), what, SERVICE_NAME_WORDS.to_owned(), None);
    }
    let scope = Scope::Section(format!("events.{}", name.value));
    let table = reader.open(scope, &EVENTS, table, span);
    let bus = reader.parsed(&table, "bus", bus);
    let topic = reader.parsed(&table, "topic", topic_name);
    let source = reader.parsed(&table, "source", source);
    let types = reader.parsed_all(&table, "types", types).unwrap_or_default();
    let purge = reader.parsed_all(&table, "purge", tag).unwrap_or_default();
    for (key, most, all) in [("types", TYPES_MAX, &types), ("purge", TAGS_MAX, &purge)] {
        if let Some(over) = all.get(most) {
            let what = format!("{}more than {most}", table.scope.key(key));
            reader.note(over.span.clone(), what, format!("at most {most}"), None);
        }
    }
    let call = reader.parsed(&table, "call", |text| call(text, plain));
    let soft = reader.flag(&table, "soft").unwrap_or(false);
    let on_gap = match reader.choice(&table, "on_gap") {
        Some(Ok("ignore")) => OnGap::Ignore,
        _ => OnGap::Flush,
    };
    let values = |all: Vec<At<String>>| all.into_iter().map(|found| found.value).collect();
    let call_place = call.as_ref().map(|found| found.span.clone());
    let events = bus.map(|bus| Events {
        name: name.value.to_owned(),
        bus: bus.value,
        topic: value(topic, name.value.to_owned()),
        source: value(source, SOURCE.to_owned()),
        types: values(types),
        purge: values(purge),
        soft,
        call: value(call, Call::None),
        on_gap,
    });
    let used = table.place("call").is_some() || written(&table, "purge");
    Topic { name, events, call_place, used: Cell::new(used) }
}

/// Does a list have anything in it, legal or not?
fn written(table: &Table<'_>, key: &str) -> bool {
    let value = table.get(key).map(toml::Spanned::get_ref);
    value.is_some_and(|value| value.as_array().is_none_or(|all| !all.is_empty()))
}

/// The events, after a look at what the routes make of them.
pub(super) fn settled<'s>(
    reader: &mut Reader<'s>,
    topics: Vec<Topic<'s>>,
    routes: &[Route],
) -> Vec<Events> {
    for topic in &topics {
        let Some(events) = &topic.events else { continue };
        check_call(reader, topic, events, routes);
        if !topic.used.get() {
            let what = format!("events \"{}\": nothing comes of them", events.name);
            let allowed = "purge, call, or a route that publishes".to_owned();
            let hint = Some("purge = [\"product:{subject}\"]".to_owned());
            reader.note(topic.name.span.clone(), what, allowed, hint);
        }
    }
    topics.into_iter().filter_map(|topic| topic.events).collect()
}

/// Notes a path that no route takes.
fn check_call(reader: &mut Reader<'_>, topic: &Topic<'_>, events: &Events, routes: &[Route]) {
    let (Call::Path(path), Some(place)) = (&events.call, &topic.call_place) else { return };
    let path = path.split('?').next().unwrap_or(path);
    if routes.iter().all(|route| !takes(&route.pattern, path)) {
        let what = format!("events.{}.call: no route takes POST {path}", events.name);
        let allowed = "a path that a route without a host takes".to_owned();
        let hint = format!("[[route]] match = \"POST {path}\" leads it to a service");
        reader.note(place.clone(), what, allowed, Some(hint));
    }
}

/// Does a pattern take a POST to this path, whatever the host?
fn takes(pattern: &Pattern, path: &str) -> bool {
    let method = pattern.methods.is_empty() || pattern.methods.iter().any(|own| own == "POST");
    if !method || pattern.host.is_some() {
        return false;
    }
    let mut segments = path[1..].split('/');
    for own in &pattern.path {
        match own {
            Segment::Rest(_) => return true,
            Segment::Literal(text) if segments.next() == Some(text) => {}
            Segment::Parameter(_) if segments.next().is_some_and(|text| !text.is_empty()) => {}
            Segment::Literal(_) | Segment::Parameter(_) => return false,
        }
    }
    segments.next().is_none()
}

/// `publish` of a route.
pub(super) fn publish<'s>(
    reader: &mut Reader<'s>,
    route: &Table<'s>,
    (label, pattern): (&str, Option<&At<Pattern>>),
    topics: &[Topic<'s>],
) -> Option<Publish> {
    let table = reader.table(route, "publish", Scope::InRoute(label.to_owned(), "publish"))?;
    let kind = reader.parsed(&table, "type", kind);
    let subject = reader.parsed(&table, "subject", |text| template(text, pattern));
    let name = reader.text(&table, "to")?;
    let known = topics.iter().map(|topic| topic.name.value);
    let Some(to) = known.clone().position(|known| known == name.value) else {
        if reader.torn() {
            return None; // Its header may be what is lost.
        }
        let what = format!("{}unknown events \"{}\"", table.scope.key("to"), name.value);
        let names = known.clone().collect::<Vec<_>>().join(", ");
        let names = if names.is_empty() { "none".to_owned() } else { names };
        let hint = closest(&name.value, known).map(|name| format!("did you mean \"{name}\"?"));
        let hint = hint.or_else(|| Some(format!("[events.{}] says where they are", name.value)));
        reader.note(name.span, what, format!("known events: {names}"), hint);
        return None;
    };
    topics[to].used.set(true);
    Some(Publish { to, kind: kind?.value, subject: value(subject, String::new()) })
}

/// Reads the URL of a bus.
fn bus(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str =
        "nats, tls+nats, kafka, kafkas, amqp or amqps, ://, and a host: nats://10.0.0.5:4222";
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(Wrong::all(text, "no scheme", ALLOWED));
    };
    let lower = broker_scheme(scheme);
    if !SCHEMES.contains(&lower.as_str()) {
        let wrong = match lower.as_str() {
            "sqs" | "https+sqs" | "pubsub" => {
                Wrong::part(0..scheme.len(), format!("scheme \"{scheme}\""), ALLOWED)
                    .hint("it carries jobs ([queue.NAME]), not events")
            }
            _ => unknown_scheme(scheme, &lower, ALLOWED),
        };
        return Err(wrong);
    }
    rest_of_broker(text, &lower, rest, ALLOWED)
}

fn topic_name(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "1 to 200 letters, digits, -, _ and .";
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text.len() > 200 || !text.bytes().all(legal) {
        let wrong = Wrong::all(text, format!("\"{text}\" is no topic"), ALLOWED);
        let wild = text.contains(['*', '>']);
        return Err(if wild {
            wrong.hint("one topic; types chooses among its events")
        } else {
            wrong
        });
    }
    Ok(text.to_owned())
}

fn source(text: &str) -> Result<String, Wrong> {
    if text.is_empty() || text.len() > PATH_MAX || !rules::is_reference(text) {
        let what = format!("\"{text}\" is no URI reference");
        return Err(Wrong::all(text, what, "such as /shop or https://shop.example/api"));
    }
    Ok(text.to_owned())
}

/// Reads a type.
fn kind(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "a type of event, such as shop.order.created";
    let odd = text.contains(|c: char| c.is_whitespace());
    if text.is_empty() || text.len() > TEXT_MAX || odd || rules::attribute("type", text).is_err() {
        return Err(Wrong::all(text, format!("\"{text}\" is no type of event"), ALLOWED));
    }
    Ok(text.to_owned())
}

/// Reads a type that is heard, or its start and `*`.
fn types(text: &str) -> Result<String, Wrong> {
    let start = text.strip_suffix('*').unwrap_or(text);
    if let Some(at) = start.find('*') {
        let wrong = Wrong::part(at..at + 1, "a * before the end", "a * at the end, for any rest");
        return Err(wrong);
    }
    if text != "*" {
        kind(if start.is_empty() { text } else { start })?;
    }
    Ok(text.to_owned())
}

/// Reads a tag with parts of an event in it.
fn tag(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "a tag such as product:{subject}";
    if text.is_empty() || text.len() > TEXT_MAX {
        return Err(Wrong::all(text, format!("a tag of {} bytes", text.len()), "1 to 256 bytes"));
    }
    let odd = |c: char| c.is_control() || c.is_whitespace() || c == ',';
    if let Some((at, c)) = text.char_indices().find(|(_, c)| odd(*c)) {
        let wrong = Wrong::part(at..at + c.len_utf8(), format!("{c:?} in a tag"), ALLOWED);
        return Err(wrong.hint("one string for each tag"));
    }
    braces(text, "attributes in braces: {subject}", attribute)?;
    Ok(text.to_owned())
}

/// Is it a part of an event?
fn attribute(name: &str, part: Range<usize>) -> Result<(), Wrong> {
    if parts::is_part(name) {
        return Ok(());
    }
    let what = format!("{{{name}}} is no part of an event");
    let allowed = "an attribute (subject, type, id, ...) or data. and a member";
    let wrong = Wrong::part(part, what, allowed);
    Err(match name {
        "data" => wrong.hint("did you mean {data.id}?"),
        _ if parts::is_part(&name.to_lowercase()) => {
            wrong.meant(format_args!("{{{}}}", name.to_lowercase()))
        }
        _ => wrong,
    })
}

/// Reads who is called.
fn call(text: &str, plain: bool) -> Result<Call, Wrong> {
    const ALLOWED: &str = "a path such as /hooks/products, or an https URL";
    if !text.starts_with('/') {
        return match url(text, plain) {
            Ok(url) => Ok(Call::Url(url)),
            Err(wrong) if wrong.what.ends_with("has no scheme") => {
                Err(Wrong::all(text, format!("\"{text}\" is neither"), ALLOWED))
            }
            Err(wrong) => Err(wrong),
        };
    }
    if let Some((at, c)) = text.char_indices().find(|(_, c)| !c.is_ascii_graphic() || *c == '#') {
        let wrong = Wrong::part(at..at + c.len_utf8(), format!("{c:?} in a path"), ALLOWED);
        return Err(wrong.hint("write % and two hexadecimal digits for it"));
    }
    if text.len() > PATH_MAX {
        return Err(Wrong::all(text, format!("{} characters", text.len()), "at most 1024"));
    }
    Ok(Call::Path(text.to_owned()))
}
