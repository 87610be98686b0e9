//! Requests out of an access log: ours (JSON) or the common and combined formats.
//!
//! Pure: lines in, [`Entry`]s out. What a line does not tell, it does not make up: a line that cannot
//! be read is counted and left out.

use std::time::Duration;

/// One logged request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Since 1970, as far as the log tells.
    pub at: Option<Duration>,
    /// Its method.
    pub method: String,
    /// Path and query.
    pub target: String,
}

/// Reads one line.
pub fn entry(line: &str) -> Option<Entry> {
    let line = line.trim();
    let entry = if line.starts_with('{') { json(line) } else { common(line) }?;
    // An absolute target is asked for by its path; other forms (`*`, authority) are nobody's page.
    let target = match entry.target.split_once("://") {
        Some((_, rest)) => rest.find('/').map(|at| rest[at..].to_owned())?,
        None => entry.target,
    };
    let legal =
        target.starts_with('/') && target.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    legal.then_some(Entry { target, ..entry })
}

fn json(line: &str) -> Option<Entry> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let text = |name: &str| line.get(name)?.as_str();
    let at = text("time").and_then(rfc3339);
    Some(Entry { at, method: text("method")?.to_owned(), target: text("target")?.to_owned() })
}

/// `HOST - USER [10/Oct/2000:13:55:36 -0700] "GET /a HTTP/1.0" 200 2326 ...`
fn common(line: &str) -> Option<Entry> {
    let (_, rest) = line.split_once('[')?;
    let (time, rest) = rest.split_once(']')?;
    let request = rest.split('"').nth(1)?;
    let mut words = request.split(' ');
    let (method, target) = (words.next()?, words.next()?);
    let is_method = !method.is_empty() && method.bytes().all(|b| b.is_ascii_alphabetic());
    let entry =
        || Entry { at: clf_time(time), method: method.to_owned(), target: target.to_owned() };
    is_method.then(entry)
}

/// `2026-11-24T15:40:37.123Z`, or with an offset.
pub(crate) fn rfc3339(text: &str) -> Option<Duration> {
    let (date, rest) = text.split_once('T')?;
    let mut date = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let days = days(date.next()??, date.next()??, date.next()??)?;
    let zone = rest.find(['Z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone);
    let (whole, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let fraction: f64 = format!("0.{fraction}").parse().ok()?;
    let seconds = days * 86_400 + clock_seconds(whole)? - offset(&zone.replace(':', ""))?;
    Some(Duration::from_secs(u64::try_from(seconds).ok()?) + Duration::from_secs_f64(fraction))
}

/// `10/Oct/2000:13:55:36 -0700`
fn clf_time(text: &str) -> Option<Duration> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let (moment, zone) = text.split_once(' ')?;
    let (date, clock) = moment.split_once(':')?;
    let mut date = date.splitn(3, '/');
    let day = date.next()?.parse().ok()?;
    let month = MONTHS.find(date.next().filter(|month| month.len() == 3)?)?;
    let month = i64::try_from(month / 3 + 1).ok()?;
    let days = days(date.next()?.parse().ok()?, month, day)?;
    let seconds = days * 86_400 + clock_seconds(clock)? - offset(zone)?;
    Some(Duration::from_secs(u64::try_from(seconds).ok()?))
}

fn clock_seconds(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':').map(|part| part.parse::<u8>().ok());
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    (hour < 24 && minute < 60 && second < 61)
        .then(|| i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second))
}

/// `Z` or `+0530`, in seconds east.
fn offset(zone: &str) -> Option<i64> {
    if zone == "Z" {
        return Some(0);
    }
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits = zone.get(1..5)?;
    let number: i64 = digits.parse().ok()?;
    Some(sign * (number / 100 * 3_600 + number % 100 * 60))
}

/// Days since 1970 of a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1970..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Years are counted from March, so that a leap day comes last.
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468)
}

