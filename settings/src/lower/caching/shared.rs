//! `redis` and `memcached` of `[cache]`, and the keys that go with them.

use crate::address;
use crate::reader::{At, Reader, Table};
use crate::report::Wrong;
use cache::settings::{Memcached, Redis, RedisMode, Shared};

const PREFIX: &str = "fleetfoot:";
const MEMCACHED_PORT: u16 = 11_211;
const PREFIX_MAX: usize = 64;

/// The tier that gateways share.
pub(super) fn shared<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Option<Shared> {
    let prefix = reader.parsed(table, "prefix", prefix);
    let prefix = prefix.map_or_else(|| PREFIX.to_owned(), |found| found.value);
    let urls = reader.parsed_all(table, "redis", redis_url);
    let servers = reader.parsed_all(table, "memcached", memcached);
    for key in ["redis", "memcached"] {
        check_some(reader, table, key);
    }
    let (redis, memcached) = (table.entries.get("redis"), table.entries.get("memcached"));
    if let Some((redis, memcached)) = redis.zip(memcached) {
        let what = "cache.memcached: there is redis already".to_owned();
        let here = (&memcached.span(), "one of the two".to_owned());
        reader.note_pair(what, here, (&redis.span(), "redis is set here".to_owned()), None);
        return None;
    }
    if redis.is_none() {
        check_alone(reader, table);
    }
    let mode = mode(reader, table, urls.as_deref());
    let trust = match reader.choice(table, "redis_trust") {
        Some(Err(text)) => {
            check_tls(reader, table, &text.span, urls.as_deref());
            reader.existing(table, "redis_trust", &text)
        }
        _ => None,
    };
    match (urls, servers) {
        (Some(urls), _) => {
            Some(Shared::Redis(Redis { urls: super::rules::values(urls), mode, trust, prefix }))
        }
        (None, Some(servers)) => {
            let servers = super::rules::values(servers);
            Some(Shared::Memcached(Memcached { servers, prefix }))
        }
        (None, None) => None,
    }
}

/// An empty list of servers is a mistake.
fn check_some<'s>(reader: &mut Reader<'s>, table: &Table<'s>, key: &str) {
    let Some(value) = table.entries.get(key) else { return };
    if value.get_ref().as_array().is_some_and(|array| array.is_empty()) {
        let what = format!("{}an empty list", table.scope.key(key));
        let hint = Some("take the key out to share with nobody".to_owned());
        reader.note(value.span(), what, "at least one server".to_owned(), hint);
    }
}

/// Keys about `redis` without it are mistakes.
fn check_alone<'s>(reader: &mut Reader<'s>, table: &Table<'s>) {
    for key in ["redis_mode", "redis_master", "redis_trust", "fence"] {
        if let Some(value) = table.entries.get(key) {
            let what = format!("{}there is no redis", table.scope.key(key));
            let hint = Some("redis = \"redis://10.0.0.5:6379\"".to_owned());
            reader.note(value.span(), what, "goes with the key redis".to_owned(), hint);
        }
    }
}

/// A trust that nothing is checked by is a mistake.
fn check_tls<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    span: &std::ops::Range<usize>,
    urls: Option<&[At<String>]>,
) {
    let Some(first) = urls.and_then(<[_]>::first) else { return };
    if !urls.unwrap_or_default().iter().any(|url| url.value.starts_with("rediss:")) {
        let what = format!("{}no URL of redis speaks TLS", table.scope.key("redis_trust"));
        let here = (span, "goes with rediss://".to_owned());
        let there = (&first.span, "plain redis://".to_owned());
        reader.note_pair(what, here, there, None);
    }
}

/// `redis_mode` and `redis_master`.
fn mode<'s>(reader: &mut Reader<'s>, table: &Table<'s>, urls: Option<&[At<String>]>) -> RedisMode {
    let mode = match reader.choice(table, "redis_mode") {
        Some(Ok(mode)) => mode,
        _ => "single",
    };
    let master = reader.parsed(table, "redis_master", master);
    let has_redis = table.entries.contains_key("redis");
    if mode == "sentinel" && !table.entries.contains_key("redis_master") && has_redis {
        let span = table.entries["redis_mode"].span();
        let what = format!("{}there is no redis_master", table.scope.key("redis_mode"));
        let hint = Some("redis_master = \"mymaster\"".to_owned());
        reader.note(span, what, "sentinels are asked for a master by name".to_owned(), hint);
    }
    if let Some(master) = master.as_ref().filter(|_| mode != "sentinel" && has_redis) {
        let what = format!("{}redis_mode is \"{mode}\"", table.scope.key("redis_master"));
        let hint = Some("set redis_mode = \"sentinel\", or take redis_master out".to_owned());
        let allowed = "goes with redis_mode = \"sentinel\"".to_owned();
        reader.note(master.span.clone(), what, allowed, hint);
    }
    if let Some([_, second, ..]) = urls.filter(|_| mode == "single") {
        let what = format!("{}several URLs, but one server", table.scope.key("redis"));
        let hint = Some("set redis_mode to \"cluster\" or \"sentinel\"".to_owned());
        let allowed = "one URL while redis_mode is \"single\"".to_owned();
        reader.note(second.span.clone(), what, allowed, hint);
    }
    let numbered = |url: &&At<String>| database(&url.value).is_some_and(|number| number != "0");
    if let Some(url) = urls.unwrap_or_default().iter().find(numbered).filter(|_| mode == "cluster")
    {
        let what = format!("{}a cluster has no numbered databases", table.scope.key("redis"));
        let hint = Some("gateways that should not share get another prefix".to_owned());
        reader.note(url.span.clone(), what, "a URL without a database".to_owned(), hint);
    }
    match (mode, master) {
        ("cluster", _) => RedisMode::Cluster,
        ("sentinel", Some(master)) => RedisMode::Sentinel(master.value),
        _ => RedisMode::Single,
    }
}

