//! What the page is told: one JSON value, whole for who asks, and cut to fit for the stream.

use super::bands::{Band, bands};
use super::kept::{self, Wanted};
use super::{Live, State};
use crate::gateway::Gateway;
use crate::reporter::WINDOW;
use crate::standing;
use base::{FaultKind, Moment, Side};
use cache::Cache;
use cache::tier::breaker::State as Breaker;
use monitor::history::{NOW, Window, percentile};
use monitor::{Cached, Merged, Phase, Sketch};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Most bytes of an event of the stream.
pub const EVENT_BYTES_MAX: usize = 8 << 10;
/// Most servers that are told of, even to who asks for all.
const SERVERS_MAX: usize = 500;
/// How many kept exchanges.
const KEPT: usize = 20;
/// Rows of the heat map: four to a power of two.
const ROWS: u32 = 2;
/// Where fewer than twenty lie beyond a percentile of now, that of a longer time is told.
const LONGER: [Duration; 4] =
    [NOW, Duration::from_mins(1), Duration::from_mins(5), Duration::from_mins(15)];

/// All of it.
pub fn value(gateway: &Gateway, now: Moment) -> Value {
    let snapshot = gateway.snapshot();
    let state = gateway.live.state();
    let window = state.history.window(NOW);
    let mut services = standing::json(&snapshot.services, now);
    servers(&mut services, &state);
    let notices = notices(gateway, &services, &state);
    let (routes, total) = (routes(&state, &window), total(&state, &window));
    let heat = state.history.newest().map(|(ended, window)| column(ended, &window));
    let bytes = state.history.bytes();
    drop(state);
    let (time, kept, kept_total) = remembered(gateway, now);
    json!({
        "at": now.wall_ms().0,
        "version": env!("CARGO_PKG_VERSION"),
        "uptime_s": now.since(gateway.begun()).as_secs(),
        "listen": gateway.addresses.iter().map(url).collect::<Vec<_>>(),
        "served": served(gateway),
        "history_bytes": bytes,
        "notices": notices,
        "total": total,
        "objectives": gateway.objectives.json(now),
        "time": time,
        "heat": heat,
        "routes": routes,
        "services": services,
        "jobs": snapshot.offload.as_ref().map(|engine| crate::jobs::live::json(engine, now)),
        "cache": snapshot.caches.then(|| cache(&snapshot.cache, &window)),
        "kept_total": kept_total,
        "kept": kept,
    })
}

fn url((address, tls): &(std::net::SocketAddr, bool)) -> String {
    format!("{}://{address}", if *tls { "https" } else { "http" })
}

/// Requests ended since the start.
fn served(gateway: &Gateway) -> u64 {
    let ledgers = gateway.ledgers();
    let routes = ledgers.iter().flat_map(|ledger| ledger.routes());
    routes.map(|(_, meter)| meter.by_status().map(|(_, n)| n).sum::<u64>()).sum()
}

/// A percentile in milliseconds, and over how many seconds: the shortest time that has enough.
fn told<'w>(windows: impl Iterator<Item = (Duration, &'w Merged<5>)>, q: f64) -> (Value, Value) {
    for (time, durations) in windows {
        if let Some(duration) = percentile(durations, q) {
            return (json!(millis(duration)), json!(time.as_secs()));
        }
    }
    (Value::Null, Value::Null)
}

fn total(state: &State, window: &Window) -> Value {
    let all = window.all();
    let longer = LONGER[1..].iter().map(|time| (*time, state.history.window(*time).all()));
    let longer: Vec<_> = longer.collect();
    let windows = || {
        let longer = longer.iter().map(|(time, durations)| (*time, durations));
        std::iter::once((NOW, &all)).chain(longer)
    };
    let (p50, p95, p99) = (told(windows(), 0.5), told(windows(), 0.95), told(windows(), 0.99));
    let count = window.count();
    let each = |time: Duration| (count > 0).then(|| short(time.as_secs_f64() * 1e6 / count as f64));
    let own = window.phases[Phase::Gateway as usize] + window.phases[Phase::Lag as usize];
    json!({
        "over_s": NOW.as_secs(),
        "count": count,
        "rps": short(window.rate()),
        "p50_ms": p50.0, "p95_ms": p95.0, "p99_ms": p99.0,
        "percentiles_over_s": [p50.1, p95.1, p99.1],
        "max_ms": (count > 0).then(|| millis(all.max())),
        "error_share": window.share(window.errors).map(short),
        "hit_share": window.share(window.hits()).map(short),
        "origin_share": window.share(window.service.count()).map(short),
        "own_us": each(Duration::from_nanos(own)),
        "cpu_us": if window.cpu.is_zero() { None } else { each(window.cpu) },
        "cpu_share": short(window.cpu.as_secs_f64() / window.length.as_secs_f64().max(1e-9)),
    })
}

