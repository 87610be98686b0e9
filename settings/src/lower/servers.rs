//! Where the servers of a service are: `servers` and `discover`.

use super::bound::{count, one_of};
use super::value;
use crate::address;
use crate::reader::{At, Reader, Scope, Table};
use crate::report::Wrong;
use service::settings::{Discover, Scheme, Server, Source, Spot, url};
use std::time::Duration;

const DISCOVER_EVERY: Duration = Duration::from_secs(5);
const DISCOVER_SERVERS_MAX: usize = 10_000;
const ZONE_MAX: usize = 64;

/// `servers`; `None` where there is nothing to go on with.
pub(super) fn servers<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Option<Vec<Spot>> {
    if table.get("servers").is_none() {
        return without(reader, table);
    }
    let scope = Scope::Section(table.scope.key("servers").trim_end_matches(": ").to_owned());
    let found = reader.shorts(table, "servers", &scope)?;
    if table.get("servers")?.get_ref().as_array().is_some_and(|array| array.is_empty()) {
        let what = format!("{}an empty list", table.scope.key("servers"));
        let hint = Some("servers = [\"http://10.0.0.1:3000\"]".to_owned());
        reader.note(table.place("servers")?, what, "at least one URL".to_owned(), hint);
    }
    let mut spots: Vec<At<Spot>> = Vec::new();
    for one in &found {
        let Some(spot) = spot(reader, one) else { continue };
        if let Some(first) = spots.iter().find(|first| first.value.server == spot.value.server) {
            let written = &reader.text[spot.span.clone()];
            let what = format!("{}{written} twice", table.scope.key("servers"));
            let there = (&first.span.clone(), "first here".to_owned());
            let hint = one.alone.is_none().then(|| "a weight gives it more requests".to_owned());
            reader.note_pair(what, (&spot.span, String::new()), there, hint);
            continue;
        }
        spots.push(spot);
    }
    Some(spots.into_iter().map(|spot| spot.value).collect())
}

/// What a service without `servers` has: those that are discovered.
fn without<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Option<Vec<Spot>> {
    if table.get("discover").is_some() {
        return Some(Vec::new());
    }
    if !reader.torn() {
        let what = format!("{}servers is missing", table.scope.table());
        let allowed = "URLs of servers, or discover in its place".to_owned();
        let hint = Some("servers = [\"http://10.0.0.1:3000\"]".to_owned());
        reader.note(table.span.clone(), what, allowed, hint);
    }
    None
}

fn spot<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Option<At<Spot>> {
    let server = reader.parsed(table, "url", address::server);
    if table.alone.is_some() {
        return server.map(|At { value, span }| At { value: Spot::from(value), span });
    }
    let weight = count(reader, table, "weight").map(|found| found.value);
    let priority = count(reader, table, "priority").map(|found| found.value);
    let zone = reader.parsed(table, "zone", zone).map(|found| found.value);
    let At { value, span } = server?;
    let ground = Spot::from(value);
    let spot = Spot {
        weight: weight.map_or(ground.weight, |weight| weight as u32),
        priority: priority.map_or(ground.priority, |priority| priority as u8),
        zone,
        ..ground
    };
    Some(At { value: spot, span })
}

/// Reads the name of a zone.
pub(super) fn zone(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "1 to 64 letters, digits, -, _ and .";
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    if text.is_empty() || text.len() > ZONE_MAX || !text.bytes().all(legal) {
        let wrong = Wrong::all(text, format!("\"{text}\" is no name of a zone"), ALLOWED);
        return Err(if text.is_empty() { wrong.hint("take the key out") } else { wrong });
    }
    Ok(text.to_owned())
}

/// `discover`.
pub(super) fn discover<'s>(
    reader: &mut Reader<'s>,
    service: &Table<'s>,
    scope: Scope,
) -> Option<Discover> {
    let table = reader.table(service, "discover", scope)?;
    let keys = ["file", "name", "srv", "kubernetes"];
    let key = one_of(reader, &table, &keys, "it does not say where");
    let every = value(reader.time(&table, "every"), DISCOVER_EVERY);
    let servers_max = count(reader, &table, "servers_max");
    let scheme = match reader.choice(&table, "scheme") {
        Some(Ok("https")) => Scheme::Https,
        _ => Scheme::Http,
    };
    check_companions(reader, &table, key);
    let from = match key? {
        "file" => {
            let text = reader.text(&table, "file")?;
            Source::File(reader.existing(&table, "file", &text)?)
        }
        "name" => Source::Name(reader.parsed(&table, "name", name)?.value),
        "srv" => Source::Srv { scheme, name: reader.parsed(&table, "srv", srv)?.value },
        _ => kubernetes(reader, &table, scheme)?,
    };
    let servers_max = servers_max.map_or(DISCOVER_SERVERS_MAX, |found| found.value as usize);
    Some(Discover { from, every, servers_max })
}

