//! Families out of what threads have counted.

use super::{BOUNDS_MICROS, Bars, Durations, Exemplars, Family, House, Labels, Told};
use crate::expose::PHASE_BOUNDS_MICROS;
use crate::histogram::Merged;
use crate::ledger::{Ledger, ShadowMeter};
use crate::timeline::Phase;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that is told, in order.
pub fn gather(
    ledgers: &[Arc<Ledger>],
    others: Vec<Family>,
    house: House,
    exemplars: &Exemplars,
) -> Vec<Told> {
    let version = vec![("version", Cow::Borrowed(house.version))];
    let help = "Always 1; the version is a label.";
    let mut all = vec![Told::Numbers(Family {
        name: "fleetfoot_build_info",
        kind: "gauge",
        help,
        samples: vec![(version, 1.0)],
    })];
    all.extend(requests(ledgers, exemplars));
    all.extend(phases(ledgers));
    all.extend(services(ledgers));
    all.extend(servers(ledgers).into_iter().map(Told::Numbers));
    all.extend(clients(ledgers).into_iter().map(Told::Numbers));
    all.extend(others.into_iter().map(Told::Numbers));
    all.extend(the_house(house).into_iter().map(Told::Numbers));
    all.extend(process().into_iter().map(Told::Numbers));
    all
}

