//! What an answer of the service means for the store, whoever asked.

use super::{Plan, place, query};
use crate::forward;
use crate::house::House;
use base::field::Names;
use base::{
    Deadline, Fault, FaultKind, FieldName, Framing, Moment, RequestHead, ResponseHead, Wall,
};
use bytes::Bytes;
use cache::entry::{Entry, Holding};
use cache::policy::{self, Origin, Query, Reason, Selecting};
use cache::settings::Rules;
use cache::{Cache, Place};
use service::Answered;
use settings::Route;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use wire::content::{self, Content, Flow, NobodyReads, Reader};
use wire::timer::within;
use wire::{Body, Response};

/// What is known of a request for which the service was asked.
pub struct Aim<'a> {
    /// What was asked for.
    pub plan: &'a Plan,
    /// What is stored.
    pub entry: Option<Arc<Entry>>,
    /// The conditions that were sent are ours.
    pub conditional: bool,
    /// When it was asked.
    pub asked: Wall,
    /// What the counter of purges said then.
    pub stamp: u64,
}

/// What an answer is.
pub enum Settled {
    /// Something to be kept, or kept already; the body may have to be absorbed still. With it the head
    /// for the client that asked, where it has more than what is kept.
    Kept(Arc<Entry>, Option<Box<Absorb>>, Option<Box<ResponseHead>>),
    /// The service failed, and this may still be served.
    Stale(Arc<Entry>),
    /// One client's alone; why it was not kept.
    Private(Response, Option<Reason>),
}

/// Settles an answer. `None`: the service spoke of something else than what is stored, and has to be
/// asked again without conditions.
pub fn settle(
    house: &House,
    route: &Route,
    head: &RequestHead,
    aim: &Aim<'_>,
    answered: Result<Answered, Fault>,
) -> Option<Result<Settled, Fault>> {
    let now = Moment::now().wall_ms();
    let mut response = match answered {
        Ok(Answered::Response(response)) => response,
        Ok(Answered::Tunnel(..)) => {
            let detail = "a switch of protocols that nobody asked for";
            return Some(Err(Fault::new(FaultKind::BadResponse, detail)));
        }
        Err(fault) => {
            return Some(spare(aim, head, route, now).map(Settled::Stale).ok_or(fault));
        }
    };
    forward::response(&mut response.head, &house.snapshot);
    if response.head.status == 304 && aim.conditional {
        return freshened(house, route, head, aim, &response.head, now).map(Ok);
    }
    if policy::is_failure(response.head.status)
        && let Some(entry) = spare(aim, head, route, now)
    {
        return Some(Ok(Settled::Stale(entry)));
    }
    let query = query(head, Framing::None);
    Some(Ok(stored(house, route, (&query, head), aim, response)))
}

/// The entry that may be served instead of a failure.
fn spare(aim: &Aim<'_>, head: &RequestHead, route: &Route, now: Wall) -> Option<Arc<Entry>> {
    // A stored error is no better than a new one.
    let entry = aim.entry.as_ref().filter(|entry| !policy::is_failure(entry.head.status))?;
    let query = query(head, Framing::None);
    if !policy::may_serve_on_error(&entry.life, &query, &route.cache, now) {
        return None;
    }
    entry.failed(now);
    Some(Arc::clone(entry))
}

