//! Whether a request is tried again after a try that failed, where, and when.
//!
//! One table, [`decide`]: what happened and what is left go in, [`Next`] comes out and says why. It
//! neither waits nor chooses a server. What must hold: nothing is tried again once a byte of an
//! answer went to the client; what a server may have acted on is tried again only if doing it twice
//! is doing it once (RFC 9110 §9.2.2) or the request has an `Idempotency-Key`; what cost a server
//! work costs budget. What an end means to the balancer is said here too ([`outcome_of`]), so that
//! both agree on what failed.
//!
//! Sources: Finagle's `RetryFilter` and `RequeueFilter`, gRPC's A6 (pushback; refused streams are
//! free), Envoy's retry policy, RFC 9110 §10.2.3 (Retry-After).

use crate::deadline::{decimal, is_grpc};
use crate::settings::Retry;
use balance::Outcome;
use base::{Deadline, Fault, FaultKind, FieldName, Fields, Moment, Replay, RequestHead, Side};
use std::time::Duration;

#[cfg(test)]
mod tests;

/// Longest time that a server's own word on when to come back is waited for.
const WAIT_MAX: Duration = Duration::from_secs(2);
/// How many servers that refuse to be connected to are passed over beyond the attempts: when most of a
/// service dies at once, the next one tried may be dead too. Nothing was sent, and it took no time.
const UNMADE_MAX: u32 = 10;
/// gRPC's codes for what may be over in a moment.
const RESOURCE_EXHAUSTED: u64 = 8;
const UNAVAILABLE: u64 = 14;

/// One try that is over, and what is left.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "a row of a decision table")]
pub struct Tried<'a> {
    /// How it ended.
    pub ended: Ended<'a>,
    /// A byte of an answer went to the client.
    pub begun: bool,
    /// Tries made, this one and hedges included: at least 1.
    pub tries: u32,
    /// Done twice is done once: [`may_repeat`].
    pub may_repeat: bool,
    /// There was no body, or all of it is kept.
    pub body_kept: bool,
    /// Its connection had carried requests before.
    pub reused: bool,
    /// This request has had a fresh connection to the same server in the place of a dead one before.
    pub redialled: bool,
    /// There is another server to ask.
    pub other: bool,
    /// Time left of the request's deadline.
    pub left: Duration,
    /// With less left than this a try is of no use.
    pub least: Duration,
    /// A chance from 0 to 1, for the half of the backoff that is random.
    pub chance: f64,
}

/// How a try ended.
#[derive(Clone, Copy, Debug)]
pub enum Ended<'a> {
    /// Without an answer.
    Fault(&'a Fault),
    /// With the head of an answer; nothing of it has been passed on.
    Answer {
        /// Its status.
        status: u16,
        /// Its fields.
        fields: &'a Fields,
    },
}

/// What to do after a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try again.
    Again {
        /// Where.
        at: At,
        /// After this pause.
        after: Duration,
        /// It was not paid for, since no server has done anything yet.
        free: bool,
    },
    /// Hand on what there is.
    Stop(Why),
}

/// Where to try again; always on a connection other than the one that failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The same server.
    Same,
    /// Any server not tried yet.
    Other,
}

/// Why not to try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The client has part of an answer.
    Begun,
    /// It is no failure, or none that trying again could mend.
    Final,
    /// The service asked not to, or not soon.
    Told,
    /// As often as the settings allow.
    Attempts,
    /// Done twice might be done twice.
    Method,
    /// The body is gone.
    Body,
    /// Nobody else to ask.
    Nobody,
    /// Too little time is left.
    Time,
    /// Too many extra requests already.
    Budget,
}

impl Why {
    /// Every reason, for metrics and tests.
    pub const ALL: &[Self] = &[
        Self::Begun,
        Self::Final,
        Self::Told,
        Self::Attempts,
        Self::Method,
        Self::Body,
        Self::Nobody,
        Self::Time,
        Self::Budget,
    ];

    /// The name that reaches log and metric.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Begun => "begun",
            Self::Final => "final",
            Self::Told => "told",
            Self::Attempts => "attempts",
            Self::Method => "method",
            Self::Body => "body",
            Self::Nobody => "nobody",
            Self::Time => "time",
            Self::Budget => "budget",
        }
    }
}

