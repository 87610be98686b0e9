//! One client connection, from its first byte to its last: requests in, departures out.
//!
//! An idle connection is a small future and no buffer; everything that an exchange needs is boxed
//! when its request has come and freed when its answer is out.

use crate::access;
use crate::depart;
use crate::house::House;
use crate::path::{self, Departure, Exchange, Peer};
use crate::steering::Steering;
use crate::telling;
use crate::tunnel;
use crate::worker::Worker;
use base::field::members;
use base::{
    Deadline, Fault, FaultKind, FieldName, Framing, Moment, RequestHead, ResponseHead, Side,
    Version,
};
use monitor::{Facts, Phase, Timeline};
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsStream};
use wire::h1::client::Tunnel;
use wire::h1::encode::{self, Connection};
use wire::h1::outgoing::{Outgoing, Unsent, Waiting};
use wire::h1::server::{Arrival, Server, body};
use wire::settings::Limits;
use wire::timer::{Ended, within, within_lazily, within_or_interrupted};
use wire::transport::{Io, Transport};
use wire::{Body, Response, h2};

/// How long we read and forget what a client still sends after we have said goodbye, so that our
/// last words are not lost to a reset.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// And how much of it.
const LINGER_BYTES_MAX: usize = 1 << 20;
/// How long a drain waits for the next request on a connection that has been promised to live.
const DRAIN_IDLE_TIME: Duration = Duration::from_secs(1);

/// Serves one connection until it ends.
pub async fn serve(worker: Rc<Worker>, stream: TcpStream, address: SocketAddr, tls: bool) {
    let peer = Rc::new(Peer::new(address, tls));
    let house = worker.house();
    let io = match &house.snapshot.tls {
        Some(config) if tls => {
            let acceptor = TlsAcceptor::from(Arc::clone(config));
            let by = Deadline::after(Moment::now(), house.snapshot.limits.head_time);
            let handshake = Box::pin(acceptor.accept(stream));
            let Ok(Ok(stream)) = within(by, handshake).await else {
                worker.ledger.handshake_failures.add(1);
                return;
            };
            Io::Tls(Box::new(TlsStream::Server(stream)))
        }
        _ => Io::Plain(stream),
    };
    let limits = Arc::clone(&house.snapshot.limits);
    drop(house);
    let chose_h2 = match &io {
        Io::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        Io::Plain(_) => false,
    };
    if chose_h2 {
        return Box::pin(serve_h2(&worker, io, Vec::new(), peer, limits)).await;
    }
    let server = Rc::new(Server::new(Transport::new(io), Arc::clone(&limits)));
    if serve_h1(&worker, &server, &peer, &limits).await == Next::Preface
        && let Some(server) = Rc::into_inner(server)
    {
        let (io, unread) = server.into_parts();
        Box::pin(serve_h2(&worker, io, unread, peer, limits)).await;
    }
}

/// What follows an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Another request may come.
    Keep,
    /// We close, after the client has had time to read our last words.
    Close,
    /// It is over.
    Over,
    /// The client speaks HTTP/2.
    Preface,
}

async fn serve_h1(
    worker: &Rc<Worker>,
    server: &Rc<Server>,
    peer: &Rc<Peer>,
    limits: &Limits,
) -> Next {
    let mut requests: u64 = 0;
    let mut now = Moment::now();
    loop {
        let next = match next_request(worker, server, limits, now).await {
            Ok(Some((Arrival::Request(head, framing), came))) => {
                requests += 1;
                let last = limits.requests.is_some_and(|max| requests >= max);
                Box::pin(exchange_h1(worker, server, peer, (head, framing, came), last)).await
            }
            Ok(Some((Arrival::Preface, _))) if requests == 0 && !peer.tls => return Next::Preface,
            Ok(Some((Arrival::Preface, _))) => {
                let fault = Fault::new(FaultKind::BadVersion, "HTTP/2 where it was not agreed on");
                Box::pin(answer_fault(worker, server, peer, &fault)).await
            }
            Ok(Some((Arrival::Closed, _)) | None) => Next::Over,
            Err(fault) => Box::pin(answer_fault(worker, server, peer, &fault)).await,
        };
        match next {
            Next::Keep => now = Moment::recent(), // the exchange has just read the clock
            Next::Close => {
                Box::pin(linger(server)).await;
                return Next::Over;
            }
            Next::Over | Next::Preface => return next,
        }
    }
}

