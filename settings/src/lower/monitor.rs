//! `[monitor]`, and what a route promises.

use super::caching::shared::token;
use super::value;
use crate::address::{self, token_name};
use crate::options::duration;
use crate::reader::{At, Reader, Scope, Table};
use crate::report::{Wrong, closest};
use base::{Share, unit};
use monitor::settings::{AccessLog, LogFormat, Objective, Otlp, Protocol, ServerTiming, Settings};
use std::time::Duration;

/// Most parameters that are redacted, fields of an export, and percentiles of a route.
const REDACT_MAX: usize = 64;
const FIELDS_MAX: usize = 16;
const FIELD_MAX: usize = 4096;
const PERCENTILES_MAX: usize = 8;
/// Where an OTLP receiver listens for HTTP, by convention.
const OTLP_HTTP: u16 = 4318;
/// The most that can be promised.
const SHARE_MAX: Share = Share(9_999);
const TIME_LEAST: Duration = Duration::from_micros(1);
const TIME_MOST: Duration = Duration::from_hours(1);

/// `[monitor]`.
pub(super) fn settings<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Settings {
    let standard = Settings::standard();
    let access_log = match reader.choice(table, "access_log") {
        Some(Ok("off")) | None => AccessLog::Off,
        Some(Ok(_)) => AccessLog::Stdout,
        Some(Err(text)) => AccessLog::File(reader.path(&text)),
    };
    let log_format = match reader.choice(table, "log_format") {
        Some(Ok("common")) => LogFormat::Common,
        Some(Ok("combined")) => LogFormat::Combined,
        _ => LogFormat::Json,
    };
    let redact = reader.parsed_all(table, "redact", parameter);
    if let Some(first_over) = redact.as_ref().and_then(|all| all.get(REDACT_MAX)) {
        let what = format!("{}more than {REDACT_MAX}", table.scope.key("redact"));
        let hint = "a * at the end stands for any rest".to_owned();
        reader.note(first_over.span.clone(), what, "fewer parameters".to_owned(), Some(hint));
    }
    let redact = redact.map(|all| all.into_iter().map(|found| found.value).collect());
    Settings {
        access_log,
        log_format,
        log_sample: value(reader.share(table, "log_sample"), standard.log_sample),
        redact: redact.unwrap_or(standard.redact),
        server_timing: server_timing(reader, table),
        request_id: reader.flag(table, "request_id").unwrap_or(standard.request_id),
        trace: reader.flag(table, "trace").unwrap_or(standard.trace),
        trace_sample: value(reader.share(table, "trace_sample"), standard.trace_sample),
        otlp: otlp(reader, table),
    }
}

/// Reads the name of a parameter, in lower case.
fn parameter(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "a parameter's name, up to 128 characters";
    if text.is_empty() || text.len() > 128 {
        return Err(Wrong::all(text, "this name cannot be used", ALLOWED));
    }
    if let Some((name, _)) = text.trim_start_matches(['?', '&']).split_once('=') {
        let what = format!("\"{text}\" has a value");
        return Err(Wrong::all(text, what, ALLOWED).meant(name));
    }
    let odd = |c: &char| c.is_control() || c.is_whitespace() || matches!(c, '&' | '?' | '#');
    if let Some((at, c)) = text.char_indices().find(|(_, c)| odd(c)) {
        return Err(Wrong::part(at..at + c.len_utf8(), format!("{c:?} in a name"), ALLOWED));
    }
    if let Some(at) = text.find('*').filter(|at| at + 1 < text.len()) {
        return Err(Wrong::part(at..at + 1, "a * before the end", "a * at the end, for any rest"));
    }
    Ok(text.to_lowercase())
}

fn server_timing<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> ServerTiming {
    let scope = Scope::Section("monitor.server_timing".to_owned());
    match reader.switch(table, "server_timing", scope) {
        Some(Ok(inner)) => {
            let token = reader.parsed(&inner, "token", token);
            token.map_or(ServerTiming::Off, |found| ServerTiming::Token(found.value))
        }
        Some(Err(true)) => ServerTiming::On,
        Some(Err(false)) | None => ServerTiming::Off,
    }
}