fn routes(state: &State, window: &Window) -> Value {
    let all: u64 = window.phases.iter().sum();
    let mut rows: Vec<(u64, Value)> = Vec::new();
    for (name, now) in state.history.routes(NOW) {
        let minute = state.history.route(name, LONGER[1]);
        if minute.count() == 0 {
            continue;
        }
        let (durations, longer) = (now.all(), minute.all());
        let windows = || [(NOW, &durations), (LONGER[1], &longer)].into_iter();
        let (p50, p99) = (told(windows(), 0.5), told(windows(), 0.99));
        let spent: u64 = now.phases.iter().sum();
        let row = json!({
            "route": name,
            "rps": short(now.rate()),
            "p50_ms": p50.0,
            "p99_ms": p99.0,
            "max_ms": millis(longer.max()),
            "hit_share": now.share(now.hits()).map(short),
            "error_share": now.share(now.errors).map(short),
            "time_share": (all > 0).then(|| short(spent as f64 / all as f64)),
        });
        rows.push((spent, row));
    }
    rows.sort_by_key(|(spent, _)| std::cmp::Reverse(*spent));
    rows.into_iter().map(|(_, row)| row).collect()
}

/// Puts into each server what it was asked lately; the worst and the busiest come first.
fn servers(services: &mut Value, state: &State) {
    let mut left = SERVERS_MAX;
    for service in services.as_array_mut().into_iter().flatten() {
        let name = service["service"].as_str().unwrap_or_default().to_owned();
        let Some(servers) = service["servers"].as_array_mut() else { continue };
        for server in servers.iter_mut() {
            let address = server["server"].as_str().unwrap_or_default().to_owned();
            let marks = state.servers.get(&(name.clone(), address));
            let ([requests, failures], time) = marks.map_or(([0; 2], NOW), super::Marks::lately);
            let rate = |n: u64| short(n as f64 / time.as_secs_f64().max(1.0));
            server["rps"] = json!(rate(requests));
            server["failures_per_s"] = json!(rate(failures));
        }
        servers.sort_by(|a, b| {
            let key = |server: &Value| (is_up(server), -server["rps"].as_f64().unwrap_or(0.0));
            key(a).partial_cmp(&key(b)).unwrap_or(std::cmp::Ordering::Equal)
        });
        let more = servers.len().saturating_sub(left);
        servers.truncate(left);
        left -= servers.len();
        service["servers_more"] = json!(more);
    }
}

fn is_up(server: &Value) -> bool {
    server["condition"] == "up"
}

/// What somebody should know at once, in sentences.
fn notices(gateway: &Gateway, services: &Value, state: &State) -> Value {
    let mut notices = Vec::new();
    let mut note = |level: &str, text: String| {
        notices.push(json!({ "level": level, "text": text }));
    };
    if gateway.is_draining() {
        note("warn", "This gateway is draining: it accepts nothing new.".to_owned());
    }
    if let Some(engine) = &gateway.snapshot().offload {
        for (level, text) in crate::jobs::live::notices(engine) {
            note(level, text);
        }
    }
    for service in services.as_array().into_iter().flatten() {
        if let Some((level, text)) = of_servers(service) {
            note(level, text);
        }
        let waiting = service["limit"]["waiting"].as_u64().unwrap_or(0);
        if waiting > 0 {
            let (name, limit) = (&service["service"], &service["limit"]["limit"]);
            let name = name.as_str().unwrap_or_default();
            note("warn", format!("{name}: {waiting} requests wait to be let in (limit {limit})."));
        }
    }
    if let Some(text) = of_faults(&state.faults.lately().0) {
        note("bad", text);
    }
    let lost = state.lost.lately().0[0];
    // Of the few that fall into the moment in which a basket is emptied nobody need know.
    if lost * 20 > state.history.window(NOW).count() {
        let text = "records did not fit in the last 10 s: what is told of single requests, and where \
                    the time goes, is of fewer than all.";
        note("warn", format!("{lost} {text}"));
    }
    notices.sort_by_key(|notice| notice["level"] != "bad");
    Value::Array(notices)
}

