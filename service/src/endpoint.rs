//! One server of a service as one thread sees it: its idle connections and those that are shared.

use crate::settings::{Scheme, Server};
use crate::streams::Streams;
use balance::Member;
use base::Moment;
use monitor::ServerMeter;
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use wire::h1::client::{Connection, Home, Lent};

/// Which protocol a server turned out to speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    One,
    Two,
}

/// One server of a service.
#[derive(Debug)]
pub struct Endpoint {
    /// The server as all threads see it.
    pub member: Arc<Member>,
    /// `host:port`, for Host and logs.
    pub authority: String,
    /// What this thread counts of it.
    pub meter: Arc<ServerMeter>,
    /// The most recently used last: it is taken first, so that the others may time out.
    #[expect(
        clippy::vec_box,
        reason = "a connection moves often, and is boxed so as to move cheaply"
    )]
    idle: RefCell<Vec<Box<Connection>>>,
    idle_max: usize,
    pub(crate) spoken: Cell<Option<Spoken>>,
    pub(crate) streams: Streams,
    addresses: RefCell<Option<(Moment, Rc<[SocketAddr]>)>>,
    retired: Cell<bool>,
}

/// How long a name's addresses are believed.
const ADDRESSES_TTL: Duration = Duration::from_secs(10);

impl Endpoint {
    pub(crate) fn new(member: Arc<Member>, idle_max: usize, meter: Arc<ServerMeter>) -> Self {
        let authority = authority(&member.server);
        Self {
            member,
            authority,
            meter,
            idle: RefCell::default(),
            idle_max,
            spoken: Cell::new(None),
            streams: Streams::new(),
            addresses: RefCell::default(),
            retired: Cell::new(false),
        }
    }

    /// An idle connection that is still open, if there is one.
    pub(crate) fn take(self: &Rc<Self>) -> Option<Lent> {
        loop {
            let connection = self.idle.borrow_mut().pop()?;
            self.meter.idle.sub(1);
            // Dropping what the server has closed counts it; it may never reach the request.
            let is_idle = connection.is_idle();
            let lent = self.lend(connection);
            if is_idle {
                return Some(lent);
            }
        }
    }

    /// `host:port` for people, with the address behind a `#` where the name stands for several.
    pub fn label(&self) -> &str {
        let url = &self.member.url;
        url.split_once("://").map_or(url, |(_, rest)| rest)
    }

    /// Connections that a request would find ready.
    pub(crate) fn spare(&self) -> usize {
        match self.spoken.get() {
            Some(Spoken::Two) => self.streams.len(),
            Some(Spoken::One) | None => self.idle.borrow().len(),
        }
    }

    /// Lends out a connection that counts as open.
    pub(crate) fn lend(self: &Rc<Self>, connection: Box<Connection>) -> Lent {
        Lent::new(connection, Rc::clone(self) as Rc<dyn Home>)
    }

    /// Closes connections that have been idle since before `oldest`, or that the server closed.
    pub(crate) fn sweep(&self, oldest: Moment, prewarm: usize) {
        let closed = {
            let mut idle = self.idle.borrow_mut();
            let stays = |c: &Connection| c.idle_since >= oldest && c.is_idle();
            idle.extract_if(.., |connection| !stays(connection)).collect::<Vec<_>>()
        };
        self.meter.idle.sub(closed.len() as u64);
        self.meter.open.sub(closed.len() as u64);
        self.streams.sweep(oldest, prewarm);
    }

    /// Keeps no connection from now on: the settings no longer name this server.
    pub(crate) fn retire(&self) {
        self.retired.set(true);
        self.streams.leave();
        let closed = self.idle.take().len() as u64;
        self.meter.idle.sub(closed);
        self.meter.open.sub(closed);
    }

    /// The addresses of the server, in the resolver's order.
    ///
    /// # Errors
    /// The name cannot be resolved.
    pub(crate) async fn addresses(&self, now: Moment) -> std::io::Result<Rc<[SocketAddr]>> {
        let server = &self.member.server;
        if let Some(ip) = server.address.or_else(|| server.host.parse::<IpAddr>().ok()) {
            return Ok(Rc::new([SocketAddr::new(ip, server.port)]));
        }
        if let Some((when, known)) = &*self.addresses.borrow()
            && now.since(*when) < ADDRESSES_TTL
        {
            return Ok(Rc::clone(known));
        }
        let name = (server.host.as_str(), server.port);
        let found: Rc<[SocketAddr]> = tokio::net::lookup_host(name).await?.collect();
        *self.addresses.borrow_mut() = Some((now, Rc::clone(&found)));
        Ok(found)
    }
}

impl Home for Endpoint {
    fn back(&self, mut connection: Box<Connection>) {
        let mut idle = self.idle.borrow_mut();
        if self.retired.get() || idle.len() >= self.idle_max {
            self.meter.open.sub(1);
            return;
        }
        connection.idle_since = Moment::recent();
        idle.push(connection);
        self.meter.idle.add(1);
    }

    fn closed(&self) {
        self.meter.open.sub(1);
    }
}

/// `host:port`, without the port where the scheme implies it, IPv6 in brackets.
fn authority(server: &Server) -> String {
    let host = &server.host;
    let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
    match (server.scheme, server.port) {
        (Scheme::Http, 80) | (Scheme::Https, 443) => host,
        (_, port) => format!("{host}:{port}"),
    }
}