fn otlp<'s>(reader: &mut Reader<'s>, monitor: &Table<'s>) -> Option<Otlp> {
    let table = reader.short(monitor, "otlp", Scope::Section("monitor.otlp".to_owned()))?;
    let url = reader.parsed(&table, "url", otlp_url);
    let protocol = match reader.choice(&table, "protocol") {
        Some(Ok("http")) => Protocol::Http,
        None if url.as_ref().is_some_and(|url| url.value.1 == Some(OTLP_HTTP)) => Protocol::Http,
        _ => Protocol::Grpc,
    };
    let fields = fields(reader, &table);
    let every = value(reader.time(&table, "every"), Otlp::EVERY);
    let metrics = reader.flag(&table, "metrics").unwrap_or(true);
    let traces = reader.flag(&table, "traces").unwrap_or(true);
    let service = reader.parsed(&table, "service", title);
    let service = value(service, Otlp::SERVICE.to_owned());
    let url = url?.value.0;
    Some(Otlp { url, protocol, fields, every, metrics, traces, service })
}

/// Reads the URL of a receiver; answers its port too, if it has one.
fn otlp_url(text: &str) -> Result<(String, Option<u16>), Wrong> {
    const ALLOWED: &str = "http or https, a host and perhaps a port, such as http://localhost:4317";
    let Some((scheme, rest)) = text.split_once("://") else {
        let what = format!("\"{text}\" has no scheme");
        return Err(Wrong::all(text, what, ALLOWED).meant(format_args!("http://{text}")));
    };
    let lower = scheme.to_ascii_lowercase();
    if lower != "http" && lower != "https" {
        let wrong = Wrong::part(0..scheme.len(), format!("scheme \"{scheme}\""), ALLOWED);
        return Err(match lower.as_str() {
            "grpc" | "otlp" | "tcp" => wrong.hint("did you mean \"http://\"?"),
            "grpcs" | "tls" | "ssl" => wrong.hint("did you mean \"https://\"?"),
            _ => wrong,
        });
    }
    let start = scheme.len() + 3;
    if let Some(at) = rest.find(['?', '#']) {
        let what = "a query or fragment in the URL of a receiver";
        return Err(Wrong::part(start + at..text.len(), what, ALLOWED));
    }
    let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, path)| (a, path));
    if let Some(at) = authority.rfind('@') {
        let what = "a user or password in a URL";
        return Err(Wrong::part(start..start + at + 1, what, ALLOWED)
            .hint("send it as a field: fields = { authorization = \"Basic ...\" }"));
    }
    let shift =
        |wrong: Wrong| Wrong { part: wrong.part.start + start..wrong.part.end + start, ..wrong };
    let found = address::host_and_port(authority).map_err(shift)?;
    let odd = |c: char| !c.is_ascii_graphic() || matches!(c, '"' | '<' | '>' | '\\');
    let from = text.len() - path.len();
    if let Some(at) = path.find(odd) {
        return Err(Wrong::part(from + at..text.len(), "a character that no path has", ALLOWED));
    }
    let path = path.trim_end_matches('/');
    if let Some(base) = ["v1/metrics", "v1/traces"].iter().find_map(|own| path.strip_suffix(own)) {
        let what = "the path of one signal, and there are two";
        let base = format!("{scheme}://{authority}/{base}");
        return Err(Wrong::part(from..text.len(), what, ALLOWED).meant(base.trim_end_matches('/')));
    }
    let port = found.rfind(']').map_or(found.as_str(), |at| &found[at..]);
    let port = port.split_once(':').and_then(|(_, port)| port.parse().ok());
    let slash = if path.is_empty() { "" } else { "/" };
    Ok((format!("{lower}://{found}{slash}{path}"), port))
}