/// The database that a URL without mistakes names.
fn database(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.split_once('/').map(|(_, number)| number).filter(|number| !number.is_empty())
}

/// Reads `redis://[user:password@]host[:port][/database]`; the scheme becomes lower case.
pub(in crate::lower) fn redis_url(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str =
        "redis or rediss, a host and perhaps a port and database, such as redis://10.0.0.5:6379/1";
    let Some((scheme, rest)) = text.split_once("://") else {
        let what = format!("\"{text}\" has no scheme");
        return Err(Wrong::all(text, what, ALLOWED).meant(format_args!("redis://{text}")));
    };
    let lower = scheme.to_ascii_lowercase();
    if lower != "redis" && lower != "rediss" {
        let wrong = Wrong::part(0..scheme.len(), format!("scheme \"{scheme}\""), ALLOWED);
        return Err(match lower.as_str() {
            "valkey" | "http" | "tcp" => wrong.hint("did you mean \"redis://\"?"),
            "valkeys" | "https" | "tls" | "redis+tls" => wrong.hint("did you mean \"rediss://\"?"),
            "unix" | "redis+unix" => wrong.hint("sockets of the file system are not spoken to"),
            _ => wrong,
        });
    }
    let start = scheme.len() + 3;
    if let Some(at) = rest.find(['?', '#']) {
        let what = "a query or fragment in the URL of a server";
        return Err(Wrong::part(start + at..text.len(), what, ALLOWED));
    }
    if let Some(at) = rest.find(|c: char| c.is_control() || c.is_whitespace() || !c.is_ascii()) {
        let part = start + at..start + at + rest[at..].chars().next().map_or(1, char::len_utf8);
        return Err(Wrong::part(part, "a character that no URL has", ALLOWED)
            .hint("in a password, write % and two hexadecimal digits for it"));
    }
    let (authority, path) = rest.split_once('/').map_or((rest, None), |(a, p)| (a, Some(p)));
    let user = authority.rfind('@').map_or(0, |at| at + 1);
    let host = start + user;
    address::host_and_port(&authority[user..])
        .map_err(|wrong| Wrong { part: wrong.part.start + host..wrong.part.end + host, ..wrong })?;
    if let Some(path) = path.filter(|path| !path.is_empty() && path.parse::<u16>().is_err()) {
        let from = start + authority.len() + 1;
        let what = format!("\"{path}\" is no database");
        let allowed = "the number of a database, such as 0";
        return Err(Wrong::part(from..text.len(), what, allowed));
    }
    Ok(format!("{lower}://{rest}"))
}

/// Reads `host:port`; the port may be left out.
fn memcached(text: &str) -> Result<String, Wrong> {
    if let Some((scheme, rest)) = text.split_once("://") {
        let wrong = Wrong::all(text, "a URL", "a host and perhaps a port, such as 10.0.0.6:11211");
        return Err(if scheme.starts_with("redis") {
            wrong.hint(format!("did you mean redis = \"{text}\"?"))
        } else {
            wrong.meant(rest.trim_end_matches('/'))
        });
    }
    let found = address::host_and_port(text)?;
    let port = found.rfind(']').map_or(found.as_str(), |at| &found[at..]).contains(':');
    Ok(if port { found } else { format!("{found}:{MEMCACHED_PORT}") })
}

fn master(text: &str) -> Result<String, Wrong> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._:-".contains(&b);
    if text.is_empty() || text.len() > 128 || !text.bytes().all(legal) {
        let allowed = "1 to 128 letters, digits, -, _, . and :";
        return Err(Wrong::all(text, format!("\"{text}\" is no name of a master"), allowed));
    }
    Ok(text.to_owned())
}

fn prefix(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "up to 64 printable ASCII characters, no space";
    if let Some((at, c)) = text.char_indices().find(|(_, c)| !c.is_ascii_graphic()) {
        return Err(Wrong::part(at..at + c.len_utf8(), format!("{c:?} in a prefix"), ALLOWED));
    }
    if text.len() > PREFIX_MAX {
        return Err(Wrong::all(text, format!("{} characters", text.len()), ALLOWED));
    }
    Ok(text.to_owned())
}

/// Reads a bearer token. What is wrong is said without it: reports end up in logs.
pub(in crate::lower) fn token(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "8 to 256 printable ASCII characters, no space";
    if let Some((at, c)) = text.char_indices().find(|(_, c)| !c.is_ascii_graphic()) {
        return Err(Wrong::part(at..at + c.len_utf8(), format!("{c:?} in a token"), ALLOWED));
    }
    match text.len() {
        0 => Err(Wrong::all(text, "an empty token", ALLOWED).hint("take the key out")),
        length @ (1..8 | 257..) => {
            let word = if length < 8 { "short" } else { "long" };
            Err(Wrong::all(text, format!("{length} characters are too {word}"), ALLOWED))
        }
        _ => Ok(text.to_owned()),
    }
}
