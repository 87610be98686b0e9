//! May an answer be stored, and how long does it live? (RFC 9111 §3, §4.2; RFC 5861; RFC 9213)
//!
//! Decided once, when an answer arrives or a stored one is freshened; after that a [`Life`] is four
//! times to compare with. Lifetimes and ages are kept in milliseconds, because `max-age=1` must be over
//! after one second.

use super::admit::says;
use super::control::{Directives, Flag, SECONDS_MAX, seconds};
use super::reason::Reason;
use super::{Query, date, range, strip, targeted, validate};
use crate::settings::{Profile, Rules};
use base::{FieldName, ResponseHead, Wall};
use std::time::Duration;

/// How long an entry with a validator is kept beyond any use without one, for the sake of a 304.
pub const KEEP: Duration = Duration::from_hours(24);
/// Longest heuristic freshness of answers from 400 on.
pub const HEURISTIC_ERROR_MAX: Duration = Duration::from_secs(10);

/// Facts of a stored answer, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks(u8);

impl Marks {
    /// It must be validated before every use.
    pub const NO_CACHE: Self = Self(1);
    /// Stale, it must not be used without being validated, whatever a client asks for.
    pub const MUST_REVALIDATE: Self = Self(2);
    /// Its freshness is a guess.
    pub const HEURISTIC: Self = Self(4);
    /// It does not change while it is fresh (RFC 8246).
    pub const IMMUTABLE: Self = Self(8);
    /// It permits use for, and storing from, requests with Authorization (RFC 9111 §3.5).
    pub const AUTHORIZED: Self = Self(16);

    /// Are all of these set?
    pub const fn has(self, marks: Self) -> bool {
        self.0 & marks.0 == marks.0
    }

    /// These, and those if `condition` holds.
    #[must_use]
    pub const fn and_if(self, marks: Self, condition: bool) -> Self {
        if condition { Self(self.0 | marks.0) } else { self }
    }
}

/// How long an entry lives. All bounds are exclusive: at `fresh_until` it is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When it was asked for. A purge after this moment is about it.
    pub asked: Wall,
    /// When its head arrived.
    pub answered: Wall,
    /// How old it was when it arrived (RFC 9111 §4.2.3, corrected initial age).
    pub age: Duration,
    /// Fresh until then.
    pub fresh_until: Wall,
    /// May be used until then while it is being validated; never before `fresh_until`.
    pub stale_while_until: Wall,
    /// May be used until then while the service fails; never before `fresh_until`.
    pub stale_error_until: Wall,
    /// Of no use at all from then on.
    pub keep_until: Wall,
    /// What else is known.
    pub marks: Marks,
}

impl Life {
    /// Bytes of [`Life::write`].
    pub const BYTES: usize = 7 * 8 + 1;

    /// How long the service took to answer.
    pub const fn fetch_time(&self) -> Duration {
        self.answered.since(self.asked)
    }

    /// When it was as old as nothing.
    pub fn born(&self) -> Wall {
        self.answered - self.age
    }

    /// Is it fresh at `now`?
    pub fn is_fresh(&self, now: Wall) -> bool {
        now < self.fresh_until && !self.marks.has(Marks::NO_CACHE)
    }

    /// Whole seconds of freshness left at `now`; negative when stale. For Cache-Status.
    pub fn ttl(&self, now: Wall) -> i64 {
        let left = |until: Wall, from: Wall| until.since(from).as_secs().cast_signed();
        if now < self.fresh_until {
            left(self.fresh_until, now)
        } else {
            // Rounded away from zero: stale is never `ttl=0` for long.
            -left(now + Duration::from_millis(999), self.fresh_until)
        }
    }

    /// The same entry, stale from `now` on: what a soft purge makes of it. It may still be used while
    /// it is validated or the service fails.
    #[must_use]
    pub fn expired(mut self, now: Wall) -> Self {
        self.fresh_until = self.fresh_until.min(now);
        self
    }

    /// Appends it as [`Life::BYTES`] bytes.
    pub fn write(&self, out: &mut Vec<u8>) {
        let age = Wall(u64::try_from(self.age.as_millis()).unwrap_or(u64::MAX));
        let uses = [self.fresh_until, self.stale_while_until, self.stale_error_until];
        for at in [self.asked, self.answered, age, uses[0], uses[1], uses[2], self.keep_until] {
            out.extend_from_slice(&at.0.to_le_bytes());
        }
        out.push(self.marks.0);
    }

