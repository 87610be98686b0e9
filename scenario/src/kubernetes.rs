//! The part of a Kubernetes API server that tells of `EndpointSlices`, for one test.
//!
//! Lists and watches of one service in one namespace, with versions, bookmarks, and 410 Gone for
//! versions that were forgotten. Plain HTTP; who wants TLS puts it in front.

use crate::gate::Watched;
use crate::patience;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

/// One endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its address.
    pub address: String,
    /// The condition `ready`.
    pub ready: bool,
    /// The condition `serving`.
    pub serving: bool,
    /// Its zone.
    pub zone: String,
}

impl Endpoint {
    /// One that is ready.
    pub fn ready(address: &str) -> Self {
        let (address, zone) = (address.to_owned(), "eu-1".to_owned());
        Self { address, ready: true, serving: true, zone }
    }

    /// One that ends, and serves until then.
    pub fn ending(address: &str) -> Self {
        Self { ready: false, ..Self::ready(address) }
    }
}

#[derive(Default)]
struct State {
    version: u64,
    slices: BTreeMap<String, Value>,
    /// What has changed, by the version that it made.
    history: Vec<(u64, Value)>,
    /// Watches from before this version are told 410.
    forgotten: u64,
    token: Option<String>,
    requests: Vec<String>,
    watching: Vec<TcpStream>,
    refusing: bool,
    ended: bool,
}

/// A running API server; ends when dropped.
pub struct Kubernetes {
    address: SocketAddr,
    state: Arc<Watched<State>>,
}

impl Kubernetes {
    /// One without slices.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let state = Arc::new(Watched::new(State { version: 1, ..State::default() }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if shared.lock().ended {
                    return;
                }
                let shared = Arc::clone(&shared);
                thread::spawn(move || serve(stream, &shared));
            }
        });
        Self { address, state }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on this token is asked for.
    pub fn token(&self, token: &str) {
        self.state.change(|state| state.token = Some(token.to_owned()));
    }

    /// Makes or changes a slice, whose endpoints listen on `port`.
    pub fn put(&self, name: &str, port: u16, endpoints: &[Endpoint]) {
        let endpoint = |endpoint: &Endpoint| {
            json!({
                "addresses": [endpoint.address],
                "conditions": {
                    "ready": endpoint.ready,
                    "serving": endpoint.serving,
                    "terminating": endpoint.serving && !endpoint.ready,
                },
                "zone": endpoint.zone,
            })
        };
        let endpoints: Vec<Value> = endpoints.iter().map(endpoint).collect();
        self.state.change(|state| {
            state.version += 1;
            let slice = json!({
                "kind": "EndpointSlice",
                "metadata": { "name": name, "resourceVersion": state.version.to_string() },
                "addressType": "IPv4",
                "endpoints": endpoints,
                "ports": [{ "name": "http", "port": port, "protocol": "TCP" }],
            });
            let before = state.slices.insert(name.to_owned(), slice.clone());
            let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
            let event = json!({ "type": kind, "object": slice });
            state.history.push((state.version, event));
        });
    }

    /// Deletes a slice.
    pub fn delete(&self, name: &str) {
        self.state.change(|state| {
            state.version += 1;
            if let Some(mut slice) = state.slices.remove(name) {
                slice["metadata"]["resourceVersion"] = json!(state.version.to_string());
                let event = json!({ "type": "DELETED", "object": slice });
                state.history.push((state.version, event));
            }
        });
    }

    /// Sends a bookmark to all watches.
    pub fn bookmark(&self) {
        self.state.change(|state| {
            state.version += 1;
            let metadata = json!({ "resourceVersion": state.version.to_string() });
            let event = json!({ "type": "BOOKMARK", "object": { "metadata": metadata } });
            state.history.push((state.version, event));
        });
    }

    /// Forgets its history: whoever goes on from a version before now is told 410.
    pub fn forget(&self) {
        self.state.change(|state| {
            state.version += 1;
            state.forgotten = state.version;
            state.history.clear();
        });
    }

    /// Breaks all watches off.
    pub fn break_off(&self) {
        for stream in self.state.change(|state| std::mem::take(&mut state.watching)) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// Answers every request 500 from now on, or no longer.
    pub fn refuse(&self, refusing: bool) {
        self.state.change(|state| state.refusing = refusing);
    }

    /// The targets that were asked for, in order.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().requests.clone()
    }

    /// Waits until a request whose target contains `part` has come after the first `seen`.
    #[track_caller]
    pub fn wait_request(&self, seen: usize, part: &str) {
        let came = self.state.wait(patience(), |state| {
            let mut later = state.requests.iter().skip(seen);
            later.any(|target| target.contains(part)).then_some(())
        });
        assert!(came.is_some(), "nobody asked for {part}: {:?}", self.requests());
    }
}

