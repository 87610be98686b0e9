//! The path of one request, top to bottom. Read this file first.
//!
//! Every room is called from here, in the order in which a request meets it, and from nowhere else.
//! Rooms decide; this file branches and waits. Dropping the future cancels the exchange: whatever it
//! held (a connection, a stream, a buffer) is released by being dropped.
//!
//! ```text
//! connection ─► serve
//!                 1 route     which service, by host, path and method   else 404, 405
//!                             what it asks of balancing, until when it is of use
//!                             whether its rates allow one more          else 429
//!                 2 answer    what we answer ourselves: CONNECT, TRACE and OPTIONS that end here
//!                 3 cache     an answer from store, or one fetch for all who want the same
//!                 4 forward   what crosses the hop and what must not
//!                 5 offload   kept for later, and answered 202      else 413, 422, 503
//!                 6 service   be let in, choose a server, ask it, ask again, ask twice
//!                 7 depart    a fault becomes a status; the answer's own fields
//! client ◄────────┘
//!                 8 monitor   counted and logged when the last byte is out (in `connection`)
//! ```

use crate::caching::fetch::{Fetched, fetch};
use crate::caching::{self, Look, Pass};
use crate::depart;
use crate::events;
use crate::forward::{self, Crossing, Hop};
use crate::house::House;
use crate::offloading;
use crate::rates;
use crate::route::Found;
use crate::shadow;
use crate::steering::{self, Steering};
use crate::telling;
use base::field::{Prepared, Span};
use base::{Deadline, Fault, FaultKind, FieldName, Framing, RequestHead, ResponseHead};
use monitor::Facts;
use monitor::facts::Cause;
use service::{Answered, Ask};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use wire::h1::client::Tunnel;
use wire::{Body, Response};

/// Who is on the other end of a client connection.
#[derive(Debug)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// `address`'s IP as text: made once for a connection, sent with every request.
    pub ip: Box<str>,
    /// Whether TLS is spoken.
    pub tls: bool,
    /// What X-Forwarded-For and -Proto say of a peer whose own word is not believed.
    pub forwarded: Prepared,
}

impl Peer {
    /// A peer at this address.
    pub fn new(address: SocketAddr, tls: bool) -> Self {
        let ip: IpAddr = address.ip().to_canonical();
        let ip = ip.to_string();
        let scheme: &[u8] = if tls { b"https" } else { b"http" };
        let forwarded =
            Prepared::new(&[("X-Forwarded-For", ip.as_bytes()), ("X-Forwarded-Proto", scheme)]);
        Self { address, ip: ip.into(), tls, forwarded }
    }
}

/// One request on its way.
pub struct Exchange<'a> {
    /// Its head.
    pub head: RequestHead,
    /// Its body.
    pub body: Body,
    /// How its body is framed.
    pub framing: Framing,
    /// Whose it is.
    pub peer: &'a Peer,
    /// The client waits for `100 Continue` before it sends the body.
    pub expects: bool,
    /// Where interim responses go.
    pub interim: &'a mut dyn FnMut(&ResponseHead),
    /// When all must be over; set as soon as the route is known.
    pub by: Deadline,
    /// What it asks of whoever chooses a server for it; known as soon as the route is.
    pub steering: Steering,
    /// What is left of the rates of its route: the value of `RateLimit`.
    pub rated: Option<String>,
    /// What is told of it.
    pub facts: Facts,
    /// Where its id lies in its head, if requests have ids.
    pub id: Option<Span>,
    /// Its client knows the token of `server_timing`.
    pub knows_token: bool,
}

impl Exchange<'_> {
    /// Its id, if requests have ids.
    pub fn request_id(&self) -> Option<&[u8]> {
        self.id.map(|span| self.head.fields.text(span))
    }
}

/// What leaves towards the client.
pub enum Departure {
    /// A response.
    Response(Response),
    /// A switch of protocols: its head, and the service's side of the tunnel.
    Tunnel(ResponseHead, Tunnel),
}

/// Answers one exchange. Cannot fail: a fault becomes a response in [`depart`].
pub async fn serve(house: &Rc<House>, exchange: &mut Exchange<'_>) -> Departure {
    telling::begin(house, exchange);
    let outcome = travel(house, exchange).await;
    depart::depart(house, exchange, outcome)
}

