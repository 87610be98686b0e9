//! What is sent: where to, how often, for how long, and a weighted list of requests.
//!
//! Plain data and its check; the times and draws that follow from it are made in `schedule`.

use crate::message::Template;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Uri};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Threads that one run may have.
pub const THREADS_MAX: usize = 64;
/// Connections or clients that one run may have.
pub const CONNECTIONS_MAX: usize = 65_536;
/// Requests a second that can be asked for.
pub const RATE_MAX: f64 = 1e6;

/// A whole run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where requests go, one after the other in turn, unless a request has a target of its own.
    pub targets: Vec<Target>,
    /// When requests leave.
    pub pace: Pace,
    /// The same seed makes the same sequence of requests and pauses.
    pub seed: u64,
    /// Sent first and not counted.
    pub warm_up: Duration,
    /// How long requests are sent and counted.
    pub duration: Duration,
    /// A request that took longer has failed, and counts as having taken this long.
    pub timeout: Duration,
    /// An answer within this time is "in time".
    pub objective: Duration,
    /// Most connections at once; more requests than that wait, and their latency grows. Over HTTP/2,
    /// where many requests share one: as many as are made.
    pub connections_max: usize,
    /// Whether connections are used again.
    pub reuse: bool,
    /// What is spoken.
    pub protocol: Protocol,
    /// Threads that send; each takes its turn.
    pub threads: usize,
    /// What is sent.
    pub requests: Vec<Request>,
    /// Request and path of each, in this order and over again, instead of a draw by weight.
    pub sequence: Option<Arc<[(u32, u32)]>>,
}

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Target {
    /// The address that is connected to.
    pub address: SocketAddr,
    /// What the Host field says.
    pub authority: String,
    /// How to speak TLS, if at all.
    pub tls: Option<Tls>,
}

impl From<SocketAddr> for Target {
    fn from(address: SocketAddr) -> Self {
        Self { address, authority: address.to_string(), tls: None }
    }
}

/// How to speak TLS with a target.
#[derive(Clone, Debug)]
pub struct Tls {
    /// Whom to trust, and which protocols to offer.
    pub config: Arc<ClientConfig>,
    /// The name the certificate must be for.
    pub name: ServerName<'static>,
}

/// What is spoken with all targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1, one request at a time on a connection.
    Http1,
    /// HTTP/2; in the clear with prior knowledge.
    Http2,
}

/// When requests leave.
#[derive(Clone, Debug)]
pub enum Pace {
    /// At their time, whatever became of the ones before: as users come.
    Open {
        /// Requests a second, all targets together.
        rate: f64,
        /// How they are spread over the second.
        arrivals: Arrivals,
    },
    /// At recorded times since the start, in order; the run ends with the list.
    Recorded(Arc<[Duration]>),
    /// As soon as the client's last one was answered: a server that stalls is asked less.
    Closed {
        /// Clients that wait for their answers.
        clients: usize,
    },
}

/// How requests are spread in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arrivals {
    /// As by many people who know nothing of each other: pauses are exponentially distributed.
    Poisson,
    /// At equal distances.
    Uniform,
}

/// One kind of request. `{n}` in paths, fields and body becomes the number of the request.
#[derive(Clone, Debug)]
pub struct Request {
    /// Its name in the report.
    pub name: String,
    /// How often it is sent, relative to the others.
    pub weight: u32,
    /// Its method.
    pub method: Method,
    /// Its targets; one is drawn for each request.
    pub paths: Vec<String>,
    /// Fields beside Host; one that is called Host stands in its place.
    pub fields: Vec<(String, String)>,
    /// Its body; may be empty.
    pub body: Bytes,
    /// Classes of status that are right: 2 for 200 to 299.
    pub expected: Vec<u16>,
    /// The index of the one target that it is for; `None`: all of them take turns.
    pub target: Option<usize>,
}

impl Request {
    /// A GET that expects a 2xx.
    pub fn get(name: &str, weight: u32, paths: Vec<String>) -> Self {
        Self {
            name: name.to_owned(),
            weight,
            method: Method::GET,
            paths,
            fields: Vec::new(),
            body: Bytes::new(),
            expected: vec![2],
            target: None,
        }
    }
}

/// Why a plan cannot be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A list is empty, or a number is out of bounds.
    #[error("the load's {name} must be {allowed}")]
    Bound {
        /// Which.
        name: &'static str,
        /// What it may be.
        allowed: &'static str,
    },
    /// A request that HTTP does not allow.
    #[error("the load's request \"{name}\" is no valid request")]
    Request {
        /// Its name.
        name: String,
        /// What is wrong.
        source: http::Error,
    },
    /// No thread could be started, or no runtime in it.
    #[error("cannot start a thread that sends the load")]
    Thread(#[source] std::io::Error),
}

