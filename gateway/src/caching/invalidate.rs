//! What is forgotten: by purges, by unsafe requests that succeeded, by what a HEAD shows.

use crate::house::{House, Snapshot};
use crate::path::Exchange;
use crate::route::Found;
use base::{Deadline, FieldName, Fields, Moment, ResponseHead};
use cache::entry::Entry;
use cache::policy::{self, HeadEffect, Origin, Query};
use cache::stamps::{Purge, Scope};
use std::sync::Arc;
use wire::Response;
use wire::timer::within;

/// What an unsafe request has changed (RFC 9111 §4.4), and the groups that its answer names (RFC 9875):
/// to be forgotten.
pub fn after(house: &House, exchange: &Exchange<'_>, response: &Response) -> Option<Purge> {
    let head = &exchange.head;
    if !policy::invalidates(head.method(), response.head.status) {
        return None;
    }
    let origin = super::origin(house, exchange);
    let snapshot = &house.snapshot;
    let targets = policy::invalidated(origin, head.target_received(), &response.head);
    let urls = targets.iter().map(|target| Scope::Url(url(snapshot, origin, target)));
    let groups = policy::invalidated_groups(origin, &response.head).into_iter().map(Scope::Tag);
    let scopes: Vec<Scope> = urls.chain(groups).collect();
    Some(Purge { scopes, soft: false })
}

/// Forgets what an unsafe request has changed, before its client has the answer: here, and in all
/// gateways that can be told in the time that an answer of the shared tier may take. The others are
/// told all the same. Who has changed a page sees it changed, whichever gateway is asked.
pub async fn tell(house: &House, purge: &Purge) {
    let cache = &house.snapshot.cache;
    let told = cache.purge_everywhere(purge);
    let by = Deadline::after(Moment::now(), house.snapshot.settings.cache.shared_time);
    let _late = within(by, told).await;
}

/// What entries of this URL are marked with, by the rules of the route that GET takes.
pub fn url(snapshot: &Snapshot, origin: Origin<'_>, target: &[u8]) -> u128 {
    let path = target.split(|&b| b == b'?').next().unwrap_or_default();
    let standard = &snapshot.settings.cache.rules;
    let host = origin.authority().to_ascii_lowercase();
    let host = crate::path::bare_host(&host, &mut [0; 256]).to_vec();
    let rules = match snapshot.router.find(b"GET", &host, path) {
        Found::Route(index) => &snapshot.settings.routes[index].cache,
        Found::NoRoute | Found::MethodNotAllowed(_) => standard,
    };
    let fields = Fields::new();
    let query = Query { method: b"GET", fields: &fields, has_body: false, upgrade: false };
    let mut text = Vec::new();
    policy::key(origin, target, &query, rules, 0, &mut text);
    cache::stamps::hash_url(cache::spot(&text), snapshot.cache.seed)
}

/// What a HEAD shows of what is stored for GET (RFC 9111 §4.3.5).
pub fn by_head(
    house: &House,
    exchange: &Exchange<'_>,
    entry: &Arc<Entry>,
    response: &ResponseHead,
) {
    let mut stored = entry.head.copied();
    if let Some(content) = entry.content() {
        stored.fields.set(FieldName::ContentLength, content.len().to_string().as_bytes());
    }
    if policy::by_head(&stored, response) == HeadEffect::Invalid {
        let origin = super::origin(house, exchange);
        let url = url(&house.snapshot, origin, exchange.head.target_received());
        house.snapshot.cache.purge(&Purge { scopes: vec![Scope::Url(url)], soft: false });
    }
}
