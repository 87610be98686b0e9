//! The metrics page, in Prometheus' text format (version 0.0.4).
//!
//! Labels come from closed sets: routes, services and servers of the settings, statuses, reasons.
//! Nothing that a client sends becomes a label.

use crate::histogram::Merged;
use crate::ledger::{Ledger, ShadowMeter};
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

/// Upper bounds of the classic buckets, in microseconds.
const BOUNDS_MICROS: [u64; 18] = [
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 5_000_000, 10_000_000, 30_000_000, 60_000_000,
];

/// Figures that are not counted by threads.
#[derive(Clone, Copy, Debug)]
pub struct House {
    /// The gateway's version.
    pub version: &'static str,
    /// Data-plane threads.
    pub threads: usize,
    /// Reloads that took effect.
    pub reloads: u64,
    /// Reloads that were refused.
    pub reload_failures: u64,
    /// Whether the gateway is draining.
    pub draining: bool,
    /// Since the process started.
    pub uptime: Duration,
}

/// Labels of a sample, from closed sets.
pub type Labels = Vec<(&'static str, Cow<'static, str>)>;

/// A family that another room has counted.
#[derive(Clone, Debug)]
pub struct Family {
    /// Its name.
    pub name: &'static str,
    /// `counter` or `gauge`.
    pub kind: &'static str,
    /// In a sentence.
    pub help: &'static str,
    /// Labels, and a value each.
    pub samples: Vec<(Labels, f64)>,
}

impl Family {
    /// A family of one sample without labels.
    pub fn one(name: &'static str, kind: &'static str, help: &'static str, value: u64) -> Self {
        Self { name, kind, help, samples: vec![(Vec::new(), value as f64)] }
    }
}

/// A page of metrics on its way.
struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let open = if i == 0 { '{' } else { ',' };
            let _ = write!(self.0, "{open}{label}=\"");
            for c in text.chars() {
                match c {
                    '"' => self.0.push_str("\\\""),
                    '\\' => self.0.push_str("\\\\"),
                    '\n' => self.0.push_str("\\n"),
                    c => self.0.push(c),
                }
            }
            self.0.push('"');
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn histogram<const BITS: u32>(
        &mut self,
        name: &str,
        label: (&str, &str),
        merged: &Merged<BITS>,
    ) {
        let bucket = format!("{name}_bucket");
        for micros in BOUNDS_MICROS {
            let bound = (micros as f64 / 1e6).to_string();
            let below = merged.at_most(Duration::from_micros(micros));
            self.sample(&bucket, &[label, ("le", &bound)], below);
        }
        self.sample(&bucket, &[label, ("le", "+Inf")], merged.count());
        self.sample(&format!("{name}_sum"), &[label], merged.sum().as_secs_f64());
        self.sample(&format!("{name}_count"), &[label], merged.count());
    }
}

/// The whole page.
pub fn page(ledgers: &[Arc<Ledger>], others: &[Family], house: House) -> String {
    let mut page = Page(String::with_capacity(16 << 10));
    page.family("fleetfoot_build_info", "gauge", "Always 1; the version is a label.");
    page.sample("fleetfoot_build_info", &[("version", house.version)], 1);
    requests(&mut page, ledgers);
    services(&mut page, ledgers);
    servers(&mut page, ledgers);
    clients(&mut page, ledgers);
    for family in others {
        page.family(family.name, family.kind, family.help);
        for (labels, value) in &family.samples {
            let labels: Vec<_> = labels.iter().map(|(name, text)| (*name, &**text)).collect();
            page.sample(family.name, &labels, value);
        }
    }
    the_house(&mut page, house);
    process(&mut page);
    page.0
}

fn requests(page: &mut Page, ledgers: &[Arc<Ledger>]) {
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
    let name = "fleetfoot_requests_total";
    page.family(
        name,
        "counter",
        "Requests ended, by route and status; none where no answer was begun.",
    );
    for ((route, status), n) in statuses {
        let status = if status == 0 { "none".into() } else { status.to_string() };
        page.sample(name, &[("route", &route), ("status", &status)], n);
    }
    let name = "fleetfoot_cache_requests_total";
    page.family(name, "counter", "Requests by what the cache had to do with them.");
    for ((route, result), n) in cached {
        page.sample(name, &[("route", &route), ("result", result)], n);
    }
    let name = "fleetfoot_request_seconds";
    page.family(name, "histogram", "From a request's head to its answer's last byte, by route.");
    for (route, merged) in &durations {
        page.histogram(name, ("route", route), merged);
    }
}

fn services(page: &mut Page, ledgers: &[Arc<Ledger>]) {
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
    let name = "fleetfoot_service_first_byte_seconds";
    page.family(name, "histogram", "From asking a service to the head of its answer.");
    for (service, merged) in &first_bytes {
        page.histogram(name, ("service", service), merged);
    }
    let name = "fleetfoot_service_retries_total";
    page.family(name, "counter", "Requests sent again, by service.");
    for (service, n) in retries {
        page.sample(name, &[("service", &service)], n);
    }
    let name = "fleetfoot_service_shadows_total";
    page.family(name, "counter", "Copies for a service as a shadow, by what became of them.");
    for (service, counts) in shadows {
        for (ended, n) in ["sent", "failed", "left_out"].into_iter().zip(counts) {
            page.sample(name, &[("service", &service), ("ended", ended)], n);
        }
    }
}