/// When each request came, since the first, `factor` times as fast; in order. Whole seconds are
/// spread by `draw`, numbers from 0 to 1, for a log that tells seconds alone.
pub fn offsets(times: &[Duration], factor: f64, mut draw: impl FnMut() -> f64) -> Vec<Duration> {
    let whole = times.iter().all(|time| time.subsec_nanos() == 0);
    let mut spread: Vec<f64> =
        times.iter().map(|time| time.as_secs_f64() + if whole { draw() } else { 0.0 }).collect();
    spread.sort_unstable_by(f64::total_cmp);
    let first = spread.first().copied().unwrap_or(0.0);
    spread.iter().map(|time| Duration::from_secs_f64((time - first) / factor)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLF: &str =
        r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif?b=c HTTP/1.0" 200 2326"#;
    const OURS: &str = r#"{"time":"2026-11-24T15:40:37.250Z","client":"127.0.0.1","method":"GET","host":"shop.test","target":"/home","status":200}"#;

    #[test]
    fn every_format_tells_method_target_and_time() {
        let found = entry(CLF).unwrap();
        assert_eq!((found.method.as_str(), found.target.as_str()), ("GET", "/a.gif?b=c"));
        assert_eq!(found.at, Some(Duration::from_secs(971_211_336)));
        let combined = format!("{CLF} \"http://from.test/\" \"Mozilla/4.08 [en] (Win98)\"");
        assert_eq!(entry(&combined), Some(found));
        let ours = entry(OURS).unwrap();
        assert_eq!((ours.method.as_str(), ours.target.as_str()), ("GET", "/home"));
        assert_eq!(ours.at, Some(Duration::from_millis(1_795_534_837_250)));
    }

    #[test]
    fn what_is_no_request_is_left_out() {
        for line in [
            "",
            "#Fields: date time",
            "{}",
            "{\"method\":\"GET\"",
            r#"h - - [10/Oct/2000:13:55:36 -0700] "\x16\x03\x01" 400 0"#,
            r#"h - - [10/Oct/2000:13:55:36 -0700] "-" 408 0"#,
            r#"h - - [10/Oct/2000:13:55:36 -0700] "OPTIONS * HTTP/1.1" 200 0"#,
        ] {
            assert_eq!(entry(line), None, "{line}");
        }
        let absolute = entry(r#"h - - [x] "GET http://a.test/b?c HTTP/1.1" 200 0"#).unwrap();
        assert_eq!((absolute.target.as_str(), absolute.at), ("/b?c", None));
    }

    #[test]
    fn offsets_of_time_are_known() {
        let at = |text| rfc3339(text).map(|time| time.as_secs());
        assert_eq!(at("2000-02-29T00:00:00Z"), Some(951_782_400));
        assert_eq!(at("2000-02-29T01:30:00+01:30"), Some(951_782_400));
        assert_eq!(at("2000-13-01T00:00:00Z"), None);
        assert_eq!(at("yesterday"), None);
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in "\\PC{0,80}", tail in "\\PC{0,40}") {
            let _either = entry(&line);
            let _either = entry(&format!("{{{line}"));
            let _either = entry(&format!("h [{line}] \"GET {tail} HTTP/1.1\" 200"));
            let _either = rfc3339(&format!("2000-01-01T{line}"));
        }

        /// Arrivals begin at zero, are in order, and take a factor less time.
        #[test]
        fn arrivals_are_scaled(seconds in proptest::collection::vec(1_000_u64..2_000, 1..50), factor in 0.1..10.0_f64) {
            let times: Vec<Duration> = seconds.iter().map(|s| Duration::from_millis(s * 10 + 1)).collect();
            let offsets = offsets(&times, factor, || 0.5);
            let span = (seconds.iter().max().unwrap() - seconds.iter().min().unwrap()) as f64 / 100.0;
            prop_assert!(offsets.is_sorted() && offsets[0].is_zero());
            prop_assert!((offsets[offsets.len() - 1].as_secs_f64() - span / factor).abs() < 1e-3);
        }
    }
}
