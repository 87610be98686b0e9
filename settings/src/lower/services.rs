//! `[service.NAME]`.

use super::bound::{Bound, count, count_within, time_within};
use super::{balance, servers, tries, value};
use crate::address;
use crate::options::{SERVICE_NAME_WORDS, SERVICES};
use crate::reader::{At, Reader, Scope, Table};
use service::settings::{HostRule, Http, Settings};
use std::ops::Range;
use std::time::Duration;
use toml::de::DeTable;
use wire::settings::{TlsClient, Trust};

/// A service, and where what routes must agree with stands.
pub(super) struct Service<'s> {
    pub(super) name: &'s str,
    /// `None` after mistakes that leave nothing to speak of.
    pub(super) settings: Option<Settings>,
    /// Where its `try_time` stands.
    pub(super) try_place: Option<Range<usize>>,
    /// Where it says what is hashed.
    pub(super) by_place: Option<Range<usize>>,
}

/// The services in the order of the file.
pub(super) fn services<'s>(
    reader: &mut Reader<'s>,
    root: &Table<'s>,
    zone: Option<&String>,
) -> Vec<Service<'s>> {
    let named = reader.named(root, "service");
    let table = root.entries.get("service").filter(|value| value.get_ref().is_table());
    if let Some(table) = table.filter(|_| named.is_empty() && !reader.torn()) {
        let hint = Some("[service.shop] servers = [\"http://localhost:3000\"]".to_owned());
        let allowed = "at least one [service.NAME]".to_owned();
        reader.note(table.span(), "service: there is none".to_owned(), allowed, hint);
    }
    named.into_iter().map(|(name, table)| service(reader, &name, table, zone)).collect()
}

fn service<'s>(
    reader: &mut Reader<'s>,
    name: &At<&'s str>,
    At { value: table, span }: At<&'s DeTable<'s>>,
    zone: Option<&String>,
) -> Service<'s> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.value.is_empty() || name.value.len() > 64 || !name.value.bytes().all(legal) {
        let what = format!("service \"{}\": this name cannot be used", name.value);
        reader.note(name.span.clone(), what, SERVICE_NAME_WORDS.to_owned(), None);
    }
    let own = format!("service.{}", name.value);
    let table = reader.open(Scope::Section(own.clone()), &SERVICES, table, span);
    let balance = table.get("balance").and_then(|value| value.get_ref().get("by"));
    let by_place = balance.map(toml::Spanned::span);
    let (settings, try_place) = match lowered(reader, &table, &own, zone) {
        Some((settings, place)) => (Some(settings), place),
        None => (None, None),
    };
    Service { name: name.value, settings, try_place, by_place }
}

/// The settings of a service, and where its `try_time` stands.
fn lowered<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    own: &str,
    zone: Option<&String>,
) -> Option<(Settings, Option<Range<usize>>)> {
    let inner = |name: &str| Scope::Section(format!("{own}.{name}"));
    let spots = servers::servers(reader, table);
    let discover = servers::discover(reader, table, inner("discover"));
    let name = own.strip_prefix("service.").unwrap_or(own).to_owned();
    let standard = Settings::standard(name, spots.clone().unwrap_or_default());
    let total = Bound::of("total_time", reader.time(table, "total_time"), standard.total_time);
    let retries = tries::retry(reader, table, inner("retry"));
    let connect_time = connect_time(reader, table, &retries, &total, standard.connect_time);
    let first = time_within(reader, table, "first_byte_time", standard.first_byte_time, &total);
    let (idle_max, connections_max, prewarm) = counts(reader, table, &standard);
    // As many as are written: those with mistakes are servers too.
    let written =
        table.get("servers").map(|value| value.get_ref().as_array().map_or(1, |all| all.len()));
    let known = written.filter(|_| table.get("discover").is_none());
    let settings = Settings {
        balance: balance::balance(reader, table, own, zone),
        check: tries::health(reader, table, inner("health")),
        hedge: tries::hedge(reader, table, inner("hedge"), &retries, known),
        limit: tries::limit(reader, table, inner("limit"), &total),
        host: host(reader, table),
        http: match reader.choice(table, "http") {
            Some(Ok("1")) => Http::One,
            Some(Ok("2")) => Http::Two,
            _ => Http::Auto,
        },
        connect_time,
        first_byte_time: first,
        total_time: total.value,
        idle_time: value(reader.time(table, "idle_time"), standard.idle_time),
        idle_max,
        connections_max,
        prewarm,
        tls: tls(reader, table, inner("tls")).unwrap_or(standard.tls),
        retry: retries.retry,
        name: standard.name,
        servers: standard.servers,
        discover,
    };
    spots.map(|_| (settings, retries.try_place))
}

/// `connect_time`, which gives way to the time for a try where it is not set.
fn connect_time<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    retries: &tries::Retries,
    total: &Bound<Duration>,
    standard: Duration,
) -> Duration {
    let found = time_within(reader, table, "connect_time", standard, total);
    let set = table.place("connect_time").map(|span| At { value: found, span });
    tries::check_tries(reader, table, retries, total, set.as_ref());
    match (set, retries.retry.try_time) {
        (None, Some(try_time)) => found.min(try_time),
        _ => found,
    }
}

/// `idle_max`, `connections_max` and `prewarm`.
fn counts<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    standard: &Settings,
) -> (usize, usize, usize) {
    let most = count(reader, table, "connections_max");
    let most = Bound::of("connections_max", most, standard.connections_max as u64);
    let idle = count_within(reader, table, "idle_max", standard.idle_max as u64, &most);
    let idle = Bound { key: "idle_max", value: idle, place: table.place("idle_max") };
    let prewarm = count_within(reader, table, "prewarm", standard.prewarm as u64, &idle);
    (idle.value as usize, most.value as usize, prewarm as usize)
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

fn tls<'s>(reader: &mut Reader<'s>, table: &Table<'s>, scope: Scope) -> Option<TlsClient> {
    let table = reader.table(table, "tls", scope)?;
    let trust = match reader.choice(&table, "trust") {
        Some(Err(text)) => reader.existing(&table, "trust", &text).map(Trust::File),
        _ => Some(Trust::System),
    };
    let name = reader.parsed(&table, "name", address::host).map(|found| found.value);
    Some(TlsClient { trust: trust.unwrap_or(Trust::System), name })
}
