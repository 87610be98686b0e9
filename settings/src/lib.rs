//! Text into settings: one TOML file, or a few flags, into validated values.
//!
//! [`parse`] finds every mistake at once and says of each where it stands, what was found and what
//! is allowed. Past it every value is legal, every bound present, every name resolved. All keys are
//! declared once, in `options`; the reader, the editors' schema and the reference page follow it.

mod address;
mod lower;
mod options;
mod reader;
mod syntax;

pub mod flags;
pub mod model;
pub mod page;
pub mod pattern;
pub mod report;
pub mod schema;
pub mod show;

#[cfg(test)]
mod tests;

pub use flags::{for_url, override_admin, override_listen};
pub use model::*;
pub use page::reference;
pub use report::{Mistake, Place, Report};
pub use schema::json_schema;
pub use show::show;

use base::ByteSize;
use reader::{Reader, World};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Largest settings file.
pub const FILE_MAX: u64 = ByteSize::mib(16).0;

/// The settings that `text` describes, read as the file `file_name`: relative paths in it start at
/// that file's folder, and the files it names must be there. `env` answers `${NAME}`.
///
/// # Errors
/// Every mistake in the text.
pub fn parse(
    file_name: &str,
    text: &str,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Settings, Report> {
    parse_in(file_name, text, &World { variable: env, trouble: &trouble })
}

/// The settings in a file, with the environment of this process.
///
/// # Errors
/// Every mistake in the file; one that names the path when it cannot be read.
pub fn load(path: &Path) -> Result<Settings, Report> {
    let name = path.display().to_string();
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|file| file.take(FILE_MAX + 1).read_to_end(&mut bytes));
    if bytes.len() as u64 > FILE_MAX {
        let what = format!("larger than {}", ByteSize(FILE_MAX));
        return Err(unreadable(name, what, "give the path of a settings file".to_owned()));
    }
    match read.map(|_| String::from_utf8(bytes)) {
        Ok(Ok(text)) => parse(&name, &text, &|name| std::env::var(name).ok()),
        Ok(Err(error)) => {
            let at = error.utf8_error().valid_up_to();
            let before = String::from_utf8_lossy(&error.as_bytes()[..at]);
            let line = before.matches('\n').count() + 1;
            let what = format!("not UTF-8 text (line {line})");
            Err(unreadable(name, what, "save the file as UTF-8".to_owned()))
        }
        Err(error) => {
            let hint = match error.kind() {
                std::io::ErrorKind::NotFound => {
                    "give the path of a settings file, or run without one: \
                     fleetfoot run --to http://localhost:3000"
                }
                std::io::ErrorKind::PermissionDenied => {
                    "let the user that runs fleetfoot read the file"
                }
                _ => "give the path of a settings file",
            };
            Err(unreadable(name, format!("cannot read the settings: {error}"), hint.to_owned()))
        }
    }
}

fn unreadable(source: String, what: String, hint: String) -> Report {
    Report::new(vec![Mistake { source, what, places: Vec::new(), hint: Some(hint) }])
}

/// Why a file cannot be read, if it cannot, or is longer than `bytes_max`. It is not opened before it
/// is known to be a regular file: opening a FIFO waits for whoever writes into it.
fn trouble(path: &Path, bytes_max: Option<u64>) -> Option<String> {
    let found = std::fs::metadata(path).and_then(|data| {
        if data.is_file() { File::open(path).and_then(|file| file.metadata()) } else { Ok(data) }
    });
    match found {
        Ok(data) if data.is_dir() => Some("is a folder".to_owned()),
        Ok(data) if !data.is_file() => Some("is not a regular file".to_owned()),
        Ok(data) => bytes_max
            .filter(|most| data.len() > *most)
            .map(|most| format!("is longer than {}", ByteSize(most))),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some("no such file".to_owned())
        }
        Err(error) => Some(error.to_string()),
    }
}

fn parse_in(file: &str, text: &str, world: &World<'_>) -> Result<Settings, Report> {
    let (table, errors) = toml::de::DeTable::parse_recoverable(text);
    let mut reader = Reader::new(file, text, world);
    let headers_hold = syntax::note(&mut reader, &errors);
    let settings = if headers_hold { lower::settings(&mut reader, table.get_ref()) } else { None };
    match settings {
        Some(settings) if reader.mistakes.is_empty() => Ok(settings),
        _ => Err(Report::new(reader.into_mistakes())),
    }
}
