//! How long a client will wait, how long the next hop may take, and when it is too late to ask.
//!
//! A request brings its deadline as gRPC's `grpc-timeout` or as the configured field; what is left of
//! it goes on in the same two, less a part for the way back. What was read is never longer when it is
//! written again. A deadline that cannot be read is none ([`Told::Junk`]).
//!
//! Sources: gRPC over HTTP/2, `Timeout` (1 to 8 digits and a unit); Envoy's
//! `x-envoy-expected-rq-timeout-ms`; Finagle's `DeadlineFilter`, which never refuses more than a
//! fifth of ten seconds' requests, so that a bad clock or estimate cannot black-hole a service.

use crate::budget::Budget;
use crate::settings::Deadlines;
use base::{Deadline, FieldName, Fields, Moment, RequestHead, Share};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// The part of the requests that may be refused because they would probably be late.
const EARLY_MAX: Share = Share::percent(20);
/// Digits of a `grpc-timeout` at most.
const DIGITS_MAX: usize = 8;
const GRPC_TIMEOUT: &[u8] = b"grpc-timeout";
/// gRPC's units from the largest to the smallest, in nanoseconds.
const UNITS: [(u8, u64); 6] = [
    (b'H', 3_600_000_000_000),
    (b'M', 60_000_000_000),
    (b'S', 1_000_000_000),
    (b'm', 1_000_000),
    (b'u', 1_000),
    (b'n', 1),
];

/// What a request says of how long its client will wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Nothing.
    Nothing,
    /// So long, from when it came.
    For(Duration),
    /// Nothing that could be understood.
    Junk,
}

/// What a request says of how long its client will wait: the shorter of gRPC's field, if it is gRPC,
/// and the configured one.
pub fn told(fields: &Fields, rules: &Deadlines) -> Told {
    let grpc =
        if is_grpc(fields) { read(fields, GRPC_TIMEOUT, grpc_timeout) } else { Told::Nothing };
    let plain = rules.field.as_deref().map_or(Told::Nothing, |name| {
        read(fields, name.as_bytes(), |value| plain_timeout(value, is_in_ms(name)))
    });
    match (grpc, plain) {
        (Told::For(one), Told::For(other)) => Told::For(one.min(other)),
        (told @ Told::For(_), _) | (_, told @ Told::For(_)) => told,
        (Told::Junk, _) | (_, Told::Junk) => Told::Junk,
        (Told::Nothing, Told::Nothing) => Told::Nothing,
    }
}

/// When a request that came at `came` must be answered: as its client says, or sooner if its route
/// allows less.
pub fn deadline(came: Moment, route: Deadline, told: Told) -> Deadline {
    match told {
        Told::For(time) => route.or_before(Deadline::after(came, time)),
        Told::Nothing | Told::Junk => route,
    }
}

