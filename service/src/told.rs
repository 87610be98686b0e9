//! What a server says of its own time: the field `Server-Timing` (W3C, Server Timing).
//!
//! Parts are known by their names: what is called after a database is the database's, what is called
//! after a cache is the cache's. Whatever else there is, and totals, stay with the server.

use std::time::Duration;

/// Longest part that is believed: an hour.
const PART_MS_MAX: f64 = 3_600_000.0;
/// Most parts that are read.
const PARTS_MAX: usize = 32;

/// How long its parts took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// Its database.
    pub db: Duration,
    /// Its cache.
    pub cache: Duration,
}

const DB: [&[u8]; 9] =
    [b"db", b"sql", b"database", b"postgres", b"mysql", b"mongo", b"query", b"queries", b"dbquery"];
const CACHE: [&[u8]; 4] = [b"cache", b"redis", b"memcached", b"memcache"];

/// Reads all lines of the field. Parts of one name add up.
pub fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Told {
    let mut told = Told::default();
    for part in lines.flat_map(parts).take(PARTS_MAX) {
        let mut pieces = split(part, b';').map(<[u8]>::trim_ascii);
        let name = pieces.next().unwrap_or_default();
        let is = |names: &[&[u8]]| names.iter().any(|known| starts_with_word(name, known));
        let sum = if is(&DB) {
            &mut told.db
        } else if is(&CACHE) {
            &mut told.cache
        } else {
            continue;
        };
        *sum = sum.saturating_add(pieces.find_map(duration).unwrap_or_default());
    }
    told
}

/// `db`, `db-read` and `db.users`, but not `dbus`.
fn starts_with_word(name: &[u8], word: &[u8]) -> bool {
    let Some((start, rest)) = name.split_at_checked(word.len()) else { return false };
    start.eq_ignore_ascii_case(word) && !rest.first().is_some_and(u8::is_ascii_alphabetic)
}

/// The list's members: commas in quotes do not part them.
fn parts(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    split(line, b',').map(<[u8]>::trim_ascii)
}

fn split(text: &[u8], at: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    text.split(move |b| {
        let was_escaped = std::mem::take(&mut escaped);
        match b {
            b'\\' if quoted && !was_escaped => escaped = true,
            b'"' if !was_escaped => quoted = !quoted,
            _ => {}
        }
        *b == at && !quoted
    })
}

/// `dur=53.2`, in milliseconds.
fn duration(piece: &[u8]) -> Option<Duration> {
    let (name, value) = piece.split_at_checked(3)?;
    if !name.eq_ignore_ascii_case(b"dur") {
        return None;
    }
    let value = value.trim_ascii_start().strip_prefix(b"=")?.trim_ascii();
    let value = value.strip_prefix(b"\"").and_then(|v| v.strip_suffix(b"\"")).unwrap_or(value);
    let ms: f64 = std::str::from_utf8(value).ok()?.parse().ok()?;
    (0.0..=PART_MS_MAX).contains(&ms).then(|| Duration::from_secs_f64(ms / 1e3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_known_by_their_names() {
        let check = |lines: &[&str]| {
            let told = read(lines.iter().map(|line| line.as_bytes()));
            (told.db.as_micros(), told.cache.as_micros())
        };
        assert_eq!(check(&["db;dur=53, app;dur=47.2"]), (53_000, 0));
        assert_eq!(check(&["DB;desc=\"a, b;dur=9\";dur=1.5", "redis;dur=0.25"]), (1_500, 250));
        assert_eq!(check(&["db-read;dur=1, db.write;dur=2, dbus;dur=4"]), (3_000, 0));
        assert_eq!(check(&["cache;desc=HIT, total;dur=12"]), (0, 0));
        assert_eq!(check(&["db;dur=-1, sql;dur=NaN, db;dur=inf, db;dur=1e99, db;dur"]), (0, 0));
        assert_eq!(check(&["db;dur=\"7\""]), (7_000, 0));
        assert_eq!(check(&["", ",,;;=", "\"", "db;dur="]), (0, 0));
    }
}