/// Waits for the next request, and says when it began to come; `None` when the connection has been
/// idle for too long.
async fn next_request(
    worker: &Worker,
    server: &Server,
    limits: &Limits,
    mut now: Moment,
) -> Result<Option<(Arrival, Moment)>, Fault> {
    let mut idle_time = limits.idle_time;
    loop {
        if worker.is_draining() {
            idle_time = idle_time.min(DRAIN_IDLE_TIME);
        }
        // The whole head usually comes in the first read; only if it does not, its own time begins.
        let first = within_or_interrupted(
            Deadline::after(now, idle_time),
            poll_fn(|cx| match server.poll_request(cx) {
                Poll::Ready(arrival) => Poll::Ready(Some(arrival)),
                Poll::Pending if server.has_begun() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            }),
        );
        match first.await {
            // Woken for this request a moment ago, the thread has read the clock (see `worker`).
            Ok(Some(arrival)) => return arrival.map(|arrival| Some((arrival, Moment::recent()))),
            Ok(None) => break,
            Err(Ended::Interrupted) => now = Moment::now(),
            Err(Ended::Late) => return Ok(None),
        }
    }
    let came = Moment::now();
    let by = Deadline::after(came, limits.head_time);
    match within(by, poll_fn(|cx| server.poll_request(cx))).await {
        Ok(arrival) => arrival.map(|arrival| Some((arrival, came))),
        Err(_late) => {
            let detail = "the head took longer than limits.head_time";
            Err(Fault::new(FaultKind::HeadTimeout, detail))
        }
    }
}

async fn exchange_h1(
    worker: &Rc<Worker>,
    server: &Rc<Server>,
    peer: &Peer,
    (head, framing, came): (RequestHead, Framing, Moment),
    last: bool,
) -> Next {
    let house = worker.house();
    let _counted = worker.count_request();
    let version = head.version;
    let keeps = !last && wants_keep(&head);
    let is_head = head.is_head();
    let mut interim = |head: &ResponseHead| {
        // RFC 9110 §15.2: HTTP/1.0 knows no interim responses.
        if version == Version::Http11 {
            server.interim(head);
        }
    };
    let mut exchange = Exchange {
        head,
        body: body(server, framing),
        framing,
        peer,
        // A client that has already begun to send its body is not waiting for anything.
        expects: server.expects_continue() && !server.has_begun(),
        interim: &mut interim,
        by: Deadline::NEVER,
        steering: Steering::NONE,
        rated: None,
        facts: Facts::begin_slowly(came, Moment::recent()),
        id: None,
        knows_token: false,
    };
    let departure = {
        let mut serving = pin!(path::serve(&house, &mut exchange));
        poll_fn(|cx| match serving.as_mut().poll(cx) {
            Poll::Ready(departure) => Poll::Ready(Some(departure)),
            // A client that breaks the connection off cancels all that is done for it.
            Poll::Pending => server.poll_gone(cx).map(|()| None),
        })
        .await
    };
    let next = match departure {
        None => {
            exchange.facts.fault = Some(FaultKind::ClientGone);
            Next::Over
        }
        Some(Departure::Response(response)) => {
            let keeps = keeps && !worker.is_draining() && may_keep(server, &exchange, &response);
            send_h1(&house, server, &mut exchange, response, (is_head, keeps)).await
        }
        Some(Departure::Tunnel(head, tunnel)) => {
            Box::pin(switch(&house, server, &mut exchange, head, tunnel)).await;
            Next::Over
        }
    };
    telling::finish(worker, &house, &mut exchange);
    next
}

