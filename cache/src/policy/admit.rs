//! Whether the cache has anything to do with a request.

use super::control::{Directives, Flag};
use super::life::{Control, freshness_of};
use super::reason::Reason;
use super::{Query, cookies, invalidate, is_listed};
use crate::settings::Rules;
use base::{FieldName, ResponseHead};

/// Does the cache have anything to do with a request?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It is looked up, and its answer may be stored.
    Lookup,
    /// It goes to the service and is not looked up. Its answer may invalidate ([`super::invalidates`]),
    /// and be stored only where [`posted`] says so.
    Bypass(Reason),
}

/// Is this request looked up?
pub fn admit(query: &Query<'_>, rules: &Rules) -> Admission {
    match refusal(query, rules) {
        Some(reason) => Admission::Bypass(reason),
        None => Admission::Lookup,
    }
}

fn refusal(query: &Query<'_>, rules: &Rules) -> Option<Reason> {
    if !rules.enabled {
        return Some(Reason::Disabled);
    }
    if query.upgrade {
        return Some(Reason::Upgrade);
    }
    if !matches!(query.method, b"GET" | b"HEAD") {
        return Some(Reason::Method);
    }
    if query.has_body {
        return Some(Reason::Body);
    }
    let bypasses = |(name, _): (&[u8], &[u8])| is_listed(&rules.bypass_cookies, name);
    if !rules.bypass_cookies.is_empty() && cookies(query.fields).any(bypasses) {
        return Some(Reason::Cookie);
    }
    // RFC 9111 §4.3.2: these two are not applicable to a cache; the service judges them.
    if query.fields.has(FieldName::IfMatch) || query.fields.has(FieldName::IfUnmodifiedSince) {
        return Some(Reason::Condition);
    }
    if says(query, Flag::NoStore) {
        return Some(Reason::RequestNoStore);
    }
    None
}

pub(super) fn says(query: &Query<'_>, flag: Flag) -> bool {
    query.fields.has(FieldName::CacheControl) && Directives::of(query.fields).has(flag)
}

/// Must the answer come from the store, or be a 504 (RFC 9111 §5.2.1.7)?
pub fn only_if_cached(query: &Query<'_>) -> bool {
    says(query, Flag::OnlyIfCached)
}

/// The GET that the answer to this POST answers as well, for [`super::store`] and the key: its
/// Content-Location is the target itself, and it says how long it is fresh (RFC 9110 §9.3.3).
pub fn posted<'a>(
    query: &Query<'a>,
    origin: invalidate::Origin<'_>,
    target: &[u8],
    response: &ResponseHead,
    targeted: &[String],
) -> Option<Query<'a>> {
    if query.method != b"POST" || query.upgrade || response.status != 200 {
        return None;
    }
    let location = response.fields.get(FieldName::ContentLocation)?;
    let is_target = invalidate::resolve(origin, target, location)? == target;
    let control = Control::own(response, targeted);
    (is_target && freshness_of(response, &control).is_some()).then_some(Query {
        method: b"GET",
        has_body: false,
        ..*query
    })
}
