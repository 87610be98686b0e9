//! How services stand: their servers, limits, budgets and hedges, for the page of metrics and for
//! people (`GET /servers` of the admin listener).

use balance::{Condition, Ejections, Standing};
use base::Moment;
use monitor::expose::{Family, Labels};
use serde_json::{Value, json};
use service::Shared;
use std::borrow::Cow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Names of conditions, in log and metric.
const CONDITIONS: [&str; 5] = ["up", "ejected", "dead", "probation", "down"];

fn name(condition: Condition) -> &'static str {
    match condition {
        Condition::Up => CONDITIONS[0],
        Condition::Ejected { .. } => CONDITIONS[1],
        Condition::Dead { .. } => CONDITIONS[2],
        Condition::Probation => CONDITIONS[3],
        Condition::Down => CONDITIONS[4],
    }
}

/// A family that is made of a sample for each server or service.
struct Making(Family);

impl Making {
    fn new(name: &'static str, kind: &'static str, help: &'static str) -> Self {
        Self(Family { name, kind, help, samples: Vec::new() })
    }

    fn add(&mut self, labels: Labels, value: f64) {
        self.0.samples.push((labels, value));
    }
}

/// What the page of metrics tells of services and their servers.
pub fn families(services: &[Arc<Shared>], now: Moment) -> Vec<Family> {
    let mut families = servers(services, now);
    families.extend(doors(services));
    families.extend(extras(services, now));
    families
}

fn servers(services: &[Arc<Shared>], now: Moment) -> Vec<Family> {
    let mut condition = Making::new(
        "fleetfoot_server_condition",
        "gauge",
        "1 for the condition that a server is in, by service and server.",
    );
    let mut in_flight = Making::new(
        "fleetfoot_server_in_flight",
        "gauge",
        "Requests that a server has not begun to answer.",
    );
    let mut latency = Making::new(
        "fleetfoot_server_latency_seconds",
        "gauge",
        "What an answer of a server takes, by its peak-EWMA.",
    );
    let mut weight = Making::new(
        "fleetfoot_server_weight",
        "gauge",
        "The weight of a server now: less than its own while it starts slowly.",
    );
    let mut ejections = Making::new(
        "fleetfoot_server_ejections_total",
        "counter",
        "How often a server was put out for what came of asking it, by what for.",
    );
    for service in services {
        for standing in service.pool.standings(now) {
            let of = |more: Option<&'static str>| {
                let mut labels: Labels = vec![
                    ("service", Cow::Owned(service.settings.name.clone())),
                    ("server", Cow::Owned(standing.url.clone())),
                ];
                labels.extend(more.map(|more| ("condition", Cow::Borrowed(more))));
                labels
            };
            condition.add(of(Some(name(standing.condition))), 1.0);
            in_flight.add(of(None), f64::from(standing.in_flight));
            latency.add(of(None), standing.latency.unwrap_or_default().as_secs_f64());
            weight.add(of(None), standing.weight);
            let Ejections { failures, success, slow, dead } = standing.ejections;
            for (why, n) in
                [("failures", failures), ("success", success), ("slow", slow), ("dead", dead)]
            {
                let mut labels = of(None);
                labels.push(("why", Cow::Borrowed(why)));
                ejections.add(labels, n as f64);
            }
        }
    }
    [condition, in_flight, latency, weight, ejections].map(|making| making.0).into()
}

