//! `fleetfoot`, the binary: what the user typed, and which part of the house does it.

mod command;
mod jobs_command;
mod practice;
mod run;

use clap::Parser;
use command::{Cli, Verb};
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    gateway::demo::follow_parent();
    let cli = Cli::parse();
    let done = match cli.verb {
        Verb::Run(flags) => run::run(flags),
        Verb::Check { config } => command::check(&config),
        Verb::Reload { admin } => command::reload(&admin),
        Verb::Purge(flags) => command::purge(&flags),
        Verb::Why { admin, json } => command::why(&admin, json),
        Verb::Jobs(flags) => jobs_command::jobs(&flags),
        Verb::Explain { method, url, config } => command::explain(&config, &method, &url),
        Verb::Top(flags) => command::top(&flags),
        Verb::Demo(flags) => practice::demo(&flags),
        Verb::Bench(flags) => practice::bench(&flags),
        Verb::Shop(flags) => practice::shop(flags),
        Verb::Schema => command::schema(),
        Verb::Version => command::version(),
        Verb::Completions { shell } => command::completions(shell),
    };
    done.unwrap_or_else(|failure| {
        eprintln!("fleetfoot: {}", failure.text);
        ExitCode::from(failure.code)
    })
}
