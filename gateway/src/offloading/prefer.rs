//! What a client prefers: an answer at once, or so much patience (RFC 7240), and when its job is due.

use base::field::members;
use base::{Fault, FaultKind, Fields, Wall};
use std::time::Duration;

/// What a client prefers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Preference {
    /// It would rather not wait (RFC 7240 §4.1).
    pub respond_async: bool,
    /// It waits for so long (RFC 7240 §4.3).
    pub wait: Option<Duration>,
}

/// Reads `Prefer`; what is malformed or unknown is passed over, as §2 wants it. Of a preference that
/// is named twice the first counts.
pub(super) fn read(fields: &Fields) -> Preference {
    let mut preference = Preference::default();
    let all = fields.iter().filter(|field| field.name.eq_ignore_ascii_case(b"prefer"));
    for member in all.flat_map(|field| members(field.value)) {
        let main = member.split(|&b| b == b';').next().unwrap_or_default();
        let mut parts = main.splitn(2, |&b| b == b'=');
        let name = parts.next().unwrap_or_default().trim_ascii();
        let value = parts.next().map(<[u8]>::trim_ascii).map(unquoted);
        if name.eq_ignore_ascii_case(b"respond-async") {
            preference.respond_async = true;
        } else if name.eq_ignore_ascii_case(b"wait") && preference.wait.is_none() {
            let seconds = value.and_then(wire::h1::framing::decimal);
            preference.wait = seconds.map(Duration::from_secs);
        }
    }
    preference
}

fn unquoted(value: &[u8]) -> &[u8] {
    value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value)
}

/// When a client wants its job to be due: `Offload-Delay` in seconds, or `Offload-At`, a date of HTTP.
///
/// # Errors
/// `BadRequest`: neither a number nor a date, or too far.
pub(super) fn delay(fields: &Fields, now: Wall, longest: Duration) -> Result<Option<Wall>, Fault> {
    let bad = |detail: &str| Fault::new(FaultKind::BadRequest, detail.to_owned());
    let due = if let Some(delay) = fields.find(b"offload-delay") {
        let seconds = wire::h1::framing::decimal(delay);
        let seconds = seconds.ok_or_else(|| bad("Offload-Delay is no number of seconds"))?;
        now + Duration::from_secs(seconds)
    } else if let Some(at) = fields.find(b"offload-at") {
        let seconds = cache::policy::date::parse(at, now);
        let seconds = seconds.and_then(|seconds| u64::try_from(seconds).ok());
        Wall(seconds.ok_or_else(|| bad("Offload-At is no date as HTTP writes it"))? * 1_000)
    } else {
        return Ok(None);
    };
    if due > now + longest {
        return Err(bad("later than a job of this route may be asked for (client_delay)"));
    }
    Ok(Some(due))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences_are_read() {
        let seconds = Duration::from_secs;
        for (said, respond_async, wait) in [
            (&["respond-async"][..], true, None),
            (&["respond-async, wait=10"], true, Some(seconds(10))),
            (&["wait = 3;foo=bar", "Respond-Async"], true, Some(seconds(3))),
            (&["wait=\"7\""], false, Some(seconds(7))),
            (&["wait=4, wait=9"], false, Some(seconds(4))),
            (&["wait=-1", "wait=x"], false, None),
            (&["wait", "return=minimal", ""], false, None),
            (&[], false, None),
        ] {
            let mut fields = Fields::new();
            for said in said {
                fields.push(b"Prefer", said.as_bytes());
            }
            assert_eq!(read(&fields), Preference { respond_async, wait }, "{said:?}");
        }
    }

    #[test]
    fn a_delay_is_seconds_or_a_date() {
        let now = Wall(1_000_000_000_000);
        let asked = |name: &[u8], value: &[u8]| {
            let mut fields = Fields::new();
            fields.push(name, value);
            delay(&fields, now, Duration::from_hours(720)).map_err(|fault| fault.kind)
        };
        assert_eq!(asked(b"Offload-Delay", b"90"), Ok(Some(Wall(now.0 + 90_000))));
        assert_eq!(
            asked(b"Offload-At", b"Sun, 09 Sep 2001 01:47:40 GMT"),
            Ok(Some(Wall(now.0 + 60_000)))
        );
        assert_eq!(asked(b"X", b"90"), Ok(None));
        for bad in [&b"-1"[..], b"soon", b"", b"99999999"] {
            assert_eq!(asked(b"Offload-Delay", bad), Err(FaultKind::BadRequest));
        }
        assert_eq!(asked(b"Offload-At", b"tomorrow"), Err(FaultKind::BadRequest));
    }
}
