//! One named service as one thread sees it: its connections, and which of its servers to ask.

use crate::attempt;
use crate::endpoint::Endpoint;
use crate::settings::{Http, Settings};
use crate::shared::Shared;
use balance::{Condition, Member, MemberId, Nobody, Reader, Wish};
use base::{Fault, FaultKind, Moment};
use fastrand::Rng;
use monitor::{Ledger, ServiceMeter};
use rustls::ClientConfig;
use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
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

/// When to ask again a service that has no server at all.
const EMPTY_PAUSE: Duration = Duration::from_secs(1);

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
        let mut endpoints = same.map(|same| same.endpoints.borrow().clone()).unwrap_or_default();
        let present = present(&shared);
        endpoints.retain(|id, _| present.contains(id));
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

    /// Closes connections that have been idle for too long, and forgets servers that are gone.
    pub fn sweep(&self, now: Moment) {
        let oldest = now.as_nanos().saturating_sub(self.settings.idle_time.as_nanos() as u64);
        let present = present(&self.shared);
        let mut endpoints = self.endpoints.borrow_mut();
        for endpoint in endpoints.values() {
            endpoint.sweep(Moment::from_nanos(oldest), self.settings.prewarm);
        }
        let gone: Vec<_> = endpoints.extract_if(|id, _| !present.contains(id)).collect();
        for (_, endpoint) in gone {
            endpoint.retire();
            // What discovery finds and loses must not fill the page of metrics. One that came back
            // meanwhile counts on.
            let url = &endpoint.member.url;
            if !endpoints.values().any(|other| other.member.url == *url) {
                self.ledger.forget_server(&self.settings.name, url);
            }
        }
    }

    /// The servers that have fewer connections ready than `prewarm` says, as often as they lack one,
    /// as far as they may be asked.
    pub fn cold(&self, now: Moment) -> Vec<Rc<Endpoint>> {
        if self.settings.prewarm == 0 {
            return Vec::new();
        }
        let view = self.shared.pool.view();
        let up = view.members().iter().filter(|member| member.condition(now) == Condition::Up);
        up.flat_map(|member| {
            let endpoint = self.endpoint_of(member);
            let lacks = self.settings.prewarm.saturating_sub(endpoint.spare());
            std::iter::repeat_n(endpoint, lacks)
        })
        .collect()
    }

    /// Makes one connection to a server before it is needed. What fails is counted and nothing else.
    pub async fn warm(&self, endpoint: Rc<Endpoint>) {
        attempt::warm(self, &endpoint).await;
    }

    /// What this thread counts of it.
    pub fn meter(&self) -> &ServiceMeter {
        &self.meter
    }

    /// Which server to ask.
    pub(crate) fn choose(&self, wish: Wish<'_>) -> Result<Rc<Endpoint>, Fault> {
        let now = Moment::recent();
        self.shared.pool.refresh(now);
        let mut reader = self.reader.borrow_mut();
        let choice = reader.load().pick(wish, now, &mut self.rng.borrow_mut());
        choice.map(|choice| self.endpoint_of(choice.member)).map_err(|nobody| self.nobody(nobody))
    }

    /// Nobody can be asked: why, and when somebody may be.
    #[cold]
    fn nobody(&self, nobody: Nobody) -> Fault {
        let name = &self.settings.name;
        let (detail, after) = match nobody {
            Nobody::Empty => (format!("no server of service {name} is known yet"), EMPTY_PAUSE),
            Nobody::NoneAlive(after) => (format!("no server of service {name} is alive"), after),
            Nobody::AllTried => (format!("every server of service {name} was tried"), EMPTY_PAUSE),
        };
        Fault::new(FaultKind::NoServer, detail).retry_after(after)
    }

    /// Is there a server that may be asked and was not tried?
    pub(crate) fn has_other(&self, tried: &[MemberId], now: Moment) -> bool {
        let may_be_asked =
            |condition| !matches!(condition, Condition::Dead { .. } | Condition::Down);
        let view = self.shared.pool.view();
        let mut others = view.members().iter().filter(|member| !tried.contains(&member.id));
        others.any(|member| may_be_asked(member.condition(now)))
    }

    /// A number from 0 to 1, by chance.
    pub(crate) fn chance(&self) -> f64 {
        self.rng.borrow_mut().f64()
    }
}

/// Who is in the pool now. A set: there may be ten thousand, and a worker looks once a second.
fn present(shared: &Shared) -> HashSet<MemberId> {
    shared.pool.view().members().iter().map(|member| member.id).collect()
}
