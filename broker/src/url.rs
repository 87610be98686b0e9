//! Which broker a URL means: opens a [`Queue`] or a [`Bus`] by the scheme.
//!
//! Opening checks the words and touches no network: what must exist there is made by
//! [`Queue::ready`]. Errors and names never show a secret.

#[cfg(feature = "kafka")]
use crate::kafka;
use crate::{amqp, nats, pubsub, sqs};
use offload::queue::{Bus, Queue};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What is known of schemes, for errors.
const KNOWN: &str = "amqp, amqps, nats, tls+nats, kafka, sqs, https+sqs, pubsub";
/// Longest name of a gateway or a queue: it becomes part of names that brokers bound to 255 bytes.
const NAME_MAX: usize = 64;

/// What a queue or a bus is told beside its URL.
#[derive(Clone, Debug)]
pub struct Options {
    /// This gateway's name; its news come under it. Letters, digits, `-` and `_`.
    pub node: String,
    /// The queue's name; what is made there is called by it. Letters, digits, `-` and `_`.
    pub queue: String,
    /// Most messages of a channel that this gateway holds at once, taken and not acknowledged.
    pub held_max: u16,
    /// Most messages that wait for a taker; what comes beyond is [`Full`]. `None`: as the broker
    /// has it. Holds when the queue is made there, and where brokers have such a bound.
    ///
    /// [`Full`]: offload::queue::QueueError::Full
    pub waiting_max: Option<u64>,
    /// How long a message may stay taken without a sign of life, where brokers count it.
    pub lease: Duration,
    /// Certificates (a PEM file) to trust beside the system's, where the URL says TLS.
    pub trust: Option<PathBuf>,
}

impl Options {
    /// The usual ones for a gateway and a queue of these names.
    pub fn new(node: &str, queue: &str) -> Self {
        Self {
            node: node.to_owned(),
            queue: queue.to_owned(),
            held_max: 1000,
            waiting_max: None,
            lease: Duration::from_mins(1),
            trust: None,
        }
    }
}

/// Why no queue or bus could be opened.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum BrokerError {
    /// The URL has a scheme that nobody here speaks.
    #[error("broker URL with unknown scheme {scheme:?}; known are {KNOWN}")]
    UnknownScheme {
        /// Which.
        scheme: String,
    },
    /// It is no URL, or lacks what this broker needs.
    #[error("broker URL {url}: {why}")]
    Url {
        /// The URL, without secrets.
        url: String,
        /// What is wrong and what it should be.
        why: String,
    },
    /// A name is not legal.
    #[error(
        "{what} {name:?} is not usable with a broker: 1 to {NAME_MAX} letters, digits, `-` or `_`"
    )]
    Name {
        /// Whose name.
        what: &'static str,
        /// The name.
        name: String,
    },
    /// The broker is known but cannot do this.
    #[error("{url}: {why}")]
    Unsupported {
        /// The URL, without secrets.
        url: String,
        /// What it cannot do, and what to do instead.
        why: &'static str,
    },
}

/// Opens a queue elsewhere.
///
/// # Errors
/// What is wrong with the URL or a name; nothing is reached yet.
pub fn open(url: &str, options: &Options) -> Result<Arc<dyn Queue>, BrokerError> {
    let place = checked(url, options)?;
    match place.scheme.as_str() {
        "amqp" | "amqps" => Ok(Arc::new(amqp::Rabbit::new(&place, options)?)),
        "nats" | "tls+nats" => Ok(Arc::new(nats::Nats::new(&place, options)?)),
        "sqs" => Ok(Arc::new(sqs::Sqs::new(&place, options)?)),
        "pubsub" => Ok(Arc::new(pubsub::PubSub::new(&place, options)?)),
        #[cfg(feature = "kafka")]
        "kafka" | "kafkas" => Ok(Arc::new(kafka::Kafka::new(&place, options)?)),
        #[cfg(not(feature = "kafka"))]
        "kafka" | "kafkas" => Err(without_kafka(&place)),
        _ => Err(BrokerError::UnknownScheme { scheme: place.scheme }),
    }
}