/// Does the client mean to keep the connection (RFC 9112 §9.3)?
fn wants_keep(head: &RequestHead) -> bool {
    let mut options = head.fields.all(FieldName::Connection).flat_map(members);
    match head.version {
        Version::Http10 => options.any(|option| option.eq_ignore_ascii_case(b"keep-alive")),
        Version::Http11 | Version::Http2 => {
            !options.any(|option| option.eq_ignore_ascii_case(b"close"))
        }
    }
}

/// Can another request follow this answer? Not after a fault that leaves the stream in doubt, and
/// not behind a request body that nobody reads.
fn may_keep(server: &Server, exchange: &Exchange<'_>, response: &Response) -> bool {
    let in_doubt = matches!(
        exchange.facts.fault,
        Some(
            FaultKind::BadRequest
                | FaultKind::BadBody
                | FaultKind::BodyTooLarge
                | FaultKind::BodyTimeout
                | FaultKind::ClientGone
                | FaultKind::ConnectRefused
        )
    );
    // An answer that came before the whole request leaves nobody to read the rest of it.
    let unread = response.body.is_feeding() && !server.has_body_ended();
    !in_doubt && !unread && server.discard_at_hand()
}

/// How a response is framed towards an HTTP/1 client, and whether the connection can outlive it.
fn frame_h1(response: &Response, version: Version, is_head: bool) -> (Framing, bool) {
    match response.framing {
        Framing::Chunked | Framing::Close if version == Version::Http10 => {
            (Framing::Close, is_head)
        }
        Framing::Close => (Framing::Chunked, true),
        framing => (framing, true),
    }
}

async fn send_h1(
    house: &House,
    server: &Server,
    exchange: &mut Exchange<'_>,
    response: Response,
    (is_head, keeps): (bool, bool),
) -> Next {
    let version = exchange.head.version;
    let (framing, outlives) = frame_h1(&response, version, is_head);
    let keeps = keeps && outlives;
    let says = match (keeps, version) {
        (false, _) => Connection::Close,
        (true, Version::Http10) => Connection::KeepAlive,
        (true, _) => Connection::Silent,
    };
    let mut front = wire::buffer::scratch();
    front.extend_from_slice(&server.take_early());
    encode::response(&mut front, &response.head, framing, says);
    let has_body = !is_head && !response.head.is_bodiless();
    let (body, framing) =
        if has_body { (response.body, framing) } else { (Body::Empty, Framing::None) };
    let mut outgoing = Outgoing::new(front, body, framing);
    let (pause, by) = (house.snapshot.limits.body_pause, exchange.by);
    let sent = send_out(server, &mut outgoing, &mut exchange.facts.timeline, (pause, by)).await;
    exchange.facts.sent = outgoing.moved();
    match sent {
        Ok(()) if keeps && server.has_body_ended() => Next::Keep,
        Ok(()) => Next::Close,
        Err(fault) => {
            depart::note(house, exchange, &fault);
            if outgoing.moved() == 0 && fault.kind.side() == Side::Upstream {
                // The answer broke off before any of it was on its way: then there is a better one.
                exchange.facts.status = depart::status_of(fault.kind);
                return say_fault(server, &fault).await;
            }
            // The client must see that the answer is not whole: no orderly goodbye, and where only the
            // connection's end tells the body's, no orderly end either.
            if exchange.head.version == Version::Http10 {
                server.io().abort();
            }
            Next::Over
        }
    }
}

