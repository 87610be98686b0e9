//! The cache on the path of a request: what is answered from store, what is fetched for many, what
//! goes by.
//!
//! The decisions are `cache::policy`'s; here they are asked for in order, and here is the waiting. A
//! hit ends in [`look`], which waits for nothing. Whatever has to be fetched and might be shared is
//! fetched by a task of its own ([`fetch`]); what an answer of the service means for the store is
//! settled in one place ([`settle`]), whoever asked for it.

pub mod fetch;
pub mod invalidate;
pub mod settle;
mod tiers;

use crate::forward::{self, Hop};
use crate::house::House;
use crate::path::Exchange;
use base::field::Names;
use base::{Fault, FaultKind, FieldName, Framing, RequestHead, ResponseHead, Wall};
use cache::entry::{Chosen, Entry, Holding, Resource};
use cache::policy::{self, Admission, Answer, CacheStatus, Forward, Query, Reason, Verdict};
use cache::settings::Rules;
use monitor::Cached;
use settings::Route;
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use wire::content::{Content, Reader};
use wire::{Body, Response};

/// What the cache says of a request before anybody is asked.
pub enum Look {
    /// Its route has no cache.
    Off,
    /// Here is the answer.
    Answer(Response),
    /// The service is asked as if there were no cache.
    Pass(Pass),
    /// The service is asked, and its answer may be kept.
    Fetch(Box<Plan>),
}

/// A request that goes past the store.
pub struct Pass {
    /// Why.
    pub reason: Reason,
    /// What is stored, for the answer to a HEAD to be compared with.
    pub stored: Option<(u128, Arc<Entry>)>,
}

/// A request whose answer may be shared.
pub struct Plan {
    /// For this client, at once, whoever else asks for the same.
    pub alone: bool,
    /// Its key.
    pub key: u128,
    /// The key's text.
    pub text: Box<[u8]>,
    /// What is stored and must be validated first.
    pub entry: Option<Arc<Entry>>,
    /// Why it was not a hit.
    pub reason: Reason,
    /// What tells its fetch from others of the same key.
    pub variant: u128,
    /// What is asked of the service is not what the key says: fields of the key do not cross the hop.
    pub tainted: bool,
}

thread_local! {
    /// Where keys are written.
    static TEXT: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Fields that make more of a hit than sending all that is stored.
const CONDITIONS: Names = Names::of(&[
    FieldName::Range,
    FieldName::IfMatch,
    FieldName::IfNoneMatch,
    FieldName::IfModifiedSince,
    FieldName::IfUnmodifiedSince,
]);

/// A request as the cache sees it.
pub fn query(head: &RequestHead, framing: Framing) -> Query<'_> {
    Query {
        method: head.method(),
        fields: &head.fields,
        has_body: framing != Framing::None,
        upgrade: head.fields.has(FieldName::Upgrade),
    }
}