/// What is sent with every export. What is wrong with a value is said without it.
fn fields<'s>(reader: &mut Reader<'s>, table: &Table<'s>) -> Vec<(String, String)> {
    let mut fields: Vec<(At<String>, String)> = Vec::new();
    for (name, text) in reader.pairs(table, "fields").unwrap_or_default() {
        let key = table.scope.key("fields");
        let found = match field_name(&name.value) {
            Ok(found) => At { value: found, span: name.span.clone() },
            Err(wrong) => {
                reader.note(name.span, format!("{key}{}", wrong.what), wrong.allowed, wrong.hint);
                continue;
            }
        };
        let legal = |b: u8| b.is_ascii_graphic() || b == b' ' || b == b'\t';
        if text.value.is_empty() || text.value.len() > FIELD_MAX || !text.value.bytes().all(legal) {
            let what = format!("{key}the value of {} cannot be sent", name.value);
            let allowed = format!("1 to {FIELD_MAX} printable ASCII characters");
            reader.note(text.span, what, allowed, None);
            continue;
        }
        if let Some((first, _)) = fields.iter().find(|(first, _)| first.value == found.value) {
            let what = format!("{key}\"{}\" twice", name.value);
            let there = (&first.span.clone(), "first here".to_owned());
            reader.note_pair(what, (&found.span, String::new()), there, None);
            continue;
        }
        if fields.len() == FIELDS_MAX {
            let what = format!("{key}more than {FIELDS_MAX}");
            reader.note(found.span, what, "fewer fields".to_owned(), None);
            break;
        }
        fields.push((found, text.value));
    }
    fields.into_iter().map(|(name, text)| (name.value, text)).collect()
}

/// Reads the name of a field of an export; names of gRPC are lower case.
fn field_name(text: &str) -> Result<String, Wrong> {
    let name = token_name(text, "a field")?.to_ascii_lowercase();
    let own = ["host", "te", "content-type", "content-length", "connection", "user-agent"];
    if own.contains(&name.as_str()) || name.starts_with("grpc-") || name.ends_with("-bin") {
        let allowed = "a field that the protocol gives no meaning to, such as authorization";
        return Err(Wrong::all(text, format!("\"{text}\" is the protocol's own"), allowed));
    }
    Ok(name)
}

fn title(text: &str) -> Result<String, Wrong> {
    let length = text.chars().count();
    if length == 0 || length > 128 || text.chars().any(char::is_control) {
        return Err(Wrong::all(text, "this name cannot be used", "1 to 128 printable characters"));
    }
    Ok(text.to_owned())
}

/// `objective` of a route.
pub(super) fn objective<'s>(reader: &mut Reader<'s>, route: &Table<'s>) -> Option<Objective> {
    let mut latency: Vec<At<(Share, Duration)>> = Vec::new();
    let mut success = None;
    for (name, text) in reader.pairs(route, "objective")? {
        let key = route.scope.key("objective");
        if name.value == "success" {
            success = reader.parse(route, "objective", &text, promised).map(|found| found.value);
            continue;
        }
        let share = match percentile(&name.value) {
            Ok(share) => share,
            Err(wrong) => {
                reader.note(name.span, format!("{key}{}", wrong.what), wrong.allowed, wrong.hint);
                continue;
            }
        };
        let Some(time) = reader.parse(route, "objective", &text, time) else { continue };
        if let Some(first) = latency.iter().find(|first| first.value.0 == share) {
            let what = format!("{key}{} twice", percentile_name(share));
            let there = (&first.span.clone(), "first here".to_owned());
            reader.note_pair(what, (&name.span, String::new()), there, None);
            continue;
        }
        latency.push(At { value: (share, time.value), span: text.span });
    }
    if let Some(over) = latency.get(PERCENTILES_MAX) {
        let what =
            format!("{}more than {PERCENTILES_MAX} percentiles", route.scope.key("objective"));
        reader.note(over.span.clone(), what, "fewer of them".to_owned(), None);
    }
    latency.sort_by_key(|found| found.value.0);
    check_order(reader, route, &latency);
    let latency: Vec<_> = latency.into_iter().map(|found| found.value).collect();
    (!latency.is_empty() || success.is_some()).then_some(Objective { latency, success })
}

/// Notes percentiles that promise less than a higher one does.
fn check_order<'s>(reader: &mut Reader<'s>, route: &Table<'s>, latency: &[At<(Share, Duration)>]) {
    for pair in latency.windows(2) {
        let ((low, slow), (high, fast)) = (pair[0].value, pair[1].value);
        if fast > slow {
            continue;
        }
        let (low, high) = (percentile_name(low), percentile_name(high));
        let (slow, fast) = (duration(slow), duration(fast));
        let what = format!("{}{low} is {slow}, and {high} {fast}", route.scope.key("objective"));
        let label = format!("less than {fast}, or nothing");
        let there = (&pair[1].span, "what this promises".to_owned());
        let hint = Some("are the two the wrong way round?".to_owned());
        reader.note_pair(what, (&pair[0].span, label), there, hint);
    }
}