/// What a failure allows, before anything else is asked.
#[expect(clippy::struct_excessive_bools, reason = "a row of a decision table")]
struct Leave {
    /// A server may have acted on it.
    acted: bool,
    at: Option<At>,
    /// A pause that the service asked for.
    pause: Option<Duration>,
    /// At once, whatever the backoff says.
    at_once: bool,
    free: bool,
    /// No connection could be made: the next server is asked beyond the attempts of the settings.
    unmade: bool,
}

/// Whether to try again. `budget` is asked last and only if all else allows it: it may withdraw.
pub fn decide(tried: &Tried<'_>, rules: &Retry, budget: impl FnOnce() -> bool) -> Next {
    match weigh(tried, rules) {
        Err(why) => Next::Stop(why),
        Ok((_, _, free)) if !free && !budget() => Next::Stop(Why::Budget),
        Ok((at, after, free)) => Next::Again { at, after, free },
    }
}

fn weigh(tried: &Tried<'_>, rules: &Retry) -> Result<(At, Duration, bool), Why> {
    if tried.begun {
        return Err(Why::Begun);
    }
    let leave = match tried.ended {
        Ended::Fault(fault) => after_fault(fault, tried)?,
        Ended::Answer { status, fields } => after_answer(status, fields, tried, rules)?,
    };
    let more = if leave.unmade && rules.attempts > 0 { UNMADE_MAX } else { 0 };
    if tried.tries > rules.attempts + more {
        return Err(Why::Attempts);
    }
    if leave.acted && !tried.may_repeat {
        return Err(Why::Method);
    }
    if !tried.body_kept {
        return Err(Why::Body);
    }
    let at = leave.at.ok_or(Why::Nobody)?;
    let backoff = || backoff(rules.backoff, tried.tries, tried.chance);
    let after = if leave.at_once { Duration::ZERO } else { leave.pause.unwrap_or_else(backoff) };
    if tried.left <= after.saturating_add(tried.least) {
        return Err(Why::Time);
    }
    Ok((at, after, leave.free))
}

fn after_fault(fault: &Fault, tried: &Tried<'_>) -> Result<Leave, Why> {
    use FaultKind as K;
    let acted = match fault.replay {
        Replay::Never => return Err(Why::Final),
        Replay::IfIdempotent => true,
        Replay::Always => false,
    };
    // A server may close a connection that it thinks idle while we write to it (RFC 9112 §9.5): that
    // says nothing of the server. Once for each request, so that one that dies of it is not fed it
    // for ever; and on a fresh connection the fault is a fault.
    let stale = tried.reused && !tried.redialled && fault.kind == K::ServerClosed;
    let unmade = is_unconnected(fault.kind) || fault.kind == K::ServiceFull;
    let at = match (stale, tried.other) {
        (true, _) => Some(At::Same),
        (false, true) => Some(At::Other),
        // Where no connection could be made just now, none can be; who was silent for so long would be
        // waited for twice as long.
        (false, false) => (!unmade && fault.kind != K::FirstByteTimeout).then_some(At::Same),
    };
    // One that is silent took its time already.
    let unmade = unmade && fault.kind != K::ConnectTimeout;
    Ok(Leave { acted, at, pause: None, at_once: stale || unmade, free: stale || !acted, unmade })
}

fn after_answer(
    status: u16,
    fields: &Fields,
    tried: &Tried<'_>,
    rules: &Retry,
) -> Result<Leave, Why> {
    let grpc = grpc_status(fields);
    let meant = match grpc {
        // As gRPC's own table has it, from the other end.
        Some(RESOURCE_EXHAUSTED) => 429,
        Some(UNAVAILABLE) => 503,
        _ => status,
    };
    if !rules.statuses.contains(&meant) {
        return Err(Why::Final);
    }
    let pause = match pushback(fields) {
        Some(Pushback::Never) => return Err(Why::Told),
        Some(Pushback::After(pause)) => Some(pause),
        // Retry-After is the one server's word: the balancer holds that server back, others may be
        // asked at once. 429 speaks of the client: another server would say the same before then.
        None if meant == 429 && grpc.is_none() => Some(retry_after(fields).ok_or(Why::Told)?),
        None => None,
    };
    if pause.is_some_and(|pause| pause > WAIT_MAX) {
        return Err(Why::Told);
    }
    let at = tried.other.then_some(At::Other);
    Ok(Leave { acted: true, at, pause, at_once: false, free: false, unmade: false })
}