async fn travel(house: &Rc<House>, exchange: &mut Exchange<'_>) -> Result<Answered, Fault> {
    let snapshot = &*house.snapshot;
    if exchange.head.method() == b"CONNECT" {
        let detail = "this gateway is no forward proxy";
        return Err(Fault::new(FaultKind::ConnectRefused, detail));
    }
    if offloading::is_status(house, exchange) {
        let answer = Box::pin(offloading::resource::answer(house, exchange)).await;
        return answer.map(Answered::Response);
    }
    // 1 route
    let mut lowered = [0; 256];
    let host = exchange.head.fields.get(FieldName::Host).unwrap_or_default();
    let host = bare_host(host, &mut lowered);
    let index = match snapshot.router.find(exchange.head.method(), host, exchange.head.path()) {
        Found::Route(index) => index,
        Found::NoRoute => {
            return Err(Fault::new(FaultKind::NoRoute, "no route takes this host and path"));
        }
        Found::MethodNotAllowed(allow) => {
            return Err(Fault::new(FaultKind::MethodNotAllowed, allow));
        }
    };
    let route = &snapshot.settings.routes[index];
    exchange.facts.route = Some(index as u16);
    exchange.steering = steering::steer(house, exchange, index);
    exchange.facts.service = Some(exchange.steering.service as u16);
    rates::check(house, exchange, index).await?;
    // 2 answer
    if let Some(answer) = forward::ends_here(&mut exchange.head)? {
        return Ok(Answered::Response(answer));
    }
    forward::check_path(&exchange.head, route)?;
    // 3 cache
    let mut round = 0;
    let pass = loop {
        match caching::look(house, exchange, route, round)? {
            Look::Off => break None,
            Look::Answer(response) => return Ok(Answered::Response(response)),
            Look::Pass(pass) => break Some(pass),
            Look::Fetch(plan) => {
                match Box::pin(fetch(house, exchange, route, *plan, round)).await? {
                    Fetched::Answer(response) => return Ok(Answered::Response(*response)),
                    Fetched::Again => round += 1,
                    Fetched::Alone => round = caching::ALONE,
                }
            }
        }
    };
    // 4 forward
    let hop = Hop { peer: exchange.peer, framing: exchange.framing, expects: exchange.expects };
    let crossing = forward::request(&mut exchange.head, hop, snapshot, route);
    // 5 offload
    if let Some(rule) = &route.offload
        && crossing == Crossing::Plain
        && let Some(answer) = Box::pin(offloading::take(house, exchange, route, rule)).await?
    {
        return Ok(Answered::Response(answer));
    }
    // 6 service
    let relay = &mut *exchange.interim;
    let mut interim = |mut head: ResponseHead| {
        forward::interim(&mut head);
        relay(&head);
    };
    let shadow = shadow::copy(route, &exchange.head, &exchange.facts.trace);
    let mut ask = Ask {
        head: &mut exchange.head,
        body: std::mem::replace(&mut exchange.body, Body::Empty),
        framing: exchange.framing,
        by: exchange.by,
        try_by: Deadline::NEVER,
        pause: snapshot.limits.body_pause,
        expects: exchange.expects,
        upgrades: crossing == Crossing::Upgrade,
        interim: &mut interim,
        class: exchange.steering.class,
        hash: exchange.steering.hash,
        tells: exchange.steering.tells.then_some(&snapshot.settings.deadlines),
        hurried: exchange.steering.hurried,
        sent: None,
        h2_used: None,
        // On from those for the store: each try of an exchange has a span of its own.
        tries: exchange.facts.attempts,
        cause: Cause::First,
    };
    let service = &house.services[exchange.steering.service];
    let shadow =
        shadow.map(|shadow| shadow::prepare(house, shadow, exchange.steering.service, &mut ask));
    let answered = service.call(&mut ask, &mut exchange.facts).await;
    if let Some(shadow) = shadow {
        shadow.send(house);
    }
    match answered? {
        Answered::Response(response) => {
            let response = arrived(house, exchange, (index, pass.as_ref()), response).await;
            Ok(Answered::Response(response))
        }
        tunnel @ Answered::Tunnel(..) => Ok(tunnel),
    }
}

/// What an answer of the service means for the store, and for those who hear of it.
async fn arrived(
    house: &Rc<House>,
    exchange: &mut Exchange<'_>,
    (index, pass): (usize, Option<&Pass>),
    mut response: Response,
) -> Response {
    let route = &house.snapshot.settings.routes[index];
    forward::response(&mut response.head, &house.snapshot);
    if let Some(pass) = pass {
        if exchange.head.method() == b"POST" {
            let posted = caching::posted(house, exchange, route, pass, response);
            response = Box::pin(posted).await;
        } else if let Some(purge) = caching::passed(house, exchange, pass, &mut response) {
            Box::pin(caching::invalidate::tell(house, &purge)).await;
        }
    } else if let Some(purge) = caching::wrote(house, exchange, &response) {
        Box::pin(caching::invalidate::tell(house, &purge)).await;
    }
    if let Some(publish) = &route.publish {
        events::of_exchange(house, exchange, (index, publish), response.head.status);
    }
    response
}

/// A host in lower case without its port; what is longer than a host name can be is cut, and
/// matches nothing.
pub fn bare_host<'a>(host: &'a [u8], lowered: &'a mut [u8; 256]) -> &'a [u8] {
    let in_brackets = host.iter().position(|&b| b == b']').unwrap_or(0);
    let colon = host[in_brackets..].iter().position(|&b| b == b':');
    let host = &host[..colon.map_or(host.len(), |at| in_brackets + at)];
    if !host.iter().any(u8::is_ascii_uppercase) {
        return host;
    }
    let n = host.len().min(lowered.len());
    lowered[..n].copy_from_slice(&host[..n]);
    lowered[..n].make_ascii_lowercase();
    &lowered[..n]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_bared_of_case_and_port() {
        for (host, bare) in [
            ("shop.example", "shop.example"),
            ("Shop.Example:8080", "shop.example"),
            ("[::1]:80", "[::1]"),
            ("[FE80::1]", "[fe80::1]"),
            ("", ""),
        ] {
            assert_eq!(bare_host(host.as_bytes(), &mut [0; 256]), bare.as_bytes(), "{host}");
        }
    }
}
