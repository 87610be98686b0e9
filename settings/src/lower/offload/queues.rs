//! `[queue.NAME]`.

use crate::address;
use crate::lower::bound::{Bound, count, count_within};
use crate::lower::{rates, value};
use crate::options::{QUEUES, SERVICE_NAME_WORDS};
use crate::reader::{At, Reader, Scope, Table};
use crate::report::{Wrong, closest};
use offload::settings::{Away, OnDead, Pace, Queue, Retry};
use std::time::Duration;
use toml::de::DeTable;

/// The queue that is there without being set.
pub(crate) const DEFAULT: &str = "default";
const QUEUES_MAX: usize = 256;
const SCHEMES: [&str; 9] =
    ["amqp", "amqps", "nats", "tls+nats", "kafka", "kafkas", "sqs", "https+sqs", "pubsub"];
const URL_MAX: usize = 1024;

/// A queue of which the file says nothing.
pub(crate) fn standard(name: &str, jobs_max: usize) -> Queue {
    Queue {
        name: name.to_owned(),
        broker: None,
        takes: true,
        away: Away::Refuse,
        at_once: 16,
        rate: None,
        replay_rate: None,
        retry: standard_retry(),
        try_time: Duration::from_secs(30),
        expires: None,
        jobs_max,
        age_max: None,
        on_dead: OnDead::Skip,
    }
}

fn standard_retry() -> Retry {
    Retry {
        tries: 12,
        pause: Duration::from_secs(1),
        growth_percent: 200,
        pause_max: Duration::from_mins(15),
        on: Retry::standard_statuses(),
        lost_max: 3,
    }
}

/// The queues in the order of the file, each where what makes it shared stands, else its name;
/// `default` first where the file has none.
pub(super) fn queues<'s>(
    reader: &mut Reader<'s>,
    root: &Table<'s>,
    jobs_max: &Bound<u64>,
) -> Vec<At<Queue>> {
    let named = reader.named(root, "queue");
    if let Some((name, _)) = named.get(QUEUES_MAX) {
        let what = format!("queue: more than {QUEUES_MAX}");
        reader.note(name.span.clone(), what, format!("at most {QUEUES_MAX}"), None);
    }
    let mut queues = Vec::new();
    if named.iter().all(|(name, _)| name.value != DEFAULT) {
        queues.push(At { value: standard(DEFAULT, jobs_max.value as usize), span: 0..0 });
    }
    for (name, table) in named {
        queues.push(queue(reader, &name, table, jobs_max));
    }
    queues
}

fn queue<'s>(
    reader: &mut Reader<'s>,
    name: &At<&'s str>,
    At { value: table, span }: At<&'s DeTable<'s>>,
    jobs_max: &Bound<u64>,
) -> At<Queue> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.value.is_empty() || name.value.len() > 64 || !name.value.bytes().all(legal) {
        let what = format!("queue \"{}\": this name cannot be used", name.value);
        reader.note(name.span.clone(), what, SERVICE_NAME_WORDS.to_owned(), None);
    }
    let own = format!("queue.{}", name.value);
    let table = reader.open(Scope::Section(own.clone()), &QUEUES, table, span);
    let standard = standard(name.value, jobs_max.value as usize);
    let broker = reader.parsed(&table, "broker", broker);
    if table.place("broker").is_none() {
        check_alone(reader, &table);
    }
    let place = broker.as_ref().map_or(name.span.clone(), |found| found.span.clone());
    let at_once = count(reader, &table, "at_once").map(|found| found.value as usize);
    let jobs = count_within(reader, &table, "jobs_max", standard.jobs_max as u64, jobs_max);
    let queue = Queue {
        broker: broker.map(|found| found.value),
        takes: reader.flag(&table, "takes").unwrap_or(standard.takes),
        away: match reader.choice(&table, "away") {
            Some(Ok("spill")) => Away::Spill,
            _ => standard.away,
        },
        at_once: at_once.unwrap_or(standard.at_once),
        rate: reader.parsed(&table, "rate", pace).map(|found| found.value),
        replay_rate: reader.parsed(&table, "replay_rate", pace).map(|found| found.value),
        retry: retry(reader, &table, Scope::Section(format!("{own}.retry"))),
        try_time: value(reader.time(&table, "try_time"), standard.try_time),
        expires: reader.time(&table, "expires").map(|found| found.value),
        jobs_max: jobs as usize,
        age_max: reader.time(&table, "age_max").map(|found| found.value),
        on_dead: match reader.choice(&table, "on_dead") {
            Some(Ok("block")) => OnDead::Block,
            _ => standard.on_dead,
        },
        name: standard.name,
    };
    At { value: queue, span: place }
}

/// Keys about a broker without it are mistakes.
fn check_alone<'s>(reader: &mut Reader<'s>, table: &Table<'s>) {
    for key in ["takes", "away"] {
        if let Some(place) = table.place(key) {
            let what = format!("{}there is no broker", table.scope.key(key));
            let hint = Some("broker = \"amqp://10.0.0.5:5672\"".to_owned());
            reader.note(place, what, "goes with the key broker".to_owned(), hint);
        }
    }
}

