//! The cache on the path of a request: what is answered from store, what is fetched for many, what
//! goes by.
//!
//! The decisions are `cache::policy`'s; here they are asked for in order, and here is the waiting. A
//! hit ends in [`look`], which waits for nothing. Whatever has to be fetched and might be shared is
//! fetched by a task of its own ([`fetch`]); what an answer of the service means for the store is
//! settled in one place ([`settle`]), whoever asked for it.

pub mod fetch;
pub mod figures;
pub mod invalidate;
pub mod settle;
mod tiers;

use self::settle::Settled;
use crate::forward::{self, Hop};
use crate::house::House;
use crate::path::Exchange;
use base::field::Names;
use base::{Fault, FaultKind, FieldName, Framing, RequestHead, ResponseHead, Wall};
use bytes::Bytes;
use cache::Place;
use cache::entry::{Chosen, Entry, Holding, Resource};
use cache::policy::{
    self, Admission, Answer, CacheStatus, Marks, Origin, Query, Range, Reason, Verdict,
};
use cache::settings::Rules;
use cache::stamps::Purge;
use monitor::Cached;
use settings::Route;
use std::cell::RefCell;
use std::collections::VecDeque;
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
    pub stored: Option<Arc<Entry>>,
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
    /// Where values of fields are written.
    static VALUE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Fields that make more of a hit than sending all that is stored.
const CONDITIONS: Names = Names::of(&[
    FieldName::Range,
    FieldName::IfMatch,
    FieldName::IfNoneMatch,
    FieldName::IfModifiedSince,
    FieldName::IfUnmodifiedSince,
]);

/// Where what is asked for belongs.
fn place<'a>(house: &House, plan: &'a Plan) -> Place<'a> {
    Place::of(plan.key, &plan.text, house.snapshot.cache.seed)
}

/// A request as the cache sees it.
pub fn query(head: &RequestHead, framing: Framing) -> Query<'_> {
    Query {
        method: head.method(),
        fields: &head.fields,
        has_body: framing != Framing::None,
        upgrade: head.fields.has(FieldName::Upgrade),
    }
}

/// The head of a request as the service would see it. What an answer was selected by is that, not
/// what the client said: who claims another's X-Forwarded-For does not get the other's page.
fn crossed(house: &House, exchange: &Exchange<'_>) -> Option<RequestHead> {
    let route = &house.snapshot.settings.routes[usize::from(exchange.facts.route?)];
    let mut head = exchange.head.clone();
    let hop = Hop { peer: exchange.peer, framing: exchange.framing, expects: exchange.expects };
    forward::request(&mut head, hop, &house.snapshot, route);
    Some(head)
}

