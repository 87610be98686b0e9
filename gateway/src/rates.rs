//! Rates of routes on the path of a request.
//!
//! [`check`] is asked right behind the router, before the cache: a rate is a promise about requests, so
//! a client that has used up his own gets no hit either, and a hit counts as any other request. A
//! refused request costs nothing at the other rules of its route. [`tell`] writes what is left into
//! whatever answer departs.
//!
//! A client is the peer of the connection, or, behind proxies that the settings trust, the last in
//! `X-Forwarded-For` who is none of them. (`Forwarded` is not looked at: behind a proxy that sends
//! nothing else all clients are one.)
//!
//! Rules are counted by this gateway in [`service::rate`], or, where they are `shared`, by all gateways
//! together through Redis ([`shared`]). Without `[rate] redis` a shared rule is counted here alone.

pub mod shared;

use self::shared::{Scope, Shared};
use crate::forward;
use crate::house::{House, Snapshot};
use crate::path::Exchange;
use base::{Fault, FaultKind, FieldName, Moment, RequestHead, ResponseHead};
use monitor::Phase;
use monitor::expose::Family;
use service::rate::{self, Said};
use settings::{Route, Settings};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What has been used of the rates of all routes, by their place in the settings.
#[derive(Debug)]
pub struct Rates {
    routes: Vec<Rated>,
    /// What gateways count together.
    shared: Option<Arc<Shared>>,
}

/// The rates of one route.
#[derive(Debug)]
struct Rated {
    route: String,
    rates: rate::Rates,
    /// The rules that all gateways count together, as they name them to each other.
    scopes: Vec<Option<Scope>>,
    /// `RateLimit-Policy` of all rules.
    policy: String,
}

impl Rates {
    /// The rates of these settings; what was used `before` of rules that stay stays used.
    pub fn new(settings: &Settings, before: Option<&Self>) -> Self {
        let url = settings.rate_redis.as_deref();
        let needed = settings.routes.iter().flat_map(|route| &route.rates).any(|rate| rate.shared);
        let shared = url.filter(|_| needed).and_then(|url| {
            let known = before.and_then(|before| before.shared.as_ref());
            match known.filter(|known| known.url() == url) {
                Some(known) => Some(Arc::clone(known)),
                None => Shared::start(url, &tokio::runtime::Handle::try_current().ok()?),
            }
        });
        let rated = |route: &Route| {
            let known = before.and_then(|before| before.of(&route.name));
            Rated::new(route, known, shared.is_some())
        };
        Self { routes: settings.routes.iter().map(rated).collect(), shared }
    }

    fn of(&self, route: &str) -> Option<&Rated> {
        self.routes.iter().find(|rated| rated.route == route)
    }
}

impl Rated {
    fn new(route: &Route, before: Option<&Self>, shares: bool) -> Self {
        let rates = rate::Rates::new(&route.rates, before.map(|before| &before.rates));
        let policies: Vec<&str> = rates.rules.iter().map(|rule| rule.policy.as_str()).collect();
        let scope = |rate: &service::settings::Rate| {
            (shares && rate.shared).then(|| Scope::new(&route.name, rate))
        };
        Self {
            route: route.name.clone(),
            policy: policies.join(", "),
            scopes: route.rates.iter().map(scope).collect(),
            rates,
        }
    }

    fn is_shared(&self) -> bool {
        self.scopes.iter().any(Option::is_some)
    }
}

/// Counts one request of the `index`-th route; notes in the exchange what is left. Waits only where a
/// rule is shared and Redis has to be asked first, and then for [`shared::WAIT`] at most.
///
/// # Errors
/// [`FaultKind::RateLimited`], with the time after which one more is allowed.
///
/// # Cancel safety
/// Dropped while it waits, the request counts or does not.
pub async fn check(house: &House, exchange: &mut Exchange<'_>, index: usize) -> Result<(), Fault> {
    let rates = &house.snapshot.rates;
    let Some(rated) = rates.routes.get(index).filter(|rated| !rated.rates.rules.is_empty()) else {
        return Ok(());
    };
    let now = exchange.facts.begun;
    let client = client(exchange, &house.snapshot);
    let said = match &rates.shared {
        Some(shared) if rated.is_shared() => {
            exchange.facts.timeline.enter(Phase::Queue, Moment::recent());
            let said = Box::pin(check_shared(rated, shared, &exchange.head, client, now)).await;
            exchange.facts.timeline.resume(Phase::Gateway, Moment::now());
            said
        }
        _ => {
            let head = &exchange.head;
            rated.rates.check(now, client, |name| head.fields.find(name.as_bytes()))
        }
    };
    let Some(Said { rule, outcome }) = said else { return Ok(()) };
    exchange.rated = Some(rule.field(&outcome));
    if outcome.allowed {
        return Ok(());
    }
    let detail = format!("more than the rate {} allows", rule.settings.name);
    let after = outcome.retry.max(Duration::from_millis(1));
    Err(Fault::new(FaultKind::RateLimited, detail).retry_after(after))
}

