//! `store`: what the store in memory costs: time of its calls, and what the process really uses.
//! `bench/run store` and `bench/run memory` start it.

use std::hint::black_box;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use base::{ByteSize, Moment};
use bench::rivals::spread;
use bench::trace::made::web_size;
use cache::memory::{Change, Memory, PIECE, Weigh};
use clap::{Parser, Subcommand};

/// The allocator of the gateway: its habits are part of what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the store in memory costs.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Nanoseconds a call, with one thread and with several.
    Time {
        /// Entries in the store.
        #[arg(long, default_value_t = 100_000)]
        entries: u64,
        /// Most threads.
        #[arg(long, default_value_t = 2)]
        threads: usize,
        /// Seconds a figure.
        #[arg(long, default_value_t = 1.0)]
        seconds: f64,
    },
    /// Resident bytes beside the limit, while distinct objects stream through.
    Memory {
        /// The limit in MiB.
        #[arg(long, default_value_t = 256)]
        limit: u64,
        /// Stop after so many GiB of objects.
        #[arg(long, default_value_t = 20)]
        gib: u64,
        /// Threads that put.
        #[arg(long, default_value_t = 2)]
        threads: u64,
        /// Sizes: `web` (lognormal, 200 B to 2 MiB), `small`, `large`, or `shift` (small, then large,
        /// and again).
        #[arg(long, default_value = "web")]
        sizes: String,
    },
}

/// An object as the gateway has them: a head, and a body in pieces.
struct Object {
    head: Vec<u8>,
    body: Vec<Vec<u8>>,
}

#[derive(Clone)]
struct Shared(Arc<Object>);

impl Weigh for Shared {
    fn bytes(&self) -> usize {
        size_of::<Object>()
            + 16
            + self.0.head.capacity()
            + self.0.body.iter().map(|piece| piece.capacity() + size_of::<Vec<u8>>()).sum::<usize>()
    }
}

fn object(bytes: usize) -> Shared {
    let head = bytes.min(300);
    // Written, or the kernel would never have to find the pages.
    let mut left = bytes - head;
    let mut body = Vec::with_capacity(left.div_ceil(PIECE));
    while left > 0 {
        let size = left.min(PIECE);
        left -= size;
        body.push(vec![2; size]);
    }
    Shared(Arc::new(Object { head: vec![1; head], body }))
}

fn main() -> ExitCode {
    match Arguments::parse().what {
        What::Time { entries, threads, seconds } => {
            time(entries, threads, Duration::from_secs_f64(seconds));
            ExitCode::SUCCESS
        }
        What::Memory { limit, gib, threads, sizes } => memory(limit, gib, threads, &sizes),
    }
}

fn time(entries: u64, threads: usize, length: Duration) {
    println!(
        "{entries} entries; ns a call and thread, million calls a second in all, × one thread\n"
    );
    println!(
        "| calls | {} |",
        (1..=threads).map(|n| n.to_string()).collect::<Vec<_>>().join(" | ")
    );
    println!("| --- |{}", " --- |".repeat(threads));
    let room = ByteSize(entries * 2_000);
    let full: Memory<Shared> = Memory::new(room, usize::MAX);
    for key in 0..entries {
        full.update(spread(key), |_| Change::Put(object(600)));
    }
    row("get, any of them", threads, length, |rng, _| {
        black_box(full.get(spread(rng.u64(0..entries))));
    });
    row("get, one of the 100 first", threads, length, |rng, _| {
        black_box(full.get(spread(rng.u64(0..100))));
    });
    row("get, the same one", threads, length, |_, _| {
        black_box(full.get(spread(7)));
    });
    row("get, one of each thread's own", threads, length, |_, thread| {
        black_box(full.get(spread(thread)));
    });
    row("get, not there", threads, length, |rng, _| {
        black_box(full.get(spread(rng.u64(entries..))));
    });
    row("put over one that is there", threads, length, |rng, _| {
        full.update(spread(rng.u64(0..entries)), |_| Change::Put(object(600)));
    });
    let tight: Memory<Shared> = Memory::new(ByteSize(entries * 800), usize::MAX);
    row("put a new one, evict one", threads, length, |rng, _| {
        tight.update(spread(rng.u64(..)), |_| Change::Put(object(600)));
    });
    row("(make and drop an object)", threads, length, |_, _| {
        black_box(object(600));
    });
}