/// What a 304 to our own conditions makes of what is stored.
fn freshened(
    house: &House,
    route: &Route,
    head: &RequestHead,
    aim: &Aim<'_>,
    not_modified: &ResponseHead,
    now: Wall,
) -> Option<Settled> {
    let entry = aim.entry.as_ref().filter(|entry| policy::is_about(not_modified, &entry.head))?;
    let mut fresh = policy::freshen(&entry.head, not_modified);
    let query = query(head, Framing::None);
    let targeted = &house.snapshot.settings.cache.targeted;
    let cache = &house.snapshot.cache;
    let (asked, rules) = (aim.asked, &route.cache);
    let Ok(life) = policy::store(&query, &fresh, asked, now, rules, targeted) else {
        cache.forget(&place(house, aim.plan));
        let content = entry.content()?;
        let framing = Framing::Length(content.len());
        let response = Response { head: fresh, body: content.body(), framing };
        return Some(Settled::Private(response, None));
    };
    // A 304 without tags says nothing of them; with too many, purges would miss the entry.
    let said = not_modified.fields.may_have_any(TAGS) || !rules.tag_fields.is_empty();
    let named = tags(house, aim.plan, head, not_modified, route).ok()?;
    policy::strip(&mut fresh, rules, targeted);
    fresh.fields.retain(|field| !NOT_KEPT.has(field.known));
    if !fresh.fields.has(FieldName::Date) {
        fresh.fields.push(b"Date", crate::depart::http_date(now.seconds()).as_bytes());
    }
    let mut entry = entry.freshened(&fresh, life, aim.stamp);
    if said && !named.is_empty() {
        entry.tags = named.into();
    }
    let entry = Arc::new(entry);
    if entry.life.is_fresh(now) {
        cache.shy.forget(aim.plan.key, now);
    }
    cache.put(&place(house, aim.plan), &entry, rules.variants_max, now);
    Some(Settled::Kept(entry, None, None))
}

