//! Parts of a line of the access log. Nothing here goes through `std::fmt`: on the path of every
//! request it would cost more than all the rest of a line.

use base::Moment;
use std::cell::Cell;
use std::time::Duration;

/// Appends `"name":"text",` with the text escaped as JSON wants it; bytes that are not UTF-8 are
/// replaced.
pub fn text(line: &mut Vec<u8>, name: &str, text: &[u8]) {
    key(line, name);
    line.push(b'"');
    escape(line, text);
    line.extend_from_slice(b"\",");
}

/// Appends `"name":value,`.
pub fn number(line: &mut Vec<u8>, name: &str, value: u64) {
    key(line, name);
    digits(line, value);
    line.push(b',');
}

/// Appends `"name":true,` or false.
pub fn truth(line: &mut Vec<u8>, name: &str, value: bool) {
    key(line, name);
    line.extend_from_slice(if value { b"true," } else { b"false," });
}

/// Appends `"name":47.213,`: milliseconds, exact to the microsecond.
pub fn time(line: &mut Vec<u8>, name: &str, value: Duration) {
    key(line, name);
    millis(line, value);
    line.push(b',');
}

/// Appends `"name":"0af7…",`: as many hexadecimal digits.
pub fn id(line: &mut Vec<u8>, name: &str, value: u128, length: usize) {
    key(line, name);
    line.push(b'"');
    let start = line.len();
    line.resize(start + length, b'0');
    crate::trace::hex(&mut line[start..], value);
    line.extend_from_slice(b"\",");
}

/// Appends `"name":`.
pub fn key(line: &mut Vec<u8>, name: &str) {
    line.push(b'"');
    line.extend_from_slice(name.as_bytes());
    line.extend_from_slice(b"\":");
}

/// Appends milliseconds with as many of three decimals as it takes.
pub fn millis(line: &mut Vec<u8>, value: Duration) {
    let micros = (value.as_nanos() as u64).saturating_add(500) / 1_000;
    digits(line, micros / 1_000);
    let mut rest = micros % 1_000;
    if rest == 0 {
        return;
    }
    line.push(b'.');
    let mut scale = 100;
    while rest > 0 {
        line.push(b'0' + (rest / scale) as u8);
        rest %= scale;
        scale /= 10;
    }
}

/// Appends a whole number.
pub fn digits(line: &mut Vec<u8>, mut value: u64) {
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 {
            break;
        }
    }
    line.extend_from_slice(&text[at..]);
}