fn row(
    name: &str,
    threads: usize,
    length: Duration,
    call: impl Fn(&mut fastrand::Rng, u64) + Sync,
) {
    let mut cells = Vec::new();
    let mut one = 0.0;
    for count in 1..=threads {
        let rate = rate(count, length, &call);
        if count == 1 {
            one = rate;
        }
        let nanos = 1e9 * count as f64 / rate;
        cells.push(format!("{nanos:.0} ns, {:.1} M/s, × {:.2}", rate / 1e6, rate / one));
    }
    println!("| {name} | {} |", cells.join(" | "));
}

/// Calls a second of so many threads together.
fn rate(threads: usize, length: Duration, call: &(impl Fn(&mut fastrand::Rng, u64) + Sync)) -> f64 {
    const BATCH: u64 = 64;
    let (barrier, stop, calls) =
        (Barrier::new(threads + 1), AtomicBool::new(false), AtomicU64::new(0));
    let took = std::thread::scope(|scope| {
        for thread in 0..threads as u64 {
            let (barrier, stop, calls) = (&barrier, &stop, &calls);
            scope.spawn(move || {
                let mut rng = fastrand::Rng::with_seed(thread);
                barrier.wait();
                let mut mine = 0;
                while !stop.load(Relaxed) {
                    (0..BATCH).for_each(|_| call(&mut rng, thread));
                    mine += BATCH;
                }
                calls.fetch_add(mine, Relaxed);
            });
        }
        barrier.wait();
        let start = Moment::now();
        std::thread::sleep(length);
        stop.store(true, Relaxed);
        Moment::now().since(start)
    });
    calls.load(Relaxed) as f64 / took.as_secs_f64()
}

fn memory(limit: u64, gib: u64, threads: u64, sizes: &str) -> ExitCode {
    const FACTOR_MAX: f64 = 1.3;
    let start = resident();
    let store: Memory<Shared> = Memory::new(ByteSize::mib(limit), 32 << 20);
    let (put, peak) = (AtomicU64::new(0), AtomicU64::new(0));
    let end = gib << 30;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (store, put, peak) = (&store, &put, &peak);
            scope.spawn(move || {
                for number in 0_u64.. {
                    let key = (thread << 56) | number;
                    let so_far = put.load(Relaxed);
                    if so_far >= end {
                        return;
                    }
                    let bytes = bytes(sizes, key, so_far as f64 / end as f64);
                    store.update(spread(key), |_| Change::Put(object(bytes)));
                    put.fetch_add(bytes as u64, Relaxed);
                    // A few are popular, so that not everything leaves in order.
                    store.get(spread((thread << 56) | (number / 2)));
                    if number % 1024 == 0 {
                        peak.fetch_max(resident(), Relaxed);
                    }
                }
            });
        }
    });
    let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let (peak, now) = (peak.load(Relaxed), resident());
    let factor = mib(peak) / limit as f64;
    println!(
        "{sizes}: {gib} GiB through {limit} MiB: resident {:.0} MiB before, {:.0} at peak, {:.0} now; \
         {:.0} MiB counted, {} entries, {} evicted, {} refused; {factor:.3} × the limit",
        mib(start),
        mib(peak),
        mib(now),
        mib(store.bytes() as u64),
        store.len(),
        store.evictions(),
        store.rejected(),
    );
    if factor <= FACTOR_MAX { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn bytes(sizes: &str, key: u64, progress: f64) -> usize {
    let median = match sizes {
        "small" => 400.0,
        "shift" if progress * 4.0 % 2.0 < 1.0 => 400.0,
        "large" | "shift" => 400_000.0,
        _ => 10_000.0,
    };
    web_size(key, median) as usize
}

/// Bytes of this process in memory.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages: u64 = text.split(' ').nth(1).and_then(|pages| pages.parse().ok()).unwrap_or(0);
    pages * 4096
}
