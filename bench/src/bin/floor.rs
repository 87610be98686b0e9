//! `floor`: the kernel floor as a program. One thread; `bench/run` gives it a core.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::atomic::AtomicBool;

use bench::fault::{Error, chain};
use bench::floor::{Answer, Floor};
use bench::page::Page;
use clap::Parser;

/// The kernel floor: one recv and one send a side, nothing in between.
#[derive(Parser)]
struct Arguments {
    /// Address to listen on.
    #[arg(long)]
    listen: SocketAddr,
    /// Relay to this origin.
    #[arg(long, required_unless_present = "hit", conflicts_with = "hit")]
    origin: Option<SocketAddr>,
    /// Answer every request with this page.
    #[arg(long, value_name = "PATH")]
    hit: Option<Page>,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("floor: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    let answer = match (arguments.origin, arguments.hit) {
        (Some(origin), _) => Answer::Relay(origin),
        (None, page) => Answer::Fixed(page.unwrap_or(Page::OneKib).response()),
    };
    Floor::listen(arguments.listen, answer)?.run(&AtomicBool::new(false), None)
}