/// The pause before the next try after `tries`: none before the second; then `first`, doubled each
/// time, half of it by `chance` (0 to 1).
pub fn backoff(first: Duration, tries: u32, chance: f64) -> Duration {
    let Some(doubled) = tries.checked_sub(2) else { return Duration::ZERO };
    let whole = first.saturating_mul(1_u32.checked_shl(doubled).unwrap_or(u32::MAX));
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    let part = Duration::from_nanos(nanos / 2);
    part.saturating_add(part.mul_f64(chance.clamp(0.0, 1.0)))
}

/// May this request be sent twice with the effect of once: by its method, or because it says so?
pub fn may_repeat(head: &RequestHead) -> bool {
    let key = || head.fields.find(b"idempotency-key");
    head.is_idempotent() || key().is_some_and(|key| !key.is_empty())
}

/// When a try that begins at `now` must have answered: as long as another may follow it, after the
/// settings' time for one try.
pub fn try_by(now: Moment, by: Deadline, rules: &Retry, attempts_left: u32) -> Deadline {
    match rules.try_time {
        Some(time) if attempts_left > 0 => by.or_before(Deadline::after(now, time)),
        _ => by,
    }
}

/// What an answer means to the balancer.
pub fn outcome_of(status: u16, fields: &Fields) -> Outcome {
    if let Some(RESOURCE_EXHAUSTED | UNAVAILABLE) = grpc_status(fields) {
        let hold = match pushback(fields) {
            Some(Pushback::After(pause)) => Some(pause),
            Some(Pushback::Never) | None => retry_after(fields),
        };
        return Outcome::Failed { hold };
    }
    match status {
        // What it cannot do it will not be able to do later, nor would another. Too many requests (429)
        // nearly always speaks of one client: others must not lose a server by it.
        501 | 505 => Outcome::Good,
        500..=599 => Outcome::Failed { hold: retry_after(fields) },
        _ => Outcome::Good,
    }
}

/// Could no connection be made?
const fn is_unconnected(kind: FaultKind) -> bool {
    use FaultKind as K;
    matches!(kind, K::Unresolved | K::Unreachable | K::BadTls | K::ConnectTimeout)
}

/// What a fault means to the balancer.
pub fn outcome_of_fault(fault: &Fault) -> Outcome {
    match fault.kind.side() {
        _ if is_unconnected(fault.kind) => Outcome::Unconnected,
        // It lives, and one page that hangs or breaks must not take all others down with it: this is
        // bounded as any other failure is.
        Side::Upstream => Outcome::Failed { hold: None },
        // No doing of the server.
        Side::Client | Side::Gateway => Outcome::Cancelled,
    }
}

/// How long to wait by a Retry-After in seconds; a date is taken for nothing said (its parser is the
/// cache's, and a service's clock need not be ours).
pub fn retry_after(fields: &Fields) -> Option<Duration> {
    fields.get(FieldName::RetryAfter).and_then(decimal).map(Duration::from_secs)
}

/// The status of a gRPC answer that is nothing but its trailers.
fn grpc_status(fields: &Fields) -> Option<u64> {
    if !is_grpc(fields) {
        return None;
    }
    fields.find(b"grpc-status").and_then(decimal)
}

/// What `grpc-retry-pushback-ms` says (gRPC A6).
enum Pushback {
    Never,
    After(Duration),
}

fn pushback(fields: &Fields) -> Option<Pushback> {
    if !is_grpc(fields) {
        return None;
    }
    let value = fields.find(b"grpc-retry-pushback-ms")?;
    // What cannot be read means no, like a negative number.
    let ms = decimal(value);
    Some(ms.map_or(Pushback::Never, |ms| Pushback::After(Duration::from_millis(ms))))
}