/// What an answer makes of the store.
pub fn stored(
    house: &House,
    route: &Route,
    request: (&Query<'_>, &RequestHead),
    aim: &Aim<'_>,
    response: Response,
) -> Settled {
    let cache = &house.snapshot.cache;
    let now = Moment::recent().wall_ms();
    match entry(house, route, request, aim, &response, now) {
        Ok((entry, own)) => {
            if entry.life.is_fresh(now) {
                cache.shy.forget(aim.plan.key, now);
            } else {
                cache.shy.mark(aim.plan.key, now);
            }
            Absorb::begin(house, aim, route, (entry, own), response)
        }
        Err(reason) => {
            if is_for_all(reason, response.head.status) {
                cache.shy.mark(aim.plan.key, now);
            }
            Settled::Private(response, Some(reason))
        }
    }
}

/// Would the answer to another client not have been kept either? What one client can bring about by
/// what is not in the key does not keep others from waiting for one fetch.
const fn is_for_all(reason: Reason, status: u16) -> bool {
    !matches!(reason, Reason::Authorization | Reason::RequestNoStore | Reason::Tainted)
        && !matches!(status, 206 | 304)
        && matches!(status, 200..400 | 404 | 410)
}

/// The entry that an answer would become, and the head for the client that asked if it has more.
fn entry(
    house: &House,
    route: &Route,
    (query, head): (&Query<'_>, &RequestHead),
    aim: &Aim<'_>,
    response: &Response,
    now: Wall,
) -> Result<(Entry, Option<Box<ResponseHead>>), Reason> {
    let (rules, settings) = (&route.cache, &house.snapshot.settings.cache);
    if aim.plan.tainted {
        return Err(Reason::Tainted);
    }
    let life = policy::store(query, &response.head, aim.asked, now, rules, &settings.targeted)?;
    if matches!(response.framing, Framing::Length(n) if n > settings.object_max.0) {
        return Err(Reason::TooLarge);
    }
    let selecting = Selecting::of(query, &response.head, rules)?;
    let range = policy::content_range(&response.head);
    let mut kept = response.head.copied();
    if !kept.fields.has(FieldName::Date) {
        kept.fields.push(b"Date", crate::depart::http_date(now.seconds()).as_bytes());
    }
    let tags = tags(house, aim.plan, head, &kept, route)?;
    let withholds =
        policy::strip(&mut kept, rules, &settings.targeted) || kept.fields.may_have_any(OF_ONE);
    let own = withholds.then(|| Box::new(response.head.clone()));
    kept.fields.retain(|field| !NOT_KEPT.has(field.known));
    let flow = Arc::new(Flow::default());
    let declared = match response.framing {
        Framing::Length(n) => Some(n),
        Framing::None | Framing::Chunked | Framing::Close => None,
    };
    let head = (kept.packed(), Holding::Coming(flow, declared));
    let entry = Entry::new(head, life, (selecting, range), (tags.into(), aim.stamp));
    Ok((entry, own))
}

/// Fields in which an answer may name its tags.
const TAGS: Names = Names::of(&[
    FieldName::SurrogateKey,
    FieldName::CacheTag,
    FieldName::Xkey,
    FieldName::CacheGroups,
]);

/// What an answer says of the one request that it answered.
const OF_ONE: Names =
    Names::of(&[FieldName::ServerTiming, FieldName::Traceresponse, FieldName::XRequestId]);

/// Vendors' tags are for caches like this one, not for those behind it; framing is written anew; and
/// others are not told of another request.
const NOT_KEPT: Names = Names::of(&[
    FieldName::SurrogateKey,
    FieldName::CacheTag,
    FieldName::Xkey,
    FieldName::ContentLength,
    FieldName::TransferEncoding,
])
.and(OF_ONE);

/// The tags of an answer, hashed.
fn tags(
    house: &House,
    plan: &Plan,
    head: &RequestHead,
    response: &ResponseHead,
    route: &Route,
) -> Result<Vec<u64>, Reason> {
    let scheme: &[u8] = if plan.text.starts_with(b"https") { b"https" } else { b"http" };
    let origin = Origin { scheme, host: head.host_received() };
    let path = head.target_received().split(|&b| b == b'?').next().unwrap_or_default();
    let index = house.snapshot.settings.routes.iter().position(|other| std::ptr::eq(other, route));
    let parameters: Vec<(&str, &[u8])> = match index {
        Some(index) if !route.cache.tags.is_empty() => {
            house.snapshot.router.parameters(index, path).collect()
        }
        _ => Vec::new(),
    };
    let parameter = |name: &str| parameters.iter().find(|(n, _)| *n == name).map(|(_, v)| *v);
    let tags = policy::tags(origin, response, &route.cache, parameter)?;
    Ok(tags.iter().map(cache::stamps::hash_tag).collect())
}

/// Most of a body that is absorbed before anybody is told of it.
const AT_HAND_MAX: u64 = 64 << 10;

/// Bytes of bodies that may be held beside what is stored, at least; else as many as may be stored.
/// Beyond, bodies are passed on without being kept, a window for each.
const BESIDE_MIN: u64 = 64 << 20;

/// A body on its way into the store.
pub struct Absorb {
    cache: Arc<Cache>,
    key: u128,
    text: Box<[u8]>,
    rules: Rules,
    entry: Arc<Entry>,
    flow: Arc<Flow>,
    body: Body,
    object_max: u64,
    keeps: bool,
}

impl Absorb {
    fn begin(
        house: &House,
        aim: &Aim<'_>,
        route: &Route,
        (entry, own): (Entry, Option<Box<ResponseHead>>),
        response: Response,
    ) -> Settled {
        let Holding::Coming(flow, _) = &entry.holding else {
            return Settled::Private(response, None);
        };
        let flow = Arc::clone(flow);
        let mut absorb = Self {
            cache: Arc::clone(&house.snapshot.cache),
            key: aim.plan.key,
            text: aim.plan.text.clone(),
            rules: route.cache.clone(),
            entry: Arc::new(entry),
            flow,
            body: response.body,
            object_max: house.snapshot.settings.cache.object_max.0,
            keeps: true,
        };
        // Most bodies have come with their head.
        let mut cx = Context::from_waker(Waker::noop());
        let most = AT_HAND_MAX.min(absorb.object_max);
        match absorb.poll(&mut cx, most) {
            Poll::Ready(Some(entry)) => Settled::Kept(entry, None, own),
            Poll::Ready(None) | Poll::Pending => {
                Settled::Kept(Arc::clone(&absorb.entry), Some(Box::new(absorb)), own)
            }
        }
    }

    /// Its first reader, who has a place before the body is absorbed any further.
    pub fn reader(&self) -> Option<Reader> {
        self.flow.reader()
    }

    /// Absorbs the body to its end, by `by`.
    pub async fn run(mut self, by: Deadline) {
        if within(by, poll_fn(|cx| self.poll(cx, u64::MAX))).await.is_err() {
            self.flow.end(Err(&Fault::new(FaultKind::TotalTimeout, "the answer took too long")));
        }
    }

    /// The entry that was stored; `None` where there is nothing to be stored. Pending too when more
    /// than `most` has been absorbed.
    fn poll(&mut self, cx: &mut Context<'_>, most: u64) -> Poll<Option<Arc<Entry>>> {
        loop {
            let length = self.flow.length();
            if length > most {
                return Poll::Pending;
            }
            // Not before its first reader has a place: nobody can follow what slides.
            let is_large = length > self.object_max;
            if self.keeps && (is_large || (length > AT_HAND_MAX && self.is_crowded())) {
                self.keeps = false;
                self.flow.slide();
                if is_large {
                    self.cache.shy.mark(self.key, Moment::now().wall_ms());
                }
            }
            match self.flow.poll_room(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(NobodyReads)) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
            match self.body.poll_data(cx) {
                Poll::Ready(Ok(0)) => {
                    self.flow.end(Ok(()));
                    return Poll::Ready(self.keep());
                }
                Poll::Ready(Ok(n)) => {
                    let data = content::copied(&self.body.data(n));
                    self.body.used(n);
                    self.flow.push(data);
                }
                Poll::Ready(Err(fault)) => {
                    self.flow.end(Err(&fault));
                    return Poll::Ready(None);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Do slow readers hold so much beside what is stored that no more may be collected?
    fn is_crowded(&self) -> bool {
        let limit = self.cache.memory.limit() as u64;
        content::held() > limit.saturating_mul(2).saturating_add(BESIDE_MIN)
    }

    fn keep(&self) -> Option<Arc<Entry>> {
        let content: Content = self.flow.content().filter(|_| self.keeps)?;
        let place = Place::of(self.key, &self.text, self.cache.seed);
        let mut entry = self.entry.completed(content);
        if entry.range.is_some() {
            entry = self.combined(entry);
        }
        if !self.rules.tag_pointers.is_empty() {
            entry.tags = self.pointed(&entry)?;
        }
        let entry = Arc::new(entry);
        let now = Moment::now().wall_ms();
        self.cache.put(&place, &entry, self.rules.variants_max, now);
        Some(entry)
    }

    /// A part together with a stored one that it touches (RFC 9111 §3.4); else as it is.
    fn combined(&self, new: Entry) -> Entry {
        let resource = self.cache.get(self.key, &self.text);
        let parts = resource.iter().flat_map(|resource| &resource.entries);
        let found = parts
            .filter(|old| old.range.is_some() && old.is_as_long_as_it_says())
            .find_map(|old| Some((old.content()?, policy::combine(&old.head, &new.head)?)));
        let (Some((old, together)), Some(content)) = (found, new.content()) else { return new };
        if !new.is_as_long_as_it_says() {
            return new;
        }
        let mut pieces = old.pieces(0..together.before);
        pieces.extend(content.segments().iter().cloned());
        pieces.extend(old.pieces(old.len() - together.behind..old.len()));
        let pieces: Vec<Bytes> = pieces.into();
        let mut head = together.head;
        head.fields.remove(FieldName::ContentLength);
        new.combined(&head, Content::join(&pieces), together.content)
    }

    /// The tags of an entry and those that its body names.
    fn pointed(&self, entry: &Entry) -> Option<Arc<[u64]>> {
        let body = entry.content()?.segments().concat();
        let pointed = policy::pointed(&body, &self.rules).ok()?;
        let hashes = pointed.iter().map(cache::stamps::hash_tag);
        Some(entry.tags.iter().copied().chain(hashes).collect())
    }
}
