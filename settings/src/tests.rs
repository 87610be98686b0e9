//! Behaviour of the whole crate: files in, settings or reports out.

mod balance;
mod caching;
mod events;
mod jobs;
mod laws;
mod messages;
mod monitor;
mod offload;
mod patterns;
mod rates;
mod reference;
mod values;

use crate::reader::World;
use crate::{Report, Settings};
use std::path::Path;

const SHOP: &str = "[service.shop]\nservers = [\"http://localhost:3000\"]\n";

/// Reads a file in a world where `PORT` is 3000, secrets are there, and no file is there whose name has `missing` in it.
fn read(text: &str) -> Result<Settings, Report> {
    let variable = |name: &str| match name {
        "PORT" => Some("3000".to_owned()),
        "EMPTY" => Some(String::new()),
        "OFFLOAD_KEY" => Some("MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=".to_owned()),
        "OFFLOAD_SECRET" => Some("sixteen-or-more-of-them".to_owned()),
        "HOOK_SECRET" => Some("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3".to_owned()),
        _ => None,
    };
    let trouble = |path: &Path, _: Option<u64>| {
        path.to_string_lossy().contains("missing").then(|| "no such file".to_owned())
    };
    let world = World { variable: &variable, trouble: &trouble };
    crate::parse_in("/etc/fleetfoot/gateway.toml", text, &world)
}

/// The settings of a file without mistakes.
fn settings(text: &str) -> Settings {
    read(text).unwrap_or_else(|report| panic!("{report}"))
}

/// The report of a file with mistakes.
fn mistakes(text: &str) -> String {
    match read(text) {
        Ok(settings) => panic!("no mistake in {text}\n{settings:#?}"),
        Err(report) => report.to_string().replace("/etc/fleetfoot/gateway.toml:", "gateway.toml:"),
    }
}

/// The report of lines that are put before a service without mistakes.
fn before(text: &str) -> String {
    mistakes(&format!("{text}\n{SHOP}"))
}

/// The report of lines that are put behind a service without mistakes.
fn behind(text: &str) -> String {
    mistakes(&format!("{SHOP}{text}\n"))
}