/// Writes the key of a request and hands it out with its text.
pub fn with_key<T>(
    house: &House,
    exchange: &Exchange<'_>,
    (head, query): (&RequestHead, &Query<'_>),
    rules: &Rules,
    with: impl FnOnce(u128, &[u8]) -> T,
) -> T {
    let origin = origin(house, exchange);
    let seed = house.snapshot.cache.seed;
    TEXT.with_borrow_mut(|text| {
        let key = policy::key(origin, head.target_received(), query, rules, seed, text);
        with(key, text)
    })
}

/// Whom a request was meant for.
pub fn origin<'a>(house: &House, exchange: &'a Exchange<'_>) -> Origin<'a> {
    let scheme: &[u8] = if is_https(house, exchange) { b"https" } else { b"http" };
    Origin { scheme, host: exchange.head.host_received() }
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
    if matches!(exchange.head.method(), b"PURGE" | b"BAN") && route.pattern.methods.is_empty() {
        // Caches behind us take these from anybody who gets through; a route that means it names them.
        let allow = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS, TRACE";
        return Err(Fault::new(FaultKind::MethodNotAllowed, allow));
    }
    let now = exchange.facts.begun.wall_ms();
    let query = query(&exchange.head, exchange.framing);
    if let Admission::Bypass(reason) = policy::admit(&query, rules) {
        return Ok(Look::Pass(Pass { reason, stored: None }));
    }
    let cache = &house.snapshot.cache;
    let head = &exchange.head;
    let (key, seen) = with_key(house, exchange, (head, &query), rules, |key, text| {
        let Some(resource) = cache.get(key, text) else {
            return (key, Seen::Nothing(Reason::Absent));
        };
        let rewritten = resource.varies_by_any(forward::REWRITTEN);
        let crossed = if rewritten { crossed(house, exchange) } else { None };
        let query = crossed.as_ref().map_or(query, |head| self::query(head, exchange.framing));
        let chosen = match resource.choose(&query, rules, &cache.stamps, now) {
            Ok(chosen) => chosen,
            Err(why) => return (key, Seen::Nothing(why)),
        };
        let verdict = match verdict(chosen, &query, rules, now) {
            Verdict::Revalidate(reason) => Verdict::Revalidate(reason),
            _ if is_in_doubt(house) => Verdict::Revalidate(Reason::Doubt),
            verdict => verdict,
        };
        if verdict == Verdict::Fresh {
            return (key, Seen::Hit(hit(exchange, chosen.entry, now)));
        }
        (key, Seen::Entry(Arc::clone(chosen.entry), verdict))
    });
    let (entry, verdict) = match seen {
        Seen::Hit(response) => {
            exchange.facts.cached = Some(Cached::Hit);
            return Ok(Look::Answer(response));
        }
        Seen::Entry(entry, verdict) => (entry, verdict),
        Seen::Nothing(why) => return miss(house, exchange, rules, (key, why, round)),
    };
    match verdict {
        Verdict::Fresh | Verdict::FreshEarly => {
            refresh(house, exchange, route, key, &entry, now);
            exchange.facts.cached = Some(Cached::Hit);
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
                let stored = Some(entry);
                return Ok(Look::Pass(Pass { reason: Reason::Head, stored }));
            }
            Ok(Look::Fetch(Box::new(plan(
                house,
                exchange,
                rules,
                (key, reason, round),
                Some(entry),
            ))))
        }
    }
}

/// What is stored under a key.
enum Seen {
    /// The answer.
    Hit(Response),
    /// An entry that is not simply fresh.
    Entry(Arc<Entry>, Verdict),
    /// Nothing that answers, and why.
    Nothing(Reason),
}

fn verdict(chosen: Chosen<'_>, query: &Query<'_>, rules: &Rules, now: Wall) -> Verdict {
    let Chosen { entry, soft } = chosen;
    if !soft {
        return policy::judge(&entry.life, query, rules, now, fastrand::f64());
    }
    match policy::judge(&entry.life.expired(now), query, rules, now, 1.0) {
        // What was purged softly is served once more, by whoever purged it so.
        Verdict::Revalidate(Reason::Stale) if !entry.life.marks.has(Marks::MUST_REVALIDATE) => {
            Verdict::StaleWhileRevalidate
        }
        verdict => verdict,
    }
}

/// May others have purged what is in memory, and is that a reason to ask the service?
fn is_in_doubt(house: &House) -> bool {
    house.snapshot.settings.cache.fence && house.snapshot.cache.is_in_doubt()
}

fn not_cached() -> Fault {
    Fault::new(
        FaultKind::NotCached,
        "nothing stored answers this, and only-if-cached forbids to ask",
    )
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
        let rewritten = resource.as_ref().is_some_and(|r| r.varies_by_any(forward::REWRITTEN));
        let crossed = if rewritten { crossed(house, exchange) } else { None };
        let query = crossed.as_ref().map_or(query, |head| self::query(head, exchange.framing));
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
    let mut text = newest
        .map_or_else(Vec::new, |entry| policy::variant(entry.selecting.names(), query, rules));
    if !stored && query.fields.may_have_any(CONDITIONS) {
        for field in query.fields.iter().filter(|field| CONDITIONS.has(field.known)) {
            text.extend_from_slice(field.name);
            text.push(b':');
            text.extend_from_slice(field.value);
            text.push(b'\n');
        }
    }
    if text.is_empty() { key } else { key ^ cache::stamps::hash_url(&text, 0) }
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
    let plan =
        plan(house, exchange, &route.cache, (key, Reason::Stale, 0), Some(Arc::clone(entry)));
    fetch::in_background(house, exchange, route, plan);
}

