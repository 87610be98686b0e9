//! `[service.NAME]`.

use super::value;
use crate::address;
use crate::options::{SERVICE_NAME_WORDS, SERVICES, duration};
use crate::reader::{At, Reader, Scope, Table};
use service::settings::{HostRule, Http, Settings, Spot};
use std::time::Duration;
use toml::de::DeTable;
use wire::settings::{TlsClient, Trust};

/// The services in the order of the file, by name; those with mistakes that leave nothing to
/// speak of are `None`.
pub(super) fn services<'s>(
    reader: &mut Reader<'s>,
    root: &Table<'s>,
) -> Vec<(&'s str, Option<Settings>)> {
    let named = reader.named(root, "service");
    let table = root.entries.get("service").filter(|value| value.get_ref().is_table());
    if let Some(table) = table.filter(|_| named.is_empty() && !reader.torn()) {
        let hint = Some("[service.shop] servers = [\"http://localhost:3000\"]".to_owned());
        let allowed = "at least one [service.NAME]".to_owned();
        reader.note(table.span(), "service: there is none".to_owned(), allowed, hint);
    }
    named.into_iter().map(|(name, table)| (name.value, service(reader, &name, table))).collect()
}

fn service<'s>(
    reader: &mut Reader<'s>,
    name: &At<&'s str>,
    At { value: table, span }: At<&'s DeTable<'s>>,
) -> Option<Settings> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.value.is_empty() || name.value.len() > 64 || !name.value.bytes().all(legal) {
        let what = format!("service \"{}\": this name cannot be used", name.value);
        reader.note(name.span.clone(), what, SERVICE_NAME_WORDS.to_owned(), None);
    }
    let scope = Scope::Section(format!("service.{}", name.value));
    let table = reader.open(scope, &SERVICES, table, span);
    let servers = servers(reader, &table)?;
    let standard = Settings::standard(name.value.to_owned(), servers);
    let (total_time, total_span) = times(reader.time(&table, "total_time"), standard.total_time);
    let mut within = |key: &str, standard: Duration| {
        let found = reader.time(&table, key);
        if let Some(found) = found.as_ref().filter(|found| found.value > total_time) {
            too_long(reader, &table, key, found, (total_time, total_span.clone()));
        }
        value(found, standard.min(total_time))
    };
    let connect_time = within("connect_time", standard.connect_time);
    let first_byte_time = within("first_byte_time", standard.first_byte_time);
    let (idle_max, connections_max) = counts(reader, &table, &standard);
    Some(Settings {
        host: host(reader, &table),
        http: match reader.choice(&table, "http") {
            Some(Ok("1")) => Http::One,
            Some(Ok("2")) => Http::Two,
            _ => Http::Auto,
        },
        connect_time,
        first_byte_time,
        total_time,
        idle_time: value(reader.time(&table, "idle_time"), standard.idle_time),
        idle_max,
        connections_max,
        tls: tls(reader, &table, name.value).unwrap_or(standard.tls),
        name: standard.name,
        servers: standard.servers,
        discover: None,
        balance: standard.balance,
        check: None,
        retry: standard.retry,
        hedge: None,
        limit: standard.limit,
        prewarm: 0,
    })
}

fn servers<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Option<Vec<Spot>> {
    let servers = reader.parsed_all(table, "servers", address::server)?;
    let array = table.entries["servers"].get_ref().as_array();
    if array.is_some_and(|array| array.is_empty()) {
        let what = format!("{}an empty list", table.scope.key("servers"));
        let hint = Some("servers = [\"http://10.0.0.1:3000\"]".to_owned());
        reader.note(table.entries["servers"].span(), what, "at least one URL".to_owned(), hint);
    }
    Some(servers.into_iter().map(|server| Spot::from(server.value)).collect())
}

fn times(
    found: Option<At<Duration>>,
    standard: Duration,
) -> (Duration, Option<std::ops::Range<usize>>) {
    found.map_or((standard, None), |found| (found.value, Some(found.span)))
}

/// Notes a time that is longer than the whole.
fn too_long<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    key: &str,
    found: &At<Duration>,
    (total, total_span): (Duration, Option<std::ops::Range<usize>>),
) {
    let what =
        format!("{}{} is longer than total_time", table.scope.key(key), duration(found.value));
    let label = format!("at most total_time, {}", duration(total));
    if let Some(there) = total_span {
        let other = (&there, "total_time is set here".to_owned());
        reader.note_pair(what, (&found.span, label), other, None);
    } else {
        let hint = format!("total_time is {} unless it is set", duration(total));
        reader.note(found.span.clone(), what, label, Some(hint));
    }
}

/// `idle_max` and `connections_max`.
fn counts<'s>(reader: &mut Reader<'s>, table: &Table<'s>, standard: &Settings) -> (usize, usize) {
    let connections = reader.count(table, "connections_max");
    let most = connections.as_ref().and_then(|found| found.value);
    let most = most.unwrap_or(standard.connections_max as u64);
    let idle = reader.count(table, "idle_max");
    let Some(At { value: Some(idle), span }) = idle else {
        return (standard.idle_max.min(most as usize), most as usize);
    };
    if idle > most {
        let what = format!("{}{idle} is more than connections_max", table.scope.key("idle_max"));
        let label = format!("at most connections_max, {most}");
        if let Some(there) = connections {
            let other = (&there.span, "connections_max is set here".to_owned());
            reader.note_pair(what, (&span, label), other, None);
        } else {
            let hint = format!("connections_max is {most} unless it is set");
            reader.note(span, what, label, Some(hint));
        }
    }
    (idle as usize, most as usize)
}

fn host<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> HostRule {
    match reader.choice(table, "host") {
        Some(Ok("server")) => HostRule::Server,
        Some(Err(text)) => reader
            .parse(table, "host", &text, address::host_and_port)
            .map_or(HostRule::Client, |found| HostRule::Fixed(found.value)),
        _ => HostRule::Client,
    }
}

fn tls<'s>(reader: &mut Reader<'s>, table: &Table<'s>, name: &str) -> Option<TlsClient> {
    let scope = Scope::Section(format!("service.{name}.tls"));
    let table = reader.table(table, "tls", scope)?;
    let trust = match reader.choice(&table, "trust") {
        Some(Err(text)) => reader.existing(&table, "trust", &text).map(Trust::File),
        _ => Some(Trust::System),
    };
    let name = reader.parsed(&table, "name", address::host).map(|found| found.value);
    Some(TlsClient { trust: trust.unwrap_or(Trust::System), name })
}
