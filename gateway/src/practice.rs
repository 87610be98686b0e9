//! `fleetfoot demo`, `fleetfoot bench` and `fleetfoot shop`: the main job in miniature, measuring
//! anything, and a backend to practise on.

use crate::command::{Done, Failure};
use gateway::demo::{self, DemoError};
use gateway::gateway::chain;
use shop::{Ill, Options, ShopError, Sins, Storage};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// How to show.
#[derive(Debug, clap::Args)]
pub(crate) struct DemoFlags {
    /// End after the table; otherwise gateway and shop stay up until ctrl-c
    #[arg(long)]
    once: bool,
    /// How long each phase is measured
    #[arg(long, value_name = "N", default_value_t = 6)]
    seconds: u64,
    /// Requests a second [default: a share of what one shop can answer, measured first]
    #[arg(long, value_name = "R")]
    rate: Option<f64>,
    /// A Redis that the gateway caches in, for one more line of the table
    #[arg(long, value_name = "URL")]
    redis: Option<String>,
    /// A broker that carries orders, for one more line: amqp://…, nats://…, kafka://…
    #[arg(long, value_name = "URL")]
    queue: Option<String>,
}

/// How to keep shop.
#[derive(Debug, clap::Args)]
pub(crate) struct ShopFlags {
    /// Where to listen; port 0 lets the system choose
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:3000")]
    listen: SocketAddr,
    /// A PostgreSQL database: postgres://user:password@host:port/database [default: SQLite]
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    database: Option<String>,
    /// A directory for SQLite's files, kept and shared [default: one that goes with the process]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Products in the catalogue
    #[arg(long, value_name = "N", default_value_t = 20_000)]
    products: u32,
    /// Which catalogue: the same number makes the same one
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Sins to switch off, a list, or `all`; GET /sins names them
    #[arg(long, value_name = "SINS", default_value = "none")]
    without: Sins,
    /// What is wrong with this instance: `slow`, `fails`, `stalls` or `none`
    #[arg(long, value_name = "ILLNESS", default_value = "none")]
    ill: Ill,
    /// An OTLP receiver that its spans are sent to; more is said by OpenTelemetry's variables
    #[arg(long, value_name = "URL", env = otlp::environment::ENDPOINT)]
    otlp: Option<String>,
}

pub(crate) fn demo(flags: &DemoFlags) -> Done {
    let options = demo::Options {
        once: flags.once,
        phase_time: Duration::from_secs(flags.seconds),
        rate: flags.rate,
        redis: flags.redis.clone(),
        queue: flags.queue.clone(),
        ..demo::Options::standard()
    };
    let outcome = runtime()?.block_on(demo::run(options)).map_err(|error| match error {
        DemoError::Bound { .. } => Failure::mistake(error.to_string()),
        _ => Failure::trouble(chain(&error)),
    })?;
    Ok(outcome.into())
}

pub(crate) fn bench(flags: &gateway::bench::Flags) -> Done {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::trouble(format!("no runtime: {error}")))?;
    runtime.block_on(gateway::bench::run(flags)).map_err(|error| {
        let text = error.to_string();
        if error.is_mistake() { Failure::mistake(text) } else { Failure::trouble(text) }
    })
}

pub(crate) fn shop(flags: ShopFlags) -> Done {
    let database = match (flags.database, flags.data) {
        (Some(url), _) => Storage::Postgres(url),
        (None, Some(directory)) => Storage::Directory(directory),
        (None, None) => Storage::Temporary,
    };
    let variable = |name: &str| match name {
        otlp::environment::ENDPOINT => flags.otlp.clone(),
        name => std::env::var(name).ok(),
    };
    let otlp = otlp::environment::read(variable, "shop");
    let otlp = otlp.map_err(|wrong| Failure::mistake(wrong.to_string()))?;
    let options = Options {
        database,
        otlp,
        products: flags.products,
        seed: flags.seed,
        without: flags.without,
        ill: flags.ill,
        ..Options::standard(flags.listen)
    };
    runtime()?.block_on(demo::shop(options)).map_err(|error| match error {
        ShopError::Bound { .. } | ShopError::DatabaseUrl(_) | ShopError::OtherCatalogue { .. } => {
            Failure::mistake(chain(&error))
        }
        _ => Failure::trouble(chain(&error)),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.map_err(|error| Failure::trouble(format!("no runtime: {error}")))
}