/// Opens a bus of events.
///
/// # Errors
/// As [`open`].
pub fn open_bus(url: &str, options: &Options) -> Result<Arc<dyn Bus>, BrokerError> {
    let place = checked(url, options)?;
    match place.scheme.as_str() {
        "amqp" | "amqps" => Ok(Arc::new(amqp::RabbitBus::new(&place, options)?)),
        "nats" | "tls+nats" => Ok(Arc::new(nats::NatsBus::new(&place, options)?)),
        "sqs" | "pubsub" => Err(BrokerError::Unsupported {
            url: place.to_string(),
            why: "it carries queues here, and no events: use RabbitMQ, NATS or Kafka for them",
        }),
        #[cfg(feature = "kafka")]
        "kafka" | "kafkas" => Ok(Arc::new(kafka::KafkaBus::new(&place, options)?)),
        #[cfg(not(feature = "kafka"))]
        "kafka" | "kafkas" => Err(without_kafka(&place)),
        _ => Err(BrokerError::UnknownScheme { scheme: place.scheme }),
    }
}

#[cfg(not(feature = "kafka"))]
fn without_kafka(place: &Place) -> BrokerError {
    let why = "this binary was built without the feature `kafka` of the crate `broker`";
    BrokerError::Unsupported { url: place.to_string(), why }
}

fn checked(url: &str, options: &Options) -> Result<Place, BrokerError> {
    for (what, name) in [("the node name", &options.node), ("the queue name", &options.queue)] {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
        if name.is_empty() || name.len() > NAME_MAX || !name.bytes().all(legal) {
            return Err(BrokerError::Name { what, name: name.clone() });
        }
    }
    Place::parse(url)
}

/// A broker's URL in its parts: `scheme://user:secret@host:port,host:port/path?query`.
#[derive(Clone, PartialEq, Eq)]
pub struct Place {
    /// Before `://`, in lower case.
    pub scheme: String,
    /// `user:secret` as it stands (percent-encoded), where there is one.
    pub credentials: Option<String>,
    /// Hosts, each with its port if it is told.
    pub hosts: Vec<String>,
    /// After the hosts, without the first slash and the query.
    pub path: String,
    /// After `?`.
    pub query: String,
}

impl Place {
    /// Takes a URL apart.
    ///
    /// # Errors
    /// Where it is none.
    pub fn parse(url: &str) -> Result<Self, BrokerError> {
        let bad = |why: &str| BrokerError::Url { url: hidden(url), why: why.to_owned() };
        let Some((scheme, rest)) = url.split_once("://") else {
            return Err(bad("no scheme; such as `nats://host:4222`"));
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (credentials, hosts) = match authority.rsplit_once('@') {
            Some((credentials, hosts)) => (Some(credentials.to_owned()), hosts),
            None => (None, authority),
        };
        let hosts: Vec<String> = hosts.split(',').map(str::to_owned).collect();
        if hosts.iter().any(|host| host.is_empty() || host.contains(char::is_whitespace)) {
            return Err(bad("no host; such as `nats://host:4222`"));
        }
        let scheme = scheme.to_ascii_lowercase();
        Ok(Self { scheme, credentials, hosts, path: path.to_owned(), query: query.to_owned() })
    }

    /// An error about it.
    pub fn bad(&self, why: impl Into<String>) -> BrokerError {
        BrokerError::Url { url: self.to_string(), why: why.into() }
    }

    /// What a queue there is called in logs and figures.
    pub fn name_of(&self, queue: &str) -> String {
        format!("{}://{}/{queue}", self.scheme, self.hosts.join(","))
    }
}

/// Without credentials and query, where secrets are.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}/{}", self.scheme, self.hosts.join(","), self.path)
    }
}

impl fmt::Debug for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no URL, without what could be a secret in it.
fn hidden(url: &str) -> String {
    let rest = url.rsplit_once('@').map_or(url, |(_, rest)| rest);
    rest.split(['?']).next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