fn of_servers(service: &Value) -> Option<(&'static str, String)> {
    let name = service["service"].as_str().unwrap_or_default();
    let servers = service["servers"].as_array()?;
    let out: Vec<&Value> = servers.iter().filter(|server| !is_up(server)).collect();
    let (n, all) = (out.len(), servers.len());
    if all == 0 {
        return Some(("bad", format!("{name}: no server is known.")));
    }
    if n == 0 {
        return None;
    }
    let which: Vec<String> = out
        .iter()
        .take(3)
        .map(|server| {
            let why = match server["why"].as_str() {
                None => "",
                Some("success") => " for its rate of success",
                Some("slow") => " for being slow",
                Some(_) => " for failures in a row",
            };
            let (server, condition) = (server["server"].as_str(), server["condition"].as_str());
            let condition = match condition.unwrap_or_default() {
                "probation" => "on probation",
                other => other,
            };
            format!("{} is {condition}{why}", server.unwrap_or_default())
        })
        .collect();
    let more = if n > 3 { format!(" and {} more", n - 3) } else { String::new() };
    let level = if n == all { "bad" } else { "warn" };
    let text = format!("{name}: {n} of {all} servers out: {}{more}.", which.join(", "));
    Some((level, text))
}

fn of_faults(faults: &[u64; FaultKind::ALL.len()]) -> Option<String> {
    let ours = FaultKind::ALL.iter().zip(faults);
    let ours = ours.filter(|(kind, n)| kind.side() != Side::Client && **n > 0);
    let mut ours: Vec<_> = ours.map(|(kind, n)| (*n, kind.name())).collect();
    ours.sort_unstable_by(|a, b| b.cmp(a));
    let sum: u64 = ours.iter().map(|(n, _)| n).sum();
    let parts: Vec<String> = ours.iter().take(4).map(|(n, name)| format!("{name} {n}")).collect();
    let s = if sum == 1 { "" } else { "s" };
    (sum > 0).then(|| format!("{sum} fault{s} in the last 10 s: {}.", parts.join(", ")))
}

/// What records of the last minute say, and the last exchanges that were kept.
fn remembered(gateway: &Gateway, now: Moment) -> (Value, Value, u64) {
    let state = gateway.reporter.state();
    let [middle, tail] = bands(state.records.iter());
    let count = state.records.len();
    // Less than the whole minute where a minute has more than are remembered.
    let over = state.records.front().map_or(Duration::ZERO, |oldest| now.since(oldest.begun));
    let kept = kept::list(state.kept.iter(), state.kept_gone, Wanted::last(KEPT));
    let kept_total = state.kept_gone + state.kept.len() as u64;
    drop(state);
    let of = |band: Option<Band>| {
        band.map(|band| {
            let parts = band.parts.iter().map(|(phase, time)| (phase.name(), millis(*time)));
            let parts: serde_json::Map<String, Value> =
                parts.map(|(name, ms)| (name.to_owned(), json!(ms))).collect();
            json!({ "name": band.name, "ms": millis(band.total), "parts": parts })
        })
    };
    let time = json!({ "over_s": over.as_secs().clamp(1, WINDOW.as_secs()), "count": count, "middle": of(middle), "tail": of(tail) });
    (time, kept, kept_total)
}

/// A column of the heat map: rows and counts in turn, of what came from the store and from services.
pub fn column(ended: Moment, window: &Window) -> Value {
    let rows = |durations: &Merged<5>| -> Vec<u64> {
        let cells: Vec<_> = Sketch::<ROWS>::of(durations).cells().collect();
        cells.into_iter().flat_map(|(row, n)| [u64::from(row), n]).collect()
    };
    let all = window.all();
    json!({
        "at": ended.wall_ms().0,
        "ms": window.length.as_millis() as u64,
        "count": window.count(),
        "errors": window.errors,
        "p50_ms": percentile(&all, 0.5).map(millis),
        "p99_ms": percentile(&all, 0.99).map(millis),
        "store": rows(&window.store),
        "service": rows(&window.service),
    })
}

/// The columns of a span of time.
pub fn columns(live: &Live, span: &str) -> Option<Value> {
    let (seconds, each) = match span {
        "5m" => (300, 1),
        "1h" => (3_600, 10),
        "24h" => (86_400, 240),
        _ => return None,
    };
    let state = live.state();
    let columns = state.history.columns(Duration::from_secs(seconds), Duration::from_secs(each));
    drop(state);
    let columns: Vec<Value> =
        columns.iter().map(|(ended, window)| column(*ended, window)).collect();
    Some(json!({
        "span": span,
        "seconds": seconds,
        "column_s": each,
        "rows_per_octave": 1 << ROWS,
        "columns": columns,
    }))
}

