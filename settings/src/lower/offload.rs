//! `[offload]`, `[queue.NAME]`, and a route's `offload`.

mod queues;
mod rule;
mod secrets;

pub(super) use queues::{broker_scheme, rest_of_broker, unknown_scheme};
pub(super) use rule::{rule, template, url};

use super::bound::{Bound, count};
use super::routes::prefix;
use super::value;
use crate::address;
use crate::model::{Pattern, Route, Segment};
use crate::reader::{At, Reader, Scope, Table, Text};
use crate::report::Wrong;
use base::ByteSize;
use offload::job::Node;
use offload::settings::{Durability, Peer, Queue, Settings};
use std::time::Duration;

const NODE: &str = "fleetfoot";
const STORE: &str = "fleetfoot-jobs";
const PATH: &str = "/.fleetfoot/jobs";
const NODE_MAX: usize = 64;
const PEERS_MAX: usize = 64;
const NETWORKS_MAX: usize = 64;
const HOOK_SECRETS_MAX: usize = 8;
/// One job takes at most this part of the log: it cannot keep all others out.
const PART_MAX: u64 = 4;

/// What routes with `offload` are read on the ground of.
pub(super) struct Office {
    settings: Settings,
    /// Does the file speak of it?
    told: bool,
    /// Is there a key, if perhaps a wrong one?
    key: bool,
    /// Where `path` stands.
    path_place: Option<std::ops::Range<usize>>,
}

impl Office {
    /// May URLs that are called be `http`?
    pub(super) fn calls_plain(&self) -> bool {
        self.settings.callback_http
    }

    fn queues(&self) -> &[Queue] {
        &self.settings.queues
    }

    /// The settings, if the file speaks of jobs or a route makes some.
    pub(super) fn settings<'s>(
        self,
        reader: &mut Reader<'s>,
        root: &Table<'s>,
        routes: &[Route],
    ) -> Option<Settings> {
        if !self.told && routes.iter().all(|route| route.offload.is_none()) {
            return None;
        }
        check_path(reader, root, &self, routes);
        Some(self.settings)
    }
}

/// `[offload]` and the queues.
pub(super) fn office<'s>(reader: &mut Reader<'s>, root: &Table<'s>) -> Office {
    let table = reader.table(root, "offload", Scope::Section("offload".to_owned()));
    let told = root.get("offload").is_some() || root.get("queue").is_some();
    let jobs_max = table.as_ref().and_then(|table| count(reader, table, "jobs_max"));
    let jobs_max = Bound::of("jobs_max of [offload]", jobs_max, 1_000_000);
    let queues = queues::queues(reader, root, &jobs_max);
    let mut settings = standard(reader, jobs_max.value as usize);
    let (mut key, mut path_place) = (false, None);
    if let Some(table) = &table {
        lower(reader, table, &mut settings);
        key = table.place("key").is_some();
        path_place = table.place("path");
    }
    check_shared(reader, table.as_ref(), &queues);
    settings.queues = queues.into_iter().map(|found| found.value).collect();
    Office { settings, told, key, path_place }
}

/// What holds where the file says nothing.
fn standard(reader: &Reader<'_>, jobs_max: usize) -> Settings {
    let store = Text { value: STORE.to_owned(), span: 0..0, exact: None };
    Settings {
        store: reader.path(&store),
        durability: Durability::Disk,
        node: NODE.to_owned(),
        peers: Vec::new(),
        secret: None,
        key: None,
        path: PATH.to_owned(),
        jobs_max,
        bytes_max: ByteSize::mib(8 * 1024),
        body_max: ByteSize::mib(1),
        free_min: ByteSize::mib(256),
        keep: Duration::from_hours(24),
        keep_dead: Duration::from_hours(14 * 24),
        answer_max: ByteSize::kib(256),
        wait_max: Duration::from_mins(1),
        callback_allow: Vec::new(),
        callback_http: false,
        callback_secrets: Vec::new(),
        queues: Vec::new(),
    }
}