    /// Reads it back from exactly [`Life::BYTES`] bytes.
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let (words, marks) = bytes.as_chunks::<8>();
        let word = |at: usize| words.get(at).copied().map(u64::from_le_bytes).map(Wall);
        if bytes.len() != Self::BYTES {
            return None;
        }
        Some(Self {
            asked: word(0)?,
            answered: word(1)?,
            age: Duration::from_millis(word(2)?.0),
            fresh_until: word(3)?,
            stale_while_until: word(4)?,
            stale_error_until: word(5)?,
            keep_until: word(6)?,
            marks: Marks(*marks.first()?),
        })
    }
}

/// Who says what the cache may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Cache-Control and Expires.
    Own,
    /// A targeted field; Cache-Control and Expires do not count.
    Targeted,
    /// The route, which insists; no field counts.
    Rule(Duration),
}

/// What counts for this answer.
#[derive(Debug)]
pub(super) struct Control<'a> {
    pub(super) said: Directives<'a>,
    pub(super) source: Source,
}

impl<'a> Control<'a> {
    pub(super) fn of(response: &'a ResponseHead, rules: &Rules, targeted: &[String]) -> Self {
        match ttl_of(response.status, rules) {
            Some(ttl) if rules.insist => {
                Self { said: Directives::default(), source: Source::Rule(ttl) }
            }
            _ => Self::own(response, targeted),
        }
    }

    /// What the answer itself says.
    pub(super) fn own(response: &'a ResponseHead, targeted: &[String]) -> Self {
        match targeted::targeted(&response.fields, targeted) {
            Some(said) => Self { said, source: Source::Targeted },
            None => Self { said: Directives::of(&response.fields), source: Source::Own },
        }
    }

    pub(super) const fn has(&self, flag: Flag) -> bool {
        self.said.has(flag)
    }
}

fn ttl_of(status: u16, rules: &Rules) -> Option<Duration> {
    if status < 400 { rules.ttl } else { rules.ttl_error }
}

/// May this response to this request be stored, and for how long? `asked` is when the request was
/// sent, `answered` when the head of the response arrived. After a 304 or a HEAD it is asked again
/// about the freshened head, before [`super::strip`].
pub fn store(
    query: &Query<'_>,
    response: &ResponseHead,
    asked: Wall,
    answered: Wall,
    rules: &Rules,
    targeted: &[String],
) -> Result<Life, Reason> {
    let control = Control::of(response, rules, targeted);
    check_exchange(query, response, rules)?;
    check_control(query, response, &control, rules)?;
    let freshness = freshness(response, &control, answered, rules)?;
    let age = initial_age(response, asked, answered);
    let life = windows(&control, &freshness, asked, answered, age, rules);
    settle(life, response)
}

/// What does not depend on directives.
fn check_exchange(query: &Query<'_>, response: &ResponseHead, rules: &Rules) -> Result<(), Reason> {
    if !rules.enabled {
        return Err(Reason::Disabled);
    }
    if query.upgrade {
        return Err(Reason::Upgrade);
    }
    // A HEAD has no body to store; what it says about a stored GET is `by_head`'s.
    if query.method != b"GET" {
        return Err(Reason::Method);
    }
    if query.has_body {
        return Err(Reason::Body);
    }
    if says(query, Flag::NoStore) {
        return Err(Reason::RequestNoStore);
    }
    if is_never_stored(response.status) {
        return Err(Reason::Status);
    }
    // RFC 9111 §3.3: a part must say which it is, and somebody must have asked for one.
    let asked_for_part = query.fields.has(FieldName::Range);
    if response.status == 206 && !(asked_for_part && range::content_range(response).is_some()) {
        return Err(Reason::ContentRange);
    }
    Ok(())
}

/// Statuses that say something of one request or one connection only: interim ones, what conditions
/// and ranges lead to, and those that RFC 6585 and RFC 8470 forbid to store.
const fn is_never_stored(status: u16) -> bool {
    matches!(status, 0..200 | 304 | 407 | 412 | 416 | 417 | 421 | 425 | 428 | 429 | 431 | 511)
}

/// Statuses whose meaning for caches we know (RFC 9110 §15): for `must-understand`.
const fn is_understood(status: u16) -> bool {
    matches!(status, 200..=206 | 300..=303 | 307 | 308 | 400..=411 | 413..=415 | 422 | 451 | 500..=505)
}

