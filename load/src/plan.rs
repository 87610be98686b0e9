//! What is sent: a weighted list of requests and the times at which they leave.
//!
//! Pure and seeded: the same plan makes the same requests at the same offsets.

use bytes::Bytes;
use fastrand::Rng;
use http::{HeaderName, HeaderValue, Method, Uri, header};
use http_body_util::Full;
use std::net::SocketAddr;
use std::time::Duration;

/// A whole run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where requests go, one after the other in turn.
    pub targets: Vec<SocketAddr>,
    /// Requests a second, all targets together.
    pub rate: f64,
    /// How they are spread over the second.
    pub arrivals: Arrivals,
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
    /// Most connections at once; more requests than that wait, and their latency grows.
    pub connections_max: usize,
    /// Whether connections are used again.
    pub reuse: bool,
    /// What is sent.
    pub requests: Vec<Request>,
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
    /// Fields beside Host.
    pub fields: Vec<(String, String)>,
    /// Its body; may be empty.
    pub body: String,
    /// Classes of status that are right: 2 for 200 to 299.
    pub expected: Vec<u16>,
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
            body: String::new(),
            expected: vec![2],
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
    /// No thread could be started to keep the time.
    #[error("cannot start the thread that keeps the time of the load")]
    Thread(#[source] std::io::Error),
}

/// One request to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Arrival {
    pub number: u64,
    /// Since the start of the run.
    pub offset: Duration,
    pub request: usize,
    pub path: usize,
    pub target: usize,
    /// Whether the warm-up is over.
    pub counted: bool,
}

