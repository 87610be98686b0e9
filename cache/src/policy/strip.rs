//! What must not be kept in a stored head (RFC 9111 §3.1).

use super::is_listed;
use super::life::Control;
use crate::settings::Rules;
use base::field::members;
use base::{FieldName, ResponseHead};

/// Takes off what is not stored: fields of a connection or a hop, Age (it is in the
/// [`super::Life`]), dropped cookies, and what `no-cache="…"` and `private="…"` name.
///
/// Answers whether `no-cache="…"` or `private="…"` took something off that the client which asked is
/// to have all the same.
pub fn strip(response: &mut ResponseHead, rules: &Rules, targeted: &[String]) -> bool {
    let listed: Vec<Vec<u8>> =
        response.fields.all(FieldName::Connection).flat_map(members).map(<[u8]>::to_vec).collect();
    let control = Control::of(response, rules, targeted);
    let withheld: Vec<Vec<u8>> = control.said.withheld.iter().map(|list| list.to_vec()).collect();
    let names = || withheld.iter().flat_map(|list| members(list));
    let mut withholds = false;
    response.fields.retain(|field| {
        let is = |name: &[u8]| name.eq_ignore_ascii_case(field.name);
        let is_dropped = field.known == FieldName::SetCookie && is_dropped(field.value, rules);
        let is_withheld = names().any(is);
        withholds |= is_withheld;
        let is_named = is_withheld || listed.iter().any(|name| is(name));
        !is_dropped && !is_named && !is_of_hop(field.known, field.name)
    });
    withholds
}

fn is_of_hop(known: FieldName, name: &[u8]) -> bool {
    known == FieldName::Age
        || is_of_connection(known)
        || name.eq_ignore_ascii_case(b"proxy-authentication-info")
}

/// Is it a field of one connection?
pub(super) fn is_of_connection(known: FieldName) -> bool {
    use FieldName as N;
    matches!(
        known,
        N::Connection
            | N::KeepAlive
            | N::ProxyAuthenticate
            | N::ProxyAuthorization
            | N::ProxyConnection
            | N::Te
            | N::Trailer
            | N::TransferEncoding
            | N::Upgrade
    )
}

fn is_dropped(set_cookie: &[u8], rules: &Rules) -> bool {
    let end = set_cookie.iter().position(|&b| b == b'=' || b == b';').unwrap_or(set_cookie.len());
    is_listed(&rules.drop_cookies, set_cookie[..end].trim_ascii())
}

/// Would a cookie be set by what [`strip`] leaves?
pub(super) fn sets_cookie(response: &ResponseHead, control: &Control<'_>, rules: &Rules) -> bool {
    !control.said.withholds(b"set-cookie")
        && response.fields.all(FieldName::SetCookie).any(|cookie| !is_dropped(cookie, rules))
}