fn cache(cache: &Cache, window: &Window) -> Value {
    let memory = &cache.memory;
    let verdicts: serde_json::Map<String, Value> = Cached::ALL
        .iter()
        .zip(window.cached)
        .map(|(verdict, n)| (verdict.name().to_owned(), json!(n)))
        .collect();
    let get = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
    let disk = cache.disk.as_ref().map(|shelf| {
        let meters = shelf.disk.meters();
        json!({
            "bytes": get(&meters.bytes),
            "gets": get(&meters.gets),
            "hits": get(&meters.hits),
            "puts": get(&meters.puts),
            "failures": get(&meters.failures),
        })
    });
    let shared = cache.shared.as_ref().map(|shared| {
        let meter = shared.meter();
        json!({
            "gets": meter.gets.get(),
            "hits": meter.hits.get(),
            "puts": meter.puts.get(),
            "failures": meter.failures.get() + meter.timeouts.get(),
            "mean_ms": millis(meter.mean()),
            "trusted": shared.is_trusted(),
            "healthy": matches!(shared.state(), Breaker::Closed),
        })
    });
    json!({
        "verdicts": verdicts,
        "memory_bytes": memory.bytes(),
        "memory_limit_bytes": memory.limit(),
        "resources": memory.len(),
        "evictions": memory.evictions(),
        "fetches": cache.fills.len(),
        "disk": disk,
        "shared": shared,
    })
}

/// The value as text, with lists cut until it fits into an event.
pub fn fitted(value: &Value) -> String {
    let mut most = [12, 24, 8, 8, 8];
    loop {
        let text = cut(value, most).to_string();
        if text.len() <= EVENT_BYTES_MAX - 16 || most.iter().all(|n| *n == 0) {
            return text;
        }
        most = most.map(|n| n * 2 / 3);
    }
}

/// At most so many routes, servers in all, kept exchanges, objectives and notices.
fn cut(value: &Value, most: [usize; 5]) -> Value {
    let [routes, mut servers, kept, objectives, notices] = most;
    let mut value = value.clone();
    for (name, most) in
        [("routes", routes), ("kept", kept), ("objectives", objectives), ("notices", notices)]
    {
        let Some(list) = value[name].as_array_mut() else { continue };
        let more = list.len().saturating_sub(most);
        list.truncate(most);
        if more > 0 && name == "routes" {
            value["routes_more"] = json!(more);
        }
    }
    // As many queues as routes.
    if let Some(queues) = value.pointer_mut("/jobs/queues").and_then(Value::as_array_mut) {
        let more = queues.len().saturating_sub(routes);
        queues.truncate(routes);
        let known = value["jobs"]["queues_more"].as_u64().unwrap_or(0);
        value["jobs"]["queues_more"] = json!(known + more as u64);
    }
    let Some(services) = value["services"].as_array_mut() else { return value };
    let more = services.len().saturating_sub(most[1]);
    services.truncate(most[1]);
    for service in services {
        let Some(list) = service["servers"].as_array_mut() else { continue };
        let left_out = list.len().saturating_sub(servers);
        list.truncate(servers);
        servers -= list.len();
        for server in list {
            // Told in full by /live.json and /servers.
            for name in ["weight", "priority", "zone"] {
                server.as_object_mut().map(|server| server.remove(name));
            }
        }
        let known = service["servers_more"].as_u64().unwrap_or(0);
        service["servers_more"] = json!(known + left_out as u64);
    }
    if more > 0 {
        value["services_more"] = json!(more);
    }
    value
}

/// Four significant digits: for people, and to keep events short.
pub fn short(value: f64) -> f64 {
    if value == 0.0 || !value.is_finite() {
        return 0.0;
    }
    let digits = 3 - value.abs().log10().floor() as i32;
    // Powers of ten below one are not exact, their inverses are.
    let scale = 10_f64.powi(digits.abs());
    if digits >= 0 { (value * scale).round() / scale } else { (value / scale).round() * scale }
}

/// Milliseconds, the same way.
pub fn millis(time: Duration) -> f64 {
    short(time.as_secs_f64() * 1e3)
}