/// As [`rate::Rates::check`], with rules among them that all gateways count together.
async fn check_shared(
    rated: &Rated,
    shared: &Shared,
    head: &RequestHead,
    client: IpAddr,
    now: Moment,
) -> Option<Said> {
    let field = |name: &str| head.fields.find(name.as_bytes());
    let rules = || rated.rates.rules.iter().zip(&rated.scopes);
    let mut said: Option<Said> = None;
    for (turn, (rule, scope)) in rules().enumerate() {
        let who = rule.who(client, field);
        let outcome = match scope {
            Some(scope) => shared.take(rule, scope, who, now).await,
            None => rule.take(who, now),
        };
        rule.count(outcome.allowed);
        let this = Said { rule: Arc::clone(rule), outcome };
        if !outcome.allowed {
            for (rule, scope) in rules().take(turn) {
                let who = rule.who(client, field);
                match scope {
                    Some(scope) => shared.give_back(scope, who),
                    None => rule.give_back(who, now),
                }
            }
            return Some(this);
        }
        said = Some(match said {
            Some(said) => said.tighter(this),
            None => this,
        });
    }
    said
}

/// Writes into an answer what the rates of its route leave.
pub fn tell(house: &House, exchange: &mut Exchange<'_>, head: &mut ResponseHead) {
    let Some(left) = exchange.rated.take() else { return };
    let route = exchange.facts.route.map(usize::from);
    if let Some(rated) = route.and_then(|route| house.snapshot.rates.routes.get(route)) {
        head.fields.push(b"RateLimit-Policy", rated.policy.as_bytes());
        head.fields.push(b"RateLimit", left.as_bytes());
    }
}

/// Whose request it is: the peer, or whom trusted proxies name.
pub fn client(exchange: &Exchange<'_>, snapshot: &Snapshot) -> IpAddr {
    let peer = exchange.peer.address.ip();
    if !forward::is_trusted(exchange.peer, snapshot) {
        return peer;
    }
    let trusted = |address: IpAddr| {
        snapshot.settings.forward.trusted.iter().any(|network| network.contains(address))
    };
    let lines: Vec<&[u8]> = exchange.head.fields.all(FieldName::XForwardedFor).collect();
    first_stranger(peer, &lines, trusted)
}

/// Walks a chain of proxies from its end: the first who is not trusted, or the last who is known.
fn first_stranger(peer: IpAddr, lines: &[&[u8]], trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut client = peer;
    for member in lines.iter().rev().flat_map(|line| line.rsplit(|&b| b == b',')) {
        let Some(address) = std::str::from_utf8(member).ok().and_then(address) else { break };
        client = address;
        if !trusted(address) {
            break;
        }
    }
    client
}

/// An address as it stands in X-Forwarded-For, where some proxies add a port.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = || text.strip_prefix('[')?.split(']').next()?.parse().ok();
    let with_port = || text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(with_port).or_else(bare)
}

/// What the page of metrics tells of rates.
pub fn families(snapshot: &Snapshot) -> Vec<Family> {
    let rates = &snapshot.rates;
    let mut samples = Vec::new();
    for rated in &rates.routes {
        for rule in &rated.rates.rules {
            let (allowed, denied) = rule.counts();
            for (outcome, count) in [("allowed", allowed), ("denied", denied)] {
                let labels = vec![
                    ("route", rated.route.clone().into()),
                    ("rate", rule.settings.name.clone().into()),
                    ("outcome", outcome.into()),
                ];
                samples.push((labels, count as f64));
            }
        }
    }
    let mut families = vec![Family {
        name: "fleetfoot_rate_requests_total",
        kind: "counter",
        help: "Requests that a rate was asked about, by what it said.",
        samples,
    }];
    families.extend(shared::families(rates.shared.as_deref()));
    families
}

#[cfg(test)]
mod tests;
