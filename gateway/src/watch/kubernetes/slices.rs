//! `EndpointSlices` (`discovery.k8s.io/v1`), and the servers that they stand for together.
//!
//! Of an endpoint its first address counts, as the API says; of a slice the port that is asked for by
//! name, or its first. Servers are the endpoints that are ready; where none is, those that still
//! serve, as they do while a deployment ends. All slices of a service are merged, and an endpoint that
//! is in two of them, as it may be while it moves, is one server.

use serde_json::Value;
use service::settings::{Scheme, Server, Spot};
use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;

/// The slices of one service.
#[derive(Debug)]
pub(super) struct Slices {
    scheme: Scheme,
    port: Option<String>,
    /// What Host and SNI say: `catalog.shop.svc`.
    host: String,
    version: Option<String>,
    known: BTreeMap<String, Vec<Endpoint>>,
}

/// What an event of a watch means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event {
    Nothing,
    Changed,
    /// The version that the watch began with is forgotten.
    Gone,
}

#[derive(Debug, PartialEq, Eq)]
struct Endpoint {
    address: IpAddr,
    port: u16,
    ready: bool,
    serving: bool,
    zone: Option<String>,
}

impl Slices {
    pub(super) fn new(scheme: Scheme, port: Option<String>) -> Self {
        Self { scheme, port, host: String::new(), version: None, known: BTreeMap::new() }
    }

    /// Whose endpoints they are.
    pub(super) fn place(&mut self, service: &str, namespace: &str) {
        self.host = format!("{service}.{namespace}.svc");
    }

    /// The version that was seen last; `None`: a list is needed.
    pub(super) fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    pub(super) fn forget_version(&mut self) {
        self.version = None;
    }

    /// Takes an `EndpointSliceList`.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn list(&mut self, list: &Value) -> Result<(), String> {
        let items = list.get("items").and_then(Value::as_array);
        let items = items.ok_or("an answer that is no list")?;
        let version = version(list).ok_or("a list without a resourceVersion")?;
        let slice = |item: &Value| Some((name(item)?, self.endpoints(item)));
        let known = items.iter().filter_map(slice).collect();
        (self.known, self.version) = (known, Some(version));
        Ok(())
    }

    /// Takes one line of a watch.
    ///
    /// # Errors
    /// It is no event, or tells of an error other than 410.
    pub(super) fn event(&mut self, line: &[u8]) -> Result<Event, String> {
        if line.trim_ascii().is_empty() {
            return Ok(Event::Nothing);
        }
        let event: Value =
            serde_json::from_slice(line).map_err(|error| format!("no event: {error}"))?;
        let kind = event.get("type").and_then(Value::as_str).ok_or("an event without a type")?;
        let object = event.get("object").ok_or("an event without an object")?;
        if kind == "ERROR" {
            if object.get("code").and_then(Value::as_u64) == Some(410) {
                return Ok(Event::Gone);
            }
            let message = object.get("message").and_then(Value::as_str).unwrap_or("an error");
            return Err(message.to_owned());
        }
        if let Some(version) = version(object) {
            self.version = Some(version);
        }
        match (kind, name(object)) {
            ("ADDED" | "MODIFIED", Some(name)) => {
                let endpoints = self.endpoints(object);
                let same = self.known.get(&name).is_some_and(|known| *known == endpoints);
                self.known.insert(name, endpoints);
                Ok(if same { Event::Nothing } else { Event::Changed })
            }
            ("DELETED", Some(name)) => {
                let gone = self.known.remove(&name).is_some();
                Ok(if gone { Event::Changed } else { Event::Nothing })
            }
            _ => Ok(Event::Nothing), // a bookmark, or what later versions may tell
        }
    }

    /// The servers that all slices stand for.
    pub(super) fn spots(&self) -> Vec<Spot> {
        let all = || self.known.values().flatten();
        let ready: Vec<&Endpoint> = all().filter(|endpoint| endpoint.ready).collect();
        let chosen = if ready.is_empty() { all().filter(|e| e.serving).collect() } else { ready };
        let mut seen = HashSet::new();
        let once = chosen.into_iter().filter(|e| seen.insert((e.address, e.port)));
        once.map(|endpoint| self.spot(endpoint)).collect()
    }

    fn spot(&self, endpoint: &Endpoint) -> Spot {
        Spot {
            server: Server {
                scheme: self.scheme,
                host: self.host.clone(),
                port: endpoint.port,
                address: Some(endpoint.address),
            },
            weight: 1,
            priority: 0,
            zone: endpoint.zone.clone(),
        }
    }

    /// The endpoints of a slice, in the order of their addresses: a slice's own order means nothing.
    fn endpoints(&self, slice: &Value) -> Vec<Endpoint> {
        let Some(port) = self.port_of(slice) else { return Vec::new() };
        let endpoints = slice.get("endpoints").and_then(Value::as_array);
        let read = |endpoint| read(endpoint, port);
        let mut found: Vec<Endpoint> = endpoints.into_iter().flatten().filter_map(read).collect();
        found.sort_by_key(|endpoint| endpoint.address);
        found
    }

    fn port_of(&self, slice: &Value) -> Option<u16> {
        let mut ports = slice.get("ports")?.as_array()?.iter();
        let named = |port: &&Value| {
            let name = port.get("name").and_then(Value::as_str).unwrap_or_default();
            let protocol = port.get("protocol").and_then(Value::as_str).unwrap_or("TCP");
            protocol == "TCP" && self.port.as_deref().is_none_or(|wanted| wanted == name)
        };
        let port = ports.find(named)?.get("port")?.as_u64()?;
        u16::try_from(port).ok().filter(|port| *port > 0)
    }
}

