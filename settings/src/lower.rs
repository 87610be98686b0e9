//! A parsed file into [`Settings`]: the top level and the sections that stand once.

mod balance;
mod bound;
mod caching;
mod events;
pub(crate) mod monitor;
pub(crate) mod offload;
pub(crate) mod rates;
pub(crate) mod routes;
mod servers;
mod services;
mod targets;
mod tries;

use crate::address::{self, own_field};
use crate::model::{Forward, Listener, Settings};
use crate::options::{ROOT, Section};
use crate::reader::{At, Reader, Scope, Table};
use crate::report::Wrong;
use rates::Counting;
use routes::Ground;
use service::settings::Deadlines;
use std::ops::Range;
use std::time::Duration;
use toml::de::DeTable;
use wire::settings::{CertificateFiles, Limits, TlsServer, TlsVersion};

/// The settings of a file, if all of it could be read; mistakes stay with the reader.
pub(crate) fn settings<'s>(reader: &mut Reader<'s>, root: &'s DeTable<'s>) -> Option<Settings> {
    let end = reader.text.trim_end().len();
    let root = reader.open(Scope::Root, &ROOT, root, end..end);
    let listen = reader.parsed_all(&root, "listen", address::listener);
    let admin = admin(reader, &root, listen.as_deref());
    let threads = reader.count(&root, "threads");
    let grace = reader.time(&root, "grace");
    let limits = section(reader, &root, "limits").map(|table| limits(reader, &table));
    let tls = section(reader, &root, "tls").and_then(|table| tls(reader, &table));
    let forward = section(reader, &root, "forward").map(|table| forward(reader, &table));
    let monitor = section(reader, &root, "monitor").map(|table| monitor::settings(reader, &table));
    let cache = caching::settings(reader, &root);
    let deadlines = section(reader, &root, "deadline").map(|table| deadlines(reader, &table));
    let counting = Counting::new(reader, &root, &cache);
    let zone = reader.parsed(&root, "zone", servers::zone).map(|found| found.value);
    let services = services::services(reader, &root, zone.as_ref());
    let office = offload::office(reader, &root);
    let topics = events::topics(reader, &root, office.calls_plain());
    let rules = &cache.rules;
    let ground = Ground {
        services: &services,
        rules,
        counting: &counting,
        office: &office,
        topics: &topics,
    };
    let routes = routes::routes(reader, &root, &ground);
    check_listeners(reader, &root, listen.as_deref());
    let routes = routes?;
    let events = events::settled(reader, topics, &routes);
    let offload = office.settings(reader, &root, &routes);
    let shared = routes.iter().any(|route| route.rates.iter().any(|rate| rate.shared));
    let standard = Listener { address: Settings::LISTEN, tls: false };
    Some(Settings {
        listen: listen
            .map_or_else(|| vec![standard], |all| all.into_iter().map(|one| one.value).collect()),
        admin,
        threads: threads.and_then(|threads| threads.value).map(|n| n as usize),
        grace: value(grace, Settings::GRACE),
        limits: limits.unwrap_or(Limits::standard()),
        tls,
        forward: forward.unwrap_or_else(Forward::standard),
        monitor: monitor.unwrap_or_else(::monitor::settings::Settings::standard),
        cache,
        deadlines: deadlines.unwrap_or_else(Deadlines::standard),
        rate_redis: counting.redis(shared),
        offload,
        events,
        services: services.into_iter().map(|service| service.settings).collect::<Option<_>>()?,
        routes,
    })
}

/// The value found, or the standard one.
/// Walks the names in braces that stand in a text; `example` says what belongs there.
fn braces(
    text: &str,
    example: &str,
    mut each: impl FnMut(&str, Range<usize>) -> Result<(), Wrong>,
) -> Result<(), Wrong> {
    let mut at = 0;
    while let Some(open) = text[at..].find(['{', '}']).map(|open| at + open) {
        let name = text[open..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let Some((name, _)) = name.filter(|(name, _)| !name.contains('{')) else {
            let what = format!("a lone {}", &text[open..=open]);
            return Err(Wrong::part(open..open + 1, what, example));
        };
        at = open + name.len() + 2;
        each(name, open..at)?;
    }
    Ok(())
}

fn value<T>(found: Option<At<T>>, standard: T) -> T {
    found.map_or(standard, |found| found.value)
}

/// The section of this name, opened.
fn section<'s>(reader: &mut Reader<'s>, root: &Table<'s>, name: &str) -> Option<Table<'s>> {
    reader.table(root, name, Scope::Section(name.to_owned()))
}

fn admin<'s>(
    reader: &mut Reader<'s>,
    root: &Table<'s>,
    listen: Option<&[At<Listener>]>,
) -> Option<std::net::SocketAddr> {
    if Reader::is_off(root, "admin") {
        return None;
    }
    let (admin, span) = match reader.text(root, "admin") {
        Some(text) => {
            let admin = reader.parse(root, "admin", &text, |text| {
                address::socket(text).map_err(|wrong| match text {
                    "off" | "false" | "none" | "no" => {
                        wrong.hint("switch it off with false, without quotes")
                    }
                    _ => wrong,
                })
            })?;
            (admin.value, Some(admin.span))
        }
        None => (Settings::ADMIN, None),
    };
    let same = |other: &&At<Listener>| other.value.address == admin && admin.port() != 0;
    if let Some(other) = listen.unwrap_or_default().iter().find(same) {
        let hint = Some("give one of the two another port, or set admin = false".to_owned());
        let label = "an address of its own".to_owned();
        if let Some(span) = span {
            let what = format!("admin: {admin} is taken");
            let there = (&other.span, "listened to for clients".to_owned());
            reader.note_pair(what, (&span, label), there, hint);
        } else {
            let what = format!("listen: {admin} is where admin listens unless it is set");
            reader.note(other.span.clone(), what, label, hint);
        }
    }
    Some(admin)
}

