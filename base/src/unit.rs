//! Durations and sizes as people write them: `250ms`, `5s`, `1m30s`, `512 MiB`.
//!
//! A unit is required: a bare number is an error that names the units.

use crate::{ByteSize, Share};
use std::time::Duration;

/// Reads `10s`, `1m30s`, `250 ms`, `2h`, `1d`.
///
/// # Errors
/// A sentence that says what is wrong and what is allowed.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    const ALLOWED: &str =
        "use a number with a unit: ns, us, ms, s, m, h or d, such as \"250ms\" or \"1m30s\"";
    let mut total: u128 = 0;
    let mut any = false;
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (number, unit, tail) = split(rest);
        let scale: f64 = match unit {
            "ns" => 1.0,
            "us" | "µs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" | "min" => 60e9,
            "h" => 3_600e9,
            "d" => 86_400e9,
            "" => return Err(format!("`{text}` has no unit; {ALLOWED}")),
            other => return Err(format!("`{other}` is no unit of time; {ALLOWED}")),
        };
        let value: f64 =
            number.parse().map_err(|_| format!("`{text}` is no duration; {ALLOWED}"))?;
        #[expect(clippy::cast_sign_loss, reason = "split never takes a sign")]
        let nanos = (value * scale).round() as u128;
        total = total.saturating_add(nanos);
        any = true;
        rest = tail;
    }
    if !any {
        return Err(format!("an empty duration; {ALLOWED}"));
    }
    u64::try_from(total)
        .map(Duration::from_nanos)
        .map_err(|_| format!("`{text}` is longer than 584 years"))
}

/// Reads `5%`, `0.25 %`, `300%`.
///
/// # Errors
/// A sentence that says what is wrong and what is allowed.
pub fn parse_share(text: &str) -> Result<Share, String> {
    const ALLOWED: &str = "use a percentage of at most two decimals, such as \"5%\" or \"0.25%\"";
    let wrong = || format!("`{text}` is no share; {ALLOWED}");
    let number = text.trim().strip_suffix('%').ok_or_else(wrong)?.trim_end();
    let (whole, decimals) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || decimals.len() > 2 || !digits(whole) || !digits(decimals) {
        return Err(wrong());
    }
    let parts: u32 = format!("{whole}{decimals:0<2}").parse().map_err(|_| wrong())?;
    Ok(Share(parts))
}

/// Reads `16 KiB`, `512 MiB`, `1 GiB`, `10 MB`, `900 B`.
///
/// # Errors
/// A sentence that says what is wrong and what is allowed.
pub fn parse_size(text: &str) -> Result<ByteSize, String> {
    const ALLOWED: &str =
        "use a number with a unit: B, KiB, MiB, GiB, TiB (or KB, MB, GB, TB), such as \"512 MiB\"";
    let (number, unit, tail) = split(text.trim());
    let scale: u64 = match unit.to_ascii_lowercase().as_str() {
        "b" => 1,
        "kib" | "k" => 1 << 10,
        "mib" | "m" => 1 << 20,
        "gib" | "g" => 1 << 30,
        "tib" | "t" => 1 << 40,
        "kb" => 1_000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "tb" => 1_000_000_000_000,
        "" => return Err(format!("`{text}` has no unit; {ALLOWED}")),
        _ => return Err(format!("`{unit}` is no unit of size; {ALLOWED}")),
    };
    let value: f64 = number.parse().map_err(|_| format!("`{text}` is no size; {ALLOWED}"))?;
    if !tail.is_empty() {
        return Err(format!("`{text}` is no size; {ALLOWED}"));
    }
    let bytes = value * scale as f64;
    if bytes > 9.0e18 {
        return Err(format!("`{text}` is larger than 8 EiB"));
    }
    #[expect(clippy::cast_sign_loss, reason = "split never takes a sign")]
    Ok(ByteSize(bytes.round() as u64))
}

/// Splits off one leading number and its unit: `1m30s` is `1`, `m`, `30s`.
fn split(text: &str) -> (&str, &str, &str) {
    let digits = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let rest = rest.trim_start();
    let letters = rest.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(rest.len());
    let (unit, tail) = rest.split_at(letters);
    (number, unit.trim_end(), tail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_with_their_units() {
        for (text, millis) in
            [("250ms", 250), ("5s", 5_000), ("1m30s", 90_000), ("1.5 s", 1_500), ("2h", 7_200_000)]
        {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "5", "s", "-5s", "5 parsecs", "1..5s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_read_with_their_units() {
        for (text, bytes) in
            [("900 B", 900), ("16KiB", 16_384), ("1.5 MiB", 1_572_864), ("10 MB", 10_000_000)]
        {
            assert_eq!(parse_size(text), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "5", "MiB", "-5 B", "5 acres", "1 KiB 2 KiB", "99999999 TiB"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
        assert_eq!(ByteSize::mib(512).to_string(), "512 MiB");
        assert_eq!(ByteSize(1_000).to_string(), "1000 B");
    }
}
