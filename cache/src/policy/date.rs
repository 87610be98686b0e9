//! Dates of HTTP: the three formats a recipient must read (RFC 9110 §5.6.7), and nothing else.
//!
//! Names of days and months and `GMT` are read in any case, as caches do; every digit, blank and comma
//! must be where the grammar has it. The name of the day is not compared with the date.

use base::Wall;

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];
const DAYS: [&str; 7] =
    ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// A calendar day.
struct Day {
    year: i64,
    /// 0 to 11.
    month: usize,
    date: i64,
}

/// The last second of year 9999: later ones, such as a leap second there, could not be written.
const LAST: i64 = 253_402_300_799;

/// Seconds since 1970 of a date in any of the three formats. Two-digit years that seem to lie more
/// than 50 years after `now` are in the past.
pub fn parse(text: &[u8], now: Wall) -> Option<i64> {
    let comma = text.iter().position(|&b| b == b',');
    match comma {
        Some(3) => imf(text),
        Some(at) => rfc850(text, at, now),
        None => asctime(text),
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf(text: &[u8]) -> Option<i64> {
    if text.len() != 29
        || !is_short_day(&text[..3])
        || !has(text, &[(4, b' '), (7, b' '), (11, b' ')])
    {
        return None;
    }
    let day = Day {
        year: number(&text[12..16])?,
        month: month(&text[8..11])?,
        date: number(&text[5..7])?,
    };
    is_gmt(&text[25..]).then(|| seconds(&day, &text[16..25]))?
}

/// `Sunday, 06-Nov-94 08:49:37 GMT`, its comma at `at`.
fn rfc850(text: &[u8], at: usize, now: Wall) -> Option<i64> {
    let is_day = DAYS.iter().any(|day| text[..at].eq_ignore_ascii_case(day.as_bytes()));
    let rest = &text[at + 1..];
    if !is_day || rest.len() != 23 || !has(rest, &[(0, b' '), (3, b'-'), (7, b'-')]) {
        return None;
    }
    let year = full_year(number(&rest[8..10])?, now);
    let day = Day { year, month: month(&rest[4..7])?, date: number(&rest[1..3])? };
    is_gmt(&rest[19..]).then(|| seconds(&day, &rest[10..19]))?
}

/// `Sun Nov  6 08:49:37 1994`.
fn asctime(text: &[u8]) -> Option<i64> {
    if text.len() != 24
        || !is_short_day(&text[..3])
        || !has(text, &[(3, b' '), (7, b' '), (19, b' ')])
    {
        return None;
    }
    let digits = if text[8] == b' ' { &text[9..10] } else { &text[8..10] };
    let day =
        Day { year: number(&text[20..24])?, month: month(&text[4..7])?, date: number(digits)? };
    seconds(&day, &text[10..19])
}

fn has(text: &[u8], marks: &[(usize, u8)]) -> bool {
    marks.iter().all(|&(at, mark)| text[at] == mark)
}

fn is_gmt(text: &[u8]) -> bool {
    text.eq_ignore_ascii_case(b" gmt")
}

fn is_short_day(text: &[u8]) -> bool {
    DAYS.iter().any(|day| text.eq_ignore_ascii_case(&day.as_bytes()[..3]))
}

fn month(text: &[u8]) -> Option<usize> {
    MONTHS.iter().position(|month| text.eq_ignore_ascii_case(*month))
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
}

/// RFC 9110 §5.6.7: a year that appears to be more than 50 years in the future is the most recent
/// past year with the same digits.
fn full_year(digits: i64, now: Wall) -> i64 {
    let this = year_of((now.seconds() / 86_400).cast_signed());
    let year = this - this % 100 + digits;
    if year > this + 50 { year - 100 } else { year }
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in(year: i64, month: usize) -> i64 {
    match month {
        1 if is_leap(year) => 29,
        1 => 28,
        3 | 5 | 8 | 10 => 30,
        _ => 31,
    }
}

/// Days from 1970 to the first day of this year.
fn days_before(year: i64) -> i64 {
    let leaps = |y: i64| y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400);
    (year - 1970) * 365 + leaps(year - 1) - leaps(1969)
}

fn year_of(days: i64) -> i64 {
    let mut year = 1970 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    year
}

/// ` 08:49:37` on this day. A leap second is read as the one before it would go on.
fn seconds(day: &Day, clock: &[u8]) -> Option<i64> {
    if !has(clock, &[(0, b' '), (3, b':'), (6, b':')]) {
        return None;
    }
    let (hour, minute, second) =
        (number(&clock[1..3])?, number(&clock[4..6])?, number(&clock[7..9])?);
    let is_day = (1..=days_in(day.year, day.month)).contains(&day.date);
    if !is_day || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let months: i64 = (0..day.month).map(|month| days_in(day.year, month)).sum();
    let days = days_before(day.year) + months + day.date - 1;
    Some((days * 86_400 + hour * 3_600 + minute * 60 + second).min(LAST))
}

/// Appends the date of this moment in the preferred format.
pub fn write(at: Wall, out: &mut Vec<u8>) {
    let days = (at.seconds() / 86_400).cast_signed();
    let year = year_of(days);
    let (mut month, mut left) = (0, days - days_before(year));
    while left >= days_in(year, month) {
        left -= days_in(year, month);
        month += 1;
    }
    let clock = at.seconds() % 86_400;
    let capital = |out: &mut Vec<u8>, name: &[u8]| {
        out.push(name[0].to_ascii_uppercase());
        out.extend_from_slice(&name[1..3]);
    };
    // 1970 began on a Thursday.
    capital(out, DAYS[((days.cast_unsigned() + 3) % 7) as usize].as_bytes());
    out.extend_from_slice(b", ");
    two(out, left.cast_unsigned() + 1);
    out.push(b' ');
    capital(out, MONTHS[month]);
    out.push(b' ');
    two(out, year.cast_unsigned() / 100);
    two(out, year.cast_unsigned() % 100);
    for (mark, part) in [(b' ', clock / 3_600), (b':', clock / 60 % 60), (b':', clock % 60)] {
        out.push(mark);
        two(out, part);
    }
    out.extend_from_slice(b" GMT");
}

fn two(out: &mut Vec<u8>, number: u64) {
    out.push(b'0' + (number / 10 % 10) as u8);
    out.push(b'0' + (number % 10) as u8);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_date_is_later_than_can_be_written() {
        let (last, now) = (b"Fri, 31 Dec 9999 23:59:60 gmt", Wall(0));
        assert_eq!(parse(last, now), Some(LAST));
        let mut text = Vec::new();
        write(Wall(LAST.unsigned_abs() * 1_000), &mut text);
        assert_eq!(text, b"Fri, 31 Dec 9999 23:59:59 GMT");
    }
}
