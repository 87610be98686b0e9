//! One named service as one thread sees it: its servers, whose turn it is, one call.

use crate::attempt::{self, Answered, Ask};
use crate::endpoint::Endpoint;
use crate::settings::{Http, Settings};
use crate::shared::Shared;
use balance::{Member, MemberId, Nobody, Outcome, Pool, Reader, Wish};
use base::{Fault, FaultKind, Moment, Replay};
use fastrand::Rng;
use monitor::{Facts, Ledger, ServiceMeter};
use rustls::ClientConfig;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use wire::tls::TlsError;

/// How TLS is spoken to a service.
#[derive(Clone, Debug)]
pub struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: Option<String>,
}

impl Tls {
    /// From a service's settings.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn new(settings: &Settings) -> Result<Self, TlsError> {
        let alpn: &[&[u8]] = match settings.http {
            Http::Auto => &[b"h2", b"http/1.1"],
            Http::One => &[b"http/1.1"],
            Http::Two => &[b"h2"],
        };
        let config = wire::tls::client(&settings.tls, alpn)?;
        Ok(Self { config, name: settings.tls.name.clone() })
    }
}

/// One named service on one thread.
#[derive(Debug)]
pub struct Service {
    /// What it is told.
    pub settings: Arc<Settings>,
    /// What all threads share of it.
    pub shared: Arc<Shared>,
    /// The servers that this thread has asked, by their number.
    endpoints: RefCell<HashMap<MemberId, Rc<Endpoint>>>,
    reader: RefCell<Reader>,
    rng: RefCell<Rng>,
    pub(crate) head_max: (usize, usize),
    ledger: Arc<Ledger>,
    meter: Arc<ServiceMeter>,
}

impl Service {
    /// A service on one thread. Servers that `before`, the same service under former settings,
    /// already had keep their connections; the others of `before` are retired. `head_max` bounds an
    /// answer's head in bytes and fields; `seed` is where this thread's chances begin.
    pub fn new(
        shared: Arc<Shared>,
        head_max: (usize, usize),
        ledger: &Arc<Ledger>,
        before: Option<&Self>,
        seed: u64,
    ) -> Self {
        let settings = Arc::clone(&shared.settings);
        // A connection made under other rules of TLS or HTTP is not the connection asked for.
        let same = before.filter(|before| {
            before.settings.tls == settings.tls
                && before.settings.http == settings.http
                && before.settings.idle_max == settings.idle_max
        });
        let view = shared.pool.view();
        let stays = |id: &MemberId| view.members().iter().any(|member| member.id == *id);
        let endpoints: HashMap<_, _> = same
            .map(|same| same.endpoints.borrow().clone())
            .unwrap_or_default()
            .into_iter()
            .filter(|(id, _)| stays(id))
            .collect();
        if let Some(before) = before {
            let gone = before.endpoints.borrow();
            let gone = gone.iter().filter(|(id, _)| !endpoints.contains_key(id));
            gone.for_each(|(_, endpoint)| endpoint.retire());
        }
        Self {
            meter: ledger.service(&settings.name),
            ledger: Arc::clone(ledger),
            settings,
            endpoints: RefCell::new(endpoints),
            reader: RefCell::new(shared.pool.reader()),
            rng: RefCell::new(Rng::with_seed(seed)),
            shared,
            head_max,
        }
    }

    /// Retires every server: the settings no longer name this service.
    pub fn retire(&self) {
        self.endpoints.borrow().values().for_each(|endpoint| endpoint.retire());
    }

    /// The server of this number, if this thread has asked it.
    pub fn endpoint(&self, id: u32) -> Option<Rc<Endpoint>> {
        self.endpoints.borrow().get(&MemberId(id)).cloned()
    }

    /// This thread's side of a server.
    fn endpoint_of(&self, member: &Arc<Member>) -> Rc<Endpoint> {
        if let Some(known) = self.endpoints.borrow().get(&member.id) {
            return Rc::clone(known);
        }
        let meter = self.ledger.server(&self.settings.name, &member.url);
        let endpoint = Rc::new(Endpoint::new(Arc::clone(member), self.settings.idle_max, meter));
        self.endpoints.borrow_mut().insert(member.id, Rc::clone(&endpoint));
        endpoint
    }