impl Plan {
    /// Every value legal, every request buildable?
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        bound(!self.targets.is_empty(), "targets", "at least one address")?;
        match &self.pace {
            Pace::Open { rate, .. } => {
                bound(*rate > 0.0 && *rate <= RATE_MAX, "rate", "above 0 and at most a million")?;
            }
            Pace::Recorded(offsets) => {
                bound(offsets.is_sorted() && !offsets.is_empty(), "arrivals", "some, in order")?;
            }
            Pace::Closed { clients } => {
                bound((1..=CONNECTIONS_MAX).contains(clients), "clients", "from 1 to 65536")?;
            }
        }
        bound(!self.duration.is_zero(), "duration", "above 0")?;
        bound(!self.timeout.is_zero(), "timeout", "above 0")?;
        let connections = (1..=CONNECTIONS_MAX).contains(&self.connections_max);
        bound(connections, "connections", "from 1 to 65536")?;
        bound((1..=THREADS_MAX).contains(&self.threads), "threads", "from 1 to 64")?;
        let weights: u64 = self.requests.iter().map(|request| u64::from(request.weight)).sum();
        let weights = weights > 0 && u32::try_from(weights).is_ok();
        bound(weights, "requests", "at least one with a weight above 0")?;
        for request in &self.requests {
            self.check_request(request)?;
        }
        let known = |&(request, path): &(u32, u32)| {
            self.requests.get(request as usize).is_some_and(|r| (path as usize) < r.paths.len())
        };
        let sequence =
            self.sequence.as_deref().is_none_or(|s| !s.is_empty() && s.iter().all(known));
        bound(sequence, "sequence", "of requests that there are")
    }

    fn check_request(&self, request: &Request) -> Result<(), LoadError> {
        bound(!request.paths.is_empty(), "requests", "of at least one path each")?;
        let target = request.target.is_none_or(|target| target < self.targets.len());
        bound(target, "requests", "for targets that there are")?;
        let build = || -> Result<(), http::Error> {
            for path in &request.paths {
                Uri::try_from(Template::of(path.as_bytes()).text(0))?;
            }
            for (name, value) in &request.fields {
                HeaderName::try_from(name)?;
                HeaderValue::try_from(value)?;
            }
            for target in &self.targets {
                HeaderValue::try_from(&target.authority)?;
            }
            Ok(())
        };
        build().map_err(|source| LoadError::Request { name: request.name.clone(), source })
    }
}

fn bound(good: bool, name: &'static str, allowed: &'static str) -> Result<(), LoadError> {
    if good { Ok(()) } else { Err(LoadError::Bound { name, allowed }) }
}

#[cfg(test)]
pub(crate) fn example(pace: Pace, seed: u64) -> Plan {
    let targets: [SocketAddr; 2] = [([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into()];
    Plan {
        targets: targets.map(Target::from).to_vec(),
        pace,
        seed,
        warm_up: Duration::from_secs(1),
        duration: Duration::from_secs(9),
        timeout: Duration::from_secs(1),
        objective: Duration::from_secs(1),
        connections_max: 8,
        reuse: true,
        protocol: Protocol::Http1,
        threads: 1,
        requests: vec![
            Request::get("many", 9, vec!["/{n}".to_owned(), "/b".to_owned()]),
            Request::get("few", 1, vec!["/c".to_owned()]),
        ],
        sequence: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_impossible_plan_is_refused_by_name() {
        let open = |rate| Pace::Open { rate, arrivals: Arrivals::Uniform };
        let check = |change: &dyn Fn(&mut Plan)| {
            let mut plan = example(open(1_000.0), 1);
            plan.check().expect("the example is legal");
            change(&mut plan);
            plan.check().unwrap_err().to_string()
        };
        assert_eq!(
            check(&|p| p.targets.clear()),
            "the load's targets must be at least one address"
        );
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert!(check(&|p| p.pace = open(rate)).contains("rate must be above 0"));
        }
        assert!(check(&|p| p.pace = Pace::Closed { clients: 0 }).contains("clients must be"));
        assert!(check(&|p| p.pace = Pace::Recorded(Arc::new([]))).contains("arrivals must be"));
        assert!(check(&|p| p.requests.clear()).contains("requests must be"));
        assert!(check(&|p| p.sequence = Some(Arc::new([(1, 1)]))).contains("sequence must be"));
        assert!(check(&|p| p.requests[0].target = Some(2)).contains("for targets"));
        assert!(check(&|p| p.requests[0].paths[1] = "a b".into()).contains("\"many\" is no valid"));
    }
}
