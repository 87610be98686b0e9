//! A Kafka cluster's URL: `kafka://[USER:PASSWORD@]HOST[:PORT][,HOST[:PORT]…][?OPTIONS]`.

use crate::text::unescape;
use crate::url::{BrokerError, Place};
use rdkafka::ClientConfig;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Port of a broker where the URL has none.
const PORT: u16 = 9092;
/// Bytes of a record that are not payload: names, fields, Kafka's own.
const FRAME_BYTES: usize = 16 << 10;
/// What may stand after `?`.
const OPTIONS: &str = "partitions=1..1000, replication=1..100, session=6..300 (seconds), \
                       bytes=65536..1000000000";

/// A cluster and how it is used.
#[derive(Clone)]
pub(super) struct Address {
    /// `host:port,host:port`.
    pub(super) servers: String,
    /// A name and a password, for SASL PLAIN.
    pub(super) login: Option<(String, String)>,
    /// Is TLS spoken?
    pub(super) secure: bool,
    /// Partitions of topics that are made.
    pub(super) partitions: i32,
    /// Their replicas; `None`: as many as the cluster's default says.
    pub(super) replication: Option<i32>,
    /// A member of the group that is silent for so long has left.
    pub(super) session: Duration,
    /// Most bytes of a record.
    pub(super) bytes_max: usize,
}

impl Address {
    /// # Errors
    /// What is wrong with the URL.
    pub(super) fn of(place: &Place) -> Result<Self, BrokerError> {
        let secure = place.scheme == "kafkas";
        if secure && cfg!(not(feature = "kafka-tls")) {
            return Err(BrokerError::Unsupported {
                url: place.to_string(),
                why: "this binary speaks to Kafka without TLS: build it with the feature \
                      `kafka-tls` of the crate `broker`, or use kafka:// in a network that you trust",
            });
        }
        if !place.path.is_empty() {
            return Err(place.bad("a Kafka URL ends with its hosts; topics are named by the queue"));
        }
        let servers = place.hosts.iter().map(|host| {
            with_port(host).ok_or_else(|| place.bad(format!("{host:?} is no HOST or HOST:PORT")))
        });
        let login = place.credentials.as_deref().map(|login| {
            login.split_once(':').ok_or_else(|| place.bad("credentials are USER:PASSWORD"))
        });
        let login = login.transpose()?;
        let mut address = Self {
            servers: servers.collect::<Result<Vec<_>, _>>()?.join(","),
            login: login.map(|(name, word)| (unescape(name), unescape(word))),
            secure,
            partitions: 8,
            replication: None,
            session: Duration::from_secs(10),
            bytes_max: 1_000_000,
        };
        for option in place.query.split('&').filter(|option| !option.is_empty()) {
            let wrong =
                || place.bad(format!("no option is called {option:?}: there are {OPTIONS}"));
            address.set(option).ok_or_else(wrong)?;
        }
        Ok(address)
    }

    fn set(&mut self, option: &str) -> Option<()> {
        let (name, value) = option.split_once('=')?;
        let value: i32 = value.parse().ok()?;
        let within = |range: RangeInclusive<i32>| range.contains(&value).then_some(value);
        match name {
            "partitions" => self.partitions = within(1..=1000)?,
            "replication" => self.replication = Some(within(1..=100)?),
            "session" => self.session = Duration::from_secs(within(6..=300)?.try_into().ok()?),
            "bytes" => self.bytes_max = within(65_536..=1_000_000_000)?.try_into().ok()?,
            _ => return None,
        }
        Some(())
    }

    /// Most bytes of a payload.
    pub(super) const fn payload_max(&self) -> usize {
        self.bytes_max - FRAME_BYTES
    }

    /// What every client of this cluster is told.
    pub(super) fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        let protocol = match (self.secure, self.login.is_some()) {
            (false, false) => "plaintext",
            (false, true) => "sasl_plaintext",
            (true, false) => "ssl",
            (true, true) => "sasl_ssl",
        };
        config.set("bootstrap.servers", &self.servers).set("security.protocol", protocol);
        if let Some((name, word)) = &self.login {
            config.set("sasl.mechanism", "PLAIN");
            config.set("sasl.username", name).set("sasl.password", word);
        }
        config.set("client.id", "fleetfoot").set("socket.nagle.disable", "true");
        // No call hangs for a minute (the default) on a broker that has gone silent, and one that is
        // back is found soon.
        config.set("socket.timeout.ms", "10000").set("socket.connection.setup.timeout.ms", "5000");
        config.set("reconnect.backoff.ms", "50").set("reconnect.backoff.max.ms", "2000");
        config
    }
}

fn with_port(server: &str) -> Option<String> {
    let bare = server.rsplit_once(']').map_or(server, |(_, after)| after);
    let strange = |c: char| !(c.is_ascii_alphanumeric() || "-._:[]".contains(c));
    if server.contains(strange) {
        return None;
    }
    match bare.rsplit_once(':') {
        Some((_, port)) => port.parse::<u16>().ok().map(|_| server.to_owned()),
        None => Some(format!("{server}:{PORT}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(url: &str) -> Result<Address, BrokerError> {
        Address::of(&Place::parse(url)?)
    }

    #[test]
    fn urls_say_where_and_how() {
        let address = of("kafka://a,b:1,[::1]:2/?partitions=3&session=6").unwrap();
        assert_eq!(address.servers, "a:9092,b:1,[::1]:2");
        assert_eq!((address.partitions, address.session.as_secs()), (3, 6));
        assert_eq!((address.replication, address.payload_max()), (None, 983_616));
        let address = of("kafka://me:w%40rd%@a?replication=2").unwrap();
        assert_eq!(address.login, Some(("me".to_owned(), "w@rd%".to_owned())));
        assert_eq!(address.config().get("security.protocol"), Some("sasl_plaintext"));
    }

    #[test]
    fn mistakes_are_named_and_passwords_are_not() {
        let wrong = ["partitions=0", "partitions=", "x=1", "session=1", "bytes=-1", "replication"];
        let wrong = wrong.map(|option| format!("kafka://u:word@a?{option}"));
        let places = ["kafka://a:x", "kafka://word@a", "kafka://a(", "kafka://u:word@a/path"];
        for url in wrong.iter().map(String::as_str).chain(places) {
            let error = of(url).err().unwrap().to_string();
            assert!(!error.contains("word"), "{error}");
        }
        if cfg!(not(feature = "kafka-tls")) {
            let error = of("kafkas://a").err().unwrap().to_string();
            assert!(error.contains("kafka-tls") && error.contains("kafka://"), "{error}");
        }
    }
}
