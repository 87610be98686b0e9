//! Making connections: names into addresses, TCP, TLS, and the protocol that ALPN chose.

use crate::endpoint::{Endpoint, Spoken};
use crate::service::{Service, Tls};
use crate::settings::{Http, Scheme};
use base::{Deadline, Fault, FaultKind, Moment, Replay};
use rustls::pki_types::ServerName;
use std::io;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, TlsStream};
use wire::timer::within;
use wire::transport::{Io, Transport};
use wire::{h1, h2};

/// A connection that was made.
pub(crate) enum Dialled {
    One(h1::client::Connection),
    Two(h2::client::Connection),
}

/// A connection being made: it counts as open from the first moment, so that a crowd cannot make more
/// than it may, and no longer if it comes to nothing.
struct Opening<'a>(Option<&'a Endpoint>);

impl<'a> Opening<'a> {
    fn begin(endpoint: &'a Endpoint) -> Self {
        endpoint.meter.open.add(1);
        Self(Some(endpoint))
    }

    fn made(mut self) {
        self.0 = None;
    }
}

impl Drop for Opening<'_> {
    fn drop(&mut self) {
        if let Some(endpoint) = self.0 {
            endpoint.meter.open.sub(1);
        }
    }
}

/// Connects to a server by `by`; `total` is when the whole exchange ends.
///
/// # Errors
/// `Unresolved`, `Unreachable`, `BadTls`, `ConnectTimeout`, `TotalTimeout`; all but the last to be
/// replayed, since nothing was sent.
pub(crate) async fn dial(
    service: &Service,
    endpoint: &Endpoint,
    by: Deadline,
    total: Deadline,
) -> Result<Dialled, Fault> {
    let opening = Opening::begin(endpoint);
    let dialled = within(by, connect(service, endpoint)).await;
    match dialled.unwrap_or_else(|_late| Err(timed_out(endpoint, total))) {
        Ok(dialled) => {
            opening.made();
            endpoint.meter.connects.add(1);
            Ok(dialled)
        }
        Err(fault) => {
            endpoint.meter.connect_failures.add(1);
            let late = fault.kind == FaultKind::TotalTimeout;
            Err(if late { fault } else { fault.replay(Replay::Always) })
        }
    }
}

/// The fault of a connection that took too long, or longer than the exchange had left.
pub(crate) fn timed_out(endpoint: &Endpoint, total: Deadline) -> Fault {
    let (kind, limit) = if total.passed(Moment::now()) {
        (FaultKind::TotalTimeout, "total_time")
    } else {
        (FaultKind::ConnectTimeout, "connect_time")
    };
    Fault::new(kind, format!("connecting to {} took longer than {limit}", endpoint.authority))
}

async fn connect(service: &Service, endpoint: &Endpoint) -> Result<Dialled, Fault> {
    let stream = connect_tcp(endpoint).await?;
    let (io, spoken) = match (endpoint.member.server.scheme, &service.shared.tls) {
        (Scheme::Https, Some(tls)) => connect_tls(endpoint, stream, tls).await?,
        (Scheme::Http | Scheme::Https, _) => (Io::Plain(stream), None),
    };
    let spoken = match service.settings.http {
        Http::One => Spoken::One,
        Http::Two => Spoken::Two,
        Http::Auto => spoken.unwrap_or(Spoken::One),
    };
    endpoint.spoken.set(Some(spoken));
    if spoken == Spoken::One {
        let connection = h1::client::Connection::new(Transport::new(io), Moment::now());
        return Ok(Dialled::One(connection));
    }
    let head_bytes_max = service.head_max.0;
    let (connection, drive) = h2::client::connect(io, head_bytes_max).await.map_err(|error| {
        let detail = format!("{} did not speak HTTP/2", endpoint.authority);
        Fault::new(FaultKind::BadResponse, detail).because(error)
    })?;
    let meter = std::sync::Arc::clone(&endpoint.meter);
    tokio::task::spawn_local(async move {
        drive.await;
        meter.open.sub(1);
    });
    Ok(Dialled::Two(connection))
}

async fn connect_tcp(endpoint: &Endpoint) -> Result<TcpStream, Fault> {
    let authority = &endpoint.authority;
    let addresses = endpoint.addresses(Moment::now()).await.map_err(|error| {
        Fault::new(FaultKind::Unresolved, format!("no address for {authority}")).because(error)
    })?;
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.iter() {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                let _best_effort = stream.set_nodelay(true);
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    let detail = format!("cannot connect to {authority}");
    Err(Fault::new(FaultKind::Unreachable, detail).because(last))
}

async fn connect_tls(
    endpoint: &Endpoint,
    stream: TcpStream,
    tls: &Tls,
) -> Result<(Io, Option<Spoken>), Fault> {
    let bad = |error: io::Error| {
        let detail = format!("no TLS with {}", endpoint.authority);
        Fault::new(FaultKind::BadTls, detail).because(error)
    };
    let name = tls.name.as_deref().unwrap_or(&endpoint.member.server.host).to_owned();
    let name = ServerName::try_from(name).map_err(|error| bad(io::Error::other(error)))?;
    let connector = TlsConnector::from(std::sync::Arc::clone(&tls.config));
    let stream = connector.connect(name, stream).await.map_err(bad)?;
    let spoken = match stream.get_ref().1.alpn_protocol() {
        Some(b"h2") => Some(Spoken::Two),
        Some(_) => Some(Spoken::One),
        None => None,
    };
    Ok((Io::Tls(Box::new(TlsStream::Client(stream))), spoken))
}
