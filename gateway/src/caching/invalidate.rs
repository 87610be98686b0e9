//! What is forgotten: by purges, by unsafe requests that succeeded, by what a HEAD shows.

use crate::house::{House, Snapshot};
use crate::path::Exchange;
use crate::route::Found;
use base::{Fields, ResponseHead};
use cache::entry::Entry;
use cache::policy::{self, HeadEffect, Query};
use cache::stamps::{Purge, Scope};
use settings::Route;
use std::sync::Arc;
use wire::Response;

/// Forgets what an unsafe request has changed (RFC 9111 §4.4), and the groups that its answer names
/// (RFC 9875).
pub fn after(house: &House, exchange: &Exchange<'_>, route: &Route, response: &Response) {
    let head = &exchange.head;
    if !policy::invalidates(head.method(), response.head.status) {
        return;
    }
    let (host, target) = (head.host_received(), head.target_received());
    let changed = policy::invalidated(host, target, &response.head, &route.cache);
    let mut scopes: Vec<Scope> =
        changed.places.iter().map(|place| Scope::Url(cache::hash(place))).collect();
    scopes.extend(changed.groups.into_iter().map(Scope::Tag));
    if !scopes.is_empty() {
        house.snapshot.cache.purge(&Purge { scopes, soft: false });
    }
}

/// What entries of this URL are marked with, by the rules of the route that GET takes.
pub fn url(snapshot: &Snapshot, host: &[u8], target: &[u8]) -> u128 {
    let path = target.split(|&b| b == b'?').next().unwrap_or_default();
    let standard = &snapshot.settings.cache.rules;
    let rules = match snapshot.router.find(b"GET", host, path) {
        Found::Route(index) => &snapshot.settings.routes[index].cache,
        Found::NoRoute | Found::MethodNotAllowed(_) => standard,
    };
    let fields = Fields::new();
    let query = Query { method: b"GET", fields: &fields, has_body: false, upgrade: false };
    let mut text = Vec::new();
    policy::key(b"http", host, target, &query, rules, 0, &mut text);
    cache::Place::of(&text).url
}

/// What a HEAD shows of what is stored for GET (RFC 9111 §4.3.5).
pub fn by_head(house: &House, key: u128, entry: &Arc<Entry>, response: &ResponseHead) {
    if policy::by_head(&entry.head, response) == HeadEffect::Invalid {
        house.snapshot.cache.remove(key);
    }
}
