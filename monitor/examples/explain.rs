//! What explaining a full window costs whoever asks: as many records as are looked at, of ten routes,
//! four servers and a thousand keys, one server of them slow.
//!
//! `cargo run --release -p monitor --example explain`

#![expect(clippy::print_stdout, reason = "it is all that this program does")]

use base::Moment;
use monitor::facts::Facts;
use monitor::record::Beside;
use monitor::why::{self, Context, Names};
use monitor::{Phase, Record, Trace};
use std::hint::black_box;
use std::time::Duration;

fn main() {
    let records: Vec<Record> = (0..why::COUNT_MAX as u64).map(record).collect();
    let names = Names::default();
    let context = Context { run_delay: Vec::new(), uptime: Duration::from_hours(1), purged: None };
    // The best of some rounds: others use the machine too.
    let round = || {
        let begun = Moment::now();
        let found = black_box(why::explain(black_box(&records), &names, &context));
        (Moment::now().since(begun), found.findings.len())
    };
    let (best, findings) = (0..20).map(|_| round()).min().unwrap_or_default();
    println!("explaining {} records: {best:?}, {findings} findings", records.len());
}

/// Requests come evenly over a minute; a mixed number stands for chance.
fn record(number: u64) -> Record {
    let mixed = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let begun = Moment::from_nanos(number * 60_000_000_000 / why::COUNT_MAX as u64);
    let server = (mixed % 4) as u32;
    let waited = Duration::from_micros(2_000 + mixed % 3_000) * if server == 3 { 20 } else { 1 };
    let mut facts = Facts::begin(begun);
    facts.trace = Trace::begin(None, (u128::from(mixed) + 1, mixed), false);
    (facts.route, facts.service) = (Some((mixed % 10) as u16), Some(0));
    (facts.server, facts.attempts, facts.status) = (Some(server), 1, 200);
    facts.timeline.enter(Phase::Server, begun + Duration::from_micros(30));
    facts.timeline.enter(Phase::Write, begun + waited);
    facts.timeline.enter(Phase::Gateway, begun + waited + Duration::from_micros(mixed % 400));
    Record::of(&facts, Beside { key: mixed % 1_000, ..Beside::default() })
}