/// How settings and people write a percentile: `p99.9`.
pub(crate) fn percentile_name(share: Share) -> String {
    let text = share.to_string();
    format!("p{}", text.trim_end_matches('%'))
}

/// Reads `p99` or `p99.9`.
fn percentile(text: &str) -> Result<Share, Wrong> {
    const ALLOWED: &str = "a percentile from p1 to p99.99, or success";
    let unknown = || {
        let wrong = Wrong::all(text, format!("\"{text}\" is not known"), ALLOWED);
        match text.to_ascii_lowercase().as_str() {
            "median" => wrong.meant("p50"),
            "latency" | "max" | "response_time" | "duration" => wrong.meant("p99"),
            "availability" | "errors" | "error_rate" | "uptime" | "success_rate" => {
                wrong.meant("success")
            }
            word => match closest(word, ["success"]) {
                Some(near) => wrong.meant(near),
                None => wrong,
            },
        }
    };
    let Some(number) = text.strip_prefix(['p', 'P']).filter(|number| !number.is_empty()) else {
        return Err(match text.parse::<f64>() {
            Ok(number) if number > 0.0 && number < 100.0 => unknown().meant(format!("p{text}")),
            _ => unknown(),
        });
    };
    if number.len() > 2 && number.starts_with("99") && number.bytes().all(|b| b == b'9') {
        let meant = format!("\"p99.{}\"", &number[2..number.len().min(4)]);
        return Err(unknown().hint(format!("with a dot, in quotes: {meant}")));
    }
    let Ok(share) = unit::parse_share(&format!("{number}%")) else { return Err(unknown()) };
    if !(Share::percent(1)..=SHARE_MAX).contains(&share) {
        let what =
            format!("\"{text}\" promises too {}", if share.0 < 100 { "little" } else { "much" });
        return Err(Wrong::all(text, what, ALLOWED));
    }
    if text.starts_with('P') {
        return Err(unknown().meant(percentile_name(share)));
    }
    Ok(share)
}

/// Reads a share of requests that do not fail.
fn promised(text: &str) -> Result<Share, Wrong> {
    let allowed = format!("a share from 1% to {SHARE_MAX}");
    let share = unit::parse_share(text).map_err(|_| {
        let wrong = Wrong::all(text, format!("success: \"{text}\" is no share"), allowed.clone());
        match text.trim().parse::<f64>() {
            Ok(number) if (0.0..1.0).contains(&number) => {
                wrong.meant(format!("{}%", (number * 10_000.0).round() / 100.0))
            }
            Ok(number) if number < 100.0 => wrong.meant(format!("{number}%")),
            _ => wrong,
        }
    })?;
    if share >= Share::percent(100) {
        let what = format!("success: {share} leaves no request that may fail");
        return Err(Wrong::all(text, what, allowed).hint("try 99.9%"));
    }
    if !(Share::percent(1)..=SHARE_MAX).contains(&share) {
        return Err(Wrong::all(text, format!("success: {share} is too small"), allowed));
    }
    Ok(share)
}

/// Reads the time that a percentile is to take.
fn time(text: &str) -> Result<Duration, Wrong> {
    let allowed = format!("a duration from {} to {}", duration(TIME_LEAST), duration(TIME_MOST));
    let wrong = |what: String| Wrong::all(text, what, allowed.clone());
    let found = unit::parse_duration(text).map_err(|_| {
        let found = wrong(format!("\"{text}\" is no duration"));
        match text.trim().parse::<f64>() {
            Ok(number) => found.hint(format!("write a unit: \"{number}ms\"")),
            Err(_) => found,
        }
    })?;
    if !(TIME_LEAST..=TIME_MOST).contains(&found) {
        let word = if found < TIME_LEAST { "short" } else { "long" };
        return Err(wrong(format!("{} is too {word}", duration(found))));
    }
    Ok(found)
}