fn labels<const N: usize>(pairs: [(&'static str, &str); N]) -> Labels {
    pairs.map(|(name, text)| (name, Cow::Owned(text.to_owned()))).into()
}

fn numbers(
    name: &'static str,
    kind: &'static str,
    help: &'static str,
    samples: impl IntoIterator<Item = (Labels, u64)>,
) -> Family {
    let samples = samples.into_iter().map(|(labels, n)| (labels, n as f64)).collect();
    Family { name, kind, help, samples }
}

fn requests(ledgers: &[Arc<Ledger>], exemplars: &Exemplars) -> [Told; 3] {
    let mut statuses: BTreeMap<(String, u16), u64> = BTreeMap::new();
    let mut cached: BTreeMap<(String, &str), u64> = BTreeMap::new();
    let mut durations: BTreeMap<String, Merged<7>> = BTreeMap::new();
    for (name, route) in ledgers.iter().flat_map(|ledger| ledger.routes()) {
        for (status, n) in route.by_status() {
            *statuses.entry((name.clone(), status)).or_default() += n;
        }
        for (result, n) in route.by_cached() {
            *cached.entry((name.clone(), result.name())).or_default() += n;
        }
        route.add_to(durations.entry(name).or_default());
    }
    let statuses = statuses.into_iter().map(|((route, status), n)| {
        let status = if status == 0 { "none".into() } else { status.to_string() };
        (labels([("route", &route), ("status", &status)]), n)
    });
    let cached = cached
        .into_iter()
        .map(|((route, result), n)| (labels([("route", &route), ("result", result)]), n));
    let durations = durations.into_iter().map(|(route, merged)| {
        let some = exemplars.get(&route).cloned().unwrap_or_default();
        (labels([("route", &route)]), Bars::of(&merged, some))
    });
    [
        Told::Numbers(numbers(
            "fleetfoot_requests_total",
            "counter",
            "Requests ended, by route and status; none where no answer was begun.",
            statuses,
        )),
        Told::Numbers(numbers(
            "fleetfoot_cache_requests_total",
            "counter",
            "Requests by what the cache had to do with them.",
            cached,
        )),
        Told::Durations(Durations {
            name: "fleetfoot_request_seconds",
            help: "From a request's head to its answer's last byte, by route.",
            bounds_micros: &BOUNDS_MICROS,
            samples: durations.collect(),
        }),
    ]
}

/// Where the time went: as many histograms as there are routes and phases, less those without any.
fn phases(ledgers: &[Arc<Ledger>]) -> [Told; 1] {
    let mut phases: BTreeMap<(String, Phase), Merged> = BTreeMap::new();
    for (name, route) in ledgers.iter().flat_map(|ledger| ledger.routes()) {
        for phase in Phase::ALL {
            route.phase(*phase).add_to(phases.entry((name.clone(), *phase)).or_default());
        }
    }
    phases.retain(|_, merged| merged.count() > 0);
    let samples = phases.iter().map(|((route, phase), merged)| {
        (labels([("route", route), ("phase", phase.name())]), Bars::of(merged, Vec::new()))
    });
    [Told::Durations(Durations {
        name: "fleetfoot_phase_seconds",
        help: "What requests spent in a phase, by those that spent any time in it.",
        bounds_micros: &PHASE_BOUNDS_MICROS,
        samples: samples.collect(),
    })]
}

fn services(ledgers: &[Arc<Ledger>]) -> [Told; 3] {
    let mut first_bytes: BTreeMap<String, Merged> = BTreeMap::new();
    let mut retries: BTreeMap<String, u64> = BTreeMap::new();
    let mut shadows: BTreeMap<String, [u64; 3]> = BTreeMap::new();
    for (name, service) in ledgers.iter().flat_map(|ledger| ledger.services()) {
        service.first_byte.add_to(first_bytes.entry(name.clone()).or_default());
        *retries.entry(name.clone()).or_default() += service.retries.get();
        let ShadowMeter { sent, failed, left_out } = &service.shadows;
        let sums = shadows.entry(name).or_default();
        sums.iter_mut().zip([sent, failed, left_out]).for_each(|(sum, n)| *sum += n.get());
    }
    let first_bytes = first_bytes
        .iter()
        .map(|(service, merged)| (labels([("service", service)]), Bars::of(merged, Vec::new())));
    let retries = retries.iter().map(|(service, n)| (labels([("service", service)]), *n));
    let shadows = shadows.iter().flat_map(|(service, counts)| {
        let ended = ["sent", "failed", "left_out"].into_iter().zip(counts);
        ended.map(|(ended, n)| (labels([("service", service), ("ended", ended)]), *n))
    });
    [
        Told::Durations(Durations {
            name: "fleetfoot_service_first_byte_seconds",
            help: "From asking a service to the head of its answer.",
            bounds_micros: &BOUNDS_MICROS,
            samples: first_bytes.collect(),
        }),
        Told::Numbers(numbers(
            "fleetfoot_service_retries_total",
            "counter",
            "Requests sent again, by service.",
            retries,
        )),
        Told::Numbers(numbers(
            "fleetfoot_service_shadows_total",
            "counter",
            "Copies for a service as a shadow, by what became of them.",
            shadows,
        )),
    ]
}

fn servers(ledgers: &[Arc<Ledger>]) -> Vec<Family> {
    let mut sums: BTreeMap<(String, String), [u64; 6]> = BTreeMap::new();
    for (key, meter) in ledgers.iter().flat_map(|ledger| ledger.servers()) {
        let sum = sums.entry(key).or_default();
        let counts = [
            &meter.requests,
            &meter.failures,
            &meter.connects,
            &meter.connect_failures,
            &meter.open,
            &meter.idle,
        ];
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count.get());
    }
    let families = [
        (
            "fleetfoot_server_requests_total",
            "counter",
            "Tries at a server, whether or not they could be sent.",
        ),
        (
            "fleetfoot_server_failures_total",
            "counter",
            "Tries that ended without the head of an answer.",
        ),
        ("fleetfoot_server_connects_total", "counter", "Connections made to a server."),
        ("fleetfoot_server_connect_failures_total", "counter", "Connections that failed."),
        ("fleetfoot_server_connections", "gauge", "Connections open to a server."),
        ("fleetfoot_server_connections_idle", "gauge", "Of those, idle in a pool."),
    ];
    let family = |(i, (name, kind, help))| {
        let samples = sums.iter().map(|((service, server), sum)| {
            (labels([("service", service), ("server", server)]), sum[i])
        });
        numbers(name, kind, help, samples)
    };
    families.into_iter().enumerate().map(family).collect()
}

fn clients(ledgers: &[Arc<Ledger>]) -> Vec<Family> {
    let sum = |of: fn(&Ledger) -> u64| ledgers.iter().map(|ledger| of(ledger)).sum::<u64>();
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, n) in ledgers.iter().flat_map(|ledger| ledger.faults()) {
        *faults.entry(kind.name()).or_default() += n;
    }
    let faults = faults.into_iter().map(|(reason, n)| (labels([("reason", reason)]), n));
    let one = Family::one;
    let accepted = sum(|l| l.accepted.get());
    let failures = sum(|l| l.handshake_failures.get());
    let sent = sum(|l| l.sent_bytes.get());
    vec![
        one(
            "fleetfoot_connections_accepted_total",
            "counter",
            "Client connections accepted.",
            accepted,
        ),
        one("fleetfoot_connections", "gauge", "Client connections open.", sum(|l| l.open.get())),
        one(
            "fleetfoot_connections_h2",
            "gauge",
            "Of those, speaking HTTP/2.",
            sum(|l| l.open_h2.get()),
        ),
        one(
            "fleetfoot_handshake_failures_total",
            "counter",
            "TLS or HTTP/2 handshakes that failed.",
            failures,
        ),
        one("fleetfoot_sent_bytes_total", "counter", "Bytes of answers sent to clients.", sent),
        one(
            "fleetfoot_access_log_dropped_total",
            "counter",
            "Access log lines lost to a full queue.",
            sum(|l| l.log_dropped.get()),
        ),
        one(
            "fleetfoot_records_lost_total",
            "counter",
            "Records of exchanges that were lost before anybody had read them.",
            sum(|l| l.records.lost.get()),
        ),
        one(
            "fleetfoot_kept_lost_total",
            "counter",
            "Exchanges that should have been kept whole and were lost.",
            sum(|l| l.kept.lost.get()),
        ),
        numbers(
            "fleetfoot_faults_total",
            "counter",
            "Exchanges and connections that went wrong, by reason.",
            faults,
        ),
    ]
}

