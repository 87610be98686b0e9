//! How a service is asked: `health`, `retry`, `hedge` and `limit`.

use super::bound::{Bound, count, count_within, one_of, time_within};
use super::value;
use crate::options::duration;
use crate::reader::{At, Reader, Scope, Table};
use crate::report::Wrong;
use base::Share;
use service::settings::{Check, CheckKind, Discipline, Hedge, Limit, LimitMode, Retry};
use std::ops::Range;
use std::time::Duration;

const STATUSES: (u16, u16) = (200, 299);

/// `health`.
pub(super) fn health<'s>(
    reader: &mut Reader<'s>,
    service: &Table<'s>,
    scope: Scope,
) -> Option<Check> {
    if Reader::is_off(service, "health") {
        return None;
    }
    let table = reader.short(service, "health", scope)?;
    let key = one_of(reader, &table, &["path", "grpc", "tcp"], "it does not say what is asked");
    let statuses = reader.parsed(&table, "statuses", statuses);
    if let Some(found) = statuses.as_ref().filter(|_| key.is_some_and(|key| key != "path")) {
        let what = format!("{}there is no path", table.scope.key("statuses"));
        reader.note(found.span.clone(), what, "goes with path".to_owned(), None);
    }
    let path = reader.parsed(&table, "path", path);
    let grpc = reader.parsed(&table, "grpc", grpc);
    if reader.flag(&table, "tcp") == Some(false)
        && key == Some("tcp")
        && let Some(place) = table.place("tcp")
    {
        let what = format!("{}false leaves nothing to ask", table.scope.key("tcp"));
        let hint = Some("health = false checks nothing".to_owned());
        reader.note(place, what, "true, or path or grpc in its place".to_owned(), hint);
    }
    let standard = Check::standard(CheckKind::Tcp);
    let every = Bound::of("every", reader.time(&table, "every"), standard.every);
    let time = time_within(reader, &table, "time", standard.time, &every);
    let healthy = count(reader, &table, "healthy").map(|found| found.value as u32);
    let unhealthy = count(reader, &table, "unhealthy").map(|found| found.value as u32);
    let kind = match key? {
        "path" => CheckKind::Http { path: path?.value, statuses: value(statuses, STATUSES) },
        "grpc" => CheckKind::Grpc(grpc?.value),
        _ => CheckKind::Tcp,
    };
    Some(Check {
        kind,
        every: every.value,
        time,
        healthy: healthy.unwrap_or(standard.healthy),
        unhealthy: unhealthy.unwrap_or(standard.unhealthy),
    })
}

/// Reads the path of a check.
fn path(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "a path that starts with /, such as /health";
    if let Some((_, rest)) = text.split_once("://") {
        let wrong = Wrong::all(text, "a URL", ALLOWED);
        let path = rest.find('/').map_or("/", |at| &rest[at..]);
        return Err(wrong.meant(path));
    }
    if !text.starts_with('/') {
        let wrong = Wrong::all(text, format!("\"{text}\" does not start with /"), ALLOWED);
        return Err(match text {
            "tcp" => wrong.hint("health = { tcp = true }"),
            "grpc" => wrong.hint("health = { grpc = \"\" }"),
            "" => wrong.meant("/"),
            _ => wrong.meant(format_args!("/{text}")),
        });
    }
    if let Some((at, c)) = text.char_indices().find(|(_, c)| !c.is_ascii_graphic() || *c == '#') {
        let wrong = Wrong::part(at..at + c.len_utf8(), format!("{c:?} in a path"), ALLOWED);
        return Err(wrong.hint("write % and two hexadecimal digits for it"));
    }
    if text.len() > 1024 {
        return Err(Wrong::all(text, format!("{} characters", text.len()), "at most 1024"));
    }
    Ok(text.to_owned())
}

/// Reads the name of a gRPC service.
fn grpc(text: &str) -> Result<String, Wrong> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-/".contains(&b);
    if text.len() > 256 || !text.bytes().all(legal) {
        let allowed = "such as shop.Cart, or \"\" for the server as a whole";
        return Err(Wrong::all(text, format!("\"{text}\" is no gRPC service"), allowed));
    }
    Ok(text.to_owned())
}