/// Sends a message to its end, as long as bytes move and the exchange's time has not run out.
async fn send_out(
    server: &Server,
    outgoing: &mut Outgoing,
    timeline: &mut Timeline,
    (pause, by): (Duration, Deadline),
) -> Result<(), Fault> {
    loop {
        let moved = outgoing.moved();
        let step = poll_fn(|cx| {
            go_on(timeline);
            match outgoing.poll(cx, server.io()) {
                Poll::Ready(sent) => return Poll::Ready(Some(sent)),
                Poll::Pending if outgoing.moved() > moved => return Poll::Ready(None),
                Poll::Pending => wait_for(timeline, outgoing.waiting()),
            }
            match outgoing.waiting() {
                // While nothing is written, nothing tells that nobody reads.
                Waiting::Source => server
                    .poll_gone(cx)
                    .map(|()| Some(Err(Unsent::Peer(io::ErrorKind::ConnectionReset.into())))),
                Waiting::Peer => Poll::Pending,
            }
        });
        let patience = || by.or_before(Deadline::after(Moment::now(), pause));
        match within_lazily(patience, step).await {
            Ok(None) => {}
            Ok(Some(Ok(()))) => return Ok(()),
            Ok(Some(Err(unsent))) => return Err(unsent_fault(unsent)),
            Err(_late) if by.passed(Moment::now()) => {
                return Err(Fault::new(FaultKind::TotalTimeout, "the answer took too long"));
            }
            Err(_late) if outgoing.waiting() == Waiting::Peer => {
                return Err(Fault::new(FaultKind::BodyTimeout, "the client does not read"));
            }
            // A service may be silent for as long as the exchange's time lasts: streams are.
            Err(_late) => {}
        }
    }
}

/// The answer cannot go on for whom it waits for.
fn wait_for(timeline: &mut Timeline, whom: Waiting) {
    if cfg!(fleetfoot_bare) {
        return;
    }
    let phase = match whom {
        Waiting::Peer => Phase::Write,
        Waiting::Source => Phase::Transfer,
    };
    timeline.enter(phase, Moment::now());
}

/// It can go on.
fn go_on(timeline: &mut Timeline) {
    if !cfg!(fleetfoot_bare) && timeline.phase() != Phase::Gateway {
        timeline.resume(Phase::Gateway, Moment::now());
    }
}

fn unsent_fault(unsent: Unsent) -> Fault {
    match unsent {
        Unsent::Peer(error) => Fault::new(FaultKind::ClientGone, "the answer").because(error),
        Unsent::Body(fault) => fault,
        Unsent::Short => Fault::new(FaultKind::ResponseCut, "shorter than its length"),
    }
}

/// Sends the head of a switch of protocols and carries bytes both ways until both sides are done.
async fn switch(
    house: &House,
    server: &Server,
    exchange: &mut Exchange<'_>,
    head: ResponseHead,
    tunnel: Tunnel,
) {
    let mut front = server.take_early();
    encode::interim(&mut front, &head);
    front.extend_from_slice(&tunnel.unread);
    let mut outgoing = Outgoing::new(front, Body::Empty, Framing::None);
    let limits = &house.snapshot.limits;
    let (pause, by) = (limits.body_pause, exchange.by);
    let sent = send_out(server, &mut outgoing, &mut exchange.facts.timeline, (pause, by)).await;
    exchange.facts.sent = outgoing.moved();
    if let Err(fault) = sent {
        exchange.facts.fault = Some(fault.kind);
        return;
    }
    // What goes through a tunnel takes as long as it likes.
    exchange.facts.timeline.enter(Phase::Transfer, Moment::recent());
    exchange.facts.sent += tunnel::run(server.io(), server.take_unused(), &tunnel.io).await;
}

/// Answers a request that could not be understood.
async fn answer_fault(worker: &Worker, server: &Server, peer: &Peer, fault: &Fault) -> Next {
    refused(worker, peer, fault);
    if fault.kind == FaultKind::ClientGone {
        return Next::Over;
    }
    say_fault(server, fault).await
}

/// Counts and logs a request that could not be understood.
fn refused(worker: &Worker, peer: &Peer, fault: &Fault) {
    worker.ledger.fault(fault.kind);
    let house = worker.house();
    if let Some(log) = &house.snapshot.log {
        let format = house.snapshot.settings.monitor.log_format;
        if !log.line(access::refusal(format, peer, fault, Moment::now())) {
            worker.ledger.log_dropped.add(1);
        }
    }
}