impl Plan {
    /// Every value legal, every request buildable?
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let bound = |good: bool, name, allowed| {
            if good { Ok(()) } else { Err(LoadError::Bound { name, allowed }) }
        };
        bound(!self.targets.is_empty(), "targets", "at least one address")?;
        bound(self.rate > 0.0 && self.rate <= 1e6, "rate", "above 0 and at most a million")?;
        bound(!self.duration.is_zero(), "duration", "above 0")?;
        bound(!self.timeout.is_zero(), "timeout", "above 0")?;
        bound((1..=65_536).contains(&self.connections_max), "connections", "from 1 to 65536")?;
        let weights: u64 = self.requests.iter().map(|request| u64::from(request.weight)).sum();
        bound(weights > 0, "requests", "at least one with a weight above 0")?;
        for (index, request) in self.requests.iter().enumerate() {
            bound(!request.paths.is_empty(), "requests", "of at least one path each")?;
            for path in 0..request.paths.len() {
                let built = self.build(index, path, 0, self.targets[0]);
                let name = request.name.clone();
                built.map_err(|source| LoadError::Request { name, source })?;
            }
        }
        Ok(())
    }

    /// The requests of a run, in order; ends when the duration is over.
    pub(crate) fn arrivals(&self) -> impl Iterator<Item = Arrival> + use<> {
        let (warm_up, end) = (self.warm_up, self.warm_up + self.duration);
        let (rate, spread) = (self.rate, self.arrivals);
        let mut pauses = Rng::with_seed(self.seed);
        let mut picks = self.picks();
        let mut offset = 0.0;
        std::iter::from_fn(move || {
            offset += match spread {
                Arrivals::Uniform => 1.0 / rate,
                // 1 - f64() is above zero: its logarithm is finite.
                Arrivals::Poisson => -(1.0 - pauses.f64()).ln() / rate,
            };
            let at = Duration::from_secs_f64(offset);
            let (number, request, path, target) = picks.next()?;
            let arrival =
                Arrival { number, offset: at, request, path, target, counted: at >= warm_up };
            (at < end).then_some(arrival)
        })
    }

    /// An endless sequence of number, request, path and target.
    pub(crate) fn picks(&self) -> impl Iterator<Item = (u64, usize, usize, usize)> + use<> {
        let mut rng = Rng::with_seed(self.seed ^ 0x5049_434b);
        let kinds: Vec<(u32, usize)> =
            self.requests.iter().map(|request| (request.weight, request.paths.len())).collect();
        let all: u32 = kinds.iter().map(|(weight, _)| weight).sum();
        let targets = self.targets.len();
        (0_u64..).map(move |number| {
            let mut left = rng.u32(0..all);
            let mut kind = 0;
            while left >= kinds[kind].0 {
                left -= kinds[kind].0;
                kind += 1;
            }
            (number, kind, rng.usize(0..kinds[kind].1), (number % targets as u64) as usize)
        })
    }

    /// The request itself.
    pub(crate) fn build(
        &self,
        request: usize,
        path: usize,
        number: u64,
        target: SocketAddr,
    ) -> Result<http::Request<Full<Bytes>>, http::Error> {
        let kind = &self.requests[request];
        let fill = |text: &str| text.replace("{n}", &number.to_string());
        let mut built = http::Request::new(Full::new(Bytes::from(fill(&kind.body))));
        *built.method_mut() = kind.method.clone();
        *built.uri_mut() = Uri::try_from(fill(&kind.paths[path]))?;
        let fields = built.headers_mut();
        fields.insert(header::HOST, HeaderValue::try_from(target.to_string())?);
        for (name, value) in &kind.fields {
            fields.append(HeaderName::try_from(name)?, HeaderValue::try_from(fill(value))?);
        }
        if !self.reuse {
            fields.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(built)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(arrivals: Arrivals, seed: u64) -> Plan {
        Plan {
            targets: vec![([127, 0, 0, 1], 1).into(), ([127, 0, 0, 1], 2).into()],
            rate: 1_000.0,
            arrivals,
            seed,
            warm_up: Duration::from_secs(1),
            duration: Duration::from_secs(9),
            timeout: Duration::from_secs(1),
            objective: Duration::from_secs(1),
            connections_max: 8,
            reuse: true,
            requests: vec![
                Request::get("many", 9, vec!["/{n}".to_owned(), "/b".to_owned()]),
                Request::get("few", 1, vec!["/c".to_owned()]),
            ],
        }
    }

    #[test]
    fn the_same_seed_makes_the_same_arrivals() {
        let list = |seed| plan(Arrivals::Poisson, seed).arrivals().collect::<Vec<_>>();
        assert_eq!(list(1), list(1));
        assert_ne!(list(1), list(2));
    }

    #[test]
    fn arrivals_keep_rate_order_weights_and_turns() {
        for spread in [Arrivals::Poisson, Arrivals::Uniform] {
            let list: Vec<Arrival> = plan(spread, 7).arrivals().collect();
            assert!((9_600..=10_400).contains(&list.len()), "{}", list.len());
            assert!(list.is_sorted_by_key(|arrival| arrival.offset));
            let few = list.iter().filter(|arrival| arrival.request == 1).count();
            assert!((850..=1_150).contains(&few), "{few}");
            assert!(list.iter().all(|arrival| arrival.target as u64 == arrival.number % 2));
            let counted = list.iter().filter(|arrival| arrival.counted).count();
            assert!((8_600..=9_400).contains(&counted), "{counted}");
        }
    }

    #[test]
    fn a_request_is_built_with_its_number() {
        let plan = plan(Arrivals::Uniform, 1);
        assert_eq!(plan.build(0, 0, 42, plan.targets[0]).unwrap().uri(), "/42");
    }

    #[test]
    fn an_impossible_plan_is_refused_by_name() {
        let check = |change: fn(&mut Plan)| {
            let mut plan = plan(Arrivals::Uniform, 1);
            change(&mut plan);
            plan.check().unwrap_err().to_string()
        };
        assert_eq!(check(|p| p.targets.clear()), "the load's targets must be at least one address");
        assert!(check(|p| p.rate = f64::NAN).contains("rate must be above 0"));
        assert!(check(|p| p.requests.clear()).contains("requests must be"));
        assert!(check(|p| p.requests[0].paths[1] = "a b".into()).contains("\"many\" is no valid"));
    }
}