fn check_control(
    query: &Query<'_>,
    response: &ResponseHead,
    control: &Control<'_>,
    rules: &Rules,
) -> Result<(), Reason> {
    let must_understand = control.has(Flag::MustUnderstand);
    if must_understand && !is_understood(response.status) {
        return Err(Reason::NotUnderstood);
    }
    // RFC 9111 §5.2.2.3: whoever understands `must-understand` ignores the `no-store` beside it.
    if control.has(Flag::NoStore) && !must_understand {
        return Err(Reason::NoStore);
    }
    if control.has(Flag::Private) {
        return Err(Reason::Private);
    }
    if query.fields.has(FieldName::Authorization) && !permits_authorized(&control.said) {
        return Err(Reason::Authorization);
    }
    let vouched = control.has(Flag::Public) || control.source == Source::Targeted;
    if rules.profile == Profile::Safe && !vouched && strip::sets_cookie(response, control, rules) {
        return Err(Reason::SetCookie);
    }
    Ok(())
}

/// RFC 9111 §3.5.
const fn permits_authorized(said: &Directives<'_>) -> bool {
    said.has(Flag::Public) || said.has(Flag::MustRevalidate) || said.s_maxage.is_some()
}

/// How long an answer is fresh, and who says so.
struct Freshness {
    lifetime: Duration,
    is_guess: bool,
}

fn freshness(
    response: &ResponseHead,
    control: &Control<'_>,
    answered: Wall,
    rules: &Rules,
) -> Result<Freshness, Reason> {
    if let Source::Rule(lifetime) = control.source {
        return Ok(Freshness { lifetime, is_guess: false });
    }
    if let Some(given) = freshness_of(response, control) {
        let lifetime = given.lifetime(response, answered);
        return Ok(Freshness { lifetime, is_guess: false });
    }
    if let Some(lifetime) = ttl_of(response.status, rules) {
        return Ok(Freshness { lifetime, is_guess: false });
    }
    if let Some(lifetime) = guess(response, control, answered, rules) {
        return Ok(Freshness { lifetime, is_guess: true });
    }
    // An unqualified `no-cache` is reason enough to keep what can be validated.
    let lifetime = Duration::ZERO;
    let reason = Err(Reason::NoFreshness);
    if control.has(Flag::NoCache) { Ok(Freshness { lifetime, is_guess: false }) } else { reason }
}

/// Freshness that the answer itself gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Given {
    /// So many seconds.
    Seconds(u32),
    /// Until the moment in Expires.
    Expires,
}

/// RFC 9111 §4.2.1: the first of `s-maxage`, `max-age` and Expires.
pub(super) fn freshness_of(response: &ResponseHead, control: &Control<'_>) -> Option<Given> {
    let said = control.said.s_maxage.or(control.said.max_age).map(Given::Seconds);
    let is_own = control.source == Source::Own;
    said.or((is_own && response.fields.has(FieldName::Expires)).then_some(Given::Expires))
}

impl Given {
    fn lifetime(self, response: &ResponseHead, answered: Wall) -> Duration {
        match self {
            Self::Seconds(seconds) => Duration::from_secs(seconds.into()),
            Self::Expires => until_expires(response, answered),
        }
    }
}

/// Expires less Date. An Expires that is no date, or more than one, is over (RFC 9111 §5.3).
fn until_expires(response: &ResponseHead, answered: Wall) -> Duration {
    let Some(expires) = sole_date(response, FieldName::Expires, answered) else {
        return Duration::ZERO;
    };
    let from = sole_date(response, FieldName::Date, answered);
    let from_ms = from.map_or(answered.0.cast_signed(), |date| date.saturating_mul(1_000));
    let left = expires.saturating_mul(1_000).saturating_sub(from_ms);
    Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(longest())
}

const fn longest() -> Duration {
    Duration::from_secs(SECONDS_MAX as u64)
}

/// The date in a field that stands there once.
pub(super) fn sole_date(response: &ResponseHead, name: FieldName, now: Wall) -> Option<i64> {
    let mut lines = response.fields.all(name);
    let date = date::parse(lines.next()?, now)?;
    lines.next().is_none().then_some(date)
}

