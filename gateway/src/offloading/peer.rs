//! A job that another gateway accepted: its owner is asked, and what it says is passed on.
//!
//! The id names the owner, the settings (`peers`) say where it is. What goes through is what the status
//! address takes: GET, HEAD and DELETE, with patience, preferences and the wish for events. A request
//! that comes from a peer is not passed on once more.

use crate::house::House;
use crate::path::Exchange;
use base::{
    Deadline, Fault, FaultKind, FieldName, Framing, Moment, RequestHead, ResponseHead, Version,
};
use monitor::Facts;
use offload::engine::Engine;
use offload::job::{JobId, Node};
use service::settings::Class;
use service::{Answered, Ask};
use settings::Settings;
use std::rc::Rc;
use std::time::Duration;
use wire::{Body, Response};

/// What marks a request that a peer has sent.
const ASKED_BY: &[u8] = b"Fleetfoot-Asked-By";
/// Longest time that an owner may take beyond its client's patience.
const TIME: Duration = Duration::from_secs(5);
/// What services of peers are called; no name in the settings has a blank.
const SERVICE: &str = "peer ";

/// Makes a service of each peer, so that it is asked like any other: with a pool, deadlines and health.
pub fn add(settings: &mut Settings) {
    let peers = settings.offload.as_ref().map(|offload| offload.peers.clone()).unwrap_or_default();
    for peer in peers {
        let name = format!("{SERVICE}{}", peer.name);
        let is_there = settings.services.iter().any(|service| service.name == name);
        let made = settings::for_url(&[peer.url], &[], None).ok();
        let service = made.and_then(|made| made.services.into_iter().next());
        if let Some(service) = service.filter(|_| !is_there) {
            settings.services.push(service::settings::Settings { name, ..service });
        }
    }
}

/// Asks the owner of a job.
///
/// # Errors
/// `NoJob`: nobody knows the owner; `PeerAway`: it does not answer.
pub async fn ask(
    house: &Rc<House>,
    engine: &Engine,
    exchange: &mut Exchange<'_>,
    id: JobId,
) -> Result<Response, Fault> {
    let peers = &engine.settings().peers;
    let owner = peers.iter().find(|peer| Node::named(&peer.name) == id.node());
    let was_asked = exchange.head.fields.find(ASKED_BY).is_some();
    let owner = owner.filter(|_| !was_asked).ok_or_else(|| {
        Fault::new(FaultKind::NoJob, "the gateway that accepted this job is not known here")
    })?;
    let name = format!("{SERVICE}{}", owner.name);
    let service = house.services.iter().find(|service| service.settings.name == name);
    let away = |why: &str| {
        let detail = format!("the gateway that accepted this job ({}) {why}", owner.name);
        Fault::new(FaultKind::PeerAway, detail).retry_after(Duration::from_secs(2))
    };
    let service = service.ok_or_else(|| away("is not known here"))?;
    let head = &exchange.head;
    let mut asked = RequestHead::build(Version::Http11, head.method(), head.target());
    let host = owner.url.split_once("://").map_or(owner.url.as_str(), |(_, host)| host);
    asked.add_host(host.as_bytes());
    asked.fields.push(ASKED_BY, engine.settings().node.as_bytes());
    for field in head.fields.iter() {
        let goes = field.known == FieldName::Accept || field.name.eq_ignore_ascii_case(b"prefer");
        if goes {
            asked.fields.push(field.name, field.value);
        }
    }
    let by = Deadline::after(Moment::now(), engine.settings().wait_max + TIME);
    let mut nobody = |_: ResponseHead| {};
    let times = (by, house.snapshot.limits.body_pause);
    let mut ask = Ask::in_background(&mut asked, (Body::Empty, Framing::None), times, &mut nobody);
    ask.class = Class::Normal;
    let mut facts = Facts::begin(Moment::now());
    match service.call(&mut ask, &mut facts).await {
        Ok(Answered::Response(mut response)) => {
            crate::forward::interim(&mut response.head);
            Ok(response)
        }
        Ok(Answered::Tunnel(..)) => Err(away("answers what was not asked")),
        Err(fault) => Err(away("does not answer").because(fault)),
    }
}
