//! One named service as one thread sees it: its servers, whose turn it is, one call.

use crate::attempt::{self, Answered, Ask};
use crate::endpoint::Endpoint;
use crate::settings::{Http, Scheme, Settings};
use base::{Fault, Moment, Replay};
use monitor::{Facts, Ledger, ServiceMeter};
use rustls::ClientConfig;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use wire::tls::TlsError;

/// How TLS is spoken to a service.
#[derive(Clone, Debug)]
pub struct Tls {
    pub(crate) config: Arc<ClientConfig>,
    pub(crate) name: Option<String>,
}

impl Tls {
    /// From a service's settings; `None` if no server speaks TLS.
    ///
    /// # Errors
    /// Which file cannot be used, and why.
    pub fn from_settings(settings: &Settings) -> Result<Option<Self>, TlsError> {
        if settings.servers.iter().all(|server| server.scheme == Scheme::Http) {
            return Ok(None);
        }
        let alpn: &[&[u8]] = match settings.http {
            Http::Auto => &[b"h2", b"http/1.1"],
            Http::One => &[b"http/1.1"],
            Http::Two => &[b"h2"],
        };
        let config = wire::tls::client(&settings.tls, alpn)?;
        Ok(Some(Self { config, name: settings.tls.name.clone() }))
    }
}

/// One named service on one thread.
#[derive(Debug)]
pub struct Service {
    /// What it is told.
    pub settings: Arc<Settings>,
    /// Its servers, in the order of the settings.
    pub endpoints: Vec<Rc<Endpoint>>,
    pub(crate) tls: Option<Tls>,
    pub(crate) head_max: (usize, usize),
    meter: Arc<ServiceMeter>,
    turn: Cell<usize>,
}

impl Service {
    /// A service under these settings. Servers that `before`, the same service under former
    /// settings, already had keep their connections; the others of `before` are retired.
    /// `head_max` bounds an answer's head in bytes and fields; `turn` is where the round begins.
    pub fn new(
        settings: Arc<Settings>,
        tls: Option<Tls>,
        head_max: (usize, usize),
        ledger: &Ledger,
        before: Option<&Self>,
        turn: usize,
    ) -> Self {
        // A connection made under other rules of TLS or HTTP is not the connection asked for.
        let same = before.filter(|before| {
            before.settings.tls == settings.tls
                && before.settings.http == settings.http
                && before.settings.idle_max == settings.idle_max
        });
        let endpoints: Vec<_> = settings
            .servers
            .iter()
            .map(|server| {
                let known =
                    same.and_then(|same| same.endpoints.iter().find(|e| e.server == *server));
                known.cloned().unwrap_or_else(|| {
                    let url = crate::settings::url(server);
                    let meter = ledger.server(&settings.name, &url);
                    Rc::new(Endpoint::new(server.clone(), settings.idle_max, meter))
                })
            })
            .collect();
        let this = Self {
            meter: ledger.service(&settings.name),
            settings,
            endpoints,
            tls,
            head_max,
            turn: Cell::new(turn),
        };
        if let Some(before) = before {
            before.retire_all_but(&this.endpoints);
        }
        this
    }

    /// Retires every server that is not among `kept`.
    pub fn retire_all_but(&self, kept: &[Rc<Endpoint>]) {
        let gone = self.endpoints.iter().filter(|e| !kept.iter().any(|k| Rc::ptr_eq(k, e)));
        gone.for_each(|endpoint| endpoint.retire());
    }

    /// Closes connections that have been idle for too long.
    pub fn sweep(&self, now: Moment) {
        let oldest = now.as_nanos().saturating_sub(self.settings.idle_time.as_nanos() as u64);
        self.endpoints.iter().for_each(|endpoint| endpoint.sweep(Moment::from_nanos(oldest)));
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
        let first = self.next();
        let mut result = self.try_one(first, ask, facts, false).await;
        if let Err(fault) = &result
            && let Some(spare) = spare.filter(wire::Body::is_untouched)
            && self.may_replay(fault, ask, facts)
        {
            self.meter.retries.add(1);
            ask.body = spare;
            // After a failed connection another server; after a dead one the same, freshly dialled.
            let second = if facts.reused { first } else { self.next() };
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
            Replay::Always => shared || self.endpoints.len() > 1,
        }
    }

    async fn try_one(
        &self,
        index: usize,
        ask: &mut Ask<'_>,
        facts: &mut Facts,
        fresh: bool,
    ) -> Result<Answered, Fault> {
        let endpoint = &self.endpoints[index];
        facts.server = Some(index as u16);
        facts.attempts = facts.attempts.saturating_add(1);
        endpoint.meter.requests.add(1);
        let result = attempt::attempt(self, endpoint, ask, facts, fresh).await;
        if result.is_err() {
            endpoint.meter.failures.add(1);
        }
        result
    }

    /// Whose turn it is (round robin).
    fn next(&self) -> usize {
        let turn = self.turn.get();
        self.turn.set(turn.wrapping_add(1));
        turn % self.endpoints.len()
    }
}