fn servers(page: &mut Page, ledgers: &[Arc<Ledger>]) {
    let mut sums: BTreeMap<(String, String), [u64; 6]> = BTreeMap::new();
    for (key, meter) in ledgers.iter().flat_map(|ledger| ledger.servers()) {
        let counts = [
            &meter.requests,
            &meter.failures,
            &meter.connects,
            &meter.connect_failures,
            &meter.open,
            &meter.idle,
        ];
        for (sum, count) in sums.entry(key).or_default().iter_mut().zip(counts) {
            *sum += count.get();
        }
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
    for (i, (name, kind, help)) in families.into_iter().enumerate() {
        page.family(name, kind, help);
        for ((service, server), sum) in &sums {
            page.sample(name, &[("service", service), ("server", server)], sum[i]);
        }
    }
}

fn clients(page: &mut Page, ledgers: &[Arc<Ledger>]) {
    let sum = |of: fn(&Ledger) -> u64| ledgers.iter().map(|ledger| of(ledger)).sum::<u64>();
    let name = "fleetfoot_connections_accepted_total";
    page.one(name, "counter", "Client connections accepted.", sum(|l| l.accepted.get()));
    let name = "fleetfoot_connections";
    page.one(name, "gauge", "Client connections open.", sum(|l| l.open.get()));
    let name = "fleetfoot_connections_h2";
    page.one(name, "gauge", "Of those, speaking HTTP/2.", sum(|l| l.open_h2.get()));
    let name = "fleetfoot_handshake_failures_total";
    page.one(
        name,
        "counter",
        "TLS or HTTP/2 handshakes that failed.",
        sum(|l| l.handshake_failures.get()),
    );
    let name = "fleetfoot_sent_bytes_total";
    page.one(name, "counter", "Bytes of answers sent to clients.", sum(|l| l.sent_bytes.get()));
    let name = "fleetfoot_access_log_dropped_total";
    page.one(
        name,
        "counter",
        "Access log lines lost to a full queue.",
        sum(|l| l.log_dropped.get()),
    );
    let mut faults: BTreeMap<&str, u64> = BTreeMap::new();
    for (kind, n) in ledgers.iter().flat_map(|ledger| ledger.faults()) {
        *faults.entry(kind.name()).or_default() += n;
    }
    let name = "fleetfoot_faults_total";
    page.family(name, "counter", "Exchanges and connections that went wrong, by reason.");
    for (reason, n) in faults {
        page.sample(name, &[("reason", reason)], n);
    }
}

fn the_house(page: &mut Page, house: House) {
    let name = "fleetfoot_reloads_total";
    page.family(name, "counter", "Reloads of the settings, by result.");
    page.sample(name, &[("result", "done")], house.reloads);
    page.sample(name, &[("result", "refused")], house.reload_failures);
    let draining = u8::from(house.draining);
    page.one("fleetfoot_draining", "gauge", "1 while the gateway drains.", draining);
    page.one("fleetfoot_threads", "gauge", "Data-plane threads.", house.threads);
    let uptime = house.uptime.as_secs_f64();
    page.one("fleetfoot_uptime_seconds", "gauge", "Since the process started.", uptime);
}

/// The process's own figures, from the kernel; left out where it does not tell.
fn process(page: &mut Page) {
    let resident = std::fs::read_to_string("/proc/self/statm").ok().and_then(|statm| {
        statm.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok())
    });
    if let Some(pages) = resident {
        let name = "process_resident_memory_bytes";
        page.one(name, "gauge", "Resident memory.", pages * 4096);
    }
    if let Ok(open) = std::fs::read_dir("/proc/self/fd") {
        page.one("process_open_fds", "gauge", "Open file descriptors.", open.count());
    }
    let cpu = std::fs::read_to_string("/proc/self/stat").ok().and_then(|stat| {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        // utime and stime, the 14th and 15th of all fields, in hundredths of a second.
        Some(fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?)
    });
    if let Some(ticks) = cpu {
        let name = "process_cpu_seconds_total";
        page.one(name, "counter", "CPU time, user and system.", ticks as f64 / 100.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped_and_families_announced() {
        let ledger = Arc::new(Ledger::default());
        ledger.server("a\"b", "x\\y");
        ledger.route("r").from_service.record(Duration::from_millis(3));
        let house = House {
            version: "1",
            threads: 1,
            reloads: 0,
            reload_failures: 0,
            draining: false,
            uptime: Duration::ZERO,
        };
        let others = [Family::one("fleetfoot_x", "gauge", "Help.", 3)];
        let text = page(&[ledger], &others, house);
        assert!(text.contains("\nfleetfoot_x 3\n"));
        assert!(text.contains(r#"fleetfoot_server_connections{service="a\"b",server="x\\y"} 0"#));
        assert!(text.contains(r#"fleetfoot_request_seconds_bucket{route="r",le="0.005"} 1"#));
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|s| name.strip_suffix(s));
            let family = family.unwrap_or(name);
            assert!(text.contains(&format!("# TYPE {family} ")), "{line}");
        }
    }
}
