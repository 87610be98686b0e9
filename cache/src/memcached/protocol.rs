//! Memcached's meta commands as bytes, and their answers (doc/protocol.txt, "Meta Commands").
//!
//! Answers come in the order of questions, so a connection needs no numbers.

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// `VA`: a value, and its unique number if that was asked for.
    Value(Vec<u8>, Option<u64>),
    /// `HD`: done.
    Done,
    /// `EN`, `NF`: there is none.
    None,
    /// `NS`, `EX`: a condition was not met.
    Not,
    /// `MN`: the server lives.
    Alive,
    /// The server cannot.
    Error(String),
}

/// Why a stream of answers cannot be followed any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Garbled;

const LINE_MAX: usize = 2_048;

/// Reads a value.
pub(crate) fn get(key: &str) -> Vec<u8> {
    format!("mg {key} v\r\n").into_bytes()
}

/// Reads a value and its unique number.
pub(crate) fn get_unique(key: &str) -> Vec<u8> {
    format!("mg {key} v c\r\n").into_bytes()
}

/// When a value is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    Always,
    Absent,
    Still(u64),
}

/// Stores a value for so many seconds; 0 is for ever.
pub(crate) fn set(key: &str, value: &[u8], seconds: u32, when: When) -> Vec<u8> {
    let when = match when {
        When::Always => String::new(),
        When::Absent => " ME".to_owned(),
        When::Still(unique) => format!(" C{unique}"),
    };
    let mut command = format!("ms {key} {} T{seconds}{when}\r\n", value.len()).into_bytes();
    command.extend_from_slice(value);
    command.extend_from_slice(b"\r\n");
    command
}

/// Removes a value.
pub(crate) fn delete(key: &str) -> Vec<u8> {
    format!("md {key}\r\n").into_bytes()
}

/// Adds one to a number that begins with `start`, and reads it.
pub(crate) fn count(key: &str, start: u64) -> Vec<u8> {
    format!("ma {key} N0 J{start} v\r\n").into_bytes()
}

/// Does the server live?
pub(crate) fn ping() -> Vec<u8> {
    b"mn\r\n".to_vec()
}

/// The first answer in `bytes` and its length; `None` while it is not whole.
pub(crate) fn reply(bytes: &[u8], value_max: usize) -> Result<Option<(Reply, usize)>, Garbled> {
    let Some(end) = memchr::memchr(b'\n', bytes) else {
        return if bytes.len() > LINE_MAX { Err(Garbled) } else { Ok(None) };
    };
    let line = bytes.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Garbled)?;
    let line = std::str::from_utf8(line).map_err(|_| Garbled)?;
    let mut words = line.split(' ');
    let reply = match words.next() {
        Some("VA") => return value(words, bytes, end + 1, value_max),
        Some("HD") => Reply::Done,
        Some("EN" | "NF") => Reply::None,
        Some("NS" | "EX") => Reply::Not,
        Some("MN") => Reply::Alive,
        Some("SERVER_ERROR") => Reply::Error(line.to_owned()),
        // The server did not understand us: what follows cannot be matched with questions.
        _ => return Err(Garbled),
    };
    Ok(Some((reply, end + 1)))
}

fn value<'a>(
    mut words: impl Iterator<Item = &'a str>,
    bytes: &[u8],
    start: usize,
    value_max: usize,
) -> Result<Option<(Reply, usize)>, Garbled> {
    let size: usize = words.next().and_then(|word| word.parse().ok()).ok_or(Garbled)?;
    if size > value_max {
        return Err(Garbled);
    }
    let Some(rest) = bytes.get(start..start + size + 2) else { return Ok(None) };
    let (value, end) = rest.split_at(size);
    if end != b"\r\n" {
        return Err(Garbled);
    }
    let unique = words.find_map(|word| word.strip_prefix('c')?.parse().ok());
    Ok(Some((Reply::Value(value.to_vec(), unique), start + size + 2)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(bytes: &str, expected: Result<Option<(Reply, usize)>, Garbled>) {
        assert_eq!(reply(bytes.as_bytes(), 100), expected, "{bytes:?}");
    }

    #[test]
    fn answers_are_read() {
        check("VA 2 c17\r\nhi\r\nHD\r\n", Ok(Some((Reply::Value(b"hi".into(), Some(17)), 14))));
        check("VA 2\r\n\r\n\r\n", Ok(Some((Reply::Value(b"\r\n".into(), None), 10))));
        check("HD\r\n", Ok(Some((Reply::Done, 4))));
        check("EN\r\n", Ok(Some((Reply::None, 4))));
        check("NS\r\n", Ok(Some((Reply::Not, 4))));
        check("MN\r\n", Ok(Some((Reply::Alive, 4))));
        check("SERVER_ERROR no\r\n", Ok(Some((Reply::Error("SERVER_ERROR no".into()), 17))));
        for part in ["", "V", "VA 2\r", "VA 2\r\nhi", "VA 2\r\nhi\r"] {
            check(part, Ok(None));
        }
        for bad in ["VA\r\n", "VA x\r\n", "VA 101\r\n", "VA 2\r\nhixx", "ERROR\r\n", "\n", "HD\n"] {
            check(bad, Err(Garbled));
        }
    }

    proptest! {
        #[test]
        fn junk_never_panics(junk in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(Some((_, length))) = reply(&junk, 1_000) { prop_assert!(length <= junk.len()); }
        }
    }
}