fn the_house(house: House) -> Vec<Family> {
    let one = Family::one;
    let reloads = [("done", house.reloads), ("refused", house.reload_failures)];
    let reloads = reloads.map(|(result, n)| (labels([("result", result)]), n));
    vec![
        numbers(
            "fleetfoot_reloads_total",
            "counter",
            "Reloads of the settings, by result.",
            reloads,
        ),
        one("fleetfoot_draining", "gauge", "1 while the gateway drains.", house.draining.into()),
        one("fleetfoot_threads", "gauge", "Data-plane threads.", house.threads as u64),
        gauge("fleetfoot_uptime_seconds", "Since the process started.", house.uptime.as_secs_f64()),
    ]
}

fn gauge(name: &'static str, help: &'static str, value: f64) -> Family {
    Family { name, kind: "gauge", help, samples: vec![(Vec::new(), value)] }
}

/// The process's own figures, from the kernel; left out where it does not tell.
fn process() -> Vec<Family> {
    let mut families = Vec::new();
    let resident = std::fs::read_to_string("/proc/self/statm").ok().and_then(|statm| {
        statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok())
    });
    if let Some(pages) = resident {
        let name = "process_resident_memory_bytes";
        families.push(Family::one(name, "gauge", "Resident memory.", pages * 4096));
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        let open = open.count() as u64;
        families.push(Family::one("process_open_fds", "gauge", "Open file descriptors.", open));
    }
    let cpu = std::fs::read_to_string("/proc/self/stat").ok().and_then(|stat| {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // utime and stime, the 14th and 15th of all fields, in hundredths of a second.
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    });
    if let Some(ticks) = cpu {
        let mut spent =
            gauge("process_cpu_seconds_total", "CPU time, user and system.", ticks as f64 / 100.0);
        spent.kind = "counter";
        families.push(spent);
    }
    families
}