/// Reads `200` or `200-299`.
fn statuses(text: &str) -> Result<(u16, u16), Wrong> {
    const ALLOWED: &str = "a status such as 200, or two with a dash between them: 200-299";
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse::<u16>().ok().filter(|status| digits && (100..=599).contains(status))
    };
    if let Some((from, to)) = status(from).zip(status(to)) {
        if from > to {
            let what = format!("{from} is more than {to}");
            return Err(Wrong::all(text, what, ALLOWED).meant(format_args!("{to}-{from}")));
        }
        return Ok((from, to));
    }
    let wrong = Wrong::all(text, format!("\"{text}\" is no range of statuses"), ALLOWED);
    let class = text.as_bytes().first().filter(|b| text.len() == 3 && (b'1'..=b'5').contains(b));
    Err(match class.filter(|_| text[1..].eq_ignore_ascii_case("xx")) {
        Some(_) => wrong.meant(format_args!("{0}00-{0}99", &text[..1])),
        None => wrong,
    })
}

/// What retries are told, and where.
pub(super) struct Retries {
    pub(super) retry: Retry,
    /// Where `try_time` stands.
    pub(super) try_place: Option<Range<usize>>,
    budget: Bound<Share>,
}

/// `retry`.
pub(super) fn retry<'s>(reader: &mut Reader<'s>, service: &Table<'s>, scope: Scope) -> Retries {
    let standard = Retry::standard();
    let budget = |found, standard| Bound::of("retry.budget", found, standard);
    let table = match reader.switch(service, "retry", scope) {
        Some(Ok(table)) => table,
        Some(Err(true)) | None => {
            let budget = budget(None, standard.budget);
            return Retries { retry: standard, try_place: None, budget };
        }
        Some(Err(false)) => {
            let place = service.place("retry").map(|span| At { value: Share(0), span });
            let retry = Retry { attempts: 0, budget: Share(0), reserve: 0, ..standard };
            return Retries { retry, try_place: None, budget: budget(place, Share(0)) };
        }
    };
    let attempts = count(reader, &table, "attempts").map(|found| found.value as u32);
    let reserve = count(reader, &table, "reserve").map(|found| found.value as u32);
    let statuses = reader.counts(&table, "statuses");
    let statuses = statuses.map(|all| all.into_iter().map(|status| status as u16).collect());
    let budget = budget(reader.share(&table, "budget"), standard.budget);
    let body_max = reader.size(&table, "body_max").and_then(|found| found.value);
    let try_time = reader.time(&table, "try_time");
    let retry = Retry {
        attempts: attempts.unwrap_or(standard.attempts),
        statuses: statuses.unwrap_or(standard.statuses),
        budget: budget.value,
        reserve: reserve.unwrap_or(standard.reserve),
        try_time: try_time.as_ref().map(|found| found.value),
        body_max: body_max.unwrap_or(standard.body_max),
        backoff: value(reader.time(&table, "backoff"), standard.backoff),
    };
    Retries { retry, try_place: try_time.map(|found| found.span), budget }
}

/// The longest that all tries take, and how that comes about; `None` where a try has no time of its
/// own.
pub(super) fn longest(retry: &Retry) -> Option<(Duration, String)> {
    let try_time = retry.try_time?;
    let tries = retry.attempts + 1;
    // The first retry waits for nothing, the second for `backoff`, each one after it twice as long.
    let waits = (1_u32 << retry.attempts.saturating_sub(1)) - 1;
    let backoff = retry.backoff * waits;
    let total = try_time * tries + backoff;
    let word = if tries == 1 { "try" } else { "tries" };
    let wait =
        if waits > 0 { format!(" + {} of backoff", duration(backoff)) } else { String::new() };
    let sum = format!("{tries} {word} × {}{wait} = {}", duration(try_time), duration(total));
    Some((total, sum))
}