/// Keys that go with another source are mistakes.
fn check_companions<'s>(reader: &mut Reader<'s>, table: &Table<'s>, key: Option<&str>) {
    let Some(key) = key else { return };
    let alone = ["namespace", "port", "api", "token", "trust"];
    let all = alone.map(|one| (one, &["kubernetes"][..], "kubernetes"));
    for (one, with, names) in
        all.into_iter().chain([("scheme", &["srv", "kubernetes"][..], "srv or kubernetes")])
    {
        if let Some(place) = table.place(one).filter(|_| !with.contains(&key)) {
            let what = format!("{}servers come from {key}", table.scope.key(one));
            let hint = (one == "scheme" && key == "name")
                .then(|| "the scheme stands in name: \"https://...\"".to_owned());
            reader.note(place, what, format!("goes with {names}"), hint);
        }
    }
}

fn kubernetes<'s>(reader: &mut Reader<'s>, table: &Table<'s>, scheme: Scheme) -> Option<Source> {
    let service = reader.parsed(table, "kubernetes", |text| label(text, "a service"));
    let namespace = reader.parsed(table, "namespace", |text| label(text, "a namespace"));
    let port = reader.parsed(table, "port", port);
    let api = reader.parsed(table, "api", address::server);
    let mut file = |key: &str| {
        let text = reader.text(table, key)?;
        reader.existing(table, key, &text)
    };
    let (token, trust) = (file("token"), file("trust"));
    Some(Source::Kubernetes {
        api: api.map(|api| url(&api.value)),
        namespace: namespace.map(|found| found.value),
        service: service?.value,
        port: port.map(|found| found.value),
        scheme,
        token,
        trust,
    })
}

/// Reads a server whose host is a name, not an address.
fn name(text: &str) -> Result<Server, Wrong> {
    let server = address::server(text)?;
    if server.host.parse::<std::net::IpAddr>().is_ok() {
        let what = format!("{} is an address already", server.host);
        let wrong = Wrong::all(text, what, "a name that is looked up");
        return Err(wrong.hint(format!("servers = [\"{text}\"]")));
    }
    Ok(server)
}

/// Reads the name of SRV records (RFC 2782); it becomes lower case.
fn srv(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "a service, a protocol and a name, such as _http._tcp.catalog.internal";
    let wrong = |what: String| Wrong::all(text, what, ALLOWED);
    if let Some((_, rest)) = text.split_once("://") {
        let host = rest.split(['/', ':']).next().unwrap_or(rest);
        return Err(wrong("a URL".to_owned()).meant(format_args!("_http._tcp.{host}")));
    }
    let lower = text.to_ascii_lowercase();
    let legal = |label: &str| {
        let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        label.len() > 1
            && label.len() <= 63
            && label.starts_with('_')
            && label[1..].bytes().all(legal)
    };
    let mut parts = lower.splitn(3, '.');
    let (service, protocol, rest) = (parts.next(), parts.next(), parts.next());
    if !service.is_some_and(legal) || !protocol.is_some_and(|p| p == "_tcp" || p == "_udp") {
        let guess = address::host(&lower).ok().filter(|host| !host.starts_with('_'));
        let wrong = wrong(format!("\"{text}\" is no name of SRV records"));
        return Err(match guess {
            Some(host) => wrong.meant(format_args!("_http._tcp.{host}")),
            None => wrong,
        });
    }
    let rest = rest.map(|rest| rest.trim_end_matches('.'));
    match rest.map(address::host) {
        Some(Ok(host)) if lower.len() <= 253 && host.parse::<std::net::IpAddr>().is_err() => {
            Ok(lower.trim_end_matches('.').to_owned())
        }
        _ => Err(wrong(format!("\"{text}\" names no host"))),
    }
}

/// Reads a label of Kubernetes (RFC 1123).
fn label(text: &str, of: &str) -> Result<String, Wrong> {
    let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    let fits = |text: &str| {
        (1..=63).contains(&text.len())
            && text.bytes().all(legal)
            && !text.starts_with('-')
            && !text.ends_with('-')
    };
    if fits(text) {
        return Ok(text.to_owned());
    }
    let allowed = "1 to 63 lower-case letters, digits and -";
    let wrong = Wrong::all(text, format!("\"{text}\" is no name of {of}"), allowed);
    let mut parts = text.split('.');
    let (service, namespace) = (parts.next().unwrap_or_default(), parts.next());
    if let Some(namespace) = namespace.filter(|name| fits(name) && fits(service)) {
        let hint = format!("kubernetes = \"{service}\", namespace = \"{namespace}\"");
        return Err(wrong.hint(hint));
    }
    let lower = text.to_ascii_lowercase().replace('_', "-");
    Err(if fits(&lower) { wrong.meant(lower) } else { wrong })
}

/// Reads the name of a port of Kubernetes.
fn port(text: &str) -> Result<String, Wrong> {
    if text.parse::<u16>().is_ok() {
        let wrong = Wrong::all(text, format!("\"{text}\" is a number"), "the name of a port");
        return Err(wrong.hint("the service gives its port a name: ports: [{ name: http, ... }]"));
    }
    label(text, "a port")
}
