//! What is sent: URLs with weights, a file of them, or an access log, as requests of a [`load::Plan`].
//!
//! Reads the files it is given, and nothing else; the rest is pure.

use super::BenchError;
use super::flags::Flags;
use super::logs;
use bytes::Bytes;
use fastrand::Rng;
use http::{Method, Uri};
use load::Request;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Files larger than this are refused.
const FILE_BYTES_MAX: u64 = 1 << 30;
/// Requests of a file that are sent before it begins again.
const ENTRIES_MAX: usize = 2_000_000;
/// URLs that have a line each in the report; more of them are one.
const KINDS_MAX: usize = 24;

/// Scheme and authority.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Whether by TLS.
    pub tls: bool,
    /// Host and port, as typed.
    pub authority: String,
    /// The host alone, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority)
    }
}

/// A URL: where, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where.
    pub origin: Origin,
    /// Path and query.
    pub path: String,
}

/// What is sent, whatever the pace.
#[derive(Clone, Debug)]
pub struct Source {
    /// Where to; requests refer to it by index.
    pub origins: Vec<Origin>,
    /// The requests.
    pub requests: Vec<Request>,
    /// Their order, if it is given.
    pub sequence: Option<Arc<[(u32, u32)]>>,
    /// When they came, if that is asked for.
    pub times: Option<Arc<[Duration]>>,
    /// What the reader of the report should know.
    pub notes: Vec<String>,
    /// What it is, in short.
    pub name: String,
}

