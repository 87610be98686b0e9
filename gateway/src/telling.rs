//! What is told of an exchange: its trace when it begins; counters, a record, a line of the log and,
//! of few, the whole of it when it has ended.

use crate::access;
use crate::house::House;
use crate::identity;
use crate::path::Exchange;
use crate::timing;
use crate::worker::Worker;
use base::{FieldName, Moment, Version};
use monitor::facts::Try;
use monitor::keep::Why;
use monitor::record::{Beside, Method};
use monitor::trace::{self, Trace};
use monitor::{Kept, Phase, Record};
use std::cell::RefCell;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// Gives a request its id, finds the trace that it belongs to or begins one. A caller that cannot write its own is
/// not believed, and neither is the state that came with it.
pub fn begin(house: &House, exchange: &mut Exchange<'_>) {
    timing::begin(house, exchange);
    identity::begin(house, exchange);
    let settings = &house.snapshot.settings.monitor;
    if !settings.trace || cfg!(fleetfoot_bare) {
        return;
    }
    let fields = &mut exchange.head.fields;
    let mut said = fields.all(FieldName::Traceparent);
    let (first, more) = (said.next(), said.next());
    let has_said = first.is_some() || fields.has(FieldName::Tracestate);
    let caller = if more.is_none() { first.and_then(trace::parse) } else { None };
    drop(said);
    if caller.is_none() && has_said {
        fields.retain(|f| !matches!(f.known, FieldName::Traceparent | FieldName::Tracestate));
    }
    let share = settings.trace_sample;
    let sampled = share.0 > 0 && fastrand::u32(0..10_000) < share.0;
    exchange.facts.trace = Trace::begin(caller, (fastrand::u128(..), fastrand::u64(..)), sampled);
}

/// Counts and logs an exchange whose last byte is out, and keeps it if it is worth it.
pub fn finish(worker: &Worker, house: &House, exchange: &mut Exchange<'_>) {
    let now = Moment::now();
    exchange.facts.timeline.enter(Phase::Gateway, now);
    exchange.facts.note_unfinished(now);
    let facts = &exchange.facts;
    let meter = house.meter(facts.route);
    worker.ledger.record(Some(meter), facts);
    if !cfg!(fleetfoot_bare) {
        if worker.ledger.wants_record(facts) {
            worker.ledger.records.put(Record::of(facts, beside(house, exchange)));
        }
        let keeper: &RefCell<_> = house.keeper(facts.route);
        if let Some(why) = keeper.borrow_mut().keep(facts, meter.slow(), now) {
            worker.ledger.kept.put(kept(house, exchange, why));
        }
    }
    if let Some(log) = &house.snapshot.log
        && let Some(line) = access::line(house, exchange, || fastrand::u32(0..10_000))
        && !log.line(line)
    {
        worker.ledger.log_dropped.add(1);
    }
}

fn beside(house: &House, exchange: &Exchange<'_>) -> Beside {
    let head = &exchange.head;
    Beside {
        generation: house.snapshot.generation,
        key: key(head.host_received(), head.target_received()),
        method: Method::of(head.method()),
        h2: head.version == Version::Http2,
        tls: exchange.peer.tls,
    }
}

/// What was asked for, as records have it.
pub fn key(host: &[u8], target: &[u8]) -> u64 {
    xxh3_64_with_seed(target, xxh3_64(host))
}

fn kept(house: &House, exchange: &Exchange<'_>, why: Why) -> Kept {
    let (head, facts) = (&exchange.head, &exchange.facts);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let service = facts.service.map(|at| &house.services[usize::from(at)]);
    let server = |tried: &Try| {
        let endpoint = service.and_then(|service| service.endpoint(tried.server));
        endpoint.map_or_else(|| "?".to_owned(), |endpoint| endpoint.label().to_owned())
    };
    let settings = &house.snapshot.settings;
    Kept {
        why,
        client: exchange.peer.ip.to_string(),
        method: text(head.method()),
        host: text(head.host_received()),
        target: text(&access::redacted(head.target_received(), &settings.monitor.redact)),
        protocol: access::protocol(head.version),
        tls: exchange.peer.tls,
        user_agent: text(head.fields.get(FieldName::UserAgent).unwrap_or_default()),
        route: facts.route.map(|at| settings.routes[usize::from(at)].name.clone()),
        service: service.map(|service| service.settings.name.clone()),
        tries: facts.tries().map(|tried| (*tried, server(tried))).collect(),
        request_id: exchange.request_id().map(text),
        facts: facts.clone(),
    }
}