impl Drop for Kubernetes {
    fn drop(&mut self) {
        self.state.change(|state| state.ended = true);
        self.break_off();
        let _ = TcpStream::connect(self.address); // wakes the thread that accepts
    }
}

const PATH: &str = "/apis/discovery.k8s.io/v1/namespaces/shop/endpointslices";
const LABEL: &str = "labelSelector=kubernetes.io%2Fservice-name%3Dcatalog";

fn serve(stream: TcpStream, state: &Watched<State>) {
    let mut reader = BufReader::new(stream.try_clone().expect("a socket"));
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        match reader.read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line == "\r\n" => break,
            Ok(_) => lines.push(line.trim_end().to_owned()),
        }
    }
    let target = lines.first().and_then(|line| line.split(' ').nth(1)).unwrap_or("").to_owned();
    let bearer = lines.iter().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("authorization").then(|| value.to_owned())
    });
    let refused = state.change(|state| {
        state.requests.push(target.clone());
        let token = state.token.as_ref().map(|token| format!("Bearer {token}"));
        if state.refusing {
            Some(500)
        } else if token.is_some() && token != bearer {
            Some(401)
        } else {
            None
        }
    });
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let refused = refused.or((path != PATH || !query.contains(LABEL)).then_some(404));
    let parameter = |name: &str| {
        let mut all = query.split('&').filter_map(|part| part.split_once('='));
        all.find(|(n, _)| *n == name).and_then(|(_, value)| value.parse::<u64>().ok())
    };
    match (refused, parameter("watch")) {
        (Some(status), _) => say(stream, status, &json!({ "message": "refused" })),
        (None, Some(_)) => {
            let lasts = parameter("timeoutSeconds").unwrap_or(60);
            watch(stream, state, parameter("resourceVersion").unwrap_or(0), lasts);
        }
        (None, None) => {
            let list = state.change(|state| {
                let metadata = json!({ "resourceVersion": state.version.to_string() });
                let items: Vec<_> = state.slices.values().collect();
                json!({ "kind": "EndpointSliceList", "metadata": metadata, "items": items })
            });
            say(stream, 200, &list);
        }
    }
}

fn say(mut stream: TcpStream, status: u16, body: &Value) {
    let body = body.to_string();
    let _ = write!(
        stream,
        "HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
}

fn watch(mut stream: TcpStream, state: &Watched<State>, mut version: u64, seconds: u64) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
                Transfer-Encoding: chunked\r\n\r\n";
    if stream.write_all(head.as_bytes()).is_err() {
        return;
    }
    let line = |stream: &mut TcpStream, event: &Value| {
        let line = format!("{event}\n");
        // In two chunks, as lines may come on their way.
        let (a, b) = line.split_at(line.len() / 2);
        let chunk = |part: &str| format!("{:x}\r\n{part}\r\n", part.len());
        stream.write_all(format!("{}{}", chunk(a), chunk(b)).as_bytes()).is_ok()
    };
    let mine = stream.try_clone().expect("a socket");
    let address = mine.peer_addr().ok();
    state.change(|state| state.watching.push(mine));
    let by = base::Deadline::after(base::Moment::now(), Duration::from_secs(seconds));
    loop {
        let news = state.wait(by, |state| {
            let watched = state.watching.iter().any(|s| s.peer_addr().ok() == address);
            if state.ended || !watched {
                return Some(None);
            }
            if version < state.forgotten {
                return Some(Some((state.version, vec![gone()])));
            }
            let news: Vec<Value> = state
                .history
                .iter()
                .filter(|(made, _)| *made > version)
                .map(|(_, event)| event.clone())
                .collect();
            (!news.is_empty()).then(|| Some((state.version, news)))
        });
        let Some(Some((now, events))) = news else { break };
        version = now;
        if !events.iter().all(|event| line(&mut stream, event)) {
            break;
        }
        if events.iter().any(|event| event["type"] == "ERROR") {
            break;
        }
    }
    let _ = stream.write_all(b"0\r\n\r\n");
    let _ = stream.shutdown(Shutdown::Both);
    state.change(|state| {
        state.watching.retain(|s| s.peer_addr().is_ok_and(|peer| Some(peer) != address));
    });
}

fn gone() -> Value {
    json!({ "type": "ERROR", "object": { "kind": "Status", "code": 410, "message": "too old" } })
}