fn doors(services: &[Arc<Shared>]) -> Vec<Family> {
    let mut limit = Making::new(
        "fleetfoot_service_limit",
        "gauge",
        "Requests that a service is let have in flight: learned, in force or only observed.",
    );
    let mut in_flight = Making::new(
        "fleetfoot_service_in_flight",
        "gauge",
        "Requests let through to a service that are not answered.",
    );
    let mut waiting =
        Making::new("fleetfoot_service_waiting", "gauge", "Requests that wait to be let through.");
    let mut admissions = Making::new(
        "fleetfoot_service_admissions_total",
        "counter",
        "Requests to a service, by what its limit made of them.",
    );
    for service in services.iter().filter(|service| !service.admission.is_off()) {
        let of = || vec![("service", Cow::Owned(service.settings.name.clone()))];
        let standing = service.admission.standing();
        limit.add(of(), f64::from(standing.limit));
        in_flight.add(of(), f64::from(standing.in_flight));
        waiting.add(of(), f64::from(standing.waiting));
        let counts = service.admission.counts();
        for (ended, count) in [
            ("admitted", &counts.admitted),
            ("queued", &counts.queued),
            ("full", &counts.full),
            ("expired", &counts.expired),
            ("codel", &counts.codel),
            ("left", &counts.left),
            ("would_queue", &counts.would_queue),
            ("would_refuse", &counts.would_refuse),
        ] {
            let mut labels = of();
            labels.push(("ended", Cow::Borrowed(ended)));
            admissions.add(labels, count.load(Ordering::Relaxed) as f64);
        }
    }
    [limit, in_flight, waiting, admissions].map(|making| making.0).into()
}

fn extras(services: &[Arc<Shared>], now: Moment) -> Vec<Family> {
    let mut budget = Making::new(
        "fleetfoot_service_budget",
        "gauge",
        "Retries and hedges that are paid for at the moment.",
    );
    let mut hedges = Making::new(
        "fleetfoot_service_hedges_total",
        "counter",
        "Second tries beside the first, by what became of them.",
    );
    let mut delay = Making::new(
        "fleetfoot_service_hedge_delay_seconds",
        "gauge",
        "After how long a second try is sent; 0 while none is.",
    );
    for service in services {
        let of = || vec![("service", Cow::Owned(service.settings.name.clone()))];
        budget.add(of(), service.budget.balance(now));
        let Some(hedge) = &service.hedge else { continue };
        let figures = hedge.figures();
        for (ended, n) in
            [("sent", figures.sent), ("won", figures.won), ("turned_off", figures.turned_off)]
        {
            let mut labels: Labels = of();
            labels.push(("ended", Cow::Borrowed(ended)));
            hedges.add(labels, n as f64);
        }
        delay.add(of(), hedge.state().unwrap_or_default().as_secs_f64());
    }
    [budget, hedges, delay].map(|making| making.0).into()
}

/// The same for people and scripts: services, each with its servers.
pub fn json(services: &[Arc<Shared>], now: Moment) -> Value {
    services.iter().map(|service| of_service(service, now)).collect()
}

fn of_service(service: &Shared, now: Moment) -> Value {
    let door = service.admission.standing();
    let servers: Vec<Value> =
        service.pool.standings(now).iter().map(|standing| of_server(standing, now)).collect();
    let hedge = service.hedge.as_ref().map(|hedge| match hedge.state() {
        Ok(delay) => json!({ "delay_ms": millis(delay) }),
        Err(not_now) => json!({ "not_now": not_now.name() }),
    });
    json!({
        "service": service.settings.name,
        "servers": servers,
        "limit": (!service.admission.is_off()).then(|| json!({
            "mode": format!("{:?}", service.settings.limit.mode).to_lowercase(),
            "limit": door.limit,
            "in_flight": door.in_flight,
            "waiting": door.waiting,
        })),
        "budget": rounded(service.budget.balance(now)),
        "hedge": hedge,
    })
}

fn of_server(standing: &Standing, now: Moment) -> Value {
    let (until, why) = match standing.condition {
        Condition::Ejected { until, why } => (Some(until), Some(format!("{why:?}").to_lowercase())),
        Condition::Dead { until } => (Some(until), None),
        Condition::Up | Condition::Probation | Condition::Down => (None, None),
    };
    json!({
        "server": standing.url,
        "condition": name(standing.condition),
        "why": why,
        "back_in_ms": until.map(|until| millis(until.since(now))),
        "in_flight": standing.in_flight,
        "latency_ms": standing.latency.map(millis),
        "weight": rounded(standing.weight),
        "priority": standing.priority,
        "zone": standing.zone,
        "ejections": standing.ejections.total(),
    })
}

/// With three decimals: for people.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

fn millis(time: std::time::Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e3)
}
