//! What an answer of the service means for the store, whoever asked.

use super::{Plan, query};
use crate::forward;
use crate::house::House;
use base::{Deadline, Fault, FaultKind, FieldName, Framing, Moment, RequestHead, ResponseHead, Wall};
use bytes::Bytes;
use cache::entry::{Entry, Holding};
use cache::policy::{self, Reason, Selecting};
use cache::{Cache, Place};
use service::Answered;
use settings::Route;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use wire::content::{Content, Flow, NobodyReads, Reader};
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
    /// Something to be kept, or kept already; the body may have to be absorbed still.
    Kept(Arc<Entry>, Option<Absorb>),
    /// The service failed, and this may still be served.
    Stale(Arc<Entry>),
    /// One client's alone.
    Private(Response),
}

/// Settles an answer. `None`: the service spoke of something else than what is stored, and has to be
/// asked again without conditions.
pub fn settle(
    house: &House,
    route: &Route,
    head: &RequestHead,
    aim: Aim<'_>,
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
            return Some(spare(&aim, head, route, now).map(Settled::Stale).ok_or(fault));
        }
    };
    forward::response(&mut response.head, &house.snapshot);
    if response.head.status == 304 && aim.conditional {
        return freshened(house, route, head, &aim, &response.head, now).map(Ok);
    }
    if matches!(response.head.status, 500 | 502 | 503 | 504)
        && let Some(entry) = spare(&aim, head, route, now)
    {
        return Some(Ok(Settled::Stale(entry)));
    }
    Some(Ok(stored(house, route, head, &aim, response, now)))
}

/// The entry that may be served instead of a failure.
fn spare(aim: &Aim<'_>, head: &RequestHead, route: &Route, now: Wall) -> Option<Arc<Entry>> {
    let entry = aim.entry.as_ref()?;
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
    let fresh = policy::freshen(&entry.head, not_modified);
    let query = query(head, Framing::None);
    let targeted = &house.snapshot.settings.cache.targeted;
    let cache = &house.snapshot.cache;
    let (asked, rules) = (aim.asked, &route.cache);
    match policy::store(&query, &fresh, asked, now, rules, targeted) {
        Ok(life) => {
            let entry = Arc::new(entry.freshened(&fresh, life, aim.stamp));
            cache.put(aim.plan.key, &Place::of(&aim.plan.text), &entry, rules.variants_max);
            Some(Settled::Kept(entry, None))
        }
        Err(_) => {
            cache.remove(aim.plan.key);
            let content = entry.content()?;
            let framing = Framing::Length(content.len());
            Some(Settled::Private(Response { head: fresh, body: content.body(), framing }))
        }
    }
}

/// What an answer makes of the store.
fn stored(
    house: &House,
    route: &Route,
    head: &RequestHead,
    aim: &Aim<'_>,
    response: Response,
    now: Wall,
) -> Settled {
    let cache = &house.snapshot.cache;
    match entry(house, route, head, aim, &response, now) {
        Ok(entry) => {
            if entry.life.fresh_until > now {
                cache.shy.forget(aim.plan.key, now);
            } else {
                cache.shy.mark(aim.plan.key, now);
            }
            Absorb::begin(house, aim, route, entry, response)
        }
        Err(_reason) => {
            cache.shy.mark(aim.plan.key, now);
            Settled::Private(response)
        }
    }
}

/// The entry that an answer would become.
fn entry(
    house: &House,
    route: &Route,
    head: &RequestHead,
    aim: &Aim<'_>,
    response: &Response,
    now: Wall,
) -> Result<Entry, Reason> {
    let (rules, settings) = (&route.cache, &house.snapshot.settings.cache);
    if aim.plan.tainted {
        return Err(Reason::Tainted);
    }
    let query = query(head, Framing::None);
    let life = policy::store(&query, &response.head, aim.asked, now, rules, &settings.targeted)?;
    if matches!(response.framing, Framing::Length(n) if n > settings.object_max.0) {
        return Err(Reason::TooLarge);
    }
    let selecting = Selecting::of(&query, &response.head, rules)?;
    let range = policy::content_range(&response.head);
    let mut kept = response.head.copied();
    if !kept.fields.has(FieldName::Date) {
        kept.fields.push(b"Date", crate::depart::http_date(now.seconds()).as_bytes());
    }
    let tags = policy::tags(&kept, head.target_received(), route, rules);
    let tags: Vec<u64> = tags.iter().map(|tag| cache::stamps::hash_tag(tag.as_bytes())).collect();
    policy::strip(&mut kept, rules);
    let flow = Arc::new(Flow::default());
    Ok(Entry::new(
        (kept.packed(), Holding::Coming(flow)),
        life,
        (selecting, range),
        (tags.into(), aim.stamp),
    ))
}

/// Most of a body that is absorbed before anybody is told of it.
const AT_HAND_MAX: u64 = 64 << 10;

/// A body on its way into the store.
pub struct Absorb {
    cache: Arc<Cache>,
    key: u128,
    text: Box<[u8]>,
    variants_max: usize,
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
        entry: Entry,
        response: Response,
    ) -> Settled {
        let Holding::Coming(flow) = &entry.holding else {
            return Settled::Private(response);
        };
        let flow = Arc::clone(flow);
        let mut absorb = Self {
            cache: Arc::clone(&house.snapshot.cache),
            key: aim.plan.key,
            text: aim.plan.text.clone(),
            variants_max: route.cache.variants_max,
            entry: Arc::new(entry),
            flow,
            body: response.body,
            object_max: house.snapshot.settings.cache.object_max.0,
            keeps: true,
        };
        // Most bodies have come with their head.
        let mut cx = Context::from_waker(Waker::noop());
        match absorb.poll(&mut cx, AT_HAND_MAX) {
            Poll::Ready(Some(entry)) => Settled::Kept(entry, None),
            Poll::Ready(None) | Poll::Pending => {
                Settled::Kept(Arc::clone(&absorb.entry), Some(absorb))
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
            if self.flow.length() > most {
                return Poll::Pending;
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
                    let data = Bytes::copy_from_slice(&self.body.data(n));
                    self.body.used(n);
                    self.flow.push(data);
                    if self.keeps && self.flow.length() > self.object_max {
                        self.keeps = false;
                        self.flow.slide();
                    }
                }
                Poll::Ready(Err(fault)) => {
                    self.flow.end(Err(&fault));
                    return Poll::Ready(None);
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn keep(&self) -> Option<Arc<Entry>> {
        let content: Content = self.flow.content().filter(|_| self.keeps)?;
        let entry = Arc::new(self.entry.completed(content));
        self.cache.put(self.key, &Place::of(&self.text), &entry, self.variants_max);
        Some(entry)
    }
}