/// Sends the answer to a fault, the last on its connection.
async fn say_fault(server: &Server, fault: &Fault) -> Next {
    let mut response = depart::problem(fault);
    depart::date(|date| response.head.fields.push(b"Date", date));
    let mut front = server.take_early();
    encode::response(&mut front, &response.head, response.framing, Connection::Close);
    let mut outgoing = Outgoing::new(front, response.body, response.framing);
    let by = Deadline::after(Moment::now(), LINGER_TIME);
    let mut nobodys = Timeline::begin(Moment::now());
    match send_out(server, &mut outgoing, &mut nobodys, (LINGER_TIME, by)).await {
        Ok(()) => Next::Close,
        Err(_) => Next::Over,
    }
}

/// Says that we are done and waits until the client has understood.
async fn linger(server: &Server) {
    let by = Deadline::after(Moment::now(), LINGER_TIME);
    let _best_effort = within(by, async {
        if poll_fn(|cx| server.io().poll_shutdown(cx)).await.is_ok() {
            let mut left = LINGER_BYTES_MAX;
            poll_fn(|cx| server.poll_drain(cx, &mut left)).await;
        }
    })
    .await;
}

/// How many streams of a connection are at work; wakes the connection when that changes.
#[derive(Default)]
struct AtWork {
    streams: Cell<usize>,
    connection: RefCell<Option<Waker>>,
}

/// One stream at work.
struct Shift(Rc<AtWork>);

impl Shift {
    fn begin(at_work: &Rc<AtWork>) -> Self {
        at_work.streams.set(at_work.streams.get() + 1);
        Self(Rc::clone(at_work))
    }
}

impl Drop for Shift {
    fn drop(&mut self) {
        self.0.streams.set(self.0.streams.get() - 1);
        if let Some(waker) = self.0.connection.take() {
            waker.wake();
        }
    }
}

async fn serve_h2(
    worker: &Rc<Worker>,
    io: Io,
    unread: Vec<u8>,
    peer: Rc<Peer>,
    limits: Arc<Limits>,
) {
    let by = Deadline::after(Moment::now(), limits.head_time);
    let accepted = h2::server::Server::accept(io, unread, &limits);
    // Who has not said hello when a drain begins has asked for nothing yet.
    let Ok(Ok(mut server)) = within_or_interrupted(by, accepted).await else {
        worker.ledger.handshake_failures.add(1);
        return;
    };
    let _counted = worker.count_h2();
    let at_work = Rc::new(AtWork::default());
    let mut requests: u64 = 0;
    let mut leaving = false;
    loop {
        if worker.is_draining() && !leaving {
            leaving = true;
            server.drain();
        }
        let idle = at_work.streams.get() == 0;
        if idle {
            server.rest();
        }
        let idle_time = if leaving { LINGER_TIME } else { limits.idle_time };
        let by = if idle { Deadline::after(Moment::now(), idle_time) } else { Deadline::NEVER };
        let next = poll_fn(|cx| match server.poll_next(cx) {
            Poll::Ready(next) => Poll::Ready(Some(next)),
            Poll::Pending if (at_work.streams.get() == 0) != idle => Poll::Ready(None),
            Poll::Pending => {
                *at_work.connection.borrow_mut() = Some(cx.waker().clone());
                Poll::Pending
            }
        });
        match within_or_interrupted(by, next).await {
            Ok(None) => {}
            Ok(Some(Some(Ok(stream)))) => {
                requests += 1;
                let shift = Shift::begin(&at_work);
                let (worker, peer) = (Rc::clone(worker), Rc::clone(&peer));
                tokio::task::spawn_local(async move {
                    let _shift = shift;
                    exchange_h2(&worker, stream, &peer).await;
                });
                if limits.requests.is_some_and(|max| requests >= max) && !leaving {
                    leaving = true;
                    server.drain();
                }
            }
            Ok(Some(Some(Err(_)) | None)) => return,
            Err(Ended::Late) if leaving => return,
            Err(Ended::Late | Ended::Interrupted) => {
                leaving = true;
                server.drain();
            }
        }
    }
}