fn escape(line: &mut Vec<u8>, text: &[u8]) {
    let plain = |b: &u8| (0x20..0x7f).contains(b) && *b != b'"' && *b != b'\\';
    // All of it, without a way out: then it is done many bytes at a time.
    if text.iter().fold(true, |all, b| all & plain(b)) {
        line.extend_from_slice(text);
        return;
    }
    for c in String::from_utf8_lossy(text).chars() {
        match c {
            '"' | '\\' => line.extend_from_slice(&[b'\\', c as u8]),
            c if c.is_control() => {
                line.extend_from_slice(b"\\u");
                let start = line.len();
                line.resize(start + 4, b'0');
                crate::trace::hex(&mut line[start..], u128::from(u32::from(c)));
            }
            c => line.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// A day and a time of it, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Date {
    /// The year, of our era.
    pub year: u64,
    /// The month, from 1.
    pub month: u64,
    /// The day, from 1.
    pub day: u64,
    /// Hour, minute and second.
    pub time: [u64; 3],
}

impl Date {
    /// Of seconds since 1970. The algorithm is Howard Hinnant's "chrono-compatible low-level date
    /// algorithms", `civil_from_days`.
    pub const fn of(seconds: u64) -> Self {
        let time = [seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60];
        let days = seconds / 86_400 + 719_468;
        let era = days / 146_097;
        let day_of_era = days % 146_097;
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
        Self { year, month, day, time }
    }
}

thread_local! {
    /// The last second that a time was written of, in both ways.
    static SECOND: Cell<(u64, [u8; 24], [u8; 26])> =
        const { Cell::new((u64::MAX, [0; 24], [0; 26])) };
}

const MONTHS: &[u8; 36] = b"JanFebMarAprMayJunJulAugSepOctNovDec";

fn written(seconds: u64) -> ([u8; 24], [u8; 26]) {
    let (last, iso, clf) = SECOND.get();
    if last == seconds {
        return (iso, clf);
    }
    let Date { year, month, day, time: [hour, minute, second] } = Date::of(seconds);
    let mut iso = *b"0000-00-00T00:00:00.000Z";
    let mut clf = *b"00/Jan/0000:00:00:00 +0000";
    for (at, value) in [(5, month), (8, day), (11, hour), (14, minute), (17, second)] {
        put(&mut iso[at..at + 2], value);
    }
    put(&mut iso[..4], year);
    for (at, value) in [(0, day), (12, hour), (15, minute), (18, second)] {
        put(&mut clf[at..at + 2], value);
    }
    put(&mut clf[7..11], year);
    let name = (month as usize - 1) * 3;
    clf[3..6].copy_from_slice(&MONTHS[name..name + 3]);
    SECOND.set((seconds, iso, clf));
    (iso, clf)
}

/// Writes a number into all of a space.
fn put(space: &mut [u8], mut value: u64) {
    for digit in space.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
}

/// `2026-11-24T05:35:47.123Z` (RFC 3339).
pub fn timestamp(moment: Moment) -> [u8; 24] {
    let wall = moment.wall_ms();
    let (mut iso, _) = written(wall.seconds());
    put(&mut iso[20..23], wall.0 % 1_000);
    iso
}

/// `24/Nov/2026:05:35:47 +0000`, as NCSA's formats have it.
pub fn common_time(moment: Moment) -> [u8; 26] {
    written(moment.wall_ms().seconds()).1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(make: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut line = Vec::new();
        make(&mut line);
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn numbers_are_written_as_they_are() {
        for value in [0, 7, 10, 99, 100, 12_345, u64::MAX] {
            assert_eq!(made(|line| digits(line, value)), value.to_string());
        }
        for (nanos, text) in [
            (0, "0"),
            (499, "0"),
            (500, "0.001"),
            (999_999, "1"),
            (1_050_000, "1.05"),
            (47_213_400, "47.213"),
            (40_200_000_000, "40200"),
        ] {
            assert_eq!(made(|line| millis(line, Duration::from_nanos(nanos))), text);
        }
    }

    #[test]
    fn texts_are_json() {
        for bytes in [
            &b"plain"[..],
            b"",
            b"\"quoted\\\"",
            b"a\r\nb\x00\x1b[31m\x7f",
            "gr\u{fc}n \u{2028} \u{85}".as_bytes(),
            b"\xff\xc3",
        ] {
            let line = made(|line| text(line, "a", bytes));
            let json = format!("{{{}}}", line.trim_end_matches(','));
            let value: serde_json::Value = serde_json::from_str(&json).expect(&json);
            assert_eq!(value["a"], *String::from_utf8_lossy(bytes));
            assert!(!line.chars().any(char::is_control), "{line:?}");
        }
        assert_eq!(made(|line| id(line, "a", 0xabc, 16)), r#""a":"0000000000000abc","#);
    }

    #[test]
    fn times_are_written_in_both_ways() {
        for (seconds, iso, clf) in [
            (0, "1970-01-01T00:00:00", "01/Jan/1970:00:00:00 +0000"),
            (784_111_777, "1994-11-06T08:49:37", "06/Nov/1994:08:49:37 +0000"),
            (951_782_400, "2000-02-29T00:00:00", "29/Feb/2000:00:00:00 +0000"),
            (1_735_689_599, "2024-12-31T23:59:59", "31/Dec/2024:23:59:59 +0000"),
            (4_107_542_400, "2100-03-01T00:00:00", "01/Mar/2100:00:00:00 +0000"),
        ] {
            let (found, common) = written(seconds);
            assert_eq!(&found[..19], iso.as_bytes());
            assert_eq!(common, clf.as_bytes());
        }
        let text = timestamp(Moment::now());
        assert!(text.starts_with(b"20") && text[19] == b'.' && text[23] == b'Z', "{text:?}");
    }
}