/// Writes the key of a request and hands it out with its text.
pub fn with_key<T>(
    house: &House,
    exchange: &Exchange<'_>,
    (head, query): (&RequestHead, &Query<'_>),
    rules: &Rules,
    with: impl FnOnce(u128, &[u8]) -> T,
) -> T {
    let scheme: &[u8] = if is_https(house, exchange) { b"https" } else { b"http" };
    TEXT.with_borrow_mut(|text| {
        text.clear();
        let (host, target) = (head.host_received(), head.target_received());
        let seed = house.snapshot.cache.seed;
        let key = policy::key(scheme, host, target, query, rules, seed, text);
        with(key, text)
    })
}

/// Does the client speak TLS, to us or to a proxy whose word is believed?
fn is_https(house: &House, exchange: &Exchange<'_>) -> bool {
    let fields = &exchange.head.fields;
    if fields.has(FieldName::XForwardedProto) && forward::is_trusted(exchange.peer, &house.snapshot)
    {
        let said = fields.get(FieldName::XForwardedProto).unwrap_or_default();
        return said.eq_ignore_ascii_case(b"https");
    }
    exchange.peer.tls
}

/// The round in which a request waits for nobody any more.
pub const ALONE: usize = usize::MAX;

/// Looks a request up, for the `round`-th time.
///
/// # Errors
/// `NotCached`: the client wants what is stored and nothing else, and nothing is.
pub fn look(
    house: &Rc<House>,
    exchange: &mut Exchange<'_>,
    route: &Route,
    round: usize,
) -> Result<Look, Fault> {
    let rules = &route.cache;
    if !rules.enabled {
        return Ok(Look::Off);
    }
    let now = exchange.facts.begun.wall_ms();
    let query = query(&exchange.head, exchange.framing);
    if let Admission::Bypass(reason) = policy::admit(&query, rules) {
        return Ok(Look::Pass(Pass { reason, stored: None }));
    }
    let cache = &house.snapshot.cache;
    let head = &exchange.head;
    let (key, found, known) = with_key(house, exchange, (head, &query), rules, |key, text| {
        let resource = cache.get(key, text);
        let known = resource.is_some();
        let chosen = resource.as_ref().and_then(|r| r.choose(&query, rules, &cache.stamps));
        let living = chosen.filter(|chosen| chosen.entry.life.keep_until > now);
        (key, living.map(|Chosen { entry, soft }| (Arc::clone(entry), soft)), known)
    });
    let Some((entry, soft)) = found else {
        let reason = if known { Reason::VaryMiss } else { Reason::UriMiss };
        return miss(house, exchange, rules, (key, reason, round));
    };
    let verdict = match policy::judge(&entry.life, &query, rules, now, fastrand::f64()) {
        Verdict::Fresh | Verdict::FreshEarly if soft => policy::judge_purged(&entry.life),
        verdict => verdict,
    };
    match verdict {
        Verdict::Fresh => Ok(Look::Answer(hit(exchange, &entry, now))),
        Verdict::FreshEarly => {
            refresh(house, exchange, route, key, &entry, now);
            Ok(Look::Answer(hit(exchange, &entry, now)))
        }
        Verdict::StaleWhileRevalidate => {
            refresh(house, exchange, route, key, &entry, now);
            Ok(Look::Answer(stale(exchange, &entry, now)))
        }
        Verdict::Revalidate(reason) => {
            if policy::only_if_cached(&query) {
                return Err(not_cached());
            }
            if entry.is_failing() && policy::may_serve_on_error(&entry.life, &query, rules, now) {
                // The service failed a moment ago: one tries again while all others are served.
                refresh(house, exchange, route, key, &entry, now);
                return Ok(Look::Answer(stale(exchange, &entry, now)));
            }
            if exchange.head.is_head() {
                let stored = Some((key, entry));
                return Ok(Look::Pass(Pass { reason: Reason::Head, stored }));
            }
            Ok(Look::Fetch(Box::new(plan(house, exchange, rules, (key, reason, round), Some(entry)))))
        }
    }
}

fn not_cached() -> Fault {
    Fault::new(FaultKind::NotCached, "nothing stored answers this, and only-if-cached forbids to ask")
}

/// Nothing stored answers.
fn miss(
    house: &Rc<House>,
    exchange: &Exchange<'_>,
    rules: &Rules,
    (key, reason, round): (u128, Reason, usize),
) -> Result<Look, Fault> {
    let query = query(&exchange.head, exchange.framing);
    if policy::only_if_cached(&query) {
        return Err(not_cached());
    }
    if exchange.head.is_head() {
        return Ok(Look::Pass(Pass { reason: Reason::Head, stored: None }));
    }
    Ok(Look::Fetch(Box::new(plan(house, exchange, rules, (key, reason, round), None))))
}

fn plan(
    house: &House,
    exchange: &Exchange<'_>,
    rules: &Rules,
    (key, reason, round): (u128, Reason, usize),
    entry: Option<Arc<Entry>>,
) -> Plan {
    let query = query(&exchange.head, exchange.framing);
    let head = &exchange.head;
    with_key(house, exchange, (head, &query), rules, |_, text| {
        let resource = house.snapshot.cache.get(key, text);
        let variant = variant(key, &query, rules, resource.as_deref(), entry.is_some());
        let shy = &house.snapshot.cache.shy;
        let alone = round == ALONE || shy.is(key, exchange.facts.begun.wall_ms());
        Plan { alone, tainted: false, key, text: text.into(), entry, reason, variant }
    })
}

/// What tells the fetch for a request from others of the same key: what the last answer varied by,
/// and, while nothing is stored, the conditions that the client puts to the service.
fn variant(
    key: u128,
    query: &Query<'_>,
    rules: &Rules,
    resource: Option<&Resource>,
    stored: bool,
) -> u128 {
    let newest = resource.and_then(|resource| resource.entries.first());
    let mut text = newest.map_or_else(Vec::new, |entry| entry.selecting.variant(query, rules));
    if !stored && query.fields.may_have_any(CONDITIONS) {
        for field in query.fields.iter().filter(|field| CONDITIONS.has(field.known)) {
            text.extend_from_slice(field.name);
            text.push(b':');
            text.extend_from_slice(field.value);
            text.push(b'\n');
        }
    }
    if text.is_empty() { key } else { key ^ cache::hash(&text) }
}

fn refresh(
    house: &Rc<House>,
    exchange: &Exchange<'_>,
    route: &Route,
    key: u128,
    entry: &Arc<Entry>,
    now: Wall,
) {
    if !entry.claim(now) {
        return;
    }
    let plan = plan(house, exchange, &route.cache, (key, Reason::Stale, 0), Some(Arc::clone(entry)));
    fetch::in_background(house, exchange, route, plan);
}

/// The answer from a fresh entry.
fn hit(exchange: &mut Exchange<'_>, entry: &Entry, now: Wall) -> Response {
    exchange.facts.cached = Some(Cached::Hit);
    answer(exchange, (entry, None), now, &CacheStatus::hit(policy::ttl(&entry.life, now)))
}

/// The answer from a stale one.
pub fn stale(exchange: &mut Exchange<'_>, entry: &Entry, now: Wall) -> Response {
    exchange.facts.cached = Some(Cached::Stale);
    answer(exchange, (entry, None), now, &CacheStatus::hit(policy::ttl(&entry.life, now)))
}

/// The answer that an entry gives to this request, by `reader` if its body is still coming.
pub fn answer(
    exchange: &Exchange<'_>,
    (entry, reader): (&Entry, Option<Reader>),
    now: Wall,
    status: &CacheStatus<'_>,
) -> Response {
    let query = query(&exchange.head, exchange.framing);
    let mut response = match &entry.holding {
        Holding::Coming(_) => coming(entry, reader),
        Holding::Whole(content) => {
            let length = content.len();
            let answer = if query.fields.may_have_any(CONDITIONS) && entry.range.is_none() {
                policy::answer(&query, &entry.head, length)
            } else {
                Answer::Whole
            };
            shaped(entry, content, answer)
        }
    };
    let fields = &mut response.head.fields;
    let mut digits = [0; 20];
    fields.push_as(FieldName::Age, b"Age", policy::digits(policy::age(&entry.life, now), &mut digits));
    put_status(&mut response.head, status);
    response
}

/// Appends our member to Cache-Status (RFC 9211).
pub fn put_status(head: &mut ResponseHead, status: &CacheStatus<'_>) {
    TEXT.with_borrow_mut(|text| {
        text.clear();
        status.write("fleetfoot", text);
        head.fields.push_as(FieldName::CacheStatus, b"Cache-Status", text);
    });
}

fn coming(entry: &Entry, reader: Option<Reader>) -> Response {
    let head = entry.head.copied();
    let length = head.fields.get(FieldName::ContentLength).and_then(wire::h1::framing::decimal);
    let framing = length.map_or(Framing::Chunked, Framing::Length);
    let body = reader.map_or(Body::Empty, |reader| Body::Flow(Box::new(reader)));
    Response { head, body, framing }
}

fn shaped(entry: &Entry, content: &Content, answer: Answer) -> Response {
    let length = content.len();
    let whole = |head: ResponseHead| {
        let framing =
            if head.is_bodiless() { Framing::None } else { Framing::Length(length) };
        Response { head, body: content.body(), framing }
    };
    match answer {
        Answer::Whole => whole(entry.head.copied()),
        Answer::NotModified => {
            let head = policy::not_modified(&entry.head);
            Response { head, body: Body::Empty, framing: Framing::None }
        }
        Answer::PreconditionFailed => Response::whole(ResponseHead::build(412), Vec::new()),
        Answer::Unsatisfiable => {
            Response::whole(policy::unsatisfiable(length), Vec::new())
        }
        Answer::Partial(range) => {
            let head = policy::partial(&entry.head, &range, length);
            let pieces = content.pieces(range.clone());
            let framing = Framing::Length(range.end - range.start);
            Response { head, body: Body::Pieces(Box::new(pieces)), framing }
        }
        Answer::Parts(ranges) => {
            let (head, parts) = policy::multipart(&entry.head, &ranges, length);
            let mut pieces = std::collections::VecDeque::new();
            for (range, before) in ranges.iter().zip(&parts.before) {
                pieces.push_back(bytes::Bytes::copy_from_slice(before));
                pieces.extend(content.pieces(range.clone()));
            }
            pieces.push_back(bytes::Bytes::copy_from_slice(&parts.end));
            let sum = pieces.iter().map(|piece| piece.len() as u64).sum();
            Response { head, body: Body::Pieces(Box::new(pieces)), framing: Framing::Length(sum) }
        }
    }
}

/// Makes a request ready for the next hop, and sees whether its key is still its own.
fn forwarded(
    house: &House,
    exchange: &Exchange<'_>,
    route: &Route,
    head: &mut RequestHead,
    plan: &mut Plan,
) {
    let hop = Hop { peer: exchange.peer, framing: Framing::None, expects: false };
    forward::request(head, hop, &house.snapshot, route);
    let query = query(head, Framing::None);
    plan.tainted =
        with_key(house, exchange, (head, &query), &route.cache, |_, text| *text != *plan.text);
}

/// What a response to a request that went past the store means for it; marks the response.
pub fn passed(
    house: &House,
    exchange: &mut Exchange<'_>,
    route: &Route,
    pass: &Pass,
    response: &mut Response,
) {
    exchange.facts.cached = Some(Cached::Pass);
    invalidate::after(house, exchange, route, response);
    if let Some((key, entry)) = &pass.stored {
        invalidate::by_head(house, *key, entry, &response.head);
    }
    let status = CacheStatus::forwarded(Forward::of(pass.reason), response.head.status);
    put_status(&mut response.head, &status.because(pass.reason));
}