/// Notes tries that do not fit into the whole, or into which connecting does not fit.
pub(super) fn check_tries(
    reader: &mut Reader<'_>,
    service: &Table<'_>,
    retries: &Retries,
    total: &Bound<Duration>,
    connect: Option<&At<Duration>>,
) {
    let Some((place, try_time)) = retries.try_place.as_ref().zip(retries.retry.try_time) else {
        return;
    };
    let key = service.scope.key("retry.try_time");
    if let Some((_, sum)) = longest(&retries.retry).filter(|(longest, _)| *longest > total.value) {
        let shown = duration(total.value);
        let what = format!("{key}{sum} is more than total_time, {shown}");
        let label = format!("all tries within total_time, {shown}");
        total.note(reader, what, (place, label), &shown);
    }
    if let Some(connect) = connect.filter(|connect| connect.value > try_time) {
        let (shown, least) = (duration(try_time), duration(connect.value));
        let what = format!("{key}{shown} is shorter than connect_time, {least}");
        let label = format!("at least connect_time, {least}");
        let there = (&connect.span, "connect_time is set here".to_owned());
        reader.note_pair(what, (place, label), there, None);
    }
}

/// `hedge`; `servers` is how many there are, `None` where they are discovered.
pub(super) fn hedge<'s>(
    reader: &mut Reader<'s>,
    service: &Table<'s>,
    scope: Scope,
    retries: &Retries,
    servers: Option<usize>,
) -> Option<Hedge> {
    if Reader::is_off(service, "hedge") {
        return None;
    }
    let table = reader.short(service, "hedge", scope)?;
    let At { value: extra, span } = reader.share(&table, "extra")?;
    let budget = &retries.budget;
    if extra > budget.value {
        let start = table.scope.key("extra");
        let what = format!("{start}hedge may add {extra} but budget allows {}", budget.value);
        let label = format!("at most {}, {}", budget.key, budget.value);
        if let Some(off) = service.place("retry").filter(|_| Reader::is_off(service, "retry")) {
            let there = (&off, "there is no budget without retries".to_owned());
            let hint = "retry = { attempts = 0 } retries nothing and keeps the budget".to_owned();
            reader.note_pair(what, (&span, label), there, Some(hint));
        } else {
            budget.note(reader, what, (&span, label), &budget.value.to_string());
        }
    }
    if servers == Some(1) && !reader.torn() {
        let what = format!("{}there is one server", table.scope.key("extra"));
        let allowed = "needs a second server, or discover".to_owned();
        let hint = Some("take the key out".to_owned());
        match service.place("servers") {
            Some(there) => {
                let there = (&there, "the only one".to_owned());
                reader.note_pair(what, (&span, allowed), there, hint);
            }
            None => reader.note(span, what, allowed, hint),
        }
    }
    Some(Hedge { extra })
}

/// `limit`.
pub(super) fn limit<'s>(
    reader: &mut Reader<'s>,
    service: &Table<'s>,
    scope: Scope,
    total: &Bound<Duration>,
) -> Limit {
    let standard = Limit::standard();
    let queue_time = standard.queue_time.min(total.value);
    let Some(table) = reader.short(service, "limit", scope) else {
        return Limit { queue_time, ..standard };
    };
    let mode = match reader.choice(&table, "mode") {
        Some(Ok("off")) => LimitMode::Off,
        Some(Ok("enforce")) => LimitMode::Enforce,
        _ => standard.mode,
    };
    let queue = match reader.choice(&table, "queue") {
        Some(Ok("codel")) => Discipline::CoDel,
        Some(Ok("fifo")) => Discipline::Fifo,
        _ => standard.queue,
    };
    let queue_max = count(reader, &table, "queue_max").map(|found| found.value as usize);
    let queue_time = time_within(reader, &table, "queue_time", standard.queue_time, total);
    let (least, start, most) = steps(reader, &table, &standard);
    Limit {
        mode,
        start,
        least,
        most,
        queue,
        queue_max: queue_max.unwrap_or(standard.queue_max),
        queue_time,
    }
}

/// `least`, `start` and `most`, each at most the next.
fn steps<'s>(reader: &mut Reader<'s>, table: &Table<'s>, standard: &Limit) -> (u32, u32, u32) {
    let most = Bound::of("most", count(reader, table, "most"), u64::from(standard.most));
    let set = table.place("start").is_some();
    let start = count_within(reader, table, "start", u64::from(standard.start), &most);
    let start = Bound { key: "start", value: start, place: table.place("start") };
    let ground = u64::from(standard.least);
    // Where `start` is not set it gives way to `least`.
    let least = count_within(reader, table, "least", ground, if set { &start } else { &most });
    (least as u32, start.value.max(least) as u32, most.value as u32)
}
