//! May a stored answer be used for this request, now? (RFC 9111 §4, §5.2.1; RFC 5861; RFC 8246)

use super::Query;
use super::control::{Directives, Flag, SECONDS_MAX};
use super::life::{Life, Marks};
use super::reason::Reason;
use crate::settings::Rules;
use base::{FieldName, Wall};
use std::time::Duration;

/// May a stored answer be used now?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Use it.
    Fresh,
    /// Use it, and refresh it behind the client's back: it is about to expire.
    FreshEarly,
    /// Use it stale, and refresh it behind the client's back.
    StaleWhileRevalidate,
    /// Ask the service first.
    Revalidate(Reason),
}

/// May this entry answer this request at `now`? `chance` is random in 0..1, for early refresh.
pub fn judge(life: &Life, query: &Query<'_>, rules: &Rules, now: Wall, chance: f64) -> Verdict {
    if life.marks.has(Marks::NO_CACHE) {
        return Verdict::Revalidate(Reason::NoCache);
    }
    let demand = Demand::of(query, rules);
    let is_fresh = now < life.fresh_until;
    if demand.is_unmet(life, now, is_fresh) {
        return Verdict::Revalidate(Reason::Reload);
    }
    if is_fresh {
        let early = rules.early && is_early(life, now, chance);
        return if early { Verdict::FreshEarly } else { Verdict::Fresh };
    }
    if now < life.stale_while_until || demand.takes_stale(life, now) {
        return Verdict::StaleWhileRevalidate;
    }
    Verdict::Revalidate(Reason::Stale)
}

/// `XFetch` (Vattani et al., VLDB 2015): one of many readers refreshes an entry before it expires, the
/// earlier the longer the service takes. Never in the first half of its life here.
fn is_early(life: &Life, now: Wall, chance: f64) -> bool {
    let half = life.fresh_until.since(life.answered) / 2;
    // Most hits need no logarithm.
    if life.fresh_until.since(now) > half {
        return false;
    }
    let lead = life.fetch_time().as_secs_f64() * -chance.clamp(f64::MIN_POSITIVE, 1.0).ln();
    let lead = Duration::try_from_secs_f64(lead).unwrap_or(half).min(half);
    now + lead >= life.fresh_until
}

/// What the client demands, where the route obeys.
#[derive(Default)]
struct Demand {
    no_cache: bool,
    max_age: Option<Duration>,
    min_fresh: Duration,
    max_stale: Option<Duration>,
}

impl Demand {
    fn of(query: &Query<'_>, rules: &Rules) -> Self {
        if !rules.reload {
            return Self::default();
        }
        if !query.fields.has(FieldName::CacheControl) {
            // RFC 9111 §5.4: Pragma counts where there is no Cache-Control.
            let mut pragma = query.fields.all(FieldName::Pragma).flat_map(base::field::members);
            let no_cache = pragma.any(|member| member.eq_ignore_ascii_case(b"no-cache"));
            return Self { no_cache, ..Self::default() };
        }
        let said = Directives::of(query.fields);
        let time = |seconds: u32| Duration::from_secs(seconds.into());
        Self {
            no_cache: said.has(Flag::NoCache),
            max_age: said.max_age.map(time),
            min_fresh: said.min_fresh.map_or(Duration::ZERO, time),
            max_stale: said.max_stale.map(time),
        }
    }

    fn is_unmet(&self, life: &Life, now: Wall, is_fresh: bool) -> bool {
        // Whoever wants nothing older than now wants it from the origin (RFC 9111 §5.2.1.1), even in the
        // millisecond in which it came. RFC 8246 §2: what is fresh and does not change is not validated.
        let is_reload = self.no_cache || self.max_age == Some(Duration::ZERO);
        if is_reload && is_fresh && life.marks.has(Marks::IMMUTABLE) {
            return false;
        }
        let too_old = |limit: Duration| life.age + now.since(life.answered) > limit;
        let max_age = self.max_age.is_some_and(too_old);
        is_reload || max_age || self.min_fresh > life.fresh_until.since(now)
    }

    fn takes_stale(&self, life: &Life, now: Wall) -> bool {
        !life.marks.has(Marks::MUST_REVALIDATE)
            && self.max_stale.is_some_and(|most| now.since(life.fresh_until) <= most)
    }
}

/// May this entry be used at `now` because the service fails: cannot be reached, or answers with a
/// status that [`is_failure`]? (RFC 5861 §4, RFC 9111 §4.2.4)
pub fn may_serve_on_error(life: &Life, query: &Query<'_>, rules: &Rules, now: Wall) -> bool {
    let until = life.stale_error_until.max(life.stale_while_until);
    let demand = Demand::of(query, rules);
    !life.marks.has(Marks::NO_CACHE)
        && !demand.no_cache
        && (now < until || demand.takes_stale(life, now))
}

/// Is this a status that a stale answer may stand in for (RFC 5861 §4)?
pub const fn is_failure(status: u16) -> bool {
    matches!(status, 500 | 502 | 503 | 504)
}

/// The value of Age at `now`: whole seconds, at most 2^31.
pub fn age(life: &Life, now: Wall) -> u64 {
    (life.age + now.since(life.answered)).as_secs().min(SECONDS_MAX.into())
}

/// Could this entry, made for another request, be used for this one at all? For lookups, for those who
/// wait for another's answer, and for entries from a tier alike: [`super::store`] has let it in, its
/// selecting fields match, and this holds.
pub fn may_share(life: &Life, query: &Query<'_>) -> bool {
    // RFC 9111 §3.5 speaks of what authorised requests bring home. What came without authorisation is
    // not passed off on those who have it either: it may be a page for those who are not logged in.
    !query.fields.has(FieldName::Authorization) || life.marks.has(Marks::AUTHORIZED)
}