/// Heuristic freshness: a tenth of the time since the last change (RFC 9111 §4.2.2), capped hard.
fn guess(
    response: &ResponseHead,
    control: &Control<'_>,
    answered: Wall,
    rules: &Rules,
) -> Option<Duration> {
    if control.has(Flag::NoCache) || !may_guess(response.status, control) {
        return None;
    }
    let changed = sole_date(response, FieldName::LastModified, answered)?;
    let now = answered.seconds().cast_signed();
    let made = sole_date(response, FieldName::Date, answered).unwrap_or(now);
    let since = u64::try_from(made.saturating_sub(changed)).unwrap_or(0);
    let error_max = if response.status < 400 { rules.heuristic_max } else { HEURISTIC_ERROR_MAX };
    let lifetime = Duration::from_millis(since.saturating_mul(100));
    let lifetime = lifetime.min(rules.heuristic_max).min(error_max);
    (!lifetime.is_zero()).then_some(lifetime)
}

fn may_guess(status: u16, control: &Control<'_>) -> bool {
    match status {
        _ if control.has(Flag::Public) => true,
        // 414 and 501 depend on what the key holds, target and method: nobody can provoke one for others.
        status => {
            matches!(status, 200 | 203 | 204 | 206 | 300 | 301 | 308 | 404 | 405 | 410 | 414 | 501)
        }
    }
}

/// RFC 9111 §4.2.3: how old the answer was when it arrived.
fn initial_age(response: &ResponseHead, asked: Wall, answered: Wall) -> Duration {
    // A Date names the second in which an answer was made. Its end counts here: else whatever is made
    // just before a second's end arrives a second old, and `max-age=1` would be of no use.
    let apparent = sole_date(response, FieldName::Date, answered)
        .and_then(|date| u64::try_from(date.saturating_mul(1_000).saturating_add(999)).ok())
        .map_or(Duration::ZERO, |date_ms| answered.since(Wall(date_ms)));
    let corrected = age_field(response) + answered.since(asked);
    apparent.max(corrected).min(longest())
}

/// The first member of Age, if it is a number (RFC 9111 §5.1).
fn age_field(response: &ResponseHead) -> Duration {
    let first =
        response.fields.get(FieldName::Age).and_then(|line| line.split(|&b| b == b',').next());
    Duration::from_secs(first.and_then(|age| seconds(age.trim_ascii())).unwrap_or(0).into())
}

fn windows(
    control: &Control<'_>,
    freshness: &Freshness,
    asked: Wall,
    answered: Wall,
    age: Duration,
    rules: &Rules,
) -> Life {
    let said = &control.said;
    let fresh_until = (answered + freshness.lifetime) - age;
    // Signed arithmetic in two steps: the sum stays far below 2^64 ms.
    let binding = said.has(Flag::MustRevalidate) || said.has(Flag::ProxyRevalidate);
    let never_stale = binding || said.has(Flag::NoCache);
    // RFC 9111 §5.2.2.10: `s-maxage` means `proxy-revalidate`; but frameworks write it beside
    // `stale-while-revalidate` and mean that, so what is said explicitly counts.
    let by_rule = said.s_maxage.is_none() && fresh_until > answered;
    let window = |said: Option<u32>, rule: Duration| match said {
        _ if never_stale => Duration::ZERO,
        Some(seconds) => Duration::from_secs(seconds.into()),
        None if by_rule => rule,
        None => Duration::ZERO,
    };
    let stale_while_until = fresh_until + window(said.stale_while_revalidate, rules.stale);
    let stale_error_until = fresh_until + window(said.stale_if_error, rules.stale_error);
    let marks = Marks::default()
        .and_if(Marks::NO_CACHE, said.has(Flag::NoCache))
        .and_if(Marks::MUST_REVALIDATE, never_stale || said.s_maxage.is_some())
        .and_if(Marks::HEURISTIC, freshness.is_guess)
        .and_if(Marks::IMMUTABLE, said.has(Flag::Immutable))
        .and_if(Marks::AUTHORIZED, permits_authorized(said));
    let keep_until = stale_while_until.max(stale_error_until);
    Life {
        asked,
        answered,
        age,
        fresh_until,
        stale_while_until,
        stale_error_until,
        keep_until,
        marks,
    }
}

/// Is the entry of any use, and until when?
fn settle(mut life: Life, response: &ResponseHead) -> Result<Life, Reason> {
    if validate::has_validator(response) {
        life.keep_until = life.keep_until.max(life.answered) + KEEP;
        return Ok(life);
    }
    if life.marks.has(Marks::NO_CACHE) {
        return Err(Reason::NoCache);
    }
    if life.keep_until <= life.answered { Err(Reason::Expired) } else { Ok(life) }
}
