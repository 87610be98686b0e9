//! Signing a call to AWS (Signature Version 4), by hand: a hash, five codes, and the order of lines.

use super::credentials::Keys;
use ring::{digest, hmac};
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

/// What is signed beside the keys.
pub(super) struct Call<'a> {
    pub(super) method: &'a str,
    pub(super) service: &'a str,
    pub(super) region: &'a str,
    /// Names in lower case and values, in the order of the names.
    pub(super) fields: &'a [(&'a str, &'a str)],
    pub(super) body: &'a [u8],
    /// As [`stamp`] writes it.
    pub(super) stamp: &'a str,
}

/// The value of the field `authorization`. The path is `/`, without a query.
pub(super) fn authorization(call: &Call<'_>, keys: &Keys) -> String {
    let mut canonical = format!("{}\n/\n\n", call.method);
    for (name, value) in call.fields {
        let _never_fails = writeln!(canonical, "{name}:{}", value.trim());
    }
    let names: Vec<&str> = call.fields.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let _never_fails = write!(canonical, "\n{names}\n{}", hash(call.body));
    let day = &call.stamp[..8];
    let scope = format!("{day}/{}/{}/aws4_request", call.region, call.service);
    let text = format!("AWS4-HMAC-SHA256\n{}\n{scope}\n{}", call.stamp, hash(canonical.as_bytes()));
    let mut key = format!("AWS4{}", keys.secret).into_bytes();
    for part in [day, call.region, call.service, "aws4_request"] {
        key = code(&key, part);
    }
    let signature = hex(&code(&key, &text));
    let id = &keys.id;
    format!(
        "AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
}

/// A time as AWS writes it: `20150830T123600Z`.
pub(super) fn stamp(now: SystemTime) -> String {
    let seconds = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (day, time) = (seconds / 86_400, seconds % 86_400);
    // Days to a date, years beginning in March (Hinnant, "chrono-compatible date algorithms").
    let z = day + 719_468;
    let (era, of_era) = (z / 146_097, z % 146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let date = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (time / 3600, time / 60 % 60, time % 60);
    format!("{year:04}{month:02}{date:02}T{hour:02}{minute:02}{second:02}Z")
}

fn code(key: &[u8], text: &str) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key);
    hmac::sign(&key, text.as_bytes()).as_ref().to_vec()
}

fn hash(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _never_fails = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    /// The example `get-vanilla` of AWS's own test suite.
    #[test]
    fn the_suites_example_is_signed_alike() {
        let keys = Keys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            session: None,
        };
        let fields = [("host", "example.amazonaws.com"), ("x-amz-date", "20150830T123600Z")];
        let call = Call {
            method: "GET",
            service: "service",
            region: "us-east-1",
            fields: &fields,
            body: b"",
            stamp: "20150830T123600Z",
        };
        let signature = "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31";
        assert_eq!(
            authorization(&call, &keys),
            format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders=host;x-amz-date, Signature={signature}"
            )
        );
    }

    #[test]
    fn times_are_dates() {
        for (seconds, expected) in [
            (0, "19700101T000000Z"),
            (1_440_938_160, "20150830T123600Z"),
            (951_782_399, "20000228T235959Z"),
            (951_782_400, "20000229T000000Z"),
            (4_107_542_400, "21000301T000000Z"),
        ] {
            assert_eq!(stamp(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
