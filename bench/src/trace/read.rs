//! Published trace formats.
//!
//! Sources: the trace readers' documentation of libCacheSim (oracleGeneral), twitter/cache-trace (its
//! README), webcachesim (its README), Caffeine's simulator (cache2k and Scarab binaries, LIRS, ARC).

use super::{Request, Trace};
use std::fmt::Write as _;
use std::path::Path;
use std::str::FromStr;
use thiserror::Error;

/// What a sizeless format's objects weigh.
const SIZE: u32 = 4096;

/// How a trace is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text: `time,key,size`, or Twitter's seven columns.
    Csv,
    /// Text: `time key size`, with more columns or not (AdaptSize, LRB, Wikipedia's CDN).
    Cdn,
    /// Text: `first count …`, blocks of 512 bytes (ARC).
    Arc,
    /// Text: a key a line, no sizes (LIRS).
    Plain,
    /// Text: an access log in the common or combined format; answers to GET with 200 count.
    Log,
    /// Binary, 24 bytes a request: time, key, size, next (libCacheSim).
    Oracle,
    /// Binary, a big-endian key of 4 bytes, no sizes (cache2k).
    Big4,
    /// Binary, a big-endian key of 8 bytes, no sizes (Scarab).
    Big8,
    /// Binary, a little-endian key of 4 bytes, no sizes.
    Little4,
}

/// A trace that could not be read.
#[derive(Debug, Error)]
pub enum Unreadable {
    /// The file itself.
    #[error("reading {path}")]
    File {
        /// Its path.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// What is in it.
    #[error("{path}:{line}: {about}")]
    Line {
        /// Its path.
        path: String,
        /// Its line.
        line: usize,
        /// What is wrong.
        about: &'static str,
    },
}

const NAMES: [(&str, Format); 9] = [
    ("csv", Format::Csv),
    ("cdn", Format::Cdn),
    ("arc", Format::Arc),
    ("plain", Format::Plain),
    ("log", Format::Log),
    ("oracle", Format::Oracle),
    ("big4", Format::Big4),
    ("big8", Format::Big8),
    ("little4", Format::Little4),
];

impl Format {
    /// Has this format no sizes of its own?
    pub fn sizeless(self) -> bool {
        matches!(self, Self::Plain | Self::Big4 | Self::Big8 | Self::Little4)
    }
}

impl FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found.map(|(_, format)| *format).ok_or_else(|| {
            let mut names = String::new();
            for (name, _) in NAMES {
                let _ = write!(names, " {name}");
            }
            format!("`{text}` is no format; they are{names}")
        })
    }
}

/// Reads a whole trace.
///
/// # Errors
/// The file, or its first line that cannot be understood.
pub fn read(path: &Path, format: Format) -> Result<Trace, Unreadable> {
    let shown = path.display().to_string();
    let bytes =
        std::fs::read(path).map_err(|source| Unreadable::File { path: shown.clone(), source })?;
    let name = path.file_name().map_or(shown.clone(), |name| name.to_string_lossy().into_owned());
    let requests = match format {
        Format::Oracle => fixed(&bytes, |record: &[u8; 24]| Request {
            key: u64::from_le_bytes(part(record, 4)),
            size: u32::from_le_bytes(part(record, 12)),
        }),
        Format::Big4 => fixed(&bytes, |key: &[u8; 4]| sizeless(u32::from_be_bytes(*key).into())),
        Format::Big8 => fixed(&bytes, |key: &[u8; 8]| sizeless(u64::from_be_bytes(*key))),
        Format::Little4 => fixed(&bytes, |key: &[u8; 4]| sizeless(u32::from_le_bytes(*key).into())),
        _ => lines(&bytes, format).map_err(|(line, about)| Unreadable::Line {
            path: shown,
            line,
            about,
        })?,
    };
    Ok(Trace::new(name, requests))
}

fn fixed<const N: usize>(bytes: &[u8], one: impl Fn(&[u8; N]) -> Request) -> Vec<Request> {
    bytes.as_chunks::<N>().0.iter().map(one).collect()
}

fn part<const N: usize>(record: &[u8; 24], at: usize) -> [u8; N] {
    std::array::from_fn(|i| record[at + i])
}

fn sizeless(key: u64) -> Request {
    Request { key, size: SIZE }
}

fn lines(bytes: &[u8], format: Format) -> Result<Vec<Request>, (usize, &'static str)> {
    let mut requests = Vec::new();
    for (number, line) in String::from_utf8_lossy(bytes).lines().enumerate() {
        let text = line.trim();
        let heading = number == 0 && text.starts_with(|c: char| c.is_alphabetic());
        if text.is_empty() || text.starts_with(['#', '*']) || (heading && format != Format::Log) {
            continue;
        }
        let done = match format {
            Format::Csv => csv(text, &mut requests),
            Format::Cdn => cdn(text, &mut requests),
            Format::Arc => arc(text, &mut requests),
            Format::Log => {
                log(text, &mut requests);
                Some(())
            }
            _ => {
                requests.push(sizeless(name(text)));
                Some(())
            }
        };
        done.ok_or((number + 1, "this line is not of its format"))?;
    }
    Ok(requests)
}

fn csv(text: &str, requests: &mut Vec<Request>) -> Option<()> {
    let columns: Vec<&str> = text.split(',').map(str::trim).collect();
    match columns[..] {
        // Twitter: time, key, bytes of key, bytes of value, client, operation, lifetime.
        [_, key, key_size, size, _, operation, _] => {
            if operation.starts_with("get") {
                let size = key_size.parse::<u32>().ok()? + size.parse::<u32>().ok()?;
                requests.push(Request { key: name(key), size });
            }
        }
        [_, key, size, ..] => requests.push(Request { key: name(key), size: size.parse().ok()? }),
        _ => return None,
    }
    Some(())
}

fn cdn(text: &str, requests: &mut Vec<Request>) -> Option<()> {
    let mut columns = text.split_ascii_whitespace().skip(1);
    let (key, size) = (columns.next()?, columns.next()?);
    let size = size.parse::<u64>().ok()?;
    requests.push(Request { key: name(key), size: u32::try_from(size).unwrap_or(u32::MAX) });
    Some(())
}

fn arc(text: &str, requests: &mut Vec<Request>) -> Option<()> {
    let mut columns = text.split_ascii_whitespace();
    let first: u64 = columns.next()?.parse().ok()?;
    let count: u64 = columns.next()?.parse().ok()?;
    requests.extend((first..first + count).map(|key| Request { key, size: 512 }));
    Some(())
}

/// `… "GET /path HTTP/1.1" 200 1234 …`; other lines are not for a cache.
fn log(text: &str, requests: &mut Vec<Request>) {
    let mut quoted = text.split('"').skip(1);
    let (Some(request), Some(after)) = (quoted.next(), quoted.next()) else { return };
    let mut after = after.split_ascii_whitespace();
    let (status, size) = (after.next(), after.next().and_then(|size| size.parse().ok()));
    if let (Some(target), Some("200"), Some(size)) = (request.strip_prefix("GET "), status, size) {
        let path = target.split(' ').next().unwrap_or(target);
        requests.push(Request { key: name(path), size });
    }
}

/// A key by its text: the number it is, or a hash (FNV-1a).
fn name(text: &str) -> u64 {
    text.parse().unwrap_or_else(|_| {
        text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    })
}
