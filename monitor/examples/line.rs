//! What a line of the access log costs the thread that serves: making it, and handing it over.
//!
//! `cargo run --release -p monitor --example line`

#![expect(clippy::print_stdout, reason = "it is all that this program does")]

use base::Moment;
use monitor::facts::Facts;
use monitor::log::Log;
use monitor::log::line::{id, key, millis, number, text, time, timestamp, truth};
use monitor::settings::AccessLog;
use monitor::{Phase, Trace};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

const LINES: u32 = 400_000;
/// Lines that are handed over at once, and the pause behind them: 20,000 lines a second.
const GROUP: u32 = 20;
const PAUSE: Duration = Duration::from_millis(1);

fn main() {
    let facts = facts();
    // The best of many short rounds: others use the machine too.
    let round = || {
        let begun = Moment::now();
        for _ in 0..LINES / 400 {
            black_box(line(black_box(&facts)));
        }
        Moment::now().since(begun) / (LINES / 400)
    };
    let best = (0..400).map(|_| round()).min().unwrap_or_default();
    println!("making a line of {} bytes: {best:?}", line(&facts).len());
    let settings = AccessLog::File("/dev/null".into());
    let log = Log::open(&settings, Arc::default()).expect("it opens").expect("it is on");
    let (mut spent, mut worst, mut lost) = (Duration::ZERO, Duration::ZERO, 0);
    for _ in 0..LINES / GROUP / 4 {
        for _ in 0..GROUP {
            let line = line(&facts);
            let begun = Moment::now();
            lost += u32::from(!log.line(line));
            let took = Moment::now().since(begun);
            (spent, worst) = (spent + took, worst.max(took));
        }
        std::thread::sleep(PAUSE);
    }
    log.flush();
    println!("handing one over: {:?}, {worst:?} at worst, {lost} lost", spent / (LINES / 4));
}

fn facts() -> Facts {
    let at = |micros: u64| Moment::from_nanos(micros * 1_000);
    let mut facts = Facts::begin(at(5_000_000));
    facts.trace = Trace::begin(None, (0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, 0xf067), false);
    for (phase, micros) in [
        (Phase::Queue, 20),
        (Phase::Gateway, 30),
        (Phase::Send, 50),
        (Phase::Server, 70),
        (Phase::Gateway, 47_213),
        (Phase::Write, 47_260),
        (Phase::Gateway, 47_300),
    ] {
        facts.timeline.enter(phase, at(5_000_000 + micros));
    }
    facts
}

/// One like those of `gateway::access`, for a request with a usual browser's fields.
fn line(facts: &Facts) -> Vec<u8> {
    let mut line = Vec::with_capacity(768);
    line.push(b'{');
    text(&mut line, "time", &timestamp(facts.begun));
    text(&mut line, "client", b"203.0.113.195");
    text(&mut line, "method", b"GET");
    text(&mut line, "host", b"shop.example");
    text(&mut line, "target", b"/products/8f14e45f?currency=EUR&variant=blue");
    text(&mut line, "protocol", b"HTTP/1.1");
    truth(&mut line, "tls", true);
    number(&mut line, "status", 200);
    number(&mut line, "sent_bytes", 18_321);
    time(&mut line, "total_ms", facts.timeline.total());
    key(&mut line, "phases_ms");
    line.push(b'{');
    for (phase, spent) in facts.timeline.parts() {
        key(&mut line, phase.name());
        millis(&mut line, spent);
        line.push(b',');
    }
    line.pop();
    line.extend_from_slice(b"},");
    text(&mut line, "route", b"GET /products/{id}");
    text(&mut line, "service", b"shop");
    text(&mut line, "server", b"10.0.0.1:3000");
    number(&mut line, "attempts", 1);
    truth(&mut line, "reused", true);
    time(&mut line, "service_ms", Duration::from_micros(47_150));
    text(&mut line, "cache", b"miss");
    id(&mut line, "trace", facts.trace.id, 32);
    id(&mut line, "span", facts.trace.span.into(), 16);
    text(&mut line, "request_id", b"01923456-789a-7000-8000-000000000000");
    text(&mut line, "referer", b"https://shop.example/products");
    let agent = b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) \
                  Chrome/131.0.0.0 Safari/537.36";
    text(&mut line, "user_agent", agent);
    line.pop();
    line.extend_from_slice(b"}\n");
    line
}
