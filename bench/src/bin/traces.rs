//! `traces`: hit ratios of the store's policy beside others, as a table. `bench/run traces` starts it.

use std::path::PathBuf;
use std::process::ExitCode;

use bench::rivals::{Ours, Rival, lru::Lru, s3_fifo::S3Fifo, tiny_lfu::TinyLfu};
use bench::trace::read::{Format, Unreadable, read};
use bench::trace::{Trace, made};
use clap::Parser;

/// Hit ratios on traces: those named, and those made here.
#[derive(Parser)]
struct Arguments {
    /// Traces, as FORMAT:PATH; the formats are csv, cdn, arc, plain, log, oracle, big4, big8, little4.
    #[arg(value_parser = named)]
    traces: Vec<(Format, PathBuf)>,
    /// Leave out the traces made here.
    #[arg(long)]
    given_only: bool,
    /// Sizes of the cache in percent of the bytes of all objects.
    #[arg(long, value_delimiter = ',', default_value = "0.1,1,10")]
    percent: Vec<f64>,
}

/// Fewer objects than this in a cache say nothing.
const OBJECTS_MIN: f64 = 20.0;

fn named(text: &str) -> Result<(Format, PathBuf), String> {
    let (format, path) = text.split_once(':').ok_or("it is FORMAT:PATH")?;
    Ok((format.parse()?, PathBuf::from(path)))
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("traces: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Unreadable> {
    println!(
        "Hits by objects / by bytes, in percent. TinyLFU: the better of windows of 1 and 20 %.\n"
    );
    println!(
        "| trace | requests | objects | cache | LRU | S3-FIFO | W-TinyLFU | ours | ours - best of LRU, S3-FIFO |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for (format, path) in &arguments.traces {
        let trace = read(path, *format)?;
        rows(&trace, &arguments.percent);
        if format.sizeless() {
            rows(&trace.with_web_sizes(), &arguments.percent);
        }
    }
    if !arguments.given_only {
        for trace in made::all() {
            rows(&trace, &arguments.percent);
        }
    }
    Ok(())
}

fn rows(trace: &Trace, percents: &[f64]) {
    let objects = trace.objects();
    let footprint: usize = objects.values().map(|size| cost(*size)).sum();
    for percent in percents {
        let inside = objects.len() as f64 * percent / 100.0;
        if inside < OBJECTS_MIN {
            continue;
        }
        #[expect(clippy::cast_sign_loss, reason = "a percentage is positive")]
        let limit = (footprint as f64 * percent / 100.0) as usize;
        #[expect(clippy::cast_sign_loss, reason = "a count is positive")]
        let count = inside as usize;
        let lru = ratios(trace, &mut Lru::new(limit));
        let s3 = ratios(trace, &mut S3Fifo::new(limit));
        let narrow = ratios(trace, &mut TinyLfu::new(limit, 0.01, count));
        let wide = ratios(trace, &mut TinyLfu::new(limit, 0.2, count));
        let tiny = if narrow.0 > wide.0 { narrow } else { wide };
        let ours = ratios(trace, &mut Ours::new(limit));
        let ahead = (ours.0 - lru.0.max(s3.0), ours.1 - lru.1.max(s3.1));
        let [lru, s3, tiny, mine] =
            [lru, s3, tiny, ours].map(|(objects, bytes)| format!("{objects:.1} / {bytes:.1}"));
        println!(
            "| {} | {} | {} | {percent} % | {lru} | {s3} | {tiny} | {mine} | {:+.1} / {:+.1} |",
            trace.name,
            trace.requests.len(),
            objects.len(),
            ahead.0,
            ahead.1
        );
    }
}

fn ratios(trace: &Trace, rival: &mut impl Rival) -> (f64, f64) {
    let (mut hits, mut bytes_hit, mut bytes) = (0, 0, 0);
    for request in &trace.requests {
        let size = u64::from(request.size);
        bytes += size;
        if rival.request(request.key, request.size, cost(request.size)) {
            hits += 1;
            bytes_hit += size;
        }
    }
    let percent = |part: u64, whole: u64| 100.0 * part as f64 / whole.max(1) as f64;
    (percent(hits, trace.requests.len() as u64), percent(bytes_hit, bytes))
}

fn cost(size: u32) -> usize {
    cache::memory::cost(size as usize)
}