/// The answer from a fresh entry.
fn hit(exchange: &Exchange<'_>, entry: &Entry, now: Wall) -> Response {
    answer(exchange, (entry, None), now, &CacheStatus::hit(entry.life.ttl(now)))
}

/// The answer from a stale one.
pub fn stale(exchange: &mut Exchange<'_>, entry: &Entry, now: Wall) -> Response {
    exchange.facts.cached = Some(Cached::Stale);
    answer(exchange, (entry, None), now, &CacheStatus::hit(entry.life.ttl(now)))
}

/// The answer that an entry gives to this request, by `reader` if its body is still coming.
pub fn answer(
    exchange: &Exchange<'_>,
    (entry, reader): (&Entry, Option<Reader>),
    now: Wall,
    status: &CacheStatus,
) -> Response {
    let query = query(&exchange.head, exchange.framing);
    let mut response = match &entry.holding {
        Holding::Coming(_, length) => coming(entry, reader, *length),
        Holding::Whole(content) => shaped(entry, content, &query, now),
    };
    put_age(&mut response.head, policy::age(&entry.life, now));
    put_status(&mut response.head, status);
    response
}

/// Appends Age.
fn put_age(head: &mut ResponseHead, age: u64) {
    VALUE.with_borrow_mut(|value| {
        value.clear();
        wire::h1::encode::decimal(value, age);
        head.fields.push_as(FieldName::Age, b"Age", value);
    });
}

/// Appends our member to Cache-Status (RFC 9211).
pub fn put_status(head: &mut ResponseHead, status: &CacheStatus) {
    VALUE.with_borrow_mut(|value| {
        value.clear();
        status.write("fleetfoot", value);
        head.fields.push_as(FieldName::CacheStatus, b"Cache-Status", value);
    });
}

fn coming(entry: &Entry, reader: Option<Reader>, length: Option<u64>) -> Response {
    let head = entry.head.copied();
    let framing = length.map_or(Framing::Chunked, Framing::Length);
    let body = reader.map_or(Body::Empty, |reader| Body::Flow(Box::new(reader)));
    Response { head, body, framing }
}

/// What of a whole entry answers this request: usually all of it.
fn shaped(entry: &Entry, content: &Content, query: &Query<'_>, now: Wall) -> Response {
    if !query.fields.may_have_any(CONDITIONS) {
        return whole(entry, content);
    }
    match policy::answer(query, &entry.head, content.len(), now) {
        Answer::Whole => match entry.range.zip(entry.part(query, now)) {
            Some((held, range)) => {
                let head = policy::partial(&entry.head, range, held.complete);
                part(head, content, range, held.range.first)
            }
            None => whole(entry, content),
        },
        Answer::NotModified => {
            let head = policy::not_modified(&entry.head);
            Response { head, body: Body::Empty, framing: Framing::None }
        }
        Answer::Unsatisfiable => Response::whole(policy::unsatisfiable(content.len()), Vec::new()),
        Answer::Partial(range) => {
            part(policy::partial(&entry.head, range, Some(content.len())), content, range, 0)
        }
        Answer::Parts(ranges) => parts(entry, content, &ranges),
    }
}

fn whole(entry: &Entry, content: &Content) -> Response {
    let head = entry.head.copied();
    let framing = if head.is_bodiless() { Framing::None } else { Framing::Length(content.len()) };
    Response { head, body: content.body(), framing }
}

/// A range of the representation, of which `content` begins at `first`.
fn part(head: ResponseHead, content: &Content, range: Range, first: u64) -> Response {
    let pieces = content.pieces(range.first - first..range.last - first + 1);
    let framing = Framing::Length(range.length());
    Response { head, body: Body::Pieces(Box::new(pieces)), framing }
}

