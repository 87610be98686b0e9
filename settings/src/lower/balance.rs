//! How a server is chosen: `balance`.

use super::bound::{Bound, count, time_within};
use super::value;
use crate::address::{read_field, token_name};
use crate::options::BALANCE;
use crate::reader::{At, Reader, Scope, Table};
use crate::report::{Wrong, closest};
use balance::settings::{Eject, Hash, HashBy, Policy, Settings};
use base::Share;

/// The load that `hash` puts on one server where the settings say nothing.
const BOUND: Share = Share::percent(125);

/// `balance`.
pub(super) fn balance<'s>(
    reader: &mut Reader<'s>,
    service: &Table<'s>,
    name: &str,
    zone: Option<&String>,
) -> Settings {
    let standard = Settings { zone: zone.cloned(), ..Settings::standard() };
    let scope = Scope::Section(format!("{name}.balance"));
    let Some(table) = reader.short(service, "balance", scope) else { return standard };
    let policy = policy(reader, &table);
    let subset = count(reader, &table, "subset").map(|found| found.value as usize);
    let share = |reader: &mut Reader<'s>, key, standard| value(reader.share(&table, key), standard);
    let time = |reader: &mut Reader<'s>, key, standard| value(reader.time(&table, key), standard);
    Settings {
        subset_seed: standard.subset_seed,
        policy: policy.unwrap_or(standard.policy),
        slow_start: time(reader, "slow_start", standard.slow_start),
        slow_start_least: share(reader, "slow_start_least", standard.slow_start_least),
        penalty: time(reader, "penalty", standard.penalty),
        panic: share(reader, "panic", standard.panic),
        eject: eject(reader, &table, name, standard.eject),
        zone: standard.zone,
        zone_cost: time(reader, "zone_cost", standard.zone_cost),
        subset,
    }
}

/// `policy`, `by` and `bound`.
fn policy<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Option<Policy> {
    let word = reader.choice(table, "policy");
    let by = reader.parsed(table, "by", hash_by);
    let bound = value(reader.share(table, "bound"), BOUND);
    let word = match word {
        Some(Ok(word)) => word,
        _ if table.get("policy").is_some() => return None, // Noted already.
        _ => "peak-ewma",
    };
    if word != "hash" {
        check_unhashed(reader, table, word);
    }
    Some(match word {
        "least-request" => Policy::LeastRequest,
        "round-robin" => Policy::RoundRobin,
        "random" => Policy::Random,
        "hot-cold" => Policy::HotCold,
        "hash" => {
            if table.get("by").is_none() && !reader.torn() {
                let what = format!("{}\"hash\" does not say by what", table.scope.key("policy"));
                let hint = "balance = { policy = \"hash\", by = \"client\" }".to_owned();
                let allowed =
                    BALANCE.key("by").map(|key| format!("needs by: {}", key.kind.allowed()));
                let place = table.place("policy").unwrap_or(table.span.clone());
                reader.note(place, what, allowed.unwrap_or_default(), Some(hint));
            }
            Policy::Hash(Hash { by: by?.value, bound })
        }
        _ => Policy::PeakEwma,
    })
}

/// Keys about hashing without it are mistakes.
fn check_unhashed<'s>(reader: &mut Reader<'s>, table: &Table<'s>, word: &str) {
    for key in ["by", "bound"] {
        let Some(place) = table.place(key) else { continue };
        let what = format!("{}policy is \"{word}\"", table.scope.key(key));
        let label = "goes with policy = \"hash\"".to_owned();
        match table.place("policy") {
            Some(there) => {
                let there = (&there, "policy is set here".to_owned());
                reader.note_pair(what, (&place, label), there, None);
            }
            None => reader.note(place, what, label, Some("set policy = \"hash\"".to_owned())),
        }
    }
}

/// Reads what is hashed.
fn hash_by(text: &str) -> Result<HashBy, Wrong> {
    const ALLOWED: &str = "header:NAME, cookie:NAME, parameter:NAME, path or client";
    let (kind, name) = text.split_once(':').map_or((text, None), |(k, n)| (k, Some(n)));
    match (kind, name) {
        ("path", None) => return Ok(HashBy::Path),
        ("client", None) => return Ok(HashBy::Client),
        ("header" | "cookie" | "parameter", Some(name)) => {
            let start = kind.len() + 1;
            let shift = |wrong: Wrong| Wrong { part: start..text.len(), ..wrong };
            return match kind {
                "header" => read_field(name, "X-User").map(HashBy::Header),
                "cookie" => token_name(name, "a cookie").map(HashBy::Cookie),
                _ => parameter(name).map(HashBy::Parameter),
            }
            .map_err(shift);
        }
        _ => {}
    }
    let wrong = Wrong::all(text, format!("\"{text}\" is not known"), ALLOWED);
    Err(match (kind, name) {
        ("header" | "field", None) => wrong.meant("header:X-User"),
        ("cookie", None) => wrong.meant("cookie:uid"),
        ("parameter" | "param" | "id", None) => wrong.meant("parameter:id"),
        ("ip" | "source" | "source_ip" | "remote_addr" | "address", _) => wrong.meant("client"),
        ("uri" | "url", _) => wrong.meant("path"),
        ("field", Some(name)) => wrong.meant(format_args!("header:{name}")),
        ("param" | "path", Some(name)) => wrong.meant(format_args!("parameter:{name}")),
        ("query", Some(_)) => wrong.hint("the query is not hashed; a parameter is one of match"),
        _ => {
            let known = ["header", "cookie", "parameter", "path", "client"];
            match (closest(kind, known), name) {
                (Some(near), Some(name)) => wrong.meant(format_args!("{near}:{name}")),
                (Some(near @ ("path" | "client")), None) => wrong.meant(near),
                _ => wrong,
            }
        }
    })
}

/// Reads the name of a parameter of a path.
fn parameter(name: &str) -> Result<String, Wrong> {
    // As `crate::pattern` has them.
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if name.is_empty() || !name.bytes().all(legal) {
        let what = format!("\"{name}\" is no name of a parameter");
        let bare = name.trim_matches(['{', '}']).trim_end_matches('.');
        let wrong = Wrong::all(name, what, "the name of a parameter of match, without braces");
        return Err(if !bare.is_empty() && bare != name {
            wrong.meant(format_args!("parameter:{bare}"))
        } else {
            wrong
        });
    }
    Ok(name.to_owned())
}

/// `eject`.
fn eject<'s>(reader: &mut Reader<'s>, table: &Table<'s>, name: &str, standard: Eject) -> Eject {
    let scope = Scope::Section(format!("{name}.balance.eject"));
    let table = match reader.switch(table, "eject", scope) {
        Some(Ok(table)) => table,
        Some(Err(false)) => {
            return Eject { failures: 0, success: Share(0), slow: Share(0), ..standard };
        }
        Some(Err(true)) | None => return standard,
    };
    let failures = count(reader, &table, "failures").map(|found| found.value as u32);
    let longest = Bound::of("time_max", reader.time(&table, "time_max"), standard.time_max);
    let time = time_within(reader, &table, "time", standard.time, &longest);
    let share = |reader: &mut Reader<'s>, key, standard| {
        reader.share(&table, key).map_or(standard, |At { value, .. }| value)
    };
    Eject {
        failures: failures.unwrap_or(standard.failures),
        success: share(reader, "success", standard.success),
        slow: share(reader, "slow", standard.slow),
        time,
        time_max: longest.value,
        most: share(reader, "most", standard.most),
    }
}
