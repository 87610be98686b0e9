//! `fleetfoot run`: start, tell where, then wait for signals.

use crate::command::{Done, Failure, RunFlags, mistakes};
use gateway::export::Export;
use gateway::gateway::{Gateway, ReloadError, Source, StartError, chain};
use gateway::listen;
use gateway::{admin, reporter};
use settings::Settings;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Threads of the second runtime: admin, signals, housekeeping.
const CONTROL_THREADS: usize = 1;

/// How long a start waits for the cache's shared tier.
const SHARED_PATIENCE: Duration = Duration::from_secs(1);

/// How long an end in order waits for threads.
const STOP_TIME: Duration = Duration::from_secs(5);

/// How long an end waits for threads that were told to end at once, or that read and write files.
const END_TIME: Duration = Duration::from_secs(1);

pub(crate) fn run(flags: RunFlags) -> Done {
    let (settings, source) = read(flags)?;
    raise_descriptor_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
        .map_err(|error| Failure::trouble(format!("no runtime: {error}")))?;
    let ended = runtime.block_on(live(settings, source));
    // Without a bound it would wait for whoever hangs in a file for ever.
    runtime.shutdown_timeout(END_TIME);
    ended
}

fn read(flags: RunFlags) -> Result<(Settings, Source), Failure> {
    if !flags.to.is_empty() {
        let settings = settings::for_url(&flags.to, &flags.listen, flags.admin.as_deref());
        let settings = settings.map_err(|report| Failure::mistake(report.to_string()))?;
        return Ok((settings.clone(), Source::Flags(Box::new(settings))));
    }
    let path = flags.config.unwrap_or_else(|| PathBuf::from("fleetfoot.toml"));
    let source = Source::File { path, listen: flags.listen, admin: flags.admin };
    let settings = source.read().map_err(mistakes)?;
    Ok((settings, source))
}

/// Lets the process have as many file descriptors as the system allows it: each connection takes one,
/// and the usual soft limit of 1,024 is for programs that use `select`.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _best_effort = setrlimit(Resource::Nofile, limit);
}

async fn live(settings: Settings, source: Source) -> Done {
    let trouble = |error: std::io::Error| Failure::trouble(format!("signals: {error}"));
    let mut hangup = signal(SignalKind::hangup()).map_err(trouble)?;
    let mut term = signal(SignalKind::terminate()).map_err(trouble)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(trouble)?;
    let admin = settings.admin.map(|address| listen::bind(address, 1)).transpose();
    let admin = admin.map_err(|error| Failure::trouble(chain(&error)))?;
    // What it reads may block; signals must be heard meanwhile.
    let starting = tokio::task::spawn_blocking(move || Gateway::start(settings, source));
    let started = tokio::select! { biased;
        started = starting => started.map_err(|error| Failure::trouble(chain(&error)))?,
        _ = term.recv() => return Ok(ExitCode::SUCCESS),
        _ = interrupt.recv() => return Ok(ExitCode::SUCCESS),
    };
    let gateway = started.map_err(|error| match error {
        StartError::NotReady(_) => Failure::mistake(chain(&error)),
        StartError::Listen(_) | StartError::Thread(_) => Failure::trouble(chain(&error)),
    })?;
    let gateway = Arc::new(gateway);
    tokio::spawn(reporter::run(Arc::downgrade(&gateway)));
    let export = Export::start(&gateway);
    for (address, tls) in &gateway.addresses {
        let scheme = if *tls { "https" } else { "http" };
        eprintln!("fleetfoot: listening on {scheme}://{address}");
    }
    if let Some(listener) = admin.and_then(|mut bound| bound.pop()) {
        let address = listener.local_addr().map_err(|error| Failure::trouble(error.to_string()))?;
        let listener = tokio::net::TcpListener::from_std(listener)
            .map_err(|error| Failure::trouble(error.to_string()))?;
        tokio::spawn(admin::serve(listener, Arc::clone(&gateway)));
        eprintln!("fleetfoot: admin on http://{address}");
    }
    if !gateway.snapshot().cache.ready(SHARED_PATIENCE).await {
        eprintln!("fleetfoot: the shared cache does not answer; going on without it until it does");
    }
    eprintln!("fleetfoot: ready");
    wait(&gateway, &mut hangup, &mut term, &mut interrupt).await;
    eprintln!("fleetfoot: draining; once more to end at once");
    let (open, patience) = tokio::select! { biased;
        open = gateway.drain() => (open, STOP_TIME),
        _ = term.recv() => (gateway.open(), END_TIME),
        _ = interrupt.recv() => (gateway.open(), END_TIME),
    };
    if open > 0 {
        eprintln!("fleetfoot: ended with {open} connections still open");
    }
    tokio::select! { biased;
        () = end(gateway, export, patience) => {}
        _ = term.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Sends what is left to be told, and ends the threads.
async fn end(gateway: Arc<Gateway>, export: Export, patience: Duration) {
    export.finish().await;
    gateway.stop(patience).await;
}

/// Reloads as often as told to, until told to end; a reload under way does not hold that up.
async fn wait(gateway: &Gateway, hangup: &mut Signal, term: &mut Signal, interrupt: &mut Signal) {
    loop {
        tokio::select! { biased;
            _ = term.recv() => return,
            _ = interrupt.recv() => return,
            _ = hangup.recv() => tokio::select! { biased;
                _ = term.recv() => return,
                _ = interrupt.recv() => return,
                reloaded = gateway.reload() => tell(reloaded),
            },
        }
    }
}

fn tell(reloaded: Result<(), ReloadError>) {
    match reloaded {
        Ok(()) => eprintln!("fleetfoot: reloaded"),
        Err(error) => {
            eprintln!(
                "fleetfoot: not reloaded, the old settings stay in force:\n{}",
                chain(&error)
            );
        }
    }
}