/// Reads a URL.
///
/// # Errors
/// What is wrong with it.
pub fn place(text: &str) -> Result<Place, BenchError> {
    let wrong = |why: &str| BenchError::Url { url: text.to_owned(), why: why.to_owned() };
    let (scheme, rest) =
        text.split_once("://").ok_or_else(|| wrong("a URL begins with http:// or https://"))?;
    let tls = match scheme {
        "http" => false,
        "https" => true,
        _ => return Err(wrong("only http:// and https:// are spoken")),
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.contains('@') {
        return Err(wrong("a name and password go into a field: -H 'Authorization: ...'"));
    }
    let parsed: http::uri::Authority =
        authority.parse().map_err(|_| wrong("its host and port are not legal"))?;
    let digits = parsed.as_str().strip_prefix(parsed.host()).unwrap_or_default();
    let port = match digits.strip_prefix(':') {
        None => {
            if tls {
                443
            } else {
                80
            }
        }
        Some(port) => port
            .parse()
            .ok()
            .filter(|port| *port > 0)
            .ok_or_else(|| wrong("its port is not from 1 to 65535"))?,
    };
    let host = parsed.host().trim_matches(['[', ']']).to_owned();
    if host.is_empty() {
        return Err(wrong("it has no host"));
    }
    let path = path.split('#').next().unwrap_or_default();
    let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
    if Uri::try_from(path.replace("{n}", "1")).is_err() {
        return Err(wrong("its path is not legal; encode what is special as %XX"));
    }
    Ok(Place { origin: Origin { tls, authority: authority.to_owned(), host, port }, path })
}

/// Takes `*3` from the end.
pub fn weighted(text: &str) -> (&str, u32) {
    let split = text.rsplit_once('*');
    let weight = split.and_then(|(url, weight)| Some((url, weight.parse().ok()?)));
    weight.filter(|(_, weight)| (1..=1_000_000).contains(weight)).unwrap_or((text, 1))
}

/// Everything that the flags name, for side A.
///
/// # Errors
/// A URL, file, method, field or weight that cannot be used.
pub fn source(flags: &Flags) -> Result<Source, BenchError> {
    let template = template(flags)?;
    match (&flags.log, &flags.to) {
        (Some(log), Some(to)) => from_log(flags, log, &place(to)?.origin, &template),
        _ => from_urls(flags, &template),
    }
}

/// A request without a path.
fn template(flags: &Flags) -> Result<Request, BenchError> {
    let mut request = Request::get("", 1, Vec::new());
    if let Some(body) = &flags.body {
        request.body = match body.strip_prefix('@') {
            Some(file) => read(Path::new(file))?.into(),
            None => Bytes::from(body.clone()),
        };
        request.method = Method::POST;
    }
    if let Some(method) = &flags.method {
        request.method = Method::from_bytes(method.as_bytes())
            .map_err(|_| BenchError::Mistake(format!("{method:?} is no method")))?;
    }
    for field in &flags.header {
        let (name, value) = field.split_once(':').ok_or_else(|| {
            BenchError::Mistake(format!("-H {field:?}: a field is written as 'Name: value'"))
        })?;
        let legal = http::HeaderName::try_from(name).is_ok()
            && http::HeaderValue::try_from(value.trim()).is_ok();
        let ours = ["content-length", "transfer-encoding", "connection"];
        if !legal || ours.iter().any(|own| name.eq_ignore_ascii_case(own)) {
            let why = if legal { "bench says that itself" } else { "no legal field" };
            return Err(BenchError::Mistake(format!("-H {field:?}: {why}")));
        }
        request.fields.push((name.to_owned(), value.trim().to_owned()));
    }
    request.expected.clone_from(&flags.expect);
    Ok(request)
}

fn from_urls(flags: &Flags, template: &Request) -> Result<Source, BenchError> {
    let mut list: Vec<(Place, u32)> = Vec::new();
    if let Some(file) = &flags.urls {
        let text = text(file)?;
        let lines = text.lines().map(str::trim).enumerate();
        for (index, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            let (url, weight) = weighted(line);
            let url = match &flags.to {
                Some(to) if url.starts_with('/') => format!("{}{url}", place(to)?.origin),
                _ => url.to_owned(),
            };
            let here =
                |error| BenchError::Mistake(format!("{}:{}: {error}", file.display(), index + 1));
            list.push((place(&url).map_err(here)?, weight));
        }
        if list.is_empty() {
            return Err(BenchError::Mistake(format!("{} names no URL", file.display())));
        }
    } else {
        for url in flags.a.iter().chain(&flags.targets) {
            let (url, weight) = weighted(url);
            list.push((place(url)?, weight));
        }
    }
    if !flags.weight.is_empty() {
        if flags.weight.len() != list.len() || flags.weight.contains(&0) {
            let counts = format!("{} weights for {} URLs", flags.weight.len(), list.len());
            return Err(BenchError::Mistake(format!("{counts}: each URL has one, from 1 on")));
        }
        list.iter_mut().zip(&flags.weight).for_each(|(item, weight)| item.1 = *weight);
    }
    let mut origins = Vec::new();
    let mut index = |origin: &Origin| {
        origins.iter().position(|known| known == origin).unwrap_or_else(|| {
            origins.push(origin.clone());
            origins.len() - 1
        })
    };
    let name = match list.as_slice() {
        [(one, _)] => format!("{}{}", one.origin, one.path),
        _ => format!("{} URLs", list.len()),
    };
    let made = list.iter().map(|(place, weight)| Request {
        name: format!("{}{}", place.origin, place.path),
        weight: *weight,
        paths: vec![place.path.clone()],
        target: Some(index(&place.origin)),
        ..template.clone()
    });
    let requests: Vec<Request> = made.collect();
    let many = requests.len() > KINDS_MAX;
    let (requests, sequence) =
        if many { together(requests, flags.seed)? } else { (requests, None) };
    Ok(Source { origins, requests, sequence, times: None, notes: Vec::new(), name })
}

type Sequence = Option<Arc<[(u32, u32)]>>;

/// Too many URLs for a line each: one kind for each origin, their weights kept by the sequence.
fn together(requests: Vec<Request>, seed: u64) -> Result<(Vec<Request>, Sequence), BenchError> {
    let mut kinds: Vec<Request> = Vec::new();
    let mut sequence = Vec::new();
    for mut request in requests {
        let kind = kinds.iter().position(|kind| kind.target == request.target);
        let kind = kind.unwrap_or_else(|| {
            kinds.push(Request { name: "all".to_owned(), paths: Vec::new(), ..request.clone() });
            kinds.len() - 1
        });
        let paths = &mut kinds[kind].paths;
        paths.append(&mut request.paths);
        let pick = (kind as u32, paths.len() as u32 - 1);
        sequence.extend(std::iter::repeat_n(pick, request.weight as usize));
        if sequence.len() > ENTRIES_MAX {
            let why = format!("the weights add up to more than {ENTRIES_MAX}; make them smaller");
            return Err(BenchError::Mistake(why));
        }
    }
    Rng::with_seed(seed).shuffle(&mut sequence);
    Ok((kinds, Some(sequence.into())))
}

fn from_log(
    flags: &Flags,
    file: &Path,
    to: &Origin,
    template: &Request,
) -> Result<Source, BenchError> {
    let text = text(file)?;
    let (mut unread, mut changing) = (0_u64, 0_u64);
    let mut kinds: Vec<Request> = Vec::new();
    let mut known: HashMap<(Method, String), (u32, u32)> = HashMap::new();
    let (mut sequence, mut times) = (Vec::new(), Vec::new());
    let mut entries: Vec<logs::Entry> = Vec::new();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        match logs::entry(line) {
            Some(entry) if flags.any_method || ["GET", "HEAD"].contains(&&*entry.method) => {
                entries.push(entry);
            }
            Some(_) => changing += 1,
            None => unread += 1,
        }
        if entries.len() == ENTRIES_MAX {
            break;
        }
    }
    // A line is written when its request has ended; they began in another order.
    entries.sort_by_key(|entry| entry.at);
    for entry in entries {
        // A log may hold what a strict client cannot send.
        let method = Method::from_bytes(entry.method.as_bytes());
        let (Ok(method), true) = (method, Uri::try_from(&*entry.target).is_ok()) else {
            unread += 1;
            continue;
        };
        times.extend(entry.at);
        let pick = *known.entry((method, entry.target)).or_insert_with_key(|(method, target)| {
            let kind = kinds.iter().position(|kind| kind.method == *method);
            let kind = kind.unwrap_or_else(|| {
                let (name, method) = (method.to_string(), method.clone());
                kinds.push(Request { name, method, ..template.clone() });
                kinds.len() - 1
            });
            kinds[kind].paths.push(target.clone());
            (kind as u32, kinds[kind].paths.len() as u32 - 1)
        });
        sequence.push(pick);
    }
    let shown = file.display();
    if sequence.is_empty() {
        let why = format!(
            "{shown} holds no request to send ({unread} lines not understood, {changing} of other \
             methods than GET and HEAD)\nhint: our JSON log, the common and the combined format are \
             read; --any-method sends all methods"
        );
        return Err(BenchError::Mistake(why));
    }
    let mut notes = vec![format!(
        "from {shown}: {} requests of {} different ones; left out: {changing} of other methods, \
         {unread} lines not understood",
        sequence.len(),
        known.len()
    )];
    let recorded = match flags.recorded {
        Some(factor) => Some(arrivals(flags, factor, &times, sequence.len(), &mut notes)?),
        None => None,
    };
    let (requests, sequence) = (kinds, Some(sequence.into()));
    let name = format!("{} at {to}", file.file_name().unwrap_or_default().to_string_lossy());
    Ok(Source { origins: vec![to.clone()], requests, sequence, times: recorded, notes, name })
}

