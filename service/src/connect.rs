//! Making connections: names into addresses, TCP, TLS, and the protocol that ALPN chose.

use crate::endpoint::{Endpoint, Spoken};
use crate::service::{Service, Tls};
use crate::settings::{Http, Scheme};
use base::{Deadline, Fault, FaultKind, Moment, Replay};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use monitor::{Phase, Timeline};
use rustls::pki_types::ServerName;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
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
    timeline: &mut Timeline,
    (by, total): (Deadline, Deadline),
) -> Result<Dialled, Fault> {
    let opening = Opening::begin(endpoint);
    let dialled = within(by, connect(service, endpoint, timeline)).await;
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

async fn connect(
    service: &Service,
    endpoint: &Endpoint,
    timeline: &mut Timeline,
) -> Result<Dialled, Fault> {
    let stream = connect_tcp(endpoint, timeline).await?;
    let (io, spoken) = match (endpoint.member.server.scheme, &service.shared.tls) {
        (Scheme::Https, Some(tls)) => {
            timeline.resume(Phase::Tls, Moment::now());
            connect_tls(endpoint, stream, tls).await?
        }
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

async fn connect_tcp(endpoint: &Endpoint, timeline: &mut Timeline) -> Result<TcpStream, Fault> {
    let authority = &endpoint.authority;
    timeline.enter(Phase::Resolve, Moment::now());
    let addresses = endpoint.addresses(Moment::now()).await.map_err(|error| {
        Fault::new(FaultKind::Unresolved, format!("no address for {authority}")).because(error)
    })?;
    timeline.resume(Phase::Connect, Moment::now());
    let connected = match &*addresses {
        [only] => TcpStream::connect(only).await,
        several => race(alternating(several)).await,
    };
    match connected {
        Ok(stream) => {
            let _best_effort = stream.set_nodelay(true);
            Ok(stream)
        }
        Err(error) => {
            let detail = format!("cannot connect to {authority}");
            Err(Fault::new(FaultKind::Unreachable, detail).because(error))
        }
    }
}

/// How long one address is tried before the next is tried beside it (RFC 8305 §5).
const NEXT_ADDRESS: Duration = Duration::from_millis(250);

/// Connects to the first address that lets us, each tried a little after the one before it, or as
/// soon as that has failed ("happy eyeballs", RFC 8305). The other attempts are dropped.
async fn race(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut waiting = addresses.into_iter();
    let mut trying = FuturesUnordered::new();
    trying.extend(waiting.next().map(TcpStream::connect));
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    loop {
        let next = tokio::select! { biased;
            Some(tried) = trying.next() => match tried {
                Ok(stream) => return Ok(stream),
                Err(error) => {
                    last = error;
                    waiting.next()
                }
            },
            () = tokio::time::sleep(NEXT_ADDRESS), if waiting.len() > 0 => waiting.next(),
            else => return Err(last),
        };
        trying.extend(next.map(TcpStream::connect));
    }
}

/// The addresses with their families in turn, the first as the resolver had it (RFC 8305 §4).
fn alternating(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let of = |v6: bool| addresses.iter().copied().filter(move |a| a.is_ipv6() == v6);
    let v6_first = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut one, mut other) = (of(v6_first), of(!v6_first));
    let mut turns = Vec::with_capacity(addresses.len());
    while turns.len() < addresses.len() {
        turns.extend(one.next());
        turns.extend(other.next());
    }
    turns
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

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().expect("an address")).collect()
    }

    #[test]
    fn families_take_turns() {
        for (resolved, tried) in [
            (&["[::1]:1", "[::2]:1", "1.1.1.1:1"][..], &["[::1]:1", "1.1.1.1:1", "[::2]:1"][..]),
            (&["1.1.1.1:1", "1.1.1.2:1", "[::1]:1"], &["1.1.1.1:1", "[::1]:1", "1.1.1.2:1"]),
            (&["1.1.1.1:1", "1.1.1.2:1"], &["1.1.1.1:1", "1.1.1.2:1"]),
        ] {
            assert_eq!(alternating(&addresses(resolved)), addresses(tried));
        }
    }

    #[tokio::test]
    async fn an_address_that_refuses_makes_way_for_the_next() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let open = listener.local_addr().expect("an address");
        let refusing = {
            let gone = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
            gone.local_addr().expect("an address")
        };
        let stream = race(vec![refusing, open]).await.expect("the second lets us");
        assert_eq!(stream.peer_addr().expect("connected"), open);
        assert!(race(vec![refusing, refusing]).await.is_err());
        assert!(race(Vec::new()).await.is_err());
    }
}
