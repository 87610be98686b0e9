//! What a request asks of whoever chooses a server for it: which service of a split, how much it
//! matters, by what it is hashed, and until when it is of use.

use crate::forward;
use crate::house::{House, Snapshot};
use crate::path::Exchange;
use crate::route::Router;
use base::{Deadline, FieldName, RequestHead};
use service::deadline::{self, Told};
use service::settings::Class;
use settings::Route;
use std::net::IpAddr;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

/// What was found out about one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steering {
    /// The service, as an index into those in force.
    pub service: usize,
    /// How much it matters.
    pub class: Class,
    /// The hash of what its service is balanced by, if it has that.
    pub hash: Option<u64>,
    /// How long its route and its service give it, whatever its client says.
    pub longest: Duration,
    /// Services are told how long is left: the client said so, or the route does.
    pub tells: bool,
    /// The client gives less time than its route and its service do.
    pub hurried: bool,
}

impl Steering {
    /// Of a request of which nothing is known yet.
    pub const NONE: Self = Self {
        service: 0,
        class: Class::Normal,
        hash: None,
        longest: Duration::ZERO,
        tells: false,
        hurried: false,
    };
}

/// Finds out about a request of route `index`; narrows its deadline to the client's.
pub fn steer(house: &House, exchange: &mut Exchange<'_>, index: usize) -> Steering {
    let snapshot = &*house.snapshot;
    let route = &snapshot.settings.routes[index];
    let service = if route.split.is_empty() { route.service } else { split(route) };
    let settings = &house.services[service].settings;
    let longest = route.timeout.unwrap_or(settings.total_time);
    exchange.by = Deadline::after(exchange.facts.begun, longest);
    let told = deadline::told(&exchange.head.fields, &snapshot.settings.deadlines);
    let ours = exchange.by;
    exchange.by = deadline::deadline(exchange.facts.begun, ours, told);
    Steering {
        service,
        class: class(route, exchange, snapshot),
        hash: hash(settings, exchange, &snapshot.router, index),
        longest,
        hurried: exchange.by < ours,
        tells: matches!(told, Told::For(_)) || route.timeout.is_some(),
    }
}

/// One of the services of a split, by weight.
fn split(route: &Route) -> usize {
    let total: u32 = route.split.iter().map(|(_, weight)| weight).sum();
    let mut at = fastrand::u32(0..total.max(1));
    for (service, weight) in &route.split {
        match at.checked_sub(*weight) {
            None => return *service,
            Some(left) => at = left,
        }
    }
    route.service
}

/// How much it matters. Anybody may say that a request matters less than its route's do; that it
/// matters more is believed of trusted proxies alone.
fn class(route: &Route, exchange: &Exchange<'_>, snapshot: &Snapshot) -> Class {
    let Some(field) = &route.class_field else { return route.class };
    let said = match exchange.head.fields.find(field.as_bytes()) {
        Some(b"critical") => Class::Critical,
        Some(b"normal") => Class::Normal,
        Some(b"background") => Class::Background,
        _ => return route.class,
    };
    if said <= route.class || forward::is_trusted(exchange.peer, snapshot) {
        said
    } else {
        route.class
    }
}

/// The hash of what the service is balanced by.
fn hash(
    settings: &service::settings::Settings,
    exchange: &Exchange<'_>,
    router: &Router,
    index: usize,
) -> Option<u64> {
    use balance::settings::{HashBy, Policy};
    let Policy::Hash(rule) = &settings.balance.policy else { return None };
    let head = &exchange.head;
    match &rule.by {
        HashBy::Header(name) => head.fields.find(name.as_bytes()).map(xxh3_64),
        HashBy::Cookie(name) => cookie(head, name).map(xxh3_64),
        HashBy::Parameter(name) => {
            let mut all = router.parameters(index, head.path());
            all.find(|(known, _)| known == name).map(|(_, value)| xxh3_64(value))
        }
        HashBy::Path => Some(xxh3_64(head.path())),
        HashBy::Client => Some(match exchange.peer.address.ip().to_canonical() {
            IpAddr::V4(ip) => xxh3_64(&ip.octets()),
            IpAddr::V6(ip) => xxh3_64(&ip.octets()),
        }),
    }
}

/// The value of a cookie (RFC 6265 §5.4).
fn cookie<'a>(head: &'a RequestHead, name: &str) -> Option<&'a [u8]> {
    head.fields
        .all(FieldName::Cookie)
        .flat_map(|value| value.split(|b| *b == b';'))
        .map(<[u8]>::trim_ascii)
        .find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
}

#[cfg(test)]
mod tests {
    use super::*;
    use base::Version;

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let mut head = RequestHead::build(Version::Http11, b"GET", b"/");
        head.fields.push(b"Cookie", b"uid2=b; uid=a; other=c");
        head.fields.push(b"Cookie", b"late=d");
        for (name, value) in
            [("uid", Some("a")), ("uid2", Some("b")), ("late", Some("d")), ("ui", None)]
        {
            assert_eq!(cookie(&head, name), value.map(str::as_bytes), "{name}");
        }
    }

    #[test]
    fn a_split_follows_its_weights() {
        let pattern = settings::pattern::parse("*").expect("a pattern");
        let rules = cache::settings::Rules::standard();
        let route = Route {
            split: vec![(3, 90), (5, 9), (7, 1)],
            ..Route::plain("split".to_owned(), pattern, 3, rules)
        };
        let mut counts = [0_u32; 8];
        (0..100_000).for_each(|_| counts[split(&route)] += 1);
        for (service, share) in [(3, 90_000), (5, 9_000), (7, 1_000)] {
            let off = counts[service].abs_diff(share);
            assert!(off * 10 < share * 2, "{service}: {} of {share}", counts[service]);
        }
    }
}
