//! Segments of the cache on disk: whatever the bytes are, what is found lies inside of them, and
//! what was whole before a cut is found behind it.

use base::Wall;
use cache::disk::segment::{self, HEAD, Head, Kind, Row, START, Source, Survey};

/// A segment. The first byte says what is made of the rest: nothing, or records that are then cut.
pub fn segment(data: &[u8]) {
    let Some((&first, rest)) = data.split_first() else { return };
    if first & 1 == 0 {
        inside(rest);
    } else {
        cut(first, rest);
    }
}

/// Surveys bytes and holds the survey to them.
fn inside(bytes: &[u8]) -> Survey {
    let length = bytes.len() as u64;
    let survey = segment::survey(bytes, length).expect("memory is read without errors");
    assert!(survey.end <= length, "records end behind the bytes: {survey:?}");
    let seed = segment::seed_of(bytes, length).expect("memory is read without errors");
    let Some(seed) = seed else {
        assert_eq!(survey, Survey::default(), "records in what is no segment");
        return survey;
    };
    for row in &survey.rows {
        let start = segment::start_of(row.offset);
        let size = segment::size_of_record(row.length as usize);
        assert!(start + size <= survey.end, "{row:?} ends behind {}", survey.end);
        if !survey.listed {
            let mut head = [0; HEAD];
            bytes.fill(&mut head, start).expect("it is inside");
            let head = Head::read(&head, seed).expect("walked heads are whole");
            assert_eq!((head.key, head.length), (row.key, row.length));
        }
    }
    survey
}

/// Records of the bytes' making, sealed or not, and cut or broken where the bytes say.
fn cut(first: u8, data: &[u8]) {
    let seed = 7;
    let mut bytes = segment::start_with(seed).to_vec();
    assert_eq!(bytes.len(), START);
    let mut rows = Vec::new();
    let values = data.get(4..).unwrap_or_default().split(|byte| *byte == b'\n');
    for (key, value) in (1..).zip(values.take(64)) {
        let offset = (bytes.len() as u64 / segment::UNIT) as u32;
        let kind = if value == b"-" { Kind::Mark } else { Kind::Value };
        let value = if kind == Kind::Mark { &[] } else { value };
        segment::append(&mut bytes, seed, kind, key, Wall(key as u64), value);
        let length = value.len() as u32;
        rows.push(Row { kind, key, expiry: Wall(key as u64), offset, length });
    }
    let end = bytes.len() as u64;
    let sealed = first & 2 != 0;
    if sealed {
        bytes.extend(segment::list_of(&rows, end, seed));
    }
    assert_eq!(inside(&bytes), Survey { rows: rows.clone(), end, listed: sealed });
    let at = data.first_chunk().map_or(0, |at| u32::from_le_bytes(*at) as usize) % bytes.len();
    if first & 4 != 0 {
        bytes[at] ^= first | 1;
        let found = inside(&bytes).rows;
        assert!(rows.starts_with(&found), "a broken byte made other records");
    } else {
        bytes.truncate(at);
        let found = inside(&bytes).rows;
        let whole = |row: &&Row| {
            segment::start_of(row.offset) + segment::size_of_record(row.length as usize)
                <= at as u64
        };
        assert_eq!(found, rows.iter().filter(whole).copied().collect::<Vec<_>>());
    }
}