fn lower<'s>(reader: &mut Reader<'s>, table: &Table<'s>, settings: &mut Settings) {
    if let Some(text) = reader.text(table, "store") {
        if text.value.is_empty() {
            let what = format!("{}an empty path", table.scope.key("store"));
            let hint = Some("store = \"/var/lib/fleetfoot/jobs\"".to_owned());
            reader.note(text.span, what, "a folder's path".to_owned(), hint);
        } else {
            settings.store = reader.path(&text);
        }
    }
    if let Some(Ok("system")) = reader.choice(table, "durability") {
        settings.durability = Durability::System;
    }
    let own = reader.parsed(table, "node", node);
    settings.peers = peers(reader, table, own.as_ref());
    settings.node = value(own, NODE.to_owned());
    settings.secret = reader.parsed(table, "secret", secrets::secret).map(|found| found.value);
    settings.key = reader.parsed(table, "key", secrets::key).map(|found| found.value);
    settings.path = value(reader.parsed(table, "path", prefix), PATH.to_owned());
    (settings.bytes_max, settings.body_max) = sizes(reader, table, settings);
    let size = |reader: &mut Reader<'s>, key, standard| {
        reader.size(table, key).and_then(|found| found.value).unwrap_or(standard)
    };
    settings.free_min = size(reader, "free_min", settings.free_min);
    settings.answer_max = size(reader, "answer_max", settings.answer_max);
    let time = |reader: &mut Reader<'s>, key, standard| value(reader.time(table, key), standard);
    settings.keep = time(reader, "keep", settings.keep);
    settings.keep_dead = time(reader, "keep_dead", settings.keep_dead);
    settings.wait_max = time(reader, "wait_max", settings.wait_max);
    let scope = Scope::Section("offload.callback".to_owned());
    if let Some(table) = reader.table(table, "callback", scope) {
        callback(reader, &table, settings);
    }
}

/// `callback`.
fn callback<'s>(reader: &mut Reader<'s>, table: &Table<'s>, settings: &mut Settings) {
    let allow = reader.parsed_all(table, "allow", address::network).unwrap_or_default();
    at_most(reader, table, "allow", NETWORKS_MAX, &allow);
    let networks = allow.into_iter().map(|found| (found.value.address, found.value.prefix));
    settings.callback_allow = networks.collect();
    settings.callback_http = reader.flag(table, "http").unwrap_or(false);
    let secrets = reader.parsed_all(table, "secrets", secrets::hook).unwrap_or_default();
    at_most(reader, table, "secrets", HOOK_SECRETS_MAX, &secrets);
    settings.callback_secrets = secrets.into_iter().map(|found| found.value).collect();
}

/// Notes more values than a list may have.
fn at_most<'s, T>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    key: &str,
    most: usize,
    all: &[At<T>],
) {
    if let Some(over) = all.get(most) {
        let what = format!("{}more than {most}", table.scope.key(key));
        reader.note(over.span.clone(), what, format!("at most {most}"), None);
    }
}

/// `bytes_max` and `body_max`.
fn sizes<'s>(
    reader: &mut Reader<'s>,
    table: &Table<'s>,
    standard: &Settings,
) -> (ByteSize, ByteSize) {
    let size = |reader: &mut Reader<'s>, key| {
        let At { value, span } = reader.size(table, key)?;
        value.map(|value| At { value, span })
    };
    let bytes = Bound::of("bytes_max", size(reader, "bytes_max"), standard.bytes_max);
    let most = ByteSize(bytes.value.0 / PART_MAX);
    let Some(At { value: body, span }) = size(reader, "body_max") else {
        return (bytes.value, standard.body_max.min(most));
    };
    if body > most {
        let start = table.scope.key("body_max");
        let what = format!("{start}{body} is more than a quarter of bytes_max");
        let label = format!("at most {most}, a quarter of bytes_max");
        bytes.note(reader, what, (&span, label), &bytes.value.to_string());
    }
    (bytes.value, body)
}

/// Reads the name of a gateway.
fn node(text: &str) -> Result<String, Wrong> {
    // It becomes part of names that brokers give a meaning to dots in.
    const ALLOWED: &str = "1 to 64 letters, digits, - and _";
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"-_".contains(&b);
    if text.is_empty() || text.len() > NODE_MAX || !text.bytes().all(legal) {
        let wrong = Wrong::all(text, format!("\"{text}\" is no name of a gateway"), ALLOWED);
        let dotted = text.contains('.');
        return Err(if dotted { wrong.meant(text.replace('.', "-")) } else { wrong });
    }
    Ok(text.to_owned())
}