fn read(endpoint: &Value, port: u16) -> Option<Endpoint> {
    // A slice of names (FQDN) has no addresses that parse: it stands for nobody.
    let address = endpoint.get("addresses")?.as_array()?.first()?.as_str()?.parse().ok()?;
    let condition = |name: &str| endpoint.get("conditions")?.get(name)?.as_bool();
    // What is not said of `ready` is to be taken for true, and `serving` is `ready` then.
    let ready = condition("ready").unwrap_or(true);
    let serving = condition("serving").unwrap_or(ready);
    let zone = endpoint.get("zone").and_then(Value::as_str).map(str::to_owned);
    Some(Endpoint { address, port, ready, serving, zone })
}

fn name(object: &Value) -> Option<String> {
    Some(object.get("metadata")?.get("name")?.as_str()?.to_owned())
}

fn version(object: &Value) -> Option<String> {
    let version = object.get("metadata")?.get("resourceVersion")?.as_str()?;
    // It goes into a URL as it is.
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    (!version.is_empty() && version.bytes().all(legal)).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn slice(name: &str, version: u32, endpoints: &[(&str, Value)]) -> Value {
        let endpoint = |(address, conditions): &(&str, Value)| {
            json!({
                "addresses": [address], "conditions": conditions, "zone": "eu-1"
            })
        };
        let endpoints: Vec<Value> = endpoints.iter().map(endpoint).collect();
        json!({
            "metadata": { "name": name, "resourceVersion": version.to_string() },
            "addressType": "IPv4",
            "endpoints": endpoints,
            "ports": [{ "name": "metrics", "port": 9000 }, { "name": "http", "port": 3000 }],
        })
    }

    fn listed(slices: &[Value]) -> Slices {
        let mut known = Slices::new(Scheme::Http, Some("http".to_owned()));
        known.place("catalog", "shop");
        let list = json!({ "metadata": { "resourceVersion": "7" }, "items": slices });
        known.list(&list).expect("a list");
        known
    }

    fn addresses(slices: &Slices) -> Vec<String> {
        let spots = slices.spots();
        spots.iter().map(|spot| balance::settings::url(&spot.server)).collect()
    }

    fn ready() -> Value {
        json!({ "ready": true })
    }

    #[test]
    fn slices_are_merged_and_nobody_is_there_twice() {
        let slices = listed(&[
            slice("a", 1, &[("10.0.0.2", ready()), ("10.0.0.1", Value::Null)]),
            slice("b", 2, &[("10.0.0.1", ready()), ("fd00::1", ready()), ("a.test", ready())]),
        ]);
        let url = |address| format!("http://catalog.shop.svc:3000#{address}");
        assert_eq!(addresses(&slices), ["10.0.0.1", "10.0.0.2", "fd00::1"].map(url));
        assert_eq!(slices.spots()[0].zone.as_deref(), Some("eu-1"));
        assert_eq!(slices.version(), Some("7"));
    }

    #[test]
    fn who_is_not_ready_counts_only_when_nobody_is() {
        let ends = || json!({ "ready": false, "serving": true, "terminating": true });
        let slices = listed(&[slice("a", 1, &[("10.0.0.1", ready()), ("10.0.0.2", ends())])]);
        assert_eq!(addresses(&slices).len(), 1);
        let dead = json!({ "ready": false, "serving": false });
        let slices = listed(&[slice("a", 1, &[("10.0.0.2", ends()), ("10.0.0.3", dead)])]);
        assert_eq!(addresses(&slices), ["http://catalog.shop.svc:3000#10.0.0.2"]);
    }

    #[test]
    fn events_change_what_is_known() {
        let mut slices = listed(&[]);
        let mut check = |kind: &str, object: Value, expected: Event, count: usize| {
            let line = json!({ "type": kind, "object": object }).to_string();
            assert_eq!(slices.event(line.as_bytes()), Ok(expected), "{line}");
            assert_eq!(slices.spots().len(), count, "{line}");
            slices.version().map(str::to_owned)
        };
        let one = || slice("a", 8, &[("10.0.0.1", ready())]);
        check("ADDED", one(), Event::Changed, 1);
        check("MODIFIED", one(), Event::Nothing, 1);
        let two = slice("a", 9, &[("10.0.0.1", ready()), ("10.0.0.2", ready())]);
        check("MODIFIED", two, Event::Changed, 2);
        let mark = json!({ "metadata": { "resourceVersion": "12" } });
        assert_eq!(check("BOOKMARK", mark, Event::Nothing, 2).as_deref(), Some("12"));
        check("DELETED", one(), Event::Changed, 0);
        check("ERROR", json!({ "code": 410 }), Event::Gone, 0);
        assert_eq!(slices.event(b""), Ok(Event::Nothing));
        assert!(slices.event(b"{").is_err());
        assert!(slices.event(br#"{"type":"ERROR","object":{"code":500}}"#).is_err());
    }
}
