//! `lg`: load generator and origin in one process. JSON on standard output.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bench::client::{Target, trust};
use bench::fault::{Error, chain};
use bench::generator::{Generator, Pace, Plan};
use bench::page::Page;
use bench::report::Report;
use clap::Parser;

/// Load generator and origin in one loop; JSON on standard output.
#[derive(Parser)]
struct Arguments {
    /// Address the origin listens on.
    #[arg(long, default_value = "127.0.0.1:9000")]
    origin: SocketAddr,
    /// The proxy to load, or several in turn; without, only the origin runs, until standard input closes.
    #[arg(long, value_delimiter = ',')]
    target: Vec<SocketAddr>,
    /// What to ask for.
    #[arg(long, default_value = "/p/1k", value_name = "PATH")]
    page: Page,
    /// Kept connections.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// Seconds of load before the window opens.
    #[arg(long, default_value_t = 0.8)]
    warmup: f64,
    /// Seconds measured.
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    /// Open loop at this many requests a second; closed loop without.
    #[arg(long)]
    rate: Option<f64>,
    /// Seed of the open loop's arrivals.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// TLS 1.3 to `localhost`, trusting the certificates in this PEM file.
    #[arg(long, value_name = "FILE")]
    tls: Option<PathBuf>,
    /// Processes whose run time is measured.
    #[arg(long, value_delimiter = ',', value_name = "PID,…")]
    watch: Vec<u32>,
    /// Open N connections, ask once on each, hold them until standard input closes.
    #[arg(long, value_name = "N", conflicts_with_all = ["rate", "watch"])]
    idle: Option<usize>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.rate.is_some_and(|rate| rate <= 0.0) || arguments.connections == 0 {
        eprintln!("lg: --rate and --connections must be above zero");
        return ExitCode::from(2);
    }
    match run(arguments) {
        Ok(report) => {
            if let Some(report) = report {
                print(&report);
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("lg: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<Option<Report>, Error> {
    let mut generator = Generator::listen(arguments.origin, arguments.page)?;
    if arguments.target.is_empty() {
        let released = until_input_closes(&generator);
        return generator.serve(&released).map(|()| None);
    }
    let tls = arguments.tls.as_deref().map(trust).transpose()?;
    let target = Target { addresses: arguments.target, tls };
    if let Some(count) = arguments.idle {
        let released = until_input_closes(&generator);
        return generator.hold(&target, count, &released, print).map(Some);
    }
    let pace = match arguments.rate {
        Some(rate) => Pace::Open { rate, seed: arguments.seed },
        None => Pace::Closed,
    };
    let plan = Plan {
        target,
        connections: arguments.connections,
        warmup: Duration::from_secs_f64(arguments.warmup),
        window: Duration::from_secs_f64(arguments.seconds),
        pace,
        watch: arguments.watch,
    };
    generator.run(&plan).map(Some)
}

/// One line, now: `bench/run` waits for it.
fn print(report: &Report) {
    println!("{}", report.to_json());
    let _ = io::stdout().flush();
}

fn until_input_closes(generator: &Generator) -> Arc<AtomicBool> {
    let released = Arc::new(AtomicBool::new(false));
    let waker = generator.waker();
    let flag = Arc::clone(&released);
    std::thread::spawn(move || {
        let _ = io::stdin().lock().read_to_end(&mut Vec::new());
        flag.store(true, Ordering::Release);
        let _ = waker.wake();
    });
    released
}