/// `retry`.
fn retry<'s>(reader: &mut Reader<'s>, queue: &Table<'s>, scope: Scope) -> Retry {
    let standard = standard_retry();
    let table = match reader.switch(queue, "retry", scope) {
        Some(Ok(table)) => table,
        Some(Err(false)) => return Retry { tries: 1, lost_max: 1, ..standard },
        Some(Err(true)) | None => return standard,
    };
    let tries = Bound::of("tries", count(reader, &table, "tries"), u64::from(standard.tries));
    let lost = u64::from(standard.lost_max);
    let lost_max = count_within(reader, &table, "lost_max", lost, &tries);
    let (pause, pause_max) = pauses(reader, &table, &standard);
    let growth = reader.share(&table, "growth").map(|found| found.value.0.div_ceil(100));
    let on = reader.counts(&table, "statuses");
    let on = on.map(|all| all.into_iter().map(|status| status as u16).collect());
    Retry {
        tries: tries.value as u16,
        pause,
        growth_percent: growth.unwrap_or(standard.growth_percent),
        pause_max,
        on: on.unwrap_or(standard.on),
        lost_max: lost_max as u16,
    }
}

/// `backoff` and `backoff_max`; what is not set gives way.
fn pauses<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    standard: &Retry,
) -> (Duration, Duration) {
    let pause = reader.time(table, "backoff");
    let most = reader.time(table, "backoff_max");
    match (pause, most) {
        (None, None) => (standard.pause, standard.pause_max),
        (Some(pause), None) => (pause.value, standard.pause_max.max(pause.value)),
        (None, Some(most)) => (standard.pause.min(most.value), most.value),
        (Some(pause), Some(most)) => {
            if pause.value > most.value {
                let shown = crate::options::duration(most.value);
                let found = crate::options::duration(pause.value);
                let start = table.scope.key("backoff");
                let what = format!("{start}{found} is longer than backoff_max");
                let label = format!("at most backoff_max, {shown}");
                let there = (&most.span, "backoff_max is set here".to_owned());
                reader.note_pair(what, (&pause.span, label), there, None);
            }
            (pause.value, most.value)
        }
    }
}

/// Reads `100/s` or `5/10s`.
fn pace(text: &str) -> Result<Pace, Wrong> {
    match rates::limit(text) {
        Ok((count, per)) => Ok(Pace { count, per }),
        Err(wrong) if wrong.what.contains("lets nothing through") => {
            Err(wrong.hint("jobs of a queue are held back by taking its routes out"))
        }
        Err(wrong) => Err(wrong),
    }
}

/// Reads the URL of a broker: a scheme, perhaps a user, one host or several, perhaps a path and a
/// query. What is wrong with it is said without a user or password.
fn broker(text: &str) -> Result<String, Wrong> {
    const ALLOWED: &str = "amqp, amqps, nats, tls+nats, kafka, kafkas, sqs, https+sqs or pubsub, \
                           ://, and a host: amqp://10.0.0.5:5672";
    let Some((scheme, rest)) = text.split_once("://") else {
        let wrong = Wrong::all(text, "no scheme", ALLOWED);
        let guess = match text.rsplit_once(':').map(|(_, port)| port) {
            Some("5672") => "amqp",
            Some("4222") => "nats",
            Some("9092") => "kafka",
            _ => return Err(wrong),
        };
        return Err(wrong.hint(format!("did you mean \"{guess}://\" before it?")));
    };
    let lower = broker_scheme(scheme);
    if !SCHEMES.contains(&lower.as_str()) {
        return Err(unknown_scheme(scheme, &lower, ALLOWED));
    }
    rest_of_broker(text, &lower, rest, ALLOWED)
}

/// A scheme in lower case; `tls`, as clients of NATS write it, is `tls+nats`.
pub(in crate::lower) fn broker_scheme(scheme: &str) -> String {
    match scheme.to_ascii_lowercase() {
        tls if tls == "tls" => "tls+nats".to_owned(),
        other => other,
    }
}

/// Reads what follows the scheme of a broker.
pub(in crate::lower) fn rest_of_broker(
    text: &str,
    scheme: &str,
    rest: &str,
    allowed: &'static str,
) -> Result<String, Wrong> {
    if text.len() > URL_MAX {
        return Err(Wrong::all(text, format!("{} characters", text.len()), "at most 1024"));
    }
    let start = text.len() - rest.len();
    if let Some((at, c)) = rest.char_indices().find(|(_, c)| !c.is_ascii_graphic() || *c == '#') {
        let part = start + at..start + at + c.len_utf8();
        let wrong = Wrong::part(part, "a character that this URL cannot have", allowed);
        return Err(wrong.hint("in a password, write % and two hexadecimal digits for it"));
    }
    let authority = &rest[..rest.find(['/', '?']).unwrap_or(rest.len())];
    let mut at = start + authority.rfind('@').map_or(0, |at| at + 1);
    let hosts = &text[at..start + authority.len()];
    for host in hosts.split(',') {
        address::host_and_port(host)
            .map_err(|wrong| Wrong { part: wrong.part.start + at..wrong.part.end + at, ..wrong })?;
        at += host.len() + 1;
    }
    Ok(format!("{scheme}://{rest}"))
}

pub(in crate::lower) fn unknown_scheme(scheme: &str, lower: &str, allowed: &str) -> Wrong {
    let wrong = Wrong::part(0..scheme.len(), format!("scheme \"{scheme}\""), allowed);
    let near =
        match lower {
            "rabbitmq" | "rabbit" => Some("amqp"),
            "rabbitmqs" | "amqp+ssl" => Some("amqps"),
            "natss" | "nats+tls" => Some("tls+nats"),
            "kafka+ssl" | "kafka+tls" | "ssl" => Some("kafkas"),
            "aws" | "sqss" | "sqs+https" => Some("https+sqs"),
            "google" | "gcp" | "gcpubsub" => Some("pubsub"),
            "redis" | "rediss" => return wrong.hint(
                "jobs are not kept in Redis: without a broker they are in the gateway's own log",
            ),
            _ => closest(lower, SCHEMES),
        };
    match near {
        Some(near) => wrong.hint(format!("did you mean \"{near}://\"?")),
        None => wrong,
    }
}
