//! Copies of requests for a second service, never waited for.
//!
//! What a shadow answers is read to its end and thrown away; what goes wrong with it is counted and
//! told to nobody else. At most [`SHADOWS_MAX`] are under way on a thread: beyond that, copies are
//! left out, so that a slow shadow costs memory within a bound and nothing of the real answer.

use crate::house::House;
use base::{Deadline, FaultKind, FieldName, Framing, Moment, RequestHead, ResponseHead};
use monitor::{Facts, Trace};
use service::{Answered, Ask};
use settings::Route;
use std::cell::Cell;
use std::rc::Rc;
use wire::Body;
use wire::kept::Kept;

/// Most shadows under way on one thread.
pub const SHADOWS_MAX: usize = 1_000;
/// Most bytes of a shadow's answer that are read; a connection whose answer is longer is closed.
const ANSWER_BYTES_MAX: u64 = 1 << 20;

thread_local! {
    static UNDER_WAY: Cell<usize> = const { Cell::new(0) };
}

/// A shadow under way.
struct Counted;

impl Counted {
    fn begin() -> Option<Self> {
        let now = UNDER_WAY.get();
        if now >= SHADOWS_MAX {
            return None;
        }
        UNDER_WAY.set(now + 1);
        Some(Self)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        UNDER_WAY.set(UNDER_WAY.get() - 1);
    }
}

/// The head of a copy that is to be sent.
pub struct Shadow {
    service: usize,
    head: RequestHead,
}

/// A copy with its body, as far as that is known.
pub struct Prepared {
    shadow: Shadow,
    body: Body,
    framing: Framing,
}

/// Makes a copy of a request that is ready for the next hop, if its route has a shadow and it is one
/// of the share that is copied. In the trace the copy is a part of the request, not of its caller.
pub fn copy(route: &Route, head: &RequestHead, trace: &Trace) -> Option<Shadow> {
    let (service, share) = route.shadow?;
    if fastrand::u32(0..10_000) >= share.0 {
        return None;
    }
    let mut head = head.copied();
    if trace.is_on() {
        head.fields.set(FieldName::Traceparent, &trace.own_text());
    }
    Some(Shadow { service, head })
}

impl Shadow {
    /// With this body.
    pub fn with(self, body: Body, framing: Framing) -> Prepared {
        Prepared { shadow: self, body, framing }
    }
}

/// Lets the body of `ask`, which goes to `service`, be kept as it is sent, so that the shadow can have
/// it afterwards.
pub fn prepare(house: &House, shadow: Shadow, service: usize, ask: &mut Ask<'_>) -> Prepared {
    if !matches!(ask.body, Body::Empty) && !ask.expects && !ask.upgrades {
        // The service itself may have to send it again, too.
        let body_max = |service: usize| house.services[service].settings.retry.body_max;
        let bytes_max = body_max(shadow.service).max(body_max(service));
        let body = std::mem::replace(&mut ask.body, Body::Empty);
        ask.body = Body::Kept(Box::new(Kept::new(body, ask.framing, bytes_max.as_usize())));
    }
    let body = ask.body.spare().unwrap_or(Body::Empty);
    shadow.with(body, ask.framing)
}

impl Prepared {
    /// Sends it, unless its body could not be kept or was not read to its end.
    pub fn send(self, house: &Rc<House>) {
        let Self { shadow, body, framing } = self;
        let whole = match &body {
            Body::Empty => framing == Framing::None || framing == Framing::Length(0),
            Body::Kept(kept) => kept.is_whole(),
            _ => false,
        };
        if whole {
            send(house, shadow, body, framing);
        } else {
            house.services[shadow.service].meter().shadows.left_out.add(1);
        }
    }
}

fn send(house: &Rc<House>, shadow: Shadow, body: Body, framing: Framing) {
    let Shadow { service, mut head } = shadow;
    let meter = &house.services[service].meter().shadows;
    let Some(counted) = Counted::begin() else {
        meter.left_out.add(1);
        return;
    };
    meter.sent.add(1);
    let house = Rc::clone(house);
    tokio::task::spawn_local(async move {
        let _counted = counted;
        let service = &house.services[service];
        let by = Deadline::after(Moment::now(), service.settings.total_time);
        let mut nobody = |_: ResponseHead| {};
        let times = (by, house.snapshot.limits.body_pause);
        let mut ask = Ask::in_background(&mut head, (body, framing), times, &mut nobody);
        let mut facts = Facts::begin(Moment::now());
        let failed = match service.call(&mut ask, &mut facts).await {
            Ok(Answered::Response(response)) => {
                let failed = response.head.status >= 500;
                service::discard(response.body, ANSWER_BYTES_MAX, by).await;
                failed
            }
            Ok(Answered::Tunnel(..)) => false,
            Err(fault) => fault.kind != FaultKind::ClientGone,
        };
        if failed {
            service.meter().shadows.failed.add(1);
        }
    });
}