fn arrivals(
    flags: &Flags,
    factor: f64,
    times: &[Duration],
    requests: usize,
    notes: &mut Vec<String>,
) -> Result<Arc<[Duration]>, BenchError> {
    if !(factor > 0.0 && factor <= 1e6) {
        return Err(BenchError::Mistake("--recorded: a factor is above 0".to_owned()));
    }
    if times.len() < requests {
        let why = "the log does not tell when its requests came; leave --recorded out".to_owned();
        return Err(BenchError::Mistake(why));
    }
    if times.iter().all(|time| time.subsec_nanos() == 0) {
        notes.push("the log tells whole seconds: arrivals are spread within them by chance".into());
    }
    let mut rng = Rng::with_seed(flags.seed);
    Ok(logs::offsets(times, factor, || rng.f64()).into())
}

fn read(file: &Path) -> Result<Vec<u8>, BenchError> {
    let wrong = |source| BenchError::File { file: file.to_owned(), source };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(wrong)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        let why = format!("{} is larger than 1 GiB; send a part of it", file.display());
        return Err(BenchError::Mistake(why));
    }
    Ok(bytes)
}

fn text(file: &Path) -> Result<String, BenchError> {
    let bytes = read(file)?;
    Ok(String::from_utf8(bytes)
        .unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
}

#[cfg(test)]
mod tests;