/// `peers`. No two gateways may have the same tag in ids, this one included.
fn peers<'s>(reader: &mut Reader<'s>, table: &Table<'s>, own: Option<&At<String>>) -> Vec<Peer> {
    let mut nodes: Vec<At<String>> = own.into_iter().cloned().collect();
    let mut peers = Vec::new();
    for (name, url) in reader.pairs(table, "peers").unwrap_or_default() {
        let key = table.scope.key("peers");
        let name = match node(&name.value) {
            Ok(value) => At { value, ..name },
            Err(wrong) => {
                reader.note(name.span, format!("{key}{}", wrong.what), wrong.allowed, wrong.hint);
                continue;
            }
        };
        let url = reader.parse(table, "peers", &url, |text| {
            address::server(text).map(|server| service::settings::url(&server))
        });
        let tag = Node::named(&name.value);
        if let Some(twin) = nodes.iter().find(|other| Node::named(&other.value) == tag) {
            let there = twin.clone();
            check_twin(reader, &key, &name, &there, own.map(|own| &own.value));
        }
        peers.extend(url.map(|url| Peer { name: name.value.clone(), url: url.value }));
        nodes.push(name);
    }
    if let Some(over) = nodes.get(PEERS_MAX + 1) {
        let what = format!("{}more than {PEERS_MAX}", table.scope.key("peers"));
        reader.note(over.span.clone(), what, format!("at most {PEERS_MAX}"), None);
    }
    peers
}

/// Notes a peer that ids do not tell apart from another gateway.
fn check_twin(
    reader: &mut Reader<'_>,
    key: &str,
    name: &At<String>,
    twin: &At<String>,
    own: Option<&String>,
) {
    let here = (&name.span, "a gateway of its own".to_owned());
    let (what, there, hint) = if name.value == twin.value {
        let what = format!("{key}\"{}\" is this gateway itself", name.value);
        (what, "node is set here", "name only the others, or give this one another node")
    } else {
        let what =
            format!("{key}job ids cannot tell \"{}\" and \"{}\" apart", name.value, twin.value);
        let there = if own == Some(&twin.value) { "this gateway" } else { "the other one" };
        (
            what,
            there,
            "ids hold 12 bits of a name's checksum, and these two agree in them: give one of the two another node",
        )
    };
    reader.note_pair(what, here, (&twin.span, there.to_owned()), Some(hint.to_owned()));
}

/// Gateways that share need a name of their own and a secret in common.
fn check_shared<'s>(reader: &mut Reader<'s>, table: Option<&Table<'s>>, queues: &[At<Queue>]) {
    let peers = table.and_then(|table| table.place("peers"));
    let broker = queues.iter().find(|queue| queue.value.broker.is_some());
    let (place, why) = match (peers, broker) {
        (Some(place), _) => (place, "there are peers".to_owned()),
        (None, Some(queue)) => {
            (queue.span.clone(), format!("queue \"{}\" has a broker", queue.value.name))
        }
        (None, None) => return,
    };
    let needs = [
        ("node", "a name of its own for each gateway", "node = \"a\""),
        (
            "secret",
            "one secret for all gateways: each must know the others' addresses",
            "secret = \"${OFFLOAD_SECRET}\"",
        ),
    ];
    for (key, allowed, example) in needs {
        if reader.torn() || table.is_some_and(|table| table.place(key).is_some()) {
            continue;
        }
        let what = format!("offload: {why}, and {key} is not set");
        let hint = Some(format!("[offload] {example}"));
        reader.note(place.clone(), what, allowed.to_owned(), hint);
    }
}

/// Notes routes all of whose requests would be taken for questions about jobs.
fn check_path<'s>(reader: &mut Reader<'s>, root: &Table<'s>, office: &Office, routes: &[Route]) {
    let path = &office.settings.path;
    let segments: Vec<&str> = path[1..].split('/').collect();
    let below = |pattern: &Pattern| {
        let own = pattern.path.iter().zip(&segments);
        pattern.path.len() >= segments.len()
            && own
                .into_iter()
                .all(|(own, text)| matches!(own, Segment::Literal(own) if own == text))
    };
    let Some(route) = routes.iter().find(|route| below(&route.pattern)) else { return };
    let what = format!("offload.path: route \"{}\" would never be asked", route.name);
    let allowed = format!("{path} and all below it is about jobs");
    let place = office
        .path_place
        .clone()
        .unwrap_or_else(|| root.place("route").unwrap_or(root.span.clone()));
    let hint = Some("give path another place, such as path = \"/.jobs\"".to_owned());
    reader.note(place, what, allowed, hint);
}
