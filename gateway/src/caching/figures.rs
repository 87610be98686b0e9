//! What the page of metrics tells of the cache as a whole; what it had to do with requests is counted
//! by route.

use cache::Cache;
use cache::tier::breaker::State;
use cache::tier::meter::Tally;
use monitor::expose::Family;
use std::sync::atomic::{AtomicU64, Ordering};

/// All families.
pub fn families(cache: &Cache) -> Vec<Family> {
    let mut families = memory(cache);
    disk(cache, &mut families);
    shared(cache, &mut families);
    families
}

fn memory(cache: &Cache) -> Vec<Family> {
    let memory = &cache.memory;
    vec![
        Family::one(
            "fleetfoot_cache_memory_bytes",
            "gauge",
            "Bytes of memory that entries take, overhead counted.",
            memory.bytes() as u64,
        ),
        Family::one(
            "fleetfoot_cache_memory_limit_bytes",
            "gauge",
            "Most bytes that entries may take.",
            memory.limit() as u64,
        ),
        Family::one(
            "fleetfoot_cache_memory_resources",
            "gauge",
            "Keys in memory, each with its variants.",
            memory.len() as u64,
        ),
        Family::one(
            "fleetfoot_cache_evictions_total",
            "counter",
            "Resources that made room for others.",
            memory.evictions(),
        ),
        Family::one(
            "fleetfoot_cache_rejections_total",
            "counter",
            "Resources that were not worth, or too large for, a place in memory.",
            memory.rejected(),
        ),
        Family::one(
            "fleetfoot_cache_fills",
            "gauge",
            "Fetches under way that others may wait for.",
            cache.fills.len() as u64,
        ),
        Family::one(
            "fleetfoot_cache_purges_total",
            "counter",
            "Purges that took effect here, by whomever.",
            cache.stamps.epoch(),
        ),
    ]
}

fn disk(cache: &Cache, families: &mut Vec<Family>) {
    let Some(shelf) = &cache.disk else { return };
    let meters = shelf.disk.meters();
    let get = |count: &AtomicU64| count.load(Ordering::Relaxed) as f64;
    families.push(Family {
        name: "fleetfoot_cache_disk_values_total",
        kind: "counter",
        help: "Values of the disk tier, by what became of them.",
        samples: vec![
            (vec![("did", "get".into())], get(&meters.gets)),
            (vec![("did", "hit".into())], get(&meters.hits)),
            (vec![("did", "put".into())], get(&meters.puts)),
            (vec![("did", "drop".into())], get(&meters.dropped)),
            (vec![("did", "evict".into())], get(&meters.evicted)),
            (vec![("did", "fail".into())], get(&meters.failures)),
        ],
    });
    let bytes = meters.bytes.load(Ordering::Relaxed);
    let name = "fleetfoot_cache_disk_bytes";
    families.push(Family::one(name, "gauge", "Bytes of files of the disk tier.", bytes));
}

fn shared(cache: &Cache, families: &mut Vec<Family>) {
    let Some(shared) = &cache.shared else { return };
    let meter = shared.meter();
    let get = |tally: &Tally| tally.get() as f64;
    families.push(Family {
        name: "fleetfoot_cache_shared_gets_total",
        kind: "counter",
        help: "Values asked of the shared tier, by how it ended.",
        samples: vec![
            (vec![("ended", "hit".into())], get(&meter.hits)),
            (vec![("ended", "miss".into())], get(&meter.misses)),
            (vec![("ended", "junk".into())], get(&meter.junk)),
            (vec![("ended", "failure".into())], get(&meter.failures)),
            (vec![("ended", "timeout".into())], get(&meter.timeouts)),
            (vec![("ended", "refused".into())], get(&meter.refused)),
        ],
    });
    families.push(Family {
        name: "fleetfoot_cache_shared_puts_total",
        kind: "counter",
        help: "Values for the shared tier, by how it ended.",
        samples: vec![
            (vec![("ended", "written".into())], get(&meter.puts)),
            (vec![("ended", "dropped".into())], get(&meter.dropped)),
        ],
    });
    families.push(Family {
        name: "fleetfoot_cache_shared_bytes_total",
        kind: "counter",
        help: "Bytes of values read from and written to the shared tier.",
        samples: vec![
            (vec![("way", "read".into())], get(&meter.bytes_read)),
            (vec![("way", "written".into())], get(&meter.bytes_written)),
        ],
    });
    families.push(Family {
        name: "fleetfoot_cache_shared_seconds_total",
        kind: "counter",
        help: "Time that hits and misses of the shared tier took together.",
        samples: vec![(Vec::new(), meter.nanos.get() as f64 / 1e9)],
    });
    let name = "fleetfoot_cache_shared_trusted";
    let help = "1 while the shared tier is read: it answers, and no purge is owed.";
    families.push(Family::one(name, "gauge", help, u64::from(shared.is_trusted())));
    let closed = u64::from(matches!(shared.state(), State::Closed));
    let name = "fleetfoot_cache_shared_healthy";
    families.push(Family::one(name, "gauge", "1 while its breakers are closed.", closed));
}