fn parts(entry: &Entry, content: &Content, ranges: &[Range]) -> Response {
    let multipart = policy::multipart(&entry.head, ranges, content.len(), fastrand::u128(..));
    let mut pieces = VecDeque::new();
    for (lead, range) in multipart.parts {
        pieces.push_back(Bytes::from(lead));
        pieces.extend(content.pieces(range.first..range.last + 1));
    }
    pieces.push_back(Bytes::from(multipart.end));
    let length = pieces.iter().map(|piece| piece.len() as u64).sum();
    let framing = Framing::Length(length);
    Response { head: multipart.head, body: Body::Pieces(Box::new(pieces)), framing }
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

/// What a response on a route without a cache makes invalid of what other routes have stored.
pub fn wrote(house: &House, exchange: &Exchange<'_>, response: &Response) -> Option<Purge> {
    if house.snapshot.caches { invalidate::after(house, exchange, response) } else { None }
}

/// What a response to a request that went past the store means for it; marks the response. Answers
/// what it makes invalid, for [`invalidate::tell`].
#[must_use]
pub fn passed(
    house: &House,
    exchange: &mut Exchange<'_>,
    pass: &Pass,
    response: &mut Response,
) -> Option<Purge> {
    exchange.facts.cached = Some(Cached::Pass);
    let purge = invalidate::after(house, exchange, response);
    if let Some(entry) = &pass.stored {
        invalidate::by_head(house, exchange, entry, &response.head);
    }
    put_pass(pass, &mut response.head);
    purge
}

fn put_pass(pass: &Pass, head: &mut ResponseHead) {
    let mut status = CacheStatus::forwarded(pass.reason.forward());
    status.detail = Some(pass.reason.name());
    put_status(head, &status);
}

/// The same for a POST, whose answer is stored where it answers a GET as well (RFC 9110 §9.3.3). What
/// it makes invalid is forgotten first, everywhere: what is stored here must not be.
pub async fn posted(
    house: &House,
    exchange: &mut Exchange<'_>,
    route: &Route,
    pass: &Pass,
    mut response: Response,
) -> Response {
    let head = &exchange.head;
    let query = query(head, exchange.framing);
    let targeted = &house.snapshot.settings.cache.targeted;
    let origin = origin(house, exchange);
    let target = head.target_received();
    let Some(get) = policy::posted(&query, origin, target, &response.head, targeted) else {
        if let Some(purge) = passed(house, exchange, pass, &mut response) {
            invalidate::tell(house, &purge).await;
        }
        return response;
    };
    exchange.facts.cached = Some(Cached::Pass);
    if let Some(purge) = invalidate::after(house, exchange, &response) {
        invalidate::tell(house, &purge).await;
    }
    let plan = with_key(house, exchange, (head, &get), &route.cache, |key, text| Plan {
        alone: true,
        key,
        text: text.into(),
        entry: None,
        reason: Reason::Method,
        variant: key,
        tainted: false,
    });
    let asked = exchange.facts.asked.unwrap_or(exchange.facts.begun).wall_ms();
    let stamp = house.snapshot.cache.stamps.now();
    let aim = settle::Aim { plan: &plan, entry: None, conditional: false, asked, stamp };
    let mut response = match settle::stored(house, route, (&get, head), &aim, response) {
        Settled::Private(response, _) => response,
        Settled::Stale(entry) | Settled::Kept(entry, None, _) => match entry.content() {
            Some(content) => whole(&entry, content),
            None => coming(&entry, None, None),
        },
        Settled::Kept(entry, Some(absorb), _) => {
            let reader = absorb.reader();
            tokio::task::spawn_local(absorb.run(exchange.by));
            let length = match &entry.holding {
                Holding::Coming(_, length) => *length,
                Holding::Whole(_) => None,
            };
            coming(&entry, reader, length)
        }
    };
    put_pass(pass, &mut response.head);
    response
}