fn check_listeners<'s>(reader: &mut Reader<'s>, root: &Table<'s>, listen: Option<&[At<Listener>]>) {
    let Some(listen) = listen else { return };
    if root.entries.get("listen").and_then(|v| v.get_ref().as_array()).is_some_and(|a| a.is_empty())
    {
        let span = root.entries["listen"].span();
        let what = "listen: an empty list".to_owned();
        reader.note(span, what, "at least one address".to_owned(), None);
    }
    for (index, one) in listen.iter().enumerate() {
        let address = one.value.address;
        let same = |other: &&At<Listener>| other.value.address == address && address.port() != 0;
        if let Some(other) = listen[..index].iter().find(same) {
            let what = format!("listen: {address} with TLS and without");
            let label = "one of the two".to_owned();
            reader.note_pair(
                what,
                (&one.span, label),
                (&other.span, "first here".to_owned()),
                None,
            );
        }
        if one.value.tls && !root.entries.contains_key("tls") && !reader.torn() {
            let what = "listen: an https listener without certificates".to_owned();
            let hint = "add [tls] with certificates = [{ chain = \"...\", key = \"...\" }]";
            let allowed = "needs the section [tls]".to_owned();
            reader.note(one.span.clone(), what, allowed, Some(hint.to_owned()));
        }
    }
}

fn limits<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Limits {
    let standard = Limits::standard();
    let head = reader.size(table, "head_bytes").and_then(|found| found.value);
    let body = reader.size(table, "body_bytes");
    let requests = reader.count(table, "requests");
    let mut count = |key: &str, standard: u64| {
        reader.count(table, key).and_then(|found| found.value).unwrap_or(standard)
    };
    let fields = count("fields", standard.fields as u64);
    let connections = count("connections", standard.connections as u64);
    let streams = count("streams", u64::from(standard.streams));
    let resets = count("resets", standard.resets as u64);
    let mut time = |key: &str, standard: Duration| value(reader.time(table, key), standard);
    Limits {
        head_bytes: head.unwrap_or(standard.head_bytes),
        fields: fields as usize,
        head_time: time("head_time", standard.head_time),
        body_bytes: value(body, standard.body_bytes),
        body_pause: time("body_pause", standard.body_pause),
        idle_time: time("idle_time", standard.idle_time),
        requests: value(requests, standard.requests),
        connections: connections as usize,
        streams: streams as u32,
        resets: resets as usize,
    }
}

fn tls<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Option<TlsServer> {
    let minimum = match reader.choice(table, "minimum") {
        Some(Ok("1.3")) => TlsVersion::V1_3,
        _ => TlsVersion::V1_2,
    };
    let section: &'static Section = &crate::options::CERTIFICATE;
    let found = reader.tables(table, "certificates")?;
    if found.is_empty() {
        let span = table.entries["certificates"].span();
        let what = "tls.certificates: an empty list".to_owned();
        reader.note(span, what, "at least one { chain, key }".to_owned(), None);
    }
    let mut certificates = Vec::new();
    for At { value, span } in found {
        let scope = Scope::Section("tls.certificates".to_owned());
        let table = reader.open(scope, section, value, span);
        let chain = reader.text(&table, "chain");
        let key = reader.text(&table, "key");
        let chain = chain.and_then(|text| reader.existing(&table, "chain", &text));
        let key = key.and_then(|text| reader.existing(&table, "key", &text));
        certificates.extend(chain.zip(key).map(|(chain, key)| CertificateFiles { chain, key }));
    }
    Some(TlsServer { certificates, minimum })
}

fn forward<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Forward {
    let standard = Forward::standard();
    let via = reader.parsed(table, "via", |text| {
        let (name, port) = text.rsplit_once(':').map_or((text, None), |(n, p)| (n, Some(p)));
        if address::is_token(name) && port.is_none_or(|port| port.parse::<u16>().is_ok()) {
            return Ok(text.to_owned());
        }
        Err(Wrong::all(text, format!("\"{text}\" is no pseudonym"), "a token, perhaps with a port"))
    });
    let trusted = reader.parsed_all(table, "trusted_proxies", address::network);
    Forward {
        via: value(via, standard.via),
        trusted: trusted.unwrap_or_default().into_iter().map(|found| found.value).collect(),
        x_forwarded: reader.flag(table, "x_forwarded").unwrap_or(standard.x_forwarded),
        forwarded: reader.flag(table, "forwarded").unwrap_or(standard.forwarded),
    }
}

fn deadlines<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Deadlines {
    let standard = Deadlines::standard();
    let off = Reader::is_off(table, "field");
    let field = if off {
        None
    } else {
        reader.parsed(table, "field", |text| match text {
            "off" | "false" | "none" | "no" => {
                let wrong =
                    Wrong::all(text, format!("\"{text}\" is no field"), "a field, or false");
                Err(wrong.hint("switch it off with false, without quotes"))
            }
            _ => own_field(text, "X-Request-Timeout"),
        })
    };
    Deadlines {
        field: field.map(|found| found.value).or(standard.field.filter(|_| !off)),
        shrink: value(reader.share(table, "shrink"), standard.shrink),
        least: value(reader.time(table, "least"), standard.least),
    }
}