async fn exchange_h2(worker: &Worker, stream: h2::server::Stream, peer: &Peer) {
    let house = worker.house();
    let h2::server::Stream { head, body, framing, reply } = stream;
    let head = match head {
        Ok(head) => head,
        Err(fault) => {
            refused(worker, peer, &fault);
            let response = depart::problem(&fault);
            if let Ok(Some(mut sending)) =
                reply.answer(&response.head, response.body, response.framing)
            {
                let by = Deadline::after(Moment::now(), LINGER_TIME);
                let _best_effort = within(by, poll_fn(|cx| sending.poll(cx))).await;
            }
            return;
        }
    };
    let _counted = worker.count_request();
    let is_head = head.is_head();
    let reply = RefCell::new(Some(reply));
    let mut interim = |head: &ResponseHead| {
        if head.status == 100 {
            return; // said when the stream was opened, if it was asked for
        }
        if let Some(reply) = &mut *reply.borrow_mut() {
            reply.interim(head);
        }
    };
    let mut exchange = Exchange {
        head,
        body,
        framing,
        peer,
        expects: false,
        interim: &mut interim,
        by: Deadline::NEVER,
        steering: Steering::NONE,
        rated: None,
        facts: Facts::begin(Moment::now()),
        id: None,
        knows_token: false,
    };
    let departure = {
        let mut serving = pin!(path::serve(&house, &mut exchange));
        poll_fn(|cx| match serving.as_mut().poll(cx) {
            Poll::Ready(departure) => Poll::Ready(Some(departure)),
            // A client that resets the stream cancels all that was done for it.
            Poll::Pending => match &mut *reply.borrow_mut() {
                Some(reply) => reply.poll_reset(cx).map(|()| None),
                None => Poll::Pending,
            },
        })
        .await
    };
    let sent = match (departure, reply.take()) {
        (Some(Departure::Response(response)), Some(reply)) => {
            send_h2(&house, reply, response, is_head, &mut exchange).await
        }
        // Upgrade does not exist in HTTP/2, so no tunnel can come of it.
        (Some(_), _) => Err(Fault::new(FaultKind::Internal, "a tunnel over HTTP/2")),
        (None, _) => Err(Fault::new(FaultKind::ClientGone, "the stream was reset")),
    };
    if let Err(fault) = sent {
        depart::note(&house, &mut exchange, &fault);
    }
    telling::finish(worker, &house, &mut exchange);
}

async fn send_h2(
    house: &House,
    reply: h2::server::Reply,
    response: Response,
    is_head: bool,
    exchange: &mut Exchange<'_>,
) -> Result<(), Fault> {
    let (pause, by) = (house.snapshot.limits.body_pause, exchange.by);
    let gone = |error| Fault::new(FaultKind::ClientGone, "the answer's stream").because(error);
    let has_body = !is_head && !response.head.is_bodiless();
    let body = if has_body { response.body } else { Body::Empty };
    let sending = reply.answer(&response.head, body, response.framing).map_err(gone)?;
    let Some(mut sending) = sending else { return Ok(()) };
    let sent = loop {
        let moved = sending.moved();
        let timeline = &mut exchange.facts.timeline;
        let step = poll_fn(|cx| {
            go_on(timeline);
            match sending.poll(cx) {
                Poll::Ready(sent) => Poll::Ready(Some(sent)),
                Poll::Pending if sending.moved() > moved => Poll::Ready(None),
                Poll::Pending => {
                    wait_for(timeline, sending.waiting());
                    Poll::Pending
                }
            }
        });
        let patience = || by.or_before(Deadline::after(Moment::now(), pause));
        match within_lazily(patience, step).await {
            Ok(None) => {}
            Ok(Some(sent)) => break sent.map_err(unsent_fault),
            Err(_late) if by.passed(Moment::now()) => {
                break Err(Fault::new(FaultKind::TotalTimeout, "the answer took too long"));
            }
            Err(_late) if sending.waiting() == Waiting::Peer => {
                break Err(Fault::new(FaultKind::BodyTimeout, "the client does not read"));
            }
            Err(_late) => {}
        }
    };
    exchange.facts.sent = sending.moved();
    if sent.is_err() {
        sending.reset();
    }
    sent
}