/// What the next hop is told of the time that is left.
pub fn handed_on(left: Duration, rules: &Deadlines) -> Duration {
    let keep = u64::from(10_000_u32.saturating_sub(rules.shrink.0));
    let nanos = u64::try_from(left.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos((u128::from(nanos) * u128::from(keep) / 10_000) as u64)
}

/// Tells the next hop how long is left: what [`handed_on`] leaves of `left`, in gRPC's field if the
/// request is gRPC and in the configured one always. Whatever they said before is forgotten. With no
/// end to the time (`None`) nothing is said.
pub fn write(head: &mut RequestHead, left: Option<Duration>, is_grpc: bool, rules: &Deadlines) {
    let named = rules.field.as_deref();
    let ours = |name: &[u8]| {
        (is_grpc && name.eq_ignore_ascii_case(GRPC_TIMEOUT))
            || named.is_some_and(|field| name.eq_ignore_ascii_case(field.as_bytes()))
    };
    // Forgetting fields costs the head its shortcut through the encoder: only where there are some.
    if head.fields.iter().any(|field| field.known == FieldName::Other && ours(field.name)) {
        head.fields.retain(|field| field.known != FieldName::Other || !ours(field.name));
    }
    let Some(left) = left else { return };
    let left = handed_on(left, rules);
    if is_grpc {
        head.fields.push(GRPC_TIMEOUT, grpc_text(left).as_bytes());
    }
    if let Some(name) = named.filter(|name| base::field::is_name(name.as_bytes())) {
        head.fields.push(name.as_bytes(), plain_text(left, is_in_ms(name)).as_bytes());
    }
}

/// Does this request speak gRPC?
pub fn is_grpc(fields: &Fields) -> bool {
    let kind = fields.get(FieldName::ContentType).unwrap_or_default();
    kind.get(..16).is_some_and(|start| start.eq_ignore_ascii_case(b"application/grpc"))
}

/// Reads a `grpc-timeout`: one to eight digits and a unit, nothing else.
pub fn grpc_timeout(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.len() > DIGITS_MAX {
        return None;
    }
    let (_, nanos) = UNITS.iter().find(|(name, _)| name == unit)?;
    // 99,999,999 hours are 11,408 years: saturates at 584.
    Some(Duration::from_nanos(decimal(digits)?.saturating_mul(*nanos)))
}

/// Writes a `grpc-timeout`, never more than it was: in the largest unit that loses nothing, else in
/// the smallest that has room.
pub fn grpc_text(time: Duration) -> String {
    let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let fits = |unit: u64| nanos / unit < 10_u64.pow(DIGITS_MAX as u32);
    let exact = UNITS.iter().find(|(_, unit)| nanos.is_multiple_of(*unit) && fits(*unit));
    let close = UNITS.iter().rev().find(|(_, unit)| fits(*unit));
    let (name, unit) = exact.or(close).copied().unwrap_or(UNITS[0]);
    format!("{}{}", nanos / unit, char::from(name))
}

/// Reads the configured field: a number, whole or with a fraction, in milliseconds or seconds unless
/// one of the units `us`, `ms`, `s`, `m`, `h` stands behind it.
pub fn plain_timeout(value: &[u8], in_ms: bool) -> Option<Duration> {
    let digits = value.iter().take_while(|b| b.is_ascii_digit() || **b == b'.').count();
    let (number, unit) = value.split_at(digits);
    let unit: u64 = match unit.trim_ascii_start() {
        b"" if in_ms => 1_000_000,
        b"" | b"s" => 1_000_000_000,
        b"us" => 1_000,
        b"ms" => 1_000_000,
        b"m" => 60_000_000_000,
        b"h" => 3_600_000_000_000,
        _ => return None,
    };
    let mut parts = number.splitn(2, |b| *b == b'.');
    let whole = decimal(parts.next()?)?.saturating_mul(unit);
    let fraction = match parts.next() {
        None => 0,
        // Behind nine digits no nanosecond is lost that anybody would miss.
        Some(digits) if digits.iter().all(u8::is_ascii_digit) && !digits.is_empty() => {
            let kept = &digits[..digits.len().min(9)];
            let scale = 10_u128.pow(kept.len() as u32);
            (u128::from(decimal(kept)?) * u128::from(unit) / scale) as u64
        }
        Some(_) => return None,
    };
    Some(Duration::from_nanos(whole.saturating_add(fraction)))
}

/// Writes the configured field, never more than it was: whole milliseconds, or seconds with three
/// digits behind the point.
pub fn plain_text(time: Duration, in_ms: bool) -> String {
    let ms = time.as_millis();
    if in_ms { ms.to_string() } else { format!("{}.{:03}", ms / 1_000, ms % 1_000) }
}

/// Which requests are not asked at all, because their answers would come too late. Shared by all
/// threads.
#[derive(Debug)]
pub struct Early {
    refusals: Budget,
}

/// Why a request is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// Less is left than the settings call useful.
    Least,
    /// Less is left than the service takes for every other answer.
    Median,
}

impl Early {
    /// Nothing refused yet.
    pub fn new() -> Self {
        Self { refusals: Budget::new(EARLY_MAX, 0) }
    }

    /// Whether to refuse a request that has `left`, of a service whose answers take `median`. Called
    /// once for each request. The settings' least is always in force; the median, an estimate,
    /// refuses at most a fifth of ten seconds' requests.
    pub fn refuse(
        &self,
        now: Moment,
        left: Duration,
        median: Option<Duration>,
        rules: &Deadlines,
    ) -> Option<Late> {
        self.refusals.deposit(now);
        if left < rules.least {
            return Some(Late::Least);
        }
        let late = median.is_some_and(|median| left < median);
        (late && self.refusals.withdraw(now)).then_some(Late::Median)
    }
}

impl Default for Early {
    fn default() -> Self {
        Self::new()
    }
}

/// Does a field of this name hold milliseconds?
fn is_in_ms(name: &str) -> bool {
    let start = name.len().saturating_sub(3);
    name.get(start..).is_some_and(|end| end.eq_ignore_ascii_case("-ms"))
}

/// All lines of a field; the shortest counts.
fn read(fields: &Fields, name: &[u8], parse: impl Fn(&[u8]) -> Option<Duration>) -> Told {
    let mut told = Told::Nothing;
    let same = |known: FieldName, other: &[u8]| {
        known == FieldName::Other && other.eq_ignore_ascii_case(name)
    };
    for field in fields.iter().filter(|field| same(field.known, field.name)) {
        told = match (told, parse(field.value)) {
            (Told::For(one), Some(other)) => Told::For(one.min(other)),
            (_, Some(time)) => Told::For(time),
            (Told::Nothing, None) => Told::Junk,
            (told, None) => told,
        };
    }
    told
}

/// One or more digits; saturates.
pub(crate) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(digit))
    })
}