    /// Closes connections that have been idle for too long, and those of servers that are gone.
    pub fn sweep(&self, now: Moment) {
        let oldest = now.as_nanos().saturating_sub(self.settings.idle_time.as_nanos() as u64);
        let view = self.shared.pool.view();
        self.endpoints.borrow_mut().retain(|id, endpoint| {
            endpoint.sweep(Moment::from_nanos(oldest));
            let stays = view.members().iter().any(|member| member.id == *id);
            if !stays {
                endpoint.retire();
            }
            stays
        });
    }

    /// Asks the service. A connection that could not be made, and a kept-alive one that died before a
    /// byte of the answer came, are tried once more where the request allows it (RFC 9110 §9.2.2).
    ///
    /// # Errors
    /// The last attempt's fault.
    pub async fn call(&self, ask: &mut Ask<'_>, facts: &mut Facts) -> Result<Answered, Fault> {
        let asked = Moment::recent(); // the exchange began in this same turn
        facts.asked = Some(asked);
        let spare = ask.body.spare();
        let first = self.choose(Wish { may_probe: spare.is_some(), ..Wish::default() })?;
        let mut result = self.try_one(Rc::clone(&first), ask, facts, false).await;
        if let Err(fault) = &result
            && let Some(spare) = spare.filter(wire::Body::is_untouched)
            && self.may_replay(fault, ask, facts)
        {
            self.meter.retries.add(1);
            ask.body = spare;
            // After a failed connection another server; after a dead one the same, freshly dialled.
            let tried = [first.member.id];
            let wish = Wish { tried: &tried, ..Wish::default() };
            let second = if facts.reused { first } else { self.choose(wish).unwrap_or(first) };
            result = Box::pin(self.try_one(second, ask, facts, true)).await;
        }
        if result.is_ok() {
            let answered = Moment::now();
            facts.answered = Some(answered);
            self.meter.first_byte.record(answered.since(asked));
        }
        result
    }

    fn may_replay(&self, fault: &Fault, ask: &Ask<'_>, facts: &Facts) -> bool {
        // What was lost with a connection that others used too need not be this request's doing.
        let shared = facts.reused || ask.h2_used.is_some();
        match fault.replay {
            Replay::Never => false,
            Replay::IfIdempotent => shared && ask.head.is_idempotent(),
            Replay::Always => shared || self.shared.pool.view().members().len() > 1,
        }
    }

    async fn try_one(
        &self,
        endpoint: Rc<Endpoint>,
        ask: &mut Ask<'_>,
        facts: &mut Facts,
        fresh: bool,
    ) -> Result<Answered, Fault> {
        facts.server = Some(endpoint.member.id.0);
        facts.attempts = facts.attempts.saturating_add(1);
        endpoint.meter.requests.add(1);
        let turn = Turn::begin(&self.shared.pool, Rc::clone(&endpoint), Moment::recent());
        let result = attempt::attempt(self, &endpoint, ask, facts, fresh).await;
        if result.is_err() {
            endpoint.meter.failures.add(1);
        }
        turn.end(if result.is_ok() { Outcome::Good } else { Outcome::Unanswered });
        result
    }

    /// Which server to ask.
    fn choose(&self, wish: Wish<'_>) -> Result<Rc<Endpoint>, Fault> {
        let mut reader = self.reader.borrow_mut();
        let choice = reader.load().pick(wish, Moment::recent(), &mut self.rng.borrow_mut());
        choice.map(|choice| self.endpoint_of(choice.member)).map_err(|nobody| {
            let detail = format!("nobody to ask of service {}", self.settings.name);
            let after = match nobody {
                Nobody::NoneAlive(after) => after,
                Nobody::Empty | Nobody::AllTried => Duration::from_secs(1),
            };
            Fault::new(FaultKind::NoServer, detail).retry_after(after)
        })
    }
}

/// One request at one server, as the balancer counts it: dropped before its end, it was cancelled.
struct Turn<'a> {
    pool: &'a Pool,
    endpoint: Rc<Endpoint>,
    begun: Moment,
    outcome: Outcome,
}

impl<'a> Turn<'a> {
    fn begin(pool: &'a Pool, endpoint: Rc<Endpoint>, begun: Moment) -> Self {
        pool.begin(&endpoint.member);
        Self { pool, endpoint, begun, outcome: Outcome::Cancelled }
    }

    fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.pool.end(&self.endpoint.member, self.begun, Moment::now(), self.outcome);
    }
}
